"""What every store does with deliveries: leases, marks, replays."""

from __future__ import annotations

import pytest
from records import at, attempt, delivery
from recounted import waiting

from geotarget.model import BatchWrite, Delivery, Endpoint
from geotarget.store import Store

LEASE_MS = 60_000
NOW_MS = at(1_000)


def fill(store: Store, deliveries: list[Delivery]) -> list[Delivery]:
    """Put deliveries into the outbox."""
    store.write_batch(BatchWrite(deliveries=deliveries))
    return deliveries


def claim(store: Store, now_ms: int = NOW_MS, **limits: int) -> list[str]:
    """Claim and return webhook ids."""
    got = store.claim(now_ms=now_ms, limits=limits or {"crm": 100}, lease_ms=LEASE_MS)
    return [each.webhook_id for each in got]


class OutboxContract:
    """`claim`, `mark`, `requeue`, `outbox_size`."""

    def test_empty(self, store: Store) -> None:
        """Nothing to claim, nothing waits, nothing to send again."""
        assert [] == claim(store)
        assert (0, None) == store.outbox_size()
        assert 0 == store.requeue("offer_none", None, now_ms=NOW_MS)
        store.mark([])

    def test_claims_hold_what_is_posted(self, store: Store) -> None:
        """A claimed delivery has its bytes, its expiry and the attempts before this."""
        fill(store, [delivery(1)])
        (got,) = store.claim(now_ms=NOW_MS, limits={"crm": 5}, lease_ms=LEASE_MS)
        assert (got.webhook_id, got.endpoint, got.type) == (
            delivery(1).webhook_id, "crm", "offer.triggered",
        )  # fmt: skip
        assert (got.body, got.attempts, got.expires_ms) == (
            delivery(1).body, 0, delivery(1).expires_ms,
        )  # fmt: skip

    def test_oldest_first_within_limits(self, store: Store) -> None:
        """Each endpoint gets at most its limit, what has been due longest comes first."""
        ids = {
            endpoint: [
                each.webhook_id
                for each in fill(
                    store,
                    [
                        delivery(number, endpoint=endpoint, webhook_id=f"{endpoint}-{number}")
                        for number in order
                    ],
                )
            ]
            for endpoint, order in {"crm": (5, 1, 3), "till": (2, 4, 0), "off": (6,)}.items()
        }
        assert claim(store, crm=2, till=1, off=0, unknown=9) == ["till-0", "crm-1", "crm-3"]
        assert claim(store, crm=9, till=9) == ["till-2", "till-4", "crm-5"]
        assert claim(store, off=9) == ids["off"]

    def test_not_before_it_is_due(self, store: Store) -> None:
        """What becomes due later is not claimed."""
        fill(store, [delivery(1), delivery(2)])
        assert claim(store, at(1)) == [delivery(1).webhook_id]
        assert claim(store, at(1)) == []

    def test_lease(self, store: Store) -> None:
        """A lease keeps others out until it runs out, then the delivery is due again."""
        fill(store, [delivery(1)])
        assert claim(store) == [delivery(1).webhook_id]
        assert claim(store, NOW_MS + LEASE_MS - 1) == []
        assert claim(store, NOW_MS + LEASE_MS) == [delivery(1).webhook_id]
        assert (1, at(1)) == store.outbox_size()

    def test_delivered(self, store: Store) -> None:
        """A delivered one is done: not claimed again, counted, its attempt on record."""
        sent = fill(store, [delivery(1), delivery(2)])
        claim(store)
        done = attempt(sent[0])
        store.mark([done])
        assert (1, at(2)) == store.outbox_size()
        assert claim(store, NOW_MS + LEASE_MS) == [sent[1].webhook_id]
        (detail,) = store.delivery(sent[0].webhook_id)
        assert (done,) == detail.attempts
        row = detail.delivery
        assert (row.state, row.attempts, row.status) == ("delivered", 1, 204)
        assert done.started_ms + done.duration_ms == row.finished_ms

    def test_retries(self, store: Store) -> None:
        """A failed attempt comes back at its time, with the count of those before."""
        (sent,) = fill(store, [delivery(1)])
        claim(store)
        again = attempt(
            sent, state="pending", status=503, next_attempt_ms=NOW_MS + 5_000, answer="busy"
        )
        store.mark([again])
        assert claim(store, NOW_MS + 4_999) == []
        (got,) = store.claim(now_ms=NOW_MS + 5_000, limits={"crm": 1}, lease_ms=LEASE_MS)
        assert 1 == got.attempts
        last = attempt(sent, attempt=2, started_ms=NOW_MS, state="failed", status=None, error="no")
        store.mark([last])
        (detail,) = store.delivery(sent.webhook_id)
        assert (again, last) == detail.attempts
        assert ("failed", 2, None) == (
            detail.delivery.state, detail.delivery.attempts, detail.delivery.status,
        )  # fmt: skip
        assert (0, None) == store.outbox_size()

    def test_same_attempt_twice(self, store: Store) -> None:
        """Marking again what was marked, or twice at once, has the effect of one."""
        (sent,) = fill(store, [delivery(1)])
        again = attempt(sent, state="pending", next_attempt_ms=NOW_MS)
        store.mark([again, again])
        store.mark([again])
        (detail,) = store.delivery(sent.webhook_id)
        assert (again,) == detail.attempts
        assert 1 == detail.delivery.attempts
        assert (1, 1) == (store.counts().attempts, store.counts().deliveries_pending)

    def test_several_attempts_of_one_delivery_at_once(self, store: Store) -> None:
        """Attempts in one call follow each other."""
        (sent,) = fill(store, [delivery(1)])
        first = attempt(sent, state="pending", next_attempt_ms=NOW_MS)
        second = attempt(sent, attempt=2, started_ms=NOW_MS)
        store.mark([first, second])
        (detail,) = store.delivery(sent.webhook_id)
        assert ("delivered", 2) == (detail.delivery.state, detail.delivery.attempts)
        assert (0, 1) == (store.counts().deliveries_pending, store.counts().deliveries_delivered)

    @pytest.mark.parametrize("late", ["pending", "failed", "expired"])
    def test_delivered_stays_delivered(self, store: Store, late: str) -> None:
        """What a slower sender says of a delivered one is recorded and changes nothing."""
        (sent,) = fill(store, [delivery(1)])
        store.mark([attempt(sent)])
        store.mark([attempt(sent, started_ms=NOW_MS, state=late, next_attempt_ms=NOW_MS)])
        (detail,) = store.delivery(sent.webhook_id)
        assert ("delivered", 2) == (detail.delivery.state, len(detail.attempts))
        assert 1 == store.counts().deliveries_delivered

    def test_success_after_giving_up(self, store: Store) -> None:
        """An attempt that succeeded after all makes a failed one delivered."""
        (sent,) = fill(store, [delivery(1)])
        store.mark([attempt(sent, state="failed")])
        store.mark([attempt(sent, started_ms=NOW_MS)])
        assert "delivered" == store.delivery(sent.webhook_id)[0].delivery.state
        totals = store.counts()
        assert (0, 0, 1) == (
            totals.deliveries_pending, totals.deliveries_failed, totals.deliveries_delivered,
        )  # fmt: skip

    def test_unknown_delivery(self, store: Store) -> None:
        """Attempts of deliveries that are gone are left out, the others are kept."""
        (sent,) = fill(store, [delivery(1)])
        store.mark([attempt(delivery(9)), attempt(sent), attempt(delivery(1, endpoint="till"))])
        assert (1, 1) == (store.counts().attempts, store.counts().deliveries_delivered)

    def test_requeue(self, store: Store) -> None:
        """A replay sends the same bytes at once, delivered or not, expired or not."""
        both = fill(store, [delivery(1), delivery(1, endpoint="till"), delivery(2)])
        name = both[0].webhook_id
        store.mark([attempt(both[0]), attempt(both[1], state="expired")])
        assert 1 == store.requeue(name, "till", now_ms=NOW_MS)
        (got,) = store.claim(now_ms=NOW_MS, limits={"till": 9}, lease_ms=LEASE_MS)
        assert (name, both[1].body, 0, None) == (
            got.webhook_id, got.body, got.attempts, got.expires_ms,
        )  # fmt: skip
        assert 2 == store.requeue(name, None, now_ms=NOW_MS)
        assert 0 == store.requeue(name, "elsewhere", now_ms=NOW_MS)
        assert sorted(claim(store, crm=9, till=9)) == sorted([name, name, both[2].webhook_id])
        assert (3, at(1)) == store.outbox_size()
        totals = store.counts()
        assert (3, 0, 0) == (
            totals.deliveries_pending, totals.deliveries_delivered, totals.deliveries_expired,
        )  # fmt: skip
        assert 1 == len(store.delivery(name)[0].attempts)

    def test_deleted_endpoint(self, store: Store) -> None:
        """What waits for an endpoint that is deleted has failed, and can be replayed."""
        store.put_endpoint(Endpoint("crm", "https://example.org", "whsec_x"))
        sent = fill(store, [delivery(1), delivery(2), delivery(3, endpoint="till")])
        store.mark([attempt(sent[0])])
        assert store.delete_endpoint("crm")
        totals = store.counts()
        assert (1, 1, 1) == (
            totals.deliveries_pending, totals.deliveries_delivered, totals.deliveries_failed,
        )  # fmt: skip
        assert [] == claim(store)
        assert 1 == store.requeue(sent[1].webhook_id, None, now_ms=NOW_MS)
        assert [sent[1].webhook_id] == claim(store)

    def test_counters_equal_counts(self, store: Store) -> None:
        """After all of it the counters say what is there."""
        sent = fill(store, [delivery(number) for number in range(40)])
        states = ("delivered", "pending", "failed", "expired")
        store.mark(
            [attempt(each, state=states[number % 4]) for number, each in enumerate(sent[:30])]
        )
        for each in sent[5:25:3]:
            store.requeue(each.webhook_id, None, now_ms=NOW_MS)
        rows = store.deliveries_page(limit=1000).items
        totals = store.counts()
        for state in states:
            wanted = sum(row.state == state for row in rows)
            assert wanted == getattr(totals, f"deliveries_{state}"), state
        assert 40 == len(rows)
        listed, pending = waiting(store)
        assert pending == listed
