"""All that was committed, in the order of the commits: for files, and for whoever counts.

The lists of `history` show the newest first and a page at a time, for people. Here a reader goes
through the whole: memory holds `ROWS_AT_ONCE` rows, a transition costs 4 µs and a decision 6.
What is committed while somebody reads comes at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from geotarget.model import Decision, Transition
from geotarget.store.database import Database, cursor_of
from geotarget.store.history import _DECISIONS, _TRANSITIONS, _decision, _transition

T = TypeVar("T")

ROWS_AT_ONCE = 2_000


class Committed:
    """Reads whole lists.

    Parameters
    ----------
    database
        Where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def all_transitions(self) -> Iterator[Transition]:
        """Yield every transition, those committed first first.

        Raises
        ------
        StoreError
            The database can't be read.
        """
        return self._rows(_TRANSITIONS.table, _TRANSITIONS.columns, _transition)

    def all_decisions(self) -> Iterator[Decision]:
        """Yield every decision, those committed first first; errors as of `all_transitions`."""
        return self._rows(_DECISIONS.table, _DECISIONS.columns, _decision)

    def gate_counts(self) -> list[tuple[str, str, int, int]]:
        """Return (campaign, gate, decisions, people) of all decisions, by campaign and gate."""
        return self._counts(
            "SELECT campaign, gate, count(*), count(DISTINCT profile) FROM decision "
            "GROUP BY campaign, gate ORDER BY campaign, gate"
        )

    def visitor_counts(self) -> list[tuple[str, int]]:
        """Return (zone, devices that entered or crossed it), by zone."""
        return self._counts(
            "SELECT zone, count(DISTINCT device) FROM transition "
            "WHERE kind IN ('enter', 'crossed') GROUP BY zone ORDER BY zone"
        )

    def offers_per_person(self) -> list[tuple[int, int]]:
        """Return (offers over all campaigns, people who got so many), by offers."""
        return self._counts(
            "SELECT offers, count(*) FROM (SELECT sum(fired) AS offers FROM campaign_profile "
            "GROUP BY profile) GROUP BY offers ORDER BY offers"
        )

    def _counts(self, statement: str) -> list[Any]:
        with self._database.read() as connection:
            return list(cursor_of(connection).execute(statement).fetchall())

    def _rows(self, table: str, columns: str, make: Callable[[Sequence[Any]], T]) -> Iterator[T]:
        statement = f"SELECT seq, {columns} FROM {table} WHERE seq > ? ORDER BY seq LIMIT ?"  # noqa: S608 - our own names
        after = 0
        while True:
            with self._database.read() as connection:
                rows = cursor_of(connection).execute(statement, (after, ROWS_AT_ONCE)).fetchall()
            yield from map(make, rows)
            if len(rows) < ROWS_AT_ONCE:
                return
            after = rows[-1][0]
