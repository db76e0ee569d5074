"""Who is inside already when what campaigns want has changed: nobody came, so nothing happens.

Two questions follow from that. A dwell time that nobody asked for until now has passed long ago for
many: `outdated` lets it count as told, so that a new or changed campaign does not greet everybody
who has been sitting there. And who does want to reach those who are inside gets a transition for
each of them, once: `invited`. Both cost one pass over the memberships, and are asked only when the
catalogue changed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from geotarget.engine.identity import timed_id, visit_id
from geotarget.engine.live_state import INSIDE, LiveState, Records
from geotarget.engine.step import Step, memberships
from geotarget.engine.zone_table import ZoneTable
from geotarget.model import IntArray, Kind, Transition

LIKELY = 2
"""Confidence of an invitation: of the evidence of the entry only its probability is kept."""


def outdated(state: LiveState, table: ZoneTable) -> Step:
    """Let dwell times count as told that were over at the last fix, but had not been asked for.

    A dwell time that was asked for is told with the first fix after it at the latest. So whatever
    should have been told by the last fix and was not is new.

    Parameters
    ----------
    state
        What is known; nothing of it is changed.
    table
        The zones, with the dwell times of now.

    Returns
    -------
    Step
        With memberships only.
    """
    rows, slots, zones = _inside(state, table)
    wanted = table.zones["last"][zones] > table.zones["first"][zones]
    rows, slots, zones = rows[wanted], slots[wanted], zones[wanted]
    tracks = state.members[slots]
    stayed_s = (state.devices["last_ms"][rows] - tracks["since_ms"]) // 1000
    told = tracks["dwelled_s"].copy()
    first, last = table.zones["first"][zones], table.zones["last"][zones]
    for k in range(int((last - first).max(initial=0))):
        has = first + k < last
        threshold = np.where(has, table.thresholds[np.where(has, first + k, 0)], 0)
        over = has & (stayed_s >= threshold)
        told[over] = np.maximum(told[over], threshold[over])
    changed = np.flatnonzero(told != tracks["dwelled_s"])
    tracks["dwelled_s"] = told
    return Step(
        put=memberships(rows[changed], slots[changed], tracks[changed], zones[changed], table)
    )


def invited(
    state: LiveState,
    table: ZoneTable,
    *,
    campaign: str,
    asked_ms: int,
    means: Callable[[str], bool],
    dwell_s: int | None = None,
) -> list[Transition]:
    """Return a transition for everybody who was inside when a campaign asked for them.

    The same question gives the same ids, also after a restart. Who is on the way out is left out,
    and so is who came after the question: that is an entry like any other.

    Parameters
    ----------
    state, table
        What is known, and the zones.
    campaign
        Who asks.
    asked_ms
        When, Unix milliseconds; the transitions count as decided then.
    means
        Whether a zone, by its id, is one of those.
    dwell_s
        Only who had stayed so long, as a dwell; None takes everybody, as an entry.

    Returns
    -------
    list of Transition
        Device by device; of one device by the rank of the zones.
    """
    rows, slots, zones = _inside(state, table)
    there = np.unique(zones)
    meant = there[[means(table.ids[zone]) for zone in there.tolist()]] if there.size else there
    tracks = state.members[slots]
    reached_ms = tracks["since_ms"] + 1000 * (dwell_s or 0)
    seen_ms = np.minimum(state.devices["last_ms"][rows], asked_ms)
    wanted = np.flatnonzero(np.isin(zones, meant) & (reached_ms <= seen_ms))
    wanted = wanted[np.lexsort((table.rank[zones[wanted]], rows[wanted]))]
    return [
        _invitation(state.ids[row], table, zone, track, campaign, asked_ms, dwell_s)
        for row, zone, track in zip(
            rows[wanted].tolist(), zones[wanted].tolist(), tracks[wanted], strict=True
        )
    ]


def _inside(state: LiveState, table: ZoneTable) -> tuple[IntArray, IntArray, IntArray]:
    """Return rows, slots and positions of zones of all visits that go on."""
    rows, slots = state.occupied()
    zones = table.positions(state.members["zone"][slots])
    kept = (zones >= 0) & (state.members["phase"][slots] == INSIDE)
    return rows[kept], slots[kept], zones[kept]


def _invitation(
    device: str,
    table: ZoneTable,
    zone: int,
    track: Records,
    campaign: str,
    asked_ms: int,
    dwell_s: int | None,
) -> Transition:
    start_ms = int(track["since_ms"])
    visit = visit_id(device=device, zone=table.ids[zone], start_ms=start_ms)
    return Transition(
        id=timed_id(asked_ms, "inside", campaign, visit),
        visit=visit,
        device=device,
        zone=table.ids[zone],
        zone_revision=int(table.zones["revision"][zone]),
        kind=Kind.ENTER if dwell_s is None else Kind.DWELL,
        ts_ms=start_ms + 1000 * (dwell_s or 0),
        decided_ms=asked_ms,
        confidence=LIKELY,
        p=round(float(track["p"]), 2),
        threshold_s=dwell_s,
        duration_s=None if dwell_s is None else float(dwell_s),
        reason="inside",
    )
