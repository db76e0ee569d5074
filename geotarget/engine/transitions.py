"""Pings, zones and what was known before -> what moved.

`advance` is the whole of it: it sorts a batch by device and fix time, finds the zones that matter
to each device (those that cover one of its pings, and those that it is in), measures the distance
of every ping to them in bulk, and lets `phases.walk` apply the rules. It changes nothing: the
answer is a `Step`, which the caller applies to the state once it is committed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from geotarget.engine import phases
from geotarget.engine.identity import event_id, visit_id
from geotarget.engine.live_state import DEVICE, INSIDE, MEMBER, OUTSIDE, LiveState, Records
from geotarget.engine.rules import Rules
from geotarget.engine.zone_index import ZoneIndex
from geotarget.model import (
    EntryPolicy,
    IntArray,
    Kind,
    MemberRow,
    PingBatch,
    Transition,
)

_KINDS = (Kind.ENTER, Kind.DWELL, Kind.EXIT)
_POLICIES = {
    EntryPolicy.RAW: phases.RAW,
    EntryPolicy.EAGER: phases.EAGER,
    EntryPolicy.STANDARD: phases.STANDARD,
    EntryPolicy.STRICT: phases.STRICT,
    EntryPolicy.CERTAIN: phases.CERTAIN,
}
_ALWAYS = np.iinfo(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class ZoneTable:
    """What the rules need to know of each zone of an index, in columns.

    Compiled once per snapshot of the catalogue.
    """

    index: ZoneIndex
    keys: IntArray
    policy: IntArray
    starts_ms: IntArray
    ends_ms: IntArray
    rank: IntArray
    threshold_start: IntArray
    thresholds: IntArray
    by_key: IntArray

    @classmethod
    def compile(
        cls, index: ZoneIndex, thresholds_s: Callable[[str], Sequence[int]] = lambda _: ()
    ) -> ZoneTable:
        """Compile the table of an index.

        Parameters
        ----------
        index
            The zones.
        thresholds_s
            Zone id -> dwell thresholds in seconds, ascending.
        """
        zones = index.zones
        order = sorted(
            range(len(zones)), key=lambda i: (-zones[i].priority, index.area_m2[i], zones[i].id)
        )
        # zones of a notebook were never stored, hence have no key: their position serves
        keys = index.keys if (index.keys > 0).all() else np.arange(1, len(zones) + 1)
        thresholds = [thresholds_s(zone.id) for zone in zones]
        rank = np.empty(len(zones), np.int64)
        rank[order] = np.arange(len(zones))
        return cls(
            index=index,
            keys=keys,
            policy=np.array([_POLICIES[zone.entry] for zone in zones], np.int64),
            starts_ms=np.array(
                [_ALWAYS.min if zone.starts_ms is None else zone.starts_ms for zone in zones],
                np.int64,
            ),
            ends_ms=np.array(
                [_ALWAYS.max if zone.ends_ms is None else zone.ends_ms for zone in zones],
                np.int64,
            ),
            rank=rank,
            threshold_start=np.concatenate(
                [[0], np.cumsum([len(each) for each in thresholds])]
            ).astype(np.int64),
            thresholds=np.array([value for each in thresholds for value in each], np.int64),
            by_key=np.argsort(keys),
        )

    def positions(self, keys: IntArray) -> IntArray:
        """Return where the zones with these keys stand; -1 for a zone that is not here."""
        if not len(self.keys):
            return np.full(len(keys), -1, np.int64)
        place = np.searchsorted(self.keys, keys, sorter=self.by_key)
        found = self.by_key[np.minimum(place, len(self.keys) - 1)]
        return np.where(self.keys[found] == keys, found, -1)


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
        Per ping of the batch: `phases.APPLIED`, `LATE` or `DUPLICATE`.
    """

    rows: IntArray
    devices: Records
    put: Sequence[tuple[int, int, np.void, str]]
    removed: Sequence[tuple[int, int, str]]
    transitions: Sequence[Transition]
    status: IntArray

    def apply(self, state: LiveState) -> None:
        """Write the step into the state."""
        state.devices[self.rows] = self.devices
        for _, slot, _ in self.removed:
            state.remove(slot)
        for row, slot, record, zone in self.put:
            if slot < 0:
                state.insert(row, record, zone)
            else:
                state.members[slot] = record

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


