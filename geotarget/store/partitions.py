"""Days of history on PostgreSQL: made ahead of their time, and dropped as a whole.

To delete a row costs as much there as to write it, and leaves it in its table and in four to seven
indices until somebody cleans up. So transitions, decisions and deliveries lie in partitions, one
for each day in UTC, and what is too old is dropped with its table: some milliseconds, and a pass
over the day to see what has to stay.

Ids begin with their instant in hexadecimal digits, so a day is a range of ids, and what keeps a row
from being there twice, its id, is what the tables are divided by: who knows an id asks one
partition, and so does who inserts. Who knows only a number asks all of them and holds a lock on
each and on its indices: ``max_locks_per_transaction`` has to be raised (docs/operations.md). Most
of what that costs is the planning. With a million transitions in 30 days, CPU of client and server,
before and after: a page of the newest, of a device, of nobody 3.0, 4.2, 3.0 ms and 5.3, 5.3, 5.6;
a look of somebody who follows 1.7 and 1.6; a turn of 500 transitions 19 and 15. `stretches` says
how the indices of a stretch are found. A number is a key of each partition, not of all together: it
is not given twice because it is given under the lock of the writers, from a counter.

To drop a day of 33,333 transitions took 0.26 s, 0.12 of it one step with the table shut for the
latter part of it; row by row it was 0.6 s in 139 steps, and dead rows to clean up after.

What fits no day lies in the partition ``…_rest``: ids of clocks that are wrong, and what has to
stay though its day is dropped, such as a decision that was made long after its transition. There
are also the rows of days whose partition was not made in time: when nobody kept the database for a
week, they are slower to drop, and that is all.

To make a day shuts the partition for the rest for some ms, to drop one shuts the table. Whoever
wants that waits for `LOCK_MS` at most, for all others queue behind him: where a report or a dump
reads for longer, it is tried again the next time. Each is one transaction, so whoever is killed in
the midst of it has done nothing.

Deliveries are divided by a number, `event_day` (`event_days`): ids of webhooks have their kind in
front, and would need two partitions a day. Bodies and attempts have it too and lie in days of their
own, which are made and dropped with those of the deliveries; so nothing is deleted row by row. What
waits may be of any day, so it is in a table of its own (`waiting`), which tells senders the days:
divided without it, a claim of 100 took 112 ms at 39 days in place of 16, a mark 179 in place of 13,
with 1,675 locks. Now a claim holds 21 locks and a mark 82, however many days there are; those of a
further day that they are of come on top, by the number of its indices some 30. CPU of client and
server at 39 days with 200,000 deliveries, divided and not: a claim of 100 7.2 and 7.3 ms, a mark
13.0 and 13.3, to append 500 18.0 and 16.9; a page of the newest, of a device, of what failed 4.3,
4.8, 5.0 and 1.4, 1.1, 2.3. Of the deliveries of a day those that wait, or ended lately, move to the
rest with bodies and attempts: a day of 33,333 went in one step and 0.2 s of CPU, row by row in 139
steps and 1.1 s.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog

from geotarget.errors import StoreError
from geotarget.store.appending import count
from geotarget.store.database import Database, cursor_of
from geotarget.store.event_days import DAY_MS
from geotarget.store.stretches import DIVIDED
from geotarget.store.tables import STRETCH_BITS

log = structlog.get_logger(__name__)

DAYS_AHEAD = 7
"""How many days after today have a partition."""

LOCK_MS = 250
"""How long somebody may have to wait behind who makes or drops a day, milliseconds."""

MOST_MOVED = 10_000
"""Rows that are moved into or out of a day in one transaction; where there are more they stay."""

FEW_LOCKS, WANTED_LOCKS = 256, 512
"""Of `max_locks_per_transaction`: below the one somebody is told to set the other."""

TABLES = tuple(DIVIDED)

_PARTS = {"delivery": ("delivery_body", "attempt")}
"""What is made and goes with the days of a table: it has the numbers of its rows as `delivery`."""

_PARTITIONS = """
SELECT CAST(relname AS TEXT) FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
WHERE inhparent = CAST(CAST(? AS TEXT) AS REGCLASS) ORDER BY 1
"""
_LOCKS = "SELECT CAST(current_setting('max_locks_per_transaction') AS BIGINT)"
_DROP_SPANS = """
DELETE FROM span WHERE list = '{table}' AND max_ms < ?
  AND stretch < (SELECT max(stretch) FROM span WHERE list = '{table}')
  AND NOT EXISTS (SELECT 1 FROM {table}
    WHERE seq >= span.stretch << {bits} AND seq < (span.stretch + 1) << {bits})
