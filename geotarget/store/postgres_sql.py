"""The store's statements, as PostgreSQL spells them.

Statements are written once, for SQLite. Both engines understand most of it (upserts, RETURNING,
partial indices); what differs is this list, applied once to each text and remembered:

===================================== =====================================================
SQLite                                PostgreSQL
===================================== =====================================================
``?``, ``?1``                         ``%b``, ``%(p1)b``
``json_each(?) AS asked``             ``jsonb_array_elements(…) AS asked(value)``
``asked.value``, ``value`` of a list  its text: ``(asked.value #>> '{}')``
``json_extract(x, '$[0]')``           ``(CAST(x AS jsonb) ->> 0)``, always text
``json_extract(asked.value, '$[0]')`` ``(asked.value ->> 0)``, always text
``a CROSS JOIN b ON …``               ``a JOIN b ON …``
``INDEXED BY …``, ``NOT INDEXED``     nothing: its planner knows the sizes
``max(a, b)``, ``min(a, b)``          ``greatest(a, b)``, ``least(a, b)``
``instr(a, b)``                       ``position(b IN a)``
``CAST(x AS BLOB)``                   ``convert_to(x, 'UTF8')``
``/*postgresql …*/``                  what stands there: what SQLite has no word for
``/*sqlite*/ … /*postgresql …*/``      the second in place of the first
===================================== =====================================================

A value that is compared to a number is therefore written ``CAST(… AS BIGINT)``, which both take.

`bulk` makes one statement of an ``executemany``: columns go over as arrays, which costs 10 µs a
row here where single statements cost 150.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from geotarget.store.tables import metadata

Row = Sequence[Any]

_NUMBERED = re.compile(r"\?(\d+)")
_LIST = re.compile(r"json_each\((\?\d*)\)( AS asked)?")
_EXTRACT = re.compile(r"json_extract\(([\w.]+), '\$(?:\[(\d+)\]|\.(\w+))'\)")
_ASKED_VALUE = re.compile(r"\basked\.value\b(?! (?:->>|#>>))")
_LISTED = re.compile(r"SELECT (CAST\()?value\b")
_HINT = re.compile(r"\b(?:NOT INDEXED|INDEXED BY \w+)")
_CROSS = re.compile(r"CROSS JOIN (\w+(?: AS \w+)?)\s+ON\b")
_BLOB = re.compile(r"CAST\((\?\d*|\w+) AS BLOB\)")
_ONLY_HERE = re.compile(r"(?:/\*sqlite\*/.*?)?/\*postgresql\s(.*?)\*/", re.DOTALL)
_CALL = re.compile(r"\b(max|min|instr)\(")
_INSERT = re.compile(
    r"\s*INSERT INTO (\w+) \(([^)]*)\)\s*VALUES \((.*?)\)\s*(ON CONFLICT.*)?\Z", re.DOTALL
)
_REPLACED = re.compile(r"ON CONFLICT \(([^)]*)\)\s*DO UPDATE")
_CHANGE = re.compile(r"\s*(UPDATE|DELETE FROM) (\w+)\b(.*?)\bWHERE\b(.*)\Z", re.DOTALL)
_COMPARED = re.compile(r"(\w+) ?(?:=|\+|<|>|<=|>=) ?\?")


@lru_cache(maxsize=1024)
def to_postgres(statement: str) -> tuple[str, bool]:
    """Return a statement in PostgreSQL's spelling, and whether its parameters have numbers.

    Examples
    --------
    >>> to_postgres("SELECT max(a, ?) FROM t INDEXED BY i WHERE instr(b, ?) > 0")
    ('SELECT greatest(a, %b) FROM t  WHERE position(%b IN b) > 0', False)
    """
    text = _ONLY_HERE.sub(r"\1", statement).replace("%", "%%")
    text = _HINT.sub("", text)
    text = _CROSS.sub(r"JOIN \1 ON", text)
    text = _BLOB.sub(r"convert_to(CAST(\1 AS text), 'UTF8')", text)
    text = _EXTRACT.sub(_extract, text)
    text = _ASKED_VALUE.sub("(asked.value #>> '{}')", text)
    if _LIST.search(text):
        text = _LISTED.sub(r"SELECT \1(asked.value #>> '{}')", text)
        text = _LIST.sub(r"jsonb_array_elements(CAST(\1 AS jsonb)) AS asked(value)", text)
    text = _calls(text)
    numbered = _NUMBERED.search(text) is not None
    return (_NUMBERED.sub(r"%(p\1)b", text) if numbered else text.replace("?", "%b")), numbered


@dataclass(frozen=True, slots=True)
class Bulk:
    """An ``executemany`` as one statement that takes columns.

    Parameters
    ----------
    text
        The statement.
    convert
        For each column what makes its values those of the column; None where they are.
    keys
        Positions of the parameters that name a row; empty where no row is changed. Two rows of
        one name must not be in one statement, which would see only one of them.
    """

    text: str
    convert: tuple[Callable[[Any], Any] | None, ...]
    keys: tuple[int, ...]


@lru_cache(maxsize=256)
def bulk(statement: str) -> Bulk | None:
    """Return the statement that does for all rows what `statement` does for one.

    Returns
    -------
    Bulk or None
        None for what is neither an ``INSERT … VALUES`` nor an ``UPDATE`` or ``DELETE`` that
        compares columns with parameters.

    Examples
    --------
    >>> print(bulk("DELETE FROM membership WHERE device = ? AND zone = ?").text)
    DELETE FROM membership USING unnest(%b::text[], %b::text[]) AS given(a0, a1) WHERE \
