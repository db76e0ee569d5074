"""Rings that cross the antimeridian uncut, and rings around a pole."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geotarget.errors import InvalidZone
from geotarget.geojson import parse_zone
from tests.strategies import SEEDS, feature, polygon, star_ring


def wrapped(ring: np.ndarray) -> np.ndarray:
    """Return a ring with longitudes within +-180, so that its edges jump."""
    lng = np.where(ring[:, 0] > 180, ring[:, 0] - 360, ring[:, 0])
    return np.column_stack([np.where(lng < -180, lng + 360, lng), ring[:, 1]])


@settings(max_examples=100, deadline=None)
@given(st.floats(170, 190), st.floats(-70, 70), st.floats(0.01, 15), SEEDS)
def test_every_way_to_write_it_means_the_same(
    lng: float, lat: float, size: float, seed: int
) -> None:
    """Jumping edges, longitudes beyond 180 and beyond -180 give one and the same zone."""
    rng = np.random.default_rng(seed)
    ring = star_ring(rng, lng, lat, size, 14)
    on_it = rng.integers(0, 14, 3)  # some vertices lie on the antimeridian itself
    ring[on_it[np.abs(ring[on_it, 0] - 180) < size / 4], 0] = 180.0
    ring[-1] = ring[0]
    made = []
    for written in (ring, ring - [360.0, 0.0], wrapped(ring)):
        try:
            made.append(parse_zone(feature("a", polygon(written))).geometry)
        except InvalidZone:  # a gap of half a turn between two corners
            made.append(shapely.Polygon())
    plain = shapely.Polygon(ring)
    assert plain.is_valid != made[0].is_empty
    for each in made:
        assert each.is_valid
        assert each.area == pytest.approx(made[0].area, rel=1e-9)
    if plain.is_valid:
        x, y = rng.uniform(*plain.bounds[::2], 300), rng.uniform(*plain.bounds[1::2], 300)
        clear = shapely.distance(plain.boundary, shapely.points(x, y)) > 1e-9
        moved = wrapped(np.column_stack([x, y]))
        for each in made:
            inside = shapely.intersects_xy(each, moved[:, 0], moved[:, 1])
            assert shapely.intersects_xy(plain, x, y)[clear].tolist() == inside[clear].tolist()


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_vertices_come_through_bit_for_bit(seed: int) -> None:
    """Only points on the antimeridian are new; no vertex that was given is lost or moved."""
    rng = np.random.default_rng(seed)
    ring = wrapped(star_ring(rng, 179.9, 10.0, 5.0, 20))
    zone = parse_zone(feature("a", polygon(ring)))
    given_points = set(map(tuple, ring.tolist()))
    made = set(map(tuple, shapely.get_coordinates(zone.geometry).tolist()))
    assert given_points <= made
    assert all(abs(x) == 180 for x, _ in made - given_points)


def test_holes_are_turned_to_their_shell() -> None:
    """A hole on the other side of the antimeridian, or across it, stays a hole."""
    shell = np.array([[160.0, 40], [-160, 40], [-160, 60], [160, 60], [160, 40]])
    across = np.array([[175.0, 45], [175, 55], [-175, 55], [-175, 45], [175, 45]])
    beyond = np.array([[-172.0, 45], [-170, 45], [-170, 55], [-172, 45]])
    zone = parse_zone(feature("a", polygon(shell, across, beyond)))
    lng = np.array([179.0, -179.0, -170.5, 170.0, -165.0, 180.0])
    inside = shapely.intersects_xy(zone.geometry, lng, np.full(6, 50.0))
    assert [False, False, False, True, True, False] == inside.tolist()


@pytest.mark.parametrize(
    ("lat", "step", "pole"), [(70.0, 30.0, 90.0), (-70.0, -30.0, -90.0)], ids=["north", "south"]
)
def test_a_ring_around_a_pole_holds_it(lat: float, step: float, pole: float) -> None:
    """With the interior to the left, eastward around the North Pole, westward around the South."""
    lng = 37.0 + step * np.arange(13)
    ring = wrapped(np.column_stack([(lng + 180) % 360 - 180, np.full(13, lat)]))
    zone = parse_zone(feature("a", polygon(ring)))
    assert zone.geometry.is_valid
    assert (-180.0, 180.0) == zone.geometry.bounds[::2]
    everywhere = np.linspace(-180, 180, 50)
    for level, inside in ((pole, True), (lat * 1.1, True), (lat * 0.9, False)):
        found = shapely.intersects_xy(zone.geometry, everywhere, np.full(50, level))
        assert [inside] * 50 == found.tolist()


@pytest.mark.parametrize("first", range(12))
def test_a_polar_ring_may_meander(first: int) -> None:
    """A coast that goes back and forth is closed over the pole, wherever its ring starts."""
    lng = np.array([0, 40, 20, 60, 120, 100, 160, 220, 200, 300, 330, 310.0])
    lat = np.array([70, 72, 75, 78, 70, 74, 76, 70, 73, 71, 74, 77.0])
    open_ring = np.roll(np.column_stack([(lng + 180) % 360 - 180, lat]), first, axis=0)
    zone = parse_zone(feature("a", polygon(np.vstack([open_ring, open_ring[:1]]))))
    assert zone.geometry.is_valid
    assert 1 == len(shapely.get_parts(zone.geometry))
    assert shapely.intersects_xy(zone.geometry, 33.0, 90.0)


@pytest.mark.parametrize(
    ("rings", "message"),
    [
        ([[[45, 40], [-45, 40], [-135, 40], [135, 40], [45, 40]]], "it holds the South Pole and"),
        ([[[0, 60], [120, 60], [-120, 60], [0, 50], [120, 50], [-120, 50], [0, 60]]], "2 times"),
        ([[[x, 80] for x in (0, 120, -120, 0)], [[x, 85] for x in (0, -120, 120, 0)]], "a hole r"),
        ([[[-200, 0], [170, 0], [170, 10], [-200, 0]]], "spans 370 degrees of longitude"),
        ([[[100, 60], [175, 65], [-175, 65], [-120, 0], [-170, -85], [175, -85], [0, -68],
           [-90, 0], [-90, 80], [0, 85], [100, 60]]], "it is unclear which side"),
        ([[[170, 0], [-170, 10], [-170, 0], [170, 10], [170, 0]]], "at longitude -180, latitude 5"),
    ],
    ids=["wrong way", "twice around", "hole around", "too wide", "both poles", "crossing"],
)  # fmt: skip
def test_what_is_not_clear_is_refused(rings: list[list[list[float]]], message: str) -> None:
    """Where two readings are possible the message says what it would mean and how to write it."""
    with pytest.raises(InvalidZone) as caught:
        parse_zone(feature("a", {"type": "Polygon", "coordinates": rings}))
    assert message in str(caught.value)
    if "longitude -180" not in message:
        assert "write it cut at the antimeridian (RFC 7946, section 3.1.9)" in str(caught.value)


@pytest.mark.parametrize(
    "ring",
    [
        [[-180, 40], [180, 40], [180, 50], [-180, 50], [-180, 40]],
        [[-180, -90], [180, -90], [180, 90], [-180, 90], [-180, -90]],
        [[0, 0], [180, 0], [180, 10], [0, 10], [0, 0]],
        [[-180, 0], [0, 0], [0, 10], [-180, 10], [-180, 0]],
    ],
    ids=["band", "earth", "east", "west"],
)
def test_the_form_of_rfc_7946_is_left_alone(ring: list[list[float]]) -> None:
    """Bands around the Earth and zones that end on the antimeridian are as they are."""
    assert shapely.Polygon(ring) == parse_zone(feature("a", polygon(np.array(ring)))).geometry


def test_parts_on_either_side_may_touch_there() -> None:
    """A zone cut by its author passes unchanged."""
    parts = [
        [[[170, 0], [180, 0], [180, 5], [170, 0]]],
        [[[-180, 0], [-170, 0], [-180, 5], [-180, 0]]],
    ]
    given_parts = {"type": "MultiPolygon", "coordinates": parts}
    zone = parse_zone(feature("a", given_parts))
    assert shapely.geometry.shape(given_parts) == zone.geometry
