"""How far workers get in each other's way at one PostgreSQL database.

Each worker is a process with its share of the 64 slots that lets batches of 5,000 pings through the
pipeline, without a broker; one ping in twenty, or in two hundred, enters or leaves a zone, and half
of the zones have a campaign. What is measured is wall time, so run it on a machine that does
nothing else; on two cores the server and two workers share them.

- *turn*: from the first lock to the commit, the longest that a turn could take from others before.
- *alone*: the part of it in which no other worker can commit (`store.turn_locks`): it bounds all
  workers of one database together.

    python benchmarks/turns.py
"""

from __future__ import annotations

import logging
import multiprocessing
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.crowd import BATCH, put_catalog, rounds
from benchmarks.full_batches import durable_server
from benchmarks.workers import is_smoke, keep
from geotarget.catalog import Catalog
from geotarget.engine.warm import warm
from geotarget.ingest.slots import ALL_SLOTS, slot_of, slots_of
from geotarget.owned_slots import OwnedSlots
from geotarget.pipeline import Pipeline
from geotarget.store import Store, turn_locks
from tests.postgres_server import SECRET_KEY, PostgresServer

RESULTS = Path(__file__).parent / "results" / "turns.json"
DEVICES = 40_000


class Watch:
    """Notes how long turns take, and how long of that they are alone."""

    def __init__(self, store: Store) -> None:
        self.turns: list[float] = []
        self.alone: list[float] = []
        self._since = 0.0
        database: Any = store._database  # noqa: SLF001 - to look at its turns
        self._turn, self._hold = database.turn, turn_locks.hold_history
        database.turn = self.turn
        turn_locks.hold_history = self.hold

    @contextmanager
    def turn(self) -> Iterator[Any]:
        """Give a turn, and note how long it took."""
        with self._turn() as connection:
            started, self._since = time.perf_counter(), 0.0
            yield connection
        ended = time.perf_counter()
        self.turns.append(ended - started)
        self.alone.append(ended - self._since if self._since else 0.0)

    def hold(self, cursor: Any) -> None:
        """Hold history, and note since when."""
        self._hold(cursor)
        self._since = time.perf_counter()


def work(url: str, number: int, workers: int, stay: int, count: int, at: Any, out: Any) -> None:
    """Take a share of the slots, and let its devices move."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    warm()
    with Store.open(url, secret_key=SECRET_KEY, busy_s=120.0) as store:
        among = [slot for slot in ALL_SLOTS if slot % workers == number]
        owned = OwnedSlots(store, f"bench {number}", slots_of)
        taken = store.take_slots(f"bench {number}", among=among, most=64, lease_ms=10**9)
        pipeline = Pipeline(catalog=Catalog(store), store=store, slots=owned)
        owned.adopt({each.slot: each.epoch for each in taken})
        names = [f"device-{number}" for number in range(2 * DEVICES)]
        names = [name for name in names if slot_of(name) in among]
        devices = names[: DEVICES // workers]
        for batch in rounds(devices, first=0, count=1, stay=stay):
            pipeline.process(batch)
        at.wait()
        watch, started, pings, moved = Watch(store), time.perf_counter(), 0, 0
        for batch in rounds(devices, first=1, count=count, stay=stay):
            moved += sum(pipeline.process(batch).transitions.values())
            pings += len(batch)
        wall = time.perf_counter() - started
        both = zip(watch.turns, watch.alone, strict=True)
        full = [(turn, alone) for turn, alone in both if alone]
        out.put((pings, moved, wall, full))


def by_workers(server: PostgresServer, workers: int, stay: int, count: int) -> dict[str, float]:
    """Measure so many workers on a new database."""
    context = multiprocessing.get_context("spawn")
    at, out = context.Barrier(workers), context.Queue()
    url = server.make_database()
    with Store.open(url, secret_key=SECRET_KEY) as store:
        put_catalog(store)
        store.prepare_slots(sorted(ALL_SLOTS), slot_of)
    running = [
        context.Process(target=work, args=(url, number, workers, stay, count, at, out))
        for number in range(workers)
    ]
    for process in running:
        process.start()
    found = [out.get(timeout=600) for _ in running]
    for process in running:
        process.join()
    pings = sum(each[0] for each in found)
    turns = [turn for each in found for turn in each[3]]
    alone = statistics.fmean(each for _, each in turns)
    return {
        "workers": workers,
        "one_in": round(pings / sum(each[1] for each in found)),
        "pings_a_second": round(pings / max(each[2] for each in found)),
        "turn_ms": round(1e3 * statistics.median(turn for turn, _ in turns), 2),
        "alone_ms": round(1e3 * statistics.median(each for _, each in turns), 2),
        "bound_pings_a_second": round(pings / len(turns) / alone),
    }


def main() -> None:
    """Measure, print and store."""
    smoke = is_smoke(__doc__)
    rows = []
    with durable_server() as server:
        for stay in [20] if smoke else [20, 200]:
            for workers in [2] if smoke else [1, 2, 4]:
                rows.append(by_workers(server, workers, stay, 2 if smoke else 10))
                print(rows[-1])
    if not smoke:
        keep(RESULTS, batch=BATCH, turns=rows)


if __name__ == "__main__":
    main()
