"""Zones that are plainly right, accepted many at a time.

Almost all rows of a table and features of a document hold nothing that needs thought. Whether that
is so can be told for all of them at once, column by column. `accept` makes zones of those and
leaves the others, right or wrong, to `parse_geometry` and `parse_zone`, which know what to say: it
never refuses anything, and what it accepts they would make the same zone of.

Left to them are outlines beyond longitude +-180 or wider than 180 degrees (they may cross the
antimeridian), outlines of thousands of vertices (what checking them costs must be estimated first),
whatever is not valid, and values that are not plain JSON.

Costs, for a polygon of 30 vertices with two properties: 8 microseconds, of which GEOS takes 4 to
check the outline and the time zone 1. A property that means something, such as name, adds 1.5.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from itertools import repeat
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from geotarget.errors import Problem
from geotarget.geojson.limits import LEAST_COORDINATE, GeometryLimits
from geotarget.geojson.properties import (
    MAX_ID,
    check_values,
    id_problem,
    read_columns,
    read_properties,
    time_zones_at,
)
from geotarget.geojson.seam import HALF_TURN, POLE
from geotarget.model import Zone

ObjectArray = NDArray[np.object_]
BoolArray = NDArray[np.bool_]

_POINT = shapely.GeometryType.POINT
_POLYGON = shapely.GeometryType.POLYGON
_MULTIPOLYGON = shapely.GeometryType.MULTIPOLYGON

_PLAIN = {str, int, float, bool, type(None)}
_WIDEST_NUMBER = 32
"""Characters of JSON that a float, an integer of 64 bits, true, false or null may take."""

_FILL = {field.name: getattr(Zone, field.name).__set__ for field in fields(Zone)}
_DEFAULT = {field.name: field.default for field in fields(Zone) if field.default is not MISSING}


def accept(
    ids: Sequence[str],
    geometry: ObjectArray,
    properties: Sequence[dict[str, Any]],
    limits: GeometryLimits,
) -> list[Zone | None]:
    """Return the zones of rows that are plainly right, None for rows that need a closer look.

    Parameters
    ----------
    ids
        Of n zones.
    geometry
        shapely geometries or None, shape (n,). Those that are accepted become part of the zones,
        without altitudes.
    properties
        One dict for each; they become part of the zones.
    limits
        Bounds.
    """
    fits = _well_named(ids)
    kept, known = _readable(properties, limits)
    fits &= kept
    radius: list[Any] = [each.get("radius_m") for each in properties]
    shapes = _flat(geometry)
    fits &= _clear(shapes, radius, limits)

    rows = np.flatnonzero(fits)
    made: list[Zone | None] = [None] * len(ids)
    shapes = shapes[rows]
    circle = shapely.get_type_id(shapes) == _POINT
    places = rows.tolist()
    columns: dict[str, Iterable[Any]] = {
        "id": [ids[row] for row in places],
        "geometry": shapes.tolist(),
        "properties": [properties[row] for row in places],
        "time_zone": time_zones_at(shapes),
    }
    if circle.any():
        columns["radius_m"] = [
            float(radius[row]) if round_ else None
            for row, round_ in zip(places, circle.tolist(), strict=True)
        ]
    for field, values in known.items():
        usual = columns[field] if field in columns else repeat(_DEFAULT[field])
        given = [values[row] for row in places]
        columns[field] = [
            other if value is None else value for value, other in zip(given, usual, strict=False)
        ]
    for row, zone in zip(places, _filled(columns, len(places)), strict=True):
        made[row] = zone
    return made


def _filled(columns: Mapping[str, Iterable[Any]], count: int) -> list[Zone]:
    """Return zones of columns of their fields; absent fields have their defaults.

    What ``Zone(...)`` does for one zone, done for one field after the other: half the time.
    """
    zones = list(map(object.__new__, repeat(Zone, count)))
    for name, fill in _FILL.items():
        values = columns[name] if name in columns else repeat(_DEFAULT[name])
        deque(map(fill, zones, values), maxlen=0)
    return zones


def _well_named(ids: Sequence[str]) -> BoolArray:
    """Return which ids a zone can have."""
    length = np.fromiter(map(len, ids), np.int64, len(ids))
    fits = (length >= 1) & (length <= MAX_ID)
    if not "".join(ids).replace("-", "").replace("_", "").isalnum():
        fits &= np.fromiter((not id_problem(each) for each in ids), np.bool_, len(ids))
    return fits


# -- properties ------------------------------------------------------------------------------


def _readable(
    properties: Sequence[dict[str, Any]], limits: GeometryLimits
) -> tuple[BoolArray, dict[str, list[Any]]]:
    """Return which properties can be kept, and what the known ones say.

    The latter by field of `Zone`, one value for each row, None where nothing is said.
    """
    fits = np.ones(len(properties), np.bool_)
    known: dict[str, list[Any]] = {}
    alike: dict[tuple[Any, ...], list[int]] = {}
    for row, each in enumerate(properties):
        alike.setdefault(tuple(each), []).append(row)
    for names, rows in alike.items():
        columns = {name: [properties[row][name] for row in rows] for name in names}
        if not _all_plain(columns, limits):
            fits[rows] = [not check_values(properties[row], "", limits) for row in rows]
        said = read_columns(columns)
        if said is None:
            said = {}
            for place, row in enumerate(rows):
                problems: list[Problem] = []
                for field, value in read_properties(properties[row], "", problems).items():
                    said.setdefault(field, [None] * len(rows))[place] = value
                fits[row] &= not problems
        for field, values in said.items():
            column = known.setdefault(field, [None] * len(properties))
            for row, value in zip(rows, values, strict=True):
                column[row] = value
    return fits, known


def _all_plain(columns: Mapping[Any, Sequence[Any]], limits: GeometryLimits) -> bool:
    """Return whether all cells are plain values, and no row can exceed the limits."""
    widest = 2
    for name, cells in columns.items():
        kinds = set(map(type, cells))
        if type(name) is not str or not kinds <= _PLAIN:
            return False
        texts = cells if kinds == {str} else [cell for cell in cells if type(cell) is str]
        if not _writable(name) or not _writable("".join(texts)):
            return False
        if int in kinds:
            whole = [cell for cell in cells if type(cell) is int]
            if not -(2**63) <= min(whole) <= max(whole) < 2**63:
                return False
        if float in kinds and not all(math.isfinite(cell) for cell in cells if type(cell) is float):
            return False
        # \u001f is the longest that a character becomes in JSON
        longest = max(map(len, texts), default=0)
        widest += 6 * (len(name) + longest) + _WIDEST_NUMBER
    return widest <= limits.max_properties_bytes


def _writable(text: str) -> bool:
    if "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# -- shapes ----------------------------------------------------------------------------------


def _flat(geometry: ObjectArray) -> ObjectArray:
    """Return geometries without altitudes, measures and numbers of reference systems."""
    deep = shapely.get_coordinate_dimension(geometry) > 2
    if deep.any():
        geometry = np.where(deep, shapely.force_2d(geometry), geometry)
    marked = shapely.get_srid(geometry) > 0
    if marked.any():
        geometry = np.where(marked, shapely.set_srid(geometry, 0), geometry)
    return geometry


def _clear(geometry: ObjectArray, radius: Sequence[Any], limits: GeometryLimits) -> BoolArray:
    """Return which geometries are a zone as they are, without any doubt."""
    kind = shapely.get_type_id(geometry)
    points, row = shapely.get_coordinates(geometry, return_index=True)
    vertices = np.bincount(row, minlength=len(geometry))
    fits = vertices > 0
    on_earth = (np.abs(points) <= [HALF_TURN, POLE]).all(axis=1)  # false for NaN
    fits[row[~on_earth]] = False
    tiny = (np.abs(points) < LEAST_COORDINATE) & (points != 0)
    fits[row[tiny.any(axis=1)]] = False

    # with so few vertices it has no more rings than allowed, and is checked at once
    most = min(limits.max_vertices, limits.max_rings, math.isqrt(limits.max_pairs))
    outline = (kind == _POLYGON) | (kind == _MULTIPOLYGON)
    outline &= fits & (vertices <= most)
    box = shapely.bounds(geometry).reshape(-1, 4)
    outline[outline] = box[outline, 2] - box[outline, 0] <= HALF_TURN
    outline[outline] = shapely.is_valid(geometry[outline])
    outline[outline] = _solid(geometry[outline])

    circle = fits & (kind == _POINT)
    at = np.flatnonzero(circle)
    circle[at] = [
        type(radius[row]) in {int, float} and 0 < radius[row] <= limits.max_radius_m
        for row in at.tolist()
    ]
    clear: BoolArray = outline | circle
    return clear


def _solid(geometry: ObjectArray) -> BoolArray:
    """Return which polygons and multipolygons have neither empty parts nor empty rings.

    To GEOS they are valid; to `parse_geometry` they are not.
    """
    solid = np.ones(len(geometry), np.bool_)
    multi = np.flatnonzero(shapely.get_type_id(geometry) == _MULTIPOLYGON)
    parts, owner = shapely.get_parts(geometry[multi], return_index=True)
    solid[multi[owner[shapely.is_empty(parts)]]] = False
    polygons = np.concatenate([geometry, parts])
    row = np.concatenate([np.arange(len(geometry)), multi[owner]])
    holed = np.flatnonzero(shapely.get_num_interior_rings(polygons) > 0)
    rings, owner = shapely.get_rings(polygons[holed], return_index=True)
    solid[row[holed[owner[shapely.is_empty(rings)]]]] = False
    return solid
