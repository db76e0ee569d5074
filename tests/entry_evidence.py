"""The words of the plain entry rules, and what one fix says about one zone.

Shares no code with `geotarget.engine`; only the figures of the rules come from there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from geotarget.engine.rules import Rules
from geotarget.model import EntryPolicy, Zone
from tests.entry_stance import SIGMA_PER_ACCURACY, Motion, Stance


class Ping(NamedTuple):
    """What arrives; `acc` None when the device did not say, `id` None without a message id."""

    device: str
    ts_ms: int
    lng: float
    lat: float
    acc: float | None = None
    id: str | None = None


class Event(NamedTuple):
    """One expected transition; `start_ms` is the start of its visit."""

    kind: str
    device: str
    zone: str
    ts_ms: int
    decided_ms: int
    threshold_s: int | None = None
    initial: bool = False
    duration_s: float | None = None
    start_ms: int = 0
    confidence: int = 1
    p: float = 0.0
    reason: str = ""
    distance_m: float | None = None
    accuracy_m: float | None = None


class Evidence(NamedTuple):
    """What one fix says about one zone."""

    verdict: str  # in, maybe_in, hold, out
    reason: str
    d: float
    acc: float  # of the place that was judged
    p: float  # of being inside


class Seen(NamedTuple):
    """What one fix meant for one zone."""

    device: str
    zone: str
    ts_ms: int
    decided_ms: int
    moving: bool
    verdict: str
    reason: str
    before: str
    after: str
    stance: str
    d: float
    acc: float


@dataclass
class Stay:
    """How a device stands to one zone."""

    phase: str = "outside"
    since: int = 0  # start of the visit; while entering the first evidence
    renewed: int = 0  # while entering the last evidence
    initial: bool = False
    p: float = 0.0  # of the evidence that entered, or waits
    outs: int = 0  # fixes outside in a row
    first_out: int = 0
    blinks: bool = False  # the first fix outside was fast and clear
    dwelled: set[int] = field(default_factory=set)
    revision: int = 0


@dataclass
class Device:
    """What is known of one device."""

    watermark: int | None = None  # of what came in order, suspects included
    keys: list[object] = field(default_factory=list)
    last_decided_ms: int = 0
    motion: Motion = field(default_factory=Motion)
    stays: dict[str, Stay] = field(default_factory=dict)


def valid(zone: Zone, ts_ms: int) -> bool:
    """Return whether a zone is open at a time."""
    return (zone.starts_ms is None or zone.starts_ms <= ts_ms) and (
        zone.ends_ms is None or ts_ms < zone.ends_ms
    )


def inside_probability(d: float, acc: float) -> float:
    """Return the probability of being inside, `d` metres from a straight edge."""
    return 0.5 * (1 + math.erf(d / (acc * SIGMA_PER_ACCURACY) / math.sqrt(2)))


def confidence(p: float) -> int:
    """Return 3 (sure), 2 (likely) or 1."""
    return 3 if p >= 0.95 else 2 if p >= 0.68 else 1


def judge(
    zone: Zone, d: float, depth: float, ceiling: float, r: Rules, stance: Stance
) -> tuple[str, str]:
    """Return verdict and reason of one fix, `d` metres inside a zone; the table of verdicts."""
    if zone.entry is EntryPolicy.RAW:
        return ("in", "covered") if d >= 0 else ("out", "uncovered")
    if stance.name == "stray":
        return "hold", "stray"
    acc, at_rest = stance.judged.acc, stance.name == "at rest"
    usable = acc <= ceiling
    buffer_m = r.exit_buffer_m if zone.exit_buffer_m is None else zone.exit_buffer_m
    if d < -(acc + (min(buffer_m, r.rest_buffer_m) if at_rest else buffer_m)):
        return "out", "far"
    if stance.fast and d < -r.fast_out_share * acc:
        return "out", "fast"
    if stance.moving and not at_rest and d < -r.moving_out_share * acc:
        return "out", "moving"
    if zone.entry is EntryPolicy.EAGER:
        if d >= 0:
            return "in", "covered"
        if d >= -acc and usable:
            return "in", "near"
        return "hold", "border" if usable else "coarse"
    if zone.entry is EntryPolicy.STRICT:
        return ("in", "deep") if d >= acc else ("hold", "border")
    if zone.entry is EntryPolicy.CERTAIN and not at_rest:
        if d >= (0.75 if stance.fast else 1.5) * acc:
            return "in", "deep"
        return ("maybe_in", "deep") if d >= 0.75 * acc else ("hold", "border")
    if at_rest:
        if d >= r.rest_share * acc:
            return "in", "deep"
        return ("in", "centre") if d >= depth / 2 else ("hold", "border")
    if d >= r.deep_share * acc:
        return "in", "deep"
    if usable and d >= depth / 2:
        return "in", "centre"
    share, verdict = (
        (r.fast_in_share, ("in", "fast"))
        if stance.fast
        else (r.maybe_share, ("maybe_in", "shallow"))
    )
    if d >= share * acc:
        return verdict if usable else ("hold", "coarse")
    return "hold", "border"
