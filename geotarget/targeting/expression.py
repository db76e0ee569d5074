"""What stands in a checked CEL expression: its parts with their places, and what it can cost.

The library checks types and evaluates, but shows its syntax tree only as bytes: a serialised
``cel.expr.CheckedExpr`` (a protocol buffer). This module reads the few fields that are needed to
say more about a rule than true or false: where a name stands, which arguments are literals, and
how long the rule can take on the largest profile. Reading costs some 20 µs a term, once a rule.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

LOOPS = 10_000
"""Turns that all loops of one evaluation may take together; the library's own bound."""

DATA = 4_096
"""Bytes of JSON that one attribute or property may have to be seen by a rule."""

# measured on one core of a small server, and doubled
_STEP_US = 0.2
_TEXT_US = 0.008  # to copy or to search one byte of text, memory of its own included
_ITEM_US = 0.01  # to compare one byte of a list of small items with something
_DEEP_US = 0.04  # to compare one byte of a list of lists
_MATCH_US = 0.02  # to hold one byte against one step of a regular expression
_SMALL = 16.0  # bytes of an item that is compared at once
_COPYING = frozenset({"_+_", "lower", "upper", "string", "bytes"})
_SEARCHING = frozenset({"contains", "startsWith", "endsWith", "_<_", "_<=_", "_>_", "_>=_", "size"})
_READING = frozenset({"timestamp", "duration", "int", "uint", "double"})


@dataclass(frozen=True, slots=True)
class Node:
    """One part of an expression.

    Parameters
    ----------
    kind
        ``literal``, ``name``, ``member``, ``call``, ``list``, ``map`` or ``loop``.
    text
        The name, the member's name or the function's.
    value
        Of a literal.
    at
        Where it stands in the text: the operator's or bracket's place for calls; -1 if unknown.
    parts
        What it is made of: a member's owner; the receiver, if any, and the arguments of a call;
        a loop's range, start, condition, step and result.
    receiver
        Whether the first part of a call is what it is called on.
    """

    kind: str
    text: str = ""
    value: object = None
    at: int = -1
    parts: tuple[Node, ...] = ()
    receiver: bool = False

    def walk(self) -> Iterator[Node]:
        """Yield this part and all below it, in the order of the text as far as possible."""
        yield self
        for part in self.parts:
            yield from part.walk()

    @property
    def begin(self) -> int:
        """Where its first character stands; -1 if unknown."""
        known = [node.at for node in self.walk() if node.at >= 0]
        return min(known, default=-1)

    @property
    def path(self) -> tuple[str, ...]:
        """Names from the root to this member, such as ``("profile", "tier")``; else empty."""
        if self.kind == "name":
            return tuple(self.text.split("."))
        if self.kind == "member":
            owner = self.parts[0].path
            return (*owner, self.text) if owner else ()
        if self.kind == "call" and self.text == "_[_]" and isinstance(self.parts[1].value, str):
            owner = self.parts[0].path
            return (*owner, self.parts[1].value) if owner else ()
        return ()


def read(serialised: bytes) -> Node:
    """Return the root of a serialised expression."""
    (document,) = [value for field, value in _fields(serialised) if field == 2]  # of the Any
    expression, places = b"", b""
    for field, value in _fields(document):
        if field == 4:
            expression = value
        elif field == 5:
            places = value
    return _node(expression, _positions(places))


def cost_us(node: Node) -> float:
    """Return an upper bound of what evaluating can take, in microseconds.

    Loops are bounded by `LOOPS` turns together, data by `DATA` bytes; what a look-up of behaviour
    costs is bounded elsewhere.
    """
    return _cost(node, 1.0, {})[0]


def _cost(node: Node, turns: float, sizes: Mapping[str, float]) -> tuple[float, float]:
    """Return (microseconds, bytes of the result) of a part that is evaluated so many times."""
    if node.kind == "loop":
        return _loop_cost(node, turns, sizes)
    if node.kind == "literal":
        return 0.0, float(len(node.value)) if isinstance(node.value, str | bytes) else 8.0
    spent = turns * _STEP_US
    if node.kind == "name":
        return spent, sizes.get(node.text, float(DATA))
    given = [_cost(part, turns, sizes) for part in node.parts]
    spent += sum(inner for inner, _ in given)
    bytes_ = [size for _, size in given]
    if node.kind in {"list", "map"}:
        return spent, sum(bytes_) + 2.0
    if node.kind == "member":
        return spent, bytes_[0]
    own, size = _call_cost(node, bytes_)
    return spent + turns * own, size


def _call_cost(node: Node, given: Sequence[float]) -> tuple[float, float]:
    """Return (microseconds, bytes of the result) of a call on operands of so many bytes."""
    if node.text in {"_==_", "_!=_"}:
        return min(given) * _DEEP_US, 8.0
    if node.text == "@in":
        return given[1] * (_ITEM_US if given[0] <= _SMALL else _DEEP_US), 8.0
    if node.text == "matches":
        steps = pattern_size(str(node.parts[-1].value))
        return given[0] * _MATCH_US * max(steps, 2), 8.0
    if node.text in _COPYING:
        return sum(given) * _TEXT_US, sum(given)
    if node.text in _SEARCHING or node.text in _READING:
        return max(given) * _TEXT_US, 8.0
    return 0.0, max(given, default=8.0)


