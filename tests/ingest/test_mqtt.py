"""The ingest's session with real brokers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from geotarget.errors import SettingsError
from geotarget.ingest import EmbeddedBroker, Intake, MqttSource, SlotSource, paho_framing
from geotarget.ingest.paho_framing import CallbackClient, FramingClient
from geotarget.ingest.slots import slot_of, slot_topic
from tests.ingest.harness import DEADLINE_S, Eventually, Mosquitto, NatsServer, Phone, Recorder
from tests.ingest.test_paho_framing import CONNACK, Peer
from tests.ports import find_port


def ping(second: int, **more: Any) -> str:
    return json.dumps({"ts": second, "lat": 60.0, "lng": 25.0, **more})


class Station:
    """An intake and its source, as one ingest process has them."""

    def __init__(
        self,
        recorder: Recorder,
        url: str,
        *,
        capacity: int = 5_000,
        max_pings: int = 5_000,
        **options: Any,
    ) -> None:
        self.intake = Intake(
            recorder.process, capacity=capacity, max_pings=max_pings, max_age_s=0.005
        )
        options.setdefault("reconnect_s", (0.05, 0.2))
        options.setdefault("ack_wait_s", 1.0)
        self.source: Any
        if "slots" in options:
            clean = options["slots"] if options.pop("clean", True) else ()
            self.source = SlotSource(url, self.intake, clean=clean, **options)
        else:
            self.source = MqttSource(url, self.intake, **options)
        self.intake.start()
        self.source.start()
        self.stopped: bool | None = None

    @property
    def session(self) -> MqttSource:
        """The one that the device d1 comes over."""
        found = self.source._sessions[slot_of("d1")] if self.slotted else self.source
        assert isinstance(found, MqttSource)
        return found

    @property
    def slotted(self) -> bool:
        return isinstance(self.source, SlotSource)

    @property
    def client(self) -> Any:
        assert self.session._link is not None
        return self.session._link.client

    def crash(self) -> None:
        """End as kill -9 would: the socket closes without a word, nothing is acknowledged."""
        sessions = list(self.source._sessions.values()) if self.slotted else [self.source]
        for session in sessions:
            link = session._link
            link._closed = True
            link.client.acknowledge = lambda *_: None
            link.client._sock.shutdown(socket.SHUT_RDWR)
            link.client._state = paho_framing.paho._ConnectionState.MQTT_CS_DISCONNECTED
            session._stopping.set()
            session.wake.set()
        for session in sessions:
            session._keeper.join()

    def stop(self) -> bool:
        if self.stopped is None:
            self.stopped = self.source.stop(5.0)
        return self.stopped


@pytest.fixture
def station(recorder: Recorder, eventually: Eventually) -> Iterator[Callable[..., Station]]:
    """Make running stations; they are stopped with the test."""
    made: list[Station] = []

    def make(url: str, *, ready: bool = True, **options: Any) -> Station:
        made.append(Station(recorder, url, **options))
        if ready:
            eventually(lambda: made[-1].source.health() == (True, ""))
        return made[-1]

    yield make
    recorder.open.set()
    for each in made:
        each.stop()


class Broker:
    """Either kind of broker, and one session or several, as far as these tests need it."""

    def __init__(self, real: Mosquitto | EmbeddedBroker | NatsServer, *, slotted: bool) -> None:
        self.real = real
        self.port = real.port
        self.url = real.url
        self.slotted = slotted
        self.login = real.login if isinstance(real, NatsServer) else None
        mapped = not slotted or isinstance(real, NatsServer)
        self.topic = "pings/d1" if mapped else slot_topic("d1")
        self.session: dict[str, Any] = {"client_id": "ingest-1"}
        if isinstance(real, EmbeddedBroker):
            self.session = {"client_id": real.client_id}
        if slotted:
            self.session = {"slots": [0, slot_of("d1"), 63]}
        self.protocol = (
            MQTTProtocolVersion.MQTTv5
            if isinstance(real, Mosquitto)
            else MQTTProtocolVersion.MQTTv311
        )


@pytest.fixture(
    params=[
        pytest.param("mosquitto", marks=pytest.mark.mosquitto),
        "nats",
        pytest.param("mosquitto-slots", marks=pytest.mark.mosquitto),
        "nats-slots",
    ]
)
def broker(request: pytest.FixtureRequest) -> Broker:
    """A running broker: Debian's mosquitto, and NATS, with one session and with slots."""
    kind, _, slots = request.param.partition("-")
    nats = "nats_server" if slots else "embedded"
    name = "mosquitto" if kind == "mosquitto" else nats
    return Broker(request.getfixturevalue(name), slotted=bool(slots))


