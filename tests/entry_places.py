"""The zones of the plain reference, as one fix meets them: distance, depth, rank, evidence.

One zone and one fix at a time; what is asked twice is remembered, shapely is slow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from geotarget.engine.rules import Rules
from geotarget.model import EntryPolicy, Zone
from tests.entry_evidence import Evidence, inside_probability, judge, valid
from tests.entry_geometry import Chord, Fix, area_m2, chord, depth_m, distance_m, hop_m
from tests.entry_stance import Stance

REACH_M = 1_000.0
"""Further outside than this, the accuracy of a fix and the exit buffer, all distances are one."""


class Places:
    """Zones that are known at one time.

    Parameters
    ----------
    zones
        As parsed.
    depths_m
        Depths by zone id, where they need not be worked out.
    """

    def __init__(
        self, zones: Sequence[Zone], rules: Rules, depths_m: Mapping[str, float] | None = None
    ) -> None:
        self.zones = {zone.id: zone for zone in zones}
        self._rules = rules
        self._depth = {zone.id: depths_m[zone.id] if depths_m else depth_m(zone) for zone in zones}
        order = sorted(zones, key=lambda zone: (-zone.priority, area_m2(zone), zone.id))
        self.rank = {zone.id: rank for rank, zone in enumerate(order)}
        self._known: dict[tuple[str, Fix], float] = {}

    def evidence(self, zone: Zone, fix: Fix, stance: Stance) -> Evidence:
        """Say what one fix means for one zone."""
        at = fix if zone.entry is EntryPolicy.RAW else stance.judged
        d = self.distance_m(zone, at) if valid(zone, fix.ts_ms) else -math.inf
        verdict, reason = judge(
            zone, d, self._depth[zone.id], self.ceiling_m(zone), self._rules, stance
        )
        return Evidence(verdict, reason, d, at.acc, inside_probability(d, at.acc))

    def distance_m(self, zone: Zone, fix: Fix) -> float:
        """Return signed metres to the boundary, positive inside."""
        if len(self._known) > 10_000:
            self._known.clear()
        key = (zone.id, fix)
        if key not in self._known:
            buffer_m = zone.exit_buffer_m or self._rules.exit_buffer_m
            self._known[key] = distance_m(zone, fix, REACH_M + fix.acc + buffer_m)
        return self._known[key]

    def ceiling_m(self, zone: Zone) -> float:
        """Return the accuracy up to which a fix is evidence of an arrival."""
        return max(self._rules.arrival_ceiling_m, self._depth[zone.id])

    def way_through(self, zone: Zone, a: Fix, b: Fix) -> Chord | None:
        """Return the way through a zone that neither end is in, None where it doesn't count."""
        if not (valid(zone, a.ts_ms) and valid(zone, b.ts_ms)):
            return None
        outside_m = [-self.distance_m(zone, each) for each in (a, b)]
        if min(outside_m) <= 0 or sum(min(each, REACH_M) for each in outside_m) > (
            1.02 * hop_m(a, b) + 1
        ):
            return None
        found = chord(zone, a, b)
        return found if found is not None and found.metres > max(a.acc, b.acc) else None
