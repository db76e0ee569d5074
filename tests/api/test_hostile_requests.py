"""Requests that nobody sends by mistake, through a real socket: no 5xx, no hang, no plain text."""

from __future__ import annotations

import gzip
import itertools
import random
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from geotarget.api.app import table
from geotarget.api.limits import HttpLimits
from geotarget.api.route import MOST_PARAMETERS, Row
from geotarget.api.services import Limits
from tests.api.conftest import ADMIN, PATIENT, running_services
from tests.api.sockets import Door, open_door, request

READ_S = 2.0
"""What every request that never ends costs here."""

ROWS = table(Limits())
TAKING = [row for row in ROWS if row.body is not None]
CREDENTIALS = f"Authorization: Bearer {ADMIN}"

TARGETS = [
    *("/v1/zones/%00", "/v1/zones/a%2Fb", "/v1/zones/%2e%2e%2f%2e%2e%2fetc", "/v1/zones/../../etc"),
    *("/v1/zones/%ff%fe", "/v1/zones/%ed%a0%80", "/v1/zones/%E2%80%AE", "/v1/zones/%0d%0aX:1"),
    *("/v1/zones/" + "a" * 5_000, "/v1/zones/%", "/v1/zones/%zz", "//v1//zones", "/v1/zones;a=b"),
    *("http://other/v1/zones", "http://[::1/v1", "/v1/zones#a", "/v1/zones?#", "/v1/é", "*"),
    *("/v1/zones?limit=1e999", "/v1/zones?limit=" + "9" * 25, "/v1/zones?limit=-1"),
    *("/v1/zones?limit=NaN", "/v1/zones?limit=%D9%A1", "/v1/zones?limit=1&limit=2"),
    *("/v1/zones?cursor=%00", "/v1/zones?cursor=" + "A" * 3_000, "/v1/zones?cursor=%ed%a0%80"),
    *("/v1/zones?%00=1", "/v1/zones?" + "&".join(["a"] * 3_000), "/v1/zones?=", "/v1/zones?&&&"),
    *("/docs/assets/../../../../etc/passwd", "/docs/assets/%2e%2e/%2e%2e/%2e%2e/etc/passwd"),
    *("/docs/assets/%00", "/docs/assets/" + "a" * 300, "/docs/assets/%ed%a0%80", "/docs/assets/"),
    *("/v1/audit?actor=%00", "/v1/audit?from=%00", "/v1/keys/%00", "/v1/deliveries/%00"),
    *("/v1/devices/%00/explain", "/v1/devices/%ed%a0%80", "/v1/reports/zones/%00?from=x"),
    *("/v1/keys/%00:rotate", "/v1/keys/x:rotate:rotate", "/v1/transitions?from=-9999-01-01"),
    *("/v1/decisions?from=99999-12-31T00:00:00Z", "/v1/decisions?from=1e400", "/../livez"),
]

FOUND = {
    *("http://other/v1/zones", "/v1/zones#a", "/v1/zones?#", "/v1/zones?&&&"),
    "/v1/zones?limit=1&limit=2",
}
"""Those of them that are the list of zones, oddly written."""

BODIES = [
    *(b"", b"null", b"true", b"1", b'"x"', b"{", b'"', b"[]", b"[[]]", b"[{}]", b"[null]", b"{}{}"),
    *(b"NaN", b"[NaN]", b"[Infinity]", b'{"a": 1e999}', b'{"a": -1e999}', b"1e400", b"-0"),
    *(b"[" * 100_000, b"[" * 50_000 + b"]" * 50_000, b'{"a":' * 5_000 + b"1" + b"}" * 5_000),
    *(rb'{"a": "\ud800"}', rb'{"\ud800": 1}', rb'{"name": "\udfff", "scopes": ["admin"]}'),
    *(b'{"a": 1' + b"0" * 5_000 + b"}", b'{"limit": 123456789012345678901234567890}'),
    *(b'{"a": 1, "a": 2}', b'{"name": "a", "name": 1}', b'{"": ""}', rb'{"a": "\u0000"}'),
    *(b"\xff\xfe", b"\xef\xbb\xbf{}", b"\x00", b"\r" * 1_000, b"\n\n\n", b"{}\n{}\n", b"\x1f\x8b"),
    *(b'id\n"', b"a,b\n1\n", b"id,id\n1,2\n", b"id\n" + b'"' * 999, b"id\n\xff\n", b"id;x\n"),
    b'{"type": "Feature", "properties": null, "geometry": null}',
    b'{"type": "FeatureCollection", "features": [null]}',
    b'{"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [[[1e308, 0], [0, 1]]]}}',
    gzip.compress(b'{"type": "FeatureCollection", "features": []}'),
]


