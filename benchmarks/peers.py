"""The engines that are measured: each one small class, arrays of lng and lat in, pairs out.

Everything that can be done before a ping comes is done in `build` and not counted: trees are made,
zones prepared, cells filled. What depends on the pings is counted, shapely's points and the tree of
the pings included, because a stream brings arrays. Pairs may come in any order; ours are sorted.
"""

from __future__ import annotations

from typing import Any, Protocol

import geopandas
import h3.api.basic_int as h3
import numpy as np
import shapely

from benchmarks.zone_sets import GeometryArray, frame_of, zones_of
from geotarget import ZoneIndex
from geotarget.model import FloatArray, IntArray


class Peer(Protocol):
    """What can be measured."""

    name: str

    def build(self, geometry: GeometryArray) -> None:
        """Take zones, and do all that can be done without pings."""

    def query(self, lng: FloatArray, lat: FloatArray) -> IntArray:
        """Return (ping, zone) pairs, shape (2, n)."""


class Geotarget:
    """`ZoneIndex`, on one thread."""

    name = "geotarget"

    def build(self, geometry: GeometryArray) -> None:
        """Make the index."""
        self.index = ZoneIndex.build(zones_of(geometry))

    def query(self, lng: FloatArray, lat: FloatArray) -> IntArray:
        """Ask the index."""
        return self.index.query(lng=lng, lat=lat)


class TreeOfZones:
    """Points made, then `STRtree.query(points, predicate="covered_by")`: what the manual shows."""

    name = "strtree"

    def build(self, geometry: GeometryArray) -> None:
        """Make the tree; the first query finishes it."""
        self.tree = shapely.STRtree(geometry)
        self.tree.query(shapely.points(0, 0))

    def query(self, lng: FloatArray, lat: FloatArray) -> IntArray:
        """Ask the tree."""
        found = self.tree.query(shapely.points(lng, lat), predicate="covered_by")
        return np.asarray(found)


class PreparedZones:
    """Boxes from the tree of zones, then `intersects_xy` of prepared zones."""

    name = "prepared"

    def build(self, geometry: GeometryArray) -> None:
        """Make the tree and prepare the zones."""
        self.zones = geometry.copy()
        self.tree = shapely.STRtree(self.zones)
        self.tree.query(shapely.points(0, 0))
        prepare(self.zones)

    def query(self, lng: FloatArray, lat: FloatArray) -> IntArray:
        """Ask the tree, then the zones."""
        ping, zone = self.tree.query(shapely.points(lng, lat))
        inside = shapely.intersects_xy(self.zones[zone], lng[ping], lat[ping])
        return np.stack([ping[inside], zone[inside]])


class TreeOfPings:
    """The other way round: a tree of the batch's pings, asked for the boxes of all zones.

    Fast where a batch holds many more pings than there are zones, and a batch of one costs as much
    as all zones.
    """

    name = "tree_of_pings"

    def build(self, geometry: GeometryArray) -> None:
        """Prepare the zones."""
        self.zones = geometry.copy()
        prepare(self.zones)

    def query(self, lng: FloatArray, lat: FloatArray) -> IntArray:
        """Make a tree of the pings, ask it, then the zones."""
        points = np.asarray(shapely.points(lng, lat))
        zone, ping = shapely.STRtree(points).query(self.zones)
        inside = shapely.intersects_xy(self.zones[zone], lng[ping], lat[ping])
        return np.stack([ping[inside], zone[inside]])


class GeopandasJoin:
    """`geopandas.sjoin(predicate="covered_by")`, its points made from the arrays."""

    name = "geopandas"

    def build(self, geometry: GeometryArray) -> None:
        """Make the frame and its spatial index."""
        self.frame = frame_of(geometry)
        self.frame.sindex.query(shapely.points(0, 0))

    def query(self, lng: FloatArray, lat: FloatArray) -> IntArray:
        """Join."""
        points = geopandas.GeoDataFrame(geometry=geopandas.points_from_xy(lng, lat, crs=4326))
        joined = geopandas.sjoin(points, self.frame, predicate="covered_by")
        return np.stack([joined.index.to_numpy(), joined["index_right"].to_numpy()])


class CellDictionary:
    """H3 cells that overlap a zone in a dictionary, then `intersects_xy` of prepared zones.

    Building takes about 2 ms a zone, so above `LARGEST` zones it is not measured.
    """

    name = "h3_dictionary"
    LARGEST = 10_000
    RESOLUTION = 9

    def build(self, geometry: GeometryArray) -> None:
        """Fill the dictionary: cell -> position in a list of zone numbers, cell after cell."""
        self.zones = geometry.copy()
        prepare(self.zones)
        cells: dict[int, list[int]] = {}
        for number, zone in enumerate(geometry):
            shape = h3.geo_to_h3shape(zone)
            for cell in h3.h3shape_to_cells_experimental(shape, self.RESOLUTION, "overlap"):
                cells.setdefault(cell, []).append(number)
        self.place = {cell: at for at, cell in enumerate(cells)}
        count = np.array([0, *map(len, cells.values())])
        self.count = np.append(count[1:], 0)
        self.start = np.cumsum(count)
        self.listed = np.array([number for held in cells.values() for number in held], np.int64)

    def query(self, lng: FloatArray, lat: FloatArray) -> IntArray:
        """Look the cells up one by one, then ask the zones in bulk."""
        cell_of, place_of, none = h3.latlng_to_cell, self.place.get, len(self.place)
        level = self.RESOLUTION
        cells = [cell_of(y, x, level) for x, y in zip(lng.tolist(), lat.tolist(), strict=True)]
        place = np.array([place_of(cell, none) for cell in cells], np.int64)
        count = self.count[place]
        ping = np.repeat(np.arange(len(lng)), count)
        nth = np.arange(len(ping)) - np.repeat(np.cumsum(count) - count, count)
        zone = self.listed[self.start[place[ping]] + nth]
        inside = shapely.intersects_xy(self.zones[zone], lng[ping], lat[ping])
        return np.stack([ping[inside], zone[inside]])


ENGINES: tuple[type[Any], ...] = (
    Geotarget,
    TreeOfZones,
    PreparedZones,
    TreeOfPings,
    GeopandasJoin,
    CellDictionary,
)
"""In the order of the tables, ours first."""


def prepare(zones: GeometryArray) -> None:
    """Prepare zones wholly: GEOS makes a zone's index of edges at the first question only."""
    shapely.prepare(zones)
    inside = shapely.get_coordinates(shapely.point_on_surface(zones))
    for _ in range(2):
        shapely.intersects_xy(zones, inside[:, 0], inside[:, 1])


def wrong_pairs(found: IntArray, expected: IntArray, zones: int) -> int:
    """Return how many pairs are in one of two answers only, or come twice in the first."""
    a, b = (np.asarray(pairs[0] * zones + pairs[1], np.int64) for pairs in (found, expected))
    return len(np.setxor1d(a, b)) + len(a) - len(np.unique(a))
