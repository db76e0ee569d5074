"""`ZoneIndex` against the plain reference, on real zones and on nasty ones."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geotarget.engine import ZoneIndex
from geotarget.geojson import load_zones, parse_zone
from geotarget.model import Zone
from tests.oracle import covers_pairs, signed_distance_m
from tests.strategies import (
    SEEDS,
    feature,
    points_near,
    polygon,
    star_ring,
    stars,
    zone_lists,
    zones,
)

FILES = [
    "austin_neighborhoods",
    "berlin_plz",
    "country_coder",
    "liverpool_lsoa",
    "london_wards",
    "nyc_taxi_zones",
    "osm_buildings_monaco_krems",
    "osm_community_overlap",
    "us_counties",
    "world_countries_110m",
]

PINGS = ["austin_bus_2015-03-07_18", "hurdat2_ep", "liverpool_bus_route14"]


def pairs(index: ZoneIndex, points: np.ndarray) -> list[list[int]]:
    """Return the answer of a query as lists, for messages that can be read."""
    return index.query(lng=points[:, 0], lat=points[:, 1]).tolist()


def expected(found: list[Zone], points: np.ndarray) -> list[list[int]]:
    """Return the answer that the reference gives."""
    return covers_pairs(found, points[:, 0], points[:, 1]).tolist()


@settings(max_examples=150, deadline=None)
@given(zone_lists(), SEEDS)
def test_every_pair_equals_shapely(found: list[Zone], seed: int) -> None:
    """A query answers as `shapely.covers` does, on borders of zones and of cells too."""
    rng = np.random.default_rng(seed)
    points = np.concatenate([np.zeros((1, 2)), *(points_near(zone, rng) for zone in found)])
    assert expected(found, points) == pairs(ZoneIndex.build(found), points)


@pytest.mark.parametrize("name", FILES)
def test_real_zones_equal_shapely(shared_data: Path, name: str) -> None:
    """On real catalogues too: points on vertices, on edges and all around."""
    found = load_zones(shared_data / "zones" / f"{name}.geojson", number=True).zones
    rng = np.random.default_rng(len(found))
    vertices = shapely.get_coordinates([zone.geometry for zone in found])
    rows = rng.integers(0, len(vertices) - 1, 1000)
    middles = (vertices[rows] + vertices[rows + 1]) / 2
    west, south, east, north = shapely.total_bounds([zone.geometry for zone in found])
    around = np.column_stack([rng.uniform(west, east, 2000), rng.uniform(south, north, 2000)])
    points = np.concatenate([vertices[rows], middles, around, vertices[rows] + 1e-10])
    points = np.clip(points, [-180, -90], [180, 90])
    assert expected(found, points) == pairs(ZoneIndex.build(found), points)


@pytest.mark.parametrize(
    "name", ["austin_bus_2015-03-07_18", "hurdat2_ep", "liverpool_bus_route14"]
)
def test_real_pings_equal_shapely_in_all_real_zones(shared_data: Path, name: str) -> None:
    """Every recorded ping against every catalogue, one index for each."""
    pings = pd.read_csv(shared_data / "pings" / f"{name}.csv")
    lng, lat = pings["lon"].to_numpy(float), pings["lat"].to_numpy(float)
    found = 0
    for file in FILES:
        zones = load_zones(shared_data / "zones" / f"{file}.geojson", number=True).zones
        flat = [zone for zone in zones if zone.radius_m is None]
        tree = shapely.STRtree([zone.geometry for zone in flat])
        wanted = tree.query(shapely.points(lng, lat), predicate="covered_by")
        pairs = ZoneIndex.build(flat).query(lng=lng, lat=lat)
        assert wanted[:, np.lexsort((wanted[1], wanted[0]))].tolist() == pairs.tolist()
        found += pairs.shape[1]
    assert found > len(lng)


def test_a_crowd_of_overlapping_zones_is_found_whole() -> None:
    """Four hundred zones around one point are all found, in the order of their positions."""
    rng = np.random.default_rng(3)
    rings = [star_ring(rng, 24.94, 60.17, 0.01 * (1 + i), 20) for i in range(400)]
    index = ZoneIndex.build(
        [Zone(id=str(i), geometry=shapely.Polygon(ring)) for i, ring in enumerate(rings)]
    )
    assert [[0] * 400, list(range(400))] == index.query(lng=24.94, lat=60.17).tolist()


def test_the_answer_is_ordered_by_ping_then_by_zone() -> None:
    """Pairs come in the order that shapely's `STRtree.query` gives them."""
    index = ZoneIndex.build(stars(300))
    rng = np.random.default_rng(0)
    ping, zone = index.query(lng=rng.uniform(24, 25, 5000), lat=rng.uniform(60, 60.5, 5000))
    assert sorted(zip(ping.tolist(), zone.tolist(), strict=True)) == list(
        zip(ping.tolist(), zone.tolist(), strict=True)
    )
    assert len(ping) > 20


