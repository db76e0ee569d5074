"""The contract on SQLite, through both drivers, and what is SQLite's own."""

from __future__ import annotations

import sqlite3
import stat
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import shapely
import sqlalchemy as sa
from backends import SqliteBackend
from contract import StoreContract
from contract_batch import devices_in
from records import attempt, batch, delivery, transition
from structlog.testing import capture_logs

from geotarget.errors import StoreError
from geotarget.model import BatchWrite, Endpoint, Zone
from geotarget.store import Replay, Store, sqlite_driver
from geotarget.store.database import Database, Turnstile, cursor_of
from geotarget.store.sqlite import warn_if_old

DEADLINE_S = 60.0
SHOP = Zone(id="shop", geometry=shapely.box(24.9, 60.1, 25.0, 60.2))


class TestSqlite(StoreContract):
    """Through the driver that is used where it can be had."""

    @pytest.fixture
    def backend(self, tmp_path: Path) -> Iterator[SqliteBackend]:
        """Make a database of its own."""
        made = SqliteBackend(tmp_path / "store.db", sqlite_driver())
        yield made
        made.close()


class TestPythonsSqlite(StoreContract):
    """Through the driver that comes with Python."""

    @pytest.fixture
    def backend(self, tmp_path: Path) -> Iterator[SqliteBackend]:
        """Make a database of its own."""
        made = SqliteBackend(tmp_path / "store.db", sqlite3)
        yield made
        made.close()


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Name a database that does not exist yet."""
    return f"sqlite:///{tmp_path / 'store.db'}"


def test_every_connection_is_durable(url: str) -> None:
    """Writer and readers have the write-ahead log, full sync and foreign keys."""
    with Store.open(url) as store:
        for connect in (store._database.read, store._database.write):
            with connect() as connection:
                cursor = cursor_of(connection)
                settings = {
                    name: cursor.execute(f"PRAGMA {name}").fetchone()[0]
                    for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
                }
            assert settings == {
                "journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10_000,
            }  # fmt: skip


def test_full_disk_writes_nothing_and_heals(url: str) -> None:
    """A commit that finds no room leaves nothing half-written and is possible again afterwards."""
    states = {f"phone-{number}": bytes([number % 256]) * 100 for number in range(5_000)}
    large = BatchWrite(
        devices=list(states),
        device_states=b"".join(states.values()),
        transitions=[transition(number) for number in range(2_000)],
    )
    with Store.open(url) as store:
        store.write_batch(batch(1))
        before = devices_in(store)
        with store._database.write() as connection:
            cursor = cursor_of(connection)
            (pages,) = cursor.execute("PRAGMA page_count").fetchone()
            cursor.execute(f"PRAGMA max_page_count = {pages + 20}")
        for _ in range(2):
            with pytest.raises(StoreError, match=r"no room left.*undone"):
                store.write_batch(large)
        assert before == devices_in(store)
        assert [transition(1)] == store.transitions_page().items
        assert 1 == store.counts().transitions
        with store._database.write() as connection:
            cursor_of(connection).execute("PRAGMA max_page_count = 1000000")
        store.write_batch(BatchWrite(devices=large.devices, device_states=large.device_states))
        assert states == devices_in(store)


def test_locked_by_another_process_says_so(url: str) -> None:
    """A commit that can't be had in time names the file, and works when the lock is gone."""
    with Store.open(url) as other, Store.open(url, busy_s=0.1) as store:
        with (
            other._database.write(),
            pytest.raises(StoreError, match=r"store\.db has been locked .* 0\.1 s"),
        ):
            store.write_batch(batch(1))
        store.write_batch(batch(1))
        assert [transition(1)] == store.transitions_page().items


def test_readers_do_not_wait_for_the_writer(url: str) -> None:
    """While a transaction is open, readers see the state before it, at once."""
    with Store.open(url, busy_s=0.1) as store:
        store.write_batch(batch(1))
        with store._database.write() as connection:
            cursor_of(connection).execute("DELETE FROM transition")
            assert [transition(1)] == store.transitions_page().items


