"""Campaigns and audiences for a backtest on Spark, checked before anything is sent.

The catalogue of every day reads and refuses them, on the driver; tasks get what it has accepted.
What no task can decide because all people together do is refused here, or left out on request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from geotarget.backtest import rehearsal
from geotarget.engine import Rules, ZoneIndex
from geotarget.errors import InvalidCampaign, InvalidInput, Problem
from geotarget.model import Audience, Campaign, Endpoint, Policy, Status
from geotarget.snapshot import Snapshot
from geotarget.targeting.ledger import THOMPSON

Campaigns = Sequence[Campaign] | str | Path
Audiences = Sequence[Audience] | str | Path

REFUSE, IGNORE = "refuse", "ignore"
_SPEAKING = frozenset({Status.ACTIVE, Status.SCHEDULED})
_SPENT_BY_ALL = (
    "all people spend it together, which no task can see: budgets='ignore' plays without it, and"
    " geotarget.spark.budgets says when it would have been used up; or geotarget backtest, on one"
    " machine"
)
_LEARNS = (
    "learns from all people together, which no task can see: allocation weights splits as fixed;"
    " or geotarget backtest, on one machine"
)


@dataclass(frozen=True)
class Drafts:
    """Campaigns and all that goes with them, checked; what every task holds.

    Parameters
    ----------
    budgets
        By id, the campaigns whose budgets were left out, as they were.
    """

    campaigns: Sequence[Campaign]
    audiences: Mapping[str, Audience]
    endpoints: Mapping[str, Endpoint]
    rules: Rules | None
    policy: Policy | None
    budgets: Mapping[str, Campaign]

    def snapshot(self, zones: ZoneIndex) -> Snapshot:
        """Return the catalogue that they make with zones."""
        return Snapshot.of(
            1,
            zones,
            campaigns=self.campaigns,
            endpoints=self.endpoints,
            audiences=self.audiences,
        )


def checked(
    campaigns: Campaigns,
    audiences: Audiences = (),
    *,
    rules: Rules | None = None,
    policy: Policy | None = None,
    as_active: bool = False,
    budgets: str = REFUSE,
) -> Drafts:
    """Return drafts as the catalogue takes them, if they can be played in parts.

    Parameters and errors as of `backtest`.
    """
    if budgets not in (REFUSE, IGNORE):
        reason = f"must be {REFUSE} or {IGNORE}"
        raise InvalidInput(Problem("budgets", str(budgets)[:80], reason))
    with rehearsal(
        zones=(),
        campaigns=listed(campaigns),
        audiences=_read_audiences(audiences),
        as_active=as_active,
    ) as stage:
        found = stage.catalog.snapshot
    speaking = [each for each in found.campaigns if each.status in _SPEAKING]
    wrong = [
        Problem(f"{each.id}.allocation", THOMPSON, _LEARNS)
        for each in speaking
        if each.variants and each.allocation == THOMPSON
    ]
    spending = {each.id: each for each in speaking if each.budget is not None}
    if budgets == REFUSE:
        wrong += [Problem(f"{name}.budget", "", _SPENT_BY_ALL) for name in spending]
    if wrong:
        raise InvalidCampaign(*wrong)
    return Drafts(
        [replace(each, budget=None) if each.id in spending else each for each in found.campaigns],
        dict(found.audiences),
        dict(found.endpoints),
        rules,
        policy,
        spending,
    )


def listed(campaigns: Campaigns) -> Sequence[Campaign]:
    """Return campaigns, of a file if it is one."""
    if not isinstance(campaigns, str | Path):
        return campaigns
    from geotarget.drafts import read_campaigns  # noqa: PLC0415 - loads the API

    return read_campaigns(Path(campaigns))


def _read_audiences(audiences: Audiences) -> Sequence[Audience]:
    if not isinstance(audiences, str | Path):
        return audiences
    from geotarget.drafts import read_audiences  # noqa: PLC0415 - loads the API

    return read_audiences(Path(audiences))
