"""The embedded broker as the settings want it: its doors, and what is said about open ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from geotarget.certificates import ServerCertificate
from geotarget.errors import BrokerError, SettingsError
from geotarget.ingest import Publisher
from geotarget.ingest.device_access import FILE, DeviceLogins
from geotarget.ingest.publish import OutgoingPing
from geotarget.runtime.brokers import device_login, embedded_broker
from geotarget.runtime.http_server import is_loopback
from geotarget.settings import Settings
from tests.certificates import Authority

OPEN = "everybody who reaches this machine may publish pings for any device"
PLAIN = "passwords of devices cross the network in plain text"


@pytest.mark.parametrize(
    ("host", "access", "tls", "warned"),
    [
        ("127.0.0.1", "open", False, []),
        ("::1", "open", False, []),
        ("0.0.0.0", "open", False, [OPEN]),
        ("10.0.0.1", "open", True, [OPEN]),
        ("0.0.0.0", "device", False, [PLAIN]),
        ("0.0.0.0", "password", False, [PLAIN]),
        ("0.0.0.0", "device", True, []),
        ("127.0.0.1", "password", False, []),
    ],
)
def test_open_doors_are_warned_of(
    tmp_path: Path, host: str, access: str, tls: bool, warned: list[str]
) -> None:
    """Beyond loopback only; each warning names the variable that shuts the door."""
    password = "x" if access == "password" else ""
    chosen = Settings.read(
        data=tmp_path,
        host=host,
        mqtt_device_access=access,
        mqtt_device_password=password,
    )
    certificate = ServerCertificate(*Authority(tmp_path / "tls").local()) if tls else None
    with capture_logs() as logs:
        embedded_broker(chosen, certificate=certificate, ack_wait_s=1.0)
    assert [each["event"] for each in logs] == warned
    assert all("GEOTARGET_" in each["do"] for each in logs)
    assert (tmp_path / FILE).exists() == (access == "device")


def test_loopback_is_told_from_the_network() -> None:
    """All of 127/8, ::1 and the name; every other address is the network."""
    assert all(is_loopback(host) for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost"))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "10.0.0.1", "example.com"))


def test_one_password_for_all(tmp_path: Path) -> None:
    """Who knows it publishes for any device, who does not is refused, with TLS or without."""
    pair = Authority(tmp_path / "tls").issue("pings.example.com", "pings.example.com")
    chosen = Settings.read(
        data=tmp_path,
        mqtt_port=0,
        mqtt_device_access="password",
        mqtt_device_password="o/pen se#same",
        tls_certificate=str(pair[0]),
        tls_key=str(pair[1]),
    )
    broker = embedded_broker(chosen, certificate=chosen.server_certificate(), ack_wait_s=1.0)
    broker.start()
    try:
        url, trust = chosen.local_broker(broker.port)
        assert url == broker.device_url
        with Publisher(url, tls=trust) as publisher:
            publisher.publish("any", [OutgoingPing(1.0, 2.0, 3.0)])
            assert publisher.flush(10.0)
        stranger = Publisher(f"mqtts://device:wrong@127.0.0.1:{broker.port}", tls=trust)
        with pytest.raises(BrokerError, match="Not authorized"):
            stranger.connect()
    finally:
        broker.stop()


def test_a_password_that_is_missing_is_asked_for(tmp_path: Path) -> None:
    """Before the broker starts."""
    chosen = Settings.read(data=tmp_path, mqtt_device_access="password")
    with pytest.raises(SettingsError, match="GEOTARGET_MQTT_DEVICE_PASSWORD: is missing"):
        embedded_broker(chosen, certificate=None, ack_wait_s=1.0)


def test_a_login_names_the_scheme_and_the_prefix(tmp_path: Path) -> None:
    """As the broker listens: with TLS mqtts, an IPv6 address in brackets."""
    chosen = Settings.read(
        data=tmp_path, host="::1", mqtt_prefix="fleet/pings", tls_certificate="c", tls_key="k"
    )
    login = device_login(chosen, DeviceLogins(bytes(32)), "a", port=1884)
    assert (login.url, login.topic) == ("mqtts://[::1]:1884", "fleet/pings/a")
