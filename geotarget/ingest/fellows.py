"""The sessions of one process with one broker: what they find out once, and show together.

Sixty-four of them would otherwise all try the wrong protocol version first, and say all the same
when the broker dies.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol

from paho.mqtt.enums import MQTTProtocolVersion

from geotarget import metrics

_FIRST_S = 5.0
_SHOW_S = 0.5


class Member(Protocol):
    """One session."""

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted the connection."""
        ...

    @property
    def unacknowledged(self) -> int:
        """Messages received and not yet acknowledged."""
        ...


class Fellows:
    """What the sessions of one process share.

    Parameters
    ----------
    mqtt5
        Whether to begin with MQTT 5.

    Attributes
    ----------
    protocol
        The version that is tried next, by whoever connects next.
    spoken
        The version that the broker has accepted last; None while it has none.
    """

    def __init__(self, *, mqtt5: bool = True) -> None:
        self.protocol = MQTTProtocolVersion.MQTTv5 if mqtt5 else MQTTProtocolVersion.MQTTv311
        self.spoken: MQTTProtocolVersion | None = None
        self._lock = threading.Lock()
        self._members: dict[Member, None] = {}
        self._answered = threading.Event()
        self._asked = False
        self._told = ""
        self._said: set[str] = set()
        self._next_s = 0.0

    def join(self, member: Member) -> None:
        """Count a session among those that are shown."""
        with self._lock:
            self._members[member] = None

    def leave(self, member: Member) -> None:
        """Count it no more."""
        with self._lock:
            self._members.pop(member, None)
        self.show()

    def wait_for_the_first(self) -> None:
        """Let one session find out which version the broker speaks; the first does not wait."""
        with self._lock:
            first, self._asked = not self._asked, True
        if not first:
            self._answered.wait(_FIRST_S)

    def accepted(self, protocol: MQTTProtocolVersion) -> None:
        """Note that the broker has accepted a connection of this version."""
        self.spoken = protocol
        self._told = ""
        self._answered.set()
        self.show()

    def is_news(self, text: str) -> bool:
        """Tell whether this was not the last thing that was told of the broker."""
        with self._lock:
            before, self._told = self._told, text
        return before != text

    def is_new(self, text: str) -> bool:
        """Tell whether this is said for the first time."""
        with self._lock:
            before = len(self._said)
            self._said.add(text)
            return len(self._said) > before

    def show(self, *, soon: bool = False) -> None:
        """Set the gauges; `soon` lets half a second pass between two times."""
        now_s = time.monotonic()
        with self._lock:
            if soon and now_s < self._next_s:
                return
            self._next_s = now_s + _SHOW_S
            members = list(self._members)
        metrics.mqtt_connected.set(all(member.connected for member in members))
        metrics.unacked_messages.set(sum(member.unacknowledged for member in members))
