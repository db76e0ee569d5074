"""What reports look like in JSON: results of campaigns, comparisons, foot traffic.

Money is in units of its currency, rates are shares (0.05 is 5 %), and null is what is not known or
is of too few people.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from geotarget.api.values import Page
from geotarget.insight import tables
from geotarget.insight.comparing import Comparison, People
from geotarget.insight.lift import Interval, Verdict
from geotarget.insight.results import CampaignResults, Cell
from geotarget.insight.traffic import Bin, Traffic
from geotarget.model import Status


class By(StrEnum):
    """What the rows of a campaign's report are by."""

    VARIANT = "variant"
    ZONE = "zone"
    DAY = "day"


class Between(BaseModel):
    """An interval of 95 % confidence; null is no bound."""

    low: float | None
    high: float | None

    @classmethod
    def of(cls, interval: Interval) -> Self:
        """Return what the API says about an interval."""
        return cls(low=tables.finite(interval.low), high=tables.finite(interval.high))


class Amount(BaseModel):
    """Money of one currency."""

    currency: str
    value: float = Field(description="In units of the currency.")


class Figures(BaseModel):
    """Figures of one variant, zone or day, or of all together."""

    key: str = Field(
        description="Id of the variant or zone, or date; empty for all together, and where no "
        "variant was chosen."
    )
    decisions: int = Field(description="Answers to transitions, whatever they were.")
    held_out: int = Field(description="Refused because the profile is held out for comparison.")
    eligible: int = Field(description="Got past trigger, schedule, consent, audience and holdout.")
    refused: dict[str, int] = Field(description="By the gate that refused.")
    fired: int = Field(description="Offers.")
    delivered: int = Field(description="Deliveries that receivers accepted, one an endpoint.")
    conversions: int | None = Field(
        description="That count for offers sent; null if of too few people."
    )
    conversion_rate: float | None = Field(description="Conversions an offer.")
    revenue: list[Amount] | None = Field(description="Of those conversions, by currency.")
    cost: float = Field(description="What the offers cost, in `currency`.")
    currency: str
    cost_per_conversion: float | None
    roi: float | None = Field(
        description="Revenue less cost, by cost. Null where nothing was paid or currencies differ."
    )

    @classmethod
    def of(cls, cell: Cell) -> Self:
        """Return what the API says about the figures of a cell."""
        return cls(
            key=cell.key,
            decisions=cell.decisions,
            held_out=cell.held_out,
            eligible=cell.eligible,
            refused=dict(cell.refused),
            fired=cell.fired,
            delivered=cell.delivered,
            conversions=cell.conversions,
            conversion_rate=cell.conversion_rate,
            revenue=None
            if cell.revenue is None
            else [
                Amount(currency=currency, value=amount / tables.MICROS)
                for currency, amount in cell.revenue.items()
            ],
            cost=cell.cost_micros / tables.MICROS,
            currency=cell.currency,
            cost_per_conversion=tables.in_units(cell.cost_per_conversion_micros),
            roi=cell.roi,
        )


class Group(BaseModel):
    """People of one group, each once."""

    people: int | None = Field(description="Who the audience let pass; null if too few.")
    converted: int | None = Field(description="With a conversion in time; null if too few.")
    rate: float | None
    spent: float | None = Field(description="A person, in the campaign's currency.")

    @classmethod
    def of(cls, people: People) -> Self:
        """Return what the API says about a group."""
        group, spending = people.group, people.spending
        return cls(
            people=people.people,
            converted=people.converted,
            rate=group.rate if group and group.people else None,
            spent=spending.mean if spending and spending.people else None,
        )


