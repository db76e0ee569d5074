"""The auth callout of NATS servers that somebody runs: two clustered nodes, the shipped file."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from geotarget.errors import SettingsError
from geotarget.ingest.account_key import AccountKey
from geotarget.ingest.admission import Admission
from geotarget.ingest.auth_callout import QUEUE, AuthCallout
from geotarget.ingest.broker_url import BrokerUrl
from geotarget.ingest.listening import answers
from geotarget.ingest.nats_server import find_server
from geotarget.ingest.slots import slot_client_id, slot_of
from geotarget.runtime.admitting import start_callout
from geotarget.settings import Settings
from geotarget.store import Store
from tests.conftest import REPOSITORY
from tests.ingest.harness import DEADLINE_S, Eventually
from tests.ingest.test_device_access import NOT_AUTHORIZED, Device
from tests.ingest.test_device_tokens import SOON_S
from tests.ports import find_port

SHIPPED = REPOSITORY / "services" / "nats"
INGEST = "ingest-password"
KEY = AccountKey(bytes(range(32)))
LOGIN = BrokerUrl.parse(f"mqtt://ingest:{INGEST}@nats")


@dataclass(frozen=True)
class Node:
    """One server of the cluster."""

    process: subprocess.Popen[bytes]
    log: Path
    clients: int
    mqtt: int

    @property
    def url(self) -> str:
        """Where the callout is answered."""
        return f"nats://callout:callout-password@127.0.0.1:{self.clients}"


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Node]]:
    """Two servers with the shipped configuration, that of tokens."""
    text = (SHIPPED / "nats-cluster.conf").read_text()
    text = text.replace("stream_replicas: 3", "stream_replicas: 1")
    routes = [find_port(), find_port()]
    listed = json.dumps([f"nats://cluster:cluster-password@127.0.0.1:{port}" for port in routes])
    started: list[Node] = []
    for number, route in enumerate(routes):
        folder = tmp_path_factory.mktemp(f"node-{number}")
        (folder / "nats.conf").write_text(text.replace('"0.0.0.0"', '"127.0.0.1"'))
        shutil.copy(SHIPPED / "nats-tokens.conf", folder)
        (folder / "issuer").mkdir()
        named = f'NATS_CALLOUT_ISSUER: "{KEY.public}"\n'
        (folder / "issuer" / "issuer.conf").write_text(named)
        clients, mqtt = find_port(), find_port()
        names = ("CLUSTER", "ADMIN", "DEVICE", "FLEET", "CALLOUT")
        environment = {
            **os.environ,
            **{f"NATS_{name}_PASSWORD": f"{name.lower()}-password" for name in names},
            "NATS_INGEST_PASSWORD": INGEST,
            "NATS_SERVER_NAME": f"node-{number}",
            "NATS_CLIENT_PORT": str(clients),
            "NATS_MQTT_PORT": str(mqtt),
            "NATS_CLUSTER_PORT": str(route),
            "NATS_HTTP": f"127.0.0.1:{find_port()}",
            "NATS_STORE": str(folder / "store"),
            "NATS_ROUTES": listed,
        }
        log = folder / "log"
        with log.open("wb") as written:
            process = subprocess.Popen(
                [str(find_server(None)), "-c", str(folder / "nats-tokens.conf")],
                env=environment,
                stdout=written,
                stderr=written,
            )
        started.append(Node(process, log, clients, mqtt))
    yield started
    for node in started:
        node.process.terminate()
    for node in started:
        node.process.wait(DEADLINE_S)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path / 'geotarget.db'}") as store:
        yield store


@pytest.fixture
def callouts(
    nodes: list[Node], store: Store, eventually: Eventually
) -> Iterator[list[AuthCallout]]:
    """Two processes would answer like these, each connected to another node."""
    made = []
    for node in nodes:
        callout = AuthCallout(
            Admission(tokens=store), account="GEOTARGET", prefix="pings", key=KEY, queue=QUEUE
        )
        callout.follow(node.url)
        made.append(callout)
    eventually(lambda: all(each.health() == (True, "") for each in made))
    yield made
    for each in made:
        each.stop()


@pytest.fixture
def device(
    nodes: list[Node], callouts: list[AuthCallout], eventually: Eventually
) -> Iterator[Callable[..., Device]]:
    """Connect; the cluster first needs a leader before it takes anybody's session."""
    made: list[Device] = []

    def make(name: str, password: str, *, at: int = 0, client_id: str = "") -> Device:
        made.append(Device(nodes[at].mqtt, name, password, client_id or name))
        return made[-1]

    def leads() -> bool:
        return any(
            "JetStream cluster new metadata leader" in node.log.read_text() for node in nodes
        ) and all(answers("127.0.0.1", node.mqtt) for node in nodes)

    eventually(leads)
    yield make
    for each in made:
        each.close()


