"""QoS 1 outwards in bulk: many PUBLISH packets in one write, many PUBACKs in one read.

paho's own `publish` costs 100 us a message on two busy cores, this 3 to 5. Messages are kept
until the broker has answered and are sent again, in order, after a reconnect. `PlainOutbound` does
the same through paho's public interface, for a paho that lacks the names in `paho_framing.NEEDED`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from geotarget.ingest.framing import DUP, PUBLISH, Packet
from geotarget.ingest.paho_framing import FramingClient, framing_works
from geotarget.ingest.waiting import Frame

Message = tuple[int, str, bytes]
"""Packet identifier (1 to 65,535, not in flight), topic, payload."""

Answered = Callable[[Sequence[tuple[int, int]]], None]
"""Told (packet identifier, MQTT 5 reason code) of what the broker has answered; 0 is success."""

_QOS_1 = 0x02
_LARGEST_ANSWER = 64 * 1024


class FastOutbound(FramingClient):
    """Writes PUBLISH packets itself; paho does the rest."""

    def __init__(self, answered: Answered, **options: Any) -> None:
        super().__init__(_no_frames, max_packet_bytes=_LARGEST_ANSWER, **options)
        self._answered = answered
        self._unanswered: dict[int, bytes] = {}
        self._guard = threading.RLock()
        self._ready = False

    def send(self, messages: Sequence[Message]) -> None:
        """Send in order, now or as soon as there is a connection."""
        version_5 = self._protocol == paho.MQTTv5
        packets = {mid: _packet(mid, topic, body, version_5) for mid, topic, body in messages}
        with self._guard:
            self._unanswered |= packets
            if self._ready:
                self._packet_queue(PUBLISH, b"".join(packets.values()), 0, 1)

    def connected(self) -> None:
        """Send again what was not answered; to be called from `on_connect`."""
        with self._guard:
            again = [bytes((packet[0] | DUP,)) + packet[1:] for packet in self._unanswered.values()]
            self._ready = True
            if again:
                self._packet_queue(PUBLISH, b"".join(again), 0, 1)

    def _handle(self, packets: Iterable[Packet]) -> MQTTErrorCode:
        others: list[Packet] = []
        answers: list[tuple[int, int]] = []
        for header, body in packets:
            if header == paho.PUBACK and len(body) > 1:
                answers.append((body[0] << 8 | body[1], body[2] if len(body) > 2 else 0))
            else:
                others.append((header, body))
        if answers:
            with self._guard:
                answers = [a for a in answers if self._unanswered.pop(a[0], None) is not None]
            self._answered(answers)
        return super()._handle(others)

    def _forget_connection(self, *_: object) -> None:
        # What is queued and unwritten at this moment is among the unanswered.
        self._ready = False
        super()._forget_connection()

    def _close_waker(self) -> None:
        with self._guard:  # whoever sends in this moment wakes it first
            super()._close_waker()


class PlainOutbound(paho.Client):
    """The same contract on paho's public interface."""

    def __init__(self, answered: Answered, **options: Any) -> None:
        super().__init__(CallbackAPIVersion.VERSION2, **options)
        self._answered = answered
        self._guard = threading.Lock()
        self._ours: dict[int, int] = {}  # paho's identifier -> ours
        self._early: dict[int, int] = {}  # answered before `send` had noted it -> reason
        self.failure = ""  # paho keeps why a connection ended to itself
        self.max_inflight_messages_set(0)
        self.on_publish = self._on_answer

    def send(self, messages: Sequence[Message]) -> None:
        """Send in order, now or as soon as there is a connection."""
        for identifier, topic, body in messages:
            # Not under our lock: paho calls `_on_answer` under one of its own.
            theirs = self.publish(topic, body, qos=1).mid
            with self._guard:
                if theirs not in self._early:
                    self._ours[theirs] = identifier
                    continue
                reason = self._early.pop(theirs)
            self._answered([(identifier, reason)])

    def connected(self) -> None:
        """Do nothing: paho sends again by itself."""

    def _on_answer(
        self, _client: paho.Client, _data: object, theirs: int, reason: ReasonCode, _more: object
    ) -> None:
        with self._guard:
            if theirs not in self._ours:
                self._early[theirs] = reason.value
                return
            identifier = self._ours.pop(theirs)
        self._answered([(identifier, reason.value)])


Outbound = FastOutbound | PlainOutbound


def make_outbound(answered: Answered, **options: Any) -> Outbound:
    """Build the fast client, or the plain one where this paho lacks a name it needs."""
    return (FastOutbound if framing_works() else PlainOutbound)(answered, **options)


def _no_frames(_connection: int, frames: Sequence[Frame], _wait_s: float) -> int:
    return len(frames)  # nothing was subscribed to


def _packet(identifier: int, topic: str, body: bytes, version_5: bool) -> bytes:  # noqa: FBT001
    name = topic.encode()
    variable = len(name).to_bytes(2, "big") + name + identifier.to_bytes(2, "big")
    if version_5:
        variable += b"\x00"  # no properties
    length = len(variable) + len(body)
    header = bytearray((PUBLISH | _QOS_1,))
    while True:
        length, digit = divmod(length, 128)[0], length % 128
        header.append(digit | 0x80 if length else digit)
        if not length:
            return bytes(header) + variable + body