def test_threads_wait_for_their_turn_and_no_longer(url: str) -> None:
    """A thread that does not get its turn within the time is told that nothing was written."""
    with Store.open(url, busy_s=0.05) as store:
        inside, leave = threading.Event(), threading.Event()

        def hold() -> None:
            with store._database.write():
                inside.set()
                leave.wait(DEADLINE_S)

        holder = threading.Thread(target=hold)
        holder.start()
        assert inside.wait(DEADLINE_S)
        with pytest.raises(StoreError, match=r"busy: other threads .* nothing was written"):
            store.write_batch(batch(1))
        leave.set()
        holder.join(DEADLINE_S)
        store.write_batch(batch(1))


def test_turnstile_keeps_the_order_of_arrival() -> None:
    """Threads come in as they came, and one that gave up is skipped."""
    turnstile = Turnstile()
    assert turnstile.enter(0)
    order: list[int] = []

    def pass_through(number: int) -> None:
        assert turnstile.enter(DEADLINE_S)
        order.append(number)
        turnstile.leave()

    threads = []
    for number in range(8):
        thread = threading.Thread(target=pass_through, args=(number,))
        thread.start()
        threads.append(thread)
        deadline = threading.Event()
        while len(turnstile._queue) <= number:  # it stands in the queue before the next one comes
            deadline.wait(0.001)
            assert thread.is_alive()
    assert not turnstile.enter(0.001)
    turnstile.leave()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert list(range(8)) == order
    assert turnstile.enter(0)


def test_file_is_for_its_owner_only(url: str, tmp_path: Path) -> None:
    """A database is made unreadable for others, because it holds secrets."""
    with Store.open(url):
        modes = {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert {0o600} == modes


def test_throw_away_database(tmp_path: Path) -> None:
    """`sqlite://` needs no place and leaves nothing behind."""
    with Store.open("sqlite://") as store:
        store.write_batch(batch(1))
        assert [transition(1)] == store.transitions_page().items
        path = store._database.path
        assert path.exists()
    assert not path.parent.exists()
    with Store.open("sqlite://") as store:
        assert [] == store.transitions_page().items


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("mysql://localhost/x", "no store for 'mysql'"),
        ("not a url", "can't be read"),
        ("sqlite:////nowhere/at/all/store.db", "is no folder"),
    ],
)
def test_wrong_urls(wrong: str, said: str) -> None:
    """A URL that leads nowhere is refused with what to write."""
    with pytest.raises(StoreError, match=said):
        Store.open(wrong)


def test_not_a_database(tmp_path: Path) -> None:
    """A file of something else is named, not overwritten."""
    path = tmp_path / "notes.txt"
    path.write_bytes(b"these are my notes\n" * 100)
    with pytest.raises(StoreError, match=r"notes\.txt is not a database"):
        Store.open(f"sqlite:///{path}")
    assert path.read_bytes() == b"these are my notes\n" * 100


def test_closed_store_says_so(url: str) -> None:
    """What is asked of a closed store is an error, closing again is none."""
    store = Store.open(url)
    store.close()
    store.close()
    with pytest.raises(StoreError, match="was closed"):
        store.write_batch(batch(1))
    with pytest.raises(StoreError, match="was closed"):
        store.load_devices()


def test_old_library_is_named() -> None:
    """A SQLite with the known risk is used, with a warning that names version and remedy."""

    class Old:
        sqlite_version = "3.40.1"
        sqlite_version_info = (3, 40, 1)

    with capture_logs() as logs:
        warn_if_old(Old)  # type: ignore[arg-type]
        warn_if_old(type("New", (), {"sqlite_version_info": (3, 51, 3)}))  # type: ignore[arg-type]
    (line,) = logs
    assert ("warning", "3.40.1") == (line["log_level"], line["version"])
    assert "corrupt" in line["risk"]


