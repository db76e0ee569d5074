"""Decide with everything at rest that a test doesn't speak of; plain oracles beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from geotarget.model import (
    Audience,
    Behaviour,
    Campaign,
    Decision,
    Fired,
    Heard,
    Policy,
    Profile,
    Spent,
    Transition,
    Zone,
)
from geotarget.targeting import POLICY, CampaignTable, Case, Ledger, Moment, decide
from tests.targeting.conftest import NOON_MS, make_campaign, make_transition, make_zone

DAY_S = 86_400
NOTHING: Mapping[str, Any] = MappingProxyType({})
SHOP = make_zone()


def run(
    transitions: Sequence[Transition],
    campaigns: Sequence[Campaign],
    zones: Sequence[Zone] = (SHOP,),
    *,
    profiles: Mapping[str, Profile] | None = None,
    ledger: Ledger | None = None,
    audiences: Iterable[Audience] = (),
    policy: Policy = POLICY,
    now_ms: int | None = None,
) -> list[Decision]:
    """Decide; by default when nothing is old yet, with an empty ledger."""
    if ledger is None:
        ledger = Ledger(profiles or {})
    if now_ms is None:
        now_ms = min((each.decided_ms for each in transitions), default=0)
    return decide(
        transitions,
        table=CampaignTable.compile(campaigns, zones),
        zones={zone.id: zone for zone in zones},
        audiences={audience.id: audience for audience in audiences},
        ledger=ledger,
        now_ms=now_ms,
        policy=policy,
    )


def make_case(
    *,
    at_ms: int = NOON_MS,
    campaign: Mapping[str, Any] | Campaign = NOTHING,
    zone: Mapping[str, Any] = NOTHING,
    profile: Profile | None = None,
    ledger: Ledger | None = None,
    policy: Policy = POLICY,
    **moved: Any,
) -> Case:
    """Make the case of one campaign and an entry that is settled at `at_ms`."""
    moment = Moment(
        make_transition(decided_ms=at_ms, **moved),
        make_zone(**zone),
        profile or Profile("phone-1"),
        ledger or Ledger(),
        policy=policy,
        now_ms=at_ms,
    )
    return Case(moment, campaign if isinstance(campaign, Campaign) else make_campaign(**campaign))


def heard(
    *ago_s: float, campaign: str = "hello", visit: str = "before", held_out: bool = False
) -> list[Heard]:
    """Make offers that lie so many seconds before noon, given with the oldest first."""
    return [
        Heard(
            at_ms=NOON_MS - round(1000 * seconds),
            campaign=campaign,
            decision=f"{campaign}-{seconds}",
            visit=visit,
            zone="shop",
            held_out=held_out,
        )
        for seconds in ago_s
    ]


def remembering(
    *offers: Heard,
    fired: Mapping[tuple[str, str], Fired] | None = None,
    spent: Mapping[tuple[str, str], Spent] | None = None,
) -> Ledger:
    """Make a ledger in which the profile phone-1 heard these offers."""
    kept = sorted(offers, key=lambda each: each.at_ms)
    sent = sum(not each.held_out for each in kept)
    behaviour = Behaviour(last_ms=NOON_MS, heard=kept, offers_total=sent)
    return Ledger(
        behaviour={"phone-1": behaviour}, fired=dict(fired or {}), spent=dict(spent or {})
    )
