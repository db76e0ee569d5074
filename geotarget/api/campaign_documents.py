"""What a campaign looks like as JSON, and how it becomes the campaign of the model and back.

Only shapes and bounds are checked here; what needs the catalogue (zones, endpoints, audiences) or
a template engine is the catalogue's business.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints

from geotarget.api.campaign_parts import (
    DAYS,
    MOST_CAP_S,
    BudgetDocument,
    CapsDocument,
    ConsentDocument,
    Languages,
    Offer,
    Rule,
    ScheduleDocument,
    Seconds,
    TriggerDocument,
    VariantDocument,
)
from geotarget.api.values import (
    PLAIN_TEXT,
    Currency,
    Document,
    Line,
    Money,
    Name,
    Number,
    Whole,
    instant_or_none,
    micros,
    units,
)
from geotarget.errors import Problem
from geotarget.model import Campaign, Status, Trigger
from geotarget.snapshot import Snapshot

EXAMPLE: dict[str, Any] = {
    "name": "Cinnamon bun in Kamppi",
    "trigger": {"on": ["enter"], "zones": {"tags": ["bakery"]}, "min_confidence": 2},
    "schedule": {
        "starts": "2026-01-01",
        "ends": "2026-01-31",
        "days": ["mon", "tue", "wed", "thu", "fri"],
        "hours": [{"from": "07:00", "to": "10:30"}],
    },
    "audience": "visits.here(30) >= 2",
    "caps": {"per_profile": [{"max": 2, "period_s": 604800}], "cooldown_s": 86400},
    "budget": {"per_day": 500, "in": "offers", "pacing": "even", "time_zone": "Europe/Helsinki"},
    "cost_per_offer": 0.05,
    "holdout": 0.1,
    "offer": {
        "title": "Hello {{ profile.first_name | default: 'neighbour' }}",
        "text": "A bun for 2 € at {{ zone.name }}",
    },
    "translations": {"fi": {"title": "Hei!", "text": "Pulla 2 €, {{ zone.name }}"}},
    "endpoints": ["crm"],
    "valid_s": 3600,
    "status": "active",
}


class CampaignBody(Document):
    """What is both written and shown of a campaign."""

    name: Line = Field(description="For people.")
    trigger: TriggerDocument = Field(
        default=TriggerDocument(), description="Which transitions are answered."
    )
    schedule: ScheduleDocument | None = Field(default=None, description="When; null is always.")
    consent: ConsentDocument = Field(
        default=ConsentDocument(), description="What the profile must have agreed to."
    )
    audience: Rule | None = Field(
        default=None, description="A rule in CEL over profile and behaviour; null is everybody."
    )
    audiences: Annotated[list[Name], Field(max_length=20)] = Field(
        default=[], description="Ids of stored audiences: all of them must hold."
    )
    holdout: Annotated[Number, Field(ge=0, le=0.9)] = Field(
        default=0, description="Share of the profiles that get nothing, for comparison."
    )
    salt: Annotated[str, StringConstraints(max_length=128, pattern=PLAIN_TEXT)] = Field(
        default="",
        description="Campaigns of one salt hold out the same people; empty is the campaign's id.",
    )
    caps: CapsDocument | None = Field(default=None, description="How often; null is every time.")
    budget: BudgetDocument | None = Field(default=None, description="Null is no bound.")
    cost_per_offer: Money = Field(
        default=0, description="What one offer costs to send, in units of the currency."
    )
    currency: Currency = Field(default="EUR", description="ISO 4217.")
    priority: Annotated[Whole, Field(ge=-1_000_000, le=1_000_000)] = Field(
        default=0, description="Of several campaigns that want one transition the highest wins."
    )
    with_others: bool = Field(
        default=False, description="Neither competes nor keeps others from firing."
    )
    offer: Offer | None = Field(
        default=None,
        description="JSON whose strings are Liquid templates over `profile`, `behaviour`, `zone`, "
        "`visit`, `transition`, `campaign` and `now`. Either this or `variants`.",
    )
    translations: Languages = Field(
        default={}, description="The offer in other languages, by tag such as `sv` or `pt-BR`."
    )
    variants: Annotated[list[VariantDocument], Field(max_length=20)] = Field(
        default=[], description="Several offers of which each profile gets one."
    )
    allocation: Literal["weights", "thompson"] = Field(
        default="weights",
        description="How a variant is chosen: `weights` by a stable hash, `thompson` by what "
        "converts.",
    )
    endpoints: Annotated[list[Name], Field(min_length=1, max_length=20)] = Field(
        description="Ids of the endpoints that are told."
    )
    pass_attributes: Annotated[list[Name], Field(max_length=100)] = Field(
        default=[], description="Attributes of the profile that the endpoints are told."
    )
    valid_s: Seconds | None = Field(
        default=None, description="How long an offer holds after its decision, seconds."
    )
    attribution_s: Annotated[Whole, Field(ge=1, le=MOST_CAP_S)] = Field(
        default=7 * 86_400,
        description="How long after an offer a conversion may count for it, seconds.",
    )
    status: Status = Field(
        default=Status.ACTIVE, description="draft, scheduled, active, paused or ended."
    )


class CampaignDocument(CampaignBody):
    """A campaign as its author writes it."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    include_inside: bool = Field(
        default=False,
        description="Ask, with this very request, for those who are inside already.",
        json_schema_extra={"writeOnly": True},
    )

    def problems(self) -> list[Problem]:
        """Return what is wrong between members, and what a schema can't say."""
        found = []
        if self.variants:
            if self.offer is not None:
                found.append(Problem("$.offer", "", "either this or variants, not both"))
            if self.translations:
                reason = "belong to each variant where there are variants"
                found.append(Problem("$.translations", "", reason))
        elif self.offer is None:
            found.append(Problem("$.offer", "", "is required"))
        if self.budget is not None:
            found += self.budget.problems("$.budget")
        return found

    def to_campaign(self, id: str, *, inside_asked_ms: int | None = None) -> Campaign:
        """Return the campaign that this describes."""
        schedule = self.schedule or ScheduleDocument()
        caps = self.caps or CapsDocument()
        return Campaign(
            id=id,
            name=self.name,
            trigger=self.trigger.to_trigger(),
            offer=self.offer or {},
            endpoints=tuple(dict.fromkeys(self.endpoints)),
            status=self.status,
            starts=schedule.starts,
            ends=schedule.ends,
            cooldown_s=caps.cooldown_s,
            valid_s=self.valid_s,
            days=tuple(day for day in DAYS if day in schedule.days),
            hours=tuple(each.to_hours() for each in schedule.hours),
            purpose=self.consent.purpose,
            consent_required=self.consent.required,
            audience=self.audience or "",
            audiences=tuple(dict.fromkeys(self.audiences)),
            holdout=float(self.holdout),
            salt=self.salt,
            caps=caps.to_caps(),
            per_visit=caps.per_visit,
            budget=None if self.budget is None else self.budget.to_budget(),
            priority=self.priority,
            with_others=self.with_others,
            translations=self.translations,
            variants=tuple(each.to_variant() for each in self.variants),
            allocation=self.allocation,
            cost_micros=micros(self.cost_per_offer),
            currency=self.currency,
            pass_attributes=tuple(dict.fromkeys(self.pass_attributes)),
            attribution_s=self.attribution_s,
            inside_asked_ms=inside_asked_ms,
        )


