"""Sketches: exact while small, near while large, and one union for all ways to take it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotarget import sketches
from geotarget.model import KeyArray

HASHES = st.integers(1, 2**64 - 2)
SMALL = st.integers(1, 40)


def array(values: list[int]) -> KeyArray:
    return np.array(values, np.uint64)


def random_hashes(count: int, seed: int) -> KeyArray:
    chance = np.random.default_rng(seed)
    return chance.integers(1, 2**64 - 1, count, dtype=np.uint64)


@given(st.lists(HASHES, max_size=300), st.integers(1, 64))
def test_counts_are_exact_up_to_the_size(hashes: list[int], most: int) -> None:
    """A sketch with room for all different hashes counts them exactly."""
    distinct = len(set(hashes))
    counted = sketches.count(sketches.sketch_of(array(hashes), max(most, distinct)))
    assert float(distinct) == counted


@given(st.lists(st.lists(SMALL | HASHES, max_size=60), min_size=1, max_size=5), st.integers(1, 20))
def test_the_union_is_the_sketch_of_the_union(parts: list[list[int]], most: int) -> None:
    """Whatever was split into parts, and in whatever order, its sketch is the same."""
    whole = sketches.sketch_of(array([each for part in parts for each in part]), most)
    made = [sketches.sketch_of(array(part), most) for part in parts]
    assert whole.tolist() == sketches.union(*made, most=most).tolist()
    one_by_one = made[0]
    for each in reversed(made[1:]):
        one_by_one = sketches.union(one_by_one, each, most=most)
    assert whole.tolist() == one_by_one.tolist()


@given(st.lists(HASHES, max_size=80), st.integers(1, 20))
def test_a_stored_sketch_comes_back(hashes: list[int], most: int) -> None:
    """Bytes are a sketch's only form on disk: 8 a number, smallest first."""
    sketch = sketches.sketch_of(array(hashes), most)
    stored = sketches.to_bytes(sketch)
    assert sketch.tolist() == sketches.from_bytes(stored).tolist()
    assert 8 * (min(len(set(hashes)), most) + 1) == len(stored)
    assert sorted(sketch.tolist()) == sketch.tolist()


@pytest.mark.parametrize("count", [257, 1_000, 20_000])
def test_the_error_of_large_counts_is_as_promised(count: int) -> None:
    """Over 300 seeds the mean is right to 1.5 % and the deviation at most 1 / sqrt(256)."""
    relative = [
        sketches.count(sketches.sketch_of(random_hashes(count, seed))) / count
        for seed in range(300)
    ]
    assert math.isclose(1.0, float(np.mean(relative)), abs_tol=0.015)
    assert float(np.std(relative)) < 1.15 / math.sqrt(sketches.MOST)


@given(st.sets(HASHES, min_size=1, max_size=60), st.integers(1, 20), st.data())
def test_a_hash_can_be_forgotten(hashes: set[int], most: int, data: st.DataObject) -> None:
    """Its eight bytes are gone; a full sketch stays an estimate and does not pass for a count."""
    sketch = sketches.sketch_of(array(sorted(hashes)), most)
    gone = data.draw(st.sampled_from(sorted(hashes)))
    left = sketches.without(sketch, gone)
    assert gone not in left.tolist()
    if len(hashes) <= most:
        assert float(len(hashes) - 1) == sketches.count(left)
    else:
        assert sketches.ALL != left[-1]
    assert set(left.tolist()) <= set(sketch.tolist())


def test_forgetting_one_of_many_keeps_the_estimate() -> None:
    """A sketch of 10,000 devices that lost one of its hashes still says about 10,000."""
    sketch = sketches.sketch_of(random_hashes(10_000, 1))
    for place in (0, 100, 255, 256):
        left = sketches.without(sketch, int(sketch[place]))
        assert math.isclose(sketches.count(sketch), sketches.count(left), rel_tol=0.02)


@given(st.lists(st.tuples(st.integers(0, 3), st.lists(SMALL, max_size=30)), max_size=12))
def test_many_are_counted_as_each_alone(parts: list[tuple[int, list[int]]]) -> None:
    """A pile counts each group as the union of its sketches counts."""
    made = [sketches.sketch_of(array(hashes), 8) for _, hashes in parts]
    group = np.array([number for number, _ in parts], np.int64)
    counted = sketches.Pile.of([sketches.to_bytes(each) for each in made]).counts(group, 4)
    for number in range(4):
        mine = [each for each, (of, _) in zip(made, parts, strict=True) if of == number]
        bound = min((int(each[-1]) for each in mine), default=int(sketches.ALL))
        below = {h for each in mine for h in each[:-1].tolist() if h < bound}
        share = 1.0 if bound == int(sketches.ALL) else bound / 2**64
        assert len(below) / share == pytest.approx(counted[number])


def test_everybody_counts_with_the_largest_weight_once() -> None:
    """A device in three cells is one device, as much in the zone as the best of them."""
    seen = [[1, 2, 3], [3, 4], [4, 5]]
    pile = sketches.Pile.of([sketches.to_bytes(sketches.sketch_of(array(each))) for each in seen])
    assert (2 * 0.5 + 2 * 1.0 + 0.25, 5.0) == pile.weighed(np.array([0.5, 1.0, 0.25]))
    assert (0.0, 0.0) == sketches.Pile.of([]).weighed(np.empty(0))


def test_hashes_depend_on_the_salt_and_spread() -> None:
    """Who does not know the salt learns nothing; devices fall evenly into boxes, for any salt."""
    assert sketches.hash_of("phone-0", b"one") != sketches.hash_of("phone-0", b"another")
    chi_square = 0.0
    for salt in (bytes([number]) for number in range(8)):
        hashes = [sketches.hash_of(f"phone-{number}", salt) for number in range(2_000)]
        boxes = np.bincount([each >> 60 for each in hashes], minlength=16)
        chi_square += float(((boxes - 125) ** 2 / 125).sum())
    assert chi_square < 173.6  # 8 x 15 degrees of freedom, one in a thousand
