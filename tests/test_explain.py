"""Explanations: a sentence for every code, and stories that are true to what happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import shapely

from geotarget.engine import Rules, ZoneIndex, acceptance, phases, verdicts
from geotarget.explaining import (
    Answered,
    Evidence,
    Explanation,
    Ping,
    Standing,
    explain,
    gates,
    replay,
    words,
)
from geotarget.explaining.story import MOST_OF_A_KIND, MOST_STEPS
from geotarget.explaining.words import Clock, Place
from geotarget.model import (
    Audience,
    Budget,
    Campaign,
    Cap,
    Decision,
    EntryPolicy,
    Kind,
    PingBatch,
    Profile,
    Rejected,
    Trace,
    Transition,
    Trigger,
    Variant,
    Zone,
)
from geotarget.store import DeliveryRow
from geotarget.targeting import GATES
from geotarget.targeting.case import Case, Moment
from geotarget.targeting.decide import FIRED

LNG, LAT = 24.94, 60.17
METRE = 1 / 111_195.0
START_MS = 1_767_268_800_000  # 2026-01-01 12:00:00 UTC
RULES = Rules()


def square(id: str = "kamppi", half_m: float = 100.0, *, north_m: float = 0.0, **more: Any) -> Zone:
    """Return a square zone; metres from its middle to the north are true."""
    wide, high, lat = half_m * METRE * 2, half_m * METRE, LAT + north_m * METRE
    box = shapely.box(LNG - wide, lat - high, LNG + wide, lat + high)
    return Zone(id=id, geometry=box, name=id.title(), **more)


def pings(*fixes: tuple[float, float, float], device: str = "d") -> PingBatch:
    """Return pings (second, metres north of the middle, accuracy), in order of time."""
    second, north, acc = np.array(fixes, np.float64).T
    ts = START_MS + np.round(second * 1000).astype(np.int64)
    lat = LAT + north * METRE
    key = np.arange(1, len(ts) + 1).astype(np.uint64)
    return PingBatch([device] * len(ts), ts, np.full(len(ts), LNG), lat, acc, key, ts)


def told(zones: Sequence[Zone], *fixes: tuple[float, float, float], **asked: Any) -> Explanation:
    """Explain pings to one device."""
    return explain(replay(pings(*fixes), zones, "d", **asked))


def text_of(explanation: Explanation) -> str:
    """Return the summary as it is read."""
    return "\n".join(explanation.summary)


# -- words ---------------------------------------------------------------------------------------


def test_every_reason_of_the_engine_has_a_sentence() -> None:
    """Tests of verdicts, and what stands in where no fix decided."""
    known = set(words.REASONS) | set(words.WITHOUT_FIX)
    assert known >= {*verdicts.REASONS, ""}
    assert set(words.VERDICTS) == set(verdicts.VERDICTS)
    assert set(words.STATUSES) == set(acceptance.STATUS)
    assert set(words.AGAIN) == set(acceptance.STATUS) - {"applied"}
    assert set(words.KINDS) == set(Kind)


def test_every_change_of_phase_has_a_sentence() -> None:
    """All that a fix can do to a phase; an exit can't begin outside."""
    possible = set(product(phases.PHASES, repeat=2)) - {("outside", "exiting")}
    assert set(words.CHANGES) == possible


def test_every_gate_has_a_sentence() -> None:
    """The gates of campaigns, in the order in which they are asked."""
    assert list(gates.GATES) == [name for name, _ in GATES]


@pytest.mark.parametrize("policy", EntryPolicy)
@pytest.mark.parametrize("reason", sorted(words.REASONS))
@pytest.mark.parametrize("distance", [12.0, -12.0, 0.0, None])
def test_sentences_hold_the_figures(
    reason: str, policy: EntryPolicy, distance: float | None
) -> None:
    """Distance, accuracy and code are in each; no sentence fails on any policy."""
    place = Place.of("z", replace(square("z"), entry=policy), 95.0, RULES)
    trace = Trace(
        "d", START_MS, START_MS, LNG, LAT, 33.0, "applied", zone="z", distance_m=distance,
        verdict="hold", reason=reason, before="outside", after="entering",
    )  # fmt: skip
    said = words.verdict(trace, place, RULES)
    assert "accuracy 33 m" in said
    assert f"(HOLD {reason})" in said
    where = {None: "not valid", 0.0: "on the outline of 'Z'"}
    assert where.get(distance, "12 m") in said


