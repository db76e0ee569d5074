"""Every page shows what it is for, in both themes and at 360 px, and no reader is left out."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.console.browsing import is_for_everybody, opened, watched
from tests.e2e.harness import ADMIN_KEY, Node

PAGES = {
    "live": "Latest",
    "zones": re.compile(r"^\d+ zones$"),
    "campaigns": "Campaigns",
    "results": "Results",
    "why": "Why?",
    "deliveries": "Deliveries",
    "deliveries/endpoints": "demo-receiver",
    "deliveries/dead-letters": "nothing is thrown away in silence",
    "deliveries/connect": "Connect your app",
    "settings": "API keys",
    "settings/consent": "How consent works",
    "settings/retention": "GEOTARGET_RETENTION_HISTORY_DAYS",
    "settings/rules": "Quiet hours",
    "settings/audit": "campaign.put",
}
BOARDS = {"live", "zones"}


@pytest.mark.parametrize("where", PAGES)
def test_a_page_is_there_for_everybody(page: Page, where: str) -> None:
    """It shows what it is for; axe objects to nothing in either theme; a phone shows all of it."""
    opened(page, where, board=where in BOARDS)
    expect(page.get_by_text(PAGES[where]).first).to_be_visible()
    is_for_everybody(page)


def a_campaign(page: Page) -> None:
    """One that runs, to be changed."""
    opened(page, "campaigns/shop-special")
    expect(page.get_by_label("Name").first).to_have_value("Today's special at the door")


def a_new_campaign(page: Page) -> None:
    """An empty form."""
    opened(page, "campaigns/new")
    expect(page.get_by_label("Name").first).to_have_value("")


def versions(page: Page) -> None:
    """What a campaign was."""
    opened(page, "campaigns/shop-special/versions")
    expect(page.get_by_text("Version 1").first).to_be_visible()


def a_zone(page: Page) -> None:
    """One on the map, in its form."""
    opened(page, "zones/corner-cafe", board=True)
    expect(page.get_by_label("Name").first).to_have_value("Corner café")


def an_import(page: Page) -> None:
    """The dialog that takes a file."""
    opened(page, "zones", board=True)
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_role("dialog")).to_be_visible()


def a_new_endpoint(page: Page) -> None:
    """The form of an endpoint."""
    opened(page, "deliveries/endpoints")
    page.get_by_role("link", name="New endpoint").click()
    expect(page.get_by_label("Address")).to_be_visible()


def a_delivery(page: Page) -> None:
    """One event with its attempts."""
    opened(page, "deliveries")
    page.locator("tbody a").first.click()
    expect(page.get_by_role("heading", name="To demo-receiver")).to_be_visible()


def results_of_a_campaign(page: Page) -> None:
    """The funnel and what refused."""
    opened(page, "results/campaign/shop-special")
    expect(page.get_by_text("Today's special at the door").first).to_be_visible()


def traffic_of_a_zone(page: Page) -> None:
    """Visits by day."""
    opened(page, "results/zone/corner-cafe")
    expect(page.get_by_text("Corner café").first).to_be_visible()


def a_story(page: Page) -> None:
    """What happened to a device, with the gates of a decision unfolded."""
    opened(page, "deliveries")
    device = page.locator("tbody small").first.inner_text().split(" in ")[0]
    opened(page, f"why/{device}")
    expect(page.locator(".story li").first).to_be_visible()
    for each in page.locator(".story summary").all()[:3]:
        each.click()


def a_new_key(page: Page) -> None:
    """The dialog that makes a key."""
    opened(page, "settings")
    page.get_by_role("button", name="New key").click()
    expect(page.get_by_role("dialog")).to_be_visible()


FURTHER = [
    a_campaign, a_new_campaign, versions, a_zone, an_import, a_new_endpoint, a_delivery,
    results_of_a_campaign, traffic_of_a_zone, a_story, a_new_key,
]  # fmt: skip


@pytest.mark.parametrize("show", FURTHER, ids=lambda show: show.__name__)
def test_what_lies_behind_a_page_is_there_for_everybody(
    page: Page, show: Callable[[Page], None]
) -> None:
    """Forms, dialogs and details: no objection of axe in either theme, and whole on a phone."""
    show(page)
    is_for_everybody(page)


def test_nobody_comes_in_without_a_key(browser: Browser, node: Node) -> None:
    """A wrong key is refused in words; a right one opens the door; signing out shuts it."""
    context = browser.new_context(base_url=f"http://127.0.0.1:{node.port}")
    with watched(context, node.port) as door:
        door.goto("/")
        expect(door.get_by_label("API key")).to_be_visible()
        is_for_everybody(door)
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
    expect(page.locator(".figure", has_text="Devices").locator("dd")).to_have_text(
        re.compile(r"^2\d\d$")
    )
    first = page.locator(".feed li").first
    expect(first).to_be_visible()
    first.get_by_role("link").first.click()
    expect(page.get_by_role("heading", name="Why?")).to_be_visible()
    expect(page.locator(".story li").first).to_be_visible()
