"""Which columns of a file hold the coordinates, and which of its rows are pings.

Names are those of a recording (`geotarget.recording`): ``lat`` and ``lng`` or ``lon``; others are
named by the caller. Coordinates may be numbers of any type, or text as in a CSV file.

Costs: 40 nanoseconds for a coordinate that is text; a block in which one can't be read some 300
more a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from geotarget.engine.coordinates import BOUNDS, range_fault
from geotarget.errors import InvalidInput, Problem
from geotarget.model import FloatArray, IntArray

NAMES: Mapping[str, tuple[str, ...]] = {"lng": ("lng", "lon"), "lat": ("lat",)}
"""What has to be in a file, and the names that it is looked for under."""

SHOWN_BAD_ROWS = 20
"""So many bad rows of a file are named; all are counted."""

_LIKELY = {
    "lng": ("longitude", "lng", "lon", "long", "x"),
    "lat": ("latitude", "lat", "y"),
}
"""Other names that people use, in small letters; never guessed, but proposed."""

_NUMBER = r"^[+-]?((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|(?i:nan|inf|infinity))$"


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is no ping: where it stands (such as ``row 7``), and why."""

    place: str
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class PingRows:
    """A stretch of a file.

    Parameters
    ----------
    table
        The rows that are pings, with all their columns.
    lng, lat
        Their coordinates in degrees, finite and in range.
    bad
        How many rows of the stretch are no pings.
    named
        The first of these.
    """

    table: pa.Table
    lng: FloatArray
    lat: FloatArray
    bad: int
    named: Sequence[BadRow]

    @classmethod
    def empty(cls, schema: pa.Schema) -> PingRows:
        """Return a stretch without rows."""
        return cls(schema.empty_table(), np.zeros(0), np.zeros(0), 0, [])


@dataclass(frozen=True, slots=True)
class PingColumns:
    """The names of the columns that hold coordinates."""

    lng: str
    lat: str

    @classmethod
    def find(cls, path: Path, found: Sequence[str], given: Mapping[str, str]) -> PingColumns:
        """Find the columns among those of a file.

        Parameters
        ----------
        path
            The file, for messages.
        found
            All its columns.
        given
            Names where they are not the usual ones, such as ``{"lng": "x"}``.

        Raises
        ------
        InvalidInput
            There is no such column, or more than one: the message lists those that were found.

        Examples
        --------
        >>> PingColumns.find(Path("a.csv"), ["ts", "lat", "lon"], {})
        PingColumns(lng='lon', lat='lat')
        """
        unknown = [name for name in given if name not in NAMES]
        if unknown:
            reason = f"a column is one of {', '.join(NAMES)}"
            raise InvalidInput(Problem("columns", unknown[0], reason))
        chosen = {}
        for meaning, usual in NAMES.items():
            wanted = (given[meaning],) if meaning in given else usual
            name = next((each for each in wanted if each in found), None)
            if name is None:
                reason = (
                    f"has no column {' or '.join(wanted)}; name yours with"
                    f" --columns {meaning}={_proposal(meaning, found)}"
                )
                raise InvalidInput(Problem(str(path), f"found: {', '.join(found)}", reason))
            chosen[meaning] = name
        return cls(**chosen)

    def schema(self, schema: pa.Schema, path: Path) -> pa.Schema:
        """Return the schema of the cleaned rows: coordinates that are text become float64.

        Raises
        ------
        InvalidInput
            A coordinate is neither number nor text, or two columns have one name.
        """
        twice = [name for name in schema.names if schema.names.count(name) > 1]
        if twice:
            found = f"found: {', '.join(schema.names)}"
            raise InvalidInput(Problem(str(path), found, f"has two columns {twice[0]!r}"))
        for meaning, name in (("lng", self.lng), ("lat", self.lat)):
            place = schema.get_field_index(name)
            kind = schema.field(place).type
            if _is_text(kind):
                schema = schema.set(place, pa.field(name, pa.float64()))
            elif not _is_number(kind) and not pa.types.is_null(kind):
                reason = f"column {name} can't hold a {_WORDS[meaning]}: it must hold numbers"
                raise InvalidInput(Problem(str(path), str(kind), reason))
        return schema

    def clean(self, table: pa.Table, place: Callable[[int], str]) -> PingRows:
        """Return the pings among rows, and what is wrong with the others.

        Parameters
        ----------
        table
            Rows of a file.
        place
            Returns how the row at a position is named.
        """
        x, y = (_values(table.column(name)) for name in (self.lng, self.lat))
        fits = (np.abs(x) <= BOUNDS["lng"]) & (np.abs(y) <= BOUNDS["lat"])
        wrong: IntArray = np.flatnonzero(~fits)
        named = [
            BadRow(place(row), self._reason(table, row, x, y))
            for row in wrong[:SHOWN_BAD_ROWS].tolist()
        ]
        for name, values in ((self.lng, x), (self.lat, y)):
            column = table.schema.get_field_index(name)
            if _is_text(table.schema.field(column).type):
                table = table.set_column(column, name, pa.array(values))
        if len(wrong):
            table, x, y = table.filter(pa.array(fits)), x[fits], y[fits]
        return PingRows(table, x, y, len(wrong), named)

    def _reason(self, table: pa.Table, row: int, x: FloatArray, y: FloatArray) -> str:
        for meaning, name, values in (("lng", self.lng, x), ("lat", self.lat, y)):
            value = float(values[row])
            if abs(value) <= BOUNDS[meaning]:
                continue
            cell: Any = table.column(name)[row].as_py()
            text = str(cell).strip()
            if cell is None or not text:
                return f"{name} is empty"
            if np.isnan(value) and text.lower().lstrip("+-") != "nan":
                return f"{name} is not a number: {text[:40]!r}"
            return f"{name}: {range_fault(meaning)} ({value})"
        raise AssertionError(row)


_WORDS = {"lng": "longitude", "lat": "latitude"}


def _proposal(meaning: str, found: Sequence[str]) -> str:
    """Return the column that is probably meant, or NAME."""
    small = {name.strip().lower(): name for name in reversed(found)}
    return next((small[each] for each in _LIKELY[meaning] if each in small), "NAME")


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return (
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def _values(column: Any) -> FloatArray:
    """Return a column of numbers or text as float64; NaN for what is no number."""
    if _is_text(column.type):
        column = pc.cast(column, pa.string())
        try:
            column = pc.cast(column, pa.float64())
        except pa.ArrowInvalid:
            text = pc.utf8_trim_whitespace(column)
            number = pc.if_else(pc.match_substring_regex(text, _NUMBER), text, None)
            column = pc.cast(number, pa.float64())
    else:
        column = pc.cast(column, pa.float64(), safe=False)
    return np.asarray(column.to_numpy(), np.float64)  # nulls become NaN
