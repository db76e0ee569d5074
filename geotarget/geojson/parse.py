"""From one GeoJSON feature, or one geometry, to a zone.

Everything that is wrong with a feature is reported at once as far as that is cheap: its members,
each known property, its geometry.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import shapely
from shapely import MultiPolygon, Point, Polygon
from shapely.geometry.base import BaseGeometry

from geotarget.errors import InvalidZone, Problem
from geotarget.geojson.document import read_document
from geotarget.geojson.geometry import ACCEPTED, assemble, read_circle, read_geometry
from geotarget.geojson.limits import GeometryLimits, shown
from geotarget.geojson.properties import check_values, id_problem, read_properties, time_zone_at
from geotarget.model import Zone

MOST_PER_ZONE = 20
"""Problems reported for one zone."""

LIMITS = GeometryLimits()

_NOT_IN = {
    "Feature": ("coordinates", "geometries", "features"),
    "FeatureCollection": ("coordinates", "geometries", "geometry", "properties"),
    "geometry": ("geometry", "properties", "features", "geometries"),
}
_WGS84 = ("CRS84", "EPSG::4326", "EPSG:4326")


def parse_feature(
    document: bytes, *, id: str | None = None, limits: GeometryLimits = LIMITS
) -> Zone:
    """Read one zone from the bytes of a Feature; see `parse_zone`."""
    check_size(len(document), "$", limits)
    members, _ = read_document(document, lambda *_: None, limits=limits)
    return parse_zone(members, id=id, limits=limits)


def parse_zone(
    feature: object, *, id: str | None = None, path: str = "$", limits: GeometryLimits = LIMITS
) -> Zone:
    """Make a zone of a decoded GeoJSON Feature.

    Parameters
    ----------
    feature
        The Feature: dicts, lists, strings, numbers.
    id
        The zone's id; without it the feature's ``id`` counts, then its property ``id``. If the
        feature has an ``id`` of its own, it must be the same.
    path
        Where the feature stands, for messages.
    limits
        Bounds.

    Raises
    ------
    InvalidZone
        Holds everything that is wrong with it.

    Examples
    --------
    >>> zone = parse_zone({"type": "Feature", "id": "kiosk", "properties": {"radius_m": 30},
    ...                    "geometry": {"type": "Point", "coordinates": [24.94, 60.17]}})
    >>> zone.id, zone.radius_m, zone.time_zone
    ('kiosk', 30.0, 'Europe/Helsinki')
    """
    name, problems = id_of(feature, path, id, None, None)
    return zone_of(feature, path, name, problems, limits)


def parse_geometry(
    geometry: BaseGeometry | None,
    properties: Mapping[str, Any],
    *,
    id: str,
    path: str = "$",
    limits: GeometryLimits = LIMITS,
) -> Zone:
    """Make a zone of a shapely geometry, under the same rules as `parse_zone`."""
    here = f"{path}.geometry"
    reason = id_problem(id)
    problems = [Problem(f"{path}.id", shown(id), reason)] if reason else []
    radius: float | None = None
    made: BaseGeometry | None = None
    if isinstance(geometry, Point) and not geometry.is_empty:
        made, radius, found = read_circle([geometry.x, geometry.y], properties, path, limits)
    elif isinstance(geometry, Polygon | MultiPolygon) and not geometry.is_empty:
        multi = isinstance(geometry, MultiPolygon)
        parts = shapely.get_parts(geometry)
        polygons = [
            [shapely.get_coordinates(ring) for ring in shapely.get_rings(part)] for part in parts
        ]
        vertices = shapely.get_num_coordinates(geometry)
        found = [
            Problem(f"{here}[{at}]", "", "must be an array of rings, not empty")
            for at, rings in enumerate(polygons)
            if not rings
        ]
        if found:
            pass
        elif vertices > limits.max_vertices or sum(map(len, polygons)) > limits.max_rings:
            reason = f"a zone may have {limits.max_vertices} vertices and {limits.max_rings} rings"
            found.append(Problem(here, f"{vertices} vertices", reason))
        else:
            paths = [f"{here}[{at}]" for at in range(len(parts))]
            made, found = assemble(polygons, paths, limits, multi=multi)
    else:
        kind = "null" if geometry is None else geometry.geom_type
        found = [Problem(here, kind, f"a zone is a {ACCEPTED}, not empty")]
    problems += found
    return _finished(id, made, radius, properties, path=path, problems=problems, limits=limits)


def zone_of(
    feature: Any, path: str, id: str | None, problems: list[Problem], limits: GeometryLimits
) -> Zone:
    """Return the zone of a feature, or raise `InvalidZone` with these and all other problems."""
    problems = [*_member_problems(feature, path), *problems]
    properties = feature.get("properties")
    if properties is None:
        properties = {}
    if not isinstance(properties, Mapping):
        reason = "must be an object or null"
        problems.append(Problem(f"{path}.properties", shown(properties), reason))
        properties = {}
    geometry = radius = None
    if "geometry" not in feature:
        problems.append(Problem(path, "", "a Feature has a member geometry"))
    else:
        geometry, radius, found = read_geometry(feature["geometry"], properties, path, limits)
        problems += found
    return _finished(id, geometry, radius, properties, path=path, problems=problems, limits=limits)


def _finished(
    id: str | None,
    geometry: BaseGeometry | None,
    radius: float | None,
    properties: Mapping[str, Any],
    *,
    path: str,
    problems: list[Problem],
    limits: GeometryLimits,
) -> Zone:
    known = read_properties(properties, f"{path}.properties", problems)
    problems += check_values(properties, f"{path}.properties", limits)
    if problems or id is None or geometry is None:
        raise InvalidZone(*shortened(tuple(problems)))
    known.setdefault("time_zone", time_zone_at(geometry))
    return Zone(id=id, geometry=geometry, radius_m=radius, properties=dict(properties), **known)


def id_of(
    feature: Any,
    path: str,
    wanted: str | None,
    id_property: str | None,
    default: str | None,
) -> tuple[str | None, list[Problem]]:
    """Return the id of a feature and what is wrong with it."""
    if not isinstance(feature, Mapping):
        raise InvalidZone(Problem(path, shown(feature), "must be a Feature, an object"))
    properties = feature.get("properties")
    inside = properties if isinstance(properties, Mapping) else {}
    where, given = f"{path}.id", feature.get("id")
    if id_property is not None:
        where, given = f"{path}.properties.{id_property}", inside.get(id_property)
    elif "id" not in feature and wanted is None and "id" in inside:
        where, given = f"{path}.properties.id", inside["id"]
    if given is None and ("id" not in feature or id_property is not None):
        if wanted is None and default is None:
            reason = "a zone needs an id: a member id of the Feature, or a property id"
            if id_property is not None:
                reason = "a zone needs an id, and this property was named to hold it"
            return None, [Problem(where, "", reason)]
        given = wanted if wanted is not None else default
    if isinstance(given, bool) or not isinstance(given, str | int):
        return None, [Problem(where, shown(given), "an id must be a string or a whole number")]
    name = str(given)
    if wanted is not None and name != wanted:
        reason = f"contradicts the id {wanted!r} that the zone was addressed by"
        return wanted, [Problem(where, shown(name), reason)]
    reason = id_problem(name)
    return name, [Problem(where, shown(name), reason)] if reason else []


def _member_problems(feature: Mapping[str, Any], path: str) -> list[Problem]:
    """Check the members of a feature that are neither id, properties nor geometry."""
    problems = []
    if feature.get("type") != "Feature":
        problems.append(Problem(f"{path}.type", shown(feature.get("type")), 'must be "Feature"'))
    if "properties" not in feature:
        reason = "a Feature has a member properties, an object or null"
        problems.append(Problem(path, "", reason))
    problems += foreign_problems(feature, path, "Feature")
    geometry = feature.get("geometry")
    if isinstance(geometry, Mapping) and geometry.get("type") != "GeometryCollection":
        problems += foreign_problems(geometry, f"{path}.geometry", "geometry")
    return problems


def foreign_problems(value: Mapping[str, Any], path: str, kind: str) -> list[Problem]:
    """Check members that would change the meaning, the bounding box and the reference system."""
    problems = [
        Problem(f"{path}.{name}", shown(value[name]), f"a {kind} can't have this member")
        for name in _NOT_IN[kind]
        if name in value
    ]
    if "bbox" in value:
        box = value["bbox"]
        fits = isinstance(box, list | tuple) and len(box) in (4, 6)
        if not fits or not all(isinstance(x, int | float) and x is not True for x in box):
            reason = "a bounding box is an array of four or six numbers"
            problems.append(Problem(f"{path}.bbox", shown(box), reason))
    system = value.get("crs")
    if system is not None:
        name = system.get("properties", {}) if isinstance(system, Mapping) else None
        name = name.get("name") if isinstance(name, Mapping) else None
        if not isinstance(name, str) or not name.endswith(_WGS84):
            reason = "RFC 7946 knows one reference system, WGS 84; convert the coordinates to it"
            problems.append(Problem(f"{path}.crs", shown(name or system), reason))
    return problems


def check_size(length: int, path: str, limits: GeometryLimits) -> None:
    """Raise `InvalidZone` for a feature that is too long."""
    if length > limits.max_bytes:
        reason = f"one zone may have {limits.max_bytes} bytes at most"
        raise InvalidZone(Problem(path, f"{length} bytes", reason))


def shortened(problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    """Return as many problems as are reported for one zone."""
    if len(problems) <= MOST_PER_ZONE:
        return problems
    more = len(problems) - MOST_PER_ZONE
    last = Problem(problems[-1].path, "", f"the last of {more} more problems")
    return (*problems[:MOST_PER_ZONE], last)
