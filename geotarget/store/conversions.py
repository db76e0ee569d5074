"""Conversions: what customers did afterwards, and which offer it counts for.

A conversion is written once, whatever is reported again, in the transaction that moves everything
it counts in: the behaviour of the profile, its exposures (who would have been addressed against
who was held out) and the arm of the variant. One call is one transaction of a dozen statements for
all of its conversions: 1 ms of CPU and a flush to the disk, and 40 to 70 µs for each conversion.

Two measures are kept apart. *Attribution* gives a conversion to one decision: the one that was
named, or the last one of the profile whose time was not over. *Exposure* asks of everybody who was
to hear from a campaign whether they converted within its time, whatever it is attributed to: only
this may be compared with those who were held out. Both look at the decisions that are there when
the conversion is reported.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from geotarget.behaviour import last_heard, note_purchase
from geotarget.model import Behaviour, Conversion
from geotarget.store import tombstones
from geotarget.store.counting import read_behaviour, to_behaviour, write_behaviour
from geotarget.store.database import Database, cursor_of, wall_clock_ms
from geotarget.store.documents import to_json
from geotarget.store.pages import Page, check_limit, cut, read_cursor
from geotarget.store.profiles import find_profiles

NEW, KNOWN, REFUSED = "new", "known", "refused"

_LATEST = 2**63 - 1
_COLUMNS = (
    "id, profile, at_ms, received_ms, device, value_micros, currency, category, decision, "
    "campaign, variant, zone, day, held_out, by_decision"
)
_FIND = f"""
SELECT {_COLUMNS} FROM conversion WHERE id IN (SELECT value FROM json_each(?))
"""  # noqa: S608 - our own columns
_INSERT = f"INSERT INTO conversion ({_COLUMNS}) VALUES ({', '.join('?' * 15)})"  # noqa: S608 - our own columns
_DECIDED = """
SELECT id, campaign, coalesce(variant, ''), zone, day, gate, profile
FROM decision WHERE id IN (SELECT value FROM json_each(?))
"""
_CONVERTED = """
SELECT DISTINCT decision FROM conversion WHERE decision IN (SELECT value FROM json_each(?))
"""
_EXPOSED = """
UPDATE exposure SET conversions = conversions + 1, value_micros = value_micros + CASE
  WHEN ? IN ('', (
    SELECT coalesce(json_extract(document, '$.currency'), 'EUR') FROM campaign_version
    WHERE campaign_version.campaign = exposure.campaign ORDER BY version DESC LIMIT 1))
  THEN ? ELSE 0 END
WHERE profile = ? AND first_ms <= ? AND until_ms > ?
"""
_ARM = "UPDATE arm SET converted = converted + ? WHERE campaign = ? AND variant = ?"


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of one conversion.

    Parameters
    ----------
    state
        ``new``; ``known``: one of this id was there and stays as it is; ``refused``.
    conversion
        As it is stored, with what it is attributed to; as it was given when it was refused.
    problem
        Why it was refused, in words.
    """

    state: str
    conversion: Conversion
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _Decided:
    """What a conversion takes over from its decision."""

    campaign: str
    variant: str
    zone: str
    day: str
    gate: str
    profile: str

    @property
    def counts(self) -> bool:
        """Whether an offer was sent, or held back by lot only."""
        return self.gate in ("fired", "holdout")


