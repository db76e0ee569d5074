"""Outlines: what is measured along them, held against geodesics and plain formulas."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geotarget.engine.ellipsoid import way_m
from geotarget.engine.outlines import Outlines
from geotarget.engine.runs import BLOCK, RUN
from geotarget.model import FloatArray, Zone
from tests.columns import columns, outlines
from tests.oracle import GEOD, signed_distance_m
from tests.strategies import SEEDS, points_near, star_ring, stars, zones


def distance(of: Outlines, lng: FloatArray, lat: FloatArray) -> FloatArray:
    """Return metres to the outline of zone 0."""
    return of.distance_m(lng=lng, lat=lat, zone=np.zeros(len(lng), np.int64))


def geodesic_gap(ring: FloatArray, lng: float, lat: float) -> float:
    """Return the true distance to a ring: geodesics to many points of every edge, refined."""
    low, high = np.zeros(len(ring) - 1), np.ones(len(ring) - 1)
    for _ in range(14):
        share = np.linspace(0, 1, 9)[:, None]
        along = low + (high - low) * share
        point = ring[:-1] + (ring[1:] - ring[:-1]) * along[..., None]
        gap = GEOD.inv(
            np.full(along.shape, lng), np.full(along.shape, lat), point[..., 0], point[..., 1]
        )[2]
        best = np.argmin(gap, axis=0)
        width = (high - low) / 8
        middle = np.take_along_axis(along, best[None], axis=0)[0]
        low, high = np.maximum(middle - width, 0), np.minimum(middle + width, 1)
    return float(gap.min())


@settings(max_examples=60, deadline=None)
@given(st.floats(-70, 70), st.floats(1, 4.3), st.floats(-4, 0), SEEDS)
def test_the_distance_keeps_its_promise(lat: float, far: float, size: float, seed: int) -> None:
    """Against geodesics the error stays below D * D / 2000 km up to 70 degrees of latitude."""
    rng = np.random.default_rng(seed)
    ring = star_ring(rng, 20.0, lat, 10.0**size, int(rng.integers(3, 12)))
    start = ring[0]
    bearing = rng.uniform(0, 360)
    x, y, _ = GEOD.fwd(start[0], start[1], bearing, 10.0**far)
    if abs(y) > 70:
        y = np.sign(y) * 70
    actual = float(distance(outlines(shapely.Polygon(ring)), np.array([x]), np.array([y]))[0])
    truth = geodesic_gap(ring, float(x), float(y))
    assert actual == pytest.approx(truth, abs=truth**2 / 2e6 + 0.001)


def test_short_ways_are_measured_to_a_millionth() -> None:
    """Up to 10 km and 60 degrees of latitude the length of a way is that of the geodesic."""
    rng = np.random.default_rng(1)
    lng, lat = rng.uniform(-170, 170, 500), rng.uniform(-60, 60, 500)
    x, y, _ = GEOD.fwd(lng, lat, rng.uniform(0, 360, 500), np.full(500, 10_000.0))
    length = way_m(np.column_stack([x - lng, y - lat]), lat)
    assert length == pytest.approx(np.full(500, 10_000.0), rel=1e-6)


@settings(max_examples=80, deadline=None)
@given(zones().filter(lambda zone: zone.radius_m is None), SEEDS)
def test_the_nearest_point_is_that_of_the_reference(zone: Zone, seed: int) -> None:
    """Runs and boxes skip nothing: the plain loop over all edges finds nothing nearer."""
    of = outlines(zone.geometry)
    points = points_near(zone, np.random.default_rng(seed), 10)
    points = points[np.abs(points[:, 1]) < 80]
    actual = distance(of, points[:, 0].copy(), points[:, 1].copy())
    for (x, y), gap in zip(points.tolist(), actual.tolist(), strict=True):
        wanted = abs(signed_distance_m(zone, lng=x, lat=y))
        if wanted < 20_000:
            assert gap == pytest.approx(wanted, rel=0.02, abs=0.001)


def test_long_outlines_are_read_in_runs() -> None:
    """A thousand edges in boxes of 32 give the distance of the plain formula."""
    ring = star_ring(np.random.default_rng(3), 5.0, 45.0, 0.2, 1000)
    polygon = shapely.Polygon(ring)
    of = outlines(shapely.box(0, 0, 1, 1), polygon)
    assert -(-1000 // RUN) == of.zone_run[2] - of.zone_run[1]
    rng = np.random.default_rng(4)
    lng, lat = rng.uniform(4.7, 5.3, 200), rng.uniform(44.8, 45.2, 200)
    actual = of.distance_m(lng=lng, lat=lat, zone=np.ones(200, np.int64))
    zone = Zone(id="a", geometry=polygon)
    wanted = [abs(signed_distance_m(zone, lng=x, lat=y)) for x, y in zip(lng, lat, strict=True)]
    assert actual == pytest.approx(wanted, rel=0.003)


@pytest.mark.parametrize("before", [0, 1, 700])
def test_groups_and_blocks_of_runs_skip_nothing(before: int) -> None:
    """However an outline of 70,000 edges lies among other zones, its nearest vertex is found."""
    rng = np.random.default_rng(5)
    angle = np.linspace(0, 2 * np.pi, 70_000, endpoint=False)
    reach = 1 + 0.3 * np.sin(7 * angle) + rng.uniform(0, 1e-3, len(angle))
    ring = np.column_stack([5 + reach * np.cos(angle), reach * np.sin(angle)])
    ring = np.vstack([ring, ring[:1]])
    others = [shapely.box(x, 40, x + 0.1, 41) for x in np.linspace(-50, 50, before)]
    of = outlines(*others, shapely.Polygon(ring), shapely.box(0, 50, 1, 51))
    assert of.run_box.shape[0] > 2 * BLOCK
    lng, lat = rng.uniform(3, 7, 100), rng.uniform(-2, 2, 100)
    lng[:50], lat[:50] = ring[rng.integers(0, 70_000, 50)].T
    way = of.nearest(lng=lng, lat=lat, zone=np.full(100, before))
    gap = shapely.distance(shapely.LineString(ring), shapely.points(lng, lat))
    # the equator's plane is nearly that of the degrees: 0.7 per cent flatter
    assert np.hypot(*way.T) == pytest.approx(gap, rel=0.01, abs=1e-12)
    assert way[:50] == pytest.approx(0, abs=1e-12)


def test_vertices_may_come_twice() -> None:
    """Edges without length, several in a row and over the end of a run, change nothing."""
    once = star_ring(np.random.default_rng(8), 5.0, 45.0, 0.2, 40)
    twice = np.repeat(once, np.random.default_rng(9).integers(1, 5, len(once)), axis=0)
    lng, lat = np.random.default_rng(10).uniform([4.7, 44.7], [5.3, 45.3], (100, 2)).T
    plain, many = outlines(shapely.Polygon(once)), outlines(shapely.Polygon(twice))
    assert distance(many, lng, lat) == pytest.approx(distance(plain, lng, lat), rel=1e-12)
    assert many.area_m2 == pytest.approx(plain.area_m2, rel=1e-12)
    assert many.length_m == pytest.approx(plain.length_m, rel=1e-12)
    assert distance(many, *twice.T) == pytest.approx(np.zeros(len(twice)), abs=1e-9)


def test_a_zone_of_thirty_vertices_costs_sixty_bytes() -> None:
    """Runs and boxes are small beside the vertices, which are not copied."""
    xy, ring, part, zone = columns(*(each.geometry for each in stars(1000)))
    of = Outlines.of(xy, ring, part, zone)
    names = [field.name for field in dataclasses.fields(of) if field.name != "xy"]
    assert np.shares_memory(of.xy, xy)
    assert sum(getattr(of, name).nbytes for name in names) <= 60 * 1000


def test_outlines_can_be_written_and_read_as_arrays() -> None:
    """The fields make the same outlines again, also where they can't be written."""
    of = outlines(shapely.box(170, 0, 180, 8), shapely.box(5, 5, 6, 6))
    fields = {field.name: getattr(of, field.name).copy() for field in dataclasses.fields(of)}
    again = Outlines(**fields)
    lng, lat, zone = np.array([-179.0, 5.5]), np.array([4.0, 5.4]), np.array([0, 1])
    expected = of.nearest(lng=lng, lat=lat, zone=zone)
    assert again.nearest(lng=lng, lat=lat, zone=zone).tolist() == expected.tolist()
    with pytest.raises(ValueError, match="read-only"):
        again.run_box[0] = 0


