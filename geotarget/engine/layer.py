"""Zones that were indexed together, frozen: a `ZoneIndex` is a few of these, one upon the other.

A large layer holds what was built at once, small ones what was edited since. `place` says where the
zones of a layer stand in the index, and -1 for those that were removed or live in a newer layer;
that array is all that an edit changes about the layers below.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise

import numpy as np

from geotarget.engine import lookup
from geotarget.engine.circles import circle_stretches
from geotarget.engine.covering import Covering
from geotarget.engine.crossings import stretches
from geotarget.engine.discs import within
from geotarget.engine.ellipsoid import SEAM, fixed
from geotarget.engine.facts import Facts, LaterFacts
from geotarget.engine.grid import LinkArray
from geotarget.engine.merging import merged
from geotarget.engine.outlines import Outlines
from geotarget.engine.predicates import side_of
from geotarget.engine.shapes import Shapes
from geotarget.engine.sweep import zones_near
from geotarget.model import FloatArray, IntArray, Zone

_ROOM = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """An immutable part of an index.

    Parameters
    ----------
    zones
        Its zones.
    shapes, covering, outlines
        What the kernels read.
    place
        Position of each zone in the index, ascending; -1 for those that count no longer.
    later
        What the zones say of themselves.
    """

    zones: Sequence[Zone]
    shapes: Shapes
    covering: Covering
    outlines: Outlines
    place: LinkArray
    later: LaterFacts

    @classmethod
    def of(cls, zones: Sequence[Zone], place: IntArray | None = None) -> Layer:
        """Index zones that stand at ascending places, one after the other if not said."""
        if place is None:
            place = np.arange(len(zones))
        shapes = Shapes.of(zones)
        return cls(
            zones,
            shapes,
            Covering.of(shapes),
            Outlines.of(shapes.xy, shapes.ring, shapes.part, shapes.zone),
            fixed(place.astype(np.int32)),
            LaterFacts(zones),
        )

    def __len__(self) -> int:
        return len(self.zones)

    @property
    def facts(self) -> Facts:
        """What each zone says of itself."""
        return self.later.facts

    @property
    def alive(self) -> IntArray:
        """Rows of the zones that count."""
        return np.flatnonzero(self.place >= 0)

    @property
    def area_m2(self) -> FloatArray:
        """Area of each zone on the ellipsoid; of circles that of the flat one."""
        radius = self.shapes.radius_m
        return np.where(np.isnan(radius), self.outlines.area_m2, np.pi * radius**2)

    @property
    def depth_m(self) -> FloatArray:
        """Twice the area over the length of the outline; infinite for a zone without outline."""
        circle = ~np.isnan(self.shapes.radius_m)
        with np.errstate(divide="ignore"):
            depth = 2.0 * self.outlines.area_m2 / np.where(circle, 1.0, self.outlines.length_m)
        return np.where(circle, self.shapes.radius_m, depth)

    @property
    def nbytes(self) -> int:
        """Size of all arrays."""
        names = {field.name for field in fields(self.outlines)} - {"xy"}  # those of the shapes
        size = sum(int(getattr(self.outlines, name).nbytes) for name in names)
        return size + self.shapes.nbytes + self.covering.nbytes + int(self.place.nbytes)

    def is_whole(self, zones: int) -> bool:
        """Return whether this layer alone holds so many zones, one after the other."""
        return len(self) == zones and bool((self.place == np.arange(zones)).all())

    def at(self, place: IntArray) -> Layer:
        """Return the same layer with its zones at other places."""
        return replace(self, place=fixed(place.astype(np.int32)))

    def rows_at(self, position: IntArray) -> IntArray:
        """Return the rows of zones by their positions, which must be of this layer."""
        alive = self.alive
        return alive[np.searchsorted(self.place[alive], position)]

    # -- asking -----------------------------------------------------------------------------

    def match(self, *, lng: FloatArray, lat: FloatArray, share: float) -> IntArray | None:
        """Return pairs of ping and position, ordered by both; None if a coordinate is impossible.

        Parameters
        ----------
        lng, lat
            Degrees, contiguous, shape (n,).
        share
            Pairs to expect for each ping: how much room is made at first.
        """
        pairs, care = self._matched(lng, lat, share)
        if not care or pairs is None:
            return pairs
        pairs = self._settled(lng, lat, pairs)
        across = np.flatnonzero(np.abs(lng) == SEAM)
        if not len(across):
            return pairs
        x, y = -lng[across], lat[across]
        other, _ = self._matched(x, y, share)
        if other is None:
            return None
        other = self._settled(x, y, other)
        other[0] = across[other[0]]
        return merged(pairs, other)

    def _matched(
        self, lng: FloatArray, lat: FloatArray, share: float
    ) -> tuple[IntArray | None, bool]:
        """Run the kernel until all pings are done; return pairs, and whether to look again."""
        covering = self.covering
        vertices = self.shapes.xy.reshape(-1)
        lng, lat = fixed(lng), fixed(lat)  # one type of array, so that one kernel serves all
        found: list[IntArray] = []
        care = False
        done = 0
        room = int(len(lng) * share * 1.1) + _ROOM
        while True:
            out = np.empty((2, room), np.int64)
            begin = done
            done, pairs, possible, again = lookup.match(
                lng,
                lat,
                begin,
                len(lng),
                covering.frame,
                covering.table,
                covering.nodes,
                covering.records,
                vertices,
                covering.discs,
                self.place,
                out,
            )
            if not possible:
                return None, care
            care |= again
            found.append(out[:, :pairs])
            if done == len(lng):
                break
            seen = sum(part.shape[1] for part in found)
            room = 2 * room if done == begin else int((len(lng) - done) * seen / done * 1.2) + _ROOM
        return found[0] if len(found) == 1 else np.concatenate(found, axis=1), care

    def _settled(self, lng: FloatArray, lat: FloatArray, pairs: IntArray) -> IntArray:
        """Decide the pairs that the kernel left open."""
        open_ = np.flatnonzero(pairs[1] >= lookup.UNDECIDED)
        if not len(open_):
            return pairs
        pairs[1, open_] -= lookup.UNDECIDED
        ping = pairs[0, open_]
        row = self.rows_at(pairs[1, open_])
        x, y = lng[ping], lat[ping]
        circle = np.flatnonzero(~np.isnan(self.shapes.radius_m[row]))
        covered = np.zeros(len(row), np.bool_)
        covered[circle] = self._inside_m(x[circle], y[circle], row[circle]) >= 0
        for i in np.flatnonzero(np.isnan(self.shapes.radius_m[row])).tolist():
            covered[i] = self._covers_exactly(int(row[i]), float(x[i]), float(y[i]))
        kept = np.ones(pairs.shape[1], np.bool_)
        kept[open_] = covered
        pairs = pairs[:, kept]
        return pairs[:, np.lexsort((pairs[1], pairs[0]))]  # open ones stood last of their ping

    def _inside_m(self, lng: FloatArray, lat: FloatArray, row: IntArray) -> FloatArray:
        """Return how far each ping is inside its circle."""
        shapes = self.shapes
        centre = shapes.lng[row], shapes.lat[row]
        return within(lng=lng, lat=lat, centre=centre, radius_m=shapes.radius_m[row])

    def _covers_exactly(self, row: int, x: float, y: float) -> bool:
        """Return whether a polygon covers a point, counted in fractions, edge by edge."""
        shapes = self.shapes
        first, last = shapes.part[shapes.zone[row]], shapes.part[shapes.zone[row + 1]]
        inside = False
        for r in range(first, last):
            ring = shapes.xy[shapes.ring[r] : shapes.ring[r + 1]].tolist()
            for (ax, ay), (bx, by) in pairwise(ring):
                if not min(ay, by) <= y <= max(ay, by):
                    continue
                side = side_of(ax, ay, bx, by, x, y)
                if side == 0 and min(ax, bx) <= x <= max(ax, bx):
                    return True
                if (ay > y) != (by > y) and (side < 0) == (by > ay):
                    inside = not inside
        return inside

    def distance_m(self, *, lng: FloatArray, lat: FloatArray, row: IntArray) -> FloatArray:
        """Return metres from each ping to the outline of its zone, without sign."""
        circle = ~np.isnan(self.shapes.radius_m[row])
        gap = np.empty(len(row))
        flat = np.flatnonzero(~circle)
        gap[flat] = self.outlines.distance_m(lng=lng[flat], lat=lat[flat], zone=row[flat])
        round_ = np.flatnonzero(circle)
        gap[round_] = np.abs(self._inside_m(lng[round_], lat[round_], row[round_]))
        return gap

    def segments(
        self, lng: FloatArray, lat: FloatArray, to_lng: FloatArray, to_lat: FloatArray
    ) -> tuple[IntArray, FloatArray]:
        """Return pairs of segment and position, and the fractions of each stretch, unordered."""
        near = self._near(lng, lat, to_lng, to_lat)
        near = near[:, self.place[near[1]] >= 0]
        shapes = self.shapes
        circle = ~np.isnan(shapes.radius_m[near[1]])
        flat, round_ = near[:, ~circle], near[:, circle]
        ends = {"lng": lng, "lat": lat, "to_lng": to_lng, "to_lat": to_lat}
        one = stretches(self.outlines, **ends, segment=flat[0], zone=flat[1])
        two = circle_stretches(
            centre_lng=shapes.lng,
            centre_lat=shapes.lat,
            radius_m=shapes.radius_m,
            **ends,
            segment=round_[0],
            zone=round_[1],
        )
        pairs = np.concatenate([flat[:, one[0]], round_[:, two[0]]], axis=1)
        pairs[1] = self.place[pairs[1]]
        return pairs, np.stack([np.concatenate([one[1], two[1]]), np.concatenate([one[2], two[2]])])

    def _near(
        self, lng: FloatArray, lat: FloatArray, to_lng: FloatArray, to_lat: FloatArray
    ) -> IntArray:
        """Return pairs of segment and row of a zone near it, also over the antimeridian."""
        covering = self.covering
        turn = np.where(np.abs(to_lng - lng) > SEAM, np.copysign(2 * SEAM, lng), 0.0)
        over = np.flatnonzero((turn != 0) | (np.abs(lng) == SEAM) | (np.abs(to_lng) == SEAM))
        begin, end = lng, to_lng + turn
        shift = -np.copysign(2 * SEAM, np.where(turn != 0, turn, begin + end))[over]
        segment = np.concatenate([np.arange(len(lng)), over])
        near = zones_near(
            covering.frame,
            covering.table,
            covering.nodes,
            covering.records,
            np.concatenate([begin, begin[over] + shift]),
            np.concatenate([lat, lat[over]]),
            np.concatenate([end, end[over] + shift]),
            np.concatenate([to_lat, to_lat[over]]),
        )
        near[0] = segment[near[0]]
        return np.unique(near, axis=1) if len(over) else near
