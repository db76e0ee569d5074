"""One connection of a session with a broker: what paho reports, and what follows from it.

paho reconnects by itself; a `Link` is thrown away and made anew (by `mqtt`) when it speaks the
wrong protocol version, when its thread has died, or when nothing is heard any more.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from paho.mqtt import client as paho
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from geotarget import metrics
from geotarget.ingest.broker_url import connect_properties
from geotarget.ingest.paho_framing import MqttClient, make_client
from geotarget.ingest.waiting import QOS_BITS, Frame

if TYPE_CHECKING:
    from geotarget.ingest.mqtt import MqttSource

_UNSUPPORTED_VERSION = 132
_TAKEN_OVER = 142
_SHORT_S = 5.0
_SHORT_LIVES = 2
_CLOSE_S = 5.0
_SILENT_KEEPALIVES = 3
ANSWER_S = 10.0
"""A broker that took the connection and says nothing for so long is asked anew."""

ELECTED_S = 10.5
"""So long after a node's death all sessions send again, what was not acknowledged included.

When a node of a NATS cluster dies, the others elect who sends the messages of a session: after 4 to
9 s. Who was elected sends new ones at once, and looks for unacknowledged ones 0.5 to 1.5 s later.
So the session of a slot whose first message comes within this time is held on for it.
"""

AFTER_FIRST_S = 2.0
"""So long after its first message who was elected has looked."""

CHANGES_HANDS_S = 3.0
"""A slot that was not given back clean changes hands so long after the death, or later."""

_log = structlog.get_logger(__name__)


class Link:
    """One paho client: its callbacks, and what they found."""

    def __init__(self, source: MqttSource, protocol: MQTTProtocolVersion) -> None:
        self._source = source
        self._protocol = protocol
        self.trouble = f"connecting to {source.broker}"
        self.subscribed = False
        self.replace_because = ""
        self.version_refused = False
        self.discarded = False
        self.taken_over = False
        self.connected = False
        self._closed = False
        self._answered = True
        self._unanswered = 0
        self._last_attempt = time.monotonic()
        self._connected_s = 0.0
        self._elected_s = float("-inf")
        self._collected: int | None = None
        self._connection = -1
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
        """Start connecting, in a thread of its own."""
        source = self._source
        options: dict[str, Any] = {"keepalive": source.keepalive_s}
        if self._protocol == MQTTProtocolVersion.MQTTv5:
            options["clean_start"] = False
            options["properties"] = connect_properties(
                SessionExpiryInterval=source.session_expiry_s,
                ReceiveMaximum=source.window,
                TopicAliasMaximum=0,
                MaximumPacketSize=source.max_packet_bytes,
            )
        self.client.connect_async(source.broker.host, source.broker.port, **options)
        self.client.loop_start()

    def close(self) -> None:
        """Disconnect and end the network thread; a hung one is left behind, harmless."""
        self._closed = True
        self._note_loss()
        self.client.disconnect()
        closer = threading.Thread(target=self._end_loop, name="mqtt-closer", daemon=True)
        closer.start()
        closer.join(_CLOSE_S)
        if closer.is_alive():
            _log.warning("the MQTT network thread hangs; left behind")

    @property
    def collected(self) -> int | None:
        """How many messages of this connection were set aside; None where it is not held."""
        held = self.subscribed and time.monotonic() < self._source.held_until
        return self._collected if held else None

    def expect_nothing_older(self) -> None:
        """Hold no message of this connection from now on."""
        self._collected = None
        self._elected_s = float("-inf")

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
        elif self._is_ignored():
            self._replace(f"{self._source.broker} has not answered for {ANSWER_S:g} s")

    def _is_ignored(self) -> bool:
        """Tell whether the broker has taken the connection and not answered in time."""
        if self._answered or self.client.socket() is None:
            return False
        return time.monotonic() - self._last_attempt > ANSWER_S

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

    def _note_loss(self) -> None:
        if self.connected:
            self._source.lost_s = time.monotonic()
        self.connected = False

    # Called in paho's network thread.

    def _deliver(self, connection: int, frames: Sequence[Frame], wait_s: float) -> int:
        if self._closed or self._source.pausing.is_set():
            self.discarded = True  # never acknowledged, so the broker keeps them
            return len(frames)
        if connection != self._connection:
            self._connection = connection
            self._acknowledge = partial(self._tell, connection)
            self._note_first()
        source = self._source
        source.heard_s = time.monotonic()
        done = source.intake.put(frames, self._acknowledge, timeout_s=wait_s, lane=source.lane)
        collected = self._collected  # whoever ends the hold sets it to None
        if collected is not None:
            held = time.monotonic() < source.held_until
            collected += sum([frame[3] & QOS_BITS > 0 for frame in frames[:done]])
            self._collected = collected if held else None
        return done

    def _note_first(self) -> None:
        """Hold the session for longer, where who sends its messages may just have been elected."""
        source, now_s = self._source, time.monotonic()
        rest_s = min(AFTER_FIRST_S, self._elected_s - now_s)
        if rest_s > 0:
            source.intake.hold(rest_s, lane=source.lane, window=source.window)
            source.held_until = max(self._connected_s + source.hold_s, now_s + rest_s)

    def _tell(self, connection: int, numbers: Sequence[int]) -> None:
        """Acknowledge messages; called by whoever committed them."""
        if not self._source.disowned:
            self.client.acknowledge(connection, numbers)

    def _on_attempt(self, _client: paho.Client, _data: object) -> None:
        self._last_attempt = time.monotonic()
        self._answered = False

    def _on_unreachable(self, _client: paho.Client, _data: object) -> None:
        self._last_attempt = time.monotonic()
        # paho calls this while it handles the error, and keeps the error to itself.
        self.trouble = (
            f"can't reach {self._source.broker}: {self._source.broker.trouble(sys.exc_info()[1])}"
        )
        if self._source.fellows.is_news(self.trouble):
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
            elif source.fellows.is_news(self.trouble):
                _log.error("the broker refuses the connection", reason=str(reason))
            return
        with source.holding:
            again = source.connections > 0
            source.connections += 1
            self._connected_s = time.monotonic()
            if source.hold_s and (again or (flags.session_present and not source.clean)):
                self._hold(again=again)
        if again:
            metrics.mqtt_reconnects.inc()
        self.connected = True
        source.fellows.accepted(self._protocol)
        tell = _log.info if source.lane is None else _log.debug
        tell(
            "connected to the broker",
            broker=str(source.broker),
            protocol=_spoken(self._protocol),
            session_present=flags.session_present,
        )
        self._check_grants(properties)
        self.trouble = f"connected to {source.broker}, not subscribed yet"
        if self._protocol == MQTTProtocolVersion.MQTTv5:
            new_only = SubscribeOptions.RETAIN_SEND_IF_NEW_SUB
            options = SubscribeOptions(qos=1, retainHandling=new_only)
            client.subscribe([(name, options) for name in source.filters])
        else:
            client.subscribe([(name, 1) for name in source.filters])

    def _hold(self, *, again: bool) -> None:
        """Have what comes set aside until nothing older can follow."""
        source = self._source
        source.held_until = self._connected_s + source.hold_s
        source.intake.hold(source.hold_s, lane=source.lane, window=source.window)
        if source.lane is not None:
            self._elected_s = ELECTED_S + (
                source.lost_s if again else self._connected_s - CHANGES_HANDS_S
            )
            # who leaves before something came can't know what there is
            source.held_until = max(source.held_until, self._elected_s)
            self._collected = 0

    def _check_grants(self, properties: Properties | None) -> None:
        wanted = self._source.session_expiry_s
        granted = getattr(properties, "SessionExpiryInterval", wanted)
        if granted < wanted and self._source.fellows.is_new("session expiry"):
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
        wanted = self._source.filters
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
        self._note_loss()
        was_subscribed, self.subscribed = self.subscribed, False
        if self._closed:
            return
        self._source.fellows.show()
        if was_subscribed and self._is_taken_over(reason):
            self.taken_over = True
            self._replace(
                f"another client takes the session {self._source.client_id} over: do two"
                " processes use it?"
            )
            return
        why, self.client.failure = self.client.failure or str(reason), ""
        if was_subscribed or not self.trouble or not self._answered:
            self.trouble = (
                f"disconnected from {self._source.broker}: {self._source.broker.trouble(why)}"
            )
            if self._source.fellows.is_news(self.trouble):
                _log.warning("disconnected from the broker", reason=self.trouble)
        if not self._answered:
            self._unanswered += 1
            spoken = self._source.fellows.spoken == self._protocol
            if self._unanswered > 1 and "ALERT" not in why and not spoken:
                # Some brokers just close on a version that they don't know. One that has spoken it
                # before can't serve anybody now, as NATS while it elects a leader.
                guess = "" if self._source.broker.tls else "; is its address mqtts://?"
                self._switch_protocol(f"the broker closes without an answer{guess}")

    def _is_taken_over(self, reason: ReasonCode) -> bool:
        """Tell whether somebody else uses the session; few brokers say so, others just close."""
        lived_s = time.monotonic() - self._connected_s
        self._source.short_lives = self._source.short_lives + 1 if lived_s < _SHORT_S else 0
        return reason.value == _TAKEN_OVER or self._source.short_lives > _SHORT_LIVES

    def _switch_protocol(self, reason: str) -> None:
        other = (
            MQTTProtocolVersion.MQTTv311
            if self._protocol == MQTTProtocolVersion.MQTTv5
            else MQTTProtocolVersion.MQTTv5
        )
        self._source.fellows.protocol = other
        before = f" ({self.trouble})" if self.trouble else ""
        self._replace(f"{reason}{before}; trying MQTT {_spoken(other)}")


def _spoken(protocol: MQTTProtocolVersion) -> str:
    return "5" if protocol == MQTTProtocolVersion.MQTTv5 else "3.1.1"
