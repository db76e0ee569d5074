"""``/v1/zones:reach`` and ``/v1/zones:lint``: what can be known of a zone before it costs money.

Both take a draft, a GeoJSON Feature as `PUT /v1/zones/{id}` takes it, or name a stored zone.
Nothing is stored.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any, Literal

import msgspec
from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, RootModel

from geotarget.api.problems import show
from geotarget.api.route import RawBody, strict_json
from geotarget.api.services import Context, Here
from geotarget.api.values import Name
from geotarget.api.zones import FEATURE, FeatureDocument
from geotarget.errors import Conflict, InvalidInput, NotFound, Overloaded, Problem
from geotarget.insight import lint as linting
from geotarget.insight import reach as reaching
from geotarget.insight.ground import outline
from geotarget.model import Footfall, Zone
from geotarget.store import Store

DRAFT = "draft"
DAY_MS = 86_400_000

MOST_NEIGHBOURS = 200
"""Other zones that a draft is compared with."""

AT_ONCE = 2
"""Questions that are worked on at one time: each keeps a core busy, and pings come first."""

WAIT_S = 5.0
"""How long one waits for its turn before the caller is sent away, seconds."""

_turns = threading.BoundedSemaphore(AT_ONCE)


class StoredZone(BaseModel):
    """A zone that is stored already."""

    model_config = ConfigDict(extra="forbid")

    zone: Name = Field(description="Its id.")


class PlaceDocument(RootModel[FeatureDocument | StoredZone]):
    """A draft of a zone as a GeoJSON Feature, or the id of a stored one."""

    model_config = ConfigDict(json_schema_extra={"examples": [FEATURE, {"zone": "kamppi"}]})


class CellAnswer(BaseModel):
    """One H3 cell that the zone touches."""

    cell: str = Field(description="H3 index.")
    share: float = Field(description="How much of it lies in the zone, 0 to 1.")
    devices: int | None = Field(
        description="About how many devices were in the cell; null where they are too few to show."
    )


class ReachAnswer(BaseModel):
    """How many devices were in a zone."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "devices": 1240,
                    "sentence": "About 1,240 devices were here in the last 30 days.",
                    "days": 30,
                    "from": "2026-01-02",
                    "to": "2026-01-31",
                    "resolution": 9,
                    "cells": [
                        {"cell": "891126d338fffff", "share": 0.84, "devices": 1310},
                        {"cell": "891126d33c3ffff", "share": 0.02, "devices": None},
                    ],
                }
            ]
        },
    )

    devices: int | None = Field(
        description="About how many different devices were in the zone; null where they are too "
        "few to show."
    )
    sentence: str = Field(description="The same in words.")
    days: int
    from_: str = Field(alias="from", description="First day that counts, in UTC.")
    to: str = Field(description="Last day that counts: today.")
    resolution: int = Field(description="Of the cells: 9, or coarser for large zones.")
    cells: list[CellAnswer]


class SpreadAnswer(BaseModel):
    """What phones report."""

    median: float
    p90: float = Field(description="Nine in ten phones report less.")
    observed: bool = Field(description="Seen around the zone; else assumed, as in a town.")
    samples: int = Field(description="Arrivals that were seen; 0 where it is assumed.")


class ForecastAnswer(BaseModel):
    """What the live engine made of simulated people."""

    visits: int
    stay_s: float = Field(description="How long each visitor stayed, seconds.")
    missed: float = Field(description="Share of the arrivals that were never seen.")
    delay_s: float | None = Field(
        description="Median time from arrival to decision, seconds; null when all were missed."
    )
    passers: int = Field(description="People who walked past, 5 to 40 m away.")
    entered: float = Field(description="Share of them who were taken to have entered.")


class FindingAnswer(BaseModel):
    """One thing to know about the zone."""

    code: str
    severity: Literal["problem", "warning", "hint"]
    text: str


