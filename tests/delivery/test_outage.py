"""A receiver that was down: what it missed is sent again, all of it, under the same ids."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path

import pytest
from aiohttp import web
from test_sender_and_store import deliveries, send_until
from verifying_receiver import SECRET, Received, Receiver

from geotarget.delivery import AiohttpTransport, Sender
from geotarget.model import BatchWrite, Endpoint
from geotarget.store import Replay, Store

MISSED = 120


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Open a database of its own."""
    with Store.open(f"sqlite:///{tmp_path / 'store.db'}") as opened:
        yield opened


def now_ms() -> int:
    """Return Unix milliseconds."""
    return time.time_ns() // 1_000_000


async def send_with(store: Store, ends: Mapping[str, Endpoint], *delays_s: float) -> None:
    """Run a sender with a schedule until it has met the dead receiver at least sixteen times."""
    sender = Sender(store, lambda: ends, AiohttpTransport(["127.0.0.0/8"]), delays_s=delays_s)
    stop = asyncio.Event()
    running = asyncio.create_task(sender.run(stop))
    async with asyncio.timeout(20):
        for _ in count():
            if store.counts().attempts >= 16:
                break
            await asyncio.sleep(0.01)
    stop.set()
    await running


def test_what_failed_during_an_outage_is_replayed(store: Store, free_port: int) -> None:
    """Given up while the receiver was down; back, one replay: each event once, byte by byte."""

    async def case() -> None:
        ends = {"crm": Endpoint("crm", f"http://127.0.0.1:{free_port}/hook", SECRET)}
        store.put_endpoint(ends["crm"])
        sent = deliveries(MISSED, "crm")
        store.write_batch(BatchWrite(deliveries=sent))
        await send_with(store, ends, 0)  # one attempt, and given up
        failed = store.deliveries_page(state="failed", limit=1000).items
        assert len(failed) >= 16
        (one,) = store.delivery(failed[0].webhook_id)
        assert [each.status for each in one.attempts] == [None]
        assert "Connect" in one.attempts[0].error
        async with Receiver(port=free_port) as receiver:
            everything = Replay(0)
            assert store.replay(everything, now_ms=now_ms()).requeued == len(failed)
            assert store.replay(everything, now_ms=now_ms()).requeued == 0
            await send_until(store, ends, lambda: store.counts().deliveries_delivered == MISSED)
            assert store.replay(everything, now_ms=now_ms()).requeued == 0
            assert sorted((each.webhook_id, each.body) for each in sent) == sorted(
                (post.webhook_id, post.body) for post in receiver.received
            )
        (one,) = store.delivery(failed[0].webhook_id)
        assert [each.status for each in one.attempts] == [None, 204]

    asyncio.run(case())
    assert store.outbox_size() == (0, None)


def test_what_waits_for_the_schedule_need_not(store: Store, free_port: int) -> None:
    """The receiver is back long before the next attempt: a replay of `pending` sends at once."""

    async def case() -> None:
        ends = {"crm": Endpoint("crm", f"http://127.0.0.1:{free_port}/hook", SECRET)}
        store.put_endpoint(ends["crm"])
        store.write_batch(BatchWrite(deliveries=deliveries(16, "crm")))
        await send_with(store, ends, 0, 3_600)
        assert store.claim(now_ms=now_ms(), limits={"crm": 99}, lease_ms=1) == []
        async with Receiver(port=free_port) as receiver:
            waiting = Replay(0, states=("pending",))
            assert store.replay(waiting, now_ms=now_ms()).requeued == 16
            await send_until(store, ends, lambda: store.counts().deliveries_delivered == 16)
            assert len(receiver.received) == 16

    asyncio.run(case())


def test_a_replay_meanwhile_sends_nothing_twice(store: Store) -> None:
    """What a sender is posting is not replayed from under it, however often somebody asks."""

    async def case() -> None:
        release = asyncio.Event()

        async def slow(_: web.Request, post: Received) -> web.Response:
            await release.wait()
            return web.Response(status=204)

        async with Receiver(slow) as receiver:
            ends = {"crm": Endpoint("crm", receiver.url, SECRET)}
            store.put_endpoint(ends["crm"])
            store.write_batch(BatchWrite(deliveries=deliveries(5, "crm")))
            done = asyncio.create_task(
                send_until(store, ends, lambda: store.counts().deliveries_delivered == 5)
            )
            await receiver.wait_for(5)
            for _ in range(3):
                found = store.replay(Replay(0, states=("failed", "pending")), now_ms=now_ms())
                assert found.requeued == 0
            release.set()
            await done
            assert Counter(post.webhook_id for post in receiver.received) == {
                f"offer_{number:04d}": 1 for number in range(5)
            }

    asyncio.run(case())
