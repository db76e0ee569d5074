"""A connection to NATS that lasts, in a thread of its own, and what such a one needs.

That is a login for all servers, and an end: the client tries its servers again and again, at first
and whenever the connection is lost. Costs a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Collection, Coroutine
from typing import Any
from urllib.parse import unquote, urlsplit

import structlog
from nats.aio.client import Client

_PERSISTENT: dict[str, Any] = {"max_reconnect_attempts": -1, "reconnect_time_wait": 0.1}
_CANCELLED_S = 0.2
"""Who was cancelled and has not ended by then is cancelled again."""

_log = structlog.get_logger(__name__)

Work = Callable[[Client, asyncio.Event], Coroutine[Any, Any, None]]
"""What is done over a connection, until the event is set."""


class StandingConnection:
    """Does some work over a connection, in a thread of its own.

    Parameters
    ----------
    url
        ``nats://user:password@host:4222``, several by commas.
    name
        Of the thread.
    works
        What is done, side by side, once it is connected.
    without
        What is missing while no server is reached; for the log.
    """

    def __init__(self, url: str, name: str, works: Collection[Work], *, without: str) -> None:
        self._urls = [part.strip() for part in url.split(",")]
        self._works = works
        self._without = without
        self._trouble = ""
        self._stopping = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End the connection and the thread."""
        self._stopping = True
        if self._loop is not None and self._stop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread.ident is not None:
            self._thread.join()

    # In the thread.

    def _run(self) -> None:
        try:
            asyncio.run(self._work())
        except Exception:  # noqa: BLE001 whoever started it lives on without it
            _log.exception("NATS is not asked any more", consequence=self._without)

    async def _work(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        if self._stopping:
            return
        user, password = login_of(self._urls)
        connection = Client()
        connecting = connection.connect(
            self._urls,
            user=user,
            password=password,
            error_cb=self._on_error,
            reconnected_cb=self._on_reconnected,
            **_PERSISTENT,
        )
        try:
            if await unless(self._stop, connecting):
                await self._on_reconnected()
                await asyncio.gather(*(work(connection, self._stop) for work in self._works))
        finally:
            await connection.close()
            await end(asyncio.all_tasks() - {asyncio.current_task()})

    async def _on_error(self, error: Exception) -> None:
        if str(error) != self._trouble:
            self._trouble = str(error)
            _log.warning(
                "NATS can't be asked",
                consequence=self._without,
                servers=", ".join(without_login(each) for each in self._urls),
                trouble=self._trouble,
            )

    async def _on_reconnected(self) -> None:
        self._trouble = ""


def without_login(url: str) -> str:
    """Return host and port of an address."""
    return urlsplit(url).netloc.rpartition("@")[2]


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
