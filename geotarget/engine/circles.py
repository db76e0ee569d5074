"""Which stretches of a straight segment a circle covers.

A circle holds the points within a geodesic distance; a segment is straight in longitude and
latitude, so on the ground it bends: its curvature is at most 1.09 tan(latitude) / R (on a sphere,
from Liouville's formula: tan(latitude) / R times c * (2 - c * c), c the cosine of its slope). At a
place where the distance to the centre stops to change, it grows again to both sides as long as the
segment bends less than the circle through that place, tan(distance / R) R in radius. Between two
stretches the distance is at most the circle's radius and half the segment, so where

    1.12 tan(latitude) < cot((radius + length / 2) / R)

there is at most one stretch, around the place nearest to the centre. Up to 74 degrees of latitude
that is any segment and circle of up to 1000 km, at 89 degrees a radius and half a segment of 98 km
together. All other segments are taken in `PIECES`, each of which is held to have at most one turn
of the distance: not proven, but what would be missed is a detour within a 64th of the segment.

The turns and the ends are found by secants kept between bounds, on geodesics and their azimuths,
which are the slopes. An end is right within a micrometre.

Costs: 5 to 6 microseconds a pair, some 100 where a segment is taken in pieces.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geotarget.engine.crossings import SHORTEST, Stretches
from geotarget.engine.discs import LEAST_CURVATURE_M, MOST_CURVATURE_M
from geotarget.engine.ellipsoid import GEOD, curvature_m
from geotarget.model import FloatArray, IntArray

PIECES = 64
"""Into which a segment is cut that bends much: near a pole, or around a large circle."""

_PRECISE_M = 1e-6
_STEPS = 100  # halving alone needs 60


def circle_stretches(
    *,
    centre_lng: FloatArray,
    centre_lat: FloatArray,
    radius_m: FloatArray,
    lng: FloatArray,
    lat: FloatArray,
    to_lng: FloatArray,
    to_lat: FloatArray,
    segment: IntArray,
    zone: IntArray,
) -> Stretches:
    """Return the stretches of segments that circles cover, their boundaries included.

    Parameters
    ----------
    centre_lng, centre_lat, radius_m
        Of the circles: degrees and metres, shape (zones,); those that no pair names may be NaN.
    lng, lat, to_lng, to_lat
        Ends of the segments in degrees, within +-180 and +-90, shape (n,). A segment of more than
        180 degrees of longitude goes the other way, over the antimeridian.
    segment, zone
        The pairs to look at, shape (pairs,).

    Returns
    -------
    pair : ndarray of int64
        Ascending, shape (m,).
    entry, exit : ndarray of float64
        Fractions of the segment, as `crossings.stretches` returns them.

    Examples
    --------
    >>> pair, entry, exit = circle_stretches(
    ...     centre_lng=np.array([0.0]), centre_lat=np.array([0.0]), radius_m=np.array([1000.0]),
    ...     lng=np.array([-0.02]), lat=np.array([0.0]), to_lng=np.array([0.02]),
    ...     to_lat=np.array([0.0]), segment=np.array([0]), zone=np.array([0]))
    >>> pair.tolist(), entry.round(3).tolist(), exit.round(3).tolist()
    ([0], [0.275], [0.725])
    """
    chord = _Chords.of(
        (centre_lng[zone], centre_lat[zone], radius_m[zone]),
        (lng[segment], lat[segment], to_lng[segment], to_lat[segment]),
    )
    pair = np.arange(len(segment))
    begin = np.zeros(len(segment))
    end = np.ones(len(segment))
    depth = chord.depth(pair, begin)[0], chord.depth(pair, end)[0]
    # so far away that the segment can't get there
    near = np.flatnonzero((depth[0] + depth[1] + chord.length_m >= 0) & (chord.length_m > 0))
    still = np.flatnonzero((chord.length_m == 0) & (depth[0] >= 0))
    bent = near[chord.bends[near]]
    plain = near[~chord.bends[near]]
    pieces = np.arange(PIECES) / PIECES
    pair = np.concatenate([plain, np.repeat(bent, PIECES)])
    begin = np.concatenate([begin[plain], np.tile(pieces, len(bent))])
    end = np.concatenate([end[plain], np.tile(pieces + 1 / PIECES, len(bent))])
    pair, entry, exit_ = chord.stretches(pair, begin, end)
    return _joined(
        np.concatenate([pair, still]),
        np.concatenate([entry, np.zeros(len(still))]),
        np.concatenate([exit_, np.ones(len(still))]),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Chords:
    """Pairs of a segment and a circle, as columns."""

    lng: FloatArray  # of the centres
    lat: FloatArray
    radius_m: FloatArray
    x: FloatArray  # of the starts
    y: FloatArray
    dx: FloatArray  # to the ends
    dy: FloatArray
    length_m: FloatArray  # at least that of the segment
    bends: NDArray[np.bool_]  # may have several stretches

    @classmethod
    def of(
        cls,
        circle: tuple[FloatArray, FloatArray, FloatArray],
        segment: tuple[FloatArray, FloatArray, FloatArray, FloatArray],
    ) -> _Chords:
        x, y, to_x, to_y = segment
        dx, dy = to_x - x, to_y - y
        dx = dx - 360.0 * ((dx > 180.0).astype(np.float64) - (dx < -180.0))
        over = y * to_y <= 0  # the equator
        slowest = np.where(over, 0.0, np.minimum(np.abs(y), np.abs(to_y)))
        highest = np.radians(np.maximum(np.abs(y), np.abs(to_y)))
        east = np.radians(np.abs(dx)) * np.cos(np.radians(slowest))
        length = MOST_CURVATURE_M * np.hypot(east, np.radians(dy))
        reach = (circle[2] + length / 2) / LEAST_CURVATURE_M
        # 1.12 tan(highest) < cot(reach), multiplied out: neither can be infinite
        straight = 1.12 * np.sin(highest) * np.sin(reach) < np.cos(highest) * np.cos(reach)
        return cls(*circle, x, y, dx, dy, length, ~(straight & (reach < np.pi / 2)))

    def depth(self, pair: IntArray, at: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return radius less distance at a fraction of a segment, and its slope: metres."""
        lat = self.y[pair] + at * self.dy[pair]
        lng = self.x[pair] + at * self.dx[pair]
        azimuth, _, gap = GEOD.inv(lng, lat, self.lng[pair], self.lat[pair])
        azimuth = np.radians(azimuth)
        prime, meridian = curvature_m(lat)
        east = np.radians(self.dx[pair]) * prime * np.cos(np.radians(lat))
        north = np.radians(self.dy[pair]) * meridian
        slope = east * np.sin(azimuth) + north * np.cos(azimuth)
        return np.asarray(self.radius_m[pair] - gap), np.asarray(slope)

    def stretches(self, pair: IntArray, begin: FloatArray, end: FloatArray) -> Stretches:
        """Return what is covered of pieces within which the depth turns at most once."""
        at_begin, slope = self.depth(pair, begin)
        at_end, slope_end = self.depth(pair, end)
        # only where both ends are on one side may the turn be on the other
        bump = (at_begin < 0) & (at_end < 0) & (slope > 0) & (slope_end < 0)
        dent = (at_begin >= 0) & (at_end >= 0) & (slope < 0) & (slope_end > 0)
        cut = np.flatnonzero(bump | dent)
        turn = self._turn(pair[cut], begin[cut], end[cut], slope[cut], slope_end[cut], dent[cut])
        pair = np.concatenate([pair, pair[cut]])
        begin, end = np.concatenate([begin, turn]), np.concatenate([end, end[cut]])
        end[cut] = turn
        at_turn, _ = self.depth(pair[-len(cut) :], turn) if len(cut) else (turn, turn)
        at_begin, at_end = (
            np.concatenate([at_begin, at_turn]),
            np.concatenate([at_end, at_end[cut]]),
        )
        at_end[cut] = at_turn

        # from here on every piece has at most one end of a stretch within
        leaves = np.flatnonzero((at_begin >= 0) & (at_end < 0))
        enters = np.flatnonzero((at_begin < 0) & (at_end >= 0))
        end[leaves] = self._edge(pair[leaves], begin[leaves], end[leaves])
        begin[enters] = self._edge(pair[enters], end[enters], begin[enters])
        held = np.flatnonzero((at_begin >= 0) | (at_end >= 0))
        return pair[held], begin[held], end[held]

    def _turn(
        self,
        pair: IntArray,
        low: FloatArray,
        high: FloatArray,
        slope_low: FloatArray,
        slope_high: FloatArray,
        dent: NDArray[np.bool_],
    ) -> FloatArray:
        """Return where the depth turns, or a place on the other side of the boundary."""
        turn = (low + high) / 2
        left = np.arange(len(pair))
        low, high, slope_low, slope_high = (
            column.copy() for column in (low, high, slope_low, slope_high)
        )
        for step in range(_STEPS):
            if not len(left):
                break
            a, b = low[left], high[left]
            if step % 3 == 2:
                at = (a + b) / 2
            else:
                at = a + (b - a) * (slope_low[left] / (slope_low[left] - slope_high[left]))
            depth, slope = self.depth(pair[left], at)
            turn[left] = at
            ahead = (slope > 0) != dent[left]
            low[left] = np.where(ahead, at, a)
            slope_low[left] = np.where(ahead, slope, slope_low[left])
            high[left] = np.where(ahead, b, at)
            slope_high[left] = np.where(ahead, slope_high[left], slope)
            width = high[left] - low[left]
            depth = np.where(dent[left], -depth, depth)
            far = depth + self.length_m[pair[left]] * width < 0
            done = (depth > 0) | far | (np.abs(slope) * width < _PRECISE_M) | (slope == 0)
            left = left[~done]
        return turn

    def _edge(self, pair: IntArray, inside: FloatArray, outside: FloatArray) -> FloatArray:
        """Return where a stretch ends between a place inside and one outside."""
        inside, outside = inside.copy(), outside.copy()
        edge = (inside + outside) / 2
        left = np.arange(len(pair))
        for _ in range(_STEPS):
            if not len(left):
                break
            depth, slope = self.depth(pair[left], edge[left])
            inside[left] = np.where(depth >= 0, edge[left], inside[left])
            outside[left] = np.where(depth >= 0, outside[left], edge[left])
            done = np.abs(depth) < _PRECISE_M
            done |= np.abs(outside[left] - inside[left]) < 1e-15
            left, depth, slope = left[~done], depth[~done], slope[~done]
            # Newton's step where it stays between the bounds, else their middle
            low = np.minimum(inside[left], outside[left])
            high = np.maximum(inside[left], outside[left])
            at = edge[left] - depth / np.where(slope == 0, np.inf, slope)
            edge[left] = np.where((at > low) & (at < high), at, (low + high) / 2)
        return edge


def _joined(pair: IntArray, entry: FloatArray, exit_: FloatArray) -> Stretches:
    """Return stretches in order, those that meet as one, without those that are too short."""
    order = np.lexsort((entry, pair))
    pair, entry, exit_ = pair[order], entry[order], exit_[order]
    first = np.ones(len(pair), np.bool_)
    first[1:] = (pair[1:] != pair[:-1]) | (entry[1:] - exit_[:-1] > SHORTEST)
    last = np.append(first[1:], True)[: len(pair)]
    pair, entry, exit_ = pair[first], entry[first], exit_[last]
    kept = exit_ - entry > SHORTEST
    return pair[kept], entry[kept], exit_[kept]
