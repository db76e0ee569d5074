"""CPU nanoseconds a point for H3 cells of arrays: our kernel against h3 called in a loop.

    python benchmarks/cells.py [--out FILE]
    python benchmarks/cells.py --smoke    a short run that only proves that it works

Points are seeded: all over the Earth, and in one town, as pings come. Medians of CPU time on one
core, checks of the input included; the loop gets lists, so that no conversion is counted against
it. Answers of both are compared on the way.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from itertools import repeat
from pathlib import Path
from typing import Any

import h3.api.basic_int as h3
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from geotarget.engine.cells import cells_at
from geotarget.engine.compiled import DESCRIPTION

SEED = 7
RESOLUTIONS = (0, 5, 7, 8, 9, 10, 11, 12, 15)
TOWN = (24.6, 60.1, 25.3, 60.4)
"""West, south, east, north."""


def points(count: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return longitudes and latitudes by the name of their spread."""
    rng = np.random.default_rng(SEED)
    west, south, east, north = TOWN
    return {
        "earth": (
            rng.uniform(-180, 180, count),
            np.degrees(np.arcsin(rng.uniform(-1, 1, count))),
        ),
        "town": (rng.uniform(west, east, count), rng.uniform(south, north, count)),
    }


def median_ns(run: Callable[[], object], count: int, repeats: int) -> float:
    """Return the median CPU time a point, nanoseconds."""
    taken = []
    for _ in range(repeats):
        started = time.process_time()
        run()
        taken.append(time.process_time() - started)
    return round(1e9 * statistics.median(taken) / count, 1)


def measure(count: int, repeats: int) -> list[dict[str, Any]]:
    """Return one row for each spread and resolution; raise if answers differ."""
    rows = []
    few = count // 20
    for spread, (lng, lat) in points(count).items():
        for resolution in RESOLUTIONS:
            y, x = lat[:few].tolist(), lng[:few].tolist()

            def loop() -> list[int]:
                return list(map(h3.latlng_to_cell, y, x, repeat(resolution)))  # noqa: B023

            def kernel() -> np.ndarray:
                return cells_at(lng=lng, lat=lat, resolution=resolution)  # noqa: B023

            if kernel()[:few].tolist() != loop():
                raise SystemExit(f"cells differ: {spread}, resolution {resolution}")
            ours, theirs = median_ns(kernel, count, repeats), median_ns(loop, few, repeats)
            rows.append(
                {
                    "points": spread,
                    "resolution": resolution,
                    "kernel_ns": ours,
                    "h3_loop_ns": theirs,
                    "times": round(theirs / ours, 1),
                }
            )
    return rows


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="short run, proves that it works")
    parser.add_argument("--out", type=Path, help="write the JSON here too")
    arguments = parser.parse_args()
    count = 10_000 if arguments.smoke else 1_000_000
    started = time.process_time()
    cells_at(lng=0.0, lat=0.0, resolution=9)
    result = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}",
        "engine": DESCRIPTION,
        "seed": SEED,
        "count": count,
        "first_call_s": round(time.process_time() - started, 2),
        "cells": measure(count, 3 if arguments.smoke else 7),
    }
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