def pattern_size(pattern: str) -> int:
    """Return about how many steps the program of a regular expression has, repetition counted.

    Examples
    --------
    >>> pattern_size("abc"), pattern_size("(ab{3}){10}"), pattern_size("[a-z]{5}")
    (3, 40, 50)
    """
    levels = [[0, 0]]  # of each open group: steps so far, and those of the last item
    at = 0
    while at < len(pattern):
        match = _PIECE.match(pattern, at)
        assert match is not None
        piece, at = match[0], match.end()
        total = levels[-1]
        if piece == "(":
            levels.append([0, 0])
        elif piece == ")" and len(levels) > 1:
            inner = sum(levels.pop())
            levels[-1] = [sum(levels[-1]), inner]
        elif match["most"]:
            levels[-1] = [total[0], total[1] * max(int(match["most"]), 1)]
        else:
            weight = 1000 if piece[:2] in {"\\p", "\\P"} else 10 if piece[0] in ".[\\" else 1
            levels[-1] = [sum(total), weight]
    return sum(map(sum, levels))


_PIECE = re.compile(
    r"\\[pP]\{[^}]*\}|\\[pP].|\\.|\[\^?\]?(?:\\.|\[:\w+:\]|[^\]\\])*\]|\{(?:\d+,)?(?P<most>\d+),?\}|.|\\\Z",
    re.DOTALL,
)


def _loop_cost(node: Node, turns: float, sizes: Mapping[str, float]) -> tuple[float, float]:
    range_, start, condition, step, result = node.parts
    spent, size = _cost(range_, turns, sizes)
    # the items of a list share its bytes: two bytes an item is the dearest way to fill it
    rounds = min(max(size / 2, 1.0), LOOPS)
    inside = min(turns * rounds, float(LOOPS))
    within = {**sizes, node.text: max(size / rounds, 8.0), "@result": 8.0}
    spent += _cost(start, turns, within)[0]
    grown = 0.0
    for part in (condition, step):
        inner, bytes_ = _cost(part, inside, within)
        spent += inner
        grown = max(grown, bytes_)
    inner, _ = _cost(result, turns, within)
    return spent + inner, grown * rounds


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (field number, bytes) of a protocol buffer; numbers come as their 8 or fewer bytes."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        field, wire = key >> 3, key & 7
        if wire == 0:
            number, at = _varint(data, at)
            yield field, number.to_bytes(8, "little")
        elif wire == 2:
            length, at = _varint(data, at)
            yield field, data[at : at + length]
            at += length
        else:
            length = {1: 8, 5: 4}[wire]
            yield field, data[at : at + length]
            at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return number, at


def _positions(data: bytes) -> dict[int, int]:
    """Return the place of each part, by its id."""
    places = {}
    for field, value in _fields(data):
        if field == 4:
            entry = dict(_fields(value))
            places[_number(entry.get(1))] = _number(entry.get(2))
    return places


def _number(data: bytes | None) -> int:
    return int.from_bytes(data or b"", "little", signed=True)


def _node(data: bytes, places: dict[int, int]) -> Node:
    """Read one ``cel.expr.Expr``."""
    id_, kind, body = 0, 0, b""
    for field, value in _fields(data):
        if field == 2:
            id_ = _number(value)
        else:
            kind, body = field, value
    at = places.get(id_, -1)
    if kind == 3:
        return Node("literal", value=_constant(body), at=at)
    fields = list(_fields(body))
    name = _text(fields, kind)
    if kind == 4:  # with dots where the checker has found a variable of that name
        return Node("name", name, at=at - max(name.rfind("."), 0) if at >= 0 else at)
    if kind == 8:
        entries = [dict(_fields(value)) for field, value in fields if field == 2]
        inner = tuple(_node(entry[f], places) for entry in entries for f in (3, 4) if f in entry)
        return Node("map", at=at, parts=inner)
    called, wanted = _SHAPES[kind]
    parts = tuple(_node(value, places) for want in wanted for f, value in fields if f == want)
    on = kind == 6 and any(field == 1 for field, _ in fields)
    return Node(called, name, at=at, parts=parts, receiver=on)


# what members, calls, lists and loops are called here, and the fields that hold their parts
_SHAPES: Mapping[int, tuple[str, tuple[int, ...]]] = {
    5: ("member", (1,)),
    6: ("call", (1, 3)),
    7: ("list", (1,)),
    9: ("loop", (2, 4, 5, 6, 7)),
}
_NAMED = {4: 1, 5: 2, 6: 2, 9: 1}


def _text(fields: Sequence[tuple[int, bytes]], kind: int) -> str:
    """Return the name of a part."""
    return next((value.decode() for field, value in fields if field == _NAMED.get(kind)), "")


def _constant(data: bytes) -> object:
    ((field, value),) = list(_fields(data)) or [(1, b"")]
    if field == 2:
        return _number(value) != 0
    if field == 3:
        return _number(value)
    if field == 4:
        return int.from_bytes(value, "little")
    if field == 5:
        return struct.unpack("<d", value)[0]
    if field == 6:
        return value.decode()
    return value if field == 7 else None
