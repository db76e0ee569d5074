"""Lanes that are held by themselves, alone and in an intake."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence

import pytest

from geotarget.ingest import Intake
from geotarget.ingest.holding import Lanes
from geotarget.ingest.waiting import Frame, Received
from tests.ingest.harness import Eventually, Recorder

LONG_S = 60.0


def frames(device: str, *seconds: int) -> list[Frame]:
    return [
        (
            f"pings/{device}".encode(),
            json.dumps({"ts": second, "lat": 60.0, "lng": 25.0}).encode(),
            second,
            0x32,
        )
        for second in seconds
    ]


def received(lane: object, since: float, *seconds: int) -> Received:
    return Received(frames("d", *seconds), lambda _: None, 0, since, lane)


def test_a_lane_is_due_at_its_time_or_when_its_window_is_full() -> None:
    """Each by itself; what came is returned in order of arrival, once."""
    lanes = Lanes()
    assert lanes.due_s == float("inf")
    lanes.hold("a", 10.0, 4)
    lanes.hold("b", 20.0, 4)
    first, second = received("a", 1.0, 1, 2), received("b", 1.0, 1, 2)
    assert lanes.set_aside(first)
    assert lanes.set_aside(second)
    assert not lanes.set_aside(received("c", 1.0, 1))
    assert (lanes.due_s, lanes.messages, lanes.take(9.9)) == (10.0, 4, [])
    third = received("b", 2.0, 3, 4)
    assert lanes.set_aside(third)
    assert lanes.take(2.0) == [second, third]
    assert lanes.take(10.0) == [first]
    assert not lanes.set_aside(received("a", 10.0, 5))
    assert lanes.take(LONG_S) == []


def test_a_hold_that_nothing_came_to_ends_by_itself() -> None:
    """The next message does not wait; before that time it does."""
    lanes = Lanes()
    lanes.hold("a", 10.0, 4)
    assert lanes.due_s == float("inf")
    assert not lanes.set_aside(received("a", 10.0, 1))
    lanes.hold("a", 20.0, 4)
    lanes.hold("a", 15.0, 4)
    assert lanes.set_aside(received("a", 19.0, 1))


def test_a_hold_may_end_sooner() -> None:
    """What was set aside is due at once; a lane that is not held, or held by then, stays so."""
    lanes = Lanes()
    lanes.hold("a", 10.0, 4)
    first = received("a", 0.0, 1)
    lanes.set_aside(first)
    lanes.hold("a", 12.0, ends=True)
    assert lanes.take(9.9) == []
    lanes.hold("a", 5.0, ends=True)
    lanes.hold("b", 5.0, ends=True)
    assert lanes.take(5.0) == [first]
    assert not lanes.set_aside(received("a", 5.0, 2))
    assert not lanes.set_aside(received("b", 5.0, 2))


def test_what_is_in_hand_is_counted_by_lane() -> None:
    """Held or queued; entries without a lane are not."""
    lanes = Lanes()
    lanes.hold("a", 10.0, 4)
    entry = received("a", 0.0, 1, 2)
    lanes.set_aside(entry)
    lanes.enter(received("b", 0.0, 1))
    lanes.enter(received(None, 0.0, 1))
    assert [lanes.in_hand(lane) for lane in ("a", "b", None)] == [2, 1, 0]
    lanes.leave(lanes.take_all())
    assert lanes.in_hand("a") == 0


@pytest.fixture
def make(recorder: Recorder) -> Iterator[Callable[..., Intake]]:
    """Make running intakes that are drained with the test."""
    made: list[Intake] = []

    def intake(**options: object) -> Intake:
        made.append(Intake(recorder.process, max_age_s=0.005, **options))  # type: ignore[arg-type]
        made[-1].start()
        return made[-1]

    yield intake
    recorder.open.set()
    for each in made:
        each.drain(5.0)


class Told:
    """Notes which identifiers were acknowledged."""

    def __init__(self) -> None:
        self.identifiers: list[int] = []

    def __call__(self, identifiers: Sequence[int]) -> None:
        self.identifiers += identifiers


@pytest.mark.parametrize("window_s", [0.0, 0.05])
def test_others_pass_a_held_lane(
    make: Callable[..., Intake], recorder: Recorder, eventually: Eventually, window_s: float
) -> None:
    """Only the lane waits; at the end its pings come in fix-time order and are acknowledged."""
    intake, told = make(reorder_window_s=window_s), Told()
    intake.hold(0.3, lane=1, window=1000)
    intake.put(frames("held", 5, 6), told, lane=1)
    intake.put(frames("free", 9), told, lane=2)
    intake.put(frames("held", 3, 4), told, lane=1)
    eventually(lambda: recorder.count == 1)
    assert recorder.devices == ["free"]
    assert (intake.stats.held, intake.stats.waiting) == (4, 0)
    eventually(lambda: intake.stats.messages == 5)
    assert recorder.seconds[1:] == [3, 4, 5, 6]
    eventually(lambda: told.identifiers == [9, 5, 6, 3, 4])
    eventually(lambda: intake.settle(1, 0.0))
    intake.put(frames("held", 7), told, lane=1)
    eventually(lambda: recorder.count == 6)


@pytest.mark.parametrize("window_s", [0.0, 0.05])
def test_a_full_window_ends_the_hold(
    make: Callable[..., Intake], recorder: Recorder, eventually: Eventually, window_s: float
) -> None:
    """Beside the queue, however small that is: the broker would send no more."""
    intake = make(capacity=2, reorder_window_s=window_s)
    intake.hold(LONG_S, lane=1, window=6)
    assert intake.put(frames("a", 6, 5, 4, 3), Told(), lane=1) == 4
    assert recorder.count == 0
    assert intake.put(frames("a", 2, 1), Told(), lane=1) == 2
    eventually(lambda: recorder.seconds == [1, 2, 3, 4, 5, 6])


def test_what_was_read_from_the_store_passes_a_hold(
    make: Callable[..., Intake], recorder: Recorder, eventually: Eventually
) -> None:
    """It need not wait for its own lane, and what of it still waits is in order with what does."""
    intake, told = make(max_pings=2), Told()
    intake.hold(LONG_S, lane=1, window=100)
    intake.put(frames("a", 3, 4), told, lane=1)
    intake.put(frames("a", 1), told, lane=1, stored=True)
    eventually(lambda: recorder.seconds == [1])
    recorder.open.clear()
    recorder.entered.clear()
    intake.put(frames("b", 9), told, lane=2)
    assert recorder.entered.wait(60)
    intake.put(frames("a", 2, 3), told, lane=1, stored=True)
    intake.hold(0, lane=1)
    recorder.open.set()
    eventually(lambda: recorder.count == 6)
    assert recorder.seconds == [1, 9, 2, 3, 3, 4]


def test_settling_waits_for_one_lane_alone(make: Callable[..., Intake], recorder: Recorder) -> None:
    """What hangs of another lane does not matter, what is held is let go."""
    intake, told = make(), Told()
    intake.put(frames("a", 1), told, lane=1)
    assert intake.settle(1, LONG_S)
    assert told.identifiers == [1]
    intake.hold(LONG_S, lane=1, window=100)
    intake.put(frames("a", 2), told, lane=1)
    recorder.open.clear()
    recorder.entered.clear()
    intake.put(frames("b", 3), told, lane=2)
    assert recorder.entered.wait(60)
    assert intake.settle(1, LONG_S)
    assert not intake.settle(2, 0.01)
    recorder.open.set()
    assert intake.settle(2, LONG_S)
    assert intake.drain()
    assert told.identifiers == [1, 3]
    assert recorder.devices == ["a", "b"]


def test_what_does_not_settle_in_time_is_let_go(
    make: Callable[..., Intake], recorder: Recorder, eventually: Eventually
) -> None:
    """What waits in the queue of the lane leaves it uncommitted; others stay."""
    intake, told = make(max_pings=1), Told()
    recorder.open.clear()
    intake.put(frames("stuck", 1), told, lane=2)
    assert recorder.entered.wait(60)
    intake.put(frames("gone", 2, 3), told, lane=1)
    intake.put(frames("gone", 5), told, lane=1, stored=True)
    intake.put(frames("kept", 4), told, lane=2)
    assert not intake.settle(1, 0.0)
    assert intake.stats.waiting == 2
    recorder.open.set()
    eventually(lambda: recorder.devices == ["stuck", "kept"])
    assert intake.drain()
    assert told.identifiers == [1, 4]


@pytest.mark.parametrize("window_s", [0.0, 0.05])
def test_a_drain_commits_what_is_held(
    make: Callable[..., Intake], recorder: Recorder, window_s: float
) -> None:
    """In order, and behind what waits in the queue."""
    intake, told = make(reorder_window_s=window_s), Told()
    intake.hold(LONG_S, lane=1, window=100)
    intake.put(frames("a", 2, 1), told, lane=1)
    assert intake.drain()
    assert recorder.seconds == [1, 2]
    assert told.identifiers == [2, 1]
