"""Signed webhooks a second on one core, from the outbox on SQLite to a fast receiver nearby.

The real sender, transport and store, `synchronous` FULL, pinned to one core with all their
threads; the receiver is a process of its own on another core. Bodies of some 600 bytes, each an
offer with its decision, so that an acceptance counts in the tally as it does live. Every delivery
must arrive exactly once and be marked; a sample is verified with `standardwebhooks`.

CPU is the process's own, user and system, of all threads. Claims and marks are measured in their
thread, signatures alone afterwards; the rest is posts: the HTTP client, tasks, the event loop.

    python benchmarks/delivery.py            three runs each of one and of ten endpoints
    python benchmarks/delivery.py --smoke    a short run that only proves that it works
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import platform
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any, cast

import uvloop
from standardwebhooks import Webhook

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from geotarget.delivery import AiohttpTransport, Sender, signature
from geotarget.model import Attempt, BatchWrite, Claimed, Decision, Delivery, Endpoint
from geotarget.runtime.commands import keep_heap
from geotarget.store import Store

SEED = 7
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY_BYTES = 600
SAMPLE_EVERY = 50
DEADLINE_S = 120.0


# -- the receiver ---------------------------------------------------------------------------


@dataclass
class Seen:
    """What the receiver was sent."""

    posts: Counter[tuple[str, str]] = field(default_factory=Counter)
    sample: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def report(self) -> dict[str, int]:
        """Verify the sample, sum up and begin anew."""
        verified = 0
        for headers, body in self.sample:
            Webhook(SECRET).verify(body, headers)
            verified += 1
        said = {
            "posts": sum(self.posts.values()),
            "distinct": len(self.posts),
            "verified": verified,
        }
        self.posts.clear()
        self.sample.clear()
        return said


class Hook(asyncio.Protocol):
    """As little HTTP as a well-behaved client needs: one request after the other, 204 to each."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        """Answer every request that has come in whole."""
        self._read += data
        while True:
            end = self._read.find(b"\r\n\r\n")
            if end < 0:
                return
            lines = self._read[:end].decode().split("\r\n")
            headers = {
                name.lower(): value for name, _, value in (line.partition(": ") for line in lines)
            }
            whole = end + 4 + int(headers["content-length"])
            if len(self._read) < whole:
                return
            body, self._read = self._read[end + 4 : whole], self._read[whole:]
            posts = self._seen.posts
            posts[headers["webhook-id"], lines[0].split(" ")[1]] += 1
            if len(posts) % SAMPLE_EVERY == 1:
                self._seen.sample.append((headers, body))
            self._transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")


def receive(core: int, parent: Connection) -> None:
    """Run the receiver: send its port, then a report whenever one is asked for."""
    os.sched_setaffinity(0, {core})

    async def main() -> None:
        seen, loop = Seen(), asyncio.get_running_loop()
        server = await loop.create_server(lambda: Hook(seen), "127.0.0.1", 0, backlog=1024)
        parent.send(server.sockets[0].getsockname()[1])
        while await loop.run_in_executor(None, parent.recv):
            parent.send(seen.report())

    uvloop.run(main())


# -- the sender -----------------------------------------------------------------------------


class Measured:
    """The outbox of a store, with the CPU of its calls; tells when everything is marked."""

    def __init__(self, store: Store, owed: int) -> None:
        self._store = store
        self._owed = owed
        self.claim_s = self.mark_s = 0.0
        self.claims = self.marks = 0
        self.loop: asyncio.AbstractEventLoop
        self.stop: asyncio.Event

    def claim(self, *, now_ms: int, limits: Mapping[str, int], lease_ms: int) -> list[Claimed]:
        """Claim, and count what it costs."""
        began = time.thread_time()
        claimed = self._store.claim(now_ms=now_ms, limits=limits, lease_ms=lease_ms)
        self.claim_s += time.thread_time() - began
        self.claims += 1
        return claimed

    def mark(self, attempts: Sequence[Attempt]) -> Collection[str]:
        """Mark, and count what it costs."""
        began = time.thread_time()
        ready = self._store.mark(attempts)
        self.mark_s += time.thread_time() - began
        self.marks += 1
        self._owed -= sum(each.state == "delivered" for each in attempts)
        if self._owed <= 0:
            self.loop.call_soon_threadsafe(self.stop.set)
        return ready

    def note_failing(self, id: str, revision: int, since_ms: int | None) -> None:
        """Pass it on; no receiver fails here."""
        self._store.note_failing(id, revision, since_ms)


def fill(store: Store, count: int, endpoints: Sequence[str]) -> None:
    """Put `count` deliveries into the outbox, each with the decision that caused it."""
    random, now_ms = Random(SEED), time.time_ns() // 1_000_000
    for first in range(0, count, 1_000):
        decisions, deliveries = [], []
        for number in range(first, min(first + 1_000, count)):
            stamp, device = f"{now_ms + first:012x}", f"phone-{number}"
            decision = f"{stamp}{random.getrandbits(80):020x}"
            decisions.append(
                Decision(
                    id=decision,
                    campaign=f"campaign-{number % 20}",
                    campaign_version=1,
                    transition=decision,
                    device=device,
                    profile=device,
                    zone=f"zone-{number % 1_000}",
                    gate="fired",
                    reason="every gate let it pass",
                    decided_ms=now_ms,
                    offer={"title": "A bun for 2 €"},
                    day="2026-01-01",
                    visit=decision,
                )
            )
            event = {"type": "offer.triggered", "data": {"decision": decision}, "filler": ""}
            event["filler"] = "x" * (BODY_BYTES - len(json.dumps(event)))
            deliveries.append(
                Delivery(
                    webhook_id=f"offer_{decision}",
                    endpoint=endpoints[number % len(endpoints)],
                    type="offer.triggered",
                    body=json.dumps(event).encode(),
                    created_ms=now_ms,
                    device=device,
                    zone=f"zone-{number % 1_000}",
                    campaign=f"campaign-{number % 20}",
                )
            )
        store.write_batch(BatchWrite(decisions=decisions, deliveries=deliveries))


def signing_us(endpoint: Endpoint, count: int) -> float:
    """Return the CPU of one signature and its headers, as the sender makes them."""
    body, now_ms = b"x" * BODY_BYTES, time.time_ns() // 1_000_000
    began = time.thread_time()
    for number in range(count):
        signature.headers(
            signature.signing_keys(endpoint, now_ms=now_ms),
            webhook_id=f"offer_{number:032x}",
            timestamp_s=now_ms // 1000,
            body=body,
        )
    return 1e6 * (time.thread_time() - began) / count


def run(folder: Path, port: int, *, count: int, endpoints: int, concurrency: int) -> dict[str, Any]:
    """Send everything once and return what it cost."""
    ends = {
        f"hook-{number}": Endpoint(
            f"hook-{number}", f"http://127.0.0.1:{port}/hook-{number}", SECRET
        )
        for number in range(endpoints)
    }
    with Store.open(f"sqlite:///{folder}/{time.time_ns()}.db") as store:
        fill(store, count, list(ends))
        outbox = Measured(store, count)

        async def main() -> tuple[float, float]:
            outbox.loop, outbox.stop = asyncio.get_running_loop(), asyncio.Event()
            sender = Sender(
                outbox,
                lambda: ends,
                AiohttpTransport(["127.0.0.0/8"]),
                endpoint_concurrency=concurrency,
                random=Random(SEED),
            )
            cpu, wall = time.process_time(), time.perf_counter()
            async with asyncio.timeout(DEADLINE_S):
                await sender.run(outbox.stop)
            return time.process_time() - cpu, time.perf_counter() - wall

        keep_heap()
        cpu, wall = uvloop.run(main())
        counts = store.counts()
        if (counts.deliveries_delivered, counts.attempts) != (count, count):
            raise SystemExit(f"the store says {counts}, sent were {count}")
    sign = signing_us(ends["hook-0"], min(count, 20_000))
    claim, mark = 1e6 * outbox.claim_s / count, 1e6 * outbox.mark_s / count
    whole = 1e6 * cpu / count
    return {
        "webhooks_per_s": round(count / wall),
        "cpu_us": round(whole, 1),
        "claim_us": round(claim, 1),
        "sign_us": round(sign, 1),
        "post_us": round(whole - claim - sign - mark, 1),
        "mark_us": round(mark, 1),
        "core_busy": round(cpu / wall, 2),
        "claims": outbox.claims,
        "marks": outbox.marks,
    }


def medians(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the median of every figure."""
    return {name: statistics.median(each[name] for each in runs) for name in runs[0]}


