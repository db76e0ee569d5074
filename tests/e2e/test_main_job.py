"""From a phone's ping to a signed offer, on real brokers, held against the plain reference."""

from __future__ import annotations

import csv
import itertools
import json
import math
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from geotarget.engine import ZoneIndex
from geotarget.geojson import parse_zone
from tests.e2e.harness import Node, Phones, Receiver, campaign, eventually, square
from tests.entry_oracle import Event, Ping, expected

pytestmark = pytest.mark.e2e

CENTRE = (24.94, 60.17)
M_LAT = 1 / 111_195
M_LNG = 1 / (111_195 * math.cos(math.radians(60.17)))


def town() -> list[dict[str, Any]]:
    """Return a dozen zones of different sizes, some of them overlapping."""
    shapes = random.Random(5)
    return [
        square(
            f"z{i}",
            lng=CENTRE[0] + shapes.uniform(-600, 600) * M_LNG,
            lat=CENTRE[1] + shapes.uniform(-600, 600) * M_LAT,
            half_m=shapes.uniform(40, 200),
        )
        for i in range(12)
    ]


def walks(devices: int, steps: int, *, seed: int, start_s: int) -> list[Ping]:
    """Return pings of wandering devices in the order of their time."""
    luck = random.Random(seed)
    pings = []
    for device in range(devices):
        x, y, t = luck.uniform(-600, 600), luck.uniform(-600, 600), start_s + luck.uniform(0, 20)
        heading = luck.uniform(0, 2 * math.pi)
        for _ in range(steps):
            t += luck.choice([10, 15, 20, 30])
            heading += luck.gauss(0, 0.6)
            x = max(-700, min(700, x + 40 * math.cos(heading)))
            y = max(-700, min(700, y + 40 * math.sin(heading)))
            pings.append(
                Ping(
                    f"d{device}",
                    round(t * 1000),
                    round(CENTRE[0] + (x + luck.gauss(0, 6)) * M_LNG, 7),
                    round(CENTRE[1] + (y + luck.gauss(0, 6)) * M_LAT, 7),
                    float(luck.choice([5, 10, 20])),
                )
            )
    return sorted(pings, key=lambda ping: ping.ts_ms)


def owed(pings: list[Ping], features: list[dict[str, Any]]) -> set[Event]:
    """Return the entries that the rules owe, by the plain reference."""
    zones = [parse_zone(feature) for feature in features]
    index = ZoneIndex.build(zones)
    depth = dict(zip([zone.id for zone in zones], index.depth_m.tolist(), strict=True))
    return {event for event in expected(pings, zones, depth_m=depth) if event.kind == "enter"}


def wire(ping: Ping) -> dict[str, Any]:
    """Return a ping as a phone sends it."""
    return {"ts": ping.ts_ms / 1000, "lat": ping.lat, "lng": ping.lng, "acc": ping.acc}


def fired(events: list[dict[str, Any]]) -> list[tuple[str, str, int]]:
    """Return (device, zone, fix time in ms) of received offers."""
    from datetime import datetime

    return [
        (
            each["data"]["profile"]["id"],
            each["data"]["zone"]["id"],
            round(datetime.fromisoformat(each["data"]["transition"]["time"]).timestamp() * 1000),
        )
        for each in events
    ]


def prepare(node: Node, receiver: Receiver, features: list[dict[str, Any]]) -> None:
    """Put endpoint, campaign and zones through the API."""
    node.put("/v1/endpoints/shop", {"url": receiver.url, "secret": receiver.secret})
    node.put("/v1/campaigns/greeting", campaign("shop"))
    status, answer = node.call(
        "POST", "/v1/zones", {"type": "FeatureCollection", "features": features}
    )
    assert status == 200, answer
    assert answer["accepted"] == len(features)


def compare(receiver: Receiver, entries: set[Event]) -> None:
    """Insist on: every owed entry, one id each, one body an id, nothing else, all verified."""
    assert receiver.unverified == []
    assert {len(bodies) for bodies in receiver.bodies.values()} <= {1}
    got = sorted(fired(receiver.events()))
    assert got == sorted((event.device, event.zone, event.ts_ms) for event in entries)


