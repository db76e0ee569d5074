"""Phones: a plain MQTT 3.1.1 publisher, QoS 1, that believes in nothing but a PUBACK.

One connection for all devices, written on the socket so that what is known is known exactly: a
ping counts as acknowledged when its PUBACK was read. What is not acknowledged when a connection
ends, or within `PATIENCE_S`, is sent again on the next one, before anything newer. The clock of
the load goes on while nobody answers: phones save up, and send it all when they can.
"""

from __future__ import annotations

import contextlib
import itertools
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence

from benchmarks.faults.ledger import Walks
from benchmarks.faults.row import Broken

PATIENCE_S = 5.0
KEEPALIVE_S = 30
RECONNECT_S = 0.2
WINDOW = 500
_CONNACK, _PUBACK = 0x20, 0x40

Message = tuple[str, bytes, int | None]
"""Topic, payload, and as which ping it counts."""


def frame(first: int, rest: bytes) -> bytes:
    """Return an MQTT packet."""
    size, left = bytearray(), len(rest)
    while True:
        left, digit = left >> 7, left & 0x7F
        size.append(digit | (0x80 if left else 0))
        if not left:
            return bytes([first]) + bytes(size) + rest


def publication(topic: str, payload: bytes, identifier: int) -> bytes:
    """Return a PUBLISH with QoS 1."""
    name = topic.encode()
    return frame(
        0x32, struct.pack(">H", len(name)) + name + struct.pack(">H", identifier) + payload
    )


def connection(client_id: str, login: tuple[str, str] | None = None) -> bytes:
    """Return a CONNECT with a clean session; `login` is user and password."""
    flags = 0x02 if login is None else 0xC2
    head = b"\0\x04MQTT\x04" + bytes([flags]) + struct.pack(">H", KEEPALIVE_S)
    texts = [each.encode() for each in (client_id, *(login or ()))]
    return frame(0x10, head + b"".join(struct.pack(">H", len(each)) + each for each in texts))


