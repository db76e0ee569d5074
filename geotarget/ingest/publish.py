"""Pings to a broker, as devices would send them: for replays, fleets and forwarding.

One connection stands for many devices, because a topic names the device. QoS 1 with a bounded
number of messages in flight; whoever publishes faster than the broker acknowledges waits. What
is not acknowledged is sent again after a reconnect. 3 to 5 us a message through `publish_all`,
10 to 15 singly; arrays of pings are cheaper still.
"""

from __future__ import annotations

import ssl
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Self

import msgspec
import structlog
from paho.mqtt import client as paho
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from geotarget.errors import BrokerError, InvalidPing, Problem
from geotarget.ingest.broker_url import BrokerUrl
from geotarget.ingest.outbound import Outbound, make_outbound
from geotarget.ingest.slots import slot_topic
from geotarget.ingest.topics import PORTABLE_DEVICE

MESSAGE_PINGS = 100
"""How many pings one message may hold."""

_UNSUPPORTED_VERSION = 132
_NOBODY_LISTENS = 16
_FAILURE = 128
_LARGEST_IDENTIFIER = 65_535
_MAX_IN_FLIGHT = 60_000

Done = Callable[[str], None]
"""Told once, in the network thread: an empty string, or why the broker did not take it."""

_log = structlog.get_logger(__name__)


class OutgoingPing(msgspec.Struct, frozen=True, omit_defaults=True):
    """A ping as it is written to a topic: `ts` in epoch seconds, degrees, metres."""

    ts: float
    lat: float
    lng: float
    acc: float | None = None
    id: str | None = None


