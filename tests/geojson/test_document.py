"""Documents: what is not JSON, what is too large, what is a bomb."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from geotarget.errors import InvalidZone
from geotarget.geojson import GeometryLimits, load_zones, parse_feature, parse_zones

START = '{"type": "Feature", "id": "a", "properties": '
GEOMETRY = ', "geometry": {"type": "Point", "coordinates": [24, 60]}}'
GOOD = START + '{"radius_m": 10}' + GEOMETRY


def refusal(document: str | bytes, **limits: int) -> str:
    """Return why a document is refused, whole or in its first feature."""
    given = document.encode() if isinstance(document, str) else document
    try:
        report = parse_zones(given, limits=GeometryLimits(**limits))
    except InvalidZone as error:
        return str(error)
    return "; ".join(str(problem) for problem in report.problems)


def collection(*features: str) -> str:
    """Return a FeatureCollection of features."""
    return '{"type": "FeatureCollection", "features": [' + ",".join(features) + "]}"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("", "line 1 column 1: not JSON: expecting value"),
        (GOOD[:-1], "not JSON: expecting ',' or '}' (end of document)"),
        (GOOD + "x", "not JSON: extra data ('x')"),
        ("[1, 2]", "$: must be an object ([1, 2])"),
        ('{"type" 1}', "line 1 column 9: not JSON: expecting ':'"),
        ("{'type': 1}", "line 1 column 2: not JSON: expecting '\"'"),
        (collection(GOOD, ""), "not JSON: expecting value"),
        (collection(GOOD)[:-2] + " GOOD]}", "not JSON: expecting ',' or ']'"),
        ('{"type": "FeatureCollection", "features": [1 2]}', "not JSON: expecting ',' or ']'"),
        (b'{"type": "\xff"}', "byte 10: is not UTF-8, as JSON must be"),
        (
            '{"type": "FeatureCollection", "type": "Feature", "features": []}',
            "comes twice ('type')",
        ),
        (
            '{"features": [], "type": "FeatureCollection", "features": []}',
            "comes twice ('features')",
        ),
        (
            '{"type": "FeatureCollection", "features": [], "x": {"b": 1, "b": 2}}',
            "$.x: this member",
        ),
        ('{"type": "FeatureCollection", "features": [], "x": [NaN]}', "$.x[0]: must be a finite"),
    ],
)
def test_a_broken_document_is_refused_with_its_place(document: str | bytes, message: str) -> None:
    """Line and column, or the path, of what is wrong."""
    assert message in refusal(document)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (START + '{"a": 1, "a": 2}' + GEOMETRY, "$.properties: this member comes twice ('a')"),
        (START + '{"a": NaN}' + GEOMETRY, "$.properties.a: must be a finite number (nan)"),
        (START + '{"a": [1, -Infinity]}' + GEOMETRY, "$.properties.a[1]: must be a finite number"),
        (START + '{"a": 1e999}' + GEOMETRY, "$.properties.a: must be a finite number (inf)"),
        (START + '{"a": ' + "9" * 100_000 + "}" + GEOMETRY, "$.properties.a: must be a finite"),
        (GOOD.replace("24", "1" * 100_000), "a position holds finite numbers only"),
        (GOOD.replace("24", "NaN"), "$.geometry.coordinates[0]: must be a finite number (nan)"),
        (GOOD.replace("24", "1e999"), "a position holds finite numbers only ([inf, 60])"),
        (START + '{"a": "\\ud800"}' + GEOMETRY, "$.properties.a: text may not hold half a surr"),
        (START + '{"a": "\\u0000"}' + GEOMETRY, "$.properties.a: text may not hold the character"),
        (START + '{"\\u0000": 1}' + GEOMETRY, "$.properties: text may not hold the character"),
    ],
)
def test_strange_values_are_refused_where_they_stand(document: str, message: str) -> None:
    """Repeated members, numbers that are none, and text that can't be stored, with their path."""
    assert message in refusal(document)


