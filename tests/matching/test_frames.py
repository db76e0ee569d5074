"""`match` gives back the kind of frame that it was given, with a column of zones."""

from __future__ import annotations

from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import shapely

import geotarget as gt
from geotarget.errors import InvalidInput, InvalidPing
from geotarget.model import Zone

INDEX = gt.ZoneIndex.build(
    [Zone(id=f"b{n}", geometry=shapely.box(n, 0, n + 1.5, 1)) for n in range(3)]
)
"""Three boxes; each overlaps the next by half a degree."""

PINGS: dict[str, list[Any]] = {
    "who": ["e", "a", None, "b", "c"],
    "lng": [9.0, 0.5, 1.25, 4.0, 2.75],
    "lat": [0.5, 0.5, 1.0, 0.5, 0.5],
    "n": [1, 2, 3, 4, None],
}
MATCHED = [(1, "b0"), (2, "b0"), (2, "b1"), (4, "b2")]
ALL = [(0, None), (1, "b0"), (2, "b0"), (2, "b1"), (3, None), (4, "b2")]

KINDS = {
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "table": pa.table,
    "batch": pa.RecordBatch.from_pydict,
}


def rows(frame: Any) -> list[dict[str, Any]]:
    """Return the rows of any frame, what is missing as None."""
    if isinstance(frame, pd.DataFrame):
        frame = pa.Table.from_pandas(pd.DataFrame(frame), preserve_index=False)
    return frame.to_dicts() if isinstance(frame, pl.DataFrame) else frame.to_pylist()


def expected(pairs: list[tuple[int, str | None]], column: str = "zone_id") -> list[dict[str, Any]]:
    """Return the rows that pairs stand for."""
    return [
        {**{name: cells[ping] for name, cells in PINGS.items()}, column: zone}
        for ping, zone in pairs
    ]


