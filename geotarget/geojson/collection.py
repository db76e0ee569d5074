"""From documents of zones to zones, with one verdict per feature.

Features are judged in blocks: what is plainly right is accepted in bulk (`accept`), the rest is
looked at one by one, which gives the same verdicts.

Costs: 20 microseconds for a zone of 30 vertices that is plainly right, half of it for reading JSON;
150 for one that needs a closer look.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import UNSET

from geotarget.errors import InvalidZone, Problem
from geotarget.geojson.accept import accept
from geotarget.geojson.document import count_names, decoded, oddities, read_document
from geotarget.geojson.limits import GeometryLimits, shown
from geotarget.geojson.outlines import (
    NEEDS_CARE,
    Outline,
    drawn,
    outline_of_text,
    read_outline,
)
from geotarget.geojson.parse import (
    LIMITS,
    check_size,
    foreign_problems,
    id_of,
    shortened,
    zone_of,
)
from geotarget.model import Zone

FEATURES_AT_ONCE = 1024
CHARACTERS_AT_ONCE = 4 << 20
"""A block of features ends with one or the other."""

_NEEDS_CARE = NEEDS_CARE - {"geometry", "properties"}
_GEOMETRIES = {
    "Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon",
    "GeometryCollection",
}  # fmt: skip


class _PlainGeometry(msgspec.Struct, forbid_unknown_fields=True):
    type: str
    coordinates: msgspec.Raw


class _PlainFeature(msgspec.Struct, forbid_unknown_fields=True):
    """A feature that has the members that most have, and no others."""

    type: Literal["Feature"]
    geometry: _PlainGeometry
    properties: dict[str, Any] | None
    id: Any = UNSET


_FEATURE = msgspec.json.Decoder(_PlainFeature)
_OTHER_NAMES = 4
"""Besides id and properties: type and geometry, type and coordinates in it."""


@dataclass(frozen=True, slots=True)
class FeatureReport:
    """The verdict on one feature.

    Parameters
    ----------
    index
        Its position in the collection.
    id
        The zone's id, None where it could not be told.
    zone
        The zone, None where there are problems.
    problems
        What is wrong with it.
    """

    index: int
    id: str | None
    zone: Zone | None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class ZonesReport:
    """The verdicts on a document of zones, in its order."""

    features: tuple[FeatureReport, ...]

    @property
    def zones(self) -> list[Zone]:
        """The zones that are accepted."""
        return [each.zone for each in self.features if each.zone is not None]

    @property
    def problems(self) -> list[Problem]:
        """Everything that is wrong with the others."""
        return [problem for each in self.features for problem in each.problems]


class _Collector:
    """Takes the features of a document one by one and keeps the verdicts."""

    def __init__(self, id_property: str | None, limits: GeometryLimits, *, number: bool) -> None:
        self.reports: list[FeatureReport] = []
        self._id_property = id_property
        self._number = number
        self._limits = limits
        self._places: dict[str, int] = {}
        self._waiting: list[tuple[Any, bytes, int, bool]] = []
        self._plain: list[tuple[int, str, Outline, dict[str, Any]]] = []
        self._characters = 0

    def take(self, feature: Any, length: int, odd: bool) -> None:  # noqa: FBT001
        """Take the next feature of a collection."""
        if not odd and _is_plain(feature):
            outline = read_outline(feature["geometry"])
            if outline is not None:
                self._sketch(feature, outline)
        self._wait(feature, b"", length, odd=odd)

    def take_text(self, text: bytes, length: int) -> None:
        """Take the next feature of a collection, which is not decoded yet."""
        try:
            feature = _FEATURE.decode(text)
        except ValueError:  # it has other members, or an odd number
            self.take(*_again(text, length))
            return
        shape, properties = feature.geometry, feature.properties or {}
        outline = outline_of_text(shape.type, bytes(shape.coordinates))
        members: dict[str, Any] = {"properties": properties}
        if feature.id is not UNSET:
            members["id"] = feature.id
        names = len(members) + len(properties) + _OTHER_NAMES
        if outline is None or names != count_names(text):
            self.take(*_again(text, length))
        else:
            self._sketch(members, outline)
            self._wait(None, text, length, odd=False)

    def _sketch(self, feature: Mapping[str, Any], outline: Outline) -> None:
        """Keep what a feature that is plainly right is made of; `accept` looks at its id."""
        place = len(self._waiting)
        name = feature.get("id")
        found: list[Problem] = []
        if type(name) is not str or self._id_property is not None:
            name, found = self._id_of(feature, "", len(self.reports) + place)
        if name is not None and not found:
            self._plain.append((place, name, outline, dict(feature["properties"] or {})))

    def _wait(self, feature: Any, text: bytes, length: int, *, odd: bool) -> None:
        """Let a feature wait for judgement."""
        if len(self.reports) + len(self._waiting) >= self._limits.max_features:
            reason = f"a document may have {self._limits.max_features} features at most"
            raise InvalidZone(Problem("$.features", "", reason))
        self._waiting.append((feature, text, length, odd))
        self._characters += length
        if len(self._waiting) == FEATURES_AT_ONCE or self._characters >= CHARACTERS_AT_ONCE:
            self.judge_waiting()

    def judge_waiting(self) -> None:
        """Judge the features that were taken."""
        accepted: list[Zone | None] = [None] * len(self._waiting)
        if self._plain:
            places, ids, shapes, properties = zip(*self._plain, strict=True)
            zones = accept(ids, drawn(shapes), properties, self._limits)
            for place, zone in zip(places, zones, strict=True):
                accepted[place] = zone
        for (feature, text, length, odd), zone in zip(self._waiting, accepted, strict=True):
            if zone is not None and length <= self._limits.max_bytes:
                self._keep(zone.id, zone)
            else:
                given = decoded(text)[0] if text else feature
                self.judge(given, f"$.features[{len(self.reports)}]", length, odd=odd)
        self._waiting.clear()
        self._plain.clear()
        self._characters = 0

    def judge(self, feature: Any, path: str, length: int, *, odd: bool) -> None:
        """Make a zone of a feature, or keep what is wrong with it."""
        name: str | None = None
        try:
            check_size(length, path, self._limits)
            _check_even(feature, path, odd=odd)
            name, found = self._id_of(feature, path, len(self.reports))
            zone = zone_of(feature, path, name, found, self._limits)
        except InvalidZone as error:
            self.reports.append(FeatureReport(len(self.reports), name, None, error.problems))
        else:
            self._keep(name, zone)

    def _id_of(self, feature: Any, path: str, at: int) -> tuple[str | None, list[Problem]]:
        default = str(at) if self._number else None
        return id_of(feature, path, None, self._id_property, default)

    def _keep(self, name: str | None, zone: Zone) -> None:
        """Keep a zone, unless its id came before."""
        at = len(self.reports)
        first = self._places.setdefault(zone.id, at)
        if first == at:
            self.reports.append(FeatureReport(at, name, zone))
        else:
            reason = f"$.features[{first}] has this id already"
            problem = Problem(f"$.features[{at}].id", shown(zone.id), reason)
            self.reports.append(FeatureReport(at, name, None, (problem,)))


def parse_zones(
    document: bytes | Mapping[str, Any],
    *,
    id_property: str | None = None,
    number: bool = False,
    limits: GeometryLimits = LIMITS,
) -> ZonesReport:
    """Read a document of zones.

    Parameters
    ----------
    document
        A FeatureCollection or a Feature, as bytes or decoded.
    id_property
        Name of the property that holds the ids, a string or a whole number. Without it the
        feature's ``id`` counts, then its property ``id``.
    number
        Give a feature without id its position as id, instead of refusing it. For notebooks; a
        catalogue needs ids that survive an edit.
    limits
        Bounds.

    Returns
    -------
    ZonesReport
        One verdict per feature.

    Raises
    ------
    InvalidZone
        The document as a whole can't be read: not JSON, not GeoJSON, or too large.

    Examples
    --------
    >>> report = parse_zones(b'{"type": "FeatureCollection", "features": [{"type": "Feature", '
    ...     b'"id": "a", "properties": {}, "geometry": null}]}')
    >>> str(report.problems[0])[:45]
    '$.features[0].geometry: a zone needs a geomet'
    """
    collector = _Collector(id_property, limits, number=number)
    if isinstance(document, bytes):
        members, streamed = read_document(
            document, collector.take, take_text=collector.take_text, limits=limits
        )
        size = len(document)
    else:
        members, size = dict(document), 0
        streamed = isinstance(members.get("features"), list | tuple)
        for feature in members.pop("features") if streamed else ():
            collector.take(feature, 0, odd=False)
    collector.judge_waiting()
    if members.get("type") == "Feature" and not streamed:
        collector.judge(members, "$", size, odd=False)
        return ZonesReport(tuple(collector.reports))
    problems = _collection_problems(members, streamed=streamed)
    if problems:
        raise InvalidZone(*problems)
    return ZonesReport(tuple(collector.reports))


def load_zones(
    path: Path,
    *,
    id_property: str | None = None,
    number: bool = False,
    limits: GeometryLimits = LIMITS,
) -> ZonesReport:
    """Read a file of zones; see `parse_zones`.

    Raises
    ------
    InvalidZone
        The file can't be read, or `parse_zones` refuses it as a whole.
    """
    try:
        size = path.stat().st_size
        if size > limits.max_collection_bytes:
            reason = f"a document may have {limits.max_collection_bytes} bytes at most"
            raise InvalidZone(Problem(path.name, f"{size} bytes", reason))
        document = path.read_bytes()
    except OSError as error:
        reason = f"can't be read: {error.strerror or error}"
        raise InvalidZone(Problem(str(path), "", reason)) from None
    return parse_zones(document, id_property=id_property, number=number, limits=limits)


def _collection_problems(members: Mapping[str, Any], *, streamed: bool) -> list[Problem]:
    """Check the members of a document that is not a single feature."""
    kind = members.get("type")
    if isinstance(kind, str) and kind in _GEOMETRIES:
        reason = (
            "a geometry alone has no id; wrap it: "
            '{"type": "Feature", "id": "…", "properties": {}, "geometry": …}'
        )
        return [Problem("$.type", shown(kind), reason)]
    if kind != "FeatureCollection":
        reason = 'must be "FeatureCollection" or "Feature"'
        if kind == "Feature":
            reason = "a Feature can't have the member features"
        return [Problem("$.type", shown(kind), reason)]
    problems = foreign_problems(members, "$", kind)
    if not streamed:
        value = shown(members.get("features"))
        problems.append(Problem("$.features", value, "must be an array of Features"))
    return problems


def _is_plain(feature: Any) -> bool:
    """Return whether a feature is one, and has no members that need a closer look."""
    return (
        type(feature) is dict
        and feature.get("type") == "Feature"
        and "geometry" in feature
        and type(feature.get("properties", ...)) in {dict, type(None)}
        and feature.keys().isdisjoint(_NEEDS_CARE)
    )


def _again(text: bytes, length: int) -> tuple[Any, int, bool]:
    value, odd = decoded(text)
    return value, length, odd


def _check_even(feature: Any, path: str, *, odd: bool) -> None:
    problems = oddities(feature, path) if odd else []
    if problems:
        raise InvalidZone(*shortened(tuple(problems)))
