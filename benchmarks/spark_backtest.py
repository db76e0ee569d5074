"""A campaign backtest on Spark beside `geotarget backtest`: pings a second of the same input.

    python benchmarks/spark_backtest.py [--pings 300000] [--devices 3000] [--cores 2]

Walkers, zones and campaigns are those of `benchmarks/backtest.py`, without budgets; pings lie in
one Parquet file. Spark runs on this machine (``local[N]``, needs Java), its answers are written to
Parquet, and a first run over a few pings is not counted. Both tell how many decisions they made.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import psutil
import pyarrow.csv
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

import geotarget as gt
import geotarget.spark as gs
from benchmarks.backtest import drafts, record
from geotarget.backtest import backtest
from geotarget.logs import configure_logging
from geotarget.recording import Recording


def cpu() -> float:
    """Return the CPU seconds of this process and all that it started."""
    me = psutil.Process()
    return sum(sum(each.cpu_times()[:2]) for each in [me, *me.children(recursive=True)])


def told(name: str, pings: int, decisions: int, wall: float, used: float) -> None:
    """Print one line."""
    rate = f"{pings / wall:9,.0f} pings/s, {1e6 * used / pings:5.1f} µs of CPU a ping"
    print(f"{name:18} {wall:6.1f} s {rate}, {decisions:,} decisions", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pings", type=int, default=300_000)
    parser.add_argument("--devices", type=int, default=3_000)
    parser.add_argument("--cores", type=int, default=2)
    chosen = parser.parse_args()
    configure_logging(level="warning")
    os.environ |= {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        record(folder / "walk.csv", chosen.pings, chosen.devices, shuffled=False)
        table = pyarrow.csv.read_csv(folder / "walk.csv")
        pq.write_table(table, folder / "walk.parquet", row_group_size=100_000)
        pq.write_table(table.slice(0, 5_000), folder / "few.parquet")
        zones, campaigns = drafts()
        campaigns = [replace(each, budget=None) for each in campaigns]

        def alone(name: str) -> int:
            made = backtest(
                Recording(folder / f"{name}.parquet"),
                zones=zones,
                campaigns=campaigns,
                out=folder / "out",
                parquet=True,
                overwrite=True,
            )
            return sum(each.decisions for each in made.campaigns)

        spark = (
            SparkSession.builder.master(f"local[{chosen.cores}]")
            .config("spark.ui.enabled", "false")
            .config("spark.ui.showConsoleProgress", "false")
            .getOrCreate()
        )
        index = gt.ZoneIndex.build(zones)

        def spread(name: str) -> int:
            pings = spark.read.parquet(str(folder / f"{name}.parquet"))
            made = gs.backtest(pings, index, campaigns, partitions=chosen.cores)
            made.write.mode("overwrite").parquet(str(folder / "answers"))
            return spark.read.parquet(str(folder / "answers")).count()

        for title, work in (("one process", alone), (f"local[{chosen.cores}]", spread)):
            work("few")
            started, used = time.perf_counter(), cpu()
            decisions = work("walk")
            told(title, chosen.pings, decisions, time.perf_counter() - started, cpu() - used)
        spark.stop()


if __name__ == "__main__":
    main()
