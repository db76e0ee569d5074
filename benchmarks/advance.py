"""CPU of the entry rules, on top of the match: batches of 5,000 pings of 5,000 devices.

Seven in ten devices are at rest, two walk, one drives; a ping every ten seconds with 5 m of noise.
More zones mean more of everything that costs: pairs to measure, ways that are cut, transitions.
CPU of the process, kernels warm, medians over the batches.

    python benchmarks/advance.py
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import shapely

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from geotarget.engine.live_state import LiveState
from geotarget.engine.rules import Rules
from geotarget.engine.transitions import advance
from geotarget.engine.zone_index import ZoneIndex
from geotarget.engine.zone_table import ZoneTable
from geotarget.model import PingBatch, Zone

DEVICES, BATCHES, SEED = 5_000, 40, 20_261_122
WEST, SOUTH, WIDTH, HEIGHT = 24.7, 60.1, 0.5, 0.25
METRES_EAST, METRES_NORTH = 55_600.0, 111_200.0


def zones(count: int, random: np.random.Generator) -> list[Zone]:
    """Return convex zones of 30 to 230 m radius, anywhere in the city."""
    found = []
    for number in range(count):
        angle = np.sort(2 * np.pi * random.random(12))
        radius = 30 + 200 * random.random()
        x = WEST + WIDTH * random.random() + radius / METRES_EAST * np.cos(angle)
        y = SOUTH + HEIGHT * random.random() + radius / METRES_NORTH * np.sin(angle)
        outline = shapely.Polygon(np.column_stack([x, y])).convex_hull
        found.append(Zone(id=f"zone-{number}", geometry=outline, key=number + 1))
    return found


def batches(random: np.random.Generator) -> Iterator[PingBatch]:
    """Yield one ping of every device, ten seconds apart."""
    devices = [f"phone-{number:06d}" for number in range(DEVICES)]
    x = WEST + WIDTH * random.random(DEVICES)
    y = SOUTH + HEIGHT * random.random(DEVICES)
    speed = random.choice([0.0, 1.3, 12.0], DEVICES, p=[0.7, 0.2, 0.1])
    angle = 2 * np.pi * random.random(DEVICES)
    for turn in range(BATCHES):
        ts = 1_800_000_000_000 + 10_000 * turn + random.integers(0, 9_000, DEVICES)
        east, north = random.normal(0.0, 5.0, (2, DEVICES))
        way = 10 * turn * speed
        yield PingBatch(
            device=devices,
            ts=ts,
            lng=x + (way * np.cos(angle) + east) / METRES_EAST,
            lat=y + (way * np.sin(angle) + north) / METRES_NORTH,
            acc=np.full(DEVICES, 8.0),
            key=random.integers(1, 2**62, DEVICES).astype(np.uint64),
            received=ts,
        )


def measure(count: int) -> tuple[float, float, float]:
    """Return CPU microseconds a ping for match and rules, and transitions a ping."""
    random = np.random.default_rng(SEED)
    index = ZoneIndex.build(zones(count, random))
    table, rules, state = ZoneTable.compile(index, lambda _: (300,)), Rules(), LiveState()
    match, ruled, moved = [], [], 0
    for batch in batches(random):
        started = time.process_time()
        pairs = index.query(lng=batch.lng, lat=batch.lat)
        matched = time.process_time()
        step = advance(state, batch, pairs, table, rules)
        step.apply(state)
        match.append(matched - started)
        ruled.append(time.process_time() - matched)
        moved += len(step.transitions)
    per_ping = 1e6 / DEVICES
    return (
        float(np.median(match[5:])) * per_ping,
        float(np.median(ruled[5:])) * per_ping,
        moved / (DEVICES * BATCHES),
    )


def main() -> None:
    """Print a line for each number of zones."""
    for count in (1_000, 3_000, 10_000):
        match, ruled, moved = measure(count)
        print(
            f"{count:6,} zones: match {match:.2f} us a ping, rules {ruled:.2f} us on top, "
            f"{100 * moved:.1f} transitions in 100 pings"
        )


if __name__ == "__main__":
    main()
