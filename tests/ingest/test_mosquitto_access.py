"""Who may do what at the shipped mosquitto: its own configuration, its own list of rights."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from geotarget.ingest import Intake, MqttSource, SlotSource
from geotarget.ingest.broker_url import BrokerUrl
from geotarget.ingest.slots import ALL_SLOTS, slot_client_id, slot_of, slot_topic
from geotarget.ingest.sys_topics import read_figures
from tests.ingest.harness import DEADLINE_S, SHIPPED, Eventually, Mosquitto, Recorder
from tests.ports import find_port

pytestmark = pytest.mark.mosquitto

USERS = ("ingest", "a", "b", "x/y", "x+", "x#")
NOT_AUTHORIZED = 135


def ping(second: int) -> str:
    return json.dumps({"ts": second, "lat": 60.0, "lng": 25.0})


@pytest.fixture
def guarded(make_mosquitto: Callable[..., Mosquitto]) -> Mosquitto:
    """A mosquitto with the shipped configuration and rights; passwords are the user names."""
    broker = make_mosquitto(secured=True)
    passwords = broker.folder / "passwords"
    passwords.touch(mode=0o600)
    program = shutil.which("mosquitto_passwd")
    assert program is not None, "mosquitto_passwd comes with mosquitto"
    for user in USERS:
        subprocess.run([program, "-b", str(passwords), user, f"pw-{user}"], check=True)
    shutil.copy(SHIPPED / "acl", broker.folder / "acl")
    (broker.folder / "acl").chmod(0o600)
    broker.start()
    return broker


class App:
    """A phone that notes what the broker answers, in either version of MQTT."""

    def __init__(
        self, port: int, user: str, *, version: int = 5, client_id: str = "", will: str = ""
    ) -> None:
        protocol = MQTTProtocolVersion.MQTTv5 if version == 5 else MQTTProtocolVersion.MQTTv311
        self.client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, protocol=protocol
        )
        if user:
            self.client.username_pw_set(user, f"pw-{user}")
        if will:
            self.client.will_set(will, ping(99), 1)
        self.changed = threading.Condition()
        self.answers: list[int] = []
        self.published: list[int] = []
        self.granted: list[int] = []
        self.messages: list[str] = []
        self.ends: list[int] = []
        self.client.on_connect = lambda *a: self._note(self.answers, a[3].value)
        self.client.on_publish = lambda *a: self._note(self.published, a[3].value)
        self.client.on_subscribe = lambda *a: self._note(self.granted, *[r.value for r in a[3]])
        self.client.on_message = lambda *a: self._note(self.messages, a[2].topic)
        self.client.on_disconnect = lambda *a: self._note(self.ends, a[3].value)
        self.client.reconnect_delay_set(30, 30)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.wait(lambda: self.answers)

    def _note(self, where: list[Any], *values: Any) -> None:
        with self.changed:
            where += values
            self.changed.notify_all()

    def wait(self, predicate: Callable[[], object]) -> None:
        with self.changed:
            assert self.changed.wait_for(predicate, DEADLINE_S)

    def publish(self, topic: str, second: int = 1) -> int:
        """Publish with QoS 1; return the reason code of the answer."""
        before = len(self.published)
        self.client.publish(topic, ping(second), 1)
        self.wait(lambda: len(self.published) > before)
        return self.published[before]

    def subscribe(self, topic: str) -> int:
        before = len(self.granted)
        self.client.subscribe(topic, 1)
        self.wait(lambda: len(self.granted) > before)
        return self.granted[before]

    def vanish(self) -> None:
        """Lose the connection without a word."""
        sock = self.client.socket()
        assert sock is not None
        sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def app(guarded: Mosquitto) -> Iterator[Callable[..., App]]:
    made: list[App] = []

    def make(user: str, **options: Any) -> App:
        made.append(App(guarded.port, user, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def collect(
    guarded: Mosquitto, recorder: Recorder, eventually: Eventually
) -> Iterator[Callable[[], MqttSource]]:
    """Start the ingest, logged in as README.md says."""
    made: list[MqttSource] = []

    def start() -> MqttSource:
        intake = Intake(recorder.process, max_age_s=0.005)
        intake.start()
        url = f"mqtt://ingest:pw-ingest@127.0.0.1:{guarded.port}"
        made.append(MqttSource(url, intake, reconnect_s=(0.05, 0.2), ack_wait_s=0.0))
        made[-1].start()
        eventually(lambda: made[-1].health() == (True, ""))
        return made[-1]

    yield start
    for each in made:
        if each._keeper.is_alive():
            each.stop(5.0)


@pytest.fixture
def source(collect: Callable[[], MqttSource]) -> MqttSource:
    return collect()


def test_nobody_without_a_password(app: Callable[..., App], guarded: Mosquitto) -> None:
    """Neither without a name nor with a wrong password."""
    assert app("").answers == [NOT_AUTHORIZED]
    stranger = app("nobody")
    assert stranger.answers == [NOT_AUTHORIZED]


@pytest.mark.parametrize("version", [5, 4])
def test_a_device_publishes_for_itself_only(
    app: Callable[..., App], source: MqttSource, recorder: Recorder, eventually: Any, version: int
) -> None:
    """A on B's topic: MQTT 5 answers 135, 3.1.1 acknowledges and drops; nothing of it arrives.

    Mosquitto 2.0.11 with `max_queued_messages 0` also closes the connection after its answer.
    """
    refused = NOT_AUTHORIZED if version == 5 else 0
    topics = ("pings/b", "owntracks/b/phone", "pings/a/b", "$SYS/broker/uptime", "pings/ingest")
    assert app("a", version=version).publish("pings/a", 1) == 0
    for second, topic in enumerate(topics, start=2):
        assert app("a", version=version).publish(topic, second) == refused, topic
    assert app("a", version=version).publish("pings/a", 7) == 0
    eventually(lambda: recorder.count >= 2)
    assert (recorder.devices, recorder.seconds) == (["a", "a"], [1, 7])
    assert recorder.rejected == []


def test_owntracks_for_its_own_user(
    app: Callable[..., App], source: MqttSource, recorder: Recorder, eventually: Any
) -> None:
    """The user of an OwnTracks app writes for all of its devices."""
    a = app("a")
    body = '{"_type": "location", "tst": 7, "lat": 1, "lon": 2}'
    a.client.publish("owntracks/a/phone", body, 1)
    eventually(lambda: recorder.devices == ["a/phone"])


def test_a_last_will_is_bound_to_its_device_too(
    app: Callable[..., App], source: MqttSource, recorder: Recorder, eventually: Any
) -> None:
    """What the broker publishes in a device's name has the device's rights."""
    app("a", will="pings/b").vanish()
    app("b", will="pings/b").vanish()
    eventually(lambda: recorder.count >= 1)
    assert app("a").publish("pings/a", 1) == 0
    eventually(lambda: "a" in recorder.devices)
    assert recorder.devices == ["b", "a"]


@pytest.mark.parametrize("topic", ["#", "pings/+", "pings/a", "pings/b", "owntracks/#", "$SYS/#"])
def test_a_device_hears_nothing(
    app: Callable[..., App], source: MqttSource, recorder: Recorder, eventually: Any, topic: str
) -> None:
    """Mosquitto grants the subscription and delivers nothing: reading is judged at delivery."""
    a, b = app("a"), app("b")
    a.subscribe(topic)
    for second in range(1, 21):
        assert b.publish("pings/b", second) == 0
        assert a.publish("pings/a", second) == 0
    eventually(lambda: recorder.count == 40)
    # What the broker had for us would have come before the answer to this.
    a.subscribe("pings/none")
    assert a.messages == []


def test_the_ingest_reads_and_cannot_write(
    app: Callable[..., App], source: MqttSource, recorder: Recorder, eventually: Any
) -> None:
    """Whoever has its password can't make pings up."""
    source.stop(5.0)
    assert app("ingest").publish("pings/a") == NOT_AUTHORIZED
    reader = app("ingest")
    assert reader.subscribe("pings/+") == 1
    assert app("a").publish("pings/a", 3) == 0
    reader.wait(lambda: reader.messages == ["pings/a"])


