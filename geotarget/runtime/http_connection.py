"""One HTTP connection, held to what uvicorn leaves open: how long, how much, how many.

uvicorn waits for a head for ever, keeps as much of one as is sent, and counts connections only
when a head is complete. A few hundred clients that send a byte a second would hold every socket,
one that sends a header without an end would fill the memory. So its protocol is bounded here:

- A head comes whole within `HttpLimits.read_s` and `HttpLimits.head_bytes`, its address in
  `URL_BYTES`. What lies between two pieces of a body (chunk sizes, trailers) obeys the same bound.
- A body gets that time too, and a second more for each `HttpLimits.pace_bytes` of it. Time in
  which *we* don't read, because the application is busy, does not count.
- An answer is taken at the same pace, or the connection is cut.
- When all places are taken, the connection that has waited longest for its client makes room. So
  idle and dripping ones keep nobody out; only requests that are being worked on are never cut,
  and when they fill all places the answer is 503.

What breaks a bound is told as problem details where HTTP still allows an answer, and counted.

Cost: one or two microseconds a request and a look at every connection twice a second, no timers. It
builds on the attributes of uvicorn's protocol for httptools, whose version is bounded for that
reason; the tests talk to it through real sockets.
"""

from __future__ import annotations

import asyncio
import socket
from collections import OrderedDict
from http import HTTPStatus
from typing import Any

import httptools
import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from geotarget import metrics
from geotarget.api.limits import HttpLimits
from geotarget.api.problems import PLAIN, respond

URL_BYTES = 8_192
"""Longest address with its query."""

LEFT_BYTES = 16 << 20
"""How much of a body is still read, and thrown away, after the answer: many clients read an answer
only when they have sent all, and would never see it if we hung up."""

QUEUED = 16
"""Requests that a client may send ahead of the answers."""

SWEEP_S = 0.5
"""How often all connections are looked at."""


class BoundedConfig(uvicorn.Config):
    """uvicorn's configuration with the limits of `BoundedConnection`."""

    def __init__(self, app: Any, limits: HttpLimits, **rest: Any) -> None:
        super().__init__(
            app,
            http=BoundedConnection,
            ws="none",
            timeout_keep_alive=limits.keep_alive_s,
            **rest,
        )
        self.limits = limits
        self.places: OrderedDict[BoundedConnection, None] = OrderedDict()
        """Whoever holds one, the longest without an answer first."""


