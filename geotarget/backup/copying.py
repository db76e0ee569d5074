"""Copying a SQLite database while others write to it, and checking what came of it.

SQLite's backup API begins anew whenever another process commits between two of its steps, so on a
busy node it would never end. Here the source stays inside one read transaction: all steps see the
state of its first moment, nobody who writes waits for it, and the price is that the write-ahead
log can't be emptied meanwhile and grows by what is written. Every 32 MiB what was copied is
flushed, so that the commits of the node never wait behind one great flush at the end.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from geotarget.errors import InvalidInput, Problem, StoreError
from geotarget.store import sqlite_driver
from geotarget.store.audit import Audit, AuditReport
from geotarget.store.opening import open_database

STEP_PAGES = 1024
FLUSH_EVERY_STEPS = 8
BUSY_MS = 10_000
MOST_FAULTS = 5

Progress = Callable[[int, int], None]
"""Is told how many of how many pages are copied."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a copy holds.

    Parameters
    ----------
    bytes
        Its size.
    revision
        Of its tables.
    counts
        How many transitions, deliveries that wait and so on, as the database counts them.
    audit
        How its audit log stands; None where the tables are of another version than this code.
    """

    bytes: int
    revision: str
    counts: Mapping[str, int]
    audit: AuditReport | None = None


def database_file(url: str) -> Path:
    """Return the file of a database's URL.

    Raises
    ------
    InvalidInput
        It is none of SQLite: says which tool to take instead.

    Examples
    --------
    >>> database_file("sqlite:////var/lib/geotarget/geotarget.db").name
    'geotarget.db'
    """
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        reason = "can't be read: write sqlite:///path/to/geotarget.db"
        raise InvalidInput(Problem("the database's URL", "", reason)) from None
    kind = parsed.get_backend_name()
    if kind == "postgresql":
        reason = (
            "is one of PostgreSQL, which has its own tools: `pg_dump --format=custom` and "
            "`pg_restore`, or base backups with archived logs; docs/backup.md has the commands"
        )
        raise InvalidInput(Problem("the database", "", reason))
    if kind != "sqlite" or parsed.database in (None, "", ":memory:"):
        raise InvalidInput(Problem("the database", "", "is no file: write sqlite:///path"))
    return Path(str(parsed.database)).absolute()


def empty_beside(file: Path) -> Path:
    """Make an empty file beside the wanted one, readable to its owner only.

    Raises
    ------
    StoreError
        The folder can't be written.
    """
    try:
        handle, name = tempfile.mkstemp(prefix=f".{file.name}.", suffix=".partial", dir=file.parent)
    except OSError as error:
        raise StoreError(f"{file} can't be written: {error.strerror}") from error
    os.close(handle)
    return Path(name)


def drop(file: Path) -> None:
    """Remove a copy that was not wanted in the end, with what lies beside it."""
    for each in (file, *logs_of(file)):
        each.unlink(missing_ok=True)


def logs_of(database: Path) -> tuple[Path, ...]:
    """Return the files that belong to a database in write-ahead mode."""
    return tuple(Path(f"{database}{end}") for end in ("-wal", "-shm"))


def copy(source: Path, target: Path, progress: Progress | None = None) -> None:
    """Copy a database as it is at this moment into an empty file, and flush it to the disk.

    Raises
    ------
    StoreError
        The one can't be read, or the other can't be written.
    """
    driver = sqlite_driver()
    # Opened before SQLite does, and closed after: to close a file drops this process's locks on it.
    handle = os.open(target, os.O_RDWR)
    steps = 0

    def note(_status: int, remaining: int, total: int) -> None:
        nonlocal steps
        steps += 1
        if steps % FLUSH_EVERY_STEPS == 0:
            os.fsync(handle)
        if progress is not None:
            progress(total - remaining, total)

    try:
        with (
            _told(source),
            closing(driver.connect(str(source), isolation_level=None)) as reading,
            closing(driver.connect(str(target), isolation_level=None)) as writing,
        ):
            reading.execute(f"PRAGMA busy_timeout={BUSY_MS}")
            reading.execute("PRAGMA query_only=ON")
            reading.execute("BEGIN")
            reading.execute("SELECT count(*) FROM sqlite_master").fetchone()  # from here on
            # The file is nothing until it is whole: no journal, and it is flushed here.
            writing.execute("PRAGMA journal_mode=OFF")
            writing.execute("PRAGMA synchronous=OFF")
            reading.backup(writing, pages=STEP_PAGES, progress=note)
            reading.execute("ROLLBACK")
        os.fsync(handle)
    finally:
        os.close(handle)


def examine(file: Path, name: str) -> Contents:
    """Check every page and index of a copy, and say what it holds.

    Parameters
    ----------
    file
        A copy that nobody writes to.
    name
        What messages call it.

    Raises
    ------
    StoreError
        It is damaged, or no database of geotarget.
    """
    with _told(Path(name)), closing(_open(file)) as connection:
        faults = [each for (each,) in connection.execute(f"PRAGMA integrity_check({MOST_FAULTS})")]
        if faults != ["ok"]:
            raise StoreError(f"{name} is damaged: {'; '.join(faults)}")
        tables = {each for (each,) in connection.execute("SELECT name FROM sqlite_master")}
        if not {"alembic_version", "counter"} <= tables:
            raise StoreError(f"{name} is no database of geotarget")
        ((revision,),) = connection.execute("SELECT version_num FROM alembic_version").fetchall()
        counts = dict(connection.execute("SELECT name, value FROM counter").fetchall())
    return Contents(file.stat().st_size, revision, counts)


def audit_of(file: Path) -> AuditReport:
    """Walk the audit log of a copy whose tables are of this code's version."""
    with closing(open_database(f"sqlite:///{file}")) as database:
        return Audit(database).verify_audit()


def settle(file: Path) -> None:
    """Make a copy complete in its one file, without a log beside it, and flush it.

    Raises
    ------
    StoreError
        It can't be written.
    """
    with _told(file), closing(_open(file)) as connection:
        ((mode,),) = connection.execute("PRAGMA journal_mode=DELETE").fetchall()
    if mode != "delete":
        raise StoreError(f"{file.name} is in use by another process")
    flush(file)


def flush(path: Path) -> None:
    """See to it that a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def copy_key(source: Path, target: Path) -> None:
    """Copy a key, readable to its owner only, in one step: nobody sees half of it."""
    partial = target.with_name(f".{target.name}.partial")
    handle = os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(handle, "wb") as opened:
            opened.write(source.read_bytes())
            opened.flush()
            os.fsync(opened.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    flush(target.parent)


def _open(file: Path) -> Any:
    connection = sqlite_driver().connect(str(file), isolation_level=None)
    connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
    return connection


@contextmanager
def _told(file: Path) -> Iterator[None]:
    """Turn what the driver and the system say into `StoreError`."""
    try:
        yield
    except sqlite_driver().DatabaseError as error:
        raise StoreError(f"{file.name} can't be copied or read: SQLite says: {error}") from error
    except OSError as error:
        raise StoreError(f"{file.name} can't be copied or read: {error.strerror}") from error
