"""An erasure and the ingest: in whatever order they meet, nothing of the person is left behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import shapely

from geotarget import metrics
from geotarget import pipeline as module
from geotarget.catalog import Catalog
from geotarget.engine import Rules
from geotarget.engine.footfall import Collector
from geotarget.model import (
    Campaign,
    Endpoint,
    Kind,
    PingBatch,
    Profile,
    Rejected,
    Trigger,
    Zone,
)
from geotarget.pipeline import Pipeline
from geotarget.store import Store
from geotarget.store.database import cursor_of
from geotarget.store.footfall import SALT
from tests.store.recounted import every, stored

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW = 1_760_000_000_000
HERE, AWAY = (24.94, 60.17), (24.99, 60.19)
SHOP = Zone(id="shop", geometry=shapely.box(24.938, 60.169, 24.942, 60.171))
DEADLINE_S = 60


class Clock:
    """The time of day, which a test sets."""

    def __init__(self) -> None:
        self.now_ms = NOW

    def __call__(self) -> int:
        """Return it."""
        return self.now_ms


@pytest.fixture
def clock() -> Clock:
    """Return the clock of store and pipeline."""
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    """Make a database on disk."""
    with Store.open(f"sqlite:///{tmp_path / 'geotarget.db'}", now_ms=clock) as opened:
        yield opened


@pytest.fixture
def catalog(store: Store) -> Catalog:
    """Make a shop, and a campaign that greets whoever enters by name."""
    catalog = Catalog(store)
    catalog.put_zones([SHOP])
    catalog.put_endpoint(Endpoint(id="hook", url="https://shop.example/hook", secret=SECRET))
    catalog.put_campaign(
        Campaign(
            id="hello",
            name="Hello",
            trigger=Trigger(on=frozenset({Kind.ENTER})),
            offer={"title": "Hello {{ profile.attributes.name }}"},
            endpoints=("hook",),
            pass_attributes=("name",),
        )
    )
    return catalog


def pings(
    *fixes: tuple[str, float, tuple[float, float]], received_s: float | None = None
) -> PingBatch:
    """Return fixes (device, seconds after NOW, place) as a batch."""
    ts = np.array([NOW + round(1000 * second) for _, second, _ in fixes], np.int64)
    arrived = ts if received_s is None else np.full(len(ts), NOW + round(1000 * received_s))
    return PingBatch(
        device=[device for device, _, _ in fixes],
        ts=ts,
        lng=np.array([place[0] for _, _, place in fixes], np.float64),
        lat=np.array([place[1] for _, _, place in fixes], np.float64),
        acc=np.full(len(fixes), 8.0),
        key=np.array([hash(fix) & 0xFFFF_FFFF_FFFF_FFFF | 1 for fix in fixes], np.uint64),
        received=arrived.astype(np.int64),
    )


def make(catalog: Catalog, store: Store, clock: Clock, **changes: Any) -> Pipeline:
    """Return a pipeline on the clock; devices may jump, which phones don't."""
    options = {"now_ms": clock, "rules": Rules(jump_fixes=1), **changes}
    return Pipeline(catalog=catalog, store=store, **options)


def left_of(store: Store, *names: str) -> list[tuple[str, str]]:
    """Return (table, name) wherever a name occurs in the database, also inside of blobs."""
    found = []
    with store._database.read() as connection:
        cursor = cursor_of(connection)
        tables = cursor.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            rows = cursor.execute(f"SELECT * FROM {table}").fetchall()
            cells = [
                cell if isinstance(cell, bytes) else str(cell).encode()
                for row in rows
                for cell in row
            ]
            found += [
                (table, name) for name in names if any(name.encode() in cell for cell in cells)
            ]
    return found


def refused_as_erased() -> float:
    """Return how many pings were refused for it so far."""
    return metrics.pings_rejected.labels("erased")._value.get()


def erase(store: Store, clock: Clock, id: str, *, at_s: float) -> None:
    """Erase at an instant."""
    clock.now_ms = NOW + round(1000 * at_s)
    assert store.erase_profile(id, by="ann")


