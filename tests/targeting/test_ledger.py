"""What the store is asked for before a batch is decided, against what deciding then looks at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from geotarget.model import Arm, Budget, Cap, Fired, Kind, Profile, Spent, Status, Trigger, Variant
from geotarget.targeting import Asked, CampaignTable, Ledger, asked
from tests.targeting.conftest import NOON_MS, make_campaign, make_transition
from tests.targeting.deciding import SHOP, run

Make = Callable[..., Any]
TWO = (Variant("a", {}), Variant("b", {}))


@pytest.mark.parametrize(
    ("options", "pairs", "budgets", "arms"),
    [
        ({}, [], [], []),
        ({"cooldown_s": 60}, ["hello"], [], []),
        ({"caps": (Cap(3),)}, ["hello"], [], []),
        # rolling caps are counted in behaviour
        ({"caps": (Cap(3, 60),), "per_visit": 1}, [], [], []),
        ({"budget": Budget(total=1)}, [], ["2026-01-01", ""], []),
        ({"budget": Budget(per_day=1, time_zone="Pacific/Kiritimati")}, [],
         ["2026-01-02", ""], []),
        ({"variants": TWO}, [], [], []),
        ({"variants": TWO, "allocation": "thompson"}, [], [], ["hello"]),
        ({"allocation": "thompson"}, [], [], []),
    ],
)  # fmt: skip
def test_asked_is_what_the_campaign_needs(
    options: dict[str, Any], pairs: list[str], budgets: list[str], arms: list[str]
) -> None:
    """Only what a gate will look at is asked for, each thing once."""
    moved = [make_transition("1" * 32), make_transition("2" * 32)]
    table = CampaignTable.compile([make_campaign(**options)], [SHOP])
    expected = Asked(
        profiles=("phone-1",),
        pairs=tuple((name, "phone-1") for name in pairs),
        budgets=tuple(("hello", day) for day in budgets),
        campaigns=tuple(arms),
    )
    assert expected == asked(moved, table=table, profiles={})


def test_asked_speaks_of_profiles() -> None:
    """Devices of one profile ask for it once, a device without one for itself."""
    moved = [make_transition(f"{n:032x}", device=name) for n, name in enumerate("abc")]
    profiles = {"a": Profile("aino"), "b": Profile("aino")}
    table = CampaignTable.compile([make_campaign(cooldown_s=5)], [SHOP])
    found = asked(moved, table=table, profiles=profiles)
    assert ("aino", "c") == found.profiles
    assert (("hello", "aino"), ("hello", "c")) == found.pairs


@pytest.mark.parametrize(
    ("moved", "status"),
    [
        ({"kind": Kind.EXIT}, Status.ACTIVE),
        ({"zone": "elsewhere"}, Status.ACTIVE),
        ({"confidence": 1}, Status.ACTIVE),
        ({"initial": True}, Status.ACTIVE),
        ({}, Status.PAUSED),
    ],
)
def test_what_is_refused_at_once_asks_for_nothing(moved: dict[str, Any], status: Status) -> None:
    """Most transitions concern nobody: they cost no look-up."""
    trigger = Trigger(min_confidence=2, initial=False)
    campaign = make_campaign(trigger=trigger, cooldown_s=5, budget=Budget(total=1), status=status)
    table = CampaignTable.compile([campaign], [SHOP])
    assert Asked() == asked([make_transition(**moved)], table=table, profiles={})


def test_days_of_a_budget_are_those_of_the_transitions() -> None:
    """A batch over midnight asks for both days."""
    moved = [make_transition(decided_ms=NOON_MS + 43_200_000 + more) for more in (-1, 0)]
    table = CampaignTable.compile([make_campaign(budget=Budget(total=1))], [SHOP])
    expected = (("hello", "2026-01-01"), ("hello", ""), ("hello", "2026-01-02"))
    assert expected == asked(moved, table=table, profiles={}).budgets


def test_an_older_firing_does_not_turn_the_clock_back() -> None:
    """A transition that is decided late counts, and the last firing stays the last."""
    ledger = Ledger()
    campaign = make_campaign()
    late = make_transition("2" * 32, decided_ms=NOON_MS - 60_000)
    decisions = run([make_transition("1" * 32), late], [campaign], ledger=ledger)
    assert ["fired", "fired"] == [each.gate for each in decisions]
    assert {("hello", "phone-1"): Fired(NOON_MS + 250, 2)} == ledger.fired


def test_deciding_looks_at_nothing_else() -> None:
    """With exactly what was asked for, a batch decides as with everything that there is."""
    everything = Ledger(
        {"phone-1": Profile("aino"), "phone-2": Profile("eero")},
        fired={
            (name, who): Fired(NOON_MS - 50_000, 3) for name in "abc" for who in ("aino", "eero")
        },
        spent={(name, day): Spent(4, 4) for name in "abc" for day in ("", "2026-01-01")},
        arms={(name, arm): Arm(9, 5) for name in "abc" for arm in "ab"},
    )
    campaigns = [
        make_campaign("a", cooldown_s=60, with_others=True),
        make_campaign("b", caps=(Cap(3),), budget=Budget(total=9), with_others=True),
        make_campaign("c", budget=Budget(total=5), variants=TWO, allocation="thompson"),
    ]
    moved = [make_transition("1" * 32), make_transition("2" * 32, device="phone-2")]
    table = CampaignTable.compile(campaigns, [SHOP])
    need = asked(moved, table=table, profiles=everything.profiles)
    only = Ledger(
        everything.profiles,
        {who: everything.behaviour_of(who) for who in need.profiles},
        {pair: everything.fired[pair] for pair in need.pairs},
        {each: everything.spent[each] for each in need.budgets},
        {key: arm for key, arm in everything.arms.items() if key[0] in need.campaigns},
    )
    assert len(only.fired) == 4
    assert len(only.arms) == 2
    expected = ["cap", "cap", "fired", "cap", "cap", "budget"]
    found = run(moved, campaigns, ledger=only)
    assert expected == [each.gate for each in found]
    everything.behaviour.clear()
    assert found == run(moved, campaigns, ledger=everything)
