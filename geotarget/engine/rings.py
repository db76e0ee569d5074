"""The outlines of zones as flat arrays of edges, and what is measured along them.

Edges are straight in longitude and latitude (RFC 7946). The *outline* of a zone is where a device
can enter it, so it is not quite the list of its edges: where a zone is cut at the antimeridian the
two sides of the cut face each other, and an edge along a pole's latitude has no length. Both are
left out, whatever remains of an edge on +-180 with nothing on the other side stays.

Kernels run over edges in runs of `RUN`, each with its box, so that a query reads the few runs near
a ping and the boxes of the others. Costs: 33 bytes an edge; `nearest` takes about 0.1 microseconds
for an outline of 30 edges, and three comparisons of boxes per run for a long one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import NDArray

from geotarget.engine.compiled import njit
from geotarget.engine.ragged import places, starts
from geotarget.model import FloatArray, IntArray

RUN = 32
"""Edges that share a box."""

SEMI_MAJOR_M = 6378137.0
"""Equatorial radius of WGS 84, metres."""
ECCENTRICITY_2 = 0.0066943799901413165
"""Squared first eccentricity of WGS 84."""

POLE = 90.0
SEAM = 180.0
"""The antimeridian; -180 is the same meridian."""

# Gauss-Legendre, three points on [0, 1]: exact for polynomials of degree five
_NODES = np.array([0.5 - np.sqrt(0.15), 0.5, 0.5 + np.sqrt(0.15)])
_WEIGHTS = np.array([5.0, 8.0, 5.0]) / 18.0


@dataclass(frozen=True, slots=True, eq=False)
class Outlines:
    """The outlines of many zones.

    Parameters
    ----------
    edge
        From (lng, lat) to (lng, lat) in degrees, shape (m, 4).
    start
        Where the edges of each zone start, shape (zones + 1,).
    box
        West, south, east, north of each run of edges, shape (runs, 4).
    box_start
        Where the runs of each zone start, shape (zones + 1,).
    area_m2, length_m
        Of each zone on the ellipsoid; the length is that of the outline.
    """

    edge: FloatArray
    start: IntArray
    box: FloatArray
    box_start: IntArray
    area_m2: FloatArray
    length_m: FloatArray

    @classmethod
    def of(cls, geometries: NDArray[np.object_]) -> Outlines:
        """Read the outlines of polygons and multipolygons; other geometries have none.

        Parameters
        ----------
        geometries
            shapely geometries, valid, within +-180 and +-90, shape (zones,).
        """
        parts, part_zone = shapely.get_parts(geometries, return_index=True)
        rings, ring_part = shapely.get_rings(parts, return_index=True)
        points, point_ring = shapely.get_coordinates(rings, return_index=True)
        joined = point_ring[1:] == point_ring[:-1]
        edge = np.hstack([points[:-1], points[1:]])[joined]
        edge_ring = point_ring[:-1][joined]
        ring_zone = part_zone[ring_part]

        swept = np.abs(_sums(edge_ring, _swept_m2(edge), len(rings)))
        hole = np.zeros(len(rings), np.bool_)
        hole[1:] = ring_part[1:] == ring_part[:-1]
        zones = len(geometries)
        area = _sums(ring_zone, np.where(hole, -swept, swept), zones)

        edge, edge_zone = _without_cuts(edge, ring_zone[edge_ring])
        length = _sums(edge_zone, _length_m(edge), zones)
        lengths = np.bincount(edge_zone, minlength=zones).astype(np.int64)
        return cls._assemble(edge, lengths, area, length)

    @classmethod
    def _assemble(
        cls, edge: FloatArray, lengths: IntArray, area: FloatArray, length: FloatArray
    ) -> Outlines:
        start = starts(lengths)
        runs = (lengths + RUN - 1) // RUN
        box_start = starts(runs)
        first = np.arange(box_start[-1]) - np.repeat(box_start[:-1], runs)
        first = first * RUN + np.repeat(start[:-1], runs)
        box = np.empty((len(first), 4))
        if len(first):
            low = np.minimum(edge[:, :2], edge[:, 2:])
            high = np.maximum(edge[:, :2], edge[:, 2:])
            box[:, :2] = np.minimum.reduceat(low, first, axis=0)
            box[:, 2:] = np.maximum.reduceat(high, first, axis=0)
        return cls(np.ascontiguousarray(edge), start, box, box_start, area, length)

    def joined(self, other: Outlines, rows: IntArray) -> Outlines:
        """Return the wanted rows of this and another, counted on, as outlines of their own."""
        start = starts(np.concatenate([np.diff(self.start), np.diff(other.start)]))
        place, lengths = places(start, rows)
        return self._assemble(
            np.concatenate([self.edge, other.edge])[place],
            lengths,
            np.concatenate([self.area_m2, other.area_m2])[rows],
            np.concatenate([self.length_m, other.length_m])[rows],
        )

    def nearest(self, *, lng: FloatArray, lat: FloatArray, zone: IntArray) -> FloatArray:
        """Return the way from each ping to the nearest point of a zone's outline.

        Nearest is meant in the plane that touches the ellipsoid at the ping (longitude and
        latitude scaled by its two radii of curvature), also over the antimeridian.

        Returns
        -------
        ndarray, shape (n, 2)
            Degrees of longitude and latitude; infinite for a zone without outline.
        """
        prime, meridian = curvature_m(lat)
        way = np.empty((len(lng), 2))
        _nearest(
            np.array(lng, np.float64),
            np.array(lat, np.float64),
            np.asarray(prime * np.cos(np.radians(lat)) / meridian),
            np.array(zone, np.int64),
            self.edge,
            self.start,
            self.box,
            self.box_start,
            way,
        )
        return way

    def touched(self, box: FloatArray, zone: IntArray) -> NDArray[np.bool_]:
        """Return whether a zone's outline comes into a box, or within a tenth of a millimetre.

        Parameters
        ----------
        box
            West, south, east, north in degrees, shape (n, 4); may go beyond +-180.
        zone
            Shape (n,).
        """
        found = np.zeros(len(zone), np.bool_)
        margin = np.array([-1e-9, -1e-9, 1e-9, 1e-9])
        _touched(
            np.ascontiguousarray(box + margin),
            np.array(zone, np.int64),
            self.edge,
            self.start,
            self.box,
            self.box_start,
            found,
        )
        return found


def curvature_m(lat: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the radii of curvature of WGS 84, in the prime vertical and along the meridian."""
    term = 1.0 - ECCENTRICITY_2 * np.sin(np.radians(lat)) ** 2
    prime: FloatArray = SEMI_MAJOR_M / np.sqrt(term)
    return prime, prime * (1.0 - ECCENTRICITY_2) / term


