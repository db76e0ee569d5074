"""The catalogue: checked writes, one swap, and readers that never wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely

from geotarget.catalog import Catalog
from geotarget.errors import (
    Conflict,
    InvalidAudience,
    InvalidCampaign,
    InvalidEndpoint,
    InvalidZone,
    NotFound,
    Problem,
    StoreError,
)
from geotarget.model import (
    Audience,
    Budget,
    Campaign,
    Cap,
    Endpoint,
    Hours,
    Kind,
    Profile,
    Trigger,
    Variant,
    Zone,
)
from geotarget.store import Store

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Where an empty database is made."""
    return f"sqlite:///{tmp_path / 'geotarget.db'}"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """Open an empty database."""
    opened = Store.open(url)
    yield opened
    opened.close()


@pytest.fixture
def catalog(store: Store) -> Iterator[Catalog]:
    """Make a catalogue over it."""
    made = Catalog(store)
    yield made
    made.stop()


def zone(id: str, *, lng: float = 24.94, lat: float = 60.17, half: float = 0.001) -> Zone:
    """Return a square zone."""
    return Zone(
        id=id, name=id, geometry=shapely.box(lng - half, lat - half, lng + half, lat + half)
    )


def campaign(id: str, *endpoints: str, **trigger: object) -> Campaign:
    """Return a campaign for every entry."""
    return Campaign(
        id=id,
        name=id,
        trigger=Trigger(**trigger),  # type: ignore[arg-type]
        offer={"text": "Hello at {{ zone.name }}"},
        endpoints=endpoints,
    )


def endpoint(id: str) -> Endpoint:
    """Return an endpoint."""
    return Endpoint(id=id, url="https://crm.example.com/hook", secret=SECRET)


def inside(catalog: Catalog) -> list[str]:
    """Return the ids of the zones that cover the middle of the default square."""
    index = catalog.snapshot.index
    _, found = index.query(lng=[24.94], lat=[60.17])
    return sorted(index.ids[found])


def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        pause.wait(0.01)


def test_a_new_catalogue_is_empty_and_complete(catalog: Catalog) -> None:
    """The snapshot can be used before anything was stored."""
    snapshot = catalog.snapshot
    assert (
        snapshot.revision,
        len(snapshot.index),
        snapshot.campaigns,
        dict(snapshot.endpoints),
    ) == (0, 0, (), {})
    assert inside(catalog) == []


def test_a_zone_is_matched_when_put_returns(catalog: Catalog) -> None:
    """With key and revision of the store."""
    (stored,) = catalog.put_zones([zone("a")])
    assert inside(catalog) == ["a"]
    assert stored == catalog.snapshot.zones["a"]
    assert stored.key > 0
    assert stored.revision == catalog.snapshot.revision


def test_a_restart_finds_everything(store: Store, catalog: Catalog) -> None:
    """A second catalogue over the same store has the same snapshot."""
    catalog.put_zones([zone("a"), zone("b", lng=24.95)])
    catalog.put_endpoint(endpoint("crm"))
    catalog.put_campaign(campaign("hello", "crm"))
    again = Catalog(store).snapshot
    assert catalog.snapshot.revision == again.revision
    assert dict(catalog.snapshot.zones) == dict(again.zones)
    assert catalog.snapshot.campaigns == again.campaigns
    assert dict(catalog.snapshot.endpoints) == dict(again.endpoints)


def test_a_snapshot_never_changes(catalog: Catalog) -> None:
    """Who holds one goes on with it, whatever happens in the meantime."""
    catalog.put_zones([zone("a")])
    held = catalog.snapshot
    catalog.put_zones([zone("b")])
    catalog.delete_zones(["a"])
    assert list(held.zones) == ["a"]
    assert held.index.ids.tolist() == ["a"]
    assert list(catalog.snapshot.zones) == ["b"]


def test_inactive_zones_are_kept_but_not_matched(store: Store, catalog: Catalog) -> None:
    """Switching a zone off takes it out of the index, switching it on puts it back."""
    catalog.put_zones([zone("a"), replace(zone("b"), active=False)])
    assert inside(catalog) == ["a"]
    assert store.zone("b") is not None
    catalog.put_zones([replace(zone("a"), active=False), zone("b")])
    assert inside(catalog) == ["b"]


def test_deleting_zones_names_those_that_existed(catalog: Catalog) -> None:
    """Ids that nobody knows are left out, and change nothing."""
    catalog.put_zones([zone("a"), zone("b")])
    assert catalog.delete_zones(["a", "nobody"]) == ["a"]
    revision = catalog.snapshot.revision
    assert catalog.delete_zones(["nobody"]) == []
    assert revision == catalog.snapshot.revision
    assert inside(catalog) == ["b"]


