"""The day before a demo's first start comes out of the real pipeline, once, and ends before it."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from geotarget.backtest.feeding import RecordedClock
from geotarget.catalog import Catalog
from geotarget.demo import Fleet, Takings, beginning_of, fixes_between, install, restart_in
from geotarget.demo.day import LONG_OVER_S, OUT_PER_HOUR, RESTART_S, TIME_ZONE
from geotarget.demo.streets import METRES_PER_DEGREE
from geotarget.engine.rules import Rules
from geotarget.insight.results import campaign_results
from geotarget.model import Policy
from geotarget.runtime.counters import counters
from geotarget.runtime.desk import CatalogDesk
from geotarget.runtime.history import ACTION, is_new, live_through
from geotarget.runtime.node import Node
from geotarget.runtime.showcase import Showcase
from geotarget.settings import Settings
from geotarget.store import Store

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
NOON_MS = int(datetime(2026, 6, 3, 11, 45, tzinfo=TIME_ZONE).timestamp()) * 1000
ENDED_MS = NOON_MS + 4 * HOUR_MS + 10 * 60_000
SECRET = "whsec_" + "QUJD" * 8


@dataclass
class World:
    """A store in which some hours were lived through."""

    store: Store
    catalog: Catalog
    takings: Takings


def _world() -> World:
    clock = RecordedClock(NOON_MS)
    store = Store.open("sqlite://", now_ms=clock)
    catalog = Catalog(store)
    install(CatalogDesk(catalog, store), url="http://127.0.0.1:9/webhooks", secret=SECRET)
    takings = live_through(
        store,
        catalog,
        Fleet(70),
        clock,
        to_ms=ENDED_MS,
        rules=Rules(),
        policy=Policy(),
        footfall=True,
    )
    return World(store, catalog, takings)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Live through four hours around noon, in which the receiver is restarted."""
    made = _world()
    yield made
    made.store.close()


def _everything(store: Store) -> list[Sequence[object]]:
    """Return what happened, with its ids and times."""
    deliveries = store.deliveries_page(limit=1000).items
    return [
        store.transitions_page(limit=1000).items,
        store.decisions_page(limit=1000).items,
        store.conversions_page(limit=1000).items,
        deliveries,
        [store.delivery(each.webhook_id) for each in deliveries],
    ]


def test_the_same_seed_and_day_give_the_same_history(world: World) -> None:
    """Another store that lives through the same hours holds the same, to the last id."""
    again = _world()
    told = _everything(world.store)
    assert told == _everything(again.store)
    assert [len(each) > 20 for each in told] == [True] * len(told)
    assert world.takings == again.takings
    assert world.takings.purchases == len(told[2])
    again.store.close()


def test_the_funnels_add_up(world: World) -> None:
    """Each decision ended at one gate, what arrived was sent, and counts are those of rows."""
    rows = Counter(
        (each.campaign, each.gate) for each in world.store.decisions_page(limit=1000).items
    )
    arrived = Counter(
        each.campaign
        for each in world.store.deliveries_page(limit=1000).items
        if each.state == "delivered"
    )
    bought = Counter(
        each.campaign
        for each in world.store.conversions_page(limit=1000).items
        if not each.held_out
    )
    assert sum(rows.values()) < 1000  # else a page does not hold them all
    for campaign in world.catalog.snapshot.campaigns:
        total = campaign_results(world.store, campaign, minimum=0).total
        mine = {gate: count for (name, gate), count in rows.items() if name == campaign.id}
        assert total.decisions == sum(mine.values())
        assert total.fired == mine.get("fired", 0)
        assert total.held_out == mine.get("holdout", 0)
        assert total.decisions == total.fired + total.held_out + sum(total.refused.values())
        assert total.fired <= total.eligible <= total.decisions
        assert total.delivered == arrived[campaign.id] <= total.fired
        assert total.conversions == bought[campaign.id]


def test_all_webhooks_of_that_day_came_to_an_end(world: World) -> None:
    """Nothing waits; what met the restart was sent again, and some of it came too late."""
    began_ms, over_ms = restart_in(NOON_MS, ENDED_MS)
    deliveries = world.store.deliveries_page(limit=1000).items
    states = Counter(each.state for each in deliveries)
    assert world.store.outbox_size() == (0, None)
    assert states["delivered"] > states["expired"] > 0
    for each in deliveries:
        (detail,) = world.store.delivery(each.webhook_id)
        tries = detail.attempts
        assert [one.attempt for one in tries] == list(range(1, len(tries) + 1))
        assert each.created_ms <= tries[0].started_ms
        assert tries[-1].started_ms <= ENDED_MS
        for one in tries:
            assert (one.status == 503) == (began_ms <= one.started_ms < over_ms)
        for one, after in itertools.pairwise(tries):
            assert one.next_attempt_ms == after.started_ms


