"""The outlines of zones in runs of vertices, and the nearest point on them.

The *outline* of a zone is where a device can enter it, so it is not quite the list of its edges:
where a zone is cut at the antimeridian the two sides of the cut face each other, and an edge along
a pole's latitude has no length. Both are *cuts*, no outline; whatever remains of an edge on +-180
with nothing on the other side is outline.

Vertices stay where they are; `runs` of them have boxes, in three sizes, by which a search skips all
but a few.

Costs: 58 bytes a zone of one run; a build 22 ns an edge; `nearest` 0.3 microseconds for an outline
of 30 edges, 0.7 where it comes from main memory, and 1 to 11 for one of a million.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geotarget.engine.compiled import njit
from geotarget.engine.ellipsoid import GEOD, SEAM, curvature_m, extents, fixed, way_m
from geotarget.engine.runs import BLOCK, GROUP, Runs, divided, grouped, open_pieces
from geotarget.model import FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Outlines:
    """The outlines of many zones: plain arrays, which can't be written and can be saved.

    Parameters
    ----------
    xy
        The zones' vertices as (lng, lat) in degrees, shape (v, 2); not copied.
    extra
        Ends of the open pieces of edges on +-180, shape (2 * pieces, 2).
    run_start
        First vertex of each run, shape (runs,); from ``len(xy)`` on it counts in `extra`.
    run_length
        Edges of each run, shape (runs,); negative where they are cuts.
    run_box
        West, south, east, north of each run, shape (runs, 4).
    group_box, block_box
        The same of each `GROUP` and each `BLOCK` runs, shapes (runs / GROUP, 4) and
        (runs / BLOCK, 4), both rounded up.
    zone_run
        Where the runs of each zone start, shape (zones + 1,).
    area_m2, length_m
        Of each zone on the ellipsoid; the length is that of the outline.
    """

    xy: FloatArray
    extra: FloatArray
    run_start: NDArray[np.signedinteger[Any]]
    run_length: NDArray[np.int8]
    run_box: FloatArray
    group_box: FloatArray
    block_box: FloatArray
    zone_run: NDArray[np.signedinteger[Any]]
    area_m2: FloatArray
    length_m: FloatArray

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, fixed(getattr(self, field.name)))

    @classmethod
    def of(cls, xy: FloatArray, ring: IntArray, part: IntArray, zone: IntArray) -> Outlines:
        """Find the outlines of zones.

        Parameters
        ----------
        xy, ring, part, zone
            Closed rings within +-180 and +-90: vertices, shape (v, 2); where each ring starts in
            them, each part in the rings, and each zone in the parts. A zone may have no part.

        Examples
        --------
        >>> square = np.array([[0, 0], [0.001, 0], [0.001, 0.001], [0, 0.001], [0, 0]], np.float64)
        >>> one = np.array([0, 1])
        >>> outlines = Outlines.of(square, np.array([0, 5]), one, one)
        >>> outlines.run_length.tolist(), outlines.area_m2.round().tolist()
        ([4], [12309.0])
        >>> outlines.distance_m(
        ...     lng=np.array([0.0005]), lat=np.array([0.0004]), zone=np.array([0])
        ... ).round(1).tolist()
        [44.2]
        """
        xy, ring, part, zone = fixed(xy), fixed(ring), fixed(part), fixed(zone)
        area, length = extents(xy, ring, part, zone)
        run_start, run_length, run_box, zone_run = divided(xy, ring, part, zone)
        row, piece = open_pieces(xy, zone_run, run_start, run_length)
        if len(row):
            at = zone_run[row + 1]
            run_start = np.insert(run_start, at, len(xy) + 2 * np.arange(len(row)))
            run_length = np.insert(run_length, at, np.int8(1))
            run_box = np.insert(run_box, at, piece, axis=0)
            zone_run[1:] += np.cumsum(np.bincount(row, minlength=len(area)))
            length += np.bincount(row, GEOD.inv(*piece.T)[2], len(area))
        group_box = grouped(run_box)
        return cls(
            xy=xy,
            extra=piece.reshape(-1, 2),
            run_start=run_start,
            run_length=run_length,
            run_box=run_box,
            group_box=group_box,
            block_box=grouped(group_box),
            zone_run=zone_run.astype(run_start.dtype),
            area_m2=area,
            length_m=length,
        )

    @property
    def runs(self) -> Runs:
        """What kernels read: vertices, runs and boxes."""
        return (
            self.xy,
            self.extra,
            self.run_start,
            self.run_length,
            self.run_box,
            self.group_box,
            self.block_box,
        )

    def nearest(self, *, lng: FloatArray, lat: FloatArray, zone: IntArray) -> FloatArray:
        """Return the way from each ping to the nearest point of a zone's outline.

        Nearest is meant in the plane that touches the ellipsoid at the ping (longitude and
        latitude scaled by its two radii of curvature), also over the antimeridian.

        Parameters
        ----------
        lng, lat
            Degrees, shape (n,).
        zone
            Which zone, shape (n,).

        Returns
        -------
        ndarray, shape (n, 2)
            Degrees of longitude and latitude; infinite for a zone without outline.
        """
        lat = np.array(lat, np.float64)
        prime, meridian = curvature_m(lat)
        way = np.empty((len(lat), 2))
        _nearest(
            np.array(lng, np.float64),
            lat,
            np.asarray(prime * np.cos(np.radians(lat)) / meridian),
            np.array(zone, np.int64),
            self.runs,
            self.zone_run,
            way,
        )
        return way

    def distance_m(self, *, lng: FloatArray, lat: FloatArray, zone: IntArray) -> FloatArray:
        """Return metres from each ping to the outline of a zone, without sign.

        At a distance D and a latitude of at most 70 degrees the answer is within D * D / 2000 km
        of the truth: 5 cm at 300 m, half a metre at 1 km, 50 m at 10 km. Towards the poles the
        plane of `nearest` is no longer a fair picture, beyond 85 degrees expect the order of
        magnitude.

        Parameters
        ----------
        lng, lat
            Degrees, shape (n,).
        zone
            Which zone, shape (n,).

        Returns
        -------
        ndarray, shape (n,)
            Infinite for a zone without outline.
        """
        return way_m(self.nearest(lng=lng, lat=lat, zone=zone), np.asarray(lat, np.float64))


@njit(cache=True, nogil=True)
def _gap(x: float, y: float, scale: float, box: FloatArray, row: int) -> float:
    """Squared distance from a point to a box, in degrees of latitude."""
    dx = max(box[row, 0] - x, 0.0, x - box[row, 2]) * scale
    dy = max(box[row, 1] - y, 0.0, y - box[row, 3])
    return float(dx * dx + dy * dy)


@njit(cache=True, nogil=True)
def _favourite(
    first: int,
    last: int,
    x: float,
    y: float,
    scale: float,
    runs: Runs,
) -> int:
    """Return the nearest run of the nearest group of the nearest block; `last` if it is a cut."""
    _, _, _, run_length, run_box, group_box, block_box = runs
    begin = int(first)
    end = int(last)
    while end - begin > 1:
        least = np.inf
        nearest = begin
        width = 1
        run = begin
        while run < end:
            stride = 1
            if run % BLOCK == 0 and run + BLOCK <= end and end - begin > BLOCK:
                stride = BLOCK
                gap = _gap(x, y, scale, block_box, run // BLOCK)
            elif run % GROUP == 0 and run + GROUP <= end and end - begin > GROUP:
                stride = GROUP
                gap = _gap(x, y, scale, group_box, run // GROUP)
            else:
                gap = _gap(x, y, scale, run_box, run) if run_length[run] > 0 else np.inf
            if gap < least:
                least = gap
                nearest = run
                width = stride
            run += stride
        begin = nearest
        end = nearest + width
    return begin if begin < end and run_length[begin] > 0 else int(last)


@njit(cache=True, nogil=True)
def _next(
    run: int,
    last: int,
    x: float,
    y: float,
    scale: float,
    best: float,
    runs: Runs,
) -> int:
    """Return the next run, from `run` on and before `last`, whose box is nearer than the best."""
    _, _, _, run_length, run_box, group_box, block_box = runs
    while run < last:
        if run % GROUP == 0 and run + GROUP <= last:
            if (
                run % BLOCK == 0
                and run + BLOCK <= last
                and _gap(x, y, scale, block_box, run // BLOCK) >= best
            ):
                run += BLOCK
                continue
            if _gap(x, y, scale, group_box, run // GROUP) >= best:
                run += GROUP
                continue
        if run_length[run] < 0 or _gap(x, y, scale, run_box, run) >= best:
            run += 1
        else:
            return run
    return last


@njit(cache=True, nogil=True)
def _reach(
    x: float, y: float, scale: float, points: FloatArray, v: int, way: FloatArray, row: int
) -> None:
    """Write the way from a point to the nearest one of the edge that ends in vertex v."""
    ax = points[v - 1, 0] - x
    ay = points[v - 1, 1] - y
    dx = points[v, 0] - points[v - 1, 0]
    dy = points[v, 1] - points[v - 1, 1]
    square = dx * scale * dx * scale + dy * dy
    t = -(ax * scale * dx * scale + ay * dy) / max(square, 1e-300)
    t = min(max(t, 0.0), 1.0)
    way[row, 0] = ax + t * dx
    way[row, 1] = ay + t * dy


@njit(cache=True, nogil=True)
def _nearest(
    lng: FloatArray,
    lat: FloatArray,
    scale: FloatArray,
    zone: IntArray,
    runs: Runs,
    zone_run: IntArray,
    way: FloatArray,
) -> None:
    xy, extra, run_start, run_length, run_box, _, _ = runs
    for i in range(len(lng)):
        y = lat[i]
        k = scale[i]
        first = zone_run[zone[i]]
        last = zone_run[zone[i] + 1]
        best = np.inf
        way[i, 0] = np.inf
        way[i, 1] = np.inf
        for turn in range(3):  # as it is, then once around the Earth either way
            x = lng[i] + (0.0, 360.0, -360.0)[turn]
            beyond = max(abs(x) - SEAM, 0.0) * k
            if beyond * beyond >= best:
                continue
            # the most promising run first: it rules out nearly all others
            run = _favourite(first, last, x, y, k, runs)
            follow = first
            if run == last or _gap(x, y, k, run_box, run) >= best:
                run = _next(first, last, x, y, k, best, runs)
                follow = run + 1
            while run < last:
                begin = int(run_start[run])
                points = xy
                if begin >= len(xy):
                    points = extra
                    begin -= len(xy)
                hit = -1
                bx = (points[begin, 0] - x) * k
                by = points[begin, 1] - y
                for v in range(begin + 1, begin + int(run_length[run]) + 1):
                    ax = bx
                    ay = by
                    bx = (points[v, 0] - x) * k
                    by = points[v, 1] - y
                    dx = bx - ax
                    dy = by - ay
                    t = -(ax * dx + ay * dy) / max(dx * dx + dy * dy, 1e-300)
                    t = min(max(t, 0.0), 1.0)
                    px = ax + t * dx
                    py = ay + t * dy
                    gap = px * px + py * py
                    if gap < best:
                        best = gap
                        hit = v
                if hit >= 0:
                    _reach(x, y, k, points, hit, way, i)
                run = _next(follow, last, x, y, k, best, runs)
                follow = run + 1
