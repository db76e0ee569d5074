"""Files of recorded pings: which columns they have, row by row, and whether they are in order.

A recording is a CSV or Parquet file of any size, streamed: a row costs about 3 µs. One that is out
of order of time is sorted: in memory up to `SORTED_ROWS` rows of some 50 bytes, a longer one
through sorted runs in the folder for temporary files, for some 60 bytes of disk and 5 µs a row.

A row that can't be read as a ping comes out as a `BadRow` with place and reason, never as silence.
A row that can be read comes out as it is, even (0, 0) or latitude 95: to judge is not for here.
"""

from __future__ import annotations

import csv
import gzip
import heapq
import io
import math
import operator
import re
import tempfile
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from sys import intern
from typing import Any, NamedTuple

import msgspec

from geotarget.errors import InvalidInput, Problem

SORTED_ROWS = 5_000_000
"""A recording that is out of order is sorted in memory up to this many rows, beyond on disk."""

RUN_ROWS, BLOCK_ROWS = 500_000, 1_000
"""A sorted run on disk, and how much of each is in memory while they are merged."""

MILLISECONDS_FROM = 1e11
"""Epoch numbers from here on are milliseconds: as seconds they would lie beyond the year 5138."""

NAMES: Mapping[str, tuple[str, ...]] = {
    "device": ("device",),
    "ts": ("ts",),
    "lat": ("lat",),
    "lng": ("lng", "lon"),
    "acc": ("acc",),
    "id": ("id",),
}
"""Columns that a recording has, and the names they are looked for under."""

OPTIONAL = frozenset({"acc", "id"})

_DEVICE = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Device ids that every broker carries as a level of a topic."""


class RecordedPing(NamedTuple):
    """One row of a recording; `acc` is NaN and `id` empty where there is none."""

    device: str
    ts_ms: int
    lat: float
    lng: float
    acc: float
    id: str


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is no ping: where it stands, and why."""

    place: str
    reason: str


@dataclass(frozen=True, slots=True)
class Survey:
    """What the first reading of a recording found."""

    pings: int
    bad: int
    first_ms: int
    last_ms: int
    in_order: bool


