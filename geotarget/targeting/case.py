"""One decision in the making: what the gates look at, and what a gate that refuses says.

It stands alone so that every gate can live in the module of its subject. A case costs about a
microsecond and lives as long as one campaign's answer to one transition.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from geotarget.model import Campaign, Profile, Transition, Zone


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a gate refused.

    Parameters
    ----------
    reason
        In words, for the person who asks why nothing was sent.
    inputs
        What the gate looked at; JSON-able.
    """

    reason: str
    inputs: Mapping[str, Any]


@dataclass(slots=True)
class Case:
    """One campaign's view of one transition.

    Parameters
    ----------
    transition, campaign, zone, profile
        Who did what, where, and who wants to answer.
    last_fired_ms
        When this campaign last fired for this profile; None if never.
    now_ms
        The clock of the deciding process: only the age of the transition is measured with it,
        everything else with the transition's own time, so that a repetition decides the same.
    max_age_s
        Transitions older than this fire nothing.
    outranked_by
        A zone that the campaign means and the device entered at the same time, and that is more
        specific; empty if there is none.
    offer
        Left here by the content gate when the offer rendered.
    """

    transition: Transition
    campaign: Campaign
    zone: Zone
    profile: Profile
    last_fired_ms: int | None
    now_ms: int
    max_age_s: float
    outranked_by: str = ""
    offer: Mapping[str, Any] | None = None
