"""Fixtures of the ingest's tests; what they make is in `harness`."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from geotarget.ingest import EmbeddedBroker
from tests.ingest.harness import DEADLINE_S, Eventually, Mosquitto, NatsServer, Phone, Recorder
from tests.ports import find_port


@pytest.fixture
def eventually() -> Eventually:
    """Wait until a predicate holds, or fail at the deadline."""

    def wait(predicate: Callable[[], object], seconds: float = DEADLINE_S) -> None:
        deadline = time.monotonic() + seconds
        pause = threading.Event()
        while not predicate():
            assert time.monotonic() < deadline, f"not within {seconds} s"
            pause.wait(0.005)

    return wait


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture(scope="session")
def mosquitto_program() -> str:
    """Path of Debian's mosquitto, or a skip."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if program is None:
        pytest.skip("no mosquitto broker here (Debian package mosquitto)")
    return program


@pytest.fixture
def make_mosquitto(mosquitto_program: str, tmp_path: Path) -> Iterator[Callable[..., Mosquitto]]:
    """Make a mosquitto that is ended with the test; it is not started yet."""
    made: list[Mosquitto] = []

    def make(**options: object) -> Mosquitto:
        broker = Mosquitto(mosquitto_program, tmp_path, **options)  # type: ignore[arg-type]
        made.append(broker)
        return broker

    yield make
    for broker in made:
        broker.stop()


@pytest.fixture
def mosquitto(make_mosquitto: Callable[..., Mosquitto]) -> Mosquitto:
    """A running mosquitto with the shipped limits, open to everybody."""
    broker = make_mosquitto()
    broker.start()
    return broker


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    """A running embedded broker on a free port."""
    broker = EmbeddedBroker(tmp_path / "broker", port=find_port(), ack_wait_s=1.0)
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    """A running NATS server that maps the topics of devices to slots."""
    server = NatsServer(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def make_phone() -> Iterator[Callable[..., Phone]]:
    """Make connected phones that are closed with the test."""
    made: list[Phone] = []

    def make(port: int, **options: object) -> Phone:
        phone = Phone(port, **options)  # type: ignore[arg-type]
        made.append(phone)
        return phone

    yield make
    for phone in made:
        phone.close()
