"""What the store costs on SQLite and on PostgreSQL: batches, outbox, catalogue, pages.

    python benchmarks/store.py [--batches 200] [--directory /somewhere/on/the/real/disk]
    python benchmarks/store.py --postgres [postgresql://user@host] [--out results/store.json]

With ``--postgres`` the same is measured there too: on the server of the URL (its user may make
databases), else on one of its own, which flushes every commit to the disk as in production. CPU is
that of this process; beside it stands that of the server, where it is our own.

A batch is 5,000 pings of as many devices, drawn from 5,000 or 100,000, of which 250 cause a
transition, a decision and a delivery each. The upsert of states is what the log replaces.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from shapely import Point

from geotarget.model import (
    Attempt,
    BatchWrite,
    Decision,
    Delivery,
    Kind,
    MemberRow,
    Profile,
    Transition,
    Zone,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the tests' server is used as well
from geotarget.store import Store, Turn
from geotarget.store.database import cursor_of
from geotarget.store.opening import open_database

PINGS, SHARE, WIDTH = 5_000, 0.05, 176
SECRET_KEY = "m8Nw0sQ5x1yYxqg3yHnKq3G8Q5m3n0Zr4k2bXWQe7tA="
START_MS = 1_767_268_800_000
OFFER = {"title": "A bun for 2 €", "text": "Kamppi, until six o'clock", "code": "BUN-2"}
BODY = b'{"type":"offer.triggered","timestamp":"2026-01-01T12:00:00Z","data":' + b" " * 600 + b"}"


@dataclass
class Target:
    """An engine, how to get an empty database of it, and the CPU seconds of its server so far."""

    engine: str
    make: Callable[[str], str]
    server_cpu: Callable[[], float] = lambda: 0.0
    results: list[dict[str, object]] = field(default_factory=list)

    def clock(self) -> Clock:
        """Make a clock that sees this server's CPU as well."""
        return Clock(self)


class Clock:
    """CPU and wall time of what happens in a `with` block, summed."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.cpu = self.wall = self.server = 0.0
        self.slowest = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Measure a block."""
        server = self.target.server_cpu()
        cpu, wall = time.process_time(), time.perf_counter()
        yield
        took = time.perf_counter() - wall
        self.cpu += time.process_time() - cpu
        self.wall += took
        self.server += self.target.server_cpu() - server
        self.slowest = max(self.slowest, took)

    def show(self, what: str, count: int, unit: str) -> None:
        """Print the cost of one of `count`."""
        each = {
            "cpu_us": round(self.cpu / count * 1e6, 2),
            "server_cpu_us": round(self.server / count * 1e6, 2),
            "wall_us": round(self.wall / count * 1e6, 2),
            "per_s": round(count / self.wall),
            "slowest_ms": round(self.slowest * 1e3, 1),
        }
        print(
            f"{self.target.engine:10} {what:52} {each['cpu_us']:8.2f} + "
            f"{each['server_cpu_us']:8.2f} µs CPU {each['wall_us']:8.2f} wall per {unit:8} "
            f"{each['per_s']:9,} /s, slowest call {each['slowest_ms']:6.1f} ms",
            flush=True,
        )
        self.target.results.append(
            {"engine": self.target.engine, "what": what, "per": unit, "count": count, **each}
        )


