"""Backtests: what a campaign would have done over the last days, from what this node has seen.

A backtest keeps a core busy for seconds, and pings come first: one runs at a time, for at most
`MOST_S`, and it ends when whoever asked has gone. Only reads are done.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import anyio.from_thread
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from geotarget.api.auth import Scope
from geotarget.api.campaign_documents import CampaignDocument
from geotarget.api.services import Context, Here
from geotarget.api.values import MICROS, Document, Id, Name, Whole, instant
from geotarget.errors import InvalidCampaign, NotFound, Overloaded, Problem
from geotarget.insight import hindsight_words as words
from geotarget.insight.hindsight import MOST_DAYS, Outcome, Played, days_between, look_back
from geotarget.insight.small_counts import show
from geotarget.model import Campaign, Zone
from geotarget.targeting.checks import problems_of

MOST_S = 20.0
"""So long a backtest may take, seconds; what was played by then is the answer."""

WAIT_S = 5.0
"""How long one waits for its turn before the caller is sent away, seconds."""

MOST_ZONES = 20
"""Zones that are told one by one, those with most offers."""

DRAFT: dict[str, Any] = {
    "name": "Draft",
    "offer": {"text": "Hello at {{ zone.name }}"},
    "endpoints": ["crm"],
    "cost_per_offer": 0.02,
}

_turn = threading.Lock()

Days = Annotated[
    Whole, Field(ge=1, le=MOST_DAYS, description="How many days of 24 hours back from now.")
]


class BacktestDocument(Document):
    """How far to look back."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"days": 7}]})

    days: Days = 7


class DraftBacktestDocument(BacktestDocument):
    """A campaign that is not stored, and how far to look back."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"campaign": DRAFT, "id": "buns", "days": 7}]}
    )

    campaign: CampaignDocument = Field(description="As `PUT /v1/campaigns/{id}` takes it.")
    id: Name = Field(
        default="draft",
        description="The id that it will have: a stored campaign of this id is left out, and who "
        "is held out goes by it.",
    )


class RefusedItem(BaseModel):
    """How many movements one gate refused."""

    gate: str
    count: int
    sentence: str


class DayItem(BaseModel):
    """One day."""

    day: str = Field(description="A date of the budget; without one, at the zone.")
    offers: int
    cost: float


class ZoneItem(BaseModel):
    """One zone."""

    zone: str
    name: str
    offers: int


class VariantItem(BaseModel):
    """One variant."""

    variant: str
    offers: int


class BudgetItem(BaseModel):
    """What the campaign may spend."""

    in_: Literal["offers", "money"] = Field(alias="in")
    per_day: float | None
    total: float | None


class BacktestAnswer(BaseModel):
    """What a campaign would have done."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "campaign": "buns",
                    "sentence": "Over the last 7 days this would have sent 1,204 offers to 380 "
                    "people, costing 24.08 EUR.",
                    "days": 7,
                    "from": "2026-01-24T10:00:00.000Z",
                    "to": "2026-01-31T10:00:00.000Z",
                    "first": "2026-01-24T10:00:03.120Z",
                    "last": "2026-01-31T09:59:41.000Z",
                    "transitions": 18240,
                    "cut": False,
                    "complete": True,
                    "answered": 2210,
                    "eligible": 1516,
                    "offers": 1204,
                    "people": 380,
                    "held_out": 0,
                    "held_out_people": 0,
                    "cost": 24.08,
                    "currency": "EUR",
                    "budget": {"in": "offers", "per_day": 200, "total": None},
                    "refused": [
                        {
                            "gate": "cap",
                            "count": 312,
                            "sentence": "312 movements were of people who had had enough offers.",
                        }
                    ],
                    "by_day": [{"day": "2026-01-30", "offers": 200, "cost": 4.0}],
                    "by_zone": [{"zone": "kamppi", "name": "Kamppi", "offers": 800}],
                    "more_zones": 0,
                    "by_variant": [],
                    "notes": ["Profiles, consents, audiences and zones are those of today."],
                    "took_s": 1.31,
                }
            ]
        }
    )

    campaign: str
    sentence: str = Field(description="The answer in words.")
    days: int
    from_: str = Field(alias="from")
    to: str
    first: str | None = Field(description="When the first movement was; null without any.")
    last: str | None
    transitions: int = Field(description="Movements that were looked at.")
    cut: bool = Field(description="Whether there were more before: the newest were taken.")
    complete: bool = Field(description="False where there was no time for the newest ones.")
    answered: int = Field(description="Movements that the campaign means.")
    eligible: int = Field(description="Those that its audience let pass and that nobody held out.")
    offers: int
    people: int | None = Field(description="Who would have got one; null where they are too few.")
    held_out: int = Field(description="Offers that the control group would have been spared.")
    held_out_people: int | None
    cost: float
    currency: str
    budget: BudgetItem | None
    refused: list[RefusedItem] = Field(description="By gate, the most frequent first.")
    by_day: list[DayItem] = Field(description="Every day, also those without an offer.")
    by_zone: list[ZoneItem] = Field(description=f"The {MOST_ZONES} with most offers.")
    more_zones: int = Field(description="Zones with offers beyond those.")
    by_variant: list[VariantItem] = Field(description="In the order of the campaign.")
    notes: list[str] = Field(description="What was assumed, and what can't be known.")
    took_s: float


