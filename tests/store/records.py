"""Records to store: numbered, so that equal numbers are equal records."""

from __future__ import annotations

from typing import Any

from shapely import Polygon

from geotarget.model import (
    Attempt,
    BatchWrite,
    Campaign,
    Decision,
    Delivery,
    Kind,
    MemberRow,
    Trace,
    Transition,
    Trigger,
    Zone,
)

START_MS = 1_767_268_800_000
SECOND_MS = 1_000


def at(number: int) -> int:
    """Return the instant of a number: one a second."""
    return START_MS + number * SECOND_MS


def timed(number: int, what: str) -> str:
    """Return an id as the engine makes them: 32 hex digits, time first."""
    return f"{at(number):012x}{what.encode().hex():0<20.20}"


def transition(number: int, **changes: Any) -> Transition:
    """Make a transition."""
    return Transition(
        **{
            "id": timed(number, "event"),
            "visit": timed(number, "visit"),
            "device": f"phone-{number % 5}",
            "zone": f"zone-{number % 3}",
            "zone_revision": 4,
            "kind": Kind.ENTER,
            "ts_ms": at(number),
            "decided_ms": at(number) + 15_000,
            "confidence": 3,
            "p": 0.97,
            "initial": number % 2 == 0,
            "threshold_s": None,
            "duration_s": 12.5,
        }
        | changes
    )


def trace(number: int, **changes: Any) -> Trace:
    """Make a trace of a ping that is well inside a zone."""
    return Trace(
        **{
            "device": f"phone-{number % 5}",
            "ts_ms": at(number),
            "decided_ms": at(number),
            "lng": 24.9 + number / 1000,
            "lat": 60.2,
            "acc_m": 8.5,
            "status": "applied",
            "moving": number % 2 == 0,
            "stance": "fast" if number % 3 == 0 else "on its way",
            "zone": f"zone-{number % 3}",
            "distance_m": 21.25,
            "verdict": "in",
            "reason": "deep",
            "before": "outside",
            "after": "inside",
        }
        | changes
    )


def decision(number: int, **changes: Any) -> Decision:
    """Make a fired decision on the transition of the same number."""
    return Decision(
        **{
            "id": timed(number, "decided"),
            "campaign": f"campaign-{number % 2}",
            "campaign_version": 1,
            "transition": timed(number, "event"),
            "device": f"phone-{number % 5}",
            "profile": f"phone-{number % 5}",
            "zone": f"zone-{number % 3}",
            "gate": "fired",
            "reason": "every gate let it pass",
            "decided_ms": at(number),
            "inputs": {"seen": number, "of": ["a", 2.5, None]},
            "variant": "b",
            "offer": {"title": "A bun for 2 €"},
            "expires_ms": at(number) + 3_600_000,
            "passed": {"consent": {"consent.marketing": True}},
            "language": "sv",
            "visit": timed(number, "visit"),
            "cost_micros": 50_000,
            "day": "2026-01-01",
            "budget_day": "2025-12-31",
            "counts_until_ms": at(number) + 7 * 86_400_000,
        }
        | changes
    )


def delivery(number: int, **changes: Any) -> Delivery:
    """Make a delivery of the decision of the same number."""
    return Delivery(
        **{
            "webhook_id": f"offer_{timed(number, 'decided')}",
            "endpoint": "crm",
            "type": "offer.triggered",
            "body": b'{"number": %d}' % number,
            "created_ms": at(number),
            "expires_ms": at(number) + 3_600_000,
            "device": f"phone-{number % 5}",
            "zone": f"zone-{number % 3}",
            "campaign": f"campaign-{number % 2}",
        }
        | changes
    )


def attempt(of: Delivery, **changes: Any) -> Attempt:
    """Make a successful first attempt of a delivery, one second after it was made."""
    return Attempt(
        **{
            "webhook_id": of.webhook_id,
            "endpoint": of.endpoint,
            "attempt": 1,
            "started_ms": of.created_ms + SECOND_MS,
            "duration_ms": 30,
            "state": "delivered",
            "next_attempt_ms": 0,
            "status": 204,
            "error": "",
            "answer": "ok",
        }
        | changes
    )


def member(device: str, zone: str, number: int, **changes: Any) -> MemberRow:
    """Make a membership."""
    return MemberRow(
        **{
            "device": device,
            "zone": zone,
            "phase": 2,
            "since_ms": at(number),
            "last_ms": at(number) + 5,
            "visit": timed(number, "visit"),
            "state": bytes([number % 256]) * 48,
        }
        | changes
    )


def batch(number: int, **changes: Any) -> BatchWrite:
    """Make a batch in which one device moves and all that follows from it happens once."""
    return BatchWrite(
        **{
            "devices": [f"phone-{number % 5}"],
            "device_states": number.to_bytes(8, "big"),
            "members_put": [member(f"phone-{number % 5}", f"zone-{number % 3}", number)],
            "transitions": [transition(number)],
            "decisions": [decision(number)],
            "deliveries": [delivery(number)],
        }
        | changes
    )


def square(id: str, *, lng: float = 24.9, lat: float = 60.2, **changes: Any) -> Zone:
    """Make a zone of a hundredth of a degree whose south-west corner is given."""
    ring = [(lng, lat), (lng + 0.01, lat), (lng + 0.01, lat + 0.01), (lng, lat + 0.01), (lng, lat)]
    return Zone(
        **{
            "id": id,
            "geometry": Polygon(ring),
            "name": f"The {id}",
            "tags": ("shop", "bakery"),
            "properties": {"name": f"The {id}", "special": "bun", "nested": {"a": [1, 2.5, None]}},
        }
        | changes
    )


def campaign(id: str, **changes: Any) -> Campaign:
    """Make a campaign."""
    return Campaign(
        **{
            "id": id,
            "name": "Buns",
            "trigger": Trigger(
                on=frozenset({Kind.ENTER, Kind.DWELL}),
                zone_tags=frozenset({"shop", "bakery", "kiosk"}),
                dwell_s=120,
            ),
            "offer": {"title": "A bun for {{ zone.properties.special }}", "n": 1},
            "endpoints": ("crm", "till"),
            "cooldown_s": 3600,
        }
        | changes
    )
