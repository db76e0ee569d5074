"""The bounded queue between the transports and the one worker that commits.

Transports put what arrived and go on; the worker takes what waits, decodes it at once, hands it
to `process` (one transaction) and only then tells each sender that it is safe: MQTT messages are
acknowledged in order of arrival, HTTP submissions get their own share of the outcome. One worker
means one order: pings of a device are processed as they came. What is not acknowledged is still
the broker's, so a crash at any line of this file loses nothing.

The price is latency: a ping waits up to `max_age_s` for company. Costs about 0.6 us a ping over
decoding.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace

import numpy as np
import structlog

from geotarget import metrics
from geotarget.errors import Overloaded, StoreError
from geotarget.ingest.columns import NO_INTS, chosen, joined, sliced
from geotarget.ingest.waiting import (
    Acknowledge,
    Entry,
    Frame,
    Received,
    Submitted,
    acknowledge,
    cut,
    fail,
    fitting,
    resolve,
    runs,
)
from geotarget.ingest.wire import (
    DEFAULT_LIMITS,
    Decoded,
    WireLimits,
    decode_mqtt,
    decode_mqtt_singly,
)
from geotarget.model import Outcome, PingBatch, Rejected

Process = Callable[[PingBatch, Sequence[Rejected]], Outcome]

_FIRST_BACKOFF_S = 0.1
_LAST_BACKOFF_S = 5.0
_FOREVER = float("inf")

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class IntakeStats:
    """Counters since the start, and what waits now.

    `waiting` and `most_waiting` count slots: an MQTT message is one, an HTTP submission one per
    started hundred pings. `dropped` counts QoS 0 messages that found no room.
    """

    pings: int = 0
    messages: int = 0
    batches: int = 0
    rejected: int = 0
    ignored: int = 0
    dropped: int = 0
    retries: int = 0
    waiting: int = 0
    most_waiting: int = 0


class Intake:
    """Collects pings, closes batches, acknowledges after the commit.

    Parameters
    ----------
    process
        Writes one batch in one transaction. It raises `StoreError` when nothing was written; then
        the same batch is tried again (0.1 s, doubling to 5 s) until it is. Any other exception is
        a defect: reported by `health`, logged with its traceback, and tried again likewise,
        because giving up would lose pings.
    max_pings
        A batch closes at this many messages, or at about as many pings.
    max_age_s
        It closes when its oldest message has waited this long, in seconds.
    capacity
        Slots for what is received and not yet committed: an MQTT message takes one, an HTTP
        submission one per started hundred pings. Also the Receive Maximum of the connection.
    prefix, limits
        As in `decode_mqtt`.

    Notes
    -----
    Thread-safe. `submit` and `put` may be called from any thread.
    """

    def __init__(
        self,
        process: Process,
        *,
        max_pings: int = 5_000,
        max_age_s: float = 0.02,
        capacity: int = 5_000,
        prefix: str = "pings",
        limits: WireLimits = DEFAULT_LIMITS,
    ) -> None:
        self._process = process
        self._max_pings = max_pings
        self._max_age_s = max_age_s
        self._full = min(max_pings, capacity)
        self.capacity = capacity
        self.prefix = prefix
        self.limits = limits
        self._queue: deque[Entry] = deque()
        self._changed = threading.Condition()
        self._queued = 0  # slots in the queue; the statistics count the worker's hands too
        self._hold_until = 0.0
        self._closing = False
        self._give_up = threading.Event()
        self._trouble = ""
        self._stats = IntakeStats()
        self._worker = threading.Thread(target=self._run, name="ingest", daemon=True)

    def start(self) -> None:
        """Start the worker thread."""
        self._worker.start()

    def submit(self, pings: PingBatch, rejected: Sequence[Rejected] = ()) -> Future[Outcome]:
        """Queue pings of one caller who waits for the answer.

        Parameters
        ----------
        pings
            In order; the positions in the answer's `refused` are positions in it.
        rejected
            Items of the same request that were refused already, to be kept as dead letters.

        Returns
        -------
        Future
            Done after the commit; `late` and `duplicates` are not told apart here.

        Raises
        ------
        Overloaded
            When there is no room, or the intake is closing.
        """
        entry = Submitted(pings, rejected, time.monotonic())
        # A caller who goes away can't cancel what may be half-way to the disk.
        entry.future.set_running_or_notify_cancel()
        with self._changed:
            if self._closing:
                raise Overloaded("the ingest is stopping", retry_after_s=5.0)
            # A submission larger than the whole queue is let in when the queue is empty.
            if self._stats.waiting and self._stats.waiting + entry.slots > self.capacity:
                raise Overloaded(
                    f"the ingest queue is full ({self._stats.waiting} of {self.capacity} slots)",
                    retry_after_s=1.0,
                )
            self._enter(entry)
        metrics.pings_received.labels("http").inc(len(pings))
        return entry.future

    def put(
        self, frames: Sequence[Frame], acknowledge: Acknowledge, *, timeout_s: float = 0.0
    ) -> int:
        """Queue MQTT messages, as many as there is room for.

        Parameters
        ----------
        frames
            In order of arrival.
        acknowledge
            Called from the worker, after the commit, with the packet identifiers of these frames
            in order of arrival; perhaps in several calls.
        timeout_s
            How long to wait for room when there is none, in seconds.

        Returns
        -------
        int
            How many of the frames are done with: queued, or (QoS 0 without room) dropped and
            counted. The sender keeps the rest, which starts with a QoS 1 message, and stops
            reading: that is the back-pressure.
        """
        with self._changed:
            if self._stats.waiting >= self.capacity and timeout_s:
                self._changed.wait_for(
                    lambda: self._stats.waiting < self.capacity or self._closing, timeout_s
                )
            if self._closing:
                return 0
            room = self.capacity - self._stats.waiting
            done, taken = (
                (len(frames), list(frames)) if len(frames) <= room else fitting(frames, room)
            )
            self._stats.dropped += done - len(taken)
            if taken:
                now_ms = time.time_ns() // 1_000_000
                self._enter(Received(taken, acknowledge, now_ms, time.monotonic()))
        if done > len(taken):
            metrics.pings_rejected.labels("overload").inc(done - len(taken))
        return done

    def hold(self, seconds: float) -> None:
        """Collect for a while, then process everything in fix-time order.

        After an unclean start some brokers deliver new messages first and the unacknowledged ones
        up to their ack_wait later; applied as they come, the older ones would be late. A full
        queue ends the hold: the broker's window is full then, so nothing more is to come.
        """
        with self._changed:
            self._hold_until = max(self._hold_until, time.monotonic() + seconds)
            self._changed.notify_all()

    def drain(self, timeout_s: float = 20.0) -> bool:
        """Take nothing more, process what waits, acknowledge it, end the worker.

        Returns
        -------
        bool
            Whether everything was committed. When not, MQTT messages stay with the broker and
            HTTP callers get the error.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._worker.ident is None:
            return not self._queue
        self._worker.join(timeout_s)
        if self._worker.is_alive():
            self._give_up.set()
            self._worker.join(timeout_s)
        with self._changed:
            left, self._queue = list(self._queue), deque()
        fail(left, Overloaded("the ingest stopped", retry_after_s=5.0))
        return not left and not self._give_up.is_set()

    def health(self) -> tuple[bool, str]:
        """Tell whether batches are being committed, and why not."""
        if self._trouble:
            return False, self._trouble
        if self._worker.ident is not None and not self._worker.is_alive() and not self._closing:
            return False, "the ingest worker ended unexpectedly"
        return True, ""

    @property
    def stats(self) -> IntakeStats:
        """A snapshot of the counters."""
        with self._changed:
            return replace(self._stats)

    # The worker.

    def _enter(self, entry: Entry) -> None:
        stats = self._stats
        self._queue.append(entry)
        self._queued += entry.slots
        stats.waiting += entry.slots
        stats.most_waiting = max(stats.most_waiting, stats.waiting)
        metrics.ingest_queue_pings.set(stats.waiting)
        # The worker sleeps until a batch is due: the first entry sets the time, a full one is due.
        if len(self._queue) == 1 or self._queued >= self._full:
            self._changed.notify_all()

    def _run(self) -> None:
        while taken := self._take():
            entries, by_fix_time = taken
            if not self._work(entries, by_fix_time=by_fix_time):
                fail(entries, StoreError(self._trouble))
                return
            with self._changed:
                self._stats.waiting -= sum(entry.slots for entry in entries)
                metrics.ingest_queue_pings.set(self._stats.waiting)
                self._changed.notify_all()

    def _take(self) -> tuple[list[Entry], bool] | None:
        """Wait until a batch is due and take it; None when the intake is closed and empty.

        The second value says whether it ends a hold, hence has to be sorted.
        """
        with self._changed:
            while (wait_s := self._due_in()) > 0:
                self._changed.wait(None if wait_s == _FOREVER else wait_s)
            if not self._queue or self._give_up.is_set():
                return None
            if self._hold_until:
                self._hold_until = 0.0
                entries, by_fix_time = list(self._queue), True
                self._queue.clear()
            else:
                entries, by_fix_time = cut(self._queue, self._max_pings), False
            self._queued -= sum(entry.slots for entry in entries)
            return entries, by_fix_time

    def _due_in(self) -> float:
        """Tell in how many seconds the next batch is due; 0 or less means now."""
        if self._closing or self._give_up.is_set():
            return 0.0
        now = time.monotonic()
        if self._hold_until:
            if self._hold_until <= now and not self._queue:
                self._hold_until = 0.0  # nothing came: the next ping need not wait
                return _FOREVER
            return self._hold_until - now if self._stats.waiting < self.capacity else 0.0
        if not self._queue:
            return _FOREVER
        if self._queued >= self._full:
            return 0.0
        return self._queue[0].since + self._max_age_s - now

    def _work(self, entries: list[Entry], *, by_fix_time: bool) -> bool:
        """Decode, commit, tell the senders; False when it was given up before the commit."""
        parts: list[Decoded] = []
        first_pings: list[int] = []  # of each submission
        count = 0
        for run in runs(entries):
            if isinstance(run, Submitted):
                first_pings.append(count)
                parts.append(Decoded(run.pings, list(run.rejected), NO_INTS))
            else:
                parts.append(self._decode(run))
            count += len(parts[-1].pings)
        pings = joined([part.pings for part in parts])
        rejected = [letter for part in parts for letter in part.rejected]
        order = np.arange(count)
        if by_fix_time:
            order = np.argsort(pings.ts, kind="stable").astype(np.int64)
            pings = chosen(pings, order)
        # An empty submission is a wish to have `process` called.
        committed = self._commit_all(pings, rejected) if count or rejected or first_pings else []
        if committed is None:
            return False
        refused = sorted((int(order[at]), code, text) for at, code, text in committed)
        with self._changed:
            stats = self._stats
            stats.pings += count
            stats.messages += sum(e.slots for e in entries if isinstance(e, Received))
            stats.batches += 1
            stats.rejected += len(rejected)
            stats.ignored += sum(part.ignored for part in parts)
        acknowledge(entries)
        resolve(entries, first_pings, refused)
        return True

    def _decode(self, run: Sequence[Received]) -> Decoded:
        messages = [frame for entry in run for frame in entry.frames]
        received = np.repeat(
            np.array([entry.received_ms for entry in run], dtype=np.int64),
            [len(entry.frames) for entry in run],
        )
        try:
            decoded = decode_mqtt(
                messages, received_ms=received, prefix=self.prefix, limits=self.limits
            )
        except Exception:  # noqa: BLE001 a defect of ours; one message must not block the others
            _log.exception("decoding failed; trying message by message")
            decoded = decode_mqtt_singly(
                messages, received_ms=received, prefix=self.prefix, limits=self.limits
            )
        metrics.pings_received.labels("mqtt").inc(len(decoded.pings))
        return decoded

    def _commit_all(
        self, pings: PingBatch, rejected: Sequence[Rejected]
    ) -> list[tuple[int, str, str]] | None:
        """Commit in transactions of `max_pings`; None when told to give up."""
        refused: list[tuple[int, str, str]] = []
        for first in range(0, max(len(pings), 1), self._max_pings):
            part = sliced(pings, first, first + self._max_pings)
            outcome = self._commit(part, () if first else rejected)
            if outcome is None:
                return None
            refused += ((first + at, code, text) for at, code, text in outcome.refused)
        return refused

    def _commit(self, pings: PingBatch, rejected: Sequence[Rejected]) -> Outcome | None:
        """Try until it is written; None when told to give up."""
        backoff = _FIRST_BACKOFF_S
        while True:
            try:
                outcome = self._process(pings, rejected)
            except StoreError as error:
                self._trouble = f"the store can't be written: {error}"
                _log.warning("commit failed; trying again", error=str(error), after_s=backoff)
            except Exception as error:  # noqa: BLE001 a defect; giving up would lose pings
                self._trouble = f"processing fails with {type(error).__name__}; see the log"
                _log.exception("processing failed; trying again", after_s=backoff)
            else:
                self._trouble = ""
                return outcome
            metrics.commit_retries.inc()
            with self._changed:
                self._stats.retries += 1
            if self._give_up.wait(backoff):
                return None
            backoff = min(2 * backoff, _LAST_BACKOFF_S)
