"""From zones to a trie of cells: which zones cover a cell, and which edges come into it.

One pass, depth first, over all zones at once. A cell starts with the list of its parent: zones, and
for each the runs of vertices whose edges come into the parent. Edges that miss the cell are
dropped; a zone without edges left covers the whole cell or none of it, and the parity at the cell's
south-west corner says which (`grid`). The cell is split in four as long as more than `CROWD` edges
are left that are shorter than `SHORT` of its side. Longer ones would come into the children just as
well, so an outline never costs more cells than it has edges, however many zones share it.

The result is two flat arrays. **nodes**: 16 links each, one for each cell two levels further down:
0 for nothing, positive for a node, negative for a record; above the nodes stands the *table*, a
grid over all zones that replaces the first levels. **records** say what a
ping in that cell must know (`records`).

Costs: 15 microseconds a zone of 30 vertices, half a microsecond a vertex.
"""

from __future__ import annotations

import numpy as np

from geotarget.engine.asked import expected
from geotarget.engine.compiled import njit
from geotarget.engine.discs import INSIDE, OUTSIDE, disc_and_cell
from geotarget.engine.grid import FINEST, WORLD, LinkArray, crossing
from geotarget.engine.lists import grown
from geotarget.engine.records import LONGEST_RUN, in_order, write_record
from geotarget.model import FloatArray, IntArray

CROWD = 3
"""Short edges that a cell may hold without being split."""

SHORT = 0.5
"""Edges below this share of a cell's side would be spread by splitting it."""

FEW = 16
"""A cell in which fewer pings are expected is not split, where it is known what will be asked."""

DENSE = 64
SPREAD = 64
"""A cell is split as well while it holds more than `DENSE` edges of one zone and more than one in
`SPREAD` of all that the zone has: long edges in parallel, which only many cells keep apart."""

HANDED_DOWN = 6
"""So many covering zones are copied into the records of descendants; more are linked to."""

CIRCLE_WIDE = 2.0
CIRCLE_NEAR = 0.25
"""A cell wider than the first share of a circle's radius is split for it, one wider than the
second if it holds anything else."""

METRES_A_DEGREE = 110_000.0
"""Fewer than any degree of latitude has."""


@njit(cache=True, nogil=True)
def _shorter(xy: FloatArray, first: int, count: int, limit: float, most: int) -> int:
    """Return how many edges of a run are shorter than the root of a limit; `most` are enough."""
    found = 0
    for v in range(np.uint64(first), np.uint64(first + count)):
        dx = xy[np.uint64(2) * v + np.uint64(2)] - xy[np.uint64(2) * v]
        dy = xy[np.uint64(2) * v + np.uint64(3)] - xy[np.uint64(2) * v + np.uint64(1)]
        size = dx * dx + dy * dy
        found += (size < limit) & (size > 0.0)
        if found == most:
            break
    return found


