"""The properties of a zone: what the known ones must be, and that all of them can be kept.

A known property that is null counts as absent, as GIS tools write it. Costs: some 10 microseconds
for a zone with a handful of properties.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import shapely
import tzfpy
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from geotarget.errors import Problem
from geotarget.geojson.document import walk
from geotarget.geojson.limits import GeometryLimits, shown
from geotarget.model import EntryPolicy

MAX_ID = 128
MAX_TAG = 128
MAX_TAGS = 100
MAX_NAME = 500
PRIORITY = 2**31 - 1
MAX_EXIT_BUFFER_M = 10_000.0
PENDING = ("drop", "enter")
"""What becomes of one piece of weak evidence when no second one follows."""

_FIRST_S = -62_135_596_800  # year 1
_LAST_S = 253_402_300_799  # year 9999
_RFC3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})")


def read_properties(given: Mapping[str, Any], path: str, problems: list[Problem]) -> dict[str, Any]:
    """Return the known properties as fields of `Zone`; report those that are wrong.

    Parameters
    ----------
    given
        The properties of a feature.
    path
        Their JSON path.
    problems
        Where problems are added.
    """
    known: dict[str, Any] = {}
    for name, read in _READERS.items():
        value = given.get(name)
        if value is None:
            continue
        try:
            known[_FIELDS.get(name, name)] = read(value)
        except ValueError as error:
            problems.append(Problem(f"{path}.{name}", shown(value), str(error)))
    starts, ends = known.get("starts_ms"), known.get("ends_ms")
    if starts is not None and ends is not None and ends <= starts:
        problems.append(Problem(f"{path}.ends", shown(given["ends"]), "must be after starts"))
    return known


def read_columns(given: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]] | None:
    """Return the known properties of many zones by field of `Zone`, None where they say nothing.

    Parameters
    ----------
    given
        Properties by name, one value for each zone.

    Returns
    -------
    dict or None
        None if anything is wrong or depends on two of them: then ask `read_properties` of each.
    """
    known: dict[str, list[Any]] = {}
    for name in _READERS.keys() & given.keys():
        read = _READERS[name]
        try:
            values = [None if value is None else read(value) for value in given[name]]
        except ValueError:
            return None
        known[_FIELDS.get(name, name)] = values
    return None if "starts_ms" in known and "ends_ms" in known else known


def check_values(value: Mapping[str, Any], path: str, limits: GeometryLimits) -> list[Problem]:
    """Return what keeps properties from being stored as they are."""
    size = _size(value)
    if size > limits.max_properties_bytes:
        reason = f"properties may have {limits.max_properties_bytes} bytes of JSON at most"
        return [Problem(path, f"{size} bytes", reason)]
    problems: list[Problem] = []
    for here, each, depth in walk(value, path):
        if depth > limits.max_depth:
            reason = f"values may nest {limits.max_depth} deep"
            return [*problems, Problem(here, shown(each), reason)]
        reason = _storable(each)
        if reason:
            problems.append(Problem(here, shown(each), reason))
    return problems


def _size(value: Mapping[str, Any]) -> int:
    """Return the length of a value as JSON; 0 where it is none, which the walk will explain."""
    try:
        return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
    except (TypeError, ValueError, RecursionError):
        return 0


def _storable(value: Any) -> str:
    """Return why a JSON value can't be kept, or nothing."""
    if isinstance(value, str):
        return _writable(value)
    if isinstance(value, Mapping):
        strange = next((name for name in value if not isinstance(name, str)), "")
        if strange != "":
            return "names must be strings"
        return next((_writable(name) for name in value if _writable(name)), "")
    if isinstance(value, float) and not math.isfinite(value):
        return "must be a finite number"
    if value is None or isinstance(value, bool | int | float | list | tuple):
        return ""
    return f"is not a JSON value but a {type(value).__name__}"


def _writable(text: str) -> str:
    if "\0" in text:
        return "text may not hold the character U+0000"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "text may not hold half a surrogate pair"
    return ""


