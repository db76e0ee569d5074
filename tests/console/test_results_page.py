"""Results: the demo's day of history, with figures that are those of the API, and files of them."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from tests.console.browsing import opened
from tests.e2e.harness import Node

CAMPAIGN = "shop-special"
PLACES = {
    f"results/campaign/{CAMPAIGN}": "Does it work?",
    "results/zone/kluuvi": "At which hours",
}


def _number(text: str) -> int:
    return int(re.sub(r"\D", "", text))


def _bars(page: Page, label: str) -> list[int]:
    """Return the numbers of a list of bars."""
    bars = page.get_by_role("list", name=label).locator("li .number")
    expect(bars.first).to_be_visible()
    first = "each => each.firstChild.textContent"  # a share of the entries may stand behind it
    return [_number(each.evaluate(first)) for each in bars.all()]


def _file(page: Page, link: Locator, to: Path) -> list[list[str]]:
    """Download a file and return its rows."""
    with page.expect_download() as coming:
        link.click()
    coming.value.save_as(to)
    return list(csv.reader(to.read_text(encoding="utf-8").splitlines()))


def test_a_campaign_shows_what_the_api_says(page: Page) -> None:
    """Funnel, refusals, groups, interval and days are there, and they are the report's."""
    opened(page, "results")
    with page.expect_response(lambda answer: f"/campaigns/{CAMPAIGN}?" in answer.url) as answer:
        page.get_by_role("link", name="Today's special at the door").click()
    report = answer.value.json()
    expect(page.get_by_text("Does it work?")).to_be_visible()
    expect(page.get_by_text(report["comparison"]["sentence"])).to_be_visible()

    steps = [each["count"] for each in report["funnel"]]
    assert _bars(page, "Funnel") == steps
    assert steps[:4] == sorted(steps[:4], reverse=True)
    assert steps[3] > 100

    total = report["total"]
    refused = [total["held_out"], *total["refused"].values()]
    assert _bars(page, "Refusals by gate") == sorted(refused, reverse=True)
    assert steps[0] == total["fired"] + sum(refused)

    groups = page.get_by_role("table", name="Those who got offers")
    for words, group in (("Got offers", "treated"), ("Held out", "held_out")):
        shown = groups.get_by_role("row", name=words).locator("td").all_inner_texts()
        assert _number(shown[0]) == report["comparison"][group]["people"]
    expect(page.get_by_text("95 times in 100")).to_be_visible()
    days = page.get_by_role("table", name="Results by day").locator("tbody tr")
    assert days.count() == len(report["rows"]) > 0

    page.get_by_role("button", name="Zone", exact=True).click()
    expect(page.get_by_role("heading", name="Zone by zone")).to_be_visible()
    expect(page.get_by_role("rowheader", name="Central store")).to_be_visible()


def test_the_file_is_that_of_the_api(page: Page, tmp_path: Path) -> None:
    """What is downloaded is what the API answers: of a campaign by zone, and of a zone."""
    opened(page, f"results/campaign/{CAMPAIGN}")
    page.get_by_role("button", name="Zone", exact=True).click()
    expect(page.get_by_role("heading", name="Zone by zone")).to_be_visible()
    link = page.get_by_role("link", name="CSV")
    path = link.get_attribute("href")
    assert path is not None
    for _ in range(10):  # the fleet walks on between the two questions
        rows = _file(page, link, tmp_path / "campaign.csv")
        answer = page.request.get(path)
        if rows == list(csv.reader(answer.text().splitlines())):
            break
    else:
        raise AssertionError("the file and the answer of the API differ each time")
    assert "fired" in rows[0]
    assert len(rows) > 3

    opened(page, "results/zone/kluuvi")
    rows = _file(page, page.get_by_role("link", name="CSV"), tmp_path / "zone.csv")
    assert len(rows) > 24


def test_a_zone_shows_its_hours(page: Page) -> None:
    """There is a column an hour, and a table with the report's numbers."""
    with page.expect_response(lambda answer: "/reports/zones/kluuvi" in answer.url) as answer:
        opened(page, "results/zone/kluuvi")
    report = answer.value.json()
    expect(page.get_by_role("heading", name="At which hours")).to_be_visible()
    panel = page.locator("figure.hours")
    panel.get_by_text("As a table").click()
    shown = panel.locator("tbody td").all_inner_texts()
    assert len(shown) == 24
    told = [None if each == "\u2013" else _number(each) for each in shown]
    assert told == [each["visits"] for each in report["hours"]]
    assert any(told)


def test_the_day_before_has_deliveries_that_failed(page: Page, node: Node) -> None:
    """A receiver that was restarted: some came at the third attempt, some were given up."""
    _, late = node.call("GET", "/v1/deliveries?state=expired")
    assert late["items"]
    assert late["items"][0]["attempts"] == 3
    opened(page, f"deliveries/of/{late['items'][0]['id']}")
    expect(page.get_by_text("503").first).to_be_visible()


def test_where_nothing_happened_the_page_says_so(page: Page, node: Node) -> None:
    """A campaign and a zone without anything are not rows of noughts."""
    _, campaign = node.call("GET", f"/v1/campaigns/{CAMPAIGN}")
    draft = {name: campaign[name] for name in ("name", "trigger", "offer", "endpoints", "currency")}
    node.put("/v1/campaigns/not-yet", {**draft, "status": "draft"})
    far = {"type": "Point", "coordinates": [-30.0, 40.0]}
    node.put(
        "/v1/zones/far-away",
        {"type": "Feature", "geometry": far, "properties": {"name": "Far away", "radius_m": 90}},
    )
    opened(page, "results/campaign/not-yet")
    expect(page.get_by_text("Nothing has happened in this time")).to_be_visible()
    opened(page, "results/zone/far-away")
    expect(page.get_by_text("Nobody has come yet")).to_be_visible()
    assert node.call("DELETE", "/v1/campaigns/not-yet")[0] == 204
    assert node.call("DELETE", "/v1/zones/far-away")[0] == 204


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("where", PLACES)
def test_results_are_there_for_everybody(page: Page, where: str, theme: str) -> None:
    """In both themes axe finds nothing to object to, and at 360 px nothing is cut off."""
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    opened(page, where)
    expect(page.get_by_text(PLACES[where]).first).to_be_visible()
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]})
    assert [each["id"] for each in found.response["violations"]] == []
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
