"""What every store does with the deliveries of one device that come one after the other."""

from __future__ import annotations

from random import Random

import pytest
from contract_outbox import LEASE_MS, NOW_MS, claim, fill
from records import at, attempt, delivery

from geotarget.model import BatchWrite, Claimed, Delivery, Endpoint
from geotarget.store import Store
from geotarget.store.replays import Replay

LATER_MS = NOW_MS + 14 * 3_600_000


def ordered(number: int, device: str = "phone-1", **changes: object) -> Delivery:
    """Make a delivery that waits for earlier ones of its device."""
    return delivery(number, device=device, ordered=True, expires_ms=None, **changes)


class OrderingContract:
    """`claim`, `mark` and replays of what is ordered."""

    def test_one_of_a_device_at_a_time(self, store: Store) -> None:
        """In the order in which they were written, whatever their times; devices don't wait."""
        one = fill(store, [ordered(number) for number in (3, 1, 2)])
        other = fill(store, [ordered(number, "phone-2") for number in (5, 4)])
        assert claim(store) == [other[0].webhook_id, one[0].webhook_id][::-1]
        for before, after in ((one[0], one[1]), (other[0], other[1]), (one[1], one[2])):
            assert [] == claim(store)
            assert {"crm"} == set(store.mark([attempt(before)]))
            assert [after.webhook_id] == claim(store)
        assert not store.mark([attempt(one[2]), attempt(other[1])])
        assert (0, None) == store.outbox_size()

    def test_no_claim_holds_two_of_a_device(self, store: Store) -> None:
        """Nor do two claims; the limit counts what is given out, not what has to wait."""
        for device in range(20):
            fill(store, [ordered(100 * device + n, f"phone-{device}") for n in range(50)])
        got = store.claim(now_ms=at(9_999), limits={"crm": 15}, lease_ms=LEASE_MS)
        got += store.claim(now_ms=at(9_999), limits={"crm": 15}, lease_ms=LEASE_MS)
        assert 20 == len(got)
        assert 20 == len({store.delivery(each.webhook_id)[0].delivery.device for each in got})

    def test_a_retry_holds_up_its_device_only(self, store: Store) -> None:
        """What waits behind it has no time of its own, and goes when the retry was accepted."""
        first, second = fill(store, [ordered(1), ordered(2)])
        (other,) = fill(store, [ordered(3, "phone-2")])
        (elsewhere,) = fill(store, [ordered(4, endpoint="till")])
        assert 3 == len(claim(store, crm=9, till=9))
        assert not store.mark([attempt(first, state="pending", next_attempt_ms=LATER_MS)])
        store.mark([attempt(other), attempt(elsewhere)])
        assert [] == claim(store, LATER_MS - 1)
        assert store.delivery(second.webhook_id)[0].delivery.next_attempt_ms is None
        assert [first.webhook_id] == claim(store, LATER_MS)
        assert {"crm"} == set(store.mark([attempt(first, attempt=2, started_ms=LATER_MS)]))
        assert [second.webhook_id] == claim(store, LATER_MS)

    @pytest.mark.parametrize("state", ["delivered", "failed", "expired"])
    def test_any_end_lets_the_next_one_go(self, store: Store, state: str) -> None:
        """Delivered, given up or out of date; and said in one call for several devices."""
        sent = fill(store, [ordered(2 * n + k, f"phone-{n}") for k in (0, 1) for n in range(3)])
        assert [each.webhook_id for each in sent[:3]] == claim(store)
        assert [] == claim(store)
        assert {"crm"} == set(store.mark([attempt(each, state=state) for each in sent[:3]]))
        assert [each.webhook_id for each in sent[3:]] == claim(store)

    def test_a_lease_that_runs_out(self, store: Store) -> None:
        """The one whose sender died comes again, and nothing overtakes it."""
        first, second = fill(store, [ordered(1), ordered(2)])
        assert [first.webhook_id] == claim(store)
        assert [] == claim(store, NOW_MS + LEASE_MS - 1)
        assert [first.webhook_id] == claim(store, NOW_MS + LEASE_MS)
        store.mark([attempt(first)])
        assert [second.webhook_id] == claim(store, NOW_MS + LEASE_MS)

    def test_what_is_not_ordered_never_waits(self, store: Store) -> None:
        """Neither for others of its device nor for ordered ones of it."""
        (held,) = fill(store, [ordered(1)])
        plain = fill(store, [delivery(number, device="phone-1") for number in range(2, 50)])
        assert [held.webhook_id, *(each.webhook_id for each in plain)] == claim(store)

    def test_a_replay_comes_before_what_waits(self, store: Store) -> None:
        """The old one first; a newer one that waits for a retry goes after it, at its time."""
        old, retried, waits = fill(store, [ordered(1), ordered(2), ordered(3)])
        claim(store)
        store.mark([attempt(old, state="failed")])
        claim(store)
        store.mark([attempt(retried, state="pending", next_attempt_ms=LATER_MS)])
        assert 1 == store.requeue(old.webhook_id, None, now_ms=NOW_MS)
        assert [old.webhook_id] == claim(store)
        assert [] == claim(store, NOW_MS + 1)
        assert not store.mark([attempt(old, started_ms=NOW_MS)])
        assert [] == claim(store, LATER_MS - 1)
        assert [retried.webhook_id] == claim(store, LATER_MS)
        store.mark([attempt(retried, attempt=2, started_ms=LATER_MS)])
        assert [waits.webhook_id] == claim(store, LATER_MS)

    def test_a_replay_of_one_that_is_under_way_elsewhere(self, store: Store) -> None:
        """What is being posted is not called back; a retry of it comes after the replay."""
        old, newer = fill(store, [ordered(1), ordered(2)])
        claim(store)
        store.mark([attempt(old)])
        assert [newer.webhook_id] == claim(store)
        store.requeue(old.webhook_id, None, now_ms=NOW_MS)
        assert [old.webhook_id] == claim(store)
        store.mark([attempt(newer, state="pending", next_attempt_ms=NOW_MS)])
        assert [] == claim(store, NOW_MS + 1)
        assert {"crm"} == set(store.mark([attempt(old, started_ms=NOW_MS)]))
        assert [newer.webhook_id] == claim(store, NOW_MS + 1)

    def test_many_are_replayed_in_their_order(self, store: Store) -> None:
        """What waits for an earlier one is no retry that could be hurried; its turn comes."""
        store.put_endpoint(Endpoint("crm", "https://example.org", "whsec_x"))
        sent = fill(store, [ordered(number) for number in range(1, 6)])
        for number in (0, 1):
            claim(store)
            store.mark([attempt(sent[number], state="failed")])
        claim(store)
        store.mark([attempt(sent[2], state="pending", next_attempt_ms=LATER_MS)])
        assert [] == claim(store)
        what = Replay(from_ms=0, states=("failed", "pending"))
        assert 3 == store.replay(what, now_ms=NOW_MS).requeued
        for number in range(5):
            assert [sent[number].webhook_id] == claim(store, NOW_MS + number)
            store.mark([attempt(sent[number], started_ms=NOW_MS + number, attempt=9)])

    def test_an_endpoint_that_is_deleted_and_comes_back(self, store: Store) -> None:
        """What waited has failed; replayed, it comes in its order."""
        store.put_endpoint(Endpoint("crm", "https://example.org", "whsec_x"))
        first, second = fill(store, [ordered(1), ordered(2)])
        claim(store)
        assert store.delete_endpoint("crm")
        assert [] == claim(store, LATER_MS)
        for each in (second, first):
            store.requeue(each.webhook_id, None, now_ms=NOW_MS)
        assert [first.webhook_id] == claim(store)
        assert {"crm"} == set(store.mark([attempt(first)]))
        assert [second.webhook_id] == claim(store)

    def test_written_again_changes_nothing(self, store: Store) -> None:
        """A batch that comes a second time, after a crash, does not make them wait or go."""
        sent = fill(store, [ordered(1), ordered(2)])
        claim(store)
        store.write_batch(BatchWrite(deliveries=sent))
        assert [] == claim(store)
        store.mark([attempt(sent[0])])
        store.write_batch(BatchWrite(deliveries=sent))
        assert [sent[1].webhook_id] == claim(store)

    @pytest.mark.parametrize("seed", range(5))
    def test_random_walk(self, store: Store, seed: int) -> None:
        """Whatever happens: nothing overtakes, nothing is stuck, what is plain goes at once."""
        random = Random(seed)
        now_ms, number = NOW_MS, 0
        place: dict[str, int] = {}
        leased: dict[str, tuple[Claimed, int]] = {}
        made: dict[str, Delivery] = {}
        open_: set[str] = set()

        def waits_for(name: str) -> list[str]:
            mine = made[name]
            return [
                each
                for each in open_
                if mine.ordered and made[each].ordered and place[each] < place[name]
                and made[each].device == mine.device
            ]  # fmt: skip

        def end(name: str, state: str) -> None:
            again = {"next_attempt_ms": now_ms + random.randrange(5_000)}
            store.mark(
                [attempt(made[name], started_ms=now_ms, attempt=number, state=state, **again)]
            )
            leased.pop(name, None)
            if state != "pending":
                open_.discard(name)

        for step in range(400):
            now_ms += random.randrange(2_000)
            number = step + 1
            act = random.random()
            if act < 0.35 and step < 300:
                new = [
                    delivery(
                        1_000 * step + n,
                        device=f"phone-{random.randrange(4)}",
                        ordered=random.random() < 0.8,
                        created_ms=now_ms,
                        expires_ms=None,
                    )
                    for n in range(random.randrange(1, 5))
                ]
                for each in fill(store, new):
                    made[each.webhook_id] = each
                    place[each.webhook_id] = len(place)
                    open_.add(each.webhook_id)
            elif act < 0.65:
                limits = {"crm": random.randrange(1, 6)}
                for each in store.claim(now_ms=now_ms, limits=limits, lease_ms=LEASE_MS):
                    name = each.webhook_id
                    assert not waits_for(name)
                    assert name not in leased or leased[name][1] <= now_ms
                    leased[name] = each, now_ms + LEASE_MS
            elif act < 0.95 and leased:
                end(random.choice(sorted(leased)), random.choice(_ENDS))
            elif made:
                name = random.choice(sorted(made))
                if name not in leased:
                    store.requeue(name, None, now_ms=now_ms)
                    open_.add(name)
        for _ in range(4 * len(made)):
            if not open_:
                break
            now_ms += LEASE_MS
            number += 1
            claimed = store.claim(now_ms=now_ms, limits={"crm": 1_000}, lease_ms=1)
            assert claimed
            for each in claimed:
                assert not waits_for(each.webhook_id)
            for each in claimed:
                end(each.webhook_id, "delivered")
        assert not open_
        assert (0, None) == store.outbox_size()


_ENDS = ("delivered", "delivered", "pending", "failed", "expired")
