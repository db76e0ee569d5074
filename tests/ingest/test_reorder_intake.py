"""The intake with a reorder window: order, acknowledgements, room, and the end of it.

Time stands still unless a test moves it, so nothing depends on how busy the machine is.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from geotarget.errors import Overloaded, StoreError
from geotarget.ingest import EmbeddedBroker, Intake, MqttSource, committing, decode_http
from geotarget.ingest.waiting import Frame
from geotarget.model import PingBatch
from tests.ingest.harness import Eventually, Phone, Recorder

WINDOW_S = 3.0
AGE_S = 0.01


def frame(second: int, *, mid: int = 0, device: str = "d", payload: bytes | None = None) -> Frame:
    body = payload or json.dumps({"ts": second, "lat": 1, "lng": 2}).encode()
    return (f"pings/{device}".encode(), body, mid, 0x32 if mid else 0x30)


def request(*seconds: int, device: str = "d") -> PingBatch:
    body = json.dumps([{"device": device, "ts": s, "lat": 1, "lng": 2} for s in seconds])
    return decode_http(body.encode(), received_ms=0).pings


class Bench:
    """An intake, and the hand on its clock."""

    def __init__(self, recorder: Recorder, *, start: bool = True, **options: Any) -> None:
        self.now = 1000.0
        self.recorder = recorder
        options = {"reorder_window_s": WINDOW_S, "max_age_s": AGE_S, **options}
        self.intake = Intake(recorder.process, clock=lambda: self.now, **options)
        self.acknowledged: list[int] = []
        if start:
            self.intake.start()

    def put(self, *frames: Frame) -> int:
        return self.intake.put(frames, self.acknowledged.extend)

    def advance(self, seconds: float) -> None:
        """Let time pass, and the worker notice."""
        with self.intake._changed:
            self.now += seconds
            self.intake._changed.notify_all()

    def settle(self) -> None:
        """Wait until the worker has held what was put, and has nothing to do any more."""
        answer = self.intake.submit(request())
        self.advance(2 * AGE_S)
        answer.result(10)


@pytest.fixture
def make(recorder: Recorder) -> Iterator[Callable[..., Bench]]:
    """Make benches whose intakes are drained with the test."""
    made: list[Bench] = []

    def build(**options: Any) -> Bench:
        made.append(Bench(recorder, **options))
        return made[-1]

    yield build
    recorder.open.set()
    for bench in made:
        bench.intake.drain(10.0)


def test_pings_out_of_order_are_applied_in_order(
    make: Any, recorder: Recorder, eventually: Eventually
) -> None:
    """What arrives within the window of a later fix is processed before it."""
    bench = make()
    bench.put(frame(9, mid=1), frame(20, mid=2, device="e"))
    bench.advance(2.9)
    bench.put(frame(7, mid=3), frame(8, mid=4), frame(11, mid=5))
    bench.settle()
    assert recorder.count == 0
    bench.advance(0.2)
    eventually(lambda: recorder.count == 4)
    assert recorder.seconds == [7, 8, 9, 20]
    eventually(lambda: bench.acknowledged == [1, 2])
    bench.advance(2.9)
    eventually(lambda: bench.acknowledged == [1, 2, 3, 4, 5])
    assert recorder.seconds == [7, 8, 9, 20, 11]
    eventually(lambda: bench.intake.stats.waiting == 0)


def test_acknowledged_only_after_the_commit_and_in_turn(
    make: Any, recorder: Recorder, eventually: Eventually
) -> None:
    """A ping that went ahead is acknowledged when everything before it is, by connection."""
    bench = make()
    other: list[int] = []
    bench.put(frame(9, mid=1))
    bench.advance(1.0)
    bench.intake.put([frame(50, mid=7, device="e")], other.extend)
    bench.advance(1.0)
    bench.put(frame(5, mid=2))
    bench.settle()
    recorder.open.clear()
    recorder.entered.clear()
    bench.advance(1.0)
    assert recorder.entered.wait(60)
    assert (bench.acknowledged, other) == ([], [])
    recorder.open.set()
    eventually(lambda: bench.acknowledged == [1])
    assert (recorder.seconds, other) == ([5, 9], [])
    bench.advance(1.0)
    eventually(lambda: other == [7])
    assert bench.acknowledged == [1]
    bench.advance(1.0)
    eventually(lambda: bench.acknowledged == [1, 2])
    assert recorder.seconds == [5, 9, 50]


def test_a_store_error_retries_the_same_release(
    make: Any, recorder: Recorder, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is being committed stays as it is, whatever arrives meanwhile."""
    monkeypatch.setattr(committing, "FIRST_BACKOFF_S", 0.001)
    bench = make()
    bench.put(frame(9, mid=1))
    bench.settle()
    recorder.open.clear()
    recorder.entered.clear()
    recorder.store_failures = 3
    bench.advance(WINDOW_S)
    assert recorder.entered.wait(60)
    bench.put(frame(5, mid=2))
    recorder.open.set()
    eventually(lambda: bench.acknowledged == [1])
    assert (recorder.seconds, bench.intake.stats.retries) == ([9], 3)
    assert bench.intake.drain()
    assert (recorder.seconds, bench.acknowledged) == ([9, 5], [1, 2])


