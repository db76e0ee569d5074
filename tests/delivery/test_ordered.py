"""Events of one device in their order, whatever the receiver, the network and the sender do."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from aiohttp import web
from verifying_receiver import SECRET, Received, Receiver

from geotarget.delivery import AiohttpTransport, Sender
from geotarget.model import BatchWrite, Delivery, Endpoint
from geotarget.store import Store

DEADLINE_S = 60.0
TIMEOUT_S, LEASE_S = 0.15, 0.4
POLL_S = 600.0
"""Longer than a test may take: what comes was not waited for."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Open a database of its own."""
    with Store.open(f"sqlite:///{tmp_path / 'store.db'}") as opened:
        yield opened


def delivery(number: int, device: str, *, ordered: bool = True) -> Delivery:
    """Make a delivery; numbers rise in the order of decision."""
    return Delivery(
        webhook_id=f"offer_{device}_{number:04d}",
        endpoint="crm",
        type="offer.triggered",
        body=b'{"number":%d}' % number,
        created_ms=time.time_ns() // 1_000_000,
        device=device,
        ordered=ordered,
    )


def sender(store: Store, receiver: Receiver, random: Random, *, poll_s: float = POLL_S) -> Sender:
    """Make a sender that is quick to try again."""
    ends = {"crm": Endpoint("crm", receiver.url, SECRET)}
    return Sender(
        store,
        lambda: ends,
        AiohttpTransport(["127.0.0.0/8"], total_timeout_s=TIMEOUT_S),
        delays_s=(0, *[0.01] * 30),
        lease_s=LEASE_S,
        poll_s=poll_s,
        probe_s=0.01,
        drain_s=0.1,
        random=random,
    )


async def until(done: Callable[[], bool], running: asyncio.Task[None]) -> None:
    """Wait until something is true of the store."""
    async with asyncio.timeout(DEADLINE_S):
        while not await asyncio.to_thread(done):
            assert not running.done(), running.result()
            await asyncio.sleep(0.005)


def first_arrivals(receiver: Receiver) -> dict[str, list[str]]:
    """Return what arrived for the first time, in the order of arrival, by device."""
    seen: dict[str, list[str]] = defaultdict(list)
    for name in dict.fromkeys(post.webhook_id for post in receiver.received):
        seen[name.split("_")[1]].append(name)
    return seen


@pytest.mark.parametrize("seed", range(3))
def test_first_arrivals_are_in_the_order_of_decision(store: Store, seed: int) -> None:
    """Errors, hangs, resets, answers that get lost, senders that die: nothing overtakes."""
    random = Random(seed)
    sent = [delivery(number, f"phone-{random.randrange(6)}") for number in range(100)]

    async def unkind(request: web.Request, post: Received) -> web.Response:
        fate = random.random()
        if fate < 0.15:
            return web.Response(status=random.choice([400, 500, 503]))
        if fate < 0.2:
            await asyncio.sleep(2 * TIMEOUT_S)  # it is here already, and the sender gives it up
        elif fate < 0.3:
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=204)

    async def case() -> None:
        async with Receiver(unkind) as receiver:
            waiting = list(sent)
            for _ in range(8):
                running = asyncio.create_task(
                    sender(store, receiver, random, poll_s=0.02).run(asyncio.Event())
                )
                for _ in range(3):
                    batch, waiting = waiting[:5], waiting[5:]
                    await asyncio.to_thread(store.write_batch, BatchWrite(deliveries=batch))
                    await asyncio.sleep(random.random() / 20)
                running.cancel()  # with what is in flight, and what it has not written down
                with pytest.raises(asyncio.CancelledError):
                    await running
            store.write_batch(BatchWrite(deliveries=waiting))
            stop = asyncio.Event()
            running = asyncio.create_task(sender(store, receiver, random, poll_s=0.02).run(stop))
            await until(lambda: store.outbox_size()[0] == 0, running)
            stop.set()
            await running
            decided: dict[str, list[str]] = defaultdict(list)
            for each in sent:
                decided[each.device].append(each.webhook_id)
            assert decided == first_arrivals(receiver)
            assert len(receiver.received) > len(sent), "nothing went wrong: the test shows nothing"

    asyncio.run(case())


def test_the_next_one_goes_at_once(store: Store) -> None:
    """Its sender looks for it when the one before is written down, not when it polls."""
    sent = [delivery(number, f"phone-{number % 3}") for number in range(60)]

    async def case() -> None:
        async with Receiver() as receiver:
            store.write_batch(BatchWrite(deliveries=sent))
            stop = asyncio.Event()
            running = asyncio.create_task(sender(store, receiver, Random(1)).run(stop))
            await until(lambda: store.outbox_size()[0] == 0, running)
            stop.set()
            await running
            assert 60 == len(receiver.received)
            assert receiver.most_concurrent <= 3
            for mine in first_arrivals(receiver).values():
                assert sorted(mine) == mine

    asyncio.run(case())


def test_one_that_fails_holds_up_nobody_else(store: Store) -> None:
    """Of a device whose event is refused nothing more comes until it is given up; others come."""
    sent = [delivery(number, device) for number in range(20) for device in ("bad", "good")]

    async def case() -> None:
        async def moody(_: web.Request, post: Received) -> web.Response:
            return web.Response(status=400 if post.webhook_id == "offer_bad_0000" else 204)

        async with Receiver(moody) as receiver:
            store.write_batch(BatchWrite(deliveries=sent))
            stop = asyncio.Event()
            running = asyncio.create_task(sender(store, receiver, Random(1), poll_s=0.01).run(stop))
            await until(lambda: store.outbox_size()[0] == 0, running)
            stop.set()
            await running
            order = [post.webhook_id for post in receiver.received]
            assert 31 == order.count("offer_bad_0000")
            last = max(at for at, name in enumerate(order) if name == "offer_bad_0000")
            assert all(name.startswith("offer_good") for name in set(order[:last]) - {order[last]})
            assert sum(name.startswith("offer_good") for name in order[:last]) == 20
            assert len(order[last + 1 :]) == 19

    asyncio.run(case())
    assert (store.counts().deliveries_failed, store.counts().deliveries_delivered) == (1, 39)


def test_without_it_nothing_waits(store: Store) -> None:
    """Sixteen events of one device are posted side by side, as ever."""

    async def case() -> None:
        answer = asyncio.Event()

        async def wait(_: web.Request, post: Received) -> web.Response:
            await answer.wait()
            return web.Response(status=204)

        async with Receiver(wait) as receiver:
            sent = [delivery(number, "phone-1", ordered=False) for number in range(16)]
            store.write_batch(BatchWrite(deliveries=sent))
            ends = {"crm": Endpoint("crm", receiver.url, SECRET)}
            stop = asyncio.Event()
            transport = AiohttpTransport(["127.0.0.0/8"])
            running = asyncio.create_task(Sender(store, lambda: ends, transport).run(stop))
            await receiver.wait_for(16)
            answer.set()
            await until(lambda: store.outbox_size()[0] == 0, running)
            stop.set()
            await running
            assert 16 == receiver.most_concurrent

    asyncio.run(case())
