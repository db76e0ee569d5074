"""What an index is asked: pings and positions of zones in, positions and metres out.

`ZoneIndex` is made of this and of what zones are called. Queries from several threads need no lock.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geotarget.engine.coordinates import check_range, coordinates
from geotarget.engine.layer import Layer
from geotarget.engine.merging import merged
from geotarget.engine.plane import PART, in_parts
from geotarget.errors import InvalidPing, NotFound, Problem
from geotarget.model import FloatArray, IntArray


class Answers:
    """Zones by position, in layers; see `ZoneIndex`.

    Parameters
    ----------
    layers
        The largest one first.
    zones
        How many zones there are.
    """

    def __init__(self, layers: tuple[Layer, ...], zones: int) -> None:
        self._layers = layers
        self._zones = zones
        self._homes: tuple[IntArray, IntArray] | None = None
        self._share = 1.0  # pairs a ping in the last query: how much room to make in the next

    def __len__(self) -> int:
        return self._zones

    def query(self, *, lng: ArrayLike, lat: ArrayLike, threads: int = 1) -> IntArray:
        """Return every (ping, zone) pair in which the zone covers the ping.

        Parameters
        ----------
        lng, lat
            Degrees, shape (n,): arrays of NumPy, pandas, Polars or Arrow, read without a copy
            where they hold float64, or sequences; scalars are a batch of one.
        threads
            How many to use, at most one for each `PART` pings.

        Returns
        -------
        ndarray of int64, shape (2, pairs)
            Positions of pings and positions of zones, ordered by ping, then by zone. A ping on a
            zone's boundary is inside; longitudes 180 and -180 are the same.

        Raises
        ------
        InvalidPing
            A coordinate is not finite or out of range (names its position), or the arrays are
            not of one length.
        InvalidInput
            `threads` is not a positive number.
        """
        x, y = coordinates(lng, lat)
        pairs = in_parts(self._pairs, x, y, threads)
        if pairs is None:
            check_range(x, y)
            raise AssertionError  # pragma: no cover - the kernel and the check agree
        if len(x) >= PART:
            self._share = pairs.shape[1] / len(x)
        return pairs

    def _pairs(self, x: FloatArray, y: FloatArray) -> IntArray | None:
        pairs: IntArray | None = None
        for layer in reversed(self._layers):
            found = layer.match(lng=x, lat=y, share=self._share)
            if found is None:
                return None
            pairs = found if pairs is None else merged(found, pairs)
        return pairs

    def signed_distance(self, *, lng: ArrayLike, lat: ArrayLike, zone: ArrayLike) -> FloatArray:
        """Return metres from each ping to the boundary of its zone, positive inside.

        The sign is that of `query`. Circles are geodesic and exact. For polygons the nearest
        point is sought in the plane that touches the ellipsoid at the ping. At a distance D and a
        latitude of at most 70 degrees the answer is within D * D / 2000 km of the truth: 5 cm at
        300 m, half a metre at 1 km, 50 m at 10 km. Towards the poles that plane is no
        longer a fair picture, beyond 85 degrees expect the order of magnitude.

        Parameters
        ----------
        lng, lat
            Degrees, shape (n,); scalars are a batch of one.
        zone
            Positions in `zones`, shape (n,).

        Returns
        -------
        ndarray of float64, shape (n,)
            Infinite for a zone without boundary.

        Raises
        ------
        InvalidPing
            As in `query`.
        NotFound
            A position is not one of a zone.
        """
        x, y = coordinates(lng, lat)
        at = np.atleast_1d(np.asarray(zone, np.int64))
        if at.shape != x.shape:
            found = f"{len(x)} pings, {len(at)} zones"
            raise InvalidPing(Problem("zone", found, "must name one zone for each ping"))
        strange = np.flatnonzero((at < 0) | (at >= len(self)))
        if len(strange):
            raise NotFound("zone position", str(at[strange[0]]))
        pairs = self._pairs(x, y)
        if pairs is None:
            check_range(x, y)
            raise AssertionError  # pragma: no cover - the kernel and the check agree
        inside = _among(np.stack([np.arange(len(x)), at]), pairs, len(self))
        distance = np.empty(len(x))
        homes, rows = self._home()
        for number, layer in enumerate(self._layers):
            mine = np.flatnonzero(homes[at] == number)
            distance[mine] = layer.distance_m(lng=x[mine], lat=y[mine], row=rows[at[mine]])
        return np.where(inside, distance, -distance)

    def segments(
        self, *, lng: ArrayLike, lat: ArrayLike, to_lng: ArrayLike, to_lat: ArrayLike
    ) -> tuple[IntArray, FloatArray]:
        """Return which zones the straight ways between pairs of points cut, and where.

        A way is straight in longitude and latitude, as the edges of zones are, and goes the short
        way around the Earth.

        Parameters
        ----------
        lng, lat, to_lng, to_lat
            From and to, degrees, shape (n,).

        Returns
        -------
        pairs : ndarray of int64, shape (2, stretches)
            Positions of ways and of zones, ordered by way, zone and entry. A zone that is left and
            entered again has several stretches.
        fractions : ndarray of float64, shape (2, stretches)
            Where on the way each stretch begins and ends: ``0 <= entry < exit <= 1``. The boundary
            counts as inside; a way that only touches a zone in a point does not cut it. A way
            without length has one stretch from 0 to 1 in each zone that covers it.

        Raises
        ------
        InvalidPing
            As in `query`.

        Examples
        --------
        >>> import shapely
        >>> from geotarget import Zone, ZoneIndex
        >>> index = ZoneIndex.build([Zone(id="square", geometry=shapely.box(1, 0, 3, 2))])
        >>> pairs, fractions = index.segments(lng=[0], lat=[1], to_lng=[4], to_lat=[1])
        >>> pairs.tolist(), fractions.tolist()
        ([[0], [0]], [[0.25], [0.75]])
        """
        ax, ay = coordinates(lng, lat)
        bx, by = coordinates(to_lng, to_lat)
        if len(ax) != len(bx):
            found = f"{len(ax)} and {len(bx)}"
            raise InvalidPing(Problem("lng, to_lng", found, "must be of one length"))
        check_range(ax, ay)
        check_range(bx, by)
        found_pairs, found_fractions = [], []
        for layer in self._layers:
            pairs, fractions = layer.segments(ax, ay, bx, by)
            found_pairs.append(pairs)
            found_fractions.append(fractions)
        pairs = np.concatenate(found_pairs, axis=1)
        fractions = np.concatenate(found_fractions, axis=1)
        order = np.lexsort((fractions[0], pairs[1], pairs[0]))
        return pairs[:, order], fractions[:, order]

    def _home(self) -> tuple[IntArray, IntArray]:
        """Return number of the layer and row in it, by position."""
        if self._homes is None:
            homes = np.zeros(len(self), np.int64)
            rows = np.zeros(len(self), np.int64)
            for number, layer in enumerate(self._layers):
                alive = layer.alive
                homes[layer.place[alive]] = number
                rows[layer.place[alive]] = alive
            self._homes = homes, rows
        return self._homes


def _among(wanted: IntArray, pairs: IntArray, zones: int) -> NDArray[np.bool_]:
    """Return which of the wanted pairs are among ordered ones, shape (n,)."""
    key = np.append(pairs[0] * zones + pairs[1], -1)  # the last is what is sought beyond all others
    sought = wanted[0] * zones + wanted[1]
    return np.asarray(key[np.searchsorted(key[:-1], sought)] == sought)
