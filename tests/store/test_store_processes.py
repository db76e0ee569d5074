"""Several threads and processes on one database: nothing twice, nothing lost, nobody starves."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

from records import attempt, batch, delivery, member

from geotarget.model import BatchWrite
from geotarget.store import Store
from tests.postgres_server import SECRET_KEY

DELIVERIES = 2_000
THREADS, PROCESSES = 4, 2
DEADLINE_S = 120.0

SENDER = """
import sys
sys.path.insert(0, sys.argv[1])
import threading
from geotarget.store import Store
from test_store_processes import send

with Store.open(sys.argv[2], secret_key=sys.argv[3]) as store:
    print("ready", flush=True)
    sys.stdin.readline()
    for name in send(store):
        print(name)
"""


def send(store: Store) -> list[str]:
    """Claim and mark until nothing waits; return what was claimed."""
    got: list[str] = []
    while True:
        claimed = store.claim(now_ms=2**50, limits={"crm": 7, "till": 5}, lease_ms=1)
        if not claimed:
            return got
        got += [f"{each.webhook_id} {each.endpoint}" for each in claimed]
        store.mark(
            [
                attempt(delivery(0, webhook_id=each.webhook_id, endpoint=each.endpoint))
                for each in claimed
            ]
        )


def test_nothing_is_claimed_twice_within_its_lease(ready_database_url: str) -> None:
    """Four threads and two processes send each delivery exactly once, while ingest writes."""
    url = ready_database_url
    with Store.open(url, secret_key=SECRET_KEY) as store:
        wanted = [
            delivery(number, webhook_id=f"offer_{number}", endpoint=("crm", "till")[number % 2])
            for number in range(DELIVERIES)
        ]
        store.write_batch(BatchWrite(deliveries=wanted))
        children = [
            subprocess.Popen(
                [sys.executable, "-c", SENDER, str(Path(__file__).parent), url, SECRET_KEY],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(PROCESSES)
        ]
        for child in children:
            assert child.stdout is not None
            assert "ready\n" == child.stdout.readline()
        claimed: Counter[str] = Counter()
        stop = threading.Event()
        written = 0

        def take() -> None:
            claimed.update(send(store))

        def ingest() -> None:
            nonlocal written
            while not stop.is_set():
                store.write_batch(
                    BatchWrite(
                        devices=["phone"],
                        device_states=written.to_bytes(8, "big"),
                        members_put=[member("phone", "zone", written)],
                    )
                )
                written += 1

        writer = threading.Thread(target=ingest)
        threads = [threading.Thread(target=take) for _ in range(THREADS)]
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        for thread in (writer, *threads):
            thread.start()
        for thread in threads:
            thread.join(DEADLINE_S)
        for child in children:
            out, _ = child.communicate(timeout=DEADLINE_S)
            claimed.update(out.split("\n")[:-1])
            assert 0 == child.returncode
        stop.set()
        writer.join(DEADLINE_S)
        assert Counter(f"{each.webhook_id} {each.endpoint}" for each in wanted) == claimed
        totals = store.counts()
        assert (0, DELIVERIES, DELIVERIES) == (
            totals.deliveries_pending, totals.deliveries_delivered, totals.attempts,
        )  # fmt: skip
        assert (0, None) == store.outbox_size()
        assert written > 0
        assert (["phone"], (written - 1).to_bytes(8, "big")) == store.load_devices()


def test_threads_of_all_kinds_at_once(ready_database_url: str) -> None:
    """Batches, catalogue, keys, claims and pages from eight threads end in a consistent store."""
    with Store.open(ready_database_url, secret_key=SECRET_KEY) as store:
        errors: list[BaseException] = []

        def work(start: int) -> None:
            try:
                for number in range(start, start + 25):
                    store.write_batch(batch(number, devices=[f"d-{start}"]))
                    store.transitions_page(device=f"phone-{number % 5}")
                    store.claim(now_ms=2**50, limits={"crm": 1}, lease_ms=10**9)
                    store.create_key(name=f"key {number}", scopes=["admin"])
                    store.outbox_size()
            except BaseException as error:  # noqa: BLE001 - shown by the assertion below
                errors.append(error)

        threads = [threading.Thread(target=work, args=(start,)) for start in range(0, 200, 25)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE_S)
        assert [] == errors
        totals = store.counts()
        assert (200, 200, 200) == (
            totals.transitions, totals.decisions_fired, totals.deliveries_pending,
        )  # fmt: skip
        assert 200 == len(store.transitions_page(limit=1000).items) == len(store.keys())
