"""What a receiver may do instead of answering at once, by the first part of the path.

``/ok/shop`` answers 204, ``/slow/shop?ms=200`` after 200 ms: the last part of the path is
the endpoint's name in the receiver's file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from benchmarks.faults.misbehaving import MISBEHAVIOURS

Behaviour = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def ok(_: web.Request) -> web.StreamResponse:
    """Accept."""
    return web.Response(status=204)


async def slow(request: web.Request) -> web.StreamResponse:
    """Accept after ``ms`` milliseconds."""
    await asyncio.sleep(float(request.query.get("ms", "200")) / 1000)
    return web.Response(status=204)


_refused: dict[str, bool] = {}


async def flaky(request: web.Request) -> web.StreamResponse:
    """Refuse every third event once, then accept it."""
    event = request.headers.get("webhook-id", "")
    refuse = event not in _refused and len(_refused) % 3 == 0
    _refused.setdefault(event, refuse)
    return web.Response(status=500 if refuse else 204)


BEHAVIOURS: dict[str, Behaviour] = {"ok": ok, "slow": slow, "flaky": flaky, **MISBEHAVIOURS}