def cpu_of(postmaster: int) -> float:
    """Return the CPU seconds of a PostgreSQL server: its own, and of all that it started."""
    ticks = 0
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                line = (folder / "stat").read_text()
            except OSError:  # it has just ended
                continue
            fields = line.rpartition(")")[2].split()
            if int(folder.name) == postmaster:
                ticks += sum(map(int, fields[11:15]))
            elif int(fields[1]) == postmaster:
                ticks += sum(map(int, fields[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def batch(random: Random, devices: list[str], number: int, caused: int) -> BatchWrite:
    """Make one batch."""
    now_ms = START_MS + number * 500
    movers = random.sample(devices, PINGS)
    transitions, decisions, deliveries, members = [], [], [], []
    for device in movers[:caused]:
        stamp = f"{now_ms - random.randrange(20_000):012x}"
        event, answer = (f"{stamp}{random.getrandbits(80):020x}" for _ in range(2))
        zone = f"zone-{random.randrange(1_000)}"
        transitions.append(
            Transition(
                id=event,
                visit=event,
                device=device,
                zone=zone,
                zone_revision=1,
                kind=Kind.ENTER,
                ts_ms=now_ms,
                decided_ms=now_ms,
                confidence=3,
                p=0.97,
            )
        )
        decisions.append(
            Decision(
                id=answer,
                campaign=f"campaign-{random.randrange(20)}",
                campaign_version=1,
                transition=event,
                device=device,
                profile=device,
                zone=zone,
                gate="fired",
                reason="every gate let it pass",
                decided_ms=now_ms,
                offer=OFFER,
                expires_ms=now_ms + 3_600_000,
                variant="a",
                visit=event,
                cost_micros=50_000,
                day="2026-01-01",
                budget_day="2026-01-01",
                counts_until_ms=now_ms + 7 * 86_400_000,
            )
        )
        deliveries.append(
            Delivery(
                webhook_id=f"offer_{answer}",
                endpoint=f"endpoint-{random.randrange(5)}",
                type="offer.triggered",
                body=BODY,
                created_ms=now_ms,
                device=device,
            )
        )
        members.append(MemberRow(device, zone, 2, now_ms, now_ms, event, bytes(48)))
    return BatchWrite(
        devices=movers,
        device_states=random.randbytes(PINGS * WIDTH),
        members_put=members,
        transitions=transitions,
        decisions=decisions,
        deliveries=deliveries,
    )


def write_batches(target: Target, name: str, *, devices: int, caused: int, batches: int) -> str:
    """Measure `write_batch`; return the URL of the database."""
    random, clock = Random(7), target.clock()
    ids = [f"phone-{number:08x}" for number in range(devices)]
    warm = min(140, batches)
    url = target.make(name)
    with Store.open(url, secret_key=SECRET_KEY) as store:
        for number in range(warm):
            store.write_batch(batch(random, ids, number, caused))
        for number in range(warm, warm + batches):
            work = batch(random, ids, number, caused)
            with clock.running():
                store.write_batch(work)
    clock.show(f"write_batch, {devices:,} devices, {caused} * 3 rows", batches * PINGS, "ping")
    return url


def rows(target: Target, *, batches: int) -> None:
    """Measure rows of history by themselves, 1,000 of a kind at a time."""
    random = Random(7)
    ids = [f"phone-{number:08x}" for number in range(100_000)]
    clocks = {kind: target.clock() for kind in ("transitions", "decisions", "deliveries")}
    with Store.open(target.make("rows"), secret_key=SECRET_KEY) as store:
        for number in range(batches + 1):
            work = batch(random, ids, number, 1_000)
            for kind, clock in clocks.items():
                with (clock if number else target.clock()).running():
                    store.write_batch(BatchWrite(**{kind: getattr(work, kind)}))
    for kind, clock in clocks.items():
        clock.show(f"1,000 {kind}", batches * 1_000, "row")


def upserts(target: Target, name: str, *, devices: int, batches: int) -> None:
    """Measure what the log of states replaces."""
    random, clock = Random(7), target.clock()
    ids = [f"phone-{number:08x}" for number in range(devices)]
    url = target.make(name)
    Store.open(url, secret_key=SECRET_KEY).close()
    database = open_database(url)
    for number in range(batches + 10):
        movers, states = random.sample(ids, PINGS), random.randbytes(PINGS * WIDTH)
        with (clock if number >= 10 else target.clock()).running(), database.write() as connection:
            rows = [
                (mover, states[at * WIDTH : (at + 1) * WIDTH]) for at, mover in enumerate(movers)
            ]
            cursor_of(connection).executemany(
                "INSERT INTO device (device, state) VALUES (?, ?) "
                "ON CONFLICT (device) DO UPDATE SET state = excluded.state",
                rows,
            )
    database.close()
    clock.show(f"upsert of states alone, {devices:,} devices", batches * PINGS, "ping")


def outbox(target: Target, url: str) -> None:
    """Measure claims of 100 over 5 endpoints, and marks of as many."""
    claims, marks = target.clock(), target.clock()
    limits = {f"endpoint-{number}": 20 for number in range(5)}
    done = 0
    with Store.open(url, secret_key=SECRET_KEY) as store:
        now_ms = START_MS + 10_000_000
        while done < 20_000:
            with claims.running():
                claimed = store.claim(now_ms=now_ms, limits=limits, lease_ms=60_000)
            if not claimed:
                break
            attempts = [
                Attempt(each.webhook_id, each.endpoint, 1, now_ms, 12, "delivered", 0, 200)
                for each in claimed
            ]
            with marks.running():
                store.mark(attempts)
            done += len(claimed)
        totals = store.counts()
    claims.show(f"claim 100, {totals.deliveries_pending:,} left", done, "delivery")
    marks.show("mark 100", done, "delivery")


def ordered(target: Target) -> None:
    """Measure claims while 10,000 deliveries of one device wait behind a retry, and one by one."""
    parked, claims, marks = target.clock(), target.clock(), target.clock()
    waiting = [
        Delivery(f"offer_{n:032x}", "crm", "offer.triggered", BODY, n, device="phone", ordered=True)
        for n in range(10_000)
    ]
    limits = {"crm": 16}
    with Store.open(target.make("ordered"), secret_key=SECRET_KEY) as store:
        for first in range(0, len(waiting), 1_000):
            store.write_batch(BatchWrite(deliveries=waiting[first : first + 1_000]))
        store.claim(now_ms=START_MS, limits={"crm": 1}, lease_ms=86_400_000)
        with parked.running():
            store.claim(now_ms=START_MS, limits=limits, lease_ms=60_000)
        for _ in range(20):
            with claims.running():
                store.claim(now_ms=START_MS, limits=limits, lease_ms=60_000)
        name = waiting[0].webhook_id
        for at in range(200):
            with marks.running():
                store.mark([Attempt(name, "crm", 1, START_MS + at, 12, "delivered", 0, 200)])
                (claimed,) = store.claim(now_ms=START_MS + at, limits=limits, lease_ms=60_000)
            name = claimed.webhook_id
    parked.show("ordered: the first claim, 10,000 behind a retry", 1, "claim")
    claims.show("ordered: the next claims", 20, "claim")
    marks.show("ordered: mark one, claim the next", 200, "delivery")


def pages(target: Target, url: str) -> None:
    """Measure first pages of the history and the questions that a batch asks."""
    with Store.open(url, secret_key=SECRET_KEY) as store:
        totals = store.counts()
        busy = store.transitions_page(limit=1).items[0].device
        asked: dict[str, Callable[[], object]] = {
            "newest 100": store.transitions_page,
            "of a device": lambda: store.transitions_page(device=busy),
            "of a device that is nowhere": lambda: store.transitions_page(device="nobody"),
            "of a zone": lambda: store.transitions_page(zone="zone-7"),
            "decisions of a device": lambda: store.decisions_page(device=busy),
            "fired decisions": lambda: store.decisions_page(gate="fired"),
            "failed deliveries (none)": lambda: store.deliveries_page(state="failed"),
            "counts": store.counts,
        }
        for what, ask in asked.items():
            clock = target.clock()
            for _ in range(20):
                with clock.running():
                    ask()
            clock.show(f"page, {totals.transitions:,} transitions: {what}", 20, "page")
        for number in range(1000):
            store.put_profile(Profile(f"phone-{number:08x}", {"tier": "gold"}, {"marketing": True}))
        names = [f"phone-{number:08x}" for number in range(0, 2000, 4)]
        pairs = [(f"campaign-{number % 20}", name) for number, name in enumerate(names)]
        questions: dict[str, Callable[[Turn], object]] = {
            "profiles_of 500": lambda turn: turn.profiles_of(names),
            "behaviour_of 500": lambda turn: turn.behaviour_of(names),
            "last_fired of 500": lambda turn: turn.last_fired(pairs),
        }
        for what, question in questions.items():
            clock = target.clock()
            for _ in range(20):
                with store.turn() as turn, clock.running():
                    question(turn)
            clock.show(what, 20 * 500, "key")


def zones(target: Target) -> None:
    """Measure putting and loading 10,000 zones of 30 vertices."""
    random = Random(7)
    stars = [
        Zone(
            id=f"zone-{number}",
            geometry=Point(random.uniform(24, 26), random.uniform(60, 61)).buffer(0.003, 8),
            tags=("shop",),
            properties={"name": f"Zone {number}", "special": "bun", "branch": number},
        )
        for number in range(10_000)
    ]
    with Store.open(target.make("zones"), secret_key=SECRET_KEY) as store:
        for what, act in (
            ("put 10,000 zones", lambda: store.put_zones(stars)),
            ("put the same 10,000 zones again", lambda: store.put_zones(stars)),
            ("load 10,000 zones", store.zones),
        ):
            clock = target.clock()
            with clock.running():
                act()
            clock.show(what, 10_000, "zone")


def measure(target: Target, batches: int) -> None:
    """Measure everything on one engine."""
    rows(target, batches=max(batches // 10, 5))
    url = ""
    for devices in (5_000, 100_000):
        for caused in (0, int(PINGS * SHARE)):
            url = write_batches(
                target, f"{devices}-{caused}", devices=devices, caused=caused, batches=batches
            )
        upserts(target, f"{devices}-upsert", devices=devices, batches=max(batches // 4, 5))
    pages(target, url)
    outbox(target, url)
    ordered(target)
    zones(target)


def sqlite(folder: Path) -> Target:
    """Return SQLite in a folder."""
    return Target("SQLite", lambda name: f"sqlite:///{folder / name}.db")


@contextmanager
def postgres(named: str) -> Iterator[Target]:
    """Give the server of a URL, or one of our own."""
    from tests.postgres_server import PostgresServer, drop_database, make_database, programs

    made: list[str] = []
    with ExitStack() as stack:
        server_cpu: Callable[[], float] = lambda: 0.0  # noqa: E731 - where it is not ours
        if not named:
            own = PostgresServer(programs(), durable=True)
            stack.callback(own.remove)
            own.start()
            assert own.process is not None
            named, postmaster = own.url, own.process.pid
            server_cpu = lambda: cpu_of(postmaster)  # noqa: E731

        def make(_: str) -> str:
            made.append(make_database(named.rstrip("/")))
            return made[-1]

        try:
            yield Target("PostgreSQL", make, server_cpu)
        finally:
            for url in made:
                drop_database(url)


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, default=200)
    parser.add_argument("--directory", type=Path, default=None)
    parser.add_argument("--postgres", nargs="?", const="", default=None)
    parser.add_argument("--out", type=Path, default=None)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.directory) as folder, ExitStack() as stack:
        targets = [sqlite(Path(folder))]
        if given.postgres is not None:
            targets.append(stack.enter_context(postgres(given.postgres)))
        for target in targets:
            measure(target, given.batches)
    if given.out is not None:
        results = [result for target in targets for result in target.results]
        given.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
