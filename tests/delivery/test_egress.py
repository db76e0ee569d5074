"""One post: to real servers on loopback, through the guarded socket."""

from __future__ import annotations

import asyncio
import gzip
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from verifying_receiver import Received, Receiver

from geotarget import metrics
from geotarget.delivery import AiohttpTransport, Answer
from geotarget.delivery.signature import decode_secret, headers

LOOPBACK = ["127.0.0.0/8"]


class Pinned(AbstractResolver):
    """Resolves every name to the next of the given addresses, the last one for ever."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Answer without a look-up."""
        address = self.addresses[min(self.asked, len(self.addresses) - 1)]
        self.asked += 1
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
        ]

    async def close(self) -> None:
        """Nothing to close."""


async def post(transport: AiohttpTransport, url: str, secret: str, body: bytes = b"{}") -> Answer:
    """Post a signed body, as the sender does."""
    key, now_s = decode_secret(secret), int(time.time())
    signed = headers([key], webhook_id="offer_1", timestamp_s=now_s, body=body)
    return await transport.post(url, headers=signed, body=body)


def run(case: Callable[[], object]) -> None:
    """Run a coroutine function to its end."""
    asyncio.run(case())  # type: ignore[arg-type]


def blocked() -> float:
    """Return the counter of refused connections."""
    return metrics.ssrf_blocked._value.get()


def test_post_arrives_signed_and_connections_are_reused(secret: str) -> None:
    """The receiver verifies the bytes; ten posts in a row share one connection."""

    async def case() -> None:
        transport = AiohttpTransport(LOOPBACK)
        async with Receiver() as receiver:
            for _ in range(10):
                answer = await post(transport, receiver.url, secret, b'{"a":"\xc3\xa4"}')
                assert answer == Answer(204)
            assert receiver.received[0].body == b'{"a":"\xc3\xa4"}'
            assert receiver.received[0].headers["user-agent"] == "geotarget"
            assert len(receiver.connections) == 1
        await transport.close()

    run(case)


def test_redirects_are_not_followed(secret: str) -> None:
    """A redirect is an answer; its target hears nothing."""

    async def case() -> None:
        async def redirect(_: web.Request, post: Received) -> web.Response:
            return web.Response(status=307, headers={"Location": "/elsewhere"})

        transport = AiohttpTransport(LOOPBACK)
        async with Receiver(redirect) as receiver:
            answer = await post(transport, receiver.url, secret)
            assert (answer.status, answer.error) == (307, "")
            assert [seen.path for seen in receiver.received] == ["/hook"]
        await transport.close()

    run(case)


def test_cookies_are_not_kept(secret: str) -> None:
    """A receiver can't make us carry its state."""

    async def case() -> None:
        async def bake(_: web.Request, post: Received) -> web.Response:
            answer = web.Response()
            answer.set_cookie("a", "b")
            return answer

        transport = AiohttpTransport(LOOPBACK)
        async with Receiver(bake) as receiver:
            await post(transport, receiver.url, secret)
            await post(transport, receiver.url, secret)
            assert all("cookie" not in seen.headers for seen in receiver.received)
        await transport.close()

    run(case)


