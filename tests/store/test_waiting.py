"""The table of what waits: how it came to be, and that it says what the deliveries say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from records import START_MS, at, attempt, delivery
from recounted import waiting
from test_postgres_schema import bring

from geotarget.model import BatchWrite, Delivery, Endpoint
from geotarget.store import Replay, Store
from geotarget.store.database import cursor_of
from geotarget.store.event_days import DAY_MS
from geotarget.store.opening import open_database
from geotarget.store.ordering import PARKED_MS
from tests.postgres_server import SECRET_KEY

NOW_MS = at(1_000)
LEASE_MS = 60_000
LIMITS = {"crm": 100}

_ATTEMPT = """
INSERT INTO attempt (delivery, started_ms, attempt, duration_ms, state, next_attempt_ms, status,
  error, answer)
VALUES (?, ?, 1, 30, 'pending', 0, 503, '', '')
"""
_DELIVERY = """
INSERT INTO delivery (seq, stretch, webhook_id, endpoint, type, device, zone, campaign, created_ms,
  expires_ms, state, attempts, next_attempt_ms, status, finished_ms, ordered)
VALUES (?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


@pytest.fixture
def store(ready_database_url: str) -> Iterator[Store]:
    """A database of either kind."""
    with Store.open(ready_database_url, secret_key=SECRET_KEY) as store:
        yield store


def names(store: Store, now_ms: int = NOW_MS) -> list[str]:
    """Claim what is due; return webhook ids."""
    got = store.claim(now_ms=now_ms, limits=LIMITS, lease_ms=LEASE_MS)
    return [each.webhook_id for each in got]


def check(store: Store) -> None:
    """See that what waits is what is pending, and that it is counted."""
    listed, pending = waiting(store)
    assert pending == listed
    assert len(listed) == store.counts().deliveries_pending == store.outbox_size()[0]


def test_a_migration_copies_what_waits(database_url: str) -> None:
    """Due, leased, parked and for a later attempt; what ended is not in it, and stays as it was."""
    made = {
        name: delivery(number, device="phone-1", ordered=ordered, expires_ms=None)
        for number, (name, ordered) in enumerate(
            {
                "delivered": True, "leased": True, "parked": True, "also parked": True,
                "due": False, "retried": False, "failed": False,
            }.items()
        )
    }  # fmt: skip
    waits = {
        "leased": (0, NOW_MS + LEASE_MS),
        "parked": (0, PARKED_MS),
        "also parked": (0, PARKED_MS),
        "due": (0, made["due"].created_ms),
        "retried": (3, NOW_MS + 5_000),
    }
    with closing(open_database(database_url)) as database:
        if not database.exists():
            database.make()
    bring(database_url, "0010")
    with closing(open_database(database_url)) as database, database.write() as connection:
        cursor = cursor_of(connection)
        for seq, (name, each) in enumerate(made.items(), 1):
            attempts, next_ms = waits.get(name, (1, 0))
            ended = name not in waits
            state = name if ended else "pending"
            values = (seq, each.webhook_id, each.endpoint, each.type, each.device, each.zone)
            values += (each.campaign, each.created_ms, each.expires_ms, state, attempts, next_ms)
            values += (204 if ended else None, at(7) if ended else None, each.ordered)
            cursor.execute(_DELIVERY, values)
            body = "INSERT INTO delivery_body (delivery, body) VALUES (?, ?)"
            cursor.execute(body, (seq, each.body))
            cursor.execute(_ATTEMPT, (seq, each.created_ms))
        added = "UPDATE counter SET value = ? WHERE name = ?"
        for name, value in {"pending": 5, "delivered": 1, "failed": 1}.items():
            cursor.execute(added, (value, f"deliveries_{name}"))
        span = "INSERT INTO span (list, stretch, min_ms, max_ms) VALUES ('delivery', 0, ?, ?)"
        cursor.execute(span, (START_MS, at(10)))
    ids = {name: each.webhook_id for name, each in made.items()}
    with Store.open(database_url, secret_key=SECRET_KEY) as store:
        check(store)
        check_days(store)
        assert (5, at(1)) == store.outbox_size()
        told = {each.webhook_id: each.next_attempt_ms for each in store.deliveries_page().items}
        for name, (_, next_ms) in waits.items():
            assert (None if next_ms == PARKED_MS else next_ms) == told[ids[name]], name
        assert [ids["due"]] == names(store)
        assert [ids["retried"]] == names(store, NOW_MS + 5_000)
        store.mark([attempt(made["leased"])])  # its sender lived through it
        assert [ids["parked"]] == names(store)
        later = NOW_MS + 5_000 + LEASE_MS
        got = store.claim(now_ms=later, limits=LIMITS, lease_ms=LEASE_MS)
        assert {ids["parked"]: 0, ids["due"]: 0, ids["retried"]: 3} == {
            each.webhook_id: each.attempts for each in got
        }
        assert 1 == store.requeue(ids["delivered"], None, now_ms=later)
        assert [ids["delivered"]] == names(store, later)
        states = [each.state for each in store.deliveries_page(state="failed").items]
        assert ["failed"] == states
        check(store)


def check_days(store: Store) -> None:
    """See that PostgreSQL knows of which day is what was there before it was divided."""
    with store._database.read() as connection:
        if connection.dialect.name != "postgresql":
            return
        cursor = cursor_of(connection)
        for table in ("delivery", "delivery_body", "attempt", "waiting"):
            found = cursor.execute(f"SELECT DISTINCT event_day FROM {table}").fetchall()
            assert [(START_MS // DAY_MS,)] == found, table
        spans = cursor.execute("SELECT first_day, last_day FROM span WHERE list = 'delivery'")
        assert [(START_MS // DAY_MS, START_MS // DAY_MS)] == spans.fetchall()


def test_each_way_in_and_out(store: Store) -> None:
    """Written, retried, ended, asked for again, given up, erased: both tables say the same."""
    store.put_endpoint(Endpoint("crm", "https://example.org", "whsec_x"))
    made = [delivery(number) for number in range(30)]

    def mark(some: list[Delivery], state: str, step: int) -> None:
        store.mark(
            [attempt(each, attempt=step, state=state, next_attempt_ms=at(9)) for each in some]
        )

    store.write_batch(BatchWrite(deliveries=made[:20]))
    store.write_batch(BatchWrite(deliveries=made))  # of which twenty are known
    check(store)
    mark(made[:5], "pending", 1)
    mark(made[5:10], "delivered", 1)
    mark(made[10:15], "failed", 1)
    check(store)
    assert 1 == store.requeue(made[5].webhook_id, None, now_ms=NOW_MS)
    assert 1 == store.requeue(made[0].webhook_id, None, now_ms=NOW_MS)
    assert 5 == store.replay(Replay(at(0), states=("failed", "expired")), now_ms=NOW_MS).requeued
    check(store)
    mark(made[10:12], "expired", 2)
    mark(made[10:12], "delivered", 3)  # after all
    check(store)
    store.erase_profile("phone-1")
    check(store)
    assert store.delete_endpoint("crm")
    check(store)
    assert (0, None) == store.outbox_size()
    assert 1 == store.requeue(made[3].webhook_id, None, now_ms=NOW_MS)
    assert [made[3].webhook_id] == names(store)


def test_the_time_of_the_next_attempt_is_true(store: Store) -> None:
    """Of one that is leased, that waits for a retry, for another, for nothing any more."""

    def told(of: Delivery) -> int | None:
        ((listed,), (detail,)) = (
            [each for each in store.deliveries_page().items if each.webhook_id == of.webhook_id],
            store.delivery(of.webhook_id),
        )
        assert detail.delivery == listed
        return listed.next_attempt_ms

    first, second = (
        delivery(number, device="phone-1", ordered=True, expires_ms=None) for number in (1, 2)
    )
    store.write_batch(BatchWrite(deliveries=[first, second]))
    assert (first.created_ms, second.created_ms) == (told(first), told(second))
    assert [first.webhook_id] == names(store)
    assert (NOW_MS + LEASE_MS, None) == (told(first), told(second))
    store.mark([attempt(first, state="pending", next_attempt_ms=NOW_MS + 7)])
    assert NOW_MS + 7 == told(first)
    assert 1 == store.bring_forward(now_ms=NOW_MS, by_ms=5)
    assert NOW_MS + 2 == told(first)
    store.mark([attempt(first, attempt=2)])
    assert (0, second.created_ms) == (told(first), told(second))
