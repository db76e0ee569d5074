"""Clients that drip, hold on, send without end or don't read: each is ended, nobody else waits."""

from __future__ import annotations

import resource
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Self

import pytest
import structlog

from geotarget import metrics
from geotarget.api import Services
from geotarget.api.limits import CallerLimits, HttpLimits
from geotarget.certificates import ServerCertificate
from geotarget.runtime.http_connection import LEFT_BYTES, QUEUED, URL_BYTES
from geotarget.runtime.http_server import allow_files
from tests.api.conftest import ADMIN, running_services
from tests.api.sockets import Door, Line, open_door, request
from tests.certificates import Authority

READ_S = 1.5
BUSY_S = 10.0
"""What a sweep and a busy machine may add; what is never ended runs into the socket's patience."""
LIMITS = HttpLimits(connections=400, read_s=READ_S, pace_bytes=1_000, keep_alive_s=1)
HEAD = b"GET /livez HTTP/1.1\r\nHost: x\r\n"


def post(length: int, key: str = ADMIN) -> bytes:
    """Return the head of a request whose body is to follow."""
    head = ["POST /v1/zones HTTP/1.1", "Host: x", f"Authorization: Bearer {key}"]
    head += ["Content-Type: application/geo+json", f"Content-Length: {length}", "", ""]
    return "\r\n".join(head).encode()


def refused(reason: str) -> float:
    """Return how many were refused for a reason so far."""
    return float(metrics.http_refused.labels(reason)._value.get())