@njit(cache=True, nogil=True)
def _narrowed(
    arena: LinkArray,
    begin: int,
    end: int,
    top: int,
    xy: FloatArray,
    box: FloatArray,
    discs: FloatArray,
    row: IntArray,
    vertices: IntArray,
    cell: FloatArray,
    parent_west: float,
    covering: LinkArray,
) -> tuple[int, int, int, int, int]:
    """Write at `top` what is left in a cell of its parent's list, and who covers it to `covering`.

    A list is, zone after zone: zone * 2 + parity, number of runs, then first vertex and number of
    edges of each run. Circles have none.

    Returns
    -------
    end of the list, entries, edges, short edges, covering zones
    """
    west = cell[0]
    south = cell[1]
    east = cell[2]
    north = cell[3]
    side = east - west
    half = 0.5 * side
    mid_x = west + half
    mid_y = south + half
    limit = (SHORT * side) ** 2
    entries = 0
    edges = 0
    short = 0
    covered = 0
    at = begin
    while at < end:
        zone = arena[at] >> 1
        odd = arena[at] & 1
        runs = arena[at + 1]
        here = at + 2
        at = here + 2 * runs
        if runs == 0:
            disc = row[zone]
            low = max(south, -90.0)
            high = min(north, 90.0)
            left = max(west, -180.0)
            right = min(east, 180.0)
            if low > high or left > right:
                continue
            place = disc_and_cell(discs, disc, left, low, right, high)
            if place == INSIDE:
                covering[covered] = zone
                covered += 1
            elif place != OUTSIDE:
                arena[top] = zone << 1
                arena[top + 1] = 0
                top += 2
                entries += 1
                reach = discs[disc, 8] / METRES_A_DEGREE
                if side > CIRCLE_WIDE * reach:
                    short += CROWD + 1
                elif side > CIRCLE_NEAR * reach:
                    short += CROWD // 2 + 1
            continue
        if (
            box[zone, 0] > east
            or box[zone, 2] < west
            or box[zone, 1] > north
            or box[zone, 3] < south
        ):
            continue
        head = top
        top += 2
        kept = 0
        passed = 0
        if (
            (box[zone, 0] > west)
            & (box[zone, 2] <= east)
            & (box[zone, 1] > south)
            & (box[zone, 3] <= north)
        ):
            # the whole zone is here, and the corner is outside: its list is that of the parent
            odd = 0
            kept = runs
            for r in range(here, at):
                arena[top] = arena[r]
                top += 1
            for r in range(here, at, 2):
                passed += arena[r + 1]
                short += _shorter(xy, arena[r], arena[r + 1], limit, CROWD + 1)
            runs = 0
        for r in range(runs):
            first = arena[here + 2 * r]
            count = arena[here + 2 * r + 1]
            after = -1  # the edge that follows the last one that came in
            ax = xy[2 * first]
            ay = xy[2 * first + 1]
            for v in range(first, first + count):
                bx = xy[np.uint64(2 * v + 2)]
                by = xy[np.uint64(2 * v + 3)]
                # one branch, not six: each would be guessed wrong
                comes_in = (
                    ((ax != bx) | (ay != by))
                    & ((ax <= east) | (bx <= east))
                    & ((ax >= west) | (bx >= west))
                    & ((ay <= north) | (by <= north))
                    & ((ay >= south) | (by >= south))
                )
                if comes_in:
                    dx = bx - ax
                    dy = by - ay
                    u = (ax - mid_x) * dy
                    w = (ay - mid_y) * dx
                    # is the whole cell on one side of the edge's line? rounded towards no
                    slack = 1e-15 * (abs(u) + abs(w))
                    comes_in = abs(u - w) <= half * (abs(dx) + abs(dy)) * 1.000001 + slack
                # from the parent's parity to the cell's: take out what the edge added there at the
                # corner, add what it adds here; the same for an edge that is east of both
                if not (comes_in and ax > west and bx > west):
                    odd ^= crossing(ax, ay, bx, by, parent_west, west, south)
                if comes_in:
                    if not (ax > west and bx > west):
                        odd ^= crossing(ax, ay, bx, by, west, west, south)
                    if dx * dx + dy * dy < limit:
                        short += 1
                    if v == after:
                        arena[top - 1] += 1
                        passed += 1
                    elif v == after + 1 and after > first:  # a gap of one is cheaper than a new run
                        arena[top - 1] += 2
                        passed += 2
                        odd ^= crossing(xy[2 * v - 2], xy[2 * v - 1], ax, ay, west, west, south)
                    else:
                        arena[top] = v
                        arena[top + 1] = 1
                        top += 2
                        kept += 1
                        passed += 1
                    after = v + 1
                ax = bx
                ay = by
        if kept:
            arena[head] = zone << 1 | odd
            arena[head + 1] = kept
            entries += 1
            edges += passed
            if passed > DENSE and passed * SPREAD > vertices[zone]:
                short += CROWD + 1
        else:
            top = head
            if odd:
                covering[covered] = zone
                covered += 1
    return top, entries, edges, short, covered


@njit(cache=True, nogil=True)
def _set_link(
    table: LinkArray,
    nodes: LinkArray,
    frame: IntArray,
    node: int,
    level: int,
    x: int,
    y: int,
    link: int,
) -> None:
    """Make a cell's link: in the table, or in one or four places of its node."""
    below = level - frame[0]
    if below <= 0:
        west = max(x << -below, frame[1]) - frame[1]
        east = min((x + 1) << -below, frame[1] + frame[3]) - frame[1]
        south = max(y << -below, frame[2]) - frame[2]
        north = min((y + 1) << -below, frame[2] + frame[4]) - frame[2]
        for j in range(south, north):
            for i in range(west, east):
                table[j * frame[3] + i] = link
    elif below & 1:
        corner = node * 16 + 8 * (y & 1) + 2 * (x & 1)
        nodes[corner] = link
        nodes[corner + 1] = link
        nodes[corner + 4] = link
        nodes[corner + 5] = link
    else:
        nodes[node * 16 + 4 * (y & 3) + (x & 3)] = link