class LintAnswer(BaseModel):
    """Whether phones can tell that they are in a zone."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "sentence": "Median accuracy here is 28 m, the zone is 30 m wide: expect to "
                    "miss 6 of 10 arrivals.",
                    "width_m": 30.0,
                    "accuracy_m": {
                        "median": 28.5,
                        "p90": 57.0,
                        "observed": True,
                        "samples": 812,
                    },
                    "interval_s": {"median": 28.5, "p90": 90.5, "observed": True, "samples": 790},
                    "forecast": {
                        "visits": 400,
                        "stay_s": 300.0,
                        "missed": 0.6,
                        "delay_s": 67.1,
                        "passers": 400,
                        "entered": 0.03,
                    },
                    "findings": [
                        {
                            "code": "arrivals-missed",
                            "severity": "problem",
                            "text": "60% of the arrivals will be missed; a wider zone sees more "
                            "of them, and so does the entry policy eager, which also takes more "
                            "people in who only walk past",
                        }
                    ],
                }
            ]
        }
    )

    sentence: str = Field(description="The forecast in words.")
    width_m: float = Field(description="Of the largest circle that fits into the zone, metres.")
    accuracy_m: SpreadAnswer = Field(description="68 % radius of the phones here, metres.")
    interval_s: SpreadAnswer = Field(description="Time between their pings, seconds.")
    forecast: ForecastAnswer
    findings: list[FindingAnswer] = Field(description="The worst first.")


Days = Annotated[
    int | None,
    Query(ge=1, le=366, description="How many days up to today count; by default all kept ones."),
]
Stay = Annotated[float, Query(ge=30, le=7200, description="How long a visitor stays, seconds.")]


class _Peek(msgspec.Struct):
    """The members of a body that tell what it is; the rest is not even decoded."""

    type: Any = None
    zone: Any = None
    id: Any = None


def reach_zone(document: RawBody, here: Here, days: Days = None) -> ReachAnswer:
    """Tell how many devices were in a zone.

    For a draft (a GeoJSON Feature) or a stored zone (`{"zone": "kamppi"}`), from what was noted of
    its H3 cells; no pings are kept for it. Numbers of fewer devices than the minimum audience are
    not shown. Zones of more than 5,000 cells (some 500 km²) are refused.
    """
    kept = here.services.limits.reach_days
    if kept == 0:
        raise Conflict("nothing is noted of where devices are: GEOTARGET_REACH_DAYS is 0")
    if days is not None and days > kept:
        raise InvalidInput(Problem("days", str(days), f"footfall is kept for {kept} days"))
    zone = zone_of(document, here)
    with turn():
        found = reaching.reach(
            zone,
            partial(_read, here.services.store, counts=False),
            today=_now_ms() // DAY_MS,
            days=days or kept,
            minimum=here.services.limits.minimum_audience,
        )
    return ReachAnswer.model_validate(
        {
            "devices": found.devices,
            "sentence": found.sentence,
            "days": days or kept,
            "from": _date(found.from_day),
            "to": _date(found.to_day),
            "resolution": found.resolution,
            "cells": [
                CellAnswer(cell=each.cell, share=each.share, devices=each.devices)
                for each in found.cells
            ],
        }
    )


def lint_zone(document: RawBody, here: Here, stay_s: Stay = 300.0) -> LintAnswer:
    """Tell whether phones can detect a zone.

    For a draft (a GeoJSON Feature) or a stored zone (`{"zone": "kamppi"}`). Some hundred simulated
    people visit it or walk past, with phones as they are around here, and the live engine decides;
    what is odd about its outline, dates and neighbours is said too.
    """
    services = here.services
    zone = zone_of(document, here)
    with turn():
        found = linting.lint(
            zone,
            partial(_read, services.store, counts=True),
            others=services.store.zones_page(bbox=_box(zone), limit=MOST_NEIGHBOURS).items,
            thresholds_s=services.catalog.snapshot.table.thresholds_s(zone.id),
            rules=services.rules,
            now_ms=_now_ms(),
            days=max(1, services.limits.reach_days),
            minimum=services.limits.minimum_audience,
            stay_s=stay_s,
        )
    forecast = found.forecast
    delays = forecast.delays_s
    return LintAnswer(
        sentence=found.sentence,
        width_m=found.width_m,
        accuracy_m=_spread(found.accuracy_m),
        interval_s=_spread(found.interval_s),
        forecast=ForecastAnswer(
            visits=forecast.visits,
            stay_s=stay_s,
            missed=round(forecast.missed / forecast.visits, 3),
            delay_s=round(delays[len(delays) // 2], 1) if delays else None,
            passers=forecast.passers,
            entered=round(forecast.entered / forecast.passers, 3),
        ),
        findings=[
            FindingAnswer.model_validate(
                {"code": each.code, "severity": each.severity.name.lower(), "text": each.text}
            )
            for each in found.findings
        ],
    )


@contextmanager
def turn() -> Iterator[None]:
    """Let few work at one time.

    Raises
    ------
    Overloaded
        Others were at work all the time.
    """
    if not _turns.acquire(timeout=WAIT_S):
        raise Overloaded(f"{AT_ONCE} zones are being looked at", retry_after_s=WAIT_S)
    try:
        yield
    finally:
        _turns.release()


def zone_of(document: bytes, here: Context) -> Zone:
    """Return the draft that a body holds, or the stored zone that it names.

    Raises
    ------
    InvalidInput
        It is neither, or the draft can't be accepted.
    NotFound
        There is no zone of this name.
    """
    try:
        peek = msgspec.json.decode(document, type=_Peek)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        peek = _Peek()  # whoever reads the whole of it says what is wrong
    if peek.type is None and peek.zone is not None:
        return _stored(document, here)
    return here.quarantine.zone(document, id=peek.id if isinstance(peek.id, str) else DRAFT)


def _stored(document: bytes, here: Context) -> Zone:
    members = strict_json(document, most_depth=4)
    problems = [
        Problem(f"$.{show(name)}", show(value), "unknown member; there are type or zone")
        for name, value in members.items()
        if name != "zone"
    ]
    name = members["zone"]
    if not isinstance(name, str):
        problems.append(Problem("$.zone", show(name), "must be the id of a zone"))
    if problems:
        raise InvalidInput(*problems)
    zone = here.services.store.zone(name)
    if zone is None:
        raise NotFound("zone", name)
    return zone


def _read(
    store: Store, cells: Iterable[int], from_day: int, to_day: int, *, counts: bool
) -> Sequence[Footfall]:
    return store.footfall(cells, from_day=from_day, to_day=to_day, counts=counts)


def _box(zone: Zone) -> tuple[float, float, float, float]:
    """Return the bounding box as the store takes it: west above east where it crosses 180°."""
    west, south, east, north = outline(zone).bounds
    if east - west >= 360.0:
        return -180.0, south, 180.0, north
    return (
        west + 360.0 if west < -180.0 else west,
        max(south, -90.0),
        east - 360.0 if east > 180.0 else east,
        min(north, 90.0),
    )


def _spread(spread: linting.Spread) -> SpreadAnswer:
    return SpreadAnswer(
        median=spread.median, p90=spread.p90, observed=spread.observed, samples=spread.samples
    )


def _date(day: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(day * 86_400))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
