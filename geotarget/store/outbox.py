"""The outbox: what waits to be posted, who holds it, and what came of it.

A delivery is leased by pushing its `next_attempt_ms` forward. Nothing else marks it as taken, so a
sender that is killed needs no clean-up: its lease runs out and the delivery is due again. Claims
look without the write lock first, because a sender asks far more often than there is something.

Attempts are written in bulk, and the same attempt twice has the effect of one. A delivery that was
delivered stays delivered, whatever a slower sender says of it later.

Those of one device wait for each other where their endpoint wants that (`ordering`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import structlog

from geotarget.model import Attempt, Claimed
from geotarget.store.appending import count
from geotarget.store.counting import count_delivered
from geotarget.store.database import Database, cursor_of
from geotarget.store.documents import to_json
from geotarget.store.ordering import IS_BEHIND, PARKED_MS, release

log = structlog.get_logger(__name__)

PENDING, DELIVERED, FAILED = "pending", "delivered", "failed"

_DUE = """
SELECT asked.value FROM json_each(?) AS asked WHERE EXISTS (
  SELECT 1 FROM delivery INDEXED BY delivery_due
  WHERE endpoint = asked.value AND state = 'pending' AND next_attempt_ms <= ?)
"""
_OLDEST_DUE = f"""
SELECT seq, next_attempt_ms, webhook_id, endpoint, type,
  CASE WHEN {IS_BEHIND} THEN NULL
  ELSE (SELECT body FROM delivery_body WHERE delivery_body.delivery = waiting.seq) END,
  attempts, expires_ms
FROM delivery AS waiting INDEXED BY delivery_due
WHERE endpoint = ? AND state = 'pending' AND next_attempt_ms <= ?
ORDER BY next_attempt_ms, seq
"""  # noqa: S608 - our own names
_BODY = 5
"""Place of the body in such a row; None: it has to wait for an earlier one."""

_FIND = """
SELECT webhook_id, endpoint, seq, state, attempts, ordered, device
FROM json_each(?) AS asked CROSS JOIN delivery
WHERE webhook_id = json_extract(asked.value, '$[0]')
  AND endpoint = json_extract(asked.value, '$[1]')
"""
_INSERT_ATTEMPT = """
INSERT INTO attempt (delivery, started_ms, attempt, duration_ms, state, next_attempt_ms, status,
  error, answer)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (delivery, started_ms, attempt) DO NOTHING
