"""From the pairs of a query to rows of a table: the part that frames and files share.

The id of a zone is written once and pointed at from then on (dictionary encoding): a row costs
4 bytes whatever ids look like, and grouping by zone compares numbers.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import numpy as np
import pyarrow as pa

from geotarget.engine import ZoneIndex
from geotarget.errors import InvalidInput, Problem
from geotarget.model import FloatArray, IntArray

ZONE_COLUMN = "zone_id"
"""Name of the column that a match adds, unless another is given."""


class Keep(StrEnum):
    """Which pings come out: those in a zone, or all."""

    MATCHED = "matched"
    ALL = "all"

    @classmethod
    def read(cls, text: str) -> Keep:
        """Return the choice of this name, or raise `InvalidInput`."""
        try:
            return cls(text)
        except ValueError:
            reason = f"must be one of {', '.join(cls)}"
            raise InvalidInput(Problem("keep", repr(text), reason)) from None


def find_pairs(
    zones: ZoneIndex, *, lng: FloatArray, lat: FloatArray, keep: Keep, threads: int = 1
) -> tuple[IntArray, IntArray]:
    """Return the rows of a match, ordered by ping, then by zone.

    Parameters
    ----------
    zones
        The zones.
    lng, lat
        Degrees, shape (n,).
    keep
        With `Keep.ALL` a ping that is in no zone has one row, its zone -1.
    threads
        How many share the work.

    Returns
    -------
    ping, zone : ndarray of int64, shape (rows,)
        Positions.

    Raises
    ------
    InvalidPing
        A coordinate is not finite or out of range.
    """
    more: dict[str, Any] = {} if threads == 1 else {"threads": threads}
    ping, zone = zones.query(lng=lng, lat=lat, **more)
    return with_unmatched(ping, zone, len(lng)) if keep is Keep.ALL else (ping, zone)


def with_unmatched(ping: IntArray, zone: IntArray, count: int) -> tuple[IntArray, IntArray]:
    """Add a row with zone -1 for each of `count` pings that has none.

    Examples
    --------
    >>> ping, zone = with_unmatched(np.array([1, 1, 3]), np.array([0, 2, 5]), 4)
    >>> ping.tolist(), zone.tolist()
    ([0, 1, 1, 2, 3], [-1, 0, 2, -1, 5])
    """
    hits = np.bincount(ping, minlength=count)
    every = np.repeat(np.arange(count), np.maximum(hits, 1))
    found = np.full(len(every), -1, np.int64)
    found[hits[every] > 0] = zone
    return every, found


def id_dictionary(zones: ZoneIndex) -> pa.StringArray:
    """Return the ids of zones as an Arrow array, position by position."""
    return pa.array([str(each) for each in zones.ids], pa.string())


def zone_ids(zone: IntArray, ids: pa.StringArray) -> pa.DictionaryArray[Any, Any]:
    """Return the ids at positions, dictionary-encoded; null where a position is -1."""
    missing = zone < 0
    places = pa.array(zone, pa.int32(), mask=missing if missing.any() else None)
    return pa.DictionaryArray.from_arrays(places, ids)


def taken(table: Any, rows: IntArray) -> Any:
    """Return rows of an Arrow table or record batch; the same one where that is all of them."""
    if len(rows) == table.num_rows and (rows == np.arange(len(rows))).all():
        return table
    return table.take(pa.array(rows))


def check_free(column: str, names: list[str]) -> None:
    """Raise `InvalidInput` if there is a column of the name that is to be added."""
    if column in names:
        reason = "is a column of the pings already; choose another name for that of the zones"
        raise InvalidInput(Problem(column, f"found: {', '.join(names)}", reason))
