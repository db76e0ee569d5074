"""Features: ids, known properties, time zones, and the way back to GeoJSON."""

from __future__ import annotations

import json
import math
import pickle
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import shapely
from hypothesis import given, settings

from geotarget.errors import InvalidZone
from geotarget.geojson import (
    parse_feature,
    parse_geometry,
    parse_zone,
    parse_zones,
    to_feature,
    zone_schema,
)
from geotarget.model import EntryPolicy, Zone
from tests.conftest import REPOSITORY
from tests.strategies import feature, zones

CIRCLE = {"type": "Point", "coordinates": [24.94, 60.17]}
SCHEMA = REPOSITORY / "zones" / "zone.schema.json"


def zone_with(**properties: Any) -> Zone:
    """Return a circle with properties."""
    return parse_zone(feature("a", CIRCLE, radius_m=10, **properties))


def refusal(given_feature: Any, **options: Any) -> str:
    """Return why a feature is refused."""
    with pytest.raises(InvalidZone) as caught:
        parse_zone(given_feature, **options)
    return str(caught.value)


# -- ids -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "properties", "wanted"),
    [
        ({"id": "kiosk"}, {}, "kiosk"),
        ({"id": 100}, {}, "100"),
        ({}, {"id": "inside"}, "inside"),
        ({}, {"id": 7}, "7"),
        ({"id": "outside"}, {"id": "inside"}, "outside"),
        ({"id": "krems/59485"}, {}, "krems/59485"),
        ({"id": "Käpylä 3 (B)"}, {}, "Käpylä 3 (B)"),
        ({"id": "x" * 128}, {}, "x" * 128),
    ],
)
def test_ids_are_found_where_they_are(
    members: dict[str, Any], properties: dict[str, Any], wanted: str
) -> None:
    """The feature's id counts, then the property; whole numbers become text."""
    given_feature = {"type": "Feature", "geometry": CIRCLE, **members}
    given_feature["properties"] = {"radius_m": 10, **properties}
    assert wanted == parse_zone(given_feature).id


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("", "$.id: an id has 1 to 128 characters, this one 0"),
        ("x" * 129, "an id has 1 to 128 characters, this one 129"),
        ("a\nb", "printable characters only"),
        ("a\0", "printable characters only"),
        ("\ud800", "printable characters only"),
        ("a\u202eb", "printable characters only"),
        (" a", "neither starts nor ends with a space"),
        ("a/", "between slashes there must be something"),
        ("/a", "between slashes there must be something"),
        ("a//b", "between slashes there must be something"),
        ("..", "between slashes there must be something"),
        ("a/../b", "between slashes there must be something"),
        (1.5, "an id must be a string or a whole number (1.5)"),
        (True, "an id must be a string or a whole number (true)"),
        (None, "an id must be a string or a whole number (null)"),
        ([1], "an id must be a string or a whole number ([1])"),
    ],
)
def test_ids_that_an_address_can_not_hold_are_refused(id: Any, message: str) -> None:
    """Ids stand in addresses and logs; the message says what is wrong with this one."""
    assert message in refusal(feature("", CIRCLE, radius_m=10) | {"id": id})


def test_a_zone_needs_an_id() -> None:
    """Without any the message says where it could stand; a position serves only on request."""
    given_feature = feature("", CIRCLE, radius_m=10)
    del given_feature["id"]
    assert "$.id: a zone needs an id: a member id of the Feature, or a property" in refusal(
        given_feature
    )
    document = {"type": "FeatureCollection", "features": [given_feature]}
    assert ["0"] == [zone.id for zone in parse_zones(document, number=True).zones]
    report = parse_zones(document, id_property="code", number=False)
    assert ["$.features[0].properties.code"] == [problem.path for problem in report.problems]


def test_the_address_decides_and_must_not_be_contradicted() -> None:
    """With an id from outside, a feature without one is fine, one with another is not."""
    given_feature = feature("a", CIRCLE, radius_m=10)
    assert "a" == parse_zone(given_feature, id="a").id
    assert "$.id: contradicts the id 'b' that the zone was addressed by ('a')" in refusal(
        given_feature, id="b"
    )
    del given_feature["id"]
    given_feature["properties"]["id"] = "other"
    assert "b" == parse_zone(given_feature, id="b").id
    assert "b" == parse_feature(json.dumps(given_feature).encode(), id="b").id


