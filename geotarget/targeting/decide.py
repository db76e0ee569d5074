"""The gates, in order: from a transition to fired, or to the first gate that refuses and why.

Pure: the same transitions, catalogue, profiles and history give the same decisions, ids included.
Only the age of a transition is measured with the caller's clock. A transition that no campaign
listens to costs a dictionary look-up; a refused decision a few microseconds; a fired one what its
offer costs to render.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b

from geotarget.model import Campaign, Decision, Kind, Profile, Transition, Zone
from geotarget.targeting import caps, offer, schedule
from geotarget.targeting.case import Case, Refusal
from geotarget.targeting.table import CampaignTable

FIRED = "fired"
MAX_AGE_S = 900.0

Gate = Callable[[Case], Refusal | None]


def trigger(case: Case) -> Refusal | None:
    """Refuse what is too old, not certain enough, or initial or outranked where that is barred.

    Zone, kind and dwell time are matched before: a campaign that doesn't listen makes no decision.
    """
    transition, wanted = case.transition, case.campaign.trigger
    age_s = (case.now_ms - transition.decided_ms) / 1000
    if age_s > case.max_age_s:
        return Refusal(
            f"the transition is {age_s:.0f} s old, at most {case.max_age_s:g} s may be",
            {"age_s": age_s, "max_age_s": case.max_age_s},
        )
    if transition.confidence < wanted.min_confidence:
        return Refusal(
            f"confidence {transition.confidence} is under {wanted.min_confidence}",
            {"confidence": transition.confidence, "min_confidence": wanted.min_confidence},
        )
    if transition.initial and not wanted.initial:
        return Refusal("the device was seen for the first time, already inside", {"initial": True})
    if wanted.most_specific and case.outranked_by:
        return Refusal(
            f"zone {case.outranked_by!r}, at the same time, is more specific",
            {"most_specific": True, "outranked_by": case.outranked_by},
        )
    return None


def consent(case: Case) -> Refusal | None:
    """Refuse an explicit no to marketing, and any marketing in a sensitive zone."""
    if case.zone.sensitive:
        return Refusal("the zone is sensitive", {"zone.sensitive": True})
    if case.profile.consent.get("marketing") is False:
        return Refusal("the profile declines marketing", {"consent.marketing": False})
    return None


GATES: tuple[tuple[str, Gate], ...] = (
    ("trigger", trigger),
    ("schedule", schedule.gate),
    ("consent", consent),
    # audience: a rule over profile and behaviour
    # holdout: the control group, before all caps, so that it stays comparable
    ("cap", caps.gate),
    # budget: reserved in the transaction that writes the delivery
    # arbitration: several campaigns want the same transition
    # variant: which of the campaign's offers
    ("content", offer.gate),
)
"""Every gate by name, in the order in which they are asked. The comments hold the places of the
gates that are to come; the order is part of what decisions promise."""


def decide(
    transitions: Sequence[Transition],
    *,
    table: CampaignTable,
    zones: Mapping[str, Zone],
    profiles: Mapping[str, Profile],
    last_fired: Mapping[tuple[str, str], int],
    now_ms: int,
    max_age_s: float = MAX_AGE_S,
) -> list[Decision]:
    """Let every listening campaign answer every transition.

    Parameters
    ----------
    transitions
        In the order in which they are to be answered: an offer that fires counts against the caps
        of the ones after it.
    table, zones
        Of one catalogue snapshot; `zones` by id.
    profiles
        By device. A device that is missing is its own profile without attributes.
    last_fired
        Decided time of the last fired decision by (campaign, profile); see `candidates`.
    now_ms
        The time of deciding, for the age of transitions only.
    max_age_s
        Transitions that were settled longer ago than this fire nothing.

    Returns
    -------
    list of Decision
        One per (transition, listening campaign), in order of transitions, then campaign ids.
    """
    fired = dict(last_fired)
    specific: dict[tuple[str, str, Kind, int], str] = {}
    decisions: list[Decision] = []
    for transition, campaign in _listeners(transitions, table):
        profile = profiles.get(transition.device) or Profile(transition.device)
        key = (campaign.id, profile.id)
        zone = zones[transition.zone]
        moment = (campaign.id, transition.device, transition.kind, transition.decided_ms)
        first = specific.setdefault(moment, transition.zone)
        outranked_by = "" if first == transition.zone else first
        case = Case(
            transition, campaign, zone, profile, fired.get(key), now_ms, max_age_s, outranked_by
        )
        decision = _decision(case)
        if decision.fired:
            fired[key] = max(transition.decided_ms, fired.get(key, transition.decided_ms))
        decisions.append(decision)
    return decisions


def candidates(
    transitions: Sequence[Transition],
    *,
    table: CampaignTable,
    profiles: Mapping[str, Profile],
) -> list[tuple[str, str]]:
    """Return the (campaign, profile) pairs whose last firing `decide` will ask for, each once."""
    pairs: dict[tuple[str, str], None] = {}
    for transition, campaign in _listeners(transitions, table):
        if campaign.cooldown_s:
            profile = profiles.get(transition.device)
            pairs[campaign.id, profile.id if profile else transition.device] = None
    return list(pairs)


def decision_id(transition: Transition, campaign_id: str) -> str:
    """Return the id of a campaign's answer to a transition: 32 hex digits, the same every time.

    The first 12 are the transition's time, so that ids of one day lie together in an index.
    """
    digest = blake2b(f"{campaign_id}\0{transition.id}".encode(), digest_size=10).hexdigest()
    return f"{transition.decided_ms & 0xFFFF_FFFF_FFFF:012x}{digest}"


def _listeners(
    transitions: Sequence[Transition], table: CampaignTable
) -> Iterator[tuple[Transition, Campaign]]:
    for transition in transitions:
        for campaign in table.listening(transition.zone, transition.kind):
            if transition.kind is Kind.DWELL and campaign.trigger.dwell_s != transition.threshold_s:
                continue
            yield transition, campaign


def _decision(case: Case) -> Decision:
    gate, reason, inputs = FIRED, "every gate let it pass", {}
    for name, ask in GATES:
        refusal = ask(case)
        if refusal is not None:
            gate, reason, inputs = name, refusal.reason, dict(refusal.inputs)
            break
    transition, campaign = case.transition, case.campaign
    expires_ms = None
    if gate == FIRED and campaign.valid_s:
        expires_ms = transition.decided_ms + campaign.valid_s * 1000
    return Decision(
        id=decision_id(transition, campaign.id),
        campaign=campaign.id,
        campaign_version=campaign.version,
        transition=transition.id,
        device=transition.device,
        profile=case.profile.id,
        zone=transition.zone,
        gate=gate,
        reason=reason,
        decided_ms=transition.decided_ms,
        inputs=inputs,
        offer=case.offer if gate == FIRED else None,
        expires_ms=expires_ms,
    )
