"""What is called certainly valid is valid, and nearly all zones are."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geotarget.engine.shapes import Shapes
from geotarget.engine.simple import LONGEST, certainly_valid
from tests.strategies import stars

CORNERS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=3, max_size=9)


def certain(*geometry: shapely.Geometry) -> list[bool]:
    """Return the verdict on each polygon."""
    return certainly_valid(Shapes.of_polygons(np.array(geometry), str)).tolist()


@settings(max_examples=1000, deadline=None)
@given(CORNERS, st.sampled_from([1.0, 0.1, 1e-9]), st.sampled_from([0.0, 24.7]))
def test_what_touches_itself_is_never_certain(
    corners: list[tuple[int, int]], size: float, shift: float
) -> None:
    """On a grid nearly everything goes wrong that can: spikes, repeats, rings that touch."""
    polygon = shapely.Polygon(np.array(corners) * size + shift)
    valid, found = bool(shapely.is_valid(polygon)), certain(polygon)[0]
    assert valid >= found
    ring = shapely.get_coordinates(polygon)[1:]
    if (size, shift) == (1.0, 0.0) and len(np.unique(ring, axis=0)) == len(ring):
        assert valid == found


def test_usual_outlines_are_certain() -> None:
    """One short ring without holes, a vertex in the middle of a side included."""
    rings = [zone.geometry for zone in stars(200)]
    rings = [each for each in rings if each.geom_type == "Polygon" and not each.interiors]
    assert all(certain(*rings))
    assert certain(shapely.Polygon([(0, 0), (1, 0), (2, 0), (2, 2), (0, 2), (0, 1)])) == [True]


def test_all_else_is_left_to_geos() -> None:
    """Holes, parts, long rings, numbers that are none."""
    box = shapely.box(0, 0, 1, 1)
    hole = box.difference(shapely.box(0.2, 0.2, 0.4, 0.4))
    parts = shapely.union(box, shapely.box(2, 2, 3, 3))
    long = shapely.Point(0, 0).buffer(1, quad_segs=LONGEST)
    with np.errstate(invalid="ignore"):
        odd = shapely.Polygon([(0, 0), (1, 0), (1, np.nan), (0, 1)])
    assert [False] * 4 == certain(hole, parts, long, odd)


@pytest.mark.parametrize("shift", [0.0, 1e-17, -1e-17])
def test_a_corner_on_an_edge_is_told_from_one_beside(shift: float) -> None:
    """By exact signs, not by a distance."""
    corner = (0.3 + shift, 0.3)
    ring = shapely.Polygon([(0, 0), (0.9, 0.9), (0.9, 0), corner, (0.5, 0), (0, -0.1)])
    assert bool(shapely.is_valid(ring)) >= certain(ring)[0]
