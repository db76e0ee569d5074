"""``/v1/zones``: places as GeoJSON, one by one or a whole catalogue at once.

Documents are parsed and checked in `quarantine`, never on the event loop; answers are written
as GeoJSON directly, because a page of outlines is megabytes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal, TypedDict

import msgspec
from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from geotarget.api.problems import sayable, show
from geotarget.api.route import RawBody
from geotarget.api.services import Here, Who
from geotarget.api.values import Cursor, Id, Name
from geotarget.api.zone_shapes import ShapeAnswer, add_shapes
from geotarget.errors import InvalidInput, NotFound, Problem
from geotarget.geojson import to_feature
from geotarget.geojson.collection import FeatureReport
from geotarget.model import EntryPolicy

GEOJSON = "application/geo+json"
MEDIA_TYPES = (GEOJSON, "application/json")

RESERVED = "/cells"
"""What an id may not end in: that is an address of a zone's own."""

_RESERVED_SAID = f"may not end in {RESERVED}"

MOST_REJECTED = 1_000
"""Rejected features that are told one by one; the rest is only counted."""

MOST_LISTED = 1_000
"""Zones in a page; without outlines ten times as many."""

ZoneLimit = Annotated[
    int,
    Query(
        ge=1,
        le=10 * MOST_LISTED,
        description=f"Most items in the answer; with outlines at most {MOST_LISTED}.",
    ),
]

FEATURE: dict[str, Any] = {
    "type": "Feature",
    "id": "kamppi",
    "geometry": {
        "type": "Polygon",
        "coordinates": [
            [
                [24.9301, 60.1682],
                [24.9345, 60.1682],
                [24.9345, 60.1701],
                [24.9301, 60.1701],
                [24.9301, 60.1682],
            ]
        ],
    },
    "properties": {"name": "Kamppi", "tags": ["bakery"], "special": "cinnamon bun"},
}

Position = Annotated[list[float], Field(min_length=2, max_length=3)]
Ring = Annotated[list[Position], Field(min_length=4)]


class PolygonDocument(BaseModel):
    """A polygon: its outline, then its holes; longitude before latitude."""

    type: Literal["Polygon"]
    coordinates: Annotated[list[Ring], Field(min_length=1)]


class MultiPolygonDocument(BaseModel):
    """Several polygons that are one zone."""

    type: Literal["MultiPolygon"]
    coordinates: Annotated[list[list[Ring]], Field(min_length=1)]


class PointDocument(BaseModel):
    """The centre of a circle; `properties.radius_m` says how large."""

    type: Literal["Point"]
    coordinates: Position


class ZoneProperties(BaseModel):
    """What is known of a zone. Any further member is kept, and offers may use it."""

    model_config = ConfigDict(extra="allow")

    name: str = Field(default="", description="For people.")
    tags: list[str] = Field(default=[], description="Campaigns may choose zones by tag.")
    priority: int = Field(default=0, description="Higher comes first among entries at once.")
    entry: EntryPolicy = Field(
        default=EntryPolicy.STANDARD, description="How much evidence an entry needs."
    )
    pending: Literal["drop", "enter"] = Field(
        default="drop",
        description="What becomes of one weak piece of evidence when no second one follows.",
    )
    exit_buffer_m: float | None = Field(
        default=None,
        ge=0,
        le=10_000,
        description="How far beyond its accuracy a fix must lie to count as outside, metres; "
        "by default the figure of the rules.",
    )
    active: bool = Field(default=True, description="Whether it is matched at all.")
    sensitive: bool = Field(default=False, description="Marketing never fires here.")
    radius_m: float | None = Field(default=None, gt=0, description="Of a circle, metres.")
    starts: str | None = Field(default=None, description="Valid from: RFC 3339.")
    ends: str | None = Field(default=None, description="Valid until: RFC 3339.")
    time_zone: str | None = Field(
        default=None, description="IANA name; by default that of its location."
    )


