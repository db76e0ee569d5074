"""From a transition to what each listening campaign answers: fired, or the first gate that refused.

Every campaign is asked on its own first; those that stand then come in the order of their rank,
and what fires counts at once against the caps, budgets and places of all that follow. Pure: the
same transitions, catalogue and ledger give the same decisions, ids included, in whatever order the
campaigns are known. Only the age of a transition is measured with the caller's clock.

A transition that no campaign listens to costs a look-up and a line in the profile's behaviour; a
decision that is refused early some 5 µs; one that fires what its offer costs to render.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter

from geotarget.model import Audience, Campaign, Decision, Kind, Policy, Transition, Zone
from geotarget.targeting import arbitration
from geotarget.targeting.budget import budget_day
from geotarget.targeting.case import POLICY, Case, Moment, Refusal
from geotarget.targeting.gates import AFTER_ANOTHER, ALONE, GATES, TOGETHER, Gate
from geotarget.targeting.ledger import THOMPSON, Ledger
from geotarget.targeting.table import CampaignTable

FIRED, HOLDOUT = "fired", "holdout"
_BEFORE_THE_CHOICE = frozenset({"cap", "budget", "arbitration"})
_PASSED = Refusal("every gate let it pass", {})
_AUDIENCE = [name for name, _ in GATES].index("audience")
EXPOSED = frozenset(name for name, _ in GATES[_AUDIENCE + 1 :]) | {FIRED}
"""Gates of decisions about somebody whom the campaign means: from the holdout on. What is measured
compares all of them, caps and budgets included, with the control group among them."""

_campaign = attrgetter("campaign")

_First = dict[tuple[str, str, Kind, int], str]


def decide(
    transitions: Sequence[Transition],
    *,
    table: CampaignTable,
    zones: Mapping[str, Zone],
    audiences: Mapping[str, Audience],
    ledger: Ledger,
    now_ms: int,
    policy: Policy = POLICY,
) -> list[Decision]:
    """Let every listening campaign answer every transition.

    Parameters
    ----------
    transitions
        In the order in which they are to be answered: what fires counts against the caps and
        budgets of the ones after it.
    table, zones, audiences
        Of one catalogue snapshot; zones and audiences by id.
    ledger
        What is remembered, as `asked` said; changed in place by what moves and what fires.
    now_ms
        The time of deciding, for the age of transitions only.
    policy
        What the operator set for all campaigns.

    Returns
    -------
    list of Decision
        One per (transition, listening campaign), in order of transitions, then campaign ids.
    """
    first: _First = {}
    decisions: list[Decision] = []
    for transition in transitions:
        campaigns = table.answering(transition)
        if campaigns:
            moment = Moment(
                transition,
                zones[transition.zone],
                ledger.profile_of(transition.device),
                ledger,
                audiences,
                table.tagged,
                policy,
                now_ms,
            )
            cases = [Case(moment, each, _outranked(first, each, transition)) for each in campaigns]
            decisions += _answers(cases)
        ledger.move(transition)
    return decisions


def _answers(cases: Sequence[Case]) -> list[Decision]:
    """Return the answers to one transition, by campaign id."""
    made: list[Decision] = []
    standing: list[Case] = []
    for case in cases:
        gate, refusal = _ask(case, ALONE)
        if refusal is None:
            standing.append(case)
        else:
            made.append(_settled(case, gate, refusal))
    for case in sorted(standing, key=arbitration.rank) if len(standing) > 1 else standing:
        gate, refusal = _ask(case, AFTER_ANOTHER if case.moment.fired else TOGETHER)
        made.append(_settled(case, gate, refusal or _PASSED))
    return sorted(made, key=_campaign) if standing else made


def _ask(case: Case, gates: Sequence[tuple[str, Gate]]) -> tuple[str, Refusal | None]:
    """Return the first gate that refuses, and why; or that none did."""
    for name, ask in gates:
        refusal = ask(case)
        if refusal is not None:
            case.passed.pop(name, None)  # it may have let the case pass before another fired
            return name, refusal
    return FIRED, None


def _settled(case: Case, gate: str, answer: Refusal) -> Decision:
    """Return the decision, and let it count from here on."""
    moment, campaign = case.moment, case.campaign
    transition = moment.transition
    fired, held_out = gate == FIRED, gate == HOLDOUT
    decision = Decision(
        id=case.id,
        campaign=campaign.id,
        campaign_version=campaign.version,
        transition=transition.id,
        device=transition.device,
        profile=moment.profile.id,
        zone=transition.zone,
        gate=gate,
        reason=answer.reason,
        decided_ms=transition.decided_ms,
        inputs=answer.inputs,
        variant=_variant(case, gate),
        offer=case.offer if fired or held_out else None,
        expires_ms=_after(transition, campaign.valid_s) if fired and campaign.valid_s else None,
        passed=case.passed,
        language=case.language if fired or held_out else "",
        visit=transition.visit,
        cost_micros=case.cost_micros if fired else 0,
        day=moment.day,
        budget_day=budget_day(campaign, transition.decided_ms) if fired else "",
        counts_until_ms=_after(transition, campaign.attribution_s) if gate in EXPOSED else 0,
    )
    if fired:
        moment.fired.append(campaign)
    if fired or held_out:
        moment.ledger.note(decision, campaign)
    return decision


def _variant(case: Case, gate: str) -> str | None:
    """Return the variant that the profile belongs to.

    By weights it is the same for all time, whatever refused. A bandit chooses anew each time: what
    it would have chosen says nothing where nothing was sent for another reason.
    """
    if case.variant is None:
        return None
    if case.campaign.allocation == THOMPSON and gate in _BEFORE_THE_CHOICE:
        return None
    return case.variant.id


def _after(transition: Transition, seconds: int) -> int:
    return transition.decided_ms + seconds * 1000


def _outranked(first: _First, campaign: Campaign, transition: Transition) -> str:
    """Return the zone of the same instant that came first, for campaigns that want only that."""
    if not campaign.trigger.most_specific:
        return ""
    moment = (campaign.id, transition.device, transition.kind, transition.decided_ms)
    zone = first.setdefault(moment, transition.zone)
    return "" if zone == transition.zone else zone
