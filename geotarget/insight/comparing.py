"""Treated against held out, from the people of a campaign to a sentence; nothing hidden is used.

Everybody whom the audience let pass is in a group from the first decision on, and stays in it: also
who was refused later, by a cap or by the budget. To leave those out of one group only would compare
different people. The groups come from a hash of the profile, so nothing else tells them apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from geotarget.insight import sentences
from geotarget.insight.lift import (
    Group,
    Interval,
    Lift,
    Spending,
    Verdict,
    compare,
    judge,
    spending_difference,
)
from geotarget.insight.small_counts import show, show_parts
from geotarget.store.results import ExposureRow


@dataclass(frozen=True, slots=True)
class People:
    """One group: the people that came into question, and were treated or held out.

    Parameters
    ----------
    people, converted
        None where they are too few to be shown.
    spending
        What they spent, in the campaign's currency; None where `converted` is.
    """

    people: int | None
    converted: int | None
    spending: Spending | None

    @property
    def group(self) -> Group | None:
        """The counts, None where one is hidden."""
        if self.people is None or self.converted is None:
            return None
        return Group(self.people, self.converted)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Treated people against those who were held out, and what that says.

    Parameters
    ----------
    variant
        Whose treated people are compared with all who were held out; None: all of them.
    lift
        None where a count is hidden or a group is empty.
    verdict
        What can be said, whatever a hidden count is; None where there is nothing to compare.
    more_spent
        How much more a person spent, and the interval, units of the campaign's currency.
    """

    variant: str | None
    treated: People
    held_out: People
    lift: Lift | None
    verdict: Verdict | None
    sentence: str
    more_spent: tuple[float, Interval] | None

    @property
    def hides(self) -> bool:
        """Whether a count is not shown."""
        return self.treated.group is None or self.held_out.group is None

    @property
    def extra(self) -> tuple[float, Interval] | None:
        """How many treated people converted who else would not have, and the interval."""
        if self.lift is None:
            return None
        people, between = self.lift.treated.people, self.lift.difference_interval
        bounds = Interval(people * between.low, people * between.high)
        return people * self.lift.difference, bounds


def comparisons(
    exposures: Sequence[ExposureRow], *, minimum: int
) -> tuple[Comparison, tuple[Comparison, ...]]:
    """Return the comparison of all treated people, and of those of each variant.

    Parameters
    ----------
    exposures
        The groups of one campaign.
    minimum
        Counts of fewer people are not shown.
    """
    names = sorted({each.variant for each in exposures if not each.held_out})
    treated = [
        _Sum.of(each for each in exposures if not each.held_out and each.variant == name)
        for name in names
    ]
    people = show_parts([each.people for each in treated], minimum)
    converted = show_parts([each.converted for each in treated], minimum)
    control = _Sum.of(each for each in exposures if each.held_out)
    held_out = control.shown(show(control.people, minimum), show(control.converted, minimum))
    everybody = _Sum.of(each for each in exposures if not each.held_out)
    whole = compare_people(
        None, everybody.shown(people.total, converted.total), held_out, minimum=minimum
    )
    if names in ([], [""]):
        return whole, ()
    parts = zip(names, treated, people.parts, converted.parts, strict=True)
    return whole, tuple(
        compare_people(name, each.shown(*counts), held_out, minimum=minimum)
        for name, each, *counts in parts
    )


def compare_people(
    variant: str | None, treated: People, held_out: People, *, minimum: int
) -> Comparison:
    """Return how two groups compare, as far as their counts are shown.

    Parameters
    ----------
    minimum
        What is None is a count of fewer than so many people, in `held_out`; in `treated` it may
        be larger, hidden for the sake of another.
    """
    lift, verdict = None, None
    some, others = treated.group, held_out.group
    if held_out.people == 0:
        sentence = (
            sentences.nothing_held_out(treated.people, treated.converted)
            if treated.people != 0
            else sentences.nobody_yet()
        )
    elif not treated.people or held_out.people is None:
        verdict, sentence = Verdict.EARLY, sentences.too_few_people(minimum)
    elif some is None or others is None:
        verdict = _whatever_is_hidden(some, held_out.people, minimum)
        rate = None if some is None else some.rate
        sentence = sentences.too_few_conversions(minimum, verdict, rate)
    else:
        lift = compare(some, others)
        assert lift is not None  # neither group is empty
        verdict, sentence = lift.verdict, sentences.lift_sentence(lift)
    return Comparison(
        variant=variant,
        treated=treated,
        held_out=held_out,
        lift=lift,
        verdict=verdict,
        sentence=sentence,
        more_spent=_more_spent(treated, held_out) if lift is not None else None,
    )


def _whatever_is_hidden(treated: Group | None, held_out: int, minimum: int) -> Verdict:
    """Return the verdict that holds for every count that may be hidden among those held out.

    It follows from what is shown: a verdict that depended on the hidden count would tell of it.
    """
    if treated is None:
        return Verdict.EARLY
    hidden = range(1, min(minimum - 1, held_out) + 1)
    verdicts = {judge(treated, Group(held_out, converted)) for converted in hidden}
    return verdicts.pop() if len(verdicts) == 1 else Verdict.EARLY


def _more_spent(treated: People, held_out: People) -> tuple[float, Interval] | None:
    if treated.spending is None or held_out.spending is None:
        return None
    return spending_difference(treated.spending, held_out.spending)


@dataclass(frozen=True, slots=True)
class _Sum:
    """Some groups together, before anything is hidden."""

    people: int
    converted: int
    value: float
    squares: float

    @classmethod
    def of(cls, rows: Iterable[ExposureRow]) -> _Sum:
        """Return the sum of some rows."""
        some = list(rows)
        return cls(
            sum(each.people for each in some),
            sum(each.converted for each in some),
            sum(each.value_micros for each in some) / 1e6,
            sum(each.value_squares for each in some),
        )

    def shown(self, people: int | None, converted: int | None) -> People:
        """Return what is shown of it."""
        hidden = people is None or converted is None
        spending = None if hidden else Spending(self.people, self.value, self.squares)
        return People(people, converted, spending)
