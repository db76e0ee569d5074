"""Sentences: each situation and what is said of it."""

from __future__ import annotations

from typing import Any

import pytest

from geotarget.insight.comparing import comparisons
from geotarget.insight.lift import Group, compare
from geotarget.insight.sentences import about, lift_sentence, percent, warnings
from geotarget.store.results import ExposureRow

NOTHING = "Nothing was held out, so there is nothing to compare with"
CLEAR_GAIN = (
    "A clear gain: 6.0 % converted, 4.0 % of those held out. "
    "That is 50 % more (between 9.9 % more and 105 % more)."
)
CLEAR_LOSS = (
    "A clear loss: 4.4 % converted, 6.0 % of those held out. "
    "That is 26 % less (between 43 % less and 3.5 % less)."
)
NO_DIFFERENCE = (
    "No difference seen: 5.0 % converted, 5.1 % of those held out; "
    "the truth lies between 9.5 % less and 8.3 % more."
)


@pytest.mark.parametrize(
    ("treated", "held_out", "sentence"),
    [
        ((900, 37), (100, 10), "A clear loss: 4.1 % converted, 10 % of those held out. "),
        ((900, 72), (100, 10), "Too early to tell: 82 conversions, about 1,300 more needed."),
        ((9_000, 540), (1_000, 40), CLEAR_GAIN),
        ((9_000, 400), (1_000, 60), CLEAR_LOSS),
        ((90_000, 4_500), (10_000, 505), NO_DIFFERENCE),
        ((900, 0), (100, 0), "No conversions have been reported: nothing can be said."),
        (
            (9_000, 60),
            (1_000, 0),
            "A clear gain: 0.67 % converted, 0 % of those held out. That is at least 74 % more.",
        ),
        (
            (9_000, 0),
            (1_000, 30),
            "A clear loss: 0 % converted, 3.0 % of those held out. That is 100 % less (between ",
        ),
        ((90, 0), (10, 1), "Too early to tell: 1 conversion, about 49 more needed."),
    ],
)
def test_a_sentence(treated: tuple[int, int], held_out: tuple[int, int], sentence: str) -> None:
    """It names both rates, the change and its bounds, or how many more it takes."""
    found = compare(Group(*treated), Group(*held_out))
    assert found is not None
    assert lift_sentence(found).startswith(sentence)


def said(treated: tuple[int, int], held_out: tuple[int, int] | None) -> str:
    """Return what is said of a campaign with a minimum audience of 10."""
    groups = [(False, treated), *([] if held_out is None else [(True, held_out)])]
    rows = [
        ExposureRow(which, "", people, converted, converted, 0, 0.0)
        for which, (people, converted) in groups
    ]
    whole, _ = comparisons(rows, minimum=10)
    return whole.sentence


@pytest.mark.parametrize(
    ("treated", "held_out", "sentence"),
    [
        (
            (1_000, 41),
            None,
            f"{NOTHING}: 41 of 1,000 people converted (4.1 %).",
        ),
        (
            (1_000, 0),
            None,
            f"{NOTHING}; no conversions have been reported.",
        ),
        ((1_000, 3), None, f"{NOTHING}."),
        ((0, 0), None, "Nobody has come into question yet."),
        ((90, 20), (9, 1), "Too early to tell: a group has fewer than 10 people."),
        ((0, 0), (30, 11), "Too early to tell: a group has fewer than 10 people."),
        (
            (900, 30),
            (100, 4),
            "Too early to tell: fewer than 10 people of one group converted.",
        ),
        ((900, 3), (100, 0), "Too early to tell: fewer than 10 people of one group converted."),
        (
            (9_000, 900),
            (1_000, 9),
            "A clear gain: 10 % converted, and fewer than 10 of the people held out.",
        ),
        ((9_000, 540), (1_000, 40), CLEAR_GAIN),
    ],
)
def test_a_sentence_tells_nothing_that_is_hidden(
    treated: tuple[int, int], held_out: tuple[int, int] | None, sentence: str
) -> None:
    """Where a count is of too few people the sentence does without it."""
    assert sentence == said(treated, held_out)


def test_a_sentence_is_the_same_for_all_counts_that_are_hidden() -> None:
    """A reader who knows how it is made learns nothing of the hidden count."""
    for treated in ((900, 30), (900, 200), (9_000, 900), (9_000, 4_000), (40_000, 20)):
        said_of = {said(treated, (treated[0] // 9, converted)) for converted in range(1, 10)}
        assert len(said_of) == 1, treated


BUDGET = (
    "The budget refused 25 % of what was to be sent. "
    "Those people count as treated: the lift of an offer that is sent is larger."
)
BY_DECISION = (
    "All conversions were reported by decision. Who is held out has no decision to name: "
    "their purchases can't be seen, and the lift looks too good. Report conversions with "
    "the profile or the device."
)
ADAPTIVE = (
    "More people get the variant that has earned more, so variants were sent at different "
    "times: what is said of one of them is a hint only."
)
CURRENCIES = (
    "Conversions came in SEK, USD, costs are in EUR: there is no return on them, "
    "and revenue in other currencies is not compared."
)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"by_decision": 40}, [BY_DECISION]),
        ({"by_decision": 39}, []),
        ({"by_decision": 40, "held_out": False}, []),
        ({"by_decision": 0, "conversions": 0}, []),
        ({"refused_by_budget": 25}, [BUDGET]),
        ({"refused_by_budget": 20}, []),
        ({"refused_by_budget": 25, "eligible": 0}, []),
        ({"currencies": ("EUR", "SEK", "USD")}, [CURRENCIES]),
        ({"currencies": ("EUR",)}, []),
        ({"adaptive": True, "by_decision": 40}, [BY_DECISION, ADAPTIVE]),
    ],
)
def test_warnings(changes: dict[str, Any], expected: list[str]) -> None:
    """What would mislead a reader is said, and nothing else."""
    usual: dict[str, Any] = {
        "held_out": True,
        "conversions": 40,
        "by_decision": 0,
        "refused_by_budget": 0,
        "eligible": 100,
        "currencies": (),
        "currency": "EUR",
        "adaptive": False,
    }
    assert expected == warnings(**(usual | changes))


def test_figures_in_words() -> None:
    """Two digits that count, thousands apart."""
    shown = [percent(each) for each in (0.0, 0.04123, 0.5, 1.0, 0.000351, 12.34, -0.031)]
    assert shown == ["0 %", "4.1 %", "50 %", "100 %", "0.035 %", "1,234 %", "-3.1 %"]
    assert [about(each) for each in (3, 99, 314, 2_718, 99_999)] == [
        "3", "99", "310", "2,700", "100,000",
    ]  # fmt: skip
