"""Renders every page of the console in both themes, for the documentation.

Run by a maintainer when pages have changed: ``python -m tests.console.screenshots``. It starts the
demo, waits until there is something to see, and writes `FOLDER`: one file a page and theme, and a
few as a phone shows them. Takes a minute or two; needs chromium and pillow.
"""

from __future__ import annotations

import io
import shutil
import tempfile
import time
from pathlib import Path

from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

from tests.conftest import REPOSITORY
from tests.console.browsing import READY_MS, opened, signed_in, watched
from tests.e2e.harness import ADMIN_KEY, Node, eventually
from tests.ports import free_ports

FOLDER = REPOSITORY / "geotarget" / "docs" / "screenshots"
THEMES = ("light", "dark")
SHOTS = {
    "live": "live",
    "zones": "zones",
    "zone": "zones/kaisaniemi-park",
    "campaigns": "campaigns",
    "campaign": "campaigns/shop-special",
    "results": "results",
    "result": "results/campaign/shop-special",
    "traffic": "results/zone/corner-cafe",
    "why": "why/{device}",
    "deliveries": "deliveries",
    "endpoints": "deliveries/endpoints",
    "refused-pings": "deliveries/dead-letters",
    "connect": "deliveries/connect",
    "settings": "settings",
    "consent": "settings/consent",
    "retention": "settings/retention",
    "rules": "settings/rules",
    "audit": "settings/audit",
}
"""Name of the file, and the address that it shows; `{device}` is one that got an offer."""

ON_A_PHONE = ("live", "zones", "campaign", "result")
MAPS = ("live", "zones", "zone")
DESK, PHONE = {"width": 1280, "height": 800}, {"width": 360, "height": 740}
MOST_BYTES, MOST_BYTES_IN_ALL = 80_000, 2_000_000
ENOUGH_OFFERS = 120


def files() -> list[str]:
    """Return the names of all screenshots."""
    return [f"{name}-{theme}.webp" for name in SHOTS for theme in THEMES] + [
        f"{name}-phone.webp" for name in ON_A_PHONE
    ]


def take(page: Page, path: Path) -> None:
    """Write what a page shows, as good as fits into `MOST_BYTES`."""
    from PIL import Image

    with Image.open(io.BytesIO(page.screenshot())) as shot:
        for quality in (86, 78, 68, 56, 44):
            written = io.BytesIO()
            shot.convert("RGB").save(written, "WEBP", quality=quality, method=6)
            if written.tell() <= MOST_BYTES:
                break
    path.write_bytes(written.getvalue())


def show(page: Page, name: str, device: str) -> None:
    """Go to a page and wait until it has come to rest."""
    page.goto("about:blank")  # or a map that was shown before would pass for this one
    opened(page, SHOTS[name].format(device=device), board=name in MAPS)
    expect(page.locator(".waiting")).to_have_count(0, timeout=READY_MS)
    page.evaluate("document.fonts.ready")
    page.wait_for_timeout(1_500)  # tiles and charts are drawn after their data came


def take_all(context: BrowserContext, node: Node, device: str) -> None:
    """Write every screenshot."""
    with watched(context, node.port) as page:
        for name in SHOTS:
            for theme in THEMES:
                page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
                show(page, name, device)
                take(page, FOLDER / f"{name}-{theme}.webp")
        page.emulate_media(color_scheme="light", reduced_motion="reduce")
        page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        for name in ON_A_PHONE:
            show(page, name, device)
            take(page, FOLDER / f"{name}-phone.webp")


def furnish(node: Node) -> str:
    """Add what the demo has none of, wait for offers, and return a device that got one."""
    for name, scope in (("till", "conversions:write"), ("app backend", "pings:write")):
        wanted = {"name": name, "scopes": [scope], "days": 365}
        assert node.call("POST", "/v1/keys", wanted)[0] == 201
    for number in range(24):
        said = {"marketing": number % 3 > 0, "research": number % 2 == 0}
        node.put(f"/v1/profiles/newsletter-{number}", {"consent": said})
    lost = {"device": "walker-001", "lat": 95.2, "lng": 24.94, "acc": 8, "ts": int(time.time())}
    old = {"device": "walker-002", "lat": 60.17, "lng": 24.94, "acc": 8, "ts": 1}
    assert node.call("POST", "/v1/pings", [lost, old])[0] == 202

    def offers() -> bool:
        _, told = node.call("GET", "/v1/reports/campaigns")
        return sum(each["total"]["fired"] or 0 for each in told["items"]) >= ENOUGH_OFFERS

    eventually(offers, seconds=240, what=f"{ENOUGH_OFFERS} offers")
    _, page = node.call("GET", "/v1/deliveries?limit=100")
    return str(next(each["device"] for each in page["items"] if each.get("device")))


def main() -> None:
    """Start the demo, take the pictures, end it."""
    port, mqtt_port = free_ports(2)
    with tempfile.TemporaryDirectory() as data, sync_playwright() as playwright:
        node = Node(
            data=Path(data),
            port=port,
            mqtt_port=mqtt_port,
            environment={"GEOTARGET_OFFER_MAX_AGE_S": "900"},  # as it is without the tests
            arguments=("--demo",),
        )
        chromium = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("chromium-browser"),
            args=["--no-sandbox", "--enable-unsafe-swiftshader", "--disable-dev-shm-usage"],
        )
        try:
            device = furnish(node.start())
            FOLDER.mkdir(exist_ok=True)
            for old in FOLDER.glob("*.webp"):
                old.unlink()
            context = signed_in(chromium, port, ADMIN_KEY)
            context.set_default_timeout(READY_MS)
            take_all(context, node, device)
            context.close()
        finally:
            chromium.close()
            node.stop()


if __name__ == "__main__":
    main()
