"""The gates: their order, what each refuses, and that a repetition decides the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely import Point

from geotarget.model import Campaign, Decision, Kind, Profile, Status, Transition, Trigger, Zone
from geotarget.targeting import GATES, CampaignTable, candidates, decide, decision_id

Make = Callable[..., Any]
NOON_MS = 1_767_268_800_000


def run(
    transitions: Sequence[Transition],
    campaigns: Sequence[Campaign],
    zones: Sequence[Zone],
    **options: Any,
) -> list[Decision]:
    """Decide with everything else at rest, a second after noon."""
    defaults: dict[str, Any] = {"profiles": {}, "last_fired": {}, "now_ms": NOON_MS + 1_000}
    return decide(
        transitions,
        table=CampaignTable.compile(campaigns, zones),
        zones={zone.id: zone for zone in zones},
        **(defaults | options),
    )


def test_gates_stand_in_their_order() -> None:
    """The order is a promise: the first gate that refuses is the one that is told."""
    assert tuple(name for name, _ in GATES) == ("trigger", "schedule", "consent", "cap", "content")


def test_fired_decision(campaign: Make, zone: Make, transition: Make) -> None:
    """A decision that passes every gate holds the rendered offer and its expiry."""
    hello = campaign(offer={"text": "Hi {{ profile.name }}"}, valid_s=3600)
    profiles = {"phone-1": Profile("p-9", {"name": "Aino"})}
    moved = transition()
    (decision,) = run([moved], [hello], [zone()], profiles=profiles)
    expected = Decision(
        id=decision_id(moved, "hello"),
        campaign="hello",
        campaign_version=4,
        transition="0" * 32,
        device="phone-1",
        profile="p-9",
        zone="shop",
        gate="fired",
        reason="every gate let it pass",
        decided_ms=NOON_MS + 250,
        offer={"text": "Hi Aino"},
        expires_ms=NOON_MS + 250 + 3_600_000,
    )
    assert expected == decision
    assert decision.fired


def test_only_the_most_specific_zone(campaign: Make, zone: Make, transition: Make) -> None:
    """Of zones entered at one time the first counts, if a campaign asks for that; per device."""
    zones = [zone(id="shop"), zone(id="mall")]
    moved = [
        transition(id=f"{number:032d}", zone=place, device=device)
        for number, (device, place) in enumerate(
            [("phone-1", "shop"), ("phone-1", "mall"), ("phone-2", "mall")]
        )
    ]
    trigger = Trigger(most_specific=True)
    decisions = run(moved, [campaign(trigger=trigger)], zones)
    assert [each.gate for each in decisions] == ["fired", "trigger", "fired"]
    assert decisions[1].inputs == {"most_specific": True, "outranked_by": "shop"}
    assert [each.gate for each in run(moved, [campaign(trigger=Trigger())], zones)] == ["fired"] * 3
    later = replace(moved[1], decided_ms=moved[1].decided_ms + 1)
    both = run([moved[0], later], [campaign(trigger=trigger)], zones)
    assert [each.gate for each in both] == ["fired", "fired"]


def test_device_without_profile_is_its_own(campaign: Make, zone: Make, transition: Make) -> None:
    """An unknown device has the profile of its own name, without attributes."""
    (decision,) = run([transition()], [campaign()], [zone()])
    assert (decision.profile, decision.gate) == ("phone-1", "fired")
    assert decision.expires_ms is None


@pytest.mark.parametrize(
    ("moved", "wanted", "now_ms", "reason", "inputs"),
    [
        ({}, {}, NOON_MS + 250 + 900_001, "the transition is 900 s old, at most 900 s may be",
         {"age_s": 900.001, "max_age_s": 900.0}),
        ({"confidence": 1}, {"min_confidence": 2}, NOON_MS, "confidence 1 is under 2",
         {"confidence": 1, "min_confidence": 2}),
        ({"initial": True}, {"initial": False}, NOON_MS,
         "the device was seen for the first time, already inside", {"initial": True}),
    ],
)  # fmt: skip
def test_trigger_gate_refuses(
    moved: dict[str, Any],
    wanted: dict[str, Any],
    now_ms: int,
    reason: str,
    inputs: dict[str, Any],
    campaign: Make,
    zone: Make,
    transition: Make,
) -> None:
    """Old, uncertain and unwanted initial entries are refused with what was compared."""
    listener = campaign(trigger=Trigger(**wanted))
    (decision,) = run([transition(**moved)], [listener], [zone()], now_ms=now_ms)
    assert ("trigger", reason) == (decision.gate, decision.reason)
    assert inputs == decision.inputs
    assert (decision.offer, decision.expires_ms) == (None, None)


def test_age_of_exactly_the_bound_fires(campaign: Make, zone: Make, transition: Make) -> None:
    """The bound is the last age that still fires, and it can be set."""
    now_ms = NOON_MS + 250 + 60_000
    (fired,) = run([transition()], [campaign()], [zone()], now_ms=now_ms, max_age_s=60)
    (refused,) = run([transition()], [campaign()], [zone()], now_ms=now_ms + 1, max_age_s=60)
    assert (fired.gate, refused.gate) == ("fired", "trigger")


def test_campaigns_that_do_not_listen_make_no_decision(
    campaign: Make, zone: Make, transition: Make
) -> None:
    """Another zone, another kind, another dwell time, a draft: silence, not a refusal."""
    dwell = Trigger(on=frozenset({Kind.DWELL}), dwell_s=300)
    listeners = [
        campaign("elsewhere", trigger=Trigger(zone_ids=frozenset({"other"}))),
        campaign("on-exit", trigger=Trigger(on=frozenset({Kind.EXIT}))),
        campaign("dwell", trigger=dwell),
        campaign("draft", status=Status.DRAFT),
        campaign("ended", status=Status.ENDED),
    ]
    zones = [zone(), zone("other")]
    assert run([transition()], listeners, zones) == []
    stays = transition(kind=Kind.DWELL, threshold_s=600)
    assert run([stays], listeners, zones) == []
    (decision,) = run([replace(stays, threshold_s=300)], listeners, zones)
    assert (decision.campaign, decision.gate) == ("dwell", "fired")


def test_reconciled_never_fires(campaign: Make, zone: Make, transition: Make) -> None:
    """An edit of a zone is nobody's visit, even for a trigger that asks for it."""
    listener = campaign(trigger=Trigger(on=frozenset(Kind), dwell_s=60))
    assert run([transition(kind=Kind.RECONCILED)], [listener], [zone()]) == []


