"""Sending many deliveries again: after an outage, or when a receiver lost what it had.

The deliveries are walked in the order in which they were made, in transactions of 500 (9 ms each),
so that ingest and senders get their turn in between, however much there is. What waits already is
not touched: the same call again finds nothing left to do, and one that broke off goes on where it
was. Bytes and webhook ids stay as they are, so receivers recognise what they know.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

from geotarget.errors import InvalidInput, Problem
from geotarget.store.appending import count
from geotarget.store.database import Database, cursor_of
from geotarget.store.documents import to_json
from geotarget.store.holding import hold
from geotarget.store.ordering import PARKED_MS
from geotarget.store.outbox import DELIVERED, FAILED, PENDING
from geotarget.store.pages import read_cursor, write_cursor
from geotarget.store.stretches import walk
from geotarget.store.tables import STRETCH_BITS
from geotarget.store.waiting import put_again

EXPIRED = "expired"
STATES = (PENDING, DELIVERED, FAILED, EXPIRED)
MOST_REPLAYED = 100_000
"""Most deliveries of one call."""

AT_ONCE = 500
"""Deliveries of one transaction."""

UNDER_WAY_MS = 60_000
"""A pending delivery that is due sooner may be leased, that is, in a sender's hands."""

_LATEST = 2**63 - 1
_HAS_TIME = """
(state <> 'pending' OR EXISTS (SELECT 1 FROM waiting WHERE waiting.seq = delivery.seq
  AND waiting.next_attempt_ms > ? AND waiting.next_attempt_ms < ?))
"""
"""It does not wait, or for a later attempt; what waits for another goes when that has gone."""


@dataclass(frozen=True, slots=True)
class Replay:
    """Which deliveries are sent again.

    Parameters
    ----------
    from_ms, to_ms
        Those made from the one on and before the other, Unix milliseconds.
    states
        Those in one of these. ``pending`` stands for those that wait for a later attempt: they are
        tried at once. Offers that have expired are left out, unless ``expired`` is among these:
        then the expiry of all that are taken is lifted.
    endpoint, campaign
        Only of these. Deliveries to endpoints that were deleted are always left out: nobody would
        take them.
    limit
        Most deliveries, the oldest first, 1 to `MOST_REPLAYED`.
    cursor
        `Replayed.next` of the call before.
    """

    from_ms: int
    to_ms: int | None = None
    states: Collection[str] = (FAILED,)
    endpoint: str | None = None
    campaign: str | None = None
    limit: int = 10_000
    cursor: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= MOST_REPLAYED:
            reason = f"must be within 1 and {MOST_REPLAYED}"
            raise InvalidInput(Problem("limit", str(self.limit), reason))
        if not self.states or not set(self.states) <= set(STATES):
            reason = f"must be some of {', '.join(STATES)}"
            raise InvalidInput(Problem("state", ", ".join(sorted(self.states)), reason))


@dataclass(frozen=True, slots=True)
class Replayed:
    """How many deliveries wait again, and the cursor behind them; None when that was all."""

    requeued: int
    next: str | None


