"""Two ingest processes that share the slots of one broker, and one database."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from geotarget.ingest.slots import slot_of
from tests.e2e.harness import Node, Receiver, campaign, eventually, square
from tests.e2e.test_apart import HERE, running
from tests.ports import free_ports

pytestmark = pytest.mark.e2e


def test_two_workers_do_what_one_does(
    tmp_path: Path,
    database_url: str,
    mosquitto: str,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A ping by HTTP goes to the worker of its slot; each device's offer goes out once."""
    monkeypatch.setenv("GEOTARGET_SLOT_TOPICS", "true")
    devices = ["phone-1", "phone-2", "bus-7", "d1"]
    assert {slot_of(device) // 32 for device in devices} == {0, 1}
    (port,) = free_ports(1)
    node = Node(data=tmp_path, port=port, mqtt_port=0)
    folders = [tmp_path / name for name in ("serve", "one", "two", "deliver")]
    for folder in folders:
        folder.mkdir()
    at, broker = database_url, ("--mqtt", mosquitto)
    with (
        running(folders[0], at, "serve", "--port", str(port), *broker),
        running(folders[1], at, "ingest", "--slots", "0-31", *broker),
        running(folders[2], at, "ingest", "--slots", "32-63", *broker),
        running(folders[3], at, "deliver"),
    ):
        node.put("/v1/endpoints/e", {"url": receiver.url, "secret": receiver.secret})
        node.put("/v1/campaigns/c", campaign("e"))
        node.put("/v1/zones/z", square("z", **HERE, half_m=100))

        def arrived() -> bool:
            pings = [{"device": each, **HERE, "acc": 5, "ts": time.time()} for each in devices]
            status, answer = node.call("POST", "/v1/pings", pings)
            assert (status, answer["accepted"]) == (202, len(devices))
            return len(receiver.bodies) >= len(devices)

        eventually(arrived, seconds=30, what="an offer to each device")
    profiles = sorted(each["data"]["profile"]["id"] for each in receiver.events())
    assert profiles == sorted(devices)
    assert receiver.unverified == []
