"""A clock that can be stepped without being root: `time.time` with an offset from a file.

Stepping the machine's clock needs root and disturbs everything else on it. So the processes of a
row replace `time.time` and `time.time_ns` (and what the Standard Webhooks library asks) by
functions that add what the file says, before geotarget is imported. What counts in monotonic time
goes on as it does when a real clock is stepped; the embedded broker, which is not Python, keeps the
real time of day.
"""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from standardwebhooks import webhooks

POLL_S = 0.05
ON_THE_WAY_S = 5.0
real = time.time
"""The machine's own time of day, whatever is followed."""


@dataclass
class _Offset:
    now: float = 0.0
    shown: float = 0.0
    before: float = 0.0
    changed: float = -1e9


_offset = _Offset()


def follow(file: Path) -> None:
    """Add the seconds that `file` names to the time of day, from now on, as they change."""
    really_ns = time.time_ns

    def read() -> None:
        found = float(file.read_text() or 0) if file.exists() else 0.0
        if found != _offset.now:
            _offset.before, _offset.now, _offset.shown = _offset.now, found, found
            _offset.changed = time.monotonic()

    def watch() -> None:
        pause = threading.Event()
        while not pause.wait(POLL_S):
            read()

    class Stepped(dt.datetime):
        """What the Standard Webhooks library asks for the time."""

        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Stepped:
            return cls.fromtimestamp(time.time(), tz)

    read()
    webhooks.datetime = Stepped  # type: ignore[attr-defined]
    time.time = lambda: real() + _offset.shown
    time.time_ns = lambda: really_ns() + round(1e9 * _offset.shown)
    threading.Thread(target=watch, name="clock", daemon=True).start()


@contextmanager
def as_before() -> Iterator[bool]:
    """Let it be the time before the last step, for what was on its way then; False: too late."""
    soon = time.monotonic() - _offset.changed < ON_THE_WAY_S
    if soon:
        _offset.shown = _offset.before
    try:
        yield soon
    finally:
        _offset.shown = _offset.now


def step(file: Path, seconds: float) -> None:
    """Let the clocks that follow a file be off by so many seconds."""
    new = file.with_suffix(".new")
    new.write_text(str(seconds))
    new.replace(file)
