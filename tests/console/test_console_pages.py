"""Every page shows what it is for, in both themes and at 360 px, and no reader is left out."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.console.browsing import opened
from tests.e2e.harness import ADMIN_KEY, Node

PAGES = {
    "live": "Latest",
    "zones": "18 zones",
    "campaigns": "Campaigns",
    "results": "Results",
    "why": "Why?",
    "deliveries": "Deliveries",
    "deliveries/endpoints": "demo-receiver",
    "deliveries/dead-letters": "Every ping was understood",
    "settings": "API keys",
    "settings/audit": "campaign.put",
}
BOARDS = {"live", "zones"}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("where", PAGES)
def test_a_page_is_there_for_everybody(page: Page, where: str, theme: str) -> None:
    """It shows what it is for, nothing fails, and axe finds nothing to object to."""
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    opened(page, where, board=where in BOARDS)
    expect(page.get_by_text(PAGES[where]).first).to_be_visible()
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]})
    told = [
        f"{each['id']}: {node['target']} {node.get('failureSummary', '')}"
        for each in found.response["violations"]
        for node in each["nodes"]
    ]
    assert told == []


@pytest.mark.parametrize("where", PAGES)
def test_a_page_fits_a_phone(page: Page, where: str) -> None:
    """At 360 px nothing is cut off at the side; what is wider scrolls in a box of its own."""
    page.set_viewport_size({"width": 360, "height": 740})
    opened(page, where, board=where in BOARDS)
    expect(page.get_by_text(PAGES[where]).first).to_be_attached()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_nobody_comes_in_without_a_key(browser: Browser, node: Node) -> None:
    """A wrong key is refused in words; a right one opens the door; signing out shuts it."""
    context = browser.new_context(base_url=f"http://127.0.0.1:{node.port}")
    page = context.new_page()
    page.goto("/#/settings")
    page.get_by_label("API key").fill("gt_live_nothing_like_it")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("unknown, revoked or expired")
    page.get_by_label("API key").fill(ADMIN_KEY)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Settings")).to_be_visible()
    cookies = {each["name"]: each for each in context.cookies()}
    assert cookies["geotarget_session"]["httpOnly"] is True
    assert cookies["geotarget_session"]["sameSite"] == "Strict"
    page.get_by_role("button", name=re.compile("^Sign out")).click()
    expect(page.get_by_label("API key")).to_be_visible()
    assert page.request.get("/v1/zones").status == 401
    context.close()


def test_everything_is_reached_by_keyboard(page: Page) -> None:
    """The first Tab offers to skip to the page; each way is a stop, and Enter goes there."""
    opened(page, "settings")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the page")).to_be_focused()
    page.get_by_role("link", name="Results").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Results")).to_be_visible()
    expect(page.locator("#page")).to_be_focused()


def test_what_happens_is_shown_as_it_happens(page: Page) -> None:
    """The fleet walks: devices are counted, movements come in, one of them can be asked why."""
    opened(page, "live", board=True)
    expect(page.get_by_text("Live", exact=True).last).to_be_visible()
    expect(page.locator(".figure", has_text="Devices").locator("dd")).to_have_text("200")
    first = page.locator(".feed li").first
    expect(first).to_be_visible()
    first.get_by_role("link").first.click()
    expect(page.get_by_role("heading", name="Why?")).to_be_visible()
    expect(page.locator(".story li").first).to_be_visible()
