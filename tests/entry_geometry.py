"""The geometry of the plain entry rules: distance, depth, size, and the way through a zone.

shapely and pyproj, one zone and one fix at a time; nothing of `geotarget.engine`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import shapely
from shapely.affinity import translate
from shapely.geometry.base import BaseGeometry

from geotarget.model import Zone
from tests.oracle import GEOD, edges, signed_distance_m

METRES_PER_DEGREE = 111_195.0


class Fix(NamedTuple):
    """Where a device was, and how sure it is of that."""

    ts_ms: int
    lng: float
    lat: float
    acc: float


class Chord(NamedTuple):
    """The longest stretch of a straight way inside a zone: shares of the way, and metres."""

    start: float
    end: float
    metres: float


def hop_m(a: Fix, b: Fix) -> float:
    """Return metres between two fixes on a local plane."""
    dlng = abs(a.lng - b.lng)
    dlng = min(dlng, 360 - dlng)
    return METRES_PER_DEGREE * math.hypot(
        dlng * math.cos(math.radians((a.lat + b.lat) / 2)), a.lat - b.lat
    )


def distance_m(zone: Zone, fix: Fix, reach_m: float) -> float:
    """Return signed metres, positive inside; minus infinity for a box over `reach_m` away."""
    lng = fix.lng
    if zone.radius_m is None:
        west, south, east, north = zone.geometry.bounds
        if east - west < 180:
            lng += 360 * round(((west + east) / 2 - lng) / 360)  # on the zone's side of 180°
            aside = max(west - lng, lng - east, 0.0) * math.cos(math.radians(fix.lat))
            beside = max(south - fix.lat, fix.lat - north)
            if max(aside, beside) * METRES_PER_DEGREE > reach_m:
                return -math.inf
    return signed_distance_m(zone, lng=lng, lat=fix.lat)


def area_m2(zone: Zone) -> float:
    """Return square metres."""
    if zone.radius_m is not None:
        return math.pi * zone.radius_m**2
    return abs(float(GEOD.geometry_area_perimeter(shapely.orient_polygons(zone.geometry))[0]))


def depth_m(zone: Zone) -> float:
    """Return twice the area over the length of the boundary: the radius of a circle."""
    if zone.radius_m is not None:
        return zone.radius_m
    edge = edges(zone.geometry)
    if not len(edge):
        return math.inf
    return 2 * area_m2(zone) / float(np.sum(GEOD.inv(*edge.T)[2]))


def chord(zone: Zone, a: Fix, b: Fix) -> Chord | None:
    """Return the longest stretch inside a zone on the straight way (in degrees) from a to b."""
    ahead = (b.lng - a.lng + 180) % 360 - 180
    if zone.radius_m is None:
        stretches = _through_polygon(zone.geometry, a, ahead, b.lat - a.lat)
    else:
        stretches = _through_circle(zone, a, ahead, b.lat - a.lat)
    found = [
        Chord(start, end, _length_m(a, ahead, b.lat - a.lat, start, end))
        for start, end in stretches
    ]
    return max(found, key=lambda each: each.metres, default=None)


def _length_m(a: Fix, dlng: float, dlat: float, start: float, end: float) -> float:
    return float(
        GEOD.inv(
            a.lng + start * dlng, a.lat + start * dlat, a.lng + end * dlng, a.lat + end * dlat
        )[2]
    )


def _through_polygon(
    geometry: BaseGeometry, a: Fix, dlng: float, dlat: float
) -> list[tuple[float, float]]:
    way = shapely.LineString([(a.lng, a.lat), (a.lng + dlng, a.lat + dlat)])
    west, _, east, _ = way.bounds
    near = []
    for part in shapely.get_parts(geometry):
        for turn in (-360.0, 0.0, 360.0):
            box = part.bounds
            if box[0] + turn <= east and box[2] + turn >= west:
                near.append(translate(part, turn) if turn else part)
    if not near or not way.length:
        return []
    inside = shapely.intersection(way, shapely.union_all(near))
    pieces = [each for each in shapely.get_parts(inside) if each.length]
    merged = shapely.line_merge(shapely.MultiLineString(pieces))
    ends = [
        sorted(way.project(shapely.Point(point), normalized=True) for point in line.coords)
        for line in shapely.get_parts(merged)
    ]
    return [(each[0], each[-1]) for each in ends]


def _through_circle(zone: Zone, a: Fix, dlng: float, dlat: float) -> list[tuple[float, float]]:
    def inside_m(share: float) -> float:
        return signed_distance_m(zone, lng=a.lng + share * dlng, lat=a.lat + share * dlat)

    low, high = 0.0, 1.0
    for _ in range(60):  # the distance to the centre has one least value on a straight way
        third = (high - low) / 3
        if inside_m(low + third) < inside_m(high - third):
            low += third
        else:
            high -= third
    middle = (low + high) / 2
    if inside_m(middle) <= 0:
        return []
    ends = []
    for outside in (0.0, 1.0):
        inner, outer = middle, outside
        for _ in range(60):
            half = (inner + outer) / 2
            inner, outer = (half, outer) if inside_m(half) > 0 else (inner, half)
        ends.append(inner)
    return [(ends[0], ends[1])]
