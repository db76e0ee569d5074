"""The same parts as processes of their own: serve, ingest and deliver on one database."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import ADMIN_KEY, Node, Receiver, campaign, eventually, square
from tests.ports import free_ports
from tests.postgres_server import SECRET_KEY

pytestmark = pytest.mark.e2e

HERE = {"lng": 24.94, "lat": 60.17}


@contextlib.contextmanager
def running(folder: Path, url: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run one command of geotarget until the block ends; it must stop cleanly."""
    log = folder / f"{arguments[0]}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "geotarget", *arguments],
            stdout=out,
            stderr=out,
            env={
                **os.environ,
                "GEOTARGET_DATA": str(folder),
                "GEOTARGET_DATABASE_URL": url,
                "GEOTARGET_SECRET_KEY": SECRET_KEY,
                "GEOTARGET_ADMIN_KEY": ADMIN_KEY,
                "GEOTARGET_WEBHOOK_ALLOW_CIDRS": "127.0.0.0/8",
            },
        )
        try:
            eventually(
                lambda: "\nready" in "\n" + log.read_text() or process.poll() is not None,
                seconds=60,
                what=f"ready line of {arguments[0]}",
            )
            assert process.poll() is None, log.read_text()
            yield process
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=40) == 0, log.read_text()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def test_three_processes_do_what_one_does(
    tmp_path: Path, database_url: str, mosquitto: str, receiver: Receiver
) -> None:
    """A ping by HTTP to `serve` goes over the broker to `ingest`, its offer out by `deliver`."""
    (port,) = free_ports(1)
    node = Node(data=tmp_path, port=port, mqtt_port=0)
    with (
        running(tmp_path, database_url, "serve", "--port", str(port), "--mqtt", mosquitto),
        running(tmp_path, database_url, "ingest", "--mqtt", mosquitto),
        running(tmp_path, database_url, "deliver"),
    ):
        node.put("/v1/endpoints/e", {"url": receiver.url, "secret": receiver.secret})
        node.put("/v1/campaigns/c", campaign("e"))
        node.put("/v1/zones/z", square("z", **HERE, half_m=100))
        ping = {"device": "a", **HERE, "acc": 5}

        def arrived() -> bool:
            # the other processes follow the catalogue within a second: pings go on meanwhile
            status, answer = node.call("POST", "/v1/pings", [{**ping, "ts": time.time()}])
            assert (status, answer["accepted"]) == (202, 1)
            return len(receiver.bodies) > 0

        eventually(arrived, seconds=60, what="the offer")
    assert len(receiver.bodies) == 1
    assert receiver.unverified == []