class BoundedServer(uvicorn.Server):
    """uvicorn's server, which looks at its connections twice a second."""

    _swept_at: float | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen; as uvicorn does, but with a limit on the time of a TLS handshake."""
        config = self.config
        assert isinstance(config, BoundedConfig)
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            raise SystemExit(STARTUP_FAILURE)
        loop = asyncio.get_running_loop()
        self.servers = [
            await loop.create_server(
                lambda: BoundedConnection(config, self.server_state, self.lifespan.state),
                sock=each,
                ssl=config.ssl,
                backlog=config.backlog,
                ssl_handshake_timeout=None if config.ssl is None else config.limits.read_s,
            )
            for each in sockets or ()
        ]
        self.started = True

    async def on_tick(self, counter: int) -> bool:
        """Cut what is overdue; called by uvicorn ten times a second."""
        now = asyncio.get_running_loop().time()
        if self._swept_at is None:
            self._swept_at = now
        elif now - self._swept_at >= SWEEP_S:
            passed_s, self._swept_at = now - self._swept_at, now
            for connection in list(self.server_state.connections):
                if isinstance(connection, BoundedConnection):
                    # after a pause of the whole process nobody is late by all of it
                    connection.sweep(min(passed_s, 2 * SWEEP_S))
        return await super().on_tick(counter)


class _Refused(Exception):
    """Stops the parser: the message broke a bound."""


class BoundedConnection(HttpToolsProtocol):
    """A connection that ends when its client asks too much of it."""

    def __init__(self, config: uvicorn.Config, *args: Any, **rest: Any) -> None:
        super().__init__(config, *args, **rest)
        assert isinstance(config, BoundedConfig)
        self._limits = config.limits
        self._places = config.places
        self._reading = True  # a message has begun, or is awaited, and is not complete
        self._headed = False  # its head is complete
        self._ended = False  # nothing more is read: what came last was no request
        self._waited_s = 0.0  # for this message, while we would have read
        self._head = 0  # bytes of address, headers and trailers of it
        self._body = 0  # bytes of its body
        self._left = 0  # of those that came after the answer
        self._loose = 0  # bytes received since something came of them
        self._unsent = 0  # bytes of answers that wait for the client
        self._taken = 0  # bytes that it took while all else waited
        self._blocked_s = 0.0
        self._refusal: tuple[int, str] | None = None

    # -- the life of a connection ----------------------------------------------------------

    def connection_made(  # type: ignore[override] # as uvicorn has it
        self, transport: asyncio.Transport
    ) -> None:
        """Take it in, and cut another one where all places are taken."""
        super().connection_made(transport)
        if len(self._places) >= self._limits.connections and not self._make_room():
            self._refusal = (503, "all connections are in use; try again")
            self._refuse("full")
        else:
            self._places[self] = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Give its place back."""
        self._places.pop(self, None)
        super().connection_lost(exc)

    @property
    def waits(self) -> bool:
        """Whether nothing is being done for the client: it is the client's turn."""
        return self.cycle is None or self.cycle.response_complete or self.flow.write_paused

    def _make_room(self) -> bool:
        """Cut the connection that waits longest for its client; tell whether there was one."""
        longest = next((each for each in self._places if each.waits), None)
        if longest is not None:
            longest._cut("room")  # noqa: SLF001 - one of us
        return longest is not None

    def sweep(self, passed_s: float) -> None:
        """End it if its client is too slow; `passed_s` is the time since the last call."""
        unsent = self.transport.get_write_buffer_size()
        if unsent and (self.flow.write_paused or self.transport.is_closing()):
            self._blocked_s += passed_s
            self._taken += max(0, self._unsent - unsent)
        else:
            self._blocked_s, self._taken = 0.0, 0
        self._unsent = unsent
        if self._blocked_s > self._limits.read_s + self._taken / self._limits.pace_bytes:
            self._cut("slow")
        elif self._reading and not self.flow.read_paused and not self.transport.is_closing():
            self._waited_s += passed_s
            answered = self.cycle is not None and self.cycle.response_complete
            earned_s = 0.0 if answered else self._body / self._limits.pace_bytes
            if self._waited_s > self._limits.read_s + earned_s:
                part = "body" if self._headed else "head"
                self._refusal = (408, f"the {part} of the request took too long to come")
                self._refuse("slow")

    def resume_writing(self) -> None:
        """Note that the client has taken much of what waited."""
        self._blocked_s, self._taken = 0.0, 0
        super().resume_writing()

    def on_response_complete(self) -> None:
        """Go on to the next request."""
        if self in self._places:
            self._places.move_to_end(self)
        super().on_response_complete()

    # -- what comes in ---------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Read on, within the bounds."""
        self._unset_keepalive_if_required()
        if self._ended:
            return
        if not self._reading:  # also when it is only an empty line, before a message
            self._begin()
        self._loose += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # There is no other protocol here. The parser has ended: so does the connection.
            self.cycle.keep_alive = False
        except httptools.HttpParserError as error:
            if self._refusal is None:
                self._refusal = (400, f"this is not HTTP: {_words(error)}")
            self._refuse("malformed" if self._refusal[0] == HTTPStatus.BAD_REQUEST else "size")
            return
        if self._reading and self._loose > self._limits.head_bytes:
            self._refusal = self._too_large()
            self._refuse("size")

    def _begin(self) -> None:
        self._reading, self._headed = True, False
        self._waited_s = 0.0
        self._head = self._body = self._left = self._loose = 0

    def on_message_begin(self) -> None:
        """Begin to count, unless that began with the connection or an empty line."""
        if not self._reading:
            self._begin()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the address."""
        self._head += len(url)
        if self._head > URL_BYTES:
            self._refusal = (414, f"the address with its query may have {URL_BYTES} bytes")
            raise _Refused
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; one behind the body is read and ignored."""
        self._head += len(name) + len(value) + 4
        if self._head > self._limits.head_bytes:
            self._refusal = self._too_large()
            raise _Refused
        if not self._headed:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the request, or queue it behind those that came before."""
        if len(self.pipeline) >= QUEUED:
            self._refusal = (400, f"no more than {QUEUED} requests may wait on one connection")
            raise _Refused
        super().on_headers_complete()
        self._headed, self._loose = True, 0

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body; after the answer only a little more."""
        self._body += len(body)
        self._loose = 0
        if self.cycle.response_complete:
            self._left += len(body)
            if self._left > LEFT_BYTES:
                self._refusal = (413, "the body went on after the answer")
                raise _Refused
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that nothing more is owed."""
        self._reading, self._loose = False, 0
        super().on_message_complete()

    def _too_large(self) -> tuple[int, str]:
        return 431, f"request line and headers may have {self._limits.head_bytes} bytes"

    # -- the end of it ---------------------------------------------------------------------

    def _cut(self, reason: str) -> None:
        metrics.http_refused.labels(reason).inc()
        self._forsake()
        self.transport.abort()

    def _refuse(self, reason: str) -> None:
        """Answer with the problem, if an answer can still be understood, and close."""
        assert self._refusal is not None
        metrics.http_refused.labels(reason).inc()
        status, detail = self._refusal
        works = self.cycle is not None and not self.cycle.response_complete
        if works and not self._headed:
            # what came before it was in order: that is answered, and the connection ends
            self._reading, self._ended = False, True
            self.cycle.keep_alive = False
            return
        # either nothing is under way, or what is wrong belongs to the request that is
        clear = works == self._headed and not self.pipeline
        if clear and not (works and self.cycle.response_started):
            self.transport.write(_answer(status, detail, self.server_state.default_headers))
        self._forsake()
        self.transport.close()

    def _forsake(self) -> None:
        """Give its place away, and tell the application that its client is gone."""
        self._places.pop(self, None)
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()


def _words(error: Exception) -> str:
    """Return what the parser says; what uvicorn stumbles over itself is the address."""
    if isinstance(error, httptools.HttpParserCallbackError):
        return "the address can't be read"
    return str(error)[:80]


def _answer(status: int, detail: str, headers: list[tuple[bytes, bytes]]) -> bytes:
    """Return a whole answer, for a request that never reached the application."""
    told = {"Connection": "close"} | ({"Retry-After": "1"} if status == 503 else {})
    response = respond(PLAIN[status], detail, headers=told)
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode()]
    lines += [name + b": " + value for name, value in [*headers, *response.raw_headers]]
    return b"\r\n".join([*lines, b"", bytes(response.body)])
