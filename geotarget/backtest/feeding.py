"""A recording becomes batches, and its fix times the clock.

Live, a batch is what arrived within a second or so, and a clock ticks all the while. Here the
clock is the recording's: it jumps to the last ping of every batch, and on its way there to every
deadline at which the engine would do something by itself. So no transition is older than a minute
when the campaigns answer it, whatever the recording leaves out.

Batches are cut where the fix time changes, never between pings of one time: which batch a ping is
in then says nothing about what becomes of it. Making one costs 1 µs a ping.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from geotarget.engine.live_state import LiveState
from geotarget.engine.rules import Rules
from geotarget.engine.timers import next_due_ms
from geotarget.engine.zone_table import ZoneTable
from geotarget.model import FloatArray, IntArray, Outcome, PingBatch
from geotarget.model.keys import message_key, ping_keys
from geotarget.pipeline import SETTLED_EVERY_MS, Pipeline
from geotarget.recording import BadRow, RecordedPing

MOST_PINGS = 5_000
"""A batch closes at so many pings, at the next change of the fix time."""

MOST_AT_ONCE = 100_000
"""It closes here even if all of them are of one time."""

MOST_SPAN_MS = 60_000
"""It spans no more fix time than this: what one phone does and what the clock does to another are
answered in the order in which they happened, but for a minute."""

MAX_MS = 100_000_000_000_000
"""Fix times behind this (year 5138) are refused, as they are live."""

SHOWN_BAD_ROWS = 20
"""So many rows that are no pings are named; all are counted."""

_NO_INTS: IntArray = np.empty(0, np.int64)
_NO_FLOATS: FloatArray = np.empty(0, np.float64)
NO_PINGS = PingBatch(
    (), _NO_INTS, _NO_FLOATS, _NO_FLOATS, _NO_FLOATS, np.empty(0, np.uint64), _NO_INTS
)


class RecordedClock:
    """The time of day of a recording, Unix milliseconds; what the pipeline takes for its clock."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        """Return it."""
        return self.now_ms


@dataclass(slots=True)
class Fed:
    """What became of the pings of a recording.

    Parameters
    ----------
    pings
        That were let in; of them `late`, `duplicates` and `suspects` decided nothing when they
        came.
    bad
        Rows that are no pings or were refused; the first of them in `bad_rows`.
    in_order
        Whether the file was in order of time; else it was sorted.
    """

    file: str
    first_ms: int
    last_ms: int
    in_order: bool
    pings: int = 0
    late: int = 0
    duplicates: int = 0
    suspects: int = 0
    devices: int = 0
    bad: int = 0
    bad_rows: list[BadRow] = field(default_factory=list)

    def note_bad(self, row: BadRow) -> None:
        """Count a row that is no ping, and keep it if it is one of the first."""
        self.bad += 1
        if len(self.bad_rows) < SHOWN_BAD_ROWS:
            self.bad_rows.append(row)


def batches(
    pings: Iterable[RecordedPing], on_bad: Callable[[BadRow], object], *, span_ms: int
) -> Iterator[PingBatch]:
    """Yield pings as batches that arrive when they were fixed.

    Parameters
    ----------
    pings
        In order of time.
    on_bad
        Called with every ping that the wire would have refused, and why.
    span_ms
        Most fix time of one batch.
    """
    rows: list[RecordedPing] = []
    first_ms = last_ms = 0
    for ping in pings:
        reason = _refusal(ping)
        if reason:
            on_bad(BadRow(shown(ping.device, ping.ts_ms), reason))
            continue
        if rows and ping.ts_ms != last_ms:
            full = len(rows) >= MOST_PINGS or ping.ts_ms - first_ms > span_ms
            if full:
                yield _batch(rows)
                rows = []
        elif len(rows) >= MOST_AT_ONCE:
            yield _batch(rows)
            rows = []
        if not rows:
            first_ms = ping.ts_ms
        last_ms = ping.ts_ms
        rows.append(ping)
    if rows:
        yield _batch(rows)


def shown(device: str, ts_ms: int) -> str:
    """Name a ping of which it is not known any more where in the file it stands."""
    return f"device {device}, ts {ts_ms / 1000:.15g}"


def _refusal(ping: RecordedPing) -> str:
    """Say what the wire would refuse a ping for; empty if it would not."""
    if -90.0 <= ping.lat <= 90.0 and -180.0 <= ping.lng <= 180.0 and 0 < ping.ts_ms <= MAX_MS:
        return ""
    if not 0 < ping.ts_ms <= MAX_MS:
        return f"ts must be above 0 and at most {MAX_MS / 1000:.0f} s, not {ping.ts_ms / 1000:.15g}"
    if not -90.0 <= ping.lat <= 90.0:
        swapped = abs(ping.lng) <= 90.0 and abs(ping.lat) <= 180.0
        hint = "; are lat and lng swapped?" if swapped else ""
        return f"lat must be within -90 and 90, not {ping.lat!r}{hint}"
    return f"lng must be within -180 and 180, not {ping.lng!r}"


def _batch(rows: list[RecordedPing]) -> PingBatch:
    devices, ts_ms, lats, lngs, accs, ids = zip(*rows, strict=True)
    ts = np.array(ts_ms, np.int64)
    lat, lng, acc = (np.array(each, np.float64) for each in (lats, lngs, accs))
    acc[~(np.isfinite(acc) & (acc > 0))] = np.nan
    key = ping_keys(ts, lng, lat)
    for position, name in enumerate(ids):
        if name:
            key[position] = message_key(name)
    return PingBatch(devices, ts, lng, lat, acc, key, ts)


def feed(
    pipeline: Pipeline,
    clock: RecordedClock,
    table: ZoneTable,
    rules: Rules,
    batches: Iterable[PingBatch],
) -> Iterator[tuple[PingBatch, Outcome]]:
    """Let a pipeline work off batches in the time of their recording.

    After the last ping time goes on for as long as something is due by the clock alone: that is
    what would have happened, had the phones fallen silent there.

    Parameters
    ----------
    pipeline
        Made with `clock`, and with ``behind_s=0``: of a sorted recording nothing is on its way.
    clock
        At most at the first ping.
    table, rules
        What the pipeline has compiled of the same zones; says when something is due.

    Yields
    ------
    PingBatch, Outcome
        Each batch, and what became of it.
    """
    timed = bool(len(table.thresholds)) or bool(table.zones["pending_enters"].any())
    for batch in batches:
        if timed:
            _pass_time(pipeline, clock, table, rules, until_ms=int(batch.ts[0]))
        clock.now_ms = int(batch.ts[-1])
        yield batch, pipeline.process(batch)
    if timed:
        _pass_time(pipeline, clock, table, rules, until_ms=None)


def _pass_time(
    pipeline: Pipeline,
    clock: RecordedClock,
    table: ZoneTable,
    rules: Rules,
    *,
    until_ms: int | None,
) -> None:
    """Stop the clock at every deadline before an instant, and let the pipeline look at it."""
    state: LiveState = pipeline.state
    due_ms = next_due_ms(state, table, rules)
    while due_ms is not None:
        at_ms = max(due_ms, clock.now_ms + SETTLED_EVERY_MS)  # it looks no more often than that
        if until_ms is not None and at_ms >= until_ms:
            return
        clock.now_ms = at_ms
        pipeline.process(NO_PINGS)
        after_ms = next_due_ms(state, table, rules)
        if after_ms is not None and after_ms <= due_ms:
            raise AssertionError(f"what was due at {due_ms} did not happen by {at_ms}")
        due_ms = after_ms
