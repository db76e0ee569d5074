"""From GeoJSON features to zones.

Everything that is wrong with a feature is reported at once as far as that is cheap: its members,
each known property, its geometry. One bad feature does not spoil the others of a collection.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import shapely
from shapely import MultiPolygon, Point, Polygon
from shapely.geometry.base import BaseGeometry

from geotarget.errors import InvalidZone, Problem
from geotarget.geojson.document import oddities, read_document
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
_GEOMETRIES = {
    "Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon",
    "GeometryCollection",
}  # fmt: skip
_WGS84 = ("CRS84", "EPSG::4326", "EPSG:4326")


@dataclass(frozen=True, slots=True)
class FeatureReport:
    """The verdict on one feature.

    Parameters
    ----------
    index
        Its position in the collection.
    id
        The zone's id, None where it could not be told.
    zone
        The zone, None where there are problems.
    problems
        What is wrong with it.
    """

    index: int
    id: str | None
    zone: Zone | None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class ZonesReport:
    """The verdicts on a document of zones, in its order."""

    features: tuple[FeatureReport, ...]

    @property
    def zones(self) -> list[Zone]:
        """The zones that are accepted."""
        return [each.zone for each in self.features if each.zone is not None]

    @property
    def problems(self) -> list[Problem]:
        """Everything that is wrong with the others."""
        return [problem for each in self.features for problem in each.problems]


class _Collector:
    """Takes the features of a document one by one and keeps the verdicts."""

    def __init__(self, id_property: str | None, limits: GeometryLimits, *, number: bool) -> None:
        self.reports: list[FeatureReport] = []
        self._id_property = id_property
        self._number = number
        self._limits = limits
        self._places: dict[str, int] = {}

    def take(self, feature: Any, length: int, odd: bool) -> None:  # noqa: FBT001
        """Judge the next feature of a collection."""
        at = len(self.reports)
        if at >= self._limits.max_features:
            reason = f"a document may have {self._limits.max_features} features at most"
            raise InvalidZone(Problem("$.features", "", reason))
        self.judge(feature, f"$.features[{at}]", length, odd=odd)

    def judge(self, feature: Any, path: str, length: int, *, odd: bool) -> None:
        """Make a zone of a feature, or keep what is wrong with it."""
        at = len(self.reports)
        name: str | None = None
        zone: Zone | None = None
        problems: tuple[Problem, ...] = ()
        try:
            _check_size(length, path, self._limits)
            _check_even(feature, path, odd=odd)
            default = str(at) if self._number else None
            name, found = _id_of(feature, path, None, self._id_property, default)
            zone = _zone_of(feature, path, name, found, self._limits)
            self._check_new(zone.id, at, path)
        except InvalidZone as error:
            zone, problems = None, error.problems
        self.reports.append(FeatureReport(at, name, zone, problems))

    def _check_new(self, id: str, at: int, path: str) -> None:
        first = self._places.setdefault(id, at)
        if first != at:
            reason = f"$.features[{first}] has this id already"
            raise InvalidZone(Problem(f"{path}.id", shown(id), reason))


def parse_zones(
    document: bytes | Mapping[str, Any],
    *,
    id_property: str | None = None,
    number: bool = False,
    limits: GeometryLimits = LIMITS,
) -> ZonesReport:
    """Read a document of zones.

    Parameters
    ----------
    document
        A FeatureCollection or a Feature, as bytes or decoded.
    id_property
        Name of the property that holds the ids, a string or a whole number. Without it the
        feature's ``id`` counts, then its property ``id``.
    number
        Give a feature without id its position as id, instead of refusing it. For notebooks; a
        catalogue needs ids that survive an edit.
    limits
        Bounds.

    Returns
    -------
    ZonesReport
        One verdict per feature.

    Raises
    ------
    InvalidZone
        The document as a whole can't be read: not JSON, not GeoJSON, or too large.

    Examples
    --------
    >>> report = parse_zones(b'{"type": "FeatureCollection", "features": [{"type": "Feature", '
    ...     b'"id": "a", "properties": {}, "geometry": null}]}')
    >>> str(report.problems[0])[:45]
    '$.features[0].geometry: a zone needs a geomet'
    """
    collector = _Collector(id_property, limits, number=number)
    if isinstance(document, bytes):
        members, streamed = read_document(document, collector.take, limits=limits)
        size = len(document)
    else:
        members, size = dict(document), 0
        streamed = isinstance(members.get("features"), list | tuple)
        for feature in members.pop("features") if streamed else ():
            collector.take(feature, 0, odd=False)
    if members.get("type") == "Feature" and not streamed:
        collector.judge(members, "$", size, odd=False)
        return ZonesReport(tuple(collector.reports))
    problems = _collection_problems(members, streamed=streamed)
    if problems:
        raise InvalidZone(*problems)
    return ZonesReport(tuple(collector.reports))


def load_zones(
    path: Path,
    *,
    id_property: str | None = None,
    number: bool = False,
    limits: GeometryLimits = LIMITS,
) -> ZonesReport:
    """Read a file of zones; see `parse_zones`.

    Raises
    ------
    InvalidZone
        The file can't be read, or `parse_zones` refuses it as a whole.
    """
    try:
        size = path.stat().st_size
        if size > limits.max_collection_bytes:
            reason = f"a document may have {limits.max_collection_bytes} bytes at most"
            raise InvalidZone(Problem(path.name, f"{size} bytes", reason))
        document = path.read_bytes()
    except OSError as error:
        reason = f"can't be read: {error.strerror or error}"
        raise InvalidZone(Problem(str(path), "", reason)) from None
    return parse_zones(document, id_property=id_property, number=number, limits=limits)


def parse_feature(
    document: bytes, *, id: str | None = None, limits: GeometryLimits = LIMITS
) -> Zone:
    """Read one zone from the bytes of a Feature; see `parse_zone`."""
    _check_size(len(document), "$", limits)
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
    name, problems = _id_of(feature, path, id, None, None)
    return _zone_of(feature, path, name, problems, limits)


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
        found = []
        if vertices > limits.max_vertices or sum(map(len, polygons)) > limits.max_rings:
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


def _zone_of(
    feature: Any, path: str, id: str | None, problems: list[Problem], limits: GeometryLimits
) -> Zone:
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
        raise InvalidZone(*_shortened(tuple(problems)))
    known.setdefault("time_zone", time_zone_at(geometry))
    return Zone(id=id, geometry=geometry, radius_m=radius, properties=dict(properties), **known)


def _id_of(
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
    problems += _foreign_problems(feature, path, "Feature")
    geometry = feature.get("geometry")
    if isinstance(geometry, Mapping) and geometry.get("type") != "GeometryCollection":
        problems += _foreign_problems(geometry, f"{path}.geometry", "geometry")
    return problems


def _foreign_problems(value: Mapping[str, Any], path: str, kind: str) -> list[Problem]:
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


def _collection_problems(members: Mapping[str, Any], *, streamed: bool) -> list[Problem]:
    """Check the members of a document that is not a single feature."""
    kind = members.get("type")
    if isinstance(kind, str) and kind in _GEOMETRIES:
        reason = (
            "a geometry alone has no id; wrap it: "
            '{"type": "Feature", "id": "…", "properties": {}, "geometry": …}'
        )
        return [Problem("$.type", shown(kind), reason)]
    if kind != "FeatureCollection":
        reason = 'must be "FeatureCollection" or "Feature"'
        if kind == "Feature":
            reason = "a Feature can't have the member features"
        return [Problem("$.type", shown(kind), reason)]
    problems = _foreign_problems(members, "$", kind)
    if not streamed:
        value = shown(members.get("features"))
        problems.append(Problem("$.features", value, "must be an array of Features"))
    return problems


def _check_size(length: int, path: str, limits: GeometryLimits) -> None:
    if length > limits.max_bytes:
        reason = f"one zone may have {limits.max_bytes} bytes at most"
        raise InvalidZone(Problem(path, f"{length} bytes", reason))


def _check_even(feature: Any, path: str, *, odd: bool) -> None:
    problems = oddities(feature, path) if odd else []
    if problems:
        raise InvalidZone(*_shortened(tuple(problems)))


def _shortened(problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    if len(problems) <= MOST_PER_ZONE:
        return problems
    more = len(problems) - MOST_PER_ZONE
    last = Problem(problems[-1].path, "", f"the last of {more} more problems")
    return (*problems[:MOST_PER_ZONE], last)
