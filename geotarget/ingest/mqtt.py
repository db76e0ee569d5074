"""The ingest's session with an MQTT broker: connect, subscribe, hand on, acknowledge, survive.

A persistent session under a fixed client id keeps messages for us while we are away, and the
number of unacknowledged messages that the broker may have outstanding is the back-pressure. paho's
network thread only enqueues; a second, mostly sleeping thread of ours replaces the client when it
speaks the wrong protocol version, when its thread has died or when nothing is heard any more.
"""

from __future__ import annotations

import ssl
import sys
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import structlog
from paho.mqtt import client as paho
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from geotarget import metrics
from geotarget.ingest.batch import Intake
from geotarget.ingest.broker_url import BrokerUrl, connect_properties
from geotarget.ingest.paho_framing import MqttClient, make_client
from geotarget.ingest.topics import subscriptions
from geotarget.ingest.waiting import Frame

_RECEIVE_MAXIMUM = 65_535
_UNSUPPORTED_VERSION = 132
_TICK_S = 1.0
_CLOSE_S = 5.0
_SILENT_KEEPALIVES = 3

_log = structlog.get_logger(__name__)


class MqttSource:
    """Feeds an `Intake` from a broker.

    Parameters
    ----------
    url
        ``mqtt://user:password@host:port`` or ``mqtts://…``.
    intake
        Where messages go. Its capacity is the Receive Maximum of the connection.
    client_id
        Names the persistent session; the same over restarts, and nobody else's: who connects
        under it takes the session over.
    clean
        Whether the last run ended with `stop` returning True (or there was none). When not,
        the first messages are held and sorted by fix time, as after each reconnect.
    ack_wait_s
        How long the broker waits before it sends an unacknowledged message again, in seconds;
        the hold is one second longer. 0 for brokers that resume in order: no hold. Should be
        longer than the intake's reorder window, or all that it holds is sent twice.
    keepalive_s
        MQTT keep-alive, in seconds. Three times as long a silence replaces the client.
    session_expiry_s
        How long the broker keeps the session of an absent ingest, in seconds (MQTT 5).
    max_packet_bytes
        Larger packets close the connection; the broker is asked not to send them. Above the
        64 KiB that a message may have, so that slightly larger ones become dead letters.
    reconnect_s
        First and longest wait between attempts to connect, in seconds.
    tls
        For ``mqtts://``; the system's authorities by default.
    mqtt5
        Whether to begin with MQTT 5; either way the other version is tried when the broker
        refuses. False where it is known to speak 3.1.1 only.

    Raises
    ------
    SettingsError
        When the address can't be parsed.
    """

    def __init__(
        self,
        url: str,
        intake: Intake,
        *,
        client_id: str = "geotarget-ingest",
        clean: bool = True,
        ack_wait_s: float = 3.0,
        keepalive_s: int = 30,
        session_expiry_s: int = 86_400,
        max_packet_bytes: int = 1_200_000,
        reconnect_s: tuple[float, float] = (0.25, 30.0),
        tls: ssl.SSLContext | None = None,
        mqtt5: bool = True,
    ) -> None:
        self.broker = BrokerUrl.parse(url)
        self.intake = intake
        self.client_id = client_id
        self.hold_s = ack_wait_s + 1.0 if ack_wait_s > 0 else 0.0
        self.keepalive_s = keepalive_s
        self.session_expiry_s = session_expiry_s
        self.max_packet_bytes = max_packet_bytes
        self.reconnect_s = reconnect_s
        self.tls = tls
        self.clean = clean
        self.connections = 0
        self.held_until = 0.0
        self.pausing = threading.Event()
        self.wake = threading.Event()
        self._stopping = threading.Event()
        self._protocol = MQTTProtocolVersion.MQTTv5 if mqtt5 else MQTTProtocolVersion.MQTTv311
        self._link: _Link | None = None
        self._left_unacknowledged = False
        self._keeper = threading.Thread(target=self._keep, name="mqtt-keeper", daemon=True)

    def start(self) -> None:
        """Start connecting; returns at once. `health` tells when it has worked."""
        self._keeper.start()

    def stop(self, timeout_s: float = 20.0) -> bool:
        """Stop fetching, commit and acknowledge what is here, disconnect; the session stays.

        Returns
        -------
        bool
            Whether the session is clean: everything that the broker sent was committed and
            acknowledged. Otherwise the next start needs ``clean=False``.
        """
        self.pausing.set()
        clean = self.intake.drain(timeout_s)
        link = self._link
        clean = clean and link is not None and link.subscribed
        # In the midst of a hold some of what was unacknowledged may not have come yet.
        clean = clean and time.monotonic() >= self.held_until
        self._stopping.set()
        self.wake.set()
        if self._keeper.ident is not None:
            self._keeper.join()
        return clean and not self._left_unacknowledged

    def health(self) -> tuple[bool, str]:
        """Tell whether messages flow, and why not."""
        link = self._link
        if link is None:
            return False, f"not connected to {self.broker} yet"
        return link.subscribed and not link.trouble, link.trouble

    # The keeper.

    def _keep(self) -> None:
        pause_s = first_s = self.reconnect_s[0]
        while not self._stopping.is_set():
            self.wake.clear()
            before = self.connections
            self._link = link = _Link(self, self._protocol)
            link.open()
            while not self._stopping.is_set() and not link.replace_because:
                self.wake.wait(_TICK_S)
                metrics.unacked_messages.set(link.client.unacknowledged)
                link.check()
            if link.replace_because:
                _log.warning("replacing the MQTT client", reason=link.replace_because)
                self._protocol = link.next_protocol
            link.close()
            self._left_unacknowledged |= link.discarded
            metrics.mqtt_connected.set(0)
            if link.version_refused:
                continue
            # A new client begins without a wait of its own.
            pause_s = (
                first_s if self.connections > before else min(2 * pause_s, self.reconnect_s[1])
            )
            self._stopping.wait(pause_s)