def seconds_until_end(line: Line) -> float:
    """Wait for the server to hang up."""
    begun = time.monotonic()
    line.ended()
    return time.monotonic() - begun


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Services that all tests share; an honest client may ask as often as it can."""
    with running_services(tmp_path_factory.mktemp("slow")) as services:
        unhurried = replace(services.limits, callers=CallerLimits(rate_per_s=1e6))
        yield replace(services, limits=unhurried)


@pytest.fixture(scope="module")
def shared(running: Services) -> Iterator[Door]:
    """A server with short times."""
    with open_door(running, LIMITS) as door:
        yield door


@pytest.fixture
def door(shared: Door) -> Iterator[Door]:
    """The same; each test hangs up."""
    yield shared
    shared.hang_up()


class Drips:
    """Many connections that get a little every fifth of a second, each of its own kind."""

    def __init__(self, door: Door, kinds: list[bytes], drop: bytes = b"x") -> None:
        self.drop = drop
        self.lines = [door.line() for _ in kinds]
        for line, kind in zip(self.lines, kinds, strict=True):
            line.send(kind)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._drip, daemon=True)

    def _drip(self) -> None:
        while not self.over.wait(0.2):
            for line in self.lines:
                line.send(self.drop)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()


def test_two_hundred_dripping_clients_delay_nobody_and_are_ended(door: Door) -> None:
    """Heads, bodies with and without a key, and silence: an honest request takes under a second."""
    kinds = [HEAD + b"X-A: ", post(10_000), post(10_000, key=""), b""]
    before = refused("slow")
    with Drips(door, kinds * 50) as drips:
        begun = time.monotonic()
        took = []
        while time.monotonic() - begun < READ_S or len(took) < 5:
            sent = time.monotonic()
            assert door.ask(request()).status == 200
            took.append(time.monotonic() - sent)
        assert statistics.median(took) < 1.0
        for line in drips.lines:
            assert line.ended()
        assert time.monotonic() - begun < READ_S + BUSY_S
    assert refused("slow") - before > 100
    door.until(connections=0)


@pytest.mark.parametrize(
    ("sent", "part"),
    [(HEAD, "head"), (b"", "head"), (b"\r\n", "head"), (post(50), "body")],
)
def test_a_client_that_takes_too_long_is_told(door: Door, sent: bytes, part: str) -> None:
    """408 as problem details, and the end of the connection."""
    line = door.line()
    line.send(sent)
    answer = line.answer()
    assert 408 == answer.status
    assert answer.is_problem
    assert f"the {part} of the request" in answer.body.decode()
    assert seconds_until_end(line) < BUSY_S


def test_an_upload_that_keeps_its_pace_may_take_its_time(door: Door) -> None:
    """Twice the time for a head, at more than the pace: it is read to its end."""
    body = b'{"type": "FeatureCollection", "features": []}' + b" " * 6_000
    line = door.line()
    line.send(post(len(body)))
    begun = time.monotonic()
    for start in range(0, len(body), 400):
        line.send(body[start : start + 400])
        assert start >= len(body) - 400 or line.quiet_for(READ_S * 2 / (len(body) / 400))
    assert time.monotonic() - begun > 1.5 * READ_S
    assert 200 == line.answer().status


def test_a_connection_that_rests_is_ended(door: Door) -> None:
    """After an answer it may rest for the keep-alive time, also when empty lines come."""
    line = door.line()
    line.send(request(target="/livez"))
    assert 200 == line.answer().status
    assert seconds_until_end(line) < LIMITS.keep_alive_s + BUSY_S
    with Drips(door, [request(target="/livez")], b"\r\n") as drips:
        assert 200 == drips.lines[0].answer().status
        assert seconds_until_end(drips.lines[0]) < READ_S + BUSY_S


def test_a_body_is_not_read_for_ever_after_the_answer(door: Door) -> None:
    """Whoever goes on sending what nobody wants is cut."""
    line = door.line()
    line.send(post(1 << 40, key=""))
    assert 401 == line.answer().status
    sent = 0
    while sent < 5 * LEFT_BYTES:
        try:
            line.socket.sendall(b"x" * 65_536)
        except OSError:
            break
        sent += 65_536
    assert LEFT_BYTES < sent < 4 * LEFT_BYTES  # what the sockets hold comes on top


def test_many_requests_at_once_are_answered_in_order_up_to_a_bound(door: Door) -> None:
    """What is sent ahead takes memory: so many wait, and with one more the connection ends."""
    line = door.line()
    line.send(request(target="/livez") * QUEUED)
    assert [200] * QUEUED == [line.answer().status for _ in range(QUEUED)]
    line.send(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 5_000)
    answered = 0
    while line.answer().status == 200:
        answered += 1
    assert QUEUED <= answered <= QUEUED + 1
    assert line.ended()


@pytest.mark.parametrize("unending", ["header", "headers", "address", "chunk size", "trailers"])
def test_nothing_without_an_end_fills_the_memory(door: Door, unending: str) -> None:
    """A hundred megabytes are offered; a few dozen kilobytes are taken, and the answer says so."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    chunked = post(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    start, piece, status = {
        "header": (HEAD + b"X-A: ", b"a", 431),
        "headers": (HEAD, b"A:b\r\n", 431),
        "address": (b"GET /", b"a", 414),
        "chunk size": (chunked + b"1;a=", b"a", 431),
        "trailers": (chunked + b"0\r\n", b"A:b\r\n", 431),
    }[unending]
    line = door.line()
    line.send(start)
    block = piece * (65_536 // len(piece))
    for _ in range(1_600):
        try:
            line.socket.sendall(block)
        except OSError:
            break
    else:
        pytest.fail("a hundred megabytes were taken")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 << 10
    assert line.answer().status in (status, 0)  # 0: the end came before the answer was read


def test_sizes_are_told_with_their_bounds(door: Door) -> None:
    """414 and 431 as problem details; just below the bounds all is well."""
    long = door.ask(request(target="/livez?" + "a" * URL_BYTES))
    fat = door.ask(request("GET", "/livez", "X-A: " + "a" * LIMITS.head_bytes))
    assert (414, True) == (long.status, long.is_problem)
    assert (431, True) == (fat.status, fat.is_problem)
    assert f"{URL_BYTES} bytes" in long.body.decode()
    assert f"{LIMITS.head_bytes} bytes" in fat.body.decode()
    assert 200 == door.ask(request(target="/livez?" + "a" * (URL_BYTES - 10))).status
    near = "X-A: " + "a" * (LIMITS.head_bytes - 200)
    assert 200 == door.ask(request("GET", "/livez", near)).status


def test_a_client_that_does_not_read_its_answers_is_cut(running: Services) -> None:
    """It may not hold what was written for it for longer than it takes to read at the pace."""
    with open_door(running, LIMITS) as door:
        line = door.line()
        line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        line.send(request(target="/docs/assets/swagger-ui-bundle.js") * 20)
        door.until(connections=1)
        begun = time.monotonic()
        door.until(connections=0)
        assert time.monotonic() - begun < 3 * READ_S + BUSY_S


def test_when_all_places_are_taken_the_longest_waiting_makes_room(running: Services) -> None:
    """Idle and dripping connections keep nobody out, and requests under way are not cut."""
    few = HttpLimits(connections=8, read_s=60, keep_alive_s=60)
    before = refused("room")
    with open_door(running, few) as door:
        busy = door.line()
        busy.send(post(100))
        door.until(working=1)
        idle = [door.line() for _ in range(20)]
        for line in idle:
            line.send(HEAD)
        assert 200 == door.ask(request()).status
        assert door.open <= few.connections + 1
        assert refused("room") - before >= 10
        body = b'{"type": "FeatureCollection", "features": []}'
        busy.send(body + b" " * (100 - len(body)))
        assert 200 == busy.answer().status


def test_when_all_places_work_the_next_is_told_to_come_back(running: Services) -> None:
    """503 with Retry-After; and a place that gets free is given away again."""
    few = HttpLimits(connections=8, read_s=60)
    with open_door(running, few) as door:
        busy = [door.line() for _ in range(8)]
        for line in busy:
            line.send(post(100))
            line.send(b" ")
        door.until(working=8)
        answer = door.line().answer()
        assert (503, True) == (answer.status, answer.is_problem)
        assert "1" == answer.headers["retry-after"]
        busy.pop().close()
        door.until(connections=7)
        assert 200 == door.ask(request(target="/livez")).status


def test_a_forwarded_address_is_believed_from_trusted_proxies_only(tmp_path: Path) -> None:
    """Otherwise a guesser would write himself another address for every guess."""
    guess = "gt_live_nobody"

    def statuses(door: Door) -> list[int]:
        return [
            door.ask(request("GET", "/v1/zones", f"X-Forwarded-For: 192.0.2.{n}", key=guess)).status
            for n in range(25)
        ]

    with running_services(tmp_path) as services:
        with open_door(services) as door:
            assert [401] * 20 + [429] * 5 == statuses(door)
            assert 429 == door.ask(request("PUT", "/v1/zones/z", body=b"{}")).status
        with open_door(services, trusted_proxies=("127.0.0.0/8",)) as door:
            assert [401] * 25 == statuses(door)
            forged = [f"X-Forwarded-For: 203.0.113.{n}, 192.0.2.99" for n in range(25)]
            told = [
                door.ask(request("GET", "/v1/zones", each, key=guess)).status for each in forged
            ]
            assert [401] * 20 + [429] * 5 == told  # the proxy's own entry is the last one


def test_behind_tls_the_limits_are_the_same(running: Services, tmp_path: Path) -> None:
    """Silence before the handshake, in it and after it ends in time; nobody else waits."""
    pair = Authority(tmp_path).issue("here", "127.0.0.1")
    certificate = ServerCertificate(*pair)
    with open_door(running, LIMITS, tls=certificate.server) as door:
        silent = [door.line() for _ in range(30)]
        for line in silent[1::3]:
            line.send(bytes.fromhex("1603010200"))
        for line in silent[2::3]:
            line.socket = certificate.client.wrap_socket(line.socket)
            line.send(HEAD)
        begun = time.monotonic()
        honest = door.line()
        honest.socket = certificate.client.wrap_socket(honest.socket)
        honest.send(request())
        assert 200 == honest.answer().status
        for line in silent:
            assert line.ended()
        assert time.monotonic() - begun < 2 * READ_S + BUSY_S


def test_as_many_files_as_connections_may_be_opened() -> None:
    """The process raises its own bound where the system lets it, and says so where it does not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        allow_files(300)
        assert 300 == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        allow_files(200)
        assert 300 == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if hard != resource.RLIM_INFINITY:
            with structlog.testing.capture_logs() as lines:
                allow_files(hard + 1)
            assert [hard + 1] == [line["wanted"] for line in lines]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
