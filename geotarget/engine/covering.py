"""Covers of zones by H3 cells: which cells lie wholly inside a zone, and which on its outline.

A cover answers most pings without looking at a geometry: a ping in no cell of a zone is outside, a
ping in an inner cell is inside, only a ping in another cell needs the exact test. Cells are read as
ranges (`geotarget.engine.cells`): a ping is mapped once, at the finest resolution in use, and every
coarser cell that holds it follows from the bits.

**Why it is exact.** Every zone starts with the 122 base cells, whose ranges hold the whole Earth.
A cell is replaced by its seven children, whose ranges are exactly its own range, so nothing is ever
lost in between. For each cell a box in longitude and latitude is known that holds every point of
its range (a cap around the centre with the cell's reach, `cells.reach_rad`). If the zone's outline
does not come into the box, the box lies wholly inside or wholly outside, as its centre does: the
cell becomes inner or is dropped. Otherwise it is split again or kept for the exact test. Circles
are compared with the cap itself, by geodesic distance and the largest radius of curvature.

**Bounded.** A zone is refined until its outline touches more than `ENOUGH` cells or the finest
resolution is reached; that leaves some 30 to 150 cells for it, a kiosk or a continent, a circle or
a coast of 200,000 vertices. Costs: about 0.15 ms and 1.6 KB a zone of 30 vertices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from geotarget.engine import cells
from geotarget.engine.ragged import places
from geotarget.engine.rings import curvature_m
from geotarget.engine.shapes import Shapes
from geotarget.model import FloatArray, IntArray, KeyArray

ENOUGH = 24
"""A zone whose outline touches more cells than this is not refined any further."""

BLOCK = 2_000
"""Zones that are covered together: bounds the memory of a build."""

BoolArray = NDArray[np.bool_]
Scalar = TypeVar("Scalar", np.int64, np.uint64)


@dataclass(frozen=True, slots=True, eq=False)
class Covering:
    """The covers of all zones of an index, sorted by cell.

    Parameters
    ----------
    cell, zone, inner
        One entry per zone and cell: the H3 index, the zone's row, whether the cell is wholly
        inside. The cells of one zone are disjoint as ranges.
    key, start
        The distinct cells, and where the entries of each start.
    levels
        (resolution, first key, one past the last key) for each resolution in use.
    """

    cell: KeyArray
    zone: IntArray
    inner: BoolArray
    key: KeyArray
    start: IntArray
    levels: tuple[tuple[int, int, int], ...]

    @classmethod
    def of(cls, shapes: Shapes) -> Covering:
        """Cover zones.

        Parameters
        ----------
        shapes
            Their geometry.
        """
        parts = [
            _cover(shapes, np.arange(first, min(first + BLOCK, len(shapes))))
            for first in range(0, max(len(shapes), 1), BLOCK)
        ]
        return cls._sorted(*_chain(parts))

    @classmethod
    def _sorted(cls, cell: KeyArray, zone: IntArray, inner: BoolArray) -> Covering:
        order = np.argsort(cell, kind="stable")
        return cls._keyed(cell[order], zone[order], inner[order])

    @classmethod
    def _keyed(cls, cell: KeyArray, zone: IntArray, inner: BoolArray) -> Covering:
        fresh = np.ones(len(cell), np.bool_)
        fresh[1:] = cell[1:] != cell[:-1]
        first = np.flatnonzero(fresh)
        key = cell[first]
        resolution = cells.resolutions(key)
        levels = tuple(
            (level, *np.searchsorted(resolution, [level, level + 1]).tolist())
            for level in np.unique(resolution).tolist()
        )
        return cls(cell, zone, inner, key, np.append(first, len(cell)), levels)

    @property
    def finest(self) -> int:
        """The finest resolution in use; -1 when nothing is covered."""
        return self.levels[-1][0] if self.levels else -1

    def changed(self, place: IntArray, added: Covering, added_place: IntArray) -> Covering:
        """Return the covering after an edit; costs a few copies and no sorting.

        Parameters
        ----------
        place
            New row of each zone, -1 for those that go.
        added
            Covers of zones that come.
        added_place
            Their new rows.
        """
        moved = place[self.zone]
        kept = moved >= 0
        cell, zone, inner = self.cell[kept], moved[kept], self.inner[kept]
        at = np.searchsorted(cell, added.cell)
        return self._keyed(
            np.insert(cell, at, added.cell),
            np.insert(zone, at, added_place[added.zone]),
            np.insert(inner, at, added.inner),
        )

    def lookup(self, *, lng: FloatArray, lat: FloatArray) -> tuple[IntArray, IntArray, BoolArray]:
        """Return the zones whose covers hold each ping.

        Parameters
        ----------
        lng, lat
            Degrees, shape (n,).

        Returns
        -------
        ping, zone, inner
            One row per ping and zone, in no particular order; `inner` False where only the exact
            test can tell.
        """
        if not self.levels:
            return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.bool_)
        cell = cells.cells_at(lng=lng, lat=lat, resolution=self.finest)
        order = np.argsort(cell)  # neighbours in the table are looked up one after the other
        cell = cell[order]
        found = []
        for resolution, first, last in self.levels:
            wanted = cells.parents(cell, resolution)
            at = first + np.searchsorted(self.key[first:last], wanted)
            hit = np.flatnonzero(self.key[np.minimum(at, last - 1)] == wanted)
            entry, width = places(self.start, at[hit])
            found.append((np.repeat(order[hit], width), self.zone[entry], self.inner[entry]))
        return _chain(found)


def _cover(shapes: Shapes, rows: IntArray) -> tuple[KeyArray, IntArray, BoolArray]:
    """Cover some zones, all of them one resolution after the other."""
    base = cells.base_cells()
    cell = np.tile(base, len(rows))
    zone = np.repeat(rows, len(base))
    done = []
    for resolution in range(cells.FINEST + 1):
        distinct, which = np.unique(cell, return_inverse=True)
        lng, lat = cells.centres(distinct)
        reach = cells.reach_rad(resolution)
        box = np.stack(cells.boxes(lng=lng, lat=lat, reach=reach), axis=1)
        near = np.flatnonzero(_overlap(box[which], shapes.box[zone]))
        cell, zone, which = cell[near], zone[near], which[near]
        touched, inner = _judge(
            shapes, zone, lng=lng[which], lat=lat[which], box=box[which], reach=reach
        )
        done.append((cell[inner], zone[inner], np.ones(np.count_nonzero(inner), np.bool_)))
        cell, zone = cell[touched], zone[touched]
        enough = np.bincount(zone, minlength=len(shapes))[zone] > ENOUGH
        if resolution == cells.FINEST:
            enough[:] = True
        done.append((cell[enough], zone[enough], np.zeros(np.count_nonzero(enough), np.bool_)))
        cell, parent = cells.children(cell[~enough])
        zone = zone[~enough][parent]
        if not len(cell):
            break
    return _chain(done)


def _judge(
    shapes: Shapes,
    zone: IntArray,
    *,
    lng: FloatArray,
    lat: FloatArray,
    box: FloatArray,
    reach: float,
) -> tuple[BoolArray, BoolArray]:
    """Return which cells the zones' outlines may touch, and which lie wholly inside."""
    circle = ~np.isnan(shapes.radius_m[zone])
    touched = shapes.outlines.touched(box, zone)
    gap = np.zeros(len(zone))
    round_ = np.flatnonzero(circle)
    gap[round_] = shapes.signed_distance(lng=lng[round_], lat=lat[round_], zone=zone[round_])
    # no radius of curvature exceeds the one at the poles
    reach_m = reach * float(curvature_m(np.array([cells.POLE]))[0][0])
    touched[round_] = np.abs(gap[round_]) <= reach_m
    inner = np.zeros(len(zone), np.bool_)
    rest = np.flatnonzero(~touched)
    inner[rest] = shapes.cover(lng=lng[rest], lat=lat[rest], zone=zone[rest])
    return touched, inner


def _overlap(cell: FloatArray, zone: FloatArray) -> BoolArray:
    """Return which boxes overlap, longitudes taken around the Earth."""
    apart = np.abs(cell[:, 0] + cell[:, 2] - zone[:, 0] - zone[:, 2]) / 2
    apart = np.minimum(apart, np.abs(360.0 - apart))
    widths = (cell[:, 2] - cell[:, 0] + zone[:, 2] - zone[:, 0]) / 2
    margin = 1e-9
    overlap: BoolArray = (
        (apart <= widths + margin)
        & (cell[:, 1] <= zone[:, 3] + margin)
        & (cell[:, 3] >= zone[:, 1] - margin)
    )
    return overlap


def _chain(
    parts: list[tuple[NDArray[Scalar], IntArray, BoolArray]],
) -> tuple[NDArray[Scalar], IntArray, BoolArray]:
    first, second, third = zip(*parts, strict=True)
    return np.concatenate(first), np.concatenate(second), np.concatenate(third)
