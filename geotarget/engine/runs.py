"""Vertices of zones in runs, with boxes in three sizes, so that kernels read only what is near.

Vertices stay where they are. A run names up to `RUN` consecutive edges of one ring and their box;
every edge of a zone is in one run, and a run holds either outline or *cuts* (`outlines` says what
those are), marked by a negative length: who looks for the outline passes over them, who counts
crossings needs them too. Every `GROUP` runs have a box again and every `GROUP` groups, whatever
zones they belong to: a long outline is skipped in strides, a short one costs nothing for it.

Costs: 38 bytes a run; 5 ns an edge, twice.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geotarget.engine.compiled import njit
from geotarget.engine.ellipsoid import POLE, SEAM
from geotarget.engine.ragged import starts
from geotarget.model import FloatArray, IntArray

RUN = 32
"""Most edges that share a box."""

GROUP = 32
"""Runs that share a box, and groups that share one again."""

BLOCK = GROUP * GROUP
"""Runs of a group of groups."""

Runs = tuple[
    FloatArray,
    FloatArray,
    NDArray[np.signedinteger[Any]],
    NDArray[np.int8],
    FloatArray,
    FloatArray,
    FloatArray,
]
"""What kernels read: vertices, further ones, start, length and box of runs, and the boxes of
groups and of blocks; `Outlines` has more."""


def divided(
    xy: FloatArray, ring: IntArray, part: IntArray, zone: IntArray
) -> tuple[NDArray[np.signedinteger[Any]], NDArray[np.int8], FloatArray, IntArray]:
    """Divide the rings of zones into runs.

    Parameters
    ----------
    xy, ring, part, zone
        Closed rings, as `Outlines.of` takes them.

    Returns
    -------
    run_start, run_length, run_box, zone_run : ndarray
        As `Outlines` holds them.

    Examples
    --------
    >>> half = np.array([[0, 80], [180, 80], [180, 90], [0, 90], [0, 80]], np.float64)
    >>> one = np.array([0, 1])
    >>> run_start, run_length, _, _ = divided(half, np.array([0, 5]), one, one)
    >>> run_start.tolist(), run_length.tolist()
    ([0, 1, 3], [1, -2, 1])
    """
    counts = np.empty(len(zone) - 1, np.int64)
    _count(xy, ring, part, zone, counts)
    zone_run = starts(counts)
    runs = int(zone_run[-1])
    # half the memory; who has two billion vertices pays for the other half
    whole: type[np.signedinteger[Any]] = np.int32 if len(xy) < 2**31 - 2**20 else np.int64
    run_start = np.empty(runs, whole)
    run_length = np.empty(runs, np.int8)
    run_box = np.empty((runs, 4))
    _fill(xy, ring, part, zone, run_start, run_length, run_box)
    return run_start, run_length, run_box, zone_run


def grouped(box: FloatArray) -> FloatArray:
    """Return a box around each `GROUP` boxes."""
    if not len(box):
        return np.empty((0, 4))
    first = np.arange(0, len(box), GROUP)
    around = np.minimum.reduceat(box, first, axis=0)
    around[:, 2:] = np.maximum.reduceat(box[:, 2:], first, axis=0)
    return np.asarray(around)


def open_pieces(
    xy: FloatArray,
    zone_run: IntArray,
    run_start: NDArray[np.signedinteger[Any]],
    run_length: NDArray[np.int8],
) -> tuple[IntArray, FloatArray]:
    """Return the pieces of edges on +-180 that face nothing on the other side.

    Returns
    -------
    zone : ndarray
        Shape (pieces,), ascending.
    piece : ndarray
        The side, the south end, the side again, the north end; shape (pieces, 4).
    """
    cut = np.flatnonzero(run_length < 0)
    lengths = -run_length[cut].astype(np.int64)
    vertex = np.repeat(run_start[cut] - starts(lengths)[:-1], lengths) + np.arange(lengths.sum())
    zone = np.repeat(np.searchsorted(zone_run, cut, side="right") - 1, lengths)
    side, lat, end = xy[vertex, 0], xy[vertex, 1], xy[vertex + 1, 1]
    seam = (np.abs(side) == SEAM) & (side == xy[vertex + 1, 0]) & (lat != end)
    side, lat, end, zone = side[seam], lat[seam], end[seam], zone[seam]

    # from south to north on each zone's meridian: how many edges of either side are above a level?
    level = np.concatenate([np.minimum(lat, end), np.maximum(lat, end)])
    step = np.repeat([1, -1], len(zone))
    west, zone = np.tile(side < 0, 2), np.tile(zone, 2)
    order = np.lexsort((level, zone))
    level, zone, west, step = level[order], zone[order], west[order], step[order]
    held = np.stack([np.cumsum(np.where(west, step, 0)), np.cumsum(np.where(west, 0, step))])
    last = np.ones(len(level), np.bool_)  # of all that happens at one level
    last[:-1] = (level[1:] != level[:-1]) | (zone[1:] != zone[:-1])
    level, zone, held = level[last], zone[last], held[:, last]
    open_ = np.flatnonzero((held > 0).sum(axis=0) == 1)  # never the last level of a zone
    at = np.where(held[0, open_] > 0, -SEAM, SEAM)
    return zone[open_], np.column_stack([at, level[open_], at, level[open_ + 1]])


@njit(cache=True, nogil=True)
def _cut(xy: FloatArray, v: int) -> bool:
    """Whether the edge from vertex v on lies on +-180 or along a pole."""
    if xy[v, 0] == xy[v + 1, 0]:
        return bool(abs(xy[v, 0]) == SEAM or (abs(xy[v, 1]) == POLE and xy[v, 1] == xy[v + 1, 1]))
    return bool(xy[v, 1] == xy[v + 1, 1] and abs(xy[v, 1]) == POLE)


@njit(cache=True, nogil=True)
def _chain(xy: FloatArray, v: int, end: int) -> int:
    """Return where the edges that are cuts like that from vertex v on, or not like it, end."""
    cut = _cut(xy, v)
    v += 1
    while v < end and _cut(xy, v) == cut:
        v += 1
    return v


@njit(cache=True, nogil=True)
def _count(
    xy: FloatArray, ring: IntArray, part: IntArray, zone: IntArray, counts: IntArray
) -> None:
    for z in range(len(zone) - 1):
        runs = 0
        for r in range(part[zone[z]], part[zone[z + 1]]):
            v = ring[r]
            while v < ring[r + 1] - 1:
                end = _chain(xy, v, ring[r + 1] - 1)
                runs += (end - v + RUN - 1) // RUN
                v = end
        counts[z] = runs


@njit(cache=True, nogil=True)
def _fill(
    xy: FloatArray,
    ring: IntArray,
    part: IntArray,
    zone: IntArray,
    run_start: IntArray,
    run_length: NDArray[np.int8],
    run_box: FloatArray,
) -> None:
    run = 0
    for r in range(part[zone[0]], part[zone[-1]]):
        chain = ring[r]
        while chain < ring[r + 1] - 1:
            end = _chain(xy, chain, ring[r + 1] - 1)
            cut = _cut(xy, chain)
            runs = (end - chain + RUN - 1) // RUN
            for k in range(runs):  # of equal length, so that their boxes are small
                first = chain + (end - chain) * k // runs
                last = chain + (end - chain) * (k + 1) // runs
                west = xy[first, 0]
                south = xy[first, 1]
                east = west
                north = south
                for v in range(first + 1, last + 1):
                    west = min(west, xy[v, 0])
                    south = min(south, xy[v, 1])
                    east = max(east, xy[v, 0])
                    north = max(north, xy[v, 1])
                run_start[run] = first
                run_length[run] = first - last if cut else last - first
                run_box[run, 0] = west
                run_box[run, 1] = south
                run_box[run, 2] = east
                run_box[run, 3] = north
                run += 1
            chain = end
