"""Days of deliveries on PostgreSQL: with bodies and attempts, and what senders ask of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle

import pytest
from records import at, attempt, delivery, transition
from recounted import every
from sqlalchemy import Connection
from test_partitions import A_DAY, FIRST, MIDNIGHT, Clock, asked, dropped, fill, places

from geotarget.model import BatchWrite
from geotarget.store import Keep, Store
from geotarget.store.database import Database, cursor_of
from geotarget.store.event_days import DAY_MS
from geotarget.store.outbox import Outbox
from geotarget.store.partitions import TABLES, make_days
from geotarget.store.tables import STRETCH_BITS
from tests.postgres_server import SECRET_KEY, drop_database, make_database


@pytest.fixture
def clock() -> Clock:
    """Return the store's clock."""
    return Clock()


@pytest.fixture
def store(postgres_url: str, postgres_template: str, clock: Clock) -> Iterator[Store]:
    """Open a database with partitions for the days of the records."""
    url = make_database(postgres_url, postgres_template)
    with Store.open(url, now_ms=clock, secret_key=SECRET_KEY) as store:
        yield store
    drop_database(url)


def test_deliveries_lie_in_the_day_of_their_event(store: Store) -> None:
    """With their bodies and attempts; events whose ids have no instant lie in the rest."""
    made = fill(store, range(MIDNIGHT - 2, MIDNIGHT + 3))
    others = [
        delivery(9, webhook_id=name, endpoint=endpoint)
        for name, endpoint in (
            ("test_0123456789abcdef", "crm"), ("endpoint_7", "crm"), (made[0].webhook_id, "till"),
            (f"transition_{transition(MIDNIGHT).id}", "till"), ("offer_zzz", "till"),
        )
    ]  # fmt: skip
    store.write_batch(BatchWrite(deliveries=others))
    store.mark([attempt(each, state="failed") for each in (*made, *others)])
    lie = {"20260101": 3, "20260102": 4, "rest": 3}
    for table in ("delivery", "delivery_body", "attempt"):
        assert {f"{table}_{day}": rows for day, rows in lie.items()} == places(store, table)
    for each in (*made, *others):
        found = {one.delivery.endpoint: one for one in store.delivery(each.webhook_id)}
        assert (each.body, 1) == (found[each.endpoint].body, len(found[each.endpoint].attempts))
        assert 1 == store.requeue(each.webhook_id, each.endpoint, now_ms=at(0))
    got = store.claim(now_ms=at(0), limits={"crm": 99, "till": 99}, lease_ms=1)
    assert {(each.webhook_id, each.endpoint, each.body) for each in (*made, *others)} == {
        (each.webhook_id, each.endpoint, each.body) for each in got
    }
    store.write_batch(BatchWrite(deliveries=[*made, *others]))  # once more: they are known
    assert 10 == store.counts().deliveries_pending


