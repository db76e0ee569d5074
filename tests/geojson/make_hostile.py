"""Writes the corpus of hostile documents: `python tests/geojson/make_hostile.py`.

Small files, each one trick. Some are no JSON by intention, so all are written as text. The same
run always writes the same bytes.
"""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "hostile"

Ring = list[list[float]]


def square(lng: float, lat: float, size: float) -> Ring:
    """Return a closed square by its south-west corner."""
    east, north = lng + size, lat + size
    return [[lng, lat], [east, lat], [east, north], [lng, north], [lng, lat]]


def star(points: int, step: int) -> Ring:
    """Return a star that crosses itself everywhere."""
    turns = [2 * math.pi * step * each / points for each in range(points)]
    ring = [[round(25 + math.cos(a), 6), round(60 + math.sin(a), 6)] for a in turns]
    return [*ring, ring[0]]


def comb(teeth: int) -> Ring:
    """Return a valid comb: each tooth's box overlaps no other, the back's all of them."""
    ring: Ring = [[25.0, 60.0]]
    for each in range(teeth):
        left = round(25 + each / teeth, 6)
        ring += [[left, 60.5], [round(left + 0.4 / teeth, 6), 60.5]]
        ring += [[round(left + 0.4 / teeth, 6), 60.1], [round(left + 0.9 / teeth, 6), 60.1]]
    return [*ring, [26.0, 60.0], ring[0]]


def scribble(points: int) -> Ring:
    """Return a ring of vertices thrown at random."""
    luck = random.Random(7)
    ring = [[luck.randint(0, 999) / 1000, luck.randint(0, 999) / 1000] for _ in range(points)]
    return [*ring, ring[0]]


def closed(ring: list[Any]) -> list[Any]:
    """Return an open ring with its first vertex at the end."""
    return [*ring, ring[0]]


def polygon(*rings: Any) -> str:
    """Return a Feature with a polygon, as text."""
    return feature({"type": "Polygon", "coordinates": list(rings)})


def feature(geometry: Any, **members: Any) -> str:
    """Return a Feature, as text."""
    whole = {"type": "Feature", "id": "z", "geometry": geometry, "properties": {}} | members
    return json.dumps(whole, separators=(",", ":"))


def collection(*features: Any) -> str:
    """Return a FeatureCollection, as text."""
    return json.dumps({"type": "FeatureCollection", "features": list(features)})


def nested(kind: str, depth: int) -> Any:
    """Return geometry collections within each other."""
    geometry: Any = {"type": "Point", "coordinates": [25, 60]}
    for _ in range(depth):
        geometry = {"type": kind, "geometries": [geometry]}
    return geometry


