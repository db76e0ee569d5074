"""One batch's turn: it reads what the gates ask, is decided, and is written, in one transaction.

The writers' lock is taken before the first question. Nobody who writes otherwise can do so until
the turn ends, and turns of other workers (PostgreSQL only) hold what they could do to each other
(`turn_locks`). So what a gate has seen still holds when its decision is committed: budgets and caps
are exact with any number of processes, and a consent that was withdrawn before the commit is obeyed
by it. The price is that deciding happens while others wait to write: some milliseconds a batch.

Every question is one query, whatever its size: keys go in as one JSON text and are joined inside
SQLite, 2 to 4 µs a key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

import sqlalchemy as sa

from geotarget.model import Arm, BatchWrite, Behaviour, Fired, Profile, Spent
from geotarget.store import appending, counting, footfall, traces, turn_locks
from geotarget.store.database import Database, cursor_of
from geotarget.store.documents import to_json
from geotarget.store.profiles import find_profiles
from geotarget.store.tombstones import LAST_ERASURE

_FIRED = """
SELECT campaign, profile, last_fired_ms, fired
FROM json_each(?) AS asked CROSS JOIN campaign_profile
WHERE campaign = json_extract(asked.value, '$[0]') AND profile = json_extract(asked.value, '$[1]')
"""
_SPENT = """
SELECT campaign, day, offers, cost_micros FROM json_each(?) AS asked CROSS JOIN budget_spent
WHERE campaign = json_extract(asked.value, '$[0]') AND day = json_extract(asked.value, '$[1]')
"""
_ARMS = """
SELECT campaign, variant, sent, converted FROM json_each(?) AS asked CROSS JOIN arm
ON campaign = asked.value
"""
_DECIDED = "SELECT id FROM decision WHERE id IN (SELECT value FROM json_each(?))"


class StateLog(Protocol):
    """Where a batch's states go: `LiveLog`, or the logs of slots."""

    def append(self, connection: sa.Connection, batch: BatchWrite) -> Any:
        """Write them, inside a write transaction; return what to settle once it is committed."""
        ...

    def settle(self, done: Any) -> None:
        """Remember what was written."""
        ...


class Questions:
    """What the gates ask, each one query whatever its size."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor

    def profiles_of(self, devices: Sequence[str]) -> dict[str, Profile]:
        """Return the profile of each device; an empty one where nothing is stored."""
        return find_profiles(self._cursor, devices)

    def behaviour_of(self, profiles: Sequence[str]) -> dict[str, Behaviour]:
        """Return what each profile did; the values are the caller's to change."""
        found = counting.read_behaviour(self._cursor, profiles)
        return {profile: counting.to_behaviour(found.get(profile)) for profile in profiles}

    def last_fired(self, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Fired]:
        """Return when (campaign, profile) fired last and how often; not those that never did."""
        if not pairs:
            return {}
        rows = self._cursor.execute(_FIRED, (to_json(pairs),))
        return {
            (campaign, profile): Fired(last_ms, times) for campaign, profile, last_ms, times in rows
        }

    def spent(self, budgets: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Spent]:
        """Return what campaigns spent on days of their budgets; not where it was nothing.

        Parameters
        ----------
        budgets
            (campaign, day); the empty day is all of it.
        """
        if not budgets:
            return {}
        rows = self._cursor.execute(_SPENT, (to_json(budgets),))
        return {(campaign, day): Spent(offers, cost) for campaign, day, offers, cost in rows}

    def arms(self, campaigns: Sequence[str]) -> dict[tuple[str, str], Arm]:
        """Return what the variants of campaigns came to, by (campaign, variant)."""
        if not campaigns:
            return {}
        rows = self._cursor.execute(_ARMS, (to_json(campaigns),))
        return {
            (campaign, variant): Arm(sent, converted) for campaign, variant, sent, converted in rows
        }


