"""Tables as CSV that a spreadsheet can open without harm.

RFC 4180: one header row, CRLF, quotes where they are needed; UTF-8. A text that a spreadsheet would
take for a formula (it begins with ``=``, ``+``, ``-`` or ``@``, spaces before it do not count, or
with a tab or a line break) gets an apostrophe in front: ids and names are written by others.
Numbers stay numbers, negative ones too. What is not known or not shown is an empty cell.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

MEDIA_TYPE = "text/csv"

Value = str | int | float | bool | None

_FORMULA = ("=", "+", "-", "@")
_BREAKING = ("\t", "\r", "\n")


def to_csv(columns: Sequence[str], rows: Iterable[Sequence[Value]]) -> str:
    r"""Return a table as CSV.

    Parameters
    ----------
    columns
        Names for the header.
    rows
        As many values each.

    Raises
    ------
    ValueError
        A row is of another length.

    Examples
    --------
    >>> to_csv(["zone", "visits"], [["=1+1", 12], ["a,b", None]])
    'zone,visits\r\n\'=1+1,12\r\n"a,b",\r\n'
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([cell(column) for column in columns])
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"a row has {len(row)} values, there are {len(columns)} columns")
        writer.writerow([cell(value) for value in row])
    return out.getvalue()


def cell(value: Value) -> str:
    """Return the text of a cell.

    Examples
    --------
    >>> cell(-2.5), cell("-2.5"), cell(None), cell(True), cell(1e-7)
    ('-2.5', "'-2.5", '', 'true', '0.0000001')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        text = repr(value)
        return f"{value:.12f}".rstrip("0") if "e-" in text else text
    if isinstance(value, int):
        return str(value)
    dangerous = value.lstrip().startswith(_FORMULA) or value.startswith(_BREAKING)
    return f"'{value}" if dangerous else value
