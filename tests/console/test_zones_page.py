"""Zones are drawn, typed, imported, changed and deleted as a marketer would."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from tests.console.browsing import corner, opened
from tests.e2e.harness import Node

SQUARE = [(24.9462, 60.1702), (24.9490, 60.1702), (24.9490, 60.1690), (24.9462, 60.1690)]
HOLE = [(24.9470, 60.1699), (24.9482, 60.1699), (24.9482, 60.1693), (24.9470, 60.1693)]
MOVED = (24.9494, 60.1704)
NEAR = 2e-4
"""Degrees: a pixel or two of the map in the tests."""


def zone(node: Node, id: str) -> Any:
    """Return a zone as the API has it; None when there is none."""
    status, answer = node.call("GET", f"/v1/zones/{quote(id, safe='')}")
    return answer if status == 200 else None


def closed(*ring: tuple[float, float]) -> list[list[float]]:
    """Return a ring as GeoJSON has it."""
    return [list(place) for place in [*ring, ring[0]]]


def stored(node: Node, id: str, *rings: list[list[float]], **properties: Any) -> None:
    """Have a zone with an outline and holes."""
    document = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": list(rings)},
        "properties": {"name": id, **properties},
    }
    status, answer = node.call("PUT", f"/v1/zones/{id}", document)
    assert status == 200, answer


def holds(ring: list[list[float]], place: tuple[float, float]) -> bool:
    """Tell whether a ring has a corner next to a place."""
    return any(abs(place[0] - x) + abs(place[1] - y) < NEAR for x, y in ring)


def next_frame(page: Page) -> None:
    """Let the page draw what was done."""
    page.evaluate(
        "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )


def draw(page: Page, ring: list[tuple[float, float]]) -> None:
    """Click the corners of a ring, and the first one again."""
    expect(page.locator(".guide")).to_be_visible()
    for lng, lat in [*ring, ring[0]]:
        x, y = corner(page, lng, lat)
        page.mouse.move(x - 4, y - 4)
        page.mouse.move(x, y, steps=2)
        next_frame(page)
        page.mouse.click(x, y)
        next_frame(page)
    expect(page.locator(".guide")).to_have_count(0)


def drag(page: Page, begin: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag what lies at one place to another."""
    x, y = corner(page, *begin)
    to_x, to_y = corner(page, *end)
    page.mouse.move(x - 3, y - 3)
    page.mouse.move(x, y, steps=3)
    next_frame(page)
    page.mouse.down()
    page.mouse.move((x + to_x) / 2, (y + to_y) / 2, steps=5)
    for aside in (2, 1, 0):  # a move is drawn when the next one comes
        page.mouse.move(to_x + aside, to_y)
        next_frame(page)
    page.mouse.up()
    next_frame(page)


@contextmanager
def answered(page: Page, method: str, path: str) -> Iterator[None]:
    """Wait until the API has answered a request, well."""
    with page.expect_response(
        lambda each: each.request.method == method and path in each.url
    ) as answer:
        yield
    assert answer.value.ok, answer.value.text()


def saved(page: Page, name: str) -> None:
    """Save, and wait until it was, and the list is there again."""
    with answered(page, "PUT", "/v1/zones/"):
        page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".toast", has_text=f"{name} was saved")).to_be_visible()
    expect(page.get_by_role("searchbox")).to_be_visible()


def edited(page: Page, id: str) -> None:
    """Open the editor of a zone, and wait until its shape can be changed on the map."""
    opened(page, f"zones/{id}", board=True)
    expect(page.get_by_role("button", name="Save", exact=True)).to_be_visible()
    shows(page, "td-polygon")


def shows(page: Page, source: str, number: int | None = None) -> None:
    """Wait until a source of the map has features, or so many."""
    page.wait_for_function(
        "([source, number]) => {"
        "const data = document.querySelector('.board').geotargetMap.getSource(source)?.serialize();"
        "const there = data?.data?.features?.length;"
        "return number === null ? there > 0 : there === number; }",
        arg=[source, number],
    )


