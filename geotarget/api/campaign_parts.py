"""The parts of a campaign's document: trigger, schedule, consent, caps, budget, variants.

Each says its own bounds and how it becomes its part of the model and back. Amounts of money are
numbers in units of the currency here and whole millionths behind it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints

from geotarget.api.problems import show
from geotarget.api.values import Document, Money, Name, Number, Whole, micros, units
from geotarget.errors import Problem
from geotarget.model import Budget, Campaign, Cap, Hours, Kind, Trigger, Variant

MOST_SECONDS = 10 * 366 * 86_400
MOST_CAP_S = 90 * 86_400
"""Behaviour, which caps count, is kept for so long."""

Seconds = Annotated[int, Field(ge=1, le=MOST_SECONDS)]
Names = Annotated[list[Name], Field(max_length=10_000)]
Offer = dict[str, Any]
Languages = Annotated[
    dict[Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$")], Offer],
    Field(max_length=100),
]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]"
Rule = Annotated[str, StringConstraints(max_length=4_000)]


class ZoneChoice(Document):
    """Which zones: named, or carrying a tag, and not excluded; all when nothing is named."""

    ids: Names = Field(default=[], description="Zones by id.")
    tags: Names = Field(default=[], description="Zones that carry one of these tags.")
    exclude: Names = Field(default=[], description="Zones by id that are never meant.")


class TriggerDocument(Document):
    """Which transitions a campaign answers."""

    on: list[Kind] = Field(
        default=[Kind.ENTER],
        max_length=4,
        description="Kinds of transition: enter, dwell, exit, crossed.",
        json_schema_extra={"items": {"enum": ["enter", "dwell", "exit", "crossed"]}},
    )
    zones: ZoneChoice = Field(default=ZoneChoice(), description="Where.")
    dwell_s: int | None = Field(
        default=None, ge=1, le=7 * 86_400, description="How long a dwell lasts, seconds."
    )
    min_confidence: int = Field(
        default=1, ge=1, le=3, description="1 likely, 2 confirmed, 3 certain."
    )
    initial: bool = Field(
        default=True, description="Whether a device that was inside from its first ping counts."
    )
    most_specific: bool = Field(
        default=False,
        description="Of several zones entered at one time only the one of highest priority, then "
        "the smallest, counts.",
    )

    @classmethod
    def of(cls, trigger: Trigger) -> TriggerDocument:
        """Return what the API says about a trigger."""
        return cls(
            on=sorted(trigger.on),
            zones=ZoneChoice(
                ids=sorted(trigger.zone_ids),
                tags=sorted(trigger.zone_tags),
                exclude=sorted(trigger.exclude),
            ),
            dwell_s=trigger.dwell_s,
            min_confidence=trigger.min_confidence,
            initial=trigger.initial,
            most_specific=trigger.most_specific,
        )

    def to_trigger(self) -> Trigger:
        """Return the trigger that this describes."""
        return Trigger(
            on=frozenset(self.on),
            zone_ids=frozenset(self.zones.ids),
            zone_tags=frozenset(self.zones.tags),
            exclude=frozenset(self.zones.exclude),
            dwell_s=self.dwell_s,
            min_confidence=self.min_confidence,
            initial=self.initial,
            most_specific=self.most_specific,
        )


class HoursDocument(Document):
    """A stretch of the day, local; over midnight when it does not end after it begins."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"from": "07:00", "to": "10:30"}]}, populate_by_name=True
    )

    start: Annotated[str, StringConstraints(pattern=f"^{CLOCK}$")] = Field(
        alias="from", description="Included, HH:MM."
    )
    end: Annotated[str, StringConstraints(pattern=f"^({CLOCK}|24:00)$")] = Field(
        alias="to", description="Excluded, HH:MM; 24:00 is midnight."
    )

    @classmethod
    def of(cls, hours: Hours) -> HoursDocument:
        """Return what the API says about a stretch of the day."""
        return cls.model_validate({"from": hours.start, "to": hours.end})

    def to_hours(self) -> Hours:
        """Return the stretch that this describes."""
        return Hours(self.start, self.end)


class ScheduleDocument(Document):
    """When a campaign holds, in the zone's own time zone unless there is an offset."""

    starts: str | None = Field(
        default=None, max_length=40, description="Date or date-time, ISO 8601; included."
    )
    ends: str | None = Field(
        default=None, max_length=40, description="Date (included) or date-time (excluded)."
    )
    days: Annotated[list[Day], Field(max_length=7)] = Field(
        default=[], description="Weekdays; all when empty."
    )
    hours: Annotated[list[HoursDocument], Field(max_length=24)] = Field(
        default=[],
        description="Stretches of the day; all of it when empty. One over midnight belongs to the "
        "day on which it begins.",
    )

    @classmethod
    def of(cls, campaign: Campaign) -> ScheduleDocument | None:
        """Return what the API says about when a campaign holds; None for always."""
        told = cls(
            starts=campaign.starts,
            ends=campaign.ends,
            days=[day for day in DAYS if day in campaign.days],
            hours=[HoursDocument.of(each) for each in campaign.hours],
        )
        return None if told == cls() else told


