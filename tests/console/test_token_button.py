"""A token for the phone on the desk, made on the page about connecting."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from playwright.sync_api import Browser, expect

from tests.console.browsing import is_for_everybody, opened, signed_in, watched
from tests.e2e.harness import ADMIN_KEY, Node, eventually
from tests.e2e.own_nats import SOON_S, nats_of_ones_own
from tests.ports import free_ports


@pytest.fixture
def admitting(tmp_path: Path) -> Iterator[tuple[Node, int]]:
    """A node that answers for a NATS server of one's own; the port of phones there."""
    with nats_of_ones_own(tmp_path) as (url, phones, told):
        (port,) = free_ports(1)
        node = Node(
            data=tmp_path / "data", port=port, mqtt_port=0, broker=url, environment=told
        ).start()
        try:
            yield node, phones
        finally:
            node.kill()


def answer_to(port: int, device: str, password: str) -> str:
    """Log in as a phone does; return what the broker says."""
    answers: list[str] = []
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=device)
    client.username_pw_set(device, password)
    client.on_connect = lambda *a: answers.append(str(a[3]))
    client.connect("127.0.0.1", port)
    client.loop_start()
    eventually(lambda: bool(answers), seconds=SOON_S, what="an answer of the broker")
    client.disconnect()
    client.loop_stop()
    return answers[0]


def test_a_token_is_made_and_lets_the_phone_in(
    browser: Browser, admitting: tuple[Node, int]
) -> None:
    """Shown once, for this device and an hour; another id, and another password, get nowhere."""
    node, phones = admitting
    context = signed_in(browser, node.port, ADMIN_KEY)
    with watched(context, node.port) as page:
        opened(page, "deliveries/connect")
        expect(page.get_by_text("Each device has a token of its own")).to_be_visible()
        expect(page.get_by_label("MQTT", exact=True)).to_contain_text('-P "$MQTT_PASSWORD"')
        device = page.get_by_label("Device")
        device.fill("my phone")
        make = page.get_by_role("button", name="Make a token for an hour")
        expect(make).to_be_disabled()
        device.fill("first-phone")
        make.click()
        expect(page.get_by_role("heading", name="Token of first-phone")).to_be_visible()
        expect(page.get_by_text("Shown this once.")).to_be_visible()
        expect(make).to_have_count(0)
        token = page.locator("code.secret").inner_text()
        is_for_everybody(page)
        device.fill("second-phone")
        expect(page.get_by_text(token)).to_have_count(0)
        expect(make).to_be_enabled()
    context.close()
    assert answer_to(phones, "first-phone", token) == "Success"
    assert answer_to(phones, "second-phone", token) == "Not authorized"
    assert answer_to(phones, "first-phone", f"{token}x") == "Not authorized"
    (made,) = node.call("GET", "/v1/devices/first-phone/tokens")[1]["items"]
    assert (made["name"], made["revoked"]) == ("console", None)
    left_s = (datetime.fromisoformat(made["expires"]) - datetime.now(UTC)).total_seconds()
    assert 3_000 < left_s <= 3_600
