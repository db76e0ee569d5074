"""What a row weighs on the disk, a device and a zone in memory: the sizing page counts with them.

The disk: the pipeline writes what campaigns make of walking devices, every delivery is claimed and
marked, and then each table is dropped from a copy of the file: the pages that become free are its
own and those of its indexes, fill factor and all. Memory: of a process of its own, how much it
grows by devices, by zones, by what is started.

    python benchmarks/sizes.py              some minutes; writes results/sizes.json
    python benchmarks/sizes.py --smoke      a short run that only proves that it works
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import structlog

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.pipeline import pings, zones
from geotarget.catalog import Catalog
from geotarget.engine.warm import warm
from geotarget.geojson import parse_zone
from geotarget.model import (
    Attempt,
    Campaign,
    Endpoint,
    PingBatch,
    Profile,
    Trigger,
)
from geotarget.pipeline import Pipeline
from geotarget.store import Store, sqlite_driver

# Nothing here is about the speed of a disk, and flushing each profile would take minutes.
SCRATCH = "/dev/shm" if Path("/dev/shm").is_dir() else None
RESULTS = Path(__file__).resolve().parent / "results" / "sizes.json"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BATCH = 5_000
PARTS = {
    "transition": ("transition",),
    "decision": ("decision",),
    "delivery": ("delivery", "delivery_body", "attempt", "waiting"),
    "device": ("device",),
    "profile": ("profile", "profile_device"),
    "behaviour": ("behaviour",),
    "campaign_profile": ("campaign_profile",),
    "zone": ("zone",),
}
"""Which tables make up what is counted; those that do not exist are left out."""


def campaigns() -> list[Campaign]:
    """Return one that fires where there is consent, and one that nobody's audience meets."""
    greeting = Campaign(
        id="greeting",
        name="Greeting",
        trigger=Trigger(zone_tags=frozenset({"offer"})),
        offer={"title": "Hello {{ profile.first_name | default: 'you' }}, at {{ zone.id }}"},
        endpoints=("hook",),
        consent_required=True,
    )
    return [greeting, replace(greeting, id="gold", audience="profile.tier == 'gold'")]


def load(store: Store, *, total: int, devices: int, zone_count: int) -> None:
    """Write what walking devices cause; half of them have consented."""
    catalog = Catalog(store)
    features = zones(zone_count)
    for number, feature in enumerate(features):
        feature["properties"]["tags"] = ["offer"] if number % 2 else []
    catalog.put_zones([parse_zone(feature) for feature in features])
    catalog.put_endpoint(Endpoint(id="hook", url="https://shop.example/", secret=SECRET))
    for each in campaigns():
        catalog.put_campaign(each)
    for number in range(devices):
        consent = {"marketing": number % 4 < 2}
        store.put_profile(Profile(f"d{number}", {"first_name": "Maija"}, consent))
    pipeline = Pipeline(catalog=catalog, store=store)
    warm()
    rows = list(pings("d", total, devices, features))
    for first in range(0, total, BATCH):
        pipeline.process(batch(rows[first : first + BATCH], first))


def batch(part: Sequence[tuple[str, dict[str, Any]]], first: int) -> PingBatch:
    """Return pings as the ingest hands them on."""
    ts = np.array([int(ping["ts"] * 1000) for _, ping in part], np.int64)
    return PingBatch(
        device=[device for device, _ in part],
        ts=ts,
        lng=np.array([ping["lng"] for _, ping in part]),
        lat=np.array([ping["lat"] for _, ping in part]),
        acc=np.full(len(part), 8.0),
        key=np.arange(first + 1, first + 1 + len(part), dtype=np.uint64),
        received=ts,
    )


def deliver(store: Store) -> None:
    """Mark everything that waits as delivered at the first attempt."""
    now_ms = time.time_ns() // 1_000_000
    while claimed := store.claim(now_ms=now_ms, limits={"hook": 500}, lease_ms=60_000):
        store.mark(
            [
                Attempt(each.webhook_id, each.endpoint, 1, now_ms, 12, "delivered", 0, 200)
                for each in claimed
            ]
        )


