"""How things are timed: CPU time, rounds in turn, medians, ratios within a round.

Every round runs each engine in its turn, in an order that moves on by one from round to round, so
that noise of the machine hits all alike. Calls go through a pool of pings piece by piece: pings
that come again and again would teach the processor's branch predictor and flatter whoever is fast.
CPU time is that of the whole process, so work in other threads counts.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from geotarget.model import FloatArray

CallAction = Callable[[int], object]
"""Gets the number of the call."""
Piece = Callable[[int], tuple[FloatArray, FloatArray]]
"""Gives the pings of a call."""

ENOUGH_S = 0.02
"""A call that is shorter than this is repeated within a round, a few times even if it is not."""
FEWEST_CALLS, MOST_CALLS = 3, 2_000
LONG_S = 0.5
"""From here on a call stands alone."""


class Timed(Protocol):
    """What runs some calls and returns CPU and wall seconds of one."""

    def __call__(self, calls: range, *, collector: bool = True) -> tuple[float, float]:
        """Run calls of these numbers."""


def interleaved(
    engines: Mapping[str, Timed], *, rounds: int, collector: bool = True
) -> dict[str, dict[str, Any]]:
    """Return CPU and wall seconds a call of each engine, by round.

    Two calls of each, not counted, finish what is lazy and say how often to repeat.
    """
    calls: dict[str, int] = {}
    for name, run in engines.items():
        run(range(1), collector=collector)
        once = run(range(1), collector=collector)[1]
        fewest = FEWEST_CALLS if once < LONG_S else 1
        calls[name] = max(fewest, min(MOST_CALLS, int(ENOUGH_S / max(once, 1e-7))))
    taken: dict[str, dict[str, Any]] = {
        name: {"calls": calls[name], "cpu_s": [], "wall_s": []} for name in engines
    }
    names = list(engines)
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            first = number * calls[name]
            cpu, wall = engines[name](range(first, first + calls[name]), collector=collector)
            taken[name]["cpu_s"].append(cpu)
            taken[name]["wall_s"].append(wall)
    return taken


def slices(lng: FloatArray, lat: FloatArray, size: int) -> Piece:
    """Return a function that gives each call `size` pings, from the start again after the last."""
    pieces = max(1, len(lng) // size)

    def piece(number: int) -> tuple[FloatArray, FloatArray]:
        start = number % pieces * size
        return lng[start : start + size], lat[start : start + size]

    return piece


def per_ping(taken: Mapping[str, Any], size: int) -> dict[str, Any]:
    """Return a record of one engine: median CPU nanoseconds a ping, and those of all rounds."""
    nanoseconds = [seconds / size * 1e9 for seconds in taken["cpu_s"]]
    return {
        "pings": size,
        "calls": taken["calls"],
        "ns": rounded(statistics.median(nanoseconds)),
        "rounds_ns": [rounded(each) for each in nanoseconds],
    }


def ratio(slow: Mapping[str, Any], fast: Mapping[str, Any]) -> float:
    """Return the median over the rounds of how many times as long one takes as another."""
    pairs = zip(slow["rounds_ns"], fast["rounds_ns"], strict=True)
    return rounded(statistics.median(a / b for a, b in pairs))


def seconds(action: Callable[[], object], *, rounds: int) -> dict[str, Any]:
    """Return median CPU and wall seconds of something that takes its time."""
    taken = [timed(lambda _: action(), range(1)) for _ in range(rounds)]
    cpu, wall = zip(*taken, strict=True)
    return {
        "cpu_s": rounded(statistics.median(cpu)),
        "wall_s": rounded(statistics.median(wall)),
        "rounds_cpu_s": [rounded(each) for each in cpu],
    }


def rounded(value: float) -> float:
    """Return a value with four digits; more would be noise."""
    return float(f"{value:.4g}")


def timed(action: CallAction, calls: range, *, collector: bool = True) -> tuple[float, float]:
    """Return CPU and wall seconds of one of some calls, with Python's collector on or off."""
    if not collector:
        gc.disable()
    try:
        wall, cpu = time.perf_counter(), time.process_time()
        for number in calls:
            action(number)
        taken = time.process_time() - cpu, time.perf_counter() - wall
    finally:
        gc.enable()
    return taken[0] / len(calls), taken[1] / len(calls)
