"""The shapes of zones in columns: rings of vertices for polygons, centre and radius for circles.

One flat array of vertices for all zones, with offsets: what the kernels read, what is written to
disk, and what `shapely.from_ragged_array` makes geometries of. Costs: 16 bytes a vertex, 0.35
seconds for 100,000 zones of 30 vertices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np
import shapely
from numpy.typing import NDArray

from geotarget.engine.ellipsoid import fixed
from geotarget.engine.ragged import starts
from geotarget.errors import InvalidZone, Problem
from geotarget.geojson.limits import LEAST_COORDINATE
from geotarget.model import FloatArray, IntArray, Zone

LARGEST_RADIUS_M = 1_000_000.0
"""Largest circle that an index takes; zones at the door are held to less."""

MOST_ZONES = 1 << 25
MOST_VERTICES = 1 << 30
"""Bounds of one layer of an index: what its 32-bit links can name."""

_POINT = shapely.GeometryType.POINT
_POLYGON = shapely.GeometryType.POLYGON
_POLYGONS = [_POLYGON, shapely.GeometryType.MULTIPOLYGON]
_WORLD = np.array([180.0, 90.0, 180.0, 90.0])


@dataclass(frozen=True, slots=True, eq=False)
class Shapes:
    """The shapes of zones, one row each.

    Parameters
    ----------
    xy
        Vertices, longitude and latitude in degrees, shape (vertices, 2): closed rings one after
        the other. Circles have none.
    ring
        Where each ring starts, shape (rings + 1,).
    part
        Where the rings of each polygon start, its shell first, shape (polygons + 1,).
    zone
        Where the polygons of each zone start, shape (zones + 1,).
    lng, lat, radius_m
        Centre and radius of circles, degrees and metres; NaN for polygons, shape (zones,).
    """

    xy: FloatArray
    ring: IntArray
    part: IntArray
    zone: IntArray
    lng: FloatArray
    lat: FloatArray
    radius_m: FloatArray

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, fixed(getattr(self, field.name)))

    @classmethod
    def of(cls, zones: Sequence[Zone]) -> Shapes:
        """Read the shapes of zones.

        Raises
        ------
        InvalidZone
            A geometry is empty, out of range or of another type; names each such zone.
        """
        geometry = np.empty(len(zones), np.object_)
        geometry[:] = [zone.geometry for zone in zones]
        radius = np.array(
            [np.nan if zone.radius_m is None else zone.radius_m for zone in zones], np.float64
        )
        _check(zones, geometry, radius)
        shapes = cls._arranged(geometry, radius)
        _check_bounds(shapes, lambda row: f"zone {zones[row].id!r}")
        return shapes

    @classmethod
    def of_polygons(cls, geometry: NDArray[np.object_], path: Callable[[int], str]) -> Shapes:
        """Read polygons and multipolygons that are in range, none empty; problems name a path."""
        shapes = cls._arranged(geometry, np.full(len(geometry), np.nan))
        _check_bounds(shapes, path)
        return shapes

    @classmethod
    def _arranged(cls, geometry: NDArray[np.object_], radius: FloatArray) -> Shapes:
        """Put rings one after the other; the geometries with a radius are centres."""
        circle = ~np.isnan(radius)
        centre = np.full((len(geometry), 2), np.nan)
        centre[circle] = shapely.get_coordinates(geometry[circle])

        flat = np.flatnonzero(~circle)
        parts, owner = shapely.get_parts(geometry[flat], return_index=True)
        rings, ring_part = shapely.get_rings(parts, return_index=True)
        xy = shapely.get_coordinates(rings)
        return cls(
            xy,
            starts(shapely.get_num_coordinates(rings)),
            starts(np.bincount(ring_part, minlength=len(parts))),
            starts(np.bincount(flat[owner], minlength=len(geometry))),
            np.ascontiguousarray(centre[:, 0]),
            np.ascontiguousarray(centre[:, 1]),
            radius,
        )

    def __len__(self) -> int:
        return len(self.radius_m)

    @property
    def box(self) -> FloatArray:
        """West, south, east and north of each polygon, degrees, shape (zones, 4); circles: NaN."""
        box = np.full((len(self), 4), np.nan)
        first = self.ring[self.part[self.zone]]
        flat = np.flatnonzero(first[1:] > first[:-1])
        if len(flat):
            box[flat, :2] = np.minimum.reduceat(self.xy, first[flat], axis=0)
            box[flat, 2:] = np.maximum.reduceat(self.xy, first[flat], axis=0)
        return box

    @property
    def nbytes(self) -> int:
        """Size of all columns."""
        return sum(int(getattr(self, field.name).nbytes) for field in fields(self))


def _check(zones: Sequence[Zone], geometry: NDArray[np.object_], radius: FloatArray) -> None:
    """Raise `InvalidZone` for shapes that an index can't hold."""
    types = shapely.get_type_id(geometry)
    circle = ~np.isnan(radius)
    fits = np.where(circle, types == _POINT, np.isin(types, _POLYGONS))
    box = shapely.bounds(geometry).reshape(-1, 4)
    fits &= (np.abs(box) <= _WORLD).all(axis=1)  # false for empty: NaN
    problems = [
        Problem(
            f"zone {zones[place].id!r}",
            str(geometry[place])[:80],
            "must be a Polygon or MultiPolygon, or a Point with radius_m, that is not empty and "
            "within longitude +-180 and latitude +-90",
        )
        for place in np.flatnonzero(~fits).tolist()
    ]
    wrong = circle & ~((radius > 0) & (radius <= LARGEST_RADIUS_M))
    reason = f"must be above 0 and at most {LARGEST_RADIUS_M:.0f} m"
    problems += [
        Problem(f"zone {zones[place].id!r}: radius_m", str(radius[place]), reason)
        for place in np.flatnonzero(wrong).tolist()
    ]
    if problems:
        raise InvalidZone(*problems)


def _check_bounds(shapes: Shapes, path: Callable[[int], str]) -> None:
    for name, found, most in (
        ("zones", len(shapes), MOST_ZONES),
        ("vertices", len(shapes.xy), MOST_VERTICES),
    ):
        if found > most:
            raise InvalidZone(Problem(name, f"{found:,}", f"an index holds at most {most:,}"))
    tiny = (np.abs(shapes.xy) < LEAST_COORDINATE) & (shapes.xy != 0)
    if tiny.any():
        vertex = np.flatnonzero(tiny.any(axis=1))
        rows = np.searchsorted(shapes.ring[shapes.part[shapes.zone]], vertex, side="right") - 1
        reason = f"a coordinate that is not 0 must be at least {LEAST_COORDINATE:g} degrees"
        raise InvalidZone(
            *(
                Problem(path(row), str(shapes.xy[at].tolist()), reason)
                for row, at in zip(rows.tolist(), vertex.tolist(), strict=True)
            )
        )
