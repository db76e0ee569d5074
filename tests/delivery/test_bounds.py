"""What a receiver's answer may cost: time and bytes, whatever it sends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
from aiohttp import web
from test_egress import LOOPBACK, post, run
from verifying_receiver import Received, Receiver

from geotarget.delivery import AiohttpTransport, egress
from geotarget.delivery.egress import MAX_KEPT_BYTES, MAX_READ_BYTES


def test_the_bounds_are_those_that_are_promised(secret: str) -> None:
    """5 s to connect, 15 s for everything, 16 KiB read, 1 KiB kept: by default and in use."""

    async def case() -> None:
        transport = AiohttpTransport(LOOPBACK)
        async with Receiver() as receiver:
            await post(transport, receiver.url, secret)
            (session,) = transport._sessions.values()
            timeout = session.timeout
            assert (timeout.connect, timeout.sock_connect, timeout.total) == (5.0, 5.0, 15.0)
        await transport.close()

    run(case)
    assert (egress.CONNECT_TIMEOUT_S, egress.TOTAL_TIMEOUT_S) == (5.0, 15.0)
    assert (MAX_READ_BYTES, MAX_KEPT_BYTES) == (16 * 1024, 1024)


def test_a_dripping_answer_ends_with_the_time(secret: str) -> None:
    """A byte now and then keeps nobody beyond the limit; the status has arrived, and counts."""

    async def case() -> None:
        async def drip(request: web.Request, post: Received) -> web.StreamResponse:
            answer = web.StreamResponse(headers={"Content-Length": "100000"})
            await answer.prepare(request)
            while True:
                await answer.write(b".")
                await asyncio.sleep(0.02)

        transport = AiohttpTransport(LOOPBACK, total_timeout_s=0.5)
        async with Receiver(drip) as receiver:
            began = time.monotonic()
            answer = await post(transport, receiver.url, secret)
            assert 0.4 < time.monotonic() - began < 20
            assert (answer.status, answer.error) == (200, "")
            assert answer.text.startswith("..")
            assert answer.text.endswith("[broken off: TimeoutError]")
            async with asyncio.timeout(60):
                await receiver.broken_off.wait()
        await transport.close()

    run(case)


Piece = Callable[[int], bytes]


@pytest.mark.parametrize(
    "piece",
    [lambda number: b"HTTP/1.1 200 OK\r\n"[number : number + 1], lambda number: b"x-a: b\r\n"],
    ids=["status line", "headers without end"],
)
def test_a_dripping_head_ends_with_the_time(secret: str, piece: Piece) -> None:
    """As long as there is no whole head there is no answer, and the time runs out."""

    async def case() -> None:
        ended = asyncio.Event()

        async def drip(_: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
            if piece(99):
                out.write(b"HTTP/1.1 200 OK\r\n")
            try:
                for number in range(10_000):
                    out.write(piece(number))
                    await out.drain()
                    await asyncio.sleep(0.05)
            except ConnectionError:
                ended.set()
            finally:
                out.close()

        server = await asyncio.start_server(drip, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        transport = AiohttpTransport(LOOPBACK, total_timeout_s=0.3)
        began = time.monotonic()
        answer = await post(transport, f"http://127.0.0.1:{port}/", secret)
        assert time.monotonic() - began < 20
        assert answer.status is None
        assert answer.error
        await transport.close()
        if piece(99):
            async with asyncio.timeout(60):
                await ended.wait()
        server.close()

    run(case)


def test_headers_without_end_are_cut(secret: str) -> None:
    """A gigabyte of headers is refused after some kilobytes."""

    async def case() -> None:
        sent = 0
        ended = asyncio.Event()

        async def flood(_: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
            nonlocal sent
            out.write(b"HTTP/1.1 200 OK\r\nx: ")
            try:
                while sent < 1 << 30:
                    out.write(b"y" * 65_536)
                    await out.drain()
                    sent += 65_536
            except ConnectionError:
                ended.set()
            finally:
                out.close()

        server = await asyncio.start_server(flood, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        transport = AiohttpTransport(LOOPBACK, total_timeout_s=10)
        answer = await post(transport, f"http://127.0.0.1:{port}/", secret)
        assert answer.status is None
        assert answer.error
        async with asyncio.timeout(60):
            await ended.wait()
        assert sent < 32 << 20  # what the sockets' buffers took
        await transport.close()
        server.close()

    run(case)
