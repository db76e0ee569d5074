"""One endpoint's traffic: how many posts it may have now, and when to leave it alone.

An endpoint that is down or asks for less is met with pauses and single probes, so that it neither
takes slots from others nor is met by a flood when it comes back. Kept in memory only, a restart
asks anew, but for one thing: since when every attempt has failed, for that is counted in days.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from geotarget.delivery.schedule import Answer, retry_after_s
from geotarget.model import Endpoint

WRITE_AFTER_MS = 60_000
"""A failure that has lasted for so long is written down; a restart forgets a shorter one."""

PROBE_AFTER_FAILURES = 5
MAX_PAUSE_S = 30.0
_TOO_MANY, _SERVER_ERROR = 429, 500


@dataclass(slots=True)
class Lane:
    """What the sender remembers of an endpoint.

    Parameters
    ----------
    in_flight
        Posts under way.
    failures, pauses
        In a row, since the last success.
    closed_until
        No post before this, on the event loop's clock, seconds.
    revision
        Of the endpoint that the following is true of; a change by its owner starts afresh.
    failing_since_ms, written_ms
        Since when every attempt has failed, and what is written down of that; None: the last one
        arrived.
    failed_attempts
        How many have failed since then, or since this process began or the endpoint changed.
    slots
        Most posts at one time.
    rate_per_s, tokens, refilled
        Most posts in a second (None: no bound), how many may go now, and when that was counted.
    dead_revision
        The revision that is given up: it answered 410, or failed for too long.
    """

    in_flight: int = 0
    failures: int = 0
    pauses: int = 0
    closed_until: float = 0.0
    revision: int | None = None
    failing_since_ms: int | None = None
    written_ms: int | None = None
    failed_attempts: int = 0
    slots: int = 0
    rate_per_s: float | None = None
    tokens: float = math.inf
    refilled: float = 0.0
    dead_revision: int | None = None

    def follow(self, endpoint: Endpoint, most: int) -> None:
        """Take over what is known of an endpoint that is new here, or was changed.

        `most` is how many posts at one time the operator allows.
        """
        if self.revision != endpoint.revision:
            self.revision = endpoint.revision
            self.failing_since_ms = self.written_ms = endpoint.failing_since_ms
            self.failed_attempts = 0
            self.slots = min(endpoint.concurrency or most, most)
            self.rate_per_s = endpoint.rate_per_s
            self.tokens = (
                self._bucket if self.rate_per_s is None else min(self.tokens, self._bucket)
            )

    @property
    def _bucket(self) -> float:
        """How many may go at once after a pause: those of a second, and one at least."""
        return math.inf if self.rate_per_s is None else max(1.0, self.rate_per_s)

    def take(self) -> None:
        """Count one post as under way."""
        self.in_flight += 1
        self.tokens -= 1

    def note(self, *, delivered: bool, now_ms: int) -> bool:
        """Note whether an attempt arrived; return whether that should be written down."""
        if delivered:
            self.failing_since_ms, self.failed_attempts = None, 0
            return self.written_ms is not None
        self.failed_attempts += 1
        if self.failing_since_ms is None:
            self.failing_since_ms = now_ms
        lasts = now_ms - self.failing_since_ms >= WRITE_AFTER_MS
        return lasts and self.written_ms != self.failing_since_ms

    def free(self, now: float, per_endpoint: int) -> int:
        """Return how many deliveries to claim: a refill when half empty, for bulk is cheap."""
        allowed = self._allowed(now)
        if now < self.closed_until or allowed < 1:
            return 0
        if self.failures >= PROBE_AFTER_FAILURES:
            return 0 if self.in_flight else 1
        if self.in_flight > per_endpoint // 2:
            return 0
        return int(min(per_endpoint - self.in_flight, allowed))

    def _allowed(self, now: float) -> float:
        """Fill the bucket up and return how many posts may go now."""
        if self.rate_per_s is not None:
            gained = (now - self.refilled) * self.rate_per_s
            self.tokens = min(self._bucket, self.tokens + gained)
            self.refilled = now
        return self.tokens

    def learn(self, answer: Answer, *, now: float, now_ms: int, probe_s: float) -> None:
        """Slow down when the endpoint is down or asks for it; any other answer clears it.

        Parameters
        ----------
        answer
            What a post came to.
        now, now_ms
            The event loop's clock in seconds, and the time of day for ``Retry-After``.
        probe_s
            The first pause; it doubles up to 30 s.
        """
        status = answer.status
        if status is not None and status < _SERVER_ERROR and status != _TOO_MANY:
            self.failures, self.pauses, self.closed_until = 0, 0, 0.0
            return
        self.failures += 1
        pause_s = 0.0
        # posts that left together fail together: that is one reason to pause, not many
        if self.failures >= PROBE_AFTER_FAILURES and now >= self.closed_until:
            pause_s = min(probe_s * doubled(self.pauses), MAX_PAUSE_S)
            self.pauses += 1
        asked_s = retry_after_s(answer.retry_after, now_ms=now_ms)
        if asked_s is not None:
            pause_s = max(pause_s, min(asked_s, MAX_PAUSE_S))
        self.closed_until = max(self.closed_until, now + pause_s)


def doubled(times: int) -> int:
    """Return 2 ** times, which stops growing long after every bound: outages may last for days."""
    return 1 << min(times, 16)
