"""Public fixtures and real files: each gets the answer that it deserves."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from shapely.geometry import shape

from geotarget.errors import InvalidZone
from geotarget.geojson import load_zones, parse_zone, parse_zones
from tests.strategies import feature

ALONE = "$.type: a geometry alone has no id"
NO_RADIUS = "a Point needs a radius above 0"
NO_GEOMETRY = "a zone needs a geometry"
OTHER = "a zone is a Polygon, MultiPolygon, or Point with properties.radius_m"

DOCUMENTS = {
    "bad-duplicate-properties": "$: this member comes twice",
    "bad-json": "line 3 column 5: not JSON: expecting ',' or '}'",
    "bad-object-type": '$.type: must be "FeatureCollection" or "Feature"',
    "feature_changed_semantics": "$.type: a Feature can't have the member features",
    "featurecollection-obj": "$.features: must be an array of Features",
    "featurecollection-type-case": '$.type: must be "FeatureCollection" or "Feature"',
    "featurecollection": "$.features: must be an array of Features",
    "featurecollection_changed_semantics": "$.coordinates: a FeatureCollection can't have",
    "notype": '$.type: must be "FeatureCollection" or "Feature"',
    "rootstring": "$: must be an object",
    "unknowntype": '$.type: must be "FeatureCollection" or "Feature"',
}
"""Documents that are refused as a whole, and how the reason starts."""

FEATURES: dict[str, list[str]] = {
    "bad-polygonloop": ["$.geometry.coordinates: is a ring where an array of rings is wanted"],
    "bad-properties-as-array": ["$.properties: must be an object or null"],
    "badcoordtype": ["$.features[0].geometry.coordinates[0]: is a ring where an array of rings"],
    "badfeature-no-properties": ["$: a Feature has a member properties"],
    "badfeature": ["$.features[0]: must be a Feature, an object"],
    "badfeatureid": ["$.features[0].id: an id must be a string or a whole number"],
    "expected_object": ["$.properties: must be an object or null"],
    "multiple_problems": [
        "$.features[0].id: an id must be a string or a whole number",
        f"$.features[1].properties.radius_m: {NO_RADIUS}",
        '$.features[2].type: must be "Feature"',
        '$.features[3].type: must be "Feature"',
    ],
    "nofeaturetype": ['$.features[0].type: must be "Feature"'],
    "point-labeled-as-a-multipolygon": ["$.geometry.coordinates[0]: must be an array of rings"],
    "stringcoord": [
        "$.features[0].geometry.coordinates: a position holds numbers only, not '39.368279149",
        f"$.features[1].properties.radius_m: {NO_RADIUS}",
    ],
    "good-feature-with-id": [f"$.properties.radius_m: {NO_RADIUS}"],
    "good-feature-with-string-id": [f"$.properties.radius_m: {NO_RADIUS}"],
    "good-feature": [f"$.properties.radius_m: {NO_RADIUS}"],
    "good-featurecollection-bbox": [
        f"$.features[0].properties.radius_m: {NO_RADIUS}",
        f"$.features[1].properties.radius_m: {NO_RADIUS}",
    ],
    "good-featurecollection-bbox3d": [
        f"$.features[0].properties.radius_m: {NO_RADIUS}",
        f"$.features[1].properties.radius_m: {NO_RADIUS}",
    ],
    "good-featurecollection-extensions": [
        f"$.features[0].properties.radius_m: {NO_RADIUS}",
        f"$.features[1].geometry.type: {OTHER}",
        "",
    ],
    "good-featurecollection": [
        f"$.features[0].properties.radius_m: {NO_RADIUS}",
        f"$.features[1].geometry.type: {OTHER}",
        "",
    ],
    "nullgeometry": [f"$.features[0].geometry: {NO_GEOMETRY}"],
    "nullproperties": [f"$.features[0].properties.radius_m: {NO_RADIUS}"],
}
"""Documents that are read, and how the first problem of each feature starts; none: accepted."""

GEOMETRIES = {
    "bad-featurelist": "$.geometry.coordinates[0]: a ring must be an array of positions",
    "badcoord": "$.geometry.coordinates: a position holds numbers only, not 'f'",
    "bbox-4or6elements": "$.geometry.bbox: a bounding box is an array of four or six numbers",
    "bbox-contains-string": "$.geometry.bbox: a bounding box is an array of four or six numbers",
    "bbox-string": "$.geometry.bbox: a bounding box is an array of four or six numbers",
    "different-first-last": "$.geometry.coordinates[0]: its last position must equal its first",
    "different-first-size": "$.geometry.coordinates[1][0]: its last position must equal its first",
    "false": f"$.geometry.type: {OTHER}",
    "geometry_changed_semantics": "$.geometry.geometry: a geometry can't have this member",
    "geometrycollection_nested": f"$.geometry.type: {OTHER}",
    "multipoint-multidimension": f"$.geometry.type: {OTHER}",
    "multipoint-nocoordinates": f"$.geometry.type: {OTHER}",
    "multipoint-nondimension": f"$.geometry.type: {OTHER}",
    "point-string": "$.geometry.coordinates: a position holds numbers only, not 'foo'",
    "point-toofew": "$.geometry.coordinates: a position has two or three numbers",
    "point-toomany": "$.geometry.coordinates: a position has two or three numbers",
    "point": "$.geometry: the member coordinates is missing",
    "short-line": f"$.geometry.type: {OTHER}",
    "short-linearring": "$.geometry.coordinates[0]: a ring has at least four positions",
    "short-multilinestring": f"$.geometry.type: {OTHER}",
    "good-geometrycollection": f"$.geometry.type: {OTHER}",
    "good-linestring": f"$.geometry.type: {OTHER}",
    "good-multilinestring": f"$.geometry.type: {OTHER}",
    "good-multipoint": f"$.geometry.type: {OTHER}",
    "good-point-3d": "",
    "good-point": "",
    "good-polygon": "",
    "multipolygon": "",
}
"""Bare geometries: refused alone; in a Feature, how the first problem starts."""

UNCUT = {
    "almost-180": "cut",
    "both-poles": "it is unclear which side of its outline is meant",
    "complex-split": "cut",
    "crossing-latitude": "cut",
    "cw-only": "kept",
    "cw-split": "cut",
    "extra-crossing": "cut",
    "force-north-pole": "cut",
    "great-circle": "cut",
    "latitude-band": "kept",
    "line": OTHER,
    "multi-line": OTHER,
    "multi-no-antimeridian": "kept",
    "multi-split": "cut",
    "north-pole": "cut",
    "one-ccw-hole": "cut",
    "one-hole": "cut",
    "over-180": "cut",
    "overlap": "cut",
    "point-on-antimeridian": "cut",
    "simple-with-ccw-hole": "kept",
    "simple": "kept",
    "south-pole": "cut",
    "split": "cut",
    "two-holes": "cut",
}
"""Rings that cross the antimeridian uncut: what becomes of each."""

BROKEN_CUTS = {
    "flat/force-north-pole": "is not a valid outline: self-intersection",
    "flat/overlap": "is not a valid outline: self-intersection",
    "flat/line": OTHER,
    "flat/multi-line": OTHER,
    "spherical/force-north-pole": "is not a valid outline: self-intersection",
    "spherical/overlap": "is not a valid outline: self-intersection",
}
"""Cut forms that are refused; all others are accepted as they are."""

ZONES: dict[str, tuple[int, Counter[str]]] = {
    "austin_neighborhoods": (70, Counter()),
    "berlin_plz": (190, Counter()),
    "country_coder": (392, Counter({"a zone needs a geometry": 78})),
    "liverpool_lsoa": (298, Counter({"is not a valid outline": 1})),
    "london_wards": (649, Counter()),
    "nyc_taxi_zones": (263, Counter()),
    "osm_buildings_monaco_krems": (2376, Counter()),
    "osm_community_overlap": (364, Counter()),
    "us_counties": (3231, Counter({"is not a valid outline": 21, "encloses no area": 19})),
    "world_countries_110m": (
        177,
        Counter(
            {
                "is not a valid outline": 1,
                "encloses no area": 1,
                "by its direction it holds the North Pole and more than half of the Earth; turn "
                "its positions round if the other side is meant, or write it cut at the "
                "antimeridian (RFC 7946, section 3.1.9)": 1,
            }
        ),
    ),
}
"""Real files: features, and how many are refused for which reason."""


@pytest.fixture(scope="module")
def fixtures(shared_data: Path) -> Path:
    """The folder of public GeoJSON fixtures."""
    return shared_data / "fixtures" / "geojson"


def test_every_fixture_has_its_verdict(fixtures: Path) -> None:
    """No file of the folder goes without a row in one of the tables."""
    check = {path.stem for path in (fixtures / "check-geojson").rglob("*.geojson")}
    assert check == DOCUMENTS.keys() | FEATURES.keys() | GEOMETRIES.keys()
    uncut = {path.stem for path in (fixtures / "antimeridian" / "input").iterdir()}
    assert uncut == UNCUT.keys()


def read(fixtures: Path, name: str) -> bytes:
    """Return the bytes of a check-geojson fixture."""
    (path,) = (fixtures / "check-geojson").rglob(f"{name}.geojson")
    return path.read_bytes()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_broken_documents_are_refused_whole(fixtures: Path, name: str) -> None:
    """What is not GeoJSON at all raises, with the place."""
    with pytest.raises(InvalidZone) as caught:
        parse_zones(read(fixtures, name), number=True)
    assert str(caught.value).startswith(DOCUMENTS[name])


@pytest.mark.parametrize("name", FEATURES)
def test_each_feature_has_its_own_verdict(fixtures: Path, name: str) -> None:
    """What is GeoJSON is judged feature by feature."""
    report = parse_zones(read(fixtures, name), number=True)
    firsts = [str(each.problems[0]) if each.problems else "" for each in report.features]
    assert len(FEATURES[name]) == len(firsts)
    for wanted, first in zip(FEATURES[name], firsts, strict=True):
        assert first.startswith(wanted)
        assert bool(wanted) == bool(first)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_bare_geometries_need_a_feature_around_them(fixtures: Path, name: str) -> None:
    """Alone they are told to be wrapped; wrapped they get their own verdict."""
    document = read(fixtures, name)
    with pytest.raises(InvalidZone) as caught:
        parse_zones(document)
    assert str(caught.value).startswith(ALONE)
    wrapped = feature("x", json.loads(document), radius_m=10)
    if GEOMETRIES[name]:
        with pytest.raises(InvalidZone) as caught:
            parse_zone(wrapped)
        assert str(caught.value).startswith(GEOMETRIES[name])
    else:
        assert "x" == parse_zone(wrapped).id


@pytest.mark.parametrize("name", UNCUT)
def test_uncut_rings_are_cut_as_the_reference_does(fixtures: Path, name: str) -> None:
    """Accepted rings cover what the antimeridian package says they cover; others are told why."""
    folder = fixtures / "antimeridian"
    given = json.loads((folder / "input" / f"{name}.json").read_bytes())
    verdict = UNCUT[name]
    if verdict not in {"cut", "kept"}:
        with pytest.raises(InvalidZone, match=verdict):
            parse_zone(feature("x", given))
        return
    zone = parse_zone(feature("x", given))
    assert zone.geometry.is_valid
    west, _, east, _ = zone.geometry.bounds
    assert -180 <= west <= east <= 180
    as_given = shape(given).normalize() == zone.geometry.normalize()
    assert (verdict == "kept") == as_given
    reference = folder / "output" / "flat" / f"{name}.json"
    if reference.exists():
        assert_same_area(shape(json.loads(reference.read_bytes())), zone.geometry)


def assert_same_area(wanted: Any, actual: Any) -> None:
    """Two geometries agree on 20,000 points; `wanted` may be invalid, it is the reference's."""
    rng = np.random.default_rng(0)
    west, south, east, north = shapely.total_bounds([wanted, actual])
    x, y = rng.uniform(west, east, 20_000), rng.uniform(south, north, 20_000)
    clear = shapely.distance(shapely.make_valid(wanted).boundary, shapely.points(x, y)) > 1e-6
    inside = shapely.intersects_xy(shapely.make_valid(wanted), x, y)
    assert inside[clear].tolist() == shapely.intersects_xy(actual, x, y)[clear].tolist()
    assert inside.any()