def test_putting_the_same_zones_again_changes_nothing(catalog: Catalog) -> None:
    """A catalogue of zones can be imported at every start: nobody is judged again."""
    zones = [zone(str(number), lng=24 + number / 100) for number in range(20)]
    first = catalog.put_zones(zones)
    snapshot = catalog.snapshot
    assert first == catalog.put_zones(zones)
    assert snapshot is catalog.snapshot


def test_a_change_that_touches_no_zone_keeps_the_index(catalog: Catalog) -> None:
    """Campaigns and endpoints cost no covers."""
    catalog.put_zones([zone("a")])
    index = catalog.snapshot.index
    catalog.put_endpoint(endpoint("crm"))
    catalog.put_campaign(campaign("hello", "crm"))
    assert index is catalog.snapshot.index


def test_a_campaign_listens_when_put_returns(catalog: Catalog) -> None:
    """And no longer when delete returns."""
    catalog.put_zones([zone("a")])
    catalog.put_endpoint(endpoint("crm"))
    stored = catalog.put_campaign(campaign("hello", "crm"))
    assert [stored] == list(catalog.snapshot.table.listening("a", Kind.ENTER))
    catalog.delete_campaign("hello")
    assert list(catalog.snapshot.table.listening("a", Kind.ENTER)) == []


def test_everything_wrong_with_a_campaign_is_named_at_once(catalog: Catalog) -> None:
    """Each part with its path, what the caller found too; nothing is stored."""
    catalog.put_endpoint(endpoint("crm"))
    bad = replace(
        campaign("hello", "crm", "nobody", dwell_s=60),
        starts="soon",
        hours=(Hours("25:00", "26:00"),),
        caps=(Cap(0),),
        budget=Budget(total=1, per_day=2),
        holdout=2.0,
        audience="profile.tier =",
        audiences=("regulars",),
        offer={"text": "{{ profle.name }}"},
        translations={"sv": {"text": "{{ profle.name }}"}},
    )
    with pytest.raises(InvalidCampaign) as caught:
        catalog.put_campaign(bad, problems=[Problem("$.first", "", "seen before")])
    assert list(dict.fromkeys(problem.path for problem in caught.value.problems)) == [
        "$.first",
        "$.trigger.dwell_s",
        "$.schedule.starts",
        "$.schedule.hours[0].from",
        "$.schedule.hours[0].to",
        "$.caps.per_profile[0].max",
        "$.budget.per_day",
        "$.holdout",
        "$.audience",
        "$.offer.text",
        "$.translations.sv.text",
        "$.endpoints[1]",
        "$.audiences[0]",
    ]
    assert catalog.snapshot.campaigns == ()


def test_an_endpoint_made_by_another_process_can_be_named_at_once(url: str) -> None:
    """The check looks at the store, not at what this process happens to know."""
    with_endpoint, without = Store.open(url), Store.open(url)
    here = Catalog(without)
    Catalog(with_endpoint).put_endpoint(endpoint("crm"))
    assert here.put_campaign(campaign("hello", "crm")).id == "hello"
    with_endpoint.close()
    without.close()


def test_an_endpoint_in_use_is_not_deleted(catalog: Catalog) -> None:
    """The refusal names the campaigns; when they are gone it may go."""
    catalog.put_endpoint(endpoint("crm"))
    for number in range(12):
        catalog.put_campaign(campaign(f"c{number:02}", "crm"))
    with pytest.raises(Conflict, match=r"'crm' is used by campaigns: c00, c01, .*c09 and 2 more"):
        catalog.delete_endpoint("crm")
    for number in range(12):
        catalog.delete_campaign(f"c{number:02}")
    catalog.delete_endpoint("crm")
    assert dict(catalog.snapshot.endpoints) == {}


def test_an_audience_is_compiled_with_the_catalogue(store: Store, catalog: Catalog) -> None:
    """Its rule is checked, it is in the snapshot at once, and a change keeps the zone index."""
    catalog.put_zones([zone("a")])
    index = catalog.snapshot.index
    stored = catalog.put_audience(Audience("gold", "profile.tier == 'gold'"), by="ann")
    assert {"gold": stored} == dict(catalog.snapshot.audiences)
    assert index is catalog.snapshot.index
    assert dict(catalog.snapshot.audiences) == dict(Catalog(store).snapshot.audiences)
    with pytest.raises(InvalidAudience) as caught:
        catalog.put_audience(Audience("bad", "profile.tier ="))
    assert ["$.rule"] == [problem.path for problem in caught.value.problems]
    assert ["gold"] == list(catalog.snapshot.audiences)


