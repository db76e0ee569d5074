"""Who entered, stayed and left, of all devices of a data lake: `geotarget.detect_transitions`.

Devices don't influence each other, so Spark brings all pings of a device to one partition and sorts
that by device and time; a task then plays stretches of many whole devices to the engine, one call
for some 100,000 pings. A call for each device (``applyInArrow``) would pay the engine's fixed costs
millions of times: at 500 pings a device 6 µs a ping where this takes 1.5. A device that fills a
stretch by itself, as the id of nobody often does, is fed in pieces, and memory stays flat.

Costs: the shuffle and the sort of four columns, and what the engine takes (`benchmarks/spark.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql.types import (
    BooleanType,
    ByteType,
    DataType,
    DoubleType,
    IntegerType,
    NumericType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from geotarget.engine import Rules, ZoneIndex
from geotarget.engine.offline import SCHEMA, Detection
from geotarget.errors import InvalidInput, InvalidPing, Problem
from geotarget.spark.columns import at_work, check_columns, named
from geotarget.spark.kernels import first_alone
from geotarget.spark.shipping import ShippedIndex, Zones, opened, ship

STRETCH = 100_000
"""So many pings are played at once, if they are those of whole devices."""

MOST = 1_000_000
"""So many of one device and one time are held back to be played at once."""

_INSTANT = pa.timestamp("us", tz="UTC")  # the only one that Spark knows
_OUT = pa.schema(
    [
        pa.field(each.name, _INSTANT if pa.types.is_timestamp(each.type) else each.type)
        for each in SCHEMA
    ]
)
_KINDS: Mapping[pa.DataType, DataType] = {
    pa.string(): StringType(),
    pa.int8(): ByteType(),
    pa.int32(): IntegerType(),
    pa.float64(): DoubleType(),
    pa.bool_(): BooleanType(),
    _INSTANT: TimestampType(),
}
EVENTS = StructType([StructField(each.name, _KINDS[each.type]) for each in _OUT])
"""What a DataFrame of transitions holds: the columns of `geotarget.detect_transitions`."""


@dataclass(frozen=True)
class Detector:
    """Plays Arrow batches to the engine; made by `detector`, called by Spark for each partition."""

    zones: Zones
    rules: Rules | None
    dwell_s: tuple[int, ...]
    until: float | None
    stretch: int = STRETCH

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the transitions of devices that come one after the other, each in time order."""
        stretches = whole_devices(batches, self.stretch)
        first = next(stretches, None)
        if first is None:
            return
        detection = Detection(opened(self.zones), rules=self.rules, dwell_s=self.dwell_s)
        with first_alone("detect"):
            events = self._played(detection, *first)
        yield from events.to_batches()
        for pings, whole in stretches:
            yield from self._played(detection, pings, whole).to_batches()

    def _played(self, detection: Detection, pings: pa.Table, whole: bool) -> pa.Table:  # noqa: FBT001
        try:
            for name in ("device", "ts"):
                if pings.column(name).null_count:
                    raise InvalidPing(Problem(name, "null", "is missing"))  # noqa: TRY301
            events = detection.feed(pings)
        except InvalidPing as error:
            raise at_work(error, "lng", "lat", "device", "ts") from None
        if whole:
            if self.until is not None:
                events = pa.concat_tables([events, detection.settle(self.until)])
            detection.forget()
        return events.cast(_OUT)


def detector(
    zones: Zones,
    *,
    rules: Rules | None = None,
    dwell_s: Sequence[int] = (),
    until: float | None = None,
) -> Detector:
    """Return the function that `detect` hands to Spark, for those who want to call it themselves.

    Parameters
    ----------
    zones
        What `ship` returned; an index where everything happens in one process.
    rules, dwell_s, until
        As of `geotarget.detect_transitions`.

    Returns
    -------
    Detector
        For ``df.mapInArrow(…, EVENTS)``. Batches have columns ``device, ts, lng, lat`` and, if
        there is one, ``acc``; pings of a device must follow each other, in the order of time.

    Examples
    --------
    >>> square = {"type": "Feature", "id": "square", "properties": {}, "geometry": {
    ...     "type": "Polygon",
    ...     "coordinates": [[[0, 0], [0.01, 0], [0.01, 0.01], [0, 0.01], [0, 0]]]}}
    >>> function = detector(ZoneIndex.from_geojson(square), dwell_s=[60], until=300)
    >>> pings = pa.record_batch({"device": ["a", "b"], "ts": [0.0, 0.0],
    ...                          "lng": [0.005, 3.0], "lat": [0.005, 0.0], "acc": [5.0, 5.0]})
    >>> [row["kind"] for rows in function([pings]) for row in rows.to_pylist()]
    ['enter', 'dwell']
    """
    return Detector(zones, rules, tuple(dwell_s), until)


