"""Hostile documents are checked elsewhere: bounded in time and memory, in nobody's way."""

from __future__ import annotations

import gc
import json
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from geotarget.api.quarantine import INLINE_BYTES, WAITING, WORKERS, Quarantine
from geotarget.api.services import Limits
from geotarget.errors import InvalidZone, Overloaded
from geotarget.geojson import GeometryLimits, parse_feature
from tests.api.conftest import Api
from tests.api.documents import collection, square

GEOJSON = {"Content-Type": "application/geo+json"}


def round_zone(vertices: int) -> bytes:
    """Return a large, valid zone."""
    ring = [
        [24 + math.cos(2 * math.pi * n / vertices), 60 + math.sin(2 * math.pi * n / vertices)]
        for n in range(vertices)
    ]
    coordinates = [[*ring, ring[0]]]
    return feature("Polygon", coordinates)


def shells(count: int) -> bytes:
    """Return shells within shells: small to send, long to check."""

    def shell(n: int) -> list[list[list[float]]]:
        low, high = -n * 1e-5, 1 + n * 1e-5
        return [[[low, low], [high, low], [high, high], [low, high], [low, low]]]

    return feature("MultiPolygon", [shell(n) for n in range(count)])


def feature(kind: str, coordinates: Any) -> bytes:
    """Return a Feature."""
    geometry = {"type": kind, "coordinates": coordinates}
    return json.dumps({"type": "Feature", "geometry": geometry, "properties": {}}).encode()


LARGE = round_zone(3_000)


@pytest.fixture
def made() -> Iterator[Callable[..., Quarantine]]:
    """Make quarantines that are closed in the end."""
    quarantines: list[Quarantine] = []

    def make(**options: Any) -> Quarantine:
        quarantines.append(Quarantine(GeometryLimits(), **options))
        return quarantines[-1]

    yield make
    for quarantine in quarantines:
        quarantine.close()


def worker(quarantine: Quarantine) -> int:
    """Return the process id of the idle worker."""
    (idle,) = quarantine._idle
    return idle._process.pid


def test_a_zone_comes_back_from_the_worker_as_it_would_from_here(
    made: Callable[..., Quarantine],
) -> None:
    """Large documents go out of the process, and the answer is the same."""
    quarantine = made()
    assert len(LARGE) > INLINE_BYTES
    assert quarantine.zone(LARGE, id="big") == parse_feature(LARGE, id="big")
    pid = worker(quarantine)
    report = quarantine.zones(
        json.dumps(collection(*(square(str(n), lng=n / 10) for n in range(1_000)))).encode()
    )
    assert len(report.zones) == 1_000
    assert worker(quarantine) == pid


def test_small_documents_start_no_process(made: Callable[..., Quarantine]) -> None:
    """They are parsed where they are."""
    quarantine = made()
    quarantine.zone(json.dumps(square()).encode(), id="a")
    assert quarantine._idle == []


def test_what_is_wrong_comes_back_with_its_places(made: Callable[..., Quarantine]) -> None:
    """Problems survive the way back."""
    broken = json.loads(LARGE)
    broken["properties"]["entry"] = "sometimes"
    with pytest.raises(InvalidZone) as caught:
        made().zone(json.dumps(broken).encode(), id="big")
    assert [each.path for each in caught.value.problems] == ["$.properties.entry"]


def test_a_document_that_takes_too_long_is_given_up(made: Callable[..., Quarantine]) -> None:
    """A real one: shells within shells."""
    quarantine = made(limit_s=0.05)
    started = time.monotonic()
    with pytest.raises(InvalidZone, match=r"checking it took longer than 0\.05 s"):
        quarantine.zone(shells(2_500), id="x")
    assert time.monotonic() - started < 30
    assert quarantine._idle == []


def test_a_stuck_worker_is_killed_and_replaced(made: Callable[..., Quarantine]) -> None:
    """The next document is checked by a new one."""
    quarantine = made(limit_s=2.0)
    quarantine.zone(LARGE, id="a")
    stuck = worker(quarantine)
    os.kill(stuck, signal.SIGSTOP)
    with pytest.raises(InvalidZone, match="longer than 2 s"):
        quarantine.zone(LARGE, id="a")
    assert not Path(f"/proc/{stuck}").exists()
    assert quarantine.zone(LARGE, id="a").id == "a"
    assert worker(quarantine) != stuck


