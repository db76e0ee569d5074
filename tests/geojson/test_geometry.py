"""Geometries: structure, ranges, rings, limits, validity."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import shapely

from geotarget.errors import InvalidZone
from geotarget.geojson import GeometryLimits, parse_geometry, parse_zone
from tests.strategies import feature, star_ring

RING = [[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]


def polygon(*rings: Any) -> dict[str, Any]:
    """Return a GeoJSON Polygon."""
    return {"type": "Polygon", "coordinates": list(rings)}


def refusal(geometry: Any, *, limits: GeometryLimits | None = None, **properties: Any) -> str:
    """Return why a geometry is refused."""
    with pytest.raises(InvalidZone) as caught:
        parse_zone(feature("a", geometry, **properties), limits=limits or GeometryLimits())
    return str(caught.value)


@pytest.mark.parametrize(
    ("geometry", "message"),
    [
        ("here", "$.geometry: must be an object ('here')"),
        ({}, "$.geometry.type: must be one of Polygon, MultiPolygon, or Point"),
        ({"type": "polygon"}, "$.geometry.type: must be one of"),
        ({"type": ["Polygon"]}, "$.geometry.type: must be one of"),
        (polygon(), "$.geometry.coordinates: must be an array of rings, not empty"),
        (polygon([]), "$.geometry.coordinates[0]: a ring has at least four positions"),
        (polygon("ring"), "$.geometry.coordinates[0]: a ring must be an array of positions"),
        (polygon({"a": 1}), "$.geometry.coordinates[0]: a ring must be an array of positions"),
        ({"type": "Polygon", "coordinates": None}, "coordinates: must be an array of rings"),
        ({"type": "Polygon", "coordinates": RING}, "a pair of brackets is missing"),
        ({"type": "MultiPolygon", "coordinates": [RING]}, "a pair of brackets is missing"),
        ({"type": "MultiPolygon", "coordinates": []}, "must hold at least one polygon"),
        ({"type": "MultiPolygon", "coordinates": 3}, "must be an array of polygons (3)"),
        (polygon(RING[:3]), "coordinates[0]: a ring has at least four positions, the last equal"),
        (polygon(RING[:4]), "[0]: its last position must equal its first ([0.0, 0.0] and [0.0, 1."),
        (polygon([*RING[:4], [0, 0, 5]]), "[0]: its last position must equal its first"),
        (polygon([[0, 0], [1, 0], ["1", 1], [0, 0]]), "[0][2]: a position holds numbers only, not"),
        (polygon([[0, 0], [1, 0], [True, 1], [0, 0]]), "[0][2]: a position holds numbers only, no"),
        (polygon([[0, 0], [1, 0], [None, 1], [0, 0]]), "[0][2]: a position holds numbers only, no"),
        (polygon([[0, 0], [1, 0], 7, [0, 0]]), "[0][2]: a position must be an array [longitude"),
        (polygon([[0, 0], [1], [1, 1], [0, 0]]), "[0][1]: a position has two or three numbers"),
        (polygon([[0, 0], [1, 0, 0, 0], [1, 1], [0, 0]]), "[0][1]: a position has two or three"),
        (polygon([[0, 0], [1, 0], [1, float("nan")], [0, 0]]), "[0][2][1]: latitude must be a fin"),
        (polygon([[0, 0], [float("inf"), 0], [1, 1], [0, 0]]), "[0][1][0]: longitude must be a"),
        (
            polygon([[0, 0], [10**400, 0], [1, 1], [0, 0]]),
            "[0][1]: a position holds finite numbers",
        ),
        (polygon([[0, 0], [361, 0], [1, 1], [0, 0]]), "[0][1][0]: longitude must be a finite numb"),
        (
            polygon([[0, 0, 1], [1, 0, float("nan")], [1, 1, 1], [0, 0, 1]]),
            "[0][1]: a position holds finite numbers",
        ),
    ],
)
def test_broken_structures_are_refused_with_their_path(geometry: Any, message: str) -> None:
    """The message names the place, what stands there and what should."""
    assert message in refusal(geometry)


def test_swapped_coordinates_are_told_the_order() -> None:
    """A latitude beyond 90 is most often a longitude: the message says which comes first."""
    swapped = [[y, x + 100] for x, y in RING]
    message = refusal(polygon(swapped))
    assert "$.geometry.coordinates[0][0][1]: latitude must be a finite number within -90" in message
    assert "a position is [longitude, latitude], in this order (100.0)" in message
    assert "2 more latitudes are out of range" in message


@pytest.mark.parametrize(
    ("rings", "message"),
    [
        ([[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]], "self-intersection (at longitude 0.5, lat"),
        ([[[0, 0], [1, 0], [2, 0], [0, 0]]], "is not a valid outline"),
        ([[[0, 0], [0, 0], [0, 0], [0, 0]]], "encloses no area"),
        ([[[0, 0], [1, 1], [0, 0], [0, 0]]], "encloses no area"),
        ([RING, [[2, 2], [3, 2], [3, 3], [2, 2]]], "hole lies outside shell"),
        ([RING, [[0.5, 0.5], [2, 0.5], [0.5, 0.7], [0.5, 0.5]]], "self-intersection"),
        ([RING, [[0.1, 0.1], [0.9, 0.1], [0.5, 0.9], [0.1, 0.1]],
          [[0.4, 0.3], [0.6, 0.3], [0.5, 0.5], [0.4, 0.3]]], "holes are nested"),
        ([[[0, 0], [2, 0], [1, 1], [2, 2], [0, 2], [1, 1], [0, 0]]], "self-intersection"),
    ],
    ids=["bow", "line", "point", "spike", "hole outside", "hole across", "nested", "ring touch"],
)  # fmt: skip
def test_invalid_outlines_are_refused_with_kind_and_place(rings: Any, message: str) -> None:
    """Crossing, flat and misplaced rings: the fault and where it is, and nothing is repaired."""
    assert message in refusal(polygon(*rings))


def test_parts_may_not_overlap() -> None:
    """A multipolygon whose parts overlap has no clear boundary."""
    parts = [[RING], [[[x + 0.5, y + 0.5] for x, y in RING]]]
    message = refusal({"type": "MultiPolygon", "coordinates": parts})
    assert "$.geometry.coordinates: is not a valid outline: self-intersection" in message


def test_every_problem_of_a_feature_is_told() -> None:
    """Several things that are wrong are reported at once, but not thousands."""
    parts = [[RING[:3]], [[[0, 99], *RING[1:]]], [["x", *RING[1:]]]]
    with pytest.raises(InvalidZone) as caught:
        parse_zone(feature("", {"type": "MultiPolygon", "coordinates": parts}, entry="now"))
    assert [
        "$.id",
        "$.geometry.coordinates[2][0][0]",
        "$.geometry.coordinates[0][0]",
        "$.geometry.coordinates[1][0][0][1]",
        "$.properties.entry",
    ] == [problem.path for problem in caught.value.problems]
    wrong = [["x"]] * 1000
    with pytest.raises(InvalidZone) as caught:
        parse_zone(feature("a", {"type": "MultiPolygon", "coordinates": wrong}))
    assert 21 == len(caught.value.problems)
    assert "980 more problems" in str(caught.value.problems[-1])


@pytest.mark.parametrize(
    "ring",
    [
        RING,
        RING[::-1],
        [[0, 0], [0, 0], [1, 0], [1, 0], [1, 1], [0, 0], [0, 0]],
        [[x, y, 7.5] for x, y in RING],
        [[0, 0, 1], [1, 0], [1, 1], [0, 0, 1]],
        [(x, y) for x, y in RING],
        [[np.float64(x), np.float64(y)] for x, y in RING],
    ],
    ids=["plain", "clockwise", "repeated", "altitude", "mixed", "tuples", "numpy"],
)
def test_what_rfc_7946_allows_is_accepted(ring: Any) -> None:
    """Either direction, repeated vertices, altitudes (dropped)."""
    zone = parse_zone(feature("a", polygon(ring)))
    assert shapely.Polygon([point[:2] for point in ring]) == zone.geometry
    assert not zone.geometry.has_z


def test_types_are_kept() -> None:
    """A multipolygon of one part stays one."""
    zone = parse_zone(feature("a", {"type": "MultiPolygon", "coordinates": [[RING]]}))
    assert "MultiPolygon" == zone.geometry.geom_type


def test_circles_are_points_with_a_radius() -> None:
    """Centre and radius are kept as they are."""
    zone = parse_zone(feature("a", {"type": "Point", "coordinates": [24.9, 60.1, 3]}, radius_m=25))
    assert (24.9, 60.1, 25.0) == (zone.geometry.x, zone.geometry.y, zone.radius_m)
    assert isinstance(zone.radius_m, float)


@pytest.mark.parametrize("radius", [None, 0, -5, 100_001, True, "50", float("nan"), [1]])
def test_a_circle_needs_a_sensible_radius(radius: Any) -> None:
    """Missing, not a number, not positive or too large: the bound is named."""
    point = {"type": "Point", "coordinates": [24.9, 60.1]}
    message = refusal(point, radius_m=radius)
    assert "$.properties.radius_m: a Point needs a radius above 0 and at most 100000 m" in message


def test_a_centre_is_on_earth() -> None:
    """A circle's centre is within +-180 and +-90."""
    message = refusal({"type": "Point", "coordinates": [181, 91]}, radius_m=5)
    assert "$.geometry.coordinates[0]: longitude must be a finite number within -180" in message
    assert "$.geometry.coordinates[1]: latitude must be a finite number within -90" in message


