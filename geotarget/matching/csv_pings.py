"""Pings of a CSV file.

Arrow reads it, block by block. Coordinates come in as text and are made numbers here, so that a
cell that is none spoils its row and not the file; a row with too many or too few cells is left out
and named. The other columns have the types that Arrow infers from the first block; where a later
cell contradicts, that column is read as something wider, from the start.

Costs: 0.2 microseconds a row of five columns, on one core.
"""

from __future__ import annotations

import csv
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.csv as pa_csv

from geotarget.errors import InvalidInput, Problem
from geotarget.matching.ping_columns import SHOWN_BAD_ROWS, BadRow, PingColumns, PingRows
from geotarget.matching.ping_files import BATCH_ROWS, Bytes, PingFile, ReadAgain, reading

BLOCK_BYTES = 2 << 20
"""Arrow parses blocks of this size, and reads thirty of them ahead."""

_SEPARATORS = ",;\t|"
_CONFLICT = re.compile(r"CSV column #(\d+): (?:Row #\d+: )?CSV conversion error to [^:]*: (.*)")
_CELL = re.compile(r"invalid value '(.*)'", re.DOTALL)


class CsvPings(PingFile):
    """Pings of a CSV file with a header; see `open_pings`.

    The separator is the comma, semicolon, tab or bar that the header uses.
    """

    def __init__(self, path: Path, *, columns: Mapping[str, str]) -> None:
        self.path = path
        with reading(path), closing(Bytes(path)) as source:
            line = source.file.readline().decode("utf-8-sig")
        self._separator = max(_SEPARATORS, key=line.count)
        header = next(csv.reader([line], delimiter=self._separator), [])
        self.columns = PingColumns.find(path, header, columns)
        self._types: dict[str, pa.DataType] = dict.fromkeys(
            (self.columns.lng, self.columns.lat), pa.string()
        )
        self._short = _ShortRows()
        with self._reader() as reader:
            self._learn(reader.schema)

    def stretches(self) -> Iterator[PingRows]:
        """Yield the rows, block by block."""
        count = 0
        with self._reader() as reader:
            self._learn(reader.schema)
            for table in _gathered(reader):
                place = partial(self._short.place, count)
                count += table.num_rows
                yield self._short.added(self.columns.clean(table, place))
            yield self._short.added(PingRows.empty(self.schema))

    def fraction(self) -> float:
        """Return the part of the bytes that is read."""
        return self._source.fraction()

    def _learn(self, schema: pa.Schema) -> None:
        """Take the types that the first block has."""
        for field in schema:
            if pa.types.is_binary(field.type):
                raise InvalidInput(Problem(str(self.path), "", _not_text(field.name)))
        self.schema = self.columns.schema(schema, self.path)

    @contextmanager
    def _reader(self) -> Iterator[Any]:
        """Open the file from its start."""
        self._short = _ShortRows()
        with reading(self.path), closing(Bytes(self.path)) as self._source:
            try:
                yield pa_csv.open_csv(
                    self._source.file,
                    # Rows have numbers only where one thread reads them.
                    pa_csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
                    pa_csv.ParseOptions(
                        delimiter=self._separator,
                        newlines_in_values=True,
                        invalid_row_handler=self._short.take,
                    ),
                    pa_csv.ConvertOptions(column_types=self._types),
                )
            except pa.ArrowInvalid as error:
                self._widen(error)
                raise

    def _widen(self, error: pa.ArrowInvalid) -> None:
        """Raise `ReadAgain` if a cell contradicts the type of its column."""
        conflict = _CONFLICT.search(str(error))
        if conflict is None:
            return
        name = self.schema.field(int(conflict[1])).name
        if "UTF8" in conflict[2]:
            raise InvalidInput(Problem(str(self.path), "", _not_text(name))) from error
        cell = _CELL.search(conflict[2])
        kind = self.schema.field(name).type
        narrow = pa.types.is_integer(kind) or pa.types.is_null(kind)
        wider = pa.float64() if narrow and cell and _is_float(cell[1]) else pa.string()
        if self._types.get(name) == wider:
            return
        self._types[name] = wider
        shown = f" {cell[1][:40]!r}" if cell else ""
        raise ReadAgain(f"column {name} is read as {wider} because of{shown}") from error


class _ShortRows:
    """Rows with too few or too many cells, as Arrow's parser comes across them."""

    def __init__(self) -> None:
        self._numbers = array("q")
        self._named: list[BadRow] = []
        self._told = 0

    def take(self, row: pa_csv.InvalidRow) -> Literal["skip"]:
        """Keep the number of a row, and why it is no ping; Arrow goes on without it."""
        number = (row.number or 1) - 1  # Arrow counts the header
        self._numbers.append(number)
        if len(self._numbers) <= SHOWN_BAD_ROWS:
            reason = f"has {row.actual_columns} cells, the header has {row.expected_columns}"
            self._named.append(BadRow(f"row {number}", reason))
        return "skip"

    def place(self, before: int, row: int) -> str:
        """Name a row, of which so many and `before` that were not left out come first."""
        number = before + row + 1
        for each in self._numbers:
            if each > number:
                break
            number += 1
        return f"row {number}"

    def added(self, rows: PingRows) -> PingRows:
        """Return rows together with what has been left out since the last time."""
        named, self._named = self._named, []
        bad, self._told = len(self._numbers) - self._told, len(self._numbers)
        return replace(rows, bad=rows.bad + bad, named=[*rows.named, *named])


def _gathered(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Yield tables of a good size."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(each.num_rows for each in waiting) >= BATCH_ROWS:
            yield pa.Table.from_batches(waiting)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting)


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _not_text(column: str) -> str:
    return f"column {column} is not UTF-8 text; convert the file first"
