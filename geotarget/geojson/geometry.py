"""Coordinates in, a valid shapely geometry out, or the problems that forbid it.

Checks go from cheap to dear: structure and limits first, then numbers and ranges, then rings, and
only what has passed all of that is given to GEOS, whose verdict names the kind of fault and its
place. Whether a polygon is valid takes GEOS as many steps as there are pairs of edges with
overlapping extents, which a hostile outline drives into the billions; so those are counted first,
on a sample, against `GeometryLimits.max_pairs`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import shapely
from shapely import MultiPolygon, Point, Polygon
from shapely.geometry.base import BaseGeometry

from geotarget.errors import Problem
from geotarget.geojson.limits import LEAST_COORDINATE, GeometryLimits, shown
from geotarget.geojson.seam import Unclear, crosses, cut, joined, spans_the_earth, unroll
from geotarget.model import FloatArray

ACCEPTED = "Polygon, MultiPolygon, or Point with properties.radius_m"
MOST_PER_RING = 3
"""Problems reported for one ring."""

_SAMPLE = 256
_TYPES = {"Point", "Polygon", "MultiPolygon"}
_OTHERS = {"MultiPoint", "LineString", "MultiLineString", "GeometryCollection"}
_PLACE = re.compile(r"(.*)\[(\S+) (\S+)\]")

Rings = list[FloatArray]


def read_geometry(
    value: Any, properties: Mapping[str, Any], path: str, limits: GeometryLimits
) -> tuple[BaseGeometry | None, float | None, list[Problem]]:
    """Return geometry and radius of a GeoJSON geometry object.

    Parameters
    ----------
    value
        The member ``geometry``.
    properties
        Of the same feature; a circle's radius is among them.
    path
        JSON path of the feature.
    limits
        Bounds.

    Returns
    -------
    geometry, radius_m, problems
        The geometry is None exactly if there are problems.
    """
    here = f"{path}.geometry"
    if value is None:
        return None, None, [Problem(here, "null", f"a zone needs a geometry: {ACCEPTED}")]
    if not isinstance(value, Mapping):
        return None, None, [Problem(here, shown(value), "must be an object")]
    kind = value.get("type")
    if not isinstance(kind, str) or kind not in _TYPES:
        known = isinstance(kind, str) and kind in _OTHERS
        reason = f"a zone is a {ACCEPTED}" if known else f"must be one of {ACCEPTED}"
        return None, None, [Problem(f"{here}.type", shown(kind), reason)]
    if "coordinates" not in value:
        return None, None, [Problem(here, "", "the member coordinates is missing")]
    here += ".coordinates"
    coordinates = value["coordinates"]
    if kind == "Point":
        return read_circle(coordinates, properties, path, limits)
    multi = kind == "MultiPolygon"
    nested = [(here, coordinates)]
    if multi:
        if not isinstance(coordinates, list | tuple):
            return None, None, [Problem(here, shown(coordinates), "must be an array of polygons")]
        nested = [(f"{here}[{at}]", each) for at, each in enumerate(coordinates)]
    problems = _weigh(nested, here, limits)
    if problems:
        return None, None, problems
    polygons = []
    for where, each in nested:
        rings = [_read_ring(ring, f"{where}[{at}]", problems) for at, ring in enumerate(each)]
        polygons.append([ring for ring in rings if ring is not None])
    paths = [where for where, _ in nested]
    geometry, found = assemble(polygons, paths, limits, multi=multi, failed=bool(problems))
    return geometry, None, problems + found


def read_circle(
    coordinates: Any, properties: Mapping[str, Any], path: str, limits: GeometryLimits
) -> tuple[BaseGeometry | None, float | None, list[Problem]]:
    """Return centre and radius of a circle; see `read_geometry`."""
    problems: list[Problem] = []
    here = f"{path}.geometry.coordinates"
    fault = _position_fault(coordinates)
    if fault:
        problems.append(Problem(here, shown(coordinates), fault))
    else:
        problems += _range_problems(
            np.array([coordinates[:2]], np.float64), here, 180.0, single=True
        )
    given = properties.get("radius_m")
    radius = given if isinstance(given, int | float) and not isinstance(given, bool) else 0.0
    if not 0 < radius <= limits.max_radius_m:
        reason = (
            f"a Point needs a radius above 0 and at most {limits.max_radius_m:g} m to be a zone"
        )
        problems.append(Problem(f"{path}.properties.radius_m", shown(given), reason))
    if problems:
        return None, None, problems
    return Point(coordinates[:2]), float(radius), []


def assemble(
    polygons: Sequence[Rings],
    paths: Sequence[str],
    limits: GeometryLimits,
    *,
    multi: bool,
    failed: bool = False,
) -> tuple[BaseGeometry | None, list[Problem]]:
    """Make a valid geometry of rings, cut at the antimeridian.

    Parameters
    ----------
    polygons
        Shell and holes of each polygon, arrays of shape (n, 2).
    paths
        JSON path of each polygon.
    limits
        Bounds.
    multi
        Whether the result must be a multipolygon.
    failed
        Whether problems are known already; then only the cheap checks are made.
    """
    problems: list[Problem] = []
    for rings, path in zip(polygons, paths, strict=True):
        for at, ring in enumerate(rings):
            problems += _ring_problems(ring, f"{path}[{at}]")
    if not problems and not failed:
        problems += _effort_problems(list(chain.from_iterable(polygons)), paths[0], limits)
    if problems or failed:
        return None, problems
    parts: list[Polygon] = []
    for rings, path in zip(polygons, paths, strict=True):
        pieces, fault = _cut_polygon(rings, path)
        parts += pieces
        problems += fault
    if problems:
        return None, problems
    geometry = joined(parts, multi=multi)
    moved = any(crosses(rings) for rings in polygons)
    if (moved or len(parts) > 1) and not geometry.is_valid:
        return None, [_fault(geometry, paths[0].rpartition("[")[0] if multi else paths[0])]
    return geometry, []


def _cut_polygon(rings: Rings, path: str) -> tuple[list[Polygon], list[Problem]]:
    """Return the parts of a polygon on either side of the antimeridian, or why there are none."""
    if not crosses(rings) or spans_the_earth(rings):
        polygon = Polygon(rings[0], rings[1:])
        if polygon.is_valid:
            return [polygon], []
        if not crosses(rings):
            return [], [_fault(polygon, path)]
    try:
        unrolled = unroll(rings)
    except Unclear as error:
        return [], [Problem(path, "", str(error))]
    if not unrolled.polygon.is_valid:
        return [], [_fault(unrolled.polygon, path)]
    parts = cut(unrolled)
    if not parts:
        return [], [Problem(path, "", "is too thin to be cut at the antimeridian")]
    return parts, []


def _weigh(nested: Sequence[tuple[str, Any]], path: str, limits: GeometryLimits) -> list[Problem]:
    """Check that polygons are arrays of arrays, not empty, within the limits."""
    if not nested:
        return [Problem(path, "[]", "must hold at least one polygon")]
    problems = []
    rings = vertices = 0
    for where, polygon in nested:
        if not isinstance(polygon, list | tuple) or not polygon:
            problems.append(Problem(where, shown(polygon), "must be an array of rings, not empty"))
            continue
        if all(_is_position(each) for each in polygon):
            reason = "is a ring where an array of rings is wanted: a pair of brackets is missing"
            problems.append(Problem(where, shown(polygon), reason))
            continue
        rings += len(polygon)
        for at, ring in enumerate(polygon):
            if isinstance(ring, list | tuple):
                vertices += len(ring)
            else:
                reason = "a ring must be an array of positions"
                problems.append(Problem(f"{where}[{at}]", shown(ring), reason))
    if rings > limits.max_rings:
        reason = f"a zone may have {limits.max_rings} rings at most"
        problems.append(Problem(path, f"{rings} rings", reason))
    if vertices > limits.max_vertices:
        reason = f"a zone may have {limits.max_vertices} vertices at most"
        problems.append(Problem(path, f"{vertices} vertices", reason))
    return problems


def _read_ring(ring: Sequence[Any], path: str, problems: list[Problem]) -> FloatArray | None:
    """Return a ring's longitudes and latitudes; add what is wrong with its positions."""
    if not ring:
        return np.zeros((0, 2))
    kinds = set(map(type, ring))
    if kinds <= {list, tuple}:
        lengths = set(map(len, ring))
        numbers = set(map(type, chain.from_iterable(ring)))
        if lengths <= {2, 3} and numbers <= {int, float}:
            if len(ring[0]) != len(ring[-1]):
                ends = f"{shown(ring[0])} and {shown(ring[-1])}"
                problems.append(Problem(path, ends, "its last position must equal its first"))
            ring = [(*position, 0.0)[:3] for position in ring] if len(lengths) > 1 else ring
            try:
                points = np.array(ring, np.float64)
            except OverflowError:
                points = np.full((1, 3), np.nan)  # an integer beyond all floats; found below
            if np.isfinite(points[:, 2:]).all():
                return points[:, :2]
    faults = [(at, _position_fault(position)) for at, position in enumerate(ring)]
    wrong = [(at, fault) for at, fault in faults if fault]
    problems += [
        Problem(f"{path}[{at}]", shown(ring[at]), fault) for at, fault in wrong[:MOST_PER_RING]
    ]
    if wrong:
        return None
    return np.array([position[:2] for position in ring], np.float64)  # numbers of other types


