"""``geotarget devices``: what an app's back end hands to a phone, and what brokers are told."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import pytest

from geotarget.ingest.account_key import AccountKey
from geotarget.ingest.device_access import DeviceLogins
from tests.test_cli import geotarget

DEVICE = {"GEOTARGET_MQTT_DEVICE_ACCESS": "device"}


def test_a_login_is_printed(tmp_path: Path) -> None:
    """As JSON; the key is made by whoever needs it first, and stays."""
    said = geotarget("devices", "credentials", "bus-7", "--data", tmp_path, **DEVICE)
    assert (said.returncode, said.stderr) == (0, "")
    login = json.loads(said.stdout)
    assert login["password"] == DeviceLogins.of(tmp_path).password("bus-7")
    assert (login["url"], login["topic"]) == ("mqtt://127.0.0.1:1883", "pings/bus-7")
    again = geotarget("devices", "credentials", "bus-7", "--data", tmp_path, **DEVICE)
    assert again.stdout == said.stdout


def test_where_there_are_none_it_says_so(tmp_path: Path) -> None:
    """And makes no key that nobody uses."""
    said = geotarget("devices", "credentials", "bus-7", "--data", tmp_path)
    assert said.returncode == 2
    assert "GEOTARGET_MQTT_DEVICE_ACCESS is `open`, not `device`" in said.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_mqtt_cannot_carry_is_refused(tmp_path: Path) -> None:
    """Such a device would never get in."""
    said = geotarget("devices", "credentials", "a/b", "--data", tmp_path, **DEVICE)
    assert said.returncode == 2
    assert "must match [A-Za-z0-9_-]{1,64} to publish over MQTT (a/b)" in said.stderr


def test_one_connection_for_many_devices_is_refused_beforehand(tmp_path: Path) -> None:
    """`geotarget fleet` would be refused by the broker device by device."""
    said = geotarget("fleet", **DEVICE)
    assert said.returncode == 2
    assert "GEOTARGET_MQTT_DEVICE_ACCESS: is `device`: one connection can't" in said.stderr


def test_the_login_at_a_broker_of_ones_own(tmp_path: Path) -> None:
    """It has that broker's address, and none of the ingest's password."""
    own = DEVICE | {"GEOTARGET_MQTT": "mqtts://ingest:geheim@broker.example.com"}
    said = geotarget("devices", "credentials", "bus-7", "--data", tmp_path, **own)
    assert json.loads(said.stdout)["url"] == "mqtts://broker.example.com:8883"
    assert "geheim" not in said.stdout


def test_passwords_are_written_for_mosquitto(tmp_path: Path) -> None:
    """Those of the devices are replaced, everybody else's stay, and so does the file's mode."""
    file, listed = tmp_path / "passwords", tmp_path / "devices.txt"
    file.write_text("ingest:$7$101$x$y\nbus-7:$7$101$old$old\n")
    file.chmod(0o640)
    listed.write_text("bus-8\n\n bus-9 \n")
    said = geotarget(
        *("devices", "passwords", "--mosquitto", file, "bus-7", "--list", listed),
        *("--data", tmp_path),
        **DEVICE,
    )
    assert (said.returncode, said.stderr) == (0, f"3 devices in {file}\n")
    assert file.stat().st_mode & 0o777 == 0o640
    lines = dict(line.split(":", 1) for line in file.read_text().splitlines())
    assert list(lines) == ["ingest", "bus-7", "bus-8", "bus-9"]
    assert lines["ingest"] == "$7$101$x$y"
    logins = DeviceLogins.of(tmp_path)
    for device in ("bus-7", "bus-8", "bus-9"):
        kind, rounds, salt, digest = lines[device].strip("$").split("$")
        password = logins.password(device).encode()
        made = hashlib.pbkdf2_hmac("sha512", password, base64.b64decode(salt), int(rounds))
        assert (kind, base64.b64decode(digest)) == ("7", made)


def test_a_new_password_file_is_for_its_owner(tmp_path: Path) -> None:
    """Nobody else can read it."""
    file = tmp_path / "passwords"
    said = geotarget(
        "devices", "passwords", "bus-7", "--mosquitto", file, "--data", tmp_path, **DEVICE
    )
    assert (said.returncode, said.stderr) == (0, f"1 device in {file}\n")
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "name a device, or a file of them with --list"),
        (("ingest",), "is the user of the ingest (ingest)"),
        (("collector",), "is the user of the ingest (collector)"),
        (("bus-7", "a/b"), "to publish over MQTT (a/b)"),
        (("geotarget-slot-1-x",), "must not begin with geotarget-ingest or geotarget-slot-"),
        (("--list", "missing.txt"), "--list: "),
    ],
)
def test_what_is_not_written_for_mosquitto(
    tmp_path: Path, arguments: tuple[str, ...], reason: str
) -> None:
    """The file stays as it is: a device can't become the ingest, nor a name that never gets in."""
    file = tmp_path / "passwords"
    own = DEVICE | {"GEOTARGET_MQTT": "mqtt://collector:x@localhost"}
    said = geotarget(
        "devices", "passwords", *arguments, "--mosquitto", file, "--data", tmp_path, **own
    )
    assert said.returncode == 2
    assert reason in said.stderr
    assert not file.exists()


def test_a_password_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """With what the system says."""
    file = tmp_path / "nowhere" / "passwords"
    said = geotarget(
        "devices", "passwords", "bus-7", "--mosquitto", file, "--data", tmp_path, **DEVICE
    )
    assert said.returncode == 2
    assert f"({file})" in said.stderr


def test_a_key_for_the_auth_callout(tmp_path: Path) -> None:
    """A new one as lines of an env file; of one that is there only the public part."""
    seed, issuer = geotarget("devices", "issuer").stdout.splitlines()
    key = AccountKey.of_seed(seed.removeprefix("GEOTARGET_AUTH_CALLOUT_SEED="))
    assert issuer == f"NATS_CALLOUT_ISSUER={key.public}"
    known = geotarget("devices", "issuer", GEOTARGET_AUTH_CALLOUT_SEED=key.seed)
    assert known.stdout == f"{issuer}\n"
    file = tmp_path / "issuer.conf"
    file.write_text("an older one")
    written = geotarget("devices", "issuer", "--nats", file, GEOTARGET_AUTH_CALLOUT_SEED=key.seed)
    assert (written.returncode, written.stdout) == (0, known.stdout)
    assert file.read_text().splitlines()[1] == f'NATS_CALLOUT_ISSUER: "{key.public}"'
    nowhere = geotarget("devices", "issuer", "--nats", file / "issuer.conf")
    assert (nowhere.returncode, nowhere.stdout) == (2, "")
    wrong = geotarget("devices", "issuer", GEOTARGET_AUTH_CALLOUT_SEED="SAfalse")
    assert (wrong.returncode, "SAfalse" in wrong.stderr) == (2, False)
