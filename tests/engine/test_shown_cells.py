"""Cells of shapes that are hard to count: the whole world, next to nothing, over a pole."""

from __future__ import annotations

import time

import numpy as np
import pytest
import shapely

from geotarget.engine.shown import MOST, SHOWN, about, cells_of, size_of
from geotarget.errors import InvalidInput
from tests.oracle import GEOD

WORLD = shapely.box(-180, -90, 180, 90)
OVER_A_POLE = shapely.box(0, 80, 180, 90)
SLIVER = shapely.Polygon([(25, 60), (26, 60), (26, 60.000000000000007)])


def test_the_world_has_all_cells() -> None:
    """Also where the library alone would take it for its own opposite."""
    assert 122 == len(cells_of(WORLD, None, 0))
    assert 842 == len(cells_of(WORLD, None, 1))


def test_halves_of_a_wide_shape_are_its_cells() -> None:
    """A shape that is cut into windows touches what its halves touch."""
    west, east = shapely.box(0, 80, 90, 90), shapely.box(90, 80, 180, 90)
    both = np.union1d(cells_of(west, None, 4), cells_of(east, None, 4))
    assert both.tolist() == cells_of(OVER_A_POLE, None, 4).tolist()


@pytest.mark.parametrize("shape", [WORLD, OVER_A_POLE, shapely.box(-179, 0, 179, 1e-9)])
def test_too_many_are_refused_before_they_are_counted(shape: shapely.Polygon) -> None:
    """By area or by the length of the outline, at no cost: geodesics knew neither."""
    began = time.process_time()
    with pytest.raises(InvalidInput, match="more than 1,000,000 cells"):
        cells_of(shape, None, 12)
    assert time.process_time() - began < 1.0


def test_a_sliver_makes_a_picture_too() -> None:
    """It has no area to choose a resolution by: its length does."""
    assert 0 < len(cells_of(SLIVER, None, None)) <= 20 * SHOWN


@pytest.mark.parametrize("lat", [0.0, 45.0, 60.0, -80.0])
def test_size_is_that_of_the_ellipsoid(lat: float) -> None:
    """Within a percent, where the edges are short enough for geodesics to be the same."""
    shape = shapely.box(24.9, lat, 25.0, lat + 0.1)
    area, length = GEOD.geometry_area_perimeter(shape)
    assert size_of(shape, None) == pytest.approx((abs(area), length), rel=0.01)
    assert size_of(shapely.Point(0, lat), 100.0) == pytest.approx((31_416, 628.3), rel=0.001)


@pytest.mark.parametrize("resolution", [6, 8, 9])
def test_the_estimate_is_near(resolution: int) -> None:
    """Near for a compact shape; a thin one counts twice, for its two sides touch the same cells."""
    for shape in (shapely.box(24, 60, 25, 60.5), shapely.box(24, 60, 26, 60.0001)):
        cells = len(cells_of(shape, None, resolution))
        assert cells / 2 < about(*size_of(shape, None), resolution) < 3 * cells + 20
    assert about(5.1e14, 0, 15) > MOST