def test_proxies_of_the_environment_are_ignored(
    secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy would connect on our behalf, past the guard."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    async def case() -> None:
        transport = AiohttpTransport(LOOPBACK)
        async with Receiver() as receiver:
            assert (await post(transport, receiver.url, secret)).status == 204
        await transport.close()

    run(case)


def test_huge_answer_is_cut_and_its_connection_closed(secret: str) -> None:
    """Of a gigabyte a few packets are taken; what counts is the status."""

    async def case() -> None:
        sent = 0

        async def flood(request: web.Request, post: Received) -> web.StreamResponse:
            nonlocal sent
            answer = web.StreamResponse(headers={"Content-Length": str(1 << 30)})
            await answer.prepare(request)
            piece = b"x" * 65_536
            while sent < 1 << 30:
                await answer.write(piece)
                sent += len(piece)
            return answer

        transport = AiohttpTransport(LOOPBACK)
        async with Receiver(flood) as receiver:
            answer = await post(transport, receiver.url, secret)
            assert answer == Answer(200, text="x" * 1024)
            async with asyncio.timeout(10):
                await receiver.broken_off.wait()
            assert sent < 32 << 20  # what the sockets' buffers took
            receiver.answering = None
            assert (await post(transport, receiver.url, secret)).status == 204
        await transport.close()

    run(case)


def test_compressed_answer_is_not_unpacked(secret: str) -> None:
    """A bomb stays packed: compression isn't asked for, nor undone."""

    async def case() -> None:
        packed = gzip.compress(b"x" * 10_000_000)

        async def bomb(_: web.Request, post: Received) -> web.Response:
            assert post.headers["accept-encoding"] == "identity"
            return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

        transport = AiohttpTransport(LOOPBACK)
        async with Receiver(bomb) as receiver:
            answer = await post(transport, receiver.url, secret)
            assert answer.status == 200
            assert len(answer.text) <= 1024
            assert "xxxx" not in answer.text
        await transport.close()

    run(case)


def test_answer_is_kept_as_text_that_a_database_takes(secret: str) -> None:
    """Bytes that aren't UTF-8, and NUL, are replaced."""

    async def case() -> None:
        async def odd(_: web.Request, post: Received) -> web.Response:
            return web.Response(status=400, body=b"bad\0 \xff thing", headers={"Retry-After": "7"})

        transport = AiohttpTransport(LOOPBACK)
        async with Receiver(odd) as receiver:
            expected = Answer(400, text="bad\ufffd \ufffd thing", retry_after="7")
            assert expected == await post(transport, receiver.url, secret)
        await transport.close()

    run(case)


def test_hanging_receiver_costs_the_timeout(secret: str) -> None:
    """No answer in time is no answer."""

    async def case() -> None:
        release = asyncio.Event()

        async def hang(_: web.Request, post: Received) -> web.Response:
            await release.wait()
            return web.Response()

        transport = AiohttpTransport(LOOPBACK, total_timeout_s=0.2)
        async with Receiver(hang) as receiver:
            answer = await post(transport, receiver.url, secret)
            assert answer == Answer(None, error="no answer within 0.2 s")
            release.set()
        await transport.close()

    run(case)


def test_hanging_body_does_not_undo_the_status(secret: str) -> None:
    """The receiver has answered; only its explanation is missing."""

    async def case() -> None:
        release = asyncio.Event()

        async def trickle(request: web.Request, post: Received) -> web.StreamResponse:
            answer = web.StreamResponse(status=200, headers={"Content-Length": "100"})
            await answer.prepare(request)
            await answer.write(b"well")
            await release.wait()
            return answer

        transport = AiohttpTransport(LOOPBACK, total_timeout_s=0.3)
        async with Receiver(trickle) as receiver:
            answer = await post(transport, receiver.url, secret)
            assert answer.status == 200
            assert answer.text.startswith("well [broken off: ")
            release.set()
        await transport.close()

    run(case)


def test_network_trouble_is_an_answer(secret: str, free_port: int) -> None:
    """Refused, reset and nonsense come back as errors in words; nothing is raised."""

    async def case() -> None:
        async def reset(request: web.Request, post: Received) -> web.Response:
            request.transport.abort()  # type: ignore[union-attr]
            return web.Response()

        transport = AiohttpTransport(LOOPBACK)
        refused = await post(transport, f"http://127.0.0.1:{free_port}/", secret)
        assert (refused.status, refused.blocked) == (None, False)
        assert "ClientConnectorError" in refused.error
        async with Receiver(reset) as receiver:
            cut = await post(transport, receiver.url, secret)
            assert cut.status is None
            assert cut.error.startswith(("ServerDisconnectedError", "ClientOSError"))

        async def nonsense(_: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
            out.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
            await out.drain()
            out.close()

        server = await asyncio.start_server(nonsense, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        odd = await post(transport, f"http://127.0.0.1:{port}/", secret)
        assert odd.status is None
        assert odd.error
        server.close()
        await transport.close()

    run(case)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/",
        "http://localhost:{port}/",
        "http://2130706433:{port}/",
        "http://0x7f.1:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://0.0.0.0:{port}/",
        "https://127.0.0.1:{port}/",
    ],
)
def test_loopback_is_not_reached_unless_opened(url: str, secret: str) -> None:
    """In whatever way it is spelt: no connection is made, and it is counted."""

    async def case() -> None:
        transport = AiohttpTransport()
        async with Receiver() as receiver:
            before = blocked()
            answer = await post(transport, url.format(port=receiver.port), secret)
            assert (answer.status, answer.blocked) == (None, True)
            assert blocked() == before + 1
            assert receiver.received == []
        await transport.close()

    run(case)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "64:ff9b::7f00:1"]
)
@pytest.mark.parametrize("port", [443, 8443])
def test_name_that_points_inwards_is_refused_at_the_socket(
    address: str, port: int, secret: str
) -> None:
    """A harmless URL whose name resolves to a closed address opens no connection."""

    async def case() -> None:
        transport = AiohttpTransport(resolver=Pinned(address), total_timeout_s=2)
        before = blocked()
        answer = await post(transport, f"https://hooks.example.test:{port}/", secret)
        assert answer.blocked
        assert answer.error == "the address is private, reserved or otherwise closed to webhooks"
        assert blocked() == before + 1
        await transport.close()

    run(case)