def test_a_zone_without_rings_is_infinitely_far() -> None:
    """Circles have no outline here; no zones at all are fine as well."""
    of = outlines(shapely.Point(1, 1), shapely.box(0, 0, 1, 1), shapely.Point(1, 1))
    far = of.distance_m(lng=np.zeros(3), lat=np.zeros(3), zone=np.arange(3))
    assert far.tolist() == [np.inf, 0, np.inf]
    assert of.area_m2[[0, 2]].tolist() == of.length_m[[0, 2]].tolist() == [0, 0]
    assert len(outlines().area_m2) == 0


def test_the_way_around_the_earth_is_the_short_one() -> None:
    """A ping on one side of the antimeridian is near a zone on the other."""
    of = outlines(shapely.box(179.0, 10, 179.99, 11))
    east, west = distance(of, np.array([179.995, -179.995]), np.array([10.5, 10.5]))
    assert west == pytest.approx(3 * east, rel=1e-9)


# -- the antimeridian and the poles --------------------------------------------------------------


def edge_list(of: Outlines) -> list[tuple[float, ...]]:
    """Return the edges as sorted tuples, direction dropped."""
    points = np.concatenate([of.xy, of.extra])
    found = []
    for start, length in zip(of.run_start.tolist(), of.run_length.tolist(), strict=True):
        run = [tuple(point) for point in points[start : start + max(length, 0) + 1].tolist()]
        found += [(*min(a, b), *max(a, b)) for a, b in pairwise(run)]
    return sorted(found)


def test_a_cut_is_no_outline() -> None:
    """Two halves that face each other at +-180 have one outline around both."""
    of = outlines(
        shapely.MultiPolygon([shapely.box(170, 0, 180, 5), shapely.box(-180, 0, -170, 5)])
    )
    assert not [edge for edge in edge_list(of) if abs(edge[0]) == 180 == abs(edge[2])]
    assert 6 == len(edge_list(of))


