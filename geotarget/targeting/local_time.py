"""Instants as the clock on the wall shows them: local time, and the days of a time zone.

Everything goes through the IANA database of `zoneinfo`, so days of 23, 24.5 and 25 hours come out
as they are. A local time costs half a microsecond; the time zones themselves are remembered.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""As campaigns write them, in the order of `datetime.date.weekday`."""

_REMEMBERED = 4096


@lru_cache(maxsize=1024)
def find_zone(name: str) -> ZoneInfo | None:
    """Return a time zone by its IANA name; None if there is none of that name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a folder of the database
        return None


def local_time(at_ms: int, name: str) -> dt.datetime:
    """Return an instant in a time zone; in UTC if there is none of that name.

    Zones and budgets are checked when they are saved. A database that another version wrote must
    not stop a batch, hence UTC instead of an error.
    """
    return dt.datetime.fromtimestamp(at_ms / 1000, find_zone(name) or dt.UTC)


def date_of(at_ms: int, name: str) -> str:
    """Return the local date of an instant, ISO 8601.

    Examples
    --------
    >>> date_of(1_767_268_800_000, "Pacific/Kiritimati")
    '2026-01-02'
    """
    return local_time(at_ms, name).date().isoformat()


@lru_cache(maxsize=_REMEMBERED)
def day_bounds_ms(date: str, name: str) -> tuple[int, int]:
    """Return the first instant of a local date and that of the next, Unix milliseconds.

    Where midnight does not exist the day begins at the instant that the clock jumps; where it
    exists twice, the first time.
    """
    zone = find_zone(name) or dt.UTC
    day = dt.datetime.fromisoformat(date)
    return _midnight_ms(day, zone), _midnight_ms(day + dt.timedelta(days=1), zone)


@lru_cache(maxsize=_REMEMBERED)
def offsets(start_ms: int, end_ms: int, name: str) -> tuple[tuple[int, int, int], ...]:
    """Split a stretch of time where the local clock jumps.

    Returns
    -------
    tuple of (from_ms, to_ms, offset_ms)
        In order and without gaps; within each, local time is UTC plus the offset.
    """
    zone = find_zone(name) or dt.UTC
    found: list[tuple[int, int, int]] = []
    since_ms, offset_ms = start_ms, _offset_ms(start_ms, zone)
    for jump_ms, after_ms in _jumps(start_ms, end_ms, zone):
        found.append((since_ms, jump_ms, offset_ms))
        since_ms, offset_ms = jump_ms, after_ms
    found.append((since_ms, end_ms, offset_ms))
    return tuple(found)


def _jumps(start_ms: int, end_ms: int, zone: dt.tzinfo) -> Iterator[tuple[int, int]]:
    """Yield (instant, offset from then on) where the offset changes, looked for by the hour."""
    left, before = start_ms, _offset_ms(start_ms, zone)
    while left < end_ms:
        right = min(left + HOUR_MS, end_ms)
        after = _offset_ms(right, zone)
        if after != before:
            low, high = left, right  # the offset is the old one at low, the new one at high
            while high - low > 1:
                middle = (low + high) // 2
                if _offset_ms(middle, zone) == before:
                    low = middle
                else:
                    high = middle
            if high < end_ms:
                yield high, after
            before = after
        left = right


def _offset_ms(at_ms: int, zone: dt.tzinfo) -> int:
    offset = dt.datetime.fromtimestamp(at_ms / 1000, zone).utcoffset()
    assert offset is not None
    return offset // dt.timedelta(milliseconds=1)


def _midnight_ms(day: dt.datetime, zone: dt.tzinfo) -> int:
    return round(day.replace(tzinfo=zone, fold=0).timestamp() * 1000)
