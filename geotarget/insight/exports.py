"""Lists of people, for those who may have them: visitors of a zone, members of an audience.

What is checked here is the same for all formats. Consent: only profiles that said yes to the
purpose; no answer is a no. Sensitive places: neither their visitors nor audiences whose rule names
them are listed. Minimum audience: a list of fewer people is not written, nobody is singled out.

A list is written to a temporary file first, which has no name and is gone when it is closed. So it
is known to be complete, and how long it is, before its first byte goes out; memory holds at most a
megabyte of it; and no slow download holds the database. Costs: 20 to 40 microseconds a person.
"""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from geotarget.behaviour import visits
from geotarget.errors import Conflict
from geotarget.insight.csv_tables import cell
from geotarget.insight.customer_lists import PLATFORMS
from geotarget.model import Audience, Behaviour, Profile, Zone
from geotarget.targeting.audience import Rule
from geotarget.targeting.facts import Facts

CSV = "csv"
FORMATS = (CSV, *PLATFORMS)

COLUMNS = ("profile", "visits", "first_visit", "last_visit")
"""Of format `csv`; instants are RFC 3339 in UTC."""

IN_MEMORY = 1 << 20
PIECE = 64 << 10
AUDIENCE_DAYS = 90
"""How far back the visits of a member are counted."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may be listed, and when they came (Unix ms, None for never)."""

    profile: Profile
    visits: int
    first_ms: int | None
    last_ms: int | None


@dataclass(frozen=True, slots=True)
class List:
    """A complete list: its rows without the header, and the file, at its beginning."""

    rows: int
    file: IO[bytes]

    def pieces(self) -> Iterator[bytes]:
        """Give the file in pieces, and close it."""
        with self.file:
            while piece := self.file.read(PIECE):
                yield piece


def check_zone(zone: Zone) -> None:
    """Check that visitors of a zone may be listed.

    Raises
    ------
    Conflict
        It is sensitive.
    """
    if zone.sensitive:
        raise Conflict(f"the zone {zone.id!r} is sensitive: its visitors are never listed")


def check_audience(audience: Audience, sensitive: Mapping[str, Collection[str]]) -> None:
    """Check that members of an audience may be listed.

    Parameters
    ----------
    sensitive
        Ids of the sensitive zones, and the tags of each.

    Raises
    ------
    Conflict
        Its rule names a sensitive zone, or a tag that one carries.
    """
    for zone, tags in sensitive.items():
        for name in (zone, *tags):
            if f"'{name}'" in audience.rule or f'"{name}"' in audience.rule:
                raise Conflict(
                    f"the rule of the audience {audience.id!r} names {name!r}, and the zone "
                    f"{zone!r} is sensitive: who was there is never listed"
                )


def members(
    audience: Audience,
    people: Iterable[tuple[Profile, Behaviour]],
    *,
    purpose: str,
    tagged: Callable[[str], Collection[str]],
    now_ms: int,
) -> Iterator[Person]:
    """Give those who agreed to a purpose and for whom an audience's rule holds now.

    Parameters
    ----------
    people
        Everybody, with what they did.
    tagged
        Ids of the zones that carry a tag.

    Raises
    ------
    InvalidAudience
        The rule can't be read.
    """
    rule = Rule.compile(audience.rule)
    for profile, behaviour in people:
        agreed = profile.consent.get(purpose) is True  # the cheaper question first
        if agreed and rule.holds(Facts(profile, behaviour, now_ms=now_ms, tagged=tagged)).holds:
            yield Person(
                profile,
                visits(behaviour, now_ms=now_ms, days=AUDIENCE_DAYS),
                behaviour.first_ms or None,
                behaviour.last_ms or None,
            )


def write_list(
    people: Iterable[Person],
    *,
    format: str,
    purpose: str,
    minimum: int,
    region: str,
    instant: Callable[[int], str],
) -> List:
    """Write a list of people.

    Parameters
    ----------
    people
        Each once.
    format
        One of `FORMATS`.
    purpose
        What they must have agreed to.
    minimum
        Fewer are not listed.
    region
        Country of phone numbers without a country code.
    instant
        How an instant is written.

    Raises
    ------
    Conflict
        There are fewer than `minimum`. Nothing is left of the list.
    """
    file = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - `List.pieces` closes it
    text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
    platform = PLATFORMS.get(format)
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS if platform is None else platform.header)
    agreed = (each for each in people if each.profile.consent.get(purpose) is True)
    rows = 0
    try:
        for person in agreed:
            row: Sequence[str] | None
            if platform is None:
                row = _plain_row(person, instant)
            else:
                row = platform.row(person.profile, region=region)
            if row is not None:
                writer.writerow(row)
                rows += 1
    except BaseException:
        text.close()
        raise
    if rows < minimum:
        text.close()
        usable = "" if platform is None else " and have an e-mail address or phone for it"
        raise Conflict(
            f"fewer than {minimum} of these people agreed to {purpose!r}{usable}: a list of so few "
            "is not written"
        )
    text.detach()
    file.seek(0)
    return List(rows, file)


def _plain_row(person: Person, instant: Callable[[int], str]) -> list[str]:
    when = (person.first_ms, person.last_ms)
    seen = [None if at_ms is None else instant(at_ms) for at_ms in when]
    return [cell(person.profile.id), cell(person.visits), *map(cell, seen)]