@pytest.mark.parametrize("side", [180.0, -180.0])
def test_both_names_of_the_antimeridian_are_one(side: float) -> None:
    """A ping at 180 or -180 is in a zone that touches either."""
    east = parse_zone(feature("e", polygon(np.array([[179, 0], [180, 0], [180, 1], [179, 0]]))))
    west = parse_zone(feature("w", polygon(np.array([[-179, 0], [-180, 0], [-180, 1], [-179, 0]]))))
    index = ZoneIndex.build([east, west])
    assert [[0, 0], [0, 1]] == index.query(lng=side, lat=0.5).tolist()


RINGS = {
    "short way": [[175.0, -20], [-175.0, -18], [-170.0, -10], [178.0, -12], [175.0, -20]],
    "beyond 180": [[175.0, -20], [185.0, -18], [190.0, -10], [178.0, -12], [175.0, -20]],
    "beyond -180": [[-185.0, -20], [-175.0, -18], [-170.0, -10], [-182.0, -12], [-185.0, -20]],
}


@pytest.mark.parametrize("form", RINGS)
def test_an_island_on_the_antimeridian_answers_as_its_copy_at_zero(form: str) -> None:
    """Membership and distance are those of the same ring moved to longitude 0."""
    copy = np.array([[-5.0, -20], [5.0, -18], [10.0, -10], [-2.0, -12], [-5.0, -20]])
    island = ZoneIndex.build([parse_zone(feature("i", polygon(np.array(RINGS[form]))))])
    moved = ZoneIndex.build([parse_zone(feature("i", polygon(copy)))])
    rng = np.random.default_rng(5)
    here = np.column_stack([rng.uniform(-12, 14, 4000), rng.uniform(-23, -7, 4000)])
    here[:50, 0] = 0.0
    there = np.add(here, [180.0, 0.0])
    there[:, 0] = np.where(there[:, 0] > 180, there[:, 0] - 360, there[:, 0])
    assert pairs(moved, here) == pairs(island, there)
    zone = np.zeros(len(here), int)
    wanted = moved.signed_distance(lng=here[:, 0], lat=here[:, 1], zone=zone)
    actual = island.signed_distance(lng=there[:, 0], lat=there[:, 1], zone=zone)
    assert wanted == pytest.approx(actual, abs=1e-6)
    assert moved.area_m2 == pytest.approx(island.area_m2, rel=1e-12)
    assert moved.depth_m == pytest.approx(island.depth_m, rel=1e-12)


def test_the_whole_earth_is_a_zone_without_boundary() -> None:
    """Every ping is in it, infinitely far from a boundary that it does not have."""
    ring = np.array([[-180, -90], [180, -90], [180, 90], [-180, 90], [-180, -90]], float)
    index = ZoneIndex.build([parse_zone(feature("earth", polygon(ring)))])
    lng, lat = [-180.0, 180.0, 0.0, 13.0], [90.0, -90.0, 0.0, 89.99]
    assert [0, 1, 2, 3] == index.query(lng=lng, lat=lat)[0].tolist()
    assert [np.inf] * 4 == index.signed_distance(lng=lng, lat=lat, zone=[0] * 4).tolist()
    assert index.area_m2 == pytest.approx(510_065_621_724_088.4, rel=1e-12)


@settings(max_examples=60, deadline=None)
@given(zones(), SEEDS)
def test_the_sign_of_the_distance_is_membership(zone: Zone, seed: int) -> None:
    """Distance is never negative for a covered ping, nor positive for another."""
    points = points_near(zone, np.random.default_rng(seed))
    index = ZoneIndex.build([zone])
    rows = np.zeros(len(points), int)
    distance = index.signed_distance(lng=points[:, 0], lat=points[:, 1], zone=rows)
    inside = np.zeros(len(points), bool)
    inside[index.query(lng=points[:, 0], lat=points[:, 1])[0]] = True
    assert (distance[inside] >= 0).all()
    assert (distance[~inside] <= 0).all()


def test_distances_of_real_zones_equal_the_reference(shared_data: Path) -> None:
    """Near the outlines of city wards the distance is that of the reference."""
    found = load_zones(shared_data / "zones" / "london_wards.geojson", number=True).zones[:80]
    index = ZoneIndex.build(found)
    rng = np.random.default_rng(11)
    zone = rng.integers(0, len(found), 400)
    start = np.array([shapely.get_coordinates(found[row].geometry)[0] for row in zone])
    point = start + rng.normal(0, 0.004, start.shape)
    actual = index.signed_distance(lng=point[:, 0], lat=point[:, 1], zone=zone)
    wanted = [
        signed_distance_m(found[row], lng=x, lat=y)
        for row, (x, y) in zip(zone, point.tolist(), strict=True)
    ]
    assert wanted == pytest.approx(actual, abs=0.001, rel=1e-7)


