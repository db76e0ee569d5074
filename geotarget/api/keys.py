"""``/v1/keys``: the keys that applications carry, and what they may do."""

from __future__ import annotations

import time
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from geotarget.api.auth import Scope
from geotarget.api.services import Here, Who
from geotarget.api.values import Document, Id, Line, instant, instant_or_none
from geotarget.store import ApiKey

EXAMPLE: dict[str, Any] = {
    "id": "3kP9xQ7mZr2a",
    "name": "till",
    "scopes": ["pings:write"],
    "created": "2026-01-01T12:00:00.000Z",
    "expires": None,
    "last_used": "2026-01-02T08:30:00.000Z",
    "revoked": None,
}
DAY_MS = 86_400_000
MOST_DAYS = 3_660
OVERLAP_S = 86_400
MOST_OVERLAP_S = 30 * 86_400


class KeyDocument(Document):
    """What a new key is for."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "till", "scopes": ["pings:write"], "days": 365}]}
    )

    name: Annotated[Line, Field(min_length=1)] = Field(description="For people; also in logs.")
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(Scope))] = Field(
        description="What it may do."
    )
    days: int | None = Field(
        default=None, ge=1, le=MOST_DAYS, description="How long it is valid; null is for ever."
    )


class RotateDocument(Document):
    """How an old key goes."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"overlap_s": 86_400}]})

    overlap_s: int = Field(
        default=OVERLAP_S,
        ge=0,
        le=MOST_OVERLAP_S,
        description="How long the old key still works, seconds; 0 ends it now.",
    )


class KeyAnswer(BaseModel):
    """A key without its secret."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    id: str
    name: str
    scopes: list[str]
    created: str
    expires: str | None
    last_used: str | None = Field(description="To the minute; null if never.")
    revoked: str | None = Field(description="Since when it does not work any more.")

    @classmethod
    def of(cls, key: ApiKey) -> KeyAnswer:
        """Return what the API says about a key."""
        return cls(
            id=key.id,
            name=key.name,
            scopes=sorted(key.scopes),
            created=instant(key.created_ms),
            expires=instant_or_none(key.expires_ms),
            last_used=instant_or_none(key.last_used_ms),
            revoked=instant_or_none(key.revoked_ms),
        )


class NewKeyAnswer(KeyAnswer):
    """A key that was just made."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [EXAMPLE | {"key": "gt_live_3kP9xQ7mZr2a_…"}]}
    )

    key: str = Field(description="What goes into the Authorization header. Shown this once.")


class KeyList(BaseModel):
    """All keys."""

    items: list[KeyAnswer]
    next: None = Field(default=None, description="Always null: all keys fit one page.")


def list_keys(here: Here) -> KeyList:
    """List API keys.

    Revoked and expired ones too, without their secrets, which nobody knows.
    """
    keys = here.services.store.keys()
    return KeyList(items=[KeyAnswer.of(each) for each in keys])


def create_key(document: KeyDocument, here: Here, who: Who) -> NewKeyAnswer:
    """Make an API key.

    The answer shows it this once: only its hash is kept.
    """
    now_ms = time.time_ns() // 1_000_000
    plain, key = here.services.store.create_key(
        name=document.name,
        scopes=[each.value for each in document.scopes],
        expires_ms=None if document.days is None else now_ms + document.days * DAY_MS,
        by=who,
    )
    return NewKeyAnswer(**KeyAnswer.of(key).model_dump(), key=plain)


def rotate_key(id: Id, document: RotateDocument, here: Here, who: Who) -> NewKeyAnswer:
    """Replace an API key.

    Makes another one of the same name and scopes, shown this once, and valid for as long as the old
    one was when it was made. The old one still works for `overlap_s`, for its holder to change
    over; it is never prolonged.
    """
    plain, key = here.services.store.rotate_key(id, overlap_ms=document.overlap_s * 1_000, by=who)
    here.doorkeeper.forget()
    return NewKeyAnswer(**KeyAnswer.of(key).model_dump(), key=plain)


def revoke_key(id: Id, here: Here, who: Who) -> None:
    """Revoke an API key.

    It stops working here at once, in other processes within five seconds.
    """
    here.services.store.revoke_key(id, by=who)
    here.doorkeeper.forget()
