"""A slot that was not given back clean is held until NATS has nothing more, and no longer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from geotarget.ingest.slots import slot_of
from tests.ingest.harness import Eventually, NatsServer, Phone
from tests.ingest.test_slot_source import Place, Worker, by_device, ping
from tests.ports import find_port

DEVICE = "phone-1"
SLOT = slot_of(DEVICE)
LONG_S = 60.0
"""No hold that lasts its time is over within a test."""
SOON_S = 10.0


@pytest.fixture
def place(nats_server: NatsServer) -> Place:
    """A NATS server that sends unacknowledged messages again after a second."""
    return Place(nats_server)


@pytest.fixture
def work(place: Place, eventually: Eventually) -> Iterator[Callable[..., Worker]]:
    """Make connected workers that have one slot; they are stopped with the test."""
    made: list[Worker] = []

    def make(*, clean: bool, nats: str = place.real.admin_url, hold_s: float = LONG_S) -> Worker:
        made.append(Worker(place.url, nats=nats))
        source = made[-1].source
        source._options["ack_wait_s"] = hold_s - 1.0
        source.take([SLOT], clean=clean)
        eventually(lambda: source.owned == {SLOT} and source.health() == (True, ""))
        if clean:
            eventually(lambda: not source._sessions[SLOT].interrupted, SOON_S)
        return made[-1]

    yield make
    for each in made:
        each.stop()


@pytest.fixture
def phone(place: Place, make_phone: Callable[..., Phone]) -> Phone:
    """A phone that is connected."""
    return make_phone(place.real.port, login=place.login)


def publish(phone: Phone, place: Place, *seconds: int) -> None:
    """Publish pings, and wait until the broker has them."""
    before = len(phone.acknowledged)
    for second in seconds:
        phone.publish(place.topic(DEVICE), ping(second))
    phone.settle(before + len(seconds))


def once(done: list[tuple[str, int]]) -> list[int]:
    """Seconds in the order in which they came first: what was held may have been read before."""
    return list(dict.fromkeys(second for _, second in done))


def test_where_nothing_is_unacknowledged_nothing_waits(
    place: Place, work: Any, phone: Phone, eventually: Eventually
) -> None:
    """The hold of a minute is over as soon as NATS has said so, for what came meanwhile too."""
    publish(phone, place, 1, 2)
    here = work(clean=False)
    eventually(lambda: once(here.done) == [1, 2], SOON_S)
    publish(phone, place, 3)
    eventually(lambda: once(here.done) == [1, 2, 3], SOON_S)
    eventually(lambda: not here.source._sessions[SLOT].interrupted, SOON_S)
    assert here.source.stop() is True
    assert here.source.clean == {SLOT}


def test_what_was_unacknowledged_is_waited_for(
    place: Place, work: Any, phone: Phone, eventually: Eventually
) -> None:
    """What the last owner had in hand comes behind what is new, and is applied before it."""
    last = work(clean=True)
    last.recorder.open.clear()
    publish(phone, place, 1, 2, 3)
    eventually(lambda: last.intake.stats.waiting == 3)
    last.source.release([SLOT], timeout_s=0.0)
    publish(phone, place, 4, 5)
    here = work(clean=False)
    eventually(lambda: len(here.done) >= 5, SOON_S)
    assert here.done[:5] == [(DEVICE, second) for second in range(1, 6)]
    assert by_device(here.done) == {DEVICE: [1, 2, 3, 4, 5]}


def test_a_clean_slot_is_checked_too(
    place: Place, work: Any, phone: Phone, eventually: Eventually
) -> None:
    """What was on its way while the last owner left is not late, though it could not know of it."""
    last = work(clean=True)
    last.recorder.open.clear()
    publish(phone, place, 1, 2)
    eventually(lambda: last.intake.stats.waiting == 2)
    last.source.disown([SLOT])
    last.source.release([SLOT], timeout_s=0.0)
    publish(phone, place, 3)
    here = work(clean=True)
    eventually(lambda: len(by_device(here.done).get(DEVICE, ())) == 3, SOON_S)
    assert once(here.done) == [1, 2, 3]


@pytest.mark.parametrize("clean", [False, True])
def test_whose_questions_nobody_answers_holds_for_its_time(
    clean: bool, place: Place, work: Any, phone: Phone, eventually: Eventually
) -> None:
    """It says so once, and holds as without it; its end waits for no answer."""
    publish(phone, place, 1)
    with capture_logs() as logs:
        began_s = time.monotonic()
        # not a whole number of seconds: then no copy is on its way when the hold ends
        here = work(clean=clean, nats=f"nats://x:y@127.0.0.1:{find_port()}", hold_s=3.5)
        eventually(lambda: here.done == [(DEVICE, 1)])
        assert time.monotonic() - began_s > 2.0
        assert here.source.stop() is True
    said = [each for each in logs if "can't be asked" in each["event"]]
    assert len(said) == 1
    assert "y@" not in str(said[0])
    assert said[0]["servers"].startswith("127.0.0.1:")
