"""The hot path: arrays of pings in, pairs of ping and zone out.

`BLOCK` pings go through six stages together, each a plain loop over all of them, so that the many
waits for memory overlap instead of adding up:

1. `_cells`: the finest cell of each ping, and whether its coordinates are possible at all; `_kept`
   drops all pings where the table knows of no zone
2. `_records`: down the trie, level by level, to the record of its cell
3. `_touched`: read the head of every record
4. `_gathered`: list the items to be decided
5. `_edges_touched`, then `_decided`: the parity of each item's edges, in float64 where the signs
   are certain, else by `_decided_exactly`
6. `_written`: the zones of each ping in order

Answers are exact. The one exception are circles within a hair of the ping (`discs`) and edges
whose sign no float64 can hold (`predicates.UNKNOWN`): they are written with `UNDECIDED` added
for the caller to decide.

Costs: 7 ns a ping where there are no zones, some 30 to 50 more for each item, of which a ping in a
dense city has one to five; at 100,000 zones most of it is waiting for memory.
"""

from __future__ import annotations

import numpy as np

from geotarget.engine.compiled import njit
from geotarget.engine.discs import UNSURE, inside_disc
from geotarget.engine.grid import BLOCK, FINEST, ORIGIN, STEPS, LinkArray
from geotarget.engine.lists import sort_stretch
from geotarget.engine.predicates import DOUBT, UNKNOWN, orientation
from geotarget.model import FloatArray, IntArray

ON = 4
"""State of an item whose outline the ping is on; 1 is inside, 0 outside, `UNSURE` undecided."""

UNDECIDED = 1 << 40
"""Added to the position of a zone when the caller has to decide the pair."""

IN_DOUBT = 2
ONE = np.uint64(1)

_NOTHING = 2147483647


@njit(cache=True, nogil=True)
def match(
    lng: FloatArray,
    lat: FloatArray,
    begin: int,
    end: int,
    frame: IntArray,
    table: LinkArray,
    nodes: LinkArray,
    records: LinkArray,
    xy: FloatArray,
    discs: FloatArray,
    place: LinkArray,
    out: IntArray,
) -> tuple[int, int, bool, bool]:
    """Find the zones that cover pings `begin` to `end`.

    Parameters
    ----------
    lng, lat
        Degrees.
    frame, table, nodes, records, discs
        Of `covering.Covering`.
    xy
        Vertices, flat.
    place
        What to write for each zone: its position, or -1 to leave it out. Ascending but for that.
    out
        Receives pings and places, shape (2, room).

    Returns
    -------
    next ping
        `end`, or an earlier one when there is no room for its zones, or when its block holds an
        impossible coordinate.
    pairs
        How many were written.
    possible
        Whether all coordinates are finite and in range; nothing is written of a block that is not.
    care
        Whether the caller has to look again: a ping is at longitude +-180, or a pair is undecided.
    """
    column = np.empty(BLOCK, np.int64)
    line = np.empty(BLOCK, np.int64)
    who = np.empty(BLOCK, np.int32)
    link = np.empty(BLOCK, np.int32)
    px = np.empty(BLOCK, np.float64)
    py = np.empty(BLOCK, np.float64)
    west = np.empty(BLOCK, np.float64)
    room = 16 * BLOCK
    ping = np.empty(room, np.int32)
    item = np.empty(room, np.int32)
    first = np.empty(room, np.int32)
    state = np.empty(room, np.int32)
    total = 0
    care = False
    warm = 0.0
    for start in range(begin, end, BLOCK):
        n = min(BLOCK, end - start)
        possible, seam = _cells(lng, lat, start, n, column, line)
        if not possible:
            return start, total, False, care
        care |= seam
        n = _kept(lng, lat, start, n, frame, table, column, line, who, link, px, py)
        _records(column, line, n, frame, nodes, link)
        items, touched = _touched(records, link, n)
        if items > room:
            room = 2 * items
            ping = np.empty(room, np.int32)
            item = np.empty(room, np.int32)
            first = np.empty(room, np.int32)
            state = np.empty(room, np.int32)
        _gathered(records, link, n, column, ping, item, first, west)
        warm += touched + _edges_touched(xy, item, first, items)
        care |= _decided(xy, discs, px, py, west, ping, item, first, items, state)
        done, total = _written(records, link, n, start, who, item, state, place, out, total)
        if done < n:
            return start + who[done], total, True, care
    if warm == 0.1:  # never: it keeps the early reads from being optimised away
        care = True
    return end, total, True, care


