"""The log of device states and memberships, and how it is folded into tables.

Every batch moves nearly every device that it holds, and SQLite pays by the page: an upsert of
5,000 devices among 100,000 costs 7.4 µs of CPU a device, among 5,000 still 2.5. So a batch appends
one row to the log, which costs 1.0 and 0.4 µs, and the oldest rows of the log are folded into
the table `device` later on, and what they hold of memberships goes into `stays`. Whatever has a
newer entry further on in the log need not be folded at all (`newest` knows). At a million devices
that all move, where the log holds few of them twice, it still halves the cost (7.2 against
14.8 µs).

A worker that shares the devices with others has a log for each slot that it owns (`slot_logs`), in
the table `slot_log`: whoever owns the slot next reads just that. Who works alone has one, in
`live_log`. Those of slots hold a round of their devices, in which each reports once: then nothing
that is dropped from them is alive. At 100,000 devices on PostgreSQL that is 15 µs a ping, client
and server together; with logs of eight rows, where every state was folded, it was 46
(`benchmarks/workers.py`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import msgspec
import sqlalchemy as sa

from geotarget.model import BatchWrite, IntArray, MemberRow
from geotarget.store.database import cursor_of
from geotarget.store.newest import Newest
from geotarget.store.stays import Carried, Carry, Member, Pair, Row, Stays, decode_members, encode
from geotarget.store.tombstones import LAST_ERASURE

FOLDED_AT_ONCE = 2
"""Log rows that a transaction writes into tables for each that it appends, about: no batch waits
for long."""

_STAYS = 4
"""Memberships that outlast a log may have so many times fewer bytes than it has, and so many times
more rows, which are short."""

NO_SLOT = -1
"""Of devices whose worker works alone."""

decode_devices = msgspec.msgpack.Decoder(list[str]).decode
_NO_MEMBERS = encode(((), ()))

UPSERT_DEVICE = """
INSERT INTO device (device, state, slot) VALUES (?, ?, ?)
ON CONFLICT (device) DO UPDATE SET state = excluded.state, slot = excluded.slot
"""


@dataclass(slots=True, eq=False)
class Entry:
    """What one row of the log is about, without the states; each device once, by its number."""

    seq: int
    numbers: IntArray
    pairs: Sequence[Pair]
    bytes: int


@dataclass(slots=True)
class Append:
    """What a transaction did to the log; `LiveLog.settle` believes it once it is committed."""

    entry: Entry | None
    folded: int = 0
    forgotten_devices: list[str] = field(default_factory=list)
    forgotten_pairs: list[Pair] = field(default_factory=list)
    carry: Carry = field(default_factory=Carry)


@dataclass(frozen=True, slots=True)
class _Alive:
    """What lives of an entry: positions of its devices, and pairs."""

    entry: Entry
    devices: IntArray
    pairs: set[Pair]


class LiveLog:
    """The log of one ingest process. Not thread-safe: used inside write transactions.

    Another process may write too (a successor that takes over, say): whoever finds an entry that
    is not his reads the log again before he folds.

    Parameters
    ----------
    max_rows, max_bytes
        How long the log may grow before it is folded. Of memberships that outlast it a quarter of
        these bytes more is kept.
    spare
        So many rows more are folded once it is full, in the same few statements.
    slot
        Of the devices in it; negative: of all devices.
    newest
        Where the newest states are, if other logs share it.
    """

    def __init__(
        self,
        *,
        max_rows: int,
        max_bytes: int,
        spare: int = 0,
        slot: int = NO_SLOT,
        newest: Newest | None = None,
    ) -> None:
        self.slot = slot
        self._newest = Newest() if newest is None else newest
        self._table = "live_log" if slot < 0 else "slot_log"
        self._ours = "TRUE" if slot < 0 else f"slot = {slot}"
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._spare = spare
        self._erasure = -1
        self._stays = Stays(
            self._table,
            self._ours,
            slot,
            max_rows=max_rows * _STAYS,
            max_bytes=max_bytes // _STAYS,
        )
        self._forget()

    @property
    def last_seq(self) -> int:
        """The number of the last row that is known here."""
        return self._last_seq

    @property
    def fullness(self) -> float:
        """How full it is; from 1 on it is to be folded."""
        return max(len(self._entries) / self._max_rows, self._bytes / self._max_bytes)

    def _forget(self) -> None:
        self._entries: deque[Entry] = deque()
        self._last_pair: dict[Pair, int] = {}
        self._bytes = 0
        self._last_seq = 0
        self._stays.forget()

    # -- writing ----------------------------------------------------------------------------

    def append(self, connection: sa.Connection, batch: BatchWrite) -> Append:
        """Write a batch's states into the log, and fold what has become too old.

        Parameters
        ----------
        connection
            Inside a write transaction.
        batch
            A pair that is both put and removed counts as put.

        Raises
        ------
        ValueError
            `device_states` can't be divided among `devices`.
        """
        cursor = cursor_of(connection)
        newest = f"SELECT coalesce(max(seq), 0), {LAST_ERASURE} FROM {self._table}"  # noqa: S608 - our own text
        self.follow(cursor, *cursor.execute(newest).fetchone())
        done, rows = self.prepare(cursor, batch)
        for row in rows:
            cursor.execute(
                "INSERT INTO live_log (seq, devices, members, states) VALUES (?, ?, ?, ?)", row
            )
        return done

    def follow(self, cursor: Any, last_seq: int, erasure: int) -> None:
        """Read the log again if it does not end here, or somebody was erased since.

        Parameters
        ----------
        cursor
            Inside a write transaction.
        last_seq
            The number of its last row.
        erasure
            The number of the last erasure.
        """
        if (last_seq, erasure) == (self._last_seq, self._erasure):
            return
        self._forget()
        rows = cursor.execute(
            "SELECT seq, length(devices) + length(members) + length(states), devices, members "  # noqa: S608 - our own text
            f"FROM {self._table} WHERE {self._ours} ORDER BY seq"
        )
        for seq, size, devices, members in rows:
            put, removed = decode_members(members)
            pairs = [(device, zone) for device, zone, *_ in put]
            if seq < 0:
                self._stays.push(Carried(seq, pairs, removed, size))
            else:
                numbers = self._newest.numbers(decode_devices(devices))
                self._push(Entry(seq, numbers, pairs + removed, size))
        self._erasure = erasure

    def prepare(
        self, cursor: Any, batch: BatchWrite, *, may_fold: bool = True
    ) -> tuple[Append, list[Row]]:
        """Fold what has become too old, and return the rows that are to be appended, if any."""
        _check_width(batch)
        done, rows = self._fold(cursor) if may_fold else (Append(None), [])
        if not (batch.devices or batch.members_put or batch.members_removed):
            return done, rows
        members = _NO_MEMBERS
        if batch.members_put or batch.members_removed:
            members = encode((tuple(map(_columns, batch.members_put)), batch.members_removed))
        devices = encode(batch.devices)
        done.entry = Entry(
            seq=self._last_seq + 1,
            numbers=self._newest.numbers(batch.devices, batch.rows),
            pairs=[(row.device, row.zone) for row in batch.members_put]
            + [(device, zone) for device, zone in batch.members_removed],
            bytes=len(devices) + len(members) + len(batch.device_states),
        )
        rows.append((self._last_seq + 1, devices, members, batch.device_states))
        return done, rows

    def settle(self, done: Append) -> None:
        """Remember what was appended and folded: its transaction is committed."""
        if done.entry is not None:
            self._push(done.entry)
        last = 0
        for _ in range(done.folded):
            entry = self._entries.popleft()
            self._bytes -= entry.bytes
            last = entry.seq
        self._newest.forget(done.forgotten_devices, last)
        for pair in done.forgotten_pairs:
            if self._last_pair[pair] <= last:
                del self._last_pair[pair]
        self._stays.settle(done.carry)

    def _push(self, entry: Entry) -> None:
        self._entries.append(entry)
        self._bytes += entry.bytes
        self._last_seq = entry.seq
        self._newest.put(entry.numbers, entry.seq)
        self._last_pair.update(dict.fromkeys(entry.pairs, entry.seq))

    def _fold(self, cursor: Any) -> tuple[Append, list[Row]]:
        """Drop the oldest entries, if the log is full, and write what lives of them elsewhere.

        All that nothing lives of go at once, so that a statement is sent now and then, not a batch.
        Returns what is to be settled, and rows that are to be appended.
        """
        done = Append(None)
        rows, size = len(self._entries), self._bytes
        carried: list[Row] = []
        if self.fullness < 1:
            return done, carried
        to_rows = self._max_rows - self._spare
        to_bytes = self._max_bytes * to_rows / self._max_rows
        written: list[_Alive] = []
        for entry in islice(self._entries, rows - 1):  # the newest one keeps the numbering alive
            alive = self._alive(entry)
            if len(alive.devices) or alive.pairs:
                enough = rows - done.folded < to_rows and size <= to_bytes
                if enough or len(written) == FOLDED_AT_ONCE + self._spare:
                    break
                written.append(alive)
            size -= entry.bytes
            done.folded += 1
            last = entry.seq
        if done.folded:
            self._fold_devices(cursor, [each for each in written if len(each.devices)], done)
            carried = self._carry_members(cursor, [each for each in written if each.pairs], done)
            cursor.execute(
                f"DELETE FROM {self._table} WHERE {self._ours} AND seq BETWEEN 0 AND ?",  # noqa: S608 - our own text
                (last,),
            )
        return done, carried

    def _alive(self, entry: Entry) -> _Alive:
        """Return what the log has nothing newer of."""
        last_pair = self._last_pair
        pairs = {pair for pair in entry.pairs if last_pair[pair] == entry.seq}
        return _Alive(entry, self._newest.still(entry.numbers, entry.seq), pairs)

    def _fold_devices(self, cursor: Any, entries: Sequence[_Alive], done: Append) -> None:
        rows = []
        for each, names, states in self._stored(cursor, "devices, states", entries):
            devices = decode_devices(names)
            width = len(states) // len(devices)
            rows += [
                (devices[at], states[at * width : (at + 1) * width], self.slot)
                for at in each.devices.tolist()
            ]
        if rows:
            rows.sort()
            cursor.executemany(UPSERT_DEVICE, rows)
            done.forgotten_devices += [device for device, *_ in rows]

    def _carry_members(self, cursor: Any, entries: Sequence[_Alive], done: Append) -> list[Row]:
        there: list[Member] = []
        gone: set[Pair] = set()
        for each, members in self._stored(cursor, "members", entries):
            put, removed = decode_members(members)
            gone |= each.pairs & set(removed)
            there += [row for row in put if row[:2] in each.pairs]
            done.forgotten_pairs += each.pairs
        gone -= {row[:2] for row in there}
        done.carry, row = self._stays.carry(cursor, there, list(gone), self._last_pair)
        return [] if row is None else [row]

    def _stored(
        self, cursor: Any, columns: str, entries: Sequence[_Alive]
    ) -> Iterator[tuple[Any, ...]]:
        """Yield entries with what the table has of them."""
        if not entries:
            return
        there = cursor.execute(
            f"SELECT seq, {columns} FROM {self._table} "  # noqa: S608 - our own text
            f"WHERE {self._ours} AND seq BETWEEN ? AND ?",
            (entries[0].entry.seq, entries[-1].entry.seq),
        )
        values = {seq: of for seq, *of in there.fetchall()}
        for each in entries:
            yield each, *map(bytes, values[each.entry.seq])


def _columns(row: MemberRow) -> Member:
    return row.device, row.zone, row.phase, row.since_ms, row.last_ms, row.visit, row.state


def _check_width(batch: BatchWrite) -> None:
    count, size = len(batch.devices), len(batch.device_states)
    if count and (size % count or not size):
        raise ValueError(f"{size} bytes of state can't be divided among {count} devices")
    if size and not count:
        raise ValueError(f"{size} bytes of state without devices")
