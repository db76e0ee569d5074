"""``/v1/conversions``: what customers did afterwards, as downstream systems report it.

One, an array or a line each, up to a thousand at a time, in one transaction. The same id counts
once, however often it is reported, so whoever is in doubt reports again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from geotarget.api.problems import Unacceptable, problem_of
from geotarget.api.route import media_type, strict_json
from geotarget.api.services import Here
from geotarget.api.values import (
    Currency,
    Cursor,
    Document,
    Instant,
    Limit,
    Line,
    Money,
    Name,
    Page,
    instant,
    micros,
    units,
)
from geotarget.errors import InvalidInput, Problem
from geotarget.model import Conversion

NDJSON = ("application/x-ndjson", "application/ndjson", "application/jsonl")
MEDIA_TYPES = ("application/json", *NDJSON)
MOST = 1_000
MOST_BYTES = 1 << 20
DEPTH = 4

AHEAD_MS = 5 * 60_000
BACK_MS = 90 * 86_400_000
"""Behaviour, which a conversion is part of, is kept for so long."""

EXAMPLE: dict[str, Any] = {
    "id": "receipt-881204",
    "profile": "aino",
    "value": 12.5,
    "currency": "EUR",
    "category": "bakery",
}


class ConversionItem(Document):
    """One conversion: whose it is, when, and what it was worth."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    id: Name = Field(description="Chosen by you; the same id counts once.")
    decision: Name | None = Field(
        default=None, description="The decision that it follows from, as the webhook named it."
    )
    profile: Name | None = Field(
        default=None, description="Whose it is, when no decision is known."
    )
    device: Name | None = Field(default=None, description="Or on which device.")
    time: Instant | None = Field(
        default=None, description="When it happened; now when left out. At most 90 days ago."
    )
    value: Money | None = Field(default=None, description="What it was worth; needs a currency.")
    currency: Currency | None = Field(default=None, description="ISO 4217.")
    category: Annotated[Line, Field(max_length=128)] = Field(
        default="", description="What was bought, as rules ask for it."
    )

    def to_conversion(self, now_ms: int) -> Conversion:
        """Return the conversion that this reports.

        Raises
        ------
        InvalidInput
            What a schema can't say is wrong with it.
        """
        problems = []
        if not (self.decision or self.profile or self.device):
            problems.append(Problem("$", "", "name a decision, a profile or a device"))
        if self.value is not None and self.currency is None:
            problems.append(Problem("$.currency", "", "a value needs its currency"))
        at_ms = now_ms if self.time is None else self.time
        if at_ms > now_ms + AHEAD_MS:
            problems.append(Problem("$.time", instant(at_ms), "lies more than 5 minutes ahead"))
        if at_ms < now_ms - BACK_MS:
            problems.append(Problem("$.time", instant(at_ms), "lies more than 90 days back"))
        if problems:
            raise InvalidInput(*problems)
        return Conversion(
            id=self.id,
            profile=self.profile or "",
            at_ms=at_ms,
            received_ms=now_ms,
            device=self.device or "",
            value_micros=0 if self.value is None else micros(self.value),
            currency=self.currency or "",
            category=self.category,
            decision=self.decision or "",
        )


class ConversionsDocument(RootModel[list[ConversionItem] | ConversionItem]):
    """Conversions in an array, or a single one."""

    model_config = ConfigDict(json_schema_extra={"examples": [[EXAMPLE]]})


class RejectedConversion(BaseModel):
    """A conversion that was refused; the others are not affected."""

    index: int = Field(description="Position in the array, or line, from 0.")
    reason: str = Field(description="What is wrong, with its place.")


