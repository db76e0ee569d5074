"""Slots that change hands, between sources and between processes, on both brokers.

What holds for one session holds for each slot too: `test_mqtt` runs on slots as well.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from geotarget import metrics
from geotarget.ingest import Intake, SlotSource
from geotarget.ingest.broker_url import BrokerUrl
from geotarget.ingest.session_making import make_sessions
from geotarget.ingest.slots import (
    ALL_SLOTS,
    slot_client_id,
    slot_filter,
    slot_of,
    slot_topic,
    written_slots,
)
from tests.conftest import REPOSITORY
from tests.ingest import slot_worker
from tests.ingest.harness import Eventually, Mosquitto, NatsServer, Phone, Recorder

DEVICES = [f"phone-{number}" for number in range(40)]
ACK_WAIT_S = 1.0
HOLD_S = 2.0


class Worker:
    """What a process has: a recorder, an intake, a source."""

    def __init__(self, url: str, **options: Any) -> None:
        self.recorder = Recorder()
        self.intake = Intake(self.recorder.process, max_age_s=0.005)
        self.source = SlotSource(
            url, self.intake, ack_wait_s=ACK_WAIT_S, reconnect_s=(0.05, 0.2), **options
        )
        self.intake.start()
        self.source.start()

    @property
    def done(self) -> list[tuple[str, int]]:
        return self.recorder.pings

    def stop(self) -> None:
        self.recorder.open.set()
        self.source.stop(5.0)


class Place:
    """A broker on which all slots have their sessions."""

    def __init__(self, real: Mosquitto | NatsServer) -> None:
        self.real = real
        self.url = real.url
        self.maps = isinstance(real, NatsServer)
        self.login = real.login if isinstance(real, NatsServer) else None
        broker = BrokerUrl.parse(real.url)
        names = {slot_client_id(slot, broker): (slot_filter(slot),) for slot in ALL_SLOTS}
        make_sessions(broker, names)

    def topic(self, device: str) -> str:
        return f"pings/{device}" if self.maps else slot_topic(device)


@pytest.fixture(params=[pytest.param("mosquitto", marks=pytest.mark.mosquitto), "nats_server"])
def place(request: pytest.FixtureRequest) -> Place:
    """A broker that devices may publish to, although no worker runs yet."""
    return Place(request.getfixturevalue(request.param))


@pytest.fixture
def work(place: Place, eventually: Eventually) -> Iterator[Callable[..., Worker]]:
    """Make connected workers; they are stopped with the test."""
    made: list[Worker] = []

    def make(slots: Iterable[int], *, clean: bool = True, **options: Any) -> Worker:
        known = frozenset(slots)
        made.append(Worker(place.url, slots=known, clean=known if clean else (), **options))
        eventually(lambda: made[-1].source.health() == (True, ""))
        return made[-1]

    yield make
    for each in made:
        each.stop()


def ping(second: int) -> str:
    return json.dumps({"ts": second, "lat": 60.0, "lng": 25.0})


def publish(phone: Phone, place: Place, seconds: Iterable[int]) -> int:
    """Publish a ping of each device for each second; return how many."""
    count = 0
    for second in seconds:
        for device in DEVICES:
            phone.publish(place.topic(device), ping(second))
            count += 1
    return count


def by_device(done: Sequence[tuple[str, int]]) -> dict[str, list[int]]:
    """Return what is applied of each device, as the rules do: a ping that is not newer is not."""
    found: dict[str, list[int]] = defaultdict(list)
    for device, second in done:
        if not found[device] or second > found[device][-1]:
            found[device].append(second)
    return found


def test_workers_share_the_slots(
    place: Place, work: Any, make_phone: Any, eventually: Eventually
) -> None:
    """What came before them and what comes now: every ping goes to the one that owns its slot."""
    phone: Phone = make_phone(place.real.port, login=place.login)
    sent = publish(phone, place, range(1, 6))
    phone.settle(sent)
    one, two = work(range(32)), work(range(32, 64))
    assert (one.source.owned, two.source.owned) == (set(range(32)), set(range(32, 64)))
    assert metrics.mqtt_connected._value.get() == 1
    sent += publish(phone, place, range(6, 11))
    phone.settle(sent)
    eventually(lambda: one.recorder.count + two.recorder.count >= sent)
    assert {slot_of(device) // 32 for device in one.recorder.devices} == {0}
    assert {slot_of(device) // 32 for device in two.recorder.devices} == {1}
    found = by_device([*one.done, *two.done])
    assert found == {device: list(range(1, 11)) for device in DEVICES}


def test_a_slot_changes_hands(
    place: Place, work: Any, make_phone: Any, eventually: Eventually
) -> None:
    """Released cleanly, taken by another at once: nothing twice, nothing lost, nobody waits."""
    phone: Phone = make_phone(place.real.port, login=place.login)
    one, two = work(range(64)), work(())
    assert metrics.slots_owned._value.get() == 64
    sent = publish(phone, place, range(1, 6))
    phone.settle(sent)
    eventually(lambda: one.recorder.count == sent)
    moving = frozenset(range(0, 64, 2))
    assert one.source.release(moving) == moving
    assert one.source.owned == ALL_SLOTS - moving
    assert one.source.release(moving) == frozenset()
    sent += publish(phone, place, range(6, 11))
    phone.settle(sent)
    two.source.take(moving, clean=True)
    eventually(lambda: one.recorder.count + two.recorder.count >= sent)
    eventually(lambda: two.source.health() == (True, ""))
    assert {session.held_until for session in two.source._sessions.values()} == {0.0}
    assert {slot_of(device) % 2 for device in two.recorder.devices} == {0}
    found = by_device([*one.done, *two.done])
    assert found == {device: list(range(1, 11)) for device in DEVICES}
    assert two.source.stop() is True
    assert two.source.clean == moving


def test_what_was_not_committed_goes_to_the_next(
    place: Place, work: Any, make_phone: Any, eventually: Eventually
) -> None:
    """A slot that is lost with pings in hand: they come again, in order with those behind them."""
    phone: Phone = make_phone(place.real.port, login=place.login)
    one, two = work(range(64)), work(())
    one.recorder.open.clear()
    sent = publish(phone, place, range(1, 4))
    phone.settle(sent)
    eventually(lambda: one.intake.stats.waiting == sent)
    moving = frozenset(range(0, 64, 2))
    assert one.source.release(moving, timeout_s=0.0) == {
        slot for slot in moving if slot not in set(map(slot_of, DEVICES))
    }
    two.source.take(moving)
    sent += publish(phone, place, range(4, 7))
    phone.settle(sent)
    theirs = [device for device in DEVICES if slot_of(device) in moving]
    wanted = {device: list(range(1, 7)) for device in theirs}
    eventually(lambda: by_device(two.done) == wanted)
    one.recorder.open.set()
    ours = set(DEVICES) - set(theirs)
    eventually(lambda: all(by_device(one.done)[device] == list(range(1, 7)) for device in ours))
    # Of what was lost only the batch under way was committed: that is what fencing is for.
    eventually(lambda: one.intake.stats.waiting == 0)


@contextlib.contextmanager
def process(url: str, slots: Iterable[int], file: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a worker as a process that is killed with the block."""
    arguments = ["-m", "tests.ingest.slot_worker", url, written_slots(slots), str(file)]
    worker = subprocess.Popen(
        [sys.executable, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    try:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
        yield worker
    finally:
        worker.kill()
        worker.communicate()


def test_a_killed_process_is_succeeded(
    place: Place, work: Any, make_phone: Any, eventually: Eventually, tmp_path: Path
) -> None:
    """Kill -9 under load: whoever takes its slots applies all that was acknowledged, in order."""
    ledger = tmp_path / "ledger"
    phone: Phone = make_phone(place.real.port, login=place.login)
    theirs = frozenset(range(32))
    here = work(range(32, 64))
    seconds = range(1, 101)
    with process(place.url, theirs, ledger) as worker:
        publishing = threading.Thread(target=publish, args=(phone, place, seconds))
        publishing.start()
        eventually(lambda: len(slot_worker.read(ledger)) > 200)
        worker.kill()
        worker.wait()
        here.source.take(theirs)
        publishing.join()
    phone.settle(len(seconds) * len(DEVICES))
    before = slot_worker.read(ledger)

    def complete() -> bool:
        found = by_device([*before, *here.done])
        return all(set(found[device]) == set(seconds) for device in DEVICES)

    eventually(complete)
    eventually(lambda: here.source.health() == (True, ""))
    assert 200 < len(before) < len(seconds) * len(DEVICES) / 2 + 1
    for device, applied in by_device(here.done).items():
        assert set(applied) == {second for each, second in here.done if each == device}, device
    assert {slot_of(device) // 32 for device, _ in before} == {0}


def test_what_comes_first_after_a_silence_is_held(
    place: Place, work: Callable[..., Worker], make_phone: Callable[..., Phone],
    eventually: Eventually,
) -> None:  # fmt: skip
    """Who sends the messages of a session may just have been elected: older ones come behind.

    Until something has come nobody knows what there is, so who leaves does not leave it clean.
    """
    device = DEVICES[0]
    slot = slot_of(device)
    quiet = next(each for each in ALL_SLOTS if each != slot)
    one = work([slot, quiet], clean=False)
    over_s = time.monotonic() + one.source._sessions[slot].hold_s
    eventually(lambda: time.monotonic() > over_s)
    phone = make_phone(place.real.port, login=place.login)
    for second in (2, 1):
        phone.publish(place.topic(device), ping(second))
        phone.settle(3 - second)
    eventually(lambda: {(device, 1), (device, 2)} <= set(one.done))
    assert by_device(one.done)[device] == [1, 2]  # NATS may have sent copies meanwhile
    eventually(lambda: one.source._sessions[slot].unacknowledged == 0)
    assert quiet not in one.source.release([slot, quiet])
    again = work([slot])
    for second in (4, 3):
        phone.publish(place.topic(device), ping(second))
        eventually(lambda n=second: (device, n) in again.done)
    assert again.done.index((device, 4)) < again.done.index((device, 3))


def test_no_slots_is_fine(work: Any, eventually: Eventually) -> None:
    """A worker that waits for slots is healthy, and stops cleanly."""
    here = work(())
    assert here.source.health() == (True, "")
    assert here.source.stop() is True
    here.source.take([1])
    assert here.source.owned == frozenset()


@pytest.mark.mosquitto
def test_two_owners_of_one_slot_are_told(mosquitto: Mosquitto, eventually: Eventually) -> None:
    """Whoever is thrown out again and again says so, and lets the other work for a while."""
    place = Place(mosquitto)
    one, two = Worker(place.url, slots=[1], clean=[1]), Worker(place.url)
    try:
        eventually(lambda: one.source.health() == (True, ""))
        two.source.take([1], clean=True)
        told: set[str] = set()

        def is_told() -> bool:
            told.update(worker.source.health()[1] for worker in (one, two))
            return any("do two processes use it" in text for text in told)

        eventually(is_told)
        found = next(text for text in told if "do two" in text)
        assert found.startswith("slot 1: another client takes the session geotarget-slot-1-")
        before = sum(worker.source._sessions[1].connections for worker in (one, two))
        assert before < 20
    finally:
        one.stop()
        two.stop()


@pytest.mark.mosquitto
@pytest.mark.parametrize("confirmed", [True, False])
def test_an_owner_takes_its_session_back(
    mosquitto: Mosquitto, eventually: Eventually, confirmed: bool
) -> None:
    """Twice at once, as after any break; then when its lease was renewed, or after the hold.

    Once more within the hold a renewal does not count: another database may give leases, too.
    """
    place = Place(mosquitto)
    one = Worker(place.url, slots=[1], clean=[1])
    one.source._sessions[1].hold_s = HOLD_S
    broker = BrokerUrl.parse(place.url)
    name = slot_client_id(1, broker)
    renewing = threading.Event()

    def renew() -> None:
        while not renewing.wait(0.05):
            one.source.confirm([1])

    lease = threading.Thread(target=renew)
    try:
        eventually(lambda: one.source.health() == (True, ""))
        if confirmed:
            lease.start()
        for taking, waits in enumerate((False, False, not confirmed, True), start=1):
            began = time.monotonic()
            make_sessions(broker, {name: (slot_filter(1),)})
            eventually(lambda n=taking: one.source._sessions[1].connections > n)
            assert (time.monotonic() - began >= HOLD_S) == waits
            eventually(lambda: one.source.health() == (True, ""))
    finally:
        renewing.set()
        if confirmed:
            lease.join()
        one.stop()


def test_what_is_wrong_names_the_slot(place: Place) -> None:
    """Before anything has connected every slot is in trouble; one is named."""
    source = SlotSource(place.url, Intake(Recorder().process), slots=[3, 4])
    for slot in (3, 4):
        source._sessions[slot] = source._session(slot, clean=True)
    ok, trouble = source.health()
    assert not ok
    assert trouble.startswith("slot 3, and 1 other slots: not connected to mqtt://127.0.0.1")
