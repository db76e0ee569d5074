"""The sender, with real posts to real servers: nothing lost, nobody held up, nothing twice."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
from aiohttp import web
from memory_outbox import MemoryOutbox, unavailable
from verifying_receiver import SECRET, Received, Receiver

from geotarget.delivery import AiohttpTransport, Answer, Sender, Transport
from geotarget.errors import NotFound, StoreError
from geotarget.model import Attempt, Claimed, Delivery, Endpoint

SOON = (0.0, 0.05, 0.05, 0.05, 0.05)
Posts = Mapping[str, Endpoint]


def delivery(number: int = 1, endpoint: str = "crm", **options: Any) -> Delivery:
    """Make a delivery as targeting makes them."""
    body = json.dumps({"type": "offer.triggered", "data": {"number": number}}).encode()
    return Delivery(f"offer_{number:04d}", endpoint, "offer.triggered", body, 0, **options)


def endpoint(url: str, id: str = "crm", **options: Any) -> Endpoint:
    """Make an endpoint with the receivers' secret."""
    return Endpoint(id, url, SECRET, **options)


class Clock:
    """A wall clock that a test can move."""

    def __init__(self) -> None:
        self.ahead_ms = 0

    def __call__(self) -> int:
        """Return Unix milliseconds."""
        return time.time_ns() // 1_000_000 + self.ahead_ms


@asynccontextmanager
async def sending(
    outbox: MemoryOutbox,
    endpoints: Posts,
    *,
    transport: Transport | None = None,
    **options: Any,
) -> AsyncIterator[Sender]:
    """Run a sender; stop and drain it at the end."""
    settings = {"delays_s": SOON, "poll_s": 0.02, "random": Random(3)} | options
    used = transport or AiohttpTransport(["127.0.0.0/8"], total_timeout_s=5)
    sender = Sender(outbox, lambda: endpoints, used, **settings)
    stop = asyncio.Event()
    running = asyncio.create_task(sender.run(stop))
    try:
        yield sender
    finally:
        stop.set()
        await asyncio.wait_for(running, 30)


async def reached(outbox: MemoryOutbox, **states: int) -> None:
    """Return when the outbox has exactly these counts by state."""
    await asyncio.to_thread(outbox.wait, lambda: outbox.states() == states)


