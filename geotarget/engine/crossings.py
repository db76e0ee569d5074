"""Which stretches of a straight segment a zone covers.

A segment is straight in longitude and latitude and goes the short way around the Earth. Its line
parts the vertices of a zone into those to its left, to its right, and on it; the outline crosses
where that changes from one vertex to the next. What is covered along the line follows from parity:
with the vertices on the line counted as left ones, crossings are those of a line shifted to the
right by less than any number, with them counted as right ones those of a line shifted to the left.
A point of the segment is in the closed zone where either of the two lines is inside, apart from
single points. So corners that are only grazed, edges along the segment and zones that touch need
no cases of their own.

Sides are exact (`predicates`; only coordinates between 0 and 1e-120 may count as 0). A vertex has
the same side for both of its edges, hence every ring is crossed an even number of times, whatever
rounding does to the places of the crossings; misplaced crossings misplace ends by as much, no more.

Costs: a pair 0.5 microseconds with 30 vertices, 0.9 where each zone comes from main memory, 15 with
a million vertices; an outline is read where the segment's line meets the box of a run.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from geotarget.engine.compiled import njit
from geotarget.engine.outlines import Outlines
from geotarget.engine.predicates import DOUBT, UNKNOWN, exact_orientation, orientation
from geotarget.engine.runs import BLOCK, GROUP, Runs
from geotarget.model import FloatArray, IntArray

SHORTEST = 1e-12
"""Stretches and gaps of a smaller fraction of a segment are none."""

STILL = 1e-150
"""Segments of fewer degrees have no direction."""

_BEFORE = 1.0 - 2.0**-53  # the last number below 1
_AFTER = 1e-300  # as good as the first one above 0

Whole = int | np.signedinteger[Any]
Number = TypeVar("Number", np.float64, np.int64)
Stretches = tuple[IntArray, FloatArray, FloatArray]


def stretches(
    outlines: Outlines,
    *,
    lng: FloatArray,
    lat: FloatArray,
    to_lng: FloatArray,
    to_lat: FloatArray,
    segment: IntArray,
    zone: IntArray,
) -> Stretches:
    """Return the stretches of segments that zones cover, their outlines included.

    Parameters
    ----------
    outlines
        Of the zones.
    lng, lat, to_lng, to_lat
        Ends of the segments in degrees, within +-180 and +-90, shape (n,). A segment of more than
        180 degrees of longitude goes the other way, over the antimeridian.
    segment, zone
        The pairs to look at, shape (pairs,).

    Returns
    -------
    pair : ndarray of int64
        Ascending, shape (m,): several rows where a zone is left and entered again.
    entry, exit : ndarray of float64
        Fractions of the segment, ``0 <= entry < exit <= 1``, ascending within a pair. 0 where the
        start is covered, 1 where the end is; an end on the outline counts as covered. Stretches
        that meet are one. Where a segment only touches a zone there is none, nor for less than
        `SHORTEST` of it. A segment without length has (0, 1) if it is covered.

    Examples
    --------
    >>> square = np.array([[1, 0], [3, 0], [3, 1], [1, 1], [1, 0]], np.float64)
    >>> one = np.array([0, 1])
    >>> outlines = Outlines.of(square, np.array([0, 5]), one, one)
    >>> pair, entry, exit = stretches(
    ...     outlines, lng=np.array([0.0]), lat=np.array([0.5]), to_lng=np.array([4.0]),
    ...     to_lat=np.array([0.5]), segment=np.array([0]), zone=np.array([0]))
    >>> pair.tolist(), entry.tolist(), exit.tolist()
    ([0], [0.25], [0.75])
    """
    rows, pair, entry, exit_ = _stretches(
        np.array(lng, np.float64),
        np.array(lat, np.float64),
        np.array(to_lng, np.float64),
        np.array(to_lat, np.float64),
        np.array(segment, np.int64),
        np.array(zone, np.int64),
        outlines.runs,
        outlines.zone_run,
    )
    return pair[:rows].copy(), entry[:rows].copy(), exit_[:rows].copy()


@njit(cache=True, nogil=True)
def _side(ax: float, ay: float, bx: float, by: float, x: float, y: float) -> int:
    """Return 1 where a point lies left of the line from a to b, -1 right of it, 0 on it."""
    side = orientation(ax, ay, bx, by, x, y)
    return 0 if side == UNKNOWN else side


@njit(cache=True, nogil=True)
def _around(px: float, qx: float) -> float:
    """Return what to add to the end's longitude so that the segment goes the short way."""
    if qx - px > 180.0:
        return -360.0
    return 360.0 if qx - px < -180.0 else 0.0


@njit(cache=True, nogil=True)
def _larger(array: NDArray[Number], size: Whole) -> NDArray[Number]:
    larger = np.empty(size, array.dtype)
    for i in range(len(array)):
        larger[i] = array[i]
    return larger


