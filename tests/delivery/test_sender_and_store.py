"""The sender on the real outbox: what the fake in memory promises, the store keeps."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from random import Random

import pytest
from aiohttp import web
from verifying_receiver import SECRET, Received, Receiver

from geotarget.delivery import AiohttpTransport, Sender
from geotarget.model import BatchWrite, Delivery, Endpoint
from geotarget.store import Store

DEADLINE_S = 60.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Open a database of its own."""
    with Store.open(f"sqlite:///{tmp_path / 'store.db'}") as opened:
        yield opened


def deliveries(count: int, endpoint: str, *, expires_ms: int | None = None) -> list[Delivery]:
    """Make deliveries to one endpoint."""
    return [
        Delivery(
            webhook_id=f"offer_{number:04d}",
            endpoint=endpoint,
            type="offer.triggered",
            body=f'{{"number":{number}}}'.encode(),
            created_ms=0,
            expires_ms=expires_ms,
            device="phone-1",
        )
        for number in range(count)
    ]


async def send_until(
    store: Store, endpoints: Mapping[str, Endpoint], done: Callable[[], bool]
) -> None:
    """Run a sender on the store until something is true of the store."""
    sender = Sender(
        store,
        lambda: endpoints,
        AiohttpTransport(["127.0.0.0/8"], total_timeout_s=5),
        delays_s=(0, 0.02, 0.02, 0.02, 0.02, 0.02),
        poll_s=0.02,
        random=Random(5),
    )
    stop = asyncio.Event()
    running = asyncio.create_task(sender.run(stop))
    deadline = time.monotonic() + DEADLINE_S
    while not await asyncio.to_thread(done):
        assert time.monotonic() < deadline, store.counts()
        assert not running.done(), running.result()
        await asyncio.sleep(0.01)
    stop.set()
    await asyncio.wait_for(running, DEADLINE_S)


def test_everything_arrives_and_every_attempt_is_kept(store: Store) -> None:
    """A third fails once: all arrive, with the bytes that were committed, and it is on record."""

    async def case() -> None:
        seen: Counter[str] = Counter()

        async def moody(_: web.Request, post: Received) -> web.Response:
            seen[post.webhook_id] += 1
            fails = int(post.webhook_id[-4:]) % 3 == 0 and seen[post.webhook_id] == 1
            return web.Response(status=500 if fails else 200, text="no" if fails else "yes")

        async with Receiver(moody) as receiver:
            sent = deliveries(90, "crm")
            store.write_batch(BatchWrite(deliveries=sent))
            ends = {"crm": Endpoint("crm", receiver.url, SECRET)}
            await send_until(store, ends, lambda: store.counts().deliveries_delivered == 90)
            assert {d.webhook_id: d.body for d in sent} == {
                post.webhook_id: post.body for post in receiver.received
            }
            assert len(receiver.received) == 120

    asyncio.run(case())
    assert store.counts().attempts == 120
    assert store.outbox_size() == (0, None)
    (twice,) = store.delivery("offer_0003")
    assert [(a.attempt, a.status, a.answer) for a in twice.attempts] == [
        (1, 500, "no"),
        (2, 200, "yes"),
    ]
    assert twice.delivery.state == "delivered"


def test_reprocessed_batch_is_not_sent_again(store: Store) -> None:
    """The same deliveries, committed again after a crash, change nothing."""

    async def case() -> None:
        async with Receiver() as receiver:
            ends = {"crm": Endpoint("crm", receiver.url, SECRET)}
            sent = deliveries(5, "crm")
            store.write_batch(BatchWrite(deliveries=sent))
            await send_until(store, ends, lambda: store.counts().deliveries_delivered == 5)
            store.write_batch(BatchWrite(deliveries=sent + deliveries(6, "crm")))
            await send_until(store, ends, lambda: store.counts().deliveries_delivered == 6)
            assert len(receiver.received) == 6

    asyncio.run(case())


def test_expired_gone_and_given_up(store: Store) -> None:
    """The other ends of a delivery are on record as what they are."""

    async def case() -> None:
        async def gone(_: web.Request, post: Received) -> web.Response:
            return web.Response(status=410)

        async def broken(_: web.Request, post: Received) -> web.Response:
            return web.Response(status=400)

        async with Receiver() as fine, Receiver(gone) as left, Receiver(broken) as bad:
            ends = {
                "fine": Endpoint("fine", fine.url, SECRET),
                "left": Endpoint("left", left.url, SECRET),
                "bad": Endpoint("bad", bad.url, SECRET),
            }
            old = deliveries(1, "fine", expires_ms=1_000)
            store.write_batch(
                BatchWrite(deliveries=old + deliveries(1, "left") + deliveries(1, "bad"))
            )
            await send_until(store, ends, lambda: store.outbox_size()[0] == 0)
            assert (len(fine.received), len(left.received), len(bad.received)) == (0, 1, 6)

    asyncio.run(case())
    states = {d.delivery.endpoint: d.delivery.state for d in store.delivery("offer_0000")}
    assert states == {"fine": "expired", "left": "failed", "bad": "failed"}


def test_killed_sender_loses_nothing(store: Store) -> None:
    """After the lease, another sender delivers what a killed one held, under the same id."""

    async def case() -> None:
        release = asyncio.Event()

        async def hang(_: web.Request, post: Received) -> web.Response:
            await release.wait()
            return web.Response()

        async with Receiver(hang) as receiver:
            ends = {"crm": Endpoint("crm", receiver.url, SECRET)}
            store.write_batch(BatchWrite(deliveries=deliveries(3, "crm")))
            dying = Sender(store, lambda: ends, AiohttpTransport(["127.0.0.0/8"]), lease_s=0.5)
            task = asyncio.create_task(dying.run(asyncio.Event()))
            await receiver.wait_for(3)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            receiver.answering = None
            await send_until(store, ends, lambda: store.counts().deliveries_delivered == 3)
            release.set()
            ids = Counter(post.webhook_id for post in receiver.received)
            assert ids == {"offer_0000": 2, "offer_0001": 2, "offer_0002": 2}

    asyncio.run(case())
    assert store.counts().attempts == 3
