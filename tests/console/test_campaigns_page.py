"""A campaign from its first word to its results, and two people who change the same one."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.console.browsing import objections, opened
from tests.console.walking import receiving, walk
from tests.e2e.harness import Node, Receiver, campaign, eventually, square

LNG, LAT = 24.905, 60.158
PHONES = [f"flow-{number:02}" for number in range(24)]
STRANGER = "flow-stranger"


@pytest.fixture(scope="module")
def ready(node: Node) -> Iterator[Receiver]:
    """Give the demo a zone of this test's own, two dozen gold people, a stranger, a receiver."""
    node.put("/v1/zones/flow", square("flow", lng=LNG, lat=LAT, half_m=120, name="Flow square"))
    for number, phone in enumerate(PHONES):
        node.put(
            f"/v1/profiles/{phone}", {"attributes": {"tier": "gold", "first_name": f"Ada {number}"}}
        )
    node.put(f"/v1/profiles/{STRANGER}", {"attributes": {"tier": "blue", "first_name": "Bo"}})
    with receiving(node, "flow-receiver") as receiver:
        yield receiver
        for each in ("flow-greeting", "shared-one", "short-lived"):
            node.call("DELETE", f"/v1/campaigns/{each}")
        node.call("DELETE", "/v1/zones/flow")


def section(page: Page, title: str) -> Locator:
    """Return an open section of the form."""
    found = page.locator("details.section").filter(
        has=page.get_by_role("heading", name=title, exact=True)
    )
    if found.get_attribute("open") is None:
        found.locator("summary").first.click()
    return found


def write(page: Page) -> None:
    """Fill in the form as a marketer would: zone, audience, two variants, schedule, cap."""
    page.get_by_label("Name", exact=True).fill("Flow greeting")
    page.get_by_label("Zones that I choose").check()
    page.get_by_label("Search zones").first.fill("Flow square")
    page.get_by_role("checkbox", name="Flow square").first.check()
    expect(page.get_by_text("That is 1 zone at the moment.")).to_be_visible()

    section(page, "Audience")
    page.get_by_label("Add a condition").select_option("attribute")
    page.get_by_label("Attribute", exact=True).fill("tier")
    page.get_by_label("Value", exact=True).fill("gold")
    expect(page.get_by_label("The rule (CEL)")).to_have_value("profile.tier == 'gold'")
    expect(page.locator(".reach").first).to_contain_text(re.compile(r"\d+ of \d+ people"))

    page.get_by_label("Title").fill("Hello {{ profile.first_name }}")
    page.get_by_role("button", name="Try a second variant against it").click()
    second = page.get_by_role("group", name="Variant b")
    second.get_by_label("Title").fill("Welcome {{ profile.first_name }}")
    second.get_by_label("Text").fill("to {{ zone.name }}")

    section(page, "Where to").get_by_role("checkbox", name=re.compile("flow-receiver")).check()
    every_day = section(page, "Schedule").get_by_role("group", name="Weekdays")
    for day in ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"):
        every_day.get_by_role("button", name=day).click()
    limits = section(page, "Limits")
    limits.get_by_role("button", name="Add a limit").click()
    limits.get_by_label("At most").fill("1")
    limits.get_by_label("Stands beside other campaigns").check()


def previewed_for(page: Page, person: str) -> Locator:
    """Choose a real person in the preview, and return what is told about them."""
    page.get_by_role("searchbox", name="Who").fill(person)
    preview = page.get_by_role("region", name="Preview")
    expect(preview.locator(".sent h3")).to_be_visible()
    return preview


