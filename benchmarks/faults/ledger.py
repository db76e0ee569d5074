"""The ledger: what phones published and what follows from it, computed without geotarget.

Phones walk so plainly that nobody needs an engine to know what must happen. Each goes up and down
one line at 3 m/s, a fix every 30 s: twenty fixes in the middle of a square zone, twenty far off,
and so on. Zones have the entry policy ``raw`` (a fix inside is a device inside), so an event is
owed wherever two acknowledged fixes in a row lie on different sides, at the time of the second.

The checker holds what the receiver stored against that: every owed event at least once; one body
for each webhook id and endpoint; nothing else; every signature verified.
"""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

STEP_S = 30
INSIDE = OUTSIDE = 20
CYCLE = INSIDE + OUTSIDE
HALF_M = 45.0
AWAY_M = 90.0
M_LAT = 1 / 111_195
SOUTH = 60.17
WEST = 24.90
ZONE_STEP_DEG = 0.02
NAMES = {"transition.enter": "enter", "transition.exit": "exit", "offer.triggered": "offer"}


class Event(NamedTuple):
    """What a receiver is owed, or got."""

    device: str
    zone: str
    kind: str
    ts_ms: int


class Ping(NamedTuple):
    """One fix on its way."""

    device: str
    ts_ms: int
    lng: float
    lat: float
    inside: bool

    @property
    def topic(self) -> str:
        """Where a phone publishes it."""
        return f"pings/{self.device}"

    @property
    def payload(self) -> bytes:
        """As a phone writes it."""
        return (
            f'{{"ts":{self.ts_ms / 1000},"lat":{self.lat},"lng":{self.lng},"acc":5.0}}'
        ).encode()


@dataclass(frozen=True)
class Walks:
    """Endless walks of some devices; ping `n` is the same whenever it is asked for.

    Parameters
    ----------
    name
        Begins the devices' ids.
    devices
        How many; ping `n` belongs to device ``n % devices``.
    start_s
        Time of the first fix, epoch seconds; whole.
    zones
        How many zones; they are `ZONE_STEP_DEG` apart.
    """

    name: str
    devices: int
    start_s: int
    zones: int = 20

    @property
    def lap(self) -> int:
        """Pings after which every device is outside again and has made a visit."""
        return self.devices * CYCLE

    def ping(self, n: int) -> Ping:
        """Return the `n`-th ping of all."""
        turn, device = divmod(n, self.devices)
        inside = turn % CYCLE >= OUTSIDE
        return Ping(
            f"{self.name}{device}",
            1000 * (self.start_s + STEP_S * turn) + device,
            round(WEST + ZONE_STEP_DEG * (device % self.zones), 6),
            round(SOUTH + (0.0 if inside else AWAY_M * M_LAT), 6),
            inside,
        )

    def number(self, event: Event) -> int:
        """Return the number of the ping at which an event happened."""
        device = int(event.device.removeprefix(self.name))
        turn = (event.ts_ms - device - 1000 * self.start_s) // (1000 * STEP_S)
        return turn * self.devices + device

    def zone_of(self, device: str) -> str:
        """Return the zone that a device visits."""
        return f"z{int(device.removeprefix(self.name)) % self.zones}"

    def events(self, acknowledged: Iterable[int], kinds: Collection[str]) -> Iterator[Event]:
        """Yield what follows from the pings of these numbers."""
        was_inside: dict[str, bool] = {}
        for n in sorted(acknowledged):
            ping = self.ping(n)
            if ping.inside != was_inside.get(ping.device, False):
                zone = self.zone_of(ping.device)
                for kind in ("enter", "offer") if ping.inside else ("exit",):
                    if kind in kinds:
                        yield Event(ping.device, zone, kind, ping.ts_ms)
            was_inside[ping.device] = ping.inside


def features(zones: int = 20) -> dict[str, Any]:
    """Return the zones as a GeoJSON collection."""
    dy, dx = HALF_M * M_LAT, HALF_M * M_LAT / 0.4975
    made = []
    for number in range(zones):
        lng = WEST + ZONE_STEP_DEG * number
        ring = [(-dx, -dy), (dx, -dy), (dx, dy), (-dx, dy), (-dx, -dy)]
        made.append(
            {
                "type": "Feature",
                "id": f"z{number}",
                "properties": {"name": f"z{number}", "entry": "raw"},
                "geometry": {
                    "type": "Polygon",
                    "coordinates": [
                        [[round(lng + x, 7), round(SOUTH + y, 7)] for x, y in ring],
                    ],
                },
            }
        )
    return {"type": "FeatureCollection", "features": made}