@njit(cache=True, nogil=True)
def _beside(px: float, py: float, qx: float, qy: float, box: FloatArray, row: Whole) -> bool:
    """Whether nothing in a box can matter: it is on one side of the line, or past the end."""
    dx = qx - px
    dy = qy - py
    if abs(dx) >= abs(dy):
        if (box[row, 0] > qx) if dx > 0.0 else (box[row, 2] < qx):
            return True
    elif (box[row, 1] > qy) if dy > 0.0 else (box[row, 3] < qy):
        return True
    south = dx * (box[row, 1] - py)
    north = dx * (box[row, 3] - py)
    west = dy * (box[row, 0] - px)
    east = dy * (box[row, 2] - px)
    margin = 1e-15 * (max(abs(south), abs(north)) + max(abs(west), abs(east)))
    return bool(
        min(south, north) - max(west, east) > margin
        or max(south, north) - min(west, east) < -margin
    )


@njit(cache=True, nogil=True)
def _along(px: float, py: float, qx: float, qy: float, x: float, y: float) -> float:
    """Return the fraction of the segment at a point of its line; 1 only at the end."""
    if abs(qx - px) >= abs(qy - py):
        at = (x - px) / (qx - px)
        return _BEFORE if at == 1.0 and x != qx else at
    at = (y - py) / (qy - py)
    return _BEFORE if at == 1.0 and y != qy else at


@njit(cache=True, nogil=True)
def _fraction(
    px: float,
    py: float,
    qx: float,
    qy: float,
    ax: float,
    ay: float,
    bx: float,
    by: float,
    turn: int,
) -> float:
    """Return where the edge from a to b crosses the segment from p to q.

    Parameters
    ----------
    turn
        1 where the edge goes from the right of the segment's line to its left, -1 the other way.
    """
    from_a = abs((qx - px) * (ay - py) - (qy - py) * (ax - px))
    from_b = abs((qx - px) * (by - py) - (qy - py) * (bx - px))
    at_a = _along(px, py, qx, qy, ax, ay)
    at_b = _along(px, py, qx, qy, bx, by)
    if from_a + from_b == 0.0:
        at = 0.5 * (at_a + at_b)
    elif from_a < from_b:
        at = at_a + (at_b - at_a) * (from_a / (from_a + from_b))
    else:
        at = at_b + (at_a - at_b) * (from_b / (from_a + from_b))
    # before, within or behind the segment: sides say it exactly
    side = turn * _side(ax, ay, bx, by, px, py)
    if side <= 0:
        return 0.0 if side == 0 else min(at, -_AFTER)
    side = turn * _side(ax, ay, bx, by, qx, qy)
    if side >= 0:
        return 1.0
    return min(max(at, _AFTER), _BEFORE)


@njit(cache=True, nogil=True)
def _walk(
    px: float,
    py: float,
    qx: float,
    qy: float,
    xy: FloatArray,
    begin: Whole,
    length: Whole,
    when: FloatArray,
    flips: IntArray,
    count: Whole,
    shift: Whole,
) -> tuple[Whole, Whole]:
    """Append the crossings of a run; see `_crossings`."""
    dx = qx - px
    dy = qy - py
    state: Whole = np.int64(0)
    before = 0
    for v in range(begin, begin + length + 1):
        left = dx * (xy[v, 1] - py)
        right = dy * (xy[v, 0] - px)
        side = 1 if left > right else -1
        if abs(left - right) <= DOUBT * (abs(left) + abs(right)):
            side = exact_orientation(px, py, qx, qy, xy[v, 0], xy[v, 1])
            side = 0 if side == UNKNOWN else side
        if side != before and v > begin:
            if before == 0:
                at = _along(px, py, qx, qy, xy[v - 1, 0], xy[v - 1, 1])
            elif side == 0:
                at = _along(px, py, qx, qy, xy[v, 0], xy[v, 1])
            else:
                at = _fraction(px, py, qx, qy, xy[v - 1, 0], xy[v - 1, 1], xy[v, 0], xy[v, 1], side)
            flip = (1 if (side >= 0) != (before >= 0) else 0) << shift
            flip |= (2 if (side > 0) != (before > 0) else 0) << shift
            if at <= 0.0:
                state ^= flip
            elif at < 1.0:
                when[count] = at
                flips[count] = flip
                count += 1
        before = side
    return count, state


