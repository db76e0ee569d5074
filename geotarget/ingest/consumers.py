"""What sends each session its messages, as NATS knows it: its name, its state, how far it is.

A session's name is looked up once; how far its messages are acknowledged is remembered from every
answer, because there is none while NATS elects who sends them. One of these for each connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

import nats.errors
import structlog
from nats.js import JetStreamContext
from nats.js.api import ConsumerInfo
from nats.js.errors import NotFoundError

from geotarget.ingest.nats_admin import MESSAGES, consumer_name

_log = structlog.get_logger(__name__)


class Named(Protocol):
    """A session with one topic filter."""

    @property
    def client_id(self) -> str:
        """The name of the session."""
        ...

    @property
    def filters(self) -> tuple[str, ...]:
        """What it is subscribed to."""
        ...


class Consumers:
    """Asks NATS about what sends sessions their messages.

    Parameters
    ----------
    known
        Topic filter of each session that may be asked about.
    """

    def __init__(self, known: Mapping[str, str]) -> None:
        self._known = known
        self._names: dict[str, str] = {}
        self._floors: dict[str, int] = {}

    async def find(self, manager: JetStreamContext) -> None:
        """Look all names up ahead of time.

        Later it may be the very server that keeps the sessions that has died. Whom nobody answers
        for now is looked up again when it is asked about.
        """
        await asyncio.gather(
            *(self._name(manager, name, topics) for name, topics in self._known.items()),
            return_exceptions=True,
        )

    async def info(self, manager: JetStreamContext, session: Named) -> ConsumerInfo | None:
        """Return the state of what sends a session its messages; None where nobody answers."""
        name, (topics,) = session.client_id, session.filters
        try:
            consumer = await self._name(manager, name, topics)
            if consumer is None:
                return None
            found: ConsumerInfo = await manager.consumer_info(MESSAGES, consumer)
        except nats.errors.Error as error:
            # Nobody answers while a leader is being elected.
            _log.debug("nothing is known of a session", session=name, why=repr(error))
            if isinstance(error, NotFoundError):
                self._names.pop(name, None)
            return None
        if found.ack_floor is not None:
            self._floors[name] = found.ack_floor.stream_seq
        return found

    def floor(self, session: Named) -> int:
        """Return up to which message of the stream all was acknowledged when NATS said so last.

        By now it may be more; 0 where NATS never said it.
        """
        return self._floors.get(session.client_id, 0)

    async def _name(self, manager: JetStreamContext, name: str, topics: str) -> str | None:
        known = self._names.get(name)
        if known is None:
            known = await consumer_name(manager, name, topics)
            if known is not None:
                self._names[name] = known
        return known
