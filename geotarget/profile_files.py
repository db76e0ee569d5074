"""Profiles as rows of a file: NDJSON or CSV, read as they come, however long the file is.

A row that is wrong is a value with its problems, so that one of them does not stop a million. What
can't be read on from (a line without an end, a CSV without an ``id`` column) is an error. Memory is
bounded by the longest row. Some 5 µs a row of NDJSON, 10 µs one of CSV.

In CSV a column is ``id``, ``devices`` (separated by spaces), ``quiet_hours`` (``22:00-07:00``),
``consent.PURPOSE`` (true or false, yes or no, 1 or 0), ``external_ids.NAME`` (text), or an
attribute: ``attributes.NAME`` or just ``NAME``. An empty cell says nothing. A cell of an attribute
that is a JSON number, true, false, null, array, object or quoted string is that value; all else is
text: ``00123`` and ``+358 40 123`` stay as they are.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from geotarget.errors import InvalidInput, Problem
from geotarget.geojson.properties import id_problem
from geotarget.model import Hours, Profile

NDJSON = ("application/x-ndjson", "application/ndjson", "application/jsonl")
CSV = ("text/csv",)

MOST_ROW_BYTES = 256 << 10
MOST_DEPTH = 32
MOST_ATTRIBUTES = 1_000
MOST_PURPOSES = 100
MOST_EXTERNAL_IDS = 100
MOST_EXTERNAL_ID = 500
MOST_DEVICES = 100
MOST_NAME = 128

_MEMBERS = ("id", "attributes", "consent", "external_ids", "devices", "quiet_hours")
_TRUE, _FALSE = frozenset({"true", "yes", "1"}), frozenset({"false", "no", "0"})
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]"
_HOURS = re.compile(rf"({_CLOCK})\s*-\s*({_CLOCK}|24:00)")
_FROM, _TO = re.compile(_CLOCK), re.compile(rf"{_CLOCK}|24:00")
_JSON_START = frozenset('{["-0123456789tfn')


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file.

    Parameters
    ----------
    line
        Where it begins, from 1.
    content
        What stands there, to recognise a file by.
    read
        Makes the profile of it, and says whether its links stay as they are.
    """

    line: int
    content: bytes
    read: Callable[[], tuple[Profile, bool]]


