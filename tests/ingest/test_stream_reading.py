"""What nobody sends a session is read from NATS' stream, in order, once, and not for ever."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import nats
import pytest

from geotarget import metrics
from geotarget.ingest.broker_url import BrokerUrl
from geotarget.ingest.nats_admin import MESSAGES, NatsAdmin
from geotarget.ingest.session_making import make_sessions
from geotarget.ingest.slots import slot_client_id, slot_filter, slot_of
from geotarget.ingest.stream_reading import Stored, read_stored
from tests.ingest.harness import Eventually, NatsServer, Phone
from tests.ingest.relay import Relay
from tests.ingest.test_slot_source import Place, Worker, ping
from tests.ports import find_port

DEVICE = "phone.one"
"""NATS writes the dot of a name in another way."""
SLOT = slot_of(DEVICE)
SOON_S = 10.0


@pytest.fixture
def place(nats_server: NatsServer) -> Place:
    """A NATS server that has the sessions of all slots."""
    return Place(nats_server)


@pytest.fixture
def relay(place: Place) -> Iterator[Relay]:
    """What is between the session and its broker; nothing goes through yet."""
    made = Relay(place.real.port, find_port())
    yield made
    made.thaw()
    made.cut()


@pytest.fixture
def worker(place: Place, relay: Relay) -> Iterator[Worker]:
    """One that has the slot, reaches the broker's MQTT over the relay, and its stream always."""
    url = place.url.replace(f":{place.real.port}", f":{relay.port}")
    made = Worker(url, nats=place.real.admin_url)
    yield made
    made.stop()


@pytest.fixture
def publish(place: Place, make_phone: Callable[..., Phone]) -> Callable[..., None]:
    """Publish pings of the device, and wait until the broker has them."""
    phone = make_phone(place.real.port, login=place.login)

    def published(*seconds: int) -> None:
        before = len(phone.acknowledged)
        for second in seconds:
            phone.publish(place.topic(DEVICE), ping(second))
        phone.settle(before + len(seconds))

    return published


def pings(*seconds: int) -> list[tuple[str, int]]:
    return [(DEVICE, second) for second in seconds]


def waiting(place: Place) -> int:
    """How many messages the session has not acknowledged."""
    name = slot_client_id(SLOT, BrokerUrl.parse(place.url))
    found = NatsAdmin(place.real.admin_url).sessions({name: slot_filter(SLOT)})[name]
    return found.backlog + found.unacknowledged


def test_who_is_not_connected_is_read_for(
    place: Place, relay: Relay, worker: Worker, publish: Any, eventually: Eventually
) -> None:
    """In order, and only once; what comes over the session later is acknowledged there."""
    before = metrics.read_from_stream._value.get()
    publish(1, 2, 3)
    worker.source.take([SLOT], clean=True)
    eventually(lambda: worker.done == pings(1, 2, 3), SOON_S)
    publish(4, 5)
    eventually(lambda: worker.done == pings(1, 2, 3, 4, 5), SOON_S)
    assert metrics.read_from_stream._value.get() == before + 5
    assert waiting(place) == 5

    relay.join()
    eventually(lambda: waiting(place) == 0, SOON_S)
    assert worker.done[5:10] == pings(1, 2, 3, 4, 5)


def test_who_hears_nothing_is_read_for(
    relay: Relay, worker: Worker, publish: Any, eventually: Eventually
) -> None:
    """A connection that lives and brings nothing, as where NATS elects who sends."""
    relay.join()
    worker.source.take([SLOT], clean=True)
    eventually(lambda: not worker.source._sessions[SLOT].interrupted, SOON_S)
    publish(1)
    eventually(lambda: worker.done == pings(1), SOON_S)
    relay.freeze()
    publish(2, 3)
    # the first may come again: its acknowledgement may be what stands still
    eventually(lambda: list(dict.fromkeys(worker.done)) == pings(1, 2, 3), SOON_S)
    relay.thaw()
    publish(4)
    eventually(lambda: worker.done[-1:] == pings(4), SOON_S)
    assert worker.source.health() == (True, "")


def test_a_full_intake_leaves_nothing_out(
    relay: Relay, worker: Worker, publish: Any, eventually: Eventually
) -> None:
    """What finds no room is read again when there is some."""
    worker.intake.capacity = 7
    worker.recorder.open.clear()
    publish(*range(1, 41))
    worker.source.take([SLOT], clean=True)
    eventually(lambda: worker.intake.stats.waiting == 7, SOON_S)
    worker.recorder.open.set()
    eventually(lambda: worker.done == pings(*range(1, 41)), SOON_S)
    assert worker.intake.stats.dropped == 0


def test_what_is_acknowledged_is_not_read(
    place: Place, relay: Relay, worker: Worker, publish: Any, eventually: Eventually
) -> None:
    """Not even where somebody else has a session of his own that nobody reads."""
    make_sessions(BrokerUrl.parse(place.url), {"somebody": ("slots/#",)})
    relay.join()
    worker.source.take([SLOT], clean=True)
    eventually(lambda: not worker.source._sessions[SLOT].interrupted, SOON_S)
    publish(1, 2, 3)
    eventually(lambda: worker.done == pings(1, 2, 3), SOON_S)
    session = worker.source._sessions[SLOT]
    eventually(lambda: worker.source._consumers.floor(session) == 3, SOON_S)
    before = metrics.read_from_stream._value.get()
    relay.cut()
    publish(4)
    eventually(lambda: worker.done[3:] == pings(4), SOON_S)
    assert metrics.read_from_stream._value.get() == before + 1


def test_nothing_is_read_for_who_gives_his_slot_back(
    worker: Worker, publish: Any, eventually: Eventually
) -> None:
    """What comes after is the next owner's."""
    worker.source.take([SLOT], clean=True)
    publish(1)
    eventually(lambda: worker.done == pings(1), SOON_S)
    worker.source.release([SLOT])
    publish(2)
    worker.source.take([SLOT], clean=True)
    eventually(lambda: worker.done[1:] == pings(1, 2), SOON_S)


def test_a_stream_is_read_in_parts(place: Place, publish: Any) -> None:
    """From a number on, at most so many, and nothing behind the last."""

    async def read() -> tuple[list[Stored], list[Stored], list[Stored]]:
        connection = await nats.connect(place.real.admin_url)
        try:
            manager = connection.jetstream()
            config = (await manager.stream_info(MESSAGES)).config
            config.allow_direct = True
            await manager.update_stream(config)
            subject = f"slots.{SLOT}.*"
            some = await read_stored(connection, subject, 1, most=3)
            rest = await read_stored(connection, subject, some[-1].number + 1)
            return some, rest, await read_stored(connection, subject, rest[-1].number + 1)
        finally:
            await connection.close()

    publish(*range(1, 11))
    some, rest, none = asyncio.run(read())
    assert [json.loads(each.frame[1])["ts"] for each in some] == [1, 2, 3]
    assert [json.loads(each.frame[1])["ts"] for each in rest] == list(range(4, 11))
    assert none == []
    assert some[0].frame[0] == f"slots/{SLOT}/{DEVICE}".encode()
