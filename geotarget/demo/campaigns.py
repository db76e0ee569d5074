"""What the demo sells: zones, audiences, campaigns, some regulars, and the endpoint that is told.

Everything is written as the HTTP API takes it, so the demo shows nothing that a user could not
type. `install` creates what is missing and leaves what is there as it is: a campaign that was
changed or paused in the demo stays so after the next start (one that was deleted comes back).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

ENDPOINT = "demo-receiver"
"""Id of the endpoint that the demo's own receiver answers for."""

CATALOGUE = "helsinki.geojson"

AUDIENCES: Mapping[str, Mapping[str, Any]] = {
    "regulars": {
        "name": "Regulars",
        "description": "Somewhere of ours at least three times within a month",
        "rule": "visits.total(30) >= 3",
    },
    "home-hunters": {
        "name": "Looking for a home",
        "description": "Told us what they can pay",
        "rule": "'most' in profile && profile.most >= 300000",
    },
}

CAMPAIGNS: Mapping[str, Mapping[str, Any]] = {
    "shop-special": {
        "name": "Today's special at the door",
        "trigger": {"on": ["enter"], "zones": {"tags": ["shop"]}, "initial": False},
        "caps": {"cooldown_s": 600, "per_visit": 1},
        "holdout": 0.25,
        "budget": {"per_day": 100, "in": "money", "time_zone": "Europe/Helsinki"},
        "cost_per_offer": 0.02,
        "currency": "EUR",
        "offer": {
            "title": "{{ zone.properties.special }}",
            "text": "At {{ zone.name }}, open {{ zone.properties.opening }}",
            "branch": "{{ zone.properties.branch }}",
        },
        "endpoints": [ENDPOINT],
        "valid_s": 3600,
    },
    "loyalty-greeting": {
        "name": "Loyalty greeting",
        "trigger": {"on": ["enter"], "zones": {"tags": ["loyalty"]}},
        "audience": "'tier' in profile",
        "audiences": ["regulars"],
        "priority": 5,
        "caps": {"cooldown_s": 900},
        "allocation": "thompson",
        "variants": [
            {
                "id": "percent",
                "offer": {
                    "title": "Welcome back, {{ profile.first_name | default: 'neighbour' }}!",
                    "text": "Your {{ profile.tier }} card is worth "
                    "{% if profile.tier == 'gold' %}10{% elsif profile.tier == 'silver' %}5"
                    "{% else %}2{% endif %} % at {{ zone.name }} today",
                },
                "translations": {
                    "sv": {
                        "title": "Välkommen åter, {{ profile.first_name }}!",
                        "text": "Ditt kort ger "
                        "{% if profile.tier == 'gold' %}10{% elsif profile.tier == 'silver' %}5"
                        "{% else %}2{% endif %} % hos {{ zone.name }} i dag",
                    }
                },
            },
            {
                "id": "coffee",
                "offer": {
                    "title": "A coffee on us, {{ profile.first_name | default: 'neighbour' }}",
                    "text": "Show your {{ profile.tier }} card at {{ zone.name }}",
                },
            },
        ],
        "endpoints": [ENDPOINT],
        "valid_s": 7200,
    },
    "homes-here": {
        "name": "Homes in this quarter",
        "trigger": {"on": ["enter"], "zones": {"tags": ["district"]}},
        "audiences": ["home-hunters"],
        "caps": {"per_profile": [{"max": 1, "period_s": 86_400}]},
        "offer": {
            "title": "For sale in {{ zone.name }}, within your means",
            "homes": "{% for home in zone.properties.homes %}{% if home.price <= profile.most %}"
            "{{ home.address }}: {{ home.rooms }} rooms, {{ home.price }} €; "
            "{% endif %}{% endfor %}",
        },
        "pass_attributes": ["most"],
        "endpoints": [ENDPOINT],
        "valid_s": 86_400,
    },
    "stay-a-while": {
        "name": "Something for those who stay",
        "trigger": {
            "on": ["dwell"],
            "dwell_s": 12,
            "zones": {"tags": ["cafe", "park", "square"]},
        },
        "caps": {"cooldown_s": 600},
        "offer": {
            "title": "{{ zone.properties.special | default: 'A warm drink, 1 € off' }}",
            "text": "You look as if you had a moment, "
            "{{ profile.first_name | default: 'neighbour' }}",
        },
        "endpoints": [ENDPOINT],
        "valid_s": 1800,
    },
}

