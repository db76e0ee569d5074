"""What senders of several processes do to each other on PostgreSQL, move by move."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest
from backends import PostgresBackend
from contract_ordering import ordered
from contract_outbox import LEASE_MS, NOW_MS, claim, fill
from records import attempt, decision, delivery
from recounted import every, waiting

from geotarget.model import BatchWrite, Delivery, Endpoint
from geotarget.store import Store
from geotarget.store.database import cursor_of
from geotarget.store.holding import hold, hold_devices
from geotarget.store.ordering import AGAIN_MS
from geotarget.store.replays import Replay
from tests.postgres_server import make_database

DEADLINE_S = 60.0
THREADS, STEPS = 6, 60


@pytest.fixture
def store(postgres_url: str, postgres_template: str) -> Iterator[Store]:
    """A store of its own; each thread that uses it has a connection of its own."""
    backend = PostgresBackend(make_database(postgres_url, postgres_template))
    yield backend.open()
    backend.close()


def numbers(store: Store) -> dict[str, int]:
    """Return the numbers of deliveries by their webhook ids."""
    with store._database.read() as connection:
        return dict(cursor_of(connection).execute("SELECT webhook_id, seq FROM delivery"))


def test_a_claim_waits_for_nobody(store: Store) -> None:
    """Neither for the writer of a batch nor for who marks: what is in other hands is left out."""
    sent = fill(store, [delivery(number) for number in range(10)])
    of = numbers(store)
    with store._database.write() as writer, store._database.write(alone=False) as marker:
        cursor_of(writer).execute("UPDATE counter SET value = value + 0")
        hold(cursor_of(marker), [of[each.webhook_id] for each in sent[:4]])
        assert [each.webhook_id for each in sent[4:]] == claim(store)
    assert [each.webhook_id for each in sent[:4]] == claim(store)


def test_what_waits_for_one_that_is_just_marked(store: Store) -> None:
    """It is not parked, for he who marks looked before and would not let it go."""
    first, second, third = fill(store, [ordered(1), ordered(2), ordered(3)])
    assert [first.webhook_id] == claim(store, crm=1)
    with store._database.write(alone=False) as marker:
        cursor = cursor_of(marker)
        of = numbers(store)
        assert {of[first.webhook_id], of[second.webhook_id]} == set(
            hold_devices(cursor, [("crm", "phone-1")], [of[first.webhook_id]])
        )
        hold(cursor, [of[first.webhook_id]])
        assert [] == claim(store)
        waiting = store.deliveries_page(state="pending").items
        # the third one waits for the second: nobody has that in hand
        assert [None, NOW_MS + AGAIN_MS] == [each.next_attempt_ms for each in waiting][:2]
    store.mark([attempt(first)])
    assert [second.webhook_id] == claim(store, NOW_MS + AGAIN_MS)
    assert {"crm"} == set(store.mark([attempt(second)]))
    assert [third.webhook_id] == claim(store, NOW_MS + AGAIN_MS)


def test_two_that_end_at_once(store: Store) -> None:
    """Two deliveries of one device are on their way after a replay: the third one is let go."""
    first, second, third = fill(store, [ordered(1), ordered(2), ordered(3)])
    claim(store)
    store.mark([attempt(first)])
    assert [second.webhook_id] == claim(store)
    store.requeue(first.webhook_id, None, now_ms=NOW_MS)
    assert [first.webhook_id] == claim(store)
    with ThreadPoolExecutor(2) as both:
        barrier = threading.Barrier(2)

        def end(which: Delivery) -> None:
            barrier.wait(DEADLINE_S)
            store.mark([attempt(which, started_ms=NOW_MS)])

        list(both.map(end, (first, second)))
    assert [third.webhook_id] == claim(store)


def test_everybody_at_once(store: Store) -> None:
    """Marks of the same deliveries, replays, erasures and batches: no circle, no count is lost."""
    for endpoint in ("crm", "till"):
        store.put_endpoint(Endpoint(endpoint, "https://example.org", "whsec_x"))
    made: list[Delivery] = []
    for number in range(300):
        kind = {"device": f"phone-{number % 9}", "ordered": number % 3 == 0, "expires_ms": None}
        made.append(delivery(number, endpoint=("crm", "till")[number % 2], **kind))
    store.write_batch(
        BatchWrite(decisions=[decision(number) for number in range(300)], deliveries=made)
    )

    def work(seed: int) -> None:
        random = Random(seed)
        for step in range(STEPS):
            some = random.sample(made, 25)
            act = random.randrange(8)
            if act < 3:
                store.mark(
                    [
                        attempt(
                            each,
                            attempt=step,
                            started_ms=NOW_MS + seed,
                            state=random.choice(("delivered", "failed", "pending")),
                            next_attempt_ms=NOW_MS,
                        )
                        for each in some
                    ]
                )
            elif act < 5:
                store.claim(now_ms=NOW_MS, limits={"crm": 9, "till": 9}, lease_ms=LEASE_MS)
            elif act == 5:
                for each in some[:5]:
                    store.requeue(each.webhook_id, None, now_ms=NOW_MS)
            elif act == 6:
                store.replay(Replay(from_ms=0, states=("failed", "delivered")), now_ms=NOW_MS)
                store.bring_forward(now_ms=NOW_MS, by_ms=LEASE_MS)
            else:
                name = f"other-{seed}-{step}"
                store.write_batch(
                    BatchWrite(deliveries=[delivery(10_000 * seed + step, device=name)])
                )
                store.erase_profile(name)

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(work, range(1, THREADS + 1)))
    totals, rows = store.counts(), every(store, "deliveries_page")
    states = Counter(row.state for row in rows)
    for state in ("pending", "delivered", "failed", "expired"):
        assert states[state] == getattr(totals, f"deliveries_{state}"), state
    assert 300 == len(rows)
    listed, pending = waiting(store)
    assert pending == listed
    while store.outbox_size()[0]:  # nothing is stuck
        got = store.claim(now_ms=2**47, limits={"crm": 99, "till": 99}, lease_ms=1)
        assert got
        store.mark(
            [
                attempt(delivery(0, webhook_id=each.webhook_id, endpoint=each.endpoint), attempt=99)
                for each in got
            ]
        )
