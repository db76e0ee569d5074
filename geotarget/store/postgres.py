"""A PostgreSQL server that many processes share: writers in turn, readers beside them.

Writers queue at an advisory lock, taken first in their transaction: what they have read still holds
when it is committed. The turns of workers with slots of their own share that lock, and hold what
they may do to each other (`turn_locks`): so caps and budgets are exact with any number of
processes, as on SQLite. Readers see one state throughout (REPEATABLE READ) and never wait.

A process that freezes inside a transaction would hold all others up. The server ends such a session
after `FROZEN_S` seconds (a worker's turn after `TURN_FROZEN_S`, because others can't take its slots
before), and that of a machine that went away after about as long: its transaction is undone, and
the next in the queue goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import errors
from psycopg.conninfo import make_conninfo
from sqlalchemy.pool import QueuePool

from geotarget.errors import StoreError
from geotarget.store.database import MAKE_CURSOR, Database, Turnstile
from geotarget.store.notices import Listening
from geotarget.store.postgres_cursor import PostgresCursor, prepare
from geotarget.store.postgres_listening import PostgresListening

OLDEST = 14
"""The oldest server that is tested against."""

FROZEN_S = 5
"""A transaction whose process says nothing for so long is undone by the server, seconds."""

TURN_FROZEN_S = 3
"""The same for turns of workers with slots: whoever is silent for that long has lost its lease."""

WRITER = 0x67656F74
"""The advisory lock of writers: `geot`."""

CONNECTIONS_KEPT, CONNECTIONS_MORE = 4, 28

_CONNECT_S = 5
_FROZEN = "idle_in_transaction_session_timeout"
_SESSION = f"-c {_FROZEN}={FROZEN_S}s -c client_encoding=UTF8 -c TimeZone=UTC -c jit=off"
_KEPT_ALIVE = {
    "keepalives_idle": 3,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": FROZEN_S * 1000,
}


class PostgresDatabase(Database):
    """One database of a PostgreSQL server.

    Parameters
    ----------
    url
        ``postgresql://user:password@host:port/database``; what libpq knows may follow as a query
        (``?sslmode=verify-full``).
    busy_s
        How long a writer waits for its turn, seconds.
    """

    def __init__(self, url: sa.URL, *, busy_s: float = 10.0) -> None:
        self.name = url.database or "geotarget"
        self.busy_s = busy_s
        self._turnstile = Turnstile()
        self._closed = False
        self._listen = partial(psycopg.connect, _conninfo(url), autocommit=True)
        self._engine = sa.create_engine(
            url.set(drivername="postgresql+psycopg"),
            hide_parameters=True,  # what is stored may not get into a log with an error
            poolclass=QueuePool,
            pool_size=CONNECTIONS_KEPT,
            max_overflow=CONNECTIONS_MORE,
            pool_timeout=busy_s,
            pool_pre_ping=True,
            pool_use_lifo=True,
            # after a lock was waited for, a question must see what its last holder committed
            isolation_level="READ COMMITTED",
            connect_args={
                "options": f"{_SESSION} -c lock_timeout={round(busy_s * 1000)}",
                "connect_timeout": _CONNECT_S,
                "application_name": "geotarget",
                **_KEPT_ALIVE,
            },
        )
        sa.event.listen(self._engine, "connect", lambda connection, _: prepare(connection))
        self._reading = self._engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )

    def exists(self) -> bool:
        """Tell whether it is there: whoever makes databases makes it, not we."""
        return True

    def make(self) -> None:
        """Do nothing: it is there."""

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Give a connection that sees one state; see `Database.read`."""
        with self._translated():
            self._check_open()
            with self._reading.connect() as connection:
                transaction = connection.begin()
                try:
                    _give_cursors(connection)
                    yield connection
                finally:
                    # whoever took more than FROZEN_S between two rows has all of them by now
                    with suppress(sa.exc.DBAPIError):
                        transaction.rollback()

    @contextmanager
    def write(self, *, alone: bool = True) -> Iterator[sa.Connection]:
        """Give a connection whose turn it is to write; see `Database.write`."""
        if not alone:
            with self._translated():
                self._check_open()
                with self._engine.connect() as connection, connection.begin():
                    _give_cursors(connection)
                    yield connection
            return
        with self._queued(sa.func.pg_advisory_xact_lock(WRITER)) as connection:
            yield connection

    @property
    def shares_turns(self) -> bool:
        """Whether turns run beside each other: they do."""
        return True

    @contextmanager
    def turn(self) -> Iterator[sa.Connection]:
        """Give a connection whose turn it is, beside those of others; see `Database.turn`."""
        frozen = sa.func.set_config(_FROZEN, f"{TURN_FROZEN_S}s", sa.true())
        with self._queued(sa.func.pg_advisory_xact_lock_shared(WRITER), frozen) as connection:
            yield connection

    @contextmanager
    def _queued(self, *first: sa.Function[Any]) -> Iterator[sa.Connection]:
        """Give a connection that has taken a lock first; threads of one process come in turn."""
        if not self._turnstile.enter(self.busy_s):
            raise StoreError(
                f"the database {self.name} is busy: other threads have been writing for "
                f"{self.busy_s:g} s; nothing was written, try again"
            )
        try:
            with self._translated():
                self._check_open()
                with self._engine.connect() as connection, connection.begin():
                    _give_cursors(connection)
                    connection.execute(sa.select(*first))
                    yield connection
        finally:
            self._turnstile.leave()

    def listen(self, channels: Iterable[str], heard: Callable[[str], None]) -> Listening:
        """Call `heard` when somebody sent a notice; see `Database.listen`."""
        return PostgresListening(self._listen, channels, heard)

    def close(self) -> None:
        """Wait for the writer to finish, then close all connections; harmless when repeated."""
        entered = self._turnstile.enter(self.busy_s)
        try:
            self._closed = True
            self._engine.dispose()
        finally:
            if entered:
                self._turnstile.leave()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError(f"the database {self.name} was closed")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn what the driver says about the database into `StoreError`; our own bugs pass."""
        try:
            yield
        except sa.exc.TimeoutError as error:
            raise StoreError(
                f"the database {self.name} is busy: all of its "
                f"{CONNECTIONS_KEPT + CONNECTIONS_MORE} connections were in use for "
                f"{self.busy_s:g} s"
            ) from error
        except (sa.exc.DBAPIError, psycopg.Error) as error:
            cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
            told = self._tell(cause)
            if not told:
                raise
            raise StoreError(told) from error

    def _tell(self, cause: BaseException | None) -> str:
        """Return what is wrong with the database; empty when it is not the database's fault."""
        match cause:
            case errors.LockNotAvailable():
                return (
                    f"the database {self.name} is busy: other processes have been writing for "
                    f"{self.busy_s:g} s; nothing was written, try again"
                )
            case errors.SerializationFailure() | errors.DeadlockDetected():
                return (
                    f"the database {self.name} undid this transaction in favour of another one; "
                    "nothing was written, try again"
                )
            case errors.IdleInTransactionSessionTimeout():
                return (
                    f"the database {self.name} undid a transaction that had said nothing for "
                    "seconds; nothing was written, try again"
                )
            case errors.DiskFull() | errors.OutOfMemory():
                return f"the database {self.name} has no room left: {_first_line(cause)}"
            case errors.ReadOnlySqlTransaction() | errors.FeatureNotSupported():
                return (  # the second one is how a replica refuses to begin
                    f"the database {self.name} can't be written: its server is a replica, or set "
                    f"to read only ({_first_line(cause)})"
                )
            case errors.InsufficientPrivilege():
                return f"the database {self.name} refuses this user: {_first_line(cause)}"
            case psycopg.OperationalError() | psycopg.InterfaceError():
                return (
                    f"the database {self.name} can't be reached: {_first_line(cause)}; what was "
                    "not committed is undone, try again"
                )
        return ""


def _give_cursors(connection: sa.Connection) -> None:
    driver_connection = connection.connection.driver_connection
    assert driver_connection is not None
    connection.info[MAKE_CURSOR] = lambda: PostgresCursor(driver_connection)


def _conninfo(url: sa.URL) -> str:
    try:
        return make_conninfo(
            url.set(drivername="postgresql").render_as_string(hide_password=False),
            connect_timeout=_CONNECT_S,
            application_name="geotarget notices",
            **_KEPT_ALIVE,
        )
    except psycopg.ProgrammingError as error:
        raise StoreError(f"the database's URL can't be used: {_first_line(error)}") from None


def _first_line(cause: BaseException) -> str:
    """Return what libpq says, without its hints; of several servers what each of them said."""
    first, *more = str(cause).strip().split("\n")
    return " ".join([first, *more]) if first.endswith(":") else first
