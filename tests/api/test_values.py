"""Instants as they are read and shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotarget.api.values import LATEST_S, instant, parse_instant


@given(st.integers(0, LATEST_S * 1000))
def test_an_instant_that_is_shown_is_read_as_the_same(ms: int) -> None:
    """RFC 3339 goes round without loss."""
    assert ms == parse_instant(instant(ms))


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("0", 0),
        ("1767268800.25", 1_767_268_800_250),
        ("1.5e3", 1_500_000),
        ("2026-01-01T12:00:00Z", 1_767_268_800_000),
        ("2026-01-01t12:00:00z", 1_767_268_800_000),
        ("2026-01-01T14:00:00+02:00", 1_767_268_800_000),
        ("2026-01-01T12:00:00.999999Z", 1_767_268_801_000),
    ],
)
def test_known_instants(text: str, ms: int) -> None:
    """Epoch seconds and RFC 3339 with any offset are understood."""
    assert ms == parse_instant(text)


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2026-01-01", "2026-01-01T12:00:00", "-1", "999999999999", "nan"],
)
def test_what_is_no_instant_is_refused(text: str) -> None:
    """A local time would mean something else on every machine."""
    with pytest.raises(ValueError, match=r"must be"):
        parse_instant(text)
