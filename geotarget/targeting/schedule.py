"""When a campaign speaks, in the zone's own time zone.

``starts`` and ``ends`` are ISO 8601 dates or date-times. Without an offset they are local to the
zone that was entered: one campaign starts at midnight in Helsinki and, two hours later, at
midnight in London. Daylight saving is the time zone database's business: a local time that
does not exist is read with the offset before the gap, and one that exists twice means the first
for ``starts`` and the second for ``ends``.

``starts`` is the first instant that counts and ``ends`` the first that doesn't, except that a
plain date as ``ends`` includes that day: "ends 24 December" means what people mean by it.

``days`` and ``hours`` go by the clock on the zone's wall, see `hours`; so do the quiet hours of a
profile, or of the policy where the profile has none.

Reading a date costs some microseconds, so the instants are remembered per (text, time zone);
a decision then costs two dictionary look-ups, and a local time where the hours matter.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from geotarget.errors import InvalidCampaign, Problem
from geotarget.model import Campaign, Status
from geotarget.targeting.case import Case, Refusal
from geotarget.targeting.hours import (
    MAX_STRETCHES,
    shown,
    validate_days,
    validate_hours,
    within,
)
from geotarget.targeting.local_time import WEEKDAYS, find_zone

MIN_YEAR, MAX_YEAR = 1970, 9000
_REMEMBERED = 8192  # (text, time zone) pairs: 1,000 campaigns over the zones of a continent
_WHY_NOT = {
    Status.DRAFT: "the campaign is a draft",
    Status.PAUSED: "the campaign is paused",
    Status.ENDED: "the campaign has ended",
}


@dataclass(frozen=True, slots=True)
class When:
    """A parsed ``starts`` or ``ends``.

    Parameters
    ----------
    moment
        Naive when the text had no offset.
    whole_day
        The text was a plain date.
    """

    moment: dt.datetime
    whole_day: bool

    def start_ms(self, zone: dt.tzinfo) -> int:
        """Return the first instant of it as Unix milliseconds."""
        return _instant_ms(self.moment, zone)

    def end_ms(self, zone: dt.tzinfo) -> int:
        """Return the first instant after it: the end of the day for a plain date."""
        if self.whole_day:
            return _instant_ms(self.moment + dt.timedelta(days=1), zone, last=True)
        return _instant_ms(self.moment, zone, last=True)


def parse_when(text: str, *, path: str = "$.starts") -> When:
    """Read a date or date-time of a campaign.

    Parameters
    ----------
    text
        ISO 8601: ``2026-12-01``, ``2026-12-01T08:00``, ``2026-12-01T08:00:00+02:00``.
    path
        Where it stood, for the error.

    Raises
    ------
    InvalidCampaign
        If it is neither, or lies outside the years 1970 to 9000.

    Examples
    --------
    >>> parse_when("2026-12-01").whole_day
    True
    """
    if not isinstance(text, str):
        raise InvalidCampaign(Problem(path, repr(text)[:80], "must be a string"))
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise InvalidCampaign(
            Problem(path, text[:80], "must be an ISO 8601 date or date-time, like 2026-12-01T08:00")
        ) from None
    if not MIN_YEAR <= moment.year < MAX_YEAR:
        raise InvalidCampaign(
            Problem(path, text[:80], f"the year must be within {MIN_YEAR} and {MAX_YEAR - 1}")
        )
    return When(moment, whole_day=_is_date(text))


def validate_schedule(campaign: Campaign, *, path: str = "$.schedule") -> None:
    """Check that the campaign's dates, days and hours can be read and its dates are in order.

    Raises
    ------
    InvalidCampaign
        With one problem per thing that is wrong, such as ``$.schedule.hours[0].from``. The order
        of a local and an absolute time differs by zone and is not checked.
    """
    problems: list[Problem] = []
    for check in (_check_dates, _check_days, _check_hours):
        try:
            check(campaign, path)
        except InvalidCampaign as error:
            problems += error.problems
    if problems:
        raise InvalidCampaign(*problems)


def gate(case: Case) -> Refusal | None:
    """Refuse outside the campaign's status, dates, days and hours, and in quiet hours.

    ``active`` campaigns speak between their dates. ``scheduled`` ones do as well, as soon as
    their start has come: nobody has to be awake to flip them.
    """
    campaign = case.campaign
    if campaign.status in _WHY_NOT:
        return Refusal(_WHY_NOT[campaign.status], {"status": campaign.status.value})
    refusal = _within_dates(case)
    if refusal is None and campaign.status is Status.SCHEDULED and campaign.starts is None:
        refusal = Refusal("the campaign is scheduled without a start", {"status": "scheduled"})
    return refusal or _within_hours(case)


def _within_dates(case: Case) -> Refusal | None:
    campaign, at_ms, name = case.campaign, case.transition.decided_ms, case.zone.time_zone
    if campaign.starts is None and campaign.ends is None:
        return None
    inputs = {"time_zone": name, "at_ms": at_ms}
    try:
        if campaign.starts is not None and at_ms < start_ms(campaign.starts, name):
            inputs["starts"] = campaign.starts
            return Refusal(f"the campaign starts {campaign.starts} ({name})", inputs)
        if campaign.ends is not None and at_ms >= end_ms(campaign.ends, name):
            inputs["ends"] = campaign.ends
            return Refusal(f"the campaign ended {campaign.ends} ({name})", inputs)
    except (ZoneInfoNotFoundError, ValueError, OSError, InvalidCampaign) as error:
        # checked when it was saved; a database written by another version must not stop a batch
        return Refusal(f"the schedule can't be read: {error}", inputs)
    return None


def _within_hours(case: Case) -> Refusal | None:
    campaign, policy = case.campaign, case.moment.policy
    quiet = case.profile.quiet_hours or policy.quiet_hours
    if not campaign.days and not campaign.hours and quiet is None:
        return None
    name = case.zone.time_zone
    if find_zone(name) is None:
        reason = f"the schedule can't be read: no time zone is named {name!r}"
        return Refusal(reason, {"time_zone": name})
    local = case.moment.local
    inputs: dict[str, Any] = {"time_zone": name, "local": case.moment.clock}
    try:
        speaks = within(local, campaign.days, campaign.hours)
        silent = quiet is not None and within(local, (), (quiet,))
    except ValueError as error:
        return Refusal(f"the schedule can't be read: {error}", inputs)
    if not speaks:
        when = " ".join(filter(None, (", ".join(campaign.days), shown(campaign.hours))))
        inputs |= {"days": list(campaign.days), "hours": shown(campaign.hours)}
        return Refusal(f"{_clock(case)}, the campaign speaks {when}", inputs)
    if quiet is not None and silent:
        whose = "profile" if case.profile.quiet_hours else "policy"
        inputs |= {"quiet_hours": shown((quiet,)), "of": whose}
        return Refusal(f"{_clock(case)}, quiet hours of the {whose} are {shown((quiet,))}", inputs)
    case.passed["schedule"] = inputs
    return None


def _clock(case: Case) -> str:
    local = case.moment.local
    return f"it is {WEEKDAYS[local.weekday()]} {local:%H:%M} in {case.zone.time_zone}"


def _check_dates(campaign: Campaign, path: str) -> None:
    starts = ends = None
    if campaign.starts is not None:
        starts = parse_when(campaign.starts, path=f"{path}.starts")
    if campaign.ends is not None:
        ends = parse_when(campaign.ends, path=f"{path}.ends")
    if starts is None or ends is None:
        return
    if (starts.moment.tzinfo is None) != (ends.moment.tzinfo is None):
        return
    if starts.start_ms(dt.UTC) >= ends.end_ms(dt.UTC):
        raise InvalidCampaign(
            Problem(f"{path}.ends", str(campaign.ends), f"must be after starts {campaign.starts}")
        )


def _check_days(campaign: Campaign, path: str) -> None:
    validate_days(campaign.days, path=f"{path}.days")


def _check_hours(campaign: Campaign, path: str) -> None:
    if len(campaign.hours) > MAX_STRETCHES:
        reason = f"a campaign may have {MAX_STRETCHES} stretches of the day"
        raise InvalidCampaign(Problem(f"{path}.hours", f"{len(campaign.hours)}", reason))
    problems: list[Problem] = []
    for place, stretch in enumerate(campaign.hours):
        try:
            validate_hours(stretch, path=f"{path}.hours[{place}]")
        except InvalidCampaign as error:
            problems += error.problems
    if problems:
        raise InvalidCampaign(*problems)


@lru_cache(maxsize=_REMEMBERED)
def start_ms(text: str, time_zone: str) -> int:
    """Return the first instant of a ``starts`` in a time zone, Unix milliseconds."""
    return parse_when(text).start_ms(ZoneInfo(time_zone))


@lru_cache(maxsize=_REMEMBERED)
def end_ms(text: str, time_zone: str) -> int:
    """Return the first instant after an ``ends`` in a time zone, Unix milliseconds."""
    return parse_when(text, path="$.ends").end_ms(ZoneInfo(time_zone))


def _is_date(text: str) -> bool:
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _instant_ms(moment: dt.datetime, zone: dt.tzinfo, *, last: bool = False) -> int:
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
        if last:
            # the later reading: of a time that exists twice the second, and of one that doesn't
            # exist the one with the offset before the gap, for which Python's fold is 0
            return max(_unix_ms(moment.replace(fold=0)), _unix_ms(moment.replace(fold=1)))
    return _unix_ms(moment)


def _unix_ms(moment: dt.datetime) -> int:
    return round(moment.timestamp() * 1000)
