"""Rows of text are those that Arrow takes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geotarget.matching import text_rows as module
from geotarget.matching.text_rows import text_rows

TEXTS = st.lists(
    st.one_of(
        st.none(),
        st.text(max_size=3),
        st.text(min_size=14, max_size=50),
        st.text("ab🧀", min_size=60, max_size=140),
    ),
    max_size=12,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(TEXTS, max_size=3), st.integers(0, 5), st.data())
def test_rows_are_those_that_arrow_takes(
    pieces: list[list[str | None]], first: int, data: st.DataObject
) -> None:
    """Of a column in pieces, of a slice, any number of times, with rows that are missing."""
    text = pa.chunked_array([pa.array(each, pa.large_string()) for each in pieces], "large_string")
    text = text.slice(first)
    missing = data.draw(st.booleans())
    some = st.integers(-1 if missing else 0, len(text) - 1)
    rows = data.draw(st.lists(some, max_size=40) if len(text) or missing else st.just([]))
    found = text_rows(text, np.array(rows, np.int64), missing=missing)
    if isinstance(found, pa.ChunkedArray):
        found = found.combine_chunks()
    found.validate(full=True)
    known = text.to_pylist()
    assert [None if row < 0 else known[row] for row in rows] == found.to_pylist()
    assert found.type == pa.large_string()


@pytest.mark.parametrize("compiled", [True, False])
def test_without_numba_arrow_takes_them(compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The result is the same."""
    monkeypatch.setattr(module, "COMPILED", compiled and module.COMPILED)
    text = pa.chunked_array([["east", None, "w" * 40]], pa.large_string())
    found = text_rows(text, np.array([2, -1, 0, 1, 2]), missing=True)
    assert ["w" * 40, None, "east", None, "w" * 40] == found.to_pylist()


def test_a_slice_brings_nothing_else_along() -> None:
    """Of a long column only the text of the slice is read, and the buffers hold no more."""
    text = pa.chunked_array([[f"zone {number:06}" for number in range(10_000)]], pa.large_string())
    found = text_rows(text.slice(9_000, 2), np.array([1, 0, 1]), missing=False)
    assert ["zone 009001", "zone 009000", "zone 009001"] == found.to_pylist()
    assert 33 == found.buffers()[2].size