class LiftAnswer(BaseModel):
    """Treated people against those who were held out, over the campaign's whole life."""

    variant: str | None = Field(description="Whose people were treated; null: all.")
    treated: Group
    held_out: Group
    verdict: Verdict | None = Field(
        description="`gain`, `loss`, `same` (no difference seen) or `early` (too early to tell)."
    )
    sentence: str = Field(description="The same in words.")
    lift: float | None = Field(description="Relative difference of the rates: 0.2 is a fifth more.")
    lift_interval: Between | None
    difference: float | None = Field(description="Difference of the rates.")
    difference_interval: Between | None
    p_value: float | None = Field(description="Two-sided, of there being no difference.")
    more_people: int | None = Field(description="About how many more people it takes to tell.")
    more_conversions: int | None = Field(description="And how many more of them to convert.")
    extra: float | None = Field(description="People who converted and else would not have.")
    extra_interval: Between | None
    more_spent: float | None = Field(description="By how much more a treated person spent.")
    more_spent_interval: Between | None

    @classmethod
    def of(cls, found: Comparison) -> Self:
        """Return what the API says about a comparison."""
        lift, extra, spent = found.lift, found.extra, found.more_spent
        return cls(
            variant=found.variant,
            treated=Group.of(found.treated),
            held_out=Group.of(found.held_out),
            verdict=found.verdict,
            sentence=found.sentence,
            lift=tables.finite(lift.relative) if lift else None,
            lift_interval=Between.of(lift.relative_interval) if lift else None,
            difference=lift.difference if lift else None,
            difference_interval=Between.of(lift.difference_interval) if lift else None,
            p_value=lift.p_value if lift else None,
            more_people=lift.more_people if lift else None,
            more_conversions=lift.more_conversions if lift else None,
            extra=extra[0] if extra else None,
            extra_interval=Between.of(extra[1]) if extra else None,
            more_spent=spent[0] if spent else None,
            more_spent_interval=Between.of(spent[1]) if spent else None,
        )


class Step(BaseModel):
    """How many got so far."""

    step: str
    count: int | None


_FIGURES: dict[str, Any] = {
    "key": "",
    "decisions": 14_205,
    "held_out": 1_004,
    "eligible": 9_310,
    "refused": {"audience": 3_891, "cap": 310},
    "fired": 9_000,
    "delivered": 8_998,
    "conversions": 541,
    "conversion_rate": 0.0601,
    "revenue": [{"currency": "EUR", "value": 4_301.5}],
    "cost": 450.0,
    "currency": "EUR",
    "cost_per_conversion": 0.831793,
    "roi": 8.558889,
}
_LIFT: dict[str, Any] = {
    "variant": None,
    "treated": {"people": 9_000, "converted": 540, "rate": 0.06, "spent": 0.48},
    "held_out": {"people": 1_000, "converted": 40, "rate": 0.04, "spent": 0.31},
    "verdict": "gain",
    "sentence": "A clear gain: 6.0 % converted, 4.0 % of those held out. "
    "That is 50 % more (between 9.9 % more and 105 % more).",
    "lift": 0.5,
    "lift_interval": {"low": 0.099, "high": 1.05},
    "difference": 0.02,
    "difference_interval": {"low": 0.0055, "high": 0.032},
    "p_value": 0.0103,
    "more_people": 0,
    "more_conversions": 0,
    "extra": 180.0,
    "extra_interval": {"low": 49.5, "high": 288.0},
    "more_spent": 0.17,
    "more_spent_interval": {"low": 0.05, "high": 0.29},
}


