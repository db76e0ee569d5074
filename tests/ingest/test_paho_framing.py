"""Our framing inside paho, against a broker that the test plays by hand."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from geotarget.ingest import paho_framing, paho_polling
from geotarget.ingest.framing import Framer
from geotarget.ingest.outbound import FastOutbound
from geotarget.ingest.paho_framing import CallbackClient, FramingClient, MqttClient, make_client
from geotarget.ingest.waiting import Frame
from tests.ingest.harness import DEADLINE_S, Eventually
from tests.ingest.test_framing import packet, publish

CONNACK = {4: b"\x20\x02\x00\x00", 5: b"\x20\x03\x00\x00\x00"}


class Peer:
    """One accepted connection, seen from the broker."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.socket.settimeout(DEADLINE_S)
        self.framer = Framer(1_000_000)
        self.packets: list[tuple[int, bytes]] = []

    def read(self) -> tuple[int, bytes]:
        while not self.packets:
            data = self.socket.recv(65_536)
            assert data, "the client has closed"
            self.packets += self.framer.feed(data, properties=False)[1]
        return self.packets.pop(0)

    def acknowledgements(self, count: int) -> list[int]:
        found = []
        while len(found) < count:
            header, body = self.read()
            assert header == 0x40
            found.append(int.from_bytes(body[:2], "big"))
        return found

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def is_closed(self) -> bool:
        try:
            while self.socket.recv(65_536):
                pass
        except ConnectionError:
            pass
        return True


class Bench:
    """A listening broker, one client, and what that client handed on."""

    def __init__(self, kind: type[Any], version: int, limit: int = 100_000) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(DEADLINE_S)
        self.version = version
        self.properties = b"" if version == 5 else None
        self.received: list[tuple[int, Frame]] = []
        self.room = 10**9
        protocol = MQTTProtocolVersion.MQTTv5 if version == 5 else MQTTProtocolVersion.MQTTv311
        self.client: MqttClient = kind(self.deliver, max_packet_bytes=limit, protocol=protocol)
        self.client.reconnect_delay_set(0.05, 0.05)
        self.client.connect_async("127.0.0.1", self.listener.getsockname()[1])
        self.client.loop_start()
        self.peers: list[Peer] = []

    def deliver(self, connection: int, frames: Sequence[Frame], wait_s: float) -> int:
        taken = frames[: self.room]
        self.room -= len(taken)
        self.received += ((connection, frame) for frame in taken)
        return len(taken)

    def accept(self, *, answer: bool = True) -> Peer:
        peer = Peer(self.listener.accept()[0])
        self.peers.append(peer)
        assert peer.read()[0] == 0x10
        if answer:
            peer.send(CONNACK[self.version])
        return peer

    def publish(self, *frames: Frame) -> bytes:
        return b"".join(publish(frame, self.properties) for frame in frames)

    @property
    def frames(self) -> list[Frame]:
        return [frame for _, frame in self.received]

    def close(self) -> None:
        self.client.disconnect()
        for peer in self.peers:
            peer.socket.close()
        self.listener.close()
        try:
            self.client.loop_stop()
        except AttributeError:
            assert self.client._thread is None


@pytest.fixture
def make_bench() -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(*arguments: Any, **options: Any) -> Bench:
        made.append(Bench(*arguments, **options))
        return made[-1]

    yield make
    for bench in made:
        bench.close()


@pytest.fixture(
    params=[(FramingClient, 4), (FramingClient, 5), (CallbackClient, 4), (CallbackClient, 5)]
)
def bench(request: pytest.FixtureRequest, make_bench: Callable[..., Bench]) -> Bench:
    return make_bench(*request.param)


def frame(mid: int, payload: bytes = b"p", *, dup: bool = False) -> Frame:
    return (b"pings/d", payload, mid, (0x3A if dup else 0x32) if mid else 0x30)


