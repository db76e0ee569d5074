"""Three NATS servers on loopback, with the configuration that this project ships."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from pathlib import Path

from geotarget.ingest.nats_server import find_server
from tests.conftest import REPOSITORY
from tests.e2e.harness import eventually
from tests.ports import free_ports

NODES = 3


class Cluster:
    """Starts, kills and restarts its nodes; everything is under one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ports = free_ports(4 * NODES)
        self.client_ports, self.mqtt_ports = ports[:NODES], ports[NODES : 2 * NODES]
        self._cluster_ports, self._http_ports = ports[2 * NODES : 3 * NODES], ports[3 * NODES :]
        self.processes: list[subprocess.Popen[bytes] | None] = [None] * NODES
        shipped = (REPOSITORY / "services/nats/nats-cluster.conf").read_text()
        self._config = folder / "nats-cluster.conf"
        self._config.write_text(shipped.replace('"0.0.0.0"', '"127.0.0.1"'))

    @property
    def admin_url(self) -> str:
        return ",".join(self.client_url(node, "admin") for node in range(NODES))

    @property
    def ingest_url(self) -> str:
        return ",".join(self.client_url(node, "ingest") for node in range(NODES))

    def client_url(self, node: int, user: str) -> str:
        return f"nats://{user}:for-{user}@127.0.0.1:{self.client_ports[node]}"

    def url(self, node: int, user: str = "ingest") -> str:
        return f"mqtt://{user}:for-{user}@127.0.0.1:{self.mqtt_ports[node]}"

    def start(self, *nodes: int) -> None:
        """Start nodes; they need two of three to be ready."""
        routes = [f"nats://cluster:for-cluster@127.0.0.1:{port}" for port in self._cluster_ports]
        for node in nodes:
            environment = {
                "NATS_SERVER_NAME": f"nats-{node + 1}",
                "NATS_CLIENT_PORT": str(self.client_ports[node]),
                "NATS_MQTT_PORT": str(self.mqtt_ports[node]),
                "NATS_CLUSTER_PORT": str(self._cluster_ports[node]),
                "NATS_HTTP": f"127.0.0.1:{self._http_ports[node]}",
                "NATS_STORE": str(self.folder / f"store-{node + 1}"),
                "NATS_ROUTES": json.dumps(routes),
                **{
                    f"NATS_{name.upper()}_PASSWORD": f"for-{name}"
                    for name in ("cluster", "admin", "ingest", "device", "fleet", "callout")
                },
            }
            with (self.folder / f"nats-{node + 1}.log").open("ab") as log:
                self.processes[node] = subprocess.Popen(
                    [str(find_server(None)), "-c", str(self._config)],
                    stdout=log,
                    stderr=log,
                    env={**os.environ, **environment},
                )
        for node in nodes:
            eventually(
                lambda node=node: self.is_healthy(node),  # type: ignore[misc]
                seconds=60,
                what=f"node {node + 1} is healthy, see {self.folder}",
            )

    def is_healthy(self, node: int) -> bool:
        """Ask what its health check asks."""
        process = self.processes[node]
        assert process is not None
        assert process.poll() is None, (self.folder / f"nats-{node + 1}.log").read_text()
        address = f"http://127.0.0.1:{self._http_ports[node]}/healthz"
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def kill(self, node: int) -> None:
        """SIGKILL one node."""
        process = self.processes[node]
        assert process is not None
        process.kill()
        process.wait()

    def stop(self) -> None:
        for process in self.processes:
            if process is not None:
                process.kill()
                process.wait()
