"""Rows about the disk and the database: full, and held by somebody else."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.faults.node import eventually, rest
from benchmarks.faults.row import Broken, Result, Row, Run, Skipped
from benchmarks.faults.scene import RATE, Scene

MIB = 1 << 20
MOST_GROWTH_MIB = 300.0
HOLD = """
import sqlite3, sys
base = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
base.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
base.execute("ROLLBACK")
print("released", flush=True)
"""


@contextmanager
def small_disk(folder: Path, mib: int) -> Iterator[Path]:
    """Mount a tmpfs for the time of a block.

    Raises
    ------
    Skipped
        This process may not mount.
    """
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Skipped(f"no small disk can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


def fill(folder: Path) -> Path:
    """Fill a disk to its last byte; return the file that does."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as out:
        for piece in (MIB, 4_096, 1):
            try:
                while True:
                    out.write(bytes(piece))
            except OSError:
                continue
    return ballast


def database_full(run: Run) -> Result:
    """No room for the database: nothing is acknowledged that is not committed."""
    seconds = run.size(10.0, 3.0)
    with small_disk(run.folder / "disk", 64) as disk:
        url = f"sqlite:///{disk / 'geotarget.db'}"
        with Scene(run, arguments=("--database", url)) as scene:
            phones = scene.publish()
            phones.wait_for(4_000)
            ballast = fill(disk)
            eventually(
                lambda: scene.node.metric("geotarget_commit_retries_total") > 0,
                seconds=60,
                what="a commit that finds no room",
            )
            rest(seconds)
            status, _ = scene.node.call(
                "POST", "/v1/pings", [{"device": "web", "ts": time.time(), "lat": 1, "lng": 1}]
            )
            ready, _ = scene.node.call("GET", "/readyz")
            ballast.unlink()
            roomy = time.time()
            recovery_s = scene.wait_for_post(roomy)
            verdict = scene.verdict()
            scene.node.stop()
    problems = []
    if 200 <= status < 300:
        problems.append(f"a ping over HTTP was answered {status} while nothing could be committed")
    if ready != 503:
        problems.append(f"/readyz answered {ready} while nothing could be committed")
    size = f"full for {seconds:g} s, {len(phones.acknowledged):,} pings at {RATE:,.0f}/s"
    note = f"meanwhile POST /v1/pings answered {status}, /readyz {ready}; it went on by itself"
    return scene.result(verdict, size, recovery_s=recovery_s, note=note, problems=problems)


def broker_full(run: Run) -> Result:
    """No room for the broker: phones get no acknowledgement, keep their pings, send them again."""
    seconds = run.size(10.0, 3.0)
    data = run.folder / "node"
    with small_disk(data / "broker", 64) as disk, Scene(run) as scene:
        phones = scene.publish()
        phones.wait_for(4_000)
        ballast = fill(disk)
        _silence(phones.acknowledged, seconds)
        acknowledged = len(phones.acknowledged)
        ballast.unlink()
        roomy = time.time()
        recovery_s = scene.wait_for_post(roomy)
        verdict = scene.verdict()
        scene.node.stop()
    size = f"full for {seconds:g} s, {len(phones.acknowledged):,} pings at {RATE:,.0f}/s"
    note = (
        f"no acknowledgement after the {acknowledged:,}th until there was room, "
        f"{phones.resent:,} pings sent again; it went on by itself"
    )
    return scene.result(verdict, size, recovery_s=recovery_s, note=note)


def _silence(acknowledged: dict[int, float], seconds: float) -> None:
    """Wait until nothing has been acknowledged for so long."""

    def silent() -> bool:
        before = len(acknowledged)
        rest(seconds)
        return len(acknowledged) == before

    eventually(silent, seconds=60, what="phones without acknowledgements on a full disk")


def blocked(run: Run) -> Result:
    """Another process holds the database's lock for a minute."""
    seconds = run.size(60.0, 5.0)
    with Scene(run) as scene:
        phones = scene.publish()
        phones.wait_for(4_000)
        before = scene.node.rss_bytes
        most = [before]
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(0.25):
                most.append(scene.node.rss_bytes)

        holder = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(scene.node.data / "geotarget.db")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert holder.stdout is not None
        if holder.stdout.readline() != "held\n":
            raise Broken("the lock of the database could not be had")
        watcher = threading.Thread(target=watch)
        watcher.start()
        rest(seconds)
        holder.communicate()
        released = time.time()
        recovery_s = scene.wait_for_post(released)
        verdict = scene.verdict()
        ended.set()
        watcher.join()
        scene.node.stop()
    grown = (max(most) - before) / MIB
    problems = []
    if grown > MOST_GROWTH_MIB:
        problems.append(f"memory grew by {grown:.0f} MiB, over {MOST_GROWTH_MIB:g}")
    size = f"{seconds:g} s, {len(phones.acknowledged):,} pings at {RATE:,.0f}/s"
    note = (
        f"memory {before / MIB:.0f} MiB before, {max(most) / MIB:.0f} at most; "
        f"the slowest event came {scene.slowest_s(phones):.0f} s after its ping"
    )
    return scene.result(verdict, size, recovery_s=recovery_s, note=note, problems=problems)


ROWS = [
    Row("disk-database", "no room for the database", database_full, 150),
    Row("disk-broker", "no room for the embedded broker", broker_full, 150),
    Row("blocked", "the database locked by another process", blocked, 240),
]
