"""Zones as vector tiles, read by a plain decoder that was written from the format's description."""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import shapely

from geotarget.api.zone_map import EARTH_M, NAMES_FROM, tone
from tests.api.conftest import Api
from tests.api.documents import square

EXTENT = 4096
PIXEL = EXTENT / 512
TOWN = (24.94, 60.17)


@dataclass
class Feature:
    """What a decoder reads of a feature."""

    kind: int
    properties: dict[str, Any]
    paths: list[list[tuple[int, int]]]


def fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Give the fields of a protobuf message: number, and a number or bytes."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        head = varint()
        if head & 7 == 2:
            size = varint()
            yield head >> 3, data[at : at + size]
            at += size
        else:
            assert head & 7 == 0, "another wire type than ours"
            yield head >> 3, varint()


def numbers(data: bytes) -> list[int]:
    """Return packed varints."""
    found, value, shift = [], 0, 0
    for byte in data:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            found.append(value)
            value = shift = 0
    return found


def paths(commands: list[int]) -> list[list[tuple[int, int]]]:
    """Return what the pen draws: MoveTo begins a path, ClosePath leaves the pen where it is."""
    found: list[list[tuple[int, int]]] = []
    x = y = at = 0
    while at < len(commands):
        what, times = commands[at] & 7, commands[at] >> 3
        at += 1
        for _ in range(times):
            if what == 7:
                continue
            dx, dy = ((each >> 1) ^ -(each & 1) for each in commands[at : at + 2])
            at += 2
            x, y = x + dx, y + dy
            if what == 1:
                found.append([])
            found[-1].append((x, y))
    return found


def decode(tile: bytes) -> dict[str, list[Feature]]:
    """Return the features of each layer."""
    layers: dict[str, list[Feature]] = {}
    for number, layer in fields(tile):
        assert number == 3
        parts = list(fields(layer))
        one = dict(parts)
        assert (one[15], one[5]) == (2, EXTENT)
        keys = [each.decode() for number, each in parts if number == 3]
        values = [
            each.decode() if kind == 1 else each
            for number, value in parts
            if number == 4
            for kind, each in fields(value)
        ]
        found = layers.setdefault(one[1].decode(), [])
        for raw in (each for number, each in parts if number == 2):
            own = dict(fields(raw))
            tags = numbers(own[2])
            pairs = zip(tags[::2], tags[1::2], strict=True)
            properties = {keys[key]: values[value] for key, value in pairs}
            found.append(Feature(own[3], properties, paths(numbers(own[4]))))
    return layers


def units(at: np.ndarray, z: int, x: int, y: int) -> np.ndarray:
    """Return degrees in units of a tile, by the formula of the Web Mercator pyramid."""
    lng, lat = at[:, 0], np.radians(np.clip(at[:, 1], -85.0511287798, 85.0511287798))
    north = np.log(np.tan(np.pi / 4 + lat / 2))
    whole = np.column_stack([lng / 360 + 0.5, 0.5 - north / (2 * np.pi)]) * (1 << z)
    return (whole - [x, y]) * EXTENT


