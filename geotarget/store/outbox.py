"""The outbox: what waits to be posted, who holds it, and what came of it.

A delivery is leased by pushing its `next_attempt_ms` forward. Nothing else marks it as taken, so a
sender that is killed needs no clean-up: its lease runs out and the delivery is due again. Claims
look without the write lock first, because a sender asks far more often than there is something.

Attempts are written in bulk, and the same attempt twice has the effect of one. A delivery that was
delivered stays delivered, whatever a slower sender says of it later.

Those of one device wait for each other where their endpoint wants that (`ordering`).

On PostgreSQL any number of processes do this at once, beside the writers of batches: a claim leaves
out what another has in hand, a mark holds its own deliveries first (`holding`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import structlog

from geotarget.model import Attempt, Claimed
from geotarget.store import waiting
from geotarget.store.appending import count
from geotarget.store.counting import count_delivered
from geotarget.store.database import Database, cursor_of
from geotarget.store.documents import to_json
from geotarget.store.event_days import day_of, decided_within, within
from geotarget.store.holding import Held, hold, hold_devices, hold_waiting
from geotarget.store.ordering import IS_BEHIND, PARKED_MS, park, release

log = structlog.get_logger(__name__)

PENDING, DELIVERED, FAILED = "pending", "delivered", "failed"

_DUE = """
SELECT asked.value FROM json_each(?) AS asked WHERE EXISTS (
  SELECT 1 FROM waiting INDEXED BY waiting_due
  WHERE endpoint = asked.value AND next_attempt_ms <= ?)
"""
_OLDEST_DUE = f"""
SELECT seq, {IS_BEHIND}, event_day, next_attempt_ms, webhook_id, endpoint, type, attempts,
  expires_ms
FROM waiting INDEXED BY waiting_due
WHERE endpoint = ? AND next_attempt_ms <= ?
ORDER BY next_attempt_ms, seq LIMIT ? /*postgresql FOR NO KEY UPDATE SKIP LOCKED*/
"""  # noqa: S608 - our own names
_BODIES = """
SELECT delivery, body FROM delivery_body
WHERE delivery IN (SELECT CAST(value AS BIGINT) FROM json_each(?)) {}
"""

_BEHIND = 1
"""Place in such a row of whether it has to wait for an earlier one."""

_LOOK_FURTHER = 200
"""How many more are looked at next where some have to wait."""

_FIND = """
SELECT webhook_id, endpoint, seq, ordered, device
FROM json_each(?) AS asked CROSS JOIN delivery
WHERE webhook_id = json_extract(asked.value, '$[0]')
  AND endpoint = json_extract(asked.value, '$[1]') {}
"""
_OF_EVENT = """
SELECT seq FROM delivery
WHERE webhook_id = ? AND (endpoint = ? OR CAST(? AS TEXT) IS NULL) {}
"""
_SAID_BEFORE = """
SELECT delivery, started_ms, attempt FROM attempt
WHERE delivery IN (SELECT CAST(value AS BIGINT) FROM json_each(?)) {}
"""
_INSERT_ATTEMPT = """
INSERT INTO attempt (delivery, started_ms, attempt, duration_ms, state, next_attempt_ms, status,
  error, answer, event_day)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (delivery, started_ms, attempt /*postgresql , event_day*/) DO NOTHING