@pytest.mark.parametrize("broker", ["embedded", "mosquitto"])
def test_every_owed_entry_is_fired_exactly_once(
    broker: str,
    request: pytest.FixtureRequest,
    node_factory: Callable[..., Node],
    receiver: Receiver,
) -> None:
    """Phones publish, the receiver gets one verified offer for each entry of the reference."""
    url = request.getfixturevalue("mosquitto") if broker == "mosquitto" else ""
    node = node_factory(broker=url).start()
    features = town()
    prepare(node, receiver, features)
    pings = walks(40, 60, seed=1, start_s=int(time.time()) - 5_000)
    entries = owed(pings, features)
    assert len(entries) > 50
    phones = Phones(*node.broker_url)
    phones.publish_all((f"pings/{ping.device}", wire(ping)) for ping in pings)
    phones.close()
    eventually(lambda: len(receiver.bodies) >= len(entries), seconds=60, what="all offers received")
    assert node.stop() == 0
    compare(receiver, entries)


def test_stop_and_start_goes_on_where_it_was(
    node_factory: Callable[..., Node], receiver: Receiver
) -> None:
    """Ctrl-C in the middle of a walk, start again: the same entries as without the stop."""
    node = node_factory().start()
    features = town()
    prepare(node, receiver, features)
    pings = walks(20, 60, seed=2, start_s=int(time.time()) - 5_000)
    entries = owed(pings, features)
    for part in (pings[:500], pings[500:900], pings[900:]):
        phones = Phones(*node.broker_url)
        phones.publish_all((f"pings/{ping.device}", wire(ping)) for ping in part)
        phones.close()
        assert node.stop() == 0
        node.start()
    eventually(lambda: len(receiver.bodies) >= len(entries), seconds=60, what="all offers received")
    assert node.stop() == 0
    compare(receiver, entries)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_kill_nine_at_random_moments_loses_nothing(
    node_factory: Callable[..., Node], receiver: Receiver
) -> None:
    """SIGKILL of the whole tree, ten times, under 1,000 pings/s: every entry, same bytes."""
    node = node_factory().start()
    features = town()
    prepare(node, receiver, features)
    luck = random.Random(11)
    # 30 s of them at 1,000 a second; between the kills it is up for 22 s
    pings = walks(400, 75, seed=3, start_s=int(time.time()) - 10_000)
    entries = owed(pings, features)
    phones = Phones(*node.broker_url)
    done = threading.Event()

    def publish() -> None:
        pace = threading.Event()
        started = time.monotonic()
        for i, ping in enumerate(pings):
            phones.publish(f"pings/{ping.device}", wire(ping))
            ahead = i / 1_000 - (time.monotonic() - started)
            if ahead > 0.02:
                pace.wait(ahead)
        done.set()

    publisher = threading.Thread(target=publish)
    publisher.start()
    moment = threading.Event()
    for _ in range(10):
        moment.wait(luck.uniform(0.5, 4.0))
        node.kill()
        node.start()
    publisher.join()
    assert done.is_set()
    phones.wait(120)
    phones.close()
    eventually(
        lambda: len(receiver.bodies) >= len(entries), seconds=120, what="all offers received"
    )
    assert node.stop() == 0
    compare(receiver, entries)


def test_replay_of_real_buses(
    shared_data: Path, node_factory: Callable[..., Node], receiver: Receiver
) -> None:
    """Recorded buses through real neighbourhoods: each owed entry fires exactly once."""
    recording = shared_data / "pings" / "austin_bus_2015-03-07_18.csv"
    neighbourhoods = json.loads(
        (shared_data / "zones" / "austin_neighborhoods.geojson").read_text()
    )
    names: set[str] = set()
    for number, feature in enumerate(neighbourhoods["features"]):
        feature["id"] = f"n{number}"
        names.add(feature["id"])
    node = node_factory().start()
    prepare(node, receiver, neighbourhoods["features"])
    host, port = node.broker_url
    limit = 12_000
    done = subprocess.run(
        [
            sys.executable, "-m", "geotarget", "replay", str(recording),
            "--mqtt", f"mqtt://{host}:{port}", "--times", "keep", "--speed", "0",
            "--limit", str(limit),
        ],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    with recording.open() as lines:
        rows = list(itertools.islice(csv.DictReader(lines), limit))
    pings = [
        Ping(row["device"], int(row["ts"]) * 1000, float(row["lon"]), float(row["lat"]))
        for row in rows
        if (float(row["lon"]), float(row["lat"])) != (0.0, 0.0)
    ]
    entries = owed(pings, neighbourhoods["features"])
    assert len(entries) > 100
    eventually(lambda: len(receiver.bodies) >= len(entries), seconds=90, what="all offers received")
    assert node.stop() == 0
    compare(receiver, entries)
