"""How often one person hears from one campaign.

One cap so far: the cooldown. It is measured between the times at which transitions were settled,
not with a clock, so that a batch that is processed again decides the same.
"""

from __future__ import annotations

from geotarget.targeting.case import Case, Refusal


def gate(case: Case) -> Refusal | None:
    """Refuse while the campaign's cooldown for this profile runs.

    A transition that is older than the last fired one falls into the same silence: deciding it
    late must not send a second offer.
    """
    cooldown_s = case.campaign.cooldown_s
    if not cooldown_s or case.last_fired_ms is None:
        return None
    since_s = (case.transition.decided_ms - case.last_fired_ms) / 1000
    if since_s >= cooldown_s:
        return None
    when = f"{since_s:g} s ago" if since_s >= 0 else f"for a visit {-since_s:g} s later"
    return Refusal(
        f"fired {when}, the cooldown is {cooldown_s} s",
        {"cooldown_s": cooldown_s, "since_s": since_s, "last_fired_ms": case.last_fired_ms},
    )