class CampaignReport(BaseModel):
    """Results of a campaign."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "campaign": "bun",
                    "name": "A bun for 2 €",
                    "status": "active",
                    "first_day": None,
                    "last_day": None,
                    "by": None,
                    "total": _FIGURES,
                    "rows": [],
                    "funnel": [{"step": "entries", "count": 14_205}],
                    "comparison": _LIFT,
                    "variants": [],
                    "warnings": [],
                }
            ]
        }
    )

    campaign: str
    name: str
    status: Status
    first_day: date | None = Field(description="Of `total` and `rows`; null is the beginning.")
    last_day: date | None = Field(description="Of `total` and `rows`, included; null is today.")
    by: By | None
    total: Figures
    rows: list[Figures]
    funnel: list[Step] = Field(description="From entries to conversions.")
    comparison: LiftAnswer
    variants: list[LiftAnswer] = Field(description="Each variant against all held out.")
    warnings: list[str] = Field(description="What to beware of, in words.")

    @classmethod
    def of(cls, found: CampaignResults) -> Self:
        """Return what the API says about the results of a campaign."""
        total = found.total
        steps = [
            ("entries", total.decisions),
            ("eligible", total.eligible),
            ("fired", total.fired),
            ("delivered", total.delivered),
            ("converted", total.conversions),
        ]
        return cls(
            campaign=found.campaign.id,
            name=found.campaign.name,
            status=found.campaign.status,
            first_day=found.first_day,
            last_day=found.last_day,
            by=By(found.by) if found.by else None,
            total=Figures.of(total),
            rows=[Figures.of(each) for each in found.rows],
            funnel=[Step(step=step, count=count) for step, count in steps],
            comparison=LiftAnswer.of(found.comparison),
            variants=[LiftAnswer.of(each) for each in found.variants],
            warnings=list(found.warnings),
        )


class CampaignReportPage(Page[CampaignReport]):
    """Results of campaigns, by id, without rows."""


class BinAnswer(BaseModel):
    """Visits that fall into one bin."""

    key: str
    visits: int | None = Field(description="Null if they are of too few people.")


class DwellAnswer(BaseModel):
    """How long the visits lasted that ended in the range."""

    visits: int | None
    bins: list[BinAnswer] = Field(description="By seconds.")
    quantiles_s: dict[str, float | None] = Field(description="By share; rounded to 10 seconds.")


_BINS: list[Any] = [{"key": "0", "visits": 24}]


class ZoneReport(BaseModel):
    """Foot traffic of a zone."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "zone": "kamppi",
                    "time_zone": "Europe/Helsinki",
                    "first_day": "2026-11-01",
                    "last_day": "2026-11-30",
                    "visits": 4_120,
                    "visitors": 1_377,
                    "returning": 402,
                    "returning_share": 0.292,
                    "passes": 210,
                    "dwell": {
                        "visits": 4_118,
                        "bins": [{"key": "0-60", "visits": 310}],
                        "quantiles_s": {"0.5": 740.0},
                    },
                    "hours": _BINS,
                    "weekdays": [{"key": "mon", "visits": 610}],
                    "days": [{"key": "2026-11-01", "visits": 131}],
                    "hidden": False,
                }
            ]
        }
    )

    zone: str
    time_zone: str
    first_day: date
    last_day: date = Field(description="Included.")
    visits: int | None = Field(description="Entries in the range.")
    visitors: int | None = Field(description="Different people who made them.")
    returning: int | None = Field(description="Those who came on at least two of the days.")
    returning_share: float | None
    passes: int | None = Field(description="Crossed without a fix inside; no visits.")
    dwell: DwellAnswer
    hours: list[BinAnswer] = Field(description="Visits by the hour in which they began, local.")
    weekdays: list[BinAnswer]
    days: list[BinAnswer]
    hidden: bool = Field(description="Whether a count is not shown: it is of too few people.")

    @classmethod
    def of(cls, found: Traffic) -> Self:
        """Return what the API says about the traffic of a zone."""
        return cls(
            zone=found.zone,
            time_zone=found.time_zone,
            first_day=found.first_day,
            last_day=found.last_day,
            visits=found.visits,
            visitors=found.visitors,
            returning=found.returning,
            returning_share=found.returning_share,
            passes=found.passes,
            dwell=DwellAnswer(
                visits=found.dwell.visits,
                bins=_bins(found.dwell.bins),
                quantiles_s={f"{share:g}": at for share, at in found.dwell.quantiles.items()},
            ),
            hours=_bins(found.hours),
            weekdays=_bins(found.weekdays),
            days=_bins(found.days),
            hidden=found.hidden,
        )


def _bins(bins: Sequence[Bin]) -> list[BinAnswer]:
    return [BinAnswer(key=each.key, visits=each.visits) for each in bins]
