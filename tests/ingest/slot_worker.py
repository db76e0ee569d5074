"""A worker with slots as a process of its own: its commits are lines of a file.

``python -m tests.ingest.slot_worker URL SLOTS FILE``; prints ``ready``, and ends cleanly when its
standard input does.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import structlog

from geotarget.ingest import Intake, SlotSource
from geotarget.ingest.slots import parse_slots
from geotarget.model import Outcome, PingBatch, Rejected


def main(url: str, slots: str, file: str) -> None:
    """Work until standard input ends."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    ledger = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    def commit(pings: PingBatch, rejected: Sequence[Rejected]) -> Outcome:
        lines = [
            f"{device} {ts // 1000}\n"
            for device, ts in zip(pings.device, pings.ts.tolist(), strict=True)
        ]
        os.write(ledger, "".join(lines).encode())
        return Outcome(accepted=len(pings), refused=[])

    intake = Intake(commit, max_age_s=0.005)
    owned = parse_slots(slots) or frozenset()
    source = SlotSource(url, intake, slots=owned, clean=owned, ack_wait_s=1.0)
    intake.start()
    source.start()
    pause = threading.Event()
    while not source.health()[0]:
        pause.wait(0.01)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()
    sys.exit(0 if source.stop(10.0) else 1)


def read(file: Path) -> list[tuple[str, int]]:
    """Return what a worker has committed: device and second, in order; a torn last line is none."""
    whole = [line for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")]
    return [(line.split()[0], int(line.split()[1])) for line in whole]


if __name__ == "__main__":
    main(*sys.argv[1:])