def test_an_audience_in_use_is_not_deleted(catalog: Catalog) -> None:
    """The refusal names the campaigns; when they are gone it may go."""
    catalog.put_endpoint(endpoint("crm"))
    catalog.put_audience(Audience("gold", "true"))
    catalog.put_campaign(replace(campaign("hello", "crm"), audiences=("gold",)))
    with pytest.raises(Conflict, match="audience 'gold' is used by campaigns: hello"):
        catalog.delete_audience("gold")
    catalog.delete_campaign("hello")
    catalog.delete_audience("gold")
    assert {} == dict(catalog.snapshot.audiences)
    with pytest.raises(NotFound):
        catalog.delete_audience("gold")


def test_offers_are_tried_on_stored_profiles(store: Store, catalog: Catalog) -> None:
    """What renders for nobody is refused with its path, what fails for some is a warning."""
    catalog.put_endpoint(endpoint("crm"))
    loop = "{% for i in (1..profile.n) %}x{% endfor %}"
    variants = (
        Variant("a", {"text": "Hello"}, translations={"sv": {"text": loop}}),
        Variant("b", {"text": loop.replace("profile.n", "9999999")}),
    )
    both = replace(campaign("hello", "crm"), offer={}, variants=variants)
    store.put_profiles([Profile("one", {"n": 10**9}), Profile("two", {"n": 3})])
    with pytest.raises(InvalidCampaign) as caught:
        catalog.save_campaign(both)
    assert ["$.variants[1].offer.text"] == [each.path for each in caught.value.problems]
    stored, warnings = catalog.save_campaign(replace(both, variants=variants[:1]))
    (warning,) = warnings
    assert warning.startswith(
        "$.variants[0].translations.sv.text: does not render for 1 of 3 sample profiles"
    )
    assert (stored,) == catalog.snapshot.campaigns


def test_the_operators_rules_on_urls_are_asked_before_storing(store: Store) -> None:
    """An URL that may not be called is never stored."""

    def check_url(url: str) -> None:
        raise InvalidEndpoint(Problem("$.url", url, "private address"))

    catalog = Catalog(store, check_url=check_url)
    with pytest.raises(InvalidEndpoint):
        catalog.put_endpoint(endpoint("crm"))
    assert store.endpoints() == []


def test_headers_are_checked_before_storing(store: Store) -> None:
    """Whoever stores an endpoint: no header takes the place of ours."""
    catalog = Catalog(store)
    wrong = replace(endpoint("crm"), headers={"Webhook-Id": "forged"})
    with pytest.raises(InvalidEndpoint, match=r"\$\.headers\.Webhook-Id"):
        catalog.put_endpoint(wrong)
    assert store.endpoints() == []
    catalog.put_endpoint(replace(endpoint("crm"), headers={"X-Token": "hush"}))
    kept = catalog.put_endpoint(endpoint("crm"), keep_headers=True)
    assert catalog.snapshot.endpoints["crm"].headers == kept.headers == {"X-Token": "hush"}


@pytest.mark.parametrize("what", ["campaign", "endpoint"])
def test_deleting_what_is_not_there_says_so(catalog: Catalog, what: str) -> None:
    """The message names it."""
    with pytest.raises(NotFound, match=f"no {what} is named 'x'"):
        getattr(catalog, f"delete_{what}")("x")


def test_changes_by_another_process_are_seen_within_a_second(url: str) -> None:
    """The follower takes zones, campaigns and endpoints over, deletions included."""
    mine, theirs = Store.open(url), Store.open(url)
    here, there = Catalog(mine), Catalog(theirs)
    here.follow(interval_s=0.05)
    there.put_zones([zone("a"), zone("b")])
    eventually(lambda: inside(here) == ["a", "b"], seconds=1)
    there.delete_zones(["a"])
    there.put_endpoint(endpoint("crm"))
    there.put_campaign(campaign("hello", "crm"))
    eventually(lambda: here.snapshot.revision == there.snapshot.revision, seconds=1)
    assert inside(here) == ["b"]
    assert here.snapshot.campaigns[0].id == "hello"
    here.stop()
    mine.close()
    theirs.close()


def test_refresh_says_whether_there_was_anything_new(url: str) -> None:
    """Nothing new costs one query and keeps the snapshot."""
    mine, theirs = Store.open(url), Store.open(url)
    here = Catalog(mine)
    Catalog(theirs).put_zones([zone("a")])
    assert here.refresh() is True
    snapshot = here.snapshot
    assert here.refresh() is False
    assert snapshot is here.snapshot
    mine.close()
    theirs.close()


