"""The engine as a player of tracks, with a store that keeps what the real one keeps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from hashlib import blake2b

import numpy as np

from geotarget.engine import Rules, ZoneIndex
from geotarget.engine.acceptance import STATUS
from geotarget.engine.live_state import LiveState
from geotarget.engine.phases import PHASES
from geotarget.engine.reconciling import reconcile
from geotarget.engine.step import Step
from geotarget.engine.timers import settle
from geotarget.engine.transitions import advance
from geotarget.engine.zone_table import ZoneTable
from geotarget.model import MemberRow, PingBatch, Trace, Transition, Zone
from tests.entry_evidence import Ping


def batch_of(pings: Sequence[Ping]) -> PingBatch:
    """Return pings as columns; equal pings have equal keys."""
    ts = np.array([ping.ts_ms for ping in pings], np.int64)
    return PingBatch(
        device=[ping.device for ping in pings],
        ts=ts,
        lng=np.array([ping.lng for ping in pings], np.float64),
        lat=np.array([ping.lat for ping in pings], np.float64),
        acc=np.array([math.nan if p.acc is None else p.acc for p in pings], np.float64),
        key=np.array([_key(ping) for ping in pings], np.uint64),
        received=ts,
    )


def _key(ping: Ping) -> int:
    said = ping.id or repr((ping.ts_ms, ping.lng, ping.lat))
    return int.from_bytes(blake2b(said.encode(), digest_size=8).digest(), "big") | 1


class Engine:
    """State, zones, and rows as the store keeps them; commits each step as the pipeline does."""

    def __init__(
        self,
        zones: Sequence[Zone],
        *,
        rules: Rules | None = None,
        thresholds_s: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        self.rules = rules or Rules()
        self.state = LiveState()
        self.status: list[str] = []
        self.traces: Sequence[Trace] = ()
        self.holds: Mapping[str, int] = {}
        self.members: dict[tuple[str, str], MemberRow] = {}
        self._devices: dict[str, bytes] = {}
        self._thresholds = thresholds_s or {}
        self.table = self._compiled(ZoneIndex.build(zones))

    def pings(self, batch: Sequence[Ping]) -> list[Transition]:
        """Apply pings that arrive together."""
        columns = batch_of(batch)
        pairs = self.table.index.query(lng=columns.lng, lat=columns.lat)
        step = advance(self.state, columns, pairs, self.table, self.rules, set(columns.device))
        self.traces, self.holds = step.traces, step.holds
        self.status = [STATUS[code] for code in step.status.tolist()]
        return self._commit(step)

    def clock(self, now_ms: int) -> list[Transition]:
        """Let the time pass."""
        return self._commit(settle(self.state, self.table, self.rules, now_ms))

    def edit(self, zones: Sequence[Zone], *, old_is_known: bool = True) -> list[Transition]:
        """Replace the zones, as edits of the index."""
        before = {zone.id: zone.revision for zone in self.table.index.zones}
        put = [zone for zone in zones if before.get(zone.id) != zone.revision]
        gone = before.keys() - {zone.id for zone in zones}
        old = self.table
        self.table = self._compiled(old.index.with_changes(put=put, remove=gone))
        return self._commit(
            reconcile(self.state, self.table, self.rules, old if old_is_known else None)
        )

    def restart(self) -> None:
        """Go on with what was kept."""
        self.state = LiveState()
        self.state.adopt(
            list(self._devices), b"".join(self._devices.values()), list(self.members.values())
        )

    def phases(self) -> dict[tuple[str, str], str]:
        """Return the phase of each (device, zone) that is not outside; the store's is the same."""
        state = self.state
        rows, slots = state.occupied()
        found = {
            (state.ids[row], state.zone_ids[int(state.members["zone"][slot])]): PHASES[
                int(state.members["phase"][slot])
            ]
            for row, slot in zip(rows.tolist(), slots.tolist(), strict=True)
        }
        assert found == {pair: PHASES[row.phase] for pair, row in self.members.items()}
        return found

    def _compiled(self, index: ZoneIndex) -> ZoneTable:
        return ZoneTable.compile(index, lambda zone: self._thresholds.get(zone, ()), self.rules)

    def _commit(self, step: Step) -> list[Transition]:
        state = self.state
        for row, _, zone in step.removed:
            self.members.pop((state.ids[row], zone), None)
        self.members |= {(row.device, row.zone): row for row in step.member_rows(state)}
        for row, record in zip(step.rows.tolist(), step.devices, strict=True):
            self._devices[state.ids[row]] = record.tobytes()
        step.apply(state)
        return list(step.transitions)
