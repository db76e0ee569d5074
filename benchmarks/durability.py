"""What it costs to be told only what is safe: the database's flush, NATS' flush, mosquitto's save.

Three choices, each measured beside its alternatives on one disk, in turn, medians of three runs:

- SQLite with ``synchronous`` FULL (ours) and NORMAL: commits of the hot batch of
  `benchmarks/store.py`, large and small.
- The embedded broker as it is, and with ``sync_interval: always``: messages acknowledged a second
  while nobody fetches them, single pings and packed ones.
- mosquitto with ``autosave_interval`` 1 and 1800: the same, while what waits grows; and how long
  nobody is answered while it saves what waits.

And what a backup of a database at work costs: copy, check, and the commits beside it.

The disk is that of ``--directory``: without one, of the folder for temporary files. On a disk that
answers a flush from a cache of its own the prices are lower, and so is what is bought.

    python benchmarks/durability.py              some two minutes; writes results/durability.json
    python benchmarks/durability.py --smoke      a short run that only proves that it works
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.ingest import start_mosquitto
from benchmarks.store import batch
from geotarget.backup import take
from geotarget.ingest import Publisher
from geotarget.ingest.listening import free_port
from geotarget.ingest.nats_server import (
    INGEST,
    ServerPlan,
    create_session,
    find_server,
    limit_store,
)
from geotarget.ingest.publish import OutgoingPing
from geotarget.store import Store

RESULTS = Path(__file__).resolve().parent / "results" / "durability.json"
SEED = 7
DEADLINE_S = 60.0
RUNS = 3
BATCHES = {"5,000 pings, 250 offers": (5_000, 250, 60), "200 pings, 10 offers": (200, 10, 150)}
"""How many pings, how many of them cause an offer, and how many such batches are written."""

PACKED = 50
AUTOSAVES = (1, 1_800)


# -- the database ---------------------------------------------------------------------------


def commits(folder: Path, mode: str, pings: int, caused: int, count: int) -> dict[str, float]:
    """Return commits a second and how long the slowest took, with this `synchronous`."""
    random = Random(SEED)
    devices = [f"phone-{number:08x}" for number in range(5_000)]
    work = [batch(random, devices, number, caused) for number in range(count + 5)]
    took = []
    with Store.open(f"sqlite:///{folder / f'{mode}-{pings}.db'}") as store:
        with store._database.write() as connection:  # noqa: SLF001 - no setting turns it off
            writer = connection.connection.driver_connection
            assert writer is not None
        writer.execute(f"PRAGMA synchronous={mode}")
        for number, each in enumerate(work):
            part = each if pings == len(each.devices) else cut(each, pings)
            started = time.perf_counter()
            store.write_batch(part)
            if number >= 5:
                took.append(time.perf_counter() - started)
    return {"per_s": count / sum(took), "slowest_ms": 1e3 * max(took)}


def cut(whole: Any, pings: int) -> Any:
    """Return the first pings of a batch; what they cause stays."""
    width = len(whole.device_states) // len(whole.devices)
    return replace(
        whole, devices=whole.devices[:pings], device_states=whole.device_states[: pings * width]
    )


# -- brokers --------------------------------------------------------------------------------


@contextmanager
def nats(folder: Path, flush: str) -> Iterator[str]:
    """Run the server of the wheel as the embedded broker does; `flush` is its ``sync_interval``."""
    plan = ServerPlan(
        folder=folder,
        host="127.0.0.1",
        mqtt_port=free_port("127.0.0.1"),
        admin_port=free_port("127.0.0.1"),
        prefix="pings",
        store_bytes=1 << 30,
        ack_wait_s=3.0,
        flush=flush or "2m",
        max_unacknowledged=5_000,
        admin_password="admin-of-a-benchmark",
        ingest_password="ingest-of-a-benchmark",
    )
    plan.write()
    server = subprocess.Popen(
        [str(find_server(None)), "-c", str(plan.config_file)], stderr=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: answers(plan.mqtt_port))
        create_session(plan, client_id="geotarget-ingest-benchmark", filters=("pings/+",))
        limit_store(plan)
        yield f"mqtt://127.0.0.1:{plan.mqtt_port}"
    finally:
        server.terminate()
        server.wait(30)


@contextmanager
def mosquitto(folder: Path, autosave_s: int) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run mosquitto with the shipped configuration, its database in a folder, and this interval."""
    url, process = start_mosquitto(folder, autosave_s=autosave_s)
    try:
        port = int(url.rpartition(":")[2])
        wait_for(lambda: answers(port))
        subscribe(port)
        yield url, process
    finally:
        process.terminate()
        process.wait(30)


