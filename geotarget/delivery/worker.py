"""The sender: takes due deliveries from the outbox, posts them, writes down what came of it.

One coroutine decides, so there is nothing to lock: it marks finished attempts in bulk, claims as
many deliveries as endpoints have free slots, and rests until something changes. Posts are tasks of
their own; calls of the outbox run in one thread, so neither waits for the other. Each endpoint has
its own slots, so one that hangs holds up nobody else, and one that keeps failing is only probed.

A claim is a lease: whoever dies with it loses it to the next claimer after a minute. Hence a
delivery arrives at least once, under the same webhook id and with the same bytes every time.

A delivery costs some 200 µs of CPU to a receiver nearby, most of them in the HTTP client.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from random import Random
from typing import ParamSpec, Protocol, TypeVar

import structlog

from geotarget import metrics
from geotarget.delivery import signature
from geotarget.delivery.egress import Transport
from geotarget.delivery.giving_up import DISABLE_AFTER_FAILURES, DISABLE_AFTER_S, GivingUp
from geotarget.delivery.lane import Lane, doubled
from geotarget.delivery.schedule import DELAYS_S, Answer, Outcome, Verdict, verdict
from geotarget.delivery.wall_clock import WallClock
from geotarget.errors import StoreError
from geotarget.headers import hide
from geotarget.model import Attempt, Claimed, Endpoint

P = ParamSpec("P")
T = TypeVar("T")

MARK_AT_MOST, MARK_WITHIN_S = 100, 0.01
SLOTS_WHEN_SCARCE = 2
STRAGGLING_S = 5.0
_MAX_BACK_OFF_S = 5.0

_attempts = {outcome: metrics.webhook_attempts.labels(outcome.value) for outcome in Outcome}
log = structlog.get_logger(__name__)


class Outbox(Protocol):
    """What the sender needs of the store. The calls may block; they run in one thread."""

    def claim(self, *, now_ms: int, limits: Mapping[str, int], lease_ms: int) -> list[Claimed]:
        """Lease at most ``limits[endpoint]`` due deliveries of each endpoint."""
        ...

    def bring_forward(self, *, now_ms: int, by_ms: int) -> int:
        """Let what waits for a later time go sooner: the time of day was set back."""
        ...

    def mark(self, attempts: Sequence[Attempt]) -> Collection[str]:
        """Write down attempts; return the endpoints for which something became due by it.

        The same attempt twice has the effect of one.
        """
        ...

    def note_failing(self, id: str, revision: int, since_ms: int | None) -> None:
        """Write down since when every attempt to an endpoint has failed; None: it arrived."""
        ...


class Sender:
    """Posts what is due until it is told to stop.

    Parameters
    ----------
    outbox
        Where deliveries come from and attempts go to.
    endpoints
        Returns the current endpoints by id; called often, must not block.
    transport
        Closed by the sender at the end.
    concurrency, endpoint_concurrency
        Posts at one time: over all, and to one endpoint.
    lease_s
        How long a claim holds; longer than a post can take.
    poll_s
        How often to look for deliveries that became due without a `wake`.
    drain_s
        How long posts may go on after the stop.
    probe_s
        Pause before an endpoint that failed five times in a row is tried again, with one post at
        a time; it doubles up to 30 s and ends with the first success.
    delays_s
        Seconds before each attempt; their number is the number of attempts. An endpoint may have
        its own.
    disable_after_s, disable_after_failures
        An endpoint is given up when every attempt has failed for so long, and so many of them.
    on_dead
        Called in the outbox's thread with the endpoint, the reason, and since when it has failed
        (Unix milliseconds, or None) when a receiver answers 410 or is given up; it should disable
        the endpoint.
    now_ms
        The clock, Unix milliseconds.
    random
        Source of jitter.
    """

    def __init__(
        self,
        outbox: Outbox,
        endpoints: Callable[[], Mapping[str, Endpoint]],
        transport: Transport,
        *,
        concurrency: int = 128,
        endpoint_concurrency: int = 16,
        lease_s: float = 60.0,
        poll_s: float = 0.5,
        drain_s: float = 20.0,
        probe_s: float = 1.0,
        delays_s: Sequence[float] = DELAYS_S,
        disable_after_s: float = DISABLE_AFTER_S,
        disable_after_failures: int = DISABLE_AFTER_FAILURES,
        on_dead: Callable[[Endpoint, str, int | None], None] | None = None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        random: Random | None = None,
    ) -> None:
        self._outbox = outbox
        self._endpoints = endpoints
        self._transport = transport
        self._concurrency = concurrency
        self._per_endpoint = endpoint_concurrency
        self._lease_ms = round(lease_s * 1000)
        self._poll_s = poll_s
        self._drain_s = drain_s
        self._probe_s = probe_s
        self._delays_s = tuple(delays_s)
        self._now_ms = now_ms
        self._giving_up = GivingUp(
            self._in_thread,
            note_failing=outbox.note_failing,
            on_dead=on_dead,
            now_ms=now_ms,
            after_s=disable_after_s,
            after_failures=disable_after_failures,
        )
        self._random = random or Random()  # noqa: S311  # jitter is no secret
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()
        self._woken = True
        self._next_poll = 0.0
        self._lanes: dict[str, Lane] = {}
        # Endpoints that may have something due, the one that waited longest first.
        self._hungry: dict[str, None] = {}
        self._posts: set[asyncio.Task[None]] = set()
        self._results: list[Attempt] = []
        self._mark_at = 0.0
        # In flight or not yet marked: a lease that ran out meanwhile must not post twice.
        self._held: set[tuple[str, str]] = set()
        self._store_failures = 0
        self._clock = WallClock(now_ms)
        self._set_back: list[tuple[float, int]] = []  # when to follow, by how much

    def wake(self) -> None:
        """Say that there is something new in the outbox. Any thread may; it never blocks."""
        self._woken = True
        loop = self._loop
        if loop is None:
            return
        try:
            loop.call_soon_threadsafe(self._changed.set)
        except RuntimeError:  # the loop was closed this instant: nobody is left to wake
            return

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop` is set, then finish the posts under way, mark them and close.

        Raises
        ------
        Exception
            Whatever the outbox raises beyond `StoreError`, which is logged and retried.
        """
        self._loop = asyncio.get_running_loop()
        stopped = asyncio.create_task(stop.wait())
        stopped.add_done_callback(lambda _: self._changed.set())
        with ThreadPoolExecutor(1, thread_name_prefix="outbox") as self._thread:
            try:
                while not stop.is_set():
                    await self._turn()
                await self._drain()
            finally:
                self._loop = None
                stopped.cancel()
                await self._abandon()
                await self._transport.close()

    async def _turn(self) -> None:
        """Mark, claim or rest: one step of the sender."""
        assert self._loop is not None
        now = self._loop.time()
        if self._results and (len(self._results) >= MARK_AT_MOST or now >= self._mark_at):
            await self._mark()
            return
        if self._woken or now >= self._next_poll:
            self._woken, self._next_poll = False, now + self._poll_s
            for endpoint_id in self._endpoints():
                self._hungry.setdefault(endpoint_id)
        limits = self._limits(now)
        if limits:
            await self._claim(limits)
            return
        until = min(self._next_poll, self._mark_at) if self._results else self._next_poll
        await self._rest(until - now)

    async def _rest(self, seconds: float) -> None:
        if seconds > 0 and not self._woken:
            try:
                async with asyncio.timeout(seconds):
                    await self._changed.wait()
            except TimeoutError:
                return
        self._changed.clear()

    def _limits(self, now: float) -> dict[str, int]:
        """Share the free slots out among the endpoints that may have something due."""
        room = self._concurrency - len(self._posts)
        if room <= 0 or not self._hungry:
            return {}
        endpoints = self._endpoints()
        scarce = room <= self._concurrency // 4
        wanted: dict[str, int] = {}
        for endpoint_id in list(self._hungry):
            endpoint = endpoints.get(endpoint_id)
            if endpoint is None or endpoint.disabled_reason or self._is_dead(endpoint):
                del self._hungry[endpoint_id]
                continue
            lane = self._lane(endpoint_id)
            lane.follow(endpoint, self._per_endpoint)
            free = lane.free(now, lane.slots)
            if scarce:
                # The last quarter is for those that have next to nothing: a few endpoints that
                # answer slowly must not fill every slot there is.
                free = min(free, SLOTS_WHEN_SCARCE - lane.in_flight)
            if free > 0:
                wanted[endpoint_id] = free
        if not wanted:
            return {}
        share = max(1, room // len(wanted))
        limits: dict[str, int] = {}
        for endpoint_id, free in wanted.items():
            limits[endpoint_id] = min(free, share, room)
            room -= limits[endpoint_id]
            if room <= 0:
                break
        return limits

    async def _claim(self, limits: Mapping[str, int]) -> None:
        try:
            await self._follow_clock()
            claimed = await self._in_thread(
                self._outbox.claim, now_ms=self._now_ms(), limits=limits, lease_ms=self._lease_ms
            )
        except StoreError as error:
            await self._back_off("claim", error)
            return
        self._store_failures = 0
        endpoints = self._endpoints()
        counts = dict.fromkeys(limits, 0)
        for delivery in claimed:
            counts[delivery.endpoint] += 1
            key = (delivery.webhook_id, delivery.endpoint)
            endpoint = endpoints.get(delivery.endpoint)
            if key in self._held or endpoint is None:
                continue  # its lease brings it back
            self._held.add(key)
            lane = self._lane(delivery.endpoint)
            lane.follow(endpoint, self._per_endpoint)
            lane.take()
            task = asyncio.create_task(self._deliver(delivery, endpoint))
            self._posts.add(task)
            task.add_done_callback(self._posts.discard)
        for endpoint_id, limit in limits.items():
            self._hungry.pop(endpoint_id, None)
            if counts[endpoint_id] >= limit:  # there may be more: ask again, after the others
                self._hungry[endpoint_id] = None

    async def _follow_clock(self) -> None:
        """Let leases and retries keep their distance when the time of day was set back.

        Twice: a batch that was decided before the step may be committed after the first time.
        """
        assert self._loop is not None
        if back_ms := self._clock.set_back_ms():
            now = self._loop.time()
            self._set_back += [(now, back_ms), (now + STRAGGLING_S, back_ms)]
        while self._set_back and self._set_back[0][0] <= self._loop.time():
            if self._results:  # they have the old time
                await self._mark()
            back_ms = self._set_back[0][1]
            sooner = await self._in_thread(
                self._outbox.bring_forward, now_ms=self._now_ms(), by_ms=back_ms
            )
            log.warning("clock_set_back", seconds=back_ms / 1000, deliveries=sooner)
            del self._set_back[0]

    async def _deliver(self, delivery: Claimed, endpoint: Endpoint) -> None:
        lane = self._lane(endpoint.id)
        attempt = delivery.attempts + 1
        started_ms, began = self._now_ms(), time.perf_counter()
        try:
            late = delivery.expires_ms is not None and started_ms >= delivery.expires_ms
            if late:
                answer = Answer(None, error="expired before it could be sent")
                judged = Verdict(Outcome.EXPIRED, "expired", started_ms)
            else:
                answer = await self._post(delivery, endpoint, started_ms)
                metrics.webhook_seconds.observe(time.perf_counter() - began)
                judged = verdict(
                    answer,
                    attempt=attempt,
                    now_ms=self._now_ms(),
                    expires_ms=delivery.expires_ms,
                    random=self._random,
                    delays_s=endpoint.delays_s or self._delays_s,
                )
                lane.learn(
                    answer,
                    now=asyncio.get_running_loop().time(),
                    now_ms=self._now_ms(),
                    probe_s=self._probe_s,
                )
        except asyncio.CancelledError:  # by the drain's deadline: the lease brings it back
            self._held.discard((delivery.webhook_id, delivery.endpoint))
            raise
        finally:
            lane.in_flight -= 1
        _attempts[judged.outcome].inc()
        self._finish(
            Attempt(
                webhook_id=delivery.webhook_id,
                endpoint=delivery.endpoint,
                attempt=attempt,
                started_ms=started_ms,
                duration_ms=round((time.perf_counter() - began) * 1000),
                state=judged.state,
                next_attempt_ms=judged.next_attempt_ms,
                status=answer.status,
                error=answer.error,
                answer=answer.text,
            )
        )
        if not late and lane.revision == endpoint.revision:
            delivered = judged.outcome is Outcome.DELIVERED
            await self._giving_up.note(endpoint, lane, delivered=delivered, gone=judged.gone)

    async def _post(self, delivery: Claimed, endpoint: Endpoint, now_ms: int) -> Answer:
        try:
            headers = signature.headers(
                signature.signing_keys(endpoint, now_ms=now_ms),
                webhook_id=delivery.webhook_id,
                timestamp_s=now_ms // 1000,
                body=delivery.body,
                more=endpoint.headers,
            )
            answer = await self._transport.post(endpoint.url, headers=headers, body=delivery.body)
        except Exception as error:
            # A defect that one endpoint's data brings out must not stop the others: it counts as
            # a failed attempt of this one and is logged with its trace.
            log.exception("webhook_post_failed", endpoint=endpoint.id)
            answer = Answer(None, error=f"{type(error).__name__}: {error}"[:300])
        if endpoint.headers:  # some receivers answer with what they got
            text, why = (hide(each, endpoint.headers) for each in (answer.text, answer.error))
            answer = replace(answer, text=text, error=why)
        return answer

    def _finish(self, attempt: Attempt) -> None:
        if not self._results:
            self._mark_at = asyncio.get_running_loop().time() + MARK_WITHIN_S
        self._results.append(attempt)
        lane = self._lane(attempt.endpoint)
        refill = attempt.endpoint in self._hungry and lane.in_flight <= lane.slots // 2
        if refill or len(self._results) in (1, MARK_AT_MOST):
            self._changed.set()

    async def _mark(self) -> None:
        batch, self._results = self._results, []
        try:
            ready = await self._in_thread(self._outbox.mark, batch)
        except StoreError as error:
            self._results = batch + self._results
            await self._back_off("mark", error)
            return
        self._store_failures = 0
        self._held.difference_update((done.webhook_id, done.endpoint) for done in batch)
        self._hungry.update(dict.fromkeys(ready))
        if self._results:
            self._mark_at = asyncio.get_running_loop().time() + MARK_WITHIN_S

    async def _back_off(self, what: str, error: StoreError) -> None:
        seconds = min(0.1 * doubled(self._store_failures), _MAX_BACK_OFF_S)
        self._store_failures += 1
        log.warning("outbox_unavailable", call=what, error=str(error), again_in_s=seconds)
        await asyncio.sleep(seconds)

    async def _drain(self) -> None:
        assert self._loop is not None
        deadline = self._loop.time() + self._drain_s
        while self._posts or self._results:
            left = deadline - self._loop.time()
            if left <= 0:
                break
            if self._posts:
                await asyncio.wait(
                    set(self._posts), timeout=left, return_when=asyncio.FIRST_COMPLETED
                )
            if self._results:
                await self._mark()

    async def _abandon(self) -> None:
        """Let go of what is still under way; the leases bring it back to the next sender."""
        posts = list(self._posts)
        for post in posts:
            post.cancel()
        await asyncio.gather(*posts, return_exceptions=True)
        if posts or self._results:
            log.warning("deliveries_left", posting=len(posts), unmarked=len(self._results))

    def _lane(self, endpoint_id: str) -> Lane:
        lane = self._lanes.get(endpoint_id)
        if lane is None:
            lane = self._lanes[endpoint_id] = Lane()
        return lane

    def _is_dead(self, endpoint: Endpoint) -> bool:
        return self._lane(endpoint.id).dead_revision == endpoint.revision

    async def _in_thread(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: call(*args, **kwargs))
