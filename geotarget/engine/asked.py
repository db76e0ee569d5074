"""How many pings lie where: what a trie that is asked only once is built for.

An index that is kept is made for pings from anywhere. Where all pings are known beforehand, zones
and cells without any need not be looked at, and a cell with a few need not be split: that costs
more than the comparisons it saves. Counts belong to cells of the table (`covering`); a smaller cell
is taken to have its share of them.

Costs: 1 to 2 ns a ping, 0.2 ms for the table; to leave out pings far west and east of all zones
(`Columns`) 2 ns more, but only where they are most.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geotarget.engine.compiled import njit
from geotarget.engine.ellipsoid import fixed
from geotarget.engine.grid import BLOCK, FINEST, ORIGIN, STEPS, TABLE_MOST, root, table_of
from geotarget.model import FloatArray, IntArray

ANYWHERE: IntArray = fixed(np.zeros((1, 1), np.int64))
"""Instead of counts: it is not known what will be asked."""

_COLUMNS = 4096
_SAMPLE = 1000

_ALL_OVER = 0.9
"""Share of the zones' width and height that pings must take for the table to be over all zones."""


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """Pings that will be looked up in zones, and how many of them lie where.

    Parameters
    ----------
    lng, lat
        Degrees, shape (n,).
    start, frame
        The cell that holds all zones, and the table over zones and pings (`grid`).
    counts
        For each corner of the table's cells, row by row, how many pings are south and west of it,
        shape (rows + 1, columns + 1).

    Examples
    --------
    >>> squares = np.array([[0.0, 0, 1, 1], [5, 5, 6, 6]])
    >>> asked = Asked.of(squares, lng=np.array([0.5, 7.0]), lat=np.array([0.5, 2.0]))
    >>> asked.near(squares).tolist()
    [0]
    """

    lng: FloatArray
    lat: FloatArray
    start: IntArray
    frame: IntArray
    counts: IntArray

    @classmethod
    def of(cls, box: FloatArray, *, lng: FloatArray, lat: FloatArray) -> Asked:
        """Count pings.

        Parameters
        ----------
        box
            West, south, east and north of each zone, degrees, shape (zones, 4).
        lng, lat
            Degrees within +-180 and +-90, contiguous, shape (n,).
        """
        zones = np.concatenate([box[:, :2].min(axis=0), box[:, 2:].max(axis=0)])
        both = _common(zones, lng, lat)
        start = root(zones)
        # where pings and zones have nothing in common any table will do
        frame = table_of(both if (both[:2] <= both[2:]).all() else zones, start, TABLE_MOST)
        counts = np.zeros((int(frame[4]) + 1, int(frame[3]) + 1), np.int64)
        _count(fixed(lng), fixed(lat), frame, counts)
        return cls(lng, lat, start, frame, fixed(counts.cumsum(axis=0).cumsum(axis=1)))

    def near(self, box: FloatArray) -> IntArray:
        """Return the rows of boxes with a ping in their cells: those without have no ping."""
        level, left, low, columns, rows = self.frame.tolist()
        cells = np.floor(box * STEPS).astype(np.int64) + ORIGIN >> (FINEST - level)
        cells -= [left, low, left - 1, low - 1]
        west, south, east, north = cells.clip(0, [columns, rows, columns, rows]).T
        counts = self.counts
        pings = counts[north, east] - counts[north, west]
        pings -= counts[south, east] - counts[south, west]
        return np.flatnonzero(pings)


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Strips from south to north, some of which zones touch.

    Parameters
    ----------
    west, scale
        Where the first one begins, and how many there are to a degree.
    touched
        Whether a zone comes into each.

    Examples
    --------
    >>> columns = Columns.of(np.array([[0.0, 0, 1, 1], [99, 0, 100, 1]]))
    >>> columns.rows_of_few(np.array([0.5, 7, 8, 9, 101, -1, np.nan])).tolist()
    [0]
    """

    west: float
    scale: float
    touched: NDArray[np.bool_]

    @classmethod
    def of(cls, box: FloatArray) -> Columns:
        """Mark the columns that boxes of zones touch."""
        west, east = float(box[:, 0].min()), float(box[:, 2].max())
        scale = _COLUMNS / max(east - west, 1e-9)
        begin, end = ((box[:, [0, 2]] - west) * scale).astype(np.int64).T
        size = int(end.max()) + 2
        depth = np.bincount(begin, minlength=size) - np.bincount(end + 1, minlength=size)
        return cls(west, scale, depth.cumsum()[:-1] > 0)

    def rows_of_few(self, lng: FloatArray) -> IntArray | None:
        """Return the rows of pings in columns with zones; None if they are more than half."""
        sample = lng[:: len(lng) // _SAMPLE + 1]
        if 2 * len(self._rows(sample)) > len(sample):
            return None
        return self._rows(lng)

    def _rows(self, lng: FloatArray) -> IntArray:
        rows = np.empty(len(lng), np.int64)
        return rows[: _in_columns(fixed(lng), self.west, self.scale, self.touched, rows)]


def _common(zones: FloatArray, lng: FloatArray, lat: FloatArray) -> FloatArray:
    """Return what the box around zones has in common with that around pings.

    If some of the pings are all over the zones, it is as good as that of the zones; to look at all
    of them takes 1.5 nanoseconds a ping.
    """
    every = len(lng) // _SAMPLE + 1
    some = _shared(zones, lng[::every], lat[::every])
    if (some[2:] - some[:2] > _ALL_OVER * (zones[2:] - zones[:2])).all():
        return zones
    return _shared(zones, lng, lat)


def _shared(zones: FloatArray, lng: FloatArray, lat: FloatArray) -> FloatArray:
    low = [lng.min(initial=np.inf), lat.min(initial=np.inf)]
    high = [lng.max(initial=-np.inf), lat.max(initial=-np.inf)]
    return np.concatenate([np.maximum(zones[:2], low), np.minimum(zones[2:], high)])


def corners(box: FloatArray) -> tuple[FloatArray, FloatArray, bool]:
    """Return west and south of boxes, and whether all are single points within +-180 and +-90.

    Examples
    --------
    >>> corners(np.array([[1.0, 2, 1, 2], [3, 4, 3, 5]]))
    (array([1., 3.]), array([2., 4.]), False)
    """
    x, y = np.empty((2, len(box)))
    return x, y, bool(_corners(fixed(box), x, y))


@njit(cache=True, nogil=True)
def _corners(box: FloatArray, x: FloatArray, y: FloatArray) -> bool:
    fits = True
    for i in range(len(box)):
        x[i] = box[i, 0]
        y[i] = box[i, 1]
        fits &= (box[i, 0] == box[i, 2]) & (box[i, 1] == box[i, 3])
        fits &= (abs(box[i, 0]) <= 180.0) & (abs(box[i, 1]) <= 90.0)
    return fits


@njit(cache=True, nogil=True)
def _in_columns(
    lng: FloatArray, west: float, scale: float, touched: NDArray[np.bool_], rows: IntArray
) -> int:
    found = 0
    for i in range(len(lng)):
        at = (lng[i] - west) * scale
        if 0.0 <= at < len(touched) and touched[int(at)]:
            rows[found] = i
            found += 1
    return found


@njit(cache=True, nogil=True)
def _count(lng: FloatArray, lat: FloatArray, frame: IntArray, counts: IntArray) -> None:
    shift = FINEST - frame[0]
    left = frame[1]
    low = frame[2]
    width = frame[3]
    height = frame[4]
    column = np.empty(BLOCK, np.int64)
    line = np.empty(BLOCK, np.int64)
    for start in range(0, len(lng), BLOCK):
        n = min(BLOCK, len(lng) - start)
        east = lng[start : start + n]
        north = lat[start : start + n]
        for t in range(n):  # loops of their own are vector code
            column[t] = ((np.int64(np.floor(east[t] * STEPS)) + ORIGIN) >> shift) - left
        for t in range(n):
            line[t] = ((np.int64(np.floor(north[t] * STEPS)) + ORIGIN) >> shift) - low
        for t in range(n):
            x = column[t]
            y = line[t]
            if (x >= 0) & (x < width) & (y >= 0) & (y < height):
                counts[y + 1, x + 1] += 1


@njit(cache=True, nogil=True)
def expected(counts: IntArray, frame: IntArray, level: int, x: int, y: int) -> float:
    """Return how many pings are expected in a cell; 0 only if there is none."""
    if len(counts) == 1:
        return np.inf
    below = max(level - frame[0], 0)
    above = max(frame[0] - level, 0)
    west = min(max((x >> below << above) - frame[1], 0), frame[3])
    east = min(max(((x >> below) + 1 << above) - frame[1], 0), frame[3])
    south = min(max((y >> below << above) - frame[2], 0), frame[4])
    north = min(max(((y >> below) + 1 << above) - frame[2], 0), frame[4])
    pings = counts[north, east] - counts[north, west] - counts[south, east] + counts[south, west]
    return float(pings / 4.0**below)