def test_rebinding_is_met_at_every_connection(secret: str) -> None:
    """A name that was good a moment ago is judged again when it is connected to again."""

    async def case() -> None:
        async def last(request: web.Request, post: Received) -> web.Response:
            answer = web.Response()
            answer.force_close()
            return answer

        resolver = Pinned("127.0.0.1", "127.0.0.2", "10.0.0.1")
        transport = AiohttpTransport(["127.0.0.1/32"], resolver=resolver)
        async with Receiver(last) as receiver:
            url = f"http://hooks.example.test:{receiver.port}/"
            assert (await post(transport, url, secret)).status == 200
            for session in transport._sessions.values():
                session.connector.clear_dns_cache()  # type: ignore[union-attr]
            assert (await post(transport, url, secret)).blocked
            for session in transport._sessions.values():
                session.connector.clear_dns_cache()  # type: ignore[union-attr]
            assert (await post(transport, url, secret)).blocked
            assert len(receiver.received) == 1
        assert resolver.asked == 3
        await transport.close()

    run(case)


def test_public_address_gets_no_plain_http(secret: str) -> None:
    """Where the operator opened loopback, http to a public address stays refused."""

    async def case() -> None:
        transport = AiohttpTransport(LOOPBACK, resolver=Pinned("8.8.8.8"))
        for url in ("http://hooks.example.test/", "https://hooks.example.test:9000/"):
            assert (await post(transport, url, secret)).blocked
        await transport.close()

    run(case)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_certificates_are_verified(secret: str, tmp_path: Path) -> None:
    """An unknown authority is refused before anything is sent; a trusted one delivers."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", key, "-out", certificate, "-days", "2",
         "-subj", "/CN=hooks.example.test", "-addext", "subjectAltName=DNS:hooks.example.test"],
        check=True, capture_output=True,
    )  # fmt: skip
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate, key)

    async def case() -> None:
        paths: list[str] = []

        async def hook(request: web.Request) -> web.Response:
            paths.append(request.path)
            return web.Response(status=202)

        app = web.Application()
        app.router.add_post("/{tail:.*}", hook)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=serving).start()
        port = runner.addresses[0][1]
        url = f"https://hooks.example.test:{port}/"
        strict = AiohttpTransport(LOOPBACK, resolver=Pinned("127.0.0.1"))
        answer = await post(strict, url, secret)
        assert (answer.status, answer.blocked) == (None, False)
        assert "CertificateError" in answer.error
        trusting = AiohttpTransport(
            LOOPBACK,
            resolver=Pinned("127.0.0.1"),
            ssl_context=ssl.create_default_context(cafile=certificate),
        )
        assert (await post(trusting, url, secret)).status == 202
        wrong_name = await post(trusting, url.replace("hooks.", "other."), secret)
        assert wrong_name.status is None
        assert paths == ["/"]
        await strict.close()
        await trusting.close()
        await runner.cleanup()

    run(case)
