"""Zones as H3 cells, for those who draw or count by them; see `ZoneIndex.cells`."""

from __future__ import annotations

import math

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
_RADIUS_M = 6_371_007.2
_TOUCHED = 2.0
"""About so many cells lie along a piece of outline as long as a cell is wide."""

_WIDEST = 90.0
"""The library takes an outline that is much wider for one that goes around the other way."""


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
    area, length = size_of(geometry, radius_m)
    if resolution is None:
        fitting = (
            each
            for each in range(FINEST, 0, -1)
            if area <= SHOWN * _area_m2(each) and about(area, length, each) <= 20 * SHOWN
        )
        resolution = next(fitting, 0)
    elif not 0 <= resolution <= FINEST:
        raise InvalidInput(Problem("resolution", str(resolution), f"must be 0 to {FINEST}"))
    if about(area, length, resolution) > MOST:
        reason = f"would give more than {MOST:,} cells"
        raise InvalidInput(Problem("resolution", str(resolution), reason))
    found: set[int] = set()
    for part in shapely.get_parts(shape if radius_m is not None else _in_windows(shape)):
        found.update(
            h3.h3shape_to_cells_experimental(h3.geo_to_h3shape(part), resolution, "overlap")
        )
    return np.array(sorted(found), np.uint64)


def size_of(shape: BaseGeometry, radius_m: float | None) -> tuple[float, float]:
    """Return area and length of outline, m² and m, of a circle, or of edges straight in degrees.

    Good to a percent, also for what is as wide as the world, where a geodesic would go another way
    than the edge does.
    """
    if radius_m is not None:
        return math.pi * radius_m**2, 2 * math.pi * radius_m
    rings = shapely.get_rings(shapely.get_parts(shapely.segmentize(shape, 1.0)))
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    step = np.radians(np.diff(xy, axis=0))[ring[1:] == ring[:-1]]
    middle = np.radians((xy[1:, 1] + xy[:-1, 1]) / 2)[ring[1:] == ring[:-1]]
    length = np.hypot(step[:, 0] * np.cos(middle), step[:, 1]).sum() * _RADIUS_M
    flat = shapely.transform(
        shapely.segmentize(shape, 1.0),
        lambda xy: np.column_stack([np.radians(xy[:, 0]), np.sin(np.radians(xy[:, 1]))]),
    )
    return float(flat.area) * _RADIUS_M**2, float(length)


def about(area: float, length: float, resolution: int) -> float:
    """Return about how many cells a shape of this area and outline touches; more than it does."""
    cell = _area_m2(resolution)
    return area / cell + _TOUCHED * length / math.sqrt(cell) + 1


def _in_windows(shape: BaseGeometry) -> BaseGeometry:
    """Return a shape, cut into pieces of at most `_WIDEST` degrees if it is wider."""
    west, south, east, north = shape.bounds
    if east - west <= _WIDEST:
        return shape
    edges = np.arange(west, east, _WIDEST)
    pieces = [shape.intersection(shapely.box(edge, south, edge + _WIDEST, north)) for edge in edges]
    return shapely.MultiPolygon(
        [each for each in shapely.get_parts(pieces) if each.geom_type == "Polygon"]
    )


def _area_m2(resolution: int) -> float:
    return _EARTH_M2 / float(h3.get_num_cells(resolution))


def _drawn(centre: BaseGeometry, radius_m: float) -> BaseGeometry:
    turn = np.linspace(0.0, 360.0, _CORNERS, endpoint=False)
    x, y = (np.full(_CORNERS, each) for each in shapely.get_coordinates(centre)[0])
    lng, lat, _ = GEOD.fwd(x, y, turn, np.full(_CORNERS, radius_m))
    return shapely.Polygon(np.column_stack([lng, lat]))
