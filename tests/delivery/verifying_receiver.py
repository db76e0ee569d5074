"""A receiver as somebody out there would run it, on a port of its own.

It verifies every post with the reference library; one that doesn't verify gets a 500 and is not
counted as received.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Self

from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
Answering = Callable[[web.Request, "Received"], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Received:
    """One post that arrived and was verified with the reference library."""

    webhook_id: str
    timestamp: str
    path: str
    body: bytes
    headers: dict[str, str]


class Receiver:
    """A real HTTP server; `answering` decides what each post meets. Port 0 takes a free one."""

    def __init__(self, answering: Answering | None = None, *, port: int = 0) -> None:
        self._port = port
        self.received: list[Received] = []
        self.answering = answering
        self.verify = True
        self.secret = SECRET
        self.refused = 0
        self.connections: set[object] = set()
        self.concurrent = 0
        self.most_concurrent = 0
        self.broken_off = asyncio.Event()
        self._arrived = asyncio.Condition()

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=1 << 20)
        app.router.add_route("*", "/{tail:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}/hook"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def wait_for(self, posts: int) -> None:
        """Return when so many posts have arrived; fail after twenty seconds."""
        async with asyncio.timeout(20), self._arrived:
            await self._arrived.wait_for(lambda: len(self.received) >= posts)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        if self.verify:
            try:
                Webhook(self.secret).verify(body, headers)
            except WebhookVerificationError:  # the sender sees a 500
                self.refused += 1
                raise
        post = Received(
            headers["webhook-id"], headers["webhook-timestamp"], request.path, body, headers
        )
        self.connections.add(request.transport)
        async with self._arrived:
            self.received.append(post)
            self._arrived.notify_all()
        self.concurrent += 1
        self.most_concurrent = max(self.most_concurrent, self.concurrent)
        try:
            if self.answering is None:
                return web.Response(status=204)
            return await self.answering(request, post)
        except (ConnectionError, asyncio.CancelledError):
            self.broken_off.set()
            raise
        finally:
            self.concurrent -= 1
