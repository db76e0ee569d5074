"""The store: one object in front of everything that must survive.

Each concern has its own module and knows nothing of the others: live states (`live`), the hot write
(`batch`), the outbox, history, traces, the catalogue (`zones`, `campaigns`), profiles, keys. What
they have in common is the database, and that every write is one transaction, all or nothing,
durable when the call returns.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType, TracebackType
from typing import Self

import sqlalchemy as sa

from geotarget.store import schema, tables, targeting_tables  # noqa: F401 - its tables belong to the metadata
from geotarget.store.audiences import Audiences
from geotarget.store.audit import Audit
from geotarget.store.batch import REACH_DAYS, BatchWriter
from geotarget.store.campaigns import Campaigns
from geotarget.store.committed import Committed
from geotarget.store.conversions import Conversions
from geotarget.store.database import Database, wall_clock_ms
from geotarget.store.device_tokens import DeviceTokens
from geotarget.store.endpoints import Endpoints
from geotarget.store.erasures import Erasures
from geotarget.store.feed import Feed
from geotarget.store.figures import Figures
from geotarget.store.footfall import Places
from geotarget.store.history import History
from geotarget.store.imports import Imports
from geotarget.store.keys import Keys
from geotarget.store.leases import Leases
from geotarget.store.live_log import LiveLog
from geotarget.store.lookback import Lookback
from geotarget.store.opening import open_database
from geotarget.store.outbox import Outbox
from geotarget.store.people import People
from geotarget.store.profiles import Profiles
from geotarget.store.replays import Replays
from geotarget.store.results import Results
from geotarget.store.retention import Retention
from geotarget.store.sealing import Seal, unlock
from geotarget.store.seeking import Seeking
from geotarget.store.tombstones import Tombstones
from geotarget.store.traces import MOST_TRACES, Traces
from geotarget.store.turn import Asking
from geotarget.store.visitors import Visitors
from geotarget.store.zones import Zones

_run = tables.run


class Store(
    BatchWriter,
    Asking,
    Outbox,
    Replays,
    History,
    Committed,
    Lookback,
    Figures,
    Traces,
    Zones,
    Campaigns,
    Endpoints,
    Results,
    Conversions,
    Audiences,
    Audit,
    Profiles,
    Erasures,
    Feed,
    Tombstones,
    People,
    Seeking,
    Imports,
    Keys,
    Leases,
    DeviceTokens,
    Places,
    Retention,
    Visitors,
):
    """Everything that must survive, in one database.

    Thread-safe; several processes may have the same database open and take turns in writing: what a
    turn has read holds until it is committed. Each device's pings should go to one of them, which
    has its state in memory. Made by `Store.open`.
    """

    def __init__(
        self,
        database: Database,
        *,
        max_dead_letters: int,
        max_traces: int,
        reach_days: int,
        log: LiveLog,
        seal: Seal,
        now_ms: Callable[[], int],
    ) -> None:
        BatchWriter.__init__(
            self,
            database,
            max_dead_letters=max_dead_letters,
            max_traces=max_traces,
            reach_days=reach_days,
            log=log,
            now_ms=now_ms,
        )
        self._seal = seal

    @classmethod
    def open(
        cls,
        url: str,
        *,
        migrate: bool = True,
        busy_s: float = 10.0,
        max_dead_letters: int = 100_000,
        max_traces: int = MOST_TRACES,
        reach_days: int = REACH_DAYS,
        log_rows: int = 128,
        log_bytes: int = 128 << 20,
        secret_key: str = "",
        now_ms: Callable[[], int] = wall_clock_ms,
        driver: ModuleType | None = None,
    ) -> Self:
        """Open a database.

        Parameters
        ----------
        url
            As of `opening.open_database`: ``sqlite:///path``, ``postgresql://user@host/name``;
            ``sqlite://`` is a throw-away one that goes when it is closed.
        migrate
            Bring it to the version of this code; make it if it does not exist.
        busy_s
            How long a write waits for other writers, seconds.
        max_dead_letters
            How many refused pings are kept; the oldest go first.
        max_traces
            How many traces are kept; the oldest go first.
        reach_days
            For how many days it is kept how many devices were where; 0 keeps nothing.
        log_rows, log_bytes
            How long the log of device states may grow before it is folded into its table.
        secret_key
            What encrypts the secrets of endpoints (`sealing.unlock`); empty: what ``secret.key``
            beside the database holds, which is made with the database.
        now_ms
            The clock for what is dated here (changes, keys, runs).
        driver
            The DB-API module; by default the best SQLite there is.

        Raises
        ------
        StoreError
            It can't be opened, is newer than the code, must be migrated first, or its secrets are
            encrypted under another key.
        SettingsError
            `secret_key` is none.

        Examples
        --------
        >>> with Store.open("sqlite://") as store:
        ...     store.outbox_size()
        (0, None)
        """
        database = open_database(url, busy_s=busy_s, driver=driver)
        try:
            (schema.upgrade if migrate else schema.check)(database)
            seal = unlock(database, secret_key)
        except BaseException:
            database.close()
            raise
        return cls(
            database,
            max_dead_letters=max_dead_letters,
            max_traces=max_traces,
            reach_days=reach_days,
            log=LiveLog(max_rows=log_rows, max_bytes=log_bytes),
            seal=seal,
            now_ms=now_ms,
        )

    def schema_revision(self) -> str:
        """Return the revision of the database's tables."""
        return schema.revision_of(self._database) or ""

    def close(self) -> None:
        """Close all connections; harmless when repeated."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def start_run(self, role: str) -> bool:
        """Note that a process began to work.

        Parameters
        ----------
        role
            Such as ``ingest``.

        Returns
        -------
        bool
            Whether the last one of this role ended cleanly, or there was none.
        """
        with self._database.write() as connection:
            clean = connection.execute(
                sa.select(_run.c.clean).where(_run.c.role == role)
            ).scalar_one_or_none()
            started = {"clean": False, "started_ms": self._now_ms(), "ended_ms": None}
            if clean is None:
                connection.execute(sa.insert(_run).values(role=role, **started))
            else:
                connection.execute(sa.update(_run).where(_run.c.role == role).values(started))
        return clean is None or clean

    def end_run(self, role: str) -> None:
        """Note that the process of this role has done all that it began."""
        with self._database.write() as connection:
            connection.execute(
                sa.update(_run)
                .where(_run.c.role == role)
                .values(clean=True, ended_ms=self._now_ms())
            )
