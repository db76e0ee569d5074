"""The gates: their order, what the short ones refuse, and that each refuses by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from geotarget.errors import InvalidCampaign
from geotarget.model import (
    Arm,
    Audience,
    Behaviour,
    Budget,
    Cap,
    Decision,
    Fired,
    Hours,
    Policy,
    Profile,
    Spent,
    Status,
    Stay,
    Trigger,
    Variant,
)
from geotarget.targeting import GATES, Ledger, validate_figures
from geotarget.targeting.allocation import unit_hash
from geotarget.targeting.decide import EXPOSED
from geotarget.targeting.gates import (
    AFTER_ANOTHER,
    ALONE,
    TOGETHER,
    audience,
    holdout,
    trigger,
    variant,
)
from tests.targeting.conftest import NOON_MS, make_campaign, make_transition, make_zone
from tests.targeting.deciding import make_case, run

IN_ORDER = [
    "trigger",
    "schedule",
    "consent",
    "audience",
    "holdout",
    "cap",
    "budget",
    "arbitration",
    "variant",
    "content",
]


def profile_with(low: float, high: float, salt: str = "hello") -> Profile:
    """Return a profile whose number for the control group of a salt lies between two bounds."""
    names = (f"p{n}" for n in range(100_000))
    return Profile(next(n for n in names if low <= unit_hash("holdout", salt, n) < high))


HELD, TREATED = profile_with(0, 0.1), profile_with(0.1, 1)


def test_gates_stand_in_their_order() -> None:
    """The order is a promise: the first gate that refuses is the one that is told."""
    assert IN_ORDER == [name for name, _ in GATES]
    assert GATES == ALONE + TOGETHER
    again = ["arbitration", "cap", "budget", "variant", "content"]
    assert again == [name for name, _ in AFTER_ANOTHER]


# What makes each gate refuse while all others let it pass: what is wrong with the campaign, and
# with everything else.
WRONG: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "trigger": ({"trigger": Trigger(min_confidence=3)}, {}),
    "schedule": ({"hours": (Hours("13:00", "14:00"),)}, {}),
    "consent": ({"purpose": "news", "consent_required": True}, {}),
    "audience": ({"audience": 'profile.tier == "gold"'}, {}),
    "holdout": ({"holdout": 0.1}, {"profile": HELD}),
    "cap": ({"cooldown_s": 60}, {"fired": {("hello", HELD.id): Fired(NOON_MS, 1)}}),
    "budget": ({"budget": Budget(total=1)}, {"spent": {("hello", ""): Spent(1, 0)}}),
    "arbitration": ({}, {"policy": Policy(offers_per_transition=0)}),
    "variant": ({"variants": (Variant("a", {}, weight=0), Variant("b", {}, weight=0))}, {}),
    "content": ({"offer": {"text": "{{ 1 | divided_by: 0 }}"}}, {}),
}


def ask(names: list[str]) -> Decision:
    """Return the decision in which everything of these gates is wrong."""
    campaign: dict[str, Any] = {}
    around: dict[str, Any] = {}
    for name in names:
        campaign |= WRONG[name][0]
        around |= WRONG[name][1]
    if "variant" in names and "content" not in names:
        campaign["variants"] = tuple(replace(each, offer={"a": 1}) for each in campaign["variants"])
    ledger = Ledger(
        {"phone-1": around.get("profile", HELD)},
        fired=around.get("fired", {}),
        spent=around.get("spent", {}),
    )
    (decision,) = run(
        [make_transition(confidence=1)],
        [make_campaign(**campaign)],
        ledger=ledger,
        policy=around.get("policy", Policy()),
    )
    assert msgspec.json.encode(decision)
    return decision


@pytest.mark.parametrize("name", IN_ORDER)
def test_each_gate_refuses_by_itself(name: str) -> None:
    """With one thing wrong, its gate is the one that refuses; with it put right, it fires."""
    assert name == ask([name]).gate
    assert "fired" == ask([]).gate


@pytest.mark.parametrize("place", range(len(IN_ORDER)))
def test_the_first_refusing_gate_is_told(place: int) -> None:
    """With everything wrong from some gate on, it is that gate, and only those before it passed."""
    decision = ask(IN_ORDER[place:])
    assert IN_ORDER[place] == decision.gate
    assert decision.passed.keys() <= set(IN_ORDER[:place])


@pytest.mark.parametrize(
    ("moved", "wanted", "options", "reason", "inputs"),
    [
        ({}, {}, {}, None, {}),
        ({"confidence": 2}, {"min_confidence": 2}, {}, None, {}),
        ({"confidence": 1}, {"min_confidence": 2}, {}, "confidence 1 is under 2",
         {"confidence": 1, "min_confidence": 2}),
        ({"initial": True}, {}, {}, None, {}),
        ({"initial": True}, {"initial": False}, {},
         "the device was seen for the first time, already inside", {"initial": True}),
        ({}, {"most_specific": True}, {"outranked_by": "kiosk"},
         "zone 'kiosk', at the same time, is more specific",
         {"most_specific": True, "outranked_by": "kiosk"}),
        ({}, {}, {"outranked_by": "kiosk"}, None, {}),
        # age: the bound is the last that still fires, and it can be set
        ({}, {}, {"age_ms": 900_000}, None, {}),
        ({}, {}, {"age_ms": 900_001}, "the transition is 900 s old, at most 900 s may be",
         {"age_s": 900.001, "max_age_s": 900.0}),
        ({}, {}, {"age_ms": 60_001, "max_age_s": 60.0},
         "the transition is 60 s old, at most 60 s may be",
         {"age_s": 60.001, "max_age_s": 60.0}),
        ({}, {}, {"age_ms": -5_000}, None, {}),
    ],
)  # fmt: skip
def test_trigger(
    moved: dict[str, Any],
    wanted: dict[str, Any],
    options: dict[str, Any],
    reason: str | None,
    inputs: dict[str, Any],
) -> None:
    """Old, uncertain, unwanted initial and outranked entries are refused with what was compared."""
    policy = Policy(max_age_s=options.get("max_age_s", 900.0))
    case = make_case(campaign={"trigger": Trigger(**wanted)}, policy=policy, **moved)
    case.moment.now_ms += options.get("age_ms", 0)
    case.outranked_by = options.get("outranked_by", "")
    refusal = trigger(case)
    assert reason == (refusal and refusal.reason)
    assert inputs == (refusal.inputs if refusal else {})


AUDIENCES = {
    "gold": Audience("gold", 'profile.tier == "gold"'),
    "regulars": Audience("regulars", "visits.here(30) >= 2"),
    "broken": Audience("broken", "this is no rule ("),
}


@pytest.mark.parametrize(
    ("own", "named", "tier", "reason", "inputs"),
    [
        ("", (), "gold", None, ["own"]),
        ('profile.tier == "gold"', (), "gold", None, ["own"]),
        ('profile.tier == "gold"', (), "blue", "not in the audience: ",
         {"rule": 'profile.tier == "gold"'}),
        ("", ("gold", "regulars"), "gold", None, ["gold", "regulars"]),
        ("true", ("gold",), "gold", None, ["own", "gold"]),
        # all of them must hold; the first that doesn't is told
        ("true", ("regulars", "gold"), "blue", "not in audience 'gold': ",
         {"rule": 'profile.tier == "gold"', "audience": "gold"}),
        ("visits.here(30) > 2", ("gold",), "gold", "not in the audience: ",
         {"rule": "visits.here(30) > 2"}),
        ("", ("nobody",), "gold", "there is no audience 'nobody'", {"audience": "nobody"}),
        # what can't be read or answered does not hold
        ("", ("broken",), "gold", "audience 'broken' can't be read: ",
         {"rule": "this is no rule (", "audience": "broken"}),
        ('profile.pet == "cat"', (), "gold", "not in the audience: ", {}),
    ],
)  # fmt: skip
def test_audience(
    own: str, named: tuple[str, ...], tier: str, reason: str | None, inputs: Any
) -> None:
    """The campaign's own rule and every named one must hold; why not is told in words."""
    profile = Profile("p", {"tier": tier})
    stays = [Stay(NOON_MS - days * 86_400_000, 600) for days in (20, 10)]
    ledger = Ledger(behaviour={"p": Behaviour(first_ms=1, stays={"shop": stays})})
    case = make_case(campaign={"audience": own, "audiences": named}, profile=profile, ledger=ledger)
    case.moment.audiences = AUDIENCES
    refusal = audience(case)
    if reason is None:
        assert refusal is None
        expected = {"audience": {"rules": inputs}} if own or named else {}
        assert expected == case.passed
    else:
        assert refusal is not None
        assert refusal.reason.startswith(reason)
        assert inputs.items() <= dict(refusal.inputs).items()
        assert msgspec.json.encode(refusal.inputs)


