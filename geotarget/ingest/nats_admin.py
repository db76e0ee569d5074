"""What only an administrator of a NATS server can do and see: the store's bound, its sessions.

Each call is a connection of its own to the server's client port, for a moment and in a thread of
its own, because the caller may be inside a running event loop.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import nats.aio.client
import nats.errors
import structlog
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy
from nats.js.errors import NotFoundError

from geotarget.errors import BrokerError
from geotarget.ingest.nats_connection import without_login

MESSAGES = "$MQTT_msgs"
_SESSIONS = "$MQTT_sess"
_STEP_S = 10
_HASH_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_HASH_LENGTH = 8

_log = structlog.get_logger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A persistent session as the server has it.

    Parameters
    ----------
    connected
        Whether somebody is connected to it.
    backlog
        Messages that it was not sent yet.
    unacknowledged
        Messages that it was sent and has not acknowledged.
    """

    connected: bool
    backlog: int
    unacknowledged: int


class NatsAdmin:
    """Asks a server as its administrator.

    Parameters
    ----------
    url
        ``nats://user:password@host:4222``; several, separated by commas, for a cluster. The user
        belongs to the account of the pings.
    name
        What the server is called in messages.
    """

    def __init__(self, url: str, *, name: str = "") -> None:
        self._urls = [part.strip() for part in url.split(",")]
        self._name = name or f"NATS at {', '.join(without_login(each) for each in self._urls)}"

    def bound_store(self, max_bytes: int) -> int:
        """Bound the stored messages: new ones are refused when it is full, old ones never dropped.

        Parameters
        ----------
        max_bytes
            The bound; what is stored already, if that is more.

        Returns
        -------
        int
            The bound in bytes, as the server confirms it.

        Raises
        ------
        BrokerError
            When the server does not take it.
        """
        return self._ask(lambda manager: self._bound(manager, max_bytes))

    def sessions(self, wanted: Mapping[str, str]) -> dict[str, StoredSession]:
        """Return those persistent sessions that exist and are subscribed.

        Parameters
        ----------
        wanted
            The topic filter of each client id.

        Raises
        ------
        BrokerError
            When the server can't be asked.
        """

        async def found(manager: JetStreamContext) -> dict[str, StoredSession]:
            each = await asyncio.gather(
                *(_session(manager, name, topics) for name, topics in wanted.items())
            )
            return {name: one for name, one in zip(wanted, each, strict=True) if one is not None}

        return self._ask(found)

    async def _bound(self, manager: JetStreamContext, max_bytes: int) -> int:
        found = await manager.stream_info(MESSAGES)
        # Never below what is stored already: that would be a way to lose it.
        wanted = max(max_bytes, found.state.bytes)
        config = found.config
        if (config.max_bytes, config.discard) != (wanted, DiscardPolicy.NEW):
            config.max_bytes, config.discard = wanted, DiscardPolicy.NEW
            config = (await manager.update_stream(config)).config
        if config.max_bytes != wanted or config.discard != DiscardPolicy.NEW:
            raise BrokerError(
                f"{self._name} does not bound its store: {config.max_bytes} bytes,"
                f" discard {config.discard}"
            )
        return wanted

    def _ask(self, question: Callable[[JetStreamContext], Awaitable[T]]) -> T:
        async def asked() -> T:
            connection = nats.aio.client.Client()
            try:
                await connection.connect(
                    self._urls,
                    allow_reconnect=False,
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    connect_timeout=_STEP_S,
                    error_cb=_note_error,
                )
            except (nats.errors.Error, OSError) as error:
                await connection.close()
                raise BrokerError(f"{self._name} can't be administered: {error!r}") from error
            try:
                return await question(connection.jetstream(timeout=_STEP_S))
            except NotFoundError as error:
                raise BrokerError(
                    f"{self._name} has no MQTT store in this account: nobody has connected to it,"
                    " or the administrator belongs to another account"
                ) from error
            except nats.errors.Error as error:
                raise BrokerError(f"{self._name} refuses its administrator: {error!r}") from error
            finally:
                await connection.close()

        with ThreadPoolExecutor(1) as pool:
            return pool.submit(lambda: asyncio.run(asked())).result()


async def _note_error(error: Exception) -> None:
    _log.debug("the connection of the administrator", trouble=repr(error))  # it is raised too


async def _session(manager: JetStreamContext, client_id: str, topics: str) -> StoredSession | None:
    consumer = await consumer_name(manager, client_id, topics)
    if consumer is None:
        return None
    found = await manager.consumer_info(MESSAGES, consumer)
    return StoredSession(bool(found.push_bound), found.num_pending or 0, found.num_ack_pending or 0)


async def consumer_name(manager: JetStreamContext, client_id: str, topics: str) -> str | None:
    """Return what sends a session the messages of a topic filter; None where it does not exist.

    It is looked up under the digest of the session's name, as the server keeps it.
    """
    try:
        record = await manager.get_last_msg(_SESSIONS, f"$MQTT.sess.{session_digest(client_id)}")
    except NotFoundError:
        return None
    known = json.loads(record.data or b"{}")
    subject = topics.replace("/", ".").replace("+", "*")
    consumer = known.get("cons", {}).get(subject)
    if known.get("id") != client_id or consumer is None:
        return None
    return str(consumer["durable_name"])


def session_digest(client_id: str) -> str:
    """Return the name under which NATS keeps the session of a client id."""
    digest = hashlib.sha256(client_id.encode()).digest()[:_HASH_LENGTH]
    return "".join(_HASH_DIGITS[byte % len(_HASH_DIGITS)] for byte in digest)
