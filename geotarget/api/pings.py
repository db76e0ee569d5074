"""``POST /v1/pings``: for devices and back ends without MQTT.

The body goes as it came to the decoder of the ingest and from there into its queue; no model per
ping in between, so a request of a thousand costs about what its JSON costs.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from fastapi import HTTPException
from pydantic import BaseModel, ConfigDict, Field, RootModel
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from geotarget.api.services import Decoded, Here
from geotarget.api.values import Name
from geotarget.errors import InvalidPing, Problem

MEDIA_TYPES = (
    "application/json",
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
)

DECODE_ASIDE_BYTES = 256 << 10
"""Larger bodies are decoded in a worker thread: the event loop belongs to everybody."""

MOST_REJECTED = 1_000
"""Rejected items that are told one by one; the rest is only counted."""

EXAMPLE: dict[str, Any] = {
    "device": "device-17",
    "ts": 1767268800.25,
    "lat": 60.1690,
    "lng": 24.9330,
    "acc": 12.0,
}


class Ping(BaseModel):
    """Where a device was, when; unknown members are ignored."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    device: Name = Field(description="Pseudonymous id of the device.")
    ts: float | str = Field(description="Time of the fix: epoch seconds or RFC 3339.")
    lat: float = Field(ge=-90, le=90, description="Latitude, degrees (WGS 84).")
    lng: float = Field(ge=-180, le=180, description="Longitude, degrees; `lon` is understood.")
    acc: float | None = Field(default=None, ge=0, description="Accuracy, metres.")
    id: str | None = Field(default=None, description="Makes a repetition recognisable.")


class PingsDocument(RootModel[list[Ping] | Ping]):
    """Pings in an array, or a single one."""

    model_config = ConfigDict(json_schema_extra={"examples": [[EXAMPLE]]})


class RejectedItem(BaseModel):
    """An item that was refused; the others are not affected."""

    index: int = Field(description="Position in the array, or line, from 0.")
    reason: str = Field(description="A short code: json, latitude, future …")
    detail: str = Field(description="The value and the bound.")


class PingsAnswer(BaseModel):
    """What became of a request."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "accepted": 2,
                    "rejected": [
                        {
                            "index": 1,
                            "reason": "latitude",
                            "detail": "latitude must be within -90 and 90 (95.0)",
                        }
                    ],
                    "rejected_count": 1,
                }
            ]
        }
    )

    accepted: int = Field(description="Durable now: committed, or in the broker's keeping.")
    rejected: list[RejectedItem] = Field(description=f"The first {MOST_REJECTED} refused items.")
    rejected_count: int = Field(description="How many were refused in all.")


async def post_pings(request: Request, here: Here) -> PingsAnswer:
    """Send pings.

    An array of pings, one ping, or one per line (NDJSON). The answer comes when the good ones are
    durable; bad items are reported and do not hold the others up. Sending the same pings again is
    harmless: repetitions are recognised.
    """
    body = await request.body()
    decoded = await _decode(here, body, request.headers["content-type"])
    items = decoded.ping_message.tolist()
    refused = [
        RejectedItem(index=each.index or 0, reason=each.reason, detail=each.detail)
        for each in decoded.rejected
    ]
    if refused and not items and all(each.reason == "json" for each in refused):
        raise InvalidPing(*(Problem("$", "", each.detail) for each in refused))
    accepted = 0
    if items or refused:
        queued = here.services.intake.submit(decoded.pings, decoded.rejected)
        outcome = await _within(asyncio.wrap_future(queued), here.services.limits.pings_wait_s)
        accepted = outcome.accepted
        refused += [
            RejectedItem(index=items[position], reason=reason, detail=detail)
            for position, reason, detail in outcome.refused
        ]
    refused.sort(key=lambda each: each.index)
    return PingsAnswer(
        accepted=accepted, rejected=refused[:MOST_REJECTED], rejected_count=len(refused)
    )


async def _decode(here: Here, body: bytes, content_type: str) -> Decoded:
    decode = here.services.decode
    received_ms = time.time_ns() // 1_000_000
    if len(body) < DECODE_ASIDE_BYTES:
        return decode(body, content_type=content_type, received_ms=received_ms)
    return await run_in_threadpool(decode, body, content_type=content_type, received_ms=received_ms)


async def _within(queued: asyncio.Future[Any], limit_s: float) -> Any:
    """Wait for the commit, without giving it up when the wait is over."""
    done, _ = await asyncio.wait([queued], timeout=limit_s)
    if not done:
        raise HTTPException(
            503,
            f"not committed within {limit_s:g} s; the pings may yet be: send them again, "
            "repetitions are recognised",
            {"Retry-After": "5"},
        )
    return queued.result()
