"""``/v1/deliveries`` and ``/v1/dead-letters``: what went out, what did not, and once more."""

from __future__ import annotations

import base64
import time
from typing import Annotated, Any, Literal

import msgspec
from fastapi import Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from geotarget.api.history import From, OfCampaign, OfDevice, OfZone, To
from geotarget.api.services import Here, Who
from geotarget.api.values import (
    Cursor,
    Document,
    Id,
    Instant,
    Limit,
    Line,
    Name,
    Page,
    Whole,
    instant,
    instant_or_none,
)
from geotarget.errors import NotFound
from geotarget.explaining import advice
from geotarget.model import Attempt, Rejected
from geotarget.store import MOST_REPLAYED, DeliveryDetail, DeliveryRow, Replay

State = Literal["pending", "delivered", "failed", "expired"]

DELIVERY: dict[str, Any] = {
    "id": "019b79a2c0fa9e01",
    "endpoint": "crm",
    "type": "offer.triggered",
    "device": "device-17",
    "zone": "kamppi",
    "campaign": "coffee",
    "created": "2026-01-01T12:00:15.000Z",
    "expires": "2026-01-01T13:00:15.000Z",
    "state": "delivered",
    "attempts": 1,
    "next_attempt": None,
    "status": 204,
    "finished": "2026-01-01T12:00:15.087Z",
}
ATTEMPT: dict[str, Any] = {
    "attempt": 1,
    "started": "2026-01-01T12:00:15.012Z",
    "duration_ms": 75,
    "state": "delivered",
    "status": 204,
    "error": "",
    "answer": "",
}

DETAIL = DELIVERY | {"body": {"type": "offer.triggered", "data": {}}, "history": [ATTEMPT]}

OfEndpoint = Annotated[Name | None, Query(description="Only this endpoint.")]
OfType = Annotated[
    Name | None,
    Query(description="Only this type of event.", examples=["offer.triggered"]),
]
OfState = Annotated[State | None, Query(description="Only in this state.")]


class DeliveryAnswer(BaseModel):
    """One event on its way to one endpoint."""

    model_config = ConfigDict(json_schema_extra={"examples": [DELIVERY]})

    id: str = Field(description="The `webhook-id` that the receiver sees.")
    endpoint: str
    type: str
    device: str
    zone: str
    campaign: str | None = Field(description="Null for a plain transition.")
    created: str
    expires: str | None = Field(description="After this it is not sent any more.")
    state: State
    attempts: int = Field(description="How often it was posted.")
    next_attempt: str | None = Field(
        description="While it is pending: when it is posted next. Null while it waits for an "
        "earlier one of its device, as its endpoint wants it."
    )
    status: int | None = Field(description="HTTP status of the last attempt.")
    finished: str | None = Field(description="When it stopped being pending.")

    @classmethod
    def of(cls, row: DeliveryRow) -> DeliveryAnswer:
        """Return what the API says about a delivery."""
        return cls(
            id=row.webhook_id,
            endpoint=row.endpoint,
            type=row.type,
            device=row.device,
            zone=row.zone,
            campaign=row.campaign or None,
            created=instant(row.created_ms),
            expires=instant_or_none(row.expires_ms),
            state=row.state,  # type: ignore[arg-type] # the store's states are these four
            attempts=row.attempts,
            next_attempt=instant_or_none(row.next_attempt_ms) if row.state == "pending" else None,
            status=row.status,
            finished=instant_or_none(row.finished_ms),
        )


class DeliveryPage(Page[DeliveryAnswer]):
    """Deliveries, newest first."""


class AttemptAnswer(BaseModel):
    """What one post came to."""

    model_config = ConfigDict(json_schema_extra={"examples": [ATTEMPT]})

    attempt: int
    started: str
    duration_ms: int
    state: State = Field(description="What it left the delivery in.")
    status: int | None = Field(description="Null when there was no answer.")
    error: str = Field(description="Why there was none.")
    answer: str = Field(description="The beginning of what the receiver answered.")

    @classmethod
    def of(cls, attempt: Attempt) -> AttemptAnswer:
        """Return what the API says about an attempt."""
        return cls(
            attempt=attempt.attempt,
            started=instant(attempt.started_ms),
            duration_ms=attempt.duration_ms,
            state=attempt.state,  # type: ignore[arg-type] # the store's states are these four
            status=attempt.status,
            error=attempt.error,
            answer=attempt.answer,
        )


