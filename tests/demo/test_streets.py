"""The demo's street graph: whole, small, and its ways are the shortest."""

from __future__ import annotations

import heapq
import math
from importlib import resources

import numpy as np
import pytest

from geotarget.demo.streets import Streets


@pytest.fixture(scope="module")
def streets() -> Streets:
    """Return the graph that the package carries."""
    return Streets.load()


def distances(streets: Streets, target: int) -> dict[int, float]:
    """Return metres to `target` along the streets, the plain way."""
    east, north = streets.plane(lng=streets.lng, lat=streets.lat)
    best: dict[int, float] = {}
    queue = [(0.0, target)]
    while queue:
        cost, node = heapq.heappop(queue)
        if node in best:
            continue
        best[node] = cost
        for other in streets.neighbour[streets.first[node] : streets.first[node + 1]].tolist():
            step = math.hypot(east[node] - east[other], north[node] - north[other])
            heapq.heappush(queue, (cost + step, other))
    return best


def test_file_is_small_and_names_its_source() -> None:
    """The package carries the streets in less than 400 kB, with attribution and licence."""
    file = resources.files("geotarget.demo").joinpath("streets.npz")
    assert len(file.read_bytes()) < 400_000
    note = Streets.load().note
    assert note["attribution"] == "© OpenStreetMap contributors"
    assert note["licence"].startswith("ODbL 1.0")


def test_graph_is_one_piece_in_central_helsinki(streets: Streets) -> None:
    """Every node can be reached from every other, both ways, and lies in the city's centre."""
    assert len(distances(streets, 0)) == len(streets)
    rows = np.repeat(np.arange(len(streets)), np.diff(streets.first))
    there = set(zip(rows.tolist(), streets.neighbour.tolist(), strict=True))
    assert {(b, a) for a, b in there} == there
    assert 24.93 < streets.lng.min() < streets.lng.max() < 24.96
    assert 60.16 < streets.lat.min() < streets.lat.max() < 60.18


def test_ways_are_the_shortest(streets: Streets) -> None:
    """Following the next nodes to a target costs what a plain search finds."""
    target = 1234
    ahead = streets.ways_to(target)
    best = distances(streets, target)
    east, north = streets.plane(lng=streets.lng, lat=streets.lat)
    assert ahead[target] == target
    for start in range(0, len(streets), 97):
        node, walked = start, 0.0
        while node != target:
            after = int(ahead[node])
            row = streets.neighbour[streets.first[node] : streets.first[node + 1]]
            assert after in row
            walked += math.hypot(east[node] - east[after], north[node] - north[after])
            node = after
        assert walked == pytest.approx(best[start])


def test_taste_changes_the_way_but_not_by_much(streets: Streets) -> None:
    """With a taste of their own people take other streets, none over 60 % longer."""
    plain = streets.ways_to(7)
    liked = streets.ways_to(7, np.random.default_rng(1))
    assert (plain != liked).any()
    best = distances(streets, 7)
    east, north = streets.plane(lng=streets.lng, lat=streets.lat)
    for start in range(0, len(streets), 211):
        node, walked = start, 0.0
        while node != 7:
            after = int(liked[node])
            walked += math.hypot(east[node] - east[after], north[node] - north[after])
            node = after
        assert walked <= 1.6 * best[start] + 1e-6


def test_plane_and_degrees_are_inverse(streets: Streets) -> None:
    """Metres in the plane lead back to the same place, and are metres."""
    east, north = streets.plane(lng=streets.lng, lat=streets.lat)
    lng, lat = streets.degrees(east=east, north=north)
    assert np.allclose(lng, streets.lng, atol=1e-12)
    assert np.allclose(lat, streets.lat, atol=1e-12)
    _, one_degree = streets.plane(
        lng=np.array([streets.lng.min()]), lat=np.array([streets.lat.min() + 0.001])
    )
    assert one_degree[0] == pytest.approx(111.195)


def test_nearest_is_the_nearest(streets: Streets) -> None:
    """A node is nearest to itself, and a place in between goes to the closer one."""
    some = np.arange(0, len(streets), 500)
    assert (streets.nearest(lng=streets.lng[some], lat=streets.lat[some]) == some).all()
