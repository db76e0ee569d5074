"""Signatures: the same bytes as the reference library, and secrets that are what they must be."""

from __future__ import annotations

import base64
import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from geotarget.delivery import decode_secret, new_secret, sign
from geotarget.delivery.signature import headers
from geotarget.errors import InvalidEndpoint


@given(
    st.binary(min_size=24, max_size=64),
    st.text(st.characters(codec="ascii", exclude_characters="\n"), min_size=1, max_size=40),
    st.integers(0, 4_000_000_000),
    st.text(max_size=200),
)
def test_signature_equals_the_reference(
    key: bytes, webhook_id: str, timestamp_s: int, body: str
) -> None:
    """Any key, id, time and body are signed as the standardwebhooks library signs them."""
    moment = dt.datetime.fromtimestamp(timestamp_s, dt.UTC)
    secret = "whsec_" + base64.b64encode(key).decode()
    expected = Webhook(secret).sign(webhook_id, moment, body)
    actual = sign([key], webhook_id=webhook_id, timestamp_s=timestamp_s, body=body.encode())
    assert expected == actual
    assert key == decode_secret(secret)
    assert key == decode_secret(secret.rstrip("="))


def test_reference_accepts_either_of_two_secrets() -> None:
    """While secrets change, a receiver with the old or the new one verifies."""
    secrets = [new_secret(), new_secret()]
    now_s = int(dt.datetime.now(dt.UTC).timestamp())
    keys = [decode_secret(secret) for secret in secrets]
    sent = headers(keys, webhook_id="offer_1", timestamp_s=now_s, body=b'{"a":1}')
    for secret in secrets:
        assert Webhook(secret).verify(b'{"a":1}', sent) == {"a": 1}
    assert sent["content-type"] == "application/json"


def test_new_secrets_differ() -> None:
    """Secrets are random and of the recommended form."""
    made = {new_secret() for _ in range(100)}
    assert len(made) == 100
    assert all(secret.startswith("whsec_") and len(secret) == 50 for secret in made)


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "must start with whsec_"),
        ("whsec_", "24 to 64 bytes"),
        ("whsec_" + base64.b64encode(b"k" * 23).decode(), "24 to 64 bytes"),
        ("whsec_" + base64.b64encode(b"k" * 65).decode(), "24 to 64 bytes"),
        ("whsec_not base64 at all, is it?????", "must be base64"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS-", "must be base64"),
        ("whsec_äääääääääääääääääääääääääääää", "must be base64"),
    ],
)
def test_bad_secret_is_refused_without_showing_it(secret: str, reason: str) -> None:
    """A secret that can't be used is refused with the bound, but never repeated."""
    with pytest.raises(InvalidEndpoint, match=reason) as caught:
        decode_secret(secret)
    assert caught.value.problems[0].path == "$.secret"
    shown = str(caught.value).replace("whsec_", "")
    assert not secret.removeprefix("whsec_") or secret.removeprefix("whsec_") not in shown
