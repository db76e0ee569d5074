"""Persistent sessions made ahead of time, so that a broker keeps what phones publish.

Brokers keep a message for a session, not for a topic: what comes before a session exists is
acknowledged and gone. Making one is connecting, subscribing and leaving; 64 take a second.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from geotarget.errors import BrokerError
from geotarget.ingest.broker_url import BrokerUrl, connect_properties
from geotarget.ingest.paho_polling import PollingClient

SESSION_EXPIRY_S = 86_400
"""How long a broker keeps the session of an absent ingest, in seconds (MQTT 5)."""

_STEP_S = 10.0
_UNSUPPORTED_VERSION = 132


def make_sessions(
    broker: BrokerUrl,
    sessions: Mapping[str, Sequence[str]],
    *,
    dropped: Sequence[str] = (),
    tls: ssl.SSLContext | None = None,
    mqtt5: bool = True,
    expiry_s: int = SESSION_EXPIRY_S,
) -> int:
    """Make persistent sessions that are not connected; those that exist stay as they are.

    Parameters
    ----------
    broker
        Where, and with which login.
    sessions
        What each client id subscribes to. Whoever is connected under one is disconnected; what it
        had not acknowledged comes again.
    dropped
        What each of them is subscribed to no longer.
    tls
        For ``mqtts://``.
    mqtt5
        Whether to begin with MQTT 5; 3.1.1 is tried when the broker refuses.
    expiry_s
        How long the broker keeps a session that nobody is connected to, in seconds (MQTT 5).

    Returns
    -------
    int
        How many existed. What waited in them was sent for a moment and acknowledged by nobody:
        NATS sends it again after its ack_wait, behind newer messages.

    Raises
    ------
    BrokerError
        The broker can't be reached, or does not grant one in time; names the step.
    """
    existed = 0
    versions = [MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311][0 if mqtt5 else 1 :]
    for client_id, filters in sessions.items():
        making = _Making(broker, client_id, versions[0], tls, expiry_s)
        while not making.make(filters, dropped, last=len(versions) == 1):
            del versions[0]
            making = _Making(broker, client_id, versions[0], tls, expiry_s)
        existed += making.existed
    return existed


class _Making:
    """One connection that makes a session."""

    def __init__(
        self,
        broker: BrokerUrl,
        client_id: str,
        protocol: MQTTProtocolVersion,
        tls: ssl.SSLContext | None,
        expiry_s: int,
    ) -> None:
        self._broker = broker
        self._step = threading.Condition()
        self._answers: list[ReasonCode | None] = []
        self._ended = False
        self.existed = False
        self._mqtt5 = protocol == MQTTProtocolVersion.MQTTv5
        self._expiry_s = expiry_s
        more: dict[str, Any] = {} if self._mqtt5 else {"clean_session": False}
        # Nothing is acknowledged here: what the session holds is the ingest's.
        self._client = client = PollingClient(
            client_id=client_id, protocol=protocol, manual_ack=True, **more
        )
        broker.apply(client, tls=tls)
        client.on_connect = self._on_connect
        client.on_subscribe = lambda *arguments: self._note(
            next((reason for reason in arguments[3] if reason.is_failure), arguments[3][0])
        )
        client.on_unsubscribe = lambda *_: self._note(None)
        client.on_disconnect = lambda *_: self._end()

    def make(self, filters: Sequence[str], dropped: Sequence[str], *, last: bool) -> bool:
        """Make it; False when the broker does not speak this version, unless it is the last one."""
        options: dict[str, Any] = {}
        if self._mqtt5:
            options["clean_start"] = False
            options["properties"] = connect_properties(SessionExpiryInterval=self._expiry_s)
        try:
            self._client.connect(self._broker.host, self._broker.port, **options)
        except OSError as error:
            reason = self._broker.trouble(error)
            raise BrokerError(f"can't reach {self._broker}: {reason}") from error
        self._client.loop_start()
        try:
            if not self._wait(1, "connecting", soft=not last):
                return False
            asked: list[Any] = [(name, 1) for name in filters]
            if self._mqtt5:
                # What was retained is not sent, or a session that nobody reads would begin full.
                kept = SubscribeOptions.RETAIN_SEND_IF_NEW_SUB
                asked = [(name, SubscribeOptions(qos=1, retainHandling=kept)) for name in filters]
            self._client.subscribe(asked)
            self._wait(2, f"subscribing to {', '.join(filters)}")
            if dropped:
                self._client.unsubscribe(list(dropped))
                self._wait(3, f"unsubscribing from {', '.join(dropped)}")
        finally:
            self._client.disconnect()
            self._client.loop_stop()
        return True

    def _on_connect(
        self, _client: paho.Client, _data: object, flags: Any, reason: ReasonCode, *_: object
    ) -> None:
        self.existed = flags.session_present
        self._note(reason)

    def _note(self, answer: ReasonCode | None) -> None:
        with self._step:
            self._answers.append(answer)
            self._step.notify_all()

    def _end(self) -> None:
        with self._step:
            self._ended = True
            self._step.notify_all()

    def _wait(self, count: int, what: str, *, soft: bool = False) -> bool:
        """Wait for an answer; False when `soft` and the broker does not know this version."""
        with self._step:
            self._step.wait_for(lambda: len(self._answers) >= count or self._ended, _STEP_S)
            answer = self._answers[-1] if len(self._answers) >= count else _NONE
        if soft and (answer is _NONE and self._ended):
            return False
        if isinstance(answer, ReasonCode) and answer.is_failure:
            if soft and answer.value == _UNSUPPORTED_VERSION:
                return False
            raise BrokerError(f"{self._broker} refuses: {what}: {answer}")
        if answer is _NONE:
            raise BrokerError(f"{self._broker} does not answer: {what}")
        return True


_NONE = object()