def way_m(way: FloatArray, lat: FloatArray) -> FloatArray:
    """Return the length of short ways that start at a latitude, metres.

    The radii of curvature are taken half-way, so the error grows with the third power of the
    length: a millionth at 10 km and 60 degrees of latitude.

    Parameters
    ----------
    way
        Degrees of longitude and latitude, shape (n, 2).
    lat
        Where they start, shape (n,).
    """
    middle = lat + np.where(np.isfinite(way[:, 1]), way[:, 1], 0.0) / 2
    prime, meridian = curvature_m(middle)
    east = np.radians(way[:, 0]) * prime * np.cos(np.radians(middle))
    length: FloatArray = np.hypot(east, np.radians(way[:, 1]) * meridian)
    return length


def _sums(row: IntArray, value: FloatArray, rows: int) -> FloatArray:
    """Return the sum of the values of each row."""
    return np.bincount(row, value, rows).astype(np.float64)


def _along(edge: FloatArray) -> FloatArray:
    """Return latitudes in radians at the integration nodes of each edge, shape (m, 3)."""
    lat: FloatArray = np.radians(edge[:, 1, None] + (edge[:, 3] - edge[:, 1])[:, None] * _NODES)
    return lat


def _swept_m2(edge: FloatArray) -> FloatArray:
    """Return the signed area between each edge and the equator, on the ellipsoid."""
    sine = np.sin(_along(edge))
    eccentricity = np.sqrt(ECCENTRICITY_2)
    zone = sine / (1.0 - ECCENTRICITY_2 * sine**2) + np.arctanh(eccentricity * sine) / eccentricity
    height = SEMI_MAJOR_M**2 * (1.0 - ECCENTRICITY_2) / 2.0 * (zone @ _WEIGHTS)
    return np.asarray(np.radians(edge[:, 2] - edge[:, 0]) * height)


def _length_m(edge: FloatArray) -> FloatArray:
    """Return the length of each edge on the ellipsoid."""
    lat = _along(edge)
    prime, meridian = curvature_m(np.degrees(lat))
    east = np.radians(edge[:, 2] - edge[:, 0])[:, None] * prime * np.cos(lat)
    north = np.radians(edge[:, 3] - edge[:, 1])[:, None] * meridian
    return np.asarray(np.hypot(east, north) @ _WEIGHTS)


def _without_cuts(edge: FloatArray, zone: IntArray) -> tuple[FloatArray, IntArray]:
    """Drop edges without length or along a pole, and cuts at the antimeridian."""
    flat = (np.abs(edge[:, 1]) == POLE) & (edge[:, 1] == edge[:, 3])
    still = (edge[:, 0] == edge[:, 2]) & (edge[:, 1] == edge[:, 3])
    seam = (np.abs(edge[:, 0]) == SEAM) & (edge[:, 0] == edge[:, 2]) & ~still
    kept = ~(flat | still | seam)
    if not seam.any():
        return edge[kept], zone[kept]
    edges, zones = [edge[kept]], [zone[kept]]
    for each in np.unique(zone[seam]):
        rest = _open_cuts(edge[seam & (zone == each)])
        edges.append(rest)
        zones.append(np.full(len(rest), each))
    edge, zone = np.concatenate(edges), np.concatenate(zones)
    order = np.argsort(zone, kind="stable")
    return edge[order], zone[order]