class CampaignAnswer(CampaignBody):
    """A campaign as it is stored."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "bun",
                    **EXAMPLE,
                    "version": 1,
                    "matches_zones": 3,
                    "updated": "2026-01-01T12:00:00.000Z",
                    "inside_asked": None,
                    "warnings": [],
                }
            ]
        }
    )

    id: str
    version: int = Field(description="Rises with every change; decisions name it.")
    updated: str | None = Field(default=None, description="When this version was stored.")
    matches_zones: int | None = Field(
        default=None,
        description="Active zones that the trigger means now: 0 is worth a second look at its "
        "ids and tags. Null in lists.",
    )
    inside_asked: str | None = Field(
        default=None, description="When those who were inside already were asked for."
    )
    warnings: list[str] = Field(
        default=[],
        description="What does not keep it from being stored but is worth a look, such as an "
        "offer that does not render for some profiles. Only in the answer to a change.",
    )

    @classmethod
    def of(
        cls,
        campaign: Campaign,
        snapshot: Snapshot | None = None,
        warnings: tuple[str, ...] = (),
        *,
        updated_ms: int | None,
    ) -> CampaignAnswer:
        """Return what the API says about a campaign."""
        return cls(
            id=campaign.id,
            name=campaign.name,
            trigger=TriggerDocument.of(campaign.trigger),
            schedule=ScheduleDocument.of(campaign),
            consent=ConsentDocument(purpose=campaign.purpose, required=campaign.consent_required),
            audience=campaign.audience or None,
            audiences=list(campaign.audiences),
            holdout=campaign.holdout,
            salt=campaign.salt,
            caps=CapsDocument.of(campaign),
            budget=None if campaign.budget is None else BudgetDocument.of(campaign.budget),
            cost_per_offer=units(campaign.cost_micros),
            currency=campaign.currency,
            priority=campaign.priority,
            with_others=campaign.with_others,
            offer=None if campaign.variants and not campaign.offer else dict(campaign.offer),
            translations={tag: dict(each) for tag, each in campaign.translations.items()},
            variants=[VariantDocument.of(each) for each in campaign.variants],
            allocation="thompson" if campaign.allocation == "thompson" else "weights",
            endpoints=list(campaign.endpoints),
            pass_attributes=list(campaign.pass_attributes),
            valid_s=campaign.valid_s,
            attribution_s=campaign.attribution_s,
            status=campaign.status,
            version=campaign.version,
            updated=instant_or_none(updated_ms),
            inside_asked=instant_or_none(campaign.inside_asked_ms),
            matches_zones=None if snapshot is None else matches(campaign.trigger, snapshot),
            warnings=list(warnings),
        )


def matches(trigger: Trigger, snapshot: Snapshot) -> int:
    """Count the active zones that a trigger means."""
    everywhere = not trigger.zone_ids and not trigger.zone_tags
    return sum(
        zone.id not in trigger.exclude
        and (
            everywhere or zone.id in trigger.zone_ids or not trigger.zone_tags.isdisjoint(zone.tags)
        )
        for zone in snapshot.index.zones
    )
