"""``/v1/reports``: what campaigns came to, and the foot traffic of zones; as JSON or CSV.

What the figures mean stands in `geotarget.insight` and in `docs/results.md`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Query
from pydantic import BaseModel, BeforeValidator, WithJsonSchema
from starlette.responses import Response

from geotarget.api.report_documents import By, CampaignReport, CampaignReportPage, ZoneReport
from geotarget.api.services import Here
from geotarget.api.values import Cursor, Id, Limit
from geotarget.errors import NotFound
from geotarget.insight import csv_tables, tables
from geotarget.insight.results import campaign_results
from geotarget.insight.traffic import check_range, traffic
from geotarget.model import Campaign, Status
from geotarget.store import Store

FIRST, LAST = date(1970, 1, 1), date(9998, 12, 31)

_RESULTS = csv_tables.to_csv(tables.RESULTS, [])
_TRAFFIC = csv_tables.to_csv(tables.TRAFFIC, [["kamppi", "visits_by_hour", "17", 412]])
ALL: dict[str, Any] = {"answer": CampaignReportPage, "csv": _RESULTS}
ONE: dict[str, Any] = {"answer": CampaignReport, "csv": _RESULTS}
ZONE: dict[str, Any] = {"answer": ZoneReport, "csv": _TRAFFIC}


class Format(StrEnum):
    """What an answer comes as."""

    JSON = "json"
    CSV = "csv"


def _day(value: object) -> object:
    if value is None or isinstance(value, date):
        return value
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", str(value), re.ASCII):
        raise ValueError("must be a date such as 2026-11-22")
    try:
        day = date.fromisoformat(str(value))
    except ValueError:
        raise ValueError("there is no such date") from None
    if not FIRST <= day <= LAST:
        raise ValueError(f"must be from {FIRST} to {LAST}")
    return day


Day = Annotated[
    date,
    BeforeValidator(_day),
    WithJsonSchema({"type": "string", "format": "date", "examples": ["2026-11-01"]}),
]
From = Annotated[
    Day | None,
    Query(alias="from", description="First day, a date in the time zone of the zone."),
]
To = Annotated[Day | None, Query(description="Last day, included.")]
As = Annotated[Format, Query(alias="format", description="`json`, or `csv` for a spreadsheet.")]
RowsBy = Annotated[By | None, Query(description="What the rows are by.")]


def report_campaigns(
    here: Here,
    *,
    since: From = None,
    to: To = None,
    limit: Limit = 100,
    cursor: Cursor = None,
    form: As = Format.JSON,
) -> Response:
    """Compare campaigns.

    The results of all campaigns by id, each without rows, a page at a time. The range is of the
    decisions; the lift is always that of a campaign's whole life. As CSV the next page stands in
    the header `Link`.
    """
    _check(since, to)
    services = here.services
    page = services.store.campaigns_page(limit=limit, cursor=cursor)
    minimum = services.limits.minimum_audience
    found = [
        campaign_results(services.store, each, minimum=minimum, first_day=since, last_day=to)
        for each in page.items
    ]
    if form is Format.CSV:
        rows = [row for each in found for row in tables.results_rows(each)]
        return _csv("campaigns", tables.RESULTS, rows, following=page.next)
    items = [CampaignReport.of(each) for each in found]
    return _json(CampaignReportPage(items=items, next=page.next))


def report_campaign(
    id: Id,
    here: Here,
    *,
    since: From = None,
    to: To = None,
    by: RowsBy = None,
    form: As = Format.JSON,
) -> Response:
    """Show the results of a campaign.

    Decisions, deliveries, conversions, revenue and cost of the range, in all and by variant, zone
    or day; the funnel; and the lift against those who were held out, over the campaign's whole
    life, with its interval and in a plain sentence. Counts of too few people are null. As CSV one
    row for each variant, zone or day, or one in all. A campaign that was deleted is shown as it was
    last, and as ended.
    """
    _check(since, to)
    services = here.services
    found = campaign_results(
        services.store,
        _campaign(services.store, id),
        minimum=services.limits.minimum_audience,
        by="" if by is None else by.value,
        first_day=since,
        last_day=to,
    )
    if form is Format.CSV:
        return _csv("campaign", tables.RESULTS, tables.results_rows(found))
    return _json(CampaignReport.of(found))


def report_zone(
    id: Id, here: Here, *, since: From = None, to: To = None, form: As = Format.JSON
) -> Response:
    """Show the foot traffic of a zone.

    Visits, visitors, how long they stayed, who came again, and when, on the clock of the zone; at
    most 92 days, the last 30 when nothing is said. Counts of too few people are null.
    """
    services = here.services
    found = traffic(
        services.store,
        id,
        minimum=services.limits.minimum_audience,
        now_ms=time.time_ns() // 1_000_000,
        first_day=since,
        last_day=to,
    )
    if form is Format.CSV:
        return _csv("zone", tables.TRAFFIC, tables.traffic_rows(found))
    return _json(ZoneReport.of(found))


def _campaign(store: Store, id: str) -> Campaign:
    """Return a campaign, or what a deleted one was last: its figures are still there."""
    campaign = store.campaign(id)
    if campaign is not None:
        return campaign
    versions = store.campaign_versions(id, limit=1).items
    if not versions:
        raise NotFound("campaign", id)
    return replace(versions[0][1], status=Status.ENDED)


def _check(since: date | None, to: date | None) -> None:
    """Check that a range of a campaign's days does not end before it begins."""
    check_range(since or FIRST, to or LAST)


def _json(answer: BaseModel) -> Response:
    return Response(answer.model_dump_json(), media_type="application/json")


def _csv(
    name: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[csv_tables.Value]],
    *,
    following: str | None = None,
) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    if following is not None:
        query = urlencode({"cursor": following, "format": "csv"})
        headers["Link"] = f'<?{query}>; rel="next"'
    return Response(
        csv_tables.to_csv(columns, rows), media_type=csv_tables.MEDIA_TYPE, headers=headers
    )
