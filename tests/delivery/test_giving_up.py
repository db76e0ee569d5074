"""An endpoint is given up for failing all the time, not for failing twice."""

from __future__ import annotations

import asyncio
import time
from random import Random
from typing import Self

from aiohttp import web
from memory_outbox import MemoryOutbox
from verifying_receiver import SECRET, Received, Receiver

from geotarget.delivery import AiohttpTransport, Sender
from geotarget.model import Delivery, Endpoint

DAY_MS = 86_400_000
EVERY = "every attempt has failed since "


class Clock:
    """A wall clock that a test can move."""

    ahead_ms = 0

    def __call__(self) -> int:
        """Return Unix milliseconds."""
        return time.time_ns() // 1_000_000 + self.ahead_ms


class Told:
    """A sender of one failing endpoint, and what it tells of it."""

    def __init__(self, receiver: Receiver, **known: int) -> None:
        self.clock = Clock()
        self.outbox = MemoryOutbox()
        self.endpoint = Endpoint("crm", receiver.url, SECRET, delays_s=(0.0,), **known)
        self.reports: list[tuple[str, int | None]] = []
        self.sent = 0
        self._stop = asyncio.Event()
        receiver.verify = False  # the reference library reads the real clock

    async def __aenter__(self) -> Self:
        sender = Sender(
            self.outbox,
            lambda: {"crm": self.endpoint},
            AiohttpTransport(["127.0.0.0/8"], total_timeout_s=5),
            poll_s=0.02,
            probe_s=0.001,
            random=Random(3),
            now_ms=self.clock,
            on_dead=lambda _, reason, since: self.reports.append((reason, since)),
        )
        self._running = asyncio.create_task(sender.run(self._stop))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await self._running

    async def fail(self, *, state: str = "failed") -> None:
        """Send one more and wait for its end."""
        self.sent += 1
        made = Delivery(f"offer_{self.sent}", "crm", "offer.triggered", b"{}", 0)
        self.outbox.add(made)
        row = self.outbox.rows[made.webhook_id, "crm"]
        await asyncio.to_thread(self.outbox.wait, lambda: row.state == state)


async def broken(_: web.Request, post: Received) -> web.Response:
    """Answer as something that is down."""
    return web.Response(status=500)


def test_two_failures_with_a_week_between_disable_nothing() -> None:
    """Nothing was tried meanwhile: it takes ten, and as many days as are set."""

    async def case() -> None:
        async with Receiver(broken) as receiver, Told(receiver) as told:
            for _ in range(9):
                await told.fail()
                told.clock.ahead_ms += 6 * DAY_MS
            assert told.reports == []
            receiver.answering = None
            await told.fail(state="delivered")
            receiver.answering = broken
            for _ in range(12):  # a success began anew; many failures at once are no long time
                await told.fail()
            assert told.reports == []
            told.clock.ahead_ms += 5 * DAY_MS
            await told.fail()
            ((reason, since_ms),) = told.reports
            assert reason.startswith(EVERY)
            assert since_ms is not None
            assert told.clock() - since_ms >= 5 * DAY_MS

    asyncio.run(case())


def test_a_restart_remembers_since_when_and_counts_anew() -> None:
    """What is written down of an endpoint counts from the first failure on; the end is put off."""

    async def case() -> None:
        since_ms = Clock()() - 6 * DAY_MS
        async with Receiver(broken) as receiver, Told(receiver, failing_since_ms=since_ms) as told:
            for _ in range(9):
                await told.fail()
            assert told.reports == []
            await told.fail()
            ((_, told_since_ms),) = told.reports
            assert told_since_ms == since_ms

    asyncio.run(case())