@dataclass(frozen=True)
class Post:
    """One line of the receiver's file: one post."""

    at: float
    path: str
    webhook_id: str
    digest: str
    verified: bool
    status: int
    body: bytes

    @property
    def endpoint(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def accepted(self) -> bool:
        """Whether the receiver stored it: it answered 2xx, or it would have (`stored`)."""
        return 200 <= self.status < 300

    def event(self) -> Event | None:
        """Return what it tells of; None when it is no event of a visit."""
        document = json.loads(self.body)
        kind = NAMES.get(document["type"])
        if kind is None:
            return None
        data = document["data"]
        moment = dt.datetime.fromisoformat(data["transition"]["time"]).timestamp()
        return Event(data["profile"]["id"], data["zone"]["id"], kind, round(1000 * moment))


def posts(file: Path) -> list[Post]:
    """Read what a receiver wrote; a last line that is not whole yet is left out."""
    return posts_from(file, 0)[0]


def posts_from(file: Path, offset: int) -> tuple[list[Post], int]:
    """Read what a receiver wrote from a byte on; return it and where to go on."""
    if not file.exists():
        return [], offset
    with file.open("rb") as lines:
        lines.seek(offset)
        text = lines.read()
    whole, end, _ = text.rpartition(b"\n")
    found = []
    for line in whole.split(b"\n") if end else ():
        at, path, webhook_id, digest, verified, status, body = line.split(b"\t", 6)
        found.append(
            Post(
                float(at),
                path.decode(),
                webhook_id.decode(),
                digest.decode(),
                verified == b"1",
                int(status),
                body,
            )
        )
    return found, offset + len(whole) + len(end)


@dataclass(frozen=True)
class Verdict:
    """What the checker found."""

    owed: int
    lost: frozenset[Event]
    unexpected: frozenset[Event]
    duplicates: int
    problems: tuple[str, ...] = field(default=())


def check(
    owed: Collection[Event], got: Iterable[Post], endpoint: str = "", whose: str = ""
) -> Verdict:
    """Hold what a receiver got against what is owed.

    Parameters
    ----------
    owed
        By `Walks.events`.
    got
        All posts of the receiver.
    endpoint
        Only posts to this one; empty means all.
    whose
        Only events of devices whose ids begin so.
    """
    got = [each for each in got if not endpoint or each.endpoint == endpoint]
    if whose:
        got = [each for each in got if (e := each.event()) and e.device.startswith(whose)]
    bodies: dict[tuple[str, str], set[str]] = defaultdict(set)
    ids: dict[tuple[Event, str], set[str]] = defaultdict(set)
    accepted: Counter[tuple[str, str]] = Counter()
    seen: set[Event] = set()
    for each in got:
        key = (each.webhook_id, each.endpoint)
        bodies[key].add(each.digest)
        if not each.accepted:
            continue
        accepted[key] += 1
        event = each.event()
        if event is not None:
            seen.add(event)
            ids[event, each.endpoint].add(each.webhook_id)
    wanted = frozenset(owed)
    lost, unexpected = wanted - seen, frozenset(seen) - wanted
    problems = []
    if lost:
        problems.append(f"{len(lost)} owed events never arrived, such as {min(lost)}")
    if unexpected:
        problems.append(f"{len(unexpected)} events that nobody owes, such as {min(unexpected)}")
    for what, found in (
        ("webhook ids came with different bodies", [k for k, v in bodies.items() if len(v) > 1]),
        ("events came under several webhook ids", [k for k, v in ids.items() if len(v) > 1]),
        ("posts did not verify", [each.webhook_id for each in got if not each.verified]),
    ):
        if found:
            problems.append(f"{len(found)} {what}, such as {found[0]}")
    duplicates = sum(count - 1 for count in accepted.values())
    return Verdict(len(wanted), lost, frozenset(unexpected), duplicates, tuple(problems))
