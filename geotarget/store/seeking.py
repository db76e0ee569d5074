"""People by the beginning of their id or first name, and what profiles say: for forms.

Both are bounded, whatever the number of people: ids are found in their index; first names are
looked for in the profiles that were made last, some 50 ms for `SOUGHT` of them; attributes are
counted over a tenth as many.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

from geotarget.store.database import Database, cursor_of

SOUGHT = 20_000
"""So many profiles are looked at for a first name; those that were made last."""

LOOKED_AT = 2_000
"""So many profiles are looked at for what attributes there are."""

MOST_NAMES, MOST_VALUES, MOST_LETTERS = 200, 20, 64

_LAST = "\U0010ffff"
_BY_ID = """
SELECT id, /*sqlite*/ json_extract(attributes, '$.first_name') /*postgresql
  CASE jsonb_typeof(CAST(attributes AS jsonb) -> 'first_name') WHEN 'string'
    THEN CAST(attributes AS jsonb) ->> 'first_name' END*/ FROM profile
WHERE id >= ?1 AND id < ?2
UNION ALL
SELECT behaviour.profile, NULL FROM behaviour
WHERE behaviour.profile >= ?1 AND behaviour.profile < ?2
  AND NOT EXISTS (SELECT 1 FROM profile WHERE id = behaviour.profile)
  AND NOT EXISTS (SELECT 1 FROM profile_device AS link
    WHERE link.device = behaviour.profile AND link.profile <> behaviour.profile)
ORDER BY 1 LIMIT ?3
"""
_NAMES = """
SELECT id, json_extract(attributes, '$.first_name') AS name
FROM (SELECT id, attributes FROM profile ORDER BY rowid DESC LIMIT ?) AS made
WHERE /*sqlite*/ json_type(attributes, '$.first_name')
  /*postgresql replace(jsonb_typeof(CAST(attributes AS jsonb) -> 'first_name'), 'string', 'text')*/
  = 'text'
"""
_SAID = """
SELECT said.key, /*sqlite*/ said.type, said.atom /*postgresql
  CASE jsonb_typeof(said.value) WHEN 'boolean' THEN said.value #>> '{}' WHEN 'string' THEN 'text'
    WHEN 'number' THEN
      CASE WHEN said.value #>> '{}' ~ '^[-0-9][0-9]*$' THEN 'integer' ELSE 'real' END
    ELSE 'null' END, said.value #>> '{}'*/, count(*)
FROM (SELECT attributes FROM profile ORDER BY rowid DESC LIMIT ?) AS made,
  /*sqlite*/ json_each(made.attributes) /*postgresql jsonb_each(CAST(made.attributes AS jsonb))*/
  AS said
GROUP BY 1, 2, 3
"""
_LOOKED_AT = "SELECT count(*) FROM (SELECT 1 FROM profile ORDER BY rowid DESC LIMIT ?) AS made"


@dataclass(frozen=True, slots=True)
class Said:
    """One attribute of profiles.

    Parameters
    ----------
    name
        Of the attribute.
    profiles
        How many of those that were looked at have it.
    values
        What enough of them have there, the most frequent first: texts, whole numbers, truths.
    """

    name: str
    profiles: int
    values: tuple[str | int | bool, ...]


class Seeking:
    """Finds people and attributes for forms.

    Parameters
    ----------
    database
        Where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def seek_people(self, beginning: str, *, limit: int) -> list[tuple[str, str | None]]:
        """Return people whose id or first name begins so, each with the first name.

        Those whose id does come first, by id, then those whose first name does, in whatever case.

        Parameters
        ----------
        beginning
            Empty means anybody.
        limit
            Most people.
        """
        with self._database.read() as connection:
            cursor = cursor_of(connection)
            rows = cursor.execute(_BY_ID, (beginning, beginning + _LAST, limit)).fetchall()
            found = {id_: name if isinstance(name, str) else None for id_, name in rows}
            if beginning and len(found) < limit:
                folded = beginning.casefold()
                named = cursor.execute(_NAMES, (SOUGHT,)).fetchall()
                for id_, name in sorted(named, key=lambda row: (row[1].casefold(), row[0])):
                    if len(found) < limit and name.casefold().startswith(folded):
                        found.setdefault(id_, name)
        return list(found.items())

    def attributes_said(self, *, least: int) -> tuple[int, list[Said]]:
        """Return how many profiles were looked at, and what they say, by name.

        Parameters
        ----------
        least
            Values that fewer profiles have are left out.
        """
        with self._database.read() as connection:
            cursor = cursor_of(connection)
            (looked,) = cursor.execute(_LOOKED_AT, (LOOKED_AT,)).fetchone()
            rows = cursor.execute(_SAID, (LOOKED_AT,)).fetchall()
        profiles, values = (
            Counter[str](),
            defaultdict[str, list[tuple[int, str | int | bool]]](list),
        )
        for name, kind, atom, times in rows:
            profiles[name] += times
            if times < least:
                continue
            if kind in ("true", "false"):
                values[name].append((times, kind == "true"))
            elif kind == "integer" or (kind == "text" and len(atom) <= MOST_LETTERS):
                values[name].append((times, int(atom) if kind == "integer" else atom))
        names = sorted(name for name, _ in profiles.most_common(MOST_NAMES))
        return looked, [Said(name, profiles[name], _frequent(values[name])) for name in names]


def _frequent(values: list[tuple[int, str | int | bool]]) -> tuple[str | int | bool, ...]:
    ordered = sorted(values, key=lambda each: (-each[0], str(each[1])))
    return tuple(value for _, value in ordered[:MOST_VALUES])
