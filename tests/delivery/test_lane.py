"""When an endpoint is left alone, and when it is asked again."""

from __future__ import annotations

import pytest

from geotarget.delivery import Answer
from geotarget.delivery.lane import Lane
from geotarget.model import Endpoint

DOWN, FINE = Answer(None, "no answer"), Answer(204)


def learn(lane: Lane, answer: Answer, *, now: float = 0.0) -> None:
    """Tell a lane of an answer; the first pause is a second."""
    lane.learn(answer, now=now, now_ms=0, probe_s=1.0)


@pytest.mark.parametrize(("in_flight", "free"), [(0, 16), (7, 9), (8, 8), (9, 0), (16, 0)])
def test_lane_is_refilled_when_half_empty(in_flight: int, free: int) -> None:
    """Slots are claimed in bulk, not one by one."""
    assert Lane(in_flight=in_flight).free(0.0, 16) == free


def test_single_slot_works() -> None:
    """One post at a time is a fine setting, too."""
    assert (Lane().free(0.0, 1), Lane(in_flight=1).free(0.0, 1)) == (1, 0)


def test_five_failures_close_and_single_probes_follow() -> None:
    """Pauses double with each failed probe, up to half a minute; a success ends it all."""
    lane = Lane()
    for _ in range(4):
        learn(lane, DOWN)
    assert lane.free(0.0, 16) == 16
    now, pauses = 0.0, []
    for _ in range(8):
        learn(lane, DOWN, now=now)
        assert lane.free(now, 16) == 0
        pauses.append(lane.closed_until - now)
        now = lane.closed_until
        assert lane.free(now, 16) == 1
        lane.in_flight = 1
        assert lane.free(now, 16) == 0
        lane.in_flight = 0
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]
    learn(lane, FINE, now=now)
    assert lane == Lane()


def test_posts_that_fail_together_pause_once() -> None:
    """Sixteen timeouts of one volley are one outage, not sixteen."""
    lane = Lane()
    for _ in range(16):
        learn(lane, DOWN)
    assert lane.closed_until == 1.0


@pytest.mark.parametrize("status", [200, 301, 400, 404, 410, 422])
def test_an_answer_that_is_no_trouble_keeps_the_lane_open(status: int) -> None:
    """A receiver that answers is alive, even if it doesn't like what it gets."""
    lane = Lane(failures=4)
    learn(lane, Answer(status))
    assert lane == Lane()


def test_retry_after_closes_the_lane() -> None:
    """Whoever asks for a pause gets one for everything, within half a minute."""
    lane = Lane()
    learn(lane, Answer(429, retry_after="7"))
    assert (lane.free(6.9, 16), lane.free(7.0, 16)) == (0, 16)
    learn(lane, Answer(503, retry_after="7200"), now=10.0)
    assert lane.closed_until == 40.0


def test_outage_of_a_week_overflows_nothing() -> None:
    """Failures may go on for as long as they like."""
    lane, now = Lane(), 0.0
    for _ in range(20_000):
        learn(lane, DOWN, now=now)
        now = lane.closed_until
    assert lane.closed_until - now <= 30.0
    learn(lane, DOWN, now=now)
    assert lane.closed_until - now == 30.0


def test_a_bucket_of_one_second() -> None:
    """After a pause as many as in one second; then as they come in again."""
    lane = Lane()
    lane.follow(Endpoint("crm", "https://e", "", rate_per_s=4.0), 16)
    assert lane.free(100.0, 16) == 4
    for _ in range(4):
        lane.take()
    assert [lane.free(now, 16) for now in (100.0, 100.2, 100.5, 101.0, 900.0)] == [0, 0, 2, 4, 4]


def test_slower_than_one_a_second() -> None:
    """One post in eight seconds: the bucket holds one."""
    lane = Lane()
    lane.follow(Endpoint("crm", "https://e", "", rate_per_s=0.125), 16)
    sent = []
    for now in range(50):
        if lane.free(float(now), 16):
            lane.take()
            lane.in_flight -= 1
            sent.append(now)
    assert sent == [0, 8, 16, 24, 32, 40, 48]


def test_a_change_of_the_endpoint_is_no_full_bucket() -> None:
    """Its bounds hold from now on; what was used up stays so."""
    lane = Lane()
    lane.follow(Endpoint("crm", "https://e", "", rate_per_s=2.0, concurrency=40), 16)
    assert (lane.slots, lane.free(0.0, 16)) == (16, 2)
    lane.take()
    lane.take()
    lane.follow(Endpoint("crm", "https://e", "", revision=1, rate_per_s=8.0, concurrency=3), 16)
    assert (lane.slots, lane.free(0.0, 16), lane.free(0.5, 16)) == (3, 0, 4)
    lane.follow(Endpoint("crm", "https://e", "", revision=2), 16)
    assert (lane.slots, lane.free(0.5, 16)) == (16, 14)
