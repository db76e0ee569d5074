"""What a campaign may spend: bounds, money, days of the budget's own, and even pacing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotarget.errors import InvalidCampaign
from geotarget.model import (
    Budget,
    Campaign,
    Hours,
    Kind,
    Spent,
    Transition,
    Trigger,
    Variant,
)
from geotarget.targeting import validate_budget
from geotarget.targeting.budget import gate
from geotarget.targeting.local_time import HOUR_MS, date_of
from tests.targeting.conftest import NOON_MS, make_campaign, make_zone
from tests.targeting.deciding import make_case, remembering, run

EURO = 1_000_000
TODAY = "2026-01-01"
HELSINKI = {"time_zone": "Europe/Helsinki"}


def ms(text: str) -> int:
    """Unix milliseconds of an ISO 8601 time with offset."""
    return round(dt.datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(
    ("budget", "cost_micros", "total", "today", "reason", "inputs"),
    [
        (Budget(total=10), 0, Spent(9), Spent(9), None, {}),
        (Budget(total=10), 0, Spent(10), Spent(0),
         "the budget is used up: 10 of 10 spent in all",
         {"budget": "total", "in": "offers", "bound": 10, "spent": 10}),
        (Budget(total=10), 0, Spent(11), Spent(0),
         "the budget is used up: 11 of 10 spent in all",
         {"budget": "total", "in": "offers", "bound": 10, "spent": 11}),
        (Budget(per_day=3), 0, Spent(50), Spent(2), None, {}),
        (Budget(per_day=3), 0, Spent(50), Spent(3),
         "the budget is used up: 3 of 3 spent on 2026-01-01",
         {"budget": "per_day", "in": "offers", "bound": 3, "spent": 3, "day": TODAY}),
        # both: the first that is reached is told
        (Budget(total=10, per_day=3), 0, Spent(10), Spent(3),
         "the budget is used up: 10 of 10 spent in all",
         {"budget": "total", "in": "offers", "bound": 10, "spent": 10}),
        # money: what the offer costs must still fit
        (Budget("money", total=5 * EURO), EURO, Spent(9, 4 * EURO), Spent(), None, {}),
        (Budget("money", total=5 * EURO), EURO, Spent(9, 4 * EURO + 1), Spent(),
         "the budget is used up: 4.000001 EUR of 5 EUR spent in all, the offer costs 1 EUR",
         {"budget": "total", "in": "money", "bound": 5 * EURO, "spent": 4 * EURO + 1,
          "needed": EURO, "currency": "EUR"}),
        (Budget("money", per_day=100 * EURO), 510_000, Spent(), Spent(7, 99_500_000),
         "the budget is used up: 99.5 EUR of 100 EUR spent on 2026-01-01, the offer costs 0.51 EUR",
         {"budget": "per_day", "in": "money", "bound": 100 * EURO, "spent": 99_500_000,
          "needed": 510_000, "currency": "EUR", "day": TODAY}),
        # what costs nothing is sent, even when all is spent
        (Budget("money", total=EURO), 0, Spent(1, EURO), Spent(), None, {}),
    ],
)  # fmt: skip
def test_bounds(
    budget: Budget,
    cost_micros: int,
    total: Spent,
    today: Spent,
    reason: str | None,
    inputs: dict[str, Any],
) -> None:
    """An offer that the budget doesn't hold any more is refused, with what is spent."""
    ledger = remembering(spent={("hello", ""): total, ("hello", TODAY): today})
    case = make_case(campaign={"budget": budget, "cost_micros": cost_micros}, ledger=ledger)
    refusal = gate(case)
    assert reason == (refusal and refusal.reason)
    assert inputs == (refusal.inputs if refusal else {})
    assert (refusal is None) == ("budget" in case.passed)
    assert msgspec.json.encode([inputs, case.passed])


def test_passed_budget_tells_what_is_spent() -> None:
    """Who passed sees how much of each bound is spent."""
    ledger = remembering(spent={("hello", ""): Spent(40), ("hello", TODAY): Spent(7)})
    budget = Budget(total=1000, per_day=48, pacing="even")
    dates = {"starts": "2025-12-31", "ends": "2026-01-01"}
    case = make_case(campaign={"budget": budget, **dates}, ledger=ledger)
    assert gate(case) is None
    expected = {
        "total": {"in": "offers", "bound": 1000, "spent": 40, "allowed": 750},
        "per_day": {"in": "offers", "bound": 48, "spent": 7, "allowed": 24, "day": TODAY},
    }
    assert {"budget": expected} == case.passed


