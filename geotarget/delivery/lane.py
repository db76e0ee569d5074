"""One endpoint's traffic: how many posts it may have now, and when to leave it alone.

An endpoint that is down or asks for less is met with pauses and single probes, so that it neither
takes slots from others nor is met by a flood when it comes back. Kept in memory only: a restart
asks anew.
"""

from __future__ import annotations

from dataclasses import dataclass

from geotarget.delivery.schedule import Answer, retry_after_s

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
    gone_revision
        The revision of the endpoint that answered 410; the next revision starts afresh.
    """

    in_flight: int = 0
    failures: int = 0
    pauses: int = 0
    closed_until: float = 0.0
    gone_revision: int | None = None

    def free(self, now: float, per_endpoint: int) -> int:
        """Return how many deliveries to claim: a refill when half empty, for bulk is cheap."""
        if now < self.closed_until:
            return 0
        if self.failures >= PROBE_AFTER_FAILURES:
            return 0 if self.in_flight else 1
        return per_endpoint - self.in_flight if self.in_flight <= per_endpoint // 2 else 0

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
