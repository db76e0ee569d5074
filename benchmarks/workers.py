"""What a ping costs past one machine: by number of workers, and by number of devices.

CPU seconds per million pings of ingest, PostgreSQL and NATS, each by itself, because wall time on a
small machine says how busy it is. One ping in twenty enters or leaves a zone; half of the zones
have a campaign whose offers go into the outbox and are not posted. PostgreSQL has the settings of
`docker-compose.yml`, and flushes.

- *full batches*: the pipeline on PostgreSQL with batches of 5,000, without a broker: one worker
  with 10^4 to 10^6 devices; two and four that share slots and 10^5 devices, all at work at once.
  The first ping of each device is counted apart: half of them enter a zone with it. What that
  leaves to be tidied up is tidied up before the rest is counted. The cases take turns, a million
  pings each, processes and a server for each: so what else the machine does hits them alike.
- *workers*: processes `geotarget ingest --slots auto` on three NATS servers, QoS 1; as many pings a
  second for each worker, then as many for all of them together; both with single pings, and with
  twenty a message, as a gateway or a phone that was away sends them.

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
from pathlib import Path
from typing import Any

import psutil
import structlog

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.crowd import messages, put_catalog
from benchmarks.faults.ledger import Walks
from benchmarks.faults.phones import Phones
from benchmarks.full_batches import cpu_of, durable_server, full_batches
from benchmarks.pages import renewed
from geotarget.engine.warm import warm
from geotarget.store import Store
from tests.e2e.harness import eventually
from tests.e2e.nats_cluster import NODES, Cluster
from tests.ports import free_ports
from tests.postgres_server import SECRET_KEY, PostgresServer

RESULTS = Path(__file__).parent / "results" / "workers.json"
PAGE = Path(__file__).resolve().parents[1] / "geotarget" / "docs" / "sizing.md"
BEGIN = "<!-- by workers and devices: begin (made by benchmarks/workers.py) -->"
END = "<!-- by workers and devices: end -->"
CASES = ((1, 10_000), (1, 100_000), (1, 1_000_000), (2, 100_000), (4, 100_000))
"""Workers and devices of the full batches."""
TURNS, PINGS = 6, 1_000_000
"""Times that each of them is measured, with so many pings."""
EACH, TOGETHER = 500, 4_000
"""Single pings a second for each worker, and for all of them together."""
A_MESSAGE, MESSAGES_EACH, MESSAGES_TOGETHER = 20, 250, 1_000
"""Pings that a message holds, and such messages a second."""
BATCHES, WAITED = (f"geotarget_ping_end_to_end_seconds_{each}" for each in ("count", "sum"))


def by_workers(
    server: PostgresServer, workers: int, rate: int, each: int, sends: int
) -> dict[str, float]:
    """Measure whole processes on a cluster of three NATS servers, at an offered rate of messages.

    `each` is how many pings one holds, `sends` how many of them are sent.
    """
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
            phones = Phones(
                "127.0.0.1", nats.mqtt_ports[0], Walks("d", 10_000, 0), rate=rate,
                login=("device", "for-device"), messages=messages(10_000, each),
            ).start()  # fmt: skip
            started = time.monotonic()
            phones.wait_for(sends, 300)
            phones.halt()
            sent = each * len(phones.acknowledged)
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
        "a_message": each,
        "offered": each * rate,
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
    heads = "workers, batches of 5,000", "devices", "ingest", "PostgreSQL", "both"
    more = "first pings: ingest", "PostgreSQL"
    lines = [f"| {' | '.join(heads + more)} |", "| --- " + "| ---: " * 6 + "|"]
    for row in found["full"]:
        costs = [row["ingest_us"], row["postgres_us"], row["ingest_us"] + row["postgres_us"]]
        costs += [row["first_ingest_us"], row["first_postgres_us"]]
        told = " | ".join(f"{cost:.1f}" for cost in costs)
        lines.append(f"| {row['workers']} | {row['devices']:,} | {told} |")
    heads = (
        "workers",
        "pings a message",
        "offered/s",
        "pings/s",
        "pings a batch",
        "its oldest waits",
    )
    lines += ["", f"| {' | '.join(heads)} | ingest | PostgreSQL | all of NATS |"]
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for row in found["workers"]:
        digits = 0 if row["a_message"] == 1 else 1
        costs = ("ingest_us", "postgres_us", "nats_us")
        lines.append(
            f"| {row['workers']} | {row['a_message']} | {row['offered']:,}"
            f" | {row['pings_a_second']:,}"
            f" | {row['pings_a_batch']:,.0f} | {row['oldest_ms']:.0f} ms"
            f" | {' | '.join(f'{row[key]:.{digits}f}' for key in costs)} |"
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


def keep(path: Path, **found: Any) -> None:
    """Store what was found, with the machine that it was found on."""
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    text = {"machine": machine, "python": platform.python_version(), **found}
    path.write_text(json.dumps(text, indent=1) + "\n")


def main() -> None:
    """Measure, print and store."""
    smoke = is_smoke(__doc__)
    if smoke:
        full = full_batches([(1, 10_000), (2, 10_000)], pings=20_000, turns=1)
    else:
        full = full_batches(CASES, pings=PINGS, turns=TURNS)
    for row in full:
        print(row)
    workers = []
    loads = [(count, count * EACH, 1) for count in (1, 2, 4)]
    loads += [(count, TOGETHER, 1) for count in (1, 2, 4)]
    loads += [(count, count * MESSAGES_EACH, A_MESSAGE) for count in (1, 2, 4)]
    loads += [(count, MESSAGES_TOGETHER, A_MESSAGE) for count in (1, 2)]  # of 4 it stands there
    for count, rate, each in loads[:1] if smoke else loads:
        with durable_server() as server:  # a new one: the last one has much to write yet
            workers.append(by_workers(server, count, rate, each, 5_000 if smoke else 25 * rate))
        print(workers[-1])
    if not smoke:
        keep(RESULTS, full=full, workers=workers)
        PAGE.write_text(written(PAGE.read_text(), json.loads(RESULTS.read_text())))


if __name__ == "__main__":
    main()
