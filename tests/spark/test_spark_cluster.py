"""On a real cluster: the answers are those of one machine."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pyspark.errors import PythonException, SparkRuntimeException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

import geotarget as gt
import geotarget.spark as gs
from geotarget.backtest import Summary
from geotarget.backtest import backtest as one_machine
from geotarget.errors import InvalidCampaign, InvalidIndexFile, InvalidInput, InvalidPing
from geotarget.model import Budget, Campaign, Status
from geotarget.recording import Recording
from geotarget.spark.lanes import Lane
from geotarget.spark.people import documents
from tests.conftest import REPOSITORY
from tests.spark.campaigning import (
    CAMPAIGNS,
    POLICY,
    REGULARS,
    branches,
    document,
    index,
    people,
)
from tests.spark.standalone import CORES, WORKERS, Standalone
from tests.spark.town import START_S, town, walkers

pytestmark = pytest.mark.e2e

PAGE = (REPOSITORY / "geotarget" / "docs" / "spark.md").read_text()


@pytest.fixture(scope="module")
def zones() -> gt.ZoneIndex:
    return town()


@pytest.fixture(scope="module")
def pings() -> pa.Table:
    return walkers(200, 150)


@pytest.fixture(scope="module")
def df(spark: SparkSession, pings: pa.Table, lake: Path) -> DataFrame:
    """The pings as a lake has them: in files, in no order."""
    for part in range(4):
        folder = lake / "walkers"
        folder.mkdir(exist_ok=True)
        rows = pings.filter(
            pc.equal(pc.bit_wise_and(pc.cast(pings["ts"], "int64", safe=False), 3), part)
        )
        pq.write_table(rows.sort_by("note"), folder / f"{part}.parquet")
    return spark.read.parquet(str(lake / "walkers"))


def ordered(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return rows in an order that depends on nothing but what they hold."""
    return rows.cast(schema).sort_by([(name, "ascending") for name in schema.names])


def nine_decimals(degrees: float) -> float:
    return float(Decimal(repr(degrees)).quantize(Decimal("1e-9"), ROUND_HALF_UP))


def test_matching_gives_what_one_machine_gives(
    df: DataFrame, zones: gt.ZoneIndex, pings: pa.Table
) -> None:
    """The same pairs, with all columns, with some, and with those who are nowhere."""
    expected = gt.match(pings, zones)
    text = expected.schema.set(6, pa.field("zone_id", pa.string()))
    found = gs.match(df, zones).toArrow()
    assert expected.num_rows > 10_000
    assert ordered(expected, text).equals(ordered(found, text))
    everyone = gt.match(pings, zones, keep="all", zone_column="ward").select(["note", "ward"])
    some = pa.schema([("note", pa.string()), ("ward", pa.string())])
    found = gs.match(df, zones, columns=["note"], keep="all", zone_column="ward").toArrow()
    assert everyone["ward"].null_count
    assert ordered(everyone, some).equals(ordered(found, some))


def test_distances_are_those_of_the_index(
    df: DataFrame, zones: gt.ZoneIndex, pings: pa.Table
) -> None:
    """Metres to the boundary, positive because all are inside; null where there is no zone."""
    rows = gs.match(df, zones, columns=["lng", "lat"], distance_column="m", keep="all").toArrow()
    assert rows["m"].null_count == rows["zone_id"].null_count > 0
    rows = rows.drop_null()
    at = [zones.position(each) for each in rows["zone_id"].to_pylist()]
    assert (
        rows["m"].to_pylist()
        == zones.signed_distance(lng=rows["lng"], lat=rows["lat"], zone=at).tolist()
    )
    assert pc.min(rows["m"]).as_py() >= 0


def test_transitions_are_those_of_one_machine(
    df: DataFrame, zones: gt.ZoneIndex, pings: pa.Table
) -> None:
    """Every column of every transition, ids included; with dwells, a clock, one policy."""
    for options in ({}, {"dwell_s": [60, 300], "until": START_S + 9_000.0}, {"policy": "raw"}):
        expected = gt.detect_transitions(pings, zones, **options)
        found = gs.detect(df, zones, **options).toArrow().cast(expected.schema)
        assert expected.num_rows > 500
        assert expected.sort_by("event").equals(found.sort_by("event"))