def test_a_missing_attribute_is_told_with_its_place() -> None:
    """Who asks why sees which attribute the profile lacks, and where the rule asks for it."""
    case = make_case(campaign={"audience": '1 < 2 && profile.pet == "cat"'})
    refusal = audience(case)
    assert refusal is not None
    assert "pet" in refusal.reason
    assert 1 == refusal.inputs["line"]
    assert 10 <= refusal.inputs["column"] <= 18


def test_facts_are_built_once_for_all_campaigns() -> None:
    """Campaigns that answer one transition ask the same facts; other cases do not build any."""
    case = make_case(campaign={"audience": "true"})
    other = replace(case, campaign=make_campaign("other", audience="visits.total(7) == 0"))
    assert (None, None) == (audience(case), audience(other))
    assert case.moment is other.moment
    assert case.moment.facts is other.moment.facts


@pytest.mark.parametrize(
    ("share", "salt", "profile", "refuses"),
    [
        (0.0, "", HELD, False),
        (0.1, "", HELD, True),
        (0.1, "", TREATED, False),
        # campaigns of one salt hold out the same people, whatever their ids
        (0.1, "spring", profile_with(0, 0.1, "spring"), True),
        (0.1, "spring", profile_with(0.1, 1, "spring"), False),
        # the bound itself is not held out
        (unit_hash("holdout", "hello", "p7"), "", Profile("p7"), False),
    ],
)
def test_holdout(share: float, salt: str, profile: Profile, refuses: bool) -> None:
    """The share of the profiles with the smallest hashes is held out; the figures are told."""
    case = make_case(campaign={"holdout": share, "salt": salt}, profile=profile)
    refusal = holdout(case)
    number = unit_hash("holdout", salt or "hello", profile.id)
    inputs = {"hash": number, "holdout": share, "salt": salt or "hello"}
    if refuses:
        assert refusal is not None
        assert inputs == refusal.inputs
        assert f"in the control group: hash {number:.6f} is under 0.1" == refusal.reason
    else:
        assert refusal is None
        assert case.passed == ({"holdout": inputs} if share else {})


