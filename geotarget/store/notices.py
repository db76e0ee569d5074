"""Notices from process to process: "look", and nothing else.

What changed stands in the tables. A notice only spares the wait until somebody looks of their own
accord, so one that is lost costs that wait and nothing more, and whoever listens looks once more
after every time that the connection was away. PostgreSQL has them (`LISTEN`, `NOTIFY`); it sends
them with the commit of the transaction that they were said in, and never when that is undone.
SQLite has none: there, all look by themselves.

Costs: one connection a process, which sleeps; a worker with slots has two. From the commit to the
listener some 2 ms. A commit with a notice takes a lock of the whole server for its time, so they
are for what changes now and then; a notice in every batch of pings would make the batches of all
slots queue.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import sqlalchemy as sa

CATALOG = "geotarget_catalog"
"""Zones, campaigns, audiences or endpoints have changed."""

SLOTS = "geotarget_slots"
"""A worker has given slots back."""


def notify(connection: sa.Connection, channel: str) -> None:
    """Tell the listeners of a channel to look, when this transaction is committed.

    Several times in one transaction are one notice. Where the database has none, nothing happens.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_notify(:channel, '')"), {"channel": channel})


class Listening(ABC):
    """Somebody who is told when to look."""

    @property
    @abstractmethod
    def connected(self) -> bool:
        """Whether notices arrive at this moment; if not, look by yourself."""

    @abstractmethod
    def stop(self) -> None:
        """End it and wait for its end; harmless when repeated."""


class Deaf(Listening):
    """Of a database without notices."""

    @property
    def connected(self) -> bool:
        """Never."""
        return False

    def stop(self) -> None:
        """Do nothing."""
