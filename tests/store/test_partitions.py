"""Days of history on PostgreSQL: where rows lie, and how a day goes as a whole."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from records import SECOND_MS, START_MS, at, attempt, decision, delivery, transition
from recounted import every
from structlog.testing import capture_logs
from test_postgres_schema import REVISIONS, bring

from geotarget.model import BatchWrite, Delivery
from geotarget.store import Keep, Store, migrate, partitions
from geotarget.store.database import cursor_of
from geotarget.store.event_days import DAY_MS
from geotarget.store.opening import open_database
from geotarget.store.partitions import DAYS_AHEAD, TABLES, Day, days_of, make_days
from geotarget.store.tables import STRETCH_BITS
from tests.postgres_server import SECRET_KEY, drop_database, make_database

FIRST = START_MS // DAY_MS
COPIED = {
    **dict.fromkeys(("transition", "decision"), "*"),
    "delivery": "seq, stretch, webhook_id, endpoint, type, device, zone, campaign, created_ms, "
    "expires_ms, state, attempts, next_attempt_ms, status, finished_ms, ordered",
    "delivery_body": "delivery, body",
    "attempt": "seq, delivery, started_ms, attempt, duration_ms, state, next_attempt_ms, status, "
    "error, answer",
    "span": "list, stretch, min_ms, max_ms",
    "counter": "name, value",
}
"""What a test puts into the tables of before."""

KEEP = Keep(history=90, deliveries=30)
A_DAY = DAY_MS // SECOND_MS
"""So many numbers of records are a day."""

MIDNIGHT = (DAY_MS - START_MS % DAY_MS) // SECOND_MS
"""The record of this number is the first one of the second day."""


class Clock:
    """A clock that is put where a test wants it, in days since the first one's midnight."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> int:
        """Return the time."""
        return round((FIRST + self.now) * DAY_MS)


@pytest.fixture
def clock() -> Clock:
    """Return the store's clock."""
    return Clock()


@pytest.fixture
def url(postgres_url: str, postgres_template: str) -> Iterator[str]:
    """Make a database with all tables and partitions for the days of the records."""
    made = make_database(postgres_url, postgres_template)
    yield made
    drop_database(made)


@pytest.fixture
def store(url: str, clock: Clock) -> Iterator[Store]:
    """Open it."""
    with Store.open(url, now_ms=clock, secret_key=SECRET_KEY) as store:
        yield store


def asked(store: Store, statement: str) -> list[Any]:
    """Return the rows of a question."""
    with store._database.read() as connection:
        return list(cursor_of(connection).execute(statement).fetchall())


def places(store: Store, table: str) -> dict[str, int]:
    """Return how many rows of a table lie in which partition."""
    where = f"SELECT CAST(CAST(tableoid AS REGCLASS) AS TEXT), count(*) FROM {table} GROUP BY 1"
    return dict(asked(store, where))


def dropped(store: Store, keep: Keep = KEEP) -> dict[str, int]:
    """Drop what is too old; return how many rows of what."""
    found: Counter[str] = Counter()
    for step in store.drop_old(keep):
        found[step.list] += step.rows
    return dict(found)


def fill(store: Store, numbers: range) -> list[Delivery]:
    """Write a transition, a decision and a delivery of each number; return the deliveries."""
    made = [delivery(number) for number in numbers]
    store.write_batch(
        BatchWrite(
            transitions=[transition(number) for number in numbers],
            decisions=[decision(number) for number in numbers],
            deliveries=made,
        )
    )
    return made


def test_rows_lie_in_the_day_of_their_id(store: Store) -> None:
    """To the millisecond; what has no instant, or one far away, lies in the rest."""
    fill(store, range(MIDNIGHT - 2, MIDNIGHT + 3))
    store.write_batch(
        BatchWrite(
            transitions=[transition(1, id="zzz"), transition(2000 * A_DAY)],
        )
    )
    assert {
        "transition_20260101": 2, "transition_20260102": 3, "transition_rest": 2,
    } == places(store, "transition")  # fmt: skip
    assert {"decision_20260101": 2, "decision_20260102": 3} == places(store, "decision")
    numbers = [seq for (seq,) in asked(store, "SELECT seq FROM transition")]
    assert len(set(numbers)) == len(numbers) == 7