def _open_cuts(edge: FloatArray) -> FloatArray:
    """Return the pieces of edges on +-180 that face nothing on the other side."""
    south = np.minimum(edge[:, 1], edge[:, 3])
    north = np.maximum(edge[:, 1], edge[:, 3])
    levels = np.unique(np.concatenate([south, north]))
    pieces = []
    for low, high in pairwise(levels.tolist()):
        across = edge[(south <= low) & (north >= high), 0]
        sides = {side for side in (-SEAM, SEAM) if (across == side).any()}
        if len(sides) == 1:
            side = sides.pop()
            pieces.append((side, low, side, high))
    return np.array(pieces).reshape(-1, 4)


@njit(cache=True, nogil=True)
def _box_gap(x: float, y: float, scale: float, box: FloatArray, run: int) -> float:
    """Squared distance from a point to a run's box, in degrees of latitude."""
    dx = max(box[run, 0] - x, 0.0, x - box[run, 2]) * scale
    dy = max(box[run, 1] - y, 0.0, y - box[run, 3])
    return float(dx * dx + dy * dy)


@njit(cache=True, nogil=True)
def _nearest(
    lng: FloatArray,
    lat: FloatArray,
    scale: FloatArray,
    zone: IntArray,
    edge: FloatArray,
    start: IntArray,
    box: FloatArray,
    box_start: IntArray,
    way: FloatArray,
) -> None:
    for i in range(len(lng)):
        y = lat[i]
        k = scale[i]
        first = box_start[zone[i]]
        last = box_start[zone[i] + 1]
        best = np.inf
        way[i, 0] = np.inf
        way[i, 1] = np.inf
        for turn in range(3):  # as it is, then once around the Earth either way
            x = lng[i] + (0.0, 360.0, -360.0)[turn]
            # the most promising run first: it rules out nearly all others
            favourite = first
            least = np.inf
            for run in range(first, last):
                gap = _box_gap(x, y, k, box, run)
                if gap < least:
                    least = gap
                    favourite = run
            if least >= best:
                continue
            for step in range(first - 1, last):
                run = favourite if step < first else step
                if step == favourite or (step >= first and _box_gap(x, y, k, box, run) >= best):
                    continue
                begin = start[zone[i]] + (run - first) * RUN
                end = min(begin + RUN, start[zone[i] + 1])
                for e in range(begin, end):
                    ax = (edge[e, 0] - x) * k
                    ay = edge[e, 1] - y
                    dx = (edge[e, 2] - edge[e, 0]) * k
                    dy = edge[e, 3] - edge[e, 1]
                    t = -(ax * dx + ay * dy) / (dx * dx + dy * dy)
                    t = min(max(t, 0.0), 1.0)
                    px = ax + t * dx
                    py = ay + t * dy
                    gap = px * px + py * py
                    if gap < best:
                        best = gap
                        way[i, 0] = edge[e, 0] + t * (edge[e, 2] - edge[e, 0]) - x
                        way[i, 1] = edge[e, 1] + t * (edge[e, 3] - edge[e, 1]) - y


@njit(cache=True, nogil=True)
def _touched(
    wanted: FloatArray,
    zone: IntArray,
    edge: FloatArray,
    start: IntArray,
    box: FloatArray,
    box_start: IntArray,
    found: NDArray[np.bool_],
) -> None:
    for i in range(len(zone)):
        south = wanted[i, 1]
        north = wanted[i, 3]
        half_x = (wanted[i, 2] - wanted[i, 0]) / 2
        half_y = (north - south) / 2
        for turn in range(3):
            shift = (0.0, 360.0, -360.0)[turn]
            west = wanted[i, 0] + shift
            east = wanted[i, 2] + shift
            if east < -SEAM or west > SEAM or found[i]:
                continue
            x = (west + east) / 2
            y = (south + north) / 2
            first = box_start[zone[i]]
            for run in range(first, box_start[zone[i] + 1]):
                if (
                    box[run, 0] > east
                    or box[run, 2] < west
                    or box[run, 1] > north
                    or box[run, 3] < south
                ):
                    continue
                begin = start[zone[i]] + (run - first) * RUN
                end = min(begin + RUN, start[zone[i] + 1])
                for e in range(begin, end):
                    ax = edge[e, 0]
                    ay = edge[e, 1]
                    bx = edge[e, 2]
                    by = edge[e, 3]
                    if (
                        min(ax, bx) > east
                        or max(ax, bx) < west
                        or min(ay, by) > north
                        or max(ay, by) < south
                    ):
                        continue
                    # is the whole box on one side of the edge's line?
                    dx = bx - ax
                    dy = by - ay
                    side = dx * (y - ay) - dy * (x - ax)
                    if abs(side) <= half_x * abs(dy) + half_y * abs(dx):
                        found[i] = True
                        break
                if found[i]:
                    break
