"""Counts of few people: hidden, and not to be found out."""

from __future__ import annotations

import itertools
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotarget.insight.small_counts import Shown, show, show_events, show_parts


@pytest.mark.parametrize(
    ("counts", "parts", "total"),
    [
        ([500, 40], (500, 40), 540),
        ([500, 0], (500, 0), 500),
        ([500, 9], (None, None), 509),
        ([500, 9, 40], (None, None, 40), 549),
        ([500, 9, 8, 40], (500, None, None, 40), 557),
        ([500, 5, 4, 40], (None, None, None, 40), 549),  # 9 together are too few as well
        ([500, 9, 9, 40], (None, None, None, 40), 558),  # 18 of two would mean 9 and 9
        ([9], (None,), None),
        ([9, 0], (None, 0), None),
        ([5, 4], (None, None), None),
        ([], (), 0),
    ],
)
def test_parts(counts: list[int], parts: tuple[int | None, ...], total: int | None) -> None:
    """A small part is hidden with another one, or with the total where there is no other."""
    assert Shown(parts, total) == show_parts(counts, 10)


@pytest.mark.parametrize(
    ("length", "most", "minimum"), [(2, 24, 4), (3, 24, 4), (4, 20, 4), (3, 24, 5), (5, 16, 3)]
)
def test_no_hidden_part_can_be_found_out(length: int, most: int, minimum: int) -> None:
    """Whatever is shown, each hidden part may be one of two values at least.

    Over all tables of so many parts and a total up to `most`, for a reader who knows the rule.
    """
    tables: defaultdict[Shown, list[tuple[int, ...]]] = defaultdict(list)
    for counts in itertools.product(range(most + 1), repeat=length):
        if sum(counts) <= most:
            tables[show_parts(counts, minimum)].append(counts)
    hidden = 0
    for shown, possible in tables.items():
        for at, part in enumerate(shown.parts):
            if part is None:
                assert len({counts[at] for counts in possible}) > 1, (shown, possible)
                hidden += 1
            else:
                assert part == 0 or part >= minimum
        if shown.total is not None and None in shown.parts:
            assert shown.total - sum(part or 0 for part in shown.parts) >= minimum
    assert hidden > 40


def test_events_are_hidden_by_the_people_behind_them() -> None:
    """Three regulars with forty visits are three people."""
    many, few = {f"p{number}" for number in range(50)}, {"a", "b", "c"}
    assert Shown((None, None, 70), 210) == show_events([100, 40, 70], [many, few, many], 10)
    assert Shown((None,), None) == show_events([40], [few], 10)
    assert Shown((100, 70), 170) == show_events([100, 70], [many, many], 10)


def test_the_same_few_in_two_parts_are_still_few() -> None:
    """Hidden parts hold enough different people together, else the total is hidden too."""
    few = {f"p{number}" for number in range(9)}
    assert Shown((None, None), None) == show_events([20, 20], [few, few], 10)
    others = {f"q{number}" for number in range(9)}
    assert Shown((None, None), 40) == show_events([20, 20], [few, others], 10)


@given(st.lists(st.integers(0, 60), max_size=8), st.integers(3, 20))
def test_shown_parts_are_true(counts: list[int], minimum: int) -> None:
    """Nothing is invented, nothing small is shown, and one part is never hidden alone."""
    shown = show_parts(counts, minimum)
    for count, part in zip(counts, shown.parts, strict=True):
        assert part in {None, count}
        assert show(count, minimum) is not None or part is None
    assert shown.total in {None, sum(counts)}
    if shown.total is not None:
        assert shown.parts.count(None) != 1