def test_held_out_decision_tells_what_would_have_been_sent() -> None:
    """The control group is compared with what was sent: variant and offer are the same."""
    variants = (Variant("a", {"text": "a for {{ profile.id }}"}), Variant("b", {"text": "b"}))
    campaign = make_campaign(variants=variants, attribution_s=60, cost_micros=5, valid_s=60)
    profiles = {"phone-1": HELD}
    (fired,) = run([make_transition()], [campaign], profiles=profiles)
    (held,) = run([make_transition()], [replace(campaign, holdout=0.1)], profiles=profiles)
    assert ("fired", "holdout") == (fired.gate, held.gate)
    assert held.offer is not None
    assert (fired.variant, fired.offer, fired.language) == (held.variant, held.offer, held.language)
    assert fired.counts_until_ms == held.counts_until_ms == NOON_MS + 60_250
    assert (0, "", None) == (held.cost_micros, held.budget_day, held.expires_ms)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"offer": {"text": "{{ 1 | divided_by: 0 }}"}}, "the offer does not render: "),
        ({"variants": (Variant("a", {}, weight=0),)}, "no variant has a weight over 0"),
    ],
)
def test_held_out_stays_held_out_when_nothing_could_be_sent(
    options: dict[str, Any], reason: str
) -> None:
    """What is wrong with the offer is told beside; the gate stays the holdout."""
    campaign = make_campaign(holdout=0.1, **options)
    (decision,) = run([make_transition()], [campaign], profiles={"phone-1": HELD})
    assert ("holdout", None, None) == (decision.gate, decision.offer, decision.variant)
    assert decision.inputs["not_sent_either"].startswith(reason)


def test_caps_and_budgets_do_not_touch_the_control_group() -> None:
    """Holdout comes before all caps: who is held out stays comparable, however often it comes."""
    campaign = make_campaign(holdout=0.1, caps=(Cap(1),), budget=Budget(total=1), cooldown_s=60)
    moved = [make_transition(f"{n:032x}") for n in range(3)]
    ledger = Ledger({"phone-1": HELD})
    decisions = run(moved, [campaign], ledger=ledger)
    assert ["holdout"] * 3 == [each.gate for each in decisions]
    heard = ledger.behaviour_of(HELD.id).heard
    assert [each.id for each in decisions] == [each.decision for each in heard]
    assert all(each.held_out for each in heard)


