"""What a ping costs by number of devices: the half of `workers` that needs no broker."""

from __future__ import annotations

import logging
import multiprocessing
import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import psycopg
import structlog
import yaml

from benchmarks.crowd import put_catalog, rounds
from geotarget.engine.warm import warm
from geotarget.ingest.slots import ALL_SLOTS, slot_of, slots_of
from geotarget.owned_slots import OwnedSlots
from geotarget.pipeline import Pipeline
from geotarget.runtime.commands import keep_heap
from geotarget.store import Store
from tests.postgres_server import SECRET_KEY, PostgresServer, programs

ROUNDS = 6
"""Pings of each device before anything is measured: the logs of the slots fill in less than three,
and in the next they write the memberships of all who were inside at first into their table."""
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


def measure_devices(asked: Connection, devices: int, pings: int) -> None:
    """Answer `by_devices`, in a process of its own: first how it began, then turn by turn."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    warm()
    with (
        durable_server() as server,
        Store.open(url := server.make_database(), secret_key=SECRET_KEY) as store,
    ):
        assert server.process is not None
        postgres = psutil.Process(server.process.pid)
        store.prepare_slots(sorted(ALL_SLOTS), slot_of)
        owned = OwnedSlots(store, "bench", slots_of)
        taken = store.take_slots("bench", among=ALL_SLOTS, most=64, lease_ms=10**9)
        pipeline = Pipeline(catalog=put_catalog(store), store=store, slots=owned)
        owned.ask(lambda: owned.adopt({each.slot: each.epoch for each in taken}))
        count = max(1, pings // devices)
        names = [f"device-{number}" for number in range(devices)]
        keep_heap()  # as `geotarget ingest` does

        def measure(first: int, count: int) -> dict[str, float]:
            before, ours, moved = cpu_of(postgres), 0.0, 0
            for batch in rounds(names, first=first, count=count):
                started = time.process_time()
                moved += sum(pipeline.process(batch).transitions.values())
                ours += time.process_time() - started  # what makes the batches is not counted
            theirs = cpu_of(postgres)
            return {
                "pings": count * devices,
                "transitions": moved,
                "ingest_us": 1e6 * ours / (count * devices),
                "postgres_us": 1e6 * (theirs - before) / (count * devices),
                "postgres_s": theirs,
            }

        asked.send(measure(0, 1))
        done = max(ROUNDS, count)
        measure(1, done)
        with psycopg.connect(url, autocommit=True) as tidying:
            tidying.execute("VACUUM (ANALYZE)")
            tidying.execute("CHECKPOINT")
        asked.send(cpu_of(postgres))
        while asked.recv():
            asked.send(measure(1 + done, count))
            done += count


def by_devices(sizes: Mapping[int, int], turns: int) -> Iterator[dict[str, Any]]:
    """Measure the pipeline with so many devices each, once the logs are as full as ever.

    Parameters
    ----------
    sizes
        Devices, and how many pings are a turn.
    turns
        How often each is measured.
    """
    context = multiprocessing.get_context("spawn")
    processes, pipes, first, before = [], {}, {}, {}
    for devices, pings in sizes.items():
        pipes[devices], theirs = context.Pipe()
        processes.append(
            context.Process(target=measure_devices, args=(theirs, devices, pings), daemon=True)
        )
        processes[-1].start()
        theirs.close()
        first[devices], before[devices] = pipes[devices].recv(), pipes[devices].recv()
    found: dict[int, list[dict[str, float]]] = {devices: [] for devices in sizes}
    for _ in range(turns):
        for devices, pipe in pipes.items():
            pipe.send("go on")
            found[devices].append(pipe.recv())
    for pipe in pipes.values():
        pipe.send("")
    for process in processes:
        process.join()
    for devices, runs in found.items():
        pings = sum(run["pings"] for run in runs)
        yield {
            "devices": devices,
            "pings": pings,
            "transitions": sum(run["transitions"] for run in runs),
            "first_ingest_us": round(first[devices]["ingest_us"], 2),
            "first_postgres_us": round(first[devices]["postgres_us"], 2),
            "ingest_us": round(statistics.median(run["ingest_us"] for run in runs), 2),
            "postgres_us": round(1e6 * (runs[-1]["postgres_s"] - before[devices]) / pings, 2),
            "turns_ingest_us": [round(run["ingest_us"], 2) for run in runs],
            "turns_postgres_us": [round(run["postgres_us"], 2) for run in runs],
        }
