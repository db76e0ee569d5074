"""H3 cells in arrays: the cell of a point, its ancestors and children, and how far a cell reaches.

The engine reads cells as *ranges*. A point is mapped once, to its cell at the finest resolution in
use; whether it belongs to a coarser cell is decided by the bits of that index alone (`parents`).
Children do not tile their parent's hexagon, so "belongs" is not the same as "lies in the hexagon":
what counts is how far from a cell's centre a point can be whose index starts with that cell.

**Reach.** Let s be the distance between neighbouring centres at the cell's resolution, measured in
the plane of an icosahedron's face: s = 0.38196601 / sqrt(7)**resolution in radians at the face's
centre. A child's centre is its parent's or a neighbour of that at the children's own spacing,
s / sqrt(7). So whatever descends from a cell is at most s * (1/sqrt(7) + 1/7 + ...) =
s / (sqrt(7) - 1) = 0.6076 s away from its centre in that plane, and a point is at most 0.577 of the
finest spacing away from the finest centre, which the rest of the series exceeds. The gnomonic
projection only shrinks lengths on their way back to the sphere, hence `reach_rad` bounds the angle
on the sphere too; over an edge between two faces the plane is unfolded, and lengths stay.
The tests hold it against h3 at all resolutions, near face centres, edges and pentagons.

Source: Uber's H3, through `h3`, which is also the oracle. Costs: about 0.55 microseconds per point
and 0.6 per centre, as h3 takes one at a time; everything else is numpy on the bits. A kernel can
replace the two loops without anybody noticing.
"""

from __future__ import annotations

from itertools import repeat

import h3.api.basic_int as h3
import numpy as np
from numpy.typing import NDArray

from geotarget.model import FloatArray, IntArray, KeyArray

FINEST = 12
"""The finest resolution that covers use; its cells are about 19 m wide."""

POLE = 90.0

_RESOLUTION_AT = np.uint64(52)
_BASE_AT = np.uint64(45)
_DIGITS = 15
_SPACING_RAD = 0.38196601125010500003
_MARGIN_RAD = 1e-9  # 6 mm: what rounding may add to a cell, and far more
_PENTAGONS = np.array([4, 14, 24, 38, 49, 58, 63, 72, 83, 97, 107, 117], np.uint64)


def cells_at(*, lng: FloatArray, lat: FloatArray, resolution: int) -> KeyArray:
    """Return the cell of each point.

    Parameters
    ----------
    lng, lat
        Degrees, finite and in range, shape (n,).
    resolution
        0 to 15.

    Returns
    -------
    ndarray of uint64, shape (n,)
        H3 indexes.

    Examples
    --------
    >>> hex(int(cells_at(lng=np.array([24.94]), lat=np.array([60.17]), resolution=9)[0]))
    '0x891126d338fffff'
    """
    found = map(h3.latlng_to_cell, lat.tolist(), lng.tolist(), repeat(resolution))
    return np.fromiter(found, np.uint64, len(lng))


def centres(cells: KeyArray) -> tuple[FloatArray, FloatArray]:
    """Return longitude and latitude of the cells' centres, degrees."""
    found = np.array(list(map(h3.cell_to_latlng, cells.tolist())), np.float64).reshape(-1, 2)
    return found[:, 1].copy(), found[:, 0].copy()


def base_cells() -> KeyArray:
    """Return the 122 cells of resolution 0; their ranges hold every point on Earth."""
    return np.array(sorted(h3.get_res0_cells()), np.uint64)


def resolutions(cells: KeyArray) -> IntArray:
    """Return the resolution of each cell."""
    return ((cells >> _RESOLUTION_AT) & np.uint64(15)).astype(np.int64)


def parents(cells: KeyArray, resolution: int) -> KeyArray:
    """Return the ancestors of cells by their bits.

    Parameters
    ----------
    cells
        Cells of `resolution` or finer.
    resolution
        Of the ancestors.
    """
    unused = np.uint64((1 << 3 * (_DIGITS - resolution)) - 1)
    kept = cells & ~np.uint64(15 << 52)
    return kept | np.uint64(resolution << 52) | unused


def children(cells: KeyArray) -> tuple[KeyArray, IntArray]:
    """Return the children of cells that share one resolution.

    Returns
    -------
    child, parent
        The children, seven for a hexagon and six for a pentagon, and for each the position of its
        parent in `cells`.
    """
    if not len(cells):
        return cells, np.zeros(0, np.int64)
    finer = int(resolutions(cells[:1])[0]) + 1
    place = np.uint64(3 * (_DIGITS - finer))
    stem = (cells & ~(np.uint64(15) << _RESOLUTION_AT)) | np.uint64(finer << 52)
    stem &= ~(np.uint64(7) << place)
    family = stem[:, None] | (np.arange(7, dtype=np.uint64) << place)
    alive = np.ones(family.shape, np.bool_)
    alive[_is_pentagon(cells), 1] = False  # the digit that pentagons lack
    return family[alive], np.nonzero(alive)[0]


def _is_pentagon(cells: KeyArray) -> NDArray[np.bool_]:
    base = (cells >> _BASE_AT) & np.uint64(127)
    resolution = int(resolutions(cells[:1])[0])
    used = np.uint64((1 << 45) - (1 << 3 * (_DIGITS - resolution)))
    pentagon: NDArray[np.bool_] = np.isin(base, _PENTAGONS) & ((cells & used) == 0)
    return pentagon


def reach_rad(resolution: int) -> float:
    """Return how far from a cell's centre a point that descends from it can be, radians."""
    return _SPACING_RAD / 7 ** (resolution / 2) / (7**0.5 - 1) + _MARGIN_RAD


def boxes(
    *, lng: FloatArray, lat: FloatArray, reach: FloatArray | float
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return boxes in longitude and latitude around caps of the sphere.

    Parameters
    ----------
    lng, lat
        Centres of the caps, degrees, shape (n,).
    reach
        Their angular radius, radians, at most half a right angle.

    Returns
    -------
    west, south, east, north
        Degrees. West may be below -180, or east above 180, where a cap crosses the antimeridian;
        a cap that holds a pole spans -180 to 180.
    """
    degrees = np.degrees(reach)
    south = np.maximum(lat - degrees, -POLE)
    north = np.minimum(lat + degrees, POLE)
    polar = (south <= -POLE) | (north >= POLE)
    ratio = np.sin(reach) / np.cos(np.radians(np.where(polar, 0.0, lat)))
    half = np.degrees(np.arcsin(np.minimum(ratio, 1.0)))
    west = np.where(polar, -180.0, lng - half)
    east = np.where(polar, 180.0, lng + half)
    return west, south, east, north