@pytest.mark.parametrize(
    ("reason", "wanted"),
    [
        ("coarse", "the ceiling is 95 m"),
        ("far", "the exit buffer (at most 7 m)"),
        ("centre", "from 48 m inside on"),
    ],
)
def test_sentences_hold_the_bound(reason: str, wanted: str) -> None:
    """The bound is that of the zone where it has its own."""
    place = Place.of("z", square("z", exit_buffer_m=7.0), 95.0, RULES)
    trace = Trace("d", 0, 0, 0, 0, 33.0, "applied", distance_m=3.0, verdict="hold", reason=reason)
    assert wanted in words.verdict(trace, place, RULES)


def test_border_of_a_coarse_fix_promises_nothing() -> None:
    """A fix over the ceiling could not be weak evidence wherever it lay."""
    place = Place.of("z", square("z"), 20.0, RULES)
    trace = Trace("d", 0, 0, 0, 0, 60.0, "applied", distance_m=3.0, verdict="hold", reason="border")
    assert (
        f"too coarse for an arrival (the ceiling is {RULES.arrival_ceiling_m:g} m)"
        in words.verdict(trace, place, RULES)
    )


def test_a_zone_that_is_gone_has_sentences_too() -> None:
    """By its id and with the figures of the rules."""
    place = Place.of("old-shop", None, None, RULES)
    assert place.name == "old-shop"
    assert (place.buffer_m, place.ceiling_m) == (RULES.exit_buffer_m, RULES.arrival_ceiling_m)
    trace = Trace("d", 0, 0, 0, 0, 9.0, "applied", distance_m=3.0, verdict="in", reason="centre")
    assert "in the middle of the zone, so" in words.verdict(trace, place, RULES)


def test_unknown_codes_are_shown_as_they_are() -> None:
    """What a newer version wrote is not hidden."""
    place = Place.of("z", None, None, RULES)
    trace = Trace(
        "d", 0, 0, 0, 0, 9.0, "applied", distance_m=3.0, verdict="perhaps", reason="moon",
        before="outside", after="flying",
    )  # fmt: skip
    said = words.verdict(trace, place, RULES)
    assert "moon" in said
    assert "PERHAPS" in said
    assert "outside to flying" in said
    assert "floating" == words.status("floating", RULES)


def event(**changes: Any) -> Transition:
    """Return an entry on a deep fix."""
    return Transition(
        **{
            "id": "e1", "visit": "v1", "device": "d", "zone": "kamppi", "zone_revision": 1,
            "kind": Kind.ENTER, "ts_ms": START_MS, "decided_ms": START_MS, "confidence": 3,
            "p": 0.97, "distance_m": 38.0, "accuracy_m": 12.0, "reason": "deep",
        }
        | changes
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, "entered 'Kamppi' (ENTER): the deciding fix was 38 m inside 'Kamppi', accuracy 12 m"),
        ({"initial": True}, "inside from its first ping on"),
        ({"decided_ms": START_MS + 15_000}, "decided at 12:00:15"),
        ({"reason": "timer", "distance_m": None}, "no second fix came in time"),
        ({"kind": Kind.DWELL, "threshold_s": 300, "reason": "timer"}, "for 5 min: the clock"),
        ({"kind": Kind.DWELL, "threshold_s": 60, "reason": "deep"}, "dwelt in 'Kamppi'"),
        ({"kind": Kind.EXIT, "duration_s": 5400.0, "reason": "far"}, "(EXIT) after 1.5 h: the dec"),
        ({"kind": Kind.CROSSED, "reason": "chord"}, "no fix lay inside; the straight way"),
        ({"kind": Kind.RECONCILED, "reason": "edit"}, "the zone was edited"),
        ({"kind": Kind.RECONCILED, "reason": "gone"}, "deleted or switched off"),
        ({"reason": "", "accuracy_m": None}, "not recorded by the version that decided it"),
        ({"reason": "moon"}, ": moon; p 0.97"),
    ],
)
def test_transitions_say_what_they_rest_on(changes: dict[str, Any], wanted: str) -> None:
    """With or without a fix that decided."""
    place = Place.of("kamppi", square(), 100.0, RULES)
    assert wanted in words.transition(event(**changes), place, RULES, Clock(dated=False))


