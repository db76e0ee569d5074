"""What was kept long enough goes: history, deliveries, conversions, behaviour that nobody adds to.

Sums stay (tallies, exposures, budgets, arms, and the totals since the beginning), so reports answer
as before. What goes is the rows about single people.

SQLite has one writer, so nothing is dropped in one go: `drop_old` is a generator that commits a
small piece with each step, and whoever drives it lets the others write in between. A step of
`ROWS_AT_ONCE` rows holds the write lock for 1 ms (transitions, decisions) or 3 (deliveries with
body and attempts); 45 were the most among 1,200, where a checkpoint of the log fell into it. A
transition costs 5 µs, a decision 6, a delivery 14. What there is to do is found without the lock.
Steps are independent of each other: a process that is killed between two has dropped what it has
dropped, and the next one goes on.

Rows of history lie in stretches of 4,096, and `span` says between which instants those of a stretch
lie: only the stretches that hold something too old are looked at, oldest first, and `span` is
narrowed when one is done. Numbers are never given twice, for cursors and attempts go by them: when
the last row of a list goes, an empty stretch after it keeps the numbering.

On PostgreSQL transitions, decisions and deliveries lie in a partition for each day in UTC
(`partitions`), and go when their day is over for long enough: as a whole, in one step, which is no
row to delete and none to clean up after. What of it has to stay is kept; what lies in no day goes
by rows. So there they are kept for up to a day longer: rows that went by the hour would leave no
day to drop.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

from geotarget.store import partitions
from geotarget.store.appending import count
from geotarget.store.database import Database, cursor_of, wall_clock_ms
from geotarget.store.documents import to_json
from geotarget.store.event_days import DAY_MS, delete, within
from geotarget.store.holding import hold
from geotarget.store.tables import STRETCH_BITS

ROWS_AT_ONCE = 250
"""Most rows that one transaction drops."""

LOOKED_AT_ONCE = 2_000
"""Profiles whose last change is looked at in one read."""

_EARLIEST, _LATEST = -(2**63), 2**63 - 1

_OLD_STRETCHES = "SELECT stretch FROM span WHERE list = ? AND min_ms < ? ORDER BY stretch"
_NUMBERED = "seq IN (SELECT CAST(value AS BIGINT) FROM json_each(?))"
_ENDED = f"SELECT seq, state FROM delivery WHERE {_NUMBERED} AND {{}} {{}}"  # noqa: S608 - our own text
_NARROW = """
UPDATE span SET (min_ms, max_ms) = (
  SELECT coalesce(min({time}), ?), coalesce(max({time}), ?) FROM {table}
  WHERE seq >= ? AND seq < ?)
WHERE list = '{table}' AND stretch = ?
"""
_DROP_EMPTY = """
DELETE FROM span WHERE list = ?1 AND stretch = ?2 AND min_ms > max_ms
  AND stretch < (SELECT max(stretch) FROM span WHERE list = ?1)