def subscribe(port: int) -> None:
    """Leave a session behind for which the broker keeps what is published."""
    import paho.mqtt.client as paho

    done = threading.Event()
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=INGEST, clean_session=False)
    client.on_subscribe = lambda *_: done.set()
    client.connect("127.0.0.1", port)
    client.loop_start()
    client.subscribe("pings/+", 1)
    assert done.wait(10)
    client.disconnect()
    client.loop_stop()


def acknowledged(url: str, messages: int, packed: int, store: Path) -> dict[str, float]:
    """Publish so many messages; return how many were acknowledged a second, and what one takes."""
    random = Random(SEED)
    ready = [
        (
            f"device-{random.randrange(10_000)}",
            [
                OutgoingPing(
                    1_732_240_000.25 + number + step,
                    round(random.uniform(-60, 60), 6),
                    round(random.uniform(-180, 180), 6),
                    round(random.uniform(3, 60), 1),
                )
                for step in range(packed)
            ],
        )
        for number in range(messages)
    ]
    with Publisher(url) as publisher:
        started = time.perf_counter()
        publisher.publish_all(iter(ready))
        assert publisher.flush(DEADLINE_S)
        took = time.perf_counter() - started
    size = sum(each.stat().st_size for each in store.rglob("*") if each.is_file())
    return {"per_s": messages / took, "stored_bytes": size / messages}


def answers(port: int) -> bool:
    """Tell whether somebody listens."""
    import socket

    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    deadline, pause = time.monotonic() + 15, threading.Event()
    while not holds():
        assert time.monotonic() < deadline
        pause.wait(0.02)


# -- a backup -------------------------------------------------------------------------------


def backups(few: int) -> dict[str, float]:
    """Take a backup while somebody commits small batches as fast as he can."""
    random = Random(SEED)
    devices = [f"phone-{number:08x}" for number in range(5_000)]
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "geotarget.db"
        with Store.open(f"sqlite:///{file}") as store:
            for number in range(200 // few):
                store.write_batch(batch(random, devices, number, 250))
            small = cut(batch(random, devices, 0, 0), 200)
            times: list[float] = []
            stop = threading.Event()

            def commit() -> None:
                while not stop.is_set():
                    started = time.perf_counter()
                    store.write_batch(small)
                    times.append(time.perf_counter() - started)

            writer = threading.Thread(target=commit)
            writer.start()
            threading.Event().wait(2)
            alone = list(times)
            taken = take(file, file.with_name("backup.db"))
            beside = times[len(alone) :]
            stop.set()
            writer.join()
    return {
        "mb": round(taken.contents.bytes / 1e6, 1),
        "copy_s": round(taken.copy_s, 2),
        "check_s": round(taken.check_s, 2),
        "commit_alone_ms": round(1e3 * statistics.median(alone), 2),
        "commit_beside_ms": round(1e3 * statistics.median(beside), 2),
        "slowest_beside_ms": round(1e3 * max(beside), 1),
    }


# -- all of it ------------------------------------------------------------------------------


def in_turn(choices: dict[str, Callable[[Path], dict[str, float]]], runs: int) -> dict[str, Any]:
    """Run every choice `runs` times, in turn, each time in an empty folder; return medians."""
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in choices}
    for _ in range(runs):
        for name, run in choices.items():
            with tempfile.TemporaryDirectory() as folder:
                taken[name].append(run(Path(folder)))
    return {
        name: {
            **{key: round(statistics.median(each[key] for each in rows), 1) for key in rows[0]},
            "runs_per_s": [round(each["per_s"], 1) for each in rows],
        }
        for name, rows in taken.items()
    }


