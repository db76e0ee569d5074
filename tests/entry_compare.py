"""Whether transitions of the engine are what the plain reference owes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from geotarget.engine.identity import event_id, visit_id
from geotarget.model import Kind, Trace, Transition
from tests.entry_evidence import Event, Seen
from tests.entry_places import REACH_M

CHORD_MS = 60
"""How far interpolated times may differ: a way's length is not measured in one way only."""


def compare(found: Sequence[Transition], owed: Sequence[Event]) -> None:
    """Insist on the same transitions, in the same order for each device; ids included."""
    assert plain(found) == plain(owed)
    for each, event in zip(by_device(found), by_device(owed), strict=True):
        _compare_one(each, event)


def compare_traces(traces: Sequence[Trace], holds: Mapping[str, int], seen: list[Seen]) -> None:
    """Insist on true traces of all devices: nothing else, and nothing that matters left out."""
    told = [
        Seen(
            each.device, each.zone, each.ts_ms, each.decided_ms, each.moving,
            each.verdict, each.reason, each.before, each.after, each.stance,
            -math.inf if each.distance_m is None else each.distance_m, each.acc_m,
        )
        for each in traces
        if each.zone
    ]  # fmt: skip
    found, owed = _by_meaning(told), _by_meaning(seen)
    assert len(found) == len(told)
    assert found.keys() <= owed.keys()
    idle = {"outside"}
    assert {what for what, each in owed.items() if {each.before, each.after} != idle} <= (
        found.keys()
    )
    for what, each in found.items():
        _compare_distance(each.d, owed[what].d)
        _compare_accuracy(each.acc, owed[what].acc)
    assert holds == Counter(each.reason for each in told if each.verdict == "hold")


def _by_meaning(seen: Sequence[Seen]) -> dict[Seen, Seen]:
    """Return what was seen, by what can be compared exactly of it.

    How a device moves is left out where the policy doesn't ask for it.
    """
    found = {}
    for each in seen:
        what = each._replace(d=0, acc=0)
        if each.reason in {"covered", "uncovered"}:
            what = what._replace(moving=False, stance="")
        found[what] = each
    return found


def by_device(events: Sequence[Any]) -> list[Any]:
    """Return events device by device, each in the order of emission; edits have no order."""
    edits = [each for each in events if each.kind == Kind.RECONCILED]
    others = [each for each in events if each.kind != Kind.RECONCILED]
    edits.sort(key=lambda each: (each.device, each.zone, each.duration_s is None))
    return [*edits, *sorted(others, key=lambda each: each.device)]


def plain(events: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return what can be compared exactly."""
    return [
        (
            each.device,
            str(each.kind),
            each.zone,
            None if each.kind == Kind.CROSSED else each.ts_ms,
            each.decided_ms,
            each.threshold_s,
            each.initial,
            each.reason,
        )
        for each in by_device(events)
    ]


def _compare_one(each: Transition, event: Event) -> None:
    crossed = each.kind is Kind.CROSSED
    assert each.ts_ms == pytest.approx(event.ts_ms, abs=CHORD_MS if crossed else 0)
    if event.duration_s is None:
        assert each.duration_s is None
    else:
        slack = 2 * CHORD_MS / 1000 if crossed else 1e-9
        assert each.duration_s == pytest.approx(event.duration_s, abs=slack)
    if each.kind is not Kind.RECONCILED:
        assert each.confidence == event.confidence
        assert each.p == pytest.approx(event.p, abs=0.0051)
        _compare_distance(each.distance_m, event.distance_m)
        _compare_accuracy(each.accuracy_m, event.accuracy_m)
    start_ms = each.ts_ms if crossed else event.start_ms
    assert each.visit == visit_id(device=each.device, zone=each.zone, start_ms=start_ms)
    assert each.id == event_id(
        device=each.device,
        zone=each.zone,
        start_ms=start_ms,
        kind=each.kind,
        at_ms=each.ts_ms,
        threshold_s=each.threshold_s,
        revision=each.zone_revision if each.kind is Kind.RECONCILED else None,
    )


def _compare_distance(found: float | None, owed: float | None) -> None:
    """Far away the reference only knows that it is far; a closed zone has no distance at all."""
    if owed is not None and math.isinf(owed):
        assert found is None or found < -REACH_M
    else:
        assert (found is None) == (owed is None)
        assert found is None or found == pytest.approx(owed, abs=0.1, rel=1e-3)


def _compare_accuracy(found: float | None, owed: float | None) -> None:
    assert (found is None) == (owed is None)
    assert found is None or found == pytest.approx(owed, abs=0.06, rel=1e-4)
