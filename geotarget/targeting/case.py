"""One decision in the making: what the gates look at, and what a gate that refuses says.

It stands alone so that every gate can live in the module of its subject. What all campaigns share
about one transition is a `Moment`; each campaign's own view of it is a `Case`. What costs (local
time, the facts that rules are asked of) is worked out when a gate first
asks: a case that is refused early costs a microsecond.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from geotarget.model import (
    Audience,
    Behaviour,
    Campaign,
    Policy,
    Profile,
    Transition,
    Variant,
    Zone,
)
from geotarget.targeting.facts import Facts
from geotarget.targeting.ledger import Ledger
from geotarget.targeting.local_time import local_time

POLICY = Policy()


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


def _no_zones(_tag: str) -> Collection[str]:
    return ()


@dataclass(slots=True)
class Moment:
    """One transition, and what all campaigns that answer it look at together.

    Parameters
    ----------
    transition, zone, profile
        Who did what, where.
    ledger
        What is remembered of profile and campaigns.
    audiences
        Named rules by id.
    tagged
        The ids of the zones that carry a tag.
    policy
        What the operator set for all campaigns.
    now_ms
        The clock of the deciding process: only the age of the transition is measured with it,
        everything else with the transition's own time, so that a repetition decides the same.
    fired
        The campaigns that have answered the transition already.
    """

    transition: Transition
    zone: Zone
    profile: Profile
    ledger: Ledger = field(default_factory=Ledger)
    audiences: Mapping[str, Audience] = field(default_factory=dict)
    tagged: Callable[[str], Collection[str]] = _no_zones
    policy: Policy = POLICY
    now_ms: int = 0
    fired: list[Campaign] = field(default_factory=list)
    _local: dt.datetime | None = field(default=None, init=False, repr=False)
    _clock: str = field(default="", init=False, repr=False)
    _day: str = field(default="", init=False, repr=False)
    _facts: Facts | None = field(default=None, init=False, repr=False)

    @property
    def behaviour(self) -> Behaviour:
        """What the profile did before."""
        return self.ledger.behaviour_of(self.profile.id)

    @property
    def local(self) -> dt.datetime:
        """When the transition was settled, in the zone's own time zone."""
        if self._local is None:
            self._local = local_time(self.transition.decided_ms, self.zone.time_zone)
        return self._local

    @property
    def clock(self) -> str:
        """The same as text, to the second."""
        if not self._clock:
            self._clock = self.local.isoformat(timespec="seconds")
        return self._clock

    @property
    def day(self) -> str:
        """The date of that, for reports."""
        if not self._day:
            self._day = self.local.date().isoformat()
        return self._day

    @property
    def facts(self) -> Facts:
        """What the rules of audiences are asked of."""
        if self._facts is None:
            self._facts = Facts(
                self.profile,
                self.behaviour,
                self.zone,
                transition=self.transition,
                now_ms=self.transition.decided_ms,
                tagged=self.tagged,
            )
        return self._facts


@dataclass(slots=True)
class Case:
    """One campaign's view of one transition.

    Parameters
    ----------
    moment, campaign
        What happened, and who wants to answer.
    outranked_by
        A zone that the campaign means and the device entered at the same time, and that is more
        specific; empty if there is none.
    passed
        What the gates that let it pass have looked at, by name.
    variant
        What the profile gets if the offer goes out, chosen as soon as the audience lets it pass;
        None where there are no variants.
    language, offer
        Left here by the content gate when the offer rendered.
    """

    moment: Moment
    campaign: Campaign
    outranked_by: str = ""
    variant: Variant | None = None
    passed: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    language: str = ""
    offer: Mapping[str, Any] | None = None
    _id: str = field(default="", init=False, repr=False)

    @property
    def transition(self) -> Transition:
        """Who did what."""
        return self.moment.transition

    @property
    def zone(self) -> Zone:
        """Where."""
        return self.moment.zone

    @property
    def profile(self) -> Profile:
        """Whose device it is."""
        return self.moment.profile

    @property
    def behaviour(self) -> Behaviour:
        """What the profile did before."""
        return self.moment.behaviour

    @property
    def id(self) -> str:
        """The id of the decision."""
        if not self._id:
            self._id = decision_id(self.transition, self.campaign.id)
        return self._id

    @property
    def cost_micros(self) -> int:
        """What the offer costs if it goes out."""
        if self.variant is None or self.variant.cost_micros is None:
            return self.campaign.cost_micros
        return self.variant.cost_micros


def decision_id(transition: Transition, campaign_id: str) -> str:
    """Return the id of a campaign's answer to a transition: 32 hex digits, the same every time.

    The first 12 are the transition's time, so that ids of one day lie together in an index.
    """
    digest = blake2b(f"{campaign_id}\0{transition.id}".encode(), digest_size=10).hexdigest()
    return f"{transition.decided_ms & 0xFFFF_FFFF_FFFF:012x}{digest}"
