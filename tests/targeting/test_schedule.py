"""When campaigns speak: dates in the zone's own time zone, across daylight saving."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from geotarget.errors import InvalidCampaign
from geotarget.model import Campaign, Profile, Status, Transition, Zone
from geotarget.targeting import parse_when, validate_schedule
from geotarget.targeting.case import Case, Refusal
from geotarget.targeting.schedule import gate

Make = Callable[..., Any]


def ms(text: str) -> int:
    """Unix milliseconds of an ISO 8601 time with offset."""
    return round(dt.datetime.fromisoformat(text).timestamp() * 1000)


def ask(
    at: str, campaign: Campaign, zone: Zone, transition: Callable[..., Transition]
) -> Refusal | None:
    """Ask the gate about a transition that was settled at a time."""
    moved = transition(decided_ms=ms(at))
    return gate(Case(moved, campaign, zone, Profile("p"), None, now_ms=0, max_age_s=900))


@pytest.mark.parametrize(
    ("starts", "time_zone", "first"),
    [
        ("2026-01-01", "Europe/Helsinki", "2025-12-31T22:00:00+00:00"),
        ("2026-01-01", "Europe/London", "2026-01-01T00:00:00+00:00"),
        ("2026-07-01T08:30", "America/Chicago", "2026-07-01T13:30:00+00:00"),
        ("2026-07-01 08:30", "America/Chicago", "2026-07-01T13:30:00+00:00"),
        ("2026-07-01T08:30Z", "America/Chicago", "2026-07-01T08:30:00+00:00"),
        ("2026-07-01T08:30+02:00", "America/Chicago", "2026-07-01T06:30:00+00:00"),
        # 03:00 to 04:00 does not exist in Helsinki on this day: read with the winter offset
        ("2026-03-29T03:30", "Europe/Helsinki", "2026-03-29T01:30:00+00:00"),
        # 03:00 to 04:00 exists twice: the first counts for a start
        ("2026-10-25T03:30", "Europe/Helsinki", "2026-10-25T00:30:00+00:00"),
        # midnight does not exist in Beirut on this day
        ("2026-03-29", "Asia/Beirut", "2026-03-28T22:00:00+00:00"),
        # a quarter hour's offset, and a zone across the date line
        ("2026-01-01", "Asia/Kathmandu", "2025-12-31T18:15:00+00:00"),
        ("2026-01-01", "Pacific/Kiritimati", "2025-12-31T10:00:00+00:00"),
    ],
)
def test_starts_is_the_first_instant(
    starts: str, time_zone: str, first: str, campaign: Make, zone: Make, transition: Make
) -> None:
    """A campaign speaks from its local start on, and not a millisecond before."""
    shop, hello = zone(time_zone=time_zone), campaign(starts=starts)
    before = (dt.datetime.fromisoformat(first) - dt.timedelta(milliseconds=1)).isoformat()
    assert ask(first, hello, shop, transition) is None
    refusal = ask(before, hello, shop, transition)
    assert refusal is not None
    assert f"the campaign starts {starts} ({time_zone})" == refusal.reason
    assert {"time_zone": time_zone, "at_ms": ms(before), "starts": starts} == refusal.inputs


@pytest.mark.parametrize(
    ("ends", "time_zone", "end"),
    [
        # a plain date includes its day, of 23 and 25 hours too
        ("2026-12-24", "Europe/Helsinki", "2026-12-24T22:00:00+00:00"),
        ("2026-03-29", "Europe/Helsinki", "2026-03-29T21:00:00+00:00"),
        ("2026-10-25", "Europe/Helsinki", "2026-10-25T22:00:00+00:00"),
        ("2026-12-24T18:00", "Europe/Helsinki", "2026-12-24T16:00:00+00:00"),
        # exists twice: the second counts for an end
        ("2026-10-25T03:30", "Europe/Helsinki", "2026-10-25T01:30:00+00:00"),
        ("2026-12-24T18:00-05:00", "Europe/Helsinki", "2026-12-24T23:00:00+00:00"),
    ],
)
def test_ends_is_the_first_instant_after(
    ends: str, time_zone: str, end: str, campaign: Make, zone: Make, transition: Make
) -> None:
    """A campaign speaks up to its local end, and is silent at it."""
    shop, hello = zone(time_zone=time_zone), campaign(ends=ends)
    before = (dt.datetime.fromisoformat(end) - dt.timedelta(milliseconds=1)).isoformat()
    assert ask(before, hello, shop, transition) is None
    refusal = ask(end, hello, shop, transition)
    assert refusal is not None
    assert f"the campaign ended {ends} ({time_zone})" == refusal.reason


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (Status.PAUSED, "the campaign is paused"),
        (Status.DRAFT, "the campaign is a draft"),
        (Status.ENDED, "the campaign has ended"),
        (Status.SCHEDULED, "the campaign is scheduled without a start"),
    ],
)
def test_status_refuses(
    status: Status, reason: str, campaign: Make, zone: Make, transition: Make
) -> None:
    """A campaign that isn't active is refused with its status."""
    refusal = ask("2026-01-01T00:00Z", campaign(status=status), zone(), transition)
    assert refusal == Refusal(reason, {"status": status.value})


