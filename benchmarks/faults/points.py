"""`geotarget` that kills itself at a named line: a launcher around the real thing.

    python -m benchmarks.faults.points --point posted --pass 30 --armed /tmp/now -- up --data /tmp/x

It imports geotarget, wraps one function, and runs the command. The n-th passing of the point ends
the process with SIGKILL, before or after the function's body: nothing is flushed, no handler runs.
Without ``--point`` it only follows a clock (``--clock FILE``, see
`clock`) or lets leases end sooner, for short runs (``--lease``). Nothing in geotarget
knows of this; a test holds that every name exists.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.faults import clock

BEFORE, AFTER = "before", "after"
CHECKPOINT = "checkpoint"
CHECKPOINT_EVERY_S = 0.7


def _moves(_: object, *arguments: Any) -> bool:
    """Tell whether a batch has transitions: the others cause nothing."""
    return bool(arguments[1].transitions)


def _found(result: object, *_: Any) -> bool:
    return bool(result)


def _always(*_: Any) -> bool:
    return True


@dataclass(frozen=True)
class Point:
    """Where a process may die.

    Parameters
    ----------
    what
        In words, for the table.
    target
        ``module:attribute`` of a function.
    when
        Before or after its body.
    counts
        Whether a passing counts; it is given the result (None before) and the arguments.
    """

    what: str
    target: str
    when: str
    counts: Callable[..., bool] = _always


POINTS = {
    "written": Point(
        "a batch is written and not committed", "geotarget.store.turn:Turn.write", AFTER, _moves
    ),
    "committed": Point(
        "a batch is committed, memory not yet moved",
        "geotarget.store.live_log:LiveLog.settle",
        BEFORE,
    ),
    "unacknowledged": Point(
        "a batch is committed and not acknowledged",
        "geotarget.ingest.processing:acknowledge",
        BEFORE,
    ),
    "claimed": Point(
        "deliveries are claimed and not posted",
        "geotarget.store.outbox:Outbox.claim",
        AFTER,
        _found,
    ),
    "posted": Point(
        "deliveries are posted and not marked", "geotarget.store.outbox:Outbox.mark", BEFORE
    ),
    "marked": Point("deliveries are marked", "geotarget.store.outbox:Outbox.mark", AFTER),
    "fold": Point(
        "half of the live log's oldest row is folded",
        "geotarget.store.live_log:LiveLog._carry_members",
        BEFORE,
    ),
    "catalogue": Point(
        "a zone is written and not committed", "geotarget.store.zones:_write", AFTER
    ),
}


def resolve(target: str) -> tuple[Any, str]:
    """Return the object that holds a function, and its name there.

    Raises
    ------
    AttributeError
        There is nothing of that name.
    """
    module, _, path = target.partition(":")
    owner: Any = importlib.import_module(module)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    getattr(owner, name)
    return owner, name


def die() -> None:
    """End this process as `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)


def arm(point: Point, passing: int, armed: Path) -> None:
    """Let the process end at the n-th passing of a point since the file `armed` exists."""
    owner, name = resolve(point.target)
    really = getattr(owner, name)
    left = [passing]

    def passes(result: object, *arguments: Any) -> None:
        if point.counts(result, *arguments) and armed.exists():
            left[0] -= 1
            if left[0] == 0:
                die()

    @functools.wraps(really)
    def wrapped(*arguments: Any, **named: Any) -> Any:
        if point.when == BEFORE:
            passes(None, *arguments)
        result = really(*arguments, **named)
        if point.when == AFTER:
            passes(result, *arguments)
        return result

    setattr(owner, name, wrapped)


def arm_checkpoint(file: Path, passing: int, armed: Path, share: float) -> None:
    """Checkpoint a database again and again, and die in the midst of the n-th time.

    SQLite writes its log back inside one call, so no line of Python lies in it. A second thread
    ends the process after `share` of the time that the longest checkpoint before took.
    """
    from geotarget.store.sqlite import sqlite_driver

    def run() -> None:
        pause, longest = threading.Event(), 0.0
        for number in range(1, passing + 1):
            pause.wait(CHECKPOINT_EVERY_S)
            connection = sqlite_driver().connect(file, timeout=10)
            if number == passing:
                threading.Timer(share * longest, die).start()
            began = time.monotonic()
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            longest = max(longest, time.monotonic() - began)
            connection.close()
        die()

    def wait() -> None:
        pause = threading.Event()
        while not armed.exists():
            pause.wait(0.1)
        run()

    threading.Thread(target=wait, name="checkpoints", daemon=True).start()


def shorten_leases(seconds: float) -> None:
    """Let claims of deliveries hold for less than a minute."""
    from geotarget.runtime import node

    node.Sender = functools.partial(node.Sender, lease_s=seconds)  # type: ignore[assignment, misc]


def main() -> None:
    """Run `geotarget` with what follows ``--``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--point", choices=[*POINTS, CHECKPOINT])
    parser.add_argument("--pass", type=int, default=1, dest="passing")
    parser.add_argument("--share", type=float, default=0.5, help="of a checkpoint")
    parser.add_argument("--database", type=Path, help="for checkpoints")
    parser.add_argument("--armed", type=Path, help="passings count once this file exists")
    parser.add_argument("--clock", type=Path)
    parser.add_argument("--lease", type=float, help="of deliveries, seconds, for short runs")
    at = sys.argv.index("--")
    chosen = parser.parse_args(sys.argv[1:at])
    if chosen.clock:
        clock.follow(chosen.clock)
    if chosen.point == CHECKPOINT:
        arm_checkpoint(chosen.database, chosen.passing, chosen.armed, chosen.share)
    elif chosen.point:
        arm(POINTS[chosen.point], chosen.passing, chosen.armed)
    if chosen.lease:
        shorten_leases(chosen.lease)
    from geotarget import cli

    sys.argv = ["geotarget", *sys.argv[at + 1 :]]
    cli.main()


if __name__ == "__main__":
    main()
