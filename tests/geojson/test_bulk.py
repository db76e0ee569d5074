"""Many rows at once are what one after the other would be: zones, problems, words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geotarget.errors import InvalidZone, Problem
from geotarget.geojson import (
    GeometryLimits,
    parse_frame,
    parse_geometry,
)
from geotarget.geojson.accept import accept
from geotarget.geojson.bulk import plain_cells
from geotarget.model import Zone
from tests.geojson.test_collection import LIMITS, REAL, told
from tests.strategies import star_ring, zone_lists


def one_by_one(
    geometry: Sequence[Any],
    properties: Sequence[Mapping[str, Any]],
    ids: Sequence[str],
    limits: GeometryLimits = LIMITS,
) -> tuple[list[Zone], list[Problem]]:
    """Return what `parse_geometry` makes of the rows of a table."""
    zones, problems = [], []
    for row, (shape, values, id) in enumerate(zip(geometry, properties, ids, strict=True)):
        try:
            zones.append(parse_geometry(shape, values, id=id, path=f"row {row}", limits=limits))
        except InvalidZone as error:
            problems += error.problems
    return zones, problems


def assert_equal_in_bulk(
    geometry: Sequence[Any],
    columns: Mapping[str, Sequence[Any]] | None = None,
    ids: Sequence[str] | None = None,
    limits: GeometryLimits = LIMITS,
) -> tuple[list[Zone], list[Problem]]:
    """Compare `parse_frame` with `parse_geometry`, and return what both say."""
    columns = columns or {}
    ids = ids or [f"z{row}" for row in range(len(geometry))]
    properties = [{name: columns[name][row] for name in columns} for row in range(len(geometry))]
    shapes = np.full(len(geometry), None, np.object_)
    shapes[:] = geometry
    zones, problems = parse_frame(shapes, columns, ids, limits=limits)
    wanted, wrong = one_by_one(geometry, properties, ids, limits)
    assert told(wanted) == told(zones)
    assert wrong == problems
    return zones, problems


@pytest.mark.parametrize("name", REAL)
def test_real_zones_are_the_same_in_bulk(name: str, shared_data: Path) -> None:
    """Every zone of the real sets, as a table."""
    document = json.loads((shared_data / "zones" / f"{name}.geojson").read_bytes())
    features = document["features"]
    drawn = [
        shapely.geometry.shape(each["geometry"]) if each["geometry"] else None for each in features
    ]
    known = sorted({name for each in features for name in each["properties"]})
    assert_equal_in_bulk(
        drawn, {name: [each["properties"].get(name) for each in features] for name in known}
    )


@settings(max_examples=60)
@given(zone_lists(), st.data())
def test_zones_of_any_kind_are_the_same_in_bulk(zones: list[Zone], data: st.DataObject) -> None:
    """Everything that can be drawn, moved about so that much of it is wrong."""
    shift = data.draw(st.sampled_from([0.0, 0.0, 170.0, 200.0, 400.0]))
    drawn = [
        shapely.transform(each.geometry, lambda points: points + np.array([shift, 0.0]))
        for each in zones
    ]
    radius = [each.radius_m for each in zones]
    assert_equal_in_bulk(drawn, {"radius_m": radius})


@pytest.mark.parametrize(
    "text",
    [
        "POLYGON EMPTY",
        "MULTIPOLYGON EMPTY",
        "MULTIPOLYGON (EMPTY, ((0 0, 1 0, 1 1, 0 0)))",
        "MULTIPOLYGON (((0 0, 1 0, 1 1, 0 0)))",
        "POLYGON ((0 0, 1 0, 1 1, 0 0), EMPTY)",
        "MULTIPOLYGON (((5 5, 6 5, 6 6, 5 5)), ((0 0, 1 0, 1 1, 0 0), EMPTY))",
        "POINT EMPTY",
        "POINT (1 1)",
        "POINT (181 1)",
        "POINT Z (1 1 5)",
        "LINESTRING (0 0, 1 1)",
        "GEOMETRYCOLLECTION (POINT (1 1))",
        "POLYGON ((0 0, 1 1, 1 0, 0 1, 0 0))",
        "POLYGON ((0 0, 1 0, 0 0, 0 0))",
        "POLYGON ((0 0, 0 0, 0 0, 0 0))",
        "POLYGON ((0 0, 9 0, 9 9, 0 9, 0 0), (20 1, 21 1, 21 2, 20 1))",
        "POLYGON ((0 0, 9 0, 9 9, 0 9, 0 0), (1 1, 1 2, 2 2, 1 1))",
        "MULTIPOLYGON (((0 0, 2 0, 2 2, 0 2, 0 0)), ((1 1, 3 1, 3 3, 1 3, 1 1)))",
        "POLYGON Z ((0 0 1, 1 0 2, 1 1 3, 0 0 1))",
        "POLYGON M ((0 0 1, 1 0 2, 1 1 3, 0 0 1))",
        "POLYGON ((-0.0 -0.0, 1 -0.0, 1 1, -0.0 -0.0))",
        "POLYGON ((179 0, 181 0, 181 1, 179 1, 179 0))",
        "POLYGON ((179 0, -179 0, -179 1, 179 1, 179 0))",
        "POLYGON ((-180 0, -179 0, -179 1, -180 1, -180 0))",
        "POLYGON ((-180 80, 180 80, 180 90, -180 90, -180 80))",
        "POLYGON ((-100 0, 0 -10, 100 0, 0 10, -100 0))",
        "POLYGON ((0 0, 1 0, 1 91, 0 0))",
        "POLYGON ((0 0, 400 0, 1 1, 0 0))",
    ],
)
def test_odd_shapes_are_the_same_in_bulk(text: str) -> None:
    """Alone, beside sound ones, and in another reference system's number."""
    shape = shapely.from_wkt(text)
    sound = shapely.box(24, 60, 25, 61)
    columns = {"radius_m": [30.0] * 4}
    marked = shapely.set_srid(shape, 4326)
    assert_equal_in_bulk([sound, shape, marked, None], columns)


