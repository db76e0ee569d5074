"""Device states and memberships: a log that is folded into tables.

Every batch moves nearly every device that it holds, and SQLite pays by the page: an upsert of
5,000 devices among 100,000 costs 7.4 µs of CPU a device, among 5,000 still 2.5. So a batch appends
one row to `live_log`, which costs 1.0 and 0.4 µs, and the oldest rows of the log are folded into
the tables `device` and `membership` later on. Whatever has a newer entry further on in the log
need not be folded at all: a map in memory (about 100 bytes a device in the log) knows. At a million
devices that all move, where the log holds few of them twice, it still halves the cost (7.2 against
14.8 µs).

What is true is the tables with the log applied over them, in its order. `load_devices` and
`load_members` read just that, so a process that is killed at any moment finds its last commit.

A device that is erased is cut out of the entries of the log that hold it (`forget`), whoever wrote
them. So whoever finds an erasure that he did not follow reads the log again, too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import sqlalchemy as sa

from geotarget.errors import StoreError
from geotarget.model import BatchWrite, MemberRow
from geotarget.store.database import cursor_of
from geotarget.store.tombstones import LAST_ERASURE

FOLDED_AT_ONCE = 2
"""Most log rows that one transaction folds: the log shrinks, and no batch waits for long."""

Pair = tuple[str, str]
_Member = tuple[str, str, int, int, int, str, bytes]

_encode = msgspec.msgpack.Encoder().encode
_decode_devices = msgspec.msgpack.Decoder(list[str]).decode
_decode_members = msgspec.msgpack.Decoder(tuple[list[_Member], list[Pair]]).decode
_NO_MEMBERS = _encode(((), ()))

_NEWEST = f"SELECT coalesce(max(seq), 0), {LAST_ERASURE} FROM live_log"  # noqa: S608 - our own text
_NAMING = """
SELECT seq, devices, members, states FROM live_log
WHERE instr(devices, CAST(?1 AS BLOB)) > 0 OR instr(members, CAST(?1 AS BLOB)) > 0 ORDER BY seq
"""
_UPSERT_DEVICE = """
INSERT INTO device (device, state) VALUES (?, ?)
ON CONFLICT (device) DO UPDATE SET state = excluded.state
"""
_UPSERT_MEMBER = """
INSERT INTO membership (device, zone, phase, since_ms, last_ms, visit, state)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (device, zone) DO UPDATE SET
  phase = excluded.phase, since_ms = excluded.since_ms, last_ms = excluded.last_ms,
  visit = excluded.visit, state = excluded.state
