"""``/v1/devices/{id}/explain``: the story of a device, for people and for programs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from geotarget.api.deliveries import DELIVERY, DeadLetterAnswer, DeliveryAnswer
from geotarget.api.devices import DEVICE, FixAnswer
from geotarget.api.history import (
    DECISION,
    TRANSITION,
    DecisionAnswer,
    From,
    To,
    TransitionAnswer,
)
from geotarget.api.services import Here
from geotarget.api.values import Id, Name, instant, instant_or_none
from geotarget.errors import InvalidInput, Problem
from geotarget.explaining import Answered, Explanation, Item, Ping, explain, gather
from geotarget.model import Rejected, Trace, Transition

DAY_MS = 86_400_000
AHEAD_MS = 60_000
"""Fix times may lie a little ahead of the clock."""

MEANT: dict[str, Any] = {
    "zone": "kamppi",
    "distance_m": 38.2,
    "verdict": "in",
    "reason": "deep",
    "before": "outside",
    "after": "inside",
    "text": "38 m inside 'Kamppi', accuracy 12 m: deep enough inside for its accuracy, so it "
    "counts as inside (IN deep); the device is inside from here on",
}
PING: dict[str, Any] = {
    "time": "2026-01-01T12:00:00.250Z",
    "decided": "2026-01-01T12:00:00.250Z",
    "lng": 24.9322,
    "lat": 60.1689,
    "accuracy_m": 12.0,
    "status": "applied",
    "moving": True,
    "stance": "on its way",
    "zones": [MEANT],
}
GATE: dict[str, Any] = {
    "gate": "cap",
    "asks": "has the person heard little enough, of this campaign and of all",
    "answer": "passed",
    "text": "1 of at most 3 of this campaign in 7 d",
    "figures": {"caps": [{"of": "of this campaign", "max": 3, "period_s": 604800, "count": 1}]},
}
EXAMPLE: dict[str, Any] = {
    "device": "device-17",
    "zone": None,
    "from": "2026-01-01T11:00:00.000Z",
    "to": "2026-01-01T13:00:00.000Z",
    "traced": True,
    "trace_until": None,
    "last_fix": DEVICE["last_fix"],
    "profile": "device-17",
    "devices": [],
    "cut": [],
    "summary": [
        "Device 'device-17', 2026-01-01 11:00:00 to 2026-01-01 13:00:00 UTC: 1 traced ping.",
        f"12:00:00.250 the fix was {MEANT['text']}.",
    ],
    "timeline": [
        {
            "time": PING["time"],
            "what": "ping",
            "text": f"12:00:00.250 ping, accuracy 12 m: applied. {MEANT['text']}",
            "ping": PING,
        },
        {
            "time": TRANSITION["decided"],
            "what": "transition",
            "text": "12:00:00.250 entered 'Kamppi' (ENTER)",
            "transition": TRANSITION,
        },
        {
            "time": DECISION["time"],
            "what": "decision",
            "text": "12:00:15 campaign 'bun' fired",
            "decision": DECISION | {"gates": [GATE]},
        },
        {
            "time": DELIVERY["created"],
            "what": "delivery",
            "text": "12:00:15 offer.triggered to endpoint 'crm' was delivered",
            "delivery": DELIVERY,
        },
    ],
}


class MeantAnswer(BaseModel):
    """What a ping meant for one zone."""

    zone: str
    distance_m: float | None = Field(
        description="Metres inside the zone, negative outside; null while it was not valid."
    )
    verdict: str = Field(description="`in`, `maybe_in`, `hold` (decides nothing) or `out`.")
    reason: str = Field(description="The test that said so.")
    before: str = Field(description="Phase before: outside, entering, inside, exiting.")
    after: str = Field(description="Phase after.")
    text: str = Field(description="The same in words, with figures.")

    @classmethod
    def of(cls, trace: Trace, text: str) -> MeantAnswer:
        """Return what the API says about a ping and a zone."""
        return cls(
            zone=trace.zone,
            distance_m=trace.distance_m,
            verdict=trace.verdict,
            reason=trace.reason,
            before=trace.before,
            after=trace.after,
            text=text,
        )


class PingAnswer(BaseModel):
    """A ping of a traced device."""

    time: str = Field(description="Fix time.")
    decided: str = Field(description="When it counted: later than `time` for a believed suspect.")
    lng: float
    lat: float
    accuracy_m: float = Field(description="As it counted.")
    status: Literal["applied", "late", "duplicate", "suspect"]
    moving: bool = Field(description="Whether the device was on the move.")
    stance: str = Field(
        description="`on its way`, `at rest` (judged by the mean of its fixes), `stray` or `fast`."
    )
    zones: list[MeantAnswer] = Field(description="Each zone that it met, and what it meant there.")

    @classmethod
    def of(cls, ping: Ping) -> PingAnswer:
        """Return what the API says about a ping."""
        return cls(
            time=instant(ping.ts_ms),
            decided=instant(ping.decided_ms),
            lng=ping.lng,
            lat=ping.lat,
            accuracy_m=ping.acc_m,
            status=ping.status,  # type: ignore[arg-type] # the engine's statuses are these four
            moving=ping.moving,
            stance=ping.stance,
            zones=[MeantAnswer.of(trace, text) for trace, text in ping.meant],
        )


class GateAnswer(BaseModel):
    """What one gate said."""

    gate: str
    asks: str = Field(description="Its question.")
    answer: Literal["passed", "refused", "not asked"]
    text: str = Field(description="Why it refused, or what it let pass; empty where that is plain.")
    figures: dict[str, Any] = Field(description="What it looked at; empty where that was nothing.")


class AnsweredAnswer(DecisionAnswer):
    """A decision with the answer of every gate, in the order in which they are asked."""

    model_config = ConfigDict(json_schema_extra={"examples": [DECISION | {"gates": [GATE]}]})

    gates: list[GateAnswer] = Field(description="All ten, in the order in which they are asked.")

    @classmethod
    def of_answered(cls, answered: Answered) -> AnsweredAnswer:
        """Return what the API says about a decision and its gates."""
        return cls(
            **DecisionAnswer.of(answered.decision).model_dump(),
            gates=[
                GateAnswer(
                    gate=each.gate,
                    asks=each.asks,
                    answer=each.answer,  # type: ignore[arg-type] # one of three
                    text=each.text,
                    figures=dict(each.figures),
                )
                for each in answered.gates
            ],
        )


class ItemAnswer(BaseModel):
    """One thing that happened; the member named by `what` holds it, the others are null."""

    time: str = Field(description="When it was decided, or arrived.")
    what: Literal["ping", "transition", "decision", "delivery", "refused"]
    text: str
    ping: PingAnswer | None = None
    transition: TransitionAnswer | None = None
    decision: AnsweredAnswer | None = None
    delivery: DeliveryAnswer | None = None
    refused: DeadLetterAnswer | None = None

    @classmethod
    def of(cls, item: Item) -> ItemAnswer:
        """Return what the API says about an item of a timeline."""
        about = item.about
        said: dict[str, Any]
        if isinstance(about, Ping):
            said = {"ping": PingAnswer.of(about)}
        elif isinstance(about, Transition):
            said = {"transition": TransitionAnswer.of(about)}
        elif isinstance(about, Answered):
            said = {"decision": AnsweredAnswer.of_answered(about)}
        elif isinstance(about, Rejected):
            said = {"refused": DeadLetterAnswer.of(about)}
        else:
            said = {"delivery": DeliveryAnswer.of(about)}
        (what,) = said
        return cls(time=instant(item.at_ms), what=what, text=item.text, **said)  # type: ignore[arg-type] # one of five


class ExplainAnswer(BaseModel):
    """Why a device did, and did not, enter and fire."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]}, serialize_by_alias=True)

    device: str
    zone: str | None = Field(description="The only zone that was asked about.")
    since: str = Field(alias="from", description="From this fix time on.")
    to: str = Field(description="Before this fix time.")
    traced: bool = Field(description="Whether any ping of this span was traced.")
    trace_until: str | None = Field(description="Until when its pings are traced.")
    last_fix: FixAnswer | None = Field(
        description="The last one that was accepted, in this span or not; null for a device that "
        "was never heard of."
    )
    profile: str = Field(description="Whose device it is; its own id where it is nobody's.")
    devices: list[str] = Field(
        description="Devices of the profile that has this id: where `device` names a person."
    )
    cut: list[str] = Field(description="Lists that hold more than is shown; ask for less time.")
    summary: list[str] = Field(description="What matters, in sentences; instants are UTC.")
    timeline: list[ItemAnswer] = Field(description="All that happened, as it was decided.")

    @classmethod
    def of(
        cls, explanation: Explanation, *, profile: str = "", devices: Sequence[str] = ()
    ) -> ExplainAnswer:
        """Return what the API says about an explanation, and whose device it is."""
        evidence = explanation.evidence
        fix = evidence.standing.fix
        return cls.model_validate(
            {
                "device": evidence.standing.device,
                "zone": evidence.zone or None,
                "from": instant(evidence.from_ms),
                "to": instant(evidence.to_ms),
                "traced": bool(evidence.traces),
                "trace_until": instant_or_none(evidence.standing.traced_until_ms),
                "last_fix": None if fix is None else FixAnswer.of(fix),
                "profile": profile or evidence.standing.device,
                "devices": list(devices),
                "cut": list(evidence.cut),
                "summary": list(explanation.summary),
                "timeline": [ItemAnswer.of(each) for each in explanation.timeline],
            }
        )


