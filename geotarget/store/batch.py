"""The hot write: everything that one batch of pings changes, in one transaction.

What exists already (a batch that came a second time) is left as it is and counts nowhere: neither
in the counters nor in caps, budgets, behaviour or reports. `turn` is the way to ask, decide and
write in one transaction; `write_batch` is a turn that asks nothing.

A batch of 5,000 pings costs 0.4 to 1.7 µs of CPU a ping for the states. Each membership with its
transition costs 35 µs more, of which half is the behaviour of its profile; a refused decision 20 µs
(5 of them for its tally); a fired one with its delivery and all that it counts in 65 µs. A third of
that is the pages that they touch (`benchmarks/store.py`, two cores under load).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from geotarget.model import BatchWrite, MemberRow
from geotarget.store import live, live_log, traces
from geotarget.store.database import Database, wall_clock_ms
from geotarget.store.slot_logs import SlotLogs
from geotarget.store.turn import StateLog, Turn

SWEEP_EVERY_MS = 3_600_000
"""How often a batch drops traces and footfall that were kept long enough, on its way."""

REACH_DAYS = 30
"""For how long footfall is kept, unless somebody says otherwise."""


class BatchWriter:
    """Writes batches and gives the live state back after a restart.

    Parameters
    ----------
    database
        Where to.
    max_dead_letters
        How many are kept; the oldest go first.
    log
        The log of live states.
    max_traces
        How many are kept; the oldest go first.
    reach_days
        How long footfall is kept; 0 keeps nothing.
    now_ms
        The clock.
    """

    def __init__(
        self,
        database: Database,
        *,
        max_dead_letters: int,
        log: live_log.LiveLog,
        max_traces: int = traces.MOST_TRACES,
        reach_days: int = REACH_DAYS,
        now_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        self._database = database
        self._max_dead_letters = max_dead_letters
        self._max_traces = max_traces
        self._reach_days = reach_days
        self._log: StateLog = log
        self._shared = False
        self._now_ms = now_ms
        self._swept_ms = 0

    def write_slots(self, logs: SlotLogs) -> None:
        """Write batches into the logs of slots from now on; asked once, before the first batch."""
        self._log = logs
        self._shared = self._database.shares_turns

    def load_devices(
        self, *, width: int | None = None, slots: Sequence[int] | None = None
    ) -> tuple[list[str], bytes]:
        """Return the last committed states of devices.

        Parameters
        ----------
        width
            Bytes of a state as the caller knows it: shorter ones, written by an earlier version,
            are filled up with zeros. None takes them as they are.
        slots
            Of the devices of these slots only; None means of all.

        Returns
        -------
        ids : list of str
        states : bytes
            Concatenated, of one width.

        Raises
        ------
        StoreError
            States are of different widths and no `width` was given, or longer than it.
        """
        with self._database.read() as connection:
            return live.load_devices(connection, width, slots)

    def load_members(self, *, slots: Sequence[int] | None = None) -> list[MemberRow]:
        """Return the last committed memberships, of these slots only, in no particular order."""
        with self._database.read() as connection:
            return live.load_members(connection, slots)

    def device_state(self, device: str) -> bytes | None:
        """Return the last committed state of one device; None when it is not known.

        Some milliseconds: the log is read from its end until the device comes up.
        """
        with self._database.read() as connection:
            return live.find_device(connection, device)

    def members_of(self, device: str) -> list[MemberRow]:
        """Return the last committed memberships of one device, in the order of the zones' ids."""
        with self._database.read() as connection:
            return live.find_members(connection, device)

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """Give a batch its turn: it may ask, and write once, and what it was told stays true.

        Everything is committed when the block ends, and nothing when it raises.

        Raises
        ------
        StoreError
            The turn or the commit could not be had. Nothing is written: the same batch may be
            given again.
        """
        database = self._database
        with database.turn() if self._shared else database.write() as connection:
            now_ms = self._now_ms()
            sweeps = now_ms - self._swept_ms >= SWEEP_EVERY_MS
            turn = Turn(
                connection,
                log=self._log,
                max_dead_letters=self._max_dead_letters,
                max_traces=self._max_traces,
                reach_days=self._reach_days,
                now_ms=now_ms,
                sweeps=sweeps,
                shared=self._shared,
            )
            yield turn
        if turn.appended is not None:
            turn.appended()
            if sweeps:
                self._swept_ms = now_ms

    def write_batch(self, batch: BatchWrite) -> None:
        """Commit everything that a batch changes, or nothing.

        Parameters
        ----------
        batch
            What exists already (same id; for deliveries the same id and endpoint) is left alone.
            A membership that is both put and removed is put.

        Raises
        ------
        StoreError
            The commit could not be had. Nothing is written: the same batch may be given again.
        ValueError
            The device states are of no common width.
        """
        with self.turn() as turn:
            turn.write(batch)
