"""Who visited a zone, one row a profile, counted in the database; and which zones are sensitive.

Only people of whom a profile is stored: nothing is known of the consent of the others. Costs 1
microsecond for a movement in the zone (`figures`) and 10 for each person.
"""

from __future__ import annotations

from collections.abc import Iterator

from geotarget.model import Profile
from geotarget.store.database import Database, cursor_of
from geotarget.store.documents import from_json
from geotarget.store.profiles import read_profile
from geotarget.store.stretches import IDS_OF_SPAN

MANY = 1_000
"""Rows that are fetched at a time."""

_VISITORS = f"""
SELECT visits, first_ms, last_ms, id, attributes, consent, external_ids, quiet_hours FROM (
  SELECT coalesce(link.profile, device) AS who, count(*) AS visits, min(ts_ms) AS first_ms,
    max(ts_ms) AS last_ms
  FROM span CROSS JOIN transition INDEXED BY transition_zone
    LEFT JOIN profile_device AS link USING (device)
  WHERE list = 'transition' AND max_ms >= ?1 AND min_ms < ?2
    AND transition.stretch = span.stretch {IDS_OF_SPAN} AND zone = ?3 AND ts_ms >= ?1 AND ts_ms < ?2
    AND kind = 'enter'
  GROUP BY who
) CROSS JOIN profile ON profile.id = who
"""  # noqa: S608 - our own text


class Visitors:
    """Reads who was where.

    Parameters
    ----------
    database
        Where it is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def visitors(
        self, zone: str, *, from_ms: int, to_ms: int
    ) -> Iterator[tuple[Profile, int, int, int]]:
        """Give the visitors of a zone, in the order of their profiles.

        Parameters
        ----------
        zone
            Its id.
        from_ms, to_ms
            Visits that began from the one on and before the other, Unix milliseconds.

        Yields
        ------
        profile : Profile
            Without its devices.
        visits : int
        first_ms, last_ms : int
            Beginnings of the first and of the last of them.
        """
        with self._database.read() as connection:
            cursor = cursor_of(connection).execute(_VISITORS, (from_ms, to_ms, zone))
            while rows := cursor.fetchmany(MANY):
                for visits, first_ms, last_ms, *profile in rows:
                    yield read_profile(*profile), visits, first_ms, last_ms

    def sensitive_places(self) -> dict[str, list[str]]:
        """Return the ids of all sensitive zones, inactive ones too, each with its tags."""
        with self._database.read() as connection:
            found = cursor_of(connection).execute("SELECT id, tags FROM zone WHERE sensitive")
            return {zone: from_json(tags) for zone, tags in found}
