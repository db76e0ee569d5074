"""Threads take turns on one connection, and nothing of one turn reaches into the next."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from geotarget.store.database import Database, cursor_of
from geotarget.store.opening import open_database

COUNTERS = [f"counter {number}" for number in range(40)]
COUNT = "UPDATE counter SET value = value + ? WHERE name = ?"


@pytest.fixture
def database() -> Iterator[Database]:
    """A throw-away database with some counters."""
    database = open_database("sqlite://")
    with database.write() as connection:
        connection.exec_driver_sql("CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER)")
        rows = [(name, 0) for name in COUNTERS]
        cursor_of(connection).executemany("INSERT INTO counter VALUES (?, ?)", rows)
    yield database
    database.close()


def test_a_cursor_ends_with_its_turn(database: Database) -> None:
    """However the turn ended: left to the collector, it resets a statement of another's turn."""
    kept: list[Any] = []
    with database.write() as connection:
        kept.append(cursor_of(connection))
        kept[-1].executemany(COUNT, [(1, COUNTERS[0])])
    undone = pytest.raises(database.driver.OperationalError, match="no such table")
    with undone, database.write() as connection:
        kept.append(cursor_of(connection))
        kept[-1].execute("SELECT * FROM nowhere")
    for cursor in kept:
        with pytest.raises(database.driver.ProgrammingError):
            cursor.execute("SELECT 1")


def test_many_threads_count_right(database: Database) -> None:
    """Four threads that write the same statement lose no count and meet no error."""
    turns = 400

    def work() -> None:
        for _ in range(turns):
            with database.write() as connection:
                cursor = cursor_of(connection)
                cursor.executemany(COUNT, [(1, name) for name in COUNTERS])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as connection:
        rows = connection.exec_driver_sql("SELECT DISTINCT value FROM counter").fetchall()
    assert [tuple(row) for row in rows] == [(4 * turns,)]
