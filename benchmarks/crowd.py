"""A crowd for the benchmarks past one machine: a thousand zones, a campaign, and who walks there.

Of so many devices each sends a fix every 30 s, twenty inside of its zone and twenty beside it, and
begins anywhere in that: so one ping in twenty enters or leaves.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks.faults.phones import Message
from geotarget.catalog import Catalog
from geotarget.geojson import parse_zone
from geotarget.model import Campaign, Endpoint, PingBatch, Trigger
from geotarget.store import Store

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BATCH, ZONES, STAY = 5_000, 1_000, 20
STEP_MS = 30_000
WEST, SOUTH, APART = 24.0, 60.0, 0.01
AWAY = 90 / 111_195
START_MS = 1_700_000_000_000


def features() -> list[dict[str, Any]]:
    """Return squares of 90 m, 0.01 degrees apart."""
    made = []
    for number in range(ZONES):
        lng, lat = WEST + APART * (number % 40), SOUTH + APART * (number // 40)
        dy, dx = 45 / 111_195, 45 / 111_195 / 0.5
        ring = [(-dx, -dy), (dx, -dy), (dx, dy), (-dx, dy), (-dx, -dy)]
        made.append(
            {
                "type": "Feature",
                "id": f"z{number}",
                "properties": {"entry": "raw", "tags": ["offer"] if number % 2 else []},
                "geometry": {
                    "type": "Polygon",
                    "coordinates": [[[lng + x, lat + y] for x, y in ring]],
                },
            }
        )
    return made


def put_catalog(store: Store) -> Catalog:
    """Store zones, an endpoint and a campaign for half of the zones."""
    catalog = Catalog(store)
    catalog.put_zones([parse_zone(feature) for feature in features()])
    catalog.put_endpoint(Endpoint(id="hook", url="https://shop.example/", secret=SECRET))
    catalog.put_campaign(
        Campaign(
            id="greeting",
            name="Greeting",
            trigger=Trigger(zone_tags=frozenset({"offer"})),
            offer={"title": "Hello at {{ zone.id }}"},
            endpoints=("hook",),
        )
    )
    return catalog


def rounds(
    devices: Sequence[str], *, first: int, count: int, stay: int = STAY
) -> Iterator[PingBatch]:
    """Yield batches in which each device sends one fix a round; it stays for so many."""
    names, known = np.array(devices), len(devices)
    random = np.random.default_rng(7)
    zone, phase = random.integers(0, ZONES, known), random.integers(0, 2 * stay, known)
    lng = WEST + APART * (zone % 40)
    lat = SOUTH + APART * (zone // 40)
    for turn in range(first, first + count):
        inside = (phase + turn) % (2 * stay) < stay
        north = np.where(inside, 0.0, AWAY)
        for start in range(0, known, BATCH):
            part = slice(start, start + BATCH)
            size = len(names[part])
            ts = np.full(size, START_MS + STEP_MS * turn, np.int64)
            yield PingBatch(
                device=names[part].tolist(),
                ts=ts,
                lng=lng[part],
                lat=lat[part] + north[part],
                acc=np.full(size, 5.0),
                key=(np.arange(size) + turn * known + start + 1).astype(np.uint64),
                received=ts,
            )


def messages(devices: int, each: int) -> Callable[[int], list[Message]]:
    """Return what phones send in the `n`-th place: so many fixes of one device, since a day."""
    random = np.random.default_rng(7)
    zone = random.integers(0, ZONES, devices).tolist()
    phase = random.integers(0, 2 * STAY, devices).tolist()
    start_s = int(time.time()) - 86_400

    def message(n: int) -> list[Message]:
        turn, device = divmod(n, devices)
        lng = WEST + APART * (zone[device] % 40)
        south = SOUTH + APART * (zone[device] // 40)
        fixes = []
        for fix in range(each * turn, each * (turn + 1)):
            lat = south if (phase[device] + fix) % (2 * STAY) < STAY else south + AWAY
            fixes.append({"ts": start_s + 30 * fix, "lng": lng, "lat": lat, "acc": 5.0})
        return [(f"pings/d{device}", json.dumps(fixes).encode(), n)]

    return message
