"""Pings of an NDJSON file, or of a pipe: one JSON object a line.

The text is cut into blocks at line ends, and Arrow reads a block. Where it can't, the block is gone
through line by line: lines that are no objects, or whose coordinates are no numbers, are left out
and named. The columns are those of the first block; where a later one has others, or other types,
the file is read from its start with both. A pipe can't be read twice, so there it is an error.

Costs: a microsecond a line of five members; ten in a block that has a bad line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.json as pa_json

from geotarget.errors import InvalidInput, Problem
from geotarget.matching.ping_columns import SHOWN_BAD_ROWS, BadRow, PingColumns, PingRows
from geotarget.matching.ping_files import Bytes, PingFile, ReadAgain, reading

BLOCK_BYTES = 16 << 20
"""Text is read in blocks of this size."""

_SAMPLE_LINES = 1_000
"""Lines whose members are looked at to find the columns."""


class NdjsonPings(PingFile):
    """Pings of an NDJSON file or stream; see `open_pings`."""

    def __init__(
        self, path: Path, *, columns: Mapping[str, str], stream: IO[bytes] | None = None
    ) -> None:
        self.path = path
        self.pipe = stream is not None
        with reading(path):
            self._source = Bytes(path, stream)
            try:
                self._left = _blocks(self._source)
                self._first = next(self._left, b"")
            finally:
                if not self.pipe:
                    self._source.close()
        sample = _objects(self._first.split(b"\n")[:_SAMPLE_LINES])
        found = list(dict.fromkeys(name for each in sample for name in each))
        self.columns = PingColumns.find(path, found, columns)
        names = (self.columns.lng, self.columns.lat)
        self._text = {name for name in names if type(_first(sample, name)) is str}
        self._known = pa.schema(
            [(name, pa.string() if name in self._text else pa.float64()) for name in names]
        )
        table, *_ = self._read(self._first)
        if not self.pipe:
            self._first = b""
        self._known = pa.schema([table.schema.field(name) for name in _in_order(found, table)])
        self.schema = self.columns.schema(self._known, path)

    def stretches(self) -> Iterator[PingRows]:
        """Yield the rows, block by block."""
        self.schema = self.columns.schema(self._known, self.path)
        line = 1
        with reading(self.path):
            blocks = chain([self._first], self._left) if self.pipe else self._again()
            for block in blocks:
                table, kept, bad = self._read(block)
                if not table.schema.equals(self._known):
                    self._widen(table.schema)
                places = _Places(block, line, kept)
                rows = self.columns.clean(table, places.place)
                named = [BadRow(f"line {line + at}", why) for at, why in bad[:SHOWN_BAD_ROWS]]
                yield replace(rows, bad=rows.bad + len(bad), named=[*named, *rows.named])
                line += block.count(b"\n")

    def fraction(self) -> float:
        """Return the part of the bytes that is read."""
        return self._source.fraction()

    def _again(self) -> Iterator[bytes]:
        with closing(Bytes(self.path)) as self._source:
            yield from _blocks(self._source)

    def _read(self, block: bytes) -> tuple[pa.Table, list[int] | None, list[tuple[int, str]]]:
        """Return the rows of a block, which lines they are (None: all), and the bad lines.

        Raises
        ------
        ReadAgain
            The types of the columns are others than those known.
        InvalidInput
            Lines that are right each by themselves do not make a table.
        """
        try:
            block.decode()
            return _table(block, self._known), None, []
        except (UnicodeDecodeError, pa.ArrowInvalid):
            lines = block.split(b"\n")
        bad = [(at, why) for at, line in enumerate(lines) if (why := self._fault(line))]
        wrong = {at for at, _ in bad}
        kept = [at for at, line in enumerate(lines) if at not in wrong and line.strip()]
        text = b"\n".join([*(lines[at] for at in kept), b""])
        try:
            return _table(text, self._known), kept, bad
        except pa.ArrowInvalid:
            names = (self.columns.lng, self.columns.lat)
            bare = pa.schema([field for field in self._known if field.name in names])
            with reading(self.path):
                self._widen(_table(text, bare).schema)
            raise

    def _fault(self, line: bytes) -> str:
        """Return why a line is no ping, or nothing; what is missing is found later."""
        if not line.strip():
            return ""
        try:
            members = json.loads(line, parse_constant=_refuse)
        except ValueError:
            return "is not JSON"
        if not isinstance(members, dict):
            return "is not a JSON object"
        for name in (self.columns.lng, self.columns.lat):
            cell = members.get(name)
            number = isinstance(cell, int | float) and not isinstance(cell, bool)
            text = isinstance(cell, str)
            if cell is not None and not (text if name in self._text else number):
                return f"{name} is not a number: {str(cell)[:40]!r}"
        return ""

    def _widen(self, found: pa.Schema) -> None:
        """Know the columns of a block too, and raise `ReadAgain`."""
        merged = _merged(self._known, found, self.path)
        before = set(self._known)
        news = ", ".join(f"{each.name} ({each.type})" for each in merged if each not in before)
        if self.pipe:
            reason = (
                f"the lines change their columns: {news}; a pipe can't be read twice, so save it "
                "to a file"
            )
            raise InvalidInput(Problem(str(self.path), "", reason))
        if news:
            self._known = merged
            raise ReadAgain(f"further columns or types: {news}")


class _Places:
    """Names the lines of a block."""

    def __init__(self, block: bytes, line: int, kept: Sequence[int] | None) -> None:
        self._block, self._line, self._kept = block, line, kept

    def place(self, row: int) -> str:
        """Return which line a row is."""
        if self._kept is None:
            lines = self._block.split(b"\n")
            self._kept = [at for at, line in enumerate(lines) if line.strip()]
        return f"line {self._line + self._kept[row]}"


def _blocks(source: Bytes) -> Iterator[bytes]:
    """Yield blocks of whole lines."""
    rest = b""
    while piece := source.file.read(BLOCK_BYTES):
        text = rest + piece
        end = text.rfind(b"\n") + 1
        if end:
            yield text[:end]
        rest = text[end:]
    if rest.strip():
        yield rest + b"\n"


def _objects(lines: Sequence[bytes]) -> list[dict[str, Any]]:
    """Return the JSON objects among lines."""
    found = []
    for line in lines:
        try:
            members = json.loads(line)
        except ValueError:
            continue
        if isinstance(members, dict):
            found.append(members)
    return found


def _first(members: Sequence[dict[str, Any]], name: str) -> Any:
    """Return the first value of a member that is there."""
    return next((each[name] for each in members if each.get(name) is not None), None)


def _in_order(names: Sequence[str], table: pa.Table) -> list[str]:
    """Return the columns of a table in the order of the file."""
    return [*(each for each in names if each in table.schema.names)] + [
        each for each in table.schema.names if each not in names
    ]


def _table(text: bytes, known: pa.Schema) -> pa.Table:
    """Read lines; columns that are not known get the type that Arrow infers."""
    if not text.strip():
        return known.empty_table()
    return pa_json.read_json(
        BytesIO(text),
        pa_json.ReadOptions(use_threads=False, block_size=len(text) + 1),
        pa_json.ParseOptions(explicit_schema=known),
    )


def _merged(known: pa.Schema, found: pa.Schema, path: Path) -> pa.Schema:
    """Return a schema that holds both; text wins over instants."""
    fields = {each.name: each for each in known}
    for each in found:
        other = fields.get(each.name, each)
        try:
            (both,) = pa.unify_schemas(
                [pa.schema([other]), pa.schema([each])], promote_options="permissive"
            )
        except pa.ArrowTypeError as error:
            kinds = {str(each.type), str(other.type)}
            if not any(kind.startswith("timestamp") for kind in kinds) or "string" not in kinds:
                reason = f"member {each.name} has values of two types, which no column can hold"
                found_kinds = ", ".join(sorted(kinds))
                raise InvalidInput(Problem(str(path), found_kinds, reason)) from error
            both = pa.field(each.name, pa.string())
        fields[each.name] = both
    return pa.schema(list(fields.values()))


def _refuse(constant: str) -> None:
    raise ValueError(constant)
