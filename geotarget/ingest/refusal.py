"""The slow, careful reading of one ping: what exactly is wrong with it, and where.

`wire` decodes a whole receive at once and comes here only with what failed, so this module may
take 20 us a ping. It accepts exactly what the fast path accepts, and names the rest: a reason
code for counters, a JSON path, the value and the bound for people.
"""

from __future__ import annotations

import json
import math
from datetime import datetime
from typing import Annotated, Any

import msgspec

MAX_SECONDS = 1e11
"""Epoch seconds beyond this (year 5138) are milliseconds by mistake."""

KEPT_BYTES = 64 * 1024
"""How much of a refused payload is kept."""

Instant = Annotated[datetime, msgspec.Meta(tz=True)]

_LATITUDE = 90.0
_LONGITUDE = 180.0
_SHOWN = 40


class Refused(Exception):
    """One ping or message is refused; `reason` is the code, the text the sentence."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class Ping(msgspec.Struct, gc=False):
    """A ping as phones write it. NaN stands for a member that is missing: JSON has no NaN."""

    ts: float | Instant
    lat: float
    lng: float = math.nan
    lon: float = math.nan
    acc: float | None = math.nan
    id: str | int | None = None
    speed: float | None = None
    heading: float | None = None


class Names(msgspec.Struct, frozen=True):
    """What a payload format calls the time and the longitude, for messages to its author."""

    ts: str
    lng: str


PLAIN = Names("ts", "lng")
OWNTRACKS = Names("tst", "lon")


def parse(payload: bytes) -> Any:
    """Parse JSON, more forgiving than the standard so that a bad number can be named.

    Returns
    -------
    Any
        The value; NaN and Infinity stand in it where the payload had them, or 1e999.

    Raises
    ------
    Refused
        With reason ``json`` when it can't be parsed at all.
    """
    try:
        return msgspec.json.decode(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass  # said again, with a better message, by the parser below
    try:
        return json.loads(payload.decode(), parse_float=float, parse_constant=float)
    except UnicodeDecodeError as error:
        raise Refused("json", f"not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise Refused("json", "nested too deep") from None
    except ValueError as error:
        raise Refused("json", f"not JSON: {error}") from None


def read_ping(item: Any, path: str, names: Names = PLAIN) -> Ping:
    """Read one ping from a parsed value and check all its bounds.

    Raises
    ------
    Refused
        With the first thing that is wrong.
    """
    if not isinstance(item, dict):
        raise Refused("type", f"{path}: a ping is a JSON object, not {_kind(item)}")
    if not item.keys() & {names.ts, "lat", "lng", "lon"} or ("_type" in item and names is PLAIN):
        raise Refused("unsupported", _foreign(item, path, names))
    ping = Ping(
        ts=_instant(item, names.ts, path),
        lat=_number(item, "lat", path, "latitude"),
        lng=_number(item, "lng", path) if names is PLAIN else math.nan,
        lon=_number(item, "lon", path),
        acc=_number(item, "acc", path, nullable=True),
        id=_message_id(item, path) if names is PLAIN else None,
        speed=_number(item, "speed", path, nullable=True) if names is PLAIN else None,
        heading=_number(item, "heading", path, nullable=True) if names is PLAIN else None,
    )
    check(ping, path, names)
    return ping


def check(ping: Ping, path: str, names: Names = PLAIN) -> None:
    """Check the bounds of a decoded ping; the vectorised test in `wire` is the same.

    Raises
    ------
    Refused
        With the first bound that is broken.
    """
    seconds = ping.ts.timestamp() if isinstance(ping.ts, datetime) else ping.ts
    if seconds > MAX_SECONDS:
        raise Refused(
            "timestamp",
            f"{path}.{names.ts}: epoch seconds must be at most {MAX_SECONDS:.0f}, not"
            f" {seconds:.15g}; are these milliseconds? divide by 1000",
        )
    if seconds <= 0:
        raise Refused(
            "timestamp", f"{path}.{names.ts}: epoch seconds must be above 0, not {seconds:.15g}"
        )
    lng = ping.lon if math.isnan(ping.lng) else ping.lng
    if math.isnan(lng):
        raise Refused("longitude", f"{path}.{names.lng}: the longitude is missing")
    if not -_LATITUDE <= ping.lat <= _LATITUDE:
        swapped = abs(lng) <= _LATITUDE and abs(ping.lat) <= _LONGITUDE
        hint = f"; are lat and {names.lng} swapped?" if swapped else ""
        raise Refused(
            "latitude", f"{path}.lat: latitude must be within -90 and 90, not {ping.lat!r}{hint}"
        )
    if not -_LONGITUDE <= lng <= _LONGITUDE:
        raise Refused(
            "longitude", f"{path}.{names.lng}: longitude must be within -180 and 180, not {lng!r}"
        )


def as_bytes(item: Any) -> bytes:
    """Write one item of an array for the dead letters, cut at 64 KiB."""
    return json.dumps(item).encode()[:KEPT_BYTES]


def shown(value: Any) -> str:
    """Show a value, shortened to be printable."""
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _instant(item: dict[str, Any], name: str, path: str) -> float | datetime:
    if name not in item:
        raise Refused("timestamp", f"{path}.{name}: the fix time is missing")
    value = item[name]
    if isinstance(value, str):
        try:
            return msgspec.convert(value, Instant)
        except msgspec.ValidationError:
            raise Refused(
                "timestamp",
                f"{path}.{name}: neither a number of epoch seconds nor an RFC 3339 time with an"
                f" offset: {shown(value)}",
            ) from None
    return _number(item, name, path)


def _number(
    item: dict[str, Any], name: str, path: str, missing: str = "", *, nullable: bool = False
) -> float:
    if name not in item:
        if missing:
            raise Refused(missing, f"{path}.{name}: the {missing} is missing")
        return math.nan
    value = item[name]
    if value is None and nullable:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused("type", f"{path}.{name}: must be a number, not {_kind(value)} {shown(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise Refused("not_finite", f"{path}.{name}: must be a finite number, not {number}")
    return number


def _message_id(item: dict[str, Any], path: str) -> str | int | None:
    value = item.get("id")
    if isinstance(value, bool) or not isinstance(value, str | int | None):
        raise Refused(
            "type", f"{path}.id: must be a string or an integer, not {_kind(value)} {shown(value)}"
        )
    return value


def _foreign(item: dict[str, Any], path: str, names: Names) -> str:
    found = ", ".join(shown(name) for name in list(item)[:5]) or "none"
    more = ", …" if len(item) > 5 else ""
    hint = ""
    if "_type" in item and names is PLAIN:
        hint = "; OwnTracks messages belong on owntracks/{user}/{device}"
    return (
        f"{path}: expected the members {names.ts}, lat and {names.lng}, found {found}{more}{hint}"
    )


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "an array" if isinstance(value, list) else "an object"
