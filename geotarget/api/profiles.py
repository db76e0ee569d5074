"""``/v1/profiles``: what is known of the owner of some devices, under a pseudonymous id."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Annotated, Any

from fastapi import Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from geotarget import behaviour as history
from geotarget.api.campaign_parts import HoursDocument
from geotarget.api.services import Here, Who
from geotarget.api.values import (
    PLAIN_TEXT,
    Document,
    Id,
    Name,
    instant,
    instant_or_none,
    units,
)
from geotarget.errors import NotFound
from geotarget.geojson.properties import id_problem
from geotarget.model import Behaviour, Profile, Zone
from geotarget.profile_files import (
    MOST_ATTRIBUTES,
    MOST_DEVICES,
    MOST_EXTERNAL_ID,
    MOST_EXTERNAL_IDS,
    MOST_PURPOSES,
)

EXAMPLE: dict[str, Any] = {
    "attributes": {"first_name": "Aino", "language": "fi", "tier": "gold"},
    "consent": {"marketing": True},
    "external_ids": {"crm": "4711"},
    "devices": ["device-17"],
    "quiet_hours": {"from": "22:00", "to": "07:00"},
}
WINDOWS = (7, 30, 90)


def _check_device(id: str) -> str:
    if reason := id_problem(id):
        raise ValueError(reason)
    return id


DeviceId = Annotated[
    str, StringConstraints(min_length=1, max_length=128), AfterValidator(_check_device)
]
ExternalId = Annotated[str, StringConstraints(min_length=1, max_length=MOST_EXTERNAL_ID)]


class ProfileBody(Document):
    """What is both written and shown of a profile."""

    attributes: Annotated[dict[str, Any], Field(max_length=MOST_ATTRIBUTES)] = Field(
        default={}, description="Any JSON; rules and offers may use all of it."
    )
    consent: Annotated[dict[Name, bool], Field(max_length=MOST_PURPOSES)] = Field(
        default={},
        description="By purpose: true given, false refused.",
        json_schema_extra={"additionalProperties": False},
    )
    external_ids: Annotated[dict[Name, ExternalId], Field(max_length=MOST_EXTERNAL_IDS)] = Field(
        default={},
        description="Ids in other systems, by their name: `crm`, `email`, `phone` …",
        json_schema_extra={"additionalProperties": False},
    )
    quiet_hours: HoursDocument | None = Field(
        default=None,
        description="When it wants to hear nothing, local to the zone; null is what the operator "
        "set.",
    )


class ProfileDocument(ProfileBody):
    """A profile as it is written."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    devices: Annotated[list[DeviceId], Field(max_length=MOST_DEVICES)] | None = Field(
        default=None,
        description="Exactly these devices are linked to it, and taken from whoever had them; "
        "left out or null, its links stay as they are.",
    )

    def to_profile(self, id: str) -> Profile:
        """Return the profile that this describes."""
        return Profile(
            id=id,
            attributes=self.attributes,
            consent=self.consent,
            external_ids=self.external_ids,
            devices=tuple(dict.fromkeys(self.devices or ())),
            quiet_hours=None if self.quiet_hours is None else self.quiet_hours.to_hours(),
        )


