"""The entry rules themselves: one walk over pings in order, all zones of a device side by side.

A scalar loop, compiled: the rules read like their table, and a (ping, zone) pair costs tens of
nanoseconds. Everything that needs bulk geometry (which zones, how far from their boundary) is
computed before and comes in as arrays; everything that needs strings comes after.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geotarget.engine.compiled import njit
from geotarget.engine.live_state import ENTERING, EXITING, INSIDE, OUTSIDE, RECENT, Records
from geotarget.model import FloatArray, IntArray, KeyArray

BoolArray = NDArray[np.bool_]
Record = Any
"""One row of a structured array; its fields are read and written in place."""

APPLIED, LATE, DUPLICATE = 0, 1, 2
ENTER, DWELL, EXIT = 0, 1, 2
RAW, EAGER, STANDARD, STRICT, CERTAIN = 0, 1, 2, 3, 4
_OUT, _HOLD, _MAYBE_IN, _IN = 0, 1, 2, 3

_METRES_PER_DEGREE = 111_195.0
_SIGMA_PER_ACCURACY = 1.0 / 1.51
_INTERVAL_WEIGHT = 0.2
_LONGEST_INTERVAL_MS = 600_000.0


@njit()
def hop_m(lng_a: float, lat_a: float, lng_b: float, lat_b: float) -> float:
    """Metres between two fixes, on a local plane: good to 1 % below 100 km, which is enough here.

    Longitudes are compared the short way round, so the antimeridian is no wall.
    """
    dlng = abs(lng_a - lng_b)
    if dlng > 180.0:
        dlng = 360.0 - dlng
    dx = dlng * math.cos(math.radians(0.5 * (lat_a + lat_b)))
    dy = lat_a - lat_b
    return math.sqrt(dx * dx + dy * dy) * _METRES_PER_DEGREE


@njit()
def inside_probability(d: float, acc: float) -> float:
    """Probability of being inside at a straight edge `d` metres away, 68 % radius `acc`."""
    sigma = acc * _SIGMA_PER_ACCURACY
    return 0.5 * (1.0 + math.erf(d / (sigma * math.sqrt(2.0))))


@njit()
def _verdict(
    d: float,
    acc: float,
    depth: float,
    policy: int,
    moving: bool,
    rules: Record,
) -> int:
    """Tell what one ping says about one zone; the order of the tests is part of the rules."""
    if policy == RAW:
        return _IN if d >= 0.0 else _OUT
    if d < -(acc + rules["exit_buffer_m"]) or (moving and d < -0.5 * acc):
        return _OUT
    if policy == EAGER:
        return _IN if d >= 0.0 else _HOLD
    if policy == STRICT:
        return _IN if d >= acc else _HOLD
    if policy == CERTAIN:
        return _MAYBE_IN if d >= acc else _HOLD
    ceiling = max(rules["arrival_ceiling_m"], depth)
    if d >= acc or (acc <= ceiling and d >= 0.5 * depth):
        return _IN
    if d >= rules["maybe_share"] * acc and acc <= ceiling:
        return _MAYBE_IN
    return _HOLD


@njit()
def _intake(device: Record, ts: int, key: int) -> int:
    """Tell whether a ping is new, late, or was applied before."""
    if device["known"] == 0:
        return APPLIED
    for k in range(RECENT):
        if device["recent"][k] == key:
            return DUPLICATE
    return LATE if ts <= device["last_ms"] else APPLIED


@njit()
def _remember(
    device: Record, ts: int, lng: float, lat: float, acc: float, key: int, rules: Record
) -> bool:
    """Take a ping into the device's record; returns whether the device is on the move."""
    if device["known"] != 0:
        gap = min(float(ts - device["last_ms"]), _LONGEST_INTERVAL_MS)
        if device["interval_ms"] == 0.0:
            device["interval_ms"] = gap
        else:
            device["interval_ms"] += _INTERVAL_WEIGHT * (gap - device["interval_ms"])
    after_ms = 1000.0 * rules["moving_after_s"]
    if device["next_ms"] == 0:
        device["next_ms"] = ts
        device["next_lng"] = lng
        device["next_lat"] = lat
    elif ts - device["next_ms"] >= after_ms:
        device["old_ms"] = device["next_ms"]
        device["old_lng"] = device["next_lng"]
        device["old_lat"] = device["next_lat"]
        device["next_ms"] = ts
        device["next_lng"] = lng
        device["next_lat"] = lat
    moving = False
    if device["old_ms"] != 0:
        displaced = hop_m(lng, lat, device["old_lng"], device["old_lat"])
        moving = displaced > max(rules["moving_m"], 1.5 * acc)
    device["known"] = 1
    device["last_ms"] = ts
    device["last_lng"] = lng
    device["last_lat"] = lat
    device["last_acc"] = acc
    device["recent"][device["position"]] = key
    device["position"] = (device["position"] + 1) % RECENT
    return moving


