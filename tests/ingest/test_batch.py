"""The queue between the transports and the pipeline."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from geotarget.errors import Overloaded, StoreError
from geotarget.ingest import Intake, committing, decode_http
from geotarget.ingest.waiting import Frame
from geotarget.metrics import REGISTRY
from geotarget.model import PingBatch
from tests.ingest.harness import Eventually, Recorder

LONG_S = 60.0
"""An age that no batch of these tests reaches."""


def frame(second: int, *, mid: int = 0, device: str = "d", payload: bytes | None = None) -> Frame:
    body = payload or json.dumps({"ts": second, "lat": 1, "lng": 2}).encode()
    return (f"pings/{device}".encode(), body, mid, 0x32 if mid else 0x30)


def request(*seconds: int, device: str = "http") -> PingBatch:
    body = json.dumps([{"device": device, "ts": s, "lat": 1, "lng": 2} for s in seconds])
    return decode_http(body.encode(), received_ms=0).pings


class Acknowledged(list[int]):
    """Collects packet identifiers, as a connection would."""

    def __call__(self, identifiers: list[int]) -> None:
        self.extend(identifiers)


@pytest.fixture
def make(recorder: Recorder) -> Iterator[Any]:
    """Make started intakes that are drained with the test."""
    made: list[Intake] = []

    def build(*, start: bool = True, **options: Any) -> Intake:
        intake = Intake(recorder.process, **options)
        made.append(intake)
        if start:
            intake.start()
        return intake

    yield build
    recorder.open.set()
    for intake in made:
        intake.drain(10.0)


def test_a_batch_closes_by_count(make: Any, recorder: Recorder, eventually: Eventually) -> None:
    """As soon as enough messages wait they are processed, however young."""
    intake = make(max_pings=3, max_age_s=LONG_S)
    acknowledged = Acknowledged()
    for second in (1, 2, 3, 4):
        intake.put([frame(second, mid=second)], acknowledged)
    eventually(lambda: recorder.count == 3)
    assert recorder.seconds == [1, 2, 3]
    eventually(lambda: acknowledged == [1, 2, 3])
    assert intake.stats.waiting == 1


def test_a_batch_closes_by_age(make: Any, recorder: Recorder, eventually: Eventually) -> None:
    """A lonely ping waits no longer than the age."""
    intake = make(max_age_s=0.01)
    intake.put([frame(1, mid=1)], Acknowledged())
    eventually(lambda: recorder.count == 1)


def test_how_long_pings_wait_is_measured(make: Any, eventually: Eventually) -> None:
    """`/metrics` tells the time from the arrival of a batch's oldest ping to its commit."""
    name = "geotarget_ping_end_to_end_seconds"
    before = [REGISTRY.get_sample_value(f"{name}_{each}") or 0.0 for each in ("count", "sum")]
    now = [10.0]
    intake = make(start=False, max_pings=1, clock=lambda: now[0])
    intake.put([frame(1, mid=1)], Acknowledged())
    now[0] = 12.5
    intake.start()
    eventually(lambda: REGISTRY.get_sample_value(f"{name}_count") == before[0] + 1)
    assert REGISTRY.get_sample_value(f"{name}_sum") == pytest.approx(before[1] + 2.5)


def test_large_batches_are_cut(make: Any, recorder: Recorder, eventually: Eventually) -> None:
    """No transaction gets more than the limit, and the order stays."""
    intake = make(start=False, max_pings=10, max_age_s=LONG_S)
    array = json.dumps([{"ts": s, "lat": 1, "lng": 2} for s in range(1, 26)]).encode()
    acknowledged = Acknowledged()
    intake.put([frame(0, mid=1, payload=array), frame(26, mid=2), frame(27, mid=3)], acknowledged)
    intake.start()
    assert intake.drain()
    assert recorder.seconds == list(range(1, 28))
    assert max(len(pings) for pings in recorder.batches) <= 10
    assert acknowledged == [1, 2, 3]


def test_acknowledged_only_after_process_returned(
    make: Any, recorder: Recorder, eventually: Eventually
) -> None:
    """While the commit is under way nobody is told that it is safe."""
    recorder.open.clear()
    intake = make(max_age_s=0.001)
    acknowledged = Acknowledged()
    intake.put([frame(1, mid=11), frame(2), frame(3, mid=13)], acknowledged)
    submitted = intake.submit(request(4))
    assert recorder.entered.wait(60)
    assert (acknowledged, submitted.done()) == ([], False)
    recorder.open.set()
    eventually(lambda: acknowledged == [11, 13])
    assert submitted.result(10).accepted == 1


