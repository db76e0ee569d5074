"""Values that several resources share: ids, instants, pages; how they are read and shown.

Instants are RFC 3339 in UTC with milliseconds when we say them; a query may also give epoch
seconds. Pages carry an opaque cursor: it is valid for the same query only.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Generic, TypeVar

from fastapi import Path, Query
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    StringConstraints,
    WithJsonSchema,
)

from geotarget.geojson.properties import id_problem

T = TypeVar("T")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MONEY_PLACES = 6
MICROS: int = 10**MONEY_PLACES
MOST_MONEY = 1_000_000_000
"""Amounts up to here keep all their decimals on their way through JSON."""

LATEST_S = 253_402_300_799
"""The last second of the year 9999."""

PLAIN_TEXT = r"^[^\x00-\x1f\x7f]*$"

Name = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=PLAIN_TEXT)]
"""An id: 1 to 128 characters, none of them a control character."""

Line = Annotated[str, StringConstraints(max_length=200, pattern=PLAIN_TEXT)]
"""A line of text for people."""


def _check_id(id: str) -> str:
    if reason := id_problem(id):
        raise ValueError(reason)
    return id


Id = Annotated[
    str,
    AfterValidator(_check_id),
    Path(
        min_length=1,
        max_length=128,
        description="Chosen by its author: 1 to 128 printable characters. Slashes may separate "
        "parts, as in `way/4711`.",
        examples=["kamppi"],
    ),
]
"""The id in a path."""

Limit = Annotated[int, Query(ge=1, le=1000, description="Most items in the answer.")]
Cursor = Annotated[
    str | None,
    Query(
        max_length=500,
        pattern=PLAIN_TEXT,
        description="`next` of the page before; the other parameters must stay the same.",
    ),
]


class Document(BaseModel):
    """A body that a client sends: unknown members are refused, never ignored."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=False)


class Page(BaseModel, Generic[T]):
    """Some of the items, newest or lowest first, and how to get the next ones."""

    items: list[T]
    next: str | None = Field(description="Cursor of the next page; null on the last one.")


def _whole_micros(value: float) -> float:
    if Decimal(repr(value)).normalize().as_tuple().exponent < -MONEY_PLACES:  # type: ignore[operator] # finite
        raise ValueError(f"may have at most {MONEY_PLACES} decimals")
    return value


Whole = Annotated[int, Strict()]
"""A whole number: neither ``true`` nor ``"1"`` nor ``1.5``."""

Number = Annotated[float, Strict()]
"""A number, as JSON has them."""

Money = Annotated[Number, Field(ge=0, le=MOST_MONEY), AfterValidator(_whole_micros)]
"""An amount in units of its currency: read as the decimal that was written, never rounded."""

Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
"""A code in the form of ISO 4217, such as EUR."""


def micros(amount: float) -> int:
    """Return an amount of money in millionths.

    Examples
    --------
    >>> micros(0.05), micros(1.1), micros(12)
    (50000, 1100000, 12000000)
    """
    return int(Decimal(repr(amount)) * MICROS)


def units(micros: int) -> float:
    """Return millionths as an amount.

    Examples
    --------
    >>> units(50_000), units(12_000_000)
    (0.05, 12.0)
    """
    return micros / MICROS


def instant(ms: int) -> str:
    """Return an instant as RFC 3339.

    Parameters
    ----------
    ms
        Unix milliseconds.

    Examples
    --------
    >>> instant(1_767_268_800_250)
    '2026-01-01T12:00:00.250Z'
    """
    text = (EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def instant_or_none(ms: int | None) -> str | None:
    """Return an instant as RFC 3339, None for None."""
    return None if ms is None else instant(ms)


def parse_instant(text: str) -> int:
    """Return the Unix milliseconds of an RFC 3339 date-time or of epoch seconds.

    Raises
    ------
    ValueError
        It is neither.

    Examples
    --------
    >>> parse_instant("2026-01-01T12:00:00.25Z"), parse_instant("1767268800.25")
    (1767268800250, 1767268800250)
    """
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", text):
        seconds = float(text)
        if seconds > LATEST_S:
            raise ValueError(f"epoch seconds must be at most {LATEST_S}; are these milliseconds?")
        return round(seconds * 1000)
    try:
        at = datetime.fromisoformat(text.upper())
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise ValueError("must be RFC 3339 with an offset (2026-01-01T12:00:00Z) or epoch seconds")
    return round((at - EPOCH).total_seconds() * 1000)


def _parse(value: object) -> object:
    return value if value is None else parse_instant(str(value))


Instant = Annotated[
    int,
    BeforeValidator(_parse),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "date-time"},
                {"type": "number", "minimum": 0, "maximum": LATEST_S},
            ],
            "examples": ["2026-01-01T12:00:00Z"],
        }
    ),
]
"""An instant in a query or a body; the handler gets Unix milliseconds."""
