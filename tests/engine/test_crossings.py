"""Stretches of segments: held against fractions that count exactly, and against shapely."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry.base import BaseGeometry

from geotarget.engine.crossings import stretches
from geotarget.errors import InvalidZone
from geotarget.geojson import parse_zone
from geotarget.model import FloatArray, Zone
from tests.columns import outlines
from tests.strategies import SEEDS, feature, points_near, polygon, star_ring, stars, zones

Point = tuple[Fraction, Fraction]
Stretch = tuple[Fraction, Fraction]


def found(*zone: BaseGeometry, ends: FloatArray) -> list[list[tuple[float, float]]]:
    """Return the stretches of each segment (rows of four numbers) in the one zone given."""
    of = outlines(*zone)
    rows = np.arange(len(ends))
    pair, entry, leave = stretches(
        of,
        lng=ends[:, 0],
        lat=ends[:, 1],
        to_lng=ends[:, 2],
        to_lat=ends[:, 3],
        segment=rows,
        zone=np.zeros(len(ends), np.int64),
    )
    assert (np.diff(pair) >= 0).all()
    answer: list[list[tuple[float, float]]] = [[] for _ in ends]
    for row, begin, end in zip(pair.tolist(), entry.tolist(), leave.tolist(), strict=True):
        answer[row].append((begin, end))
    return answer


def one(zone: BaseGeometry, *ends: float) -> list[tuple[float, float]]:
    """Return the stretches of one segment."""
    return found(zone, ends=np.array([ends], np.float64))[0]


# -- the reference: fractions, no rounding ---------------------------------------------------------


def rings(zone: BaseGeometry, turn: int = 0) -> list[list[Point]]:
    """Return the rings of a zone, moved around the Earth."""
    return [
        [(Fraction(x) + turn, Fraction(y)) for x, y in shapely.get_coordinates(ring).tolist()]
        for part in shapely.get_parts(zone)
        for ring in (part.exterior, *part.interiors)
    ]


def holds(zone: list[list[Point]], x: Fraction, y: Fraction) -> bool:
    """Return whether rings hold a point, on them counts: the even-odd rule."""
    inside = False
    for ring in zone:
        for (ax, ay), (bx, by) in pairwise(ring):
            side = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
            if side == 0 and min(ax, bx) <= x <= max(ax, bx) and min(ay, by) <= y <= max(ay, by):
                return True
            if (ay > y) != (by > y) and (side > 0) == (by > ay):
                inside = not inside
    return inside


def reference(zone: list[list[Point]], p: Point, q: Point) -> list[Stretch]:
    """Return the stretches that rings cover: all places where anything may change, and between."""
    dx, dy = q[0] - p[0], q[1] - p[1]
    if dx == dy == 0:
        return [(Fraction(0), Fraction(1))] if holds(zone, *p) else []
    at = {Fraction(0), Fraction(1)}
    for ring in zone:
        for (ax, ay), (bx, by) in pairwise(ring):
            from_a = dx * (ay - p[1]) - dy * (ax - p[0])
            from_b = dx * (by - p[1]) - dy * (bx - p[0])
            if from_a == 0:
                at.add(((ax - p[0]) * dx + (ay - p[1]) * dy) / (dx * dx + dy * dy))
            if (from_a > 0 > from_b) or (from_b > 0 > from_a):
                share = from_a / (from_a - from_b)
                x, y = ax + share * (bx - ax), ay + share * (by - ay)
                at.add(((x - p[0]) * dx + (y - p[1]) * dy) / (dx * dx + dy * dy))
    covered: list[Stretch] = []
    for low, high in pairwise(sorted(share for share in at if 0 <= share <= 1)):
        middle = (low + high) / 2
        if holds(zone, p[0] + middle * dx, p[1] + middle * dy):
            if covered and covered[-1][1] == low:
                covered[-1] = (covered[-1][0], high)
            else:
                covered.append((low, high))
    return covered


def around(zone: BaseGeometry, ends: list[float]) -> tuple[list[Stretch], bool, bool]:
    """Return what a zone covers of a segment that may cross +-180, and of its two ends."""
    back = 360 * ((ends[2] - ends[0] > 180) - (ends[2] - ends[0] < -180))
    x, y, to_x, to_y = map(Fraction, ends)
    to_x -= back
    parts = [rings(zone, turn) for turn in (0, 360, -360)]
    pieces = sorted(piece for part in parts for piece in reference(part, (x, y), (to_x, to_y)))
    whole: list[Stretch] = []
    for low, high in pieces:
        if whole and low <= whole[-1][1]:
            whole[-1] = (whole[-1][0], max(high, whole[-1][1]))
        else:
            whole.append((low, high))
    held = [any(holds(part, *end) for part in parts) for end in ((x, y), (to_x, to_y))]
    return whole, held[0], held[1]


def at_outline(zone: BaseGeometry, segment: list[float], share: float) -> bool:
    """Return whether a place of a segment is within a micrometre of an outline."""
    x, y, to_x, to_y = segment
    dx = to_x - x - 360 * ((to_x - x > 180) - (to_x - x < -180))
    point = shapely.Point((x + share * dx + 540) % 360 - 180, y + share * (to_y - y))
    return bool(shapely.distance(zone.boundary, point) < 1e-11)


def assert_right(zone: BaseGeometry, ends: FloatArray) -> None:
    """Compare with the reference: nothing may differ but within a micrometre of the outline."""
    for segment, actual in zip(ends.tolist(), found(zone, ends=ends), strict=True):
        exact, starts_in, ends_in = around(zone, segment)
        exact = [stretch for stretch in exact if stretch[1] - stretch[0] > 2e-12]
        expected = [(float(low), float(high)) for low, high in exact]
        flat = [share for stretch in actual for share in stretch]
        assert flat == sorted(flat)
        assert all(0 <= low < high <= 1 for low, high in actual)
        if actual:
            assert starts_in or actual[0][0] > 0
            assert ends_in or actual[-1][1] < 1
        if exact and not exact[0][0] and not at_outline(zone, segment, sum(expected[0]) / 2):
            assert actual[0][0] == 0
        if exact and exact[-1][1] == 1 and not at_outline(zone, segment, sum(expected[-1]) / 2):
            assert actual[-1][1] == 1
        # between two ticks a segment is covered or not, by both or by one of the two answers
        ticks = sorted([*flat, *(share for stretch in expected for share in stretch)])
        for low, high in pairwise(ticks):
            middle = (low + high) / 2
            mine = any(begin <= middle <= end for begin, end in actual)
            truth = any(begin <= middle <= end for begin, end in expected)
            if mine != truth and high - low > 2e-12:
                assert at_outline(zone, segment, middle)


def segments_near(zone: Zone, rng: np.random.Generator, count: int) -> FloatArray:
    """Return segments between points in and around a zone, many of them exactly on something."""
    points = points_near(zone, rng)
    points[np.abs(points) < 1e-120] = 0  # nearer than that to it, coordinates count as 0
    start, end = (points[rng.integers(0, len(points), count)] for _ in range(2))
    return np.hstack([start, end])


# -- against it ------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(zones().filter(lambda zone: zone.radius_m is None), SEEDS)
def test_stretches_are_those_of_exact_arithmetic(zone: Zone, seed: int) -> None:
    """Stars, holes, parts, slivers, poles and +-180: ends on vertices and edges are exact."""
    assert_right(zone.geometry, segments_near(zone, np.random.default_rng(seed), 12))


@st.composite
def grids(draw: st.DrawFn) -> BaseGeometry:
    """Draw a zone of boxes on a small grid, where most lines run along edges or hit corners."""
    boxes = []
    for _ in range(draw(st.integers(1, 7))):
        x, y = draw(st.integers(0, 6)), draw(st.integers(0, 6))
        boxes.append(shapely.box(x, y, x + draw(st.integers(1, 4)), y + draw(st.integers(1, 4))))
    zone = shapely.union_all(boxes)
    if draw(st.booleans()):
        x, y = draw(st.integers(0, 6)), draw(st.integers(0, 6))
        zone = zone.difference(shapely.box(x, y, x + 1, y + 1))
    return shapely.box(0, 0, 1, 1) if zone.is_empty else zone


GRID = st.integers(-1, 11)


@settings(max_examples=200, deadline=None)
@given(grids(), st.lists(st.tuples(GRID, GRID, GRID, GRID), min_size=1, max_size=15))
def test_edges_and_corners_on_the_segment_need_no_luck(
    zone: BaseGeometry, segments: list[tuple[int, int, int, int]]
) -> None:
    """On a grid, where nothing is in general position, the answers are exact."""
    ends = np.array(segments, np.float64)
    for segment, actual in zip(ends.tolist(), found(zone, ends=ends), strict=True):
        expected, _, _ = around(zone, segment)
        assert len(actual) == len(expected)
        for mine, truth in zip(actual, expected, strict=True):
            assert mine == pytest.approx([float(share) for share in truth], rel=0, abs=1e-15)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([178.0, 179.5, 180.0, -179.0]), st.floats(0.1, 3), SEEDS)
def test_the_antimeridian_is_no_border(lng: float, size: float, seed: int) -> None:
    """A star that is cut at +-180 covers what its copy at 0 degrees covers."""
    rng = np.random.default_rng(seed)
    ring = star_ring(rng, lng, 10.0, size, 15)
    try:
        zone = parse_zone(feature("star", polygon(ring))).geometry
    except InvalidZone:  # two corners at one angle
        return
    start, end = (rng.uniform([lng - 2 * size, 8], [lng + 2 * size, 12], (20, 2)) for _ in "se")
    ends = np.hstack([start, end])
    plain = found(shapely.Polygon(np.subtract(ring, [lng, 0])), ends=ends - [lng, 0, lng, 0])
    ends[:, [0, 2]] = (ends[:, [0, 2]] + 540) % 360 - 180
    for mine, truth in zip(found(zone, ends=ends), plain, strict=True):
        assert np.array(mine).ravel() == pytest.approx(np.array(truth).ravel(), abs=1e-9)


def test_many_pairs_have_shapelys_lengths() -> None:
    """Over a thousand stars the covered lengths are those of shapely's intersections."""
    rng = np.random.default_rng(5)
    shapes = [zone.geometry for zone in stars(200)]
    zone = rng.integers(0, 200, 3000)
    start = shapely.get_coordinates(shapely.centroid(np.array(shapes)[zone]))
    start += rng.normal(0, 0.003, start.shape)
    end = start + rng.normal(0, 0.005, start.shape)
    pair, entry, leave = stretches(
        outlines(*shapes),
        lng=start[:, 0],
        lat=start[:, 1],
        to_lng=end[:, 0],
        to_lat=end[:, 1],
        segment=np.arange(3000),
        zone=zone,
    )
    lines = shapely.linestrings(np.stack([start, end], axis=1))
    expected = shapely.length(shapely.intersection(lines, np.array(shapes)[zone]))
    actual = np.bincount(pair, leave - entry, 3000) * shapely.length(lines)
    assert actual == pytest.approx(expected, rel=0, abs=1e-12)