def tab_to(page: Page, name: str) -> None:
    """Press the tabulator until something of this name has the focus."""
    for _ in range(80):
        page.keyboard.press("Tab")
        found = page.evaluate(
            "() => { const at = document.activeElement; return (at.getAttribute('aria-label')"
            " || at.labels?.[0]?.textContent || at.textContent || '').trim(); }"
        )
        if found == name:
            return
    pytest.fail(f"the tabulator never comes to {name!r}")


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
    """Clicks become a polygon; a hole is cut and listed; what was deleted comes back."""
    view.get_by_role("toolbar").get_by_role("button", name="Polygon").click()
    draw(view, SQUARE)
    view.get_by_label("Name").fill("Drawn here")
    saved(view, "Drawn here")
    drawn = zone(node, "drawn-here")
    assert drawn["geometry"]["type"] == "Polygon"
    assert len(drawn["geometry"]["coordinates"][0]) == 5
    assert all(holds(drawn["geometry"]["coordinates"][0], place) for place in SQUARE)

    edited(view, "drawn-here")
    view.get_by_role("button", name="Cut a hole").click()
    draw(view, HOLE)
    expect(view.get_by_role("button", name="Show the corners of hole 1")).to_be_visible()
    expect(view.get_by_text("1 hole").first).to_be_visible()
    saved(view, "Drawn here")
    _, hole = zone(node, "drawn-here")["geometry"]["coordinates"]
    assert all(holds(hole, place) for place in HOLE)

    edited(view, "drawn-here")
    with answered(view, "DELETE", "/v1/zones/"):
        view.get_by_role("button", name="Delete").click()
    expect(view.locator(".toast").last).to_contain_text("was deleted")
    assert zone(node, "drawn-here") is None
    with answered(view, "PUT", "/v1/zones/"):
        view.get_by_role("button", name="Undo").click()
    expect(view.get_by_role("button", name="Drawn here")).to_be_visible()
    assert len(zone(node, "drawn-here")["geometry"]["coordinates"]) == 2


def test_corners_are_dragged(view: Page, node: Node) -> None:
    """Of the outline at once, of a hole once it is chosen; both are saved, the rest stays."""
    stored(node, "bent", closed(*SQUARE), closed(*HOLE))
    opened(view, "zones", board=True)
    view.reload()
    edited(view, "bent")
    drag(view, SQUARE[1], MOVED)
    view.get_by_role("button", name="Show the corners of hole 1").click()
    next_frame(view)
    drag(view, HOLE[3], (24.9474, 60.1694))
    saved(view, "bent")
    outline, hole = zone(node, "bent")["geometry"]["coordinates"]
    assert (5, 5) == (len(outline), len(hole))
    assert all(holds(outline, place) for place in (SQUARE[0], MOVED, SQUARE[2], SQUARE[3]))
    assert all(holds(hole, place) for place in (*HOLE[:3], (24.9474, 60.1694)))


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
    saved(view, "Kiosk")
    kept = zone(node, "kiosk")
    assert kept["geometry"] == {"type": "Point", "coordinates": [24.941, 60.1705]}
    assert kept["properties"]["radius_m"] == 60


def test_a_zone_is_made_by_keyboard_alone(view: Page, node: Node) -> None:
    """Name, corners with a hole, all that can be said of it, save; then a hole is taken away."""
    geometry = {"type": "Polygon", "coordinates": [closed(*SQUARE), closed(*HOLE)]}
    tab_to(view, "New")
    view.keyboard.press("Enter")
    tab_to(view, "Name")
    view.keyboard.type("Typed")
    tab_to(view, "Corners by coordinates")
    view.keyboard.press("Enter")
    tab_to(view, "Geometry")
    view.keyboard.insert_text(json.dumps(geometry)[:-1])
    tab_to(view, "Take this shape")
    view.keyboard.press("Enter")
    expect(view.get_by_text("Line 1, column")).to_be_visible()
    view.keyboard.press("Shift+Tab")
    view.keyboard.press("Control+End")
    view.keyboard.insert_text("}")
    tab_to(view, "Take this shape")
    view.keyboard.press("Enter")
    expect(view.get_by_text("Polygon, 1 hole, 8 corners").first).to_be_visible()
    tab_to(view, "Tags")
    view.keyboard.type("bakery, mall")
    tab_to(view, "How sure must an entry be?")
    view.keyboard.type("Strict")
    tab_to(view, "Priority, dates and more")
    view.keyboard.press("Enter")
    tab_to(view, "Priority")
    view.keyboard.press("Control+a")
    view.keyboard.type("7")
    tab_to(view, "Valid from")
    view.keyboard.type("060620300930a")  # whatever comes first, day or month, 24 hours or 12
    tab_to(view, "Save")
    with answered(view, "PUT", "/v1/zones/typed"):
        view.keyboard.press("Enter")
    expect(view.locator(".side h2").first).to_be_focused()
    made = zone(node, "typed")
    assert [len(ring) for ring in made["geometry"]["coordinates"]] == [5, 5]
    given = {name: made["properties"][name] for name in ("name", "tags", "entry", "priority")}
    assert given == {
        "name": "Typed", "tags": ["bakery", "mall"], "entry": "strict", "priority": 7,
    }  # fmt: skip
    assert made["properties"]["starts"].startswith("2030-06-06T")

    edited(view, "typed")
    tab_to(view, "Remove hole 1")
    view.keyboard.press("Enter")
    expect(view.get_by_role("button", name="Show the corners of hole 1")).to_have_count(0)
    expect(view.get_by_role("group", name="Shape")).to_be_focused()
    tab_to(view, "Save")
    with answered(view, "PUT", "/v1/zones/typed"):
        view.keyboard.press("Enter")
    expect(view.get_by_role("searchbox")).to_be_visible()
    assert len(zone(node, "typed")["geometry"]["coordinates"]) == 1