def advance(
    state: LiveState, pings: PingBatch, pairs: IntArray, table: ZoneTable, rules: Rules
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

    Returns
    -------
    Step
    """
    count = len(pings)
    row_of = state.rows(pings.device)
    acc = np.where(pings.acc > 0, pings.acc, rules.unknown_accuracy_m)
    order = np.lexsort((acc, pings.ts, row_of))
    place = np.empty(count, np.int64)
    place[order] = np.arange(count)
    rows, device_of = np.unique(row_of[order], return_inverse=True)
    ts, lng, lat = pings.ts[order], pings.lng[order], pings.lat[order]
    acc = acc[order]

    tracks, zone_of, slot_of, owner_of = _tracks(
        state, rows, device_of, np.stack([place[pairs[0]], pairs[1]]), table
    )
    track_start = np.searchsorted(owner_of, np.arange(len(rows) + 1))
    width = np.diff(track_start)[device_of]
    pair_start = np.concatenate([[0], np.cumsum(width)])
    pair_ping = np.repeat(np.arange(count), width)
    pair_track = (
        np.arange(len(pair_ping)) - pair_start[pair_ping] + track_start[device_of[pair_ping]]
    )
    pair_zone = zone_of[pair_track]
    distance = table.index.signed_distance(lng=lng[pair_ping], lat=lat[pair_ping], zone=pair_zone)
    closed = (ts[pair_ping] < table.starts_ms[pair_zone]) | (
        ts[pair_ping] >= table.ends_ms[pair_zone]
    )
    distance[closed] = -np.inf

    most = int(np.diff(table.threshold_start).max(initial=0))
    room = len(pair_ping) * (1 + most)
    devices = state.devices[rows]
    status = np.zeros(count, np.int64)
    dirty = np.zeros(len(tracks), np.bool_)
    events: dict[str, Any] = {
        name: np.zeros(room, kind)
        for name, kind in (
            ("track", np.int64),
            ("kind", np.int64),
            ("ms", np.int64),
            ("decided_ms", np.int64),
            ("start_ms", np.int64),
            ("p", np.float64),
            ("threshold", np.int64),
            ("initial", np.bool_),
        )
    }
    emitted = phases.walk(
        device_of, ts, lng, lat, acc, pings.key[order],
        devices, track_start, tracks,
        pair_start, distance,
        zone_of, table.policy, table.index.depth_m, table.threshold_start, table.thresholds,
        _rules_record(rules),
        status, dirty,
        *events.values(),
    )  # fmt: skip
    applied = np.zeros(len(rows), np.bool_)
    applied[device_of[status == phases.APPLIED]] = True

    inside = tracks["phase"] != OUTSIDE
    put = [
        (int(rows[owner_of[t]]), int(slot_of[t]), tracks[t], table.index.zones[zone_of[t]].id)
        for t in np.flatnonzero(dirty & inside)
    ]
    removed = [
        (int(rows[owner_of[t]]), int(slot_of[t]), table.index.zones[zone_of[t]].id)
        for t in np.flatnonzero(~inside & (slot_of >= 0))
    ]
    arrival_status = np.empty(count, np.int64)
    arrival_status[order] = status
    return Step(
        rows=rows[applied],
        devices=devices[applied],
        put=put,
        removed=removed,
        transitions=_transitions(
            {name: column[:emitted] for name, column in events.items()},
            rows, owner_of, zone_of, state, table,
        ),
        status=arrival_status,
    )  # fmt: skip


def reconcile(state: LiveState, table: ZoneTable) -> Step:
    """End the memberships of zones that are no longer in the index.

    A visit ends with a ``reconciled`` transition, which never fires an offer: the zone went, not
    the device. It carries the time of the device's last fix. A pending entry ends without one.
    """
    rows, slots = state.occupied()
    gone = table.positions(state.members["zone"][slots]) < 0
    rows, slots = rows[gone], slots[gone]
    removed, transitions = [], []
    for row, slot in zip(rows.tolist(), slots.tolist(), strict=True):
        record = state.members[slot]
        zone = state.zone_ids[int(record["zone"])]
        removed.append((row, slot, zone))
        if record["phase"] >= INSIDE:
            start_ms = int(record["since_ms"])
            at_ms = max(start_ms, int(state.devices[row]["last_ms"]))
            transitions.append(
                _transition(
                    device=state.ids[row],
                    zone=zone,
                    zone_revision=0,
                    kind=Kind.RECONCILED,
                    start_ms=start_ms,
                    at_ms=at_ms,
                    decided_ms=at_ms,
                    p=1.0,
                )
            )
    return Step(
        rows=np.empty(0, np.int64),
        devices=np.empty(0, DEVICE),
        put=(),
        removed=removed,
        transitions=transitions,
        status=np.empty(0, np.int64),
    )


def _tracks(
    state: LiveState, rows: IntArray, device_of: IntArray, pairs: IntArray, table: ZoneTable
) -> tuple[Records, IntArray, IntArray, IntArray]:
    """Return records, zones, slots and owners of all (device, zone) that matter, in that order."""
    positions, slots = state.slots(rows)
    zones = table.positions(state.members["zone"][slots])
    known = zones >= 0
    positions, slots, zones = positions[known], slots[known], zones[known]
    span = max(1, len(table.index))
    codes = np.unique(
        np.concatenate([device_of[pairs[0]] * span + pairs[1], positions * span + zones])
    )
    owner_of, zone_of = np.divmod(codes, span)
    tracks = np.zeros(len(codes), MEMBER)
    tracks["zone"] = table.keys[zone_of]
    slot_of = np.full(len(codes), -1, np.int64)
    at = np.searchsorted(codes, positions * span + zones)
    tracks[at] = state.members[slots]
    slot_of[at] = slots
    return tracks, zone_of, slot_of, owner_of


def _rules_record(rules: Rules) -> Any:
    """Return the figures of the rules as one record that a kernel can read by name."""
    figures = asdict(rules)
    record = np.zeros(1, [(name, "f8") for name in figures])
    for name, value in figures.items():
        record[name] = value
    return record[0]


def _confidence(p: float) -> int:
    """Return 3 (sure), 2 (likely) or 1."""
    if p >= 0.95:
        return 3
    return 2 if p >= 0.68 else 1


def _transitions(
    events: Mapping[str, Any],
    rows: IntArray,
    owner_of: IntArray,
    zone_of: IntArray,
    state: LiveState,
    table: ZoneTable,
) -> list[Transition]:
    """Give events their names and their order.

    By the time of decision, then by device; exits before enters before dwells; enters by
    priority, smaller area, zone id.
    """
    owner = owner_of[events["track"]]
    zone = zone_of[events["track"]]
    turn = np.array([1, 2, 0])[events["kind"]]
    order = np.lexsort((events["threshold"], table.rank[zone], turn, owner, events["decided_ms"]))
    return [
        _transition(
            device=state.ids[int(rows[owner[e]])],
            zone=table.index.zones[int(zone[e])].id,
            zone_revision=table.index.zones[int(zone[e])].revision,
            kind=_KINDS[int(events["kind"][e])],
            start_ms=int(events["start_ms"][e]),
            at_ms=int(events["ms"][e]),
            decided_ms=int(events["decided_ms"][e]),
            p=float(events["p"][e]),
            initial=bool(events["initial"][e]),
            threshold_s=int(events["threshold"][e]) if events["threshold"][e] >= 0 else None,
        )
        for e in order.tolist()
    ]


def _transition(
    *,
    device: str,
    zone: str,
    zone_revision: int,
    kind: Kind,
    start_ms: int,
    at_ms: int,
    decided_ms: int,
    p: float,
    initial: bool = False,
    threshold_s: int | None = None,
) -> Transition:
    return Transition(
        id=event_id(
            device=device,
            zone=zone,
            start_ms=start_ms,
            kind=kind,
            at_ms=at_ms,
            threshold_s=threshold_s,
        ),
        visit=visit_id(device=device, zone=zone, start_ms=start_ms),
        device=device,
        zone=zone,
        zone_revision=zone_revision,
        kind=kind,
        ts_ms=at_ms,
        decided_ms=decided_ms,
        confidence=_confidence(p),
        p=round(p, 2),
        initial=initial,
        threshold_s=threshold_s,
        duration_s=None if kind is Kind.ENTER else (at_ms - start_ms) / 1000,
    )