def raw(first: str, *lines: str, body: bytes = b"") -> bytes:
    """Return a request as it is written, with a good key."""
    return "\r\n".join([first, "Host: x", CREDENTIALS, *lines, "", ""]).encode() + body


def chunked(body: bytes, *lines: str) -> bytes:
    """Return a request whose body is written in pieces."""
    kind = ["Content-Type: application/geo+json", "Transfer-Encoding: chunked", *lines]
    return raw("POST /v1/zones HTTP/1.1", *kind, body=body)


GOOD = b'{"type":"FeatureCollection","features":[]}'
PIECE = b"2a\r\n" + GOOD + b"\r\n"
LENGTH = f"Content-Length: {len(GOOD)}"
KIND = "Content-Type: application/geo+json"
POST = "POST /v1/zones HTTP/1.1"

WRITTEN = {
    "no request": b"\r\n\r\n\r\n\r\nx\r\n\r\n",
    "nothing readable": bytes(range(256)) * 10,
    "HTTP/0.9": b"GET /livez\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
    "HTTP/9": b"GET /livez HTTP/9.9\r\n\r\n",
    "TLS": bytes.fromhex("160301020001 0001fc0303") + b"\0" * 400,
    "SMTP": b"EHLO x\r\n\r\n",
    "unknown method": raw("BREW /v1/zones HTTP/1.1"),
    "lower case": raw("get /v1/zones HTTP/1.1"),
    "TRACE": raw("TRACE /v1/zones HTTP/1.1"),
    "CONNECT": raw("CONNECT other:443 HTTP/1.1"),
    "PATCH": raw("PATCH /v1/zones/z HTTP/1.1", "Content-Length: 0"),
    "no address": raw("GET  HTTP/1.1"),
    "two spaces": raw("GET /v1/zones  HTTP/1.1"),
    "NUL in a header": raw("GET /v1/zones HTTP/1.1", "X-A: a\0b"),
    "bare CR": raw("GET /v1/zones HTTP/1.1", "X-A: a\rX-B: b"),
    "no colon": raw("GET /v1/zones HTTP/1.1", "X-A"),
    "space in a name": raw("GET /v1/zones HTTP/1.1", "X A: b"),
    "empty name": raw("GET /v1/zones HTTP/1.1", ": b"),
    "folded": raw("GET /v1/zones HTTP/1.1", "X-A: a", " b"),
    "two hosts": raw("GET /v1/zones HTTP/1.1", "Host: y"),
    "strange host": b"GET /livez HTTP/1.1\r\nHost: \xff\xfe:99999999\r\n\r\n",
    "no host": b"GET /livez HTTP/1.1\r\n\r\n",
    "two keys": raw("GET /v1/zones HTTP/1.1", CREDENTIALS),
    "key of bytes": b"GET /v1/zones HTTP/1.1\r\nAuthorization: Bearer \xff\xfe\r\n\r\n",
    "long key": raw("GET /v1/zones HTTP/1.1").replace(ADMIN.encode(), b"a" * 20_000),
    "many headers": raw("GET /v1/zones HTTP/1.1", *["A: b"] * 5_000),
    "two types": raw(POST, KIND, "Content-Type: text/csv", LENGTH, body=GOOD),
    "type of bytes": raw(POST, LENGTH, body=GOOD).replace(b"Host", b"Content-Type: \xff\r\nHost"),
    "gzip": raw(POST, KIND, "Content-Encoding: gzip", LENGTH, body=GOOD),
    "two lengths": raw(POST, KIND, LENGTH, "Content-Length: 5", body=GOOD),
    "negative length": raw(POST, KIND, "Content-Length: -1", body=GOOD),
    "length in words": raw(POST, KIND, "Content-Length: ten", body=GOOD),
    "length with a sign": raw(POST, KIND, f"Content-Length: +{len(GOOD)}", body=GOOD),
    "length of 10^30": raw(POST, KIND, "Content-Length: 1" + "0" * 30, body=GOOD),
    "length of 10^15": raw(POST, KIND, "Content-Length: 1" + "0" * 15, body=GOOD),
    "length in Arabic": raw(POST, KIND, "Content-Length: ٤٢", body=GOOD),
    "too short": raw(POST, KIND, "Content-Length: 20", body=GOOD),
    "too long": raw(POST, KIND, "Content-Length: 90", body=GOOD),
    "no length": raw(POST, KIND),
    "length and pieces": chunked(PIECE + b"0\r\n\r\n", LENGTH),
    "pieces twice": chunked(PIECE + b"0\r\n\r\n", "Transfer-Encoding: chunked"),
    "pieces and gzip": raw(POST, KIND, "Transfer-Encoding: gzip, chunked", body=PIECE),
    "unknown encoding": raw(POST, KIND, "Transfer-Encoding: magic", body=GOOD),
    "encoding with a space": raw(POST, KIND, "Transfer-Encoding : chunked", body=PIECE),
    "piece without an end": chunked(b"2a\r\n" + GOOD),
    "piece of no size": chunked(b"\r\n" + GOOD),
    "piece in words": chunked(b"zz\r\n" + GOOD),
    "piece of 2^64": chunked(b"ffffffffffffffff\r\n" + GOOD),
    "piece of 2^80": chunked(b"f" * 20 + b"\r\n" + GOOD),
    "negative piece": chunked(b"-1\r\n" + GOOD),
    "piece of another size": chunked(b"5\r\n" + GOOD + b"\r\n0\r\n\r\n"),
    "bare LF": chunked(b"2a\n" + GOOD + b"\n0\n\n"),
    "websocket": raw(
        "GET /v1/zones HTTP/1.1", "Connection: Upgrade", "Upgrade: websocket",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13",
    ),
    "upgrade with a body": raw(
        POST, KIND, LENGTH, "Connection: Upgrade", "Upgrade: h2c", body=GOOD
    ),
    "strange expectation": raw("GET /v1/zones HTTP/1.1", "Expect: miracles"),
    "range": raw("GET /docs/assets/swagger-ui.css HTTP/1.1", "Range: bytes=9-1,-5,99999999999-"),
    "many ranges": raw(
        "GET /docs/assets/swagger-ui.css HTTP/1.1", "Range: bytes=" + ",".join(["0-"] * 5_000)
    ),
    "date of nowhere": raw(
        "GET /docs/assets/swagger-ui.css HTTP/1.1", "If-Modified-Since: \x7f99", 'If-None-Match: "'
    ),
    "accepts nonsense": raw(
        "GET /v1/reports/campaigns HTTP/1.1", "Accept: ;;q=NaN,,*/*;q=1e999", "Accept-Language: -"
    ),
    "form": raw(POST, "Content-Type: multipart/form-data; boundary=a", LENGTH, body=GOOD),
}  # fmt: skip


