"""An endpoint that fails for too long: disabled, on record, and told to those who asked."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from aiohttp import web
from verifying_receiver import SECRET, Received, Receiver

from geotarget import metrics
from geotarget.model import BatchWrite, Delivery, Endpoint
from geotarget.runtime.node import Node
from geotarget.settings import Settings


def test_the_other_endpoints_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A signed event goes to those that name its type; logs show no secret.

    The process is the one of `geotarget deliver`, with five days made short.
    """
    node = Node(
        Settings(data=tmp_path, webhook_allow_cidrs=("127.0.0.0/8",), webhook_disable_after_s=0.05)
    )

    async def case() -> None:
        async def broken(_: web.Request, post: Received) -> web.Response:
            await asyncio.sleep(0.06)
            return web.Response(status=500)

        async with Receiver(broken) as bad, Receiver() as ops, Receiver() as quiet:
            node.open()
            for each in (
                Endpoint("crm", bad.url, SECRET),
                Endpoint("ops", ops.url, SECRET, events=("endpoint.disabled",)),
                Endpoint("quiet", quiet.url, SECRET),
            ):
                node.catalog.put_endpoint(each)
            node.start_delivery()
            assert node.sender is not None
            sender, stop = node.sender, asyncio.Event()
            sender._delays_s, sender._probe_s = (0.0, *[0.01] * 50), 0.01
            running = asyncio.create_task(sender.run(stop))
            made = [Delivery(f"offer_{n}", "crm", "offer.triggered", b"{}", 0) for n in range(3)]
            await asyncio.to_thread(node.store.write_batch, BatchWrite(deliveries=made))
            sender.wake()
            await ops.wait_for(1)
            stop.set()
            await running
            assert quiet.received == []
            (told,) = [json.loads(post.body) for post in ops.received]
            assert told["type"] == "endpoint.disabled"
            assert told["data"]["endpoint"] == "crm"
            assert told["data"]["reason"].startswith("every attempt has failed since 20")
            assert told["data"]["failing_since"] <= told["timestamp"]

    counted = metrics.endpoints_disabled._value.get()
    try:
        asyncio.run(case())
        assert metrics.endpoints_disabled._value.get() == counted + 1
        dead = node.store.endpoint("crm")
        assert dead is not None
        assert dead == node.catalog.snapshot.endpoints["crm"]
        assert dead.disabled_reason.startswith("every attempt has failed since")
        (entry,) = node.store.audit_page(subject="crm").items
        assert (entry.actor, entry.action) == ("delivery", "endpoint.disable")
    finally:
        node.close()
    told_by_logs = capsys.readouterr()
    assert SECRET[6:] not in told_by_logs.out + told_by_logs.err