device = given.a0 AND zone = given.a1
    """
    statement = _ONLY_HERE.sub(r"\1", statement)
    insert = _INSERT.match(statement)
    if insert is not None and "?" not in (insert[4] or ""):
        table, columns, values, conflict = insert.groups()
        names = [each.strip() for each in columns.split(",")]
        items = [each.strip() for each in values.split(",")]
        given = [name for name, item in zip(names, items, strict=True) if item == "?"]
        selected, at = [], 0
        for item in items:
            selected.append(f"given.a{at}" if item == "?" else item)
            at += item == "?"
        text = (
            f"INSERT INTO {table} ({', '.join(names)}) "  # noqa: S608 - a statement of ours
            f"SELECT {', '.join(selected)} FROM {_unnest(table, given)} {conflict or ''}"
        )
        named = _REPLACED.match(conflict or "")
        keys = [each.strip() for each in named[1].split(",")] if named else []
        return Bulk(
            _calls(text.replace("?", "%b")),
            _converters(table, given),
            tuple(given.index(key) for key in keys if key in given),
        )
    change = _CHANGE.match(statement)
    if change is None:
        return None
    verb, table, sets, where = change.groups()
    given = _COMPARED.findall(sets + where)
    if len(given) != (sets + where).count("?"):
        return None
    first_key = sets.count("?")
    numbers = itertools.count()
    sets, where = (
        re.sub(r"\?", lambda _: f"given.a{next(numbers)}", part) for part in (sets, where)
    )
    source = f"{'FROM' if verb == 'UPDATE' else 'USING'} {_unnest(table, given)}"
    return Bulk(
        _calls(f"{verb} {table}{sets}{source} WHERE{where}"),
        _converters(table, given),
        tuple(range(first_key, len(given))),
    )


def _unnest(table: str, columns: Sequence[str]) -> str:
    arrays = ", ".join(f"%b::{_array_of(table, column)}[]" for column in columns)
    return f"unnest({arrays}) AS given({', '.join(f'a{at}' for at in range(len(columns)))})"


def _array_of(table: str, column: str) -> str:
    kind = metadata.tables[table].c[column].type
    for known, name in (
        (sa.Boolean, "boolean"),
        (sa.BigInteger, "bigint"),
        (sa.Integer, "integer"),
        (sa.Float, "double precision"),
        (sa.LargeBinary, "bytea"),
    ):
        if isinstance(kind, known):
            return name
    return "text"


def _converters(table: str, columns: Sequence[str]) -> tuple[Callable[[Any], Any] | None, ...]:
    known: dict[str, Callable[[Any], Any]] = {"boolean": bool, "double precision": float}
    return tuple(known.get(_array_of(table, column)) for column in columns)


def _extract(match: re.Match[str]) -> str:
    of, number, name = match.groups()
    document = of if of == "asked.value" else f"CAST({of} AS jsonb)"  # a list's items are parsed
    return f"({document} ->> {number if name is None else repr(name)})"


def _calls(text: str) -> str:
    """Rename the functions that take two values here and there."""
    done, at = [], 0
    while (call := _CALL.search(text, at)) is not None:
        parts, end = _arguments(text, call.end())
        done.append(text[at : call.start()])
        name = call[1]
        inner = [_calls(part) for part in parts]
        if name == "instr":
            done.append(f"position({inner[1]} IN {inner[0]})")
        elif len(inner) > 1:
            done.append(f"{'greatest' if name == 'max' else 'least'}({', '.join(inner)})")
        else:
            done.append(f"{name}({inner[0]})")
        at = end
    return "".join([*done, text[at:]])


def _arguments(text: str, start: int) -> tuple[list[str], int]:
    """Return the arguments of a call whose bracket opened before `start`, and where it ends."""
    parts: list[str] = []
    depth, last = 1, start
    for at in range(start, len(text)):
        sign = text[at]
        if sign == "(":
            depth += 1
        elif sign == ")":
            depth -= 1
            if not depth:
                return [*parts, text[last:at].strip()], at + 1
        elif sign == "," and depth == 1:
            parts.append(text[last:at].strip())
            last = at + 1
    raise ValueError(f"a bracket is not closed in {text!r}")
