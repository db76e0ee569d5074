"""Turns of workers with slots run beside each other on PostgreSQL, as far as nobody can tell.

Everything happens in one thread: a turn that is open stays open while another is tried, and one
that would have to wait says that the database is busy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from contract_slots import ready, states, writing
from records import at, decision, transition

from geotarget.errors import StoreError
from geotarget.ingest.slots import ALL_SLOTS, slot_of
from geotarget.model import BatchWrite, Fired, Profile, Spent
from geotarget.store import Store
from tests.postgres_server import SECRET_KEY, drop_database, make_database

BUSY_S = 0.2

NAMES = [f"phone-{number}" for number in range(40)]
OURS = [name for name in NAMES if slot_of(name) % 2]
THEIRS = [name for name in NAMES if not slot_of(name) % 2]


@pytest.fixture
def url(postgres_url: str, postgres_template: str) -> Iterator[str]:
    """A database with all tables."""
    made = make_database(postgres_url, postgres_template)
    yield made
    drop_database(made)


@pytest.fixture
def open_store(url: str) -> Iterator[Callable[[], Store]]:
    """Open the database once more, as another process would."""
    opened: list[Store] = []

    def make() -> Store:
        opened.append(Store.open(url, secret_key=SECRET_KEY, busy_s=BUSY_S))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def ours(open_store: Callable[[], Store]) -> Store:
    """A worker with the odd slots."""
    return worker(open_store(), "a", 1)


@pytest.fixture
def theirs(open_store: Callable[[], Store], ours: Store) -> Store:
    """A worker with the even slots."""
    del ours  # it made the rows of the slots
    return worker(open_store(), "b", 0)


def worker(store: Store, name: str, rest: int) -> Store:
    among = [slot for slot in ALL_SLOTS if slot % 2 == rest]
    taken = ready(store).take_slots(name, among=among, most=64, lease_ms=600_000)
    writing(store, name, {each.slot: each.epoch for each in taken})
    store.write_batch(BatchWrite())  # the first one of an hour drops what is old
    return store


def moved(number: int, device: str) -> BatchWrite:
    """Make a batch in which one device enters a zone, and an offer is fired."""
    return BatchWrite(
        transitions=[transition(number, device=device)],
        decisions=[decision(number, device=device, profile=device, campaign="buns")],
    )


def busy() -> Any:
    return pytest.raises(StoreError, match="is busy")


def test_states_are_written_at_the_same_time(ours: Store, theirs: Store) -> None:
    """Nobody waits for the states of other devices, whether asked about or written."""
    with ours.turn() as turn:
        turn.profiles_of(OURS)
        turn.behaviour_of(OURS)
        turn.write(states(OURS, 1))
        with theirs.turn() as other:
            other.profiles_of(THEIRS)
            other.last_fired([("buns", name) for name in THEIRS])
            other.write(states(THEIRS, 2))
        assert set(THEIRS) == set(ours.load_devices()[0])
    assert {*OURS, *THEIRS} == set(theirs.load_devices()[0])


def test_whoever_is_no_worker_writes_alone(
    ours: Store, theirs: Store, open_store: Callable[[], Store]
) -> None:
    """Consent, links, campaigns and erasures stand still in a turn; so does one without slots."""
    office, alone = open_store(), open_store()
    with ours.turn() as turn:
        turn.write(states(OURS, 1))
        with busy():
            office.put_profile(Profile("ann", consent={"marketing": False}))
        with busy(), alone.turn():
            pass
    with alone.turn(), busy(), theirs.turn():
        pass
    office.put_profile(Profile("ann"))


def test_numbers_are_in_the_order_of_commits(ours: Store, theirs: Store) -> None:
    """Whoever has written history is first; the next one's numbers follow, without a gap."""
    with ours.turn() as turn:
        turn.write(moved(1, OURS[0]))
        with busy():
            theirs.write_batch(moved(2, THEIRS[0]))
        theirs.write_batch(states(THEIRS, 3))
    theirs.write_batch(moved(2, THEIRS[0]))
    ours.write_batch(moved(3, OURS[1]))
    newest_first = ours.transitions_page(limit=9).items
    assert [OURS[1], THEIRS[0], OURS[0]] == [each.device for each in newest_first]
    assert 3 == ours.counts().decisions_fired


@pytest.mark.parametrize("day", ["", "2025-12-31"])
def test_a_budget_is_spent_one_after_the_other(ours: Store, theirs: Store, day: str) -> None:
    """Whoever has asked spends first; others wait, unless they ask about another campaign."""
    budget = [("buns", day)]
    with ours.turn() as turn:
        assert {} == turn.spent(budget)
        with theirs.turn() as other:
            assert {} == other.spent([("coffee", day)])
        with busy(), theirs.turn() as other:
            other.spent([("coffee", day), ("buns", "2026-01-01")])
        turn.write(moved(1, OURS[0]))
    with theirs.turn() as other:
        assert {("buns", day): Spent(1, 50_000)} == other.spent(budget)


def test_people_are_decided_about_one_after_the_other(ours: Store, theirs: Store) -> None:
    """Two devices of one person, in slots of two workers: nothing that was counted is lost."""
    ours.put_profile(Profile("ann", devices=(OURS[0], THEIRS[0])))
    with ours.turn() as turn:
        assert "ann" == turn.profiles_of(OURS)[OURS[0]].id
        with busy(), theirs.turn() as other:
            other.profiles_of(THEIRS)
        with theirs.turn() as other:
            other.profiles_of(THEIRS[1:])
            other.write(states(THEIRS, 2))
        turn.write(anns(1, OURS[0]))
    with theirs.turn() as other:
        other.profiles_of(THEIRS)
        assert 1 == other.behaviour_of(["ann"])["ann"].visits_total
        fired = other.last_fired([("buns", "ann")])
        assert {("buns", "ann"): Fired(at(1), 1)} == fired
        other.write(anns(2, THEIRS[0]))
    with ours.questions() as asking:
        assert 2 == asking.behaviour_of(["ann"])["ann"].visits_total
        assert 2 == asking.last_fired([("buns", "ann")])["buns", "ann"].count


def test_who_only_writes_waits_for_people_too(ours: Store, theirs: Store) -> None:
    """A batch that asked nothing adds to what others have counted, and takes nothing away."""
    ours.put_profile(Profile("ann", devices=(OURS[0], THEIRS[0])))
    with ours.turn() as turn:
        turn.profiles_of(OURS)
        with busy():
            theirs.write_batch(anns(2, THEIRS[0]))
        turn.write(anns(1, OURS[0]))
    theirs.write_batch(anns(2, THEIRS[0]))
    with ours.questions() as asking:
        assert 2 == asking.behaviour_of(["ann"])["ann"].visits_total


def anns(number: int, device: str) -> BatchWrite:
    """Make a batch in which one of Ann's devices enters a zone, and an offer is fired."""
    return BatchWrite(
        transitions=[transition(number, device=device)],
        decisions=[decision(number, device=device, profile="ann", campaign="buns")],
        profiles={device: "ann"},
    )
