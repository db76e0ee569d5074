"""Which pings become fixes, and when: duplicates, late pings, and the jump gate.

Multipath makes a phone claim a place hundreds of metres away with a radius of a few metres, so a
radius alone can't be believed. A ping that lies further from the last fix than the device's recent
speed explains waits as a suspect until others agree with it: then all of them become fixes at once,
each with its own time. A plain speed limit does not do it: 400 m in 15 s is a car.

A scalar loop over the pings of a batch in order, compiled; about 50 ns a ping. It knows nothing of
zones. Policy `raw` believes every ping at once, so a suspect comes out as a fix for those zones
and, if it is accepted later, once more for all others.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from geotarget.engine.compiled import njit
from geotarget.engine.distances import hop_m
from geotarget.engine.live_state import RECENT, Records
from geotarget.engine.rules import MOST_SUSPECTS
from geotarget.engine.stance import AT_REST, ON_ITS_WAY, STRAY, stand
from geotarget.model import FloatArray, IntArray, KeyArray

Record = Any
"""One row of a structured array; its fields are read and written in place."""

APPLIED, LATE, DUPLICATE, SUSPECT = 0, 1, 2, 3
STATUS = ("applied", "late", "duplicate", "suspect")
RAW_ZONES, OTHER_ZONES, ALL_ZONES = 1, 2, 3

FIX = np.dtype(
    [
        ("ping", "i8"),  # position in the batch, sorted; -1: a suspect of an earlier batch
        ("device", "i8"),
        ("ms", "i8"),
        ("decided_ms", "i8"),  # fix time of the ping that made it one
        ("lng", "f8"),
        ("lat", "f8"),
        ("acc", "f8"),
        ("zones", "i8"),  # RAW_ZONES, OTHER_ZONES or ALL_ZONES: who sees it
        ("at_lng", "f8"),  # where zones judge it, but raw ones: the same, or the mean at rest
        ("at_lat", "f8"),
        ("at_acc", "f8"),
        ("stance", "i8"),  # of `stance`
        ("straight", "?"),  # fast, and not there and back again
        ("moving", "?"),
        ("first", "?"),  # the device's first ping ever
        ("way", "?"),  # far enough from the fix before, and soon enough, for zones between them
        ("forgotten", "?"),  # so long after the one before that memberships are forgotten
        ("wait_ms", "i8"),  # how long a pending entry of the device waits
        ("seen_ms", "i8"),  # the ping in order before this one
        ("from_ms", "i8"),  # the accepted fix before this one
        ("from_decided_ms", "i8"),
        ("from_lng", "f8"),
        ("from_lat", "f8"),
        ("from_acc", "f8"),
    ]
)

_NEARLY = 0.97
"""`hop_m` is off by less than this leaves room for."""

_INTERVAL_WEIGHT = 0.2
_LONGEST_INTERVAL_MS = 600_000.0


@njit()
def net_speed(
    ms: int, lng: float, lat: float, acc: float,
    from_ms: int, from_lng: float, from_lat: float, from_acc: float,
) -> float:  # fmt: skip
    """Metres a second that two fixes need at least, half of both accuracies granted."""
    net = hop_m(lng, lat, from_lng, from_lat) - 0.5 * (acc + from_acc)
    return max(0.0, net) / (0.001 * (ms - from_ms))


@njit()
def waiting_ms(device: Record, rules: Record) -> int:
    """Return how long a pending entry of a device waits for more evidence."""
    return int(max(1000.0 * rules["pending_s"], rules["pending_intervals"] * device["interval_ms"]))


@njit()
def _is_moving(device: Record, ms: int, lng: float, lat: float, acc: float, rules: Record) -> bool:
    """Keep a fix for later comparison; tell whether the device left the one that was kept."""
    if device["next_ms"] == 0:
        device["next_ms"] = ms
        device["next_lng"] = lng
        device["next_lat"] = lat
        device["next_acc"] = acc
    elif ms - device["next_ms"] >= 1000.0 * rules["moving_after_s"]:
        device["old_ms"] = device["next_ms"]
        device["old_lng"] = device["next_lng"]
        device["old_lat"] = device["next_lat"]
        device["old_acc"] = device["next_acc"]
        device["next_ms"] = ms
        device["next_lng"] = lng
        device["next_lat"] = lat
        device["next_acc"] = acc
    if device["old_ms"] == 0:
        return False
    displaced = hop_m(lng, lat, device["old_lng"], device["old_lat"])
    least = rules["moving_share"] * max(acc, device["old_acc"])
    return bool(displaced > max(rules["moving_m"], least))


@njit()
def _accept(fix: Record, device: Record, rules: Record) -> None:
    """Complete a fix from its device's record, and take it into the record."""
    ms, lng, lat, acc = fix["ms"], fix["lng"], fix["lat"], fix["acc"]
    fix["first"] = device["known"] == 0
    fix["wait_ms"] = waiting_ms(device, rules)
    fix["from_ms"] = fix["from_decided_ms"] = device["last_ms"]
    fix["from_lng"] = device["last_lng"]
    fix["from_lat"] = device["last_lat"]
    fix["from_acc"] = device["last_acc"]
    fix["forgotten"] = False
    fix["way"] = False
    if device["known"] != 0:
        gap_ms = float(ms - device["last_ms"])
        hop = hop_m(lng, lat, device["last_lng"], device["last_lat"])
        soon = gap_ms <= 1000.0 * rules["crossed_gap_s"]
        fix["way"] = soon and hop > _NEARLY * max(acc, device["last_acc"])
        fix["forgotten"] = gap_ms > 1000.0 * rules["forget_s"]
        speed = net_speed(
            ms, lng, lat, acc,
            device["last_ms"], device["last_lng"], device["last_lat"], device["last_acc"],
        )  # fmt: skip
        share = 1.0 - math.exp(-0.001 * gap_ms / rules["jump_memory_s"])
        device["speed"] = min(
            device["speed"] + share * (speed - device["speed"]), rules["jump_most_m_s"]
        )
        gap_ms = min(gap_ms, _LONGEST_INTERVAL_MS)
        if device["interval_ms"] == 0.0:
            device["interval_ms"] = gap_ms
        else:
            device["interval_ms"] += _INTERVAL_WEIGHT * (gap_ms - device["interval_ms"])
    stand(fix, device, rules)
    if fix["stance"] == AT_REST or fix["stance"] == STRAY:
        fix["way"] = False  # a device at rest goes nowhere, however far its fixes lie apart
    fix["moving"] = _is_moving(device, ms, lng, lat, acc, rules)
    if device["known"] != 0:
        device["before_lng"] = device["last_lng"]
        device["before_lat"] = device["last_lat"]
        device["before_acc"] = device["last_acc"]
    device["known"] = 1
    device["last_ms"] = ms
    device["last_lng"] = lng
    device["last_lat"] = lat
    device["last_acc"] = acc


