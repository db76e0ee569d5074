"""Zones are drawn, typed, imported, changed and deleted as a marketer would."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from tests.console.browsing import corner, opened
from tests.e2e.harness import Node

SQUARE = [(24.9462, 60.1702), (24.9490, 60.1702), (24.9490, 60.1690), (24.9462, 60.1690)]
HOLE = [(24.9470, 60.1699), (24.9482, 60.1699), (24.9482, 60.1693), (24.9470, 60.1693)]


def zone(node: Node, id: str) -> Any:
    """Return a zone as the API has it; None when there is none."""
    status, answer = node.call("GET", f"/v1/zones/{quote(id, safe='')}")
    return answer if status == 200 else None


def draw(page: Page, ring: list[tuple[float, float]]) -> None:
    """Click the corners of a ring, and the first one again."""
    for lng, lat in [*ring, ring[0]]:
        x, y = corner(page, lng, lat)
        page.mouse.move(x - 4, y - 4)
        page.mouse.move(x, y, steps=2)
        page.mouse.click(x, y)
        page.wait_for_timeout(350)  # two clicks that come faster are a double click


def saved(page: Page) -> None:
    """Save, and wait until it was."""
    with page.expect_response(lambda answer: answer.request.method == "PUT") as answer:
        page.get_by_role("button", name="Save", exact=True).click()
    assert answer.value.ok, answer.value.text()
    expect(page.locator(".toast").last).to_contain_text("was saved")


@pytest.fixture
def view(page: Page) -> Page:
    """Open the zones where the demo's city is."""
    opened(page, "zones", board=True)
    page.evaluate(
        "document.querySelector('.board').geotargetMap"
        ".jumpTo({center: [24.9476, 60.1696], zoom: 15.6})"
    )
    return page


def test_a_zone_is_drawn_with_a_hole_and_deleted_with_undo(view: Page, node: Node) -> None:
    """Clicks become a polygon; a hole is cut; what was deleted comes back."""
    view.get_by_role("toolbar").get_by_role("button", name="Polygon").click()
    draw(view, SQUARE)
    view.get_by_label("Name").fill("Drawn here")
    saved(view)
    drawn = zone(node, "drawn-here")
    assert drawn["geometry"]["type"] == "Polygon"
    assert len(drawn["geometry"]["coordinates"][0]) == 5
    for lng, lat in SQUARE:
        assert any(
            abs(lng - x) + abs(lat - y) < 2e-4 for x, y in drawn["geometry"]["coordinates"][0]
        )

    opened(view, "zones/drawn-here")
    view.get_by_role("button", name="Cut a hole").click()
    draw(view, HOLE)
    expect(view.get_by_text("1 hole").first).to_be_visible()
    saved(view)
    assert len(zone(node, "drawn-here")["geometry"]["coordinates"]) == 2

    opened(view, "zones/drawn-here")
    view.get_by_role("button", name="Delete").click()
    expect(view.locator(".toast").last).to_contain_text("was deleted")
    assert zone(node, "drawn-here") is None
    view.get_by_role("button", name="Undo").click()
    expect(view.get_by_role("button", name="Drawn here")).to_be_visible()
    assert len(zone(node, "drawn-here")["geometry"]["coordinates"]) == 2


def test_a_circle_is_typed(view: Page, node: Node) -> None:
    """Without a mouse or a map: latitude, longitude and radius; what is wrong is said."""
    view.get_by_role("button", name="New", exact=True).click()
    view.get_by_label("Name").fill("Kiosk")
    view.get_by_label("Latitude").fill("95")
    view.get_by_label("Longitude").fill("24.941")
    view.get_by_label("Radius, m").fill("60")
    view.get_by_role("button", name="Make the circle").click()
    expect(view.get_by_role("alert")).to_contain_text("-90 to 90")
    view.get_by_label("Latitude").fill("60.1705")
    view.get_by_role("button", name="Make the circle").click()
    expect(view.get_by_text("Circle, 60 m around its centre").first).to_be_visible()
    saved(view)
    kept = zone(node, "kiosk")
    assert kept["geometry"] == {"type": "Point", "coordinates": [24.941, 60.1705]}
    assert kept["properties"]["radius_m"] == 60


def test_an_import_tells_what_it_could_not_take(view: Page, node: Node) -> None:
    """One good feature and a bad one: the good one is there, the bad one is named with its path."""
    ring = [[24.95, 60.16], [24.951, 60.16], [24.951, 60.161], [24.95, 60.16]]
    good = {"type": "Feature", "id": "imported", "properties": {"name": "Imported"},
            "geometry": {"type": "Polygon", "coordinates": [ring]}}  # fmt: skip
    bad = good | {"id": "open-ring", "geometry": {"type": "Polygon", "coordinates": [ring[:3]]}}
    view.get_by_role("button", name="Import").click()
    view.locator("input[type=file]").set_input_files(
        {
            "name": "shops.geojson",
            "mimeType": "application/geo+json",
            "buffer": json.dumps({"type": "FeatureCollection", "features": [good, bad]}).encode(),
        }
    )
    dialog = view.get_by_role("dialog")
    dialog.get_by_role("button", name="Import", exact=True).click()
    expect(dialog.get_by_text("1 zone was imported")).to_be_visible()
    expect(dialog.get_by_role("row", name="open-ring")).to_contain_text("features[1]")
    assert zone(node, "imported") is not None
    assert zone(node, "open-ring") is None
    broken = '{"type": "FeatureCollection",\n "features": [}'
    dialog.get_by_role("textbox", name="GeoJSON").fill(broken)
    dialog.get_by_role("button", name="Import", exact=True).click()
    expect(dialog.get_by_role("alert")).to_contain_text("Line 2")
