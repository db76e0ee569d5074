"""Bytes to columns: what phones and other sources send becomes a `PingBatch`.

Everything that waits is decoded at once: one msgspec call a message (0.2 us), then numpy columns
and one vectorised test of all bounds; 0.4 us a ping in single-ping messages, 0.3 in arrays.
Only what fails is read again, slowly, by `refusal`, which names the item, the member, the value
and the bound. Good items of a bad array are kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import Any, cast

import msgspec
import numpy as np
import structlog

from geotarget.ingest.columns import NO_INTS, NO_PINGS, columns, joined
from geotarget.ingest.refusal import (
    KEPT_BYTES,
    OWNTRACKS,
    Ping,
    Refused,
    as_bytes,
    check,
    parse,
    read_ping,
    shown,
)
from geotarget.ingest.topics import OwnTracks, Unroutable, route
from geotarget.model import IntArray, PingBatch, Rejected

OWNTRACKS_IGNORED = frozenset(
    {
        "beacon",
        "card",
        "cmd",
        "configuration",
        "dump",
        "lwt",
        "request",
        "status",
        "steps",
        "transition",
        "waypoint",
        "waypoints",
    }
)
"""OwnTracks messages that hold no fix of the device: counted, neither pings nor dead letters."""

FAILURES = (msgspec.MsgspecError, ValueError, RecursionError)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WireLimits:
    """How much one message or request may hold.

    Parameters
    ----------
    message_bytes, message_pings
        Bounds of one MQTT payload.
    request_bytes, request_pings
        Bounds of one HTTP body.
    """

    message_bytes: int = 64 * 1024
    message_pings: int = 100
    request_bytes: int = 4 * 1024 * 1024
    request_pings: int = 10_000


DEFAULT_LIMITS = WireLimits()


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """What became of some messages, or of the items of one request.

    Parameters
    ----------
    pings
        Those that are well-formed and in range, in order of arrival.
    rejected
        The others, with their reasons.
    ping_message
        Position of the message (MQTT) or item (HTTP) that each ping stood in; shape (n,).
    ignored
        Messages that are fine and hold no ping: OwnTracks' other types, cleared retained ones.
    """

    pings: PingBatch
    rejected: list[Rejected]
    ping_message: IntArray
    ignored: int = 0


class _OwnTracksLocation(msgspec.Struct, gc=False):
    type: str = msgspec.field(name="_type")
    tst: float
    lat: float
    lon: float
    acc: float | None = math.nan


_decode_message = msgspec.json.Decoder(Ping | list[Ping]).decode
_decode_owntracks = msgspec.json.Decoder(_OwnTracksLocation).decode

Message = tuple[bytes | str, bytes, *tuple[Any, ...]]
"""Topic and payload; what follows them is not looked at."""


def decode_mqtt(
    messages: Sequence[Message],
    *,
    received_ms: int | IntArray,
    prefix: str = "pings",
    limits: WireLimits = DEFAULT_LIMITS,
) -> Decoded:
    """Decode MQTT messages.

    Parameters
    ----------
    messages
        (topic, payload, …) in order of arrival; further members are not looked at.
    received_ms
        Arrival, Unix milliseconds: one for all, or one per message.
    prefix
        Topics are ``{prefix}/{device}`` and ``owntracks/{user}/{device}``.
    limits
        Bounds of one message.

    Examples
    --------
    >>> topic, payload = b"pings/bus-7", b'{"ts": 1732240000, "lat": 60.17, "lng": 24.94}'
    >>> decoded = decode_mqtt([(topic, payload)], received_ms=1732240000100)
    >>> decoded.pings.device, decoded.pings.ts.tolist(), decoded.rejected
    (['bus-7'], [1732240000000], [])
    """
    routes = [route(message[0], prefix) for message in messages]
    arrived = np.broadcast_to(np.asarray(received_ms, dtype=np.int64), (len(messages),))
    found = _decode_plain(messages, routes, limits)
    if found is None:
        found = _decode_each(messages, routes, arrived.tolist(), limits)
    batch, bad = columns(found.pings, found.devices, arrived[found.message])
    rejected, ping_message = found.rejected, found.message
    for position in bad.tolist():
        at = int(ping_message[position])
        first = int(np.searchsorted(ping_message, at))
        rejected.append(
            _explain(messages[at], found.pings[position], position - first, arrived[at])
        )
    if len(bad):
        ping_message = np.delete(ping_message, bad)
    return Decoded(batch, rejected, ping_message, found.ignored)


def decode_mqtt_singly(
    messages: Sequence[Message],
    *,
    received_ms: IntArray,
    prefix: str = "pings",
    limits: WireLimits = DEFAULT_LIMITS,
) -> Decoded:
    """Decode message by message, and make a dead letter of each that the decoder fails on.

    The way out when `decode_mqtt` raises, which is a defect of it: one message must not block
    those behind it. Fifty times slower.
    """
    parts: list[Decoded] = []
    for message, at in zip(messages, received_ms.tolist(), strict=True):
        try:
            part = decode_mqtt([message], received_ms=at, prefix=prefix, limits=limits)
        except Exception as error:  # noqa: BLE001 whatever it is, it is logged and kept
            _log.exception("a message can't be decoded", payload_bytes=len(message[1]))
            failure = Refused("undecodable", f"$: the decoder fails with {type(error).__name__}")
            part = Decoded(NO_PINGS, [dead_letter(message[0], message[1], failure, at)], NO_INTS)
        parts.append(part)
    return Decoded(
        joined([part.pings for part in parts]),
        [letter for part in parts for letter in part.rejected],
        np.repeat(np.arange(len(parts)), [len(part.pings) for part in parts]),
        sum(part.ignored for part in parts),
    )


def dead_letter(
    source: bytes | str,
    payload: bytes,
    refused: Refused,
    received_ms: int,
    index: int | None = None,
) -> Rejected:
    """Write down what was refused: the topic or ``http``, at most 64 KiB of it, and why."""
    if isinstance(source, bytes):
        source = source.decode("utf-8", "backslashreplace")
    source = source.replace("\0", "\\x00")  # a topic may not hold it, and not every store can
    kept = bytes(payload[:KEPT_BYTES])
    return Rejected(source, kept, refused.reason, refused.detail, received_ms, index)


@dataclass(slots=True)
class _Found:
    """Decoded pings in order of arrival, not yet checked against the bounds."""

    pings: list[Ping]
    devices: list[str]
    message: IntArray
    rejected: list[Rejected] = field(default_factory=list)
    ignored: int = 0


@dataclass(frozen=True, slots=True)
class _Mixed:
    """An array message of which some items are bad: (index, item, why)."""

    good: list[Ping]
    bad: list[tuple[int, Any, Refused]]


def _decode_plain(
    messages: Sequence[Message], routes: Sequence[str | OwnTracks | Unroutable], limits: WireLimits
) -> _Found | None:
    """Take the fast path; None when a single message is not plain, or not well-formed."""
    payloads = [message[1] for message in messages]
    if not set(map(type, routes)) <= {str}:
        return None
    if max(map(len, payloads), default=0) > limits.message_bytes:
        return None
    try:
        values = list(map(_decode_message, payloads))
    except FAILURES:
        return None
    devices = cast(list[str], routes)
    if list not in set(map(type, values)):
        return _Found(cast(list[Ping], values), devices, np.arange(len(messages)))
    arrays = [value if isinstance(value, list) else [value] for value in values]
    counts = list(map(len, arrays))
    if max(counts) > limits.message_pings:
        return None
    return _Found(
        list(chain.from_iterable(arrays)),
        list(chain.from_iterable(map(repeat, devices, counts))),
        np.repeat(np.arange(len(messages)), counts),
    )


def _decode_each(
    messages: Sequence[Message],
    routes: Sequence[str | OwnTracks | Unroutable],
    arrived: Sequence[int],
    limits: WireLimits,
) -> _Found:
    """Message by message, so that a bad one costs its neighbours only time."""
    found = _Found([], [], NO_INTS)
    counts: list[int] = []
    for (topic, payload, *_), routed, at in zip(messages, routes, arrived, strict=True):
        good: list[Ping] = []
        try:
            value = _read_message(routed, payload, limits)
        except Refused as error:
            found.rejected.append(dead_letter(topic, payload, error, at))
        else:
            if value is None:
                found.ignored += 1
            elif isinstance(value, Ping):
                good = [value]
            elif isinstance(value, list):
                good = value
            else:
                good = value.good
                found.rejected += (
                    dead_letter(topic, as_bytes(item), error, at, index)
                    for index, item, error in value.bad
                )
        if good:
            assert not isinstance(routed, Unroutable)
            name = routed if isinstance(routed, str) else routed.device
            found.pings += good
            found.devices += [name] * len(good)
        counts.append(len(good))
    found.message = np.repeat(np.arange(len(messages)), counts)
    return found


def _read_message(
    routed: str | OwnTracks | Unroutable, payload: bytes, limits: WireLimits
) -> Ping | list[Ping] | _Mixed | None:
    """Read one message; None when it is fine and holds no ping."""
    if not payload:
        return None  # how a retained message is cleared
    if isinstance(routed, Unroutable):
        raise Refused(routed.reason, routed.detail)
    if len(payload) > limits.message_bytes:
        raise Refused(
            "too_large",
            f"$: a message has at most {limits.message_bytes} bytes, not {len(payload)}",
        )
    if isinstance(routed, OwnTracks):
        return _read_owntracks(payload)
    return _read_plain(payload, limits)


def _read_plain(payload: bytes, limits: WireLimits) -> Ping | list[Ping] | _Mixed:
    value: Any
    try:
        value = _decode_message(payload)
    except FAILURES:
        value = parse(payload)
    if not isinstance(value, list):
        return value if isinstance(value, Ping) else read_ping(value, "$")
    if len(value) > limits.message_pings:
        raise Refused(
            "too_many",
            f"$: a message holds at most {limits.message_pings} pings, not {len(value)}",
        )
    mixed = _Mixed([], [])
    for index, item in enumerate(value):
        if isinstance(item, Ping):
            mixed.good.append(item)
            continue
        try:
            mixed.good.append(read_ping(item, f"$[{index}]"))
        except Refused as error:
            mixed.bad.append((index, item, error))
    return mixed


def _read_owntracks(payload: bytes) -> Ping | None:
    try:
        location = _decode_owntracks(payload)
    except FAILURES:
        value = parse(payload)
        kind = value.get("_type") if isinstance(value, dict) else None
        if kind == "location":
            return read_ping(value, "$", OWNTRACKS)
    else:
        kind = location.type
        if kind == "location":
            ping = Ping(ts=location.tst, lat=location.lat, lon=location.lon, acc=location.acc)
            check(ping, "$", OWNTRACKS)
            return ping
    if isinstance(kind, str) and kind in OWNTRACKS_IGNORED:
        return None
    if kind == "encrypted":
        raise Refused("unsupported", "$._type: encrypted OwnTracks messages can't be read")
    raise Refused("unsupported", f"$._type: no OwnTracks message type is called {shown(kind)}")


def _explain(message: Message, ping: Ping, index: int, received_ms: int) -> Rejected:
    """Write the dead letter of a ping that decoded well and is out of range."""
    topic, payload = message[0], message[1]
    value = parse(payload)
    inside = isinstance(value, list)
    try:
        check(ping, f"$[{index}]" if inside else "$")
    except Refused as error:
        item = as_bytes(value[index]) if inside else payload
        return dead_letter(topic, item, error, int(received_ms), index if inside else None)
    raise AssertionError("the vectorised bounds and the named ones differ")
