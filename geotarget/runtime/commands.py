"""The long-running commands: everything in one process, or one part of it.

Each blocks until SIGINT or SIGTERM, drains, and returns an exit status. The line that starts with
``ready`` goes to standard output once everything answers; scripts may wait for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import structlog
import uvloop
from rich.console import Console

from geotarget.demo import Summary, log_summary, show_summary
from geotarget.logs import configure_logging
from geotarget.runtime.counters import counters
from geotarget.runtime.node import Node
from geotarget.runtime.showcase import Showcase
from geotarget.runtime.signals import stop_signals
from geotarget.runtime.sources import wanted_slots
from geotarget.runtime.watched import watched
from geotarget.settings import Settings

log = structlog.get_logger(__name__)

LOG_FILE = "geotarget.log"
"""Beside the database: where log lines go while the terminal shows the live summary."""

COLLECT_AFTER = (20_000, 10, 20)
"""Thresholds of the garbage collector: new objects before the young are searched for rings, and how
many of those searches before the older ones are, then all."""


def up(
    settings: Settings, *, demo: bool = False, live: bool = True, zones: Sequence[Path] = ()
) -> int:
    """Run everything in one process: broker, database, API, ingest and delivery.

    Parameters
    ----------
    settings
        What the operator chose; without a broker URL the embedded broker is started.
    demo
        Add a fleet in Helsinki, four campaigns and a receiver; and a simulated day, at first.
    live
        Show the live summary when standard output is a terminal.
    zones
        Catalogues to load first.

    Returns
    -------
    int
        0 after a clean stop, 1 when something failed.
    """
    on_terminal = live and sys.stdout.isatty()
    settings.data.mkdir(parents=True, exist_ok=True)
    configure_logging(
        level=settings.log_level,
        as_json=settings.log_json,
        file=settings.data / LOG_FILE if on_terminal else None,
    )
    showcase = Showcase(settings) if demo else None
    if showcase is not None:
        settings = showcase.settings
    node = Node(settings)

    async def main(stop: asyncio.Event) -> None:
        with (
            contextlib.nullcontext() if not on_terminal else Console().status("Starting …") as shown
        ):
            if not settings.mqtt:
                await asyncio.to_thread(node.start_broker)
            if showcase is not None:
                say = shown.update if shown is not None else _nobody
                await showcase.prepare(node, stopped=stop.is_set, say=say)
            await asyncio.to_thread(node.import_zones, zones)
            await asyncio.to_thread(node.start_ingest)
            node.start_delivery()
            node.start_api()
            assert node.api is not None
            running = asyncio.create_task(node.run(stop))
            await until_ready(node, running, stop)
            if showcase is not None and not stop.is_set():
                await showcase.start(node)
        addresses = {
            "API": node.api.url,
            "docs": f"{node.api.url}/docs",
            "MQTT": node.phone_url,
            **({"demo key": showcase.key} if showcase else {}),
            **({"log": str(settings.data / LOG_FILE)} if on_terminal else {}),
        }
        if not stop.is_set():
            keep_heap()
            announce("ready", {"API": node.api.url} if on_terminal else addresses)
        summary = Summary(
            lambda: (
                counters(node, showcase.takings, before=showcase.before)
                if showcase
                else counters(node)
            ),
            addresses={**addresses, **(showcase.notes if showcase else {})},
            offers=showcase.receiver.offers if showcase else tuple,
            troubles=lambda: [
                f"{each.name}: {each.detail}" for each in node.checks() if not each.ok
            ],
        )
        ended = threading.Event()
        view = threading.Thread(
            target=_view, args=(summary, ended, on_terminal), name="view", daemon=True
        )
        view.start()
        try:
            if showcase is not None:
                stopping = asyncio.create_task(stop.wait())
                await asyncio.wait({stopping, running}, return_when=asyncio.FIRST_COMPLETED)
                stopping.cancel()
                await showcase.stop_walking()
            await running
        finally:
            ended.set()
            await asyncio.to_thread(view.join)
            if showcase is not None:
                await showcase.stop()

    return _run(node, main)


def _nobody(_: str) -> None:
    """Say it to nobody: without a terminal the log tells enough."""


def serve(settings: Settings) -> int:
    """Run the HTTP API alone; pings that come by HTTP are passed on to the broker."""
    return _alone(settings, "api", lambda node: node.start_api())


def ingest(settings: Settings) -> int:
    """Run the ingest alone: from the broker through the engine into the store."""
    wanted_slots(settings)  # what is wrong with them is said before anything is opened
    return _alone(settings, "ingest", lambda node: node.start_ingest())


def deliver(settings: Settings) -> int:
    """Run the delivery of webhooks alone."""
    return _alone(settings, "deliver", lambda node: node.start_delivery())


def keep_heap() -> None:
    """Take what start-up made out of the garbage collector's sight, once everything stands.

    It stays until the end, and to walk through it again and again cost up to a third of the CPU of
    a webhook. What goes all the same goes as before, unless it is part of a ring. What comes later
    is looked at more rarely than by default (`COLLECT_AFTER`): the memory of states grows for days
    and holds no rings, and to search it for them cost a ping 0.8 of 6.8 µs.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


def announce(word: str, addresses: dict[str, str]) -> None:
    """Print the line that scripts wait for."""
    rest = "  ".join(f"{label} {address}" for label, address in addresses.items())
    sys.stdout.write(f"{word} {rest}\n")
    sys.stdout.flush()


async def until_ready(node: Node, running: asyncio.Task[None], stop: asyncio.Event) -> None:
    """Wait until every check holds and HTTP answers; say every five seconds what is missing."""
    waited = 0.0
    while not stop.is_set():
        missing = [each for each in await asyncio.to_thread(node.checks) if not each.ok]
        if running.done():
            await running
            return
        if not missing and (node.api is None or node.api.answers):
            node.started = True
            return
        if node.api is not None and not node.api.alive:
            raise RuntimeError("the HTTP server ended while it was starting")
        if waited and waited % 5 == 0:
            log.warning("not ready yet", missing={each.name: each.detail for each in missing})
        await asyncio.sleep(0.05)
        waited = round(waited + 0.05, 2)


def _view(summary: Summary, ended: threading.Event, on_terminal: bool) -> None:  # noqa: FBT001
    if on_terminal:
        show_summary(summary, ended, console=Console())
    else:
        log_summary(summary, ended)


def _alone(settings: Settings, role: str, start: Callable[[Node], None]) -> int:
    configure_logging(level=settings.log_level, as_json=settings.log_json)
    node = Node(settings)

    async def main(stop: asyncio.Event) -> None:
        await asyncio.to_thread(start, node)
        running = asyncio.create_task(node.run(stop))
        await until_ready(node, running, stop)
        if not stop.is_set():
            keep_heap()
            announce("ready", {"API": node.api.url} if node.api else {role: node.phone_url})
        await running

    return _run(node, main)


def _run(node: Node, main: Callable[[asyncio.Event], Awaitable[None]]) -> int:
    """Open the node, run `main` until a signal, close."""
    node.open()

    async def with_signals() -> None:
        async with stop_signals() as stop, watched(node):
            await main(stop)

    try:
        uvloop.run(with_signals())
    finally:
        node.close()
    log.info("stopped")
    return 0
