"""What was kept long enough goes, exactly that, piece by piece; the rest answers as before."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from threading import Thread
from typing import Any

import pytest
from records import START_MS, attempt, decision, delivery, transition
from recounted import every

from geotarget.model import Attempt, BatchWrite, Conversion, Delivery, Profile
from geotarget.store import Dropped, Keep, Store
from geotarget.store.database import cursor_of
from geotarget.store.retention import LOOKED_AT_ONCE
from geotarget.store.tables import STRETCH_BITS
from geotarget.store.waiting import put_again
from tests.postgres_server import SECRET_KEY

DAY_MS = 86_400_000
DEADLINE_S = 60
FIRST_DAY = START_MS // DAY_MS
KEEP = Keep(history=90, deliveries=30, conversions=400, behaviour=200)


def day(number: float) -> int:
    """Return an instant, in days; whole ones are midnight in UTC, where PostgreSQL's days end."""
    return START_MS - START_MS % DAY_MS + round(number * DAY_MS)


@dataclass
class Clock:
    """A clock that is put where a test wants it."""

    now: float = field(default=0.0)

    def __call__(self) -> int:
        """Return the time."""
        return day(self.now)


@pytest.fixture
def clock() -> Clock:
    """Return the store's clock."""
    return Clock()


@pytest.fixture
def store(database_url: str, clock: Clock) -> Iterator[Store]:
    """Open a database that lives by the clock."""
    with Store.open(database_url, now_ms=clock, secret_key=SECRET_KEY) as store:
        yield store


def dropped(store: Store, keep: Keep = KEEP, **options: Any) -> dict[str, int]:
    """Drop what is too old; return how many rows of what."""
    found: Counter[str] = Counter()
    for step in store.drop_old(keep, **options):
        found[step.list] += step.rows
    return dict(found)


def numbers(store: Store, table: str) -> list[int]:
    """Return the numbers of the rows of a table."""
    with store._database.read() as connection:
        rows = cursor_of(connection).execute(f"SELECT seq FROM {table} ORDER BY seq")
        return [seq for (seq,) in rows]


def finished(of: Delivery, at: float, state: str = "delivered") -> Attempt:
    """Make the attempt that ended a delivery on a day."""
    return attempt(of, started_ms=day(at), duration_ms=0, state=state)


