"""The entry rules once more, as plainly as they can be written: the reference for the kernel.

One ping after the other, one zone after the other, dictionaries and shapely. Shares no code with
`geotarget.engine`; only the figures of the rules come from there. Handles the policies, late and
duplicate pings, visits, dwell thresholds and the first-ever flag.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from geotarget.engine.rules import Rules
from geotarget.model import EntryPolicy, Zone
from tests.oracle import signed_distance_m

METRES_PER_DEGREE = 111_195.0


class Ping(NamedTuple):
    """One fix; `acc` None when the device did not say, `id` None without a message id."""

    device: str
    ts_ms: int
    lng: float
    lat: float
    acc: float | None = None
    id: str | None = None


class Event(NamedTuple):
    """One expected transition."""

    kind: str
    device: str
    zone: str
    ts_ms: int
    decided_ms: int
    threshold_s: int | None = None
    initial: bool = False


@dataclass
class Stay:
    """How a device stands to one zone."""

    phase: str = "outside"
    since: int = 0
    mark: int = 0
    outs: int = 0
    dwelled: int = 0
    initial: bool = False


@dataclass
class Device:
    """What is known of one device."""

    last: Ping | None = None
    interval: float = 0.0
    anchors: list[Ping] = field(default_factory=list)
    recent: list[tuple[object, ...]] = field(default_factory=list)
    stays: dict[str, Stay] = field(default_factory=dict)


def metres(a: Ping, b: Ping) -> float:
    """Metres between two fixes on a local plane."""
    dlng = abs(a.lng - b.lng)
    dlng = min(dlng, 360 - dlng)
    return METRES_PER_DEGREE * math.hypot(
        dlng * math.cos(math.radians((a.lat + b.lat) / 2)), a.lat - b.lat
    )


def distance(zone: Zone, ping: Ping) -> float:
    """Return signed metres; a zone whose box is over 5 km away is out of reach of every rule."""
    west, south, east, north = zone.geometry.bounds
    if zone.radius_m is None and east - west < 180:
        far_lat = max(south - ping.lat, ping.lat - north)
        far_lng = max(west - ping.lng, ping.lng - east) * math.cos(math.radians(ping.lat))
        if max(far_lat, far_lng) * METRES_PER_DEGREE > 5_000 > (ping.acc or 0) + 1_000:
            return -math.inf
    return signed_distance_m(zone, lng=ping.lng, lat=ping.lat)


def verdict(d: float, acc: float, depth: float, policy: EntryPolicy, moving: bool, r: Rules) -> str:
    """What one ping says about one zone."""
    if policy is EntryPolicy.RAW:
        return "in" if d >= 0 else "out"
    if d < -(acc + r.exit_buffer_m):
        return "out"
    if moving and d < -acc / 2:
        return "out"
    if policy is EntryPolicy.EAGER:
        return "in" if d >= 0 else "hold"
    if policy is EntryPolicy.STRICT:
        return "in" if d >= acc else "hold"
    if policy is EntryPolicy.CERTAIN:
        return "maybe" if d >= acc else "hold"
    usable = acc <= max(r.arrival_ceiling_m, depth)
    if d >= acc or (usable and d >= depth / 2):
        return "in"
    if usable and d >= r.maybe_share * acc:
        return "maybe"
    return "hold"


def expected(
    pings: Iterable[Ping],
    zones: Sequence[Zone],
    *,
    depth_m: Mapping[str, float],
    rules: Rules | None = None,
    thresholds_s: Mapping[str, Sequence[int]] | None = None,
) -> list[Event]:
    """Return the transitions that pings owe, in order of decision; pings in order of arrival."""
    r = rules or Rules()
    devices: dict[str, Device] = {}
    events: list[Event] = []
    for ping in pings:
        device = devices.setdefault(ping.device, Device())
        key = ("id", ping.id) if ping.id else (ping.ts_ms, ping.lng, ping.lat)
        if key in device.recent[-8:]:
            continue
        if device.last is not None and ping.ts_ms <= device.last.ts_ms:
            continue
        first_ever = device.last is None
        if device.last is not None:
            gap = float(min(ping.ts_ms - device.last.ts_ms, 600_000))
            device.interval = (
                gap if device.interval == 0 else device.interval + 0.2 * (gap - device.interval)
            )
        device.recent.append(key)
        device.last = ping
        if not device.anchors or ping.ts_ms - device.anchors[-1].ts_ms >= 1000 * r.moving_after_s:
            device.anchors = [*device.anchors[-1:], ping]
        acc = ping.acc if ping.acc is not None and ping.acc > 0 else r.unknown_accuracy_m
        moving = len(device.anchors) == 2 and metres(ping, device.anchors[0]) > max(
            r.moving_m, 1.5 * acc
        )
        wait = max(1000 * r.pending_s, r.pending_intervals * device.interval)
        for zone in zones:
            stay = device.stays.setdefault(zone.id, Stay())
            d = distance(zone, ping)
            depth = depth_m[zone.id]
            says = verdict(d, acc, depth, zone.entry, moving, r)
            if stay.phase == "entering" and ping.ts_ms - stay.mark > wait:
                stay.phase = "outside"
            if stay.phase in ("outside", "entering"):
                if says in ("in", "maybe"):
                    if stay.phase == "outside":
                        stay.since, stay.initial = ping.ts_ms, first_ever
                    if says == "in" or stay.phase == "entering":
                        stay.phase, stay.outs, stay.dwelled = "inside", 0, 0
                        events.append(
                            Event(
                                "enter",
                                ping.device,
                                zone.id,
                                stay.since,
                                ping.ts_ms,
                                None,
                                stay.initial,
                            )
                        )
                    else:
                        stay.phase = "entering"
                    stay.mark = ping.ts_ms
                elif stay.phase == "entering" and (
                    says == "out" or (d < 0 and acc <= max(r.arrival_ceiling_m, depth))
                ):
                    stay.phase = "outside"
            elif says == "out":
                if stay.phase == "inside":
                    stay.phase, stay.mark, stay.outs = "exiting", ping.ts_ms, 0
                stay.outs += 1
                if zone.entry is EntryPolicy.RAW or stay.outs >= r.exit_fixes:
                    stay.phase = "outside"
                    events.append(Event("exit", ping.device, zone.id, stay.mark, ping.ts_ms))
            elif says in ("in", "maybe"):
                stay.phase, stay.outs = "inside", 0
            if stay.phase == "inside":
                stayed = (ping.ts_ms - stay.since) // 1000
                for threshold in (thresholds_s or {}).get(zone.id, ()):
                    if stay.dwelled < threshold <= stayed:
                        stay.dwelled = threshold
                        events.append(
                            Event(
                                "dwell",
                                ping.device,
                                zone.id,
                                ping.ts_ms,
                                ping.ts_ms,
                                threshold,
                                stay.initial,
                            )
                        )
    return events
