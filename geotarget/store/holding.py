"""Rows of deliveries, held until the transaction ends, by all who change them in the same order.

On PostgreSQL senders claim and mark while batches are written, people erased, replays asked for.
Whoever changes a delivery that somebody else may change holds it first; what he then reads of it
holds until his commit, so counters stay equal to counts. Nobody waits in a circle, for all of them
take what they need in this order:

1. the turn of the writers, whoever writes alone (`Database.write`);
2. the devices whose ordered deliveries may end (`hold_devices`), in the order of a hash;
3. the deliveries (`hold`), by number;
4. what is let go behind those (`ordering.release`): of held devices only;
5. tallies and counters, in the order of their keys.

A claim waits for nobody: what another holds it leaves out. On SQLite a transaction that writes is
the only one, and to hold costs the reading.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from geotarget.store.documents import to_json

_HOLD = """
SELECT seq, state, attempts FROM delivery
WHERE seq IN (SELECT CAST(value AS BIGINT) FROM json_each(?))
/*postgresql ORDER BY seq FOR UPDATE*/
"""
_HOLD_DEVICES = """
/*sqlite*/ SELECT ? /*postgresql SELECT pg_advisory_xact_lock(device.key) FROM (
  SELECT DISTINCT hashtextextended(asked.value #>> '{}', 0) AS key
  FROM json_each(?) AS asked ORDER BY key) AS device*/
"""
_HOLD_WAITING = """
/*sqlite*/ SELECT ? /*postgresql SELECT count(*) FROM (
  SELECT 1 FROM delivery WHERE endpoint = ? AND state = 'pending'
  ORDER BY seq FOR UPDATE) AS held*/
"""


class Held(NamedTuple):
    """What may have changed of a delivery until it was held."""

    state: str
    attempts: int


def hold(cursor: Any, seqs: Iterable[int]) -> dict[int, Held]:
    """Keep all others from changing deliveries; those that have gone are left out.

    Parameters
    ----------
    cursor
        Inside a write transaction.
    seqs
        Their numbers.

    Returns
    -------
    dict of int to Held
        How they are now, and until the transaction ends.
    """
    rows = cursor.execute(_HOLD, (to_json(sorted(seqs)),))
    return {seq: Held(state, attempts) for seq, state, attempts in rows}


def hold_devices(cursor: Any, whose: Iterable[tuple[str, str]]) -> None:
    """Keep others from ending ordered deliveries of devices, and from letting the next one go.

    Without it, two that end two of one device at once would each take the other's for the one that
    the third still has to wait for.

    Parameters
    ----------
    cursor
        Inside a write transaction that holds no delivery yet.
    whose
        Endpoint and device of each.
    """
    names = sorted(set(whose))
    if names:
        cursor.execute(_HOLD_DEVICES, (to_json(names),)).fetchall()


def hold_waiting(cursor: Any, endpoint: str) -> None:
    """Keep others from changing whatever waits for an endpoint."""
    cursor.execute(_HOLD_WAITING, (endpoint,)).fetchall()
