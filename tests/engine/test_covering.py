"""Covers hold every point of their zones, inner cells nothing else, and no zone costs too much."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings

from geotarget.engine import cells
from geotarget.engine.covering import Covering
from geotarget.engine.shapes import Shapes
from geotarget.model import Zone
from tests.oracle import covers
from tests.strategies import SEEDS, points_near, star_ring, zones

MOST_CELLS = 400


def cover_of(*found: Zone) -> Covering:
    """Return the covering of zones."""
    return Covering.of(Shapes.of(found))


@settings(max_examples=150, deadline=None)
@given(zones(), SEEDS)
def test_a_cover_holds_its_zone_and_inner_cells_are_inside(zone: Zone, seed: int) -> None:
    """No point of a zone is outside its cover; no point of an inner cell is outside the zone."""
    covering = cover_of(zone)
    points = points_near(zone, np.random.default_rng(seed))
    truth = covers(zone, points[:, 0], points[:, 1])
    ping, _, inner = covering.lookup(lng=points[:, 0], lat=points[:, 1])
    held = np.zeros(len(points), bool)
    held[ping] = True
    assert held[truth].all()
    assert truth[ping[inner]].all()
    assert len(ping) == len(np.unique(ping))  # one cell of a zone at most


@settings(max_examples=100, deadline=None)
@given(zones())
def test_no_zone_has_too_many_cells(zone: Zone) -> None:
    """A kiosk or a continent, a sliver or a star: the number of cells is bounded."""
    assert 1 <= len(cover_of(zone).cell) <= MOST_CELLS


def test_a_detailed_coast_is_bounded_too() -> None:
    """Two hundred thousand vertices cost cells like any other outline."""
    ring = star_ring(np.random.default_rng(1), 10.0, 50.0, 5.0, 200_000)
    assert len(cover_of(Zone(id="coast", geometry=shapely.Polygon(ring))).cell) <= MOST_CELLS


def test_much_of_a_zone_is_answered_by_inner_cells() -> None:
    """Nearly half of the pings in a plain square need no exact test."""
    covering = cover_of(Zone(id="a", geometry=shapely.box(20, 50, 21, 51)))
    rng = np.random.default_rng(0)
    _, _, inner = covering.lookup(lng=rng.uniform(20, 21, 2000), lat=rng.uniform(50, 51, 2000))
    assert inner.mean() > 0.4


def test_a_zone_cut_at_the_antimeridian_has_inner_cells_there() -> None:
    """The cut is no outline: cells on it are inside."""
    halves = shapely.MultiPolygon([shapely.box(170, -5, 180, 5), shapely.box(-180, -5, -170, 5)])
    covering = cover_of(Zone(id="a", geometry=halves))
    _, _, inner = covering.lookup(lng=np.array([180.0, -180.0, 179.99]), lat=np.zeros(3))
    assert [True] * 3 == inner.tolist()


def test_the_whole_earth_is_122_inner_cells() -> None:
    """A zone without outline is covered by the base cells."""
    covering = cover_of(Zone(id="earth", geometry=shapely.box(-180, -90, 180, 90)))
    assert cells.base_cells().tolist() == covering.cell.tolist()
    assert covering.inner.all()


def test_an_edit_gives_the_same_covering_as_a_build() -> None:
    """Removing and adding entries keeps the arrays sorted and complete."""
    rng = np.random.default_rng(8)
    found = [
        Zone(id=str(i), geometry=shapely.Polygon(star_ring(rng, 24 + i / 50, 60, 0.05, 20)))
        for i in range(6)
    ]
    before = cover_of(*found[:5])
    place = np.array([0, -1, 1, 2, 3])
    after = before.changed(place, cover_of(found[5]), np.array([4]))
    wanted = cover_of(*(found[i] for i in (0, 2, 3, 4, 5)))
    for name in ("key", "start"):
        assert getattr(wanted, name).tolist() == getattr(after, name).tolist()
    entries = [sorted(zip(c.cell, c.zone, c.inner, strict=True)) for c in (wanted, after)]
    assert entries[0] == entries[1]
    assert wanted.levels == after.levels


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_cover(count: int) -> None:
    """Without zones there are no cells, and a look-up finds nothing."""
    covering = cover_of()
    ping, zone, inner = covering.lookup(lng=np.zeros(count), lat=np.zeros(count))
    assert (0, 0, 0, -1) == (len(ping), len(zone), len(inner), covering.finest)
