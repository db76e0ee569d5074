"""People: whoever a profile is stored of or something is known about, for questions over all.

A device that is linked to another profile is nobody of its own. Ids are walked in the database, so
a count or a sample holds no more in memory than it returns; people are read 500 at a time, 10 to
20 µs each, with no transaction held in between.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice

from geotarget.behaviour import decode
from geotarget.model import Behaviour, Profile
from geotarget.store.database import Database, cursor_of
from geotarget.store.documents import from_json, to_json
from geotarget.store.profiles import read_profile

CHUNK = 500

_KNOWN_ONLY = """
FROM behaviour WHERE NOT EXISTS (SELECT 1 FROM profile WHERE id = behaviour.profile)
  AND NOT EXISTS (SELECT 1 FROM profile_device AS link
    WHERE link.device = behaviour.profile AND link.profile <> behaviour.profile)
"""
_IDS = f"SELECT id FROM profile UNION ALL SELECT profile {_KNOWN_ONLY} /*postgresql ORDER BY 1*/"  # noqa: S608 - our own text
_COUNT = f"SELECT (SELECT count(*) FROM profile) + (SELECT count(*) {_KNOWN_ONLY})"  # noqa: S608 - our own text
_CONSENTS = """
SELECT consent, count(*) FROM (SELECT consent FROM profile ORDER BY rowid DESC LIMIT ?) AS made
GROUP BY consent
"""
_PEOPLE = """
SELECT asked.value, state, attributes, consent, external_ids, quiet_hours
FROM json_each(?) AS asked LEFT JOIN profile ON profile.id = asked.value
LEFT JOIN behaviour ON behaviour.profile = asked.value
"""


class People:
    """Reads profiles together with what they did.

    Parameters
    ----------
    database
        Where it is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def behaviour(self, id: str) -> Behaviour | None:
        """Return what a profile did; None when nothing was seen of it."""
        with self._database.read() as connection:
            row = (
                cursor_of(connection)
                .execute("SELECT state FROM behaviour WHERE profile = ?", (id,))
                .fetchone()
            )
        return None if row is None else decode(row[0])

    def people_count(self) -> int:
        """Return how many people there are."""
        with self._database.read() as connection:
            (count,) = cursor_of(connection).execute(_COUNT).fetchone()
        return int(count)

    def people_ids(self, *, most: int | None = None, seed: int = 0) -> list[str]:
        """Return the ids of people: all, or of more than `most` a random sample of so many.

        The sample is the same for the same `seed` while nobody comes or goes.
        """
        with self._database.read() as connection:
            cursor = cursor_of(connection)
            (count,) = cursor.execute(_COUNT).fetchone()
            ids = (id_ for (id_,) in cursor.execute(_IDS))
            if most is None or count <= most:
                return list(ids)
            chosen = sorted(random.Random(seed).sample(range(count), most))  # noqa: S311 - a sample, no secret
            found: list[str] = []
            at = 0
            for position in chosen:
                found += islice(ids, position - at, position - at + 1)
                at = position + 1
        return found

    def consents(self, most: int) -> tuple[int, dict[str, tuple[int, int]]]:
        """Count what profiles agreed to and declined.

        Parameters
        ----------
        most
            Only the profiles that were made last are looked at, so many.

        Returns
        -------
        profiles : int
            How many were looked at.
        purposes : dict
            By purpose, in their order, how many said yes and how many said no; of the others
            nothing is known.
        """
        looked, said = 0, defaultdict[str, list[int]](lambda: [0, 0])
        with self._database.read() as connection:
            for consent, profiles in cursor_of(connection).execute(_CONSENTS, (most,)):
                looked += profiles
                for purpose, agreed in from_json(consent).items():
                    said[purpose][0 if agreed else 1] += profiles
        return looked, {purpose: (yes, no) for purpose, (yes, no) in sorted(said.items())}

    def people(self, ids: Sequence[str]) -> Iterator[tuple[Profile, Behaviour]]:
        """Return people by their ids, each with what was seen of them; devices are not read."""
        for start in range(0, len(ids), CHUNK):
            asked = to_json(list(ids[start : start + CHUNK]))
            with self._database.read() as connection:
                rows = cursor_of(connection).execute(_PEOPLE, (asked,)).fetchall()
            found = {id_: told for id_, *told in rows}  # a server gives them in any order
            for id_ in ids[start : start + CHUNK]:
                state, *told = found[id_]
                profile = Profile(id_) if told[0] is None else read_profile(id_, *told)
                yield profile, Behaviour() if state is None else decode(state)
