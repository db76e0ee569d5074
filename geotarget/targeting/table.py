"""Which campaigns listen to which transition, compiled once per catalogue snapshot.

A batch asks for (zone, kind) and for the dwell thresholds of a zone; both are dictionary
look-ups, whose price doesn't grow with the campaigns that can't match. Compiling is one pass over
the campaigns; which zone carries which tags is asked when it matters (`ZoneTags`). Zones that carry
the same listened-to tags share one entry, which is worked out when the first of them is asked for:
1,000 campaigns that select by tag compile in some 10 ms, however many zones there are, and hold a
few lists, not millions of pairs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from geotarget.errors import InvalidCampaign, Problem
from geotarget.model import Campaign, Kind, Status, Transition, Trigger, Zone

LISTENING = frozenset({Status.ACTIVE, Status.SCHEDULED, Status.PAUSED})
"""Campaigns in these states answer transitions, be it with a refusal: who paused a campaign wants
to see what it would have met. Drafts and ended ones are silent."""

MAX_DWELL_S = 7 * 86_400
_SPEAKING = frozenset({Status.ACTIVE, Status.SCHEDULED})


@dataclass(frozen=True, slots=True)
class _Entry:
    """What zones of one signature share."""

    by_kind: Mapping[Kind, tuple[Campaign, ...]]
    thresholds_s: tuple[int, ...]


_NOBODY = _Entry({}, ())


class ZoneTags(ABC):
    """Which zones there are, and what tags they carry."""

    @abstractmethod
    def of(self, zone_id: str) -> tuple[str, ...] | None:
        """Return the tags of a zone; None if there is no such zone."""

    @abstractmethod
    def carried_by(self, tag: str) -> Collection[str]:
        """Return the ids of the zones that carry a tag, in the order of the zones."""


class _ListedTags(ZoneTags):
    """The tags of zones that are at hand."""

    def __init__(self, zones: Iterable[Zone]) -> None:
        self._tags = {zone.id: zone.tags for zone in zones}
        zones_of: defaultdict[str, list[str]] = defaultdict(list)
        for zone_id, tags in self._tags.items():
            for tag in tags:
                zones_of[tag].append(zone_id)
        self._zones_of = dict(zones_of)

    def of(self, zone_id: str) -> tuple[str, ...] | None:
        """Return the tags of a zone; None if there is no such zone."""
        return self._tags.get(zone_id)

    def carried_by(self, tag: str) -> Collection[str]:
        """Return the ids of the zones that carry a tag, in the order of the zones."""
        return self._zones_of.get(tag, ())


class CampaignTable:
    """Campaigns by the (zone, kind) that they listen to. Immutable for its readers.

    Examples
    --------
    >>> from shapely import Point
    >>> shop = Zone(id="shop", geometry=Point(25, 60), radius_m=50, tags=("branch",))
    >>> trigger = Trigger(zone_tags=frozenset({"branch"}))
    >>> hello = Campaign(id="hello", name="", trigger=trigger, offer={}, endpoints=("crm",))
    >>> table = CampaignTable.compile([hello], [shop])
    >>> [campaign.id for campaign in table.listening("shop", Kind.ENTER)]
    ['hello']
    """

    __slots__ = (
        "_by_id",
        "_by_tag",
        "_campaigns",
        "_entries",
        "_everywhere",
        "_heard",
        "_shared",
        "_tagged",
        "_zones",
    )

    def __init__(self, campaigns: Sequence[Campaign], zones: ZoneTags) -> None:
        self._campaigns = sorted(
            (campaign for campaign in campaigns if campaign.status in LISTENING),
            key=lambda campaign: campaign.id,
        )
        # positions of campaigns, by what they name; an excluded zone is named as well
        by_id: defaultdict[str, list[int]] = defaultdict(list)
        by_tag: defaultdict[str, list[int]] = defaultdict(list)
        self._everywhere: list[int] = []
        for position, campaign in enumerate(self._campaigns):
            trigger = campaign.trigger
            for zone_id in trigger.zone_ids:
                by_id[zone_id].append(position)
            for tag in trigger.zone_tags:
                by_tag[tag].append(position)
            for zone_id in trigger.exclude:
                by_id.setdefault(zone_id, [])
            if not trigger.zone_ids and not trigger.zone_tags:
                self._everywhere.append(position)
        self._by_id, self._by_tag = dict(by_id), dict(by_tag)
        self._zones = zones
        # Filled by readers. Two threads may work out the same entry: the same value is put twice.
        self._tagged: dict[str, Collection[str]] = {}
        self._heard: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._entries: dict[str, _Entry] = {}
        self._shared: dict[tuple[str | None, tuple[str, ...]], _Entry] = {}

    @classmethod
    def compile(
        cls, campaigns: Sequence[Campaign], zones: Iterable[Zone] | ZoneTags
    ) -> CampaignTable:
        """Compile the campaigns of a snapshot over its zones."""
        return cls(campaigns, zones if isinstance(zones, ZoneTags) else _ListedTags(zones))

    @property
    def timed(self) -> Collection[str] | None:
        """Ids of all zones in which campaigns want dwell times, and maybe of others; None: any."""
        found: set[str] = set()
        for campaign in self._campaigns:
            trigger = campaign.trigger
            if campaign.status not in _SPEAKING or Kind.DWELL not in trigger.on:
                continue
            if not trigger.zone_ids and not trigger.zone_tags:
                return None
            found.update(trigger.zone_ids, *(self.tagged(tag) for tag in trigger.zone_tags))
        return found

    def thresholds_s(self, zone_id: str) -> tuple[int, ...]:
        """Return the dwell times, in seconds and ascending, that campaigns of this zone want.

        Only campaigns that can speak count: active ones and scheduled ones.
        """
        return self._entry(zone_id).thresholds_s

    def listening(self, zone_id: str, kind: Kind) -> Sequence[Campaign]:
        """Return the campaigns that answer this kind of transition in this zone, by id.

        A dwell campaign is listed for every threshold; compare `Trigger.dwell_s`. Nobody listens
        to ``reconciled``: an edit of a zone is not a movement.
        """
        return self._entry(zone_id).by_kind.get(kind, ())

    def answering(self, transition: Transition) -> Sequence[Campaign]:
        """Return the campaigns that answer a transition, by id: dwell ones for their time only."""
        heard = self._entry(transition.zone).by_kind.get(transition.kind, ())
        if transition.kind is not Kind.DWELL:
            return heard
        return [each for each in heard if each.trigger.dwell_s == transition.threshold_s]

    def tagged(self, tag: str) -> Collection[str]:
        """Return the ids of the zones that carry a tag."""
        found = self._tagged.get(tag)
        if found is None:
            found = self._tagged[tag] = self._zones.carried_by(tag)
        return found

    def _entry(self, zone_id: str) -> _Entry:
        entry = self._entries.get(zone_id)
        if entry is not None:
            return entry
        carried = self._zones.of(zone_id)
        if carried is None:
            return _NOBODY
        tags = self._heard.get(carried)
        if tags is None:
            tags = self._heard[carried] = tuple(sorted(self._by_tag.keys() & set(carried)))
        signature = (zone_id if zone_id in self._by_id else None, tags)
        entry = self._shared.get(signature)
        if entry is None:
            entry = self._shared[signature] = self._work_out(zone_id, tags)
        self._entries[zone_id] = entry
        return entry

    def _work_out(self, zone_id: str, tags: tuple[str, ...]) -> _Entry:
        positions = set(self._everywhere).union(
            self._by_id.get(zone_id, ()), *(self._by_tag[tag] for tag in tags)
        )
        by_kind: defaultdict[Kind, list[Campaign]] = defaultdict(list)
        thresholds: set[int] = set()
        for position in sorted(positions):
            campaign = self._campaigns[position]
            trigger = campaign.trigger
            if zone_id in trigger.exclude:
                continue
            for kind in trigger.on - {Kind.RECONCILED}:
                by_kind[kind].append(campaign)
            wants_dwell = Kind.DWELL in trigger.on and trigger.dwell_s is not None
            if wants_dwell and campaign.status in _SPEAKING:
                assert trigger.dwell_s is not None
                thresholds.add(trigger.dwell_s)
        return _Entry(
            {kind: tuple(listeners) for kind, listeners in by_kind.items()},
            tuple(sorted(thresholds)),
        )


def validate_trigger(trigger: Trigger, *, path: str = "$.trigger") -> None:
    """Check that a trigger can ever match and says what it means.

    Raises
    ------
    InvalidCampaign
        With one problem per contradiction.
    """
    problems: list[Problem] = []
    if not trigger.on:
        problems.append(Problem(f"{path}.on", "[]", "must name at least one kind of transition"))
    if Kind.RECONCILED in trigger.on:
        reason = "an edit of a zone never fires; use enter, dwell, exit or crossed"
        problems.append(Problem(f"{path}.on", Kind.RECONCILED.value, reason))
    if Kind.DWELL in trigger.on:
        if trigger.dwell_s is None:
            problems.append(Problem(f"{path}.dwell_s", "", "a dwell trigger needs its seconds"))
        elif not 1 <= trigger.dwell_s <= MAX_DWELL_S:
            reason = f"must be within 1 and {MAX_DWELL_S} seconds"
            problems.append(Problem(f"{path}.dwell_s", str(trigger.dwell_s), reason))
    elif trigger.dwell_s is not None:
        reason = 'means nothing unless "on" contains "dwell"'
        problems.append(Problem(f"{path}.dwell_s", str(trigger.dwell_s), reason))
    if not 1 <= trigger.min_confidence <= 3:  # the levels of a transition
        value = str(trigger.min_confidence)
        problems.append(Problem(f"{path}.min_confidence", value, "must be 1, 2 or 3"))
    both = sorted(trigger.zone_ids & trigger.exclude)
    if both:
        reason = "the same zone is named and excluded"
        problems.append(Problem(f"{path}.zones.exclude", ", ".join(both)[:80], reason))
    if problems:
        raise InvalidCampaign(*problems)
