"""Plain sockets to the real HTTP server: what no client library would send."""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from geotarget.api import Services, create_app
from geotarget.api.limits import HttpLimits
from geotarget.runtime.http_server import ApiThread, listen
from tests.api.conftest import ADMIN

PATIENCE_S = 60.0


@dataclass
class Answer:
    """What came back: status 0 when nothing did."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def is_problem(self) -> bool:
        """Whether it tells what is wrong as problem details should."""
        if self.headers.get("content-type") != "application/problem+json":
            return False
        told = json.loads(self.body)
        return bool(told["status"] == self.status and told["type"] and told["detail"])


class Line:
    """One connection."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=PATIENCE_S)
        self.left = b""

    def send(self, data: bytes) -> None:
        """Send bytes; a server that has closed already is no error."""
        try:
            self.socket.sendall(data)
        except OSError:
            return

    def answer(self, method: str = "GET") -> Answer:
        """Read one answer."""
        while b"\r\n\r\n" not in self.left:
            if not self._more():
                return Answer(0, {}, self.left)
        head, _, self.left = self.left.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        status = int(first.split()[1])
        if status == 100:
            return self.answer(method)
        length = int(headers.get("content-length", "0"))
        if method == "HEAD" or status in (204, 304):
            return Answer(status, headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            return Answer(status, headers, b"")
        while len(self.left) < length and self._more():
            pass
        body, self.left = self.left[:length], self.left[length:]
        return Answer(status, headers, body)

    def quiet_for(self, seconds: float) -> bool:
        """Wait; tell whether the server neither answered nor closed meanwhile."""
        return not select.select([self.socket], [], [], seconds)[0]

    def ended(self) -> bool:
        """Read to the end; tell whether the server closes (a time-out raises)."""
        while self._more():
            pass
        return True

    def _more(self) -> bool:
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionError:
            return False
        self.left += data
        return bool(data)

    def close(self) -> None:
        """Hang up."""
        self.socket.close()


@dataclass
class Door:
    """The running server."""

    thread: ApiThread
    address: tuple[str, int]
    lines: list[Line] = field(default_factory=list)

    def line(self) -> Line:
        """Connect."""
        self.lines.append(Line(self.address))
        return self.lines[-1]

    def hang_up(self) -> None:
        """Close all connections."""
        while self.lines:
            self.lines.pop().close()

    def ask(self, data: bytes, method: str = "GET") -> Answer:
        """Send bytes on a connection of their own and read one answer."""
        line = Line(self.address)
        try:
            line.send(data)
            return line.answer(method)
        finally:
            line.close()

    @property
    def open(self) -> int:
        """How many connections the server holds."""
        return len(self.thread._server.server_state.connections)

    @property
    def working(self) -> int:
        """How many requests the application works on."""
        return len(self.thread._server.server_state.tasks)

    def until(self, *, connections: int | None = None, working: int | None = None) -> None:
        """Wait until the server holds so many connections, or works on so many requests."""
        end = time.monotonic() + PATIENCE_S
        while (connections not in (None, self.open)) or (working not in (None, self.working)):
            assert time.monotonic() < end, f"{self.open} connections, {self.working} at work"
            time.sleep(0.01)


@contextmanager
def open_door(services: Services, limits: HttpLimits | None = None, **rest: Any) -> Iterator[Door]:
    """Serve an application on a real socket."""
    sock = listen("127.0.0.1", 0)
    address = sock.getsockname()[:2]
    thread = ApiThread(create_app(services), sock, limits=limits, **rest)
    thread.start()
    end = time.monotonic() + PATIENCE_S
    while not thread.answers:
        assert time.monotonic() < end, "the server did not start"
        time.sleep(0.01)
    door = Door(thread, address)
    try:
        yield door
    finally:
        door.hang_up()
        thread.stop()


def request(
    method: str = "GET",
    target: str = "/v1/zones",
    *headers: str,
    body: bytes = b"",
    key: str = ADMIN,
) -> bytes:
    """Return an ordinary request, with more headers."""
    lines = [f"{method} {target} HTTP/1.1", "Host: x", *headers]
    if key:
        lines.append(f"Authorization: Bearer {key}")
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body