@pytest.mark.parametrize("restart", [False, True])
def test_what_comes_again_does_not_bring_anybody_back(
    catalog: Catalog, store: Store, clock: Clock, restart: bool
) -> None:
    """Pings from before are refused and counted, later ones begin a new, empty life."""
    store.put_profile(Profile("aino", {"name": "Aino"}, devices=("phone-a",)))
    working = make(catalog, store, clock)
    first = pings(("phone-a", 0, AWAY), ("phone-a", 20, HERE), ("phone-b", 20, HERE))
    assert {"enter": 2} == working.process(first).transitions
    erase(store, clock, "aino", at_s=30)
    assert [] == left_of(store, "phone-a", "aino", "Aino")
    if restart:
        working = make(catalog, store, clock)
    counted = refused_as_erased()
    outcome = working.process(replace(first, received=first.received + 60_000))
    assert [(0, "erased"), (1, "erased")] == [each[:2] for each in outcome.refused]
    assert (1, 1, {}) == (outcome.accepted, outcome.duplicates, dict(outcome.transitions))
    assert 2 == refused_as_erased() - counted
    # a phone whose clock is ahead: what arrived before the erasure was made before it
    ahead = working.process(pings(("phone-a", 33, HERE), received_s=29))
    assert ["erased"] == [reason for _, reason, _ in ahead.refused]
    assert [] == left_of(store, "phone-a", "aino", "Aino")
    again = working.process(pings(("phone-a", 25, HERE), ("phone-a", 40, HERE)))
    assert [(0, "erased")] == [each[:2] for each in again.refused]
    assert {"enter": 1} == again.transitions
    (entry,) = [each for each in every(store, "transitions_page") if each.device == "phone-a"]
    assert (entry.ts_ms, entry.initial) == (NOW + 40_000, True)
    assert Profile("phone-a") == store.profiles_of(["phone-a"])["phone-a"]
    late = working.process(pings(("phone-a", 20, HERE), received_s=50))
    assert (1, []) == (late.late, list(late.refused))
    kept = {"tally", "spent", "sent"}
    told = {name: stored(store)[name] for name in kept}
    assert told["tally"]["hello", "2025-10-09", "shop", "", "fired"][0] == 3


INTERLEAVED = {
    "matching": "advance",
    "deciding": "decide",
    "webhooks": "deliveries",
    "time passes": "settle",
}


@pytest.mark.parametrize("when", INTERLEAVED)
def test_erased_while_a_batch_is_under_way(
    catalog: Catalog,
    store: Store,
    clock: Clock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    when: str,
) -> None:
    """Before the batch has its turn it is done again; during its turn the erasure waits for it."""
    store.put_profile(Profile("aino", {"name": "Aino"}, devices=("phone-a",)))
    working = make(catalog, store, clock, footfall=Collector(store.secret(SALT)))
    working.process(pings(("phone-a", 0, HERE), ("phone-b", 0, AWAY)))
    real = getattr(module, INTERLEAVED[when])
    erasers: list[threading.Thread] = []

    def interrupted(*given: Any, **named: Any) -> Any:
        done = real(*given, **named)
        if not erasers:
            erasers.append(
                threading.Thread(target=erase, args=(store, clock, "aino"), kwargs={"at_s": 25})
            )
            erasers[0].start()
            if when in ("matching", "time passes"):
                erasers[0].join(DEADLINE_S)
        return done

    monkeypatch.setattr(module, INTERLEAVED[when], interrupted)
    batch = pings(
        ("phone-a", 20, AWAY), ("phone-a", 22, AWAY), ("phone-b", 20, HERE), ("phone-c", 20, HERE)
    )
    clock.now_ms = NOW + 60_000  # so that time passes, too
    outcome = working.process(batch)
    erasers[0].join(DEADLINE_S)
    clock.now_ms = NOW + 70_000
    working.process(pings())
    assert [] == left_of(store, "phone-a", "aino", "Aino")
    if when == "matching":
        assert [0, 1] == [position for position, _, _ in outcome.refused]
        assert {"enter": 2} == outcome.transitions
    assert ["phone-b", "phone-c"] == sorted(
        each.device for each in every(store, "transitions_page")
    )
    assert ["phone-b", "phone-c"] == sorted(working.state._row)
    assert 2 == working.state.memberships == len(store.load_members())
    with Store.open(f"sqlite:///{tmp_path / 'geotarget.db'}") as again:
        assert ["phone-b", "phone-c"] == sorted(again.load_devices()[0])


def test_an_edit_of_the_zones_does_not_greet_the_erased(
    catalog: Catalog, store: Store, clock: Clock
) -> None:
    """A zone that goes ends visits only of those who are still there."""
    working = make(catalog, store, clock)
    working.process(pings(("phone-a", 0, HERE), ("phone-b", 0, HERE)))
    catalog.delete_zones(["shop"])
    erase(store, clock, "phone-a", at_s=5)
    working.process(pings())
    assert [("phone-b", "reconciled")] == [
        (each.device, each.kind.value) for each in store.transitions_page(limit=1).items
    ]
    assert [] == left_of(store, "phone-a")


def test_an_idle_ingest_forgets_too(catalog: Catalog, store: Store, clock: Clock) -> None:
    """Within a second or two, and without anything to write."""
    working = make(catalog, store, clock)
    working.process(pings(("phone-a", 0, HERE), ("phone-b", 0, HERE)))
    erase(store, clock, "phone-a", at_s=5)
    assert 2 == len(working.state)
    clock.now_ms += 2_000
    working.process(pings())
    assert (1, 1) == (len(working.state), working.state.memberships)


