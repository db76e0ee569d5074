"""The corpus of hostile zones, and larger ones made here, through every door that takes zones."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from geotarget.api.quarantine import INLINE_BYTES, Quarantine
from geotarget.errors import InvalidZone
from geotarget.geojson import GeometryLimits, parse_zones
from tests.api.conftest import Api
from tests.geojson.make_hostile import documents

FOLDER = Path(__file__).parents[1] / "geojson" / "hostile"
GEOJSON = {"Content-Type": "application/geo+json"}

LONGEST_S = 3.0
"""Processor time for any of them; the slowest takes a third of a second."""

MOST_MEMORY = 1 << 30
LONGEST_ANSWER = 256 << 10

OUTLINE = "$.geometry.coordinates: is not a valid outline: "
RING = "$.geometry.coordinates[0]"
ANSWERS = {
    "1e308": f"{RING}[0][0]: longitude must be a finite number",
    "1e999": f"{RING}[0][0]: longitude must be a finite number",
    "5000-digits": f"{RING}[0][0]: longitude must be a finite number",
    "a-line": f"{OUTLINE}self-intersection (at longitude 26, latitude 61)",
    "across-180": "",
    "another-system": "$.crs: RFC 7946 knows one reference system",
    "arcs": '$.type: must be "FeatureCollection" or "Feature"',
    "around-a-pole": "",
    "back-and-forth-over-180": f"{OUTLINE}ring self-intersection (at longitude -179.9",
    "booleans": f"{RING}[0]: a position holds numbers only, not true",
    "bow-tie": f"{OUTLINE}self-intersection (at longitude 25.5, latitude 60.5)",
    "comb": "",
    "deep-arrays": "$: is nested too deeply",
    "deep-collections": "$.geometry.type: a zone is a Polygon, MultiPolygon, or Point",
    "deep-properties": "$.properties.a.a[0].a[0].a[0].a[0].a[0].a[0].a[0].a[0]: values may nest 16",
    "denormal": f"{RING}[0][0]: a longitude that is not 0 must be at least 1e-120 degrees",
    "empty": "line 1 column 1: not JSON",
    "empty-array": "$: must be an object",
    "empty-object": '$.type: must be "FeatureCollection" or "Feature"',
    "features-of-features": '$.features[0].type: must be "Feature"',
    "half-a-character": "$.id: an id has printable characters only",
    "half-a-name": "$.properties: text may not hold half a surrogate pair",
    "hole-400-times": f"{OUTLINE}self-intersection",
    "hole-in-a-hole": f"{OUTLINE}holes are nested (at longitude 25.2, latitude 60.2)",
    "hole-is-all": f"{OUTLINE}self-intersection",
    "hole-outside": f"{OUTLINE}hole lies outside shell (at longitude 27, latitude 60)",
    "huge-id": "$.id: ",
    "huge-number-id": "$.id: an id must be a string or a whole number",
    "huge-property": "$.properties: properties may have 65536 bytes",
    "huge-radius": "$.properties.radius_m: a Point needs a radius above 0 and at most 100000 m",
    "infinity": f"{RING}[0][0]: must be a finite number",
    "many-dimensions": f"{RING}[0]: a position has two or three numbers",
    "members-of-scripts": "",
    "nan": f"{RING}[0][0]: must be a finite number",
    "no-area": f"{RING}: encloses no area",
    "no-radius": "$.properties.radius_m: a Point needs a radius above 0",
    "no-utf-8": "byte 24: is not UTF-8",
    "not-closed": f"{RING}: its last position must equal its first",
    "null": "$: must be an object",
    "null-features": "$.features[0]: must be a Feature, an object",
    "numbers-as-text": f"{RING}[0]: a position holds numbers only",
    "object-id": "$.id: an id must be a string or a whole number",
    "odd-ids": "$.features[0].id: an id has printable characters only",
    "open-arrays": "$: too many arrays for its size",
    "open-objects": "$: is nested too deeply",
    "same-member-twice": "$: this member comes twice ('id')",
    "same-member-twice-deep": "$.geometry: this member comes twice ('type')",
    "scribble": f"{OUTLINE}self-intersection",
    "shells-within": f"{OUTLINE}nested shells",
    "sliver": "",
    "sliver-at-180": "",
    "spike": f"{OUTLINE}self-intersection (at longitude 30, latitude 60.5)",
    "square-degree": "",
    "star": f"{OUTLINE}self-intersection",
    "swapped": f"{RING}[0][1]: latitude must be a finite number within -90 and 90",
    "through-a-pole": "",
    "touches-itself": f"{OUTLINE}ring self-intersection (at longitude 26, latitude 61)",
    "twice-around": "$.geometry.coordinates: its outline runs around the Earth 2 times",
    "whole-world": "",
    "wide-collection": "$.geometry.type: a zone is a Polygon, MultiPolygon, or Point",
}
"""How the first answer starts; empty where it is a good zone after all."""


def needle(vertices: int) -> bytes:
    """Return a spike of so many vertices, a nanometre wide."""
    there = [[20 + 10 * each / vertices, 60.0] for each in range(vertices)]
    back = [[lng, 60.00000000000001] for lng, _ in reversed(there)]
    return polygon([*there, *back, there[0]])


def spiral(turns: int, around: int) -> bytes:
    """Return a valid ring that winds into itself and out again: every box meets every other."""
    arm = [
        (n / around, 1 + n / (around * turns), 2 * math.pi * n / around)
        for n in range(turns * around)
    ]
    way = [[25 + r * math.cos(a), 30 + r * math.sin(a)] for _, r, a in arm]
    inner = [
        [25 + (r - 0.4 / turns) * math.cos(a), 30 + (r - 0.4 / turns) * math.sin(a)]
        for _, r, a in reversed(arm)
    ]
    return polygon([*way, *inner, way[0]])


def polygon(*rings: Any) -> bytes:
    """Return a Feature."""
    geometry = {"type": "Polygon", "coordinates": list(rings)}
    return json.dumps(
        {"type": "Feature", "id": "z", "properties": {}, "geometry": geometry}
    ).encode()


def many_holes(count: int) -> bytes:
    """Return a square with the same hole over and over."""
    hole = [[25.4, 60.4], [25.5, 60.4], [25.5, 60.5], [25.4, 60.5], [25.4, 60.4]]
    return polygon([[25, 60], [26, 60], [26, 61], [25, 61], [25, 60]], *[hole] * count)


LARGE: dict[str, tuple[Callable[[], bytes], str]] = {
    "a needle of 100,000 vertices": (lambda: needle(50_000), ""),
    "a spiral of 60,000 vertices": (lambda: spiral(30, 1_000), ""),
    "4,999 times the same hole": (lambda: many_holes(4_999), "$.geometry.coordinates"),
    "5,000 holes": (lambda: many_holes(5_000), "$.geometry.coordinates: "),
    "a million brackets": (lambda: b"[" * 1_000_000, "$: "),
    "a million empty features": (
        lambda: b'{"type":"FeatureCollection","features":[%s{}]}' % (b"{}," * 999_999),
        "$: too many arrays for its size",
    ),
}


def first_answer(document: bytes) -> str:
    """Return what is said first of a document; empty when it is good."""
    try:
        report = parse_zones(document)
    except InvalidZone as error:
        return str(error)
    return next((str(each) for each in report.problems), "")


def test_the_corpus_and_its_answers_are_the_same_set() -> None:
    """A file that nobody expects anything of tests nothing."""
    assert {each.stem for each in FOLDER.glob("*.json")} == set(ANSWERS)


def test_the_files_are_what_the_script_writes() -> None:
    """Change the script and run it, not the files."""
    for name, text in documents().items():
        written = (FOLDER / f"{name}.json").read_bytes()
        assert text.encode("latin-1" if name == "no-utf-8" else "utf-8") == written, name


@pytest.mark.parametrize("name", ANSWERS)
def test_each_gets_its_answer_at_once(name: str) -> None:
    """It names the place, and costs next to nothing."""
    document = (FOLDER / f"{name}.json").read_bytes()
    began = time.process_time()
    answer = first_answer(document)
    assert time.process_time() - began < LONGEST_S
    assert answer.startswith(ANSWERS[name]) if ANSWERS[name] else answer == ""
    assert len(answer) < 400


@pytest.mark.parametrize("name", LARGE)
def test_large_ones_are_bounded_where_the_api_checks_them(name: str) -> None:
    """In a process with a gibibyte of memory, within the time of a document of its size."""
    make, expected = LARGE[name]
    document = make()
    assert len(document) > INLINE_BYTES
    quarantine = Quarantine(GeometryLimits(), limit_s=10 * LONGEST_S, memory_bytes=MOST_MEMORY)
    try:
        report = quarantine.zones(document)
    except InvalidZone as error:
        answer = str(error)
    else:
        answer = next((str(each) for each in report.problems), "")
    finally:
        quarantine.close()
    assert "took" not in answer
    assert answer.startswith(expected) if expected else answer == "", answer[:300]


@pytest.mark.parametrize("name", ANSWERS)
def test_no_door_of_the_api_breaks(lasting: Api, name: str) -> None:
    """Import, replacement, lint, reach and cells answer with what is wrong, shortly and soon."""
    document = (FOLDER / f"{name}.json").read_bytes()
    good = not ANSWERS[name]
    for method, path, statuses in (
        ("POST", "/v1/zones?dry_run=true", {200, 422}),
        ("PUT", "/v1/zones/other", {422}),
        ("POST", "/v1/zones:lint", {200} if good else {422}),
        ("POST", "/v1/zones:cells", {200} if good else {422}),
        ("POST", "/v1/zones:reach", {200, 422} if good else {422}),
    ):
        began = time.process_time()
        answer = lasting.client.request(method, path, content=document, headers=GEOJSON)
        assert answer.status_code in statuses, (path, answer.text[:500])
        assert len(answer.content) < LONGEST_ANSWER, path
        assert time.process_time() - began < 4 * LONGEST_S, path