def test_the_private_names_exist() -> None:
    """The installed paho has every private name that the framing leans on."""
    client = paho.Client(CallbackAPIVersion.VERSION2)
    names = (*paho_framing.NEEDED, *paho_polling.NEEDED)
    assert [name for name in names if not hasattr(client, name)] == []
    assert isinstance(make_client(lambda *_: 0, max_packet_bytes=1), FramingClient)


@contextlib.contextmanager
def many_descriptors() -> Iterator[None]:
    """Let everything that is opened have a number above those that select() takes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4_096)), hard))
    held = [os.open(os.devnull, os.O_RDONLY)]
    try:
        while held[-1] < 1_100:
            held.append(os.dup(held[0]))
        yield
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_descriptors_may_have_any_number(
    make_bench: Callable[..., Bench], eventually: Eventually
) -> None:
    """With a thousand sockets open, messages come and are acknowledged all the same."""
    with many_descriptors():
        bench = make_bench(FramingClient, 4, 1_000_000)
        peer = bench.accept()
        sent = [frame(1, b"a"), frame(2, b"b" * 300_000)]
        peer.send(bench.publish(*sent))
        eventually(lambda: len(bench.received) == 2)
        bound = bench.client.socket()
        assert bound is not None
        assert bound.fileno() > 1_023
        bench.client.acknowledge(bench.received[0][0], [1, 2])
        assert peer.acknowledgements(2) == [1, 2]
        peer.socket.close()
        again = bench.accept()
        again.send(bench.publish(frame(3)))
        eventually(lambda: len(bench.received) == 3)


@pytest.mark.parametrize(
    "kind", [FramingClient, CallbackClient, FastOutbound], ids=lambda kind: kind.__name__
)
def test_a_stopped_client_keeps_no_descriptor(kind: type[Any]) -> None:
    """Its three sockets are closed when it is stopped, not when it is collected as garbage."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        options = {} if kind is FastOutbound else {"max_packet_bytes": 1_000}
        client = kind(lambda *_: 0, **options)
        client.connect_async("127.0.0.1", listener.getsockname()[1])
        client.loop_start()
        peer, _ = listener.accept()
        assert peer.recv(1)
        ours = (client.socket(), client._sockpairR, client._sockpairW)
        with peer:
            client.disconnect()
            client.loop_stop()
        assert [-1, -1, -1] == [each.fileno() for each in ours]
        client.acknowledge(0, [1])  # of a connection that has ended: nothing happens