class Conversions:
    """Keeps conversions.

    Parameters
    ----------
    database
        Where to.
    now_ms
        The clock.
    """

    def __init__(self, database: Database, *, now_ms: Callable[[], int] = wall_clock_ms) -> None:
        self._database = database
        self._now_ms = now_ms

    def record_conversions(self, conversions: Sequence[Conversion]) -> list[Recorded]:
        """Store conversions and count them where they belong.

        Parameters
        ----------
        conversions
            With `id`, `at_ms`, `received_ms`, what was bought, and one or several of `decision`,
            `profile` and `device`; everything else is found out here. A decision goes before a
            profile (the conversion is of the one that it was made for), a profile before a device.
            A value without a currency is taken for the campaign's own.

        Returns
        -------
        list of Recorded
            In the same order. Of several of one id in one call the first one counts.

        Raises
        ------
        StoreError
            Nothing is stored: the same conversions may be given again.
        """
        first: dict[str, Conversion] = {}
        for each in conversions:
            first.setdefault(each.id, each)
        with self._database.write() as connection:
            cursor = cursor_of(connection)
            known = _known(cursor, first)
            fresh = [each for each in first.values() if each.id not in known]
            named = _decisions(cursor, {each.decision for each in fresh})
            refused = {each.id: told for each in fresh if (told := _problem(each, named))}
            refused |= _of_the_erased(cursor, fresh)
            wanted = [each for each in fresh if each.id not in refused]
            stored = {each.id: each for each in self._store(cursor, wanted, named)}
        done: list[Recorded] = []
        for each in conversions:
            if each.id in refused:
                done.append(Recorded(REFUSED, each, refused[each.id]))
            elif each is first[each.id] and each.id in stored:
                done.append(Recorded(NEW, stored[each.id]))
            else:
                done.append(Recorded(KNOWN, known.get(each.id) or stored[each.id]))
        return done

    def conversions_page(
        self,
        *,
        profile: str | None = None,
        campaign: str | None = None,
        from_ms: int | None = None,
        to_ms: int | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[Conversion]:
        """Return conversions, those reported last first.

        Parameters
        ----------
        profile, campaign
            Only theirs.
        from_ms, to_ms
            Only those that happened from the one on and before the other, Unix milliseconds.
        limit
            Most items, 1 to 1000.
        cursor
            `Page.next` of the page before.

        Raises
        ------
        InvalidInput
            The limit is out of bounds or the cursor of no such list.
        """
        terms = {
            "seq < ?": _LATEST if cursor is None else read_cursor(cursor, "conversion", int),
            "profile = ?": profile,
            "campaign = ?": campaign,
            "at_ms >= ?": from_ms,
            "at_ms < ?": to_ms,
        }
        given = {term: value for term, value in terms.items() if value is not None}
        statement = (
            f"SELECT seq, {_COLUMNS} FROM conversion "  # noqa: S608 - our own names
            f"WHERE {' AND '.join(given)} ORDER BY seq DESC LIMIT ?"
        )
        values = (*given.values(), check_limit(limit) + 1)
        with self._database.read() as connection:
            rows = cursor_of(connection).execute(statement, values).fetchall()
        return cut(rows, limit, list="conversion", place=0, make=lambda row: _conversion(row[1:]))

    def _store(
        self, cursor: Any, conversions: Sequence[Conversion], named: Mapping[str, _Decided]
    ) -> list[Conversion]:
        """Attribute, count and insert conversions that are new; return them as they are stored."""
        if not conversions:
            return []
        owners = _owners(cursor, conversions, named)
        documents = read_behaviour(cursor, sorted(set(owners.values())))
        behaviour = {name: to_behaviour(documents.get(name)) for name in sorted(owners.values())}
        stored = _attributed(cursor, conversions, owners, behaviour, named)
        for each in stored:
            note_purchase(behaviour[each.profile], each)
        write_behaviour(cursor, behaviour, now_ms=self._now_ms())
        _count_arms(cursor, stored)
        cursor.executemany(
            _EXPOSED,
            [
                (each.currency, each.value_micros, each.profile, each.at_ms, each.at_ms)
                for each in stored
            ],
        )
        cursor.executemany(_INSERT, [_row(each) for each in stored])
        return stored


def _problem(conversion: Conversion, named: Mapping[str, _Decided]) -> str:
    """Return what is wrong with a conversion, in words; empty when nothing is."""
    if not conversion.decision:
        somebody = conversion.profile or conversion.device
        return "" if somebody else "names no decision, no profile and no device"
    decided = named.get(conversion.decision)
    if decided is None:
        return "no decision has this id"
    return "" if decided.counts else f"this decision sent nothing: gate {decided.gate!r} refused it"


def _of_the_erased(cursor: Any, conversions: Sequence[Conversion]) -> dict[str, str]:
    """Return which ones happened before their profile or device was erased, and what to say."""
    plain = [each for each in conversions if not each.decision]
    profiles = tombstones.find(cursor, tombstones.PROFILE, {each.profile for each in plain} - {""})
    devices = tombstones.find(cursor, tombstones.DEVICE, {each.device for each in plain} - {""})
    return {
        each.id: "its profile was erased after it happened"
        for each in plain
        if each.at_ms <= max(profiles.get(each.profile, -1), devices.get(each.device, -1))
    }


def _owners(
    cursor: Any, conversions: Sequence[Conversion], named: Mapping[str, _Decided]
) -> dict[str, str]:
    """Return whose each conversion is, by its id."""
    linked = find_profiles(
        cursor,
        sorted({each.device for each in conversions if not (each.decision or each.profile)}),
    )
    return {
        each.id: (
            named[each.decision].profile
            if each.decision
            else each.profile or linked[each.device].id
        )
        for each in conversions
    }


def _attributed(
    cursor: Any,
    conversions: Sequence[Conversion],
    owners: Mapping[str, str],
    behaviour: Mapping[str, Behaviour],
    named: Mapping[str, _Decided],
) -> list[Conversion]:
    """Give conversions their profiles and what they count for."""
    heard = {
        each.id: last_heard(behaviour[owners[each.id]], each.at_ms)
        for each in conversions
        if not each.decision
    }
    found = _decisions(cursor, {each.decision for each in heard.values() if each})
    stored = []
    for each in conversions:
        last = heard.get(each.id)
        decision = each.decision or (last.decision if last else "")
        decided = named.get(decision) or found.get(decision)
        told = replace(
            each,
            profile=owners[each.id],
            decision="",
            campaign="",
            variant="",
            zone="",
            day="",
            held_out=False,
            by_decision=False,
        )
        if decided is not None:
            told = replace(
                told,
                decision=decision,
                campaign=decided.campaign,
                variant=decided.variant,
                zone=decided.zone,
                day=decided.day,
                held_out=decided.gate == "holdout",
                by_decision=bool(each.decision),
            )
        stored.append(told)
    return stored


def _count_arms(cursor: Any, stored: Sequence[Conversion]) -> None:
    """Count the first conversion of every decision that sent a variant."""
    sent = {
        each.decision: (each.campaign, each.variant)
        for each in stored
        if each.variant and not each.held_out
    }
    before = {decision for (decision,) in cursor.execute(_CONVERTED, (to_json(list(sent)),))}
    arms = Counter(arm for decision, arm in sent.items() if decision not in before)
    cursor.executemany(_ARM, [(count, *arm) for arm, count in arms.items()])


def _known(cursor: Any, ids: Collection[str]) -> dict[str, Conversion]:
    rows = cursor.execute(_FIND, (to_json(list(ids)),))
    return {row[0]: _conversion(row) for row in rows}


def _decisions(cursor: Any, ids: Collection[str]) -> dict[str, _Decided]:
    rows = cursor.execute(_DECIDED, (to_json(sorted(filter(None, ids))),))
    return {row[0]: _Decided(*row[1:]) for row in rows}


def _row(each: Conversion) -> tuple[Any, ...]:
    return (
        each.id,
        each.profile,
        each.at_ms,
        each.received_ms,
        each.device,
        each.value_micros,
        each.currency,
        each.category,
        each.decision,
        each.campaign,
        each.variant,
        each.zone,
        each.day,
        each.held_out,
        each.by_decision,
    )


def _conversion(row: Sequence[Any]) -> Conversion:
    told, flags = row[:13], row[13:]
    return Conversion(*told, *map(bool, flags))
