"""What a campaign may spend: in all and on a day, in offers or in money, at once or evenly.

The gate compares whole numbers with what the ledger holds. The ledger was read, and is written, in
the one transaction that writes the delivery, so a budget is never overspent, however many workers
there are.

Even pacing: an offer goes out while no more than the share of the time that has passed is spent. So
each becomes free at the beginning of its own stretch: of 24 a day the first at midnight, the last
at eleven at night, and what is spent is never more than one offer ahead of the time. For
`per_day` the time is the day of the budget's time zone, be it 23 or 25 hours long; where the
campaign has hours, only what is open of that day counts, by the clock on the wall of the zone that
asks. For `total` it is the time from ``starts`` to ``ends``, in that zone's time zone as always.

Costs a microsecond, with pacing two.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from geotarget.errors import InvalidCampaign, Problem
from geotarget.model import Budget, Campaign
from geotarget.targeting.case import Case, Refusal
from geotarget.targeting.hours import open_times
from geotarget.targeting.ledger import Ledger
from geotarget.targeting.local_time import date_of, day_bounds_ms, find_zone
from geotarget.targeting.schedule import end_ms, start_ms

OFFERS, MONEY = "offers", "money"
ASAP, EVEN = "asap", "even"
MAX_BOUND = 10**15  # with micros, a thousand million units of money


def gate(case: Case) -> Refusal | None:
    """Refuse what the budget doesn't hold any more, in all or today, or not yet."""
    if case.campaign.budget is None:
        return None
    seen: dict[str, Any] = {}
    refusal = refuse(
        case.campaign,
        case.moment.ledger,
        at_ms=case.transition.decided_ms,
        cost_micros=case.cost_micros,
        time_zone=case.zone.time_zone,
        seen=seen,
    )
    if refusal is None:
        case.passed["budget"] = seen
    return refusal


def refuse(
    campaign: Campaign,
    ledger: Ledger,
    *,
    at_ms: int,
    cost_micros: int,
    time_zone: str,
    seen: dict[str, Any],
) -> Refusal | None:
    """Refuse an offer that the budget of a campaign doesn't hold.

    Parameters
    ----------
    campaign, ledger
        One with a budget, and what is spent of it.
    at_ms, cost_micros
        When the offer would go out, and what it costs.
    time_zone
        Of the zone that asks.
    seen
        Takes what was looked at, of the bounds that hold.
    """
    budget = campaign.budget
    assert budget is not None
    day = date_of(at_ms, budget.time_zone)
    needed = cost_micros if budget.unit == MONEY else 1
    for name, bound, of_day in (("total", budget.total, ""), ("per_day", budget.per_day, day)):
        if bound is None:
            continue
        spent = ledger.spent_of(campaign.id, of_day)
        used = spent.cost_micros if budget.unit == MONEY else spent.offers
        inputs = {"budget": name, "in": budget.unit, "bound": bound, "spent": used}
        if budget.unit == MONEY:
            inputs |= {"needed": needed, "currency": campaign.currency}
        if of_day:
            inputs["day"] = of_day
        if used + needed > bound:
            return Refusal(f"the budget is used up: {_said(inputs, campaign)}", inputs)
        if budget.pacing == EVEN:
            times = _times(campaign, of_day, at_ms, time_zone)
            if times is None:
                return Refusal("the budget can't be paced: starts and ends are missing", inputs)
            passed, whole = times
            inputs["allowed"] = allowed = bound * passed // whole
            if used > allowed:
                return Refusal(f"ahead of its even pace: {_said(inputs, campaign)}", inputs)
        seen[name] = {key: value for key, value in inputs.items() if key != "budget"}
    return None


def budget_day(campaign: Campaign, at_ms: int) -> str:
    """Return the date that an offer counts against, in the budget's time zone; empty without."""
    return date_of(at_ms, campaign.budget.time_zone) if campaign.budget else ""


