"""What every store keeps of zones, campaigns, audiences and endpoints."""

from __future__ import annotations

from dataclasses import replace

import pytest
from contract_history import walk
from records import campaign, square
from shapely import MultiPolygon, Point, Polygon

from geotarget.errors import Conflict, InvalidZone
from geotarget.model import (
    Audience,
    Budget,
    Cap,
    Endpoint,
    EntryPolicy,
    Hours,
    Kind,
    Status,
    Trigger,
    Variant,
)
from geotarget.store import Store

ENDPOINT = Endpoint("crm", "https://example.org/hook", "whsec_abc", "CRM", ("offer.triggered",))


class ZonesContract:
    """Zones: revisions, keys, deletions."""

    def test_comes_back_as_it_was(self, store: Store) -> None:
        """Polygons with holes, multipolygons and circles come back to the last bit."""
        ring = [(0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9)]
        holed = Polygon([(0, 0), (1 / 3, 0), (1, 1), (0, 1)], [ring[::-1]])
        put = [
            square("plain"),
            square("holed", geometry=holed),
            square("multi", geometry=MultiPolygon([holed, Polygon(ring)])),
            square(
                "circle",
                geometry=Point(24.94, 60.17),
                radius_m=150.5,
                tags=(),
                priority=-3,
                entry=EntryPolicy.CERTAIN,
                pending_enters=True,
                exit_buffer_m=0.0,
                active=False,
                sensitive=True,
                starts_ms=1,
                ends_ms=2,
                time_zone="Europe/Helsinki",
                properties={"huge": 2**80, "half": "\ud800", "z": 1, "a": True},
            ),
        ]
        stored = store.put_zones(put)
        assert [replace(zone, revision=1, key=key) for key, zone in enumerate(put, 1)] == stored
        assert (stored, []) == store.zones()
        assert list(put[3].properties) == list(store.zones()[0][3].properties)
        assert put[0].geometry.wkb == stored[0].geometry.wkb
        assert stored[1] == store.zone("holed")
        assert store.zone("nowhere") is None

    def test_only_changes_raise_the_revision(self, store: Store) -> None:
        """The same catalogue again changes nothing; one edit touches one zone."""
        zones = [square(f"zone-{number}", lng=number) for number in range(5)]
        first = store.put_zones(zones)
        assert first == store.put_zones(zones)
        assert first == store.put_zones(first)
        assert 1 == store.catalog_revision()
        reordered = replace(zones[0], properties=dict(reversed(zones[0].properties.items())))
        assert first[:1] == store.put_zones([reordered])
        zones[2] = replace(zones[2], properties={"special": "cake"})
        second = store.put_zones(zones)
        assert [1, 1, 2, 1, 1] == [zone.revision for zone in second]
        assert [zone.key for zone in first] == [zone.key for zone in second]
        assert ([second[2]], []) == store.zones(since_revision=1)
        assert ([], []) == store.zones(since_revision=2)

    @pytest.mark.parametrize(
        "change",
        [
            {"properties": {"a": True}},
            {"properties": {"a": 1.0}},
            {"priority": 1},
            {"active": False},
            {"tags": ("a", "b")},
            {"entry": EntryPolicy.RAW},
            {"pending_enters": True},
            {"exit_buffer_m": 0.0},
            {"time_zone": "Europe/Helsinki"},
            {"geometry": Polygon([(0, 0), (1, 0), (1, 1e-15)])},
        ],
    )
    def test_each_field_is_a_change(self, store: Store, change: dict[str, object]) -> None:
        """Whatever an author can change raises the revision, also 1 to true."""
        store.put_zones([square("a", properties={"a": 1})])
        (changed,) = store.put_zones([replace(square("a", properties={"a": 1}), **change)])
        assert (2, 2) == (changed.revision, store.catalog_revision())

    def test_deletion_leaves_a_tombstone(self, store: Store) -> None:
        """Who follows the revisions learns of deletions; a new zone of the same id is another."""
        one, two = store.put_zones([square("one"), square("two")])
        assert ["two", "one"] == store.delete_zones(["two", "nowhere", "one", "two"])
        assert ([], ["one", "two"]) == store.zones(since_revision=1)
        assert ([], []) == store.zones(since_revision=2)
        assert [] == store.delete_zones(["two"])
        assert 2 == store.catalog_revision()
        (again,) = store.put_zones([square("two")])
        assert again.key > two.key > one.key
        assert 3 == again.revision
        assert ([again], ["one"]) == store.zones()

    def test_keys_are_never_used_again(self, store: Store) -> None:
        """The highest key stays taken after its zone is gone."""
        seen: set[int] = set()
        for _ in range(4):
            (zone,) = store.put_zones([square("a")])
            assert zone.key not in seen
            seen.add(zone.key)
            store.delete_zones(["a"])

    def test_same_id_twice(self, store: Store) -> None:
        """A document that has an id twice is refused whole, with the place."""
        with pytest.raises(InvalidZone, match=r"\$\.features\[2\]\.id.*twice"):
            store.put_zones([square("a"), square("b"), square("a", lng=3)])
        assert (0, ([], [])) == (store.catalog_revision(), store.zones())

    def test_empty_document(self, store: Store) -> None:
        """No zones are no change."""
        assert [] == store.put_zones([])
        assert 0 == store.catalog_revision()

    def test_pages(self, store: Store) -> None:
        """Zones are listed by id, by tag, by where they are."""
        zones = store.put_zones(
            [
                square(f"zone-{number:02d}", lng=number, tags=("even",) if number % 2 == 0 else ())
                for number in range(12)
            ]
        )
        assert zones == walk(store.zones_page, 5)
        assert zones[::2] == walk(store.zones_page, 4, tag="even")
        assert zones[3:6] == walk(store.zones_page, 2, bbox=(3.0, 60, 5.0, 61))
        assert [] == walk(store.zones_page, 2, bbox=(3.1, 60, 3.9, 61))
        assert [] == walk(store.zones_page, 2, bbox=(3.0, 61, 5.0, 62))

    def test_box_across_the_antimeridian(self, store: Store) -> None:
        """A box whose west is above its east reaches over 180°; circles near it are found there."""
        east, west, far, circle = store.put_zones(
            [
                square("a-east", lng=179.5),
                square("b-west", lng=-179.5),
                square("c-far", lng=0.0),
                square("d-circle", geometry=Point(179.9999, 60.2), radius_m=500.0),
            ]
        )
        assert [east, west, circle] == walk(store.zones_page, 9, bbox=(179.0, 60, -179.0, 61))
        assert [west, circle] == walk(store.zones_page, 9, bbox=(-180.0, 60, -179.0, 61))
        assert [east, west, far, circle] == walk(store.zones_page, 9, bbox=(-180, -90, 180, 90))

    def test_circle_is_found_by_its_rim(self, store: Store) -> None:
        """The bounding box of a circle is that of the circle, not of its centre."""
        (circle,) = store.put_zones([square("a", geometry=Point(25.0, 60.0), radius_m=1000.0)])
        assert [circle] == store.zones_page(bbox=(25.017, 60.0, 25.1, 60.0)).items
        assert [] == store.zones_page(bbox=(25.019, 60.0, 25.1, 60.0)).items
        assert [circle] == store.zones_page(bbox=(25.0, 60.0089, 25.0, 60.1)).items


