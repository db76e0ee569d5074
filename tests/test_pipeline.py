"""One batch is one transaction: what is committed, what a failure leaves, what a restart finds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely

from geotarget.catalog import Catalog
from geotarget.engine import Rules
from geotarget.errors import StoreError
from geotarget.model import (
    BatchWrite,
    Campaign,
    Endpoint,
    Kind,
    PingBatch,
    Rejected,
    Trigger,
    Zone,
)
from geotarget.pipeline import Pipeline
from geotarget.store import Store

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW = 1_760_000_000_000
HERE = (24.94, 60.17)
AWAY = (24.99, 60.19)
SHOP = Zone(id="shop", geometry=shapely.box(24.938, 60.169, 24.942, 60.171))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty database on disk."""
    with Store.open(f"sqlite:///{tmp_path / 'geotarget.db'}") as opened:
        yield opened


@pytest.fixture
def catalog(store: Store) -> Catalog:
    """A shop, an endpoint and a campaign that greets on entry and after a minute."""
    catalog = Catalog(store)
    catalog.put_zones([SHOP])
    catalog.put_endpoint(Endpoint(id="hook", url="https://shop.example/hook", secret=SECRET))
    catalog.put_campaign(
        Campaign(
            id="hello",
            name="Hello",
            trigger=Trigger(on=frozenset({Kind.ENTER})),
            offer={"title": "Hello at {{ zone.id }}"},
            endpoints=("hook",),
        )
    )
    return catalog


def pings(*fixes: tuple[str, int, tuple[float, float]], received: int | None = None) -> PingBatch:
    """Return fixes (device, seconds after NOW, place) as a batch."""
    ts = np.array([NOW + 1000 * second for _, second, _ in fixes], np.int64)
    return PingBatch(
        device=[device for device, _, _ in fixes],
        ts=ts,
        lng=np.array([place[0] for _, _, place in fixes], np.float64),
        lat=np.array([place[1] for _, _, place in fixes], np.float64),
        acc=np.full(len(fixes), 8.0),
        key=np.array([hash(fix) & 0xFFFF_FFFF_FFFF_FFFF | 1 for fix in fixes], np.uint64),
        received=ts if received is None else np.full(len(fixes), received, np.int64),
    )


def make(catalog: Catalog, store: Store, **changes: object) -> Pipeline:
    """Return a pipeline whose clock stands at NOW; devices may jump, which phones don't."""
    options = {"now_ms": lambda: NOW, "rules": Rules(jump_fixes=1), **changes}
    return Pipeline(catalog=catalog, store=store, **options)  # type: ignore[arg-type]


def test_an_entry_becomes_transition_decision_and_delivery(catalog: Catalog, store: Store) -> None:
    """One ping inside: all that follows from it is in the database when `process` returns."""
    woken = []
    pipeline = make(catalog, store, on_commit=lambda: woken.append(True))
    outcome = pipeline.process(pings(("a", 0, HERE)))
    (transition,) = store.transitions_page().items
    (decision,) = store.decisions_page().items
    (claimed,) = store.claim(now_ms=NOW, limits={"hook": 9}, lease_ms=1000)
    assert (outcome.accepted, outcome.deliveries, woken) == (1, 1, [True])
    assert (transition.kind, transition.device, transition.initial) == (Kind.ENTER, "a", True)
    assert (decision.gate, decision.transition) == ("fired", transition.id)
    assert claimed.webhook_id.endswith(decision.id)
    assert b"Hello at shop" in claimed.body


