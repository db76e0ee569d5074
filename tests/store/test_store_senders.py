"""Senders in several processes on one database, one of them killed: nothing lost, nothing twice.

While they work, batches are written, webhooks sent again, people erased and old deliveries dropped.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

from records import at, attempt, decision, delivery
from recounted import every

from geotarget.model import BatchWrite, Delivery
from geotarget.store import Store
from geotarget.store.database import cursor_of
from geotarget.store.retention import Keep
from tests.postgres_server import SECRET_KEY

WRITTEN, LATER, STRANGERS = 2_000, 400, 12
SENDERS = 3
KILLED_AFTER = 15
"""Marks of the one that is killed, before it is; few, for the others may be faster. On a machine
that is busy they may have done all of it by then: it says so, or we would wait for it forever."""

NOW_MS = at(10_000)
LEASE_MS = 3_600_000
SHORT_MS = 60_000
"""How long the one that is killed holds what it claims, so that the others get it afterwards."""

DEADLINE_S = 120.0

SENDER = """
import sys
sys.path[:0] = sys.argv[1:3]
from test_store_senders import send

send(*sys.argv[3:])
"""


def send(url: str, path: str, lease_ms: str) -> None:
    """Claim and mark until nothing waits any more; note when each claim came and ended.

    A line on the standard input sets the clock to `SHORT_MS` later.
    """
    now_ms, marked, last = NOW_MS, 0, False
    with Store.open(url, secret_key=SECRET_KEY) as store, Path(path).open("w") as notes:

        def note(sign: str, name: str, endpoint: str) -> None:
            notes.write(f"{sign} {time.monotonic_ns()} {name} {endpoint}\n")

        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        while not last or store.outbox_size()[0]:
            limits = {"crm": 11, "till": 7}
            claimed = store.claim(now_ms=now_ms, limits=limits, lease_ms=int(lease_ms))
            for each in claimed:
                note("+", each.webhook_id, each.endpoint)
            notes.flush()
            said = []
            for each in claimed:
                of = delivery(0, webhook_id=each.webhook_id, endpoint=each.endpoint)
                again = each.attempts == 0 and each.body.endswith(b"3}")
                said.append(
                    attempt(
                        of,
                        attempt=each.attempts + 1,
                        started_ms=time.time_ns() // 1_000_000,
                        state="pending" if again else "delivered",
                        next_attempt_ms=now_ms,
                    )
                )
                note("-", each.webhook_id, each.endpoint)
            notes.flush()
            store.mark(said)
            marked += len(said)
            starved = not claimed and marked >= 0 and not store.outbox_size()[0]
            if marked > KILLED_AFTER or starved:
                sys.stdout.write("marked\n")
                sys.stdout.flush()
                marked = -(2**50)
            if not claimed and not last and select.select([sys.stdin], [], [], 0.02)[0]:
                sys.stdin.readline()
                now_ms, last = now_ms + SHORT_MS, True


def made(number: int) -> list[Delivery]:
    """Make an offer's deliveries: an ordered one to the till, a plain one to the rest."""
    name = f"phone-{number % 60}"
    common = {"device": name, "expires_ms": None}
    if number % 2:
        return [delivery(number, endpoint="crm", **common)]
    return [delivery(number, endpoint="till", ordered=True, **common)]


def write(store: Store, first: int, count: int) -> list[Delivery]:
    """Write so many offers in batches."""
    written: list[Delivery] = []
    for start in range(first, first + count, 100):
        numbers = range(start, min(start + 100, first + count))
        deliveries = [each for number in numbers for each in made(number)]
        decisions = [decision(number, device=f"phone-{number % 60}") for number in numbers]
        store.write_batch(BatchWrite(decisions=decisions, deliveries=deliveries))
        written += deliveries
    return written


def test_three_senders_and_a_kill(ready_database_url: str, tmp_path: Path) -> None:
    """Each delivery arrives; never two of one, nor of one device in order, at the same time."""
    with Store.open(ready_database_url, secret_key=SECRET_KEY) as store:
        check_round(store, ready_database_url, tmp_path, 0)


