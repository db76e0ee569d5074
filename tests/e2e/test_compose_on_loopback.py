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

from geotarget.ingest.nats_server import find_server
from tests.conftest import REPOSITORY
from tests.e2e.harness import Node, campaign, eventually
from tests.ingest.test_device_access import NOT_AUTHORIZED, Device
from tests.postgres_server import drop_database, make_database
from tests.services.containers import compose, filled, generated

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

LET_IN = 0
BAD_LOGIN = 134
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
    chosen: dict[str, str] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.env = generated(self.folder / "env") | self.chosen
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
            at, address = words.index("--config") + 1, words.index("--addr") + 1
            words[at] = str(self._configuration(name, told["command"][at]))
            words[address] = "127.0.0.1"
            return [str(find_server(None)), *words]
        if "entrypoint" in told:
            _, *script = (self.here(name, word) for word in told["entrypoint"])
            return [sys.executable, *script, *words]
        return [sys.executable, "-m", "geotarget", *words]

    def _configuration(self, name: str, chosen: str) -> Path:
        """Lay out what a broker has in its folder, with the ports and volumes of this machine."""
        root = self.folder / f"{name}-root"
        for volume in self.told(name)["volumes"]:
            source, target = volume.split(":")[:2]
            place = root / target.removeprefix("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            if not source.startswith("."):
                if not place.is_symlink():
                    place.symlink_to(self.folder / source)
                continue
            text = (REPOSITORY / source).read_text()
            for number in (1883, 4222, 8222):
                for written in (f"127.0.0.1:{number}", f"0.0.0.0:{number}"):
                    text = text.replace(written, f"127.0.0.1:{self.ports[name, number]}")
            text = text.replace('"0.0.0.0"', '"127.0.0.1"')
            place.write_text(text.replace("/var/lib/nats", str(self.folder / name)))
        return root / chosen.removeprefix("/")

    def volumes(self, service: str) -> None:
        """Make the volumes of a service, as Compose does before it starts."""
        for volume in self.told(service).get("volumes", ()):
            source = volume.split(":")[0]
            if not source.startswith("."):
                (self.folder / source).mkdir(exist_ok=True)

    def once(self, service: str) -> None:
        """Run a one-shot service to its end."""
        self.volumes(service)
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
        self.volumes(service)
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
def loopback(
    tmp_path: Path, postgres_url: str, request: pytest.FixtureRequest
) -> Iterator[Loopback]:
    """The file's services, none of them started; a parameter is what .env says otherwise."""
    if shutil.which("wget") is None:
        pytest.skip("missing: wget, with which the broker's health is asked")
    database = make_database(postgres_url)
    (tmp_path / "env").mkdir()
    node = Loopback(tmp_path, database, getattr(request, "param", {}))
    try:
        yield node
    finally:
        node.kill()
        drop_database(database)


def test_the_single_profile_and_the_demo_do_their_work(loopback: Loopback) -> None:
    """In the order of the file, healthy by its checks; a phone's ping ends as an offer."""
    loopback.once("folders")
    loopback.start("nats")
    for service in ("slots", "migrate", "zones"):
        loopback.once(service)
    loopback.start("serve", "deliver", "ingest", "receiver")
    token = offer_to_a_phone(loopback, "nats")
    others_are_refused(loopback, "nats", token)
    without_an_answer_nobody_comes(loopback, "nats", token)
    watched(loopback, "serve", "deliver", "ingest")
    stopped(loopback, "ingest", "deliver", "serve", "receiver", "nats")


def test_the_scale_profile_does_the_same(loopback: Loopback) -> None:
    """Three brokers of which each asks for the others, three workers that share the slots."""
    for number in (1883, 4222):  # the name `nats` leads to any of them: to the second one here
        loopback.ports["nats", number] = loopback.ports["nats-2", number]
    loopback.once("folders")
    loopback.start(*NODES)
    for service in ("slots", "migrate", "zones"):
        loopback.once(service)
    loopback.start("serve", "deliver", "receiver", *WORKERS)
    token = offer_to_a_phone(loopback, "nats-3")
    for node in NODES:
        others_are_refused(loopback, node, token)
    without_an_answer_nobody_comes(loopback, "nats-1", token)
    serve_goes_on_at_another_node(loopback, token)
    watched(loopback, "serve", "deliver", *WORKERS)
    stopped(loopback, *WORKERS, "deliver", "serve", "receiver", *NODES)


@pytest.mark.parametrize("loopback", [{"DEVICE_TOKENS": ""}], indirect=True)
def test_one_variable_switches_tokens_off(loopback: Loopback) -> None:
    """All phones are the user `device` then, and the API says so instead of making tokens."""
    loopback.once("folders")
    loopback.start("nats")
    for service in ("slots", "migrate"):
        loopback.once(service)
    loopback.start("serve")
    assert api(loopback, "GET", "/v1/connection")["mqtt"]["access"] == "broker"
    made = api(loopback, "POST", "/v1/devices/phone-1/tokens", {}, status=409)
    assert "token" not in made
    assert answer(loopback, "nats", "phone-1", "x") == NOT_AUTHORIZED
    assert answer(loopback, "nats", "device", loopback.env["NATS_DEVICE_PASSWORD"]) == LET_IN
    stopped(loopback, "serve", "nats")


def test_the_lines_of_the_guide_let_a_phone_in(loopback: Loopback) -> None:
    """As they stand there: a key, a token, a ping, and where the phone is."""
    for program in ("curl", "mosquitto_pub"):
        if shutil.which(program) is None:
            pytest.skip(f"missing: {program}, which the guide uses")
    loopback.once("folders")
    loopback.start("nats")
    for service in ("slots", "migrate"):
        loopback.once(service)
    loopback.start("serve", "ingest")
    guide = (REPOSITORY / "geotarget" / "docs" / "operations.md").read_text()
    guide = guide.partition("### Phones of the compose file\n")[2]
    lines = guide.partition("```sh\n")[2].partition("```")[0]
    for there, here in (
        ("docker compose exec -T serve geotarget", f"{sys.executable} -m geotarget"),
        ("127.0.0.1:8080", f"127.0.0.1:{loopback.ports['serve', 8080]}"),
        ("-p 1883", f"-p {loopback.ports['nats', 1883]}"),
    ):
        assert there in lines
        lines = lines.replace(there, here)
    done = subprocess.run(
        ["sh", "-euc", lines],
        env=loopback.environment("serve"),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["last_fix"]["lng"] == 24.9325
    stopped(loopback, "ingest", "serve", "nats")


def api(loopback: Loopback, method: str, path: str, body: Any = None, *, status: int = 0) -> Any:
    """Return the answer of the API to who has all rights."""
    node = Node(loopback.folder, loopback.ports["serve", 8080], 0)
    told, found = node.call(method, path, body, key=loopback.env["GEOTARGET_ADMIN_KEY"])
    assert told in ({status} if status else {200, 201}), found
    return found


def offer_to_a_phone(loopback: Loopback, broker: str) -> str:
    """Make a campaign and a token, publish with it, wait for the offer; return the token."""
    ports, env = loopback.ports, loopback.env
    receiver = {
        "url": f"http://127.0.0.1:{ports['receiver', 8081]}",
        "secret": env["DEMO_WEBHOOK_SECRET"],
    }
    api(loopback, "PUT", "/v1/endpoints/shop", receiver)
    api(loopback, "PUT", "/v1/campaigns/hello", campaign("shop"))
    assert api(loopback, "GET", "/v1/connection")["mqtt"]["access"] == "token"
    made = api(loopback, "POST", "/v1/devices/phone-1/tokens", {"valid_s": 3600})
    assert made["login"] == {
        "url": env["PHONE_URL"], "topic": "pings/phone-1", "username": "phone-1",
        "client_id": "phone-1",
    }  # fmt: skip
    inside = somewhere_in_helsinki()
    let_in(loopback, broker, made["token"])
    phone = Device(ports[broker, 1883], "phone-1", made["token"], "phone-1")
    phone.client.reconnect_delay_set(1, 1)

    def told() -> bool:
        # the ingest follows the catalogue within a second: pings go on meanwhile
        fix = {"ts": time.time(), "lat": inside.y, "lng": inside.x, "acc": 5.0}
        phone.client.publish("pings/phone-1", json.dumps(fix), 1).wait_for_publish(10)
        return "offer.triggered  phone-1 enter" in loopback.log("receiver")

    eventually(told, seconds=60, what="the offer")
    phone.close()
    return str(made["token"])


def answer(
    loopback: Loopback, broker: str, user: str, password: str, client_id: str | None = None
) -> int:
    """Return what a broker answers to who would connect."""
    port = loopback.ports[broker, 1883]
    client = Device(port, user, password, user if client_id is None else client_id)
    client.close()
    return client.answers[0]


def let_in(loopback: Loopback, broker: str, token: str) -> None:
    """Wait until the phone is let in; a busy machine may need longer than the broker waits."""
    eventually(
        lambda: answer(loopback, broker, "phone-1", token) == LET_IN,
        seconds=30,
        what=f"the phone let in at {broker}",
    )


def others_are_refused(loopback: Loopback, broker: str, token: str) -> None:
    """Without a token, with another's, under another's name; the old login of all phones, too."""
    shared = loopback.env["NATS_DEVICE_PASSWORD"]
    for user, password, client_id in (
        ("", "", "phone-2"),
        ("phone-2", "", "phone-2"),
        ("phone-2", token, "phone-2"),
        ("phone-1", token, "phone-2"),
        ("phone-2", token, "phone-1"),
        ("phone-1", f"{token[:-1]}{'a' if token[-1] != 'a' else 'b'}", "phone-1"),
        ("device", shared, "device"),
        ("device", shared, "phone-1"),
    ):
        told = answer(loopback, broker, user, password, client_id)
        assert told in {NOT_AUTHORIZED, BAD_LOGIN}, (user, client_id)
    let_in(loopback, broker, token)
    phone = Device(loopback.ports[broker, 1883], "phone-1", token, "phone-1")
    phone.publish("pings/phone-2", 1)  # acknowledged, as MQTT 3.1.1 wants it, and dropped
    eventually(
        lambda: bool(re.search(r'Publish Violation.*\.phone-2"', loopback.log(broker))),
        seconds=10,
        what="the broker's word that it dropped the message",
    )
    phone.client.subscribe("#", 1)
    phone.wait(lambda: phone.granted)
    assert phone.granted == [128]
    phone.close()
    api(loopback, "GET", "/v1/devices/phone-2", status=404)


def serve_goes_on_at_another_node(loopback: Loopback, token: str) -> None:
    """It was told one address, and the broker tells it of the others."""
    loopback.stop("nats-2")
    let_in(loopback, "nats-3", token)
    loopback.start("nats-2")


def without_an_answer_nobody_comes(loopback: Loopback, broker: str, token: str) -> None:
    """While `serve` is away no phone is let in; the demo's fleet has a login, and is heard."""
    loopback.stop("serve")
    assert answer(loopback, broker, "phone-1", token) == NOT_AUTHORIZED
    loopback.begin("fleet")
    loopback.start("serve")
    let_in(loopback, broker, token)

    def known() -> bool:
        node = Node(loopback.folder, loopback.ports["serve", 8080], 0)
        key = loopback.env["GEOTARGET_ADMIN_KEY"]
        return node.call("GET", "/v1/devices/walker-001", key=key)[0] == 200

    eventually(known, seconds=30, what="a ping of the fleet")
    loopback.stop("fleet")


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
