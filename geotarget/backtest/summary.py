"""The answers of a backtest, read from its scratch store: counts by zone, campaign, gate and day.

One pass over the transitions and one over the decisions (some 10 µs a row), in the order of the
commits, so that whoever writes them down gets the same order every time. What has to be distinct
(people, visitors) is counted by the database. Nothing here depends on the clock, on a path or on
the order of a set: two runs give the same document, byte for byte.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from geotarget.backtest.feeding import Fed
from geotarget.model import Campaign, Decision, Kind, Transition
from geotarget.snapshot import Snapshot
from geotarget.store import Store
from geotarget.targeting import GATES
from geotarget.targeting.decide import FIRED
from geotarget.targeting.local_time import date_of

MICROS = 1_000_000
ORDER = (*(name for name, _ in GATES), FIRED)
KINDS = tuple(each.value for each in Kind)


@dataclass(slots=True)
class ZoneResult:
    """What happened in one zone.

    Parameters
    ----------
    visitors
        Devices that entered or crossed it.
    days
        Counts by kind of transition, by the date at the zone.
    """

    id: str
    name: str
    visitors: int = 0
    days: dict[str, Counter[str]] = field(default_factory=dict)

    @property
    def kinds(self) -> Counter[str]:
        """Counts by kind, over all days."""
        return sum(self.days.values(), Counter())


@dataclass(slots=True)
class CampaignResult:
    """What one campaign would have done.

    Parameters
    ----------
    status
        As the draft says; ``active`` if it was treated so.
    gates
        Decisions by gate, in the order in which gates are asked, ``fired`` last; those that never
        came up are left out.
    reach, held_out_people
        People who would have got an offer, and those of the control group who would not.
    zones, variants
        Offers by zone, and by variant (empty id: none).
    days
        Date -> (offers, cost in micros). Dates are those of the budget, without one of the zones.
    """

    id: str
    name: str
    status: str
    currency: str
    gates: dict[str, int] = field(default_factory=dict)
    reach: int = 0
    held_out_people: int = 0
    zones: Counter[str] = field(default_factory=Counter)
    variants: Counter[str] = field(default_factory=Counter)
    days: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def fired(self) -> int:
        """Offers."""
        return self.gates.get(FIRED, 0)

    @property
    def held_out(self) -> int:
        """Offers that the control group was spared."""
        return self.gates.get("holdout", 0)

    @property
    def decisions(self) -> int:
        """Transitions that it answered."""
        return sum(self.gates.values())

    @property
    def cost_micros(self) -> int:
        """What all offers cost."""
        return sum(cost for _, cost in self.days.values())


@dataclass(frozen=True, slots=True)
class Answers:
    """What campaigns would have done.

    Parameters
    ----------
    campaigns
        All of them, by id.
    offers_per_person
        Offers over all campaigns -> people who would have got so many.
    """

    campaigns: tuple[CampaignResult, ...]
    offers_per_person: Mapping[int, int]

    @property
    def reach(self) -> int:
        """People who would have got an offer."""
        return sum(self.offers_per_person.values())

    def document(self) -> dict[str, Any]:
        """Return everything as JSON-able values; money in units of the campaign's currency."""
        return {
            "campaigns": [_campaign(each) for each in self.campaigns],
            "reach": self.reach,
            "offers_per_person": [
                {"offers": offers, "people": people}
                for offers, people in self.offers_per_person.items()
            ],
        }


@dataclass(frozen=True, slots=True)
class Summary(Answers):
    """What drafts would have done over a recording.

    Parameters
    ----------
    fed
        What became of the pings.
    zones
        Those in which something happened, by id; `quiet_zones` counts the others.
    """

    fed: Fed
    zones: tuple[ZoneResult, ...]
    quiet_zones: int

    @property
    def kinds(self) -> Counter[str]:
        """Transitions by kind, over all zones."""
        return sum((zone.kinds for zone in self.zones), Counter())

    def document(self) -> dict[str, Any]:
        """Return everything as JSON-able values; money in units of the campaign's currency."""
        fed = self.fed
        return {
            "recording": {
                "file": fed.file,
                "first": moment(fed.first_ms),
                "last": moment(fed.last_ms),
                "in_order": fed.in_order,
                "devices": fed.devices,
                "pings": fed.pings,
                "late": fed.late,
                "duplicates": fed.duplicates,
                "suspects": fed.suspects,
                "bad": fed.bad,
                "bad_rows": [{"place": row.place, "reason": row.reason} for row in fed.bad_rows],
            },
            "transitions": _by_kind(self.kinds),
            "zones": [
                {
                    "id": zone.id,
                    "name": zone.name,
                    "visitors": zone.visitors,
                    "transitions": _by_kind(zone.kinds),
                    "days": [{"day": day, **_by_kind(zone.days[day])} for day in sorted(zone.days)],
                }
                for zone in self.zones
            ],
            "quiet_zones": self.quiet_zones,
            **Answers.document(self),  # super() knows another class where there are slots
        }


