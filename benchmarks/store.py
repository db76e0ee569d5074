"""What the store costs: batches, outbox, catalogue, pages. CPU is the process's own.

    python benchmarks/store.py [--batches 200] [--directory /somewhere/on/the/real/disk]

A batch is 5,000 pings of as many devices, drawn from 5,000 or 100,000, of which 250 cause a
transition, a decision and a delivery each. The upsert of states is what the log replaces.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from geotarget.store import Store, Turn
from geotarget.store.database import cursor_of
from geotarget.store.opening import open_database

PINGS, SHARE, WIDTH = 5_000, 0.05, 176
START_MS = 1_767_268_800_000
OFFER = {"title": "A bun for 2 €", "text": "Kamppi, until six o'clock", "code": "BUN-2"}
BODY = b'{"type":"offer.triggered","timestamp":"2026-01-01T12:00:00Z","data":' + b" " * 600 + b"}"


class Clock:
    """CPU and wall time of what happens in a `with` block, summed."""

    def __init__(self) -> None:
        self.cpu = self.wall = 0.0
        self.slowest = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Measure a block."""
        cpu, wall = time.process_time(), time.perf_counter()
        yield
        took = time.perf_counter() - wall
        self.cpu += time.process_time() - cpu
        self.wall += took
        self.slowest = max(self.slowest, took)

    def show(self, what: str, count: int, unit: str) -> None:
        """Print the cost of one of `count`."""
        print(
            f"{what:56} {self.cpu / count * 1e6:8.2f} µs CPU {self.wall / count * 1e6:8.2f} wall "
            f"per {unit:8} {count / self.wall:9,.0f} /s, slowest call {self.slowest * 1e3:6.1f} ms"
        )


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


def write_batches(path: Path, *, devices: int, caused: int, batches: int) -> None:
    """Measure `write_batch`."""
    random, clock = Random(7), Clock()
    ids = [f"phone-{number:08x}" for number in range(devices)]
    with Store.open(f"sqlite:///{path}") as store:
        for number in range(140):
            store.write_batch(batch(random, ids, number, caused))
        for number in range(140, 140 + batches):
            work = batch(random, ids, number, caused)
            with clock.running():
                store.write_batch(work)
    clock.show(f"write_batch, {devices:,} devices, {caused} * 3 rows", batches * PINGS, "ping")


def upserts(path: Path, *, devices: int, batches: int) -> None:
    """Measure what the log of states replaces."""
    random, clock = Random(7), Clock()
    ids = [f"phone-{number:08x}" for number in range(devices)]
    Store.open(f"sqlite:///{path}").close()
    database = open_database(f"sqlite:///{path}")
    for number in range(batches + 10):
        movers, states = random.sample(ids, PINGS), random.randbytes(PINGS * WIDTH)
        with (clock if number >= 10 else Clock()).running(), database.write() as connection:
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


def outbox(path: Path) -> None:
    """Measure claims of 100 over 5 endpoints, and marks of as many."""
    claims, marks = Clock(), Clock()
    limits = {f"endpoint-{number}": 20 for number in range(5)}
    done = 0
    with Store.open(f"sqlite:///{path}") as store:
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


def ordered(path: Path) -> None:
    """Measure claims while 10,000 deliveries of one device wait behind a retry, and one by one."""
    parked, claims, marks = Clock(), Clock(), Clock()
    waiting = [
        Delivery(f"offer_{n:032x}", "crm", "offer.triggered", BODY, n, device="phone", ordered=True)
        for n in range(10_000)
    ]
    limits = {"crm": 16}
    with Store.open(f"sqlite:///{path}") as store:
        for first in range(0, len(waiting), 1_000):
            store.write_batch(BatchWrite(deliveries=waiting[first : first + 1_000]))
        store.claim(now_ms=START_MS, limits={"crm": 1}, lease_ms=86_400_000)
        with parked.running():
            store.claim(now_ms=START_MS, limits=limits, lease_ms=60_000)
        for _ in range(20):
            with claims.running():
                store.claim(now_ms=START_MS, limits=limits, lease_ms=60_000)
        name = waiting[0].webhook_id
        for at in range(1_000):
            with marks.running():
                store.mark([Attempt(name, "crm", 1, START_MS + at, 12, "delivered", 0, 200)])
                (claimed,) = store.claim(now_ms=START_MS + at, limits=limits, lease_ms=60_000)
            name = claimed.webhook_id
    parked.show("ordered: the first claim, 10,000 behind a retry", 1, "claim")
    claims.show("ordered: the next claims", 20, "claim")
    marks.show("ordered: mark one, claim the next", 1_000, "delivery")


def pages(path: Path) -> None:
    """Measure first pages of the history and the questions that a batch asks."""
    with Store.open(f"sqlite:///{path}") as store:
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
            clock = Clock()
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
            clock = Clock()
            for _ in range(20):
                with store.turn() as turn, clock.running():
                    question(turn)
            clock.show(what, 20 * 500, "key")


def zones(path: Path) -> None:
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
    with Store.open(f"sqlite:///{path}") as store:
        for what, act in (
            ("put 10,000 zones", lambda: store.put_zones(stars)),
            ("put the same 10,000 zones again", lambda: store.put_zones(stars)),
            ("load 10,000 zones", store.zones),
        ):
            clock = Clock()
            with clock.running():
                act()
            clock.show(what, 10_000, "zone")


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, default=200)
    parser.add_argument("--directory", type=Path, default=None)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.directory) as folder:
        for devices in (5_000, 100_000):
            for caused in (0, int(PINGS * SHARE)):
                path = Path(folder) / f"{devices}-{caused}.db"
                write_batches(path, devices=devices, caused=caused, batches=given.batches)
            upserts(Path(folder) / f"{devices}-upsert.db", devices=devices, batches=50)
        pages(path)
        outbox(path)
        ordered(Path(folder) / "ordered.db")
        zones(Path(folder) / "zones.db")


if __name__ == "__main__":
    main()