@pytest.mark.parametrize("name", IN_ORDER)
def test_who_is_meant_can_be_measured(name: str) -> None:
    """From the holdout on a decision has a time in which conversions count, whatever refused.

    Else people who were first refused by a cap would be missing beside the control group.
    """
    decision = ask([name])
    past = IN_ORDER.index(decision.gate) > IN_ORDER.index("audience")
    assert (NOON_MS + 250 + 7 * 86_400_000 if past else 0) == decision.counts_until_ms
    assert past == (decision.gate in EXPOSED)
    assert "fired" in EXPOSED


@pytest.mark.parametrize("name", ["holdout", "cap", "budget", "arbitration", "content"])
def test_who_is_meant_belongs_to_a_variant(name: str) -> None:
    """By weights whatever refused; a bandit chooses only for what is sent, or would have been."""
    campaign, around = WRONG[name]
    variants = tuple(Variant(each, campaign.get("offer", {})) for each in "ab")
    for allocation in ("weights", "thompson"):
        (decision,) = run(
            [make_transition()],
            [make_campaign(variants=variants, allocation=allocation, **campaign)],
            ledger=Ledger(
                {"phone-1": HELD}, fired=around.get("fired", {}), spent=around.get("spent", {})
            ),
            policy=around.get("policy", Policy()),
        )
        assert name == decision.gate
        sent = name in {"holdout", "content"}
        expected = {"a", "b"} if allocation == "weights" or sent else {None}
        assert decision.variant in expected
    (early,) = run([make_transition()], [make_campaign(variants=variants, audience="false")])
    assert ("audience", None) == (early.gate, early.variant)


def test_thompson_tells_the_arms_that_it_drew_from() -> None:
    """What the bandit knew when it chose is told with the decision."""
    variants = (Variant("a", {"x": 1}), Variant("b", {"x": 2}))
    campaign = make_campaign(variants=variants, allocation="thompson")
    ledger = Ledger(arms={("hello", "a"): Arm(1_000, 900), ("hello", "b"): Arm(1_000, 1)})
    (decision,) = run([make_transition()], [campaign], ledger=ledger)
    assert ("fired", "a") == (decision.gate, decision.variant)
    arms = {"a": {"sent": 1_000, "converted": 900}, "b": {"sent": 1_000, "converted": 1}}
    expected = {"variant": "a", "allocation": "thompson", "arms": arms}
    assert expected == decision.passed["variant"]


def test_no_variants_no_choice() -> None:
    """A campaign with one offer has no variant and nothing to tell of one."""
    case = make_case()
    assert (None, None, {}) == (holdout(case), variant(case), case.passed)
    assert case.variant is None


def test_paused_campaign_tells_what_it_would_have_met() -> None:
    """A paused campaign answers, with a refusal; drafts and ended ones are silent."""
    for status, expected in [(Status.PAUSED, ["schedule"]), (Status.DRAFT, []), (Status.ENDED, [])]:
        made = run([make_transition()], [make_campaign(status=status)], [make_zone()])
        assert expected == [each.gate for each in made]


@pytest.mark.parametrize(
    ("options", "path", "value"),
    [
        ({}, None, ""),
        ({"holdout": 0.9, "priority": -1_000_000, "attribution_s": 1, "salt": "x"}, None, ""),
        ({"holdout": 0.91}, "$.holdout", "0.91"),
        ({"holdout": -0.1}, "$.holdout", "-0.1"),
        ({"holdout": float("nan")}, "$.holdout", "nan"),
        ({"priority": 1_000_001}, "$.priority", "1000001"),
        ({"purpose": ""}, "$.consent.purpose", "''"),
        ({"purpose": "a\nb"}, "$.consent.purpose", "'a\\nb'"),
        ({"salt": "s" * 129}, "$.salt", "'" + "s" * 79),
        ({"cost_micros": -1}, "$.cost_per_offer", "-1e-06"),
        ({"currency": "euro"}, "$.currency", "'euro'"),
        ({"currency": "EUR\n"}, "$.currency", "'EUR\\n'"),
        ({"attribution_s": 0}, "$.attribution_s", "0"),
        ({"attribution_s": 90 * 86_400 + 1}, "$.attribution_s", "7776001"),
    ],
)
def test_validate_figures(options: dict[str, Any], path: str | None, value: str) -> None:
    """Shares, ranks, costs and windows have their bounds, named with path and value."""
    campaign = make_campaign(**options)
    if path is None:
        validate_figures(campaign)
        return
    with pytest.raises(InvalidCampaign) as caught:
        validate_figures(campaign)
    assert [(path, value)] == [(each.path, each.value) for each in caught.value.problems]