STATIC = b"/docs/assets/swagger"
"""Files that a library serves, which tells an impossible range in its own way."""


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A server that gives up early."""
    folder = tmp_path_factory.mktemp("hostile")
    with (
        running_services(folder) as services,
        open_door(replace(services, limits=PATIENT), HttpLimits(read_s=READ_S)) as door,
    ):
        yield door


def status(door: Door, data: bytes, method: str = "GET") -> int:
    """Send bytes; hold the answer against what every answer is, and return its status."""
    answer = door.ask(data, method)  # a hang is a time-out here
    assert 100 < answer.status < 500, (data[:300], answer)
    if answer.status >= 400 and method != "HEAD" and STATIC not in data:
        assert answer.is_problem, (data[:300], answer)
    assert "server" not in answer.headers
    return answer.status


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
def test_strange_addresses(door: Door, method: str) -> None:
    """Each is found or refused, whatever the method; nothing outside is ever served."""
    found = set()
    for target in TARGETS:
        body = b"{}" if method in {"POST", "PUT"} else b""
        lines = ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        if status(door, raw(f"{method} {target} HTTP/1.1", *lines, body=body), method) < 400:
            found.add(target)
    assert (FOUND if method == "GET" else set()) == found


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_written_against_the_rules(door: Door, name: str) -> None:
    """Lies about lengths, garbage in pieces, headers out of order, other protocols."""
    status(door, WRITTEN[name])


@pytest.mark.parametrize("row", TAKING, ids=lambda row: f"{row.method} {row.path}")
def test_strange_bodies(door: Door, row: Row) -> None:
    """Every body at every route that takes one, in every media type that it takes."""
    assert row.body is not None
    path = row.path.replace("{id:path}", "z").replace("{id}", "z")
    for media in row.body.takes:
        for body in BODIES:
            lines = [f"Content-Type: {media}", f"Content-Length: {len(body)}"]
            status(door, raw(f"{row.method} {path} HTTP/1.1", *lines, body=body))


def test_the_server_is_as_well_as_before(door: Door) -> None:
    """Requests that obey the rules are answered, on one connection, after all that."""
    line = door.line()
    for _ in range(3):
        line.send(request() + request(target="/livez"))
        assert [200, 200] == [line.answer().status, line.answer().status]
    line.send(chunked(PIECE + b"0\r\nTrailer: x\r\n\r\n"))
    assert 200 == line.answer().status


def test_a_query_has_so_many_parameters(door: Door) -> None:
    """More are refused as a whole, with the bound."""
    answer = door.ask(request(target="/v1/zones?" + "&".join(["limit=1"] * (MOST_PARAMETERS + 1))))
    assert (422, True) == (answer.status, answer.is_problem)
    assert f"may have {MOST_PARAMETERS} parameters" in answer.body.decode()


def test_an_early_end_of_a_request_that_was_followed_by_garbage(door: Door) -> None:
    """What follows on the connection is never taken for a part of somebody else's request."""
    line = door.line()
    line.send(raw("GET /livez HTTP/1.1", "Content-Length: 5") + b"GET /v1/zones HTTP/1.1\r\n\r\n")
    assert 200 == line.answer().status
    assert line.answer().status in (400, 0)
    assert line.ended()


