"""Pages and their cursors: a list is read on from a place, never from a count.

A cursor names the last row of a page. Rows that come or go between two pages shift nothing: no
row is shown twice or left out. It is opaque to whoever holds it, and checked when it comes back.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from zlib import crc32

import msgspec

from geotarget.errors import InvalidInput, Problem

T = TypeVar("T")
P = TypeVar("P", int, str)

MOST = 1000
"""Most items of a page."""

_CHECK_BYTES = 4
_LARGEST = 2**63 - 1

_decode = msgspec.msgpack.Decoder(tuple[str, Any]).decode


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some items of a list, and the cursor of the page after it; None on the last one."""

    items: list[T]
    next: str | None


def check_limit(limit: int) -> int:
    """Return a page's limit if it is within 1 and `MOST`.

    Raises
    ------
    InvalidInput
        It is not.
    """
    if not 1 <= limit <= MOST:
        raise InvalidInput(Problem("limit", str(limit), f"must be within 1 and {MOST}"))
    return limit


def cut(
    rows: Sequence[Any], limit: int, *, list: str, place: int, make: Callable[[Any], T]
) -> Page[T]:
    """Make a page of rows of which one more was read than fits.

    Parameters
    ----------
    rows
        At most ``limit + 1``.
    list
        The name of the list, kept in the cursor.
    place
        The column that says where a row stands in the list.
    make
        Turns a row into an item.
    """
    more = len(rows) > limit
    items = [make(row) for row in rows[:limit]]
    return Page(items, write_cursor(list, rows[limit - 1][place]) if more else None)


def write_cursor(list: str, place: int | str) -> str:
    """Return the cursor that stands behind a row.

    Examples
    --------
    >>> read_cursor(write_cursor("zones", "kamppi"), "zones", str)
    'kamppi'
    """
    data = msgspec.msgpack.encode((list, place))
    return urlsafe_b64encode(crc32(data).to_bytes(_CHECK_BYTES, "big") + data).decode().rstrip("=")


def read_cursor(cursor: str, list: str, kind: type[P]) -> P:
    """Return the place that a cursor names.

    Raises
    ------
    InvalidInput
        It is none of ours, or of another list.
    """
    try:
        raw = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        check, data = raw[:_CHECK_BYTES], raw[_CHECK_BYTES:]
        ours = crc32(data).to_bytes(_CHECK_BYTES, "big") == check
        name, place = _decode(data) if ours else ("", None)
        place = msgspec.convert(place, kind)
    except (Base64Error, UnicodeError, msgspec.MsgspecError):
        name, place = "", kind()
    if name != list or (isinstance(place, int) and not 0 <= place <= _LARGEST):
        raise InvalidInput(Problem("cursor", cursor[:80], f"is no cursor of the list of {list}"))
    return place
