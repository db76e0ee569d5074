"""The compiled catalogue: zones and their tags are found in the index."""

from __future__ import annotations

import pytest
import shapely

from geotarget.engine.zone_index import ZoneIndex
from geotarget.model import Campaign, Kind, Status, Trigger, Zone
from geotarget.snapshot import IndexTags, Snapshot, ZonesById


def zone(id: str, *tags: str, lng: float = 0.0) -> Zone:
    """Return a zone."""
    return Zone(id=id, geometry=shapely.box(lng, 0, lng + 1, 1), tags=tags)


def campaign(id: str, **changes: object) -> Campaign:
    """Return a campaign that waits for a stay."""
    trigger = Trigger(on=frozenset({Kind.DWELL}), dwell_s=60, **changes)  # type: ignore[arg-type]
    return Campaign(id=id, name="", trigger=trigger, offer={}, endpoints=())


@pytest.fixture
def index() -> ZoneIndex:
    """Three zones, one of them edited."""
    built = ZoneIndex.build([zone("a", "x"), zone("b", "x", "y"), zone("c")])
    return built.with_changes(put=[zone("c", "y", lng=5)])


def test_zones_by_id_are_a_mapping(index: ZoneIndex) -> None:
    """In the order of the index."""
    zones = ZonesById(index)
    assert list(zones) == ["a", "b", "c"]
    assert dict(zones) == {each.id: each for each in index.zones}
    assert ("c" in zones, "d" in zones, 3 in zones, len(zones)) == (True, False, False, 3)
    assert zones.get("d") is None
    with pytest.raises(KeyError):
        zones["d"]


def test_tags_are_those_of_the_zones(index: ZoneIndex) -> None:
    """As they are after the edit."""
    tags = IndexTags(index)
    assert [tags.of(id_) for id_ in "abcd"] == [("x",), ("x", "y"), ("y",), None]
    assert [list(tags.carried_by(tag)) for tag in "xyz"] == [["a", "b"], ["b", "c"], []]


def test_the_table_names_the_zones_that_may_have_dwell_times(index: ZoneIndex) -> None:
    """None where a campaign listens everywhere; silent campaigns want nothing."""

    def timed(*campaigns: Campaign) -> set[str] | None:
        found = Snapshot.of(1, index, campaigns=campaigns).table.timed
        return None if found is None else set(found)

    assert timed() == set()
    assert timed(campaign("c", zone_tags=frozenset({"y"}))) == {"b", "c"}
    assert timed(campaign("c", zone_ids=frozenset({"a", "gone"}))) == {"a", "gone"}
    assert timed(campaign("c")) is None
    draft = Campaign(
        id="d", name="", trigger=campaign("c").trigger, offer={}, endpoints=(), status=Status.DRAFT
    )
    assert timed(draft) == set()