def test_everything_arrives_in_order(
    broker: Broker, station: Any, recorder: Recorder, make_phone: Any, eventually: Eventually
) -> None:
    """Singles, arrays, OwnTracks and poison, QoS 0 and 1: all of it arrives, in order."""
    here = station(broker.url, **broker.session)
    assert isinstance(here.client, FramingClient)
    assert here.client._protocol == broker.protocol
    phone: Phone = make_phone(broker.port, login=broker.login)
    for second in range(1, 501):
        phone.publish(broker.topic, ping(second))
    phone.publish(broker.topic, "[" + ",".join(ping(second) for second in range(501, 601)) + "]")
    phone.publish(broker.topic, "poison")
    phone.settle(502)
    eventually(lambda: recorder.count == 600)
    if broker.slotted:  # OwnTracks does not know of slots
        phone.publish(broker.topic, ping(601))
        phone.publish(broker.topic, "")
    else:
        tracked = '{"_type": "location", "tst": 601, "lat": 1, "lon": 2}'
        phone.publish("owntracks/anna/phone", tracked)
        phone.publish("owntracks/anna/phone", '{"_type": "lwt", "tst": 1}')
    phone.settle(504)
    eventually(lambda: here.intake.stats.messages == 504)
    # On its own: NATS lets QoS 0 overtake what it stores first.
    phone.publish(broker.topic, ping(602), qos=0)
    eventually(lambda: recorder.count == 602)
    assert here.stop() is True
    assert recorder.seconds == list(range(1, 603))
    assert [letter.reason for letter in recorder.rejected] == ["json"]
    assert here.intake.stats.ignored == 1
    assert recorder.devices[600] == ("d1" if broker.slotted else "anna/phone")


