"""Following the catalogue: told or not, behind or not, and over a saved index."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import shapely

from geotarget import metrics
from geotarget.catalog import Catalog
from geotarget.errors import StoreError
from geotarget.following import Follower
from geotarget.model import Zone
from geotarget.runtime.measuring import measure
from geotarget.saved_index import WORTH_IT
from geotarget.store import Store
from geotarget.store.notices import Deaf, Listening

WAIT_S = 60.0
NEVER_S = 3600.0


def deaf(_heard: Callable[[], None]) -> Listening:
    """Be a database without notices."""
    return Deaf()


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + WAIT_S
    pause = threading.Event()
    while not holds():
        assert time.monotonic() < deadline, "did not happen in time"
        pause.wait(0.005)


def test_who_is_told_looks_at_once() -> None:
    """Without waiting for the interval."""
    told: list[Callable[[], None]] = []
    looked = threading.Event()

    def listen(heard: Callable[[], None]) -> Listening:
        told.append(heard)
        return Deaf()

    follower = Follower(looked.set, listen, interval_s=NEVER_S)
    try:
        assert not looked.is_set()
        told[0]()
        assert looked.wait(WAIT_S)
    finally:
        follower.stop()


def test_who_is_told_while_looking_looks_again() -> None:
    """What was changed after the first look began is not missed."""
    told: list[Callable[[], None]] = []
    looks = threading.Semaphore(0)
    go_on = threading.Event()

    def look() -> None:
        looks.release()
        assert go_on.wait(WAIT_S)

    def listen(heard: Callable[[], None]) -> Listening:
        told.append(heard)
        return Deaf()

    follower = Follower(look, listen, interval_s=NEVER_S)
    try:
        told[0]()
        assert looks.acquire(timeout=WAIT_S)
        told[0]()
        go_on.set()
        assert looks.acquire(timeout=WAIT_S)
    finally:
        follower.stop()


def test_who_cannot_look_says_since_when() -> None:
    """And is quiet about it once it can again."""
    away = threading.Event()

    def look() -> None:
        if away.is_set():
            raise StoreError("the database is away")

    follower = Follower(look, deaf, interval_s=0.01)
    try:
        away.set()
        eventually(lambda: follower.trouble == "the database is away")
        before = follower.behind_s
        eventually(lambda: follower.behind_s > before + 0.1)
        away.clear()
        eventually(lambda: follower.trouble == "" and follower.behind_s < 0.1)
    finally:
        follower.stop()


def test_a_mapped_catalogue_is_followed(tmp_path: Path) -> None:
    """Large enough to be shared: the second process maps it, and edits reach it."""
    url = f"sqlite:///{tmp_path / 'geotarget.db'}"
    folder = tmp_path / "index"
    with Store.open(url) as mine, Store.open(url) as theirs:
        mine.put_zones(
            [
                Zone(id=f"z{at}", geometry=shapely.Point(at % 100, at // 100), radius_m=50)
                for at in range(WORTH_IT)
            ]
        )
        here = Catalog(mine, index_folder=folder)
        (saved,) = folder.glob("*.zones")
        there = Catalog(theirs, index_folder=folder)
        there.follow(interval_s=0.01)
        try:
            assert list(folder.glob("*.zones")) == [saved]
            here.put_zones([Zone(id="new", geometry=shapely.Point(0.5, 0.5), radius_m=50)])
            here.delete_zones(["z7"])
            wanted = here.snapshot.revision
            eventually(lambda: there.snapshot.revision == wanted)
            for catalog in (here, there):
                index = catalog.snapshot.index
                ping, found = index.query(lng=[0.5, 7.0, 8.0], lat=[0.5, 0.0, 0.0])
                assert ping.tolist() == [0, 2]
                assert index.ids[found].tolist() == ["new", "z8"]
            assert dict(here.snapshot.zones) == dict(there.snapshot.zones)
            measure(there, matches=False)
            told = metrics.REGISTRY.get_sample_value
            assert told("geotarget_zone_index_version") == wanted
            assert told("geotarget_zone_index_zones") == WORTH_IT
            assert 0.0 <= (told("geotarget_catalog_behind_seconds") or 0.0) < WAIT_S
        finally:
            there.stop()
