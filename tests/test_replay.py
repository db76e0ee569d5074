"""A replay publishes what was recorded: all of it, in order, at its pace, with the right times."""

from __future__ import annotations

import math
import threading
from typing import Any

import pytest

from geotarget.recording import RecordedPing, Survey
from geotarget.replay import Times, replay

NOW_MS = 1_790_000_000_000
FIRST_MS = 1_425_708_022_000


class Clock:
    """A clock that moves only when somebody waits on it."""

    def __init__(self) -> None:
        self.now_ms: float = NOW_MS
        self.waits: list[float] = []

    def __call__(self) -> int:
        """Return the time."""
        return round(self.now_ms)

    def event(self) -> threading.Event:
        """Return an event whose `wait` moves the clock instead of taking time."""
        clock = self

        class Stop(threading.Event):
            def wait(self, timeout: float | None = None) -> bool:
                assert timeout is not None
                clock.waits.append(timeout)
                clock.now_ms += timeout * 1000
                return self.is_set()

        return Stop()


def recorded(*seconds: float, device: str = "a") -> list[RecordedPing]:
    """Return pings at these seconds of the recording."""
    return [
        RecordedPing(device, FIRST_MS + round(each * 1000), 60.1, 24.9, math.nan, f"m{each}")
        for each in seconds
    ]


def played(
    pings: list[RecordedPing], clock: Clock | None = None, **options: Any
) -> list[tuple[str, dict[str, Any], int]]:
    """Return (device, ping, moment of publishing)."""
    clock = clock or Clock()
    times = [ping.ts_ms for ping in pings]
    survey = Survey(len(pings), 0, min(times), max(times), in_order=True)
    sent: list[tuple[str, dict[str, Any], int]] = []
    stop = clock.event()
    for _ in replay(
        pings,
        lambda device, ping: sent.append((device, ping, clock())),
        survey=survey,
        stop=stop,
        now_ms=clock,
        **options,
    ):
        pass
    return sent


def test_pace_is_that_of_the_recording() -> None:
    """At speed 1 a ping goes out as long after the first as it was recorded."""
    sent = played(recorded(0, 1, 1, 10))
    assert [at - NOW_MS for _, _, at in sent] == [0, 1_000, 1_000, 10_000]


def test_speed_divides_the_pauses() -> None:
    """At speed 60 a minute is a second."""
    sent = played(recorded(0, 60, 600), speed=60)
    assert [at - NOW_MS for _, _, at in sent] == [0, 1_000, 10_000]


def test_speed_zero_waits_for_nothing() -> None:
    """As fast as the broker takes them."""
    clock = Clock()
    assert len(played(recorded(*range(100)), clock, speed=0)) == 100
    assert clock.waits == []


def test_now_stamps_the_moment_of_publishing() -> None:
    """By default the time of a ping is when it goes out, at any speed."""
    sent = played(recorded(0, 60, 600), speed=60)
    assert [round(ping["ts"] * 1000) for _, ping, _ in sent] == [at for _, _, at in sent]


def test_now_never_repeats_a_time_of_a_device() -> None:
    """However fast they go out, a device's pings keep their order in their times."""
    sent = played(recorded(*range(5)) + recorded(*range(5), device="b"), speed=0)
    for device in "ab":
        times = [round(ping["ts"] * 1000) for each, ping, _ in sent if each == device]
        assert times == [NOW_MS + step for step in range(5)]


def test_shift_keeps_the_gaps_and_starts_now() -> None:
    """At speed 1 the first ping is of now, and the others follow as recorded."""
    sent = played(recorded(0, 7, 100), times=Times.SHIFT)
    assert [round(ping["ts"] * 1000) - NOW_MS for _, ping, _ in sent] == [0, 7_000, 100_000]


@pytest.mark.parametrize("speed", [0.5, 1, 60, 0])
def test_shift_never_reaches_into_the_future(speed: float) -> None:
    """No ping is ahead of the clock when it goes out, which the server would refuse."""
    sent = played(recorded(0, 50, 3_600), times=Times.SHIFT, speed=speed)
    times = [round(ping["ts"] * 1000) for _, ping, _ in sent]
    assert [each - times[0] for each in times] == [0, 50_000, 3_600_000]
    assert all(ts <= at for ts, (_, _, at) in zip(times, sent, strict=True))
    if speed != 0.5:
        assert times[-1] == sent[-1][2]


def test_keep_leaves_times_and_ids_alone() -> None:
    """Recorded times go out as they are, and only then the recorded message ids."""
    kept = played(recorded(0, 5), times=Times.KEEP, speed=0)
    assert [ping for _, ping, _ in kept] == [
        {"ts": FIRST_MS / 1000, "lat": 60.1, "lng": 24.9, "id": "m0"},
        {"ts": FIRST_MS / 1000 + 5, "lat": 60.1, "lng": 24.9, "id": "m5"},
    ]
    assert all("id" not in ping for _, ping, _ in played(recorded(0, 5), speed=0))


def test_accuracy_goes_along_where_there_is_one() -> None:
    """A recorded accuracy is sent, an unknown one is not made up."""
    known = [RecordedPing("a", FIRST_MS, 60.1, 24.9, 12.5, "")]
    assert played(known)[0][1]["acc"] == 12.5
    assert "acc" not in played(recorded(0))[0][1]


def test_stop_ends_a_pause() -> None:
    """A replay that waits for the next ping ends when it is told to, having sent what was due."""
    stop = threading.Event()
    sent = []
    steps = replay(
        recorded(0, 100_000),
        lambda device, ping: sent.append(ping),
        survey=Survey(2, 0, FIRST_MS, FIRST_MS + 100_000_000, in_order=True),
        stop=stop,
    )
    assert next(steps) == 1
    assert next(steps) == 1  # waiting, with a sign of life
    stop.set()
    assert list(steps) == []
    assert len(sent) == 1
