"""What the templates of an offer see: profile, behaviour, zone, visit, transition, campaign, now.

Never coordinates. Each part is put together when a template first names it: figures of behaviour
cost 20 to 50 µs, the others a few. Times are ISO 8601 in the zone's own time zone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

from geotarget import behaviour as history
from geotarget.model import Purchase
from geotarget.targeting.case import Case
from geotarget.targeting.facts import Facts, begun_ms
from geotarget.targeting.vocabulary import DAYS, NEVER

RECENT = 10
"""Purchases that a template sees, the newest first."""


def _or_none(days: float) -> float | None:
    return None if days == NEVER else days


def _recent(facts: Facts) -> list[dict[str, Any]]:
    bought = history.purchases(facts.behaviour, now_ms=facts.now_ms, days=DAYS[1])
    return [_purchase(each, facts.now_ms) for each in reversed(bought[-RECENT:])]


def _purchase(purchase: Purchase, now_ms: int) -> dict[str, Any]:
    return {
        "category": purchase.category,
        "value": purchase.value_micros / 1e6,
        "currency": purchase.currency,
        "days_ago": (now_ms - purchase.at_ms) // 86_400_000,
    }


BEHAVIOUR: Mapping[str, tuple[str, Callable[[Facts], Any]]] = {
    "visits_total": ("visits to any zone since the profile is known",
                     lambda facts: facts.behaviour.visits_total),
    "visits_7d": ("visits to any zone in 7 days", lambda f: f.count("visits.total", (7,))),
    "visits_30d": ("visits to any zone in 30 days", lambda f: f.count("visits.total", (30,))),
    "visits_90d": ("visits to any zone in 90 days", lambda f: f.count("visits.total", (90,))),
    "visits_here_7d": ("visits to this zone in 7 days, this one left out",
                       lambda f: f.count("visits.here", (7,))),
    "visits_here_30d": ("the same in 30 days", lambda f: f.count("visits.here", (30,))),
    "visits_here_90d": ("the same in 90 days", lambda f: f.count("visits.here", (90,))),
    "minutes_here_90d": ("minutes spent in this zone in 90 days, over visits that have ended",
                         lambda f: f.count("visits.minutes_here", (90,))),
    "days_since_here": ("whole days since the last visit to this zone; nothing without one",
                        lambda f: _or_none(f.count("visits.days_since_here", ()))),
    "days_known": ("whole days since the profile was first seen",
                   lambda f: f.count("visits.days_known", ())),
    "offers_total": ("offers sent since the profile is known",
                     lambda f: f.behaviour.offers_total),
    "offers_30d": ("offers sent in 30 days", lambda f: f.count("offers.total", (30,))),
    "days_since_offer": ("whole days since the last offer; nothing without one",
                         lambda f: _or_none(f.count("offers.days_since", ()))),
    "purchases_total": ("purchases since the profile is known",
                        lambda f: f.behaviour.purchases_total),
    "purchases_30d": ("purchases in 30 days", lambda f: f.count("purchases.count", (30,))),
    "purchases_90d": ("purchases in 90 days", lambda f: f.count("purchases.count", (90,))),
    "last_purchase": ("the last purchase in 90 days: `category`, `value`, `currency`, `days_ago`",
                      lambda f: next(iter(_recent(f)), None)),
    "purchases": (f"the last {RECENT} of them, newest first", _recent),
}  # fmt: skip
"""Members of ``behaviour``: what each means, and how it is worked out."""


def scope(case: Case, name: str) -> Any:
    """Return what a template sees under one of the names that it may start from."""
    return _PARTS[name](case)


def _profile(case: Case) -> dict[str, Any]:
    return {**case.profile.attributes, "id": case.profile.id}


def _behaviour(case: Case) -> dict[str, Any]:
    facts = case.moment.facts
    return {name: work_out(facts) for name, (_, work_out) in BEHAVIOUR.items()}


def _zone(case: Case) -> dict[str, Any]:
    zone = case.zone
    return {
        "id": zone.id,
        "name": zone.name,
        "tags": list(zone.tags),
        "properties": zone.properties,
    }


def _visit(case: Case) -> dict[str, Any]:
    transition = case.transition
    started_ms = begun_ms(transition, case.behaviour)
    return {
        "id": transition.visit,
        "kind": transition.kind.value,
        "started": _iso(case, started_ms),
        "dwell_s": max(transition.ts_ms - started_ms, 0) // 1000,
    }


def _transition(case: Case) -> dict[str, Any]:
    transition = case.transition
    return {
        "id": transition.id,
        "visit": transition.visit,
        "kind": transition.kind.value,
        "time": _iso(case, transition.ts_ms),
        "confidence": transition.confidence,
        "p": transition.p,
        "initial": transition.initial,
        "dwell_s": transition.threshold_s,
        "duration_s": transition.duration_s,
    }


_PARTS: Mapping[str, Callable[[Case], Any]] = {
    "profile": _profile,
    "behaviour": _behaviour,
    "zone": _zone,
    "visit": _visit,
    "transition": _transition,
    "campaign": lambda case: {"id": case.campaign.id, "name": case.campaign.name},
    "now": lambda case: case.moment.local.isoformat(timespec="seconds"),
}


def _iso(case: Case, at_ms: int) -> str:
    moment = dt.datetime.fromtimestamp(at_ms / 1000, case.moment.local.tzinfo)
    return moment.isoformat(timespec="seconds")
