"""After an erasure the database file itself holds nothing of the person, and all sums as before."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import shapely

from geotarget.catalog import Catalog
from geotarget.engine.footfall import Collector
from geotarget.model import (
    Attempt,
    Campaign,
    Claimed,
    Conversion,
    Endpoint,
    Kind,
    Profile,
    Rejected,
    Trigger,
    Variant,
    Zone,
)
from geotarget.store import Store, sqlite_driver
from geotarget.store.footfall import SALT
from tests.store.recounted import every, stored
from tests.test_forgetting import AWAY, HERE, NOW, SECRET, SHOP, Clock, make, pings

DAY_MS = 86_400_000
KIOSK = Zone(id="kiosk", geometry=shapely.box(24.985, 60.188, 24.995, 60.192))
PHONE, TABLET, MOVED = "phone-a1", "anna/tablet-b2", "phone-c3"
NAMES = ("aino-7f3", PHONE, TABLET, "Ainikki", "aino.k@example.org", "+358401234567", "Erottaja 9")
AINO = Profile(
    "aino-7f3",
    {"name": "Ainikki", "address": "Erottaja 9"},
    {"marketing": True},
    {"email": "aino.k@example.org", "phone": "+358401234567"},
    (PHONE, TABLET, MOVED),
)
ONNI = Profile("onni", {"name": "Onni"}, devices=("phone-o",))


def campaign(id: str, **changes: Any) -> Campaign:
    """Return a campaign that calls people by their names."""
    offer = {"title": "Hello {{ profile.attributes.name }}"}
    return Campaign(
        **{
            "id": id,
            "name": id,
            "trigger": Trigger(on=frozenset({Kind.ENTER})),
            "offer": {},
            "variants": (Variant("a", offer), Variant("b", offer)),
            "endpoints": ("hook", "till"),
            "pass_attributes": ("name", "address"),
            **changes,
        }
    )


def attempt_of(claimed: Claimed, state: str, clock: Clock) -> Attempt:
    """Return an attempt whose receiver answered with the name of the customer."""
    answer = "sorry, Ainikki" if b"Ainikki" in claimed.body else "sorry"
    return Attempt(
        claimed.webhook_id, claimed.endpoint, 1, clock.now_ms, 5, state, 0, 500, "", answer
    )


def live(store: Store, clock: Clock) -> None:
    """Let two people walk about for a while, in every table that there is."""
    random = Random(3)
    catalog = Catalog(store)
    catalog.put_zones([SHOP, KIOSK])
    for name in ("hook", "till"):
        catalog.put_endpoint(Endpoint(id=name, url=f"https://{name}.example/", secret=SECRET))
    catalog.put_campaign(campaign("hello"))
    catalog.put_campaign(campaign("later", holdout=0.5, cooldown_s=60))
    store.put_profiles([AINO, ONNI])
    store.put_profile(replace(AINO, consent={"marketing": True, "news": False}), by="ann")
    store.set_trace(PHONE, NOW + DAY_MS)
    working = make(catalog, store, clock, footfall=Collector(store.secret(SALT), every_ms=0))
    devices = (PHONE, TABLET, MOVED, "phone-o")
    for minute in range(60):
        clock.now_ms = NOW + 60_000 * minute
        fixes = [(each, 60.0 * minute, random.choice((HERE, AWAY))) for each in devices]
        fixes.append((PHONE, 60.0 * minute, (0.0, 0.0)))  # refused, with its coordinates
        bad = [
            Rejected(f"pings/{PHONE}", b"{", "json", "is no JSON", clock.now_ms),
            Rejected("http", json.dumps([{"device": TABLET}]).encode(), "json", "", clock.now_ms),
        ]
        working.process(pings(*fixes), bad if minute % 20 == 0 else ())
        claimed = store.claim(
            now_ms=clock.now_ms, limits={"hook": 3, "till": 2}, lease_ms=600_000_000
        )
        store.mark(
            [attempt_of(each, random.choice(("delivered", "failed")), clock) for each in claimed]
        )
        if minute == 40:
            store.put_profile(replace(ONNI, devices=("phone-o", MOVED)))
    now_ms = clock.now_ms
    fired = [each for each in every(store, "decisions_page") if each.profile == AINO.id]
    store.record_conversions(
        [
            Conversion("r1", AINO.id, now_ms, now_ms, value_micros=5_000_000, currency="EUR"),
            Conversion("r2", "", now_ms, now_ms, device=TABLET),
            Conversion("r3", "", now_ms, now_ms, device="phone-o"),
            Conversion("r4", "", now_ms, now_ms, decision=fired[-1].id),
        ]
    )
    working.finish()


def sums(store: Store) -> dict[str, Any]:
    """Return what reports are made of, but for how many people there were."""
    found: dict[str, Any] = {name: stored(store)[name] for name in ("tally", "spent", "sent")}
    for each in ("hello", "later"):
        found[each] = sorted(map(str, store.tallies(each)))
        found[f"{each} arms"] = store.arms(each)
        found[f"{each} conversions"] = sorted(map(str, store.conversion_totals(each)))
    counts = store.counts()
    found["totals"] = (counts.transitions, counts.entries, counts.attempts, counts.dead_letters)
    return found


def test_the_file_names_nobody(tmp_path: Path) -> None:
    """No id, no name, no address, in any table, index or blob; reports say what they said."""
    clock = Clock()
    file, copy = tmp_path / "geotarget.db", tmp_path / "copy.db"
    with Store.open(f"sqlite:///{file}", now_ms=clock, log_rows=5) as store:
        live(store, clock)
        before = sums(store)
        with closing(sqlite_driver().connect(file)) as plain:
            plain.execute("VACUUM INTO ?", (str(tmp_path / "before.db"),))
        there = (tmp_path / "before.db").read_bytes()
        assert list(NAMES) == [name for name in NAMES if name.encode() in there]
        kept = [each for each in every(store, "decisions_page") if each.profile == "onni"]
        clock.now_ms += 1_000
        erased = store.erase_profile(AINO.id, by="ann")
        assert erased is not None
        assert (2, 1) == (erased.devices, erased.counts["profiles"])
        wanted = {"attempts", "behaviour", "conversions", "dead_letters", "deliveries", "places"}
        assert wanted | {"exposures", "memberships", "states", "traces"} < set(erased.counts)
        assert before == sums(store)
        assert kept == every(store, "decisions_page")
        assert "" == store.verify_audit().broken
        with closing(sqlite_driver().connect(file)) as plain:
            plain.execute("VACUUM INTO ?", (str(copy),))
            assert [("ok",)] == plain.execute("PRAGMA integrity_check").fetchall()
            assert [] == plain.execute("PRAGMA foreign_key_check").fetchall()
        left = copy.read_bytes()
        assert [] == [name for name in NAMES if name.encode() in left]
        assert b"phone-o" in left
        assert MOVED.encode() in left
