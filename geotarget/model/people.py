"""Profiles, and what is known of them without their telling: behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from geotarget.model.campaigns import Hours


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of the owner of one or several devices; the id is a pseudonym.

    Parameters
    ----------
    attributes
        Any JSON.
    consent
        By purpose: true given, false refused.
    external_ids
        Ids in other systems, by their name (``crm``, ``email``, ``phone`` …).
    devices
        Linked devices; a device that is linked to none is its own profile.
    quiet_hours
        When it wants to hear nothing, local to the zone; None means those of the policy.
    """

    id: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    consent: Mapping[str, bool] = field(default_factory=dict)
    external_ids: Mapping[str, str] = field(default_factory=dict)
    devices: tuple[str, ...] = ()
    quiet_hours: Hours | None = None


class Stay(msgspec.Struct, array_like=True):
    """One visit; `dwell_s` is -1 while it goes on."""

    start_ms: int
    dwell_s: int = -1


class Heard(msgspec.Struct, array_like=True):
    """One offer that was sent, or that a held-out profile would have been sent.

    `until_ms` is until when a conversion may count for it.
    """

    at_ms: int
    campaign: str
    decision: str
    visit: str
    zone: str
    variant: str = ""
    held_out: bool = False
    until_ms: int = 0


class Purchase(msgspec.Struct, array_like=True):
    """One conversion, as behaviour knows it."""

    at_ms: int
    category: str
    value_micros: int
    currency: str
    conversion: str


class Behaviour(msgspec.Struct, omit_defaults=True):
    """What one profile did: visits, offers and purchases of 90 days, and totals.

    Newest last in every list. Kept as one MessagePack document a profile: 2 KB for a regular.

    Parameters
    ----------
    first_ms, last_ms
        First and last transition, Unix milliseconds; 0 before the first.
    stays
        Visits by zone id.
    """

    first_ms: int = 0
    last_ms: int = 0
    visits_total: int = 0
    offers_total: int = 0
    purchases_total: int = 0
    stays: dict[str, list[Stay]] = msgspec.field(default_factory=dict)
    heard: list[Heard] = msgspec.field(default_factory=list)
    purchases: list[Purchase] = msgspec.field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a customer did afterwards, as downstream reports it.

    Parameters
    ----------
    id
        Chosen by the reporter; the same id counts once.
    profile
        Whose it is, after looking up device or decision.
    decision, campaign, variant, zone, held_out
        What it is attributed to; empty where there is nothing.
    by_decision
        Whether the reporter named the decision; else it was found within the campaign's window.
    at_ms
        When it happened.
    day
        Date of the decision that it counts for, as in reports; empty without one.
    """

    id: str
    profile: str
    at_ms: int
    received_ms: int
    device: str = ""
    value_micros: int = 0
    currency: str = ""
    category: str = ""
    decision: str = ""
    campaign: str = ""
    variant: str = ""
    zone: str = ""
    day: str = ""
    held_out: bool = False
    by_decision: bool = False


@dataclass(frozen=True, slots=True)
class Fired:
    """How often a campaign fired for a profile, and when last (Unix milliseconds)."""

    last_ms: int
    count: int


@dataclass(frozen=True, slots=True)
class Spent:
    """What a campaign has spent, in all or on one day of its budget."""

    offers: int = 0
    cost_micros: int = 0


@dataclass(frozen=True, slots=True)
class Arm:
    """What a variant has come to: offers sent, and how many of them converted."""

    sent: int = 0
    converted: int = 0
