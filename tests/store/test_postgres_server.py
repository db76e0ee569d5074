"""A PostgreSQL server that stops, refuses, or has a frozen process at it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from records import at, batch, square, transition

from geotarget.errors import StoreError
from geotarget.runtime.slot_keeper import LEASE_S
from geotarget.store import Store, current_revision, migrate, shown_url
from geotarget.store.postgres import FROZEN_S, TURN_FROZEN_S, PostgresDatabase
from geotarget.store.postgres_cursor import PostgresCursor
from tests.postgres_server import SECRET_KEY, PostgresServer, programs

DEADLINE_S = 60
PASSWORD = "correct-horse"

HOLDER = """
import sys
sys.path.insert(0, sys.argv[1])
from geotarget.errors import StoreError
from geotarget.runtime.slot_keeper import LEASE_S
from geotarget.store import Store
from records import batch

with Store.open(sys.argv[2], secret_key=sys.argv[3]) as store:
    try:
        with store.turn() as turn:
            turn.profiles_of(["phone-7"])
            print("inside", flush=True)
            sys.stdin.readline()
            turn.write(batch(7))
    except StoreError as error:
        print(error, flush=True)
    else:
        print("committed", flush=True)
    store.write_batch(batch(9))
    print("goes on", flush=True)
"""


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A server of this test's own, which flushes what it commits."""
    made = PostgresServer(programs(), durable=True)
    try:
        made.start()
        yield made
    finally:
        made.remove()


@pytest.fixture
def url(server: PostgresServer) -> str:
    """A database on it."""
    return server.make_database()


def written(store: Store) -> list[int]:
    """Return the numbers of the batches that are there, the newest first."""
    found = [(each.ts_ms - at(0)) // 1000 for each in store.transitions_page(limit=1000).items]
    totals = store.counts()
    assert (len(found), len(found)) == (totals.transitions, totals.deliveries_pending)
    return found


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["stopped", "crashed"])
def test_a_server_that_was_away_is_used_again(
    server: PostgresServer, url: str, how: signal.Signals
) -> None:
    """Meanwhile everything says so; afterwards it works by itself, and nothing is half-written."""
    with Store.open(url, secret_key=SECRET_KEY) as store:
        store.write_batch(batch(1))

        def interrupted() -> None:
            with store.turn() as turn:
                turn.profiles_of(["phone-1"])
                server.stop(how)
                turn.write(batch(2))

        for attempt in (
            interrupted,
            lambda: store.write_batch(batch(3)),
            store.transitions_page,
            store.outbox_size,
            lambda: store.start_run("ingest"),
        ):
            with pytest.raises(StoreError, match=r"can't be reached.*try again"):
                attempt()
        server.start()
        assert [1] == written(store)
        store.write_batch(batch(4))
        assert [4, 1] == written(store)
        assert {"phone-1", "phone-4"} == set(store.load_devices()[0])


