"""One match of a file with an index, from the first block to the rename of the result.

Reading, matching and writing overlap: a block is decoded and another is written in threads of
their own while a third is matched. No more than these few are in memory, however long the file is.

The result is written under another name in the same folder and renamed when it is whole. Whatever
happens before that, nothing half-written bears the name that was asked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from geotarget.engine import ZoneIndex
from geotarget.errors import InvalidInput, InvalidPing, Problem
from geotarget.matching.pairs import (
    ZONE_COLUMN,
    Keep,
    check_free,
    find_pairs,
    id_dictionary,
    taken,
    zone_ids,
)
from geotarget.matching.ping_columns import BadRow
from geotarget.matching.ping_files import PingFile, ReadAgain

Item = TypeVar("Item")

GROUP_ROWS = 500_000
"""Rows are gathered until a row group of Parquet has so many,"""

GROUP_BYTES = 64 << 20
"""or so many bytes."""

ZONE_TYPE = pa.dictionary(pa.int32(), pa.string())


@dataclass(slots=True)
class Progress:
    """How far a match is, and at its end what it came to.

    Parameters
    ----------
    pings
        Rows that were matched.
    bad
        Rows that are no pings, and were left out.
    pairs
        Pairs of ping and zone.
    fraction
        How much of the file is read, 0 to 1; NaN if nobody knows.
    """

    pings: int = 0
    bad: int = 0
    pairs: int = 0
    fraction: float = 0.0


def match_files(
    zones: ZoneIndex,
    pings: PingFile,
    output: Path,
    *,
    keep: Keep = Keep.MATCHED,
    zone_column: str = ZONE_COLUMN,
    threads: int = 1,
    strict: bool = False,
    overwrite: bool = False,
    on_progress: Callable[[Progress], object] = lambda _: None,
    on_bad: Callable[[BadRow], object] = lambda _: None,
    on_again: Callable[[str], object] = lambda _: None,
) -> Progress:
    """Write one row for each pair of a ping and a zone that covers it, as Parquet.

    Parameters
    ----------
    zones, pings
        What is matched.
    output
        The file to write: all columns of the pings and the zones' ids, ordered by ping, then by
        zone.
    keep
        Whether pings that are in no zone are written, too.
    zone_column
        Name of the column of zones.
    threads
        How many share a query; with one, reading and writing use no other either.
    strict
        Refuse rows that are no pings instead of leaving them out.
    overwrite
        Replace a file that exists.
    on_progress
        Called after every stretch of the file.
    on_bad
        Called with the first bad rows of each stretch.
    on_again
        Called with the reason when the file is read from its start once more; what was counted
        before is void.

    Raises
    ------
    InvalidInput
        The output exists, or the pings have a column `zone_column`.
    InvalidPing
        A row is no ping, and that is not allowed.
    """
    check_output(output, overwrite=overwrite)
    check_free(zone_column, pings.schema.names)
    while True:
        try:
            with _written(output, overwrite=overwrite) as unfinished:
                return _attempt(
                    zones,
                    pings,
                    unfinished,
                    keep=keep,
                    zone_column=zone_column,
                    threads=threads,
                    strict=strict,
                    on_progress=on_progress,
                    on_bad=on_bad,
                )
        except ReadAgain as reason:
            on_again(str(reason))


def check_output(output: Path, *, overwrite: bool) -> None:
    """Raise `InvalidInput` for an output that can't be written."""
    if output.suffix.lower() not in {".parquet", ".pq"}:
        raise InvalidInput(Problem(str(output), "", "the result is Parquet: name it .parquet"))
    if not output.parent.is_dir():
        raise InvalidInput(Problem(str(output), "", "there is no such folder"))
    if output.exists() and not overwrite:
        raise InvalidInput(Problem(str(output), "", "exists; --overwrite replaces it"))


def _attempt(
    zones: ZoneIndex,
    pings: PingFile,
    unfinished: Path,
    *,
    keep: Keep,
    zone_column: str,
    threads: int,
    strict: bool,
    on_progress: Callable[[Progress], object],
    on_bad: Callable[[BadRow], object],
) -> Progress:
    done = Progress()
    ids = id_dictionary(zones)
    with ExitStack() as stack:
        stretches = pings.stretches()
        first = next(stretches, None)  # only now is the schema that of this attempt
        schema = pings.schema.append(pa.field(zone_column, ZONE_TYPE))
        writer = stack.enter_context(_Groups(unfinished, schema, alongside=threads > 1))
        # A thread that waits for a pipe could not be interrupted.
        alone = threads == 1 or pings.pipe
        rest = stretches if alone else stack.enter_context(_ahead(stretches))
        rows = first
        while rows is not None:
            for each in rows.named:
                on_bad(each)
            if strict and rows.bad:
                raise InvalidPing(
                    *(
                        Problem(f"{pings.path}, {each.place}", "", each.reason)
                        for each in rows.named
                    )
                )
            ping, zone = find_pairs(zones, lng=rows.lng, lat=rows.lat, keep=keep, threads=threads)
            done.pings += len(rows.lng)
            done.bad += rows.bad
            done.pairs += int((zone >= 0).sum())
            done.fraction = pings.fraction()
            table = taken(rows.table, ping).append_column(zone_column, zone_ids(zone, ids))
            writer.write(table.cast(schema))
            on_progress(done)
            rows = next(rest, None)
    return done


class _Groups:
    """Writes tables as row groups of a good size, if wished in a thread of its own."""

    def __init__(self, path: Path, schema: pa.Schema, *, alongside: bool) -> None:
        text = [each.name for each in schema if not pa.types.is_floating(each.type)]
        # A dictionary of coordinates is built in vain, and costs more than all the rest.
        self._writer = pq.ParquetWriter(path, schema, use_dictionary=text)  # type: ignore[arg-type]
        self._waiting: list[pa.Table] = []
        self._rows = self._bytes = 0
        self._pool = ThreadPoolExecutor(1) if alongside else None
        self._writing: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._flush()
                self._settle()
        finally:
            if self._pool is not None:
                self._pool.shutdown()
            self._writer.close()

    def write(self, table: pa.Table) -> None:
        """Take some rows; they are written when there are enough."""
        self._waiting.append(table)
        self._rows += table.num_rows
        self._bytes += table.get_total_buffer_size()
        if self._rows >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        group = pa.concat_tables(self._waiting).unify_dictionaries() if self._waiting else None
        self._waiting, self._rows, self._bytes = [], 0, 0
        self._settle()
        if group is None or not group.num_rows:
            return
        if self._pool is None:
            self._writer.write_table(group, group.num_rows)
        else:
            self._writing = self._pool.submit(self._writer.write_table, group, group.num_rows)

    def _settle(self) -> None:
        if self._writing is not None:
            self._writing.result()
            self._writing = None


@contextmanager
def _ahead(items: Iterator[Item]) -> Iterator[Iterator[Item]]:
    """Yield an iterator over the same items, of which the next is being made meanwhile."""

    def each() -> Iterator[Item]:
        coming = pool.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = pool.submit(next, items, None)
            yield item

    with ThreadPoolExecutor(1) as pool:
        yield each()


@contextmanager
def _written(output: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield a name beside the output that becomes the output's if all goes well."""
    unfinished = output.with_name(f".{output.name}.{os.getpid()}.unfinished")
    try:
        yield unfinished
        check_output(output, overwrite=overwrite)  # somebody may have been quicker
        unfinished.replace(output)
    finally:
        with suppress(FileNotFoundError):
            unfinished.unlink()
