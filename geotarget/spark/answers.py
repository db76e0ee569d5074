"""What the decisions of a campaign backtest come to: counts, people, money, and budgets.

Counts are aggregations by Spark, and what it collects is as large as what is shown. Budgets are
asked in the order of time by the gate that asks them live, one task a campaign, 10 µs an offer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - everybody's name for it

from geotarget.backtest import Answers, CampaignResult, as_if_active
from geotarget.backtest.summary import MICROS, ORDER
from geotarget.engine import ZoneIndex
from geotarget.errors import InvalidInput, Problem
from geotarget.model import Campaign, Spent
from geotarget.snapshot import ZonesById
from geotarget.spark.drafting import Campaigns, listed
from geotarget.spark.shipping import ShippedIndex, Zones, opened, ship
from geotarget.targeting.budget import MONEY, budget_day, refuse
from geotarget.targeting.decide import FIRED
from geotarget.targeting.ledger import Ledger

_COUNTED = ("campaign", "gate", "profile", "zone", "variant", "cost", "day", "budget_day")
_SPENT = ("campaign", "gate", "time", "id", "zone", "cost")


def _micros() -> Column:
    """Return costs as the whole numbers that they were."""
    return F.round(F.col("cost") * MICROS).cast("bigint").alias("micros")


def summarise(decisions: DataFrame, campaigns: Campaigns, *, as_active: bool = False) -> Answers:
    """Return what campaigns came to: decisions by gate, people, offers and cost.

    What `geotarget backtest` says of campaigns in its summary. Three jobs over the decisions.

    Parameters
    ----------
    decisions
        What `backtest` returned, or better what was written of it.
    campaigns, as_active
        As they were given to `backtest`.

    Raises
    ------
    InvalidInput
        A column is missing, or there are decisions of another campaign.
    """
    _check(decisions, _COUNTED)
    drafts = sorted(listed(campaigns), key=lambda each: each.id)
    if as_active:
        drafts = [as_if_active(each) for each in drafts]
    found = {
        each.id: CampaignResult(each.id, each.name, each.status.value, each.currency)
        for each in drafts
    }
    gates = decisions.groupBy("campaign", "gate").agg(F.count("*"), F.countDistinct("profile"))
    rows = gates.collect()
    other = sorted({name for name, *_ in rows if name not in found})
    if other:
        raise InvalidInput(Problem("campaigns", ", ".join(other)[:80], "have decisions, too"))
    for name, gate, count, people in sorted(rows, key=lambda row: ORDER.index(row[1])):
        result = found[name]
        result.gates[gate] = count
        if gate == FIRED:
            result.reach = people
        if gate == "holdout":
            result.held_out_people = people
    fired = decisions.where(F.col("gate") == FIRED)
    _count_offers(fired, found)
    each_got = fired.groupBy("profile").count().groupBy("count").agg(F.count("*"))
    offers_per_person = {offers: people for offers, people in sorted(each_got.collect())}  # noqa: C416 - rows are no pairs
    return Answers(tuple(found.values()), offers_per_person)


def _count_offers(fired: DataFrame, found: Mapping[str, CampaignResult]) -> None:
    day = F.when(F.coalesce("budget_day", F.lit("")) != "", F.col("budget_day"))
    values = {
        "zone": F.col("zone"),
        "variant": F.coalesce("variant", F.lit("")),
        "day": F.coalesce(day, F.col("day")),
    }
    parts = F.array(
        *(F.struct(F.lit(name).alias("by"), each.alias("value")) for name, each in values.items())
    )
    rows = fired.select("campaign", _micros(), F.explode(parts).alias("part"))
    counts = rows.groupBy("campaign", "part.by", "part.value").agg(F.count("*"), F.sum("micros"))
    for name, by, value, count, micros in counts.collect():
        result = found[name]
        if by == "day":
            result.days[value] = count, micros
        elif by == "zone":
            result.zones[value] = count
        else:
            result.variants[value] = count


# -- budgets --------------------------------------------------------------------------------


_COLUMNS: list[tuple[str, pa.DataType]] = [
    ("campaign", pa.string()),
    ("day", pa.string()),
    ("in", pa.string()),
    ("bound", pa.float64()),
    ("offers", pa.int64()),
    ("cost", pa.float64()),
    ("used_up", pa.timestamp("us", tz="UTC")),
    ("reason", pa.string()),
]
BUDGETS = pa.schema(_COLUMNS)
"""What a table of budgets holds."""

_DDL = (
    "campaign string, day string, `in` string, bound double, offers bigint, cost double,"
    " used_up timestamp, reason string"
)


def budgets(
    decisions: DataFrame, campaigns: Campaigns, zones: ZoneIndex | ShippedIndex | str | Path
) -> DataFrame:
    """Return what campaigns that were played without their budgets would have spent of them.

    One row a campaign and day of its budget, and one with no day for all days together. ``used_up``
    is when the first offer went out that the budget would have refused, ``reason`` what it would
    have said (even pacing refuses as well); null where it held. Up to the first such instant of all
    campaigns everything is as it would have been; afterwards who was refused would have been free
    for other offers, so later figures are an estimate.

    Parameters
    ----------
    decisions
        What `backtest` returned, or better what was written of it.
    campaigns, zones
        As they were given to `backtest`.

    Returns
    -------
    pyspark.sql.DataFrame
        ``campaign, day, in, bound, offers, cost, used_up, reason``; ``in`` is ``offers`` or
        ``money``, ``bound`` is in that unit and null where there is none.

    Raises
    ------
    InvalidInput
        A column is missing.
    """
    _check(decisions, _SPENT)
    having = {each.id: each for each in listed(campaigns) if each.budget is not None}
    if not isinstance(zones, ShippedIndex):
        zones = ship(decisions.sparkSession, zones)
    fired = decisions.where((F.col("gate") == FIRED) & F.col("campaign").isin(list(having)))
    offers = fired.select("campaign", "id", "zone", "time", _micros())
    offers = offers.repartition("campaign").sortWithinPartitions("campaign", "time", "id")
    return offers.mapInArrow(Accountant(zones, having), _DDL)


@dataclass(slots=True)
class _Bound:
    """One bound of a budget, over one day or all of them."""

    campaign: Campaign
    day: str | None
    ledger: Ledger = field(default_factory=Ledger)
    used_up_ms: int | None = None
    reason: str | None = None

    @property
    def bound(self) -> int | None:
        """What it is; None if there is none."""
        budget = self.campaign.budget
        assert budget is not None
        return budget.total if self.day is None else budget.per_day

    def take(self, at_ms: int, cost_micros: int, time_zone: str) -> None:
        """Ask it for an offer, and let that go out whatever it says."""
        campaign = self.campaign
        if self.used_up_ms is None and self.bound is not None:
            refusal = refuse(
                campaign,
                self.ledger,
                at_ms=at_ms,
                cost_micros=cost_micros,
                time_zone=time_zone,
                seen={},
            )
            if refusal is not None:
                self.used_up_ms, self.reason = at_ms, refusal.reason
        key = campaign.id, self.day or ""
        before = self.ledger.spent.get(key, Spent())
        self.ledger.spent[key] = Spent(before.offers + 1, before.cost_micros + cost_micros)

    def row(self) -> dict[str, object]:
        """Return what it came to."""
        budget = self.campaign.budget
        assert budget is not None
        spent = self.ledger.spent[self.campaign.id, self.day or ""]
        units = MICROS if budget.unit == MONEY else 1
        return {
            "campaign": self.campaign.id,
            "day": self.day,
            "in": budget.unit,
            "bound": None if self.bound is None else self.bound / units,
            "offers": spent.offers,
            "cost": spent.cost_micros / MICROS,
            "used_up": None if self.used_up_ms is None else self.used_up_ms * 1000,
            "reason": self.reason,
        }


def _bound(campaign: Campaign, day: str | None) -> _Bound:
    assert campaign.budget is not None
    if day is None:
        budget = replace(campaign.budget, per_day=None)
    else:
        budget = replace(campaign.budget, total=None)
    return _Bound(replace(campaign, budget=budget), day)


@dataclass(frozen=True)
class Accountant:
    """Asks budgets for the offers of a partition; called by Spark."""

    zones: Zones
    campaigns: Mapping[str, Campaign]

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield rows of `BUDGETS`; offers come by campaign and time."""
        known = ZonesById(opened(self.zones))

        @lru_cache(maxsize=100_000)
        def time_zone(zone: str) -> str:
            return known[zone].time_zone

        whole: _Bound | None = None
        daily: _Bound | None = None
        for batch in batches:
            done: list[_Bound] = []
            micros = batch.column("time").cast(pa.int64()).to_pylist()
            names = ("campaign", "zone", "micros")
            columns = (batch.column(name).to_pylist() for name in names)
            for at, name, zone, cost in zip(micros, *columns, strict=True):
                campaign, at_ms = self.campaigns[name], at // 1000
                if whole is None or whole.campaign.id != name:
                    done += [each for each in (daily, whole) if each is not None]
                    whole, daily = _bound(campaign, None), None
                day = budget_day(campaign, at_ms)
                if daily is None or daily.day != day:
                    done += [] if daily is None else [daily]
                    daily = _bound(campaign, day)
                for each in (whole, daily):
                    each.take(at_ms, cost, time_zone(zone))
            yield _table(done)
        yield _table([each for each in (daily, whole) if each is not None])


def _table(done: Iterable[_Bound]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([each.row() for each in done], schema=BUDGETS)


def _check(decisions: DataFrame, wanted: Iterable[str]) -> None:
    found = f"found: {', '.join(decisions.columns)}"
    missing = [Problem("decisions", found, f"has no column {name!r}")
               for name in wanted if name not in decisions.columns]  # fmt: skip
    if missing:
        raise InvalidInput(*missing)
