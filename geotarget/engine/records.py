"""Records: what a ping in a cell of the trie must know, as words of one flat array.

====  ============================================================
word  meaning
====  ============================================================
0     record of an ancestor to be read as well, or 0
1     level of the cell, plus 64 times the number of entries
...   entries, ascending: zone * 64 + edges * 2 + parity
...   for each entry but those that are `COVERS` its first vertex
====  ============================================================

An entry without edges and with parity 1, `COVERS`, is a zone that covers the cell; one without
edges and with parity 0 a circle, its row instead of a vertex. The others are *items*, runs of
vertices; a zone with several runs has several, in a row.

Ascending, so that a match writes its pairs without sorting or merging them.
"""

from __future__ import annotations

from geotarget.engine.compiled import njit
from geotarget.engine.grid import LinkArray
from geotarget.model import IntArray

COVERS = 1
"""Last six bits of an entry whose zone covers the cell."""

LONGEST_RUN = 31
"""Edges that one item can name."""

_NOTHING = 2147483647


@njit(cache=True, nogil=True)
def in_order(
    target: LinkArray,
    at: int,
    arena: LinkArray,
    waiting_at: int,
    waiting: int,
    covering: LinkArray,
    covered: int,
) -> None:
    """Write the zones that wait in the arena and those that cover a cell, ascending."""
    i = 0
    k = 0
    for place in range(at, at + waiting + covered):
        if k == covered or (i < waiting and arena[waiting_at + i] < covering[k]):
            target[place] = arena[waiting_at + i]
            i += 1
        else:
            target[place] = covering[k]
            k += 1


@njit(cache=True, nogil=True)
def _items(arena: LinkArray, at: int, end: int) -> int:
    """Return how many items a list makes."""
    items = 0
    while at < end:
        runs = arena[at + 1]
        at += 2
        items += runs == 0
        for _ in range(runs):
            items += (arena[at + 1] + LONGEST_RUN - 1) // LONGEST_RUN
            at += 2
    return items


@njit(cache=True, nogil=True)
def write_record(
    records: LinkArray,
    size: int,
    up: int,
    level: int,
    arena: LinkArray,
    waiting_at: int,
    waiting: int,
    covering: LinkArray,
    covered: int,
    at: int,
    end: int,
    row: IntArray,
) -> int:
    """Write a record of the zones that wait, those that cover, and a list; return its end."""
    entries = waiting + covered + _items(arena, at, end)
    records[size] = up
    records[size + 1] = entries << 6 | level
    place = size + 2
    vertex = place + entries
    i = 0
    k = 0
    while i < waiting or k < covered or at < end:
        zone = arena[waiting_at + i] if i < waiting else _NOTHING
        other = covering[k] if k < covered else _NOTHING
        outlined = arena[at] >> 1 if at < end else _NOTHING
        if outlined > min(zone, other):
            records[place] = min(zone, other) << 6 | COVERS
            place += 1
            i += zone < other
            k += other < zone
            continue
        odd = arena[at] & 1
        runs = arena[at + 1]
        at += 2
        if runs == 0:
            records[place] = outlined << 6
            records[vertex] = row[outlined]
            place += 1
            vertex += 1
        for _ in range(runs):
            first = arena[at]
            left = arena[at + 1]
            at += 2
            while left > 0:
                count = min(left, LONGEST_RUN)
                records[place] = outlined << 6 | count << 1 | odd
                records[vertex] = first
                odd = 0
                place += 1
                vertex += 1
                first += count
                left -= count
    return vertex