class Unreachable:
    """A client that tries to connect to a port where nobody listens."""

    def __init__(self, first_s: float, longest_s: float) -> None:
        self.failed = threading.Semaphore(0)
        self.client = paho_polling.PollingClient()
        # paho types whole seconds, and computes with any number.
        self.client.reconnect_delay_set(first_s, longest_s)  # type: ignore[arg-type]
        self.client.on_connect_fail = lambda *_: self.failed.release()
        self.client.connect_async("127.0.0.1", 1)
        self.client.loop_start()

    def stop(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def test_attempts_come_often_at_first() -> None:
    """Each wait twice the one before would make 40 s of these ten."""
    client = Unreachable(0.04, 60.0)
    began = time.monotonic()
    try:
        assert all(client.failed.acquire(timeout=20.0) for _ in range(11))
        assert time.monotonic() - began < 20.0
    finally:
        client.stop()


def test_who_leaves_does_not_wait_for_the_next_attempt() -> None:
    """Where paho itself sleeps for a second at a time: six would take six."""
    clients = [Unreachable(60.0, 60.0) for _ in range(6)]
    for client in clients:
        assert client.failed.acquire(timeout=20.0)
    began = time.monotonic()
    for client in clients:
        client.stop()
    assert time.monotonic() - began < 3.0


def test_without_a_name_paho_waits_as_it_always_did(
    make_bench: Callable[..., Bench], eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A paho that lacks a name for poll() is left to its own waiting."""
    monkeypatch.setattr(paho_polling, "NEEDED", ("_gone_in_paho_9",))
    bench = make_bench(FramingClient, 4)
    bench.accept().send(bench.publish(frame(1)))
    eventually(lambda: bench.frames == [frame(1)])


def test_without_a_name_the_callbacks_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A paho that lacks a name is used through its public interface."""
    monkeypatch.setattr(paho_framing, "NEEDED", ("_packet_handle", "_gone_in_paho_9"))
    assert isinstance(make_client(lambda *_: 0, max_packet_bytes=1), CallbackClient)


def test_frames_arrive_and_are_acknowledged(bench: Bench, eventually: Eventually) -> None:
    """Messages come in order with their flags; acknowledgements go back in the order given."""
    peer = bench.accept()
    sent = [frame(1, b"a" * 200), frame(0, b"b"), frame(65_535, b""), frame(300, b"x" * 70_000)]
    peer.send(bench.publish(*sent))
    eventually(lambda: len(bench.received) == 4)
    assert bench.frames == sent
    bench.client.acknowledge(bench.received[0][0], [1, 65_535, 300])
    assert peer.acknowledgements(3) == [1, 65_535, 300]


def test_byte_by_byte_over_a_socket(bench: Bench, eventually: Eventually) -> None:
    """A stream that trickles in single bytes gives the same frames, grants and answers between."""
    peer = bench.accept()
    sent = [frame(1, b"a" * 130), frame(2, b"b")]
    stream = bench.publish(sent[0]) + b"\xd0\x00" + bench.publish(sent[1])
    peer.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in stream:
        peer.send(bytes((byte,)))
    eventually(lambda: len(bench.received) == 2)
    assert bench.frames == sent


def test_reconnect_in_the_middle_of_a_frame(bench: Bench, eventually: Eventually) -> None:
    """Half a frame at the end of a connection is forgotten; the next begins clean."""
    peer = bench.accept()
    whole, cut = frame(1, b"whole"), frame(2, b"cut" * 50)
    peer.send(bench.publish(whole) + bench.publish(cut)[:40])
    eventually(lambda: bench.frames == [whole])
    peer.socket.close()
    again = bench.accept()
    again.send(bench.publish(cut))
    eventually(lambda: bench.frames == [whole, cut])
    connections = [connection for connection, _ in bench.received]
    assert connections[0] < connections[1]


def test_stale_acknowledgements_are_dropped(bench: Bench, eventually: Eventually) -> None:
    """What belongs to an earlier connection is never acknowledged on the next."""
    peer = bench.accept()
    peer.send(bench.publish(frame(7)))
    eventually(lambda: len(bench.received) == 1)
    stale = bench.received[0][0]
    peer.socket.close()
    again = bench.accept()
    again.send(bench.publish(frame(7, b"another message"), frame(8)))
    eventually(lambda: len(bench.received) == 3)
    bench.client.acknowledge(stale, [7])
    bench.client.acknowledge(bench.received[-1][0], [8])
    assert again.acknowledgements(1) == [8]
    assert bench.client.unacknowledged == 1


def test_a_copy_of_a_message_in_hand_is_dropped(bench: Bench, eventually: Eventually) -> None:
    """DUP of what still waits for its acknowledgement is not handed on twice."""
    peer = bench.accept()
    peer.send(bench.publish(frame(1), frame(1, dup=True), frame(2, dup=True), frame(3)))
    eventually(lambda: len(bench.received) == 3)
    assert [f[2] for f in bench.frames] == [1, 2, 3]
    bench.client.acknowledge(bench.received[0][0], [1, 2, 3])
    assert peer.acknowledgements(3) == [1, 2, 3]
    peer.send(bench.publish(frame(1, dup=True)))
    eventually(lambda: len(bench.received) == 4)


def test_no_room_stops_the_reading(bench: Bench, eventually: Eventually) -> None:
    """What finds no room waits, in order, and nothing behind it overtakes."""
    peer = bench.accept()
    bench.room = 2
    sent = [frame(mid) for mid in range(1, 8)]
    peer.send(bench.publish(*sent[:5]))
    eventually(lambda: len(bench.received) == 2)
    peer.send(bench.publish(*sent[5:]))
    bench.room = 10**9
    eventually(lambda: len(bench.received) == 7)
    assert bench.frames == sent


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.slow
def test_not_reading_does_not_lose_the_connection(
    make_bench: Callable[..., Bench], eventually: Eventually, version: int
) -> None:
    """While there is no room the keep-alive goes on: pings are sent, silence is not counted."""
    bench = make_bench(FramingClient, version)
    bench.client._keepalive = 1
    peer = bench.accept()
    bench.room = 0
    peer.send(bench.publish(frame(1)))
    for _ in range(4):
        assert peer.read()[0] == 0xC0  # and no answer: it would not be read anyway
    bench.room = 1
    eventually(lambda: bench.frames == [frame(1)])
    assert len(bench.peers) == 1


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (b"\x30" + b"\xff\xff\xff\x7f", "a packet of 268435455 bytes is above the limit of 100000"),
        (packet(0x34, b"\x00\x01a\x00\x01x"), "QoS 2"),
        (packet(0x32, b"\x00\x09a"), "identifier"),
    ],
)
def test_malformed_packets_close_the_connection(
    make_bench: Callable[..., Bench], eventually: Eventually, version: int, broken: bytes, says: str
) -> None:
    """After a broken or oversized packet we hang up, know why, and connect again."""
    bench = make_bench(FramingClient, version)
    peer = bench.accept()
    peer.send(bench.publish(frame(1)) + broken)
    assert peer.is_closed()
    assert says in bench.client.failure
    assert bench.frames == [frame(1)]
    bench.accept().send(bench.publish(frame(2)))
    eventually(lambda: bench.frames == [frame(1), frame(2)])


