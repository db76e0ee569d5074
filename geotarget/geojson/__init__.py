"""GeoJSON (RFC 7946) in and out: the door that every zone comes through.

What passes is valid and complete; what does not is refused with the JSON path, the value and the
bound of each thing that is wrong. Nothing is repaired in silence. The one thing that is rewritten
is a ring that is not cut at the antimeridian: it becomes the cut form that RFC 7946 asks for.

- `parse_zones`, `load_zones`: a document or file of zones, one verdict per feature
- `parse_feature`, `parse_zone`: one zone, as bytes or decoded
- `parse_geometry`: one zone from a shapely geometry
- `parse_frame`: the zones of a table
- `to_feature`: a zone as GeoJSON
- `zone_schema`: the JSON Schema of a catalogue

Costs: 10 to 20 microseconds for a zone of 30 vertices that is one of many and plainly right, else
0.15 ms and 2 microseconds per further vertex. `GeometryLimits` bounds size, and the time that
checking a zone can take: a few seconds for the worst that passes.
"""

from __future__ import annotations

from geotarget.geojson.bulk import parse_frame
from geotarget.geojson.collection import FeatureReport, ZonesReport, load_zones, parse_zones
from geotarget.geojson.limits import GeometryLimits
from geotarget.geojson.parse import parse_feature, parse_geometry, parse_zone
from geotarget.geojson.write import to_feature, zone_schema

__all__ = [
    "FeatureReport",
    "GeometryLimits",
    "ZonesReport",
    "load_zones",
    "parse_feature",
    "parse_frame",
    "parse_geometry",
    "parse_zone",
    "parse_zones",
    "to_feature",
    "zone_schema",
]
