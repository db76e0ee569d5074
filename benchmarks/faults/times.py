"""A row about the time of day: stepped by an hour, forward and back."""

from __future__ import annotations

import time

from benchmarks.faults import clock
from benchmarks.faults.node import rest
from benchmarks.faults.row import Result, Row, Run
from benchmarks.faults.scene import ENDPOINT, RATE, Scene

HOUR_S = 3_600.0
RETRY_S = 2.0


def stepped(run: Run) -> Result:
    """Step the clock forward and back while pings come, posts are retried and leases run."""
    seconds = run.size(6.0, 2.0)
    file = run.folder / "clock"
    clock.step(file, 0)
    launcher = ("-m", "benchmarks.faults.points", "--clock", str(file), "--")
    with Scene(run, launcher=launcher, clock_file=str(file)) as scene:
        # Every third event is refused at its first attempt: there are always retries that wait.
        scene.put_endpoint(ENDPOINT, "flaky", retry_delays_s=[RETRY_S] * 10)
        phones = scene.publish()
        phones.wait_for(2_000)
        recovered = []
        for offset in (HOUR_S, 0.0):
            rest(seconds)
            clock.step(file, offset)
            recovered.append(scene.wait_for_post(time.time()))
        rest(seconds)
        verdict = scene.verdict(seconds=60)
        slowest = scene.slowest_s(phones)
        scene.node.stop()
    problems = []
    if verdict.duplicates:
        problems.append(f"{verdict.duplicates} events were delivered twice")
    size = f"+1 h and back, {len(phones.acknowledged):,} pings at {RATE:,.0f}/s"
    note = (
        f"every third post is refused once; the slowest event came {slowest:.0f} s after its ping"
    )
    return scene.result(verdict, size, recovery_s=max(recovered), note=note, problems=problems)


ROWS = [Row("clock", "the time of day stepped by an hour", stepped, 200)]