def id_problem(id: str) -> str:
    """Return why a zone can't have this id, or nothing.

    Ids stand in addresses (``/v1/zones/{id}``), so slashes may only separate parts that an
    address would keep, as in ``way/4711``.

    Examples
    --------
    >>> id_problem("way/4711")
    ''
    >>> id_problem("a//b")
    "between slashes there must be something other than '.' and '..'"
    """
    if not 1 <= len(id) <= MAX_ID:
        return f"an id has 1 to {MAX_ID} characters, this one {len(id)}"
    if not id.isprintable():
        return "an id has printable characters only: no control characters, no line breaks"
    if id != id.strip():
        return "an id neither starts nor ends with a space"
    if any(part in {"", ".", ".."} for part in id.split("/")):
        return "between slashes there must be something other than '.' and '..'"
    return ""


def time_zone_at(geometry: BaseGeometry) -> str:
    """Return the IANA name of the time zone in which a geometry lies; UTC if there is none."""
    point = geometry.representative_point()
    name = tzfpy.get_tz(point.x, point.y)
    return name if name and _known_zone(name) else "UTC"


def time_zones_at(geometry: NDArray[np.object_]) -> list[str]:
    """Return `time_zone_at` of each of many geometries, shape (n,): half a microsecond each."""
    inside = shapely.get_coordinates(shapely.point_on_surface(geometry)).tolist()
    names = [tzfpy.get_tz(lng, lat) for lng, lat in inside]
    usable = {name: name if name and _known_zone(name) else "UTC" for name in set(names)}
    return [usable[name] for name in names]


@lru_cache(maxsize=1024)
def _known_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # a path, a folder, no such zone
        return False
    return True


def _name(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_NAME:
        raise ValueError(f"must be a string of at most {MAX_NAME} characters")
    return value


def _tags(value: Any) -> tuple[str, ...]:
    fits = isinstance(value, list | tuple) and all(
        isinstance(tag, str) and 1 <= len(tag) <= MAX_TAG for tag in value
    )
    if not fits or len(value) > MAX_TAGS:
        raise ValueError(
            f"must be a list of at most {MAX_TAGS} strings of 1 to {MAX_TAG} characters"
        )
    return tuple(value)


def _priority(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > PRIORITY:
        raise ValueError(f"must be a whole number within -{PRIORITY} and {PRIORITY}")
    return value


def _entry(value: Any) -> EntryPolicy:
    policies = [policy.value for policy in EntryPolicy]
    if not isinstance(value, str) or value not in policies:
        raise ValueError(f"must be one of {', '.join(policies)}")
    return EntryPolicy(value)


def _pending(value: Any) -> bool:
    if not isinstance(value, str) or value not in PENDING:
        raise ValueError(f"must be one of {', '.join(PENDING)}")
    return value == "enter"


def _exit_buffer(value: Any) -> float:
    usable = isinstance(value, int | float) and not isinstance(value, bool)
    if not usable or not 0 <= value <= MAX_EXIT_BUFFER_M:
        raise ValueError(f"must be a number of metres within 0 and {MAX_EXIT_BUFFER_M:g}")
    return float(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")  # noqa: TRY004 - one kind for all that is wrong
    return value


def _time_zone(value: Any) -> str:
    if not isinstance(value, str) or not _known_zone(value):
        raise ValueError("must be the IANA name of a time zone, such as Europe/Helsinki")
    return value


def read_instant_ms(value: Any) -> int:
    """Return an instant, given as RFC 3339 text or in epoch seconds, in Unix milliseconds.

    Raises
    ------
    ValueError
        With a sentence that says what it must be.

    Examples
    --------
    >>> read_instant_ms("2026-01-01T12:00:00+02:00")
    1767261600000
    """
    wanted = "must be a time with offset, such as 2026-01-31T09:00:00+02:00, or epoch seconds"
    if isinstance(value, str):
        if not _RFC3339.fullmatch(value):
            raise ValueError(wanted)
        try:
            at = datetime.fromisoformat(value.upper())
        except ValueError as error:
            raise ValueError(f"{wanted}: {error}") from None
        return round((at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(wanted)  # noqa: TRY004
    if not _FIRST_S <= value <= _LAST_S:
        raise ValueError("must be within the years 1 and 9999")
    return round(value * 1000)


_READERS = {
    "name": _name,
    "tags": _tags,
    "priority": _priority,
    "entry": _entry,
    "pending": _pending,
    "exit_buffer_m": _exit_buffer,
    "active": _flag,
    "sensitive": _flag,
    "starts": read_instant_ms,
    "ends": read_instant_ms,
    "time_zone": _time_zone,
}
_FIELDS = {"pending": "pending_enters", "starts": "starts_ms", "ends": "ends_ms"}
