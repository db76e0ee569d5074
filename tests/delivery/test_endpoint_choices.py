"""What an endpoint may choose: its headers, its schedule, its scheme of signing."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from memory_outbox import MemoryOutbox
from verifying_receiver import SECRET, Received, Receiver

from geotarget.catalog import Catalog
from geotarget.delivery import AiohttpTransport, Sender
from geotarget.delivery.signature import headers
from geotarget.model import BatchWrite, Delivery, Endpoint
from geotarget.signing import new_secret, public_key
from geotarget.store import Store

TOKEN = "Bearer tok-4711-hush-hush"


def made(count: int = 1) -> list[Delivery]:
    """Make deliveries."""
    return [
        Delivery(f"offer_{n}", "crm", "offer.triggered", b'{"n":%d}' % n, 0) for n in range(count)
    ]


@asynccontextmanager
async def sending(outbox: Any, endpoints: Any, **options: Any) -> AsyncIterator[Sender]:
    """Run a sender to real sockets."""
    transport = AiohttpTransport(["127.0.0.0/8"], total_timeout_s=5)
    settings = {"poll_s": 0.02, "random": Random(3)} | options
    sender = Sender(outbox, endpoints, transport, **settings)
    stop = asyncio.Event()
    running = asyncio.create_task(sender.run(stop))
    try:
        yield sender
    finally:
        stop.set()
        await asyncio.wait_for(running, 30)


def verifies(post: Received, public: str) -> bool:
    """Verify a post as one would who has the public key only."""
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public.removeprefix("whpk_")))
    message = f"{post.webhook_id}.{post.timestamp}.".encode() + post.body
    for each in post.headers["webhook-signature"].split():
        version, signature = each.split(",")
        if version == "v1a":
            try:
                key.verify(base64.b64decode(signature), message)
            except InvalidSignature:
                continue
            return True
    return False


def test_headers_go_with_every_post_and_stay_out_of_sight(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours stand; attempts, logs and the database hold no value, though the receiver sends it back.

    The receiver of this test answers with every header that it got, once cut off by the first KiB.
    """
    caplog.set_level(logging.DEBUG)

    async def echo(request: web.Request, post: Received) -> web.Response:
        told = "".join(f"{name}={value};" for name, value in request.headers.items())
        start = told.index("tok-4711")
        text = " " * (1024 - start - 12) + told if post.webhook_id == "offer_1" else told
        return web.Response(status=500, text=text)

    async def case(store: Store, catalog: Catalog) -> None:
        async with Receiver(echo) as receiver:
            catalog.put_endpoint(
                Endpoint(
                    *("crm", receiver.url, SECRET),
                    headers={"Authorization": TOKEN, "X-Shop": "7", "User-Agent": "shop/1"},
                    delays_s=(0.0,),
                )
            )
            store.write_batch(BatchWrite(deliveries=made(3)))
            async with sending(store, lambda: catalog.snapshot.endpoints):
                await receiver.wait_for(3)
            assert receiver.refused == 0
            for post in receiver.received:
                assert post.headers["authorization"] == TOKEN
                assert (post.headers["x-shop"], post.headers["user-agent"]) == ("7", "shop/1")
                assert post.headers["content-type"] == "application/json"

    with Store.open(f"sqlite:///{tmp_path / 'store.db'}") as store:
        asyncio.run(case(store, Catalog(store)))
        told = [each for n in range(3) for each in store.delivery(f"offer_{n}")]
        attempts = [attempt for each in told for attempt in each.attempts]
        assert len(attempts) == 3
        assert all("[hidden]" in each.answer for each in attempts)
        assert all("tok-4711" not in repr(each) for each in attempts)
    logged = capsys.readouterr()
    assert "catalogue changed" in logged.out
    assert "tok-4711" not in logged.out + logged.err + caplog.text
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"offer_1" in written
    assert b"tok-4711" not in written


def test_ours_win_over_headers_of_the_same_name() -> None:
    """Whatever got into a database that somebody wrote by hand."""
    sent = headers(
        [b"k" * 24],
        webhook_id="offer_1",
        timestamp_s=1,
        body=b"{}",
        more={"Webhook-Id": "forged", "CONTENT-TYPE": "text/plain", "X-Shop": "7"},
    )
    assert sent["X-Shop"] == "7"
    lowered = [name.lower() for name in sent]
    assert len(lowered) == len(set(lowered)) == 5
    assert (sent["webhook-id"], sent["content-type"]) == ("offer_1", "application/json")


def test_each_endpoint_follows_its_own_schedule() -> None:
    """One is tried three times, one once, and one as all are."""

    async def broken(_: web.Request, post: Received) -> web.Response:
        return web.Response(status=400)

    async def case() -> None:
        async with Receiver(broken) as receiver:
            ends = {
                "three": Endpoint("three", receiver.url, SECRET, delays_s=(0.0, 0.01, 0.01)),
                "once": Endpoint("once", receiver.url, SECRET, delays_s=(0.0,)),
                "all": Endpoint("all", receiver.url, SECRET),
            }
            outbox = MemoryOutbox()
            outbox.add(*(Delivery("offer_1", id, "offer.triggered", b"{}", 0) for id in ends))
            async with sending(outbox, lambda: ends, delays_s=(0.0, 0.01)):
                await asyncio.to_thread(outbox.wait, lambda: outbox.states() == {"failed": 3})
            tried = {key[1]: len(row.attempts) for key, row in outbox.rows.items()}
            assert tried == {"three": 3, "once": 1, "all": 2}

    asyncio.run(case())


def test_a_rotation_between_schemes_fails_no_verification(tmp_path: Path) -> None:
    """From a shared secret to a key pair, to another pair and back: each side verifies throughout.

    During an overlap a post verifies with the reference library and with `cryptography` alone.
    """
    first, second = new_secret("ed25519"), new_secret("ed25519")
    publics = [public_key(each) or "" for each in (first, second)]

    async def case(store: Store, catalog: Catalog) -> None:
        async with Receiver() as receiver:

            async def send() -> Received:
                count = len(receiver.received)
                event = Delivery(f"offer_{count}", "crm", "offer.triggered", b'{"a":1}', 0)
                await asyncio.to_thread(store.write_batch, BatchWrite(deliveries=[event]))
                sender.wake()
                await receiver.wait_for(count + 1)
                return receiver.received[-1]

            async def rotate(secret: str, *, ends: bool = False) -> None:
                until_ms = 0 if ends else 1 << 50
                await asyncio.to_thread(store.rotate_secret, "crm", secret, until_ms=until_ms)
                await asyncio.to_thread(catalog.refresh)

            catalog.put_endpoint(Endpoint("crm", receiver.url, SECRET))
            async with sending(store, lambda: catalog.snapshot.endpoints) as sender:
                assert not verifies(await send(), publics[0])
                await rotate(first)
                post = await send()  # the receiver verified it with the shared secret
                assert verifies(post, publics[0])
                assert post.headers["webhook-signature"].count(",") == 2
                receiver.verify = False
                await rotate(first, ends=True)
                assert verifies(await send(), publics[0])
                await rotate(second)
                post = await send()
                assert [verifies(post, each) for each in publics] == [True, True]
                await rotate(second, ends=True)
                post = await send()
                assert [verifies(post, each) for each in publics] == [False, True]
                receiver.verify = True
                await rotate(SECRET)
                assert verifies(await send(), publics[1])
            assert receiver.refused == 0

    with Store.open(f"sqlite:///{tmp_path / 'store.db'}") as store:
        asyncio.run(case(store, Catalog(store)))
