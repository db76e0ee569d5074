"""The entry rules once more, as plainly as they can be written: the reference for the kernel.

One ping after the other, one zone after the other, dictionaries and shapely. Shares no code with
`geotarget.engine`; only the figures of the rules come from there. Give a `Reference` what happens,
in the order in which it happens: `pings`, `clock`, `edit`; each returns the transitions that it
causes. What a restart keeps is everything here, so there is nothing to do for one.

What is known of a device apart from zones is in `entry_stance`, the verdicts in `entry_evidence`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from geotarget.engine.rules import Rules
from geotarget.model import EntryPolicy, Zone
from tests.entry_evidence import Device, Event, Evidence, Ping, Seen, Stay
from tests.entry_geometry import Fix
from tests.entry_ledger import Ledger
from tests.entry_places import Places
from tests.entry_stance import Stance, Suspect

KEYS_REMEMBERED = 8


class Reference:
    """Applies the rules to one thing after the other.

    Parameters
    ----------
    zones
        As parsed.
    thresholds_s
        Dwell thresholds by zone id.
    depths_m
        Depths by zone id, where they need not be worked out.
    """

    def __init__(
        self,
        zones: Sequence[Zone],
        *,
        rules: Rules | None = None,
        thresholds_s: Mapping[str, Sequence[int]] | None = None,
        depths_m: Mapping[str, float] | None = None,
    ) -> None:
        self.rules = rules or Rules()
        self.devices: dict[str, Device] = {}
        self.status: list[str] = []
        self.seen: list[Seen] = []
        self._thresholds = thresholds_s or {}
        self._ledger = Ledger()
        self._places = Places(zones, self.rules, depths_m)
        self._ledger.rank = self._places.rank

    # -- what happens -----------------------------------------------------------------------

    def pings(self, batch: Iterable[Ping]) -> list[Event]:
        """Apply pings that arrive together.

        Afterwards `status` tells what became of each, and `seen` what each fix meant.
        """
        arrived = list(batch)
        fixes = [self._fix(ping) for ping in arrived]
        self.status, self.seen = [""] * len(arrived), []
        for at in sorted(range(len(arrived)), key=lambda at: (fixes[at].ts_ms, fixes[at].acc)):
            ping = arrived[at]
            device = self.devices.setdefault(ping.device, Device())
            key = ping.id or (ping.ts_ms, ping.lng, ping.lat)
            if key in device.keys[-KEYS_REMEMBERED:]:
                self.status[at] = "duplicate"
            elif device.watermark is not None and ping.ts_ms <= device.watermark:
                self.status[at] = "late"
            else:
                self._in_order(ping.device, device, Suspect(fixes[at], self.status, at))
                device.keys.append(key)
                device.watermark = ping.ts_ms
        return self._ledger.told()

    def clock(self, now_ms: int) -> list[Event]:
        """Let the time pass without a ping."""
        for name, device in self.devices.items():
            last, waiting = device.motion.last, device.motion.suspects
            if last is None or waiting or now_ms <= last.ts_ms:
                continue
            for zone_id in list(device.stays):
                self._timers(name, device, self._places.zones[zone_id], now_ms)
            if self._is_forgotten(device, now_ms):
                device.stays.clear()
        return self._ledger.told()

    def edit(self, zones: Sequence[Zone], *, old_is_known: bool = True) -> list[Event]:
        """Replace all zones; after a restart the old shapes are not known any more."""
        old, self._places = self._places, Places(zones, self.rules)
        new, self._ledger.rank = self._places.zones, self._places.rank
        for name, device in self.devices.items():
            last = device.motion.last
            if last is None:
                continue
            for zone_id, stay in list(device.stays.items()):
                if zone_id not in new:
                    self._end_by_edit(name, device, zone_id, stay, "gone")
                elif new[zone_id].revision != stay.revision:
                    self._judge_again(name, device, new[zone_id], stay)
            for zone in zones if old_is_known else ():
                before = old.zones.get(zone.id)
                if before is None or before.revision == zone.revision or zone.id in device.stays:
                    continue
                if old.evidence(before, last, Stance("on its way", last)).d < 0:
                    self._open_by_edit(name, device, zone)
        return self._ledger.told()

    def phases(self) -> dict[tuple[str, str], str]:
        """Return the phase of each (device, zone) that is not outside."""
        return {
            (name, zone): stay.phase
            for name, device in self.devices.items()
            for zone, stay in device.stays.items()
        }

    # -- intake -----------------------------------------------------------------------------

    def _fix(self, ping: Ping) -> Fix:
        known = ping.acc is not None and ping.acc > 0
        acc = ping.acc if known and ping.acc is not None else self.rules.unknown_accuracy_m
        return Fix(ping.ts_ms, ping.lng, ping.lat, acc)

    def _in_order(self, name: str, device: Device, new: Suspect) -> None:
        """Apply what the jump gate accepts; `raw` zones see every fix, and each once."""
        zones = self._places.zones.values()
        raw = [zone for zone in zones if zone.entry is EntryPolicy.RAW]
        others = [zone for zone in zones if zone.entry is not EntryPolicy.RAW]
        accepted = device.motion.believed(new, self.rules)
        if accepted == [new]:
            self._accept(name, device, new.fix, new.fix.ts_ms, others + raw)
        else:
            for zone in raw:
                self._timers(name, device, zone, new.fix.ts_ms)
            not_asked = Stance("on its way", new.fix)
            self._apply(name, device, new.fix, new.fix.ts_ms, raw, not_asked)
            for each in accepted:
                self._accept(name, device, each.fix, new.fix.ts_ms, others)
        new.status[new.at] = "suspect"
        for each in accepted:
            each.status[each.at] = "applied"

    def _accept(
        self, name: str, device: Device, fix: Fix, decided_ms: int, zones: list[Zone]
    ) -> None:
        """Take a fix into what is known of the device, and apply it to some zones."""
        last = device.motion.last
        for zone in zones:
            self._timers(name, device, zone, fix.ts_ms)
        if self._is_forgotten(device, fix.ts_ms):
            for zone in zones:
                device.stays.pop(zone.id, None)
        outside = [zone for zone in self._places.zones.values() if zone.id not in device.stays]
        stance = device.motion.accept(fix, self.rules)
        self._apply(name, device, fix, decided_ms, zones, stance)
        rests = stance.name in {"at rest", "stray"}
        soon = last is not None and fix.ts_ms - last.ts_ms <= 1000 * self.rules.crossed_gap_s
        if last is not None and soon and not rests:
            for zone in outside:
                if zone.id not in device.stays:
                    self._cross(name, zone, last, fix, decided_ms)
        device.last_decided_ms = decided_ms

    def _is_forgotten(self, device: Device, now_ms: int) -> bool:
        last = device.motion.last
        return last is not None and now_ms - last.ts_ms > 1000 * self.rules.forget_s

    # -- one fix and one zone ---------------------------------------------------------------

    def _apply(
        self,
        name: str,
        device: Device,
        fix: Fix,
        decided_ms: int,
        zones: Iterable[Zone],
        stance: Stance,
    ) -> None:
        for zone in zones:
            e = self._places.evidence(zone, fix, stance)
            stay = device.stays.pop(zone.id, None) or Stay()
            before = stay.phase
            if self._blinked(device, stay, e, stance):
                stay = self._blink(name, zone, stay, fix, decided_ms, e)
            else:
                first = device.watermark is None
                self._change_phase(name, zone, stay, fix, decided_ms, e, stance, first=first)
            self._dwells_by_fix(name, zone, stay, fix, decided_ms, e)
            self.seen.append(
                Seen(
                    name, zone.id, fix.ts_ms, decided_ms, stance.moving,
                    e.verdict, e.reason, before, stay.phase, stance.name, e.d, e.acc,
                )
            )  # fmt: skip
            if stay.phase != "outside":
                stay.revision = zone.revision
                device.stays[zone.id] = stay

    def _change_phase(
        self,
        name: str,
        zone: Zone,
        stay: Stay,
        fix: Fix,
        decided_ms: int,
        e: Evidence,
        stance: Stance,
        *,
        first: bool,
    ) -> None:
        """Apply the table of phases."""
        for_it, against_it = e.verdict in ("in", "maybe_in"), e.verdict == "out"
        if stay.phase == "outside" and for_it:
            stay.phase, stay.since, stay.initial = "entering", fix.ts_ms, first
            stay.p, stay.renewed = e.p, fix.ts_ms
            if e.verdict == "in":
                self._enter(name, zone, stay, decided_ms, fix.ts_ms, e)
        elif stay.phase == "entering" and for_it:
            stay.p, stay.renewed = e.p, fix.ts_ms
            waited_ms = fix.ts_ms - stay.since
            if e.verdict == "in" or waited_ms >= 1000 * self.rules.pending_least_s:
                self._enter(name, zone, stay, decided_ms, fix.ts_ms, e)
        elif stay.phase == "entering":
            if against_it or (e.d < 0 and e.acc <= self._places.ceiling_m(zone)):
                stay.phase = "outside"
        elif stay.phase in ("inside", "exiting") and against_it:
            if stay.phase == "inside":
                stay.phase, stay.first_out, stay.outs = "exiting", fix.ts_ms, 0
                stay.blinks = stance.fast and self._is_clear(e)
            stay.outs += 1
            if self._is_over(zone, stay, fix, e):
                stay.phase = "outside"
                self._ledger.tell(
                    "exit", name, zone.id, stay, stay.first_out, decided_ms, fix.ts_ms, 1 - e.p, e
                )
        elif stay.phase == "exiting" and for_it:
            stay.phase = "inside"

    def _is_clear(self, e: Evidence) -> bool:
        return e.d < -self.rules.clear_share * e.acc

    def _is_over(self, zone: Zone, stay: Stay, fix: Fix, e: Evidence) -> bool:
        """Return whether a fix outside ends the visit."""
        if zone.entry is EntryPolicy.RAW:
            return True
        if stay.outs < self.rules.exit_fixes:
            return False
        weak = e.reason == "moving" and not self._is_clear(e)
        return not weak or fix.ts_ms - stay.first_out >= 1000 * self.rules.exit_least_s

    def _blinked(self, device: Device, stay: Stay, e: Evidence, stance: Stance) -> bool:
        """Return whether a fast device was out for one fix, and is in again."""
        one_before = device.motion.one_before
        return (
            stay.phase == "exiting"
            and e.verdict in ("in", "maybe_in")
            and stay.outs == 1
            and stay.blinks
            and one_before is not None
            and one_before.ts_ms == stay.first_out
            and stance.straight
        )

    def _blink(
        self, name: str, zone: Zone, stay: Stay, fix: Fix, decided_ms: int, e: Evidence
    ) -> Stay:
        """End the visit and begin the next one."""
        self._ledger.tell(
            "exit", name, zone.id, stay, stay.first_out, decided_ms, fix.ts_ms, 1 - e.p, e
        )
        again = Stay(since=fix.ts_ms)
        self._enter(name, zone, again, decided_ms, fix.ts_ms, e)
        return again

    def _enter(
        self, name: str, zone: Zone, stay: Stay, decided_ms: int, turn_ms: int, e: Evidence
    ) -> None:
        stay.phase, stay.p = "inside", e.p
        self._ledger.tell("enter", name, zone.id, stay, stay.since, decided_ms, turn_ms, e.p, e)

    def _timers(self, name: str, device: Device, zone: Zone, until_ms: int) -> None:
        """Do what time alone does before `until_ms`: pending entries expire, stays complete."""
        r, motion = self.rules, device.motion
        stay = device.stays.get(zone.id)
        if stay is None or motion.last is None:
            return
        seen_ms, earliest_ms = motion.last.ts_ms, device.last_decided_ms
        until_ms = min(until_ms, math.floor(seen_ms + 1000 * r.forget_s))
        if zone.entry is EntryPolicy.RAW and device.watermark is not None:
            seen_ms = earliest_ms = device.watermark
        wait_ms = math.floor(max(1000 * r.pending_s, r.pending_intervals * motion.interval_ms))
        over_ms, entered_ms = stay.renewed + wait_ms, stay.since
        if stay.phase == "entering" and until_ms > over_ms:
            if zone.pending_enters:
                earliest_ms, entered_ms = max(earliest_ms, over_ms), over_ms
                stay.phase = "inside"
                self._ledger.tell(
                    "enter", name, zone.id, stay, stay.since, earliest_ms, over_ms, stay.p, None
                )
            else:
                del device.stays[zone.id]
        if stay.phase == "inside":
            for threshold in self._thresholds_left(zone, stay):
                due_ms = stay.since + 1000 * threshold
                if due_ms <= until_ms and due_ms - seen_ms <= 1000 * r.dwell_timer_s:
                    decided_ms, turn_ms = max(due_ms, earliest_ms), max(due_ms, entered_ms)
                    self._dwell(name, zone, stay, threshold, decided_ms, turn_ms, None)

    def _dwells_by_fix(
        self, name: str, zone: Zone, stay: Stay, fix: Fix, decided_ms: int, e: Evidence
    ) -> None:
        if stay.phase == "inside":
            for threshold in self._thresholds_left(zone, stay):
                if fix.ts_ms - stay.since >= 1000 * threshold:
                    self._dwell(name, zone, stay, threshold, decided_ms, fix.ts_ms, e)

    def _thresholds_left(self, zone: Zone, stay: Stay) -> list[int]:
        return [each for each in self._thresholds.get(zone.id, ()) if each not in stay.dwelled]

    def _dwell(
        self,
        name: str,
        zone: Zone,
        stay: Stay,
        threshold_s: int,
        decided_ms: int,
        turn_ms: int,
        e: Evidence | None,
    ) -> None:
        stay.dwelled.add(threshold_s)
        at_ms, p = stay.since + 1000 * threshold_s, stay.p if e is None else e.p
        self._ledger.tell(
            "dwell", name, zone.id, stay, at_ms, decided_ms, turn_ms, p, e, threshold_s
        )

    def _cross(self, name: str, zone: Zone, a: Fix, b: Fix, decided_ms: int) -> None:
        """Tell of a way through a zone that neither of its ends is in."""
        stretch = self._places.way_through(zone, a, b)
        if stretch is not None:
            ms = b.ts_ms - a.ts_ms
            ts_ms, end_ms = a.ts_ms + stretch.start * ms, a.ts_ms + stretch.end * ms
            self._ledger.crossed(name, zone.id, ts_ms, end_ms, decided_ms, b.ts_ms)

    # -- edits of zones ---------------------------------------------------------------------

    def _judge_again(self, name: str, device: Device, zone: Zone, stay: Stay) -> None:
        """Judge a member on the last fix, under the new shape."""
        stay.revision = zone.revision
        e = self._on_last_fix(device, zone)
        if stay.phase == "entering":
            if e.d < 0:
                del device.stays[zone.id]
        elif e.verdict == "out":
            self._end_by_edit(name, device, zone.id, stay, "edit")

    def _end_by_edit(
        self, name: str, device: Device, zone_id: str, stay: Stay, reason: str
    ) -> None:
        last = device.motion.last
        assert last is not None
        del device.stays[zone_id]
        if stay.phase != "entering":
            at_ms = max(stay.since, last.ts_ms)
            self._ledger.reconciled(
                name, zone_id, at_ms=at_ms, start_ms=stay.since,
                duration_s=(at_ms - stay.since) / 1000, reason=reason,
            )  # fmt: skip

    def _open_by_edit(self, name: str, device: Device, zone: Zone) -> None:
        """Let in a device that stood where the zone was not, and now is."""
        last = device.motion.last
        assert last is not None
        e = self._on_last_fix(device, zone)
        if e.verdict == "in":
            at_ms = last.ts_ms
            device.stays[zone.id] = Stay("inside", at_ms, p=e.p, revision=zone.revision)
            self._ledger.reconciled(
                name, zone.id, at_ms=at_ms, start_ms=at_ms, duration_s=None, reason="edit"
            )

    def _on_last_fix(self, device: Device, zone: Zone) -> Evidence:
        last = device.motion.last
        assert last is not None
        return self._places.evidence(zone, last, Stance("on its way", last))


def expected(
    pings: Iterable[Ping],
    zones: Sequence[Zone],
    *,
    depth_m: Mapping[str, float] | None = None,
    rules: Rules | None = None,
    thresholds_s: Mapping[str, Sequence[int]] | None = None,
) -> list[Event]:
    """Return the transitions that pings owe, in order of decision; pings in order of arrival."""
    reference = Reference(zones, rules=rules, thresholds_s=thresholds_s, depths_m=depth_m)
    return [event for ping in pings for event in reference.pings([ping])]
