"""Who may answer a transition that several campaigns want.

The highest priority, and among equals a lot: the hash in the decision's id, which depends on
transition and campaign only. So equals share about evenly, and a repetition draws the same. The
operator's policy says how many may win, one unless it says more; a winner whose offer does not
render leaves its place to the next. Campaigns that go `with_others` take no place and need none.
"""

from __future__ import annotations

from geotarget.targeting.case import Case, Refusal

_LOT = 12  # in the decision's id the hash begins after the time


def rank(case: Case) -> tuple[int, str]:
    """Return what standing cases are sorted by: the first asks first."""
    return -case.campaign.priority, case.id[_LOT:]


def gate(case: Case) -> Refusal | None:
    """Refuse when the places of the transition are taken."""
    if case.campaign.with_others:
        return None
    winners = [each.id for each in case.moment.fired if not each.with_others]
    if len(winners) < case.moment.policy.offers_per_transition:
        return None
    return Refusal(
        f"campaign {', '.join(map(repr, winners))} answers this transition",
        {
            "winners": winners,
            "priority": case.campaign.priority,
            "offers_per_transition": case.moment.policy.offers_per_transition,
        },
    )
