"""Decisions, and the deliveries that follow from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Decision:
    """One campaign's answer to one transition.

    Parameters
    ----------
    gate
        ``fired``, or the name of the first gate that refused.
    reason, inputs
        Why, in words, and what that gate looked at.
    passed
        What the gates before it looked at, by name; gates that had nothing to look at are left out.
    variant, language, offer
        What was sent, or would have been to a held-out profile.
    visit
        That of the transition.
    cost_micros
        What it costs; 0 unless it fired.
    day
        Date of the decision in the zone's own time zone, for reports.
    budget_day
        Date of the budget that it counts against; empty without a budget.
    counts_until_ms
        Until when a conversion may count for it.
    """

    id: str
    campaign: str
    campaign_version: int
    transition: str
    device: str
    profile: str
    zone: str
    gate: str
    reason: str
    decided_ms: int
    inputs: Mapping[str, Any] = field(default_factory=dict)
    variant: str | None = None
    offer: Mapping[str, Any] | None = None
    expires_ms: int | None = None
    passed: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    language: str = ""
    visit: str = ""
    cost_micros: int = 0
    day: str = ""
    budget_day: str = ""
    counts_until_ms: int = 0

    @property
    def fired(self) -> bool:
        """Whether the offer goes out."""
        return self.gate == "fired"

    @property
    def held_out(self) -> bool:
        """Whether the profile belongs to the control group."""
        return self.gate == "holdout"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one endpoint, as it will be posted: the bytes never change again.

    `device`, `zone` and `campaign` are what it can be found by later; a plain transition has no
    campaign. One that is `ordered` waits for earlier ones of its device to the same endpoint.
    """

    webhook_id: str
    endpoint: str
    type: str
    body: bytes
    created_ms: int
    expires_ms: int | None = None
    device: str = ""
    zone: str = ""
    campaign: str = ""
    ordered: bool = False


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that is leased to a sender; `attempts` counts the ones before this."""

    webhook_id: str
    endpoint: str
    type: str
    body: bytes
    attempts: int
    expires_ms: int | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one post came to, and what follows from it.

    `state` is ``delivered``, ``pending`` (again at `next_attempt_ms`), ``failed`` (given up) or
    ``expired``; `status` is the HTTP status, None when there was no answer; `answer` holds the
    first KiB of it, `error` why there was none.
    """

    webhook_id: str
    endpoint: str
    attempt: int
    started_ms: int
    duration_ms: int
    state: str
    next_attempt_ms: int
    status: int | None = None
    error: str = ""
    answer: str = ""