"""


@dataclass(slots=True)
class _Entry:
    """What one row of the log is about, without the states."""

    seq: int
    devices: Sequence[str]
    pairs: Sequence[Pair]
    bytes: int


@dataclass(slots=True)
class Append:
    """What a transaction did to the log; `LiveLog.settle` believes it once it is committed."""

    entry: _Entry | None
    folded: int = 0
    forgotten_devices: list[str] = field(default_factory=list)
    forgotten_pairs: list[Pair] = field(default_factory=list)


class LiveLog:
    """The log of one ingest process. Not thread-safe: used inside write transactions.

    Another process may write too (a successor that takes over, say): whoever finds an entry that
    is not his reads the log again before he folds.

    Parameters
    ----------
    max_rows, max_bytes
        How long the log may grow before it is folded.
    """

    def __init__(self, *, max_rows: int, max_bytes: int) -> None:
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._erasure = 0
        self._forget()

    def _forget(self) -> None:
        self._entries: deque[_Entry] = deque()
        self._last_device: dict[str, int] = {}
        self._last_pair: dict[Pair, int] = {}
        self._bytes = 0
        self._last_seq = 0

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
        _check_width(batch)
        cursor = cursor_of(connection)
        last_seq, erasure = cursor.execute(_NEWEST).fetchone()
        if (last_seq, erasure) != (self._last_seq, self._erasure):
            self._follow(cursor)
            self._erasure = erasure
        done = self._fold(cursor)
        if not (batch.devices or batch.members_put or batch.members_removed):
            return done
        members = _NO_MEMBERS
        if batch.members_put or batch.members_removed:
            members = _encode((tuple(map(_columns, batch.members_put)), batch.members_removed))
        devices = _encode(batch.devices)
        cursor.execute(
            "INSERT INTO live_log (seq, devices, members, states) VALUES (?, ?, ?, ?)",
            (last_seq + 1, devices, members, batch.device_states),
        )
        done.entry = _Entry(
            seq=last_seq + 1,
            devices=tuple(batch.devices),
            pairs=[(row.device, row.zone) for row in batch.members_put]
            + [(device, zone) for device, zone in batch.members_removed],
            bytes=len(devices) + len(members) + len(batch.device_states),
        )
        return done

    def settle(self, done: Append) -> None:
        """Remember what was appended and folded: its transaction is committed."""
        for _ in range(done.folded):
            self._bytes -= self._entries.popleft().bytes
        for device in done.forgotten_devices:
            self._last_device.pop(device, None)
        for pair in done.forgotten_pairs:
            self._last_pair.pop(pair, None)
        if done.entry is not None:
            self._push(done.entry)

    def _push(self, entry: _Entry) -> None:
        self._entries.append(entry)
        self._bytes += entry.bytes
        self._last_seq = entry.seq
        self._last_device.update(dict.fromkeys(entry.devices, entry.seq))
        self._last_pair.update(dict.fromkeys(entry.pairs, entry.seq))

    def _follow(self, cursor: Any) -> None:
        """Learn what is in the log: at the start, when others wrote, when somebody was erased."""
        self._forget()
        rows = cursor.execute(
            "SELECT seq, length(devices) + length(members) + length(states), devices, members "
            "FROM live_log ORDER BY seq"
        )
        for seq, size, devices, members in rows:
            put, removed = _decode_members(members)
            pairs = [(device, zone) for device, zone, *_ in put] + removed
            self._push(_Entry(seq, _decode_devices(devices), pairs, size))

    def _fold(self, cursor: Any) -> Append:
        """Write the oldest entries into the tables, if the log is full, and drop them."""
        done = Append(None)
        size = self._bytes
        for entry in list(self._entries)[:FOLDED_AT_ONCE]:
            full = len(self._entries) - done.folded >= self._max_rows or size > self._max_bytes
            if not full or entry.seq == self._last_seq:  # the newest one keeps the numbering alive
                break
            self._fold_devices(cursor, entry, done)
            self._fold_members(cursor, entry, done)
            cursor.execute("DELETE FROM live_log WHERE seq = ?", (entry.seq,))
            size -= entry.bytes
            done.folded += 1
        return done

    def _fold_devices(self, cursor: Any, entry: _Entry, done: Append) -> None:
        last = map(self._last_device.__getitem__, entry.devices)
        live = [at for at, seq in enumerate(last) if seq == entry.seq]
        if not live:
            return
        (states,) = cursor.execute(
            "SELECT states FROM live_log WHERE seq = ?", (entry.seq,)
        ).fetchone()
        width = len(states) // len(entry.devices)
        rows = [(entry.devices[at], states[at * width : (at + 1) * width]) for at in live]
        rows.sort()
        cursor.executemany(_UPSERT_DEVICE, rows)
        done.forgotten_devices += [device for device, _ in rows]

    def _fold_members(self, cursor: Any, entry: _Entry, done: Append) -> None:
        last = self._last_pair
        live = {pair for pair in entry.pairs if last[pair] == entry.seq}
        if not live:
            return
        (members,) = cursor.execute(
            "SELECT members FROM live_log WHERE seq = ?", (entry.seq,)
        ).fetchone()
        put, removed = _decode_members(members)
        cursor.executemany(
            "DELETE FROM membership WHERE device = ? AND zone = ?", sorted(live & set(removed))
        )
        cursor.executemany(_UPSERT_MEMBER, sorted(row for row in put if row[:2] in live))
        done.forgotten_pairs += live


# -- reading --------------------------------------------------------------------------------


def load_devices(connection: sa.Connection, width: int | None) -> tuple[list[str], bytes]:
    """Return the last committed state of every device; see `Store.load_devices`."""
    cursor = cursor_of(connection)
    states: dict[str, bytes] = dict(cursor.execute("SELECT device, state FROM device").fetchall())
    for devices, block in cursor.execute("SELECT devices, states FROM live_log ORDER BY seq"):
        ids = _decode_devices(devices)
        if not ids:
            continue
        size = len(block) // len(ids)
        states.update(
            zip(ids, (block[at : at + size] for at in range(0, len(block), size)), strict=True)
        )
    widths = {len(state) for state in states.values()}
    if width is not None and max(widths, default=0) > width:
        raise StoreError(
            f"device states of {max(widths)} bytes were written by a newer version of geotarget "
            f"(this one knows {width}): run that version"
        )
    if width is None and len(widths) > 1:
        raise StoreError(
            f"device states of different widths are mixed ({sorted(widths)} bytes): they were "
            "written by different versions of geotarget; start the newest of them"
        )
    if width is not None and widths != {width}:
        return list(states), b"".join(state.ljust(width, b"\0") for state in states.values())
    return list(states), b"".join(states.values())


def find_device(connection: sa.Connection, device: str) -> bytes | None:
    """Return the last committed state of one device; see `Store.device_state`."""
    cursor = cursor_of(connection)
    for seq, devices in cursor.execute("SELECT seq, devices FROM live_log ORDER BY seq DESC"):
        ids = _decode_devices(devices)
        if device in ids:
            (block,) = connection.exec_driver_sql(
                "SELECT states FROM live_log WHERE seq = ?", (seq,)
            ).one()
            width = len(block) // len(ids)
            at = ids.index(device) * width
            return bytes(block[at : at + width])
    row = cursor.execute("SELECT state FROM device WHERE device = ?", (device,)).fetchone()
    return None if row is None else bytes(row[0])


def find_members(connection: sa.Connection, device: str) -> list[MemberRow]:
    """Return the last committed memberships of one device; see `Store.members_of`."""
    cursor = cursor_of(connection)
    members: dict[str, _Member] = {
        row[1]: row
        for row in cursor.execute(
            "SELECT device, zone, phase, since_ms, last_ms, visit, state FROM membership "
            "WHERE device = ?",
            (device,),
        )
    }
    for (block,) in cursor.execute("SELECT members FROM live_log ORDER BY seq"):
        put, removed = _decode_members(block)
        for of, zone in removed:
            if of == device:
                members.pop(zone, None)
        members.update({row[1]: row for row in put if row[0] == device})
    return [MemberRow(*members[zone]) for zone in sorted(members)]


def load_members(connection: sa.Connection) -> list[MemberRow]:
    """Return the last committed memberships; see `Store.load_members`."""
    cursor = cursor_of(connection)
    members: dict[Pair, _Member] = {
        row[:2]: row
        for row in cursor.execute(
            "SELECT device, zone, phase, since_ms, last_ms, visit, state FROM membership"
        )
    }
    for (block,) in cursor.execute("SELECT members FROM live_log ORDER BY seq"):
        put, removed = _decode_members(block)
        for pair in removed:
            members.pop(pair, None)
        members.update({row[:2]: row for row in put})
    return [MemberRow(*row) for row in members.values()]


def forget(cursor: Any, device: str) -> tuple[int, int]:
    """Take a device out of the tables and of the log, inside the caller's write transaction.

    Entries of the log that hold it are written anew without it; one that held nothing else stays
    as an empty one, for the numbering. Some milliseconds, and as much more as those entries are
    large.

    Returns
    -------
    states : int
        1 if it was known, else 0.
    memberships : int
        How many it had.
    """
    cursor.execute("DELETE FROM device WHERE device = ?", (device,))
    known = bool(cursor.rowcount)
    rows = cursor.execute("SELECT zone FROM membership WHERE device = ?", (device,))
    zones = {zone for (zone,) in rows}
    cursor.execute("DELETE FROM membership WHERE device = ?", (device,))
    for seq, devices, members, states in cursor.execute(_NAMING, (device,)).fetchall():
        ids = _decode_devices(devices)
        if device in ids:
            known = True
            width, at = len(states) // len(ids), ids.index(device)
            del ids[at]
            states = states[: at * width] + states[(at + 1) * width :]  # noqa: PLW2901 - what is left of it
        put, removed = _decode_members(members)
        zones -= {zone for of, zone in removed if of == device}
        zones |= {row[1] for row in put if row[0] == device}
        left = (
            [row for row in put if row[0] != device],
            [pair for pair in removed if pair[0] != device],
        )
        cursor.execute(
            "UPDATE live_log SET devices = ?, members = ?, states = ? WHERE seq = ?",
            (_encode(ids), _encode(left), states, seq),
        )
    return int(known), len(zones)


def _columns(row: MemberRow) -> _Member:
    return row.device, row.zone, row.phase, row.since_ms, row.last_ms, row.visit, row.state


def _check_width(batch: BatchWrite) -> None:
    count, size = len(batch.devices), len(batch.device_states)
    if count and (size % count or not size):
        raise ValueError(f"{size} bytes of state can't be divided among {count} devices")
    if size and not count:
        raise ValueError(f"{size} bytes of state without devices")
