"""Endpoints and deliveries: what fails and is sent again, switches, secrets, forms, refused pings.

Each test has an endpoint and a receiver of its own, on the one node of the demo.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Locator, Page, expect

from tests.console.browsing import is_for_everybody, opened
from tests.console.walking import SECRET
from tests.e2e.harness import Node, Phones, Receiver

NOBODY = {"url": "http://127.0.0.1:9/nobody"}


@contextmanager
def failing(node: Node, endpoint: str, status: int) -> Iterator[Receiver]:
    """Listen as an endpoint that gets one attempt an event, and answer with a status."""
    with Receiver(SECRET, lambda _: status).running() as receiver:
        told = {"url": receiver.url, "secret": SECRET, "retry_delays_s": []}
        node.put(f"/v1/endpoints/{endpoint}", told)
        yield receiver
        assert node.call("DELETE", f"/v1/endpoints/{endpoint}")[0] == 204
        assert receiver.unverified == []


def sent_for_test(node: Node, endpoint: str) -> str:
    """Ask for a test event and return its id."""
    status, answer = node.call("POST", f"/v1/endpoints/{endpoint}:test")
    assert status == 202, answer
    return str(answer["id"])


def refreshed(page: Page, wanted: Locator) -> None:
    """Press Refresh until something is seen."""
    refresh = page.get_by_role("button", name="Refresh")
    for _ in range(100):
        if wanted.is_visible():
            return
        refresh.click()
        page.wait_for_timeout(100)
    expect(wanted).to_be_visible()


def row_of(page: Page, endpoint: str) -> Locator:
    """Return the part of the list that is about an endpoint."""
    return page.locator(
        "article", has=page.get_by_role("heading", name=re.compile(rf"^{endpoint}\b"))
    )


def test_what_failed_is_seen_and_sent_again(page: Page, node: Node) -> None:
    """Attempts with their answers; one alone, then all of a span, under the same webhook-id."""
    with failing(node, "flaky", 500) as receiver:
        ids = [sent_for_test(node, "flaky") for _ in range(3)]
        opened(page, "deliveries?endpoint=flaky")
        failed = page.locator("tbody").get_by_text("Failed")
        refreshed(page, failed.nth(2))
        page.locator(f"tbody a[href$='{ids[0]}']").click()
        expect(page.get_by_role("heading", name="To flaky")).to_be_visible()
        attempts = page.get_by_role("table", name="Attempts to flaky")
        expect(attempts).to_contain_text("500")
        expect(page.locator(".pairs")).to_contain_text(ids[0])
        expect(page.get_by_text('"type": "test"')).to_be_visible()
        expect(page.get_by_text("Endpoint", exact=True)).to_be_visible()

        receiver.status = lambda _: 204
        page.get_by_role("button", name="Send again").click()
        expect(page.locator(".toast").last).to_contain_text("1 delivery is sent again")
        refreshed(page, page.get_by_text("Delivered", exact=True))
        expect(attempts.locator("tbody tr")).to_have_count(2)
        assert receiver.posts[ids[0]] == 2
        assert list(receiver.bodies) == [ids[0]]
        is_for_everybody(page)

        page.set_viewport_size({"width": 1280, "height": 800})
        opened(page, "deliveries?endpoint=flaky")
        page.get_by_role("button", name="Send again …").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Made in").select_option("between two times")
        dialog.get_by_label("To", exact=True).fill("2020-01-01T00:00")
        expect(dialog.get_by_role("button", name="Send again")).to_be_disabled()
        dialog.get_by_label("Made in").select_option("the last hour")
        dialog.get_by_role("button", name="Send again").click()
        expect(page.locator(".toast").last).to_contain_text("2 deliveries are sent again")
        refreshed(page, page.locator("tbody").get_by_text("Delivered").nth(2))
        assert {each: receiver.posts[each] for each in ids} == dict.fromkeys(ids, 2)
        assert sorted(receiver.bodies) == sorted(ids)


def test_an_endpoint_that_is_gone_is_off_and_can_be_turned_on(page: Page, node: Node) -> None:
    """After 410 it is off by itself, with the reason; a person turns it on, off, with theirs."""
    with failing(node, "leaving", 410) as receiver:
        gone = sent_for_test(node, "leaving")
        opened(page, "deliveries/endpoints")
        row = row_of(page, "leaving")
        refreshed(page, row.get_by_text("410"))
        expect(row.locator(".tag")).to_have_text("Off")
        expect(row.get_by_role("button", name="Test")).to_have_count(0)

        receiver.status = lambda _: 204
        row.get_by_role("button", name="Turn on").click()
        expect(row.locator(".tag")).to_have_text("On")
        row.get_by_role("button", name="Turn off").click()
        page.get_by_label("Why").fill("moving house · نقل")
        page.get_by_role("dialog").get_by_role("button", name="Turn off").click()
        expect(row).to_contain_text("moving house · نقل")
        _, stored = node.call("GET", "/v1/endpoints/leaving")
        assert (stored["state"], stored["retry_delays_s"]) == ("disabled", [])
        is_for_everybody(page)
        row.get_by_role("button", name="Turn on").click()
        expect(row.locator(".tag")).to_have_text("On")
        assert receiver.posts[gone] == 1


def test_an_endpoint_is_made_changed_and_deleted(page: Page, node: Node) -> None:
    """All of its settings; the public key to copy; headers by name only; asked before it goes."""
    opened(page, "deliveries/endpoints/new")
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Id").fill("demo-receiver")
    dialog.get_by_label("Address").fill("crm.example.com")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_contain_text("There is an endpoint of this id already.")
    expect(dialog).to_contain_text("An address begins with https://")
    dialog.get_by_label("Id").fill("made-here")
    dialog.get_by_label("Address").fill(NOBODY["url"])
    dialog.get_by_label("Entered a zone").check()
    dialog.get_by_label("How it is signed").select_option("ed25519")
    dialog.get_by_text("Retries, order, place, headers and pace").click()
    dialog.get_by_label("When an attempt fails").select_option("own")
    dialog.get_by_label("Pauses").fill("5 s, soon")
    dialog.get_by_label("Headers that go").select_option("new")
    dialog.get_by_label("Headers", exact=True).fill("Authorization: Bearer hidden-value\nX-Shop: 7")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_contain_text("Pauses with a comma between")
    dialog.get_by_label("Pauses").fill("5 s, 2 min, 1 d")
    dialog.get_by_label("In order").check()
    dialog.get_by_label("Tell where the device was").select_option("cell")
    is_for_everybody(page)
    page.set_viewport_size({"width": 1280, "height": 800})
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="The public key")).to_be_visible()
    expect(page.locator("code.secret")).to_contain_text("whpk_")
    page.get_by_role("button", name="Done").click()

    row = row_of(page, "made-here")
    for told in ("sends Authorization, X-Shop", "5 s, 2 min, 1 d", "in order", "Ed25519", "cell"):
        expect(row).to_contain_text(told)
    row.get_by_role("link", name="made-here").click()
    dialog.get_by_label("Description").fill("قناة العملاء")
    dialog.get_by_role("button", name="Save").click()
    expect(row).to_contain_text("قناة العملاء")
    assert "hidden-value" not in page.content()
    _, stored = node.call("GET", "/v1/endpoints/made-here")
    kept = {name: stored[name] for name in ("headers", "retry_delays_s", "ordered", "position")}
    assert kept == {
        "headers": ["Authorization", "X-Shop"],
        "retry_delays_s": [5, 120, 86_400],
        "ordered": True,
        "position": "cell",
    }
    assert stored["events"] == ["offer.triggered", "transition.enter"]

    row.get_by_role("button", name="How to verify").click()
    expect(page.get_by_role("dialog")).to_contain_text("Ed25519PublicKey")
    is_for_everybody(page)
    page.set_viewport_size({"width": 1280, "height": 800})
    page.get_by_role("button", name="Done").click()
    row.get_by_role("button", name="Delete made-here").click()
    expect(dialog).to_contain_text("What still waits for it counts as failed.")
    page.keyboard.press("Escape")
    expect(row.get_by_role("button", name="Delete made-here")).to_be_focused()
    row.get_by_role("button", name="Delete made-here").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0)


def test_a_secret_is_rotated_and_shown_once(page: Page, node: Node) -> None:
    """Both sign for a day, a key pair after a secret as well; afterwards nothing shows it."""
    node.put("/v1/endpoints/rotated", NOBODY)
    opened(page, "deliveries/endpoints")
    row = row_of(page, "rotated")
    row.get_by_role("button", name="Rotate", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Rotate", exact=True).click()
    secret = page.locator("code.secret")
    expect(secret).to_contain_text("whsec_")
    shown = secret.inner_text()
    page.get_by_role("button", name="I have kept it").click()
    expect(row).to_contain_text("until")
    page.reload()
    expect(row).to_contain_text(shown[-4:])
    assert shown not in page.content()
    _, stored = node.call("GET", "/v1/endpoints/rotated")
    assert stored["previous_secret"] is not None

    row.get_by_role("button", name="Rotate", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("How long").select_option("0")
    expect(dialog).to_contain_text("refuses everything")
    dialog.get_by_label("How the new one signs").select_option("ed25519")
    dialog.get_by_role("button", name="Rotate", exact=True).click()
    expect(secret).to_contain_text("whpk_")
    page.get_by_role("button", name="Done").click()
    expect(row).to_contain_text("signs with Ed25519")
    assert node.call("DELETE", "/v1/endpoints/rotated")[0] == 204


def test_a_test_event_leads_to_its_attempts(page: Page) -> None:
    """One click; its page shows the attempt and the answer."""
    opened(page, "deliveries/endpoints")
    row_of(page, "demo-receiver").get_by_role("button", name="Test").click()
    expect(page.get_by_role("heading", name="To demo-receiver")).to_be_visible()
    refreshed(page, page.get_by_text("Delivered", exact=True))
    expect(page.get_by_role("table", name="Attempts to demo-receiver")).to_contain_text("204")


def test_a_refused_ping_says_what_to_do(page: Page, node: Node) -> None:
    """Published broken over MQTT: its reason, place, content and advice; by reason, too."""
    phones = Phones(*node.broker_url, name="broken-phones")
    phones.publish_all(
        [
            ("pings/swapped", {"ts": 1_767_268_800, "lat": 124.9, "lng": 60.2}),
            ("pings/muddled", "not JSON".encode("utf-16")),
        ]
    )
    phones.close()
    opened(page, "deliveries/dead-letters")
    row = page.locator("tbody tr", has_text="pings/swapped")
    refreshed(page, row)
    expect(row).to_contain_text("$.lat: latitude must be within -90 and 90, not 124.9")
    expect(row).to_contain_text("the two are swapped")
    row.get_by_text("What came").click()
    expect(row.locator("pre")).to_contain_text(json.dumps(124.9))
    page.get_by_label("Reason").select_option("json")
    expect(page.locator("tbody tr", has_text="muddled")).to_be_visible()
    expect(row).to_have_count(0)
    is_for_everybody(page)
    page.get_by_role("link", name="muddled").click()
    expect(page.locator(".story")).to_contain_text("A ping was refused")