def test_what_is_missing_is_said_where_it_is_missing(view: Page) -> None:
    """Nothing is sent; the first field that is wrong has the focus."""
    view.get_by_role("button", name="New", exact=True).click()
    view.get_by_role("button", name="Save", exact=True).click()
    expect(view.get_by_label("Name")).to_be_focused()
    expect(view.get_by_text("The zone needs a name.")).to_be_visible()
    expect(view.get_by_text("The zone has no shape yet")).to_be_visible()


BAD = """{
 "type": "FeatureCollection",
 "features": [
  {"type": "Feature", "id": "imported", "properties": {"name": "Imported"}, "geometry":
   {"type": "Polygon", "coordinates": [[[24.95, 60.16], [24.951, 60.16], [24.951, 60.161],
     [24.95, 60.16]]]}},
  {"type": "Feature",
   "id": "open-ring",
   "geometry": {
    "type": "Polygon",
    "coordinates": [
     [[24.95, 60.16], [24.951, 60.16], [24.951, 60.161]]
    ]},
   "properties": {}
  }
 ]
}"""


def test_an_import_tells_what_it_could_not_take(view: Page, node: Node) -> None:
    """A good feature is there, a bad one is named with its line; so is what is not even JSON."""
    view.get_by_role("button", name="Import").click()
    view.locator("input[type=file]").set_input_files(
        {"name": "shops.geojson", "mimeType": "application/geo+json", "buffer": BAD.encode()}
    )
    dialog = view.get_by_role("dialog")
    with answered(view, "POST", "/v1/zones"):
        dialog.get_by_role("button", name="Import", exact=True).click()
    expect(dialog.get_by_text("1 zone was imported")).to_be_visible()
    row = dialog.get_by_role("row", name="open-ring")
    expect(row).to_contain_text("features[1]")
    (line,) = (at for at, text in enumerate(BAD.splitlines(), 1) if "60.161]]" in text and at > 9)
    expect(row.get_by_role("cell").first).to_have_text(str(line))
    assert zone(node, "imported") is not None
    assert zone(node, "open-ring") is None
    broken = '{"type": "FeatureCollection",\n "features": [}'
    dialog.get_by_role("textbox", name="GeoJSON").fill(broken)
    dialog.get_by_role("button", name="Import", exact=True).click()
    expect(dialog.get_by_role("alert")).to_contain_text("Line 2")


def test_a_file_is_dropped_on_the_page(view: Page, node: Node) -> None:
    """Anywhere on it: the import opens with the file."""
    text = json.dumps(
        {
            "type": "Feature", "id": "dropped", "properties": {},
            "geometry": {"type": "Polygon", "coordinates": [closed(*HOLE)]},
        }
    )  # fmt: skip
    carried = view.evaluate_handle(
        "(text) => { const carried = new DataTransfer();"
        "carried.items.add(new File([text], 'dropped.geojson')); return carried; }",
        text,
    )
    view.dispatch_event(".map-page", "dragover", {"dataTransfer": carried})
    expect(view.locator(".map-page.dropping")).to_be_visible()
    view.dispatch_event(".map-page", "drop", {"dataTransfer": carried})
    dialog = view.get_by_role("dialog")
    expect(dialog.get_by_text("dropped.geojson")).to_be_visible()
    with answered(view, "POST", "/v1/zones"):
        dialog.get_by_role("button", name="Import", exact=True).click()
    expect(dialog.get_by_text("1 zone was imported")).to_be_visible()
    assert zone(node, "dropped") is not None


def test_an_export_holds_what_the_server_has(view: Page, node: Node) -> None:
    """Every zone as it is stored, ready to be imported; one alone, too."""
    _, listed = node.call("GET", "/v1/zones?limit=1000")
    with view.expect_download() as saving:
        view.get_by_role("button", name="Export all").click()
    assert saving.value.suggested_filename == "zones.geojson"
    document = json.loads(saving.value.path().read_text())
    members = ("type", "id", "geometry", "properties")
    expected = [{name: each[name] for name in members} for each in listed["features"]]
    assert document["type"] == "FeatureCollection"
    assert sorted(document["features"], key=lambda each: each["id"]) == expected

    one = expected[0]
    edited(view, one["id"])
    with view.expect_download() as saving:
        view.get_by_role("button", name="Export as GeoJSON").click()
    assert saving.value.suggested_filename == f"{one['id']}.geojson"
    assert json.loads(saving.value.path().read_text())["features"] == [one]


