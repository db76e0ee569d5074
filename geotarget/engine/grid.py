"""The grid under the index: squares in longitude and latitude, halved again and again.

A cell of level L has sides of 512 / 2**L degrees and corners at whole multiples of that, counted
from (-256, -256). So every border is a float64 without rounding, children tile their parent, and a
ping's cell is a multiplication by a power of two and a `floor`: exact, 4 ns, no trigonometry. The
finest level, 32, has sides of 2**-23 degrees or 13 mm.

H3 is not used here, though it is what people see (`cells`): children of a hexagon do not tile it,
edges that are straight in longitude and latitude are curves on its faces, and finding the cell of
a ping costs ten times as much. ARCHITECTURE.md has the figures of a trie on either.

**Parity.** Whether a zone covers a ping is the parity of the crossings of its outline with any way
from a place whose answer is known. Inside a cell we go from the cell's west side: north along it
from its south-west corner to the ping's latitude, then east to the ping. Only edges that come into
the cell can cross that way, and each edge's share is one comparison with the ping:

- both ends west of the west side, or on it: none;
- both ends east of it: crossed where the edge spans the ping's latitude and is left of the ping;
- one end on either side: crossed where the ping is above the edge. (That is half of the truth for
  the way's northward piece; the other half, whether the corner is above the edge, does not depend
  on the ping and is kept in the parity that a cell stores for the zone.)

Ends that lie level with the ping count as below it, ends on the west side as west: the way may be
thought of as shifted by an infinitely small step to the east and a much smaller one to the north.
An edge that does not come into the cell adds nothing or a constant, so a few more do no harm.
`crossing` is the share of one edge.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geotarget.engine.compiled import njit
from geotarget.engine.predicates import orientation
from geotarget.model import FloatArray, IntArray

LinkArray = NDArray[np.int32]

STEPS = 8388608.0
"""Finest cells to a degree, 2**23."""

ORIGIN = 2147483648
"""Number of the finest cell that starts at 0 degrees; those of the world are 0 to 2**32."""

FINEST = 32
"""The last level."""

WORLD = 512.0
"""Side of the one cell of level 0, degrees."""

BLOCK = 256
"""Pings that go through the stages of a query together: what fits the second cache."""


TABLE_LEAST = 4096
TABLE_MOST = 65536
_START_MOST = 20


def root(extent: FloatArray) -> IntArray:
    """Return level, column and row of the smallest cell that holds a box."""
    level = 0
    while level < _START_MOST and _span(extent, level + 1)[2:] == (1, 1):
        level += 1
    return np.array([level, *_span(extent, level)[:2]], np.int64)


def table_of(extent: FloatArray, start: IntArray, cells: int) -> IntArray:
    """Return the frame of a table over a box: level, first column and row, columns, rows.

    Parameters
    ----------
    extent
        West, south, east and north of the box, degrees.
    start
        The cell above it, see `root`.
    cells
        How many are wished for.
    """
    most = min(max(cells, TABLE_LEAST), TABLE_MOST)
    level = int(start[0]) + 1
    while level < FINEST - 2:
        _, _, columns, rows = _span(extent, level + 1)
        if columns * rows > most:
            break
        level += 1
    return np.array([level, *_span(extent, level)], np.int64)


def _span(extent: FloatArray, level: int) -> tuple[int, int, int, int]:
    """Return the first column and row of a level that a box touches, and how many of each."""
    steps = np.floor(extent * STEPS).astype(np.int64) + ORIGIN
    west, south, east, north = (steps >> (FINEST - level)).tolist()
    return west, south, east - west + 1, north - south + 1


@njit(cache=True, nogil=True)
def crossing(ax: float, ay: float, bx: float, by: float, west: float, x: float, y: float) -> int:
    """Return 1 if an edge is crossed on the way from a cell's west side to a point, else 0.

    The point itself is thought of as shifted like the way: on an edge it is right of it.

    Parameters
    ----------
    ax, ay, bx, by
        The edge.
    west
        Longitude of the west side of the cell.
    x, y
        The point, in the cell.
    """
    a_east = ax > west
    b_east = bx > west
    if not (a_east or b_east):
        return 0
    if (ay > y) == (by > y):
        return 1 if a_east != b_east and ay <= y else 0
    turn = orientation(ax, ay, bx, by, x, y)
    if turn == 0:
        turn = 1 if ay > by else -1
    if a_east and b_east:
        return 1 if (turn < 0) == (by > ay) else 0
    return 1 if (turn > 0) == b_east else 0
