"""Many features at once are what one after the other would be: zones, problems, words."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geotarget.errors import InvalidZone, Problem
from geotarget.geojson import GeometryLimits, parse_zone, parse_zones, to_feature
from geotarget.geojson.document import read_document
from geotarget.model import Zone
from tests.strategies import feature, polygon, zone_lists

SQUARE = [[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]
LIMITS = GeometryLimits()
REAL = [
    "austin_neighborhoods", "berlin_plz", "country_coder", "liverpool_lsoa", "london_wards",
    "nyc_taxi_zones", "osm_buildings_monaco_krems", "osm_community_overlap", "us_counties",
    "world_countries_110m",
]  # fmt: skip


def told(zones: Sequence[Zone]) -> list[tuple[Any, ...]]:
    """Return all that zones are, so that 1, 1.0 and True differ and coordinates count by bit."""
    return [
        (
            *(repr(getattr(zone, name)) for name in Zone.__slots__ if name != "geometry"),
            type(zone.geometry),
            shapely.to_wkb(zone.geometry, include_srid=True, output_dimension=4),
        )
        for zone in zones
    ]


def judged(features: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return the verdicts of `parse_zone` on the features of a collection."""
    verdicts: list[tuple[Any, ...]] = []
    places: dict[str, int] = {}
    for at, each in enumerate(features):
        try:
            zone = parse_zone(each, path=f"$.features[{at}]")
        except InvalidZone as error:
            verdicts.append((at, [], error.problems))
            continue
        first = places.setdefault(zone.id, at)
        reason = f"$.features[{first}] has this id already"
        again = (Problem(f"$.features[{at}].id", repr(zone.id), reason),)
        verdicts.append((at, told([zone]), ()) if first == at else (at, [], again))
    return verdicts


def assert_equal_collection(features: Sequence[Any]) -> None:
    """Compare `parse_zones`, of bytes and decoded, with `parse_zone`."""
    document = {"type": "FeatureCollection", "features": features}
    wanted = judged(copy.deepcopy(features))
    for given_document in (json.dumps(document).encode(), document):
        report = parse_zones(given_document)
        assert wanted == [
            (each.index, told([each.zone] if each.zone else []), each.problems)
            for each in report.features
        ]


@pytest.mark.parametrize("name", REAL)
def test_real_zones_are_the_same_in_bulk(name: str, shared_data: Path) -> None:
    """Every zone of the real sets."""
    document = json.loads((shared_data / "zones" / f"{name}.geojson").read_bytes())
    for at, each in enumerate(document["features"]):
        each.setdefault("id", str(at))
    assert_equal_collection(document["features"])


@settings(max_examples=60)
@given(zone_lists())
def test_zones_of_any_kind_are_the_same_in_bulk(zones: list[Zone]) -> None:
    """Everything that can be drawn, with the members that we write and without ours."""
    features = [to_feature(each) for each in zones]
    assert_equal_collection(features)
    for each in features:
        del each["revision"]
    assert_equal_collection(features)


def changed(**members: Any) -> dict[str, Any]:
    """Return a sound feature with other members; those that are ... are left out."""
    sound = feature("a", {"type": "Polygon", "coordinates": [SQUARE]}, floor=1) | members
    return {name: value for name, value in sound.items() if value is not ...}


def shaped(kind: str, coordinates: Any, **members: Any) -> dict[str, Any]:
    """Return a feature with a geometry."""
    return changed(geometry={"type": kind, "coordinates": coordinates, **members})


