"""The process that writes batches drops what is too old, a step at a time, until it is stopped."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from structlog.testing import capture_logs

from geotarget.model import BatchWrite
from geotarget.runtime.keeping import Keeper
from geotarget.settings import Settings
from geotarget.store import Keep, Store
from geotarget.store.retention import ROWS_AT_ONCE
from tests.store.records import at, transition

DAY_S = 86_400
DEADLINE_S = 60
COUNT = 3 * ROWS_AT_ONCE


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Make a database with transitions of 100 days ago, and one of today."""
    with Store.open(f"sqlite:///{tmp_path / 'store.db'}", now_ms=lambda: at(100 * DAY_S)) as store:
        old = [transition(number) for number in range(COUNT)]
        store.write_batch(BatchWrite(transitions=[*old, transition(100 * DAY_S)]))
        yield store


def test_what_is_too_old_is_dropped_and_told(store: Store) -> None:
    """One line of log for all of it, and none when there was nothing."""
    keeper = Keeper(store, Keep(history=90))
    with capture_logs() as logs:
        assert {"transition": COUNT} == keeper.drop()
        assert {} == keeper.drop()
    assert [{"event": "old rows dropped", "log_level": "info", "transition": COUNT}] == logs
    assert [transition(100 * DAY_S)] == store.transitions_page().items


def test_a_stop_waits_for_one_step_only(store: Store) -> None:
    """The rest is for the next process."""
    keeper = Keeper(store, Keep(history=90))
    keeper.stop()
    assert {"transition": ROWS_AT_ONCE} == keeper.drop()
    keeper.run()
    assert COUNT + 1 - ROWS_AT_ONCE == len(store.transitions_page(limit=1000).items)


def test_it_goes_on_until_it_is_stopped(store: Store) -> None:
    """What gets too old later is found the next time; batches are written meanwhile."""
    keeper = Keeper(store, Keep(history=90), every_s=0.01)
    thread = Thread(target=keeper.run)
    thread.start()
    deadline = time.monotonic() + DEADLINE_S
    for number in range(2):
        late = transition(COUNT + number)
        store.write_batch(BatchWrite(transitions=[late]))
        while [transition(100 * DAY_S)] != store.transitions_page().items:
            assert time.monotonic() < deadline
    keeper.stop()
    thread.join(DEADLINE_S)
    assert not thread.is_alive()


def test_behaviour_is_looked_for_only_when_it_is_wanted(store: Store) -> None:
    """Everything else is dropped all the same."""
    keeper = Keeper(store, Keep(behaviour=1))
    assert {} == keeper.drop(behaviour=False)
    assert {} == keeper.drop()  # five devices were heard of today


def test_a_database_that_can_not_be_written_ends_nothing(store: Store) -> None:
    """It is said, and tried again."""
    keeper = Keeper(store, Keep(history=90), every_s=0.01)
    store.close()
    with capture_logs() as logs:
        thread = Thread(target=keeper.run)
        thread.start()
        deadline = time.monotonic() + DEADLINE_S
        while len(logs) < 2:
            assert time.monotonic() < deadline
        keeper.stop()
        thread.join(DEADLINE_S)
    assert {"old rows could not be dropped"} == {each["event"] for each in logs}
    assert "was closed" in logs[0]["error"]


def test_settings_say_for_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """In days; zero is for good."""
    assert Keep(90, 30, 400, 400, 400) == Settings.read().keep()
    monkeypatch.setenv("GEOTARGET_RETENTION_HISTORY_DAYS", "7")
    monkeypatch.setenv("GEOTARGET_RETENTION_BEHAVIOUR_DAYS", "0")
    assert Keep(7, 30, 400, 0, 400) == Settings.read().keep()