SEVERAL = [
    request(target="/livez"),
    chunked(PIECE + b"0\r\nTrailer: x\r\n\r\n"),
    raw(POST, KIND, LENGTH, body=GOOD),
    b"\r\n" + request(target="/v1/zones?limit=1"),
    raw("DELETE /v1/zones/nobody HTTP/1.1"),
]


@pytest.mark.parametrize("seed", range(20))
def test_it_does_not_matter_how_requests_are_cut(door: Door, seed: int) -> None:
    """Whatever the pieces in which they arrive, the answers are the same, in their order."""
    draw = random.Random(seed)
    data = b"".join(SEVERAL)
    cuts = sorted(draw.sample(range(1, len(data)), draw.choice([1, 5, 40])))
    line = door.line()
    line.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for start, end in itertools.pairwise([0, *cuts, len(data)]):
        line.send(data[start:end])
        assert line.left == b""
    assert [200, 200, 200, 200, 404] == [line.answer().status for _ in SEVERAL]
    line.close()


@pytest.mark.parametrize("seed", range(3))
def test_requests_with_broken_bytes(door: Door, seed: int) -> None:
    """Bytes are lost, doubled, swapped and replaced: an answer below 500, or an orderly end."""
    draw = random.Random(seed)
    whole = SEVERAL + [each for each in WRITTEN.values() if STATIC not in each]
    lines = []
    for _ in range(150):
        broken = bytearray(draw.choice(whole))
        for _ in range(draw.randint(1, 4)):
            place = draw.randrange(len(broken) or 1)
            kind = draw.randrange(3)
            if kind == 0:
                del broken[place : place + draw.randint(1, 9)]
            elif kind == 1:
                broken[place:place] = broken[place : place + draw.randint(1, 30)]
            elif broken:
                broken[place] = (
                    draw.choice(b"\r\n\0 :0fF\xff") if kind == 2 else draw.randrange(256)
                )
        lines.append(door.line())
        lines[-1].send(bytes(broken))
    for line in lines:
        answer = line.answer()
        assert answer.status < 500
        assert answer.status == 0 or answer.status < 400 or answer.is_problem
    door.hang_up()
    assert 200 == door.ask(request()).status
