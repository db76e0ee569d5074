"""JSON text in and out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geotarget.store.documents import from_json, to_json

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@settings(max_examples=60, deadline=None)
@given(VALUES)
def test_what_goes_in_comes_out(value: Any) -> None:
    """Every JSON value comes back equal, types included."""
    back = from_json(to_json(value))
    assert repr(value) == repr(back)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(), VALUES))
def test_equal_values_have_one_ordered_text(value: dict[str, Any]) -> None:
    """The order of members makes no difference to the ordered text."""
    turned = dict(reversed(value.items()))
    assert to_json(value, ordered=True) == to_json(turned, ordered=True)


@pytest.mark.parametrize(("one", "other"), [(1, True), (1, 1.0), (0, False), ("1", 1)])
def test_what_python_takes_for_equal(one: object, other: object) -> None:
    """1, 1.0 and true are three values."""
    assert to_json({"a": one}, ordered=True) != to_json({"a": other}, ordered=True)
