"""A backup of a node at work, the node killed, the backup put back elsewhere: nothing is amiss."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import Node, Phones, Receiver, campaign, eventually
from tests.e2e.test_main_job import prepare, town, walks, wire
from tests.entry_oracle import Ping

pytestmark = pytest.mark.e2e

BUDGET = 15
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SEVERAL_OFFERS = {"GEOTARGET_OFFERS_PER_TRANSITION": "3"}
LISTS = ("transitions", "decisions", "deliveries")


@pytest.fixture
def till() -> Iterator[Receiver]:
    """A receiver that refuses everything until it is told otherwise."""
    with Receiver(SECRET, status=lambda _: 500).running() as running:
        yield running


def geotarget(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command as a process of its own, as an operator does."""
    return subprocess.run(
        [sys.executable, "-m", "geotarget", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={k: v for k, v in os.environ.items() if not k.startswith("GEOTARGET_")},
    )


def ledger(node: Node) -> dict[str, dict[str, dict[str, Any]]]:
    """Return everything that history lists, by list and id (and endpoint of a delivery)."""
    return {
        name: {
            f"{each['id']} {each.get('endpoint', '')}": each for each in node.pages(f"/v1/{name}")
        }
        for name in LISTS
    }


def fired(decisions: dict[str, dict[str, Any]], of: str) -> Counter[str]:
    """Count the offers of a campaign by profile."""
    return Counter(
        each["profile"]
        for each in decisions.values()
        if each["campaign"] == of and each["gate"] == "fired"
    )


def test_a_node_is_restored_from_a_backup_under_load(
    node_factory: Callable[..., Node], receiver: Receiver, till: Receiver, tmp_path: Path
) -> None:
    """All that was committed before the backup is there, what waited goes out, bounds still hold.

    And when phones send again what came after it, the same transitions come of it.
    """
    node = node_factory(environment=SEVERAL_OFFERS).start()
    features = town()
    prepare(node, receiver, features)
    node.put("/v1/endpoints/till", {"url": till.url, "secret": till.secret})
    node.put("/v1/campaigns/greeting", campaign("shop", "till", caps={"cooldown_s": 86_400}))
    node.put("/v1/campaigns/every", campaign("shop"))
    node.put("/v1/campaigns/few", campaign("shop", budget={"in": "offers", "total": BUDGET}))
    pings = walks(60, 60, seed=4, start_s=int(time.time()) - 5_000)
    messages = [(f"pings/{ping.device}", wire(ping)) for ping in pings]
    messages.append(marker(pings[-1], features[0]))
    half, most = len(messages) // 2, len(messages) * 3 // 4
    phones = Phones(*node.broker_url)
    phones.publish_all(messages[:half])
    eventually(
        lambda: len(receiver.bodies) > BUDGET and sum(till.posts.values()) > 0,
        seconds=60,
        what="offers received and refused",
    )
    before = ledger(node)
    rest = threading.Thread(target=phones.publish_all, args=(messages[half:most],))
    rest.start()
    taken = geotarget("backup", tmp_path / "b.db", "--keys", "--data", node.data)
    assert taken.returncode == 0, taken.stderr
    digest = taken.stdout.splitlines()[-1]
    rest.join()
    phones.publish_all(messages[most:])
    eventually(lambda: all_committed(node), seconds=60, what="all is committed")
    last = ledger(node)
    to_shop = {key.split()[0] for key in last["deliveries"] if key.endswith(" shop")}
    eventually(lambda: to_shop <= receiver.posts.keys(), seconds=60, what="all is posted")
    node.kill()
    phones.close()

    again = node_factory(environment=SEVERAL_OFFERS)
    done = geotarget("restore", tmp_path / "b.db", "--data", again.data)
    assert done.returncode == 0, done.stderr
    till.status = lambda _: 204
    again.start()
    found = ledger(again)
    for name, rows in before.items():
        assert rows.keys() <= found[name].keys() < last[name].keys(), name
    for name in ("transitions", "decisions"):
        assert found[name] == {key: last[name][key] for key in found[name]}
    delivered = [key for key, each in before["deliveries"].items() if each["state"] == "delivered"]
    assert delivered
    assert {"delivered"} == {found["deliveries"][key]["state"] for key in delivered}
    owed = {key.split()[0] for key in found["deliveries"] if key.endswith(" till")}
    assert owed
    eventually(lambda: owed <= till.bodies.keys(), seconds=90, what="what waited is delivered")

    phones = Phones(*again.broker_url)
    phones.publish_all(messages[half:])
    eventually(lambda: all_committed(again), seconds=60, what="all is committed again")
    phones.close()
    final = ledger(again)
    assert final["transitions"].keys() == last["transitions"].keys()
    assert final["decisions"].keys() == last["decisions"].keys()
    assert BUDGET == fired(final["decisions"], "few").total()
    assert {1} == set(fired(final["decisions"], "greeting").values())
    sent_after = to_shop - {key.split()[0] for key in found["deliveries"]}
    assert sent_after
    eventually(
        lambda: {receiver.posts[each] for each in sent_after} == {2},
        seconds=60,
        what="what was sent after the backup is sent again, under the same ids",
    )
    for each in (receiver, till):
        assert each.unverified == []
        assert {1} == {len(bodies) for bodies in each.bodies.values()}
    assert again.stop() == 0
    verified = geotarget("audit", "verify", "--expect", digest, "--data", again.data)
    assert verified.returncode == 0, verified.stderr


def marker(ping: Ping, zone: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return a ping of a device of its own in a zone: what it causes says that all is committed."""
    corner, _, opposite, *_ = zone["geometry"]["coordinates"][0]
    lng, lat = ((one + other) / 2 for one, other in zip(corner, opposite, strict=True))
    return "pings/last", {"ts": ping.ts_ms / 1000 + 60, "lat": lat, "lng": lng, "acc": 5}


def all_committed(node: Node) -> bool:
    """Tell whether the last ping has been committed, and so all before it."""
    return bool(node.pages("/v1/transitions?device=last"))
