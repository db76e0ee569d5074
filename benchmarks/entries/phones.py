"""What phones report of a true path.

A fix's error is normal, with a standard deviation an axis of radius / 1.51, so that the reported
radius holds 68 % of the fixes; seven tenths of its variance drift slowly (over half a minute on
the move, over minutes at rest) and three tenths are new with each fix.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.entries.paths import Path
from benchmarks.entries.shapes import Floats

RADIUS_TO_SIGMA = 1.51
"""A circle of this many standard deviations holds 68 % of a two-dimensional normal."""

DRIFT_SHARE = 0.7
"""Share of the variance of the error that drifts."""

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Habits:
    """How phones report.

    Parameters
    ----------
    interval_s
        Shortest and longest interval; each phone keeps to its own, give or take 15 %.
    radius_m
        Smallest and largest reported 68 % radius; each phone has its usual one.
    jumps
        Share of fixes that are 100 to 700 m off and claim a radius of 3 to 10 m.
    drift_s
        Over which time the error drifts, on the move and at rest.
    gaps_h
        Gaps of 2 to 15 min in an hour.
    late, doubled
        Share of fixes that arrive 3 to 180 s after they were taken, and that arrive twice.
    """

    interval_s: tuple[float, float] = (5.0, 60.0)
    radius_m: tuple[float, float] = (5.0, 30.0)
    jumps: float = 0.0
    drift_s: tuple[float, float] = (30.0, 300.0)
    gaps_h: float = 0.0
    late: float = 0.0
    doubled: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Fixes:
    """Fixes of one phone in order of arrival; all columns have one length.

    Parameters
    ----------
    t, arrived
        Seconds since the path began.
    x, y
        Reported place, metres.
    radius
        Reported 68 % radius, metres.
    true_x, true_y
        Where it really was.
    jumped
        Whether the fix is far off and says otherwise.
    """

    t: Floats
    arrived: Floats
    x: Floats
    y: Floats
    radius: Floats
    true_x: Floats
    true_y: Floats
    jumped: Bools

    def __len__(self) -> int:
        return len(self.t)

    def take(self, which: NDArray[np.int64] | Bools) -> Fixes:
        """Return some of the fixes."""
        columns = {name: getattr(self, name)[which] for name in self.__dataclass_fields__}
        return replace(self, **columns)

    def in_order(self) -> Fixes:
        """Return those that were newer than all before when they arrived."""
        newest = np.maximum.accumulate(np.concatenate([[-np.inf], self.t[:-1]]))
        return self.take(self.t > newest)


def observe(path: Path, habits: Habits, chance: np.random.Generator) -> Fixes:
    """Return what a phone reports of a path."""
    interval = _between(habits.interval_s, chance)
    count = int(len(path) / (0.85 * interval)) + 2
    t = chance.uniform(0.0, interval) + np.cumsum(interval * chance.uniform(0.85, 1.15, count))
    t = np.round(t[t < len(path) - 1], 3)
    if habits.gaps_h > 0:
        t = t[_kept(t, habits.gaps_h, chance)]
    true_x, true_y = path.at(t)
    low, high = habits.radius_m
    swing = _drift(np.diff(t), np.full(len(t), 120.0), chance)
    radius = np.clip(_between(habits.radius_m, chance) * np.exp(0.25 * swing), low, high)
    radius = np.round(radius, 1)
    over = np.where(path.resting(t), habits.drift_s[1], habits.drift_s[0])
    places = []
    for place in (true_x, true_y):
        slow = _drift(np.diff(t), over, chance)
        fresh = chance.standard_normal(len(t))
        error = math.sqrt(DRIFT_SHARE) * slow + math.sqrt(1.0 - DRIFT_SHARE) * fresh
        places.append(place + radius / RADIUS_TO_SIGMA * error)
    jumped = chance.random(len(t)) < habits.jumps
    angle = chance.uniform(0.0, 2 * np.pi, len(t))
    away = chance.uniform(100.0, 700.0, len(t))
    small = np.round(chance.uniform(3.0, 10.0, len(t)), 1)
    fixes = Fixes(
        t=t,
        arrived=t.copy(),
        x=np.where(jumped, true_x + away * np.cos(angle), places[0]),
        y=np.where(jumped, true_y + away * np.sin(angle), places[1]),
        radius=np.where(jumped, small, radius),
        true_x=true_x,
        true_y=true_y,
        jumped=jumped,
    )
    return _delivered(fixes, habits, chance)


def _between(bounds: tuple[float, float], chance: np.random.Generator) -> float:
    """Draw evenly over the logarithm."""
    return float(np.exp(chance.uniform(*np.log(bounds))))


def _kept(t: Floats, gaps_h: float, chance: np.random.Generator) -> Bools:
    kept = np.ones(len(t), np.bool_)
    hours = (t[-1] - t[0]) / 3_600.0
    for start in chance.uniform(t[0], t[-1], chance.poisson(gaps_h * hours)):
        kept &= (t < start) | (t > start + chance.uniform(120.0, 900.0))
    kept[0] = True
    return kept


def _drift(gap: Floats, over: Floats, chance: np.random.Generator) -> Floats:
    """Return a Gauss-Markov process of variance 1: `over` is its time constant at each fix."""
    keep = np.exp(-gap / over[1:])
    fresh = chance.standard_normal(len(over))
    pushed = np.sqrt(1.0 - keep**2) * fresh[1:]
    value = float(fresh[0])
    values = [value]
    for share, push in zip(keep.tolist(), pushed.tolist(), strict=True):
        value = share * value + push
        values.append(value)
    return np.array(values)


def _delivered(fixes: Fixes, habits: Habits, chance: np.random.Generator) -> Fixes:
    """Return fixes in order of arrival, some late, some twice."""
    if habits.late == 0 and habits.doubled == 0:
        return fixes
    late = chance.random(len(fixes)) < habits.late
    wait = np.where(late, chance.uniform(3.0, 180.0, len(fixes)), 0.0)
    fixes = replace(fixes, arrived=fixes.t + wait)
    again = np.flatnonzero(chance.random(len(fixes)) < habits.doubled)
    which = np.concatenate([np.arange(len(fixes)), again])
    arrived = fixes.arrived[which]
    arrived[len(fixes) :] += chance.uniform(0.1, 30.0, len(again))
    order = np.argsort(arrived, kind="stable")
    return replace(fixes.take(which[order]), arrived=arrived[order])
