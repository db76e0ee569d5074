"""Deliveries of one device, one after the other: what waits for an earlier one is parked.

Of a device's ordered deliveries to one endpoint only the one of the lowest number is sent; numbers
rise with the decisions. A claim that meets a later one does not just leave it out, for it would
meet it at every claim: 10,000 behind one that waits for its retry cost 4 ms each time. It is
parked, that is, due after all times, and whoever ends or removes an earlier one lets the next go in
the same transaction. So a claim looks at each of them once, and what is not ordered costs nothing.

The index ``delivery_in_order`` holds what is ordered and waits; to look and to park costs 8 µs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

PARKED_MS = 253_402_300_799_000
"""When a parked delivery is due: the last second of the year 9999, which any clock can show."""

IS_BEHIND = """
(waiting.ordered AND EXISTS (
  SELECT 1 FROM delivery AS earlier INDEXED BY delivery_in_order
  WHERE earlier.endpoint = waiting.endpoint AND earlier.device = waiting.device
    AND earlier.seq < waiting.seq AND earlier.state = 'pending' AND earlier.ordered))
"""
"""Whether the row ``waiting`` of the table ``delivery`` has to wait for an earlier one."""

_RELEASE = f"""
UPDATE delivery SET next_attempt_ms = created_ms WHERE next_attempt_ms = {PARKED_MS} AND seq = (
  SELECT seq FROM delivery INDEXED BY delivery_in_order
  WHERE endpoint = ? AND device = ? AND state = 'pending' AND ordered ORDER BY seq LIMIT 1)
"""  # noqa: S608 - our own figure


def release(cursor: Any, ended: Iterable[tuple[str, str]]) -> set[str]:
    """Let the next deliveries go, at once, where one stopped waiting, however that came.

    Parameters
    ----------
    cursor
        Inside the transaction in which they stopped waiting: delivered, given up or deleted.
    ended
        Endpoint and device of each.

    Returns
    -------
    set of str
        The endpoints for which something became due by it.
    """
    ready: set[str] = set()
    for endpoint, device in set(ended):
        cursor.execute(_RELEASE, (endpoint, device))
        if cursor.rowcount:
            ready.add(endpoint)
    return ready
