"""Holdout and variants: balanced, independent, stable, and recomputable by others."""

from __future__ import annotations

import math
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from hashlib import blake2b
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy import stats

from geotarget.errors import InvalidCampaign
from geotarget.model import Arm, Campaign, Variant
from geotarget.targeting.allocation import (
    choose_variant,
    held_out,
    shares,
    unit_hash,
    validate_variants,
)
from tests.conftest import REPOSITORY

Make = Callable[..., Any]
PEOPLE = [f"p-{number}" for number in range(100_000)]
SALTS = ("spring", "autumn", "s-1", "s-2", "", "å")


def variants(*weights: float) -> tuple[Variant, ...]:
    """Make variants a, b, c … of these weights."""
    return tuple(
        Variant(chr(97 + place), {"text": str(place)}, weight=weight)
        for place, weight in enumerate(weights)
    )


def chosen(campaign: Campaign, people: list[str] = PEOPLE) -> list[str]:
    """Return the variant of each profile."""
    found = [choose_variant(campaign, person, "", {}) for person in people]
    return [each.id for each in found if each is not None]


def test_hash_is_what_the_page_says(campaign: Make) -> None:
    """The worked examples of docs/allocation.md hold, and its Python gives the same."""
    page = (REPOSITORY / "geotarget" / "docs" / "allocation.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| `([^`]*)` \| `([^`]*)` \| ([\d.]+) \|$", page, re.MULTILINE)
    assert len(rows) >= 4
    for kind, salt, key, number in rows:
        assert f"{unit_hash(kind, salt, key.replace('␟', chr(31))):.6f}" == number
    (block,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (shown,) = re.findall(r"prints `([^`]*)`", page)
    ran = subprocess.run([sys.executable, "-c", block], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == shown
    lots = re.findall(r"^\| (\w) \| ([\d.]+) \| (\d) \| ([\d.]+) \|$", page, re.MULTILINE)
    for variant, number, weight, lot in lots:
        drawn = unit_hash("variant", "spring-2026", f"p-1001\x1f{variant}")
        assert f"{drawn:.6f} {-math.log(1 - drawn) / int(weight):.4f}" == f"{number} {lot}"
    weighted = tuple(Variant(each[0], {}, weight=int(each[2])) for each in lots)
    assert len(weighted) == 2
    (winner,) = re.findall(r"It gets `(\w)`", page)
    asked = campaign(salt="spring-2026", variants=weighted)
    assert chosen(asked, ["p-1001"]) == [winner]


def test_hash_is_the_one_that_was_promised() -> None:
    """BLAKE2b of 8 bytes over kind, salt and key; a change here would reshuffle every campaign."""
    for salt, key in (("spring", "p-1"), ("", ""), ("å", "ä" * 300)):
        digest = blake2b(f"holdout\x1f{salt}\x1f{key}".encode(), digest_size=8).digest()
        assert unit_hash("holdout", salt, key) == int.from_bytes(digest, "big") / 2**64
    assert 0 <= unit_hash("holdout", "\ud800", "\udfff") < 1


@pytest.mark.parametrize("salt", SALTS)
def test_groups_are_balanced(salt: str, campaign: Make) -> None:
    """Over 100,000 profiles the shares are those asked for, as far as chance allows."""
    asked = campaign(salt=salt, holdout=0.1, variants=variants(1, 2, 3, 0))
    out = sum(held_out(asked, person) for person in PEOPLE)
    assert stats.binomtest(out, len(PEOPLE), 0.1).pvalue > 0.001
    counts = Counter(chosen(asked))
    assert counts["d"] == 0
    expected = [len(PEOPLE) * share for share in (1 / 6, 2 / 6, 3 / 6)]
    assert stats.chisquare([counts[each] for each in "abc"], expected).pvalue > 0.001


@pytest.mark.parametrize("salt", SALTS[:3])
def test_hash_is_uniform(salt: str) -> None:
    """Not only the shares: the numbers themselves are spread evenly."""
    numbers = [unit_hash("holdout", salt, person) for person in PEOPLE]
    assert stats.kstest(numbers, "uniform").pvalue > 0.001


def test_holdout_says_nothing_about_variant_or_another_salt(campaign: Make) -> None:
    """Who is held out is independent of the variant, and of the groups of another campaign."""
    one = campaign("one", holdout=0.3, variants=variants(1, 1, 1))
    other = campaign("other", holdout=0.3, variants=variants(1, 1, 1))
    groups = {
        "out": [held_out(one, person) for person in PEOPLE],
        "out elsewhere": [held_out(other, person) for person in PEOPLE],
        "variant": chosen(one),
        "variant elsewhere": chosen(other),
    }
    names = list(groups)
    for place, name in enumerate(names):
        for second in names[place + 1 :]:
            table = Counter(zip(groups[name], groups[second], strict=True))
            rows, columns = sorted(set(groups[name])), sorted(set(groups[second]))
            counted = [[table[row, column] for column in columns] for row in rows]
            assert stats.chi2_contingency(counted).pvalue > 0.001, (name, second)


def test_campaigns_of_one_salt_hold_out_the_same_people(campaign: Make) -> None:
    """A salt in common makes one control group of several campaigns."""
    one, two = campaign("one", salt="s", holdout=0.2), campaign("two", salt="s", holdout=0.2)
    apart = campaign("two", holdout=0.2)
    people = PEOPLE[:1000]
    groups = [[held_out(each, person) for person in people] for each in (one, two, apart)]
    assert groups[0] == groups[1]
    assert groups[0] != groups[2]


def test_larger_holdout_keeps_those_who_were_held_out(campaign: Make) -> None:
    """Growing the control group moves nobody out of it."""
    groups = [
        {person for person in PEOPLE if held_out(campaign(holdout=share), person)}
        for share in (0.0, 0.05, 0.1, 0.5, 0.9)
    ]
    assert not groups[0]
    for smaller, larger in pairwise(groups):
        assert smaller < larger


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((1, 1), (1, 3)),
        ((1, 1, 1), (2, 1, 1)),
        ((1, 1, 1), (1, 1, 1, 1)),
        ((5, 3, 2), (5, 3, 0)),
        ((1, 1, 1, 1), (1, 1, 4, 1)),
    ],
)
def test_changed_weights_move_only_what_they_must(
    before: tuple[float, ...], after: tuple[float, ...], campaign: Make
) -> None:
    """As many people change as the shares differ, and they go only where a share has grown."""
    had, have = (
        chosen(campaign(variants=variants(*weights)), PEOPLE[:20_000])
        for weights in (before, after)
    )
    moved = [(old, new) for old, new in zip(had, have, strict=True) if old != new]
    first = np.array([*before, *[0] * (len(after) - len(before))]) / sum(before)
    second = np.array(after) / sum(after)
    grown = {chr(97 + place) for place in np.flatnonzero(second > first + 1e-9)}
    assert {new for _, new in moved} <= grown
    needed = np.clip(second - first, 0, None).sum()
    assert len(moved) / len(had) == pytest.approx(needed, abs=0.015)


