"""Standard Webhooks 1.0 headers: who sent it, when, and that nobody changed it.

A signature is made over ``{webhook-id}.{webhook-timestamp}.{body}``, one for each secret that holds
(see `signing`); a test holds that they are the same bytes as the reference library's. What an
endpoint wants sent besides stands before ours, and never in their place.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from geotarget.model import Endpoint
from geotarget.signing import Key, decode_secret, signature


def signing_keys(endpoint: Endpoint, *, now_ms: int) -> list[Key]:
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


def sign(keys: Sequence[Key], *, webhook_id: str, timestamp_s: int, body: bytes) -> str:
    """Return the value of ``webhook-signature``: one signature per key, separated by spaces.

    Several keys are for the days in which a receiver changes from one secret to the next.

    Examples
    --------
    >>> sign([b"k" * 24], webhook_id="a", timestamp_s=1, body=b"{}")
    'v1,A4Z0Dxwi88o6+BU5VBkwkhIro8S4CTGiNo1lWHvGV7c='
    """
    message = b"%b.%d.%b" % (webhook_id.encode(), timestamp_s, body)
    return " ".join([signature(key, message) for key in keys])


def headers(
    keys: Sequence[Key],
    *,
    webhook_id: str,
    timestamp_s: int,
    body: bytes,
    more: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the headers of one attempt; only the timestamp and signature differ between them.

    Of `more`, what an endpoint asks for, nothing that is ours is taken.
    """
    ours = {
        "content-type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": sign(keys, webhook_id=webhook_id, timestamp_s=timestamp_s, body=body),
    }
    if not more:
        return ours
    return {name: value for name, value in more.items() if name.lower() not in ours} | ours
