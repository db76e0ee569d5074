"""Zones in the plane of one city, with a distance that shares no code with the engine.

The plane is that of the WGS 84 ellipsoid at one place: straight edges in degrees are straight in
it, and within 5 km of its origin it is good to 0.1 %. Cost: 10 ns a point and edge.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_EQUATOR_M = 6_378_137.0
_ECCENTRICITY_2 = 6.69437999014e-3


@dataclass(frozen=True, slots=True)
class Plane:
    """Metres east and north of a place.

    Parameters
    ----------
    lng, lat
        The origin, degrees.

    Examples
    --------
    >>> plane = Plane(24.94, 60.17)
    >>> lng, lat = plane.degrees(np.array([0.0, 1_000.0]), np.array([0.0, 0.0]))
    >>> lng.round(4).tolist(), lat.tolist()
    ([24.94, 24.958], [60.17, 60.17])
    """

    lng: float
    lat: float

    @property
    def _metres(self) -> tuple[float, float]:
        """Metres of a degree of longitude and of latitude at the origin."""
        sine = math.sin(math.radians(self.lat))
        root = math.sqrt(1.0 - _ECCENTRICITY_2 * sine**2)
        east = _EQUATOR_M / root * math.cos(math.radians(self.lat))
        north = _EQUATOR_M * (1.0 - _ECCENTRICITY_2) / root**3
        return math.radians(east), math.radians(north)

    def degrees(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return (lng, lat) of metres east and north."""
        east, north = self._metres
        return self.lng + np.asarray(x) / east, self.lat + np.asarray(y) / north

    def metres(self, lng: Floats, lat: Floats) -> tuple[Floats, Floats]:
        """Return metres east and north of degrees: the inverse of `degrees`."""
        east, north = self._metres
        return (np.asarray(lng) - self.lng) * east, (np.asarray(lat) - self.lat) * north


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """A polygon, or a circle where `outline` is empty.

    Parameters
    ----------
    x, y, radius
        Middle and size, metres: a circle's radius, a polygon's mean distance from middle to corner.
    outline
        Corners, shape (k, 2), metres, the first one not repeated.
    """

    x: float
    y: float
    radius: float
    outline: Floats

    def signed_distance(self, x: Floats, y: Floats) -> Floats:
        """Return metres to the border, positive inside; the border itself is inside."""
        if not len(self.outline):
            return self.radius - np.hypot(x - self.x, y - self.y)
        nearest = np.full(np.shape(x), np.inf)
        inside = np.zeros(np.shape(x), np.bool_)
        ends = np.roll(self.outline, -1, axis=0)
        for (ax, ay), (bx, by) in zip(self.outline.tolist(), ends.tolist(), strict=True):
            dx, dy = bx - ax, by - ay
            px, py = x - ax, y - ay
            share = np.clip((px * dx + py * dy) / (dx * dx + dy * dy), 0.0, 1.0)
            np.minimum(nearest, (px - share * dx) ** 2 + (py - share * dy) ** 2, out=nearest)
            if ay != by:
                inside ^= ((ay > y) != (by > y)) & (px < dx * py / dy)
        nearest = np.sqrt(nearest)
        return np.where(inside | (nearest == 0.0), nearest, -nearest)

    def reach(self) -> float:
        """Return metres from the middle to the farthest corner."""
        if not len(self.outline):
            return self.radius
        return float(np.hypot(*(self.outline - (self.x, self.y)).T).max())

    def feature(self, name: str, plane: Plane) -> dict[str, Any]:
        """Return the zone as a GeoJSON feature."""
        if not len(self.outline):
            lng, lat = plane.degrees(np.array([self.x]), np.array([self.y]))
            point = {"type": "Point", "coordinates": [float(lng[0]), float(lat[0])]}
            properties = {"radius_m": self.radius}
            return {"type": "Feature", "id": name, "properties": properties, "geometry": point}
        ring = np.stack(plane.degrees(*np.concatenate([self.outline, self.outline[:1]]).T), axis=1)
        polygon = {"type": "Polygon", "coordinates": [ring.tolist()]}
        return {"type": "Feature", "id": name, "properties": {}, "geometry": polygon}


def circle(x: float, y: float, radius: float) -> Shape:
    """Return a circle."""
    return Shape(x, y, radius, np.empty((0, 2)))


def polygon(corners: Floats) -> Shape:
    """Return a polygon of given corners, shape (k, 2)."""
    x, y = corners.mean(axis=0).tolist()
    radius = float(np.hypot(*(corners - (x, y)).T).mean())
    return Shape(x, y, radius, np.asarray(corners, np.float64))


def random_shape(
    x: float, y: float, radius: float, chance: np.random.Generator, *, circles: float = 0.4
) -> Shape:
    """Return a zone around a place: a circle, a block (rectangle) or an uneven polygon.

    `radius` is that of the circle that has the same area, about.
    """
    kind = chance.random()
    if kind < circles:
        return circle(x, y, radius)
    turn = chance.uniform(0.0, 2 * np.pi)
    if kind < circles + 0.5 * (1.0 - circles):
        stretch = chance.uniform(0.75, 1.0)
        half = 0.5 * math.sqrt(math.pi) * radius
        corners = half * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1.0]]) * (stretch, 1 / stretch)
    else:
        count = int(chance.integers(6, 13))
        angle = (np.arange(count) + chance.uniform(-0.25, 0.25, count)) * 2 * np.pi / count
        away = radius * 1.05 * chance.uniform(0.85, 1.15, count)
        corners = np.stack([away * np.cos(angle), away * np.sin(angle)], axis=1)
    cosine, sine = math.cos(turn), math.sin(turn)
    corners = corners @ np.array([[cosine, sine], [-sine, cosine]])
    return Shape(x, y, radius, corners + np.array([x, y]))
