"""The shipped cluster of NATS on loopback: slots, workers, and the death of a node."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from geotarget.ingest import Intake, SlotSource
from geotarget.ingest.slots import slot_of
from tests.e2e.harness import Phones, eventually
from tests.e2e.nats_cluster import NODES, Cluster
from tests.ingest.harness import Recorder

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

DEVICES = [f"phone-{number}" for number in range(60)]
ACK_WAIT_S = 3.0


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Three nodes that are ready."""
    made = Cluster(tmp_path)
    try:
        made.start(*range(NODES))
        yield made
    finally:
        made.stop()


class Worker:
    """A worker at one node, with some slots."""

    def __init__(self, url: str, slots: Iterable[int], *, clean: bool) -> None:
        self.recorder = Recorder()
        self.intake = Intake(self.recorder.process)
        owned = frozenset(slots)
        self.source = SlotSource(
            url,
            self.intake,
            slots=owned,
            clean=owned if clean else (),
            ack_wait_s=ACK_WAIT_S,
            mqtt5=False,
            reconnect_s=(0.1, 1.0),
        )
        self.intake.start()
        self.source.start()

    @property
    def applied(self) -> set[tuple[str, int]]:
        return set(self.recorder.pings)

    def ready(self) -> None:
        eventually(
            lambda: self.source.health() == (True, ""), seconds=60, what="all slots connected"
        )


def slots(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``geotarget slots``."""
    return subprocess.run(
        [sys.executable, "-m", "geotarget", "slots", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "COLUMNS": "120"},
        check=False,
    )


def test_a_node_dies_and_nothing_acknowledged_is_lost(cluster: Cluster) -> None:
    """Kill -9 of the node of a worker and of a third of the phones, under load; it comes back."""
    where = ("--mqtt", cluster.url(0), "--admin", cluster.admin_url)
    made = slots("create", *where)
    assert made.returncode == 0, made.stderr
    assert "64 slots have their sessions, 0 had them before" in made.stdout
    shown = slots("status", *where)
    assert shown.returncode == 0, shown.stderr
    assert "64 of 64 sessions exist, 0 are connected" in shown.stdout

    workers = [
        Worker(cluster.url(0), range(32), clean=True),
        Worker(cluster.url(2), range(32, 64), clean=True),
    ]
    phones = [
        Phones("127.0.0.1", port, f"phones-{node}", ("device", "for-device"))
        for node, port in enumerate(cluster.mqtt_ports)
    ]
    try:
        for worker in workers:
            worker.ready()
        sent = _publish_over_a_death(cluster, phones, workers)
        for each in phones:
            each.wait(120)
        eventually(
            lambda: sent <= set().union(*(worker.applied for worker in workers)),
            seconds=60,
            what="everything acknowledged is applied",
        )
        for worker, part in zip(workers, (0, 1, 1), strict=True):
            assert {slot_of(device) // 32 for device, _ in worker.applied} <= {part}
        shown = slots("status", *where)
        assert "64 of 64 sessions exist, 64 are connected, 0 messages wait" in shown.stdout
    finally:
        for each in phones:
            each.close()
        for worker in workers:
            worker.source.stop(5.0)


def _publish_over_a_death(
    cluster: Cluster, phones: list[Phones], workers: list[Worker]
) -> set[tuple[str, int]]:
    """Publish from all phones while the third node is killed and started again; return all."""
    stop = threading.Event()
    sent: list[set[tuple[str, int]]] = [set() for _ in phones]

    def publish(node: int) -> None:
        second = 0
        while not stop.is_set():
            second += 1
            for device in DEVICES[node::NODES]:
                ping = {"ts": second, "lat": 60.0, "lng": 25.0}
                phones[node].publish(f"pings/{device}", ping)
                sent[node].add((device, second))
            stop.wait(0.02)

    threads = [threading.Thread(target=publish, args=(node,)) for node in range(NODES)]
    for thread in threads:
        thread.start()
    _until_applied(workers, more=1_000)
    cluster.kill(2)
    killed = time.monotonic()
    # Whoever holds the leases sees that the second worker is gone and takes its slots elsewhere.
    workers[1].source.stop(0.0)
    workers.append(Worker(cluster.url(1), range(32, 64), clean=False))
    workers[2].ready()
    _until_applied(workers[2:], more=1_000)
    recovered_s = time.monotonic() - killed
    cluster.start(2)
    _until_applied(workers, more=1_000)
    stop.set()
    for thread in threads:
        thread.join()
    assert recovered_s < 40
    return set().union(*sent)


def _until_applied(workers: list[Worker], *, more: int) -> None:
    before = sum(worker.recorder.count for worker in workers)
    eventually(
        lambda: sum(worker.recorder.count for worker in workers) >= before + more,
        seconds=60,
        what=f"{more} more pings applied",
    )