def test_an_id_may_come_only_once_in_a_document() -> None:
    """The second feature of an id is refused and names the first."""
    twins = [feature("a", CIRCLE, radius_m=10), feature("a", CIRCLE, radius_m=20)]
    report = parse_zones({"type": "FeatureCollection", "features": twins})
    assert [10.0] == [zone.radius_m for zone in report.zones]
    assert ["$.features[1].id: $.features[0] has this id already ('a')"] == [
        str(problem) for problem in report.problems
    ]
    assert ["a", "a"] == [each.id for each in report.features]


# -- properties ----------------------------------------------------------------------------------


def test_known_properties_become_fields() -> None:
    """Each known property is read, and all of them are kept as given."""
    given_properties = {
        "name": "Kiosk",
        "tags": ["shop", "north"],
        "priority": -3,
        "entry": "strict",
        "pending": "enter",
        "exit_buffer_m": 7,
        "active": False,
        "sensitive": True,
        "starts": "2026-01-01T00:00:00+02:00",
        "ends": 1_800_000_000.5,
        "time_zone": "Asia/Tokyo",
        "opening": {"mo": [9, 17]},
        "radius_m": 10,
    }
    zone = parse_zone(feature("a", CIRCLE, **given_properties))
    wanted = Zone(
        id="a",
        geometry=shapely.Point(24.94, 60.17),
        radius_m=10.0,
        name="Kiosk",
        tags=("shop", "north"),
        priority=-3,
        entry=EntryPolicy.STRICT,
        pending_enters=True,
        exit_buffer_m=7.0,
        active=False,
        sensitive=True,
        starts_ms=1_767_218_400_000,
        ends_ms=1_800_000_000_500,
        time_zone="Asia/Tokyo",
        properties=given_properties,
    )
    assert wanted == zone


def test_null_is_absent() -> None:
    """GIS tools write null for what is not there."""
    names = ("name", "tags", "priority", "entry", "active", "sensitive", "starts", "time_zone")
    zone = zone_with(**dict.fromkeys((*names, "pending", "exit_buffer_m")))
    assert (False, None) == (zone.pending_enters, zone.exit_buffer_m)
    assert ("", (), 0, EntryPolicy.STANDARD, True, False, None, "Europe/Helsinki") == (
        zone.name, zone.tags, zone.priority, zone.entry, zone.active, zone.sensitive,
        zone.starts_ms, zone.time_zone,
    )  # fmt: skip
    assert parse_zone(
        {**feature("a", {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}),
         "properties": None}
    ).properties == {}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("name", 7, "must be a string of at most 500 characters (7)"),
        ("name", "x" * 501, "must be a string of at most 500 characters"),
        ("tags", "shop", "must be a list of at most 100 strings of 1 to 128 characters ('shop')"),
        ("tags", ["a", 7], "must be a list"),
        ("tags", [""], "must be a list"),
        ("tags", ["t"] * 101, "must be a list"),
        ("priority", "high", "must be a whole number within"),
        ("priority", 1.5, "must be a whole number within"),
        ("priority", True, "must be a whole number within"),
        ("priority", 2**31, "must be a whole number within -2147483647 and 2147483647"),
        ("entry", "Raw", "must be one of raw, eager, standard, strict, certain ('Raw')"),
        ("entry", ["raw"], "must be one of"),
        ("pending", "keep", "$.properties.pending: must be one of drop, enter ('keep')"),
        ("pending", True, "must be one of drop, enter (true)"),
        ("exit_buffer_m", "20", "must be a number of metres within 0 and 10000 ('20')"),
        ("exit_buffer_m", -0.5, "$.properties.exit_buffer_m: must be a number of metres within 0"),
        ("exit_buffer_m", 10_000.5, "must be a number of metres within 0 and 10000 (10000.5)"),
        ("exit_buffer_m", True, "must be a number of metres"),
        ("exit_buffer_m", math.nan, "must be a number of metres"),
        ("active", "yes", "must be true or false ('yes')"),
        ("active", 1, "must be true or false (1)"),
        ("sensitive", 0, "must be true or false"),
        ("starts", "2026-01-01", "must be a time with offset, such as 2026-01-31T09:00:00+02:00"),
        ("starts", "2026-01-01T00:00:00", "must be a time with offset"),
        ("starts", "2026-13-01T00:00:00Z", "month must be in 1..12"),
        ("starts", "2026-01-01T00:00:60Z", "second must be in 0..59"),
        ("ends", True, "must be a time with offset"),
        ("ends", 1e12, "must be within the years 1 and 9999"),
        ("ends", {}, "must be a time with offset"),
        ("time_zone", "Mars/Olympus", "must be the IANA name of a time zone"),
        ("time_zone", "../../etc/passwd", "must be the IANA name of a time zone"),
        ("time_zone", "", "must be the IANA name of a time zone"),
        ("time_zone", "Europe", "must be the IANA name of a time zone"),
        ("time_zone", 2, "must be the IANA name of a time zone"),
    ],
)
def test_known_properties_have_types(name: str, value: Any, message: str) -> None:
    """A known property of the wrong kind is refused with its path."""
    answer = refusal(feature("a", CIRCLE, radius_m=10, **{name: value}))
    assert answer.startswith(f"$.properties.{name}: ")
    assert message in answer


