"""Tokens of devices as an operator has them: a node, a broker, a phone, HTTP and nothing else."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest

from tests.e2e.harness import Node, eventually
from tests.e2e.own_nats import nats_of_ones_own

pytestmark = pytest.mark.e2e

REFUSED = "Not authorized"
SOON_S = 60.0


class Phone:
    """Logs in as the API said, and comes back when it is cut, as apps do."""

    def __init__(self, port: int, made: dict[str, Any]) -> None:
        login = made["login"]
        self.topic = login["topic"]
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=login["client_id"])
        self.client.username_pw_set(login["username"], made["token"])
        self.client.reconnect_delay_set(1, 1)
        self.answers: list[str] = []
        self.acknowledged: list[int] = []
        self.client.on_connect = lambda *a: self.answers.append(str(a[3]))
        self.client.on_publish = lambda *a: self.acknowledged.append(a[2])
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        eventually(lambda: bool(self.answers), seconds=SOON_S, what="an answer of the broker")

    def publish(self) -> None:
        """Send a fix and wait for the acknowledgement."""
        fix = json.dumps({"ts": time.time(), "lat": 60.1699, "lng": 24.9384, "acc": 10})
        sent = self.client.publish(self.topic, fix, 1).mid
        eventually(lambda: sent in self.acknowledged, seconds=SOON_S, what="the acknowledgement")

    def close(self) -> None:
        """Go."""
        self.client.disconnect()
        self.client.loop_stop()


def act(node: Node, port: int) -> None:
    """Have a token made, use it, replace it, and take both back."""
    tokens = "/v1/devices/phone-1/tokens"
    status, first = node.call("POST", tokens, {"name": "Pixel", "valid_s": 3600})
    assert status == 201
    phone = Phone(port, first)
    phone.publish()
    eventually(
        lambda: node.call("GET", "/v1/devices/phone-1")[0] == 200, seconds=SOON_S, what="the ping"
    )
    _, second = node.call("POST", tokens, {})
    other = Phone(port, {**second, "login": second["login"]})
    other.publish()
    other.close()
    assert node.call("DELETE", f"{tokens}/{second['id']}")[0] == 204
    again = Phone(port, second)
    assert again.answers == [REFUSED]
    again.close()
    assert node.call("DELETE", f"{tokens}/{first['id']}")[0] == 204
    eventually(lambda: REFUSED in phone.answers, seconds=SOON_S, what="cut, and refused")
    phone.close()
    listed = node.call("GET", tokens)[1]["items"]
    assert [True, True] == [each["revoked"] is not None for each in listed]


def test_at_the_embedded_broker(node_factory: Callable[..., Node]) -> None:
    """With GEOTARGET_MQTT_DEVICE_ACCESS=device, and no more."""
    node = node_factory(environment={"GEOTARGET_MQTT_DEVICE_ACCESS": "device"}).start()
    act(node, node.mqtt_port)
    assert node.stop() == 0


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[tuple[str, int, dict[str, str]]]:
    """The shipped server of one's own, its callout switched on; what geotarget has to be told."""
    with nats_of_ones_own(tmp_path) as told:
        yield told


def test_at_a_nats_server_of_ones_own(
    node_factory: Callable[..., Node], nats: tuple[str, int, dict[str, str]]
) -> None:
    """The node that serves HTTP answers it; without it nobody new comes in."""
    url, port, told = nats
    node = node_factory(broker=url, environment=told).start()
    ready = node.call("GET", "/readyz")[1]
    assert "admission" in str(ready)
    connection = node.call("GET", "/v1/connection")[1]["mqtt"]
    assert (connection["access"], connection["username"]) == ("token", "{device}")
    act(node, port)
    _, made = node.call("POST", "/v1/devices/phone-2/tokens", {})
    assert node.stop() == 0
    phone = Phone(port, made)
    assert phone.answers == [REFUSED]
    phone.close()