class Phones:
    """Publishes walks in their order at a rate, in a thread of its own.

    Parameters
    ----------
    host, port
        The broker.
    walks
        What to publish.
    rate
        Pings a second.
    messages
        What is sent in the `n`-th place: topic, payload, and as which ping it counts (None: as
        none). By default ping `n` alone.
    login
        User and password.
    other_ports
        Of other nodes of the broker: the next connection goes to the next one.
    """

    def __init__(
        self,
        host: str,
        port: int,
        walks: Walks,
        *,
        rate: float,
        messages: Callable[[int], list[Message]] | None = None,
        login: tuple[str, str] | None = None,
        other_ports: Sequence[int] = (),
    ) -> None:
        self.walks = walks
        self.rate = rate
        self.acknowledged: dict[int, float] = {}
        self.answered = 0
        self.resent = 0
        self.connections = 0
        self._addresses = itertools.cycle([(host, each) for each in (port, *other_ports)])
        self._login = login
        self._messages = messages or self._plain
        self._identifiers = itertools.cycle(range(1, 65_536))
        self._flight: dict[
            int, tuple[int | None, bytes, float]
        ] = {}  # identifier -> n, packet, sent
        self._next = 0
        self._end: int | None = None
        self._halted = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="phones", daemon=True)

    # -- what rows call ---------------------------------------------------------------------

    def start(self) -> Phones:
        """Begin to publish."""
        self._thread.start()
        return self

    @property
    def published(self) -> int:
        """How many pings were sent at least once."""
        return self._next

    def wait_for(self, pings: int, seconds: float = 60.0) -> None:
        """Wait until so many are acknowledged."""
        deadline = time.monotonic() + seconds
        pause = threading.Event()
        while len(self.acknowledged) < pings:
            self._check()
            if time.monotonic() > deadline:
                raise Broken(
                    f"{len(self.acknowledged)} of {pings} pings were acknowledged in {seconds:g} s"
                )
            pause.wait(0.02)

    def finish(self, seconds: float = 60.0) -> int:
        """Publish up to the end of the lap, wait for every acknowledgement; return how many."""
        lap = self.walks.lap
        self._end = max(1, -(-(self._next + self.walks.devices) // lap)) * lap
        self._thread.join(seconds)
        self._check()
        if self._thread.is_alive():
            self._halted.set()
            self._thread.join(10)
            raise Broken(
                f"{self._end - len(self.acknowledged)} of {self._end} pings were not acknowledged "
                f"within {seconds:g} s"
            )
        return len(self.acknowledged)

    def halt(self) -> None:
        """End at once; what was not acknowledged is owed to nobody."""
        self._halted.set()
        if self._thread.ident is not None:
            self._thread.join(10)

    def _check(self) -> None:
        if self._failure is not None:
            raise Broken(f"the phones ended: {self._failure!r}")

    # -- the thread -------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._started = time.monotonic()
            while not (self._done() or self._halted.is_set()):
                with contextlib.suppress(OSError):
                    self._session()
                if not self._done():
                    self._halted.wait(RECONNECT_S)
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
            self._failure = error

    def _plain(self, n: int) -> list[Message]:
        ping = self.walks.ping(n)
        return [(ping.topic, ping.payload, n)]

    def _done(self) -> bool:
        return self._end is not None and self._next >= self._end and not self._flight

    def _session(self) -> None:
        """Publish over one connection until it ends or all is said."""
        with socket.create_connection(next(self._addresses), timeout=5) as broker:
            broker.sendall(connection("phones", self._login))
            if broker.recv(4)[:1] != bytes([_CONNACK]):
                return
            self.connections += 1
            broker.settimeout(0)
            now = time.monotonic()
            waiting = bytearray(b"".join(packet for _, packet, _ in self._flight.values()))
            self.resent += len(self._flight)
            self._flight = {key: (n, packet, now) for key, (n, packet, _) in self._flight.items()}
            heard, said = bytearray(), now
            while not (self._done() or self._halted.is_set()):
                now = time.monotonic()
                if not waiting:
                    waiting += self._due(now)
                if not waiting and now - said > KEEPALIVE_S / 3:
                    waiting += b"\xc0\0"
                ready, room, _ = select.select([broker], [broker] if waiting else [], [], 0.005)
                if room:
                    sent = broker.send(waiting)
                    del waiting[:sent]
                    said = now
                if ready:
                    piece = broker.recv(65_536)
                    if not piece:
                        return
                    heard += piece
                    self._hear(heard)
                oldest = next(iter(self._flight.values()), None)
                if oldest is not None and now - oldest[2] > PATIENCE_S:
                    return  # nobody answers: begin again
            with contextlib.suppress(OSError):
                broker.send(b"\xe0\0")

    def _due(self, now: float) -> bytes:
        """Return the packets that are due, as many as there is room for in the window."""
        packets = []
        count = int((now - self._started) * self.rate) - self._next
        while count > 0 and len(self._flight) < WINDOW:
            if self._end is not None and self._next >= self._end:
                break
            for topic, payload, number in self._messages(self._next):
                key = next(each for each in self._identifiers if each not in self._flight)
                packet = publication(topic, payload, key)
                self._flight[key] = (number, packet, now)
                packets.append(packet)
            self._next += 1
            count -= 1
        return b"".join(packets)

    def _hear(self, heard: bytearray) -> None:
        """Take whole packets from the front of what was read."""
        while len(heard) >= 2 and len(heard) >= 2 + heard[1]:  # no answer is longer than 127
            packet = bytes(heard[: 2 + heard[1]])
            del heard[: len(packet)]
            if packet[0] != _PUBACK:
                continue
            found = self._flight.pop(int.from_bytes(packet[2:4], "big"), None)
            if found is None:
                continue
            self.answered += 1
            if found[0] is not None:
                self.acknowledged[found[0]] = time.time()
