"""Pings in a data frame: `match` adds the zone that each is in.

A frame comes out as it went in: pandas, Polars or Arrow. Coordinates are read where they lie if
they are float64 in one piece (`engine.coordinates`); rows are taken by the library that owns the
frame, so every type of column survives. Polars and pandas are not imported for that.

Costs, beyond the query: what the library takes to copy the matched rows.
"""

from __future__ import annotations

from typing import Any, TypeVar

import pyarrow as pa

from geotarget.engine import ZoneIndex
from geotarget.engine.coordinates import coordinates
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

Frame = TypeVar("Frame")

_KINDS = "a pandas or Polars DataFrame, or an Arrow Table or RecordBatch"


def match(
    frame: Frame,
    zones: ZoneIndex,
    *,
    lng: str = "lng",
    lat: str = "lat",
    keep: str = "matched",
    zone_column: str = ZONE_COLUMN,
    threads: int = 1,
) -> Frame:
    """Return one row for each pair of a ping and a zone that covers it.

    Parameters
    ----------
    frame
        Pings: a pandas or Polars DataFrame, or an Arrow Table or RecordBatch.
    zones
        The zones.
    lng, lat
        Names of the columns with degrees.
    keep
        ``"matched"``: only pings that are in a zone. ``"all"``: also the others, once each, with
        no zone.
    zone_column
        Name of the column to add. It holds the zones' ids, dictionary-encoded: ``category`` in
        pandas, ``Categorical`` in Polars.
    threads
        How many share the work.

    Returns
    -------
    frame
        Of the kind that was given, ordered by ping, then by zone. In pandas a row keeps its label.

    Raises
    ------
    InvalidPing
        A column is missing (names what was found), a coordinate is missing or out of range (names
        its position), or the frame is none.
    InvalidInput
        The frame has a column `zone_column`, or `keep` is another word.

    Examples
    --------
    >>> import pyarrow as pa
    >>> square = {"type": "Feature", "id": "square", "properties": {}, "geometry": {
    ...     "type": "Polygon",
    ...     "coordinates": [[[0, 0], [0.01, 0], [0.01, 0.01], [0, 0.01], [0, 0]]]}}
    >>> index = ZoneIndex.from_geojson(square)
    >>> pings = pa.table({"who": ["a", "b"], "lng": [0.005, 3.0], "lat": [0.005, 0.0]})
    >>> match(pings, index).to_pylist()
    [{'who': 'a', 'lng': 0.005, 'lat': 0.005, 'zone_id': 'square'}]
    >>> match(pings, index, keep="all")["zone_id"].to_pylist()
    ['square', None]
    """
    given: Any = frame
    if not isinstance(zones, ZoneIndex):
        found = type(zones).__name__
        raise InvalidInput(Problem("zones", found, "must be a ZoneIndex, such as from_geopandas"))
    kept = Keep.read(keep)
    names = _names(given)
    check_free(zone_column, names)
    x, y = coordinates(_column(given, names, "lng", lng), _column(given, names, "lat", lat))
    ping, zone = find_pairs(zones, lng=x, lat=y, keep=kept, threads=threads)
    found_ids = zone_ids(zone, id_dictionary(zones))
    rows: Any
    if isinstance(given, pa.Table | pa.RecordBatch):
        rows = taken(given, ping).append_column(zone_column, found_ids)
    elif hasattr(given, "iloc"):
        rows = given.take(ping)
        rows[zone_column] = found_ids.to_pandas().array
    else:
        rows = given[ping].hstack(type(given)({zone_column: found_ids}))
    return rows  # type: ignore[no-any-return]


def _names(frame: Any) -> list[str]:
    """Return the names of the columns, or raise `InvalidPing` for what is no frame."""
    if isinstance(frame, pa.Table | pa.RecordBatch):
        return [str(name) for name in frame.schema.names]
    if hasattr(frame, "iloc") or hasattr(frame, "hstack"):
        return [str(name) for name in frame.columns]
    lazy = "; collect() it first" if hasattr(frame, "collect") else ""
    raise InvalidPing(Problem("frame", type(frame).__name__, f"must be {_KINDS}{lazy}"))


def _column(frame: Any, names: list[str], meaning: str, name: str) -> Any:
    count = names.count(name)
    if count != 1:
        reason = f"has no column {name!r}; name yours with {meaning}="
        if count:
            reason = f"has {count} columns {name!r}"
        raise InvalidPing(Problem("frame", f"found: {', '.join(names)}", reason))
    return frame[name]
