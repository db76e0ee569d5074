"""``/v1/campaigns``: triggers, their dates and caps, the offer, and who is told."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from geotarget.api.services import Here
from geotarget.api.values import Cursor, Document, Id, Limit, Line, Name, NotYet, Page
from geotarget.catalog import Snapshot
from geotarget.errors import NotFound
from geotarget.model import Campaign, Kind, Status, Trigger

EXAMPLE: dict[str, Any] = {
    "name": "Cinnamon bun in Kamppi",
    "trigger": {"on": ["enter"], "zones": {"tags": ["bakery"]}, "min_confidence": 2},
    "schedule": {"starts": "2026-01-01", "ends": "2026-01-31"},
    "caps": {"cooldown_s": 86400},
    "offer": {
        "title": "Hello {{ profile.first_name | default: 'neighbour' }}",
        "text": "A bun for 2 € at {{ zone.name }}",
    },
    "endpoints": ["crm"],
    "valid_s": 3600,
    "status": "active",
}

Seconds = Annotated[int, Field(ge=1, le=10 * 366 * 86_400)]
Names = Annotated[list[Name], Field(max_length=10_000)]


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


class ScheduleDocument(Document):
    """When a campaign holds, in the zone's own time zone unless there is an offset."""

    starts: str | None = Field(
        default=None, max_length=40, description="Date or date-time, ISO 8601; included."
    )
    ends: str | None = Field(
        default=None, max_length=40, description="Date (included) or date-time (excluded)."
    )
    days: NotYet = None
    hours: NotYet = None


class CapsDocument(Document):
    """How often one profile may get the offer."""

    cooldown_s: Seconds | None = Field(
        default=None, description="Least time between two offers to one profile, seconds."
    )
    per_profile: NotYet = None


class CampaignDocument(Document):
    """A campaign as its author writes it."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    name: Line = Field(description="For people.")
    trigger: TriggerDocument = Field(
        default=TriggerDocument(), description="Which transitions are answered."
    )
    schedule: ScheduleDocument | None = Field(default=None, description="When; null is always.")
    caps: CapsDocument | None = Field(default=None, description="How often; null is every time.")
    offer: dict[str, Any] = Field(
        description="JSON whose strings are Liquid templates over `profile`, `zone`, "
        "`transition`, `campaign` and `now`."
    )
    endpoints: Annotated[list[Name], Field(min_length=1, max_length=20)] = Field(
        description="Ids of the endpoints that are told."
    )
    valid_s: Seconds | None = Field(
        default=None, description="How long an offer holds after its decision, seconds."
    )
    status: Status = Field(
        default=Status.ACTIVE, description="draft, scheduled, active, paused or ended."
    )
    audience: NotYet = None
    budget: NotYet = None
    holdout: NotYet = None
    variants: NotYet = None

    def to_campaign(self, id: str) -> Campaign:
        """Return the campaign that this describes."""
        trigger, zones = self.trigger, self.trigger.zones
        schedule = self.schedule or ScheduleDocument()
        return Campaign(
            id=id,
            name=self.name,
            trigger=Trigger(
                on=frozenset(trigger.on),
                zone_ids=frozenset(zones.ids),
                zone_tags=frozenset(zones.tags),
                exclude=frozenset(zones.exclude),
                dwell_s=trigger.dwell_s,
                min_confidence=trigger.min_confidence,
                initial=trigger.initial,
                most_specific=trigger.most_specific,
            ),
            offer=self.offer,
            endpoints=tuple(dict.fromkeys(self.endpoints)),
            status=self.status,
            starts=schedule.starts,
            ends=schedule.ends,
            cooldown_s=self.caps.cooldown_s if self.caps else None,
            valid_s=self.valid_s,
        )


class CampaignAnswer(CampaignDocument):
    """A campaign as it is stored."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"id": "bun", **EXAMPLE, "version": 1, "matches_zones": 3}]}
    )

    id: str
    version: int = Field(description="Rises with every change; decisions name it.")
    matches_zones: int | None = Field(
        default=None,
        description="Active zones that the trigger means now: 0 is worth a second look at its "
        "ids and tags. Null in lists.",
    )

    @classmethod
    def of(cls, campaign: Campaign, snapshot: Snapshot | None = None) -> CampaignAnswer:
        """Return what the API says about a campaign."""
        trigger = campaign.trigger
        scheduled = campaign.starts is not None or campaign.ends is not None
        return cls(
            id=campaign.id,
            name=campaign.name,
            trigger=TriggerDocument(
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
            ),
            schedule=(
                ScheduleDocument(starts=campaign.starts, ends=campaign.ends) if scheduled else None
            ),
            caps=CapsDocument(cooldown_s=campaign.cooldown_s) if campaign.cooldown_s else None,
            offer=dict(campaign.offer),
            endpoints=list(campaign.endpoints),
            valid_s=campaign.valid_s,
            status=campaign.status,
            version=campaign.version,
            matches_zones=None if snapshot is None else _matches(trigger, snapshot),
        )


class CampaignPage(Page[CampaignAnswer]):
    """Campaigns, by id."""


def list_campaigns(here: Here, limit: Limit = 100, cursor: Cursor = None) -> CampaignPage:
    """List campaigns.

    By id, whatever their status.
    """
    page = here.services.store.campaigns_page(limit=limit, cursor=cursor)
    return CampaignPage(items=[CampaignAnswer.of(each) for each in page.items], next=page.next)


def get_campaign(id: Id, here: Here) -> CampaignAnswer:
    """Show one campaign.

    With its version and the number of active zones that its trigger means at the moment.
    """
    campaign = here.services.store.campaign(id)
    if campaign is None:
        raise NotFound("campaign", id)
    return CampaignAnswer.of(campaign, here.services.catalog.snapshot)


def put_campaign(id: Id, document: CampaignDocument, here: Here) -> CampaignAnswer:
    """Create or replace a campaign.

    It is checked as a whole (endpoints exist, dates can be read, templates parse) and takes
    effect with the answer, in other processes within a second. Members of the contract that this
    version does not know yet are refused by name, never ignored.
    """
    catalog = here.services.catalog
    stored = catalog.put_campaign(document.to_campaign(id))
    return CampaignAnswer.of(stored, catalog.snapshot)


def delete_campaign(id: Id, here: Here) -> None:
    """Delete a campaign.

    Its decisions and deliveries stay in the history; what is on its way is still delivered.
    """
    here.services.catalog.delete_campaign(id)


def _matches(trigger: Trigger, snapshot: Snapshot) -> int:
    """Count the active zones that a trigger means."""
    everywhere = not trigger.zone_ids and not trigger.zone_tags
    return sum(
        zone.id not in trigger.exclude
        and (
            everywhere or zone.id in trigger.zone_ids or not trigger.zone_tags.isdisjoint(zone.tags)
        )
        for zone in snapshot.index.zones
    )
