"""The page for whoever builds the app: the node's own address, and whether a ping arrives."""

from __future__ import annotations

import time

from playwright.sync_api import Page, expect

from tests.console.browsing import is_for_everybody, opened
from tests.e2e.harness import Node, Phones


def test_the_first_ping_is_waited_for(page: Page, node: Node) -> None:
    """Lines with this node's ports and the device; a broken ping is told, then a good one."""
    opened(page, "deliveries/connect")
    page.get_by_label("Device").fill("my phone")
    expect(page.get_by_text("Such an id can't be a part of a topic.")).to_be_visible()
    expect(page.get_by_role("button", name="Wait for a ping")).to_have_count(0)
    page.get_by_label("Device").fill("first-phone")
    mqtt = page.get_by_label("MQTT", exact=True)
    expect(mqtt).to_contain_text(f"mosquitto_pub -h 127.0.0.1 -p {node.mqtt_port}")
    expect(mqtt).to_contain_text("-q 1 -t 'pings/first-phone'")
    expect(page.get_by_label("HTTP", exact=True)).to_contain_text(
        f"curl -sS http://127.0.0.1:{node.port}/v1/pings"
    )
    phones = Phones(*node.broker_url, name="first-phones")

    page.get_by_role("button", name="Wait for a ping").click()
    with page.expect_response(lambda answer: "/explain" in answer.url):
        expect(page.get_by_text("Waiting for a ping of first-phone")).to_be_visible()
    phones.publish_all([("pings/first-phone", {"ts": time.time() * 1000, "lat": 60, "lng": 24})])
    expect(page.get_by_text("It came, and was refused")).to_contain_text("milliseconds divided")

    with page.expect_response(lambda answer: "/explain" in answer.url):
        page.get_by_role("button", name="Wait for the next").click()
    phones.publish_all([("pings/first-phone", {"ts": time.time(), "lat": 60.5, "lng": 24.5})])
    phones.close()
    expect(page.get_by_text("Received: 60.50000, 24.50000")).to_be_visible()
    is_for_everybody(page)
    page.get_by_role("link", name="What came of it").click()
    expect(page.get_by_role("heading", name="first-phone")).to_be_visible()
