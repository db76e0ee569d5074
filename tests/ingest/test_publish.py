"""Publishing as devices do, and forwarding for HTTP."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from geotarget.errors import BrokerError, InvalidPing, Overloaded
from geotarget.ingest import (
    EmbeddedBroker,
    Forwarder,
    Intake,
    MqttSource,
    Publisher,
    decode_http,
    paho_framing,
)
from geotarget.ingest.outbound import FastOutbound, PlainOutbound
from geotarget.ingest.publish import OutgoingPing
from tests.ingest.harness import DEADLINE_S, Eventually, Mosquitto, Recorder
from tests.ingest.test_framing import packet
from tests.ingest.test_paho_framing import CONNACK, Peer
from tests.ports import find_port


def pings(*seconds: int) -> list[OutgoingPing]:
    return [OutgoingPing(ts=float(second), lat=60.0, lng=25.0, acc=5.0) for second in seconds]


@pytest.fixture(params=["fast", "plain"])
def outbound(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[Any]:
    """Both ways of publishing."""
    if request.param == "plain":
        monkeypatch.setattr(paho_framing, "NEEDED", ("_not_there",))
        return PlainOutbound
    return FastOutbound


@pytest.fixture
def collect(recorder: Recorder, eventually: Eventually) -> Iterator[Callable[..., MqttSource]]:
    """Start fetching from a broker into the recorder."""
    made: list[MqttSource] = []

    def start(url: str, **options: Any) -> MqttSource:
        intake = Intake(recorder.process, max_age_s=0.005)
        intake.start()
        source = MqttSource(url, intake, reconnect_s=(0.05, 0.2), ack_wait_s=1.0, **options)
        source.start()
        made.append(source)
        eventually(lambda: source.health() == (True, ""))
        return source

    yield start
    for source in made:
        source.stop(5.0)


@pytest.mark.parametrize(
    "kind", [pytest.param("mosquitto", marks=pytest.mark.mosquitto), "embedded"]
)
def test_everything_is_published_in_order(
    request: pytest.FixtureRequest,
    kind: str,
    outbound: type[Any],
    collect: Any,
    recorder: Recorder,
    eventually: Eventually,
) -> None:
    """Singly and in bulk, more than fits in flight: all acknowledged, all arrives, in order."""
    broker: Any = request.getfixturevalue(kind)
    collect(broker.url, client_id=getattr(broker, "client_id", "ingest"))
    url = broker.device_url if kind == "embedded" else broker.url
    with Publisher(url, max_in_flight=50) as publisher:
        assert isinstance(publisher._client, outbound)
        for second in range(1, 101):
            publisher.publish("d1", pings(second))
        publisher.publish_all(("d1", pings(second)) for second in range(101, 501))
        publisher.publish("d1", pings(*range(501, 601)))
        assert publisher.flush(DEADLINE_S)
        assert (publisher.published, publisher.acknowledged, publisher.refused) == (501, 501, 0)
        assert publisher.health() == (True, "")
    eventually(lambda: recorder.count == 600)
    assert recorder.seconds == list(range(1, 601))
    assert not any(letter for letter in recorder.rejected)


@pytest.mark.slow
def test_what_was_in_flight_is_sent_again(
    embedded: EmbeddedBroker,
    outbound: type[Any],
    collect: Any,
    recorder: Recorder,
    eventually: Eventually,
) -> None:
    """The broker is killed under load: after the reconnect everything is acknowledged and there."""
    collect(embedded.url, client_id=embedded.client_id)
    with Publisher(embedded.device_url, max_in_flight=200, reconnect_s=(0.05, 0.1)) as publisher:
        for second in range(1, 2001):
            publisher.publish("d1", pings(second))
            if second == 1000:
                os.kill(embedded.pid, signal.SIGKILL)
        assert publisher.flush(DEADLINE_S)
        assert publisher.acknowledged == 2000
    eventually(lambda: set(recorder.seconds) == set(range(1, 2001)))


class Played:
    """A broker played by the test, and a publisher connected to it."""

    def __init__(self, version: int = 4, **options: Any) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(DEADLINE_S)
        self.version = version
        port = self.listener.getsockname()[1]
        self.publisher = Publisher(f"mqtt://127.0.0.1:{port}", reconnect_s=(0.05, 0.1), **options)
        self.connecting = threading.Thread(target=self.publisher.connect)
        self.connecting.start()
        if version == 4:
            refused = Peer(self.listener.accept()[0])
            refused.read()
            refused.send(b"\x20\x02\x00\x01")
            refused.is_closed()
            refused.socket.close()
        self.peer = self.accept()
        self.connecting.join()

    def accept(self, more: bytes = b"") -> Peer:
        peer = Peer(self.listener.accept()[0])
        assert peer.read()[0] == 0x10
        answer = CONNACK[self.version]
        if more:
            answer = packet(0x20, b"\x00\x00" + bytes((len(more),)) + more)
        peer.send(answer)
        return peer

    def close(self) -> None:
        self.peer.socket.close()
        self.listener.close()
        self.publisher.close()


@pytest.fixture
def play() -> Iterator[Callable[..., Played]]:
    made: list[Played] = []

    def make(**options: Any) -> Played:
        made.append(Played(**options))
        return made[-1]

    yield make
    for played in made:
        played.close()


def received(peer: Peer, count: int) -> list[tuple[int, int]]:
    """Read PUBLISH packets: (packet identifier, DUP)."""
    frames: list[Any] = []
    while len(frames) < count:
        found, _, malformed = peer.framer.feed(peer.socket.recv(65_536), properties=False)
        assert malformed is None
        frames += found
    return [(frame[2], frame[3] >> 3 & 1) for frame in frames]


def test_unanswered_messages_come_again_in_order(
    outbound: type[Any], play: Any, eventually: Eventually
) -> None:
    """After a reconnect exactly what was not answered is sent, marked as sent before, in order."""
    played = play()
    for second in range(1, 6):
        played.publisher.publish("d", pings(second))
    identifiers = [mid for mid, _ in received(played.peer, 5)]
    played.peer.send(packet(0x40, identifiers[1].to_bytes(2, "big")))
    eventually(lambda: played.publisher.acknowledged == 1)
    played.peer.socket.close()
    played.peer = played.accept()
    again = received(played.peer, 4)
    assert again == [(mid, 1) for mid in identifiers[:1] + identifiers[2:]]
    for mid in identifiers:
        played.peer.send(packet(0x40, mid.to_bytes(2, "big")))
    assert played.publisher.flush(DEADLINE_S)
    assert played.publisher.acknowledged == 5


def test_in_flight_is_bounded(outbound: type[Any], play: Any) -> None:
    """Who publishes faster than the broker answers waits, and is told when it never does."""
    played = play(max_in_flight=3)
    for second in (1, 2, 3):
        played.publisher.publish("d", pings(second))
    with pytest.raises(BrokerError, match=r"acknowledged nothing for 0\.1 s"):
        played.publisher.publish("d", pings(4), timeout_s=0.1)
    (mid, _), *_ = received(played.peer, 3)
    played.peer.send(packet(0x40, mid.to_bytes(2, "big")))
    played.publisher.publish("d", pings(4), timeout_s=DEADLINE_S)
    assert played.publisher.in_flight == 3
    assert played.publisher.flush(0.05) is False


def test_the_brokers_window_is_respected(play: Any) -> None:
    """A broker that takes fewer at a time than we would send gets fewer."""
    played = Played.__new__(Played)
    played.listener = socket.create_server(("127.0.0.1", 0))
    played.listener.settimeout(DEADLINE_S)
    played.version = 5
    played.publisher = Publisher(f"mqtt://127.0.0.1:{played.listener.getsockname()[1]}")
    played.connecting = threading.Thread(target=played.publisher.connect)
    played.connecting.start()
    played.peer = played.accept(more=b"\x21\x00\x07")
    played.connecting.join()
    assert played.publisher.max_in_flight == 7
    played.close()


@pytest.mark.mosquitto
def test_a_message_that_nobody_keeps_is_told(
    mosquitto: Mosquitto, outbound: type[Any], eventually: Eventually
) -> None:
    """Without a subscriber the broker keeps nothing; that counts as refused (MQTT 5 tells)."""
    answers: list[str] = []
    with Publisher(mosquitto.url) as publisher:
        publisher.publish("d", pings(1), done=answers.append)
        assert publisher.flush(DEADLINE_S)
        assert (publisher.acknowledged, publisher.refused) == (0, 1)
    assert answers == ["the broker has no subscriber for the message, hence does not keep it"]


def test_closing_answers_for_what_is_left(outbound: type[Any], play: Any) -> None:
    """Whoever waits for a message learns that the connection was closed."""
    answers: list[str] = []
    played = play()
    played.publisher.publish("d", pings(1), done=answers.append)
    played.publisher.close()
    assert answers == ["the connection was closed before the broker acknowledged"]
    with pytest.raises(BrokerError, match="not connected"):
        played.publisher.publish("d", pings(2))


@pytest.mark.parametrize("device", ["", "a b", "a/b", "a+", "x" * 65, "ä"])
def test_devices_that_no_topic_can_hold(device: str, play: Any) -> None:
    """Names that would close the connection of some broker are refused here."""
    played = play()
    with pytest.raises(InvalidPing, match="must match"):
        played.publisher.publish(device, pings(1))
    with pytest.raises(InvalidPing, match="a message holds 1 to 100 pings"):
        played.publisher.publish("d", pings(*range(1, 102)))
    assert played.publisher.published == 0


def test_no_broker_is_told() -> None:
    """Connecting to nobody ends with the address and the reason."""
    publisher = Publisher(f"mqtt://127.0.0.1:{find_port()}")
    with pytest.raises(BrokerError, match=r"can't reach mqtt://127\.0\.0\.1:.*Connection refused"):
        publisher.connect(0.3)


def request(count: int, *, devices: int = 1) -> Any:
    items = ",".join(
        f'{{"device": "d{n % devices}", "ts": {n + 1}, "lat": 1, "lng": 2, "id": "m{n}"}}'
        for n in range(count)
    )
    return decode_http(f"[{items}]".encode(), received_ms=0).pings


@pytest.fixture
def forward() -> Iterator[Callable[..., Forwarder]]:
    made: list[tuple[Forwarder, Publisher]] = []

    def make(url: str, **options: Any) -> Forwarder:
        publisher = Publisher(url, reconnect_s=(0.05, 0.1))
        forwarder = Forwarder(publisher, **options)
        forwarder.start()
        made.append((forwarder, publisher))
        return forwarder

    yield make
    for forwarder, publisher in made:
        publisher.close()
        forwarder.stop()


def test_forwarded_pings_arrive_whole(
    embedded: EmbeddedBroker, forward: Any, collect: Any, recorder: Recorder, eventually: Eventually
) -> None:
    """A request is accepted when the broker has it; time, place and sameness come through."""
    forwarder = forward(embedded.device_url)
    eventually(lambda: forwarder.health() == (True, ""))
    sent = request(1000, devices=3)
    answer = forwarder.submit(sent)
    assert answer.result(DEADLINE_S).accepted == 1000
    assert forwarder.submit(sent).result(DEADLINE_S).accepted == 1000
    collect(embedded.url, client_id=embedded.client_id)
    eventually(lambda: recorder.count == 2000)
    per_device: dict[str, list[int]] = {}
    keys: dict[tuple[str, int], set[int]] = {}
    for batch in recorder.batches:
        for device, ts, key in zip(
            batch.device, batch.ts.tolist(), batch.key.tolist(), strict=True
        ):
            per_device.setdefault(device, []).append(ts)
            keys.setdefault((device, ts), set()).add(key)
    for n in range(3):
        once = list(range((n + 1) * 1000, 1_000_001, 3000))
        assert per_device[f"d{n}"] == once * 2
    assert {len(each) for each in keys.values()} == {1}


def test_forwarding_refuses_names_that_no_topic_holds(
    embedded: EmbeddedBroker, forward: Any, eventually: Eventually
) -> None:
    """Such pings are refused by their position; the others go on."""
    good = '{"device": "d", "ts": 1, "lat": 1, "lng": 2}'
    body = f"[{good}, {good}]".replace('"d"', '"a b"', 1).encode()
    forwarder = forward(embedded.device_url)
    eventually(lambda: forwarder.health() == (True, ""))
    outcome = forwarder.submit(decode_http(body, received_ms=0).pings).result(DEADLINE_S)
    assert outcome.accepted == 1
    assert [(at, reason) for at, reason, _ in outcome.refused] == [(0, "device")]
    empty = decode_http(b"[]", received_ms=0).pings
    assert forwarder.submit(empty).result(DEADLINE_S).accepted == 0


@pytest.mark.mosquitto
def test_forwarding_waits_for_a_broker_that_comes_later(
    make_mosquitto: Any, forward: Any, collect: Any, recorder: Recorder, eventually: Eventually
) -> None:
    """Without a broker callers are told to come again; when it is there all is well."""
    late = make_mosquitto()
    forwarder = forward(late.url)
    with pytest.raises(Overloaded, match="can't forward pings"):
        forwarder.submit(request(1))
    late.start()
    collect(late.url)
    eventually(lambda: forwarder.health() == (True, ""))
    assert forwarder.submit(request(1)).result(DEADLINE_S).accepted == 1
    eventually(lambda: recorder.count == 1)


@pytest.mark.mosquitto
def test_forwarding_to_nobody_is_an_error(
    mosquitto: Mosquitto, forward: Any, eventually: Eventually
) -> None:
    """When no ingest session exists the broker would keep nothing: the caller learns it."""
    forwarder = forward(mosquitto.url)
    eventually(lambda: forwarder.health() == (True, ""))
    with pytest.raises(BrokerError, match="no subscriber"):
        forwarder.submit(request(1)).result(DEADLINE_S)


def test_forwarding_is_bounded(play: Any) -> None:
    """More than may wait is refused with a time to come again; stopping answers for the rest."""
    played = play()
    forwarder = Forwarder(played.publisher, capacity=5)
    forwarder.start()
    first = forwarder.submit(request(5, devices=5))
    with pytest.raises(Overloaded, match="5 of 5 messages") as caught:
        forwarder.submit(request(1))
    assert caught.value.retry_after_s == 1.0
    received(played.peer, 5)
    played.publisher.close()
    with pytest.raises(BrokerError, match="closed before"):
        first.result(DEADLINE_S)
    forwarder.stop()
    with pytest.raises(Overloaded, match="has stopped"):
        forwarder.submit(request(1))
