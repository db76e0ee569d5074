"""The ingest forgets who is erased, and refuses what they sent before.

An erasure is a transaction of whoever was asked for it, in this process or in another, while the
ingest has the state of the person's devices in memory and perhaps a batch of theirs under way. So
inside its own transaction a batch compares the number of the last erasure with the one that its
state follows (`Mourner.check`, 2 µs a batch). When they differ nothing is written; the devices are
forgotten and the batch is done again, upon what is left. An erasure and a commit never happen at
one time, so there is no order of the two that leaves something behind.

A device that was forgotten is unknown, and only of unknown devices it is asked whether there is a
tombstone, and only when there are any (75 ns a ping to see who is unknown, 5 µs for each of them).
Once it has a state again, older pings are late by themselves.

Which devices are meant is known by their digests only. The digests of all devices in memory are
made when somebody is erased, 1.5 µs each, and 8 bytes of each are kept, so that the next erasure
costs a comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import structlog

from geotarget.engine.footfall import Collector
from geotarget.engine.live_state import DEVICE as DEVICE_RECORD
from geotarget.engine.live_state import LiveState
from geotarget.model import KeyArray, PingBatch, Rejected
from geotarget.store import Store, Turn
from geotarget.store.history import named_device
from geotarget.store.tombstones import DEVICE, digest_of

T = TypeVar("T")

log = structlog.get_logger(__name__)

ERASED = "erased"
"""The reason of pings that are refused because their device was erased since."""

_SENTENCE = "the device was erased after this ping was made or received"
_HEAD_BYTES = 8


class _Outdated(Exception):
    """Somebody was erased since the state was followed; nothing was written."""


class Mourner:
    """Keeps a live state free of those who were erased. One writer: the thread of the pipeline.

    Parameters
    ----------
    store
        Where people are erased, and where the state is restored from.
    footfall
        What is noted of places and waits in memory; None: nothing is.
    alone
        Whether this process works on all devices. False: it begins with none.
    """

    def __init__(
        self, store: Store, footfall: Collector | None = None, *, alone: bool = True
    ) -> None:
        self._store = store
        self._footfall = footfall
        # before the state is read: who is erased in between is forgotten, not missed
        self._followed = store.last_erasure()
        self._any = store.has_tombstones()
        self.state = LiveState()
        if alone:
            store.work_alone()
            devices, states = store.load_devices(width=DEVICE_RECORD.itemsize)
            self.state.adopt(devices, states, store.load_members())
        self._heads: KeyArray = np.empty(0, np.uint64)  # of the digests, by row of the state

    def check(self, turn: Turn) -> None:
        """Refuse to write what rests on a state that still knows somebody who was erased."""
        if turn.last_erasure() != self._followed:
            raise _Outdated

    def look(self) -> None:
        """Find out without a transaction, for those who have nothing to write."""
        if self._store.last_erasure() != self._followed:
            raise _Outdated

    def heed(self, work: Callable[[], T], on_forgotten: Callable[[frozenset[str]], None]) -> T:
        """Do a piece of work; forget, and do it again, when somebody was erased before its commit.

        Parameters
        ----------
        work
            Calls `check` in the transaction that it ends with, and can be done again when that
            was refused.
        on_forgotten
            Called with the devices that were forgotten.
        """
        while True:
            try:
                return work()
            except _Outdated:
                on_forgotten(self._follow())

    def refusals(
        self, pings: PingBatch, others: list[tuple[int, str, str]]
    ) -> list[tuple[int, str, str]]:
        """Return (position, reason code, sentence) of what was sent by those who were erased.

        Parameters
        ----------
        pings
            The batch.
        others
            What is refused for other reasons: included, unless the device was erased.
        """
        strangers = self.state.strangers(pings.device) if self._any else ()
        if not len(strangers):
            return others
        erased = self._store.erased_devices({pings.device[at] for at in strangers})
        found = {
            int(at): (int(at), ERASED, _SENTENCE)
            for at in strangers
            if min(pings.ts[at], pings.received[at]) <= erased.get(pings.device[at], -1)
        }
        return sorted({**{each[0]: each for each in others}, **found}.values()) if found else others

    def letters(self, rejected: Sequence[Rejected]) -> Sequence[Rejected]:
        """Return the dead letters that may be kept: not those of a device that was erased.

        A message that can't be read does not say when it was made, so none is kept until the
        device has a life of its own again.
        """
        if not self._any or not rejected:
            return rejected
        named = [named_device(each) for each in rejected]
        erased = self._store.erased_devices({named[at] for at in self.state.strangers(named)})
        return [each for each, device in zip(rejected, named, strict=True) if device not in erased]

    def _follow(self) -> frozenset[str]:
        """Forget who was erased since; return their devices."""
        last, key, digests = self._store.tombstones_after(self._followed)
        ids = self.state.ids
        fresh = b"".join(
            digest_of(key, DEVICE, each)[:_HEAD_BYTES] for each in ids[len(self._heads) :]
        )
        self._heads = np.concatenate([self._heads, np.frombuffer(fresh, np.uint64)])
        heads = np.frombuffer(b"".join(each[:_HEAD_BYTES] for each in digests), np.uint64)
        rows = [
            row
            for row in np.flatnonzero(np.isin(self._heads, heads)).tolist()
            if ids[row] and digest_of(key, DEVICE, ids[row]) in digests
        ]
        gone = frozenset(ids[row] for row in rows)
        for row in rows:
            if self._footfall is not None:
                self._footfall.forget(row)
            self.state.forget(ids[row])
        self._followed, self._any = last, True
        log.info("forgot who was erased", devices=len(gone))
        return gone
