"""What a list says of a zone's shape instead of its outline: ten thousand outlines are 40 MB.

Cost: 10 µs a zone, all of a page at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import shapely
from pydantic import BaseModel, Field

from geotarget.model import Zone

EARTH_M = 6_371_008.8
DEGREE_M = math.pi * EARTH_M / 180
"""Of latitude."""


class ShapeAnswer(BaseModel):
    """The shape of a zone in a few figures."""

    type: Literal["circle", "polygon"]
    parts: int = Field(description="How many polygons.")
    holes: int
    corners: int = Field(description="Of outlines and holes; of a circle 0.")
    area_m2: float = Field(description="Square metres, to three digits.")


def add_shapes(features: Sequence[dict[str, Any]], zones: Sequence[Zone]) -> None:
    """Add `shape` and `bbox` to the features of zones.

    Parameters
    ----------
    features
        Of the same zones, in the same order.
    zones
        Valid zones.
    """
    outlines = np.empty(len(zones), object)
    outlines[:] = [zone.geometry for zone in zones]
    parts, of_zone = shapely.get_parts(outlines, return_index=True)
    count = np.bincount(of_zone, minlength=len(zones))
    holes = np.bincount(
        of_zone, np.maximum(shapely.get_num_interior_rings(parts), 0), minlength=len(zones)
    ).astype(int)
    corners = shapely.get_num_coordinates(outlines) - count - holes
    boxes = shapely.bounds(outlines).reshape(-1, 4)
    middle = np.radians((boxes[:, 1] + boxes[:, 3]) / 2)
    areas = shapely.area(outlines) * DEGREE_M**2 * np.cos(middle)
    figures = zip(count.tolist(), holes.tolist(), corners.tolist(), areas.tolist(), strict=True)
    for feature, zone, box, (some, inner, vertices, area) in zip(
        features, zones, boxes.tolist(), figures, strict=True
    ):
        radius = zone.radius_m
        feature["bbox"] = _box(zone.geometry, box) if radius is None else _around(box, radius)
        feature["shape"] = {
            "type": "polygon" if radius is None else "circle",
            "parts": some,
            "holes": inner,
            "corners": vertices if radius is None else 0,
            "area_m2": _three_digits(area if radius is None else math.pi * radius**2),
        }


def _box(geometry: shapely.Geometry, box: list[float]) -> list[float]:
    """Return the bounding box; of what lies over the antimeridian west is above east."""
    west, south, east, north = box
    if (west, east) != (-180.0, 180.0):
        return box
    parts = shapely.bounds(shapely.get_parts(geometry))
    left, right = parts[parts[:, 2] <= 0], parts[parts[:, 0] >= 0]
    if len(left) + len(right) < len(parts):
        return box
    return [float(right[:, 0].min()), south, float(left[:, 2].max()), north]


def _around(centre: list[float], radius_m: float) -> list[float]:
    lng, lat = centre[:2]
    dy = radius_m / DEGREE_M
    south, north = max(lat - dy, -90.0), min(lat + dy, 90.0)
    widest = math.cos(math.radians(max(abs(south), abs(north))))
    if dy >= 180 * widest:
        return [-180.0, south, 180.0, north]
    west, east = lng - dy / widest, lng + dy / widest
    return [west + 360 * (west < -180), south, east - 360 * (east > 180), north]


def _three_digits(area_m2: float) -> float:
    return float(f"{area_m2:.3g}")
