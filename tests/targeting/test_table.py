"""Which campaigns listen, against a plain loop over all of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely import Point

from geotarget.errors import InvalidCampaign
from geotarget.model import Campaign, Kind, Status, Trigger, Zone
from geotarget.targeting import CampaignTable, validate_trigger
from tests.targeting.conftest import make_transition

NAMES = st.sampled_from(["a", "b", "c", "d"])
TAGS = st.frozensets(st.sampled_from(["food", "home", "vip"]), max_size=3)
KINDS = [Kind.ENTER, Kind.DWELL, Kind.EXIT, Kind.CROSSED, Kind.RECONCILED]


@st.composite
def zones(draw: st.DrawFn) -> list[Zone]:
    names = draw(st.lists(NAMES, unique=True))
    return [
        Zone(id=name, geometry=Point(0, 0), radius_m=9, tags=tuple(draw(TAGS))) for name in names
    ]


@st.composite
def campaigns(draw: st.DrawFn) -> list[Campaign]:
    made = []
    for number in range(draw(st.integers(0, 6))):
        trigger = Trigger(
            on=draw(st.frozensets(st.sampled_from(KINDS), min_size=1)),
            zone_ids=draw(st.frozensets(NAMES, max_size=2)),
            zone_tags=draw(TAGS),
            exclude=draw(st.frozensets(NAMES, max_size=2)),
            dwell_s=draw(st.sampled_from([None, 60, 300])),
        )
        status = draw(st.sampled_from(list(Status)))
        made.append(Campaign(f"c{number}", "", trigger, {}, (), status=status))
    return draw(st.permutations(made))


def means(campaign: Campaign, zone: Zone) -> bool:
    """Whether a trigger means a zone, as its docstring says it."""
    trigger = campaign.trigger
    if zone.id in trigger.exclude:
        return False
    if not trigger.zone_ids and not trigger.zone_tags:
        return True
    return zone.id in trigger.zone_ids or bool(set(zone.tags) & trigger.zone_tags)


@given(zones(), campaigns())
def test_listening_equals_a_plain_loop(zones: list[Zone], campaigns: list[Campaign]) -> None:
    """The compiled table answers as a loop over every campaign does, ordered by id."""
    table = CampaignTable.compile(campaigns, zones)
    for zone in zones:
        for kind in KINDS:
            expected = sorted(
                campaign.id
                for campaign in campaigns
                if campaign.status in (Status.ACTIVE, Status.SCHEDULED, Status.PAUSED)
                and kind is not Kind.RECONCILED
                and kind in campaign.trigger.on
                and means(campaign, zone)
            )
            assert expected == [campaign.id for campaign in table.listening(zone.id, kind)]


@given(zones(), campaigns(), st.sampled_from([None, 60, 300, 900]))
def test_answering_is_listening_for_one_transition(
    zones: list[Zone], campaigns: list[Campaign], threshold_s: int | None
) -> None:
    """A dwell of some seconds is answered by the campaigns that wait for just these."""
    table = CampaignTable.compile(campaigns, zones)
    for zone in zones:
        for kind in KINDS:
            moved = make_transition(zone=zone.id, kind=kind, threshold_s=threshold_s)
            expected = [
                each.id
                for each in table.listening(zone.id, kind)
                if kind is not Kind.DWELL or each.trigger.dwell_s == threshold_s
            ]
            assert expected == [each.id for each in table.answering(moved)]


@given(zones())
def test_tagged_zones(zones: list[Zone]) -> None:
    """Every tag knows its zones, be it that no campaign names it."""
    table = CampaignTable.compile([], zones)
    for tag in ("food", "home", "vip", "unheard"):
        assert [zone.id for zone in zones if tag in zone.tags] == list(table.tagged(tag))


@given(zones(), campaigns())
def test_thresholds_equal_a_plain_loop(zones: list[Zone], campaigns: list[Campaign]) -> None:
    """A zone's dwell thresholds are those of the dwell campaigns that can speak there."""
    table = CampaignTable.compile(campaigns, zones)
    for zone in zones:
        expected = {
            campaign.trigger.dwell_s
            for campaign in campaigns
            if campaign.status in (Status.ACTIVE, Status.SCHEDULED)
            and Kind.DWELL in campaign.trigger.on
            and campaign.trigger.dwell_s is not None
            and means(campaign, zone)
        }
        assert tuple(sorted(expected)) == table.thresholds_s(zone.id)


def test_unknown_zone_has_no_listeners() -> None:
    """A zone that the snapshot doesn't hold is nobody's, even for campaigns about all zones."""
    table = CampaignTable.compile([Campaign("c", "", Trigger(), {}, ())], [])
    assert tuple(table.listening("nowhere", Kind.ENTER)) == ()
    assert table.thresholds_s("nowhere") == ()


def test_zones_with_the_same_tags_share_one_entry() -> None:
    """1,000 zones with two sorts of tags need two entries, however many campaigns there are."""
    places = [
        Zone(id=f"z{n}", geometry=Point(0, 0), radius_m=9, tags=(f"sort-{n % 2}", f"own-{n}"))
        for n in range(1_000)
    ]
    offers = [
        Campaign(f"c{n}", "", Trigger(zone_tags=frozenset({f"sort-{n % 3}"})), {}, ())
        for n in range(30)
    ]
    table = CampaignTable.compile(offers, places)
    for place in places:
        assert len(table.listening(place.id, Kind.ENTER)) == 10
    assert len(table._shared) == 2
    assert table.listening("z0", Kind.ENTER) is table.listening("z2", Kind.ENTER)


@pytest.mark.parametrize(
    ("options", "path", "reason"),
    [
        ({"on": frozenset()}, "$.trigger.on", "at least one"),
        ({"on": frozenset({Kind.RECONCILED})}, "$.trigger.on", "never fires"),
        ({"on": frozenset({Kind.DWELL})}, "$.trigger.dwell_s", "needs its seconds"),
        ({"on": frozenset({Kind.DWELL}), "dwell_s": 0}, "$.trigger.dwell_s", "604800"),
        ({"on": frozenset({Kind.DWELL}), "dwell_s": 700_000}, "$.trigger.dwell_s", "604800"),
        ({"dwell_s": 60}, "$.trigger.dwell_s", "means nothing"),
        ({"min_confidence": 4}, "$.trigger.min_confidence", "1, 2 or 3"),
        (
            {"zone_ids": frozenset({"a"}), "exclude": frozenset({"a"})},
            "$.trigger.zones.exclude",
            "named and excluded",
        ),
    ],
)
def test_contradictory_trigger_is_refused(options: dict[str, Any], path: str, reason: str) -> None:
    """A trigger that can't match, or doesn't mean what it says, is named with its place."""
    with pytest.raises(InvalidCampaign) as caught:
        validate_trigger(Trigger(**options))
    assert [path] == [problem.path for problem in caught.value.problems]
    assert reason in caught.value.problems[0].reason


def test_consistent_triggers_are_accepted() -> None:
    """The default trigger and a dwell trigger with its seconds are fine."""
    validate_trigger(Trigger())
    validate_trigger(Trigger(on=frozenset({Kind.ENTER, Kind.DWELL}), dwell_s=300))
