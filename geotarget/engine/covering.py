"""The trie over a set of zones, its frame, and what it is built from.

`trie` says what the arrays hold and how they are filled, `lookup` and `sweep` read them. Here the
world above the trie is laid out: a *table*, a grid of cells of one level over everything, so that
a query starts at once where the zones are, be that a town or the Earth. Costs: 0.6 KB a zone of 30
vertices, at most 256 KB for the table.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from geotarget.engine.asked import ANYWHERE, Asked
from geotarget.engine.discs import discs_of
from geotarget.engine.ellipsoid import fixed
from geotarget.engine.grid import LinkArray, root, table_of
from geotarget.engine.shapes import Shapes
from geotarget.engine.trie import METRES_A_DEGREE, build
from geotarget.model import FloatArray, IntArray

PADDING = 1
"""Words after the last record: a query reads on where an entry has no first vertex."""


@dataclass(frozen=True, slots=True, eq=False)
class Covering:
    """The trie over a set of zones.

    Parameters
    ----------
    frame
        The table's level, first column, first row, columns, rows.
    table
        Links, row by row from the south, shape (rows * columns,).
    nodes
        Links, shape (16 * nodes,); the first node is empty.
    records
        Words, see `trie`; zeros at the end.
    discs
        The circles, as `discs.discs_of` returns them.
    """

    frame: IntArray
    table: LinkArray
    nodes: LinkArray
    records: LinkArray
    discs: FloatArray

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, fixed(getattr(self, field.name)))

    @classmethod
    def of(cls, shapes: Shapes, asked: Asked | None = None) -> Covering:
        """Cover the shapes of zones.

        Parameters
        ----------
        shapes
            Of the zones.
        asked
            The only pings that will be looked up, if they are known: the trie is then no finer
            than they need. Not for circles.
        """
        circles = np.flatnonzero(~np.isnan(shapes.radius_m))
        discs = discs_of(
            lng=shapes.lng[circles], lat=shapes.lat[circles], radius_m=shapes.radius_m[circles]
        )
        row = np.full(len(shapes), -1, np.int64)
        row[circles] = np.arange(len(circles))
        box = shapes.box
        if asked is None:
            extent = _extent(shapes, box)
            start = root(extent)
            frame = table_of(extent, start, (len(shapes.xy) + 64 * len(circles)) // 4)
        else:
            start, frame = asked.start, asked.frame
        table = np.zeros(frame[3] * frame[4], np.int32)
        nodes, records = build(
            shapes.xy.reshape(-1),
            shapes.ring,
            shapes.part[shapes.zone],
            box,
            discs,
            row,
            table,
            frame,
            start,
            ANYWHERE if asked is None else asked.counts,
        )
        padding = np.zeros(PADDING, np.int32)
        return cls(frame, table, nodes.copy(), np.append(records, padding), discs)

    @property
    def nbytes(self) -> int:
        """Size of all arrays."""
        return sum(int(getattr(self, field.name).nbytes) for field in fields(self))


def _extent(shapes: Shapes, box: FloatArray) -> FloatArray:
    """Return a box around all zones; the whole world where a circle is near a pole or +-180."""
    if not len(shapes):
        return np.zeros(4)
    reach = shapes.radius_m / METRES_A_DEGREE + 1e-6
    narrow = np.cos(np.radians(np.minimum(np.abs(shapes.lat) + reach, 90.0)))
    aside = np.minimum(reach / np.maximum(narrow, 1e-9), 360.0) * 1.01
    west = np.fmin(box[:, 0], shapes.lng - aside).min()
    east = np.fmax(box[:, 2], shapes.lng + aside).max()
    south = np.fmin(box[:, 1], shapes.lat - reach).min()
    north = np.fmax(box[:, 3], shapes.lat + reach).max()
    if west < -180 or east > 180:
        west, east = -180.0, 180.0
    return np.array([west, max(south, -90.0), east, min(north, 90.0)])
