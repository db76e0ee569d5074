"""Zones and points that are hard on purpose, for hypothesis.

`zones` draws every kind of shape at every size, anywhere on Earth, often where geometry goes wrong:
at the antimeridian, at the poles, on round numbers. `points_near` draws points where a mistake
would show: on vertices and edges, one rounding error beside them, on the borders of cells, at
+-180 and at the poles.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from hypothesis import strategies as st

from geotarget.errors import InvalidZone
from geotarget.geojson import parse_zone
from geotarget.model import FloatArray, Zone
from tests.oracle import GEOD


def _not_tiny(value: float) -> float:
    """Return 0 for a number so near to it that no index takes it as a coordinate."""
    return value if abs(value) > 1e-100 else 0.0


CENTRES_LNG = st.one_of(
    st.sampled_from([-180.0, -179.9999, 0.0, 24.94, 90.0, 179.9999, 180.0]),
    st.floats(-180, 180).map(_not_tiny),
)
CENTRES_LAT = st.one_of(
    st.sampled_from([-89.9, -60.0, 0.0, 60.17, 89.9]), st.floats(-85, 85).map(_not_tiny)
)
SIZES = st.floats(-4.5, 1.3).map(lambda exponent: 10.0**exponent)
SEEDS = st.integers(0, 2**32 - 1)


def feature(id: str, geometry: dict[str, Any], **properties: Any) -> dict[str, Any]:
    """Return a GeoJSON Feature."""
    return {"type": "Feature", "id": id, "properties": properties, "geometry": geometry}


def polygon(*rings: FloatArray) -> dict[str, Any]:
    """Return a GeoJSON Polygon of rings."""
    return {"type": "Polygon", "coordinates": [ring.tolist() for ring in rings]}


def star_ring(
    rng: np.random.Generator, lng: float, lat: float, size: float, corners: int
) -> FloatArray:
    """Return a closed ring around a centre, corners at random distances up to `size` degrees."""
    angle = np.sort(rng.uniform(0, 2 * np.pi, corners))
    reach = rng.uniform(0.3, 1.0, corners) * size
    ring = np.column_stack([lng + reach * np.cos(angle), lat + reach * np.sin(angle)])
    ring[:, 1] = np.clip(ring[:, 1], -90, 90)
    return np.vstack([ring, ring[:1]])


def stars(count: int, *, seed: int = 1, first: int = 0) -> list[Zone]:
    """Return stars of 30 vertices and 100 to 500 m over 60 x 60 km."""
    rng = np.random.default_rng(seed)
    made: list[Zone] = []
    while len(made) < count:
        lng, lat, size = rng.uniform(24, 25), rng.uniform(60, 60.5), rng.uniform(0.001, 0.005)
        ring = star_ring(rng, lng, lat, size, 30)
        made.append(Zone(id=f"s{first + len(made)}", geometry=shapely.Polygon(ring)))
    return made


def _star(rng: np.random.Generator, lng: float, lat: float, size: float) -> dict[str, Any]:
    return polygon(star_ring(rng, lng, lat, size, int(rng.integers(3, 40))))


def _holed(rng: np.random.Generator, lng: float, lat: float, size: float) -> dict[str, Any]:
    shell = star_ring(rng, lng, lat, size, 24)
    hole = (shell - [lng, lat]) * rng.uniform(0.2, 0.8) + [lng, lat]
    return polygon(shell, hole[::-1])


def _many(rng: np.random.Generator, lng: float, lat: float, size: float) -> dict[str, Any]:
    steps = [(0.0, 0.0), (2.5, 0.0), (0.0, -2.5), (-2.5, 2.5)][: int(rng.integers(2, 5))]
    parts = [[star_ring(rng, lng + x * size, lat + y * size, size, 12).tolist()] for x, y in steps]
    return {"type": "MultiPolygon", "coordinates": parts}


def _sliver(rng: np.random.Generator, lng: float, lat: float, size: float) -> dict[str, Any]:
    width = size * 10.0 ** rng.uniform(-9, -3)
    corners = [[0, 0], [size, size * rng.uniform(-1, 1)], [width, width], [0, 0]]
    return polygon(np.add(corners, [lng, lat]))


def _box(rng: np.random.Generator, lng: float, lat: float, size: float) -> dict[str, Any]:
    west, south = np.round([lng - size, lat - size], 2)
    east, north = np.round([lng + size, lat + size], 2) + 0.01
    north, south = min(north, 90.0), max(south, -90.0)
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return polygon(np.array(ring))


def _cap(rng: np.random.Generator, lng: float, lat: float, size: float) -> dict[str, Any]:
    pole = 90.0 if lat >= 0 else -90.0
    ring = [[-180.0, lat], [180.0, lat], [180.0, pole], [-180.0, pole], [-180.0, lat]]
    return polygon(np.array(ring))


_SHAPES = [_star, _star, _holed, _many, _sliver, _box, _cap]


@st.composite
def zones(draw: st.DrawFn, id: str = "zone") -> Zone:
    """Draw one zone of any kind."""
    lng, lat, size = draw(CENTRES_LNG), draw(CENTRES_LAT), draw(SIZES)
    if draw(st.integers(0, 5)) == 0:
        radius = min(size * 20_000.0, 100_000.0)
        centre = {"type": "Point", "coordinates": [lng, lat]}
        return parse_zone(feature(id, centre, radius_m=radius))
    shape = draw(st.sampled_from(_SHAPES))
    for seed in range(draw(SEEDS), 2**33):
        try:
            return parse_zone(feature(id, shape(np.random.default_rng(seed), lng, lat, size)))
        except InvalidZone:  # two corners at one angle, a part beyond a pole: the next one
            lat *= 0.9
            size *= 0.9
    raise AssertionError("no valid zone in sight")


def zone_lists(most: int = 5) -> st.SearchStrategy[list[Zone]]:
    """Draw lists of zones with different ids."""
    return st.integers(0, most).flatmap(
        lambda count: st.tuples(*(zones(id=f"z{number}") for number in range(count))).map(list)
    )


def points_near(zone: Zone, rng: np.random.Generator, count: int = 40) -> FloatArray:
    """Return points (lng, lat) in and around a zone, many of them exactly on something."""
    if zone.radius_m is None:
        vertices = shapely.get_coordinates(zone.geometry)
        west, south, east, north = zone.geometry.bounds
    else:
        x, y = zone.geometry.x, zone.geometry.y
        turn = rng.uniform(0, 360, count)
        reach = zone.radius_m * rng.choice([0.0, 0.5, 1 - 1e-9, 1 + 1e-9, 1.001], count)
        lng, lat, _ = GEOD.fwd(np.full(count, x), np.full(count, y), turn, reach)
        vertices = np.column_stack([lng, lat])
        west, south, east, north = x - 1, y - 1, x + 1, y + 1
    rows = rng.integers(0, len(vertices), count)
    others = np.minimum(rows + 1, len(vertices) - 1)
    along = rng.choice([0.5, 0.25, rng.uniform()], (count, 1))
    edge = vertices[rows] * (1 - along) + vertices[others] * along
    size = max(east - west, north - south, 1e-6)
    spread = np.column_stack(
        [
            rng.uniform(west - 0.2 * size, east + 0.2 * size, count),
            rng.uniform(south - 0.2 * size, north + 0.2 * size, count),
        ]
    )
    nudged = vertices[rows] + rng.choice([-1e-12, 0, 1e-13, 1e-9], (count, 2))
    side = 2.0 ** rng.integers(-22, 7, (count, 1))
    corners = np.floor(edge / side) * side  # of the cells that an index divides the world into
    corners[::2, 0] = edge[::2, 0]
    beside = np.nextafter(edge, rng.choice([-np.inf, np.inf], (count, 2)))
    seam = np.column_stack([rng.choice([-180.0, 180.0], count), spread[:, 1]])
    poles = np.column_stack([spread[:5, 0], rng.choice([-90.0, 90.0], 5)])
    points = np.concatenate([vertices[rows], edge, spread, nudged, corners, beside, seam, poles])
    points[:, 0] = np.where(np.abs(points[:, 0]) > 180, points[:, 0] % 360 - 360, points[:, 0])
    points[:, 0] = np.where(points[:, 0] < -180, points[:, 0] + 360, points[:, 0])
    points[:, 1] = np.clip(points[:, 1], -90, 90)
    return points