@njit(cache=True, nogil=True)
def _cells(
    lng: FloatArray, lat: FloatArray, start: int, n: int, column: IntArray, line: IntArray
) -> tuple[bool, bool]:
    """Find the finest cells; return whether coordinates are possible, and any is at +-180."""
    possible = True
    seam = False
    for t in range(n):
        x = lng[start + t]
        y = lat[start + t]
        possible &= (abs(x) <= 180.0) & (abs(y) <= 90.0)
        seam |= abs(x) == 180.0
    if possible:
        for t in range(n):
            column[t] = np.int64(np.floor(lng[start + t] * STEPS)) + ORIGIN
            line[t] = np.int64(np.floor(lat[start + t] * STEPS)) + ORIGIN
    return possible, seam


@njit(cache=True, nogil=True)
def _kept(
    lng: FloatArray,
    lat: FloatArray,
    start: int,
    n: int,
    frame: IntArray,
    table: LinkArray,
    column: IntArray,
    line: IntArray,
    who: LinkArray,
    link: LinkArray,
    px: FloatArray,
    py: FloatArray,
) -> int:
    """Look pings up in the table and keep, in front, those that may be in a zone; return how many.

    `who` receives their numbers in the block, `px` and `py` their coordinates.
    """
    shift = FINEST - frame[0]
    left = frame[1]
    low = frame[2]
    width = frame[3]
    height = frame[4]
    kept = 0
    for t in range(n):
        cx = column[t]
        cy = line[t]
        x = (cx >> shift) - left
        y = (cy >> shift) - low
        known = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        found = table[y * width + x if known else 0] if known else 0
        column[kept] = cx
        line[kept] = cy
        who[kept] = t
        link[kept] = found
        px[kept] = lng[start + t]
        py[kept] = lat[start + t]
        kept += found != 0
    return kept


@njit(cache=True, nogil=True)
def _records(
    column: IntArray, line: IntArray, n: int, frame: IntArray, nodes: LinkArray, link: LinkArray
) -> None:
    """Go down from the table's links to the record of each ping's cell; 0 where there is none."""
    for down in range(FINEST - frame[0] - 2, -1, -2):
        alive = 0
        for t in range(n):
            here = link[t]
            slot = max(here, 0) * 16 + (((line[t] >> down) & 3) << 2) + ((column[t] >> down) & 3)
            link[t] = nodes[slot] if here > 0 else here
            alive |= here > 0
        if not alive:
            break
    for t in range(n):
        link[t] = -link[t]


@njit(cache=True, nogil=True)
def _touched(records: LinkArray, link: LinkArray, n: int) -> tuple[int, int]:
    """Count the items of a block; read ahead where its records are."""
    items = 0
    warm = 0
    for t in range(n):
        at = np.uint64(link[t])
        items += records[at + np.uint64(2)]
        warm += records[at + np.uint64(16)]
        warm += records[at + np.uint64(32)]
    for t in range(n):
        at = records[link[t]]
        while at:
            items += records[at + 2]
            at = records[at]
    return items, warm


@njit(cache=True, nogil=True)
def _gathered(
    records: LinkArray,
    link: LinkArray,
    n: int,
    column: IntArray,
    ping: LinkArray,
    item: LinkArray,
    first: LinkArray,
    west: FloatArray,
) -> None:
    """List the items of a block, and the west side of each ping's cell."""
    k = 0
    for t in range(n):
        at = link[t]
        shift = FINEST - (records[at + 1] & 63)
        west[t] = ((column[t] >> shift << shift) - ORIGIN) / STEPS
        while at:
            word = at + 3 + (records[at + 1] >> 6)
            for _ in range(records[at + 2]):
                ping[k] = t
                item[k] = records[word]
                first[k] = records[word + 1]
                word += 2
                k += 1
            at = records[at]