def _is_position(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and isinstance(value[0], int | float)


def _position_fault(position: Any) -> str:
    """Return what is wrong with a position, or nothing."""
    if not isinstance(position, list | tuple):
        return "a position must be an array [longitude, latitude]"
    if len(position) not in (2, 3):
        return "a position has two or three numbers: [longitude, latitude, altitude]"
    for number in position:
        if isinstance(number, bool) or not isinstance(number, int | float):
            return f"a position holds numbers only, not {shown(number)}"
        if not abs(number) < 1e300:
            return "a position holds finite numbers only"
    return ""


def _ring_problems(ring: FloatArray, path: str) -> list[Problem]:
    """Check numbers, ranges, length, closure and area of a ring."""
    problems = _range_problems(ring, path, 360.0)
    if problems:
        return problems
    if len(ring) < 4:
        reason = "a ring has at least four positions, the last equal to the first"
        return [Problem(path, f"{len(ring)} positions", reason)]
    if (ring[0] != ring[-1]).any():
        ends = f"{ring[0].tolist()} and {ring[-1].tolist()}"
        return [Problem(path, ends, "its last position must equal its first")]
    others = ring[(ring != ring[0]).any(axis=1)]
    if not len(others) or (others == others[0]).all():
        return [Problem(path, "", "encloses no area: it has fewer than three different positions")]
    return []


def _range_problems(
    points: FloatArray, path: str, widest: float, *, single: bool = False
) -> list[Problem]:
    """Check that positions are finite and on Earth; `widest` bounds the longitude."""
    bounds = ((0, "longitude", widest, ""), (1, "latitude", 90.0, _ORDER))
    problems = []
    for axis, name, bound, hint in bounds:
        wrong = np.flatnonzero(~(np.abs(points[:, axis]) <= bound))
        for at in wrong[:MOST_PER_RING].tolist():
            here = f"{path}[{axis}]" if single else f"{path}[{at}][{axis}]"
            number = float(points[at, axis])
            reason = f"{name} must be a finite number within -{bound:g} and {bound:g}{hint}"
            problems.append(Problem(here, str(number), reason))
        if len(wrong) > MOST_PER_RING:
            more = len(wrong) - MOST_PER_RING
            problems.append(Problem(path, "", f"{more} more {name}s are out of range"))
        tiny = (np.abs(points[:, axis]) < LEAST_COORDINATE) & (points[:, axis] != 0)
        for at in np.flatnonzero(tiny)[:MOST_PER_RING].tolist():
            here = f"{path}[{axis}]" if single else f"{path}[{at}][{axis}]"
            reason = f"a {name} that is not 0 must be at least {LEAST_COORDINATE:g} degrees"
            problems.append(Problem(here, str(float(points[at, axis])), reason))
    return problems


_ORDER = "; a position is [longitude, latitude], in this order"


def _effort_problems(rings: Rings, path: str, limits: GeometryLimits) -> list[Problem]:
    """Estimate what checking the outline will cost, and refuse what would take too long."""
    if sum(map(len, rings)) ** 2 <= limits.max_pairs:
        return []  # not even if each overlapped each
    edges = [np.hstack([ring[:-1], ring[1:]]) for ring in rings]
    edge = np.concatenate(edges)
    low = np.minimum(edge[:, :2], edge[:, 2:])
    high = np.maximum(edge[:, :2], edge[:, 2:])
    pairs = len(edge) * _overlaps(low, high) / 2
    if len(rings) > 1:
        first = np.cumsum([0, *(len(each) for each in edges[:-1])])
        ring_low = np.minimum.reduceat(low, first)
        ring_high = np.maximum.reduceat(high, first)
        pairs += len(edge) * _overlaps(ring_low, ring_high) / 2
    if pairs <= limits.max_pairs:
        return []
    reason = (
        "too entangled to be checked: so many pairs of edges have overlapping extents, at most "
        f"{limits.max_pairs} are allowed; simplify the outline"
    )
    return [Problem(path, f"about {pairs:.0f}", reason)]


def _overlaps(low: FloatArray, high: FloatArray) -> float:
    """Return with how many others a box overlaps, on average over a sample."""
    count = len(low)
    sample = np.arange(min(_SAMPLE, count)) * count // min(_SAMPLE, count)
    found = 0
    for at in sample.tolist():
        met = (low[:, 0] <= high[at, 0]) & (high[:, 0] >= low[at, 0])
        met &= (low[:, 1] <= high[at, 1]) & (high[:, 1] >= low[at, 1])
        found += int(np.count_nonzero(met))
    return found / len(sample)


def _fault(geometry: Polygon | MultiPolygon, path: str) -> Problem:
    """Return why a geometry is not valid, and where."""
    verdict = shapely.is_valid_reason(geometry)
    match = _PLACE.fullmatch(verdict)
    if match is None:
        return Problem(path, "", f"is not a valid outline: {verdict.lower()}")
    kind, x, y = match.groups()
    lng = (float(x) + 180.0) % 360.0 - 180.0
    place = f"at longitude {lng:.10g}, latitude {float(y):.10g}"
    return Problem(path, place, f"is not a valid outline: {kind.lower()}")
