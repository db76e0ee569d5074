"""The rules that are compared, on the same fixes: what peers do, and geotarget's policies.

`one fix` is what plain geofence servers do: the fix in the polygon is the device in the zone.
`two fixes` is the usual remedy: a change counts when a second fix agrees. Both take fixes as they
arrive. geotarget gets those that arrive in order; the others are late by its rules and decide
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import geotarget as gt
from benchmarks.entries.phones import Bools
from benchmarks.entries.scenes import Subject
from benchmarks.entries.shapes import Floats
from benchmarks.entries.truth import ENTER, EXIT, Ints

_EPOCH_S = 1_700_000_000
_KINDS = {"enter": ENTER, "exit": EXIT}

Pair = tuple[str, int]
"""A device and the number of its zone."""


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """What a rule emitted for one (device, zone), in order of decision.

    Parameters
    ----------
    kind
        ENTER or EXIT.
    t
        When it happened, as the rule says, seconds.
    decided
        Time of the fix that decided it, seconds.
    """

    kind: Ints
    t: Floats
    decided: Floats

    @classmethod
    def of(cls, rows: Sequence[tuple[int, float, float]]) -> Events:
        """Build from (kind, t, decided)."""
        columns = np.array(rows, np.float64).reshape(-1, 3).T
        return cls(columns[0].astype(np.int64), columns[1], columns[2])


Detector = Callable[[Sequence[Subject]], Mapping[Pair, Events]]


def debounced(inside: Bools, t: Floats, fixes: int) -> Events:
    """Return the changes that so many fixes in a row agree on, each at the first of them."""
    rows: list[tuple[int, float, float]] = []
    state, row = False, 0
    for now, at in zip(inside.tolist(), range(len(t)), strict=True):
        row = row + 1 if now is not state else 0
        if row == fixes:
            rows.append((ENTER if now else EXIT, float(t[at - fixes + 1]), float(t[at])))
            state, row = now, 0
    return Events.of(rows)


def by_fixes(subjects: Sequence[Subject], fixes: int) -> dict[Pair, Events]:
    """Return what so many fixes in a row give, fixes taken as they arrive."""
    return {
        (subject.device, number): debounced(
            zone.signed_distance(subject.fixes.x, subject.fixes.y) >= 0.0, subject.fixes.t, fixes
        )
        for subject in subjects
        for number, zone in enumerate(subject.zones)
    }


def by_policy(
    subjects: Sequence[Subject], policy: str, rules: gt.Rules | None = None
) -> dict[Pair, Events]:
    """Return what `geotarget.detect_transitions` gives under one entry policy."""
    index = gt.ZoneIndex.from_geojson(catalogue(subjects))
    found = gt.detect_transitions(pings(subjects), index, policy=policy, rules=rules).to_pydict()
    rows: dict[Pair, list[tuple[int, float, float]]] = {
        (subject.device, number): [] for subject in subjects for number in range(len(subject.zones))
    }
    columns = (found[name] for name in ("zone", "device", "kind", "ts", "decided_ts"))
    for zone, device, kind, ts, decided in zip(*columns, strict=True):
        owner, _, number = zone.partition(":")
        if owner == device and kind in _KINDS:
            times = (ts.timestamp() - _EPOCH_S, decided.timestamp() - _EPOCH_S)
            rows[device, int(number)].append((_KINDS[kind], *times))
    return {pair: Events.of(each) for pair, each in rows.items()}


def catalogue(subjects: Sequence[Subject]) -> dict[str, Any]:
    """Return the zones of all subjects as GeoJSON; the zone n of device d is "d:n"."""
    features = [
        zone.feature(f"{subject.device}:{number}", subject.plane)
        for subject in subjects
        for number, zone in enumerate(subject.zones)
    ]
    return {"type": "FeatureCollection", "features": features}


def pings(subjects: Sequence[Subject]) -> dict[str, Any]:
    """Return the fixes of all subjects that arrive in order, as columns."""
    device: list[str] = []
    columns: list[list[Floats]] = [[], [], [], []]
    for subject in subjects:
        fixes = subject.fixes.in_order()
        lng, lat = subject.plane.degrees(fixes.x, fixes.y)
        device += [subject.device] * len(fixes)
        for column, part in zip(columns, (fixes.t + _EPOCH_S, lng, lat, fixes.radius), strict=True):
            column.append(part)
    ts, lng, lat, radius = (np.concatenate(column) for column in columns)
    return {"device": device, "ts": ts, "lng": lng, "lat": lat, "acc": radius}


KEEN = {
    "deep_share": 0.7,
    "maybe_share": 0.0,
    "pending_least_s": 15.0,
    "clear_share": 0.7,
    "exit_least_s": 15.0,
    "moving_m": 15.0,
    "moving_share": 0.8,
    "moving_out_share": 0.15,
    "jump_speed_m_s": 5.0,
    "jump_factor": 5.0,
    "rest_after_s": 200.0,
    "fast_hop": 2.0,
    "fast_hops": 2.5,
    "fast_in_share": 0.0,
    "blink_bend": 5.0,
}
"""Figures that give up a little precision for recall; found on other seeds than are measured."""

POLICIES = ("standard", "strict", "eager", "certain", "raw")
DETECTORS: dict[str, Detector] = {
    "one fix": partial(by_fixes, fixes=1),
    "two fixes": partial(by_fixes, fixes=2),
    **{policy: partial(by_policy, policy=policy) for policy in POLICIES},
    "keen": lambda subjects: by_policy(subjects, "standard", gt.Rules(**KEEN)),
}
"""All rules by name."""
