"""Several campaigns want one transition: who wins, who stays silent, and that it is fair."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from scipy.stats import binomtest

from geotarget.model import Budget, Campaign, Cap, Decision, Policy, Status, Trigger
from tests.targeting.conftest import NOON_MS
from tests.targeting.deciding import DAY_S, run

Make = Callable[..., Any]
BROKEN = {"offer": {"text": "{{ 1 | divided_by: 0 }}"}}
HOT, COOL, OUT = {"priority": 9}, {"priority": -1}, {"with_others": True}


def gates(decisions: list[Decision]) -> dict[str, str]:
    """What became of each campaign."""
    return {each.campaign: each.gate for each in decisions}


@pytest.mark.parametrize(
    ("campaigns", "places", "expected"),
    [
        ({"a": {}}, 1, {"a": "fired"}),
        # the highest priority wins
        ({"a": {}, "b": HOT}, 1, {"a": "arbitration", "b": "fired"}),
        ({"a": COOL, "b": {}}, 1, {"a": "arbitration", "b": "fired"}),
        # as many as the policy allows
        ({"a": COOL, "b": {}, "c": HOT}, 2, {"a": "arbitration", "b": "fired", "c": "fired"}),
        ({"a": COOL, "b": {}, "c": HOT}, 3, {"a": "fired", "b": "fired", "c": "fired"}),
        ({"a": {}}, 0, {"a": "arbitration"}),
        # who was refused before does not compete
        ({"a": {}, "b": HOT | {"status": Status.PAUSED}}, 1, {"a": "fired", "b": "schedule"}),
        ({"a": {}, "b": HOT | {"audience": "false"}}, 1, {"a": "fired", "b": "audience"}),
        ({"a": {}, "b": HOT | {"holdout": 0.9}}, 1, {"a": "fired", "b": "holdout"}),
        # a winner that does not render leaves its place to the next
        ({"a": COOL, "b": {}, "c": HOT | BROKEN}, 1,
         {"a": "arbitration", "b": "fired", "c": "content"}),
        # who goes with others neither takes a place nor needs one
        ({"a": {}, "b": HOT | OUT}, 1, {"a": "fired", "b": "fired"}),
        ({"a": HOT, "b": COOL | OUT}, 1, {"a": "fired", "b": "fired"}),
        ({"a": COOL, "b": OUT, "c": OUT, "d": HOT}, 1,
         {"a": "arbitration", "b": "fired", "c": "fired", "d": "fired"}),
    ],
)  # fmt: skip
def test_who_wins(
    campaigns: dict[str, dict[str, Any]],
    places: int,
    expected: dict[str, str],
    campaign: Make,
    transition: Make,
) -> None:
    """Priority first, as many winners as there are places, nobody's place is wasted."""
    made = [campaign(name, salt="control", **options) for name, options in campaigns.items()]
    policy = Policy(offers_per_transition=places)
    assert expected == gates(run([transition()], made, policy=policy))


def test_loser_names_the_winner(campaign: Make, transition: Make) -> None:
    """Who asks why sees which campaigns answered instead."""
    made = [campaign("a"), campaign("b", priority=2), campaign("c", priority=1, **OUT)]
    lost, *_ = run([transition()], made)
    assert "campaign 'b' answers this transition" == lost.reason
    assert {"winners": ["b"], "priority": 0, "offers_per_transition": 1} == lost.inputs
    assert (0, "", None) == (lost.cost_micros, lost.budget_day, lost.offer)


def test_a_winner_counts_for_those_after_it(campaign: Make, transition: Make) -> None:
    """After each offer caps over all campaigns are asked again, on the same transition."""
    made = [campaign(name, priority=rank) for rank, name in enumerate("abc")]
    policy = Policy(offers_per_transition=3, caps=(Cap(2, DAY_S),))
    decisions = run([transition()], made, policy=policy)
    assert {"a": "cap", "b": "fired", "c": "fired"} == gates(decisions)
    assert "2 offers of all campaigns in the last 1 d, at most 2 may be" == decisions[0].reason
    assert "cap" not in decisions[0].passed
    together = [campaign("a", **OUT), campaign("b", priority=1)]
    policy = Policy(caps=(Cap(1, DAY_S),))
    assert {"a": "cap", "b": "fired"} == gates(run([transition()], together, policy=policy))


def test_a_loser_spends_nothing(campaign: Make, transition: Make) -> None:
    """A campaign that lost keeps its budget for the next transition."""
    budget = Budget(total=1)
    made = [campaign("a", budget=budget), campaign("b", priority=1, budget=budget)]
    moved = [transition(f"{n:032x}", device=f"phone-{n}") for n in range(3)]
    decisions = run(moved, made)
    expected = ["arbitration", "fired", "fired", "budget", "budget", "budget"]
    assert expected == [each.gate for each in decisions]


def test_equals_share_evenly(transition: Make) -> None:
    """Two equal campaigns get about half of 4,000 transitions each, three a third."""
    moved = [transition(f"{n:032x}", device=f"phone-{n}") for n in range(4_000)]
    for names in ("ab", "abc"):
        made = [Campaign(name, "", Trigger(), {}, ()) for name in names]
        wins = Counter(each.campaign for each in run(moved, made) if each.fired)
        assert sum(wins.values()) == len(moved)
        for name in names:
            assert binomtest(wins[name], len(moved), 1 / len(names)).pvalue > 1e-4, wins


def test_the_lot_hangs_on_transition_and_campaign_only(campaign: Make, transition: Make) -> None:
    """Who is known in which order, and who else competes in vain, changes no winner among two."""
    moved = [transition(f"{n:032x}", device=f"phone-{n}") for n in range(50)]
    a, b = campaign("a"), campaign("b")
    low = campaign("low", priority=-1)

    def winners(*made: Campaign) -> list[str]:
        return [each.campaign for each in run(moved, made) if each.fired]

    expected = winners(a, b)
    assert {"a", "b"} == set(expected)
    assert expected == winners(b, a) == winners(low, b, a)
    later = [transition(f"{n:032x}", ts_ms=NOON_MS + 5, device="other") for n in range(50)]
    assert expected == [each.campaign for each in run(later, [a, b]) if each.fired]
