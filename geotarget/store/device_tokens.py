"""Tokens of devices: ``gt_dev_<id>_<secret><crc>``, the passwords of single phones.

Made like API keys (`keys`): the id finds the row, the secret proves the holder, and only the
SHA-256 of the whole is kept. Unlike the password that follows from a device's name, a token can end
by itself, be revoked alone, and a device can have two while one replaces the other.

Finding one is a read by its primary key, some 50 µs, once for each connection of a phone. That a
token was used is noted by the caller for many at once (`note_token_uses`): a write for each
connection would be too dear when a million phones come back after an outage.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from geotarget.errors import Conflict, InvalidInput, NotFound, Problem
from geotarget.store.audit import note
from geotarget.store.database import Database, cursor_of, wall_clock_ms
from geotarget.store.keys import digest_of, id_in, new_plain
from geotarget.store.tombstones import DEVICE, pseudonym

PREFIX = "gt_dev_"
MOST_LIVE = 8
"""Tokens of one device that work at one time."""
KEPT_MS = 30 * 86_400_000
"""How long one that has ended is still listed; it goes when its device gets another one."""
USED_EVERY_MS = 600_000
"""How exact `DeviceToken.last_used_ms` is."""

_NOBODY = bytes(32)
_COLUMNS = "id, device, name, created_ms, expires_ms, last_used_ms, revoked_ms"
_LIVE = "revoked_ms IS NULL AND (expires_ms IS NULL OR expires_ms > ?)"
_COUNT = f"SELECT count(*) FROM device_token WHERE device = ? AND {_LIVE}"  # noqa: S608 - our own text
_INSERT = """
INSERT INTO device_token (id, device, name, digest, created_ms, expires_ms)
VALUES (?, ?, ?, ?, ?, ?)
"""
_TIDY = "DELETE FROM device_token WHERE device = ? AND (revoked_ms < ? OR expires_ms < ?)"
_LIST = f"SELECT {_COLUMNS} FROM device_token WHERE device = ? ORDER BY created_ms, id"  # noqa: S608 - our own text
_FIND = f"SELECT {_COLUMNS}, digest FROM device_token WHERE id = ?"  # noqa: S608 - our own text
_REVOKE = "UPDATE device_token SET revoked_ms = ? WHERE id = ? AND revoked_ms IS NULL"
_REVOKED = "SELECT id, device FROM device_token WHERE revoked_ms > ? ORDER BY revoked_ms, id"
_USE = """
UPDATE device_token SET last_used_ms = ?
WHERE id = ? AND (last_used_ms IS NULL OR last_used_ms < ?)
"""


@dataclass(frozen=True, slots=True)
class DeviceToken:
    """What is known of a token; never the token itself. Instants are Unix milliseconds."""

    id: str
    device: str
    name: str
    created_ms: int
    expires_ms: int | None = None
    last_used_ms: int | None = None
    revoked_ms: int | None = None

    def works_at(self, now_ms: int) -> bool:
        """Tell whether it is neither revoked nor expired.

        Examples
        --------
        >>> DeviceToken("i", "phone-1", "", 0, expires_ms=10).works_at(10)
        False
        """
        return self.revoked_ms is None and (self.expires_ms is None or now_ms < self.expires_ms)


class DeviceTokens:
    """Makes tokens of devices and recognises them.

    Parameters
    ----------
    database
        Where their hashes are kept.
    now_ms
        The clock.
    """

    def __init__(self, database: Database, *, now_ms: Callable[[], int] = wall_clock_ms) -> None:
        self._database = database
        self._now_ms = now_ms

    def create_device_token(
        self, device: str, *, name: str = "", expires_ms: int | None = None, by: str = ""
    ) -> tuple[str, DeviceToken]:
        """Make a token; those of the device that ended more than `KEPT_MS` ago go.

        Parameters
        ----------
        device
            Whose; it need not be known yet.
        name
            For people: which phone, which app. It is not in the audit log.
        expires_ms
            From when on it is refused; None means never.
        by
            Who makes it, for the audit log, which keeps the device under a pseudonym; empty keeps
            it out of there.

        Returns
        -------
        plain : str
            The token. It can't be shown again.
        token : DeviceToken

        Raises
        ------
        InvalidInput
            It would be expired already.
        Conflict
            `MOST_LIVE` of the device work already.
        """
        now_ms = self._now_ms()
        if expires_ms is not None and expires_ms <= now_ms:
            raise InvalidInput(Problem("expires_ms", str(expires_ms), "must be in the future"))
        made, plain = new_plain(PREFIX)
        with self._database.write() as connection:
            cursor = cursor_of(connection)
            who = pseudonym(cursor, DEVICE, device) if by else ""
            detail = {"token": made, "expires_ms": expires_ms}
            note(connection, now_ms, by, "device_token.create", who, detail)
            cursor.execute(_TIDY, (device, now_ms - KEPT_MS, now_ms - KEPT_MS))
            (live,) = cursor.execute(_COUNT, (device, now_ms)).fetchone()
            if live >= MOST_LIVE:
                raise Conflict(
                    f"this device has {live} tokens that work, and may have {MOST_LIVE}: revoke one"
                    " that is not used any more (DELETE /v1/devices/{id}/tokens/{token})"
                )
            cursor.execute(_INSERT, (made, device, name, digest_of(plain), now_ms, expires_ms))
        return plain, DeviceToken(made, device, name, now_ms, expires_ms)

    def device_tokens(self, device: str) -> list[DeviceToken]:
        """Return the tokens of a device, oldest first; of late also those that have ended."""
        with self._database.read() as connection:
            rows = cursor_of(connection).execute(_LIST, (device,)).fetchall()
        return [DeviceToken(*row) for row in rows]

    def revoke_device_token(self, device: str, id: str, *, by: str = "") -> None:
        """Refuse a token from now on; again changes nothing.

        `by` is who did it, for the audit log; empty keeps it out of there.

        Raises
        ------
        NotFound
            The device has no token of this id.
        """
        now_ms = self._now_ms()
        with self._database.write() as connection:
            cursor = cursor_of(connection)
            row = cursor.execute(_FIND, (id,)).fetchone()
            if row is None or row[1] != device:
                raise NotFound("token of this device", id)
            cursor.execute(_REVOKE, (now_ms, id))
            if cursor.rowcount:
                who = pseudonym(cursor, DEVICE, device) if by else ""
                note(connection, now_ms, by, "device_token.revoke", who, {"token": id})

    def find_device_token(self, device: str, plain: str, now_ms: int) -> DeviceToken | None:
        """Return the token that this is; None when it is none, another device's, or has ended.

        Parameters
        ----------
        device
            Who logs in.
        plain
            With which password.
        now_ms
            For the expiry.

        Raises
        ------
        StoreError
            The database can't be read.
        """
        claimed = id_in(plain, PREFIX)
        if claimed is None:
            return None
        with self._database.read() as connection:
            row = cursor_of(connection).execute(_FIND, (claimed,)).fetchone()
        # the same work whether or not there is such a token: time tells nobody which ids exist
        proven = hmac.compare_digest(_NOBODY if row is None else bytes(row[-1]), digest_of(plain))
        if row is None or not proven:
            return None
        token = DeviceToken(*row[:-1])
        return token if token.device == device and token.works_at(now_ms) else None

    def note_token_uses(self, uses: Mapping[str, int]) -> None:
        """Note when tokens were used, in one transaction; to `USED_EVERY_MS`.

        Parameters
        ----------
        uses
            Instants by id, Unix milliseconds. Ids of tokens that are gone are left out.
        """
        rows = [(used_ms, each, used_ms - USED_EVERY_MS + 1) for each, used_ms in uses.items()]
        if rows:
            with self._database.write() as connection:
                cursor_of(connection).executemany(_USE, rows)

    def revoked_tokens(self, since_ms: int) -> list[tuple[str, str]]:
        """Return (id, device) of tokens that were revoked later than this, in order."""
        with self._database.read() as connection:
            rows = cursor_of(connection).execute(_REVOKED, (since_ms,)).fetchall()
        return [(each, device) for each, device in rows]


def forget(cursor: Any, device: str) -> int:
    """Delete the tokens of a device inside the caller's write transaction; return how many."""
    cursor.execute("DELETE FROM device_token WHERE device = ?", (device,))
    return int(cursor.rowcount)
