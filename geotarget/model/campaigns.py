"""Campaigns: who is meant, when, how often, what is offered, and who is told.

Money is a whole number of millionths of a currency's unit and carries the suffix ``_micros``:
sums are exact, and 64 bits hold nine million million units.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from geotarget.model.movement import Kind


class Status(StrEnum):
    """The life of a campaign."""

    DRAFT = "draft"
    SCHEDULED = "scheduled"
    ACTIVE = "active"
    PAUSED = "paused"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Trigger:
    """Which transitions a campaign listens to.

    A zone is meant when its id is in `zone_ids` or one of its tags in `zone_tags` (all zones if
    both are empty) and its id is not in `exclude`. With `most_specific` only one of several zones
    counts that a device enters at one time: the one of highest priority, then the smallest.
    """

    on: frozenset[Kind] = frozenset({Kind.ENTER})
    zone_ids: frozenset[str] = frozenset()
    zone_tags: frozenset[str] = frozenset()
    exclude: frozenset[str] = frozenset()
    dwell_s: int | None = None
    min_confidence: int = 1
    initial: bool = True
    most_specific: bool = False


@dataclass(frozen=True, slots=True)
class Hours:
    """A stretch of the day, local: ``HH:MM`` to ``HH:MM``, the end excluded.

    Over midnight where the end is not after the start; ``24:00`` may be an end.
    """

    start: str
    end: str


@dataclass(frozen=True, slots=True)
class Cap:
    """At most so many offers in so many seconds (rolling); None means ever."""

    max: int
    period_s: int | None = None


@dataclass(frozen=True, slots=True)
class Budget:
    """What a campaign may spend, in all and on a day.

    Parameters
    ----------
    unit
        ``offers``: bounds are counts; ``money``: bounds are micros of the campaign's currency.
    total, per_day
        Bounds; None is no bound.
    pacing
        ``asap``, or ``even``: what is spent is never more than one offer ahead of the share of the
        time that has passed, of the day for `per_day` and of the campaign's dates for `total`.
    time_zone
        Whose midnight begins a day of the budget: one for all zones.
    """

    unit: str = "offers"
    total: int | None = None
    per_day: int | None = None
    pacing: str = "asap"
    time_zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Variant:
    """One of several offers of a campaign; shares of `weight` are relative."""

    id: str
    offer: Mapping[str, Any]
    weight: float = 1.0
    translations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    cost_micros: int | None = None


@dataclass(frozen=True, slots=True)
class Audience:
    """A named rule over profile and behaviour (CEL), for many campaigns."""

    id: str
    rule: str
    name: str = ""
    description: str = ""
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Campaign:
    """A trigger, when it holds, for whom, how often, what is offered and who is told.

    Parameters
    ----------
    starts, ends
        Local dates or date-times (ISO 8601); without an offset they are read in the zone's own
        time zone, so one campaign starts at midnight in every branch.
    days, hours
        Weekdays (``mon`` … ``sun``) and stretches of the day on which it speaks, local to the
        zone; empty means all. A stretch over midnight belongs to the day on which it begins.
    purpose, consent_required
        Consent for this purpose: a recorded no refuses; none at all refuses if it is required.
    audience, audiences
        A rule (CEL), and ids of named ones: all of them must hold.
    holdout
        Share of the profiles, 0 to 0.9, that get nothing, for comparison.
    salt
        What the hash for holdout and variants begins with; empty means the campaign's id.
        Campaigns of one salt hold out the same people.
    caps, per_visit, cooldown_s
        How often one profile hears from this campaign: rolling, per visit, and least pause.
    priority, with_others
        Of several campaigns that want one transition the highest priority wins; one that goes
        `with_others` neither competes nor keeps others from firing.
    offer, translations, variants
        One offer with other languages by tag (``sv``, ``pt-BR``), or several variants.
    allocation
        How a variant is chosen: ``weights`` or ``thompson``.
    cost_micros, currency
        What one offer costs to send.
    valid_s
        How long an offer holds.
    pass_attributes
        Attributes of the profile that downstream is told.
    attribution_s
        How long after an offer a conversion may count for it.
    inside_asked_ms
        When its author asked for those who are inside already; None: entering is what counts.
    """

    id: str
    name: str
    trigger: Trigger
    offer: Mapping[str, Any]
    endpoints: tuple[str, ...]
    status: Status = Status.ACTIVE
    starts: str | None = None
    ends: str | None = None
    cooldown_s: int | None = None
    valid_s: int | None = None
    version: int = 0
    days: tuple[str, ...] = ()
    hours: tuple[Hours, ...] = ()
    purpose: str = "marketing"
    consent_required: bool = False
    audience: str = ""
    audiences: tuple[str, ...] = ()
    holdout: float = 0.0
    salt: str = ""
    caps: tuple[Cap, ...] = ()
    per_visit: int | None = None
    budget: Budget | None = None
    priority: int = 0
    with_others: bool = False
    translations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    variants: tuple[Variant, ...] = ()
    allocation: str = "weights"
    cost_micros: int = 0
    currency: str = "EUR"
    pass_attributes: tuple[str, ...] = ()
    attribution_s: int = 7 * 86_400
    inside_asked_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator sets for all campaigns.

    Parameters
    ----------
    max_age_s
        A transition that was settled longer ago fires nothing.
    offers_per_transition
        How many campaigns may fire on one transition.
    caps
        Per profile over all campaigns.
    quiet_hours
        Of profiles that have none of their own.
    positions
        The most of `POSITIONS` that any endpoint is told, whatever it asks for.
    """

    max_age_s: float = 900.0
    offers_per_transition: int = 1
    caps: tuple[Cap, ...] = ()
    quiet_hours: Hours | None = None
    positions: str = "rounded"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where webhooks go.

    Parameters
    ----------
    secret
        What signs; never shown in a log.
    events
        Types that are sent; None: the offers of campaigns that name it.
    disabled_reason
        Why nothing is sent; empty while it is enabled.
    revision
        Of the catalogue, when it was changed last.
    previous_secret, previous_until_ms
        The secret before it, which signs as well until then; empty when there is none.
    failing_since_ms
        Since when every attempt has failed, as far as that was written down; any change by its
        owner begins anew.
    rate_per_s, concurrency
        Most posts in a second, on average, and at one time; None: as the operator says.
    headers
        Sent with every post besides our own; may hold credentials, never shown in a log.
    delays_s
        Seconds before each attempt, the first included; None: the schedule of all.
    ordered
        Whether the events of one device come one after the other, as they were decided.
    position
        What it is told of where the device was: nothing (empty), ``cell``, ``rounded`` or
        ``exact``.
    """

    id: str
    url: str
    secret: str = field(repr=False)
    description: str = ""
    events: tuple[str, ...] | None = None
    disabled_reason: str = ""
    revision: int = 0
    previous_secret: str = field(default="", repr=False)
    previous_until_ms: int = 0
    failing_since_ms: int | None = None
    rate_per_s: float | None = None
    concurrency: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    delays_s: tuple[float, ...] | None = None
    ordered: bool = False
    position: str = ""