def test_a_day_of_deliveries_goes_as_a_whole(store: Store, clock: Clock) -> None:
    """But for what waits or ended lately, which stays with all that belongs to it."""
    waits, late, *ended = fill(store, range(MIDNIGHT - 90, MIDNIGHT - 30))
    fill(store, range(MIDNIGHT, MIDNIGHT + 20))
    ordinary = zip(ended, cycle(("delivered", "failed", "expired")), strict=False)
    store.mark([attempt(each, state=state) for each, state in ordinary])
    lately_ms = (FIRST + 29) * DAY_MS
    store.mark(
        [
            attempt(waits, state="pending", next_attempt_ms=lately_ms),
            attempt(late, started_ms=lately_ms),
        ]
    )
    keep, clock.now = Keep(deliveries=30), 30.999
    assert {} == dropped(store, keep)
    clock.now = 31
    assert [("delivery", 58)] == [(step.list, step.rows) for step in store.drop_old(keep)]
    assert {} == dropped(store, keep)
    lie = {"delivery": (2, 20), "delivery_body": (2, 20), "attempt": (2, 0)}
    for table, (rest, second) in lie.items():
        found = places(store, table)
        assert (rest, second) == (found.pop(f"{table}_rest"), found.pop(f"{table}_20260102", 0))
        assert {} == found
    totals = store.counts()
    assert (21, 1, 0, 0) == (
        totals.deliveries_pending, totals.deliveries_delivered, totals.deliveries_failed,
        totals.deliveries_expired,
    )  # fmt: skip
    assert [] == store.delivery(ended[0].webhook_id)
    assert [late.webhook_id] == [
        each.webhook_id for each in store.deliveries_page(state="delivered").items
    ]
    store.write_batch(BatchWrite(deliveries=[waits, late]))  # they are known
    assert 1 == store.requeue(late.webhook_id, None, now_ms=lately_ms)
    claimed = store.claim(now_ms=lately_ms, limits={"crm": 99}, lease_ms=1)
    due = {each.webhook_id: (each.body, each.attempts) for each in claimed}
    assert 22 == len(due)
    assert ((waits.body, 1), (late.body, 0)) == (due[waits.webhook_id], due[late.webhook_id])
    store.mark([attempt(each, attempt=2, started_ms=lately_ms + 9) for each in (waits, late)])
    for each in (waits, late):
        (detail,) = store.delivery(each.webhook_id)
        assert ("delivered", 2) == (detail.delivery.state, len(detail.attempts))
    clock.now = 61
    assert {"delivery": 2} == dropped(store, keep)
    assert 20 == len(every(store, "deliveries_page"))
    for table in lie:  # nothing is left of them in the rest, and what waits keeps its day
        assert lie[table][1] == sum(places(store, table).values())


def test_numbers_of_deliveries_go_on(store: Store, clock: Clock) -> None:
    """When all of them are gone as well; of what is gone no stretch is left."""
    count = 2**STRETCH_BITS + 10
    made = [delivery(number) for number in range(count)]
    for start in range(0, count, 1_000):
        store.write_batch(BatchWrite(deliveries=made[start : start + 1_000]))
        store.mark([attempt(each) for each in made[start : start + 1_000]])
    clock.now = 32
    assert {"delivery": count} == dropped(store, Keep(deliveries=30))
    assert 1 == len(asked(store, "SELECT stretch FROM span WHERE list = 'delivery'"))
    assert 0 == store.counts().deliveries_delivered
    new = [delivery(number) for number in range(count, count + 10)]
    store.write_batch(BatchWrite(deliveries=new))
    assert [(count + 1, count + 10)] == asked(store, "SELECT min(seq), max(seq) FROM delivery")
    assert 2 == len(store.deliveries_page(device="phone-1").items)
    assert [] == asked(store, "SELECT delivery FROM attempt")


class Watched:
    """A database that counts the locks which are held at the end of a transaction."""

    def __init__(self, database: Database) -> None:
        self.read = database.read
        self._write = database.write
        self.locks = 0

    @contextmanager
    def write(self, *, alone: bool = True) -> Iterator[Connection]:
        """Give the connection of a writer."""
        with self._write(alone=alone) as connection:
            yield connection
            mine = "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()"
            (self.locks,) = cursor_of(connection).execute(mine).fetchone()


def test_senders_hold_few_locks(store: Store) -> None:
    """However many days there are: they ask the days of what they send, and no others."""
    assert 37 * len(TABLES) == make_days(store._database, (FIRST + 2) * DAY_MS, ahead=36)
    made = fill(store, range(MIDNIGHT - 300, MIDNIGHT + 300))
    watched = Watched(store._database)
    outbox = Outbox(watched)  # type: ignore[arg-type]
    for step in range(12):  # more often than a server plans anew for what it is asked again
        got = outbox.claim(now_ms=at(A_DAY), limits={"crm": 50}, lease_ms=60_000)
        assert 50 == len(got)
        assert watched.locks <= 30, step
        outbox.mark([attempt(each) for each in made[50 * step : 50 * step + 50]])
        assert watched.locks <= 100, step
    assert 600 == store.counts().deliveries_delivered
