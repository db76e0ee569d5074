"""Zones: places with properties."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from shapely.geometry.base import BaseGeometry

POSITIONS = ("", "cell", "rounded", "exact")
"""What an endpoint may be told of where a device was, from nothing to all of it."""


class EntryPolicy(StrEnum):
    """How much evidence an entry needs; `STANDARD` unless a zone says otherwise."""

    RAW = "raw"
    EAGER = "eager"
    STANDARD = "standard"
    STRICT = "strict"
    CERTAIN = "certain"


@dataclass(frozen=True, slots=True)
class Zone:
    """A place with properties.

    Parameters
    ----------
    id
        Chosen by its author; 1 to 128 characters.
    geometry
        Polygon or MultiPolygon in degrees, or a Point when `radius_m` makes it a circle.
    radius_m
        Radius of a circle in metres; None for polygons.
    properties
        All GeoJSON properties as given, the known ones included: offers may use any of them.
    priority
        Among entries of one instant the higher priority comes first.
    pending_enters
        Whether one weak piece of evidence enters when no second one follows it.
    exit_buffer_m
        How far beyond its accuracy a fix must lie to count as outside, metres; None means the
        figure of the rules.
    starts_ms, ends_ms
        When the zone is valid; None means no bound.
    time_zone
        IANA name; the zone's own location decides when its author does not.
    revision
        The catalogue revision that wrote it: rises with every edit, never reused.
    key
        A number for life, given by the store when the zone is first seen; 0 before that.
    """

    id: str
    geometry: BaseGeometry
    radius_m: float | None = None
    name: str = ""
    tags: tuple[str, ...] = ()
    priority: int = 0
    entry: EntryPolicy = EntryPolicy.STANDARD
    pending_enters: bool = False
    exit_buffer_m: float | None = None
    active: bool = True
    sensitive: bool = False
    starts_ms: int | None = None
    ends_ms: int | None = None
    time_zone: str = "UTC"
    properties: Mapping[str, Any] = field(default_factory=dict)
    revision: int = 0
    key: int = 0
