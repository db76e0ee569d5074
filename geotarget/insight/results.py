"""Results of a campaign: what it decided, what was delivered, and what came of it.

Two measures stand beside each other and are not the same. *Attributed* conversions belong to one
decision, have a zone, a variant and a day, and a price; some of those people would have bought
anyway. The *lift* compares everybody whom the audience let pass, once each, with those of them who
were held out by lot, over the whole life of the campaign: only this says what the campaign changed.

Counts of people, and of what they did, are hidden when they are of too few (`small_counts`); counts
of what geotarget did (decisions, deliveries, costs) are not. All else is computed from what is
shown. A report costs some five queries over kept counts, and reads each profile that converted.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

from geotarget.insight import sentences
from geotarget.insight.comparing import Comparison, comparisons
from geotarget.insight.small_counts import show_events
from geotarget.model import Campaign
from geotarget.store import Store
from geotarget.store.results import DELIVERED, ConversionRow, TallyRow

BY = ("variant", "zone", "day")
FIRED, HOLDOUT = "fired", "holdout"
BEFORE_AUDIENCE = frozenset({"trigger", "schedule", "consent", "audience"})
"""Gates up to the audience: who got past them is eligible."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Figures of one variant, zone or day, or of all together.

    Parameters
    ----------
    key
        Id of variant or zone, ISO date; empty in all, and where no variant was chosen.
    decisions, held_out, eligible, fired, delivered
        Decisions; those that refused because the profile is held out; those that the audience let
        pass and that were not held out; offers; accepted deliveries (one an endpoint).
    refused
        Decisions by the gate that refused, held-out ones left out.
    conversions
        Those that count for offers that were sent; None where they are of too few people.
    revenue
        Their worth by currency, micros; None where conversions are.
    cost_micros
        What the offers cost, in the campaign's currency.
    """

    key: str
    decisions: int
    held_out: int
    eligible: int
    refused: Mapping[str, int]
    fired: int
    delivered: int
    cost_micros: int
    conversions: int | None
    revenue: Mapping[str, int] | None
    currency: str

    @property
    def conversion_rate(self) -> float | None:
        """Conversions an offer."""
        return (
            self.conversions / self.fired if self.fired and self.conversions is not None else None
        )

    @property
    def cost_per_conversion_micros(self) -> int | None:
        """What a conversion cost."""
        return round(self.cost_micros / self.conversions) if self.conversions else None

    @property
    def roi(self) -> float | None:
        """Revenue less cost, by cost; None where nothing was paid or currencies differ."""
        if self.revenue is None or not self.cost_micros or set(self.revenue) - {self.currency}:
            return None
        return self.revenue.get(self.currency, 0) / self.cost_micros - 1


@dataclass(frozen=True, slots=True)
class CampaignResults:
    """All results of a campaign.

    Parameters
    ----------
    first_day, last_day
        Range of `total` and `rows`, dates in the zones' own time zones, both included; None is no
        bound. `comparison` and `variants` are of the campaign's whole life.
    by
        What `rows` are by; empty: there are none.
    """

    campaign: Campaign
    first_day: date | None
    last_day: date | None
    by: str
    total: Cell
    rows: tuple[Cell, ...]
    comparison: Comparison
    variants: tuple[Comparison, ...]
    warnings: tuple[str, ...]


def campaign_results(
    store: Store,
    campaign: Campaign,
    *,
    minimum: int,
    by: str = "",
    first_day: date | None = None,
    last_day: date | None = None,
) -> CampaignResults:
    """Return the results of a campaign.

    Parameters
    ----------
    minimum
        Counts of fewer people are not shown.
    by
        One of `BY`, or empty.
    first_day, last_day
        Days of the decisions, both included.

    """
    between = {
        "from_day": None if first_day is None else first_day.isoformat(),
        "to_day": None if last_day is None else last_day.isoformat(),
    }
    total, rows = cells(
        store.tallies(campaign.id, **between),
        [row for row in store.conversion_totals(campaign.id, **between) if not row.held_out],
        store.converted(campaign.id, by=by, **between),
        by=by,
        currency=campaign.currency,
        minimum=minimum,
    )
    comparison, variants = comparisons(store.exposures(campaign.id), minimum=minimum)
    named = store.named_conversions(campaign.id)
    found = sentences.warnings(
        held_out=comparison.held_out.people != 0,
        conversions=named.conversions,
        by_decision=named.by_decision,
        refused_by_budget=total.refused.get("budget", 0),
        eligible=total.eligible,
        currencies=tuple(total.revenue or ()),
        currency=campaign.currency,
        adaptive=campaign.allocation == "thompson" and len(campaign.variants) > 1,
    )
    hides = any(each.conversions is None for each in (total, *rows))
    if hides or any(each.hides for each in (comparison, *variants)):
        found.append(sentences.hidden_counts(minimum))
    return CampaignResults(
        campaign=campaign,
        first_day=first_day,
        last_day=last_day,
        by=by,
        total=total,
        rows=rows,
        comparison=comparison,
        variants=variants,
        warnings=tuple(found),
    )


# -- what was decided, and what is attributed ------------------------------------------------


def cells(
    tallies: Iterable[TallyRow],
    conversions: Iterable[ConversionRow],
    people: Mapping[str, set[str]],
    *,
    by: str,
    currency: str,
    minimum: int,
) -> tuple[Cell, tuple[Cell, ...]]:
    """Return the figures of all together, and those of each variant, zone or day.

    Parameters
    ----------
    tallies, conversions
        Of one campaign; conversions without those of people who were held out.
    people
        Who they are, by variant, zone or day.
    by
        One of `BY`; empty: all together only.
    currency
        Of the costs.
    minimum
        Counts of fewer people are not shown.
    """
    sums: defaultdict[str, _Sum] = defaultdict(_Sum)
    for tally in tallies:
        one = sums[getattr(tally, by) if by else ""]
        one.gates[tally.gate] += tally.count
        one.cost_micros += tally.cost_micros
    for row in conversions:
        one = sums[getattr(row, by) if by else ""]
        one.conversions += row.conversions
        if row.value_micros:
            one.revenue[row.currency] += row.value_micros
    found = sorted(sums.items())
    shown = show_events(
        [one.conversions for _, one in found], [people.get(key, ()) for key, _ in found], minimum
    )
    everything = _Sum()
    for _, one in found:
        everything.add(one)
    total = everything.cell("", shown.total, currency)
    if not by:
        return total, ()
    return total, tuple(
        one.cell(key, count, currency) for (key, one), count in zip(found, shown.parts, strict=True)
    )


@dataclass(slots=True)
class _Sum:
    """What adds up, before anything is hidden."""

    gates: Counter[str] = field(default_factory=Counter)
    cost_micros: int = 0
    conversions: int = 0
    revenue: Counter[str] = field(default_factory=Counter)

    def add(self, other: _Sum) -> None:
        """Add another one to this."""
        self.gates.update(other.gates)
        self.cost_micros += other.cost_micros
        self.conversions += other.conversions
        self.revenue.update(other.revenue)

    def cell(self, key: str, conversions: int | None, currency: str) -> Cell:
        """Return the figures; those of conversions only where their count is shown."""
        refused = {
            gate: count
            for gate, count in sorted(self.gates.items())
            if gate not in {DELIVERED, FIRED, HOLDOUT}
        }
        fired, held_out = self.gates[FIRED], self.gates[HOLDOUT]
        late = sum(count for gate, count in refused.items() if gate not in BEFORE_AUDIENCE)
        return Cell(
            key=key,
            decisions=fired + held_out + sum(refused.values()),
            held_out=held_out,
            eligible=fired + late,
            refused=refused,
            fired=fired,
            delivered=self.gates[DELIVERED],
            cost_micros=self.cost_micros,
            conversions=conversions,
            revenue=None if conversions is None else dict(sorted(self.revenue.items())),
            currency=currency,
        )