def test_a_new_database_has_today_and_the_days_to_come(postgres_url: str) -> None:
    """After `migrate` at once, and a second time there is nothing to do."""
    made = make_database(postgres_url)
    try:
        migrate(made)
        with closing(open_database(made)) as database:
            for table in TABLES:
                days = days_of(database, table)
                assert DAYS_AHEAD + 1 == len(days)
                assert {1} == {after.number - before.number for before, after in pairwise(days)}
            assert 0 == make_days(database, days[0].start_ms)
            assert len(TABLES) == make_days(database, days[1].end_ms - 1)
    finally:
        drop_database(made)


def test_what_came_before_its_day_was_made(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is moved with its number, unless that is too much: then the day has no partition."""
    late = (100 * A_DAY, 101 * A_DAY)
    fill(store, range(late[0], late[0] + 3))
    fill(store, range(late[1], late[1] + 4))
    before = asked(store, "SELECT * FROM decision ORDER BY seq")
    monkeypatch.setattr(partitions, "MOST_MOVED", 3)
    assert len(TABLES) * DAYS_AHEAD == make_days(store._database, at(late[0]))
    day, next_day = (Day(at(each) // DAY_MS, "transition").name for each in late)
    assert {day: 3, "transition_rest": 4} == places(store, "transition")
    assert next_day not in {each.name for each in days_of(store._database, "transition")}
    assert before == asked(store, "SELECT * FROM decision ORDER BY seq")
    fill(store, range(late[0], late[0] + 3))  # once more: it is known
    assert 7 == store.counts().transitions


def test_a_migration_keeps_every_row(postgres_url: str) -> None:
    """From before there were partitions; numbers go on, and what is there goes row by row."""
    old, new = make_database(postgres_url), make_database(postgres_url)
    try:
        with Store.open(new, secret_key=SECRET_KEY, now_ms=lambda: at(0)) as store:
            made = fill(store, range(50))
            store.mark([attempt(each) for each in made[:20]])
            expected = {name: every(store, f"{name}s_page") for name in ("transition", "decision")}
            details = [store.delivery(each.webhook_id) for each in made]
            copies = {
                table: asked(store, f"SELECT {columns} FROM {table} ORDER BY 1, 2")
                for table, columns in COPIED.items()
            }
        bring(old, REVISIONS[REVISIONS.index("0010") - 1])
        with psycopg.connect(old) as connection:
            connection.execute("DELETE FROM counter")
            for table, rows in copies.items():
                kept = [row for row in rows if not str(row[0]).startswith("last ")]
                values = ", ".join(["%s"] * len(rows[0]))
                connection.cursor().executemany(f"INSERT INTO {table} VALUES ({values})", kept)
        with Store.open(old, secret_key=SECRET_KEY, now_ms=lambda: at(0) + 91 * DAY_MS) as store:
            for table, rows in copies.items():
                columns = COPIED[table]
                assert rows == asked(store, f"SELECT {columns} FROM {table} ORDER BY 1, 2")
            for name, rows in expected.items():
                assert rows == every(store, f"{name}s_page")
            assert details == [store.delivery(each.webhook_id) for each in made]
            assert {"transition_rest": 50} == places(store, "transition")
            fill(store, range(40, 60))  # ten are new
            for table in ("transition", "decision", "delivery"):
                numbers = f"SELECT max(seq), count(*), count(DISTINCT seq) FROM {table}"
                assert [(70, 60, 60)] == asked(store, numbers)
            assert 40 == len(store.claim(now_ms=2**47, limits={"crm": 99}, lease_ms=1))
            assert {"transition": 60, "decision": 60, "delivery": 20} == dropped(store)
    finally:
        drop_database(old)
        drop_database(new)


def test_a_day_goes_as_a_whole(store: Store, clock: Clock) -> None:
    """When the last of it is too old, in one step; what is counted stays right."""
    fill(store, range(MIDNIGHT - 300, MIDNIGHT + 200))
    clock.now = 90.999
    assert {} == dropped(store)
    clock.now = 91
    before = store.counts(), store.tallies("campaign-0")
    assert [("transition", 300), ("decision", 300)] == [
        (step.list, step.rows) for step in store.drop_old(KEEP)
    ]
    assert before == (store.counts(), store.tallies("campaign-0"))
    kept = range(MIDNIGHT, MIDNIGHT + 200)
    assert [transition(number) for number in kept] == every(store, "transitions_page")
    assert [decision(number) for number in kept] == every(store, "decisions_page")
    assert [FIRST + 1] == [each.number for each in days_of(store._database, "transition")][:1]
    clock.now = 92
    assert {"transition": 200, "decision": 200} == dropped(store)
    assert {} == dropped(store)
    assert [] == store.transitions_page().items


def test_numbers_go_on_when_all_days_are_gone(store: Store, clock: Clock) -> None:
    """Cursors and those who follow miss nothing; of what is gone no stretch is left."""
    count = 2**STRETCH_BITS + 10
    for start in range(0, count, 1_000):
        fill(store, range(start, min(start + 1_000, count)))
    place = store.feed_end()
    assert (count, count) == (place.transition, place.decision)
    clock.now = 92
    assert {"transition": count, "decision": count} == dropped(store, Keep(history=90))
    assert place == store.feed_end()
    for table in ("transition", "decision"):
        spans = asked(store, f"SELECT stretch FROM span WHERE list = '{table}'")
        assert 1 == len(spans)
    fill(store, range(count, count + 10))
    assert [(count + 1, count + 10)] == asked(store, "SELECT min(seq), max(seq) FROM transition")
    assert {"transition_rest": 10} == places(store, "transition")  # too late for its day
    moments, after = store.moments_after(place)
    assert 20 == len(moments)
    assert ([], after) == store.moments_after(after)


def test_what_has_to_stay_of_a_day_stays(store: Store, clock: Clock) -> None:
    """What was decided long after its transition: it lies in the rest, and goes in its time."""
    late = replace(decision(200), decided_ms=at(0) + 60 * DAY_MS)
    fill(store, range(100))
    store.write_batch(BatchWrite(decisions=[late]))
    clock.now = 91
    assert {"transition": 100, "decision": 100} == dropped(store, Keep(history=90))
    assert [late] == store.decisions_page().items
    assert [late] == store.decisions_page(device=late.device, from_ms=late.decided_ms).items
    assert {"decision_rest": 1} == places(store, "decision")
    store.write_batch(BatchWrite(decisions=[late]))  # it is known
    assert 101 == store.counts().decisions_fired
    clock.now = 151
    assert {"decision": 1} == dropped(store, Keep(history=90))


def test_too_much_that_has_to_stay(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The day waits for a day to go as a whole; then its rows go one by one."""
    late = [replace(decision(number), decided_ms=at(0) + 60 * DAY_MS) for number in range(10)]
    store.write_batch(BatchWrite(decisions=late))
    fill(store, range(10, 30))
    monkeypatch.setattr(partitions, "MOST_MOVED", 9)
    clock.now = 91.5
    assert {"transition": 20} == dropped(store, Keep(history=90))
    clock.now = 92
    assert {"decision": 20} == dropped(store, Keep(history=90))
    assert {"decision_20260101": 10} == places(store, "decision")
    monkeypatch.undo()
    assert {} == dropped(store, Keep(history=90))
    assert {"decision_rest": 10} == places(store, "decision")
    assert late == every(store, "decisions_page")


def test_a_day_in_use_is_left_for_the_next_time(url: str, store: Store, clock: Clock) -> None:
    """Who reads for long is not disturbed, and nobody queues behind: others write meanwhile."""
    fill(store, range(10))
    clock.now = 91
    with psycopg.connect(url) as reader:
        assert (10,) == reader.execute("SELECT count(*) FROM transition").fetchone()
        assert {"decision": 10} == dropped(store)
        fill(store, range(20, 22))
        assert (12,) == reader.execute("SELECT count(*) FROM transition").fetchone()
    assert {"transition": 12, "decision": 2} == dropped(store)
    assert 12 == store.counts().transitions


def test_two_who_keep_one_database(store: Store, clock: Clock, url: str) -> None:
    """Each day is made once and dropped once."""
    fill(store, range(MIDNIGHT - 50, MIDNIGHT + 50))
    clock.now = 200
    found: Counter[str] = Counter()
    with Store.open(url, now_ms=clock, secret_key=SECRET_KEY) as other:
        threads = [
            threading.Thread(target=lambda each=each: found.update(dropped(each)))
            for each in (store, other)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    found.update(dropped(store))
    assert {"transition": 100, "decision": 100} == found
    assert [] == store.transitions_page().items


def test_who_knows_an_id_asks_one_partition(store: Store) -> None:
    """An insert, too, touches no other day."""
    with store._database.write() as connection:
        cursor = cursor_of(connection)
        cursor.execute("SELECT seq FROM transition WHERE id = ?", (transition(1).id,)).fetchall()
        locked = cursor.execute(
            "SELECT CAST(relname AS TEXT) FROM pg_locks JOIN pg_class ON pg_class.oid = relation "
            "WHERE pid = pg_backend_pid() AND relkind = 'r' AND relname LIKE 'transition%' "
        ).fetchall()
    assert [("transition_20260101",)] == locked


def test_a_stretch_knows_between_which_ids_it_lies(store: Store) -> None:
    """However its rows came; too wide is only slower, too narrow would hide them."""
    late = transition(2000 * A_DAY, device="phone-x")
    store.write_batch(BatchWrite(transitions=[transition(n) for n in range(10, 4_000)]))
    store.write_batch(BatchWrite(transitions=[transition(n) for n in range(4_000, 4_300)]))
    store.write_batch(BatchWrite(transitions=[transition(1, device="phone-x"), late]))
    known = asked(
        store,
        "SELECT stretch, first_id, last_id FROM span WHERE list = 'transition' ORDER BY stretch",
    )
    rows = asked(store, "SELECT stretch, min(id), max(id) FROM transition GROUP BY 1 ORDER BY 1")
    assert 2 == len(rows)
    assert rows == known
    found = [late, transition(1, device="phone-x")]
    assert found == store.transitions_page(device="phone-x").items


def test_erasure_reaches_every_partition(store: Store) -> None:
    """Days and the rest alike."""
    fill(store, range(MIDNIGHT - 10, MIDNIGHT + 10))
    fill(store, range(100 * A_DAY, 100 * A_DAY + 10))
    assert 3 == len(places(store, "transition"))
    store.erase_profile("phone-1")
    left = every(store, "transitions_page")
    assert 24 == len(left)
    assert "phone-1" not in {each.device for each in left}
    assert 24 == len(every(store, "decisions_page")) == len(every(store, "deliveries_page"))


def test_who_may_not_drop_a_day(url: str, clock: Clock) -> None:
    """A process that does not own the tables drops rows, a day later, and makes no days."""
    with Store.open(url, now_ms=clock, secret_key=SECRET_KEY) as store:
        fill(store, range(10))
    guest = f"guest_{url.rpartition('_')[2]}"
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {guest} LOGIN")
        owner.execute(
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {guest}"
        )
        owner.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {guest}")
    try:
        named = url.replace("geotarget@", f"{guest}@")
        with Store.open(named, now_ms=clock, secret_key=SECRET_KEY) as store:
            fill(store, range(20, 30))
            clock.now = 91.5
            assert {} == dropped(store, Keep(history=90))
            clock.now = 92
            assert {"transition": 20, "decision": 20} == dropped(store, Keep(history=90))
            assert [FIRST, FIRST + 1] == [
                each.number for each in days_of(store._database, "transition")
            ]
    finally:
        with psycopg.connect(url, autocommit=True) as owner:
            owner.execute(f"DROP OWNED BY {guest}")
            owner.execute(f"DROP ROLE {guest}")


def test_a_server_with_few_locks_is_named(url: str) -> None:
    """Who runs with the default is told before readers run into it."""
    with closing(open_database(url)) as database, capture_logs() as logs:
        make_days(database, START_MS)
    (told,) = [each for each in logs if "few locks" in each["event"]]
    assert (64, 512) == (told["max_locks_per_transaction"], told["wanted"])