def test_acknowledged_in_order_by_connection(make: Any, eventually: Eventually) -> None:
    """Each connection gets its own identifiers, in order of arrival."""
    intake = make(max_pings=4, max_age_s=LONG_S)
    order: list[tuple[str, list[int]]] = []
    first = lambda mids: order.append(("first", list(mids)))  # noqa: E731
    second = lambda mids: order.append(("second", list(mids)))  # noqa: E731
    intake.put([frame(1, mid=5)], first)
    intake.put([frame(2, mid=4)], first)
    intake.put([frame(3, mid=1)], second)
    intake.put([frame(4, mid=2)], second)
    eventually(lambda: order == [("first", [5, 4]), ("second", [1, 2])])


def test_a_store_error_is_tried_again(
    make: Any, recorder: Recorder, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same batch is tried until it is written; meanwhile the reason is told."""
    monkeypatch.setattr(committing, "FIRST_BACKOFF_S", 0.001)
    recorder.open.clear()
    recorder.store_failures = 3
    intake = make(max_age_s=0.001)
    acknowledged = Acknowledged()
    intake.put([frame(1, mid=1)], acknowledged)
    assert recorder.entered.wait(60)
    assert intake.health() == (True, "")
    recorder.open.set()
    eventually(lambda: acknowledged == [1])
    assert recorder.seconds == [1]
    assert intake.stats.retries == 3
    assert intake.health() == (True, "")


def test_trouble_is_told_while_it_lasts(
    make: Any, recorder: Recorder, eventually: Eventually
) -> None:
    """A store that can't be written and a defect each have their sentence."""
    recorder.store_failures = 10**9
    intake = make(max_age_s=0.001)
    acknowledged = Acknowledged()
    intake.put([frame(1, mid=1)], acknowledged)
    eventually(lambda: not intake.health()[0])
    assert intake.health() == (False, "the store can't be written: the disk is full")
    recorder.store_failures, recorder.defects = 0, 10**9
    eventually(lambda: "ZeroDivisionError" in intake.health()[1])
    assert acknowledged == []
    recorder.defects = 0
    eventually(lambda: acknowledged == [1])
    assert intake.health() == (True, "")


def test_poison_does_not_block(make: Any, recorder: Recorder) -> None:
    """Undecodable messages become dead letters of the same transaction and are acknowledged."""
    intake = make(max_age_s=LONG_S)
    acknowledged = Acknowledged()
    poison = frame(0, mid=2, payload=b"\x00poison")
    intake.put([frame(1, mid=1), poison, frame(3, mid=3)], acknowledged)
    assert intake.drain()
    assert acknowledged == [1, 2, 3]
    assert recorder.seconds == [1, 3]
    assert [letter.reason for letter in recorder.rejected] == ["json"]
    assert intake.stats.rejected == 1


def test_poison_alone_is_written_too(make: Any, recorder: Recorder) -> None:
    """A batch of nothing but dead letters is a transaction; one of ignored messages is none."""
    intake = make(max_age_s=LONG_S)
    acknowledged = Acknowledged()
    intake.put([frame(0, mid=1, payload=b"{")], acknowledged)
    assert intake.drain()
    assert (len(recorder.rejected), len(recorder.batches), acknowledged) == (1, 1, [1])


def test_ignored_messages_are_acknowledged(make: Any, recorder: Recorder) -> None:
    """OwnTracks' other types need no transaction, only their acknowledgement."""
    intake = make(max_age_s=LONG_S)
    acknowledged = Acknowledged()
    intake.put([(b"owntracks/u/d", b'{"_type": "lwt"}', 9, 0x32)], acknowledged)
    assert intake.drain()
    assert (recorder.batches, acknowledged, intake.stats.ignored) == ([], [9], 1)


def test_a_defect_of_the_decoder_costs_one_message(
    make: Any, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the decoder fails on becomes a dead letter; its neighbours go on."""
    from geotarget.ingest import wire

    real = wire.route

    def fragile(topic: bytes | str, prefix: str) -> Any:
        if topic == b"pings/cursed":
            raise RuntimeError("a defect")
        return real(topic, prefix)

    monkeypatch.setattr(wire, "route", fragile)
    intake = make(max_age_s=LONG_S)
    acknowledged = Acknowledged()
    frames = [frame(1, mid=1), frame(2, mid=2, device="cursed"), frame(3, mid=3)]
    intake.put(frames, acknowledged)
    assert intake.drain()
    assert (recorder.seconds, acknowledged) == ([1, 3], [1, 2, 3])
    assert [letter.reason for letter in recorder.rejected] == ["undecodable"]


def test_submissions_get_their_own_share(make: Any, recorder: Recorder) -> None:
    """What the pipeline refuses is told to its sender, with the sender's own positions."""
    recorder.refuse = lambda pings: [
        (at, "future", f"{ts} is ahead") for at, ts in enumerate(pings.ts.tolist()) if ts >= 1e6
    ]
    intake = make(max_age_s=LONG_S)
    intake.put([frame(5000, mid=1)], Acknowledged())
    first = intake.submit(request(1, 2, 3000))
    second = intake.submit(request(4000, 5))
    third = intake.submit(request(6))
    assert intake.drain()
    assert (first.result().accepted, first.result().refused) == (
        2,
        [(2, "future", "3000000 is ahead")],
    )
    assert (second.result().accepted, second.result().refused[0][0]) == (1, 0)
    assert (third.result().accepted, third.result().refused) == (1, [])


def test_dead_letters_of_a_request_are_kept(make: Any, recorder: Recorder) -> None:
    """Items that were refused before the queue reach the pipeline with the good ones."""
    decoded = decode_http(b'[{"device": "d", "ts": 1, "lat": 91, "lng": 2}]', received_ms=0)
    intake = make(max_age_s=LONG_S)
    answer = intake.submit(decoded.pings, decoded.rejected)
    assert intake.drain()
    assert answer.result().accepted == 0
    assert recorder.rejected == decoded.rejected


def test_an_empty_submission_calls_process(make: Any, recorder: Recorder) -> None:
    """The pipeline can be woken without a ping, for a changed catalogue."""
    intake = make(max_age_s=0.001)
    assert intake.submit(request()).result(10).accepted == 0
    assert [len(pings) for pings in recorder.batches] == [0]


def test_http_is_told_when_the_queue_is_full(make: Any, recorder: Recorder) -> None:
    """A submission that finds no room is refused with a time to come again; nothing is lost."""
    intake = make(start=False, capacity=3)
    waiting = [intake.submit(request(*range(1, 201))), intake.submit(request(1))]
    with pytest.raises(Overloaded, match="3 of 3 slots") as caught:
        intake.submit(request(1))
    assert caught.value.retry_after_s == 1.0
    intake.start()
    assert [answer.result(10).accepted for answer in waiting] == [200, 1]
    assert recorder.count == 201


def test_a_large_submission_is_let_into_an_empty_queue(make: Any, recorder: Recorder) -> None:
    """A request larger than the whole queue works when nothing else waits."""
    intake = make(capacity=1, max_age_s=0.001)
    assert intake.submit(request(*range(1, 1001))).result(10).accepted == 1000


def test_capacity_bounds_the_queue(make: Any, recorder: Recorder) -> None:
    """QoS 1 without room stays with the sender; QoS 0 is dropped and counted."""
    intake = make(start=False, capacity=3)
    frames = [
        frame(1, mid=1),
        frame(2),
        frame(3, mid=3),
        frame(4),
        frame(5),
        frame(6, mid=6),
        frame(7),
    ]
    acknowledged = Acknowledged()
    done = intake.put(frames, acknowledged)
    assert done == 5
    assert (intake.stats.waiting, intake.stats.dropped) == (3, 2)
    assert intake.put(frames[5:], acknowledged, timeout_s=0.01) == 0
    intake.start()
    assert intake.put(frames[5:], acknowledged, timeout_s=10.0) == 2
    assert intake.drain()
    assert recorder.seconds == [1, 2, 3, 6, 7]
    assert acknowledged == [1, 3, 6]
    assert intake.stats.most_waiting == 3


def test_hold_sorts_by_fix_time(make: Any, recorder: Recorder, eventually: Eventually) -> None:
    """What comes during a hold is processed at its end, oldest fix first, ties as they came."""
    intake = make(max_age_s=0.001, max_pings=2)
    intake.hold(0.3)
    acknowledged = Acknowledged()
    intake.put(
        [frame(9, mid=1), frame(3, mid=2, device="a"), frame(3, mid=3, device="b")], acknowledged
    )
    late = intake.submit(request(1, 8))
    assert recorder.batches == []
    eventually(lambda: len(acknowledged) == 3)
    assert recorder.seconds == [1, 3, 3, 8, 9]
    assert recorder.devices == ["http", "a", "b", "http", "d"]
    assert acknowledged == [1, 2, 3]
    assert late.result(10).accepted == 2


def test_refusals_during_a_hold_find_their_sender(make: Any, recorder: Recorder) -> None:
    """Sorting does not mix up whose ping was refused."""
    recorder.refuse = lambda pings: [(0, "future", "first of all")]
    intake = make()
    intake.hold(LONG_S)
    answers = [intake.submit(request(7, 8)), intake.submit(request(9, 2))]
    assert intake.drain()
    assert [list(answer.result().refused) for answer in answers] == [
        [],
        [(1, "future", "first of all")],
    ]


def test_a_full_queue_ends_the_hold(make: Any, recorder: Recorder, eventually: Eventually) -> None:
    """When the window is full nothing more can come, so waiting would be for nothing."""
    intake = make(capacity=3)
    intake.hold(LONG_S)
    intake.put([frame(second, mid=second) for second in (3, 2, 1)], Acknowledged())
    eventually(lambda: recorder.seconds == [1, 2, 3])


def test_after_an_empty_hold_pings_do_not_wait(
    make: Any, recorder: Recorder, eventually: Eventually
) -> None:
    """A hold that nothing came to is over, and leaves no trace."""
    intake = make(max_age_s=0.001)
    intake.hold(0.01)
    eventually(lambda: not intake._hold_until)
    intake.put([frame(1, mid=1)], Acknowledged())
    eventually(lambda: recorder.count == 1)


def test_drain_processes_what_waits(make: Any, recorder: Recorder) -> None:
    """Draining ends a hold and an age early, takes nothing more and reports success."""
    intake = make(max_age_s=LONG_S)
    acknowledged = Acknowledged()
    intake.put([frame(1, mid=1)], acknowledged)
    assert intake.drain() is True
    assert (recorder.count, acknowledged) == (1, [1])
    assert intake.put([frame(2, mid=2)], acknowledged) == 0
    with pytest.raises(Overloaded, match="stopping"):
        intake.submit(request(1))


def test_drain_gives_up_on_a_dead_store(make: Any, recorder: Recorder) -> None:
    """When the store stays dead nothing is acknowledged, and HTTP callers get the error."""
    recorder.store_failures = 10**9
    intake = make(max_age_s=0.001, max_pings=1)
    acknowledged = Acknowledged()
    answers = [intake.submit(request(1)), intake.submit(request(2))]
    intake.put([frame(3, mid=3)], acknowledged)
    assert recorder.entered.wait(60)
    assert intake.drain(0.2) is False
    assert acknowledged == []
    with pytest.raises(StoreError, match="the disk is full"):
        answers[0].result(10)
    with pytest.raises(Overloaded, match="stopped"):
        answers[1].result(10)


def test_a_failing_acknowledgement_stops_nobody(make: Any, recorder: Recorder) -> None:
    """A connection that can't be told is logged; others are told."""
    intake = make(max_age_s=LONG_S)
    acknowledged = Acknowledged()

    def broken(_: list[int]) -> None:
        raise OSError("gone")

    intake.put([frame(1, mid=1)], broken)
    intake.put([frame(2, mid=2)], acknowledged)
    assert intake.drain()
    assert (acknowledged, recorder.count) == ([2], 2)


def test_a_cancelled_caller_does_not_stop_the_worker(make: Any, recorder: Recorder) -> None:
    """A caller who goes away can't take the pings back, nor break the batch."""
    intake = make(max_age_s=LONG_S)
    answer = intake.submit(request(1))
    assert answer.cancel() is False
    assert intake.drain()
    assert answer.result().accepted == 1


def test_pings_of_a_device_keep_their_order(make: Any, recorder: Recorder) -> None:
    """Many senders at once: each device's pings are processed as they were put."""
    intake = make(max_pings=50, max_age_s=0.001, capacity=200)

    def send(device: str) -> None:
        for second in range(1, 301):
            left = [frame(second, mid=second, device=device)]
            while left:
                left = left[intake.put(left, Acknowledged(), timeout_s=1.0) :]

    senders = [threading.Thread(target=send, args=(f"d{n}",)) for n in range(4)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert intake.drain()
    seen: dict[str, list[int]] = {}
    for device, second in zip(recorder.devices, recorder.seconds, strict=True):
        seen.setdefault(device, []).append(second)
    assert seen == {f"d{n}": list(range(1, 301)) for n in range(4)}
    assert intake.stats.most_waiting <= 200
