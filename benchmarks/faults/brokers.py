"""Rows in which only the broker dies, while node and phones live on."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from benchmarks.faults.ledger import CYCLE, OUTSIDE, Event, Walks, check
from benchmarks.faults.node import REPOSITORY, eventually, rest
from benchmarks.faults.row import Broken, Result, Row, Run, Skipped
from benchmarks.faults.scene import ENDPOINT, RATE, Scene
from tests.ports import free_ports

OWN = {
    "acl_file",
    "allow_anonymous",
    "listener",
    "log_dest",
    "password_file",
    "persistence_location",
    "use_username_as_clientid",
    "user",
}
"""Lines of the shipped configuration that depend on the place, or keep strangers out."""


def embedded(run: Run) -> Result:
    """SIGKILL to the embedded NATS server; its keeper starts it again."""
    kills = run.size(5, 1)
    longest = 0.0
    with Scene(run) as scene:
        phones = scene.publish()
        phones.wait_for(1_000)
        for _ in range(kills):
            rest(run.luck.uniform(0.5, 3.0))
            killed = time.time()
            scene.node.broker_process.kill()
            longest = max(longest, scene.wait_for_post(killed))
        verdict = scene.verdict()
        scene.node.stop()
        size = f"{kills} kills, {len(phones.acknowledged):,} pings at {RATE:,.0f}/s"
        note = f"{phones.resent:,} pings sent again"
        return scene.result(verdict, size, recovery_s=longest, note=note)


class Mosquitto:
    """Debian's mosquitto with the configuration that this project ships.

    Parameters
    ----------
    folder
        Where its store is.

    Raises
    ------
    Skipped
        There is none.
    """

    def __init__(self, folder: Path) -> None:
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
        if program is None:
            raise Skipped("no mosquitto on this machine (Debian package mosquitto)")
        self._program = program
        (self.port,) = free_ports(1)
        self._folder = folder
        folder.mkdir()
        shipped = (REPOSITORY / "services/mosquitto/mosquitto.conf").read_text().splitlines()
        mine = [
            f"listener {self.port} 127.0.0.1",
            f"persistence_location {folder}/",
            "allow_anonymous true",
            "user root",
        ]
        kept = [line for line in shipped if line.split(" ")[0] not in OWN]
        (folder / "mosquitto.conf").write_text("\n".join([*mine, *kept, ""]))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it listens."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "-c", str(self._folder / "mosquitto.conf")], stdout=log, stderr=log
            )
        eventually(self._answers, seconds=15, what="mosquitto")

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise Broken(f"mosquitto ended: {(self._folder / 'log').read_text()[-1_000:]}")
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def mosquitto(run: Run) -> Result:
    """SIGKILL to a mosquitto beside the node, which is started again: what it costs."""
    kills = run.size(5, 1)
    longest = 0.0
    broker = Mosquitto(run.folder / "mosquitto")
    broker.start()
    try:
        with Scene(run, broker=broker.url) as scene:
            phones = scene.publish()
            phones.wait_for(1_000)
            for _ in range(kills):
                rest(run.luck.uniform(0.5, 3.0))
                killed = time.time()
                broker.kill()
                broker.start()
                longest = max(longest, scene.wait_for_post(killed))
            phones.finish()
            owed = scene.owed()
            scene.arrived(owed, seconds=5)  # what is lost does not come, however long we wait
            scene.settle()
            scene.node.stop()
            got = scene.receiver.posts()
    finally:
        broker.kill()
    verdict = check(owed, got, ENDPOINT)
    events = [each.event() for each in got if each.accepted]
    known = _visits(phones.walks, (each for each in events if each is not None))
    gone = [event for event in owed if not _visits(phones.walks, [event]) <= known]
    late = len(verdict.lost) - len(gone)
    # A visit whose first fix is lost is told by its second: neither lost nor owed as it came.
    real = tuple(each for each in verdict.problems if "arrived" not in each and "owes" not in each)
    size = f"{kills} kills, {len(phones.acknowledged):,} pings at {RATE:,.0f}/s"
    note = (
        f"lost is what mosquitto had acknowledged and not yet passed on; {late:,} more events came "
        "with the time of a later fix"
    )
    result = scene.result(verdict, size, recovery_s=longest, note=note)
    return replace(result, lost=len(gone), problems=real)


def _visits(walks: Walks, events: Iterable[Event]) -> set[tuple[str, str, int]]:
    """Return device, kind and visit of events, whatever the fix that told of them."""
    return {
        (event.device, event.kind, (walks.number(event) // walks.devices - OUTSIDE) // CYCLE)
        for event in events
    }


ROWS = [
    Row("broker-nats", "the embedded broker killed, the node lives on", embedded, 240),
    Row("broker-mosquitto", "mosquitto killed, the node lives on", mosquitto, 240),
]
