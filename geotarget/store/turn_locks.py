"""What turns that run beside each other hold, so that each may believe what it has read.

On PostgreSQL the turns of workers with slots of their own share the writers' lock: most of a batch
(its states) belongs to the slots of one worker and meets nobody. What does meet is held, in this
order, until the commit:

1. profiles that devices of several slots may belong to (`hold_profiles`), in the order of their
   ids: their behaviour and caps;
2. campaigns of whose budget something is asked (`hold_budgets`), in the order of their ids;
3. history (`hold_history`), from the numbering on: whoever has a higher number commits later, which
   is what readers of the feed go by. Sums, counters, places and traces are written under it, too.

Everybody else (`Database.write`) still writes alone, so profiles, links, campaigns and erasures
stand still during a turn. On SQLite every turn is alone and nothing here is called.

Costs: two statements for the profiles of a batch's transitions, one for budgets, one for history.
What is decided under a budget is decided one turn after the other, by all workers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from geotarget.behaviour import encode
from geotarget.model import Behaviour
from geotarget.store.documents import to_json

HISTORY = 0x68697374
"""The advisory lock of whoever numbers and writes history: `hist`."""

_BUDGETS = 1
"""Seed of the hashes of campaigns: devices (`holding`) are hashed with 0."""

_SHARED = """
SELECT DISTINCT profile FROM profile_device
WHERE profile IN (SELECT value FROM json_each(?)) ORDER BY profile
"""
_MAKE = """
INSERT INTO behaviour (profile, changed_ms, state) VALUES (?, ?, ?)
ON CONFLICT (profile) DO NOTHING
"""
_HOLD_PROFILES = """
SELECT profile, state FROM behaviour WHERE profile IN (SELECT value FROM json_each(?))
ORDER BY profile /*postgresql FOR UPDATE*/
"""
_HOLD_BUDGETS = """
SELECT pg_advisory_xact_lock(held.key) FROM (
  SELECT DISTINCT hashtextextended(asked.value #>> '{}', ?) AS key
  FROM json_each(?) AS asked ORDER BY key) AS held
"""
_HOLD_HISTORY = "SELECT pg_advisory_xact_lock(?)"


def hold_profiles(cursor: Any, profiles: Iterable[str], *, now_ms: int) -> dict[str, bytes]:
    """Keep other turns from deciding about people whose devices may be in other slots.

    Parameters
    ----------
    cursor
        Inside a turn.
    profiles
        Their ids. Of a profile that no device is linked to only the device of its own name is
        seen, by whoever owns its slot: it need not be held.
    now_ms
        When that is, Unix milliseconds.

    Returns
    -------
    dict of str to bytes
        The documents of those that are held now.
    """
    shared = [id_ for (id_,) in cursor.execute(_SHARED, (to_json(sorted(set(profiles))),))]
    if not shared:
        return {}
    # A row that is not there can't be held, so it is made; those who make the same one wait here.
    nothing = encode(Behaviour())
    cursor.executemany(_MAKE, [(profile, now_ms, nothing) for profile in shared])
    return dict(cursor.execute(_HOLD_PROFILES, (to_json(shared),)).fetchall())


def hold_budgets(cursor: Any, campaigns: Iterable[str]) -> None:
    """Keep other turns from spending what campaigns have left."""
    cursor.execute(_HOLD_BUDGETS, (_BUDGETS, to_json(sorted(set(campaigns))))).fetchall()


def hold_history(cursor: Any) -> None:
    """Wait until it is this turn's time to number and write history."""
    cursor.execute(_HOLD_HISTORY, (HISTORY,)).fetchall()
