"""``/v1/devices/{id}/tokens``: passwords of single phones, which end and can be taken back."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field

from geotarget.api.services import Here, Who
from geotarget.api.values import Document, Id, Line, instant, instant_or_none
from geotarget.errors import Conflict
from geotarget.store import DeviceToken

MOST_VALID_S = 10 * 366 * 86_400

TOKEN: dict[str, Any] = {
    "id": "7Qm2ZrT0aKxw",
    "name": "Pixel 9, app 4.2",
    "created": "2026-01-01T12:00:00.000Z",
    "expires": "2026-04-01T12:00:00.000Z",
    "last_used": "2026-01-02T08:30:00.000Z",
    "revoked": None,
}
LOGIN: dict[str, Any] = {
    "url": "mqtts://pings.example.com:8883",
    "topic": "pings/phone-17",
    "username": "phone-17",
    "client_id": "phone-17",
}

TokenId = Annotated[
    str,
    Path(
        min_length=1,
        max_length=64,
        pattern="^[0-9A-Za-z]+$",
        description="The token's `id`; never the token itself.",
        examples=[TOKEN["id"]],
    ),
]


class TokenDocument(Document):
    """What a new token is for, and how long it works."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "Pixel 9, app 4.2", "valid_s": 7_776_000}]}
    )

    name: Line = Field(default="", description="For people: which phone, which app.")
    valid_s: int | None = Field(
        default=None,
        ge=60,
        le=MOST_VALID_S,
        description="How long it works, seconds; null is until it is revoked.",
    )


class TokenAnswer(BaseModel):
    """A token without its secret."""

    model_config = ConfigDict(json_schema_extra={"examples": [TOKEN]})

    id: str
    name: str
    created: str
    expires: str | None
    last_used: str | None = Field(
        description="When a phone connected with it last, to ten minutes; null if never."
    )
    revoked: str | None = Field(description="Since when it does not work any more.")

    @classmethod
    def of(cls, token: DeviceToken) -> TokenAnswer:
        """Return what the API says about a token."""
        return cls(
            id=token.id,
            name=token.name,
            created=instant(token.created_ms),
            expires=instant_or_none(token.expires_ms),
            last_used=instant_or_none(token.last_used_ms),
            revoked=instant_or_none(token.revoked_ms),
        )


class LoginAnswer(BaseModel):
    """How the phone logs in with it; the token is the password."""

    model_config = ConfigDict(json_schema_extra={"examples": [LOGIN]})

    url: str = Field(
        description="Where the broker listens, or what GEOTARGET_MQTT_PHONE_URL says instead."
    )
    topic: str = Field(description="Where its pings go, and no others.")
    username: str
    client_id: str = Field(description="It has to be this one.")


class NewTokenAnswer(TokenAnswer):
    """A token that was just made."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                TOKEN | {"last_used": None, "token": "gt_dev_7Qm2ZrT0aKxw_…", "login": LOGIN}
            ]
        }
    )

    token: str = Field(description="The password of the phone. Shown this once.")
    login: LoginAnswer


class TokenList(BaseModel):
    """The tokens of a device."""

    items: list[TokenAnswer]
    next: None = Field(default=None, description="Always null: they fit one page.")


def create_token(id: Id, document: TokenDocument, here: Here, who: Who) -> NewTokenAnswer:
    """Make a token for a device.

    For the back end of an app, which hands it on to the phone. The answer shows it this once: only
    its hash is kept. The device need not be known yet. Eight of one device may work at one time, so
    that a new one can replace an old one without a gap; 409 beyond that, and where no broker would
    ask for tokens.
    """
    services = here.services
    if services.token_login is None:
        raise Conflict(
            "no broker asks for tokens of devices here: GEOTARGET_MQTT_DEVICE_ACCESS is not"
            " `device`, and GEOTARGET_AUTH_CALLOUT_URL is not set"
        )
    login = services.token_login(id)
    now_ms = time.time_ns() // 1_000_000
    plain, token = services.store.create_device_token(
        id,
        name=document.name,
        expires_ms=None if document.valid_s is None else now_ms + document.valid_s * 1_000,
        by=who,
    )
    return NewTokenAnswer(
        **TokenAnswer.of(token).model_dump(),
        token=plain,
        login=LoginAnswer(
            url=login.url, topic=login.topic, username=login.username, client_id=login.client_id
        ),
    )


def list_tokens(id: Id, here: Here) -> TokenList:
    """List the tokens of a device.

    Without their secrets, which nobody knows; those that ended within the last 30 days too, and
    older ones until the device gets another one.
    """
    return TokenList(items=[TokenAnswer.of(each) for each in here.services.store.device_tokens(id)])


def revoke_token(id: Id, token: TokenId, here: Here, who: Who) -> None:
    """Revoke a token.

    No connection is admitted with it from now on, at any broker that asks this installation. What
    is connected with it is cut within seconds. Revoking it again changes nothing.
    """
    here.services.store.revoke_device_token(id, token, by=who)
