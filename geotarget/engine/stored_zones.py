"""The zones of a saved index: written as columns, made again one by one when somebody asks.

An index answers with positions and ids; most of its zones are never looked at. So what a zone is
besides its shape (name, tags, properties …) is kept as the bytes of a JSON object per zone, its
shape is read from the columns that the index has anyway, and a `Zone` is made at first access.

Costs: saving 3 microseconds a zone; loading nothing but a look at the offsets; 60 for the first
access to one zone, 8 a zone when all are asked for; ids of 100,000 zones 15 ms.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any, NoReturn, overload

import msgspec
import numpy as np
import shapely
from msgspec.structs import astuple
from numpy.typing import NDArray
from shapely import MultiPolygon
from shapely.errors import ShapelyError

from geotarget.engine.frozen import check_offsets
from geotarget.errors import InvalidIndexFile, InvalidZone, Problem
from geotarget.geojson.limits import GeometryLimits
from geotarget.geojson.properties import check_values
from geotarget.model import EntryPolicy, FloatArray, IntArray, Zone

COLUMNS: Mapping[str, tuple[str, int]] = {
    "zone_id": ("uint8", 1),
    "zone_id_start": ("int64", 1),
    "zone_key": ("int64", 1),
    "zone_revision": ("int64", 1),
    "zone_multi": ("bool", 1),
    "zone_record": ("uint8", 1),
    "zone_record_start": ("int64", 1),
}
"""Type and number of dimensions of what `pack_zones` returns."""

_AT_ONCE = 4096
_KEPT = 20_000
"""Zones that are kept once they are made, some 2 KB each; then it begins anew."""
_EXACT = {str, int, float, bool, type(None)}
_ANY_SIZE = GeometryLimits(max_properties_bytes=1 << 62)

Packed = Mapping[str, NDArray[Any]]


class _Record(msgspec.Struct, omit_defaults=True):
    """What a zone is besides id, shape, revision and key, in the order of its fields."""

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
    properties: Mapping[str, Any] = msgspec.field(default_factory=dict)


class _Told(msgspec.Struct):
    """The part of it that `StoredZones.told` is about; the rest is skipped."""

    tags: tuple[str, ...] = ()
    priority: int = 0
    entry: EntryPolicy = EntryPolicy.STANDARD
    pending_enters: bool = False
    exit_buffer_m: float | None = None
    starts_ms: int | None = None
    ends_ms: int | None = None


_DECODER = msgspec.json.Decoder(_Record)
_TOLD = msgspec.json.Decoder(_Told)


def pack_zones(zones: Sequence[Zone]) -> dict[str, NDArray[Any]]:
    """Return what zones are besides their coordinates, as arrays (see `COLUMNS`).

    Properties come back as JSON has them: tuples as lists, values of derived types (numpy's
    float64, an enumeration of text) as plain numbers and text.

    Parameters
    ----------
    zones
        n zones; those of a loaded index are not made for it.

    Raises
    ------
    InvalidZone
        Properties hold something that is no value of JSON (NaN, a date, a number of numpy).

    Examples
    --------
    >>> packed = pack_zones([Zone(id="a", geometry=shapely.box(0, 0, 1, 1), key=7)])
    >>> packed["zone_id"].tobytes(), packed["zone_key"].tolist()
    (b'a', [7])
    """
    if isinstance(zones, StoredZones):
        return dict(zones.packed)
    problems: list[Problem] = []
    ids: list[bytes] = []
    records: list[bytes] = []
    encode = msgspec.json.Encoder().encode
    for zone in zones:
        try:
            ids.append(zone.id.encode())
            records.append(encode(_record(zone)))
        except InvalidZone as error:
            problems += error.problems
        except (TypeError, ValueError, OverflowError) as error:  # half a surrogate pair in a name
            problems.append(Problem(f"zone {zone.id!r}", "", f"can't be saved: {error}"))
    if problems:
        raise InvalidZone(*problems)
    return {
        "zone_id": np.frombuffer(b"".join(ids), np.uint8),
        "zone_id_start": np.array([0, *accumulate(map(len, ids))], np.int64),
        "zone_key": np.array([zone.key for zone in zones], np.int64),
        "zone_revision": np.array([zone.revision for zone in zones], np.int64),
        "zone_multi": np.array([type(zone.geometry) is MultiPolygon for zone in zones], np.bool_),
        "zone_record": np.frombuffer(b"".join(records), np.uint8),
        "zone_record_start": np.array([0, *accumulate(map(len, records))], np.int64),
    }


class StoredZones(Sequence[Zone]):
    """Zones that stand in columns; each is made when it is first asked for, and kept for a while.

    They equal those that were saved: the same coordinates bit for bit (without altitudes), the
    same kind of geometry, the same values. Several threads may ask.

    Parameters
    ----------
    packed
        Of n zones, as `pack_zones` returns it.
    xy, ring, part, zone
        Vertices, shape (V, 2), and where rings start in them, polygons in rings, and zones in
        polygons (n + 1); closed rings, first of a polygon its shell. A circle has no polygons.
    lng, lat, radius_m
        Of circles, shape (n,); NaN for others.
    path
        Of the file that all this comes from, for messages.

    Raises
    ------
    InvalidIndexFile
        The columns contradict each other.
    """

    def __init__(
        self,
        packed: Packed,
        *,
        xy: FloatArray,
        ring: IntArray,
        part: IntArray,
        zone: IntArray,
        lng: FloatArray,
        lat: FloatArray,
        radius_m: FloatArray,
        path: str | os.PathLike[str] = "",
    ) -> None:
        self.packed = packed
        self._path = str(path)
        self._xy, self._ring, self._part, self._zone = xy, ring, part, zone
        self._lng, self._lat, self._radius_m = lng, lat, radius_m
        self._made: dict[int, Zone] = {}
        count = len(packed["zone_key"])
        check_offsets(path, "ring", ring, len(xy))
        check_offsets(path, "part", part, len(ring) - 1)
        check_offsets(path, "zone", zone, len(part) - 1)
        for name in ("zone_id", "zone_record"):
            check_offsets(path, f"{name}_start", packed[f"{name}_start"], len(packed[name]))
        lengths = {
            "zone_key": count,
            "zone": len(zone) - 1,
            "lng": len(lng),
            "lat": len(lat),
            "radius_m": len(radius_m),
            "zone_revision": len(packed["zone_revision"]),
            "zone_multi": len(packed["zone_multi"]),
            "zone_id_start": len(packed["zone_id_start"]) - 1,
            "zone_record_start": len(packed["zone_record_start"]) - 1,
        }
        for name, length in lengths.items():
            if length != count:
                self._refuse(f"{length} in {name!r}", f"is damaged: it holds {count} zones")
        parts = np.diff(zone)
        wanted = np.where(packed["zone_multi"], np.maximum(parts, 1), 1)
        wanted[~np.isnan(radius_m)] = 0
        wrong = np.flatnonzero(parts != wanted)
        if len(wrong):
            found = f"{parts[wrong[0]]} polygons for zone {wrong[0]}"
            self._refuse(found, f"is damaged: it must have {wanted[wrong[0]]}")

    def __len__(self) -> int:
        return len(self.packed["zone_key"])

    @overload
    def __getitem__(self, at: int) -> Zone: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Zone, ...]: ...
    def __getitem__(self, at: int | slice) -> Zone | tuple[Zone, ...]:
        if isinstance(at, slice):
            return tuple(self[each] for each in range(*at.indices(len(self))))
        place = at + len(self) if at < 0 else at
        if not 0 <= place < len(self):
            raise IndexError(f"no zone at {at} among {len(self)}")
        made = self._made.get(place)
        return made if made is not None else self._make(place, place + 1)[0]

    def __iter__(self) -> Iterator[Zone]:
        for first in range(0, len(self), _AT_ONCE):
            yield from self._make(first, min(first + _AT_ONCE, len(self)))

    def __repr__(self) -> str:
        return f"<{len(self)} stored zones, {len(self._made)} made>"

    def ids(self) -> NDArray[np.object_]:
        """Return the ids, shape (n,); none of the zones is made for it."""
        start = self.packed["zone_id_start"].tolist()
        text = self.packed["zone_id"].tobytes()
        ids = np.empty(len(self), np.object_)
        pairs = pairwise(start)
        try:
            if text.isascii():
                letters = text.decode()
                ids[:] = [letters[first:end] for first, end in pairs]
            else:
                ids[:] = [text[first:end].decode() for first, end in pairs]
        except UnicodeDecodeError as error:
            self._refuse("", f"is damaged: ids are not UTF-8: {error}")
        return ids

    def told(self) -> Iterator[tuple[Any, ...]]:
        """Give what the zones say of themselves; none of them is made for it.

        In the order of `facts.FACTS`.
        """
        start = self.packed["zone_record_start"].tolist()
        text = self.packed["zone_record"].data
        revisions = self.packed["zone_revision"].tolist()
        decode = _TOLD.decode
        for row, ((first, end), revision) in enumerate(
            zip(pairwise(start), revisions, strict=True)
        ):
            try:
                each = decode(text[first:end])
            except ValueError as error:
                self._refuse(f"zone {row}", f"is damaged: {error}")
            yield (
                each.priority,
                each.entry,
                each.pending_enters,
                each.exit_buffer_m,
                each.starts_ms,
                each.ends_ms,
                revision,
                each.tags,
            )

    def _make(self, first: int, end: int) -> list[Zone]:
        """Return the zones of a range; those that are kept are the same objects."""
        if len(self._made) > _KEPT:
            self._made.clear()
        geometry = self._geometry(first, end)
        id_start, text_start = (
            self.packed[f"{name}_start"][first : end + 1].tolist()
            for name in ("zone_id", "zone_record")
        )
        radius = self._radius_m[first:end].tolist()
        keys = self.packed["zone_key"][first:end].tolist()
        revisions = self.packed["zone_revision"][first:end].tolist()
        ids = self.packed["zone_id"][id_start[0] : id_start[-1]].tobytes()
        records = self.packed["zone_record"][text_start[0] : text_start[-1]].tobytes()
        made = []
        for row in range(end - first):
            id_from, id_to = (id_start[row + each] - id_start[0] for each in (0, 1))
            text_from, text_to = (text_start[row + each] - text_start[0] for each in (0, 1))
            try:
                name = ids[id_from:id_to].decode()
                record = _DECODER.decode(records[text_from:text_to])
            except ValueError as error:
                self._refuse(f"zone {first + row}", f"is damaged: {error}")
            round_ = None if math.isnan(radius[row]) else radius[row]
            values = (name, geometry[row], round_, *astuple(record), revisions[row], keys[row])
            zone = Zone(*values)
            made.append(self._made.setdefault(first + row, zone))
        return made

    def _geometry(self, first: int, end: int) -> NDArray[np.object_]:
        """Return the geometries of a range of zones."""
        zone = self._zone[first : end + 1]
        part = self._part[zone[0] : zone[-1] + 1]
        ring = self._ring[part[0] : part[-1] + 1]
        made = np.empty(end - first, np.object_)
        circle = ~np.isnan(self._radius_m[first:end])
        multi = self.packed["zone_multi"][first:end] & ~circle
        owner = np.repeat(np.arange(end - first), np.diff(zone))
        try:
            parts = shapely.from_ragged_array(
                shapely.GeometryType.POLYGON,
                self._xy[ring[0] : ring[-1]],
                (ring - ring[0], part - part[0]),
            )
            made[~circle & ~multi] = parts[~multi[owner]]
            rows, group = np.unique(owner[multi[owner]], return_inverse=True)
            if len(rows):
                made[rows] = shapely.multipolygons(parts[multi[owner]], indices=group)
            made[circle] = shapely.points(
                self._lng[first:end][circle], self._lat[first:end][circle]
            )
        except (ShapelyError, ValueError) as error:
            self._refuse(f"zones {first} to {end - 1}", f"is damaged: {error}")
        return made

    def _refuse(self, found: str, reason: str) -> NoReturn:
        raise InvalidIndexFile(Problem(self._path, found, reason)) from None


def _record(zone: Zone) -> _Record:
    given = zone.properties
    if not _is_exact(given):
        problems = check_values(given, f"zone {zone.id!r}.properties", _ANY_SIZE)
        if problems:
            raise InvalidZone(*problems)
        given = _plain(given)
    return _Record(
        zone.name,
        zone.tags,
        zone.priority,
        zone.entry,
        zone.pending_enters,
        zone.exit_buffer_m,
        zone.active,
        zone.sensitive,
        zone.starts_ms,
        zone.ends_ms,
        zone.time_zone,
        given,
    )


def _is_exact(properties: Mapping[str, Any]) -> bool:
    """Return whether properties are flat, and will be decoded as just what they are."""
    if type(properties) is not dict or not {str}.issuperset(map(type, properties)):
        return False
    values = properties.values()
    return _EXACT.issuperset(map(type, values)) and all(
        math.isfinite(value) for value in values if type(value) is float
    )


def _plain(value: Any) -> Any:
    """Return a value of JSON in the types that a decoder makes of it."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value
