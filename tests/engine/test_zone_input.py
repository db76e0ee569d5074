"""What `ZoneIndex` is made from and asked with, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from geotarget.engine import ZoneIndex
from geotarget.errors import InvalidPing, InvalidZone, NotFound
from geotarget.model import Zone
from tests.strategies import feature, polygon, stars

SQUARE = polygon(np.array([[0, 0], [0.01, 0], [0.01, 0.01], [0, 0.01], [0, 0]], float))


def test_an_empty_index_answers_nothing() -> None:
    """No zones, no pairs, no error."""
    index = ZoneIndex.build([])
    assert (2, 0) == index.query(lng=[1.0, 2.0], lat=[1.0, 2.0]).shape
    assert (0,) == index.signed_distance(lng=[], lat=[], zone=[]).shape
    assert 0 == len(index)


@pytest.mark.parametrize("kind", [list, tuple, np.array, pd.Series, np.float32])
def test_any_array_of_numbers_will_do(kind: type) -> None:
    """Lists, tuples, arrays, columns and scalars are taken."""
    index = ZoneIndex.from_geojson(feature("a", SQUARE))
    given = 0.005 if kind is np.float32 else [0.005]
    assert [[0], [0]] == index.query(lng=kind(given), lat=kind(given)).tolist()


@pytest.mark.parametrize(
    ("lng", "lat", "message"),
    [
        (
            [0, np.nan],
            [0, 0],
            "lng[1]: longitude must be a finite number within -180 and 180 (nan)",
        ),
        ([0, 0], [0, np.inf], "lat[1]: latitude must be a finite number within -90 and 90 (inf)"),
        ([181], [0], "lng[0]: longitude must be a finite number within -180 and 180 (181.0)"),
        ([0], [-90.5], "lat[0]: latitude must be a finite number within -90 and 90 (-90.5)"),
        ([0, 1], [0], "lng, lat: must be of one length (2 and 1)"),
        ([[0]], [[0]], "lng: must have one dimension ((1, 1))"),
        (["east"], [0], "lng: must be numbers (['east'])"),
    ],
)
def test_impossible_coordinates_are_refused(lng: object, lat: object, message: str) -> None:
    """The message names position, value and bound."""
    index = ZoneIndex.build([])
    with pytest.raises(InvalidPing) as caught:
        index.query(lng=lng, lat=lat)
    assert message == str(caught.value)


def test_a_distance_needs_a_zone_that_exists() -> None:
    """Positions outside the index and arrays of another length are refused."""
    index = ZoneIndex.from_geojson(feature("a", SQUARE))
    with pytest.raises(NotFound, match="no zone position is named '1'"):
        index.signed_distance(lng=[0], lat=[0], zone=[1])
    with pytest.raises(InvalidPing, match="one zone for each ping"):
        index.signed_distance(lng=[0], lat=[0], zone=[0, 0])
    with pytest.raises(NotFound, match="no zone is named 'b'"):
        index.position("b")


def test_an_id_may_come_only_once() -> None:
    """Two zones of one id are refused, in a build and in an edit."""
    (zone,) = stars(1)
    with pytest.raises(InvalidZone, match="comes twice"):
        ZoneIndex.build([zone, zone])
    with pytest.raises(InvalidZone, match="comes twice"):
        ZoneIndex.build([]).with_changes(put=[zone, zone])


@pytest.mark.parametrize(
    "zone",
    [
        Zone(id="a", geometry=shapely.Polygon()),
        Zone(id="a", geometry=shapely.LineString([(0, 0), (1, 1)])),
        Zone(id="a", geometry=shapely.Point(0, 0)),
        Zone(id="a", geometry=shapely.Point(0, 0), radius_m=-1.0),
        Zone(id="a", geometry=shapely.Point(0, 0), radius_m=float("nan")),
        Zone(id="a", geometry=shapely.box(170, 0, 190, 1)),
    ],
    ids=["empty", "line", "point", "negative", "nan", "beyond 180"],
)
def test_zones_that_did_not_come_through_the_door_are_checked(zone: Zone) -> None:
    """Zones made in code must have a type, a place and a radius that the index can hold."""
    with pytest.raises(InvalidZone, match="a"):
        ZoneIndex.build([zone])


def test_geojson_comes_as_path_bytes_or_document(tmp_path: Path) -> None:
    """A path, the bytes and the decoded document give the same index."""
    document = {"type": "FeatureCollection", "features": [feature("a", SQUARE)]}
    path = tmp_path / "zones.geojson"
    path.write_text(json.dumps(document))
    for source in (path, str(path), json.dumps(document).encode(), document):
        assert ["a"] == list(ZoneIndex.from_geojson(source).ids)


def test_geojson_ids_come_from_a_property_or_the_position() -> None:
    """A named property holds the ids; where there are none a notebook gets positions."""
    features = [feature("", SQUARE, code=f"c{number}") for number in range(2)]
    for each in features:
        del each["id"]
    document = {"type": "FeatureCollection", "features": features}
    assert ["c0", "c1"] == list(ZoneIndex.from_geojson(document, id="code").ids)
    assert ["0", "1"] == list(ZoneIndex.from_geojson(document).ids)


def test_geojson_with_a_bad_feature_is_refused_with_all_problems() -> None:
    """Nothing is dropped in silence: every problem is in the exception."""
    features = [feature("a", SQUARE), feature("b", {"type": "Point", "coordinates": [0, 95]})]
    with pytest.raises(InvalidZone) as caught:
        ZoneIndex.from_geojson({"type": "FeatureCollection", "features": features})
    assert [
        "$.features[1].geometry.coordinates[1]",
        "$.features[1].properties.radius_m",
    ] == [problem.path for problem in caught.value.problems]


def test_geopandas_frames_become_an_index() -> None:
    """Columns become properties, the reference system is converted, ids come from a column."""
    frame = gpd.GeoDataFrame(
        {
            "code": [7, 8],
            "name": ["Square", None],
            "priority": [3, 4],
            "radius_m": [np.nan, 30.0],
        },
        geometry=[shapely.box(24, 60, 24.01, 60.01), shapely.Point(24.5, 60.2)],
        crs=4326,
    ).to_crs(3067)
    index = ZoneIndex.from_geopandas(frame, id="code")
    assert ["7", "8"] == list(index.ids)
    assert "Square" == index.zones[0].name
    assert {"code": 7, "name": "Square", "priority": 3, "radius_m": None} == dict(
        index.zones[0].properties
    )
    assert 30.0 == index.zones[1].radius_m
    assert [[0, 1], [0, 1]] == index.query(lng=[24.005, 24.5], lat=[60.005, 60.2]).tolist()
    assert ["0", "1"] == list(ZoneIndex.from_geopandas(frame).ids)


def test_geopandas_rows_that_are_wrong_are_named() -> None:
    """The problem names the row, whatever index the frame has."""
    bow = shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])
    frame = gpd.GeoDataFrame(
        {"entry": ["raw", "sudden"]}, geometry=[shapely.box(0, 0, 1, 1), bow], index=["x", "y"]
    )
    with pytest.raises(InvalidZone) as caught:
        ZoneIndex.from_geopandas(frame)
    assert ["row 1.geometry[0]", "row 1.properties.entry"] == [
        problem.path for problem in caught.value.problems
    ]


def test_public_columns_can_not_be_changed() -> None:
    """An index is immutable."""
    index = ZoneIndex.build(stars(2))
    for column in (index.ids, index.keys, index.area_m2, index.depth_m):
        with pytest.raises(ValueError, match="read-only"):
            column[0] = column[1]


def test_a_property_that_no_zone_has_is_no_id() -> None:
    """A wrong name is an error, not a reason to number the zones."""
    with pytest.raises(InvalidZone, match="nmae"):
        ZoneIndex.from_geojson(feature("a", SQUARE, name="x"), id="nmae")
