"""Zones that were indexed together, frozen: a `ZoneIndex` is a few of these, one upon the other.

A large layer holds what was built at once, small ones what was edited since. `place` says where the
zones of a layer stand in the index, and -1 for those that were removed or live in a newer layer;
that array is all that an edit changes about the layers below.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from geotarget.engine.circles import circle_stretches
from geotarget.engine.covering import Covering
from geotarget.engine.crossings import stretches
from geotarget.engine.ellipsoid import SEAM, fixed
from geotarget.engine.facts import Facts, LaterFacts
from geotarget.engine.merging import merged
from geotarget.engine.outlines import Outlines
from geotarget.engine.plane import Plane
from geotarget.engine.shapes import Shapes
from geotarget.engine.sweep import zones_near
from geotarget.model import FloatArray, IntArray, Zone


@dataclass(frozen=True, slots=True, eq=False)
class Layer(Plane):
    """An immutable part of an index.

    Parameters
    ----------
    shapes, covering, place
        As in `Plane`.
    zones
        Its zones.
    outlines
        Where devices can enter them.
    later
        What the zones say of themselves.
    """

    zones: Sequence[Zone]
    outlines: Outlines
    later: LaterFacts

    @classmethod
    def of(cls, zones: Sequence[Zone], place: IntArray | None = None) -> Layer:
        """Index zones that stand at ascending places, one after the other if not said."""
        if place is None:
            place = np.arange(len(zones))
        shapes = Shapes.of(zones)
        return cls(
            shapes,
            Covering.of(shapes),
            fixed(place.astype(np.int32)),
            zones,
            Outlines.of(shapes.xy, shapes.ring, shapes.part, shapes.zone),
            LaterFacts(zones),
        )

    def __len__(self) -> int:
        return len(self.zones)

    @property
    def facts(self) -> Facts:
        """What each zone says of itself."""
        return self.later.facts

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
        pairs, care = self.in_plane(lng, lat, share)
        if not care or pairs is None:
            return pairs
        across = np.flatnonzero(np.abs(lng) == SEAM)
        if not len(across):
            return pairs
        x, y = -lng[across], lat[across]
        other, _ = self.in_plane(x, y, share)
        if other is None:
            return None
        other[0] = across[other[0]]
        return merged(pairs, other)

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