class Replays:
    """Puts what went out, or did not, back into the outbox.

    Parameters
    ----------
    database
        Where it is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def replay(self, what: Replay, *, now_ms: int) -> Replayed:
        """Send deliveries again; each is due at once, with a fresh count of attempts.

        Parameters
        ----------
        what
            Which.
        now_ms
            When they are due, and what expiry goes by, Unix milliseconds.

        Raises
        ------
        InvalidInput
            The cursor is of no such walk.
        StoreError
            The database can't be read or written. What was put back before stays; the same call
            goes on from there.
        """
        requeued = walked = 0
        for found in self._walk(what, now_ms):
            with self._database.write(alone=False) as connection:
                cursor = cursor_of(connection)
                days = {day for _, _, day in found}
                held = hold(cursor, (seq for seq, _, _ in found), days)
                # a sender may have had its say since they were found
                again = [
                    (seq, state)
                    for seq, state, _ in found
                    if seq in held and held[seq].state == state
                ]
                for_good = EXPIRED in what.states
                put_again(cursor, [seq for seq, _ in again], days, now_ms=now_ms, for_good=for_good)
                changes = Counter({"deliveries_pending": len(again)})
                changes.subtract(f"deliveries_{state}" for _, state in again)
                count(cursor, changes)
            requeued += len(again)
            walked += len(found)
            if walked >= what.limit:
                behind = write_cursor("replay", found[-1][0])
                more = self.replayable(replace(what, limit=1, cursor=behind), now_ms=now_ms)
                return Replayed(requeued, behind if more else None)
        return Replayed(requeued, None)

    def replayable(self, what: Replay, *, now_ms: int) -> int:
        """Return how many deliveries `replay` would send again, at most `Replay.limit`."""
        return sum(len(found) for found in self._walk(what, now_ms))

    def _walk(self, what: Replay, now_ms: int) -> Iterator[list[tuple[int, str, int]]]:
        """Yield numbers, states and days of what is wanted, oldest first, `AT_ONCE` at a time."""
        after = -1 if what.cursor is None else read_cursor(what.cursor, "replay", int)
        left = what.limit
        with self._database.read() as connection:
            # what is made while this runs, replays included, is not for this call
            (end,) = (
                cursor_of(connection)
                .execute("SELECT coalesce(max(seq), -1) FROM delivery")
                .fetchone()
            )
        while left > 0:
            most = min(left, AT_ONCE)
            statement, values = _statement(what, after, end, now_ms, most)
            with self._database.read() as connection:
                found = cursor_of(connection).execute(statement, values).fetchall()
            if not found:
                return
            after = found[-1][0]
            left -= len(found)
            yield found
            if len(found) < most:
                return


def _statement(
    what: Replay, after: int, end: int, now_ms: int, most: int
) -> tuple[str, tuple[Any, ...]]:
    """Return the query for the next deliveries of a walk, and its values.

    From the oldest stretch that can hold the instants to the newest, as in `history`; in each the
    index of the endpoint or the campaign, or that of what failed, or the rows themselves.
    """
    terms: list[str] = []
    until = _LATEST if what.to_ms is None else what.to_ms
    values: list[Any] = [max(after, 0) >> STRETCH_BITS, what.from_ms, until]
    named = {
        column: value
        for column, value in (("endpoint", what.endpoint), ("campaign", what.campaign))
        if value is not None
    }
    if named:
        index = f"INDEXED BY delivery_{next(iter(named))}"
        terms.append("delivery.stretch = span.stretch")
        # not by the index of the numbers too: PostgreSQL would go through all that follow
        terms.append("seq + 0 > ? AND seq + 0 <= ?")
    else:
        failed_only = set(what.states) == {FAILED}
        index = "INDEXED BY delivery_failed" if failed_only else "NOT INDEXED"
        terms.append(
            f"seq >= span.stretch << {STRETCH_BITS} AND seq < (span.stretch + 1) << {STRETCH_BITS}"
        )
        if failed_only:  # a partial index serves only who names its condition literally
            terms.append("state = 'failed'")
        terms.append("seq > ? AND seq <= ?")
    terms.append("created_ms >= ? AND created_ms < ?")
    values += [after, end, what.from_ms, until]
    terms += [f"{column} = ?" for column in named]
    values += named.values()
    terms.append("state IN (SELECT value FROM json_each(?))")
    values.append(to_json(list(what.states)))
    terms.append(_HAS_TIME)
    values += [now_ms + UNDER_WAY_MS, PARKED_MS]
    if EXPIRED not in what.states:
        terms.append("(expires_ms IS NULL OR expires_ms > ?)")
        values.append(now_ms)
    terms.append("EXISTS (SELECT 1 FROM endpoint WHERE endpoint.id = delivery.endpoint)")
    statement = walk(
        "delivery",
        "seq, state, event_day",
        index=index,
        spans="list = 'delivery' AND span.stretch >= ? AND max_ms >= ? AND min_ms < ?",
        rows=" AND ".join(terms),
        newest_first=False,
        most=most,
    )
    return statement, tuple(values)
