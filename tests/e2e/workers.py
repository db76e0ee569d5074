"""An installation of many processes on loopback: NATS nodes, PostgreSQL, workers, a sender.

Everything is a process that can be killed, frozen and started again on its own; phones publish the
walks of the fault suite, whose ledger says what is owed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Collection
from pathlib import Path

import psycopg

from benchmarks.faults.ledger import Event, Verdict, Walks, check, features, posts_from
from benchmarks.faults.phones import Phones
from benchmarks.faults.receiver import SECRET, Receiver
from tests.e2e.harness import ADMIN_KEY, Node, campaign, eventually
from tests.e2e.nats_cluster import NODES, Cluster
from tests.ports import free_ports
from tests.postgres_server import SECRET_KEY, PostgresServer, programs

KINDS = ("enter", "exit", "offer")
ENDPOINT = "till"
WORKERS = ("worker-1", "worker-2", "worker-3")
DEVICES = 200


class Installation:
    """Starts, kills and freezes its parts; everything is under one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cluster = Cluster(folder)
        self.server = PostgresServer(programs())
        self.receiver = Receiver(folder)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        names = ("serve", "deliver", *WORKERS)
        ports = free_ports(len(names) + 1)
        self._health = dict(zip(names, ports, strict=False))
        self.node = Node(data=folder / "serve", port=ports[-1], mqtt_port=0)
        self.phones: Phones | None = None
        self.url = ""

    # -- parts ------------------------------------------------------------------------------

    def start(self) -> None:
        """Start everything, and put zones, endpoint and campaign."""
        self.cluster.start(*range(NODES))
        self.server.start()
        self.url = self.server.make_database()
        made = subprocess.run(
            [sys.executable, "-m", "geotarget", "slots", "create",
             "--mqtt", self.cluster.url(0), "--admin", self.cluster.admin_url],
            env=self._environment("create"), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert made.returncode == 0, made.stdout + made.stderr
        self.run("serve")
        for name in (*WORKERS, "deliver"):
            self.run(name)
        self.receiver.start()
        status, answer = self.node.call("POST", "/v1/zones", features())
        assert status in (200, 201), answer
        self.node.put(
            f"/v1/endpoints/{ENDPOINT}",
            {
                "url": self.receiver.url(ENDPOINT),
                "secret": SECRET,
                "events": ["transition.enter", "transition.exit", "offer.triggered"],
            },
        )
        self.node.put("/v1/campaigns/greeting", campaign(ENDPOINT))

    def run(self, name: str) -> None:
        """Start one of our processes and wait for its ready line."""
        role = "ingest" if name in WORKERS else name
        arguments = [role]
        if name in WORKERS:
            arguments += ["--slots", "auto", "--mqtt", self.cluster.url(WORKERS.index(name))]
        elif name == "serve":
            arguments += ["--port", str(self.node.port), "--mqtt", self.cluster.url(0)]
        log = self.folder / f"{name}.log"
        with log.open("ab") as out:
            begin = log.stat().st_size
            process = self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "geotarget", *arguments],
                stdout=out, stderr=out, env=self._environment(name),
            )  # fmt: skip
        eventually(
            lambda: b"\nready" in b"\n" + log.read_bytes()[begin:] or process.poll() is not None,
            seconds=120,
            what=f"ready line in {log}",
        )
        assert process.poll() is None, log.read_text()[-4000:]

    def _environment(self, name: str) -> dict[str, str]:
        return {
            **os.environ,
            "GEOTARGET_DATA": str(self.folder / name),
            "GEOTARGET_DATABASE_URL": self.url,
            "GEOTARGET_SECRET_KEY": SECRET_KEY,
            "GEOTARGET_ADMIN_KEY": ADMIN_KEY,
            "GEOTARGET_WEBHOOK_ALLOW_CIDRS": "127.0.0.0/8",
            "GEOTARGET_OFFER_MAX_AGE_S": "1e12",
            **({"GEOTARGET_NATS_ADMIN": self.cluster.ingest_url} if name in WORKERS else {}),
            **({"GEOTARGET_HEALTH_PORT": str(self._health[name])} if name in self._health else {}),
        }

    def kill(self, name: str) -> None:
        """SIGKILL one of our processes."""
        self.processes[name].kill()
        self.processes[name].wait()

    def freeze(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End everything that runs."""
        if self.phones is not None:
            self.phones.halt()
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()
        self.receiver.kill()
        self.cluster.stop()
        self.server.remove()

    # -- what is asked ----------------------------------------------------------------------

    def metric(self, name: str, family: str) -> float:
        """Return the sum of a family of one process."""
        address = f"http://127.0.0.1:{self._health[name]}/metrics"
        with urllib.request.urlopen(address, timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(family))

    def owners(self) -> dict[str, int]:
        """Return how many slots each worker owns by now, by its process id."""
        with psycopg.connect(self.url) as connection:
            rows = connection.execute(
                "SELECT split_part(owner, '-', -2), count(*) FROM slot_lease WHERE owner <> '' "
                "AND expires_ms > extract(epoch FROM clock_timestamp()) * 1000 GROUP BY 1"
            ).fetchall()
        return dict(rows)

    def slots_of(self, name: str) -> frozenset[int]:
        """Return the slots that a worker owns."""
        with psycopg.connect(self.url) as connection:
            rows = connection.execute(
                "SELECT slot FROM slot_lease WHERE split_part(owner, '-', -2) = %s",
                (str(self.processes[name].pid),),
            ).fetchall()
        return frozenset(slot for (slot,) in rows)

    def wait_for_slots(self, *names: str, seconds: float = 30.0) -> None:
        """Wait until these workers, and no others, share all slots fairly."""
        ids = {str(self.processes[name].pid) for name in names}
        most = -(-64 // len(names))

        def shared() -> bool:
            owners = self.owners()
            return (
                owners.keys() == ids and sum(owners.values()) == 64 and max(owners.values()) <= most
            )

        eventually(shared, seconds=seconds, what=f"64 slots shared by {names}: {self.owners()}")

    # -- load -------------------------------------------------------------------------------

    def publish(self, rate: float) -> Phones:
        """Let phones publish from now on, to whichever NATS node lives."""
        walks = Walks("d", DEVICES, int(time.time()) - 30 * 86_400)
        first, *others = self.cluster.mqtt_ports
        self.phones = Phones(
            "127.0.0.1", first, walks, rate=rate, login=("device", "for-device"), other_ports=others
        )
        return self.phones.start()

    def commits(self) -> dict[int, int]:
        """Return the number of the last row in the log of each slot that has a phone."""
        with psycopg.connect(self.url, connect_timeout=5) as connection:
            rows = connection.execute("SELECT slot, max(seq) FROM slot_log GROUP BY slot")
            return dict(rows.fetchall())

    def until_committed(
        self, before: dict[int, int], slots: Collection[int], *, seconds: float
    ) -> float:
        """Wait until pings of each of these slots are committed again; return how long it took."""
        started = time.monotonic()
        left = set(slots) & before.keys()
        assert left

        def again() -> bool:
            with contextlib.suppress(psycopg.OperationalError):
                now = self.commits()
                left.difference_update(slot for slot in tuple(left) if now[slot] > before[slot])
            return not left

        eventually(again, seconds=seconds, what=f"commits in slots {left}")
        return time.monotonic() - started

    def until_posted(self, since: float, *, seconds: float) -> float:
        """Wait for the next post that arrives after an instant; return how long after."""
        offset, found = 0, 0.0

        def came() -> bool:
            nonlocal offset, found
            more, offset = posts_from(self.receiver.file, offset)
            found = next((post.at - since for post in more if post.at > since), 0.0)
            return found > 0

        eventually(came, seconds=seconds, what="a post")
        return found

    def verdict(self, *, seconds: float = 120.0) -> Verdict:
        """End the load, wait for what is owed, check what arrived."""
        phones = self.phones
        assert phones is not None
        phones.finish(seconds)
        owed: set[Event] = set(phones.walks.events(phones.acknowledged, KINDS))
        left, offset = set(owed), 0

        def arrived() -> bool:
            nonlocal offset
            more, offset = posts_from(self.receiver.file, offset)
            left.difference_update(
                event for post in more if post.accepted and (event := post.event())
            )
            return not left

        eventually(arrived, seconds=seconds, what=f"{len(owed)} events that are owed")
        return check(owed, self.receiver.posts(), ENDPOINT)
