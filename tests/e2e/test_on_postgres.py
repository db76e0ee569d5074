"""`geotarget up` with its store on a PostgreSQL server, which is stopped under it and killed."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.e2e.harness import Node, Phones, Receiver, campaign, eventually, square
from tests.postgres_server import SECRET_KEY, PostgresServer, programs

pytestmark = pytest.mark.e2e

HERE = {"lng": 24.94, "lat": 60.17}


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A server of this test's own, which flushes what it commits."""
    made = PostgresServer(programs(), durable=True)
    try:
        made.start()
        yield made
    finally:
        made.remove()


def is_ready(node: Node) -> bool:
    """Ask the node whether all of it works."""
    return node.call("GET", "/readyz")[0] == 200


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["stopped", "crashed"])
def test_a_node_gets_over_a_server_that_was_away(
    node_factory: Callable[..., Node],
    receiver: Receiver,
    server: PostgresServer,
    how: signal.Signals,
) -> None:
    """Pings of the outage are not lost: each of its visits is there once, and its offer is sent."""
    environment = {
        "GEOTARGET_DATABASE_URL": server.make_database(),
        "GEOTARGET_SECRET_KEY": SECRET_KEY,
        "GEOTARGET_MQTT_ACK_WAIT_S": "2",
    }
    node: Node = node_factory(environment=environment).start()
    node.put("/v1/endpoints/e", {"url": receiver.url, "secret": receiver.secret})
    node.put("/v1/campaigns/c", campaign("e"))
    node.put("/v1/zones/z", square("z", **HERE, half_m=100))
    phones = Phones(*node.broker_url)

    def walk_in(*devices: str) -> None:
        now = time.time()
        messages: list[tuple[str, Any]] = [
            (f"pings/{device}", {"ts": now + step, **HERE, "acc": 5})
            for device in devices
            for step in (-30, 0)
        ]
        phones.publish_all(messages)

    try:
        walk_in("before")
        eventually(lambda: len(receiver.bodies) == 1, seconds=30, what="the first offer")
        server.stop(how)
        eventually(lambda: not is_ready(node), seconds=30, what="readiness to fail")
        status, answer = node.call("GET", "/v1/transitions")
        assert (status, answer["status"]) == (503, 503)
        assert "can't be reached" in answer["detail"]
        walk_in(*(f"during-{number}" for number in range(20)))
        server.start()
        eventually(lambda: is_ready(node), seconds=60, what="readiness to come back")
        walk_in("after")
        eventually(lambda: len(receiver.bodies) == 22, seconds=60, what="all offers")
        entered = [each["device"] for each in node.pages("/v1/transitions?kind=enter")]
        assert sorted(entered) == sorted(
            ["before", "after", *(f"during-{number}" for number in range(20))]
        )
        assert receiver.unverified == []
    finally:
        phones.close()
    assert node.stop() == 0
    assert not list(node.data.glob("*.db*")), "nothing is written beside a server"
    assert not (node.data / "secret.key").exists()


def test_a_killed_node_goes_on(
    node_factory: Callable[..., Node], receiver: Receiver, postgres_url: str
) -> None:
    """What it knew is restored from the server; nobody enters twice."""
    from tests.postgres_server import drop_database, make_database

    url = make_database(postgres_url)
    environment = {"GEOTARGET_DATABASE_URL": url, "GEOTARGET_SECRET_KEY": SECRET_KEY}
    node: Node = node_factory(environment=environment).start()
    node.put("/v1/endpoints/e", {"url": receiver.url, "secret": receiver.secret})
    node.put("/v1/campaigns/c", campaign("e"))
    node.put("/v1/zones/z", square("z", **HERE, half_m=100))

    def ping(**changes: Any) -> None:
        sent = {"device": "phone", "ts": time.time(), **HERE, "acc": 5, **changes}
        status, answer = node.call("POST", "/v1/pings", [sent])
        assert (status, answer["accepted"]) == (202, 1)

    def kinds() -> list[str]:
        return [each["kind"] for each in node.pages("/v1/transitions")]

    ping()
    eventually(lambda: kinds() == ["enter"], seconds=30, what="the entry")
    node.kill()
    node.start()
    ping()
    for seconds in (0, 20, 40):
        ping(lng=24.95, ts=time.time() + seconds)
    eventually(lambda: kinds() == ["exit", "enter"], seconds=60, what="the exit")
    # the killed one may have claimed it: then it is sent when that lease has run out
    eventually(lambda: len(receiver.bodies) == 1, seconds=90, what="the offer")
    assert node.stop() == 0
    drop_database(url)
