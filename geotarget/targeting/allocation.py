"""Who belongs to the control group and who gets which variant: by a hash that others can recompute.

`unit_hash` is documented in docs/allocation.md with worked examples that a test verifies, so that
a data warehouse can tell the groups without asking us. Nothing is stored to allocate: a profile
keeps its variant as long as salt and weights stay. When they change, only the share moves that has
to: each variant draws its own lot for a profile, so a variant that gains weight takes people from
the others and nobody else moves. Holdout and variant are hashed with different words in front, so
the one says nothing about the other. A lot costs about a microsecond, a draw of Thompson sampling
some three microseconds a variant.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from geotarget.errors import InvalidCampaign, Problem
from geotarget.model import Arm, Campaign, Variant
from geotarget.targeting.offer import validate_offer, validate_translations

MAX_VARIANTS = 20
MAX_WEIGHT = 1e6
ALLOCATIONS = ("weights", "thompson")
DRAWS = 10_000
"""Of `shares`: the standard error of a share is at most 0.005."""

_BELOW_ONE = 1 - 2.0**-53
_NOTHING = Arm()


@dataclass(frozen=True, slots=True)
class Share:
    """What one variant can expect, and why.

    Parameters
    ----------
    share
        Of the traffic that comes next, 0 to 1; over all variants the sum is 1.
    mean
        Expected rate of conversion: (1 + converted) / (2 + sent).
    sent, converted
        What it has come to.
    """

    variant: str
    share: float
    mean: float
    sent: int
    converted: int


def unit_hash(kind: str, salt: str, key: str) -> float:
    """Return a number in [0, 1) that depends on its arguments only: evenly spread, for ever.

    The 8 bytes, big endian, of an unkeyed BLAKE2b with a digest of 8 bytes, of `kind`, `salt` and
    `key` in UTF-8 with U+001F between them, divided by 2^64.

    Examples
    --------
    >>> round(unit_hash("holdout", "spring-2026", "p-1001"), 6)
    0.844655
    """
    text = f"{kind}\x1f{salt}\x1f{key}".encode(errors="surrogatepass")
    number = int.from_bytes(blake2b(text, digest_size=8).digest(), "big")
    return min(number / 2**64, _BELOW_ONE)  # the largest would round to 1


def salt_of(campaign: Campaign) -> str:
    """Return what the campaign's hashes begin with: its salt, or else its id."""
    return campaign.salt or campaign.id


def held_out(campaign: Campaign, profile_id: str) -> bool:
    """Return whether a profile belongs to the campaign's control group."""
    if campaign.holdout <= 0:
        return False
    return unit_hash("holdout", salt_of(campaign), profile_id) < campaign.holdout


def choose_variant(
    campaign: Campaign,
    profile_id: str,
    decision_id: str,
    arms: Mapping[tuple[str, str], Arm],
) -> Variant | None:
    """Choose one of a campaign's variants; None where it has none.

    By ``weights``: each variant draws the lot ``-ln(1 - h) / weight`` with h the hash of
    (``variant``, salt, profile, U+001F, variant id); the smallest wins. By ``thompson``: each
    variant draws from the Beta distribution of its rate of conversion, from a generator that the
    decision's id seeds; the greatest wins. A variant of weight 0 is never chosen.

    Parameters
    ----------
    arms
        What the variants have come to, by (campaign, variant); a missing one has come to nothing.
    """
    able = [variant for variant in campaign.variants if variant.weight > 0]
    if len(able) < 2:
        return able[0] if able else None
    if campaign.allocation == "thompson":
        dice = random.Random(decision_id)  # noqa: S311 - a repetition must draw the same
        drawn = [
            dice.betavariate(*_posterior(arms.get((campaign.id, each.id), _NOTHING)))
            for each in able
        ]
        return able[drawn.index(max(drawn))]
    salt = salt_of(campaign)
    lots = [
        -math.log1p(-unit_hash("variant", salt, f"{profile_id}\x1f{each.id}")) / each.weight
        for each in able
    ]
    return able[lots.index(min(lots))]


