"""What happens, told to all who listen: one look at the database for everybody, encoded once.

While anybody listens there is a look four times a second; nobody listening costs nothing. A
listener that does not keep up loses the oldest of what waits for it, never anybody else's time.
Positions come five times a second at most, as 32-bit floats in base64: 107 KB for ten thousand
devices.
"""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import structlog
from starlette.concurrency import run_in_threadpool

from geotarget.api.values import instant
from geotarget.errors import StoreError
from geotarget.store import Moment, Place, Store

LOOK_S = 0.25
POSITIONS_S = 0.2
TOTALS_S = 2.0
SIGN_OF_LIFE_S = 10.0
WAITING = 256
"""Events that may wait for a slow listener."""

LISTENERS = 64
AT_FIRST = 60
"""Moments of each kind that a new listener begins with."""

_encode = msgspec.json.Encoder().encode

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Scene:
    """Where the devices are now.

    Parameters
    ----------
    places
        lng, lat, lng, lat … of those that were heard of late, degrees.
    devices
        How many are known.
    inside
        How many of them are in a zone.
    """

    places: npt.NDArray[np.float32]
    devices: int
    inside: int


class Broadcast:
    """Tells all listeners of one process what happens.

    Parameters
    ----------
    store
        Where moments are committed.
    scene
        Where the devices are, if this process knows.
    """

    def __init__(self, store: Store, scene: Callable[[], Scene] | None) -> None:
        self._store = store
        self._scene = scene
        self._listeners: set[asyncio.Queue[bytes]] = set()
        self._task: asyncio.Task[None] | None = None

    async def listen(self, place: Place | None) -> AsyncIterator[bytes]:
        """Give events until the listener goes.

        Parameters
        ----------
        place
            What the listener has seen last; None: it is new.
        """
        queue: asyncio.Queue[bytes] = asyncio.Queue(WAITING)
        end = await run_in_threadpool(self._store.feed_end)
        if place is None:
            place = Place(max(0, end.transition - AT_FIRST), max(0, end.decision - AT_FIRST))
        yield b"retry: 1000\n\n"
        self._listeners.add(queue)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._tell(end))
        try:
            missed, seen = await run_in_threadpool(self._store.moments_after, place)
            for event in events(missed, seen):  # what came since `end` as well
                yield event
            while True:
                try:
                    async with asyncio.timeout(SIGN_OF_LIFE_S):
                        yield await queue.get()
                except TimeoutError:
                    yield b": still here\n\n"
        finally:
            self._listeners.discard(queue)

    @property
    def is_full(self) -> bool:
        """Whether there are as many listeners as may be."""
        return len(self._listeners) >= LISTENERS

    async def _tell(self, place: Place) -> None:
        """Look and tell, as long as somebody listens."""
        clock = asyncio.get_running_loop().time
        look_at = positions_at = totals_at = clock()
        while self._listeners:
            now = clock()
            try:
                if now >= look_at:
                    look_at = now + LOOK_S
                    found, place = await run_in_threadpool(self._store.moments_after, place)
                    for event in events(found, place):
                        self._send(event)
                if now >= totals_at:
                    totals_at = now + TOTALS_S
                    self._send(_event("totals", await run_in_threadpool(self._totals)))
            except StoreError as error:
                log.warning("live view without news", error=str(error))
            if self._scene is not None and now >= positions_at:
                positions_at = now + POSITIONS_S
                places = self._scene().places
                told = base64.b64encode(places.astype("<f4").tobytes())
                self._send(b"event: positions\ndata: " + told + b"\n\n")
            await asyncio.sleep(max(0.0, min(look_at, positions_at, totals_at) - clock()))

    def _totals(self) -> dict[str, Any]:
        today = dt.datetime.now(dt.UTC).astimezone().date()
        scene = None if self._scene is None else self._scene()
        return {
            "devices": None if scene is None else scene.devices,
            "inside": None if scene is None else scene.inside,
            "offers": self._store.offers_on(today),
        }

    def _send(self, event: bytes) -> None:
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(event)


def events(moments: Sequence[Moment], place: Place) -> list[bytes]:
    """Return moments as server-sent events; the last of them carries the place."""
    made = [_event(*_told(each)) for each in moments]
    if made:
        made[-1] = f"id: {place.transition}-{place.decision}\n".encode() + made[-1]
    return made


def _told(moment: Moment) -> tuple[str, dict[str, Any]]:
    common = {
        "id": moment.id,
        "device": moment.device,
        "zone": moment.zone,
        "time": instant(moment.time_ms),
    }
    if moment.kind:
        return "transition", {**common, "what": moment.kind}
    gate = {"campaign": moment.campaign, "gate": moment.gate, "reason": moment.reason}
    return "decision", {**common, **gate}


def _event(name: str, document: dict[str, Any]) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + _encode(document) + b"\n\n"
