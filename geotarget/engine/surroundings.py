"""Which pings lie near a zone without being in it: what policy `eager` has to look at.

An eager zone counts an arrival as far outside as the fix is inaccurate, up to the ceiling beyond
which a fix is no evidence of an arrival. So its surroundings are its bounding box, grown by that
ceiling: a second index over those boxes finds the candidates at the cost of a match of a few
rectangles, and nothing where no zone is eager.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from geotarget.engine.zone_index import ZoneIndex
from geotarget.model import FloatArray, IntArray, Zone

_METRES_PER_DEGREE = 110_500.0
"""Less than a degree of latitude has anywhere, so that boxes grow by enough."""


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """The grown boxes of some zones, and which zones they are."""

    boxes: ZoneIndex | None
    zones: IntArray

    @classmethod
    def of(cls, zones: Sequence[Zone], chosen: IntArray, reach_m: FloatArray) -> Surroundings:
        """Return the surroundings of the chosen zones, `reach_m` metres around each."""
        if not chosen.size:
            return cls(None, chosen)
        grown = [
            Zone(id=str(i), geometry=_grown(zones[i], float(reach_m[i]))) for i in chosen.tolist()
        ]
        return cls(ZoneIndex.build(grown), chosen)

    def pairs(self, *, lng: FloatArray, lat: FloatArray) -> IntArray:
        """Return ping and zone positions of the candidates, shape (2, n)."""
        if self.boxes is None:
            return np.empty((2, 0), np.int64)
        found = self.boxes.query(lng=lng, lat=lat)
        return np.stack([found[0], self.zones[found[1]]])


def _grown(zone: Zone, reach_m: float) -> BaseGeometry:
    """Return the bounding box of a zone, grown on all sides, cut where it crosses the seam."""
    west, south, east, north = zone.geometry.bounds
    up = (reach_m + (zone.radius_m or 0.0)) / _METRES_PER_DEGREE
    south, north = max(-90.0, south - up), min(90.0, north + up)
    narrowest = math.cos(math.radians(max(abs(south), abs(north))))
    side = up / narrowest if narrowest > 1e-6 else 360.0
    west, east = west - side, east + side
    if east - west >= 360.0:
        return shapely.box(-180.0, south, 180.0, north)
    if west < -180.0:
        return shapely.union_all(
            [
                shapely.box(west + 360.0, south, 180.0, north),
                shapely.box(-180.0, south, east, north),
            ]
        )
    if east > 180.0:
        return shapely.union_all(
            [
                shapely.box(west, south, 180.0, north),
                shapely.box(-180.0, south, east - 360.0, north),
            ]
        )
    return shapely.box(west, south, east, north)