class _Link:
    """One paho client: its callbacks, and what they found."""

    def __init__(self, source: MqttSource, protocol: MQTTProtocolVersion) -> None:
        self._source = source
        self._protocol = protocol
        self.next_protocol = protocol
        self.trouble = f"connecting to {source.broker}"
        self.subscribed = False
        self.replace_because = ""
        self.version_refused = False
        self.discarded = False
        self._closed = False
        self._answered = True
        self._unanswered = 0
        self._last_attempt = time.monotonic()
        self._connection = -1
        self._told = ""
        self._acknowledge: Any = None
        self.client = self._make_client()

    def _make_client(self) -> MqttClient:
        source = self._source
        options: dict[str, Any] = {"client_id": source.client_id, "protocol": self._protocol}
        if self._protocol != MQTTProtocolVersion.MQTTv5:
            options["clean_session"] = False
        client = make_client(self._deliver, max_packet_bytes=source.max_packet_bytes, **options)
        source.broker.apply(client, tls=source.tls, reconnect_s=source.reconnect_s)
        client.on_pre_connect = self._on_attempt
        client.on_connect_fail = self._on_unreachable
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        return client

    def open(self) -> None:
        source = self._source
        options: dict[str, Any] = {"keepalive": source.keepalive_s}
        if self._protocol == MQTTProtocolVersion.MQTTv5:
            options["clean_start"] = False
            options["properties"] = connect_properties(
                SessionExpiryInterval=source.session_expiry_s,
                ReceiveMaximum=min(source.intake.capacity, _RECEIVE_MAXIMUM),
                TopicAliasMaximum=0,
                MaximumPacketSize=source.max_packet_bytes,
            )
        self.client.connect_async(source.broker.host, source.broker.port, **options)
        self.client.loop_start()

    def close(self) -> None:
        """Disconnect and end the network thread; a hung one is left behind, harmless."""
        self._closed = True
        self.client.disconnect()
        closer = threading.Thread(target=self._end_loop, name="mqtt-closer", daemon=True)
        closer.start()
        closer.join(_CLOSE_S)
        if closer.is_alive():
            _log.warning("the MQTT network thread hangs; left behind")

    def check(self) -> None:
        """Find out whether the client is dead without knowing it."""
        if self.replace_because:
            return
        heard = max(self.client.last_heard, self._last_attempt)
        silence = time.monotonic() - heard
        if getattr(self.client, "_thread", self) is None:
            self._replace("its network thread has ended")
        elif silence > _SILENT_KEEPALIVES * self._source.keepalive_s:
            self._replace(f"nothing was heard for {silence:.0f} s")

    def _end_loop(self) -> None:
        try:
            self.client.loop_stop()
        except AttributeError:
            # paho forgets its thread when that ends by itself, which may be in the midst of this.
            _log.debug("the MQTT network thread had ended already")

    def _replace(self, reason: str) -> None:
        self.trouble = reason
        self.subscribed = False
        self.replace_because = reason
        self._source.wake.set()

    # Called in paho's network thread.

    def _deliver(self, connection: int, frames: Sequence[Frame], wait_s: float) -> int:
        if self._closed or self._source.pausing.is_set():
            self.discarded = True  # never acknowledged, so the broker keeps them
            return len(frames)
        if connection != self._connection:
            self._connection = connection
            self._acknowledge = partial(self.client.acknowledge, connection)
        return self._source.intake.put(frames, self._acknowledge, timeout_s=wait_s)

    def _on_attempt(self, _client: paho.Client, _data: object) -> None:
        self._last_attempt = time.monotonic()
        self._answered = False

    def _on_unreachable(self, _client: paho.Client, _data: object) -> None:
        self._last_attempt = time.monotonic()
        # paho calls this while it handles the error, and keeps the error to itself.
        self.trouble = (
            f"can't reach {self._source.broker}: {self._source.broker.trouble(sys.exc_info()[1])}"
        )
        if self.trouble != self._told:
            self._told = self.trouble
            _log.warning("can't reach the broker", reason=self.trouble)

    def _on_connect(
        self,
        client: paho.Client,
        _data: object,
        flags: paho.ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        source = self._source
        self._answered = True
        self._unanswered = 0
        if self._closed:
            return
        if reason.is_failure:
            self.trouble = f"{source.broker} refuses the connection: {reason}"
            if reason.value == _UNSUPPORTED_VERSION:
                self.version_refused = not source.connections
                self._switch_protocol(f"the broker does not speak MQTT {_spoken(self._protocol)}")
            else:
                _log.error("the broker refuses the connection", reason=str(reason))
            return
        again = source.connections > 0
        source.connections += 1
        if again:
            metrics.mqtt_reconnects.inc()
        if source.hold_s and (again or (flags.session_present and not source.clean)):
            source.held_until = time.monotonic() + source.hold_s
            source.intake.hold(source.hold_s)
        metrics.mqtt_connected.set(1)
        _log.info(
            "connected to the broker",
            broker=str(source.broker),
            protocol=_spoken(self._protocol),
            session_present=flags.session_present,
        )
        self._check_grants(properties)
        self.trouble = f"connected to {source.broker}, not subscribed yet"
        filters = subscriptions(source.intake.prefix)
        if self._protocol == MQTTProtocolVersion.MQTTv5:
            new_only = SubscribeOptions.RETAIN_SEND_IF_NEW_SUB
            options = SubscribeOptions(qos=1, retainHandling=new_only)
            client.subscribe([(name, options) for name in filters])
        else:
            client.subscribe([(name, 1) for name in filters])

    def _check_grants(self, properties: Properties | None) -> None:
        wanted = self._source.session_expiry_s
        granted = getattr(properties, "SessionExpiryInterval", wanted)
        if granted < wanted:
            _log.warning(
                "the broker keeps the session for a shorter time than asked",
                asked_s=wanted,
                granted_s=granted,
            )

    def _on_subscribe(
        self,
        _client: paho.Client,
        _data: object,
        _mid: int,
        reasons: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        wanted = subscriptions(self._source.intake.prefix)
        refused = [
            f"{name} ({reason})"
            for name, reason in zip(wanted, reasons, strict=False)
            if reason.is_failure or reason.value < 1
        ]
        if refused or len(reasons) != len(wanted):
            self.trouble = (
                f"{self._source.broker} does not grant QoS 1 on {', '.join(refused) or wanted}"
            )
            _log.error("the broker does not grant the subscriptions", refused=refused)
            return
        self.trouble = ""
        self.subscribed = True

    def _on_disconnect(
        self,
        client: paho.Client,
        _data: object,
        _flags: paho.DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        del client
        metrics.mqtt_connected.set(0)
        was_subscribed, self.subscribed = self.subscribed, False
        if self._closed:
            return
        why, self.client.failure = self.client.failure or str(reason), ""
        if was_subscribed or not self.trouble or not self._answered:
            self.trouble = (
                f"disconnected from {self._source.broker}: {self._source.broker.trouble(why)}"
            )
            if was_subscribed or self.trouble != self._told:
                self._told = self.trouble
                _log.warning("disconnected from the broker", reason=self.trouble)
        if not self._answered:
            self._unanswered += 1
            if self._unanswered > 1 and "ALERT" not in why:
                # Some brokers just close on a version that they don't know.
                guess = "" if self._source.broker.tls else "; is its address mqtts://?"
                self._switch_protocol(f"the broker closes without an answer{guess}")

    def _switch_protocol(self, reason: str) -> None:
        self.next_protocol = (
            MQTTProtocolVersion.MQTTv311
            if self._protocol == MQTTProtocolVersion.MQTTv5
            else MQTTProtocolVersion.MQTTv5
        )
        before = f" ({self.trouble})" if self.trouble else ""
        self._replace(f"{reason}{before}; trying MQTT {_spoken(self.next_protocol)}")


def _spoken(protocol: MQTTProtocolVersion) -> str:
    return "5" if protocol == MQTTProtocolVersion.MQTTv5 else "3.1.1"
