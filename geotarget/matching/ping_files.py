"""Files of pings, larger than memory: opened by their suffix, read in stretches.

Parquet says itself what its columns are. CSV and NDJSON do not: their types are taken from the
first block. If a later block contradicts, there is no way to change what has been written, so the
reader raises `ReadAgain` and knows better the second time.

Costs: a stretch is 131,072 rows of CSV or Parquet, or 16 MiB of NDJSON; three or four of them are
in memory at a time.
"""

from __future__ import annotations

import gzip
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from geotarget.errors import InvalidInput, Problem
from geotarget.matching.ping_columns import PingColumns, PingRows

BATCH_ROWS = 131_072
"""Rows of a stretch, where the format allows to choose."""

UNREADABLE: tuple[type[Exception], ...] = (
    OSError,
    EOFError,
    ValueError,
    zlib.error,
    pa.ArrowException,
)
"""What reading raises when a file breaks off or is not what its name says."""


class ReadAgain(Exception):
    """The types of the columns are others than the first block said; the text says which."""


class PingFile(ABC):
    """A file of pings.

    Attributes
    ----------
    path : Path
        The file.
    columns : PingColumns
        Which columns hold the coordinates.
    schema : pyarrow.Schema
        Of the rows that are pings; may differ after `ReadAgain`.
    pipe : bool
        Whether it is a stream that somebody may leave open, and that can't be read twice.
    """

    pipe = False
    path: Path
    columns: PingColumns
    schema: pa.Schema

    @abstractmethod
    def stretches(self) -> Iterator[PingRows]:
        """Yield the rows of the file in order, from its start.

        Raises
        ------
        ReadAgain
            What was yielded has the wrong types: begin again.
        InvalidInput
            The file breaks off or is not what its name says.
        """

    @abstractmethod
    def fraction(self) -> float:
        """Return how much of the file is read, 0 to 1; NaN if nobody knows."""


class ParquetPings(PingFile):
    """Pings of a Parquet file."""

    def __init__(self, path: Path, *, columns: Mapping[str, str], threads: bool) -> None:
        self.path = path
        self._threads = threads
        with reading(path), pq.ParquetFile(path) as file:
            found = file.schema_arrow
            self._rows = file.metadata.num_rows
        self.columns = PingColumns.find(path, found.names, columns)
        self.schema = self.columns.schema(found, path)
        self._done = 0

    def stretches(self) -> Iterator[PingRows]:
        """Yield the rows, batch by batch."""
        self._done = 0
        with reading(self.path), pq.ParquetFile(self.path) as file:
            for batch in file.iter_batches(BATCH_ROWS, use_threads=self._threads):
                first = self._done + 1
                self._done += batch.num_rows
                yield self.columns.clean(pa.Table.from_batches([batch]), partial(_row, first))

    def fraction(self) -> float:
        """Return the part of the rows that is read."""
        return self._done / self._rows if self._rows else 1.0


def _row(first: int, row: int) -> str:
    return f"row {first + row}"


def open_pings(
    path: Path,
    *,
    columns: Mapping[str, str] | None = None,
    threads: int = 1,
    stream: IO[bytes] | None = None,
) -> PingFile:
    """Open a file of pings.

    Parameters
    ----------
    path
        A ``.parquet`` (``.pq``), ``.csv`` or ``.ndjson`` (``.jsonl``) file; the last two may be
        zipped (``.gz``).
    columns
        Names of columns where they are not the usual ones, such as ``{"lng": "x"}``.
    threads
        Whether decoding Parquet may use several.
    stream
        Where NDJSON comes from instead; then `path` is only its name.

    Raises
    ------
    InvalidInput
        The file can't be read, or a column is missing: the message lists those that were found.
    """
    from geotarget.matching.csv_pings import CsvPings  # noqa: PLC0415 they build on this module
    from geotarget.matching.ndjson_pings import NdjsonPings  # noqa: PLC0415

    given = columns or {}
    name = path.name.lower().removesuffix(".gz")
    if stream is not None or name.endswith((".ndjson", ".jsonl")):
        return NdjsonPings(path, columns=given, stream=stream)
    if name.endswith(".csv"):
        return CsvPings(path, columns=given)
    if path.suffix.lower() in {".parquet", ".pq"}:
        return ParquetPings(path, columns=given, threads=threads > 1)
    reason = "must be a .csv, .csv.gz, .ndjson, .jsonl, .ndjson.gz or .parquet file"
    raise InvalidInput(Problem(str(path), "", reason))


class Bytes:
    """The bytes of a file, unzipped if its name ends in ``.gz``, and how far they are read."""

    def __init__(self, path: Path, stream: IO[bytes] | None = None) -> None:
        self._raw: IO[bytes] = path.open("rb") if stream is None else stream
        self._size = path.stat().st_size if stream is None else 0
        self.file: IO[bytes] = self._raw
        if stream is None and path.suffix.lower() == ".gz":
            self.file = gzip.GzipFile(fileobj=self._raw)  # type: ignore[assignment]

    def close(self) -> None:
        """Close the file."""
        self.file.close()
        self._raw.close()

    def fraction(self) -> float:
        """Return how much is read; NaN for a stream."""
        if not self._size and not self._raw.closed:
            return float("nan")
        try:
            return self._raw.tell() / self._size
        except (OSError, ValueError):  # who reads it, in another thread, has closed it by now
            return 1.0


@contextmanager
def reading(path: Path, errors: tuple[type[Exception], ...] = UNREADABLE) -> Iterator[None]:
    """Turn what a broken file raises into `InvalidInput`."""
    try:
        yield
    except errors as error:
        first = str(error).strip().partition("\n")[0]
        raise InvalidInput(Problem(str(path), "", f"can't be read: {first}")) from error
