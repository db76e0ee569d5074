"""``POST /v1/devices/{id}/credentials``: how an app's back end gets the password of a phone."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from geotarget.ingest.device_access import DeviceLogins
from geotarget.runtime.admitting import password_login
from geotarget.runtime.brokers import device_login
from geotarget.settings import Settings
from tests.api.conftest import Api


def test_the_password_is_the_one_that_the_broker_knows(
    api_with: Callable[..., Api], tmp_path: Path
) -> None:
    """With everything else that the app needs; the same each time, of another device another."""
    chosen = Settings.read(
        data=tmp_path, host="0.0.0.0", mqtt_port=1884, mqtt_device_access="device"
    )
    api = api_with(device_login=partial(device_login, chosen, DeviceLogins.of(tmp_path)))
    first = api.call("POST", "/v1/devices/phone-1/credentials", expect=200)
    assert first == {
        "url": "mqtt://0.0.0.0:1884",
        "topic": "pings/phone-1",
        "username": "phone-1",
        "password": DeviceLogins.of(tmp_path).password("phone-1"),
        "client_id": "phone-1",
    }
    assert api.call("POST", "/v1/devices/phone-1/credentials", expect=200) == first
    other = api.call("POST", "/v1/devices/phone-2/credentials", expect=200)
    assert other["password"] != first["password"]


def test_at_a_broker_of_ones_own(api_with: Callable[..., Api], tmp_path: Path) -> None:
    """Mosquitto, which was told the passwords: its address, without the login of the ingest."""
    chosen = Settings.read(
        data=tmp_path, mqtt="mqtts://ingest:geheim@broker.example", mqtt_device_access="device"
    )
    api = api_with(device_login=password_login(chosen, None))
    login = api.call("POST", "/v1/devices/phone-1/credentials", expect=200)
    assert login["url"] == "mqtts://broker.example:8883"
    assert login["password"] == DeviceLogins.of(tmp_path).password("phone-1")
    elsewhere = chosen.model_copy(update={"mqtt_phone_url": "mqtts://pings.example.com"})
    api = api_with(device_login=password_login(elsewhere, None))
    login = api.call("POST", "/v1/devices/phone-1/credentials", expect=200)
    assert login["url"] == "mqtts://pings.example.com:8883"
    for other in (
        Settings.read(data=tmp_path, mqtt_device_access="device"),
        Settings.read(data=tmp_path, mqtt="mqtt://broker.example"),
        Settings.read(
            data=tmp_path,
            mqtt="mqtt://broker.example",
            mqtt_device_access="device",
            auth_callout_url="nats://broker.example:4222",
        ),
    ):
        assert password_login(other, None) is None


def test_a_name_that_mqtt_cannot_carry_is_refused(
    api_with: Callable[..., Api], tmp_path: Path
) -> None:
    """422 with the bound: such a device would never get in."""
    chosen = Settings.read(data=tmp_path, mqtt_device_access="device")
    api = api_with(device_login=partial(device_login, chosen, DeviceLogins.of(tmp_path)))
    answer = api.call("POST", "/v1/devices/a%20b/credentials", expect=422)
    assert "must match [A-Za-z0-9_-]{1,64} to publish over MQTT" in str(answer)


def test_where_devices_have_no_passwords_it_says_so(api: Api) -> None:
    """409, with the setting that would give them some."""
    answer = api.call("POST", "/v1/devices/phone-1/credentials", expect=409)
    assert "GEOTARGET_MQTT_DEVICE_ACCESS is not `device`" in answer["detail"]


def test_it_takes_a_scope_of_its_own(api: Api) -> None:
    """A key that writes traces or pings must not get the passwords of phones."""
    for scope in ("pings:write", "traces:write", "profiles:write", "reports:read"):
        headers = api.key(scope)
        api.call("POST", "/v1/devices/phone-1/credentials", expect=403, headers=headers)
    headers = api.key("devices:write")
    api.call("POST", "/v1/devices/phone-1/credentials", expect=409, headers=headers)
