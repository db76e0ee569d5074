"""Rings that are not cut at the antimeridian, turned into the cut form of RFC 7946.

RFC 7946 (section 3.1.9) asks for zones to be cut at longitude 180. Many are not: their rings jump
from 179 to -179, or go on to 181. What such a ring means is clear enough to be read, and a cut copy
is made of it, whose answers are those of the zone moved to 0 degrees. Vertices come through bit for
bit; only the points on the antimeridian itself are new.

How a polygon is read:

- within +-180, no edge longer than 180 degrees of longitude: as it is. The same if an edge runs
  from -180 to 180 exactly, as in a zone all around the Earth, and that makes a valid polygon.
- longitudes beyond +-180, up to +-360: as it is, then cut.
- otherwise an edge longer than 180 degrees goes the short way, over the antimeridian. A ring that
  closes after one turn around the Earth holds a pole, by the right-hand rule (interior to the
  left: eastward the North Pole). The ring must hold at most half of the Earth: whoever means the
  other side, or draws a polar ring the wrong way round, is asked to write it cut.

Costs: one pass over the vertices for a zone that needs nothing, two intersections by GEOS else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import shapely
from shapely import MultiPolygon, Polygon

from geotarget.model import FloatArray

HALF_TURN = 180.0
TURN = 360.0
POLE = 90.0

HOW_TO = (
    "write it cut at the antimeridian (RFC 7946, section 3.1.9): one polygon on each side, with "
    "edges along 180 and -180, and along latitude 90 or -90 if it holds a pole"
)


class Unclear(ValueError):
    """A ring crosses the antimeridian in a way that has no clear meaning."""


def crosses(rings: Sequence[FloatArray]) -> bool:
    """Return whether a polygon may cross the antimeridian without being cut there.

    Parameters
    ----------
    rings
        Shell and holes, each of shape (n, 2).
    """
    if any((np.abs(ring[:, 0]) > HALF_TURN).any() for ring in rings):
        return True
    return any((np.abs(np.diff(ring[:, 0])) > HALF_TURN).any() for ring in rings)


def spans_the_earth(rings: Sequence[FloatArray]) -> bool:
    """Return whether an edge runs from -180 to 180, so that it may be meant as it is."""
    return all((np.abs(ring[:, 0]) <= HALF_TURN).all() for ring in rings) and any(
        (np.abs(np.diff(ring[:, 0])) == TURN).any() for ring in rings
    )


@dataclass(frozen=True, slots=True, eq=False)
class Unrolled:
    """A polygon in a plane where its longitudes are continuous.

    Parameters
    ----------
    polygon
        Not checked for validity yet.
    polar
        Whether it was closed over a pole; then its two ends meet again after one turn.
    origin
        Longitude that was given for each of its vertices.
    """

    polygon: Polygon
    polar: bool
    origin: dict[tuple[float, float], float]


def unroll(rings: Sequence[FloatArray]) -> Unrolled:
    """Lay a polygon out in a plane.

    Parameters
    ----------
    rings
        Shell and holes of a polygon that crosses the antimeridian.

    Raises
    ------
    Unclear
        Its meaning is not clear; the message says how to write it.
    """
    literal = any((np.abs(ring[:, 0]) > HALF_TURN).any() for ring in rings)
    if literal:
        laid = list(rings)
        polar = False
        origin: dict[tuple[float, float], float] = {}
    else:
        shell, origin = _continuous(rings[0])
        polar = bool(shell[0, 0] != shell[-1, 0])
        laid = [_over_the_pole(rings[0], origin) if polar else shell]
        for ring in rings[1:]:
            hole, there = _continuous(ring)
            if hole[0, 0] != hole[-1, 0]:
                raise Unclear(f"a hole runs around the Earth; {HOW_TO}")
            shift = _beside(hole, laid[0])
            laid.append(hole + np.array([shift, 0.0]))
            origin |= {(x + shift, y): given for (x, y), given in there.items()}
    polygon = Polygon(laid[0], laid[1:])
    west, _, east, _ = polygon.bounds
    if east - west > TURN and not polar:
        width = f"{east - west:g} degrees of longitude"
        raise Unclear(f"its outline spans {width}, more than once around the Earth; {HOW_TO}")
    if not literal and _share(polygon) > 0.5:
        if polar:
            held = "North" if _held_pole(laid[0]) > 0 else "South"
            raise Unclear(
                f"by its direction it holds the {held} Pole and more than half of the Earth; turn "
                f"its positions round if the other side is meant, or {HOW_TO}"
            )
        raise Unclear(f"it is unclear which side of its outline is meant; {HOW_TO}")
    return Unrolled(polygon, polar, origin)


def cut(unrolled: Unrolled) -> list[Polygon]:
    """Return the parts within +-180 of an unrolled polygon that is valid."""
    polygon = unrolled.polygon
    west, _, east, _ = polygon.bounds
    parts: list[Polygon] = []
    for turn in range(round(west / TURN), round(east / TURN) + 1):
        shift = turn * TURN
        window = shapely.box(shift - HALF_TURN, -POLE, shift + HALF_TURN, POLE)
        piece = polygon if window.covers(polygon) else polygon.intersection(window)
        for part in shapely.get_parts(piece):
            # a sliver thinner than the numbers can hold is no area, nor is a touch of the window
            if not isinstance(part, Polygon) or part.area == 0:
                continue
            moved = shapely.transform(part, partial(_home, shift=shift, origin=unrolled.origin))
            if moved.area > 0:
                parts.append(moved)
    if unrolled.polar:
        whole = shapely.union_all(parts)
        parts = [part for part in shapely.get_parts(whole) if isinstance(part, Polygon)]
    return parts


def _home(
    points: FloatArray, *, shift: float, origin: Mapping[tuple[float, float], float]
) -> FloatArray:
    """Return vertices of the plane as they were given, those of the cut on the antimeridian."""
    if shift == 0.0:
        return points
    moved = np.clip(points[:, 0] - shift, -HALF_TURN, HALF_TURN)
    inside = np.abs(moved) < HALF_TURN  # on the antimeridian the side counts, not what was given
    given = [origin.get((x, y), x - shift) for x, y in points.tolist()]
    return np.column_stack([np.where(inside, given, moved), points[:, 1]])


def _continuous(ring: FloatArray) -> tuple[FloatArray, dict[tuple[float, float], float]]:
    """Return a ring whose edges go the short way around the Earth, and where vertices came from."""
    step = np.diff(ring[:, 0])
    turns = np.zeros(len(ring))
    np.cumsum((step < -HALF_TURN).astype(float) - (step > HALF_TURN), out=turns[1:])
    laid = np.column_stack([ring[:, 0] + TURN * turns, ring[:, 1]])
    keys = map(tuple, laid.tolist())
    return laid, dict(zip(keys, ring[:, 0].tolist(), strict=True))


def _over_the_pole(ring: FloatArray, origin: dict[tuple[float, float], float]) -> FloatArray:
    """Return a shell that goes around the Earth once, closed over the pole to its left.

    It starts at its vertex nearest to the pole: nothing of it lies between that and the pole.
    """
    laid, _ = _continuous(ring)
    turns = round((laid[-1, 0] - laid[0, 0]) / TURN)
    if abs(turns) > 1:
        raise Unclear(f"its outline runs around the Earth {abs(turns)} times; {HOW_TO}")
    pole = POLE * turns
    top = int(np.argmax(ring[:-1, 1] * turns))
    turned = np.vstack([ring[top:-1], ring[: top + 1]])
    laid, there = _continuous(turned)
    origin.clear()
    origin.update(there)
    start, end = laid[0, 0], laid[-1, 0]
    origin[end, pole] = origin[start, pole] = turned[0, 0]
    return np.vstack([laid, [[end, pole], [start, pole], laid[0]]])


def _held_pole(shell: FloatArray) -> float:
    """Return the latitude of the pole over which a shell was closed."""
    return float(shell[-2, 1])


def _beside(hole: FloatArray, shell: FloatArray) -> float:
    """Return by how much a hole must be turned to lie where the shell is."""
    west, east = shell[:, 0].min(), shell[:, 0].max()
    for shift in (0.0, TURN, -TURN):
        if west <= hole[:, 0].min() + shift and hole[:, 0].max() + shift <= east:
            return shift
    return 0.0  # outside of it: the check of the polygon will say so


def _share(polygon: Polygon) -> float:
    """Return the share of the Earth that a polygon in the plane covers, roughly."""
    share = 0.0
    for number, ring in enumerate([polygon.exterior, *polygon.interiors]):
        points = shapely.get_coordinates(ring)
        sine = np.sin(np.radians(points[:, 1]))
        swept = np.diff(points[:, 0]) @ (sine[1:] + sine[:-1]) / 2 / (2 * TURN)
        share += -abs(swept) if number else abs(swept)
    return float(share)


def joined(parts: Sequence[Polygon], *, multi: bool) -> Polygon | MultiPolygon:
    """Return parts as one geometry; a single part as a polygon unless `multi`."""
    return MultiPolygon(parts) if multi or len(parts) != 1 else parts[0]
