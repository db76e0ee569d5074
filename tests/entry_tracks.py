"""Tracks that people can read: from metres and seconds to zones, pings and what happens to them.

`tests/tracks/README.md` lists the fields. A `Track` is played to a player: the plain reference, or
the engine (`tests.entry_engine`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from geotarget.engine.rules import Rules
from geotarget.geojson import parse_zone
from geotarget.model import Zone
from tests.entry_evidence import Ping
from tests.entry_oracle import Reference

TRACKS = sorted((Path(__file__).parent / "tracks").glob("*.json"))
HELSINKI = (24.94, 60.17)

PLAIN = Rules(
    exit_buffer_m=20, deep_share=1, maybe_share=0.25, pending_least_s=0, exit_least_s=0,
    moving_m=25, moving_share=1.5, moving_out_share=0.5, jump_speed_m_s=3, jump_factor=2.5,
    jump_fixes=3, jump_bend=0, rest_after_s=1e9, fast_hop=1e9, fast_hops=1e9, blink_bend=0,
)  # fmt: skip
"""The rules without the device's stance: what the fixes say, one by one."""

START_MS = 1_767_225_600_000
"""Second 0 of every track: 2026-01-01T00:00:00Z."""


class Plane:
    """Metres east and north of an origin."""

    def __init__(self, origin: tuple[float, float] = HELSINKI) -> None:
        self.lng, self.lat = origin
        self.per_lat = 111_132.95 - 559.85 * math.cos(2 * math.radians(self.lat))
        self.per_lng = 111_412.88 * math.cos(math.radians(self.lat)) - 93.5 * math.cos(
            3 * math.radians(self.lat)
        )

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return (lng, lat), with longitudes in ±180."""
        lng = self.lng + x / self.per_lng
        return (lng - 360 if lng > 180 else lng, self.lat + y / self.per_lat)

    def ring(self, rect: Sequence[float]) -> list[list[float]]:
        """Return the closed ring of [x0, y0, x1, y1]; longitudes may pass 180."""
        x0, y0, x1, y1 = rect
        corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]
        return [[self.lng + x / self.per_lng, self.lat + y / self.per_lat] for x, y in corners]


def zone_of(spec: dict[str, Any], plane: Plane, *, key: int = 1, revision: int = 1) -> Zone:
    """Return the zone that a track describes."""
    properties = {"entry": spec.get("entry", "standard"), "priority": spec.get("priority", 0)}
    geometry: dict[str, Any]
    if "circle" in spec:
        x, y, properties["radius_m"] = spec["circle"]
        geometry = {"type": "Point", "coordinates": list(plane.at(x, y))}
    elif "rects" in spec:
        rings = [[plane.ring(rect)] for rect in spec["rects"]]
        geometry = {"type": "MultiPolygon", "coordinates": rings}
    else:
        holes = [plane.ring(spec["hole"])[::-1]] if "hole" in spec else []
        geometry = {"type": "Polygon", "coordinates": [plane.ring(spec["rect"]), *holes]}
    feature = {"type": "Feature", "id": spec["id"], "properties": properties, "geometry": geometry}
    return replace(
        parse_zone(feature),
        pending_enters=spec.get("pending", "drop") == "enter",
        exit_buffer_m=spec.get("exit_buffer_m"),
        starts_ms=START_MS + 1000 * spec["starts"] if "starts" in spec else None,
        ends_ms=START_MS + 1000 * spec["ends"] if "ends" in spec else None,
        key=key,
        revision=revision,
    )


@dataclass(frozen=True)
class Item:
    """One thing that happens: pings that arrive together, a look at the clock, an edit, a restart.

    `status` has one entry for each ping, empty where the track doesn't say; `zones` are all zones
    after an edit.
    """

    pings: tuple[Ping, ...] = ()
    status: tuple[str, ...] = ()
    clock_ms: int | None = None
    restart: bool = False
    zones: tuple[Zone, ...] | None = None
    so_far: int | None = None


class Player(Protocol):
    """Whoever applies the rules."""

    def pings(self, batch: Sequence[Ping]) -> Sequence[Any]:
        """Apply pings that arrive together."""

    @property
    def status(self) -> list[str]:
        """What became of the pings of the last batch."""

    def clock(self, now_ms: int) -> Sequence[Any]:
        """Let the time pass."""

    def edit(self, zones: Sequence[Zone], *, old_is_known: bool = True) -> Sequence[Any]:
        """Replace the zones."""

    def restart(self) -> None:
        """Go on with what was kept."""


class PlainPlayer(Reference):
    """The reference; what it knows is what a restart keeps."""

    def restart(self) -> None:
        """Change nothing."""


@dataclass(frozen=True)
class Track:
    """A track as read, and what it must give under each of its rules."""

    why: str
    zones: tuple[Zone, ...]
    rules: tuple[Rules, ...]
    dwell_s: tuple[int, ...]
    items: tuple[Item, ...]
    expect: tuple[dict[str, Any], ...]

    @property
    def thresholds_s(self) -> dict[str, tuple[int, ...]]:
        """Dwell thresholds by zone, of all zones that there ever are."""
        edits = [zone for item in self.items for zone in item.zones or ()]
        return {zone.id: self.dwell_s for zone in [*self.zones, *edits]}

    def in_few_batches(self) -> list[Item]:
        """Return the items with pings in one batch where no device's order of time forbids it."""
        found: list[Item] = []
        for item in self.items:
            if found and item.pings and found[-1].pings and _follow(found[-1].pings, item.pings):
                found[-1] = Item(pings=found[-1].pings + item.pings)
            else:
                found.append(Item(pings=item.pings) if item.pings else item)
        return found

    def with_restarts(self) -> list[Item]:
        """Return the items with a restart after each."""
        return [each for item in self.items for each in (item, Item(restart=True))]

    def without_the_clock(self) -> list[Item] | None:
        """Return the items with one last look at the clock; None where that may differ."""
        seen_ms, last_ms = 0, 0
        for item in self.items:
            if item.zones is not None or any(ping.ts_ms < seen_ms for ping in item.pings):
                return None
            seen_ms = max(seen_ms, item.clock_ms or 0)
            last_ms = max([last_ms, *(ping.ts_ms for ping in item.pings)])
        rest = [replace(item, so_far=None) for item in self.items if item.clock_ms is None]
        return [*rest, Item(clock_ms=seen_ms)] if seen_ms else None


