"""What a ping costs past one machine: by number of workers, and by number of devices.

CPU seconds per million pings of ingest, PostgreSQL and NATS, each by itself, because wall time on a
small machine says how busy it is. One ping in twenty enters or leaves a zone; half of the zones
have a campaign whose offers go into the outbox and are not posted.

- *devices*: the pipeline on PostgreSQL with all 64 slots, batches of 5,000, 10^4 to 10^6 devices.
- *workers*: processes `geotarget ingest --slots auto` on three NATS servers, single pings of QoS 1.

    python benchmarks/workers.py
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import structlog

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.faults.ledger import Walks
from benchmarks.faults.phones import Phones
from geotarget.catalog import Catalog
from geotarget.engine.warm import warm
from geotarget.geojson import parse_zone
from geotarget.ingest.slots import ALL_SLOTS, slot_of, slots_of
from geotarget.model import Campaign, Endpoint, PingBatch, Trigger
from geotarget.owned_slots import OwnedSlots
from geotarget.pipeline import Pipeline
from geotarget.store import Store
from tests.e2e.harness import eventually, free_ports
from tests.e2e.nats_cluster import NODES, Cluster
from tests.postgres_server import SECRET_KEY, PostgresServer, programs

RESULTS = Path(__file__).parent / "results" / "workers.json"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BATCH, ZONES, STAY = 5_000, 1_000, 20
STEP_MS = 30_000
WEST, SOUTH, APART = 24.0, 60.0, 0.01
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
        north = np.where(inside, 0.0, 90 / 111_195)
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


def cpu_of(process: psutil.Process) -> float:
    """Return the CPU seconds of a process and of its children that live."""
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(each.user + each.system for each in times)


def by_devices(server: PostgresServer, devices: int, warm: int, pings: int) -> dict[str, float]:
    """Measure the pipeline with so many devices, once the logs of the slots are as full as ever."""
    assert server.process is not None
    postgres = psutil.Process(server.process.pid)
    with Store.open(server.make_database(), secret_key=SECRET_KEY) as store:
        store.prepare_slots(sorted(ALL_SLOTS), slot_of)
        owned = OwnedSlots(store, "bench", slots_of)
        taken = store.take_slots("bench", among=ALL_SLOTS, most=64, lease_ms=10**9)
        pipeline = Pipeline(catalog=put_catalog(store), store=store, slots=owned)
        owned.ask(lambda: owned.adopt({each.slot: each.epoch for each in taken}))
        before_that, count = max(1, warm // devices), max(1, pings // devices)
        names = [f"device-{number}" for number in range(devices)]
        for batch in rounds(names, first=0, count=before_that):
            pipeline.process(batch)
        before, ours = cpu_of(postgres), time.process_time()
        moved = total = 0
        for batch in rounds(names, first=before_that, count=count):
            moved += sum(pipeline.process(batch).transitions.values())
            total += len(batch)
        spent = time.process_time() - ours
        return {
            "devices": devices,
            "pings": total,
            "transitions": moved,
            "ingest_us": round(1e6 * spent / total, 2),
            "postgres_us": round(1e6 * (cpu_of(postgres) - before) / total, 2),
        }


def by_workers(server: PostgresServer, workers: int, pings: int) -> dict[str, float]:
    """Measure whole processes on a cluster of three NATS servers."""
    assert server.process is not None
    url = server.make_database()
    with (
        tempfile.TemporaryDirectory() as name,
        Store.open(url, secret_key=SECRET_KEY) as store,
    ):
        folder = Path(name)
        put_catalog(store)
        nats = Cluster(folder)
        running: list[subprocess.Popen[bytes]] = []
        ports = free_ports(workers)
        try:
            nats.start(*range(NODES))
            subprocess.run(
                [sys.executable, "-m", "geotarget", "slots", "create", "--mqtt", nats.url(0),
                 "--admin", nats.admin_url], check=True, capture_output=True,
            )  # fmt: skip
            for number, port in enumerate(ports):
                with (folder / f"worker-{number}.log").open("wb") as log:
                    command = [
                        sys.executable, "-m", "geotarget", "ingest", "--slots", "auto",
                        "--mqtt", nats.url(number % NODES), "--data", str(folder / f"d{number}"),
                    ]  # fmt: skip
                    environment = {
                        "GEOTARGET_DATABASE_URL": url,
                        "GEOTARGET_SECRET_KEY": SECRET_KEY,
                        "GEOTARGET_HEALTH_PORT": str(port),
                    }
                    running.append(
                        subprocess.Popen(
                            command, stdout=log, stderr=log, env={**os.environ, **environment}
                        )
                    )
            share = -(-64 // workers)
            eventually(
                lambda: (
                    sum(m := [metric(port, "geotarget_slots_owned") for port in ports]) == 64
                    and max(m) <= share
                ),
                seconds=120,
                what="64 slots shared",
            )
            parts = {
                "ingest_us": [psutil.Process(each.pid) for each in running],
                "postgres_us": [psutil.Process(server.process.pid)],
                "nats_us": [psutil.Process(each.pid) for each in nats.processes if each],
            }
            before = {part: sum(map(cpu_of, of)) for part, of in parts.items()}
            walks = Walks("d", 10_000, int(time.time()) - 86_400 * 30)
            phones = Phones(
                "127.0.0.1", nats.mqtt_ports[0], walks, rate=4_000, login=("device", "for-device")
            ).start()
            started = time.monotonic()
            phones.wait_for(pings, 300)
            phones.halt()
            sent = len(phones.acknowledged)
            eventually(
                lambda: (
                    sum(metric(port, "geotarget_pings_received_total") for port in ports) >= sent
                ),
                seconds=120,
                what=f"{sent} pings",
            )
            spent = time.monotonic() - started
            after = {part: sum(map(cpu_of, of)) for part, of in parts.items()}
        finally:
            for process in running:
                process.terminate()
            for process in running:
                process.wait(60)
            nats.stop()
    return {
        "workers": workers,
        "pings": sent,
        "pings_a_second": round(sent / spent),
        **{part: round(1e6 * (after[part] - before[part]) / sent, 2) for part in parts},
    }


def metric(port: int, family: str) -> float:
    """Return the sum of a family of one process; 0 while it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return 0.0
    return sum(float(line.split()[-1]) for line in lines if line.startswith(family))


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="a short run that stores nothing")
    smoke = parser.parse_args().smoke
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    warm()
    server = PostgresServer(programs(), durable=True)
    try:
        server.start()
        devices = [
            by_devices(server, count, *((10_000, 20_000) if smoke else (3_000_000, 1_000_000)))
            for count in ([10_000] if smoke else [10_000, 100_000, 1_000_000])
        ]
        for row in devices:
            print(row)
        workers = []
        for count in [1] if smoke else [1, 2, 4]:
            workers.append(by_workers(server, count, 10_000 if smoke else 100_000))
            print(workers[-1])
    finally:
        server.remove()
    if not smoke:
        RESULTS.write_text(
            json.dumps(
                {
                    "machine": f"{platform.machine()}, {os.cpu_count()} cores",
                    "python": platform.python_version(),
                    "devices": devices,
                    "workers": workers,
                },
                indent=1,
            )
            + "\n"
        )


if __name__ == "__main__":
    main()