ODD_FEATURES = [
    None, 3, [], "a", {}, changed(), changed(id=...), changed(id=7), changed(id=True),
    changed(id=1.5), changed(id=" a"), changed(id=None, properties={"id": "b"}),
    changed(id=..., properties={"id": "b"}), changed(type="feature"), changed(type=...),
    changed(geometry=None), changed(geometry=...), changed(geometry=[]), changed(properties=None),
    changed(properties=...), changed(properties=[]), changed(bbox=[0, 0, 1, 1]), changed(bbox=3),
    changed(crs={"type": "name", "properties": {"name": "EPSG:3067"}}), changed(features=[]),
    changed(revision=3), changed(title={"a": [{"b": 1}]}), changed(coordinates=[]),
    shaped("Polygon", [SQUARE], bbox=[0, 0, 1, 1]), shaped("Polygon", [SQUARE], bbox=1),
    shaped("Polygon", [SQUARE], properties={}), shaped("Polygon", [SQUARE], more=1),
    shaped("Polygon", SQUARE), shaped("Polygon", [[SQUARE]]), shaped("Polygon", []),
    shaped("Polygon", [[]]), shaped("Polygon", None), shaped("Polygon", [SQUARE, None]),
    shaped("Polygon", [SQUARE[:-1]]), shaped("Polygon", [SQUARE[:3]]),
    shaped("Polygon", [[[*at, 5] for at in SQUARE]]),
    shaped("Polygon", [[*SQUARE[:-1], [0, 0, 5]]]),
    shaped("Polygon", [[[0, 0, 1], *SQUARE[1:-1], [0, 0, 2]]]),
    shaped("Polygon", [[SQUARE[0], [1, 0, 7], *SQUARE[2:]]]),
    shaped("Polygon", [[[float(x), y] for x, y in SQUARE]]),
    shaped("Polygon", [[SQUARE[0], [True, 0], *SQUARE[2:]]]),
    shaped("Polygon", [[SQUARE[0], ["1", 0], *SQUARE[2:]]]),
    shaped("Polygon", [[SQUARE[0], [None, 0], *SQUARE[2:]]]),
    shaped("Polygon", [[SQUARE[0], [10**399, 0], *SQUARE[2:]]]),
    shaped("Polygon", [[SQUARE[0], [10**30, 0], *SQUARE[2:]]]),
    shaped("Polygon", [[SQUARE[0], [1], *SQUARE[2:]]]),
    shaped("Polygon", [[SQUARE[0], [1, 2, 3, 4], *SQUARE[2:]]]),
    shaped("Polygon", [[SQUARE[0], SQUARE[2], SQUARE[1], *SQUARE[3:]]]),
    shaped("Polygon", [[[x + 179.5, y] for x, y in SQUARE]]),
    shaped("Polygon", [[[x, y + 90] for x, y in SQUARE]]),
    shaped("Polygon", [SQUARE, [[x / 2 + 0.25, y / 2 + 0.25] for x, y in SQUARE]]),
    shaped("Polygon", [SQUARE, [[x / 2 + 0.75, y / 2 + 0.25] for x, y in SQUARE]]),
    shaped("MultiPolygon", [[SQUARE]]), shaped("MultiPolygon", []), shaped("MultiPolygon", [[]]),
    shaped("MultiPolygon", [SQUARE]), shaped("MultiPolygon", [[SQUARE], [SQUARE]]),
    shaped("MultiPolygon", [[SQUARE], [[[x + 5, y] for x, y in SQUARE]]]),
    shaped("LineString", SQUARE), shaped("Nothing", SQUARE), shaped("Point", [1, 2]),
    shaped("GeometryCollection", []),
    *(
        changed(geometry={"type": "Point", "coordinates": at}, properties={"radius_m": radius})
        for at, radius in [
            ([1, 2], 30), ([1, 2], 30.5), ([1, 2, 3], 30), ([1], 30), ([1, 2, 3, 4], 30), ([], 30),
            ([1, "2"], 30), ([1, None], 30), (["1", "2"], 30), ([181, 2], 30), ([1, 2], -1),
            ([1, 2], True), ([1, 2], "30"), ([1, 2], 1e9), ([1, 2, "x"], 30), ([[1, 2]], 30),
        ]
    ),
    *(
        changed(properties=each)
        for each in [
            {"name": "N", "tags": ["a", "b"], "priority": 3, "entry": "raw", "sensitive": True},
            {"name": 5}, {"tags": "a"}, {"active": False}, {"starts": 5, "ends": 4},
            {"starts": "2026-01-01T00:00:00Z", "ends": "2026-01-02T00:00:00Z"}, {"ends": 4},
            {"time_zone": "Asia/Tokyo"}, {"time_zone": "Moon/Sea"}, {"big": 10**30},
            {"deep": [[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]}, {"long": "x" * 70_000},
            {"é": "\u2028"},
            {'a":': '":'}, {"a": {"b": {"c": 1}}}, {"a": [{"b": 1}]}, {"": ""}, {"a\\": "\\"},
        ]
    ),
]  # fmt: skip


@pytest.mark.parametrize("odd", ODD_FEATURES, ids=lambda odd: json.dumps(odd)[:60])
def test_odd_features_are_the_same_in_bulk(odd: Any) -> None:
    """Beside sound ones: the same verdict, and it spoils nothing for the others."""
    sound = [feature(f"s{at}", polygon(np.array(SQUARE, float) + at), floor=at) for at in range(3)]
    assert_equal_collection([*sound[:2], copy.deepcopy(odd), sound[2], copy.deepcopy(odd)])


def test_positions_may_be_tuples() -> None:
    """A decoded document from shapely's `mapping` has tuples for arrays."""
    zones = parse_zones(
        {
            "type": "FeatureCollection",
            "features": [feature("a", shapely.geometry.mapping(shapely.box(0, 0, 1, 1)))],
        }
    ).zones
    assert shapely.box(0, 0, 1, 1) == zones[0].geometry


def test_properties_of_a_decoded_document_are_copied() -> None:
    """Whoever changes the document afterwards does not change the zone."""
    document = {"type": "FeatureCollection", "features": [changed()]}
    (zone,) = parse_zones(document).zones
    document["features"][0]["properties"]["floor"] = 9
    assert {"floor": 1} == zone.properties


def test_many_features_are_judged_in_their_order() -> None:
    """Blocks of features join without a seam: order, positions and ids that come twice."""
    features = [
        feature(f"z{at % 2000}", {"type": "Polygon", "coordinates": [SQUARE]}) for at in range(2500)
    ]
    features[1500]["geometry"] = None
    report = parse_zones({"type": "FeatureCollection", "features": features})
    assert list(range(2500)) == [each.index for each in report.features]
    assert 1999 == len(report.zones)
    assert "$.features[499] has this id already" == report.features[2499].problems[0].reason
    assert ["$.features[1500].geometry"] == [each.path for each in report.features[1500].problems]


TEXTS = st.text(st.characters(codec="utf-8")) | st.sampled_from(['":', "\\", '\\":', "\u2028"])
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inside: st.lists(inside) | st.dictionaries(TEXTS, inside),
    max_leaves=20,
)


