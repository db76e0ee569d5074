"""What the plain entry rules know of a device apart from zones: jumps, pace, rest.

Which fixes are believed (`believed`), and what the believed ones tell of the device: whether it
moves, and its stance. Shares no code with `geotarget.engine`; only the figures come from there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from geotarget.engine.rules import Rules
from tests.entry_geometry import Fix, hop_m

SIGMA_PER_ACCURACY = 1 / 1.51
LONGEST_INTERVAL_MS = 600_000
INTERVAL_WEIGHT = 0.2


class Suspect(NamedTuple):
    """A fix that waits to be believed, and where its status is told."""

    fix: Fix
    status: list[str]
    at: int


class Stance(NamedTuple):
    """What the last accepted fix tells of a device."""

    name: str  # on its way, at rest, stray, fast
    judged: Fix  # where the device is judged
    moving: bool = False
    straight: bool = False  # fast, and not back where it was

    @property
    def fast(self) -> bool:
        """Whether the device is fast, rest aside."""
        return self.name == "fast"


@dataclass
class Anchor:
    """Where a device may be at rest."""

    lng: float
    lat: float
    weight: float  # 1/m²
    since_ms: int
    strays: int = 0


@dataclass
class Motion:
    """What is known of how a device moves."""

    last: Fix | None = None  # accepted
    one_before: Fix | None = None  # the accepted fix before the last one
    speed: float = 0.0
    interval_ms: float = 0.0
    suspects: list[Suspect] = field(default_factory=list)
    kept: list[Fix] = field(default_factory=list)  # at most two, the younger one last
    anchor: Anchor | None = None

    def believed(self, new: Suspect, r: Rules) -> list[Suspect]:
        """Return the fixes that are accepted now: none, this one, or all that waited and it."""
        last = self.last
        if last is None:
            return [new]
        if net_speed(last, new.fix) <= max(r.jump_speed_m_s, r.jump_factor * self.speed):
            self.suspects = []
            return [new]
        waiting = self.suspects
        if waiting and net_speed(waiting[-1].fix, new.fix) > r.jump_most_m_s:
            waiting = []
        waiting = [*waiting, new]
        span_ms = new.fix.ts_ms - waiting[0].fix.ts_ms
        enough = len(waiting) >= r.jump_fixes or (
            len(waiting) == 2
            and (span_ms >= 1000 * r.jump_span_s or _go_on(last, waiting[0].fix, waiting[1].fix, r))
        )
        self.suspects = [] if enough else waiting
        return waiting if enough else []

    def accept(self, fix: Fix, r: Rules) -> Stance:
        """Take an accepted fix into account; returns what it tells."""
        fast, straight = self._pace(fix, r)
        name, judged = self._rest(fix, r, fast=fast)
        moving = self._is_moving(fix, r)
        if self.last is not None:
            self._count(self.last, fix, r)
        self.last, self.one_before = fix, self.last
        return Stance(name, judged, moving, straight and name == "fast")

    def _pace(self, fix: Fix, r: Rules) -> tuple[bool, bool]:
        """Return whether the device is fast, and whether it goes straight on."""
        b, a = self.last, self.one_before
        if b is None:
            return False, False
        larger = max(fix.acc, b.acc)
        fast = hop_m(b, fix) > r.fast_hop * larger
        if a is None:
            return fast, False
        across = hop_m(a, fix)
        if min(hop_m(b, fix), hop_m(a, b)) > larger:
            fast = fast or across > r.fast_hops * max(larger, a.acc)
        return fast, fast and hop_m(a, b) + hop_m(b, fix) <= r.blink_bend * across

    def _rest(self, fix: Fix, r: Rules, *, fast: bool) -> tuple[str, Fix]:
        """Return the stance, and where zones judge the device."""
        variance = (fix.acc * SIGMA_PER_ACCURACY) ** 2
        on = "fast" if fast else "on its way"
        m = self.anchor
        if m is None or self.last is None:
            self.anchor = Anchor(fix.lng, fix.lat, 1 / variance, fix.ts_ms)
            return on, fix
        old = fix.ts_ms - m.since_ms >= 1000 * r.rest_after_s
        away_m = hop_m(fix, Fix(fix.ts_ms, m.lng, m.lat, 0.0))
        if away_m / math.sqrt(variance + 1 / m.weight) > r.rest_apart:
            m.strays += 1
            if m.strays >= 2 or (fast and not old):
                self.anchor = Anchor(fix.lng, fix.lat, 1 / variance, fix.ts_ms)
            elif old and not fast:
                return "stray", fix
            return on, fix
        m.strays = 0
        seconds = (fix.ts_ms - self.last.ts_ms) / 1000
        shared = r.rest_shared * math.exp(-seconds / r.rest_memory_s)
        told = (1 - shared) / (1 + shared) / variance
        m.weight += told
        share = told / m.weight
        m.lng = _turned(m.lng + share * _turned(fix.lng - m.lng))
        m.lat += share * (fix.lat - m.lat)
        m.weight = min(m.weight, r.rest_most / variance)
        if not old:
            return on, fix
        return "at rest", Fix(
            fix.ts_ms, m.lng, m.lat, 1 / (SIGMA_PER_ACCURACY * math.sqrt(m.weight))
        )

    def _is_moving(self, fix: Fix, r: Rules) -> bool:
        """Return whether the device left a place where it was a while ago."""
        if not self.kept or fix.ts_ms - self.kept[-1].ts_ms >= 1000 * r.moving_after_s:
            self.kept = [*self.kept[-1:], fix]
        if len(self.kept) < 2:
            return False
        larger = max(fix.acc, self.kept[0].acc)
        return hop_m(self.kept[0], fix) > max(r.moving_m, r.moving_share * larger)

    def _count(self, last: Fix, fix: Fix, r: Rules) -> None:
        """Update the averages of speed and interval."""
        seconds = (fix.ts_ms - last.ts_ms) / 1000
        weight = 1 - math.exp(-seconds / r.jump_memory_s)
        self.speed += weight * (net_speed(last, fix) - self.speed)
        self.speed = min(self.speed, r.jump_most_m_s)
        gap = float(min(fix.ts_ms - last.ts_ms, LONGEST_INTERVAL_MS))
        self.interval_ms = (
            self.interval_ms + INTERVAL_WEIGHT * (gap - self.interval_ms)
            if self.interval_ms
            else gap
        )


def net_speed(a: Fix, b: Fix) -> float:
    """Return the speed between two fixes that half of their inaccuracy can't explain, m/s."""
    return max(0.0, hop_m(a, b) - 0.5 * (a.acc + b.acc)) / ((b.ts_ms - a.ts_ms) / 1000)


def _go_on(last: Fix, first: Fix, second: Fix, r: Rules) -> bool:
    """Return whether two suspects are a way that leads on, at a pace of this world."""
    return (
        hop_m(first, second) > 0.5 * (first.acc + second.acc)
        and hop_m(last, first) + hop_m(first, second) <= r.jump_bend * hop_m(last, second)
        and net_speed(last, second) <= r.jump_line_m_s
    )


def _turned(degrees: float) -> float:
    """Return an angle within ±180 degrees."""
    return (degrees + 180) % 360 - 180
