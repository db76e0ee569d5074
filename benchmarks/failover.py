"""How long pings stand still when a worker or a node of NATS dies: each several times, under load.

Three workers, three NATS servers, PostgreSQL and two hundred phones that send 300 pings a second
altogether, all on this machine, as in `tests/e2e/test_workers.py`. What is measured is the time
from the death to the moment by which every slot has committed something again. A killed node is
each of the three in turn; a killed or frozen worker the first or the second of them.

    python benchmarks/failover.py
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.pages import renewed
from benchmarks.workers import is_smoke, keep
from geotarget.ingest.slots import ALL_SLOTS
from tests.e2e.nats_cluster import NODES
from tests.e2e.workers import WORKERS, Installation

RESULTS = Path(__file__).parent / "results" / "failover.json"
PAGE = Path(__file__).resolve().parents[1] / "geotarget" / "docs" / "durability.md"
BEGIN = "<!-- failover: begin (made by benchmarks/failover.py) -->"
END = "<!-- failover: end -->"
RATE, TIMES, NODES_KILLED = 300.0, 6, 12


def worker_killed(all_of_it: Installation, name: str) -> float:
    """Kill a worker; return how long its slots stood still."""
    slots, before = all_of_it.slots_of(name), all_of_it.commits()
    all_of_it.kill(name)
    took = all_of_it.until_committed(before, slots, seconds=60)
    all_of_it.run(name)
    all_of_it.wait_for_slots(*WORKERS, seconds=60)
    return took


def worker_frozen(all_of_it: Installation, name: str) -> float:
    """Freeze a worker; return how long its slots stood still."""
    slots = all_of_it.slots_of(name)
    all_of_it.freeze(name)
    took = all_of_it.until_committed(all_of_it.commits(), slots, seconds=60)
    all_of_it.thaw(name)
    all_of_it.wait_for_slots(*WORKERS, seconds=60)
    return took


def node_killed(all_of_it: Installation, node: int) -> float:
    """Kill a node of NATS; return how long any slot stood still."""
    all_of_it.cluster.kill(node)
    began, before = time.monotonic(), all_of_it.commits()
    all_of_it.until_committed(before, ALL_SLOTS, seconds=90)
    took = time.monotonic() - began
    all_of_it.cluster.start(node)
    all_of_it.wait_for_slots(*WORKERS, seconds=60)
    return took


def measure(times: int, nodes_killed: int) -> dict[str, list[float]]:
    """Let everything die in turn."""
    found: dict[str, list[float]] = {"worker killed": [], "worker frozen": [], "node killed": []}
    with tempfile.TemporaryDirectory() as folder:
        all_of_it = Installation(Path(folder))
        try:
            all_of_it.start()
            all_of_it.wait_for_slots(*WORKERS)
            phones = all_of_it.publish(RATE)
            phones.wait_for(round(3 * RATE))
            for turn in range(times):
                found["worker killed"].append(worker_killed(all_of_it, WORKERS[turn % 2]))
                found["worker frozen"].append(worker_frozen(all_of_it, WORKERS[1 - turn % 2]))
            for turn in range(nodes_killed):
                found["node killed"].append(node_killed(all_of_it, turn % NODES))
            verdict = all_of_it.verdict()
            if verdict.problems:
                raise SystemExit(f"not as owed: {verdict.problems}")
        finally:
            all_of_it.stop()
    return found


def table(found: dict[str, Any]) -> str:
    """Return the table of the page."""
    lines = ["| what dies | times | median | longest |", "| --- | ---: | ---: | ---: |"]
    for what, took in found["seconds"].items():
        middle = statistics.median(took)
        lines.append(f"| {what} | {len(took)} | {middle:.1f} s | {max(took):.1f} s |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print and store."""
    smoke = is_smoke(__doc__)
    found = measure(1, 1) if smoke else measure(TIMES, NODES_KILLED)
    for what, took in found.items():
        print(what, [round(each, 2) for each in took])
    if not smoke:
        keep(
            RESULTS,
            seconds={what: [round(each, 2) for each in took] for what, took in found.items()},
        )
        PAGE.write_text(renewed(PAGE.read_text(), BEGIN, END, table({"seconds": found})))


if __name__ == "__main__":
    main()
