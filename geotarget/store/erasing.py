"""What goes when a person is erased, and how it is found.

Gone are the profile and what is counted of it (attributes, consent, external ids, links, behaviour,
exposures, caps), and everything of its devices: state and memberships, transitions, decisions,
deliveries in whatever state with what was posted and all attempts, traces, dead letters, tokens,
their part in the counts of places. What a device did before it was linked goes along; what is
counted by the profile of its own id goes too, unless such a profile is stored: that may be somebody
else's. Reported conversions stay in the totals without profile and device, and so do all other
sums, as they do under `retention`.

Nearly everything is found by an index. What is not (decisions and webhooks of the profile about a
device that belongs to somebody else by now, dead letters, conversions that name the device) is
looked for row by row without the lock, 0.2 to 1 µs a row, and under the lock only among the rows
that came since. What is replaced is overwritten with zeros (`secure_delete`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec

from geotarget.model import Rejected
from geotarget.store import device_tokens, footfall, live, traces, waiting
from geotarget.store.appending import count
from geotarget.store.documents import to_json
from geotarget.store.event_days import delete
from geotarget.store.history import named_device
from geotarget.store.holding import hold, hold_devices
from geotarget.store.ordering import release
from geotarget.store.retention import keep_numbering
from geotarget.store.stretches import IN_SPAN

FROM_THE_START: Mapping[str, int] = {
    "decision": -1, "delivery": -1, "dead_letter": -1, "conversion": -1,
}  # fmt: skip


_NAMES = {
    "transition": "transitions",
    "decision": "decisions",
    "delivery": "deliveries",
    "dead_letter": "dead_letters",
}
_OF_DEVICES = ("transition", "decision", "delivery")
_DEVICES = """
SELECT device, device <> ?1 AND NOT EXISTS (SELECT 1 FROM profile WHERE id = device)
FROM profile_device WHERE profile = ?1
UNION SELECT ?1, FALSE WHERE NOT EXISTS (
  SELECT 1 FROM profile_device WHERE device = ?1 AND profile <> ?1)
ORDER BY 1
"""
_OF_DEVICE = """
SELECT seq FROM span CROSS JOIN {table} INDEXED BY {table}_device
WHERE list = '{table}' AND {table}.stretch = span.stretch {ids} AND device = ?
"""
_COUNTED = """
DELETE FROM campaign_profile WHERE profile = ?1 AND campaign IN (
  SELECT campaign FROM exposure WHERE profile = ?1
  UNION SELECT DISTINCT campaign FROM campaign_version)
"""
_SALT = "SELECT value FROM secret WHERE name = ?"
_AMONG = "IN (SELECT value FROM json_each(?))"
_NUMBERED = "IN (SELECT CAST(value AS BIGINT) FROM json_each(?))"
_PERSONAL = (
    ("profiles", "profile", "id"),
    ("behaviour", "behaviour", "profile"),
    ("exposures", "exposure", "profile"),
    ("links", "profile_device", "profile"),
)


@dataclass(frozen=True, slots=True)
class Person:
    """Whom an erasure means.

    Parameters
    ----------
    devices
        All of whose data goes.
    owners
        The profiles: the one that was named, and those of devices that are nobody else's.
    """

    devices: tuple[str, ...]
    owners: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Strays:
    """Rows about a person that no index finds, by their numbers; `last` is how far was looked."""

    rows: Mapping[str, frozenset[int]]
    last: Mapping[str, int]


def person(cursor: Any, id: str) -> Person:
    """Return whom erasing a profile means."""
    rows = cursor.execute(_DEVICES, (id,)).fetchall()
    alone = [device for device, is_alone in rows if is_alone]
    return Person(tuple(device for device, _ in rows), (id, *alone))


def strays(cursor: Any, who: Person, after: Mapping[str, int] = FROM_THE_START) -> Strays:
    """Look for the rows about a person that no index finds.

    Parameters
    ----------
    cursor
        In a transaction of the caller, who need not hold the write lock.
    who
        Whose.
    after
        Only rows with higher numbers, by table: `Strays.last` of an earlier look.
    """
    needles = [b'"profile":{"id":' + each for owner in who.owners for each in _quoted(owner)]
    posted = " OR ".join(["instr(body, ?) > 0"] * len(needles))
    found = {
        "decision": _numbers(
            cursor,
            f"SELECT seq FROM decision NOT INDEXED WHERE seq > ? AND profile {_AMONG}",  # noqa: S608 - our own text
            (after["decision"], to_json(who.owners)),
        ),
        "delivery": _numbers(
            cursor,
            f"SELECT delivery FROM delivery_body WHERE delivery > ? AND ({posted})",  # noqa: S608 - our own text
            (after["delivery"], *needles),
        ),
        "conversion": _numbers(
            cursor,
            f"SELECT seq FROM conversion WHERE seq > ? AND device {_AMONG}",  # noqa: S608 - our own text
            (after["conversion"], to_json(who.devices)),
        ),
        "dead_letter": frozenset(_letters(cursor, who, after["dead_letter"])),
    }
    last = {
        table: cursor.execute(f"SELECT coalesce(max(seq), -1) FROM {table}").fetchone()[0]  # noqa: S608 - our own names
        for table in found
    }
    return Strays(found, last)


def history(cursor: Any, who: Person, found: Strays) -> dict[str, list[int]]:
    """Return the numbers of the rows of history that go, by table; ascending."""
    rows = {table: set(found.rows.get(table, ())) for table in _NAMES}
    for table in _OF_DEVICES:
        statement = _OF_DEVICE.format(table=table, ids=IN_SPAN[table])
        for device in who.devices:
            rows[table] |= _numbers(cursor, statement, (device,))
    return {table: sorted(seqs) for table, seqs in rows.items()}


def erase(cursor: Any, who: Person, found: Strays, gone: Counter[str]) -> int:
    """Erase a person inside the caller's write transaction.

    Parameters
    ----------
    cursor
        Of the driver.
    who
        As `person` says in this transaction.
    found
        What `strays` found of the same person at some time before.
    gone
        How many rows of what have gone: added to.

    Returns
    -------
    int
        How many devices were linked or known.
    """
    devices = 0
    since = strays(cursor, who, found.last)
    every = {table: seqs | since.rows[table] for table, seqs in found.rows.items()}
    for table, numbers in history(cursor, who, Strays(every, since.last)).items():
        remove(cursor, table, numbers, gone)
    salt = cursor.execute(_SALT, (footfall.SALT,)).fetchone()
    for device in who.devices:
        states, memberships = live.forget(cursor, device)
        devices += device != who.owners[0] or bool(states)
        gone["states"] += states
        gone["memberships"] += memberships
        gone["traces"] += traces.forget(cursor, device)
        gone["tokens"] += device_tokens.forget(cursor, device)
        if salt is not None:
            gone["places"] += footfall.forget(cursor, device, bytes(salt[0]))
    for owner in who.owners:
        _forget(cursor, owner, gone)
    _unname(cursor, sorted(every["conversion"]), gone)
    return devices


def _forget(cursor: Any, id: str, gone: Counter[str]) -> None:
    """Delete what is kept by a profile's id."""
    cursor.execute(_COUNTED, (id,))
    gone["caps"] += cursor.rowcount
    for name, table, column in _PERSONAL:
        cursor.execute(f"DELETE FROM {table} WHERE {column} = ?", (id,))  # noqa: S608 - our own names
        gone[name] += cursor.rowcount
    cursor.execute("UPDATE conversion SET profile = '', device = '' WHERE profile = ?", (id,))
    gone["conversions"] += cursor.rowcount


