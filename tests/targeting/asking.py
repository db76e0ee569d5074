"""Somebody whom rules are asked about: a regular who enters the shop at noon."""

from __future__ import annotations

import math
from typing import Any

from shapely import Point

from geotarget.model import Behaviour, Heard, Kind, Profile, Purchase, Stay, Transition, Zone
from geotarget.targeting.facts import Facts

NOON_MS = 1_767_268_800_000  # Thursday, 2026-01-01T12:00:00Z
DAY_MS = 86_400_000
SHOP = Zone(
    id="shop",
    geometry=Point(24.94, 60.17),
    radius_m=50,
    name="K-Shop",
    tags=("grocery", "city"),
    time_zone="Europe/Helsinki",
    properties={"branch": 7, "topics": ["wine", "tea"], "size": 2.5},
)
ENTER = Transition("t", "v", "d", "shop", 1, Kind.ENTER, NOON_MS, NOON_MS, 3, 0.99)
AINO = Profile(
    "aino",
    {
        "tier": "gold",
        "age": 34,
        "budget": 250_000.5,
        "city": "Malmö",
        "interests": ["wine", "running"],
        "home": {"branch": 7, "rooms": [3, 4]},
        "kids": [{"name": "Bo", "age": 3}, {"name": "Li", "age": 12}],
        "member_since": "2024-05-01T00:00:00Z",
        "newsletter": True,
        "nothing": None,
        "two words": 2,
        "birth_month": 1,
        "huge": 2**70,
        "nan": math.nan,
        "long": "x" * 5000,
    },
)
REGULAR = Behaviour(
    first_ms=NOON_MS - 40 * DAY_MS,
    stays={
        "shop": [Stay(NOON_MS - day * DAY_MS, 900) for day in (33, 20, 12, 3)],
        "cafe": [Stay(NOON_MS - DAY_MS, 60)],
    },
    heard=[Heard(NOON_MS - 3 * DAY_MS, "spring", "d", "v", "shop")],
    purchases=[Purchase(NOON_MS - 4 * DAY_MS, "wine", 49_950_000, "EUR", "c")],
)
TAGGED = {"grocery": ("shop",), "food": ("shop", "cafe")}


def facts(profile: Profile = AINO, **options: Any) -> Facts:
    """Make what is known of a regular who enters the shop."""
    defaults: dict[str, Any] = {
        "behaviour": REGULAR,
        "zone": SHOP,
        "transition": ENTER,
        "now_ms": NOON_MS,
        "tagged": lambda tag: TAGGED.get(tag, ()),
    }
    return Facts(profile, **(defaults | options))


NO = "the rule does not hold"
