"""What the gates remember: asked of the store for a batch, kept true while the batch is decided.

An offer that fires counts against the caps and budgets of everything after it, in the same batch
as well: the ledger takes it in at once. The store writes the same in the transaction in which it
was asked, so nothing that a gate saw can have changed in between.

`asked` says what a batch needs, each thing once, and leaves out what no gate will look at: who is
refused for want of confidence, or by a paused campaign, costs no look-up. It takes a microsecond
per listening campaign.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from geotarget.behaviour import note_heard, note_transition
from geotarget.model import (
    Arm,
    Behaviour,
    Campaign,
    Decision,
    Fired,
    Profile,
    Spent,
    Status,
    Transition,
)
from geotarget.targeting.local_time import date_of
from geotarget.targeting.table import CampaignTable

THOMPSON = "thompson"
NOTHING_SPENT = Spent()
_NOTHING_SENT = Arm()


class Questions(Protocol):
    """Who can be asked what the gates remember; a store, in a transaction."""

    def behaviour_of(self, profiles: Sequence[str]) -> dict[str, Behaviour]:
        """Return what each profile did."""
        ...

    def last_fired(self, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Fired]:
        """Return when (campaign, profile) fired last and how often."""
        ...

    def spent(self, budgets: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Spent]:
        """Return what campaigns spent on days of their budgets."""
        ...

    def arms(self, campaigns: Sequence[str]) -> dict[tuple[str, str], Arm]:
        """Return what the variants of campaigns came to."""
        ...


@dataclass(slots=True)
class Ledger:
    """Profiles, behaviour, firings, spending and arms of one batch; changed while it is decided.

    Parameters
    ----------
    profiles
        By device. A device that is missing is its own profile without attributes.
    behaviour
        By profile id; a profile that is missing has done nothing yet. Changed in place.
    fired
        By (campaign, profile); a missing pair never fired.
    spent
        By (campaign, day of its budget); the day is empty for all days together.
    arms
        By (campaign, variant); a missing one has come to nothing.
    """

    profiles: Mapping[str, Profile] = field(default_factory=dict)
    behaviour: dict[str, Behaviour] = field(default_factory=dict)
    fired: dict[tuple[str, str], Fired] = field(default_factory=dict)
    spent: dict[tuple[str, str], Spent] = field(default_factory=dict)
    arms: dict[tuple[str, str], Arm] = field(default_factory=dict)

    @classmethod
    def read(cls, questions: Questions, needed: Asked, profiles: Mapping[str, Profile]) -> Ledger:
        """Ask for what is needed, and only that.

        Parameters
        ----------
        questions
            Answers.
        needed
            What `asked` says of a batch.
        profiles
            By device, as it was told to `asked`.
        """
        return cls(
            profiles=profiles,
            behaviour=questions.behaviour_of(needed.profiles),
            fired=questions.last_fired(needed.pairs),
            spent=questions.spent(needed.budgets),
            arms=questions.arms(needed.campaigns),
        )

    def profile_of(self, device: str) -> Profile:
        """Return the profile of a device."""
        return self.profiles.get(device) or Profile(device)

    def behaviour_of(self, profile: str) -> Behaviour:
        """Return what a profile did so far."""
        known = self.behaviour.get(profile)
        if known is None:
            known = self.behaviour[profile] = Behaviour()
        return known

    def spent_of(self, campaign: str, day: str) -> Spent:
        """Return what a campaign has spent on a day of its budget, or in all (empty day)."""
        return self.spent.get((campaign, day), NOTHING_SPENT)

    def move(self, transition: Transition) -> None:
        """Take a transition in, after the campaigns have answered it."""
        note_transition(self.behaviour_of(self.profile_of(transition.device).id), transition)

    def note(self, decision: Decision, campaign: Campaign) -> None:
        """Take a decision in: what fired counts everywhere, what was held out was almost heard."""
        if not (decision.fired or decision.held_out):
            return
        note_heard(self.behaviour_of(decision.profile), decision)
        if not decision.fired:
            return
        pair = (campaign.id, decision.profile)
        before = self.fired.get(pair, Fired(decision.decided_ms, 0))
        self.fired[pair] = Fired(max(before.last_ms, decision.decided_ms), before.count + 1)
        if decision.budget_day:
            for day in (decision.budget_day, ""):
                spent = self.spent_of(campaign.id, day)
                self.spent[campaign.id, day] = Spent(
                    spent.offers + 1, spent.cost_micros + decision.cost_micros
                )
        if campaign.allocation == THOMPSON and decision.variant:
            key = (campaign.id, decision.variant)
            arm = self.arms.get(key, _NOTHING_SENT)
            self.arms[key] = Arm(arm.sent + 1, arm.converted)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the store is asked for before a batch is decided; everything once, in stable order.

    Parameters
    ----------
    profiles
        Whose behaviour is needed.
    pairs
        (campaign, profile) whose last firing and number of firings are needed.
    budgets
        (campaign, day of its budget) whose spending is needed; the empty day is all of it.
    campaigns
        Whose arms are needed.
    """

    profiles: Sequence[str] = ()
    pairs: Sequence[tuple[str, str]] = ()
    budgets: Sequence[tuple[str, str]] = ()
    campaigns: Sequence[str] = ()


def asked(
    transitions: Sequence[Transition],
    *,
    table: CampaignTable,
    profiles: Mapping[str, Profile],
) -> Asked:
    """Return what `decide` will look at.

    Parameters
    ----------
    transitions
        Of the batch.
    table
        Of the catalogue snapshot that will decide.
    profiles
        By device, as `Ledger.profiles`.
    """
    whose: dict[str, None] = {}
    pairs: dict[tuple[str, str], None] = {}
    budgets: dict[tuple[str, str], None] = {}
    campaigns: dict[str, None] = {}
    for transition in transitions:
        for campaign in table.answering(transition):
            wanted = campaign.trigger
            if transition.confidence < wanted.min_confidence:
                continue
            if (transition.initial and not wanted.initial) or campaign.status is Status.PAUSED:
                continue
            profile = profiles.get(transition.device)
            name = profile.id if profile else transition.device
            whose[name] = None
            if campaign.cooldown_s or any(cap.period_s is None for cap in campaign.caps):
                pairs[campaign.id, name] = None
            if campaign.budget is not None:
                day = date_of(transition.decided_ms, campaign.budget.time_zone)
                budgets[campaign.id, day] = budgets[campaign.id, ""] = None
            if campaign.allocation == THOMPSON and campaign.variants:
                campaigns[campaign.id] = None
    return Asked(tuple(whose), tuple(pairs), tuple(budgets), tuple(campaigns))
