"""Since when an endpoint has failed, and when it is given up.

An endpoint is given up when it answers 410, or when every attempt has failed for a long time (five
days by default) and there were some attempts in it. The time alone would be unfair to one that
hears of something once a week: two failures with nothing in between say little. Since when it
fails is written down, so that it lasts through restarts; how often is counted here, and a restart
counts anew, which can only put the end off. Costs a comparison an attempt, and a write when a
failure has lasted for a minute and when it ends.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable
from typing import ParamSpec, Protocol, TypeVar

import structlog

from geotarget.delivery.lane import Lane
from geotarget.errors import GeotargetError, StoreError
from geotarget.model import Endpoint

P = ParamSpec("P")
T = TypeVar("T")

DISABLE_AFTER_S = 5 * 86_400.0
DISABLE_AFTER_FAILURES = 10

log = structlog.get_logger(__name__)


class InThread(Protocol):
    """Runs a call that may block in another thread."""

    def __call__(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        """Run it and return what it returns."""
        ...


class GivingUp:
    """Keeps account of failures in the lanes of a sender.

    Parameters
    ----------
    in_thread
        Runs the two calls below.
    note_failing
        Writes down since when every attempt to an endpoint has failed; None: the last one arrived.
    on_dead
        Told of an endpoint that is given up: the endpoint, why, and since when it has failed.
    now_ms
        The clock, Unix milliseconds.
    after_s, after_failures
        How long every attempt must have failed, and how many of them there must have been.
    """

    def __init__(
        self,
        in_thread: InThread,
        *,
        note_failing: Callable[[str, int, int | None], None],
        on_dead: Callable[[Endpoint, str, int | None], None] | None,
        now_ms: Callable[[], int],
        after_s: float,
        after_failures: int,
    ) -> None:
        self._in_thread = in_thread
        self._note_failing = note_failing
        self._on_dead = on_dead
        self._now_ms = now_ms
        self._after_ms = round(after_s * 1000)
        self._after_failures = after_failures

    async def note(self, endpoint: Endpoint, lane: Lane, *, delivered: bool, gone: bool) -> None:
        """Take account of an attempt, and give up what answered 410 or fails for too long."""
        now_ms, before = self._now_ms(), lane.written_ms
        write = lane.note(delivered=delivered, now_ms=now_ms)
        since_ms = lane.failing_since_ms
        if gone:
            await self._give_up(endpoint, lane, "the receiver answered 410 Gone")
        elif (
            since_ms is not None
            and now_ms - since_ms >= self._after_ms
            and lane.failed_attempts >= self._after_failures
        ):
            moment = dt.datetime.fromtimestamp(since_ms / 1000, dt.UTC)
            since = f"{moment:%Y-%m-%dT%H:%M:%SZ}"
            await self._give_up(endpoint, lane, f"every attempt has failed since {since}")
        elif write:
            lane.written_ms = since_ms
            try:
                await self._in_thread(self._note_failing, endpoint.id, endpoint.revision, since_ms)
            except StoreError as error:
                lane.written_ms = before  # the next attempt tries again
                log.warning("failing_not_noted", endpoint=endpoint.id, error=str(error))

    async def _give_up(self, endpoint: Endpoint, lane: Lane, reason: str) -> None:
        if lane.dead_revision == endpoint.revision:
            return
        lane.dead_revision = endpoint.revision
        log.warning("endpoint_given_up", endpoint=endpoint.id, reason=reason)
        if self._on_dead is None:
            return
        try:
            await self._in_thread(self._on_dead, endpoint, reason, lane.failing_since_ms)
        except GeotargetError as error:
            # It stays closed here; the next process that meets its failure tries again.
            log.error("endpoint_not_disabled", endpoint=endpoint.id, error=str(error))  # noqa: TRY400
