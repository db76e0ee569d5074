"""What campaigns would have done over a data lake of pings: the backtest of the command, on Spark.

What gates remember belongs to a profile, so people don't influence each other, but by what all of
them spend or teach. Spark brings the pings of all devices of a profile to one partition and sorts
that by time; a task plays it to the pipeline of every day, in a scratch database of its own, and
gives the decisions. A budget is spent by everybody, and a bandit learns from everybody: neither can
be known in a part, so both are refused, or budgets left out where that is asked for (`budgets`).

Costs: a shuffle of the pings (two with profiles), and what the command takes. A task begins with a
tenth of a second, holds 150 MB of scratch on disk and 350 bytes in memory for each device, and
takes 2 to 5 ms for every minute in which something was recorded: few large partitions are better
than many small ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import DataFrame
from pyspark.sql.types import (
    DataType,
    DoubleType,
    NumericType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from geotarget.backtest import Fed, Rehearsal, staged
from geotarget.backtest.files import DECISIONS
from geotarget.engine import Rules, ZoneIndex
from geotarget.model import Decision, Policy
from geotarget.recording import RecordedPing
from geotarget.spark.columns import check_columns, named
from geotarget.spark.drafting import REFUSE, Audiences, Campaigns, Drafts, checked
from geotarget.spark.kernels import executor_folder, first_alone
from geotarget.spark.lanes import Lane, in_lanes
from geotarget.spark.people import Profiles, documents, with_keys
from geotarget.spark.shipping import ShippedIndex, Zones, opened, ship
from geotarget.targeting.budget import budget_day

ROWS_AT_ONCE = 10_000
"""Decisions of one Arrow batch."""

_BUDGET_DAY = "budget_day"
_INSTANT = pa.timestamp("us", tz="UTC")  # the only one that Spark knows
_KINDS: Mapping[pa.DataType, DataType] = {
    _INSTANT: TimestampType(),
    pa.string(): StringType(),
    pa.float64(): DoubleType(),
}
_OUT = pa.schema(
    [
        *((name, _INSTANT if pa.types.is_timestamp(kind) else kind) for name, kind, _ in DECISIONS),
        (_BUDGET_DAY, pa.string()),
    ]
)
ANSWERS = StructType([StructField(each.name, _KINDS[each.type]) for each in _OUT])
"""What a DataFrame of decisions holds: the columns of the command's file, then ``budget_day``."""


