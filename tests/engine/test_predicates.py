"""Signs of orientations: never wrong, whatever the floats."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from geotarget.engine.predicates import UNKNOWN, exact_orientation, orientation, side_of

DEGREES = st.floats(-180, 180)
ULPS = st.integers(-3, 3)


def nudged(value: float, ulps: int) -> float:
    """Return a float some steps away."""
    for _ in range(abs(ulps)):
        value = float(np.nextafter(value, np.inf if ulps > 0 else -np.inf))
    return value


@settings(max_examples=500, deadline=None)
@given(DEGREES, DEGREES, DEGREES, DEGREES, st.floats(0, 1), ULPS, ULPS)
def test_signs_beside_a_line_are_those_of_fractions(
    ax: float, ay: float, bx: float, by: float, along: float, dx: int, dy: int
) -> None:
    """On a line and a few floats beside it the sign is exact, or honestly unknown."""
    x = nudged(ax + along * (bx - ax), dx)
    y = nudged(ay + along * (by - ay), dy)
    truth = side_of(ax, ay, bx, by, x, y)
    assert orientation(ax, ay, bx, by, x, y) in {truth, UNKNOWN}
    assert exact_orientation(ax, ay, bx, by, x, y) in {truth, UNKNOWN}
    if min((abs(v) for v in (ax, ay, bx, by, x, y) if v), default=1.0) > 1e-120:
        assert truth == orientation(ax, ay, bx, by, x, y)


def test_points_on_a_grid_of_floats_around_a_line() -> None:
    """The picture that naive arithmetic gets wrong: 64 x 64 neighbours of one point."""
    steps = 0.5 + np.arange(64) * 2.0**-53
    wrong = [
        (x, y)
        for x in steps.tolist()
        for y in steps.tolist()
        if side_of(12.0, 12.0, 24.0, 24.0, x, y) != orientation(12.0, 12.0, 24.0, 24.0, x, y)
    ]
    assert [] == wrong


def test_what_underflows_is_not_guessed() -> None:
    """Products that float64 can't hold make the sign unknown; fractions know it."""
    tiny = 5e-324
    assert UNKNOWN == orientation(0.0, 0.0, tiny, tiny, tiny, 0.0)
    assert -1 == side_of(0.0, 0.0, tiny, tiny, tiny, 0.0)
