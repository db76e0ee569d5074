"""From what was taken off the queue to a commit, and back to the senders.

Two ways: `Straight` commits at once what it is given; `Reordered` lets it wait in a
`ReorderWindow` first. Both decode a message once, tell the senders only after the commit, MQTT
connections in order of arrival, and belong to the worker's thread alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import structlog

from geotarget import metrics
from geotarget.errors import StoreError
from geotarget.ingest.columns import NO_INTS, chosen, joined
from geotarget.ingest.committing import Committer
from geotarget.ingest.reordering import Parcel, Release, ReorderWindow, parcels
from geotarget.ingest.waiting import (
    Entry,
    IntakeStats,
    Received,
    Submitted,
    acknowledge,
    fail,
    resolve,
    runs,
)
from geotarget.ingest.wire import Decoded, WireLimits, decode_mqtt, decode_mqtt_singly

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Done:
    """What was committed, and how much was read meanwhile.

    Parameters
    ----------
    entries
        Those that leave, in order of arrival.
    tell
        Tells their senders.
    pings, rejected
        How many pings and dead letters were committed.
    ignored
        How many messages were read that hold no ping.
    hurried
        Slots that left before their window was over.
    """

    entries: Sequence[Entry]
    tell: Callable[[], None]
    pings: int
    rejected: int
    ignored: int = 0
    hurried: int = 0

    def count(self, stats: IntakeStats) -> None:
        """Add it to what was done before."""
        stats.pings += self.pings
        stats.messages += sum(e.slots for e in self.entries if isinstance(e, Received))
        stats.batches += 1
        stats.rejected += self.rejected
        stats.ignored += self.ignored
        stats.hurried += self.hurried


class Straight:
    """Commits what it is given.

    Parameters
    ----------
    committer
        Who writes.
    prefix, limits
        As in `decode_mqtt`.
    """

    def __init__(self, committer: Committer, prefix: str, limits: WireLimits) -> None:
        self._committer = committer
        self._prefix = prefix
        self._limits = limits

    def work(self, entries: Sequence[Entry], *, by_fix_time: bool) -> Done | None:
        """Decode and commit; None when it was given up before the commit."""
        parts: list[Decoded] = []
        first_pings: list[int] = []  # of each submission
        count = 0
        for run in runs(entries):
            if isinstance(run, Submitted):
                first_pings.append(count)
                parts.append(Decoded(run.pings, list(run.rejected), NO_INTS))
            else:
                parts.append(decode_received(run, self._prefix, self._limits))
            count += len(parts[-1].pings)
        pings = joined([part.pings for part in parts])
        rejected = [letter for part in parts for letter in part.rejected]
        order = np.arange(count)
        if by_fix_time:
            order = np.argsort(pings.ts, kind="stable").astype(np.int64)
            pings = chosen(pings, order)
        # An empty submission is a wish to have `process` called.
        wanted = count or rejected or first_pings
        committed = self._committer.commit(pings, rejected) if wanted else []
        if committed is None:
            fail(entries, StoreError(self._committer.trouble))
            return None
        refused = sorted((int(order[at]), code, text) for at, code, text in committed)

        def tell() -> None:
            acknowledge(entries)
            resolve(entries, first_pings, refused)

        ignored = sum(part.ignored for part in parts)
        return Done(entries, tell, count, len(rejected), ignored)


class Reordered:
    """Holds what it is given back for a while, and commits it in fix-time order.

    Parameters
    ----------
    committer, prefix, limits
        As in `Straight`.
    window_s
        How long, in seconds.
    """

    def __init__(
        self, committer: Committer, prefix: str, limits: WireLimits, window_s: float
    ) -> None:
        self._committer = committer
        self._prefix = prefix
        self._limits = limits
        self._window = ReorderWindow(window_s)
        self._refused: list[tuple[int, str, str]] = []  # not told yet: their turn has not come

    @property
    def due_s(self) -> float | None:
        """When the oldest entry's window is over; None when nothing is held."""
        oldest_s = self._window.oldest_s
        return None if oldest_s is None else oldest_s + self._window.window_s

    def abandon(self) -> list[Entry]:
        """Let everything go uncommitted; return it, in order of arrival."""
        return [parcel.entry for parcel in self._window.release_all().parcels]

    def work(
        self, entries: Sequence[Entry], now_s: float, *, hurry_slots: int = 0, end: bool = False
    ) -> Done | None:
        """Decode and hold, commit what is due; None when it was given up before the commit.

        Parameters
        ----------
        entries
            What came.
        now_s
            Monotonic time, in seconds.
        hurry_slots
            Let the oldest entries of at least so many slots go, due or not.
        end
            Let everything go.
        """
        prompt, ignored = self._hold_back(entries)
        release = self._let_go(now_s, hurry_slots, end=end)
        done = [parcel.entry for parcel in release.parcels]
        letters = [letter for parcel in release.parcels for letter in parcel.letters]
        letters += [letter for entry in prompt for letter in entry.rejected]
        wanted = len(release.pings) or letters or prompt
        committed = self._committer.commit(release.pings, letters) if wanted else []
        if committed is None:
            fail([*done, *prompt], StoreError(self._committer.trouble))
            return None

        def tell() -> None:
            acknowledge(done)
            self._resolve(release, done, committed)
            resolve(prompt, [0] * len(prompt), ())

        due = now_s - self._window.window_s
        hurried = 0 if end else sum(entry.slots for entry in done if entry.since > due)
        pings = len(release.pings)
        return Done([*done, *prompt], tell, pings, len(letters), ignored, hurried)

    def _hold_back(self, entries: Sequence[Entry]) -> tuple[list[Submitted], int]:
        """Hold what has pings; return the submissions without, and how much was ignored."""
        prompt: list[Submitted] = []
        ignored = 0
        for run in runs(entries):
            if isinstance(run, list):
                decoded = decode_received(run, self._prefix, self._limits)
                self._window.add(decoded.pings, parcels(run, decoded))
                ignored += decoded.ignored
            elif len(run.pings):
                self._window.add(run.pings, [Parcel(run, len(run.pings), run.rejected)])
            else:
                prompt.append(run)
        return prompt, ignored

    def _let_go(self, now_s: float, hurry_slots: int, *, end: bool) -> Release:
        if end:
            return self._window.release_all()
        if hurry_slots:
            return self._window.release_slots(hurry_slots)
        return self._window.release(now_s)

    def _resolve(
        self, release: Release, done: Sequence[Entry], committed: Sequence[tuple[int, str, str]]
    ) -> None:
        """Answer the submissions whose turn it is, also for pings that went ahead of it."""
        refused = [(int(release.positions[at]), code, text) for at, code, text in committed]
        self._refused = sorted([*self._refused, *refused])
        firsts = [
            first
            for first, entry in zip(release.firsts, done, strict=True)
            if isinstance(entry, Submitted)
        ]
        resolve(done, firsts, self._refused)
        self._refused = [each for each in self._refused if each[0] >= self._window.turn]


def decode_received(run: Sequence[Received], prefix: str, limits: WireLimits) -> Decoded:
    """Decode neighbouring MQTT entries at once."""
    messages = [frame for entry in run for frame in entry.frames]
    received = np.repeat(
        np.array([entry.received_ms for entry in run], dtype=np.int64),
        [len(entry.frames) for entry in run],
    )
    try:
        decoded = decode_mqtt(messages, received_ms=received, prefix=prefix, limits=limits)
    except Exception:  # noqa: BLE001 a defect of ours; one message must not block the others
        _log.exception("decoding failed; trying message by message")
        decoded = decode_mqtt_singly(messages, received_ms=received, prefix=prefix, limits=limits)
    metrics.pings_received.labels("mqtt").inc(len(decoded.pings))
    return decoded
