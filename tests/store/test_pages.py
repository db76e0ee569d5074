"""Cursors: what goes out comes back, and nothing else does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geotarget.errors import InvalidInput
from geotarget.store.pages import read_cursor, write_cursor


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(codec="utf-8")), st.integers(0, 2**63 - 1))
def test_places_come_back(name: str, number: int) -> None:
    """A cursor holds any id and any number, and is safe in a URL."""
    for place, kind in ((name, str), (number, int)):
        cursor = write_cursor("zone", place)
        assert cursor.replace("-", "").replace("_", "").isalnum()
        assert place == read_cursor(cursor, "zone", kind)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=500))
def test_anything_else_is_refused(text: str) -> None:
    """Whatever somebody writes, the answer names the cursor."""
    for kind in (int, str):
        with pytest.raises(InvalidInput) as caught:
            read_cursor(text, "zone", kind)
        assert "cursor" == caught.value.problems[0].path


def test_other_lists_and_kinds_are_refused() -> None:
    """A cursor of another list, or with a place of another kind, is not taken."""
    for cursor, kind in (
        (write_cursor("zone", "a"), int),
        (write_cursor("zone", 1), str),
        (write_cursor("endpoint", "a"), str),
        (write_cursor("zone", -1), int),
        (write_cursor("zone", 2**63), int),
    ):
        with pytest.raises(InvalidInput, match="is no cursor of the list of zone"):
            read_cursor(cursor, "zone", kind)
