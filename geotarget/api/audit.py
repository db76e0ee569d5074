"""``/v1/audit``: who changed what, and the digest that tells whether the log was changed since."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from geotarget.api.history import From, To
from geotarget.api.services import Here
from geotarget.api.values import Cursor, Limit, Line, Name, Page, instant
from geotarget.store import AuditEntry

EXAMPLE: dict[str, Any] = {
    "number": 412,
    "time": "2026-01-01T12:00:00.250Z",
    "actor": "crm (3kP9xQ7mZr2a)",
    "action": "campaign.put",
    "subject": "bun",
    "detail": {"version": 2},
    "digest": "178b97240bf4d06318ffb2d8b4ba8e7c1ec3f4b6c6f7a0a1a3a53e54e4c8f8c1",
}

OfActor = Annotated[
    Line | None,
    Query(min_length=1, description="Only what this one did: name and id of a key, or `cli`."),
]
OfAction = Annotated[Name | None, Query(description="Only this action.", examples=["campaign.put"])]
OfSubject = Annotated[Line | None, Query(description="Only changes of what has this id.")]


class AuditAnswer(BaseModel):
    """One change."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    number: int = Field(description="The first entry has 1; there are no gaps.")
    time: str = Field(description="When it was made.")
    actor: str = Field(description="Who: name and id of the key, or `cli`.")
    action: str = Field(description="What: `campaign.put`, `key.revoke`, `export` …")
    subject: str = Field(
        description="The id of what was changed; of a profile or device a keyed digest."
    )
    detail: dict[str, Any] = Field(description="Ids, versions, counts; never content.")
    digest: str = Field(
        description="SHA-256 over the digest before it and this entry. Keep the newest one "
        "elsewhere: `geotarget audit verify --expect` finds out what was changed since."
    )

    @classmethod
    def of(cls, entry: AuditEntry) -> AuditAnswer:
        """Return what the API says about an entry."""
        return cls(
            number=entry.seq,
            time=instant(entry.at_ms),
            actor=entry.actor,
            action=entry.action,
            subject=entry.subject,
            detail=dict(entry.detail),
            digest=entry.digest.hex(),
        )


class AuditPage(Page[AuditAnswer]):
    """Entries of the audit log, newest first."""


def list_audit(
    here: Here,
    *,
    actor: OfActor = None,
    action: OfAction = None,
    subject: OfSubject = None,
    since: From = None,
    to: To = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> AuditPage:
    """List the audit log.

    Who changed what, newest first. The chain of digests is not checked here: `geotarget audit
    verify` does that.
    """
    page = here.services.store.audit_page(
        actor=actor,
        action=action,
        subject=subject,
        from_ms=since,
        to_ms=to,
        limit=limit,
        cursor=cursor,
    )
    return AuditPage(items=[AuditAnswer.of(each) for each in page.items], next=page.next)