def test_schedule_gate_refuses(campaign: Make, zone: Make, transition: Make) -> None:
    """A paused campaign tells what it would have met."""
    (decision,) = run([transition()], [campaign(status=Status.PAUSED)], [zone()])
    assert (decision.gate, decision.reason) == ("schedule", "the campaign is paused")


@pytest.mark.parametrize(
    ("consent", "sensitive", "gate", "reason"),
    [
        ({}, False, "fired", "every gate let it pass"),
        ({"marketing": True}, False, "fired", "every gate let it pass"),
        ({"analytics": False}, False, "fired", "every gate let it pass"),
        ({"marketing": False}, False, "consent", "the profile declines marketing"),
        ({"marketing": True}, True, "consent", "the zone is sensitive"),
    ],
)
def test_consent_gate(
    consent: dict[str, bool],
    sensitive: bool,
    gate: str,
    reason: str,
    campaign: Make,
    zone: Make,
    transition: Make,
) -> None:
    """An explicit no, and a sensitive zone whatever the consent, stop marketing."""
    profiles = {"phone-1": Profile("p", {}, consent)}
    (decision,) = run([transition()], [campaign()], [zone(sensitive=sensitive)], profiles=profiles)
    assert (gate, reason) == (decision.gate, decision.reason)


@pytest.mark.parametrize(
    ("ago_ms", "gate"), [(59_999, "cap"), (60_000, "fired"), (0, "cap"), (-5_000, "cap")]
)
def test_cooldown_counts_from_the_last_fired_decision(
    ago_ms: int, gate: str, campaign: Make, zone: Make, transition: Make
) -> None:
    """Silence lasts for the cooldown, and covers transitions that are decided late."""
    moved = transition()
    last_fired = {("hello", "phone-1"): moved.decided_ms - ago_ms}
    (decision,) = run([moved], [campaign(cooldown_s=60)], [zone()], last_fired=last_fired)
    assert gate == decision.gate
    if gate == "cap":
        expected = {
            "cooldown_s": 60,
            "since_s": ago_ms / 1000,
            "last_fired_ms": moved.decided_ms - ago_ms,
        }
        assert expected == decision.inputs


def test_cooldown_is_per_profile_and_campaign(campaign: Make, zone: Make, transition: Make) -> None:
    """Another campaign's or person's offer doesn't count, and none means no cap."""
    moved = transition()
    last_fired = {("hello", "other"): moved.decided_ms, ("other", "phone-1"): moved.decided_ms}
    listeners = [campaign(cooldown_s=60), campaign("free")]
    decisions = run([moved], listeners, [zone()], last_fired=last_fired)
    assert [decision.gate for decision in decisions] == ["fired", "fired"]


def test_cooldown_holds_within_a_batch(campaign: Make, zone: Make, transition: Make) -> None:
    """The second device of a profile, in the same batch, finds the first one's offer."""
    profiles = {"phone-1": Profile("aino"), "watch-1": Profile("aino"), "phone-2": Profile("eero")}
    moved = [
        transition("1" * 32),
        transition("2" * 32, device="watch-1", decided_ms=NOON_MS + 59_000),
        transition("3" * 32, device="phone-2"),
        transition("4" * 32, device="watch-1", decided_ms=NOON_MS + 60_250),
    ]
    decisions = run(moved, [campaign(cooldown_s=60)], [zone()], profiles=profiles)
    assert [decision.gate for decision in decisions] == ["fired", "cap", "fired", "fired"]