def test_paho_handles_the_rest(bench: Bench, eventually: Eventually) -> None:
    """Grants, pings and disconnects reach paho as ever, however they are packed."""
    granted: list[Any] = []
    connected = threading.Event()
    bench.client.on_subscribe = lambda *arguments: granted.append(arguments[3])
    bench.client.on_connect = lambda *_: connected.set()
    peer = bench.accept()
    assert connected.wait(DEADLINE_S)
    _, mid = bench.client.subscribe([("a/+", 1), ("b/+", 1)])
    assert peer.read()[0] == 0x82
    codes = mid.to_bytes(2, "big") + (b"\x00" if bench.version == 5 else b"") + b"\x01\x80"
    peer.send(packet(0x90, codes) + bench.publish(frame(5)) + b"\xd0\x00")
    eventually(lambda: granted)
    assert [reason.value for reason in granted[0]] == [1, 128]
    eventually(lambda: bench.frames == [frame(5)])


@pytest.mark.parametrize("version", [4, 5])
def test_the_grant_comes_before_its_messages(
    make_bench: Callable[..., Bench], eventually: Eventually, version: int
) -> None:
    """CONNACK and messages in one receive: paho knows of the connection before we get them."""
    bench = make_bench(FramingClient, version)
    seen: list[str] = []
    bench.client.on_connect = lambda *_: seen.append("connected")
    real = bench.deliver
    bench.client._deliver = lambda *arguments: seen.append("frames") or real(*arguments)
    peer = bench.accept(answer=False)
    peer.send(CONNACK[version] + bench.publish(frame(1)))
    eventually(lambda: bench.frames == [frame(1)])
    assert seen == ["connected", "frames"]


def test_an_unreadable_topic_is_handed_on(bench: Bench, eventually: Eventually) -> None:
    """A topic that is no UTF-8 becomes a dead letter later; it kills no thread."""
    peer = bench.accept()
    peer.send(bench.publish((b"pings/\xff\xfe", b"x", 1, 0x32), frame(2)))
    eventually(lambda: len(bench.received) == 2)
    assert b"\xff" in bench.frames[0][0]
