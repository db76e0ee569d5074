"""What a place can be told from pings without keeping any: noted by H3 cell and day.

Whoever plans a zone asks how many devices come by and how well phones are located there. So for
each cell (0.1 km2) and day (UTC) three things are noted: a sketch of the devices (`sketches`), and
counts of accuracies and of ping intervals by class, one for each device that comes into the cell.
No ping and no device id is kept.

A ping is looked at closer only when its cell and day are neither of the last two that its device
was in: jitter across a border counts once. What was noted waits in memory for at most a minute and
then goes out with the batches, some hundred rows at a time; a crash loses it. It is a statistic:
late, repeated and suspect pings are left out.

Costs, one core, batches of 5,000 of which 6 % come into another cell: 0.15 microseconds a ping, and
2 ms for the rows of a transaction. Memory: 24 bytes a device, and 24 for each arrival that waits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from geotarget import sketches
from geotarget.engine.acceptance import APPLIED
from geotarget.engine.cells import cells_at
from geotarget.engine.live_state import LiveState, Records
from geotarget.model import FloatArray, Footfall, IntArray, KeyArray, PingBatch

RESOLUTION = 9
"""Of the cells: edges of 200 m, 0.1 km2."""

DAY_MS = 86_400_000
EVERY_MS = 60_000
"""How long what was noted may wait in memory, milliseconds."""

MOST_ROWS = 200
"""Rows that go out with one batch: 4 to 20 ms of its transaction."""

MOST_WAITING = 500_000
"""So many arrivals that wait go out early."""

CLASSES = 32
PER_OCTAVE = 3
"""Class 0 counts what is unknown; class k values from 2^((k-1)/3) to 2^(k/3), open at both ends."""

_ARRIVAL = np.dtype([("cell", "u8"), ("hash", "u8"), ("day", "i4"), ("classes", "i4")])
_NO_KEYS = np.empty(0, np.uint64)
_MIX_ROW, _MIX_PLACE = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)


def classes_of(values: FloatArray) -> IntArray:
    """Return the class of each value (metres or seconds); of NaN and what is not above 0: 0.

    Examples
    --------
    >>> classes_of(np.array([np.nan, 0.5, 1.0, 28.0, 1e9])).tolist()
    [0, 1, 1, 15, 31]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = np.floor(PER_OCTAVE * np.log2(values)) + 1
    known = values > 0
    return np.where(known, np.clip(np.where(known, steps, 0), 1, CLASSES - 1), 0).astype(np.int64)


def bounds_of_class(number: int) -> tuple[float, float]:
    """Return the least value of a class and the least of the next one.

    Examples
    --------
    >>> [round(bound, 1) for bound in bounds_of_class(15)]
    [25.4, 32.0]
    """
    return 2.0 ** ((number - 1) / PER_OCTAVE), 2.0 ** (number / PER_OCTAVE)


