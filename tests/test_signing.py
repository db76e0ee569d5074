"""Secrets of both schemes: read, refused without being shown, and signing as published."""

from __future__ import annotations

import base64
import re
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from geotarget.delivery import sign
from geotarget.delivery.signature import headers
from geotarget.errors import InvalidEndpoint
from geotarget.signing import decode_secret, new_secret, public_key, scheme_of
from tests.conftest import REPOSITORY

# Published with the server of those who wrote the specification: key, message and signature.
PRIVATE = "6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
SIGNATURE = (
    "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
)


def as_secret(raw: bytes) -> str:
    """Write a private key down."""
    return "whsk_" + base64.b64encode(raw).decode()


@pytest.mark.parametrize(
    "secret",
    [
        f"whsk_{PRIVATE}",
        f"whsk_{PRIVATE.rstrip('=')}",
        as_secret(base64.b64decode(PRIVATE)[:32]),
    ],
)
def test_ed25519_signs_as_published(secret: str) -> None:
    """With the public key behind the private one, or without."""
    key = decode_secret(secret)
    said = sign(
        [key],
        webhook_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp_s=1_614_265_330,
        body=b'{"test": 2432232314}',
    )
    assert SIGNATURE == said
    assert PUBLIC == public_key(secret)
    assert "ed25519" == scheme_of(secret)


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200))
def test_any_private_key_verifies_with_its_public_key(seed: bytes, body: bytes) -> None:
    """As `cryptography` verifies it, over id, time and body."""
    key = decode_secret(as_secret(seed))
    version, signature = sign([key], webhook_id="a", timestamp_s=7, body=body).split(",")
    told = public_key(as_secret(seed))
    assert told is not None
    verifier = Ed25519PublicKey.from_public_bytes(base64.b64decode(told.removeprefix("whpk_")))
    verifier.verify(base64.b64decode(signature), b"a.7." + body)
    assert ("v1a", verifier) == (version, Ed25519PrivateKey.from_private_bytes(seed).public_key())


def test_new_private_keys_differ_and_bring_their_public_half() -> None:
    """64 bytes, as other libraries of Standard Webhooks read them."""
    made = {new_secret("ed25519") for _ in range(20)}
    assert 20 == len(made)
    for secret in made:
        raw = base64.b64decode(secret.removeprefix("whsk_"))
        assert "whpk_" + base64.b64encode(raw[32:]).decode() == public_key(secret)


def test_a_shared_secret_has_no_public_key() -> None:
    """None is shown for it."""
    assert (None, "hmac") == (public_key(new_secret()), scheme_of(new_secret("hmac")))


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        (PUBLIC, "must start with whsec_ or whsk_"),
        ("whsk_", "must hold 32 bytes, or 64"),
        (as_secret(b"k" * 33), "must hold 32 bytes, or 64"),
        (as_secret(b"k" * 64), "second half of a private key must be its public key"),
        ("whsk_no base64", "must be base64 after whsk_"),
    ],
)
def test_a_bad_private_key_is_refused_without_showing_it(secret: str, reason: str) -> None:
    """With the bound and the place."""
    for _ in range(2):  # what was refused is not remembered as good
        with pytest.raises(InvalidEndpoint, match=reason) as refused:
            decode_secret(secret, path="$.previous_secret")
    assert "$.previous_secret" == refused.value.problems[0].path
    rest = secret.removeprefix("whsk_")
    assert not rest or rest not in str(refused.value)


def test_the_lines_in_the_documentation_verify() -> None:
    """What `webhooks.md` says to copy takes what is ours and new, during a rotation too."""
    page = (REPOSITORY / "geotarget" / "docs" / "webhooks.md").read_text()
    (code,) = [
        block
        for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL)
        if "def verify(public_key" in block
    ]
    names: dict[str, Any] = {}
    exec(code, names)
    verify, now_s = names["verify"], int(time.time())
    secrets = [new_secret("ed25519"), new_secret(), new_secret("ed25519")]
    keys = [decode_secret(each) for each in secrets]
    sent = headers(keys, webhook_id="offer_1", timestamp_s=now_s, body=b"{}")
    for position in (0, 2):
        assert verify(public_key(secrets[position]), sent, b"{}")
        assert not verify(public_key(secrets[position]), sent, b"[]")
    assert not verify(public_key(new_secret("ed25519")), sent, b"{}")
    old = headers(keys, webhook_id="offer_1", timestamp_s=now_s - 400, body=b"{}")
    assert not verify(public_key(secrets[0]), old, b"{}")