"""
_FIRST_ACCEPTED = """
SELECT decision.campaign, decision.day, decision.zone, coalesce(decision.variant, '')
FROM json_each(?) AS asked CROSS JOIN decision
WHERE decision.id = json_extract(asked.value, '$[0]') {} AND (
  SELECT count(*) FROM attempt
  WHERE delivery = CAST(json_extract(asked.value, '$[1]') AS BIGINT) AND state = 'delivered' {}
) = CAST(json_extract(asked.value, '$[2]') AS BIGINT)
"""
_LEASE = "UPDATE waiting SET next_attempt_ms = ? WHERE seq = ?"
_SOONER = """
UPDATE waiting SET next_attempt_ms = max(?, next_attempt_ms - ?)
WHERE seq IN (SELECT CAST(value AS BIGINT) FROM json_each(?))
"""
_GIVE_UP = "UPDATE delivery SET state = 'failed', finished_ms = ? WHERE seq = ? {}"
_UNKNOWN = (-1, False, "")
_UPDATE = """
UPDATE delivery SET state = ?, attempts = ?, next_attempt_ms = ?, status = ?, finished_ms = ?
WHERE seq = ? {}
"""
_RETRY = "UPDATE waiting SET attempts = ?, next_attempt_ms = ? WHERE seq = ?"


class Outbox:
    """Claims and marks deliveries.

    Parameters
    ----------
    database
        Where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, *, now_ms: int, limits: Mapping[str, int], lease_ms: int) -> list[Claimed]:
        """Lease due deliveries; nobody else gets them until the lease runs out.

        Never two ordered ones of a device, nor one while an earlier one waits.

        Parameters
        ----------
        now_ms
            What is due by now, Unix milliseconds.
        limits
            Endpoint -> most deliveries; other endpoints get none.
        lease_ms
            How long they are leased.

        Returns
        -------
        list of Claimed
            Those that have been due for longest, first.

        Raises
        ------
        StoreError
            The database can't be read or written; nothing is leased.
        """
        wanted = [endpoint for endpoint, limit in limits.items() if limit > 0]
        with self._database.read() as connection:
            due = cursor_of(connection).execute(_DUE, (to_json(wanted), now_ms)).fetchall()
        if not due:
            return []
        rows: list[tuple[Any, ...]] = []
        with self._database.write(alone=False) as connection:
            cursor = cursor_of(connection)
            for (endpoint,) in due:
                rows += _claim(cursor, endpoint, limits[endpoint], now_ms)
            cursor.executemany(_LEASE, [(now_ms + lease_ms, row[0]) for row in rows])
            posted = _BODIES.format(within({row[2] for row in rows}))
            bodies = dict(cursor.execute(posted, (to_json([row[0] for row in rows]),)))
        rows.sort(key=lambda row: (row[3], row[0]))
        return [
            Claimed(webhook_id, endpoint, type_, bodies[seq], attempts, expires_ms)
            for seq, _, _, _, webhook_id, endpoint, type_, attempts, expires_ms in rows
        ]

    def bring_forward(self, *, now_ms: int, by_ms: int) -> int:
        """Let what waits for a later time go so much sooner: the time of day was set back.

        What waits for an earlier delivery waits on, and what is due already stays.

        Returns
        -------
        int
            How many deliveries.

        Raises
        ------
        StoreError
            Nothing was written.
        """
        with self._database.write(alone=False) as connection:
            cursor = cursor_of(connection)
            later = "next_attempt_ms > ? AND next_attempt_ms < ?"
            held = hold_waiting(cursor, later, (now_ms, PARKED_MS))
            cursor.execute(_SOONER, (now_ms, by_ms, held))
            return int(cursor.rowcount)

    def mark(self, attempts: Sequence[Attempt]) -> Collection[str]:
        """Write down what came of attempts.

        An offer's first acceptance counts in the tally of its decision as ``delivered``: one for
        each endpoint that it went to, so a decision with two endpoints counts twice. Plain
        transitions count in no tally, and neither does a replay of what was accepted before.

        Parameters
        ----------
        attempts
            Each is known by delivery, number and start: one that is there already changes nothing.
            One that says less than what is known (a failure, of what was delivered meanwhile) is
            recorded, but changes no state.

        Returns
        -------
        collection of str
            Endpoints for which something became due by it: an ordered delivery that waited for one
            of these.

        Raises
        ------
        StoreError
            Nothing is written: the same attempts may be given again.
        """
        if not attempts:
            return ()
        changes: Counter[str] = Counter()
        with self._database.write(alone=False) as connection:
            cursor = cursor_of(connection)
            asked = to_json([(each.webhook_id, each.endpoint) for each in attempts])
            days = {day_of(each.webhook_id) for each in attempts}
            near = within(days)
            known = {row[:2]: row[2:] for row in cursor.execute(_FIND.format(near), (asked,))}
            whose = [(name[1], device) for name, (_, ordered, device) in known.items() if ordered]
            seqs = [seq for seq, *_ in known.values()]
            held = hold(cursor, hold_devices(cursor, whose, seqs), days)
            there = set(cursor.execute(_SAID_BEFORE.format(near), (to_json(sorted(held)),)))
            new: list[tuple[Any, ...]] = []
            updates: dict[int, tuple[Any, ...]] = {}
            accepted: dict[int, str] = {}
            said: Counter[int] = Counter()
            ended: list[tuple[str, str]] = []
            for each in attempts:
                seq, ordered, device = known.get((each.webhook_id, each.endpoint), _UNKNOWN)
                if seq not in held:
                    log.info("attempt of a delivery that has gone", endpoint=each.endpoint)
                    continue
                if (seq, each.started_ms, each.attempt) in there:
                    continue
                there.add((seq, each.started_ms, each.attempt))
                new.append(_columns(seq, each))
                said[seq] += each.state == DELIVERED
                before, tried = held[seq]
                after = _after(before, each.state)
                if after is None:
                    continue
                changes[f"deliveries_{before}"] -= 1
                changes[f"deliveries_{after}"] += 1
                if after == DELIVERED and (decision := decision_of(each.webhook_id)):
                    accepted[seq] = decision
                if ordered and after != PENDING:
                    ended.append((each.endpoint, device))
                held[seq] = Held(after, tried + 1)
                finished_ms = None if after == PENDING else each.started_ms + each.duration_ms
                updates[seq] = (
                    after, tried + 1, each.next_attempt_ms, each.status, finished_ms, seq,
                )  # fmt: skip
            changes["attempts"] += len(new)
            cursor.executemany(_INSERT_ATTEMPT, new)
            cursor.executemany(_UPDATE.format(near), list(updates.values()))
            waiting.end(cursor, [seq for seq, row in updates.items() if row[0] != PENDING])
            cursor.executemany(
                _RETRY,
                [(row[1], row[2], seq) for seq, row in updates.items() if row[0] == PENDING],
            )
            ready = release(cursor, ended)
            if accepted:
                _count_first(cursor, {seq: (accepted[seq], said[seq]) for seq in accepted})
            count(cursor, changes)
            return ready

    def outbox_size(self) -> tuple[int, int | None]:
        """Return how many deliveries wait, and when the oldest of them was made (or None)."""
        with self._database.read() as connection:
            cursor = cursor_of(connection)
            (pending,) = cursor.execute(
                "SELECT value FROM counter WHERE name = 'deliveries_pending'"
            ).fetchone()
            (oldest_ms,) = cursor.execute(
                "SELECT min(created_ms) FROM waiting INDEXED BY waiting_oldest"
            ).fetchone()
        return pending, oldest_ms

    def requeue(self, webhook_id: str, endpoint: str | None, *, now_ms: int) -> int:
        """Send a delivery again, delivered or not, with a fresh count of attempts.

        Its expiry is lifted, for whoever asks for a replay wants it sent; the attempts made so far
        stay in the history. The bytes are the same, so receivers recognise the repetition. An
        ordered one comes before all later ones of its device that still wait.

        Parameters
        ----------
        webhook_id
            The event.
        endpoint
            To this endpoint only; None means all that it went to.
        now_ms
            It is due at once.

        Returns
        -------
        int
            How many deliveries wait again; 0 when there is none of this id.
        """
        days = [day_of(webhook_id)]
        with self._database.write(alone=False) as connection:
            cursor = cursor_of(connection)
            found = cursor.execute(
                _OF_EVENT.format(within(days)), (webhook_id, endpoint, endpoint)
            ).fetchall()
            held = hold(cursor, (seq for (seq,) in found), days)
            waiting.put_again(cursor, list(held), days, now_ms=now_ms, for_good=True)
            changes = Counter({"deliveries_pending": len(held)})
            changes.subtract(f"deliveries_{each.state}" for each in held.values())
            count(cursor, changes)
        return len(held)