def database(runs: int, few: int) -> dict[str, Any]:
    """Measure both settings of SQLite, by size of the batch."""

    def choice(mode: str, pings: int, caused: int, count: int) -> Any:
        return lambda folder: commits(folder, mode, pings, caused, count // few)

    return {
        what: in_turn({mode: choice(mode, *sizes) for mode in ("FULL", "NORMAL")}, runs)
        for what, sizes in BATCHES.items()
    }


def embedded(runs: int, few: int) -> dict[str, Any]:
    """Measure the embedded broker with its own flushes, and with one for each message."""

    def choice(flush: str, messages: int, packed: int) -> Any:
        def run(folder: Path) -> dict[str, float]:
            with nats(folder, flush) as url:
                return acknowledged(url, messages // few, packed, folder / "store")

        return run

    return {
        what: in_turn(
            {
                "every two minutes": choice("", messages, packed),
                "always": choice("always", messages // 8, packed),
            },
            runs,
        )
        for what, packed, messages in (
            ("single pings", 1, 40_000),
            (f"{PACKED} pings a message", PACKED, 8_000),
        )
    }


def saved(runs: int, few: int) -> dict[str, Any]:
    """Measure mosquitto by how often it writes its database; 200,000 messages wait in the end."""

    def choice(autosave_s: int) -> Any:
        def run(folder: Path) -> dict[str, float]:
            with mosquitto(folder, autosave_s) as (url, process):
                speed = acknowledged(url, 200_000 // few, 1, folder)["per_s"]
                return {"per_s": speed, **save(url, process, folder)}

        return run

    return in_turn({f"every {each} s": choice(each) for each in AUTOSAVES}, runs)


def save(url: str, process: subprocess.Popen[bytes], folder: Path) -> dict[str, float]:
    """Ask mosquitto to save, and see how long it answers nobody, and how much it wrote."""
    process.send_signal(signal.SIGUSR1)
    started = time.perf_counter()
    with Publisher(url) as publisher:
        publisher.publish_all([("device-1", [OutgoingPing(1_732_240_000.0, 60.0, 25.0)])])
        assert publisher.flush(DEADLINE_S)
        pause = time.perf_counter() - started
    return {"pause_ms": 1e3 * pause, "saved_mb": (folder / "mosquitto.db").stat().st_size / 1e6}


def main() -> None:
    """Measure, print, and write down."""
    parts: dict[str, Callable[[int, int], dict[str, Any]]] = {
        "disk": lambda _runs, _few: flushes(),
        "database": database,
        "embedded": embedded,
        "backup": lambda _runs, few: backups(few),
        "mosquitto": saved,
    }
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--directory", type=Path, default=None, help="a folder on the disk")
    parser.add_argument("--only", choices=parts, action="append", help="this part; repeatable")
    given = parser.parse_args()
    if given.directory is not None:
        tempfile.tempdir = str(given.directory)
    runs, few = (1, 10) if given.smoke else (RUNS, 1)
    known = json.loads(RESULTS.read_text()) if given.only and RESULTS.exists() else {}
    found: dict[str, Any] = {
        **known,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}",
        "measured": time.strftime("%Y-%m-%d", time.gmtime()),
        "load_before": dict(known.get("load_before", {})),
    }
    for name, measure in parts.items():
        if given.only and name not in given.only:
            continue
        found["load_before"][name] = round(os.getloadavg()[0], 1)
        found[name] = measure(runs, few)
    print(json.dumps(found, indent=2))
    if not given.smoke:
        RESULTS.write_text(json.dumps(found, indent=2) + "\n")


def flushes() -> dict[str, float]:
    """Return how long this disk takes to flush 4 KiB, median and slowest of 200, milliseconds."""
    took = []
    with tempfile.NamedTemporaryFile() as file:
        for _ in range(200):
            file.write(os.urandom(4096))
            file.flush()
            started = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append(1e3 * (time.perf_counter() - started))
    return {"flush_ms": round(statistics.median(took), 3), "slowest_ms": round(max(took), 2)}


if __name__ == "__main__":
    main()
