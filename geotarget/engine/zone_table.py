"""What the entry rules need to know of each zone of an index, in columns.

Compiled once per snapshot of the catalogue: about 1 µs a zone, and for zones of policy `eager` a
second, small index of their surroundings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from geotarget.engine import verdicts
from geotarget.engine.live_state import Records
from geotarget.engine.phases import ZONE
from geotarget.engine.rules import Rules
from geotarget.engine.surroundings import Surroundings
from geotarget.engine.zone_index import ZoneIndex
from geotarget.model import EntryPolicy, FloatArray, IntArray

POLICIES = {
    EntryPolicy.RAW: verdicts.RAW,
    EntryPolicy.EAGER: verdicts.EAGER,
    EntryPolicy.STANDARD: verdicts.STANDARD,
    EntryPolicy.STRICT: verdicts.STRICT,
    EntryPolicy.CERTAIN: verdicts.CERTAIN,
}
_ALWAYS = np.iinfo(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class ZoneTable:
    """The zones of an index as the rules see them.

    Parameters
    ----------
    index
        The zones.
    ids, keys
        ``Zone.id`` and ``Zone.key`` of each.
    zones
        Records of `phases.ZONE`.
    thresholds
        Dwell thresholds of all zones, seconds; the records say which are whose.
    starts_ms, ends_ms
        When each zone is valid.
    rank
        Their order among entries of one instant.
    by_key
        Positions in the order of `keys`.
    surroundings
        Where a zone that does not cover a ping may matter all the same.
    """

    index: ZoneIndex
    ids: Sequence[str]
    keys: IntArray
    zones: Records
    thresholds: IntArray
    starts_ms: IntArray
    ends_ms: IntArray
    rank: IntArray
    by_key: IntArray
    surroundings: Surroundings

    @classmethod
    def compile(
        cls,
        index: ZoneIndex,
        thresholds_s: Callable[[str], Sequence[int]] = lambda _: (),
        rules: Rules | None = None,
    ) -> ZoneTable:
        """Compile the table of an index.

        Parameters
        ----------
        index
            The zones.
        thresholds_s
            Zone id -> dwell thresholds in seconds, ascending.
        rules
            Say how far around an eager zone an arrival may be; the defaults if None.
        """
        zones = index.zones
        order = sorted(
            range(len(zones)), key=lambda i: (-zones[i].priority, index.area_m2[i], zones[i].id)
        )
        rank = np.empty(len(zones), np.int64)
        rank[order] = np.arange(len(zones))
        # zones of a notebook were never stored, hence have no key: their position serves
        keys = index.keys if (index.keys > 0).all() else np.arange(1, len(zones) + 1)
        thresholds = [thresholds_s(zone.id) for zone in zones]
        stretch = np.cumsum([0, *(len(each) for each in thresholds)])
        records = np.zeros(len(zones), ZONE)
        records["policy"] = [POLICIES[zone.entry] for zone in zones]
        records["depth"] = index.depth_m
        records["buffer"] = [
            np.nan if zone.exit_buffer_m is None else zone.exit_buffer_m for zone in zones
        ]
        records["pending_enters"] = [zone.pending_enters for zone in zones]
        records["revision"] = [zone.revision for zone in zones]
        records["first"], records["last"] = stretch[:-1], stretch[1:]
        return cls(
            index=index,
            ids=[zone.id for zone in zones],
            keys=keys,
            zones=records,
            thresholds=np.array([value for each in thresholds for value in each], np.int64),
            starts_ms=np.array(
                [_ALWAYS.min if zone.starts_ms is None else zone.starts_ms for zone in zones],
                np.int64,
            ),
            ends_ms=np.array(
                [_ALWAYS.max if zone.ends_ms is None else zone.ends_ms for zone in zones],
                np.int64,
            ),
            rank=rank,
            by_key=np.argsort(keys),
            surroundings=Surroundings.of(
                zones,
                np.flatnonzero(records["policy"] == verdicts.EAGER),
                np.maximum(index.depth_m, (rules or Rules()).arrival_ceiling_m),
            ),
        )

    def positions(self, keys: IntArray) -> IntArray:
        """Return where the zones with these keys stand; -1 for a zone that is not here."""
        if not len(self.keys):
            return np.full(len(keys), -1, np.int64)
        place = np.searchsorted(self.keys, keys, sorter=self.by_key)
        found = self.by_key[np.minimum(place, len(self.keys) - 1)]
        return np.where(self.keys[found] == keys, found, -1)

    def distances(
        self, *, lng: FloatArray, lat: FloatArray, ms: IntArray, zone: IntArray
    ) -> FloatArray:
        """Return signed metres from fixes to zones; -inf while a zone is not valid."""
        distance = self.index.signed_distance(lng=lng, lat=lat, zone=zone)
        distance[(ms < self.starts_ms[zone]) | (ms >= self.ends_ms[zone])] = -np.inf
        return distance