@dataclass(frozen=True)
class Player:
    """Plays the Arrow batches of a partition to the pipeline; called by Spark."""

    zones: Zones
    drafts: Drafts

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the decisions; batches are as `in_lanes` orders them."""
        lane = Lane(batches)
        if lane.is_empty:
            return
        drafts = self.drafts
        with staged(
            drafts.snapshot(opened(self.zones)),
            profiles=lane.profiles(),
            rules=drafts.rules,
            policy=drafts.policy,
            folder=None if TaskContext.get() is None else executor_folder().absolute(),
        ) as stage:
            _play(stage, lane.pings())
            made = stage.store.all_decisions()
            while some := list(islice(made, ROWS_AT_ONCE)):
                yield self._rows(some)

    def _rows(self, made: Sequence[Decision]) -> pa.RecordBatch:
        columns = [pa.array(map(make, made), kind) for _, kind, make in DECISIONS]
        columns.append(pa.array(map(self._budget_day, made), pa.string()))
        fitting = (column.cast(each.type) for column, each in zip(columns, _OUT, strict=True))
        return pa.RecordBatch.from_arrays(list(fitting), schema=_OUT)

    def _budget_day(self, made: Decision) -> str:
        whose = self.drafts.budgets.get(made.campaign)
        return "" if whose is None or not made.fired else budget_day(whose, made.decided_ms)


def _play(stage: Rehearsal, pings: Iterator[RecordedPing]) -> None:
    first = next(pings, None)
    if first is None:
        return
    fed = Fed("", first.ts_ms, first.ts_ms, in_order=True)
    batches = stage.work_off(chain([first], pings), fed, on_bad=fed.note_bad)
    with first_alone("backtest"):
        next(batches, None)
    for _ in batches:
        pass


def backtest(
    df: DataFrame,
    zones: ZoneIndex | ShippedIndex | str | Path,
    campaigns: Campaigns,
    *,
    audiences: Audiences = (),
    profiles: Profiles | None = None,
    rules: Rules | None = None,
    policy: Policy | None = None,
    as_active: bool = False,
    budgets: str = REFUSE,
    device: str = "device",
    ts: str = "ts",
    lng: str = "lng",
    lat: str = "lat",
    acc: str | None = None,
    id: str | None = None,
    partitions: int | None = None,
) -> DataFrame:
    """Return what campaigns would have answered to recorded pings, one row a decision.

    The rows, ids included, are those of ``decisions`` that `geotarget backtest` writes for the same
    pings, in no particular order. Only where two phones of one profile act within one minute, one
    of them by the clock alone (a stay got long enough, and no ping came), may the order in which
    their transitions are answered be another; and where a device has several pings of one time, as
    `detect` says.

    Parameters
    ----------
    df
        Pings, in any order. As live, a fix at 0, 0 counts only where a zone is.
    zones
        The zones: an index, the file of a saved one on the driver, or what `ship` returned. Zones
        that are not active are left out; of what was shipped they must have been.
    campaigns, audiences
        As they would be put, or a file of them on the driver, as the command takes it. Endpoints
        need not exist.
    profiles
        What is known of people: None, a file on the driver, `Profile` objects, or a DataFrame. That
        has columns ``id``, ``devices`` (an array), and as structs or maps ``attributes``,
        ``consent``, ``external_ids``, ``quiet_hours``, of which only ``id`` must be there; or one
        column ``value`` with a JSON document of these a row, as ``spark.read.text`` gives it.
    rules, policy
        Figures of the entry rules, and what the operator sets for all campaigns; the defaults if
        None.
    as_active
        Treat campaigns that are drafts or paused as active.
    budgets
        ``"refuse"``: campaigns with a budget are an error, for all people spend it together.
        ``"ignore"``: they are played as if they had none; `budgets` says when each would have been
        used up.
    device, ts, lng, lat
        Names of the columns. `ts` holds timestamps or epoch seconds.
    acc, id
        Names of the columns with accuracies in metres, and with what tells a ping from its
        repetition; ``"acc"`` and ``"id"``, if there are such columns, if None.
    partitions
        Into how many parts people are shuffled, each of which is one task; as Spark is set if None.

    Returns
    -------
    pyspark.sql.DataFrame
        With the columns of `ANSWERS`; lazy, as all of Spark: write it before it is asked twice.

    Raises
    ------
    InvalidPing
        A column is missing (names what was found), or holds something else. In the job, when it
        runs: a value is missing or out of range; see `is_ping`.
    InvalidCampaign, InvalidAudience, InvalidInput
        With all that is wrong with drafts or profiles; or a campaign has a budget, or an allocation
        that learns, and what can be done instead. In the job: a profile is none, two have one id,
        or a device has two profiles.
    """
    chosen = {"device": device, "ts": ts, "lng": lng, "lat": lat}
    chosen |= {"acc": acc or "acc"} if acc is not None or "acc" in df.columns else {}
    chosen |= {"id": id or "id"} if id is not None or "id" in df.columns else {}
    check_columns(df, chosen)
    drafts = checked(
        campaigns, audiences, rules=rules, policy=policy, as_active=as_active, budgets=budgets
    )
    people = None if profiles is None else documents(df.sparkSession, profiles)
    if not isinstance(zones, ShippedIndex):
        zones = ship(df.sparkSession, _active(zones))
    is_number = isinstance(df.schema[ts].dataType, NumericType)
    casts = {"device": "string", "id": "string", "lng": "double", "lat": "double", "acc": "double"}
    casts |= {"ts": "double"} if is_number else {}
    pings = df.select(
        *(
            (named(name).cast(casts[meaning]) if meaning in casts else named(name)).alias(meaning)
            for meaning, name in chosen.items()
        )
    )
    pings = pings.withColumn("key", pings["device"]) if people is None else with_keys(pings, people)
    names = ["key", *chosen]
    rows = in_lanes(pings.select(*names), people, partitions)
    return rows.mapInArrow(Player(zones, drafts), ANSWERS)


def _active(zones: ZoneIndex | str | Path) -> ZoneIndex:
    if isinstance(zones, str | Path):
        zones = ZoneIndex.load(zones)
    if not isinstance(zones, ZoneIndex):
        return zones  # refused by `ship`
    silent = [zone.id for zone in zones.zones if not zone.active]
    return zones.with_changes(remove=silent) if silent else zones
