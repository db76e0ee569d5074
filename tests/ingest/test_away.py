"""A worker that does not reach its broker leaves its slots to those who do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from geotarget.engine.live_state import LiveState
from geotarget.ingest import Intake, SlotSource
from geotarget.ingest.broker_url import BrokerUrl
from geotarget.ingest.knocking import knock
from geotarget.ingest.session_making import make_sessions
from geotarget.ingest.slots import (
    ALL_SLOTS,
    slot_client_id,
    slot_filter,
    slot_topic,
    slots_of,
)
from geotarget.model import Outcome, PingBatch, Rejected
from geotarget.owned_slots import OwnedSlots
from geotarget.runtime.broker_reach import BrokerReach, Reach
from geotarget.runtime.slot_keeper import SlotKeeper
from geotarget.store import Store
from tests.ingest.harness import DEADLINE_S, Eventually, Mosquitto, NatsServer, Phone
from tests.ingest.relay import Relay
from tests.ports import find_port

AWAY_S = 1.0
DEVICES = [f"phone-{number}" for number in range(200)]
NO_PINGS = PingBatch(
    device=[],
    ts=np.empty(0, np.int64),
    lng=np.empty(0),
    lat=np.empty(0),
    acc=np.empty(0),
    key=np.empty(0, np.uint64),
    received=np.empty(0, np.int64),
)


class Worker:
    """What `geotarget ingest --slots auto` has, with a note of devices in the pipeline's place."""

    def __init__(self, url: str, database: str, name: str) -> None:
        self.name = name
        self.store = Store.open(database)
        self.owned = OwnedSlots(self.store, name, slots_of)
        self.owned.bind(LiveState(), None, on_adopted=lambda: None)
        self.heard: set[str] = set()
        self.intake = Intake(self._process, max_age_s=0.005)
        self.source = SlotSource(url, self.intake, ack_wait_s=0.5)
        self.keeper = SlotKeeper(self.store, self.owned, poke=self._poke, owner=name, away_s=AWAY_S)
        self.intake.start()
        self.source.start()
        self.keeper.start(self.source)

    def _poke(self) -> None:
        self.intake.submit(NO_PINGS)

    def _process(self, pings: PingBatch, rejected: Sequence[Rejected]) -> Outcome:
        del rejected
        self.owned.run_errands()
        self.heard |= set(self.owned.ours(pings).device)
        return Outcome(accepted=len(pings), refused=[])

    @property
    def slots(self) -> frozenset[int]:
        """Those that it has, and is connected to."""
        sessions = list(self.source._sessions.items())
        return frozenset(slot for slot, session in sessions if session.health()[0])

    def stop(self) -> None:
        self.keeper.only_renew()
        self.source.stop(5.0)
        self.keeper.leave(self.source.clean)
        self.store.close()


@pytest.fixture
def database(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'geotarget.db'}"


@pytest.fixture
def work(database: str) -> Iterator[Callable[[str, str], Worker]]:
    """Start workers on one database; they are stopped with the test."""
    made: list[Worker] = []

    def make(url: str, name: str) -> Worker:
        made.append(Worker(url, database, name))
        return made[-1]

    yield make
    for each in made:
        each.stop()


@pytest.fixture
def relay(mosquitto: Mosquitto) -> Iterator[Relay]:
    """A second address of the broker, which can be cut off."""
    made = Relay(mosquitto.port, find_port())
    made.join()
    yield made
    made.cut()


def prepare(broker: Mosquitto) -> None:
    """Make the sessions, so that nothing is lost that phones publish from now on."""
    url = BrokerUrl.parse(broker.url)
    make_sessions(url, {slot_client_id(slot, url): (slot_filter(slot),) for slot in ALL_SLOTS})


def publish(phone: Phone, devices: Iterable[str], ts: int) -> None:
    before = len(phone.acknowledged)
    count = 0
    for device in devices:
        phone.publish(slot_topic(device), json.dumps({"ts": ts, "lat": 60.0, "lng": 25.0}))
        count += 1
    phone.settle(before + count)


