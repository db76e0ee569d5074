"""Real tracks as true paths: buses of Austin and Liverpool, straight between their fixes.

The files are not part of the project; where they are missing the scenario is left out, with this
reason in the results.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path as File

import numpy as np

from benchmarks.entries.paths import Path
from benchmarks.entries.shapes import Plane

FOLDER = File(__file__).resolve().parents[2].parent / "shared" / "data" / "pings"
FILES = ("austin_bus_2015-03-07_18.csv", "liverpool_bus_route14.csv")

_LONGEST_GAP_S = 130.0
_FASTEST_M_S = 35.0
_SHORTEST_S = 1_200.0
_LONGEST_S = 5_400


def missing() -> str:
    """Return why there are no real tracks, or nothing."""
    absent = [name for name in FILES if not (FOLDER / name).exists()]
    return f"no file {', '.join(absent)}" if absent else ""


def tracks() -> list[tuple[Plane, Path]]:
    """Return stretches without long gaps, each in a plane of its own, in a fixed order."""
    found = []
    for name in FILES:
        by_device: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
        with (FOLDER / name).open() as file:
            for row in csv.DictReader(file):
                fix = (float(row["ts"]), float(row["lon"]), float(row["lat"]))
                if fix[1:] != (0.0, 0.0):
                    by_device[row["device"]].append(fix)
        for device in sorted(by_device):
            found += _stretches(np.array(sorted(set(by_device[device]))))
    return found


def _stretches(
    fixes: np.ndarray[tuple[int, int], np.dtype[np.float64]],
) -> list[tuple[Plane, Path]]:
    """Cut fixes of one bus at gaps and at leaps; return what moves and is long enough."""
    t, lng, lat = fixes[np.concatenate([[True], np.diff(fixes[:, 0]) > 0])].T
    x, y = Plane(float(lng[0]), float(lat[0])).metres(lng, lat)
    gap, hop = np.diff(t), np.hypot(np.diff(x), np.diff(y))
    cuts = np.flatnonzero((gap > _LONGEST_GAP_S) | (hop > _FASTEST_M_S * gap)) + 1
    kept = []
    for part in np.split(np.arange(len(t)), cuts):
        if t[part[-1]] - t[part[0]] < _SHORTEST_S or np.ptp(x[part]) + np.ptp(y[part]) < 2_000:
            continue
        plane = Plane(float(lng[part].mean()), float(lat[part].mean()))
        east, north = plane.metres(lng[part], lat[part])
        clock = np.arange(min(_LONGEST_S, int(t[part[-1]] - t[part[0]])))
        since = t[part] - t[part[0]]
        kept.append((plane, Path(np.interp(clock, since, east), np.interp(clock, since, north))))
    return kept
