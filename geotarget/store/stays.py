"""Memberships that outlast the log of states: what it drops of them is kept in rows of their own.

The log (`live_log`) holds a round of its devices or so, and a stay lasts for many. Were each
membership written into its table when the log drops it, and deleted from it when the stay ends,
that would cost PostgreSQL alone some 40 µs a stay: random places of two indexes, and eight values
to be read. So what the log drops goes on as one row of some hundred memberships. These rows are in
the log's own table, numbered from `FIRST` on and thus below all others: who reads logs in their
order reads them first. The oldest are written into the table of memberships once they are too many;
till then most of what they hold has ended.

Costs, for each membership and for each end of one: 2 µs and 0.8 of PostgreSQL's when it goes into a
row, 0.9 and 0.4 when that row goes; and 280 bytes of memory as long as the stay goes on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec

FIRST = -(1 << 62)
"""Number of the first row there ever is; those of the log itself are positive."""

FOLDED_AT_ONCE = 2
"""So many rows are written into the table for each that is carried, while there are too many."""

Pair = tuple[str, str]
Member = tuple[str, str, int, int, int, str, bytes]
Row = tuple[int, bytes, bytes, bytes]
"""A row of a log: number, devices, memberships, states."""

encode = msgspec.msgpack.Encoder().encode
decode_members = msgspec.msgpack.Decoder(tuple[list[Member], list[Pair]]).decode

UPSERT_MEMBER = """
INSERT INTO membership (device, zone, phase, since_ms, last_ms, visit, state, slot)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (device, zone) DO UPDATE SET
  phase = excluded.phase, since_ms = excluded.since_ms, last_ms = excluded.last_ms,
  visit = excluded.visit, state = excluded.state, slot = excluded.slot
"""
_DELETE_MEMBER = "DELETE FROM membership WHERE device = ? AND zone = ?"
_NOBODY = encode(())


@dataclass(frozen=True, slots=True)
class Carried:
    """One row: its number and size, and of which pairs it says that they are there, and gone."""

    seq: int
    put: Sequence[Pair]
    removed: Sequence[Pair]
    bytes: int


@dataclass(slots=True)
class Carry:
    """What a transaction did; `Stays.settle` believes it once it is committed."""

    new: Carried | None = None
    folded: int = 0


class Stays:
    """The rows of one log. Not thread-safe: used inside write transactions.

    Parameters
    ----------
    table
        Where they are.
    ours
        Which rows of it, as a condition.
    slot
        What the table of memberships is to say.
    max_rows, max_bytes
        How many there may be.
    """

    def __init__(self, table: str, ours: str, slot: int, *, max_rows: int, max_bytes: int) -> None:
        self._table = table
        self._ours = ours
        self._slot = slot
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self.forget()

    def forget(self) -> None:
        """Know of no rows: they are about to be read again."""
        self._rows: deque[Carried] = deque()
        self._newest: dict[Pair, int] = {}
        self._bytes = 0
        self._next = FIRST

    def push(self, row: Carried) -> None:
        """Know of one row more; they come in order."""
        self._rows.append(row)
        self._bytes += row.bytes
        self._next = row.seq + 1
        for pair in row.removed:
            self._newest.pop(pair, None)
        self._newest.update(dict.fromkeys(row.put, row.seq))

    def carry(
        self,
        cursor: Any,
        put: Sequence[Member],
        removed: Sequence[Pair],
        newer: Container[Pair],
    ) -> tuple[Carry, Row | None]:
        """Return the row that keeps memberships and ends of memberships, if there are any.

        Each pair is in one of both once. The oldest rows are written into the table of memberships
        where there are too many; not what the log has something newer of.
        """
        if not (put or removed):
            return Carry(), None
        carry = Carry(folded=self._fold(cursor, newer))
        members = encode((put, removed))
        pairs = [(device, zone) for device, zone, *_ in put]
        carry.new = Carried(self._next, pairs, removed, len(members))
        return carry, (self._next, _NOBODY, members, b"")

    def settle(self, carry: Carry) -> None:
        """Remember what was carried and folded: its transaction is committed."""
        for _ in range(carry.folded):
            row = self._rows.popleft()
            self._bytes -= row.bytes
            for pair in row.put:
                if self._newest.get(pair) == row.seq:
                    del self._newest[pair]
        if carry.new is not None:
            self.push(carry.new)

    def _fold(self, cursor: Any, newer: Container[Pair]) -> int:
        """Write the oldest rows into the table if there are too many; return how many.

        What they say has ended is deleted there, whoever may be there again by now: that is in a
        row further on, or in the log.
        """
        few = len(self._rows) < self._max_rows and self._bytes < self._max_bytes
        if few or not self._rows:
            return 0
        rows = list(islice(self._rows, FOLDED_AT_ONCE))
        which = f"WHERE {self._ours} AND seq BETWEEN ? AND ?"
        span = rows[0].seq, rows[-1].seq
        stored = cursor.execute(f"SELECT seq, members FROM {self._table} {which}", span).fetchall()  # noqa: S608 - our own text
        gone = {pair for row in rows for pair in row.removed}
        there = [
            (*row, self._slot)
            for seq, members in stored
            for row in decode_members(members)[0]
            if self._newest.get(row[:2]) == seq and row[:2] not in newer
        ]
        if gone:
            cursor.executemany(_DELETE_MEMBER, sorted(gone))
        if there:
            cursor.executemany(UPSERT_MEMBER, sorted(there))
        cursor.execute(f"DELETE FROM {self._table} {which}", span)  # noqa: S608 - our own text
        return len(rows)