def explain_device(
    id: Id,
    here: Here,
    *,
    since: From = None,
    to: To = None,
    zone: Annotated[Name | None, Query(description="Only this zone.")] = None,
) -> ExplainAnswer:
    """Explain what a device did and did not do.

    Why it entered or did not, why an offer fired or did not: transitions with their evidence,
    decisions with the answer of every gate, deliveries, refused pings, and, for the time in which
    the device was traced, every ping with its verdict for every zone that it met. `from` is a day
    before `to` if left out, and `to` is now. A device that was never heard of is explained as that;
    where the id is that of a person, `devices` names theirs.
    """
    now_ms = time.time_ns() // 1_000_000
    to_ms = now_ms + AHEAD_MS if to is None else to
    from_ms = to_ms - DAY_MS if since is None else since
    if from_ms >= to_ms:
        raise InvalidInput(
            Problem("from", instant(from_ms), f"must be before to, {instant(to_ms)}")
        )
    services = here.services
    store = services.store
    namesake = store.profile(id)
    return ExplainAnswer.of(
        explain(
            gather(
                store,
                id,
                from_ms=from_ms,
                to_ms=to_ms,
                zone=zone or "",
                rules=services.rules,
                now_ms=now_ms,
            )
        ),
        profile=store.profiles_of([id])[id].id,
        devices=() if namesake is None else namesake.devices,
    )
