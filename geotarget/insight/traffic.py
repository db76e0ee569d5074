"""Foot traffic of a zone: how many came, how long they stayed, when, and who came again.

Read from the transitions, which are kept for 90 days: 3 µs each, so a zone with 100,000 of them
answers in a third of a second. A visit belongs to the hour, weekday and day at which it began, on
the clock of the zone; it belongs to the profile that its device is linked to now. Visits that a
change of the zone opened are none: nobody came. How long visits lasted is told of those that ended
in the range: the others are not over, or began before it.

Each bin shows visits; one with fewer visitors than the minimum audience is hidden, together with
another one, so that it can't be found out from the total (`small_counts`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from geotarget.errors import InvalidInput, NotFound, Problem
from geotarget.insight.small_counts import show, show_events
from geotarget.model import Kind
from geotarget.store import Store

MOST_DAYS = 92
USUAL_DAYS = 30
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DWELL_S = (60, 300, 900, 1_800, 3_600, 7_200, 14_400)
"""Where the bins of the lengths of visits begin, after the first; seconds."""

DWELL_BINS = (
    "0-60",
    "60-300",
    "300-900",
    "900-1800",
    "1800-3600",
    "3600-7200",
    "7200-14400",
    "14400+",
)
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
ROUNDED_S = 10.0
"""A quantile is somebody's visit; it is told to so many seconds."""

_QUARTER_MS = 900_000

Movement = tuple[str, int, float, str]


@dataclass(frozen=True, slots=True)
class Bin:
    """Visits that fall into one bin; None where they are of too few people."""

    key: str
    visits: int | None


@dataclass(frozen=True, slots=True)
class Dwell:
    """How long visits lasted, seconds; `quantiles` by share, None where there are too few."""

    visits: int | None
    bins: tuple[Bin, ...]
    quantiles: dict[float, float | None]


@dataclass(frozen=True, slots=True)
class Traffic:
    """The foot traffic of a zone.

    Parameters
    ----------
    first_day, last_day
        The range, dates of the zone's own time zone, both included.
    visits, visitors
        Visits that began in it, and how many different people made them.
    returning, returning_share
        Visitors who came on at least two of the days.
    passes
        Who crossed the zone without a fix inside; no visits.
    hours, weekdays, days
        Visits by hour of the day (``0`` to ``23``), weekday and date.
    hidden
        Whether a count is not shown because it is of too few people.
    """

    zone: str
    time_zone: str
    first_day: date
    last_day: date
    visits: int | None
    visitors: int | None
    returning: int | None
    returning_share: float | None
    passes: int | None
    dwell: Dwell
    hours: tuple[Bin, ...]
    weekdays: tuple[Bin, ...]
    days: tuple[Bin, ...]
    hidden: bool


def traffic(
    store: Store,
    zone: str,
    *,
    minimum: int,
    now_ms: int,
    first_day: date | None = None,
    last_day: date | None = None,
) -> Traffic:
    """Return the foot traffic of a zone.

    Parameters
    ----------
    minimum
        Counts of fewer people are not shown.
    now_ms
        Now, Unix milliseconds: the range ends today when `last_day` is not given.
    first_day, last_day
        Dates of the zone's time zone, both included, at most `MOST_DAYS`; the first is
        `USUAL_DAYS` before the last when it is not given.

    Raises
    ------
    NotFound
        There is no such zone.
    InvalidInput
        The range ends before it begins, or is too long.
    """
    found = store.zone(zone)
    if found is None:
        raise NotFound("zone", zone)
    here = ZoneInfo(found.time_zone)
    last = last_day or datetime.fromtimestamp(now_ms / 1000, here).date()
    first = first_day or last - timedelta(days=USUAL_DAYS - 1)
    check_range(first, last, most=MOST_DAYS)
    from_ms, to_ms = _midnight_ms(first, here), _midnight_ms(last + timedelta(days=1), here)
    rows = (
        row for many in store.zone_movements(zone, from_ms=from_ms, to_ms=to_ms) for row in many
    )
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    return _summary(rows, zone, found.time_zone, days, minimum)


def check_range(first: date, last: date, *, most: int | None = None) -> None:
    """Check a range of days, both included.

    Raises
    ------
    InvalidInput
        It ends before it begins, or has more than `most` days.
    """
    count = (last - first).days + 1
    if count < 1:
        raise InvalidInput(Problem("to", last.isoformat(), f"is before from ({first})"))
    if most is not None and count > most:
        reason = f"a report covers at most {most} days, these are {count}"
        raise InvalidInput(Problem("from", first.isoformat(), reason))


