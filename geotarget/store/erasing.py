"""What goes when a profile is erased: all that is known of one person, in one transaction.

Gone are attributes, consent, external ids, the links of its devices, behaviour, what campaigns
counted for it, the traces of its devices, their part in the counts of places, and the offers that
still wait to be sent to it. What a device did before it was linked goes along, unless a profile of
the device's own is stored: that may be somebody else's. Reported conversions stay in the totals,
without the profile. Transitions and decisions stay in the history under the pseudonymous ids until
their retention ends; there is no tombstone against replay yet.

Costs some 2 µs for each stretch of 4,096 deliveries in the history, and little else.
"""

from __future__ import annotations

from typing import Any

from geotarget.store import footfall, traces

_DEVICES = """
SELECT device, device <> ?1 AND NOT EXISTS (SELECT 1 FROM profile WHERE id = device)
FROM profile_device WHERE profile = ?1
UNION SELECT ?1, FALSE WHERE NOT EXISTS (
  SELECT 1 FROM profile_device WHERE device = ?1 AND profile <> ?1)
"""
_OFFERS = """
SELECT seq FROM span CROSS JOIN delivery INDEXED BY delivery_device
WHERE list = 'delivery' AND delivery.stretch = span.stretch AND device = ?
  AND state = 'pending' AND campaign <> ''
"""
_PERSONAL = (
    ("profile", "id"),
    ("behaviour", "profile"),
    ("exposure", "profile"),
    ("profile_device", "profile"),
)
_SALT = "SELECT value FROM secret WHERE name = ?"
_COUNTED = """
DELETE FROM campaign_profile WHERE profile = ? AND campaign IN (
  SELECT campaign FROM exposure WHERE profile = ?
  UNION SELECT DISTINCT campaign FROM campaign_version)
"""


def erase(cursor: Any, id: str) -> bool:
    """Erase a profile inside a transaction of the caller.

    Parameters
    ----------
    cursor
        Of the driver.
    id
        The profile's.

    Returns
    -------
    bool
        Whether anything was there.
    """
    gone: int = 0
    owners = [id]
    for device, is_alone in cursor.execute(_DEVICES, (id,)).fetchall():
        gone += traces.forget(cursor, device)
        gone += _leave_places(cursor, device)
        gone += _drop_offers(cursor, device)
        if is_alone:
            owners.append(device)
    for owner in owners:
        gone += _forget(cursor, owner)
    return gone > 0


def _forget(cursor: Any, id: str) -> int:
    """Delete what is kept by a profile's id; return how many rows that were."""
    gone: int = 0
    cursor.execute(_COUNTED, (id, id))
    gone += cursor.rowcount
    for table, column in _PERSONAL:
        cursor.execute(f"DELETE FROM {table} WHERE {column} = ?", (id,))  # noqa: S608 - our own names
        gone += cursor.rowcount
    cursor.execute("UPDATE conversion SET profile = '', device = '' WHERE profile = ?", (id,))
    return gone + int(cursor.rowcount)


def _leave_places(cursor: Any, device: str) -> int:
    """Take a device out of the sketches of places, if any were ever made."""
    salt = cursor.execute(_SALT, (footfall.SALT,)).fetchone()
    return 0 if salt is None else footfall.forget(cursor, device, bytes(salt[0]))


def _drop_offers(cursor: Any, device: str) -> int:
    """Delete the offers that wait for a device, bodies included: they can't be replayed."""
    waiting = cursor.execute(_OFFERS, (device,)).fetchall()
    cursor.executemany("DELETE FROM delivery WHERE seq = ?", waiting)
    cursor.execute(
        "UPDATE counter SET value = value - ? WHERE name = 'deliveries_pending'", (len(waiting),)
    )
    return len(waiting)
