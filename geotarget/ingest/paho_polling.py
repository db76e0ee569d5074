"""paho-mqtt that waits with poll() instead of select().

select() takes no descriptor above 1,023. paho turns that into a lost connection that nobody hears
of, and connects again for ever: with a thousand consoles open, a reconnecting ingest would never
get back to its broker. Where this paho lacks a name in `NEEDED`, it waits as it always did.

paho also keeps the pair of sockets that wakes its thread until a client is collected as garbage,
and a client, its callbacks and who owns them hold each other: a node with 64 slots that connected
anew had 128 more descriptors for minutes. Here they are closed when the thread has ended.

And it sleeps between two attempts to connect, a second at a time, whatever else is asked of it: who
wants to leave a broker that is away waits for that. Here it is woken.
"""

from __future__ import annotations

import contextlib
import select
import threading
import time
from collections.abc import Mapping
from typing import Any, cast

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

NEEDED = (
    "_loop",
    "_reconnect_delay",
    "_reconnect_delay_mutex",
    "_reconnect_max_delay",
    "_reconnect_min_delay",
    "_reconnect_wait",
    "_sock",
    "_sockpairR",
    "_sockpairW",
    "_thread",
)
"""Private names of paho that `PollingClient` uses."""

OFTEN_S = 4.0
"""So long after a loss attempts come at most twice the shortest wait apart, by default every half
second: what is started again is back within that. Then each wait is twice the one before."""

_WAKING_BYTES = 10_000


class PollingClient(paho.Client):
    """paho's client, whose descriptors may have any number.

    Parameters
    ----------
    **options
        As `paho.Client` takes them.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(CallbackAPIVersion.VERSION2, **options)
        self._polls = all(hasattr(self, name) for name in NEEDED)
        self._leaving = threading.Event()
        self._tried_since_s = 0.0

    def connect_async(self, *arguments: Any, **options: Any) -> None:
        """Say where to connect to, as in paho."""
        self._leaving.clear()
        super().connect_async(*arguments, **options)

    def disconnect(self, *arguments: Any, **options: Any) -> MQTTErrorCode:
        """Disconnect as paho does; a thread that waits for its next attempt ends at once."""
        status = super().disconnect(*arguments, **options)
        self._leaving.set()
        return status

    def loop_stop(self) -> MQTTErrorCode:
        """End the network thread, and give back what woke it."""
        try:
            return super().loop_stop()
        finally:
            # Not from within the thread, which goes on until it has returned.
            if self._polls and self._thread is None:
                self._close_waker()

    def _close_waker(self) -> None:
        """Close the pair; to be called while no other thread queues a packet."""
        ends = self._sockpairR, self._sockpairW
        self._sockpairR = self._sockpairW = None
        for end in ends:
            if end is not None:
                end.close()

    def _reconnect_wait(self) -> None:
        if not self._polls:
            super()._reconnect_wait()
            return
        now_s = time.monotonic()
        with self._reconnect_delay_mutex:
            wait_s: float | None = self._reconnect_delay
            longest_s = float(self._reconnect_max_delay)
            if wait_s is None:  # the first since it was connected
                self._tried_since_s = now_s
                wait_s = self._reconnect_min_delay
            else:
                often = now_s - self._tried_since_s < OFTEN_S
                wait_s = min(
                    2 * wait_s, longest_s, 2 * self._reconnect_min_delay if often else longest_s
                )
            # paho types whole seconds, and computes with any number.
            self._reconnect_delay = cast(int, wait_s)
        self._leaving.wait(wait_s)

    def _loop(self, timeout: float = 1.0) -> MQTTErrorCode:
        if not self._polls:
            return super()._loop(timeout)
        sock, waker = self._sock, self._sockpairR
        if sock is None:
            return MQTTErrorCode.MQTT_ERR_NO_CONN
        # What TLS has decrypted already makes no sound on the socket.
        kept = hasattr(sock, "pending") and sock.pending() > 0
        wanted = {sock: select.POLLIN | (select.POLLOUT if self.want_write() else 0)}
        if waker is not None:
            wanted[waker] = select.POLLIN
        try:
            found = _poll(wanted, 0.0 if kept else timeout)
        except (ValueError, OSError):
            # Another thread has just closed the socket, and has told what follows from it.
            return MQTTErrorCode.MQTT_ERR_CONN_LOST
        status = MQTTErrorCode.MQTT_ERR_SUCCESS
        # An error and a hang-up are found out by reading.
        if kept or found.get(sock, 0) & ~select.POLLOUT:
            status = self.loop_read()
        woken = waker is not None and waker in found
        if waker is not None and woken:
            with contextlib.suppress(BlockingIOError):
                waker.recv(_WAKING_BYTES)
        if not status and (woken or found.get(sock, 0) & select.POLLOUT):
            status = self.loop_write()
        return status or self.loop_misc()


def _poll(wanted: Mapping[Any, int], timeout_s: float) -> dict[Any, int]:
    """Wait for events on sockets; return those that happened, by socket."""
    poll = select.poll()
    sockets = {}
    for sock, events in wanted.items():
        sockets[sock.fileno()] = sock
        poll.register(sock, events)
    return {sockets[number]: events for number, events in poll.poll(1000 * timeout_s)}
