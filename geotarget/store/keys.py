"""API keys: ``gt_live_<id>_<secret><crc>``.

The id finds the row, the secret (256 random bits) proves the holder, and the checksum tells a
mistyped key from a wrong one without asking the database; scanners of leaked secrets can use it
too. Only the SHA-256 of the whole key is stored: with that much randomness in it, a slow hash
would protect nothing more.
"""

from __future__ import annotations

import hmac
import secrets
import string
from collections.abc import Callable, Collection
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from zlib import crc32

import sqlalchemy as sa
import structlog

from geotarget.errors import Conflict, InvalidInput, NotFound, Problem, StoreError
from geotarget.store import tables
from geotarget.store.audit import note
from geotarget.store.database import Database, wall_clock_ms
from geotarget.store.documents import from_json, to_json

log = structlog.get_logger(__name__)

SCOPES = (
    "pings:write",
    "zones:read",
    "zones:write",
    "campaigns:read",
    "campaigns:write",
    "endpoints:read",
    "endpoints:write",
    "profiles:read",
    "profiles:write",
    "audiences:read",
    "audiences:write",
    "conversions:write",
    "reports:read",
    "exports:read",
    "deliveries:write",
    "traces:write",
    "devices:write",
    "admin",
)
"""What a key may be allowed to do; ``admin`` is everything, writing implies reading."""

PREFIX = "gt_live_"
USED_EVERY_MS = 60_000
"""How exact `ApiKey.last_used_ms` is: a write per request would be too dear."""

_DIGITS = string.digits + string.ascii_letters
_NOBODY = bytes(32)
_ID, _SECRET, _CRC = 12, 43, 6  # characters; 62 ** 43 > 2 ** 256, 62 ** 6 > 2 ** 32

