"""`sjoin`: what ``geopandas.sjoin`` gives for points and polygons, by the engine of `ZoneIndex`.

GeoPandas joins in two steps: a spatial index finds pairs of rows, then the frames are put side by
side. The first step is ours. Of the second GeoPandas says how: it joins frames of one row, or whole
ones if they are unusual (`joined_frames`), which answer when they are asked for pairs. So columns,
suffixes, labels, types and warnings are GeoPandas' own, in every version of it.

Without a ready index all that a `ZoneIndex` has for later is left out (`engine.plane`): zones that
no point is near, cells that few points are in, lengths and areas, the other side of the
antimeridian. GeoPandas thinks in a plane, where longitudes 180 and -180 are far apart.

Costs, nanoseconds a point with a million of them: 15 to read coordinates, 2 to count where points
are, 10 to 60 for the query, 10 to 20 to join frames with a few columns (`joined_frames`), and a
microsecond a zone of 30 vertices to check, 6 to 15 to build. That is a tenth of GeoPandas' time and
less for the districts, wards and post codes of cities. It is more for joins of a few milliseconds,
where next to no point is near a zone, and where zones have more vertices than there are points in
them: what these save is less than it takes to build their trie.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray

from geotarget.engine import ZoneIndex
from geotarget.engine.asked import Asked, Columns, corners
from geotarget.engine.coordinates import BOUNDS
from geotarget.engine.plane import matched_once
from geotarget.engine.shapes import Shapes
from geotarget.engine.simple import certainly_valid
from geotarget.errors import InvalidInput, InvalidPing, InvalidZone, Problem
from geotarget.matching.joined_frames import Side, are_plain, filled
from geotarget.matching.pairs import (
    ZONE_COLUMN,
    Keep,
    check_free,
    find_pairs,
    id_dictionary,
    with_unmatched,
    zone_ids,
)
from geotarget.model import FloatArray, IntArray

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

_POLYGONS = [shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON]
_LIMITS = [BOUNDS["lng"], BOUNDS["lat"], BOUNDS["lng"], BOUNDS["lat"]]
_WGS84 = ("EPSG:4326", "OGC:CRS84")

_POINTS_A_ZONE = 5
"""Fewer of them than this are looked up in a tree of boxes first, to see which zones matter: 0.5
microseconds a point or zone, where to check and build a zone takes 3 and more."""


def sjoin(
    points: GeoDataFrame,
    zones: GeoDataFrame | ZoneIndex,
    *,
    how: str = "inner",
    lsuffix: str = "left",
    rsuffix: str = "right",
    threads: int = 1,
) -> GeoDataFrame:
    """Join points with the zones that cover them.

    The result is that of ``geopandas.sjoin(points, zones, predicate="covered_by")``: a point on a
    boundary is inside. Where a point is in several zones, their rows come in the order of `zones`
    (GeoPandas leaves that order open).

    Parameters
    ----------
    points
        A GeoDataFrame of points. Missing and empty ones are in no zone.
    zones
        A GeoDataFrame of polygons and multipolygons; missing and empty ones cover nothing. Or a
        `ZoneIndex`, which is worth it for several joins: then the joined column is ``zone_id``.
    how
        ``"inner"``, ``"left"`` or ``"right"``, as in GeoPandas. With a `ZoneIndex` not the last.
    lsuffix, rsuffix
        As in GeoPandas.
    threads
        How many share the query.

    Returns
    -------
    GeoDataFrame
        Ordered by point, then by zone; for ``"right"`` by zone, then by point.

    Raises
    ------
    InvalidZone
        A zone is no polygon, lies beyond longitude 180 or latitude 90, or is not valid (looked at
        only where there are points); problems name the row.
    InvalidPing
        A geometry of `points` is more than one place; names the row.
    InvalidInput
        The reference system is not one of longitude and latitude. Straight edges are other lines
        in another projection, so nothing is converted in silence.

    Examples
    --------
    >>> import geopandas as gpd, shapely
    >>> zones = gpd.GeoDataFrame({"name": ["square"]}, geometry=[shapely.box(0, 0, 1, 1)], crs=4326)
    >>> points = gpd.GeoDataFrame(geometry=shapely.points([0.5, 1, 7], [0.5, 1, 7]), crs=4326)
    >>> sjoin(points, zones)
              geometry  index_right    name
    0  POINT (0.5 0.5)            0  square
    1      POINT (1 1)            0  square
    """
    _check_degrees("points", points)
    if isinstance(zones, ZoneIndex):
        return _with_index(points, zones, how=how, threads=threads)
    _check_degrees("zones", zones)
    if not isinstance(zones, gpd.GeoDataFrame):
        found = type(zones).__name__
        raise InvalidInput(Problem("zones", found, "must be a GeoDataFrame or a ZoneIndex"))
    pairs = _Pairs(np.asarray(zones.geometry), threads)
    options: dict[str, Any] = {
        "how": how,
        "predicate": "covered_by",
        "lsuffix": lsuffix,
        "rsuffix": rsuffix,
    }
    if not are_plain(points, zones, lsuffix, rsuffix):
        return gpd.sjoin(points, _Indexed.of(zones, pairs), **options)
    sides = [Side(points, 0), Side(zones, 1 + points.shape[1])]
    first = _First(lambda: pairs.query(points.geometry))
    form = gpd.sjoin(sides[0].numbered, _Indexed.of(sides[1].numbered, first), **options)
    return filled(form, how, sides, _rows(*first.pairs, how, len(points), len(zones)))


def _rows(point: IntArray, zone: IntArray, how: str, points: int, zones: int) -> list[IntArray]:
    """Return the rows of both frames in the result, from pairs ordered by point, then zone."""
    if how == "left":
        return list(with_unmatched(point, zone, points))
    if how == "right":
        # numbers of 16 bits are sorted by their digits, in a sixth of the time
        order = np.argsort(zone.astype(np.uint16) if zones <= 1 << 16 else zone, kind="stable")
        zone, point = with_unmatched(zone[order], point[order], zones)
    return [point, zone]


class _Indexed(gpd.GeoDataFrame):  # type: ignore[misc]  # geopandas has no types
    """A frame of zones whose spatial index is ours."""

    @classmethod
    def of(cls, zones: GeoDataFrame, index: _Pairs | _First) -> _Indexed:
        frame = cls(zones)
        object.__setattr__(frame, "_zone_pairs", index)
        return frame

    @property
    def sindex(self) -> _Pairs | _First:
        """What GeoPandas asks for pairs."""
        return self._zone_pairs  # type: ignore[no-any-return]


class _First:
    """The index of frames of one row: their rows are a pair, and those of whole frames are kept.

    Parameters
    ----------
    find
        Asked when GeoPandas has looked at frames and options, so that its errors come first.
    """

    def __init__(self, find: Callable[[], tuple[IntArray, IntArray]]) -> None:
        self._find = find
        self.pairs: tuple[IntArray, IntArray]

    def __len__(self) -> int:
        return 1

    def query(self, *_: object, **__: object) -> tuple[IntArray, IntArray]:
        """Return the first row of each frame."""
        self.pairs = self._find()
        row = np.zeros(1, np.int64)
        return row, row


class _Pairs:
    """Answers the one question that GeoPandas asks of a spatial index when it joins.

    Parameters
    ----------
    geometry
        Of the zones, row by row.
    threads
        How many share a query.
    """

    def __init__(self, geometry: NDArray[np.object_], threads: int) -> None:
        self._rows: IntArray = np.flatnonzero(
            ~(shapely.is_missing(geometry) | shapely.is_empty(geometry))
        )
        self._zones = geometry[self._rows]
        self._threads = threads
        self._box: FloatArray = shapely.bounds(self._zones).reshape(-1, 4)
        _check_kinds(self._zones, self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def query(self, geometry: Any, **_: object) -> tuple[IntArray, IntArray]:
        """Return rows of points and rows of the zones that cover them."""
        if not len(self):
            return self._rows, self._rows
        points = np.asarray(geometry)
        x, y, at = _positions(points, Columns.of(self._box))
        asked = Asked.of(self._box, lng=x, lat=y)
        near = asked.near(self._box)
        if len(x) < _POINTS_A_ZONE * len(near):
            boxes = shapely.STRtree(self._zones[near])
            near = near[np.unique(boxes.query(points if at is None else points[at])[1])]
        zones, rows = self._zones[near], self._rows[near]
        shapes = Shapes.of_polygons(zones, lambda row: f"zones, row {rows[row]}")
        _check_valid(zones, rows, shapes)
        point, zone = matched_once(shapes, asked, threads=self._threads)
        return (point if at is None else at[point]), rows[zone]


def _with_index(points: GeoDataFrame, zones: ZoneIndex, *, how: str, threads: int) -> GeoDataFrame:
    if how not in {"inner", "left"}:
        reason = "must be inner or left where zones is a ZoneIndex"
        raise InvalidInput(Problem("how", repr(how), reason))
    if not isinstance(points, gpd.GeoDataFrame):
        raise InvalidInput(Problem("points", type(points).__name__, "must be a GeoDataFrame"))
    if points.crs is not None and not any(points.crs == each for each in _WGS84):
        reason = "must be WGS 84, as those of the index are: convert with to_crs(4326)"
        raise InvalidInput(Problem("crs of points", points.crs.name, reason))
    check_free(ZONE_COLUMN, [str(name) for name in points.columns])
    x, y, rows = _positions(np.asarray(points.geometry))
    point, zone = find_pairs(zones, lng=x, lat=y, keep=Keep.MATCHED, threads=threads)
    if rows is not None:
        point = rows[point]
    if how == "left":
        point, zone = with_unmatched(point, zone, len(points))
    joined = points.take(point)
    joined[ZONE_COLUMN] = zone_ids(zone, id_dictionary(zones)).to_pandas().array
    return joined


def _positions(
    geometry: NDArray[np.object_], columns: Columns | None = None
) -> tuple[FloatArray, FloatArray, IntArray | None]:
    """Return coordinates of the points that may be in a zone, and their rows (None: all).

    A box takes shapely as long as one coordinate, and says as well whether it is of a point.
    """
    box = shapely.bounds(geometry).reshape(-1, 4)
    x, y, fits = corners(box)
    rows = None
    if not fits:
        large = np.flatnonzero((box[:, 0] < box[:, 2]) | (box[:, 1] < box[:, 3]))
        if len(large):
            row, found = int(large[0]), geometry[large[0]].geom_type
            raise InvalidPing(Problem(f"points, row {row}", found, "must be a Point"))
        rows = np.flatnonzero((np.abs(x) <= BOUNDS["lng"]) & (np.abs(y) <= BOUNDS["lat"]))
        x, y = x[rows], y[rows]
    few = None if columns is None else columns.rows_of_few(x)
    if few is None:
        return x, y, rows
    return x[few], y[few], few if rows is None else rows[few]


def _check_kinds(zones: NDArray[np.object_], rows: IntArray) -> None:
    """Raise `InvalidZone` for zones that are no polygons, or out of range."""
    kinds: NDArray[np.bool_] = np.isin(shapely.get_type_id(zones), _POLYGONS)
    within = np.all(np.abs(shapely.bounds(zones).reshape(-1, 4)) <= _LIMITS, axis=1)
    problems: list[Problem] = []
    for at in np.flatnonzero(~(kinds & within)).tolist():
        found, reason = zones[at].geom_type, "must be a Polygon or MultiPolygon"
        if kinds[at]:
            found = str(zones[at].bounds)
            reason = "must lie within longitude +-180 and latitude +-90"
        problems.append(Problem(f"zones, row {rows[at]}", found, reason))
    if problems:
        raise InvalidZone(*problems)


def _check_valid(zones: NDArray[np.object_], rows: IntArray, shapes: Shapes) -> None:
    """Raise `InvalidZone` for outlines that have no inside."""
    doubtful = np.flatnonzero(~certainly_valid(shapes))
    wrong = doubtful[~np.asarray(shapely.is_valid(zones[doubtful]))]
    if len(wrong):
        raise InvalidZone(
            *(
                Problem(f"zones, row {rows[at]}", verdict, "is not a valid outline")
                for at, verdict in zip(wrong, shapely.is_valid_reason(zones[wrong]), strict=True)
            )
        )


def _check_degrees(name: str, frame: Any) -> None:
    crs = getattr(frame, "crs", None)
    if crs is not None and not crs.is_geographic:
        reason = "must be longitude and latitude in degrees: convert with to_crs(4326)"
        raise InvalidInput(Problem(f"crs of {name}", crs.name, reason))
