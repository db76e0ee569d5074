"""All zones as vector tiles, so that ten thousand of them load and pan like ten.

A map asks for the tiles that it shows, and gets what can be seen of each zone at that zoom: its
outline to a quarter of a pixel, or a dot where it is smaller than two pixels. Zones are kept
projected, in a tree; after a change only those that changed are projected again.

Costs: 10,000 zones with 1.1 million corners are projected in 0.5 s when the first map opens and
take 25 MB; a tile takes 2 to 100 ms once, and nothing while it waits in memory, 32 MB at most.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely
from shapely.affinity import translate

from geotarget.api import vector_tiles as mvt
from geotarget.catalog import Catalog
from geotarget.model import Zone
from geotarget.store import Store

HIGHEST_ZOOM = 22
NAMES_FROM = 12
"""Zoom from which on names are told."""

CACHED_BYTES = 32 << 20

TONES = 6
"""Colours that zones take turns in."""

PIXEL = mvt.EXTENT / 512
SMALLEST = 2 * PIXEL
MARGIN = 8 * PIXEL
CORNERS = 64
"""Of a circle."""

_SEAM = 1e-12
"""Closer to the antimeridian than this, in sides of the world, is on it: 40 µm."""

EARTH_M = 6_371_008.8
HIGHEST_LAT = 85.051128779806604

_KEYS = ("id", "name", "tone", "off")
_SHARED = (*(mvt.number_value(tone) for tone in range(TONES)), mvt.number_value(0))
_OFF = mvt.number_value(1)

Rows = npt.NDArray[np.intp]
Floats = npt.NDArray[np.float64]
Shapes = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A zone as it is drawn: projected to the square from (0, 0) to (1, 1), y down."""

    id: bytes
    name: bytes
    tone: int
    off: bool
    shapes: tuple[shapely.Geometry, ...]


def tone(id: str) -> int:
    """Return which colour a zone has: always the same, and the same in the console's lists.

    Examples
    --------
    >>> tone("kamppi")
    0
    """
    total = 0
    for letter in id:
        total = (total * 31 + ord(letter)) & 0xFFFFFFFF
    return total % TONES


class ZoneMap:
    """Draws the zones of a catalogue; thread-safe.

    Parameters
    ----------
    catalog
        Tells when something changed.
    store
        Where all zones are, those that are not active too.
    """

    def __init__(self, catalog: Catalog, store: Store) -> None:
        self._catalog = catalog
        self._store = store
        self._lock = threading.Lock()
        self._revision = -1
        self._drawn: dict[str, Drawn] = {}
        self._sheet = Sheet(())
        self._tiles: OrderedDict[tuple[int, int, int], bytes] = OrderedDict()
        self._bytes = 0

    def tile(self, z: int, x: int, y: int) -> bytes:
        """Return a tile of the usual pyramid, `x` eastward and `y` southward from 0.

        Raises
        ------
        StoreError
            The zones can't be read.
        """
        place = (z, x, y)
        with self._lock:
            self._follow()
            sheet = self._sheet
            if place in self._tiles:
                self._tiles.move_to_end(place)
                return self._tiles[place]
        made = sheet.tile(z, x, y)
        with self._lock:
            if sheet is self._sheet and place not in self._tiles:
                self._tiles[place] = made
                self._bytes += len(made)
                while self._bytes > CACHED_BYTES:
                    self._bytes -= len(self._tiles.popitem(last=False)[1])
        return made

    def _follow(self) -> None:
        revision = self._catalog.snapshot.revision
        if revision == self._revision:
            return
        put, gone = self._store.zones(since_revision=max(self._revision, 0))
        self._revision = revision
        if not (put or gone):
            return
        for each in gone:
            self._drawn.pop(each, None)
        self._drawn |= {zone.id: drawn for zone, drawn in zip(put, draw(put), strict=True)}
        self._sheet = Sheet(self._drawn.values())
        self._tiles.clear()
        self._bytes = 0