def test_cut_forms_are_kept_as_they_are(fixtures: Path) -> None:
    """What is cut already passes unchanged, unless its outline crosses itself."""
    folder = fixtures / "antimeridian" / "output"
    for path in sorted(folder.rglob("*.json")):
        given = json.loads(path.read_bytes())
        reason = BROKEN_CUTS.get(f"{path.parent.name}/{path.stem}")
        if reason is None:
            assert shape(given) == parse_zone(feature("x", given)).geometry, path.name
        else:
            with pytest.raises(InvalidZone, match=reason):
                parse_zone(feature("x", given))


@pytest.mark.parametrize("name", ZONES)
def test_real_files_load_with_their_known_dirt(shared_data: Path, name: str) -> None:
    """Each feature is accepted, or refused for the reason that its fault has."""
    features, refused = ZONES[name]
    report = load_zones(shared_data / "zones" / f"{name}.geojson", number=True)
    assert features == len(report.features)
    reasons = Counter(
        each.problems[0].reason.split(":")[0] for each in report.features if each.problems
    )
    assert refused == reasons
    assert features - refused.total() == len(report.zones)


def test_an_island_with_both_names_of_the_antimeridian_is_read(shared_data: Path) -> None:
    """A Fijian ring runs from 180 to -180 along a parallel and back over 359 degrees: uncut."""
    report = load_zones(shared_data / "zones" / "world_countries_110m.geojson", number=True)
    fiji = report.features[0].zone
    assert fiji is not None
    assert "Fiji" == fiji.name
    assert fiji.geometry.is_valid
    assert shapely.area(fiji.geometry) < 2
