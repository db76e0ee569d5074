"""Migrations on PostgreSQL: one by one and at once, to the same tables as the code describes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from records import batch, transition

from geotarget.errors import StoreError
from geotarget.store import Store, current_revision, migrate, targeting_tables
from geotarget.store.opening import open_database
from geotarget.store.schema import MIGRATIONS, head
from geotarget.store.tables import metadata
from tests.postgres_server import SECRET_KEY, drop_database, make_database

SCRIPTS = ScriptDirectory(str(MIGRATIONS))
REVISIONS = [each.revision for each in SCRIPTS.walk_revisions()][::-1]
ONLY_MIGRATED = {"rowid", "first_id", "last_id", "first_day", "last_day"}
"""Columns that SQLite's tables don't have, and the code's tables are those of both: the numbers
which SQLite gives its rows by itself, and between which ids or days a stretch of history lies."""

OPENER = """
import sys
from geotarget.store import Store
print("ready", flush=True)
sys.stdin.readline()
Store.open(sys.argv[1], secret_key=sys.argv[2]).close()
"""

DIVIDED = {
    "0010": {"transition", "decision"},
    "0012": {"delivery", "delivery_body", "attempt"},
}
"""Tables that r0010 and r0012 divide into days. They are the migrations that do not only add: a
number can be no key across partitions (their docstrings say what that means for who runs meanwhile;
no version before them was released for PostgreSQL)."""

KEYS = {"transition": "seq", "decision": "seq"} | {
    "delivery": "seq", "delivery_body": "delivery", "attempt": "seq",
}  # fmt: skip
"""What is a key of each partition, and of all of them on SQLite."""

IS_PART = re.compile(r"(transition|decision|delivery|delivery_body|attempt)_(rest|\d{8})")

assert targeting_tables  # its tables belong to the metadata


@pytest.fixture
def url(postgres_url: str) -> Iterator[str]:
    """A database without tables."""
    made = make_database(postgres_url)
    yield made
    drop_database(made)


@pytest.fixture
def other(postgres_url: str) -> Iterator[str]:
    """Another one."""
    made = make_database(postgres_url)
    yield made
    drop_database(made)


def schema_of(url: str) -> dict[str, Any]:
    """Return what the server says of each table: columns, keys, indices, rules, sequences."""
    with closing(open_database(url)) as database, database.read() as connection:
        inspector = sa.inspect(connection)
        return {
            table: {
                "columns": {
                    each["name"]: (
                        str(each["type"].compile(connection.dialect)),
                        each["nullable"],
                        each["default"],
                        each.get("identity"),
                    )
                    for each in inspector.get_columns(table)
                    if each["name"] not in ONLY_MIGRATED
                },
                "key": inspector.get_pk_constraint(table)["constrained_columns"],
                "foreign": sorted(
                    (
                        each["constrained_columns"],
                        each["referred_table"],
                        each["referred_columns"],
                        each["options"],
                    )
                    for each in inspector.get_foreign_keys(table)
                ),
                "unique": sorted(
                    each["column_names"]
                    for each in inspector.get_unique_constraints(table)
                    if not ONLY_MIGRATED & set(each["column_names"])
                ),
                "checks": sorted(
                    each["sqltext"] for each in inspector.get_check_constraints(table)
                ),
                "indices": sorted(
                    (
                        each["name"],
                        each["column_names"],
                        each["unique"],
                        each["dialect_options"].get("postgresql_where"),
                    )
                    for each in inspector.get_indexes(table)
                    if not ONLY_MIGRATED & set(each["column_names"])
                ),
            }
            for table in inspector.get_table_names()
            if table != "alembic_version" and not IS_PART.fullmatch(table)
        }


def bring(url: str, revision: str) -> None:
    """Run the migrations up to a revision."""
    with closing(open_database(url)) as database, database.write() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "transactional_ddl": True,
                "fn": lambda current, _: SCRIPTS._upgrade_revs(revision, current),
            },
        )
        with Operations.context(context):
            context.run_migrations()


def test_migrations_lead_to_the_tables_of_the_code(url: str, other: str) -> None:
    """One by one as well as in one go; columns, types, defaults, keys and indices are the same."""
    before: dict[str, Any] = {}
    for revision in REVISIONS:
        bring(url, revision)
        assert revision == current_revision(url)
        after = schema_of(url)
        assert before.keys() <= after.keys()
        for table, was in before.items():  # as on SQLite: what runs meanwhile misses nothing
            columns = after[table]["columns"]
            assert was["columns"] == {name: columns[name] for name in was["columns"]}
            for name in columns.keys() - was["columns"].keys():
                _, nullable, default, identity = columns[name]
                assert nullable or default is not None or identity, (revision, table, name)
            if table not in DIVIDED.get(revision, ()):
                assert was["key"] == after[table]["key"]
        before = after
    with closing(open_database(other)) as database, database.write() as connection:
        metadata.create_all(connection)
    described = schema_of(other)
    assert described.keys() == before.keys()
    for table, wanted in described.items():
        if table in KEYS:
            assert [KEYS[table]] == wanted["key"]
            unique = wanted["unique"]
            if "event_day" in wanted["columns"]:  # a key has what the table is divided by
                unique = [[*columns, "event_day"] for columns in unique]
                wanted["indices"] = [
                    (name, [*columns, "event_day"] if is_unique else columns, is_unique, where)
                    for name, columns, is_unique, where in wanted["indices"]
                ]
            divided = wanted | {"key": [], "foreign": [], "unique": unique}
            assert divided == before[table], table
        else:
            assert wanted == before[table], table


def test_all_text_is_compared_by_its_bytes(url: str) -> None:
    """Lists go by ids and cursors are ids: the order may not be that of a language."""
    migrate(url)
    with closing(open_database(url)) as database, database.read() as connection:
        others = connection.execute(
            sa.text(
                "SELECT table_name, column_name FROM information_schema.columns "
                "WHERE table_schema = 'public' AND data_type IN ('text', 'character varying') "
                "AND collation_name IS DISTINCT FROM 'C' AND table_name <> 'alembic_version'"
            )
        ).all()
    assert [] == others


def test_numbers_that_sqlite_gives_by_itself(url: str) -> None:
    """They are there after the migration, and count in the order of arrival."""
    migrate(url)
    with closing(open_database(url)) as database, database.read() as connection:
        inspector = sa.inspect(connection)
        for table in ("profile", "behaviour"):
            (column,) = (each for each in inspector.get_columns(table) if each["name"] == "rowid")
            assert column["identity"]["always"]


def test_revision_before_and_after(url: str) -> None:
    """As on SQLite: none, then that of the code, however often; asking makes nothing."""
    assert None is current_revision(url)
    assert {} == schema_of(url)
    with pytest.raises(StoreError, match=r"test_\w+ has no tables yet: run `geotarget migrate`"):
        Store.open(url, migrate=False, secret_key=SECRET_KEY)
    assert {} == schema_of(url)
    assert head() == migrate(url) == migrate(url) == current_revision(url)
    with Store.open(url, migrate=False, secret_key=SECRET_KEY) as store:
        store.write_batch(batch(1))
        assert head() == migrate(url)
        assert [transition(1)] == store.transitions_page().items


@pytest.mark.parametrize("may_migrate", [True, False])
def test_newer_database(url: str, may_migrate: bool) -> None:
    """A database of a later version is left alone, and the message says so."""
    migrate(url)
    with closing(open_database(url)) as database, database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match=r"newer than this geotarget.*9999"):
        Store.open(url, migrate=may_migrate, secret_key=SECRET_KEY)
    assert "9999" == current_revision(url)


def test_older_database_without_migration(url: str) -> None:
    """It is named as such, and left alone."""
    bring(url, REVISIONS[-2])
    with pytest.raises(StoreError, match="is older than this geotarget: run `geotarget migrate`"):
        Store.open(url, migrate=False, secret_key=SECRET_KEY)
    assert REVISIONS[-2] == current_revision(url)


def test_failed_migration_leaves_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All migrations are one transaction here too."""
    real = sa.MetaData.create_all

    def fail(self: sa.MetaData, *args: object, **options: object) -> None:
        real(self, *args, **options)  # type: ignore[arg-type]
        raise RuntimeError("half-way")

    monkeypatch.setattr(sa.MetaData, "create_all", fail)
    with pytest.raises(RuntimeError, match="half-way"):
        migrate(url)
    monkeypatch.undo()
    assert {} == schema_of(url)
    assert head() == migrate(url)