def test_one_strange_feature_does_not_spoil_the_others() -> None:
    """NaN in one feature of a collection is the problem of that feature."""
    report = parse_zones(collection(GOOD, GOOD.replace("24", "NaN")).encode())
    assert [True, False] == [each.zone is not None for each in report.features]
    assert ["$.features[1].geometry.coordinates[0]"] == [each.path for each in report.problems]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b"[" * 8_000_000, "too many arrays for its size"),
        (b"[" * 900 + b"]" * 900, "$: must be an object"),
        (b"[" * 10_000 + b" " * 100_000, "$: is nested too deeply"),
        (START.encode() + b'{"a":' * 1_500 + b" " * 9_000, "$: is nested too deeply"),
        (START.encode() + b'{"a":' + b"[" * 500 + b"]" * 500 + b"}" + GEOMETRY.encode(), "nest 16"),
        (b'{"type": "FeatureCollection", "features": [' + b"{}," * 3_000_000, "too many arrays"),
        (GOOD.replace("[24, 60]", "[" * 400 + "]" * 400).encode(), "a position has two or three"),
        (START.encode() + b'{"a": 0.' + b"1" * 4_000_000 + b"}" + GEOMETRY.encode(), "radius_m"),
        (START.encode() + b'{"a": "' + b"x" * 4_000_000 + b'"}' + GEOMETRY.encode(), "65536 bytes"),
    ],
    ids=[
        "array bomb", "deep array", "deeper", "deep objects", "deep properties", "empty features",
        "deep coordinates", "long number", "long text",
    ],
)  # fmt: skip
def test_bombs_are_refused_at_once(document: bytes, message: str) -> None:
    """Small to send, dear to read: refused with a clear reason, in well under a second."""
    start = time.process_time()
    assert message in refusal(document)
    assert time.process_time() - start < 1.0


def test_sizes_are_bounded() -> None:
    """Bytes of a document and of a zone, features, properties: each bound is named."""
    assert "a document may have 50 bytes at most" in refusal(GOOD, max_collection_bytes=50)
    assert "$: one zone may have 50 bytes at most" in refusal(GOOD, max_bytes=50)
    assert "$.features[0]: one zone may have" in refusal(collection(GOOD), max_bytes=50)
    assert "a document may have 1 features" in refusal(collection(GOOD, GOOD), max_features=1)
    assert "properties may have 8 bytes" in refusal(GOOD, max_properties_bytes=8)
    with pytest.raises(InvalidZone, match="one zone may have 50 bytes at most"):
        parse_feature(GOOD.encode(), limits=GeometryLimits(max_bytes=50))


def test_short_coordinates_are_no_bomb() -> None:
    """Coordinates of few digits pass, thousands of them."""
    ring = [[round(x / 100, 2), 0] for x in range(9_000)] + [[90, 9], [0, 9], [0, 0]]
    zone = {"type": "Polygon", "coordinates": [ring]}
    document = {"type": "Feature", "id": "a", "properties": {}, "geometry": zone}
    assert "a" == parse_feature(json.dumps(document, separators=(",", ":")).encode()).id


def test_the_order_of_members_does_not_matter() -> None:
    """The features may come before the type; a byte-order mark and space are skipped."""
    text = f' {{ "features" : [ {GOOD} , {GOOD} ] , "type" : "FeatureCollection" }} \n'
    report = parse_zones(b"\xef\xbb\xbf" + text.encode())
    assert ["a", "a"] == [each.id for each in report.features]
    assert ["$.features[1].id"] == [each.path for each in report.problems]


def test_an_empty_collection_is_fine() -> None:
    """No features, no zones, no error."""
    assert () == parse_zones(collection().encode()).features


def test_files_are_read_or_named(tmp_path: Path) -> None:
    """A missing file, a folder and a file that is too large are problems with their name."""
    path = tmp_path / "zones.geojson"
    with pytest.raises(InvalidZone, match=r"zones.geojson: can't be read: No such file"):
        load_zones(path)
    with pytest.raises(InvalidZone, match="can't be read"):
        load_zones(tmp_path)
    path.write_text(GOOD)
    assert ["a"] == [zone.id for zone in load_zones(path).zones]
    with pytest.raises(InvalidZone, match=r"zones.geojson: a document may have 50 bytes at most"):
        load_zones(path, limits=GeometryLimits(max_collection_bytes=50))
