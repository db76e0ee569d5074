"""``geotarget devices credentials``: what the back end of an app hands to a phone."""

from __future__ import annotations

import json
from pathlib import Path

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