def disk(*, total: int, devices: int) -> dict[str, Any]:
    """Return bytes a row, indexes included, and how many rows there were."""
    with tempfile.TemporaryDirectory(dir=SCRATCH) as name:
        file = Path(name) / "geotarget.db"
        store = Store.open(f"sqlite:///{file}", log_rows=5)  # states go into their table soon
        load(store, total=total, devices=devices, zone_count=1_000)
        deliver(store)
        totals = store.counts()
        newest = store.deliveries_page(limit=1).items[0]
        (detail,) = store.delivery(newest.webhook_id)
        store.close()
        found: dict[str, Any] = {
            "pings": total,
            "devices": devices,
            "transitions": totals.transitions,
            "decisions_fired": totals.decisions_fired,
            "decisions_refused": totals.decisions_refused,
            "body_bytes": len(detail.body),
            "file_bytes": file.stat().st_size,
        }
        found["bytes_a_row"] = {
            what: round(weigh(file, tables), 1) for what, tables in PARTS.items()
        }
    return found


def weigh(file: Path, tables: Sequence[str]) -> float:
    """Return how many bytes the first of the tables takes a row, with what belongs to it."""
    copied = file.with_name("copy.db")
    shutil.copy(file, copied)
    with closing(sqlite_driver().connect(str(copied), isolation_level=None)) as opened:
        (page,) = opened.execute("PRAGMA page_size").fetchone()
        (rows,) = opened.execute(f"SELECT count(*) FROM {tables[0]}").fetchone()
        known = {each for (each,) in opened.execute("SELECT name FROM sqlite_master")}
        opened.execute("PRAGMA foreign_keys=OFF")
        (before,) = opened.execute("PRAGMA freelist_count").fetchone()
        for table in reversed(tables):
            if table in known:
                opened.execute(f"DROP TABLE {table}")
        (after,) = opened.execute("PRAGMA freelist_count").fetchone()
    copied.unlink()
    return float((after - before) * page / rows) if rows else 0.0


def prepare(file: Path, zone_count: int) -> None:
    """Store zones, so that the process that is measured finds them as after a restart."""
    quiet()
    with Store.open(f"sqlite:///{file}") as store:
        Catalog(store).put_zones([parse_zone(each) for each in zones(zone_count)])


def resident(file: Path, devices: int, out: Any) -> None:
    """Report the resident memory of a process that works with so many devices, in bytes."""
    quiet()
    with Store.open(f"sqlite:///{file}") as store:
        catalog = Catalog(store)
        catalog.refresh()
        pipeline = Pipeline(catalog=catalog, store=store)
        warm()
        spots = np.random.default_rng(7).uniform(-0.3, 0.3, (devices, 2))
        now_ms = time.time_ns() // 1_000_000
        for first in range(0, devices, BATCH):
            count = min(BATCH, devices - first)
            ts = np.full(count, now_ms, np.int64)
            pipeline.process(
                PingBatch(
                    device=[f"phone-{first + number:09d}" for number in range(count)],
                    ts=ts,
                    lng=24.94 + spots[first : first + count, 0],
                    lat=60.17 + spots[first : first + count, 1],
                    acc=np.full(count, 8.0),
                    key=np.arange(first + 1, first + 1 + count, dtype=np.uint64),
                    received=ts,
                )
            )
        out.put(psutil.Process().memory_info().rss)


def quiet() -> None:
    """Log errors only."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))


def memory(*, devices: int, zone_count: int) -> dict[str, Any]:
    """Return how much a process grows by devices and by zones."""
    context = multiprocessing.get_context("spawn")

    def ask(many: int, areas: int) -> int:
        with tempfile.TemporaryDirectory(dir=SCRATCH) as name:
            file, out = Path(name) / "geotarget.db", context.Queue()
            for work in (
                context.Process(target=prepare, args=(file, areas)),
                context.Process(target=resident, args=(file, many, out)),
            ):
                work.start()
                work.join()
                assert work.exitcode == 0
            return int(out.get(timeout=10))

    bare = ask(0, 1)
    return {
        "ingest_alone_mib": round(bare / 2**20, 1),
        "devices": devices,
        "bytes_a_device": round((ask(devices, 1) - bare) / devices),
        "zones": zone_count,
        "bytes_a_zone": round((ask(0, zone_count) - bare) / zone_count),
    }


def main() -> None:
    """Measure, print, and write down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true")
    smoke = parser.parse_args().smoke
    quiet()
    few = 10 if smoke else 1
    found = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}",
        "measured": time.strftime("%Y-%m-%d", time.gmtime()),
        "disk": disk(total=600_000 // few, devices=40_000 // few),
        "memory": memory(devices=200_000 // few, zone_count=20_000 // few),
    }
    print(json.dumps(found, indent=2))
    if not smoke:
        RESULTS.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
