"""When campaigns speak: dates in the zone's own time zone, across daylight saving."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from geotarget.errors import InvalidCampaign
from geotarget.model import Campaign, Hours, Policy, Profile, Status, Transition, Zone
from geotarget.targeting import parse_when, validate_schedule
from geotarget.targeting.case import Case, Moment, Refusal
from geotarget.targeting.schedule import gate
from tests.targeting.deciding import make_case

Make = Callable[..., Any]


def ms(text: str) -> int:
    """Unix milliseconds of an ISO 8601 time with offset."""
    return round(dt.datetime.fromisoformat(text).timestamp() * 1000)


def ask(
    at: str, campaign: Campaign, zone: Zone, transition: Callable[..., Transition]
) -> Refusal | None:
    """Ask the gate about a transition that was settled at a time."""
    moved = transition(decided_ms=ms(at))
    return gate(Case(Moment(moved, zone, Profile("p")), campaign))


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
        # does not exist: read with the offset before the gap, as for a start
        ("2026-03-29T03:30", "Europe/Helsinki", "2026-03-29T01:30:00+00:00"),
        # the midnight that ends the day does not exist in Beirut: the clock jumps to one
        ("2026-03-28", "Asia/Beirut", "2026-03-28T22:00:00+00:00"),
        # the clock jumps by half an hour only
        ("2026-10-04T02:15", "Australia/Lord_Howe", "2026-10-03T15:45:00+00:00"),
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
    assert caught.value.problems[0].path == "$.schedule.ends"


WORK = (Hours("08:00", "20:00"),)
NIGHT = (Hours("22:00", "02:00"),)


@pytest.mark.parametrize(
    ("local", "time_zone", "days", "hours", "speaks"),
    [
        # 2026-01-01 is a Thursday
        ("2026-01-01T08:00+02:00", "Europe/Helsinki", (), WORK, True),
        ("2026-01-01T07:59:59.999+02:00", "Europe/Helsinki", (), WORK, False),
        ("2026-01-01T19:59:59.999+02:00", "Europe/Helsinki", (), WORK, True),
        ("2026-01-01T20:00+02:00", "Europe/Helsinki", (), WORK, False),
        ("2026-01-01T12:00+02:00", "Europe/Helsinki", ("thu",), (), True),
        ("2026-01-01T12:00+02:00", "Europe/Helsinki", ("wed", "fri"), (), False),
        # the zone's weekday counts, not that of UTC
        ("2026-01-01T00:00+02:00", "Europe/Helsinki", ("thu",), (), True),
        ("2026-01-01T00:00+14:00", "Pacific/Kiritimati", ("thu",), (), True),
        ("2025-12-31T23:59+14:00", "Pacific/Kiritimati", ("thu",), (), False),
        # several stretches
        ("2026-01-01T13:00+02:00", "Europe/Helsinki", (),
         (Hours("09:00", "12:00"), Hours("13:00", "17:00")), True),
        ("2026-01-01T12:30+02:00", "Europe/Helsinki", (),
         (Hours("09:00", "12:00"), Hours("13:00", "17:00")), False),
        ("2026-01-01T23:59+02:00", "Europe/Helsinki", (), (Hours("18:00", "24:00"),), True),
        ("2026-01-02T00:00+02:00", "Europe/Helsinki", (), (Hours("18:00", "24:00"),), False),
        # over midnight: it belongs to the day on which it begins
        ("2026-01-02T22:00+02:00", "Europe/Helsinki", ("fri",), NIGHT, True),
        ("2026-01-03T01:59+02:00", "Europe/Helsinki", ("fri",), NIGHT, True),
        ("2026-01-03T02:00+02:00", "Europe/Helsinki", ("fri",), NIGHT, False),
        ("2026-01-02T01:00+02:00", "Europe/Helsinki", ("fri",), NIGHT, False),
        ("2026-01-03T22:00+02:00", "Europe/Helsinki", ("fri",), NIGHT, False),
        ("2026-01-04T23:00+02:00", "Europe/Helsinki", ("sun",), NIGHT, True),
        ("2026-01-05T01:00+02:00", "Europe/Helsinki", ("sun",), NIGHT, True),
        # the same start and end: round the clock from there
        ("2026-01-02T07:59+02:00", "Europe/Helsinki", ("thu",), (Hours("08:00", "08:00"),), True),
        ("2026-01-02T08:00+02:00", "Europe/Helsinki", ("thu",), (Hours("08:00", "08:00"),), False),
        # Kathmandu is 5:45 ahead
        ("2026-06-01T02:14:59Z", "Asia/Kathmandu", (), WORK, False),
        ("2026-06-01T02:15Z", "Asia/Kathmandu", (), WORK, True),
        ("2026-06-01T14:15Z", "Asia/Kathmandu", (), WORK, False),
        # Lord Howe: on 4 October at 02:00 the clock jumps by half an hour, to 02:30
        ("2026-10-03T15:29:59Z", "Australia/Lord_Howe", (), (Hours("02:00", "03:00"),), False),
        ("2026-10-03T15:30Z", "Australia/Lord_Howe", (), (Hours("02:00", "03:00"),), True),
        ("2026-10-03T15:59:59Z", "Australia/Lord_Howe", (), (Hours("02:00", "03:00"),), True),
        ("2026-10-03T16:00Z", "Australia/Lord_Howe", (), (Hours("02:00", "03:00"),), False),
        # … and on 5 April at 02:00 it shows the last half hour once more
        ("2026-04-04T14:59:59Z", "Australia/Lord_Howe", (), (Hours("01:30", "02:00"),), True),
        ("2026-04-04T15:00Z", "Australia/Lord_Howe", (), (Hours("01:30", "02:00"),), True),
        ("2026-04-04T15:29:59Z", "Australia/Lord_Howe", (), (Hours("01:30", "02:00"),), True),
        ("2026-04-04T15:30Z", "Australia/Lord_Howe", (), (Hours("01:30", "02:00"),), False),
        # Casablanca is an hour ahead of UTC, and not in Ramadan (18 February to 19 March 2026)
        ("2026-02-10T07:00Z", "Africa/Casablanca", (), WORK, True),
        ("2026-03-01T07:00Z", "Africa/Casablanca", (), WORK, False),
        ("2026-03-01T08:00Z", "Africa/Casablanca", (), WORK, True),
        ("2026-03-01T19:59Z", "Africa/Casablanca", (), WORK, True),
        ("2026-04-01T07:00Z", "Africa/Casablanca", (), WORK, True),
        # Helsinki: 03:00 to 04:00 does not come on 29 March: open from the jump on …
        ("2026-03-29T00:59:59Z", "Europe/Helsinki", (), (Hours("03:30", "05:00"),), False),
        ("2026-03-29T01:00Z", "Europe/Helsinki", (), (Hours("03:30", "05:00"),), True),
        ("2026-03-29T02:00Z", "Europe/Helsinki", (), (Hours("03:30", "05:00"),), False),
        # … closed from the jump on …
        ("2026-03-29T00:59:59Z", "Europe/Helsinki", (), (Hours("02:00", "03:30"),), True),
        ("2026-03-29T01:00Z", "Europe/Helsinki", (), (Hours("02:00", "03:30"),), False),
        # … and a stretch within the gap never comes
        ("2026-03-29T00:59:59Z", "Europe/Helsinki", (), (Hours("03:10", "03:50"),), False),
        ("2026-03-29T01:00Z", "Europe/Helsinki", (), (Hours("03:10", "03:50"),), False),
        # 03:00 to 04:00 comes twice on 25 October: what the clock shows counts, each time
        ("2026-10-25T00:15Z", "Europe/Helsinki", (), (Hours("03:00", "03:30"),), True),
        ("2026-10-25T00:45Z", "Europe/Helsinki", (), (Hours("03:00", "03:30"),), False),
        ("2026-10-25T01:15Z", "Europe/Helsinki", (), (Hours("03:00", "03:30"),), True),
        ("2026-10-25T01:45Z", "Europe/Helsinki", (), (Hours("03:00", "03:30"),), False),
        # a Saturday night of 25 hours is still Saturday's
        ("2026-10-25T01:59Z", "Europe/Helsinki", ("sat",), (Hours("22:00", "04:00"),), True),
        ("2026-10-25T02:00Z", "Europe/Helsinki", ("sat",), (Hours("22:00", "04:00"),), False),
    ],
)  # fmt: skip
def test_days_and_hours(
    local: str, time_zone: str, days: tuple[str, ...], hours: tuple[Hours, ...], speaks: bool
) -> None:
    """A campaign speaks when the clock on the zone's wall shows one of its times."""
    at_ms = ms(local)
    case = make_case(
        at_ms=at_ms, campaign={"days": days, "hours": hours}, zone={"time_zone": time_zone}
    )
    refusal = gate(case)
    assert speaks == (refusal is None)
    if refusal is None:
        assert time_zone == case.passed["schedule"]["time_zone"]
    else:
        assert refusal.reason.startswith("it is ")
        assert (list(days), time_zone) == (refusal.inputs["days"], refusal.inputs["time_zone"])


