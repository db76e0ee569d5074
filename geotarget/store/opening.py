"""From a URL to the database that it names."""

from __future__ import annotations

from types import ModuleType

import sqlalchemy as sa

from geotarget.errors import StoreError
from geotarget.store.database import Database
from geotarget.store.sqlite import SqliteDatabase

POSTGRES = ("postgresql", "postgres")
"""How URLs of PostgreSQL begin; libpq takes both."""

_WRITE = "write sqlite:///path/to/geotarget.db or postgresql://user:password@host/geotarget"


def open_database(url: str, *, busy_s: float = 10.0, driver: ModuleType | None = None) -> Database:
    """Open the database of a URL; nothing is made yet.

    Parameters
    ----------
    url
        ``sqlite:///relative/path``, ``sqlite:////absolute/path``, ``sqlite://`` for a throw-away
        file (``sqlite://?folder=…``: in that folder, else in the one for temporary files), or
        ``postgresql://user:password@host:port/database``.
    busy_s
        How long a writer waits for its turn, seconds.
    driver
        The DB-API module of SQLite; by default `sqlite_driver()`.

    Raises
    ------
    StoreError
        The URL is of no database that we know, or what it names can't be there.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        return SqliteDatabase(parsed, busy_s=busy_s, driver=driver)
    if parsed.get_backend_name() in POSTGRES:
        try:
            from geotarget.store.postgres import PostgresDatabase  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise StoreError(
                "the driver of PostgreSQL is missing: pip install 'geotarget[postgres]'"
            ) from error
        return PostgresDatabase(parsed, busy_s=busy_s)
    raise StoreError(f"no store for {parsed.get_backend_name()!r}: {_WRITE}")


def shown_url(url: str) -> str:
    """Return a database's URL as it may be shown: without its password, wherever that stands.

    Examples
    --------
    >>> shown_url("postgresql://geotarget:hush@db.example/geotarget?sslmode=verify-full")
    'postgresql://geotarget:***@db.example/geotarget'
    """
    parsed = _parse(url)
    return parsed.set(query={}).render_as_string(hide_password=True)


def _parse(url: str) -> sa.URL:
    try:
        return sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):  # ValueError: a port that is no number
        raise StoreError(
            f"the database's URL can't be read: {_WRITE}; what is no letter or digit in a password "
            "is written as %XX"
        ) from None
