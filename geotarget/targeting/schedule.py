"""When a campaign speaks, in the zone's own time zone.

``starts`` and ``ends`` are ISO 8601 dates or date-times. Without an offset they are local to the
zone that was entered: one campaign starts at midnight in Helsinki and, two hours later, at
midnight in London. Daylight saving is the time zone database's business: a local time that
does not exist is read with the offset before the gap, and one that exists twice means the first
for ``starts`` and the second for ``ends``.

``starts`` is the first instant that counts and ``ends`` the first that doesn't, except that a
plain date as ``ends`` includes that day: "ends 24 December" means what people mean by it.

Reading a date costs some microseconds, so the instants are remembered per (text, time zone);
a decision then costs two dictionary look-ups.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from geotarget.errors import InvalidCampaign, Problem
from geotarget.model import Campaign, Status
from geotarget.targeting.case import Case, Refusal

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
        return _instant_ms(self.moment, zone, fold=0)

    def end_ms(self, zone: dt.tzinfo) -> int:
        """Return the first instant after it: the end of the day for a plain date."""
        if self.whole_day:
            return _instant_ms(self.moment + dt.timedelta(days=1), zone, fold=1)
        return _instant_ms(self.moment, zone, fold=1)


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


def validate_schedule(campaign: Campaign, *, path: str = "$") -> None:
    """Check that the campaign's dates can be read and are in order.

    Raises
    ------
    InvalidCampaign
        Naming ``$.starts`` or ``$.ends``. The order of a local and an absolute time differs by
        zone and is not checked.
    """
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


def gate(case: Case) -> Refusal | None:
    """Refuse outside the campaign's status and dates.

    ``active`` campaigns speak between their dates. ``scheduled`` ones do as well, as soon as
    their start has come: nobody has to be awake to flip them.
    """
    campaign = case.campaign
    if campaign.status in _WHY_NOT:
        return Refusal(_WHY_NOT[campaign.status], {"status": campaign.status.value})
    if campaign.starts is None and campaign.ends is None:
        if campaign.status is Status.SCHEDULED:
            return Refusal("the campaign is scheduled without a start", {"status": "scheduled"})
        return None
    return _within_dates(case)


def _within_dates(case: Case) -> Refusal | None:
    campaign, at_ms, name = case.campaign, case.transition.decided_ms, case.zone.time_zone
    inputs = {"time_zone": name, "at_ms": at_ms}
    try:
        if campaign.starts is not None and at_ms < _start_ms(campaign.starts, name):
            inputs["starts"] = campaign.starts
            return Refusal(f"the campaign starts {campaign.starts} ({name})", inputs)
        if campaign.ends is not None and at_ms >= _end_ms(campaign.ends, name):
            inputs["ends"] = campaign.ends
            return Refusal(f"the campaign ended {campaign.ends} ({name})", inputs)
    except (ZoneInfoNotFoundError, ValueError, OSError, InvalidCampaign) as error:
        # checked when it was saved; a database written by another version must not stop a batch
        return Refusal(f"the schedule can't be read: {error}", inputs)
    if campaign.status is Status.SCHEDULED and campaign.starts is None:
        return Refusal("the campaign is scheduled without a start", {"status": "scheduled"})
    return None


@lru_cache(maxsize=_REMEMBERED)
def _start_ms(text: str, time_zone: str) -> int:
    return parse_when(text).start_ms(ZoneInfo(time_zone))


@lru_cache(maxsize=_REMEMBERED)
def _end_ms(text: str, time_zone: str) -> int:
    return parse_when(text, path="$.ends").end_ms(ZoneInfo(time_zone))


def _is_date(text: str) -> bool:
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _instant_ms(moment: dt.datetime, zone: dt.tzinfo, *, fold: int) -> int:
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone, fold=fold)
    return round(moment.timestamp() * 1000)