class Sheet:
    """Zones on one sheet, immutable; tiles are cut out of it."""

    def __init__(self, drawn: Iterable[Drawn]) -> None:
        self._zones = list(drawn)
        self._of = np.array(
            [number for number, zone in enumerate(self._zones) for _ in zone.shapes], np.intp
        )
        self._shapes = np.empty(len(self._of), object)
        self._shapes[:] = [shape for zone in self._zones for shape in zone.shapes]
        self._bounds = shapely.bounds(self._shapes).reshape(-1, 4)
        self._tree = shapely.STRtree(self._shapes)

    def tile(self, z: int, x: int, y: int) -> bytes:
        """Return a tile; see `ZoneMap.tile`."""
        scale = float(mvt.EXTENT << z)
        origin = np.array([x, y]) / (1 << z)
        frame = np.concatenate([origin - MARGIN / scale, origin + (mvt.EXTENT + MARGIN) / scale])
        met = np.sort(self._tree.query(shapely.box(*frame)))
        bounds = self._bounds[met]
        small = (bounds[:, 2:] - bounds[:, :2]).max(axis=1, initial=0) * scale < SMALLEST
        layers = [
            self._outlines(met[~small], frame, origin, scale),
            self._dots(met[small], origin, scale),
        ]
        if z >= NAMES_FROM:
            layers.append(self._names(met, origin, scale))
        return b"".join(layers)

    def _outlines(self, rows: Rows, frame: Floats, origin: Floats, scale: float) -> bytes:
        if not len(rows):
            return b""
        shapes = self._shapes[rows]
        bounds = self._bounds[rows]
        beyond = (bounds[:, :2] < frame[:2]).any(axis=1) | (bounds[:, 2:] > frame[2:]).any(axis=1)
        shapes[beyond] = shapely.clip_by_rect(shapes[beyond], *frame)
        shapes = shapely.simplify(shapes, PIXEL / 4 / scale, preserve_topology=False)
        return self._layer("zones", rows, mvt.polygons(shapes, origin, scale))

    def _dots(self, rows: Rows, origin: Floats, scale: float) -> bytes:
        middle = (self._bounds[rows, :2] + self._bounds[rows, 2:]) / 2
        rows, at = _within(rows, (middle - origin) * scale)
        _, first = np.unique(np.floor(at / SMALLEST), axis=0, return_index=True)
        first.sort()  # of those that would cover each other one is enough
        return self._layer("dots", rows[first], mvt.points(at[first]))

    def _names(self, rows: Rows, origin: Floats, scale: float) -> bytes:
        middle = shapely.get_coordinates(shapely.point_on_surface(self._shapes[rows]))
        rows, at = _within(rows, (middle - origin) * scale)
        return self._layer("names", rows, mvt.points(at))

    def _layer(self, name: str, rows: Rows, geometries: mvt.Geometries) -> bytes:
        if not len(rows):
            return b""
        zones = [self._zones[number] for number in self._of[rows]]
        values = [*_SHARED, _OFF]
        tags = []
        for zone in zones:
            own = len(values)
            values += [zone.id, zone.name]
            place = (0, own, 1, own + 1, 2, zone.tone, 3, TONES + zone.off)
            tags.append(b"".join(map(mvt.varint, place)))
        return mvt.layer(name, geometries, keys=_KEYS, values=values, tags=tags)


def _within(rows: Rows, at: Floats) -> tuple[Rows, Floats]:
    """Return what lies in the tile; each point is in one tile only."""
    inside = ((at >= 0) & (at < mvt.EXTENT)).all(axis=1)
    return rows[inside], at[inside]


def draw(zones: list[Zone]) -> list[Drawn]:
    """Return zones as they are drawn."""
    shapes = np.empty(len(zones), object)
    shapes[:] = [
        zone.geometry
        if zone.radius_m is None
        else _circle(shapely.get_coordinates(zone.geometry)[0], zone.radius_m)
        for zone in zones
    ]
    projected = shapely.transform(shapes, _mercator)
    west, _, east, _ = shapely.bounds(projected).reshape(-1, 4).T
    for number in np.flatnonzero((west < _SEAM) & (east > 1 - _SEAM)):
        projected[number] = _joined(projected[number])
    west, _, east, _ = shapely.bounds(projected).reshape(-1, 4).T
    return [
        Drawn(
            id=mvt.text_value(zone.id),
            name=mvt.text_value(zone.name or zone.id),
            tone=tone(zone.id),
            off=not zone.active,
            shapes=(shape, *_around(shape, left, right)),
        )
        for zone, shape, left, right in zip(zones, projected, west, east, strict=True)
    ]


def _joined(shape: shapely.Geometry) -> shapely.Geometry:
    """Return a shape that was cut at the antimeridian in one piece, which goes beyond it."""
    parts = shapely.get_parts(shape)
    bounds = shapely.bounds(parts)
    west, east = bounds[:, 0] < _SEAM, bounds[:, 2] > 1 - _SEAM
    if not ((west & ~east).any() and (east & ~west).any()):
        return shape
    parts[west & ~east] = [translate(part, 1.0) for part in parts[west & ~east]]
    return shapely.union_all(parts, grid_size=_SEAM)


def _around(shape: shapely.Geometry, west: float, east: float) -> list[shapely.Geometry]:
    """Return a shape that passes the antimeridian once more, where its other side is."""
    steps = [1.0] * bool(west < 0) + [-1.0] * bool(east > 1)
    return [translate(shape, step) for step in steps]


def _mercator(at: Floats) -> Floats:
    lat = np.radians(np.clip(at[:, 1], -HIGHEST_LAT, HIGHEST_LAT))
    y = 0.5 - np.arcsinh(np.tan(lat)) / (2 * np.pi)
    return np.column_stack([at[:, 0] / 360 + 0.5, y])


def _circle(centre: Floats, radius_m: float) -> shapely.Polygon:
    """Return a circle on the sphere as a polygon, degrees; it may go beyond 180.

    One that holds a pole lies beyond the rim of the map: circles have at most 100 km.
    """
    lng, lat = centre
    phi, angle = np.radians(lat), radius_m / EARTH_M
    bearing = np.linspace(0, -2 * np.pi, CORNERS + 1)
    north = np.arcsin(np.sin(phi) * np.cos(angle) + np.cos(phi) * np.sin(angle) * np.cos(bearing))
    aside = np.arctan2(
        np.sin(bearing) * np.sin(angle) * np.cos(phi), np.cos(angle) - np.sin(phi) * np.sin(north)
    )
    ring = np.column_stack([lng + np.degrees(np.unwrap(aside)), np.degrees(north)])
    return shapely.Polygon(ring)
