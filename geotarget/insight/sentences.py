"""What figures say, in plain words: one sentence for the lift, and what to beware of.

A sentence is made of figures that are shown, never of hidden ones.
"""

from __future__ import annotations

import math

from geotarget.insight.lift import Lift, Verdict

BUDGET_SHARE = 0.2
"""From this share of the eligible on, refusals by the budget are worth a warning."""


def lift_sentence(lift: Lift) -> str:
    """Return what a comparison of two groups says.

    Examples
    --------
    >>> from geotarget.insight.lift import Group, compare
    >>> lift_sentence(compare(Group(900, 37), Group(100, 4)))
    'Too early to tell: 41 conversions, about 2,300 more needed.'
    """
    rates = (
        f"{percent(lift.treated.rate)} converted, {percent(lift.held_out.rate)} of those held out"
    )
    if lift.treated.converted + lift.held_out.converted == 0:
        return "No conversions have been reported: nothing can be said."
    if lift.verdict is Verdict.GAIN:
        return f"A clear gain: {rates}. That is {_change(lift)}."
    if lift.verdict is Verdict.LOSS:
        return f"A clear loss: {rates}. That is {_change(lift)}."
    if lift.verdict is Verdict.SAME:
        low, high = lift.relative_interval.low, lift.relative_interval.high
        return (
            f"No difference seen: {rates}; the truth lies between {_more(low)} and {_more(high)}."
        )
    return (
        f"Too early to tell: {_conversions(lift.treated.converted + lift.held_out.converted)}, "
        f"about {about(lift.more_conversions)} more needed."
    )


def nothing_held_out(people: int | None, converted: int | None) -> str:
    """Return what can be said of a campaign without a control group."""
    beginning = "Nothing was held out, so there is nothing to compare with"
    if people is None or converted is None or not people:
        return f"{beginning}."
    if not converted:
        return f"{beginning}; no conversions have been reported."
    share = percent(converted / people)
    return f"{beginning}: {converted:,} of {people:,} people converted ({share})."


def too_few_people(minimum: int) -> str:
    """Return what can be said while a group is too small to be shown."""
    return f"Too early to tell: a group has fewer than {minimum} people."


def too_few_conversions(minimum: int, verdict: Verdict, rate: float | None) -> str:
    """Return what can be said while too few of those who were held out converted to be shown.

    Parameters
    ----------
    verdict
        What holds whatever the hidden count is.
    rate
        Of the treated.
    """
    if rate is not None and verdict in {Verdict.GAIN, Verdict.LOSS}:
        return (
            f"A clear {verdict.value}: {percent(rate)} converted, and fewer than {minimum} of the "
            "people held out."
        )
    return f"Too early to tell: fewer than {minimum} people of one group converted."


def nobody_yet() -> str:
    """Return what can be said of a campaign that nobody came into question for."""
    return "Nobody has come into question yet."


def warnings(
    *,
    held_out: bool,
    conversions: int,
    by_decision: int,
    refused_by_budget: int,
    eligible: int,
    currencies: tuple[str, ...],
    currency: str,
    adaptive: bool,
) -> list[str]:
    """Return what a reader of a campaign's figures must know.

    Parameters
    ----------
    held_out
        Whether somebody is held out.
    conversions, by_decision
        Conversions that count for the campaign, and those that named its decision.
    refused_by_budget, eligible
        Decisions that the budget refused, of those that the audience let pass and that were not
        held out.
    currencies, currency
        Of the conversions, and of the campaign.
    adaptive
        Whether variants are chosen by what they have earned.
    """
    found = []
    if held_out and conversions and by_decision == conversions:
        found.append(
            "All conversions were reported by decision. Who is held out has no decision to name: "
            "their purchases can't be seen, and the lift looks too good. Report conversions with "
            "the profile or the device."
        )
    if eligible and refused_by_budget > BUDGET_SHARE * eligible:
        found.append(
            f"The budget refused {percent(refused_by_budget / eligible)} of what was to be sent. "
            "Those people count as treated: the lift of an offer that is sent is larger."
        )
    if adaptive:
        found.append(
            "More people get the variant that has earned more, so variants were sent at different "
            "times: what is said of one of them is a hint only."
        )
    others = [each for each in currencies if each != currency]
    if others:
        found.append(
            f"Conversions came in {', '.join(others)}, costs are in {currency}: there is no return "
            "on them, and revenue in other currencies is not compared."
        )
    return found


def hidden_counts(minimum: int) -> str:
    """Return why a figure is missing."""
    return (
        f"Counts of fewer than {minimum} people are not shown, nor figures from which they could "
        "be found out."
    )


def percent(share: float) -> str:
    """Return a share in percent, with two digits that count.

    Examples
    --------
    >>> percent(0.0412), percent(0.5), percent(0.00035), percent(12.3), percent(0)
    ('4.1 %', '50 %', '0.035 %', '1,230 %', '0 %')
    """
    value = 100 * share
    if value == 0:
        return "0 %"
    digits = max(0, 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f} %"


def about(count: int) -> str:
    """Return a count, rounded to two digits that count.

    Examples
    --------
    >>> about(7), about(3_141), about(96)
    ('7', '3,100', '96')
    """
    if count < 100:
        return f"{count:,}"
    step = 10 ** (math.floor(math.log10(count)) - 1)
    return f"{round(count / step) * step:,}"


def _change(lift: Lift) -> str:
    """Return a relative change and its bounds."""
    low, high = lift.relative_interval.low, lift.relative_interval.high
    if not math.isfinite(high):
        return f"at least {_more(low)}"
    if not math.isfinite(lift.relative):
        return f"between {_more(low)} and {_more(high)}"
    return f"{_more(lift.relative)} (between {_more(low)} and {_more(high)})"


def _more(change: float) -> str:
    """Return a relative change in words."""
    return f"{percent(abs(change))} {'more' if change >= 0 else 'less'}"


def _conversions(count: int) -> str:
    return f"{count:,} conversion" + ("s" if count != 1 else "")