def _unname(cursor: Any, seqs: Sequence[int], gone: Counter[str]) -> None:
    """Take the device out of conversions that were reported of it for somebody else's profile."""
    cursor.execute(
        f"UPDATE conversion SET device = '' WHERE device <> '' AND seq {_NUMBERED}",  # noqa: S608 - our own text
        (to_json(seqs),),
    )
    gone["conversions"] += cursor.rowcount


def remove(cursor: Any, table: str, seqs: Sequence[int], gone: Counter[str]) -> None:
    """Delete rows of history by their numbers; counters, numbering and order stay right.

    Inside the caller's write transaction; who has gone already is left alone.
    """
    if not seqs:
        return
    asked = (to_json(seqs),)
    ended: list[tuple[str, str]] = []
    left: Counter[str] = Counter()
    if table == "delivery":
        whose = f"SELECT DISTINCT endpoint, device FROM delivery WHERE ordered AND seq {_NUMBERED}"  # noqa: S608 - our own text
        ended = cursor.execute(whose, asked).fetchall()
        held = hold(cursor, hold_devices(cursor, ended, seqs))
        left.subtract(f"deliveries_{held[seq].state}" for seq in seqs if seq in held)
        tried = f"SELECT count(*) FROM attempt WHERE delivery {_NUMBERED}"  # noqa: S608 - our own text
        gone["attempts"] += cursor.execute(tried, asked).fetchone()[0]
    newest = f"SELECT max(seq) FROM {table}"  # noqa: S608 - our own names
    (last,) = cursor.execute(newest).fetchone()
    if table == "delivery":
        gone[_NAMES[table]] += delete(cursor, seqs)
        waiting.end(cursor, seqs)
    else:
        cursor.execute(f"DELETE FROM {table} WHERE seq {_NUMBERED}", asked)  # noqa: S608 - our own names
        gone[_NAMES[table]] += cursor.rowcount
    if table in _OF_DEVICES and (last,) != cursor.execute(newest).fetchone():
        keep_numbering(cursor, table, last)
    release(cursor, ended)  # what waited behind a webhook about a device of somebody else's by now
    count(cursor, left)


def _letters(cursor: Any, who: Person, after: int) -> Iterator[int]:
    """Yield the numbers of dead letters that name a device: by topic, or anywhere in a request.

    Of a request that was refused as a whole the letter goes, whoever else is named in it.
    """
    for device in who.devices:
        quoted = _quoted(device)
        named = " OR ".join(["instr(payload, ?) > 0"] * len(quoted))
        rows = cursor.execute(
            "SELECT seq, source, payload FROM dead_letter WHERE seq > ? AND "  # noqa: S608 - our own text
            f"(instr(source, ?) > 0 OR source IN ('http', 'intake') AND ({named}))",
            (after, device, *quoted),
        )
        for seq, source, payload in rows:
            letter = Rejected(source, payload, "", "", 0)
            if source in ("http", "intake") or named_device(letter) == device:
                yield seq


def _quoted(id: str) -> set[bytes]:
    """Return an id as it may stand in JSON: as it is, or escaped."""
    found = {json.dumps(id).encode()}
    with suppress(UnicodeEncodeError):  # half of a surrogate pair: JSON has it as an escape only
        found.add(msgspec.json.encode(id))
    return found


def _numbers(cursor: Any, statement: str, values: Sequence[Any]) -> frozenset[int]:
    return frozenset(seq for (seq,) in cursor.execute(statement, values))
