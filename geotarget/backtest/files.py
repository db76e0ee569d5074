"""What a backtest writes: every transition, every decision, and the summary.

Rows go out in the order of the commits, and nothing in them tells when or where they were written:
files of two runs are equal byte for byte. Each is written beside its place and put there when all
are whole, so a run that fails leaves what was there before.
"""

from __future__ import annotations

import contextlib
import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from geotarget.backtest.summary import MICROS, moment
from geotarget.errors import InvalidInput, Problem
from geotarget.model import Decision, Transition

OUTPUTS = ("transitions", "decisions", "summary")
GROUP_ROWS = 50_000
"""Rows of a Parquet row group, and most that are in memory."""

T = TypeVar("T")
_INSTANT = pa.timestamp("ms", tz="UTC")

Column = tuple[str, pa.DataType, Callable[[T], Any]]

TRANSITIONS: Sequence[Column[Transition]] = (
    ("time", _INSTANT, lambda each: each.ts_ms),
    ("decided", _INSTANT, lambda each: each.decided_ms),
    ("zone", pa.string(), lambda each: each.zone),
    ("device", pa.string(), lambda each: each.device),
    ("kind", pa.string(), lambda each: each.kind.value),
    ("confidence", pa.int8(), lambda each: each.confidence),
    ("p", pa.float64(), lambda each: each.p),
    ("initial", pa.bool_(), lambda each: each.initial),
    ("threshold_s", pa.int32(), lambda each: each.threshold_s),
    ("duration_s", pa.float64(), lambda each: each.duration_s),
    ("distance_m", pa.float64(), lambda each: each.distance_m),
    ("accuracy_m", pa.float64(), lambda each: each.accuracy_m),
    ("reason", pa.string(), lambda each: each.reason),
    ("visit", pa.string(), lambda each: each.visit),
    ("id", pa.string(), lambda each: each.id),
)
DECISIONS: Sequence[Column[Decision]] = (
    ("time", _INSTANT, lambda each: each.decided_ms),
    ("campaign", pa.string(), lambda each: each.campaign),
    ("gate", pa.string(), lambda each: each.gate),
    ("reason", pa.string(), lambda each: each.reason),
    ("zone", pa.string(), lambda each: each.zone),
    ("device", pa.string(), lambda each: each.device),
    ("profile", pa.string(), lambda each: each.profile),
    ("variant", pa.string(), lambda each: each.variant or ""),
    ("language", pa.string(), lambda each: each.language),
    ("cost", pa.float64(), lambda each: each.cost_micros / MICROS),
    ("day", pa.string(), lambda each: each.day),
    ("offer", pa.string(), lambda each: "" if each.offer is None else _json(each.offer)),
    ("inputs", pa.string(), lambda each: _json(each.inputs)),
    ("passed", pa.string(), lambda each: _json(each.passed)),
    ("transition", pa.string(), lambda each: each.transition),
    ("visit", pa.string(), lambda each: each.visit),
    ("id", pa.string(), lambda each: each.id),
)
"""What each file holds: name, type and where it comes from."""


def paths(folder: Path, *, parquet: bool) -> tuple[Path, ...]:
    """Return the files of a folder, in the order of `OUTPUTS`."""
    ending = "parquet" if parquet else "csv"
    endings = (ending, ending, "json")
    return tuple(folder / f"{name}.{each}" for name, each in zip(OUTPUTS, endings, strict=True))


def check_folder(folder: Path, *, parquet: bool, overwrite: bool) -> None:
    """Make sure, before any work, that the files can be written.

    Raises
    ------
    InvalidInput
        The folder can't be made, or holds one of them and `overwrite` is not set.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = f"can't be made a folder: {error.strerror or error}"
        raise InvalidInput(Problem(str(folder), "", reason)) from error
    there = [path for path in paths(folder, parquet=parquet) if path.exists()]
    if there and not overwrite:
        raise InvalidInput(*(Problem(str(path), "", "exists already") for path in there))


class Writer:
    """Takes rows one by one; made by `into`."""

    def __init__(self, transitions: _Table, decisions: _Table, summary: IO[str]) -> None:
        self._transitions, self._decisions = transitions, decisions
        self._summary = summary

    @classmethod
    @contextlib.contextmanager
    def into(cls, folder: Path, *, parquet: bool) -> Iterator[Writer]:
        """Open the files of a folder, and put them in their places at the end.

        Raises
        ------
        InvalidInput
            The folder can't be written to, or its disk is full.
        """
        places = paths(folder, parquet=parquet)
        parts = [path.with_name(f".{path.name}.part") for path in places]
        table = _Parquet if parquet else _Csv
        try:
            with contextlib.ExitStack() as stack:
                moves = stack.enter_context(contextlib.closing(table(parts[0], TRANSITIONS)))
                answers = stack.enter_context(contextlib.closing(table(parts[1], DECISIONS)))
                file = stack.enter_context(parts[-1].open("w", encoding="utf-8", newline="\n"))
                yield cls(moves, answers, file)
            for part, place in zip(parts, places, strict=True):
                part.replace(place)
        except OSError as error:
            reason = f"can't be written: {error.strerror or error}"
            raise InvalidInput(Problem(str(folder), "", reason)) from error
        finally:
            for part in parts:
                part.unlink(missing_ok=True)

    def transition(self, event: Transition) -> None:
        """Write one transition."""
        self._transitions.add(event)

    def decision(self, made: Decision) -> None:
        """Write one decision."""
        self._decisions.add(made)

    def summary(self, document: Mapping[str, Any]) -> None:
        """Write the summary."""
        self._summary.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


class _Table(Protocol):
    """A file of rows."""

    def add(self, row: Any) -> None: ...

    def close(self) -> None: ...


class _Csv:
    def __init__(self, path: Path, columns: Sequence[Column[Any]]) -> None:
        self._cells = [
            (lambda row, make=make: moment(make(row))) if kind is _INSTANT else make
            for _, kind, make in columns
        ]
        self._file = path.open("w", encoding="utf-8", newline="")
        self._csv = csv.writer(self._file, lineterminator="\n")
        self._csv.writerow([name for name, _, _ in columns])

    def add(self, row: Any) -> None:
        self._csv.writerow([_cell(make(row)) for make in self._cells])

    def close(self) -> None:
        self._file.close()


class _Parquet:
    def __init__(self, path: Path, columns: Sequence[Column[Any]]) -> None:
        self._columns = columns
        self._schema = pa.schema([(name, kind) for name, kind, _ in columns])
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._rows: list[Any] = []

    def add(self, row: Any) -> None:
        self._rows.append(row)
        if len(self._rows) >= GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._rows:
            arrays = [pa.array(map(make, self._rows), kind) for _, kind, make in self._columns]
            self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
            self._rows.clear()


def _cell(value: Any) -> Any:
    """Write truth as JSON does; None is an empty cell."""
    return str(value).lower() if isinstance(value, bool) else value


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
