"""Cells in arrays against h3, and how far a cell reaches."""

from __future__ import annotations

import h3.api.basic_int as h3
import numpy as np
import pytest

from geotarget.engine import cells


def everywhere(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return points all over the Earth, many of them near pentagons, seams and poles."""
    rng = np.random.default_rng(seed)
    lng = rng.uniform(-180, 180, count)
    lat = np.degrees(np.arcsin(rng.uniform(-1, 1, count)))
    fives = np.array([h3.cell_to_latlng(cell) for cell in h3.get_pentagons(0)])
    half = count // 2
    centre = fives[rng.integers(0, len(fives), half)]
    spread = 10.0 ** rng.uniform(-6, 1, (half, 1))
    near = centre + rng.normal(0, 1, (half, 2)) * spread
    lat[:half], lng[:half] = np.clip(near[:, 0], -90, 90), near[:, 1]
    lng = np.where(np.abs(lng) > 180, (lng + 180) % 360 - 180, lng)
    lng[-40:-20], lat[-20:-10], lat[-10:] = 180.0, 90.0, -90.0
    lng[-40:-30] = -180.0
    return lng, lat


def test_cells_are_those_of_h3() -> None:
    """The cell of each point is what h3 says, in one array."""
    lng, lat = everywhere(300)
    for resolution in (0, 7, 15):
        wanted = [h3.latlng_to_cell(y, x, resolution) for x, y in zip(lng, lat, strict=True)]
        actual = cells.cells_at(lng=lng, lat=lat, resolution=resolution)
        assert wanted == actual.tolist()
        assert [resolution] * len(lng) == cells.resolutions(actual).tolist()


def test_ancestors_are_those_of_h3() -> None:
    """The bits alone give the parent that h3 gives."""
    lng, lat = everywhere(300)
    fine = cells.cells_at(lng=lng, lat=lat, resolution=12)
    for resolution in range(13):
        wanted = [h3.cell_to_parent(cell, resolution) for cell in fine.tolist()]
        assert wanted == cells.parents(fine, resolution).tolist()


@pytest.mark.parametrize("resolution", [0, 1, 4, 11])
def test_children_are_those_of_h3(resolution: int) -> None:
    """Seven children of a hexagon, six of a pentagon, each beside its parent."""
    lng, lat = everywhere(60)
    some = np.unique(cells.cells_at(lng=lng, lat=lat, resolution=resolution))
    some = np.union1d(some, np.array(h3.get_pentagons(resolution), np.uint64))
    child, parent = cells.children(some)
    wanted = {cell: sorted(h3.cell_to_children(cell)) for cell in some.tolist()}
    actual: dict[int, list[int]] = {cell: [] for cell in some.tolist()}
    for each, place in zip(child.tolist(), parent.tolist(), strict=True):
        actual[int(some[place])].append(each)
    assert wanted == {cell: sorted(family) for cell, family in actual.items()}


def test_no_cells_have_no_children() -> None:
    """An empty array stays empty."""
    child, parent = cells.children(np.zeros(0, np.uint64))
    assert (0, 0) == (len(child), len(parent))


def test_base_cells_hold_the_earth() -> None:
    """There are 122, and every point has one of them as ancestor."""
    lng, lat = everywhere(200)
    base = set(cells.base_cells().tolist())
    found = cells.parents(cells.cells_at(lng=lng, lat=lat, resolution=9), 0)
    assert 122 == len(base)
    assert set(found.tolist()) <= base


def test_no_point_lies_beyond_the_reach_of_its_ancestors() -> None:
    """Whatever descends from a cell by its bits is within `reach_rad` of the cell's centre."""
    lng, lat = everywhere(6000, seed=7)
    fine = cells.cells_at(lng=lng, lat=lat, resolution=15)
    share = 0.0
    for resolution in range(14):
        ancestors = cells.parents(fine, resolution)
        x, y = cells.centres(ancestors)
        gap = angle(lng, lat, x, y)
        share = max(share, float(gap.max() / cells.reach_rad(resolution)))
        assert share <= 1.0
    assert share > 0.9  # and the bound is not idle


def test_boxes_hold_their_caps() -> None:
    """Every point of a cap lies in its box, over the antimeridian and at the poles too."""
    rng = np.random.default_rng(4)
    lng, lat = everywhere(500, seed=5)
    reach = 10.0 ** rng.uniform(-6, -0.7, 500)
    west, south, east, north = cells.boxes(lng=lng, lat=lat, reach=reach)
    bearing = rng.uniform(0, 2 * np.pi, 500)
    y = np.radians(lat)
    sine = np.clip(np.sin(y) * np.cos(reach) + np.cos(y) * np.sin(reach) * np.cos(bearing), -1, 1)
    turn = np.arctan2(np.sin(bearing) * np.sin(reach) * np.cos(y), np.cos(reach) - np.sin(y) * sine)
    rim_lat = np.degrees(np.arcsin(sine))
    rim_lng = lng + np.degrees(turn)
    wide = (west == -180) & (east == 180)
    assert ((rim_lat >= south - 1e-9) & (rim_lat <= north + 1e-9)).all()
    assert (wide | ((rim_lng >= west - 1e-9) & (rim_lng <= east + 1e-9))).all()
    assert (wide == (np.abs(lat) + np.degrees(reach) >= 90)).all()


def angle(lng: np.ndarray, lat: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the angle between points of the sphere, radians, exact for small ones."""
    lng, lat, x, y = (np.radians(each) for each in (lng, lat, x, y))
    half = np.sin((y - lat) / 2) ** 2 + np.cos(lat) * np.cos(y) * np.sin((x - lng) / 2) ** 2
    return 2 * np.arcsin(np.sqrt(half))
