"""``/v1/endpoints``: where webhooks go, and the secrets that sign them."""

from __future__ import annotations

import base64
import binascii
import secrets
import time
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from geotarget.api.services import Here, Who
from geotarget.api.values import (
    PLAIN_TEXT,
    Cursor,
    Document,
    Id,
    Limit,
    Line,
    Number,
    Page,
    Whole,
    instant,
    instant_or_none,
)
from geotarget.errors import Conflict, NotFound
from geotarget.model import Endpoint
from geotarget.targeting import EVENT_TYPES
from geotarget.targeting.event import event_for_test

PREFIX = "whsec_"
LEAST_BYTES, MOST_BYTES, NEW_BYTES = 24, 64, 32
HINT = 4
DAY_S = 86_400
MOST_OVERLAP_S = 30 * DAY_S
MOST_RATE, MOST_CONCURRENCY = 10_000, 1_000
BY_OWNER = "disabled by its owner"

EXAMPLE: dict[str, Any] = {
    "url": "https://crm.example.com/geotarget",
    "events": ["offer.triggered"],
    "description": "Offers for the loyalty programme",
}
SECRET_EXAMPLE = "whsec_" + base64.b64encode(bytes(range(24))).decode()


def _check_secret(secret: str) -> str:
    try:
        raw = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raw = b""
    if not secret.startswith(PREFIX) or not LEAST_BYTES <= len(raw) <= MOST_BYTES:
        raise ValueError(f"must be {PREFIX} and the Base64 of {LEAST_BYTES} to {MOST_BYTES} bytes")
    return secret


def _check_events(events: list[str]) -> list[str]:
    unknown = [each for each in events if each not in EVENT_TYPES]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is not one of {', '.join(EVENT_TYPES)}")
    return list(dict.fromkeys(events))


class EndpointDocument(Document):
    """An endpoint as its owner describes it."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    url: Annotated[str, Field(min_length=1, max_length=2000, pattern=PLAIN_TEXT)] = Field(
        description="https, unless the operator allows more; redirects are not followed."
    )
    secret: Annotated[str, AfterValidator(_check_secret)] | None = Field(
        default=None,
        description="Signs what is sent: `whsec_` and the Base64 of 24 to 64 bytes. Made for a "
        "new endpoint that brings none; kept when an endpoint is changed without one.",
        json_schema_extra={"writeOnly": True},
    )
    events: Annotated[list[str], Field(min_length=1), AfterValidator(_check_events)] | None = Field(
        default=None,
        description="Types of event that are sent; null is the offers of campaigns that name it.",
        json_schema_extra={"items": {"enum": list(EVENT_TYPES)}},
    )
    description: Line = Field(default="", description="For people.")
    enabled: bool = Field(
        default=True,
        strict=True,
        description="False: nothing is made for it, and what waits stays. True enables it again, "
        "whoever disabled it.",
    )
    disabled_reason: Line = Field(
        default="", description="Why, for people; only while `enabled` is false."
    )
    rate_per_s: Annotated[Number, Field(ge=0.01, le=MOST_RATE)] | None = Field(
        default=None,
        description="Most posts in a second, on average: after a pause as many as in one second "
        "may go at once. Null is no bound.",
    )
    concurrency: Annotated[Whole, Field(ge=1, le=MOST_CONCURRENCY)] | None = Field(
        default=None,
        description="Most posts at one time, as far as the operator allows so many; null is what "
        "the operator allows.",
    )

    @model_validator(mode="after")
    def _reason_of_what_is_disabled(self) -> EndpointDocument:
        if self.enabled and self.disabled_reason:
            raise ValueError("disabled_reason must be empty unless enabled is false")
        return self


class RotationDocument(Document):
    """How an endpoint changes its secret."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"overlap_s": DAY_S}]})

    overlap_s: Annotated[Whole, Field(ge=0, le=MOST_OVERLAP_S)] = Field(
        default=DAY_S,
        description="How long the old secret goes on signing beside the new one, seconds; 0 ends "
        "it at once, and so one before it that still signs.",
    )
    secret: Annotated[str, AfterValidator(_check_secret)] | None = Field(
        default=None,
        description="The new secret; made where none is given.",
        json_schema_extra={"writeOnly": True},
    )


class PreviousSecret(Document):
    """The secret before the one that holds."""

    hint: str = Field(description=f"Its last {HINT} characters.")
    until: str = Field(description="It signs as well until then.")


