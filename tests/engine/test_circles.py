"""Stretches of segments in circles: held against geodesics to many points of each segment."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geotarget.engine.circles import circle_stretches
from geotarget.model import FloatArray
from tests.oracle import GEOD
from tests.strategies import CENTRES_LNG, SEEDS


def found(circle: tuple[float, float, float], ends: FloatArray) -> list[list[tuple[float, float]]]:
    """Return the stretches of each segment (rows of four numbers) in a circle."""
    pair, entry, leave = circle_stretches(
        centre_lng=np.array([np.nan, circle[0]]),
        centre_lat=np.array([np.nan, circle[1]]),
        radius_m=np.array([np.nan, circle[2]]),
        lng=ends[:, 0],
        lat=ends[:, 1],
        to_lng=ends[:, 2],
        to_lat=ends[:, 3],
        segment=np.arange(len(ends)),
        zone=np.ones(len(ends), np.int64),
    )
    assert (np.diff(pair) >= 0).all()
    answer: list[list[tuple[float, float]]] = [[] for _ in ends]
    for row, begin, end in zip(pair.tolist(), entry.tolist(), leave.tolist(), strict=True):
        answer[row].append((begin, end))
    return answer


def depth_m(circle: tuple[float, float, float], ends: FloatArray, at: FloatArray) -> FloatArray:
    """Return radius less distance at fractions of segments, shape (segments, fractions)."""
    lng, lat, to_lng, to_lat = ends.T[..., None]
    dx = to_lng - lng
    dx = dx - 360 * ((dx > 180).astype(float) - (dx < -180))
    x, y = np.broadcast_arrays(lng + at * dx, lat + at * (to_lat - lat))
    gap = GEOD.inv(np.full(x.shape, circle[0]), np.full(x.shape, circle[1]), x, y)[2]
    return circle[2] - np.asarray(gap)


def assert_right(circle: tuple[float, float, float], ends: FloatArray) -> None:
    """Compare with a thousand points of each segment; a millimetre is none."""
    at = np.linspace(0, 1, 1001)
    depth = depth_m(circle, ends, at)
    for row, stretches in enumerate(found(circle, ends)):
        flat = [share for stretch in stretches for share in stretch]
        assert flat == sorted(set(flat))
        assert not flat or 0 <= flat[0] < flat[-1] <= 1
        covered = np.zeros(len(at), np.bool_)
        for begin, end in stretches:
            covered |= (begin <= at) & (at <= end)
        assert (covered == (depth[row] >= 0))[np.abs(depth[row]) > 0.001].all()
        within = np.array([share for share in flat if 0 < share < 1])
        assert depth_m(circle, ends[row : row + 1], within) == pytest.approx(0, abs=1e-5)
        if stretches:
            assert (flat[0] == 0) == (depth[row, 0] >= 0)
            assert (flat[-1] == 1) == (depth[row, -1] >= 0)


def drawn(
    rng: np.random.Generator, circle: tuple[float, float, float], longest_m: float
) -> FloatArray:
    """Return segments that start within two radii of a centre."""
    count = 12
    full = np.ones(count)
    x, y, _ = GEOD.fwd(
        full * circle[0],
        full * circle[1],
        rng.uniform(0, 360, count),
        circle[2] * rng.choice([0, 1, 1 - 1e-9, 0.5, rng.uniform(0, 2)], count),
    )
    reach = np.minimum(circle[2] * 10.0 ** rng.uniform(-3, 1, count), longest_m)
    to_x, to_y, _ = GEOD.fwd(x, y, rng.uniform(0, 360, count), reach)
    return np.column_stack([x, y, to_x, to_y])


@settings(max_examples=60, deadline=None)
@given(CENTRES_LNG, st.floats(-89.9, 89.9), st.floats(0, 6), SEEDS)
def test_stretches_are_where_the_geodesic_is_short_enough(
    lng: float, lat: float, size: float, seed: int
) -> None:
    """Circles of a metre to 1000 km anywhere, segments up to 1000 km: every point is right."""
    circle = (lng, lat, 10.0**size)
    assert_right(circle, drawn(np.random.default_rng(seed), circle, 1e6))


@settings(max_examples=40, deadline=None)
@given(CENTRES_LNG, st.floats(89, 90), st.sampled_from([-1, 1]), st.floats(3, 5.3), SEEDS)
def test_near_a_pole_segments_bend(
    lng: float, lat: float, side: int, size: float, seed: int
) -> None:
    """Parallels around the pole are segments too: they may meet a circle more than once."""
    circle = (lng, side * lat, 10.0**size)
    rng = np.random.default_rng(seed)
    ends = rng.uniform([-180, 88.5, -180, 88.5], [180, 90, 180, 90], (12, 4))
    assert_right(circle, ends * [1, side, 1, side])


def test_a_parallel_may_leave_and_enter_again() -> None:
    """Half a turn around the pole, and a circle behind it: both ends are in, the middle is not."""
    ends = np.array([[-90.0, 89.0, 90.0, 89.0]])
    circle = (180.0, 89.9, 115_000.0)
    assert_right(circle, ends)
    assert 2 == len(found(circle, ends)[0])


def test_a_segment_within_is_covered_whole() -> None:
    """From 0 to 1, and so is a ping that stays."""
    ends = np.array([[24.9, 60.1, 24.91, 60.11], [24.9, 60.1, 24.9, 60.1]])
    assert [[(0, 1)], [(0, 1)]] == found((24.9, 60.1, 5000.0), ends)


def test_elsewhere_there_is_no_stretch() -> None:
    """Segments that pass by, and pings that stay outside."""
    ends = np.array([[0, 1, 1, 0.2], [1, 1, 1, 1], [-10, -10, 10, -10]], np.float64)
    assert [[], [], []] == found((0.0, 0.0, 1000.0), ends)


def test_the_short_way_goes_over_the_antimeridian() -> None:
    """A circle on +-180 is covered from its western to its eastern end."""
    actual = found((180.0, 0.0, 1000.0), np.array([[179.98, 0, -179.98, 0]]))[0]
    expected = found((0.0, 0.0, 1000.0), np.array([[-0.02, 0, 0.02, 0]]))[0]
    assert actual[0] == pytest.approx(expected[0], abs=1e-9)


def test_no_pairs_give_no_rows() -> None:
    """Empty input is fine."""
    assert [] == found((0.0, 0.0, 1000.0), np.empty((0, 4)))
