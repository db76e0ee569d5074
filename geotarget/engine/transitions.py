"""Pings, zones and what was known before -> what moved.

`advance` is the whole of it. It sorts a batch by device and fix time; `acceptance` turns pings into
fixes; the zones that matter to each device are found (those that cover one of its fixes, those
that it is in, eager ones nearby); the distance of every fix to them is measured in bulk;
`phases.walk` applies the rules, and `crossed` sees what lay between the fixes. It changes nothing:
the answer is a `Step`, which the caller applies to the state once it is committed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from geotarget.engine import acceptance, phases
from geotarget.engine.acceptance import APPLIED, FIX, SUSPECT
from geotarget.engine.crossed import crossed
from geotarget.engine.live_state import MEMBER, OUTSIDE, LiveState, Records
from geotarget.engine.rules import MOST_SUSPECTS, Rules
from geotarget.engine.stance import AT_REST
from geotarget.engine.step import Step, memberships, transitions_of
from geotarget.engine.tracing import Findings, traces_of
from geotarget.engine.verdicts import RAW, reason_of, verdict_of
from geotarget.engine.zone_table import ZoneTable
from geotarget.model import IntArray, PingBatch


def advance(
    state: LiveState,
    pings: PingBatch,
    pairs: IntArray,
    table: ZoneTable,
    rules: Rules,
    traced: Collection[str] = (),
) -> Step:
    """Work out what a batch of pings changes.

    Parameters
    ----------
    state
        What is known; unknown devices get a blank row, nothing else is changed.
    pings
        The batch, in any order.
    pairs
        ``table.index.query`` of the batch: shape (2, n), ping and zone positions.
    table
        The zones, with their policies and dwell thresholds.
    rules
        The figures of the rules.
    traced
        Devices of which every ping is to be explained.

    Returns
    -------
    Step
    """
    count = len(pings)
    row_of = state.rows(pings.device)
    acc = np.where(pings.acc > 0, pings.acc, rules.unknown_accuracy_m)
    order = np.lexsort((acc, pings.ts, row_of))
    sorted_rows = row_of[order]
    is_first = np.diff(sorted_rows, prepend=-1) != 0
    rows, device_of = sorted_rows[is_first], np.cumsum(is_first) - 1
    devices = state.devices.take(rows)  # an index would copy field by field, 25 times as slow
    figures = rules.record()
    status = np.zeros(count, np.int64)
    room = np.empty(2 * count + (MOST_SUSPECTS + 1) * len(rows), FIX)
    ts, lng, lat = pings.ts[order], pings.lng[order], pings.lat[order]
    fixes = room[
        : acceptance.accept(
            device_of, ts, lng, lat, acc[order], pings.key[order], devices, figures, status, room
        )
    ]

    tracks, zone_of, slot_of, owner_of = _tracks(
        state, rows, _candidates(pings, pairs, order, device_of, fixes, table), table
    )
    track_start = np.searchsorted(owner_of, np.arange(len(rows) + 1))
    width = np.diff(track_start)[fixes["device"]]
    pair_start = np.concatenate([[0], np.cumsum(width)])
    fix_of = np.repeat(np.arange(len(fixes)), width)
    track_of = np.arange(len(fix_of)) - pair_start[fix_of] + track_start[fixes["device"][fix_of]]
    pair_zone = zone_of[track_of]
    raw = table.zones["policy"][pair_zone] == RAW
    distance = table.distances(
        lng=np.where(raw, fixes["lng"][fix_of], fixes["at_lng"][fix_of]),
        lat=np.where(raw, fixes["lat"][fix_of], fixes["at_lat"][fix_of]),
        ms=fixes["ms"][fix_of],
        zone=pair_zone,
    )
    dirty = np.zeros(len(tracks), np.bool_)
    findings, before, after = (np.empty(len(fix_of), np.int64) for _ in range(3))
    most = int((table.zones["last"] - table.zones["first"]).max(initial=0))
    events = np.empty(len(fix_of) * (2 + 2 * most), phases.EVENT)
    emitted = phases.walk(
        fixes, track_start, tracks, zone_of, pair_start, distance,
        table.zones, table.thresholds, figures,
        dirty, findings, before, after, events,
    )  # fmt: skip
    events = events[:emitted]
    event_owner, event_zone = owner_of[events["track"]], zone_of[events["track"]]

    through, through_fix, through_zone = crossed(fixes, table)
    if len(through):
        out = _stayed_out(through_fix, through_zone, fix_of, pair_zone, before, after)
        events = np.concatenate([events, through[out]])
        event_owner = np.concatenate([event_owner, fixes["device"][through_fix[out]]])
        event_zone = np.concatenate([event_zone, through_zone[out]])

    moved = np.zeros(len(rows), np.bool_)
    moved[device_of[(status == APPLIED) | (status == SUSPECT)]] = True
    arrival_status = np.empty(count, np.int64)
    arrival_status[order] = status
    inside = tracks["phase"] != OUTSIDE
    put, gone = np.flatnonzero(dirty & inside), np.flatnonzero(~inside & (slot_of >= 0))
    return Step(
        rows=rows[moved],
        devices=devices.compress(moved),
        put=memberships(rows[owner_of[put]], slot_of[put], tracks[put], zone_of[put], table),
        removed=[
            (row, slot, table.ids[zone])
            for row, slot, zone in zip(
                rows[owner_of[gone]].tolist(),
                slot_of[gone].tolist(),
                zone_of[gone].tolist(),
                strict=True,
            )
        ],
        transitions=transitions_of(events, rows[event_owner], event_zone, state, table),
        status=arrival_status,
        holds=_holds(findings),
        traces=traces_of(
            traced,
            pings=pings,
            accuracy=acc,
            status=arrival_status,
            believed=status[fixes["ping"]] == APPLIED,
            fixes=fixes,
            device_ids=[state.ids[row] for row in rows.tolist()] if traced else (),
            findings=Findings(fix_of, pair_zone, distance, findings, before, after),
            table=table,
        ),
    )


def _candidates(
    pings: PingBatch,
    pairs: IntArray,
    order: IntArray,
    device_of: IntArray,
    fixes: Records,
    table: ZoneTable,
) -> IntArray:
    """Return devices and zones that the fixes bring together, shape (2, n).

    The pings of the batch were matched already; suspects of an earlier batch that are accepted
    only now, and the places where devices at rest are taken to be, are matched here.
    """
    place = np.empty(len(pings), np.int64)
    place[order] = np.arange(len(pings))
    found = [np.stack([device_of[place[pairs[0]]], pairs[1]])]
    new = fixes[(fixes["ping"] < 0) | (fixes["stance"] == AT_REST)]
    if len(new):
        again = table.index.query(lng=new["at_lng"], lat=new["at_lat"])
        found.append(np.stack([new["device"][again[0]], again[1]]))
    near = table.surroundings.pairs(lng=fixes["at_lng"], lat=fixes["at_lat"])
    found.append(np.stack([fixes["device"][near[0]], near[1]]))
    return np.concatenate(found, axis=1)


def _tracks(
    state: LiveState, rows: IntArray, pairs: IntArray, table: ZoneTable
) -> tuple[Records, IntArray, IntArray, IntArray]:
    """Return records, zones, slots and owners of all (device, zone) that matter, in that order."""
    positions, slots = state.slots(rows)
    zones = table.positions(state.members["zone"][slots])
    known = zones >= 0
    positions, slots, zones = positions[known], slots[known], zones[known]
    span = max(1, len(table.index))
    codes = np.unique(np.concatenate([pairs[0] * span + pairs[1], positions * span + zones]))
    owner_of, zone_of = np.divmod(codes, span)
    tracks = np.zeros(len(codes), MEMBER)
    tracks["zone"] = table.keys[zone_of]
    slot_of = np.full(len(codes), -1, np.int64)
    at = np.searchsorted(codes, positions * span + zones)
    tracks[at] = state.members.take(slots)
    slot_of[at] = slots
    return tracks, zone_of, slot_of, owner_of


def _stayed_out(
    fix: IntArray,
    zone: IntArray,
    fix_of: IntArray,
    zone_of: IntArray,
    before: IntArray,
    after: IntArray,
) -> Any:
    """Tell of (fix, zone) pairs whether the device counted as outside before and after the fix.

    A zone that is not among the pairs of the fix was never entered.
    """
    span = int(max(zone.max(initial=0), zone_of.max(initial=0))) + 1
    in_play = fix_of * span + zone_of
    order = np.argsort(in_play)
    wanted = fix * span + zone
    place = np.searchsorted(in_play, wanted, sorter=order)
    known = np.zeros(len(wanted), np.bool_)
    within = place < len(in_play)
    known[within] = in_play[order[place[within]]] == wanted[within]
    out = np.ones(len(wanted), np.bool_)
    at = order[place[known]]
    out[known] = (before[at] == OUTSIDE) & (after[at] == OUTSIDE)
    return out


def _holds(findings: IntArray) -> Mapping[str, int]:
    """Count by reason the pairs that were no evidence either way."""
    counts = np.bincount(findings[findings >= 0])
    return {
        reason_of(finding): int(counts[finding])
        for finding in np.flatnonzero(counts).tolist()
        if verdict_of(finding) == "hold"
    }
