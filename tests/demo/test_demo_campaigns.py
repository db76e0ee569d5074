"""What the demo installs is complete, consistent and never overwrites what a user did."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from geotarget.api.campaign_documents import CampaignDocument
from geotarget.demo.campaigns import (
    AUDIENCES,
    CAMPAIGNS,
    ENDPOINT,
    PROFILES,
    catalogue_path,
    install,
)
from geotarget.demo.fleet import Fleet
from geotarget.geojson import load_zones
from geotarget.targeting.audience import validate_audience
from geotarget.targeting.checks import problems_of


class Shelf:
    """A desk that keeps what it is given."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], Mapping[str, Any]] = {}
        self.puts: list[tuple[str, str]] = []

    def has(self, kind: str, id: str) -> bool:
        """Whether it was put."""
        return (kind, id) in self.kept

    def put(self, kind: str, id: str, document: Mapping[str, Any]) -> None:
        """Keep it; a campaign needs its endpoints first."""
        if kind == "campaigns":
            assert all(("endpoints", each) in self.kept for each in document["endpoints"])
        self.kept[kind, id] = document
        self.puts.append((kind, id))


def test_first_start_creates_everything() -> None:
    """Zones, profiles, campaigns and their endpoint are there, endpoints before campaigns."""
    desk = Shelf()
    created = install(desk, url="http://127.0.0.1:9/webhooks", secret="whsec_x")
    zones = json.loads(catalogue_path().read_bytes())["features"]
    assert len(created) == len(zones) + len(PROFILES) + len(AUDIENCES) + len(CAMPAIGNS)
    assert desk.kept["endpoints", ENDPOINT]["url"] == "http://127.0.0.1:9/webhooks"
    assert 12 <= len(zones) <= 20


def test_next_start_touches_only_its_endpoint() -> None:
    """What a user changed stays; a new address of the receiver is taken over."""
    desk = Shelf()
    install(desk, url="http://127.0.0.1:9/webhooks", secret="whsec_x")
    paused = {**CAMPAIGNS["shop-special"], "status": "paused"}
    desk.put("campaigns", "shop-special", paused)
    desk.puts.clear()
    assert install(desk, url="http://127.0.0.1:10/webhooks", secret="whsec_x") == []
    assert desk.puts == [("endpoints", ENDPOINT)]
    assert desk.kept["endpoints", ENDPOINT]["url"] == "http://127.0.0.1:10/webhooks"
    assert desk.kept["campaigns", "shop-special"] == paused


def test_what_is_missing_comes_back() -> None:
    """An install that was cut off is completed by the next."""
    desk = Shelf()
    install(desk, url="u", secret="s")
    del desk.kept["campaigns", "stay-a-while"]
    assert install(desk, url="u", secret="s") == ["campaigns/stay-a-while"]


def test_campaigns_mean_zones_of_the_catalogue() -> None:
    """Each campaign's tags stand on zones, its offers are valid, its audiences are there."""
    zones = load_zones(catalogue_path()).zones
    for name, document in CAMPAIGNS.items():
        tags = set(document["trigger"]["zones"]["tags"])
        meant = sum(bool(tags & set(zone.tags)) for zone in zones)
        assert meant >= (1 if name == "homes-here" else 4)
        assert set(document.get("audiences", ())) <= set(AUDIENCES)
        campaign = CampaignDocument.model_validate(document).to_campaign(name)
        assert problems_of(campaign) == []
    for audience in AUDIENCES.values():
        validate_audience(audience["rule"])


def test_properties_that_offers_use_are_there() -> None:
    """Every shop has a special, opening hours and a branch."""
    for zone in load_zones(catalogue_path()).zones:
        if "shop" in zone.tags:
            assert {"special", "opening", "branch"} <= set(zone.properties), zone.id


def test_catalogue_shows_what_zones_can_be() -> None:
    """A hole, a multipolygon, circles, overlaps, several policies, a sensitive place."""
    zones = load_zones(catalogue_path()).zones
    assert any(zone.geometry.geom_type == "MultiPolygon" for zone in zones)
    assert sum(zone.radius_m is not None for zone in zones) >= 3
    assert {"raw", "strict", "eager", "standard"} <= {zone.entry.value for zone in zones}
    assert any(zone.sensitive for zone in zones)
    polygons = [zone.geometry for zone in zones if zone.geometry.geom_type == "Polygon"]
    assert sum(bool(polygon.interiors) for polygon in polygons) >= 2
    assert any(a.overlaps(b) for a in polygons for b in polygons)


def test_profiles_belong_to_walkers() -> None:
    """Everybody we know walks."""
    assert set(PROFILES) <= set(Fleet(200, places=[]).devices)
