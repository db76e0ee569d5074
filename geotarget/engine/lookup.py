"""The hot path: arrays of pings in, pairs of ping and zone out.

`BLOCK` pings go through these stages together, each a plain loop over all of them. A stage fetches
ahead what the next one reads (`prefetch`), so that the many waits for memory overlap instead of
adding up:

1. `_cells`: the finest cell of each ping, and whether its coordinates are possible at all; `_kept`
   drops all pings where the table knows of no zone
2. `_records`: down the trie, level by level, to the record of its cell
3. `_gathered`: list the entries of the records, and those to be decided, the items
4. `deciding.laid_out`, then `signed`: the parity of each item's edges, eight items at a time in the
   registers of the processor, in float64 where signs are certain
5. `deciding.settled`: the few items that are left, exactly if need be
6. `_written`: the zones of each ping in order

Indices are unsigned where it counts: numba looks whether a signed one is negative, each time.

Answers are exact. The one exception are circles within a hair of the ping (`discs`) and edges
whose sign no float64 can hold (`predicates.UNKNOWN`): they are written with `UNDECIDED` added
for the caller to decide.

Costs: 7 ns a ping where there are no zones, some 20 to 30 more for each item, of which a ping in a
dense city has one to five.
"""

from __future__ import annotations

import numpy as np

from geotarget.engine.compiled import njit
from geotarget.engine.deciding import CHUNK, COLUMN, COLUMNS, laid_out, settled, signed
from geotarget.engine.discs import UNSURE
from geotarget.engine.grid import BLOCK, FINEST, ORIGIN, STEPS, LinkArray
from geotarget.engine.lists import sort_stretch
from geotarget.engine.prefetch import prefetch
from geotarget.engine.records import COVERS
from geotarget.model import FloatArray, IntArray

UNDECIDED = 1 << 40
"""Added to the position of a zone when the caller has to decide the pair."""

NONE = np.uint64(0)
ONE = np.uint64(1)
TWO = np.uint64(2)
THREE = np.uint64(3)


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
    desk = np.empty(COLUMNS * COLUMN, np.float64)
    room = 16 * BLOCK
    ping = np.empty(room, np.int32)
    item = np.empty(room, np.int32)
    first = np.empty(room, np.int32)
    state = np.empty(room, np.int32)
    entry = np.empty(room, np.int32)
    owner = np.empty(room, np.int32)
    total = 0
    care = False
    for start in range(begin, end, BLOCK):
        n = min(BLOCK, end - start)
        possible, seam = _cells(lng, lat, start, n, column, line)
        if not possible:
            return start, total, False, care
        care |= seam
        n = _kept(lng, lat, start, n, frame, table, column, line, who, link, px, py)
        _records(column, line, n, frame, nodes, records, link)
        entries = _counted(records, link, n)
        if total + entries >= out.shape[1]:
            return start, total, True, care
        if entries + 3 >= room:
            room = 2 * entries
            ping = np.empty(room, np.int32)
            item = np.empty(room, np.int32)
            first = np.empty(room, np.int32)
            state = np.empty(room, np.int32)
            entry = np.empty(room, np.int32)
            owner = np.empty(room, np.int32)
        items = _gathered(records, link, n, column, xy, who, west, entry, owner, ping, item, first)
        for some in range(1, items, CHUNK):
            few = min(CHUNK, items - some)
            laid_out(xy, px, py, west, ping, item, first, some, few, desk)
            signed(desk, ping, item, some, few, state)
        care |= settled(xy, discs, px, py, west, ping, item, first, items, state)
        total = _written(entry, owner, entries, start, state, place, out, total)
    return end, total, True, care


@njit(cache=True, nogil=True)
def _cells(
    lng: FloatArray, lat: FloatArray, start: int, n: int, column: IntArray, line: IntArray
) -> tuple[bool, bool]:
    """Find the finest cells; return whether coordinates are possible, and any is at +-180.

    In slices a loop's index is never negative, and sums instead of flags make all of it vector
    code: a quarter of the time.
    """
    x = lng[start : start + n]
    y = lat[start : start + n]
    impossible = 0
    seam = 0
    for t in range(n):
        # not a number is impossible as well
        impossible += int(not abs(x[t]) <= 180.0) | int(not abs(y[t]) <= 90.0)
        seam += int(abs(x[t]) == 180.0)
    if not impossible:
        for t in range(n):
            column[t] = np.int64(np.floor(x[t] * STEPS)) + ORIGIN
        for t in range(n):
            line[t] = np.int64(np.floor(y[t] * STEPS)) + ORIGIN
    return impossible == 0, seam > 0


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
    column: IntArray,
    line: IntArray,
    n: int,
    frame: IntArray,
    nodes: LinkArray,
    records: LinkArray,
    link: LinkArray,
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
        at = -link[t]
        link[t] = at
        prefetch(records, at)
        prefetch(records, at + 16)
        prefetch(records, at + 32)


