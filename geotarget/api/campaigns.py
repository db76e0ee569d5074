"""``/v1/campaigns``: who is meant, when, how often, what is offered, and who is told."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from geotarget.api.campaign_documents import EXAMPLE, CampaignAnswer, CampaignDocument
from geotarget.api.preconditions import OnlyIf, etag
from geotarget.api.services import Here, Who
from geotarget.api.values import Cursor, Id, Limit, Page, instant
from geotarget.errors import InvalidInput, NotFound, Problem
from geotarget.targeting.allocation import shares

RESERVED = ("/versions", "/variants")
"""What an id may not end in: these are addresses of a campaign's own."""

ARM: dict[str, Any] = {
    "variant": "plain",
    "weight": 1,
    "share": 0.5,
    "sent": 120,
    "converted": 9,
    "expected_rate": 0.0806,
}
Version = Annotated[
    int | None, Query(ge=1, le=2**31 - 1, description="As it was in this version; now without it.")
]


class CampaignPage(Page[CampaignAnswer]):
    """Campaigns, by id."""


class VersionItem(BaseModel):
    """One version of a campaign."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "version": 1,
                    "stored": "2026-01-01T12:00:00.000Z",
                    "by": "kim",
                    "campaign": {"id": "bun", **EXAMPLE, "version": 1},
                }
            ]
        }
    )

    version: int
    stored: str = Field(description="When it was stored.")
    by: str | None = Field(
        description="Who stored it: the name of a key, or `cli`; null where the audit log does not "
        "say."
    )
    campaign: CampaignAnswer


class VersionPage(Page[VersionItem]):
    """Versions of a campaign, newest first."""


class ArmItem(BaseModel):
    """What a variant has come to."""

    model_config = ConfigDict(json_schema_extra={"examples": [ARM]})

    variant: str
    weight: float = Field(description="As its author set it.")
    share: float = Field(description="Which part of the next offers is expected to be this one.")
    sent: int = Field(description="Offers sent.")
    converted: int = Field(description="How many of them were followed by a conversion.")
    expected_rate: float = Field(
        description="Mean of the distribution that `thompson` draws from: (converted + 1) / "
        "(sent + 2)."
    )


class ArmsAnswer(BaseModel):
    """How the variants of a campaign do."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"campaign": "bun", "version": 3, "allocation": "thompson", "variants": [ARM]}
            ]
        }
    )

    campaign: str
    version: int
    allocation: str = Field(description="`weights` or `thompson`.")
    variants: list[ArmItem]


def list_campaigns(here: Here, limit: Limit = 100, cursor: Cursor = None) -> CampaignPage:
    """List campaigns.

    By id, whatever their status.
    """
    page = here.services.store.campaigns_page(limit=limit, cursor=cursor)
    changed = here.services.store.campaign_changes([each.id for each in page.items])
    items = [CampaignAnswer.of(each, updated_ms=changed.get(each.id)) for each in page.items]
    return CampaignPage(items=items, next=page.next)


def get_campaign(id: Id, here: Here, response: Response, version: Version = None) -> CampaignAnswer:
    """Show one campaign.

    With its version and the number of active zones that its trigger means at the moment. Any
    earlier version can be asked for, also of a campaign that is deleted. The header `ETag` is the
    version, to be sent back in `If-Match` with a change.
    """
    store, snapshot = here.services.store, here.services.catalog.snapshot
    campaign = store.campaign(id, version=version)
    if campaign is None:
        raise NotFound("campaign" if version is None else f"version {version} of a campaign", id)
    changed = store.campaign_changed(id, campaign.version)
    response.headers["ETag"] = etag(campaign.version)
    return CampaignAnswer.of(campaign, snapshot, updated_ms=changed)


def put_campaign(
    id: Id,
    document: CampaignDocument,
    here: Here,
    who: Who,
    only_if: OnlyIf,
    response: Response,
) -> CampaignAnswer:
    """Create or replace a campaign.

    It is checked as a whole (endpoints and audiences exist, dates can be read, rules and templates
    parse, the offer renders for stored profiles) and takes effect with the answer, in other
    processes within a second. Who is inside already hears nothing of a change, unless
    `include_inside` asks for it. With `If-Match` it replaces only the version that was looked at:
    412 tells who stored another one, and when.
    """
    if id.endswith(RESERVED):
        reason = f"may not end in {' or '.join(RESERVED)}"
        raise InvalidInput(Problem("id", id, reason))
    catalog, store = here.services.catalog, here.services.store
    before = store.campaign(id)
    asked_ms = before.inside_asked_ms if before else None
    if document.include_inside:
        asked_ms = time.time_ns() // 1_000_000
    campaign = document.to_campaign(id, inside_asked_ms=asked_ms)
    stored, warnings = catalog.save_campaign(
        campaign, by=who, problems=document.problems(), only_if=only_if
    )
    changed = store.campaign_changed(id, stored.version)
    response.headers["ETag"] = etag(stored.version)
    return CampaignAnswer.of(stored, catalog.snapshot, warnings, updated_ms=changed)


def delete_campaign(id: Id, here: Here, who: Who) -> None:
    """Delete a campaign.

    Its versions, decisions and deliveries stay in the history; what is on its way is still
    delivered.
    """
    here.services.catalog.delete_campaign(id, by=who)


def list_versions(id: Id, here: Here, limit: Limit = 100, cursor: Cursor = None) -> VersionPage:
    """List the versions of a campaign.

    Newest first, each with its time, its author and as it was; decisions name the version that
    decided. Also of a campaign that is deleted.
    """
    store = here.services.store
    page = store.campaign_versions(id, limit=limit, cursor=cursor)
    if not page.items and cursor is None:
        raise NotFound("campaign", id)
    authors = store.campaign_authors(id, [each.version for _, each in page.items])
    return VersionPage(
        items=[
            VersionItem(
                version=each.version,
                stored=instant(at_ms),
                by=authors.get(each.version),
                campaign=CampaignAnswer.of(each, updated_ms=at_ms),
            )
            for at_ms, each in page.items
        ],
        next=page.next,
    )


def show_variants(id: Id, here: Here) -> ArmsAnswer:
    """Show how the variants of a campaign do.

    What each has come to, and which part of the next offers it is expected to get: with
    `thompson` that is the state of the bandit. Empty for a campaign with a single offer.
    """
    store = here.services.store
    campaign = store.campaign(id)
    if campaign is None:
        raise NotFound("campaign", id)
    arms = {(id, variant): arm for variant, arm in store.arms(id).items()}
    weights = {each.id: each.weight for each in campaign.variants}
    return ArmsAnswer(
        campaign=id,
        version=campaign.version,
        allocation=campaign.allocation,
        variants=[
            ArmItem(
                variant=each.variant,
                weight=weights[each.variant],
                share=each.share,
                sent=each.sent,
                converted=each.converted,
                expected_rate=each.mean,
            )
            for each in shares(campaign, arms)
        ],
    )