# -- edits ---------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(0, 12), max_size=4), st.lists(st.integers(0, 12), max_size=4)
        ),
        min_size=1,
        max_size=5,
    )
)
def test_an_edited_index_equals_a_new_one(edits: list[tuple[list[int], list[int]]]) -> None:
    """After any chain of edits every answer is that of an index built from scratch."""
    pool = stars(60, seed=4)
    index = ZoneIndex.build([])
    rng = np.random.default_rng(len(edits))
    for step, (put, remove) in enumerate(edits):
        fresh = {
            f"z{number}": Zone(id=f"z{number}", geometry=pool[number + step].geometry)
            for number in put
        }
        index = index.with_changes(put=list(fresh.values()), remove=[f"z{i}" for i in remove])
    again = ZoneIndex.build(index.zones)
    points = np.concatenate(
        [np.zeros((1, 2)), *(points_near(zone, rng, 10) for zone in index.zones)]
    )
    assert pairs(again, points) == pairs(index, points)
    assert again.area_m2.tolist() == index.area_m2.tolist()
    rows = np.repeat(np.arange(len(index)), 3)
    far = {"lng": np.full(len(rows), 24.5), "lat": np.full(len(rows), 60.2), "zone": rows}
    assert again.signed_distance(**far).tolist() == index.signed_distance(**far).tolist()


def test_an_edit_keeps_places_and_leaves_the_old_index_alone() -> None:
    """A replaced zone keeps its place, the others close ranks, new ones follow at the end."""
    old = ZoneIndex.build(stars(4))
    moved = Zone(id="s1", geometry=shapely.Point(10, 10), radius_m=50.0, revision=7, key=9)
    new = old.with_changes(put=[moved, *stars(1, seed=9, first=8)], remove=["s0", "unknown"])
    assert ["s1", "s2", "s3", "s8"] == list(new.ids)
    assert [9, 0, 0, 0] == new.keys.tolist()
    assert [[0], [0]] == new.query(lng=10, lat=10).tolist()
    assert ["s0", "s1", "s2", "s3"] == list(old.ids)
    assert [[], []] == old.query(lng=10, lat=10).tolist()
    assert 2 == new.position("s3")


def test_a_replaced_zone_is_the_new_one() -> None:
    """Also where nothing but its name changed."""
    (zone,) = stars(1)
    renamed = Zone(id=zone.id, geometry=shapely.Polygon(zone.geometry), name="new", revision=2)
    index = ZoneIndex.build([zone]).with_changes(put=[renamed])
    assert [renamed] == list(index.zones)


def test_put_wins_over_remove() -> None:
    """A zone that is put and removed in one change stays."""
    (zone,) = stars(1)
    assert ["s0"] == list(ZoneIndex.build([]).with_changes(put=[zone], remove=["s0"]).ids)


def test_queries_from_threads_agree() -> None:
    """Many threads ask one index, and edits go on beside them, without a wrong answer."""
    rng = np.random.default_rng(2)
    detailed = [
        Zone(id=str(i), geometry=shapely.Polygon(star_ring(rng, 24.5, 60.2, 0.1 + 0.01 * i, 900)))
        for i in range(30)
    ]
    points = np.column_stack([rng.uniform(24.3, 24.7, 3000), rng.uniform(60, 60.4, 3000)])
    wanted = expected(detailed, points)
    index = ZoneIndex.build(detailed)
    answers: list[list[list[int]]] = []

    def ask() -> None:
        for _ in range(5):
            answers.append(pairs(index, points))
            edited = index.with_changes(put=stars(1, first=100), remove=["3"])
            assert 30 == len(edited)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 20 == len(answers)
    assert all(wanted == answer for answer in answers)


def test_the_same_source_runs_without_numba() -> None:
    """Where numba is missing the answers are the same."""
    script = (
        "import sys; sys.modules[{block!r}] = None\n"
        "import numpy as np, shapely\n"
        "from geotarget.engine import ZoneIndex\n"
        "from geotarget.engine.compiled import COMPILED, DESCRIPTION\n"
        "from tests.strategies import stars\n"
        "index = ZoneIndex.build(stars(8))\n"
        "rng = np.random.default_rng(6)\n"
        "lng, lat = rng.uniform(24, 25, 300), rng.uniform(60, 60.5, 300)\n"
        "d = index.signed_distance(lng=lng, lat=lat, zone=np.arange(300) % 8)\n"
        "print(COMPILED, DESCRIPTION, file=sys.stderr)\n"
        "print(index, index.query(lng=lng, lat=lat).tolist(), d.round(6).tolist())\n"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", script.format(block=block)],
            capture_output=True,
            text=True,
            check=True,
        )
        for block in ("numba", "no_such_module")
    ]
    assert runs[0].stdout == runs[1].stdout
    assert runs[0].stderr.startswith("False kernels run as plain Python")
    assert runs[1].stderr.startswith("True kernels compiled by numba")