def test_places_noted_in_memory(catalog: Catalog, store: Store, clock: Clock) -> None:
    """What waits to be written of an erased device goes, also at the end of a run."""
    working = make(catalog, store, clock, footfall=Collector(store.secret(SALT)))
    working.process(pings(("phone-a", 0, HERE), ("phone-b", 0, HERE), ("phone-b", 30, AWAY)))
    erase(store, clock, "phone-a", at_s=40)
    working.finish()
    assert (0, 2) == (store.forget_footfall("phone-a"), store.forget_footfall("phone-b"))


def test_the_new_life_is_not_traced(catalog: Catalog, store: Store, clock: Clock) -> None:
    """The switch went with the old one, from the first ping on."""
    store.set_trace("phone-a", NOW + 600_000)
    working = make(catalog, store, clock)
    working.process(pings(("phone-a", 0, HERE)))
    assert store.traces("phone-a")
    erase(store, clock, "phone-a", at_s=1)
    working.process(pings(("phone-a", 2, HERE)))
    assert [] == store.traces("phone-a")


def test_what_can_not_be_read_is_not_kept(catalog: Catalog, store: Store, clock: Clock) -> None:
    """A dead letter of an erased device would name it; once it lives again they are kept."""
    working = make(catalog, store, clock)
    working.process(pings(("phone-a", 0, HERE)))
    erase(store, clock, "phone-a", at_s=5)
    bad = Rejected("pings/phone-a", b"{", "json", "is no JSON", NOW + 6_000)
    other = replace(bad, source="pings/phone-b")
    counted = refused_as_erased()
    working.process(pings(), [bad, other])
    assert ["pings/phone-b"] == [each.source for each in store.dead_letters_page().items]
    assert 1 == refused_as_erased() - counted
    working.process(pings(("phone-a", 10, HERE)), [bad])
    working.process(pings(), [bad])
    assert 2 == sum(each.source == "pings/phone-a" for each in store.dead_letters_page().items) + 1


def test_another_process_erases(
    catalog: Catalog, store: Store, clock: Clock, tmp_path: Path
) -> None:
    """The ingest learns of it from the database alone, with many others in memory."""
    working = make(catalog, store, clock)
    everybody = [(f"phone-{n:04}", 0.0, HERE if n % 2 else AWAY) for n in range(1_500)]
    working.process(pings(*everybody))
    with Store.open(f"sqlite:///{tmp_path / 'geotarget.db'}", now_ms=clock) as other:
        for name in ("phone-0007", "phone-0008", "phone-1499"):
            erase(other, clock, name, at_s=10)
    working.process(pings(("phone-0007", 5, HERE), ("phone-0009", 20, AWAY)))
    erase(store, clock, "phone-0011", at_s=21)
    working.process(pings(("phone-0011", 22, AWAY), ("phone-2000", 22, AWAY)))
    assert 1_500 - 4 + 2 == len(working.state) == len(store.load_devices()[0])
    assert [] == left_of(store, "phone-0007", "phone-0008", "phone-1499")


def test_erasures_and_batches_at_one_time(
    catalog: Catalog, store: Store, clock: Clock, tmp_path: Path
) -> None:
    """Erased again and again by a second connection while pings from before come all the time."""
    random = Random(7)
    devices = [f"phone-{n:02}" for n in range(12)]
    store.put_profiles(
        [
            Profile(f"owner-{n:02}", {"name": f"Name-{n:02}"}, devices=(each,))
            for n, each in enumerate(devices)
        ]
    )
    working = make(catalog, store, clock, footfall=Collector(store.secret(SALT), every_ms=0))
    stop = threading.Event()
    failed: list[BaseException] = []
    gone: list[str] = []

    def keep_erasing() -> None:
        try:
            with Store.open(
                f"sqlite:///{tmp_path / 'geotarget.db'}", now_ms=lambda: NOW + 10_000_000
            ) as other:
                names = [f"{number:02}" for number in (3, 8, 1, 10, 6)]
                gone.extend(name for name in names if other.erase_profile(f"owner-{name}"))
        except BaseException as error:  # noqa: BLE001 - told by the test
            failed.append(error)
        stop.set()

    thread = threading.Thread(target=keep_erasing)
    second = 0
    while second < 40 or not stop.is_set():
        if second == 20:
            thread.start()
        second += 1
        some = random.sample(devices, 5)
        working.process(
            pings(*[(each, 20.0 * second, random.choice((HERE, AWAY))) for each in some])
        )
    thread.join(DEADLINE_S)
    working.process(pings(*[(each, 20.0 * second + 20, HERE) for each in devices]))
    assert [] == failed
    assert ["03", "08", "01", "10", "06"] == gone
    names = [f"{what}-{number}" for number in gone for what in ("phone", "owner", "Name")]
    assert [] == left_of(store, *names)
    assert sorted(set(devices) - {f"phone-{n}" for n in gone}) == sorted(working.state._row)
    inside = {(each.device, each.zone) for each in store.load_members()}
    rows, _ = working.state.occupied()
    assert {(working.state.ids[row], "shop") for row in rows} == inside
