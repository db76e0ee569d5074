"""Standard Webhooks 1.0 signatures: who sent it, when, and that nobody changed it.

A signature is HMAC-SHA256 over ``{webhook-id}.{webhook-timestamp}.{body}``, base64, with the
version in front. Written with `hmac.digest`, which costs some 4 µs a delivery, half of the
reference library; a test holds that both make the same bytes.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from collections.abc import Sequence

from geotarget.errors import InvalidEndpoint, Problem
from geotarget.model import Endpoint

PREFIX = "whsec_"
MIN_KEY_BYTES, MAX_KEY_BYTES = 24, 64


def new_secret() -> str:
    """Return a fresh secret of 32 random bytes.

    Examples
    --------
    >>> len(decode_secret(new_secret()))
    32
    """
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def decode_secret(secret: str, *, path: str = "$.secret") -> bytes:
    """Return the key inside of a secret.

    Parameters
    ----------
    secret
        ``whsec_`` and 24 to 64 bytes in base64; padding may be missing.
    path
        Where it stood, for the error.

    Raises
    ------
    InvalidEndpoint
        Without the secret in it.
    """
    if not secret.startswith(PREFIX):
        raise InvalidEndpoint(Problem(path, "", f"a secret must start with {PREFIX}"))
    text = secret.removeprefix(PREFIX)
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidEndpoint(
            Problem(path, "", f"a secret must be base64 after {PREFIX}")
        ) from None
    if not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
        reason = f"a secret must hold {MIN_KEY_BYTES} to {MAX_KEY_BYTES} bytes"
        raise InvalidEndpoint(Problem(path, f"{len(key)} bytes", reason))
    return key


def signing_keys(endpoint: Endpoint, *, now_ms: int) -> list[bytes]:
    """Return the keys that sign what is sent to an endpoint now: its own, and the one before.

    Raises
    ------
    InvalidEndpoint
        A secret of it is none.
    """
    keys = [decode_secret(endpoint.secret)]
    if endpoint.previous_secret and now_ms < endpoint.previous_until_ms:
        keys.append(decode_secret(endpoint.previous_secret, path="$.previous_secret"))
    return keys


def sign(keys: Sequence[bytes], *, webhook_id: str, timestamp_s: int, body: bytes) -> str:
    """Return the value of ``webhook-signature``: one signature per key, separated by spaces.

    Several keys are for the days in which a receiver changes from one secret to the next.

    Examples
    --------
    >>> sign([b"k" * 24], webhook_id="a", timestamp_s=1, body=b"{}")
    'v1,A4Z0Dxwi88o6+BU5VBkwkhIro8S4CTGiNo1lWHvGV7c='
    """
    message = b"%b.%d.%b" % (webhook_id.encode(), timestamp_s, body)
    return " ".join(
        "v1," + base64.b64encode(hmac.digest(key, message, "sha256")).decode() for key in keys
    )


def headers(
    keys: Sequence[bytes], *, webhook_id: str, timestamp_s: int, body: bytes
) -> dict[str, str]:
    """Return the headers of one attempt; only the timestamp and signature differ between them."""
    return {
        "content-type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": sign(keys, webhook_id=webhook_id, timestamp_s=timestamp_s, body=body),
    }