def test_threads_at_work_get_over_a_restart(server: PostgresServer, url: str) -> None:
    """Each batch is there as soon as its write returned, and none that was refused."""
    with Store.open(url, secret_key=SECRET_KEY) as store:
        kept: list[int] = []
        refused: list[int] = []
        wrong: list[BaseException] = []
        stop = threading.Event()

        def write(number: int) -> None:
            try:
                while not stop.is_set():
                    number += 2
                    try:
                        store.write_batch(batch(number))
                    except StoreError:
                        refused.append(number)
                        stop.wait(0.02)
                    else:
                        kept.append(number)
            except BaseException as error:  # noqa: BLE001 - shown by the assertion below
                wrong.append(error)

        threads = [threading.Thread(target=write, args=(start,)) for start in (1, 2)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(2):
                wait_for_more(kept, 20)
                server.stop()
                wait_for_more(refused, 2)
                server.start()
            wait_for_more(kept, 20)
        finally:
            stop.set()
            for thread in threads:
                thread.join(DEADLINE_S)
        assert [] == wrong
        found = written(store)
        assert set(kept) <= set(found)
        # what was under way when the server went may be committed without an answer
        assert set(found) <= set(kept) | set(refused)
        assert len(found) - len(kept) <= 4


def wait_for_more(of: list[int], count: int) -> None:
    """Wait until a list has so many more items than now."""
    pause, wanted = threading.Event(), len(of) + count
    deadline = time.monotonic() + DEADLINE_S
    while len(of) < wanted:
        assert time.monotonic() < deadline
        pause.wait(0.01)


def test_a_frozen_process_holds_others_up_for_a_moment_only(url: str) -> None:
    """Its turn is undone; when it wakes it can commit nothing, is told so, and goes on."""
    with Store.open(url, secret_key=SECRET_KEY, busy_s=DEADLINE_S) as store:
        child = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(Path(__file__).parent), url, SECRET_KEY],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            assert "inside\n" == child.stdout.readline()
            child.send_signal(signal.SIGSTOP)
            started = time.monotonic()
            store.write_batch(batch(8))
            assert time.monotonic() - started < TURN_FROZEN_S + 5
            child.send_signal(signal.SIGCONT)
            out, _ = child.communicate("go\n", timeout=DEADLINE_S)
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
        said, after = out.splitlines()
        assert re.search("undid a transaction|can't be reached", said), said
        assert "goes on" == after
        assert [9, 8] == written(store)
        assert transition(7) not in store.transitions_page().items


def test_a_turn_may_be_silent_for_as_long_as_a_lease_lasts(url: str) -> None:
    """Its own setting, which ends with it: other transactions may be silent for longer."""
    database = PostgresDatabase(sa.make_url(url))
    asked = sa.text("SELECT current_setting('idle_in_transaction_session_timeout')")
    try:
        for _ in range(2):
            with database.turn() as connection:
                assert connection.scalar(asked) == f"{TURN_FROZEN_S}s"
            with database.write() as connection:
                assert connection.scalar(asked) == f"{FROZEN_S}s"
    finally:
        database.close()
    assert TURN_FROZEN_S <= LEASE_S < FROZEN_S