def test_scheduled_campaign_speaks_from_its_start(
    campaign: Make, zone: Make, transition: Make
) -> None:
    """A scheduled campaign needs nobody to make it active."""
    coming = campaign(status=Status.SCHEDULED, starts="2026-01-01")
    assert ask("2026-01-01T00:00Z", coming, zone(), transition) is None
    assert ask("2025-12-31T23:59Z", coming, zone(), transition) is not None
    endless = campaign(status=Status.SCHEDULED, ends="2026-02-01")
    refusal = ask("2026-01-01T00:00Z", endless, zone(), transition)
    assert refusal is not None
    assert refusal.reason == "the campaign is scheduled without a start"


@pytest.mark.parametrize("name", ["Europe/Nowhere", "../etc/passwd", "Europe"])
def test_unknown_time_zone_refuses_instead_of_failing(
    name: str, campaign: Make, zone: Make, transition: Make
) -> None:
    """A zone with a broken time zone refuses its own offers and stops nobody's batch."""
    refusal = ask(
        "2026-01-01T00:00Z", campaign(starts="2025-01-01"), zone(time_zone=name), transition
    )
    assert refusal is not None
    assert refusal.reason.startswith("the schedule can't be read")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("tomorrow", "ISO 8601"),
        ("08:00", "ISO 8601"),
        ("2026-13-01", "ISO 8601"),
        ("", "ISO 8601"),
        ("1969-12-31", "within 1970 and 8999"),
        ("9999-12-31", "within 1970 and 8999"),
    ],
)
def test_unreadable_date_is_refused(text: str, reason: str) -> None:
    """A date that can't be read or used is refused with its place and value."""
    with pytest.raises(InvalidCampaign) as caught:
        parse_when(text, path="$.schedule.starts")
    (problem,) = caught.value.problems
    assert ("$.schedule.starts", text) == (problem.path, problem.value)
    assert reason in problem.reason


def test_a_number_is_no_date() -> None:
    """JSON of another type is refused as well."""
    with pytest.raises(InvalidCampaign, match="must be a string"):
        parse_when(20260101)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("starts", "ends", "valid"),
    [
        ("2026-01-01", "2026-01-01", True),  # one whole day
        ("2026-01-02", "2026-01-01", False),
        ("2026-01-01T08:00", "2026-01-01T08:00", False),
        ("2026-01-01T08:00", "2026-01-01T08:01", True),
        ("2026-01-01T08:00+02:00", "2026-01-01T07:00+00:00", True),
        ("2026-01-01T08:00+02:00", "2026-01-01T06:00+00:00", False),
        ("2026-01-02", "2026-01-01T00:00Z", True),  # depends on the zone: not judged
        (None, "2026-01-01", True),
        (None, None, True),
    ],
)
def test_order_of_dates(starts: str | None, ends: str | None, valid: bool, campaign: Make) -> None:
    """A campaign can't end before it starts, where that is the same in every zone."""
    checked = campaign(starts=starts, ends=ends)
    if valid:
        validate_schedule(checked)
        return
    with pytest.raises(InvalidCampaign) as caught:
        validate_schedule(checked)
    assert caught.value.problems[0].path == "$.ends"