def test_exactly_what_is_too_old_goes(store: Store, clock: Clock) -> None:
    """Whatever the order that it came in, over several stretches; a second time there is nothing.

    Lists, filters, details and counters answer as if what went had never been, but for the totals
    since the beginning and the sums, which stay.
    """
    random = Random(5)
    count = 2**STRETCH_BITS + 900
    days = [random.choice([random.uniform(0, 200), n / count * 200]) for n in range(count)]
    moves = [transition(n, ts_ms=day(days[n])) for n in range(count)]
    made = [
        decision(n, decided_ms=day(days[n]), **({} if n % 3 else {"gate": "cap", "offer": None}))
        for n in range(0, count, 2)
    ]
    sent = [delivery(n, created_ms=day(days[n])) for n in range(0, count, 5)]
    for start in range(0, count, 700):
        store.write_batch(BatchWrite(transitions=moves[start : start + 700]))
    store.write_batch(BatchWrite(decisions=made, deliveries=sent))
    ends = {
        each.webhook_id: (each.created_ms + random.randrange(9 * DAY_MS), state)
        for each in sent
        if (state := random.choice(["delivered", "failed", "expired", ""]))
    }
    store.mark(
        [
            attempt(each, started_ms=end, duration_ms=0, state=state)
            for each in sent
            if each.webhook_id in ends
            for end, state in [ends[each.webhook_id]]
        ]
    )
    clock.now = 205
    before, tallies = store.counts(), [store.tallies(f"campaign-{n}") for n in (0, 1)]
    exposures = [store.exposures(f"campaign-{n}") for n in (0, 1)]
    cut, ended = day(205 - 90), day(205 - 30)
    rows = {
        "transitions_page": [each for each in moves if each.ts_ms >= cut],
        "decisions_page": [each for each in made if each.decided_ms >= cut],
    }
    kept = [
        each for each in sent
        if each.webhook_id not in ends or ends[each.webhook_id][0] >= ended
    ]  # fmt: skip
    gone = {each.webhook_id for each in sent} - {each.webhook_id for each in kept}
    assert gone
    steps = list(store.drop_old(KEEP, rows_at_once=97))
    assert max(step.rows for step in steps) == 97
    assert {
        "transition": count - len(rows["transitions_page"]),
        "decision": len(made) - len(rows["decisions_page"]),
        "delivery": len(gone),
    } == {
        name: sum(step.rows for step in steps if step.list == name)
        for name in ("transition", "decision", "delivery")
    }
    for name, expected in rows.items():
        assert expected == every(store, name)
    assert [each.webhook_id for each in kept] == [
        each.webhook_id for each in every(store, "deliveries_page")
    ]
    for name, value in {"device": "phone-3", "zone": "zone-1"}.items():
        page = store.transitions_page(**{name: value}, limit=1000)  # type: ignore[arg-type]
        found = [each for each in rows["transitions_page"] if getattr(each, name) == value]
        assert found[::-1][:1000] == page.items
    middle = store.transitions_page(from_ms=day(110), to_ms=day(120), limit=1000).items
    assert {each for each in middle} == {  # noqa: C416 - compared without an order
        each for each in rows["transitions_page"] if each.ts_ms < day(120)
    }
    assert all(store.delivery(webhook_id) == [] for webhook_id in gone)
    assert all(len(store.delivery(each.webhook_id)) == 1 for each in kept)
    with store._database.read() as connection:
        cursor = cursor_of(connection)
        for table in ("delivery_body", "attempt"):
            of = cursor.execute(f"SELECT DISTINCT delivery FROM {table}").fetchall()
            assert {seq for (seq,) in of} <= set(numbers(store, "delivery"))
    after = store.counts()
    states = Counter(each.state for each in every(store, "deliveries_page"))
    for state in ("pending", "delivered", "failed", "expired"):
        assert states[state] == getattr(after, f"deliveries_{state}")
    for name in ("transitions", "entries", "decisions_fired", "decisions_refused", "attempts"):
        assert getattr(before, name) == getattr(after, name)
    assert tallies == [store.tallies(f"campaign-{n}") for n in (0, 1)]
    assert exposures == [store.exposures(f"campaign-{n}") for n in (0, 1)]
    assert {} == dropped(store)


def test_what_is_just_old_enough_to_stay_stays(store: Store, clock: Clock) -> None:
    """To the millisecond."""
    clock.now = 90
    store.write_batch(
        BatchWrite(
            transitions=[transition(1, ts_ms=day(0)), transition(2, ts_ms=day(0) - 1)],
            decisions=[decision(1, decided_ms=day(0)), decision(2, decided_ms=day(0) - 1)],
        )
    )
    assert {"transition": 1, "decision": 1} == dropped(store)
    assert [transition(1, ts_ms=day(0))] == store.transitions_page().items
    assert [decision(1, decided_ms=day(0))] == store.decisions_page().items


def test_nothing_goes_that_is_to_be_kept_for_good(store: Store, clock: Clock) -> None:
    """Zero days mean for ever."""
    store.write_batch(BatchWrite(transitions=[transition(1)], decisions=[decision(1)]))
    clock.now = 100_000
    assert {} == dropped(store, Keep())


