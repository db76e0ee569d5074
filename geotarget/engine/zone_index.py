"""Which zones cover which pings: the index that everything else asks.

`ZoneIndex` is immutable. An edit makes a new one that shares what did not change, and whoever holds
the old one goes on undisturbed; queries from several threads need no lock.

It consists of frozen layers (`layer`), the largest one first; nearly always there is one. `edits`
puts small ones on top. Answers equal `shapely.covers` on every pair, the boundary included.

Costs, one core: a query 7 ns a ping and 20 to 30 for each zone whose outline is near, whatever the
number of zones and vertices (one ping alone: 8 microseconds); a build 20 microseconds a zone of 30
vertices; among 100,000 zones an edit 5 ms, a removal 20. `docs/benchmarks.md` has the whole table.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from geotarget.engine.answers import Answers
from geotarget.engine.compiled import COMPILED
from geotarget.engine.edits import LayeredZones, joined
from geotarget.engine.facts import Facts
from geotarget.engine.layer import Layer
from geotarget.engine.saving import load, save
from geotarget.engine.shown import cells_of
from geotarget.errors import InvalidZone, NotFound, Problem
from geotarget.geojson import load_zones, parse_frame, parse_zones
from geotarget.model import FloatArray, IntArray, KeyArray, Zone

if TYPE_CHECKING:
    import geopandas as gpd


class ZoneIndex(Answers):
    """Zones, arranged so that a ping finds those that cover it.

    Make one with `build`, `from_geojson`, `from_geopandas` or `load`.

    Attributes
    ----------
    zones : sequence of Zone
        In the order in which query answers name them.
    ids : ndarray of object
        Their ids.
    keys : ndarray of int64
        Their numbers for life, `Zone.key`.
    area_m2 : ndarray of float64
        Their area on WGS 84.
    depth_m : ndarray of float64
        Twice the area over the length of the boundary: the radius of a circle; infinite for a
        zone without boundary (the whole Earth).

    Examples
    --------
    >>> square = {"type": "Feature", "id": "square", "properties": {}, "geometry": {
    ...     "type": "Polygon",
    ...     "coordinates": [[[0, 0], [0.01, 0], [0.01, 0.01], [0, 0.01], [0, 0]]]}}
    >>> index = ZoneIndex.from_geojson(square)
    >>> index.query(lng=[0.005, 0.02], lat=[0.005, 0.0]).tolist()
    [[0], [0]]
    >>> index.signed_distance(lng=[0.005], lat=[0.004], zone=[0]).round().tolist()
    [442.0]
    """

    def __init__(
        self,
        layers: tuple[Layer, ...],
        *,
        ids: NDArray[np.object_],
        keys: IntArray,
        area_m2: FloatArray,
        depth_m: FloatArray,
    ) -> None:
        self.ids = _frozen(ids)
        self.keys: IntArray = _frozen(keys)
        self.area_m2: FloatArray = _frozen(area_m2)
        self.depth_m: FloatArray = _frozen(depth_m)
        super().__init__(layers, len(ids))
        self._position: dict[str, int] | None = None
        self._facts: Facts | None = None

    def __repr__(self) -> str:
        return f"<ZoneIndex of {len(self):,} zones in {len(self._layers)} layers>"

    # -- making -----------------------------------------------------------------------------

    @classmethod
    def build(cls, zones: Sequence[Zone]) -> ZoneIndex:
        """Make an index of zones.

        Parameters
        ----------
        zones
            With valid geometry, as `geotarget.geojson` returns them; every id once. May be empty.

        Raises
        ------
        InvalidZone
            An id comes twice, or a geometry is empty, out of range, or of another type.
        """
        zones = tuple(zones)
        _check_ids(zones)
        layer = Layer.of(zones)
        return cls(
            (layer,),
            ids=_objects([zone.id for zone in zones]),
            keys=np.array([zone.key for zone in zones], np.int64),
            area_m2=layer.area_m2,
            depth_m=layer.depth_m,
        )

    @classmethod
    def from_geojson(
        cls, source: str | Path | Mapping[str, Any] | bytes, *, id: str | None = None
    ) -> ZoneIndex:
        """Make an index of a GeoJSON Feature or FeatureCollection.

        Parameters
        ----------
        source
            A path, the bytes of a document, or a decoded document.
        id
            Name of the property that holds the zones' ids, which all must have then. Without it a
            feature's ``id`` counts, then its property ``id``, then its position in the collection.

        Raises
        ------
        InvalidZone
            The document or any of its features can't be accepted; holds every problem found. Use
            `geotarget.geojson.load_zones` to go on with the others.
        """
        options: dict[str, Any] = {"id_property": id, "number": id is None}
        if isinstance(source, str | Path):
            report = load_zones(Path(source), **options)
        else:
            report = parse_zones(source, **options)
        if report.problems:
            raise InvalidZone(*report.problems)
        return cls.build(report.zones)

    @classmethod
    def from_geopandas(cls, frame: gpd.GeoDataFrame, *, id: str | None = None) -> ZoneIndex:
        """Make an index of a GeoDataFrame.

        Parameters
        ----------
        frame
            Polygons and multipolygons, or points with a column ``radius_m``. Converted to WGS 84
            if its reference system is another one. The other columns become properties.
        id
            Name of the column that holds the zones' ids; the frame's index if None.

        Raises
        ------
        InvalidZone
            A row can't be accepted; paths in the problems name the row.
        """
        if frame.crs is not None:
            frame = frame.to_crs(4326)
        columns = {name: frame[name] for name in frame.columns if name != frame.geometry.name}
        labels = frame.index if id is None else frame[id]
        zones, problems = parse_frame(np.asarray(frame.geometry.array), columns, labels)
        if problems:
            raise InvalidZone(*problems)
        return cls.build(zones)

    def with_changes(self, *, put: Sequence[Zone] = (), remove: Collection[str] = ()) -> ZoneIndex:
        """Return an index with some zones added, replaced or removed.

        Zones that stay keep their order, a replaced zone keeps its place, new ones follow.

        Parameters
        ----------
        put
            Zones to add, or to replace where the id is known.
        remove
            Ids to remove; those that are not there are ignored, because whoever follows a
            catalogue may hear of the end of a zone that it never saw.

        Raises
        ------
        InvalidZone
            As in `build`.
        """
        _check_ids(put)
        known = self._positions()
        fresh = [zone for zone in put if zone.id not in known]
        number = len(self) + len(fresh)
        place = known
        if fresh:
            place = {**known, **{zone.id: at for at, zone in enumerate(fresh, len(self))}}
        changed = sorted(put, key=lambda zone: place[zone.id])
        written = {zone.id for zone in put}
        stays = np.ones(number, np.bool_)
        stays[[known[id_] for id_ in set(remove) - written if id_ in known]] = False
        moved = np.cumsum(stays) - 1
        at = np.array([place[zone.id] for zone in changed], np.int64)

        kept = np.append(np.where(stays, moved, -1), -1)  # the last is for place -1
        kept[at] = -1
        layers = [layer.at(kept[layer.place]) for layer in self._layers]
        layers = joined(layers, changed, moved[at])
        keys = np.concatenate([self.keys, np.zeros(len(fresh), np.int64)])
        keys[at] = [zone.key for zone in changed]
        area = np.concatenate([self.area_m2, np.zeros(len(fresh))])[stays]
        depth = np.concatenate([self.depth_m, np.zeros(len(fresh))])[stays]
        if changed:
            newest = layers[-1]
            area[newest.place] = newest.area_m2
            depth[newest.place] = newest.depth_m
        edited = ZoneIndex(
            tuple(layers),
            ids=np.concatenate([self.ids, _objects([zone.id for zone in fresh])])[stays],
            keys=keys[stays],
            area_m2=area,
            depth_m=depth,
        )
        if stays.all():
            edited._position = place
        return edited

    @classmethod
    def load(cls, path: str | Path) -> ZoneIndex:
        """Return an index that `save` wrote, ready for queries at once.

        The file is mapped into memory, so that processes on one machine share one copy. It must
        not be changed in place while an index uses it; saving over it is fine.

        Raises
        ------
        InvalidIndexFile
            It is no saved index, one of another version, or damaged; says what was found.
        """
        layer, zones = load(path)
        return cls(
            (layer,),
            ids=zones.ids(),
            keys=zones.packed["zone_key"],
            area_m2=layer.area_m2,
            depth_m=layer.depth_m,
        )

    def save(self, path: str | Path) -> None:
        """Write the index to a file, all or nothing; see `load`.

        An index that was edited is built anew for it.

        Raises
        ------
        InvalidZone
            Properties of a zone are no values of JSON.
        """
        layer = self._layers[0]
        save(layer if layer.is_whole(len(self)) else Layer.of(tuple(self.zones)), path)

    # -- asking -----------------------------------------------------------------------------

    @property
    def zones(self) -> Sequence[Zone]:
        """The zones, by position."""
        return LayeredZones(self._layers, *self._home())

    @property
    def facts(self) -> Facts:
        """What the zones say of themselves, by position; no zone is made for it."""
        if self._facts is None:
            parts = (
                (layer.facts, alive, layer.place[alive].astype(np.int64))
                for layer in self._layers
                for alive in (layer.alive,)
            )
            self._facts = Facts.gathered(parts, len(self))
        return self._facts

    def __contains__(self, id: object) -> bool:
        """Tell whether there is a zone of this id."""
        return id in self._positions()

    def find(self, id: str) -> int | None:
        """Return where a zone stands in `zones`; None if there is none of this id."""
        return self._positions().get(id)

    def position(self, id: str) -> int:
        """Return where a zone stands in `zones`.

        Raises
        ------
        NotFound
            There is none of this id.
        """
        try:
            return self._positions()[id]
        except KeyError:
            raise NotFound("zone", id) from None

    def cells(self, zone: int, *, resolution: int | None = None) -> KeyArray:
        """Return the H3 cells that a zone touches, to draw or to count by.

        For pictures and reports; membership is what `query` says.

        Parameters
        ----------
        zone
            Position in `zones`.
        resolution
            0 to 15; without it the finest one with some `cells.SHOWN` cells in the zone.

        Raises
        ------
        NotFound
            There is no such position.
        InvalidInput
            The resolution is out of range, or the cells would be more than `cells.MOST`.
        """
        if not 0 <= zone < len(self):
            raise NotFound("zone position", str(zone))
        shape = self.zones[zone]
        return cells_of(shape.geometry, shape.radius_m, resolution)

    def stats(self) -> dict[str, Any]:
        """Return figures about the index: what it holds and what it takes.

        Returns
        -------
        dict
            ``zones``, ``vertices``, ``circles``, ``layers``, ``nodes`` of the tries, whether the
            kernels are ``compiled``; ``bytes`` in all arrays (zones' own objects not counted) and
            ``bytes_per_zone``.
        """
        shapes = [layer.shapes for layer in self._layers]
        covering = [layer.covering for layer in self._layers]
        size = sum(layer.nbytes for layer in self._layers)
        return {
            "zones": len(self),
            "vertices": sum(len(each.xy) for each in shapes),
            "circles": sum(len(each.discs) for each in covering),
            "layers": len(self._layers),
            "nodes": sum(len(each.nodes) // 16 for each in covering),
            "bytes": size,
            "bytes_per_zone": round(size / max(len(self), 1)),
            "compiled": COMPILED,
        }

    # -- inside -----------------------------------------------------------------------------

    def _positions(self) -> dict[str, int]:
        if self._position is None:
            self._position = {id_: at for at, id_ in enumerate(self.ids.tolist())}
        return self._position


def _check_ids(zones: Sequence[Zone]) -> None:
    """Raise `InvalidZone` for ids that come twice."""
    seen: set[str] = set()
    problems = []
    for zone in zones:
        if zone.id in seen:
            problems.append(Problem("id", repr(zone.id), "comes twice"))
        seen.add(zone.id)
    if problems:
        raise InvalidZone(*problems)


def _objects(values: Sequence[Any]) -> NDArray[np.object_]:
    array = np.empty(len(values), np.object_)
    array[:] = values
    return array


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array