def test_refused_decision_starts_no_cooldown(campaign: Make, zone: Make, transition: Make) -> None:
    """Only what fired counts: a broken offer doesn't silence the campaign."""
    broken = campaign(cooldown_s=60, offer={"a": "{{ profile.n | divided_by: 0 }}"})
    moved = [transition("1" * 32), transition("2" * 32)]
    decisions = run(moved, [broken], [zone()])
    assert [decision.gate for decision in decisions] == ["content", "content"]


def test_first_refusing_gate_is_told(campaign: Make, zone: Make, transition: Make) -> None:
    """With everything wrong, the gates are met one after the other as things are put right."""
    moved = transition(confidence=1)
    wrong = campaign(
        trigger=Trigger(min_confidence=3),
        status=Status.PAUSED,
        cooldown_s=60,
        offer={"a": "{{ 1 | divided_by: 0 }}"},
    )
    last_fired = {("hello", "phone-1"): moved.decided_ms}
    shut = {"phone-1": Profile("phone-1", {}, {"marketing": False})}

    def ask() -> str:
        (decision,) = run([moved], [wrong], [zone()], profiles=shut, last_fired=last_fired)
        return decision.gate

    met = [ask()]
    wrong = replace(wrong, trigger=Trigger())
    met.append(ask())
    wrong = replace(wrong, status=Status.ACTIVE)
    met.append(ask())
    shut.clear()
    met.append(ask())
    last_fired.clear()
    met.append(ask())
    wrong = replace(wrong, offer={})
    met.append(ask())
    assert met == ["trigger", "schedule", "consent", "cap", "content", "fired"]


def test_ids_are_deterministic_and_sorted_by_time(transition: Make) -> None:
    """The id starts with the time and differs by campaign and transition."""
    moved = transition()
    made = decision_id(moved, "hello")
    assert f"{moved.decided_ms:012x}" == made[:12]
    assert re.fullmatch(r"[0-9a-f]{32}", made)
    assert made == decision_id(transition(), "hello")
    assert len({made, decision_id(moved, "hi"), decision_id(transition("1" * 32), "hello")}) == 3
    assert made == "019b796dd6fa9bb398ccda312958eead"  # stored in databases: must never change


def test_candidates_are_the_pairs_with_a_cap(campaign: Make, zone: Make, transition: Make) -> None:
    """Only listening campaigns with a cooldown need history, each pair once, by profile."""
    listeners = [
        campaign("a", cooldown_s=60),
        campaign("b"),
        campaign("c", cooldown_s=60, trigger=Trigger(on=frozenset({Kind.EXIT}))),
    ]
    moved = [transition("1" * 32), transition("2" * 32, device="watch-1"), transition("3" * 32)]
    table = CampaignTable.compile(listeners, [zone()])
    profiles = {"watch-1": Profile("aino")}
    expected = [("a", "phone-1"), ("a", "aino")]
    assert expected == candidates(moved, table=table, profiles=profiles)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["phone-1", "phone-2"]),
            st.integers(0, 300).map(lambda seconds: NOON_MS + seconds * 1_000),
            st.sampled_from([Kind.ENTER, Kind.EXIT]),
            st.integers(1, 3),
        ),
        max_size=12,
    ),
    st.integers(1, 200),
)
def test_no_two_offers_within_a_cooldown(
    moves: list[tuple[str, int, Kind, int]], cooldown_s: int
) -> None:
    """Whatever the order: fired decisions of a profile lie a cooldown apart; all is JSON."""
    shop = Zone(id="shop", geometry=Point(0, 0), radius_m=9)
    hello = Campaign("hello", "", Trigger(min_confidence=2), {"a": "b"}, (), cooldown_s=cooldown_s)
    moved = [
        Transition(f"{n:032x}", "v", device, "shop", 1, kind, at_ms, at_ms, confidence, 0.9)
        for n, (device, at_ms, kind, confidence) in enumerate(moves)
    ]
    decisions = run(moved, [hello], [shop])
    assert [move.id for move in moved if move.kind is Kind.ENTER] == [
        decision.transition for decision in decisions
    ]
    assert decisions == run(moved, [hello], [shop])
    for profile in ("phone-1", "phone-2"):
        times = [d.decided_ms for d in decisions if d.fired and d.profile == profile]
        assert all(b - a >= cooldown_s * 1_000 for a, b in pairwise(times))
    assert msgspec.json.encode([decision.inputs for decision in decisions])
