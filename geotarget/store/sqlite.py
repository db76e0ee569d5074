"""One SQLite file, opened so that a commit is a promise: engine, pragmas, turns, errors.

SQLite has one writer at a time. Inside this process writers queue at a `Turnstile`, in the order
of their arrival, so that the sender's marks never starve behind the ingest; between processes
SQLite's own lock decides, for at most `busy_s`. Writers share one connection, whose page cache
stays warm (SQLite forgets it when another connection writes); readers take one each from a pool
and never wait for a writer, nor a writer for them (write-ahead log).

``synchronous=FULL``: one fsync a commit. Without it a power cut loses every commit since the last
checkpoint. A process that is killed loses nothing that was committed in either case.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.pool import QueuePool

from geotarget.errors import StoreError
from geotarget.store.database import CURSORS, Database, Turnstile, cursor_of

log = structlog.get_logger(__name__)

SAFE_SQLITE = (3, 51, 3)
"""Older libraries can corrupt a database when two connections reset the write-ahead log at once."""

CHECKPOINT_PAGES = 8000
WAL_KEPT_BYTES = 64 << 20
WRITER_CACHE_KIB = 64 << 10
READER_CACHE_KIB = 8 << 10
READERS_KEPT, READERS_MORE = 4, 28

_FAST = 2
"""What `PRAGMA secure_delete` answers for FAST."""

_BUSY, _LOCKED, _READONLY, _IOERR, _CORRUPT, _FULL, _CANTOPEN, _NOTADB = 5, 6, 8, 10, 11, 13, 14, 26

_SAID = {
    _READONLY: "can't be written: check the permissions of the file and of its folder",
    _IOERR: "can't be read or written: check the disk",
    _CORRUPT: "is damaged: restore it from a backup",
    _FULL: "has no room left: free some space on its disk; this transaction was undone",
    _CANTOPEN: "can't be opened: check that its folder exists and that it may be written",
    _NOTADB: "is not a database: name another file",
}


@cache
def sqlite_driver() -> ModuleType:
    """Return the SQLite driver of this process: `pysqlite3` where it is installed, else Python's.

    Never open one file through both in one process: POSIX locks of one library are dropped when
    the other closes the file.
    """
    driver: ModuleType = sqlite3
    try:
        import pysqlite3  # noqa: PLC0415 - not on every platform
    except ImportError:
        pass
    else:
        driver = pysqlite3
    warn_if_old(driver)
    return driver


def warn_if_old(driver: ModuleType) -> None:
    """Say which SQLite this is, if it is one with a known risk."""
    if driver.sqlite_version_info < SAFE_SQLITE:
        log.warning(
            "old SQLite",
            version=driver.sqlite_version,
            risk="before 3.51.3 a reset of the write-ahead log can corrupt the database",
            remedy="install pysqlite3, or a Python that is linked to a newer SQLite",
        )


class SqliteDatabase(Database):
    """A SQLite file and the transactions on it. Thread-safe; several processes may share the file.

    Parameters
    ----------
    url
        As of `open_database`; a throw-away file is not flushed to the disk.
    busy_s
        How long a writer waits for its turn, seconds.
    driver
        The DB-API module; by default `sqlite_driver()`.

    Raises
    ------
    StoreError
        Its folder does not exist.
    """

    def __init__(
        self, url: sa.URL, *, busy_s: float = 10.0, driver: ModuleType | None = None
    ) -> None:
        self.path, self._scratch = _locate(url)
        self.name = self.path.name
        self.driver = driver or sqlite_driver()
        self.busy_s = busy_s
        self._turnstile = Turnstile()
        self._closed = False
        self._engine = sa.create_engine(
            sa.URL.create("sqlite", database=str(self.path)),
            hide_parameters=True,  # what is stored may not get into a log with an error
            module=self.driver,
            poolclass=QueuePool,
            pool_size=READERS_KEPT,
            max_overflow=READERS_MORE,
            pool_timeout=busy_s,
            pool_use_lifo=True,
        )
        sa.event.listen(self._engine, "connect", self._prepare)
        sa.event.listen(self._engine, "begin", _begin)
        self._writer_connection: sa.Connection | None = None

    @property
    def is_scratch(self) -> bool:
        """Whether it goes when it is closed."""
        return self._scratch is not None

    @property
    def key_folder(self) -> Path:
        """The folder of the file."""
        return self.path.parent

    def exists(self) -> bool:
        """Tell whether the file is there."""
        return self.path.exists()

    def make(self) -> None:
        """Make the file. Secrets go in here: readable to the owner only, as the files beside it."""
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Give a connection that sees one state; see `Database.read`."""
        with self._translated():
            self._check_open()
            with self._engine.connect() as connection, connection.begin():
                yield connection

    @contextmanager
    def write(self, *, alone: bool = True) -> Iterator[sa.Connection]:  # noqa: ARG002 - always
        """Give the writer's connection inside a transaction; see `Database.write`."""
        if not self._turnstile.enter(self.busy_s):
            raise StoreError(
                f"the database {self.path.name} is busy: other threads have been writing for "
                f"{self.busy_s:g} s; nothing was written, try again"
            )
        try:
            with self._translated():
                self._check_open()
                connection = self._writer()
                with connection.begin():
                    yield connection
        finally:
            if self._writer_connection is not None:
                _close_cursors(self._writer_connection)
            self._turnstile.leave()

    @contextmanager
    def overwriting(self, connection: sa.Connection) -> Iterator[None]:
        """Write zeros over what is replaced or deleted meanwhile."""
        cursor = cursor_of(connection)
        (before,) = cursor.execute("PRAGMA secure_delete").fetchone()
        cursor.execute("PRAGMA secure_delete=ON")
        try:
            yield
        finally:
            cursor.execute(f"PRAGMA secure_delete={'FAST' if before == _FAST else before}")

    def flush(self) -> None:
        """Empty the write-ahead log, which holds what was overwritten until then."""
        with closing(self.driver.connect(str(self.path))) as plain:
            plain.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Wait for the writer to finish, then close all connections; harmless when repeated."""
        entered = self._turnstile.enter(self.busy_s)
        try:
            self._closed = True
            if self._writer_connection is not None:
                self._writer_connection.close()
                self._writer_connection = None
            self._engine.dispose()
        finally:
            if entered:
                self._turnstile.leave()
        if self._scratch is not None:
            self._scratch.cleanup()

    def _writer(self) -> sa.Connection:
        """Return the connection that all writers of this process share."""
        if self._writer_connection is None:
            connection = self._engine.connect().execution_options(immediate=True)
            cursor_of(connection).execute(f"PRAGMA cache_size=-{WRITER_CACHE_KIB}")
            self._writer_connection = connection
        return self._writer_connection

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError(f"the database {self.path.name} was closed")

    def _prepare(self, connection: Any, _: object) -> None:
        """Set a new connection up; runs before anything else is asked of it."""
        connection.isolation_level = None  # transactions begin where we say
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={round(self.busy_s * 1000)}")
        self._use_wal(cursor)
        # A throw-away file need not survive a power cut.
        cursor.execute(f"PRAGMA synchronous={'FULL' if self._scratch is None else 'OFF'}")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA temp_store=MEMORY")
        cursor.execute(f"PRAGMA cache_size=-{READER_CACHE_KIB}")
        cursor.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
        cursor.execute(f"PRAGMA journal_size_limit={WAL_KEPT_BYTES}")
        cursor.close()

    def _use_wal(self, cursor: Any) -> None:
        """Switch a new file to the write-ahead log; SQLite does not queue for this by itself."""
        deadline = time.monotonic() + self.busy_s
        while cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            try:
                (mode,) = cursor.execute("PRAGMA journal_mode=WAL").fetchone()
            except self.driver.OperationalError as error:
                if _code(error) not in (_BUSY, _LOCKED) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
            else:
                if mode != "wal":
                    raise StoreError(
                        f"the folder of {self.path.name} can't hold a write-ahead log: put the "
                        "database on a local disk"
                    )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn what the driver says about the database into `StoreError`; our own bugs pass."""
        driver = self.driver
        try:
            yield
        except sa.exc.TimeoutError as error:
            raise StoreError(
                f"the database {self.path.name} is busy: all of its "
                f"{READERS_KEPT + READERS_MORE} connections were in use for {self.busy_s:g} s"
            ) from error
        except (sa.exc.DatabaseError, driver.DatabaseError) as error:
            cause = error.orig if isinstance(error, sa.exc.DatabaseError) else error
            told = cause is not None and self._tell(cause)
            if not told:
                raise
            raise StoreError(told) from error

    def _tell(self, cause: BaseException) -> str:
        """Return what is wrong with the database; empty when it is not the database's fault."""
        code = _code(cause)
        if code in (_BUSY, _LOCKED):
            return (
                f"the database {self.path.name} has been locked by another process for more than "
                f"{self.busy_s:g} s: end that process or let it finish; nothing was written, "
                "try again"
            )
        said = _SAID.get(code)
        if said is not None:
            return f"the database {self.path.name} {said} (SQLite: {cause})"
        return ""