class Asking:
    """Answers the gates outside of a turn, for who only wants to know.

    Parameters
    ----------
    database
        Where it is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def questions(self) -> Iterator[Questions]:
        """Answer questions as of one instant; what they say may have changed right after it."""
        with self._database.read() as connection:
            yield Questions(cursor_of(connection))


class Turn(Questions):
    """The questions and the one write of a batch; made by `Store.turn`.

    Parameters
    ----------
    connection
        Inside a write transaction.
    log
        The log of live states, or those of the slots that this process owns.
    max_dead_letters, max_traces
        How many are kept; the oldest go first.
    reach_days
        For how many days footfall is kept; 0 keeps nothing.
    now_ms
        When that is, Unix milliseconds.
    sweeps
        Whether the write is to drop traces and footfall that were kept long enough.
    shared
        Whether other turns run at the same time, on devices of other slots.
    """

    def __init__(
        self,
        connection: sa.Connection,
        *,
        log: StateLog,
        max_dead_letters: int,
        max_traces: int,
        reach_days: int,
        now_ms: int,
        sweeps: bool,
        shared: bool = False,
    ) -> None:
        super().__init__(cursor_of(connection))
        self._connection = connection
        self._log = log
        self._max_dead_letters = max_dead_letters
        self._max_traces = max_traces
        self._reach_days = reach_days
        self._now_ms = now_ms
        self._sweeps = sweeps
        self._shared = shared
        self._looked_at: set[str] = set()
        self._documents: dict[str, bytes | None] = {}
        self.appended: Callable[[], None] | None = None
        """Lets the log believe what this turn did to it; to be called after the commit."""

    # -- questions --------------------------------------------------------------------------

    def profiles_of(self, devices: Sequence[str]) -> dict[str, Profile]:
        """Return the profile of each device; an empty one where nothing is stored."""
        found = super().profiles_of(devices)
        self._hold(each.id for each in found.values())
        return found

    def behaviour_of(self, profiles: Sequence[str]) -> dict[str, Behaviour]:
        """Return what each profile did; the values are the caller's to change."""
        self._hold(profiles)
        unread = [each for each in profiles if each not in self._documents]
        found = counting.read_behaviour(self._cursor, unread)
        self._documents |= {profile: found.get(profile) for profile in unread}
        return {profile: counting.to_behaviour(self._documents[profile]) for profile in profiles}

    def spent(self, budgets: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Spent]:
        """Return what campaigns spent on days of their budgets; see `Questions.spent`."""
        if self._shared and budgets:
            turn_locks.hold_budgets(self._cursor, (campaign for campaign, _ in budgets))
        return super().spent(budgets)

    def decided(self, decisions: Sequence[str]) -> set[str]:
        """Return which of these decisions are there already, by their ids."""
        if not decisions:
            return set()
        return {id_ for (id_,) in self._cursor.execute(_DECIDED, (to_json(decisions),))}

    def last_erasure(self) -> int:
        """Return the number of the last erasure; 0 when nobody was ever erased.

        Whoever decided upon state in memory that does not follow it must not write.
        """
        (last,) = self._cursor.execute(f"SELECT {LAST_ERASURE}").fetchone()
        return int(last)

    # -- the write --------------------------------------------------------------------------

    def write(self, batch: BatchWrite) -> None:
        """Write everything that a batch changes; it counts when the turn ends without an error.

        Parameters
        ----------
        batch
            What exists already (same id; for deliveries the same id and endpoint) is left alone.
            A membership that is both put and removed is put.

        Raises
        ------
        ValueError
            The device states are of no common width, or this turn has written before.
        """
        if self.appended is not None:
            raise ValueError("a turn writes one batch")
        cursor, changes = self._cursor, Counter[str]()
        self._hold(_whose(batch))
        self.appended = partial(self._log.settle, self._log.append(self._connection, batch))
        if self._shared and (_meets_others(batch) or self._sweeps):
            turn_locks.hold_history(cursor)
        if batch.transitions or batch.decisions or batch.deliveries:
            transition, decision, delivery = appending.last_seqs(cursor)
            moved = appending.write_transitions(cursor, batch.transitions, transition, changes)
            decided = appending.write_decisions(cursor, batch.decisions, decision, changes)
            appending.write_deliveries(cursor, batch.deliveries, delivery, changes)
            counting.count_decisions(cursor, decided)
            counting.fold(
                cursor,
                moved,
                decided,
                profiles=batch.profiles,
                known=self._documents,
                now_ms=self._now_ms,
            )
        if self._reach_days:
            footfall.write(cursor, batch.footfall)
        if batch.rejected:
            appending.write_dead_letters(cursor, batch.rejected, self._max_dead_letters, changes)
        if batch.traces:
            traces.write(cursor, batch.traces, recorded_ms=self._now_ms, most=self._max_traces)
        if self._sweeps:
            traces.drop_old(cursor, self._now_ms)
            footfall.drop_old(cursor, self._now_ms, self._reach_days)
        appending.count(cursor, changes)

    def _hold(self, profiles: Iterable[str]) -> None:
        """Hold those that other turns could decide about as well; each is looked at once."""
        if not self._shared:
            return
        new = set(profiles) - self._looked_at
        if new:
            held = turn_locks.hold_profiles(self._cursor, new, now_ms=self._now_ms)
            self._documents |= held
            self._looked_at |= new


def _whose(batch: BatchWrite) -> Iterator[str]:
    """Give the profiles whose behaviour a batch changes."""
    for transition in batch.transitions:
        yield batch.profiles.get(transition.device, transition.device)
    for decision in batch.decisions:
        yield decision.profile


def _meets_others(batch: BatchWrite) -> bool:
    """Tell whether a batch writes more than the states of its own devices."""
    return bool(
        batch.transitions
        or batch.decisions
        or batch.deliveries
        or batch.rejected
        or batch.traces
        or batch.footfall
    )
