"""What the store asks of a database: transactions that see one state, and writers one by one.

`sqlite` is a file beside the process, `postgres` a server that many processes share. Statements
are written once, in the SQL that both understand; `postgres_sql` says what is spelled otherwise.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from geotarget.store.notices import Deaf, Listening

CURSORS = "cursors of this turn"
MAKE_CURSOR = "makes cursors"
"""What a database notes at its connections."""


def wall_clock_ms() -> int:
    """Return the time of day in Unix milliseconds."""
    return time.time_ns() // 1_000_000


class Database(ABC):
    """A database and the transactions on it. Thread-safe; several processes may share it."""

    name: str
    """What messages call it; never with a password."""

    busy_s: float
    """How long a writer waits for its turn, seconds."""

    @property
    def is_scratch(self) -> bool:
        """Whether it goes when it is closed."""
        return False

    @property
    def key_folder(self) -> Path | None:
        """The folder beside it where the key of its secrets may lie; None means in none."""
        return None

    @abstractmethod
    def exists(self) -> bool:
        """Tell whether it is there at all; tables need not be."""

    @abstractmethod
    def make(self) -> None:
        """Make it, empty, where it does not exist."""

    @abstractmethod
    def read(self) -> AbstractContextManager[sa.Connection]:
        """Give a connection that sees one state of the database throughout.

        Raises
        ------
        StoreError
            The database can't be read.
        """

    @abstractmethod
    def write(self, *, alone: bool = True) -> AbstractContextManager[sa.Connection]:
        """Give a connection inside a transaction: all of it is committed, or nothing.

        Nobody else writes until it ends, so what is read in it holds until it is committed.

        Parameters
        ----------
        alone
            False: others may write at the same time, where the database lets them. For who holds
            the rows that he looks at (`holding`), in the order that all others keep.

        Raises
        ------
        StoreError
            The turn did not come within `busy_s`, or the commit failed.
        """

    @property
    def shares_turns(self) -> bool:
        """Whether turns of workers with slots of their own run beside each other."""
        return False

    def turn(self) -> AbstractContextManager[sa.Connection]:
        """Give a connection as `write` does, beside other turns where the database lets them.

        Whoever writes otherwise waits for all of them, and they wait for him. What turns may do to
        each other is held by `turn_locks`.

        Raises
        ------
        StoreError
            As of `write`.
        """
        return self.write()

    @contextmanager
    def overwriting(self, connection: sa.Connection) -> Iterator[None]:  # noqa: ARG002 - for those that can
        """Let what is replaced or deleted meanwhile leave no bytes behind, where that can be."""
        yield

    def flush(self) -> None:  # noqa: B027 - most have nothing to do
        """Empty what holds older states of the database, where there is such a thing."""

    def listen(self, channels: Iterable[str], heard: Callable[[str], None]) -> Listening:  # noqa: ARG002
        """Call `heard` with a channel whenever `notices.notify` was committed there, till stopped.

        Also after every time that the connection was away. Most databases have no notices: whoever
        listens goes on looking now and then all the same.
        """
        return Deaf()

    @abstractmethod
    def close(self) -> None:
        """Wait for the writer to finish, then close all connections; harmless when repeated."""


def cursor_of(connection: sa.Connection) -> Any:
    """Return a cursor of the driver, inside SQLAlchemy's transaction: a third of the cost a row."""
    make = connection.info.get(MAKE_CURSOR)
    if make is not None:
        return make()
    driver_connection = connection.connection.driver_connection
    assert driver_connection is not None
    cursor = driver_connection.cursor()
    if connection.get_execution_options().get("immediate"):
        connection.info.setdefault(CURSORS, []).append(cursor)
    return cursor


class Turnstile:
    """A lock that lets threads in strictly in the order of their arrival.

    `threading.Lock` lets whoever comes by first have it: a busy thread that releases and takes it
    again wins nearly always, and the others wait for seconds.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._taken = False
        self._queue: deque[threading.Event] = deque()

    def enter(self, timeout_s: float) -> bool:
        """Wait for the turn; False when it did not come within `timeout_s` seconds."""
        with self._mutex:
            if not self._taken:
                self._taken = True
                return True
            turn = threading.Event()
            self._queue.append(turn)
        if turn.wait(timeout_s):
            return True
        with self._mutex:
            if turn.is_set():  # it came just now
                return True
            self._queue.remove(turn)
            return False

    def leave(self) -> None:
        """Let the next one in."""
        with self._mutex:
            if self._queue:
                self._queue.popleft().set()
            else:
                self._taken = False
