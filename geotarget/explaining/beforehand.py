"""What a campaign would answer to somebody who entered a zone now, gate by gate.

Asked of the code that decides live, with what is stored of the person, of what the campaigns sent
and spent, and of the other campaigns that would compete. Nothing is counted and nothing is
written. Costs the compilation of the campaigns over the zones, some 10 ms for 10,000 zones and
1,000 campaigns, and five short queries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from geotarget.explaining.gates import GATES, GateAnswer, gates
from geotarget.explaining.refusals import why
from geotarget.model import Campaign, Policy, Profile, Status, Zone
from geotarget.snapshot import Snapshot
from geotarget.store import Store
from geotarget.targeting import CampaignTable, Ledger, asked, decide
from geotarget.targeting.trying import NOWHERE, movement

_MADE_UP = frozenset({NOWHERE.id})


def beforehand(
    campaign: Campaign,
    profile: Profile,
    zone: Zone,
    *,
    store: Store,
    snapshot: Snapshot,
    policy: Policy,
    now_ms: int,
) -> tuple[GateAnswer, ...]:
    """Return what each gate would say, in their order.

    Parameters
    ----------
    campaign
        Need not be stored; what was sent and spent under its id counts. It is taken to run,
        whatever its status: only its dates can keep it silent.
    profile
        With its devices.
    zone
        `trying.NOWHERE` is a zone that every trigger means.
    store, snapshot, policy
        What the live decision would look at.
    now_ms
        When, Unix milliseconds.

    Returns
    -------
    tuple of GateAnswer
        Up to the first one that refuses; those behind it are ``not asked``.
    """
    if campaign.status is not Status.SCHEDULED:
        campaign = replace(campaign, status=Status.ACTIVE)
    if zone is NOWHERE:
        campaign = replace(campaign, trigger=replace(campaign.trigger, zone_ids=_MADE_UP))
    elif not zone.active:
        return _not_heard(f"'{zone.name or zone.id}' is switched off: nobody enters it.")
    device = profile.devices[0] if profile.devices else profile.id
    transition = movement(campaign, device, zone, now_ms)
    table = _table(campaign, zone, snapshot)
    if all(each.id != campaign.id for each in table.answering(transition)):
        return _not_heard(f"The campaign does not mean '{zone.name or zone.id}'.")
    profiles = {device: profile}
    needed = asked([transition], table=table, profiles=profiles)
    with store.questions() as questions:
        ledger = Ledger.read(questions, needed, profiles)
    decisions = decide(
        [transition],
        table=table,
        zones={zone.id: zone},
        audiences=snapshot.audiences,
        ledger=ledger,
        now_ms=now_ms,
        policy=policy,
    )
    (decision,) = (each for each in decisions if each.campaign == campaign.id)
    return tuple(
        replace(each, text=why(decision)) if each.answer == "refused" else each
        for each in gates(decision)
    )


def _table(campaign: Campaign, zone: Zone, snapshot: Snapshot) -> CampaignTable:
    """Return who listens: the campaign in place of the one that it would replace."""
    others = [each for each in snapshot.campaigns if each.id != campaign.id]
    zones: Sequence[Zone] = [each for each in snapshot.index.zones if each.id != zone.id]
    return CampaignTable.compile([*others, campaign], [*zones, zone])


def _not_heard(reason: str) -> tuple[GateAnswer, ...]:
    first, *rest = GATES.items()
    return (
        GateAnswer(*first, "refused", reason),
        *(GateAnswer(name, asks, "not asked") for name, asks in rest),
    )
