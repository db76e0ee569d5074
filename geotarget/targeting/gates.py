"""The gates in their order, and those of them that are a few lines.

A gate is a function of a case that returns a refusal or None. It changes nothing but its own case:
what it looked at and let pass goes into `Case.passed`, where there was something to look at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from geotarget.errors import InvalidAudience, InvalidCampaign, Problem
from geotarget.model import Campaign
from geotarget.targeting import arbitration, budget, caps, consent, offer, schedule
from geotarget.targeting.allocation import choose_variant, salt_of, unit_hash
from geotarget.targeting.audience import Rule
from geotarget.targeting.case import Case, Refusal
from geotarget.targeting.ledger import THOMPSON

MAX_HOLDOUT = 0.9
MAX_PRIORITY = 1_000_000
MAX_ATTRIBUTION_S = 90 * 86_400
MAX_PURPOSE, MAX_SALT = 64, 128
_CURRENCY = re.compile(r"[A-Z]{3}")

Gate = Callable[[Case], Refusal | None]


def trigger(case: Case) -> Refusal | None:
    """Refuse what is too old, not certain enough, or initial or outranked where that is barred.

    Zone, kind and dwell time are matched before: a campaign that doesn't listen makes no decision.
    """
    moment, wanted = case.moment, case.campaign.trigger
    transition, max_age_s = moment.transition, moment.policy.max_age_s
    age_s = (moment.now_ms - transition.decided_ms) / 1000
    if age_s > max_age_s:
        return Refusal(
            f"the transition is {age_s:.0f} s old, at most {max_age_s:g} s may be",
            {"age_s": age_s, "max_age_s": max_age_s},
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


def audience(case: Case) -> Refusal | None:
    """Refuse who is not in the campaign's own audience and in every named one.

    A rule that can't be answered, for want of an attribute say, does not hold.
    """
    campaign = case.campaign
    if not campaign.audience and not campaign.audiences:
        return None
    for name, text in _rules(case):
        if text is None:
            return Refusal(f"there is no audience {name!r}", {"audience": name})
        inputs: dict[str, Any] = {"rule": text[:1000]}
        if name:
            inputs["audience"] = name
        whose = f"audience {name!r}" if name else "the audience"
        try:
            verdict = Rule.compile(text).holds(case.moment.facts)
        except InvalidAudience as error:
            # checked when it was saved; a database of another version must not stop a batch
            return Refusal(f"{whose} can't be read: {error}", inputs)
        if not verdict.holds:
            if verdict.column is not None:
                inputs |= {"line": verdict.line, "column": verdict.column}
            return Refusal(f"not in {whose}: {verdict.reason}", inputs)
    case.passed["audience"] = {"rules": [name or "own" for name, _ in _rules(case)]}
    return None


def holdout(case: Case) -> Refusal | None:
    """Refuse the control group, and find out what it would have been sent.

    The variant is chosen here for everybody: whoever comes so far belongs to one.
    """
    campaign = case.campaign
    if campaign.variants:
        arms = case.moment.ledger.arms
        case.variant = choose_variant(campaign, case.profile.id, case.id, arms)
    if campaign.holdout <= 0:
        return None
    salt = salt_of(campaign)
    number = unit_hash("holdout", salt, case.profile.id)
    inputs: dict[str, Any] = {"hash": number, "holdout": campaign.holdout, "salt": salt}
    if number >= campaign.holdout:
        case.passed["holdout"] = inputs
        return None
    refusal = variant(case) or offer.gate(case)
    if refusal is not None:
        inputs["not_sent_either"] = refusal.reason
    reason = f"in the control group: hash {number:.6f} is under {campaign.holdout:g}"
    return Refusal(reason, inputs)


def variant(case: Case) -> Refusal | None:
    """Refuse when no variant can be chosen; the choice itself was made before the holdout."""
    campaign = case.campaign
    if not campaign.variants:
        return None
    if case.variant is None:
        weights = {each.id: each.weight for each in campaign.variants}
        return Refusal("no variant has a weight over 0", {"weights": weights})
    inputs: dict[str, Any] = {"variant": case.variant.id, "allocation": campaign.allocation}
    if campaign.allocation == THOMPSON:
        arms = case.moment.ledger.arms
        known = {each.id: arms.get((campaign.id, each.id)) for each in campaign.variants}
        inputs["arms"] = {
            name: {"sent": arm.sent, "converted": arm.converted}
            for name, arm in known.items()
            if arm is not None
        }
    case.passed["variant"] = inputs
    return None


ALONE: tuple[tuple[str, Gate], ...] = (
    ("trigger", trigger),
    ("schedule", schedule.gate),
    ("consent", consent.gate),
    ("audience", audience),
    # the control group is taken out before all caps, so that it stays comparable
    ("holdout", holdout),
    ("cap", caps.gate),
    ("budget", budget.gate),
)
"""What each campaign is asked on its own."""

TOGETHER: tuple[tuple[str, Gate], ...] = (
    ("arbitration", arbitration.gate),
    ("variant", variant),
    ("content", offer.gate),
)
"""What those that stand are asked one after the other, in the order of their rank."""

AFTER_ANOTHER: tuple[tuple[str, Gate], ...] = (
    TOGETHER[0],
    *(each for each in ALONE if each[0] in ("cap", "budget")),
    *TOGETHER[1:],
)
"""The same once a campaign has answered the transition: its offer counts against the others."""

GATES: tuple[tuple[str, Gate], ...] = ALONE + TOGETHER
"""Every gate by name, in order; the order is part of what decisions promise."""


def validate_figures(campaign: Campaign, *, path: str = "$") -> None:
    """Check the campaign's holdout, priority, purpose, cost, currency and time of attribution.

    Raises
    ------
    InvalidCampaign
        With one problem per value out of its bounds.
    """
    most = budget.MAX_BOUND
    purpose, salt = campaign.purpose, campaign.salt
    checks = (
        (
            "holdout",
            campaign.holdout,
            0 <= campaign.holdout <= MAX_HOLDOUT,
            f"must be within 0 and {MAX_HOLDOUT}",
        ),
        (
            "priority",
            campaign.priority,
            abs(campaign.priority) <= MAX_PRIORITY,
            f"must be within {-MAX_PRIORITY} and {MAX_PRIORITY}",
        ),
        (
            "consent.purpose",
            ascii(purpose),
            1 <= len(purpose) <= MAX_PURPOSE and purpose.isprintable(),
            f"must be 1 to {MAX_PURPOSE} printable characters",
        ),
        (
            "salt",
            ascii(salt),
            len(salt) <= MAX_SALT and salt.isprintable(),
            f"must be at most {MAX_SALT} printable characters",
        ),
        (
            "cost_per_offer",
            f"{campaign.cost_micros / 1e6:g}",
            0 <= campaign.cost_micros <= most,
            f"must be within 0 and {most // 10**6}",
        ),
        (
            "currency",
            ascii(campaign.currency),
            _CURRENCY.fullmatch(campaign.currency),
            "must be three capitals, like EUR",
        ),
        (
            "attribution_s",
            campaign.attribution_s,
            1 <= campaign.attribution_s <= MAX_ATTRIBUTION_S,
            f"must be within 1 and {MAX_ATTRIBUTION_S} seconds",
        ),
    )
    problems = [
        Problem(f"{path}.{name}", str(value)[:80], reason)
        for name, value, valid, reason in checks
        if not valid
    ]
    if problems:
        raise InvalidCampaign(*problems)


def _rules(case: Case) -> Iterator[tuple[str, str | None]]:
    """Yield (name, rule): the campaign's own rule under an empty name, None for a missing one."""
    if case.campaign.audience:
        yield "", case.campaign.audience
    for name in case.campaign.audiences:
        known = case.moment.audiences.get(name)
        yield name, known.rule if known is not None else None
