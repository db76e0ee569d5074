"""A cursor that takes the store's statements to PostgreSQL; sqlite3's cursor, as far as it is used.

Values go over in binary: text arrays cost 75 µs a row more. `executemany` is one statement for all
rows wherever that means the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

import psycopg
from psycopg.types.numeric import NumericBinaryLoader, NumericLoader

from geotarget.store.postgres_sql import Bulk, bulk, to_postgres


class _Numeric(NumericLoader):
    """Sums of whole numbers come as NUMERIC; they are whole numbers all the same."""

    def load(self, data: Any) -> Any:
        return _plain(super().load(data))


class _NumericBinary(NumericBinaryLoader):
    def load(self, data: Any) -> Any:
        return _plain(super().load(data))


def _plain(value: Any) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


def prepare(connection: psycopg.Connection[Any]) -> None:
    """Set a new connection up to give back what sqlite3 would."""
    connection.adapters.register_loader("numeric", _Numeric)
    connection.adapters.register_loader("numeric", _NumericBinary)


class PostgresCursor:
    """A cursor on one connection, inside its transaction.

    Parameters
    ----------
    connection
        The driver's.
    """

    divides = True
    """History lies in partitions here: which ids or days a stretch has is noted (`stretches`)."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._cursor = connection.cursor(binary=True)
        self._nothing_sent = False

    @property
    def rowcount(self) -> int:
        """How many rows the last statement changed or found."""
        return 0 if self._nothing_sent else self._cursor.rowcount

    def execute(self, statement: str, values: Sequence[Any] = ()) -> Self:
        """Execute one statement."""
        text, numbered = to_postgres(statement)
        given = {f"p{at}": value for at, value in enumerate(values, 1)} if numbered else values
        self._nothing_sent = False
        self._cursor.execute(text, given)
        return self

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]]) -> Self:
        """Execute one statement for all rows; for none, nothing is sent and nothing found."""
        listed = rows if isinstance(rows, list) else list(rows)
        self._nothing_sent = not listed
        if self._nothing_sent:
            return self
        whole = bulk(statement)
        if whole is not None and _named_once(whole, listed):
            columns = [
                list(column)
                if to is None
                else [None if each is None else to(each) for each in column]
                for column, to in zip(zip(*listed, strict=True), whole.convert, strict=True)
            ]
            self._cursor.execute(whole.text, columns)
        else:
            self._cursor.executemany(to_postgres(statement)[0], listed)
        return self

    def fetchone(self) -> Any:
        """Return the next row, or None."""
        return None if self._nothing_sent else self._cursor.fetchone()

    def fetchmany(self, size: int) -> list[Any]:
        """Return the next rows, at most so many; all of them are here already."""
        return [] if self._nothing_sent else self._cursor.fetchmany(size)

    def fetchall(self) -> list[Any]:
        """Return all rows that are left."""
        return [] if self._nothing_sent else self._cursor.fetchall()

    def __iter__(self) -> Iterator[Any]:
        return iter(() if self._nothing_sent else self._cursor)

    def close(self) -> None:
        """Free what the last statement holds."""
        self._cursor.close()


def _named_once(whole: Bulk, rows: Sequence[Sequence[Any]]) -> bool:
    if not whole.keys:
        return True
    return len({tuple(row[at] for at in whole.keys) for row in rows}) == len(rows)