@pytest.mark.parametrize(
    ("given_time", "wanted"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-06-01t12:30:00.25+03:00", 1_780_306_200_250),
        ("1969-12-31T23:59:59.999999999Z", -0),
        (0, 0),
        (1.5, 1500),
        (-1, -1000),
    ],
)
def test_times_are_rfc_3339_or_epoch_seconds(given_time: Any, wanted: int) -> None:
    """Both forms give Unix milliseconds."""
    assert wanted == zone_with(starts=given_time).starts_ms


def test_a_zone_ends_after_it_starts() -> None:
    """An empty span of validity is a mistake."""
    assert "$.properties.ends: must be after starts" in refusal(
        feature("a", CIRCLE, radius_m=10, starts=100, ends=100)
    )


@pytest.mark.parametrize(
    ("lng", "lat", "wanted"),
    [(24.94, 60.17, "Europe/Helsinki"), (-97.74, 30.27, "America/Chicago"), (0, -90, None)],
)
def test_the_time_zone_is_that_of_the_place(lng: float, lat: float, wanted: str | None) -> None:
    """Without a time zone of its own a zone has that of its location; every place has one."""
    zone = parse_zone(feature("a", {"type": "Point", "coordinates": [lng, lat]}, radius_m=10))
    assert zone.time_zone == wanted if wanted else zone.time_zone


@pytest.mark.parametrize("value", [{1, 2}, object(), b"x", {"a": {3: 4}}])
def test_properties_must_be_json(value: Any) -> None:
    """What came decoded from somewhere else must still be JSON."""
    assert "$.properties.x" in refusal(feature("a", CIRCLE, radius_m=10, x=value))


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"type": "feature"}, "$.type: must be \"Feature\" ('feature')"),
        ({"coordinates": []}, "$.coordinates: a Feature can't have this member"),
        ({"bbox": [1, 2]}, "$.bbox: a bounding box is an array of four or six numbers"),
        ({"properties": 3}, "$.properties: must be an object or null (3)"),
        ({"crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3067"}}}, "WGS 84"),
        ({"crs": 7}, "$.crs: RFC 7946 knows one reference system"),
    ],
)
def test_members_that_change_the_meaning_are_refused(members: dict[str, Any], message: str) -> None:
    """RFC 7946, section 7.1, and reference systems of the old GeoJSON."""
    assert message in refusal(feature("a", CIRCLE, radius_m=10) | members)


def test_the_old_name_of_wgs_84_is_accepted() -> None:
    """GIS tools still write it."""
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}
    document = {"type": "FeatureCollection", "crs": crs, "features": []}
    assert [] == parse_zones(document).problems


@pytest.mark.parametrize("value", [None, 3, "a", [1]])
def test_a_zone_is_made_of_an_object(value: object) -> None:
    """Anything else is refused."""
    assert refusal(value).startswith("$: must be a Feature, an object")


def test_missing_members_are_named() -> None:
    """A Feature has geometry and properties."""
    answer = refusal({"type": "Feature", "id": "a"})
    assert "$: a Feature has a member properties" in answer
    assert "$: a Feature has a member geometry" in answer


# -- and back ------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(zones())
def test_zones_survive_the_way_there_and_back(zone: Zone) -> None:
    """To GeoJSON text and back: the same zone, every coordinate the same."""
    assert zone == parse_feature(json.dumps(to_feature(zone)).encode())


def test_all_properties_survive() -> None:
    """What the author gave comes back as it was given; revision is a member of its own."""
    given_properties = {"name": "A", "starts": "2026-01-01T00:00:00+02:00", "x": [1, None]}
    zone = zone_with(**given_properties)
    made = to_feature(zone)
    assert given_properties | {"radius_m": 10} == made["properties"]
    assert 0 == made["revision"]
    assert zone == parse_zone(made)