class FeatureDocument(BaseModel):
    """A zone as a GeoJSON Feature (RFC 7946)."""

    model_config = ConfigDict(json_schema_extra={"examples": [FEATURE]})

    type: Literal["Feature"]
    id: Name | None = Field(default=None, description="Or `properties.id`.")
    geometry: PolygonDocument | MultiPolygonDocument | PointDocument
    properties: ZoneProperties | None = None


class FeaturesDocument(BaseModel):
    """Zones as a GeoJSON FeatureCollection; a single Feature is taken too."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"type": "FeatureCollection", "features": [FEATURE]}]}
    )

    type: Literal["FeatureCollection"]
    features: list[FeatureDocument]


class FeatureAnswer(FeatureDocument):
    """A zone as it is stored."""

    model_config = ConfigDict(json_schema_extra={"examples": [FEATURE | {"revision": 3}]})

    revision: int = Field(description="Rises with every change; transitions name it.")


class ListedZone(FeatureAnswer):
    """A zone in a list; without its outline where that was not wanted."""

    geometry: PolygonDocument | MultiPolygonDocument | PointDocument | None  # type: ignore[assignment] # wider
    bbox: list[float] | None = Field(
        default=None, description="West, south, east, north, degrees; in place of an outline."
    )
    shape: ShapeAnswer | None = Field(default=None, description="In place of an outline.")


class FeaturesAnswer(BaseModel):
    """A page of zones."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "FeatureCollection",
                    "features": [FEATURE | {"revision": 3}],
                    "next": None,
                }
            ]
        }
    )

    type: Literal["FeatureCollection"]
    features: list[ListedZone]
    next: str | None = Field(description="Cursor of the next page; null on the last one.")


class _One(TypedDict):
    answer: type[BaseModel]
    gives: str


ONE: _One = {"answer": FeatureAnswer, "gives": GEOJSON}
"""What the routes of a single zone answer."""


class Finding(BaseModel):
    """One thing that is wrong with a feature."""

    path: str
    value: str
    reason: str

    @classmethod
    def of(cls, problem: Problem) -> Finding:
        """Return what the API says about a problem."""
        return cls(
            path=sayable(problem.path),
            value=sayable(problem.value),
            reason=sayable(problem.reason),
        )


class RejectedFeature(BaseModel):
    """A feature that was refused; the others are not affected."""

    index: int = Field(description="Position in `features`, from 0.")
    id: str | None = Field(description="If it had one.")
    errors: list[Finding]


