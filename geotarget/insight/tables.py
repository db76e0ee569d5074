"""Reports as tables: the columns and rows that their CSV has.

One row for each campaign, variant, zone or day. Columns are always the same, whatever is asked for,
so that files of different days can be put under each other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from geotarget.insight.comparing import Comparison
from geotarget.insight.csv_tables import Value
from geotarget.insight.results import BEFORE_AUDIENCE, CampaignResults, Cell
from geotarget.insight.traffic import Traffic

MICROS = 1_000_000
REFUSING = (*sorted(BEFORE_AUDIENCE), "cap", "budget", "arbitration", "variant", "content")

RESULTS = (
    "campaign", "name", "status", "by", "key",
    "decisions", "held_out", "eligible", "fired", "delivered",
    "conversions", "conversion_rate", "revenue", "other_revenue", "cost", "currency",
    "cost_per_conversion", "roi",
    "people", "converted", "people_held_out", "converted_held_out",
    "lift", "lift_low", "lift_high", "p_value", "verdict", "sentence",
    *(f"refused_by_{gate}" for gate in REFUSING),
)  # fmt: skip
TRAFFIC = ("zone", "figure", "key", "value")


def results_rows(results: CampaignResults) -> Iterable[Sequence[Value]]:
    """Return the rows of a campaign's results, or its total where they are by nothing."""
    if not results.by:
        return [_row(results, "", results.total, results.comparison)]
    compared = {each.variant: each for each in results.variants} if results.by == "variant" else {}
    return [_row(results, cell.key, cell, compared.get(cell.key)) for cell in results.rows]


def traffic_rows(traffic: Traffic) -> Iterable[Sequence[Value]]:
    """Return the figures of a zone, one a row."""
    totals: list[tuple[str, Value]] = [
        ("visits", traffic.visits),
        ("visitors", traffic.visitors),
        ("returning", traffic.returning),
        ("returning_share", traffic.returning_share),
        ("passes", traffic.passes),
        ("visits_ended", traffic.dwell.visits),
    ]
    rows: list[Sequence[Value]] = [(traffic.zone, name, "", value) for name, value in totals]
    rows += [
        (traffic.zone, "dwell_s", f"{share:g}", value)
        for share, value in traffic.dwell.quantiles.items()
    ]
    for name, bins in (
        ("visits_by_dwell_s", traffic.dwell.bins),
        ("visits_by_hour", traffic.hours),
        ("visits_by_weekday", traffic.weekdays),
        ("visits_by_day", traffic.days),
    ):
        rows += [(traffic.zone, name, each.key, each.visits) for each in bins]
    return rows


def in_units(micros: int | None) -> float | None:
    """Return an amount in units of its currency."""
    return None if micros is None else micros / MICROS


def finite(value: float) -> float | None:
    """Return a number, None where it is not one or has no bound."""
    return value if math.isfinite(value) else None


def _row(results: CampaignResults, key: str, cell: Cell, found: Comparison | None) -> list[Value]:
    campaign = results.campaign
    own, other = None, None
    if cell.revenue is not None:
        own = cell.revenue.get(campaign.currency, 0)
        other = "; ".join(
            f"{currency} {amount / MICROS:g}"
            for currency, amount in cell.revenue.items()
            if currency != campaign.currency
        )
    refused = [cell.refused.get(gate, 0) for gate in REFUSING]
    return [
        *(campaign.id, campaign.name, campaign.status.value, results.by, key),
        *(cell.decisions, cell.held_out, cell.eligible, cell.fired, cell.delivered),
        *(cell.conversions, cell.conversion_rate, in_units(own), other),
        *(in_units(cell.cost_micros), campaign.currency),
        *(in_units(cell.cost_per_conversion_micros), cell.roi),
        *_compared(found),
        *refused,
    ]


def _compared(found: Comparison | None) -> list[Value]:
    """Return the columns of a comparison; empty ones where there is none."""
    if found is None:
        return [None] * 10
    people = (found.treated, found.held_out)
    counts = [count for each in people for count in (each.people, each.converted)]
    lift: list[Value] = [None] * 4
    if found.lift is not None:
        between = found.lift.relative_interval
        lift = [finite(found.lift.relative), finite(between.low), finite(between.high)]
        lift.append(found.lift.p_value)
    verdict = None if found.verdict is None else found.verdict.value
    return [*counts, *lift, verdict, found.sentence]