"""
_FIRST_ACCEPTED = """
SELECT decision.campaign, decision.day, decision.zone, coalesce(decision.variant, '')
FROM json_each(?) AS asked CROSS JOIN decision
WHERE decision.id = json_extract(asked.value, '$[0]') AND (
  SELECT count(*) FROM attempt
  WHERE delivery = json_extract(asked.value, '$[1]') AND state = 'delivered'
) = json_extract(asked.value, '$[2]')
"""
_UPDATE = """
UPDATE delivery SET state = ?, attempts = ?, next_attempt_ms = ?, status = ?, finished_ms = ?
WHERE seq = ?
"""


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
        with self._database.write() as connection:
            cursor = cursor_of(connection)
            rows: list[tuple[Any, ...]] = []
            behind: list[int] = []
            for (endpoint,) in due:
                most = len(rows) + limits[endpoint]
                for row in cursor.execute(_OLDEST_DUE, (endpoint, now_ms)):
                    if row[_BODY] is None:
                        behind.append(row[0])
                        continue
                    rows.append(row)
                    if len(rows) == most:
                        break
            cursor.executemany(
                "UPDATE delivery SET next_attempt_ms = ? WHERE seq = ?",
                [(now_ms + lease_ms, row[0]) for row in rows]
                + [(PARKED_MS, seq) for seq in behind],
            )
        rows.sort(key=lambda row: (row[1], row[0]))
        return [Claimed(*row[2:]) for row in rows]

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
        with self._database.write() as connection:
            cursor = cursor_of(connection)
            cursor.execute(
                "UPDATE delivery SET next_attempt_ms = max(?, next_attempt_ms - ?) "
                "WHERE state = 'pending' AND next_attempt_ms > ? AND next_attempt_ms < ?",
                (now_ms, by_ms, now_ms, PARKED_MS),
            )
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
        with self._database.write() as connection:
            cursor = cursor_of(connection)
            asked = to_json([(each.webhook_id, each.endpoint) for each in attempts])
            known = {row[:2]: row[2:] for row in cursor.execute(_FIND, (asked,))}
            updates: dict[int, tuple[Any, ...]] = {}
            accepted: dict[int, str] = {}
            said: Counter[int] = Counter()
            ended: list[tuple[str, str]] = []
            for each in attempts:
                found = known.get((each.webhook_id, each.endpoint))
                if found is None:
                    log.info("attempt of a delivery that has gone", endpoint=each.endpoint)
                    continue
                seq, before, tried, ordered, device = found
                cursor.execute(_INSERT_ATTEMPT, _columns(seq, each))
                if not cursor.rowcount:
                    continue
                changes["attempts"] += 1
                said[seq] += each.state == DELIVERED
                after = _after(before, each.state)
                if after is None:
                    continue
                changes[f"deliveries_{before}"] -= 1
                changes[f"deliveries_{after}"] += 1
                if after == DELIVERED and (decision := decision_of(each.webhook_id)):
                    accepted[seq] = decision
                if ordered and after != PENDING:
                    ended.append((each.endpoint, device))
                known[each.webhook_id, each.endpoint] = (seq, after, tried + 1, ordered, device)
                finished_ms = None if after == PENDING else each.started_ms + each.duration_ms
                updates[seq] = (
                    after, tried + 1, each.next_attempt_ms, each.status, finished_ms, seq,
                )  # fmt: skip
            cursor.executemany(_UPDATE, list(updates.values()))
            if accepted:
                asked = to_json([(decision, seq, said[seq]) for seq, decision in accepted.items()])
                count_delivered(cursor, cursor.execute(_FIRST_ACCEPTED, (asked,)).fetchall())
            count(cursor, changes)
            return release(cursor, ended)

    def outbox_size(self) -> tuple[int, int | None]:
        """Return how many deliveries wait, and when the oldest of them was made (or None)."""
        with self._database.read() as connection:
            cursor = cursor_of(connection)
            (pending,) = cursor.execute(
                "SELECT value FROM counter WHERE name = 'deliveries_pending'"
            ).fetchone()
            (oldest_ms,) = cursor.execute(
                "SELECT min(created_ms) FROM delivery INDEXED BY delivery_oldest "
                "WHERE state = 'pending'"
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
        with self._database.write() as connection:
            cursor = cursor_of(connection)
            found = cursor.execute(
                "SELECT seq, state FROM delivery "
                "WHERE webhook_id = ? AND (endpoint = ? OR ? IS NULL)",
                (webhook_id, endpoint, endpoint),
            ).fetchall()
            cursor.executemany(
                "UPDATE delivery SET state = 'pending', attempts = 0, next_attempt_ms = ?, "
                "expires_ms = NULL, finished_ms = NULL WHERE seq = ?",
                [(now_ms, seq) for seq, _ in found],
            )
            changes = Counter({"deliveries_pending": len(found)})
            changes.subtract(f"deliveries_{state}" for _, state in found)
            count(cursor, changes)
        return len(found)


def abandon(cursor: Any, endpoint: str, *, now_ms: int) -> None:
    """Give up what waits for an endpoint that is deleted; it can be replayed later.

    Inside the transaction that deletes the endpoint, however much it is: about 5 µs a delivery.
    """
    cursor.execute(
        "UPDATE delivery SET state = 'failed', finished_ms = ? "
        "WHERE endpoint = ? AND state = 'pending'",
        (now_ms, endpoint),
    )
    count(
        cursor,
        Counter({"deliveries_pending": -cursor.rowcount, "deliveries_failed": cursor.rowcount}),
    )


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
    )