def test_deliveries_that_wait_or_can_be_sent_again_stay(store: Store, clock: Clock) -> None:
    """However old a waiting one is; one that ended goes by when it ended, not when it was made."""
    made = {
        name: delivery(number, created_ms=day(0))
        for number, name in enumerate(["waits", "failed long ago", "failed lately", "sent"])
    }
    store.write_batch(BatchWrite(deliveries=list(made.values())))
    store.mark(
        [
            finished(made["failed long ago"], 1, "failed"),
            finished(made["failed lately"], 80, "failed"),
            finished(made["sent"], 1),
        ]
    )
    clock.now = 100
    assert {"delivery": 2} == dropped(store)
    assert [] == store.delivery(made["sent"].webhook_id)
    assert 1 == store.requeue(made["failed lately"].webhook_id, None, now_ms=clock())
    clock.now = 200
    assert {} == dropped(store)
    (waits, again) = sorted(each.webhook_id for each in store.deliveries_page().items)
    assert {made["waits"].webhook_id, made["failed lately"].webhook_id} == {waits, again}
    assert 2 == store.counts().deliveries_pending
    assert 0 == store.counts().deliveries_failed


def test_a_delivery_that_is_sent_again_meanwhile_stays(store: Store, clock: Clock) -> None:
    """Between two steps somebody asks for a replay of what would be next."""
    made = [delivery(number, created_ms=day(0)) for number in range(3)]
    store.write_batch(BatchWrite(deliveries=made))
    store.mark([finished(each, 1) for each in made])
    clock.now = 100
    steps = store.drop_old(KEEP, rows_at_once=1)
    assert "delivery" == next(steps).list
    store.requeue(made[2].webhook_id, None, now_ms=clock())
    assert [1] == [step.rows for step in steps]
    assert [made[2].webhook_id] == [each.webhook_id for each in store.deliveries_page().items]


def test_what_changes_between_look_and_deletion_stays(store: Store, clock: Clock) -> None:
    """A step looks without the write lock; what is sent again before it has it is left alone."""
    made = [delivery(number, created_ms=day(0)) for number in range(3)]
    store.write_batch(BatchWrite(deliveries=made))
    store.mark([finished(each, 1) for each in made])
    clock.now = 100
    steps: list[Dropped] = []
    thread = Thread(target=lambda: steps.extend(store.drop_old(KEEP)))
    deadline = time.monotonic() + DEADLINE_S
    with store._database.write() as connection:
        thread.start()
        while not store._database._turnstile._queue:  # it has looked, and waits for its turn
            assert time.monotonic() < deadline
        put_again(cursor_of(connection), [2], [FIRST_DAY], now_ms=clock(), for_good=True)
    thread.join(DEADLINE_S)
    assert [Dropped("delivery", 2)] == steps
    assert [made[1].webhook_id] == [each.webhook_id for each in store.deliveries_page().items]


def test_who_ends_half_way_goes_on_later(store: Store, clock: Clock) -> None:
    """Each step stands for itself."""
    moves = [transition(number, ts_ms=day(number)) for number in range(100)]
    store.write_batch(BatchWrite(transitions=moves))
    clock.now = 150
    steps = store.drop_old(KEEP, rows_at_once=7)
    next(steps)
    next(steps)
    steps.close()
    assert moves[14:] == every(store, "transitions_page")
    assert {"transition": 60 - 14} == dropped(store)
    assert moves[60:] == every(store, "transitions_page")


@pytest.mark.parametrize("last_is_late", [False, True])
def test_numbers_are_not_given_again(store: Store, clock: Clock, *, last_is_late: bool) -> None:
    """Not even when the newest row is the one that went, so cursors go on and hide nothing."""
    kept = transition(0, ts_ms=day(300))
    moves = [transition(number, ts_ms=day(0)) for number in range(1, 6)]
    made = [delivery(number, created_ms=day(0)) for number in range(1, 6)]
    store.write_batch(BatchWrite(transitions=[kept] if last_is_late else []))
    store.write_batch(BatchWrite(transitions=moves, decisions=[decision(1)], deliveries=made))
    store.mark([finished(each, 1) for each in made])
    used = {name: numbers(store, name)[-1] for name in ("transition", "decision", "delivery")}
    clock.now, history = 300, Keep(history=90, deliveries=30)
    assert {"transition": 5, "decision": 1, "delivery": 5} == dropped(store, history)
    assert {} == dropped(store, history)
    new = transition(9, ts_ms=day(300))
    store.write_batch(
        BatchWrite(transitions=[new], decisions=[decision(9)], deliveries=[delivery(9)])
    )
    for name, last in used.items():
        assert last < numbers(store, name)[-1]
    assert [new, kept][: 1 + last_is_late] == store.transitions_page().items
    assert [new] == store.transitions_page(from_ms=day(300), device="phone-4").items
    store.mark([finished(delivery(9), 300)])
    (detail,) = store.delivery(delivery(9).webhook_id)
    assert 1 == len(detail.attempts)


