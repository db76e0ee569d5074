"""Documents that the tests send."""

from __future__ import annotations

import time
from typing import Any

LNG, LAT = 24.94, 60.17


def square(
    id: str | None = None, *, lng: float = LNG, lat: float = LAT, half: float = 0.002, **more: Any
) -> dict[str, Any]:
    """Return a square zone as a GeoJSON Feature."""
    west, east, south, north = lng - half, lng + half, lat - half, lat + half
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    feature: dict[str, Any] = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"name": f"Square {id}", **more},
    }
    return feature if id is None else {"id": id, **feature}


def collection(*features: Any) -> dict[str, Any]:
    """Return a FeatureCollection."""
    return {"type": "FeatureCollection", "features": list(features)}


def campaign(*endpoints: str, **changes: Any) -> dict[str, Any]:
    """Return a small campaign that greets who enters any zone."""
    return {
        "name": "Greeting",
        "trigger": {"on": ["enter"]},
        "offer": {"text": "Hello at {{ zone.name }}"},
        "endpoints": list(endpoints),
        **changes,
    }


def ping(device: str = "d1", *, ago_s: float = 0, **changes: Any) -> dict[str, Any]:
    """Return a ping in the middle of the default square."""
    return {
        "device": device,
        "ts": time.time() - ago_s,
        "lat": LAT,
        "lng": LNG,
        "acc": 5,
        **changes,
    }
