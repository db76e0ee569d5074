"""What docker-compose.yml starts, without containers: the same commands with the same variables.

No engine runs here, so names of services become ports of loopback and volumes become folders; all
else is taken from the file as it stands: commands, environment, health checks, what waits for what.
Images of others are not there: the broker is the server of the wheel, of the same version, with the
configuration that is mounted; PostgreSQL is whichever the tests have.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import SystemRandom
from typing import Any

import pytest
import shapely
from shapely.geometry import shape

from geotarget.ingest import Publisher
from geotarget.ingest.nats_server import find_server
from geotarget.ingest.publish import OutgoingPing
from tests.conftest import REPOSITORY
from tests.e2e.harness import Node, campaign, eventually
from tests.postgres_server import drop_database, make_database
from tests.services.containers import compose, filled, generated

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

NODES = ("nats-1", "nats-2", "nats-3")
WORKERS = ("worker-1", "worker-2", "worker-3")
PORTS = (
    *((node, port) for node in ("nats", *NODES) for port in (1883, 4222, 6222, 8222)),
    *((process, 9464) for process in ("serve", "ingest", "deliver", *WORKERS)),
    ("serve", 8080), ("receiver", 8081),
)  # fmt: skip


def quiet_ports() -> Iterator[int]:
    """Yield ports that nobody listens on, below those that outgoing connections are given.

    So many processes start here that one of the latter would be taken by a connection meanwhile.
    """
    for port in SystemRandom().sample(range(20_000, 32_000), 12_000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        yield port


@dataclass
class Loopback:
    """The services of the file as processes of this machine."""

    folder: Path
    database: str
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.env = generated(self.folder / "env")
        self.services: dict[str, Any] = filled(compose()["services"], self.env)
        self.ports = dict(zip(PORTS, quiet_ports(), strict=False))

    def told(self, name: str) -> dict[str, Any]:
        """Return what the file says of a service, or of one of several that it starts."""
        found: dict[str, Any] = self.services["worker" if name in WORKERS else name]
        return found

    def here(self, name: str, text: str) -> str:
        """Return a text of the file as it is on this machine."""
        database = f"{self.env['POSTGRES_PASSWORD']}@postgres:5432/geotarget"
        text = text.replace(f"postgresql://geotarget:{database}", self.database)
        text = text.replace("10.213.7.0/24", "127.0.0.0/8")
        for (host, number), port in self.ports.items():
            text = text.replace(f"@{host}:{number}", f"@127.0.0.1:{port}")
            if host == name:
                for written in ("127.0.0.1:{}", "'127.0.0.1', {}", "0.0.0.0:{}"):
                    mine = written.replace("0.0.0.0", "127.0.0.1").format(port)
                    text = text.replace(written.format(number), mine)
                text = str(port) if text == str(number) else text
        for volume in self.told(name).get("volumes", ()):
            source, target = volume.split(":")[:2]
            place = REPOSITORY / source if source.startswith(".") else self.folder / source
            if text == target or text.startswith(f"{target}/"):
                text = str(place) + text.removeprefix(target)
        return "127.0.0.1" if text == "0.0.0.0" else text

    def environment(self, name: str) -> dict[str, str]:
        """Return what the process is given, and nothing of who runs the tests."""
        given = self.told(name).get("environment", {})
        mine = {variable: self.here(name, value) for variable, value in given.items()}
        kept = {each: os.environ[each] for each in ("PATH", "HOME") if each in os.environ}
        return kept | {"GEOTARGET_DATA": str(self.folder / "data")} | mine

    def command(self, name: str) -> list[str]:
        """Return what the container would run."""
        told = self.told(name)
        words = [self.here(name, word) for word in told["command"]]
        if name.startswith("nats"):
            at = words.index("--config") + 1
            words[at] = str(self._configuration(name, Path(words[at])))
            return [str(find_server(None)), *words]
        if "entrypoint" in told:
            _, *script = (self.here(name, word) for word in told["entrypoint"])
            return [sys.executable, *script, *words]
        return [sys.executable, "-m", "geotarget", *words]

    def _configuration(self, name: str, shipped: Path) -> Path:
        """Write a broker's configuration with the ports and the folder of this machine."""
        text = shipped.read_text()
        for number in (1883, 4222, 8222):
            for written in (f"127.0.0.1:{number}", f"0.0.0.0:{number}"):
                text = text.replace(written, f"127.0.0.1:{self.ports[name, number]}")
        text = text.replace('"0.0.0.0"', '"127.0.0.1"')
        mine = self.folder / f"{name}.conf"
        mine.write_text(text.replace("/var/lib/nats", str(self.folder / name)))
        return mine

    def once(self, service: str) -> None:
        """Run a one-shot service to its end."""
        done = subprocess.run(
            self.command(service),
            env=self.environment(service),
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, f"{service}: {done.stdout}{done.stderr}"

    def begin(self, service: str) -> None:
        """Start a service."""
        with (self.folder / f"{service}.log").open("ab") as log:
            self.processes[service] = subprocess.Popen(
                self.command(service),
                env=self.environment(service),
                cwd=REPOSITORY,
                stdout=log,
                stderr=log,
            )

    def start(self, *services: str) -> None:
        """Start services and wait until each one's own health check says that it is well."""
        for service in services:
            self.begin(service)
        for service in services:
            eventually(
                lambda service=service: self.is_healthy(service),
                seconds=120,
                what=f"{service} is healthy",
            )

    def is_healthy(self, service: str) -> bool:
        """Run the health check of the file; of our own not before they say that it is time."""
        assert self.processes[service].poll() is None, self.log(service)
        _, *words = self.told(service)["healthcheck"]["test"]
        words = [self.here(service, word) for word in words]
        if words[0] == "python":
            words[0] = sys.executable
            if not re.search(r"^(ready|listening) ", self.log(service), re.MULTILINE):
                return False
        return subprocess.run(words, capture_output=True, check=False, timeout=30).returncode == 0

    def log(self, service: str) -> str:
        """Return what a service wrote."""
        return (self.folder / f"{service}.log").read_text()

    def stop(self, service: str) -> None:
        """Stop a service as Compose does; it must end cleanly within its grace."""
        process = self.processes.pop(service)
        process.send_signal(signal.SIGTERM)
        grace = float(self.told(service)["stop_grace_period"].removesuffix("s"))
        is_ours = not service.startswith("nats")  # which ends with 1 after a signal
        assert process.wait(timeout=grace) in ({0} if is_ours else {0, 1}), self.log(service)

    def kill(self) -> None:
        """End what is left."""
        for process in self.processes.values():
            process.kill()
            process.wait()


@pytest.fixture
def loopback(tmp_path: Path, postgres_url: str) -> Iterator[Loopback]:
    """The file's services, none of them started."""
    if shutil.which("wget") is None:
        pytest.skip("missing: wget, with which the broker's health is asked")
    database = make_database(postgres_url)
    (tmp_path / "env").mkdir()
    node = Loopback(tmp_path, database)
    try:
        yield node
    finally:
        node.kill()
        drop_database(database)


def test_the_single_profile_and_the_demo_do_their_work(loopback: Loopback) -> None:
    """In the order of the file, healthy by its checks; a phone's ping ends as an offer."""
    loopback.start("nats")
    for service in ("slots", "migrate", "zones"):
        loopback.once(service)
    loopback.start("serve", "deliver", "ingest", "receiver")
    offer_to_a_phone(loopback, "nats")
    watched(loopback, "serve", "deliver", "ingest")
    stopped(loopback, "ingest", "deliver", "serve", "receiver", "nats")


def test_the_scale_profile_does_the_same(loopback: Loopback) -> None:
    """Three brokers of which each asks for the others, three workers that share the slots."""
    for number in (1883, 4222):  # the name `nats` leads to any of them: to the second one here
        loopback.ports["nats", number] = loopback.ports["nats-2", number]
    loopback.start(*NODES)
    for service in ("slots", "migrate", "zones"):
        loopback.once(service)
    loopback.start("serve", "deliver", "receiver", *WORKERS)
    offer_to_a_phone(loopback, "nats-3")
    watched(loopback, "serve", "deliver", *WORKERS)
    stopped(loopback, *WORKERS, "deliver", "serve", "receiver", *NODES)


def offer_to_a_phone(loopback: Loopback, broker: str) -> None:
    """Make a campaign, publish as the user `device`, and wait until the receiver has the offer."""
    ports, env = loopback.ports, loopback.env
    api = Node(loopback.folder, ports["serve", 8080], 0)
    receiver = {
        "url": f"http://127.0.0.1:{ports['receiver', 8081]}",
        "secret": env["DEMO_WEBHOOK_SECRET"],
    }
    for path, body in (("endpoints/shop", receiver), ("campaigns/hello", campaign("shop"))):
        status, answer = api.call("PUT", f"/v1/{path}", body, key=env["GEOTARGET_ADMIN_KEY"])
        assert status in {200, 201}, answer
    inside = somewhere_in_helsinki()
    login = f"device:{env['NATS_DEVICE_PASSWORD']}"
    with Publisher(f"mqtt://{login}@127.0.0.1:{ports[broker, 1883]}") as phone:

        def told() -> bool:
            # the ingest follows the catalogue within a second: pings go on meanwhile
            phone.publish("phone-1", [OutgoingPing(time.time(), inside.y, inside.x, acc=5.0)])
            phone.flush(10)
            assert phone.refused == 0
            return "offer.triggered  phone-1 enter" in loopback.log("receiver")

        eventually(told, seconds=60, what="the offer")


def watched(loopback: Loopback, *services: str) -> None:
    """Ask each as Prometheus does."""
    for service in services:
        node = Node(loopback.folder, loopback.ports[service, 9464], 0)
        status, raw = node.call("GET", "/metrics", key="")
        assert status == 200
        assert b"geotarget_zone_index_version" in raw


def stopped(loopback: Loopback, *services: str) -> None:
    """Stop all in this order; none of them has written a secret, which Docker would keep."""
    for service in services:
        loopback.stop(service)
        for name, value in loopback.env.items():
            assert len(value) < 40 or value not in loopback.log(service), name


def somewhere_in_helsinki() -> shapely.Point:
    """Return a point well inside the first zone of the demo."""
    document = json.loads((REPOSITORY / "zones" / "helsinki.geojson").read_text())
    point: shapely.Point = shape(document["features"][0]["geometry"]).representative_point()
    return point