def test_shapes_without_numbers_are_the_same_in_bulk() -> None:
    """NaN and infinity are found, wherever they stand."""
    with np.errstate(invalid="ignore"):
        shapes = [
            shapely.Polygon([(0, 0), (wrong, 1), (1, 1), (0, 0)])
            for wrong in (np.nan, np.inf, -np.inf)
        ]
    _, problems = assert_equal_in_bulk([*shapes, shapely.Point(1, 1)], {"radius_m": [np.inf] * 4})
    assert 8 == len(problems)


@pytest.mark.parametrize(
    "limits",
    [
        GeometryLimits(max_vertices=30),
        GeometryLimits(max_rings=1),
        GeometryLimits(max_pairs=100),
        GeometryLimits(max_radius_m=10.0),
        GeometryLimits(max_properties_bytes=40),
        GeometryLimits(max_depth=1),
    ],
)
def test_limits_are_the_same_in_bulk(limits: GeometryLimits) -> None:
    """What exceeds a limit is refused in the same words, what keeps it is accepted."""
    ring = star_ring(np.random.default_rng(1), 24, 60, 1, 30)
    hole = (ring - [24, 60]) * 0.5 + [24, 60]
    shapes = [
        shapely.Polygon(ring), shapely.Polygon(ring[::2].tolist()), shapely.Polygon(ring, [hole]),
        shapely.Point(1, 1), shapely.Point(1, 1),
    ]  # fmt: skip
    columns = {"radius_m": [None, None, None, 10.0, 11], "a": ["", "x" * 50, [[1]], "é" * 9, None]}
    _, problems = assert_equal_in_bulk(shapes, columns, limits=limits)
    assert problems


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(
        ["raw", "enter", "Europe/Helsinki", "2026-01-01T00:00:00Z", "x" * 600, "\ud800", "\0"]
    ),
    st.lists(st.text(max_size=3), max_size=3),
    st.dictionaries(st.text(max_size=2), st.floats(), max_size=2),
    st.dates(),
)
NAMES = st.sampled_from(
    ["name", "tags", "priority", "entry", "pending", "exit_buffer_m", "active", "sensitive",
     "starts", "ends", "time_zone", "radius_m", "id", "a", "é", "\0"]
)  # fmt: skip


