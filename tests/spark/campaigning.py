"""Campaigns for the walkers of the town, of every kind that can be played in parts, and people."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import geotarget as gt
from geotarget.model import (
    Audience,
    Campaign,
    Cap,
    Hours,
    Kind,
    Policy,
    Profile,
    Status,
    Trigger,
    Variant,
    Zone,
)
from tests.spark.town import town

PLACES = ("Europe/Helsinki", "Asia/Kathmandu", "UTC")
REGULARS = Audience("regulars", "visits.total(30) >= 2 && offers.campaign('hello', 1) < 3")
POLICY = Policy(
    caps=(Cap(4, 86_400),), quiet_hours=Hours("12:20", "12:26"), offers_per_transition=1
)


def branches() -> list[Zone]:
    """Return the zones of the town as shops: tagged, in three time zones, some before others."""
    return [
        replace(
            zone,
            tags=("bakery" if at % 3 else "bank",),
            time_zone=PLACES[at % 3],
            priority=at % 2,
            active=at != 7,
        )
        for at, zone in enumerate(town(60).zones)
    ]


def index() -> gt.ZoneIndex:
    """Return the same as an index."""
    return gt.ZoneIndex.build(branches())


def campaign(name: str, *on: Kind, dwell_s: int | None = None, **more: Any) -> Campaign:
    """Return a campaign about all zones."""
    trigger = Trigger(on=frozenset(on or {Kind.ENTER}), dwell_s=dwell_s)
    options: dict[str, Any] = {"offer": {"text": "{{ zone.id }}"}, "endpoints": ("crm",)}
    return Campaign(id=name, name=name.title(), trigger=trigger, **{**options, **more})


CAMPAIGNS = [
    campaign("hello", caps=(Cap(2, 900),), holdout=0.2, cost_micros=20_000),
    campaign("stay", Kind.DWELL, dwell_s=60, cost_micros=50_000, with_others=True, per_visit=1),
    campaign("bye", Kind.EXIT, cooldown_s=600, hours=(Hours("10:00", "12:30"),)),
    campaign(
        "two",
        variants=(Variant("a", {"text": "A"}), Variant("b", {"text": "B"}, cost_micros=70_000)),
        offer={},
        cost_micros=30_000,
        audiences=("regulars",),
        priority=3,
    ),
    campaign(
        "gold",
        audience="profile.tier == 'gold' && visits.here(1) >= 1",
        consent_required=True,
        offer={"text": "{{ profile.attributes.tier }}"},
        priority=5,
    ),
    campaign("draft", status=Status.DRAFT),
]


def people(devices: int) -> list[Profile]:
    """Return profiles: with two phones, with one, with their own, with none that is known."""
    return [
        Profile(
            f"w{at}" if at % 5 == 4 else f"p{at}",
            attributes={"tier": "gold" if at % 2 else "basic", "at": [at, 0.5, None, "ä"]},
            consent={"marketing": at % 7 != 3} if at % 3 else {},
            devices=() if at % 5 == 4 else (f"w{at}", f"w{at + 1}") if at % 5 == 0 else
            () if at % 5 == 1 else (f"w{at}",),
            quiet_hours=Hours("12:10", "12:18") if at % 4 == 0 else None,
        )
        for at in range(devices * 3 // 4)
    ]  # fmt: skip


def document(profile: Profile) -> dict[str, Any]:
    """Return a profile as a line of a file."""
    quiet = profile.quiet_hours
    found = {
        "id": profile.id,
        "attributes": profile.attributes,
        "consent": profile.consent,
        "devices": list(profile.devices),
    }
    return found if quiet is None else {
        **found, "quiet_hours": {"from": quiet.start, "to": quiet.end}
    }  # fmt: skip
