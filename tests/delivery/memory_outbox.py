"""An outbox in memory that keeps the store's promises: leases, limits, attempts, no lost row."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from geotarget.errors import StoreError
from geotarget.model import Attempt, Claimed, Delivery

DEADLINE_S = 60.0


@dataclass
class Row:
    """One delivery as the store would keep it."""

    delivery: Delivery
    state: str = "pending"
    next_attempt_ms: int = 0
    attempts: list[Attempt] = field(default_factory=list)


class MemoryOutbox:
    """Deliveries by (webhook id, endpoint).

    `fail` holds errors that the next calls raise, by name of the call, before they do anything.
    """

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Row] = {}
        self.claims: list[Mapping[str, int]] = []
        self.marks = 0
        self.fail: dict[str, list[Exception]] = {"claim": [], "mark": [], "note_failing": []}
        self.failing: list[tuple[str, int, int | None]] = []
        self._changed = threading.Condition()

    def add(self, *deliveries: Delivery) -> None:
        """Insert deliveries, due at once."""
        with self._changed:
            for delivery in deliveries:
                self.rows.setdefault((delivery.webhook_id, delivery.endpoint), Row(delivery))
            self._changed.notify_all()

    def claim(self, *, now_ms: int, limits: Mapping[str, int], lease_ms: int) -> list[Claimed]:
        """Lease due rows, oldest first."""
        with self._changed:
            self._raise("claim")
            self.claims.append(dict(limits))
            left = dict(limits)
            claimed = []
            for row in sorted(self.rows.values(), key=lambda row: row.next_attempt_ms):
                delivery = row.delivery
                if row.state != "pending" or row.next_attempt_ms > now_ms:
                    continue
                if left.get(delivery.endpoint, 0) <= 0:
                    continue
                left[delivery.endpoint] -= 1
                row.next_attempt_ms = now_ms + lease_ms
                claimed.append(
                    Claimed(
                        webhook_id=delivery.webhook_id,
                        endpoint=delivery.endpoint,
                        type=delivery.type,
                        body=delivery.body,
                        attempts=len(row.attempts),
                        expires_ms=delivery.expires_ms,
                    )
                )
            self._changed.notify_all()
            return claimed

    def bring_forward(self, *, now_ms: int, by_ms: int) -> int:
        """Let what waits for a later time go sooner."""
        with self._changed:
            waiting = [
                row
                for row in self.rows.values()
                if row.state == "pending" and row.next_attempt_ms > now_ms
            ]
            for row in waiting:
                row.next_attempt_ms = max(now_ms, row.next_attempt_ms - by_ms)
            return len(waiting)

    def mark(self, attempts: Sequence[Attempt]) -> Collection[str]:
        """Record attempts; the same attempt again changes nothing."""
        with self._changed:
            self._raise("mark")
            self.marks += 1
            for attempt in attempts:
                row = self.rows[attempt.webhook_id, attempt.endpoint]
                if attempt.attempt <= len(row.attempts):
                    continue
                assert row.state == "pending", "an attempt after the end"
                row.attempts.append(attempt)
                row.state = attempt.state
                row.next_attempt_ms = attempt.next_attempt_ms
            self._changed.notify_all()
            return ()

    def note_failing(self, id: str, revision: int, since_ms: int | None) -> None:
        """Record what was written down of an endpoint."""
        with self._changed:
            self._raise("note_failing")
            self.failing.append((id, revision, since_ms))
            self._changed.notify_all()

    def wait(self, reached: Callable[[], bool]) -> None:
        """Block until something is true of the outbox; fail after twenty seconds."""
        with self._changed:
            assert self._changed.wait_for(reached, DEADLINE_S), self.states()

    def states(self) -> dict[str, int]:
        """Count rows by state."""
        counts: dict[str, int] = {}
        for row in self.rows.values():
            counts[row.state] = counts.get(row.state, 0) + 1
        return counts

    def _raise(self, call: str) -> None:
        if self.fail[call]:
            raise self.fail[call].pop(0)


def unavailable(times: int) -> list[Exception]:
    """Return errors as a locked database raises them."""
    return [StoreError("database is locked") for _ in range(times)]