def decided(gate: str, reason: str = "no", **more: Any) -> Decision:
    """Return a decision of this gate."""
    return Decision("d1", "bun", 1, "e1", "d", "d", "kamppi", gate, reason, START_MS, **more)


@pytest.mark.parametrize("gate", [name for name, _ in GATES])
def test_a_refusal_names_its_gate_and_those_that_passed(gate: str) -> None:
    """Those behind it were not asked."""
    names = [name for name, _ in GATES]
    at = names.index(gate)
    made = decided(gate, "the cooldown is 60 s", inputs={"since_s": 9})
    answers = gates.gates(made)
    assert [each.answer for each in answers] == (
        ["passed"] * at + ["refused"] + ["not asked"] * (len(names) - at - 1)
    )
    assert (answers[at].text, answers[at].figures) == (made.reason, {"since_s": 9})
    lines = gates.answers(made)
    assert (f"passed: {', '.join(names[:at])}" in lines) == (at > 0)
    assert (f"not asked: {', '.join(names[at + 1 :])}" in lines) == (at < len(names) - 1)
    said = gates.decision(made)
    if gate == "holdout":
        assert "(version 1) held the person back: the cooldown is 60 s; the offer would" in said
    else:
        assert f"the gate '{gate}'" in said
        assert "refused: the cooldown is 60 s" in said


def test_a_fired_decision_passed_every_gate() -> None:
    """And one of a gate that nobody knows any more is shown as it is."""
    assert {each.answer for each in gates.gates(decided(FIRED))} == {"passed"}
    assert "'bun' (version 1) fired" in gates.decision(decided(FIRED))
    (only,) = gates.gates(decided("moon"))
    assert (only.gate, only.answer) == ("moon", "refused")
    assert "the gate 'moon' refused" in gates.decision(decided("moon"))


@pytest.mark.parametrize(
    ("gate", "wanted"),
    [
        (FIRED, "the offer is variant 'warm', in 'fi', at a cost of 0.05: {\"text\": \"Hei\"}"),
        ("holdout", "the offer would have been variant 'warm', in 'fi': {\"text\": \"Hei\"}"),
    ],
)
def test_the_offer_is_told(gate: str, wanted: str) -> None:
    """Variant, language, cost and text: what was offered, and what a held-out person missed."""
    cost = 50_000 if gate == FIRED else 0
    made = decided(gate, variant="warm", language="fi", offer={"text": "Hei"}, cost_micros=cost)
    assert wanted in gates.decision(made)
    long = replace(made, offer={"text": "x" * 5_000}, variant=None, language="", cost_micros=0)
    assert len(gates.decision(long)) < 400


