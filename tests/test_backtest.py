"""A backtest is the live pipeline in the time of its recording: same ids, every time the same."""

from __future__ import annotations

import csv
import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geotarget import recording as recording_module
from geotarget.backtest import Summary, backtest, rehearsal, staged
from geotarget.backtest.feeding import batches
from geotarget.catalog import Catalog
from geotarget.engine import Rules, ZoneIndex
from geotarget.engine.live_state import LiveState
from geotarget.engine.timers import next_due_ms, settle
from geotarget.engine.transitions import advance
from geotarget.engine.zone_table import ZoneTable
from geotarget.errors import InvalidCampaign, InvalidInput
from geotarget.geojson import load_zones
from geotarget.model import (
    Audience,
    Budget,
    Campaign,
    Cap,
    Decision,
    Endpoint,
    EntryPolicy,
    Kind,
    PingBatch,
    Policy,
    Profile,
    Status,
    Transition,
    Trigger,
    Variant,
    Zone,
)
from geotarget.pipeline import Pipeline
from geotarget.recording import BadRow, RecordedPing, Recording, pings_in_order
from geotarget.store import Store

START_MS = 1_767_261_600_000  # 2026-01-01 10:00:00 UTC
LNG, LAT = 24.94, 60.17
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def square(name: str, east: float = 0.0, half: float = 0.001, **more: Any) -> Zone:
    """Return a square; `east` of the middle of town, degrees."""
    box = shapely.box(LNG + east - half, LAT - half, LNG + east + half, LAT + half)
    return Zone(id=name, geometry=box, name=name.title(), **more)


ZONES = [
    square("bakery", tags=frozenset({"shop"}), time_zone="Europe/Helsinki"),
    square("raw", 0.003, entry=EntryPolicy.RAW, time_zone="Asia/Kathmandu"),
    square("eager", -0.003, entry=EntryPolicy.EAGER, tags=frozenset({"shop"})),
    square("town", half=0.01, pending_enters=True),
    square("nowhere", 2.0),
]


def campaign(
    name: str, *, on: Kind = Kind.ENTER, dwell_s: int | None = None, **more: Any
) -> Campaign:
    """Return a campaign that answers everything of one kind."""
    trigger = Trigger(on=frozenset({on}), dwell_s=dwell_s)
    options = {"name": name.title(), "offer": {"text": "{{ zone.name }}"}, "endpoints": ("crm",)}
    return Campaign(id=name, trigger=trigger, **{**options, **more})