def test_without_framing_everything_arrives_too(
    broker: Broker,
    station: Any,
    recorder: Recorder,
    make_phone: Any,
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A paho that lacks a private name is slower, not broken."""
    monkeypatch.setattr(paho_framing, "NEEDED", ("_not_there",))
    here = station(broker.url, **broker.session, capacity=50)
    assert isinstance(here.client, CallbackClient)
    phone: Phone = make_phone(broker.port, login=broker.login)
    for second in range(1, 301):
        phone.publish(broker.topic, ping(second))
    phone.settle(300)
    eventually(lambda: recorder.count == 300)
    assert here.stop() is True
    assert recorder.seconds == list(range(1, 301))


def test_nothing_is_acknowledged_before_the_commit(
    broker: Broker, station: Any, recorder: Recorder, make_phone: Any, eventually: Eventually
) -> None:
    """What was in hand when the ingest died comes again: no acknowledgement had left."""
    recorder.open.clear()
    here = station(broker.url, **broker.session, capacity=500)
    phone: Phone = make_phone(broker.port, login=broker.login)
    for second in range(1, 201):
        phone.publish(broker.topic, ping(second))
    phone.settle(200)
    eventually(lambda: here.intake.stats.waiting == 200)
    here.crash()
    recorder.open.set()
    here.stop()
    recorder.batches.clear()

    again = station(broker.url, **broker.session, clean=False)
    eventually(lambda: recorder.count == 200)
    assert recorder.seconds == list(range(1, 201))
    eventually(lambda: again.client.unacknowledged == 0)


def test_a_clean_stop_leaves_nothing_behind(
    broker: Broker, station: Any, recorder: Recorder, make_phone: Any, eventually: Eventually
) -> None:
    """After a clean stop the next run gets what came meanwhile, once, and nothing else."""
    here = station(broker.url, **broker.session)
    phone: Phone = make_phone(broker.port, login=broker.login)
    for second in range(1, 51):
        phone.publish(broker.topic, ping(second))
    phone.settle(50)
    eventually(lambda: recorder.count == 50)
    assert here.stop() is True
    for second in range(51, 101):
        phone.publish(broker.topic, ping(second))
    phone.settle(100)
    station(broker.url, **broker.session, clean=True)
    eventually(lambda: recorder.count >= 100)
    assert recorder.seconds == list(range(1, 101))


def test_unclean_restart_applies_in_fix_time_order(
    broker: Broker, station: Any, recorder: Recorder, make_phone: Any, eventually: Eventually
) -> None:
    """Old unacknowledged pings and new ones, however they come, are applied by fix time."""
    recorder.open.clear()
    here = station(broker.url, **broker.session)
    phone: Phone = make_phone(broker.port, login=broker.login)
    for second in range(1, 101):
        phone.publish(broker.topic, ping(second))
    phone.settle(100)
    eventually(lambda: here.intake.stats.waiting == 100)
    here.crash()
    recorder.open.set()
    here.stop()
    recorder.batches.clear()
    for second in range(101, 201):
        phone.publish(broker.topic, ping(second))
    phone.settle(200)

    again = station(broker.url, **broker.session, clean=False)
    for second in range(201, 251):
        phone.publish(broker.topic, ping(second))
    eventually(lambda: recorder.count >= 250)
    assert recorder.seconds[:250] == list(range(1, 251))
    eventually(lambda: again.client.unacknowledged == 0)


@pytest.mark.slow
def test_a_stop_under_load_is_not_clean_and_loses_nothing(
    broker: Broker, station: Any, recorder: Recorder, make_phone: Any, eventually: Eventually
) -> None:
    """What the broker has sent and we left lying makes the stop unclean; it comes again."""
    recorder.open.clear()
    here = station(broker.url, **broker.session, capacity=20)
    phone: Phone = make_phone(broker.port, login=broker.login)
    for second in range(1, 401):
        phone.publish(broker.topic, ping(second))
    phone.settle(400)
    eventually(lambda: here.intake.stats.waiting == 20)
    stopping = threading.Thread(target=here.stop)
    stopping.start()
    recorder.open.set()
    stopping.join()
    left = 400 - recorder.count
    assert left > 0
    again = station(broker.url, **broker.session, clean=bool(here.stopped))
    eventually(lambda: set(recorder.seconds) == set(range(1, 401)))
    assert again.intake.stats.messages >= left


def test_flow_control_bounds_the_queue(
    broker: Broker, station: Any, recorder: Recorder, make_phone: Any, eventually: Eventually
) -> None:
    """A thousand messages while the commit hangs: never more than the capacity is in hand."""
    recorder.open.clear()
    here = station(broker.url, **broker.session, capacity=100)
    phone: Phone = make_phone(broker.port, login=broker.login)
    for second in range(1, 1001):
        phone.publish(broker.topic, ping(second))
    phone.settle(1000)
    eventually(lambda: here.intake.stats.waiting == 100)
    recorder.open.set()
    eventually(lambda: recorder.count >= 1000)
    assert recorder.seconds == list(range(1, 1001))
    assert here.intake.stats.most_waiting == 100


def test_a_lost_connection_is_made_again(
    broker: Broker, station: Any, recorder: Recorder, make_phone: Any, eventually: Eventually
) -> None:
    """The socket dies under load: what was unacknowledged comes again, nothing is lost."""
    here = station(broker.url, **broker.session)
    phone: Phone = make_phone(broker.port, login=broker.login)
    for second in range(1, 2001):
        phone.publish(broker.topic, ping(second))
        if second == 1000:
            here.client._sock.shutdown(socket.SHUT_RDWR)
    phone.settle(2000)
    eventually(lambda: set(recorder.seconds) == set(range(1, 2001)))
    eventually(lambda: here.session.connections == 2)
    eventually(lambda: here.source.health() == (True, ""))
    eventually(lambda: here.client.unacknowledged == 0)


@pytest.mark.mosquitto
def test_the_broker_may_come_later(
    make_mosquitto: Callable[..., Mosquitto],
    station: Any,
    recorder: Recorder,
    make_phone: Any,
    eventually: Eventually,
) -> None:
    """A broker that is not up yet is tried again; health says what is the matter."""
    late = make_mosquitto()
    here = station(late.url, ready=False)
    eventually(lambda: "can't reach" in here.source.health()[1])
    assert "Connection refused" in here.source.health()[1]
    late.start()
    eventually(lambda: here.source.health() == (True, ""))
    make_phone(late.port).publish("pings/d", ping(1))
    eventually(lambda: recorder.count == 1)


@pytest.mark.mosquitto
def test_mosquitto_restarts_cleanly_without_loss(
    mosquitto: Mosquitto,
    station: Any,
    recorder: Recorder,
    make_phone: Any,
    eventually: Eventually,
) -> None:
    """With the shipped configuration a clean restart keeps the session and what waits in it."""
    here = station(mosquitto.url)
    assert here.stop() is True
    phone: Phone = make_phone(mosquitto.port)
    for second in range(1, 3001):  # three times the default bound of the queue
        phone.publish("pings/d", ping(second))
    phone.settle(3000)
    mosquitto.stop()
    mosquitto.start()
    station(mosquitto.url)
    eventually(lambda: recorder.count >= 3000)
    assert recorder.seconds == list(range(1, 3001))


@pytest.mark.mosquitto
def test_a_killed_mosquitto_comes_back(
    mosquitto: Mosquitto,
    station: Any,
    recorder: Recorder,
    make_phone: Any,
    eventually: Eventually,
) -> None:
    """Kill -9 of the broker: the ingest notices, reconnects, subscribes again and goes on."""
    here = station(mosquitto.url, ack_wait_s=0)
    make_phone(mosquitto.port).publish("pings/d", ping(1))
    eventually(lambda: recorder.count == 1)
    mosquitto.kill()
    eventually(lambda: not here.source.health()[0])
    mosquitto.start()
    eventually(lambda: here.source.health() == (True, ""))
    make_phone(mosquitto.port).publish("pings/d", ping(2))
    eventually(lambda: 2 in recorder.seconds)


@pytest.mark.mosquitto
def test_the_shipped_access_rules(
    make_mosquitto: Callable[..., Mosquitto],
    station: Any,
    recorder: Recorder,
    make_phone: Any,
    eventually: Eventually,
) -> None:
    """A device speaks for itself only, the ingest reads, nobody comes in without a password."""
    secured = make_mosquitto(secured=True)
    repository = Path(__file__).resolve().parents[2]
    shutil.copy(repository / "services/mosquitto/acl", secured.folder / "acl")
    passwords = secured.folder / "passwords"
    for first, name in ((True, "ingest"), (False, "d1")):
        options = ["-c"] if first else []
        subprocess.run(
            ["mosquitto_passwd", "-b", *options, str(passwords), name, f"{name}-secret"], check=True
        )
    secured.start()
    refused = station(secured.url, ready=False)
    eventually(lambda: "refuses the connection" in refused.source.health()[1])
    refused.stop()
    station(f"mqtt://ingest:ingest-secret@127.0.0.1:{secured.port}")
    phone: Phone = make_phone(secured.port, login=("d1", "d1-secret"))
    phone.publish("pings/other", ping(1))
    phone.publish("pings/d1", ping(2))
    phone.publish("owntracks/d1/phone", '{"_type": "location", "tst": 3, "lat": 1, "lon": 2}')
    phone.settle(3)
    eventually(lambda: recorder.count == 2)
    assert recorder.devices == ["d1", "d1/phone"]


@pytest.mark.mosquitto
def test_refused_subscriptions_are_told(
    make_mosquitto: Callable[..., Mosquitto], station: Any, eventually: Eventually
) -> None:
    """A broker that grants less than QoS 1 makes the source unhealthy, with the topic."""
    stingy = make_mosquitto(more="max_qos 0")
    stingy.start()
    here = station(stingy.url, ready=False)
    eventually(lambda: "does not grant QoS 1 on pings/+" in here.source.health()[1])


@pytest.mark.mosquitto
def test_tls(
    make_mosquitto: Callable[..., Mosquitto],
    station: Any,
    recorder: Recorder,
    make_phone: Any,
    tmp_path: Path,
    eventually: Eventually,
) -> None:
    """The same over TLS, with frames larger than a TLS record; a wrong certificate is refused."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here to make a certificate")
    key, certificate = tmp_path / "server.key", tmp_path / "server.crt"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    port = find_port()
    broker = make_mosquitto(
        more=f"listener {port} 127.0.0.1\ncertfile {certificate}\nkeyfile {key}"
    )
    broker.start()
    url = f"mqtts://127.0.0.1:{port}"
    distrustful = station(url, ready=False, client_id="distrustful")
    eventually(lambda: "GEOTARGET_MQTT_CA names one" in distrustful.source.health()[1])
    here = station(url, tls=ssl.create_default_context(cafile=str(certificate)))
    phone: Phone = make_phone(broker.port)
    array = "[" + ",".join(ping(second, note="x" * 600) for second in range(1, 101)) + "]"
    for _ in range(20):
        phone.publish("pings/d", array)
    phone.settle(20)
    eventually(lambda: recorder.count == 2000)
    eventually(lambda: here.client.unacknowledged == 0)
    assert here.stop() is True


