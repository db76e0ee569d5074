"""Slots change hands between pipelines: visits go on, and nobody writes for a slot that is lost."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import pytest
import shapely

from geotarget import metrics
from geotarget.catalog import Catalog
from geotarget.engine import Rules
from geotarget.ingest.slots import ALL_SLOTS, slot_of, slots_of
from geotarget.model import EntryPolicy, Kind, PingBatch, Zone
from geotarget.owned_slots import OwnedSlots
from geotarget.pipeline import Pipeline
from geotarget.store import Store

NOW = 1_760_000_000_000
HERE, AWAY = (24.94, 60.17), (24.95, 60.17)
SHOP = Zone(id="shop", geometry=shapely.box(24.938, 60.169, 24.942, 60.171), entry=EntryPolicy.RAW)
ONE, OTHER = "phone-1", "phone-2"
LONG_MS = 10**9


class Worker:
    """A pipeline with slots, and a store of its own on the same database."""

    def __init__(self, url: str, name: str) -> None:
        self.name = name
        self.store = Store.open(url)
        self.owned = OwnedSlots(self.store, name, slots_of)
        self.disowned: set[int] = set()
        self.owned.disown = self._disown
        catalog = Catalog(self.store)
        if not len(catalog.snapshot.index):
            catalog.put_zones([SHOP])
        self.pipeline = Pipeline(
            catalog=catalog,
            store=self.store,
            rules=Rules(jump_fixes=1),
            now_ms=lambda: NOW,
            slots=self.owned,
        )

    def _disown(self, slots: Collection[int]) -> None:
        self.disowned |= set(slots)

    def take(self, *slots: int, lease_ms: int = LONG_MS) -> None:
        """Take slots and read their devices, as the keeper does."""
        taken = self.store.take_slots(self.name, among=slots, most=64, lease_ms=lease_ms)
        done = self.owned.ask(lambda: self.owned.adopt({each.slot: each.epoch for each in taken}))
        self.pipeline.process(pings())
        done.result(0)

    def give(self, *slots: int) -> None:
        """Give slots back."""
        epochs = {slot: self.owned.epochs[slot] for slot in slots}
        done = self.owned.ask(lambda: self.owned.leave(slots))
        self.pipeline.process(pings())
        done.result(0)
        self.store.release_slots(self.name, epochs, clean=slots)


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[tuple[Worker, Worker]]:
    """Two of them on one database; the first has no slots yet."""
    url = f"sqlite:///{tmp_path / 'geotarget.db'}"
    with Store.open(url) as store:
        store.prepare_slots(sorted(ALL_SLOTS), slot_of)
    made = Worker(url, "a"), Worker(url, "b")
    yield made
    for worker in made:
        worker.store.close()


def pings(*fixes: tuple[str, int, tuple[float, float]]) -> PingBatch:
    """Return fixes (device, seconds after NOW, place) as a batch."""
    ts = np.array([NOW + 1000 * second for _, second, _ in fixes], np.int64)
    return PingBatch(
        device=[device for device, _, _ in fixes],
        ts=ts,
        lng=np.array([place[0] for _, _, place in fixes], np.float64),
        lat=np.array([place[1] for _, _, place in fixes], np.float64),
        acc=np.full(len(fixes), 5.0),
        key=np.array([abs(hash(fix)) | 1 for fix in fixes], np.uint64),
        received=ts,
    )


def test_a_visit_goes_on_at_the_next_owner(workers: tuple[Worker, Worker]) -> None:
    """Who takes the slot knows who is inside, and ends the visit that another one began."""
    first, second = workers
    slot = slot_of(ONE)
    first.take(slot)
    first.pipeline.process(pings((ONE, -120, AWAY), (ONE, -60, HERE)))
    first.give(slot)
    assert 0 == len(first.pipeline.state)
    second.take(slot)
    assert 1 == second.pipeline.state.memberships
    second.pipeline.process(pings((ONE, 0, AWAY)))
    left, entered = second.store.transitions_page().items
    assert (Kind.ENTER, Kind.EXIT) == (entered.kind, left.kind)
    assert entered.visit == left.visit


def test_a_batch_is_done_again_without_what_was_lost(workers: tuple[Worker, Worker]) -> None:
    """The rest of it is written, nothing of the lost slot, which is not acknowledged either."""
    zombie, heir = workers
    lost, kept = slot_of(ONE), slot_of(OTHER)
    assert lost != kept
    zombie.take(lost, kept, lease_ms=-1)
    zombie.pipeline.process(pings((ONE, -120, AWAY), (OTHER, -120, AWAY)))
    heir.take(lost)
    before = metrics.fenced_commits._value.get()
    zombie.pipeline.process(pings((ONE, -60, HERE), (OTHER, -60, HERE)))
    assert 1 == metrics.fenced_commits._value.get() - before
    assert {lost} == zombie.disowned
    assert {kept} == set(zombie.owned.epochs)
    assert [OTHER] == [each.device for each in zombie.store.transitions_page().items]
    heir.pipeline.process(pings((ONE, -60, HERE)))
    assert {ONE, OTHER} == {each.device for each in heir.store.transitions_page().items}


def test_what_comes_of_a_lost_slot_afterwards_is_let_go(workers: tuple[Worker, Worker]) -> None:
    """Its pings still lie in the queue: they are neither written nor refused."""
    zombie, heir = workers
    lost, kept = slot_of(ONE), slot_of(OTHER)
    zombie.take(lost, kept, lease_ms=-1)
    heir.take(lost)
    zombie.pipeline.process(pings((OTHER, -60, AWAY)))
    outcome = zombie.pipeline.process(pings((ONE, -60, HERE), (OTHER, 0, AWAY)))
    assert (1, ()) == (outcome.accepted, tuple(outcome.refused))
    assert [] == zombie.store.transitions_page().items
    assert [OTHER] == [each for each in zombie.pipeline.state.ids if each]


def test_a_slot_that_comes_back_is_read_anew(workers: tuple[Worker, Worker]) -> None:
    """What another owner did meanwhile counts."""
    first, second = workers
    slot = slot_of(ONE)
    first.take(slot)
    first.pipeline.process(pings((ONE, -120, AWAY)))
    first.give(slot)
    second.take(slot)
    second.pipeline.process(pings((ONE, -60, HERE)))
    second.give(slot)
    first.take(slot)
    first.pipeline.process(pings((ONE, -30, HERE), (ONE, 0, AWAY)))
    kinds = [each.kind for each in first.store.transitions_page().items]
    assert [Kind.EXIT, Kind.ENTER] == kinds


def test_an_errand_that_fails_tells_who_asked(workers: tuple[Worker, Worker]) -> None:
    """And the pipeline goes on."""
    first, _ = workers

    def fail() -> None:
        raise ValueError("no")

    done = first.owned.ask(fail)
    first.pipeline.process(pings())
    with pytest.raises(ValueError, match="no"):
        done.result(0)
