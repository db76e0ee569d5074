"""A seeded town: zones that overlap, and people who walk through it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import shapely

import geotarget as gt

LNG, LAT = 24.94, 60.17
EAST, NORTH = 1 / 55_600, 1 / 111_200
"""Degrees of a metre."""
START_S = 1_767_261_600
EVERY_S = 15


def town(zones: int = 300) -> gt.ZoneIndex:
    """Return zones: boxes of 100 to 400 metres, and circles."""
    random = np.random.default_rng(3)
    found = []
    for at in range(zones):
        x, y = random.normal(LNG, 900 * EAST), random.normal(LAT, 900 * NORTH)
        width, height = random.uniform(50, 200, 2) * (EAST, NORTH)
        if at % 5:
            found.append(
                gt.Zone(f"z{at}", shapely.box(x - width, y - height, x + width, y + height))
            )
        else:
            found.append(gt.Zone(f"z{at}", shapely.Point(x, y), radius_m=80.0))
    return gt.ZoneIndex.build(found)


def walkers(devices: int, pings: int) -> pa.Table:
    """Return `pings` of each device in the order of time, a few of them twice at one time."""
    random = np.random.default_rng(1)
    x, y = random.normal(LNG, 900 * EAST, devices), random.normal(LAT, 900 * NORTH, devices)
    heading, phase = random.uniform(0, 6.3, devices), random.integers(0, 15_000, devices) / 1000
    parts = []
    for step in range(pings):
        heading += random.normal(0, 0.4, devices)
        metres = EVERY_S * random.choice([0.0, 1.4], devices)
        x += np.sin(heading) * metres * EAST
        y += np.cos(heading) * metres * NORTH
        again = EVERY_S * (random.random(devices) < 0.01)
        noise = random.normal(0, 8, (2, devices))
        parts.append(
            pa.table(
                {
                    "device": [f"w{each}" for each in range(devices)],
                    "ts": START_S + step * EVERY_S + phase + again,
                    "lng": x + noise[0] * EAST,
                    "lat": y + noise[1] * NORTH,
                    "acc": random.uniform(5, 25, devices),
                    "note": [f"{step}, {each}" for each in range(devices)],
                }
            )
        )
    return pa.concat_tables(parts).sort_by("ts")
