"""Who changed what, and when: written in the transaction of the change where there is one.

Rows are only ever added. Detail is a small JSON object, never content: ids, versions, counts.

The log is a chain. Each entry carries the SHA-256 of the digest before it and of its own columns,
so nobody can change, remove or put in an entry without writing all later ones anew. `verify_audit`
walks it; against somebody who does write them anew, or cuts off the end, only a digest helps that
is kept elsewhere. An entry costs 15 µs in its transaction, a walk 4 µs an entry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import sqlalchemy as sa

from geotarget.store.database import Database, cursor_of, wall_clock_ms
from geotarget.store.documents import from_json, to_json
from geotarget.store.pages import Page, check_limit, cut, read_cursor
from geotarget.store.tombstones import subjects

GENESIS = bytes(32)
"""Stands for the digest before the first entry."""

WALKED_AT_ONCE = 1_000

_EARLIEST, _LATEST = -(2**63), 2**63 - 1
_LAST = """
SELECT /*sqlite*/ coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'audit'), 0)
  /*postgresql coalesce((SELECT max(seq) FROM audit), 0)*/,
  (SELECT digest FROM audit ORDER BY seq DESC LIMIT 1)
"""
_INSERT = """
INSERT INTO audit (seq, at_ms, actor, action, subject, detail, digest) VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_PAGE = """
SELECT seq, at_ms, actor, action, subject, detail, digest FROM audit
WHERE seq < ? AND at_ms >= ? AND at_ms < ?{terms} ORDER BY seq DESC LIMIT ?
"""
_WALK = """
SELECT seq, at_ms, CAST(actor AS BLOB), CAST(action AS BLOB), CAST(subject AS BLOB),
  CAST(detail AS BLOB), digest, /*sqlite*/ typeof(at_ms) = 'integer' AND typeof(actor) = 'text'
  AND typeof(action) = 'text' AND typeof(subject) = 'text' AND typeof(detail) = 'text'
  AND typeof(digest) = 'blob' /*postgresql TRUE*/
FROM audit WHERE seq > ? ORDER BY seq LIMIT ?
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
        What: ``campaign.put``, ``profile.erase``, ``export`` …
    subject
        The id of what was changed.
    detail
        What else is worth knowing.
    seq
        Its number: the first has 1, and there are no gaps.
    digest
        Of it and of all before it.
    """

    at_ms: int
    actor: str
    action: str
    subject: str
    detail: Mapping[str, Any]
    seq: int = field(default=0, compare=False)
    digest: bytes = field(default=b"", compare=False)


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What a walk along the chain found.

    Parameters
    ----------
    entries
        How many stand in an unbroken chain, from the first on.
    digest
        Of the last of them; `GENESIS` when there is none.
    broken
        Where and how the chain breaks, in words; empty when it does not.
    """

    entries: int
    digest: bytes
    broken: str = ""


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
        self,
        *,
        actor: str | None = None,
        action: str | None = None,
        subject: str | None = None,
        from_ms: int | None = None,
        to_ms: int | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[AuditEntry]:
        """Return entries, newest first.

        What is asked for is looked for entry by entry, 0.1 µs each.

        Parameters
        ----------
        actor, action, subject
            Only these; a subject may be the plain id of a profile or a device, too.
        from_ms, to_ms
            Only those of the one instant on and before the other, Unix milliseconds.
        limit
            Most items, 1 to 1000.
        cursor
            `Page.next` of the page before.

        Raises
        ------
        InvalidInput
            The limit is out of bounds, or the cursor of no such list.
        """
        check_limit(limit)
        after = _LATEST if cursor is None else read_cursor(cursor, "audit", int)
        low = _EARLIEST if from_ms is None else from_ms
        high = _LATEST if to_ms is None else to_ms
        filters = {"actor = ?": actor, "action = ?": action}
        given = {term: value for term, value in filters.items() if value is not None}
        with self._database.read() as connection:
            entries = cursor_of(connection)
            if subject is not None:
                given["subject IN (SELECT value FROM json_each(?))"] = to_json(
                    subjects(entries, subject)
                )
            statement = _PAGE.format(terms="".join(f" AND {term}" for term in given))
            values = (after, low, high, *given.values(), limit + 1)
            rows = entries.execute(statement, values).fetchall()
        return cut(rows, limit, list="audit", place=0, make=_entry)

    def verify_audit(self, *, expect: bytes | None = None) -> AuditReport:
        """Walk the chain from the first entry to the last, or to where it breaks.

        Memory holds `WALKED_AT_ONCE` entries, and nobody who writes is kept waiting.

        Parameters
        ----------
        expect
            A digest that was the last one some time ago, kept where nobody who can write the
            database can change it. The chain must come by it.

        Raises
        ------
        StoreError
            The database can't be read.
        """
        number, digest, met = 0, GENESIS, expect in (None, GENESIS)
        after = _EARLIEST
        while True:
            with self._database.read() as connection:
                cursor = cursor_of(connection)
                rows = cursor.execute(_WALK, (after, WALKED_AT_ONCE)).fetchall()
                (given, _) = cursor.execute(_LAST).fetchone()
            for seq, *parts, stored, is_sound in rows:
                broken = _fault(number, seq)
                after = seq
                if not broken and not (is_sound and stored == digest_of(digest, seq, *parts)):
                    broken = (
                        f"entry {seq} is not what its digest says: it, or the one before it, was "
                        "changed, moved or put in"
                    )
                if broken:
                    return AuditReport(number, digest, broken)
                number, digest = seq, stored
                met = met or digest == expect
            if len(rows) < WALKED_AT_ONCE:
                break
        broken = ""
        if given > number:
            broken = f"{_entries(number + 1, given)} missing at the end: {given} were written"
        elif not met and expect is not None:
            broken = (
                f"no entry has the digest {expect.hex()}: the log was cut off before it, or "
                "written anew"
            )
        return AuditReport(number, digest, broken)


def append(
    cursor: Any,
    at_ms: int,
    actor: str,
    action: str,
    subject: str,
    detail: Mapping[str, Any] | None = None,
) -> bytes:
    """Add an entry inside the transaction of the change that it tells of; return its digest.

    The transaction holds the write lock, so nobody else can follow the same entry.
    """
    last, digest = cursor.execute(_LAST).fetchone()
    text = to_json(dict(detail or {}))
    parts = [each.encode() for each in (actor, action, subject, text)]
    chained = digest_of(digest or GENESIS, last + 1, at_ms, *parts)
    cursor.execute(_INSERT, (last + 1, at_ms, actor, action, subject, text, chained))
    return chained


def digest_of(before: bytes, seq: int, at_ms: int, *texts: bytes) -> bytes:
    """Return the digest of an entry.

    SHA-256 over the digest before it and its number, instant, actor, action, subject and detail:
    numbers in decimal, texts in UTF-8, each as a netstring, so that no two entries read the same.

    Examples
    --------
    >>> digest_of(GENESIS, 1, 0, b"cli", b"export", b"all", b"{}").hex()[:16]
    '178b97240bf4d063'
    """
    parts = (b"%d" % seq, b"%d" % at_ms, *texts)
    return sha256(before + b"".join(b"%d:%b," % (len(part), part) for part in parts)).digest()


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


def _fault(before: int, seq: int) -> str:
    """Return what is wrong with the number of an entry that follows another; empty if nothing."""
    if seq == before + 1:
        return ""
    if seq <= before:
        return f"entry {seq} was put in: the first one is 1"
    return f"{_entries(before + 1, seq - 1)} missing"


def _entries(first: int, last: int) -> str:
    return f"entry {first} is" if first == last else f"entries {first} to {last} are"


def _entry(row: Sequence[Any]) -> AuditEntry:
    seq, at_ms, actor, action, subject, detail, digest = row
    return AuditEntry(at_ms, actor, action, subject, from_json(detail), seq, bytes(digest))
