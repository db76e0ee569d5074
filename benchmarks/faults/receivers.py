"""Rows about receivers that misbehave, beside others that don't."""

from __future__ import annotations

import contextlib
import datetime as dt
import socket
import statistics
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Self
from urllib.parse import quote

from benchmarks.faults.ledger import Post, check
from benchmarks.faults.node import Node, eventually, rest
from benchmarks.faults.receiver import Receiver
from benchmarks.faults.row import Broken, Result, Row, Run
from benchmarks.faults.scene import ENDPOINT, RATE, Scene

METADATA = "http://169.254.169.254/latest/meta-data/"
MOST_GROWTH = 1.2
ENTERS = ["transition.enter"]
BAD = {
    "fails": "fail",
    "busy": "busy",
    "hangs": "hang",
    "resets": "reset",
    "floods": "flood",
    "drips": "drip",
    "to-metadata": "redirect",
    "to-loopback": "redirect",
}
"""Endpoint -> what its receiver does (`misbehaving`)."""

Span = tuple[float, float]


class Trap:
    """A port on loopback where nobody should ever come by; counts who does."""

    def __init__(self) -> None:
        self.hits = 0
        self._door = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._door.getsockname()[1]}/"
        self._thread = threading.Thread(target=self._count, name="trap", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._door.shutdown(socket.SHUT_RDWR)  # wakes the thread
        self._door.close()

    def _count(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._door.accept()
                self.hits += 1
                connection.close()


# -- what the rows about delivery share -----------------------------------------------------


def instant(moment: float) -> str:
    """Return a moment as the API takes it."""
    return dt.datetime.fromtimestamp(moment, dt.UTC).isoformat()


def send_again(node: Node, since: float, *states: str) -> int:
    """Ask for what was made since a moment once more; return how many deliveries that is."""
    body = {"from": instant(since), "state": list(states), "limit": 100_000}
    return int(node.post("/v1/deliveries:replay", body)["requeued"])


def emptied(node: Node, *, seconds: float, since: float | None = None) -> None:
    """Wait until nothing waits in the outbox; with `since`, ask for what waits again and again."""
    deadline = time.monotonic() + seconds
    while True:
        if since is not None:
            send_again(node, since, "pending", "failed")
        with contextlib.suppress(Broken):
            eventually(lambda: not waits(node), seconds=2, what="an empty outbox")
            return
        if time.monotonic() > deadline:
            left = node.metric("geotarget_outbox_pending")
            raise Broken(f"after {seconds:g} s {left:.0f} deliveries still wait")


def caught_up(scene: Scene, *, pings: int = 4_000) -> None:
    """Wait until a node that was just started keeps up with the phones."""
    assert scene.phones is not None
    scene.phones.wait_for(pings)
    rest(2)
    eventually(
        lambda: scene.node.metric("geotarget_outbox_pending") < 200,
        seconds=60,
        what="a node that keeps up",
    )


def waits(node: Node) -> bool:
    """Tell whether anything is in the outbox."""
    status, page = node.call("GET", "/v1/deliveries?state=pending&limit=1")
    if status != 200:
        raise Broken(f"GET /v1/deliveries: {status} {page}")
    return bool(page["items"])


def created(node: Node, endpoint: str) -> dict[str, float]:
    """Return when each delivery to an endpoint was made, by webhook id."""
    found: dict[str, float] = {}
    cursor = ""
    while True:
        path = f"/v1/deliveries?endpoint={endpoint}&limit=1000&cursor={cursor}"
        status, page = node.call("GET", path if cursor else path.rpartition("&")[0])
        if status != 200:
            raise Broken(f"GET {path}: {status} {page}")
        for each in page["items"]:
            found[each["id"]] = dt.datetime.fromisoformat(each["created"]).timestamp()
        cursor = page["next"]
        if not cursor:
            return found


def delays(made: Mapping[str, float], got: Sequence[Post], span: Span) -> list[float]:
    """Return the milliseconds from creation to arrival of what was made in a span, sorted."""
    begin, end = span
    first: dict[str, float] = {}
    for each in got:
        first.setdefault(each.webhook_id, each.at)
    return sorted(
        1000 * (first[event] - at)
        for event, at in made.items()
        if begin <= at < end and event in first
    )


def quantile(values: Sequence[float], share: float) -> float:
    """Return a quantile of sorted values."""
    if not values:
        raise Broken("nothing was delivered in a stretch of time that was to be measured")
    return values[min(int(share * len(values)), len(values) - 1)]


# -- the rows -------------------------------------------------------------------------------


def misbehaving_beside(run: Run) -> Result:
    """Eight bad endpoints beside a good one; in turn all are well-behaved, then all are bad."""
    rounds, seconds = run.size((4, 5.0), (1, 3.0))
    with (
        Trap() as trap,
        Receiver(made_folder(run, "bad")) as others,
        Scene(run) as scene,
    ):
        node = scene.node
        places = {"to-metadata": METADATA, "to-loopback": trap.url}

        def behave(*, badly: bool) -> None:
            for name, way in BAD.items():
                url = others.url(name, way if badly else "ok")
                if name in places:
                    url += f"?to={quote(places[name], safe='')}"
                scene.put_endpoint(name, url=url, events=ENTERS)

        status, _ = node.call("PUT", "/v1/endpoints/inside", {"url": METADATA})
        began = time.time()
        behave(badly=False)
        phones = scene.publish()
        caught_up(scene)
        good_spans, bad_spans, memory = [], [], node.rss_bytes
        for _ in range(rounds):
            for badly, spans in ((False, good_spans), (True, bad_spans)):
                behave(badly=badly)
                rest(0.5)
                start = time.time()
                rest(seconds)
                spans.append((start, time.time()))
        grown_mib = (node.rss_bytes - memory) / 2**20
        behave(badly=False)
        phones.finish()
        mended = time.monotonic()
        emptied(node, seconds=60, since=began)
        took = time.monotonic() - mended
        verdict = check(scene.owed(), scene.receiver.posts(), ENDPOINT)
        made, got = created(node, ENDPOINT), scene.receiver.posts()
        calm = [quantile(delays(made, got, each), 0.99) for each in good_spans]
        rough = [quantile(delays(made, got, each), 0.99) for each in bad_spans]
        growth = statistics.median(
            after / before for before, after in zip(calm, rough, strict=True)
        )
        problems = []
        if growth > MOST_GROWTH and statistics.median(rough) > max(calm):  # and not just noise
            problems.append(f"the p99 of the good endpoint grew by {100 * (growth - 1):.0f} %")
        if trap.hits:
            problems.append(f"{trap.hits} hits on a port inside")
        if status != 422:
            problems.append(f"an endpoint at {METADATA} was answered {status}")
        owed = {each for each in scene.owed() if each.kind == "enter"}
        lost = len(verdict.lost)
        at_bad = others.posts()
        for name in BAD:
            found = check(owed, at_bad, name)
            lost += len(found.lost)
            problems += [f"{name}: {each}" for each in found.problems]
        note = (
            f"p99 from created to received {listed(calm)} ms with eight good endpoints beside it, "
            f"{listed(rough)} ms with eight bad ones: median growth {100 * (growth - 1):+.0f} %; "
            f"{trap.hits} internal hits; memory {grown_mib:+.0f} MiB; what was owed to the bad "
            f"ones arrived within {took:.0f} s of their repair"
        )
        sent = f"{len(phones.acknowledged):,} pings at {RATE:,.0f}/s"
        size = f"{sent}, 9 endpoints, {rounds} times bad"
        return Result(
            run.name,
            size,
            verdict.owed + len(owed) * len(BAD),
            lost,
            verdict.duplicates,
            None,
            note,
            (*verdict.problems, *problems),
        )


def stored_and_dropped(run: Run) -> Result:
    """Let a receiver keep every third event and break the connection instead of answering."""
    seconds = run.size(8.0, 2.0)
    with Scene(run) as scene:
        url = scene.receiver.url(ENDPOINT, "dropping") + "?every=3"
        scene.put_endpoint(ENDPOINT, url=url, retry_delays_s=[1, 1, 1])
        phones = scene.publish()
        rest(seconds)
        verdict = scene.verdict()
        size = f"{len(phones.acknowledged):,} pings; one event in three kept, then dropped"
        problems = () if verdict.duplicates else ("no connection was dropped",)
        note = "each duplicate is a post whose answer was lost, under the same id, byte for byte"
        return scene.result(verdict, size, note=note, problems=problems)


def made_folder(run: Run, name: str) -> Any:
    """Return a folder below that of the row."""
    folder = run.folder / name
    folder.mkdir()
    return folder


def listed(values: Sequence[float]) -> str:
    """Return the least and the largest of some figures."""
    low, high = min(values), max(values)
    return f"{low:.0f}" if round(low) == round(high) else f"{low:.0f} to {high:.0f}"


ROWS = [
    Row(
        "bad-receivers",
        "eight endpoints answer 500 or 429, hang, reset, send 1 GB, drip, redirect inside",
        misbehaving_beside,
        240,
    ),
    Row(
        "stored-then-dropped",
        "a receiver keeps the event and drops the connection without an answer",
        stored_and_dropped,
    ),
]
