"""Imports of profiles: each piece of one is committed together with how far it has come.

So whatever stops an import, a broken line or a killed process, what its job says is done is done,
and nothing else is. A job knows its file by a digest over the rows that are done: another file
under the same id is refused, not mixed in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from geotarget.errors import Conflict
from geotarget.model import Profile
from geotarget.store.audit import append
from geotarget.store.database import Database, cursor_of, wall_clock_ms
from geotarget.store.documents import from_json, to_json
from geotarget.store.profiles import write_profiles

MOST_PROBLEMS = 1_000
"""Problems of one job that are kept; all are counted."""

RUNNING = "running"

_FIND = """
SELECT id, state, started_ms, changed_ms, rows, stored, refused, problems FROM import_job
WHERE id = ?
"""
_INSERT = """
INSERT INTO import_job (id, state, started_ms, changed_ms, rows, stored, refused, problems)
VALUES (?, 'running', ?, ?, 0, 0, 0, ?)
"""
_ADVANCE = """
UPDATE import_job SET state = 'running', changed_ms = ?, rows = ?, stored = ?, refused = ?,
  problems = ? WHERE id = ?
"""
_STOP = """
UPDATE import_job SET state = 'stopped', changed_ms = ? WHERE id = ? AND state = 'running'
"""
_END = "UPDATE import_job SET state = 'done', changed_ms = ? WHERE id = ?"


@dataclass(frozen=True, slots=True)
class RowProblem:
    """What is wrong with a row of a file, and where: the line, the JSON path in it."""

    line: int
    path: str
    value: str
    reason: str


@dataclass(frozen=True, slots=True)
class ImportJob:
    """How far an import has come.

    Parameters
    ----------
    state
        ``running``, ``stopped`` before its end, or ``done``.
    started_ms, changed_ms
        When it was begun and last moved, Unix milliseconds.
    rows, stored, refused
        Rows that are done, and what became of them.
    digest
        Of those rows.
    problems
        The first `MOST_PROBLEMS`.
    """

    id: str
    state: str
    started_ms: int
    changed_ms: int
    rows: int = 0
    stored: int = 0
    refused: int = 0
    digest: str = ""
    problems: tuple[RowProblem, ...] = ()


class Imports:
    """Keeps jobs of imports.

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

    def import_job(self, id: str) -> ImportJob | None:
        """Return how far an import has come; None when there is none of this id."""
        with self._database.read() as connection:
            return _find(cursor_of(connection), id)

    def begin_import(self, id: str, *, by: str = "") -> ImportJob:
        """Make a job, or return the one that there is: its rows are done.

        `by` is who did it, for the audit log; empty keeps it out of there.
        """
        with self._database.write() as connection:
            cursor, now_ms = cursor_of(connection), self._now_ms()
            found = _find(cursor, id)
            if found is not None:
                return found
            cursor.execute(_INSERT, (id, now_ms, now_ms, to_json({"digest": "", "items": []})))
            if by:
                append(cursor, now_ms, by, "import.begin", id)
        return ImportJob(id, RUNNING, now_ms, now_ms)

    def import_rows(
        self,
        job: ImportJob,
        profiles: Sequence[tuple[Profile, bool]],
        problems: Sequence[RowProblem],
        *,
        refused: int,
        digest: str,
    ) -> ImportJob:
        """Store the next rows of an import, and how far it has come with them.

        Parameters
        ----------
        job
            As it was before.
        profiles
            The good rows, each with whether its links stay as they are.
        problems, refused
            What is wrong with the others, and how many they are.
        digest
            Of all rows that are done with these.

        Raises
        ------
        Conflict
            Somebody else goes on with the same import.
        StoreError
            Nothing is stored.
        """
        with self._database.write() as connection:
            cursor, now_ms = cursor_of(connection), self._now_ms()
            before = _find(cursor, job.id)
            if before is None or (before.rows, before.digest) != (job.rows, job.digest):
                raise Conflict(f"import {job.id!r} is being sent by somebody else at this time")
            write_profiles(cursor, profiles, now_ms=now_ms)
            kept = (*before.problems, *problems)[:MOST_PROBLEMS]
            after = ImportJob(
                id=job.id,
                state=RUNNING,
                started_ms=before.started_ms,
                changed_ms=now_ms,
                rows=before.rows + len(profiles) + refused,
                stored=before.stored + len(profiles),
                refused=before.refused + refused,
                digest=digest,
                problems=kept,
            )
            items = [(each.line, each.path, each.value, each.reason) for each in kept]
            told = to_json({"digest": digest, "items": items})
            values = (now_ms, after.rows, after.stored, after.refused, told, job.id)
            cursor.execute(_ADVANCE, values)
        return after

    def end_import(self, id: str, *, done: bool, by: str = "") -> ImportJob:
        """Note that an import came to its end, or was stopped before it."""
        with self._database.write() as connection:
            cursor, now_ms = cursor_of(connection), self._now_ms()
            cursor.execute(_END if done else _STOP, (now_ms, id))
            job = _find(cursor, id)
            assert job is not None
            if by:
                detail = {"rows": job.rows, "stored": job.stored, "refused": job.refused}
                append(cursor, now_ms, by, f"import.{job.state}", id, detail)
        return job


def _find(cursor: Any, id: str) -> ImportJob | None:
    row = cursor.execute(_FIND, (id,)).fetchone()
    if row is None:
        return None
    name, state, started_ms, changed_ms, rows, stored, refused, told = row
    more = from_json(told)
    return ImportJob(
        id=name,
        state=state,
        started_ms=started_ms,
        changed_ms=changed_ms,
        rows=rows,
        stored=stored,
        refused=refused,
        digest=more["digest"],
        problems=tuple(RowProblem(*each) for each in more["items"]),
    )