def test_a_long_outline_is_skipped_in_strides() -> None:
    """Forty thousand vertices in runs, groups and blocks, among other zones: as shapely has it."""
    rng = np.random.default_rng(6)
    angle = np.linspace(0, 2 * np.pi, 40_000)
    reach = 2 + 0.2 * np.sin(40 * angle) + rng.uniform(0, 1e-4, len(angle))
    ring = np.column_stack([5 + reach * np.cos(angle), 45 + reach * np.sin(angle)])
    ring[-1] = ring[0]
    big = shapely.Polygon(ring)
    of = outlines(shapely.box(0, 0, 1, 1), big, shapely.box(2, 0, 3, 1))
    ends = rng.uniform([2, 42, 2, 42], [8, 48, 8, 48], (40, 4))
    pair, entry, leave = stretches(
        of,
        lng=ends[:, 0],
        lat=ends[:, 1],
        to_lng=ends[:, 2],
        to_lat=ends[:, 3],
        segment=np.arange(40),
        zone=np.ones(40, np.int64),
    )
    lines = shapely.linestrings(ends.reshape(40, 2, 2))
    expected = shapely.intersection(lines, big)
    actual = np.bincount(pair, leave - entry, 40) * shapely.length(lines)
    assert len(of.block_box) > 1
    assert actual == pytest.approx(shapely.length(expected), rel=0, abs=1e-10)
    assert len(pair) == shapely.get_num_geometries(expected)[actual > 0].sum()


