"""Why there was no offer, in plain words: every gate, asked for real, with value and bound."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import geotarget
from geotarget.explaining import why
from geotarget.explaining.advice import ADVICE, ANY, advice
from geotarget.explaining.refusals import SENTENCES
from geotarget.forgetting import ERASED
from geotarget.model import (
    Audience,
    Budget,
    Campaign,
    Cap,
    Hours,
    Profile,
    Status,
    Trigger,
    Variant,
)
from geotarget.targeting import GATES
from geotarget.targeting.case import Case, Moment, Policy
from geotarget.targeting.decide import FIRED
from tests.test_explain import START_MS, decided, event, square

NOON = {"zone": square(time_zone="Europe/Helsinki")}
"""Two in the afternoon there, on a Thursday."""

CAMPAIGN = Campaign(
    id="bun",
    name="Bun",
    trigger=Trigger(),
    offer={"title": "Hello"},
    endpoints=("crm",),
    status=Status.ACTIVE,
)


def asked(
    gate: str,
    *,
    later_s: float = 0.0,
    before: int = 0,
    outranked_by: str = "",
    moved: dict[str, Any] | None = None,
    about: dict[str, Any] | None = None,
    **campaign: Any,
) -> str:
    """Ask a gate, which must refuse, and return how that is told; `before` offers were sent."""
    given = {"zone": square(), "profile": Profile("d")} | (about or {})
    moment = Moment(event(**(moved or {})), **given, now_ms=START_MS + round(later_s * 1000))
    asking = replace(CAMPAIGN, **campaign)
    for number in range(before):
        at_ms = START_MS - 105_000 - number
        sent = replace(decided(FIRED), id=f"o{number}", decided_ms=at_ms, visit="v1")
        moment.ledger.note(
            replace(sent, cost_micros=asking.cost_micros, budget_day="2026-01-01"), asking
        )
    case = Case(moment, asking, outranked_by=outranked_by)
    refusal = dict(GATES)[gate](case)
    assert refusal is not None
    return why(replace(decided(gate, refusal.reason), inputs=refusal.inputs))


TOLD: list[tuple[str, dict[str, Any], str]] = [
    ("trigger", {"later_s": 7_200},
     "The movement was 2 h old when it was decided: an offer answers what is at most 15 min old."),
    ("trigger", {"moved": {"confidence": 1}, "trigger": Trigger(min_confidence=2)},
     ("It was not certain enough that the device was there: confidence 1 of 3, the campaign asks "
     "for 2.")),
    ("trigger", {"moved": {"initial": True}, "trigger": Trigger(initial=False)},
     ("The device was already inside when it was first heard of: the campaign waits until it comes "
     "in.")),
    ("trigger", {"outranked_by": "cafe", "trigger": Trigger(most_specific=True)},
     ("Zone 'cafe', at the same time, is more specific: the campaign speaks for the innermost zone "
     "only.")),
    ("schedule", {"status": Status.PAUSED}, "The campaign is paused."),
    ("schedule", {"status": Status.DRAFT}, "The campaign is a draft."),
    ("schedule", {"status": Status.ENDED}, "The campaign has ended."),
    ("schedule", {"starts": "2026-02-01", "about": NOON},
     "The campaign had not begun: it starts on 2026-02-01 (Europe/Helsinki)."),
    ("schedule", {"ends": "2025-12-01", "about": NOON},
     "The campaign was over: it ended on 2025-12-01 (Europe/Helsinki)."),
    ("schedule", {"days": ("sat",), "hours": (Hours("08:00", "11:00"),), "about": NOON},
     "It was Thu 14:00 in Europe/Helsinki: the campaign speaks sat 08:00-11:00 only."),
    ("schedule",
     {"about": NOON | {"profile": Profile("d", quiet_hours=Hours("13:00", "16:00"))}},
     ("It was Thu 14:00 in Europe/Helsinki: quiet hours for this person are 13:00-16:00, so "
     "nothing is sent until 16:00.")),
    ("schedule",
     {"about": NOON | {"policy": Policy(quiet_hours=Hours("12:00", "08:00"))}},
     ("It was Thu 14:00 in Europe/Helsinki: quiet hours for everybody are 12:00-08:00, so nothing "
     "is sent until 08:00.")),
    ("consent", {"about": {"zone": square(sensitive=True)}},
     "The zone is sensitive: no offer is ever made for being there."),
    ("consent", {"about": {"profile": Profile("d", consent={"marketing": False})}},
     "This person has said no to marketing."),
    ("consent", {"consent_required": True},
     "This person has not said yes to marketing, and the campaign asks for it."),
    ("audience", {"audiences": ("gold",)},
     "There is no audience 'gold', and so nobody belongs to it."),
    ("audience", {"audience": "1 > 2"},
     "This person is not in the campaign's audience: the rule does not hold."),
    ("audience",
     {"audiences": ("gold",), "about": {"audiences": {"gold": Audience("gold", "false")}}},
     "This person is not in audience 'gold': the rule does not hold."),
    ("holdout", {"holdout": 0.9, "salt": "bun"},
     "This person is in the control group, 0.9 of all by a fixed draw ("),
    ("cap", {"cooldown_s": 600, "before": 1},
     "The last offer was 105 s before: the campaign leaves 10 min between two."),
    ("cap", {"caps": (Cap(3, 86_400),), "before": 3},
     "The cap of 3 in 24 h is reached: 3 offers of this campaign."),
    ("cap", {"caps": (Cap(1),), "before": 1},
     "The cap of 1 is reached: 1 offer of this campaign."),
    ("cap", {"per_visit": 1, "before": 1},
     "The cap of 1 in one visit is reached: 1 offer of this campaign in this one."),
    ("cap", {"about": {"policy": Policy(caps=(Cap(2, 86_400),))}, "before": 2},
     "The cap of 2 in 24 h is reached: 2 offers of all campaigns."),
    ("budget", {"budget": Budget("offers", total=2), "before": 2},
     "The budget of the campaign is used up: 2 of 2 spent in all."),
    ("budget",
     {"budget": Budget("money", per_day=100_000), "cost_micros": 50_000, "before": 2},
     ("The budget of the day is used up: 0.1 EUR of 0.1 EUR spent on 2026-01-01, the offer costs "
     "0.05 EUR.")),
    ("budget", {"budget": Budget("offers", per_day=4, pacing="even"), "before": 3},
     ("The budget is spread evenly, and its share up to then was spent: 3 of 4 spent on "
     "2026-01-01, 2 may be by now.")),
    ("arbitration", {"about": {"fired": [replace(CAMPAIGN, id="coffee")]}},
     ("Another campaign came first: 'coffee' answered this movement, and it gets 1 offer at most. "
     "The priority of this campaign is 0.")),
    ("variant", {"variants": (Variant("a", {}, weight=0),)},
     "There was no variant to choose: none of 'a' has a weight over 0."),
    ("content", {"offer": {"title": "{{ 1 | divided_by: 0 }}"}},
     "The offer can't be written for this person: $.offer.title, "),
]  # fmt: skip


@pytest.mark.parametrize(
    ("gate", "given", "wanted"),
    TOLD,
    ids=[f"{gate}-{number}" for number, (gate, *_) in enumerate(TOLD)],
)
def test_a_refusal_is_told_with_its_value_and_bound(
    gate: str, given: dict[str, Any], wanted: str
) -> None:
    """By the gates themselves: what they leave is what the sentences are made of."""
    said = asked(gate, **given)
    assert said.startswith(wanted) if wanted[-1] in "( " else said == wanted
    assert said.endswith(".")


def test_every_gate_has_a_sentence_and_is_asked_here() -> None:
    """No gate is added without one."""
    names = [name for name, _ in GATES]
    assert list(SENTENCES) == names
    assert sorted({gate for gate, *_ in TOLD}) == sorted(names)


@pytest.mark.parametrize("gate", [*SENTENCES, "moon"])
def test_figures_of_another_shape_leave_the_gates_own_reason(gate: str) -> None:
    """What another version wrote is not hidden, and nothing fails on it."""
    assert why(decided(gate, "it rains: 3 of 2", inputs={"strange": 1})).endswith("3 of 2.")
    assert why(decided(FIRED)) == "The offer was made: every gate let it pass."


def test_every_reason_of_a_refused_ping_has_advice() -> None:
    """The codes stand in the code of those who refuse; one that is unknown gets a general word."""
    root = Path(geotarget.__file__).parent
    codes = {
        each.args[0].value
        for path in (root / "ingest").glob("*.py")
        for each in ast.walk(ast.parse(path.read_text()))
        if isinstance(each, ast.Call)
        and isinstance(each.func, ast.Name)
        and each.func.id in ("Refused", "Unroutable")
        and each.args
        and isinstance(each.args[0], ast.Constant)
    }
    assert len(codes) > 8
    assert {*codes, "latitude", "longitude", "future", "null_island", ERASED} == set(ADVICE)
    assert advice("moon") == ANY