def summarise(
    store: Store,
    snapshot: Snapshot,
    fed: Fed,
    *,
    on_transition: Callable[[Transition], object] = lambda _: None,
    on_decision: Callable[[Decision], object] = lambda _: None,
) -> Summary:
    """Read the answers from a scratch store.

    Parameters
    ----------
    store, snapshot
        After the recording was played, and what it was played to.
    fed
        What became of the pings.
    on_transition, on_decision
        Called with each, those committed first first.
    """
    zones = {name: ZoneResult(name, zone.name) for name, zone in snapshot.zones.items()}
    for event in store.all_transitions():
        on_transition(event)
        day = date_of(event.ts_ms, snapshot.zones[event.zone].time_zone)
        zones[event.zone].days.setdefault(day, Counter())[event.kind.value] += 1
    for name, visitors in store.visitor_counts():
        zones[name].visitors = visitors

    campaigns = {each.id: _blank(each) for each in snapshot.campaigns}
    for made in store.all_decisions():
        on_decision(made)
        if made.fired:
            result = campaigns[made.campaign]
            result.zones[made.zone] += 1
            result.variants[made.variant or ""] += 1
            day = made.budget_day or made.day
            offers, cost_micros = result.days.get(day, (0, 0))
            result.days[day] = offers + 1, cost_micros + made.cost_micros
    for name, gate, decisions, people in sorted(store.gate_counts(), key=_place):
        result = campaigns[name]
        result.gates[gate] = decisions
        if gate == FIRED:
            result.reach = people
        if gate == "holdout":
            result.held_out_people = people
    busy = tuple(zones[name] for name in sorted(zones) if zones[name].days)
    return Summary(
        fed=fed,
        zones=busy,
        quiet_zones=len(zones) - len(busy),
        campaigns=tuple(campaigns.values()),
        offers_per_person=dict(store.offers_per_person()),
    )


def moment(at_ms: int) -> str:
    """Write an instant as RFC 3339 in UTC, to the millisecond."""
    at = datetime.fromtimestamp(at_ms // 1000, UTC).replace(microsecond=at_ms % 1000 * 1000)
    return at.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _blank(campaign: Campaign) -> CampaignResult:
    return CampaignResult(campaign.id, campaign.name, campaign.status.value, campaign.currency)


def _place(row: tuple[str, str, int, int]) -> tuple[str, int]:
    return row[0], ORDER.index(row[1])


def _by_kind(counts: Mapping[str, int]) -> dict[str, int]:
    return {kind: counts[kind] for kind in KINDS if counts.get(kind)}


def _campaign(result: CampaignResult) -> dict[str, Any]:
    return {
        "id": result.id,
        "name": result.name,
        "status": result.status,
        "decisions": result.decisions,
        "fired": result.fired,
        "held_out": result.held_out,
        "refused": {
            gate: count for gate, count in result.gates.items() if gate not in (FIRED, "holdout")
        },
        "reach": result.reach,
        "held_out_people": result.held_out_people,
        "offers_per_person": round(result.fired / result.reach, 2) if result.reach else None,
        "cost": result.cost_micros / MICROS,
        "currency": result.currency,
        "days": [
            {"day": day, "offers": offers, "cost": cost_micros / MICROS}
            for day, (offers, cost_micros) in sorted(result.days.items())
        ],
        "zones": [{"zone": zone, "offers": result.zones[zone]} for zone in sorted(result.zones)],
        "variants": [
            {"variant": variant, "offers": result.variants[variant]}
            for variant in sorted(result.variants)
        ],
    }