def test_a_campaign_from_its_name_to_its_results(
    page: Page, node: Node, ready: Receiver, tmp_path: Path
) -> None:
    """Made, previewed, started; offers arrive, the funnel moves, a refusal is explained, a CSV."""
    opened(page, "campaigns/new")
    write(page)
    page.get_by_role("button", name="For a real profile").click()
    preview = previewed_for(page, PHONES[7])
    expect(preview.locator(".message")).to_contain_text("Hello Ada 7")
    expect(preview.locator(".sent h3")).to_have_text("They would get it now, if it ran")
    preview.get_by_role("button", name="b", exact=True).click()
    expect(preview.locator(".message")).to_contain_text("Welcome Ada 7")
    expect(preview.locator(".message")).to_contain_text("to Flow square")
    page.get_by_role("searchbox", name="Who").fill("Bo")
    page.get_by_role("list", name="Found").get_by_role("button", name=STRANGER).click()
    expect(preview.locator(".sent h3")).to_have_text("They would not get it now, if it ran")
    expect(preview.locator(".sent li.no")).to_contain_text("Audience")
    assert objections(page) == []

    page.get_by_role("button", name="Save and start").click()
    expect(page.locator(".toast").last).to_contain_text("Flow greeting was saved: running")
    row = page.locator("li.campaign", has_text="Flow greeting")
    expect(row).to_contain_text("Running")
    _, stored = node.call("GET", "/v1/campaigns/flow-greeting")
    assert stored["trigger"]["zones"]["ids"] == ["flow"]
    assert stored["caps"]["per_profile"] == [{"max": 1, "period_s": 86_400}]
    assert [each["id"] for each in stored["variants"]] == ["a", "b"]

    walk(node, [*PHONES, STRANGER], lng=LNG, lat=LAT)

    def offers() -> list[str]:  # other tests' campaigns told this receiver of the fleet
        ours = (each["data"] for each in ready.events())
        return [each["offer"]["title"] for each in ours if each["campaign"] == "flow-greeting"]

    eventually(lambda: len(offers()) == len(PHONES), seconds=60, what="all offers arrived")
    titles = {title.split()[0] for title in offers()}
    assert titles == {"Hello", "Welcome"}
    assert ready.unverified == []

    def delivered() -> Any:
        _, report = node.call("GET", "/v1/reports/campaigns/flow-greeting")
        return {each["step"]: each["count"] for each in report["funnel"]}["delivered"]

    eventually(lambda: delivered() == len(PHONES), seconds=30, what="the funnel has moved")
    opened(page, "results/campaign/flow-greeting")
    funnel = page.locator(".bars li")
    expect(funnel.filter(has_text="Offers sent").first).to_contain_text("24")
    expect(funnel.filter(has_text="Offers delivered").first).to_contain_text("24")
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").first.click()
    download.value.save_as(tmp_path / "results.csv")
    rows = list(csv.DictReader(StringIO((tmp_path / "results.csv").read_text("utf-8-sig"))))
    assert any("24" in row.values() for row in rows), rows

    opened(page, f"why/{STRANGER}")
    story = page.locator(".story")
    expect(story).to_contain_text("flow-greeting")
    expect(story).to_contain_text("not in the campaign's audience")


def test_an_unfinished_draft_is_previewed(page: Page) -> None:
    """What still lacks is not asked for in vain: the offer is shown, the console stays silent."""
    opened(page, "campaigns/new")
    page.get_by_label("Title").fill("Warm up")
    with page.expect_response(lambda each: each.url.endswith("/v1/campaigns:preview")) as answer:
        page.get_by_role("button", name="Stays a while").click()
    assert answer.value.ok
    expect(page.get_by_role("region", name="Preview")).to_contain_text("Warm up")


def test_two_people_do_not_overwrite_each_other(
    context: BrowserContext, page: Page, node: Node, ready: Receiver
) -> None:
    """Who saves second hears who was first and what changed, and can load that or insist."""
    told = campaign("flow-receiver", name="Shared", status="draft")
    first = node.put("/v1/campaigns/shared-one", told)["version"]
    mine = context.new_page()  # the browser notes the refusal as an error
    opened(mine, "campaigns/shared-one")
    mine.get_by_label("Name", exact=True).fill("Mine")

    opened(page, "campaigns/shared-one")
    page.get_by_label("Name", exact=True).fill("Theirs")
    page.get_by_role("button", name="Save as draft").click()
    expect(page.get_by_text(f"Version {first + 1}, saved")).to_be_visible()

    mine.get_by_role("button", name="Save as draft").click()
    dialog = mine.get_by_role("dialog", name="Somebody else was first")
    expect(dialog).to_contain_text(f"saved version {first + 1}")
    expect(dialog).to_contain_text("Theirs")
    dialog.get_by_role("button", name="Keep editing").click()
    expect(mine.get_by_label("Name", exact=True)).to_have_value("Mine")
    mine.get_by_role("button", name="Save as draft").click()
    dialog.get_by_role("button", name="Load theirs").click()
    expect(mine.get_by_label("Name", exact=True)).to_have_value("Theirs")
    mine.get_by_label("Name", exact=True).fill("Agreed")
    mine.get_by_role("button", name="Save as draft").click()
    expect(mine.get_by_text(f"Version {first + 2}, saved")).to_be_visible()

    page.get_by_label("Name", exact=True).fill("Not saved")
    with page.expect_request("**/versions?*"):
        page.evaluate("location.hash = '#/campaigns/shared-one/versions'")
        page.get_by_role("dialog").get_by_role("button", name="Leave").click()
    expect(page.locator(".version-of").first).to_contain_text("Agreed")
    expect(page.locator(".version-of").first).to_contain_text(" by ")
    page.get_by_role("button", name=f"Restore version {first}").click()
    page.get_by_role("dialog").get_by_role("button", name="Restore").click()
    expect(page.locator(".version-of").first).to_contain_text(f"Version {first + 3}")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".version-of").first).to_contain_text(f"Version {first + 4}")

    mine.get_by_label("Name", exact=True).fill("Insisted")
    mine.get_by_role("button", name="Save as draft").click()
    dialog.get_by_role("button", name="Save mine over it").click()
    expect(mine.get_by_text(f"Version {first + 5}, saved")).to_be_visible()
    assert node.call("GET", "/v1/campaigns/shared-one")[1]["name"] == "Insisted"
    mine.close()