CAMPAIGNS = [
    campaign("hello", caps=(Cap(1, 900),), with_others=True),
    campaign("stay", on=Kind.DWELL, dwell_s=120, cost_micros=50_000, with_others=True),
    campaign("bye", on=Kind.EXIT, holdout=0.3, with_others=True),
    campaign(
        "two",
        variants=(Variant("a", {"text": "A"}), Variant("b", {"text": "B"}, cost_micros=70_000)),
        offer={},
        cost_micros=30_000,
        audience="visits.total(30) >= 1",
        with_others=True,
    ),
]


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty people who walk for 50 minutes; some fall silent, some ping rarely."""
    random = np.random.default_rng(5)
    lines: list[tuple[int, str]] = []
    for number in range(40):
        every_s = random.choice([5, 15, 40, 240])
        lng, lat = LNG + random.normal(0, 0.004), LAT + random.normal(0, 0.001)
        silent_s = random.uniform(600, 3_000)
        at_s, heading = random.uniform(0, 60), random.uniform(0, 6.3)
        while at_s < silent_s:
            speed = random.choice([0.0, 1.4], p=[0.4, 0.6])
            heading += random.normal(0, 0.5)
            lng += np.sin(heading) * speed * every_s / 55_600
            lat += np.cos(heading) * speed * every_s / 111_200
            acc = random.choice([5, 12, 30])
            noise = random.normal(0, acc / 111_200, 2)
            ts = START_MS + round(at_s * 1000)
            place = f"{lat + noise[0]:.6f},{lng + 2 * noise[1]:.6f}"
            lines.append((ts, f"p{number},{ts / 1000:.3f},{place},{acc}"))
            at_s += every_s * random.uniform(0.8, 1.3)
    path = tmp_path_factory.mktemp("walk") / "walk.csv"
    lines.sort()
    path.write_text("\n".join(["device,ts,lat,lng,acc", *(line for _, line in lines)]) + "\n")
    return path


def write(path: Path, *fixes: tuple[str, float, float]) -> Recording:
    """Write fixes (device, second, degrees east of the middle of town) as a recording."""
    rows = [
        f"{name},{START_MS / 1000 + second:.3f},{LAT},{LNG + east}" for name, second, east in fixes
    ]
    path.write_text("\n".join(["device,ts,lat,lng", *rows]) + "\n")
    return Recording(path)


def gates(summary: Summary, name: str) -> dict[str, int]:
    """Return the decisions of a campaign by gate."""
    return next(each.gates for each in summary.campaigns if each.id == name)


# -- the same as live --------------------------------------------------------------------------


def live(
    store: Store, path: Path, zones: Sequence[Zone], campaigns: Sequence[Campaign], seed: int
) -> tuple[list[Transition], list[Decision]]:
    """Let the pipeline work off a recording as it comes in: odd batches, a clock that ticks."""
    random = np.random.default_rng(seed)
    catalog = Catalog(store)
    catalog.put_zones(zones)
    catalog.put_endpoint(Endpoint(id="crm", url="https://crm.example/hook", secret=SECRET))
    for each in campaigns:
        catalog.put_campaign(each)
    recording = Recording(path)
    rows = list(pings_in_order(recording, recording.survey(), lambda _: None))
    now = [rows[0].ts_ms]
    pipeline = Pipeline(catalog=catalog, store=store, now_ms=lambda: now[0])
    at = 0
    while at < len(rows):
        size = int(random.integers(1, 90))
        (batch,) = batches(rows[at : at + size], lambda _: None, span_ms=10**9)
        while now[0] + 7_000 < batch.ts[0]:  # nothing came for a while: the clock ticks on
            now[0] += int(random.integers(1_000, 7_000))
            pipeline.process(sliced(batch, 0))
        now[0] = int(batch.ts[-1]) + int(random.integers(20, 900))
        pipeline.process(batch)
        at += size
    for _ in range(2_000):
        now[0] += 3_000
        pipeline.process(sliced(batch, 0))
    return list(store.all_transitions()), list(store.all_decisions())


def sliced(batch: PingBatch, count: int) -> PingBatch:
    """Return the first pings of a batch."""
    columns = (batch.ts, batch.lng, batch.lat, batch.acc, batch.key, batch.received)
    return PingBatch(batch.device[:count], *(column[:count] for column in columns))


def told(event: Transition) -> tuple[Any, ...]:
    """Return all of a transition but the revision of its zone, which counts edits."""
    return tuple(getattr(event, name) for name in Transition.__slots__ if name != "zone_revision")


@pytest.mark.parametrize("seed", [1, 2])
def test_a_backtest_says_what_live_would_have_said(walk: Path, tmp_path: Path, seed: int) -> None:
    """Other batches, another clock, deadlines looked at when a second happens to be over."""
    with Store.open(f"sqlite:///{tmp_path / 'live.db'}") as store:
        transitions, decisions = live(store, walk, ZONES, CAMPAIGNS, seed)
    with rehearsal(zones=ZONES, campaigns=CAMPAIGNS) as stage:
        recording = Recording(walk)
        stage.play(recording, recording.survey())
        played, answered = list(stage.store.all_transitions()), list(stage.store.all_decisions())
    assert sorted(map(told, transitions)) == sorted(map(told, played))
    kinds = Counter(each.kind for each in played)
    assert min(kinds[each] for each in (Kind.ENTER, Kind.DWELL, Kind.EXIT)) > 5, kinds
    assert {each.reason for each in played} > {"timer", "deep"}
    answers = [{each.id: (each.gate, each.offer, each.cost_micros) for each in some}
               for some in (decisions, answered)]  # fmt: skip
    assert answers[0] == answers[1]
    assert {each.gate for each in answered} >= {"fired", "cap", "holdout", "audience"}


def test_real_buses_give_what_live_gives(shared_data: Path, tmp_path: Path) -> None:
    """Recorded buses in a town, against the pipeline with a database of its own."""
    path = shared_data / "pings" / "austin_bus_2015-03-07_18.csv"
    report = load_zones(
        shared_data / "zones" / "austin_neighborhoods.geojson", id_property="cartodb_id"
    )
    assert len(report.zones) == 70
    zones = report.zones
    with Store.open(f"sqlite:///{tmp_path / 'live.db'}") as store:
        catalog = Catalog(store)
        catalog.put_zones(zones)
        rows = list(Recording(path, limit=20_000).rows())
        rows.sort(key=lambda row: row.ts_ms)  # type: ignore[union-attr] # it has no bad row
        now = [rows[0].ts_ms]  # type: ignore[union-attr]
        pipeline = Pipeline(catalog=catalog, store=store, now_ms=lambda: now[0])
        for batch in batches(rows, lambda _: None, span_ms=60_000):  # type: ignore[arg-type]
            now[0] = int(batch.ts[-1]) + 400
            pipeline.process(batch)
        expected = sorted(map(told, store.all_transitions()))
    out = tmp_path / "out"
    summary = backtest(Recording(path, limit=20_000), zones=zones, out=out)
    assert summary.fed.pings + summary.fed.bad == len(rows)
    with (out / "transitions.csv").open(newline="") as file:
        ids = sorted(row["id"] for row in csv.DictReader(file))
    assert len(ids) > 1_000
    assert [each[0] for each in expected] == ids


# -- every time the same -------------------------------------------------------------------------


@pytest.mark.parametrize("parquet", [False, True])
def test_two_runs_are_equal_byte_for_byte(walk: Path, tmp_path: Path, parquet: bool) -> None:
    """Every file, whatever the folder is called."""
    folders = [tmp_path / "one", tmp_path / "another"]
    for folder in folders:
        backtest(Recording(walk), zones=ZONES, campaigns=CAMPAIGNS, out=folder, parquet=parquet)
    first, second = ({path.name: path.read_bytes() for path in each.iterdir()} for each in folders)
    assert set(first) == (
        {"transitions.parquet", "decisions.parquet", "summary.json"}
        if parquet
        else {"transitions.csv", "decisions.csv", "summary.json"}
    )
    assert first == second


@pytest.mark.parametrize("on_disk", [False, True])
def test_the_order_of_the_file_changes_nothing(
    walk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_disk: bool
) -> None:
    """Device by device instead of by time, sorted in memory or through the disk."""
    header, *lines = walk.read_text().splitlines()
    lines.sort(key=lambda line: line.split(",")[0])
    shuffled = tmp_path / "walk.csv"
    shuffled.write_text("\n".join([header, *lines]) + "\n")
    if on_disk:
        monkeypatch.setattr(recording_module, "SORTED_ROWS", 100)
        monkeypatch.setattr(recording_module, "RUN_ROWS", 100)
    results = []
    for path, folder in ((walk, tmp_path / "a"), (shuffled, tmp_path / "b")):
        summary = backtest(Recording(path), zones=ZONES, campaigns=CAMPAIGNS, out=folder)
        results.append(summary)
    assert [each.fed.in_order for each in results] == [True, False]
    for name in ("transitions.csv", "decisions.csv"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    documents = [replace_order(each.document()) for each in results]
    assert documents[0] == documents[1]


def replace_order(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document without what tells whether the file was sorted."""
    document["recording"].pop("in_order")
    return document


