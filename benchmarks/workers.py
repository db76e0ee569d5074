"""What a ping costs past one machine: by number of workers, and by number of devices.

CPU seconds per million pings of ingest, PostgreSQL and NATS, each by itself, because wall time on a
small machine says how busy it is. One ping in twenty enters or leaves a zone; half of the zones
have a campaign whose offers go into the outbox and are not posted.

- *devices*: the pipeline on PostgreSQL with all 64 slots, batches of 5,000, 10^4 to 10^6 devices.
  The first ping of each device is counted apart: half of them enter a zone with it.
- *workers*: processes `geotarget ingest --slots auto` on three NATS servers, single pings of QoS 1;
  as many a second for each worker, then as many for all of them together.

    python benchmarks/workers.py
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import structlog

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.faults.ledger import Walks
from benchmarks.faults.phones import Phones
from benchmarks.pages import renewed
from geotarget.catalog import Catalog
from geotarget.engine.warm import warm
from geotarget.geojson import parse_zone
from geotarget.ingest.slots import ALL_SLOTS, slot_of, slots_of
from geotarget.model import Campaign, Endpoint, PingBatch, Trigger
from geotarget.owned_slots import OwnedSlots
from geotarget.pipeline import Pipeline
from geotarget.runtime.commands import keep_heap
from geotarget.store import Store
from tests.e2e.harness import eventually
from tests.e2e.nats_cluster import NODES, Cluster
from tests.ports import free_ports
from tests.postgres_server import SECRET_KEY, PostgresServer, programs

RESULTS = Path(__file__).parent / "results" / "workers.json"
PAGE = Path(__file__).resolve().parents[1] / "geotarget" / "docs" / "sizing.md"
BEGIN = "<!-- by workers and devices: begin (made by benchmarks/workers.py) -->"
END = "<!-- by workers and devices: end -->"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BATCH, ZONES, STAY = 5_000, 1_000, 20
STEP_MS = 30_000
WEST, SOUTH, APART = 24.0, 60.0, 0.01
ROUNDS = 6
"""Pings of each device before anything is measured: the logs of the slots fill in less than three,
and in the next they write the memberships of all who were inside at first into their table."""
REPEATED = 3
"""Times that each number of devices is measured; the table has the medians."""
EACH, TOGETHER = 500, 4_000
"""Pings a second for each worker, and for all of them."""
START_MS = 1_700_000_000_000
BATCHES, WAITED = (f"geotarget_ping_end_to_end_seconds_{each}" for each in ("count", "sum"))


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
    """Return the CPU seconds of a process and of its children, those that ended included."""
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    ended = times[0].children_user + times[0].children_system
    return ended + sum(each.user + each.system for each in times)


def by_devices(server: PostgresServer, devices: int, pings: int) -> dict[str, float]:
    """Measure the pipeline with so many devices, once the logs of the slots are as full as ever."""
    assert server.process is not None
    postgres = psutil.Process(server.process.pid)
    with Store.open(server.make_database(), secret_key=SECRET_KEY) as store:
        store.prepare_slots(sorted(ALL_SLOTS), slot_of)
        owned = OwnedSlots(store, "bench", slots_of)
        taken = store.take_slots("bench", among=ALL_SLOTS, most=64, lease_ms=10**9)
        pipeline = Pipeline(catalog=put_catalog(store), store=store, slots=owned)
        owned.ask(lambda: owned.adopt({each.slot: each.epoch for each in taken}))
        count = max(1, pings // devices)
        warming = max(ROUNDS, count)
        names = [f"device-{number}" for number in range(devices)]
        keep_heap()  # as `geotarget ingest` does

        def measure(first: int, count: int) -> tuple[int, float, float]:
            before, ours, moved = cpu_of(postgres), 0.0, 0
            for batch in rounds(names, first=first, count=count):
                started = time.process_time()
                moved += sum(pipeline.process(batch).transitions.values())
                ours += time.process_time() - started  # what makes the batches is not counted
            a_ping = 1e6 / (count * devices)
            return moved, round(a_ping * ours, 2), round(a_ping * (cpu_of(postgres) - before), 2)

        _, first_us, first_postgres_us = measure(0, 1)
        measure(1, warming)
        moved, ingest_us, postgres_us = measure(1 + warming, count)
        return {
            "devices": devices,
            "pings": count * devices,
            "transitions": moved,
            "first_ingest_us": first_us,
            "first_postgres_us": first_postgres_us,
            "ingest_us": ingest_us,
            "postgres_us": postgres_us,
        }


def by_workers(server: PostgresServer, workers: int, rate: int, pings: int) -> dict[str, float]:
    """Measure whole processes on a cluster of three NATS servers, at an offered rate."""
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
            turns = [sum(metric(port, of) for port in ports) for of in (BATCHES, WAITED)]
            walks = Walks("d", 10_000, int(time.time()) - 86_400 * 30)
            phones = Phones(
                "127.0.0.1", nats.mqtt_ports[0], walks, rate=rate, login=("device", "for-device")
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
            batches = sum(metric(port, BATCHES) for port in ports) - turns[0]
            waited = sum(metric(port, WAITED) for port in ports) - turns[1]
        finally:
            for process in running:
                process.terminate()
            for process in running:
                process.wait(60)
            nats.stop()
    return {
        "workers": workers,
        "offered": rate,
        "pings": sent,
        "pings_a_second": round(sent / spent),
        "pings_a_batch": round(sent / batches, 1),
        "oldest_ms": round(1e3 * waited / batches, 1),
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


def tables(found: dict[str, Any]) -> str:
    """Return the tables of the page about sizing."""
    heads = "devices, batches of 5,000", "ingest", "PostgreSQL", "ingest, first pings", "PostgreSQL"
    lines = [f"| {' | '.join(heads)} |", "| --- | ---: | ---: | ---: | ---: |"]
    for row in found["devices"]:
        costs = ("ingest_us", "postgres_us", "first_ingest_us", "first_postgres_us")
        lines.append(f"| {row['devices']:,} | {' | '.join(f'{row[key]:.1f}' for key in costs)} |")
    heads = "workers, single pings", "offered/s", "pings/s", "pings a batch", "its oldest waits"
    lines += ["", f"| {' | '.join(heads)} | ingest | PostgreSQL | all of NATS |"]
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for row in found["workers"]:
        costs = ("ingest_us", "postgres_us", "nats_us")
        lines.append(
            f"| {row['workers']} | {row['offered']:,} | {row['pings_a_second']:,}"
            f" | {row['pings_a_batch']:,.0f} | {row['oldest_ms']:.0f} ms"
            f" | {' | '.join(f'{row[key]:.0f}' for key in costs)} |"
        )
    return "\n".join(lines)


def written(page: str, found: dict[str, Any]) -> str:
    """Return a page with the tables between its markers renewed."""
    return renewed(page, BEGIN, END, tables(found))


def is_smoke(about: str | None) -> bool:
    """Read the command line; get ready."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--smoke", action="store_true", help="a short run that stores nothing")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    warm()
    return bool(parser.parse_args().smoke)