def test_columns_may_have_other_names_and_types(
    df: DataFrame, zones: gt.ZoneIndex, pings: pa.Table
) -> None:
    """Timestamps, decimals, numbers for ids, names with dots, no accuracy."""
    renamed = df.select(
        F.substring("device", 2, 9).cast("int").alias("phone.id"),
        F.timestamp_millis((F.col("ts") * 1000).cast("bigint")).alias("at"),
        F.col("lng").cast("decimal(12,9)").alias("x"),
        F.col("lat").cast("decimal(12,9)").alias("y"),
    )
    local = pa.table(
        {
            "device": [each[1:] for each in pings["device"].to_pylist()],
            "ts": pc.floor(pc.multiply(pings["ts"], 1000)).to_numpy() / 1000,
            "lng": [nine_decimals(each) for each in pings["lng"].to_pylist()],
            "lat": [nine_decimals(each) for each in pings["lat"].to_pylist()],
        }
    ).sort_by([(name, "ascending") for name in ("ts", "lng", "lat")])
    expected = gt.detect_transitions(local, zones)
    names = {"device": "phone.id", "ts": "at", "lng": "x", "lat": "y"}
    found = gs.detect(renamed, zones, **names, partitions=3).toArrow().cast(expected.schema)
    assert expected.num_rows > 300
    assert expected.sort_by("event").equals(found.sort_by("event"))
    rows = gs.match(renamed, zones, columns=["phone.id"], lng="x", lat="y")
    assert rows.count() == gt.match(local, zones).num_rows


def test_processes_of_an_executor_map_one_file(spark: SparkSession, zones: gt.ZoneIndex) -> None:
    """However many processes an executor has, they have one file in memory; it came once."""
    shipped = gs.ship(spark, zones)
    assert shipped == gs.ship(spark, zones)

    def who(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _ in batches:
            zones = shipped.open()
            lines = Path("/proc/self/maps").read_text().splitlines()
            mapped = {tuple(line.split()[3:]) for line in lines if shipped.name in line}
            names = [" ".join(each) for each in mapped]
            pid = [os.getpid()] * len(names)
            yield pa.RecordBatch.from_pydict({"pid": pid, "file": names, "zones": [len(zones)]})

    rows = spark.range(0, 16, 1, 16).mapInArrow(who, "pid long, file string, zones long")
    seen = {(each.pid, each.file) for each in rows.collect() if each.zones == len(zones)}
    processes = {pid for pid, _ in seen}
    assert len({file for _, file in seen}) <= WORKERS < len(processes) <= WORKERS * CORES
    assert len(seen) == len(processes)


def test_a_saved_index_does_as_well(
    df: DataFrame, zones: gt.ZoneIndex, pings: pa.Table, tmp_path: Path, spark: SparkSession
) -> None:
    """Its path stands for it; what is none is refused before anything is sent."""
    zones.save(tmp_path / "town.zones")
    expected = gt.match(pings, zones).num_rows
    assert gs.match(df, tmp_path / "town.zones", columns=[]).count() == expected
    (tmp_path / "wrong.zones").write_bytes(b"nothing")
    with pytest.raises(InvalidIndexFile, match=r"wrong\.zones"):
        gs.match(df, tmp_path / "wrong.zones")
    with pytest.raises(InvalidInput, match=r"must be a ZoneIndex.*\(list\)"):
        gs.match(df, [])  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match=r"ship\(\)"):
        gs.detect(df, gs.ship(spark, zones), policy="raw")
    with pytest.raises(InvalidPing, match="raw, eager, standard"):
        gs.detect(df, zones, policy="eagle")


def test_wrong_columns_are_told_before_a_job(df: DataFrame, zones: gt.ZoneIndex) -> None:
    """With what was found, and how to name others; types and names that are taken, too."""
    other = df.withColumnsRenamed({"lng": "lon", "ts": "time"})
    with pytest.raises(InvalidPing, match=r"no column 'lng'; .*lng= .*found: device, time, lon"):
        gs.match(other, zones)
    with pytest.raises(InvalidPing, match=r"no column 'ts'.*no column 'lng'; name yours with lng="):
        gs.detect(other, zones)
    with pytest.raises(InvalidPing, match=r"no column 'speed' \(found"):
        gs.match(df, zones, columns=["speed"])
    with pytest.raises(InvalidPing, match=r"'note' must hold numbers \(string\)"):
        gs.match(df, zones, lng="note")
    with pytest.raises(InvalidPing, match="'note' must hold timestamps or epoch seconds"):
        gs.detect(df, zones, ts="note")
    with pytest.raises(InvalidPing, match="has 2 columns 'lat'"):
        gs.match(df.select("*", "lat"), zones)
    with pytest.raises(InvalidInput, match="note: is a column of the pings already"):
        gs.match(df, zones, zone_column="note")