@pytest.mark.mosquitto
def test_qos_0_is_dropped_and_counted_when_full(
    mosquitto: Mosquitto, station: Any, recorder: Recorder, make_phone: Any, eventually: Eventually
) -> None:
    """QoS 0 without room is dropped and counted; QoS 1 all arrives."""
    recorder.open.clear()
    here = station(mosquitto.url, capacity=10)
    phone: Phone = make_phone(mosquitto.port)
    for second in range(1, 11):
        phone.publish("pings/kept", ping(second))
    phone.settle(10)
    eventually(lambda: here.intake.stats.waiting == 10)
    for second in range(11, 41):
        phone.publish("pings/dropped", ping(second), qos=0)
    eventually(lambda: here.intake.stats.dropped == 30)
    recorder.open.set()
    phone.publish("pings/kept", ping(50))
    eventually(lambda: 50 in recorder.seconds)
    assert recorder.devices == ["kept"] * 11


class Silent:
    """A broker of the test's own that can fall silent."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(DEADLINE_S)
        self.url = f"mqtt://127.0.0.1:{self.listener.getsockname()[1]}"
        self.peers: list[Peer] = []

    def accept(self, *, version: int = 5) -> Peer:
        peer = Peer(self.listener.accept()[0])
        self.peers.append(peer)
        header, body = peer.read()
        assert (header, body[6]) == (0x10, version)
        return peer

    def serve(self, *, version: int = 5) -> Peer:
        peer = self.accept(version=version)
        peer.send(CONNACK[version])
        header, body = peer.read()
        assert header == 0x82
        granted = body[:2] + (b"\x00" if version == 5 else b"") + b"\x01\x01"
        peer.send(b"\x90" + bytes((len(granted),)) + granted)
        return peer


@pytest.fixture
def silent() -> Iterator[Silent]:
    broker = Silent()
    yield broker
    for peer in broker.peers:
        peer.socket.close()
    broker.listener.close()


@pytest.mark.slow
def test_the_watchdog_replaces_a_deaf_client(
    silent: Silent, station: Any, eventually: Eventually
) -> None:
    """Three keep-alives of silence, with paho's own check asleep: the client is replaced."""
    here = station(silent.url, ready=False, keepalive_s=1)
    silent.serve()
    eventually(lambda: here.source.health() == (True, ""))
    deaf = here.client
    deaf.loop_misc = lambda: 0
    again = silent.serve()
    eventually(lambda: here.source.health() == (True, ""))
    assert here.client is not deaf
    assert again is silent.peers[1]