def epochs(worker: Worker) -> dict[int, int]:
    return {lease.slot: lease.epoch for lease in worker.store.slot_leases()}


@pytest.mark.mosquitto
def test_slots_go_to_who_reaches_the_broker(
    mosquitto: Mosquitto, relay: Relay, work: Callable[[str, str], Worker],
    make_phone: Callable[..., Phone], eventually: Eventually,
) -> None:  # fmt: skip
    """One is cut off: the other takes all, hears what waited; it gets its share back later."""
    prepare(mosquitto)
    one, two = work(mosquitto.url, "one"), work(f"mqtt://127.0.0.1:{relay.port}", "two")
    eventually(lambda: (len(one.slots), len(two.slots)) == (32, 32))
    assert (one.keeper.health(), two.keeper.health()) == ((True, ""), (True, ""))
    relay.cut()
    publish(make_phone(mosquitto.port), DEVICES, 1)
    eventually(lambda: one.slots == ALL_SLOTS)
    eventually(lambda: one.heard == set(DEVICES))
    ok, why = two.keeper.health()
    assert not ok
    assert f"127.0.0.1:{relay.port}" in why
    assert two.source.owned == frozenset()
    assert one.store.live_workers() == ["one"]
    relay.join()
    eventually(lambda: (len(one.slots), len(two.slots)) == (32, 32))
    assert two.keeper.health() == (True, "")


@pytest.mark.mosquitto
def test_a_session_is_taken_back_with_the_next_renewal(
    mosquitto: Mosquitto, work: Callable[[str, str], Worker], eventually: Eventually
) -> None:
    """A zombie that takes it again and again costs its owner a tick, not the hold."""
    prepare(mosquitto)
    one = work(mosquitto.url, "one")
    eventually(lambda: one.slots == ALL_SLOTS)
    session = one.source._sessions[7]
    session.hold_s = 2 * DEADLINE_S
    url = BrokerUrl.parse(mosquitto.url)
    for times in range(2, 5):  # the third time in a row is no accident
        make_sessions(url, {slot_client_id(7, url): (slot_filter(7),)})
        eventually(lambda n=times: session.connections == n and session.health()[0])


@pytest.mark.mosquitto
def test_nobody_reaches_it(
    mosquitto: Mosquitto, work: Callable[[str, str], Worker],
    make_phone: Callable[..., Phone], eventually: Eventually,
) -> None:  # fmt: skip
    """Slots lie free and are left alone; when it is back all is as before, and nothing is lost."""
    prepare(mosquitto)
    one, two = work(mosquitto.url, "one"), work(mosquitto.url, "two")
    eventually(lambda: (len(one.slots), len(two.slots)) == (32, 32))
    mosquitto.stop()
    eventually(lambda: {lease.owner for lease in one.store.slot_leases()} == {""})
    before = epochs(one)
    knocks = [one.keeper.health()[1]]
    eventually(lambda: knocks.append(one.keeper.health()[1]) or len(knocks) > 150)
    assert epochs(one) == before
    assert one.store.live_workers() == []
    mosquitto.start()
    publish(make_phone(mosquitto.port), DEVICES, 1)
    eventually(lambda: one.heard | two.heard == set(DEVICES))
    eventually(lambda: (len(one.slots), len(two.slots)) == (32, 32))
    taken = {slot: epoch - before[slot] for slot, epoch in epochs(one).items()}
    assert max(taken.values()) <= 2  # by the first, and by the second its share


@pytest.mark.mosquitto
def test_who_never_reached_it_takes_nothing(
    mosquitto: Mosquitto, work: Callable[[str, str], Worker], eventually: Eventually
) -> None:
    """And is nobody's share: the other has all slots, each taken once."""
    prepare(mosquitto)
    lost = work("mqtt://127.0.0.1:1", "lost")
    eventually(lambda: "can't reach mqtt://127.0.0.1:1" in lost.keeper.health()[1])
    one = work(mosquitto.url, "one")
    eventually(lambda: one.slots == ALL_SLOTS)
    assert epochs(one) == dict.fromkeys(range(64), 1)
    assert one.store.live_workers() == ["one"]