def validate_budget(campaign: Campaign, *, path: str = "$.budget") -> None:
    """Check a campaign's budget, together with its costs and dates.

    Raises
    ------
    InvalidCampaign
        With one problem per contradiction.
    """
    budget = campaign.budget
    if budget is None:
        return
    problems: list[Problem] = []
    if budget.unit not in (OFFERS, MONEY):
        problems.append(Problem(f"{path}.in", str(budget.unit)[:80], "must be offers or money"))
    if budget.pacing not in (ASAP, EVEN):
        problems.append(Problem(f"{path}.pacing", str(budget.pacing)[:80], "must be asap or even"))
    if not budget.time_zone or find_zone(budget.time_zone) is None:
        reason = "must be the name of a time zone, like Europe/Helsinki"
        problems.append(Problem(f"{path}.time_zone", str(budget.time_zone)[:80], reason))
    problems += _bound_problems(budget, path)
    if budget.unit == MONEY and not problems and not _costs(campaign):
        reason = "a budget in money needs a cost_per_offer"
        problems.append(Problem(f"{path}.in", MONEY, reason))
    if budget.pacing == EVEN and budget.total is not None:
        for name in ("starts", "ends"):
            if getattr(campaign, name) is None:
                reason = f"even pacing of a total needs the schedule's {name}"
                problems.append(Problem(f"{path}.pacing", EVEN, reason))
    if problems:
        raise InvalidCampaign(*problems)


def _bound_problems(budget: Budget, path: str) -> list[Problem]:
    problems: list[Problem] = []
    bounds = {"total": budget.total, "per_day": budget.per_day}
    if budget.total is None and budget.per_day is None:
        problems.append(Problem(path, "", "must have a total, a per_day or both"))
    for name, bound in bounds.items():
        if bound is not None and not 1 <= bound <= MAX_BOUND:
            if budget.unit == MONEY:
                value = str(_units(bound))
                reason = f"must be within 0.000001 and {MAX_BOUND // 10**6}"
            else:
                value, reason = str(bound), f"must be within 1 and {MAX_BOUND}"
            problems.append(Problem(f"{path}.{name}", value[:80], reason))
    if budget.total is not None and budget.per_day is not None and budget.per_day > budget.total:
        value = str(_units(budget.per_day) if budget.unit == MONEY else budget.per_day)
        problems.append(Problem(f"{path}.per_day", value[:80], "must not be above the total"))
    return problems


def _costs(campaign: Campaign) -> bool:
    """Return whether any offer of the campaign costs something."""
    own = [each.cost_micros for each in campaign.variants]
    inherited = not own or None in own
    return any(own) or (inherited and campaign.cost_micros > 0)


def _times(campaign: Campaign, day: str, at_ms: int, time_zone: str) -> tuple[int, int] | None:
    """Return how much of the time has passed and all of it, milliseconds.

    The millisecond of the transition itself has passed. None where the dates are missing.
    """
    budget = campaign.budget
    assert budget is not None
    if day:
        begin, end = day_bounds_ms(day, budget.time_zone)
        if campaign.hours:
            opened = open_times(campaign.days, campaign.hours, begin, end, time_zone)
            whole = sum(stop - start for start, stop in opened)
            if whole:
                return sum(max(min(stop, at_ms + 1) - start, 0) for start, stop in opened), whole
    elif campaign.starts is None or campaign.ends is None:
        return None
    else:
        begin, end = start_ms(campaign.starts, time_zone), end_ms(campaign.ends, time_zone)
    return min(max(at_ms + 1 - begin, 0), end - begin), end - begin


def _said(inputs: Mapping[str, Any], campaign: Campaign) -> str:
    """Return what a bound has come to, in words."""
    spent, bound = _amount(inputs["spent"], campaign), _amount(inputs["bound"], campaign)
    said = f"{spent} of {bound} spent {'on ' + inputs['day'] if 'day' in inputs else 'in all'}"
    if "allowed" in inputs:
        said += f", {_amount(inputs['allowed'], campaign)} may be by now"
    if "needed" in inputs:
        said += f", the offer costs {_amount(inputs['needed'], campaign)}"
    return said


def _amount(number: int, campaign: Campaign) -> str:
    assert campaign.budget is not None
    if campaign.budget.unit == MONEY:
        return f"{_units(number)} {campaign.currency}"
    return str(number)


def _units(micros: int) -> Decimal:
    """Return micros in units of the currency, without zeros at the end."""
    value = Decimal(micros).scaleb(-6)
    return value.quantize(Decimal(1)) if value == value.to_integral_value() else value.normalize()