"""
_KEEP_NUMBERING = """
INSERT INTO span (list, stretch, min_ms, max_ms) VALUES (?, ?, ?, ?)
ON CONFLICT (list, stretch) DO NOTHING
"""
_OLDEST_CONVERSIONS = "SELECT seq, received_ms FROM conversion ORDER BY seq LIMIT ?"
_CHANGES = """
SELECT rowid, profile, changed_ms FROM behaviour WHERE rowid > ? ORDER BY rowid LIMIT ?
"""
_OLD_TOMBSTONES = """
DELETE FROM tombstone WHERE digest IN (SELECT digest FROM tombstone WHERE erased_ms < ? LIMIT ?)
"""
_FORGET = """
DELETE FROM behaviour WHERE changed_ms < ? AND profile IN (SELECT value FROM json_each(?))
"""


@dataclass(frozen=True, slots=True)
class Keep:
    """For how many days what is kept; 0 keeps it for good.

    Parameters
    ----------
    history
        Transitions by when they happened, decisions by when they were made.
    deliveries
        After they ended, with bodies and attempts; what waits stays.
    conversions
        After they were reported.
    behaviour
        After something was added to it last.
    tombstones
        After the erasure.
    """

    history: int = 0
    deliveries: int = 0
    conversions: int = 0
    behaviour: int = 0
    tombstones: int = 0


@dataclass(frozen=True, slots=True)
class Dropped:
    """What one step dropped: so many rows of a list, committed."""

    list: str
    rows: int


@dataclass(frozen=True, slots=True)
class _Old:
    """Which rows of a history table are too old: `where` has one parameter, the instant."""

    table: str
    time: str
    where: str
    columns: str = "seq"


_TRANSITIONS = _Old("transition", "ts_ms", "ts_ms < ?")
_DECISIONS = _Old("decision", "decided_ms", "decided_ms < ?")
_DELIVERIES = _Old(
    "delivery",
    "created_ms",
    "state <> 'pending' AND max(created_ms, finished_ms) < ?",
    "seq, event_day",
)


class Retention:
    """Drops what was kept long enough.

    Parameters
    ----------
    database
        Where it is.
    now_ms
        The clock.
    """

    def __init__(self, database: Database, *, now_ms: Callable[[], int] = wall_clock_ms) -> None:
        self._database = database
        self._now_ms = now_ms

    def drop_old(self, keep: Keep, *, rows_at_once: int = ROWS_AT_ONCE) -> Iterator[Dropped]:
        """Drop what was kept long enough by now, one small transaction a step.

        Parameters
        ----------
        keep
            How long what is kept.
        rows_at_once
            Most rows of one transaction.

        Yields
        ------
        Dropped
            After each transaction that dropped something.

        Raises
        ------
        StoreError
            The database can't be read or written; the steps before stand.
        """
        now_ms = self._now_ms()
        divided = partitions.divides(self._database)
        partitions.make_days(self._database, now_ms)
        for days, of in (
            (keep.history, _TRANSITIONS),
            (keep.history, _DECISIONS),
            (keep.deliveries, _DELIVERIES),
        ):
            if not days:
                continue
            before_ms = now_ms - days * DAY_MS
            if divided and of.table in partitions.TABLES:
                before_ms = yield from self._drop_days(of, before_ms - before_ms % DAY_MS)
            yield from self._drop_history(of, before_ms, rows_at_once)
        if keep.conversions:
            yield from self._drop_conversions(now_ms - keep.conversions * DAY_MS, rows_at_once)
        if keep.tombstones:
            yield from self._drop_tombstones(now_ms - keep.tombstones * DAY_MS, rows_at_once)
        if keep.behaviour:
            yield from self._forget(now_ms - keep.behaviour * DAY_MS, rows_at_once)

    def _drop_days(self, of: _Old, before_ms: int) -> Generator[Dropped, None, int]:
        """Drop days as a whole; return the instant before which rows are dropped one by one.

        A day that can't go as a whole is left for later: for a day. Then its rows go by themselves.
        """
        left = before_ms
        for day in partitions.days_of(self._database, of.table):
            if day.end_ms > before_ms:
                break
            rows = partitions.drop_day(self._database, day, of.where, before_ms)
            if rows:
                yield Dropped(of.table, rows)
            elif rows is None and day.end_ms > before_ms - DAY_MS:
                left = min(left, day.start_ms)
        partitions.drop_spans(self._database, of.table, left)
        return left

    def _drop_history(self, of: _Old, before_ms: int, most: int) -> Iterator[Dropped]:
        with self._database.read() as connection:
            rows = cursor_of(connection).execute(_OLD_STRETCHES, (of.table, before_ms)).fetchall()
        for (stretch,) in rows:
            first, end = stretch << STRETCH_BITS, (stretch + 1) << STRETCH_BITS
            old = (
                f"SELECT {of.columns} FROM {of.table} NOT INDEXED "  # noqa: S608 - our own names
                f"WHERE seq >= ? AND seq < ? AND {of.where} ORDER BY seq LIMIT ?"
            )
            while True:
                with self._database.read() as connection:
                    cursor = cursor_of(connection)
                    found = cursor.execute(old, (first, end, before_ms, most)).fetchall()
                if found:
                    # it may be pending again by now: what is dropped is asked for once more
                    with self._database.write() as connection:
                        cursor = cursor_of(connection)
                        first, done = found[-1][0] + 1, _drop(cursor, of, found, before_ms)
                    yield Dropped(of.table, done)
                if len(found) < most:
                    break
            with self._database.write() as connection:
                _narrow(cursor_of(connection), of, stretch)

    def _drop_conversions(self, before_ms: int, most: int) -> Iterator[Dropped]:
        while True:
            with self._database.read() as connection:
                oldest = cursor_of(connection).execute(_OLDEST_CONVERSIONS, (most,)).fetchall()
            old = [(seq,) for seq, received_ms in oldest if received_ms < before_ms]
            if old:
                with self._database.write() as connection:
                    cursor_of(connection).executemany("DELETE FROM conversion WHERE seq = ?", old)
                yield Dropped("conversion", len(old))
            if len(old) < most:
                return

    def _drop_tombstones(self, before_ms: int, most: int) -> Iterator[Dropped]:
        done = most
        while done == most:
            with self._database.write() as connection:
                cursor = cursor_of(connection)
                cursor.execute(_OLD_TOMBSTONES, (before_ms, most))
                done = int(cursor.rowcount)
            if done:
                yield Dropped("tombstone", done)

    def _forget(self, before_ms: int, most: int) -> Iterator[Dropped]:
        after = _EARLIEST
        while True:
            with self._database.read() as connection:
                values = (after, LOOKED_AT_ONCE)
                looked = cursor_of(connection).execute(_CHANGES, values).fetchall()
            old = [profile for _, profile, changed_ms in looked if changed_ms < before_ms]
            for start in range(0, len(old), most):
                with self._database.write() as connection:
                    cursor = cursor_of(connection)
                    cursor.execute(_FORGET, (before_ms, to_json(old[start : start + most])))
                    done = int(cursor.rowcount)
                yield Dropped("behaviour", done)
            if len(looked) < LOOKED_AT_ONCE:
                return
            after = looked[-1][0]


def _drop(cursor: Any, of: _Old, found: list[Any], before_ms: int) -> int:
    """Delete rows that are still too old, and keep counters and numbering right."""
    last = f"SELECT max(seq) FROM {of.table}"  # noqa: S608 - our own names
    (before,) = cursor.execute(last).fetchone()
    numbers = [row[0] for row in found]
    seqs = to_json(numbers)
    changes: Counter[str] = Counter()
    if of is _DELIVERIES:
        days = {day for _, day in found}
        hold(cursor, numbers, days)  # from senders, and from those who send again
        ended = cursor.execute(_ENDED.format(of.where, within(days)), (seqs, before_ms)).fetchall()
        changes.subtract(f"deliveries_{state}" for _, state in ended)
        done = delete(cursor, [seq for seq, _ in ended], days)
    else:
        cursor.execute(
            f"DELETE FROM {of.table} WHERE {_NUMBERED} AND {of.where}",  # noqa: S608 - our own names
            (seqs, before_ms),
        )
        done = int(cursor.rowcount)
    count(cursor, changes)
    if before is not None and cursor.execute(last).fetchone()[0] != before:
        keep_numbering(cursor, of.table, before)
    return done


def keep_numbering(cursor: Any, table: str, last: int) -> None:
    """Keep numbers from being given twice when the last row of a history table has gone."""
    stretch = (last >> STRETCH_BITS) + 1
    cursor.execute(_KEEP_NUMBERING, (table, stretch, _LATEST, _EARLIEST))


def _narrow(cursor: Any, of: _Old, stretch: int) -> None:
    """Let a stretch span what is left in it; one that is empty goes, if it is not the last."""
    first, end = stretch << STRETCH_BITS, (stretch + 1) << STRETCH_BITS
    statement = _NARROW.format(table=of.table, time=of.time)
    cursor.execute(statement, (_LATEST, _EARLIEST, first, end, stretch))
    cursor.execute(_DROP_EMPTY, (of.table, stretch))
