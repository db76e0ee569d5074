"""Rows of deliveries, held until the transaction ends, by all who change them in the same order.

On PostgreSQL senders claim and mark while batches are written, people erased, replays asked for.
Whoever changes a delivery that somebody else may change holds it first; what he then reads of it
holds until his commit, so counters stay equal to counts. Nobody waits in a circle, for all of them
take what they need in this order:

1. the turn of the writers, whoever writes alone (`Database.write`), or shares it (`turn_locks`);
2. the devices whose ordered deliveries may end (`hold_devices`), in the order of a hash;
3. the deliveries, and with them those that may be let go behind them (`hold`), by number;
4. their rows of `waiting`, by number: those of what is held, and no others;
5. tallies and counters, in the order of their keys.

Who holds a delivery is the only one who may end its waiting or begin it anew. A claim holds only
what waits, and waits for nobody: what another holds it leaves out. So does who moves times alone
(`hold_waiting`), but that he waits for claims and marks, by number as they do. On SQLite a
transaction that writes is the only one, and to hold costs the reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from geotarget.store.documents import to_json
from geotarget.store.event_days import within

_HOLD = """
SELECT seq, state, attempts FROM delivery
WHERE seq IN (SELECT CAST(value AS BIGINT) FROM json_each(?)) {}
/*postgresql ORDER BY seq FOR UPDATE*/
"""
_HOLD_DEVICES = """
/*sqlite*/ SELECT ? /*postgresql SELECT pg_advisory_xact_lock(device.key) FROM (
  SELECT DISTINCT hashtextextended(asked.value #>> '{}', 0) AS key
  FROM json_each(?) AS asked ORDER BY key) AS device*/
"""
_HOLD_FROM_CLAIMS = """
/*sqlite*/ SELECT ? /*postgresql SELECT seq FROM waiting
WHERE seq IN (SELECT CAST(value AS BIGINT) FROM json_each(?)) ORDER BY seq FOR UPDATE*/
"""
_HOLD_WAITING = "SELECT seq FROM waiting WHERE {} /*postgresql ORDER BY seq FOR UPDATE*/"
_NEXT = """
SELECT (SELECT seq FROM waiting INDEXED BY waiting_in_order
  WHERE endpoint = json_extract(asked.value, '$[0]') AND device = json_extract(asked.value, '$[1]')
    AND ordered
    AND seq NOT IN (SELECT CAST(value AS BIGINT) FROM json_each(?1))
  ORDER BY seq LIMIT 1)
FROM json_each(?2) AS asked
"""


class Held(NamedTuple):
    """What may have changed of a delivery until it was held."""

    state: str
    attempts: int


def hold(cursor: Any, seqs: Iterable[int], days: Iterable[int] | None = None) -> dict[int, Held]:
    """Keep all others from changing deliveries; those that have gone are left out.

    Parameters
    ----------
    cursor
        Inside a write transaction.
    seqs
        Their numbers.
    days
        Those of their events (`event_days`); None: any. Of what is of another day, only the row of
        `waiting` is held, which is enough to let it go.

    Returns
    -------
    dict of int to Held
        How they are now, and until the transaction ends.
    """
    asked = (to_json(sorted(seqs)),)
    rows = cursor.execute(_HOLD.format(within(days)), asked).fetchall()
    # only now: what another has put there while we waited for the delivery has to be seen
    cursor.execute(_HOLD_FROM_CLAIMS, asked).fetchall()
    return {seq: Held(state, attempts) for seq, state, attempts in rows}


def hold_devices(
    cursor: Any, whose: Iterable[tuple[str, str]], seqs: Sequence[int]
) -> Sequence[int]:
    """Keep others from ending ordered deliveries of devices, and from letting the next one go.

    Without it, two that end two of one device at once would each take the other's for the one that
    the third still has to wait for.

    Parameters
    ----------
    cursor
        Inside a write transaction that holds no delivery yet.
    whose
        Endpoint and device of each.
    seqs
        The deliveries that may end.

    Returns
    -------
    sequence of int
        What has to be held: those, and the next one of each device behind them.
    """
    names = sorted(set(whose))
    if not names:
        return seqs
    cursor.execute(_HOLD_DEVICES, (to_json(names),)).fetchall()
    after = cursor.execute(_NEXT, (to_json(seqs), to_json(names))).fetchall()
    return [*seqs, *(seq for (seq,) in after if seq is not None)]


def hold_waiting(cursor: Any, where: str, values: Sequence[Any]) -> str:
    """Keep others from ending what waits or changing its time, as far as a condition holds.

    For who changes nothing of the deliveries themselves.

    Returns
    -------
    str
        The numbers, as the list that statements take. Who changes what he holds changes these, not
        whatever the condition holds of by then: that may be in the hands of others.
    """
    return to_json([seq for (seq,) in cursor.execute(_HOLD_WAITING.format(where), values)])
