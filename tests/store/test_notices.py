"""Notices from process to process, on a real PostgreSQL server and where there are none."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest
import shapely
from backends import SECRET_KEY

from geotarget.model import Zone
from geotarget.store import Store
from tests.postgres_server import drop_database, make_database

PROMPT_S = 10.0
"""Beside other tests; where nothing else runs, a hundredth of a second."""


@pytest.fixture
def url(postgres_url: str, postgres_template: str) -> Iterator[str]:
    """A database of its own."""
    made = make_database(postgres_url, postgres_template)
    yield made
    drop_database(made)


@pytest.fixture
def stores(url: str) -> Iterator[tuple[Store, Store]]:
    """Two stores on it, as two processes have them."""
    with (
        Store.open(url, secret_key=SECRET_KEY) as one,
        Store.open(url, secret_key=SECRET_KEY) as other,
    ):
        yield one, other


def zone(id: str) -> Zone:
    """Return a zone."""
    return Zone(id=id, geometry=shapely.box(24, 60, 24.1, 60.1))


def end_sessions(url: str) -> int:
    """End the sessions that listen; return how many there were."""
    with psycopg.connect(url, autocommit=True) as connection:
        ended = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'geotarget notices' AND datname = current_database()"
        ).fetchall()
    return len(ended)


def test_a_change_is_heard_of_at_once(stores: tuple[Store, Store]) -> None:
    """One look after the connection, then one a change; a change that is undone is not told."""
    mine, theirs = stores
    looks: queue.Queue[int] = queue.Queue()
    listening = mine.on_catalog_change(lambda: looks.put(mine.catalog_revision()))
    try:
        assert looks.get(timeout=60) == 0
        assert listening.connected
        began = time.monotonic()
        theirs.put_zones([zone("a")])
        assert looks.get(timeout=PROMPT_S) == 1
        theirs.put_zones([zone("a")])  # nothing changes
        theirs.delete_zones(["a"])
        assert looks.get(timeout=PROMPT_S) == 2
        assert time.monotonic() - began < PROMPT_S
        assert looks.empty()
    finally:
        listening.stop()
    assert not listening.connected


def test_a_listener_that_was_cut_off_looks_once_it_is_back(
    url: str, stores: tuple[Store, Store]
) -> None:
    """A notice may have been missed meanwhile; and later ones are heard again."""
    mine, theirs = stores
    looks: queue.Queue[int] = queue.Queue()
    listening = mine.on_catalog_change(lambda: looks.put(mine.catalog_revision()))
    try:
        looks.get(timeout=60)
        assert end_sessions(url) == 1
        looks.get(timeout=60)
        theirs.put_zones([zone("a")])
        while looks.get(timeout=60) < 1:
            continue
        theirs.put_zones([zone("b")])
        while looks.get(timeout=PROMPT_S) < 2:
            continue
    finally:
        listening.stop()


def test_slots_that_were_given_back_are_heard_of(stores: tuple[Store, Store]) -> None:
    """Once for all of them; who had none tells nobody."""
    mine, theirs = stores
    mine.prepare_slots(range(4), lambda _: 0)
    heard: queue.Queue[int] = queue.Queue()
    listening = mine.on_slots_released(
        lambda: heard.put(sum(lease.owner == "a" for lease in mine.slot_leases()))
    )
    try:
        assert heard.get(timeout=60) == 0  # after the connection
        taken = theirs.take_slots("a", among=range(4), most=4, lease_ms=60_000)
        theirs.release_slots("a", {}, clean=())
        theirs.release_slots("a", {each.slot: each.epoch for each in taken[:3]}, clean=())
        assert heard.get(timeout=PROMPT_S) == 1
        assert heard.empty()
    finally:
        listening.stop()


def test_nobody_listens_where_there_are_no_notices() -> None:
    """SQLite: whoever follows looks now and then."""
    asked = threading.Event()
    with Store.open("sqlite://") as store:
        listening = store.on_catalog_change(asked.set)
        store.put_zones([zone("a")])
        assert not listening.connected
        listening.stop()
    assert not asked.is_set()
