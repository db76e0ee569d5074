"""What a standing connection to NATS needs beside its client: a login for all, and an end."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine
from typing import Any
from urllib.parse import unquote, urlsplit

_CANCELLED_S = 0.2
"""Who was cancelled and has not ended by then is cancelled again."""


def login_of(urls: list[str]) -> tuple[str | None, str | None]:
    """Return user and password, if all addresses have the same.

    Else the client shows a login only where its address has it, and others refuse it.
    """
    try:
        found = {(parts.username, parts.password) for parts in map(urlsplit, urls)}
    except ValueError:  # no address; the client says so when it tries
        return None, None
    user, password = found.pop()
    if found or user is None or password is None:
        return None, None
    return unquote(user), unquote(password)


async def unless(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Do a piece of work and return True; False, and leave it, when the stop comes first."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    done = working.done()
    await end({working, stopping})
    if done:
        working.result()
    return done


async def end(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel tasks until they have ended.

    Once is not enough: in Python 3.11 `asyncio.wait_for` forgets that it was cancelled when what it
    waits for ends in the same moment, and a client that tries its servers in turn goes on for good.
    """
    while tasks:
        for each in tasks:
            each.cancel()
        _, tasks = await asyncio.wait(tasks, timeout=_CANCELLED_S)
