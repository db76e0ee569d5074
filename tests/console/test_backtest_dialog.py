"""What a campaign would have done over the last days, asked before it is started."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.console.browsing import READY_MS, is_for_everybody, opened
from tests.e2e.harness import Node

TRY = "Try it on the last days"
SENT = re.compile(r"^Over the last 7 days this would have sent [\d,]+ offers to [\w, ]+\.?")


def test_a_running_campaign_is_tried_again(page: Page) -> None:
    """A sentence first, then days, refusals, zones and what to know; another span asks again."""
    opened(page, "campaigns/shop-special")
    page.get_by_role("button", name=TRY).click()
    dialog = page.get_by_role("dialog", name=TRY)
    expect(dialog.locator(".sentence")).to_have_text(SENT, timeout=READY_MS)
    for name in ("From movement to offer", "Why no offer", "By day", "By zone"):
        expect(dialog.get_by_role("heading", name=name)).to_be_visible()
    expect(dialog.get_by_role("list", name="Offers by day").locator("li").last).to_contain_text("%")
    expect(dialog.get_by_text("With the part of the budget of a day")).to_be_visible()
    expect(
        dialog.get_by_text("Profiles, consents and audiences are those of today")
    ).to_be_visible()
    dialog.get_by_label("Look back over").select_option("1")
    expect(dialog.locator(".sentence")).to_contain_text("Over the last day", timeout=READY_MS)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("button", name=TRY)).to_be_focused()


def test_the_dialog_is_for_everybody(page: Page) -> None:
    """In both themes and on a phone, with an answer in it."""
    opened(page, "campaigns/stay-a-while")
    page.get_by_role("button", name=TRY).click()
    expect(page.locator(".backtest .sentence")).to_contain_text("offers", timeout=READY_MS)
    is_for_everybody(page)


def test_a_draft_is_tried_as_it_stands_in_the_form(page: Page, node: Node) -> None:
    """What it lacks is said without asking; then it is tried, and nothing is stored by that."""
    _, before = node.call("GET", "/v1/campaigns")
    opened(page, "campaigns/new")
    page.get_by_label("Zones that I choose").check()
    page.get_by_role("button", name=TRY).click()
    dialog = page.get_by_role("dialog", name=TRY)
    expect(dialog.get_by_role("alert")).to_contain_text("Choose at least one zone or tag.")
    dialog.get_by_role("button", name="Close").last.click()
    page.get_by_label("Any zone").check()
    page.get_by_role("button", name=TRY).click()
    expect(dialog.locator(".sentence")).to_have_text(SENT, timeout=READY_MS)
    assert node.call("GET", "/v1/campaigns")[1] == before


def test_stays_that_nobody_waited_for(page: Page) -> None:
    """Another length of stay than the one that is waited for comes from entries and exits."""
    opened(page, "campaigns/stay-a-while")
    page.get_by_role("textbox", name="They stay").fill("40")
    page.get_by_role("button", name=TRY).click()
    dialog = page.get_by_role("dialog", name=TRY)
    expect(dialog.locator(".sentence")).to_have_text(SENT, timeout=READY_MS)
    expect(dialog.get_by_text(re.compile("stays of 40 s were worked out from"))).to_be_visible()


def test_a_changed_campaign_is_tried_with_its_changes(page: Page) -> None:
    """Who allows one offer in all sends fewer than before, without saving it first."""
    opened(page, "campaigns/shop-special")
    page.get_by_role("button", name=TRY).click()
    dialog = page.get_by_role("dialog", name=TRY)
    sentence = dialog.locator(".sentence")
    expect(sentence).to_have_text(SENT, timeout=READY_MS)
    offers = int(sentence.inner_text().split("sent ")[1].split()[0].replace(",", ""))
    page.keyboard.press("Escape")
    held = page.get_by_label("Held out, %")
    held.evaluate("field => { field.closest('details').open = true; }")
    held.fill("90")
    page.get_by_role("button", name=TRY).click()
    expect(sentence).to_have_text(SENT, timeout=READY_MS)
    fewer = int(sentence.inner_text().split("sent ")[1].split()[0].replace(",", ""))
    assert 0 < fewer < offers
