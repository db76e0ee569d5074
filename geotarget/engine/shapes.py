"""The geometry of zones in columns: what covers a ping exactly, and how deep inside it is.

Polygons and circles behind one face. Whether a polygon covers a ping is shapely's answer (edges
straight in longitude and latitude, the boundary is inside), except that longitude 180 and -180 are
one meridian: a ping on either is in a zone that touches either. A circle is the points within a
geodesic distance on WGS 84, boundary included; no polygon stands in for it.

Costs per (ping, zone): a polygon 0.25 microseconds with 30 vertices and about one with 10,000, a
circle 0.5. Outlines of more than `PREPARED_FROM` vertices get an index inside GEOS: 30 bytes a
vertex, made at build time, because GEOS would otherwise make it at the first use, and not
thread-safely. For the same reason those are copies of our own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

from geotarget.engine.cells import boxes
from geotarget.engine.rings import SEAM, Outlines, curvature_m, way_m
from geotarget.model import FloatArray, IntArray, Zone

PREPARED_FROM = 128
"""Vertices from which an index inside GEOS pays."""

GEOD = pyproj.Geod(ellps="WGS84")


@dataclass(frozen=True, slots=True, eq=False)
class Shapes:
    """The shapes of zones, one row each.

    Parameters
    ----------
    geometry
        shapely geometries: polygons, multipolygons, or the points that circles are around.
    radius_m
        Radius of circles; NaN for polygons.
    lng, lat
        Centre of circles, degrees; NaN for polygons.
    box
        West, south, east, north in degrees, shape (n, 4); circles may reach beyond +-180.
    outlines
        Of the polygons; empty rows for circles.
    """

    geometry: NDArray[np.object_]
    radius_m: FloatArray
    lng: FloatArray
    lat: FloatArray
    box: FloatArray
    outlines: Outlines

    @classmethod
    def of(cls, zones: Sequence[Zone]) -> Shapes:
        """Read the shapes of zones, which must be valid."""
        geometry = np.empty(len(zones), np.object_)
        geometry[:] = [zone.geometry for zone in zones]
        radius = np.array(
            [np.nan if zone.radius_m is None else zone.radius_m for zone in zones], np.float64
        )
        circle = ~np.isnan(radius)
        centre = np.full((len(zones), 2), np.nan)
        centre[circle] = shapely.get_coordinates(geometry[circle])
        flat = geometry.copy()
        flat[circle] = None
        outlines = Outlines.of(flat)
        box = shapely.bounds(geometry).reshape(-1, 4)
        # metres to radians by the smallest radius of curvature: the box is never too small
        least = curvature_m(np.zeros(1))[1][0]
        around = boxes(lng=centre[circle, 0], lat=centre[circle, 1], reach=radius[circle] / least)
        box[circle] = np.stack(around, axis=1)

        heavy = np.flatnonzero(shapely.get_num_coordinates(geometry) > PREPARED_FROM)
        geometry[heavy] = shapely.from_wkb(shapely.to_wkb(geometry[heavy]))
        shapely.prepare(geometry[heavy])
        corner = shapely.get_coordinates(shapely.get_point(_first_ring(geometry[heavy]), 0))
        for _ in range(3):  # GEOS builds its index when a geometry is asked for the second time
            shapely.intersects_xy(geometry[heavy], corner[:, 0], corner[:, 1])
        return cls(geometry, radius, centre[:, 0], centre[:, 1], box, outlines)

    def __len__(self) -> int:
        return len(self.geometry)

    @property
    def area_m2(self) -> FloatArray:
        """Area of each zone on the ellipsoid; of circles that of the flat one."""
        circle = ~np.isnan(self.radius_m)
        return np.where(circle, np.pi * self.radius_m**2, self.outlines.area_m2)

    @property
    def depth_m(self) -> FloatArray:
        """Twice the area over the length of the outline; infinite for a zone without outline."""
        circle = ~np.isnan(self.radius_m)
        with np.errstate(divide="ignore"):
            depth = 2.0 * self.outlines.area_m2 / np.where(circle, 1.0, self.outlines.length_m)
        return np.where(circle, self.radius_m, depth)

    def joined(self, other: Shapes, rows: IntArray) -> Shapes:
        """Return the wanted rows of this and another, counted on, as shapes of their own."""
        return Shapes(
            np.concatenate([self.geometry, other.geometry])[rows],
            np.concatenate([self.radius_m, other.radius_m])[rows],
            np.concatenate([self.lng, other.lng])[rows],
            np.concatenate([self.lat, other.lat])[rows],
            np.concatenate([self.box, other.box])[rows],
            self.outlines.joined(other.outlines, rows),
        )

    def cover(self, *, lng: FloatArray, lat: FloatArray, zone: IntArray) -> NDArray[np.bool_]:
        """Return whether each zone covers its ping.

        Parameters
        ----------
        lng, lat
            Degrees, shape (n,).
        zone
            Row of the zone for each ping, shape (n,).
        """
        covered = np.zeros(len(zone), np.bool_)
        circle = ~np.isnan(self.radius_m[zone])
        round_ = np.flatnonzero(circle)
        covered[round_] = self._within(lng=lng[round_], lat=lat[round_], zone=zone[round_]) >= 0
        flat = np.flatnonzero(~circle)
        shape = self.geometry[zone[flat]]
        covered[flat] = shapely.intersects_xy(shape, lng[flat], lat[flat])
        across = np.flatnonzero(~circle & ~covered & (np.abs(lng) == SEAM))
        covered[across] = shapely.intersects_xy(
            self.geometry[zone[across]], -lng[across], lat[across]
        )
        return covered

    def signed_distance(self, *, lng: FloatArray, lat: FloatArray, zone: IntArray) -> FloatArray:
        """Return metres from each ping to its zone's boundary, positive inside.

        See `ZoneIndex.signed_distance`.
        """
        distance = np.empty(len(zone))
        circle = ~np.isnan(self.radius_m[zone])
        round_ = np.flatnonzero(circle)
        distance[round_] = self._within(lng=lng[round_], lat=lat[round_], zone=zone[round_])
        flat = np.flatnonzero(~circle)
        x, y, rows = lng[flat], lat[flat], zone[flat]
        gap = way_m(self.outlines.nearest(lng=x, lat=y, zone=rows), y)
        distance[flat] = np.where(self.cover(lng=x, lat=y, zone=rows), gap, -gap)
        return distance

    def _within(self, *, lng: FloatArray, lat: FloatArray, zone: IntArray) -> FloatArray:
        """Return the radius of each circle less the distance to its centre."""
        _, _, gap = GEOD.inv(self.lng[zone], self.lat[zone], lng, lat)
        depth: FloatArray = self.radius_m[zone] - gap
        return depth


def _first_ring(geometry: NDArray[np.object_]) -> NDArray[np.object_]:
    first: NDArray[np.object_] = shapely.get_exterior_ring(shapely.get_geometry(geometry, 0))
    return first
