"""Bringing a database to the version of the code, and refusing what can't be brought there.

The migrations are Alembic's, inside the package, without a configuration file. All of them run in
one transaction that takes the write lock first: processes that start at once wait for each other
and find the work done, and a process that is killed half-way has changed nothing.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from geotarget.errors import StoreError
from geotarget.store.database import Database, wall_clock_ms
from geotarget.store.opening import open_database
from geotarget.store.partitions import make_days

MIGRATIONS = Path(__file__).parent / "migrations"

_MAY_PAUSE = "SET LOCAL idle_in_transaction_session_timeout = '60s'"
"""Migrations think between their statements; on a busy machine for longer than a batch may."""


def migrate(url: str) -> str:
    """Bring a database to the version of this code; make it if it does not exist.

    On PostgreSQL there are partitions for the days to come after it (`partitions`).

    Parameters
    ----------
    url
        As of `Store.open`.

    Returns
    -------
    str
        The revision that it has now.

    Raises
    ------
    StoreError
        It is newer than the code, or can't be written.
    """
    database = open_database(url)
    try:
        upgrade(database)
        make_days(database, wall_clock_ms())
        return head()
    finally:
        database.close()


def current_revision(url: str) -> str | None:
    """Return the revision of a database; None when it has none, or does not exist.

    Raises
    ------
    StoreError
        It can't be read.
    """
    database = open_database(url)
    try:
        return revision_of(database)
    finally:
        database.close()


def head() -> str:
    """Return the revision that this code is written for."""
    revision = _script().get_current_head()
    assert revision is not None
    return revision


def revision_of(database: Database) -> str | None:
    """Return the revision of an open database; one that does not exist is not made."""
    if not database.exists():
        return None
    with database.read() as connection:
        return _revision(connection)


def check(database: Database) -> None:
    """Refuse a database of another version than the code's.

    Raises
    ------
    StoreError
        Says what to do.
    """
    revision = revision_of(database)
    if revision == head():
        return
    _refuse_newer(database, revision)
    state = "is older than this geotarget" if revision else "has no tables yet"
    raise StoreError(f"the database {database.name} {state}: run `geotarget migrate`")


def upgrade(database: Database) -> None:
    """Run the migrations that are missing.

    Raises
    ------
    StoreError
        The database is newer than the code, or can't be written.
    """
    if not database.exists():
        database.make()
    elif revision_of(database) == head():
        return
    script = _script()
    with database.write() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(_MAY_PAUSE)
        revision = _revision(connection)
        _refuse_newer(database, revision)
        context = MigrationContext.configure(
            connection,
            opts={
                "transactional_ddl": True,
                "fn": lambda current, _: script._upgrade_revs("head", current),  # noqa: SLF001 - as in Alembic's own `command.upgrade`
            },
        )
        with Operations.context(context):
            context.run_migrations()


@cache
def _script() -> ScriptDirectory:
    """Read the migrations, once: it takes 15 ms, the larger part of opening a database."""
    return ScriptDirectory(str(MIGRATIONS))


def _revision(connection: sa.Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _refuse_newer(database: Database, revision: str | None) -> None:
    if revision is None:
        return
    try:
        _script().get_revision(revision)
    except CommandError:
        raise StoreError(
            f"the database {database.name} is newer than this geotarget (its revision is "
            f"{revision}): install the version of geotarget that wrote it, or a newer one"
        ) from None
