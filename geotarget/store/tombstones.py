"""Tombstones: who was erased, so that what was sent before does not bring the person back.

A phone's queue, a broker that delivers again and the backlog of a restored backup may hold pings of
somebody who is erased by now. A tombstone is an HMAC-SHA256 of the id under a secret of this
database, with the instant of the erasure: it names nobody, and answers only who asks for an id.
Costs 1 µs an id, and 3 for the look-up.

Devices and profiles have tombstones of their own: a device may bear the id of somebody's profile.
The same digest stands for a person in the audit log, which is kept for good (`pseudonym`).
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable
from typing import Any

from geotarget.store.database import Database, cursor_of

KEY = "tombstone"
"""Name of the secret that ids are hashed with."""

DEVICE, PROFILE = "device", "profile"
KEY_BYTES = 32

LAST_ERASURE = "(SELECT coalesce(max(seq), 0) FROM erasure)"
"""The number of the last erasure: who has state in memory compares it with what he followed."""

_LAY = """
INSERT INTO tombstone (digest, erased_ms, erasure) VALUES (?, ?, ?)
ON CONFLICT (digest) DO UPDATE SET
  erased_ms = max(tombstone.erased_ms, excluded.erased_ms), erasure = excluded.erasure
"""


class Tombstones:
    """Answers whether an id was erased, and when.

    Parameters
    ----------
    database
        Where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def last_erasure(self) -> int:
        """Return the number of the last erasure; 0 when nobody was ever erased."""
        with self._database.read() as connection:
            (last,) = cursor_of(connection).execute(f"SELECT {LAST_ERASURE}").fetchone()
        return int(last)

    def has_tombstones(self) -> bool:
        """Return whether there is any."""
        with self._database.read() as connection:
            there = cursor_of(connection).execute("SELECT EXISTS (SELECT 1 FROM tombstone)")
            return bool(there.fetchone()[0])

    def tombstones_after(self, erasure: int) -> tuple[int, bytes, set[bytes]]:
        """Return what came after an erasure.

        Returns
        -------
        last : int
            The number of the last erasure.
        key : bytes
            What ids are hashed with (`digest_of`); empty when nobody was ever erased.
        digests : set of bytes
            Of those who were erased after the one that was given.
        """
        with self._database.read() as connection:
            cursor = cursor_of(connection)
            (last,) = cursor.execute(f"SELECT {LAST_ERASURE}").fetchone()
            key = _find_key(cursor) or b""
            rows = cursor.execute("SELECT digest FROM tombstone WHERE erasure > ?", (erasure,))
            return int(last), key, {bytes(digest) for (digest,) in rows}

    def erased_devices(self, devices: Iterable[str]) -> dict[str, int]:
        """Return when devices were erased, Unix milliseconds; not those that never were."""
        with self._database.read() as connection:
            return find(cursor_of(connection), DEVICE, devices)


def digest_of(key: bytes, kind: str, id: str) -> bytes:
    """Return the digest of an id of a kind.

    Examples
    --------
    >>> digest_of(bytes(32), DEVICE, "phone-1").hex()[:16]
    'a6a98c47f11fda6e'
    """
    return hmac.digest(key, f"{kind}:{id}".encode(errors="surrogatepass"), "sha256")


def key_of(cursor: Any) -> bytes:
    """Return what ids are hashed with; made when first asked for, in the caller's transaction."""
    key = _find_key(cursor)
    if key is None:
        key = secrets.token_bytes(KEY_BYTES)
        cursor.execute("INSERT INTO secret (name, value) VALUES (?, ?)", (KEY, key))
    return key


def pseudonym(cursor: Any, kind: str, id: str) -> str:
    """Return what stands for a person's profile or device in the audit log.

    The log is kept for good and can't be changed, so a plain id would name somebody for ever. Who
    knows the id can find its entries, as long as the database is there.

    Parameters
    ----------
    cursor
        Of the driver, inside a write transaction.
    kind
        `DEVICE` or `PROFILE`.
    id
        The plain one.
    """
    return f"{kind}:{digest_of(key_of(cursor), kind, id).hex()}"


def subjects(cursor: Any, id: str) -> list[str]:
    """Return under which names an id may stand in the audit log: as it is, or as a pseudonym."""
    key = _find_key(cursor)
    if key is None:
        return [id]
    return [id, *(f"{kind}:{digest_of(key, kind, id).hex()}" for kind in (DEVICE, PROFILE))]


def lay(cursor: Any, digests: Iterable[bytes], *, erased_ms: int, erasure: int) -> None:
    """Set tombstones, inside the transaction of the erasure."""
    cursor.executemany(_LAY, [(each, erased_ms, erasure) for each in digests])


def find(cursor: Any, kind: str, ids: Iterable[str]) -> dict[str, int]:
    """Return when ids were erased, inside the caller's transaction; not those that never were."""
    key = _find_key(cursor)
    found: dict[str, int] = {}
    for id_ in ids if key is not None else ():
        asked = (digest_of(key or b"", kind, id_),)
        row = cursor.execute("SELECT erased_ms FROM tombstone WHERE digest = ?", asked).fetchone()
        if row is not None:
            found[id_] = int(row[0])
    return found


def _find_key(cursor: Any) -> bytes | None:
    row = cursor.execute("SELECT value FROM secret WHERE name = ?", (KEY,)).fetchone()
    return None if row is None else bytes(row[0])
