"""A connection of PostgreSQL that listens for notices; see `notices`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

import psycopg
import structlog
from psycopg import sql

from geotarget.store.notices import Listening

log = structlog.get_logger(__name__)

PATIENCE_S = 0.25
"""How often a listener looks whether it should end."""

QUIET_S = 30.0
"""After so long without a notice the connection is asked whether it still lives."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0
"""Between two attempts to connect: doubled each time."""


class PostgresListening(Listening):
    """A connection that listens, in a thread of its own, and is made again when it breaks.

    Parameters
    ----------
    connect
        Makes a connection in autocommit mode; raises `psycopg.Error` when it can't be had.
    channels
        Names of what is listened to.
    heard
        Called in that thread with a channel: after each notice, and for every channel after each
        connection, because notices may have been missed before. Must not raise.
    """

    def __init__(
        self,
        connect: Callable[[], psycopg.Connection[tuple[object, ...]]],
        channels: Iterable[str],
        heard: Callable[[str], None],
    ) -> None:
        self._connect = connect
        self._channels = tuple(channels)
        self._heard = heard
        self._stopping = threading.Event()
        self._connected = False
        self._thread = threading.Thread(target=self._run, name="notices", daemon=True)
        self._thread.start()

    @property
    def connected(self) -> bool:
        """Whether notices arrive at this moment."""
        return self._connected

    def stop(self) -> None:
        """End it and wait for its end."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._stopping.is_set():
            try:
                with self._connect() as connection:
                    for channel in self._channels:
                        connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                    self._connected = True
                    pause_s = FIRST_PAUSE_S
                    for channel in self._channels:
                        self._heard(channel)
                    self._hear(connection)
            except psycopg.Error as error:
                if self._connected:
                    log.warning("notices were cut off", error=str(error).partition("\n")[0])
            finally:
                self._connected = False
            if self._stopping.wait(pause_s):
                return
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _hear(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        """Pass notices on until it is told to stop or the connection breaks."""
        quiet_s = 0.0
        while not self._stopping.is_set():
            notices = connection.notifies(timeout=PATIENCE_S, stop_after=1)
            heard = {each.channel for each in notices}
            quiet_s = 0.0 if heard else quiet_s + PATIENCE_S
            for channel in heard:
                self._heard(channel)
            if quiet_s >= QUIET_S:
                connection.execute("SELECT")
                quiet_s = 0.0
