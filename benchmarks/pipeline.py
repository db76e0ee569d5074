"""From MQTT to commit to webhook: throughput, CPU and latency of one `geotarget up`.

Runs the real thing: the embedded broker (or the one that is given), SQLite with synchronous FULL,
a receiver in a process of its own. 1,000 zones (some overlap), 5 % of the pings cause a
transition, about a quarter of those an offer. Seeded; figures are of this machine and this run,
with publisher, broker and receiver on the same cores.

    python benchmarks/pipeline.py            the whole table, some minutes
    python benchmarks/pipeline.py --smoke    a short run that only proves that it works
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import platform
import queue
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from geotarget.ingest import Publisher
from geotarget.ingest.publish import OutgoingPing
from tests.e2e.harness import Node, eventually
from tests.ports import free_ports

SEED = 7
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CENTRE = (24.94, 60.17)
M_LAT = 1 / 111_195
M_LNG = 1 / (111_195 * math.cos(math.radians(60.17)))
CYCLE = 40
STROLLERS = 20_000
Arrival = tuple[float, float, str]
"""When an offer arrived, when its entry happened (epoch seconds), whose it is."""


def receiver(port: int, out: Any) -> None:
    """Answer 204 to every post; report the arrivals in pieces."""
    import asyncio

    from aiohttp import web

    seen: list[Arrival] = []

    async def take(request: web.Request) -> web.Response:
        event = json.loads(await request.read())
        at = datetime.fromisoformat(event["data"]["transition"]["time"]).timestamp()
        seen.append((time.time(), at, event["data"]["profile"]["id"]))
        return web.Response(status=204)

    async def report() -> None:
        while True:
            await asyncio.sleep(0.2)
            if seen:
                out.put(seen[:])
                seen.clear()

    async def main() -> None:
        app = web.Application()
        app.router.add_post("/hook", take)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await report()

    asyncio.run(main())


def zones(count: int) -> list[dict[str, Any]]:
    """Return stars of 30 vertices, 100-500 m, in a 60 x 60 km box."""
    random = np.random.default_rng(SEED)
    features = []
    for number in range(count):
        x, y = random.uniform(-30_000, 30_000, 2).tolist()
        reach = random.uniform(100, 500) * random.uniform(0.6, 1.0, 30)
        turn = np.linspace(0, 2 * np.pi, 30, endpoint=False)
        ring = [
            [CENTRE[0] + (x + r * math.cos(a)) * M_LNG, CENTRE[1] + (y + r * math.sin(a)) * M_LAT]
            for r, a in zip(reach.tolist(), turn.tolist(), strict=True)
        ]
        features.append(
            {
                "type": "Feature",
                "id": f"z{number}",
                "properties": {"centre": [x, y]},
                "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
            }
        )
    return features


def pings(
    name: str, count: int, devices: int, features: list[dict[str, Any]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (device, ping) in order of time: of each 40 pings 20 are inside a zone, 20 far out."""
    start = time.time() - count / devices * 10 - 60
    for number in range(count):
        device = number % devices
        turn = number // devices + device * 7
        place = features[device % len(features)]["properties"]["centre"]
        inside = turn % CYCLE < CYCLE // 2
        x, y = place if inside else (place[0], place[1] + 70_000)
        yield (
            f"{name}{device}",
            {
                "ts": round(start + 10 * (number // devices) + device / devices, 3),
                "lat": round(CENTRE[1] + (y + turn % 5) * M_LAT, 6),
                "lng": round(CENTRE[0] + x * M_LNG, 6),
                "acc": 8.0,
            },
        )


def messages(
    count: int, devices: int, per_message: int, features: list[dict[str, Any]]
) -> list[tuple[str, list[OutgoingPing]]]:
    """Return MQTT messages of `per_message` buffered pings of one device each."""
    waiting: dict[str, list[OutgoingPing]] = {}
    ready = []
    for device, ping in pings(f"d{per_message}-", count, devices, features):
        held = waiting.setdefault(device, [])
        held.append(OutgoingPing(**ping))
        if len(held) == per_message:
            ready.append((device, held))
            waiting[device] = []
    return ready


def node_url(node: Node) -> str:
    """Return the address that phones publish to."""
    host, port = node.broker_url
    return f"mqtt://{host}:{port}"


def settle(node: Node) -> None:
    """Wait until no webhook waits, so that one measurement does not run into the next."""

    def pending() -> float:
        _, text = node.call("GET", "/metrics")
        return next(
            float(line.split()[-1])
            for line in text.decode().splitlines()
            if line.startswith("geotarget_outbox_pending ")
        )

    eventually(lambda: pending() == 0, seconds=300, what="an empty outbox")


def committed(node: Node) -> float:
    """Return how many pings the node has received, from its metrics."""
    _, text = node.call("GET", "/metrics")
    return sum(
        float(line.split()[-1])
        for line in text.decode().splitlines()
        if line.startswith("geotarget_pings_received_total")
    )


def prepare(folder: Path, broker: str, count: int, hook: int) -> tuple[Node, list[dict[str, Any]]]:
    """Start a node with zones; half of them fire an offer at the receiver."""
    port, mqtt_port = free_ports(2)
    node = Node(data=folder, port=port, mqtt_port=mqtt_port, broker=broker).start()
    features = zones(count)
    for number, feature in enumerate(features):
        feature["properties"]["tags"] = ["offer"] if number % 2 else []
    status, answer = node.call(
        "POST", "/v1/zones", {"type": "FeatureCollection", "features": features}
    )
    if status != 200 or answer["accepted"] != count:
        raise SystemExit(f"zones were refused: {status} {answer}")
    node.put("/v1/endpoints/hook", {"url": f"http://127.0.0.1:{hook}/hook", "secret": SECRET})
    node.put(
        "/v1/campaigns/greeting",
        {
            "name": "greeting",
            "trigger": {"on": ["enter"], "zones": {"tags": ["offer"]}},
            "offer": {"title": "Hello at {{ zone.id }}"},
            "endpoints": ["hook"],
            "status": "active",
        },
    )
    return node, features


def throughput(
    node: Node, features: list[dict[str, Any]], *, total: int, devices: int, per_message: int
) -> dict[str, Any]:
    """Publish as fast as the broker takes it; time until everything is committed."""
    load = messages(total, devices, per_message, features)
    sent = len(load) * per_message
    assert node.process is not None
    process = psutil.Process(node.process.pid)
    before_cpu = sum(process.cpu_times()[:2])
    before = committed(node)
    started = time.perf_counter()
    with Publisher(node_url(node), max_in_flight=4_000) as phones:
        phones.publish_all(load)
        phones.flush(300)
    eventually(lambda: committed(node) - before >= sent, seconds=600, what="all committed")
    wall = time.perf_counter() - started
    cpu = sum(process.cpu_times()[:2]) - before_cpu
    return {
        "pings": sent,
        "pings_per_message": per_message,
        "pings_per_s": round(sent / wall),
        "node_cpu_us_per_ping": round(1e6 * cpu / sent, 2),
    }


def latency(
    node: Node, features: list[dict[str, Any]], arrivals: Any, *, rate: float, seconds: float
) -> dict[str, Any]:
    """Publish at a steady rate; time from publish to the receiver.

    The mix is that of `throughput`: 5 % of the pings cause a transition, a quarter of those an
    offer. Each lap has people of its own: somebody who was 70 km away a second ago is not believed
    (rules.md), and would owe nothing.
    """
    settle(node)
    drain(arrivals)
    pace = threading.Event()
    total = int(rate * seconds)
    owed = 0
    with Publisher(node_url(node)) as phones:
        started = time.monotonic()
        for number in range(total):
            lap, device = divmod(number, STROLLERS)
            feature = features[device // CYCLE % len(features)]
            x, y = feature["properties"]["centre"]
            inside = (device + lap) % CYCLE == 0
            owed += inside and "offer" in feature["properties"]["tags"]
            phones.publish(
                f"l{lap}-{device}",
                [
                    OutgoingPing(
                        ts=time.time(),
                        lat=CENTRE[1] + (y if inside else y + 70_000) * M_LAT,
                        lng=CENTRE[0] + x * M_LNG,
                        acc=8.0,
                    )
                ],
            )
            ahead = number / rate - (time.monotonic() - started)
            if ahead > 0.001:
                pace.wait(ahead)
        phones.flush(60)
    got: list[Arrival] = []
    deadline = time.monotonic() + 60
    while len(got) < owed and time.monotonic() < deadline:
        got += drain(arrivals, "l", wait=0.5)
    delays = sorted(1000 * (arrived - at) for arrived, at, _ in got)
    if not delays:
        raise SystemExit("no offer arrived")
    return {
        "pings_per_s": round(rate),
        "offers": len(delays),
        "at_least_owed": owed,
        "p50_ms": round(statistics.median(delays), 1),
        "p99_ms": round(delays[int(0.99 * (len(delays) - 1))], 1),
    }


def drain(arrivals: Any, whose: str = "", wait: float = 0.0) -> list[Arrival]:
    """Return what the receiver has reported so far."""
    got: list[Arrival] = []
    try:
        while True:
            got += arrivals.get(timeout=wait) if wait else arrivals.get_nowait()
            wait = 0.0
    except queue.Empty:
        return [each for each in got if each[2].startswith(whose)]


def webhooks(
    node: Node, features: list[dict[str, Any]], arrivals: Any, *, count: int
) -> dict[str, Any]:
    """Make `count` offers at once by HTTP; time from the first to the last arrival."""
    offers = [f for f in features if "offer" in f["properties"]["tags"]]
    settle(node)
    drain(arrivals)
    assert node.process is not None
    process = psutil.Process(node.process.pid)
    before = sum(process.cpu_times()[:2])
    for chunk in range(0, count, 1_000):
        body = []
        for number in range(chunk, min(chunk + 1_000, count)):
            x, y = offers[number % len(offers)]["properties"]["centre"]
            body.append(
                {
                    "device": f"w{number}",
                    "ts": time.time(),
                    "lat": CENTRE[1] + y * M_LAT,
                    "lng": CENTRE[0] + x * M_LNG,
                    "acc": 8.0,
                }
            )
        status, answer = node.call("POST", "/v1/pings", body)
        if status != 202:
            raise SystemExit(f"pings were refused: {status} {answer}")
    got: list[Arrival] = []
    deadline = time.monotonic() + 120
    while len(got) < count and time.monotonic() < deadline:
        got += drain(arrivals, "w", wait=0.5)
    cpu = sum(process.cpu_times()[:2]) - before
    times = [arrived for arrived, _, _ in got]
    return {
        "offers": len(got),
        "at_least_owed": count,
        "webhooks_per_s": round(len(got) / max(1e-9, max(times) - min(times))),
        "node_cpu_us_per_webhook": round(1e6 * cpu / max(1, len(got))),
    }


def main() -> None:
    """Run and print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="short run, proves that it works")
    parser.add_argument("--broker", default="", help="URL of an external broker")
    parser.add_argument("--zones", type=int, default=1_000)
    parser.add_argument("--pings", type=int, default=200_000)
    parser.add_argument("--out", type=Path, help="write the JSON here too")
    arguments = parser.parse_args()
    scale = 0.05 if arguments.smoke else 1.0
    total = int(arguments.pings * scale)
    (hook,) = free_ports(1)
    context = multiprocessing.get_context("spawn")
    arrivals = context.Queue()
    sink = context.Process(target=receiver, args=(hook, arrivals), daemon=True)
    sink.start()
    with tempfile.TemporaryDirectory() as folder:
        node, features = prepare(Path(folder), arguments.broker, arguments.zones, hook)
        try:
            result: dict[str, Any] = {
                "machine": f"{platform.machine()}, {os.cpu_count()} cores, "
                f"Python {platform.python_version()}",
                "seed": SEED,
                "zones": arguments.zones,
                "broker": arguments.broker or "embedded NATS",
                "throughput": [
                    throughput(
                        node, features, total=total, devices=total // 40, per_message=per_message
                    )
                    for per_message in (1, 10)
                ],
            }
            rate = result["throughput"][0]["pings_per_s"] / 2
            result["latency_at_half_load"] = latency(
                node, features, arrivals, rate=rate, seconds=20 * scale
            )
            result["webhooks"] = webhooks(node, features, arrivals, count=int(20_000 * scale))
        finally:
            status = node.stop()
            sink.terminate()
    result["clean_stop"] = status == 0
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text + "\n")
    late = result["latency_at_half_load"]
    if late["offers"] < late["at_least_owed"] or not result["clean_stop"]:
        raise SystemExit("offers are missing, or the stop was not clean")


if __name__ == "__main__":
    main()
