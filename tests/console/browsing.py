"""Going about the console as a person would: to a page, to a place on the map."""

from __future__ import annotations

from playwright.sync_api import Page

READY_MS = 60_000
"""A map that is drawn in software takes its time on a busy machine."""


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
