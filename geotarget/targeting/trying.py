"""Offers tried out before anybody is sent one: previews, and the check on stored profiles.

The templates are rendered by the code that renders live ones, over a transition that never
happened: a confident entry, now.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from shapely import Point

from geotarget.errors import Problem
from geotarget.model import Behaviour, Campaign, Kind, Profile, Transition, Zone
from geotarget.targeting.case import Case, Moment
from geotarget.targeting.ledger import Ledger
from geotarget.targeting.offer import member, render
from geotarget.targeting.template import TemplateError

MOST_RENDERED = 2_000
"""Renderings of one check; a campaign of many templates is tried on fewer profiles."""

NOWHERE = Zone(id="sample", geometry=Point(0, 0), radius_m=100.0, name="Sample")
NOBODY = Profile(id="sample")

_NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Tried:
    """One template, rendered for one profile.

    Parameters
    ----------
    variant, language
        Which template; empty for the only one, and for the default language.
    offer
        What would be sent; None when it does not render.
    path, problem
        Where and why it does not; empty when it does.
    """

    variant: str
    language: str
    offer: Mapping[str, Any] | None
    path: str = ""
    problem: str = ""


def preview(
    campaign: Campaign,
    profile: Profile = NOBODY,
    zone: Zone = NOWHERE,
    *,
    behaviour: Behaviour | None = None,
    now_ms: int,
    variant: str | None = None,
    language: str | None = None,
) -> list[Tried]:
    """Render a campaign's templates for one profile at one place.

    Parameters
    ----------
    campaign
        Need not be stored, nor be whole.
    profile, zone, behaviour
        For whom and where.
    now_ms
        When, Unix milliseconds.
    variant, language
        Only these; by default every template, the default language (an empty tag) first.

    Returns
    -------
    list of Tried
        Empty when the campaign has no such variant or language.
    """
    moment = _moment(campaign, profile, zone, behaviour, now_ms)
    return [
        _try(campaign, moment, *place)
        for place in _templates(campaign)
        if variant in (None, place[0]) and language in (None, place[1])
    ]


def try_offers(
    campaign: Campaign, profiles: Sequence[Profile], *, now_ms: int
) -> tuple[list[Problem], tuple[str, ...]]:
    """Render every template of a campaign for stored profiles, and for one without attributes.

    Returns
    -------
    problems : list of Problem
        Of templates that render for nobody.
    warnings : tuple of str
        Of those that do not render for some.
    """
    templates = list(_templates(campaign))
    most = max(1, MOST_RENDERED // max(1, len(templates)))
    samples = [NOBODY, *profiles][:most]
    moments = [_moment(campaign, profile, NOWHERE, None, now_ms) for profile in samples]
    problems, warnings = [], []
    for place in templates:
        tried = [_try(campaign, moment, *place) for moment in moments]
        failed = [each for each in tried if each.offer is None]
        if failed and len(failed) == len(tried):
            problems.append(Problem(failed[-1].path, "", failed[-1].problem))
        elif failed:
            warnings.append(
                f"{failed[0].path}: does not render for {len(failed)} of {len(tried)} sample "
                f"profiles, who would get nothing: {failed[0].problem}"
            )
    return problems, tuple(warnings)


def _templates(campaign: Campaign) -> Iterator[tuple[str, str, Mapping[str, Any], str]]:
    """Give all templates: variant, language, template, its path in the document."""
    variants = [
        (each.id, each.offer, each.translations, f"$.variants[{position}]")
        for position, each in enumerate(campaign.variants)
    ] or [("", campaign.offer, campaign.translations, "$")]
    for variant, offer, translations, path in variants:
        yield variant, "", offer, f"{path}.offer"
        for tag, template in translations.items():
            yield variant, tag, template, member(f"{path}.translations", tag)


def _moment(
    campaign: Campaign, profile: Profile, zone: Zone, behaviour: Behaviour | None, now_ms: int
) -> Moment:
    transition = movement(campaign, profile.id, zone, now_ms)
    known = {profile.id: Behaviour() if behaviour is None else behaviour}
    return Moment(transition, zone, profile, Ledger(behaviour=known), now_ms=now_ms)


def movement(campaign: Campaign, device: str, zone: Zone, now_ms: int) -> Transition:
    """Return a movement that a campaign answers and that never happened: confident, now.

    An entry where the campaign listens to entries, else the first that it listens to.
    """
    kinds = sorted(campaign.trigger.on - {Kind.RECONCILED}) or [Kind.ENTER]
    kind = Kind.ENTER if Kind.ENTER in kinds else kinds[0]
    return Transition(
        id="0" * 32,
        visit="0" * 32,
        device=device,
        zone=zone.id,
        zone_revision=zone.revision,
        kind=kind,
        ts_ms=now_ms,
        decided_ms=now_ms,
        confidence=3,
        p=1.0,
        threshold_s=campaign.trigger.dwell_s if kind is Kind.DWELL else None,
    )


def _try(
    campaign: Campaign,
    moment: Moment,
    variant: str,
    language: str,
    template: Mapping[str, Any],
    path: str,
) -> Tried:
    """Render one template as if it were the campaign's only one."""
    alone = replace(campaign, offer=template, translations=_NOTHING, variants=())
    try:
        return Tried(variant, language, render(Case(moment, alone)))
    except TemplateError as error:
        place = path + error.path.removeprefix("$.offer")
        return Tried(variant, language, None, place, str(error))
