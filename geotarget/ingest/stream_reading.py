"""Reads what a session is owed from the stream itself, while nobody sends it.

When a node of NATS dies, the sessions whose messages it sent get none until the other nodes have
elected who goes on: each for itself, after 4 to 9 s, and some slot of 64 always waits long. The
messages are there meanwhile, on every node, and any node gives them out (direct gets). The stream
forgets a message once its session has acknowledged it, so what it has under a slot's subject is
what is owed, in order of arrival. It is read from here while a session is not connected, while it
is held, and while it hears nothing although something waits.

Nothing is acknowledged here, so nothing can be lost by it: the session is sent all of it when
there is somebody to send it, and the rules know a ping that they have had. That is the price: what
came meanwhile is worked on twice. In quiet times it costs eight questions a second for each worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from geotarget import metrics
from geotarget.ingest.consumers import Consumers, Named
from geotarget.ingest.nats_admin import MESSAGES
from geotarget.ingest.slots import LEVEL
from geotarget.ingest.waiting import QOS_1, Frame

SILENT_S = 1.0
"""Who has heard nothing for so long, although something waits, is read for."""

WAITED_S = 0.5
"""Something waits if the oldest message was the oldest for so long."""

_EVERY_S, _LOOK_S, _ANSWER_S = 0.1, 0.25, 0.5
_AT_ONCE, _BYTES_AT_ONCE = 500, 1 << 20
_PREFIX = "$MQTT.msgs."

_log = structlog.get_logger(__name__)


class Reader(Named, Protocol):
    """A session that may have its messages read for it."""

    @property
    def interrupted(self) -> bool:
        """Whether it gets nothing through at this moment: not connected, or held."""
        ...

    @property
    def silent_s(self) -> float:
        """How long it has heard nothing and had nothing in hand, in seconds."""
        ...

    def put_stored(self, frames: Sequence[Frame]) -> int:
        """Take messages that need not be acknowledged; return of how many it has taken care."""
        ...


@dataclass(frozen=True, slots=True)
class Stored:
    """A message of the stream: its number, and what an MQTT client would be sent."""

    number: int
    frame: Frame


class StreamReader:
    """Reads for those sessions that are sent nothing.

    Parameters
    ----------
    sessions
        Gives all sessions of this process.
    consumers
        What would send them their messages.
    """

    def __init__(self, sessions: Callable[[], Iterable[Reader]], consumers: Consumers) -> None:
        self._sessions = sessions
        self._consumers = consumers
        self._oldest = 0
        self._oldest_since_s = 0.0
        self._turn = 0

    async def work(self, connection: Client, stop: asyncio.Event) -> None:
        """Read until it is stopped."""
        reading: dict[str, asyncio.Task[None]] = {}
        look_s, allowed = 0.0, False
        while not stop.is_set():
            reading = {name: task for name, task in reading.items() if not _ended(task)}
            wanted = [session for session in self._sessions() if session.interrupted]
            if time.monotonic() >= look_s:
                allowed = allowed or await _allow_direct_gets(connection)
                wanted += await self._forgotten(connection)
                await self._note_a_floor(connection.jetstream(timeout=_ANSWER_S))
                look_s = time.monotonic() + _LOOK_S
            for session in wanted:
                if session.client_id not in reading:
                    reading[session.client_id] = asyncio.create_task(
                        self._read(connection, session)
                    )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _EVERY_S)

    async def _forgotten(self, connection: Client) -> list[Reader]:
        """Return sessions that hear nothing, if something has waited for that long.

        What waits is looked for once for all of them: it is somebody's oldest message, and no
        clock of another machine is asked how old it is.
        """
        silent = [
            session
            for session in self._sessions()
            if not session.interrupted and session.silent_s >= SILENT_S
        ]
        if not silent:
            return []
        found = await read_stored(connection, f"{LEVEL}.*.*", 1, most=1)
        number, now_s = (found[0].number if found else 0), time.monotonic()
        if number != self._oldest:
            self._oldest, self._oldest_since_s = number, now_s
        return silent if number and now_s - self._oldest_since_s >= WAITED_S else []

    async def _note_a_floor(self, manager: JetStreamContext) -> None:
        """Ask about one session, so that what it has acknowledged need not be read.

        What a session of somebody else has not acknowledged stays in the stream too.
        """
        sessions = list(self._sessions())
        if sessions:
            self._turn = (self._turn + 1) % len(sessions)
            await self._consumers.info(manager, sessions[self._turn])

    async def _read(self, connection: Client, session: Reader) -> None:
        """Read for a session until it is sent its messages again, or nothing waits for it."""
        if not self._consumers.floor(session):
            await self._consumers.info(connection.jetstream(timeout=_ANSWER_S), session)
        subject = session.filters[0].replace("/", ".").replace("+", "*")
        first, count, empty = self._consumers.floor(session) + 1, 0, False
        while session.interrupted or (session.silent_s >= SILENT_S and not (empty and not count)):
            found = await read_stored(connection, subject, first)
            taken = session.put_stored([each.frame for each in found]) if found else 0
            if taken:
                first = found[taken - 1].number + 1
                count += taken
                metrics.read_from_stream.inc(taken)
            empty = not found
            if taken < _AT_ONCE:
                await asyncio.sleep(_EVERY_S)
        if count:
            _log.info("read from the stream what nobody sent", session=session.client_id, n=count)


async def read_stored(
    connection: Client, subject: str, first: int, *, most: int = _AT_ONCE
) -> list[Stored]:
    """Return messages of the stream from a number on, in order and without a gap.

    Empty where there are none, and where nobody answers.

    Parameters
    ----------
    subject
        As NATS writes the topic filter of a session: ``slots.7.*``.
    first
        The number of the first that is wanted, from 1.
    most
        How many, at most.
    """
    wanted = {
        "seq": first,
        "next_by_subj": _PREFIX + subject,
        "batch": most,
        "max_bytes": _BYTES_AT_ONCE,
    }
    found: list[Stored] = []
    inbox = connection.new_inbox()
    try:
        answers = await connection.subscribe(inbox)
        try:
            await connection.publish(
                f"$JS.API.DIRECT.GET.{MESSAGES}", json.dumps(wanted).encode(), reply=inbox
            )
            while len(found) < most:
                each = _stored(await answers.next_msg(_ANSWER_S), found[-1:])
                if each is None:
                    break
                found.append(each)
        finally:
            await answers.unsubscribe()
    except nats.errors.Error as error:
        _log.debug("nothing can be read from the stream", why=repr(error))
    return found


def _stored(answer: Msg, before: Sequence[Stored]) -> Stored | None:
    """Read an answer; None at the end, at a refusal, and behind one that was lost on its way."""
    told = answer.headers or {}
    if "Nats-Sequence" not in told:
        return None
    if before and int(told["Nats-Last-Sequence"]) != before[0].number:
        return None
    topic = _topic(told["Nats-Subject"])
    return Stored(int(told["Nats-Sequence"]), (topic, answer.data, 0, QOS_1))


async def _allow_direct_gets(connection: Client) -> bool:
    """Have every node give messages out, not only the one that stores; tell whether they do."""
    try:
        answer = await connection.request(f"$JS.API.STREAM.INFO.{MESSAGES}", timeout=_ANSWER_S)
        config = json.loads(answer.data).get("config")
        if config is None:  # no phone was here yet
            return False
        if config.get("allow_direct"):
            return True
        config["allow_direct"] = True
        answer = await connection.request(
            f"$JS.API.STREAM.UPDATE.{MESSAGES}", json.dumps(config).encode(), timeout=_ANSWER_S
        )
        told = json.loads(answer.data)
        if "error" in told:
            _log.warning("NATS does not allow direct gets", reason=told["error"])
        return bool(told.get("config", {}).get("allow_direct"))
    except nats.errors.Error as error:
        _log.debug("NATS can't be asked for direct gets", why=repr(error))
        return False


def _topic(subject: str) -> bytes:
    """Write the subject of a slot's stored message as an MQTT client is sent it (`as_subject`)."""
    level, slot, device = subject.removeprefix(_PREFIX).split(".", 2)
    return f"{level}/{slot}/{device.replace('//', '.')}".encode()


def _ended(task: asyncio.Task[None]) -> bool:
    if not task.done():
        return False
    if (error := task.exception()) is not None:
        _log.error("reading from the stream failed; trying again", exc_info=error)
    return True