# -- one by one ------------------------------------------------------------------------------------

SQUARE = shapely.box(0, 0, 4, 4)


def test_a_segment_through_a_zone_has_one_stretch() -> None:
    """Entry and exit are fractions of the segment."""
    assert one(SQUARE, -4, 2, 12, 2) == [(0.25, 0.5)]


def test_a_segment_within_is_covered_whole() -> None:
    """From 0 to 1, also from edge to edge and from corner to corner."""
    assert one(SQUARE, 1, 1, 3, 2) == [(0, 1)]
    assert one(SQUARE, 0, 1, 4, 2) == [(0, 1)]
    assert one(SQUARE, 0, 0, 4, 4) == [(0, 1)]


def test_a_hole_parts_a_stretch() -> None:
    """A zone that is left and entered again gives several rows, in order."""
    ring = SQUARE.difference(shapely.box(1, 1, 3, 3))
    assert one(ring, 0, 2, 4, 2) == [(0, 0.25), (0.75, 1)]


def test_a_run_along_an_edge_is_covered() -> None:
    """Outer edges and those of holes, in either direction."""
    ring = SQUARE.difference(shapely.box(1, 1, 3, 3))
    assert one(ring, -4, 4, 12, 4) == [(0.25, 0.5)]
    assert one(ring, 8, 0, 0, 0) == [(0.5, 1)]
    assert one(ring, 0, 1, 4, 1) == [(0, 1)]