class DeliveryDetailAnswer(DeliveryAnswer):
    """One delivery with what is posted and how that went."""

    model_config = ConfigDict(json_schema_extra={"examples": [DETAIL]})

    body: dict[str, Any] = Field(description="What is posted.")
    history: list[AttemptAnswer] = Field(description="All attempts, oldest first.")

    @classmethod
    def of_detail(cls, detail: DeliveryDetail) -> DeliveryDetailAnswer:
        """Return what the API says about a delivery in full."""
        return cls(
            **DeliveryAnswer.of(detail.delivery).model_dump(),
            body=msgspec.json.decode(detail.body),
            history=[AttemptAnswer.of(each) for each in detail.attempts],
        )


class EventAnswer(BaseModel):
    """One event and its deliveries, one per endpoint."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"id": DELIVERY["id"], "items": [DETAIL]}]}
    )

    id: str = Field(description="The `webhook-id` that receivers see.")
    items: list[DeliveryDetailAnswer]


class ReplayAnswer(BaseModel):
    """How many deliveries wait for their next attempt now."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"requeued": 1}]})

    requeued: int


def _integral(value: object) -> object:
    """Take 100.0 for 100, as JSON Schema does."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class ReplayDocument(Document):
    """Which deliveries are sent again."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"from": "2026-01-01T12:00:00Z", "endpoint": "crm"}]}
    )

    since: Instant = Field(alias="from", description="Those made at this instant or later.")
    to: Instant | None = Field(default=None, description="Those made before it; default: now.")
    state: list[State] = Field(
        default=["failed"],
        min_length=1,
        max_length=4,
        description="Those in one of these states. `pending` means those that wait for a later "
        "attempt: they are tried at once. Offers that have expired are left out unless `expired` "
        "is among these; then they are sent all the same.",
    )
    endpoint: Name | None = Field(default=None, description="Only to this endpoint.")
    campaign: Name | None = Field(default=None, description="Only offers of this campaign.")
    limit: Annotated[Whole, BeforeValidator(_integral)] = Field(
        default=10_000, ge=1, le=MOST_REPLAYED, description="Most deliveries, the oldest first."
    )
    cursor: Line | None = Field(
        default=None,
        description="`next` of the answer before; the other members must stay the same.",
    )


class ReplaysAnswer(ReplayAnswer):
    """How many deliveries wait for their next attempt now, and whether that was all."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"requeued": 1, "next": None}]})

    next: str | None = Field(description="Cursor for more of them; null when that was all.")


class DeadLetterAnswer(BaseModel):
    """A ping or message that was refused."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "source": "pings/device-17",
                    "received": "2026-01-01T12:00:00.250Z",
                    "reason": "latitude",
                    "detail": "$.lat: latitude must be within -90 and 90, not 95.0",
                    "advice": advice("latitude"),
                    "index": None,
                    "payload": '{"ts": 1767268800, "lat": 95.0, "lng": 24.9}',
                    "encoding": "text",
                }
            ]
        }
    )

    source: str = Field(description="The MQTT topic, or `http`.")
    received: str
    reason: str = Field(description="A short code, also in the metrics.")
    detail: str = Field(description="Place, value and bound.")
    advice: str = Field(description="What to do about it.")
    index: int | None = Field(description="Position in an array message.")
    payload: str = Field(description="What came, at most 64 KiB of it.")
    encoding: Literal["text", "base64"] = Field(description="How `payload` is written.")

    @classmethod
    def of(cls, letter: Rejected) -> DeadLetterAnswer:
        """Return what the API says about a dead letter."""
        try:
            payload, encoding = letter.payload.decode(), "text"
        except UnicodeDecodeError:
            payload, encoding = base64.b64encode(letter.payload).decode(), "base64"
        return cls(
            source=letter.source,
            received=instant(letter.received_ms),
            reason=letter.reason,
            detail=letter.detail,
            advice=advice(letter.reason),
            index=letter.index,
            payload=payload,
            encoding=encoding,  # type: ignore[arg-type] # set three lines above
        )