@njit(cache=True, nogil=True)
def build(
    xy: FloatArray,
    ring: IntArray,
    zone_ring: IntArray,
    box: FloatArray,
    discs: FloatArray,
    row: IntArray,
    table: LinkArray,
    frame: IntArray,
    start: IntArray,
    asked: IntArray,
) -> tuple[LinkArray, LinkArray]:
    """Fill the table; return nodes and records.

    With `asked` (counts of `Asked`) cells without a ping are left out and few pings share a cell.

    The arena holds the lists of the cells on the way down: those of a cell's children lie after
    its own, so what is popped is written over.
    """
    zones = len(row)
    vertices = np.zeros(zones, np.int64)
    for z in range(zones):
        vertices[z] = ring[zone_ring[z + 1]] - ring[zone_ring[z]]
    deepest = frame[0] + (FINEST - frame[0]) // 2 * 2
    nodes = np.zeros(16 << 6, np.int32)
    node_count = 1
    records = np.zeros(1 << 10, np.int32)
    size = 4
    arena = np.zeros(2 * zones + 2 * len(ring) + 1024, np.int32)
    covering = np.empty(zones + 1, np.int32)
    cell = np.zeros(4)
    # begin, end, edges, level, x, y, node, up, number of zones that wait at `end` to be written
    stack = np.zeros((4 * FINEST, 9), np.int64)
    top = 0
    for z in range(zones):
        arena[top] = z << 1
        arena[top + 1] = zone_ring[z + 1] - zone_ring[z]
        top += 2
        for r in range(zone_ring[z], zone_ring[z + 1]):
            arena[top] = ring[r]
            arena[top + 1] = ring[r + 1] - ring[r] - 1
            top += 2
    stack[0, 1] = top
    stack[0, 2] = len(xy) // 2
    stack[0, 3] = start[0]
    stack[0, 4] = start[1]
    stack[0, 5] = start[2]
    depth = 1 if zones else 0
    while depth > 0:
        depth -= 1
        begin = stack[depth, 0]
        end = stack[depth, 1]
        edges_above = stack[depth, 2]
        level = stack[depth, 3] + 1
        node = stack[depth, 6]
        up = stack[depth, 7]
        waiting = stack[depth, 8]
        x0 = 2 * stack[depth, 4]
        y0 = 2 * stack[depth, 5]
        side = WORLD / 2.0**level
        parent_west = x0 * side - 0.5 * WORLD
        shared = 0
        top = end + waiting
        for child in range(4):
            x = x0 + (child & 1)
            y = y0 + (child >> 1)
            pings = expected(asked, frame, level, x, y)
            if pings == 0.0:
                continue
            cell[0] = x * side - 0.5 * WORLD
            cell[1] = y * side - 0.5 * WORLD
            cell[2] = cell[0] + side
            cell[3] = cell[1] + side
            arena = grown(arena, top + (end - begin) + 2 * edges_above + 8)
            after, entries, edges, short, covered = _narrowed(
                arena, begin, end, top, xy, box, discs, row, vertices, cell, parent_west, covering
            )
            gathered = waiting + covered
            if entries and short > CROWD and pings >= FEW and level < deepest:
                below = up
                if gathered > HANDED_DOWN:
                    records = grown(records, size + 4 + gathered)
                    below = size
                    size = write_record(
                        records, size, up, level, arena, end, waiting, covering, covered, 0, 0, row
                    )
                    gathered = 0
                arena = grown(arena, after + gathered + 8)
                if gathered:
                    in_order(arena, after, arena, end, waiting, covering, covered)
                inner = node
                if level >= frame[0] and (level - frame[0]) % 2 == 0:
                    nodes = grown(nodes, (node_count + 1) * 16)
                    for slot in range(node_count * 16, node_count * 16 + 16):
                        nodes[slot] = 0
                    inner = node_count
                    node_count += 1
                    _set_link(table, nodes, frame, node, level, x, y, inner)
                stack[depth, 0] = top
                stack[depth, 1] = after
                stack[depth, 2] = edges
                stack[depth, 3] = level
                stack[depth, 4] = x
                stack[depth, 5] = y
                stack[depth, 6] = inner
                stack[depth, 7] = below
                stack[depth, 8] = gathered
                depth += 1
                top = after + gathered
                continue
            link = up
            if entries or covered:
                records = grown(
                    records, size + 8 + gathered + (after - top) + 2 * (edges // LONGEST_RUN)
                )
                link = size
                size = write_record(
                    records,
                    size,
                    up,
                    level,
                    arena,
                    end,
                    waiting,
                    covering,
                    covered,
                    top,
                    after,
                    row,
                )
            elif waiting:
                if shared == 0:
                    records = grown(records, size + 4 + waiting)
                    shared = size
                    size = write_record(
                        records, size, up, level, arena, end, waiting, covering, 0, 0, 0, row
                    )
                link = shared
            if link:
                _set_link(table, nodes, frame, node, level, x, y, -link)
    return nodes[: node_count * 16], records[:size]