def test_vertices_and_rings_are_bounded() -> None:
    """Counts are checked before anything is done with them."""
    few = GeometryLimits(max_vertices=8, max_rings=2)
    assert "9 vertices" not in refusal(polygon(RING, RING, RING[:4]), limits=few)
    assert "a zone may have 2 rings at most (3 rings)" in refusal(
        polygon(RING, RING, RING), limits=few
    )
    assert "a zone may have 8 vertices at most (10 vertices)" in refusal(
        polygon(RING, RING), limits=few
    )


def zigzag(edges: int) -> list[list[float]]:
    """Return a valid ring of which every edge overlaps the extent of every other."""
    step = np.arange(edges // 2) / edges
    base = np.column_stack([step, -step])
    teeth = np.stack([base, base + 0.5], axis=1).reshape(-1, 2)
    return [*teeth.tolist(), [1.5, -0.6], [0.6, -1.5], [-0.1, -1.5], [-0.2, -0.1], [0.0, 0.0]]


def slivers(count: int) -> list[list[list[float]]]:
    """Return many long thin holes side by side, on a slant."""
    rings = [[[-9.0, -9.0], [9.0, -9.0], [9.0, 9.0], [-9.0, 9.0], [-9.0, -9.0]]]
    rising = np.linspace(-3, 0, 12)
    for number in range(count):
        x = rising + 3 * number / count
        up = np.column_stack([x, rising])
        ring = np.vstack([up, np.add(up[::-1], [1 / count, 0.0]), up[:1]])
        rings.append(ring.tolist())
    return rings


@pytest.mark.parametrize("rings", [[zigzag(60_000)], slivers(4_000)], ids=["teeth", "slivers"])
def test_outlines_that_take_minutes_to_check_are_refused(rings: Any) -> None:
    """GEOS would need billions of steps; the estimate refuses them before it starts."""
    start = time.process_time()
    assert "too entangled to be checked" in refusal(polygon(*rings))
    assert time.process_time() - start < 3.0


def test_detailed_outlines_pass() -> None:
    """A ragged coast of 200,000 vertices is accepted, in seconds."""
    ring = star_ring(np.random.default_rng(2), 10.0, 50.0, 2.0, 1_000)
    fine = np.column_stack(
        [np.interp(np.linspace(0, 1, 199_999), np.linspace(0, 1, 1_001), axis) for axis in ring.T]
    )
    fine[1:-1] += np.random.default_rng(3).normal(0, 1e-7, fine[1:-1].shape)
    start = time.process_time()
    zone = parse_zone(feature("a", polygon(fine.tolist())))
    assert 199_999 == shapely.get_num_coordinates(zone.geometry)
    assert time.process_time() - start < 8.0


@pytest.mark.parametrize(
    ("geometry", "message"),
    [
        (None, "row.geometry: a zone is a Polygon"),
        (shapely.Polygon(), "not empty (Polygon)"),
        (shapely.Point(), "not empty (Point)"),
        (shapely.LineString([(0, 0), (1, 1)]), "not empty (LineString)"),
        (shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)]), "row.geometry[0]: is not a valid"),
        (shapely.box(0, 0, 1, 91), "row.geometry[0][0][1][1]: latitude must be a finite number"),
        (shapely.Point(0, 0), "row.properties.radius_m: a Point needs a radius"),
    ],
)
def test_shapely_geometries_pass_the_same_checks(geometry: Any, message: str) -> None:
    """A geometry that never was JSON is judged by the same rules."""
    with pytest.raises(InvalidZone) as caught:
        parse_geometry(geometry, {}, id="a", path="row")
    assert message in str(caught.value)


def test_shapely_geometries_are_bounded_and_cut() -> None:
    """Limits hold, and what crosses the antimeridian is cut."""
    with pytest.raises(InvalidZone, match="4 vertices and 5000 rings"):
        parse_geometry(shapely.box(0, 0, 1, 1), {}, id="a", limits=GeometryLimits(max_vertices=4))
    zone = parse_geometry(shapely.box(179, 0, 181, 1), {}, id="a")
    assert 2 == len(shapely.get_parts(zone.geometry))