class Recording:
    """A file of recorded pings: ``.csv`` (also ``.csv.gz``) or ``.parquet``.

    A CSV file has a header; its separator is the comma, semicolon, tab or bar that the header
    uses. Times are epoch seconds, epoch milliseconds or ISO 8601 (UTC unless there is an offset).

    Parameters
    ----------
    path
        The file.
    columns
        Names of columns where they are not the usual ones, such as ``{"device": "vehicle_id"}``.
    limit
        Read only so many pings from the start of the file.

    Raises
    ------
    InvalidInput
        The file can't be read, or a column is missing: the message lists those that were found.
    """

    def __init__(
        self, path: Path, *, columns: Mapping[str, str] | None = None, limit: int | None = None
    ) -> None:
        self.path = path
        self._limit = limit
        unknown = [name for name in columns or () if name not in NAMES]
        if unknown:
            raise InvalidInput(
                Problem("columns", unknown[0], f"a column is one of {', '.join(NAMES)}")
            )
        self._parquet = path.suffix.lower() in {".parquet", ".pq"}
        found = self._header()
        self._columns = _match(path, found, columns or {})

    def rows(self) -> Iterator[RecordedPing | BadRow]:
        """Yield every row in the order of the file.

        Raises
        ------
        InvalidInput
            The file breaks off or is not what its name says.
        """
        cells = self._parquet_cells() if self._parquet else self._csv_cells()
        left = self._limit
        for place, row in cells:
            if left == 0:
                return
            try:
                if isinstance(row, str):
                    raise ValueError(row)  # noqa: TRY004, TRY301 one way out for all bad rows
                ping = _read(row)
            except ValueError as error:
                yield BadRow(place, str(error))
            else:
                yield ping
                left = None if left is None else left - 1

    def survey(self, on_row: Callable[[int], object] | None = None) -> Survey:
        """Read the whole file once.

        Parameters
        ----------
        on_row
            Called now and then with the number of rows so far.
        """
        pings = bad = 0
        first = last = before = None
        in_order = True
        for count, row in enumerate(self.rows(), 1):
            if on_row and count % 10_000 == 0:
                on_row(count)
            if isinstance(row, BadRow):
                bad += 1
                continue
            pings += 1
            first = row.ts_ms if first is None else min(first, row.ts_ms)
            last = row.ts_ms if last is None else max(last, row.ts_ms)
            in_order = in_order and (before is None or row.ts_ms >= before)
            before = row.ts_ms
        return Survey(pings, bad, first or 0, last or 0, in_order)

    def _header(self) -> Sequence[str]:
        try:
            if self._parquet:
                import pyarrow.parquet as pq  # noqa: PLC0415 half a second that CSV need not pay

                return [str(name) for name in pq.read_schema(self.path).names]
            with self._open() as file:
                line = file.readline()
                self._separator = max(",;\t|", key=line.count)
                return next(csv.reader([line], delimiter=self._separator), [])
        except (OSError, EOFError, ValueError, csv.Error, zlib.error) as error:
            raise InvalidInput(Problem(str(self.path), "", f"can't be read: {error}")) from error

    def _open(self) -> io.TextIOBase:
        # A byte that is not UTF-8 spoils its cell, not the whole file.
        zipped = self.path.suffix.lower() == ".gz"
        raw = gzip.open(self.path) if zipped else self.path.open("rb")  # noqa: SIM115 the wrapper closes it
        return io.TextIOWrapper(raw, encoding="utf-8-sig", errors="replace", newline="")

    def _csv_cells(self) -> Iterator[tuple[str, Mapping[str, Any] | str]]:
        """Yield (place, cells by column), or (place, reason)."""
        with self._open() as file:
            reader = csv.reader(file, delimiter=self._separator)
            header = next(reader)
            at = {name: header.index(column) for name, column in self._columns.items()}
            while True:
                place = f"line {reader.line_num + 1}"
                try:
                    row = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    yield place, str(error)
                    continue
                except (OSError, EOFError, ValueError, zlib.error) as error:
                    raise InvalidInput(Problem(f"{self.path}, {place}", "", str(error))) from error
                if not row:
                    continue
                if len(row) != len(header):
                    yield place, f"has {len(row)} cells, the header has {len(header)}"
                    continue
                yield place, {name: row[position] for name, position in at.items()}

    def _parquet_cells(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        import pyarrow.parquet as pq  # noqa: PLC0415 half a second that CSV need not pay

        number = 0
        names = list(self._columns)
        try:
            with pq.ParquetFile(self.path) as file:
                for batch in file.iter_batches(16_384, columns=list(self._columns.values())):
                    table = [batch.column(self._columns[name]).to_pylist() for name in names]
                    for row in zip(*table, strict=True):
                        number += 1
                        yield f"row {number}", dict(zip(names, row, strict=True))
        except (OSError, ValueError) as error:
            raise InvalidInput(Problem(f"{self.path}, row {number}", "", str(error))) from error


def _match(path: Path, found: Sequence[str], given: Mapping[str, str]) -> dict[str, str]:
    """Return column name by meaning."""
    columns: dict[str, str] = {}
    for meaning, usual in NAMES.items():
        wanted = (given[meaning],) if meaning in given else usual
        name = next((each for each in wanted if each in found), None)
        if name is not None:
            columns[meaning] = name
        elif meaning not in OPTIONAL or meaning in given:
            raise InvalidInput(
                Problem(
                    str(path),
                    "found: " + ", ".join(found),
                    f"has no column {' or '.join(wanted)}; name yours with"
                    f" --columns {meaning}=NAME",
                )
            )
    return columns


def _read(cells: Mapping[str, Any]) -> RecordedPing:
    """Read a row; raises ValueError with the reason."""
    acc = cells.get("acc")
    name = cells.get("id")
    return RecordedPing(
        device=_device(cells["device"]),
        ts_ms=_instant(cells["ts"]),
        lat=_number("lat", cells["lat"]),
        lng=_number("lng", cells["lng"]),
        acc=math.nan if acc is None or acc == "" else _number("acc", acc),
        id="" if name is None else str(name),
    )


def _device(cell: object) -> str:
    device = "" if cell is None else str(cell)
    if not device:
        raise ValueError("device is empty")
    if not _DEVICE.fullmatch(device):
        raise ValueError(
            f"device {device[:80]!r} can't be part of a topic everywhere:"
            " 1 to 64 letters, digits, _ and - can"
        )
    return intern(device)


def _number(name: str, cell: object) -> float:
    try:
        return float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        if cell is None or cell == "":
            raise ValueError(f"{name} is empty") from None
        raise ValueError(f"{name} is not a number: {str(cell)[:40]!r}") from None


def _iso_8601(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"ts is neither a number nor ISO 8601: {text[:40]!r}") from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _instant(cell: object) -> int:
    """Return Unix milliseconds of an epoch number, an ISO 8601 text or a datetime."""
    if isinstance(cell, str) and cell and not _is_number(cell):
        cell = _iso_8601(cell)
    if isinstance(cell, datetime):
        return round((cell if cell.tzinfo else cell.replace(tzinfo=UTC)).timestamp() * 1000)
    number = _number("ts", cell)
    if not math.isfinite(number):
        raise ValueError(f"ts is not finite: {number}")
    return round(number if number >= MILLISECONDS_FROM else number * 1000)


def pings_in_order(
    recording: Recording, survey: Survey, on_bad: Callable[[BadRow], object]
) -> Iterator[RecordedPing]:
    """Yield the pings of a recording in order of time; those of one time in that of the file.

    Parameters
    ----------
    recording, survey
        What to read, and what is known of it.
    on_bad
        Called with every row that is no ping.

    Raises
    ------
    InvalidInput
        The file breaks off, or the folder for temporary files has no room for a long one.
    """
    pings = _good(recording.rows(), on_bad)
    if survey.in_order:
        return pings
    return _sorted(pings) if survey.pings <= SORTED_ROWS else _merged(pings)


def _good(
    rows: Iterable[RecordedPing | BadRow], on_bad: Callable[[BadRow], object]
) -> Iterator[RecordedPing]:
    for row in rows:
        if isinstance(row, BadRow):
            on_bad(row)
        else:
            yield row


def _sorted(pings: Iterable[RecordedPing]) -> Iterator[RecordedPing]:
    """Sort by time; pings of one time stay in their order."""
    device: list[str] = []
    ids: list[str] = []
    ts, places = array("q"), array("d")
    for ping in pings:
        device.append(ping.device)
        ids.append(ping.id)
        ts.append(ping.ts_ms)
        places.extend((ping.lat, ping.lng, ping.acc))
    for i in sorted(range(len(ts)), key=ts.__getitem__):
        lat, lng, acc = places[3 * i : 3 * i + 3]
        yield RecordedPing(device[i], ts[i], lat, lng, acc, ids[i])


def _merged(pings: Iterator[RecordedPing]) -> Iterator[RecordedPing]:
    """Sort by time through sorted runs on disk; the order is that of `_sorted`, to the last row."""
    with tempfile.TemporaryDirectory(prefix="geotarget-sort-") as folder:
        runs: list[Path] = []
        while rows := list(islice(pings, RUN_ROWS)):
            rows.sort(key=_by_time)
            runs.append(Path(folder) / f"{len(runs)}.run")
            try:
                _spill(rows, runs[-1])
            except OSError as error:
                reason = f"it is not in order of time, and can't be sorted: {error}"
                raise InvalidInput(Problem(folder, "", reason)) from error
        yield from heapq.merge(*map(_run, runs), key=_by_time)


_by_time = operator.attrgetter("ts_ms")
_encode_block = msgspec.msgpack.Encoder().encode
_decode_block = msgspec.msgpack.Decoder(list[RecordedPing]).decode


def _spill(rows: Sequence[RecordedPing], path: Path) -> None:
    with path.open("wb") as file:
        for start in range(0, len(rows), BLOCK_ROWS):
            block = _encode_block(rows[start : start + BLOCK_ROWS])
            file.write(len(block).to_bytes(4, "big"))
            file.write(block)


def _run(path: Path) -> Iterator[RecordedPing]:
    with path.open("rb") as file:
        while size := file.read(4):
            yield from _decode_block(file.read(int.from_bytes(size, "big")))
