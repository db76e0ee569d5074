"""JSON that people wrote, kept as text: whatever came in comes out again.

msgspec is fast but refuses what JSON allows (whole numbers above 64 bits, halves of surrogate
pairs); Python's own `json` takes over for those, so that no property of a zone and no attribute of
a profile can stop a batch.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder().decode


def to_json(value: Any, *, ordered: bool = False) -> str:
    """Return a value as JSON text.

    Parameters
    ----------
    value
        Of what JSON has, and tuples.
    ordered
        Sort the members of objects, so that equal values give equal texts.

    Examples
    --------
    >>> to_json({"b": 1, "a": 2**70}, ordered=True)
    '{"a":1180591620717411303424,"b":1}'
    """
    try:
        return (_encode_sorted if ordered else _encode)(value).decode()
    except (OverflowError, UnicodeEncodeError):
        return json.dumps(value, sort_keys=ordered, separators=(",", ":"), default=_plain)


def from_json(text: str) -> Any:
    """Return the value of a JSON text.

    Examples
    --------
    >>> from_json('{"a":1180591620717411303424}') == {"a": 2**70}
    True
    """
    try:
        return _decode(text)
    except msgspec.DecodeError:
        return json.loads(text)


def _plain(value: object) -> Any:
    """Return what `json` does not know in terms that it knows, as msgspec would."""
    return msgspec.to_builtins(value, order="deterministic")
