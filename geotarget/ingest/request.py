"""The body of one HTTP request to columns: an array, one object, or NDJSON.

The same members, bounds and reasons as over MQTT; the difference is that somebody waits for the
answer, so a body that is broken as a whole is an exception and each bad item has its index.
Costs 0.5 us a ping when all are good.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np

from geotarget.errors import InvalidPing, Problem
from geotarget.ingest.columns import columns
from geotarget.ingest.refusal import Ping, Refused, as_bytes, parse, read_ping, shown
from geotarget.ingest.topics import device_problem
from geotarget.ingest.wire import DEFAULT_LIMITS, FAILURES, Decoded, WireLimits, dead_letter
from geotarget.model import Rejected


class _HttpPing(Ping, kw_only=True, gc=False):
    device: str


_decode_item = msgspec.json.Decoder(_HttpPing).decode
_decode_array = msgspec.json.Decoder(list[_HttpPing]).decode


def decode_http(
    body: bytes,
    *,
    content_type: str = "",
    received_ms: int,
    limits: WireLimits = DEFAULT_LIMITS,
) -> Decoded:
    r"""Decode the body of a request: a JSON array, one object, or NDJSON.

    Each ping names its ``device``. NDJSON is taken when the content type says so
    (``application/x-ndjson``, ``application/jsonl``) or when the body starts with an object and
    goes on after it.

    Raises
    ------
    InvalidPing
        When the body as a whole can't be read: too large, too many items, not JSON.

    Examples
    --------
    >>> body = b'{"device": "a", "ts": 1732240000, "lat": 60.17, "lng": 190}'
    >>> decoded = decode_http(body, received_ms=1732240000100)
    >>> decoded.rejected[0].index, decoded.rejected[0].detail
    (0, '$.lng: longitude must be within -180 and 180, not 190.0')
    """
    if len(body) > limits.request_bytes:
        raise _invalid("$", f"{len(body)} bytes", f"a body has at most {limits.request_bytes}")
    if not body.strip():
        raise _invalid("$", "", "the body is empty")
    values, lines = _decode_all(body, content_type)
    items = _Items(body, lines)
    count = len(values) if values is not None else len(items)
    if count > limits.request_pings:
        reason = f"a request holds at most {limits.request_pings} pings"
        raise _invalid("$", f"{count} pings", reason)
    rejected: list[Rejected] = []
    if values is None or any(device_problem(ping.device) for ping in values):
        values, kept = [], []
        for index in range(count):
            try:
                values.append(items.read(index))
                kept.append(index)
            except Refused as error:
                rejected.append(items.letter(index, error, received_ms))
        ping_item = np.array(kept, dtype=np.int64)
    else:
        ping_item = np.arange(count)
    arrived = np.full(len(values), received_ms, dtype=np.int64)
    batch, bad = columns(values, [ping.device for ping in values], arrived)
    for index in ping_item[bad].tolist():
        try:
            items.read(index)
        except Refused as error:
            rejected.append(items.letter(index, error, received_ms))
    rejected.sort(key=lambda letter: letter.index or 0)
    return Decoded(batch, rejected, np.delete(ping_item, bad))


def _decode_all(
    body: bytes, content_type: str
) -> tuple[list[_HttpPing] | None, list[tuple[int, bytes]] | None]:
    """Take the fast path; None for the pings when an item is not well-formed.

    The second value holds the numbered lines when the body is NDJSON.
    """
    lines: list[tuple[int, bytes]] | None = None
    start = body.lstrip()[:1]
    try:
        if "ndjson" in content_type or "jsonl" in content_type:
            lines = list(_lines(body))
            return [_decode_item(line) for _, line in lines], lines
        if start == b"[":
            return _decode_array(body), None
        return [_decode_item(body)], None
    except FAILURES:
        if lines is None and start == b"{" and not _is_json(body):
            lines = list(_lines(body))
    return None, lines


class _Items:
    """The items of a request, parsed again when one of them has to be explained."""

    def __init__(self, body: bytes, lines: list[tuple[int, bytes]] | None) -> None:
        self._body = body
        self._lines = lines
        self._parsed: list[Any] | None = None
        self._single = False

    def __len__(self) -> int:
        return len(self._lines) if self._lines is not None else len(self._items())

    def _items(self) -> list[Any]:
        if self._parsed is None:
            try:
                value = parse(self._body)
            except Refused as error:
                raise _invalid("$", "", error.detail) from None
            self._single = not isinstance(value, list)
            self._parsed = [value] if self._single else value
        return self._parsed

    def read(self, index: int) -> _HttpPing:
        if self._lines is not None:
            number, line = self._lines[index]
            path = f"line {number}: $"
            try:
                item = parse(line)
            except Refused as error:
                raise Refused(error.reason, f"line {number}: {error.detail}") from None
        else:
            item = self._items()[index]
            path = "$" if self._single else f"$[{index}]"
        if isinstance(item, dict) and "device" not in item and "lat" in item:
            raise Refused("device", f"{path}.device: the device is missing")
        ping = read_ping(item, path)
        name = item.get("device")
        if not isinstance(name, str):
            raise Refused("device", f"{path}.device: must be a string, not {shown(name)}")
        if problem := device_problem(name):
            raise Refused("device", f"{path}.device: {problem}")
        return _HttpPing(**msgspec.structs.asdict(ping), device=name)

    def letter(self, index: int, error: Refused, received_ms: int) -> Rejected:
        raw = self._lines[index][1] if self._lines is not None else as_bytes(self._items()[index])
        return dead_letter("http", raw, error, received_ms, index)


def _lines(body: bytes) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(body.split(b"\n"), start=1):
        if line.strip():
            yield number, line


def _is_json(body: bytes) -> bool:
    try:
        parse(body)
    except Refused:
        return False
    return True


def _invalid(path: str, value: str, reason: str) -> InvalidPing:
    return InvalidPing(Problem(path, value, reason))
