"""The databases that the contract is held against."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import psycopg

from geotarget.store import Store
from tests.postgres_server import SECRET_KEY, drop_database
from tests.ready_database import lay_out


class Backend(Protocol):
    """A database that can be opened again and again."""

    def open(self, **options: Any) -> Store:
        """Open it; closed at the end of the test at the latest."""
        ...

    def bytes(self) -> list[bytes]:
        """Return what lies on the disk."""
        ...

    def close(self) -> None:
        """Close whatever is still open."""
        ...


class SqliteBackend:
    """A file with all tables, made and used through one of the SQLite drivers."""

    def __init__(self, path: Path, driver: ModuleType) -> None:
        self.path = path
        self.url = lay_out(path, driver=driver)
        self._driver = driver
        self._opened: list[Store] = []

    def open(self, **options: Any) -> Store:
        """Open it; closed at the end of the test at the latest."""
        store = Store.open(self.url, driver=self._driver, **options)
        self._opened.append(store)
        return store

    def bytes(self) -> list[bytes]:
        """Return what lies on the disk."""
        return [file.read_bytes() for file in self.path.parent.iterdir()]

    def close(self) -> None:
        """Close whatever is still open."""
        for store in self._opened:
            store.close()


class PostgresBackend:
    """A database of its own on a server that all tests share.

    Parameters
    ----------
    url
        Of a database with all tables, for this test alone.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._opened: list[Store] = []

    def open(self, **options: Any) -> Store:
        """Open it; closed at the end of the test at the latest."""
        options.setdefault("secret_key", SECRET_KEY)
        store = Store.open(self.url, **options)
        self._opened.append(store)
        return store

    def bytes(self) -> list[bytes]:
        """Return what it holds, as `COPY` writes it."""
        with psycopg.connect(self.url) as connection:
            names = connection.execute(
                "SELECT relname FROM pg_class "
                "WHERE relkind = 'r' AND relnamespace = CAST('public' AS regnamespace)"
            ).fetchall()
            held = []
            for (name,) in names:
                with connection.cursor().copy(f"COPY {name} TO STDOUT (FORMAT binary)") as copy:
                    held.append(b"".join(bytes(each) for each in copy))
        return held

    def close(self) -> None:
        """Close whatever is still open, and drop it."""
        for store in self._opened:
            store.close()
        drop_database(self.url)
