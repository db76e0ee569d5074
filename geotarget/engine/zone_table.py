"""What the entry rules need to know of each zone of an index, in columns.

Compiled once per snapshot of the catalogue: about 0.3 µs a zone, and for zones of policy `eager` a
second, small index of their surroundings.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from geotarget.engine import facts, verdicts
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
_VERDICTS = np.array([POLICIES[policy] for policy in facts.POLICIES])


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
        *,
        timed: Collection[str] | None = None,
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
        timed
            Ids of the zones that may have thresholds; all if None.
        """
        told = index.facts.records
        ids = index.ids.tolist()
        # zones of a notebook were never stored, hence have no key: their position serves
        keys = index.keys if (index.keys > 0).all() else np.arange(1, len(ids) + 1)
        records = np.zeros(len(ids), ZONE)
        records["policy"] = _VERDICTS[told["policy"]]
        records["depth"] = index.depth_m
        records["buffer"] = told["exit_buffer_m"]
        records["pending_enters"] = told["pending_enters"]
        records["revision"] = told["revision"]
        thresholds = np.array(_fill_thresholds(index, records, thresholds_s, timed), np.int64)
        return cls(
            index=index,
            ids=ids,
            keys=keys,
            zones=records,
            thresholds=thresholds,
            starts_ms=told["starts_ms"].copy(),
            ends_ms=told["ends_ms"].copy(),
            rank=_ranks(told["priority"], index.area_m2, ids),
            by_key=np.argsort(keys),
            surroundings=Surroundings.of(
                index.zones,
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


def _fill_thresholds(
    index: ZoneIndex,
    records: Records,
    thresholds_s: Callable[[str], Sequence[int]],
    timed: Collection[str] | None,
) -> list[int]:
    """Return all thresholds, and note in the records which are whose."""
    ids = index.ids.tolist() if timed is None else timed
    thresholds: list[int] = []
    places: list[int] = []
    ends = [0]
    for id_ in ids:
        at = index.find(id_)
        mine = () if at is None else thresholds_s(id_)
        if at is not None and mine:
            thresholds += mine
            places.append(at)
            ends.append(len(thresholds))
    at_these = np.array(places, np.int64)
    records["first"][at_these] = ends[:-1]
    records["last"][at_these] = ends[1:]
    return thresholds


def _ranks(priority: IntArray, area_m2: FloatArray, ids: Sequence[str]) -> IntArray:
    """Return the rank of each zone: by priority, the highest first, then area, then id."""
    order = np.lexsort((area_m2, -priority))
    alike = (np.diff(priority[order]) == 0) & (np.diff(area_m2[order]) == 0)
    # stretches of zones that only their ids tell apart
    edges = np.flatnonzero(np.diff(np.concatenate([[0], alike, [0]])))
    for first, last in edges.reshape(-1, 2).tolist():
        order[first : last + 1] = sorted(order[first : last + 1].tolist(), key=ids.__getitem__)
    rank = np.empty(len(ids), np.int64)
    rank[order] = np.arange(len(ids))
    return rank