def test_zones_made_in_code_survive_too() -> None:
    """Fields that have no property yet are written, if they are not the default."""
    zone = Zone(
        id="a", geometry=shapely.Point(0, 0), radius_m=5.0, name="A", tags=("t",), priority=2,
        entry=EntryPolicy.RAW, pending_enters=True, exit_buffer_m=0.0, active=False,
        sensitive=True, starts_ms=1_500, ends_ms=2_000_000,
        time_zone="Asia/Tokyo", revision=4, key=7,
    )  # fmt: skip
    made = to_feature(zone)
    assert {
        "radius_m": 5.0, "name": "A", "tags": ["t"], "priority": 2, "entry": "raw",
        "pending": "enter", "exit_buffer_m": 0.0,
        "active": False, "sensitive": True, "starts": "1970-01-01T00:00:01.500000Z",
        "ends": "1970-01-01T00:33:20Z", "time_zone": "Asia/Tokyo",
    } == made["properties"]  # fmt: skip
    again = parse_zone(made)
    for name in Zone.__dataclass_fields__.keys() - {"properties", "revision", "key"}:
        assert getattr(zone, name) == getattr(again, name), name
    assert 4 == made["revision"]


def test_reports_can_go_to_another_process() -> None:
    """A worker that checks documents sends its report home."""
    document = {"type": "FeatureCollection", "features": [feature("a", CIRCLE, radius_m=1), {}]}
    report = parse_zones(document)
    assert report == pickle.loads(pickle.dumps(report))


def test_shapely_zones_have_properties_too() -> None:
    """`parse_geometry` reads the known properties and checks the id."""
    zone = parse_geometry(shapely.box(24, 60, 25, 61), {"priority": 3}, id="a")
    assert (3, "Europe/Helsinki") == (zone.priority, zone.time_zone)
    with pytest.raises(InvalidZone, match=r"\$.id: an id has 1 to 128 characters"):
        parse_geometry(shapely.box(24, 60, 25, 61), {}, id="")


# -- the schema ----------------------------------------------------------------------------------


def test_the_schema_file_is_the_model() -> None:
    """`zones/zone.schema.json` is what the model says; write it anew when this fails.

    ``python -c "import json; from geotarget.geojson import zone_schema as s;
    print(json.dumps(s(), indent=2))"``
    """
    assert zone_schema() == json.loads(SCHEMA.read_text())


@pytest.mark.parametrize(
    ("given_feature", "fits"),
    [
        (feature("a", CIRCLE, radius_m=5), True),
        (feature("a", CIRCLE), False),
        (feature("a", CIRCLE, radius_m=5, entry="now"), False),
        (feature("a", CIRCLE, radius_m=5, tags=["x"], starts=None, ends=5), True),
        (feature("a", CIRCLE, radius_m=5, tags=[3]), False),
        (feature("a", CIRCLE, radius_m=5, pending="enter", exit_buffer_m=0), True),
        (feature("a", CIRCLE, radius_m=5, pending=None, exit_buffer_m=None), True),
        (feature("a", CIRCLE, radius_m=5, pending=True), False),
        (feature("a", CIRCLE, radius_m=5, exit_buffer_m=-1), False),
        (feature("a", CIRCLE, radius_m=5, exit_buffer_m=10_001), False),
        (feature("a", {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [0, 0]]]}), False),
        (feature("a", {"type": "LineString", "coordinates": [[0, 0], [1, 0]]}), False),
        ({"type": "Feature", "geometry": CIRCLE, "properties": {"radius_m": 5}}, False),
        ({"type": "Feature", "geometry": CIRCLE, "properties": {"radius_m": 5, "id": "a"}}, True),
    ],
)
def test_the_schema_agrees_with_the_parser(given_feature: dict[str, Any], fits: bool) -> None:
    """What the schema refuses the parser refuses, on what a schema can say."""
    document = {"type": "FeatureCollection", "features": [given_feature]}
    assert fits == jsonschema_rs.validator_for(zone_schema()).is_valid(document)
    assert fits == (parse_zones(document).problems == [])


def test_catalogues_fit_the_schema() -> None:
    """The catalogues in `zones/` are valid by the schema beside them."""
    catalogues = sorted(Path(SCHEMA.parent).glob("*.geojson"))
    assert catalogues
    validator = jsonschema_rs.validator_for(zone_schema())
    for path in catalogues:
        validator.validate(json.loads(path.read_text()))
