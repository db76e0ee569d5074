"""Rows in which the whole node is killed: at random moments, and at named lines."""

from __future__ import annotations

import signal
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.faults.ledger import check, features
from benchmarks.faults.node import Node, rest
from benchmarks.faults.phones import Phones
from benchmarks.faults.points import CHECKPOINT, POINTS
from benchmarks.faults.row import Broken, Result, Row, Run
from benchmarks.faults.scene import ENDPOINT, KINDS, RATE, Scene

CATALOGUE = "catalogue"
QUICK_LEASE = ("--lease", "3")
QUICK_POINTS = ("written", "posted")
MEANS = {name: point.what for name, point in POINTS.items()} | {
    CHECKPOINT: "SQLite writes its log back into the database"
}


def kill_nine(run: Run) -> Result:
    """SIGKILL to node and embedded broker, again and again, while phones publish."""
    kills = run.size(20, 2)
    longest = slowest = 0.0
    with Scene(run, launcher=_plain(run)) as scene:
        phones = scene.publish()
        phones.wait_for(1_000)
        for _ in range(kills):
            rest(run.luck.uniform(0.1, 3.0))
            killed = time.time()
            scene.node.kill()
            scene.node.spawn()
            slowest = max(slowest, scene.node.ready())
            longest = max(longest, scene.wait_for_post(killed))
        verdict = scene.verdict(seconds=120)
        scene.node.stop()
        size = f"{kills} kills, {len(phones.acknowledged):,} pings at {RATE:,.0f}/s"
        note = (
            f"ready again within {slowest:.1f} s; the slowest event came "
            f"{scene.slowest_s(phones):.0f} s after its ping"
        )
        return scene.result(verdict, size, recovery_s=longest, note=note)


def at_points(run: Run) -> list[Result]:
    """SIGKILL by the node to itself, at one named line after the other, on one database."""
    names = [name for name in MEANS if not run.quick or name in QUICK_POINTS]
    launchers = {name: _launcher(run, name) for name in names}
    passed: list[tuple[str, Phones, float, list[str]]] = []
    with Scene(run, launcher=launchers[names[0]]) as scene:
        for name, following in zip(names, [*names[1:], None], strict=True):
            phones = scene.publish(f"{name}-")
            phones.wait_for(1_000)
            _armed(run, name).touch()
            zones = _edit_zones(scene.node) if name == CATALOGUE else []
            status = scene.node.wait(60)
            died = time.time()
            if status != -signal.SIGKILL:
                raise Broken(f"{name}: the node ended with {status}: {scene.node.said()[-2_000:]}")
            scene.node.spawn(launchers[following] if following else _plain(run))
            scene.node.ready()
            recovery_s = scene.wait_for_post(died)
            phones.finish()
            passed.append((name, phones, recovery_s, _missing(scene.node, zones)))
        scene.settle()
        return [_point(scene, *each) for each in passed]


def _point(
    scene: Scene, name: str, phones: Phones, recovery_s: float, problems: list[str]
) -> Result:
    owed = set(phones.walks.events(phones.acknowledged, KINDS))
    verdict = check(owed, scene.receiver.posts(), ENDPOINT, phones.walks.name)
    size = f"1 kill, {len(phones.acknowledged):,} pings at {RATE:,.0f}/s"
    note = f"the slowest event came {scene.slowest_s(phones):.0f} s after its ping"
    result = scene.result(verdict, size, recovery_s=recovery_s, note=note, problems=problems)
    return replace(result, row=f"point {name}", what=f"killed when {MEANS[name]}")


def _plain(run: Run) -> tuple[str, ...]:
    """Return how a node is started that no point kills; leases are short in short runs."""
    if not run.quick:
        return ("-m", "geotarget")
    return ("-m", "benchmarks.faults.points", *QUICK_LEASE, "--")


def _armed(run: Run, name: str) -> Path:
    return run.folder / f"armed-{name}"


def _launcher(run: Run, name: str) -> tuple[str, ...]:
    passing = 4 if name == CHECKPOINT else run.luck.randrange(3, 30)
    return (
        "-m", "benchmarks.faults.points", "--point", name, "--pass", str(passing),
        "--armed", str(_armed(run, name)), "--share", f"{run.luck.uniform(0.2, 0.8):.2f}",
        "--database", str(run.folder / "node" / "geotarget.db"),
        *(QUICK_LEASE if run.quick else ()), "--",
    )  # fmt: skip


def _edit_zones(node: Node) -> list[str]:
    """Put zones, far away, until the node dies; return those that were acknowledged."""
    put: list[str] = []
    feature = features()["features"][0]
    ring = [[lng + 90, lat - 100] for lng, lat in feature["geometry"]["coordinates"][0]]
    geometry = {"type": "Polygon", "coordinates": [ring]}
    while node.alive and len(put) < 1_000:
        name = f"far{len(put)}"
        try:
            node.put(f"/v1/zones/{name}", {**feature, "id": name, "geometry": geometry})
        except OSError:
            break
        put.append(name)
    return put


def _missing(node: Node, zones: list[str]) -> list[str]:
    """Return what is wrong with zones that were acknowledged."""
    lost = [name for name in zones if node.call("GET", f"/v1/zones/{name}")[0] != 200]
    return [f"{len(lost)} acknowledged zones are gone, such as {lost[0]}"] if lost else []


ROWS = [
    Row("kill-9", "node and broker killed at random moments", kill_nine, 420),
    Row("points", "the node killed at named lines", at_points, 400),
]
