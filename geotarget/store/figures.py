"""What reports need row by row: the visits of a zone, and who converted.

Where `results` reads counts that were kept, this reads what they can't say: how long visits were,
and how many different people stand behind a count. A movement costs 1 µs, of which the index of
the zone within each stretch is most (`tables` says why); a range touches the stretches in which an
instant of it can lie.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from geotarget.store.database import Database, cursor_of
from geotarget.store.stretches import IDS_OF_SPAN

MANY = 4_096
"""Rows that are fetched at a time."""

_MOVEMENTS = f"""
SELECT kind, ts_ms, coalesce(duration_s, -1.0), coalesce(profile, device)
FROM span CROSS JOIN transition INDEXED BY transition_zone
  LEFT JOIN profile_device USING (device)
WHERE list = 'transition' AND max_ms >= ? AND min_ms < ?
  AND transition.stretch = span.stretch {IDS_OF_SPAN} AND zone = ? AND ts_ms >= ? AND ts_ms < ?
"""  # noqa: S608 - our own text
_CONVERTED = """
SELECT DISTINCT {by}, profile FROM conversion INDEXED BY conversion_campaign
WHERE campaign = ? AND day >= ? AND day <= ? AND NOT held_out
"""
_NAMED = """
SELECT count(*), count(*) FILTER (WHERE by_decision) FROM conversion INDEXED BY conversion_campaign
WHERE campaign = ?
"""
_CELLS = {"": "''", "variant": "variant", "zone": "zone", "day": "day"}


@dataclass(frozen=True, slots=True)
class Named:
    """How many conversions count for a campaign, and how many of them named its decision."""

    conversions: int
    by_decision: int


class Figures:
    """Reads rows for reports.

    Parameters
    ----------
    database
        Where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def zone_movements(
        self, zone: str, *, from_ms: int, to_ms: int
    ) -> Iterator[list[tuple[str, int, float, str]]]:
        """Give the transitions of a zone, many at a time, in no particular order.

        Parameters
        ----------
        from_ms, to_ms
            Those that happened from the one on and before the other, Unix milliseconds.

        Yields
        ------
        list of tuple
            Kind, when it happened (Unix milliseconds), how long the visit lasted (seconds, -1
            where that is not known) and the profile whose device it is now.
        """
        values = (from_ms, to_ms, zone, from_ms, to_ms)
        with self._database.read() as connection:
            cursor = cursor_of(connection).execute(_MOVEMENTS, values)
            while rows := cursor.fetchmany(MANY):
                yield rows

    def converted(
        self,
        campaign: str,
        *,
        by: str = "",
        from_day: str | None = None,
        to_day: str | None = None,
    ) -> dict[str, set[str]]:
        """Return the profiles with a conversion that counts for a campaign's offers.

        All who were erased are one, without a name.

        Parameters
        ----------
        by
            ``variant``, ``zone`` or ``day``: one set for each; empty: one set in all, under ``""``.
        from_day, to_day
            Days of the decisions, ISO dates, both included; None is no bound.
        """
        statement = _CONVERTED.format(by=_CELLS[by])
        found: defaultdict[str, set[str]] = defaultdict(set)
        with self._database.read() as connection:
            values = (campaign, from_day or "", to_day or "9999-12-31")
            for cell, profile in cursor_of(connection).execute(statement, values):
                found[cell].add(profile)
        return dict(found)

    def named_conversions(self, campaign: str) -> Named:
        """Return how many of a campaign's conversions were reported with the decision's id."""
        with self._database.read() as connection:
            return Named(*cursor_of(connection).execute(_NAMED, (campaign,)).fetchone())
