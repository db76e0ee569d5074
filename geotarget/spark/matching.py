"""The zones of each ping of a DataFrame: one row for each pair, as `geotarget.match` gives them.

A task gets its rows as Arrow batches, asks the index, and takes the rows that have an answer; no
shuffle, no object a row. What crosses from Spark to Python and back is what costs, so only the
columns that are asked for go there.

Costs: some 50 ns a ping for the match; reading a row and moving it there and back takes Spark ten
times that (`benchmarks/spark.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql.types import DoubleType, StringType, StructField, StructType

from geotarget.engine import ZoneIndex
from geotarget.engine.coordinates import coordinates
from geotarget.errors import InvalidPing
from geotarget.matching.pairs import (
    ZONE_COLUMN,
    Keep,
    check_free,
    find_pairs,
    id_dictionary,
    taken,
)
from geotarget.spark.columns import at_work, check_columns, named
from geotarget.spark.kernels import first_alone
from geotarget.spark.shipping import ShippedIndex, Zones, opened, ship


@dataclass(frozen=True)
class Matcher:
    """Matches Arrow batches; made by `matcher`, called by Spark for each partition."""

    zones: Zones
    columns: tuple[str, ...]
    lng: str
    lat: str
    keep: Keep
    zone_column: str
    distance_column: str | None

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the rows of each batch that have a zone, with it."""
        zones = opened(self.zones)
        ids = id_dictionary(zones)
        waiting = iter(batches)
        first = next(waiting, None)
        if first is None:
            return
        with first_alone(f"match{'' if self.distance_column is None else '-metres'}"):
            matched = self._matched(first, zones, ids)
        yield matched
        for batch in waiting:
            yield self._matched(batch, zones, ids)

    def _matched(
        self, batch: pa.RecordBatch, zones: ZoneIndex, ids: pa.StringArray
    ) -> pa.RecordBatch:
        try:
            x, y = coordinates(batch.column(self.lng), batch.column(self.lat))
            ping, zone = find_pairs(zones, lng=x, lat=y, keep=self.keep)
        except InvalidPing as error:
            raise at_work(error, "lng", "lat") from None
        missing = zone < 0
        nowhere = missing if missing.any() else None
        rows = taken(batch.select(list(self.columns)), ping)
        found = ids.take(pa.array(zone, pa.int64(), mask=nowhere))
        rows = rows.append_column(self.zone_column, found)
        if self.distance_column is not None:
            metres = np.zeros(len(ping))
            there = np.flatnonzero(~missing)
            at = ping[there]
            metres[there] = zones.signed_distance(lng=x[at], lat=y[at], zone=zone[there])
            column = pa.array(metres, pa.float64(), mask=nowhere)
            rows = rows.append_column(self.distance_column, column)
        return rows  # type: ignore[no-any-return]


def matcher(
    zones: Zones,
    columns: Sequence[str],
    *,
    lng: str = "lng",
    lat: str = "lat",
    keep: str = "matched",
    zone_column: str = ZONE_COLUMN,
    distance_column: str | None = None,
) -> Matcher:
    """Return the function that `match` hands to Spark, for those who want to call it themselves.

    Parameters
    ----------
    zones
        What `ship` returned; an index where everything happens in one process.
    columns, lng, lat, keep, zone_column, distance_column
        As of `match`; the batches must hold all these columns.

    Returns
    -------
    Matcher
        For ``df.mapInArrow(…, schema)``: `columns`, the zone as text, the distance as float64.

    Raises
    ------
    InvalidInput
        `columns` has a name that is to be added, or `keep` is another word.

    Examples
    --------
    >>> square = {"type": "Feature", "id": "square", "properties": {}, "geometry": {
    ...     "type": "Polygon",
    ...     "coordinates": [[[0, 0], [0.01, 0], [0.01, 0.01], [0, 0.01], [0, 0]]]}}
    >>> pings = pa.record_batch({"who": ["a", "b"], "lng": [0.005, 3.0], "lat": [0.005, 0.0]})
    >>> function = matcher(ZoneIndex.from_geojson(square), ["who"], keep="all")
    >>> [rows] = function([pings])
    >>> rows.to_pylist()
    [{'who': 'a', 'zone_id': 'square'}, {'who': 'b', 'zone_id': None}]
    """
    check_free(zone_column, list(columns))
    if distance_column is not None:
        check_free(distance_column, [*columns, zone_column])
    return Matcher(zones, tuple(columns), lng, lat, Keep.read(keep), zone_column, distance_column)


def match(
    df: DataFrame,
    zones: ZoneIndex | ShippedIndex | str | Path,
    *,
    columns: Sequence[str] | None = None,
    lng: str = "lng",
    lat: str = "lat",
    keep: str = "matched",
    zone_column: str = ZONE_COLUMN,
    distance_column: str | None = None,
) -> DataFrame:
    """Return one row for each pair of a ping and a zone that covers it.

    Parameters
    ----------
    df
        Pings.
    zones
        The zones: an index, the file of a saved one on the driver, or what `ship` returned.
    columns
        Columns of the pings that the result has; all if None. The fewer, the faster.
    lng, lat
        Names of the columns with degrees; they need not be among `columns`.
    keep
        ``"matched"``: only pings that are in a zone. ``"all"``: also the others, once each, with
        no zone.
    zone_column
        Name of the column to add, with the zone's id.
    distance_column
        Name of another one: metres to the zone's boundary, positive inside; none if None.

    Returns
    -------
    pyspark.sql.DataFrame
        Lazy, as all of Spark; a partition's rows keep their order.

    Raises
    ------
    InvalidPing
        A column is missing (names what was found), or holds no numbers. In the job, when it runs:
        a coordinate is missing or out of range; see `is_ping`.
    InvalidInput
        The pings have a column that is to be added, or `keep` is another word.
    """
    chosen = list(df.columns) if columns is None else list(columns)
    check_columns(df, {"lng": lng, "lat": lat} | {f"columns {name}": name for name in chosen})
    matcher(
        _NOWHERE, chosen, keep=keep, zone_column=zone_column, distance_column=distance_column
    )  # says what is wrong before anything is sent
    shipped = zones if isinstance(zones, ShippedIndex) else ship(df.sparkSession, zones)
    # mapInArrow knows no names with dots, so columns have numbers on their way
    number = {name: f"c{at}" for at, name in enumerate(dict.fromkeys((*chosen, lng, lat)))}
    fields = [df.schema[name] for name in chosen]
    schema = StructType(
        [StructField(number[each.name], each.dataType, each.nullable) for each in fields]
    ).add("zone", StringType())
    added = [zone_column]
    if distance_column is not None:
        schema = schema.add("metres", DoubleType())
        added.append(distance_column)
    function = matcher(
        shipped,
        [number[name] for name in chosen],
        lng=number[lng],
        lat=number[lat],
        keep=keep,
        zone_column="zone",
        distance_column=None if distance_column is None else "metres",
    )
    rows = df.select(*(named(name).alias(number[name]) for name in number))
    return rows.mapInArrow(function, schema).toDF(*chosen, *added)


_NOWHERE = ShippedIndex("", 0)
"""Stands for the index while names are checked, so that it is not sent in vain."""