def test_two_people_do_not_overwrite_each_others_audience(
    context: BrowserContext, node: Node, ready: Receiver
) -> None:
    """The same question as at a campaign: load theirs, insist, or make it again."""
    path = "/v1/audiences/flow-shared"

    def theirs(name: str) -> None:
        node.put(path, {"rule": "profile.tier == 'blue'", "name": name})

    node.put(path, {"rule": "profile.tier == 'gold'", "name": "Shared"})
    page = context.new_page()  # the browser notes the refusal as an error
    opened(page, "campaigns/new")
    section(page, "Audience").get_by_role("button", name="Change or delete named audiences").click()
    page.get_by_role("button", name="Change: Shared").click()
    name = page.get_by_role("dialog").get_by_label("Name", exact=True)
    save = page.get_by_role("dialog").get_by_role("button", name="Save", exact=True)
    first = page.get_by_role("dialog", name="Somebody else was first")
    name.fill("Mine")
    theirs("Theirs")
    save.click()
    expect(first).to_contain_text("stored by")
    expect(first.get_by_label("What changed in version")).to_contain_text("'blue'")
    first.get_by_role("button", name="Keep editing").click()
    expect(name).to_have_value("Mine")
    save.click()
    first.get_by_role("button", name="Load theirs").click()
    expect(name).to_have_value("Theirs")
    name.fill("Agreed")
    save.click()
    expect(page.get_by_role("button", name="Change: Agreed")).to_be_visible()

    page.get_by_role("button", name="Change: Agreed").click()
    name.fill("Insisted")
    theirs("Theirs again")
    save.click()
    first.get_by_role("button", name="Save mine over it").click()
    expect(page.get_by_role("button", name="Change: Insisted")).to_be_visible()
    assert node.call("GET", path)[1]["name"] == "Insisted"

    page.get_by_role("button", name="Change: Insisted").click()
    assert node.call("DELETE", path)[0] == 204
    save.click()
    gone = page.get_by_role("dialog", name="Somebody has deleted this audience")
    gone.get_by_role("button", name="Make it again").click()
    expect(page.get_by_role("button", name="Delete: Insisted")).to_be_visible()
    assert node.call("DELETE", path)[0] == 204
    page.close()


def test_pausing_and_deleting_can_be_undone(page: Page, node: Node, ready: Receiver) -> None:
    """Each is one click from the list, and one click back; an end too."""
    told = campaign("flow-receiver", name="Short lived", trigger={"zones": {"ids": ["flow"]}})
    node.put("/v1/campaigns/short-lived", told)
    opened(page, "campaigns")
    row = page.locator("li.campaign", has_text="Short lived")
    for does, status in (("Pause", "paused"), ("End", "ended")):
        row.get_by_role("button", name=f"{does}: Short lived").click()
        expect(row.locator(".tag").first).to_have_text(re.compile(status, re.IGNORECASE))
        page.get_by_role("button", name="Undo").last.click()
        expect(row.locator(".tag").first).to_have_text("Running")
    row.get_by_role("button", name="Delete: Short lived").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
    expect(row).to_have_count(0)
    page.get_by_role("button", name="Undo").last.click()
    expect(row).to_be_visible()
    assert node.call("GET", "/v1/campaigns/short-lived")[1]["status"] == "active"


def test_a_named_audience_is_changed_and_deleted(page: Page, node: Node, ready: Receiver) -> None:
    """What a campaign uses can't be deleted; what none uses can, and comes back."""
    node.put("/v1/audiences/flow-gold", {"rule": "profile.tier == 'gold'", "name": "Flow gold"})
    opened(page, "campaigns/new")
    section(page, "Audience").get_by_role("button", name="Change or delete named audiences").click()
    expect(page.get_by_role("button", name="Delete: Regulars")).to_be_disabled()
    page.get_by_role("button", name="Change: Flow gold").click()
    dialog = page.get_by_role("dialog", name="Change: Flow gold")
    dialog.get_by_label("Name", exact=True).fill("Gold and blue")
    dialog.get_by_label("The rule (CEL)").fill("profile.tier in ['gold', 'blue']")
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_role("button", name="Change: Gold and blue")).to_be_visible()
    assert node.call("GET", "/v1/audiences/flow-gold")[1]["rule"].endswith("['gold', 'blue']")
    assert objections(page) == []
    page.get_by_role("button", name="Delete: Gold and blue").click()
    expect(page.get_by_role("button", name="Change: Gold and blue")).to_have_count(0)
    page.get_by_role("button", name="Done").click()
    page.get_by_role("button", name="Undo").last.click()
    eventually(
        lambda: node.call("GET", "/v1/audiences/flow-gold")[0] == 200, seconds=10, what="it is back"
    )
    assert node.call("DELETE", "/v1/audiences/flow-gold")[0] == 204
