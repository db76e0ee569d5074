"""``/v1/transitions`` and ``/v1/decisions``: what happened, and why an offer went out or not."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from geotarget.api.services import Here
from geotarget.api.values import Cursor, Instant, Limit, Name, Page, instant, instant_or_none
from geotarget.explaining import why
from geotarget.model import Decision, Kind, Transition

TRANSITION: dict[str, Any] = {
    "id": "019b79a2c0fa5d1c",
    "visit": "019b79a2c0fa77aa",
    "device": "device-17",
    "zone": "kamppi",
    "zone_revision": 3,
    "kind": "enter",
    "time": "2026-01-01T12:00:00.250Z",
    "decided": "2026-01-01T12:00:15.000Z",
    "confidence": 3,
    "p": 0.97,
    "initial": False,
    "threshold_s": None,
    "duration_s": None,
    "distance_m": 38.2,
    "accuracy_m": 12.0,
    "reason": "deep",
}

DECISION: dict[str, Any] = {
    "id": "019b79a2c0fa9e01",
    "campaign": "bun",
    "campaign_version": 1,
    "transition": "019b79a2c0fa5d1c",
    "device": "device-17",
    "profile": "device-17",
    "zone": "kamppi",
    "gate": "fired",
    "reason": "all gates passed",
    "why": "The offer was made: every gate let it pass.",
    "time": "2026-01-01T12:00:15.000Z",
    "inputs": {},
    "passed": {
        "cap": {"caps": [{"of": "of this campaign", "max": 3, "period_s": 604800, "count": 1}]}
    },
    "held_out": False,
    "variant": "warm",
    "language": "fi",
    "offer": {"title": "Hei Aino", "text": "Pulla 2 € · Kamppi"},
    "cost": 0.05,
    "visit": "019b79a2c0fa77aa",
    "day": "2026-01-01",
    "expires": "2026-01-01T13:00:15.000Z",
}

OfDevice = Annotated[Name | None, Query(description="Only this device.")]
OfZone = Annotated[Name | None, Query(description="Only this zone.")]
OfCampaign = Annotated[Name | None, Query(description="Only this campaign.")]
OfKind = Annotated[Kind | None, Query(description="Only this kind.")]
OfGate = Annotated[
    Name | None,
    Query(description="`fired`, or the gate that refused.", examples=["fired"]),
]
From = Annotated[
    Instant | None,
    Query(alias="from", description="From this instant on: RFC 3339 or epoch seconds."),
]
To = Annotated[
    Instant | None,
    Query(description="Before this instant: RFC 3339 or epoch seconds."),
]


class TransitionAnswer(BaseModel):
    """A device entered, dwelt in, left or crossed a zone."""

    model_config = ConfigDict(json_schema_extra={"examples": [TRANSITION]})

    id: str
    visit: str = Field(description="The stay that it belongs to.")
    device: str
    zone: str
    zone_revision: int
    kind: Kind
    time: str = Field(description="When it happened.")
    decided: str = Field(description="Fix time of the ping that settled it.")
    confidence: int = Field(description="1 likely, 2 confirmed, 3 certain.")
    p: float = Field(description="Probability that it is true.")
    initial: bool = Field(description="The device was inside from its first ping.")
    threshold_s: int | None = Field(description="Of a dwell: how long it had to last.")
    duration_s: float | None = Field(description="Of an exit: how long the visit lasted.")
    distance_m: float | None = Field(
        description="How far inside the zone the deciding ping was, metres; negative outside, null "
        "where no ping decided."
    )
    accuracy_m: float | None = Field(description="Accuracy of that ping, metres.")
    reason: str = Field(
        description="The test that it met (`deep`, `centre`, `far`, …), or `timer`, `chord`, "
        "`edit`, `gone`; empty in what an older version decided."
    )

    @classmethod
    def of(cls, transition: Transition) -> TransitionAnswer:
        """Return what the API says about a transition."""
        return cls(
            id=transition.id,
            visit=transition.visit,
            device=transition.device,
            zone=transition.zone,
            zone_revision=transition.zone_revision,
            kind=transition.kind,
            time=instant(transition.ts_ms),
            decided=instant(transition.decided_ms),
            confidence=transition.confidence,
            p=transition.p,
            initial=transition.initial,
            threshold_s=transition.threshold_s,
            duration_s=transition.duration_s,
            distance_m=transition.distance_m,
            accuracy_m=transition.accuracy_m,
            reason=transition.reason,
        )


class TransitionPage(Page[TransitionAnswer]):
    """Transitions, newest first."""


class DecisionAnswer(BaseModel):
    """One campaign's answer to one transition."""

    model_config = ConfigDict(json_schema_extra={"examples": [DECISION]})

    id: str = Field(description="Also the `decision` of the offer that was sent.")
    campaign: str
    campaign_version: int
    transition: str
    device: str
    profile: str
    zone: str
    gate: str = Field(
        description="`fired`, or the first gate that refused: trigger, schedule, consent, "
        "audience, holdout, cap, budget, arbitration, variant, content."
    )
    reason: str = Field(description="Why, in the gate's own words.")
    why: str = Field(description="Why, in a sentence for people, with the value and its bound.")
    time: str = Field(description="When it was decided.")
    inputs: dict[str, Any] = Field(description="What the gate looked at.")
    passed: dict[str, dict[str, Any]] = Field(
        description="What the gates before it looked at; those that had nothing to look at are "
        "left out."
    )
    held_out: bool = Field(
        description="The profile belongs to the control group: `offer` was not sent."
    )
    variant: str | None = Field(description="Null without variants.")
    language: str = Field(description="Tag of the translation; empty for the offer as written.")
    offer: dict[str, Any] | None = Field(
        description="As it was rendered; what would have been sent to a held-out profile; else "
        "null."
    )
    cost: float = Field(description="What it costs, in the campaign's currency; 0 if refused.")
    visit: str = Field(description="The stay that it belongs to.")
    day: str = Field(description="Its date in the zone's own time zone, as in reports.")
    expires: str | None = Field(description="Until when the offer holds.")

    @classmethod
    def of(cls, decision: Decision) -> DecisionAnswer:
        """Return what the API says about a decision."""
        return cls(
            id=decision.id,
            campaign=decision.campaign,
            campaign_version=decision.campaign_version,
            transition=decision.transition,
            device=decision.device,
            profile=decision.profile,
            zone=decision.zone,
            gate=decision.gate,
            reason=decision.reason,
            why=why(decision),
            time=instant(decision.decided_ms),
            inputs=dict(decision.inputs),
            passed={gate: dict(figures) for gate, figures in decision.passed.items()},
            held_out=decision.held_out,
            variant=decision.variant or None,
            language=decision.language,
            offer=None if decision.offer is None else dict(decision.offer),
            cost=decision.cost_micros / 1_000_000,
            visit=decision.visit,
            day=decision.day,
            expires=instant_or_none(decision.expires_ms),
        )


