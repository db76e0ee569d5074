"""From transitions to decisions: who answers, what is told, and that a repetition is the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from shapely import Point

from geotarget.model import (
    Arm,
    Budget,
    Campaign,
    Cap,
    Decision,
    Fired,
    Kind,
    Policy,
    Profile,
    Spent,
    Status,
    Transition,
    Trigger,
    Variant,
    Zone,
)
from geotarget.targeting import Ledger, decision_id
from geotarget.targeting.decide import EXPOSED
from tests.targeting.deciding import NOON_MS, run

Make = Callable[..., Any]


def test_fired_decision(campaign: Make, zone: Make, transition: Make) -> None:
    """A decision that passes every gate holds the rendered offer and its expiry."""
    hello = campaign(
        offer={"text": "Hi {{ profile.name }}"},
        valid_s=3600,
        attribution_s=86_400,
        budget=Budget(total=5, time_zone="America/Chicago"),
        cost_micros=50_000,
    )
    profiles = {"phone-1": Profile("p-9", {"name": "Aino"})}
    moved = transition(decided_ms=NOON_MS + 7 * 3_600_000)
    shop = zone(time_zone="Pacific/Kiritimati")
    (decision,) = run([moved], [hello], [shop], profiles=profiles)
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
        decided_ms=NOON_MS + 7 * 3_600_000,
        offer={"text": "Hi Aino"},
        expires_ms=NOON_MS + 8 * 3_600_000,
        passed={"budget": {"total": {"in": "offers", "bound": 5, "spent": 0}}},
        visit="visit-1",
        cost_micros=50_000,
        day="2026-01-02",
        budget_day="2026-01-01",
        counts_until_ms=NOON_MS + 31 * 3_600_000,
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


def test_only_what_fired_counts(campaign: Make, zone: Make, transition: Make) -> None:
    """A broken offer, a refusal or the control group spends nothing and silences nobody."""
    bounds = {"cooldown_s": 60, "budget": Budget(total=1), "caps": (Cap(1),)}
    moved = [transition("1" * 32), transition("2" * 32)]
    for options, gate in [
        ({"offer": {"a": "{{ 1 | divided_by: 0 }}"}}, "content"),
        ({"holdout": 0.9}, "holdout"),
        ({"status": Status.PAUSED}, "schedule"),
    ]:
        ledger = Ledger({"phone-1": Profile("held")})
        decisions = run(moved, [campaign(**bounds, **options)], [zone()], ledger=ledger)
        assert [gate, gate] == [decision.gate for decision in decisions]
        assert [0, 0] == [decision.cost_micros for decision in decisions]
        assert ({}, {}) == (ledger.fired, ledger.spent)
        assert 0 == ledger.behaviour_of("held").offers_total


def test_a_batch_counts_as_it_goes(campaign: Make, zone: Make, transition: Make) -> None:
    """Budgets, arms, firings and behaviour hold what the batch has done so far."""
    hello = campaign(
        budget=Budget(total=2, per_day=2),
        cost_micros=7,
        variants=(Variant("a", {}), Variant("b", {}, weight=0)),
        allocation="thompson",
    )
    moved = [transition(f"{n:032x}", device=f"phone-{n}") for n in range(3)]
    ledger = Ledger(arms={("hello", "a"): Arm(5, 1)}, spent={("hello", ""): Spent(0, 3)})
    decisions = run(moved, [hello], [zone()], ledger=ledger)
    assert ["fired", "fired", "budget"] == [decision.gate for decision in decisions]
    assert {("hello", "a"): Arm(7, 1)} == ledger.arms
    assert {("hello", ""): Spent(2, 17), ("hello", "2026-01-01"): Spent(2, 14)} == ledger.spent
    fired = {("hello", f"phone-{n}"): Fired(NOON_MS + 250, 1) for n in range(2)}
    assert fired == ledger.fired
    seen = [ledger.behaviour_of(f"phone-{n}") for n in range(3)]
    assert [(1, 1), (1, 1), (1, 0)] == [(each.visits_total, each.offers_total) for each in seen]


def test_rules_see_the_batch_so_far(campaign: Make, zone: Make, transition: Make) -> None:
    """A visit counts for the transitions after it, those that no campaign listens to included."""
    zones = [zone(), zone("other")]
    second = campaign(
        audience="visits.total(30) == 1 && offers.total(30) == 0",
        trigger=Trigger(zone_ids=frozenset({"shop"})),
    )
    moved = [
        transition("1" * 32, visit="v1", zone="other"),
        transition("2" * 32, visit="v2", ts_ms=NOON_MS + 1, decided_ms=NOON_MS + 1_000),
        transition("3" * 32, visit="v3", ts_ms=NOON_MS + 2, decided_ms=NOON_MS + 2_000),
    ]
    assert ["fired", "audience"] == [each.gate for each in run(moved, [second], zones)]
    assert ["audience", "fired"] == [each.gate for each in run(moved[1:], [second], zones)]


def test_ids_are_deterministic_and_sorted_by_time(transition: Make) -> None:
    """The id starts with the time and differs by campaign and transition."""
    moved = transition()
    made = decision_id(moved, "hello")
    assert f"{moved.decided_ms:012x}" == made[:12]
    assert re.fullmatch(r"[0-9a-f]{32}", made)
    assert made == decision_id(transition(), "hello")
    assert len({made, decision_id(moved, "hi"), decision_id(transition("1" * 32), "hello")}) == 3
    assert made == "019b796dd6fa9bb398ccda312958eead"  # stored in databases: must never change


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


SHOPS = [
    Zone(id="shop", geometry=Point(0, 0), radius_m=9, tags=("t",)),
    Zone(id="mall", geometry=Point(0, 0), radius_m=9, time_zone="Asia/Kathmandu"),
]
CAMPAIGNS = st.lists(
    st.builds(
        Campaign,
        id=st.sampled_from("abcdefgh"),
        name=st.just(""),
        trigger=st.builds(Trigger, min_confidence=st.integers(1, 3), most_specific=st.booleans()),
        offer=st.just({"text": "{{ profile.id }}"}),
        endpoints=st.just(()),
        status=st.sampled_from([Status.ACTIVE, Status.ACTIVE, Status.PAUSED]),
        cooldown_s=st.sampled_from([None, 60]),
        audience=st.sampled_from(["", "visits.total(7) > 1", "profile.missing == 1"]),
        holdout=st.sampled_from([0.0, 0.5]),
        caps=st.sampled_from([(), (Cap(1, 100),)]),
        budget=st.sampled_from([None, Budget(total=2), Budget(per_day=3, pacing="even")]),
        priority=st.integers(0, 1),
        with_others=st.booleans(),
        variants=st.sampled_from([(), (Variant("x", {}), Variant("y", {"t": "{{ 1 | foo }}"}))]),
        allocation=st.sampled_from(["weights", "thompson"]),
    ),
    max_size=5,
    unique_by=lambda each: each.id,
)
MOVES = st.lists(
    st.builds(
        lambda number, device, zone, kind, seconds, confidence: Transition(
            f"{number:032x}", f"v{number}", device, zone, 1, kind, NOON_MS + 1_000 * seconds,
            NOON_MS + 1_000 * seconds, confidence, 0.9,
        ),
        st.integers(0, 2**64),
        st.sampled_from(["phone-1", "phone-2"]),
        st.sampled_from(["shop", "mall"]),
        st.sampled_from([Kind.ENTER, Kind.EXIT]),
        st.integers(0, 600),
        st.integers(1, 3),
    ),
    max_size=8,
    unique_by=lambda each: each.id,
)  # fmt: skip


@given(CAMPAIGNS, MOVES, st.integers(1, 3), st.randoms(use_true_random=False))
def test_the_same_input_decides_the_same(
    campaigns: list[Campaign], moved: list[Transition], places: int, dice: Any
) -> None:
    """In whatever order campaigns are known; and no transition fires more than it may."""
    policy = Policy(offers_per_transition=places, caps=(Cap(4, 300),))
    profiles = {"phone-2": Profile("eero", {"name": "Eero"})}
    decisions = run(moved, campaigns, SHOPS, profiles=profiles, policy=policy)
    listening = [
        (move.id, name)
        for move in moved
        if move.kind is Kind.ENTER
        for name in sorted(each.id for each in campaigns)
    ]
    assert listening == [(each.transition, each.campaign) for each in decisions]
    shuffled = list(campaigns)
    dice.shuffle(shuffled)
    assert decisions == run(moved, shuffled, SHOPS, profiles=profiles, policy=policy)
    alone = {each.id for each in campaigns if not each.with_others}
    for move in moved:
        winners = [d for d in decisions if d.fired and d.transition == move.id]
        assert sum(each.campaign in alone for each in winners) <= places
    for each in decisions:
        assert each.held_out or (each.offer is not None) == each.fired
        assert bool(each.counts_until_ms) == (each.gate in EXPOSED)
        assert each.gate not in each.passed
    assert msgspec.json.encode(decisions)
