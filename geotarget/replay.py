"""Recorded pings, published again as devices would publish them.

Pacing follows the recording; a message costs about 2 µs here, next to what the publisher costs.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import Any

from geotarget.recording import RecordedPing, Survey

TICK_S = 0.2
"""While nothing is due, the caller gets to hear from us this often."""


class Times(StrEnum):
    """What becomes of the recorded times."""

    NOW = "now"
    SHIFT = "shift"
    KEEP = "keep"


def _wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


def replay(
    pings: Iterable[RecordedPing],
    publish: Callable[[str, dict[str, Any]], object],
    *,
    survey: Survey,
    stop: threading.Event,
    times: Times = Times.NOW,
    speed: float = 1.0,
    now_ms: Callable[[], int] = _wall_clock_ms,
) -> Iterator[int]:
    """Publish pings at the pace of their recording.

    Parameters
    ----------
    pings
        In the order in which they are to go out.
    publish
        Called with device and ping (``ts`` in epoch seconds, ``lat``, ``lng``, and ``acc`` and
        ``id`` where there are any); may block while the broker is slow.
    survey
        Gives the span of the recording.
    stop
        Ends the replay, also in the middle of a pause.
    times
        ``now`` stamps each ping with the moment of publishing; ``shift`` moves all by the same
        amount, so that the first is published at its own time (at a higher speed: the last one,
        because a ping from the future would be refused); ``keep`` leaves them alone. Message ids
        are kept only with ``keep``: a ping of another time is another message.
    speed
        60 plays an hour in a minute; 0 is as fast as the broker takes them.
    now_ms
        The clock.

    Yields
    ------
    int
        How many were published, after each one and a few times a second during pauses.
    """
    started = now_ms()
    played_ms = (survey.last_ms - survey.first_ms) / speed if speed > 0 else 0.0
    shift = min(started - survey.first_ms, round(started + played_ms) - survey.last_ms)
    stamped: dict[str, int] = {}
    for published, ping in enumerate(pings):
        if speed > 0:
            due = started + (ping.ts_ms - survey.first_ms) / speed
            while (wait_s := (due - now_ms()) / 1000) > 0 and not stop.is_set():
                yield published
                stop.wait(min(wait_s, TICK_S))
        if stop.is_set():
            return
        ts_ms = ping.ts_ms
        if times is Times.SHIFT:
            ts_ms += shift
        elif times is Times.NOW:
            # Two pings of a device never carry the same time, however fast they go out.
            ts_ms = stamped[ping.device] = max(now_ms(), stamped.get(ping.device, 0) + 1)
        publish(ping.device, _message(ping, ts_ms, with_id=times is Times.KEEP))
        yield published + 1


def _message(ping: RecordedPing, ts_ms: int, *, with_id: bool) -> dict[str, Any]:
    message: dict[str, Any] = {"ts": ts_ms / 1000, "lat": ping.lat, "lng": ping.lng}
    if not math.isnan(ping.acc):
        message["acc"] = ping.acc
    if with_id and ping.id:
        message["id"] = ping.id
    return message
