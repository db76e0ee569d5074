"""The ingest's session with an MQTT broker: connect, subscribe, hand on, acknowledge, survive.

A persistent session under a fixed client id keeps messages for us while we are away, and the
number of unacknowledged messages that the broker may have outstanding is the back-pressure. paho's
network thread only enqueues; a second, mostly sleeping thread of ours replaces the client when it
speaks the wrong protocol version, when its thread has died or when nothing is heard any more.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Hashable, Sequence

import structlog

from geotarget.ingest.batch import Intake
from geotarget.ingest.broker_url import BrokerUrl
from geotarget.ingest.fellows import Fellows
from geotarget.ingest.link import Link
from geotarget.ingest.topics import subscriptions
from geotarget.ingest.waiting import Frame

_TICK_S = 1.0
_RECEIVE_MAXIMUM = 65_535

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
    filters
        What to subscribe to; by default the topics of pings under the intake's prefix.
    lane
        Names this session where there are several on one intake: it is held by itself then.
    window
        How many messages the broker may have unacknowledged here (MQTT 5); by default the intake's
        capacity.
    fellows
        What the sessions of one process share; None where there is one.

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
        filters: tuple[str, ...] = (),
        lane: Hashable = None,
        window: int | None = None,
        fellows: Fellows | None = None,
    ) -> None:
        self.broker = BrokerUrl.parse(url)
        self.intake = intake
        self.client_id = client_id
        self.filters = filters or subscriptions(intake.prefix)
        self.lane = lane
        self.window = min(intake.capacity if window is None else window, _RECEIVE_MAXIMUM)
        self.hold_s = ack_wait_s + 1.0 if ack_wait_s > 0 else 0.0
        self.keepalive_s = keepalive_s
        self.session_expiry_s = session_expiry_s
        self.max_packet_bytes = max_packet_bytes
        self.reconnect_s = reconnect_s
        self.tls = tls
        self.clean = clean
        self.fellows = Fellows(mqtt5=mqtt5) if fellows is None else fellows
        self.connections = 0
        self.held_until = 0.0
        self.holding = threading.Lock()
        self.lost_s = float("-inf")
        self.heard_s = time.monotonic()
        self.short_lives = 0
        self.disowned = False
        self.pausing = threading.Event()
        self.wake = threading.Event()
        self._ours = threading.Event()
        self._retaken_s = float("-inf")
        self._stopping = threading.Event()
        self._link: Link | None = None
        self._left_unacknowledged = False
        self._settled = False
        self._keeper = threading.Thread(target=self._keep, name="mqtt-keeper", daemon=True)
        self.fellows.join(self)  # from now on it is looked at by their threads

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
        committed = self.intake.drain(timeout_s)
        self.end()
        return self.join() and committed

    def disown(self) -> None:
        """Acknowledge nothing from now on, take nothing: somebody else commits what comes here."""
        self.disowned = True
        self.pausing.set()

    def confirm(self) -> None:
        """Say that this session is ours for certain, as of now: whoever took it over has to go."""
        self._ours.set()

    @property
    def collected(self) -> tuple[int, int] | None:
        """Number of the connection and of its messages that were set aside; None if not held."""
        number, link = self.connections, self._link
        count = None if link is None else link.collected
        return None if count is None or number != self.connections else (number, count)

    def end_hold(self, connection: int) -> None:
        """Say that all of what was unacknowledged has come, if this connection still lasts."""
        with self.holding:
            link = self._link
            if link is None or connection != self.connections:
                return
            link.expect_nothing_older()
            self.held_until = min(self.held_until, time.monotonic())
            self.intake.hold(0, lane=self.lane)

    @property
    def interrupted(self) -> bool:
        """Whether it gets nothing through at this moment: not subscribed, or held."""
        if self.pausing.is_set():
            return False
        link = self._link
        return link is None or not link.subscribed or time.monotonic() < self.held_until

    @property
    def silent_s(self) -> float:
        """How long it has heard nothing and had nothing in hand, in seconds."""
        if self.pausing.is_set() or self.unacknowledged:
            return 0.0
        return time.monotonic() - self.heard_s

    def put_stored(self, frames: Sequence[Frame]) -> int:
        """Take messages that the broker will send too; return how many there was room for.

        They pass by what is held, and nobody waits for them: what is sent is acknowledged.
        """
        if self.pausing.is_set():
            return 0
        return self.intake.put(frames, _acknowledge_nothing, lane=self.lane, stored=True)

    def end(self) -> None:
        """Begin to disconnect, without waiting for anything; the session stays."""
        link = self._link
        settled = link is not None and link.subscribed and not link.client.unacknowledged
        # In the midst of a hold some of what was unacknowledged may not have come yet.
        self._settled = settled and time.monotonic() >= self.held_until
        self.pausing.set()
        self._stopping.set()
        self.wake.set()
        self._ours.set()

    def join(self) -> bool:
        """Wait until it is disconnected; tell whether all that the broker sent is acknowledged."""
        if self._keeper.ident is not None:
            self._keeper.join()
        return self._settled and not self._left_unacknowledged

    def health(self) -> tuple[bool, str]:
        """Tell whether messages flow, and why not."""
        link = self._link
        if link is None:
            return False, f"not connected to {self.broker} yet"
        return link.subscribed and not link.trouble, link.trouble

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted the connection."""
        return self._link is not None and self._link.connected

    @property
    def reached_s(self) -> float:
        """When it was connected last, by the monotonic clock: now, if it is."""
        return time.monotonic() if self.connected else self.lost_s

    @property
    def unacknowledged(self) -> int:
        """Messages received and not yet acknowledged."""
        return 0 if self._link is None else self._link.client.unacknowledged

    # The keeper.

    def _keep(self) -> None:
        pause_s = first_s = self.reconnect_s[0]
        self.fellows.wait_for_the_first()
        while not self._stopping.is_set():
            self.wake.clear()
            before = self.connections
            self._link = link = Link(self, self.fellows.protocol)
            link.open()
            while not self._stopping.is_set() and not link.replace_because:
                self.wake.wait(_TICK_S)
                self.fellows.show(soon=True)
                link.check()
            if link.replace_because and self.fellows.is_news(link.replace_because):
                _log.warning("replacing the MQTT client", reason=link.replace_because)
            link.close()
            self._left_unacknowledged |= link.discarded
            self.fellows.show()
            if link.version_refused:
                continue
            # A new client begins without a wait of its own.
            pause_s = (
                first_s if self.connections > before else min(2 * pause_s, self.reconnect_s[1])
            )
            if link.taken_over:
                self._stand_back(max(pause_s, self.hold_s))
            else:
                self._stopping.wait(pause_s)

    def _stand_back(self, longest_s: float) -> None:
        """Leave the session to whoever took it over, until it is confirmed that it is ours.

        Nobody would get anything done if both took it over again and again, so a confirmation
        counts once in that time.
        """
        self._ours.clear()
        if self._stopping.is_set():  # it was asked to end in between
            return
        now_s = time.monotonic()
        if now_s - self._retaken_s < longest_s:
            self._stopping.wait(longest_s)
            return
        if self._ours.wait(longest_s):
            self._retaken_s = time.monotonic()


def _acknowledge_nothing(numbers: Sequence[int]) -> None:
    """Tell nobody: what was read from the stream is sent again."""
