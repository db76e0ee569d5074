"""What a look back says in plain words: one sentence, each refusal, and what it can't know."""

from __future__ import annotations

from geotarget.insight.hindsight import Outcome, Played
from geotarget.model import Campaign, Kind
from geotarget.targeting.decide import FIRED
from geotarget.targeting.ledger import THOMPSON

MICROS = 1_000_000
HOUR_S, MINUTE_S = 3_600, 60

_REFUSED = {
    "trigger": "not certain enough, or the person was inside already when first seen",
    "schedule": "at a day or an hour at which it does not speak, or in quiet hours",
    "consent": "of people without the consent that it asks for",
    "audience": "of people who are not in its audience",
    "holdout": "of people who are held out for comparison",
    "cap": "of people who had had enough offers",
    "budget": "when the budget was used up, or ahead of its even pace",
    "arbitration": "answered by another campaign, which came first",
    "variant": "without a variant: none has a weight",
    "content": "of people for whom the offer can't be written",
}

_ALWAYS = (
    "Profiles, consents and audiences are those of today. A zone saw nobody before it was drawn.",
    "Visits and offers that rules and limits ask for are counted as they were at each moment.",
    "How late phones reported is not kept: no movement was refused as too old.",
)


def sentence(campaign: Campaign, played: Played, outcome: Outcome, *, people: int | None) -> str:
    """Return the answer in one sentence.

    Parameters
    ----------
    people
        How many would have got an offer; None where they are too few to show.
    """
    span = _span(played)
    if not played.movements:
        return f"Nobody was seen in a zone {span.lower()}: there is nothing to try it on yet."
    if not outcome.answered:
        moved = _many(played.movements, "movement")
        return f"{span} this would have sent nothing: none of {moved} was one that it answers."
    if not outcome.offers:
        gate, _ = outcome.gates.most_common(1)[0]
        return f"{span} this would have sent nothing. Most movements were {_REFUSED[gate]}."
    who = "very few people" if people is None else _many(people, "person", "people")
    said = f"{span} this would have sent {_many(outcome.offers, 'offer')} to {who}"
    if outcome.cost_micros:
        said += f", costing {money(outcome.cost_micros)} {campaign.currency}"
    return f"{said}."


def refusal(gate: str, count: int) -> str:
    """Return what a gate refused, in words.

    Examples
    --------
    >>> refusal("cap", 1200)
    '1,200 movements were of people who had had enough offers.'
    """
    return f"{_many(count, 'movement')} {'was' if count == 1 else 'were'} {_REFUSED[gate]}."


def notes(campaign: Campaign, played: Played) -> list[str]:
    """Return what to know about the answer: what was left out, assumed, or can't be known."""
    if not played.movements:
        return []
    found = []
    if played.cut:
        found.append(
            f"There were more movements: only the newest {played.movements:,} were looked at."
        )
    if not played.whole:
        found.append("It took too long: the newest movements were left out. Ask for fewer days.")
    if played.moved_days:
        days = _many(played.moved_days, "day")
        found.append(f"Its dates were moved back by {days}, so that it begins before the first.")
    if Kind.DWELL in campaign.trigger.on and played.stays:
        found.append(
            f"{_many(played.stays, 'stay')} of {_duration(campaign.trigger.dwell_s or 0)} "
            f"{'was' if played.stays == 1 else 'were'} worked out from entries and exits, for no "
            "campaign waited for that then. Visits whose end is not known are left out."
        )
    if played.redrawn:
        found.append(
            f"{_many(played.redrawn, 'movement')} {'is' if played.redrawn == 1 else 'are'} of "
            "zones that were changed since: they count as the zones were then."
        )
    others = len(played.others)
    if others:
        other = _many(others, "other campaign")
        spoke = "speaks now was" if others == 1 else "speak now were"
        found.append(
            f"{other} that {spoke} played along: they compete for the same people. What was really "
            "sent in these days does not count."
        )
    if campaign.allocation == THOMPSON and campaign.variants:
        found.append("Variants are chosen by what is known of them today; nobody converts here.")
    if campaign.budget is not None:
        found.append("The budget begins with what was spent before these days.")
    return [*found, *_ALWAYS]


def money(micros: int) -> str:
    """Return an amount with two decimals, or as many as it has.

    Examples
    --------
    >>> money(24_080_000), money(12_345)
    ('24.08', '0.012345')
    """
    value = f"{micros / MICROS:,.6f}".rstrip("0")
    whole, _, part = value.partition(".")
    return f"{whole}.{part:0<2}"


def refused(outcome: Outcome) -> list[tuple[str, int]]:
    """Return the gates that refused with how often, the most frequent first."""
    return [(gate, count) for gate, count in outcome.gates.most_common() if gate != FIRED]


def _span(played: Played) -> str:
    days = round((played.to_ms - played.from_ms) / 86_400_000)
    return "Over the last day" if days == 1 else f"Over the last {days} days"


def _many(count: int, one: str, more: str = "") -> str:
    return f"{count:,} {one if count == 1 else more or one + 's'}"


def _duration(seconds: int) -> str:
    if seconds % HOUR_S == 0:
        return f"{seconds // HOUR_S} h"
    return f"{seconds // MINUTE_S} min" if seconds % MINUTE_S == 0 else f"{seconds} s"
