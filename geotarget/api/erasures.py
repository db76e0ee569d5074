"""``/v1/erasures``: receipts of those who were erased; they name nobody."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from geotarget.api.services import Here, Who
from geotarget.api.values import Cursor, Id, Limit, Page, instant
from geotarget.errors import NotFound
from geotarget.store import Erasure

EXAMPLE: dict[str, Any] = {
    "id": "erasure_5f0d6a1b9c3e7842d1f6a0b3",
    "erased": "2026-01-01T12:00:00.250Z",
    "devices": 2,
    "counts": {"profiles": 1, "transitions": 41, "decisions": 57, "deliveries": 12, "states": 2},
    "kept": ["Sums: results by day, budgets, variants and totals; they name nobody."],
    "audit": "178b97240bf4d06318ffb2d8b4ba8e7c1ec3f4b6c6f7a0a1a3a53e54e4c8f8c1",
}


class ErasureAnswer(BaseModel):
    """The receipt of an erasure: keep its id beside the request that it answers."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    id: str = Field(description="Of the receipt; it has nothing of the profile's id.")
    erased: str = Field(
        description="When. Pings made or received until then are refused as `erased`."
    )
    devices: int = Field(description="How many devices went with it.")
    counts: dict[str, int] = Field(
        description="How many rows of what went; what there was none of is left out."
    )
    kept: list[str] = Field(description="What stays and why.")
    audit: str = Field(description="Digest of the entry in the audit log that tells of it.")

    @classmethod
    def of(cls, erasure: Erasure) -> ErasureAnswer:
        """Return what the API says about an erasure."""
        return cls(
            id=erasure.id,
            erased=instant(erasure.erased_ms),
            devices=erasure.devices,
            counts=dict(erasure.counts),
            kept=list(erasure.kept),
            audit=erasure.audit,
        )


class ErasurePage(Page[ErasureAnswer]):
    """Receipts, newest first."""


def delete_profile(id: Id, here: Here, who: Who) -> ErasureAnswer:
    """Erase a profile.

    With the answer everything is gone that is known of it and of its devices: attributes, consent,
    links, behaviour, where they are and were, decisions, webhooks with what was posted, traces,
    refused pings. Sums stay. What was sent before and comes again does not bring it back; what its
    devices send afterwards is the life of somebody new. A webhook that is on its way at that moment
    arrives; none is tried after it.
    """
    erased = here.services.store.erase_profile(id, by=who)
    if erased is None:
        raise NotFound("profile", id)
    return ErasureAnswer.of(erased)


def list_erasures(here: Here, *, limit: Limit = 100, cursor: Cursor = None) -> ErasurePage:
    """List the receipts of those who were erased.

    Newest first, for good. They name nobody: who was meant knows only who asked.
    """
    page = here.services.store.erasures_page(limit=limit, cursor=cursor)
    return ErasurePage(items=[ErasureAnswer.of(each) for each in page.items], next=page.next)


def get_erasure(id: Id, here: Here) -> ErasureAnswer:
    """Show the receipt of an erasure."""
    erased = here.services.store.erasure(id)
    if erased is None:
        raise NotFound("erasure", id)
    return ErasureAnswer.of(erased)