@given(st.lists(JSON, max_size=4), st.booleans())
def test_both_readers_of_json_agree(values: list[Any], ascii_only: bool) -> None:
    """A document with spaces before its colons is read by one, without them by the other."""
    read = []
    for colon in (":", " :"):
        seen: list[tuple[str, bool]] = []
        document = json.dumps(
            {"type": "x", "features": values, "more": values},
            separators=(",", colon),
            ensure_ascii=ascii_only,
        )
        members, _ = read_document(
            document.encode(),
            lambda value, _, odd, seen=seen: seen.append((repr(value), odd)),
            limits=LIMITS,
        )
        read.append((repr(members), seen))
    assert [(repr(value), False) for value in values] == read[0][1]
    assert read[0] == read[1]


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":1}', '{"a":{"b":1,"b":2}}', '{"a":[{"b":1,"b":2}]}', '{"x":"\\":","a":1,"a":2}',
        '{"a":1,"\\u0061":2}', '{"a":NaN}', "[Infinity]", '{"a":1e400}', '{"a":"\\ud800"}',
        f'{{"a":{"9" * 500}}}', f'[{"1" * 401}]', f'[{"1" * 400}]', "-0", "[-0.0,1E5,1e-400]",
    ],
)  # fmt: skip
def test_what_one_reader_does_not_know_is_left_to_the_other(text: str) -> None:
    """Repeated members, odd numbers and half pairs: value and oddness are the same."""
    read = []
    for space in ("", " "):
        seen: list[tuple[str, bool]] = []
        document = f'{{"type"{space}:"x","features":[{text},{{"b":1}}]}}'
        read_document(
            document.encode(),
            lambda value, _, odd, seen=seen: seen.append((repr(value), odd)),
            limits=LIMITS,
        )
        read.append(seen)
    assert read[0] == read[1]
