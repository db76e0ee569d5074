"""Fixtures of the end-to-end tests: a node, a receiver, real brokers."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import Node, Receiver, eventually
from tests.ports import free_ports

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver that answers 204 and verifies."""
    with Receiver(SECRET).running() as running:
        yield running


@pytest.fixture
def node_factory(tmp_path: Path) -> Iterator[Callable[..., Node]]:
    """Make nodes that are killed when the test ends, if they still run."""
    nodes: list[Node] = []

    def make(**changes: object) -> Node:
        port, mqtt_port = free_ports(2)
        node = Node(
            data=tmp_path / f"node{len(nodes)}",
            port=port,
            mqtt_port=mqtt_port,
            **changes,  # type: ignore[arg-type]
        )
        nodes.append(node)
        return node

    yield make
    for node in nodes:
        if node.process is not None and node.process.poll() is None:
            node.kill()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[str]:
    """A real mosquitto with the configuration that this project ships, on a free port."""
    binary = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if binary is None:
        pytest.skip("missing: mosquitto (Debian package mosquitto)")
    (port,) = free_ports(1)
    shipped = (Path(__file__).parents[2] / "services/mosquitto/mosquitto.conf").read_text()
    kept = [
        line
        for line in shipped.splitlines()
        if line.split(" ")[0]
        not in {
            "acl_file",
            "allow_anonymous",
            "listener",
            "log_dest",
            "password_file",
            "persistence_location",
            "use_username_as_clientid",
            "user",
        }
    ]
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    config = folder / "mosquitto.conf"
    config.write_text(
        "\n".join(
            [
                f"listener {port} 127.0.0.1",
                f"persistence_location {folder}/",
                "allow_anonymous true",
                "user root",
            ]
        )
        + "\n"
        + "\n".join(kept)
        + "\n"
    )
    log = (folder / "log").open("wb")
    process = subprocess.Popen([binary, "-c", str(config)], stdout=log, stderr=log)
    try:
        eventually(
            lambda: _answers(port) or process.poll() is not None, seconds=60, what="mosquitto"
        )
        assert process.poll() is None, (folder / "log").read_text()
        yield f"mqtt://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=15)
        log.close()


def _answers(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
