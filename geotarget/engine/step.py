"""What one batch, or the passing of time, changes: handed over before anything is changed.

The caller commits a step first and applies it to the state in memory afterwards, so a failed
commit leaves nothing to undo.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from geotarget.engine.identity import event_id, visit_id
from geotarget.engine.live_state import DEVICE, LiveState, Records
from geotarget.engine.phases import CROSSED, DWELL, ENTER, EXIT
from geotarget.engine.verdicts import reason_of
from geotarget.engine.zone_table import ZoneTable
from geotarget.model import IntArray, Kind, MemberRow, Trace, Transition

KINDS = {ENTER: Kind.ENTER, DWELL: Kind.DWELL, EXIT: Kind.EXIT, CROSSED: Kind.CROSSED}
_TURN = np.array([2, 3, 0, 1])
"""At one time exits come first, then what was crossed, then enters, then dwells."""

Put = tuple[int, int, Any, str]
"""Row, slot or -1, new record and zone id of a membership to write."""


def _no_ints() -> IntArray:
    return np.empty(0, np.int64)


def _no_devices() -> Records:
    return np.empty(0, DEVICE)


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What one batch changes.

    Parameters
    ----------
    rows, devices
        Rows of `LiveState` whose device record changed, and the new records.
    put
        (row, slot or -1, new record, zone id) of each membership to write.
    removed
        (row, slot, zone id) of each membership to forget.
    transitions
        In the order of emission.
    status
        Per ping of the batch: `APPLIED`, `LATE`, `DUPLICATE` or `SUSPECT` of `acceptance`.
    holds
        How many (fix, zone) pairs said nothing, by reason.
    traces
        What the pings of traced devices meant.
    """

    rows: IntArray = field(default_factory=_no_ints)
    devices: Records = field(default_factory=_no_devices)
    put: Sequence[Put] = ()
    removed: Sequence[tuple[int, int, str]] = ()
    transitions: Sequence[Transition] = ()
    status: IntArray = field(default_factory=_no_ints)
    holds: Mapping[str, int] = field(default_factory=dict)
    traces: Sequence[Trace] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing needs to be written."""
        return not (len(self.rows) or self.put or self.removed or self.transitions or self.traces)

    def apply(self, state: LiveState) -> None:
        """Write the step into the state."""
        state.write(self.rows, self.devices)
        for _, slot, _ in self.removed:
            state.remove(slot)
        for row, slot, record, zone in self.put:
            if slot < 0:
                state.insert(row, record, zone)
            else:
                state.replace(slot, record)

    def member_rows(self, state: LiveState) -> list[MemberRow]:
        """Return the changed memberships as the store keeps them."""
        return [
            MemberRow(
                device=state.ids[row],
                zone=zone,
                phase=int(record["phase"]),
                since_ms=int(record["since_ms"]),
                last_ms=int(record["mark_ms"]),
                visit=visit_id(device=state.ids[row], zone=zone, start_ms=int(record["since_ms"])),
                state=record.tobytes(),
            )
            for row, _, record, zone in self.put
        ]


def transitions_of(
    events: Records, rows: IntArray, zones: IntArray, state: LiveState, table: ZoneTable
) -> list[Transition]:
    """Give events their names and their order.

    By the time of decision, then by device, then by the fix that brought it; exits before enters
    before dwells; enters by priority, smaller area, zone id.

    Parameters
    ----------
    events
        Records of `phases.EVENT`.
    rows, zones
        The row of the device and the position of the zone of each event.
    state, table
        Where the names are.
    """
    order = np.lexsort(
        (
            events["threshold"],
            table.rank[zones],
            _TURN[events["kind"]],
            events["turn_ms"],
            rows,
            events["decided_ms"],
        )
    )
    columns = events.take(order)
    return [
        transition(
            device=state.ids[row],
            zone=table.ids[zone],
            zone_revision=revision,
            kind=KINDS[kind],
            start_ms=start_ms,
            at_ms=at_ms,
            decided_ms=decided_ms,
            end_ms=None if kind == ENTER else end_ms,
            p=p,
            weak=weak,
            initial=initial,
            threshold_s=threshold if threshold >= 0 else None,
            distance_m=d,
            accuracy_m=acc,
            reason=reason_of(finding),
            fix=fix,
        )
        for (
            row, zone, revision, kind, start_ms, at_ms, decided_ms, end_ms,
            p, weak, initial, threshold, d, acc, finding, fix,
        ) in zip(
            rows[order].tolist(),
            zones[order].tolist(),
            table.zones["revision"][zones[order]].tolist(),
            *(
                columns[name].tolist()
                for name in (
                    "kind", "start_ms", "ms", "decided_ms", "end_ms",
                    "p", "weak", "initial", "threshold", "d", "acc", "finding",
                )
            ),
            _fixes(columns),
            strict=True,
        )
    ]  # fmt: skip


def memberships(
    rows: IntArray, slots: IntArray, records: Records, zones: IntArray, table: ZoneTable
) -> list[Put]:
    """Return memberships to write; the arguments are columns."""
    return [
        (row, slot, record, table.ids[zone])
        for row, slot, record, zone in zip(
            rows.tolist(), slots.tolist(), records, zones.tolist(), strict=True
        )
    ]


def transition(
    *,
    device: str,
    zone: str,
    zone_revision: int,
    kind: Kind,
    start_ms: int,
    at_ms: int,
    decided_ms: int,
    p: float,
    reason: str,
    end_ms: int | None = None,
    weak: bool = False,
    initial: bool = False,
    threshold_s: int | None = None,
    distance_m: float = math.nan,
    accuracy_m: float = math.nan,
    fix: tuple[float, float, float] | None = None,
) -> Transition:
    """Return a transition with its ids; NaN and infinite distances become None.

    Parameters
    ----------
    end_ms
        When the stay ended that this is about; None if it goes on.
    weak
        Confidence 1, whatever `p` says.
    """
    return Transition(
        id=event_id(
            device=device,
            zone=zone,
            start_ms=start_ms,
            kind=kind,
            at_ms=at_ms,
            threshold_s=threshold_s,
            revision=zone_revision if kind is Kind.RECONCILED else None,
        ),
        visit=visit_id(device=device, zone=zone, start_ms=start_ms),
        device=device,
        zone=zone,
        zone_revision=zone_revision,
        kind=kind,
        ts_ms=at_ms,
        decided_ms=decided_ms,
        confidence=1 if weak else _confidence(p),
        p=round(p, 2),
        initial=initial,
        threshold_s=threshold_s,
        duration_s=None if end_ms is None else (end_ms - start_ms) / 1000,
        distance_m=_metres(distance_m),
        accuracy_m=_metres(accuracy_m),
        reason=reason,
        fix=fix,
    )


def _fixes(events: Records) -> list[tuple[float, float, float] | None]:
    """Return what decided each event: longitude, latitude and accuracy, or None."""
    places = zip(*(events[name].tolist() for name in ("lng", "lat", "fix_acc")), strict=True)
    return [None if math.isnan(place[0]) else place for place in places]


def _metres(value: float) -> float | None:
    return round(value, 1) if math.isfinite(value) else None


def _confidence(p: float) -> int:
    """Return 3 (sure), 2 (likely) or 1."""
    if p >= 0.95:
        return 3
    return 2 if p >= 0.68 else 1
