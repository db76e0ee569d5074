"""What the pings of a few chosen devices meant, fix by fix and zone by zone, in words.

A plain ping leaves no trace, because there are too many of them. For a device under a trace switch
everything that the rules looked at is kept. Costs nothing while nobody is traced, and some 5 µs a
(fix, zone) of those who are.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geotarget.engine.acceptance import DUPLICATE, LATE, OTHER_ZONES, STATUS
from geotarget.engine.live_state import Records
from geotarget.engine.phases import PHASES
from geotarget.engine.stance import STANCES
from geotarget.engine.verdicts import RAW, reason_of, verdict_of
from geotarget.engine.zone_table import ZoneTable
from geotarget.model import FloatArray, IntArray, PingBatch, Trace


class Findings(NamedTuple):
    """What the walk found, a (fix, zone) pair each, in the order of the fixes."""

    fix: IntArray
    zone: IntArray
    distance: FloatArray
    finding: IntArray
    before: IntArray
    after: IntArray


def traces_of(
    traced: Collection[str],
    *,
    pings: PingBatch,
    accuracy: FloatArray,
    status: IntArray,
    believed: NDArray[np.bool_],
    fixes: Records,
    device_ids: Sequence[str],
    findings: Findings,
    table: ZoneTable,
) -> list[Trace]:
    """Return the traces of some devices, in the order in which their fixes were applied.

    Parameters
    ----------
    traced
        Ids of devices; others leave nothing.
    pings, accuracy, status
        The batch, the accuracy that the rules used, and what became of each ping.
    believed
        Of each fix, whether its ping is applied in the end.
    fixes, findings
        Records of `FIX`, and what each said of which zone.
    device_ids
        The id of each device position in `fixes`.
    table
        Where the names of the zones are.
    """
    if not traced:
        return []
    found = [
        Trace(
            device=pings.device[i],
            ts_ms=int(pings.ts[i]),
            decided_ms=int(pings.ts[i]),
            lng=float(pings.lng[i]),
            lat=float(pings.lat[i]),
            acc_m=float(accuracy[i]),
            status=STATUS[int(status[i])],
        )
        for i in np.flatnonzero((status == LATE) | (status == DUPLICATE)).tolist()
        if pings.device[i] in traced
    ]
    chosen = np.array([device in traced for device in device_ids], np.bool_)
    bounds = np.searchsorted(findings.fix, np.arange(len(fixes) + 1))
    for f in np.flatnonzero(chosen[fixes["device"]]).tolist():
        fix = fixes[f]
        ping = Trace(
            device=device_ids[int(fix["device"])],
            ts_ms=int(fix["ms"]),
            decided_ms=int(fix["decided_ms"]),
            lng=float(fix["lng"]),
            lat=float(fix["lat"]),
            acc_m=float(fix["acc"]),
            status="applied" if fix["zones"] & OTHER_ZONES or believed[f] else "suspect",
            moving=bool(fix["moving"]),
            stance=STANCES[int(fix["stance"])],
        )
        seen = [at for at in range(*bounds[f : f + 2].tolist()) if findings.finding[at] >= 0]
        if seen:
            found += [_with_zone(ping, findings, at, table, float(fix["at_acc"])) for at in seen]
        elif ping.status == "suspect" or fix["zones"] & OTHER_ZONES:
            found.append(ping)
    return found


def _with_zone(
    ping: Trace, findings: Findings, at: int, table: ZoneTable, at_acc_m: float
) -> Trace:
    distance = float(findings.distance[at])
    finding = int(findings.finding[at])
    raw = table.zones["policy"][findings.zone[at]] == RAW
    return Trace(
        device=ping.device,
        ts_ms=ping.ts_ms,
        decided_ms=ping.decided_ms,
        lng=ping.lng,
        lat=ping.lat,
        acc_m=ping.acc_m if raw else at_acc_m,
        status=ping.status,
        moving=ping.moving,
        zone=table.ids[int(findings.zone[at])],
        distance_m=round(distance, 1) if np.isfinite(distance) else None,
        verdict=verdict_of(finding),
        reason=reason_of(finding),
        stance=ping.stance,
        before=PHASES[int(findings.before[at])],
        after=PHASES[int(findings.after[at])],
    )