class DeadLetterPage(Page[DeadLetterAnswer]):
    """Dead letters, newest first."""


def list_deliveries(
    here: Here,
    *,
    device: OfDevice = None,
    zone: OfZone = None,
    campaign: OfCampaign = None,
    endpoint: OfEndpoint = None,
    type: OfType = None,
    state: OfState = None,
    since: From = None,
    to: To = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> DeliveryPage:
    """List deliveries.

    Newest first, without their bodies. An event that goes to two endpoints is two deliveries.
    """
    page = here.services.store.deliveries_page(
        device=device,
        zone=zone,
        campaign=campaign,
        endpoint=endpoint,
        type=type,
        state=state,
        from_ms=since,
        to_ms=to,
        limit=limit,
        cursor=cursor,
    )
    return DeliveryPage(items=[DeliveryAnswer.of(each) for each in page.items], next=page.next)


def get_delivery(id: Id, here: Here) -> EventAnswer:
    """Show one event and its deliveries.

    By `webhook-id`: what is posted, to whom, and all attempts.
    """
    found = here.services.store.delivery(id)
    if not found:
        raise NotFound("delivery", id)
    return EventAnswer(id=id, items=[DeliveryDetailAnswer.of_detail(each) for each in found])


def replay_delivery(
    id: Id,
    here: Here,
    who: Who,
    endpoint: Annotated[Name | None, Query(description="Only to this endpoint.")] = None,
) -> ReplayAnswer:
    """Send an event again.

    Delivered or not: the same bytes under the same `webhook-id`, at once.
    """
    now_ms = time.time_ns() // 1_000_000
    requeued = here.services.store.requeue(id, endpoint, now_ms=now_ms)
    if not requeued:
        raise NotFound("delivery", id)
    here.services.store.add_audit(who, "delivery.replay", id, {"count": requeued})
    here.services.wake_delivery()
    return ReplayAnswer(requeued=requeued)


def replay_deliveries(document: ReplayDocument, here: Here, who: Who) -> ReplaysAnswer:
    """Send many events again.

    After an outage of a receiver: all that failed since an instant, or what `state` names; the same
    bytes under the same `webhook-id`, at once, the oldest first. What waits already is not touched,
    so the same request again changes nothing more. What goes to endpoints that were deleted is left
    out.
    """
    store = here.services.store
    if document.endpoint is not None and store.endpoint(document.endpoint) is None:
        raise NotFound("endpoint", document.endpoint)
    wanted = Replay(
        from_ms=document.since,
        to_ms=document.to,
        states=frozenset(document.state),
        endpoint=document.endpoint,
        campaign=document.campaign,
        limit=document.limit,
        cursor=document.cursor,
    )
    done = store.replay(wanted, now_ms=time.time_ns() // 1_000_000)
    if done.requeued:
        store.add_audit(who, "delivery.replay", document.endpoint or "", {"count": done.requeued})
        here.services.wake_delivery()
    return ReplaysAnswer(requeued=done.requeued, next=done.next)


def list_dead_letters(
    here: Here,
    *,
    reason: Annotated[
        Name | None,
        Query(description="Only with this reason.", examples=["latitude"]),
    ] = None,
    since: From = None,
    to: To = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> DeadLetterPage:
    """List dead letters.

    Pings and messages that were refused, newest first, with the reason.
    """
    page = here.services.store.dead_letters_page(
        reason=reason, from_ms=since, to_ms=to, limit=limit, cursor=cursor
    )
    return DeadLetterPage(items=[DeadLetterAnswer.of(each) for each in page.items], next=page.next)