class Answering:
    """A source whose broker answers everybody and lets no session in: nothing real does that."""

    def __init__(self) -> None:
        self.connected = False
        self.reached_s = float("-inf")
        self.owned: frozenset[int] = frozenset()
        self.knocks = 0

    def health(self) -> tuple[bool, str]:
        return False, "slot 0: refused"

    def knock(self) -> str:
        self.knocks += 1
        return ""


def test_who_is_never_let_in_asks_less_and_less() -> None:
    """Others would wait for its share each time: 9, 18, 36 … s, at most five minutes."""
    source, now = Answering(), [0.0]
    reach = BrokerReach(source, away_s=9.0, now_s=lambda: now[0])  # type: ignore[arg-type]
    waits = []
    for _ in range(8):
        began = now[0]
        while reach.look() is not Reach.THERE:
            now[0] += 1.0
        waits.append(now[0] - began)
        source.owned = ALL_SLOTS
        while reach.look() is Reach.UNSURE:
            now[0] += 1.0
        assert reach.look() is Reach.AWAY
        source.owned = frozenset()
        reach.gave_up()
    assert waits == [0.0, 9.0, 18.0, 36.0, 72.0, 144.0, 288.0, 300.0]
    assert source.knocks == 8
    source.connected = True
    assert reach.look() is Reach.THERE
    source.connected = False
    reach.gave_up()
    assert reach.look() is Reach.THERE  # who was let in meanwhile begins anew


def test_who_was_frozen_waits_anew() -> None:
    """What went by in the dark is not counted: sessions get their time to come back."""
    source, now = Answering(), [100.0]
    reach = BrokerReach(source, away_s=9.0, now_s=lambda: now[0])  # type: ignore[arg-type]
    source.connected, source.owned = True, ALL_SLOTS
    assert reach.look() is Reach.THERE
    source.connected = False
    now[0] += 30.0
    assert reach.look() is Reach.UNSURE
    seconds = 0
    while reach.look() is Reach.UNSURE:
        now[0] += 1.0
        seconds += 1
    assert seconds == 9


def test_the_time_counts_from_the_loss() -> None:
    """Not from the last look before it; until then whoever looks knows when to look again."""
    source, now = Answering(), [100.0]
    reach = BrokerReach(source, away_s=3.0, now_s=lambda: now[0])  # type: ignore[arg-type]
    source.connected, source.owned = True, ALL_SLOTS
    assert reach.look() is Reach.THERE
    source.connected, source.reached_s = False, 100.5
    now[0] = 101.0
    assert (reach.look(), reach.due_in_s) == (Reach.UNSURE, 2.5)
    now[0] = 103.25
    assert (reach.look(), reach.due_in_s) == (Reach.UNSURE, 0.25)
    now[0] = 103.5
    assert reach.look() is Reach.AWAY


def test_knocking_touches_no_session(
    mosquitto: Mosquitto, nats_server: NatsServer, work: Callable[[str, str], Worker],
    eventually: Eventually,
) -> None:  # fmt: skip
    """Both brokers let it in; a wrong password, and nobody there, are told; workers stay."""
    prepare(mosquitto)
    one = work(mosquitto.url, "one")
    eventually(lambda: one.slots == ALL_SLOTS)
    connections = [session.connections for session in one.source._sessions.values()]
    for url in (mosquitto.url, nats_server.url):
        assert knock(BrokerUrl.parse(url)) == ""
    assert [session.connections for session in one.source._sessions.values()] == connections
    assert one.slots == ALL_SLOTS
    wrong = BrokerUrl.parse(nats_server.url.replace("for-ingest", "wrong"))
    assert "refuses the connection" in knock(wrong)
    assert "can't reach" in knock(BrokerUrl.parse("mqtt://127.0.0.1:1"))
