"""Keeps this worker's share of the slots: renews, takes, gives back, some times in a lease.

Every worker looks by itself: how many of us live, how many slots have I, which are free? Nobody is
asked and nobody leads. Who has more than its share gives back; who has less takes what is free. A
slot changes hands in this order: whoever leaves it has committed and disconnected before the lease
goes, whoever takes it has read its devices before the session is connected. After a crash nobody
leaves anything: the lease runs out, and the pings of the slot are held until the broker has sent
again what was not acknowledged. Who does not reach the broker any more gives back everything, and
takes something again when it answers (`broker_reach`).

Where the database sends notices, slots that were given back are taken at once; otherwise with the
next look.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import TimeoutError as LateError

import structlog

from geotarget.errors import StoreError
from geotarget.ingest import SlotSource
from geotarget.ingest.slots import ALL_SLOTS, slot_of
from geotarget.owned_slots import OwnedSlots
from geotarget.runtime.broker_reach import AWAY_S, BrokerReach, Reach
from geotarget.store import Standing, Store, Taken
from geotarget.store.notices import Deaf, Listening

log = structlog.get_logger(__name__)

LEASE_S = 3.0
"""So long after its last word a worker's slots may be taken."""

TICK_S = 0.75
TAKEN_AT_ONCE = 16
"""Slots whose devices are read between two renewals."""

GIVING_BACK_S = 2.0
"""How long what is under way of slots that are given back may take to be committed."""