@pytest.mark.parametrize(("keep", "pairs"), [("matched", MATCHED), ("all", ALL)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_row_for_each_pair(kind: str, keep: str, pairs: list[tuple[int, str | None]]) -> None:
    """The ping's columns and the zone's id, by ping, then by zone; the kind of frame stays."""
    frame = KINDS[kind](PINGS)
    actual = gt.match(frame, INDEX, keep=keep)
    assert type(actual) is type(frame)
    assert expected(pairs) == rows(actual)


@pytest.mark.parametrize("kind", KINDS)
def test_all_pings_in_one_zone_each(kind: str) -> None:
    """Where no row is lost or doubled the frame comes back whole."""
    columns = {name: cells[1:2] * 3 for name, cells in PINGS.items()}
    actual = rows(gt.match(KINDS[kind](columns), INDEX))
    assert [expected([(1, "b0")])[0]] * 3 == actual


@pytest.mark.parametrize("kind", KINDS)
def test_no_pings_and_no_zones(kind: str) -> None:
    """An empty frame, or an index of nothing, gives an empty frame with the column."""
    frame = KINDS[kind]({"lng": np.zeros(0), "lat": np.zeros(0)})
    for index in (INDEX, gt.ZoneIndex.build([])):
        for keep in ("matched", "all"):
            actual = gt.match(frame, index, keep=keep)
            assert [] == rows(actual)
            assert "zone_id" in (
                actual.schema.names if isinstance(actual, pa.Table | pa.RecordBatch) else actual
            )
    some = KINDS[kind]({"lng": [0.5], "lat": [0.5]})
    assert [] == rows(gt.match(some, gt.ZoneIndex.build([])))
    assert [None] == [
        row["zone_id"] for row in rows(gt.match(some, gt.ZoneIndex.build([]), keep="all"))
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_columns_may_have_other_names(kind: str) -> None:
    """The names of coordinates and of the new column are the caller's."""
    columns = {{"lng": "x", "lat": "y"}.get(name, name): PINGS[name] for name in PINGS}
    actual = rows(gt.match(KINDS[kind](columns), INDEX, lng="x", lat="y", zone_column="ward"))
    assert [zone for _, zone in MATCHED] == [row["ward"] for row in actual]


def test_ids_are_written_once() -> None:
    """The column is dictionary-encoded in every library."""
    assert isinstance(gt.match(pd.DataFrame(PINGS), INDEX)["zone_id"].dtype, pd.CategoricalDtype)
    assert isinstance(gt.match(pl.DataFrame(PINGS), INDEX)["zone_id"].dtype, pl.Categorical)
    assert (
        pa.dictionary(pa.int32(), pa.string()) == gt.match(pa.table(PINGS), INDEX)["zone_id"].type
    )


def test_pandas_rows_keep_their_labels() -> None:
    """A row that comes twice has its label twice; the given frame is not changed."""
    frame = pd.DataFrame(PINGS, index=["p", "q", "r", "q", "s"])
    before = frame.copy()
    assert ["q", "r", "r", "s"] == gt.match(frame, INDEX).index.tolist()
    pd.testing.assert_frame_equal(before, frame)


def test_a_geodataframe_stays_one() -> None:
    """Geometry and reference system come through."""
    frame = gpd.GeoDataFrame(PINGS, geometry=shapely.points(PINGS["lng"], PINGS["lat"]), crs=4326)
    actual = gt.match(frame, INDEX)
    assert isinstance(actual, gpd.GeoDataFrame)
    assert frame.crs == actual.crs
    assert [1, 2, 2, 4] == actual.index.tolist()


def test_tables_in_chunks_and_types_of_their_own() -> None:
    """Chunks, nested columns and categories come through."""
    table = pa.table({**PINGS, "more": [{"a": [n]} for n in range(5)]})
    chunked = pa.concat_tables([table.slice(0, 2), table.slice(2)])
    wanted = [{**row, "more": {"a": [ping]}} for row, (ping, _) in zip(
        expected(MATCHED), MATCHED, strict=True
    )]  # fmt: skip
    for each in rows(gt.match(chunked, INDEX)), rows(gt.match(pl.DataFrame(chunked), INDEX)):
        assert [{name: row[name] for name in wanted[0]} for row in each] == wanted
    frame = pl.DataFrame(PINGS, schema_overrides={"who": pl.Categorical, "n": pl.Int8})
    actual = gt.match(frame, INDEX)
    assert frame.schema == actual.drop("zone_id").schema


@pytest.mark.parametrize("kind", KINDS)
def test_wrong_columns_are_named(kind: str) -> None:
    """The message lists what was found; nothing is overwritten."""
    frame = KINDS[kind](PINGS)
    with pytest.raises(InvalidPing) as caught:
        gt.match(frame, INDEX, lng="longitude")
    assert (
        "frame: has no column 'longitude'; name yours with lng= (found: who, lng, lat, n)"
        == str(caught.value)
    )
    with pytest.raises(InvalidInput, match="who: is a column of the pings already"):
        gt.match(frame, INDEX, zone_column="who")


@pytest.mark.parametrize("kind", KINDS)
def test_bad_coordinates_are_named(kind: str) -> None:
    """What is missing, out of range or no number is refused with its position."""
    for cells, message in (
        ([0.0, None], r"lng\[1\]: longitude must be a finite number within -180 and 180 \(n"),
        ([0.0, 200.0], r"lng\[1\]: .*\(200.0\)"),
        (["a", "b"], "lng: must be numbers"),
    ):
        with pytest.raises(InvalidPing, match=message):
            gt.match(KINDS[kind]({"lng": cells, "lat": [0.0, 0.0]}), INDEX)


def test_what_is_no_frame_is_refused() -> None:
    """A lazy frame, a dictionary, another `keep`, other zones: each has its message."""
    with pytest.raises(InvalidPing, match=r"LazyFrame|collect\(\) it first"):
        gt.match(pl.DataFrame(PINGS).lazy(), INDEX)
    with pytest.raises(InvalidPing, match="must be a pandas or Polars DataFrame"):
        gt.match(PINGS, INDEX)
    with pytest.raises(InvalidInput, match="keep: must be one of matched, all"):
        gt.match(pd.DataFrame(PINGS), INDEX, keep="some")
    with pytest.raises(InvalidInput, match="zones: must be a ZoneIndex"):
        gt.match(pd.DataFrame(PINGS), gpd.GeoDataFrame())
    twice = pa.Table.from_arrays([pa.array([1.0])] * 3, names=["lng", "lng", "lat"])
    with pytest.raises(InvalidPing, match="frame: has 2 columns 'lng'"):
        gt.match(twice, INDEX)