def tile_of(lng: float, lat: float, z: int) -> tuple[int, int, int]:
    """Return the tile in which a place lies."""
    x, y = (units(np.array([[lng, lat]]), z, 0, 0)[0] // EXTENT).astype(int)
    return z, int(x), int(y)


def tile(api: Api, z: int, x: int, y: int) -> dict[str, list[Feature]]:
    """Ask for a tile."""
    answer = api.client.get(f"/v1/tiles/zones/{z}/{x}/{y}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/vnd.mapbox-vector-tile"
    return decode(answer.content)


def ids(features: list[Feature]) -> set[str]:
    """Return the ids of features."""
    return {each.properties["id"] for each in features}


def drawn(feature: Feature) -> shapely.Geometry:
    """Return the area that a feature covers: outlines run one way, holes the other."""
    outlines, holes = [], []
    for path in feature.paths:
        ring = shapely.LinearRing(path)
        (outlines if ring.is_ccw else holes).append(shapely.Polygon(path))
    return shapely.union_all(outlines).difference(shapely.union_all(holes))


def star(corners: int, *, seed: int, radius: float) -> dict[str, Any]:
    """Return a zone with an uneven outline and a hole around the town."""
    rng = np.random.default_rng(seed)
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    spread = radius * rng.uniform(0.6, 1, corners)
    round_ = np.column_stack([np.cos(angle) * 2, np.sin(angle)])
    outer = TOWN + round_ * spread[:, None]
    hole = TOWN + round_[::-1] * radius / 3
    rings = [np.vstack([each, each[:1]]).round(7).tolist() for each in (outer, hole)]
    return {
        "type": "Feature",
        "properties": {},
        "geometry": {"type": "Polygon", "coordinates": rings},
    }


@pytest.mark.parametrize("z", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("corners", [12, 1000])
def test_outlines_are_true_to_a_pixel(api: Api, z: int, corners: int) -> None:
    """What a tile covers is the zone, but for what lies within a pixel of its outline."""
    feature = star(corners, seed=z, radius=0.02)
    api.call("PUT", "/v1/zones/star", expect=200, json=feature)
    rings = [np.array(ring) for ring in feature["geometry"]["coordinates"]]
    place = tile_of(TOWN[0] + 0.012, TOWN[1] + 0.006, z)
    zone = shapely.Polygon(units(rings[0], *place), [units(rings[1], *place)])
    (found,) = tile(api, *place)["zones"]
    assert (found.kind, found.properties) == (
        3,
        {"id": "star", "name": "star", "tone": tone("star"), "off": 0},
    )
    frame = shapely.box(0, 0, EXTENT, EXTENT)
    wrong = drawn(found).symmetric_difference(zone).intersection(frame)
    assert wrong.difference(zone.boundary.buffer(PIXEL)).area == 0
    assert zone.intersection(frame).area > 0


def test_what_is_too_small_is_a_dot(api: Api) -> None:
    """From afar a shop is a point, near by an outline; of two on one spot one is told."""
    api.call("PUT", "/v1/zones/a", expect=200, json=square())
    api.call("PUT", "/v1/zones/b", expect=200, json=square())
    centre = square()["geometry"]["coordinates"][0][0]
    far, near = (tile(api, *tile_of(*centre, z)) for z in (4, 15))
    (dot,) = far["dots"]
    assert (dot.kind, dot.properties["id"]) == (1, "a")
    (at,) = units(np.array([centre]), *tile_of(*centre, 4))
    assert math.dist(dot.paths[0][0], at) < 2 * PIXEL
    assert "zones" not in far
    assert ids(near["zones"]) == {"a", "b"}
    assert "dots" not in near


def test_a_name_is_told_in_one_tile_only(api: Api) -> None:
    """However many tiles a zone lies in: else it would stand there many times."""
    api.call("PUT", "/v1/zones/star", expect=200, json=star(40, seed=1, radius=0.05))
    for z, times in ((NAMES_FROM, 1), (NAMES_FROM - 1, 0)):
        _, x, y = tile_of(*TOWN, z)
        near = [(z, x + dx, y + dy) for dx in range(-5, 6) for dy in range(-5, 6)]
        met = [tile(api, *place) for place in near]
        assert sum(len(each.get("names", [])) for each in met) == times, z
        assert sum(len(each.get("zones", [])) for each in met) > 1, z


def test_a_tile_follows_the_catalogue(api: Api) -> None:
    """A changed zone is drawn changed, one that is off says so, one that is gone is not drawn."""
    place = tile_of(*square()["geometry"]["coordinates"][0][0], 15)
    assert tile(api, *place) == {}
    api.call("PUT", "/v1/zones/a", expect=200, json=square())
    before = tile(api, *place)["zones"]
    assert ids(before) == {"a"}
    api.call("PUT", "/v1/zones/a", expect=200, json=square(active=False, name="Ä"))
    (changed,) = tile(api, *place)["zones"]
    assert (changed.properties["off"], changed.properties["name"]) == (1, "Ä")
    assert changed.paths == before[0].paths
    api.call("DELETE", "/v1/zones/a", expect=204)
    assert tile(api, *place) == {}


def circle(api: Api, lng: float, lat: float, radius_m: float) -> None:
    """Put a circle."""
    feature = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [lng, lat]},
        "properties": {"radius_m": radius_m},
    }
    api.call("PUT", "/v1/zones/c", expect=200, json=feature)


@pytest.mark.parametrize("lng", [179.95, -179.95])
def test_a_circle_over_the_antimeridian_is_on_both_sides(api: Api, lng: float) -> None:
    """Its other half is at the other end of the map."""
    circle(api, lng, 10.0, 20_000)
    _, _, y = tile_of(lng, 10.0, 9)
    size = 20_000 / (math.pi * EARTH_M / 180)
    for x, edge in ((0, -180.0), (511, 180.0)):
        (half,) = tile(api, 9, x, y)["zones"]
        inner = np.array([[edge + math.copysign(size / 3, -edge), 10.0]])
        assert drawn(half).covers(shapely.Point(units(inner, 9, x, y)[0])), x


def test_a_zone_cut_at_the_antimeridian_is_drawn_without_the_cut(api: Api) -> None:
    """GeoJSON cuts it there; on either side of the map it goes on beyond the edge of the tile."""
    halves = [
        [[[179.9, 10], [180, 10], [180, 10.1], [179.9, 10.1], [179.9, 10]]],
        [[[-180, 10], [-179.9, 10], [-179.9, 10.1], [-180, 10.1], [-180, 10]]],
    ]
    feature = {
        "type": "Feature",
        "geometry": {"type": "MultiPolygon", "coordinates": halves},
        "properties": {},
    }
    api.call("PUT", "/v1/zones/fiji", expect=200, json=feature)
    _, _, y = tile_of(179.95, 10.05, 9)
    for x, edge in ((511, EXTENT), (0, 0)):
        (side,) = tile(api, 9, x, y)["zones"]
        assert len(side.paths) == 1
        assert edge not in {at for at, _ in side.paths[0]}
        assert drawn(side).covers(shapely.Point(edge, drawn(side).centroid.y)), x


@pytest.mark.parametrize("lat", [89.9, -89.9])
def test_a_circle_at_a_pole_is_beyond_the_map(api: Api, lat: float) -> None:
    """The map ends at 85 degrees; whoever is there is not drawn, and nothing breaks."""
    circle(api, 25.0, lat, 90_000)
    api.call("PUT", "/v1/zones/a", expect=200, json=square())
    assert ids(tile(api, 0, 0, 0)["dots"]) == {"a"}
    for place in ((0, 0, 0), (3, 4, 0), (3, 4, 7)):
        assert all(drawn(each).area == 0 for each in tile(api, *place).get("zones", []))


@pytest.mark.parametrize(
    ("place", "named"), [("3/8/0", "x"), ("3/0/8", "y"), ("23/0/0", "z"), ("3/-1/0", "x")]
)
def test_a_place_off_the_map_is_refused(api: Api, place: str, named: str) -> None:
    """With the name of what is wrong."""
    answer = api.call("GET", f"/v1/tiles/zones/{place}", expect=422)
    assert named in str(answer["errors"])


def test_large_tiles_go_compressed(api: Api) -> None:
    """To who takes it."""
    features = [square(name="n" * 60) | {"id": f"{each}"} for each in range(40)]
    many = {"type": "FeatureCollection", "features": features}
    api.call("POST", "/v1/zones", expect=200, json=many)
    z, x, y = tile_of(*square()["geometry"]["coordinates"][0][0], 15)
    path = f"/v1/tiles/zones/{z}/{x}/{y}"
    plain = api.client.get(path, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    with api.client.stream("GET", path, headers={"Accept-Encoding": "gzip"}) as small:
        assert small.headers["content-encoding"] == "gzip"
        raw = b"".join(small.iter_raw())
    assert gzip.decompress(raw) == plain.content
    assert len(raw) < len(plain.content) / 2


def test_a_list_without_outlines(api: Api) -> None:
    """In their place figures and a box; ten times as many in one answer."""
    api.call("PUT", "/v1/zones/star", expect=200, json=star(12, seed=3, radius=0.02))
    circle(api, 179.9, 0.0, 50_000)
    answer = api.call("GET", "/v1/zones?outlines=false&limit=10000", expect=200)
    around, uneven = answer["features"]
    assert (around["geometry"], uneven["geometry"]) == (None, None)
    assert around["shape"] == {
        "type": "circle", "parts": 1, "holes": 0, "corners": 0, "area_m2": 7_850_000_000.0
    }  # fmt: skip
    west, _, east, _ = around["bbox"]
    assert 179 < west < 180
    assert -180 < east < -179
    stored = api.call("GET", "/v1/zones/star", expect=200)["geometry"]["coordinates"]
    shape = shapely.Polygon(stored[0], stored[1:])
    assert uneven["bbox"] == list(shape.bounds)
    assert {"parts": 1, "holes": 1, "corners": 24}.items() <= uneven["shape"].items()
    metres = (math.pi * EARTH_M / 180) ** 2 * math.cos(math.radians(TOWN[1]))
    assert uneven["shape"]["area_m2"] == pytest.approx(shape.area * metres, rel=0.01)
    too_many = api.call("GET", "/v1/zones?limit=1001", expect=422)
    assert "1000" in str(too_many)


def test_a_list_without_outlines_goes_on_where_it_stopped(api: Api) -> None:
    """By the same cursor, each zone once."""
    features = [square() | {"id": f"{each:04}"} for each in range(1_203)]
    for start in range(0, len(features), 500):
        part = {"type": "FeatureCollection", "features": features[start : start + 500]}
        api.call("POST", "/v1/zones", expect=200, json=part)
    found, cursor = [], ""
    for expected in (1_100, 103):
        page = api.call("GET", f"/v1/zones?outlines=false&limit=1100{cursor}", expect=200)
        assert len(page["features"]) == expected
        found += [each["id"] for each in page["features"]]
        cursor = f"&cursor={page['next']}"
    assert page["next"] is None
    assert found == [each["id"] for each in features]
