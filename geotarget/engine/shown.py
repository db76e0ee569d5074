"""Zones as H3 cells, for those who draw or count by them; see `ZoneIndex.cells`."""

from __future__ import annotations

import h3.api.basic_int as h3
import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from geotarget.engine.ellipsoid import GEOD
from geotarget.errors import InvalidInput, Problem
from geotarget.model import KeyArray

SHOWN = 200
"""About so many cells make a picture."""

MOST = 1_000_000
"""More are refused."""

FINEST = 15
_CORNERS = 64
_EARTH_M2 = 5.1e14


def cells_of(geometry: BaseGeometry, radius_m: float | None, resolution: int | None) -> KeyArray:
    """Return the cells that a shape touches, ascending.

    Parameters
    ----------
    geometry
        Polygon, multipolygon, or the centre of a circle.
    radius_m
        Radius of a circle, metres; drawn with 64 corners.
    resolution
        0 to 15; None for the finest one at which the shape fills at most some `SHOWN` cells.

    Raises
    ------
    InvalidInput
        The resolution is out of range, or there are more than `MOST` cells.
    """
    shape = geometry if radius_m is None else _drawn(geometry, radius_m)
    area = abs(GEOD.geometry_area_perimeter(shape)[0])
    if resolution is None:
        resolution = next(
            (each for each in range(FINEST, 0, -1) if area <= SHOWN * _area_m2(each)), 0
        )
    elif not 0 <= resolution <= FINEST:
        raise InvalidInput(Problem("resolution", str(resolution), f"must be 0 to {FINEST}"))
    if area > MOST * _area_m2(resolution):
        reason = f"would give more than {MOST:,} cells"
        raise InvalidInput(Problem("resolution", str(resolution), reason))
    found: set[int] = set()
    for part in shapely.get_parts(shape):
        found.update(
            h3.h3shape_to_cells_experimental(h3.geo_to_h3shape(part), resolution, "overlap")
        )
    return np.array(sorted(found), np.uint64)


def _area_m2(resolution: int) -> float:
    return _EARTH_M2 / float(h3.get_num_cells(resolution))


def _drawn(centre: BaseGeometry, radius_m: float) -> BaseGeometry:
    turn = np.linspace(0.0, 360.0, _CORNERS, endpoint=False)
    x, y = (np.full(_CORNERS, each) for each in shapely.get_coordinates(centre)[0])
    lng, lat, _ = GEOD.fwd(x, y, turn, np.full(_CORNERS, radius_m))
    return shapely.Polygon(np.column_stack([lng, lat]))