def test_every_day_has_a_restart_that_is_long_over() -> None:
    """Whenever a demo is started, the day before has one, some hours before its end."""
    for hour in range(48):
        end_ms = NOON_MS + hour * HOUR_MS
        begin_ms = beginning_of(end_ms)
        assert end_ms - DAY_MS <= begin_ms <= end_ms - 18 * HOUR_MS
        began_ms, over_ms = restart_in(begin_ms, end_ms)
        assert begin_ms <= began_ms
        assert over_ms == began_ms + 1000 * RESTART_S <= end_ms - 1000 * LONG_OVER_S


def test_no_evening_alone_is_a_day() -> None:
    """What would be the last hours of a day begins with the next one, on the city's clock."""
    evening = datetime(2026, 6, 4, 22, 30, tzinfo=TIME_ZONE)
    midnight = datetime(2026, 6, 4, tzinfo=TIME_ZONE)
    assert beginning_of(int(1000 * evening.timestamp())) == int(1000 * midnight.timestamp())


def test_more_people_are_out_at_noon_than_at_night() -> None:
    """Those who are out follow the hours of the city, and report where the fleet really is."""
    fleet = Fleet(200)
    fixes = fixes_between(fleet, NOON_MS, NOON_MS + DAY_MS)
    hours = [datetime.fromtimestamp(ts / 1000, TIME_ZONE).hour for ts in fixes.ts[::50].tolist()]
    told = Counter(hours)
    assert told[12] > 5 * told[3]
    assert told[17] > told[22]
    assert len(OUT_PER_HOUR) == 24
    assert ((NOON_MS <= fixes.ts) & (fixes.ts < NOON_MS + DAY_MS)).all()
    pairs = np.column_stack([fixes.walker, fixes.ts])
    assert len(np.unique(pairs, axis=0)) == len(fixes)
    for at in range(0, len(fixes), 5_000):
        lng, lat = fleet.positions(int(fixes.ts[at]))
        walker = fixes.walker[at]
        off_m = METRES_PER_DEGREE * np.hypot(
            (fixes.lng[at] - lng[walker]) * 0.5, fixes.lat[at] - lat[walker]
        )
        assert off_m < 5 * fixes.acc[at]


def test_only_the_first_start_lives_through_it(tmp_path: Path) -> None:
    """A second start adds nothing; the receiver hears nothing, and the display counts none."""
    settings = Settings.read(data=tmp_path)

    async def started() -> tuple[bool, object, object]:
        showcase = Showcase(settings, walkers=8)
        node = Node(showcase.settings)
        node.open()
        new = is_new(node.store)
        said: list[str] = []
        await showcase.prepare(node, stopped=lambda: False, say=said.append)
        found = node.store.feed_end()
        assert showcase.notes == {"history": "the day before the first start is simulated"}
        assert len(node.store.audit_page(action=ACTION).items) == 1
        assert bool(said) == new
        assert node.store.outbox_size() == (0, None)
        assert showcase.receiver.received.verified == 0
        shown = counters(node, before=showcase.before)
        if new:
            assert showcase.before.entries > 0
            assert (shown.entries, shown.exits, shown.offers, shown.held_out) == (0, 0, 0, 0)
        await showcase.stop()
        node.close()
        return new, found, showcase.before

    first, again = asyncio.run(started()), asyncio.run(started())
    assert (first[0], again[0]) == (True, False)
    assert first[1] == again[1]


def test_a_stop_ends_it_early(tmp_path: Path) -> None:
    """Who stops a demo while it starts does not wait for the rest of the day."""
    settings = Settings.read(data=tmp_path)

    async def started() -> int:
        showcase = Showcase(settings, walkers=8)
        node = Node(showcase.settings)
        node.open()
        await showcase.prepare(node, stopped=lambda: True, say=lambda _: None)
        found = node.store.feed_end().transition
        await showcase.stop()
        node.close()
        return found

    assert asyncio.run(started()) < 20
