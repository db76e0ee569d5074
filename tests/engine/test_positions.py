"""What may be told of where a device was: the deciding ping, coarsened, in some places never."""

from __future__ import annotations

from typing import Any

import h3
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geotarget.engine import Rules
from geotarget.engine.positions import positions
from geotarget.engine.zone_index import ZoneIndex
from geotarget.model import POSITIONS, Kind, Transition, Zone
from tests.engine.test_transitions import RULES, by_id, run, town
from tests.targeting.conftest import make_transition

DISTRICT = Zone(id="shop", geometry=shapely.box(24.92, 60.16, 24.96, 60.18), key=1)
CLINIC = Zone(
    id="clinic", geometry=shapely.box(24.94, 60.17, 24.941, 60.1705), sensitive=True, key=2
)
EVERYTHING = POSITIONS[1:]


def told(*transitions: Transition, zones: tuple[Zone, ...] = (DISTRICT, CLINIC)) -> Any:
    """Return what is told of transitions among zones, by choice and id."""
    sensitive = {zone.id: zone.sensitive for zone in zones}
    index = ZoneIndex.build(zones)
    return positions(transitions, EVERYTHING, index=index, is_sensitive=sensitive.__getitem__)


@settings(deadline=None, max_examples=5)
@given(rules=RULES, seed=st.integers(0, 10**6), cut=st.integers(1, 60))
def test_it_is_a_ping_of_the_device_and_always_the_same_one(
    rules: Rules, seed: int, cut: int
) -> None:
    """As it was reported, by the time of the decision, whatever the batches and looks at the clock.

    Where no ping decided there is none.
    """
    zones, pings = town(seed)
    reported: dict[tuple[str, float, float, float], int] = {}
    for each in pings:
        acc = rules.unknown_accuracy_m if each.acc is None else each.acc
        reported.setdefault((each.device, each.lng, each.lat, acc), each.ts_ms)
    one_by_one = [[ping] for ping in pings]
    looks = [[ping.ts_ms] for ping in pings]
    runs = [
        by_id(run(one_by_one, zones, rules)),
        by_id(run(one_by_one, zones, rules, looks)),
        by_id(run([pings[i : i + cut] for i in range(0, len(pings), cut)], zones, rules)),
    ]
    for id, one in runs[0].items():
        assert 1 == len({each[id].fix for each in runs})
        decided = one.distance_m is not None or one.kind is Kind.CROSSED
        assert decided is (one.fix is not None)
        if one.fix is not None:
            assert reported[one.device, *one.fix] <= one.decided_ms


def test_each_choice_says_what_it_says() -> None:
    """A cell, three decimals, or all of it with the accuracy."""
    moved = make_transition("a", fix=(24.9351237, 60.1659876, 8.5))
    assert told(moved) == {
        "cell": {"a": {"cell": h3.latlng_to_cell(60.1659876, 24.9351237, 9)}},
        "rounded": {"a": {"lng": 24.935, "lat": 60.166}},
        "exact": {"a": {"lng": 24.9351237, "lat": 60.1659876, "accuracy_m": 8.5}},
    }
    nothing: dict[str, object] = {choice: {} for choice in EVERYTHING}
    assert nothing == told(make_transition("a"))
    assert nothing == told()
    gone = make_transition("a", zone="gone", kind=Kind.RECONCILED)
    assert nothing == told(gone), "its zone is in no index any more"


@pytest.mark.parametrize(
    ("zone", "lng", "lat", "says"),
    [
        ("shop", 24.9405, 60.1702, False),  # a dwell in the district: in the clinic, that is
        ("clinic", 24.9405, 60.1702, False),
        ("clinic", 24.95, 60.17, False),  # it left, and its last ping is somewhere else
        ("shop", 24.95, 60.17, True),
    ],
)
def test_sensitive_zones_hide_positions(zone: str, lng: float, lat: float, says: bool) -> None:
    """Neither for their own transitions nor for those of zones around them."""
    answer = told(make_transition("a", zone=zone, fix=(lng, lat, 5.0)))
    assert {says} == {bool(each) for each in answer.values()}


@given(lng=st.floats(-180, 180), lat=st.floats(-90, 90))
def test_coarse_is_coarse_everywhere(lng: float, lat: float) -> None:
    """At the poles and the seam too: in range, off by half a step at most, no signed zero."""
    moved = make_transition("a", fix=(lng, lat, 5.0))
    answer = told(moved, zones=(DISTRICT,))
    rounded = answer["rounded"]["a"]
    assert max(abs(rounded["lng"] - lng), abs(rounded["lat"] - lat)) <= 0.000501
    assert max(abs(rounded["lng"]), 2 * abs(rounded["lat"])) <= 180
    assert "-0.0" not in (repr(rounded["lng"]), repr(rounded["lat"]))
    assert np.isclose(rounded["lng"] * 1000, round(rounded["lng"] * 1000))
    assert answer["cell"]["a"]["cell"] == h3.latlng_to_cell(lat, lng, 9)


def test_it_is_no_part_of_a_transition_that_is_shown_or_compared() -> None:
    """No log that prints one names the place, and two that differ only there are equal."""
    somewhere = make_transition("a", fix=(24.9351237, 60.1659876, 8.5))
    assert "24.93" not in repr(somewhere)
    assert "60.16" not in repr(somewhere)
    assert somewhere == make_transition("a")
