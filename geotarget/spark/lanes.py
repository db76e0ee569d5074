"""The rows that a task of a campaign backtest gets: profiles first, then pings by time.

A stream, so that neither the profiles of a partition nor its pings are ever in memory at once.
Making a row of it costs a microsecond.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - everybody's name for it

from geotarget.engine.coordinates import check_range, coordinates
from geotarget.errors import InvalidInput, InvalidPing, Problem
from geotarget.model import IntArray, Profile
from geotarget.profile_files import profile_of
from geotarget.recording import RecordedPing
from geotarget.spark.columns import at_work

_MOST_S = 1e11
"""As `geotarget.detect_transitions`: epoch seconds, not milliseconds."""

_ORDER = ("ts", "device", "acc", "lng", "lat", "id")


def in_lanes(pings: DataFrame, people: DataFrame | None, partitions: int | None) -> DataFrame:
    """Return what tasks get: all of a profile in one partition, its document before all pings.

    Parameters
    ----------
    pings
        With the column ``key``.
    people
        As `documents` gives them; None where nobody is known.
    partitions
        How many; as Spark is set if None.
    """
    rows = pings.withColumn("document", F.lit(None).cast("string"))
    if people is not None:
        known = people.select(
            F.col("profile").alias("key"), F.col("profile").alias("device"), "document"
        )
        rows = rows.unionByName(known, allowMissingColumns=True)
    rows = rows.repartition(*(() if partitions is None else (partitions,)), "key")
    order = [each for each in _ORDER if each in rows.columns]
    return rows.sortWithinPartitions(F.col("document").isNull(), *order).drop("key")


_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Lane:
    """The rows of one partition; `profiles` first, `pings` afterwards, each once.

    Parameters
    ----------
    batches
        As `in_lanes` orders them.

    Examples
    --------
    >>> rows = pa.record_batch({
    ...     "device": ["ann", "a"], "ts": [None, 7.0], "lng": [None, 25.0], "lat": [None, 60.0],
    ...     "document": ['{"id": "ann", "devices": ["a"]}', None]})
    >>> lane = Lane([rows])
    >>> [each.id for each in lane.profiles()], [each.ts_ms for each in lane.pings()]
    (['ann'], [7000])
    """

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        self._waiting = (batch for batch in batches if batch.num_rows)
        self._batch: pa.RecordBatch | None = next(self._waiting, None)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left."""
        return self._batch is None

    def profiles(self) -> Iterator[Profile]:
        """Yield the profiles that the partition begins with.

        Raises
        ------
        InvalidInput
            A document is none, or two have one id.
        """
        before = ""
        while self._batch is not None:
            column: Any = self._batch.column("document")
            known = self._batch.num_rows - column.null_count
            for document in column.slice(0, known).to_pylist():
                profile = _profile(document)
                if profile.id == before:
                    reason = "is the id of two profiles"
                    raise InvalidInput(Problem("profiles", before, reason))
                before = profile.id
                yield profile
            if known < self._batch.num_rows:
                self._batch = self._batch.slice(known)
                return
            self._batch = next(self._waiting, None)

    def pings(self) -> Iterator[RecordedPing]:
        """Yield the pings that come then.

        Raises
        ------
        InvalidPing
            A value is missing or out of range.
        """
        while self._batch is not None:
            try:
                yield from _pings(self._batch)
            except InvalidPing as error:
                raise at_work(error, "lng", "lat", "device", "ts") from None
            self._batch = next(self._waiting, None)


def _profile(document: str) -> Profile:
    shown = document[:80]
    try:
        profile, _ = profile_of(_decode(document))
    except msgspec.DecodeError as error:
        raise InvalidInput(Problem("profiles", shown, f"is no JSON object: {error}")) from None
    except InvalidInput as error:
        problems = (
            Problem(f"profiles, {shown}: {each.path}", each.value, each.reason)
            for each in error.problems
        )
        raise InvalidInput(*problems) from None
    return profile


def _pings(batch: pa.RecordBatch) -> Iterator[RecordedPing]:
    for name in ("device", "ts"):
        if batch.column(name).null_count:
            raise InvalidPing(Problem(name, "null", "is missing"))
    lng, lat = coordinates(batch.column("lng"), batch.column("lat"))
    check_range(lng, lat)
    names = batch.schema.names
    acc: Iterable[Any] = repeat(np.nan)
    if "acc" in names:
        acc = batch.column("acc").fill_null(np.nan).to_pylist()
    ids: Iterable[Any] = repeat("")
    if "id" in names:
        ids = batch.column("id").fill_null("").to_pylist()
    rows = zip(
        batch.column("device").to_pylist(),
        _milliseconds(batch.column("ts")).tolist(),
        lat.tolist(),
        lng.tolist(),
        acc,
        ids,
        strict=False,
    )
    return map(RecordedPing._make, rows)


def _milliseconds(column: Any) -> IntArray:
    """Return instants as a recording reads them: the nearest millisecond, half to even."""
    if pa.types.is_timestamp(column.type):
        micros = column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64())
        seconds = micros.to_numpy() / 1e6
    else:
        seconds = column.to_numpy().astype(np.float64)
    bad = np.flatnonzero(~(np.abs(seconds) <= _MOST_S))
    if len(bad):
        reason = f"must be a timestamp or epoch seconds, at most {_MOST_S:.0f}"
        raise InvalidPing(Problem("ts", repr(float(seconds[bad[0]])), reason))
    instants: IntArray = np.rint(seconds * 1000.0).astype(np.int64)
    return instants
