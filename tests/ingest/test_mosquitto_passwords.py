"""The password file that geotarget writes, at a real mosquitto with the shipped rights."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from geotarget.ingest import Intake, MqttSource
from geotarget.ingest.device_access import DeviceLogins
from geotarget.ingest.mosquitto_passwords import write_passwords
from tests.ingest.harness import SHIPPED, Eventually, Mosquitto, Recorder
from tests.ingest.test_device_access import Device

pytestmark = pytest.mark.mosquitto

REFUSED = 135


@pytest.fixture
def broker(make_mosquitto: Callable[..., Mosquitto]) -> Mosquitto:
    """The shipped configuration; in its password file is the ingest alone."""
    broker = make_mosquitto(secured=True)
    program = shutil.which("mosquitto_passwd")
    assert program is not None, "mosquitto_passwd comes with mosquitto"
    passwords = broker.folder / "passwords"
    passwords.touch(mode=0o600)
    subprocess.run([program, "-b", str(passwords), "ingest", "pw"], check=True)
    shutil.copy(SHIPPED / "acl", broker.folder / "acl")
    (broker.folder / "acl").chmod(0o600)
    return broker


@pytest.fixture
def source(
    broker: Mosquitto, recorder: Recorder, eventually: Eventually
) -> Iterator[Callable[[], MqttSource]]:
    """Start the ingest under its own password."""
    made: list[MqttSource] = []

    def start() -> MqttSource:
        intake = Intake(recorder.process, max_age_s=0.005)
        intake.start()
        made.append(MqttSource(f"mqtt://ingest:pw@127.0.0.1:{broker.port}", intake, ack_wait_s=0.0))
        made[-1].start()
        eventually(lambda: made[-1].health() == (True, ""))
        return made[-1]

    yield start
    for each in made:
        each.stop(5.0)


def test_a_device_publishes_under_its_own_name_only(
    broker: Mosquitto,
    source: Callable[[], MqttSource],
    recorder: Recorder,
    eventually: Eventually,
    tmp_path: Path,
) -> None:
    """With the password of its name; the ingest, whose line was there before, gets in as well."""
    logins = DeviceLogins.of(tmp_path)
    assert write_passwords(broker.folder / "passwords", logins, ["phone-1", "phone-2"]) == 2
    broker.start()
    source()
    phone = Device(broker.port, "phone-1", logins.password("phone-1"), "phone-1")
    other = Device(broker.port, "phone-1", logins.password("phone-2"), "phone-1")
    assert (phone.answers, other.answers) == ([0], [REFUSED])
    phone.client.publish("pings/phone-2", "{}", 1)
    again = Device(broker.port, "phone-1", logins.password("phone-1"), "phone-1")
    again.publish("pings/phone-1", 7)
    eventually(lambda: recorder.count >= 1)
    assert (recorder.devices, recorder.rejected) == (["phone-1"], [])
    for each in (phone, other, again):
        each.close()


def test_a_device_that_is_added_gets_in_after_a_signal(
    broker: Mosquitto, eventually: Eventually, tmp_path: Path
) -> None:
    """Mosquitto reads the file again at SIGHUP, while it runs."""
    logins = DeviceLogins.of(tmp_path)
    broker.start()
    write_passwords(broker.folder / "passwords", logins, ["phone-3"])
    assert broker.process is not None
    broker.process.send_signal(signal.SIGHUP)
    answers: list[int] = []

    def admitted() -> bool:
        phone = Device(broker.port, "phone-3", logins.password("phone-3"), "phone-3")
        answers.extend(phone.answers)
        phone.close()
        return answers[-1] == 0

    eventually(admitted)
    assert set(answers) <= {0, REFUSED}