def main() -> None:
    """Run and print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="short run, proves that it works")
    parser.add_argument("--deliveries", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--endpoints", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--concurrency", type=int, default=16, help="posts at one time to each")
    parser.add_argument("--directory", type=Path, help="on the disk that is to be measured")
    given = parser.parse_args()
    count, runs = (1_000, 1) if given.smoke else (given.deliveries, given.runs)
    cores = sorted(os.sched_getaffinity(0))
    ours, theirs = cores[0], cores[-1]
    context = multiprocessing.get_context("spawn")
    pipe, far = context.Pipe()
    sink = context.Process(target=receive, args=(theirs, far), daemon=True)
    sink.start()
    port = pipe.recv()
    os.sched_setaffinity(0, {ours})
    results = []
    with tempfile.TemporaryDirectory(dir=given.directory) as folder:
        for endpoints in given.endpoints:
            found = []
            for _ in range(runs):
                found.append(
                    run(
                        Path(folder),
                        port,
                        count=count,
                        endpoints=endpoints,
                        concurrency=given.concurrency,
                    )
                )
                pipe.send("report")
                said = pipe.recv()
                if (said["posts"], said["distinct"]) != (count, count) or not said["verified"]:
                    raise SystemExit(f"sent were {count}, the receiver says {said}")
            results.append({"endpoints": endpoints, **medians(found), "verified": said["verified"]})
    pipe.send("")
    sink.join(10)
    document = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}",
        "seed": SEED,
        "deliveries": count,
        "runs": runs,
        "body_bytes": BODY_BYTES,
        "concurrency": given.concurrency,
        "results": results,
    }
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