@njit()
def _is_suspect(device: Record, ms: int, lng: float, lat: float, acc: float, rules: Record) -> bool:
    """Tell whether a ping lies further from the last fix than the device's speed explains."""
    if device["known"] == 0:
        return False
    speed = net_speed(
        ms, lng, lat, acc,
        device["last_ms"], device["last_lng"], device["last_lat"], device["last_acc"],
    )  # fmt: skip
    return bool(speed > max(rules["jump_speed_m_s"], rules["jump_factor"] * device["speed"]))


@njit()
def _go_on(device: Record, ms: int, lng: float, lat: float, acc: float, rules: Record) -> bool:
    """Tell whether the suspect that waits lies on the way to this one."""
    first_lng, first_lat = device["suspect_lng"][0], device["suspect_lat"][0]
    step = hop_m(lng, lat, first_lng, first_lat)
    if step <= 0.5 * (acc + device["suspect_acc"][0]):
        return False
    way = step + hop_m(first_lng, first_lat, device["last_lng"], device["last_lat"])
    if way > rules["jump_bend"] * hop_m(lng, lat, device["last_lng"], device["last_lat"]):
        return False
    speed = net_speed(
        ms, lng, lat, acc,
        device["last_ms"], device["last_lng"], device["last_lat"], device["last_acc"],
    )  # fmt: skip
    return bool(speed <= rules["jump_line_m_s"])


@njit()
def _is_believed(
    device: Record, ms: int, lng: float, lat: float, acc: float, rules: Record
) -> bool:
    """Tell whether a suspect and those that wait are enough; drops those that disagree with it."""
    count = device["suspects"]
    if count > 0:
        last = count - 1
        speed = net_speed(
            ms, lng, lat, acc,
            device["suspect_ms"][last], device["suspect_lng"][last],
            device["suspect_lat"][last], device["suspect_acc"][last],
        )  # fmt: skip
        if speed > rules["jump_most_m_s"]:
            count = device["suspects"] = 0
    if count + 1 >= rules["jump_fixes"]:
        return True
    if count == 0:
        return False
    if ms - device["suspect_ms"][0] >= 1000.0 * rules["jump_span_s"]:
        return True
    return count == 1 and _go_on(device, ms, lng, lat, acc, rules)


@njit()
def _in_order(device: Record, ms: int, key: int) -> int:
    """Tell whether a ping is new, late or a repetition; a new one is remembered."""
    if device["known"] != 0:
        for k in range(RECENT):
            if device["recent"][k] == key:
                return DUPLICATE
        if ms <= max(device["seen_ms"], device["last_ms"]):
            return LATE
    device["recent"][device["position"]] = key
    device["position"] = (device["position"] + 1) % RECENT
    device["seen_ms"] = ms
    return APPLIED


