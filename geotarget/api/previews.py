"""Previews of offers: what would be sent to whom, before anybody is sent anything."""

from __future__ import annotations

import time
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.requests import Request

from geotarget.api.auth import Scope
from geotarget.api.campaign_documents import CampaignDocument
from geotarget.api.services import Here
from geotarget.api.values import Document, Id, Name
from geotarget.errors import InvalidCampaign, InvalidInput, NotFound, Problem
from geotarget.explaining import beforehand
from geotarget.model import Behaviour, Campaign, Profile, Zone
from geotarget.targeting.checks import problems_of
from geotarget.targeting.trying import NOBODY, NOWHERE, preview

EXAMPLE: dict[str, Any] = {"sample": {"first_name": "Aino", "language": "fi"}, "zone": None}
DRAFT: dict[str, Any] = {
    "name": "Draft",
    "offer": {"text": "Hello {{ profile.first_name }} at {{ zone.name }}"},
    "endpoints": ["crm"],
}


class PreviewDocument(Document):
    """For whom and where to render."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    profile: Name | None = Field(default=None, description="Id of a stored profile.")
    sample: Annotated[dict[str, Any], Field(max_length=1_000)] | None = Field(
        default=None, description="Attributes of a profile that there is not; instead of `profile`."
    )
    zone: Name | None = Field(default=None, description="Id of a zone; a made-up one if left out.")
    variant: Name | None = Field(default=None, description="Only this variant.")
    language: Annotated[str, StringConstraints(max_length=35)] | None = Field(
        default=None, description="Only this language; an empty text is the default one."
    )


class DraftPreviewDocument(PreviewDocument):
    """A campaign that is not stored, and for whom and where to render its offers."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"campaign": DRAFT, **EXAMPLE}]})

    id: Name | None = Field(
        default=None,
        description="Id of the campaign that this would replace: what that one sent and spent "
        "counts for the gates, and who is held out goes by it.",
    )
    campaign: CampaignDocument = Field(description="As `PUT /v1/campaigns/{id}` takes it.")


class PreviewItem(BaseModel):
    """One offer as it would be sent."""

    variant: str | None
    language: str = Field(description="Tag of the language; empty is the default one.")
    offer: dict[str, Any] | None = Field(description="Null when it does not render.")
    problem: str | None = Field(description="Why it does not, with the line; null when it does.")
    path: str | None = Field(description="Where in the campaign; null when it renders.")


class GateItem(BaseModel):
    """What one gate would say."""

    gate: str = Field(description="As in decisions.")
    holds: bool | None = Field(
        description="Whether it would let the offer pass; null: one before it refuses, so it "
        "would not be asked."
    )
    reason: str = Field(
        description="Why it would refuse, or what it looked at; empty where there is nothing to "
        "tell."
    )


class PreviewAnswer(BaseModel):
    """Offers of a campaign, rendered."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "profile": "aino",
                    "zone": "kamppi",
                    "offers": [
                        {
                            "variant": None,
                            "language": "",
                            "offer": {"text": "Hello Aino at Kamppi"},
                            "problem": None,
                            "path": None,
                        }
                    ],
                    "gates": [
                        {"gate": "trigger", "holds": True, "reason": ""},
                        {"gate": "schedule", "holds": True, "reason": ""},
                        {
                            "gate": "consent",
                            "holds": False,
                            "reason": "This person has said no to marketing.",
                        },
                    ],
                }
            ]
        }
    )

    profile: str | None = Field(description="Null for a made-up one.")
    zone: str | None = Field(description="Null for a made-up one.")
    offers: list[PreviewItem] = Field(description="By variant and language.")
    gates: list[GateItem] | None = Field(
        description="All gates in their order, asked as if the profile entered the zone now (or "
        "did what the trigger waits for) while the campaign runs, whatever its status. Nothing is "
        "counted. Null without a stored profile."
    )


def preview_campaign(
    id: Id, document: PreviewDocument, here: Here, request: Request
) -> PreviewAnswer:
    """Preview the offers of a campaign.

    Each variant in each language, rendered for a profile at a zone by the code that renders live
    ones; for a stored profile also whether it would be sent, gate by gate. Nothing is sent, counted
    or stored. A stored profile needs the scope `profiles:read` too.
    """
    campaign = here.services.store.campaign(id)
    if campaign is None:
        raise NotFound("campaign", id)
    return _preview(campaign, document, here, request)


def preview_draft(document: DraftPreviewDocument, here: Here, request: Request) -> PreviewAnswer:
    """Preview the offers of a draft.

    As the preview of a stored campaign, for one that is not stored. It is checked as when it is
    saved, but endpoints and audiences need not exist.
    """
    campaign = document.campaign.to_campaign(document.id or "draft")
    problems = [*document.campaign.problems(), *problems_of(campaign)]
    if problems:
        raise InvalidCampaign(
            *(
                Problem("$.campaign" + each.path.removeprefix("$"), each.value, each.reason)
                for each in problems
            )
        )
    return _preview(campaign, document, here, request)


def _preview(
    campaign: Campaign, document: PreviewDocument, here: Here, request: Request
) -> PreviewAnswer:
    if document.profile is not None:
        request.state.caller.require(Scope.PROFILES_READ)  # a template can show all of it
    profile, behaviour = _who(document, here)
    zone = _where(document, here)
    now_ms = time.time_ns() // 1_000_000
    tried = preview(
        campaign,
        profile,
        zone,
        behaviour=behaviour,
        now_ms=now_ms,
        variant=document.variant,
        language=document.language,
    )
    if not tried:
        told = document.variant if document.variant is not None else document.language
        reason = "the campaign has no such variant in this language"
        raise InvalidInput(
            Problem("$.variant" if document.variant else "$.language", str(told), reason)
        )
    return PreviewAnswer(
        profile=document.profile,
        zone=document.zone,
        offers=[
            PreviewItem(
                variant=each.variant or None,
                language=each.language,
                offer=None if each.offer is None else dict(each.offer),
                problem=each.problem or None,
                path=each.path or None,
            )
            for each in tried
        ],
        gates=None if document.profile is None else _gates(campaign, profile, zone, here, now_ms),
    )


def _gates(
    campaign: Campaign, profile: Profile, zone: Zone, here: Here, now_ms: int
) -> list[GateItem]:
    holds = {"passed": True, "refused": False}
    answers = beforehand(
        campaign,
        profile,
        zone,
        store=here.services.store,
        snapshot=here.services.catalog.snapshot,
        policy=here.services.policy,
        now_ms=now_ms,
    )
    return [
        GateItem(gate=each.gate, holds=holds.get(each.answer), reason=each.text) for each in answers
    ]


def _who(document: PreviewDocument, here: Here) -> tuple[Profile, Behaviour]:
    if document.profile is not None and document.sample is not None:
        raise InvalidInput(Problem("$.sample", "", "give either a profile or a sample"))
    if document.profile is None:
        return Profile(id=NOBODY.id, attributes=document.sample or {}), Behaviour()
    store = here.services.store
    profile = store.profile(document.profile)
    behaviour = store.behaviour(document.profile)
    if profile is None and behaviour is None:
        raise InvalidInput(Problem("$.profile", document.profile, "no profile has this id"))
    return profile or Profile(id=document.profile), behaviour or Behaviour()


def _where(document: PreviewDocument, here: Here) -> Zone:
    if document.zone is None:
        return NOWHERE
    zone = here.services.store.zone(document.zone)
    if zone is None:
        raise InvalidInput(Problem("$.zone", document.zone, "no zone has this id"))
    return zone
