"""When a batch goes that is not full."""

from __future__ import annotations

import pytest

from geotarget.ingest.pace import LONGEST_S, RESTS, Pace

AGE_S = 0.02


def turns(pace: Pace, count: int, took_s: float, now_s: float = 0.0) -> float:
    """Take turns without a break; return when the last one ended."""
    for _ in range(count):
        pace.begin(now_s)
        now_s += took_s
        pace.end(now_s)
    return now_s


def test_a_lone_ping_goes_at_its_age() -> None:
    """Before the first turn, and when the last one is long over, nothing waits longer."""
    pace = Pace(AGE_S)
    assert pace.due_s(5.0, 5.0) == pytest.approx(5.0 + AGE_S)
    ended_s = turns(pace, 50, 0.1)
    idle_s = ended_s + RESTS * 0.1
    assert pace.due_s(idle_s, idle_s) == pytest.approx(idle_s + AGE_S)


def test_short_turns_cost_no_rest() -> None:
    """As long as the rest is shorter than the age, everything is as it would be without one."""
    pace = Pace(AGE_S)
    took_s = 0.9 * AGE_S / RESTS
    ended_s = turns(pace, 50, took_s)
    assert pace.due_s(ended_s, ended_s) == pytest.approx(ended_s + AGE_S)


def test_under_load_turns_are_a_bounded_share_of_the_time() -> None:
    """However old the oldest ping is when a turn ends, the next one begins after the rest."""
    pace, took_s, now_s, busy_s = Pace(AGE_S), 0.06, 0.0, 0.0
    for _ in range(100):
        pace.begin(now_s)
        oldest_s = now_s  # the next came as soon as the turn began
        now_s += took_s
        busy_s += took_s
        pace.end(now_s)
        now_s = max(now_s, pace.due_s(oldest_s, oldest_s + 10 * took_s))
    assert busy_s / now_s == pytest.approx(1 / (1 + RESTS), rel=0.1)


def test_nothing_waits_longer_than_the_bound() -> None:
    """A server that was away for a minute makes the next batches wait, but not for a minute."""
    pace = Pace(AGE_S)
    ended_s = turns(pace, 50, 60.0)
    assert pace.due_s(ended_s, ended_s + 9.0) == pytest.approx(ended_s + LONGEST_S)
    assert Pace(0.9).due_s(1.0, 1.8) == pytest.approx(1.9), "an age that was asked for is kept"


def test_who_waits_for_an_answer_waits_for_no_rest() -> None:
    """Then the age alone counts."""
    pace = Pace(AGE_S)
    ended_s = turns(pace, 50, 0.1)
    assert pace.due_s(ended_s, ended_s + 1.0) > ended_s + AGE_S
    assert pace.due_s(ended_s, ended_s + 1.0, rests=False) == pytest.approx(ended_s + AGE_S)


def test_one_slow_turn_among_many_hardly_counts() -> None:
    """What is waited for is what turns take of late, not what the last one took."""
    pace = Pace(AGE_S)
    ended_s = turns(pace, 1, 0.3, turns(pace, 50, 0.01))
    assert pace.due_s(ended_s, ended_s + 1.0) < ended_s + 0.5 * RESTS * 0.3


def test_who_gets_no_more_does_not_rest() -> None:
    """A broker that waits to hear of what it sent sends no more, so nothing is gained by a rest."""
    pace = Pace(AGE_S)
    ended_s = turns(pace, 50, 0.1)
    last_s = ended_s + 0.03
    assert pace.due_s(ended_s, last_s) == pytest.approx(last_s + AGE_S)
    assert pace.due_s(ended_s, last_s + 0.05) == pytest.approx(last_s + 0.05 + AGE_S)
