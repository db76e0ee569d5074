"""Each device with its own password at the embedded broker: what it may, and what it sees."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from geotarget import metrics
from geotarget.errors import InvalidInput, SettingsError
from geotarget.ingest import EmbeddedBroker, Intake, MqttSource, Publisher
from geotarget.ingest.device_access import FILE, DeviceLogins
from geotarget.ingest.publish import OutgoingPing
from tests.ingest.harness import DEADLINE_S, Eventually, Recorder

NOT_AUTHORIZED = 135
REFUSED_SUBSCRIPTION = 128


def ping(second: int) -> str:
    return json.dumps({"ts": second, "lat": 60.0, "lng": 25.0})


@pytest.fixture
def logins(tmp_path: Path) -> DeviceLogins:
    return DeviceLogins.of(tmp_path)


@pytest.fixture
def broker(tmp_path: Path, logins: DeviceLogins) -> Iterator[EmbeddedBroker]:
    broker = EmbeddedBroker(tmp_path / "broker", port=0, ack_wait_s=1.0, logins=logins)
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def source(
    broker: EmbeddedBroker, recorder: Recorder, eventually: Eventually
) -> Iterator[MqttSource]:
    intake = Intake(recorder.process, max_age_s=0.005)
    intake.start()
    source = MqttSource(broker.url, intake, client_id=broker.client_id, ack_wait_s=1.0, mqtt5=False)
    source.start()
    eventually(lambda: source.health() == (True, ""))
    yield source
    source.stop(5.0)


class Device:
    """A phone that logs in as it likes and notes the answers."""

    def __init__(self, port: int, user: str, password: str, client_id: str, will: str = "") -> None:
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id)
        self.client.username_pw_set(user, password)
        if will:
            self.client.will_set(will, ping(99), 1)
        self.changed = threading.Condition()
        self.answers: list[int] = []
        self.acknowledged: list[int] = []
        self.granted: list[int] = []
        self.client.on_connect = lambda *a: self._note(self.answers, a[3].value)
        self.client.on_publish = lambda *a: self._note(self.acknowledged, a[2])
        self.client.on_subscribe = lambda *a: self._note(self.granted, a[3][0].value)
        self.client.reconnect_delay_set(30, 30)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.wait(lambda: self.answers)

    def _note(self, where: list[int], value: int) -> None:
        with self.changed:
            where.append(value)
            self.changed.notify_all()

    def wait(self, predicate: Callable[[], object]) -> None:
        with self.changed:
            assert self.changed.wait_for(predicate, DEADLINE_S)

    def publish(self, topic: str, second: int) -> None:
        """Publish with QoS 1 and wait for the acknowledgement."""
        before = len(self.acknowledged)
        self.client.publish(topic, ping(second), 1)
        self.wait(lambda: len(self.acknowledged) > before)

    def vanish(self) -> None:
        """Lose the connection without a word."""
        sock = self.client.socket()
        assert sock is not None
        sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def device(broker: EmbeddedBroker, logins: DeviceLogins) -> Iterator[Callable[..., Device]]:
    made: list[Device] = []

    def make(
        user: str, password: str | None = None, client_id: str | None = None, **more: Any
    ) -> Any:
        right = logins.password(user) if password is None else password
        made.append(Device(broker.port, user, right, client_id or user, **more))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_a_device_publishes_for_itself(
    device: Any, source: MqttSource, recorder: Recorder, eventually: Eventually
) -> None:
    """Its own topic, and those of OwnTracks with it as the user."""
    a = device("a")
    a.publish("pings/a", 1)
    a.client.publish("owntracks/a/phone", '{"_type": "location", "tst": 2, "lat": 1, "lon": 2}', 1)
    eventually(lambda: recorder.devices == ["a", "a/phone"])


def test_a_publish_for_another_is_acknowledged_dropped_and_counted(
    device: Any, source: MqttSource, recorder: Recorder, eventually: Eventually
) -> None:
    """MQTT 3.1.1 has no other answer; the device stays connected, and the metric tells."""
    a = device("a")
    before = metrics.publishes_refused._value.get()
    topics = ("pings/b", "owntracks/b/phone", "pings/geotarget", "$MQTT/msgs/pings/b", "slots/1/b")
    for second, topic in enumerate(topics, start=1):
        a.publish(topic, second)
    a.publish("pings/a", 9)
    eventually(lambda: recorder.count >= 1)
    assert (recorder.devices, recorder.seconds, recorder.rejected) == (["a"], [9], [])
    assert a.answers == [0]
    eventually(lambda: metrics.publishes_refused._value.get() >= before + 3)


def test_the_log_of_a_refusal_names_nobody(
    device: Any, capsys: pytest.CaptureFixture[str], eventually: Eventually
) -> None:
    """It says what was refused and from where; names and topics of devices stay out of logs."""
    a = device("phone-4711")
    a.publish("pings/phone-4712", 1)
    device("phone-4713", password="wrong")
    seen: list[str] = []

    def told() -> bool:
        seen.append(capsys.readouterr().out)
        text = "".join(seen)
        return "Publish Violation" in text and "authentication error" in text

    eventually(told)
    assert "phone-47" not in "".join(seen)


def test_a_last_will_is_bound_to_its_device_too(
    device: Any, source: MqttSource, recorder: Recorder, eventually: Eventually
) -> None:
    """The server publishes it in the device's name, with the device's rights."""
    device("a", will="pings/b").vanish()
    device("c", will="pings/c").vanish()
    eventually(lambda: recorder.count >= 1)
    device("d").publish("pings/d", 1)
    eventually(lambda: "d" in recorder.devices)
    assert recorder.devices == ["c", "d"]


@pytest.mark.parametrize("topic", ["#", "pings/+", "pings/a", "$MQTT/#", "$SYS/#"])
def test_a_device_may_not_listen(device: Any, topic: str) -> None:
    """Not to others, not to itself, not to the server; the subscription is refused."""
    a = device("a")
    a.client.subscribe(topic, 1)
    a.wait(lambda: a.granted)
    assert a.granted == [REFUSED_SUBSCRIPTION]


@pytest.mark.parametrize(
    ("user", "password", "client_id"),
    [
        ("a", "", "a"),
        ("a", "wrong", "a"),
        ("geotarget.ingest", "wrong", "x"),
        ("geotarget.fleet", "", "x"),
        ("a b", "wrong", "x"),
        ("a" * 65, "wrong", "x"),
    ],
)
def test_others_are_not_admitted(
    broker: EmbeddedBroker, user: str, password: str, client_id: str
) -> None:
    """Without the password of exactly this device nobody comes in."""
    stranger = Device(broker.port, user, password, client_id)
    assert stranger.answers == [NOT_AUTHORIZED]
    stranger.close()


def test_the_password_of_one_is_not_that_of_another(device: Any, logins: DeviceLogins) -> None:
    """A device that knows its own password can't log in as its neighbour; it is counted."""
    before = metrics.devices_refused._value.get()
    assert device("b", password=logins.password("a")).answers == [NOT_AUTHORIZED]
    assert metrics.devices_refused._value.get() > before