class DecisionPage(Page[DecisionAnswer]):
    """Decisions, newest first."""


def list_transitions(
    here: Here,
    *,
    device: OfDevice = None,
    zone: OfZone = None,
    kind: OfKind = None,
    since: From = None,
    to: To = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> TransitionPage:
    """List transitions.

    Those decided last first; `from` and `to` go by the time when they happened.
    """
    page = here.services.store.transitions_page(
        device=device,
        zone=zone,
        kind=kind,
        from_ms=since,
        to_ms=to,
        limit=limit,
        cursor=cursor,
    )
    return TransitionPage(items=[TransitionAnswer.of(each) for each in page.items], next=page.next)


def list_decisions(
    here: Here,
    *,
    device: OfDevice = None,
    zone: OfZone = None,
    campaign: OfCampaign = None,
    gate: OfGate = None,
    since: From = None,
    to: To = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> DecisionPage:
    """List decisions.

    Newest first. Each tells which gate decided, why, and what it looked at.
    """
    page = here.services.store.decisions_page(
        device=device,
        zone=zone,
        campaign=campaign,
        gate=gate,
        from_ms=since,
        to_ms=to,
        limit=limit,
        cursor=cursor,
    )
    return DecisionPage(items=[DecisionAnswer.of(each) for each in page.items], next=page.next)
