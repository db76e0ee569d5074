"""Outlines of zones as they lie on the ground: one piece, and in metres.

Zones that cross the antimeridian are stored cut in two, and degrees are of unequal length. What
plans a zone needs neither: `outline` gives the polygon in one piece, its longitudes going on beyond
180, and `Plane` metres around a place, good to 1 % within 100 km.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from geotarget.engine.ellipsoid import GEOD, curvature_m
from geotarget.model import FloatArray, Zone

CORNERS = 64
"""Of a circle."""

MANY_CORNERS = 2_000
"""Outlines with more are simplified before they are measured."""

_TURN = 360.0


def outline(zone: Zone) -> BaseGeometry:
    """Return the polygon or multipolygon of a zone in degrees, in one piece.

    Examples
    --------
    >>> kiosk = Zone(id="kiosk", geometry=shapely.Point(180, 60), radius_m=1000)
    >>> west, _, east, _ = outline(kiosk).bounds
    >>> round(west, 2), round(east, 2)
    (179.98, 180.02)
    """
    if zone.radius_m is not None:
        x, y = shapely.get_coordinates(zone.geometry)[0]
        turn = np.linspace(0.0, _TURN, CORNERS, endpoint=False)
        lng, lat, _ = GEOD.fwd(
            np.full(CORNERS, x), np.full(CORNERS, y), turn, np.full(CORNERS, zone.radius_m)
        )
        return shapely.Polygon(np.column_stack([near(lng, x), lat]))
    west, _, east, _ = zone.geometry.bounds
    if east - west < _TURN / 2:
        return zone.geometry
    parts = shapely.get_parts(zone.geometry)
    if not (shapely.bounds(parts)[:, 0] > 0).any():  # one polygon that is as wide
        return zone.geometry
    moved = [
        shapely.transform(part, lambda xy: xy + np.array([_TURN, 0.0]))
        if part.bounds[2] <= 0
        else part
        for part in parts
    ]
    return shapely.union_all(moved)


def simple(flat: BaseGeometry) -> BaseGeometry:
    """Return a shape in metres without more corners than measuring it needs; off by some metres."""
    if shapely.get_num_coordinates(flat) <= MANY_CORNERS:
        return flat
    return shapely.simplify(flat, max(1.0, flat.length / MANY_CORNERS / 10))


def near(lng: FloatArray, place: float) -> FloatArray:
    """Return longitudes by whole turns, so that they lie within half a turn of a place."""
    moved: FloatArray = lng + _TURN * np.round((place - lng) / _TURN)
    return moved


@dataclass(frozen=True, slots=True)
class Plane:
    """Metres east and north of a place in degrees."""

    lng: float
    lat: float
    east_m: float
    north_m: float

    @classmethod
    def around(cls, shape: BaseGeometry) -> Plane:
        """Return the plane around the middle of a shape's bounding box."""
        west, south, east, north = shape.bounds
        lat = (south + north) / 2
        prime, meridian = (float(each[0]) for each in curvature_m(np.array([lat])))
        radian = math.pi / 180.0
        return cls(
            lng=(west + east) / 2,
            lat=lat,
            east_m=max(prime * math.cos(lat * radian), 1.0) * radian,
            north_m=meridian * radian,
        )

    def metres(self, shape: BaseGeometry) -> BaseGeometry:
        """Return a shape in metres."""
        return shapely.transform(
            shape, lambda xy: (xy - [self.lng, self.lat]) * [self.east_m, self.north_m]
        )

    def degrees(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return longitudes, within -180 and 180, and latitudes of places in metres."""
        lng = near(self.lng + x / self.east_m, 0.0)
        return np.clip(lng, -180.0, 180.0), np.clip(self.lat + y / self.north_m, -90.0, 90.0)
