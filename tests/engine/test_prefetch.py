"""Fetching ahead is a hint: it changes no answer, whatever it is asked for."""

from __future__ import annotations

import numpy as np
import pytest

from geotarget.engine import ZoneIndex
from geotarget.engine.compiled import njit
from geotarget.engine.prefetch import prefetch
from geotarget.model import FloatArray, Zone
from tests.oracle import covers_pairs
from tests.strategies import stars


@njit(cache=False)
def total(values: FloatArray, ahead: int) -> float:
    """Add numbers and fetch far ahead of them."""
    found = 0.0
    for i in range(len(values)):
        prefetch(values, i + ahead)
        found += values[i]
    return found


@pytest.mark.parametrize("ahead", [0, 16, -(10**12), 10**12])
def test_an_address_that_does_not_exist_is_no_error(ahead: int) -> None:
    """The processor drops what it can't fetch."""
    assert 10.0 == total(np.arange(5.0), ahead)


def test_more_entries_than_a_block_has_room_for() -> None:
    """Forty zones over nearly every ping: lists grow, and some hang from cells above."""
    once = stars(40)
    zones = [
        Zone(id=f"{turn}-{zone.id}", geometry=zone.geometry) for turn in range(40) for zone in once
    ]
    index = ZoneIndex.build(zones)
    rng = np.random.default_rng(3)
    spot = np.array([zone.geometry.representative_point().coords[0] for zone in once])
    points = spot[rng.integers(0, 40, 700)] + rng.normal(0, 1e-4, (700, 2))
    found = index.query(lng=points[:, 0], lat=points[:, 1])
    assert covers_pairs(zones, points[:, 0], points[:, 1]).tolist() == found.tolist()
    assert found.shape[1] > 20 * len(points)