def test_campaign_without_budget_is_not_asked() -> None:
    """No budget, no bound, nothing to tell."""
    case = make_case(ledger=remembering(spent={("hello", ""): Spent(10**9)}))
    assert (None, {}) == (gate(case), case.passed)


@pytest.mark.parametrize(
    ("at", "time_zone", "day"),
    [
        ("2026-01-01T21:59:59Z", "UTC", "2026-01-01"),
        ("2026-01-01T22:00Z", "Europe/Helsinki", "2026-01-02"),
        ("2026-01-01T21:59:59Z", "Europe/Helsinki", "2026-01-01"),
        ("2026-01-01T18:15Z", "Asia/Kathmandu", "2026-01-02"),
        ("2026-01-01T10:00Z", "Pacific/Kiritimati", "2026-01-02"),
    ],
)
def test_a_day_begins_at_the_budgets_midnight(at: str, time_zone: str, day: str) -> None:
    """One midnight for all zones: that of the budget, whatever the zone's clock shows."""
    budget = Budget(per_day=1, time_zone=time_zone)
    full = remembering(spent={("hello", day): Spent(1)})
    for zone in (HELSINKI, {"time_zone": "America/Chicago"}):
        case = make_case(at_ms=ms(at), campaign={"budget": budget}, zone=zone, ledger=full)
        refusal = gate(case)
        assert refusal is not None
        assert day == refusal.inputs["day"]


def test_the_variants_own_cost_counts() -> None:
    """In money an offer costs what its variant costs, else what the campaign says."""
    variants = (Variant("dear", {}, cost_micros=3 * EURO), Variant("plain", {}))
    budget = Budget("money", total=5 * EURO)
    campaign = make_campaign(budget=budget, variants=variants, cost_micros=EURO)
    ledger = remembering(spent={("hello", ""): Spent(1, 3 * EURO)})
    refusals = []
    for variant in variants:
        case = make_case(campaign=campaign, ledger=ledger)
        case.variant = variant
        refusals.append(gate(case))
    assert refusals[0] is not None
    assert 3 * EURO == refusals[0].inputs["needed"]
    assert refusals[1] is None