def test_rows_that_are_no_pings_stop_a_job_or_are_left_out(
    spark: SparkSession, df: DataFrame, zones: gt.ZoneIndex
) -> None:
    """Named with the way out; `is_ping` knows all of them."""
    rows = [
        ("a", 1.0, 24.9, 95.0),
        ("b", 2.0, None, 60.1),
        ("c", 3.0, float("nan"), 60.1),
        ("d", None, 24.9, 60.1),
        ("e", 1.7e12, 24.9, 60.1),
        (None, 5.0, 24.9, 60.1),
        ("f", 6.0, 24.9, 60.1),
    ]
    bad = spark.createDataFrame(rows, "device string, ts double, lng double, lat double")
    with pytest.raises(PythonException, match=r"latitude must be .*is_ping"):
        gs.match(bad.where("device = 'a'"), zones).count()
    with pytest.raises(PythonException, match=r"device: is missing; leave such rows out: "):
        gs.detect(bad.where("device is null"), zones, partitions=1).count()
    told = bad.select(
        "device",
        gs.is_ping(bad).alias("match"),
        gs.is_ping(bad, device="device", ts="ts").alias("detect"),
    ).collect()
    assert [(row.match, row.detect) for row in told] == [
        *[(False, False)] * 3,
        *[(True, False)] * 3,
        (True, True),
    ]
    good = bad.coalesce(1).where(gs.is_ping(bad, device="device", ts="ts"))
    assert gs.match(good, zones, keep="all").count() == 1
    assert gs.detect(good, zones, partitions=1).count() == 0


def test_real_buses_in_real_neighbourhoods(spark: SparkSession, shared_data: Path) -> None:
    """Austin's buses, with what is wrong with them: pairs and transitions as on one machine."""
    recorded = pd.read_csv(shared_data / "pings" / "austin_bus_2015-03-07_18.csv")
    recorded = recorded[["device", "ts", "lat", "lon"]].head(60_000)
    recorded = recorded.rename(columns={"lon": "lng"}).sort_values(["ts", "lng", "lat"])
    zones = gt.ZoneIndex.from_geojson(shared_data / "zones" / "austin_neighborhoods.geojson")
    df = spark.createDataFrame(pa.Table.from_pandas(recorded, preserve_index=False)).repartition(5)
    assert gs.match(df, zones, columns=["ts"]).count() == len(gt.match(recorded, zones)) > 10_000
    expected = gt.detect_transitions(recorded, zones)
    found = gs.detect(df, zones).toArrow().cast(expected.schema)
    assert expected.num_rows > 1_000
    assert expected.sort_by("event").equals(found.sort_by("event"))


@pytest.fixture(scope="module")
def some(df: DataFrame) -> DataFrame:
    """The pings of a hundred of them."""
    return df.where("length(device) < 4").drop("note")


def command(
    pings: pa.Table, folder: Path, campaigns: Sequence[Campaign]
) -> tuple[Summary, pa.Table]:
    """Return what the command says of campaigns: its summary, and its file of decisions."""
    folder.mkdir()
    mine = pings.filter(pc.less(pc.utf8_length(pings["device"]), 4)).drop(["note"])
    pq.write_table(mine, folder / "pings.parquet")
    summary = one_machine(
        Recording(folder / "pings.parquet"),
        zones=branches(),
        campaigns=campaigns,
        audiences=[REGULARS],
        profiles=people(100),
        policy=POLICY,
        out=folder,
        parquet=True,
    )
    return summary, pq.read_table(folder / "decisions.parquet").sort_by("id")