"""


@dataclass(frozen=True, slots=True, order=True)
class Day:
    """The partition of one day in UTC.

    Parameters
    ----------
    number
        Of the day, since 1970.
    table
        Which it is a part of.

    Examples
    --------
    >>> Day(20_780, "transition").name, Day(20_780, "transition").bounds
    ('transition_20261123', ("'01a205b3d000'", "'01a20ada2c00'"))
    >>> Day(20_780, "delivery").holds
    'event_day >= 20780 AND event_day < 20781'
    """

    number: int
    table: str

    @property
    def name(self) -> str:
        """What its table is called."""
        date = datetime.fromtimestamp(self.start_ms / 1000, UTC)
        return f"{self.table}_{date:%Y%m%d}"

    @property
    def start_ms(self) -> int:
        """When it begins, Unix milliseconds."""
        return self.number * DAY_MS

    @property
    def end_ms(self) -> int:
        """When the next one begins."""
        return self.start_ms + DAY_MS

    @property
    def bounds(self) -> tuple[str, str]:
        """What its rows begin with in what divides them, and those of the day after; as SQL."""
        if self._column == "id":
            return f"'{self.start_ms:012x}'", f"'{self.end_ms:012x}'"
        return f"{self.number}", f"{self.number + 1}"

    @property
    def holds(self) -> str:
        """The condition of its rows."""
        first, end = self.bounds
        return f"{self._column} >= {first} AND {self._column} < {end}"

    @property
    def all(self) -> tuple[Day, ...]:
        """It, and the partitions that are made and go with it."""
        return (self, *(Day(self.number, part) for part in _PARTS.get(self.table, ())))

    @property
    def _column(self) -> str:
        return DIVIDED.get(self.table, DIVIDED["delivery"])[0]


def divides(database: Database) -> bool:
    """Tell whether history lies in partitions."""
    with database.read() as connection:
        return connection.dialect.name == "postgresql"


def days_of(database: Database, table: str) -> list[Day]:
    """Return the days of a table that have a partition, the oldest first."""
    with database.read() as connection:
        names = cursor_of(connection).execute(_PARTITIONS, (table,)).fetchall()
    days = []
    for (name,) in names:
        date = name.removeprefix(f"{table}_")
        if date.isdigit():
            midnight = datetime.strptime(date, "%Y%m%d").replace(tzinfo=UTC)
            days.append(Day(int(midnight.timestamp()) * 1000 // DAY_MS, table))
    return sorted(days)


def make_days(database: Database, now_ms: int, *, ahead: int = DAYS_AHEAD) -> int:
    """Make the partitions of today and of the days to come, where they are missing.

    What was written for them meanwhile is moved into them, if it is no more than `MOST_MOVED` rows.
    Nothing on SQLite. A table that is in use is left for the next time, which is logged.

    Parameters
    ----------
    database
        Where.
    now_ms
        Today, Unix milliseconds.
    ahead
        How many days to come.

    Returns
    -------
    int
        How many were made.

    Raises
    ------
    StoreError
        The database can't be read.
    """
    if not divides(database):
        return 0
    _look_at_locks(database)
    today, made = now_ms // DAY_MS, 0
    for table in TABLES:
        there = set(days_of(database, table))
        wanted = (Day(today + later, table) for later in range(ahead + 1))
        missing = [day for day in wanted if day not in there]
        if not missing:
            continue
        try:
            with database.write() as connection:
                cursor = _patient(connection)
                if set(_partitions(cursor, table)) & {day.name for day in missing}:
                    continue  # another process was quicker
                made += _make(cursor, missing)
        except StoreError as error:
            log.warning("days could not be made yet", table=table, error=str(error))
    return made


def drop_day(database: Database, day: Day, old: str, before_ms: int) -> int | None:
    """Drop a day and what is in it, but for rows that are not too old: these go to the rest.

    Parameters
    ----------
    database
        Where.
    day
        Which; over for so long that nobody writes to it, as a rule.
    old
        The condition of rows that are too old; its one parameter is the instant.
    before_ms
        That instant, Unix milliseconds.

    Returns
    -------
    int or None
        How many rows went. None: it is in use, or too much in it has to stay; it is as it was.
    """
    with database.read() as connection:
        kept = f"SELECT count(*) FROM {day.table} WHERE {day.holds} AND ({old}) IS NOT TRUE"  # noqa: S608 - our own names
        if cursor_of(connection).execute(kept, (before_ms,)).fetchone()[0] > MOST_MOVED:
            return None
    try:
        with database.write() as connection:
            cursor = _patient(connection)
            if day.name not in _partitions(cursor, day.table):
                return 0  # another process was quicker
            return _drop(cursor, day, old, before_ms)
    except StoreError as error:
        log.warning("a day could not be dropped yet", day=day.name, error=str(error))
        return None


def drop_spans(database: Database, table: str, before_ms: int) -> None:
    """Forget the stretches of which nothing is left, all at once; the last one stays."""
    with database.write() as connection:
        statement = _DROP_SPANS.format(table=table, bits=STRETCH_BITS)
        cursor_of(connection).execute(statement, (before_ms,))


def _look_at_locks(database: Database) -> None:
    """Say so where the server has fewer locks than readers of many days need."""
    with database.read() as connection:
        (locks,) = cursor_of(connection).execute(_LOCKS).fetchone()
    if locks < FEW_LOCKS:
        log.warning(
            "the server has few locks for tables in many parts: readers may be told that it is out"
            " of shared memory",
            max_locks_per_transaction=locks,
            wanted=WANTED_LOCKS,
        )


def _patient(connection: Any) -> Any:
    """Return a cursor that does not let others wait behind it for long."""
    cursor = cursor_of(connection)
    cursor.execute(f"SET LOCAL lock_timeout = {LOCK_MS:d}")
    return cursor


def _partitions(cursor: Any, table: str) -> list[str]:
    return [name for (name,) in cursor.execute(_PARTITIONS, (table,)).fetchall()]


def _make(cursor: Any, days: list[Day]) -> int:
    """Make partitions: at first beside the table, so that it is shut as shortly as may be."""
    tables = [each.table for each in days[0].all]
    for day in days:
        for each in day.all:
            key = "delivery" if each.table == "delivery_body" else "seq"
            cursor.execute(
                f"CREATE TABLE {each.name} "
                f"(LIKE {each.table} INCLUDING DEFAULTS INCLUDING INDEXES, PRIMARY KEY ({key}))"
            )
    for each_table in tables:
        cursor.execute(f"LOCK TABLE {each_table}_rest IN ACCESS EXCLUSIVE MODE")
    made = 0
    for day in days:
        late = [_rows_in_rest(cursor, each) for each in day.all]
        if max(late) > MOST_MOVED:
            for each in day.all:
                cursor.execute(f"DROP TABLE {each.name}")
            continue
        for each, rows in zip(day.all, late, strict=True):
            if rows:
                cursor.execute(
                    f"WITH moved AS (DELETE FROM {each.table}_rest WHERE {each.holds} "  # noqa: S608 - our own names
                    f"RETURNING *) INSERT INTO {each.name} SELECT * FROM moved"
                )
            first, end = each.bounds
            cursor.execute(
                f"ALTER TABLE {each.table} ATTACH PARTITION {each.name} "
                f"FOR VALUES FROM ({first}) TO ({end})"
            )
        made += 1
    return made


def _rows_in_rest(cursor: Any, day: Day) -> int:
    """Return how many rows of a day are in the rest, as far as they may be moved."""
    those = f"SELECT 1 FROM {day.table}_rest WHERE {day.holds} LIMIT ?"  # noqa: S608 - our own names
    many = f"SELECT count(*) FROM ({those}) AS those"  # noqa: S608 - our own names
    return int(cursor.execute(many, (MOST_MOVED + 1,)).fetchone()[0])


def _drop(cursor: Any, day: Day, old: str, before_ms: int) -> int:
    """Drop a day in one transaction; return how many rows went."""
    for each in day.all:
        cursor.execute(f"ALTER TABLE {each.table} DETACH PARTITION {each.name}")
    kept = f"FROM {day.name} WHERE ({old}) IS NOT TRUE"
    for each in day.all:
        which = kept if each is day else f"FROM {each.name} WHERE delivery IN (SELECT seq {kept})"
        cursor.execute(f"INSERT INTO {each.table} SELECT * {which}", (before_ms,))
    if day.table == "delivery":  # these are counted by the state that they are in now
        states = f"SELECT state, count(*) FROM {day.name} WHERE {old} GROUP BY state"  # noqa: S608 - our own names
        ended = cursor.execute(states, (before_ms,)).fetchall()
        count(cursor, Counter({f"deliveries_{state}": -rows for state, rows in ended}))
        gone = sum(rows for _, rows in ended)
    else:
        number = f"SELECT count(*) FROM {day.name} WHERE {old}"  # noqa: S608 - our own names
        (gone,) = cursor.execute(number, (before_ms,)).fetchone()
    for each in day.all:
        cursor.execute(f"DROP TABLE {each.name}")
    return int(gone)
