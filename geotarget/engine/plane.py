"""Which zones cover which pings in the plane of longitude and latitude, whose edge is an edge.

`Layer` adds what is true on the globe, and all that an index is asked besides. `matched_once` needs
no more than this: zones that are looked up once and forgotten. Their trie is built for the pings at
hand (`asked`), nothing else is; so it costs a quarter of a `ZoneIndex`, less where pings are few.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from geotarget.engine import lookup
from geotarget.engine.asked import Asked
from geotarget.engine.covering import Covering
from geotarget.engine.discs import within
from geotarget.engine.ellipsoid import fixed
from geotarget.engine.grid import LinkArray
from geotarget.engine.predicates import side_of
from geotarget.engine.shapes import Shapes
from geotarget.errors import InvalidInput, Problem
from geotarget.model import FloatArray, IntArray

PART = 16_384
"""Pings from which a thread of its own is worth its while."""

_ROOM = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """Zones and the trie over them.

    Parameters
    ----------
    shapes, covering
        What the kernels read.
    place
        What to call each zone, ascending: its position in the index; -1 for those that count no
        longer.
    """

    shapes: Shapes
    covering: Covering
    place: LinkArray

    @property
    def alive(self) -> IntArray:
        """Rows of the zones that count."""
        return np.flatnonzero(self.place >= 0)

    def rows_at(self, position: IntArray) -> IntArray:
        """Return the rows of zones by their positions, which must be of this layer."""
        alive = self.alive
        return alive[np.searchsorted(self.place[alive], position)]

    def in_plane(
        self, lng: FloatArray, lat: FloatArray, share: float
    ) -> tuple[IntArray | None, bool]:
        """Return pairs of ping and position, and whether a ping may have others beyond +-180.

        Pairs are ordered by both; None if a coordinate is impossible. See `Layer.match`.
        """
        pairs, care = self._matched(lng, lat, share)
        return (pairs if pairs is None or not care else self._settled(lng, lat, pairs)), care

    def _matched(
        self, lng: FloatArray, lat: FloatArray, share: float
    ) -> tuple[IntArray | None, bool]:
        """Run the kernel until all pings are done; return pairs, and whether to look again."""
        covering = self.covering
        vertices = self.shapes.xy.reshape(-1)
        lng, lat = fixed(lng), fixed(lat)  # one type of array, so that one kernel serves all
        found: list[IntArray] = []
        care = False
        done = 0
        room = int(len(lng) * share * 1.1) + _ROOM
        while True:
            out = np.empty((2, room), np.int64)
            begin = done
            done, pairs, possible, again = lookup.match(
                lng,
                lat,
                begin,
                len(lng),
                covering.frame,
                covering.table,
                covering.nodes,
                covering.records,
                vertices,
                covering.discs,
                self.place,
                out,
            )
            if not possible:
                return None, care
            care |= again
            found.append(out[:, :pairs])
            if done == len(lng):
                break
            seen = sum(part.shape[1] for part in found)
            room = 2 * room if done == begin else int((len(lng) - done) * seen / done * 1.2) + _ROOM
        return found[0] if len(found) == 1 else np.concatenate(found, axis=1), care

    def _settled(self, lng: FloatArray, lat: FloatArray, pairs: IntArray) -> IntArray:
        """Decide the pairs that the kernel left open."""
        open_ = np.flatnonzero(pairs[1] >= lookup.UNDECIDED)
        if not len(open_):
            return pairs
        pairs[1, open_] -= lookup.UNDECIDED
        ping = pairs[0, open_]
        row = self.rows_at(pairs[1, open_])
        x, y = lng[ping], lat[ping]
        circle = np.flatnonzero(~np.isnan(self.shapes.radius_m[row]))
        covered = np.zeros(len(row), np.bool_)
        covered[circle] = self._inside_m(x[circle], y[circle], row[circle]) >= 0
        for i in np.flatnonzero(np.isnan(self.shapes.radius_m[row])).tolist():
            covered[i] = self._covers_exactly(int(row[i]), float(x[i]), float(y[i]))
        kept = np.ones(pairs.shape[1], np.bool_)
        kept[open_] = covered
        pairs = pairs[:, kept]
        return pairs[:, np.lexsort((pairs[1], pairs[0]))]  # open ones stood last of their ping

    def _inside_m(self, lng: FloatArray, lat: FloatArray, row: IntArray) -> FloatArray:
        """Return how far each ping is inside its circle."""
        shapes = self.shapes
        centre = shapes.lng[row], shapes.lat[row]
        return within(lng=lng, lat=lat, centre=centre, radius_m=shapes.radius_m[row])

    def _covers_exactly(self, row: int, x: float, y: float) -> bool:
        """Return whether a polygon covers a point, counted in fractions, edge by edge."""
        shapes = self.shapes
        first, last = shapes.part[shapes.zone[row]], shapes.part[shapes.zone[row + 1]]
        inside = False
        for r in range(first, last):
            ring = shapes.xy[shapes.ring[r] : shapes.ring[r + 1]].tolist()
            for (ax, ay), (bx, by) in pairwise(ring):
                if not min(ay, by) <= y <= max(ay, by):
                    continue
                side = side_of(ax, ay, bx, by, x, y)
                if side == 0 and min(ax, bx) <= x <= max(ax, bx):
                    return True
                if (ay > y) != (by > y) and (side < 0) == (by > ay):
                    inside = not inside
        return inside


def matched_once(shapes: Shapes, asked: Asked, *, threads: int = 1) -> IntArray:
    """Return every pair of a ping and a zone that covers it, in the plane.

    Parameters
    ----------
    shapes
        Of valid polygons: some of those for which `asked` was made, and all that are near.
    asked
        The pings.
    threads
        How many share the work.

    Returns
    -------
    ndarray of int64, shape (2, pairs)
        Rows of pings and of `shapes`, ordered by ping, then by zone. A ping on an outline is
        inside.

    Examples
    --------
    >>> import shapely
    >>> squares = np.array([shapely.box(0, 0, 2, 2), shapely.box(1, 1, 180, 3)])
    >>> asked = Asked.of(shapely.bounds(squares), lng=np.array([1, -180.0]), lat=np.array([2.0, 2]))
    >>> matched_once(Shapes.of_polygons(squares, str), asked).tolist()
    [[0, 0], [0, 1]]
    """
    covering = Covering.of(shapes, asked)
    plane = Plane(shapes, covering, fixed(np.arange(len(shapes), dtype=np.int32)))
    pairs = in_parts(lambda x, y: plane.in_plane(x, y, 1.0)[0], asked.lng, asked.lat, threads)
    assert pairs is not None
    return pairs


def in_parts(
    ask: Callable[[FloatArray, FloatArray], IntArray | None],
    x: FloatArray,
    y: FloatArray,
    threads: int,
) -> IntArray | None:
    """Return what is answered to pings that are shared out among threads; None if any is."""
    if threads < 1:
        raise InvalidInput(Problem("threads", str(threads), "must be at least 1"))
    parts = max(min(threads, len(x) // PART), 1)
    if parts == 1:
        return ask(x, y)
    ends = [len(x) * i // parts for i in range(parts + 1)]
    found: list[IntArray] = []
    with ThreadPoolExecutor(parts) as pool:
        slices = [slice(begin, end) for begin, end in pairwise(ends)]
        for part, pairs in zip(
            slices, pool.map(lambda each: ask(x[each], y[each]), slices), strict=True
        ):
            if pairs is None:
                return None
            pairs[0] += part.start
            found.append(pairs)
    return np.concatenate(found, axis=1)
