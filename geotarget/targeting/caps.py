"""How often one person hears from one campaign, and from all of them.

Everything is measured between the times at which transitions were settled, not with a clock, so
that a batch that is processed again decides the same. Windows roll: "3 in 7 days" holds for every
stretch of seven days, wherever it begins. An offer for something later counts as well when an
older transition is decided late, for there is a window that holds both.

What is counted is behaviour, which the transaction that fires has just read: exact, and no dearer
than the offers of the window. A campaign without caps costs three comparisons.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from geotarget.behaviour import KEPT_DAYS, offers
from geotarget.errors import InvalidCampaign, Problem
from geotarget.model import Campaign, Cap, Fired
from geotarget.targeting.case import Case, Refusal

MAX_CAPS = 10
MAX_COUNT = 500  # behaviour keeps a thousand offers, held-out ones included
MAX_PERIOD_S = KEPT_DAYS * 86_400
MAX_COOLDOWN_S = 10 * 366 * 86_400

_NEVER = Fired(0, 0)
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def gate(case: Case) -> Refusal | None:
    """Refuse what would be one too many: of this campaign, in this visit, too soon, or of all."""
    campaign = case.campaign
    seen: list[dict[str, Any]] = []
    refusal = None
    if campaign.caps:
        refusal = _rolling(case, campaign.caps, campaign.id, seen)
    if refusal is None and campaign.per_visit is not None:
        refusal = _per_visit(case, campaign.per_visit, seen)
    if refusal is None and campaign.cooldown_s:
        refusal = _cooldown(case, campaign.cooldown_s)
    if refusal is None and case.moment.policy.caps:
        refusal = _rolling(case, case.moment.policy.caps, None, seen)
    if refusal is None and seen:
        case.passed["cap"] = {"caps": seen}
    return refusal


def validate_caps(campaign: Campaign, *, path: str = "$.caps") -> None:
    """Check a campaign's caps.

    Raises
    ------
    InvalidCampaign
        With one problem per figure out of its bounds, such as ``$.caps.per_profile[0].period_s``.
    """
    problems = list(_cap_problems(campaign.caps, f"{path}.per_profile"))
    if campaign.per_visit is not None:
        problems += _outside(campaign.per_visit, 1, MAX_COUNT, f"{path}.per_visit")
    if campaign.cooldown_s is not None:
        problems += _outside(campaign.cooldown_s, 1, MAX_COOLDOWN_S, f"{path}.cooldown_s")
    if problems:
        raise InvalidCampaign(*problems)


def validate_policy_caps(caps: tuple[Cap, ...], *, path: str = "$.caps") -> None:
    """Check the operator's caps over all campaigns.

    Raises
    ------
    InvalidCampaign
        With one problem per figure out of its bounds.
    """
    problems = list(_cap_problems(caps, path))
    if problems:
        raise InvalidCampaign(*problems)


def _rolling(
    case: Case, caps: Iterable[Cap], campaign: str | None, seen: list[dict[str, Any]]
) -> Refusal | None:
    """Ask caps of one campaign, or with None those over all campaigns."""
    whose = "of this campaign" if campaign is not None else "of all campaigns"
    for cap in caps:
        if cap.period_s is not None:
            count = offers(
                case.behaviour,
                now_ms=case.transition.decided_ms,
                period_s=cap.period_s,
                campaign=campaign,
            )
        elif campaign is not None:
            fired = case.moment.ledger.fired.get((campaign, case.profile.id), _NEVER)
            count = fired.count
        else:
            count = case.behaviour.offers_total
        inputs = {"of": whose, "max": cap.max, "period_s": cap.period_s, "count": count}
        if count >= cap.max:
            when = "so far" if cap.period_s is None else f"in the last {_span(cap.period_s)}"
            reason = f"{_offers(count)} {whose} {when}, at most {cap.max} may be"
            return Refusal(reason, inputs)
        seen.append(inputs)
    return None


def _per_visit(case: Case, most: int, seen: list[dict[str, Any]]) -> Refusal | None:
    visit = case.transition.visit
    count = offers(
        case.behaviour,
        now_ms=case.transition.decided_ms,
        period_s=MAX_PERIOD_S,
        campaign=case.campaign.id,
        visit=visit,
    )
    inputs = {"per_visit": most, "visit": visit, "count": count}
    if count >= most:
        reason = f"{_offers(count)} of this campaign in this visit, at most {most} may be"
        return Refusal(reason, inputs)
    seen.append(inputs)
    return None


def _cooldown(case: Case, cooldown_s: int) -> Refusal | None:
    """Refuse while the campaign's cooldown for this profile runs.

    A transition that is older than the last fired one falls into the same silence: deciding it
    late must not send a second offer.
    """
    fired = case.moment.ledger.fired.get((case.campaign.id, case.profile.id))
    if fired is None:
        return None
    since_s = (case.transition.decided_ms - fired.last_ms) / 1000
    if since_s >= cooldown_s:
        return None
    when = f"{since_s:g} s ago" if since_s >= 0 else f"for a visit {-since_s:g} s later"
    return Refusal(
        f"fired {when}, the cooldown is {cooldown_s} s",
        {"cooldown_s": cooldown_s, "since_s": since_s, "last_fired_ms": fired.last_ms},
    )


def _offers(count: int) -> str:
    return f"{count} offer{'' if count == 1 else 's'}"


def _span(period_s: int) -> str:
    """Return a period in the largest unit that divides it."""
    size, unit = next(each for each in _UNITS if period_s % each[0] == 0)
    return f"{period_s // size} {unit}"


def _cap_problems(caps: tuple[Cap, ...], path: str) -> Iterable[Problem]:
    if len(caps) > MAX_CAPS:
        yield Problem(path, f"{len(caps)} caps", f"there may be {MAX_CAPS} of them")
        return
    for place, cap in enumerate(caps):
        yield from _outside(cap.max, 1, MAX_COUNT, f"{path}[{place}].max")
        if cap.period_s is not None:
            yield from _outside(cap.period_s, 1, MAX_PERIOD_S, f"{path}[{place}].period_s")


def _outside(value: int, least: int, most: int, path: str) -> Iterable[Problem]:
    if not least <= value <= most:
        yield Problem(path, str(value)[:80], f"must be within {least} and {most}")
