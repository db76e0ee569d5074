"""Deciding items: whether a ping is inside, by the few edges of a zone that come into its cell.

`CHUNK` items at a time are laid out on a desk, column by column, and decided eight at a time in the
registers of the processor, three edges each. What takes more, one item in thirty, goes singly: more
edges, circles, signs that float64 can't tell, and zones with more than one run of edges. Vector
code alone, without the memory fetched ahead, was slower than plain code: 386 ns a ping among
100,000 zones against 314; with it, 180.
"""

from __future__ import annotations

import numpy as np

from geotarget.engine.compiled import njit
from geotarget.engine.discs import UNSURE, inside_disc
from geotarget.engine.grid import LinkArray
from geotarget.engine.predicates import DOUBT, UNKNOWN, orientation
from geotarget.model import FloatArray

ON = 4
"""State of an item whose outline the ping is on; 1 is inside, 0 outside, `UNSURE` undecided."""

OPEN = 2
AGAIN = 4
"""Added to the state of an item that `signed` leaves to `settled`: its sign is in doubt, it has
too many edges or none; the item before it is of the same ping and zone."""

ONE = np.uint64(1)

EDGES = 3
"""Edges of an item that fit on the desk; one in thirty has more."""

CHUNK = 256
"""Items on the desk."""

COLUMN = CHUNK + 8
"""Numbers from one column of the desk to the next: columns that are a power of two apart would
drive each other out of the cache. A constant, so that the compiler sees that they do not overlap,
without which there is no vector code."""

COLUMNS = 3 + 2 * (EDGES + 1)
"""Of the desk: longitude, latitude and the cell's west side, then the vertices."""


@njit(cache=True, nogil=True)
def laid_out(
    xy: FloatArray,
    px: FloatArray,
    py: FloatArray,
    west: FloatArray,
    ping: LinkArray,
    item: LinkArray,
    first: LinkArray,
    begin: int,
    n: int,
    desk: FloatArray,
) -> None:
    """Copy pings and the vertices of the first `EDGES` edges of some items to the desk."""
    for i in range(n):
        k = np.uint64(begin + i)
        t = np.uint64(ping[k])
        desk[i] = px[t]
        desk[i + COLUMN] = py[t]
        desk[i + 2 * COLUMN] = west[t]
        edges = item[k] >> 1 & 31
        if edges:
            a = np.uint64(first[k]) * np.uint64(2)
            b = a + np.uint64(2)
            c = b + np.uint64(2 if edges > 1 else 0)
            d = c + np.uint64(2 if edges > 2 else 0)
            desk[i + 3 * COLUMN] = xy[a]
            desk[i + 4 * COLUMN] = xy[a + ONE]
            desk[i + 5 * COLUMN] = xy[b]
            desk[i + 6 * COLUMN] = xy[b + ONE]
            desk[i + 7 * COLUMN] = xy[c]
            desk[i + 8 * COLUMN] = xy[c + ONE]
            desk[i + 9 * COLUMN] = xy[d]
            desk[i + 10 * COLUMN] = xy[d + ONE]


@njit(cache=True, nogil=True)
def _share(
    ax: float, ay: float, bx: float, by: float, west: float, x: float, y: float
) -> tuple[bool, bool]:
    """Return what `grid.crossing` does, without branches, and whether the sign is in doubt."""
    u = (ax - x) * (by - y)
    w = (ay - y) * (bx - x)
    turn = u - w
    doubt = abs(turn) <= DOUBT * (abs(u) + abs(w))
    a_above = ay > y
    b_above = by > y
    a_east = ax > west
    b_east = bx > west
    spans = a_above != b_above
    right = a_east & b_east & spans & ((turn < 0.0) == b_above)
    over = (spans & ((turn > 0.0) == b_east)) | ((ay <= y) & (by <= y))
    return right | ((a_east != b_east) & over), doubt