def _close_cursors(connection: sa.Connection) -> None:
    """Close the cursors of a turn while it is still ours.

    After `executemany` a cursor holds on to its statement, which the connection keeps for the next
    one who says the same, and resets it when it is collected. That would be in the midst of the
    next thread's turn: its statement then fails to bind ("probably unsupported type").
    """
    for cursor in connection.info.pop(CURSORS, ()):
        cursor.close()


def _begin(connection: sa.Connection) -> None:
    """Begin; writers take the write lock at once: half-way it might not be had any more."""
    immediate = connection.get_execution_options().get("immediate")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _code(error: BaseException) -> int:
    """Return SQLite's primary result code."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _locate(url: sa.URL) -> tuple[Path, tempfile.TemporaryDirectory[str] | None]:
    """Return the file of a URL, and its folder if that is ours to remove."""
    if url.database in (None, "", ":memory:"):
        folder = url.query.get("folder")
        scratch = tempfile.TemporaryDirectory(
            prefix="geotarget-", dir=None if folder is None else str(folder)
        )
        return Path(scratch.name) / "scratch.db", scratch
    path = Path(str(url.database)).absolute()
    if not path.parent.is_dir():
        raise StoreError(f"the database {path.name} can't be made: {path.parent} is no folder")
    return path, None
