"""CPU of the pipeline alone, match to commit, by size of the batch: no broker, no webhooks posted.

The load of `benchmarks/pipeline.py`: 1,000 zones, 5,000 devices, 5 % of the pings cause a
transition, about a quarter of those an offer. CPU of the process, kernels warm.

    python benchmarks/process.py
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import structlog

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.pipeline import pings, zones
from geotarget.catalog import Catalog
from geotarget.engine.warm import warm
from geotarget.geojson import parse_zone
from geotarget.model import Campaign, Endpoint, PingBatch, Trigger
from geotarget.pipeline import Pipeline
from geotarget.store import Store

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
TOTAL, DEVICES = 200_000, 5_000


def measure(size: int) -> tuple[float, float]:
    """Return CPU microseconds a ping and transitions a ping at this batch size."""
    features = zones(1_000)
    for number, feature in enumerate(features):
        feature["properties"]["tags"] = ["offer"] if number % 2 else []
    rows = list(pings("d", TOTAL, DEVICES, features))
    with (
        tempfile.TemporaryDirectory() as folder,
        Store.open(f"sqlite:///{folder}/geotarget.db") as store,
    ):
        catalog = Catalog(store)
        catalog.put_zones([parse_zone(feature) for feature in features])
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
        pipeline = Pipeline(catalog=catalog, store=store)
        warm()
        batches = []
        for first in range(0, TOTAL, size):
            part = rows[first : first + size]
            ts = np.array([int(ping["ts"] * 1000) for _, ping in part], np.int64)
            batches.append(
                PingBatch(
                    device=[device for device, _ in part],
                    ts=ts,
                    lng=np.array([ping["lng"] for _, ping in part]),
                    lat=np.array([ping["lat"] for _, ping in part]),
                    acc=np.full(len(part), 8.0),
                    key=np.arange(first + 1, first + 1 + len(part), dtype=np.uint64),
                    received=ts,
                )
            )
        pipeline.process(batches[0])
        count = TOTAL - len(batches[0])
        started = time.process_time()
        moved = sum(sum(pipeline.process(batch).transitions.values()) for batch in batches[1:])
        return 1e6 * (time.process_time() - started) / count, moved / count


def main() -> None:
    """Print a table."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    print("batch   CPU us/ping   transitions/ping")
    for size in (500, 1_000, 5_000):
        cpu, moved = measure(size)
        print(f"{size:5d}   {cpu:11.1f}   {moved:16.3f}")


if __name__ == "__main__":
    main()
