"""Secrets at rest: those of endpoints are encrypted under a key that is not in the database.

So are the headers that go with their webhooks, for tokens stand there. Whoever gets hold of a copy
of the database alone, of a backup say, can't sign webhooks with it, nor use such a token. The key
is given by the operator, or made once and kept in ``secret.key`` beside the database, readable to
its owner only: then copy that file somewhere else than the backups.

Fernet of `cryptography` (AES-128-CBC with HMAC-SHA-256): what is damaged or sealed under another
key is recognised. Opening a secret takes 8 µs, when the catalogue is read and not for each
delivery; checking the key takes one row when a database is opened. A throw-away database has a key
that nobody keeps.

Source: https://github.com/fernet/spec/blob/master/Spec.md
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from geotarget.errors import Problem, SettingsError, StoreError
from geotarget.key_files import make_key_file, warn_if_anybody_reads
from geotarget.store import tables, targeting_tables
from geotarget.store.database import Database

FILE = "secret.key"
KEY_BYTES = 32
MOST_KEY_FILE_BYTES = 4096
VARIABLE = "GEOTARGET_SECRET_KEY"

_CHECK = "sealed"
"""Name of the row that tells a right key from a wrong one, and that secrets are encrypted."""

_SAID = b"geotarget"

_endpoint = tables.endpoint
_secret = targeting_tables.secret


class Seal:
    """Encrypts and decrypts short texts.

    Parameters
    ----------
    keys
        32 bytes each. The first one encrypts; all of them decrypt, for the time of a change.

    Examples
    --------
    >>> seal = Seal([bytes(32)])
    >>> seal.open(seal.close("whsec_x"))
    'whsec_x'
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._fernets = [Fernet(base64.urlsafe_b64encode(key)) for key in keys]
        self._all = MultiFernet(self._fernets)

    @classmethod
    def throw_away(cls) -> Seal:
        """Return one whose key nobody keeps."""
        return cls([os.urandom(KEY_BYTES)])

    def close(self, text: str) -> str:
        """Return the encrypted text; nothing stays nothing."""
        return self._all.encrypt(text.encode()).decode() if text else ""

    def open(self, sealed: str) -> str:
        """Return the text again.

        Raises
        ------
        StoreError
            It was encrypted under another key, or is damaged.
        """
        try:
            return self._all.decrypt(sealed).decode() if sealed else ""
        except InvalidToken:
            raise StoreError(
                "a secret in the database is damaged, or encrypted under another key: restore it "
                "from a backup, or set the endpoint's secret again"
            ) from None

    def knows(self, sealed: bytes) -> bool:
        """Tell whether one of the keys opens it."""
        return any(_opens(fernet, sealed) for fernet in self._fernets)

    def is_current(self, sealed: bytes) -> bool:
        """Tell whether the first key opens it."""
        return _opens(self._fernets[0], sealed)


def unlock(database: Database, secret_key: str = "") -> Seal:
    """Return what opens the secrets of a database; encrypt those that are still plain.

    Parameters
    ----------
    database
        Of this code's version.
    secret_key
        Base64 of 32 bytes. Several, separated by commas: the first encrypts from now on, and what
        the others encrypted is encrypted anew. Empty: the key is in ``secret.key`` beside the
        database; the file is made when neither it nor anything encrypted is there.

    Raises
    ------
    SettingsError
        The key can't be read.
    StoreError
        It is not the key of this database, or it is missing.
    """
    if database.is_scratch:
        return Seal.throw_away()
    with database.read() as connection:
        check = _check(connection)
    seal = Seal(_keys(database, secret_key, may_make=check is None))
    if check is not None and seal.is_current(check):
        return seal
    with database.write() as connection:
        _seal_all(database, connection, seal, secret_key)
    database.flush()
    return seal


def _seal_all(database: Database, connection: sa.Connection, seal: Seal, secret_key: str) -> None:
    """Encrypt every secret under the first key, in the transaction that says so."""
    check = _check(connection)
    if check is not None and not seal.knows(check):
        where = VARIABLE if secret_key else FILE
        raise StoreError(
            f"the secrets in {database.name} are encrypted under another key than that of "
            f"{where}: give the key that they were encrypted under; to change it, set {VARIABLE} "
            "to the new key, a comma and the old one"
        )
    with database.overwriting(connection):
        columns = (_endpoint.c.secret, _endpoint.c.previous_secret, _endpoint.c.headers)
        for name, *secrets in connection.execute(sa.select(_endpoint.c.id, *columns)).all():
            plain = secrets if check is None else [seal.open(each) for each in secrets]
            connection.execute(
                sa.update(_endpoint)
                .where(_endpoint.c.id == name)
                .values({c.name: seal.close(each) for c, each in zip(columns, plain, strict=True)})
            )
        connection.execute(sa.delete(_secret).where(_secret.c.name == _CHECK))
        said = seal.close(_SAID.decode()).encode()
        connection.execute(sa.insert(_secret).values(name=_CHECK, value=said))


def _check(connection: sa.Connection) -> bytes | None:
    value = connection.execute(
        sa.select(_secret.c.value).where(_secret.c.name == _CHECK)
    ).scalar_one_or_none()
    return None if value is None else bytes(value)


def _opens(fernet: Fernet, sealed: bytes) -> bool:
    try:
        return fernet.decrypt(sealed) == _SAID
    except InvalidToken:
        return False


def _keys(database: Database, secret_key: str, *, may_make: bool) -> list[bytes]:
    if secret_key:
        return _read(secret_key, VARIABLE)
    folder = database.key_folder
    if folder is None:
        raise StoreError(
            f"the secrets in {database.name} need a key that all processes share: set {VARIABLE} "
            "(`openssl rand -base64 32`)"
        )
    file = folder / FILE
    if may_make and not file.exists():
        _make(file)
    try:
        with file.open("rb") as opened:
            text = opened.read(MOST_KEY_FILE_BYTES).decode("ascii", errors="replace")
        warn_if_anybody_reads(file)
    except FileNotFoundError:
        raise StoreError(
            f"the secrets in {database.name} are encrypted and their key is missing: set "
            f"{VARIABLE}, or put {FILE} back into {folder}"
        ) from None
    except OSError as error:
        raise StoreError(
            f"the key of the secrets, {FILE}, can't be read: {error.strerror}"
        ) from error
    return _read(text, FILE)


def _read(text: str, where: str) -> list[bytes]:
    """Return the keys in a text; what was wrong is named, never shown."""
    found = []
    for position, each in enumerate(text.strip().split(",")):
        try:
            key = base64.b64decode(each.strip().translate({45: 43, 95: 47}), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != KEY_BYTES:
            reason = f"must be the Base64 of {KEY_BYTES} bytes (`openssl rand -base64 32`)"
            raise SettingsError(str(Problem(f"{where}[{position}]", "", reason)))
        found.append(key)
    return found


def _make(file: Path) -> None:
    """Make a key; of several processes that start at once, one makes it and all use that one."""
    try:
        make_key_file(file, base64.b64encode(os.urandom(KEY_BYTES)) + b"\n")
    except OSError as error:
        raise StoreError(
            f"the key of the secrets, {FILE}, can't be made: {error.strerror}"
        ) from error
