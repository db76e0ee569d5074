"""Stretches of the day: what the clock on the wall must show for a campaign to speak.

A stretch holds while the local clock shows a time from its start up to, not including, its end. So
daylight saving needs no rule of its own: a time that the clock jumps over never comes, and one
that it shows twice counts twice. A stretch over midnight belongs to the day on which it begins:
``22:00`` to ``02:00`` on Fridays includes Saturday's first two hours and not Friday's.

Asking costs half a microsecond a stretch. `open_times`, for even pacing, costs some 50 µs for a
day and is remembered.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from geotarget.errors import InvalidCampaign, Problem
from geotarget.model import Hours
from geotarget.targeting.local_time import DAY_MS, WEEKDAYS, offsets

MAX_STRETCHES = 48
_MINUTE_MS = 60_000
_DAY_MINUTES = 1440
_CLOCK = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00")
_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday
_REMEMBERED = 4096


def within(local: dt.datetime, days: Sequence[str], hours: Sequence[Hours]) -> bool:
    """Return whether a local time lies in one of the stretches of one of the days.

    Parameters
    ----------
    local
        Wall-clock time.
    days
        Weekdays on which stretches begin, ``mon`` … ``sun``; empty means every day.
    hours
        Stretches; empty means the whole day.

    Examples
    --------
    >>> friday_night = (Hours("22:00", "02:00"),)
    >>> within(dt.datetime(2026, 1, 3, 1, 30), ("fri",), friday_night)  # a Saturday
    True
    """
    weekday, minute = local.weekday(), 60 * local.hour + local.minute
    today = not days or WEEKDAYS[weekday] in days
    if not hours:
        return today
    yesterday = not days or WEEKDAYS[weekday - 1] in days
    for stretch in hours:
        start, end = _minutes(stretch)
        if start < end:
            if today and start <= minute < end:
                return True
        elif (today and minute >= start) or (yesterday and minute < end):
            return True
    return False


@lru_cache(maxsize=_REMEMBERED)
def open_times(
    days: tuple[str, ...], hours: tuple[Hours, ...], start_ms: int, end_ms: int, time_zone: str
) -> tuple[tuple[int, int], ...]:
    """Return when `within` holds between two instants, as stretches of Unix milliseconds.

    In order, apart from each other, their ends excluded. `days` and `hours` as of `within`.
    """
    found: list[tuple[int, int]] = []
    for from_ms, to_ms, offset_ms in offsets(start_ms, end_ms, time_zone):
        # within one offset the wall clock runs straight on
        low, high = from_ms + offset_ms, to_ms + offset_ms
        for day in range(low // DAY_MS, (high - 1) // DAY_MS + 1):
            for start, end in _walls(day, days, hours):
                begin, stop = max(day * DAY_MS + start, low), min(day * DAY_MS + end, high)
                if begin < stop:
                    found.append((begin - offset_ms, stop - offset_ms))
    merged: list[tuple[int, int]] = []
    for begin, stop in sorted(found):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((begin, stop))
    return tuple(merged)


def validate_days(days: Sequence[str], *, path: str) -> None:
    """Check weekdays.

    Raises
    ------
    InvalidCampaign
        With one problem per day that is none, or stands there twice.
    """
    problems: list[Problem] = []
    for place, day in enumerate(days):
        if day not in WEEKDAYS:
            reason = f"must be one of {', '.join(WEEKDAYS)}"
            problems.append(Problem(f"{path}[{place}]", repr(day)[:80], reason))
        elif day in days[:place]:
            problems.append(Problem(f"{path}[{place}]", day, "stands there twice"))
    if problems:
        raise InvalidCampaign(*problems)


def validate_hours(hours: Hours, *, path: str) -> None:
    """Check one stretch of the day.

    Raises
    ------
    InvalidCampaign
        Naming ``from`` or ``to`` under `path`.
    """
    problems: list[Problem] = []
    for name, text in (("from", hours.start), ("to", hours.end)):
        if not isinstance(text, str) or not _CLOCK.fullmatch(text):
            reason = "must be a time of the day, HH:MM, like 08:30"
            problems.append(Problem(f"{path}.{name}", repr(text)[:80], reason))
    if hours.start == "24:00":
        reason = "only an end can be 24:00; a day begins at 00:00"
        problems.append(Problem(f"{path}.from", hours.start, reason))
    if problems:
        raise InvalidCampaign(*problems)


def shown(hours: Sequence[Hours]) -> str:
    """Return stretches as people write them."""
    return ", ".join(f"{stretch.start}-{stretch.end}" for stretch in hours)


def _walls(day: int, days: Sequence[str], hours: Sequence[Hours]) -> Iterator[tuple[int, int]]:
    """Yield the stretches that touch a day, in milliseconds of its wall clock."""
    weekday = (day + _EPOCH_WEEKDAY) % 7
    today = not days or WEEKDAYS[weekday] in days
    yesterday = not days or WEEKDAYS[weekday - 1] in days
    for stretch in hours or (Hours("00:00", "24:00"),):
        start, end = _minutes(stretch)
        if today:
            yield start * _MINUTE_MS, (end if start < end else _DAY_MINUTES) * _MINUTE_MS
        if yesterday and end <= start:
            yield 0, end * _MINUTE_MS


@lru_cache(maxsize=_REMEMBERED)
def _minutes(stretch: Hours) -> tuple[int, int]:
    """Return start and end in minutes of the day."""
    start, end = (60 * int(text[:2]) + int(text[3:]) for text in (stretch.start, stretch.end))
    return start, end
