"""The coordinates of features as arrays, and shapely geometries of many of them at once.

Speaks up for nothing: what is not plainly an outline or a point is None here, and `read_geometry`
will say what is wrong with it, if anything.

Costs: 6 microseconds for a decoded outline of 30 vertices, half of which is to see that its
coordinates are numbers; 3 for one that is still text: without its brackets it is one flat list of
numbers, without its numbers it shows how they are nested.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate, chain
from typing import Any, NamedTuple

import msgspec
import numpy as np
import shapely
from numpy.typing import NDArray

from geotarget.model import FloatArray

NEEDS_CARE = frozenset(
    {"bbox", "crs", "coordinates", "features", "geometries", "geometry", "properties"}
)
"""Members that change the meaning of a geometry or a feature, or must not be there."""

_INSIDE = NEEDS_CARE - {"coordinates"}
_ARRAYS = {list, tuple}
_NUMBERS = {int, float}
_TYPES = {
    "Polygon": shapely.GeometryType.POLYGON,
    "MultiPolygon": shapely.GeometryType.MULTIPOLYGON,
}
_NUMBER_CHARACTERS = b"0123456789+-.eE \t\r\n"
_FLAT = msgspec.json.Decoder(list[float])


class Outline(NamedTuple):
    """The coordinates of a zone.

    Parameters
    ----------
    kind
        Type of the geometry.
    rings
        Vertices of each ring, all polygons in one row; empty for a point.
    parts
        Rings of each polygon.
    points
        Vertices, shape (n, 2).
    """

    kind: str
    rings: Sequence[int]
    parts: Sequence[int]
    points: FloatArray


def read_outline(geometry: Any) -> Outline | None:
    """Return the coordinates of a GeoJSON geometry object, None if it needs a closer look.

    Altitudes are dropped. Not checked: ranges, and whether outlines are valid.

    Parameters
    ----------
    geometry
        The member ``geometry`` of a feature, whatever it is.

    Examples
    --------
    >>> triangle = [[[0, 0], [1, 0], [1, 1], [0, 0]]]
    >>> read_outline({"type": "Polygon", "coordinates": triangle}).rings
    [4]
    >>> read_outline({"type": "Polygon", "coordinates": [triangle]}) is None
    True
    """
    if type(geometry) is not dict or not geometry.keys().isdisjoint(_INSIDE):
        return None
    kind, inside = geometry.get("type"), geometry.get("coordinates")
    if type(inside) not in _ARRAYS or not inside:
        return None
    if kind == "Point":
        points = _numbers([inside])
        return None if points is None else Outline(kind, (), (), points)
    if kind not in ("Polygon", "MultiPolygon"):  # not a set: it may be anything
        return None
    polygons = inside if kind == "MultiPolygon" else [inside]
    if not all(type(each) in _ARRAYS and each for each in polygons):
        return None
    rings = list(chain.from_iterable(polygons))
    for ring in rings:
        if type(ring) not in _ARRAYS or len(ring) < 4 or ring[0] != ring[-1]:
            return None
    points = _numbers(list(chain.from_iterable(rings)))
    if points is None:
        return None
    return Outline(kind, list(map(len, rings)), list(map(len, polygons)), points)


def outline_of_text(kind: str, coordinates: bytes) -> Outline | None:
    """Return the coordinates of a geometry that is text, None if it needs a closer look.

    Parameters
    ----------
    kind
        Type of the geometry.
    coordinates
        Its member ``coordinates``, which must be JSON.

    Examples
    --------
    >>> outline_of_text("Polygon", b"[[[0, 0], [1, 0], [1, 1], [0, 0]]]").rings
    [4]
    """
    nesting = coordinates.translate(None, _NUMBER_CHARACTERS).replace(b"[,]", b"x")
    polygons: list[list[bytes]] = []
    if kind == "Polygon" and nesting[:2] + nesting[-2:] == b"[[]]":
        polygons = [nesting[2:-2].split(b"],[")]
    elif kind == "MultiPolygon" and nesting[:3] + nesting[-3:] == b"[[[]]]":
        polygons = [each.split(b"],[") for each in nesting[3:-3].split(b"]],[[")]
    elif kind != "Point" or nesting != b"x":
        return None
    rings = [ring for each in polygons for ring in each]
    if any(ring.replace(b"x,", b"") != b"x" for ring in rings):
        return None
    try:
        numbers = _FLAT.decode(b"[%b]" % coordinates.translate(None, b"[]"))
    except ValueError:  # a number beyond all floats
        return None
    lengths = [(len(ring) + 1) // 2 for ring in rings]
    end = 0
    for length in lengths:
        start, end = end, end + 2 * length
        if length < 4 or numbers[start : start + 2] != numbers[end - 2 : end]:
            return None
    points = np.fromiter(numbers, np.float64, len(numbers)).reshape(-1, 2)
    return Outline(kind, lengths, list(map(len, polygons)), points)


def _numbers(positions: Sequence[Any]) -> FloatArray | None:
    """Return longitudes and latitudes of positions, shape (n, 2)."""
    if not set(map(type, positions)) <= _ARRAYS:
        return None
    lengths = set(map(len, positions))
    numbers = list(chain.from_iterable(positions))
    if lengths not in ({2}, {3}) or not set(map(type, numbers)) <= _NUMBERS:
        return None
    try:
        points = np.fromiter(numbers, np.float64, len(numbers))
    except OverflowError:  # an integer beyond all floats
        return None
    return points.reshape(-1, lengths.pop())


def drawn(outlines: Sequence[Outline]) -> NDArray[np.object_]:
    """Return shapely geometries of outlines, shape (n,); None where numbers are not finite."""
    made = np.full(len(outlines), None, np.object_)
    plain = [row for row, each in enumerate(outlines) if np.isfinite(each.points).all()]
    for kind in ("Point", "Polygon", "MultiPolygon"):
        rows = [row for row in plain if outlines[row].kind == kind]
        if not rows:
            continue
        chosen = [outlines[row] for row in rows]
        points = np.concatenate([each.points[:, :2] for each in chosen])
        if kind == "Point":
            made[rows] = shapely.points(points)
            continue
        rings = _starts(chain.from_iterable(each.rings for each in chosen))
        offsets = [rings, _starts(chain.from_iterable(each.parts for each in chosen))]
        if kind == "MultiPolygon":
            offsets.append(_starts(len(each.parts) for each in chosen))
        made[rows] = shapely.from_ragged_array(_TYPES[kind], points, tuple(offsets))
    return made


def _starts(lengths: Iterable[int]) -> NDArray[np.int64]:
    """Return where pieces that stand in one row start, and where the last one ends."""
    return np.array([0, *accumulate(lengths)], np.int64)
