"""What a rule got right: each emitted transition beside each true one, one to one.

Definitions
-----------
match
    An emitted and a true transition of the same device, zone and kind, decided between `tolerance`
    before the true one and `tolerance` after the first fix that could show it; tolerance is 120 s
    or three intervals of the phone, whichever is longer: a rule that wants three fixes is still in
    time, one that notices a visit of yesterday is not. One to one, in order.
precision
    Matched share of what was emitted.
gross precision
    Emitted is wrong only if the true place was on the other side and more than 25 m from the
    border, both at the fix that decided and at the instant that the event carries.
recall
    Matched share of the true transitions that a perfect receiver could see in the fixes.
clear recall
    The same of stays of 60 s and more that reach 25 m deep.
false exits at rest
    Exits without a true one while the device did not move, by days that a device rests beside a
    zone.
delay
    Of matched ones, from the first fix that could show it to the one that decided: fixes, seconds.
time error
    Of matched ones, from the true instant to the one that the event carries: seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.entries.detectors import Events, Pair
from benchmarks.entries.scenes import Subject
from benchmarks.entries.shapes import Floats
from benchmarks.entries.truth import ENTER, EXIT, Ints, Truth, truth

TOLERANCE_S = 120.0
TOLERANCE_INTERVALS = 3.0
GROSS_M = 25.0

_DAY_S = 86_400.0


@dataclass(slots=True)
class Score:
    """Counts that add up over pairs, scenes and seeds; shares of them are in `figures`."""

    emitted: int = 0
    matched: int = 0
    gross: int = 0
    visible: int = 0
    found: int = 0
    clear: int = 0
    clear_found: int = 0
    false_exits: int = 0
    rest_days: float = 0.0
    delays: dict[int, list[int]] = field(default_factory=lambda: {ENTER: [], EXIT: []})
    waits: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)

    def add(self, other: Score) -> None:
        """Add the counts of another."""
        for name in self.__dataclass_fields__:
            if name != "delays":
                setattr(self, name, getattr(self, name) + getattr(other, name))
        for kind, delays in other.delays.items():
            self.delays[kind] = self.delays[kind] + delays

    def figures(self) -> dict[str, Any]:
        """Return shares, medians and the counts behind them."""
        return {
            "emitted": self.emitted,
            "visible": self.visible,
            "clear": self.clear,
            "precision": _share(self.matched, self.emitted),
            "gross_precision": _share(self.emitted - self.gross, self.emitted),
            "recall": _share(self.found, self.visible),
            "clear_recall": _share(self.clear_found, self.clear),
            "false_exits": self.false_exits,
            "rest_days": round(self.rest_days, 3),
            "false_exits_a_day": _share(self.false_exits, self.rest_days),
            "enter_delay_fixes": _median(self.delays[ENTER]),
            "exit_delay_fixes": _median(self.delays[EXIT]),
            "within_2_fixes": _share(
                sum(each <= 2 for kind in (ENTER, EXIT) for each in self.delays[kind]),
                sum(map(len, self.delays.values())),
            ),
            "delay_s": _median(self.waits),
            "time_error_s": _median(np.abs(self.errors)),
        }


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 5) if whole else None


def _median(values: Any) -> float | None:
    return round(float(np.median(values)), 2) if len(values) else None


def pairing(worth: Floats) -> list[tuple[int, int]]:
    """Return the pairs, in order in both, that are worth the most together.

    Parameters
    ----------
    worth
        Shape (true transitions, events): what each pair is worth, -inf where it must not be.
    """
    count, events = worth.shape
    best = np.zeros((count + 1, events + 1))
    for i in range(count):
        with_it = np.maximum(best[i, 1:], best[i, :-1] + worth[i])
        best[i + 1, 1:] = np.maximum.accumulate(with_it)
    pairs, i, j = [], count, events
    while i and j:
        if best[i, j] == best[i - 1, j]:
            i -= 1
        elif best[i, j] == best[i, j - 1]:
            j -= 1
        else:
            i, j = i - 1, j - 1
            pairs.append((i, j))
    return pairs


def compare(true: Truth, events: Events) -> tuple[Ints, Ints]:
    """Return for each true transition its event or -1, and for each event its true one or -1."""
    interval = float(np.median(np.diff(true.fix_t)))
    tolerance = max(TOLERANCE_S, TOLERANCE_INTERVALS * interval)
    event_of = np.full(len(true.t), -1, np.int64)
    true_of = np.full(len(events.t), -1, np.int64)
    for kind in (ENTER, EXIT):
        real, said = np.flatnonzero(true.kind == kind), np.flatnonzero(events.kind == kind)
        decided = events.decided[said]
        late = decided[None, :] - true.seen_t[real, None]
        early = true.t[real, None] - decided[None, :]
        # What was asked for counts double; among equals, those that are close go together.
        value = np.where(true.visible[real], 2.0, 1.0)[:, None] - 1e-3 * np.abs(late) / tolerance
        worth = np.where((late <= tolerance) & (early <= tolerance), value, -np.inf)
        for i, j in pairing(worth):
            event_of[real[i]] = said[j]
            true_of[said[j]] = real[i]
    return event_of, true_of


def score(subject: Subject, true: Truth, events: Events) -> Score:
    """Return the score of what a rule emitted for one device and zone."""
    event_of, true_of = compare(true, events)
    last = len(true.fix_t) - 1
    fix = np.minimum(np.searchsorted(true.fix_t, events.decided - 1e-3), last)
    said = np.minimum(np.searchsorted(true.fix_t, events.t - 1e-3), last)
    side = np.where(events.kind == ENTER, -1.0, 1.0)
    outward = np.minimum(side * true.depth[fix], side * true.depth[said])
    still = subject.path.resting(events.decided)
    found = event_of >= 0
    matched = np.flatnonzero(found & true.visible)
    chosen = event_of[matched]
    delays = fix[chosen] - true.seen[matched]
    resting = subject.path.resting(np.arange(len(subject.path), dtype=np.float64))
    return Score(
        emitted=len(events.t),
        matched=int((true_of >= 0).sum()),
        gross=int((outward > GROSS_M).sum()),
        visible=int(true.visible.sum()),
        found=len(matched),
        clear=int((true.clear).sum()),
        clear_found=int((found & true.clear).sum()),
        false_exits=int(((events.kind == EXIT) & (true_of < 0) & still).sum()),
        rest_days=float(resting.sum()) / _DAY_S,
        delays={kind: delays[true.kind[matched] == kind].tolist() for kind in (ENTER, EXIT)},
        waits=(events.decided[chosen] - true.seen_t[matched]).tolist(),
        errors=(events.t[chosen] - true.t[matched]).tolist(),
    )


def truths(subjects: Sequence[Subject]) -> dict[Pair, Truth]:
    """Return the true transitions of all pairs."""
    return {
        (subject.device, number): truth(subject, zone)
        for subject in subjects
        for number, zone in enumerate(subject.zones)
    }


def total(
    subjects: Sequence[Subject], true: Mapping[Pair, Truth], events: Mapping[Pair, Events]
) -> Score:
    """Return the score over all pairs."""
    whole = Score()
    for subject in subjects:
        for number in range(len(subject.zones)):
            pair = (subject.device, number)
            whole.add(score(subject, true[pair], events[pair]))
    return whole
