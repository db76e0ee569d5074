"""An import of profiles from its first byte to its last: in pieces, each of them durable.

The file is never held: what comes is cut into rows, rows are stored 500 at a time together with the
job's progress, and whoever sends the same file under the same id again goes on where it stopped.
Rows that are done are read again to compare them with the job's digest: some 2 µs each. A row
costs 25 to 40 µs in all, a piece one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import blake2b

from geotarget.errors import Conflict, InvalidInput
from geotarget.model import Profile
from geotarget.profile_files import rows_of
from geotarget.store import ImportJob, RowProblem, Store

CHUNK = 500
"""Rows in one transaction: long enough to be fast, short enough to let the pipeline in between."""


def import_profiles(
    store: Store,
    id: str,
    pieces: Iterable[bytes],
    *,
    media: str,
    by: str = "",
    advance: Callable[[ImportJob], None] = lambda _: None,
) -> ImportJob:
    """Store the profiles of a file, from where the job of this id stopped.

    Parameters
    ----------
    store
        Where to.
    id
        The job's.
    pieces
        The file from its beginning, cut anywhere. What it raises ends the import; the rows of whole
        chunks stay.
    media
        Of `profile_files.NDJSON` or `CSV`.
    by
        Who does it, for the audit log; empty keeps it out of there.
    advance
        Called after every transaction.

    Returns
    -------
    ImportJob
        Done.

    Raises
    ------
    Conflict
        The file is not the one that was begun under this id, or somebody else is sending it.
    InvalidInput
        It can't be read on.
    """
    job = store.begin_import(id, by=by)
    try:
        after = _run(store, job, pieces, media, advance)
    except Conflict:
        raise  # of no concern to the job
    except BaseException:
        store.end_import(id, done=False, by=by)
        raise
    # The same file once more, when all of it was done before, changes nothing.
    return job if after is job and job.state == "done" else store.end_import(id, done=True, by=by)


def _run(
    store: Store,
    job: ImportJob,
    pieces: Iterable[bytes],
    media: str,
    advance: Callable[[ImportJob], None],
) -> ImportJob:
    seen = 0
    digest = blake2b(digest_size=16)
    chunk = _Chunk()
    for row in rows_of(pieces, media):
        digest.update(b"%d " % len(row.content))
        digest.update(row.content)
        seen += 1
        if seen <= job.rows:
            if seen == job.rows and digest.hexdigest() != job.digest:
                raise Conflict(
                    f"the first {seen} rows are not those that were imported as {job.id!r}: "
                    "send the same file, or choose another id"
                )
            continue
        try:
            chunk.good.append(row.read())
        except InvalidInput as error:
            chunk.refused += 1
            chunk.problems += [
                RowProblem(row.line, each.path, each.value, each.reason) for each in error.problems
            ]
        if len(chunk) == CHUNK:
            job = chunk.store(store, job, digest.hexdigest())
            advance(job)
            chunk = _Chunk()
    if seen < job.rows:
        raise Conflict(
            f"{job.rows} rows were imported as {job.id!r} before, this file has {seen}: "
            "send the same file, or choose another id"
        )
    if len(chunk):
        job = chunk.store(store, job, digest.hexdigest())
        advance(job)
    return job


class _Chunk:
    """Rows that are stored together."""

    def __init__(self) -> None:
        self.good: list[tuple[Profile, bool]] = []
        self.problems: list[RowProblem] = []
        self.refused = 0

    def __len__(self) -> int:
        return len(self.good) + self.refused

    def store(self, store: Store, job: ImportJob, digest: str) -> ImportJob:
        return store.import_rows(job, self.good, self.problems, refused=self.refused, digest=digest)
