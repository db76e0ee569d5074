"""The demo's own receiver of webhooks: what a customer's backend would do, in small.

It verifies each signature with the `standardwebhooks` library over the bytes as they came,
answers repetitions of a ``webhook-id`` without counting them twice, and keeps the last offers for
the display. It listens on loopback only. One post costs about 0.2 ms, most of it aiohttp.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from aiohttp import web
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

log = structlog.get_logger(__name__)

REMEMBERED = 10_000
"""How many webhook ids are kept to recognise repetitions."""

PATH = "/webhooks"


@dataclass(frozen=True, slots=True)
class ReceivedOffer:
    """An offer as it arrived.

    `at_ms` is when it arrived, `happened` the transition's own time (RFC 3339); `kind` is the
    kind of transition.
    """

    webhook_id: str
    at_ms: int
    campaign: str
    profile: str
    zone: str
    kind: str
    title: str
    happened: str


@dataclass(frozen=True, slots=True)
class Received:
    """What came in since the receiver was started."""

    verified: int = 0
    duplicates: int = 0
    bad: int = 0


class Receiver:
    """A webhook endpoint on loopback.

    Start and stop it on one event loop; the counters may be read from any thread.

    Parameters
    ----------
    secret
        The endpoint's secret, ``whsec_…``.
    host, port
        Where to listen; port 0 takes a free one.
    keep
        How many of the last offers are kept.

    Examples
    --------
    >>> import asyncio
    >>> async def once() -> str:
    ...     receiver = Receiver("whsec_" + "QUJD" * 8)
    ...     await receiver.start()
    ...     await receiver.stop()
    ...     return receiver.url
    >>> asyncio.run(once()).startswith("http://127.0.0.1:")
    True
    """

    def __init__(
        self, secret: str, *, host: str = "127.0.0.1", port: int = 0, keep: int = 50
    ) -> None:
        self._webhook = Webhook(secret)
        self._host = host
        self._port = port
        self._lock = threading.Lock()
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._offers: deque[ReceivedOffer] = deque(maxlen=keep)
        self._received = Received()
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where webhooks are to be posted; the port is known once it was started."""
        return f"http://{self._host}:{self._port}{PATH}"

    @property
    def received(self) -> Received:
        """The counters."""
        return self._received

    def offers(self) -> list[ReceivedOffer]:
        """Return the last offers, newest first."""
        with self._lock:
            return list(reversed(self._offers))

    async def start(self) -> None:
        """Listen.

        Raises
        ------
        OSError
            The port is taken.
        """
        app = web.Application(client_max_size=1 << 20)
        app.router.add_post(PATH, self._take)
        runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
        except OSError:
            await runner.cleanup()
            raise
        self._port = runner.addresses[0][1]
        self._runner = runner

    async def stop(self) -> None:
        """Answer what is under way and stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        try:
            event = self._webhook.verify(body, dict(request.headers))
        except WebhookVerificationError as error:
            self._count(bad=1)
            log.warning("webhook refused", reason=str(error))
            return web.json_response({"error": str(error)}, status=401)
        if not isinstance(event, Mapping):
            self._count(bad=1)
            return web.json_response({"error": "the body must be a JSON object"}, status=400)
        self._keep(request.headers["webhook-id"], event)
        return web.Response(status=204)

    def _keep(self, webhook_id: str, event: Mapping[str, Any]) -> None:
        with self._lock:
            known = webhook_id in self._seen
            self._seen[webhook_id] = None
            self._seen.move_to_end(webhook_id)
            if len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)
            if not known and event.get("type") == "offer.triggered":
                self._offers.append(_offer(webhook_id, event.get("data") or {}))
        self._count(verified=not known, duplicates=known)

    def _count(self, *, verified: int = 0, duplicates: int = 0, bad: int = 0) -> None:
        with self._lock:
            now = self._received
            self._received = Received(
                verified=now.verified + verified,
                duplicates=now.duplicates + duplicates,
                bad=now.bad + bad,
            )


def _offer(webhook_id: str, data: Mapping[str, Any]) -> ReceivedOffer:
    """Read what the display shows; an author of a campaign may leave out any of it."""
    zone = data.get("zone") or {}
    offer = data.get("offer") or {}
    transition = data.get("transition") or {}
    return ReceivedOffer(
        webhook_id=webhook_id,
        at_ms=time.time_ns() // 1_000_000,
        campaign=str(data.get("campaign", "")),
        profile=str((data.get("profile") or {}).get("id", "")),
        zone=str(zone.get("name") or zone.get("id") or ""),
        kind=str(transition.get("kind", "")),
        title=str(offer.get("title") or offer.get("text") or ""),
        happened=str(transition.get("time", "")),
    )