def test_a_follower_that_fails_says_so_and_recovers(store: Store) -> None:
    """Trouble is told while it lasts; the snapshot stays; the thread lives."""
    broken = threading.Event()

    class Faulty:
        def __getattr__(self, name: str) -> object:
            if broken.is_set():
                raise StoreError("the disk is gone")
            return getattr(store, name)

    catalog = Catalog(Faulty())  # type: ignore[arg-type]
    catalog.put_zones([zone("a")])
    catalog.follow(interval_s=0.01)
    broken.set()
    eventually(lambda: "the disk is gone" in catalog.trouble)
    assert inside(catalog) == ["a"]
    broken.clear()
    eventually(lambda: catalog.trouble == "")
    store.put_zones([zone("b")])
    eventually(lambda: inside(catalog) == ["a", "b"])
    catalog.stop()


def test_stop_ends_the_follower_and_may_be_called_twice(catalog: Catalog) -> None:
    """No thread is left behind."""
    before = threading.active_count()
    catalog.follow(interval_s=60)
    catalog.follow(interval_s=60)
    assert before + 1 == threading.active_count()
    catalog.stop()
    catalog.stop()
    assert before == threading.active_count()


def test_an_import_is_many_transactions_and_one_swap(store: Store) -> None:
    """Readers see nothing of an import, then all of it; so does the follower of this process."""
    transactions: list[int] = []

    class Watching:
        def __getattr__(self, name: str) -> object:
            return getattr(store, name)

        def put_zones(self, zones: Sequence[Zone], *, by: str = "") -> list[Zone]:
            transactions.append(len(zones))
            return store.put_zones(zones, by=by)

    catalog = Catalog(Watching())  # type: ignore[arg-type]
    catalog.follow(interval_s=0.001)
    seen: set[int] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            seen.add(len(catalog.snapshot.index))
            done.wait(0.0005)

    reader = threading.Thread(target=watch)
    reader.start()
    zones = [zone(str(n), lng=n % 40 / 100, lat=n // 40 / 100, half=0.0005) for n in range(1_200)]
    catalog.put_zones(zones)
    assert len(catalog.snapshot.index) == 1_200
    done.set()
    reader.join()
    catalog.stop()
    assert transactions == [500, 500, 200]
    assert seen <= {0, 1_200}


def test_readers_go_on_while_writers_write(catalog: Catalog) -> None:
    """Every snapshot that a reader takes is consistent in itself."""
    catalog.put_zones([zone(str(number), lng=24 + number / 100) for number in range(50)])
    wrong: list[str] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            snapshot = catalog.snapshot
            if [each.id for each in snapshot.index.zones] != list(snapshot.zones):
                wrong.append("index and zones differ")
            if max((each.revision for each in snapshot.index.zones), default=0) > max(
                snapshot.revision, 1
            ):
                wrong.append("a zone is newer than its snapshot")

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(15):
        catalog.put_zones([zone(str(number), lng=24 + number / 100, half=0.002)])
        catalog.delete_zones([str(49 - number % 10)])
    done.set()
    reader.join()
    assert wrong == []


def test_the_incremental_index_equals_one_built_at_once(store: Store, catalog: Catalog) -> None:
    """After many changes a restart gives the same answers."""
    random = np.random.default_rng(7)
    for _ in range(30):
        ids = random.integers(0, 40, 5)
        catalog.put_zones(
            [
                replace(
                    zone(str(name), lng=24 + random.random() / 10, lat=60 + random.random() / 10),
                    active=bool(random.random() < 0.8),
                )
                for name in dict.fromkeys(ids.tolist())
            ]
        )
        catalog.delete_zones([str(random.integers(0, 40))])
    again = Catalog(store).snapshot.index
    lng, lat = 24 + random.random(5_000) / 10, 60 + random.random(5_000) / 10

    def pairs(index: object) -> set[tuple[int, str]]:
        ping, found = index.query(lng=lng, lat=lat)  # type: ignore[attr-defined]
        return set(zip(ping.tolist(), index.ids[found].tolist(), strict=True))  # type: ignore[attr-defined]

    assert pairs(again) == pairs(catalog.snapshot.index)
    assert len(pairs(again)) > 20


def test_what_no_index_takes_is_not_stored(store: Store) -> None:
    """It would keep every process on an old catalogue: nothing is stored, and changes go on."""
    catalog = Catalog(store)
    good = zone("a")
    ring = [(5e-324, 0.0), (1.0, 0.0), (1.0, 1.0), (5e-324, 0.0)]
    with pytest.raises(InvalidZone, match="at least 1e-120 degrees"):
        catalog.put_zones([replace(good, geometry=shapely.Polygon(ring))])
    assert [] == store.zones()[0]
    catalog.put_zones([good])
    assert 1 == len(catalog.snapshot.index)
