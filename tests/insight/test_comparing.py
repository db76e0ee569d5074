"""Comparisons of groups: of what is shown, and of nothing else."""

from __future__ import annotations

import random
from collections import defaultdict

from geotarget.insight.comparing import Comparison, comparisons
from geotarget.insight.lift import Verdict
from geotarget.insight.small_counts import show, show_parts
from geotarget.store.results import ExposureRow

Groups = dict[tuple[bool, str], tuple[int, int]]
Compared = tuple[Comparison, tuple[Comparison, ...]]


def rows(groups: Groups) -> list[ExposureRow]:
    """Return exposures without revenue."""
    return [
        ExposureRow(held_out, variant, people, converted, converted, 0, 0.0)
        for (held_out, variant), (people, converted) in groups.items()
    ]


def test_nothing_in_an_answer_depends_on_what_is_hidden() -> None:
    """Tables that look alike give the same answer, whatever their hidden counts are."""
    dice = random.Random(7)
    answers: defaultdict[object, list[Compared]] = defaultdict(list)
    for _ in range(30_000):
        treated = [
            (people, dice.randint(0, min(people, 7))) for people in dice.choices([20, 40], k=2)
        ]
        held = (30, dice.randint(0, 12))
        groups = {(False, "a"): treated[0], (False, "b"): treated[1], (True, "a"): held}
        looks = (
            show_parts([people for people, _ in treated], 4),
            show_parts([converted for _, converted in treated], 4),
            show(held[1], 4),
        )
        if len(answers[looks]) < 40:
            answers[looks].append(comparisons(rows(groups), minimum=4))
    several = [found for found in answers.values() if len(found) > 5]
    assert len(several) > 50
    for found in several:
        assert all(repr(each) == repr(found[0]) for each in found)


def test_variants_of_the_held_out_are_one_group() -> None:
    """Whatever would have been sent to them."""
    whole, parts = comparisons(
        rows(
            {
                (False, "a"): (4_000, 400),
                (False, "b"): (5_000, 250),
                (True, "a"): (400, 20),
                (True, "b"): (600, 30),
            }
        ),
        minimum=10,
    )
    assert (whole.treated.people, whole.treated.converted) == (9_000, 650)
    assert (whole.held_out.people, whole.held_out.converted) == (1_000, 50)
    assert [(each.variant, each.verdict) for each in parts] == [
        ("a", Verdict.GAIN),
        ("b", Verdict.EARLY),
    ]
    assert parts[0].lift is not None
    assert parts[0].lift.held_out == parts[1].held_out.group


def test_a_campaign_without_variants_has_one_comparison() -> None:
    """And none of parts."""
    whole, parts = comparisons(rows({(False, ""): (900, 90), (True, ""): (100, 11)}), minimum=10)
    assert (whole.variant, parts) == (None, ())
    assert whole.verdict is Verdict.EARLY
    assert not whole.hides


def test_a_variant_of_few_people_is_hidden_with_another() -> None:
    """Their sum stays, and is compared."""
    groups: Groups = {
        (False, "a"): (900, 90), (False, "b"): (5, 1), (False, "c"): (800, 70),
        (True, ""): (500, 30),
    }  # fmt: skip
    whole, parts = comparisons(rows(groups), minimum=10)
    assert whole.lift is not None
    assert whole.treated.people == 1_705
    found = {each.variant: (each.treated.people, each.treated.converted) for each in parts}
    assert found["c"] == (800, 70)
    assert (found["a"], found["b"]) == ((None, None), (None, None))
    assert whole.hides is False
    assert [each.hides for each in parts] == [True, True, False]
