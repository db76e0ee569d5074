"""Which slots' devices this process has in memory, and how they come and go.

Devices of a slot are read when the slot is taken, before its first ping, and forgotten when it
goes. Both happen in the pipeline's thread, between two batches: `ask` lets another thread have it
done. A slot that turns out to be lost at a commit (`SlotsLost`) goes at once; nothing of that batch
was written, nothing of that slot is acknowledged, and the batch is done again without it.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

import numpy as np
import structlog

from geotarget import metrics
from geotarget.engine.footfall import Collector
from geotarget.engine.intake import without
from geotarget.engine.live_state import DEVICE, LiveState
from geotarget.model import IntArray, PingBatch
from geotarget.store import SlotLogs, Store
from geotarget.store.slot_logs import SlotsOf

T = TypeVar("T")

log = structlog.get_logger(__name__)


_NO_PAIRS: IntArray = np.empty((2, 0), np.int64)


def _nobody() -> None:
    """Tell nobody."""


def _ignore(_: Collection[int]) -> None:
    """Have no source that could acknowledge."""


class OwnedSlots:
    """The slots of one worker. One writer: the thread of the pipeline.

    Parameters
    ----------
    store
        Where the states of devices are.
    owner
        The worker, as the leases know it.
    slots_of
        The slot of each device.
    log_rows, log_bytes
        How long the log of each slot may grow before it is folded. Longer than a round, in which
        every device of the slot reports once, and hardly anything needs to be folded at all.
    """

    def __init__(
        self,
        store: Store,
        owner: str,
        slots_of: SlotsOf,
        *,
        log_rows: int = 512,
        log_bytes: int = 16 << 20,
    ) -> None:
        self._store = store
        self._slots_of = slots_of
        self._logs = SlotLogs(
            owner,
            slots_of,
            max_rows=log_rows,
            max_bytes=log_bytes,
            number_of=lambda devices: self._state.rows(devices),  # noqa: PLW0108 - another in `bind`
        )
        self._errands: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = (
            queue.SimpleQueue()
        )
        self._epochs: dict[int, int] = {}
        self._state = LiveState()
        self._footfall: Collector | None = None
        self._on_adopted: Callable[[], None] = _nobody
        self.disown: Callable[[Collection[int]], None] = _ignore
        """Called with slots that others own by now: nothing of them may be acknowledged."""
        store.write_slots(self._logs)

    @property
    def epochs(self) -> dict[int, int]:
        """The slots that are in memory, with the epochs that they were taken under."""
        return dict(self._epochs)

    def bind(
        self, state: LiveState, footfall: Collector | None, *, on_adopted: Callable[[], None]
    ) -> None:
        """Keep the devices in this state; `on_adopted` is called when others came into it."""
        self._state, self._footfall, self._on_adopted = state, footfall, on_adopted

    def ask(self, errand: Callable[[], T]) -> Future[T]:
        """Have something done between two batches; from any thread."""
        done: Future[T] = Future()
        self._errands.put((done, errand))
        return done

    def run_errands(self) -> None:
        """Do what was asked for; in the thread of the pipeline."""
        while not self._errands.empty():
            done, errand = self._errands.get()
            try:
                done.set_result(errand())
            except BaseException as error:  # noqa: BLE001 - it is told to whoever asked
                done.set_exception(error)

    def adopt(self, epochs: Mapping[int, int]) -> None:
        """Read the devices of slots that were taken; inside an errand.

        Raises
        ------
        StoreError
            They can't be read.
        """
        new = {slot: epoch for slot, epoch in epochs.items() if self._epochs.get(slot) != epoch}
        self.leave(new.keys() & self._epochs.keys())
        slots = sorted(new)
        devices, states = self._store.load_devices(width=DEVICE.itemsize, slots=slots)
        self._state.adopt(devices, states, self._store.load_members(slots=slots))
        self._logs.take(new)
        self._epochs |= new
        self._on_adopted()
        log.info("devices adopted", slots=len(slots), devices=len(devices))

    def leave(self, slots: Collection[int]) -> None:
        """Forget the devices of slots; inside an errand, or the pipeline's own thread."""
        going = frozenset(slots) & self._epochs.keys()
        if not going:
            return
        ids = self._state.ids
        slots_of_rows = self._slots_of(ids)
        rows = [
            row
            for row in np.flatnonzero(np.isin(slots_of_rows, sorted(going))).tolist()
            if ids[row]
        ]
        for row in rows:
            if self._footfall is not None:
                self._footfall.forget(row)
            self._state.forget(ids[row])
        self._logs.leave(sorted(going))
        for slot in going:
            del self._epochs[slot]
        log.info("devices left", slots=len(going), devices=len(rows))

    def lose(self, slots: Collection[int]) -> None:
        """Let slots go that others own by now: a commit was refused because of them."""
        metrics.fenced_commits.inc()
        log.warning("slots lost", slots=sorted(slots))
        self.disown(slots)
        self.leave(slots)

    def ours(self, pings: PingBatch) -> PingBatch:
        """Return the pings of devices in slots that are ours; nearly always all of them."""
        ours = np.isin(self._slots_of(pings.device), list(self._epochs))
        return pings if ours.all() else without(pings, _NO_PAIRS, np.flatnonzero(~ours).tolist())[0]