class EndpointAnswer(Document):
    """An endpoint as it is stored; its secret is shown once, when it is made or set."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "crm",
                    **EXAMPLE,
                    "secret": SECRET_EXAMPLE,
                    "secret_hint": SECRET_EXAMPLE[-HINT:],
                    "previous_secret": None,
                    "state": "enabled",
                    "disabled_reason": "",
                    "failing_since": None,
                    "rate_per_s": 50.0,
                    "concurrency": None,
                    "revision": 1,
                }
            ]
        }
    )

    id: str
    url: str
    events: list[str] | None
    description: str
    secret: str | None = Field(description="Only in the answer that makes or sets it.")
    secret_hint: str = Field(description=f"Its last {HINT} characters.")
    previous_secret: PreviousSecret | None = Field(
        description="While it signs as well, after a rotation."
    )
    state: Literal["enabled", "disabled"]
    disabled_reason: str = Field(description="Why nothing is sent; empty while enabled.")
    failing_since: str | None = Field(
        description="Since when every attempt has failed; noted when that lasts for a minute."
    )
    rate_per_s: float | None = Field(description="Most posts in a second; null is no bound.")
    concurrency: int | None = Field(description="Most posts at one time; null: the operator's.")
    revision: int = Field(description="Rises with every change.")

    @classmethod
    def of(cls, endpoint: Endpoint, *, secret: str | None = None) -> EndpointAnswer:
        """Return what the API says about an endpoint."""
        overlaps = endpoint.previous_secret and endpoint.previous_until_ms > _now_ms()
        return cls(
            id=endpoint.id,
            url=endpoint.url,
            events=None if endpoint.events is None else list(endpoint.events),
            description=endpoint.description,
            secret=secret,
            secret_hint=endpoint.secret[-HINT:],
            previous_secret=PreviousSecret(
                hint=endpoint.previous_secret[-HINT:], until=instant(endpoint.previous_until_ms)
            )
            if overlaps
            else None,
            state="disabled" if endpoint.disabled_reason else "enabled",
            disabled_reason=endpoint.disabled_reason,
            failing_since=instant_or_none(endpoint.failing_since_ms),
            rate_per_s=endpoint.rate_per_s,
            concurrency=endpoint.concurrency,
            revision=endpoint.revision,
        )


class EndpointPage(Page[EndpointAnswer]):
    """Endpoints, by id."""


def list_endpoints(here: Here, limit: Limit = 100, cursor: Cursor = None) -> EndpointPage:
    """List endpoints.

    By id, without their secrets.
    """
    page = here.services.store.endpoints_page(limit=limit, cursor=cursor)
    return EndpointPage(items=[EndpointAnswer.of(each) for each in page.items], next=page.next)


def get_endpoint(id: Id, here: Here) -> EndpointAnswer:
    """Show one endpoint.

    Without its secret.
    """
    endpoint = here.services.store.endpoint(id)
    if endpoint is None:
        raise NotFound("endpoint", id)
    return EndpointAnswer.of(endpoint)


def put_endpoint(id: Id, document: EndpointDocument, here: Here, who: Who) -> EndpointAnswer:
    """Create or replace an endpoint.

    A new endpoint without a secret gets one, and the answer shows it this once. Changing an
    endpoint without giving a secret keeps those that sign now; one that is given signs alone from
    now on (`:rotate` changes it without a gap). Enables it if it was disabled, unless `enabled` is
    false.
    """
    secret = document.secret
    if secret is None and here.services.store.endpoint(id) is None:
        secret = _new_secret()
    reason = "" if document.enabled else document.disabled_reason or BY_OWNER
    stored = here.services.catalog.put_endpoint(
        Endpoint(
            id=id,
            url=document.url,
            secret=secret or "",  # empty: those that are stored
            description=document.description,
            events=None if document.events is None else tuple(document.events),
            disabled_reason=reason,
            rate_per_s=document.rate_per_s,
            concurrency=document.concurrency,
        ),
        by=who,
    )
    here.services.wake_delivery()
    return EndpointAnswer.of(stored, secret=secret)


def rotate_endpoint(id: Id, document: RotationDocument, here: Here, who: Who) -> EndpointAnswer:
    """Change an endpoint's secret without a gap.

    The answer shows the new secret, this once. Until `overlap_s` is over every delivery is signed
    with both, so a receiver may change from one to the other at any moment of that time.
    """
    secret = document.secret or _new_secret()
    stored = here.services.store.rotate_secret(
        id, secret, until_ms=_now_ms() + document.overlap_s * 1000, by=who
    )
    if stored is None:
        raise NotFound("endpoint", id)
    here.services.catalog.refresh()
    return EndpointAnswer.of(stored, secret=secret)


class SentAnswer(Document):
    """The event that is on its way."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"id": "test_5f1c0a9be2d34476"}]})

    id: str = Field(description="Its `webhook-id`: `GET /v1/deliveries/{id}` tells how it went.")


def send_test(id: Id, here: Here) -> SentAnswer:
    """Send a test event to an endpoint.

    Of the type `test`, whatever its `events` say; signed, sent and retried like any other.
    """
    endpoint = here.services.store.endpoint(id)
    if endpoint is None:
        raise NotFound("endpoint", id)
    if endpoint.disabled_reason:
        raise Conflict(f"endpoint {id!r} is disabled: {endpoint.disabled_reason}")
    event = event_for_test(id, secrets.token_hex(8), now_ms=_now_ms())
    here.services.store.put_deliveries([event])
    here.services.wake_delivery()
    return SentAnswer(id=event.webhook_id)


def delete_endpoint(id: Id, here: Here, who: Who) -> None:
    """Delete an endpoint.

    Refused while a campaign names it. What waits for it counts as failed, and can be replayed when
    there is an endpoint of this id again.
    """
    here.services.catalog.delete_endpoint(id, by=who)


def _new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(NEW_BYTES)).decode()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
