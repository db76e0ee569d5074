"""Ways between pings, and the zones that they cut."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings

from geotarget.engine import ZoneIndex
from geotarget.errors import InvalidPing
from geotarget.geojson import parse_zone
from geotarget.model import FloatArray, Zone
from tests.strategies import SEEDS, feature, points_near, polygon, stars, zone_lists


def lengths(index: ZoneIndex, ways: FloatArray) -> FloatArray:
    """Return which share of each way each zone covers, shape (ways, zones)."""
    pairs, fractions = index.segments(
        lng=ways[:, 0], lat=ways[:, 1], to_lng=ways[:, 2], to_lat=ways[:, 3]
    )
    share = np.zeros((len(ways), len(index)))
    np.add.at(share, (pairs[0], pairs[1]), fractions[1] - fractions[0])
    return share


@settings(max_examples=60, deadline=None)
@given(zone_lists(4), SEEDS)
def test_no_zone_on_the_way_is_missed(found: list[Zone], seed: int) -> None:
    """The covered share of each way lies between those of a zone a hair smaller and larger.

    Ways along edges are among them, for which rounding decides whether they are inside at all.
    """
    flat = [zone for zone in found if zone.radius_m is None]
    rng = np.random.default_rng(seed)
    index = ZoneIndex.build(flat)
    points = np.concatenate([np.zeros((2, 2)), *(points_near(zone, rng, 8) for zone in flat)])
    ways = np.hstack([points[:-1], points[1:]])
    ways = ways[np.abs(ways[:, 0] - ways[:, 2]) < 180]
    ways = ways[np.hypot(ways[:, 2] - ways[:, 0], ways[:, 3] - ways[:, 1]) > 1e-6]
    share = lengths(index, ways)
    lines = shapely.linestrings(ways.reshape(-1, 2, 2))
    for at, zone in enumerate(flat):
        inside = ~(np.abs(ways[:, 0]) == 180) & ~(np.abs(ways[:, 2]) == 180)  # two meridians there
        least, most = (
            shapely.length(shapely.intersection(shapely.buffer(zone.geometry, hair), lines))
            / shapely.length(lines)
            for hair in (-1e-8, 1e-8)
        )
        assert (least[inside] - 1e-6 <= share[inside, at]).all()
        assert (share[inside, at] <= most[inside] + 1e-6).all()


def test_ways_across_a_town_equal_the_reference() -> None:
    """Short ways and long ones among thousands of zones: the same zones as shapely finds."""
    zones = stars(3000)
    index = ZoneIndex.build(zones)
    rng = np.random.default_rng(1)
    start = rng.uniform([24, 60], [25, 60.5], (400, 2))
    ways = np.hstack([start, start + rng.normal(size=(400, 2)) * [[0.002, 0.001]]])
    ways[::20, 2:] = rng.uniform([24, 60], [25, 60.5], (20, 2))
    tree = shapely.STRtree([zone.geometry for zone in zones])
    wanted = tree.query(shapely.linestrings(ways.reshape(-1, 2, 2)), predicate="intersects")
    pairs, fractions = index.segments(
        lng=ways[:, 0], lat=ways[:, 1], to_lng=ways[:, 2], to_lat=ways[:, 3]
    )
    assert set(map(tuple, wanted.T.tolist())) == set(map(tuple, pairs.T.tolist()))
    assert (fractions[0] < fractions[1]).all()
    assert pairs.shape[1] > 300


def test_circles_and_polygons_come_in_one_answer() -> None:
    """Stretches are ordered by way, zone and entry, whatever kind of zone they are in."""
    ring = [[0, 0], [3, 0], [3, 2], [2, 2], [2, 1], [1, 1], [1, 2], [0, 2], [0, 0]]
    comb = parse_zone(feature("comb", polygon(np.array(ring, float))))
    disc = Zone(id="disc", geometry=shapely.Point(1.5, 1.5), radius_m=20_000.0)
    index = ZoneIndex.build([disc]).with_changes(put=[comb])
    pairs, fractions = index.segments(lng=[-1, 0], lat=[1.5, 5], to_lng=[4, 1], to_lat=[1.5, 5])
    assert [[0, 0, 0], [0, 1, 1]] == pairs.tolist()
    assert [0.2, 0.4, 0.6, 0.8] == pytest.approx(fractions[:, 1:].T.ravel().tolist())
    assert [0.464, 0.536] == pytest.approx(fractions[:, 0].tolist(), abs=0.001)


@pytest.mark.parametrize("turn", [1, -1])
def test_a_way_over_the_antimeridian_takes_the_short_way(turn: int) -> None:
    """From 179 to -179 through an island at 180, not around the Earth through Africa."""
    island = shapely.MultiPolygon(
        [shapely.box(179.5, -1, 180, 1), shapely.box(-180, -1, -179.5, 1)]
    )
    index = ZoneIndex.build(
        [Zone(id="island", geometry=island), Zone(id="africa", geometry=shapely.box(0, -1, 1, 1))]
    )
    way = {"lng": [179.0 * turn], "lat": [0], "to_lng": [-179.0 * turn], "to_lat": [0]}
    pairs, fractions = index.segments(**way)
    assert [[0], [0]] == pairs.tolist()
    assert [0.25, 0.75] == pytest.approx(fractions.ravel().tolist())


def test_impossible_ways_are_refused() -> None:
    """Ends out of range, and lists of different lengths."""
    index = ZoneIndex.build(stars(1))
    with pytest.raises(InvalidPing, match="longitude must be a finite number"):
        index.segments(lng=[181], lat=[0], to_lng=[0], to_lat=[0])
    with pytest.raises(InvalidPing, match="lng, to_lng: must be of one length"):
        index.segments(lng=[1, 2], lat=[0, 0], to_lng=[0], to_lat=[0])


def test_a_way_a_hair_west_of_a_border_of_cells() -> None:
    """The smallest number below 0 lies west of the meridian, though 180 more rounds it on to it."""
    south = Zone(id="south", geometry=shapely.box(-180, -90, 180, -89.9))
    north = Zone(id="north", geometry=shapely.box(-1, 0.5, 1, 1))
    index = ZoneIndex.build([south, north])
    hair = -5e-324
    pairs, fractions = index.segments(
        lng=[hair, hair], lat=[-89.95, 0.0], to_lng=[hair, hair], to_lat=[-90.0, 1.0]
    )
    assert pairs.tolist() == [[0, 1], [0, 1]]
    assert fractions.tolist() == [[0.0, 0.5], [1.0, 1.0]]