class ProfileAnswer(ProfileBody):
    """A profile as it is stored."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"id": "aino", **EXAMPLE}]})

    id: str
    devices: list[str] = Field(
        description="Linked to it. A device that is linked to none is its own profile."
    )

    @classmethod
    def of(cls, profile: Profile) -> ProfileAnswer:
        """Return what the API says about a profile."""
        quiet = profile.quiet_hours
        return cls(
            id=profile.id,
            attributes=dict(profile.attributes),
            consent=dict(profile.consent),
            external_ids=dict(profile.external_ids),
            devices=list(profile.devices),
            quiet_hours=None if quiet is None else HoursDocument.of(quiet),
        )


class WindowItem(BaseModel):
    """What was done within some days."""

    days: int = Field(description="So many times 24 hours, until now.")
    visits: int
    dwell_s: int = Field(description="Time spent in zones on visits that are over, seconds.")
    offers: int = Field(description="Offers sent.")
    purchases: int = Field(description="Reported conversions.")


class VisitsItem(BaseModel):
    """Visits of one zone, or of the zones that carry a tag, within 7, 30 and 90 days."""

    visits_7: int
    visits_30: int
    visits: int = Field(description="Within 90 days.")
    last_visit: str
    dwell_s: int = Field(description="Time spent on visits that are over, 90 days, seconds.")


class ZoneItem(VisitsItem):
    """What was done in one zone."""

    zone: str


class TagItem(VisitsItem):
    """What was done in the zones that carry a tag now."""

    tag: str


class CategoryItem(BaseModel):
    """Conversions of one category and currency within 90 days."""

    category: str
    currency: str
    purchases: int
    value: float


class PurchaseItem(BaseModel):
    """One conversion."""

    time: str
    category: str
    value: float
    currency: str


class BehaviourAnswer(BaseModel):
    """What geotarget counted of a profile itself."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "aino",
                    "first_seen": "2026-01-01T12:00:00.000Z",
                    "last_seen": "2026-01-09T12:00:00.000Z",
                    "visits": 14,
                    "offers": 3,
                    "purchases": 1,
                    "windows": [
                        {"days": 7, "visits": 2, "dwell_s": 900, "offers": 1, "purchases": 0}
                    ],
                    "zones": [
                        {
                            "zone": "kamppi",
                            "visits_7": 2,
                            "visits_30": 9,
                            "visits": 9,
                            "last_visit": "2026-01-09T12:00:00.000Z",
                            "dwell_s": 4200,
                        }
                    ],
                    "tags": [
                        {
                            "tag": "bakery",
                            "visits_7": 2,
                            "visits_30": 12,
                            "visits": 12,
                            "last_visit": "2026-01-09T12:00:00.000Z",
                            "dwell_s": 6300,
                        }
                    ],
                    "categories": [
                        {"category": "bakery", "currency": "EUR", "purchases": 1, "value": 4.5}
                    ],
                    "recent_purchases": [
                        {
                            "time": "2026-01-05T17:30:00.000Z",
                            "category": "bakery",
                            "value": 4.5,
                            "currency": "EUR",
                        }
                    ],
                }
            ]
        }
    )

    id: str
    first_seen: str | None = Field(description="First transition; null before it.")
    last_seen: str | None = Field(description="Last transition.")
    visits: int = Field(description="Ever.")
    offers: int = Field(description="Sent, ever.")
    purchases: int = Field(description="Reported conversions, ever.")
    windows: list[WindowItem] = Field(description="The last 7, 30 and 90 days.")
    zones: list[ZoneItem] = Field(description="The 100 zones visited last, latest first.")
    tags: list[TagItem] = Field(description="By the tags that zones carry now, by name.")
    categories: list[CategoryItem] = Field(description="Purchases of 90 days by category.")
    recent_purchases: list[PurchaseItem] = Field(description="The last 100, latest first.")

    @classmethod
    def of(
        cls, id: str, told: Behaviour, now_ms: int, zones_now: Mapping[str, Zone]
    ) -> BehaviourAnswer:
        """Return what the API says about a behaviour."""
        zones = sorted(
            (name for name, stays in told.stays.items() if stays),
            key=lambda name: -told.stays[name][-1].start_ms,
        )
        tagged: dict[str, list[str]] = {}
        for name in zones:
            for tag in zones_now[name].tags if name in zones_now else ():
                tagged.setdefault(tag, []).append(name)
        return cls(
            id=id,
            first_seen=instant_or_none(told.first_ms or None),
            last_seen=instant_or_none(told.last_ms or None),
            visits=told.visits_total,
            offers=told.offers_total,
            purchases=told.purchases_total,
            windows=[
                WindowItem(
                    days=days,
                    visits=history.visits(told, now_ms=now_ms, days=days),
                    dwell_s=history.dwell_s(told, now_ms=now_ms, days=days),
                    offers=history.offers(told, now_ms=now_ms, period_s=days * 86_400),
                    purchases=len(history.purchases(told, now_ms=now_ms, days=days)),
                )
                for days in WINDOWS
            ],
            zones=[ZoneItem(zone=name, **_visits(told, [name], now_ms)) for name in zones[:100]],
            tags=[
                TagItem(tag=tag, **_visits(told, names, now_ms))
                for tag, names in sorted(tagged.items())
            ],
            categories=_categories(told, now_ms),
            recent_purchases=[
                PurchaseItem(
                    time=instant(each.at_ms),
                    category=each.category,
                    value=units(each.value_micros),
                    currency=each.currency,
                )
                for each in told.purchases[:-101:-1]
            ],
        )


