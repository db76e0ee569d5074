"""Instants and spans as people type them: ``2026-01-01T12:00``, ``1767268800``, ``-2h``."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from geotarget.errors import InvalidInput, Problem

UNITS_S = {"s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400}
_SPAN = re.compile(r"(?:(\d+(?:\.\d+)?)(s|min|m|h|d))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(s|min|m|h|d)")
_EPOCH = re.compile(r"\d+(\.\d+)?")
_LATEST_S = 253_402_300_799
"""The last second of the year 9999."""


def read_span_s(text: str, option: str) -> float:
    """Return a span of time in seconds.

    Raises
    ------
    InvalidInput
        Names the option and shows how it is written.

    Examples
    --------
    >>> read_span_s("90min", "--for"), read_span_s("1h30m", "--for")
    (5400.0, 5400.0)
    """
    if not _SPAN.fullmatch(text):
        raise InvalidInput(
            Problem(option, text[:40], "must be a span such as 45s, 90min, 1h or 2d")
        )
    return sum(float(number) * UNITS_S[unit] for number, unit in _PART.findall(text))


def read_instant_ms(text: str, option: str, *, now_ms: int) -> int:
    """Return an instant in Unix milliseconds.

    Parameters
    ----------
    text
        ISO 8601 (UTC unless it has an offset), epoch seconds, ``now``, or a span before `now_ms`
        such as ``-2h``.
    option
        Where it was typed, for the error.
    now_ms
        What relative times go by.

    Raises
    ------
    InvalidInput
        It is none of these.

    Examples
    --------
    >>> read_instant_ms("2026-01-01T12:00", "--from", now_ms=0)
    1767268800000
    >>> read_instant_ms("-2h", "--from", now_ms=1767268800000)
    1767261600000
    """
    if text == "now":
        return now_ms
    if text.startswith("-"):
        return now_ms - round(read_span_s(text[1:], option) * 1000)
    if _EPOCH.fullmatch(text) and len(text) > len("20260101"):
        if float(text) > _LATEST_S:
            reason = "epoch times are in seconds; are these milliseconds?"
            raise InvalidInput(Problem(option, text[:40], reason))
        return round(float(text) * 1000)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(
            Problem(
                option,
                text[:40],
                "must be ISO 8601 (2026-01-01T12:00Z), epoch seconds, or a span ago (-2h)",
            )
        ) from None
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
