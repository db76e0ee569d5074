"""WGS 84: lengths of short ways, and the areas and outlines of zones.

Edges are straight in longitude and latitude (RFC 7946), so neither area nor length is a matter of
geodesics: both are integrals along an edge on which latitude is linear. The area between an edge
and a parallel is the integral of a height H(latitude), the area per radian of longitude from the
equator up; the length that of the speed. An edge that spans little latitude takes the value in its
middle, the area with the second-order term too; any other takes three nodes of Gauss-Legendre.

Costs: 17 ns an edge for the area and the length together, once, when an index is built.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geotarget.engine.compiled import njit
from geotarget.model import FloatArray, IntArray

SEMI_MAJOR_M = 6378137.0
"""Equatorial radius of WGS 84, metres."""
ECCENTRICITY_2 = 0.0066943799901413165
"""Squared first eccentricity of WGS 84."""

POLE = 90.0
SEAM = 180.0
"""The antimeridian; -180 is the same meridian."""


class Geodesics:
    """Those of pyproj, which is read when they are first asked for: that takes 40 ms."""

    @cached_property
    def _exact(self) -> Any:
        from pyproj import Geod  # noqa: PLC0415 most indexes never ask

        return Geod(ellps="WGS84")

    def inv(self, *places: Any) -> Any:
        """Return azimuths, degrees, and the distance, metres: `pyproj.Geod.inv`."""
        return self._exact.inv(*places)

    def fwd(self, *ways: Any) -> Any:
        """Return where ways end, and the azimuth back, degrees: `pyproj.Geod.fwd`."""
        return self._exact.fwd(*ways)


GEOD = Geodesics()
"""Geodesics, exact to nanometres."""

RADIAN = math.pi / 180.0

SHORT = 2e-4
"""Edges that span less latitude (radians; 1.3 km), times the cosine of it, are short.

The middle's speed is then the edge's but for SHORT ** 2 / 24, a billionth, and its height with the
second-order term but for SHORT ** 4 / 1920.
"""

# Gauss-Legendre, three points on [0, 1]: exact for polynomials of degree five
_NODES = (0.5 - math.sqrt(0.15), 0.5, 0.5 + math.sqrt(0.15))
_WEIGHTS = (5.0 / 18.0, 8.0 / 18.0, 5.0 / 18.0)


def curvature_m(lat: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the radii of curvature of WGS 84, in the prime vertical and along the meridian.

    Parameters
    ----------
    lat
        Degrees, any shape.

    Examples
    --------
    >>> prime, meridian = curvature_m(np.array([0.0, 90.0]))
    >>> prime.round().tolist(), meridian.round().tolist()
    ([6378137.0, 6399594.0], [6335439.0, 6399594.0])
    """
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
        Degrees of longitude and latitude, shape (n, 2); infinite ones have infinite length.
    lat
        Where they start, degrees, shape (n,).

    Examples
    --------
    >>> way_m(np.array([[0.001, 0.0], [0.0, 0.001]]), np.array([60.0, 60.0])).round(2).tolist()
    [55.8, 111.41]
    """
    middle = lat + np.where(np.isfinite(way[:, 1]), way[:, 1], 0.0) / 2
    prime, meridian = curvature_m(middle)
    east = np.radians(way[:, 0]) * prime * np.cos(np.radians(middle))
    length: FloatArray = np.hypot(east, np.radians(way[:, 1]) * meridian)
    return length


def fixed(array: NDArray[Any]) -> NDArray[Any]:
    """Return a view that can't be written, as a plain contiguous array.

    Kernels are compiled once per type of their arguments, and an array that can't be written (all
    that is mapped from a file) is a type of its own: with this there is only one.
    """
    view = np.ascontiguousarray(array).view(np.ndarray)
    view.flags.writeable = False
    return view


def extents(
    xy: FloatArray, ring: IntArray, part: IntArray, zone: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Return the area of each zone and the length of its rings.

    Edges on +-180 and along a pole do not count for the length: `Outlines` adds those on +-180
    that are outline.

    Parameters
    ----------
    xy, ring, part, zone
        Closed rings: vertices as (lng, lat) in degrees, shape (v, 2); where each ring starts in
        them, each part in the rings (its first is the shell), and each zone in the parts.

    Returns
    -------
    area_m2, length_m : ndarray
        Shape (zones,).

    Examples
    --------
    >>> square = np.array([[0, 0], [0.001, 0], [0.001, 0.001], [0, 0.001], [0, 0]], np.float64)
    >>> one = np.array([0, 1])
    >>> area_m2, length_m = extents(square, np.array([0, 5]), one, one)
    >>> area_m2.round().tolist(), length_m.round().tolist()
    ([12309.0], [444.0])
    """
    area = np.empty(len(zone) - 1)
    length = np.empty(len(zone) - 1)
    _extents(fixed(xy), fixed(ring), fixed(part), fixed(zone), area, length)
    return area, length


