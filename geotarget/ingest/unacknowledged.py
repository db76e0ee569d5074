"""Ends the hold of a slot as soon as NATS says that all it has sent in vain has come again.

Whose slot is taken over unclean left messages behind that were sent and not acknowledged, and NATS
sends new ones first (`holding`). Nobody but NATS knows how many they are: often none. So it is
asked, and where it has no more unacknowledged than came over the new connection, nothing older can
follow. As many as came is enough to compare, without names: what is in hand is among what is
unacknowledged. Where it does not answer, or is not asked, holds last for their time.

Costs ten questions a second for each slot, while it is held.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Protocol

from nats.aio.client import Client
from nats.js import JetStreamContext

from geotarget.ingest.consumers import Consumers, Named

_EVERY_S, _ANSWER_S = 0.1, 0.5


class Held(Named, Protocol):
    """A session that may be held."""

    @property
    def collected(self) -> tuple[int, int] | None:
        """Number of its connection and of the messages set aside since; None if not held."""
        ...

    def end_hold(self, connection: int) -> None:
        """Hold it no longer, if this connection still lasts."""
        ...


class HoldEnder:
    """Asks NATS about those sessions that are held.

    Parameters
    ----------
    sessions
        Gives all sessions of this process.
    consumers
        What sends them their messages.
    """

    def __init__(self, sessions: Callable[[], Iterable[Held]], consumers: Consumers) -> None:
        self._sessions = sessions
        self._consumers = consumers

    async def work(self, connection: Client, stop: asyncio.Event) -> None:
        """Ask until it is stopped."""
        manager = connection.jetstream(timeout=_ANSWER_S)
        await self._consumers.find(manager)
        asked: dict[str, asyncio.Task[None]] = {}
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
        found = await self._consumers.info(manager, session)
        if found is None:
            return False
        led = found.cluster is None or bool(found.cluster.leader)
        return led and bool(found.push_bound) and (found.num_ack_pending or 0) <= count
