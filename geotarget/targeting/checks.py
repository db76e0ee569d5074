"""Everything that is asked of a campaign when it is saved, found at once.

Each room of this package checks its own part; here they are called in the order of the document.
"""

from __future__ import annotations

from collections.abc import Callable

from geotarget.errors import InvalidInput, Problem
from geotarget.model import Campaign
from geotarget.targeting.allocation import validate_variants
from geotarget.targeting.audience import validate_audience
from geotarget.targeting.budget import validate_budget
from geotarget.targeting.caps import validate_caps
from geotarget.targeting.gates import validate_figures
from geotarget.targeting.offer import validate_offer, validate_translations
from geotarget.targeting.schedule import validate_schedule
from geotarget.targeting.table import validate_trigger


def problems_of(campaign: Campaign) -> list[Problem]:
    """Return everything that is wrong with a campaign by itself, by its path in the document."""
    checks: list[Callable[[], None]] = [
        lambda: validate_trigger(campaign.trigger),
        lambda: validate_schedule(campaign, path="$.schedule"),
        lambda: validate_caps(campaign, path="$.caps"),
        lambda: validate_budget(campaign, path="$.budget"),
        lambda: validate_figures(campaign, path="$"),
    ]
    if campaign.audience:
        checks.append(lambda: validate_audience(campaign.audience, path="$.audience"))
    if campaign.variants:
        checks.append(lambda: validate_variants(campaign.variants, allocation=campaign.allocation))
    else:
        checks.append(lambda: validate_offer(campaign.offer))
        checks.append(lambda: validate_translations(campaign.translations))
    problems: list[Problem] = []
    for check in checks:
        try:
            check()
        except InvalidInput as error:
            problems += error.problems
    return problems