class Publisher:
    """Publishes pings of many devices over one connection.

    Parameters
    ----------
    url
        ``mqtt://user:password@host:port`` or ``mqtts://…``.
    client_id
        Chosen by the broker when empty.
    prefix
        Topics are ``{prefix}/{device}``.
    slot_topics
        Topics are ``slots/{n}/{device}``, for brokers that don't map one to the other.
    max_in_flight
        Messages that may wait for their acknowledgement; lowered to what the broker grants.
    keepalive_s, reconnect_s, tls
        As in `MqttSource`.

    Examples
    --------
    ::

        with Publisher("mqtt://127.0.0.1:1883") as publisher:
            publisher.publish("bus-7", [OutgoingPing(ts=1732240000.0, lat=60.17, lng=24.94)])
            publisher.flush(10.0)
    """

    def __init__(
        self,
        url: str,
        *,
        client_id: str = "",
        prefix: str = "pings",
        slot_topics: bool = False,
        max_in_flight: int = 1_000,
        keepalive_s: int = 30,
        reconnect_s: tuple[float, float] = (0.25, 30.0),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.broker = BrokerUrl.parse(url)
        self._wanted_in_flight = min(max_in_flight, _MAX_IN_FLIGHT)
        self.max_in_flight = self._wanted_in_flight
        self._client_id = client_id
        self._prefix = prefix
        self._slot_topics = slot_topics
        self._keepalive_s = keepalive_s
        self._reconnect_s = reconnect_s
        self._tls = tls
        self._changed = threading.Condition()
        self._published = 0
        self._acknowledged = 0
        self._refused = 0
        self._waiting: dict[int, Done | None] = {}
        self._last = 0
        self._answer: ReasonCode | None = None
        self._distrusted = False
        self._trouble = f"not connected to {self.broker} yet"
        self._client: Outbound | None = None

    def connect(self, timeout_s: float = 10.0) -> None:
        """Connect, with MQTT 5 or else 3.1.1; afterwards paho reconnects by itself.

        Raises
        ------
        BrokerError
            When the broker does not answer in time, refuses, or is not who it should be.
        """
        for protocol in (MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311):
            self._answer, self._distrusted = None, False
            client = self._open(protocol)
            with self._changed:
                self._changed.wait_for(
                    lambda: self._answer is not None or self._distrusted, timeout_s
                )
                # leaving is a disconnection too, which would take the place of the true reason
                answer, trouble = self._answer, self._trouble
            if answer is not None and not answer.is_failure:
                self._client = client
                return
            client.disconnect()
            client.loop_stop()
            if answer is not None and answer.value != _UNSUPPORTED_VERSION:
                raise BrokerError(f"{self.broker} refuses the connection: {answer}")
            if self._distrusted:
                raise BrokerError(trouble)
            if answer is None:
                break
        raise BrokerError(f"{trouble or self.broker}: no answer in {timeout_s:.3g} s")

    def close(self) -> None:
        """Disconnect; messages that wait for their acknowledgement may be lost."""
        client, self._client = self._client, None
        if client is not None:
            client.disconnect()
            client.loop_stop()
        with self._changed:
            left = [done for done in self._waiting.values() if done is not None]
            self._waiting.clear()
            self._changed.notify_all()
        for done in left:
            done("the connection was closed before the broker acknowledged")

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def publish(
        self,
        device: str,
        pings: Sequence[OutgoingPing],
        *,
        done: Done | None = None,
        timeout_s: float = 30.0,
    ) -> None:
        """Publish up to 100 pings of one device as one message; as `publish_all`."""
        self.publish_all([(device, pings)], done=done, timeout_s=timeout_s)

    def publish_all(
        self,
        messages: Iterable[tuple[str, Sequence[OutgoingPing]]],
        *,
        done: Done | None = None,
        timeout_s: float = 30.0,
    ) -> None:
        """Publish messages in order; waits while too many are in flight.

        Parameters
        ----------
        messages
            (device, up to 100 of its pings).
        done
            Called for each message, in the network thread, when the broker has answered.
        timeout_s
            How long to wait for a place in flight, in seconds.

        Raises
        ------
        InvalidPing
            When a device's name can't be a topic level everywhere, or a message has too many
            pings; nothing is published then.
        BrokerError
            When the broker has acknowledged nothing for `timeout_s` seconds, or `close` was
            called; what was sent until then stays in flight.
        """
        ready = [(self._topic(device), _body(pings)) for device, pings in messages]
        first = 0
        while first < len(ready):
            with self._changed:
                if not self._changed.wait_for(self._has_room, timeout_s):
                    raise BrokerError(
                        f"{self.broker} has acknowledged nothing for {timeout_s:.3g} s"
                        f" ({self._trouble or 'connected'})"
                    )
                client = self._client
                if client is None:
                    raise BrokerError(f"not connected to {self.broker}")
                part = ready[first : first + self.max_in_flight - self.in_flight]
                sending = [(self._identifier(done), topic, body) for topic, body in part]
                self._published += len(part)
            # Not under our lock: the network thread needs it to get rid of what it has.
            client.send(sending)
            first += len(part)

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Wait until the broker has answered for everything; False when it did not in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self.in_flight == 0, timeout_s)

    @property
    def connected(self) -> bool:
        """Whether `connect` has succeeded and `close` has not been called."""
        return self._client is not None

    @property
    def published(self) -> int:
        """Messages given to `publish`."""
        return self._published

    @property
    def acknowledged(self) -> int:
        """Messages that the broker has taken."""
        return self._acknowledged

    @property
    def refused(self) -> int:
        """Messages that the broker has refused, or has no subscriber for (MQTT 5 tells)."""
        return self._refused

    @property
    def in_flight(self) -> int:
        """Messages that wait for their acknowledgement."""
        return self._published - self._acknowledged - self._refused

    def health(self) -> tuple[bool, str]:
        """Tell whether the connection is up, and why not."""
        return not self._trouble, self._trouble

    def _has_room(self) -> bool:
        return self.in_flight < self.max_in_flight or self._client is None

    def _topic(self, device: str) -> str:
        if not PORTABLE_DEVICE.fullmatch(device):
            raise InvalidPing(
                Problem("device", device[:80], f"must match {PORTABLE_DEVICE.pattern}")
            )
        return slot_topic(device) if self._slot_topics else f"{self._prefix}/{device}"

    def _identifier(self, done: Done | None) -> int:
        """Take the next packet identifier that is not in flight."""
        while True:
            self._last = self._last % _LARGEST_IDENTIFIER + 1
            if self._last not in self._waiting:
                self._waiting[self._last] = done
                return self._last

    def _open(self, protocol: MQTTProtocolVersion) -> Outbound:
        client = make_outbound(self._on_answered, client_id=self._client_id, protocol=protocol)
        self.broker.apply(client, tls=self._tls, reconnect_s=self._reconnect_s)
        client.on_connect = lambda _client, _data, _flags, reason, properties: self._on_connect(
            client, reason, properties
        )
        client.on_connect_fail = self._on_unreachable
        client.on_disconnect = lambda _client, _data, _flags, reason, _properties: (
            self._on_disconnect(client, reason)
        )
        client.connect_async(self.broker.host, self.broker.port, keepalive=self._keepalive_s)
        client.loop_start()
        return client

    # Called in paho's network thread.

    def _on_connect(
        self, client: Outbound, reason: ReasonCode, properties: Properties | None
    ) -> None:
        self._trouble = f"{self.broker} refuses the connection: {reason}"
        if not reason.is_failure:
            self._trouble = ""
            granted = getattr(properties, "ReceiveMaximum", _MAX_IN_FLIGHT)
            self.max_in_flight = min(self._wanted_in_flight, granted)
            client.connected()
        with self._changed:
            self._answer = reason
            self._changed.notify_all()

    def _on_unreachable(self, _client: paho.Client, _data: object) -> None:
        # paho calls this while it handles the error, and keeps the error to itself.
        error = sys.exc_info()[1]
        self._trouble = f"can't reach {self.broker}: {self.broker.trouble(error)}"
        if isinstance(error, ssl.SSLCertVerificationError):
            with self._changed:
                self._distrusted = True  # it will not become somebody else while we wait
                self._changed.notify_all()

    def _on_disconnect(self, client: Outbound, reason: ReasonCode) -> None:
        why, client.failure = client.failure or str(reason), ""
        if not self._trouble or not self._answer:
            self._trouble = f"disconnected from {self.broker}: {self.broker.trouble(why)}"

    def _on_answered(self, answers: Sequence[tuple[int, int]]) -> None:
        told: list[tuple[Done, str]] = []
        with self._changed:
            for identifier, reason in answers:
                problem = _problem(reason)
                if problem:
                    self._refused += 1
                else:
                    self._acknowledged += 1
                done = self._waiting.pop(identifier, None)
                if done is not None:
                    told.append((done, problem))
            self._changed.notify_all()
        for done, problem in told:
            done(problem)


def _body(pings: Sequence[OutgoingPing]) -> bytes:
    if not 0 < len(pings) <= MESSAGE_PINGS:
        raise InvalidPing(
            Problem("pings", str(len(pings)), f"a message holds 1 to {MESSAGE_PINGS} pings")
        )
    return msgspec.json.encode(pings if len(pings) > 1 else pings[0])


def _problem(reason: int) -> str:
    if reason == _NOBODY_LISTENS:
        return "the broker has no subscriber for the message, hence does not keep it"
    if reason >= _FAILURE:
        return (
            f"the broker refuses the message: {ReasonCode(PacketTypes.PUBACK, identifier=reason)}"
        )
    return ""