@njit(cache=True, nogil=True)
def _counted(records: LinkArray, link: LinkArray, n: int) -> int:
    """Return the number of entries in the records of a block."""
    entries = 0
    for t in range(n):
        at = link[t]
        entries += records[np.uint64(at + 1)] >> 6
        at = records[np.uint64(at)]
        while at:
            entries += records[at + 1] >> 6
            at = records[at]
    return entries


@njit(cache=True, nogil=True)
def _gathered(
    records: LinkArray,
    link: LinkArray,
    n: int,
    column: IntArray,
    xy: FloatArray,
    who: LinkArray,
    west: FloatArray,
    entry: LinkArray,
    owner: LinkArray,
    ping: LinkArray,
    item: LinkArray,
    first: LinkArray,
) -> int:
    """List entries with their pings, items from place 1 on, and the west side of pings' cells.

    Entries are ordered by ping, then by zone. Everything is written as an item and kept if it is
    one, and a record is read as if it had three entries, which nine in ten have at most: branches
    would be guessed wrong all the time. Vertices are fetched on the way. Returns where items end.
    """
    ping[0] = -1
    k = ONE
    e = NONE
    for t in range(n):
        at = link[t]
        i = np.uint64(at + 2)
        head = records[i - ONE]
        shift = FINEST - (head & 63)
        west[t] = ((column[t] >> shift << shift) - ORIGIN) / STEPS
        entries = np.uint64(head >> 6)
        vertex = i + entries
        for j in range(np.uint64(3)):
            word = records[i + (j if j < entries else NONE)]
            v = int(np.int64(records[vertex]))
            entry[e + j] = word
            owner[e + j] = who[t]
            ping[k] = t
            item[k] = word
            first[k] = v
            prefetch(xy, 2 * v)
            prefetch(xy, 2 * (v + (word >> 1 & 31)))
            is_item = np.uint64(((word & 63) != COVERS) & (j < entries))
            k += is_item
            vertex += is_item
        up = records[i - TWO]
        if (entries <= THREE) & (up == 0):
            e += entries
            continue
        e, k = _gathered_rest(
            records, int(at), t, who[t], vertex, xy, entry, owner, ping, item, first, e, k
        )
    return int(np.int64(k))


@njit(cache=True, nogil=True)
def _gathered_rest(
    records: LinkArray,
    at: int,
    t: int,
    whose: int,
    vertex: np.uint64,
    xy: FloatArray,
    entry: LinkArray,
    owner: LinkArray,
    ping: LinkArray,
    item: LinkArray,
    first: LinkArray,
    e: np.uint64,
    k: np.uint64,
) -> tuple[np.uint64, np.uint64]:
    """List what `_gathered` left of a ping: entries from the fourth on, and records above.

    Returns
    -------
    end of the entries, end of the items
    """
    begin = e
    i = np.uint64(at + 2)
    end = i + np.uint64(records[np.uint64(at + 1)] >> 6)
    lists = 0
    e += min(end - i, THREE)
    i += THREE
    while True:
        while i < end:
            word = records[i]
            v = int(np.int64(records[vertex]))
            entry[e] = word
            owner[e] = whose
            ping[k] = t
            item[k] = word
            first[k] = v
            prefetch(xy, 2 * v)
            prefetch(xy, 2 * (v + (word >> 1 & 31)))
            is_item = np.uint64((word & 63) != COVERS)
            k += is_item
            vertex += is_item
            e += ONE
            i += ONE
        at = records[np.uint64(at)]
        if at == 0:
            break
        i = np.uint64(at + 2)
        end = i + np.uint64(records[np.uint64(at + 1)] >> 6)
        vertex = end
        lists += 1
    if lists:
        sort_stretch(entry, int(np.int64(begin)), int(np.int64(e)))
    return e, k


@njit(cache=True, nogil=True)
def _written(
    entry: LinkArray,
    owner: LinkArray,
    entries: int,
    start: int,
    state: LinkArray,
    place: LinkArray,
    out: IntArray,
    total: int,
) -> int:
    """Write the pairs of a block; return the new total."""
    k = ONE
    at = np.uint64(total)
    for e in range(entries):
        word = entry[e]
        is_item = np.int32((word & 63) != COVERS)
        found = (state[k] & -is_item) | (1 - is_item)
        k += np.uint64(is_item)
        position = place[np.uint64(word >> 6)]
        out[0, at] = start + owner[e]
        out[1, at] = position + UNDECIDED if found == UNSURE else position
        at += np.uint64((found != 0) & (position >= 0))
    return int(np.int64(at))
