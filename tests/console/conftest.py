"""The console in a real browser, on a real node with the demo's zones, campaigns and fleet.

Every request that is not to the node is aborted, and a test fails when the page throws, logs an
error or asks for another host.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.console.browsing import READY_MS, signed_in, watched
from tests.e2e.harness import ADMIN_KEY, Node
from tests.ports import free_ports

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a browser."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.chromium)


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Run the demo."""
    port, mqtt_port = free_ports(2)
    data = tmp_path_factory.mktemp("console")
    node = Node(data=data, port=port, mqtt_port=mqtt_port, arguments=("--demo",))
    try:
        yield node.start()
    finally:
        if node.process is not None and node.process.poll() is None:
            node.kill()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start Debian's chromium without a window.

    For a module at a time: while Playwright runs, its event loop holds this thread, and tests of
    other modules could not run theirs.
    """
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    expect.set_options(timeout=READY_MS)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--enable-unsafe-swiftshader", "--disable-dev-shm-usage"],
        )
        yield launched
        launched.close()


@pytest.fixture
def context(browser: Browser, node: Node) -> Iterator[BrowserContext]:
    """Open a window of its own, signed in."""
    opened = signed_in(browser, node.port, ADMIN_KEY)
    yield opened
    opened.close()


@pytest.fixture
def page(context: BrowserContext, node: Node) -> Iterator[Page]:
    """Open a page that may not fail, nor ask anybody else."""
    with watched(context, node.port) as page:
        yield page