@pytest.mark.parametrize("client_id", ["geotarget-ingest", "ingest"])
def test_the_session_of_the_ingest_is_its_own(
    app: Callable[..., App],
    source: MqttSource,
    recorder: Recorder,
    eventually: Eventually,
    client_id: str,
) -> None:
    """A device that calls itself as the ingest does takes nothing over: its name is its user."""
    thief = app("a", client_id=client_id)
    assert thief.publish("pings/a", 1) == 0
    eventually(lambda: recorder.seconds == [1])
    assert source.health() == (True, "")
    assert source.connections == 1
    assert thief.messages == []


def test_what_is_published_while_the_ingest_is_away_is_kept(
    app: Callable[..., App],
    collect: Callable[[], MqttSource],
    source: MqttSource,
    recorder: Recorder,
    eventually: Eventually,
) -> None:
    """The session goes by the user's name, and is found again after a stop."""
    assert source.stop(5.0)
    a = app("a")
    for second in range(1, 51):
        assert a.publish("pings/a", second) == 0
    collect()
    eventually(lambda: recorder.seconds == list(range(1, 51)))


def test_a_second_login_of_a_device_ends_the_first(app: Callable[..., App]) -> None:
    """One connection a user, whatever the client ids: the older one is closed."""
    first = app("a", client_id="one")
    app("a", client_id="other")
    first.wait(lambda: first.ends)