class ConversionsAnswer(BaseModel):
    """What became of a report."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "accepted": 1,
                    "known": 1,
                    "rejected": [{"index": 1, "reason": "$.currency: a value needs its currency"}],
                }
            ]
        }
    )

    accepted: int = Field(description="Stored now.")
    known: int = Field(description="Stored before, under the same id; they stay as they were.")
    rejected: list[RejectedConversion]


class ConversionAnswer(BaseModel):
    """A conversion as it is stored, with what it counts for."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "receipt-881204",
                    "profile": "aino",
                    "device": None,
                    "time": "2026-01-01T12:31:05.000Z",
                    "received": "2026-01-01T12:40:00.000Z",
                    "value": 12.5,
                    "currency": "EUR",
                    "category": "bakery",
                    "decision": "019b7965c1a0c4b7a07f1e0c5d2a9f31",
                    "campaign": "bun",
                    "variant": None,
                    "zone": "kamppi",
                    "held_out": False,
                    "by_decision": False,
                }
            ]
        }
    )

    id: str
    profile: str | None = Field(description="Null when the profile was erased.")
    device: str | None
    time: str
    received: str
    value: float
    currency: str | None
    category: str
    decision: str | None = Field(description="What it counts for; null when for nothing.")
    campaign: str | None
    variant: str | None
    zone: str | None
    held_out: bool = Field(description="Whether the profile was in the control group.")
    by_decision: bool = Field(description="Whether the report named the decision.")

    @classmethod
    def of(cls, each: Conversion) -> ConversionAnswer:
        """Return what the API says about a conversion."""
        return cls(
            id=each.id,
            profile=each.profile or None,
            device=each.device or None,
            time=instant(each.at_ms),
            received=instant(each.received_ms),
            value=units(each.value_micros),
            currency=each.currency or None,
            category=each.category,
            decision=each.decision or None,
            campaign=each.campaign or None,
            variant=each.variant or None,
            zone=each.zone or None,
            held_out=each.held_out,
            by_decision=each.by_decision,
        )


class ConversionPage(Page[ConversionAnswer]):
    """Conversions, those reported last first."""


def _of(what: str) -> Any:
    return Query(max_length=128, description=f"Only those of this {what}.")


def list_conversions(
    here: Here,
    campaign: Annotated[str | None, _of("campaign")] = None,
    profile: Annotated[str | None, _of("profile")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> ConversionPage:
    """List conversions.

    Those reported last first, each with what it counts for.
    """
    page = here.services.store.conversions_page(
        campaign=campaign, profile=profile, limit=limit, cursor=cursor
    )
    return ConversionPage(items=[ConversionAnswer.of(each) for each in page.items], next=page.next)


async def post_conversions(request: Request, here: Here) -> ConversionsAnswer:
    """Report conversions.

    One, an array of at most 1,000, or one per line (NDJSON). A conversion counts for the decision
    that it names, else for the last offer to its profile whose time of attribution is not over,
    people who were held out included: so also report what nobody was offered. Reporting the same id
    again is harmless.
    """
    body = await request.body()
    return await run_in_threadpool(_record, here, body, media_type(request))


def _record(here: Here, body: bytes, media: str) -> ConversionsAnswer:
    now_ms = time.time_ns() // 1_000_000
    good: dict[int, Conversion] = {}
    rejected: dict[int, str] = {}
    for index, item in _items(body, media):
        if isinstance(item, Unacceptable):
            rejected[index] = str(InvalidInput(*item.problems))
            continue
        try:
            good[index] = ConversionItem.model_validate(item).to_conversion(now_ms)
        except ValidationError as error:
            problems = [
                problem_of({**each, "loc": ("body", *each["loc"])}) for each in error.errors()
            ]
            rejected[index] = "; ".join(map(str, problems))
        except InvalidInput as error:
            rejected[index] = str(error)
    accepted = known = 0
    if good:
        recorded = here.services.store.record_conversions(list(good.values()))
        for index, each in zip(good, recorded, strict=True):
            if each.state == "refused":
                rejected[index] = each.problem
            accepted += each.state == "new"
            known += each.state == "known"
    return ConversionsAnswer(
        accepted=accepted,
        known=known,
        rejected=[
            RejectedConversion(index=index, reason=rejected[index]) for index in sorted(rejected)
        ],
    )


def _items(body: bytes, media: str) -> Sequence[tuple[int, Any]]:
    """Return what is reported by its position or line; of lines that are no document, why not.

    Raises
    ------
    Unacceptable
        The body as a whole is none, or holds too much.
    """
    if media in NDJSON:
        items = list(_lines(body))
    else:
        document = strict_json(body, most_depth=DEPTH)
        items = list(enumerate(document if isinstance(document, list) else [document]))
    if len(items) > MOST:
        raise Unacceptable(Problem("$", f"{len(items)} items", f"may have {MOST} items"))
    return items


def _lines(body: bytes) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(body.splitlines()):
        if line.strip():
            try:
                yield number, strict_json(line, most_depth=DEPTH)
            except Unacceptable as problem:
                yield number, problem
