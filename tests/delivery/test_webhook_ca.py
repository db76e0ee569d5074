"""Webhooks to receivers of a private network, whose certificates come from an own authority."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from aiohttp import web

from geotarget.certificates import ServerCertificate
from geotarget.delivery import AiohttpTransport
from geotarget.delivery.schedule import Answer
from geotarget.settings import Settings
from tests.certificates import Authority


def post(pair: tuple[Path, Path], **settings: Any) -> Answer:
    """Post once to a receiver that shows a certificate, trusting what the settings say."""

    async def run() -> Answer:
        async def take(_: web.Request) -> web.Response:
            return web.Response(status=204)

        app = web.Application()
        app.router.add_post("/hook", take)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=ServerCertificate(*pair).server)
        await site.start()
        port = runner.addresses[0][1]
        transport = AiohttpTransport(
            ["127.0.0.0/8"], ssl_context=Settings.read(**settings).webhook_trust()
        )
        try:
            return await transport.post(f"https://127.0.0.1:{port}/hook", headers={}, body=b"{}")
        finally:
            await transport.close()
            await runner.cleanup()

    return asyncio.run(run())


def test_a_receiver_of_an_own_authority_is_reached(tmp_path: Path) -> None:
    """With the authority in GEOTARGET_WEBHOOK_CA, which counts besides the system's."""
    authority = Authority(tmp_path)
    answer = post(authority.local(), webhook_ca=str(authority.file))
    assert (answer.status, answer.error) == (204, "")
    trust = Settings.read(webhook_ca=str(authority.file)).webhook_trust()
    assert trust is not None
    assert trust.check_hostname
    assert len(trust.get_ca_certs()) >= 1


def test_without_it_nothing_is_posted(tmp_path: Path) -> None:
    """The attempt says that the certificate could not be verified, and why."""
    answer = post(Authority(tmp_path).local())
    assert answer.status is None
    assert "certificate verify failed: unable to get local issuer certificate" in answer.error


def test_another_authority_is_refused(tmp_path: Path) -> None:
    """One that signs for somebody else is not enough."""
    other = Authority(tmp_path / "other", "other authority")
    answer = post(Authority(tmp_path).local(), webhook_ca=str(other.file))
    assert answer.status is None
    assert "certificate verify failed" in answer.error


def test_another_name_is_refused(tmp_path: Path) -> None:
    """An authority that is trusted does not make every receiver the right one."""
    authority = Authority(tmp_path)
    pair = authority.issue("elsewhere.example", "elsewhere.example")
    answer = post(pair, webhook_ca=str(authority.file))
    assert answer.status is None
    assert "IP address mismatch" in answer.error