def test_several_processes_start_at_once(url: str) -> None:
    """Of four processes that open a new database together, all succeed."""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", OPENER, url, SECRET_KEY],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for child in children:
        assert child.stdout is not None
        assert "ready\n" == child.stdout.readline()
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        _, complaint = child.communicate(timeout=60)
        assert (0, "") == (child.returncode, complaint)
    assert head() == current_revision(url)


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one command of geotarget."""
    return subprocess.run(
        [sys.executable, "-m", "geotarget", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_commands_take_the_url(url: str, tmp_path: Any) -> None:
    """`migrate`, `keys` and `zones` work on it; the password is not shown, nor a folder made."""
    shown = url.replace("geotarget@", "geotarget:hush@")
    here = {"GEOTARGET_DATA": str(tmp_path / "data")}
    done = run("migrate", "--database", shown, **here)
    assert (0, "") == (done.returncode, done.stderr)
    assert f"brought from nothing to {head()}" in done.stdout
    assert "hush" not in done.stdout
    there = {**here, "GEOTARGET_DATABASE_URL": shown}
    assert "was up to date" in run("migrate", **there).stdout
    refused = run("keys", "list", **there)
    assert 1 == refused.returncode
    assert "set GEOTARGET_SECRET_KEY" in refused.stderr
    there["GEOTARGET_SECRET_KEY"] = SECRET_KEY
    made = run("keys", "create", "ci", "--scope", "zones:write", **there)
    assert 0 == made.returncode, made.stderr
    assert "gt_" in made.stdout
    assert "ci" in run("keys", "list", **there).stdout
    verified = run("audit", "verify", **there)
    assert 0 == verified.returncode, verified.stderr
    taken = run("backup", str(tmp_path / "copy.db"), **there)
    assert 0 != taken.returncode
    assert "pg_dump" in taken.stderr
    for each in (made, verified, taken):
        assert "hush" not in each.stdout + each.stderr
    assert not (tmp_path / "data").exists()
