"""The catalogue's audiences: named rules that many campaigns share.

They are part of the catalogue: a change raises its revision, so every process compiles it within a
second. Rules are kept as text; whether one can be read is checked before it comes here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from geotarget.errors import Outdated
from geotarget.model import Audience
from geotarget.store.audit import note
from geotarget.store.database import Database, cursor_of, wall_clock_ms
from geotarget.store.pages import Page, check_limit, cut, read_cursor
from geotarget.store.targeting_tables import audience as _audience
from geotarget.store.zones import raise_revision

_COLUMNS = (
    _audience.c.id,
    _audience.c.rule,
    _audience.c.name,
    _audience.c.description,
    _audience.c.revision,
)
_STORED = """
SELECT actor, at_ms, json_extract(detail, '$.revision') FROM audit
WHERE action = 'audience.put' AND subject = ? ORDER BY seq DESC LIMIT 1
"""


def _always(_revision: int) -> bool:
    return True


class Audiences:
    """Keeps audiences.

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

    def put_audience(
        self, audience: Audience, *, by: str = "", only_if: Callable[[int], bool] = _always
    ) -> Audience:
        """Store an audience; one that is stored just so keeps its revision.

        Parameters
        ----------
        audience
            Its revision is given here.
        by
            Who does it, for the audit log; empty keeps it out of there.
        only_if
            Asked in the transaction of the change: hears the revision that is stored, 0 for none.

        Raises
        ------
        Outdated
            `only_if` said no; says who stored what is there, and when.
        StoreError
            Nothing is stored.
        """
        with self._database.write() as connection:
            stored = _find(connection, audience.id)
            if not only_if(0 if stored is None else stored.revision):
                raise Outdated(_who_was_first(connection, audience.id, stored))
            if stored is not None and replace(audience, revision=stored.revision) == stored:
                return stored
            audience = replace(audience, revision=raise_revision(connection))
            row = {
                "revision": audience.revision,
                "name": audience.name,
                "description": audience.description,
                "rule": audience.rule,
            }
            if stored is None:
                connection.execute(sa.insert(_audience).values(id=audience.id, **row))
            else:
                connection.execute(
                    sa.update(_audience).where(_audience.c.id == audience.id).values(row)
                )
            detail = {"revision": audience.revision}
            note(connection, self._now_ms(), by, "audience.put", audience.id, detail)
        return audience

    def delete_audience(self, id: str, *, by: str = "") -> bool:
        """Delete an audience, noting `by` whom unless it is empty. False when there is none."""
        with self._database.write() as connection:
            found = sa.delete(_audience).where(_audience.c.id == id)
            gone = connection.execute(found).rowcount > 0
            if gone:
                raise_revision(connection)
                note(connection, self._now_ms(), by, "audience.delete", id)
        return gone

    def audience(self, id: str) -> Audience | None:
        """Return an audience, None when there is none of this id."""
        with self._database.read() as connection:
            return _find(connection, id)

    def audiences(self) -> list[Audience]:
        """Return all audiences in the order of their ids."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(*_COLUMNS).order_by(_audience.c.id))
            return [_audience_of(row) for row in rows]

    def audiences_page(self, *, limit: int = 100, cursor: str | None = None) -> Page[Audience]:
        """Return audiences in the order of their ids.

        Raises
        ------
        InvalidInput
            The limit is out of 1 to 1000, or the cursor of no such list.
        """
        query = sa.select(*_COLUMNS).order_by(_audience.c.id).limit(check_limit(limit) + 1)
        if cursor is not None:
            query = query.where(_audience.c.id > read_cursor(cursor, "audience", str))
        with self._database.read() as connection:
            rows = list(connection.execute(query))
        return cut(rows, limit, list="audience", place=0, make=_audience_of)


def _who_was_first(connection: sa.Connection, id: str, stored: Audience | None) -> str:
    """Say how an audience stands, to who thought that it stood otherwise."""
    if stored is None:
        return f"there is no audience {id!r}"
    said = f"audience {id!r} is at revision {stored.revision}"
    noted = cursor_of(connection).execute(_STORED, (id,)).fetchone()
    if noted is None or noted[2] != stored.revision:
        return said  # whoever stored it kept it out of the log
    at = datetime.fromtimestamp(noted[1] / 1000, UTC).isoformat(" ", "seconds")
    return f"{said}, stored by {noted[0]!r} at {at.replace('+00:00', 'Z')}"


def _find(connection: sa.Connection, id: str) -> Audience | None:
    row = connection.execute(sa.select(*_COLUMNS).where(_audience.c.id == id)).one_or_none()
    return None if row is None else _audience_of(row)


def _audience_of(row: Sequence[Any]) -> Audience:
    return Audience(*row)
