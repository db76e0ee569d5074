"""Erasures of people, each with a receipt that names nobody.

The receipt says what went, what stays and why, and which entry of the audit log tells of it. It is
kept for good, so that whoever was asked to erase somebody can show that it was done: he keeps the
receipt's id beside the request. It holds no id of a profile or a device, and the audit log has a
digest in place of them (`tombstones.pseudonym`).

Profile, state, tombstones, the receipt and whatever of the history is left go in one transaction.
If there is more than `ROWS_AT_ONCE` of history, that goes before, in pieces, and the others write
in between: a row costs some 10 µs of CPU, and a page of its own in the log of the database. Who is
killed in the middle of that has erased a part, has told nobody that it was done, and finds the rest
when he is asked again.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from geotarget.store import erasing, tombstones
from geotarget.store.audit import append
from geotarget.store.database import Database, cursor_of, wall_clock_ms
from geotarget.store.documents import from_json, to_json
from geotarget.store.pages import Page, check_limit, cut, read_cursor

ACTION = "profile.erase"

ROWS_AT_ONCE = 500
"""Most rows of history that one transaction drops, but for those that came since."""

KEPT = (
    "Sums: results by day, budgets, variants and totals; they name nobody.",
    "Reported conversions, without profile and device, because the totals rest on them.",
    "Keyed digests of the ids, for a time: pings from before that come again are known by them.",
    "This receipt and the audit log, with such a digest in place of the id.",
    "Copies that others hold: receivers of webhooks, backups, exports, logs.",
)
"""What stays after every erasure, and why."""

MOST_REST_S = 0.1

_ID_BYTES = 12
_LATEST = 2**63 - 1
_COLUMNS = "seq, id, erased_ms, receipt"


@dataclass(frozen=True, slots=True)
class Erasure:
    """The receipt of an erasure.

    Parameters
    ----------
    id
        Its own, random.
    erased_ms
        When, Unix milliseconds: what a device did until then is over.
    devices
        How many devices went.
    counts
        How many rows of what went; what there was none of is left out.
    kept
        What stays and why, in sentences.
    audit
        Digest of the entry in the audit log; empty when there is none.
    """

    id: str
    erased_ms: int
    devices: int
    counts: Mapping[str, int]
    kept: Sequence[str]
    audit: str = ""


class Erasures:
    """Erases people, and shows the receipts.

    Parameters
    ----------
    database
        Where they are.
    now_ms
        The clock.
    """

    def __init__(self, database: Database, *, now_ms: Callable[[], int] = wall_clock_ms) -> None:
        self._database = database
        self._now_ms = now_ms

    def erase_profile(self, id: str, *, by: str = "") -> Erasure | None:
        """Erase all that is known of a profile and its devices; see `erasing`.

        Pings and conversions of it from before do not bring it back (`tombstones`); what its
        devices do afterwards is the life of somebody new. Processes that have its state in memory
        learn of it before they commit anything more (`Turn.last_erasure`).

        Parameters
        ----------
        id
            The profile's, or that of a device that is linked to none.
        by
            Who does it, for the audit log; empty keeps it out of there.

        Returns
        -------
        Erasure or None
            None when there was nothing to erase.

        Raises
        ------
        StoreError
            The person is not erased, but may have lost a part of the history.
        """
        gone: Counter[str] = Counter()
        while True:
            with self._database.read() as connection:
                cursor = cursor_of(connection)
                who = erasing.person(cursor, id)
                found = erasing.strays(cursor, who)
                history = erasing.history(cursor, who, found)
            if sum(map(len, history.values())) > ROWS_AT_ONCE:
                self._thin_out(history, gone)
            with self._database.write() as connection:
                cursor = cursor_of(connection)
                if erasing.person(cursor, id) != who:  # a device was linked or taken meanwhile
                    continue
                with self._database.overwriting(connection):
                    devices = erasing.erase(cursor, who, found, gone)
                if not +gone:
                    return None
                return self._sign_off(cursor, id, who, dict(sorted((+gone).items())), devices, by)

    def _thin_out(self, history: Mapping[str, Sequence[int]], gone: Counter[str]) -> None:
        """Drop rows of history in pieces, and rest as long as each took, so that others write."""
        for table, seqs in history.items():
            for start in range(0, len(seqs), ROWS_AT_ONCE):
                began = time.monotonic()
                with (
                    self._database.write() as connection,
                    self._database.overwriting(connection),
                ):
                    some = seqs[start : start + ROWS_AT_ONCE]
                    erasing.remove(cursor_of(connection), table, some, gone)
                time.sleep(min(time.monotonic() - began, MOST_REST_S))

    def _sign_off(
        self,
        cursor: Any,
        id: str,
        who: erasing.Person,
        counts: Mapping[str, int],
        devices: int,
        by: str,
    ) -> Erasure:
        """Write the audit entry, the receipt and the tombstones."""
        now_ms = self._now_ms()
        name = f"erasure_{secrets.token_hex(_ID_BYTES)}"
        audit = ""
        if by:
            detail = {"of": tombstones.pseudonym(cursor, tombstones.PROFILE, id)}
            audit = append(cursor, now_ms, by, ACTION, name, detail).hex()
        done = Erasure(name, now_ms, devices, counts, KEPT, audit)
        receipt = {
            "devices": done.devices,
            "counts": done.counts,
            "kept": done.kept,
            "audit": done.audit,
        }
        cursor.execute(
            "INSERT INTO erasure (id, erased_ms, receipt) VALUES (?, ?, ?) RETURNING seq",
            (name, now_ms, to_json(receipt)),
        )
        (number,) = cursor.fetchone()
        key = tombstones.key_of(cursor)
        of_devices = [tombstones.digest_of(key, tombstones.DEVICE, each) for each in who.devices]
        of_owners = [tombstones.digest_of(key, tombstones.PROFILE, each) for each in who.owners]
        tombstones.lay(cursor, [*of_devices, *of_owners], erased_ms=now_ms, erasure=number)
        return done

    def erasure(self, id: str) -> Erasure | None:
        """Return a receipt; None when there is none of this id."""
        with self._database.read() as connection:
            row = (
                cursor_of(connection)
                .execute(f"SELECT {_COLUMNS} FROM erasure WHERE id = ?", (id,))  # noqa: S608 - our own names
                .fetchone()
            )
        return None if row is None else _erasure(row)

    def erasures_page(self, *, limit: int = 100, cursor: str | None = None) -> Page[Erasure]:
        """Return receipts, newest first.

        Parameters
        ----------
        limit
            Most items, 1 to 1000.
        cursor
            `Page.next` of the page before.

        Raises
        ------
        InvalidInput
            The limit is out of bounds, or the cursor of no such list.
        """
        after = _LATEST if cursor is None else read_cursor(cursor, "erasure", int)
        statement = f"SELECT {_COLUMNS} FROM erasure WHERE seq < ? ORDER BY seq DESC LIMIT ?"  # noqa: S608 - our own names
        with self._database.read() as connection:
            values = (after, check_limit(limit) + 1)
            rows = cursor_of(connection).execute(statement, values).fetchall()
        return cut(rows, limit, list="erasure", place=0, make=_erasure)


def _erasure(row: Sequence[Any]) -> Erasure:
    _, id_, erased_ms, receipt = row
    told = from_json(receipt)
    return Erasure(
        id_, erased_ms, told["devices"], told["counts"], tuple(told["kept"]), told["audit"]
    )
