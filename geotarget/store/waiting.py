"""What waits to be sent, in a table of its own: a row of `waiting` for each pending delivery.

`delivery` is history: it grows for as long as it is kept, and what waits may be of any day of it.
Senders ask for what waits all the time, so they ask a table that is as small as the outbox is: a
claim and its lease touch nothing else but the bodies that are given out. Times of the next attempt
are true here only; `delivery` has those that came of the last mark.

There is a row here exactly while the state of the delivery is ``pending``. Whoever changes the one
changes the other, in one transaction and in one order: the delivery is held first, then what waits
(`holding`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from geotarget.model import Delivery
from geotarget.store.documents import to_json
from geotarget.store.event_days import day_of, within

_COLUMNS = (
    "seq, webhook_id, endpoint, type, device, ordered, created_ms, expires_ms, attempts, "
    "next_attempt_ms, event_day"
)
_INSERT = f"""
INSERT INTO waiting ({_COLUMNS})
VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)
"""  # noqa: S608 - our own names
_AGAIN = """
UPDATE delivery SET state = 'pending', attempts = 0, next_attempt_ms = ?, finished_ms = NULL {}
WHERE seq = ? {}
"""
_COPY = f"""
INSERT INTO waiting ({_COLUMNS}) SELECT {_COLUMNS} FROM delivery
WHERE seq IN (SELECT CAST(value AS BIGINT) FROM json_each(?)) {{}}
ON CONFLICT (seq) DO UPDATE SET attempts = excluded.attempts, expires_ms = excluded.expires_ms,
  next_attempt_ms = excluded.next_attempt_ms
"""  # noqa: S608 - our own names


def put(cursor: Any, new: Iterable[tuple[int, Delivery]]) -> None:
    """Let new deliveries wait, each under its number, due since it was made."""
    cursor.executemany(
        _INSERT,
        [
            (
                seq,
                each.webhook_id,
                each.endpoint,
                each.type,
                each.device,
                each.ordered,
                each.created_ms,
                each.expires_ms,
                each.created_ms,
                day_of(each.webhook_id),
            )
            for seq, each in new
        ],
    )


def put_again(
    cursor: Any, seqs: Sequence[int], days: Iterable[int], *, now_ms: int, for_good: bool
) -> None:
    """Let deliveries wait again, whatever became of them, or wait no longer than now.

    Parameters
    ----------
    cursor
        Inside a transaction that holds them.
    seqs
        Their numbers.
    days
        Those of their events (`event_days`).
    now_ms
        When they are due, Unix milliseconds.
    for_good
        They expire no more.
    """
    if not seqs:
        return
    near = within(days)
    statement = _AGAIN.format(", expires_ms = NULL" if for_good else "", near)
    cursor.executemany(statement, [(now_ms, seq) for seq in seqs])
    cursor.execute(_COPY.format(near), (to_json(seqs),))


def end(cursor: Any, seqs: Iterable[int]) -> None:
    """Let deliveries that are held wait no more; those that didn't are left alone."""
    cursor.executemany("DELETE FROM waiting WHERE seq = ?", [(seq,) for seq in seqs])
