"""What an offer changed: those who were to get it against those who were held out by lot.

Everything here follows from four counts. Intervals and p-value come from one family, the score
method of Miettinen and Nurminen (Statistics in Medicine 4, 1985): it keeps its level with few
conversions and with none, where the textbook interval breaks down. Interval of the difference,
interval of the ratio and p-value ask the same statistic, so they never contradict each other: the
p-value is below 5 % exactly where neither interval holds "no change". Tests hold all of it against
statsmodels. A comparison costs 0.5 ms, a verdict alone 2 µs.

The p-value is meant for one look at the end. Who looks every day and stops at the first gain
will see one too often; `docs/results.md` has figures.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist

LEVEL = 0.05
POWER = 0.80
WORTH_SEEING = 0.20
"""A relative change of this size would be worth seeing: who could have seen it and did not may say
that there is no difference."""

LEAST_EXPECTED = 5.0
"""Where a group is expected to have fewer conversions, or fewer people without one, the score is
not normal enough (Cochran's rule): then Fisher's exact test must agree before a claim is made."""

_Z = NormalDist().inv_cdf(1 - LEVEL / 2)
_Z_POWER = NormalDist().inv_cdf(POWER)
_HALVINGS = 70
_FAR = 50.0
"""Ratios are looked for between e^-50 and e^50."""


class Verdict(StrEnum):
    """What can be said."""

    GAIN = "gain"
    LOSS = "loss"
    SAME = "same"
    EARLY = "early"


@dataclass(frozen=True, slots=True)
class Group:
    """People of one group, and how many of them converted at least once.

    Raises
    ------
    ValueError
        More converted than there are, or a count is negative.
    """

    people: int
    converted: int

    def __post_init__(self) -> None:
        if not 0 <= self.converted <= self.people:
            raise ValueError(f"{self.converted} of {self.people} people can't have converted")

    @property
    def rate(self) -> float:
        """The share that converted; NaN of nobody."""
        return self.converted / self.people if self.people else math.nan


@dataclass(frozen=True, slots=True)
class Interval:
    """From `low` to `high`, with 95 % confidence; infinite where there is no bound."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Lift:
    """How two groups compare.

    Parameters
    ----------
    difference, difference_interval
        Rate of the treated less that of those held out.
    relative, relative_interval
        That, as a share of the rate of those held out: 0.2 is a fifth more. NaN when nobody
        converted, infinite when nobody who was held out did.
    p_value
        Two-sided, of there being no difference.
    more_people, more_conversions
        How many more it takes, in both groups together, to see a difference at the present rates
        four times out of five; 0 when there is a verdict.
    """

    treated: Group
    held_out: Group
    difference: float
    difference_interval: Interval
    relative: float
    relative_interval: Interval
    p_value: float
    verdict: Verdict
    more_people: int
    more_conversions: int


def compare(treated: Group, held_out: Group) -> Lift | None:
    """Return how two groups compare; None while one of them is empty.

    Examples
    --------
    >>> found = compare(Group(9_000, 540), Group(1_000, 40))
    >>> found.verdict.value, round(found.relative, 2), round(found.p_value, 3)
    ('gain', 0.5, 0.01)
    """
    if not treated.people or not held_out.people:
        return None
    verdict = judge(treated, held_out)
    more = _more(treated, held_out) if verdict is Verdict.EARLY else 0.0
    converted = treated.converted + held_out.converted
    if held_out.converted:
        relative = treated.rate / held_out.rate - 1
    else:
        relative = math.inf if treated.converted else math.nan
    ratio = _ratio_interval(treated, held_out)
    return Lift(
        treated=treated,
        held_out=held_out,
        difference=treated.rate - held_out.rate,
        difference_interval=_difference_interval(treated, held_out),
        relative=relative,
        relative_interval=Interval(ratio.low - 1, ratio.high - 1),
        p_value=p_value(treated, held_out),
        verdict=verdict,
        more_people=math.ceil(more * (treated.people + held_out.people)),
        more_conversions=math.ceil(more * converted),
    )


def p_value(treated: Group, held_out: Group) -> float:
    """Return how often chance alone makes rates differ at least so much; 1 without conversions."""
    return math.erfc(abs(_difference_score(treated, held_out, 0.0)) / math.sqrt(2))


def judge(treated: Group, held_out: Group) -> Verdict:
    """Return what can be said of two groups, neither of them empty."""
    normal = _least_expected(treated, held_out) >= LEAST_EXPECTED
    score = _difference_score(treated, held_out, 0.0)
    if abs(score) >= _Z and (normal or exact_p_value(treated, held_out) < LEVEL):
        return Verdict.GAIN if score > 0 else Verdict.LOSS
    if _times_to_see(treated, held_out, *_worth_seeing(treated, held_out)) <= 1:
        return Verdict.SAME
    return Verdict.EARLY


def exact_p_value(treated: Group, held_out: Group) -> float:
    """Return the p-value of Fisher's exact test: all tables that are no likelier than this one."""
    converted = treated.converted + held_out.converted
    fewest = max(0, converted - treated.people)
    most = min(converted, held_out.people)

    def log_chance(among: int) -> float:
        return _log_choices(held_out.people, among) + _log_choices(
            treated.people, converted - among
        )

    seen = log_chance(held_out.converted)
    chances = [log_chance(among) - seen for among in range(fewest, most + 1)]
    top = max(chances)
    weights = [math.exp(each - top) for each in chances]
    as_rare = sum(w for w, each in zip(weights, chances, strict=True) if each <= 1e-9)
    return min(as_rare / sum(weights), 1.0)


def _log_choices(some: int, of_them: int) -> float:
    return math.lgamma(some + 1) - math.lgamma(of_them + 1) - math.lgamma(some - of_them + 1)


# -- how many more ----------------------------------------------------------------------------


def _more(treated: Group, held_out: Group) -> float:
    """Return by how much the groups must grow, as a share of what they are now.

    Until the present difference would be seen, or one that is worth seeing if that comes first.
    """
    worth = _times_to_see(treated, held_out, *_worth_seeing(treated, held_out))
    if not math.isfinite(worth):
        return 0.0  # nobody has converted: there is no telling
    present = _times_to_see(treated, held_out, treated.rate, held_out.rate)
    least = _least_expected(treated, held_out)
    enough = LEAST_EXPECTED / least if least else worth  # everybody has converted
    return max(max(enough, min(worth, present)) - 1, 1e-9)


def _times_to_see(treated: Group, held_out: Group, rate: float, other: float) -> float:
    """Return how many times as large groups must be to see a difference of two rates.

    As often as `POWER`, in the normal approximation of the pooled test; shares of the groups stay.
    """
    if rate == other:
        return math.inf
    many, few = treated.people, held_out.people
    pooled = (rate * many + other * few) / (many + few)
    without = pooled * (1 - pooled) * (1 / many + 1 / few)
    with_it = rate * (1 - rate) / many + other * (1 - other) / few
    needed = _Z * math.sqrt(without) + _Z_POWER * math.sqrt(with_it)
    return (needed / (rate - other)) ** 2


def _worth_seeing(treated: Group, held_out: Group) -> tuple[float, float]:
    """Return two rates, around the present one, whose difference would be worth seeing."""
    base = _pooled(treated, held_out)
    rate = base * (1 + WORTH_SEEING)
    return (rate if rate <= 1 else base * (1 - WORTH_SEEING)), base


def _least_expected(treated: Group, held_out: Group) -> float:
    """Return the least count that is expected, converted or not, if the groups do not differ."""
    pooled = _pooled(treated, held_out)
    return min(treated.people, held_out.people) * min(pooled, 1 - pooled)


def _pooled(treated: Group, held_out: Group) -> float:
    return (treated.converted + held_out.converted) / (treated.people + held_out.people)


# -- scores -----------------------------------------------------------------------------------


def _difference_score(treated: Group, held_out: Group, difference: float) -> float:
    """Return how many deviations the difference of the rates lies above a supposed one.

    The spread is that of the most likely rates among those that differ by so much: a root of a
    cubic, in closed form.
    """
    rate, other = _rates_that_differ(treated, held_out, difference)
    return _score(
        treated.rate - held_out.rate - difference,
        rate * (1 - rate) / treated.people + other * (1 - other) / held_out.people,
        treated.people + held_out.people,
    )


def _rates_that_differ(treated: Group, held_out: Group, difference: float) -> tuple[float, float]:
    """Return the most likely rates of those that differ by so much."""
    many, few = treated.people, held_out.people
    total, converted = many + few, treated.converted + held_out.converted
    if difference == 0:
        return converted / total, converted / total
    two = ((many + 2 * few) * difference - total - converted) / (3 * total)
    one = ((few * difference - total - 2 * held_out.converted) * difference + converted) / total
    zero = held_out.converted * difference * (1 - difference) / total
    q = two**3 - two * one / 2 + zero / 2
    p = math.copysign(math.sqrt(max(two**2 - one / 3, 0.0)), q)
    if p == 0:
        other = -two
    else:
        angle = (math.pi + math.acos(min(max(q / p**3, -1.0), 1.0))) / 3
        other = 2 * p * math.cos(angle) - two
    other = min(max(other, 0.0, -difference), 1.0, 1 - difference)
    return min(max(other + difference, 0.0), 1.0), other


def _ratio_score(treated: Group, held_out: Group, ratio: float) -> float:
    """Return how many deviations the rate of the treated lies above a multiple of the other."""
    many, few = treated.people, held_out.people
    half = (many * ratio + treated.converted + few + held_out.converted * ratio) / 2
    converted = treated.converted + held_out.converted
    root = math.sqrt(max(half**2 - (many + few) * ratio * converted, 0.0))
    other = min(converted / (half + root), 1.0, 1 / ratio)
    rate = min(other * ratio, 1.0)
    return _score(
        treated.rate - ratio * held_out.rate,
        rate * (1 - rate) / many + ratio**2 * other * (1 - other) / few,
        many + few,
    )


def _score(distance: float, variance: float, total: int) -> float:
    variance = variance * total / (total - 1)
    if variance <= 0:
        return 0.0 if abs(distance) < 1e-15 else math.copysign(math.inf, distance)
    return distance / math.sqrt(variance)


# -- intervals: what the statistic does not reject -----------------------------------------------


def _difference_interval(treated: Group, held_out: Group) -> Interval:
    def score(difference: float) -> float:
        return _difference_score(treated, held_out, difference)

    seen = treated.rate - held_out.rate
    return Interval(_where(score, _Z, -1.0, seen), _where(score, -_Z, seen, 1.0))


def _ratio_interval(treated: Group, held_out: Group) -> Interval:
    def score(log_ratio: float) -> float:
        return _ratio_score(treated, held_out, math.exp(log_ratio))

    low, high = 0.0, math.inf
    if treated.converted:
        low = math.exp(_where(score, _Z, -_FAR, _FAR))
    if held_out.converted:
        high = math.exp(_where(score, -_Z, -_FAR, _FAR))
    return Interval(low, high)


def _where(score: Callable[[float], float], wanted: float, low: float, high: float) -> float:
    """Return where a falling score has a value, or the end that comes nearest to it."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if score(middle) > wanted:
            low = middle
        else:
            high = middle
    return (low + high) / 2


# -- money ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Spending:
    """What the people of a group spent, in one currency: sum, and sum of squares, over people."""

    people: int
    total: float
    squares: float

    @property
    def mean(self) -> float:
        """What one person spent; NaN of nobody."""
        return self.total / self.people if self.people else math.nan

    @property
    def variance(self) -> float:
        """Of one person's spending, from the sample."""
        return max(self.squares - self.people * self.mean**2, 0.0) / (self.people - 1)


def spending_difference(treated: Spending, held_out: Spending) -> tuple[float, Interval] | None:
    """Return by how much a treated person spent more than one who was held out (Welch).

    None while a group has fewer than two people. Spending is skewed: with few buyers the interval
    is too narrow.

    Returns
    -------
    difference : float
        Units of the currency, a person.
    interval : Interval
    """
    if treated.people < 2 or held_out.people < 2:
        return None
    parts = [each.variance / each.people for each in (treated, held_out)]
    spread = sum(parts)
    difference = treated.mean - held_out.mean
    if spread == 0:
        return difference, Interval(difference, difference)
    freedom = spread**2 / (
        parts[0] ** 2 / (treated.people - 1) + parts[1] ** 2 / (held_out.people - 1)
    )
    reach = _student(freedom) * math.sqrt(spread)
    return difference, Interval(difference - reach, difference + reach)


def _student(freedom: float) -> float:
    """Return Student's quantile that belongs to `_Z`: exact to 0.1 % from five degrees on.

    Hill's expansion (Abramowitz and Stegun 26.7.5).
    """
    z = _Z
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92_160,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, 1))