def test_refusal_tells_local_time_and_hours() -> None:
    """Who asks why sees the clock of the zone beside what the campaign wants."""
    case = make_case(
        at_ms=ms("2026-06-01T02:00Z"),
        campaign={
            "days": ("mon", "tue"),
            "hours": (Hours("08:00", "12:00"), Hours("13:00", "18:00")),
        },
        zone={"time_zone": "Asia/Kathmandu"},
    )
    expected = Refusal(
        "it is mon 07:45 in Asia/Kathmandu, the campaign speaks mon, tue 08:00-12:00, 13:00-18:00",
        {
            "time_zone": "Asia/Kathmandu",
            "local": "2026-06-01T07:45:00+05:45",
            "days": ["mon", "tue"],
            "hours": "08:00-12:00, 13:00-18:00",
        },
    )
    assert expected == gate(case)


@pytest.mark.parametrize(
    ("own", "policy", "at", "reason"),
    [
        (None, None, "2026-01-01T03:00Z", None),
        (Hours("21:00", "07:00"), None, "2026-01-01T12:00Z", None),
        (Hours("21:00", "07:00"), None, "2026-01-01T04:59Z",
         "it is thu 06:59 in Europe/Helsinki, quiet hours of the profile are 21:00-07:00"),
        (Hours("21:00", "07:00"), None, "2026-01-01T05:00Z", None),
        (Hours("21:00", "07:00"), None, "2026-01-01T19:00Z",
         "it is thu 21:00 in Europe/Helsinki, quiet hours of the profile are 21:00-07:00"),
        (None, Hours("22:00", "06:00"), "2026-01-01T20:00Z",
         "it is thu 22:00 in Europe/Helsinki, quiet hours of the policy are 22:00-06:00"),
        (None, Hours("22:00", "06:00"), "2026-01-01T19:59Z", None),
        # the profile's own replace those of the policy
        (Hours("12:00", "13:00"), Hours("22:00", "06:00"), "2026-01-01T20:00Z", None),
        (Hours("12:00", "13:00"), Hours("22:00", "06:00"), "2026-01-01T10:30Z",
         "it is thu 12:30 in Europe/Helsinki, quiet hours of the profile are 12:00-13:00"),
    ],
)  # fmt: skip
def test_quiet_hours(own: Hours | None, policy: Hours | None, at: str, reason: str | None) -> None:
    """Quiet hours are local to the zone; a profile's own replace those of the policy."""
    case = make_case(
        at_ms=ms(at),
        zone={"time_zone": "Europe/Helsinki"},
        profile=Profile("p", quiet_hours=own),
        policy=Policy(quiet_hours=policy),
    )
    refusal = gate(case)
    assert reason == (refusal and refusal.reason)


