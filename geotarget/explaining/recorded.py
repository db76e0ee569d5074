"""The same explanation for a recording: its pings go through the engine, and every one is traced.

For the developer with a file of pings and the question "why not?", without a server or a database.
Pings are applied in the order of their time, as in a backtest. 20,000 pings of one device among a
thousand zones take a second or two, most of it the traces.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from geotarget.engine import Rules, ZoneIndex
from geotarget.engine.identity import visit_id
from geotarget.engine.intake import refused, sliced, without
from geotarget.engine.live_state import LiveState
from geotarget.engine.timers import settle
from geotarget.engine.transitions import advance
from geotarget.engine.zone_table import ZoneTable
from geotarget.explaining.evidence import Evidence, Standing, fix_of, memberships
from geotarget.model import MemberRow, PingBatch, Rejected, Trace, Transition, Zone

_CHUNK = 20_000


def replay(
    pings: PingBatch,
    zones: Sequence[Zone],
    device: str,
    *,
    from_ms: int | None = None,
    to_ms: int | None = None,
    zone: str = "",
    rules: Rules | None = None,
) -> Evidence:
    """Let the pings of one device go through the engine, and keep what they meant.

    Parameters
    ----------
    pings
        Of this device, at least one, in order of time.
    zones
        Each id once; those that are switched off meet no ping.
    device
        Its id.
    from_ms, to_ms
        What to tell, Unix milliseconds: pings before it are applied too, pings behind it are not.
        None means the beginning and just behind the last ping. The clock runs on to `to_ms` where
        that lies behind the last ping.
    zone
        Only this zone; empty for all.
    rules
        Figures of the entry rules; the defaults if None.
    """
    figures = rules or Rules()
    low = int(pings.ts[0]) if from_ms is None else from_ms
    high = int(pings.ts[-1]) + 1 if to_ms is None else to_ms
    table = ZoneTable.compile(ZoneIndex.build([each for each in zones if each.active]), rules=rules)
    state = LiveState()
    letters: list[Rejected] = []
    traces: list[Trace] = []
    transitions: list[Transition] = []
    end = int(np.searchsorted(pings.ts, high))
    for start in range(0, end, _CHUNK):
        part = sliced(pings, start, min(start + _CHUNK, end))
        pairs = table.index.query(lng=part.lng, lat=part.lat)
        bad = refused(part, pairs, figures)
        letters += [_letter(part, *each) for each in bad]
        good, pairs = without(part, pairs, [position for position, _, _ in bad])
        step = advance(state, good, pairs, table, figures, (device,))
        step.apply(state)
        traces += [each for each in step.traces if each.ts_ms >= low]
        transitions += step.transitions
    if to_ms is not None:
        step = settle(state, table, figures, to_ms - 1)
        step.apply(state)
        transitions += step.transitions
    told = [each for each in transitions if low <= each.ts_ms < high and zone in ("", each.zone)]
    standing = _standing(state, device, figures, high)
    named = {zone} | {each.zone for each in traces} | {each.zone for each in told}
    named |= {each.zone for each in standing.memberships}
    return Evidence(
        standing=standing,
        from_ms=low,
        to_ms=high,
        zone=zone,
        rules=figures,
        zones=ZoneIndex.build([each for each in zones if each.id in named]),
        traces=traces,
        transitions=told,
        refused=[each for each in letters if each.received_ms >= low],
        recorded=True,
        asked=False,
    )


def _standing(state: LiveState, device: str, rules: Rules, now_ms: int) -> Standing:
    """Return how the device stands at the end."""
    if not len(state):
        return Standing(device, None)
    fix = fix_of(state.devices[:1].tobytes())
    rows = []
    for slot in state.occupied()[1].tolist():
        record = state.members[slot]
        zone, since_ms = state.zone_ids[int(record["zone"])], int(record["since_ms"])
        rows.append(
            MemberRow(
                device=device,
                zone=zone,
                phase=int(record["phase"]),
                since_ms=since_ms,
                last_ms=int(record["mark_ms"]),
                visit=visit_id(device=device, zone=zone, start_ms=since_ms),
                state=record.tobytes(),
            )
        )
    rows.sort(key=lambda row: row.zone)
    return Standing(device, fix, memberships(rows, fix, rules=rules, now_ms=now_ms))


def _letter(pings: PingBatch, position: int, reason: str, detail: str) -> Rejected:
    return Rejected("recording", b"", reason, detail, int(pings.ts[position]))
