"""The entry rules: traces that people can read, a plain reference, batches, restarts."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geotarget.engine import Rules, ZoneIndex
from geotarget.engine.live_state import LiveState
from geotarget.engine.transitions import Step, ZoneTable, advance, reconcile
from geotarget.geojson import parse_zone
from geotarget.model import EntryPolicy, Kind, PingBatch, Transition, Zone
from tests.entry_oracle import Event, Ping, expected

TRACKS = sorted((Path(__file__).parents[1] / "tracks").glob("*.json"))
HELSINKI = (24.94, 60.17)


class Plane:
    """Metres east and north of an origin, for tracks that people can read."""

    def __init__(self, origin: tuple[float, float]) -> None:
        self.lng, self.lat = origin
        self.per_lat = 111_132.95 - 559.85 * math.cos(2 * math.radians(self.lat))
        self.per_lng = 111_412.88 * math.cos(math.radians(self.lat)) - 93.5 * math.cos(
            3 * math.radians(self.lat)
        )

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return (lng, lat), with longitudes in ±180."""
        lng = self.lng + x / self.per_lng
        return (lng - 360 if lng > 180 else lng, self.lat + y / self.per_lat)

    def ring(self, rect: list[float]) -> list[list[float]]:
        """Return the closed ring of [x0, y0, x1, y1]; longitudes may pass 180."""
        x0, y0, x1, y1 = rect
        corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]
        return [[self.lng + x / self.per_lng, self.lat + y / self.per_lat] for x, y in corners]


def zone_of(spec: dict[str, Any], plane: Plane, key: int) -> Zone:
    """Return the zone of a track."""
    properties: dict[str, Any] = {
        "entry": spec.get("entry", "standard"),
        "priority": spec.get("priority", 0),
    }
    if "starts" in spec:
        properties["starts"] = spec["starts"]
    if "circle" in spec:
        x, y, properties["radius_m"] = spec["circle"]
        geometry: dict[str, Any] = {"type": "Point", "coordinates": list(plane.at(x, y))}
    else:
        rings = [plane.ring(spec["rect"])]
        if "hole" in spec:
            rings.append(plane.ring(spec["hole"])[::-1])
        geometry = {"type": "Polygon", "coordinates": rings}
    zone = parse_zone(
        {"type": "Feature", "id": spec["id"], "properties": properties, "geometry": geometry}
    )
    from dataclasses import replace

    return replace(zone, key=key)


def batch_of(pings: list[Ping]) -> PingBatch:
    """Return pings as columns; equal pings have equal keys."""
    ts = np.array([ping.ts_ms for ping in pings], np.int64)
    return PingBatch(
        device=[ping.device for ping in pings],
        ts=ts,
        lng=np.array([ping.lng for ping in pings], np.float64),
        lat=np.array([ping.lat for ping in pings], np.float64),
        acc=np.array([math.nan if p.acc is None else p.acc for p in pings], np.float64),
        key=np.array(
            [hash(p.id or (p.ts_ms, p.lng, p.lat)) & 0xFFFF_FFFF_FFFF_FFFF | 1 for p in pings],
            np.uint64,
        ),
        received=ts,
    )


def run(
    batches: list[list[Ping]], table: ZoneTable, state: LiveState | None = None
) -> list[Transition]:
    """Apply batches one after the other."""
    state = LiveState() if state is None else state
    found: list[Transition] = []
    for pings in batches:
        batch = batch_of(pings)
        pairs = table.index.query(lng=batch.lng, lat=batch.lat)
        step = advance(state, batch, pairs, table, Rules())
        step.apply(state)
        found += step.transitions
    return found


def brief(transitions: list[Transition]) -> list[Event]:
    """Return transitions as the reference writes them."""
    return [
        Event(t.kind.value, t.device, t.zone, t.ts_ms, t.decided_ms, t.threshold_s, t.initial)
        for t in transitions
    ]


@pytest.mark.parametrize("one_by_one", [True, False], ids=["one by one", "one batch"])
@pytest.mark.parametrize("path", TRACKS, ids=lambda path: path.stem)
def test_track(path: Path, one_by_one: bool) -> None:
    """Each readable track gives the transitions that it names, however it is batched."""
    track = json.loads(path.read_text())
    plane = Plane(tuple(track.get("origin", HELSINKI)))
    zones = [zone_of(spec, plane, key) for key, spec in enumerate(track["zones"], 1)]
    table = ZoneTable.compile(ZoneIndex.build(zones), lambda _: tuple(track.get("dwell", ())))
    pings = [
        Ping("phone", 1000 * each["t"], *plane.at(each["x"], each["y"]), each["acc"])
        for each in track["pings"]
    ]
    in_order = [ping.ts_ms for ping in pings] == sorted({ping.ts_ms for ping in pings})
    if not in_order and path.stem == "late_fix_after_exit":
        one_by_one = True
    if path.stem == "same_time_better_accuracy":
        one_by_one = False
    found = run([[ping] for ping in pings] if one_by_one else [pings], table)
    assert [
        {
            "kind": each.kind.value,
            "zone": each.zone,
            "at": each.ts_ms // 1000,
            "decided": each.decided_ms // 1000,
            **({"threshold": each.threshold_s} if each.kind is Kind.DWELL else {}),
            **({"initial": True} if each.initial and each.kind is Kind.ENTER else {}),
        }
        for each in found
    ] == track["expect"]