def test_campaigns_answer_what_they_answer_on_one_machine(
    spark: SparkSession, some: DataFrame, pings: pa.Table, lake: Path, cluster: Standalone
) -> None:
    """Every column of every decision, and the summary; of the scratch nothing is left."""
    summary, expected = command(pings, lake / "command", CAMPAIGNS)
    asked = {"audiences": [REGULARS], "profiles": people(100), "policy": POLICY, "partitions": 2}
    gs.backtest(some, index(), CAMPAIGNS, **asked).write.parquet(str(lake / "decisions"))
    decisions = spark.read.parquet(str(lake / "decisions"))
    found = decisions.drop("budget_day").toArrow().cast(expected.schema).sort_by("id")
    gates = {"schedule", "consent", "audience", "holdout", "cap", "arbitration", "fired"}
    assert {*expected["gate"].to_pylist()} == gates
    assert len({*expected["variant"].to_pylist()}) == 3
    assert expected.num_rows > 700
    assert expected.equals(found)
    assert not list(cluster.folder.rglob("scratch.db*"))
    told = gs.summarise(decisions, CAMPAIGNS)
    whole = summary.document()
    assert told.document() == {name: whole[name] for name in told.document()}
    assert told.reach > 30
    with pytest.raises(InvalidInput, match=r"campaigns: have decisions, too \(gold, two\)"):
        gs.summarise(decisions, [each for each in CAMPAIGNS if each.id not in ("gold", "two")])
    with pytest.raises(InvalidInput, match=r"has no column 'gate' \(found: time, campaign"):
        gs.summarise(decisions.drop("gate"), CAMPAIGNS)


def test_without_budgets_all_is_the_same_until_the_first_is_used_up(
    spark: SparkSession, some: DataFrame, pings: pa.Table, lake: Path
) -> None:
    """The instant is that of the first refusal on one machine; before it nothing differs."""
    budgets = {
        "hello": Budget(per_day=45, time_zone="Asia/Tokyo"),
        "stay": Budget("money", total=3_000_000, per_day=2_750_000),
        "bye": Budget(per_day=1_000),
        "two": Budget(total=30, per_day=22, pacing="even"),
    }
    spending = [
        replace(each, budget=budgets.get(each.id), starts="2026-01-01", ends="2026-01-03")
        for each in CAMPAIGNS
    ]
    _, expected = command(pings, lake / "spending", spending)
    known = pa.table({"value": [json.dumps(document(each)) for each in people(100)]})
    asked = {"audiences": [REGULARS], "profiles": spark.createDataFrame(known), "policy": POLICY}
    played = gs.backtest(some, index(), spending, **asked, budgets="ignore", partitions=2)
    played.write.parquet(str(lake / "unbounded"))
    decisions = spark.read.parquet(str(lake / "unbounded"))
    rows = gs.budgets(decisions, spending, index()).toArrow().to_pylist()
    assert {(each["campaign"], each["day"]) for each in rows} == {
        *((name, None) for name in budgets),
        *((name, "2026-01-01") for name in budgets),
    }
    used_up = {each["campaign"]: each["used_up"] for each in rows if each["used_up"]}
    assert "bye" not in used_up
    assert min(used_up.values()) < max(used_up.values())
    first = min(used_up, key=lambda name: used_up[name])
    refused = expected.filter(pc.field("gate") == "budget")
    assert used_up[first] == pc.min(refused["time"]).as_py()
    assert {first} == {*refused.filter(pc.field("time") == used_up[first])["campaign"].to_pylist()}
    columns = [name for name in expected.column_names if name != "passed"]  # it tells of budgets
    before = pc.field("time") < used_up[first]
    found = decisions.drop("budget_day").toArrow().cast(expected.schema).sort_by("id")
    assert expected.filter(before).num_rows > 150
    assert expected.filter(before).select(columns).equals(found.filter(before).select(columns))
    told = gs.summarise(decisions, spending).document()["campaigns"]
    spent = {each["campaign"]: (each["offers"], each["cost"]) for each in rows if each["day"]}
    assert spent == {
        each["id"]: (each["fired"], pytest.approx(each["cost"]))
        for each in told
        if each["id"] in budgets
    }


def test_what_no_task_can_know_is_refused(some: DataFrame) -> None:
    """Budgets and bandits, by name and with the way out; drafts that are silent are not asked."""
    two = next(each for each in CAMPAIGNS if each.id == "two")
    spending = [replace(two, budget=Budget(total=1)), replace(two, id="x", allocation="thompson")]
    with pytest.raises(InvalidCampaign) as told:
        gs.backtest(some, index(), spending, audiences=[REGULARS])
    assert [each.path for each in told.value.problems] == ["x.allocation", "two.budget"]
    assert "geotarget backtest" in str(told.value)
    assert "budgets='ignore'" in str(told.value)
    with pytest.raises(InvalidCampaign, match=r"x\.allocation: learns from all people"):
        gs.backtest(some, index(), spending, audiences=[REGULARS], budgets="ignore")
    silent = [replace(each, status=Status.DRAFT) for each in spending]
    assert gs.backtest(some, index(), silent, audiences=[REGULARS]).columns[-1] == "budget_day"
    with pytest.raises(InvalidCampaign, match=r"x\.allocation"):
        gs.backtest(some, index(), silent, audiences=[REGULARS], as_active=True)
    with pytest.raises(InvalidCampaign, match="no audience has this id"):
        gs.backtest(some, index(), [two])
    with pytest.raises(InvalidInput, match=r"must be refuse or ignore \(allow\)"):
        gs.backtest(some, index(), [], budgets="allow")
    with pytest.raises(InvalidPing, match="no column 'phone'"):
        gs.backtest(some, index(), [], device="phone")


