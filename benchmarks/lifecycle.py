"""What is measured of an index around its queries: build, size, edits, save, load, start.

A start is that of a process of its own, timed from outside: interpreter, imports, an index of one
zone, one answer. Cold, the folder of compiled kernels is empty; warm, it is that of a cold start.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import zone_sets
from benchmarks.rounds import rounded, seconds
from benchmarks.series import Scale
from geotarget import ZoneIndex
from geotarget.model import Zone

REPOSITORY = Path(__file__).resolve().parents[1]
FIRST_ANSWER = """
import sys
sys.modules["scipy"] = None  # numba reads it where it is, and pip brings it to none of our users
from shapely import box
from geotarget import Zone, ZoneIndex
index = ZoneIndex.build([Zone(id="square", geometry=box(0, 0, 0.01, 0.01))])
print(index.query(lng=[0.005], lat=[0.005]).tolist())
"""


def builds(scale: Scale) -> dict[str, Any]:
    """Measure making an index of stars, from zones and from a GeoDataFrame, and its size."""
    rows = []
    for count in scale.builds:
        geometry = zone_sets.stars(count)
        zones, frame = zone_sets.zones_of(geometry), zone_sets.frame_of(geometry)
        ZoneIndex.build(zones[:1])
        rounds = max(1, scale.rounds - 2)
        of_zones = seconds(partial(ZoneIndex.build, zones), rounds=rounds)
        of_frame = seconds(partial(ZoneIndex.from_geopandas, frame), rounds=rounds)
        index = ZoneIndex.build(zones)
        rows.append(
            {
                "zones": count,
                "from_zones": of_zones,
                "from_geopandas": of_frame,
                "bytes_a_zone": rounded(index.stats()["bytes"] / count),
            }
        )
    return {"rows": rows}


def edits(scale: Scale) -> dict[str, Any]:
    """Measure one edit after the other of a large index: a zone moves, readers see it at once."""
    count = scale.builds[-1]
    zones = zone_sets.zones_of(zone_sets.stars(count))
    moved = zone_sets.stars(scale.edits, seed=zone_sets.SEED + 1)
    index = ZoneIndex.build(zones)
    taken = []
    for number, geometry in enumerate(moved):
        place = number * (count // scale.edits)
        cpu, wall = time.process_time(), time.perf_counter()
        index = index.with_changes(put=[Zone(id=f"z{place}", geometry=geometry)])
        taken.append((time.process_time() - cpu, time.perf_counter() - wall))
        inside = geometry.representative_point()
        seen = index.query(lng=[inside.x], lat=[inside.y])[1]
        if place not in seen:
            raise SystemExit(f"edit {number} of zone {place} is not seen")
    cpu_s, wall_s = zip(*taken, strict=True)
    return {
        "zones": count,
        "edits": scale.edits,
        "cpu_ms": rounded(statistics.median(cpu_s) * 1e3),
        "worst_cpu_ms": rounded(max(cpu_s) * 1e3),
        "wall_ms": rounded(statistics.median(wall_s) * 1e3),
        "worst_wall_ms": rounded(max(wall_s) * 1e3),
    }


def saved(scale: Scale) -> dict[str, Any]:
    """Measure saving and loading a large index; the loaded one must answer alike."""
    count = scale.builds[-1]
    index = ZoneIndex.build(zone_sets.zones_of(zone_sets.stars(count)))
    lng, lat = zone_sets.pings(scale.checked)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "zones.index"
        save = seconds(lambda: index.save(path), rounds=scale.rounds)
        load = seconds(lambda: ZoneIndex.load(path), rounds=scale.rounds)
        loaded = ZoneIndex.load(path)
        first = seconds(lambda: loaded.query(lng=lng, lat=lat), rounds=1)
        same = np.array_equal(loaded.query(lng=lng, lat=lat), index.query(lng=lng, lat=lat))
        size = sum(each.stat().st_size for each in (path, *path.rglob("*")) if each.is_file())
    return {
        "zones": count,
        "save": save,
        "load": load,
        "first_batch": {"pings": scale.checked, **first},
        "file_bytes": size,
        "same_answers": bool(same),
    }


def starts(scale: Scale) -> dict[str, Any]:
    """Measure processes of their own up to the first answer, kernels compiled and kept."""
    cold, warm = [], []
    for _ in range(scale.starts):
        with tempfile.TemporaryDirectory() as folder:
            cold.append(_start(folder))
            warm += [_start(folder) for _ in range(max(1, scale.starts - 1))]
    return {
        "cold": _medians(cold, "cpu_s", "wall_s"),
        "warm": _medians(warm, "cpu_s", "wall_s"),
        "message": cold[0]["message"],
    }


def _start(kernels: str) -> dict[str, Any]:
    """Run a process up to its first answer; return its seconds and what it said on the way."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": kernels}
    before, started = os.times(), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", FIRST_ANSWER],
        env=environment,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    wall, after = time.perf_counter() - started, os.times()
    if done.stdout.strip() != "[[0], [0]]":
        raise SystemExit(f"the first answer is wrong: {done.stdout}")
    cpu = sum(after[2:4]) - sum(before[2:4])
    return {"wall_s": wall, "cpu_s": cpu, "message": done.stderr.strip()}


def _medians(taken: list[dict[str, Any]], *names: str) -> dict[str, Any]:
    kept: dict[str, Any] = {"starts": len(taken)}
    return kept | {name: rounded(statistics.median(each[name] for each in taken)) for name in names}


PARTS: dict[str, Callable[[Scale], dict[str, Any]]] = {
    "build": builds,
    "edit": edits,
    "saved": saved,
    "start": starts,
}