def rows_of(pieces: Iterable[bytes], media: str) -> Iterator[Row]:
    """Return the rows of a file that comes in pieces; empty lines are passed over.

    Parameters
    ----------
    pieces
        Bytes, cut anywhere.
    media
        One of `NDJSON` or `CSV`.

    Raises
    ------
    InvalidInput
        A row is longer than `MOST_ROW_BYTES`, or the first line of a CSV names no columns that can
        be read. `Row.read` raises it for what is wrong with that row.
    """
    lines = _lines(pieces)
    return _csv_rows(lines) if media in CSV else _ndjson_rows(lines)


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Cut what comes into lines, with their ends."""
    rest = b""
    number = 1
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            _check_length(line, number)
            number += 1
            yield line + b"\n"
        _check_length(rest, number)
    if rest:
        yield rest


def _check_length(line: bytes, number: int) -> None:
    if len(line) > MOST_ROW_BYTES:
        reason = f"a row may have {MOST_ROW_BYTES} bytes; is this a file with one row a line?"
        raise InvalidInput(Problem(f"line {number}", f"{len(line)} bytes so far", reason))


def _ndjson_rows(lines: Iterable[bytes]) -> Iterator[Row]:
    for number, line in enumerate(lines, start=1):
        text = line.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else line.strip()
        if text:
            yield Row(number, text, _later(_read_json, text))


def _later(read: Callable[..., tuple[Profile, bool]], *values: Any) -> Any:
    return lambda: read(*values)


def _read_json(text: bytes) -> tuple[Profile, bool]:
    try:
        document = msgspec.json.decode(text)
    except RecursionError:
        raise InvalidInput(Problem("$", "", f"nested deeper than {MOST_DEPTH} levels")) from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        shown = text[:60].decode(errors="replace")
        raise InvalidInput(Problem("$", shown, f"is not JSON: {error}")) from None
    if not isinstance(document, dict):
        raise InvalidInput(Problem("$", _show(document), "must be an object"))
    return profile_of(document)


# -- CSV ------------------------------------------------------------------------------------


def _csv_rows(lines: Iterator[bytes]) -> Iterator[Row]:
    texts = (line.decode("utf-8", "surrogateescape") for line in lines)
    reader = csv.reader(_without_mark(texts), strict=True)
    try:
        header = next(reader, None)
    except csv.Error as error:
        raise InvalidInput(Problem("line 1", "", f"can't be read as CSV: {error}")) from None
    columns = _columns(header or [])
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Row(line, str(error).encode(), _later(_refuse, str(error)))
            continue
        if cells:
            content = "\x1f".join(cells).encode("utf-8", "surrogateescape")
            if len(content) > MOST_ROW_BYTES:
                reason = f"a row may have {MOST_ROW_BYTES} bytes; is a quote missing?"
                raise InvalidInput(Problem(f"line {line}", f"{len(content)} bytes", reason))
            yield Row(line, content, _later(_read_cells, columns, cells))


def _without_mark(texts: Iterator[str]) -> Iterator[str]:
    for number, text in enumerate(texts):
        yield text.removeprefix("\ufeff") if number == 0 else text


def _refuse(reason: str) -> tuple[Profile, bool]:
    raise InvalidInput(Problem("$", "", f"can't be read as CSV: {reason}"))


def _columns(header: Sequence[str]) -> list[tuple[str, str]]:
    """Return what each column holds: a member, and a name within it."""
    columns = []
    for name in header:
        member, dot, rest = name.strip().partition(".")
        if dot and member in ("attributes", "consent", "external_ids"):
            columns.append((member, rest))
        elif name.strip() in ("id", "devices", "quiet_hours"):
            columns.append((name.strip(), ""))
        else:
            columns.append(("attributes", name.strip()))
    problems = []
    if ("id", "") not in columns:
        reason = "the first line must name the columns, one of them id"
        problems.append(Problem("line 1", ",".join(header)[:80], reason))
    for position, column in enumerate(columns):
        if column in columns[:position]:
            problems.append(Problem("line 1", header[position], "names a column twice"))
        if column[0] in ("attributes", "consent", "external_ids") and not column[1]:
            problems.append(Problem("line 1", header[position], "a column needs a name"))
    if problems:
        raise InvalidInput(*problems)
    return columns


def _read_cells(columns: Sequence[tuple[str, str]], cells: Sequence[str]) -> tuple[Profile, bool]:
    if len(cells) != len(columns):
        reason = f"has {len(cells)} cells, the first line {len(columns)}"
        raise InvalidInput(Problem("$", ",".join(cells)[:80], reason))
    document: dict[str, Any] = {}
    problems = []
    for (member, name), cell in zip(columns, cells, strict=True):
        if not cell:
            continue
        if not _is_text(cell):
            shown = cell.encode("utf-8", "surrogateescape").decode(errors="replace")
            problems.append(Problem(_path(member, name), shown[:80], "is not UTF-8"))
        elif member == "devices":
            document[member] = cell.split()
        elif member == "quiet_hours":
            found = _HOURS.fullmatch(cell.strip())
            hours = {"from": found[1], "to": found[3]} if found else cell
            document[member] = hours
        elif member == "id":
            document[member] = cell
        else:
            document.setdefault(member, {})[name] = _READ[member](cell)
    if problems:
        raise InvalidInput(*problems)
    return profile_of(document)


def _is_text(cell: str) -> bool:
    try:
        cell.encode()
    except UnicodeEncodeError:
        return False
    return True


def _value(cell: str) -> Any:
    if cell.lstrip()[:1] not in _JSON_START:
        return cell
    try:
        return msgspec.json.decode(cell)
    except (msgspec.MsgspecError, RecursionError):
        return cell


def _yes_or_no(cell: str) -> Any:
    word = cell.strip().lower()
    return True if word in _TRUE else False if word in _FALSE else cell


_READ: Mapping[str, Callable[[str], Any]] = {
    "attributes": _value,
    "consent": _yes_or_no,
    "external_ids": str,
}

# -- one profile ----------------------------------------------------------------------------


@dataclass(slots=True)
class _Findings:
    problems: list[Problem] = field(default_factory=list)

    def say(self, path: str, value: object, reason: str) -> None:
        self.problems.append(Problem(path, _show(value), reason))


def profile_of(document: Mapping[str, Any]) -> tuple[Profile, bool]:
    """Return the profile of a document with its ``id``, and whether its links stay as they are.

    Raises
    ------
    InvalidInput
        With everything that is wrong, by JSON path.

    Examples
    --------
    >>> profile, keep_links = profile_of({"id": "p-1", "consent": {"marketing": True}})
    >>> profile.consent, keep_links
    ({'marketing': True}, True)
    """
    found = _Findings()
    for name in document:
        if name not in _MEMBERS:
            found.say(f"$.{name}", document[name], "unknown member")
    id = _id(document, found)  # noqa: A001 - its name in the document
    attributes = _object(document, "attributes", MOST_ATTRIBUTES, found)
    _inspect(attributes, "$.attributes", MOST_DEPTH - 1, found)
    consent = _object(document, "consent", MOST_PURPOSES, found)
    external_ids = _object(document, "external_ids", MOST_EXTERNAL_IDS, found)
    _check_named("consent", consent, _is_bool, "must be true or false", found)
    reason = f"must be text of 1 to {MOST_EXTERNAL_ID} characters"
    _check_named("external_ids", external_ids, _is_external_id, reason, found)
    devices = _devices(document, found)
    quiet = _quiet_hours(document, found)
    if found.problems:
        raise InvalidInput(*found.problems)
    profile = Profile(
        id=id,
        attributes=attributes,
        consent=consent,
        external_ids=external_ids,
        devices=tuple(dict.fromkeys(devices or ())),
        quiet_hours=quiet,
    )
    return profile, devices is None


def _id(document: Mapping[str, Any], found: _Findings) -> str:
    value = document.get("id")
    if not isinstance(value, str):
        found.say("$.id", value, "is required, as text")
        return ""
    if reason := id_problem(value):
        found.say("$.id", value, reason)
    return value


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


def _is_external_id(value: object) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= MOST_EXTERNAL_ID and "\0" not in value


def _check_named(
    member: str,
    values: Mapping[str, Any],
    is_good: Callable[[object], bool],
    reason: str,
    found: _Findings,
) -> None:
    for name, each in values.items():
        if not is_good(each):
            found.say(_path(member, name), each, reason)
        if not 1 <= len(name) <= MOST_NAME or not name.isprintable():
            found.say(f"$.{member}", name, f"a name has 1 to {MOST_NAME} printable characters")


def _object(
    document: Mapping[str, Any], member: str, most: int, found: _Findings
) -> dict[str, Any]:
    value = document.get(member)
    if value is None:
        return {}
    if not isinstance(value, dict):
        found.say(f"$.{member}", value, "must be an object")
        return {}
    if len(value) > most:
        found.say(f"$.{member}", f"{len(value)} members", f"may have {most} members")
    return value


def _devices(document: Mapping[str, Any], found: _Findings) -> list[str] | None:
    value = document.get("devices")
    if value is None:
        return None
    if not isinstance(value, list) or len(value) > MOST_DEVICES:
        found.say("$.devices", value, f"must be a list of at most {MOST_DEVICES} device ids")
        return None
    for position, each in enumerate(value):
        reason = id_problem(each) if isinstance(each, str) else "must be text"
        if reason:
            found.say(f"$.devices[{position}]", each, reason)
    return value


def _quiet_hours(document: Mapping[str, Any], found: _Findings) -> Hours | None:
    value = document.get("quiet_hours")
    if value is None:
        return None
    if isinstance(value, dict) and set(value) == {"from", "to"}:
        start, end = str(value["from"]), str(value["to"])
        if _FROM.fullmatch(start) and _TO.fullmatch(end):
            return Hours(start, end)
    found.say("$.quiet_hours", value, 'must be {"from": "22:00", "to": "07:00"}')
    return None


def _inspect(value: object, path: str, depth: int, found: _Findings) -> None:
    """Refuse what can't be stored everywhere: NUL in text, and nesting without end."""
    if isinstance(value, str):
        if "\0" in value:
            found.say(path, "", "text may not hold the character NUL")
    elif isinstance(value, dict | list):
        if depth == 0:
            found.say(path, "", f"nested deeper than {MOST_DEPTH} levels")
            return
        if isinstance(value, dict):
            for name, each in value.items():
                _inspect(name, path, depth, found)
                _inspect(each, f"{path}.{name}", depth - 1, found)
        else:
            for position, each in enumerate(value):
                _inspect(each, f"{path}[{position}]", depth - 1, found)


def _path(member: str, name: str) -> str:
    return f"$.{member}.{name}" if name else f"$.{member}"


def _show(value: object) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= 80 else text[:77] + "…"