def test_a_touch_is_no_stretch() -> None:
    """A corner that is grazed, or an end that only reaches the outline, gives no row."""
    assert one(SQUARE, 3, 5, 5, 3) == []
    assert one(SQUARE, 4, 2, 8, 2) == []
    assert one(SQUARE, 4, 4, 8, 5) == []


def test_stretches_that_meet_are_one() -> None:
    """Two parts that touch in a corner or along an edge leave no gap on the way through."""
    corners = shapely.MultiPolygon([shapely.box(0, 0, 2, 2), shapely.box(2, 2, 4, 4)])
    assert one(corners, 0, 0, 4, 4) == [(0, 1)]
    dented = shapely.Polygon([(0, 0), (4, 0), (4, 4), (2, 2), (0, 4)])
    assert one(dented, 0, 2, 4, 2) == [(0, 1)]


def test_a_segment_without_length_is_in_or_out() -> None:
    """A ping that stays: (0, 1) inside and on the outline, also over +-180."""
    assert one(SQUARE, 1, 1, 1, 1) == [(0, 1)]
    assert one(SQUARE, 4, 3, 4, 3) == [(0, 1)]
    assert one(SQUARE, 0, 0, 0, 0) == [(0, 1)]
    assert one(SQUARE, 5, 3, 5, 3) == []
    assert one(shapely.box(170, 0, 180, 4), -180, 2, 180, 2) == [(0, 1)]


def test_the_short_way_goes_over_the_antimeridian() -> None:
    """Both halves of a cut zone are one stretch; the long way around is not taken."""
    halves = shapely.MultiPolygon([shapely.box(178, 0, 180, 4), shapely.box(-180, 0, -178, 4)])
    assert one(halves, 176, 2, -176, 2) == [(0.25, 0.75)]
    assert one(halves, -179, 2, 177, 2) == [(0, 0.75)]
    assert one(shapely.box(-10, 0, 10, 4), 176, 2, -176, 2) == []


def test_the_antimeridian_itself_belongs_to_both_sides() -> None:
    """A segment along 180 is covered by a zone that ends at -180."""
    assert one(shapely.box(-180, 0, -178, 4), 180, 2, 180, 6) == [(0, 0.5)]


def test_vertices_may_come_twice() -> None:
    """Edges without length change nothing."""
    twice = shapely.Polygon([(0, 0), (0, 0), (4, 0), (4, 4), (4, 4), (4, 4), (0, 4), (0, 0)])
    assert one(twice, -4, 2, 12, 2) == [(0.25, 0.5)]
    assert one(twice, 0, 0, 4, 4) == [(0, 1)]
    assert one(twice, 3, 5, 5, 3) == []


def test_no_pairs_give_no_rows() -> None:
    """Empty input is fine."""
    assert found(SQUARE, ends=np.empty((0, 4))) == []