@njit(cache=True, nogil=True)
def _edges_touched(xy: FloatArray, item: LinkArray, first: LinkArray, items: int) -> float:
    """Read the first and the last vertex of every item ahead."""
    warm = 0.0
    for i in range(items):
        if item[i] & 62:
            warm += xy[np.uint64(first[i]) * np.uint64(2)]
    for i in range(items):
        if item[i] & 62:
            warm += xy[np.uint64(first[i] + (item[i] >> 1 & 31)) * np.uint64(2)]
    return warm


@njit(cache=True, nogil=True)
def _share(ax: float, ay: float, bx: float, by: float, west: float, x: float, y: float) -> int:
    """Return what `grid.crossing` does, without branches, plus `IN_DOUBT` where a sign is."""
    u = (ax - x) * (by - y)
    w = (ay - y) * (bx - x)
    turn = u - w
    doubt = IN_DOUBT if abs(turn) <= DOUBT * (abs(u) + abs(w)) else 0
    a_above = ay > y
    b_above = by > y
    a_east = ax > west
    b_east = bx > west
    spans = a_above != b_above
    right = a_east & b_east & spans & ((turn < 0.0) == b_above)
    over = ((turn > 0.0) == b_east) if spans else (not a_above)
    return doubt | (1 if right | ((a_east != b_east) & over) else 0)


@njit(cache=True, nogil=True)
def _decided(
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
    """Decide every item; return whether any is undecided. A zone's last item speaks for all."""
    undecided = False
    for i in range(items):
        t = ping[i]
        x = px[t]
        y = py[t]
        word = item[i]
        odd = word & 1
        edges = word >> 1 & 31
        if edges == 0:
            odd = inside_disc(discs, first[i], x, y)
            undecided |= odd == UNSURE
        else:
            side = west[t]
            a = np.uint64(first[i]) * np.uint64(2)
            b = a + np.uint64(2)
            c = b + np.uint64(2 if edges > 1 else 0)
            # two edges at once: a loop over one, two or three would be guessed wrong all the time
            shares = _share(xy[a], xy[a + ONE], xy[b], xy[b + ONE], side, x, y)
            other = _share(xy[b], xy[b + ONE], xy[c], xy[c + ONE], side, x, y)
            other = other if edges > 1 else 0
            odd ^= (shares ^ other) & 1
            shares |= other
            if edges > 2:
                stop = a + np.uint64(2 * edges)
                while c < stop:
                    b = c
                    c += np.uint64(2)
                    other = _share(xy[b], xy[b + ONE], xy[c], xy[c + ONE], side, x, y)
                    odd ^= other & 1
                    shares |= other
            if shares & IN_DOUBT:
                odd = _decided_exactly(xy, first[i], edges, word & 1, side, x, y)
                undecided |= odd == UNSURE
        if i > 0 and item[i - 1] >> 6 == word >> 6 and ping[i - 1] == t:
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


@njit(cache=True, nogil=True)
def _written(
    records: LinkArray,
    link: LinkArray,
    n: int,
    start: int,
    who: LinkArray,
    item: LinkArray,
    state: LinkArray,
    place: LinkArray,
    out: IntArray,
    total: int,
) -> tuple[int, int]:
    """Write the pairs of a block; return how many pings had room, and the new total."""
    room = out.shape[1]
    k = 0
    for t in range(n):
        at = link[t]
        if at == 0:
            continue
        begin = total
        number = start + who[t]
        lists = 0
        while at:
            fulls = records[at + 1] >> 6
            items = records[at + 2]
            if total + fulls + items + 1 > room:
                return t, begin
            lists += 1
            i = at + 3
            i_end = i + fulls
            k_end = k + items
            # two ascending lists become one
            full = records[i] if i < i_end else _NOTHING
            zone = item[k] >> 6 if k < k_end else _NOTHING
            for _ in range(fulls + items):
                take = full < zone
                found = 1 if take else state[k]
                position = place[min(full, zone)]
                out[0, total] = number
                out[1, total] = position + UNDECIDED if found == UNSURE else position
                total += (found != 0) & (position >= 0)
                if take:
                    i += 1
                    full = records[i] if i < i_end else _NOTHING
                else:
                    k += 1
                    zone = item[k] >> 6 if k < k_end else _NOTHING
            at = records[at]
        if lists > 1:
            sort_stretch(out[1], begin, total)
    return n, total