@njit()
def _fill(
    fix: Record, ping: int, device: int, ms: int, lng: float, lat: float, acc: float,
    zones: int, decided_ms: int, seen_ms: int,
) -> None:  # fmt: skip
    """Write what a fix has of its ping."""
    fix["ping"] = ping
    fix["device"] = device
    fix["ms"] = ms
    fix["decided_ms"] = decided_ms
    fix["lng"] = lng
    fix["lat"] = lat
    fix["acc"] = acc
    fix["zones"] = zones
    fix["seen_ms"] = seen_ms
    fix["at_lng"] = lng
    fix["at_lat"] = lat
    fix["at_acc"] = acc
    fix["stance"] = ON_ITS_WAY
    fix["straight"] = False


@njit()
def _only_seen(fix: Record, device: Record, rules: Record) -> None:
    """Complete the fix of a suspect, which changes nothing but what zones without a gate know."""
    fix["first"] = False
    fix["moving"] = False
    fix["way"] = False
    fix["forgotten"] = False
    fix["wait_ms"] = waiting_ms(device, rules)
    fix["from_ms"] = fix["seen_ms"]


@njit()
def _wait(device: Record, ms: int, lng: float, lat: float, acc: float) -> int:
    """Let a suspect wait for others; returns its place among them."""
    place = device["suspects"]
    device["suspect_ms"][place] = ms
    device["suspect_lng"][place] = lng
    device["suspect_lat"][place] = lat
    device["suspect_acc"][place] = acc
    device["suspects"] = place + 1
    return int(place)


@njit()
def accept(
    device_of: IntArray,
    ts: IntArray,
    lng: FloatArray,
    lat: FloatArray,
    acc: FloatArray,
    key: KeyArray,
    devices: Records,
    rules: Record,
    status: IntArray,
    fixes: Records,
) -> int:
    """Turn pings into fixes; update `devices` and `status`, fill `fixes`.

    Parameters
    ----------
    device_of, ts, lng, lat, acc, key
        Shape (n,): pings sorted by (device, fix time, accuracy); `device_of` is a position in
        `devices`.
    devices
        Records of `DEVICE`, updated in place.
    rules
        One record with the figures of `Rules`.
    status
        Out, shape (n,): `APPLIED`, `LATE`, `DUPLICATE` or `SUSPECT`.
    fixes
        Out: room for two fixes a ping and `MOST_SUSPECTS` a device, records of `FIX`.

    Returns
    -------
    int
        The number of fixes: in the order in which they are to be applied.
    """
    count = 0
    before = -1
    waiting = np.empty(MOST_SUSPECTS, np.int64)
    for i in range(ts.size):
        at = device_of[i]
        device = devices[at]
        if at != before:
            before = at
            for k in range(MOST_SUSPECTS):
                waiting[k] = -1
        seen_ms = max(device["seen_ms"], device["last_ms"])
        status[i] = _in_order(device, ts[i], key[i])
        if status[i] != APPLIED:
            continue
        if not _is_suspect(device, ts[i], lng[i], lat[i], acc[i], rules):
            device["suspects"] = 0
            _fill(fixes[count], i, at, ts[i], lng[i], lat[i], acc[i], ALL_ZONES, ts[i], seen_ms)
            _accept(fixes[count], device, rules)
            count += 1
            continue
        _fill(fixes[count], i, at, ts[i], lng[i], lat[i], acc[i], RAW_ZONES, ts[i], seen_ms)
        _only_seen(fixes[count], device, rules)
        count += 1
        if not _is_believed(device, ts[i], lng[i], lat[i], acc[i], rules):
            status[i] = SUSPECT
            waiting[_wait(device, ts[i], lng[i], lat[i], acc[i])] = i
            continue
        for k in range(device["suspects"]):
            _fill(
                fixes[count], waiting[k], at,
                device["suspect_ms"][k], device["suspect_lng"][k],
                device["suspect_lat"][k], device["suspect_acc"][k],
                OTHER_ZONES, ts[i], seen_ms,
            )  # fmt: skip
            _accept(fixes[count], device, rules)
            if k > 0:
                fixes[count]["from_decided_ms"] = ts[i]
            if waiting[k] >= 0:
                status[waiting[k]] = APPLIED
            count += 1
        _fill(fixes[count], i, at, ts[i], lng[i], lat[i], acc[i], OTHER_ZONES, ts[i], seen_ms)
        _accept(fixes[count], device, rules)
        if device["suspects"] > 0:
            fixes[count]["from_decided_ms"] = ts[i]
        device["suspects"] = 0
        count += 1
    return count
