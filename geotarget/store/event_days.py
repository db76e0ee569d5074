"""Of which day a delivery is: its event's, as the webhook id says.

On PostgreSQL deliveries, their bodies and attempts lie in a partition for each day (`partitions`),
divided by `event_day`. All three have that column, for who knows it asks one partition: it stands
in the text of a statement (`within`), so that the server leaves the other partitions out before it
plans or locks anything. A join would tell it too late. On SQLite the column is written and never
asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from geotarget.store.documents import to_json

DAY_MS = 86_400_000

NO_DAY = -1
"""Of events whose ids have no instant: tests, endpoints that were disabled."""

_TIMED = re.compile("(?:offer|transition)_([0-9a-f]{12})")
_NUMBERED = "IN (SELECT CAST(value AS BIGINT) FROM json_each(?))"


def day_of(webhook_id: str) -> int:
    """Return the day of an event in UTC, counted since 1970.

    Examples
    --------
    >>> day_of("offer_01a205b3d00000000000646563696465"), day_of("test_01a205b3d000")
    (20780, -1)
    """
    timed = _TIMED.match(webhook_id)
    return int(timed[1], 16) // DAY_MS if timed else NO_DAY


def within(days: Iterable[int] | None, of: str = "") -> str:
    """Return what a condition says besides, to ask the partitions of some days only.

    Parameters
    ----------
    days
        All that the rows may be of; None asks every partition.
    of
        The table's name and a dot, where several have the column.

    Examples
    --------
    >>> within([20_781, 20_780])
    '/*postgresql AND event_day IN (20780, 20781)*/'
    """
    if days is None:
        return ""
    listed = ", ".join(f"{day:d}" for day in sorted(set(days) or {NO_DAY}))
    return f"/*postgresql AND {of}event_day IN ({listed})*/"


def decided_within(days: Iterable[int]) -> str:
    """Return the same of the decisions that offers tell of: their ids have the same instant."""
    known = sorted(days)
    if not known or known[0] == NO_DAY:
        return ""
    first, end = (f"{day * DAY_MS:012x}" for day in (known[0], known[-1] + 1))
    return f"/*postgresql AND decision.id >= '{first}' AND decision.id < '{end}'*/"


def delete(cursor: Any, seqs: Sequence[int], days: Iterable[int] | None = None) -> int:
    """Delete deliveries with bodies and attempts; return how many there were.

    Parameters
    ----------
    cursor
        Inside a transaction that holds them.
    seqs
        Their numbers.
    days
        What they are of; None: any.
    """
    asked, near = (to_json(seqs),), within(days)
    if getattr(cursor, "divides", False):  # no key reaches across partitions
        for part in ("delivery_body", "attempt"):
            cursor.execute(f"DELETE FROM {part} WHERE delivery {_NUMBERED} {near}", asked)  # noqa: S608 - our own names
    cursor.execute(f"DELETE FROM delivery WHERE seq {_NUMBERED} {near}", asked)  # noqa: S608 - our own names
    return int(cursor.rowcount)
