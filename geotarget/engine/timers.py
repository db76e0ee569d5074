"""What happens when no ping comes: stays get long enough, pending entries expire, old ones go.

The clock does to all memberships what the walk does before every fix, with the same function, so
it never says anything that the next fix would not have said with the same time and the same id.
Devices with suspects in waiting are left alone: what they mean is not known yet. Nearly all
memberships have nothing to wait for, so who is looked at is told until when he need not be again:
for half a million 0.2 ms, where a look at each every second took 20.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from geotarget.engine.acceptance import waiting_ms
from geotarget.engine.compiled import njit
from geotarget.engine.live_state import ENTERING, EXITING, INSIDE, OUTSIDE, LiveState, Records
from geotarget.engine.phases import EVENT, until
from geotarget.engine.rules import Rules
from geotarget.engine.step import Step, memberships, transitions_of
from geotarget.engine.verdicts import RAW
from geotarget.engine.zone_table import ZoneTable
from geotarget.model import IntArray


@njit()
def _due(
    devices: Records,
    members: Records,
    quiet_ms: IntArray,
    rows: IntArray,
    slots: IntArray,
    zone_of: IntArray,
    zones: Records,
    thresholds: IntArray,
    now_ms: int,
    rules: Any,
) -> IntArray:
    """Return which memberships something may happen to by `now_ms`: cheap, and never too few.

    Of the others it notes until when nothing will, as long as no fix changes them: the last fix of
    a device only ever gets later, and with it all that is reckoned from it. How long an entry may
    wait is not like that, so entries are looked at each time.
    """
    found = np.empty(rows.size, np.int64)
    count = 0
    for t in range(rows.size):
        device = devices[rows[t]]
        if device["suspects"] > 0:
            continue
        member = members[slots[t]]
        quiet = int(device["last_ms"] + 1000.0 * rules["forget_s"])
        if member["phase"] == INSIDE:
            zone = zones[zone_of[t]]
            for k in range(zone["first"], zone["last"]):
                if member["dwelled_s"] < thresholds[k]:
                    quiet = min(quiet, member["since_ms"] + 1000 * thresholds[k] - 1)
        if member["phase"] == ENTERING:
            quiet = min(quiet, int(member["mark_ms"] + waiting_ms(device, rules)))
        quiet = max(quiet, device["last_ms"])
        if quiet < now_ms:
            found[count] = t
            count += 1
        elif member["phase"] != ENTERING:
            quiet_ms[slots[t]] = quiet
    return found[:count]


@njit()
def _next(
    devices: Records,
    tracks: Records,
    row_of: IntArray,
    zone_of: IntArray,
    zones: Records,
    thresholds: IntArray,
    rules: Any,
) -> int:
    """Return the first instant at which `_pass` has an event to emit; -1 if there is none."""
    first = -1
    for t in range(row_of.size):
        device = devices[row_of[t]]
        track = tracks[t]
        zone = zones[zone_of[t]]
        if device["suspects"] > 0:
            continue
        if track["phase"] == ENTERING and zone["pending_enters"]:
            due = track["mark_ms"] + waiting_ms(device, rules) + 1
            if first < 0 or due < first:
                first = due
        if track["phase"] == INSIDE:
            seen_ms = device["last_ms"]
            if zone["policy"] == RAW:
                seen_ms = max(seen_ms, device["seen_ms"])
            for k in range(zone["first"], zone["last"]):
                due = track["since_ms"] + 1000 * thresholds[k]
                fresh = due - seen_ms <= 1000.0 * rules["dwell_timer_s"]
                if track["dwelled_s"] < thresholds[k] and fresh and (first < 0 or due < first):
                    first = due
    return first


@njit()
def _pass(
    devices: Records,
    tracks: Records,
    row_of: IntArray,
    zone_of: IntArray,
    zones: Records,
    thresholds: IntArray,
    now_ms: int,
    rules: Any,
    events: Records,
) -> int:
    """Let time pass for some memberships; updates `tracks`, returns the number of events."""
    count = 0
    for t in range(row_of.size):
        device = devices[row_of[t]]
        zone = zones[zone_of[t]]
        seen_ms = device["last_ms"]
        if zone["policy"] == RAW:
            seen_ms = max(seen_ms, device["seen_ms"])
        latest_ms = min(now_ms, int(device["last_ms"] + 1000.0 * rules["forget_s"]))
        count = until(
            t, tracks[t], zone, thresholds, latest_ms,
            seen_ms, seen_ms, waiting_ms(device, rules), rules, events, count,
        )  # fmt: skip
        if latest_ms < now_ms:
            tracks[t]["phase"] = OUTSIDE
    return count


def settle(state: LiveState, table: ZoneTable, rules: Rules, now_ms: int) -> Step:
    """Work out what the passing of time changes.

    Parameters
    ----------
    state
        What is known; nothing of it is changed but `LiveState.quiet_ms`.
    table
        The zones, with their dwell thresholds.
    rules
        The figures of the rules.
    now_ms
        Up to when, Unix milliseconds. Pings that arrive later but were fixed before this are
        judged as if they came after it, so the caller stays a little behind the clock.

    Returns
    -------
    Step
        With transitions and memberships only.
    """
    figures = rules.record()
    rows, slots = state.awake(now_ms, table, rules)
    zones = table.positions(state.members["zone"][slots])
    known = zones >= 0
    rows, slots, zones = rows[known], slots[known], zones[known]
    due = _due(
        state.devices, state.members, state.quiet_ms, rows, slots, zones,
        table.zones, table.thresholds, now_ms, figures,
    )  # fmt: skip
    rows, slots, zones = rows[due], slots[due], zones[due]
    tracks = state.members[slots]
    before = tracks.copy()
    most = int((table.zones["last"] - table.zones["first"]).max(initial=0))
    events = np.empty(len(due) * (1 + most), EVENT)
    emitted = _pass(
        state.devices, tracks, rows, zones, table.zones, table.thresholds, now_ms, figures, events
    )
    events = events[:emitted]
    inside = tracks["phase"] != OUTSIDE
    put, gone = np.flatnonzero(inside & (tracks != before)), np.flatnonzero(~inside)
    return Step(
        put=memberships(rows[put], slots[put], tracks[put], zones[put], table),
        removed=[(int(rows[t]), int(slots[t]), table.ids[int(zones[t])]) for t in gone.tolist()],
        transitions=transitions_of(
            events, rows[events["track"]], zones[events["track"]], state, table
        ),
    )


def next_due_ms(state: LiveState, table: ZoneTable, rules: Rules) -> int | None:
    """Return when the clock alone will next cause a transition, if no ping comes before.

    Parameters
    ----------
    state, table, rules
        As of `settle`.

    Returns
    -------
    int or None
        Unix milliseconds, the first `now_ms` for which `settle` has a transition; None if there is
        nothing to wait for. What goes without an event (an entry that is dropped, a membership that
        is forgotten) does not count. For whoever works off a recording: to jump from one deadline
        to the next costs one pass over the memberships, to ask every second costs thousands.
    """
    rows, slots = state.occupied()
    zones = table.positions(state.members["zone"][slots])
    known = zones >= 0
    rows, slots, zones = rows[known], slots[known], zones[known]
    tracks = state.members[slots]
    due = _next(state.devices, tracks, rows, zones, table.zones, table.thresholds, rules.record())
    return None if due < 0 else int(due)


def waiting(state: LiveState, rules: Rules, now_ms: int) -> dict[str, int]:
    """Count the memberships that wait for more evidence, and those that no fix confirms.

    Returns
    -------
    dict
        ``entering``, ``exiting`` and ``stale``: inside or leaving, without a fix for
        `Rules.stale_s` seconds.
    """
    rows, slots = state.occupied()
    phase = state.members["phase"][slots]
    silent = now_ms - state.devices["last_ms"][rows] > 1000.0 * rules.stale_s
    return {
        "entering": int((phase == ENTERING).sum()),
        "exiting": int((phase == EXITING).sum()),
        "stale": int(((phase >= INSIDE) & silent).sum()),
    }
