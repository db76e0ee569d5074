"""What one fix says about one zone: in, perhaps in, nothing, or out, and by which test.

The order of the tests is part of the rules: a fix far away is far away however coarse it is. A
handful of comparisons, compiled; some nanoseconds a (fix, zone).
"""

from __future__ import annotations

import math
from typing import Any

from geotarget.engine.compiled import njit
from geotarget.engine.stance import AT_REST, FAST, SIGMA_PER_ACCURACY, STRAY

Record = Any

RAW, EAGER, STANDARD, STRICT, CERTAIN = 0, 1, 2, 3, 4

OUT, HOLD, MAYBE_IN, IN = 0, 1, 2, 3
VERDICTS = ("out", "hold", "maybe_in", "in")

_STEP = 4
"""A finding is a reason times this, plus the verdict that the reason stands for."""

REASONS = (
    "uncovered", "far", "moving", "border", "coarse", "shallow", "deep", "centre", "covered",
    "near", "fast", "stray", "timer", "chord", "edit", "gone",
)  # fmt: skip
"""Every test that can decide, and what stands in where no fix did."""

UNCOVERED = 0 * _STEP + OUT
FAR = 1 * _STEP + OUT
MOVING = 2 * _STEP + OUT
BORDER = 3 * _STEP + HOLD
COARSE = 4 * _STEP + HOLD
SHALLOW = 5 * _STEP + MAYBE_IN
DEEP = 6 * _STEP + IN
ALMOST_DEEP = 6 * _STEP + MAYBE_IN
CENTRE = 7 * _STEP + IN
COVERED = 8 * _STEP + IN
NEAR = 9 * _STEP + IN
FAST_IN, FAST_OUT = 10 * _STEP + IN, 10 * _STEP + OUT
STRAYED = 11 * _STEP + HOLD
_CERTAIN_IN, _CERTAIN_MAYBE = 1.5, 0.75
"""Shares of the accuracy that policy `certain` asks for."""

TIMER, CHORD, EDIT, GONE = 12 * _STEP, 13 * _STEP, 14 * _STEP, 15 * _STEP


def reason_of(finding: int) -> str:
    """Return the name of the test that a finding comes from."""
    return REASONS[finding // _STEP]


def verdict_of(finding: int) -> str:
    """Return the name of the verdict that a finding stands for."""
    return VERDICTS[finding % _STEP]


@njit()
def inside_probability(d: float, acc: float) -> float:
    """Probability of being inside at a straight edge `d` metres away, 68 % radius `acc`."""
    sigma = acc * SIGMA_PER_ACCURACY
    return 0.5 * (1.0 + math.erf(d / (sigma * math.sqrt(2.0))))


@njit()
def verdict(finding: int) -> int:
    """Return the verdict that a finding stands for."""
    return finding % _STEP


@njit()
def _standard(d: float, acc: float, depth: float, stance: int, usable: bool, rules: Record) -> int:
    """Judge a fix that is not outside, under the standard policy."""
    if stance == AT_REST:
        if d >= rules["rest_share"] * acc:
            return DEEP
        return CENTRE if d >= 0.5 * depth else BORDER
    if d >= rules["deep_share"] * acc:
        return DEEP
    if usable and d >= 0.5 * depth:
        return CENTRE
    if stance == FAST and d >= rules["fast_in_share"] * acc:
        return FAST_IN if usable else COARSE
    if stance != FAST and d >= rules["maybe_share"] * acc:
        return SHALLOW if usable else COARSE
    return BORDER


@njit()
def judge(
    d: float,
    acc: float,
    stance: int,
    moving: bool,
    policy: int,
    depth: float,
    buffer: float,
    rules: Record,
) -> int:
    """Return what one fix says about one zone.

    Parameters
    ----------
    d
        Metres from the zone's boundary, positive inside.
    acc
        Accuracy of the fix, metres.
    stance, moving
        How the device stands, and whether it is on the move.
    policy, depth, buffer
        Of the zone: entry policy, depth in metres, exit buffer in metres.
    rules
        One record with the figures of `Rules`.

    Returns
    -------
    int
        A finding: verdict and reason in one number.
    """
    if policy == RAW:
        return COVERED if d >= 0.0 else UNCOVERED
    if stance == STRAY:
        return STRAYED
    if stance == AT_REST:
        buffer = min(buffer, rules["rest_buffer_m"])
    if d < -(acc + buffer):
        return FAR
    if stance == FAST and d < -rules["fast_out_share"] * acc:
        return FAST_OUT
    if moving and stance != AT_REST and d < -rules["moving_out_share"] * acc:
        return MOVING
    usable = acc <= max(rules["arrival_ceiling_m"], depth)
    if policy == EAGER:
        if d >= 0.0:
            return COVERED
        if d >= -acc and usable:
            return NEAR
        return BORDER if usable else COARSE
    if policy == STRICT:
        return DEEP if d >= acc else BORDER
    if policy == CERTAIN and stance != AT_REST:
        if d >= (_CERTAIN_MAYBE if stance == FAST else _CERTAIN_IN) * acc:
            return DEEP
        return ALMOST_DEEP if d >= _CERTAIN_MAYBE * acc else BORDER
    return _standard(d, acc, depth, stance, usable, rules)
