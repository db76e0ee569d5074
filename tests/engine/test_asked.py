"""A trie that is built for certain pings answers them as any other does."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geotarget.engine import ZoneIndex
from geotarget.engine.asked import Asked
from geotarget.engine.covering import Covering
from geotarget.engine.plane import PART, matched_once
from geotarget.engine.shapes import Shapes
from geotarget.model import FloatArray, Zone
from tests.strategies import SEEDS, points_near, stars, zone_lists


def once(zones: list[Zone], points: FloatArray, threads: int = 1) -> list[list[int]]:
    """Return the pairs of points and zones, as `sjoin` finds them."""
    geometry = np.array([zone.geometry for zone in zones])
    box = shapely.bounds(geometry)
    x, y = np.ascontiguousarray(points.T)
    asked = Asked.of(box, lng=x, lat=y)
    near = asked.near(box)
    ping, zone = matched_once(Shapes.of_polygons(geometry[near], str), asked, threads=threads)
    return [ping.tolist(), near[zone].tolist()]


def in_the_plane(zones: list[Zone], points: FloatArray) -> list[list[int]]:
    """Return the pairs by `ZoneIndex`, of points away from the antimeridian."""
    return ZoneIndex.build(zones).query(lng=points[:, 0], lat=points[:, 1]).tolist()


@settings(max_examples=100, deadline=None)
@given(zone_lists(), SEEDS, st.sampled_from([1, 8, 200]), st.booleans())
def test_pairs_are_those_of_an_index(found: list[Zone], seed: int, times: int, apart: bool) -> None:
    """Be there few or many to a cell, in one corner or everywhere."""
    zones = [zone for zone in found if zone.radius_m is None]
    if not zones:
        return
    rng = np.random.default_rng(seed)
    points = np.concatenate([points_near(zone, rng) for zone in zones])
    points = points[np.abs(points[:, 0]) < 180]
    if apart:
        points = points[points[:, 0] <= np.median(points[:, 0])]
    points = np.repeat(points, times, axis=0)
    assert in_the_plane(zones, points) == once(zones, points)


@pytest.mark.parametrize("spread", [0.0, 1e-4, 0.01, 5.0])
def test_pings_in_a_heap_and_pings_all_over_find_their_zones(spread: float) -> None:
    """A table as small as the pings lie, under zones that reach far beyond."""
    zones = [*stars(300), Zone(id="large", geometry=shapely.box(-170, -80, 170, 80))]
    centre = zones[0].geometry.representative_point()
    points = np.random.default_rng(1).normal([centre.x, centre.y], spread, (2 * PART, 2))
    wanted = in_the_plane(zones, points)
    assert wanted == once(zones, points)
    assert wanted == once(zones, points, threads=2)


def test_the_antimeridian_is_an_edge() -> None:
    """Its two sides are far apart, and a pole is an edge like any other."""
    zones = [
        Zone(id="east", geometry=shapely.box(170, 80, 180, 90)),
        Zone(id="west", geometry=shapely.box(-180, 80, -170, 90)),
    ]
    points = np.array([[180, 85], [-180, 85], [175, 90], [0, 90], [180, 90.0]])
    assert [[0, 1, 2, 4], [0, 1, 0, 0]] == once(zones, points)


def test_no_pings_and_no_pings_near_make_no_pairs() -> None:
    """Nothing is asked, or nothing of what is there."""
    zones = stars(3)
    assert [[], []] == once(zones, np.empty((0, 2)))
    assert [[], []] == once(zones, np.array([[-100.0, -50], [-101, -51]]))


def test_few_pings_need_a_small_trie() -> None:
    """It grows with what is asked, up to that of an index."""
    zones = stars(2_000)
    geometry = np.array([zone.geometry for zone in zones])
    box = shapely.bounds(geometry)
    west, south, east, north = shapely.total_bounds(geometry)
    shapes = Shapes.of(zones)
    sizes = []
    for count in (100, 10_000, 1_000_000):
        x, y = np.random.default_rng(2).uniform(size=(2, count))
        x, y = west + x * (east - west), south + y * (north - south)
        covering = Covering.of(shapes, Asked.of(box, lng=x, lat=y))
        sizes.append(len(covering.records) + len(covering.nodes))
    whole = Covering.of(shapes)
    sizes.append(len(whole.records) + len(whole.nodes))
    assert sorted(sizes) == sizes
    assert sizes[0] < sizes[-1] / 10


def test_pings_all_over_but_for_a_few_that_lie_beyond_are_found() -> None:
    """The table is over all zones where some of the pings are, and none beside it is lost."""
    zones = stars(300)
    box = shapely.bounds(np.array([zone.geometry for zone in zones]))
    low, high = box[:, :2].min(axis=0), box[:, 2:].max(axis=0)
    points = np.random.default_rng(5).uniform(low, high, (20_000, 2))
    corners = np.array([low, high, [low[0], high[1]], [high[0], low[1]]])
    outlines = [shapely.get_coordinates(zone.geometry) for zone in zones]
    points[1::5][:4], points[2::5][:2] = corners, [[-179, 0], [0, 89]]
    points[3::5][: len(zones)] = [ring[ring[:, 0].argmax()] for ring in outlines]
    assert in_the_plane(zones, points) == once(zones, points)