class Collector:
    """Notes pings by place until they are written. One writer: the thread of the pipeline.

    Parameters
    ----------
    salt
        What devices are hashed with.
    every_ms
        How long what was noted waits at most.
    """

    def __init__(self, salt: bytes, *, every_ms: int = EVERY_MS) -> None:
        self._salt = salt
        self._every_ms = every_ms
        self._hash: KeyArray = _NO_KEYS
        # cell and day in one number, of the last two arrivals of each row of `LiveState`
        self._last: KeyArray = _NO_KEYS
        self._before: KeyArray = _NO_KEYS
        self._noted: list[Records] = []
        self._waiting = 0
        self._since_ms: int | None = None
        self._arrivals: Records = np.empty(0, _ARRIVAL)  # sorted by day and cell, to be written
        self._starts: IntArray = np.empty(0, np.int64)
        self._rows: Sequence[Footfall] = ()

    def note(self, state: LiveState, pings: PingBatch, status: IntArray, now_ms: int) -> None:
        """Note a batch; its step must have been applied to the state.

        Parameters
        ----------
        state
            Gives each device its row and its usual interval.
        pings, status
            The batch, and what became of each ping, as in `Step.status`.
        now_ms
            Unix milliseconds.
        """
        if not len(pings):
            return
        rows = state.rows(pings.device)
        self._grow(len(state.ids))
        cells = cells_at(lng=pings.lng, lat=pings.lat, resolution=RESOLUTION)
        where = _place(cells, pings.ts)
        new = (where != self._last[rows]) & (where != self._before[rows]) & (status == APPLIED)
        at = np.flatnonzero(new)
        if not at.size:
            return
        # of several pings of one device in one place the first one counts
        both = rows[at].view(np.uint64) * _MIX_ROW ^ where[at] * _MIX_PLACE
        at = at[np.sort(np.unique(both, return_index=True)[1])]
        rows, where = rows[at], where[at]
        for row in rows[self._hash[rows] == 0].tolist():
            self._hash[row] = sketches.hash_of(state.ids[row], self._salt)
        self._before[rows] = self._last[rows]
        self._last[rows] = where
        arrivals = np.empty(at.size, _ARRIVAL)
        arrivals["day"] = pings.ts[at] // DAY_MS
        arrivals["cell"] = cells[at]
        arrivals["hash"] = self._hash[rows]
        interval_s = state.devices["interval_ms"][rows] / 1000.0
        arrivals["classes"] = classes_of(pings.acc[at]) * CLASSES + classes_of(interval_s)
        self._noted.append(arrivals)
        self._waiting += at.size
        if self._since_ms is None:
            self._since_ms = now_ms

    def due(self, now_ms: int) -> Sequence[Footfall]:
        """Return what should be written with the next transaction; the same until `written`."""
        if not len(self._starts) and self._since_ms is not None:
            waited_ms = now_ms - self._since_ms
            if waited_ms >= self._every_ms or self._waiting >= MOST_WAITING:
                self._gather()
        if not self._rows and len(self._starts):
            first = max(0, len(self._starts) - MOST_ROWS)
            self._rows = _rows_of(self._arrivals, self._starts[first:].tolist())
        return self._rows

    def written(self) -> None:
        """Forget what `due` returned last: it is committed."""
        if self._rows:
            left = len(self._starts) - len(self._rows)
            self._arrivals = self._arrivals[: self._starts[left]]
            self._starts = self._starts[:left]
            self._rows = ()

    def forget(self, row: int) -> None:
        """Take the device of a row out of what waits; only between transactions."""
        if row >= len(self._hash) or not self._hash[row]:
            return
        gone = self._hash[row]
        self._noted = [each[each["hash"] != gone] for each in self._noted]
        self._waiting = sum(map(len, self._noted))
        self._arrivals = self._arrivals[self._arrivals["hash"] != gone]
        self._starts, self._rows = _starts_of(self._arrivals), ()
        self._hash[row] = self._last[row] = self._before[row] = 0

    def _gather(self) -> None:
        """Put all that was noted in order, to be written."""
        noted = np.concatenate(self._noted)
        self._noted, self._waiting, self._since_ms = [], 0, None
        self._arrivals = noted[np.lexsort((noted["cell"], noted["day"]))]
        self._starts = _starts_of(self._arrivals)

    def _grow(self, count: int) -> None:
        """Make room for all rows of the state."""
        short = count - len(self._hash)
        if short > 0:
            more = np.zeros(max(short, len(self._hash)), np.uint64)
            self._hash = np.concatenate([self._hash, more])
            self._last = np.concatenate([self._last, more])
            self._before = np.concatenate([self._before, more])


def _place(cells: KeyArray, ts: IntArray) -> KeyArray:
    """Return a number for each (cell, day): the day takes the bits that all cells share."""
    days = (ts // DAY_MS).view(np.uint64) << np.uint64(52)
    return (cells & np.uint64((1 << 52) - 1)) | days


def _starts_of(arrivals: Records) -> IntArray:
    """Return where each (cell, day) begins in arrivals that are sorted by them."""
    new = np.ones(len(arrivals), np.bool_)
    new[1:] = np.diff(arrivals["cell"]) != 0
    new[1:] |= np.diff(arrivals["day"]) != 0
    return np.flatnonzero(new)


def _rows_of(arrivals: Records, starts: Sequence[int]) -> list[Footfall]:
    """Return the last arrivals as rows of the store; each start begins a (cell, day)."""
    accuracies, intervals = np.divmod(arrivals["classes"], CLASSES)
    cells, days, hashes = arrivals["cell"], arrivals["day"], arrivals["hash"]
    return [
        Footfall(
            cell=int(cells[begin]),
            day=int(days[begin]),
            devices=sketches.to_bytes(sketches.sketch_of(hashes[begin:end])),
            accuracies=np.bincount(accuracies[begin:end], minlength=CLASSES).tolist(),
            intervals=np.bincount(intervals[begin:end], minlength=CLASSES).tolist(),
        )
        for begin, end in zip(starts, [*starts[1:], len(arrivals)], strict=True)
    ]
