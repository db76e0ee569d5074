"""The port for probes and Prometheus: whether a process lives, is ready, and what it counts.

`ingest` and `deliver` have no other HTTP, and the API's own `/metrics` needs a key. This port needs
none, so it is off unless ``GEOTARGET_HEALTH_PORT`` opens it, and belongs where only probes and
Prometheus come by; what it says names nobody (`geotarget.metrics`). It answers from the moment the
database is open, so a supervisor sees a process that compiles or restores its state as alive and
not ready.

Costs: a thread with an event loop that sleeps, and 0.1 to 0.3 MB.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import structlog

from geotarget.api import Check, create_watched
from geotarget.api.limits import HttpLimits
from geotarget.runtime.http_server import ApiThread, listen
from geotarget.runtime.node import Node

log = structlog.get_logger(__name__)

CONNECTIONS = 64
"""At one time: a probe and a few who measure."""


@asynccontextmanager
async def watched(node: Node) -> AsyncIterator[ApiThread | None]:
    """Open the port of a node while it runs; nothing happens where none is set.

    It answers when the block begins.

    Parameters
    ----------
    node
        Whose checks are told; before it has started it is not ready.

    Raises
    ------
    SettingsError
        The port can't be had.
    """
    settings = node.settings
    if settings.health_port is None:
        yield None
        return

    def readiness() -> Sequence[Check]:
        if not node.started:
            return [Check("running", ok=False, detail="starting")]
        return node.checks()

    port = ApiThread(
        create_watched(readiness),
        listen(settings.host, settings.health_port, "GEOTARGET_HEALTH_PORT"),
        limits=HttpLimits(connections=CONNECTIONS),
    )
    port.start()
    try:
        while not port.answers:
            if not port.alive:
                raise RuntimeError("the port of health and metrics ended while it was starting")
            await asyncio.sleep(0.005)
        log.info("health and metrics", url=port.url)
        yield port
    finally:
        await asyncio.to_thread(port.stop)
