"""Budgets are exact with any number of writers: four processes spend one to its last offer."""

from __future__ import annotations

from multiprocessing.connection import Connection

import numpy as np
import pytest
import shapely

from geotarget.catalog import Catalog
from geotarget.ingest.slots import ALL_SLOTS, SLOTS, slot_of, slots_of
from geotarget.model import Budget, Campaign, Endpoint, Kind, PingBatch, Spent, Trigger, Zone
from geotarget.owned_slots import OwnedSlots
from geotarget.pipeline import Pipeline
from geotarget.store import Store
from tests.forking import Forked
from tests.postgres_server import SECRET_KEY

PROCESSES = 4
DEVICES = 320
"""Of each process; all of them enter, so more ask than the budget has offers."""

NOW = 1_760_000_000_000
DEADLINE_S = 240

AT_ONCE = 8


def work(pipe: Connection, url: str, name: str, slots: list[int]) -> None:
    """Let devices of some slots enter, in batches, when told to; without slots, any devices."""
    names = [f"{name}-{number}" for number in range(100 * DEVICES)]
    names = [each for each in names if not slots or slot_of(each) in slots][:DEVICES]
    with Store.open(url, busy_s=120.0, secret_key=SECRET_KEY) as store:
        owned = OwnedSlots(store, name, slots_of) if slots else None
        pipeline = Pipeline(catalog=Catalog(store), store=store, now_ms=lambda: NOW, slots=owned)
        if owned is not None:
            taken = store.take_slots(name, among=slots, most=64, lease_ms=600_000)
            owned.adopt({each.slot: each.epoch for each in taken})
        pipe.send("ready")
        pipe.recv()
        for start in range(0, DEVICES, AT_ONCE):
            ts = np.full(AT_ONCE, NOW)
            pipeline.process(
                PingBatch(
                    device=names[start : start + AT_ONCE],
                    ts=ts,
                    lng=np.full(AT_ONCE, 24.94),
                    lat=np.full(AT_ONCE, 60.17),
                    acc=np.full(AT_ONCE, 8.0),
                    key=np.arange(start + 1, start + AT_ONCE + 1, dtype=np.uint64),
                    received=ts,
                )
            )


@pytest.mark.parametrize(
    ("budget", "cost_micros", "fired", "in_slots"),
    [
        pytest.param(Budget(total=1_000), 0, 1_000, False, id="offers in all"),
        pytest.param(Budget(per_day=1_000, total=5_000), 50_000, 1_000, True, id="offers a day"),
        pytest.param(Budget(unit="money", total=50_000_000), 70_000, 714, False, id="money"),
    ],
)
def test_four_processes_and_one_budget(
    ready_database_url: str, budget: Budget, cost_micros: int, fired: int, in_slots: bool
) -> None:
    """Exactly the budget is fired, delivered and counted as spent; everybody else is refused.

    Also where the turns of workers with slots run beside each other.
    """
    url = ready_database_url
    with Store.open(url, secret_key=SECRET_KEY) as store:
        catalog = Catalog(store)
        catalog.put_zones([Zone(id="shop", geometry=shapely.box(24.938, 60.169, 24.942, 60.171))])
        catalog.put_endpoint(
            Endpoint(id="hook", url="https://shop.example/hook", secret="whsec_" + "MfKQ" * 8)
        )
        catalog.put_campaign(
            Campaign(
                id="buns",
                name="Buns",
                trigger=Trigger(on=frozenset({Kind.ENTER})),
                offer={"title": "A bun"},
                endpoints=("hook",),
                budget=budget,
                cost_micros=cost_micros,
            )
        )
        if in_slots:
            store.prepare_slots(sorted(ALL_SLOTS), slot_of)
    workers = [
        Forked(
            work,
            url,
            f"worker{number}",
            list(range(number, SLOTS, PROCESSES)) if in_slots else [],
        )
        for number in range(PROCESSES)
    ]
    for worker in workers:
        assert "ready" == worker.hear(DEADLINE_S)
    for worker in workers:
        worker.pipe.send("go")
    for worker in workers:
        assert 0 == worker.wait(DEADLINE_S)
    with Store.open(url, secret_key=SECRET_KEY) as store:
        totals = store.counts()
        everybody = PROCESSES * DEVICES
        assert (everybody, fired, everybody - fired, fired) == (
            totals.entries, totals.decisions_fired, totals.decisions_refused,
            totals.deliveries_pending,
        )  # fmt: skip
        spent = store.budget_days("buns")
        assert {Spent(fired, fired * cost_micros)} == set(spent.values())
        assert {"", "2025-10-09"} == set(spent)
        tally = {each.gate: (each.count, each.cost_micros) for each in store.tallies("buns")}
        assert {"fired": (fired, fired * cost_micros), "budget": (everybody - fired, 0)} == tally
        gates = {each.device.partition("-")[0] for each in store.decisions_page(
            gate="fired", limit=1000
        ).items}  # fmt: skip
        assert len(gates) > 1, "several of them had their share"