def _visits(told: Behaviour, zones: Collection[str], now_ms: int) -> dict[str, Any]:
    """Return the members of a `VisitsItem`."""
    week, month, quarter = (
        history.visits(told, now_ms=now_ms, days=days, zones=zones) for days in WINDOWS
    )
    last_ms = max(told.stays[name][-1].start_ms for name in zones)
    return {
        "visits_7": week,
        "visits_30": month,
        "visits": quarter,
        "last_visit": instant(last_ms),
        "dwell_s": history.dwell_s(told, now_ms=now_ms, days=WINDOWS[-1], zones=zones),
    }


def _categories(told: Behaviour, now_ms: int) -> list[CategoryItem]:
    """Return what was bought by category and currency, in their order."""
    worth: dict[tuple[str, str], list[int]] = {}
    for each in history.purchases(told, now_ms=now_ms, days=WINDOWS[-1]):
        worth.setdefault((each.category, each.currency), []).append(each.value_micros)
    return [
        CategoryItem(
            category=category, currency=currency, purchases=len(all_), value=units(sum(all_))
        )
        for (category, currency), all_ in sorted(worth.items())
    ]


class PersonItem(BaseModel):
    """Somebody of whom something is known."""

    id: str
    first_name: str | None = Field(description="The attribute `first_name`, where it is a text.")


class PeopleAnswer(BaseModel):
    """People that were found."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"items": [{"id": "aino", "first_name": "Aino"}]}]}
    )

    items: list[PersonItem]


def seek_profiles(
    here: Here,
    q: Annotated[
        str,
        Query(
            max_length=128,
            pattern=PLAIN_TEXT,
            description="How the id or the first name begins; empty is anybody.",
        ),
    ] = "",
    limit: Annotated[int, Query(ge=1, le=100, description="Most items in the answer.")] = 20,
) -> PeopleAnswer:
    """Find profiles.

    For choosing one: those whose id begins so, by id, then those whose first name does, in whatever
    case; of very many profiles only the newest are asked for their first name. Who is known only by
    what their device did is found by its id.
    """
    found = here.services.store.seek_people(q, limit=limit)
    return PeopleAnswer(items=[PersonItem(id=id_, first_name=name) for id_, name in found])


def get_profile(id: Id, here: Here) -> ProfileAnswer:
    """Show one profile.

    A device that is linked to no profile has the one of its own id. One of which nothing is stored
    is served with empty attributes, but is not found here.
    """
    profile = here.services.store.profile(id)
    if profile is None:
        raise NotFound("profile", id)
    return ProfileAnswer.of(profile)


def get_behaviour(id: Id, here: Here) -> BehaviourAnswer:
    """Show what a profile did.

    Visits, offers and purchases, as geotarget counted them itself for rules and offers: single
    ones of the last 90 days, and how many there were ever.
    """
    store = here.services.store
    told = store.behaviour(id)
    if told is None and store.profile(id) is None:
        raise NotFound("profile", id)
    now_ms = time.time_ns() // 1_000_000
    zones = here.services.catalog.snapshot.zones
    return BehaviourAnswer.of(id, told or Behaviour(), now_ms, zones)


def put_profile(id: Id, document: ProfileDocument, here: Here, who: Who) -> ProfileAnswer:
    """Create or replace a profile.

    The whole profile is replaced: attributes that are left out are gone; only `devices`, when left
    out, stay as they are. A device belongs to one profile: linking it moves it, and what it did
    from then on counts for the new one. Offers use it from the next batch of pings on.
    """
    stored = here.services.store.put_profile(
        document.to_profile(id), keep_links=document.devices is None, by=who
    )
    return ProfileAnswer.of(stored)
