"""What one process changes in the catalogue counts in the others within a second."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import Node, campaign, eventually, square
from tests.e2e.test_apart import running
from tests.ports import free_ports

pytestmark = pytest.mark.e2e

WITHIN_S = 1.0
BUSY_S = 5.0
"""What one of several may take while other tests have the machine."""
PLACES = 6


class Walkers:
    """Devices that are each heard of once, at one place: everyone judges the catalogue anew.

    Parameters
    ----------
    node
        The process whose API takes their pings; another one works on them.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self.sent: dict[str, float] = {}

    def walk(self, lng: float) -> str:
        """Let a new device appear somewhere; return its name."""
        device = f"walker-{len(self.sent)}"
        self.sent[device] = time.monotonic()
        ping = {"device": device, "ts": time.time(), "lng": lng, "lat": 60.17, "acc": 5}
        status, answer = self._node.call("POST", "/v1/pings", [ping])
        assert status == 202, answer
        assert answer["accepted"] == 1
        return device

    def entered(self, zone: str) -> set[str]:
        """Return who has entered a zone."""
        found = self._node.pages(f"/v1/transitions?zone={zone}&kind=enter")
        return {each["device"] for each in found}

    def first(self, zone: str, lng: float, *, after: float) -> float:
        """Walk until somebody enters; return how long after an instant the first of them came."""
        seen: set[str] = set()

        def one_entered() -> bool:
            self.walk(lng)
            seen.update(self.entered(zone))
            return bool(seen)

        eventually(one_entered, seconds=60, what=f"an entry into {zone}")
        return min(self.sent[device] for device in seen) - after


@pytest.fixture
def node(tmp_path: Path, database_url: str, mosquitto: str) -> Iterator[Node]:
    """The API of one process, with the ingest in another one."""
    (port,) = free_ports(1)
    with (
        running(tmp_path, database_url, "serve", "--port", str(port), "--mqtt", mosquitto),
        running(tmp_path, database_url, "ingest", "--mqtt", mosquitto),
    ):
        yield Node(data=tmp_path, port=port, mqtt_port=0)


def place(number: int) -> tuple[str, float]:
    """Return the id of a zone and the longitude of its middle."""
    return f"z{number}", 24.94 + number * 0.01


def test_zones_and_campaigns_reach_the_other_process(node: Node, database_url: str) -> None:
    """From the answer of the PUT: zones are entered, and what is paused is silent, in a second."""
    walkers = Walkers(node)
    delays = []
    for number in range(PLACES):
        zone, lng = place(number)
        node.put(f"/v1/zones/{zone}", square(zone, lng=lng, lat=60.17, half_m=100, entry="raw"))
        delays.append(walkers.first(zone, lng, after=time.monotonic()))
    assert sorted(delays)[PLACES // 2] < WITHIN_S, delays
    assert max(delays) < BUSY_S, delays

    node.put("/v1/endpoints/e", {"url": "https://127.0.0.1/hook"})
    node.put("/v1/campaigns/c", campaign("e"))

    def gates(gate: str) -> set[str]:
        found = node.pages(f"/v1/decisions?campaign=c&gate={gate}")
        return {each["device"] for each in found}

    def one_fired() -> bool:
        walkers.walk(lng)
        return bool(gates("fired"))

    eventually(one_fired, seconds=60, what="an offer")
    node.put("/v1/campaigns/c", campaign("e", status="paused"))
    paused = time.monotonic()
    late: list[str] = []

    def three_were_late() -> bool:
        device = walkers.walk(lng)
        if walkers.sent[device] - paused >= WITHIN_S:
            late.append(device)
        return len(late) == 3

    eventually(three_were_late, seconds=60, what="three walkers after the second")
    eventually(lambda: walkers.entered(zone) >= set(late), seconds=60, what="the last entries")
    told = gates("fired")
    assert not told.intersection(late)

    if database_url.startswith("postgresql"):
        _cut_off(node, database_url, walkers)


def _cut_off(node: Node, url: str, walkers: Walkers) -> None:
    """Every process listens again after its connection was ended, and nothing waits for that."""
    import psycopg

    def listeners() -> set[int]:
        with psycopg.connect(url, autocommit=True) as connection:
            rows = connection.execute(
                "SELECT pid FROM pg_stat_activity "
                "WHERE application_name = 'geotarget notices' AND datname = current_database()"
            ).fetchall()
        return {pid for (pid,) in rows}

    before = listeners()
    assert len(before) == 2
    with psycopg.connect(url, autocommit=True) as connection:
        for pid in before:
            connection.execute("SELECT pg_terminate_backend(%s)", (pid,))
    for number in range(PLACES, PLACES + 2):
        zone, lng = place(number)
        node.put(f"/v1/zones/{zone}", square(zone, lng=lng, lat=60.17, half_m=100, entry="raw"))
        assert walkers.first(zone, lng, after=time.monotonic()) < BUSY_S
        eventually(
            lambda: len(listeners()) == 2 and not listeners() & before,
            seconds=60,
            what="both to listen again",
        )
