"""Endpoints and deliveries: tests, secrets and what is sent again."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.console.browsing import opened
from tests.e2e.harness import Node


def test_a_test_event_arrives_and_is_sent_again(page: Page) -> None:
    """A test is one click; its page shows the attempt and the answer; again makes a second one."""
    opened(page, "deliveries/endpoints")
    page.get_by_role("button", name="Test").click()
    expect(page.get_by_role("heading", name="To demo-receiver")).to_be_visible()
    refresh = page.get_by_role("button", name="Refresh")
    delivered = page.get_by_text("Delivered")
    for _ in range(50):
        if delivered.is_visible():
            break
        refresh.click()
        page.wait_for_timeout(100)
    expect(delivered).to_be_visible()
    page.get_by_role("button", name="Send again").click()
    expect(page.locator(".toast").last).to_contain_text("1 delivery is sent again")


def test_a_secret_is_rotated(page: Page, node: Node) -> None:
    """The new secret is shown once; both sign for a day."""
    node.put("/v1/endpoints/rotated", {"url": "http://127.0.0.1:9/nobody"})
    opened(page, "deliveries/endpoints")
    row = page.locator("article", has_text="rotated")
    row.get_by_role("button", name="Rotate", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Rotate", exact=True).click()
    secret = page.locator("code.secret")
    expect(secret).to_contain_text("whsec_")
    page.get_by_role("button", name="I have kept it").click()
    expect(row).to_contain_text("until")
    _, stored = node.call("GET", "/v1/endpoints/rotated")
    assert stored["previous_secret"] is not None
    assert node.call("DELETE", "/v1/endpoints/rotated")[0] == 204