def test_parquet_holds_what_csv_holds(walk: Path, tmp_path: Path) -> None:
    """The same rows in the same order, times as instants."""
    for parquet in (False, True):
        backtest(
            Recording(walk), zones=ZONES, campaigns=CAMPAIGNS, out=tmp_path, parquet=parquet,
            overwrite=True,
        )  # fmt: skip
    for name in ("transitions", "decisions"):
        table = pq.read_table(tmp_path / f"{name}.parquet").to_pylist()
        with (tmp_path / f"{name}.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["id"] for row in rows] == [row["id"] for row in table]
        assert rows[0]["time"] == f"{table[0]['time']:%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"
        assert list(rows[0]) == list(table[0])


# -- what is counted -----------------------------------------------------------------------------


def test_the_summary_counts_what_the_files_hold(walk: Path, tmp_path: Path) -> None:
    """By zone, day and kind; by campaign and gate; people, offers and money."""
    summary = backtest(Recording(walk), zones=ZONES, campaigns=CAMPAIGNS, out=tmp_path)
    document = json.loads((tmp_path / "summary.json").read_text())
    assert document == summary.document()
    with (tmp_path / "transitions.csv").open(newline="") as file:
        moves = list(csv.DictReader(file))
    with (tmp_path / "decisions.csv").open(newline="") as file:
        answers = list(csv.DictReader(file))
    assert sum(document["transitions"].values()) == len(moves)
    for zone in document["zones"]:
        mine = [row for row in moves if row["zone"] == zone["id"]]
        assert zone["transitions"] == Counter(row["kind"] for row in mine)
        arrived = {row["device"] for row in mine if row["kind"] in ("enter", "crossed")}
        assert zone["visitors"] == len(arrived)
        by_day = Counter[str]()
        for day in zone["days"]:
            by_day.update({kind: count for kind, count in day.items() if kind != "day"})
        assert by_day == zone["transitions"]
    assert document["quiet_zones"] == 1
    for result in document["campaigns"]:
        mine = [row for row in answers if row["campaign"] == result["id"]]
        counts = Counter(row["gate"] for row in mine)
        fired = [row for row in mine if row["gate"] == "fired"]
        assert result["decisions"] == len(mine)
        assert (result["fired"], result["held_out"]) == (counts["fired"], counts["holdout"])
        assert {**result["refused"], "fired": result["fired"], "holdout": result["held_out"]} == {
            "fired": 0, "holdout": 0, **counts
        }  # fmt: skip
        assert result["reach"] == len({row["profile"] for row in fired})
        assert result["cost"] == pytest.approx(sum(float(row["cost"]) for row in fired))
        assert sum(day["offers"] for day in result["days"]) == len(fired)
        assert sum(each["offers"] for each in result["variants"]) == len(fired)
    offers = Counter(Counter(row["profile"] for row in answers if row["gate"] == "fired").values())
    assert {each["offers"]: each["people"] for each in document["offers_per_person"]} == offers
    assert document["reach"] == sum(offers.values())


def test_days_are_those_of_the_zone_and_of_the_budget(tmp_path: Path) -> None:
    """18:30 UTC is the next day in Kathmandu; the budget's own day is another."""
    late = 8.5 * 3_600
    recording = write(
        tmp_path / "a.csv", ("d", late - 60, 0.1), ("d", late, 0.003), ("d", late + 9, 0.003)
    )
    budget = Budget(per_day=10, time_zone="America/New_York")
    summary = backtest(
        recording,
        zones=[square("raw", 0.003, entry=EntryPolicy.RAW, time_zone="Asia/Kathmandu")],
        campaigns=[
            campaign("plain", with_others=True),
            campaign("paid", budget=budget, with_others=True),
        ],
        rules=Rules(jump_fixes=1),
    )
    (zone,) = summary.zones
    assert zone.days == {"2026-01-02": Counter(enter=1)}
    assert [list(each.days) for each in summary.campaigns] == [["2026-01-01"], ["2026-01-02"]]


def test_a_budget_is_never_overspent(walk: Path) -> None:
    """So many offers a day and not one more; the others are counted at the gate."""
    paid = campaign("paid", budget=Budget(per_day=5), cost_micros=20_000)
    free = backtest(Recording(walk), zones=ZONES, campaigns=[campaign("paid")])
    summary = backtest(Recording(walk), zones=ZONES, campaigns=[paid])
    (result,) = summary.campaigns
    assert result.days == {"2026-01-01": (5, 100_000)}
    assert (result.fired, result.cost_micros) == (5, 100_000)
    assert result.gates["budget"] == gates(free, "paid")["fired"] - 5


def test_profiles_and_audiences_take_part(walk: Path) -> None:
    """Consent, attributes and named rules are asked as live."""
    people = [Profile("p1", attributes={"tier": "gold"}, devices=("p1", "p2")),
              Profile("p3", attributes={"tier": "gold"}, consent={"marketing": False})]  # fmt: skip
    gold = Audience("gold", 'profile.tier == "gold"')
    summary = backtest(
        Recording(walk),
        zones=ZONES,
        campaigns=[campaign("vip", audiences=("gold",))],
        audiences=[gold],
        profiles=iter(people),
    )
    found = gates(summary, "vip")
    assert set(found) == {"fired", "consent", "audience"}
    assert summary.reach == 1


# -- time ----------------------------------------------------------------------------------------


def test_a_phone_that_falls_silent_still_dwells(tmp_path: Path) -> None:
    """The clock stops at every deadline, in a gap and after the last ping."""
    zones = [square("shop")]
    stay = campaign("stay", on=Kind.DWELL, dwell_s=300)
    recording = write(
        tmp_path / "a.csv",
        ("a", 0, 0.0),
        ("a", 30, 0.0),
        ("b", 4_000, 0.1),
        ("c", 9_000, 0.0),
        ("c", 9_030, 0.0),
    )
    with rehearsal(zones=zones, campaigns=[stay]) as stage:
        stage.play(recording, recording.survey())
        dwells = [
            (each.device, each.ts_ms - START_MS, each.decided_ms - START_MS)
            for each in stage.store.all_transitions()
            if each.kind is Kind.DWELL
        ]
        answers = [each.gate for each in stage.store.all_decisions()]
    assert dwells == [("a", 300_000, 300_000), ("c", 9_300_000, 9_300_000)]
    assert answers == ["fired", "fired"]


@pytest.mark.parametrize("every_s", [1, 600, 21_600])
def test_no_transition_is_too_old_because_pings_are_rare(tmp_path: Path, every_s: int) -> None:
    """However sparse a recording is, each transition is answered when it was settled."""
    fixes = [("a", at * every_s, 0.0 if at % 4 < 2 else 0.5) for at in range(40)]
    summary = backtest(
        write(tmp_path / "a.csv", *fixes),
        zones=[square("shop", entry=EntryPolicy.RAW)],
        campaigns=[campaign("hello")],
        policy=Policy(max_age_s=10.0),
    )
    assert gates(summary, "hello") == {"fired": 10}


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 900), st.floats(-0.004, 0.004)), max_size=40
    )
)
@settings(max_examples=60, deadline=None)
def test_the_next_deadline_is_the_first_that_the_clock_says(
    fixes: list[tuple[int, int, float]],
) -> None:
    """One millisecond before it nothing happens, at it something does; None: nothing ever."""
    rules = Rules()
    zones = [square("raw", entry=EntryPolicy.RAW), square("slow", half=0.0005, pending_enters=True)]
    table = ZoneTable.compile(ZoneIndex.build(zones), lambda _: (60, 300), rules)
    state = LiveState()
    fixes.sort(key=lambda fix: fix[1])
    rows = [
        RecordedPing(f"d{who}", START_MS + 1000 * second, LAT, LNG + east, 20.0, "")
        for who, second, east in fixes
    ]
    for batch in batches(rows, lambda _: None, span_ms=10**9):
        pairs = table.index.query(lng=batch.lng, lat=batch.lat)
        advance(state, batch, pairs, table, rules).apply(state)
    now_ms = START_MS + 900_000
    settle(state, table, rules, now_ms).apply(state)
    for _ in range(20):
        due_ms = next_due_ms(state, table, rules)
        if due_ms is None:
            assert settle(state, table, rules, now_ms + 86_400_000).transitions == []
            return
        assert settle(state, table, rules, due_ms - 1).transitions == []
        step = settle(state, table, rules, due_ms)
        assert step.transitions != []
        step.apply(state)
    raise AssertionError("deadlines without end")