@njit(cache=True, nogil=True)
def _height(sine: float, squared: float) -> float:
    """Area per radian of longitude from the equator up, in units of a * a * (1 - e * e).

    In closed form (s / (1 - e * e * s * s) + artanh(e * s) / e) / 2; both terms are series in
    (e * s) ** 2, of which eight members suffice for the last bit.
    """
    q = ECCENTRICITY_2 * squared
    total = 8.0 / 15.0
    for k in (6, 5, 4, 3, 2, 1, 0):
        total = total * q + (k + 1.0) / (2.0 * k + 1.0)
    return sine * total


@njit(cache=True, nogil=True)
def _extents(
    xy: FloatArray,
    ring: IntArray,
    part: IntArray,
    zone: IntArray,
    area: FloatArray,
    length: FloatArray,
) -> None:
    flattened = 1.0 - ECCENTRICITY_2
    for z in range(len(zone) - 1):
        held = 0.0
        around = 0.0
        for p in range(zone[z], zone[z + 1]):
            for r in range(part[p], part[p + 1]):
                swept = 0.0
                # from the ring's own parallel instead of the equator: sums of small numbers
                sine = math.sin(xy[ring[r], 1] * RADIAN)
                level = _height(sine, sine * sine)
                for v in range(ring[r], ring[r + 1] - 1):
                    dx = (xy[v + 1, 0] - xy[v, 0]) * RADIAN
                    dy = (xy[v + 1, 1] - xy[v, 1]) * RADIAN
                    low = xy[v, 1] * RADIAN
                    sine = math.sin(low + 0.5 * dy)
                    squared = sine * sine
                    term = 1.0 / (1.0 - ECCENTRICITY_2 * squared)
                    cosine = 1.0 - squared
                    if dy * dy <= SHORT * SHORT * cosine:
                        # the height's second derivative
                        bend = sine * term * term * (4.0 * ECCENTRICITY_2 * cosine * term - 1.0)
                        height = _height(sine, squared) + bend * dy * dy / 24.0
                        north = flattened * term * dy
                        speed = math.sqrt((cosine * dx * dx + north * north) * term)
                    else:
                        height = 0.0
                        speed = 0.0
                        for node in range(3):
                            sine = math.sin(low + _NODES[node] * dy)
                            squared = sine * sine
                            term = 1.0 / (1.0 - ECCENTRICITY_2 * squared)
                            north = flattened * term * dy
                            east2 = (1.0 - squared) * dx * dx
                            height += _WEIGHTS[node] * _height(sine, squared)
                            speed += _WEIGHTS[node] * math.sqrt((east2 + north * north) * term)
                    swept += dx * (height - level)
                    if dx == 0.0 and abs(xy[v, 0]) == SEAM:
                        continue
                    if dy == 0.0 and abs(xy[v, 1]) == POLE:
                        continue
                    around += speed
                held += abs(swept) if r == part[p] else -abs(swept)
        area[z] = held * SEMI_MAJOR_M * SEMI_MAJOR_M * flattened
        length[z] = around * SEMI_MAJOR_M
