"""Why: who got nothing and which gate said so, the story of a device, people, strangers."""

from __future__ import annotations

import time
from urllib.parse import quote

from playwright.sync_api import Page, expect

from tests.console.browsing import is_for_everybody, opened
from tests.console.walking import receiving, walk
from tests.e2e.harness import Node, campaign

ODD = "هاتف ليلى/تجربة 1?%&="
PLACE = {"lng": 24.9524, "lat": 60.1752}


def test_who_got_nothing_is_found_by_gate(page: Page) -> None:
    """From the list of answers to one device, its sentence and every gate."""
    opened(page, "why")
    expect(page.locator("tbody tr").first).to_be_visible()
    page.get_by_label("Answer").select_option("audience")
    row = page.locator("tbody tr").first
    expect(row).to_contain_text("This person is not in ")
    is_for_everybody(page)
    page.set_viewport_size({"width": 1280, "height": 800})
    row.get_by_role("link").first.click()
    refused = page.locator(".story > li", has_text="This person is not in ").first
    expect(refused).to_contain_text("No offer of")
    refused.get_by_text("Gate by gate").click()
    expect(refused.locator(".gates > li")).to_have_count(10)
    expect(refused.get_by_text("Not asked").first).to_be_visible()
    expect(refused.get_by_text("Passed").first).to_be_visible()
    is_for_everybody(page)


def test_an_offer_leads_to_its_delivery_and_back(page: Page, node: Node) -> None:
    """From an offer to its delivery and back, to the person, and to the other device."""
    with receiving(node, "why-told"):
        told = campaign("why-told", caps={"cooldown_s": 7200}, with_others=True)
        node.put(
            "/v1/campaigns/why-told", told | {"trigger": {"on": ["enter", "exit"], "zones": {}}}
        )
        node.put(f"/v1/profiles/{quote('ليلى')}", {"devices": ["why-1", "why-2"]})
        walk(node, ["why-1"], lng=24.9414, lat=60.1708)
        opened(page, "why/why-1")
        story = page.locator(".story")
        offer = story.get_by_text("Offer of why-told")
        for _ in range(60):
            if offer.first.is_visible():
                break
            page.get_by_role("button", name="Refresh").click()
            page.wait_for_timeout(250)
        expect(offer.first).to_be_visible()
        expect(page.get_by_text("Belongs to ليلى")).to_be_visible()
        story.get_by_role("link", name="Sent to why-told").first.click()
        expect(page.get_by_role("heading", name="To why-told")).to_be_visible()
        page.get_by_role("link", name="Why?").last.click()
        expect(page.get_by_role("heading", name="why-1")).to_be_visible()
        expect(page.get_by_text("Until ")).to_be_visible()
        expect(story.get_by_text("Sent to why-told").first).to_be_visible()

        page.get_by_label("Device or person").fill("ليلى")
        page.get_by_role("button", name="Explain").click()
        expect(page.get_by_text("is a person with 2 devices")).to_be_visible()
        is_for_everybody(page)
        page.get_by_role("link", name="why-2").click()
        expect(page.get_by_text("Nothing was ever heard of it")).to_be_visible()
        assert node.call("DELETE", "/v1/campaigns/why-told")[0] == 204


def test_a_stranger_is_said_to_be_one(page: Page) -> None:
    """No error of a page that asks for what nobody knows; from there to the app's page."""
    opened(page, "why/nobody-at-all")
    expect(page.get_by_text("Nothing was ever heard of it")).to_be_visible()
    is_for_everybody(page)
    page.get_by_role("link", name="Connect your app").click()
    expect(page.get_by_role("heading", name="Send pings")).to_be_visible()


def test_an_id_may_be_anything(page: Page, node: Node) -> None:
    """Slashes, spaces, Arabic and signs that mean something in an address."""
    ping = {"device": ODD, "ts": time.time() - 30, "acc": 8, **PLACE}
    status, answer = node.call("POST", "/v1/pings", [ping, {**ping, "lat": 95}])
    assert (status, answer["accepted"]) == (202, 1)
    opened(page, "why")
    page.get_by_label("Device or person").fill(ODD)
    page.get_by_label("Device or person").press("Enter")
    expect(page.get_by_role("heading", name=ODD)).to_be_visible()
    expect(page.get_by_text("last heard")).to_be_visible()
    expect(page.locator(".story")).to_contain_text("not 95")
    page.reload()
    expect(page.get_by_role("heading", name=ODD)).to_be_visible()


def test_a_story_is_read_backwards(page: Page) -> None:
    """A day at a time, to and fro; the address holds the span, so a link leads to it."""
    opened(page, "why/walker-001")
    expect(page.get_by_role("heading", name="walker-001")).to_be_visible()
    expect(page.get_by_role("button", name="Later")).to_be_disabled()
    page.get_by_role("button", name="Earlier").click()
    expect(page.get_by_text("Until ")).to_be_visible()
    page.get_by_label("Time").select_option("168")
    assert "hours=168" in page.url
    page.get_by_role("button", name="Later").click()
    expect(page.get_by_role("button", name="Later")).to_be_disabled()