def test_batches_are_cut_where_the_time_changes() -> None:
    """Never between pings of one time, and never longer than asked."""
    rows = [RecordedPing("d", START_MS + 1000 * (at // 3), LAT, LNG, 5.0, "") for at in range(30)]
    found = list(batches(rows, lambda _: None, span_ms=3_000))
    assert [len(batch) for batch in found] == [12, 12, 6]
    assert [int(batch.ts[0]) for batch in found] == [START_MS, START_MS + 4_000, START_MS + 8_000]


# -- what is wrong -------------------------------------------------------------------------------


def test_bad_rows_are_counted_and_the_first_are_named(tmp_path: Path) -> None:
    """What no reader can read, what the wire refuses and what the engine refuses."""
    path = tmp_path / "a.csv"
    rows = [f"d,{START_MS / 1000 + at},{LAT},x" for at in range(30)]
    path.write_text(
        "\n".join(
            ["device,ts,lat,lng", f"d,{START_MS / 1000},95,24", "d,-5,60,24", "d,1,0,0",
             f"d,{START_MS / 1000},{LAT},{LNG}", *rows]
        )
    )  # fmt: skip
    seen: list[BadRow] = []
    summary = backtest(Recording(path), zones=ZONES, on_bad=seen.append)
    assert (summary.fed.pings, summary.fed.bad, len(seen)) == (1, 33, 33)
    assert len(summary.fed.bad_rows) == 20
    reasons = {row.place: row.reason for row in seen}
    assert reasons["device d, ts -5"].startswith("ts must be above 0")
    assert reasons["device d, ts 1"].startswith("latitude and longitude are both 0")
    assert reasons["device d, ts 1767261600"] == (
        "lat must be within -90 and 90, not 95.0; are lat and lng swapped?"
    )
    assert reasons["line 6"] == "lng is not a number: 'x'"
    assert summary.document()["recording"]["bad"] == 33


def test_all_that_is_wrong_with_campaigns_comes_at_once(walk: Path) -> None:
    """With their ids in front."""
    bad = [campaign("one", offer={"text": "{{"}), campaign("two", audiences=("none",))]
    with pytest.raises(InvalidCampaign, match=r"one\.offer.*two\.audiences\[0\]"):
        backtest(Recording(walk), zones=ZONES, campaigns=bad)


def test_a_file_without_pings_is_refused(tmp_path: Path) -> None:
    """A backtest of nothing would look like good news."""
    (tmp_path / "a.csv").write_text("device,ts,lat,lng\nd,x,60,24\n")
    with pytest.raises(InvalidInput, match=r"a\.csv: holds no pings: none of its 1 rows"):
        backtest(Recording(tmp_path / "a.csv"), zones=ZONES)


def test_files_of_another_run_are_not_replaced_unasked(walk: Path, tmp_path: Path) -> None:
    """Each that is there is named, before any work; nothing half-written stays."""
    (tmp_path / "decisions.csv").write_text("mine")
    with pytest.raises(InvalidInput, match=r"decisions\.csv: exists already"):
        backtest(Recording(walk), zones=ZONES, out=tmp_path)
    bad = [campaign("one", offer={"text": "{{"})]
    with pytest.raises(InvalidCampaign):
        backtest(Recording(walk), zones=ZONES, campaigns=bad, out=tmp_path, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["decisions.csv"]
    assert (tmp_path / "decisions.csv").read_text() == "mine"
    backtest(Recording(walk), zones=ZONES, out=tmp_path, overwrite=True)
    assert (tmp_path / "decisions.csv").read_text().startswith("time,campaign,gate")


# -- drafts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "as_active", "wanted"),
    [
        (Status.DRAFT, False, {}),
        (Status.DRAFT, True, {"fired": 1}),
        (Status.PAUSED, False, {"schedule": 1}),
        (Status.PAUSED, True, {"fired": 1}),
        (Status.ENDED, True, {}),
        (Status.ACTIVE, False, {"fired": 1}),
    ],
)
def test_drafts_speak_when_asked_to(
    tmp_path: Path, status: Status, as_active: bool, wanted: dict[str, int]
) -> None:
    """Drafts and paused campaigns count as active; an ended one stays ended."""
    summary = backtest(
        write(tmp_path / "a.csv", ("a", 0, 0.0), ("a", 60, 0.0)),
        zones=[square("shop")],
        campaigns=[campaign("hello", status=status)],
        as_active=as_active,
    )
    assert gates(summary, "hello") == wanted


def test_nothing_is_sent_and_nothing_stays(
    walk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The outbox stays empty, whatever fires; the scratch goes, also when something fails."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with rehearsal(zones=ZONES, campaigns=CAMPAIGNS) as stage:
        fed = stage.play(Recording(walk), Recording(walk).survey())
        assert stage.store.counts().decisions_fired > 0
        assert stage.store.outbox_size() == (0, None)
        assert fed.devices == 40
        assert list(tmp_path.iterdir())
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ZeroDivisionError):
        backtest(Recording(walk), zones=ZONES, on_progress=lambda _: 1 // 0)
    assert list(tmp_path.iterdir()) == []


def test_a_catalogue_that_is_compiled_already_plays_as_well(walk: Path, tmp_path: Path) -> None:
    """Same decisions; the scratch lies in the folder that was named, and goes."""
    recording, folder = Recording(walk), tmp_path / "a folder & more"
    folder.mkdir()
    with rehearsal(zones=ZONES, campaigns=CAMPAIGNS) as stage:
        stage.play(recording, recording.survey())
        expected, snapshot = list(stage.store.all_decisions()), stage.catalog.snapshot
    with staged(snapshot, folder=folder) as stage:
        stage.play(recording, recording.survey())
        assert expected == list(stage.store.all_decisions())
        assert list(folder.rglob("scratch.db"))
    assert len(expected) > 100
    assert not list(folder.iterdir())


def test_the_rules_of_the_caller_count(walk: Path) -> None:
    """Other figures of the entry rules give other entries."""
    usual = backtest(Recording(walk), zones=ZONES)
    strict = backtest(
        Recording(walk), zones=[replace(each, entry=EntryPolicy.CERTAIN) for each in ZONES]
    )
    coarse = backtest(Recording(walk), zones=ZONES, rules=Rules(deep_share=4.0, maybe_share=3.0))
    assert strict.kinds["enter"] < usual.kinds["enter"]
    assert coarse.kinds["enter"] < usual.kinds["enter"]
