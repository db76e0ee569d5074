"""Deliveries of one device, one after the other: what waits for an earlier one is parked.

Of a device's ordered deliveries to one endpoint only the one of the lowest number is sent; numbers
rise with the decisions. A claim that meets a later one does not just leave it out, for it would
meet it at every claim: 10,000 behind one that waits for its retry cost 4 ms each time. It is
parked, that is, due after all times, and whoever ends or removes an earlier one lets the next go in
the same transaction. So a claim looks at each of them once, and what is not ordered costs nothing.

Several processes may claim and mark at once. Two never have two ordered deliveries of one device:

- A delivery is claimed only if no earlier one of its device waits, and one that is on its way
  waits too, until it is marked. Numbers of a device rise with the commits, so an earlier one can't
  come up later, but by a replay: that is meant to come before what is not posted yet, and can't
  call back what is.
- Whoever parks one holds an earlier one of its device that waits, so that nobody can end that one
  before the commit. Whoever ends it looks for the next after that, and finds the parked one. If the
  earlier one can't be held, somebody is just ending it: then it is not parked but looked at again
  in a moment.
- Those who end deliveries of one device do it one after the other (`holding`). So of two that end
  at once the second sees what the first has done, and lets the next one go.

The index ``waiting_in_order`` holds what is ordered and waits; to look and to park costs 8 µs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from geotarget.store.documents import to_json

PARKED_MS = 253_402_300_799_000
"""When a parked delivery is due: the last second of the year 9999, which any clock can show."""

AGAIN_MS = 100
"""When one is looked at again whose earlier one is just being ended."""

IS_BEHIND = """
(waiting.ordered AND EXISTS (
  SELECT 1 FROM waiting AS earlier INDEXED BY waiting_in_order
  WHERE earlier.endpoint = waiting.endpoint AND earlier.device = waiting.device
    AND earlier.seq < waiting.seq AND earlier.ordered))
"""
"""Whether a row of `waiting` has to wait for an earlier one."""

_RELEASE = f"""
UPDATE waiting SET next_attempt_ms = created_ms WHERE next_attempt_ms = {PARKED_MS} AND seq IN (
  SELECT (SELECT seq FROM waiting INDEXED BY waiting_in_order
    WHERE endpoint = json_extract(asked.value, '$[0]')
      AND device = json_extract(asked.value, '$[1]')
      AND ordered
    ORDER BY seq LIMIT 1)
  FROM json_each(?) AS asked)
RETURNING endpoint
"""  # noqa: S608 - our own figure
_MAY_PARK = """
SELECT later.seq FROM json_each(?) AS asked CROSS JOIN waiting AS later
ON later.seq = CAST(asked.value AS BIGINT)
/*postgresql CROSS JOIN LATERAL (
  SELECT 1 FROM waiting AS earlier
  WHERE earlier.endpoint = later.endpoint AND earlier.device = later.device
    AND earlier.seq < later.seq AND earlier.ordered
  ORDER BY earlier.seq DESC LIMIT 1 FOR KEY SHARE SKIP LOCKED) AS held*/
"""


def release(cursor: Any, ended: Iterable[tuple[str, str]]) -> set[str]:
    """Let the next deliveries go, at once, where one stopped waiting, however that came.

    Parameters
    ----------
    cursor
        Inside the transaction in which they stopped waiting: delivered, given up or deleted; it
        held the devices before (`holding.hold_devices`).
    ended
        Endpoint and device of each.

    Returns
    -------
    set of str
        The endpoints for which something became due by it.
    """
    whose = sorted(set(ended))
    if not whose:
        return set()
    return {endpoint for (endpoint,) in cursor.execute(_RELEASE, (to_json(whose),)).fetchall()}


def park(cursor: Any, behind: Sequence[int], *, now_ms: int) -> None:
    """Take what waits for earlier ones out of the way of further claims.

    Parameters
    ----------
    cursor
        Inside the transaction that claims, and that holds these.
    behind
        Their numbers.
    now_ms
        When that is, Unix milliseconds.
    """
    if not behind:
        return
    rows = cursor.execute(_MAY_PARK, (to_json(behind),)).fetchall()
    parked = {seq for (seq,) in rows}
    cursor.executemany(
        "UPDATE waiting SET next_attempt_ms = ? WHERE seq = ?",
        [(PARKED_MS if seq in parked else now_ms + AGAIN_MS, seq) for seq in behind],
    )