@pytest.mark.parametrize(
    ("gate", "figures", "wanted"),
    [
        ("schedule", {"local": "2026-01-02T08:12:00+02:00", "time_zone": "Europe/Helsinki"},
         "it was Fri 08:12 in Europe/Helsinki"),
        ("consent", {"consent.marketing": True}, "consent for marketing is given"),
        ("audience", {"rules": ["own", "gold", "new"]}, "in the campaign's own, 'gold' and 'new'"),
        ("audience", {"rules": ["gold"]}, "in 'gold'"),
        ("holdout", {"hash": 0.32887, "holdout": 0.1, "salt": "bun"},
         "hash 0.3289 is not under 0.1"),
        ("cap", {"caps": [{"of": "of this campaign", "max": 3, "period_s": 604_800, "count": 1},
                          {"of": "of all campaigns", "max": 9, "period_s": None, "count": 4},
                          {"per_visit": 1, "visit": "v", "count": 0}]},
         ("1 of at most 3 of this campaign in 7 d, 4 of at most 9 of all campaigns so far and 0 of "
         "at most 1 in this visit")),
        ("budget", {"total": {"in": "money", "bound": 9_000_000, "spent": 50_000, "needed": 50_000,
                              "currency": "EUR"},
                    "per_day": {"in": "money", "bound": 2_500_000, "spent": 0, "allowed": 100_000,
                                "day": "2026-01-02"}},
         ("0.05 of 9 EUR were spent in all and 0 of 2.5 were spent on 2026-01-02, 0.1 may be by "
         "then")),
        ("budget", {"total": {"in": "offers", "bound": 100, "spent": 12}},
         "12 of 100 were spent in all"),
        ("variant", {"variant": "warm", "allocation": "weights"}, "'warm' by weights"),
        ("variant", {"variant": "b", "allocation": "thompson",
                     "arms": {"b": {"sent": 40, "converted": 3}, "a": {"sent": 9, "converted": 0}}},
         "'b' by thompson (a: 0 of 9 converted; b: 3 of 40 converted)"),
        ("trigger", {"age_s": 3}, '{"age_s": 3}'),
        ("cap", {"caps": "many"}, '{"caps": "many"}'),
        ("content", {}, ""),
    ],
)  # fmt: skip
def test_figures_of_gates_that_passed_have_words(
    gate: str, figures: dict[str, Any], wanted: str
) -> None:
    """What each looked at; figures of another version are shown as they are."""
    assert wanted == gates.looked_at(gate, figures)
    made = decided(FIRED, passed={gate: figures})
    assert f"{gate} ({wanted})" in gates.answers(made)[0] or not wanted


def test_the_figures_that_gates_leave_are_the_ones_that_have_words() -> None:
    """A campaign of all gates, decided by them: nothing of it is left as raw figures."""
    busy = Campaign(
        id="busy",
        name="Busy",
        trigger=Trigger(),
        offer={},
        endpoints=("crm",),
        days=("thu",),
        audience="profile.tier == 'gold'",
        audiences=("all",),
        holdout=0.000001,
        caps=(Cap(3, 3_600), Cap(9)),
        per_visit=2,
        budget=Budget("money", total=9_000_000, per_day=2_000_000),
        variants=(Variant("a", {"text": "A"}), Variant("b", {"text": "B"})),
        allocation="thompson",
        cost_micros=50_000,
    )
    person = Profile("d", attributes={"tier": "gold"}, consent={"marketing": True})
    moment = Moment(
        event(), square(), person, audiences={"all": Audience("all", "true")}, now_ms=START_MS
    )
    case = Case(moment, busy)
    assert [(name, ask(case)) for name, ask in GATES] == [(name, None) for name, _ in GATES]
    made = decided(FIRED, passed=case.passed)
    told = {each.gate: each.text for each in gates.gates(made) if each.text}
    assert set(told) == set(gates.FIGURES)
    assert not [text for text in told.values() if text.startswith("{")], told


@pytest.mark.parametrize(
    ("state", "wanted"),
    [
        ("pending", "waits, next attempt at 12:00:09 (2 attempts, last answer HTTP 500)"),
        ("delivered", "was delivered at 12:00:05"),
        ("failed", "was given up"),
        ("expired", "expired before"),
        ("lost", "'crm' lost (2"),
    ],
)
def test_deliveries_say_how_they_stand(state: str, wanted: str) -> None:
    """In each state, with attempts and the last answer."""
    row = DeliveryRow(
        "offer_d1", "crm", "offer.triggered", "d", "kamppi", "bun", START_MS, None, state, 2,
        START_MS + 9_000, 500, START_MS + 5_000,
    )  # fmt: skip
    assert wanted in words.delivery(row, Clock(dated=False))
    assert set(words.STATES) == {"pending", "delivered", "failed", "expired"}


