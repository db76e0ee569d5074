"""Seeded zones and pings that every engine is measured on: made here, so nothing is stored.

A zone is a star: each vertex lies at R times its own factor from the centre, R uniform between 100
and 500 m. Centres are uniform over a box of 60 x 60 km at 60 degrees north, pings too; with the
factors used here a ping lies in 0.0054 / 0.054 / 0.53 / 5.3 of 100 / 1,000 / 10,000 / 100,000
zones. 100,000 zones take half a second, and about 800 bytes each as shapely geometries.
"""

from __future__ import annotations

import math

import geopandas
import numpy as np
import shapely
from numpy.typing import NDArray

from geotarget.model import FloatArray, Zone

GeometryArray = NDArray[np.object_]

SEED = 7
SIDE_M = 60_000.0
CENTRE = (25.0, 60.0)
DEGREES_PER_M_LAT = 1 / 111_195
DEGREES_PER_M_LNG = DEGREES_PER_M_LAT / math.cos(math.radians(CENTRE[1]))
REACH_M = (100.0, 500.0)
FACTOR = (0.54, 1.0)
"""Range of a vertex's distance as a share of the zone's reach; it sets the hits per ping."""

ROUGHNESS = 1.2
"""Amplitudes of an outline fall with this power of the frequency, about as those of coasts do."""


def stars(
    count: int, *, vertices: int = 30, side_m: float = SIDE_M, seed: int = SEED
) -> GeometryArray:
    """Return `count` star-shaped polygons in degrees, uniform over a box of `side_m` metres."""
    random = np.random.default_rng(seed)
    centre = random.uniform(-side_m / 2, side_m / 2, (count, 2))
    reach = random.uniform(*REACH_M, (count, 1)) * random.uniform(*FACTOR, (count, vertices))
    return _polygons(centre, reach)


def coasts(count: int, *, vertices: int, side_m: float = SIDE_M, seed: int = SEED) -> GeometryArray:
    """Return `count` islands; more `vertices` draw the same islands in finer detail.

    The distance from the centre is a random sum of waves whose amplitudes fall with the frequency,
    so detail is added on every scale and hits per ping stay as they are. Vertices that were
    independent of each other would make a hairball out of 10,000 of them, not an outline.
    """
    random = np.random.default_rng(seed)
    centre = random.uniform(-side_m / 2, side_m / 2, (count, 2))
    reach = random.uniform(*REACH_M, (count, 1))
    waves = vertices // 2
    wave = np.arange(1, waves)
    profile = np.empty((count, vertices))
    for row in range(count):
        # a generator for each zone: its first waves are the same, however many there are
        phase = np.random.default_rng([seed, row]).normal(size=(waves - 1, 2))
        spectrum = np.zeros(waves + 1, np.complex128)
        spectrum[1:waves] = (phase @ [1, 1j]) * wave**-ROUGHNESS
        profile[row] = np.fft.irfft(spectrum, vertices) * vertices
    middle, spread = np.mean(FACTOR), (FACTOR[1] - FACTOR[0]) / 8
    return _polygons(centre, reach * np.clip(middle + spread * profile, 0.3, 1.3))


def none() -> GeometryArray:
    """Return no polygons."""
    return np.empty(0, np.object_)


def pings(count: int, *, side_m: float = SIDE_M, seed: int = SEED) -> tuple[FloatArray, FloatArray]:
    """Return lng and lat of pings, uniform over the box of the zones."""
    x, y = np.random.default_rng([seed, 1]).uniform(-side_m / 2, side_m / 2, (2, count))
    return CENTRE[0] + x * DEGREES_PER_M_LNG, CENTRE[1] + y * DEGREES_PER_M_LAT


def on_vertices(
    geometry: GeometryArray, count: int, *, seed: int = SEED
) -> tuple[FloatArray, FloatArray]:
    """Return pings exactly on vertices, drawn from all vertices alike."""
    xy = shapely.get_coordinates(geometry)
    drawn = xy[np.random.default_rng([seed, 2]).integers(0, len(xy), count)]
    return drawn[:, 0].copy(), drawn[:, 1].copy()


def beside_outlines(
    geometry: GeometryArray, count: int, *, aside_m: float = 0.01, seed: int = SEED
) -> tuple[FloatArray, FloatArray]:
    """Return pings `aside_m` metres left or right of edges, drawn from all edges alike."""
    random = np.random.default_rng([seed, 3])
    rings = shapely.get_rings(geometry)
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    start = random.permutation(np.flatnonzero(ring[:-1] == ring[1:]))[:count]
    start = np.resize(start, count)
    a, b = xy[start], xy[start + 1]
    metres = np.stack([np.cos(np.radians((a + b)[:, 1] / 2)), np.ones(count)], 1)
    metres = np.maximum(metres, 1e-6) / DEGREES_PER_M_LAT
    along = (b - a) * metres
    length = np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-9)[:, None]
    across = np.stack([-along[:, 1], along[:, 0]], 1) / length
    side = random.choice([-aside_m, aside_m], (count, 1))
    place = a + random.uniform(0, 1, (count, 1)) * (b - a) + side * across / metres
    return np.clip(place[:, 0], -180, 180), np.clip(place[:, 1], -90, 90)


def zones_of(geometry: GeometryArray) -> list[Zone]:
    """Return the polygons as zones of the model."""
    return [Zone(id=f"z{number}", geometry=each) for number, each in enumerate(geometry)]


def frame_of(geometry: GeometryArray) -> geopandas.GeoDataFrame:
    """Return the polygons as a GeoDataFrame in WGS 84."""
    return geopandas.GeoDataFrame(geometry=list(geometry), crs=4326)


def _polygons(centre: FloatArray, reach: FloatArray) -> GeometryArray:
    """Return polygons around centres (n, 2) with a vertex at each distance (n, m), metres."""
    angle = np.linspace(0, 2 * np.pi, reach.shape[1], endpoint=False)
    x = centre[:, :1] + reach * np.cos(angle)
    y = centre[:, 1:] + reach * np.sin(angle)
    ring = np.stack([CENTRE[0] + x * DEGREES_PER_M_LNG, CENTRE[1] + y * DEGREES_PER_M_LAT], -1)
    closed = np.concatenate([ring, ring[:, :1]], axis=1)
    return np.asarray(shapely.polygons(closed), np.object_)