def backtest_campaign(
    id: Id, document: BacktestDocument, here: Here, request: Request
) -> BacktestAnswer:
    """Try a campaign on the last days.

    What it would have done had it been active: the movements that this node has seen, decided once
    more by the live code, together with the other campaigns that are active now. Nothing is sent,
    counted or stored. At most 100,000 movements, the newest; at most 20 s; one at a time, others
    wait a moment and are then refused with 429. Counts of too few people are null.
    """
    campaign = here.services.store.campaign(id)
    if campaign is None:
        raise NotFound("campaign", id)
    return _answer(campaign, document.days, here, request)


def backtest_draft(document: DraftBacktestDocument, here: Here, request: Request) -> BacktestAnswer:
    """Try a draft on the last days.

    As the backtest of a stored campaign, for one that is not stored. It is checked as when it is
    saved, but endpoints need not exist. A draft with a rule needs the scope `audiences:read` too,
    for it asks about people.
    """
    campaign = document.campaign.to_campaign(document.id)
    problems = [*document.campaign.problems(), *problems_of(campaign)]
    if problems:
        raise InvalidCampaign(
            *(
                Problem("$.campaign" + each.path.removeprefix("$"), each.value, each.reason)
                for each in problems
            )
        )
    if campaign.audience or campaign.audiences:
        request.state.caller.require(Scope.AUDIENCES_READ)
    return _answer(campaign, document.days, here, request)


def _answer(campaign: Campaign, days: int, here: Context, request: Request) -> BacktestAnswer:
    services = here.services
    snapshot = services.catalog.snapshot
    with _alone():
        began = time.monotonic()
        played, outcome = look_back(
            services.store,
            snapshot,
            campaign,
            days=days,
            now_ms=time.time_ns() // 1_000_000,
            policy=services.policy,
            goes_on=_awaited(request, began + MOST_S),
        )
        took_s = time.monotonic() - began
    return _shown(
        campaign,
        played,
        outcome,
        snapshot.zones,
        minimum=services.limits.minimum_audience,
        took_s=took_s,
    )


@contextmanager
def _alone() -> Iterator[None]:
    """Let one work at a time."""
    if not _turn.acquire(timeout=WAIT_S):
        raise Overloaded("another backtest is running, and one runs at a time", retry_after_s=10)
    try:
        yield
    finally:
        _turn.release()


def _awaited(request: Request, until_s: float) -> Callable[[], bool]:
    """Return what tells whether there is time left and somebody who waits for the answer."""
    return lambda: time.monotonic() < until_s and not anyio.from_thread.run(request.is_disconnected)


def _shown(
    campaign: Campaign,
    played: Played,
    outcome: Outcome,
    known: Mapping[str, Zone],
    *,
    minimum: int,
    took_s: float,
) -> BacktestAnswer:
    people = show(len(outcome.people), minimum)
    budget = campaign.budget
    ranked = sorted(outcome.zones.items(), key=lambda item: (-item[1], item[0]))
    zones = [
        ZoneItem(zone=zone, name=known[zone].name or zone, offers=offers)
        for zone, offers in ranked[:MOST_ZONES]
    ]
    dates = days_between(
        played.first_ms or played.to_ms,
        played.to_ms,
        outcome.days,
        _time_zone(campaign, [known[each.zone] for each in zones]),
    )
    by_day = {day: outcome.days.get(day, (0, 0)) for day in dates}
    return BacktestAnswer.model_validate(
        {
            "campaign": campaign.id,
            "sentence": words.sentence(campaign, played, outcome, people=people),
            "days": round((played.to_ms - played.from_ms) / 86_400_000),
            "from": instant(played.from_ms),
            "to": instant(played.to_ms),
            "first": instant(played.first_ms) if played.movements else None,
            "last": instant(played.last_ms) if played.movements else None,
            "transitions": played.movements,
            "cut": played.cut,
            "complete": played.whole,
            "answered": outcome.answered,
            "eligible": outcome.eligible,
            "offers": outcome.offers,
            "people": people,
            "held_out": outcome.gates["holdout"],
            "held_out_people": show(len(outcome.held_out), minimum),
            "cost": outcome.cost_micros / MICROS,
            "currency": campaign.currency,
            "budget": None if budget is None else _budget(campaign),
            "refused": [
                RefusedItem(gate=gate, count=count, sentence=words.refusal(gate, count))
                for gate, count in words.refused(outcome)
            ],
            "by_day": [
                DayItem(day=day, offers=offers, cost=cost / MICROS)
                for day, (offers, cost) in by_day.items()
            ],
            "by_zone": zones,
            "more_zones": max(len(ranked) - MOST_ZONES, 0),
            "by_variant": [
                VariantItem(variant=each.id, offers=outcome.variants[each.id])
                for each in campaign.variants
            ],
            "notes": words.notes(campaign, played),
            "took_s": round(took_s, 3),
        }
    )


def _budget(campaign: Campaign) -> dict[str, Any]:
    budget = campaign.budget
    assert budget is not None
    unit = MICROS if budget.unit == "money" else 1
    return {
        "in": budget.unit,
        "per_day": None if budget.per_day is None else budget.per_day / unit,
        "total": None if budget.total is None else budget.total / unit,
    }


def _time_zone(campaign: Campaign, zones: Sequence[Zone]) -> str:
    """Return whose dates the days are: those of the budget, or of the busiest zone."""
    if campaign.budget is not None:
        return campaign.budget.time_zone
    return zones[0].time_zone if zones else "UTC"
