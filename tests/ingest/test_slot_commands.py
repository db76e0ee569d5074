"""``geotarget slots``, and ``geotarget ingest --slots``, against real brokers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from geotarget.ingest import Intake, SlotSource
from geotarget.ingest.nats_admin import NatsAdmin
from geotarget.ingest.slots import ALL_SLOTS, slot_of
from tests.ingest.harness import Eventually, Mosquitto, NatsServer, Phone, Recorder
from tests.test_cli import geotarget


def test_sessions_come_before_phones(
    nats_server: NatsServer, make_phone: object, recorder: Recorder, eventually: Eventually
) -> None:
    """Made once, harmless again; status tells what is missing, what waits, who works."""
    where = ("--mqtt", nats_server.url, "--admin", nats_server.admin_url)
    said = geotarget("slots", "status", *where)
    assert said.returncode == 1
    assert said.stdout.count("missing") == 64
    assert "64 are missing: geotarget slots create" in said.stderr

    said = geotarget("slots", "create", *where, "--max-bytes", "50000000")
    assert (said.returncode, said.stderr) == (0, "")
    assert "64 slots have their sessions, 0 had them before" in said.stdout
    assert "refuses new pings when 50,000,000 bytes are stored" in said.stdout
    phone: Phone = make_phone(nats_server.port, login=nats_server.login)  # type: ignore[operator]
    for second in range(1, 31):
        phone.publish("pings/d1", json.dumps({"ts": second, "lat": 60.0, "lng": 25.0}))
    phone.settle(30)

    said = geotarget("slots", "create", *where, "--max-bytes", "50000000")
    assert "64 slots have their sessions, 64 had them before" in said.stdout
    said = geotarget("slots", "create", "--mqtt", nats_server.url)
    assert said.returncode == 0
    assert "64 had them before" in said.stdout
    assert "with --admin sessions that exist are left alone" in said.stderr
    said = geotarget("slots", "status", *where)
    assert said.returncode == 0
    assert "64 of 64 sessions exist, 0 are connected, 30 messages wait" in said.stdout

    intake = Intake(recorder.process)
    source = SlotSource(nats_server.url, intake, slots=ALL_SLOTS, clean=ALL_SLOTS)
    intake.start()
    source.start()
    try:
        eventually(lambda: sorted(recorder.seconds) == list(range(1, 31)))
        said = geotarget("slots", "create", *where)
        assert "64 had them before" in said.stdout
        assert source._sessions[slot_of("d1")].connections == 1
        said = geotarget("slots", "status", *where)
        assert "64 of 64 sessions exist, 64 are connected, 0 messages wait" in said.stdout
        told = json.loads(geotarget("slots", "status", *where, "--json").stdout)
        assert (told["slots"], told["broker"]["missing"]) == (None, 0)
        session = {"connected": True, "waiting": 0, "unacknowledged": 0}
        assert told["broker"]["sessions"][63] == {"slot": 63, "session": session}
    finally:
        assert source.stop() is True


def test_the_store_is_bounded(nats_server: NatsServer, eventually: Eventually) -> None:
    """With the administrator's login, and never below what is stored."""
    said = geotarget("slots", "create", "--mqtt", nats_server.url)
    assert said.returncode == 0
    assert NatsAdmin(nats_server.admin_url).bound_store(3_000_000) == 3_000_000
    assert NatsAdmin(nats_server.admin_url).bound_store(2_000_000) == 2_000_000


@pytest.mark.parametrize(
    ("admin", "says"),
    [
        ("nats://admin:wrong@127.0.0.1:{port}", "can't be administered"),
        ("nats://admin:for-admin@127.0.0.1:1", "can't be administered"),
        ("nats://callout:for-callout@127.0.0.1:{port}", "refuses its administrator"),
    ],
)
def test_a_wrong_administrator(nats_server: NatsServer, admin: str, says: str) -> None:
    """Named without its password; status 1, as for everything that failed."""
    url = admin.format(port=nats_server.client_port)
    said = geotarget("slots", "status", "--mqtt", nats_server.url, "--admin", url)
    assert said.returncode == 1
    assert says in said.stderr
    assert "wrong" not in said.stderr
    assert "Traceback" not in said.stderr


@pytest.mark.mosquitto
def test_mosquitto_says_how_many(mosquitto: Mosquitto) -> None:
    """It makes them all the same; which ones exist it can't say."""
    said = geotarget("slots", "create", "--mqtt", mosquitto.url)
    assert (said.returncode, said.stderr) == (0, "")
    assert "64 slots have their sessions, 0 had them before" in said.stdout
    said = geotarget("slots", "status", "--mqtt", mosquitto.url)
    assert "mosquitto version" in said.stdout
    assert "does not say which sessions these are" in said.stderr
    told = json.loads(geotarget("slots", "status", "--mqtt", mosquitto.url, "--json").stdout)
    assert told["broker"]["figures"]["version"].startswith("mosquitto version")


def test_nats_says_nothing_without_an_administrator(nats_server: NatsServer) -> None:
    """And the command says whom to ask."""
    said = geotarget("slots", "status", "--mqtt", nats_server.url)
    assert said.returncode == 0
    assert "a NATS server tells its administrator (--admin)" in said.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("slots", "create"), "slots need a broker that all workers reach"),
        (("slots", "create", "--mqtt", "mqtt://127.0.0.1:1"), "can't reach mqtt://127.0.0.1:1"),
        (("ingest", "--slots", "0-64"), "slots are numbered 0 to 63 ('0-64')"),
        (("ingest", "--slots", "0-31"), "slots need a broker that all workers reach"),
    ],
)
def test_what_can_not_be_done(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    """Said in a sentence, before anything is opened."""
    said = geotarget(*arguments, GEOTARGET_DATA=str(tmp_path))
    assert said.returncode in {1, 2}
    assert says in said.stderr
    assert list(tmp_path.iterdir()) == []
