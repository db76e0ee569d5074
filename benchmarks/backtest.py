"""What a backtest costs: pings a second, memory, and room for its scratch.

    python benchmarks/backtest.py [--pings 3000000] [--devices 3000] [--shuffled]

Walkers in a town, a ping every 15 s, among 1,000 zones of 65 by 65 metres and ten campaigns that
listen to a few of them. With --shuffled the file is not in order of time. CPU is the process's own.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import shapely

from geotarget.backtest import rehearsal
from geotarget.backtest.summary import summarise
from geotarget.logs import configure_logging
from geotarget.model import Budget, Campaign, Cap, Trigger, Zone
from geotarget.recording import Recording

START_S = 1_767_261_600
LNG, LAT, EVERY_S = 24.94, 60.17, 15
EAST, NORTH = 1 / 55_600, 1 / 111_200
"""Degrees of a metre."""


def record(path: Path, pings: int, devices: int, *, shuffled: bool) -> None:
    """Write a recording."""
    random = np.random.default_rng(1)
    lng, lat = LNG + random.normal(0, 0.02, devices), LAT + random.normal(0, 0.01, devices)
    heading, phase = random.uniform(0, 6.3, devices), np.sort(random.integers(0, 15_000, devices))
    order = random.permutation(devices) if shuffled else np.arange(devices)
    with path.open("w") as file:
        file.write("device,ts,lat,lng,acc\n")
        for step in range(pings // devices):
            heading += random.normal(0, 0.4, devices)
            metres = EVERY_S * random.choice([0.0, 1.4], devices)
            lng += np.sin(heading) * metres * EAST
            lat += np.cos(heading) * metres * NORTH
            x = lng + random.normal(0, 8 * EAST, devices)
            y = lat + random.normal(0, 8 * NORTH, devices)
            ts = START_S + step * EVERY_S + phase / 1000
            file.writelines(f"w{i},{ts[i]:.3f},{y[i]:.6f},{x[i]:.6f},12\n" for i in order)


def drafts() -> tuple[list[Zone], list[Campaign]]:
    """Return zones and campaigns."""
    random = np.random.default_rng(3)
    places = zip(random.normal(LNG, 0.02, 1_000), random.normal(LAT, 0.01, 1_000), strict=True)
    zones = [
        Zone(id=f"z{at}", geometry=shapely.box(x - 0.0006, y - 0.0003, x + 0.0006, y + 0.0003))
        for at, (x, y) in enumerate(places)
    ]
    campaigns = [
        Campaign(
            id=f"c{at}",
            name=f"C{at}",
            trigger=Trigger(zone_ids=frozenset(f"z{zone}" for zone in range(at, 1_000, 40))),
            offer={"text": "Hello at {{ zone.id }}"},
            endpoints=("crm",),
            caps=(Cap(2, 86_400),),
            holdout=0.1,
            budget=Budget(per_day=2_000),
            cost_micros=50_000,
        )
        for at in range(10)
    ]
    return zones, campaigns


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pings", type=int, default=3_000_000)
    parser.add_argument("--devices", type=int, default=3_000)
    parser.add_argument("--shuffled", action="store_true")
    chosen = parser.parse_args()
    configure_logging(level="warning")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "walk.csv"
        record(path, chosen.pings, chosen.devices, shuffled=chosen.shuffled)
        recording = Recording(path)
        zones, campaigns = drafts()
        cpu, wall = time.process_time(), time.perf_counter()
        survey = recording.survey()
        read = time.process_time() - cpu
        with rehearsal(zones=zones, campaigns=campaigns) as stage:
            fed = stage.play(recording, survey)
            summary = summarise(stage.store, stage.catalog.snapshot, fed)
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            scratch = stage.store._database.path.stat().st_size  # noqa: SLF001 nobody else asks
    decisions = sum(each.decisions for each in summary.campaigns)
    transitions = sum(summary.kinds.values())
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{fed.pings:,} pings, {transitions:,} transitions, {decisions:,} decisions")
    print(f"{cpu:.1f} s of CPU ({read:.1f} for the first reading), {wall:.1f} s in all")
    print(f"{fed.pings / cpu:,.0f} pings/s of CPU, {fed.pings / wall:,.0f} in all")
    print(f"{most:.0f} MB of memory, {scratch / 2**20:.0f} MB of scratch")


if __name__ == "__main__":
    main()
