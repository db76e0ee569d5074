"""Going about the console as a person would: to a page, to a place on the map."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, Route

READY_MS = 60_000
"""A map that is drawn in software takes its time on a busy machine."""


def signed_in(browser: Browser, port: int, key: str) -> BrowserContext:
    """Open a window of its own on a node, signed in."""
    context = browser.new_context(
        base_url=f"http://127.0.0.1:{port}",
        viewport={"width": 1280, "height": 800},
        reduced_motion="reduce",
        locale="en-GB",
    )
    answer = context.request.post("/v1/session", data={"key": key})
    assert answer.ok, answer.text()
    return context


def opened(page: Page, where: str, *, board: bool = False) -> Page:
    """Go to a page of the console and wait until it shows something."""
    page.goto(f"/#/{where}")
    page.locator("main h1").first.wait_for(state="attached")
    if board:
        page.wait_for_selector("html[data-ready]", timeout=READY_MS)
    return page


def corner(page: Page, lng: float, lat: float) -> tuple[float, float]:
    """Return where on the screen a place lies."""
    x, y = page.evaluate(
        "([lng, lat]) => { const map = document.querySelector('.board').geotargetMap;"
        "const box = document.querySelector('.board').getBoundingClientRect();"
        "const at = map.project([lng, lat]); return [at.x + box.x, at.y + box.y]; }",
        [lng, lat],
    )
    return float(x), float(y)


@contextmanager
def watched(context: BrowserContext, port: int, *, may_lose_it: bool = False) -> Iterator[Page]:
    """Open a page that asks nobody but the node on a port, and that may not fail.

    Parameters
    ----------
    context
        The window.
    port
        Every request that goes elsewhere is aborted, and counts as a failure.
    may_lose_it
        Whether the node may be away meanwhile, which the browser notes as an error.
    """
    page = context.new_page()
    page.set_default_timeout(READY_MS)
    wrong: list[str] = []

    def stay_here(route: Route) -> None:
        if route.request.url.startswith((f"http://127.0.0.1:{port}/", "blob:", "data:")):
            route.continue_()
        else:
            wrong.append(f"asked for {route.request.url}")
            route.abort()

    def note(kind: str, text: str) -> None:
        if kind == "error" and not (may_lose_it and "net::ERR_" in text):
            wrong.append(text)

    page.route("**/*", stay_here)
    page.on("pageerror", lambda error: wrong.append(f"threw {error}"))
    page.on("console", lambda said: note(said.type, said.text))
    yield page
    page.close()
    assert wrong == [], wrong


def objections(page: Page) -> list[str]:
    """Return what axe has to object to in a page as it stands, WCAG 2.1 A and AA."""
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]})
    return [
        f"{each['id']}: {node['target']} {node.get('failureSummary', '')}"
        for each in found.response["violations"]
        for node in each["nodes"]
    ]


def is_for_everybody(page: Page) -> None:
    """Assert that a page as it stands is fit for readers, both themes and a phone."""
    for theme in ("dark", "light"):
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        page.wait_for_selector(f"html[data-theme={theme}]")
        found = objections(page)
        assert found == [], f"in {theme}: {found}"
    whole_on_a_phone(page)


def whole_on_a_phone(page: Page) -> None:
    """Assert that at 360 px nothing is cut off at the side; what is wider scrolls in a box."""
    page.set_viewport_size({"width": 360, "height": 740})
    wide = page.evaluate(
        "[...document.querySelectorAll('body *')].filter((each) => "
        "each.getBoundingClientRect().right > 361 && !each.closest('.scroll, .tabs, .board, pre'))"
        ".map((each) => each.outerHTML.slice(0, 120))"
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= 360, wide
    clipped = page.evaluate(
        "[...document.querySelectorAll('.page, dialog, aside, .dialog-body')].filter((each) => "
        "each.scrollWidth > each.clientWidth + 1).map((each) => each.className || each.tagName)"
    )
    assert clipped == [], wide