def detect(
    df: DataFrame,
    zones: ZoneIndex | ShippedIndex | str | Path,
    *,
    device: str = "device",
    ts: str = "ts",
    lng: str = "lng",
    lat: str = "lat",
    acc: str | None = None,
    rules: Rules | None = None,
    dwell_s: Sequence[int] = (),
    policy: str | None = None,
    until: float | None = None,
    partitions: int | None = None,
) -> DataFrame:
    """Return the transitions that recorded pings cause.

    The rows, ids included, are those of `geotarget.detect_transitions` over all pings at once, and
    in no particular order. Only where a device has several pings of one time and one accuracy, the
    one with the smaller longitude and latitude comes first here, and the first row there.

    Parameters
    ----------
    df
        Pings, in any order.
    zones
        The zones: an index, the file of a saved one on the driver, or what `ship` returned.
    device, ts, lng, lat
        Names of the columns. `ts` holds timestamps or epoch seconds.
    acc
        Name of the column with accuracies in metres; ``"acc"``, if there is one, if None.
    rules, dwell_s, until
        As of `geotarget.detect_transitions`.
    policy
        One entry policy for all zones instead of each zone's own.
    partitions
        Into how many partitions devices are shuffled; as Spark is set if None.

    Returns
    -------
    pyspark.sql.DataFrame
        With the columns of `EVENTS`; lazy, as all of Spark.

    Raises
    ------
    InvalidPing
        A column is missing (names what was found), or holds something else, or there is no such
        policy. In the job, when it runs: a value is missing or out of range; see `is_ping`.
    InvalidInput
        `policy` is given for zones that were shipped already.
    """
    chosen = {"device": device, "ts": ts, "lng": lng, "lat": lat}
    if acc is not None or "acc" in df.columns:
        chosen["acc"] = acc or "acc"
    check_columns(df, chosen)
    if not isinstance(zones, ShippedIndex):
        zones = ship(df.sparkSession, zones, policy=policy)
    elif policy is not None:
        raise InvalidInput(Problem("policy", policy, "must be given to ship() for shipped zones"))
    is_number = isinstance(df.schema[ts].dataType, NumericType)
    casts = {"device": "string", "lng": "double", "lat": "double", "acc": "double"}
    casts |= {"ts": "double"} if is_number else {}
    pings = df.select(
        *(
            (named(name).cast(casts[meaning]) if meaning in casts else named(name)).alias(meaning)
            for meaning, name in chosen.items()
        )
    )
    count = () if partitions is None else (partitions,)
    pings = pings.repartition(*count, "device")
    order = ["device", "ts", "acc", "lng", "lat"]  # the last three for what comes at one time
    pings = pings.sortWithinPartitions(*(each for each in order if each in chosen))
    function = detector(zones, rules=rules, dwell_s=dwell_s, until=until)
    return pings.mapInArrow(function, EVENTS)


def whole_devices(
    batches: Iterable[pa.RecordBatch], stretch: int = STRETCH
) -> Iterator[tuple[pa.Table, bool]]:
    """Yield rows in stretches that end with a device, and whether they do.

    Parameters
    ----------
    batches
        Rows of a device follow each other, in the order of ``ts``.
    stretch
        At least so many rows make one. If all are of one device the stretch ends before the last
        time that is known of it, and is not whole.

    Examples
    --------
    >>> rows = pa.record_batch({"device": list("aabbbbbc"), "ts": [1, 2, 1, 2, 3, 3, 4, 1]})
    >>> parts = [rows.slice(at, 2) for at in range(0, 8, 2)]
    >>> for found, whole in whole_devices(parts, 3):
    ...     print("".join(found["device"].to_pylist()), found["ts"].to_pylist(), whole)
    aa [1, 2] True
    bb [1, 2] False
    bbb [3, 3, 4] True
    c [1] True
    """
    held: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        held.append(batch)
        rows += batch.num_rows
        if rows < stretch:
            continue
        table = pa.Table.from_batches(held)
        end = _begin_of_last(table.column("device"))
        whole = end > 0
        if not whole:
            end = _begin_of_last(table.column("ts")) or (rows if rows >= MOST else 0)
        if not end:
            continue
        yield table.slice(0, end), whole
        held = table.slice(end).to_batches()
        rows -= end
    if rows:
        yield pa.Table.from_batches(held), True


def _begin_of_last(column: Any) -> int:
    """Return where the run of equal values begins that a column ends with."""
    last = column[-1]
    same = pc.equal(column, last) if last.is_valid else pc.is_null(column)
    other = np.flatnonzero(~same.to_numpy().astype(np.bool_))  # None, where one is null, is false
    return int(other[-1]) + 1 if len(other) else 0
