"""Ends the hold of a slot as soon as NATS says that all it has sent in vain has come again.

Whose slot is taken over unclean left messages behind that were sent and not acknowledged, and NATS
sends new ones first (`holding`). Nobody but NATS knows how many they are: often none. So it is
asked, and where it has no more unacknowledged than came over the new connection, nothing older can
follow. As many as came is enough to compare, without names: what is in hand is among what is
unacknowledged. Where it does not answer, or is not asked, holds last for their time.

Costs a connection for each worker, and while slots are held ten questions a second for each.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import nats.aio.client
import nats.errors
import structlog
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from geotarget.ingest.nats_admin import MESSAGES, consumer_name, without_login
from geotarget.ingest.nats_connection import end, login_of, unless

_EVERY_S, _ANSWER_S = 0.1, 0.5
_PERSISTENT: dict[str, Any] = {"max_reconnect_attempts": -1, "reconnect_time_wait": 0.1}
"""Every server is tried again and again, at first and whenever the connection is lost."""

_log = structlog.get_logger(__name__)


class Held(Protocol):
    """A session that may be held."""

    @property
    def client_id(self) -> str:
        """The name of the session."""
        ...

    @property
    def filters(self) -> tuple[str, ...]:
        """What it is subscribed to."""
        ...

    @property
    def collected(self) -> tuple[int, int] | None:
        """Number of its connection and of the messages set aside since; None if not held."""
        ...

    def end_hold(self, connection: int) -> None:
        """Hold it no longer, if this connection still lasts."""
        ...


class HoldEnder:
    """Asks NATS about those sessions that are held, in a thread of its own.

    Parameters
    ----------
    url
        ``nats://user:password@host:4222``, several by commas. The user belongs to the account of
        the pings.
    sessions
        Gives all sessions of this process.
    known
        Topic filter of each session that may become one of them.
    """

    def __init__(
        self, url: str, sessions: Callable[[], Iterable[Held]], known: Mapping[str, str]
    ) -> None:
        self._urls = [part.strip() for part in url.split(",")]
        self._sessions = sessions
        self._known = known
        self._consumers: dict[str, str] = {}
        self._trouble = ""
        self._stopping = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="hold-ender", daemon=True)

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
        except Exception:  # noqa: BLE001 holds last for their time then
            _log.exception("NATS is not asked any more what is unacknowledged")

    async def _work(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        if self._stopping:
            return
        user, password = login_of(self._urls)
        connection = nats.aio.client.Client()
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
                await self._watch(connection.jetstream(timeout=_ANSWER_S), self._stop)
        finally:
            await connection.close()
            await end(asyncio.all_tasks() - {asyncio.current_task()})

    async def _watch(self, manager: JetStreamContext, stop: asyncio.Event) -> None:
        asked: dict[str, asyncio.Task[None]] = {}
        # Ahead of time: later it may be the very server that keeps the sessions that has died.
        # Whom nobody answers for now is asked about again once it is held.
        await asyncio.gather(
            *(self._consumer(manager, name, topics) for name, topics in self._known.items()),
            return_exceptions=True,
        )
        while not stop.is_set():
            asked = {name: task for name, task in asked.items() if not task.done()}
            for session in self._sessions():
                name = session.client_id
                if name not in asked and session.collected is not None:
                    asked[name] = asyncio.create_task(self._follow(manager, session))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _EVERY_S)

    async def _follow(self, manager: JetStreamContext, session: Held) -> None:
        """Ask about a session until it is held no more."""
        agreed = None
        while (held := session.collected) is not None:
            connection, count = held
            if not await self._is_complete(manager, session, count):
                agreed = None
            elif agreed != connection:
                # once more: who has just been elected may not have read what it has to send
                agreed = connection
            else:
                session.end_hold(connection)
            await asyncio.sleep(_EVERY_S)

    async def _is_complete(self, manager: JetStreamContext, session: Held, count: int) -> bool:
        """Tell whether no more than so many messages are unacknowledged."""
        name, (topics,) = session.client_id, session.filters
        try:
            consumer = await self._consumer(manager, name, topics)
            if consumer is None:
                return False
            found = await manager.consumer_info(MESSAGES, consumer)
        except nats.errors.Error as error:
            # Nobody answers while a leader is being elected.
            _log.debug("nothing is known of a held slot", session=name, why=repr(error))
            if isinstance(error, NotFoundError):
                self._consumers.pop(name, None)
            return False
        led = found.cluster is None or bool(found.cluster.leader)
        return led and bool(found.push_bound) and (found.num_ack_pending or 0) <= count

    async def _consumer(self, manager: JetStreamContext, name: str, topics: str) -> str | None:
        """Return what sends a session its messages; asked for once, and as long as it exists."""
        known = self._consumers.get(name)
        if known is None:
            known = await consumer_name(manager, name, topics)
            if known is not None:
                self._consumers[name] = known
        return known

    async def _on_error(self, error: Exception) -> None:
        if str(error) != self._trouble:
            self._trouble = str(error)
            _log.warning(
                "NATS can't be asked what is unacknowledged; slots are held for their full time",
                servers=", ".join(without_login(each) for each in self._urls),
                trouble=self._trouble,
            )

    async def _on_reconnected(self) -> None:
        self._trouble = ""