class ConsentDocument(Document):
    """What the profile must have agreed to."""

    purpose: Name = Field(default="marketing", description="The purpose in the profile's consent.")
    required: bool = Field(
        default=False,
        description="Whether silence is a no. A recorded no always is.",
    )


class CapDocument(Document):
    """At most so many offers to one profile in a rolling period."""

    max: Annotated[Whole, Field(ge=1, le=500)] = Field(description="So many offers.")
    period_s: Annotated[Whole, Field(ge=1, le=MOST_CAP_S)] | None = Field(
        default=None, description="In so many seconds, at most 90 days; null is ever."
    )


class CapsDocument(Document):
    """How often one profile may get the offer."""

    per_profile: Annotated[list[CapDocument], Field(max_length=10)] = Field(
        default=[], description="All of them hold."
    )
    per_visit: Annotated[Whole, Field(ge=1, le=500)] | None = Field(
        default=None, description="So many offers on one visit."
    )
    cooldown_s: Seconds | None = Field(
        default=None, description="Least time between two offers to one profile, seconds."
    )

    @classmethod
    def of(cls, campaign: Campaign) -> CapsDocument | None:
        """Return what the API says about a campaign's caps; None for none."""
        told = cls(
            per_profile=[CapDocument(max=cap.max, period_s=cap.period_s) for cap in campaign.caps],
            per_visit=campaign.per_visit,
            cooldown_s=campaign.cooldown_s,
        )
        return None if told == cls() else told

    def to_caps(self) -> tuple[Cap, ...]:
        """Return the caps of one profile."""
        return tuple(Cap(each.max, each.period_s) for each in self.per_profile)


class BudgetDocument(Document):
    """What the campaign may spend."""

    total: Money | None = Field(default=None, description="In all; null is no bound.")
    per_day: Money | None = Field(default=None, description="On one day; null is no bound.")
    unit: Literal["offers", "money"] = Field(
        default="offers",
        alias="in",
        description="What the bounds count: offers, or units of the campaign's currency.",
    )
    pacing: Literal["asap", "even"] = Field(
        default="asap",
        description="`even` never runs ahead of the time that has passed: of the day for "
        "`per_day`, of the schedule for `total`.",
    )
    time_zone: Name = Field(default="UTC", description="IANA name: whose midnight begins a day.")

    model_config = ConfigDict(populate_by_name=True)

    @classmethod
    def of(cls, budget: Budget) -> BudgetDocument:
        """Return what the API says about a budget."""
        money = budget.unit == "money"
        total, per_day = (
            units(each) if money and each is not None else each
            for each in (budget.total, budget.per_day)
        )
        return cls.model_validate(
            {
                "total": total,
                "per_day": per_day,
                "in": budget.unit,
                "pacing": budget.pacing,
                "time_zone": budget.time_zone,
            }
        )

    def problems(self, path: str) -> list[Problem]:
        """Return what is wrong with the bounds: half an offer can't be sent."""
        return [
            Problem(f"{path}.{name}", show(bound), "must be a whole number of offers")
            for name, bound in (("total", self.total), ("per_day", self.per_day))
            if self.unit == "offers" and bound is not None and bound % 1
        ]

    def to_budget(self) -> Budget:
        """Return the budget that this describes."""
        bounds = [
            each if each is None else micros(each) if self.unit == "money" else int(each)
            for each in (self.total, self.per_day)
        ]
        return Budget(
            unit=self.unit,
            total=bounds[0],
            per_day=bounds[1],
            pacing=self.pacing,
            time_zone=self.time_zone,
        )


class VariantDocument(Document):
    """One of several offers."""

    id: Name = Field(description="Names it in decisions, webhooks and reports.")
    weight: Annotated[Number, Field(ge=0, le=1_000_000)] = Field(
        default=1, description="Its share is relative to the sum of all; 0 is never chosen."
    )
    offer: Offer = Field(description="As `offer` of the campaign.")
    translations: Languages = Field(default={}, description="As `translations` of the campaign.")
    cost_per_offer: Money | None = Field(
        default=None, description="What one costs to send; null is what the campaign says."
    )

    @classmethod
    def of(cls, variant: Variant) -> VariantDocument:
        """Return what the API says about a variant."""
        cost = variant.cost_micros
        return cls(
            id=variant.id,
            weight=variant.weight,
            offer=dict(variant.offer),
            translations={tag: dict(offer) for tag, offer in variant.translations.items()},
            cost_per_offer=None if cost is None else units(cost),
        )

    def to_variant(self) -> Variant:
        """Return the variant that this describes."""
        cost = self.cost_per_offer
        return Variant(
            id=self.id,
            offer=self.offer,
            weight=float(self.weight),
            translations=self.translations,
            cost_micros=None if cost is None else micros(cost),
        )