class _Counts:
    """Visits and visitors by bin."""

    def __init__(self) -> None:
        self.visits: defaultdict[Hashable, int] = defaultdict(int)
        self.people: defaultdict[Hashable, set[str]] = defaultdict(set)

    def bins(self, keys: Iterable[Hashable], names: Iterable[str], minimum: int) -> tuple[Bin, ...]:
        """Return the bins of these keys under their names."""
        wanted = list(keys)
        shown = show_events(
            [self.visits[key] for key in wanted], [self.people[key] for key in wanted], minimum
        )
        return tuple(Bin(name, part) for name, part in zip(names, shown.parts, strict=True))


def _summary(
    rows: Iterable[Movement], zone: str, time_zone: str, days: Sequence[date], minimum: int
) -> Traffic:
    clock = _clock(ZoneInfo(time_zone))
    by_hour, by_weekday, by_day, lasted = _Counts(), _Counts(), _Counts(), _Counts()
    visits_of: defaultdict[str, set[date]] = defaultdict(set)
    lengths: list[float] = []
    visits = passes = 0
    passers: set[str] = set()
    for kind, at_ms, duration_s, who in rows:
        if kind == Kind.ENTER:
            day, weekday, hour = clock(at_ms)
            visits += 1
            visits_of[who].add(day)
            for counts, key in ((by_hour, hour), (by_weekday, weekday), (by_day, day)):
                counts.visits[key] += 1
                counts.people[key].add(who)
        elif kind in {Kind.EXIT, Kind.RECONCILED} and duration_s >= 0:
            at = bisect_right(DWELL_S, duration_s)
            lasted.visits[at] += 1
            lasted.people[at].add(who)
            lengths.append(duration_s)
        elif kind == Kind.CROSSED:
            passes += 1
            passers.add(who)
    visitors = show(len(visits_of), minimum)
    returning = sum(len(each) > 1 for each in visits_of.values())
    both = show(returning, minimum), show(len(visits_of) - returning, minimum)
    again = returning if visitors is not None and None not in both else None
    dwell = _dwell(lasted, lengths, minimum)
    hours = by_hour.bins(range(24), map(str, range(24)), minimum)
    weekdays = by_weekday.bins(range(7), WEEKDAYS, minimum)
    dates = by_day.bins(days, (day.isoformat() for day in days), minimum)
    passed = passes if show(len(passers), minimum) is not None else None
    bins = (*hours, *weekdays, *dates, *dwell.bins)
    return Traffic(
        zone=zone,
        time_zone=time_zone,
        first_day=days[0],
        last_day=days[-1],
        visits=None if visitors is None else visits,
        visitors=visitors,
        returning=again,
        returning_share=again / visitors if visitors and again is not None else None,
        passes=passed,
        dwell=dwell,
        hours=hours,
        weekdays=weekdays,
        days=dates,
        hidden=None in (visitors, again, passed, dwell.visits, *(each.visits for each in bins)),
    )


def _dwell(lasted: _Counts, lengths: Sequence[float], minimum: int) -> Dwell:
    """Return how long the visits lasted that ended."""
    people = set().union(*lasted.people.values())
    quantiles: dict[float, float | None] = dict.fromkeys(QUANTILES)
    few = show(len(people), minimum) is None
    if lengths and not few:
        found = np.quantile(lengths, QUANTILES)
        quantiles = {
            share: round(float(length) / ROUNDED_S) * ROUNDED_S
            for share, length in zip(QUANTILES, found, strict=True)
        }
    bins = lasted.bins(range(len(DWELL_BINS)), DWELL_BINS, minimum)
    return Dwell(None if few else len(lengths), bins, quantiles)


def _midnight_ms(day: date, zone: ZoneInfo) -> int:
    """Return when a day begins, Unix ms: where clocks jump at midnight, after the jump."""
    return round(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp() * 1000)


def _clock(zone: ZoneInfo) -> Callable[[int], tuple[date, int, int]]:
    """Return a function from an instant to the date, weekday and hour there.

    Offsets change on quarters of an hour only, so that each quarter is looked up once.
    """
    known: dict[int, tuple[date, int, int]] = {}

    def read(at_ms: int) -> tuple[date, int, int]:
        quarter = at_ms // _QUARTER_MS
        found = known.get(quarter)
        if found is None:
            local = datetime.fromtimestamp(quarter * _QUARTER_MS / 1000, zone)
            found = known[quarter] = (local.date(), local.weekday(), local.hour)
        return found

    return read
