"""Circles by their chords, against geodesics."""

from __future__ import annotations

import numpy as np
import pytest

from geotarget.engine import ZoneIndex
from geotarget.engine.discs import (
    INSIDE,
    OUTSIDE,
    UNSURE,
    disc_and_cell,
    discs_of,
    inside_disc,
    within,
)
from geotarget.geojson import parse_zone
from geotarget.model import FloatArray
from tests.oracle import GEOD
from tests.strategies import feature

RADII = [0.5, 25.0, 500.0, 20_000.0, 1_000_000.0]


def ring_around(lng: float, lat: float, radius_m: float, share: FloatArray) -> FloatArray:
    """Return points at shares of a radius, in all directions."""
    turn = np.linspace(0, 360, len(share), endpoint=False)
    start = np.full(len(share), lng), np.full(len(share), lat)
    x, y, _ = GEOD.fwd(*start, turn, radius_m * share)
    return np.column_stack([x, y])


@pytest.mark.parametrize("radius_m", RADII)
@pytest.mark.parametrize("centre", [(24.9, 60.2), (180.0, 0.0), (-179.9, -45.0), (0.0, 89.9)])
def test_what_the_chord_says_is_what_the_geodesic_says(
    centre: tuple[float, float], radius_m: float
) -> None:
    """Sure answers are right down to the last micrometre, and few are unsure."""
    lng, lat = centre
    one = np.array([radius_m])
    disc = discs_of(lng=np.array([lng]), lat=np.array([lat]), radius_m=one)
    rng = np.random.default_rng(1)
    share = np.concatenate([rng.uniform(0, 2, 2000), 1 + rng.normal(0, 1e-9, 2000), [0.0]])
    point = ring_around(lng, lat, radius_m, share)
    said = np.array([inside_disc(disc, 0, x, y) for x, y in point.tolist()])
    gap = within(
        lng=point[:, 0],
        lat=point[:, 1],
        centre=(np.full(len(point), lng), np.full(len(point), lat)),
        radius_m=np.full(len(point), radius_m),
    )
    assert (gap[said == INSIDE] >= 0).all()
    assert (gap[said == OUTSIDE] < 0).all()
    assert (said[:2000] == UNSURE).mean() < 0.005


def test_cells_are_only_called_inside_or_apart_when_they_are() -> None:
    """Random cells around random circles: no point of a cell contradicts what was said of it."""
    rng = np.random.default_rng(2)
    said = {INSIDE: 0, OUTSIDE: 0, UNSURE: 0}
    for _ in range(3000):
        lng, lat, radius_m = rng.uniform(-180, 180), rng.uniform(-89, 89), 10 ** rng.uniform(1, 6)
        disc = discs_of(lng=np.array([lng]), lat=np.array([lat]), radius_m=np.array([radius_m]))
        side = radius_m / 1e5 * 10 ** rng.uniform(-2, 0.5)
        west = np.clip(lng + rng.normal() * radius_m / 1e5, -180, 179)
        south = np.clip(lat + rng.normal() * radius_m / 1e5, -90, 89)
        east, north = min(west + side, 180.0), min(south + side, 90.0)
        answer = disc_and_cell(disc, 0, west, south, east, north)
        said[answer] += 1
        x = np.concatenate([[west, west, east, east], rng.uniform(west, east, 30)])
        y = np.concatenate([[south, north, south, north], rng.uniform(south, north, 30)])
        centre = np.full(len(x), lng), np.full(len(x), lat)
        gap = within(lng=x, lat=y, centre=centre, radius_m=np.full(len(x), radius_m))
        if answer == INSIDE:
            assert (gap >= 0).all()
        if answer == OUTSIDE:
            assert (gap < 0).all()
    assert min(said.values()) > 100


@pytest.mark.parametrize("centre", [(24.9, 60.2), (180.0, 10.0), (13.0, 89.999)])
@pytest.mark.parametrize("radius_m", RADII[:4])
def test_an_index_of_a_circle_is_exact(centre: tuple[float, float], radius_m: float) -> None:
    """Pings a nanometre on either side of the radius fall as their geodesic says."""
    given = {"type": "Point", "coordinates": list(centre)}
    index = ZoneIndex.build([parse_zone(feature("c", given, radius_m=radius_m))])
    rng = np.random.default_rng(3)
    share = np.concatenate([rng.uniform(0, 1.5, 3000), 1 + rng.normal(0, 1e-10, 3000), [1.0] * 50])
    point = ring_around(*centre, radius_m, share)
    start = np.full(len(point), centre[0]), np.full(len(point), centre[1])
    gap = np.asarray(GEOD.inv(*start, point[:, 0], point[:, 1])[2])
    found = index.query(lng=point[:, 0], lat=point[:, 1])
    assert np.flatnonzero(gap <= radius_m).tolist() == found[0].tolist()
