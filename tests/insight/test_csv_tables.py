"""Tables as CSV: what a spreadsheet gets."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotarget.insight.csv_tables import Value, cell, to_csv


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("kamppi", "kamppi"),
        ("=1+1", "'=1+1"),
        ("+358", "'+358"),
        ("-5", "'-5"),
        ("@sum(a)", "'@sum(a)"),
        ("  =1+1", "'  =1+1"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("a=1", "a=1"),
        ("'=1", "'=1"),
        (-5, "-5"),
        (-0.25, "-0.25"),
        (1.5e-7, "0.00000015"),
        (12_000_000, "12000000"),
        (None, ""),
        (False, "false"),
        ("åäö €", "åäö €"),
    ],
)
def test_a_cell(value: Value, text: str) -> None:
    """Text that looks like a formula is made harmless; numbers stay numbers."""
    assert text == cell(value)


def test_a_table() -> None:
    """One header row, CRLF, quotes where they are needed."""
    rows = [["a,b", 1], ['say "hi"', None], ["two\nlines", 0.5]]
    assert 'name,n\r\n"a,b",1\r\n"say ""hi""",\r\n"two\nlines",0.5\r\n' == to_csv(
        ["name", "n"], rows
    )


def test_a_row_of_another_length_is_refused() -> None:
    """It would shift the columns of whoever reads it."""
    with pytest.raises(ValueError, match="1 values, there are 2 columns"):
        to_csv(["a", "b"], [["x"]])


@given(
    st.lists(
        st.lists(
            st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=9),
            min_size=2,
            max_size=2,
        )
    )
)
def test_what_is_written_is_read_again(rows: list[list[str]]) -> None:
    """But for the apostrophes; and no cell begins like a formula."""
    (header, *found) = list(csv.reader(io.StringIO(to_csv(["a", "b"], rows), newline="")))
    assert header == ["a", "b"]
    assert [[cell(value) for value in row] for row in rows] == found
    assert not [each for row in found for each in row if each.lstrip()[:1] in {*"=+-@"} - {""}]