class ImportAnswer(BaseModel):
    """What became of an import."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "accepted": 11,
                    "rejected": [
                        {
                            "index": 4,
                            "id": "harbour",
                            "errors": [
                                {
                                    "path": "$.features[4].geometry.coordinates[0]",
                                    "value": "[24.93, 60.17]",
                                    "reason": "the ring is not closed",
                                }
                            ],
                        }
                    ],
                    "rejected_count": 1,
                    "revision": 42,
                    "dry_run": False,
                }
            ]
        }
    )

    accepted: int = Field(description="Stored, or with `dry_run` good enough to be.")
    rejected: list[RejectedFeature] = Field(
        description=f"The first {MOST_REJECTED} refused features."
    )
    rejected_count: int = Field(description="How many were refused in all.")
    revision: int = Field(description="Catalogue revision that is matched against now.")
    dry_run: bool


def _parse_box(text: str | None) -> tuple[float, float, float, float] | None:
    if text is None:
        return None
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError:
        west = south = east = north = float("nan")
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= north <= 90):
        raise InvalidInput(
            Problem(
                "bbox",
                text[:80],
                "must be west,south,east,north in degrees, south below north",
            )
        )
    return west, south, east, north


def list_zones(
    here: Here,
    tag: Annotated[Name | None, Query(description="Only with this tag.")] = None,
    bbox: Annotated[
        str | None,
        Query(
            description="Only zones whose bounding box meets west,south,east,north (degrees); "
            "west above east crosses 180°.",
            examples=["24.9,60.1,25.0,60.2"],
            max_length=200,
        ),
    ] = None,
    *,
    outlines: Annotated[
        bool,
        Query(
            description="Whether `geometry` tells the outline. Without it that is null, and "
            "`shape` and `bbox` say in a few figures what it is and where."
        ),
    ] = True,
    limit: ZoneLimit = 100,
    cursor: Cursor = None,
) -> Response:
    """List zones.

    By id, as a FeatureCollection with `next`; inactive ones too.
    """
    box = _parse_box(bbox)
    features: list[dict[str, Any]] = []
    most = limit if outlines else MOST_LISTED  # what is too much with outlines the store refuses
    while True:
        left = min(limit - len(features), most)
        page = here.services.store.zones_page(tag=tag, bbox=box, limit=left, cursor=cursor)
        found = [to_feature(zone, outline=outlines) for zone in page.items]
        if not outlines:
            add_shapes(found, page.items)
        features += found
        cursor = page.next
        if cursor is None or len(features) == limit:
            break
    return _geojson({"type": "FeatureCollection", "features": features, "next": cursor})


def get_zone(id: Id, here: Here) -> Response:
    """Show one zone.

    As a GeoJSON Feature with its revision.
    """
    zone = here.services.store.zone(id)
    if zone is None:
        raise NotFound("zone", id)
    return _geojson(to_feature(zone))


def put_zone(id: Id, document: RawBody, here: Here, who: Who) -> Response:
    """Create or replace a zone.

    A GeoJSON Feature: Polygon, MultiPolygon, or Point with `properties.radius_m`. It is matched
    from this answer on, in other processes within a second; devices inside are judged again
    without an offer. The id of the path holds.
    """
    if id.endswith(RESERVED):
        raise InvalidInput(Problem("id", id, _RESERVED_SAID))
    zone = here.quarantine.zone(document, id=id)
    (stored,) = here.services.catalog.put_zones([zone], by=who)
    return _geojson(to_feature(stored))


def import_zones(
    document: RawBody,
    here: Here,
    who: Who,
    *,
    dry_run: Annotated[bool, Query(description="Only check, store nothing.")] = False,
) -> ImportAnswer:
    """Import zones.

    A GeoJSON FeatureCollection. Good features are stored, bad ones are reported with everything
    that is wrong with them; importing the same file again is harmless.
    """
    catalog = here.services.catalog
    features = [_unless_reserved(each) for each in here.quarantine.zones(document).features]
    accepted = [each.zone for each in features if each.zone is not None]
    rejected = [each for each in features if each.zone is None]
    if not dry_run:
        catalog.put_zones(accepted, by=who)
    return ImportAnswer(
        accepted=len(accepted),
        rejected=[
            RejectedFeature(
                index=each.index,
                id=None if each.id is None else show(sayable(each.id)),
                errors=[Finding.of(problem) for problem in each.problems],
            )
            for each in rejected[:MOST_REJECTED]
        ],
        rejected_count=len(rejected),
        revision=catalog.snapshot.revision,
        dry_run=dry_run,
    )


def delete_zone(id: Id, here: Here, who: Who) -> None:
    """Delete a zone.

    Visits in it end as `reconciled`, which fires nothing.
    """
    if not here.services.catalog.delete_zones([id], by=who):
        raise NotFound("zone", id)


def _unless_reserved(report: FeatureReport) -> FeatureReport:
    if report.zone is None or not report.zone.id.endswith(RESERVED):
        return report
    problem = Problem(f"$.features[{report.index}].id", report.zone.id, _RESERVED_SAID)
    return replace(report, zone=None, problems=(problem,))


def _geojson(document: dict[str, Any]) -> Response:
    return Response(msgspec.json.encode(document), media_type=GEOJSON)
