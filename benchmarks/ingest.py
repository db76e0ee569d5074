"""CPU per message and per ping from the broker to a decoded, acknowledged batch; no pipeline.

    python benchmarks/ingest.py [--messages 100000] [--repeat 3] [--broker mosquitto|nats]

A backlog is published while the ingest is away, then fetched: QoS 1, 1, 10 and 100 pings a
message. Prints, for each: messages/s and pings/s, our CPU in us per message and per ping (all
threads of this process), the broker's CPU in us per message (delivery only), and how long the
batches were. The mosquitto runs with the shipped configuration, NATS is the embedded broker.
Both machines' cores are shared with the broker, so compare within one table only.
"""

from __future__ import annotations

import argparse
import os
import pwd
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from geotarget.ingest import EmbeddedBroker, Intake, MqttSource, Publisher
from geotarget.ingest.publish import OutgoingPing
from geotarget.model import Outcome, PingBatch, Rejected

REPOSITORY = Path(__file__).resolve().parents[1]
DEADLINE_S = 120.0
SEED = 20261122
CAPACITY = 20_000


class Sink:
    """Counts, and tells when everything has come."""

    def __init__(self, pings: int) -> None:
        self.left = pings
        self.batches: list[int] = []
        self.first = 0.0
        self.done = threading.Event()

    def process(self, pings: PingBatch, rejected: Sequence[Rejected]) -> Outcome:
        """Take a batch."""
        assert not rejected
        self.first = self.first or time.perf_counter()
        self.batches.append(len(pings))
        self.left -= len(pings)
        if self.left <= 0:
            self.done.set()
        return Outcome(accepted=len(pings))


def start_mosquitto(
    folder: Path, *, autosave_s: int | None = None
) -> tuple[str, subprocess.Popen[bytes]]:
    """Start Debian's mosquitto with the shipped limits; with an interval it saves what it holds."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if program is None:
        sys.exit("no mosquitto here (Debian package mosquitto)")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shipped = (REPOSITORY / "services/mosquitto/mosquitto.conf").read_text().splitlines()
    left_out = ("allow_", "password_", "acl_", "persist", "use_username")
    kept = [line for line in shipped if not line.startswith(left_out)]
    if autosave_s is not None:
        kept = [line for line in kept if not line.startswith("autosave_interval")]
        owner = pwd.getpwuid(os.getuid()).pw_name  # it may write into the folder
        kept += [f"autosave_interval {autosave_s}", "persistence true", f"user {owner}"]
        kept += [f"persistence_location {folder}/"]
    text = "\n".join([*kept, "allow_anonymous true", ""])
    (folder / "mosquitto.conf").write_text(text.replace("listener 1883", f"listener {port}"))
    command = [program, "-c", str(folder / "mosquitto.conf")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    return f"mqtt://127.0.0.1:{port}", process


def fetch(url: str, client_id: str, pings: int) -> tuple[Sink, float, float]:
    """Fetch so many pings; return the sink, wall and CPU seconds from the first batch on."""
    sink = Sink(pings)
    intake = Intake(sink.process, capacity=CAPACITY)
    source = MqttSource(url, intake, client_id=client_id, ack_wait_s=0)
    intake.start()
    cpu = time.process_time()
    source.start()
    if pings:
        assert sink.done.wait(DEADLINE_S), f"{sink.left} of {pings} pings did not come"
    else:
        while not source.health()[0]:
            threading.Event().wait(0.01)
    wall = time.perf_counter() - sink.first
    cpu = time.process_time() - cpu
    source.stop()
    return sink, wall, cpu


def main() -> None:
    """Measure both brokers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--broker", choices=["mosquitto", "nats"])
    parser.add_argument("--repeat", type=int, default=3)
    chosen = parser.parse_args()
    print("broker     pings/msg  messages/s   pings/s  us/message  us/ping  broker us/msg  batch")
    for name in [chosen.broker] if chosen.broker else ["mosquitto", "nats"]:
        with tempfile.TemporaryDirectory() as folder:
            if name == "mosquitto":
                url, process = start_mosquitto(Path(folder))
                device_url, client_id, server = url, "bench", psutil.Process(process.pid)
                threading.Event().wait(0.5)
            else:
                broker = EmbeddedBroker(
                    Path(folder) / "b", port=0, ack_wait_s=30, max_unacknowledged=CAPACITY
                )
                broker.start()
                url, device_url, client_id = broker.url, broker.device_url, broker.client_id
                server = psutil.Process(broker.pid)
            fetch(url, client_id, 0)
            for size in (1, 10, 100) * chosen.repeat:
                measure(name, url, device_url, client_id, server, size, chosen.messages)
            server.terminate() if name == "mosquitto" else broker.stop()


def measure(
    name: str,
    url: str,
    device_url: str,
    client_id: str,
    server: psutil.Process,
    size: int,
    messages: int,
) -> None:
    """Publish a backlog and fetch it."""
    random.seed(SEED)
    count = {1: messages, 10: messages // 2, 100: messages // 10}[size]
    with Publisher(device_url) as publisher:
        for first in range(0, count, 1000):
            publisher.publish_all(
                (
                    f"device-{random.randrange(10_000)}",
                    [
                        OutgoingPing(
                            1_732_240_000.25 + first + n,
                            round(random.uniform(-60, 60), 6),
                            round(random.uniform(-180, 180), 6),
                            round(random.uniform(3, 60), 1),
                        )
                        for n in range(size)
                    ],
                )
                for _ in range(min(1000, count - first))
            )
        assert publisher.flush(DEADLINE_S)
    before = server.cpu_times()
    sink, wall, cpu = fetch(url, client_id, count * size)
    after = server.cpu_times()
    theirs = after.user + after.system - before.user - before.system
    mean = sum(sink.batches) / len(sink.batches)
    print(
        f"{name:<10} {size:>9} {count / wall:>11,.0f} {count * size / wall:>9,.0f}"
        f" {cpu / count * 1e6:>11.2f} {cpu / count / size * 1e6:>8.2f}"
        f" {theirs / count * 1e6:>14.1f} {mean:>6.0f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
