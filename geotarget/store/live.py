"""Device states and memberships as they were committed last: the tables with the logs over them.

What is true is the tables with the logs (`live_log`) applied over them, in their order. Here they
are read just so: a process that is killed at any moment finds its last commit. A device is in one
log at most: in that of its slot, or in that of a worker that works alone.

A device that is erased is cut out of the entries of the logs that hold it (`forget`), whoever wrote
them. So whoever finds an erasure that he did not follow reads his log again, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

import sqlalchemy as sa

from geotarget.errors import StoreError
from geotarget.model import MemberRow
from geotarget.store.database import cursor_of
from geotarget.store.documents import to_json
from geotarget.store.live_log import NO_SLOT, UPSERT_DEVICE, decode_devices
from geotarget.store.stays import UPSERT_MEMBER, Member, Pair, decode_members, encode

ROWS_AT_ONCE = 50_000

_LOGS = """
(SELECT -1 AS slot, seq, devices, members, states FROM live_log
  UNION ALL SELECT slot, seq, devices, members, states FROM slot_log) AS logs
"""
_NAMING = f"""
SELECT slot, seq, devices, members, states FROM {_LOGS}
WHERE instr(devices, CAST(?1 AS BLOB)) > 0 OR instr(members, CAST(?1 AS BLOB)) > 0 ORDER BY seq
"""  # noqa: S608 - our own text
# Logs may hold many megabytes: the database looks for the bytes of an id, and only what it finds is
# decoded. They may stand for something else as well, so whoever asks looks again.
_NEWEST_FIRST = f"""
SELECT slot, seq, devices FROM {_LOGS} WHERE instr(devices, CAST(? AS BLOB)) > 0 ORDER BY seq DESC
"""  # noqa: S608 - our own text
_MEMBERS_OF = f"""
SELECT members FROM {_LOGS} WHERE instr(members, CAST(? AS BLOB)) > 0 ORDER BY seq
"""  # noqa: S608 - our own text


def load_devices(
    connection: sa.Connection, width: int | None, slots: Sequence[int] | None = None
) -> tuple[list[str], bytes]:
    """Return the last committed states; see `Store.load_devices`."""
    cursor = cursor_of(connection)
    which, asked = _of_slots(slots)
    rows = cursor.execute(f"SELECT device, state FROM device {which}", asked)  # noqa: S608 - our own text
    states: dict[str, bytes] = dict(rows.fetchall())
    for devices, block in cursor.execute(
        f"SELECT devices, states FROM {_LOGS} {which} ORDER BY slot, seq",  # noqa: S608 - our own text
        asked,
    ):
        states.update(_split(decode_devices(devices), block))
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
    for slot, seq, devices in cursor.execute(_NEWEST_FIRST, (device,)).fetchall():
        ids = decode_devices(devices)
        if device in ids:
            (block,) = cursor.execute(
                f"SELECT states FROM {_LOGS} WHERE slot = ? AND seq = ?",  # noqa: S608 - our own text
                (slot, seq),
            ).fetchone()
            width = len(block) // len(ids)
            at = ids.index(device) * width
            return bytes(block[at : at + width])
    row = cursor.execute("SELECT state FROM device WHERE device = ?", (device,)).fetchone()
    return None if row is None else bytes(row[0])


def find_members(connection: sa.Connection, device: str) -> list[MemberRow]:
    """Return the last committed memberships of one device; see `Store.members_of`."""
    cursor = cursor_of(connection)
    members: dict[str, Member] = {
        row[1]: row
        for row in cursor.execute(
            "SELECT device, zone, phase, since_ms, last_ms, visit, state FROM membership "
            "WHERE device = ?",
            (device,),
        )
    }
    for (block,) in cursor.execute(_MEMBERS_OF, (device,)):
        put, removed = decode_members(block)
        for of, zone in removed:
            if of == device:
                members.pop(zone, None)
        members.update({row[1]: row for row in put if row[0] == device})
    return [MemberRow(*members[zone]) for zone in sorted(members)]


def load_members(connection: sa.Connection, slots: Sequence[int] | None = None) -> list[MemberRow]:
    """Return the last committed memberships; see `Store.load_members`."""
    cursor = cursor_of(connection)
    which, asked = _of_slots(slots)
    members: dict[Pair, Member] = {
        row[:2]: row
        for row in cursor.execute(
            f"SELECT device, zone, phase, since_ms, last_ms, visit, state FROM membership {which}",  # noqa: S608 - our own text
            asked,
        )
    }
    for (block,) in cursor.execute(
        f"SELECT members FROM {_LOGS} {which} ORDER BY slot, seq",  # noqa: S608 - our own text
        asked,
    ):
        put, removed = decode_members(block)
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
    for slot, seq, devices, members, states in cursor.execute(_NAMING, (device,)).fetchall():
        ids = decode_devices(devices)
        if device in ids:
            known = True
            width, at = len(states) // len(ids), ids.index(device)
            del ids[at]
            states = states[: at * width] + states[(at + 1) * width :]  # noqa: PLW2901 - what is left of it
        put, removed = decode_members(members)
        zones -= {zone for of, zone in removed if of == device}
        zones |= {row[1] for row in put if row[0] == device}
        left = (
            [row for row in put if row[0] != device],
            [pair for pair in removed if pair[0] != device],
        )
        of_whom = "live_log SET" if slot < 0 else "slot_log SET"
        which = "" if slot < 0 else f"slot = {slot} AND "
        cursor.execute(
            f"UPDATE {of_whom} devices = ?, members = ?, states = ? WHERE {which}seq = ?",
            (encode(ids), encode(left), states, seq),
        )
    return int(known), len(zones)


def scatter(cursor: Any, slot_of: Callable[[str], int]) -> int:
    """Put devices that are in no slot into theirs, inside a write transaction; return how many.

    Once, when the first worker with slots comes to a database that one worked on alone: 20 µs a
    device.
    """
    moved = _fold(cursor, "live_log", slot_of)
    for table in ("device", "membership"):
        rows = cursor.execute(f"SELECT DISTINCT device FROM {table} WHERE slot < 0").fetchall()  # noqa: S608 - our own names
        _for_all(
            cursor,
            f"UPDATE {table} SET slot = ? WHERE device = ?",  # noqa: S608 - our own names
            ((slot_of(device), device) for (device,) in rows),
        )
        moved |= {device for (device,) in rows}
    return len(moved)


def gather(cursor: Any) -> None:
    """Take all devices out of their slots, inside a write transaction: one works alone again."""
    _fold(cursor, "slot_log", lambda _: NO_SLOT)
    for table in ("device", "membership"):
        cursor.execute(f"UPDATE {table} SET slot = {NO_SLOT} WHERE slot >= 0")  # noqa: S608 - our own names


def _fold(cursor: Any, table: str, slot_of: Callable[[str], int]) -> set[str]:
    """Fold all of a table of logs, and empty it; return the devices whose states were in it."""
    states: dict[str, bytes] = {}
    members: dict[Pair, Member | None] = {}
    order = "seq" if table == "live_log" else "slot, seq"
    for devices, block, changed in cursor.execute(
        f"SELECT devices, states, members FROM {table} ORDER BY {order}"  # noqa: S608 - our own names
    ):
        states.update(_split(decode_devices(devices), block))
        put, removed = decode_members(changed)
        members.update(dict.fromkeys(removed))
        members.update({row[:2]: row for row in put})
    of_devices = ((device, state, slot_of(device)) for device, state in states.items())
    _for_all(cursor, UPSERT_DEVICE, of_devices)
    gone = (pair for pair, row in members.items() if row is None)
    _for_all(cursor, "DELETE FROM membership WHERE device = ? AND zone = ?", gone)
    of_members = ((*row, slot_of(row[0])) for row in members.values() if row is not None)
    _for_all(cursor, UPSERT_MEMBER, of_members)
    cursor.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
    return set(states)


def _for_all(cursor: Any, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
    """Execute a statement for very many rows in parts: a server ends who says nothing for long."""
    rows = iter(rows)
    while part := list(islice(rows, ROWS_AT_ONCE)):
        cursor.executemany(statement, part)


def _split(ids: Sequence[str], block: bytes) -> Iterable[tuple[str, bytes]]:
    """Return each device with its state."""
    size = len(block) // len(ids) if ids else 1
    return zip(ids, (block[at : at + size] for at in range(0, len(block), size)), strict=True)


def _of_slots(slots: Sequence[int] | None) -> tuple[str, tuple[str, ...]]:
    """Return the condition that a row is of some slots, and its values; None means of any."""
    if slots is None:
        return "", ()
    # the first half is that of the partial index
    which = "WHERE slot >= 0 AND slot IN (SELECT CAST(value AS BIGINT) FROM json_each(?))"
    return which, (to_json(list(slots)),)
