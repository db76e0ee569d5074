"""Who changed what, and when: written in the transaction of the change where there is one.

Rows are only ever added. Detail is a small JSON object, never content: ids, versions, counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from geotarget.store.database import Database, cursor_of, wall_clock_ms
from geotarget.store.documents import from_json, to_json
from geotarget.store.pages import Page, check_limit, cut, read_cursor

_LATEST = 2**63 - 1
_INSERT = "INSERT INTO audit (at_ms, actor, action, subject, detail) VALUES (?, ?, ?, ?, ?)"
_PAGE = """
SELECT seq, at_ms, actor, action, subject, detail FROM audit
WHERE seq < ? AND (? IS NULL OR subject = ?) ORDER BY seq DESC LIMIT ?
"""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change.

    Parameters
    ----------
    at_ms
        When, Unix milliseconds.
    actor
        Who: the name of a key, or ``cli``.
    action
        What: ``campaign.put``, ``profile.delete``, ``export`` …
    subject
        The id of what was changed.
    detail
        What else is worth knowing.
    """

    at_ms: int
    actor: str
    action: str
    subject: str
    detail: Mapping[str, Any]


class Audit:
    """Keeps the log of changes.

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

    def add_audit(
        self, actor: str, action: str, subject: str, detail: Mapping[str, Any] | None = None
    ) -> None:
        """Add an entry in a transaction of its own.

        Raises
        ------
        StoreError
            Nothing is written.
        """
        with self._database.write() as connection:
            append(cursor_of(connection), self._now_ms(), actor, action, subject, detail)

    def audit_page(
        self, *, subject: str | None = None, limit: int = 100, cursor: str | None = None
    ) -> Page[AuditEntry]:
        """Return entries, newest first.

        Raises
        ------
        InvalidInput
            The limit is out of 1 to 1000, or the cursor of no such list.
        """
        check_limit(limit)
        after = _LATEST if cursor is None else read_cursor(cursor, "audit", int)
        with self._database.read() as connection:
            values = (after, subject, subject, limit + 1)
            rows = cursor_of(connection).execute(_PAGE, values).fetchall()
        return cut(rows, limit, list="audit", place=0, make=_entry)


def append(
    cursor: Any,
    at_ms: int,
    actor: str,
    action: str,
    subject: str,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Add an entry inside the transaction of the change that it tells of."""
    cursor.execute(_INSERT, (at_ms, actor, action, subject, to_json(dict(detail or {}))))


def note(
    connection: sa.Connection,
    at_ms: int,
    by: str,
    action: str,
    subject: str,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Add an entry inside SQLAlchemy's transaction, unless nobody is named as having done it."""
    if by:
        append(cursor_of(connection), at_ms, by, action, subject, detail)


def _entry(row: Any) -> AuditEntry:
    _, at_ms, actor, action, subject, detail = row
    return AuditEntry(at_ms, actor, action, subject, from_json(detail))
