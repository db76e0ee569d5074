"""The secrets that sign webhooks, of both schemes of Standard Webhooks 1.0.

``hmac`` (``v1``): one secret that both sides know, HMAC-SHA-256, 4 µs a delivery. ``ed25519``
(``v1a``): a private key here and a public one at the receiver, which can verify and not forge, some
30 µs a delivery. A secret's prefix tells its scheme, so nothing else has to be stored. Keys that
were read are kept in memory, for reading one costs as much as signing.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from functools import lru_cache
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from geotarget.errors import InvalidEndpoint, Problem

Scheme = Literal["hmac", "ed25519"]
Key = bytes | Ed25519PrivateKey

PREFIX, PRIVATE_PREFIX, PUBLIC_PREFIX = "whsec_", "whsk_", "whpk_"
MIN_KEY_BYTES, MAX_KEY_BYTES, NEW_KEY_BYTES = 24, 64, 32
SEED_BYTES = 32
_KEPT = 4_096


def new_secret(scheme: Scheme = "hmac") -> str:
    """Return a fresh secret of 32 random bytes, or a fresh private key with its public half.

    Examples
    --------
    >>> len(decode_secret(new_secret()))
    32
    >>> public_key(new_secret("ed25519"))[:5]
    'whpk_'
    """
    if scheme == "hmac":
        return PREFIX + base64.b64encode(secrets.token_bytes(NEW_KEY_BYTES)).decode()
    key = Ed25519PrivateKey.generate()
    both = key.private_bytes_raw() + key.public_key().public_bytes_raw()
    return PRIVATE_PREFIX + base64.b64encode(both).decode()


def scheme_of(secret: str) -> Scheme:
    """Return how a secret signs.

    Examples
    --------
    >>> scheme_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    'hmac'
    """
    return "ed25519" if secret.startswith(PRIVATE_PREFIX) else "hmac"


def decode_secret(secret: str, *, path: str = "$.secret") -> Key:
    """Return the key inside of a secret.

    Parameters
    ----------
    secret
        ``whsec_`` and 24 to 64 bytes in base64, or ``whsk_`` and an Ed25519 private key: its 32
        bytes, or these and the 32 of its public key. Padding may be missing.
    path
        Where it stood, for the error.

    Raises
    ------
    InvalidEndpoint
        Without the secret in it.
    """
    try:
        return _key(secret)
    except _Refused as refused:
        raise InvalidEndpoint(Problem(path, refused.value, str(refused))) from None


def public_key(secret: str) -> str | None:
    """Return the public key of a secret, ``whpk_`` and base64; None: it has none.

    Raises
    ------
    InvalidEndpoint
        It is a private key that can't be read.
    """
    if scheme_of(secret) == "hmac":
        return None
    key = decode_secret(secret)
    assert isinstance(key, Ed25519PrivateKey)
    return PUBLIC_PREFIX + base64.b64encode(key.public_key().public_bytes_raw()).decode()


def signature(key: Key, message: bytes) -> str:
    """Return one signature with its version in front.

    Examples
    --------
    >>> signature(b"k" * 24, b"a.1.{}")
    'v1,A4Z0Dxwi88o6+BU5VBkwkhIro8S4CTGiNo1lWHvGV7c='
    """
    if isinstance(key, bytes):
        return "v1," + base64.b64encode(hmac.digest(key, message, "sha256")).decode()
    return "v1a," + base64.b64encode(key.sign(message)).decode()


class _Refused(ValueError):
    """A secret is none; the message never holds it."""

    def __init__(self, reason: str, value: str = "") -> None:
        super().__init__(reason)
        self.value = value


@lru_cache(_KEPT)
def _key(secret: str) -> Key:
    prefix = PRIVATE_PREFIX if secret.startswith(PRIVATE_PREFIX) else PREFIX
    if not secret.startswith(prefix):
        raise _Refused(f"a secret must start with {PREFIX} or {PRIVATE_PREFIX}")
    text = secret.removeprefix(prefix)
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise _Refused(f"a secret must be base64 after {prefix}") from None
    if prefix == PRIVATE_PREFIX:
        return _private(raw)
    if not MIN_KEY_BYTES <= len(raw) <= MAX_KEY_BYTES:
        reason = f"a secret must hold {MIN_KEY_BYTES} to {MAX_KEY_BYTES} bytes"
        raise _Refused(reason, f"{len(raw)} bytes")
    return raw


def _private(raw: bytes) -> Ed25519PrivateKey:
    if len(raw) not in {SEED_BYTES, 2 * SEED_BYTES}:
        reason = "a private key must hold 32 bytes, or 64 with its public key"
        raise _Refused(reason, f"{len(raw)} bytes")
    key = Ed25519PrivateKey.from_private_bytes(raw[:SEED_BYTES])
    if raw[SEED_BYTES:] not in {b"", key.public_key().public_bytes_raw()}:
        raise _Refused("the second half of a private key must be its public key")
    return key
