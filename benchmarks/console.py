"""What the console costs a browser: first paint, ten thousand zones, ten thousand moving devices.

    python benchmarks/console.py
    python benchmarks/console.py --smoke    a short run that only proves that it works

A real node without the demo, zones and pings over its API, Chromium without a window. Each run is
a fresh window with an empty cache, signed in; figures are medians.

Wall times are from the beginning of the navigation. CPU is that of the page's main thread, all that
runs there: stream, decoding, upload, draw calls, layout. Not in it: workers, the network, and the
process that draws, which on a machine without a GPU is a second core's worth; wall times have it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.console.browsing import opened, signed_in
from tests.e2e.harness import ADMIN_KEY, Node
from tests.ports import free_ports

RESULTS = Path(__file__).parent / "results" / "console.json"
SEED = 20261122
GOALS = {
    "first_paint_ms": 1_500,
    "zones_ready_ms": 3_000,
    "longest_task_while_panning_cpu_ms": 50,
    "update_cpu_ms": 20,
}

TOWNS = 60
KINDS = (
    (0.7, (12, 40), (30, 150)),
    (0.25, (100, 300), (300, 2_000)),
    (0.05, (1_000, 1_001), (3_000, 15_000)),
)
"""Share, corners and radius in metres: shops, quarters, towns."""

DEGREE_M = 111_195.0
PINGS_A_POST = 500
POSTS_A_SECOND = 4
FLAGS = ["--no-sandbox", "--enable-unsafe-swiftshader", "--disable-dev-shm-usage"]

COUNT_UPDATES = """
window.updates = 0;
const listen = EventSource.prototype.addEventListener;
EventSource.prototype.addEventListener = function (name, heard, ...rest) {
  const counted = (event) => {
    window.updates += 1;
    window.places = atob(event.data).length / 8;
    heard(event);
  };
  listen.call(this, name, name === "positions" ? counted : heard, ...rest);
};
"""


def towns() -> np.ndarray:
    """Return the middles of towns, longitude and latitude."""
    rng = np.random.default_rng(SEED)
    return np.column_stack([rng.uniform(21.5, 29.5, TOWNS), rng.uniform(60.1, 66, TOWNS)])


def zones(count: int) -> Iterator[dict[str, Any]]:
    """Give uneven outlines in and around towns: 115 corners on average, 1,000 at most."""
    rng = np.random.default_rng(SEED)
    middles = towns()
    shares = [share for share, _, _ in KINDS]
    for number in range(count):
        _, corners, radius = KINDS[rng.choice(len(KINDS), p=shares)]
        angle = np.linspace(0, 2 * np.pi, int(rng.integers(*corners)), endpoint=False)
        swell = np.ones_like(angle)
        for waves in (2, 3, 5, 9, 17, 33):
            swell += rng.uniform(-0.25, 0.25) / waves * np.cos(waves * angle + rng.uniform(0, 6))
        lng, lat = middles[rng.integers(TOWNS)] + rng.normal(0, (0.15, 0.07))
        dy = rng.uniform(*radius) / DEGREE_M
        dx = dy / np.cos(np.radians(lat))
        at = [lng + dx * swell * np.cos(angle), lat + dy * swell * np.sin(angle)]
        ring = np.round(np.column_stack(at), 7).tolist()
        yield {
            "type": "Feature",
            "id": f"zone-{number:05}",
            "properties": {"name": f"Zone {number}", "tags": ["shop"]},
            "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
        }


def put_zones(node: Node, count: int) -> None:
    """Import zones into a node."""
    features = list(zones(count))
    for start in range(0, count, 500):
        part = {"type": "FeatureCollection", "features": features[start : start + 500]}
        status, answer = node.call("POST", "/v1/zones", part)
        if (status, answer["rejected"]) != (200, []):
            raise SystemExit(f"zones were refused: {status} {answer}")


class Walkers:
    """Devices that walk around towns and send pings, in a thread, as long as a block lasts."""

    def __init__(self, node: Node, count: int) -> None:
        rng = np.random.default_rng(SEED)
        self._node = node
        self._rng = rng
        self._at = towns()[rng.integers(TOWNS, size=count)] + rng.normal(0, (0.1, 0.05), (count, 2))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._walk, name="walkers")

    def __enter__(self) -> None:
        for start in range(0, len(self._at), PINGS_A_POST):
            self._post(start)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _walk(self) -> None:
        start = 0
        while not self._stop.wait(1 / POSTS_A_SECOND):
            self._at[start : start + PINGS_A_POST] += self._rng.normal(0, 1e-4, (1, 2))
            self._post(start)
            start = (start + PINGS_A_POST) % len(self._at)

    def _post(self, start: int) -> None:
        now = time.time()
        pings = [
            {"device": f"walker-{start + n}", "ts": now, "lng": lng, "lat": lat, "acc": 8}
            for n, (lng, lat) in enumerate(self._at[start : start + PINGS_A_POST].tolist())
        ]
        status, answer = self._node.call("POST", "/v1/pings", pings)
        if status != 202:
            raise SystemExit(f"pings were refused: {status} {answer}")


@contextmanager
def window(browser: Browser, node: Node) -> Iterator[tuple[Page, CDPSession]]:
    """Open a fresh window, and a line to what the browser measures."""
    context = signed_in(browser, node.port, ADMIN_KEY)
    try:
        context.add_init_script(COUNT_UPDATES)
        page = context.new_page()
        page.set_default_timeout(120_000)
        line = context.new_cdp_session(page)
        line.send("Performance.enable", {"timeDomain": "threadTicks"})
        yield page, line
    finally:
        context.close()


def main_thread_ms(line: CDPSession) -> float:
    """Return the CPU time of the page's main thread until now, milliseconds."""
    found = {each["name"]: each["value"] for each in line.send("Performance.getMetrics")["metrics"]}
    return 1e3 * float(found["TaskDuration"])


