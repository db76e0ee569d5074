"""``/v1/endpoints``: where webhooks go, and the secrets that sign them."""

from __future__ import annotations

import base64
import binascii
import secrets
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field

from geotarget.api.services import Here, Who
from geotarget.api.values import PLAIN_TEXT, Cursor, Document, Id, Limit, Line, Page
from geotarget.errors import NotFound
from geotarget.model import Endpoint
from geotarget.targeting import EVENT_TYPES

PREFIX = "whsec_"
LEAST_BYTES, MOST_BYTES, NEW_BYTES = 24, 64, 32
HINT = 4

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
        description="Types of event that are sent; null is all.",
        json_schema_extra={"items": {"enum": list(EVENT_TYPES)}},
    )
    description: Line = Field(default="", description="For people.")


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
                    "state": "enabled",
                    "disabled_reason": "",
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
    state: Literal["enabled", "disabled"]
    disabled_reason: str = Field(description="Why nothing is sent; empty while enabled.")
    revision: int = Field(description="Rises with every change.")

    @classmethod
    def of(cls, endpoint: Endpoint, *, secret: str | None = None) -> EndpointAnswer:
        """Return what the API says about an endpoint."""
        return cls(
            id=endpoint.id,
            url=endpoint.url,
            events=None if endpoint.events is None else list(endpoint.events),
            description=endpoint.description,
            secret=secret,
            secret_hint=endpoint.secret[-HINT:],
            state="disabled" if endpoint.disabled_reason else "enabled",
            disabled_reason=endpoint.disabled_reason,
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
    endpoint without giving a secret keeps the old one, and enables it if it was disabled.
    """
    before = here.services.store.endpoint(id)
    secret = document.secret
    if before is None and secret is None:
        secret = PREFIX + base64.b64encode(secrets.token_bytes(NEW_BYTES)).decode()
    stored = here.services.catalog.put_endpoint(
        Endpoint(
            id=id,
            url=document.url,
            secret=secret or (before.secret if before else ""),
            description=document.description,
            events=None if document.events is None else tuple(document.events),
        ),
        by=who,
    )
    here.services.wake_delivery()
    return EndpointAnswer.of(stored, secret=secret)


def delete_endpoint(id: Id, here: Here, who: Who) -> None:
    """Delete an endpoint.

    Refused while a campaign names it. What waits for it counts as failed, and can be replayed when
    there is an endpoint of this id again.
    """
    here.services.catalog.delete_endpoint(id, by=who)
