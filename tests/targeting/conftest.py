"""Makers of the nouns that targeting speaks of, with defaults that match each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from shapely import Point

from geotarget.model import Campaign, Kind, Transition, Trigger, Zone

NOON_MS = 1_767_268_800_000  # 2026-01-01T12:00:00Z


def make_zone(id: str = "shop", **options: Any) -> Zone:
    """Make a circle with a name."""
    defaults: dict[str, Any] = {"geometry": Point(24.94, 60.17), "radius_m": 50, "name": "Shop"}
    return Zone(id=id, **(defaults | options))


def make_campaign(id: str = "hello", **options: Any) -> Campaign:
    """Make a campaign that answers every entry."""
    defaults: dict[str, Any] = {
        "name": "Hello",
        "trigger": Trigger(),
        "offer": {"text": "hi"},
        "endpoints": ("crm",),
        "version": 4,
    }
    return Campaign(id=id, **(defaults | options))


def make_transition(id: str = "0" * 32, **options: Any) -> Transition:
    """Make a confident entry at noon, settled a quarter second later."""
    defaults: dict[str, Any] = {
        "visit": "visit-1",
        "device": "phone-1",
        "zone": "shop",
        "zone_revision": 3,
        "kind": Kind.ENTER,
        "ts_ms": NOON_MS,
        "decided_ms": NOON_MS + 250,
        "confidence": 3,
        "p": 0.97,
    }
    return Transition(id=id, **(defaults | options))


@pytest.fixture
def zone() -> Callable[..., Zone]:
    """Make a zone."""
    return make_zone


@pytest.fixture
def campaign() -> Callable[..., Campaign]:
    """Make a campaign."""
    return make_campaign


@pytest.fixture
def transition() -> Callable[..., Transition]:
    """Make a transition."""
    return make_transition
