"""paho-mqtt with our own inbound framing: 1 to 2 us a message instead of 40 to 90.

paho keeps what it is good at: connecting, TLS, keep-alive, reconnecting, subscribing, properties.
`FramingClient` replaces one method, `loop_read`, reads the socket in pieces of 256 KiB, hands
PUBLISH frames on as lists and gives every other packet to paho's own handler. It leans on the
private names in `NEEDED`; a test holds them, and where one is missing at run time
`make_client` returns `CallbackClient`, which uses the public interface only: slower, never broken.

Both clients
- hand on (connection number, frames); the number rises with every connection that ends;
- acknowledge in one write, and drop acknowledgements that belong to an earlier connection:
  packet identifiers start again there, so a stale one would acknowledge somebody else's message;
- drop what the broker sends again (DUP) while the first copy waits for its acknowledgement.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import structlog
from paho.mqtt import MQTTException
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from geotarget.ingest.framing import DUP, PUBLISH, Framer, Packet
from geotarget.ingest.paho_polling import PollingClient
from geotarget.ingest.waiting import QOS_BITS, Frame

NEEDED = (
    "_in_packet",
    "_last_bytes_received",
    "_loop_rc_handle",
    "_msgtime_mutex",
    "_packet_handle",
    "_packet_queue",
    "_ping_t",
    "_protocol",
    "_sock",
    "_sock_recv",
    "_sockpairW",
)
"""Private names of paho that `FramingClient` uses."""

Deliver = Callable[[int, Sequence[Frame], float], int]
"""Takes (connection, frames, seconds to wait for room); returns how many it is done with."""

_READ_BYTES = 256 * 1024
_WAIT_FOR_ROOM_S = 0.1
_PUBACK = b"\x40\x02"

_log = structlog.get_logger(__name__)


class _Connections:
    """Which connection is current, and which of its messages wait for acknowledgement."""

    def __init__(self) -> None:
        # Reentrant: writing an acknowledgement may find the connection broken and end it.
        self.lock = threading.RLock()
        self.number = 0
        self._unacknowledged: set[int] = set()

    def end(self) -> None:
        with self.lock:
            self.number += 1
            self._unacknowledged.clear()

    def new_frames(self, frames: list[Frame]) -> list[Frame]:
        """Remember the identifiers; leave out copies of messages that are in hand."""
        with self.lock:
            known = self._unacknowledged
            if any([frame[3] & DUP for frame in frames]):  # noqa: C419 a list is faster here
                fresh: list[Frame] = []
                for frame in frames:
                    if not (frame[3] & DUP and frame[2] in known):
                        fresh.append(frame)
                        known.update([frame[2]] if frame[3] & QOS_BITS else ())
                return fresh
            known.update([frame[2] for frame in frames if frame[3] & QOS_BITS])
        return frames

    @property
    def unacknowledged(self) -> int:
        return len(self._unacknowledged)

    def acknowledged(self, identifiers: Sequence[int]) -> None:
        self._unacknowledged.difference_update(identifiers)


class FramingClient(PollingClient):
    """paho's client with `loop_read` replaced.

    Parameters
    ----------
    deliver
        Called in the network thread with what was received. What it is not done with is offered
        again, and the socket is not read meanwhile: that is the back-pressure.
    max_packet_bytes
        Larger packets close the connection.
    **options
        As `paho.Client` takes them.
    """

    def __init__(self, deliver: Deliver, *, max_packet_bytes: int, **options: Any) -> None:
        super().__init__(manual_ack=True, **options)
        self._deliver = deliver
        self._framer = Framer(max_packet_bytes)
        self._connections = _Connections()
        self._backlog: Sequence[Frame] = ()
        self.failure = ""  # why we closed the last connection, if we did
        self.last_heard = time.monotonic()
        self.on_socket_close = self._forget_connection

    @property
    def unacknowledged(self) -> int:
        """Messages of this connection that wait for their acknowledgement."""
        return self._connections.unacknowledged

    def acknowledge(self, connection: int, identifiers: Sequence[int]) -> None:
        """Acknowledge messages, unless their connection has ended. Thread-safe."""
        packets = b"".join([_PUBACK + mid.to_bytes(2, "big") for mid in identifiers])
        with self._connections.lock:
            if connection == self._connections.number:
                self._connections.acknowledged(identifiers)
                self._packet_queue(paho.PUBACK, packets, 0, 1)

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """Read what the socket has, and hand it on."""
        del max_packets  # paho ignores it too
        if self._sock is None:
            return MQTTErrorCode.MQTT_ERR_NO_CONN
        if not self._make_room(0.0):
            return MQTTErrorCode.MQTT_ERR_SUCCESS
        try:
            data = self._sock_recv(_READ_BYTES)
        except BlockingIOError:
            return MQTTErrorCode.MQTT_ERR_SUCCESS
        except OSError as error:
            self.failure = f"reading failed: {error}"
            return self._loop_rc_handle(MQTTErrorCode.MQTT_ERR_CONN_LOST)
        if not data:
            return self._loop_rc_handle(MQTTErrorCode.MQTT_ERR_CONN_LOST)
        self._hear()
        try:
            return self._read(data)
        except MQTTException as error:
            return self._give_up(str(error))

    def loop_misc(self) -> MQTTErrorCode:
        """Offer what found no room, also while the socket is silent; then paho's own chores."""
        if not self._make_room(_WAIT_FOR_ROOM_S) and self._sockpairW is not None:
            # Come back at once: paho would wait for the socket, and room makes no sound there.
            with contextlib.suppress(BlockingIOError):
                self._sockpairW.send(b"\x00")
        return super().loop_misc()

    def _read(self, data: bytes) -> MQTTErrorCode:
        frames, packets, malformed = self._framer.feed(
            data, properties=self._protocol == paho.MQTTv5
        )
        # A grant comes before the messages that it lets through, an end after all of them.
        status = self._handle(packet for packet in packets if packet[0] & 0xF0 == paho.CONNACK)
        if status:
            return status
        if frames:
            frames = self._connections.new_frames(frames)
            done = self._deliver(self._connections.number, frames, 0.0)
            self._backlog = frames[done:]
        status = self._handle(packet for packet in packets if packet[0] & 0xF0 != paho.CONNACK)
        if status:
            return status
        return self._give_up(str(malformed)) if malformed else MQTTErrorCode.MQTT_ERR_SUCCESS

    def _handle(self, packets: Iterable[Packet]) -> MQTTErrorCode:
        """Let paho read packets that are no PUBLISH."""
        for header, body in packets:
            self._in_packet |= {
                "command": header,
                "packet": bytearray(body),
                "remaining_length": len(body),
                "pos": 0,
            }
            try:
                status = self._packet_handle()
            finally:
                self._in_packet["command"] = 0
            if status > 0:
                return self._loop_rc_handle(status)
            if self._sock is None:
                return MQTTErrorCode.MQTT_ERR_NO_CONN
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _give_up(self, reason: str) -> MQTTErrorCode:
        self.failure = reason
        _log.error("closing the connection to the broker", reason=reason)
        return self._loop_rc_handle(MQTTErrorCode.MQTT_ERR_PROTOCOL)

    def _make_room(self, wait_s: float) -> bool:
        """Hand on what is left of the last read; False while there is no room for it."""
        if not self._backlog:
            return True
        done = self._deliver(self._connections.number, self._backlog, wait_s)
        self._backlog = self._backlog[done:]
        if not self._backlog:
            return True
        # Not reading is our own choice, so the broker's silence is no sign of its death.
        self._ping_t = 0.0
        self._hear()
        return False

    def _hear(self) -> None:
        self.last_heard = time.monotonic()
        with self._msgtime_mutex:
            self._last_bytes_received = self.last_heard

    def _forget_connection(self, *_: object) -> None:
        self._connections.end()
        self._framer.reset()
        self._backlog = ()

    def _close_waker(self) -> None:
        with self._connections.lock:  # whoever acknowledges in this moment wakes it first
            super()._close_waker()