def test_use_of_a_key_that_can_not_be_noted_keeps_nobody_out(url: str) -> None:
    """With the database locked for writing, a valid key still opens the door."""
    with Store.open(url) as other, Store.open(url, busy_s=0.05) as store:
        plain, key = store.create_key(name="till", scopes=["admin"])
        with other._database.write(), capture_logs() as logs:
            seen = store.authenticate(plain, 1)
        assert key == seen
        assert ["use of a key not noted"] == [line["event"] for line in logs]


def test_queries_use_their_indices(url: str) -> None:
    """Claims, marks and pages search; none of them scans a history table or sorts one."""
    seen: list[str] = []
    with Store.open(url) as store:
        for number in range(3):
            store.write_batch(batch(number))
        database: Database = store._database
        with database.read() as connection:
            driver = connection.connection.driver_connection
            driver.set_trace_callback(seen.append)
        store.transitions_page(device="phone-1")
        store.transitions_page(zone="zone-1", from_ms=0)
        store.decisions_page(gate="fired")
        store.decisions_page(campaign="campaign-1")
        store.deliveries_page(state="failed")
        store.deliveries_page(endpoint="crm")
        store.deliveries_page(zone="zone-1")
        store.deliveries_page(campaign="campaign-1")
        store.delivery(delivery(1).webhook_id)
        store.outbox_size()
        store.replayable(Replay(0), now_ms=0)
        store.replayable(Replay(0, states=("pending", "expired")), now_ms=0)
        store.replayable(Replay(0, endpoint="crm", campaign="campaign-1"), now_ms=0)
        store.claim(now_ms=0, limits={"crm": 1}, lease_ms=1)
        driver.set_trace_callback(None)
        with database.write() as connection:
            connection.connection.driver_connection.set_trace_callback(seen.append)
        store.claim(now_ms=2**60, limits={"crm": 9}, lease_ms=1)
        store.mark([attempt(delivery(1))])
        store.requeue(delivery(1).webhook_id, None, now_ms=0)
        store.put_endpoint(Endpoint("crm", "https://example.org", "whsec_x"))
        assert store.replay(Replay(0, states=("pending", "expired")), now_ms=-(2**60)).requeued
        with database.write() as connection:
            connection.connection.driver_connection.set_trace_callback(None)
        asked = [text for text in seen if text.lstrip().startswith(("SELECT", "UPDATE"))]
        assert len(asked) > 15
        for text in asked:
            with database.read() as connection:
                plan = cursor_of(connection).execute(f"EXPLAIN QUERY PLAN {text}").fetchall()
            for step in plan:
                words = str(step[3])
                for table in ("transition", "decision", "delivery", "attempt", "span"):
                    assert f"SCAN {table}" not in words, (text, words)
                few = "JOIN attempt" in text  # the attempts of one event may be sorted
                assert few or "TEMP B-TREE" not in words, (text, words)


def test_a_change_of_the_catalogue_is_looked_up(tmp_path: Path) -> None:
    """Following it costs what has changed: no statement of it goes through all zones."""
    asked: list[tuple[str, tuple[object, ...]]] = []

    def note(*heard: object) -> None:
        asked.append((str(heard[2]), tuple(heard[3])))  # type: ignore[arg-type]

    with Store.open(f"sqlite:///{tmp_path / 'geotarget.db'}") as store:
        store.put_zones([SHOP])
        before = store.catalog_revision()
        store.put_zones([replace(SHOP, name="Shop")])
        sa.event.listen(sa.Engine, "before_cursor_execute", note)
        try:
            assert len(store.zones(since_revision=before)[0]) == 1
        finally:
            sa.event.remove(sa.Engine, "before_cursor_execute", note)
        with store._database.read() as connection:
            plans = [
                row[3]
                for statement, values in asked
                for row in cursor_of(connection).execute(f"EXPLAIN QUERY PLAN {statement}", values)
            ]
    assert len(plans) == 2, plans
    assert all(plan.startswith("SEARCH") and "revision>?" in plan for plan in plans), plans
