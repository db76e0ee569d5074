"""The first minute: draw a zone, walk into it, see the offer fire."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page, expect

from tests.console.browsing import corner, opened
from tests.console.walking import receiving, walk
from tests.e2e.harness import Node, campaign, eventually

RING = [(24.9512, 60.1757), (24.9536, 60.1757), (24.9536, 60.1747), (24.9512, 60.1747)]
PHONE = "phone-of-aino"


def test_a_drawn_zone_fires_an_offer(page: Page, node: Node) -> None:
    """A polygon by mouse, a phone that walks into it over MQTT: seen, offered, explained."""
    node.put("/v1/profiles/aino-first", {"attributes": {"first_name": "Aino"}, "devices": [PHONE]})
    with receiving(node, "first-minute") as receiver:
        told = campaign("first-minute", trigger={"on": ["enter"], "zones": {"tags": ["mine"]}})
        node.put("/v1/campaigns/first-minute", told | {"name": "My first", "with_others": True})

        opened(page, "zones", board=True)
        page.evaluate(
            "document.querySelector('.board').geotargetMap"
            ".jumpTo({center: [24.9524, 60.1752], zoom: 15.6})"
        )
        page.get_by_role("toolbar").get_by_role("button", name="Polygon").click()
        for lng, lat in [*RING, RING[0]]:
            x, y = corner(page, lng, lat)
            page.mouse.move(x - 4, y - 4)
            page.mouse.move(x, y, steps=2)
            page.mouse.click(x, y)
            page.wait_for_timeout(350)  # two clicks that come faster are a double click
        page.get_by_label("Name").fill("My corner")
        page.get_by_label("Tags").fill("mine")
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.locator(".toast").last).to_contain_text("was saved")

        opened(page, "live", board=True)
        walk(node, [PHONE], lng=24.9524, lat=60.1752)
        moved = page.locator(".feed li", has_text=PHONE).filter(has_text="entered My corner")
        expect(moved.first).to_be_visible()
        page.get_by_role("button", name="Offers").click()
        offered = page.locator(".feed li", has_text=f"Offer to {PHONE}")
        expect(offered.first).to_be_visible()

        def offers() -> list[dict[str, Any]]:  # others of the fleet may walk in as well
            made = [each for each in receiver.events() if each["type"] == "offer.triggered"]
            return [each for each in made if each["data"]["profile"]["id"] == "aino-first"]

        eventually(lambda: bool(offers()), seconds=30, what="an offer at the receiver")
        (event,) = offers()
        assert event["data"]["offer"]["title"] == "Hello Aino, at My corner"
        assert receiver.unverified == []

        offered.first.get_by_role("link").first.click()
        expect(page.get_by_role("heading", name="Why?")).to_be_visible()
        story = page.locator(".story")
        expect(story).to_contain_text("Entered 'My corner'")
        expect(story).to_contain_text("The offer was made")
        expect(story).to_contain_text("Delivered")

        for path in ("/v1/campaigns/first-minute", "/v1/zones/my-corner"):
            assert node.call("DELETE", path)[0] == 204
