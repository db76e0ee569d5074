"""What campaigns did and what came of it, as reports ask for it: read only.

Nothing is counted here: the counts were written in the transactions that caused them (`tallies`,
`conversions`, `outbox`), so a report costs what it shows, not what history holds. A tally has one
row a campaign, day, zone, variant and gate. Exposures are counted over an index: 0.2 µs a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from geotarget.model import Arm, Spent
from geotarget.store.database import Database, cursor_of

DELIVERED = "delivered"
"""In place of a gate: what receivers have accepted. Counts deliveries, not decisions."""

_TALLIES = """
SELECT campaign, day, zone, variant, gate, count, cost_micros FROM tally
WHERE campaign = ? AND day >= ? AND day <= ? AND (CAST(? AS TEXT) IS NULL OR zone = ?)
ORDER BY day, zone, variant, gate
"""
_EXPOSURES = """
SELECT held_out, variant, count(*), count(*) FILTER (WHERE conversions > 0),
  sum(conversions), sum(value_micros),
  sum(value_micros / CAST(1e6 AS FLOAT) * (value_micros / CAST(1e6 AS FLOAT)))
FROM exposure INDEXED BY exposure_campaign WHERE campaign = ? GROUP BY held_out, variant
"""
_CONVERTED = """
SELECT campaign, variant, zone, day, currency, held_out, count(*), count(DISTINCT profile),
  sum(value_micros), count(*) FILTER (WHERE by_decision)
FROM conversion INDEXED BY conversion_campaign WHERE campaign = ? AND day >= ? AND day <= ?
GROUP BY campaign, variant, zone, day, currency, held_out
ORDER BY day, zone, variant, currency, held_out
"""
_FIRST_DAY, _LAST_DAY = "", "9999-12-31"


@dataclass(frozen=True, slots=True)
class TallyRow:
    """How many decisions of a campaign ended at one gate.

    Parameters
    ----------
    day
        ISO date in the zone's time zone.
    variant
        Empty where none was chosen.
    gate
        ``fired``, the gate that refused, or ``delivered``: how many deliveries were accepted.
    cost_micros
        What the fired ones cost, in the campaign's currency.
    """

    campaign: str
    day: str
    zone: str
    variant: str
    gate: str
    count: int
    cost_micros: int


@dataclass(frozen=True, slots=True)
class ExposureRow:
    """People of one campaign who were to hear from it, and what they did in the time that counts.

    Everybody whom the audience let pass is in it, also who was refused later: what is compared is
    who would have been addressed with who was held out by lot.

    Parameters
    ----------
    held_out, variant
        The group; the variant is that of the first decision, empty where none was chosen.
    people
        Profiles, each once in a campaign.
    converted
        How many of them converted at least once.
    conversions
        How many conversions that were.
    value_micros
        Their worth, of those in the campaign's currency.
    value_squares
        Sum over people of the square of their worth, in whole units of the currency: for the
        spread of what a person spends.
    """

    held_out: bool
    variant: str
    people: int
    converted: int
    conversions: int
    value_micros: int
    value_squares: float


@dataclass(frozen=True, slots=True)
class ConversionRow:
    """Conversions that were attributed to one campaign, in one group.

    Parameters
    ----------
    day
        That of the decision, as in `TallyRow`.
    people
        Can't be added up over rows.
    by_decision
        How many of the conversions named their decision.
    """

    campaign: str
    variant: str
    zone: str
    day: str
    currency: str
    held_out: bool
    conversions: int
    people: int
    value_micros: int
    by_decision: int


class Results:
    """Reads what reports are made of.

    Parameters
    ----------
    database
        Where it is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def tallies(
        self,
        campaign: str,
        *,
        from_day: str | None = None,
        to_day: str | None = None,
        zone: str | None = None,
    ) -> list[TallyRow]:
        """Return how the decisions of a campaign ended, by day, zone, variant and gate.

        Parameters
        ----------
        from_day, to_day
            ISO dates, both included; None is no bound.
        zone
            Of this one only.
        """
        values = (campaign, from_day or _FIRST_DAY, to_day or _LAST_DAY, zone, zone)
        return [TallyRow(*row) for row in self._counted(_TALLIES, values)]

    def exposures(self, campaign: str) -> list[ExposureRow]:
        """Return the groups of a campaign, those who were not held out first."""
        return [
            ExposureRow(bool(held_out), *figures)
            for held_out, *figures in self._counted(_EXPOSURES, (campaign,))
        ]

    def conversion_totals(
        self, campaign: str, *, from_day: str | None = None, to_day: str | None = None
    ) -> list[ConversionRow]:
        """Return what was attributed to a campaign, by day, zone, variant, currency and group.

        Parameters as of `tallies`.
        """
        values = (campaign, from_day or _FIRST_DAY, to_day or _LAST_DAY)
        return [
            ConversionRow(campaign, variant, zone, day, currency, bool(held_out), *figures)
            for campaign, variant, zone, day, currency, held_out, *figures in self._counted(
                _CONVERTED, values
            )
        ]

    def arms(self, campaign: str) -> dict[str, Arm]:
        """Return what each variant of a campaign has come to; none that was never sent."""
        rows = self._counted(
            "SELECT variant, sent, converted FROM arm WHERE campaign = ? ORDER BY variant",
            (campaign,),
        )
        return {variant: Arm(sent, converted) for variant, sent, converted in rows}

    def budget_days(self, campaign: str) -> dict[str, Spent]:
        """Return what a campaign spent by day of its budget; the empty day is all of it."""
        rows = self._counted(
            "SELECT day, offers, cost_micros FROM budget_spent WHERE campaign = ? ORDER BY day",
            (campaign,),
        )
        return {day: Spent(offers, cost_micros) for day, offers, cost_micros in rows}

    def _counted(self, statement: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        with self._database.read() as connection:
            found: list[tuple[Any, ...]] = (
                cursor_of(connection).execute(statement, values).fetchall()
            )
        return found
