"""How many devices were where: a sketch for each H3 cell and day, and what pings were like there.

Written with the batches, some hundred rows at a time, by whoever takes pings; read by reach and
lint. What is added to a row that exists is merged with it: sketches by their union, counts by their
sum. The hashes in the sketches are salted with a secret of this database, so that a device can be
taken out of them and nobody else can tell who is in.

Costs: 15 microseconds for a new row, up to 90 for one that is merged with a full sketch. A row is
0.3 KB where few devices were seen and 2.3 KB at most; 10,000 busy cells make 23 MB a day. To forget
a device every row is looked at: a second for 500 MB.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa

from geotarget import sketches
from geotarget.model import Footfall
from geotarget.store import targeting_tables
from geotarget.store.database import Database, cursor_of
from geotarget.store.documents import to_json

SALT = "footfall"
"""Name of the secret that devices are hashed with."""

DAY_MS = 86_400_000

_secret = targeting_tables.secret

_COUNTS = np.dtype("<u4")
_SECRET_BYTES = 32
_MOST_HASHES = 1_000_000
"""Hashes that one question reads: more than that make no better estimate, only a slower one."""

_FIND = """
SELECT cell, day, devices, accuracies, intervals FROM json_each(?) AS asked CROSS JOIN footfall
WHERE cell = CAST(json_extract(asked.value, '$[0]') AS BIGINT)
  AND day = CAST(json_extract(asked.value, '$[1]') AS BIGINT)
"""
_PUT = """
INSERT INTO footfall (cell, day, devices, accuracies, intervals) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (cell, day) DO UPDATE SET devices = excluded.devices,
  accuracies = excluded.accuracies, intervals = excluded.intervals
"""
_SIZES = """
SELECT length(devices), count(*)
FROM json_each(?) AS asked CROSS JOIN footfall ON cell = CAST(asked.value AS BIGINT)
WHERE day BETWEEN ? AND ? GROUP BY length(devices)
"""
_READ = """
SELECT cell, day, substr(devices, 1, ?), {counts}
FROM json_each(?) AS asked CROSS JOIN footfall ON cell = CAST(asked.value AS BIGINT)
WHERE day BETWEEN ? AND ?
"""
_WHERE_SEEN = "SELECT cell, day, devices FROM footfall WHERE instr(devices, ?) > 0"


def write(cursor: Any, rows: Sequence[Footfall]) -> None:
    """Add to the counts of places, inside the transaction of a batch.

    Parameters
    ----------
    cursor
        Of the driver.
    rows
        Each (cell, day) once.
    """
    if not rows:
        return
    asked = to_json([(row.cell, row.day) for row in rows])
    there = {(cell, day): kept for cell, day, *kept in cursor.execute(_FIND, (asked,))}
    cursor.executemany(_PUT, [_merged(row, there.get((row.cell, row.day))) for row in rows])


def drop_old(cursor: Any, now_ms: int, days: int) -> None:
    """Forget days that ended more than `days` days ago, inside the caller's transaction."""
    cursor.execute("DELETE FROM footfall WHERE day < ?", (now_ms // DAY_MS - days,))


class Places:
    """Reads how many devices were where, and forgets one.

    Parameters
    ----------
    database
        Where it is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def secret(self, name: str) -> bytes:
        """Return a random secret of this database, 32 bytes; made when first asked for.

        Raises
        ------
        StoreError
            It can't be read or made.
        """
        known = sa.select(_secret.c.value).where(_secret.c.name == name)
        with self._database.read() as connection:
            value = connection.execute(known).scalar_one_or_none()
        if value is None:
            with self._database.write() as connection:
                cursor_of(connection).execute(
                    "INSERT INTO secret (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING",
                    (name, secrets.token_bytes(_SECRET_BYTES)),
                )
                value = connection.execute(known).scalar_one()
        return bytes(value)

    def footfall(
        self, cells: Iterable[int], *, from_day: int, to_day: int, counts: bool = True
    ) -> list[Footfall]:
        """Return what was seen in some cells, in no particular order.

        Parameters
        ----------
        cells
            H3 indexes, each once, of the resolution that was noted.
        from_day, to_day
            Days since 1970, both included.
        counts
            Whether accuracies and intervals are wanted; else they are empty.

        Returns
        -------
        list of Footfall
            Cells and days without a device are left out. Where they all hold more than a million
            hashes, sketches come with a lower bound and fewer of them: right, but less exact.
        """
        asked = to_json(list(cells))
        with self._database.read() as connection:
            cursor = cursor_of(connection)
            sizes = cursor.execute(_SIZES, (asked, from_day, to_day)).fetchall()
            most = _most_bytes(sizes)
            read = _READ.format(counts="accuracies, intervals" if counts else "x'', x''")
            found = cursor.execute(read, (most, asked, from_day, to_day)).fetchall()
        return [
            Footfall(cell, day, devices, _numbers(accuracies), _numbers(intervals))
            for cell, day, devices, accuracies, intervals in found
        ]

    def forget_footfall(self, device: str) -> int:
        """Take a device out of every sketch; return how many it was in.

        Counts of accuracies and intervals stay: they belong to nobody.

        Raises
        ------
        StoreError
            Nothing is changed.
        """
        salt = self.secret(SALT)
        with self._database.write() as connection:
            return forget(cursor_of(connection), device, salt)


def forget(cursor: Any, device: str, salt: bytes) -> int:
    """Take a device out of every sketch, inside the caller's transaction; return of how many."""
    hash_ = sketches.hash_of(device, salt)
    needle = sketches.to_bytes(np.array([hash_], np.uint64))
    changes = []
    for cell, day, stored in cursor.execute(_WHERE_SEEN, (needle,)).fetchall():
        sketch = sketches.from_bytes(stored)
        left = sketches.without(sketch, hash_)
        if len(left) < len(sketch):  # else the bytes only looked like it, across two hashes
            changes.append((sketches.to_bytes(left), cell, day))
    cursor.executemany("UPDATE footfall SET devices = ? WHERE cell = ? AND day = ?", changes)
    return len(changes)


def _merged(row: Footfall, kept: Sequence[bytes] | None) -> tuple[int, int, bytes, bytes, bytes]:
    """Return a row as it is to be stored, with what is stored already."""
    accuracies, intervals = (np.asarray(each, _COUNTS) for each in (row.accuracies, row.intervals))
    devices = row.devices
    if kept is not None:
        both = (sketches.from_bytes(each) for each in (devices, kept[0]))
        devices = sketches.to_bytes(sketches.union(*both))
        accuracies = accuracies + np.frombuffer(kept[1], _COUNTS)
        intervals = intervals + np.frombuffer(kept[2], _COUNTS)
    return row.cell, row.day, devices, accuracies.tobytes(), intervals.tobytes()


def _numbers(counts: bytes) -> list[int]:
    return list(struct.unpack(f"<{len(counts) // 4}I", counts))


def _most_bytes(sizes: Sequence[tuple[int, int]]) -> int:
    """Return how much of each sketch is read, so that all of them stay within bounds.

    The first numbers of a sketch are a sketch as well: the last of them is its bound.
    """
    length = np.array([size // 8 for size, _ in sizes], np.int64)
    often = np.array([count for _, count in sizes], np.int64)
    most = sketches.MOST + 1
    while most > 2 and int((np.minimum(length, most) * often).sum()) > _MOST_HASHES:
        most = most * 3 // 4
    return 8 * most