def documents() -> dict[str, str]:
    """Return the text of each file by its name."""
    unit = square(25, 60, 1)
    plain = polygon(unit)
    text = plain.replace("25,60", "NUMBER", 1)
    point = {"type": "Point", "coordinates": [25, 60]}
    names = ["a\u202eb", "a\u200bb", "\u0000", "e\u0301", "\u00e9", "\ufeff", "x" * 1_000, "", " "]
    same = [json.loads(feature(point, id=name, properties={"radius_m": 9})) for name in names]
    zigzag = [[179.9 if n % 2 else -179.9, n / 100] for n in range(99)]
    spiral = [[lng, 10 + turn] for turn in (0, 1) for lng in range(-180, 180, 60)]
    hole = square(25.4, 60.4, 0.1)
    deep: Any = 1
    for _ in range(200):
        deep = {"a": [deep]}
    return {
        "star": polygon(star(501, 250)),
        "scribble": polygon(scribble(400)),
        "comb": polygon(comb(300)),
        "bow-tie": polygon([[25, 60], [26, 61], [26, 60], [25, 61], [25, 60]]),
        "spike": polygon([*unit[:2], [30, 60.5], *unit[1:]]),
        "touches-itself": polygon(
            [[25, 60], [26, 61], [27, 60], [27, 62], [26, 61], [25, 62], [25, 60]]
        ),
        "no-area": polygon([[25, 60]] * 4),
        "a-line": polygon([[25, 60], [26, 61], [27, 62], [25, 60]]),
        "sliver": polygon([[25, 60], [26, 60], [26, 60.000000000000007], [25, 60]]),
        "not-closed": polygon(unit[:-1]),
        "hole-in-a-hole": polygon(unit, square(25.1, 60.1, 0.8), square(25.2, 60.2, 0.1)),
        "hole-outside": polygon(unit, square(27, 60, 1)),
        "hole-is-all": polygon(unit, unit[::-1]),
        "hole-400-times": polygon(unit, *[hole] * 400),
        "shells-within": feature(
            {
                "type": "MultiPolygon",
                "coordinates": [
                    [square(25 - n / 100, 60 - n / 100, 1 + n / 50)] for n in range(60)
                ],
            }
        ),
        "square-degree": plain,
        "whole-world": polygon([[-180, -90], [180, -90], [180, 90], [-180, 90], [-180, -90]]),
        "across-180": polygon([[179, 0], [-179, 0], [-179, 1], [179, 1], [179, 0]]),
        "sliver-at-180": polygon(
            [[180, 0], [179.999999999, 0], [179.999999999, 1], [180, 1], [180, 0]]
        ),
        "back-and-forth-over-180": polygon(closed(zigzag)),
        "around-a-pole": polygon([[0, 89], [90, 89], [180, 89], [-90, 89], [0, 89]]),
        "through-a-pole": polygon([[0, 80], [0, 90], [180, 90], [180, 80], [0, 80]]),
        "twice-around": polygon(closed(spiral)),
        "swapped": polygon([[lat, lng] for lng, lat in square(100, 60, 1)]),
        "same-member-twice": plain.replace('"id":"z"', '"id":"z","id":"y"'),
        "same-member-twice-deep": plain.replace('"type":"Polygon"', '"type":"Polygon","type":"x"'),
        "nan": text.replace("NUMBER", "NaN,60"),
        "infinity": text.replace("NUMBER", "-Infinity,60"),
        "1e999": text.replace("NUMBER", "1e999,60"),
        "1e308": text.replace("NUMBER", "1e308,60"),
        "5000-digits": text.replace("NUMBER", "1" * 5_000 + ",60"),
        "denormal": plain.replace("25,60", "5e-324,60"),
        "numbers-as-text": text.replace("NUMBER", '"25",60'),
        "booleans": text.replace("NUMBER", "true,false"),
        "many-dimensions": text.replace("NUMBER", "25,60" + ",1" * 1_000),
        "deep-arrays": text.replace("NUMBER", "[" * 5_000 + "]" * 5_000),
        "open-arrays": "[" * 50_000,
        "open-objects": '{"a":' * 10_000,
        "deep-properties": feature(json.loads(plain)["geometry"], properties={"a": deep}),
        "deep-collections": feature(nested("GeometryCollection", 300)),
        "wide-collection": feature({"type": "GeometryCollection", "geometries": [point] * 900}),
        "huge-id": feature(point, id="x" * 40_000, properties={"radius_m": 9}),
        "huge-number-id": plain.replace('"z"', "9" * 5_000),
        "object-id": plain.replace('"z"', '{"$gt":""}'),
        "odd-ids": collection(*same),
        "half-a-character": plain.replace('"z"', '"\\ud800"'),
        "half-a-name": plain.replace('"properties":{}', '"properties":{"radius_m\\udc00":1e999}'),
        "huge-radius": feature(point, properties={"radius_m": 1e300}),
        "no-radius": feature(point, properties={"radius_m": -0.0}),
        "members-of-scripts": feature(
            json.loads(plain)["geometry"],
            properties={"__proto__": {"admin": True}, "constructor": 1, "</script>": "{{ 7 * 7 }}"},
        ),
        "huge-property": feature(json.loads(plain)["geometry"], properties={"a": "x" * 66_000}),
        "empty-object": "{}",
        "empty-array": "[]",
        "empty": "",
        "null": "null",
        "null-features": collection(*[None] * 2_000),
        "features-of-features": collection(json.loads(collection(json.loads(plain)))),
        "another-system": feature(
            json.loads(plain)["geometry"], crs={"type": "name", "properties": {"name": "EPSG:3857"}}
        ),
        "arcs": json.dumps({"type": "Topology", "objects": {}, "arcs": [[[0, 0], [9, 9]]] * 300}),
        "no-utf-8": plain.replace('"z"', '"\xff"'),
    }


def main() -> None:
    """Write all files."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in documents().items():
        encoding = "latin-1" if name == "no-utf-8" else "utf-8"
        (FOLDER / f"{name}.json").write_bytes(text.encode(encoding))


if __name__ == "__main__":
    main()
