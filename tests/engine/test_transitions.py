"""The entry rules in bulk: a random town against the plain reference, batches, clocks, failures.

`test_tracks` holds the rules one by one, `test_entry_machine` everything that may happen to them.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from geotarget.engine import Rules, ZoneIndex
from geotarget.engine.live_state import LiveState
from geotarget.engine.offline import detect_transitions
from geotarget.engine.reconciling import reconcile
from geotarget.engine.timers import settle
from geotarget.engine.transitions import advance
from geotarget.engine.zone_table import ZoneTable
from geotarget.model import EntryPolicy, Kind, Transition, Zone
from tests.entry_compare import compare
from tests.entry_engine import Engine, batch_of
from tests.entry_evidence import Ping
from tests.entry_oracle import Reference
from tests.entry_tracks import PLAIN, START_MS, Plane, zone_of

THRESHOLDS = (60, 300)
RULES = st.sampled_from(
    [
        Rules(),
        Rules(),
        PLAIN,
        Rules(rest_after_s=30, rest_apart=1.5, fast_hop=1, fast_hops=1, blink_bend=30),
        Rules(rest_after_s=30, rest_share=0.5, jump_fixes=1, exit_fixes=1, pending_least_s=90),
    ]
)
"""As shipped, plain, and such that rest, pace and blinks are frequent."""

REST = range(12, 24)
"""Which of their fixes the devices of a town send from one place."""

SETTLED_MS = 10_000_000
"""After the last ping of a town: every wait is over."""


def town(seed: int) -> tuple[list[Zone], list[Ping]]:
    """Return random zones of all policies, and what a few devices report in the order of time.

    Devices stroll, drive and rest; some fixes are dishonest, come twice or without accuracy.
    """
    random = np.random.default_rng(seed)
    plane = Plane()
    zones = []
    for key in range(1, 9):
        x, y = random.uniform(-300, 300, 2)
        half = random.uniform(15, 250, 2)
        ring = plane.ring([x - half[0], y - half[1], x + half[0], y + half[1]])
        zones.append(
            Zone(
                id=f"z{key}",
                geometry=shapely.Polygon(ring),
                entry=list(EntryPolicy)[int(random.integers(0, 5))],
                pending_enters=bool(random.random() < 0.5),
                exit_buffer_m=[None, 0.0, 80.0][int(random.integers(0, 3))],
                priority=int(random.integers(0, 2)),
                key=key,
            )
        )
    pings = []
    for device in range(4):
        x, y, t = *random.uniform(-400, 400, 2), int(random.integers(1, 30))
        for number in range(40):
            gap = int(random.choice([5, 20, 40, 90, 200, 800]))
            t += gap
            pace = 0.0 if number in REST else float(random.choice([0.0, 0.4, 2.0, 8.0]))
            turn = random.uniform(0, 2 * np.pi)
            x = float(np.clip(x + pace * min(gap, 60) * np.cos(turn), -600, 600))
            y = float(np.clip(y + pace * min(gap, 60) * np.sin(turn), -600, 600))
            jump = random.normal(0, 300, 2) if random.random() < 0.05 else random.normal(0, 4, 2)
            acc = None if random.random() < 0.1 else float(random.choice([4, 9, 25, 70]))
            at = plane.at(x + jump[0], y + jump[1])
            pings.append(Ping(f"d{device}", START_MS + 1000 * t, *at, acc))
            if random.random() < 0.1:
                pings.append(pings[-1])
        # at rest in the end, so that no suspect is left waiting: the clock would wait with it
        pings += [
            Ping(f"d{device}", START_MS + 1000 * (t + rest), *plane.at(x, y), 9.0)
            for rest in (60, 120, 180)
        ]
    return zones, sorted(pings, key=lambda ping: ping.ts_ms)


def run(
    batches: Sequence[Sequence[Ping]],
    zones: list[Zone],
    rules: Rules,
    clocks: Sequence[Sequence[int]] = (),
) -> list[Transition]:
    """Apply batches one after the other; clocks[i] are looked at before batch i."""
    engine = Engine(zones, rules=rules, thresholds_s={zone.id: THRESHOLDS for zone in zones})
    found: list[Transition] = []
    for number, batch in enumerate(batches):
        for now_ms in clocks[number] if clocks else ():
            found += engine.clock(now_ms)
        found += engine.pings(batch)
    last_ms = max(ping.ts_ms for batch in batches for ping in batch)
    return found + engine.clock(last_ms + SETTLED_MS)


def by_id(found: Sequence[Transition]) -> dict[str, Transition]:
    """Return transitions by id, each of which may come once."""
    assert len({each.id for each in found}) == len(found)
    return {each.id: each for each in found}


@settings(deadline=None, max_examples=25)
@given(rules=RULES, seed=st.integers(0, 10**6), cut=st.integers(1, 60))
def test_kernel_equals_the_plain_reference(rules: Rules, seed: int, cut: int) -> None:
    """Random devices among random zones: the same transitions as the plain rules, any batches."""
    zones, pings = town(seed)
    batches = [pings[i : i + cut] for i in range(0, len(pings), cut)]
    plain = Reference(zones, rules=rules, thresholds_s={zone.id: THRESHOLDS for zone in zones})
    owed = [event for ping in pings for event in plain.pings([ping])]
    owed += plain.clock(pings[-1].ts_ms + SETTLED_MS)
    found = run(batches, zones, rules)
    compare(sorted(found, key=_when), sorted(owed, key=_when))


def _when(each: Any) -> tuple[Any, ...]:
    """Return an order that does not depend on who waited for whom."""
    return (
        each.device,
        each.decided_ms,
        str(each.kind),
        each.zone,
        each.ts_ms,
        each.threshold_s or 0,
    )


@settings(deadline=None, max_examples=30)
@given(
    rules=RULES,
    seed=st.integers(0, 10**6),
    cuts=st.sets(st.integers(1, 180)),
    swap=st.booleans(),
)
def test_batches_change_nothing(rules: Rules, seed: int, cuts: set[int], swap: bool) -> None:
    """However pings are batched, in whatever order they lie in a batch: the same."""
    zones, pings = town(seed)
    edges = [0, *sorted(cut for cut in cuts if cut < len(pings)), len(pings)]
    batches = [pings[a:b] for a, b in itertools.pairwise(edges)]
    if swap:
        batches = [batch[::-1] for batch in batches]
    at_once = by_id(run([pings], zones, rules))
    assume(at_once)  # nobody may move anywhere in a small town
    assert at_once == by_id(run(batches, zones, rules))


@settings(deadline=None, max_examples=12)
@given(rules=RULES, seed=st.integers(0, 10**6), clock_seed=st.integers(0, 10**6))
def test_the_clock_only_says_what_the_next_fix_would(
    rules: Rules, seed: int, clock_seed: int
) -> None:
    """Looks at the clock at any moment, none ahead of a later fix: nothing new."""
    zones, pings = town(seed)
    random = np.random.default_rng(clock_seed)
    clocks: list[list[int]] = [[]]
    for before, after in itertools.pairwise(pings):
        looks = random.integers(before.ts_ms, after.ts_ms + 1, int(random.integers(0, 3)))
        clocks.append(sorted(looks.tolist()))
    one_by_one = [[ping] for ping in pings]
    without = by_id(run(one_by_one, zones, rules))
    assert without == by_id(run(one_by_one, zones, rules, clocks))


@settings(deadline=None, max_examples=10)
@given(rules=RULES, seed=st.integers(0, 10**6))
def test_a_backtest_says_what_was_said_live(rules: Rules, seed: int) -> None:
    """The same pings in a notebook, in whatever order: the same events and visits."""
    zones, pings = town(seed)
    live = by_id(run([[ping] for ping in pings], zones, rules))
    mixed = [pings[at] for at in np.random.default_rng(seed).permutation(len(pings)).tolist()]
    table = detect_transitions(
        {
            "device": [ping.device for ping in mixed],
            "ts": [ping.ts_ms / 1000 for ping in mixed],
            "lng": [ping.lng for ping in mixed],
            "lat": [ping.lat for ping in mixed],
            "acc": [float("nan") if ping.acc is None else ping.acc for ping in mixed],
        },
        ZoneIndex.build(zones),
        rules=rules,
        dwell_s=THRESHOLDS,
        until=(pings[-1].ts_ms + SETTLED_MS) / 1000,
    )
    events, visits = table.column("event").to_pylist(), table.column("visit").to_pylist()
    assert {(each.id, each.visit) for each in live.values()} == set(
        zip(events, visits, strict=True)
    )
    assert len(events) == len(live)


@settings(deadline=None, max_examples=25)
@given(rules=RULES, seed=st.integers(0, 10**6))
def test_every_visit_is_well_formed(rules: Rules, seed: int) -> None:
    """A visit has one enter, told first, then dwells, each once, and one exit at most."""
    zones, pings = town(seed)
    visits: dict[str, list[Transition]] = {}
    for each in run([pings[i : i + 7] for i in range(0, len(pings), 7)], zones, rules):
        visits.setdefault(each.visit, []).append(each)
    for visit in visits.values():
        kinds = [each.kind for each in visit]
        if kinds == [Kind.CROSSED]:
            continue
        assert kinds[0] is Kind.ENTER
        assert set(kinds[1:]) <= {Kind.DWELL, Kind.EXIT}
        assert kinds.count(Kind.EXIT) <= 1
        thresholds = [each.threshold_s for each in visit if each.kind is Kind.DWELL]
        assert thresholds == list(THRESHOLDS[: len(thresholds)])
        decided = [each.decided_ms for each in visit]
        assert decided == sorted(decided)
        assert all(each.ts_ms <= each.decided_ms for each in visit)
        left_ms = [each.ts_ms for each in visit if each.kind is Kind.EXIT]
        assert all(each.ts_ms <= min(left_ms, default=each.ts_ms) for each in visit)


@pytest.mark.parametrize("sent", ["one by one", "together"])
def test_suspects_are_traced_once(sent: str) -> None:
    """A suspect that waits leaves a trace without a zone; believed in its own batch, none."""
    plane = Plane()
    engine = Engine([zone_of({"id": "shop", "rect": [-100, -100, 100, 100]}, plane)])
    engine.pings([Ping("d", START_MS, *plane.at(0, 0), 8.0)])
    suspects = [
        Ping("d", START_MS + 1000 * s, *plane.at(x, 0), 8.0)
        for s, x in [(10, 300), (20, 303), (30, 300)]
    ]
    told = []
    for batch in [suspects] if sent == "together" else [[each] for each in suspects]:
        engine.pings(batch)
        told += [
            ((each.ts_ms - START_MS) // 1000, each.status, each.zone) for each in engine.traces
        ]
    waiting = [(10, "suspect", ""), (20, "suspect", "")] if sent == "one by one" else []
    assert told == [*waiting, *((s, "applied", "shop") for s in (10, 20, 30))]


def test_a_failed_commit_changes_nothing() -> None:
    """A step that is not applied leaves no trace: the same batch gives the same answer again."""
    zones, pings = town(3)
    table = ZoneTable.compile(ZoneIndex.build(zones))
    state = LiveState()
    batch = batch_of(pings)
    pairs = table.index.query(lng=batch.lng, lat=batch.lat)
    first = advance(state, batch, pairs, table, Rules())
    second = advance(state, batch, pairs, table, Rules())
    assert first.transitions
    assert first.transitions == second.transitions


@pytest.mark.parametrize("what", ["clock", "edit"])
def test_a_clock_or_an_edit_that_fails_changes_nothing(what: str) -> None:
    """Time and edits are steps like batches: asked twice, they answer the same twice."""
    zones, pings = town(128)
    engine = Engine(zones, thresholds_s={zone.id: THRESHOLDS for zone in zones})
    engine.pings(pings[:60])
    before = engine.phases()
    assert set(before.values()) >= {"entering", "inside"}
    if what == "clock":
        now_ms = pings[60].ts_ms + SETTLED_MS
        first, second = (
            settle(engine.state, engine.table, engine.rules, now_ms).transitions for _ in range(2)
        )
    else:
        table = ZoneTable.compile(ZoneIndex.build([replace(zones[0], revision=9)]))
        first, second = (
            reconcile(engine.state, table, engine.rules, engine.table).transitions for _ in range(2)
        )
    assert first
    assert first == second
    assert before == engine.phases()


def test_the_clock_asks_anew_whom_it_has_to() -> None:
    """Who is left alone until an instant that was reckoned before would have said nothing."""
    said = left_alone = 0
    for seed in range(40):
        zones, pings = town(seed)
        told, asked = (
            Engine(zones, thresholds_s={zone.id: THRESHOLDS for zone in zones}) for _ in range(2)
        )
        random = np.random.default_rng(seed)
        for at in range(0, len(pings), 7):
            some = pings[at : at + 7]
            assert told.pings(some) == asked.pings(some)
            for later_s in sorted(random.uniform(-60, 90, 3).tolist()):
                now_ms = some[-1].ts_ms + int(1000 * later_s)
                asked.state.awake(0, object())  # what was reckoned counts no longer
                awake, _ = told.state.awake(now_ms, told.table, told.rules)
                left_alone += told.state.memberships - len(awake)
                happened = told.clock(now_ms)
                assert happened == asked.clock(now_ms)
                said += len(happened)
            assert told.phases() == asked.phases()
        end_ms = pings[-1].ts_ms + SETTLED_MS
        assert told.clock(end_ms) == asked.clock(end_ms)
    assert said > 100
    assert left_alone > 1_000


def test_members_of_many_devices_are_kept_apart() -> None:
    """The slot pool grows, is reused, and never mixes devices up."""
    state = LiveState()
    rows = state.rows([f"d{i}" for i in range(3_000)])
    record = np.zeros(1, state.members.dtype)[0]
    slots = {}
    for row in rows.tolist():
        for zone in (1, 2):
            record["zone"], record["since_ms"] = zone, row
            slots[row, zone] = state.insert(row, record, f"z{zone}")
    for row in rows.tolist()[::2]:
        state.remove(slots[row, 1])
    positions, found = state.slots(rows)
    assert state.memberships == 4_500
    assert len(found) == 4_500
    assert (state.members["since_ms"][found] == rows[positions]).all()