@pytest.mark.parametrize(
    ("at", "hours", "allowed"),
    [
        # 240 a day without hours: ten an hour
        ("2026-01-01T00:00+02:00", (), 0),
        ("2026-01-01T00:05:59.998+02:00", (), 0),
        ("2026-01-01T00:05:59.999+02:00", (), 1),
        ("2026-01-01T06:00+02:00", (), 60),
        ("2026-01-01T23:59:59.999+02:00", (), 240),
        # within hours: twenty an hour, nothing while it is closed
        ("2026-01-01T08:00+02:00", (Hours("08:00", "20:00"),), 0),
        ("2026-01-01T09:00+02:00", (Hours("08:00", "20:00"),), 20),
        ("2026-01-01T19:59:59.999+02:00", (Hours("08:00", "20:00"),), 240),
        # two stretches share the day
        ("2026-01-01T12:00+02:00", (Hours("10:00", "12:00"), Hours("18:00", "22:00")), 80),
        ("2026-01-01T19:00+02:00", (Hours("10:00", "12:00"), Hours("18:00", "22:00")), 120),
        # a night: the day holds the end of one and the beginning of the next
        ("2026-01-01T01:00+02:00", (Hours("22:00", "02:00"),), 60),
        ("2026-01-01T23:00+02:00", (Hours("22:00", "02:00"),), 180),
        # 23 hours, 25 hours
        ("2026-03-29T04:00+03:00", (), 240 * 3 // 23),
        ("2026-03-29T12:00+03:00", (), 240 * 11 // 23),
        ("2026-10-25T03:30+03:00", (), 240 * 35 // 250),
        ("2026-10-25T03:30+02:00", (), 240 * 45 // 250),
        ("2026-03-29T06:00+03:00", (Hours("02:00", "08:00"),), 240 * 3 // 5),
        ("2026-10-25T06:00+02:00", (Hours("02:00", "08:00"),), 240 * 5 // 7),
    ],
)
def test_even_pace_of_a_day(at: str, hours: tuple[Hours, ...], allowed: int) -> None:
    """Spending is at most one offer ahead of the share of the day, or of what is open of it."""
    budget = Budget(per_day=240, pacing="even", time_zone="Europe/Helsinki")
    at_ms = ms(at)
    day = date_of(at_ms, budget.time_zone)
    for spent in (allowed, allowed + 1):
        ledger = remembering(spent={("hello", day): Spent(spent)})
        campaign = {"budget": budget, "hours": hours}
        refusal = gate(make_case(at_ms=at_ms, campaign=campaign, zone=HELSINKI, ledger=ledger))
        assert (spent <= allowed and spent < 240) == (refusal is None)
        if refusal is not None and spent < 240:
            expected = f"{spent} of 240 spent on {day}, {allowed} may be by now"
            assert f"ahead of its even pace: {expected}" == refusal.reason
            assert allowed == refusal.inputs["allowed"]


def test_hours_are_those_of_the_zone_that_asks() -> None:
    """A budget that counts by UTC days still paces a shop by the shop's own clock."""
    budget = Budget(per_day=120, pacing="even", time_zone="UTC")
    campaign = {"budget": budget, "hours": (Hours("08:00", "20:00"),)}
    case = make_case(at_ms=ms("2026-01-01T14:00+02:00"), campaign=campaign, zone=HELSINKI)
    assert gate(case) is None
    assert 60 == case.passed["budget"]["per_day"]["allowed"]


@pytest.mark.parametrize(
    ("at", "allowed"),
    [
        ("2026-03-28T00:00+02:00", 0),
        ("2026-03-28T12:00+02:00", 7_100 * 12 // 71),
        # after the night in which an hour is left out
        ("2026-03-29T12:00+03:00", 7_100 * 35 // 71),
        ("2026-03-30T23:59:59.999+03:00", 7_100),
    ],
)
def test_even_pace_of_the_whole(at: str, allowed: int) -> None:
    """A total is spread over the time from start to end, of 71 hours here."""
    campaign = {
        "budget": Budget(total=7_100, pacing="even"),
        "starts": "2026-03-28",
        "ends": "2026-03-30",
    }
    for spent in (allowed, allowed + 1):
        ledger = remembering(spent={("hello", ""): Spent(spent)})
        refusal = gate(make_case(at_ms=ms(at), campaign=campaign, zone=HELSINKI, ledger=ledger))
        assert (spent <= allowed and spent < 7_100) == (refusal is None)


def test_even_pace_of_money() -> None:
    """Half the day, half the money, and the offer that begins the next stretch."""
    budget = Budget("money", per_day=10 * EURO, pacing="even")
    campaign = {"budget": budget, "cost_micros": EURO, "currency": "SEK"}
    ledger = remembering(spent={("hello", TODAY): Spent(1, 5 * EURO + 1)})
    refusal = gate(make_case(at_ms=NOON_MS, campaign=campaign, ledger=ledger))
    assert refusal is not None
    expected = (
        "ahead of its even pace: 5.000001 SEK of 10 SEK spent on 2026-01-01, "
        "5 SEK may be by now, the offer costs 1 SEK"
    )
    assert expected == refusal.reason
    ledger.spent["hello", TODAY] = Spent(1, 5 * EURO)
    assert gate(make_case(at_ms=NOON_MS, campaign=campaign, ledger=ledger)) is None


def test_a_total_without_dates_is_not_paced_but_refused() -> None:
    """What only a database of another version can hold stops an offer and not a batch."""
    campaign = {"budget": Budget(total=5, pacing="even"), "starts": "2026-01-01"}
    refusal = gate(make_case(campaign=campaign))
    assert refusal is not None
    assert "the budget can't be paced: starts and ends are missing" == refusal.reason


DATES = {"starts": "2026-01-01", "ends": "2026-02-01"}


@pytest.mark.parametrize(
    ("options", "paths"),
    [
        ({"budget": None}, []),
        ({"budget": Budget(total=1)}, []),
        ({"budget": Budget(total=5, per_day=5, pacing="even"), **DATES}, []),
        ({"budget": Budget(per_day=5, pacing="even", time_zone="Asia/Kathmandu")}, []),
        ({"budget": Budget("money", total=EURO), "cost_micros": 1}, []),
        ({"budget": Budget("money", total=EURO), "variants": (Variant("a", {}, cost_micros=1),)},
         []),
        ({"budget": Budget()}, ["$.budget"]),
        ({"budget": Budget(total=0)}, ["$.budget.total"]),
        ({"budget": Budget(total=5, per_day=6)}, ["$.budget.per_day"]),
        ({"budget": Budget(total=10**15 + 1, per_day=-1)}, ["$.budget.total", "$.budget.per_day"]),
        ({"budget": Budget("euros", total=1, pacing="slow", time_zone="Helsinki")},
         ["$.budget.in", "$.budget.pacing", "$.budget.time_zone"]),
        ({"budget": Budget(total=1, time_zone="")}, ["$.budget.time_zone"]),
        ({"budget": Budget("money", total=EURO)}, ["$.budget.in"]),
        ({"budget": Budget("money", total=EURO), "cost_micros": 5,
          "variants": (Variant("a", {}, cost_micros=0),)}, ["$.budget.in"]),
        ({"budget": Budget(total=5, pacing="even")}, ["$.budget.pacing"] * 2),
        ({"budget": Budget(total=5, pacing="even"), "starts": "2026-01-01"}, ["$.budget.pacing"]),
    ],
)  # fmt: skip
def test_validate_budget(options: dict[str, Any], paths: list[str]) -> None:
    """Contradictions between budget, costs and dates are named with their place."""
    campaign = make_campaign(**options)
    if not paths:
        validate_budget(campaign)
        return
    with pytest.raises(InvalidCampaign) as caught:
        validate_budget(campaign)
    assert paths == [problem.path for problem in caught.value.problems]


def test_money_is_told_in_units() -> None:
    """Problems speak of euros, as the document does."""
    options = {"budget": Budget("money", total=2_500_000, per_day=3 * EURO), "cost_micros": 1}
    with pytest.raises(InvalidCampaign, match=r"per_day: must not be above the total \(3\)"):
        validate_budget(make_campaign(**options))


HOURS = st.sampled_from([(), (Hours("08:00", "20:00"),), (Hours("22:00", "03:00"),)])
TIMES = st.lists(st.integers(0, 60 * 60), max_size=60)  # minutes


def moves(times: list[int], begin_ms: int) -> list[Transition]:
    """Make entries of ever new people, so many minutes after an instant."""
    return [
        Transition(f"{n:032x}", f"v{n}", f"d{n}", "shop", 1, Kind.ENTER, at_ms, at_ms, 3, 0.9)
        for n, at_ms in enumerate(begin_ms + 60_000 * minutes for minutes in times)
    ]


def spending(fired: list[Any], key: Callable[[Any], str]) -> dict[str, list[Any]]:
    """Group fired decisions by a key."""
    groups: dict[str, list[Any]] = {}
    for each in fired:
        groups.setdefault(key(each), []).append(each)
    return groups


@given(
    TIMES,
    st.sampled_from(["2026-03-28T00:00+02:00", "2026-10-24T00:00+03:00"]),
    HOURS,
    st.integers(1, 12),
    st.integers(0, 8),
    st.sampled_from(["asap", "even"]),
    st.sampled_from(["offers", "money"]),
    st.sampled_from(["Europe/Helsinki", "Asia/Kathmandu"]),
)
def test_never_more_than_the_budget(
    times: list[int],
    begin: str,
    hours: tuple[Hours, ...],
    per_day: int,
    more: int,
    pacing: str,
    unit: str,
    time_zone: str,
) -> None:
    """Whatever comes, in whatever order, over the nights in which clocks change."""
    begin_ms = ms(begin)
    size = 3 if unit == "money" else 1  # an offer costs 3, so bounds are not always met exactly
    budget = Budget(unit, size * per_day + more, per_day + more, pacing, time_zone)
    shop = make_zone(**HELSINKI)
    campaign = Campaign(
        "hello", "", Trigger(), {}, (), budget=budget, hours=hours, cost_micros=size,
        starts=begin[:10], ends=(dt.date.fromisoformat(begin[:10]) + dt.timedelta(2)).isoformat(),
    )  # fmt: skip
    fired = [each for each in run(moves(times, begin_ms), [campaign], [shop]) if each.fired]
    need = size if unit == "money" else 1
    assert budget.total is not None
    assert budget.per_day is not None
    assert need * len(fired) <= budget.total
    for day, sent in spending(fired, lambda each: each.budget_day).items():
        assert need * len(sent) <= budget.per_day
        assert all(date_of(each.decided_ms, time_zone) == day for each in sent)
    if pacing == "even":
        # in order of firing, each found room for those before it: of 71 or 73 hours in all
        span_ms = (71 if begin[5:7] == "03" else 73) * HOUR_MS
        for count, each in enumerate(fired):
            assert need * count * span_ms <= budget.total * (each.decided_ms + 1 - begin_ms)


def test_even_pace_spreads_a_crowd_over_the_day() -> None:
    """A hundred offers for 1,440 people, one a minute: each quarter of the day gets a quarter."""
    campaign = make_campaign(budget=Budget(per_day=100, pacing="even"))
    begin_ms = ms("2026-06-01T00:00Z")
    decisions = run(moves(list(range(1440)), begin_ms), [campaign])
    sent = [(each.decided_ms - begin_ms) // (6 * HOUR_MS) for each in decisions if each.fired]
    assert [25, 25, 25, 25] == [sent.count(quarter) for quarter in range(4)]