@pytest.mark.parametrize(
    ("zone", "campaign", "profile"),
    [
        ({"time_zone": "Europe/Nowhere"}, {"days": ("mon",)}, {}),
        ({"time_zone": "Europe"}, {}, {"quiet_hours": Hours("21:00", "07:00")}),
        ({}, {"hours": (Hours("eight", "noon"),)}, {}),
        ({}, {}, {"quiet_hours": Hours("", "")}),
    ],
)
def test_hours_that_cannot_be_read_refuse(
    zone: dict[str, Any], campaign: dict[str, Any], profile: dict[str, Any]
) -> None:
    """What only a database of another version can hold stops an offer and not a batch."""
    case = make_case(zone=zone, campaign=campaign, profile=Profile("p", **profile))
    refusal = gate(case)
    assert refusal is not None
    assert refusal.reason.startswith("the schedule can't be read: ")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"days": ("mon", "sun"), "hours": (Hours("00:00", "24:00"), Hours("22:00", "02:00"))}, []),
        ({"days": ("mon", "Tue", "mon")},
         [("$.schedule.days[1]", "'Tue'", "must be one of mon, tue, wed, thu, fri, sat, sun"),
          ("$.schedule.days[2]", "mon", "stands there twice")]),
        ({"hours": (Hours("8:00", "20:00"), Hours("08:00", "25:00"))},
         [("$.schedule.hours[0].from", "'8:00'",
           "must be a time of the day, HH:MM, like 08:30"),
          ("$.schedule.hours[1].to", "'25:00'",
           "must be a time of the day, HH:MM, like 08:30")]),
        ({"hours": (Hours("24:00", "02:00"),)},
         [("$.schedule.hours[0].from", "24:00",
           "only an end can be 24:00; a day begins at 00:00")]),
        ({"hours": (Hours("08:00", "20:00"),) * 49},
         [("$.schedule.hours", "49", "a campaign may have 48 stretches of the day")]),
        # everything that is wrong is told at once
        ({"starts": "soon", "days": ("x",), "hours": (Hours("08:60", "09:00"),)},
         [("$.schedule.starts", "soon",
           "must be an ISO 8601 date or date-time, like 2026-12-01T08:00"),
          ("$.schedule.days[0]", "'x'", "must be one of mon, tue, wed, thu, fri, sat, sun"),
          ("$.schedule.hours[0].from", "'08:60'",
           "must be a time of the day, HH:MM, like 08:30")]),
    ],
)  # fmt: skip
def test_validate_days_and_hours(
    options: dict[str, Any], expected: list[tuple[str, str, str]], campaign: Make
) -> None:
    """Wrong days and times are named with their place in the document."""
    if not expected:
        validate_schedule(campaign(**options))
        return
    with pytest.raises(InvalidCampaign) as caught:
        validate_schedule(campaign(**options))
    assert expected == [(each.path, each.value, each.reason) for each in caught.value.problems]
