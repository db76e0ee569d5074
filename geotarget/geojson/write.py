"""Zones as GeoJSON, and the schema of a catalogue."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import shapely
from shapely import Point, Polygon
from shapely.geometry.base import BaseGeometry

from geotarget.geojson.limits import GeometryLimits
from geotarget.geojson.properties import (
    MAX_EXIT_BUFFER_M,
    MAX_ID,
    MAX_NAME,
    MAX_TAG,
    MAX_TAGS,
    PENDING,
    PRIORITY,
    time_zone_at,
)
from geotarget.model import EntryPolicy, Zone


def to_feature(zone: Zone, *, outline: bool = True) -> dict[str, Any]:
    """Return a zone as a GeoJSON Feature.

    `parse_zone` makes the same zone of it again, but for revision and key. The properties are
    those that the author gave. What was set in code besides is added where it is not the default
    (for the time zone: that of the place).

    Parameters
    ----------
    zone
        Any zone; a circle becomes a Point with the property ``radius_m``.
    outline
        Whether to tell its geometry; without it that is None.

    Returns
    -------
    dict
        Lists, dicts, strings and numbers, with a foreign member ``revision``.

    Examples
    --------
    >>> from shapely import Point
    >>> kiosk = Zone(id="kiosk", geometry=Point(24.94, 60.17), radius_m=30.0)
    >>> to_feature(kiosk)["properties"]
    {'radius_m': 30.0, 'time_zone': 'UTC'}
    """
    properties = dict(zone.properties)
    known: dict[str, tuple[Any, Any]] = {
        "name": (zone.name, ""),
        "tags": (list(zone.tags), []),
        "priority": (zone.priority, 0),
        "entry": (zone.entry.value, EntryPolicy.STANDARD.value),
        "pending": (PENDING[zone.pending_enters], PENDING[0]),
        "exit_buffer_m": (zone.exit_buffer_m, None),
        "active": (zone.active, True),
        "sensitive": (zone.sensitive, False),
        "starts": (_instant(zone.starts_ms), None),
        "ends": (_instant(zone.ends_ms), None),
        "radius_m": (zone.radius_m, None),
    }
    for name, (value, default) in known.items():
        if properties.get(name) is None and value != default:
            properties[name] = value
    if properties.get("time_zone") is None and zone.time_zone != time_zone_at(zone.geometry):
        properties["time_zone"] = zone.time_zone
    return {
        "type": "Feature",
        "id": zone.id,
        "geometry": _geometry(zone.geometry) if outline else None,
        "properties": properties,
        "revision": zone.revision,
    }


def _geometry(geometry: BaseGeometry) -> dict[str, Any]:
    parts = [
        [shapely.get_coordinates(ring).tolist() for ring in shapely.get_rings(part)]
        for part in shapely.get_parts(geometry)
        if isinstance(part, Polygon)
    ]
    coordinates: Any = parts
    if isinstance(geometry, Point):
        coordinates = [geometry.x, geometry.y]
    elif isinstance(geometry, Polygon):
        coordinates = parts[0]
    return {"type": geometry.geom_type, "coordinates": coordinates}


def _instant(at_ms: int | None) -> str | None:
    if at_ms is None:
        return None
    at = datetime.fromtimestamp(at_ms // 1000, UTC).replace(microsecond=at_ms % 1000 * 1000)
    return at.isoformat().replace("+00:00", "Z")


def zone_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a catalogue: a FeatureCollection of zones.

    It is what an editor can check while somebody types. `parse_zones` knows more: rings, limits
    on size, time zones.
    """
    limits = GeometryLimits()
    number = {"type": "number"}
    position = {
        "type": "array",
        "prefixItems": [
            {"type": "number", "minimum": -360, "maximum": 360, "title": "longitude"},
            {"type": "number", "minimum": -90, "maximum": 90, "title": "latitude"},
            {"type": "number", "title": "altitude; dropped"},
        ],
        "minItems": 2,
        "maxItems": 3,
    }
    ring = {"type": "array", "items": {"$ref": "#/$defs/position"}, "minItems": 4}
    polygon = {
        "type": "array",
        "items": {"$ref": "#/$defs/ring"},
        "minItems": 1,
        "maxItems": limits.max_rings,
    }
    polygons = {"type": "array", "items": {"$ref": "#/$defs/polygon"}, "minItems": 1}
    instant = {
        "description": "RFC 3339 with offset, or epoch seconds",
        "anyOf": [{"type": "string", "format": "date-time"}, number, {"type": "null"}],
    }
    properties = {
        "name": {"type": ["string", "null"], "maxLength": MAX_NAME},
        "tags": {
            "type": ["array", "null"],
            "items": {"type": "string", "minLength": 1, "maxLength": MAX_TAG},
            "maxItems": MAX_TAGS,
        },
        "priority": {
            "description": "Among entries of one instant the higher comes first",
            "type": ["integer", "null"],
            "minimum": -PRIORITY,
            "maximum": PRIORITY,
        },
        "entry": {
            "description": "How much evidence an entry needs",
            "enum": [*(policy.value for policy in EntryPolicy), None],
        },
        "pending": {
            "description": "What becomes of one weak piece of evidence without a second",
            "enum": [*PENDING, None],
        },
        "exit_buffer_m": {
            "description": "How far beyond its accuracy a fix must lie to count as outside, metres",
            "type": ["number", "null"],
            "minimum": 0,
            "maximum": MAX_EXIT_BUFFER_M,
        },
        "active": {"type": ["boolean", "null"]},
        "sensitive": {"type": ["boolean", "null"]},
        "starts": instant,
        "ends": instant,
        "time_zone": {"description": "IANA name", "type": ["string", "null"]},
        "radius_m": {"description": "Makes a Point a circle, metres", "type": ["number", "null"]},
    }
    radius = {"type": "number", "exclusiveMinimum": 0, "maximum": limits.max_radius_m}
    id_type = {"type": ["string", "integer"], "minLength": 1, "maxLength": MAX_ID}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A catalogue of zones",
        "type": "object",
        "required": ["type", "features"],
        "properties": {
            "type": {"const": "FeatureCollection"},
            "features": {"type": "array", "items": {"$ref": "#/$defs/zone"}},
        },
        "$defs": {
            "zone": {
                "type": "object",
                "required": ["type", "geometry", "properties"],
                "properties": {
                    "type": {"const": "Feature"},
                    "id": id_type,
                    "geometry": {"$ref": "#/$defs/geometry"},
                    "properties": {"type": ["object", "null"], "properties": properties},
                },
                "anyOf": [
                    {"required": ["id"]},
                    {"properties": {"properties": {"required": ["id"]}}},
                ],
                "if": {"properties": {"geometry": {"properties": {"type": {"const": "Point"}}}}},
                "then": {
                    "properties": {
                        "properties": {
                            "type": "object",
                            "required": ["radius_m"],
                            "properties": {"radius_m": radius},
                        }
                    }
                },
            },
            "geometry": {
                "oneOf": [
                    _geometry_schema("Polygon", "#/$defs/polygon"),
                    _geometry_schema("MultiPolygon", "#/$defs/polygons"),
                    _geometry_schema("Point", "#/$defs/position"),
                ]
            },
            "polygons": polygons,
            "polygon": polygon,
            "ring": ring,
            "position": position,
        },
    }


def _geometry_schema(kind: str, coordinates: str) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["type", "coordinates"],
        "properties": {"type": {"const": kind}, "coordinates": {"$ref": coordinates}},
    }