def test_the_watchdog_replaces_a_dead_network_thread(
    silent: Silent, station: Any, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network thread that ended with an exception is noticed within seconds."""
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    here = station(silent.url, ready=False)
    silent.serve()
    eventually(lambda: here.source.health() == (True, ""))
    broken = here.client

    def defect() -> int:
        raise RuntimeError("a defect in the network thread")

    broken.loop_misc = defect
    silent.serve()
    eventually(lambda: here.source.health() == (True, ""))
    assert here.client is not broken


def test_a_broker_that_just_closes_gets_the_older_version(
    silent: Silent, station: Any, eventually: Eventually
) -> None:
    """Without an answer to MQTT 5, twice, 3.1.1 is tried."""
    here = station(silent.url, ready=False)
    for _ in range(2):
        silent.accept(version=5).socket.close()
    silent.serve(version=4)
    eventually(lambda: here.source.health() == (True, ""))


def test_a_broker_that_closes_for_a_while_is_asked_in_the_version_that_it_spoke(
    silent: Silent, station: Any, eventually: Eventually
) -> None:
    """A NATS server that has no leader closes too; 3.1.1 would only cost time then."""
    here = station(silent.url, ready=False)
    silent.serve(version=5).socket.close()
    for _ in range(4):
        silent.accept(version=5).socket.close()
    silent.serve(version=5)
    eventually(lambda: here.source.health() == (True, ""))


def test_the_connection_asks_for_what_it_needs(silent: Silent, station: Any) -> None:
    """Persistent session, a day of expiry, the capacity as window, no topic aliases."""
    station(silent.url, ready=False, capacity=123)
    peer = Peer(silent.listener.accept()[0])
    silent.peers.append(peer)
    _, body = peer.read()
    assert body[7] & 0x02 == 0  # clean start
    size = body[10]
    properties = body[11 : 11 + size]
    assert b"\x11" + (86_400).to_bytes(4, "big") in properties
    assert b"\x21" + (123).to_bytes(2, "big") in properties
    assert b"\x22\x00\x00" in properties
    assert b"geotarget-ingest" in body


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://host", "starts with mqtt:// or mqtts://, not 'http'"),
        ("mqtt://", "needs a host"),
        ("mqtt://host:99999", "bad port"),
    ],
)
def test_bad_addresses(url: str, says: str, recorder: Recorder) -> None:
    """An address that is none is refused at once, with the reason."""
    with pytest.raises(SettingsError, match=says):
        MqttSource(url, Intake(recorder.process))


@pytest.mark.mosquitto
@pytest.mark.slow
def test_a_frozen_broker_is_noticed(
    mosquitto: Mosquitto, station: Any, recorder: Recorder, make_phone: Any, eventually: Eventually
) -> None:
    """A broker that stops answering without closing is unhealthy, and fine when it wakes."""
    here = station(mosquitto.url, keepalive_s=1, ack_wait_s=0)
    assert mosquitto.process is not None
    os.kill(mosquitto.process.pid, signal.SIGSTOP)
    try:
        eventually(lambda: not here.source.health()[0])
    finally:
        os.kill(mosquitto.process.pid, signal.SIGCONT)
    eventually(lambda: here.source.health() == (True, ""))
    make_phone(mosquitto.port).publish("pings/d", ping(1))
    eventually(lambda: recorder.count == 1)


def test_a_broker_that_never_answers_is_asked_anew(
    monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    """It took the connection and fell silent: another try may reach it."""
    monkeypatch.setattr("geotarget.ingest.link.ANSWER_S", 0.2)
    asked: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(DEADLINE_S)
        intake = Intake(Recorder().process)
        source = MqttSource(
            f"mqtt://127.0.0.1:{silent.getsockname()[1]}", intake, reconnect_s=(0.05, 0.1)
        )
        source.start()
        try:
            asked += [silent.accept()[0] for _ in range(2)]
            eventually(lambda: not source.health()[0])
        finally:
            source.end()
            for each in asked:
                each.close()
    source.join()