_key = tables.api_key
_COLUMNS = (
    _key.c.id,
    _key.c.name,
    _key.c.scopes,
    _key.c.created_ms,
    _key.c.expires_ms,
    _key.c.last_used_ms,
    _key.c.revoked_ms,
)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key; never the key itself. Instants are Unix milliseconds."""

    id: str
    name: str
    scopes: frozenset[str]
    created_ms: int
    expires_ms: int | None = None
    last_used_ms: int | None = None
    revoked_ms: int | None = None


class Keys:
    """Makes keys and recognises them.

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

    def create_key(
        self,
        *,
        name: str,
        scopes: Collection[str],
        expires_ms: int | None = None,
        by: str = "",
    ) -> tuple[str, ApiKey]:
        """Make a key.

        Parameters
        ----------
        name
            For people: who holds it.
        scopes
            At least one of `SCOPES`.
        expires_ms
            From when on it is refused; None means never.
        by
            Who makes it, for the audit log; empty keeps it out of there.

        Returns
        -------
        plain : str
            The key. It can't be shown again.
        key : ApiKey

        Raises
        ------
        InvalidInput
            A scope is unknown or there is none, the name is empty, or it would be expired already.
        """
        now_ms = self._now_ms()
        problems = _problems(name, scopes, expires_ms, now_ms)
        if problems:
            raise InvalidInput(*problems)
        with self._database.write() as connection:
            plain, key = _make(connection, name, frozenset(scopes), now_ms, expires_ms)
            detail = {"name": name, "scopes": sorted(key.scopes), "expires_ms": expires_ms}
            note(connection, now_ms, by, "key.create", key.id, detail)
        return plain, key

    def rotate_key(self, id: str, *, overlap_ms: int, by: str = "") -> tuple[str, ApiKey]:
        """Make another key of the same name and scopes; the old one ends after a while.

        Parameters
        ----------
        id
            The old key.
        overlap_ms
            How long both work; 0 ends the old one now. It never prolongs the old one.
        by
            Who does it, for the audit log; empty keeps it out of there.

        Returns
        -------
        plain : str
            The new key. It can't be shown again.
        key : ApiKey
            Valid for as long as the old one was when it was made.

        Raises
        ------
        NotFound
            There is no key of this id.
        Conflict
            It is revoked or has expired: nothing is left to be handed over.
        """
        now_ms = self._now_ms()
        with self._database.write() as connection:
            row = connection.execute(sa.select(*_COLUMNS).where(_key.c.id == id)).one_or_none()
            if row is None:
                raise NotFound("API key", id)
            old = _read(row)
            if old.revoked_ms is not None:
                raise Conflict(f"the API key {id} is revoked; make a new one")
            if old.expires_ms is not None and old.expires_ms <= now_ms:
                raise Conflict(f"the API key {id} has expired; make a new one")
            ends_ms = now_ms + overlap_ms
            expires_ms = None
            if old.expires_ms is not None:
                ends_ms = min(ends_ms, old.expires_ms)
                expires_ms = now_ms + old.expires_ms - old.created_ms
            plain, key = _make(connection, old.name, old.scopes, now_ms, expires_ms)
            connection.execute(sa.update(_key).where(_key.c.id == id).values(expires_ms=ends_ms))
            detail = {"name": key.name, "new": key.id, "old_expires_ms": ends_ms}
            note(connection, now_ms, by, "key.rotate", id, detail)
        return plain, key

    def authenticate(self, plain: str, now_ms: int) -> ApiKey | None:
        """Return the key that this is, None when it is none, expired or revoked.

        Parameters
        ----------
        plain
            What the caller sent.
        now_ms
            For the expiry, and to note the use (once a minute).

        Raises
        ------
        StoreError
            The database can't be read. That the use can't be noted keeps nobody out.
        """
        claimed = id_in(plain, PREFIX)
        if claimed is None:
            return None
        digest = digest_of(plain)
        with self._database.read() as connection:
            row = connection.execute(
                sa.select(*_COLUMNS, _key.c.digest).where(_key.c.id == claimed)
            ).one_or_none()
        # the same work whether or not there is such a key: time tells nobody which ids exist
        proven = hmac.compare_digest(_NOBODY if row is None else row.digest, digest)
        if row is None or not proven:
            return None
        return self._use(_read(row), now_ms)

    def key_of_session(self, id: str, now_ms: int) -> ApiKey | None:
        """Return a key that has proved itself before, by its id; None when it works no more.

        Parameters
        ----------
        id
            Out of something that only we can have made.
        now_ms
            For the expiry, and to note the use (once a minute).

        Raises
        ------
        StoreError
            The database can't be read.
        """
        with self._database.read() as connection:
            row = connection.execute(sa.select(*_COLUMNS).where(_key.c.id == id)).one_or_none()
        return None if row is None else self._use(_read(row), now_ms)

    def _use(self, key: ApiKey, now_ms: int) -> ApiKey | None:
        if key.revoked_ms is not None or (key.expires_ms is not None and key.expires_ms <= now_ms):
            return None
        if key.last_used_ms is None or now_ms - key.last_used_ms >= USED_EVERY_MS:
            self._note_use(key, now_ms)
        return key

    def keys(self) -> list[ApiKey]:
        """Return all keys, oldest first, revoked and expired ones too."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(*_COLUMNS).order_by(_key.c.created_ms, _key.c.id))
            return [_read(row) for row in rows]

    def revoke_key(self, id: str, *, by: str = "") -> None:
        """Refuse a key from now on; again changes nothing.

        `by` is who did it, for the audit log; empty keeps it out of there.

        Raises
        ------
        NotFound
            There is no key of this id.
        """
        now_ms = self._now_ms()
        with self._database.write() as connection:
            found = connection.execute(
                sa.select(_key.c.revoked_ms).where(_key.c.id == id)
            ).one_or_none()
            if found is None:
                raise NotFound("API key", id)
            if found.revoked_ms is None:
                connection.execute(sa.update(_key).where(_key.c.id == id).values(revoked_ms=now_ms))
                note(connection, now_ms, by, "key.revoke", id)

    def _note_use(self, key: ApiKey, now_ms: int) -> None:
        try:
            with self._database.write() as connection:
                connection.execute(
                    sa.update(_key).where(_key.c.id == key.id).values(last_used_ms=now_ms)
                )
        except StoreError as error:
            log.warning("use of a key not noted", key=key.id, error=str(error))


def _make(
    connection: sa.Connection,
    name: str,
    scopes: frozenset[str],
    now_ms: int,
    expires_ms: int | None,
) -> tuple[str, ApiKey]:
    """Write a new key; return it in plain, and what is known of it."""
    made, plain = new_plain(PREFIX)
    key = ApiKey(id=made, name=name, scopes=scopes, created_ms=now_ms, expires_ms=expires_ms)
    connection.execute(
        sa.insert(_key).values(
            id=key.id,
            name=name,
            digest=digest_of(plain),
            scopes=to_json(sorted(scopes)),
            created_ms=now_ms,
            expires_ms=expires_ms,
        )
    )
    return plain, key


def _problems(
    name: str, scopes: Collection[str], expires_ms: int | None, now_ms: int
) -> list[Problem]:
    known = ", ".join(SCOPES)
    problems = [
        Problem(f"scopes[{position}]", str(scope)[:80], f"must be one of {known}")
        for position, scope in enumerate(scopes)
        if scope not in SCOPES
    ]
    if not scopes:
        problems.append(Problem("scopes", "", f"must name at least one of {known}"))
    if not name.strip():
        problems.append(Problem("name", name, "must say whose key it is"))
    if expires_ms is not None and expires_ms <= now_ms:
        problems.append(Problem("expires_ms", str(expires_ms), "must be in the future"))
    return problems


def new_plain(prefix: str) -> tuple[str, str]:
    """Return a new id, and a new key in plain that begins with this prefix and has the id in it."""
    made = _random(_ID)
    body = f"{prefix}{made}_{_random(_SECRET)}"
    return made, body + _checksum(body)


def id_in(plain: str, prefix: str) -> str | None:
    """Return the id in a key that is well-formed, None for anything else."""
    body, check = plain[:-_CRC], plain[-_CRC:]
    well_formed = (
        len(plain) == len(prefix) + _ID + 1 + _SECRET + _CRC
        and plain.isascii()
        and plain.startswith(prefix)
        and hmac.compare_digest(_checksum(body), check)
    )
    return body[len(prefix) :][:_ID] if well_formed else None


def _random(length: int) -> str:
    return "".join(secrets.choice(_DIGITS) for _ in range(length))


def _checksum(body: str) -> str:
    number, digits = crc32(body.encode()), ""
    for _ in range(_CRC):
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits


def digest_of(plain: str) -> bytes:
    """Return what is stored of a key."""
    return sha256(plain.encode()).digest()


def _read(row: Any) -> ApiKey:
    return ApiKey(
        id=row.id,
        name=row.name,
        scopes=frozenset(from_json(row.scopes)),
        created_ms=row.created_ms,
        expires_ms=row.expires_ms,
        last_used_ms=row.last_used_ms,
        revoked_ms=row.revoked_ms,
    )
