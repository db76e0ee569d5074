"""What a client says about an endpoint, and what it is told."""

from __future__ import annotations

import base64
import time
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo, field_validator

from geotarget.api.values import (
    PLAIN_TEXT,
    Document,
    Line,
    Number,
    Page,
    Whole,
    instant,
    instant_or_none,
)
from geotarget.errors import InvalidEndpoint
from geotarget.headers import MOST
from geotarget.model import Endpoint
from geotarget.signing import Scheme, decode_secret, public_key, scheme_of
from geotarget.targeting import EVENT_TYPES

HINT = 4
Position = Literal["none", "cell", "rounded", "exact"]
NO_POSITION: Position = "none"
DAY_S = 86_400
MOST_OVERLAP_S = 30 * DAY_S
MOST_RATE, MOST_CONCURRENCY = 10_000, 1_000
MOST_RETRIES, MOST_DELAY_S = 20, 7 * DAY_S

EXAMPLE: dict[str, Any] = {
    "url": "https://crm.example.com/geotarget",
    "events": ["offer.triggered"],
    "description": "Offers for the loyalty programme",
}
SECRET_EXAMPLE = "whsec_" + base64.b64encode(bytes(range(24))).decode()


def _check_secret(secret: str) -> str:
    try:
        decode_secret(secret)
    except InvalidEndpoint as error:
        raise ValueError(error.problems[0].reason) from None
    return secret


def _check_scheme(scheme: Scheme | None, secret: str | None) -> Scheme | None:
    if scheme is not None and secret is not None and scheme != scheme_of(secret):
        raise ValueError(f"the secret that is given signs with {scheme_of(secret)}")
    return scheme


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
        description="Signs what is sent: `whsec_` and the Base64 of 24 to 64 bytes, or `whsk_` and "
        "that of an Ed25519 private key. Made for a new endpoint that brings none; kept when an "
        "endpoint is changed without one.",
        json_schema_extra={"writeOnly": True},
    )
    scheme: Scheme | None = Field(
        default=None,
        description="How a secret that is made here signs: `hmac`, which null is too, or "
        "`ed25519`, whose receivers can't forge. `:rotate` changes it.",
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

    headers: Annotated[dict[str, str], Field(max_length=MOST)] | None = Field(
        default=None,
        description="Sent with every post beside our own: credentials for a gateway, say. Null "
        "keeps those that are stored, while the URL stays on its host; `{}` is none. At most 20, "
        "names of 100 and values of 1,000 characters, 8 KiB in all.",
        json_schema_extra={"writeOnly": True},
    )
    retry_delays_s: (
        Annotated[
            list[Annotated[Number, Field(ge=0, le=MOST_DELAY_S)]], Field(max_length=MOST_RETRIES)
        ]
        | None
    ) = Field(
        default=None,
        description="Seconds before each further attempt, ±20 %: as many retries as there are "
        "numbers, up to 20 of up to seven days. Null is the schedule of all.",
    )
    ordered: bool = Field(
        default=False,
        strict=True,
        description="Whether the events of one device come one after the other, as they were "
        "decided: the next one waits until the one before it arrived or was given up.",
    )
    position: Position = Field(
        default="none",
        description="What events tell of where the device was: nothing, its H3 cell (350 m "
        "across), a position with three decimals, or the ping as it was. Refused where it is more "
        "than the operator allows.",
    )

    @field_validator("scheme")
    @classmethod
    def _scheme_of_the_secret(cls, scheme: Scheme | None, info: ValidationInfo) -> Scheme | None:
        return _check_scheme(scheme, info.data.get("secret"))

    @field_validator("disabled_reason")
    @classmethod
    def _reason_of_what_is_disabled(cls, reason: str, info: ValidationInfo) -> str:
        if reason and info.data.get("enabled"):
            raise ValueError("must be empty unless enabled is false")
        return reason


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
    scheme: Scheme | None = Field(
        default=None,
        description="How a secret that is made here signs; null is like the one before it.",
    )

    @field_validator("scheme")
    @classmethod
    def _scheme_of_the_secret(cls, scheme: Scheme | None, info: ValidationInfo) -> Scheme | None:
        return _check_scheme(scheme, info.data.get("secret"))


class PreviousSecret(Document):
    """The secret before the one that holds."""

    hint: str = Field(description=f"Its last {HINT} characters.")
    public_key: str | None = Field(description="What verifies its signatures; null: hmac.")
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
                    "scheme": "hmac",
                    "public_key": None,
                    "previous_secret": None,
                    "state": "enabled",
                    "disabled_reason": "",
                    "failing_since": None,
                    "rate_per_s": 50.0,
                    "concurrency": None,
                    "headers": ["Authorization"],
                    "retry_delays_s": None,
                    "ordered": False,
                    "position": "none",
                    "revision": 1,
                }
            ]
        }
    )

    id: str
    url: str
    events: list[str] | None
    description: str
    secret: str | None = Field(
        description="Only in the answer that makes or sets it, and never a private key."
    )
    secret_hint: str = Field(description=f"Its last {HINT} characters.")
    scheme: Scheme = Field(description="How it signs.")
    public_key: str | None = Field(
        description="Verifies its signatures: `whpk_` and Base64, nothing to keep secret; null "
        "for hmac."
    )
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
    headers: list[str] = Field(
        description="Names of the headers that are sent beside ours; their values are never shown."
    )
    retry_delays_s: list[float] | None = Field(
        description="Seconds before each further attempt; null is the schedule of all."
    )
    ordered: bool = Field(description="Whether the events of one device come one by one.")
    position: Position = Field(
        description="What events tell of where the device was, as far as the operator allows."
    )
    revision: int = Field(description="Rises with every change.")

    @classmethod
    def of(cls, endpoint: Endpoint, *, secret: str | None = None) -> EndpointAnswer:
        """Return what the API says about an endpoint."""
        overlaps = endpoint.previous_secret and endpoint.previous_until_ms > now_ms()
        return cls(
            id=endpoint.id,
            url=endpoint.url,
            events=None if endpoint.events is None else list(endpoint.events),
            description=endpoint.description,
            secret=None if secret is None or scheme_of(secret) == "ed25519" else secret,
            secret_hint=endpoint.secret[-HINT:],
            scheme=scheme_of(endpoint.secret),
            public_key=public_key(endpoint.secret),
            previous_secret=PreviousSecret(
                hint=endpoint.previous_secret[-HINT:],
                public_key=public_key(endpoint.previous_secret),
                until=instant(endpoint.previous_until_ms),
            )
            if overlaps
            else None,
            state="disabled" if endpoint.disabled_reason else "enabled",
            disabled_reason=endpoint.disabled_reason,
            failing_since=instant_or_none(endpoint.failing_since_ms),
            rate_per_s=endpoint.rate_per_s,
            concurrency=endpoint.concurrency,
            headers=list(endpoint.headers),
            retry_delays_s=None if endpoint.delays_s is None else list(endpoint.delays_s[1:]),
            ordered=endpoint.ordered,
            position=cast("Position", endpoint.position or NO_POSITION),
            revision=endpoint.revision,
        )


class SentAnswer(Document):
    """The event that is on its way."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"id": "test_5f1c0a9be2d34476"}]})

    id: str = Field(description="Its `webhook-id`: `GET /v1/deliveries/{id}` tells how it went.")


class EndpointPage(Page[EndpointAnswer]):
    """Endpoints, by id."""


def now_ms() -> int:
    """Return the time of day, Unix milliseconds."""
    return time.time_ns() // 1_000_000