def test_a_failed_commit_changes_nothing_and_may_be_repeated(
    catalog: Catalog, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a StoreError the same batch gives the same entry, once."""
    pipeline = make(catalog, store)
    whole = store.write_batch

    def full(batch: BatchWrite) -> None:
        raise StoreError("database or disk is full")

    monkeypatch.setattr(store, "write_batch", full)
    with pytest.raises(StoreError):
        pipeline.process(pings(("a", 0, HERE)))
    assert pipeline.state.memberships == 0
    monkeypatch.setattr(store, "write_batch", whole)
    assert pipeline.process(pings(("a", 0, HERE))).transitions == {"enter": 1}
    assert len(store.transitions_page().items) == 1


def test_a_redelivered_batch_has_no_second_effect(catalog: Catalog, store: Store) -> None:
    """The same pings again, also by a new process: duplicates, nothing more."""
    batch = pings(("a", 0, AWAY), ("a", 20, HERE))
    make(catalog, store).process(batch)
    outcome = make(catalog, store).process(batch)
    assert (outcome.duplicates, outcome.late, dict(outcome.transitions)) == (2, 0, {})
    assert len(store.transitions_page().items) == 1
    assert store.outbox_size()[0] == 1


def test_a_restart_goes_on_in_the_middle_of_an_exit(catalog: Catalog, store: Store) -> None:
    """Each ping in a process of its own gives what one process gives."""
    found = []
    for second, place in [(0, AWAY), (20, HERE), (60, AWAY), (80, AWAY)]:
        outcome = make(catalog, store).process(pings(("a", second, place)))
        found.append(dict(outcome.transitions))
    assert found == [{}, {"enter": 1}, {}, {"exit": 1}]
    kinds = [(each.kind.value, each.ts_ms - NOW) for each in store.transitions_page().items]
    assert sorted(kinds) == [("enter", 20_000), ("exit", 60_000)]


def test_refused_pings_are_dead_letters_with_reasons(catalog: Catalog, store: Store) -> None:
    """Future and (0, 0): refused by position, kept with a sentence, the others applied."""
    batch = pings(("a", 500, HERE), ("b", 0, (0.0, 0.0)), ("c", 0, HERE), received=NOW)
    poison = Rejected("pings/x", b"{", "json", "not JSON", NOW)
    outcome = make(catalog, store).process(batch, [poison])
    assert [(at, reason) for at, reason, _ in outcome.refused] == [
        (0, "future"),
        (1, "null_island"),
    ]
    assert outcome.accepted == 1
    assert dict(outcome.transitions) == {"enter": 1}
    letters = sorted(each.reason for each in store.dead_letters_page().items)
    assert letters == ["future", "json", "null_island"]


def test_null_island_counts_where_a_zone_covers_it(catalog: Catalog, store: Store) -> None:
    """(0, 0) is a place like any other for whoever draws a zone there."""
    catalog.put_zones([Zone(id="buoy", geometry=shapely.box(-0.01, -0.01, 0.01, 0.01))])
    outcome = make(catalog, store).process(pings(("a", 0, (0.0, 0.0))))
    assert (len(outcome.refused), dict(outcome.transitions)) == (0, {"enter": 1})


def test_an_old_transition_is_recorded_but_fires_nothing(catalog: Catalog, store: Store) -> None:
    """Beyond the maximum age the decision is refused by the trigger, with its reason."""
    pipeline = make(catalog, store, offer_max_age_s=900)
    outcome = pipeline.process(pings(("a", -1000, HERE)))
    (decision,) = store.decisions_page().items
    assert (dict(outcome.transitions), outcome.deliveries) == ({"enter": 1}, 0)
    assert decision.gate == "trigger"
    assert "900" in decision.reason


def test_a_deleted_zone_ends_visits_even_when_nobody_moves(catalog: Catalog, store: Store) -> None:
    """An empty batch is enough to make a changed catalogue count."""
    pipeline = make(catalog, store)
    pipeline.process(pings(("a", 0, HERE)))
    catalog.delete_zones(["shop"])
    pipeline.process(pings())
    assert pipeline.state.memberships == 0
    assert store.load_members() == []
    kinds = sorted(each.kind.value for each in store.transitions_page().items)
    assert kinds == ["enter", "reconciled"]


def test_an_empty_batch_writes_nothing(catalog: Catalog, store: Store) -> None:
    """Nothing in, nothing out."""
    outcome = make(catalog, store).process(pings())
    assert outcome.accepted == 0
    assert store.transitions_page().items == []


class Hands:
    """A clock that a test moves, in seconds after NOW."""

    def __init__(self) -> None:
        self.second = 0.0

    def __call__(self) -> int:
        """Return the time."""
        return NOW + round(1000 * self.second)


def dwells(store: Store) -> list[tuple[int, int | None]]:
    """Return seconds after NOW and threshold of all dwells."""
    return [
        ((each.ts_ms - NOW) // 1000, each.threshold_s)
        for each in store.transitions_page().items
        if each.kind is Kind.DWELL
    ]


@pytest.fixture
def stay(catalog: Catalog) -> None:
    """A campaign that answers who has stayed for a minute."""
    catalog.put_campaign(
        Campaign(
            id="stay",
            name="Stay",
            trigger=Trigger(on=frozenset({Kind.DWELL}), dwell_s=60),
            offer={"title": "Still here?"},
            endpoints=("hook",),
        )
    )


@pytest.mark.usefixtures("stay")
def test_the_clock_completes_a_stay_and_fires(catalog: Catalog, store: Store) -> None:
    """Without another ping, five seconds behind the clock, and once; the fix has the same id."""
    clock = Hands()
    pipeline = make(catalog, store, now_ms=clock)
    pipeline.process(pings(("a", 0, HERE)))
    clock.second = 64.0
    pipeline.process(pings())
    assert dwells(store) == []
    clock.second = 66.0
    pipeline.process(pings())
    assert dwells(store) == [(60, 60)]
    assert [each.gate for each in store.decisions_page(campaign="stay").items] == ["fired"]
    clock.second = 90.0
    pipeline.process(pings(("a", 80, HERE)))
    assert dwells(store) == [(60, 60)]


@pytest.mark.usefixtures("stay")
def test_deadlines_wait_while_pings_do_not_come_as_sent(catalog: Catalog, store: Store) -> None:
    """Without a connection nothing is due; a backlog is worked off in its own time."""
    clock, live = Hands(), [False]
    pipeline = make(catalog, store, now_ms=clock, is_live=lambda: live[0])
    pipeline.process(pings(("a", 0, HERE)))
    clock.second = 100.0
    pipeline.process(pings())
    assert dwells(store) == []
    live[0] = True
    clock.second = 102.0
    pipeline.process(pings(("b", 20, AWAY), ("c", 21, AWAY), ("d", 22, AWAY)))
    assert dwells(store) == [], "the pings of a minute ago may still tell that it left"
    clock.second = 103.0
    pipeline.process(pings(("a", 30, AWAY), ("a", 50, AWAY), ("b", 50, AWAY)))
    clock.second = 120.0
    pipeline.process(pings())
    assert dwells(store) == []
    kinds = [each.kind.value for each in store.transitions_page(device="a").items]
    assert sorted(kinds) == ["enter", "exit"]


def test_a_traced_device_leaves_traces(catalog: Catalog, store: Store) -> None:
    """Of that device only, with verdict and phases, in the transaction of the batch."""
    clock = Hands()
    clock.second = (time.time_ns() // 1_000_000 - NOW) / 1000
    store.set_trace("a", clock() + 3_600_000)
    pipeline = make(catalog, store, now_ms=clock)
    second = round(clock.second)
    pipeline.process(pings(("a", second - 60, HERE), ("b", second - 60, HERE)))
    pipeline.process(pings(("a", second - 40, AWAY)))
    assert store.traces("b") == []
    traces = [(each.verdict, each.reason, each.before, each.after) for each in store.traces("a")]
    assert traces == [
        ("in", "deep", "outside", "inside"),
        ("out", "far", "inside", "exiting"),
    ]


def test_an_edited_zone_greets_nobody(catalog: Catalog, store: Store) -> None:
    """Who is outside the new shape is reconciled, and so is who stands where it grew; no offer."""
    pipeline = make(catalog, store)
    there = (24.95, 60.17)
    pipeline.process(pings(("a", 0, HERE), ("b", 0, there)))
    fired = len(store.decisions_page().items)
    catalog.put_zones([replace(SHOP, geometry=shapely.box(24.948, 60.169, 24.952, 60.171))])
    pipeline.process(pings())
    found = {
        each.device: (each.kind.value, each.duration_s is None, each.reason)
        for each in store.transitions_page().items
        if each.kind is Kind.RECONCILED
    }
    assert found == {"a": ("reconciled", False, "edit"), "b": ("reconciled", True, "edit")}
    pipeline.process(pings(("b", 20, there), ("a", 20, HERE)))
    assert len(store.transitions_page().items) == 3
    assert len(store.decisions_page().items) == fired