def test_order_of_variants_means_nothing(campaign: Make) -> None:
    """Rearranging the document moves nobody; equal factors on all weights neither."""
    people = PEOPLE[:2000]
    plain = variants(1, 2, 3)
    doubled = tuple(Variant(each.id, {}, weight=2 * each.weight) for each in plain)
    had = chosen(campaign(variants=plain), people)
    assert chosen(campaign(variants=plain[::-1]), people) == had
    assert chosen(campaign(variants=doubled), people) == had


def test_choice_of_few(campaign: Make) -> None:
    """No variants, none, and the only one that has a weight, at once."""
    assert choose_variant(campaign(), "p", "d", {}) is None
    assert choose_variant(campaign(variants=variants(0, 0)), "p", "d", {}) is None
    for allocation in ("weights", "thompson"):
        only = campaign(variants=variants(0, 2, 0), allocation=allocation)
        assert {chosen(only, [f"p-{n}"])[0] for n in range(50)} == {"b"}


def test_thompson_finds_the_better_arm(campaign: Make) -> None:
    """With rates of 4 and 12 %, nearly all of the traffic goes to the better one in the end."""
    asked = campaign(variants=variants(1, 1, 1, 0), allocation="thompson")
    rates = {"a": 0.04, "b": 0.12, "c": 0.04}
    dice = random.Random(5)
    arms: dict[tuple[str, str], Arm] = {}
    went = []
    for number in range(6000):
        variant = choose_variant(asked, "p", f"decision-{number}", arms)
        assert variant is not None
        arm = arms.get((asked.id, variant.id), Arm())
        bought = dice.random() < rates[variant.id]
        arms[asked.id, variant.id] = Arm(arm.sent + 1, arm.converted + bought)
        went.append(variant.id)
    assert min(Counter(went[:300]).values()) > 30  # it tried them all
    assert Counter(went[-2000:])["b"] > 1800
    told = {each.variant: each for each in shares(asked, arms)}
    assert told["b"].share > 0.9
    assert told["d"].share == 0
    assert sum(each.share for each in told.values()) == pytest.approx(1)
    assert told["b"].mean == (1 + told["b"].converted) / (2 + told["b"].sent)


