"""Reads a GeoJSON document feature by feature, strictly.

A collection is read as a stream: features are decoded one at a time, so that a document of 64 MiB
never stands in memory as Python objects. Stricter than `json`: members that come twice, NaN and
Infinity are refused where they stand. Depth and long numbers end early: nesting stops at
Python's recursion limit, a number of more than `MAX_DIGITS` digits counts as infinite.

`Reader` knows all that. Features of which it is sure that `Reader` would say the same are decoded
by msgspec, which is faster, but does not see a member that comes twice.

Costs: 15 ns a byte by `Reader`, a third of that by msgspec.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from geotarget.errors import InvalidZone, Problem
from geotarget.geojson.limits import GeometryLimits, shown

MAX_DIGITS = 400
"""An integer of more digits exceeds every float."""

BYTES_PER_ARRAY = 8
"""A document may open one array or object per so many bytes on average; a vertex takes more."""

Take = Callable[[Any, int, bool], None]
"""Takes a feature: its value, its length in characters, whether anything in it is odd."""

TakeText = Callable[[bytes, int], None]
"""Takes a feature that is not decoded yet (`decoded`): its text, its length in characters."""

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_DIGITS = bytes(48 if 48 <= byte < 58 else 32 for byte in range(256))
_SPACED_COLON = re.compile(rb'"[ \t\r\n]+:')
_SPACE = re.compile(r"[ \t\n\r]*")


class Repeated(dict[str, Any]):
    """An object in which a member came twice."""

    twice: str = ""


class Reader:
    """A cursor over the text of a document.

    `odd` tells whether anything was not quite JSON: a repeated member, NaN or Infinity.

    Parameters
    ----------
    text
        The document.
    """

    def __init__(self, text: str) -> None:
        self.odd = False
        self._text = text
        self._at = 0
        self._decoder = json.JSONDecoder(
            object_pairs_hook=self._object, parse_constant=self._constant, parse_int=_integer
        )
        self._skip()

    def value(self) -> Any:
        """Return the value at the cursor and step over it."""
        value, self._at = self._decoder.raw_decode(self._text, self._at)
        self._skip()
        return value

    def next_is(self, character: str) -> bool:
        """Return whether the cursor stands on a character."""
        return self._text.startswith(character, self._at)

    def step(self, *wanted: str) -> str:
        """Step over one character, which must be one of those wanted, and return it."""
        found = self._text[self._at : self._at + 1]
        if found not in wanted:
            names = " or ".join(repr(each) for each in wanted)
            raise json.JSONDecodeError(f"Expecting {names}", self._text, self._at)
        self._at += 1
        self._skip()
        return found

    def members(self) -> Iterator[str]:
        """Yield the names of the object at the cursor; read each value before going on."""
        self.step("{")
        if self.next_is("}"):
            self.step("}")
            return
        while True:
            if not self.next_is('"'):
                self.step('"')
            name = self.value()
            self.step(":")
            yield name
            if self.step(",", "}") == "}":
                return

    def items(self) -> Iterator[tuple[Any, int, bool]]:
        """Yield value, length and oddness of each item of the array at the cursor."""
        self.step("[")
        if self.next_is("]"):
            self.step("]")
            return
        while True:
            odd, self.odd = self.odd, False
            start = self._at
            item = self.value()
            odd, self.odd = self.odd, odd
            yield item, self._at - start, odd
            if self.step(",", "]") == "]":
                return

    def finish(self) -> None:
        """Make sure that nothing follows."""
        if self._at != len(self._text):
            raise json.JSONDecodeError("Extra data", self._text, self._at)

    def _skip(self) -> None:
        space = _SPACE.match(self._text, self._at)
        self._at = space.end() if space else self._at

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) == len(pairs):
            return made
        self.odd = True
        names = [name for name, _ in pairs]
        repeated = Repeated(made)
        repeated.twice = next(name for name in names if names.count(name) > 1)
        return repeated

    def _constant(self, name: str) -> float:
        self.odd = True
        return float(name)


def read_document(
    document: bytes, take: Take, *, take_text: TakeText | None = None, limits: GeometryLimits
) -> tuple[dict[str, Any], bool]:
    """Read a document; hand each feature of a collection on as soon as it is decoded.

    Parameters
    ----------
    document
        UTF-8, a byte-order mark is allowed.
    take
        Called with each item of the member ``features``, its length in characters, and whether
        it holds anything odd (see `oddities`).
    take_text
        Called instead with features that can be decoded by `decoded`.
    limits
        Bounds on size.

    Returns
    -------
    members, streamed
        The members of the document, and whether ``features`` was an array, which was handed on.

    Raises
    ------
    InvalidZone
        It is not a JSON object, or larger than the limits allow.
    """
    size = len(document)
    if size > limits.max_collection_bytes:
        bound = f"a document may have {limits.max_collection_bytes} bytes at most"
        raise InvalidZone(Problem("$", f"{size} bytes", bound))
    nests = document.count(b"[") + document.count(b"{")
    if nests > 1000 + size // BYTES_PER_ARRAY + 2 * limits.max_rings:
        reason = f"too many arrays for its size; at most one in {BYTES_PER_ARRAY} bytes"
        raise InvalidZone(Problem("$", f"{nests} in {size} bytes", reason))
    try:
        outline = _outline(document)
        if outline is not None:
            found, features = outline
            for feature in features:
                text = bytes(feature)
                length = len(text) if len(text) <= limits.max_bytes else len(text.decode())
                if take_text is not None:
                    take_text(text, length)
                else:
                    value, odd = decoded(text)
                    take(value, length, odd)
            return found, True
        return _members(Reader(document.decode("utf-8-sig")), take)
    except UnicodeDecodeError as error:
        where = f"byte {error.start}"
        raise InvalidZone(Problem(where, "", "is not UTF-8, as JSON must be")) from None
    except json.JSONDecodeError as error:
        raise InvalidZone(_not_json(error)) from None
    except RecursionError:
        raise InvalidZone(Problem("$", "", "is nested too deeply")) from None


def _outline(document: bytes) -> tuple[dict[str, Any], list[msgspec.Raw]] | None:
    """Return the members of a collection and its features, not decoded yet.

    None for any document of which it is not certain that `_members` would find the same.
    """
    try:
        members = _MEMBERS.decode(document)
        inside = members.pop("features")
        features = _ITEMS.decode(inside)
        if not document.isascii():
            document.decode()
    except (ValueError, KeyError, RecursionError):  # msgspec's own errors are ValueErrors
        return None
    if _SPACED_COLON.search(document) or b"0" * (MAX_DIGITS + 1) in document.translate(_DIGITS):
        return None
    found: dict[str, Any] = {}
    names = 1 + len(members) + count_names(bytes(inside))
    for name, raw in members.items():
        text = bytes(raw)
        reader = Reader(text.decode())
        found[name] = reader.value()
        if reader.odd:
            return None
        names += count_names(text)
    return (found, features) if names == count_names(document) else None


def decoded(text: bytes) -> tuple[Any, bool]:
    """Return value and oddness of a feature, as `Reader` does."""
    try:
        value = msgspec.json.decode(text)
    except (ValueError, RecursionError):  # half a surrogate pair, a number beyond all floats
        value = None
    if isinstance(value, dict) and _names(value) == count_names(text):
        return value, False
    reader = Reader(text.decode())
    return reader.value(), reader.odd


def count_names(text: bytes) -> int:
    """Return how many names stand in a text; more where there is text that looks like it."""
    return text.count(b'":')


def _names(value: dict[str, Any]) -> int:
    """Return how many members an object has, those of objects inside it (not in arrays) added."""
    count = 0
    waiting = [value]
    while waiting:
        each = waiting.pop()
        count += len(each)
        waiting += [inside for inside in each.values() if isinstance(inside, dict)]
    return count


def _members(reader: Reader, take: Take) -> tuple[dict[str, Any], bool]:
    if not reader.next_is("{"):
        raise InvalidZone(Problem("$", shown(reader.value()), "must be an object"))
    found: dict[str, Any] = {}
    names: set[str] = set()
    streamed = False
    for name in reader.members():
        if name in names:
            raise InvalidZone(Problem("$", shown(name), "this member comes twice"))
        names.add(name)
        if name == "features" and reader.next_is("["):
            streamed = True
            for item, length, odd in reader.items():
                take(item, length, odd)
        else:
            found[name] = reader.value()
    reader.finish()
    if reader.odd:
        raise InvalidZone(*oddities(found, "$"))
    return found, streamed


def _not_json(error: json.JSONDecodeError) -> Problem:
    excerpt = error.doc[error.pos : error.pos + 20]
    message = error.msg[0].lower() + error.msg[1:]
    place = f"line {error.lineno} column {error.colno}"
    return Problem(place, repr(excerpt) if excerpt else "end of document", f"not JSON: {message}")


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= MAX_DIGITS else math.inf


def walk(value: Any, path: str) -> Iterator[tuple[str, Any, int]]:
    """Yield path, value and depth of everything inside a JSON value, without recursion.

    Paths are made for what is reached, so break off early on values that can be large.
    """
    waiting: list[tuple[str, Any, int]] = [(path, value, 0)]
    while waiting:
        here, value, depth = waiting.pop()
        yield here, value, depth
        if isinstance(value, Mapping):
            inside = [(f"{here}.{name}", each, depth + 1) for name, each in value.items()]
            waiting += reversed(inside)
        elif isinstance(value, list | tuple):
            inside = [(f"{here}[{at}]", each, depth + 1) for at, each in enumerate(value)]
            waiting += reversed(inside)


def oddities(value: Any, path: str) -> list[Problem]:
    """Return the problems of a value that was odd: repeated members, NaN and Infinity."""
    problems = []
    for here, each, _ in walk(value, path):
        if isinstance(each, Repeated):
            problems.append(Problem(here, shown(each.twice), "this member comes twice"))
        elif isinstance(each, float) and not math.isfinite(each):
            problems.append(Problem(here, str(each), "must be a finite number"))
    return problems
