"""Stretches of the day against a plain walk over every minute, and the days of time zones."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotarget.model import Hours
from geotarget.targeting.hours import open_times, within
from geotarget.targeting.local_time import (
    DAY_MS,
    HOUR_MS,
    WEEKDAYS,
    date_of,
    day_bounds_ms,
    local_time,
    offsets,
)

MINUTE_MS = 60_000
ZONES = [
    "UTC",
    "Europe/Helsinki",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Africa/Casablanca",
    "Asia/Beirut",
    "America/Havana",
    "Pacific/Chatham",
    "America/St_Johns",
]
CHANGES = [
    "2026-03-29T00:00+00:00",  # Europe, Beirut
    "2026-10-25T00:00+00:00",
    "2026-10-03T14:00+00:00",  # Lord Howe
    "2026-04-04T14:00+00:00",
    "2026-02-15T01:00+00:00",  # Casablanca
    "2026-03-22T01:00+00:00",
    "2026-03-08T05:00+00:00",  # Havana, St John's
    "2026-11-01T05:00+00:00",
    "2026-06-15T12:00+00:00",
]
CLOCKS = st.builds("{:02d}:{:02d}".format, st.integers(0, 23), st.sampled_from([0, 15, 30, 59]))
STRETCHES = st.lists(st.builds(Hours, CLOCKS, CLOCKS | st.just("24:00")), max_size=3).map(tuple)
DAYS = st.lists(st.sampled_from(WEEKDAYS), unique=True, max_size=4).map(tuple)
INSTANTS = st.builds(
    lambda text, hours: round(dt.datetime.fromisoformat(text).timestamp() * 1000) + hours * HOUR_MS,
    st.sampled_from(CHANGES),
    st.integers(-30, 10),
)


def spoken(days: tuple[str, ...], hours: tuple[Hours, ...], local: dt.datetime) -> bool:
    """Whether a stretch that began today or yesterday holds, minute by minute of the wall clock."""
    for back in (0, 1):
        day = local.date() - dt.timedelta(days=back)
        if days and WEEKDAYS[day.weekday()] not in days:
            continue
        for stretch in hours or (Hours("00:00", "24:00"),):
            start = int(stretch.start[:2]) * 60 + int(stretch.start[3:])
            end = int(stretch.end[:2]) * 60 + int(stretch.end[3:])
            length = end - start if end > start else end - start + 1440
            since = 1440 * back + local.hour * 60 + local.minute - start
            if 0 <= since < length:
                return True
    return False


@given(DAYS, STRETCHES, INSTANTS, st.sampled_from(ZONES))
def test_within_is_what_the_wall_shows(
    days: tuple[str, ...], hours: tuple[Hours, ...], at_ms: int, time_zone: str
) -> None:
    """The rule for one instant agrees with stretches laid out from their beginning."""
    local = local_time(at_ms, time_zone)
    assert spoken(days, hours, local) == within(local, days, hours)


@given(DAYS, STRETCHES, INSTANTS, st.sampled_from(ZONES), st.integers(1, 30))
def test_open_times_are_where_within_holds(
    days: tuple[str, ...], hours: tuple[Hours, ...], start_ms: int, time_zone: str, length: int
) -> None:
    """Across every kind of change: open times hold exactly the minutes in which it holds."""
    end_ms = start_ms + length * HOUR_MS
    found = open_times(days, hours, start_ms, end_ms, time_zone)
    for minute_ms in range(start_ms, end_ms, MINUTE_MS):
        expected = within(local_time(minute_ms, time_zone), days, hours)
        last_ms = minute_ms + MINUTE_MS - 1
        inside = [any(begin <= at < stop for begin, stop in found) for at in (minute_ms, last_ms)]
        assert [expected, expected] == inside, dt.datetime.fromtimestamp(minute_ms / 1000, dt.UTC)
    assert all(a[1] < b[0] for a, b in pairwise(found))


@pytest.mark.parametrize(
    ("date", "time_zone", "begin", "hours"),
    [
        ("2026-01-01", "UTC", "2026-01-01T00:00+00:00", 24),
        ("2026-03-29", "Europe/Helsinki", "2026-03-28T22:00+00:00", 23),
        ("2026-10-25", "Europe/Helsinki", "2026-10-24T21:00+00:00", 25),
        ("2026-10-04", "Australia/Lord_Howe", "2026-10-03T13:30+00:00", 23.5),
        ("2026-04-05", "Australia/Lord_Howe", "2026-04-04T13:00+00:00", 24.5),
        ("2026-06-01", "Asia/Kathmandu", "2026-05-31T18:15+00:00", 24),
        # midnight does not exist in Beirut, and exists twice in Havana
        ("2026-03-29", "Asia/Beirut", "2026-03-28T22:00+00:00", 23),
        ("2026-11-01", "America/Havana", "2026-11-01T04:00+00:00", 25),
        ("2026-02-15", "Africa/Casablanca", "2026-02-14T23:00+00:00", 25),
        ("2026-03-22", "Africa/Casablanca", "2026-03-22T00:00+00:00", 23),
    ],
)
def test_days_are_as_long_as_they_are(date: str, time_zone: str, begin: str, hours: float) -> None:
    """A day begins at its first instant and lasts 23 to 25 hours."""
    begin_ms = round(dt.datetime.fromisoformat(begin).timestamp() * 1000)
    expected = (begin_ms, begin_ms + round(hours * HOUR_MS))
    assert expected == day_bounds_ms(date, time_zone)
    instants = (begin_ms - 1, begin_ms, expected[1] - 1, expected[1])
    inside = [date_of(at_ms, time_zone) == date for at_ms in instants]
    assert [False, True, True, False] == inside


@given(INSTANTS, st.integers(0, HOUR_MS), st.sampled_from(ZONES), st.integers(1, 3 * DAY_MS))
def test_offsets_cover_time_without_gaps(
    hour_ms: int, more_ms: int, time_zone: str, length_ms: int
) -> None:
    """The stretches join, and each begins with the millisecond in which the local clock jumps."""
    start_ms = hour_ms + more_ms
    end_ms = start_ms + length_ms
    found = offsets(start_ms, end_ms, time_zone)
    assert (start_ms, end_ms) == (found[0][0], found[-1][1])
    assert all(a[1] == b[0] and a[2] != b[2] for a, b in pairwise(found))
    for from_ms, to_ms, offset_ms in found:
        assert from_ms < to_ms
        for at_ms in (from_ms, (from_ms + to_ms) // 2, to_ms - 1):
            offset = local_time(at_ms, time_zone).utcoffset()
            assert offset is not None
            assert offset_ms == round(offset.total_seconds() * 1000)
