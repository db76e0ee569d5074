"""The bounded queue between the transports and the one worker that commits.

Transports put what arrived and go on; the worker takes what waits, decodes it at once, hands it
to `process` (one transaction) and only then tells each sender that it is safe: MQTT messages are
acknowledged in order of arrival, HTTP submissions get their own share of the outcome. One worker
means one order: pings of a device are processed as they came, or, within a reorder window, as
they were fixed. What is not acknowledged is still the broker's, so a crash at any line of this
file loses nothing.

The price is latency: a ping waits up to `max_age_s` for company, under load longer (`pace`). Costs
about 0.6 us a ping over decoding. With a reorder window it waits that long too, and costs 0.6 to
0.9 us more.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import replace

import structlog

from geotarget import metrics
from geotarget.errors import Overloaded
from geotarget.ingest.committing import Committer, Process
from geotarget.ingest.holding import Lanes
from geotarget.ingest.pace import Pace
from geotarget.ingest.processing import Done, Reordered, Straight
from geotarget.ingest.waiting import (
    Acknowledge,
    Entry,
    Frame,
    IntakeStats,
    Received,
    Submitted,
    cut,
    fail,
    fitting,
    parted,
)
from geotarget.ingest.wire import DEFAULT_LIMITS, WireLimits
from geotarget.model import Outcome, PingBatch, Rejected

_FOREVER = float("inf")
_HURRIED_PARTS = 4  # a full queue lets the oldest of so many parts go

_log = structlog.get_logger(__name__)


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
        It closes when its oldest message has waited this long, in seconds; under load the worker
        rests first (`Pace`), unless a submission waits for its answer.
    capacity
        Slots for what is received and not yet committed: an MQTT message takes one, an HTTP
        submission one per started hundred pings. Also the Receive Maximum of the connection.
    prefix, limits
        As in `decode_mqtt`.
    reorder_window_s
        How long pings are held back so that later ones of the same device with an older fix time
        come in order, in seconds; 0 holds nothing. See `ReorderWindow`.
    clock
        Monotonic seconds.

    Notes
    -----
    Thread-safe. `submit` and `put` may be called from any thread.

    With a reorder window each answer comes that much later, and what is held takes its slots: the
    capacity, and with it the broker's window of unacknowledged messages (the Receive Maximum),
    has to exceed messages a second times window (20,000 slots and 3 s: 6,600 messages a second).
    When the queue is full its oldest quarter goes at once (`IntakeStats.hurried`): more than the
    capacity allows is ordered less well, but neither held up nor lost. A broker whose own window
    is smaller than the capacity does hold the rest back, and the intake can't know it.

    A ping that goes ahead, because a later fix of its device was due, is committed with that one;
    its message is acknowledged in its turn. After a crash in between the broker sends it again,
    and the rules know it: a duplicate or late. A submission is answered when all of its pings are
    committed; one without pings is not held.
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
        reorder_window_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._committer = Committer(process, max_pings)
        self._max_pings = max_pings
        self._pace = Pace(max_age_s)
        self._full = min(max_pings, capacity)
        self.capacity = capacity
        self.prefix = prefix
        self.limits = limits
        self._queue: deque[Entry] = deque()
        self._changed = threading.Condition()
        self._queued = 0  # slots in the queue; the statistics count the worker's hands too
        self._hold_until = 0.0
        self._lanes = Lanes()
        self._straight = Straight(self._committer, prefix, limits)
        self._window_s = reorder_window_s
        self._reordered = (
            Reordered(self._committer, prefix, limits, reorder_window_s)
            if reorder_window_s > 0
            else None
        )
        self._asking = 0  # submissions in the queue
        self._prompt_since = _FOREVER  # when the first submission without pings came
        self._crowded = False  # a submission found no room
        self._clock = clock
        self._closing = False
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
        with self._changed:
            entry = Submitted(pings, rejected, self._clock())
            # A caller who goes away can't cancel what may be half-way to the disk.
            entry.future.set_running_or_notify_cancel()
            if self._closing:
                raise Overloaded("the ingest is stopping", retry_after_s=5.0)
            # A submission larger than the whole queue is let in when the queue is empty.
            if self._stats.waiting and self._stats.waiting + entry.slots > self.capacity:
                if self._reordered is not None:
                    self._crowded = True
                    self._changed.notify_all()
                raise Overloaded(
                    f"the ingest queue is full ({self._stats.waiting} of {self.capacity} slots)",
                    retry_after_s=1.0,
                )
            self._enter(entry)
        metrics.pings_received.labels("http").inc(len(pings))
        return entry.future

    def put(
        self,
        frames: Sequence[Frame],
        acknowledge: Acknowledge,
        *,
        timeout_s: float = 0.0,
        lane: Hashable = None,
        stored: bool = False,
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
        lane
            Names the session where there are several; None where there is one.
        stored
            They were read from the broker's store, complete and in order: no hold keeps them.

        Returns
        -------
        int
            How many of the frames are done with: queued, or (QoS 0 without room) dropped and
            counted. The sender keeps the rest, which starts with a QoS 1 message, and stops
            reading: that is the back-pressure.
        """
        with self._changed:
            now_ms = time.time_ns() // 1_000_000
            entry = Received(frames, acknowledge, now_ms, self._clock(), lane)
            may_wait = lane is not None and not (stored or self._closing)
            if may_wait and self._lanes.set_aside(entry):
                self._changed.notify_all()
                return len(frames)
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
                self._enter(Received(taken, acknowledge, now_ms, self._clock(), lane))
        if done > len(taken):
            metrics.pings_rejected.labels("overload").inc(done - len(taken))
        return done

    def hold(self, seconds: float, *, lane: Hashable = None, window: int = 0) -> None:
        """Collect for a while, then process everything in fix-time order.

        After an unclean start some brokers deliver new messages first and unacknowledged ones up to
        their ack_wait later: too late. A full queue ends the hold, for the broker's window is full
        then. A reorder window goes on beyond the hold for what came near its end.

        Parameters
        ----------
        seconds
            How long; 0 ends the hold of a lane.
        lane
            Hold this session alone, and let the others pass; None for everything.
        window
            So many messages end the hold of a lane.
        """
        with self._changed:
            until_s = self._clock() + seconds
            if lane is None:
                self._hold_until = max(self._hold_until, until_s)
            else:
                self._lanes.hold(lane, until_s, window, ends=not seconds)
            self._changed.notify_all()

    def settle(self, lane: Hashable, timeout_s: float) -> bool:
        """Wait until all that came over a lane is committed and acknowledged; tell whether it is.

        What is held is let go uncommitted at once, and so is what waits in the queue when the time
        is over: the broker has both.
        """
        with self._changed:
            self._lanes.leave(self._lanes.drop(lane))
            settled = self._changed.wait_for(lambda: not self._lanes.in_hand(lane), timeout_s)
            if not settled:
                gone, self._queue = parted(self._queue, lane)
                self._queued -= sum(entry.slots for entry in gone)
                self._stats.waiting -= sum(entry.slots for entry in gone)
                self._lanes.leave(gone)
                self._changed.notify_all()
            return settled

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
            self._committer.give_up.set()
            self._worker.join(timeout_s)
        with self._changed:
            left, self._queue = [*self._queue, *self._lanes.take_all()], deque()
        if self._reordered is not None and not self._worker.is_alive():
            left = [*self._reordered.abandon(), *left]
        fail(left, Overloaded("the ingest stopped", retry_after_s=5.0))
        return not left and not self._committer.give_up.is_set()

    def health(self) -> tuple[bool, str]:
        """Tell whether batches are being committed, and why not."""
        if self._committer.trouble:
            return False, self._committer.trouble
        if self._worker.ident is not None and not self._worker.is_alive() and not self._closing:
            return False, "the ingest worker ended unexpectedly"
        return True, ""

    @property
    def stats(self) -> IntakeStats:
        """A snapshot of the counters."""
        with self._changed:
            return replace(self._stats, retries=self._committer.retries, held=self._lanes.messages)

    # The worker.

    def _enter(self, entry: Entry) -> None:
        stats = self._stats
        self._queue.append(entry)
        self._lanes.enter(entry)
        self._queued += entry.slots
        stats.waiting += entry.slots
        stats.most_waiting = max(stats.most_waiting, stats.waiting)
        metrics.ingest_queue_pings.set(stats.waiting)
        # The worker sleeps until a batch is due: the first entry sets the time, a full one is due.
        due = len(self._queue) == 1 or self._queued >= self._full
        if isinstance(entry, Submitted):
            self._asking += 1
            due = True  # its caller waits, so the worker does not rest
        if self._reordered is not None:
            due = due or self._is_crowded()
            if isinstance(entry, Submitted) and not len(entry.pings):
                self._prompt_since = min(self._prompt_since, entry.since)
        if due:
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            done = (
                self._step() if self._reordered is None else self._step_reordered(self._reordered)
            )
            if done is None:
                return
            if done.entries:
                metrics.ping_end_to_end_seconds.observe(self._clock() - done.entries[0].since)
            with self._changed:
                done.count(self._stats)
            done.tell()
            with self._changed:
                self._pace.end(self._clock())
                self._stats.waiting -= sum(entry.slots for entry in done.entries)
                metrics.ingest_queue_pings.set(self._stats.waiting)
                self._lanes.leave(done.entries)
                self._changed.notify_all()

    def _await(self, due_in: Callable[[], float]) -> None:
        """Wait until something is due, or the end is near."""
        while not (self._closing or self._committer.give_up.is_set()) and (wait_s := due_in()) > 0:
            self._changed.wait(None if wait_s == _FOREVER else wait_s)

    def _step(self) -> Done | None:
        """Work on one batch; None when there is none any more, or it was given up.

        What ends a hold is sorted, with all that waits: some of it may belong to the same lane.
        """
        with self._changed:
            self._await(self._due_in)
            held = self._end_of_hold()
            if not (self._queue or held) or self._committer.give_up.is_set():
                return None
            if by_fix_time := bool(held or self._hold_until):
                entries = [*self._queue, *held]
                self._queue.clear()
                self._hold_until, self._queued = 0.0, 0
            else:
                entries = cut(self._queue, self._max_pings)
                self._queued -= sum(entry.slots for entry in entries)
            self._asking -= sum(isinstance(entry, Submitted) for entry in entries)
            self._pace.begin(self._clock())
        return self._straight.work(entries, by_fix_time=by_fix_time)

    def _end_of_hold(self) -> list[Entry]:
        """Take what came over a lane whose hold is over; it waits with the others now."""
        held: list[Entry] = [*self._lanes.take(_FOREVER if self._closing else self._clock())]
        self._stats.waiting += sum(entry.slots for entry in held)
        return held

    def _due_in(self) -> float:
        """Tell in how many seconds the next batch is due; 0 or less means now."""
        now = self._clock()
        return min(self._lanes.due_s - now, self._queue_due_in(now))

    def _queue_due_in(self, now: float) -> float:
        if self._hold_until:
            if self._hold_until <= now and not self._queue:
                self._hold_until = 0.0  # nothing came: the next ping need not wait
                return _FOREVER
            return self._hold_until - now if self._stats.waiting < self.capacity else 0.0
        if not self._queue:
            return _FOREVER
        if self._queued >= self._full:
            return 0.0
        oldest, newest = self._queue[0], self._queue[-1]
        return self._pace.due_s(oldest.since, newest.since, rests=not self._asking) - now

    # The worker with a reorder window.

    def _step_reordered(self, reordered: Reordered) -> Done | None:
        """Hold what came and work on what is due; None as in `_step`."""
        with self._changed:
            self._await(lambda: self._release_in(reordered))
            held = self._end_of_hold()
            left = self._queue or held or reordered.due_s is not None
            if not left or self._committer.give_up.is_set():
                return None
            now, closing = self._clock(), self._closing
            hurry_slots = max(1, self.capacity // _HURRIED_PARTS) if self._is_crowded() else 0
            # What was held waits for its window from now on: it has come in no order so far.
            entries = [*self._queue, *(replace(entry, since=now) for entry in held)]
            self._queue.clear()
            self._queued = self._asking = 0
            self._pace.begin(now)
            self._crowded = False
            self._hold_until = 0.0
            self._prompt_since = _FOREVER
        if hurry_slots and not self._stats.hurried:
            _log.warning(
                "the queue is full before the reorder window is over; queue_messages should exceed"
                " messages a second times window",
                capacity=self.capacity,
            )
        return reordered.work(entries, now, hurry_slots=hurry_slots, end=closing)

    def _release_in(self, reordered: Reordered) -> float:
        """Tell in how many seconds there is something to do; 0 or less means now."""
        now, due_s = self._clock(), reordered.due_s
        if self._lanes.due_s <= now or self._is_crowded():
            return 0.0
        if self._hold_until > now:
            return self._hold_until - now
        if self._queued >= self._full:
            return 0.0  # time to decode
        if due_s is None:
            due_s = self._queue[0].since + self._window_s if self._queue else _FOREVER
        newest_s = self._queue[-1].since if self._queue else due_s
        prompt_s = self._prompt_since + self._pace.age_s
        return min(self._pace.due_s(due_s, newest_s), prompt_s, self._lanes.due_s) - now

    def _is_crowded(self) -> bool:
        return self._crowded or self._stats.waiting >= self.capacity