# -- stories of recordings -----------------------------------------------------------------------


def test_a_clear_entry() -> None:
    """One fix well inside: entered, with distance, accuracy and confidence."""
    said = text_of(told([square()], (0, 400, 8), (200, 0, 8)))
    assert "12:03:20 the device entered 'Kamppi' (ENTER)" in said
    assert "the deciding fix was 100 m inside 'Kamppi', accuracy 8 m" in said
    assert "At the end of the recording: inside 'Kamppi' since 12:03:20" in said


def test_weak_evidence_that_nothing_followed() -> None:
    """It says what the entry waited for, and that it was dropped."""
    fixes = [(0, 118, 12), (60, 96, 10), (90, 110, 9)]
    said = text_of(told([square()], *fixes, zone="kamppi"))
    assert "4 m inside 'Kamppi', accuracy 10 m: inside, but not deep enough" in said
    assert "the entry waits for another fix that agrees, for" in said
    assert "else it is dropped" in said
    assert "10 m outside 'Kamppi', accuracy 9 m" in said
    assert "the pending entry is dropped" in said
    assert "0 transitions" in said
    patient = square(pending_enters=True)
    assert "else it enters all the same" in text_of(told([patient], *fixes))


def test_a_fix_that_is_too_coarse() -> None:
    """The ceiling is named with its figure."""
    said = text_of(told([square(half_m=40)], (0, 400, 8), (200, 20, 60)))
    assert "20 m inside 'Kamppi', accuracy 60 m: too coarse to count as an arrival" in said
    assert f"the ceiling is {RULES.arrival_ceiling_m:g} m" in said
    assert "(HOLD coarse)" in said


def test_a_jump_that_nobody_confirmed() -> None:
    """A suspect is named with its distance; the visit goes on."""
    said = text_of(told([square()], (0, 0, 8), (30, 0, 8), (45, 500, 4), (60, 0, 8)))
    assert "12:00:45 the ping was a suspect" in said
    assert "500 m from the fix 15 s before" in said
    assert "(EXIT)" not in said


def test_a_jump_that_was_true() -> None:
    """Suspects that agree are believed together, and told so; each is one ping."""
    story = told([square()], (0, 0, 8), (30, 900, 8), (60, 905, 8), (70, 900, 8), zone="kamppi")
    said = text_of(story)
    assert "4 traced pings" in said
    assert "12:00:30 the fix, believed at 12:01:10 when others agreed, was 802 m outside" in said
    assert "left 'Kamppi' (EXIT) after 30 s, decided at 12:01:10" in said
    assert any("believed at 12:01:10, when others agreed with it" in x.text for x in story.timeline)


def test_a_suspect_that_was_believed_in_a_later_batch() -> None:
    """It is told twice, as what it was and what it became, and counted once."""
    first = Trace("d", START_MS, START_MS, LNG, LAT, 8.0, "suspect")
    became = replace(
        first, decided_ms=START_MS + 70_000, status="applied", zone="kamppi", distance_m=-90.0,
        verdict="out", reason="far", before="inside", after="exiting",
    )  # fmt: skip
    story = explain(evidence(traces=[first, became]))
    said = text_of(story)
    assert "1 traced ping," in said
    assert "12:00:00 the ping was a suspect" in said
    assert "; believed at 12:01:10, when others agreed." in said
    assert len(story.timeline) == 2


def test_a_zone_that_was_never_met() -> None:
    """It says how near the device came; of other zones nothing is said."""
    near = square("near", north_m=1000.0)
    said = text_of(told([square(), near], (0, 0, 8), (60, 20, 8), zone="near"))
    assert "None of the 2 traced fixes met 'Near': the nearest was 882 m outside 'Near'." in said
    assert "Kamppi" not in said
    assert "not in it" in said
    assert "There is no zone 'nowhere'" in text_of(told([near], (0, 0, 8), zone="nowhere"))
    off = text_of(told([square(active=False)], (0, 0, 8), zone="kamppi"))
    assert "'Kamppi' is switched off" in off