def let_in_by_password(server: PostgresServer) -> None:
    """Make a user with a password, who needs it, and a database of its own."""
    rules = server.data / "pg_hba.conf"
    rules.write_text(f"host all till 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
    with psycopg.connect(f"{server.url}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE ROLE till LOGIN PASSWORD '{PASSWORD}'")
        connection.execute("CREATE DATABASE till OWNER till")
        connection.execute("SELECT pg_reload_conf()")


def test_no_rows_are_no_statement(url: str) -> None:
    """What was found before is not taken for the answer, and the next statement has its own."""
    with psycopg.connect(url) as connection:
        cursor = PostgresCursor(connection)
        cursor.execute("SELECT generate_series(1, 3)")
        cursor.executemany("DELETE FROM a_table_that_is_nowhere WHERE id = ?", [])
        assert (0, None, [], []) == (
            cursor.rowcount, cursor.fetchone(), cursor.fetchmany(2), list(cursor)
        )  # fmt: skip
        assert 2 == cursor.execute("SELECT generate_series(1, 2)").rowcount
        assert [(1,), (2,)] == cursor.fetchall()


def test_what_is_wrong_with_a_url_is_told_without_its_password(server: PostgresServer) -> None:
    """Password, database, server, options: each message names it, none the password."""
    let_in_by_password(server)
    at = f"127.0.0.1:{server.port}"
    right = f"postgresql://till:{PASSWORD}@{at}/till"
    assert "0001" < migrate(right)
    assert current_revision(right.replace("postgresql:", "postgres:")) == current_revision(right)
    wrong = {
        f"postgresql://till:{PASSWORD}-no@{at}/till": "password authentication failed for user",
        f"postgresql://till@{at}/till": "no password supplied",
        f"postgresql://till:{PASSWORD}@{at}/shop": 'database "shop" does not exist',
        f"postgresql://till:{PASSWORD}@127.0.0.1:1/till": "refused",
        f"postgresql://till:{PASSWORD}@localhost:1/till": "refused",
        f"postgresql://till:{PASSWORD}@nowhere.invalid/till": "nowhere.invalid",
        f"postgresql://till:{PASSWORD}@{at}/till?colour=red": 'parameter: "colour"',
        f"postgresql://till:{PASSWORD}@{at}/till?sslmode=maybe": "sslmode",
        f"postgresql://till:{PASSWORD}@{at}/till?sslmode=require": "SSL",
        f"postgresql://till:{PASSWORD}@{at}:{at}/till": "can't be read",
        f"postgres;//till:{PASSWORD}@{at}/till": "can't be read",
    }
    for url, said in wrong.items():
        with pytest.raises(StoreError) as caught:
            Store.open(url, secret_key=SECRET_KEY)
        assert said in str(caught.value), url
        assert PASSWORD not in str(caught.value)
        assert "\n" not in str(caught.value)
    assert PASSWORD not in shown_url(right)


def test_a_user_without_rights_is_refused(server: PostgresServer) -> None:
    """Who may not make tables can't migrate; who may not write is told that."""
    let_in_by_password(server)
    url = server.make_database()
    theirs = url.replace("geotarget@", f"till:{PASSWORD}@")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    with pytest.raises(StoreError, match="refuses this user: permission denied for schema public"):
        Store.open(theirs, secret_key=SECRET_KEY)
    Store.open(url, secret_key=SECRET_KEY).close()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO till")
    with Store.open(theirs, migrate=False, secret_key=SECRET_KEY) as store:
        assert [] == store.transitions_page().items
        with pytest.raises(StoreError, match="refuses this user: permission denied for table"):
            store.write_batch(batch(1))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO till")
        connection.execute("GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO till")
    with Store.open(theirs, migrate=False, secret_key=SECRET_KEY) as store:
        store.write_batch(batch(1))
        assert [1] == written(store)


def test_a_replica_can_be_read(server: PostgresServer, url: str) -> None:
    """One that follows another server answers; what can't be written there says why."""
    with Store.open(url, secret_key=SECRET_KEY) as store:
        store.write_batch(batch(1))
        server.stop()
        (server.data / "standby.signal").touch()
        server.start()
        assert [1] == written(store)
        with pytest.raises(StoreError, match="its server is a replica, or set to read only"):
            store.write_batch(batch(2))


def test_of_several_servers_the_one_that_takes_writes_is_used(
    server: PostgresServer, url: str
) -> None:
    """As libpq writes them: hosts, ports, and `target_session_attrs`; notices go there too."""
    name = url.rpartition("/")[2]
    several = (
        f"postgresql://geotarget@/{name}?host=127.0.0.1,127.0.0.1&port=1,{server.port}"
        "&target_session_attrs=read-write"
    )
    heard = threading.Event()
    with Store.open(several, secret_key=SECRET_KEY) as store:
        store.write_batch(batch(1))
        assert [1] == written(store)
        listening = store.on_catalog_change(heard.set)
        try:
            store.put_zones([square("kamppi")])
            assert heard.wait(DEADLINE_S)
        finally:
            listening.stop()
    with pytest.raises(StoreError, match="port 2 failed: Connection refused"):
        Store.open(several.replace(f"1,{server.port}", "1,2"), secret_key=SECRET_KEY)


def test_without_the_key_of_the_secrets_nothing_is_opened(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no folder beside a server: the message says which variable to set, and how."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match=r"set GEOTARGET_SECRET_KEY \(`openssl rand -base64 32`\)"):
        Store.open(url)
    assert [] == list(tmp_path.iterdir())
    Store.open(url, secret_key=SECRET_KEY).close()
    with pytest.raises(StoreError, match="set GEOTARGET_SECRET_KEY"):
        Store.open(url)