def test_only_what_faces_nothing_remains_of_a_cut() -> None:
    """Halves of different height keep the piece that the other side does not meet."""
    of = outlines(
        shapely.MultiPolygon([shapely.box(170, 0, 180, 8), shapely.box(-180, 3, -170, 5)])
    )
    seam = [edge for edge in edge_list(of) if abs(edge[0]) == 180 == abs(edge[2])]
    assert [(180.0, 0.0, 180.0, 3.0), (180.0, 5.0, 180.0, 8.0)] == seam


def test_a_cut_of_many_pieces_keeps_what_is_open() -> None:
    """Both sides cut in uneven steps, vertices twice: lengths are those of the open parts."""
    rng = np.random.default_rng(11)
    levels = np.unique(np.r_[np.repeat(np.sort(rng.uniform(0, 9, 300)), 2), 0, 10].round(6))
    east = np.vstack([np.column_stack([np.full(len(levels), 180.0), levels]), [170, 10], [170, 0]])
    west = shapely.box(-180, 5, -170, 15)
    of = outlines(shapely.box(0, 0, 1, 1), shapely.MultiPolygon([shapely.Polygon(east), west]))
    seam = np.array([edge for edge in edge_list(of) if abs(edge[0]) == 180 == abs(edge[2])])
    assert [-180.0, 180.0] == np.unique(seam[:, 0]).tolist()
    for side, low, high in ((180.0, 0.0, 5.0), (-180.0, 10.0, 15.0)):
        piece = seam[seam[:, 0] == side]
        assert [low, high] == [piece[:, 1].min(), piece[:, 3].max()]
        assert high - low == pytest.approx((piece[:, 3] - piece[:, 1]).sum())
    gap = of.distance_m(lng=np.full(3, 180.0), lat=np.array([2.0, 7.0, 12.0]), zone=np.ones(3, int))
    assert gap[[0, 2]] == pytest.approx(0, abs=1e-6)
    assert gap[1] > 200_000


def test_a_zone_that_only_touches_the_antimeridian_keeps_its_edge() -> None:
    """An edge on 180 with nothing on the other side is an outline."""
    assert (180.0, 0.0, 180.0, 5.0) in edge_list(outlines(shapely.box(170, 0, 180, 5)))


def test_a_cap_has_one_edge_and_no_pole() -> None:
    """A zone around a pole is bounded by its parallel alone."""
    of = outlines(shapely.box(-180, 80, 180, 90))
    assert [(-180.0, 80.0, 180.0, 80.0)] == edge_list(of)


# -- areas ---------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(st.floats(-180, 180), st.floats(-80, 80), st.floats(-4, -2), SEEDS)
def test_small_areas_and_lengths_are_geodesic(
    lng: float, lat: float, size: float, seed: int
) -> None:
    """For edges so short that straight and geodesic are one, area and length are pyproj's."""
    rng = np.random.default_rng(seed)
    shell = star_ring(rng, min(max(lng, -179), 179), lat, 10.0**size, 30)
    hole = (shell - shell.mean(axis=0)) * 0.3 + shell.mean(axis=0)
    polygon = shapely.Polygon(shell, [hole])
    of = outlines(polygon)
    areas = [abs(GEOD.polygon_area_perimeter(*ring.T)[0]) for ring in (shell, hole)]
    lengths = [GEOD.polygon_area_perimeter(*ring.T)[1] for ring in (shell, hole)]
    assert of.area_m2[0] == pytest.approx(areas[0] - areas[1], rel=2e-4)
    assert of.length_m[0] == pytest.approx(sum(lengths), rel=2e-4)


def test_bands_have_the_area_between_their_parallels() -> None:
    """Edges follow parallels, as RFC 7946 has them, not geodesics."""
    tropics, cap = outlines(
        shapely.box(-180, -23.5, 180, 23.5), shapely.box(-180, 60, 180, 90)
    ).area_m2
    earth = 510_065_621_724_088.4
    dense = np.linspace(-180, 180, 7201)
    ring = np.concatenate([np.column_stack([dense, np.full(7201, 60.0)]), [[180, 90], [-180, 90]]])
    assert cap == pytest.approx(abs(GEOD.polygon_area_perimeter(*ring.T)[0]), rel=1e-6)
    assert tropics + 2 * outlines(shapely.box(-180, 23.5, 180, 90)).area_m2[0] == pytest.approx(
        earth, rel=1e-12
    )


def test_parts_count_together() -> None:
    """A multipolygon's area and length are those of its parts."""
    parts = [shapely.box(0, 0, 1, 1), shapely.box(2, 0, 3, 1)]
    whole, one, two = (outlines(each) for each in (shapely.MultiPolygon(parts), *parts))
    assert whole.area_m2[0] == pytest.approx(one.area_m2[0] + two.area_m2[0], rel=1e-12)
    assert whole.length_m[0] == pytest.approx(one.length_m[0] + two.length_m[0], rel=1e-12)