class Slot:
    """The session of a slot, as a worker has it."""

    def __init__(self, node: Node, slot: int) -> None:
        self.session = Device(node.mqtt, "ingest", INGEST, slot_client_id(slot, LOGIN))
        self.topics: list[str] = []
        self.session.client.on_message = lambda *a: self.session._note(self.topics, a[2].topic)  # type: ignore[arg-type]
        self.session.client.subscribe(f"slots/{slot}/+", 1)
        self.session.wait(lambda: self.session.granted)


def test_a_device_publishes_for_itself_through_its_slot(
    nodes: list[Node], device: Callable[..., Device], store: Store
) -> None:
    """At either node; for another device, or past the mapping into another slot, it is dropped."""
    plain, _ = store.create_device_token("a")
    other = next(f"x{n}" for n in range(1_000) if slot_of(f"x{n}") == slot_of("a"))
    slot = Slot(nodes[0], slot_of("a"))
    for at in (0, 1):
        a = device("a", plain, at=at)
        assert a.answers == [0]
        for topic in (f"pings/{other}", f"slots/{slot_of('a')}/{other}", "slots/1/a", "pings/a/b"):
            a.publish(topic, 1)
        a.publish("pings/a", 2)
        slot.session.wait(lambda at=at: len(slot.topics) > at)  # type: ignore[misc]
    assert slot.topics == [f"slots/{slot_of('a')}/a"] * 2
    a.client.subscribe("slots/+/+", 1)
    a.wait(lambda: a.granted)
    assert a.granted == [128]
    slot.session.close()


def test_others_are_not_admitted(device: Callable[..., Device], store: Store) -> None:
    """Wrong passwords, tokens of others, client ids of others: those of slots above all."""
    plain, _ = store.create_device_token("a")
    slot = slot_client_id(3, LOGIN)
    stolen, _ = store.create_device_token(slot)
    assert device("a", "").answers == [NOT_AUTHORIZED]
    assert device("device", "device-password").answers == [NOT_AUTHORIZED]
    assert device("b", plain).answers == [NOT_AUTHORIZED]
    assert device("a", plain, client_id="b").answers == [NOT_AUTHORIZED]
    assert device("a", plain, client_id=slot).answers == [NOT_AUTHORIZED]
    assert device(slot, stolen).answers == [NOT_AUTHORIZED]
    ingest, _ = store.create_device_token("ingest")
    assert device("ingest", ingest).answers == [NOT_AUTHORIZED]
    assert device("ingest", ingest, client_id=slot).answers == [NOT_AUTHORIZED]


def test_a_revoked_token_is_cut_at_whichever_node(
    device: Callable[..., Device], store: Store, eventually: Eventually
) -> None:
    """By whichever process looks first; who has another token comes back."""
    tokens = {name: store.create_device_token(name) for name in ("a", "b")}
    connected = [device(name, tokens[name][0], at=at) for at, name in enumerate(tokens)]
    new, _ = store.create_device_token("b")
    for name, (_, token) in tokens.items():
        store.revoke_device_token(name, token.id)
    for each in connected:
        eventually(lambda each=each: not each.client.is_connected(), SOON_S)
    assert device("a", tokens["a"][0], at=1).answers == [NOT_AUTHORIZED]
    assert device("b", new).answers == [0]


def test_of_several_that_answer_one_may_go(
    nodes: list[Node], callouts: list[AuthCallout], device: Callable[..., Device], store: Store
) -> None:
    """The others go on; when the last has gone nobody but the server's own users comes in."""
    plain, _ = store.create_device_token("a")
    callouts[0].stop()
    for at in (0, 1):
        assert device("a", plain, at=at).answers == [0]
    callouts[1].stop()
    assert device("a", plain).answers == [NOT_AUTHORIZED]
    assert device("ingest", INGEST, client_id="x").answers == [0]


def test_before_it_reaches_a_node_it_says_so(
    nodes: list[Node], store: Store, eventually: Eventually
) -> None:
    """And it goes on trying: the server may start later, or its password be put right."""
    wrong = f"nats://callout:wrong@127.0.0.1:{nodes[0].clients}"
    settings = Settings.read(auth_callout_url=wrong, auth_callout_seed=KEY.seed)
    callout = start_callout(settings, store)
    assert callout is not None
    eventually(lambda: "can't reach the broker: nats: 'Authorization" in callout.health()[1])
    callout.stop()
    assert callout.health()[0] is False


def test_without_a_seed_or_an_address(store: Store) -> None:
    """Nothing is answered; an address alone is a mistake, and so is a seed that is none."""
    assert start_callout(Settings.read(auth_callout_seed=KEY.seed), store) is None
    settings = Settings.read(auth_callout_url="nats://127.0.0.1:4222")
    with pytest.raises(SettingsError, match="_URL is set without GEOTARGET_AUTH_CALLOUT_SEED"):
        start_callout(settings, store)
    for url in ("http://127.0.0.1", "nats://a b"):
        with pytest.raises(SettingsError, match="AUTH_CALLOUT_URL") as caught:
            Settings.read(auth_callout_url=url)
        assert url not in str(caught.value)
