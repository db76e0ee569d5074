"""A row about stops in order, under load."""

from __future__ import annotations

from benchmarks.faults.node import rest
from benchmarks.faults.row import Result, Row, Run
from benchmarks.faults.scene import RATE, Scene

LONGEST_S = 30.0


def sigterm(run: Run) -> Result:
    """SIGTERM while phones publish and posts are under way, then a start, again and again."""
    stops = run.size(5, 1)
    took = []
    with Scene(run, behaviour="slow?ms=20") as scene:
        phones = scene.publish()
        phones.wait_for(2_000)
        for _ in range(stops):
            rest(run.luck.uniform(0.5, 2.0))
            took.append(scene.node.stop(2 * LONGEST_S))
            scene.node.start()
        verdict = scene.verdict()
        took.append(scene.node.stop(2 * LONGEST_S))
    problems = []
    if max(took) > LONGEST_S:
        problems.append(f"a stop took {max(took):.1f} s, over {LONGEST_S:g} s")
    if verdict.duplicates:
        problems.append(f"{verdict.duplicates} events were delivered again after a stop in order")
    size = f"{len(took)} stops, {len(phones.acknowledged):,} pings at {RATE:,.0f}/s"
    note = f"each stop took {min(took):.1f} to {max(took):.1f} s, with status 0"
    return scene.result(verdict, size, note=note, problems=problems)


ROWS = [Row("sigterm", "SIGTERM under load", sigterm, 240)]
