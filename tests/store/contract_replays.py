"""What every store does when many deliveries are sent again."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from records import at, attempt, delivery

from geotarget.errors import InvalidInput
from geotarget.model import BatchWrite, Delivery, Endpoint
from geotarget.store import Replay, Replayed, Store

NOW_MS = at(2_000)
ALL = Replay(at(0))


def fill(store: Store, deliveries: Sequence[Delivery], state: str = "failed") -> None:
    """Put deliveries and their endpoints into the store, each after one attempt."""
    for name in sorted({each.endpoint for each in deliveries}):
        store.put_endpoint(Endpoint(name, "https://example.org", "whsec_x"))
    store.write_batch(BatchWrite(deliveries=deliveries))
    store.mark([attempt(each, state=state, next_attempt_ms=at(9_999)) for each in deliveries])


def due(store: Store, *endpoints: str) -> list[str]:
    """Claim what is due and return webhook ids, in the order of the claims."""
    limits = dict.fromkeys(endpoints or ("crm",), 5_000)
    return [each.webhook_id for each in store.claim(now_ms=NOW_MS, limits=limits, lease_ms=60_000)]


class ReplaysContract:
    """`replay` and `replayable`."""

    def test_nothing(self, store: Store) -> None:
        """An empty outbox has nothing to send again."""
        assert Replayed(0, None) == store.replay(ALL, now_ms=NOW_MS)
        assert 0 == store.replayable(ALL, now_ms=NOW_MS)

    def test_failed_ones_go_out_again_oldest_first(self, store: Store) -> None:
        """The same bytes and ids, at once, with a fresh count; the attempts stay on record."""
        sent = [delivery(number) for number in range(1_203)]
        fill(store, sent)
        fill(store, [delivery(2_000)], "delivered")
        assert 1_203 == store.replayable(ALL, now_ms=NOW_MS)
        assert Replayed(1_203, None) == store.replay(ALL, now_ms=NOW_MS)
        got = store.claim(now_ms=NOW_MS, limits={"crm": 5_000}, lease_ms=60_000)
        assert [(each.webhook_id, each.body, 0) for each in sent] == [
            (each.webhook_id, each.body, each.attempts) for each in got
        ]
        totals = store.counts()
        assert (1_203, 0, 1) == (
            totals.deliveries_pending, totals.deliveries_failed, totals.deliveries_delivered,
        )  # fmt: skip
        assert 1 == len(store.delivery(sent[7].webhook_id)[0].attempts)

    def test_again_changes_nothing(self, store: Store) -> None:
        """What waits already is not touched, nor what a sender holds."""
        fill(store, [delivery(number) for number in range(5)])
        every = Replay(at(0), states=("failed", "pending"))
        assert 5 == store.replay(every, now_ms=NOW_MS).requeued
        assert Replayed(0, None) == store.replay(every, now_ms=NOW_MS)
        assert 5 == len(due(store))
        assert Replayed(0, None) == store.replay(every, now_ms=NOW_MS)
        assert [] == due(store)

    def test_waiting_ones_are_tried_at_once(self, store: Store) -> None:
        """A receiver that is back need not wait for the schedule."""
        fill(store, [delivery(1), delivery(2)], "pending")
        assert [] == due(store)
        assert 2 == store.replay(Replay(at(0), states=("pending",)), now_ms=NOW_MS).requeued
        assert 2 == len(due(store))
        assert (2, at(1)) == store.outbox_size()

    def test_filters(self, store: Store) -> None:
        """By instant, endpoint and campaign, together."""
        fill(
            store, [delivery(number, endpoint=name) for number in range(10) for name in ("a", "b")]
        )
        some = Replay(at(2), at(8), endpoint="a", campaign="campaign-1")
        assert 3 == store.replay(some, now_ms=NOW_MS).requeued
        assert [delivery(number).webhook_id for number in (3, 5, 7)] == due(store, "a", "b")
        assert 5 == store.replayable(Replay(at(0), campaign="campaign-0", endpoint="b"), now_ms=0)
        assert 8 == store.replayable(Replay(at(5)), now_ms=0)

    def test_expired_offers_stay_unless_asked_for(self, store: Store) -> None:
        """Nobody gets yesterday's offer by a replay; who names them gets them all."""
        late = [delivery(1), delivery(2, expires_ms=None), delivery(3)]
        fill(store, late)
        fill(store, [delivery(4)], "expired")
        now_ms = at(2) + 3_600_000
        got = {"limits": {"crm": 9}, "lease_ms": 60_000, "now_ms": now_ms}
        assert 2 == store.replay(ALL, now_ms=now_ms).requeued
        assert [None, late[2].expires_ms] == [each.expires_ms for each in store.claim(**got)]
        lifted = Replay(at(0), states=("failed", "expired"))
        assert 2 == store.replay(lifted, now_ms=now_ms).requeued
        assert [None, None] == [each.expires_ms for each in store.claim(**got)]

    def test_deleted_endpoints_are_left_out(self, store: Store) -> None:
        """What nobody would take does not wait; it can be replayed when there is one again."""
        fill(store, [delivery(1), delivery(2, endpoint="till")])
        store.delete_endpoint("till")
        assert Replayed(1, None) == store.replay(ALL, now_ms=NOW_MS)
        store.put_endpoint(Endpoint("till", "https://example.org", "whsec_x"))
        assert Replayed(1, None) == store.replay(ALL, now_ms=NOW_MS)

    def test_a_long_walk_in_parts(self, store: Store) -> None:
        """Calls with a limit follow each other: everything once, in order, whatever the state."""
        fill(store, [delivery(number) for number in range(700)], "delivered")
        found, cursor, calls = 0, None, 0
        while calls == 0 or cursor is not None:
            part = Replay(at(0), states=("delivered",), limit=600 if calls else 50, cursor=cursor)
            done = store.replay(part, now_ms=NOW_MS)
            store.mark([attempt(delivery(number), started_ms=NOW_MS) for number in range(50)])
            found, cursor, calls = found + done.requeued, done.next, calls + 1
        assert (700, 3) == (found, calls)

    @pytest.mark.parametrize(
        "bad", [{"limit": 0}, {"limit": 100_001}, {"states": ()}, {"states": ("lost",)}]
    )
    def test_bounds(self, bad: dict[str, object]) -> None:
        """A limit or a state that there is not is refused, and named."""
        with pytest.raises(InvalidInput, match=next(iter(bad)).removesuffix("s")):
            Replay(at(0), **bad)  # type: ignore[arg-type]

    def test_foreign_cursor(self, store: Store) -> None:
        """The cursor of another list is refused."""
        fill(store, [delivery(number) for number in range(3)])
        page = store.deliveries_page(limit=1)
        with pytest.raises(InvalidInput, match="cursor"):
            store.replay(Replay(at(0), cursor=page.next), now_ms=NOW_MS)
        assert 3 == store.counts().deliveries_failed