class CampaignsContract:
    """Campaigns and their versions, endpoints."""

    def test_versions(self, store: Store) -> None:
        """Every version is kept; the same again is the same version."""
        first = store.put_campaign(campaign("buns"))
        assert replace(campaign("buns"), version=1) == first
        assert first == store.put_campaign(campaign("buns"))
        assert first == store.put_campaign(replace(first, version=77))
        second = store.put_campaign(campaign("buns", status=Status.PAUSED))
        assert (2, 2) == (second.version, store.catalog_revision())
        assert first == store.campaign("buns", version=1)
        assert second == store.campaign("buns", version=2) == store.campaign("buns")
        assert None is store.campaign("buns", version=3) is store.campaign("cakes")

    def test_versions_go_on_after_a_deletion(self, store: Store) -> None:
        """A campaign that is made again is never taken for the one before."""
        store.put_campaign(campaign("buns"))
        assert store.delete_campaign("buns")
        assert not store.delete_campaign("buns")
        assert None is store.campaign("buns")
        assert [] == store.campaigns()
        assert 2 == store.put_campaign(campaign("buns")).version
        assert 1 == store.campaign("buns", version=1).version
        assert 3 == store.catalog_revision()

    def test_one_for_true_is_a_change(self, store: Store) -> None:
        """Values that Python takes for equal and JSON does not are a new version."""
        store.put_campaign(campaign("buns", offer={"n": 1}))
        assert 2 == store.put_campaign(campaign("buns", offer={"n": True})).version

    def test_all_fields(self, store: Store) -> None:
        """A campaign with every field set comes back as it was."""
        full = campaign(
            "buns",
            trigger=Trigger(
                on=frozenset(Kind),
                zone_ids=frozenset({"a", "b"}),
                zone_tags=frozenset({"c"}),
                exclude=frozenset({"d"}),
                dwell_s=60,
                min_confidence=3,
                initial=False,
            ),
            offer={"b": [1, {"deep": None}], "a": "{{ x }}", "big": 2**70},
            starts="2026-01-01",
            ends="2026-02-01T08:00:00+02:00",
            valid_s=60,
            days=("mon", "sun"),
            hours=(Hours("08:00", "24:00"),),
            purpose="loyalty",
            consent_required=True,
            audience="profile.tier == 'gold'",
            audiences=("regulars",),
            holdout=0.1,
            salt="spring",
            caps=(Cap(2, 60), Cap(9)),
            per_visit=1,
            budget=Budget("money", 10**15, 5_000_000, "even", "Europe/Helsinki"),
            priority=-3,
            with_others=True,
            translations={"sv": {"a": "Hej"}},
            variants=(
                Variant("a", {"t": 1}, 0.5, {"fi": {"t": 2}}, 50_000),
                Variant("b", {"t": {"u": None}}),
            ),
            allocation="thompson",
            cost_micros=1,
            currency="SEK",
            pass_attributes=("tier",),
            attribution_s=3_600,
            inside_asked_ms=1_767_268_800_000,
        )
        store.put_campaign(full)
        read = store.campaign("buns")
        assert replace(full, version=1) == read
        assert ["b", "a", "big"] == list(read.offer)

    def test_lists(self, store: Store) -> None:
        """Campaigns and endpoints are listed by id."""
        campaigns = [store.put_campaign(campaign(name)) for name in "bac"]
        endpoints = [store.put_endpoint(replace(ENDPOINT, id=name)) for name in "bac"]
        by_id = sorted(campaigns, key=lambda each: each.id)
        assert by_id == store.campaigns() == walk(store.campaigns_page, 2)
        by_id = sorted(endpoints, key=lambda each: each.id)
        assert by_id == store.endpoints() == walk(store.endpoints_page, 2)

    def test_what_an_endpoint_chooses(self, store: Store) -> None:
        """Headers, schedule, order and position come back as they went in, or are kept or dropped.

        Headers are kept on request, for a URL on the same host only: nobody learns what they hold
        by having them sent elsewhere.
        """
        chosen = {
            "headers": {"X-Token": "hush-4711", "Authorization": "Bearer é"},
            "delays_s": (0.0, 1.5, 604_800.0),
            "ordered": True,
            "position": "rounded",
        }
        first = store.put_endpoint(replace(ENDPOINT, **chosen))
        assert replace(ENDPOINT, revision=1, **chosen) == first == store.endpoint("crm")
        assert ["X-Token", "Authorization"] == list(store.endpoints()[0].headers)
        assert first == store.put_endpoint(replace(ENDPOINT, **chosen))
        assert "hush" not in repr(first)
        moved = replace(ENDPOINT, url="https://example.org/other")
        kept = store.put_endpoint(moved, keep_headers=True)
        assert replace(moved, revision=2, headers=chosen["headers"]) == kept
        for url in (
            "https://example.com/hook",
            "http://example.org/hook",
            "https://example.org:8443/",
        ):
            with pytest.raises(Conflict, match=r"were given for https://example\.org: give them"):
                store.put_endpoint(replace(ENDPOINT, url=url), keep_headers=True)
        rotated = store.rotate_secret("crm", "whsec_new", until_ms=0)
        assert rotated is not None
        assert chosen["headers"] == rotated.headers
        none = store.put_endpoint(replace(ENDPOINT, url="https://example.com/hook"))
        assert {} == none.headers
        assert {} == store.put_endpoint(ENDPOINT, keep_headers=True).headers
        assert {} == store.put_endpoint(replace(ENDPOINT, id="new"), keep_headers=True).headers

    def test_endpoints(self, store: Store) -> None:
        """An endpoint keeps its secret, its revision rises with changes only."""
        first = store.put_endpoint(ENDPOINT)
        assert replace(ENDPOINT, revision=1) == first == store.endpoint("crm")
        assert first == store.put_endpoint(ENDPOINT)
        off = store.put_endpoint(replace(ENDPOINT, events=None, disabled_reason="410 Gone"))
        assert replace(ENDPOINT, events=None, disabled_reason="410 Gone", revision=2) == off
        assert off == store.endpoint("crm")
        assert (True, False) == (store.delete_endpoint("crm"), store.delete_endpoint("crm"))
        assert None is store.endpoint("crm")
        assert 3 == store.catalog_revision()

    def test_versions_page(self, store: Store) -> None:
        """Versions are listed newest first with their time, also after a deletion."""
        stored = [store.put_campaign(campaign("buns", name=f"Buns {n}")) for n in range(5)]
        store.put_campaign(campaign("cakes"))
        store.delete_campaign("buns")
        listed = walk(lambda **page: store.campaign_versions("buns", **page), 2)
        assert stored[::-1] == [each for _, each in listed]
        times = [at_ms for at_ms, _ in listed]
        assert times == sorted(times, reverse=True)
        assert [] == store.campaign_versions("nobody").items


