"""What follows from an answer: delivered, again later, or given up."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotarget.delivery import DELAYS_S, Answer, Outcome
from geotarget.delivery.schedule import Verdict, retry_after_s, verdict

NOW_MS = 1_767_268_800_000  # Thu, 01 Jan 2026 12:00:00 GMT


def judge(answer: Answer, *, attempt: int = 1, expires_ms: int | None = None) -> Verdict:
    """Judge an answer at noon."""
    return verdict(answer, attempt=attempt, now_ms=NOW_MS, expires_ms=expires_ms, random=Random(7))


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_delivered(status: int) -> None:
    """Receivers may answer with whichever success they like."""
    assert judge(Answer(status)) == Verdict(Outcome.DELIVERED, "delivered", NOW_MS)
    late = judge(Answer(status), attempt=10, expires_ms=NOW_MS - 1)
    assert late == Verdict(Outcome.DELIVERED, "delivered", NOW_MS)


@pytest.mark.parametrize("status", [100, 301, 302, 307, 308, 400, 401, 404, 422, 429, 500, 503])
def test_everything_else_is_tried_again(status: int) -> None:
    """Redirects and client errors too: an operator may repair the URL meanwhile."""
    judged = judge(Answer(status))
    assert (judged.outcome, judged.state, judged.gone) == (Outcome.RETRY, "pending", False)
    assert 4_000 <= judged.next_attempt_ms - NOW_MS <= 6_000


def test_gone_is_given_up_and_reported() -> None:
    """410 means: never again."""
    assert judge(Answer(410)) == Verdict(Outcome.FAILED, "failed", NOW_MS, gone=True)


def test_blocked_is_counted_apart_and_tried_again() -> None:
    """A name that points inwards may be repaired, too."""
    judged = judge(Answer(None, blocked=True))
    assert (judged.outcome, judged.state) == (Outcome.BLOCKED, "pending")


@pytest.mark.parametrize("attempt", range(1, 10))
def test_delays_follow_the_schedule(attempt: int) -> None:
    """The wait after attempt n is the schedule's, within a fifth."""
    judged = judge(Answer(None, "no answer"), attempt=attempt)
    waited_s = (judged.next_attempt_ms - NOW_MS) / 1000
    assert 0.8 * DELAYS_S[attempt] <= waited_s <= 1.2 * DELAYS_S[attempt]


def test_schedule_ends_after_ten_attempts() -> None:
    """The tenth failure is the last; before it, three days have passed."""
    assert judge(Answer(500), attempt=9).state == "pending"
    assert judge(Answer(500), attempt=10) == Verdict(Outcome.FAILED, "failed", NOW_MS)
    assert 3 * 86_400 < sum(DELAYS_S) < 4 * 86_400


def test_jitter_spreads() -> None:
    """A hundred failures of one instant don't come back at one instant."""
    random = Random(1)
    times = {
        verdict(Answer(500), attempt=2, now_ms=0, expires_ms=None, random=random).next_attempt_ms
        for _ in range(100)
    }
    assert len(times) > 90
    assert min(times) < 260_000
    assert max(times) > 340_000


def test_offer_that_would_expire_first_has_expired() -> None:
    """No attempt is planned for a time at which nothing would be sent."""
    assert judge(Answer(500), expires_ms=NOW_MS + 6_001).state == "pending"
    expected = Verdict(Outcome.EXPIRED, "expired", NOW_MS)
    assert judge(Answer(500), expires_ms=NOW_MS + 4_000) == expected


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        (" 7 ", 7),
        ("0", 1),
        ("99999999999999999999", 86_400),
        ("Thu, 01 Jan 2026 12:02:00 GMT", 120),
        ("Thu, 01 Jan 2026 12:02:00 -0000", 120),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 1),
        ("Thu, 01 Jan 2099 11:00:00 GMT", 86_400),
        ("Thu, 01 Jan 999999999999999999999 11:00:00 GMT", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("٣", None),
        (None, None),
    ],
)
def test_retry_after_is_read_within_bounds(header: str | None, seconds: float | None) -> None:
    """Seconds and dates count, between a second and a day; the rest is ignored."""
    assert seconds == retry_after_s(header, now_ms=NOW_MS)


@given(st.integers(0, 100_000), st.integers(1, 9), st.integers(0, 2**32))
def test_retry_after_is_never_undercut(asked_s: int, attempt: int, seed: int) -> None:
    """The receiver's wish replaces the schedule; jitter only adds to it."""
    judged = verdict(
        Answer(429, retry_after=str(asked_s)),
        attempt=attempt,
        now_ms=NOW_MS,
        expires_ms=None,
        random=Random(seed),
    )
    waited_s = (judged.next_attempt_ms - NOW_MS) / 1000
    bounded_s = min(max(asked_s, 1), 86_400)
    assert bounded_s <= waited_s <= 1.2 * bounded_s + 0.001


@given(st.text(max_size=40))
def test_any_header_is_survived(header: str) -> None:
    """Whatever a receiver writes there, nothing is raised."""
    seconds = retry_after_s(header, now_ms=NOW_MS)
    assert seconds is None or 1 <= seconds <= 86_400
