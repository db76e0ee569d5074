"""What Spark adds to the engine: pings a second of a cluster of two workers, beside one process.

    python benchmarks/spark.py [--pings 5000000] [--devices 10000]

Walkers in a town, a ping every 15 s, among 1,000 zones of 30 corners, in eight Parquet files,
devices mixed. The cluster is a master and two workers of one core each on this machine, needs Java,
and writes its results nowhere. Each job runs over one file before it is timed, so processes,
kernels and the index are there. One process reads the same files with pyarrow. CPU is that of the
process, or of all processes of the workers.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from pyspark.sql import DataFrame, SparkSession

import geotarget as gt
import geotarget.spark as gs
from tests.spark.standalone import Standalone

START_S = 1_767_261_600
LNG, LAT, EVERY_S = 24.94, 60.17, 15
EAST, NORTH = 1 / 55_600, 1 / 111_200
"""Degrees of a metre."""
FILES = 8
COLUMNS = ["device", "ts", "lng", "lat", "acc"]


def record(folder: Path, pings: int, devices: int) -> None:
    """Write walks, a stretch of time in each file."""
    random = np.random.default_rng(1)
    lng, lat = LNG + random.normal(0, 0.05, devices), LAT + random.normal(0, 0.025, devices)
    heading, phase = random.uniform(0, 6.3, devices), random.integers(0, 15_000, devices) / 1000
    names = pa.array([f"{number:032x}" for number in random.permutation(devices)])
    steps = pings // devices
    for number in range(FILES):
        parts = []
        for step in range(number * steps // FILES, (number + 1) * steps // FILES):
            heading += random.normal(0, 0.4, devices)
            metres = EVERY_S * random.choice([0.0, 1.4], devices)
            lng += np.sin(heading) * metres * EAST
            lat += np.cos(heading) * metres * NORTH
            noise = random.normal(0, 8, (2, devices))
            values = [
                names,
                START_S + step * EVERY_S + phase,
                lng + noise[0] * EAST,
                lat + noise[1] * NORTH,
                np.full(devices, 12.0),
            ]
            parts.append(pa.table(dict(zip(COLUMNS, values, strict=True))))
        pq.write_table(pa.concat_tables(parts), folder / f"{number}.parquet")


def town() -> gt.ZoneIndex:
    """Return zones of some 65 by 65 metres, with 30 corners."""
    random = np.random.default_rng(3)
    turn = np.linspace(0, 2 * np.pi, 30, endpoint=False)
    ring = np.stack([33 * EAST * np.cos(turn), 33 * NORTH * np.sin(turn)], axis=1)
    places = zip(random.normal(LNG, 0.05, 1_000), random.normal(LAT, 0.025, 1_000), strict=True)
    return gt.ZoneIndex.build(
        [gt.Zone(f"z{at}", shapely.Polygon(ring + place)) for at, place in enumerate(places)]
    )


def alone(folder: Path, zones: gt.ZoneIndex) -> dict[str, Callable[[], object]]:
    """Return what one process does."""
    files = sorted(folder.glob("*.parquet"))

    def read() -> pa.Table:
        return pa.concat_tables(pq.read_table(file, use_threads=False) for file in files)

    def match() -> int:
        parts = (pq.read_table(file, use_threads=False) for file in files)
        return sum(gt.match(part, zones).num_rows for part in parts)

    return {"match": match, "detect": lambda: gt.detect_transitions(read(), zones).num_rows}


def spread(df: DataFrame, zones: gt.ZoneIndex) -> dict[str, Callable[[], object]]:
    """Return what the cluster does."""

    def run(rows: DataFrame) -> None:
        rows.write.format("noop").mode("overwrite").save()

    return {
        "read, with all columns": lambda: run(df),
        "match, all columns": lambda: run(gs.match(df, zones)),
        "match, device and ts": lambda: run(gs.match(df, zones, columns=["device", "ts"])),
        "detect": lambda: run(gs.detect(df, zones)),
    }


def timed(
    name: str, pings: int, work: Callable[[], object], cpu: Callable[[], float] = time.process_time
) -> None:
    """Measure and print one line."""
    started, used = time.perf_counter(), cpu()
    work()
    took, used = time.perf_counter() - started, cpu() - used
    rate = f"{pings / took:12,.0f} pings/s"
    print(f"{name:34} {took:6.1f} s {rate} {1e6 * used / pings:8.2f} µs of CPU a ping", flush=True)


def cpu_of(processes: Sequence[int]) -> float:
    """Return the CPU seconds of processes and all that they started."""
    found = [psutil.Process(pid) for pid in processes]
    found += [child for each in found for child in each.children(recursive=True)]
    return sum(sum(each.cpu_times()[:2]) for each in found)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pings", type=int, default=5_000_000)
    parser.add_argument("--devices", type=int, default=10_000)
    chosen = parser.parse_args()
    pings = chosen.pings // chosen.devices * chosen.devices
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "pings"
        folder.mkdir()
        record(folder, pings, chosen.devices)
        zones = town()
        gt.detect_transitions(pq.read_table(folder / "0.parquet").slice(0, 50_000), zones)
        for name, work in alone(folder, zones).items():
            timed(f"one process: {name}", pings, work)
        os.environ |= {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
        cluster = Standalone(Path(scratch), cores=1)
        try:
            cluster.start()
            spark = (
                SparkSession.builder.master(cluster.master)
                .config("spark.executor.memory", "1g")
                .config("spark.sql.shuffle.partitions", "8")
                .config("spark.ui.enabled", "false")
                .config("spark.ui.showConsoleProgress", "false")
                .getOrCreate()
            )
            for work in spread(spark.read.parquet(str(folder / "0.parquet")), zones).values():
                work()
            for name, work in spread(spark.read.parquet(str(folder)), zones).items():
                timed(f"two workers: {name}", pings, work, lambda: cpu_of(cluster.workers))
            spark.stop()
        finally:
            cluster.stop()


if __name__ == "__main__":
    main()
