"""TLS from the phone to the receiver, and each phone with its own password, as operators set it."""

from __future__ import annotations

import json
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest

from geotarget.certificates import client_context
from tests.certificates import Authority
from tests.e2e.harness import ADMIN_KEY, Node, eventually
from tests.test_cli import geotarget

pytestmark = pytest.mark.e2e


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "certificates")


def call(node: Node, trust: ssl.SSLContext, path: str, method: str = "GET") -> Any:
    request = urllib.request.Request(
        f"https://127.0.0.1:{node.port}{path}",
        method=method,
        headers={"authorization": f"Bearer {ADMIN_KEY}"},
    )
    with urllib.request.urlopen(request, timeout=30, context=trust) as answer:
        return json.loads(answer.read())


def shown(port: int, trust: ssl.SSLContext) -> bytes:
    """Return the certificate that a port shows."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        trust.wrap_socket(plain, server_hostname="127.0.0.1") as wrapped,
    ):
        certificate = wrapped.getpeercert(binary_form=True)
        assert certificate is not None
        return certificate


def test_the_whole_path_over_tls(
    node_factory: Callable[..., Node], authority: Authority, tmp_path: Path
) -> None:
    """HTTP and MQTT with the authority's trust; the demo inside goes by the pin.

    A phone with its own password publishes for itself. The certificate is for another name than
    127.0.0.1, and is renewed while everything runs: both ports show the new one.
    """
    pair = authority.issue("pings.example.com", "pings.example.com", "127.0.0.1", file="server")
    node = node_factory(
        arguments=("--demo",),
        environment={
            "GEOTARGET_TLS_CERTIFICATE": str(pair[0]),
            "GEOTARGET_TLS_KEY": str(pair[1]),
            "GEOTARGET_MQTT_DEVICE_ACCESS": "device",
        },
    ).start()
    trust = client_context(authorities=authority.file)
    log = node.data / "up.log"
    assert f"API https://127.0.0.1:{node.port}" in log.read_text()
    assert f"MQTT mqtts://127.0.0.1:{node.mqtt_port}" in log.read_text()
    ready = call(node, trust, "/readyz")
    assert "certificate" in str(ready)
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        call(node, ssl.create_default_context(), "/readyz")

    login = call(node, trust, "/v1/devices/phone-1/credentials", "POST")
    phone = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=login["client_id"])
    phone.username_pw_set(login["username"], login["password"])
    phone.tls_set_context(trust)
    acknowledged: list[int] = []
    phone.on_publish = lambda *arguments: acknowledged.append(arguments[2])
    phone.connect("127.0.0.1", node.mqtt_port)
    phone.loop_start()

    def publish() -> None:
        fix = json.dumps({"ts": time.time(), "lat": 60.1699, "lng": 24.9384, "acc": 10})
        sent = phone.publish(login["topic"], fix, 1).mid
        eventually(lambda: sent in acknowledged, seconds=30, what="the acknowledgement")

    def known(device: str) -> bool:
        try:
            return bool(call(node, trust, f"/v1/devices/{device}")["last_fix"])
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return False
            raise

    began = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    publish()
    eventually(lambda: known("phone-1"), seconds=30, what="the phone's ping")
    eventually(
        lambda: call(node, trust, f"/v1/transitions?limit=1&from={began}")["items"] != [],
        seconds=60,
        what="the demo's fleet, which publishes over TLS too",
    )

    before = shown(node.port, trust)
    assert shown(node.mqtt_port, trust) == before
    authority.issue("pings.example.com", "pings.example.com", "127.0.0.1", file="server")
    for port in (node.port, node.mqtt_port):
        eventually(lambda port=port: shown(port, trust) != before, seconds=30, what="renewal")
    assert shown(node.port, trust) == shown(node.mqtt_port, trust)
    publish()  # the server lets each device in anew; its library connects again by itself
    phone.disconnect()
    phone.loop_stop()
    text = log.read_text()
    assert "a renewed certificate is in use" in text
    assert login["password"] not in text
    assert node.stop() == 0
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        (
            {
                "GEOTARGET_TLS_CERTIFICATE": "{folder}/no.crt",
                "GEOTARGET_TLS_KEY": "{folder}/no.key",
            },
            "error: GEOTARGET_TLS_CERTIFICATE: there is no such file ({folder}/no.crt)",
        ),
        (
            {"GEOTARGET_MQTT_DEVICE_ACCESS": "password"},
            "error: GEOTARGET_MQTT_DEVICE_PASSWORD: is missing: the access `password` needs it",
        ),
        (
            {"GEOTARGET_WEBHOOK_CA": "{folder}/no.pem"},
            "error: GEOTARGET_WEBHOOK_CA: there is no such file ({folder}/no.pem)",
        ),
    ],
)
def test_a_start_that_cannot_be_as_asked_ends_with_the_reason(
    tmp_path: Path, environment: dict[str, str], told: str
) -> None:
    """The message has the variable, and the process never says that it is ready."""
    folder = str(tmp_path)
    given = {name: value.format(folder=folder) for name, value in environment.items()}
    ports = ("--port", "0", "--mqtt-port", "0")
    done = geotarget("up", "--no-live", *ports, "--data", tmp_path / "data", **given)
    assert done.returncode == 2
    assert told.format(folder=folder) in done.stderr
    assert "ready" not in done.stdout