def test_thompson_repeats_itself(campaign: Make) -> None:
    """The same decision over the same state chooses the same; other decisions vary."""
    asked = campaign(variants=variants(1, 1), allocation="thompson")
    arms = {("hello", "a"): Arm(100, 10), ("hello", "b"): Arm(90, 9)}
    ids = [f"{number:032x}" for number in range(200)]
    first = [choose_variant(asked, "p", each, arms) for each in ids]
    assert first == [choose_variant(asked, "p", each, dict(arms)) for each in ids]
    assert len({each.id for each in first if each}) == 2


@pytest.mark.parametrize(
    "arms",
    [
        {"a": Arm(10, 2), "b": Arm(12, 1)},
        {"a": Arm(1000, 100), "b": Arm(900, 110)},
        {"a": Arm(0, 0), "b": Arm(0, 0)},
        {"a": Arm(3, 9), "b": Arm(5, 1)},  # more conversions than offers sent, as after a repair
    ],
)
def test_shares_are_those_of_the_draws(arms: dict[str, Arm], campaign: Make) -> None:
    """What is told of the traffic to come is what choosing really does, within chance."""
    asked = campaign(variants=variants(1, 1), allocation="thompson")
    state = {("hello", name): arm for name, arm in arms.items()}
    told = {each.variant: each.share for each in shares(asked, state)}
    assert told == {each.variant: each.share for each in shares(asked, state)}
    draws = 4000
    found = Counter(
        variant.id
        for number in range(draws)
        if (variant := choose_variant(asked, "p", f"{number}", state))
    )
    assert found["a"] / draws == pytest.approx(told["a"], abs=0.04)


def test_shares_by_weight_are_exact(campaign: Make) -> None:
    """Without a bandit the shares are the weights, and what came of them is shown as well."""
    asked = campaign(variants=variants(1, 3, 0))
    told = shares(asked, {("hello", "b"): Arm(8, 1)})
    assert [(each.variant, each.share, each.sent, each.converted) for each in told] == [
        ("a", 0.25, 0, 0),
        ("b", 0.75, 8, 1),
        ("c", 0.0, 0, 0),
    ]
    assert [each.mean for each in told] == [0.5, 0.2, 0.5]
    assert shares(campaign(), {}) == []


THERE_ARE = "there are profile, behaviour, zone, visit, transition, campaign, now"


def one(id: str = "a", offer: Any = None, **options: Any) -> Variant:
    """Make one variant."""
    return Variant(id, {} if offer is None else offer, **options)


@pytest.mark.parametrize(
    ("given", "problems"),
    [
        ((), []),
        ((one("a"), one("b", weight=0)), []),
        ((one("a"), one("b"), one("a")), [("$.variants[2].id", "another variant has this id")]),
        ((one(""),), [("$.variants[0].id", "must be 1 to 128 printable characters")]),
        ((one("x" * 129),), [("$.variants[0].id", "must be 1 to 128 printable characters")]),
        ((one("a\n"),), [("$.variants[0].id", "must be 1 to 128 printable characters")]),
        ((one(weight=-1.0),), [("$.variants[0].weight", "must be within 0 and 1e+06")]),
        ((one(weight=math.inf),), [("$.variants[0].weight", "must be within 0 and 1e+06")]),
        ((one(weight=math.nan),), [("$.variants[0].weight", "must be within 0 and 1e+06")]),
        ((one("a", weight=0), one("b", weight=0)),
         [("$.variants", "one variant at least must have a weight over 0")]),
        ((one(cost_micros=-1),), [("$.variants[0].cost_per_offer", "must not be negative")]),
        (tuple(one(str(n)) for n in range(21)),
         [("$.variants", "a campaign may have 20 variants")]),
        ((one("a"), one("b", {"t": "{{ now | nope }}"}, translations={"sv": {"t": "{{ y }}"}})),
         [("$.variants[1].offer.t", "line 1: unknown filter 'nope'"),
          ("$.variants[1].translations.sv.t", f"line 1: unknown name 'y'; {THERE_ARE}")]),
    ],
)  # fmt: skip
def test_variants_are_checked(given: tuple[Variant, ...], problems: list[tuple[str, str]]) -> None:
    """Ids, weights, costs and every offer, each problem with its path."""
    if not problems:
        validate_variants(given)
        return
    with pytest.raises(InvalidCampaign) as caught:
        validate_variants(given)
    assert [(each.path, each.reason) for each in caught.value.problems] == problems


def test_allocation_is_one_of_two() -> None:
    """Another word is refused with those that there are."""
    with pytest.raises(InvalidCampaign, match="must be weights or thompson"):
        validate_variants((), allocation="epsilon")