def test_cells_are_shown_on_demand(view: Page, node: Node) -> None:
    """As the API gives them, at the resolution that is chosen, of the shape as it is now."""
    stored(node, "covered", closed(*SQUARE), closed(*HOLE))
    view.reload()
    edited(view, "covered")
    shows(view, "h3-cells", 0)
    with answered(view, "POST", "/v1/zones:cells"):
        view.get_by_role("button", name="Show H3 cells").click()
    _, found = node.call("GET", "/v1/zones/covered/cells")
    said = view.get_by_text("wholly inside")
    expect(said).to_have_text(words(found))
    shows(view, "h3-cells", found["count"])
    coarser = found["resolution"] - 1
    with answered(view, "POST", f"resolution={coarser}"):
        view.get_by_label("Resolution").select_option(str(coarser))
    _, fewer = node.call("GET", f"/v1/zones/covered/cells?resolution={coarser}")
    expect(said).to_have_text(words(fewer))
    shows(view, "h3-cells", fewer["count"])
    with answered(view, "POST", "/v1/zones:cells"):
        view.get_by_role("button", name="Remove hole 1").click()
    expect(said).not_to_have_text(words(found))
    expect(said).not_to_have_text(words(fewer))
    view.get_by_role("button", name="Show H3 cells").click()
    expect(said).to_have_count(0)
    shows(view, "h3-cells", 0)


def words(found: Any) -> str:
    """Return what is said of a cover."""
    return (
        f"Resolution {found['resolution']}: {found['count']} cells, "
        f"{found['whole']} of them wholly inside."
    )


def test_a_zone_over_the_antimeridian_is_in_one_piece(view: Page, node: Node) -> None:
    """It fills the map, its hole crosses too, a corner is dragged; the server cuts it again."""
    ring = [(179.0, -18.0), (181.0, -18.0), (181.0, -16.0), (179.0, -16.0)]
    hole = [(179.6, -17.4), (179.6, -16.6), (180.4, -16.6), (180.4, -17.4)]
    stored(node, "fiji", closed(*ring), closed(*hole))
    assert len(zone(node, "fiji")["geometry"]["coordinates"]) == 2
    view.reload()
    edited(view, "fiji")
    expect(view.get_by_text("Polygon, 1 hole, 8 corners").first).to_be_visible()
    west, east = view.evaluate(
        "() => { const box = document.querySelector('.board').geotargetMap.getBounds();"
        "return [box.getWest(), box.getEast()]; }"
    )
    assert east - west < 10
    turn = 360 if west < 0 else 0  # the copy of the world that is in view
    drag(view, (181.0 - turn, -18.0), (180.8 - turn, -17.8))
    saved(view, "fiji")
    geometry = zone(node, "fiji")["geometry"]
    assert geometry["type"] == "MultiPolygon"
    parts = sorted(geometry["coordinates"], key=lambda rings: rings[0][0][0])
    western, eastern = ([x for x, _ in rings[0]] for rings in parts)
    assert (min(western), max(western)) == (-180.0, -179.0)
    assert (min(eastern), max(eastern)) == (179.0, 180.0)
    assert (-179.0, -18.0) not in {tuple(place) for place in parts[0][0]}
    assert any(
        place == pytest.approx([-179.2, -17.8], abs=0.02) for rings in parts for place in rings[0]
    )
    assert all(len(rings) == 1 for rings in parts)  # the hole is a notch in both
    assert {179.6, -179.6} <= {x for rings in parts for x, _ in rings[0]}


def test_a_circle_over_a_pole_is_changed_by_typing(view: Page, node: Node) -> None:
    """No ring on a map can show it for dragging: the form says so, and can do it."""
    document = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [10.0, 90.0]},
        "properties": {"name": "Station", "radius_m": 50_000},
    }
    status, _ = node.call("PUT", "/v1/zones/station", document)
    assert status == 200
    view.reload()
    opened(view, "zones/station")
    expect(view.get_by_text("It can't be changed on the map")).to_be_visible()
    view.get_by_text("Circle by coordinates").click()
    view.get_by_label("Radius, m").fill("60000")
    view.get_by_role("button", name="Change the circle").click()
    saved(view, "Station")
    assert zone(node, "station")["properties"]["radius_m"] == 60_000