@njit(cache=True, nogil=True)
def signed(
    desk: FloatArray, ping: LinkArray, item: LinkArray, begin: int, n: int, state: LinkArray
) -> None:
    """Decide the items on the desk, and mark those that take more than vector code can do."""
    words = item[begin : begin + n]
    words_before = item[begin - 1 : begin - 1 + n]
    pings = ping[begin : begin + n]
    pings_before = ping[begin - 1 : begin - 1 + n]
    states = state[begin : begin + n]
    for i in range(n):
        x = desk[i]
        y = desk[i + COLUMN]
        west = desk[i + 2 * COLUMN]
        ax = desk[i + 3 * COLUMN]
        ay = desk[i + 4 * COLUMN]
        bx = desk[i + 5 * COLUMN]
        by = desk[i + 6 * COLUMN]
        cx = desk[i + 7 * COLUMN]
        cy = desk[i + 8 * COLUMN]
        dx = desk[i + 9 * COLUMN]
        dy = desk[i + 10 * COLUMN]
        one, one_doubt = _share(ax, ay, bx, by, west, x, y)
        two, two_doubt = _share(bx, by, cx, cy, west, x, y)
        three, three_doubt = _share(cx, cy, dx, dy, west, x, y)
        word = words[i]
        edges = word >> 1 & 31
        has_two = edges > 1
        has_three = edges > 2
        odd = ((word & 1) != 0) ^ one ^ (has_two & two) ^ (has_three & three)
        doubt = one_doubt | (has_two & two_doubt) | (has_three & three_doubt)
        open_ = doubt | (edges > EDGES) | (edges == 0)
        again = (words_before[i] >> 6 == word >> 6) & (pings_before[i] == pings[i])
        states[i] = np.int32(odd) + OPEN * np.int32(open_) + AGAIN * np.int32(again)


@njit(cache=True, nogil=True)
def settled(
    xy: FloatArray,
    discs: FloatArray,
    px: FloatArray,
    py: FloatArray,
    west: FloatArray,
    ping: LinkArray,
    item: LinkArray,
    first: LinkArray,
    items: int,
    state: LinkArray,
) -> bool:
    """Decide what is open; return whether anything still is. A zone's last item speaks for all."""
    undecided = False
    for i in range(1, items):
        flags = state[i]
        if flags < OPEN:
            continue
        odd = flags & 1
        word = item[i]
        if flags & OPEN:
            t = ping[i]
            x = px[t]
            y = py[t]
            edges = word >> 1 & 31
            if edges == 0:
                odd = inside_disc(discs, first[i], x, y)
            else:
                odd = _decided(xy, first[i], edges, word & 1, west[t], x, y)
            undecided |= odd == UNSURE
        if flags & AGAIN:
            before = state[i - 1]
            state[i - 1] = 0
            if before == ON or odd == ON:
                odd = ON
            elif before == UNSURE or odd == UNSURE:
                odd = UNSURE
            else:
                odd ^= before
        state[i] = odd
    return undecided


@njit(cache=True, nogil=True)
def _decided(
    xy: FloatArray, first: int, edges: int, odd: int, west: float, x: float, y: float
) -> int:
    """Return the state of an item with any number of edges."""
    a = np.uint64(first) * np.uint64(2)
    stop = a + np.uint64(2 * edges)
    parity = odd != 0
    unclear = False
    while a < stop:
        b = a + np.uint64(2)
        share, doubt = _share(xy[a], xy[a + ONE], xy[b], xy[b + ONE], west, x, y)
        parity ^= share
        unclear |= doubt
        a = b
    if unclear:
        return _decided_exactly(xy, first, edges, odd, west, x, y)
    return 1 if parity else 0


@njit(cache=True, nogil=True)
def _decided_exactly(
    xy: FloatArray, first: int, edges: int, odd: int, west: float, x: float, y: float
) -> int:
    """Return the state of an item by exact signs."""
    ax = xy[2 * first]
    ay = xy[2 * first + 1]
    for v in range(first + 1, first + edges + 1):
        bx = xy[2 * v]
        by = xy[2 * v + 1]
        spans = (ay > y) != (by > y)
        near = min(ax, bx) <= x <= max(ax, bx) and min(ay, by) <= y <= max(ay, by)
        if near or (spans and (ax > west or bx > west)):
            turn = orientation(ax, ay, bx, by, x, y)
            if turn == UNKNOWN:
                return UNSURE
            if near and turn == 0:
                return ON
            if spans:
                if ax > west and bx > west:
                    odd ^= 1 if (turn < 0) == (by > ay) else 0
                elif ax > west or bx > west:
                    odd ^= 1 if (turn > 0) == (bx > ax) else 0
        if not spans and (ax > west) != (bx > west) and ay <= y:
            odd ^= 1
        ax = bx
        ay = by
    return odd
