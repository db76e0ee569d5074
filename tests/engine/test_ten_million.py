"""Ten million points, every pair equal to shapely's."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from geotarget.engine import ZoneIndex
from tests.strategies import stars

MILLION = 1_000_000


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ten_million_points_have_no_wrong_pair() -> None:
    """Random points over a town of 5,000 zones, one in ten of them on a vertex."""
    zones = stars(5000, seed=77)
    index = ZoneIndex.build(zones)
    geometry = np.array([zone.geometry for zone in zones])
    tree = shapely.STRtree(geometry)
    vertices = shapely.get_coordinates(geometry)
    rng = np.random.default_rng(20)
    found = 0
    for _ in range(10):
        lng, lat = rng.uniform(23.99, 25.01, MILLION), rng.uniform(59.99, 60.51, MILLION)
        on = rng.integers(0, len(vertices), MILLION // 10)
        lng[: len(on)], lat[: len(on)] = vertices[on].T
        wanted = tree.query(shapely.points(lng, lat), predicate="covered_by")
        order = np.lexsort((wanted[1], wanted[0]))
        pairs = index.query(lng=lng, lat=lat, threads=2)
        assert np.array_equal(wanted[:, order], pairs)
        found += pairs.shape[1]
    assert found > MILLION
