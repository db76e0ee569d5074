"""What was committed since somebody looked last: for screens that follow what happens.

Rows are found by their numbers, which rise with the commits, so a look costs 20 µs when nothing has
happened and 3 µs a row when something has. Whoever was away for long gets the newest and no more:
a screen is no archive.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from geotarget.store.database import Database, cursor_of

_TRANSITIONS = """
SELECT seq, id, kind, device, zone, ts_ms, decided_ms FROM transition
WHERE seq > ? ORDER BY seq DESC LIMIT ?
"""
_DECISIONS = """
SELECT seq, id, campaign, device, zone, gate, reason, decided_ms FROM decision
WHERE seq > ? ORDER BY seq DESC LIMIT ?
"""
_LAST = """
SELECT
/*sqlite*/ coalesce((SELECT max(seq) FROM transition), 0)
/*postgresql (SELECT value FROM counter WHERE name = 'last transition')*/,
/*sqlite*/ coalesce((SELECT max(seq) FROM decision), 0)
/*postgresql (SELECT value FROM counter WHERE name = 'last decision')*/
"""
_FIRED_ON = "SELECT coalesce(sum(count), 0) FROM tally WHERE day = ? AND gate = 'fired'"


@dataclass(frozen=True, slots=True)
class Moment:
    """A transition (`kind` says which) or a decision (`gate` says how it went)."""

    id: str
    device: str
    zone: str
    time_ms: int
    decided_ms: int
    kind: str = ""
    campaign: str = ""
    gate: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """How far somebody has followed: the last transition and decision, by number."""

    transition: int
    decision: int


class Feed:
    """Reads what is new.

    Parameters
    ----------
    database
        Where it is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def feed_end(self) -> Place:
        """Return the place behind everything that was committed."""
        with self._database.read() as connection:
            return Place(*cursor_of(connection).execute(_LAST).fetchone())

    def moments_after(self, place: Place, *, most: int = 200) -> tuple[list[Moment], Place]:
        """Return what was committed behind a place, the oldest first, and the place behind it.

        Parameters
        ----------
        place
            Where the reader stands.
        most
            Most transitions and most decisions: the newest of them.
        """
        with self._database.read() as connection:
            cursor = cursor_of(connection)
            last = Place(*cursor.execute(_LAST).fetchone())
            moved = decided = []  # as a rule nothing has happened: no partition is asked
            if last.transition > place.transition:
                moved = cursor.execute(_TRANSITIONS, (place.transition, most)).fetchall()
            if last.decision > place.decision:
                decided = cursor.execute(_DECISIONS, (place.decision, most)).fetchall()
        found = [
            Moment(name, device, zone, ts_ms, decided_ms, kind=kind)
            for _, name, kind, device, zone, ts_ms, decided_ms in reversed(moved)
        ] + [
            Moment(name, device, zone, at, at, campaign=campaign, gate=gate, reason=reason)
            for _, name, campaign, device, zone, gate, reason, at in reversed(decided)
        ]
        found.sort(key=lambda each: each.decided_ms)
        reached = Place(
            moved[0][0] if moved else place.transition,
            decided[0][0] if decided else place.decision,
        )
        return found, reached

    def offers_on(self, day: dt.date) -> int:
        """Return how many offers were sent on a day, on the clocks of their zones."""
        with self._database.read() as connection:
            (count,) = cursor_of(connection).execute(_FIRED_ON, (day.isoformat(),)).fetchone()
        return int(count)