def test_a_zone_before_its_time() -> None:
    """Outside `starts` and `ends` nobody is inside, and that is the reason."""
    later = square(starts_ms=START_MS + 60_000)
    said = text_of(told([later], (0, 0, 8), (10, 0, 8), zone="kamppi"))
    assert "while 'Kamppi' was not valid" in said
    assert "`starts` and `ends`" in said


def test_fixes_that_mean_the_same_are_told_together() -> None:
    """A long stay is a line, not one a fix; the timeline has them all."""
    fixes = [(second, 40 - second / 10, 8) for second in range(0, 300, 5)]
    story = told([square()], *fixes)
    assert len(story.summary) < 10
    assert f"{len(fixes) - 1} fixes alike" in text_of(story)
    assert sum(isinstance(item.about, Ping) for item in story.timeline) == len(fixes)


def test_a_span_is_told_with_what_came_before_it() -> None:
    """Pings before the span are applied but not told; those behind it are not applied."""
    fixes = [(0, 0, 8), (60, 0, 8), (120, 20, 8), (180, 0, 8)]
    story = told(
        [square()], *fixes, from_ms=START_MS + 60_000, to_ms=START_MS + 180_000, zone="kamppi"
    )
    assert "2 traced pings, 0 refused pings, 0 transitions" in text_of(story)
    assert "inside 'Kamppi' since 12:00:00. Last accepted fix at 12:02:00" in text_of(story)


def test_the_clock_of_a_recording_runs_on() -> None:
    """A pending entry expires when the span ends behind the last ping."""
    fixes = [(0, 118, 12), (60, 96, 10)]
    patient = square(pending_enters=True)
    assert "waits for a second fix since" in text_of(told([patient], *fixes))
    said = text_of(told([patient], *fixes, to_ms=START_MS + 2_000_000))
    assert "no second fix came in time, and `pending` of the zone is `enter`" in said
    assert "inside 'Kamppi'" in said


def test_a_recording_knows_refused_and_repeated_pings() -> None:
    """Null island and two pings of one time are named with their reasons."""
    batch = pings((0, 0, 8), (30, 0, 8), (30, 1, 20), (60, 0, 8))
    batch.lng[3] = batch.lat[3] = 0.0
    said = text_of(explain(replay(batch, [square()], "d")))
    assert "a ping was refused (null_island): latitude and longitude are both 0" in said
    assert "12:00:30 the ping was late" in said
    batch.key[2] = batch.key[1]
    assert "the ping was a duplicate" in text_of(explain(replay(batch, [square()], "d")))


def test_a_recording_in_which_nothing_was_accepted() -> None:
    """Still an answer."""
    batch = pings((0, 0, 8))
    batch.lng[0] = batch.lat[0] = 0.0
    said = text_of(explain(replay(batch, [square()], "d")))
    assert "0 traced pings, 1 refused ping" in said


# -- stories of anything -------------------------------------------------------------------------


def evidence(**changes: Any) -> Evidence:
    """Return what is known of a device that is not known, with changes."""
    known: dict[str, Any] = {
        "standing": Standing("d", None),
        "from_ms": START_MS,
        "to_ms": START_MS + 3_600_000,
        "zone": "",
        "rules": RULES,
        "zones": ZoneIndex.build([square()]),
    }
    return Evidence(**(known | changes))


def test_without_traces_the_switch_is_named() -> None:
    """And a device that was never heard of is called that."""
    said = text_of(explain(evidence()))
    assert "Nothing was ever heard of this device" in said
    assert "geotarget trace d --for 1h" in said
    assert "POST /v1/devices/d/trace" in said
    on = text_of(explain(evidence(standing=Standing("d", None, (), START_MS + 7_200_000))))
    assert "it is traced now, until 2026-01-01 14:00:00 UTC" in on