def _follow(before: Sequence[Ping], after: Sequence[Ping]) -> bool:
    """Return whether sorting would neither change the order nor what is late."""
    last = {ping.device: ping for ping in before}
    return len(after) == 1 and all(
        ping.device not in last or ping.ts_ms > last[ping.device].ts_ms or ping == last[ping.device]
        for ping in after
    )


def read_track(path: Path) -> Track:
    """Read a track from its file."""
    given = json.loads(path.read_text())
    plane = Plane(tuple(given.get("origin", HELSINKI)))
    keys: dict[str, int] = {}
    zones = tuple(_zones(given["zones"], plane, keys, revision=1))
    items = []
    current = {zone.id: zone for zone in zones}
    for number, each in enumerate(given["pings"], 2):
        if "edit" in each:
            for zone_id in each["edit"].get("remove", ()):
                del current[zone_id]
            put = _zones(each["edit"].get("put", ()), plane, keys, revision=number)
            current |= {zone.id: zone for zone in put}
        pings = each.get("batch", [each] if "t" in each else [])
        items.append(
            Item(
                pings=tuple(_ping(ping, plane) for ping in pings),
                status=tuple(ping.get("status", "") for ping in pings),
                clock_ms=START_MS + 1000 * each["clock"] if "clock" in each else None,
                restart=each.get("restart", False),
                zones=tuple(current.values()) if "edit" in each else None,
                so_far=each.get("so_far"),
            )
        )
    return Track(
        why=given["why"],
        zones=zones,
        rules=tuple(_rules(given.get("rules", "plain"))),
        dwell_s=tuple(given.get("dwell", ())),
        items=tuple(items),
        expect=tuple(_copies(given["expect"], "zone")),
    )


def _rules(said: Any) -> Iterator[Rules]:
    """Yield the rules that a track is about: by name, by figures, or a list of these."""
    named = {"plain": PLAIN, "default": Rules()}
    for each in said if isinstance(said, list) else [said]:
        figures: dict[str, Any] = {"from": each} if isinstance(each, str) else dict(each)
        yield replace(named[figures.pop("from", "plain")], **figures)


def _zones(
    specs: Sequence[dict[str, Any]], plane: Plane, keys: dict[str, int], *, revision: int
) -> Iterator[Zone]:
    for spec in _copies(specs, "id"):
        key = keys.setdefault(spec["id"], len(keys) + 1)
        yield zone_of(spec, plane, key=key, revision=revision)


def _copies(specs: Sequence[dict[str, Any]], name: str) -> Iterator[dict[str, Any]]:
    """Yield each spec as often as it says, numbered; each copy of a zone 1 m larger."""
    for spec in specs:
        for number in range(spec.get("copies", 1)):
            each = {key: value for key, value in spec.items() if key != "copies"}
            if "copies" in spec:
                each[name] = f"{spec[name]}{number}"
            if "copies" in spec and "rect" in spec:
                x0, y0, x1, y1 = spec["rect"]
                each["rect"] = [x0 - number, y0 - number, x1 + number, y1 + number]
            yield each


def _ping(spec: dict[str, Any], plane: Plane) -> Ping:
    device, id_ = spec.get("device", "phone"), spec.get("id")
    lng, lat = plane.at(spec["x"], spec.get("y", 0))
    return Ping(device, START_MS + round(1000 * spec["t"]), lng, lat, spec["acc"], id_)


def play(items: Sequence[Item] | Iterator[Item], player: Player) -> list[Any]:
    """Let a player apply the items; returns its transitions."""
    found: list[Any] = []
    for item in items:
        if item.restart:
            player.restart()
        if item.pings:
            found += player.pings(item.pings)
            for wanted, status in zip(item.status, player.status, strict=bool(item.status)):
                assert wanted in ("", status), item
        if item.clock_ms is not None:
            found += player.clock(item.clock_ms)
        if item.zones is not None:
            found += player.edit(item.zones, old_is_known=not item.restart)
        assert item.so_far in (None, len(found)), item
    return found


def told(found: Sequence[Any], expect: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return transitions in the words of a track; of optional words those that it uses."""
    rows = []
    for number, each in enumerate(found):
        used = expect[number] if number < len(expect) else {}
        row: dict[str, Any] = {
            "kind": str(each.kind),
            "zone": each.zone,
            "at": round((each.ts_ms - START_MS) / 1000, 1),
            "decided": round((each.decided_ms - START_MS) / 1000, 1),
        }
        if each.device != "phone":
            row["device"] = each.device
        if each.threshold_s is not None:
            row["threshold"] = each.threshold_s
        if each.initial and each.kind == "enter":
            row["initial"] = True
        if "duration" in used:
            row["duration"] = None if each.duration_s is None else round(each.duration_s, 1)
        if "confidence" in used:
            row["confidence"] = each.confidence
        if "reason" in used:
            row["reason"] = each.reason
        rows.append(row)
    return rows
