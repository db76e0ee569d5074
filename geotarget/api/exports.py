"""``/v1/exports``: lists of people for other systems, consent checked, each of them noted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Annotated, Any

from fastapi import Query
from pydantic import ConfigDict, RootModel
from starlette.responses import Response, StreamingResponse

from geotarget.api.history import From, To
from geotarget.api.services import Context, Here, Who
from geotarget.api.values import Id, Name, instant
from geotarget.errors import Conflict, InvalidInput, NotFound, Problem, StoreError
from geotarget.insight import exports
from geotarget.insight.exports import Person

DAY_MS = 86_400_000
USUAL_DAYS = 30


class Format(StrEnum):
    """Who the list is for: a spreadsheet, or a platform."""

    CSV = "csv"
    GOOGLE = "google"
    META = "meta"
    TIKTOK = "tiktok"
    LINKEDIN = "linkedin"


EXAMPLE = (
    "profile,visits,first_visit,last_visit\r\n"
    "p-1001,3,2026-01-02T09:12:44.000Z,2026-01-28T17:40:02.000Z\r\n"
)


class ListAnswer(RootModel[str]):
    """One row a person, with a header row."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})


LIST: dict[str, Any] = {"answer": ListAnswer, "gives": "text/csv", "problems": (409,)}
"""What the routes answer."""

ListFormat = Annotated[
    Format,
    Query(
        description="`csv`: ids and visits. The others: SHA-256 hashes of e-mail addresses and "
        "phone numbers, as the platform documents it; who has neither is left out."
    ),
]
Purpose = Annotated[
    Name, Query(description="Only people whose profile says yes to this purpose are listed.")
]


def export_visitors(
    id: Id,
    here: Here,
    who: Who,
    since: From = None,
    to: To = None,
    format: ListFormat = Format.CSV,
    purpose: Purpose = "advertising",
) -> Response:
    """Export the visitors of a zone.

    Who entered it, by default in the last 30 days, and agreed to `purpose`. Refused for sensitive
    zones and for lists of fewer people than the minimum audience. Noted in the audit log before the
    first byte goes out.
    """
    zone = here.services.store.zone(id)
    if zone is None:
        raise NotFound("zone", id)
    now_ms = time.time_ns() // 1_000_000
    to_ms = now_ms if to is None else to
    from_ms = to_ms - USUAL_DAYS * DAY_MS if since is None else since
    if from_ms >= to_ms:
        raise InvalidInput(Problem("from", instant(from_ms), f"must be before {instant(to_ms)}"))
    found = here.services.store.visitors(id, from_ms=from_ms, to_ms=to_ms)
    return _answer(
        here,
        who,
        id,
        {"from": instant(from_ms), "to": instant(to_ms)},
        _Asked("visitors", format, purpose),
        check=partial(exports.check_zone, zone),
        people=(Person(*each) for each in found),
    )


def export_audience(
    id: Id,
    here: Here,
    who: Who,
    format: ListFormat = Format.CSV,
    purpose: Purpose = "advertising",
) -> Response:
    """Export the members of an audience.

    For whom its rule holds now, and who agreed to `purpose`; visits are those of 90 days. Refused
    for rules that name a sensitive zone and for lists of fewer people than the minimum audience.
    Noted in the audit log before the first byte goes out.
    """
    store = here.services.store
    audience = store.audience(id)
    if audience is None:
        raise NotFound("audience", id)
    found = exports.members(
        audience,
        store.people(store.people_ids()),
        purpose=purpose,
        tagged=here.services.catalog.snapshot.table.tagged,
        now_ms=time.time_ns() // 1_000_000,
    )
    return _answer(
        here,
        who,
        id,
        {"revision": audience.revision},
        _Asked("audience", format, purpose),
        check=partial(exports.check_audience, audience, store.sensitive_places()),
        people=found,
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is listed, for whom and for what."""

    what: str
    format: Format
    purpose: str


def _answer(
    here: Context,
    who: str,
    subject: str,
    detail: Mapping[str, Any],
    asked: _Asked,
    *,
    check: Callable[[], None],
    people: Iterable[Person],
) -> Response:
    """Write a list, note who got it, and send it; a refusal is noted too."""
    services = here.services
    told = {"list": asked.what, "format": asked.format.value, "purpose": asked.purpose, **detail}
    try:
        check()
        made = exports.write_list(
            people,
            format=asked.format.value,
            purpose=asked.purpose,
            minimum=services.limits.minimum_audience,
            region=services.phone_region,
            instant=instant,
        )
    except Conflict as refused:
        services.store.add_audit(who, "export.refuse", subject, {**told, "why": str(refused)})
        raise
    try:
        services.store.add_audit(who, "export", subject, {**told, "rows": made.rows})
    except StoreError:
        made.file.close()
        raise
    headers = {
        "Content-Disposition": f'attachment; filename="{asked.what}-{asked.format.value}.csv"',
    }
    return StreamingResponse(made.pieces(), 200, headers, "text/csv; charset=utf-8")