class AudiencesContract:
    """Audiences: part of the catalogue."""

    def test_audiences(self, store: Store) -> None:
        """The revision rises with changes only; lists go by id."""
        first = store.put_audience(Audience("b", "true", "Everybody", "All there are"))
        assert Audience("b", "true", "Everybody", "All there are", 1) == first
        assert first == store.put_audience(replace(first, revision=0)) == store.audience("b")
        changed = store.put_audience(replace(first, rule="false"))
        assert (2, "false", 2) == (changed.revision, changed.rule, store.catalog_revision())
        others = [store.put_audience(Audience(name, "true")) for name in "ca"]
        assert [others[1], changed, others[0]] == store.audiences()
        assert store.audiences() == walk(store.audiences_page, 2)
        assert (True, False) == (store.delete_audience("b"), store.delete_audience("b"))
        assert (None, 5) == (store.audience("b"), store.catalog_revision())


class AuditContract:
    """The log of who changed what."""

    def test_changes_are_noted_with_their_transaction(self, store: Store) -> None:
        """Each change by somebody once, newest first; what changes nothing is not noted."""
        store.put_campaign(campaign("buns"), by="ann (k1)")
        store.put_campaign(campaign("buns"), by="ann (k1)")
        store.put_campaign(campaign("buns", name="Other"))
        store.put_endpoint(ENDPOINT, by="bob")
        store.put_audience(Audience("a", "true"), by="bob")
        store.delete_campaign("buns", by="ann (k1)")
        store.delete_campaign("buns", by="ann (k1)")
        store.delete_endpoint("crm", by="bob")
        store.delete_audience("a", by="bob")
        store.add_audit("carl", "export", "kamppi", {"rows": 3})
        entries = [(e.actor, e.action, e.subject, e.detail) for e in walk(store.audit_page, 2)]
        assert entries[::-1] == [
            ("ann (k1)", "campaign.put", "buns", {"version": 1}),
            ("bob", "endpoint.put", "crm", {"revision": 3}),
            ("bob", "audience.put", "a", {"revision": 4}),
            ("ann (k1)", "campaign.delete", "buns", {}),
            ("bob", "endpoint.delete", "crm", {}),
            ("bob", "audience.delete", "a", {}),
            ("carl", "export", "kamppi", {"rows": 3}),
        ]
        of_one = walk(lambda **page: store.audit_page(subject="buns", **page), 1)
        assert ["campaign.delete", "campaign.put"] == [each.action for each in of_one]
