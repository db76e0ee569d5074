"""People walk plausibly, report honestly, and go on where they would be by now."""

from __future__ import annotations

import math
import threading
from itertools import chain, pairwise
from typing import Any

import numpy as np
import pytest
import shapely

from geotarget.demo.campaigns import CAMPAIGNS, catalogue_path
from geotarget.demo.fleet import Fixes, Fleet, Place, places_in, walk
from geotarget.demo.streets import Streets
from geotarget.engine.offline import detect_transitions
from geotarget.engine.zone_index import ZoneIndex
from geotarget.geojson import load_zones
from geotarget.model import Zone

START_MS = 1_790_000_000_000


@pytest.fixture(scope="module")
def zones() -> list[Zone]:
    """Return the demo's zones."""
    return load_zones(catalogue_path()).zones


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    """Return the demo's fleet."""
    return Fleet(200)


STREETS = Streets.load()


def metres(lng: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """Return positions in a plane, one row each."""
    return np.column_stack(STREETS.plane(lng=lng, lat=lat))


def test_walkers_stay_on_streets_but_for_visits(fleet: Fleet, zones: list[Zone]) -> None:
    """Everybody is on a street, or on the way between a street and a place."""
    east, north = STREETS.plane(lng=STREETS.lng, lat=STREETS.lat)
    rows = np.repeat(np.arange(len(STREETS)), np.diff(STREETS.first))
    ends = np.stack([rows, STREETS.neighbour.astype(np.int64)], axis=1)
    lines = shapely.linestrings(np.stack([east[ends], north[ends]], axis=2))
    places = [(each, *place_metres(each)) for each in places_in(zones)]
    for at_ms in range(START_MS, START_MS + 3_600_000, 313_000):
        where = metres(*fleet.positions(at_ms))
        points = shapely.points(where)
        off = shapely.distance(points[:, None], shapely.union_all(lines))[:, 0] > 0.5
        for x, y in where[off]:
            assert any(
                math.hypot(x - px, y - py) < 1 + place.spread_m + door_m
                for place, px, py, door_m in places
            )
        assert off.mean() < 0.3


def place_metres(place: Place) -> tuple[float, float, float]:
    """Return a place in the plane and how far its nearest street node is."""
    x, y = STREETS.plane(lng=np.array([place.lng]), lat=np.array([place.lat]))
    node = STREETS.nearest(lng=np.array([place.lng]), lat=np.array([place.lat]))
    east, north = STREETS.plane(lng=STREETS.lng[node], lat=STREETS.lat[node])
    return float(x[0]), float(y[0]), math.hypot(float(east[0] - x[0]), float(north[0] - y[0]))


def test_nobody_jumps(fleet: Fleet) -> None:
    """Between two moments nobody goes faster than a cyclist, and most at the pace of a walk."""
    moments = [metres(*fleet.positions(START_MS + 1000 * i)) for i in range(900)]
    steps = np.hypot(*np.moveaxis(np.diff(moments, axis=0), 2, 0))
    assert steps.max() <= 4.5 + 1e-6
    walking = steps[steps > 0.2]
    assert 1.0 < np.median(walking) < 1.6


def test_position_is_a_function_of_the_time_of_day(fleet: Fleet) -> None:
    """A fleet that is made again is where the first one is, and reports the same fixes."""
    again = Fleet(200)
    at_ms = START_MS + 86_400_000 * 3 + 123
    assert all(
        np.array_equal(a, b)
        for a, b in zip(fleet.positions(at_ms), again.positions(at_ms), strict=True)
    )
    first, second = fleet.fixes(at_ms, at_ms + 5_000), again.fixes(at_ms, at_ms + 5_000)
    assert columns(first) == columns(second)


def columns(fixes: Fixes) -> list[list[float]]:
    """Return the columns as lists."""
    return [each.tolist() for each in (fixes.walker, fixes.ts, fixes.lng, fixes.lat, fixes.acc)]


def test_another_seed_gives_other_walks() -> None:
    """Two seeds, two fleets."""
    here, there = Fleet(5, seed=1), Fleet(5, seed=2)
    assert not np.allclose(here.positions(START_MS), there.positions(START_MS))


def test_fixes_of_intervals_add_up(fleet: Fleet) -> None:
    """However time is cut into intervals, each fix comes once, in order, every 2 to 5 seconds."""
    whole = columns(fleet.fixes(START_MS, START_MS + 20_000))
    cuts = [START_MS, START_MS + 1, START_MS + 77, START_MS + 9_000, START_MS + 20_000]
    parts = [columns(fleet.fixes(a, b)) for a, b in pairwise(cuts)]
    assert whole == [list(chain(*each)) for each in zip(*parts, strict=True)]
    walker, ts = np.array(whole[0]), np.array(whole[1])
    assert (np.diff(ts) >= 0).all()
    for number in range(len(fleet)):
        gaps = np.diff(ts[walker == number])
        assert len(gaps) >= 3
        assert len(set(gaps.tolist())) == 1
        assert 2_000 <= gaps[0] <= 5_000


def test_error_is_what_the_accuracy_says(fleet: Fleet) -> None:
    """About 68 % of fixes lie within their reported accuracy of 5 to 15 m."""
    inside = []
    for since_ms in range(START_MS, START_MS + 3_600_000, 60_000):
        fixes = fleet.fixes(since_ms, since_ms + 500)
        told = metres(fixes.lng, fixes.lat)
        for number, (walker, ts) in enumerate(
            zip(fixes.walker.tolist(), fixes.ts.tolist(), strict=True)
        ):
            true = metres(*fleet.positions(ts))[walker]
            assert 5.0 <= fixes.acc[number] <= 15.0
            inside.append(math.dist(true, told[number]) <= fixes.acc[number])
    assert len(inside) > 1_500
    assert sum(inside) / len(inside) == pytest.approx(0.68, abs=0.04)


def test_speed_makes_everybody_quicker() -> None:
    """Twice the speed is the same round in half the time."""
    slow, quick = Fleet(20), Fleet(20, speed=2.0)
    assert np.allclose(slow.positions(2 * START_MS), quick.positions(START_MS))


def test_names_have_room_for_all() -> None:
    """Device names sort as their numbers do."""
    assert Fleet(2, places=[]).devices == ("walker-001", "walker-002")
    names = Fleet(1_000, places=[]).devices
    assert names[-1] == "walker-1000"
    assert list(names) == sorted(names)


def test_places_leave_districts_out(zones: list[Zone]) -> None:
    """People go to the parts of zones, not to the middle of a district."""
    places = places_in(zones)
    index = ZoneIndex.build(zones)
    _, zone = index.query(
        lng=np.array([each.lng for each in places]), lat=np.array([each.lat for each in places])
    )
    visited = {index.ids[each] for each in zone}
    assert visited == {each.id for each in zones}
    without = places_in([each for each in zones if each.id != "kluuvi"])
    assert without == places


@pytest.mark.parametrize("day", range(8))
def test_offers_are_owed_soon_after_any_start(day: int, fleet: Fleet, zones: list[Zone]) -> None:
    """Whenever the demo starts, its campaigns have something to offer within half a minute."""
    start_ms = START_MS + day * 97_531_000
    fixes = fleet.fixes(start_ms, start_ms + 30_000)
    events = detect_transitions(
        {
            "device": [fleet.devices[each] for each in fixes.walker],
            "ts": fixes.ts / 1000,
            "lng": fixes.lng,
            "lat": fixes.lat,
            "acc": fixes.acc,
        },
        ZoneIndex.build(zones),
        dwell_s=[CAMPAIGNS["stay-a-while"]["trigger"]["dwell_s"]],
    ).to_pylist()
    tags = {zone.id: set(zone.tags) for zone in zones}
    owed = [
        (name, event["initial"])
        for name, campaign in CAMPAIGNS.items()
        for event in events
        if event["kind"] in campaign["trigger"]["on"]
        and tags[event["zone"]] & set(campaign["trigger"]["zones"]["tags"])
        and (campaign["trigger"].get("initial", True) or not event["initial"])
    ]
    assert len(owed) >= 10
    assert {"loyalty-greeting", "stay-a-while"} <= {name for name, _ in owed}
    assert False in {initial for _, initial in owed}, "nobody walked in"


class Clock:
    """A clock that a test moves."""

    def __init__(self, now_ms: int, step_ms: int) -> None:
        self.now_ms = now_ms
        self.step_ms = step_ms

    def __call__(self) -> int:
        """Go one step on."""
        self.now_ms += self.step_ms
        return self.now_ms


def walked(clock: Clock, most: int) -> list[tuple[str, dict[str, Any]]]:
    """Return the first messages of a walk."""
    sent: list[tuple[str, dict[str, Any]]] = []
    stop = threading.Event()

    def publish(device: str, ping: dict[str, Any]) -> None:
        sent.append((device, ping))
        if len(sent) >= most:
            stop.set()

    assert walk(Fleet(20), publish, stop, now_ms=clock, step_s=0.0) == len(sent)
    return sent


def test_walk_publishes_each_fix_once_as_phones_do() -> None:
    """What is published are the fleet's fixes from the start on, with the members of a ping."""
    sent = walked(Clock(START_MS, 400), 60)
    fleet = Fleet(20)
    expected = [
        (fleet.devices[walker], ping)
        for walker, ping in fleet.fixes(START_MS + 400, START_MS + 60_000).messages()
    ]
    assert sent == expected[:60]
    assert set(sent[0][1]) == {"ts", "lat", "lng", "acc"}


def test_walk_does_not_make_up_for_a_closed_laptop() -> None:
    """After an hour's pause only the last seconds are reported."""
    clock = Clock(START_MS, 3_600_000)
    sent = walked(clock, 40)
    assert START_MS / 1000 + 2 * 3_600 - 10 <= sent[0][1]["ts"] < START_MS / 1000 + 2 * 3_600