def test_nobody_takes_a_session_over(
    broker: EmbeddedBroker,
    device: Any,
    source: MqttSource,
    recorder: Recorder,
    eventually: Eventually,
) -> None:
    """Neither that of the ingest, whose name is a secret besides, nor that of another device."""
    b = device("b")
    assert device("a", client_id=broker.client_id).answers == [NOT_AUTHORIZED]
    assert device("a", client_id="b").answers == [NOT_AUTHORIZED]
    b.publish("pings/b", 1)
    eventually(lambda: recorder.seconds == [1])
    assert (source.connections, b.answers) == (1, [0])


def test_the_fleet_of_this_machine_speaks_for_many(
    broker: EmbeddedBroker, source: MqttSource, recorder: Recorder, eventually: Eventually
) -> None:
    """Its password is random, new at each start, and told to this process only."""
    with Publisher(broker.device_url) as publisher:
        publisher.publish("x", [OutgoingPing(1.0, 2.0, 3.0)])
        publisher.publish("y", [OutgoingPing(2.0, 2.0, 3.0)])
        assert publisher.flush(10.0)
    eventually(lambda: recorder.devices == ["x", "y"])


def test_after_a_kill_of_the_server_devices_are_admitted_again(
    broker: EmbeddedBroker,
    device: Any,
    source: MqttSource,
    recorder: Recorder,
    eventually: Eventually,
) -> None:
    """The service connects again by itself, and health says when."""
    os.kill(broker.pid, signal.SIGKILL)
    eventually(lambda: broker.restarts == 1)
    eventually(lambda: broker.health() == (True, ""))
    device("a").publish("pings/a", 1)
    eventually(lambda: recorder.seconds == [1])


def test_without_an_answer_nobody_is_admitted(
    broker: EmbeddedBroker, device: Any, source: MqttSource, eventually: Eventually
) -> None:
    """Fail closed: the ingest goes on, devices wait outside, and health says why."""
    assert broker._callout is not None
    broker._callout.stop()
    assert device("a").answers == [NOT_AUTHORIZED]
    ok, detail = broker.health()
    assert (ok, "no device can connect" in detail) == (False, True)
    assert source.health() == (True, "")


def test_the_other_door_of_the_server_is_shut(broker: EmbeddedBroker, logins: DeviceLogins) -> None:
    """Devices speak MQTT: with a right password the server's own protocol refuses them."""
    address = ("127.0.0.1", broker._planned.admin_port)
    login = json.dumps({"verbose": True, "user": "a", "pass": logins.password("a")})
    with (
        socket.create_connection(address, timeout=DEADLINE_S) as plain,
        plain.makefile() as answers,
    ):
        assert answers.readline().startswith("INFO ")
        plain.sendall(f"CONNECT {login}\r\nPING\r\n".encode())
        assert answers.readline() == "-ERR 'Authorization Violation'\n"


def test_passwords_last_as_long_as_the_key(tmp_path: Path) -> None:
    """The same key gives the same password; a new key takes all of them back."""
    first = DeviceLogins.of(tmp_path)
    assert DeviceLogins.of(tmp_path).password("a") == first.password("a")
    assert len(first.password("a")) == 43
    assert first.password("a") != first.password("A")
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    (tmp_path / FILE).unlink()
    other = DeviceLogins.of(tmp_path)
    assert not other.accepts("a", first.password("a"))
    assert not other.accepts("a", "")
    assert not other.accepts("a", "pässword")
    assert not other.accepts("a/b", "x")


@pytest.mark.parametrize("name", ["", "a/b", "a b", "a+", "#", "a.b", "ä", "a" * 65])
def test_a_name_that_mqtt_cannot_carry_has_no_password(logins: DeviceLogins, name: str) -> None:
    """It is refused with the bound."""
    with pytest.raises(InvalidInput, match="to publish over MQTT"):
        logins.password(name)


@pytest.mark.parametrize("content", [b"", b"short", base64.b64encode(bytes(31)), b"\xff" * 44])
def test_a_damaged_key_is_named(tmp_path: Path, content: bytes) -> None:
    """The message has the file."""
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(SettingsError, match=rf"the key of the devices' passwords, .*{FILE}"):
        DeviceLogins.of(tmp_path)
