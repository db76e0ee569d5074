"""Whatever happens, in whatever order: the engine says what the plain reference says.

Phones walk between places, rest, and are seen where they are not; pings come in batches, late,
twice and out of order; the clock ticks, zones are edited and go, the process restarts.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from geotarget.engine import Rules
from geotarget.model import EntryPolicy, Zone
from tests.entry_compare import compare, compare_traces
from tests.entry_engine import Engine
from tests.entry_evidence import Ping
from tests.entry_oracle import Reference
from tests.entry_tracks import PLAIN, START_MS, Plane, zone_of

PLANES = [Plane(), Plane(), Plane((180.0, -16.8))]
SPECS: list[dict[str, Any]] = [
    {"id": "shop", "rect": [-100, -100, 100, 100]},
    {"id": "kiosk", "rect": [-30, -30, 30, 30], "pending": "enter"},
    {"id": "raw", "rect": [-10, -120, 140, 120], "entry": "raw"},
    {"id": "eager", "rect": [60, -60, 160, 60], "entry": "eager"},
    {"id": "ring", "rect": [-180, -180, 180, 180], "hole": [-120, -120, 20, 120], "priority": 2},
    {"id": "strict", "rect": [-160, -40, -70, 40], "entry": "strict", "exit_buffer_m": 0},
    {"id": "certain", "rects": [[-90, 20, -20, 90], [10, 20, 90, 90]], "entry": "certain"},
    {"id": "circle", "circle": [150, 0, 45], "pending": "enter"},
]
PLACES = [
    (x + 0.37, y + 0.61 + 0.0137 * number**2)
    for number, (x, y) in enumerate([
        (0, 0), (-60, 0), (-95, 3), (-104, 4), (-112, 0), (-150, 10), (-210, 0), (26, 0), (33, 2),
        (90, 50), (106, -5), (118, 0), (150, 0), (200, 5), (260, 0), (0, 97), (60, 103), (-50, 50),
        (0, -130), (700, 0), (0, 2000),
    ])
]  # fmt: skip
"""In no line and at no simple ratio of distances: no limit is met exactly."""
ACCURACIES = [3.3, 8.7, 12.3, 21.9, 44.1, 67.3, 131.0, 610.0, None, 0.0]
GAPS_S = [1, 5, 15, 30, 47, 61, 99, 160, 290, 420, 650, 2_100]
ERRORS = [
    (0.03, 0.02),
    (0.31, -0.27),
    (-0.44, 0.13),
    (0.9, 0.71),
    (-1.3, 0.4),
    (0.2, -2.6),
    (5.1, 0),
]
STEPS = [(27.1, 3.3), (61.3, -2.9), (-71.9, 5.2), (143.7, 11.1), (-155.2, -12.7), (301.9, 7.3)]
DEVICES = ["a", "b", "c"]

MOVES = st.tuples(
    st.sampled_from(DEVICES),
    st.sampled_from(GAPS_S),
    st.sampled_from(["walk", "walk", "walk", "rest", "rest", "drive", "glitch"]),
    st.sampled_from(PLACES),
    st.sampled_from([*ACCURACIES[:5], *ACCURACIES]),
)
RULES = st.sampled_from(
    [
        Rules(),
        Rules(),
        PLAIN,
        replace(PLAIN, jump_fixes=1, exit_fixes=1),
        replace(PLAIN, jump_fixes=2, exit_fixes=3, forget_s=1_500),
        replace(PLAIN, jump_span_s=40, forget_s=4_000, dwell_timer_s=100),
        Rules(rest_after_s=30, rest_apart=1.5, exit_fixes=1, exit_least_s=40),
        Rules(rest_after_s=30, fast_hop=1, rest_most=3, jump_fixes=1, rest_share=0.7),
        Rules(rest_after_s=1e9, fast_hop=1, fast_hops=0.5, blink_bend=30, jump_fixes=1),
        Rules(
            rest_after_s=60, fast_hop=1.2, fast_hops=1, blink_bend=30, jump_bend=20,
            jump_speed_m_s=0.5, pending_least_s=40, fast_in_share=0.6, moving_after_s=10,
            fast_out_share=0.9, moving_out_share=0, clear_share=0.8, exit_least_s=90,
        ),
    ]
)  # fmt: skip
"""As shipped, plain, and such that rest, pace, strays and blinks are frequent."""

THRESHOLDS = st.sampled_from([(), (60,), (30, 120, 900)])


class EntryMachine(RuleBasedStateMachine):
    """Two players of the same game."""

    @initialize(rules=RULES, thresholds=THRESHOLDS, plane=st.sampled_from(PLANES))
    def begin(self, rules: Rules, thresholds: tuple[int, ...], plane: Plane) -> None:
        """Place the zones, in Helsinki or where 180° cuts them."""
        self.plane = plane
        self.zones = {
            spec["id"]: zone_of(spec, plane, key=key) for key, spec in enumerate(SPECS, 1)
        }
        self.revision = 1
        dwell = dict.fromkeys(self.zones, thresholds)
        self.engine = Engine(list(self.zones.values()), rules=rules, thresholds_s=dwell)
        self.plain = Reference(list(self.zones.values()), rules=rules, thresholds_s=dwell)
        self.at = dict.fromkeys(DEVICES, (-160.37, 0.61))
        self.time_ms = dict.fromkeys(DEVICES, START_MS)
        self.sent: list[Ping] = []
        self.ids: set[str] = set()

    def send(self, batch: list[Ping]) -> None:
        """Give a batch to both."""
        self.sent = [*self.sent, *batch][-12:]
        found, owed = self.engine.pings(batch), self.plain.pings(batch)
        assert self.engine.status == self.plain.status
        compare_traces(self.engine.traces, self.engine.holds, self.plain.seen)
        self.check(found, owed)

    def check(self, found: list[Any], owed: list[Any]) -> None:
        """Compare, and see that no id comes twice."""
        compare(found, owed)
        ids = [each.id for each in found]
        assert len(set(ids)) == len(ids)
        assert not self.ids & set(ids)
        self.ids |= set(ids)

    def ping(
        self, device: str, gap_s: int, way: str, place: tuple[float, float], acc: float | None
    ) -> Ping:
        """Move a device and let it tell where it is."""
        (x, y), (to_x, to_y) = self.at[device], place
        if way in ("walk", "drive"):
            most = gap_s * (2.3 if way == "walk" else 9.0)
            share = min(1.0, most / max(math.hypot(to_x - x, to_y - y), 1e-9))
            x, y = x + share * (to_x - x), y + share * (to_y - y)
            self.at[device] = x, y
        if way == "glitch":
            x, y = place
        self.time_ms[device] += 1000 * gap_s
        return Ping(device, self.time_ms[device], *self.plane.at(x, y), acc)

    @rule(moves=st.lists(MOVES, min_size=1, max_size=5), turn=st.integers(0, 4))
    def report(self, moves: list[Any], turn: int) -> None:
        """Some devices report, each once or more; a batch may come in any order."""
        batch = [self.ping(*move) for move in moves]
        turn %= len(batch)
        self.send([*batch[turn:], *batch[:turn]])

    @rule(moves=st.lists(MOVES, min_size=1, max_size=8), device=st.sampled_from(DEVICES))
    def walk(self, moves: list[Any], device: str) -> None:
        """One device reports for a while, ping by ping."""
        for _, *move in moves:
            self.send([self.ping(device, *move)])

    @rule(
        device=st.sampled_from(DEVICES),
        gap_s=st.sampled_from([9, 33, 61, 148]),
        acc=st.sampled_from(ACCURACIES[:6]),
        errors=st.lists(st.sampled_from(ERRORS), min_size=3, max_size=9),
    )
    def linger(
        self, device: str, gap_s: int, acc: float, errors: list[tuple[float, float]]
    ) -> None:
        """One device stays where it is, and its fixes wander."""
        x, y = self.at[device]
        for right, up in errors:
            place = x + right * acc, y + up * acc
            self.send([self.ping(device, gap_s, "glitch", place, acc)])

    @rule(
        device=st.sampled_from(DEVICES),
        gap_s=st.sampled_from([4, 11, 21]),
        acc=st.sampled_from(ACCURACIES[:4]),
        steps=st.lists(st.sampled_from(STEPS), min_size=2, max_size=6),
        at_once=st.booleans(),
    )
    def ride(
        self,
        device: str,
        gap_s: int,
        acc: float,
        steps: list[tuple[float, float]],
        at_once: bool,
    ) -> None:
        """One device goes far between fixes, on and on or out and back."""
        pings = []
        for right, up in steps:
            x, y = self.at[device]
            self.at[device] = x + right, y + up
            pings.append(self.ping(device, gap_s, "rest", self.at[device], acc))
        for batch in [pings] if at_once else [[ping] for ping in pings]:
            self.send(batch)

    @rule(move=MOVES, back_s=st.sampled_from([0, 1, 20, 300]))
    def come_late(self, move: Any, back_s: int) -> None:
        """A ping arrives that is older than the last one, or as old."""
        device, *_, place, acc = move
        self.send([Ping(device, self.time_ms[device] - 1000 * back_s, *self.plane.at(*place), acc)])

    @rule(move=MOVES, other=MOVES)
    def two_of_one_time(self, move: Any, other: Any) -> None:
        """Two fixes of one time in a batch."""
        ping = self.ping(*move)
        self.send([ping, ping._replace(lng=self.plane.at(*other[3])[0], acc=other[4])])

    @rule(back=st.integers(1, 12), move=MOVES)
    def come_again(self, back: int, move: Any) -> None:
        """A ping is delivered a second time, with a new one."""
        if self.sent:
            self.send([self.sent[-min(back, len(self.sent))], self.ping(*move)])

    @rule(ahead_s=st.sampled_from([-50, 0, 10, 31, 62, 120, 300, 700, 1_600, 4_100]))
    def tick(self, ahead_s: int) -> None:
        """The clock looks."""
        now_ms = max(self.time_ms.values()) + 1000 * ahead_s
        self.check(self.engine.clock(now_ms), self.plain.clock(now_ms))

    @rule()
    def restart(self) -> None:
        """The process starts again with what was kept."""
        self.engine.restart()

    @rule(
        number=st.integers(0, len(SPECS) - 1),
        change=st.sampled_from(["move", "grow", "policy", "pending", "close", "tidy", "remove"]),
        size=st.sampled_from([-43.7, -12.0, 7.0, 30.0, 80.0]),  # no two zones of one area
        policy=st.sampled_from(list(EntryPolicy)),
        old_is_known=st.booleans(),
    )
    def edit(
        self, number: int, change: str, size: float, policy: EntryPolicy, old_is_known: bool
    ) -> None:
        """Somebody edits a zone, or puts it back."""
        id_ = SPECS[number]["id"]
        self.revision += 1
        zone = self.zones.pop(id_, None)
        if change != "remove" or zone is None:
            made = zone_of(_changed(SPECS[number], change, size), self.plane)
            if zone is not None and change not in ("move", "grow", "tidy"):
                made = replace(made, geometry=zone.geometry, radius_m=zone.radius_m)
            self.zones[id_] = self._with(made, number, change, policy)
        zones = list(self.zones.values())
        if not old_is_known:
            self.engine.restart()
        self.check(
            self.engine.edit(zones, old_is_known=old_is_known),
            self.plain.edit(zones, old_is_known=old_is_known),
        )

    def _with(self, zone: Zone, number: int, change: str, policy: EntryPolicy) -> Zone:
        latest_ms = max(self.time_ms.values())
        return replace(
            zone,
            key=number + 1,
            revision=self.revision,
            entry=policy if change == "policy" else zone.entry,
            pending_enters=zone.pending_enters != (change == "pending"),
            ends_ms=latest_ms + 100_000 if change == "close" else None,
        )

    @invariant()
    def same_phases(self) -> None:
        """Both know the same of every device and zone."""
        if hasattr(self, "engine"):
            assert self.engine.phases() == self.plain.phases()


def _changed(spec: dict[str, Any], change: str, size: float) -> dict[str, Any]:
    """Return the description of a zone, moved east or grown by some metres."""
    west, east = {"move": (size, size), "grow": (-size / 2, size / 2)}.get(change, (0.0, 0.0))
    changed = dict(spec)
    if "circle" in spec:
        x, y, radius = spec["circle"]
        changed["circle"] = [x + (west + east) / 2, y, max(10.0, radius + (east - west) / 2)]
    for name in ("rect", "hole"):
        if name in spec:
            x0, y0, x1, y1 = spec[name]
            changed[name] = [x0 + west, y0, max(x0 + west + 5, x1 + east), y1]
    return changed


TestEntryMachine = EntryMachine.TestCase
TestEntryMachine.settings = settings(
    max_examples=50,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestEntryMachine = pytest.mark.timeout(300)(TestEntryMachine)