@pytest.mark.parametrize("user", ["x/y", "x+", "x#"])
def test_names_that_are_no_topic_level_reach_nothing(
    app: Callable[..., App],
    source: MqttSource,
    recorder: Recorder,
    eventually: Any,
    user: str,
) -> None:
    """A `/` makes another topic, which nobody reads; `+` and `#` are refused, not widened."""
    for topic in ("pings/a", "pings/x", "owntracks/x/y", "owntracks/a/b"):
        odd = app(user)
        assert odd.answers == [0]
        assert odd.publish(topic, 1) == NOT_AUTHORIZED
    assert app("a").publish("pings/a", 9) == 0
    eventually(lambda: recorder.seconds == [9])


@pytest.fixture
def slotted(guarded: Mosquitto) -> tuple[Mosquitto, int]:
    """The same with the second listener that README.md has for workers; and its port."""
    text = (SHIPPED / "README.md").read_text()
    (block,) = re.findall(r"```\n(listener 1884 .*?)```", text, flags=re.DOTALL)
    port = find_port()
    guarded.stop()
    block = f"{block.replace('1884', str(port))}\nsys_interval 1\n"
    guarded.config.write_text(guarded.config.read_text() + block)
    guarded.start()
    return guarded, port


def test_slots_at_the_listener_of_the_workers(
    slotted: tuple[Mosquitto, int], recorder: Recorder, eventually: Any
) -> None:
    """Devices reach their slot, others' topics not; nobody takes a slot's session over."""
    broker, port = slotted
    url = f"mqtt://ingest:pw-ingest@127.0.0.1:{port}"
    intake = Intake(recorder.process, max_age_s=0.005)
    worker = SlotSource(url, intake, slots=ALL_SLOTS, clean=ALL_SLOTS)
    intake.start()
    worker.start()
    taken = slot_client_id(slot_of("a"), BrokerUrl.parse(url))
    apps = [App(broker.port, "a"), App(broker.port, "b", client_id=taken)]
    try:
        eventually(lambda: worker.health() == (True, ""))
        a, b = apps
        assert a.publish(slot_topic("a"), 1) == 0
        assert b.publish(slot_topic("a"), 2) == NOT_AUTHORIZED
        apps.append(App(broker.port, "a"))
        assert apps[-1].publish(f"slots/{(slot_of('a') + 1) % 64}/a", 3) == 0
        assert apps[-1].publish(slot_topic("a"), 4) == 0
        eventually(lambda: recorder.count == 2)
        eventually(lambda: len(recorder.rejected) == 1)
        assert (recorder.devices, recorder.seconds) == (["a", "a"], [1, 4])
        assert f"belongs to slot {slot_of('a')}" in recorder.rejected[0].detail
        figures: dict[str, str] = {}

        def counted() -> bool:
            figures.update(read_figures(BrokerUrl.parse(url)))
            return int(figures["clients connected"]) >= 64

        eventually(counted)
        assert figures["version"].startswith("mosquitto")
        assert worker._sessions[slot_of("a")].connections == 1
    finally:
        for each in apps:
            each.close()
        assert worker.stop() is True