@njit(cache=True, nogil=True)
def _crossings(
    px: float,
    py: float,
    qx: float,
    qy: float,
    first: Whole,
    last: Whole,
    runs: Runs,
    when: FloatArray,
    flips: IntArray,
    count: Whole,
    shift: Whole,
) -> tuple[Whole, Whole, FloatArray, IntArray]:
    """Append the crossings within a segment; those before it make up the state at its start.

    Bit 0 of a flip is that of the line shifted to the right, bit 1 of that to the left.
    """
    xy, _, run_start, run_length, run_box, group_box, block_box = runs
    state: Whole = np.int64(0)
    run = first
    while run < last:
        if run % GROUP == 0 and run + GROUP <= last:
            if (
                run % BLOCK == 0
                and run + BLOCK <= last
                and _beside(px, py, qx, qy, block_box, run // BLOCK)
            ):
                run += BLOCK
                continue
            if _beside(px, py, qx, qy, group_box, run // GROUP):
                run += GROUP
                continue
        begin = np.int64(run_start[run])
        if begin < len(xy) and not _beside(px, py, qx, qy, run_box, run):
            length = np.int64(abs(run_length[run]))
            if count + length > len(when):
                when = _larger(when, 2 * len(when) + length)
                flips = _larger(flips, len(when))
            count, before = _walk(px, py, qx, qy, xy, begin, length, when, flips, count, shift)
            state ^= before
        run += 1
    return count, state, when, flips


@njit(cache=True, nogil=True)
def _covers(
    x: float,
    y: float,
    first: Whole,
    last: Whole,
    runs: Runs,
) -> bool:
    """Whether a zone holds a point, its outline included: parity of what lies east of it."""
    xy, _, run_start, run_length, run_box, _, _ = runs
    inside = False
    for run in range(first, last):
        begin = np.int64(run_start[run])
        if begin >= len(xy) or run_box[run, 1] > y or run_box[run, 3] < y or run_box[run, 2] < x:
            continue
        for v in range(begin, begin + np.int64(abs(run_length[run]))):
            ax = xy[v, 0]
            ay = xy[v, 1]
            bx = xy[v + 1, 0]
            by = xy[v + 1, 1]
            if ay == y and by == y and min(ax, bx) <= x <= max(ax, bx):
                return True
            if (ay == y and ax == x) or (by == y and bx == x):
                return True
            if (ay > y) != (by > y):
                side = _side(ax, ay, bx, by, x, y)
                if side == 0:
                    return True
                if (side > 0) == (by > ay):
                    inside = not inside
    return inside


@njit(cache=True, nogil=True)
def _sort(when: FloatArray, flips: IntArray, count: Whole) -> None:
    """Sort crossings by place (Shell): few as a rule, thousands along a coast."""
    gap = 1
    while gap < count // 9:
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(gap, count):
            at = when[i]
            flip = flips[i]
            j = i
            while j >= gap and when[j - gap] > at:
                when[j] = when[j - gap]
                flips[j] = flips[j - gap]
                j -= gap
            when[j] = at
            flips[j] = flip
        gap //= 3


@njit(cache=True, nogil=True)
def _sweep(
    when: FloatArray,
    flips: IntArray,
    count: Whole,
    state: Whole,
    entry: FloatArray,
    exit_: FloatArray,
    row: Whole,
) -> Whole:
    """Write what is covered between crossings from a row on, and return the row behind it."""
    begin = 0.0
    end = -1.0  # of the last stretch: none yet
    opened = 0.0
    for k in range(count + 1):
        covered = state != 0
        at = when[k] if k < count else 1.0
        state = state ^ flips[k] if k < count else 0
        if covered and state == 0:
            if end < 0.0 or opened - end > SHORTEST:
                if end - begin > SHORTEST:
                    entry[row] = begin
                    exit_[row] = end
                    row += 1
                begin = opened
            end = at
        elif state != 0 and not covered:
            opened = at
    if end - begin > SHORTEST:
        entry[row] = begin
        exit_[row] = end
        row += 1
    return row


@njit(cache=True, nogil=True)
def _stretches(
    lng: FloatArray,
    lat: FloatArray,
    to_lng: FloatArray,
    to_lat: FloatArray,
    segment: IntArray,
    zone: IntArray,
    runs: Runs,
    zone_run: IntArray,
) -> tuple[Whole, IntArray, FloatArray, FloatArray]:
    when = np.empty(64)
    flips = np.empty(64, np.int64)
    pair = np.empty(len(segment) + 16, np.int64)
    entry = np.empty(len(pair))
    exit_ = np.empty(len(pair))
    rows: Whole = np.int64(0)
    for i in range(len(segment)):
        first = np.int64(zone_run[zone[i]])
        last = np.int64(zone_run[zone[i] + 1])
        px = lng[segment[i]]
        py = lat[segment[i]]
        qx = to_lng[segment[i]]
        qy = to_lat[segment[i]]
        around = _around(px, qx)
        still = abs(qx + around - px) < STILL and abs(qy - py) < STILL
        count: Whole = np.int64(0)
        state: Whole = np.int64(0)
        for world in range(3):  # where zones lie, then once around the Earth either way
            turn = (0.0, 360.0, -360.0)[world]
            west = min(px, qx + around) - turn
            east = max(px, qx + around) - turn
            if west > 180.0 or east < -180.0:
                continue
            if still:
                if _covers(px - turn, py, first, last, runs):
                    state = 1
                continue
            count, before, when, flips = _crossings(
                px - turn,
                py,
                qx + (around - turn),
                qy,
                first,
                last,
                runs,
                when,
                flips,
                count,
                2 * world,
            )
            state |= before
        if count > 1:
            _sort(when, flips, count)

        if rows + count // 2 + 1 > len(pair):
            pair = _larger(pair, 2 * len(pair) + count)
            entry = _larger(entry, len(pair))
            exit_ = _larger(exit_, len(pair))
        begin = rows
        rows = _sweep(when, flips, count, state, entry, exit_, rows)
        for row in range(begin, rows):
            pair[row] = i
    return rows, pair, entry, exit_