def test_a_list_that_was_emptied_costs_no_stretches(store: Store, clock: Clock) -> None:
    """Of what is gone only the numbering is left."""
    count = 3 * 2**STRETCH_BITS
    moves = [transition(number, ts_ms=day(0)) for number in range(count)]
    for start in range(0, count, 4000):
        store.write_batch(BatchWrite(transitions=moves[start : start + 4000]))
    clock.now = 91
    assert {"transition": count} == dropped(store, Keep(history=90))
    with store._database.read() as connection:
        spans = cursor_of(connection).execute("SELECT list, stretch FROM span").fetchall()
    assert [("transition", 4)] == spans


def test_conversions_go_by_when_they_were_reported(store: Store, clock: Clock) -> None:
    """And one for a decision that is gone is answered as one for a decision that never was."""

    def sale(number: int, **changes: Any) -> Conversion:
        instants = {"at_ms": day(clock.now), "received_ms": day(clock.now)}
        bought = {"value_micros": 2_500_000, "currency": "EUR", "category": ""}
        return Conversion(
            **({"id": f"sale-{number}", "profile": "anna", **instants, **bought} | changes)
        )

    for number in range(10):
        clock.now = number * 100
        store.record_conversions([sale(number)])
    clock.now = 900
    assert {"conversion": 5} == dropped(store, rows_at_once=2)
    left = [each.id for each in store.conversions_page().items]
    assert [f"sale-{number}" for number in range(9, 4, -1)] == left
    made = decision(1, profile="anna", decided_ms=day(890), counts_until_ms=day(2000))
    store.write_batch(BatchWrite(decisions=[made]))
    (counted,) = store.record_conversions([sale(20, profile="", decision=made.id)])
    assert ("new", made.id) == (counted.state, counted.conversion.decision)
    clock.now = 1000
    assert 1 == dropped(store)["decision"]
    (unknown,) = store.record_conversions([sale(21, profile="", decision=made.id)])
    assert ("refused", "no decision has this id") == (unknown.state, unknown.problem)


def test_behaviour_that_nobody_adds_to_is_forgotten(store: Store, clock: Clock) -> None:
    """The profile itself stays, and so does the behaviour of those who are still about."""
    names = [f"phone-{number}" for number in range(LOOKED_AT_ONCE + 10)]
    store.write_batch(
        BatchWrite(
            transitions=[transition(n, device=name, ts_ms=day(0)) for n, name in enumerate(names)]
        )
    )
    store.put_profile(Profile("phone-3", {"tier": "gold"}))
    clock.now = 150
    again = [transition(90_000, device="phone-7", ts_ms=day(150))]
    store.write_batch(BatchWrite(transitions=again))
    clock.now = 230
    found = dropped(store)
    assert len(names) - 1 == found["behaviour"]
    with store.turn() as turn:
        behaviour = turn.behaviour_of(["phone-3", "phone-7"])
    assert {"phone-3": False, "phone-7": True} == {
        name: bool(each.stays) for name, each in behaviour.items()
    }
    assert Profile("phone-3", {"tier": "gold"}) == store.profile("phone-3")
    assert [] == store.transitions_page(device="phone-3").items
    assert again == store.transitions_page().items
