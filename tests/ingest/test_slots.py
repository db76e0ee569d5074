"""Slots: which device is where, how sessions are called, how slots are written."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from geotarget.errors import SettingsError
from geotarget.ingest.broker_url import BrokerUrl
from geotarget.ingest.slots import (
    ALL_SLOTS,
    SLOTS,
    parse_slots,
    slot_client_id,
    slot_filter,
    slot_of,
    slot_topic,
    slots_of,
    written_slots,
)
from geotarget.ingest.topics import Unroutable, route
from tests.conftest import REPOSITORY
from tests.ingest.harness import Eventually, NatsServer, Phone

LETTERS = (
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:@!$%&'()*,;<=>?[]^`{|}~ä€"
)


@pytest.fixture
def listener(nats_server: NatsServer) -> Iterator[list[str]]:
    """The topics that arrive under ``slots/``."""
    topics: list[str] = []
    ready = threading.Event()
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.username_pw_set("ingest", "for-ingest")
    client.on_message = lambda _client, _data, message: topics.append(message.topic)
    client.on_subscribe = lambda *_: ready.set()
    client.connect("127.0.0.1", nats_server.port)
    client.loop_start()
    client.subscribe("slots/+/+", 1)
    assert ready.wait(60)
    yield topics
    client.disconnect()
    client.loop_stop()


def test_nats_computes_the_same_slots(
    nats_server: NatsServer, listener: list[str], make_phone: object, eventually: Eventually
) -> None:
    """The server's own ``partition(64,1)`` puts 500 devices where `slot_of` says."""
    chance = random.Random(8)
    devices = {"".join(chance.choices(LETTERS, k=chance.randint(1, 64))) for _ in range(500)}
    phone: Phone = make_phone(nats_server.port, login=nats_server.login)  # type: ignore[operator]
    for device in devices:
        phone.publish(f"pings/{device}", "1")
    phone.settle(len(devices))
    eventually(lambda: len(listener) >= len(devices))
    assert sorted(slot_topic(device) for device in devices) == sorted(listener)
    assert {slot_of(device) for device in devices} == ALL_SLOTS


@pytest.mark.parametrize(
    ("device", "slot"),
    [
        ("phone-1", 53),
        ("phone-2", 60),
        ("bus-7", 17),
        ("d1", 38),
        ("ärzte", 1),
        ("shop.7", 48),
        ("", 5),
    ],
)
def test_vectors(device: str, slot: int) -> None:
    """The figures that the documentation gives to those who write an app."""
    assert slot_of(device) == slot


def test_the_recipe_for_apps() -> None:
    """The documentation's function and its table agree with us."""
    text = (REPOSITORY / "geotarget/docs/app-developer.md").read_text()
    (recipe,) = re.findall(r"```python\n(def slot\(.*?)```", text, flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(recipe, names)
    devices, slots = re.findall(r"\| (?:device|slot) \| (.* \d+|`.*`) \|", text)[-2:]
    table = dict(zip(re.findall(r"`(.*?)`", devices), map(int, slots.split(" | ")), strict=True))
    assert len(table) == 6
    assert table == {device: slot_of(device) for device in table}
    assert table == {device: names["slot"](device) for device in table}


@given(st.lists(st.text(max_size=20).filter(lambda text: "\x00" not in text), max_size=20))
def test_many_at_once(devices: list[str]) -> None:
    """The vectorised form says the same."""
    assert slots_of(devices).tolist() == [slot_of(device) for device in devices]


@given(st.sets(st.integers(0, SLOTS - 1), min_size=1))
def test_what_is_written_is_read(slots: set[int]) -> None:
    """A set of slots survives its text."""
    assert parse_slots(written_slots(slots)) == slots


def test_slots_as_people_write_them() -> None:
    """Ranges, single ones, spaces, overlaps, and ``auto``."""
    assert parse_slots("0-15,20") == {*range(16), 20}
    assert parse_slots(" 63 , 1-2,2") == {1, 2, 63}
    assert parse_slots("auto") is None
    assert written_slots([]) == ""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("64", "numbered 0 to 63"),
        ("0-64", "numbered 0 to 63"),
        ("5-3", "must rise"),
        ("a", "must look like 0-15,20, or be auto"),
        ("1,,2", "must look like"),
        ("-1", "must look like"),
        ("", "must look like"),
    ],
)
def test_what_names_no_slots(text: str, says: str) -> None:
    """The message names the part and the bound."""
    with pytest.raises(SettingsError, match=says):
        parse_slots(text)


def test_session_names_belong_to_a_login() -> None:
    """The same for all workers of one login, and not to be guessed without its password."""
    ours = BrokerUrl.parse("mqtt://ingest:secret@one:1883")
    elsewhere = BrokerUrl.parse("mqtts://ingest:secret@other")
    assert slot_client_id(7, ours) == slot_client_id(7, elsewhere)
    assert slot_client_id(7, ours) == "geotarget-slot-7-86df2204b4c8c55b"
    others = {
        slot_client_id(7, BrokerUrl.parse(url))
        for url in ("mqtt://ingest:other@one", "mqtt://me:secret@one", "mqtt://one")
    }
    assert len(others | {slot_client_id(7, ours)}) == 4
    assert len({slot_client_id(slot, ours) for slot in range(SLOTS)}) == SLOTS


def test_a_slot_topic_names_its_device() -> None:
    """A device in a slot that is not its own is refused: its state is in another process."""
    assert route(slot_topic("phone-1"), "pings") == "phone-1"
    assert slot_filter(53) == "slots/53/+"
    for wrong in ("slots/54/phone-1", "slots/053/phone-1", "slots/x/phone-1", "slots//phone-1"):
        refused = route(wrong, "pings")
        assert isinstance(refused, Unroutable)
        assert "belongs to slot 53" in refused.detail
    assert isinstance(route("slots/5/", "pings"), Unroutable)
