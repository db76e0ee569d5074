"""Pages that have nothing to show, or too much, or no server: and hands that use no mouse."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.console.browsing import opened, signed_in, watched, whole_on_a_phone
from tests.e2e.harness import ADMIN_KEY, Node, campaign, square
from tests.ports import free_ports

LONG = "W" * 120
HEBREW = "מרכז העיר (קפה) 50%"
ARABIC = "مقهى الزاوية - 20 دقيقة"
EMPTY = {
    "live": ("Nothing has happened yet", "as soon as devices publish pings"),
    "zones": ("No zones yet", "Draw one on the map, type a circle"),
    "campaigns": ("No campaigns yet", "Plan a campaign"),
    "results": ("No campaign has run yet", "Go to campaigns"),
    "why": ("No campaign was asked yet", "click a device on the live page"),
    "deliveries": ("Nothing was sent yet", "when a campaign fires"),
    "deliveries/endpoints": ("No endpoints yet", "Add the address of the system"),
    "deliveries/dead-letters": ("Every ping was understood", "is kept"),
    "settings": ("No keys yet", "Make one for each application"),
    "settings/consent": ("No purposes yet", "New campaign"),
    "settings/audit": ("Nothing was changed yet", "is noted here"),
}
"""What a page says when there is nothing, and what is to be done about it."""

ASKED = {
    "campaigns": "/v1/campaigns?",
    "results": "/v1/reports/campaigns?",
    "deliveries": "/v1/deliveries?",
    "deliveries/endpoints": "/v1/endpoints",
    "deliveries/dead-letters": "/v1/dead-letters?",
    "settings": "/v1/keys",
    "settings/consent": "/v1/profiles:purposes",
    "settings/retention": "/v1/settings",
    "settings/audit": "/v1/audit?",
}
"""What a page waits for."""


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Run a node in which nobody has done anything yet."""
    port, mqtt_port = free_ports(2)
    node = Node(data=tmp_path_factory.mktemp("bare"), port=port, mqtt_port=mqtt_port)
    try:
        yield node.start()
    finally:
        if node.process is not None and node.process.poll() is None:
            node.kill()


@pytest.mark.parametrize("where", EMPTY)
def test_an_empty_page_says_what_to_do(browser: Browser, bare: Node, where: str) -> None:
    """On a fresh node each page says that there is nothing yet, and what comes next."""
    context = signed_in(browser, bare.port, ADMIN_KEY)
    with watched(context, bare.port) as page:
        opened(page, where)
        empty = page.locator(".empty").first
        title, advice = EMPTY[where]
        expect(empty).to_contain_text(title)
        expect(empty).to_contain_text(advice)
        whole_on_a_phone(page)
    context.close()


def test_a_page_outlives_a_restart(browser: Browser, bare: Node) -> None:
    """When geotarget is away the page says so; when it is back it goes on by itself, signed in."""
    context = signed_in(browser, bare.port, ADMIN_KEY)
    with watched(context, bare.port, may_lose_it=True) as page:
        opened(page, "settings")
        state = page.locator(".head [role=status]")
        expect(state).to_have_text("Live")
        try:
            assert bare.stop() == 0
            expect(state).to_have_text("Reconnecting …")
            page.get_by_role("link", name="Retention").click()
            expect(page.get_by_role("alert")).to_contain_text("geotarget does not answer")
        finally:
            bare.start()
        expect(page.get_by_role("cell", name="90 days")).to_be_visible()
        expect(page.get_by_role("alert")).to_have_count(0)
        expect(state).to_have_text("Live")
    context.close()


@pytest.mark.parametrize("where", ASKED)
def test_a_page_says_that_it_waits(page: Page, where: str) -> None:
    """Until the answer comes a reader hears that it loads; nothing moves for who dislikes it."""
    held: list[Route] = []
    let_go = False

    def hold(route: Route) -> None:
        if let_go:
            route.fallback()
        else:
            held.append(route)

    page.route(lambda url: ASKED[where] in f"{url}?", hold)
    page.goto(f"/#/{where}")
    waiting = page.locator("main .waiting[role=status]").first
    expect(waiting).to_contain_text("Loading")
    lasts = "parseFloat(getComputedStyle(document.querySelector('.waiting i')).animationDuration)"
    page.wait_for_function(f"{lasts} < 0.001")
    page.emulate_media(reduced_motion="no-preference")
    page.wait_for_function(f"{lasts} > 1")
    let_go = True
    for route in held:
        route.fallback()
    expect(page.locator("main .waiting")).to_have_count(0)


@pytest.fixture
def peculiar(node: Node) -> Iterator[Node]:
    """Zones and campaigns whose names are long, or are read from right to left."""
    ids = []
    node.put("/v1/endpoints/crm", {"url": "http://127.0.0.1:9/nobody"})
    for number, name in enumerate((LONG, HEBREW, ARABIC)):
        id = LONG if name == LONG else f"peculiar-{number}"
        at = {"lng": 24.90 + number / 100, "lat": 60.15}
        zone = square(id, half_m=50, **at)
        zone["properties"]["name"] = name
        node.put(f"/v1/zones/{quote(id)}", zone)
        ids.append(f"/v1/zones/{quote(id)}")
        told = campaign("crm", name=name, status="paused")
        node.put(f"/v1/campaigns/{quote(id)}", told)
        ids.append(f"/v1/campaigns/{quote(id)}")
    yield node
    for path in (*ids, "/v1/endpoints/crm"):
        assert node.call("DELETE", path)[0] == 204


