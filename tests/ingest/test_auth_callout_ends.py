"""The auth callout ends when it is told to, whatever its client is in the midst of."""

from __future__ import annotations

import asyncio

from geotarget.ingest.nats_connection import unless

SECONDS = 20.0


def test_who_forgets_that_he_was_cancelled_is_cancelled_again() -> None:
    """As a client does whose attempt to connect fails in the moment in which it is told to end."""
    forgotten = 0

    async def stubborn() -> None:
        nonlocal forgotten
        while forgotten < 3:
            try:
                await asyncio.sleep(10 * SECONDS)
            except asyncio.CancelledError:
                forgotten += 1
        await asyncio.sleep(10 * SECONDS)

    async def stopped() -> bool:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(0.01, stop.set)
        return await asyncio.wait_for(unless(stop, stubborn()), SECONDS)

    assert asyncio.run(stopped()) is False
    assert forgotten == 3


def test_what_is_done_before_the_stop_is_told() -> None:
    """Work that ends first is said to be done."""

    async def done() -> bool:
        return await unless(asyncio.Event(), asyncio.sleep(0))

    assert asyncio.run(done()) is True