def worker_name() -> str:
    """Return a name that no other worker has, nor this one after a restart."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


class SlotKeeper:
    """A thread that keeps a worker's slots.

    Parameters
    ----------
    store
        Where the leases are.
    owned
        Whose devices are in memory.
    poke
        Has the pipeline look for errands.
    owner
        This worker's name.
    among
        The slots that it may take; all of them are shared with other workers, others are its own.
    away_s
        How long it may be without a connection to the broker before others get its slots.
    """

    def __init__(
        self,
        store: Store,
        owned: OwnedSlots,
        *,
        poke: Callable[[], None],
        owner: str,
        among: Collection[int] = ALL_SLOTS,
        away_s: float = AWAY_S,
    ) -> None:
        self._store = store
        self._owned = owned
        self._poke = poke
        self._owner = owner
        self._among = frozenset(among)
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._listening: Listening = Deaf()
        self._draining = threading.Event()
        self._trouble = "no slots were taken yet"
        self._source: SlotSource | None = None
        self._away_s = away_s
        self._reach: BrokerReach | None = None
        self._is_away = False
        self._is_unsure = False
        self._thread = threading.Thread(target=self._run, name="slot-keeper", daemon=True)

    def start(self, source: SlotSource) -> None:
        """Begin to take slots for this source."""
        moved = self._store.prepare_slots(sorted(ALL_SLOTS), slot_of)
        if moved:
            log.info("devices were put into slots", devices=moved)
        self._source = source
        self._reach = BrokerReach(source, away_s=self._away_s)
        self._owned.disown = source.disown
        self._listening = self._store.on_slots_released(self._wake.set)
        self._thread.start()

    def only_renew(self) -> None:
        """Take and give back no more slots, while what is under way is being committed."""
        self._draining.set()

    def leave(self, clean: Collection[int]) -> None:
        """Give all slots back and end, when the source has stopped; `clean` are those it left so.

        Raises
        ------
        StoreError
            The database can't be written; the leases run out by themselves.
        """
        self._stopping.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._listening.stop()
        # First this: whoever takes the slots then counts how many are left to share them.
        self._store.leave_workers(self._owner)
        self._store.release_slots(self._owner, self._owned.epochs, clean)

    def health(self) -> tuple[bool, str]:
        """Tell whether the leases can be kept, and why not."""
        return not self._trouble, self._trouble

    def _run(self) -> None:
        while True:
            started = time.monotonic()
            self._wake.clear()  # what is given back from here on makes another tick
            if self._stopping.is_set():
                return
            self._is_unsure = False
            try:
                more = self._tick()
            except (StoreError, LateError) as error:
                more = False
                self._trouble = f"the slots can't be kept: {error or 'the pipeline is busy'}"
                log.warning("slots can't be kept; trying again", error=str(error))
            except Exception as error:
                more = False
                self._trouble = f"the slots can't be kept: {type(error).__name__}, see the log"
                log.exception("keeping the slots failed; trying again")
            if not more:
                wait_s = started + TICK_S - time.monotonic()
                if self._is_unsure and self._reach is not None:
                    wait_s = min(wait_s, self._reach.due_in_s)
                self._wake.wait(max(0.0, wait_s))

    def _tick(self) -> bool:
        """Renew, and take or give back some; tell whether there is more to do at once."""
        assert self._reach is not None
        reach = Reach.UNSURE if self._draining.is_set() else self._reach.look()
        if reach is Reach.AWAY:
            self._go_away()
            return False
        self._is_unsure = reach is Reach.UNSURE and not self._draining.is_set()
        self._is_away = False
        standing = self._store.renew_slots(self._owner, lease_ms=round(LEASE_S * 1000))
        self._drop_lost(standing)
        # A worker that was frozen and wakes up takes sessions back for a moment, by its client's
        # own doing; whose lease was renewed just now need not wait for it to notice.
        assert self._source is not None
        self._source.confirm(
            slot for slot, epoch in self._owned.epochs.items() if standing.held.get(slot) == epoch
        )
        if self._draining.is_set():
            return False
        mine = self._owned.epochs
        share = self._share(standing.workers)
        more = False
        if len(mine) > share:
            self._give_back(sorted(mine)[share:])
        elif len(mine) < share and reach is Reach.THERE:
            wanted = min(share - len(mine), TAKEN_AT_ONCE)
            taken = self._store.take_slots(
                self._owner, among=self._among, most=wanted, lease_ms=round(LEASE_S * 1000)
            )
            self._begin(taken)
            more = len(taken) == TAKEN_AT_ONCE
        self._trouble = ""
        return more

    def _go_away(self) -> None:
        """Leave all slots to those who reach the broker; their shares grow by ours."""
        assert self._reach is not None
        assert self._source is not None
        self._trouble = self._reach.trouble or self._trouble
        if self._is_away:
            return
        going = self._owned.epochs.keys() | self._source.owned
        self._store.leave_workers(self._owner)
        if going:
            log.warning("the broker is not reached, slots go to others", slots=len(going))
            self._give_back(going)
            self._reach.gave_up()
        self._is_away = True

    def _share(self, workers: int) -> int:
        """Return how many slots are this worker's, at most."""
        if self._among != ALL_SLOTS:
            return len(self._among)
        return -(-len(ALL_SLOTS) // max(1, workers))

    def _drop_lost(self, standing: Standing) -> None:
        """Let go what others own, and leases that nothing here rests on."""
        assert self._source is not None
        mine = self._owned.epochs
        lost = [slot for slot, epoch in mine.items() if standing.held.get(slot) != epoch]
        stale = self._source.owned - mine.keys()
        if lost or stale:
            going = {*lost, *stale}
            log.warning("slots lost", slots=sorted(going))
            self._source.disown(going)
            self._source.release(going, timeout_s=0.0)
            self._ask(lambda: self._owned.leave(lost))
        if self._draining.is_set():
            return
        # taken by a tick that failed before the devices were read, or the sessions connected
        unconnected = mine.keys() - self._source.owned - {*lost}
        if unconnected:
            self._ask(lambda: self._owned.leave(unconnected))
        unused = standing.held.keys() - self._owned.epochs.keys()
        if unused:
            epochs = {slot: standing.held[slot] for slot in unused}
            self._store.release_slots(self._owner, epochs, clean=())

    def _begin(self, taken: Collection[Taken]) -> None:
        """Read the devices of slots, then connect their sessions."""
        if not taken:
            return
        assert self._source is not None
        epochs = {each.slot: each.epoch for each in taken}
        self._ask(lambda: self._owned.adopt(epochs))
        for clean in (True, False):
            self._source.take([each.slot for each in taken if each.clean == clean], clean=clean)

    def _give_back(self, slots: Collection[int]) -> None:
        """Commit and disconnect, forget the devices, then let others take the slots."""
        assert self._source is not None
        clean = self._source.release(slots, timeout_s=GIVING_BACK_S)
        epochs = {slot: epoch for slot, epoch in self._owned.epochs.items() if slot in slots}
        self._ask(lambda: self._owned.leave(slots))
        self._store.release_slots(self._owner, epochs, clean)

    def _ask(self, errand: Callable[[], None]) -> None:
        """Have the pipeline do something between two batches, and wait for it.

        Raises
        ------
        StoreError
            What was asked for failed.
        TimeoutError
            It was not done while the lease lasts.
        """
        done = self._owned.ask(errand)
        self._poke()
        done.result(LEASE_S)