def now_ms(page: Page) -> float:
    """Return milliseconds since the navigation began."""
    return float(page.evaluate("performance.now()"))


def first_paint_ms(page: Page) -> float:
    """Return when something was first seen, milliseconds from the beginning of the navigation."""
    return float(
        page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    )


def paint(browser: Browser, node: Node) -> dict[str, float]:
    """Open the live page."""
    with window(browser, node) as (page, line):
        opened(page, "live")
        usable = now_ms(page)
        page.wait_for_selector("html[data-ready]")
        return {
            "first_paint_ms": first_paint_ms(page),
            "usable_ms": usable,
            "map_ready_ms": now_ms(page),
            "main_thread_cpu_ms": main_thread_ms(line),
        }


def load_zones(browser: Browser, node: Node) -> dict[str, float]:
    """Open the page of zones; then drag the map to and fro, and zoom."""
    with window(browser, node) as (page, line):
        opened(page, "zones")
        page.locator(".choices li").first.wait_for()
        listed = now_ms(page)
        page.wait_for_selector("html[data-ready]")
        ready = now_ms(page)
        cpu = main_thread_ms(line)
        return {
            "zones_listed_ms": listed,
            "zones_ready_ms": ready,
            "zones_main_thread_cpu_ms": cpu,
            **panned(browser, page),
        }


def panned(browser: Browser, page: Page) -> dict[str, float]:
    """Drag the map; return what its tasks took of the main thread."""
    box = page.locator(".board").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    browser.start_tracing(page=page, categories=["toplevel", "devtools.timeline"])
    for zoom in (0, -240):
        page.mouse.move(x, y)
        page.mouse.wheel(0, zoom)
        for side in (1, -1):
            page.mouse.move(x, y)
            page.mouse.down()
            page.mouse.move(x + side * 250, y + side * 150, steps=25)
            page.mouse.up()
    tasks = main_thread_tasks(json.loads(browser.stop_tracing())["traceEvents"])
    return {
        "tasks_while_panning": len(tasks),
        "longest_task_while_panning_cpu_ms": max(tasks),
        "p99_task_while_panning_cpu_ms": float(np.percentile(tasks, 99)),
    }


def main_thread_tasks(events: list[dict[str, Any]]) -> list[float]:
    """Return the CPU milliseconds of each task of the page's main thread."""
    drawn = {(each["pid"], each["tid"]) for each in events if each["name"] == "FireAnimationFrame"}
    return [
        each["tdur"] / 1e3
        for each in events
        if each["name"].endswith("RunTask")
        and (each["pid"], each["tid"]) in drawn
        and "tdur" in each
    ]


def follow_devices(browser: Browser, node: Node, seconds: float) -> dict[str, float]:
    """Look at the live page while devices walk."""
    with window(browser, node) as (page, line):
        opened(page, "live", board=True)
        page.wait_for_timeout(2_000)
        cpu, updates = main_thread_ms(line), int(page.evaluate("window.updates"))
        page.wait_for_timeout(1e3 * seconds)
        cpu = main_thread_ms(line) - cpu
        updates = int(page.evaluate("window.updates")) - updates
        if not updates:
            raise SystemExit("no positions came")
        return {
            "update_cpu_ms": cpu / updates,
            "updates_per_s": updates / seconds,
            "devices_an_update": float(page.evaluate("window.places")),
        }


def medians(rows: list[dict[str, float]]) -> dict[str, float]:
    """Return the median of each figure."""
    return {name: round(statistics.median(row[name] for row in rows), 1) for name in rows[0]}


def measure(count: int, runs: int, seconds: float) -> dict[str, Any]:
    """Return all figures."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        raise SystemExit("no chromium here (Debian package chromium)")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        port, mqtt_port = free_ports(2)
        node = Node(data=Path(folder) / "node", port=port, mqtt_port=mqtt_port)
        node.start()
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        try:
            painted = [paint(browser, node) for _ in range(runs)]
            put_zones(node, count)
            loaded = [load_zones(browser, node) for _ in range(runs)]
            with Walkers(node, count):
                followed = [follow_devices(browser, node, seconds) for _ in range(runs)]
            version = browser.version
        finally:
            browser.close()
            node.stop()
    figures = medians(painted) | medians(loaded) | medians(followed)
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Chromium {version}, no GPU",
        "load_at_the_end": round(os.getloadavg()[0], 1),
        "seed": SEED,
        "zones": count,
        "devices": count,
        "runs": runs,
        "figures": figures,
        "goals": {
            name: {"at_most": bound, "measured": figures[name], "met": figures[name] <= bound}
            for name, bound in GOALS.items()
        },
    }


def main() -> None:
    """Print one JSON document, and keep it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="short run, proves that it works")
    parser.add_argument("--runs", type=int, default=5, help="of each figure, medians are kept")
    parser.add_argument("--out", type=Path, default=RESULTS, help="where the JSON goes")
    arguments = parser.parse_args()
    result = measure(500, 1, 2) if arguments.smoke else measure(10_000, arguments.runs, 15)
    text = json.dumps(result, indent=2)
    print(text)
    if not arguments.smoke:
        arguments.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