def check_round(store: Store, url: str, folder: Path, start: int) -> None:
    """Let senders work, kill one of them, and look at what all of them did."""
    written = write(store, start, WRITTEN)
    strangers = [
        delivery(start + number, webhook_id=f"note_{start}_{number}", device=f"gone-{number}",
                 endpoint="till", ordered=True, expires_ms=None)
        for number in range(STRANGERS)
    ]  # fmt: skip
    store.write_batch(BatchWrite(deliveries=strangers))
    with ExitStack() as running:
        senders = []
        for number in range(SENDERS):
            lease_ms = LEASE_MS if number else SHORT_MS
            sender = subprocess.Popen(
                [sys.executable, "-c", SENDER, str(Path(__file__).parent),
                 str(Path(__file__).parents[2]), url, str(folder / str(number)), str(lease_ms)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            senders.append(running.enter_context(sender))
            running.callback(sender.kill)
        victim, *others = senders
        for sender in senders:
            assert "ready\n" == hear(sender)
        for sender in senders:
            tell(sender, "go")
        written += write(store, start + WRITTEN, LATER // 2)
        assert "marked\n" == hear(victim)
        written += write(store, start + WRITTEN + LATER // 2, LATER // 2)
        os.urandom(int.from_bytes(os.urandom(3)) // 64)  # a random moment of the next claims
        victim.send_signal(signal.SIGKILL)
        assert -signal.SIGKILL == victim.wait(DEADLINE_S)
        killed_at = time.monotonic_ns()
        again = [each for each in written[5:400:7] if not each.ordered]
        for each in again:
            store.requeue(each.webhook_id, None, now_ms=NOW_MS)
        for number in range(STRANGERS):
            assert store.erase_profile(f"gone-{number}") is not None
        for sender in others:
            tell(sender, "later")
        for sender in others:
            sender.communicate(timeout=DEADLINE_S)
            assert 0 == sender.returncode
    posts = [
        post
        for number in range(SENDERS)
        for post in read_posts(folder / str(number), killed_at)
    ]  # fmt: skip
    check_posts(posts, written, {(each.webhook_id, each.endpoint) for each in again})
    check_counts(store)
    for _ in store.drop_old(Keep(deliveries=1)):
        pass
    check_counts(store)


def hear(sender: subprocess.Popen[str]) -> str:
    """Return the next line that a sender says."""
    assert sender.stdout is not None
    return sender.stdout.readline()


def tell(sender: subprocess.Popen[str], line: str) -> None:
    """Say a line to a sender."""
    assert sender.stdin is not None
    sender.stdin.write(f"{line}\n")
    sender.stdin.flush()


Post = tuple[int, int, str, str]
"""When it was claimed and when it ended (nanoseconds), webhook id and endpoint."""


def read_posts(path: Path, killed_at: int) -> list[Post]:
    """Return what a sender had in hand, and from when to when."""
    begun: dict[tuple[str, str], int] = {}
    posts: list[Post] = []
    for line in path.read_text().splitlines():
        sign, ns, *key = line.split(" ")
        name, endpoint = key
        if sign == "+":
            assert (name, endpoint) not in begun
            begun[name, endpoint] = int(ns)
        else:
            posts.append((begun.pop((name, endpoint)), int(ns), name, endpoint))
    return posts + [(began, killed_at, *name) for name, began in begun.items()]


def check_posts(posts: list[Post], written: list[Delivery], again: set[tuple[str, str]]) -> None:
    """See that all arrived, none twice at the same time, and each device's in its order."""
    assert {(each.webhook_id, each.endpoint) for each in written} <= {post[2:] for post in posts}
    # a third of them says "later" once, some were asked for again, some died with their sender
    times = Counter(post[2:] for post in posts)
    assert sum(times[name] > 2 for name in times.keys() - again) <= 18
    of_devices: dict[str, list[Post]] = defaultdict(list)
    of_one: dict[tuple[str, str], list[Post]] = defaultdict(list)
    place = {each.webhook_id: (n, each.device) for n, each in enumerate(written) if each.ordered}
    for post in sorted(posts):
        of_one[post[2:]].append(post)
        if post[2] in place:
            of_devices[place[post[2]][1]].append(post)
    for of in (*of_one.values(), *of_devices.values()):
        for before, after in pairwise(of):
            assert before[1] <= after[0], (before, after)
    assert of_devices
    for device, of in of_devices.items():
        numbers = [place[post[2]][0] for post in of]
        assert sorted(numbers) == numbers, device


def check_counts(store: Store) -> None:
    """Compare the counters with the rows that they count."""
    totals, rows = store.counts(), every(store, "deliveries_page")
    states = Counter(row.state for row in rows)
    for state in ("pending", "delivered", "failed", "expired"):
        assert states[state] == getattr(totals, f"deliveries_{state}"), state
    assert 0 == states["pending"]
    with store._database.read() as connection:
        cursor = cursor_of(connection)
        (tried,) = cursor.execute("SELECT count(*) FROM attempt").fetchone()
        (tallied,) = cursor.execute(
            "SELECT sum(count) FROM tally WHERE gate = 'delivered'"
        ).fetchone()
    assert tried <= totals.attempts  # attempts of what was erased stay counted
    assert tallied == len({row.id for row in every(store, "decisions_page")})