@pytest.mark.parametrize("where", ["zones", "campaigns", "results", "settings/consent"])
def test_names_of_any_length_and_direction_fit(page: Page, peculiar: Node, where: str) -> None:
    """A word of 120 letters breaks; Hebrew and Arabic stand in their own direction."""
    opened(page, where)
    expect(page.get_by_text(LONG).first).to_be_attached()
    if where != "settings/consent":
        for name in (HEBREW, ARABIC):
            shown = page.locator("bdi", has_text=name).first
            expect(shown).to_be_attached()
            assert shown.evaluate("(each) => each.matches(':dir(rtl)')")
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    whole_on_a_phone(page)


def test_forms_take_names_of_any_length_and_direction(page: Page, peculiar: Node) -> None:
    """A campaign's page, a zone's form and a zone's traffic hold such names, too."""
    for where in (
        f"campaigns/{LONG}", "campaigns/peculiar-1", f"results/campaign/{LONG}",
        f"results/zone/{LONG}", f"zones/{LONG}",
    ):  # fmt: skip
        page.set_viewport_size({"width": 1280, "height": 800})
        opened(page, where)
        name = HEBREW if "peculiar" in where else LONG
        expect(page.get_by_text(name).or_(page.locator("input").first).first).to_be_attached()
        whole_on_a_phone(page)


def test_numbers_are_written_with_their_units(page: Page) -> None:
    """Large numbers are grouped or shortened, and none stands without its unit."""
    opened(page, "settings")
    written = page.evaluate(
        """async () => {
          const say = await import("/format.js");
          return [
            say.count(1234567), say.figure(9999), say.figure(1234567), say.count(null),
            say.share(0.1234), say.money(1234567.5, "EUR"), say.metres(450), say.metres(12345),
            say.duration(0.25), say.duration(3725), say.duration(200000), say.many(1, "zone"),
            say.many(12000, "zone"),
          ];
        }"""
    )
    expected = [
        "1,234,567", "9,999", "1.2m", "\u2013",
        "12.3%", "€1,234,567.50", "450 m", "12.3 km",
        "250 ms", "1 h 2 min", "2 d 7 h", "1 zone",
        "12,000 zones",
    ]  # fmt: skip
    assert expected == written, written


def tabbed_to(page: Page, goal: Locator) -> None:
    """Press Tab until something has the focus."""
    for _ in range(120):
        page.keyboard.press("Tab")
        if goal.evaluate("(each) => each === document.activeElement"):
            return
    raise AssertionError(f"Tab never comes to {goal}")


def test_no_mouse_is_needed(browser: Browser, node: Node) -> None:
    """Sign in, make a zone, pause and start a campaign: by keys alone."""
    context = browser.new_context(base_url=f"http://127.0.0.1:{node.port}", reduced_motion="reduce")
    with watched(context, node.port) as page:
        page.goto("/#/zones")
        tabbed_to(page, page.get_by_label("API key"))
        page.keyboard.type(ADMIN_KEY)
        page.keyboard.press("Enter")
        tabbed_to(page, page.get_by_role("button", name="New", exact=True))
        page.keyboard.press("Enter")
        for label, text in (
            ("Name", "By keys alone"),
            ("Latitude", "60.1705"),
            ("Longitude", "24.941"),
            ("Radius, m", "60"),
        ):
            field = page.get_by_label(label, exact=True)
            field.wait_for()
            if not field.evaluate("(each) => each === document.activeElement"):
                tabbed_to(page, field)
            page.keyboard.type(text)
        tabbed_to(page, page.get_by_role("button", name="Make the circle"))
        page.keyboard.press("Enter")
        save = page.get_by_role("button", name="Save", exact=True)
        if not save.evaluate("(each) => each === document.activeElement"):
            tabbed_to(page, save)
        page.keyboard.press("Enter")
        expect(page.locator(".toast").last).to_contain_text("was saved")
        assert node.call("GET", "/v1/zones/by-keys-alone")[0] == 200
        assert node.call("DELETE", "/v1/zones/by-keys-alone")[0] == 204

        tabbed_to(page, page.locator(".ways").get_by_role("link", name="Campaigns"))
        page.keyboard.press("Enter")
        row = page.locator(".campaign", has_text="Homes in this quarter")
        tabbed_to(page, row.get_by_role("button", name="Pause"))
        for after, next_one in (("paused", "Go on"), ("active", "Pause")):
            page.keyboard.press("Enter")
            expect(row.get_by_role("button", name=next_one)).to_be_focused()
            assert node.call("GET", "/v1/campaigns/homes-here")[1]["status"] == after
    context.close()


def test_a_dialog_keeps_the_focus_and_gives_it_back(page: Page) -> None:
    """It opens with the focus inside, Tab stays there, and Escape goes back to what opened it."""
    opened(page, "settings")
    button = page.get_by_role("button", name="New key")
    tabbed_to(page, button)
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="New API key")
    expect(dialog.get_by_label("Name")).to_be_focused()
    for _ in range(40):
        page.keyboard.press("Tab")
        assert page.evaluate(
            "document.activeElement === document.body || !!document.activeElement.closest('dialog')"
        )
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(button).to_be_focused()


def test_colours_follow_the_system_until_somebody_chooses(page: Page) -> None:
    """Dark where the system is dark; a choice wins over it, and outlives a reload."""
    theme = "document.documentElement.dataset.theme"
    page.emulate_media(color_scheme="dark")
    opened(page, "settings")
    assert page.evaluate(theme) == "dark"
    page.emulate_media(color_scheme="light")
    page.wait_for_selector("html[data-theme=light]")
    page.get_by_role("button", name="Dark colours").click()
    assert page.evaluate(theme) == "dark"
    page.reload()
    expect(page.get_by_role("button", name="Light colours")).to_be_visible()
    assert page.evaluate(theme) == "dark"
    assert page.evaluate("getComputedStyle(document.body).colorScheme") == "dark"