_FIRST_NAMES = (
    *("Aino", "Eino", "Helmi", "Onni", "Sofia", "Väinö", "Lilja", "Leo", "Aava", "Elias"),
    *("Emma", "Oliver", "Venla", "Toivo", "Olivia", "Eeli", "Ellen", "Noel", "Pihla", "Hugo"),
    *("Astrid", "Otso", "Elsa", "Niilo", "Isla", "Oiva", "Vilja", "Max", "Enni", "Elmo"),
)
_TIERS = ("gold", "silver", "silver", "blue", "blue", "blue")

_LANGUAGES = ("fi", "fi", "sv", "en")
_MEANS = (250_000, 340_000, 480_000, 700_000)

PROFILES: Mapping[str, Mapping[str, Any]] = {
    f"walker-{number:03d}": {
        "attributes": {
            "first_name": name,
            "tier": _TIERS[number % len(_TIERS)],
            "language": _LANGUAGES[number % len(_LANGUAGES)],
            **({} if number % 3 else {"most": _MEANS[number // 3 % len(_MEANS)]}),
        },
        "consent": {"marketing": True},
    }
    for number, name in enumerate(_FIRST_NAMES * 2, start=1)
}
"""The first sixty walkers are people we know."""


class Desk(Protocol):
    """Where documents are handed in: the API, or whoever speaks for it.

    `kind` is the API's own word: ``zones``, ``endpoints``, ``audiences``, ``campaigns``,
    ``profiles``.
    """

    def has(self, kind: str, id: str) -> bool:
        """Whether there is one already."""
        ...

    def put(self, kind: str, id: str, document: Mapping[str, Any]) -> None:
        """Do what ``PUT /v1/{kind}/{id}`` does."""
        ...


def catalogue_path() -> Path:
    """Return the path of the demo's zones, in an installed package or in a checkout.

    Raises
    ------
    FileNotFoundError
        Neither is there: the package is not whole.
    """
    packaged = Path(str(resources.files("geotarget.demo").joinpath(CATALOGUE)))
    checkout = Path(__file__).resolve().parents[2] / "zones" / CATALOGUE
    for path in (packaged, checkout):
        if path.is_file():
            return path
    raise FileNotFoundError(f"the demo's zones are neither at {packaged} nor at {checkout}")


def install(desk: Desk, *, url: str, secret: str) -> list[str]:
    """Create what the demo needs and is not there yet.

    Parameters
    ----------
    desk
        Takes the documents.
    url, secret
        Of the demo's receiver. Its endpoint is the demo's own and always brought up to date.

    Returns
    -------
    list of str
        What was created, such as ``zones/kluuvi``.
    """
    features = json.loads(catalogue_path().read_bytes())["features"]
    wanted: list[tuple[str, str, Mapping[str, Any]]] = [
        *(("zones", str(feature["id"]), feature) for feature in features),
        *(("profiles", name, document) for name, document in PROFILES.items()),
        *(("audiences", name, document) for name, document in AUDIENCES.items()),
        *(("campaigns", name, document) for name, document in CAMPAIGNS.items()),
    ]
    endpoint = {
        "url": url,
        "secret": secret,
        "events": ["offer.triggered"],
        "description": "The demo's own receiver: verifies, counts, shows",
    }
    desk.put("endpoints", ENDPOINT, endpoint)
    created = []
    for kind, name, document in wanted:
        if not desk.has(kind, name):
            desk.put(kind, name, document)
            created.append(f"{kind}/{name}")
    return created
