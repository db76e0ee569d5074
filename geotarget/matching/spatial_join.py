"""`sjoin`: what ``geopandas.sjoin`` gives for points and polygons, by a `ZoneIndex`.

GeoPandas joins in two steps: a spatial index finds pairs of rows, then the frames are put side by
side. Only the first step is ours. The second is left to GeoPandas itself, which is handed a frame
whose spatial index is a `ZoneIndex`; so columns, suffixes, labels, types and warnings are
GeoPandas' own, in every version of it.

An index costs as much to build as a few dozen tests of each zone. Where the points are too few for
that, they are tested one by one, as GeoPandas does it: the answer is the same.

GeoPandas thinks in a plane, where longitudes 180 and -180 are far apart; pairs on these meridians
are therefore asked once more of shapely.

Costs: 25 ns a point to read its coordinates and 20 to 150 for the query; 5 microseconds a zone of
30 vertices to check its outline and 25 to build it into the index; GeoPandas' own joining of the
frames. Of GeoPandas' time: a sixth to a fourteenth for the districts, wards and post codes of
cities with half a million points; with a million a quarter for 10,000 zones of 30 vertices (a
twentieth with a ready index), half for 1,000 (to read the coordinates alone takes a sixth there).
Zones of 300 vertices with a hundred points each gain nothing in a single join, since to check and
build them costs as much; with a ready index a fifth to a twentieth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray

from geotarget.engine import ZoneIndex
from geotarget.engine.coordinates import BOUNDS
from geotarget.errors import InvalidInput, InvalidPing, InvalidZone, Problem
from geotarget.matching.pairs import (
    ZONE_COLUMN,
    Keep,
    check_free,
    find_pairs,
    id_dictionary,
    with_unmatched,
    zone_ids,
)
from geotarget.model import FloatArray, IntArray, Zone

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

_NO_PLACE = [shapely.GeometryType.MISSING, shapely.GeometryType.POINT]
_POLYGONS = [shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON]
_LIMITS = [BOUNDS["lng"], BOUNDS["lat"], BOUNDS["lng"], BOUNDS["lat"]]
_WGS84 = ("EPSG:4326", "OGC:CRS84")

# What joining costs, nanoseconds of a core, as measured with GEOS 3.13 and random outlines of 30
# and 300 vertices. They only decide which of two ways to the same answer is taken.
_SAMPLE = 1_000
_BOX_NS = 80  # to find the boxes around a point
_TEST_NS = 850  # to ask GEOS whether a zone covers a point,
_EDGE_NS = 8  # and for each vertex of that zone
_QUERY_NS = 100  # to ask the index about a point
_BUILD_ZONE_NS = 5_000  # to check a zone and build it into an index,
_BUILD_VERTEX_NS = 900  # and for each of its vertices


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
        A geometry of `points` is no point; names the row.
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
    return gpd.sjoin(
        points,
        _Indexed.of(zones, threads),
        how=how,
        predicate="covered_by",
        lsuffix=lsuffix,
        rsuffix=rsuffix,
    )


class _Indexed(gpd.GeoDataFrame):  # type: ignore[misc]  # geopandas has no types
    """A frame of zones whose spatial index is a `ZoneIndex`."""

    @classmethod
    def of(cls, zones: GeoDataFrame, threads: int) -> _Indexed:
        frame = cls(zones)
        object.__setattr__(frame, "_zone_pairs", _Pairs(np.asarray(zones.geometry), threads))
        return frame

    @property
    def sindex(self) -> _Pairs:
        """What GeoPandas asks for pairs."""
        return self._zone_pairs  # type: ignore[no-any-return]


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
        _check_kinds(self._zones, self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def query(self, geometry: Any, **_: object) -> tuple[IntArray, IntArray]:
        """Return rows of points and rows of the zones that cover them."""
        points = np.asarray(geometry)
        x, y, rows = _positions(points)
        points = points if rows is None else points[rows]
        boxes = shapely.STRtree(self._zones)
        if self._few(points, boxes):
            point, zone = self._one_by_one(points, boxes)
        else:
            point, zone = self._by_index(x, y)
        return (point if rows is None else rows[point]), self._rows[zone]

    def _few(self, points: NDArray[np.object_], boxes: shapely.STRtree) -> bool:
        """Return whether to build an index would cost more than it saves."""
        count = len(points)
        sample = points[:: count // _SAMPLE + 1]
        near = boxes.query(sample)[1]
        vertices = shapely.get_num_coordinates(self._zones)
        tests = len(near) / max(len(sample), 1)
        edges = int(vertices[near].sum()) / max(len(sample), 1)
        singly = count * (_BOX_NS + _TEST_NS * tests + _EDGE_NS * edges)
        build = _BUILD_ZONE_NS * len(vertices) + _BUILD_VERTEX_NS * int(vertices.sum())
        return singly < count * _QUERY_NS + build

    def _one_by_one(
        self, points: NDArray[np.object_], boxes: shapely.STRtree
    ) -> tuple[IntArray, IntArray]:
        """Test every pair of a point and a zone around which it is in the box."""
        point, zone = boxes.query(points)
        near = np.unique(zone)
        _check_valid(self._zones[near], self._rows[near])
        covered = np.asarray(shapely.covers(self._zones[zone], points[point]))
        point, zone = point[covered], zone[covered]
        order = np.lexsort([zone, point])
        return point[order], zone[order]

    def _by_index(self, x: FloatArray, y: FloatArray) -> tuple[IntArray, IntArray]:
        _check_valid(self._zones, self._rows)
        index = ZoneIndex.build(
            [Zone(id=str(place), geometry=each) for place, each in enumerate(self._zones)]
        )
        point, zone = find_pairs(index, lng=x, lat=y, keep=Keep.MATCHED, threads=self._threads)
        # The index also gives pairs that there are only because 180 and -180 are one meridian.
        edge = np.flatnonzero(
            (np.abs(x[point]) == BOUNDS["lng"]) | (np.abs(y[point]) == BOUNDS["lat"])
        )
        if not len(edge):
            return point, zone
        at = point[edge]
        covered = np.asarray(shapely.covers(self._zones[zone[edge]], shapely.points(x[at], y[at])))
        gone = edge[~covered]
        return np.delete(point, gone), np.delete(zone, gone)


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
    geometry: NDArray[np.object_],
) -> tuple[FloatArray, FloatArray, IntArray | None]:
    """Return coordinates of the points that may be in a zone, and their rows (None: all)."""
    try:
        x, y = _xy(geometry)
    except shapely.GEOSException:  # an empty point has no coordinates to be asked for
        full = np.flatnonzero(~shapely.is_empty(geometry))
        x, y = np.full((2, len(geometry)), np.nan)
        x[full], y[full] = _xy(geometry[full])
    fits = (np.abs(x) <= BOUNDS["lng"]) & (np.abs(y) <= BOUNDS["lat"])
    if fits.all():
        return x, y, None
    strange = np.flatnonzero(np.isnan(x))
    kind = shapely.get_type_id(geometry[strange])
    others = strange[~np.isin(kind, _NO_PLACE) & ~shapely.is_empty(geometry[strange])]
    if len(others):
        row = int(others[0])
        raise InvalidPing(Problem(f"points, row {row}", geometry[row].geom_type, "must be a Point"))
    rows = np.flatnonzero(fits)
    return x[rows], y[rows], rows


def _xy(geometry: NDArray[np.object_]) -> tuple[FloatArray, FloatArray]:
    """Return coordinates of points, NaN for everything else."""
    return np.atleast_1d(shapely.get_x(geometry)), np.atleast_1d(shapely.get_y(geometry))


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


def _check_valid(zones: NDArray[np.object_], rows: IntArray) -> None:
    """Raise `InvalidZone` for outlines that have no inside."""
    wrong = np.flatnonzero(~np.asarray(shapely.is_valid(zones)))
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