def town(seed: int) -> tuple[list[Zone], list[Ping]]:
    """Return random zones of all policies and the pings of a few wandering devices."""
    random = np.random.default_rng(seed)
    plane = Plane(HELSINKI)
    zones = []
    for key in range(1, 7):
        x, y = random.uniform(-300, 300, 2)
        half = random.uniform(20, 250, 2)
        ring = plane.ring([x - half[0], y - half[1], x + half[0], y + half[1]])
        policy = list(EntryPolicy)[int(random.integers(0, 5))]
        zones.append(Zone(id=f"z{key}", geometry=shapely.Polygon(ring), entry=policy, key=key))
    pings = []
    for device in range(4):
        x, y, t = *random.uniform(-400, 400, 2), int(random.integers(1, 30))
        for _ in range(40):
            t += int(random.choice([5, 20, 40, 90, 200]))
            x, y = np.clip(np.array([x, y]) + random.normal(0, 60, 2), -600, 600)
            acc = None if random.random() < 0.1 else float(random.choice([4, 9, 25, 70]))
            ping = Ping(f"d{device}", 1000 * t, *plane.at(x, y), acc)
            pings.append(ping)
            if random.random() < 0.1:
                pings.append(ping)
    return zones, sorted(pings, key=lambda ping: ping.ts_ms)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10**6), cut=st.integers(1, 60))
def test_kernel_equals_the_plain_reference(seed: int, cut: int) -> None:
    """Random devices among random zones: the same transitions as the plain rules, any batches."""
    zones, pings = town(seed)
    index = ZoneIndex.build(zones)
    depth = dict(zip([z.id for z in zones], index.depth_m.tolist(), strict=True))
    table = ZoneTable.compile(index, lambda _: (60, 300))
    found = run([pings[i : i + cut] for i in range(0, len(pings), cut)], table)
    owed = expected(
        pings, zones, depth_m=depth, thresholds_s={zone.id: (60, 300) for zone in zones}
    )
    assert sorted(brief(found)) == sorted(owed)


def test_ids_do_not_depend_on_batches() -> None:
    """The same pings give the same event and visit ids, one by one or at once."""
    zones, pings = town(7)
    table = ZoneTable.compile(ZoneIndex.build(zones))
    at_once = run([pings], table)
    one_by_one = run([[ping] for ping in pings], table)
    assert at_once
    assert {(t.id, t.visit) for t in at_once} == {(t.id, t.visit) for t in one_by_one}
    assert len({t.id for t in at_once}) == len(at_once)


def test_restart_between_the_two_fixes_of_an_exit() -> None:
    """What the store keeps brings back phases, visits and watermarks: the exit comes once."""
    plane = Plane(HELSINKI)
    zone = zone_of({"id": "shop", "rect": [-100, -100, 100, 100]}, plane, 1)
    table = ZoneTable.compile(ZoneIndex.build([zone]))
    state = LiveState()
    rows: dict[tuple[str, str], Any] = {}
    kept: dict[str, bytes] = {}
    found: list[Transition] = []
    for t, x in [(0, -400), (20, 0), (40, 0), (60, 200), (60, 200), (80, 300), (80, 300)]:
        batch = batch_of([Ping("phone", 1000 * t, *plane.at(x, 0), 8.0)])
        pairs = table.index.query(lng=batch.lng, lat=batch.lat)
        step: Step = advance(state, batch, pairs, table, Rules())
        for row in step.member_rows(state):
            rows[row.device, row.zone] = row
        for row_number, _, zone_id in step.removed:
            del rows[state.ids[row_number], zone_id]
        for row_number, record in zip(step.rows.tolist(), step.devices, strict=True):
            kept[state.ids[row_number]] = record.tobytes()
        found += step.transitions
        state = LiveState.restore(list(kept), b"".join(kept.values()), list(rows.values()))
    assert [(t.kind.value, t.ts_ms, t.decided_ms) for t in found] == [
        ("enter", 20_000, 20_000),
        ("exit", 60_000, 80_000),
    ]
    assert rows == {}


def test_four_hundred_overlapping_zones() -> None:
    """One ping inside 400 zones enters all of them, in one batch, each with its own visit."""
    plane = Plane(HELSINKI)
    zones = [
        zone_of({"id": f"z{i}", "rect": [-100 - i, -100 - i, 100 + i, 100 + i]}, plane, i + 1)
        for i in range(400)
    ]
    table = ZoneTable.compile(ZoneIndex.build(zones))
    found = run([[Ping("phone", 0, *plane.at(0, 0), 8.0)]], table)
    assert [t.zone for t in found] == [f"z{i}" for i in range(400)]
    assert len({t.visit for t in found}) == 400


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


def test_zone_that_goes_ends_its_visits_as_reconciled() -> None:
    """Deleting a zone ends its visits with `reconciled`, pending entries without a word."""
    plane = Plane(HELSINKI)
    here = zone_of({"id": "here", "rect": [-100, -100, 100, 100]}, plane, 1)
    gone = zone_of({"id": "gone", "rect": [-200, -200, 200, 200]}, plane, 2)
    state = LiveState()
    run(
        [[Ping("phone", 5_000, *plane.at(0, 0), 8.0)]],
        ZoneTable.compile(ZoneIndex.build([here, gone])),
        state,
    )
    step = reconcile(state, ZoneTable.compile(ZoneIndex.build([here])))
    step.apply(state)
    assert [(t.kind, t.device, t.zone, t.ts_ms) for t in step.transitions] == [
        (Kind.RECONCILED, "phone", "gone", 5_000)
    ]
    assert state.memberships == 1
    assert reconcile(state, ZoneTable.compile(ZoneIndex.build([here]))).removed == []


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
