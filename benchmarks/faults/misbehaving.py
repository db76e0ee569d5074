"""What receivers do that nobody should: refuse, hang, break off, flood, drip, point elsewhere."""

from __future__ import annotations

import asyncio
import socket
import struct
import zlib

from aiohttp import web

HANG_S = 40.0
FLOOD_BYTES, PIECE = 1 << 30, bytes(64 << 10)
DRIP_S = 0.5
_NOTHING_LEFT = struct.pack("ii", 1, 0)
_dropped: set[str] = set()


async def fail(_: web.Request) -> web.StreamResponse:
    """Answer 500."""
    return web.Response(status=500, text="out of order")


async def busy(_: web.Request) -> web.StreamResponse:
    """Answer 429 and ask for two seconds."""
    return web.Response(status=429, headers={"Retry-After": "2"})


async def hang(_: web.Request) -> web.StreamResponse:
    """Say nothing until long after the sender has given up."""
    await asyncio.sleep(HANG_S)
    return web.Response(status=504)


async def reset(request: web.Request) -> web.StreamResponse:
    """Break the connection with a TCP reset, without an answer and without keeping the event."""
    _break(request)
    return web.Response(status=503)


async def dropping(request: web.Request) -> web.StreamResponse:
    """Keep the event, and break the connection instead of answering, for one id in ``every``.

    Only the first time that an id comes; after that it is accepted as any other.
    """
    event = request.headers["webhook-id"]
    if event not in _dropped and not zlib.crc32(event.encode()) % int(request.query["every"]):
        _dropped.add(event)
        _break(request)
    return web.Response(status=204)


async def flood(request: web.Request) -> web.StreamResponse:
    """Accept, with a gigabyte of answer."""
    answer = web.StreamResponse(headers={"Content-Length": str(FLOOD_BYTES)})
    try:
        await answer.prepare(request)
        for _ in range(FLOOD_BYTES // len(PIECE)):
            await answer.write(PIECE)
    except ConnectionError:  # it has heard enough
        _break(request)
    return answer


async def drip(request: web.Request) -> web.StreamResponse:
    """Answer a byte every half second, so that the status line takes longer than anybody waits."""
    for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Slow: " + b"." * 60:
        if request.transport is None:
            break
        request.transport.write(bytes([byte]))
        await asyncio.sleep(DRIP_S)
    _break(request)
    return web.Response(status=503)


async def redirect(request: web.Request) -> web.StreamResponse:
    """Send the sender on to ``to``."""
    return web.Response(status=307, headers={"Location": request.query["to"]})


def _break(request: web.Request) -> None:
    """Reset the connection: what was written and not yet read is gone."""
    transport = request.transport
    if transport is None:
        return
    connection: socket.socket = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NOTHING_LEFT)
    transport.abort()


MISBEHAVIOURS = {
    "fail": fail,
    "busy": busy,
    "hang": hang,
    "reset": reset,
    "dropping": dropping,
    "flood": flood,
    "drip": drip,
    "redirect": redirect,
}
