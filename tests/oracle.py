"""Where a ping is, as plainly as it can be said: the reference for the match engine.

One zone after the other, `shapely.covers` and `pyproj`; no cells, no index, no kernels. Shares no
code with `geotarget.engine`. So near an outline that rounding could decide, fractions do: GEOS
counts in about 106 bits, which is not always enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pyproj
import shapely
from numpy.typing import ArrayLike, NDArray
from shapely.geometry.base import BaseGeometry

from geotarget.model import FloatArray, IntArray, Zone

GEOD = pyproj.Geod(ellps="WGS84")

FAR_M = 50_000.0
"""Beyond this `signed_distance_m` only says that it is at least so far."""

NEAR = 1e-9
"""Nearer than this to an outline, in degrees, fractions decide who is covered."""

_edges: dict[int, tuple[BaseGeometry, FloatArray]] = {}


def covers(zone: Zone, lng: FloatArray, lat: FloatArray) -> NDArray[np.bool_]:
    """Return which points a zone covers; 180 and -180 are one meridian."""
    if zone.radius_m is not None:
        x, y = zone.geometry.x, zone.geometry.y
        _, _, gap = GEOD.inv(np.full(len(lng), x), np.full(len(lng), y), lng, lat)
        return np.asarray(gap) <= zone.radius_m
    covered = covers_in_plane(zone.geometry, lng, lat)
    seam = np.abs(lng) == 180
    covered[seam] |= covers_in_plane(zone.geometry, -lng[seam], lat[seam])
    return covered


def covers_in_plane(geometry: BaseGeometry, lng: FloatArray, lat: FloatArray) -> NDArray[np.bool_]:
    """Return which points a polygon covers, where 180 and -180 are far apart."""
    points = shapely.points(lng, lat)
    covered = np.asarray(shapely.covers(geometry, points))
    close = np.flatnonzero(shapely.distance(shapely.boundary(geometry), points) < NEAR)
    if len(close):
        edge = _all_edges(geometry)
        covered[close] = [_covers_exactly(edge, float(lng[at]), float(lat[at])) for at in close]
    return covered


def _all_edges(geometry: BaseGeometry) -> FloatArray:
    rings = shapely.get_rings(shapely.get_parts(geometry))
    points, ring = shapely.get_coordinates(rings, return_index=True)
    return np.hstack([points[:-1], points[1:]])[ring[1:] == ring[:-1]]


def _covers_exactly(edge: FloatArray, x: float, y: float) -> bool:
    """Even or odd number of edges to the left, in fractions; the outline is inside."""
    edge = edge[
        (np.minimum(edge[:, 1], edge[:, 3]) <= y) & (y <= np.maximum(edge[:, 1], edge[:, 3]))
    ]
    crossed = 0
    for ax, ay, bx, by in edge.tolist():
        if max(ax, bx) < x:
            right = True
        elif x < min(ax, bx):
            right = False
        else:
            u = (Fraction(ax) - Fraction(x)) * (Fraction(by) - Fraction(y))
            w = (Fraction(ay) - Fraction(y)) * (Fraction(bx) - Fraction(x))
            if u == w:
                return True
            right = (u < w) == (by > ay)
        crossed += right and (ay > y) != (by > y)
    return crossed % 2 == 1


def covers_pairs(zones: Sequence[Zone], lng: ArrayLike, lat: ArrayLike) -> IntArray:
    """Return (ping, zone) pairs as `ZoneIndex.query` must: shape (2, n), by ping, then by zone."""
    x, y = np.asarray(lng, float), np.asarray(lat, float)
    found = []
    for number, zone in enumerate(zones):
        near = np.arange(len(x))
        if zone.radius_m is None:  # a plain box first, or large data sets take minutes
            west, south, east, north = zone.geometry.bounds
            inside = (x >= west) & (x <= east) | (np.abs(x) == 180)
            near = np.flatnonzero(inside & (y >= south) & (y <= north))
        ping = near[covers(zone, x[near], y[near])]
        found.append(np.stack([ping, np.full(len(ping), number)]))
    pairs = np.concatenate(found, axis=1) if found else np.zeros((2, 0), np.int64)
    return pairs[:, np.lexsort((pairs[1], pairs[0]))]


def signed_distance_m(zone: Zone, *, lng: float, lat: float) -> float:
    """Return metres from a point to a zone's boundary, positive inside.

    The geodesic to the point of the boundary that is nearest on a map centred on the ping. Beyond
    `FAR_M` outside, the answer may be any number below ``-FAR_M``.
    """
    if zone.radius_m is not None:
        return zone.radius_m - float(GEOD.inv(zone.geometry.x, zone.geometry.y, lng, lat)[2])
    east_m, north_m = metres_per_degree(lat)
    west, south, east, north = zone.geometry.bounds
    aside = max(west - lng, 0.0, lng - east)
    beside = np.hypot(min(aside, 360.0) * east_m, max(south - lat, 0.0, lat - north) * north_m)
    if beside > FAR_M and west > -180 and east < 180:
        return -float(beside)
    edge = edges(zone.geometry)
    turn = 360.0 * np.round(((edge[:, 0] + edge[:, 2]) / 2 - lng) / 360.0)
    ax, ay = (edge[:, 0] - turn - lng) * east_m, (edge[:, 1] - lat) * north_m
    dx, dy = (edge[:, 2] - edge[:, 0]) * east_m, (edge[:, 3] - edge[:, 1]) * north_m
    along = np.clip(-(ax * dx + ay * dy) / (dx * dx + dy * dy), 0.0, 1.0)
    squares = (ax + along * dx) ** 2 + (ay + along * dy) ** 2
    if not len(squares):
        return float("inf")
    best = int(np.argmin(squares))
    start, end = edge[best, :2], edge[best, 2:]
    x, y = (start + along[best] * (end - start)).tolist()
    gap = float(GEOD.inv(lng, lat, x, y)[2])
    return gap if covers(zone, np.array([lng]), np.array([lat]))[0] else -gap


def metres_per_degree(lat: float) -> tuple[float, float]:
    """Return the length of a degree of longitude and of one of latitude, metres."""
    step = 1e-4
    pole = float(np.clip(lat, -90 + step, 90 - step))
    east = GEOD.inv(0, pole, step, pole)[2] / step
    north = GEOD.inv(0, pole - step / 2, 0, pole + step / 2)[2] / step
    return east, north


def edges(geometry: BaseGeometry) -> FloatArray:
    """Return the edges of a zone's boundary, without the cut at the antimeridian."""
    known = _edges.get(id(geometry))
    if known is not None and known[0] is geometry:
        return known[1]
    found = []
    for part in shapely.get_parts(geometry):
        for ring in (part.exterior, *part.interiors):
            points = shapely.get_coordinates(ring)
            found.append(np.hstack([points[:-1], points[1:]]))
    edge = np.concatenate(found)
    length = np.hypot(edge[:, 2] - edge[:, 0], edge[:, 3] - edge[:, 1])
    pole = (np.abs(edge[:, 1]) == 90) & (edge[:, 1] == edge[:, 3])
    seam = (np.abs(edge[:, 0]) == 180) & (edge[:, 0] == edge[:, 2])
    middle = (edge[:, 1] + edge[:, 3]) / 2
    for side in (-180 + 1e-9, 180 - 1e-9):
        seam &= shapely.covers(geometry, shapely.points(np.full(len(edge), side), middle))
    edge = edge[(length > 0) & ~pole & ~seam]
    _edges[id(geometry)] = (geometry, edge)
    return edge
