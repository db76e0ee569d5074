"""The databases that the contract is held against."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from geotarget.store import Store


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
    """A file, through one of the SQLite drivers."""

    def __init__(self, path: Path, driver: ModuleType) -> None:
        self.path = path
        self.url = f"sqlite:///{path}"
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
