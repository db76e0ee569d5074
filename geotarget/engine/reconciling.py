"""What an edit of the zones does to those who are in them: the zone moved, not the device.

Occupants of a zone that went or changed its shape are judged again on their last fix, and so are
devices that stand where a zone was enlarged. What changes is told as ``reconciled``, which never
fires an offer; without that, every edit would greet everybody again. Costs one distance for each
occupant of an edited zone, and one match of all known devices against the edited zones.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from geotarget.engine.live_state import ENTERING, INSIDE, MEMBER, LiveState, Records
from geotarget.engine.rules import Rules
from geotarget.engine.stance import ON_ITS_WAY
from geotarget.engine.step import Put, Step, transition
from geotarget.engine.verdicts import (
    EDIT,
    GONE,
    IN,
    OUT,
    inside_probability,
    judge,
    reason_of,
    verdict,
)
from geotarget.engine.zone_table import ZoneTable
from geotarget.model import FloatArray, IntArray, Kind, Transition

NOT_MOVING = False


def reconcile(
    state: LiveState, table: ZoneTable, rules: Rules, before: ZoneTable | None = None
) -> Step:
    """Work out what changes because the zones did.

    Parameters
    ----------
    state
        What is known; nothing of it is changed.
    table
        The zones as they are now.
    rules
        The figures of the rules.
    before
        The zones as they were; None after a restart. Only with both can be told who stands where a
        zone was enlarged.

    Returns
    -------
    Step
        Visits that ended or were opened, and memberships that live on under a new revision.
    """
    ended, put, removed = _members(state, table, rules)
    opened, new = _opened(state, table, rules, before) if before is not None else ([], [])
    return Step(put=[*put, *new], removed=removed, transitions=[*ended, *opened])


def _members(
    state: LiveState, table: ZoneTable, rules: Rules
) -> tuple[list[Transition], list[Put], list[tuple[int, int, str]]]:
    """Judge the occupants of zones that went or changed."""
    rows, slots = state.occupied()
    zones = table.positions(state.members["zone"][slots])
    revision = table.zones["revision"][zones] if len(table.zones) else np.zeros(len(zones), int)
    concerned = (zones < 0) | (state.members["revision"][slots] != revision)
    rows, slots, zones = rows[concerned], slots[concerned], zones[concerned]
    distance = np.full(len(zones), -np.inf)
    here = zones >= 0
    distance[here] = _distances(state, table, rows[here], zones[here])
    findings = np.full(len(zones), GONE, np.int64)
    findings[here] = _judged(state, table, rules, rows[here], zones[here], distance[here])

    ended: list[Transition] = []
    put: list[Put] = []
    removed: list[tuple[int, int, str]] = []
    for row, slot, zone, d, finding in zip(
        rows.tolist(),
        slots.tolist(),
        zones.tolist(),
        distance.tolist(),
        findings.tolist(),
        strict=True,
    ):
        record = state.members[slot].copy()
        name = state.zone_ids[int(record["zone"])]
        pending = record["phase"] == ENTERING
        if zone >= 0 and (d >= 0.0 if pending else verdict(finding) != OUT):
            record["revision"] = table.zones["revision"][zone]
            put.append((row, slot, record, name))
            continue
        removed.append((row, slot, name))
        if not pending:
            at_ms = max(int(record["since_ms"]), int(state.devices[row]["last_ms"]))
            ended.append(
                _reconciled(
                    state,
                    row,
                    name,
                    table,
                    zone,
                    start_ms=int(record["since_ms"]),
                    at_ms=at_ms,
                    d=d,
                    end_ms=at_ms,
                )
            )
    return ended, put, removed


def _opened(
    state: LiveState, table: ZoneTable, rules: Rules, before: ZoneTable
) -> tuple[list[Transition], list[Put]]:
    """Open visits for devices that stand where a zone was enlarged or moved to."""
    was = before.positions(table.keys)
    changed = np.flatnonzero(
        (was >= 0) & (before.zones["revision"][was] != table.zones["revision"])
        if len(before.zones)
        else np.zeros(len(table.keys), np.bool_)
    )
    known = np.flatnonzero(state.devices["known"][: len(state)])
    if not changed.size or not known.size:
        return [], []
    is_changed = np.zeros(len(table.keys), np.bool_)
    is_changed[changed] = True
    last = state.devices[known]
    lng, lat = last["last_lng"], last["last_lat"]
    covering = table.index.query(lng=lng, lat=lat)
    near = table.surroundings.pairs(lng=lng, lat=lat)
    pairs = np.concatenate([covering, near], axis=1)
    pairs = np.unique(pairs[:, is_changed[pairs[1]]], axis=1)
    rows, zones = known[pairs[0]], pairs[1]
    outside = _distances(state, before, rows, was[zones]) < 0.0
    at, slots = state.slots(rows)
    taken = set(zip(rows[at].tolist(), state.members["zone"][slots].tolist(), strict=True))
    distance = _distances(state, table, rows, zones)
    findings = _judged(state, table, rules, rows, zones, distance)

    opened: list[Transition] = []
    put: list[Put] = []
    for i in np.flatnonzero(outside).tolist():
        row, zone = int(rows[i]), int(zones[i])
        if verdict(int(findings[i])) != IN or (row, int(table.keys[zone])) in taken:
            continue
        start_ms = int(state.devices[row]["last_ms"])
        name = table.ids[zone]
        record = np.zeros(1, MEMBER)[0]
        record["zone"] = table.keys[zone]
        record["phase"] = INSIDE
        record["since_ms"] = record["mark_ms"] = start_ms
        record["revision"] = table.zones["revision"][zone]
        record["p"] = inside_probability(float(distance[i]), float(state.devices[row]["last_acc"]))
        put.append((row, -1, record, name))
        opened.append(
            _reconciled(
                state, row, name, table, zone,
                start_ms=start_ms, at_ms=start_ms, d=float(distance[i]), end_ms=None,
            )
        )  # fmt: skip
    return opened, put


def _distances(state: LiveState, table: ZoneTable, rows: IntArray, zones: IntArray) -> FloatArray:
    """Return signed metres from the last fixes of some devices to some zones."""
    last = state.devices[rows]
    return table.distances(
        lng=last["last_lng"], lat=last["last_lat"], ms=last["last_ms"], zone=zones
    )


def _judged(
    state: LiveState,
    table: ZoneTable,
    rules: Rules,
    rows: IntArray,
    zones: IntArray,
    distance: FloatArray,
) -> IntArray:
    """Return what the last fix of each device says about a zone; nobody counts as moving."""
    figures = rules.record()
    last: Records = state.devices[rows]
    found = np.empty(len(rows), np.int64)
    for at, (row, zone) in enumerate(zip(last, table.zones[zones], strict=True)):
        buffer = rules.exit_buffer_m if math.isnan(zone["buffer"]) else float(zone["buffer"])
        found[at] = judge(
            float(distance[at]), float(row["last_acc"]), ON_ITS_WAY, NOT_MOVING,
            int(zone["policy"]), float(zone["depth"]), buffer, figures,
        )  # fmt: skip
    return found


def _reconciled(
    state: LiveState,
    row: int,
    name: str,
    table: ZoneTable,
    zone: int,
    *,
    start_ms: int,
    at_ms: int,
    d: float,
    end_ms: int | None,
) -> Transition:
    acc: Any = state.devices[row]["last_acc"]
    inside = inside_probability(d, float(acc)) if math.isfinite(d) else 0.0
    return transition(
        device=state.ids[row],
        zone=name,
        zone_revision=int(table.zones["revision"][zone]) if zone >= 0 else 0,
        kind=Kind.RECONCILED,
        start_ms=start_ms,
        at_ms=at_ms,
        decided_ms=at_ms,
        end_ms=end_ms,
        p=1.0 - inside if end_ms is not None else inside,
        reason=reason_of(EDIT if zone >= 0 else GONE),
        distance_m=d,
        accuracy_m=float(acc) if zone >= 0 else math.nan,
    )