def shares(campaign: Campaign, arms: Mapping[tuple[str, str], Arm]) -> list[Share]:
    """Return what each variant can expect of the traffic that comes next.

    By ``weights`` that is exact; by ``thompson`` it is the share of `DRAWS` seeded draws that a
    variant wins, the same for the same state.
    """
    known = [arms.get((campaign.id, variant.id), _NOTHING) for variant in campaign.variants]
    able = np.array([variant.weight > 0 for variant in campaign.variants], bool)
    if not able.any():
        return []
    if campaign.allocation == "thompson":
        posteriors = np.array([_posterior(arm) for arm in known])
        drawn = np.random.default_rng(0).beta(
            posteriors[:, 0], posteriors[:, 1], (DRAWS, len(known))
        )
        wins = np.bincount(np.where(able, drawn, -1.0).argmax(axis=1), minlength=len(known))
        expected = wins / DRAWS
    else:
        weights = np.array([variant.weight for variant in campaign.variants], float)
        weights /= weights.max()  # so that the sum stays finite
        expected = weights / weights.sum()
    return [
        Share(variant.id, float(share), alpha / (alpha + beta), arm.sent, arm.converted)
        for variant, share, arm in zip(campaign.variants, expected, known, strict=True)
        for alpha, beta in [_posterior(arm)]
    ]


def validate_variants(
    variants: Sequence[Variant], *, allocation: str = "weights", path: str = "$.variants"
) -> None:
    """Check a campaign's variants, their offers and translations included; none at all is fine.

    Raises
    ------
    InvalidCampaign
        With one problem per thing that is wrong.
    """
    problems: list[Problem] = []
    if allocation not in ALLOCATIONS:
        known = " or ".join(ALLOCATIONS)
        problems.append(Problem("$.allocation", str(allocation)[:80], f"must be {known}"))
    if len(variants) > MAX_VARIANTS:
        reason = f"a campaign may have {MAX_VARIANTS} variants"
        raise InvalidCampaign(*problems, Problem(path, f"{len(variants)} variants", reason))
    seen: set[str] = set()
    for place, variant in enumerate(variants):
        at = f"{path}[{place}]"
        problems += _variant_problems(variant, at, seen)
        for check, inner, name in (
            (validate_offer, variant.offer, "offer"),
            (validate_translations, variant.translations, "translations"),
        ):
            try:
                check(inner, path=f"{at}.{name}")
            except InvalidCampaign as error:
                problems += error.problems
    if variants and not problems and not any(variant.weight > 0 for variant in variants):
        problems.append(Problem(path, "", "one variant at least must have a weight over 0"))
    if problems:
        raise InvalidCampaign(*problems)


def _variant_problems(variant: Variant, path: str, seen: set[str]) -> list[Problem]:
    problems = []
    if not 1 <= len(variant.id) <= 128 or not variant.id.isprintable():
        reason = "must be 1 to 128 printable characters"
        problems.append(Problem(f"{path}.id", ascii(variant.id)[:80], reason))
    if variant.id in seen:
        problems.append(Problem(f"{path}.id", variant.id[:80], "another variant has this id"))
    seen.add(variant.id)
    if not (math.isfinite(variant.weight) and 0 <= variant.weight <= MAX_WEIGHT):
        reason = f"must be within 0 and {MAX_WEIGHT:g}"
        problems.append(Problem(f"{path}.weight", str(variant.weight)[:80], reason))
    if variant.cost_micros is not None and variant.cost_micros < 0:
        shown = f"{variant.cost_micros / 1e6:g}"
        problems.append(Problem(f"{path}.cost_per_offer", shown, "must not be negative"))
    return problems


def _posterior(arm: Arm) -> tuple[float, float]:
    """Return the Beta distribution of an arm's rate, from a uniform prior."""
    return 1.0 + arm.converted, 1.0 + max(arm.sent - arm.converted, 0)