def test_a_release_is_cut_into_transactions(make: Any, recorder: Recorder) -> None:
    """No transaction gets more than the limit; the order goes on over the cut."""
    bench = make(max_pings=10)
    array = json.dumps([{"ts": s, "lat": 1, "lng": 2} for s in range(25, 0, -1)]).encode()
    bench.put(frame(0, mid=1, payload=array), frame(26, mid=2))
    assert bench.intake.drain()
    assert recorder.seconds == list(range(1, 27))
    assert max(len(pings) for pings in recorder.batches) <= 10
    assert bench.acknowledged == [1, 2]


def test_submissions_get_their_own_share(
    make: Any, recorder: Recorder, eventually: Eventually
) -> None:
    """Refusals keep the sender's positions, also of pings that went ahead of the answer."""
    recorder.refuse = lambda pings: [
        (at, "odd", str(ts)) for at, ts in enumerate((pings.ts // 1000).tolist()) if ts % 2
    ]
    bench = make()
    first = bench.intake.submit(request(9, 10))
    bench.advance(1.0)
    second = bench.intake.submit(request(12, 5, 13, 4))
    bench.settle()
    bench.advance(2.0)
    outcome = first.result(10)
    assert (outcome.accepted, list(outcome.refused)) == (1, [(0, "odd", "9")])
    assert recorder.seconds == [4, 5, 9, 10]
    assert not second.done()
    bench.advance(1.0)
    outcome = second.result(10)
    assert (outcome.accepted, list(outcome.refused)) == (2, [(1, "odd", "5"), (2, "odd", "13")])
    assert recorder.seconds == [4, 5, 9, 10, 12, 13]


def test_a_submission_without_pings_is_not_held(make: Any, recorder: Recorder) -> None:
    """The pipeline can be woken at any time, and refused items are answered at once."""
    bench = make()
    bench.put(frame(1, mid=1))
    decoded = decode_http(b'[{"device": "d", "ts": 1, "lat": 91, "lng": 2}]', received_ms=0)
    answer = bench.intake.submit(decoded.pings, decoded.rejected)
    bench.advance(2 * AGE_S)
    assert answer.result(10).accepted == 0
    assert [len(pings) for pings in recorder.batches] == [0]
    assert recorder.rejected == decoded.rejected
    assert bench.acknowledged == []


def test_poison_waits_for_its_turn(make: Any, recorder: Recorder, eventually: Eventually) -> None:
    """Dead letters are committed with their release, then their message is acknowledged."""
    bench = make()
    bench.put(frame(0, mid=1, payload=b"{"), (b"owntracks/u/d", b'{"_type": "lwt"}', 2, 0x32))
    bench.put(frame(3, mid=3))
    bench.settle()
    assert (recorder.rejected, bench.acknowledged) == ([], [])
    bench.advance(WINDOW_S)
    eventually(lambda: bench.acknowledged == [1, 2, 3])
    assert [letter.reason for letter in recorder.rejected] == ["json"]
    stats = bench.intake.stats
    assert (stats.pings, stats.messages, stats.rejected, stats.ignored) == (1, 3, 1, 1)


def test_a_message_is_decoded_once(
    make: Any, recorder: Recorder, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Holding a message, and releasing it in parts, reads it no second time."""
    from geotarget.ingest import wire

    real, read = wire.route, []

    def counting(topic: bytes | str, prefix: str) -> Any:
        read.append(topic)
        return real(topic, prefix)

    monkeypatch.setattr(wire, "route", counting)
    bench = make()
    bench.put(frame(9, mid=1))
    bench.advance(1.0)
    bench.put(frame(0, mid=2, payload=b'[{"ts": 3, "lat": 1, "lng": 2},{"ts":12,"lat":1,"lng":2}]'))
    bench.settle()
    bench.advance(2.0)
    eventually(lambda: bench.acknowledged == [1])
    bench.advance(1.0)
    eventually(lambda: bench.acknowledged == [1, 2])
    assert (recorder.seconds, len(read)) == ([3, 9, 12], 2)


def test_drain_releases_everything(make: Any, recorder: Recorder) -> None:
    """The end waits for no window, and still sorts."""
    bench = make()
    bench.put(frame(9, mid=1), frame(3, mid=2))
    bench.settle()
    bench.put(frame(1, mid=3))
    answer = bench.intake.submit(request(2))
    assert bench.intake.drain() is True
    assert (recorder.seconds, bench.acknowledged) == ([1, 2, 3, 9], [1, 2, 3])
    assert answer.result().accepted == 1
    assert bench.intake.stats.waiting == 0


def test_drain_gives_up_on_a_dead_store(make: Any, recorder: Recorder) -> None:
    """Who is held when the store is dead gets the error, and nothing is acknowledged."""
    bench = make()
    bench.put(frame(1, mid=1))
    tried = bench.intake.submit(request(2))
    bench.advance(1.0)
    held = bench.intake.submit(request(3))
    bench.settle()
    recorder.store_failures = 10**9
    recorder.entered.clear()
    bench.advance(2.0)
    assert recorder.entered.wait(60)
    assert bench.intake.drain(0.2) is False
    assert bench.acknowledged == []
    with pytest.raises(StoreError, match="the disk is full"):
        tried.result(10)
    with pytest.raises(Overloaded, match="stopped"):
        held.result(10)


def test_hold_and_window(make: Any, recorder: Recorder, eventually: Eventually) -> None:
    """During a hold nothing goes; after it goes what the window does not hold."""
    bench = make()
    bench.intake.hold(5.0)
    bench.put(frame(9, mid=1))
    bench.advance(4.0)
    bench.put(frame(3, mid=2), frame(20, mid=3))
    bench.advance(0.9)
    assert (recorder.count, bench.intake.stats.waiting) == (0, 3)
    bench.advance(0.2)
    eventually(lambda: bench.acknowledged == [1])
    assert recorder.seconds == [3, 9]
    bench.advance(2.1)
    eventually(lambda: bench.acknowledged == [1, 2, 3])
    assert recorder.seconds == [3, 9, 20]


def test_a_full_queue_lets_the_oldest_go(
    make: Any, recorder: Recorder, eventually: Eventually
) -> None:
    """Held messages count as waiting; without room the oldest quarter goes, in order, at once."""
    bench = make(capacity=8)
    for n in range(1, 8):
        bench.put(frame(20 - n, mid=n, device=f"d{n % 2}"))
    assert (recorder.count, bench.intake.stats.waiting, bench.intake.stats.hurried) == (0, 7, 0)
    assert bench.put(frame(12, mid=8, device="d0"), frame(1), frame(2)) == 3
    eventually(lambda: bench.acknowledged == [1, 2])
    assert recorder.seconds == [12, 13, 14, 15, 16, 17, 18, 19]
    stats = bench.intake.stats
    assert (stats.hurried, stats.dropped, stats.most_waiting) == (2, 2, 8)
    eventually(lambda: bench.intake.stats.waiting == 6)


def test_a_full_queue_ends_the_hold(make: Any, recorder: Recorder, eventually: Eventually) -> None:
    """When the window of the broker is full nothing more can come."""
    bench = make(capacity=4)
    bench.intake.hold(60.0)
    for mid, second in enumerate((9, 3, 2, 10), 1):
        bench.put(frame(second, mid=mid))
    eventually(lambda: bench.acknowledged == [1])
    assert recorder.seconds == [2, 3, 9]


def test_a_refused_submission_makes_room(
    make: Any, recorder: Recorder, eventually: Eventually
) -> None:
    """Who finds no room is told when to come again; the oldest go, so that there is room then."""
    bench = make(capacity=4)
    waiting = bench.intake.submit(request(*range(1, 201)))
    with pytest.raises(Overloaded, match="2 of 4 slots"):
        bench.intake.submit(request(*range(1, 301)))
    assert waiting.result(10).accepted == 200
    eventually(lambda: bench.intake.stats.waiting == 0)
    bench.intake.submit(request(*range(1, 301)))


def test_many_senders(make: Any, recorder: Recorder, eventually: Eventually) -> None:
    """Threads, disorder and a small queue: everything is processed once and acknowledged."""
    bench = make(max_pings=50, capacity=200)
    acknowledged: list[list[int]] = [[] for _ in range(4)]

    def send(number: int) -> None:
        for n in range(300):
            left = [frame(1 + (n ^ 3), mid=n + 1, device=f"d{number}")]
            while left:
                left = left[bench.intake.put(left, acknowledged[number].extend, timeout_s=1.0) :]

    senders = [threading.Thread(target=send, args=(n,)) for n in range(4)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert bench.intake.drain()
    assert acknowledged == [list(range(1, 301))] * 4
    seen = sorted(zip(recorder.devices, recorder.seconds, strict=True))
    assert seen == sorted((f"d{number}", s) for number in range(4) for s in range(1, 301))
    assert bench.intake.stats.most_waiting <= 200


@pytest.fixture
def fetch(
    recorder: Recorder, embedded: EmbeddedBroker, eventually: Eventually
) -> Iterator[Callable[..., MqttSource]]:
    """Fetch from the embedded broker through a reorder window."""
    made: list[MqttSource] = []

    def start(window_s: float) -> MqttSource:
        intake = Intake(recorder.process, max_age_s=0.005, reorder_window_s=window_s)
        intake.start()
        source = MqttSource(
            embedded.url, intake, client_id=embedded.client_id, ack_wait_s=1.0, mqtt5=False
        )
        source.start()
        made.append(source)
        eventually(lambda: source.health() == (True, ""))
        return source

    yield start
    recorder.open.set()
    for source in made:
        source.stop(5.0)


def unacknowledged(source: MqttSource) -> int:
    assert source._link is not None
    return source._link.client.unacknowledged


def test_through_a_broker(
    fetch: Any,
    embedded: EmbeddedBroker,
    make_phone: Any,
    recorder: Recorder,
    eventually: Eventually,
) -> None:
    """Fixes published in the wrong order come out in the right one, and are acknowledged."""
    source = fetch(60.0)
    phone: Phone = make_phone(embedded.port)
    for second in range(100, 0, -1):
        phone.publish(f"pings/d{second % 3}", json.dumps({"ts": second, "lat": 1, "lng": 2}))
    eventually(lambda: source.intake.stats.waiting == 100)
    assert (recorder.count, unacknowledged(source)) == (0, 100)
    assert source.stop() is True
    assert recorder.seconds == list(range(1, 101))
    assert unacknowledged(source) == 0


def test_held_longer_than_the_broker_waits(
    fetch: Any,
    embedded: EmbeddedBroker,
    make_phone: Any,
    recorder: Recorder,
    eventually: Eventually,
) -> None:
    """What the broker sends again meanwhile is known: processed once, and nothing is left."""
    source = fetch(2.5)
    phone: Phone = make_phone(embedded.port)
    for second in (3, 1, 2):
        phone.publish("pings/d", json.dumps({"ts": second, "lat": 1, "lng": 2}))
    eventually(lambda: recorder.count >= 3)
    eventually(lambda: unacknowledged(source) == 0)
    assert source.stop() is True
    assert recorder.seconds == [1, 2, 3]