@contextmanager
def durable_server() -> Iterator[PostgresServer]:
    """Give a server that flushes."""
    server = PostgresServer(programs(), durable=True)
    try:
        server.start()
        yield server
    finally:
        server.remove()


def keep(path: Path, **found: Any) -> None:
    """Store what was found, with the machine that it was found on."""
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    text = {"machine": machine, "python": platform.python_version(), **found}
    path.write_text(json.dumps(text, indent=1) + "\n")


def main() -> None:
    """Measure, print and store."""
    smoke = is_smoke(__doc__)
    devices, workers = [], []
    sizes = {10_000: 20_000} if smoke else dict.fromkeys([10_000, 100_000, 1_000_000], 2_000_000)
    loads = [(1, EACH), (2, 2 * EACH), (4, 4 * EACH), (1, TOGETHER), (2, TOGETHER), (4, TOGETHER)]
    runs: list[dict[str, float]] = []
    for count in list(sizes) * (1 if smoke else REPEATED):  # in turn: so noise is everybody's
        with durable_server() as server:  # a new one: the last one has much to write yet
            runs.append(by_devices(server, count, sizes[count]))
        print(runs[-1])
    for count in sizes:
        of = [run for run in runs if run["devices"] == count]
        devices.append({key: statistics.median(run[key] for run in of) for key in of[0]})
    for count, rate in loads[:1] if smoke else loads:
        with durable_server() as server:
            workers.append(by_workers(server, count, rate, 5_000 if smoke else 25 * rate))
        print(workers[-1])
    if not smoke:
        keep(RESULTS, devices=devices, runs=runs, workers=workers)
        PAGE.write_text(written(PAGE.read_text(), json.loads(RESULTS.read_text())))


if __name__ == "__main__":
    main()
