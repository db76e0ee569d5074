"""A demo's first start: the day before it, run through the real pipeline into the real store.

What a page of results shows has to come from somewhere, and nothing here is written by hand: the
fleet's fixes go through the engine, the campaigns, the till and the outbox on a clock that moves
with them. Simulated are the people, as they are live, the network and the receiver: nothing of
that day is ever posted, attempts end as `answer_at` says, in the order and with the pauses of the
sender's own schedule (but without its probing: ten minutes are over soon).

Campaigns answer at the end of a batch, which spans some minutes where few people are out: that
keeps a day at 300 batches and about 4 s (5,500 entries, 1,600 offers, 10 MB).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from random import Random

import numpy as np

from geotarget.backtest.feeding import RecordedClock
from geotarget.catalog import Catalog
from geotarget.delivery.schedule import Answer, verdict
from geotarget.demo import ENDPOINT, Fleet, Takings, Till, answer_at, fixes_between, restart_in
from geotarget.demo.day import SEED
from geotarget.engine.footfall import Collector
from geotarget.engine.rules import Rules
from geotarget.model import Attempt, IntArray, PingBatch, Policy
from geotarget.model.keys import ping_keys
from geotarget.pipeline import Pipeline
from geotarget.runtime.desk import BY, StoreOffice
from geotarget.store import Place, Store
from geotarget.store.footfall import SALT

ACTION = "history.simulate"
"""How the audit log calls it."""

MOST_PINGS, MOST_SPAN_MS = 500, 300_000
"""Of one batch: small enough that offers come within minutes, large enough to be few."""

AT_ONCE = 1_000
LEASE_MS = 60_000


def is_new(store: Store) -> bool:
    """Whether nothing has happened in a database yet, and nobody has put anything into it."""
    return store.catalog_revision() == 0 and store.feed_end() == Place(0, 0)


def live_through(
    store: Store,
    catalog: Catalog,
    fleet: Fleet,
    clock: RecordedClock,
    *,
    to_ms: int,
    rules: Rules,
    policy: Policy,
    footfall: bool,
    ended: Callable[[], bool] = lambda: False,
    on_progress: Callable[[float], object] = lambda _: None,
) -> Takings:
    """Let the fleet walk from the clock's time until an instant, and campaigns and till with it.

    Parameters
    ----------
    store, catalog
        Where it happens; zones, campaigns and the demo's endpoint are installed.
    clock
        What `store` takes for the time of day; stands at the beginning.
    to_ms
        The end, Unix milliseconds.
    rules, policy, footfall
        As those of the pipeline that takes over.
    ended
        Asked after each batch: whether to stop early.
    on_progress
        Called with the share that is done.

    Returns
    -------
    Takings
        What the till has reported.
    """
    from_ms = clock.now_ms
    fixes = fixes_between(fleet, from_ms, to_ms)
    keys = ping_keys(fixes.ts, fixes.lng, fixes.lat)
    pipeline = Pipeline(
        catalog=catalog,
        store=store,
        rules=rules,
        policy=policy,
        now_ms=clock,
        behind_s=0.0,
        footfall=Collector(store.secret(SALT)) if footfall else None,
    )
    till = Till(
        StoreOffice(store, clock), now=lambda: datetime.fromtimestamp(clock.now_ms / 1000, UTC)
    )
    posts = _Posts(store, clock, restart_in(from_ms, to_ms))
    for start, end in _parts(fixes.ts):
        upto = slice(start, end)
        posts.send_until(int(fixes.ts[end - 1]))
        clock.now_ms = int(fixes.ts[end - 1])
        pipeline.process(
            PingBatch(
                tuple(fleet.devices[walker] for walker in fixes.walker[upto].tolist()),
                fixes.ts[upto],
                fixes.lng[upto],
                fixes.lat[upto],
                fixes.acc[upto],
                keys[upto],
                fixes.ts[upto],
            )
        )
        posts.send_now()
        till.look()
        on_progress((clock.now_ms - from_ms) / (to_ms - from_ms))
        if ended():
            break
    pipeline.finish()
    detail = {"from_ms": from_ms, "to_ms": to_ms, "why": "so that every page shows something"}
    store.add_audit(BY, ACTION, "", detail)
    return till.takings


def _parts(ts: IntArray) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of parts, neither too large nor too long, cut where the time changes."""
    start = 0
    while start < len(ts):
        end = min(start + MOST_PINGS, int(np.searchsorted(ts, ts[start] + MOST_SPAN_MS)))
        end = int(np.searchsorted(ts, ts[end - 1], side="right"))
        yield start, end
        start = end


class _Posts:
    """What sender and receiver of that day did, by the sender's own schedule and outbox."""

    def __init__(self, store: Store, clock: RecordedClock, restart: tuple[int, int]) -> None:
        self._store = store
        self._clock = clock
        self._restart = restart
        self._due_ms: list[int] = []
        self._random = Random(SEED)  # noqa: S311 - jitter is no secret

    def send_until(self, until_ms: int) -> None:
        """Send again what falls due before an instant, each when it does."""
        while self._due_ms and self._due_ms[0] < until_ms:
            self._clock.now_ms = max(self._clock.now_ms, heapq.heappop(self._due_ms))
            self.send_now()

    def send_now(self) -> None:
        """Send what is due."""
        now_ms = self._clock.now_ms
        found = self._store.claim(now_ms=now_ms, limits={ENDPOINT: AT_ONCE}, lease_ms=LEASE_MS)
        attempts = []
        for each in found:
            status, took_ms = answer_at(each.webhook_id, now_ms, self._restart)
            judged = verdict(
                Answer(status),
                attempt=each.attempts + 1,
                now_ms=now_ms + took_ms,
                expires_ms=each.expires_ms,
                random=self._random,
            )
            if judged.state == "pending":
                heapq.heappush(self._due_ms, judged.next_attempt_ms)
            attempts.append(
                Attempt(
                    webhook_id=each.webhook_id,
                    endpoint=each.endpoint,
                    attempt=each.attempts + 1,
                    started_ms=now_ms,
                    duration_ms=took_ms,
                    state=judged.state,
                    next_attempt_ms=judged.next_attempt_ms,
                    status=status,
                )
            )
        self._store.mark(attempts)
