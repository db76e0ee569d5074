"""The key of a NATS account: signs what the server is told of who may come in.

Ed25519 in NATS' own writing (Base32, a kind, a checksum), so that a seed may come from `nsc` or
`nk -gen account` as well as from here. Where only random bytes can be had, as in a shell script, 32
of them in Base64 are a seed too. Signing costs 50 µs.

Source: https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_intro/nkey_auth
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
import time
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from geotarget.errors import SettingsError

_ACCOUNT = b"\x00"
_SEED_OF_ACCOUNT = b"\x90\x00"
"""What makes the text begin with A, and with SA."""
_KEY_BYTES = 32
_BASE64_LENGTH = 44
"""Of so many bytes; a seed of NATS has 58 characters."""


class AccountKey:
    """An account's key in NATS' form.

    Parameters
    ----------
    raw
        32 bytes; by default new ones.

    Examples
    --------
    >>> AccountKey.of_seed(AccountKey(bytes(32)).seed).public == AccountKey(bytes(32)).public
    True
    """

    def __init__(self, raw: bytes | None = None) -> None:
        raw = secrets.token_bytes(_KEY_BYTES) if raw is None else raw
        self._key = Ed25519PrivateKey.from_private_bytes(raw)
        self.public = _written(_ACCOUNT + self._key.public_key().public_bytes_raw())

    @classmethod
    def of_seed(cls, seed: str) -> AccountKey:
        """Read a seed, ``SA…``, or the Base64 of 32 bytes.

        Raises
        ------
        SettingsError
            It is none of an account; the message does not show it.
        """
        seed = seed.strip()
        raw = _of_base64(seed) if len(seed) == _BASE64_LENGTH else _of_nats(seed)
        if raw is None:
            raise SettingsError(
                "GEOTARGET_AUTH_CALLOUT_SEED: must be the seed of an account's key, SA…, 58"
                " characters, or 32 random bytes in Base64; `geotarget devices issuer` makes one"
            )
        return cls(raw)

    @property
    def seed(self) -> str:
        """The secret, for `of_seed`."""
        return _written(_SEED_OF_ACCOUNT + self._key.private_bytes_raw())

    def sign(self, claims: dict[str, Any]) -> str:
        """Return claims of this issuer as a token."""
        known = {"jti": secrets.token_hex(16), "iat": int(time.time()), "iss": self.public}
        parts = ({"typ": "JWT", "alg": "ed25519-nkey"}, {**known, **claims})
        text = ".".join(_base64(json.dumps(each).encode()) for each in parts)
        return f"{text}.{_base64(self._key.sign(text.encode()))}"


def _of_nats(seed: str) -> bytes | None:
    try:
        data = base64.b32decode(seed + "=" * (-len(seed) % 8))
    except ValueError:
        return None
    body, check = data[:-2], data[-2:]
    fits = len(body) == len(_SEED_OF_ACCOUNT) + _KEY_BYTES and body[:2] == _SEED_OF_ACCOUNT
    return body[2:] if fits and _check(body) == check else None


def _of_base64(seed: str) -> bytes | None:
    try:
        raw = base64.b64decode(seed, validate=True)
    except ValueError:
        return None
    return raw if len(raw) == _KEY_BYTES else None


def _check(data: bytes) -> bytes:
    return binascii.crc_hqx(data, 0).to_bytes(2, "little")


def _written(data: bytes) -> str:
    return base64.b32encode(data + _check(data)).rstrip(b"=").decode()


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