@settings(max_examples=150)
@given(
    st.dictionaries(NAMES, st.lists(VALUES, min_size=3, max_size=3), max_size=4),
    st.lists(st.text(max_size=4), min_size=3, max_size=3),
)
def test_properties_and_ids_are_the_same_in_bulk(
    columns: dict[str, list[Any]], ids: list[str]
) -> None:
    """Known or not, right or wrong, of any type."""
    # what is missing in a column is None in both
    cells = {name: plain_cells(values) for name, values in columns.items()}
    assert_equal_in_bulk([shapely.box(24, 60, 25, 61), shapely.Point(1, 1), None], cells, ids)


def test_sound_rows_are_accepted_in_bulk() -> None:
    """Nothing that is plainly right is looked at twice."""
    ring = star_ring(np.random.default_rng(1), 24, 60, 0.01, 30)
    holed = shapely.box(0, 0, 9, 9) - shapely.box(1, 1, 2, 2)
    shapes = [
        shapely.Polygon(ring), holed, shapely.union(holed, shapely.box(20, 0, 21, 1)),
        shapely.force_3d(holed), shapely.Point(1, 1),
    ]  # fmt: skip
    properties = [
        {"name": "one", "floor": 1, "radius_m": 30}, {}, {"tags": ["a"]}, {"priority": 3},
        {"radius_m": 10},
    ]  # fmt: skip
    ids = [f"way/{row}" for row in range(len(shapes))]
    made = accept(ids, np.array(shapes, np.object_), properties, LIMITS)
    assert told(one_by_one(shapes, properties, ids)[0]) == told([zone for zone in made if zone])


def test_a_zone_has_no_more_than_its_fields() -> None:
    """Zones made in bulk are filled field by field, which must be all that making one means."""
    assert not hasattr(Zone, "__post_init__")
    (made,) = accept(["a"], np.array([shapely.box(0, 0, 1, 1)]), [{}], LIMITS)
    assert Zone(id="a", geometry=shapely.box(0, 0, 1, 1), time_zone=made.time_zone) == made
    assert hash(repr(made))


def test_cells_of_any_column_become_plain() -> None:
    """Columns of numpy and pandas, with what is missing as None."""
    stamp = pd.Timestamp("2026-01-01")
    for given_column, wanted in [
        (np.arange(2), [0, 1]),
        (np.array([1.5, np.nan], np.float32), [1.5, None]),
        (pd.Series([1, None], dtype="Int64"), [1, None]),
        (pd.Series(["a", None], dtype="string"), ["a", None]),
        (pd.Series(["a", None], dtype="category"), ["a", None]),
        (pd.Series([True, pd.NA], dtype="boolean"), [True, None]),
        (pd.Series([stamp, pd.NaT]), [stamp, None]),
        ([np.int64(3), np.float64("nan")], [3, None]),
        ([[1], {"b": 2}], [[1], {"b": 2}]),
    ]:
        assert wanted == plain_cells(given_column)
    assert int is type(plain_cells(np.arange(2))[0])
    assert float is type(plain_cells(np.ones(1, np.float32))[0])


def test_a_cell_that_json_can_not_hold_is_named() -> None:
    """Dates and arrays are refused, not turned into text."""
    columns = {"built": pd.Series([pd.Timestamp("2026-01-01")]), "at": [np.zeros(2)]}
    _, problems = parse_frame(np.array([shapely.box(0, 0, 1, 1)]), columns, [1])
    assert [
        ("row 0.properties.built", "is not a JSON value but a Timestamp"),
        ("row 0.properties.at", "is not a JSON value but a ndarray"),
    ] == [(each.path, each.reason) for each in problems]


def test_a_table_without_rows_or_columns_will_do() -> None:
    """No rows, no zones; no columns, no properties."""
    assert ([], []) == parse_frame(np.array([], np.object_), {"a": []}, [])
    zones, _ = parse_frame(np.array([shapely.box(0, 0, 1, 1)]), {}, [5])
    assert [("5", {})] == [(zone.id, dict(zone.properties)) for zone in zones]
