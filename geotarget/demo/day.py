"""The day before the demo began: who of the fleet was out and when, and who answered the webhooks.

A demo that opens on an empty city has nothing to show. So on its first start the fleet walks the
last 24 hours as well, at the same places at the same times as it would have live, but with the
phones in the pockets of those only who were out: a few at night, most at noon and after work. What
comes of it nobody writes here; the pipeline, the outbox and the till find out.

The receiver of that day is simulated as well, for nothing of yesterday may be posted today: it
answers all but for ten minutes, in which it is being restarted. Everything is a pure function of
time and seed. The fixes of a day cost 0.2 s.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zlib import crc32
from zoneinfo import ZoneInfo

import numpy as np

from geotarget.demo.fleet import Fixes, Fleet

SEED = 2026
EVENING = 19
EVERY_MS = 20_000
"""Between two fixes of a phone: less often than live, so that a day does not take long."""

OUTING_MS = 40 * 60_000
"""Somebody goes out once in so long at most."""

LASTS_S = (20 * 60, 50 * 60)

TIME_ZONE = ZoneInfo("Europe/Helsinki")
OUT_PER_HOUR = (
    *(0.01, 0.005, 0.005, 0.005, 0.005, 0.01, 0.02, 0.05, 0.08, 0.09, 0.10, 0.15),
    *(0.20, 0.17, 0.12, 0.11, 0.15, 0.20, 0.17, 0.11, 0.08, 0.05, 0.03, 0.02),
)
"""Which share of the fleet goes out, by hour on the city's clock."""

RESTARTED = ((12, 30), (17, 0))
"""When the receiver is restarted: at the one or the other time of day, whichever is long over."""

RESTART_S = 600
LONG_OVER_S = 3 * 3_600
"""By the end of the day all that failed meanwhile has arrived, or is given up."""


def beginning_of(end_ms: int) -> int:
    """Return when the simulated day begins that ends at an instant, Unix milliseconds.

    24 hours before; but a last hour or two of an evening would be a day of too few people to be
    shown in reports, and hide the next one with it: then it begins at midnight.
    """
    begins = datetime.fromtimestamp(end_ms / 1000, TIME_ZONE) - timedelta(days=1)
    if begins.hour >= EVENING:
        begins = (begins + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return int(begins.timestamp() * 1000)


def fixes_between(fleet: Fleet, from_ms: int, to_ms: int) -> Fixes:
    """Return what the phones of those who were out report in [from_ms, to_ms), ordered by time.

    Parameters
    ----------
    fleet
        Who walks.
    from_ms, to_ms
        Unix milliseconds.
    """
    offset = np.random.default_rng(SEED).integers(0, EVERY_MS, len(fleet))
    found = [(np.empty(0, np.int64), np.empty(0, np.int64))]
    for walker, begins, ends in _outings(len(fleet), from_ms, to_ms):
        first = -((offset[walker] - max(begins, from_ms)) // EVERY_MS)
        ts = np.arange(offset[walker] + first * EVERY_MS, min(ends, to_ms), EVERY_MS)
        found.append((np.full(len(ts), walker), ts))
    walkers, times = (np.concatenate(column) for column in zip(*found, strict=True))
    each = np.unique(np.column_stack([walkers, times]), axis=0)  # an outing may run into the next
    return fleet.reported(each[:, 0], each[:, 1])


def _outings(walkers: int, from_ms: int, to_ms: int) -> Iterator[tuple[int, int, int]]:
    """Yield (walker, begin, end) of all outings that may touch an interval."""
    for block in range(from_ms // OUTING_MS - 2, to_ms // OUTING_MS + 1):
        chance = np.random.default_rng([SEED, block])
        local = datetime.fromtimestamp(block * OUTING_MS / 1000, TIME_ZONE)
        (out,) = np.nonzero(chance.random(walkers) < OUT_PER_HOUR[local.hour])
        begins = block * OUTING_MS + chance.integers(0, OUTING_MS, walkers)
        ends = begins + (1000 * chance.uniform(*LASTS_S, walkers)).astype(np.int64)
        for walker in out.tolist():
            yield walker, int(begins[walker]), int(ends[walker])


def restart_in(from_ms: int, to_ms: int) -> tuple[int, int]:
    """Return from when until when the receiver was being restarted that day, Unix milliseconds.

    In the hours of the day between which none is long over it is not restarted: (0, 0).
    """
    for hour, minute in RESTARTED:
        at = datetime.fromtimestamp(from_ms / 1000, TIME_ZONE).replace(hour=hour, minute=minute)
        for day in (at, at + timedelta(days=1)):
            began_ms = int(day.astimezone(UTC).timestamp()) * 1000
            ended_ms = began_ms + RESTART_S * 1000
            if from_ms <= began_ms and ended_ms + LONG_OVER_S * 1000 <= to_ms:
                return began_ms, ended_ms
    return 0, 0


def answer_at(webhook_id: str, at_ms: int, restart: tuple[int, int]) -> tuple[int, int]:
    """Return with which HTTP status the receiver of that day answered, and after how many ms."""
    began_ms, ended_ms = restart
    took_ms = 4 + crc32(f"{webhook_id} {at_ms}".encode()) % 60
    return (503 if began_ms <= at_ms < ended_ms else 204), took_ms