def test_profiles_come_in_any_form(spark: SparkSession, some: DataFrame, tmp_path: Path) -> None:
    """Objects, a file, its lines, its members; what is wrong with them is told."""
    expected = {each.id: each for each in people(40)}
    lines = [json.dumps(document(each)) for each in expected.values()]
    (tmp_path / "people.ndjson").write_text("\n".join(lines) + "\n\n")
    file = str(tmp_path / "people.ndjson")
    kinds = (
        "id string, devices array<string>, consent map<string, boolean>,"
        " attributes struct<tier: string>, quiet_hours struct<from: string, to: string>"
    )
    forms = [expected.values(), file, spark.read.text(file), spark.read.schema(kinds).json(file)]
    for form in forms:
        rows = documents(spark, form).toArrow()
        lane = Lane(rows.select(["document"]).combine_chunks().to_batches())
        found = {each.id: each for each in lane.profiles()}
        if form is forms[-1]:
            tiers = {"tier": "gold"}, {"tier": "basic"}
            assert {**found["p1"].attributes} in tiers
            found = {key: replace(each, attributes=expected[key].attributes)
                     for key, each in found.items()}  # fmt: skip
        assert expected == found
        links = zip(rows["profile"].to_pylist(), rows["devices"].to_pylist(), strict=True)
        assert {name: tuple(each) for name, each in links} == {
            name: each.devices for name, each in expected.items()
        }
    with pytest.raises(InvalidInput, match=r"has no column 'id'.*'tier' is none of id, devices"):
        gs.backtest(some, index(), [], profiles=some.select(F.lit("gold").alias("tier")))
    text = spark.createDataFrame([("p", "{}")], "id string, attributes string")
    with pytest.raises(InvalidInput, match="'attributes' must hold structs or maps"):
        gs.backtest(some, index(), [], profiles=text)
    kinds = "id string, devices array<string>"
    both = spark.createDataFrame([("ann", ["w1"]), ("bob", ["w1", "w2"])], kinds)
    with pytest.raises(SparkRuntimeException, match="w1 belongs to two profiles: ann and bob"):
        gs.backtest(some, index(), [], profiles=both).count()
    twice = spark.createDataFrame([("ann", ["w1"]), ("ann", ["w2"])], kinds)
    with pytest.raises(PythonException, match=r"profiles: is the id of two profiles \(ann\)"):
        gs.backtest(some, index(), [], profiles=twice).count()


def test_the_page_can_be_typed_as_it_stands(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All Python of the page runs from top to bottom, with the files of other pages."""
    monkeypatch.chdir(tmp_path)
    analysts = (REPOSITORY / "geotarget" / "docs" / "analyst.md").read_text()
    found = re.search(r"cat > zones.geojson <<'END'\n(.*?)END\n", analysts, re.DOTALL)
    assert found is not None
    (tmp_path / "zones.geojson").write_text(found[1])
    at = datetime(2026, 1, 1, tzinfo=UTC)
    pings = {"device": ["a", "b"], "ts": [at] * 2, "lng": [24.935, 25.1], "lat": [60.165, 60.3]}
    pq.write_table(pa.table(pings), tmp_path / "pings.parquet")
    people = {"id": ["ann"], "devices": [["a", "c"]], "attributes": [{"tier": "gold"}]}
    pq.write_table(pa.table(people), tmp_path / "people.parquet")
    drafts = (REPOSITORY / "geotarget" / "docs" / "backtest.md").read_text()
    bun = re.search(r"```json\n(.*?)```", drafts, re.DOTALL)
    assert bun is not None
    (tmp_path / "bun.json").write_text(bun[1])
    python = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
    python = python.replace('parquet("', f'parquet("{tmp_path}/')  # Java does not follow chdir
    exec(compile(python, "spark.md", "exec"), {})
