"""Migrations only add: what runs from before one can go on reading and writing after it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from records import attempt, batch, decision, delivery, transition

from geotarget.errors import StoreError
from geotarget.store import Store, sqlite_driver
from geotarget.store.opening import open_database
from geotarget.store.schema import MIGRATIONS

SCRIPTS = ScriptDirectory(str(MIGRATIONS))
REVISIONS = [each.revision for each in SCRIPTS.walk_revisions()][::-1]


class ColumnOf(NamedTuple):
    """A column as SQLite describes it."""

    type: str
    is_required: bool
    has_default: bool
    in_key: int


def bring(file: Path, revision: str) -> None:
    """Run the migrations up to a revision."""
    with closing(open_database(f"sqlite:///{file}")) as database, database.write() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "transactional_ddl": True,
                "fn": lambda current, _: SCRIPTS._upgrade_revs(revision, current),
            },
        )
        with Operations.context(context):
            context.run_migrations()


def tables(file: Path) -> dict[str, dict[str, ColumnOf]]:
    """Return the columns of every table."""
    with closing(sqlite3.connect(file)) as opened:
        names = opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return {
            name: {
                column: ColumnOf(kind, bool(required), default is not None, key)
                for _, column, kind, required, default, key in opened.execute(
                    f"PRAGMA table_info({name})"
                )
            }
            for (name,) in names
        }


def rules(file: Path) -> set[tuple[str, tuple[str, ...]]]:
    """Return which columns of which table must differ from row to row."""

    def unique(opened: sqlite3.Connection) -> Iterator[tuple[str, tuple[str, ...]]]:
        for (table,) in opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'"):
            for _, index, is_unique, *_ in opened.execute(f"PRAGMA index_list({table})").fetchall():
                if is_unique:
                    columns = opened.execute(f"PRAGMA index_info({index})").fetchall()
                    yield table, tuple(name for _, _, name in columns)

    with closing(sqlite3.connect(file)) as opened:
        return set(unique(opened))


@pytest.mark.parametrize("revision", REVISIONS[1:])
def test_a_migration_only_adds(revision: str, tmp_path: Path) -> None:
    """Tables and columns stay as they were; new columns may be left out; nothing new is unique.

    So a process of the version before, which does not know of it, neither misses a column nor has
    a row refused. What is to go does so in a later version, when nothing asks for it any more.

    That is so on SQLite for every one of them. On PostgreSQL `test_postgres_schema` holds the same,
    but for r0010 and r0012, which take the key of numbers from history to divide it into days.
    There is no other way to do it, and no version before them was released for PostgreSQL, so
    nothing runs there that could miss it. Indices are no matter here: r0011 drops some, and says
    why.
    """
    file = tmp_path / "store.db"
    file.touch()
    bring(file, REVISIONS[REVISIONS.index(revision) - 1])
    before, unique_before = tables(file), rules(file)
    bring(file, revision)
    after, unique_after = tables(file), rules(file)
    for table, columns in before.items():
        assert columns == {name: after[table][name] for name in columns}, table
        for name in after[table].keys() - columns.keys():
            new = after[table][name]
            assert not new.is_required or new.has_default, (table, name)
            assert not new.in_key, (table, name)
    assert unique_before == {(table, columns) for table, columns in unique_after if table in before}


def test_what_runs_goes_on_when_a_newer_version_adds_to_its_tables(tmp_path: Path) -> None:
    """It writes, reads, claims and marks as before; only to open the database anew is refused."""
    file = tmp_path / "store.db"
    with Store.open(f"sqlite:///{file}") as store:
        store.write_batch(batch(1))
        with closing(sqlite_driver().connect(str(file))) as newer, newer:
            for table in ("transition", "decision", "delivery", "endpoint", "profile", "device"):
                newer.execute(f"ALTER TABLE {table} ADD COLUMN later TEXT NOT NULL DEFAULT ''")
                newer.execute(f"CREATE TABLE later_{table} (id TEXT PRIMARY KEY)")
            newer.execute("UPDATE alembic_version SET version_num = '9999'")
        store.write_batch(batch(2))
        assert [transition(2), transition(1)] == store.transitions_page().items
        assert [decision(2), decision(1)] == store.decisions_page().items
        claimed = store.claim(now_ms=2**50, limits={"crm": 10}, lease_ms=60_000)
        assert 2 == len(claimed)
        store.mark([attempt(delivery(1)), attempt(delivery(2))])
        assert 2 == store.counts().deliveries_delivered
        assert "" == store.verify_audit().broken
    with pytest.raises(StoreError, match=r"newer than this geotarget.*9999"):
        Store.open(f"sqlite:///{file}")


def test_nothing_goes_back() -> None:
    """There are no downgrades to rely on: the way back is a backup from before."""
    for each in SCRIPTS.walk_revisions():
        assert not hasattr(each.module, "downgrade"), each.revision