class CallbackClient(PollingClient):
    """The same contract on paho's public interface: one callback a message."""

    def __init__(self, deliver: Deliver, *, max_packet_bytes: int, **options: Any) -> None:
        super().__init__(manual_ack=True, **options)
        self._deliver = deliver
        del max_packet_bytes  # paho reads packets of any size; the decoder refuses large ones
        self._connections = _Connections()
        self.failure = ""
        self.last_heard = time.monotonic()
        self.on_socket_close = self._forget_connection
        self.on_message = self._receive

    @property
    def unacknowledged(self) -> int:
        """Messages of this connection that wait for their acknowledgement."""
        return self._connections.unacknowledged

    def acknowledge(self, connection: int, identifiers: Sequence[int]) -> None:
        """Acknowledge messages, unless their connection has ended. Thread-safe."""
        with self._connections.lock:
            if connection == self._connections.number:
                self._connections.acknowledged(identifiers)
                for identifier in identifiers:
                    self.ack(identifier, 1)

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """Read as paho does, and note that the broker was heard."""
        self.last_heard = time.monotonic()
        return super().loop_read(max_packets)

    def _receive(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        header = PUBLISH | message.dup << 3 | message.qos << 1 | message.retain
        try:
            topic = message.topic.encode()
        except UnicodeDecodeError:
            topic = b"\xff"  # as unreadable as it was; the decoder says so
        frame: Frame = (topic, bytes(message.payload), message.mid, header)
        connection = self._connections.number
        frames = self._connections.new_frames([frame])
        # There is nobody else to keep it: this thread waits until there is room.
        while frames and connection == self._connections.number:
            frames = frames[self._deliver(connection, frames, _WAIT_FOR_ROOM_S) :]

    def _forget_connection(self, *_: object) -> None:
        self._connections.end()

    def _close_waker(self) -> None:
        with self._connections.lock:
            super()._close_waker()


MqttClient = FramingClient | CallbackClient


def make_client(deliver: Deliver, *, max_packet_bytes: int, **options: Any) -> MqttClient:
    """Build the fast client, or the plain one where this paho lacks a name it needs."""
    make = FramingClient if framing_works() else CallbackClient
    return make(deliver, max_packet_bytes=max_packet_bytes, **options)


def framing_works() -> bool:
    """Tell whether this paho has every name in `NEEDED`; warns when not."""
    probe = paho.Client(CallbackAPIVersion.VERSION2)
    missing = [name for name in NEEDED if not hasattr(probe, name)]
    if missing:
        _log.warning("paho lacks names; using its callbacks, which is slower", missing=missing)
    return not missing