def run(case: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine function to its end."""
    asyncio.run(case())


def test_deliveries_arrive_verified_and_once() -> None:
    """Two hundred deliveries to two endpoints: each arrives once, with its own bytes."""

    async def case() -> None:
        outbox = MemoryOutbox()
        async with Receiver() as crm, Receiver() as till:
            ends = {"crm": endpoint(crm.url), "till": endpoint(till.url, "till")}
            sent = [delivery(n, name) for n in range(100) for name in ends]
            outbox.add(*sent)
            async with sending(outbox, ends):
                await reached(outbox, delivered=200)
            for name, receiver in (("crm", crm), ("till", till)):
                expected = sorted((d.webhook_id, d.body) for d in sent if d.endpoint == name)
                assert expected == sorted((p.webhook_id, p.body) for p in receiver.received)
        attempts = [attempt for row in outbox.rows.values() for attempt in row.attempts]
        assert [(a.attempt, a.status, a.error) for a in attempts] == [(1, 204, "")] * 200
        assert outbox.marks < 100  # in bulk

    run(case)


def test_failure_is_retried_with_the_same_id_and_bytes() -> None:
    """500, then 200: two attempts are recorded, the receiver sees one id and one body."""

    async def case() -> None:
        outbox = MemoryOutbox()

        async def once(_: web.Request, post: Received) -> web.Response:
            return web.Response(status=500 if len(receiver.received) == 1 else 200, text="hm")

        async with Receiver(once) as receiver:
            outbox.add(delivery())
            async with sending(outbox, {"crm": endpoint(receiver.url)}):
                await reached(outbox, delivered=1)
            first, second = receiver.received
            assert (first.webhook_id, first.body) == (second.webhook_id, second.body)
        (row,) = outbox.rows.values()
        told = [(a.attempt, a.status, a.state, a.answer) for a in row.attempts]
        assert told == [(1, 500, "pending", "hm"), (2, 200, "delivered", "hm")]
        waited_ms = row.attempts[1].started_ms - row.attempts[0].started_ms
        assert waited_ms >= 40

    run(case)


def test_retry_after_is_obeyed() -> None:
    """429 with Retry-After: nothing comes before that time, then it is delivered."""

    async def case() -> None:
        outbox, clock = MemoryOutbox(), Clock()

        async def busy(_: web.Request, post: Received) -> web.Response:
            if len(receiver.received) == 1:
                return web.Response(status=429, headers={"Retry-After": "3600"})
            return web.Response()

        async with Receiver(busy) as receiver:
            outbox.add(delivery())
            ends = {"crm": endpoint(receiver.url)}
            (row,) = outbox.rows.values()
            async with sending(outbox, ends, now_ms=clock):
                await asyncio.to_thread(outbox.wait, lambda: len(row.attempts) == 1)
            (attempt,) = row.attempts
            waits_s = (attempt.next_attempt_ms - attempt.started_ms) / 1000
            assert (attempt.status, attempt.state) == (429, "pending")
            assert 3_600 <= waits_s <= 4_325
            clock.ahead_ms = 3_599_000
            asked = len(outbox.claims)
            async with sending(outbox, ends, now_ms=clock):
                await asyncio.to_thread(outbox.wait, lambda: len(outbox.claims) >= asked + 3)
            assert len(receiver.received) == 1
            clock.ahead_ms = 4_330_000
            # an hour later by the signature's clock: only this test's receiver would mind
            receiver.verify = False
            async with sending(outbox, ends, now_ms=clock):
                await reached(outbox, delivered=1)

    run(case)


def test_hanging_and_resetting_receivers_are_retried() -> None:
    """No answer in time, and a connection that breaks, are failed attempts like others."""

    async def case() -> None:
        outbox, release = MemoryOutbox(), asyncio.Event()

        async def moody(request: web.Request, post: Received) -> web.Response:
            if len(receiver.received) == 1:
                await release.wait()
            if len(receiver.received) == 2:
                request.transport.abort()  # type: ignore[union-attr]
            return web.Response()

        async with Receiver(moody) as receiver:
            outbox.add(delivery())
            transport = AiohttpTransport(["127.0.0.0/8"], total_timeout_s=0.2)
            async with sending(outbox, {"crm": endpoint(receiver.url)}, transport=transport):
                await reached(outbox, delivered=1)
            release.set()
        (row,) = outbox.rows.values()
        assert [a.status for a in row.attempts] == [None, None, 200]
        assert row.attempts[0].error == "no answer within 0.2 s"
        assert row.attempts[0].duration_ms >= 190
        assert row.attempts[1].error.startswith(("ServerDisconnectedError", "ClientOSError"))

    run(case)


def test_redirects_fail_without_being_followed() -> None:
    """A redirect to another address never leads there; the schedule ends in failure."""

    async def case() -> None:
        outbox = MemoryOutbox()
        async with Receiver() as target:

            async def away(_: web.Request, post: Received) -> web.Response:
                return web.Response(status=302, headers={"Location": target.url})

            async with Receiver(away) as receiver:
                outbox.add(delivery())
                async with sending(outbox, {"crm": endpoint(receiver.url)}, delays_s=(0, 0.02)):
                    await reached(outbox, failed=1)
                assert (len(receiver.received), len(target.received)) == (2, 0)
        (row,) = outbox.rows.values()
        assert [(a.status, a.state) for a in row.attempts] == [(302, "pending"), (302, "failed")]

    run(case)


def test_huge_answer_counts_by_its_status() -> None:
    """A gigabyte behind a 200 is delivered, of which one KiB is kept."""

    async def case() -> None:
        outbox = MemoryOutbox()

        async def flood(request: web.Request, post: Received) -> web.StreamResponse:
            answer = web.StreamResponse(headers={"Content-Length": str(1 << 30)})
            await answer.prepare(request)
            for _ in range(1 << 14):
                await answer.write(b"x" * 65_536)
            return answer

        async with Receiver(flood) as receiver:
            outbox.add(delivery())
            async with sending(outbox, {"crm": endpoint(receiver.url)}):
                await reached(outbox, delivered=1)
        (row,) = outbox.rows.values()
        assert row.attempts[0].answer == "x" * 1024

    run(case)


def test_slow_endpoint_does_not_slow_others() -> None:
    """While one endpoint holds all its posts open, another one gets everything."""

    async def case() -> None:
        outbox, release = MemoryOutbox(), asyncio.Event()

        async def hang(_: web.Request, post: Received) -> web.Response:
            await release.wait()
            return web.Response()

        async with Receiver(hang) as slow, Receiver() as fast:
            ends = {"slow": endpoint(slow.url, "slow"), "fast": endpoint(fast.url, "fast")}
            outbox.add(*(delivery(n, "slow") for n in range(100)))
            outbox.add(*(delivery(n, "fast") for n in range(300)))
            async with sending(outbox, ends, endpoint_concurrency=8):
                await slow.wait_for(8)
                await reached(outbox, delivered=300, pending=100)
                assert (slow.concurrent, len(slow.received)) == (8, 8)
                assert len(fast.received) == 300
                release.set()
                await reached(outbox, delivered=400)

    run(case)


def test_many_slow_endpoints_leave_room_for_others() -> None:
    """When slow endpoints could fill every slot, the last ones are kept for the others."""

    async def case() -> None:
        outbox, release = MemoryOutbox(), asyncio.Event()

        async def hang(_: web.Request, post: Received) -> web.Response:
            await release.wait()
            return web.Response()

        async with Receiver(hang) as slow, Receiver() as fast:
            ends = {name: endpoint(slow.url, name) for name in ("s1", "s2", "s3", "s4")}
            ends["fast"] = endpoint(fast.url, "fast")
            outbox.add(*(delivery(n, name) for n in range(20) for name in ends if name != "fast"))
            async with sending(outbox, ends, endpoint_concurrency=8, concurrency=16) as sender:
                await slow.wait_for(12)
                outbox.add(*(delivery(n, "fast") for n in range(100)))
                sender.wake()
                await reached(outbox, delivered=100, pending=80)
                assert slow.concurrent < 16
                release.set()
                await reached(outbox, delivered=180)

    run(case)


def test_concurrency_is_bounded_over_all_and_per_endpoint() -> None:
    """Never more posts at one time than allowed, to one endpoint or in sum; all get their turn."""

    async def case() -> None:
        outbox = MemoryOutbox()
        now = most = 0

        async def count(_: web.Request, post: Received) -> web.Response:
            nonlocal now, most
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.003)
            now -= 1
            return web.Response()

        async with Receiver(count) as a, Receiver(count) as b, Receiver(count) as c:
            receivers = {"a": a, "b": b, "c": c}
            ends = {name: endpoint(r.url, name) for name, r in receivers.items()}
            outbox.add(*(delivery(n, name) for n in range(40) for name in ends))
            async with sending(outbox, ends, endpoint_concurrency=3, concurrency=5):
                await reached(outbox, delivered=120)
            assert most == 5
            assert all(1 <= r.most_concurrent <= 3 for r in receivers.values())
            assert all(sum(limits.values()) <= 5 for limits in outbox.claims)

    run(case)


def test_lease_of_a_killed_sender_runs_out() -> None:
    """A sender that dies in mid-post leaves its delivery to the next one, after the lease."""

    async def case() -> None:
        outbox, clock, release = MemoryOutbox(), Clock(), asyncio.Event()

        async def hang(_: web.Request, post: Received) -> web.Response:
            await release.wait()
            return web.Response()

        async with Receiver(hang) as receiver:
            ends = {"crm": endpoint(receiver.url)}
            outbox.add(delivery())
            transport = AiohttpTransport(["127.0.0.0/8"])
            dying = Sender(outbox, lambda: ends, transport, now_ms=clock, lease_s=60)
            task = asyncio.create_task(dying.run(asyncio.Event()))
            await receiver.wait_for(1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert outbox.marks == 0
            receiver.answering = None
            asked = len(outbox.claims)
            clock.ahead_ms = 59_000
            async with sending(outbox, ends, now_ms=clock):
                await asyncio.to_thread(outbox.wait, lambda: len(outbox.claims) >= asked + 3)
            assert len(receiver.received) == 1
            clock.ahead_ms = 61_000
            async with sending(outbox, ends, now_ms=clock):
                await reached(outbox, delivered=1)
            first, second = receiver.received
            assert (first.webhook_id, first.body) == (second.webhook_id, second.body)
            release.set()

    run(case)


def test_lease_that_runs_out_in_our_own_hands_is_not_posted_twice() -> None:
    """A delivery that is still being posted isn't posted again by the same sender."""

    async def case() -> None:
        outbox, clock, release = MemoryOutbox(), Clock(), asyncio.Event()

        async def hang(_: web.Request, post: Received) -> web.Response:
            await release.wait()
            return web.Response()

        async with Receiver(hang) as receiver:
            outbox.add(delivery())
            async with sending(outbox, {"crm": endpoint(receiver.url)}, now_ms=clock):
                await receiver.wait_for(1)
                clock.ahead_ms = 61_000
                (row,) = outbox.rows.values()
                leased_ms = row.next_attempt_ms
                await asyncio.to_thread(outbox.wait, lambda: row.next_attempt_ms > leased_ms)
                release.set()
                await reached(outbox, delivered=1)
            assert len(receiver.received) == 1

    run(case)


def test_gone_disables_the_endpoint_once() -> None:
    """After a 410 nothing more is sent there, and the endpoint is reported once."""

    async def case() -> None:
        outbox = MemoryOutbox()
        reports: list[tuple[str, str, str]] = []

        async def gone(_: web.Request, post: Received) -> web.Response:
            return web.Response(status=410)

        def report(dead: Endpoint, reason: str, since_ms: int | None) -> None:
            assert since_ms is not None
            reports.append((dead.id, reason, threading.current_thread().name.split("_")[0]))

        async with Receiver(gone) as receiver, Receiver() as other:
            ends = {"crm": endpoint(receiver.url), "b": endpoint(other.url, "b")}
            outbox.add(delivery(1))
            async with sending(outbox, ends, on_dead=report):
                await reached(outbox, failed=1)
                outbox.add(*(delivery(n) for n in range(2, 50)), delivery(50, "b"))
                await reached(outbox, failed=1, delivered=1, pending=48)
                ends["crm"] = endpoint(receiver.url, revision=2)  # somebody enabled it again
                receiver.answering = None
                await reached(outbox, failed=1, delivered=49)
        assert reports == [("crm", "the receiver answered 410 Gone", "outbox")]

    run(case)


def test_trouble_with_disabling_stops_nothing() -> None:
    """If the endpoint can't be disabled just now, it still gets nothing more."""

    async def case() -> None:
        outbox = MemoryOutbox()

        async def gone(_: web.Request, post: Received) -> web.Response:
            return web.Response(status=410)

        def refuse(dead: Endpoint, reason: str, since_ms: int | None) -> None:
            raise NotFound("endpoint", dead.id)

        async with Receiver(gone) as receiver, Receiver() as other:
            ends = {"crm": endpoint(receiver.url), "b": endpoint(other.url, "b")}
            outbox.add(delivery(1))
            async with sending(outbox, ends, on_dead=refuse):
                await reached(outbox, failed=1)
                outbox.add(delivery(2), delivery(3, "b"))
                await reached(outbox, failed=1, delivered=1, pending=1)
            assert len(receiver.received) == 1

    run(case)


def test_expired_offers_are_not_sent() -> None:
    """An offer whose time has passed is marked, not posted."""

    async def case() -> None:
        outbox, now_ms = MemoryOutbox(), Clock()()
        async with Receiver() as receiver:
            outbox.add(delivery(1, expires_ms=now_ms - 1), delivery(2, expires_ms=now_ms + 60_000))
            async with sending(outbox, {"crm": endpoint(receiver.url)}):
                await reached(outbox, expired=1, delivered=1)
            assert [post.webhook_id for post in receiver.received] == ["offer_0002"]
        (attempt,) = outbox.rows["offer_0001", "crm"].attempts
        assert (attempt.status, attempt.error) == (None, "expired before it could be sent")

    run(case)


def test_unknown_and_disabled_endpoints_are_not_claimed() -> None:
    """Their deliveries wait, without costing attempts, until the endpoint is back."""

    async def case() -> None:
        outbox = MemoryOutbox()
        async with Receiver() as receiver:
            ends = {"crm": endpoint(receiver.url, disabled_reason="paused by hand")}
            outbox.add(delivery(1), delivery(2, "missing"), delivery(3, "ok"))
            ends["ok"] = endpoint(receiver.url, "ok")
            async with sending(outbox, ends):
                await reached(outbox, delivered=1, pending=2)
                assert {name for limits in outbox.claims for name in limits} == {"ok"}
                ends["crm"] = endpoint(receiver.url)
                await reached(outbox, delivered=2, pending=1)

    run(case)


def test_failing_endpoint_is_only_probed() -> None:
    """After five failures in a row one post at a time goes out, until one succeeds."""

    async def case() -> None:
        outbox, down = MemoryOutbox(), True
        claimed_while_down: list[int] = []

        async def broken(_: web.Request, post: Received) -> web.Response:
            return web.Response(status=503 if down else 200)

        async with Receiver(broken) as receiver:
            outbox.add(*(delivery(n) for n in range(60)))
            ends = {"crm": endpoint(receiver.url)}
            quick = {"delays_s": (0, *[0.01] * 50), "endpoint_concurrency": 8, "probe_s": 0.02}
            async with sending(outbox, ends, **quick):
                await receiver.wait_for(8)
                before = len(outbox.claims)
                await receiver.wait_for(12)
                claimed_while_down = [limits["crm"] for limits in outbox.claims[before + 1 :]]
                down = False
                await reached(outbox, delivered=60)
            assert set(claimed_while_down) == {1}

    run(case)


@pytest.mark.parametrize("call", ["claim", "mark"])
def test_store_that_fails_for_a_while_loses_nothing(call: str) -> None:
    """Claims and marks are tried again; what was posted isn't posted again."""

    async def case() -> None:
        outbox = MemoryOutbox()
        outbox.fail[call] = unavailable(3)
        async with Receiver() as receiver:
            outbox.add(*(delivery(n) for n in range(30)))
            async with sending(outbox, {"crm": endpoint(receiver.url)}):
                await reached(outbox, delivered=30)
            assert len(receiver.received) == 30
        assert outbox.fail[call] == []

    run(case)


def test_defect_of_the_outbox_is_not_hidden() -> None:
    """What isn't a StoreError ends the sender, which closes what it holds."""

    async def case() -> None:
        outbox = MemoryOutbox()
        outbox.fail["claim"] = [KeyError("defect")]
        async with Receiver() as receiver:
            transport = AiohttpTransport(["127.0.0.0/8"])
            sender = Sender(outbox, lambda: {"crm": endpoint(receiver.url)}, transport)
            with pytest.raises(KeyError, match="defect"):
                await asyncio.wait_for(sender.run(asyncio.Event()), 10)

    run(case)


def test_defect_of_one_delivery_stops_nobody() -> None:
    """A secret that can't be decoded, or a transport that raises, is a failed attempt."""

    class Raising:
        def __init__(self) -> None:
            self.real = AiohttpTransport(["127.0.0.0/8"])

        async def post(self, url: str, *, headers: Mapping[str, str], body: bytes) -> Answer:
            if headers["webhook-id"] == "offer_0001":
                raise ZeroDivisionError("defect")
            return await self.real.post(url, headers=headers, body=body)

        async def close(self) -> None:
            await self.real.close()

    async def case() -> None:
        outbox = MemoryOutbox()
        async with Receiver() as receiver:
            ends = {"crm": endpoint(receiver.url), "odd": Endpoint("odd", receiver.url, "nonsense")}
            outbox.add(delivery(1), delivery(2), delivery(3, "odd"))
            async with sending(outbox, ends, transport=Raising(), delays_s=(0,)):
                await reached(outbox, delivered=1, failed=2)
        assert outbox.rows["offer_0001", "crm"].attempts[0].error == "ZeroDivisionError: defect"
        error = outbox.rows["offer_0003", "odd"].attempts[0].error
        assert error.startswith("InvalidEndpoint: $.secret")
        assert "nonsense" not in error

    run(case)


def test_wake_from_another_thread_beats_the_poll() -> None:
    """What ingest has just committed leaves at once, not at the next poll."""

    async def case() -> None:
        outbox = MemoryOutbox()
        async with Receiver() as receiver:
            ends = {"crm": endpoint(receiver.url)}
            async with sending(outbox, ends, poll_s=3600) as sender:
                await asyncio.to_thread(outbox.wait, lambda: len(outbox.claims) >= 1)

                def commit() -> None:
                    outbox.add(delivery())
                    sender.wake()

                thread = threading.Thread(target=commit)
                thread.start()
                await reached(outbox, delivered=1)
                thread.join()
        sender.wake()  # too late is harmless

    run(case)


def test_poll_finds_what_nobody_announced() -> None:
    """Without a wake, another process's deliveries are found by looking."""

    async def case() -> None:
        outbox = MemoryOutbox()
        async with (
            Receiver() as receiver,
            sending(outbox, {"crm": endpoint(receiver.url)}, poll_s=0.05),
        ):
            await asyncio.to_thread(outbox.wait, lambda: len(outbox.claims) >= 2)
            outbox.add(delivery())
            await reached(outbox, delivered=1)

    run(case)


def test_drain_finishes_posts_and_claims_nothing_new() -> None:
    """A stop lets posts under way end and be marked; the rest stays for the next time."""

    async def case() -> None:
        outbox, release = MemoryOutbox(), asyncio.Event()

        async def hang(_: web.Request, post: Received) -> web.Response:
            await release.wait()
            return web.Response()

        async with Receiver(hang) as receiver:
            outbox.add(*(delivery(n) for n in range(10)))
            sender = Sender(
                outbox,
                lambda: {"crm": endpoint(receiver.url)},
                AiohttpTransport(["127.0.0.0/8"]),
                endpoint_concurrency=4,
            )
            stop = asyncio.Event()
            running = asyncio.create_task(sender.run(stop))
            await receiver.wait_for(4)
            outbox.fail["mark"] = unavailable(1)
            stop.set()
            release.set()
            await asyncio.wait_for(running, 10)
            assert len(receiver.received) == 4
        assert outbox.states() == {"delivered": 4, "pending": 6}
        leased = [row.next_attempt_ms for row in outbox.rows.values() if row.state == "pending"]
        assert leased == [0] * 6

    run(case)


def test_drain_has_an_end() -> None:
    """A post that doesn't finish is let go of; its lease brings it back later."""

    async def case() -> None:
        outbox, release = MemoryOutbox(), asyncio.Event()

        async def hang(_: web.Request, post: Received) -> web.Response:
            await release.wait()
            return web.Response()

        async with Receiver(hang) as receiver:
            outbox.add(delivery())
            began = time.monotonic()
            patient = AiohttpTransport(["127.0.0.0/8"], total_timeout_s=120)
            async with sending(
                outbox, {"crm": endpoint(receiver.url)}, transport=patient, drain_s=0.2
            ):
                await receiver.wait_for(1)
            assert time.monotonic() - began < 60
            release.set()
        assert outbox.states() == {"pending": 1}
        (row,) = outbox.rows.values()
        assert row.next_attempt_ms > 0
        assert row.attempts == []

    run(case)


def test_loop_is_free_while_the_store_is_slow() -> None:
    """A call of the outbox that takes long doesn't hold up the event loop."""

    class Slow(MemoryOutbox):
        def __init__(self) -> None:
            super().__init__()
            self.entered, self.release = threading.Event(), threading.Event()

        def claim(self, **options: Any) -> list[Claimed]:
            self.entered.set()
            assert self.release.wait(60)
            return super().claim(**options)

        def mark(self, attempts: Any) -> Any:
            assert threading.current_thread() is not threading.main_thread()
            return super().mark(attempts)

    async def case() -> None:
        outbox = Slow()
        async with Receiver() as receiver:
            outbox.add(delivery())
            async with sending(outbox, {"crm": endpoint(receiver.url)}):
                await asyncio.to_thread(outbox.entered.wait, 10)
                ticks = [await asyncio.sleep(0, n) for n in range(100)]
                assert len(ticks) == 100
                outbox.release.set()
                await reached(outbox, delivered=1)

    run(case)


def test_mark_is_repeated_after_an_unclear_failure() -> None:
    """If a commit went through but its answer was lost, the repetition changes nothing."""

    class Unclear(MemoryOutbox):
        seen: list[list[Attempt]]

        def __init__(self) -> None:
            super().__init__()
            self.seen = []

        def mark(self, attempts: Any) -> Any:
            ready = super().mark(attempts)
            self.seen.append(list(attempts))
            if len(self.seen) == 1:
                raise StoreError("connection lost after commit")
            return ready

    async def case() -> None:
        outbox = Unclear()
        async with Receiver() as receiver:
            outbox.add(delivery())
            async with sending(outbox, {"crm": endpoint(receiver.url)}):
                await asyncio.to_thread(outbox.wait, lambda: outbox.marks == 2)
            assert len(receiver.received) == 1
        assert outbox.seen[0] == outbox.seen[1]
        assert outbox.states() == {"delivered": 1}

    run(case)


def test_an_endpoint_that_fails_for_too_long_is_given_up() -> None:
    """Reported once with since when, and nothing more is sent; its owner's change begins anew."""

    async def case() -> None:
        outbox, clock = MemoryOutbox(), Clock()
        reports: list[tuple[str, str, int | None]] = []

        async def broken(_: web.Request, post: Received) -> web.Response:
            clock.ahead_ms += 3_600_000  # an hour passes
            return web.Response(status=500)

        def report(dead: Endpoint, reason: str, since_ms: int | None) -> None:
            reports.append((dead.id, reason, since_ms))

        async with Receiver(broken) as receiver, Receiver() as other:
            ends = {"crm": endpoint(receiver.url), "b": endpoint(other.url, "b")}
            outbox.add(*(delivery(n) for n in range(4)), delivery(9, "b"))
            receiver.verify = other.verify = False  # the reference library reads the real clock
            options = {"disable_after_s": 7_000.0, "disable_after_failures": 3}
            options |= {"on_dead": report, "now_ms": clock}
            async with sending(outbox, ends, endpoint_concurrency=1, lease_s=9e5, **options):
                await asyncio.to_thread(outbox.wait, lambda: reports != [])
                await reached(outbox, delivered=1, pending=4)
                posts = len(receiver.received)
                outbox.add(delivery(10, "b"))
                await reached(outbox, delivered=2, pending=4)
                assert len(receiver.received) == posts
                receiver.answering = None
                ends["crm"] = endpoint(receiver.url, revision=2)
                clock.ahead_ms += 1_000_000_000  # what is leased is due again
                await reached(outbox, delivered=6)
        ((name, reason, since_ms),) = reports
        assert name == "crm"
        assert reason.startswith("every attempt has failed since 20")
        assert since_ms == min(since for _, _, since in outbox.failing if since is not None)

    run(case)


def test_one_success_ends_a_failure() -> None:
    """What lasts for a minute is written down, and erased with the first delivery that arrives."""

    async def case() -> None:
        outbox, clock = MemoryOutbox(), Clock()
        outbox.fail["note_failing"] = unavailable(1)

        async def moody(_: web.Request, post: Received) -> web.Response:
            clock.ahead_ms += 45_000
            return web.Response(status=500 if len(receiver.received) < 5 else 200)

        async with Receiver(moody) as receiver:
            receiver.verify = False  # the reference library reads the real clock
            outbox.add(delivery(1))
            async with sending(outbox, {"crm": endpoint(receiver.url)}, now_ms=clock):
                await asyncio.to_thread(outbox.wait, lambda: len(outbox.failing) == 2)
        (_, _, since_ms), cleared = outbox.failing
        assert since_ms is not None
        assert cleared == ("crm", 0, None)

    run(case)


def test_an_endpoint_is_not_called_faster_than_it_wants() -> None:
    """A second's worth at once, the rest at its rate, one at a time; the other waits for nobody."""

    async def case() -> None:
        outbox = MemoryOutbox()

        async def take_a_moment(_: web.Request, post: Received) -> web.Response:
            await asyncio.sleep(0.005)
            return web.Response(status=204)

        async with Receiver(take_a_moment) as slow, Receiver() as fast:
            ends = {
                "crm": endpoint(slow.url, rate_per_s=20.0, concurrency=1),
                "b": endpoint(fast.url, "b"),
            }
            outbox.add(*(delivery(n, name) for n in range(40) for name in ends))
            async with sending(outbox, ends):
                began = time.monotonic()
                await fast.wait_for(40)
                assert len(slow.received) < 40
                await slow.wait_for(40)
                took_s = time.monotonic() - began
        # 40 less the 20 of the bucket, at 20 a second
        assert took_s > 0.95
        assert slow.most_concurrent == 1

    run(case)