def test_a_worker_that_dies_is_told_and_replaced(made: Callable[..., Quarantine]) -> None:
    """Killed from outside, for example by the system when memory runs out."""
    quarantine = made()
    quarantine.zone(LARGE, id="a")
    os.kill(worker(quarantine), signal.SIGKILL)
    with pytest.raises(InvalidZone, match="ended its process"):
        quarantine.zone(LARGE, id="a")
    assert quarantine.zone(LARGE, id="a").id == "a"


def test_memory_is_bounded(made: Callable[..., Quarantine]) -> None:
    """A document that swells beyond the limit is refused, the worker goes on or is replaced."""
    quarantine = made(memory_bytes=340 << 20)
    assert quarantine.zone(LARGE, id="a").id == "a"
    swelling = b'{"type":"FeatureCollection","features":[' + b'{"a":1},' * 2_500_000 + b"{}]}"
    with pytest.raises(InvalidZone, match=r"memory|ended its process"):
        quarantine.zones(swelling)
    assert quarantine.zone(LARGE, id="a").id == "a"


def test_size_is_checked_before_anything_else() -> None:
    """A document beyond the limits starts no process."""
    limits = replace(GeometryLimits(), max_bytes=1_000, max_collection_bytes=2_000)
    quarantine = Quarantine(limits)
    with pytest.raises(InvalidZone, match="1000"):
        quarantine.zone(b" " * 1_001, id="a")
    with pytest.raises(InvalidZone, match="2000"):
        quarantine.zones(b" " * 2_001)


def test_too_many_at_once_are_sent_away(made: Callable[..., Quarantine]) -> None:
    """Bounded: the rest is told when to come back, and those who wait are served."""
    quarantine = made(limit_s=30)
    served: list[str] = []
    for _ in range(WORKERS):
        quarantine._turns.acquire()  # as if all workers were busy

    def ask() -> None:
        served.append(quarantine.zone(LARGE, id="a").id)

    waiting = [threading.Thread(target=ask) for _ in range(WORKERS + WAITING)]
    for thread in waiting:
        thread.start()
    deadline = time.monotonic() + 10
    while quarantine._places._value:
        assert time.monotonic() < deadline
    with pytest.raises(Overloaded):
        quarantine.zone(LARGE, id="a")
    for _ in range(WORKERS):
        quarantine._turns.release()
    for thread in waiting:
        thread.join()
    assert served == ["a"] * (WORKERS + WAITING)
    assert len(quarantine._idle) == 1


def test_closing_ends_the_process(made: Callable[..., Quarantine]) -> None:
    """And a worker that finishes later ends then; nothing is left for the collector."""
    quarantine = made()
    quarantine.zone(LARGE, id="a")
    pid = worker(quarantine)
    quarantine.close()
    assert not Path(f"/proc/{pid}").exists()
    quarantine.zone(LARGE, id="a")
    assert quarantine._idle == []
    gc.collect()


def test_nobody_waits_for_somebody_elses_polygon(api_with: Callable[..., Api]) -> None:
    """While a document is stuck, everything else is answered, large documents too."""
    api = api_with(limits=Limits(check_s=100.0))
    quarantine = api.app.state.context.quarantine
    api.call("PUT", "/v1/zones/big", expect=200, content=LARGE, headers=GEOJSON)
    stuck = worker(quarantine)
    os.kill(stuck, signal.SIGSTOP)
    answers: list[Any] = []
    hostile = threading.Thread(
        target=lambda: answers.append(
            api.client.put("/v1/zones/bad", content=LARGE, headers=GEOJSON)
        )
    )
    hostile.start()
    deadline = time.monotonic() + 10
    while quarantine._turns._value == WORKERS:
        assert time.monotonic() < deadline
    api.call("PUT", "/v1/zones/small", expect=200, json=square())
    api.call("PUT", "/v1/zones/large", expect=200, content=LARGE, headers=GEOJSON)
    api.call("GET", "/livez", expect=200)
    assert answers == []
    os.kill(stuck, signal.SIGKILL)
    hostile.join()
    assert answers[0].status_code == 422
    assert "ended its process" in answers[0].json()["errors"][0]["reason"]
