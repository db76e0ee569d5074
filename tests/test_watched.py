"""The port for probes and Prometheus, on real processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from geotarget.errors import SettingsError
from geotarget.runtime.node import Node
from geotarget.runtime.watched import watched
from geotarget.settings import Settings
from tests.conftest import REPOSITORY


def asked(port: int, path: str) -> tuple[int, str, str]:
    """Return status, body and media type of an answer."""
    try:
        answer = urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return answer.status, answer.read().decode(), answer.headers["content-type"]


@contextmanager
def deliver(folder: Path, port: int, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Run the delivery alone, with the port open, until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "geotarget", "deliver"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={
            **os.environ,
            "GEOTARGET_DATA": str(folder),
            "GEOTARGET_HEALTH_PORT": str(port),
            **environment,
        },
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_a_process_without_an_api_can_be_watched(tmp_path: Path, free_port: int) -> None:
    """`deliver` answers all three without a key, nothing else, and stops cleanly beside them."""
    broker = "mqtt://ingest:a-password@127.0.0.1:1883"
    with deliver(tmp_path, free_port, GEOTARGET_MQTT=broker) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("ready ")
        assert "a-password" not in line
        assert (200, '{"status":"alive"}', "application/json") == asked(free_port, "/livez")
        status, body, _ = asked(free_port, "/readyz")
        checks = {each["name"]: each["ok"] for each in json.loads(body)["checks"]}
        assert (200, {"running": True, "database": True, "zones": True}) == (status, checks)
        status, body, media_type = asked(free_port, "/metrics")
        assert (200, True) == (status, media_type.startswith("text/plain; version="))
        assert "geotarget_outbox_pending 0.0" in body
        for path in ("/", "/v1/zones", "/docs", "/openapi.json"):
            assert asked(free_port, path)[0] == 404, path
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=40) == 0


def test_what_starts_is_alive_and_not_ready(tmp_path: Path, free_port: int) -> None:
    """A supervisor doesn't kill what still compiles or restores, and sends nobody there."""
    node = Node(Settings.read(data=tmp_path, health_port=free_port))

    async def watch() -> None:
        async with watched(node):
            ask = partial(asyncio.to_thread, asked, free_port)
            assert (await ask("/livez"))[0] == 200
            status, body, _ = await ask("/readyz")
            wanted = {"name": "running", "ok": False, "detail": "starting"}
            assert (503, [wanted]) == (status, json.loads(body)["checks"])
            node.started = True
            assert (await ask("/readyz"))[0] == 200
            node.draining = True
            status, body, _ = await ask("/readyz")
            assert status == 503
            assert "draining" in body

    node.open()
    try:
        asyncio.run(watch())
    finally:
        node.close()


def test_the_port_is_off_unless_it_is_chosen(tmp_path: Path) -> None:
    """Nothing listens by default, nor with an empty variable."""

    async def watch() -> None:
        for chosen in ({}, {"health_port": ""}):
            async with watched(Node(Settings.read(data=tmp_path, **chosen))) as port:
                assert port is None

    asyncio.run(watch())


def test_a_port_that_is_taken_is_named_with_its_variable(tmp_path: Path, free_port: int) -> None:
    """Whoever starts it learns what to change."""
    settings = Settings.read(data=tmp_path, health_port=free_port)

    async def watch() -> None:
        async with watched(Node(settings)):
            with pytest.raises(SettingsError, match="GEOTARGET_HEALTH_PORT"):
                async with watched(Node(settings)):
                    pass

    asyncio.run(watch())
