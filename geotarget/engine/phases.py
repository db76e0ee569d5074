"""The entry rules themselves: one walk over fixes in order, all zones of a device side by side.

A scalar loop, compiled: the rules read like their table, and a (fix, zone) costs tens of
nanoseconds. Everything that needs bulk geometry (which zones, how far from their boundary) is
computed before and comes in as arrays; everything that needs strings comes after.

Time passes in one place, `_until`: the walk calls it before every fix, the clock (`timers`) when no
fix comes. So what a deadline causes has the same time and the same id live and in a backtest.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geotarget.engine.acceptance import OTHER_ZONES, RAW_ZONES
from geotarget.engine.compiled import njit
from geotarget.engine.live_state import ENTERING, EXITING, INSIDE, OUTSIDE, Records
from geotarget.engine.stance import FAST
from geotarget.engine.verdicts import (
    IN,
    MAYBE_IN,
    MOVING,
    OUT,
    RAW,
    TIMER,
    inside_probability,
    judge,
    verdict,
)
from geotarget.model import FloatArray, IntArray

BoolArray = NDArray[np.bool_]
Record = Any
"""One row of a structured array; its fields are read and written in place."""

ENTER, DWELL, EXIT, CROSSED = 0, 1, 2, 3
BLINK = 4
"""An exit that was pending, confirmed by the entry after it."""
PHASES = ("outside", "entering", "inside", "exiting")

ZONE = np.dtype(
    [
        ("policy", "i8"),
        ("depth", "f8"),  # 2 · area / perimeter, metres
        ("buffer", "f8"),  # of the exit, metres; NaN: the rules'
        ("pending_enters", "?"),
        ("revision", "i8"),
        ("first", "i8"),  # its dwell thresholds: a stretch of the list of all
        ("last", "i8"),
    ]
)

EVENT = np.dtype(
    [
        ("track", "i8"),
        ("kind", "i8"),
        ("ms", "i8"),
        ("decided_ms", "i8"),
        ("turn_ms", "i8"),  # its place among events that were decided at one time
        ("start_ms", "i8"),
        ("end_ms", "i8"),
        ("threshold", "i8"),  # -1: none
        ("initial", "?"),
        ("p", "f8"),
        ("weak", "?"),  # confidence 1, whatever p says
        ("finding", "i8"),
        ("d", "f8"),  # NaN where no fix decided
        ("acc", "f8"),
        ("lng", "f8"),  # of the fix as it was reported; NaN where none decided
        ("lat", "f8"),
        ("fix_acc", "f8"),
    ]
)


@njit()
def _emit(
    event: Record, t: int, track: Record, kind: int, at_ms: int, turn_ms: int, decided_ms: int
) -> None:
    """Fill in what all events have; those that a fix decides get more from `_show`."""
    event["track"] = t
    event["kind"] = kind
    event["ms"] = at_ms
    event["end_ms"] = at_ms
    event["decided_ms"] = decided_ms
    event["turn_ms"] = turn_ms
    event["p"] = track["p"]
    event["start_ms"] = track["since_ms"]
    event["threshold"] = -1
    event["initial"] = kind != EXIT and track["initial"] == 1
    event["weak"] = False
    event["finding"] = TIMER
    event["d"] = math.nan
    event["acc"] = math.nan
    event["lng"] = math.nan
    event["lat"] = math.nan
    event["fix_acc"] = math.nan


@njit()
def _show(event: Record, d: float, acc: float, finding: int, fix: Record) -> None:
    """Add what the deciding fix showed."""
    inside = inside_probability(d, acc)
    event["p"] = 1.0 - inside if event["kind"] == EXIT else inside
    event["finding"] = finding
    event["d"] = d
    event["acc"] = acc
    event["lng"] = fix["lng"]
    event["lat"] = fix["lat"]
    event["fix_acc"] = fix["acc"]


@njit()
def until(
    t: int,
    track: Record,
    zone: Record,
    thresholds: IntArray,
    now_ms: int,
    seen_ms: int,
    seen_decided_ms: int,
    wait_ms: int,
    rules: Record,
    events: Records,
    count: int,
) -> int:
    """Let time pass for one membership, up to and with `now_ms`; returns the number of events.

    A pending entry expires; a stay reaches its thresholds while the last fix (`seen_ms`) is fresh.
    Nothing is decided before the last fix was (`seen_decided_ms`).
    """
    earliest = seen_decided_ms
    turn_ms = 0
    end_ms = track["mark_ms"] + wait_ms
    if track["phase"] == ENTERING and now_ms > end_ms:
        track["phase"] = OUTSIDE
        if zone["pending_enters"]:
            track["phase"] = INSIDE
            track["dwelled_s"] = 0
            track["outside"] = 0
            earliest = max(earliest, end_ms)
            turn_ms = end_ms
            _emit(events[count], t, track, ENTER, track["since_ms"], end_ms, earliest)
            events[count]["weak"] = True
            count += 1
    if track["phase"] == INSIDE:
        for k in range(zone["first"], zone["last"]):
            due = track["since_ms"] + 1000 * thresholds[k]
            fresh = due - seen_ms <= 1000.0 * rules["dwell_timer_s"]
            if track["dwelled_s"] < thresholds[k] and due <= now_ms and fresh:
                track["dwelled_s"] = thresholds[k]
                _emit(events[count], t, track, DWELL, due, max(due, turn_ms), max(due, earliest))
                events[count]["threshold"] = thresholds[k]
                count += 1
    return count


@njit()
def _apply(
    track: Record, finding: int, d: float, acc: float, fix: Record, zone: Record, rules: Record
) -> int:
    """Move one membership by one fix; returns what happened, or -1."""
    says = verdict(finding)
    phase = track["phase"]
    if phase == OUTSIDE or phase == ENTERING:
        if says >= MAYBE_IN:
            track["p"] = inside_probability(d, acc)
            if phase == OUTSIDE:
                track["since_ms"] = fix["ms"]
                track["initial"] = 1 if fix["first"] else 0
            track["mark_ms"] = fix["ms"]
            waited_s = 0.001 * (fix["ms"] - track["since_ms"])
            if says == IN or (phase == ENTERING and waited_s >= rules["pending_least_s"]):
                track["phase"] = INSIDE
                track["dwelled_s"] = 0
                track["outside"] = 0
                return ENTER
            track["phase"] = ENTERING
        elif phase == ENTERING:
            usable = acc <= max(rules["arrival_ceiling_m"], zone["depth"])
            if says == OUT or (d < 0.0 and usable):
                track["phase"] = OUTSIDE
    elif says == OUT:
        if phase == INSIDE:
            track["phase"] = EXITING
            track["mark_ms"] = fix["ms"]
            track["outside"] = 0
            clear = fix["stance"] == FAST and d < -rules["clear_share"] * acc
            track["left"] = 1 if clear else 0
        track["outside"] += 1
        enough = track["outside"] >= rules["exit_fixes"]
        if finding == MOVING and d >= -rules["clear_share"] * acc:
            enough = enough and fix["ms"] - track["mark_ms"] >= 1000.0 * rules["exit_least_s"]
        if zone["policy"] == RAW or enough:
            track["phase"] = OUTSIDE
            return EXIT
    elif says >= MAYBE_IN:
        blinked = (
            phase == EXITING
            and track["left"] == 1
            and fix["straight"]
            and track["outside"] == 1
            and track["mark_ms"] == fix["from_ms"]
        )
        track["phase"] = INSIDE
        track["outside"] = 0
        if blinked:
            return BLINK
    return -1


@njit()
def walk(
    fixes: Records,
    track_start: IntArray,
    tracks: Records,
    zone_of: IntArray,
    pair_start: IntArray,
    pair_d: FloatArray,
    zones: Records,
    thresholds: IntArray,
    rules: Record,
    dirty: BoolArray,
    findings: IntArray,
    before: IntArray,
    after: IntArray,
    events: Records,
) -> int:
    """Apply fixes in order; update `tracks`, fill the rest.

    Parameters
    ----------
    fixes
        Records of `FIX`, in order, device by device.
    track_start, tracks, zone_of
        The memberships of device i, present or possible, are
        ``tracks[track_start[i]:track_start[i + 1]]``; the zone of each.
    pair_start, pair_d
        ``pair_d[pair_start[f] + k]``: signed metres from fix f to the k-th zone of its device.
    zones, thresholds
        Records of `ZONE`; dwell thresholds in seconds, ascending in each zone.
    rules
        One record with the figures of `Rules`.
    dirty
        Out: which tracks changed.
    findings, before, after
        Out, a pair each: what the fix said (-1: that zone did not see it), and the phases.
    events
        Out: room for two a pair and two a pair and threshold.

    Returns
    -------
    int
        The number of events.
    """
    count = 0
    for f in range(fixes.size):
        fix = fixes[f]
        first = track_start[fix["device"]]
        for t in range(first, track_start[fix["device"] + 1]):
            pair = pair_start[f] + t - first
            track = tracks[t]
            zone = zones[zone_of[t]]
            was, since_ms, mark_ms = track["phase"], track["since_ms"], track["mark_ms"]
            before[pair] = after[pair] = was
            findings[pair] = -1
            raw = zone["policy"] == RAW
            if fix["zones"] & (RAW_ZONES if raw else OTHER_ZONES) == 0:
                continue
            if was != OUTSIDE:
                last_ms = fix["ms"]
                if fix["forgotten"]:
                    last_ms = int(fix["from_ms"] + 1000.0 * rules["forget_s"])
                passed = until(
                    t, track, zone, thresholds, last_ms,
                    fix["seen_ms"] if raw else fix["from_ms"],
                    fix["seen_ms"] if raw else fix["from_decided_ms"],
                    fix["wait_ms"], rules, events, count,
                )  # fmt: skip
                dirty[t] = dirty[t] or passed > count
                count = passed
                if fix["forgotten"]:
                    track["phase"] = OUTSIDE
                before[pair] = track["phase"]
            d = pair_d[pair]
            acc = fix["acc"] if raw else fix["at_acc"]
            buffer = rules["exit_buffer_m"] if math.isnan(zone["buffer"]) else zone["buffer"]
            finding = judge(
                d, acc, fix["stance"], fix["moving"], zone["policy"], zone["depth"], buffer, rules
            )
            happened = _apply(track, finding, d, acc, fix, zone, rules)
            findings[pair] = finding
            after[pair] = track["phase"]
            changed = track["phase"] != was or track["since_ms"] != since_ms
            changed = changed or track["mark_ms"] != mark_ms
            if changed or (was == EXITING and verdict(finding) == OUT):
                track["revision"] = zone["revision"]
                dirty[t] = True
            if happened == BLINK:
                _emit(events[count], t, track, EXIT, track["mark_ms"], fix["ms"], fix["decided_ms"])
                _show(events[count], d, acc, finding, fix)
                count += 1
                track["since_ms"] = track["mark_ms"] = fix["ms"]
                track["initial"] = 0
                track["dwelled_s"] = 0
                track["p"] = inside_probability(d, acc)
                happened = ENTER
            if happened >= 0:
                at_ms = track["mark_ms"] if happened == EXIT else track["since_ms"]
                _emit(events[count], t, track, happened, at_ms, fix["ms"], fix["decided_ms"])
                _show(events[count], d, acc, finding, fix)
                count += 1
            if track["phase"] == INSIDE:
                for k in range(zone["first"], zone["last"]):
                    due = track["since_ms"] + 1000 * thresholds[k]
                    if track["dwelled_s"] < thresholds[k] and due <= fix["ms"]:
                        track["dwelled_s"] = thresholds[k]
                        dirty[t] = True
                        _emit(events[count], t, track, DWELL, due, fix["ms"], fix["decided_ms"])
                        _show(events[count], d, acc, finding, fix)
                        events[count]["threshold"] = thresholds[k]
                        count += 1
    return count
