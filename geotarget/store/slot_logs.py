"""The logs of the slots that a worker owns, and the fence in front of them.

The same interface as `LiveLog`, for batches that touch many slots: one row for each slot in one
statement. The fence costs one query a batch; what follows is written under the epochs that it saw,
because the rows of the leases stay locked until the commit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import sqlalchemy as sa

from geotarget.model import BatchWrite, IntArray, MemberRow
from geotarget.store.database import cursor_of
from geotarget.store.leases import SlotsLost
from geotarget.store.live_log import FOLDED_AT_ONCE, Append, LiveLog
from geotarget.store.newest import Newest, NumberOf
from geotarget.store.tombstones import LAST_ERASURE

_FENCE = f"""
SELECT slot, epoch, {LAST_ERASURE} FROM slot_lease WHERE owner = ? /*postgresql FOR SHARE*/
"""  # noqa: S608 - our own text
_INSERT = "INSERT INTO slot_log (slot, seq, devices, members, states) VALUES (?, ?, ?, ?, ?)"


_SPARE_PARTS = 8
"""An eighth of a full log is folded at once: a statement costs more than what a batch says about a
slot. The logs take turns, so a batch has no more to write than if each folded its own row."""

SlotsOf = Callable[[Sequence[str]], IntArray]
"""Returns the slot of each device."""


@dataclass(slots=True)
class SlotAppends:
    """What a transaction did to the logs; `SlotLogs.settle` believes it once it is committed."""

    of: list[tuple[LiveLog, Append]] = field(default_factory=list)


class SlotLogs:
    """The logs of one worker. Not thread-safe: used inside write transactions.

    Parameters
    ----------
    owner
        The worker, as the leases know it.
    slots_of
        The slot of each device.
    max_rows, max_bytes
        How long the log of each slot may grow before it is folded.
    number_of
        What `BatchWrite.rows` says of devices, where batches have it.
    """

    def __init__(
        self,
        owner: str,
        slots_of: SlotsOf,
        *,
        max_rows: int,
        max_bytes: int,
        number_of: NumberOf | None = None,
    ) -> None:
        self._owner = owner
        self._slots_of = slots_of
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._epochs: dict[int, int] = {}
        self._logs: dict[int, LiveLog] = {}
        self._newest = Newest(number_of)

    def take(self, epochs: Mapping[int, int]) -> None:
        """Write into these slots from now on, under these epochs."""
        for slot, epoch in epochs.items():
            self._epochs[slot] = epoch
            self._logs[slot] = LiveLog(
                max_rows=self._max_rows,
                max_bytes=self._max_bytes,
                spare=self._max_rows // _SPARE_PARTS,
                slot=slot,
                newest=self._newest,
            )

    def leave(self, slots: Sequence[int]) -> None:
        """Write into these slots no more."""
        for slot in slots:
            self._epochs.pop(slot, None)
            self._logs.pop(slot, None)

    def append(self, connection: sa.Connection, batch: BatchWrite) -> SlotAppends:
        """Write a batch's states into the logs, and fold what has become too old.

        Raises
        ------
        SlotsLost
            Slots of the batch, or others that this worker believes to own, are others' by now.
        ValueError
            `device_states` can't be divided among `devices`.
        """
        cursor = cursor_of(connection)
        leases = cursor.execute(_FENCE, (self._owner,)).fetchall()
        there = {slot: epoch for slot, epoch, _ in leases}
        parts = self._parts(batch)
        lost = {slot for slot, epoch in self._epochs.items() if there.get(slot) != epoch}
        lost |= parts.keys() - self._epochs.keys()
        if lost:
            raise SlotsLost(lost)
        done, new = SlotAppends(), []
        room = FOLDED_AT_ONCE * len(parts)
        for slot in sorted(parts, key=lambda slot: self._logs[slot].fullness, reverse=True):
            log = self._logs[slot]
            log.follow(cursor, log.last_seq, leases[0][2])
            append, rows = log.prepare(cursor, parts[slot], may_fold=room > 0)
            room -= append.folded
            done.of.append((log, append))
            new += [(slot, *row) for row in rows]
        cursor.executemany(_INSERT, sorted(new))
        return done

    def settle(self, done: SlotAppends) -> None:
        """Remember what was appended and folded: its transaction is committed."""
        for log, append in done.of:
            log.settle(append)

    def _parts(self, batch: BatchWrite) -> dict[int, BatchWrite]:
        """Return what a batch says about each slot."""
        count = len(batch.devices)
        if count and (len(batch.device_states) % count or not batch.device_states):
            raise ValueError(
                f"{len(batch.device_states)} bytes of state can't be divided among {count} devices"
            )
        put: defaultdict[int, list[MemberRow]] = defaultdict(list)
        removed: defaultdict[int, list[tuple[str, str]]] = defaultdict(list)
        whose = self._slots_of([row.device for row in batch.members_put]).tolist()
        for slot, row in zip(whose, batch.members_put, strict=True):
            put[slot].append(row)
        whose = self._slots_of([device for device, _ in batch.members_removed]).tolist()
        for slot, pair in zip(whose, batch.members_removed, strict=True):
            removed[slot].append(pair)

        slots = self._slots_of(batch.devices)
        order = np.argsort(slots.astype(np.uint16), kind="stable")  # by digits: quick
        devices = [batch.devices[at] for at in order.tolist()]
        width = len(batch.device_states) // max(count, 1)
        states = np.frombuffer(batch.device_states, np.uint8).reshape(count, width)[order]
        numbers = None if batch.rows is None else batch.rows[order]
        found, begin = np.unique(slots[order], return_index=True)
        ends = [*begin.tolist(), count]
        place = dict(zip(found.tolist(), map(slice, ends, ends[1:]), strict=True))
        return {
            slot: BatchWrite(
                devices=devices[part],
                device_states=states[part].tobytes(),
                rows=None if numbers is None else numbers[part],
                members_put=put.get(slot, ()),
                members_removed=removed.get(slot, ()),
            )
            for slot in {*place, *put, *removed}
            for part in [place.get(slot, slice(0))]
        }
