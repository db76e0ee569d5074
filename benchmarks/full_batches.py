"""What a ping costs in full batches, by number of devices and of workers.

The half of `workers` that needs no broker.
"""

from __future__ import annotations

import logging
import multiprocessing
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import psycopg
import structlog
import yaml

from benchmarks.crowd import put_catalog, rounds
from geotarget.catalog import Catalog
from geotarget.engine.warm import warm
from geotarget.ingest.slots import ALL_SLOTS, slot_of, slots_of
from geotarget.owned_slots import OwnedSlots
from geotarget.pipeline import Pipeline
from geotarget.runtime.commands import keep_heap
from geotarget.store import Store
from tests.postgres_server import SECRET_KEY, PostgresServer, programs

ROUNDS = 44
"""Pings of each device before anything is measured. The logs of the slots fill in less than three,
and stays of twenty have begun and ended among the rows of memberships that outlast them.
"""
COMPOSE = Path(__file__).resolve().parents[1] / "docker-compose.yml"


@contextmanager
def durable_server() -> Iterator[PostgresServer]:
    """Give a server that flushes, with the settings that are shipped."""
    command = yaml.safe_load(COMPOSE.read_text())["services"]["postgres"]["command"]
    options = [each for each in command if "=" in each]
    server = PostgresServer(programs(), durable=True, options=options)
    try:
        server.start()
        yield server
    finally:
        server.remove()


def cpu_of(process: psutil.Process) -> float:
    """Return the CPU seconds of a process and of its children, those that ended included."""
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    ended = times[0].children_user + times[0].children_system
    return ended + sum(each.user + each.system for each in times)


def work(asked: Connection, url: str, number: int, workers: int, devices: int) -> None:
    """Be one of the workers of an installation: let as many rounds through as one is asked for.

    Answers with CPU seconds, pings and transitions, until it is asked for none.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    warm()
    among = [slot for slot in ALL_SLOTS if slot % workers == number]
    with Store.open(url, secret_key=SECRET_KEY, busy_s=120.0) as store:
        owned = OwnedSlots(store, f"bench {number}", slots_of)
        taken = store.take_slots(f"bench {number}", among=among, most=64, lease_ms=10**9)
        pipeline = Pipeline(catalog=Catalog(store), store=store, slots=owned)
        owned.ask(lambda: owned.adopt({each.slot: each.epoch for each in taken}))
        everybody = (f"device-{number}" for number in range(devices))
        names = [name for name in everybody if slot_of(name) in set(among)]
        keep_heap()  # as `geotarget ingest` does
        done = 0
        while count := asked.recv():
            took_s, pings, moved = 0.0, 0, 0
            for batch in rounds(names, first=done, count=count):
                started = time.process_time()
                moved += sum(pipeline.process(batch).transitions.values())
                took_s += time.process_time() - started  # what makes the batches is not counted
                pings += len(batch)
            done += count
            asked.send((took_s, pings, moved))


@dataclass(frozen=True)
class Run:
    """What an installation did and took, in a turn."""

    pings: int
    transitions: int
    ingest_s: float
    postgres_s: float

    @property
    def ingest_us(self) -> float:
        """CPU microseconds a ping of all workers."""
        return 1e6 * self.ingest_s / self.pings

    @property
    def postgres_us(self) -> float:
        """CPU microseconds a ping of the server."""
        return 1e6 * self.postgres_s / self.pings


class Installation:
    """A server and so many workers, processes of their own that share the slots and the devices."""

    def __init__(self, server: PostgresServer, workers: int, devices: int, pings: int) -> None:
        assert server.process is not None
        self.workers, self.devices = workers, devices
        self._rounds = max(1, pings // devices)
        self._postgres = psutil.Process(server.process.pid)
        url = server.make_database()
        with Store.open(url, secret_key=SECRET_KEY) as store:
            put_catalog(store)
            store.prepare_slots(sorted(ALL_SLOTS), slot_of)
        context = multiprocessing.get_context("spawn")
        self._pipes, self._processes = [], []
        for number in range(workers):
            ours, theirs = context.Pipe()
            arguments = (theirs, url, number, workers, devices)
            process = context.Process(target=work, args=arguments, daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)
        self.first = self._run(1)
        self._run(max(ROUNDS, self._rounds))
        with psycopg.connect(url, autocommit=True) as tidying:
            tidying.execute("VACUUM (ANALYZE)")
            tidying.execute("CHECKPOINT")
        self._before = cpu_of(self._postgres)
        self.runs: list[Run] = []

    def take_turn(self) -> None:
        """Let pings through, and note what they took."""
        self.runs.append(self._run(self._rounds))

    def end(self) -> None:
        """End the workers."""
        for pipe in self._pipes:
            pipe.send(0)
        for process in self._processes:
            process.join()

    def row(self) -> dict[str, Any]:
        """Return what was found.

        Ingest has the median of the turns; PostgreSQL all that it took from the first to the last,
        what it did in between included.
        """
        pings = sum(run.pings for run in self.runs)
        postgres_s = cpu_of(self._postgres) - self._before
        return {
            "workers": self.workers,
            "devices": self.devices,
            "pings": pings,
            "transitions": sum(run.transitions for run in self.runs),
            "first_ingest_us": round(self.first.ingest_us, 2),
            "first_postgres_us": round(self.first.postgres_us, 2),
            "ingest_us": round(statistics.median(run.ingest_us for run in self.runs), 2),
            "postgres_us": round(1e6 * postgres_s / pings, 2),
            "turns_ingest_us": [round(run.ingest_us, 2) for run in self.runs],
            "turns_postgres_us": [round(run.postgres_us, 2) for run in self.runs],
        }

    def _run(self, count: int) -> Run:
        before = cpu_of(self._postgres)
        for pipe in self._pipes:
            pipe.send(count)
        took = [pipe.recv() for pipe in self._pipes]
        after = cpu_of(self._postgres)
        return Run(
            pings=sum(pings for _, pings, _ in took),
            transitions=sum(moved for *_, moved in took),
            ingest_s=sum(each_s for each_s, *_ in took),
            postgres_s=after - before,
        )


def full_batches(
    cases: Sequence[tuple[int, int]], *, pings: int, turns: int
) -> list[dict[str, Any]]:
    """Measure the pipeline on PostgreSQL, once the logs of the slots are as full as ever.

    Parameters
    ----------
    cases
        How many workers and how many devices each. They take turns, on a server for each: so what
        else the machine does hits all alike.
    pings
        Of a turn.
    turns
        How often each is measured.
    """
    with ExitStack() as stack:
        made = []
        for workers, devices in cases:
            made.append(
                Installation(stack.enter_context(durable_server()), workers, devices, pings)
            )
            stack.callback(made[-1].end)
        for _ in range(turns):
            for each in made:
                each.take_turn()
        return [each.row() for each in made]
