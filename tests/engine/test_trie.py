"""What the trie promises whatever the zones: bounded size, bounded work for a ping."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from geotarget.engine import ZoneIndex
from geotarget.engine.covering import PADDING, Covering
from geotarget.engine.records import COVERS
from geotarget.engine.shapes import Shapes
from geotarget.model import FloatArray, Zone
from tests.oracle import covers_pairs
from tests.strategies import star_ring, stars


def hatching(strokes: int) -> FloatArray:
    """Return a ring of long strokes side by side, like a comb with very fine teeth."""
    x = np.repeat(np.linspace(24, 24.02, strokes), 2)
    y = np.tile([60.001, 60.01, 60.01, 60.001], strokes // 2 + 1)[: 2 * strokes]
    ring = np.vstack([np.column_stack([x, y]), [[24.02, 60.0], [24, 60.0]]])
    return np.vstack([ring, ring[:1]])


def most_edges(covering: Covering) -> int:
    """Return how many edges the fullest record holds."""
    records, at, most = covering.records, 4, 0
    while at < len(records) - PADDING:
        entries = records[at + 2 : at + 2 + (int(records[at + 1]) >> 6)]
        most = max(most, int((entries >> 1 & 31).sum()))
        at += 2 + len(entries) + int((entries & 63 != COVERS).sum())
    return most


HARD = {
    "a comb of long teeth": [hatching(3000)],
    "a hundred copies of one outline": [star_ring(np.random.default_rng(1), 24.5, 60.2, 0.1, 500)]
    * 100,
    "every vertex five times": [
        np.repeat(star_ring(np.random.default_rng(2), 24.5, 60.2, 0.1, 300), 5, axis=0)
    ],
    "a million times smaller than its neighbour": [
        star_ring(np.random.default_rng(3), 24.5, 60.2, 20.0, 300),
        star_ring(np.random.default_rng(4), 24.5, 60.2, 2e-5, 300),
    ],
    "fans that share their tip": [
        np.array([[24.5, 60.2], [24.5 + i / 300, 60.3], [24.5 + (i + 1) / 300, 60.3], [24.5, 60.2]])
        for i in range(300)
    ],
}


@pytest.mark.parametrize("name", HARD)
def test_hard_outlines_cost_no_more_than_they_must(name: str) -> None:
    """Size is within a few times that of the vertices, and answers are right."""
    zones = [Zone(id=str(i), geometry=shapely.Polygon(ring)) for i, ring in enumerate(HARD[name])]
    zones = [zone for zone in zones if zone.geometry.is_valid]
    assert zones
    index = ZoneIndex.build(zones)
    shapes = Shapes.of(zones)
    covering = Covering.of(shapes)
    assert covering.nbytes < 40 * shapes.xy.nbytes + 100_000
    rng = np.random.default_rng(9)
    vertices = shapes.xy[rng.integers(0, len(shapes.xy), 300)]
    west, south = shapes.xy.min(axis=0)
    east, north = shapes.xy.max(axis=0)
    points = np.concatenate(
        [
            vertices,
            vertices + rng.normal(0, 1e-6, vertices.shape),
            np.column_stack([rng.uniform(west, east, 300), rng.uniform(south, north, 300)]),
        ]
    )
    found = index.query(lng=points[:, 0], lat=points[:, 1])
    assert covers_pairs(zones, points[:, 0], points[:, 1]).tolist() == found.tolist()


def test_a_ping_looks_at_few_edges_however_long_an_outline_is() -> None:
    """No record holds more than a handful of edges of one zone, or a small share of them."""
    for corners in (100, 10_000, 100_000):
        ring = star_ring(np.random.default_rng(5), 24.5, 60.2, 0.5, corners)
        covering = Covering.of(Shapes.of([Zone(id="z", geometry=shapely.Polygon(ring))]))
        assert most_edges(covering) <= max(64, corners // 64)


def test_the_size_of_an_index_is_that_of_its_vertices() -> None:
    """1,300 bytes for a zone of 30 vertices, everything counted."""
    index = ZoneIndex.build(stars(20_000))
    assert index.stats()["bytes_per_zone"] <= 1300
