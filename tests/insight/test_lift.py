"""Lift: held against statsmodels, and against the likelihood itself where statsmodels gives up."""

from __future__ import annotations

import itertools
import math
import random
import warnings

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import fisher_exact
from scipy.stats import t as student
from statsmodels.stats.proportion import (
    confint_proportions_2indep,
    power_proportions_2indep,
)
from statsmodels.stats.proportion import test_proportions_2indep as proportions_test
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from geotarget.insight.lift import (
    LEAST_EXPECTED,
    Group,
    Lift,
    Spending,
    Verdict,
    compare,
    exact_p_value,
    judge,
    p_value,
    spending_difference,
)

Z = 1.959963984540054
SIZES = [(1, 1), (2, 3), (7, 7), (10, 50), (900, 100), (1_000, 7), (9_000, 1_000), (95_000, 5_000)]


def corners(people: int) -> list[int]:
    """Return counts of converted people: all of the ends, and some between."""
    found = {0, 1, 2, people // 100, people // 10, people // 2, people - 1, people}
    return sorted(each for each in found if 0 <= each <= people)


GRID = [
    (Group(many, x), Group(few, y))
    for many, few in SIZES
    for x, y in itertools.product(corners(many), corners(few))
]


def lift(treated: Group, held_out: Group) -> Lift:
    """Return the comparison of two groups that are not empty."""
    found = compare(treated, held_out)
    assert found is not None
    return found


def log_likelihood(group: Group, rate: float) -> float:
    """Return how likely a rate makes the counts."""
    total = 0.0
    for count, share in ((group.converted, rate), (group.people - group.converted, 1 - rate)):
        if count:
            total += count * math.log(share) if share > 0 else -1e9
    return total


def score(treated: Group, held_out: Group, *, difference: float = 0.0, ratio: float = 1.0) -> float:
    """Return the score of a supposed difference or ratio, its likelihood maximised by search."""

    def rate(other: float) -> float:
        return min(max(other * ratio + difference, 0.0), 1.0)

    def unlikely(other: float) -> float:
        return -log_likelihood(treated, rate(other)) - log_likelihood(held_out, other)

    low, high = max(0.0, -difference), min(1.0, 1.0 - difference, 1.0 / ratio)
    options = {"xatol": 1e-14}
    found = minimize_scalar(unlikely, bounds=(low, high), method="bounded", options=options)
    other = min([float(found.x), low, high], key=unlikely)
    people = treated.people + held_out.people
    spread = rate(other) * (1 - rate(other)) / treated.people
    spread += ratio**2 * other * (1 - other) / held_out.people
    return (treated.rate - ratio * held_out.rate - difference) / math.sqrt(
        spread * people / (people - 1)
    )


@pytest.mark.parametrize("part", range(8))
def test_an_interval_ends_where_the_likelihood_says(part: int) -> None:
    """At both bounds the score is 1.96, unless the bound is the end of what is possible."""
    checked = 0
    for treated, held_out in GRID[part::8]:
        found = lift(treated, held_out)
        between, ratio = found.difference_interval, found.relative_interval
        for at, wanted in ((between.low, Z), (between.high, -Z)):
            if abs(at) < 0.9999:
                seen = score(treated, held_out, difference=at)
                assert wanted == pytest.approx(seen, abs=2e-3), (treated, held_out, at)
                checked += 1
        for at, wanted in ((ratio.low + 1, Z), (ratio.high + 1, -Z)):
            if 1e-9 < at < 1e9:
                seen = score(treated, held_out, ratio=at)
                assert wanted == pytest.approx(seen, abs=2e-3), (treated, held_out, at)
                checked += 1
    assert checked > 100


def test_p_values_are_those_of_statsmodels() -> None:
    """To the ninth digit, over all sizes and corners but those without any spread."""
    for treated, held_out in GRID:
        converted = treated.converted + held_out.converted
        if 0 < converted < treated.people + held_out.people:
            with np.errstate(all="ignore"):  # on its way it divides by people who did not convert
                theirs = proportions_test(
                    treated.converted, treated.people, held_out.converted, held_out.people,
                    value=0, method="score", compare="diff", correction=True,
                )  # fmt: skip
            assert p_value(treated, held_out) == pytest.approx(float(theirs.pvalue), abs=1e-9)


def test_intervals_of_the_ratio_are_those_of_statsmodels() -> None:
    """Where counts are not at an end: there its search fails, or stops at a wrong place.

    Its score interval of the difference is no measure at all: it is not symmetric when groups are
    changed over, and its search often fails. That one is held against the likelihood alone.
    """
    for many, few in ((900, 100), (9_000, 1_000), (95_000, 5_000), (40_000, 40_000)):
        for rate, other in itertools.product((0.02, 0.05, 0.2, 0.5), repeat=2):
            treated, held_out = Group(many, round(rate * many)), Group(few, round(other * few))
            low, high = confint_proportions_2indep(
                treated.converted, many, held_out.converted, few,
                method="score", compare="ratio", correction=True,
            )  # fmt: skip
            found = lift(treated, held_out).relative_interval
            assert (found.low, found.high) == pytest.approx((low - 1, high - 1), rel=1e-5, abs=1e-6)


def test_intervals_are_near_those_of_newcombe() -> None:
    """The hybrid of two Wilson intervals is another good method: with many people they agree."""
    for rate, other in itertools.product((0.02, 0.1, 0.4), repeat=2):
        treated, held_out = Group(9_000, round(9_000 * rate)), Group(1_000, round(1_000 * other))
        low, high = confint_proportions_2indep(
            treated.converted, 9_000, held_out.converted, 1_000, method="newcomb", compare="diff"
        )
        found = lift(treated, held_out).difference_interval
        assert (found.low, found.high) == pytest.approx((low, high), abs=6e-4)


def test_difference_ratio_and_p_value_never_contradict_each_other() -> None:
    """No change lies outside of either interval exactly when the p-value is below 5 %."""
    for treated, held_out in GRID:
        found = lift(treated, held_out)
        sure = found.p_value < 0.05
        for between in (found.difference_interval, found.relative_interval):
            assert sure == (not between.low <= 0 <= between.high), (treated, held_out)


def test_a_comparison_does_not_depend_on_how_it_is_asked() -> None:
    """Groups changed over give the negative; those who did not convert, too."""
    for treated, held_out in GRID:
        found = lift(treated, held_out).difference_interval
        over = lift(held_out, treated).difference_interval
        assert (found.low, found.high) == pytest.approx((-over.high, -over.low), abs=1e-7)
        others = [Group(each.people, each.people - each.converted) for each in (treated, held_out)]
        rest = lift(*others).difference_interval
        assert (found.low, found.high) == pytest.approx((-rest.high, -rest.low), abs=1e-7)


def test_an_estimate_lies_in_its_interval() -> None:
    """Also where nobody or everybody converted; what has no bound is infinite."""
    for treated, held_out in GRID:
        found = lift(treated, held_out)
        assert found.difference_interval.low - 1e-9 <= found.difference
        assert found.difference <= found.difference_interval.high + 1e-9
        between = found.relative_interval
        assert (held_out.converted == 0) == math.isinf(between.high)
        assert (treated.converted == 0) == (between.low == -1)
        if not math.isnan(found.relative):
            assert between.low - 1e-9 <= found.relative <= between.high + 1e-9
        assert math.isnan(found.relative) == (treated.converted == held_out.converted == 0)


def test_nothing_is_compared_with_an_empty_group() -> None:
    """And there is no group of more converted people than people."""
    assert compare(Group(10, 1), Group(0, 0)) is None
    assert compare(Group(0, 0), Group(10, 1)) is None
    assert math.isnan(Group(0, 0).rate)
    for people, converted in ((1, 2), (1, -1)):
        with pytest.raises(ValueError, match="can't have converted"):
            Group(people, converted)


@pytest.mark.parametrize(
    ("treated", "held_out", "verdict"),
    [
        (Group(9_000, 540), Group(1_000, 40), Verdict.GAIN),
        (Group(9_000, 400), Group(1_000, 60), Verdict.LOSS),
        (Group(9_000, 500), Group(1_000, 50), Verdict.EARLY),
        (Group(90_000, 4_500), Group(10_000, 505), Verdict.SAME),
        (Group(900, 0), Group(100, 0), Verdict.EARLY),
        (Group(90, 90), Group(10, 10), Verdict.EARLY),
        (Group(900, 900), Group(100, 100), Verdict.SAME),
        # few are expected among the held out: the exact test has to agree
        (Group(900, 12), Group(100, 4), Verdict.EARLY),
        (Group(900, 55), Group(100, 0), Verdict.GAIN),
        (Group(9_000, 0), Group(1_000, 30), Verdict.LOSS),
        (Group(9_000, 50), Group(1_000, 0), Verdict.GAIN),
    ],
)
def test_a_verdict(treated: Group, held_out: Group, verdict: Verdict) -> None:
    """Gain and loss need a p-value below 5 %, `same` the power to see a fifth more."""
    assert verdict == judge(treated, held_out) == lift(treated, held_out).verdict


def test_the_exact_test_is_that_of_scipy() -> None:
    """Over all sizes and corners."""
    for treated, held_out in GRID:
        table = [[each.converted, each.people - each.converted] for each in (treated, held_out)]
        theirs = float(fisher_exact(table).pvalue)
        assert exact_p_value(treated, held_out) == pytest.approx(theirs, rel=1e-6, abs=1e-12)


def test_as_many_more_as_asked_for_give_the_power() -> None:
    """Groups grown by `more_people` at the present rates see the difference 4 times out of 5."""
    checked = 0
    for many, few in ((450, 50), (900, 100), (5_000, 500), (400, 400)):
        for rate, other in ((0.05, 0.03), (0.12, 0.08), (0.03, 0.06), (0.4, 0.3)):
            treated, held_out = Group(many, round(many * rate)), Group(few, round(few * other))
            found = lift(treated, held_out)
            if found.verdict is not Verdict.EARLY or abs(found.relative) < 0.25:
                continue
            times = 1 + found.more_people / (many + few)
            power = power_proportions_2indep(
                found.difference, held_out.rate, many * times, ratio=few / many, alpha=0.05
            ).power
            pooled = (treated.converted + held_out.converted) / (many + few)
            enough = LEAST_EXPECTED / (pooled * few)
            assert power == pytest.approx(0.8, abs=0.02) or times == pytest.approx(enough, rel=0.1)
            expected = times * (treated.converted + held_out.converted)
            converted = treated.converted + held_out.converted + found.more_conversions
            assert converted == pytest.approx(expected, abs=1.1)
            checked += 1
    assert checked >= 6


def test_early_always_says_how_many_more() -> None:
    """At least one, as soon as anybody converted; nothing more once there is a verdict."""
    for treated, held_out in GRID:
        found = lift(treated, held_out)
        if found.verdict is not Verdict.EARLY:
            assert (found.more_people, found.more_conversions) == (0, 0)
        elif 0 < treated.converted + held_out.converted:
            assert found.more_people > 0, (treated, held_out)
            assert found.more_conversions > 0, (treated, held_out)


def test_spending_is_compared_as_statsmodels_does() -> None:
    """Welch's interval of the difference of means, from sums and sums of squares."""
    dice = random.Random(7)
    for many, few in ((8, 9), (200, 30), (5_000, 400)):
        groups = [
            [dice.lognormvariate(2, 1) if dice.random() < 0.5 else 0.0 for _ in range(size)]
            for size in (many, few)
        ]
        sums = [Spending(len(g), sum(g), sum(x * x for x in g)) for g in groups]
        found = spending_difference(*sums)
        assert found is not None
        difference, between = found
        with warnings.catch_warnings():
            means = CompareMeans(*(DescrStatsW(group) for group in groups))
            low, high = means.tconfint_diff(usevar="unequal")
        assert difference == pytest.approx(sums[0].mean - sums[1].mean)
        assert (between.low, between.high) == pytest.approx((low, high), rel=2e-3)


def test_students_quantile() -> None:
    """From five degrees of freedom on the expansion is exact to a thousandth."""
    from geotarget.insight.lift import _student

    for freedom in (5, 7.5, 12, 40, 1_000):
        assert _student(freedom) == pytest.approx(float(student.ppf(0.975, freedom)), rel=1e-3)


def test_spending_of_one_person_has_no_spread() -> None:
    """There is no interval; of people who all spent the same it has no width."""
    assert spending_difference(Spending(1, 5.0, 25.0), Spending(9, 9.0, 9.0)) is None
    found = spending_difference(Spending(4, 8.0, 16.0), Spending(9, 9.0, 9.0))
    assert found is not None
    assert (found[0], found[1].low, found[1].high) == (1.0, 1.0, 1.0)
