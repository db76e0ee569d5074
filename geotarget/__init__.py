"""Geofencing and location targeting.

In a notebook::

    import geotarget as gt

    index = gt.ZoneIndex.from_geojson("zones.geojson")
    ping, zone = index.query(lng=lng, lat=lat)
    rows = gt.match(pings, index)  # pandas, Polars or Arrow
    joined = gt.sjoin(points, zones)  # GeoPandas
    events = gt.detect_transitions(pings, index)

As a service: ``geotarget up``. The rooms of the package are drawn in ``ARCHITECTURE.md``.

Names are loaded when they are first used, so that ``geotarget --help`` need not wait for numba.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from geotarget.engine import Rules, ZoneIndex
    from geotarget.engine.offline import detect_transitions
    from geotarget.errors import GeotargetError
    from geotarget.matching.frames import match
    from geotarget.matching.spatial_join import sjoin
    from geotarget.model import Zone

__version__ = "0.1.0"

__all__ = [
    "GeotargetError",
    "Rules",
    "Zone",
    "ZoneIndex",
    "__version__",
    "detect_transitions",
    "match",
    "sjoin",
]

_HOMES = {
    "GeotargetError": "geotarget.errors",
    "Rules": "geotarget.engine.rules",
    "Zone": "geotarget.model",
    "ZoneIndex": "geotarget.engine.zone_index",
    "detect_transitions": "geotarget.engine.offline",
    "match": "geotarget.matching.frames",
    "sjoin": "geotarget.matching.spatial_join",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'geotarget' has no attribute {name!r}")
