"""The catalogue at one revision, compiled: what a batch, a preview or a request holds on to.

A snapshot costs little beside its index: zones are looked up in there and made when somebody asks
for one (`ZonesById`), and so are their tags (`IndexTags`), so an edit among 100,000 zones costs the
edit, and processes that share a mapped index share nearly all there is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from geotarget.engine.zone_index import ZoneIndex
from geotarget.model import Audience, Campaign, Endpoint, Zone
from geotarget.targeting import CampaignTable, ZoneTags


class ZonesById(Mapping[str, Zone]):
    """The zones of an index by id, in its order.

    Parameters
    ----------
    index
        The zones.

    Examples
    --------
    >>> from shapely import Point
    >>> zones = ZonesById(ZoneIndex.build([Zone(id="shop", geometry=Point(25, 60), radius_m=50)]))
    >>> zones["shop"].radius_m, "till" in zones
    (50, False)
    """

    def __init__(self, index: ZoneIndex) -> None:
        self._index = index

    def __getitem__(self, id: str) -> Zone:
        at = self._index.find(id)
        if at is None:
            raise KeyError(id)
        return self._index.zones[at]

    def __contains__(self, id: object) -> bool:
        return id in self._index

    def __iter__(self) -> Iterator[str]:
        return iter(self._index.ids.tolist())

    def __len__(self) -> int:
        return len(self._index)

    def __repr__(self) -> str:
        return f"<{len(self):,} zones by id>"


class IndexTags(ZoneTags):
    """The tags of the zones of an index; no zone is made for them.

    Parameters
    ----------
    index
        The zones.
    """

    def __init__(self, index: ZoneIndex) -> None:
        self._index = index

    def of(self, zone_id: str) -> tuple[str, ...] | None:
        """Return the tags of a zone; None if there is no such zone."""
        at = self._index.find(zone_id)
        return None if at is None else self._index.facts.tags(at)

    def carried_by(self, tag: str) -> Collection[str]:
        """Return the ids of the zones that carry a tag, in the order of the zones."""
        found: list[str] = self._index.ids[self._index.facts.tagged(tag)].tolist()
        return dict.fromkeys(found)  # asked again and again whether it contains a zone


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """The catalogue at one revision, compiled.

    Parameters
    ----------
    revision
        The store's catalogue revision that this holds at least; rises with every change.
    index
        The active zones, ready for `ZoneIndex.query`.
    zones
        The same zones by id.
    tags
        Which of them carry which tags.
    campaigns
        All campaigns, whatever their status, in the order of their ids.
    endpoints
        All endpoints by id.
    table
        Which campaigns listen to which zones.
    audiences
        All audiences by id.
    """

    revision: int
    index: ZoneIndex
    zones: Mapping[str, Zone]
    tags: ZoneTags
    campaigns: tuple[Campaign, ...]
    endpoints: Mapping[str, Endpoint]
    table: CampaignTable
    audiences: Mapping[str, Audience] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        revision: int,
        index: ZoneIndex,
        *,
        campaigns: Sequence[Campaign] = (),
        endpoints: Mapping[str, Endpoint] | None = None,
        audiences: Mapping[str, Audience] | None = None,
    ) -> Snapshot:
        """Compile a catalogue."""
        tags = IndexTags(index)
        ordered = tuple(sorted(campaigns, key=lambda each: each.id))
        return cls(
            revision=revision,
            index=index,
            zones=ZonesById(index),
            tags=tags,
            campaigns=ordered,
            endpoints={} if endpoints is None else endpoints,
            table=CampaignTable.compile(ordered, tags),
            audiences={} if audiences is None else audiences,
        )
