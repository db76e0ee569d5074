"""What follows from an answer: delivered, again later, or given up. Pure.

Attempts come at 0 s, 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h after one another,
each ±20 %, so that an endpoint that comes back is not met by everything at once: a receiver may be
down for three days and still get everything that has not expired.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum
from random import Random

DELAYS_S: tuple[float, ...] = (0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Seconds before each attempt; the first leaves at once."""

JITTER = 0.2
MIN_RETRY_AFTER_S, MAX_RETRY_AFTER_S = 1.0, 86_400.0
GONE = 410


@dataclass(frozen=True, slots=True)
class Answer:
    """What a post came to.

    Parameters
    ----------
    status
        HTTP status; None when there was no answer.
    error
        Why there was none; empty otherwise.
    text
        The first KiB of the answer.
    retry_after
        The header as it came.
    blocked
        No packet left: the address or the URL is not allowed.
    """

    status: int | None
    error: str = ""
    text: str = ""
    retry_after: str | None = None
    blocked: bool = False


class Outcome(StrEnum):
    """What is counted: the label of ``geotarget_webhook_attempts_total``."""

    DELIVERED = "delivered"
    RETRY = "retry"
    FAILED = "failed"
    EXPIRED = "expired"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a delivery after an attempt.

    Parameters
    ----------
    outcome
        For the counter.
    state
        For the outbox: ``delivered``, ``pending``, ``failed`` or ``expired``.
    next_attempt_ms
        When it is due again, if pending; otherwise the time of the verdict.
    gone
        The receiver answered 410: it wants nothing more, ever.
    """

    outcome: Outcome
    state: str
    next_attempt_ms: int
    gone: bool = False


def verdict(
    answer: Answer,
    *,
    attempt: int,
    now_ms: int,
    expires_ms: int | None,
    random: Random,
    delays_s: Sequence[float] = DELAYS_S,
) -> Verdict:
    """Judge an attempt.

    Any 2xx is delivered. 410 is given up and reported. Everything else, redirects included, is
    tried again until the schedule ends, for an operator can repair a URL in the meantime. What
    could only be tried again after it has expired, has expired now.

    Parameters
    ----------
    attempt
        1 for the first.
    now_ms
        Unix milliseconds at the end of the attempt.
    random
        Source of the jitter.
    """
    if answer.status is not None and 200 <= answer.status < 300:
        return Verdict(Outcome.DELIVERED, "delivered", now_ms)
    if answer.status == GONE:
        return Verdict(Outcome.FAILED, "failed", now_ms, gone=True)
    if attempt >= len(delays_s):
        return Verdict(Outcome.FAILED, "failed", now_ms)
    due_ms = now_ms + round(
        delay_s(answer, attempt=attempt, now_ms=now_ms, random=random, delays_s=delays_s) * 1000
    )
    if expires_ms is not None and due_ms >= expires_ms:
        return Verdict(Outcome.EXPIRED, "expired", now_ms)
    return Verdict(Outcome.BLOCKED if answer.blocked else Outcome.RETRY, "pending", due_ms)


def delay_s(
    answer: Answer,
    *,
    attempt: int,
    now_ms: int,
    random: Random,
    delays_s: Sequence[float] = DELAYS_S,
) -> float:
    """Return the seconds until the next attempt.

    The receiver's ``Retry-After`` is obeyed between one second and a day, and never undercut: its
    jitter only adds.
    """
    asked_s = retry_after_s(answer.retry_after, now_ms=now_ms)
    if asked_s is not None:
        return asked_s * random.uniform(1, 1 + JITTER)
    return delays_s[attempt] * random.uniform(1 - JITTER, 1 + JITTER)


def retry_after_s(header: str | None, *, now_ms: int) -> float | None:
    """Read ``Retry-After``, seconds or an HTTP date; None if there is none or it can't be read.

    Examples
    --------
    >>> retry_after_s("120", now_ms=0)
    120.0
    """
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        seconds = float(text[:12])
    else:
        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, TypeError, OverflowError):
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=dt.UTC)
        seconds = moment.timestamp() - now_ms / 1000
    return min(max(float(math.ceil(seconds)), MIN_RETRY_AFTER_S), MAX_RETRY_AFTER_S)
