"""A secret changes while webhooks go out: no receiver that changes with it misses one."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from random import Random

from verifying_receiver import SECRET, Receiver

from geotarget.catalog import Catalog
from geotarget.delivery import AiohttpTransport, Sender, new_secret
from geotarget.model import BatchWrite, Delivery, Endpoint
from geotarget.store import Store


def deliveries(first: int, count: int) -> list[Delivery]:
    """Make deliveries."""
    return [
        Delivery(f"offer_{n:05d}", "crm", "offer.triggered", b'{"n":%d}' % n, 0)
        for n in range(first, first + count)
    ]


def test_a_rotation_under_load_fails_no_verification(tmp_path: Path) -> None:
    """The receiver knows the old secret, changes half-way, and the old one ends: all verify.

    The receiver verifies with the reference library and holds one secret at a time.
    """

    class Clock:
        ahead_ms = 0

        def __call__(self) -> int:
            return time.time_ns() // 1_000_000 + self.ahead_ms

    clock, fresh = Clock(), new_secret()

    async def case(store: Store, catalog: Catalog) -> None:
        async with Receiver() as receiver:
            catalog.put_endpoint(Endpoint("crm", receiver.url, SECRET))
            sender = Sender(
                store,
                lambda: catalog.snapshot.endpoints,
                AiohttpTransport(["127.0.0.0/8"], total_timeout_s=5),
                poll_s=0.02,
                random=Random(5),
                now_ms=clock,
            )
            stop, sent = asyncio.Event(), 0
            running = asyncio.create_task(sender.run(stop))

            async def stream(count: int) -> None:
                nonlocal sent
                for _ in range(count // 25):
                    batch = BatchWrite(deliveries=deliveries(sent, 25))
                    await asyncio.to_thread(store.write_batch, batch)
                    sent += 25
                    sender.wake()
                    await receiver.wait_for(sent - 50)

            async def rotate() -> None:
                await receiver.wait_for(150)  # in the middle of the stream
                until_ms = clock() + 86_400_000
                await asyncio.to_thread(store.rotate_secret, "crm", fresh, until_ms=until_ms)
                await asyncio.to_thread(catalog.refresh)
                await receiver.wait_for(350)
                receiver.secret = fresh

            await asyncio.gather(stream(600), rotate())
            await receiver.wait_for(600)
            assert receiver.received[-1].headers["webhook-signature"].count("v1,") == 2
            clock.ahead_ms = 86_500_000
            receiver.verify = False  # the reference library reads the real clock
            await stream(25)
            await receiver.wait_for(625)
            last = receiver.received[-1].headers["webhook-signature"]
            stop.set()
            await running
            assert last.count("v1,") == 1
            assert (receiver.refused, len(receiver.received)) == (0, 625)
            assert store.counts().attempts == 625

    with Store.open(f"sqlite:///{tmp_path / 'store.db'}", now_ms=clock) as store:
        asyncio.run(case(store, Catalog(store)))