@njit()
def walk(
    device_of: IntArray,
    ts: IntArray,
    lng: FloatArray,
    lat: FloatArray,
    acc: FloatArray,
    key: KeyArray,
    devices: Records,
    track_start: IntArray,
    tracks: Records,
    pair_start: IntArray,
    pair_d: FloatArray,
    zone_of: IntArray,
    policy_of: IntArray,
    depth_of: FloatArray,
    threshold_start: IntArray,
    thresholds: IntArray,
    rules: Record,
    status: IntArray,
    dirty: BoolArray,
    event_track: IntArray,
    event_kind: IntArray,
    event_ms: IntArray,
    decided_ms: IntArray,
    start_ms: IntArray,
    event_p: FloatArray,
    event_threshold: IntArray,
    event_initial: BoolArray,
) -> int:
    """Apply pings in order; update `devices`, `tracks`, `status`, `dirty`; fill events.

    Parameters
    ----------
    device_of, ts, lng, lat, acc, key
        Shape (n,): pings sorted by (device, fix time, accuracy); `device_of` is a position in
        `devices`.
    devices, tracks
        Records to update in place; the tracks of device i are
        ``tracks[track_start[i]:track_start[i + 1]]``, one a zone that matters in this batch.
    pair_start, pair_d
        ``pair_d[pair_start[i] + k]``: signed metres from ping i to the k-th zone of its device.
    zone_of
        The zone of each track; the following are per zone.
    policy_of, depth_of
        Entry policy; depth in metres.
    threshold_start, thresholds
        Dwell thresholds in seconds, ascending.
    rules
        One record with the figures of `Rules`.
    status, dirty
        Out: what became of each ping; which tracks changed.
    event_*
        Out: room for all events.

    Returns
    -------
    int
        The number of events.
    """
    events = 0
    for i in range(ts.size):
        device = devices[device_of[i]]
        status[i] = _intake(device, ts[i], key[i])
        if status[i] != APPLIED:
            continue
        first_ever = device["known"] == 0
        moving = _remember(device, ts[i], lng[i], lat[i], acc[i], key[i], rules)
        wait_ms = max(
            1000.0 * rules["pending_s"], rules["pending_intervals"] * device["interval_ms"]
        )
        first = track_start[device_of[i]]
        for t in range(first, track_start[device_of[i] + 1]):
            track = tracks[t]
            zone = zone_of[t]
            policy, depth = policy_of[zone], depth_of[zone]
            d = pair_d[pair_start[i] + t - first]
            verdict = _verdict(d, acc[i], depth, policy, moving, rules)
            phase = track["phase"]
            happened = -1
            at = ts[i]
            if phase == OUTSIDE or phase == ENTERING:
                if phase == ENTERING and ts[i] - track["mark_ms"] > wait_ms:
                    phase = OUTSIDE
                if verdict >= _MAYBE_IN:
                    if phase == OUTSIDE:
                        track["since_ms"] = ts[i]
                        track["initial"] = 1 if first_ever else 0
                    if verdict == _IN or phase == ENTERING:
                        phase = INSIDE
                        happened = ENTER
                        at = track["since_ms"]
                        track["dwelled_s"] = 0
                        track["outside"] = 0
                    else:
                        phase = ENTERING
                    track["mark_ms"] = ts[i]
                elif phase == ENTERING and (
                    verdict == _OUT
                    or (d < 0.0 and acc[i] <= max(rules["arrival_ceiling_m"], depth))
                ):
                    phase = OUTSIDE
            elif verdict == _OUT:
                if phase == INSIDE:
                    phase = EXITING
                    track["mark_ms"] = ts[i]
                    track["outside"] = 0
                track["outside"] += 1
                if policy == RAW or track["outside"] >= rules["exit_fixes"]:
                    phase = OUTSIDE
                    happened = EXIT
                    at = track["mark_ms"]
            elif verdict >= _MAYBE_IN:
                phase = INSIDE
                track["outside"] = 0
            if phase != track["phase"] or phase == EXITING or phase == ENTERING:
                dirty[t] = True
            track["phase"] = phase
            if happened >= 0:
                inside = inside_probability(d, acc[i])
                event_track[events] = t
                event_kind[events] = happened
                event_ms[events] = at
                decided_ms[events] = ts[i]
                start_ms[events] = track["since_ms"]
                event_p[events] = inside if happened == ENTER else 1.0 - inside
                event_threshold[events] = -1
                event_initial[events] = happened == ENTER and track["initial"] == 1
                events += 1
            if phase == INSIDE:
                stayed_s = (ts[i] - track["since_ms"]) // 1000
                for k in range(threshold_start[zone], threshold_start[zone + 1]):
                    if track["dwelled_s"] < thresholds[k] <= stayed_s:
                        track["dwelled_s"] = thresholds[k]
                        dirty[t] = True
                        event_track[events] = t
                        event_kind[events] = DWELL
                        event_ms[events] = ts[i]
                        decided_ms[events] = ts[i]
                        start_ms[events] = track["since_ms"]
                        event_p[events] = inside_probability(d, acc[i])
                        event_threshold[events] = thresholds[k]
                        event_initial[events] = track["initial"] == 1
                        events += 1
    return events
