"""Zones as H3 cells, for those who draw or count by them; see `ZoneIndex.cells`.

A cell is in a zone's cover if its outline, drawn with straight lines in degrees between its
corners, touches the zone; it is *whole* if no point of that outline, or within it, lies outside of
the zone. Cells really end on arcs of great circles: up to latitude 70, these lie up to 330 m beside
the straight lines at resolution 3, 7 m at resolution 5 and less than a metre from resolution 6 on;
more near the poles. The rim of a circle is drawn with 64 corners, at most 0.12 % of its radius
within it, and with 1,024 near a pole.

Costs: 5 microseconds a cell for a zone of a hundred corners; each thousand more corners take
another 4 microseconds a cell. Corners of cells and `whole` take 10 microseconds a cell.
"""

from __future__ import annotations

import math

import h3.api.basic_int as h3
import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import affinity
from shapely.geometry.base import BaseGeometry

from geotarget.engine.ellipsoid import GEOD, POLE, SEAM
from geotarget.errors import InvalidInput, Problem
from geotarget.model import FloatArray, KeyArray

SHOWN = 200
"""About so many cells make a picture."""

MOST = 1_000_000
"""More are refused."""

FINEST = 15
_CORNERS = 64
_CORNERS_AT_POLE = 1024
_TURN = 360.0
_EARTH_M2 = 5.1e14
_RADIUS_M = 6_371_007.2
_SPARE = 3.0
"""How far an estimate may be off."""

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


def finest_of(geometry: BaseGeometry, radius_m: float | None, most: int) -> tuple[int, KeyArray]:
    """Return the finest resolution at which a shape touches few cells, and these.

    Parameters
    ----------
    geometry, radius_m
        As `cells_of` takes them.
    most
        How many cells are few, at least the 122 of resolution 0.
    """
    area, length = size_of(geometry, radius_m)
    sure = (each for each in range(FINEST, 0, -1) if about(area, length, each) <= most / _SPARE)
    resolution = next(sure, 0)
    cells = cells_of(geometry, radius_m, resolution)
    while resolution < FINEST and about(area, length, resolution + 1) <= most * _SPARE:
        finer = cells_of(geometry, radius_m, resolution + 1)
        if len(finer) > most:
            break
        resolution, cells = resolution + 1, finer
    return resolution, cells


def at_most(
    geometry: BaseGeometry, radius_m: float | None, resolution: int, most: int
) -> KeyArray | None:
    """Return the cells as `cells_of` does, or None if they are more than `most`.

    What is far too much is not counted.
    """
    if about(*size_of(geometry, radius_m), resolution) > most * _SPARE:
        return None
    cells = cells_of(geometry, radius_m, resolution)
    return cells if len(cells) <= most else None


def outlines_of(cells: KeyArray) -> list[FloatArray]:
    """Return the outline of each cell: longitude and latitude in degrees, shape (n + 1, 2), closed.

    None is torn: longitudes go on beyond 180 where a cell lies on the antimeridian. A cell that
    holds a pole goes all around, and along the pole back.
    """
    outlines = []
    for cell in cells.tolist():
        ring = np.array(h3.cell_to_boundary(cell))[:, ::-1]
        ring = np.vstack([ring, ring[:1]])
        ring[:, 0] = np.unwrap(ring[:, 0], period=_TURN)
        if abs(ring[-1, 0] - ring[0, 0]) > SEAM:
            pole = math.copysign(POLE, ring[0, 1])
            ring = np.vstack([ring, [ring[-1, 0], pole], [ring[0, 0], pole], ring[:1]])
        outlines.append(ring)
    return outlines


def whole(
    outlines: list[FloatArray], geometry: BaseGeometry, radius_m: float | None
) -> NDArray[np.bool_]:
    """Tell which cells lie in a shape with all of their area.

    Parameters
    ----------
    outlines
        Of the cells, as `outlines_of` returns them.
    geometry, radius_m
        As `cells_of` takes them; cut at the antimeridian.
    """
    corners = np.concatenate(outlines)
    cell = np.repeat(np.arange(len(outlines)), [len(each) for each in outlines])
    if radius_m is not None:
        x, y = (np.full(len(corners), each) for each in shapely.get_coordinates(geometry)[0])
        _, _, far = GEOD.inv(x, y, corners[:, 0], corners[:, 1])
        inside = np.ones(len(outlines), bool)
        inside[cell[far > radius_m]] = False
        return inside
    tiles = np.asarray(shapely.polygons(shapely.linearrings(corners, indices=cell)))
    shapely.prepare(geometry)
    inside = shapely.covers(geometry, tiles)
    beyond = np.unique(cell[np.abs(corners[:, 0]) > SEAM])
    for at in beyond.tolist():
        inside[at] = shapely.covers(geometry, _cut(tiles[at])).all()
    return np.asarray(inside)


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
    """Return a circle in degrees; near a pole cut at the antimeridian, as zones are."""
    x, y = shapely.get_coordinates(centre)[0]
    pole = math.copysign(POLE, y)
    _, _, far = GEOD.inv(x, y, x, pole)
    if far > 2 * radius_m:
        return shapely.Polygon(_rim(x, y, radius_m, _CORNERS))
    rim = _rim(x, y, radius_m, _CORNERS_AT_POLE)
    rim = np.vstack([rim, rim[:1]])
    rim[:, 0] = np.unwrap(rim[:, 0], period=_TURN)
    if far <= radius_m:
        rim = np.vstack([rim, [rim[-1, 0], pole], [rim[0, 0], pole]])
    return _in_windows(shapely.union_all(_cut(shapely.Polygon(rim))))


def _rim(x: float, y: float, radius_m: float, corners: int) -> FloatArray:
    turn = np.linspace(0.0, _TURN, corners, endpoint=False)
    lng, lat, _ = GEOD.fwd(
        np.full(corners, x), np.full(corners, y), turn, np.full(corners, radius_m)
    )
    return np.column_stack([lng, lat])


def _cut(shape: BaseGeometry) -> NDArray[np.object_]:
    """Return the polygons of an outline that goes beyond 180, each within -180 and 180."""
    pieces: list[BaseGeometry] = []
    for turn in (-_TURN, 0.0, _TURN):
        window = shapely.box(turn - SEAM, -POLE, turn + SEAM, POLE)
        found = shapely.get_parts(shapely.intersection(shape, window))
        pieces.extend(affinity.translate(each, -turn) for each in found if each.area > 0)
    return np.array(pieces, object)
