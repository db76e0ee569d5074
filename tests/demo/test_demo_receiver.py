"""The demo's receiver verifies, deduplicates, counts, and remembers what to show."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import aiohttp
from standardwebhooks import Webhook

from geotarget.demo.receiver import Received, Receiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OFFER = {
    "type": "offer.triggered",
    "timestamp": "2026-01-01T12:00:00Z",
    "data": {
        "campaign": "shop-special",
        "offer": {"title": "Rye bread, two for one", "text": "…"},
        "profile": {"id": "walker-007", "attributes": {}},
        "zone": {"id": "central-store", "name": "Central store"},
        "transition": {"kind": "enter", "time": "2026-01-01T11:59:58Z"},
    },
}

Post = Callable[..., Awaitable[int]]


def signed(id: str, event: Any, *, secret: str = SECRET) -> tuple[bytes, dict[str, str]]:
    """Return body and headers as the sender makes them."""
    body = json.dumps(event).encode()
    now = datetime.now(UTC)
    return body, {
        "webhook-id": id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(id, now, body.decode()),
        "content-type": "application/json",
    }


def with_receiver(check: Callable[[Receiver, Post], Awaitable[None]], **options: Any) -> Receiver:
    """Run a check against a receiver that listens."""

    async def run() -> Receiver:
        receiver = Receiver(SECRET, **options)
        await receiver.start()
        try:
            async with aiohttp.ClientSession() as session:

                async def post(body: bytes, headers: dict[str, str]) -> int:
                    async with session.post(receiver.url, data=body, headers=headers) as answer:
                        return answer.status

                await check(receiver, post)
        finally:
            await receiver.stop()
        return receiver

    return asyncio.run(run())


def test_offer_is_verified_and_kept_for_the_display() -> None:
    """A signed offer is answered with 204 and can be read as it will be shown."""

    async def check(receiver: Receiver, post: Post) -> None:
        assert await post(*signed("a", OFFER)) == 204

    receiver = with_receiver(check)
    assert receiver.received == Received(verified=1)
    (offer,) = receiver.offers()
    assert (offer.profile, offer.zone, offer.kind, offer.title) == (
        "walker-007", "Central store", "enter", "Rye bread, two for one",
    )  # fmt: skip


def test_repetition_is_answered_but_counted_apart() -> None:
    """The same webhook id again is a success for the sender and no second offer."""

    async def check(receiver: Receiver, post: Post) -> None:
        assert await post(*signed("a", OFFER)) == 204
        assert await post(*signed("a", OFFER)) == 204
        assert await post(*signed("b", OFFER)) == 204

    receiver = with_receiver(check)
    assert receiver.received == Received(verified=2, duplicates=1)
    assert [each.webhook_id for each in receiver.offers()] == ["b", "a"]


def test_wrong_signature_is_refused() -> None:
    """Another secret, a changed body or missing headers are 401 and counted as bad."""

    async def check(receiver: Receiver, post: Post) -> None:
        body, headers = signed("a", OFFER)
        assert await post(*signed("a", OFFER, secret="whsec_" + "QUJD" * 8)) == 401
        assert await post(body.replace(b"two", b"ten"), headers) == 401
        assert await post(body, {"content-type": "application/json"}) == 401

    receiver = with_receiver(check)
    assert receiver.received == Received(bad=3)
    assert receiver.offers() == []


def test_odd_but_signed_bodies_do_no_harm() -> None:
    """Whatever an author's template leaves out, the receiver answers; no JSON object is 400."""

    async def check(receiver: Receiver, post: Post) -> None:
        assert await post(*signed("a", {"type": "offer.triggered"})) == 204
        assert await post(*signed("b", {"type": "offer.triggered", "data": {"offer": None}})) == 204
        assert await post(*signed("c", {"type": "test"})) == 204
        assert await post(*signed("d", [1, 2])) == 400

    receiver = with_receiver(check)
    assert receiver.received == Received(verified=3, bad=1)
    assert [each.title for each in receiver.offers()] == ["", ""]


def test_only_the_last_offers_are_kept() -> None:
    """Memory is bounded by `keep`."""

    async def check(receiver: Receiver, post: Post) -> None:
        for number in range(5):
            await post(*signed(f"e{number}", OFFER))

    receiver = with_receiver(check, keep=2)
    assert receiver.received.verified == 5
    assert [each.webhook_id for each in receiver.offers()] == ["e4", "e3"]


def test_a_given_port_is_used(free_port: int) -> None:
    """The address that was asked for is the one that listens."""

    async def check(receiver: Receiver, post: Post) -> None:
        assert receiver.url == f"http://127.0.0.1:{free_port}/webhooks"
        assert await post(*signed("a", OFFER)) == 204

    with_receiver(check, port=free_port)