def _count_first(cursor: Any, accepted: Mapping[int, tuple[str, int]]) -> None:
    """Count the offers that were accepted for the first time just now.

    `accepted` tells of each delivery whose decision it was, and how many attempts just said so.
    """
    asked = to_json([(decision, seq, said) for seq, (decision, said) in accepted.items()])
    days = {day_of(f"offer_{decision}") for decision, _ in accepted.values()}
    statement = _FIRST_ACCEPTED.format(decided_within(days), within(days))
    count_delivered(cursor, sorted(cursor.execute(statement, (asked,)).fetchall()))


def abandon(cursor: Any, endpoint: str, *, now_ms: int) -> None:
    """Give up what waits for an endpoint that is deleted; it can be replayed later.

    Inside the transaction that deletes the endpoint, however much it is: about 6 µs a delivery.
    """
    whose = "SELECT seq, event_day FROM waiting WHERE endpoint = ?"
    found = cursor.execute(whose, (endpoint,)).fetchall()
    days = {day for _, day in found}
    held = hold(cursor, (seq for seq, _ in found), days)
    ended = [seq for seq, each in held.items() if each.state == PENDING]
    cursor.executemany(_GIVE_UP.format(within(days)), [(now_ms, seq) for seq in ended])
    waiting.end(cursor, ended)
    count(cursor, Counter({"deliveries_pending": -len(ended), "deliveries_failed": len(ended)}))


def _claim(cursor: Any, endpoint: str, most: int, now_ms: int) -> list[tuple[Any, ...]]:
    """Return what is due for an endpoint, at most `most`, held; park what has to wait."""
    at_once = most
    while True:
        looked = cursor.execute(_OLDEST_DUE, (endpoint, now_ms, at_once)).fetchall()
        rows = [row for row in looked if not row[_BEHIND]][:most]
        behind = [row[0] for row in looked if row[_BEHIND]]
        park(cursor, behind, now_ms=now_ms)
        if not behind or len(looked) < at_once or len(rows) == most:
            return rows
        at_once = most + _LOOK_FURTHER  # those that are free come up again


def decision_of(webhook_id: str) -> str:
    """Return the id of the decision that an event tells of; empty for other events."""
    kind, _, decision = webhook_id.partition("_")
    return decision if kind == "offer" else ""


def _after(before: str, said: str) -> str | None:
    """Return the state after an attempt; None when it changes nothing."""
    if before == PENDING:
        return said
    return DELIVERED if said == DELIVERED and before != DELIVERED else None


def _columns(seq: int, each: Attempt) -> tuple[Any, ...]:
    return (
        seq,
        each.started_ms,
        each.attempt,
        each.duration_ms,
        each.state,
        each.next_attempt_ms,
        each.status,
        each.error,
        each.answer,
        day_of(each.webhook_id),
    )