def test_long_lists_are_told_in_part() -> None:
    """So many faults of a kind, so many steps; what is cut is said."""
    letters = [
        Rejected("pings/d", b"", "json", f"broken {n}", START_MS + n * 1000) for n in range(9)
    ]
    events = [
        event(id=f"e{n}", ts_ms=START_MS + n * 1000, decided_ms=START_MS + n * 1000)
        for n in range(3 * MOST_STEPS)
    ]
    story = explain(evidence(refused=letters, transitions=events, cut=["transitions"]))
    assert f"… and {9 - MOST_OF_A_KIND} more refused pings, see the timeline." in story.summary
    assert "more than is shown of: transitions" in text_of(story)
    assert len(story.summary) < MOST_STEPS + 10
    assert len(story.timeline) == 9 + 3 * MOST_STEPS


def test_the_timeline_is_in_the_order_of_decisions() -> None:
    """A ping, what it caused, what campaigns said to that, what was sent."""
    trace = Trace(
        "d", START_MS, START_MS, LNG, LAT, 12.0, "applied", zone="kamppi", distance_m=38.0,
        verdict="in", reason="deep", before="outside", after="inside",
    )  # fmt: skip
    row = DeliveryRow(
        "offer_d1", "crm", "offer.triggered", "d", "kamppi", "bun", START_MS, None, "delivered",
        1, START_MS, 204, START_MS,
    )  # fmt: skip
    refusal = replace(decided("cap"), id="d2", campaign="tea")
    story = explain(
        evidence(
            traces=[trace],
            transitions=[event()],
            decisions=[decided(FIRED), refusal],
            deliveries=[row],
            refused=[Rejected("pings/d", b"", "json", "broken", START_MS - 1)],
        )
    )
    kinds = [type(item.about) for item in story.timeline]
    assert kinds == [Rejected, Ping, Transition, Answered, Answered, DeliveryRow]
    said = text_of(story)
    order = [
        "broken",
        "the fix was 38 m inside",
        "entered",
        "(version 1) fired",
        "to endpoint",
        "'tea'",
    ]
    assert sorted(order, key=said.index) == order


def test_why_nothing_fired_is_said() -> None:
    """No campaign that listens, no endpoint that takes it, an edit."""
    assert "no campaign listened to 'enter' of 'Kamppi'" in text_of(
        explain(evidence(transitions=[event()]))
    )
    fired = evidence(transitions=[event()], decisions=[decided(FIRED)])
    assert "nothing was sent" in text_of(explain(fired))
    edit = evidence(transitions=[event(kind=Kind.RECONCILED, reason="edit")])
    assert "the edit of a zone never fires one" in text_of(explain(edit))
    sent = DeliveryRow(
        "transition_e1", "crm", "transition.enter", "d", "kamppi", "", START_MS, None, "failed",
        7, START_MS, None, None,
    )  # fmt: skip
    assert "transition.enter to endpoint 'crm' was given up" in text_of(
        explain(evidence(transitions=[event()], deliveries=[sent]))
    )


def test_who_was_inside_when_a_campaign_asked() -> None:
    """Nobody moved, so there is no transition, but the answer is told with its gates."""
    made = decided("budget", "the budget is used up", passed={})
    said = text_of(explain(evidence(decisions=[made])))
    assert "somebody asked for those inside 'Kamppi'." in said
    assert "the budget is used up" in said
    # what is cut off may as well have had its transition
    assert "asked for those" not in text_of(explain(evidence(decisions=[made], cut=["decisions"])))


def test_times_carry_their_date_when_there_is_more_than_one() -> None:
    """A story over midnight can't be misread."""
    assert "2026-01-02 12:00:00 the device" in text_of(
        explain(
            evidence(
                transitions=[
                    event(),
                    event(id="e2", ts_ms=START_MS + 86_400_000, decided_ms=START_MS + 86_400_000),
                ]
            )
        )
    )
