"""The match engine beside shapely, geopandas, an h3 dictionary, timezonefinder and tzfpy.

Everything is seeded and measured in one run, on one core, in CPU time; answers are compared with
shapely's on the way, and one wrong pair of ours makes the run fail.

    python benchmarks/match.py                      all parts, about ten minutes
    python benchmarks/match.py --only zones,batch   some parts; the others stay in the file
    python benchmarks/match.py --smoke              a short run that only proves that it works

`benchmarks/report.py` makes tables and pictures of the results.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import shapely

from benchmarks import goals, lifecycle, series
from benchmarks.zone_sets import SEED
from geotarget.engine.compiled import DESCRIPTION

RESULTS = Path(__file__).resolve().parent / "results" / "match.json"
PARTS = {**series.PARTS, **lifecycle.PARTS}
PACKAGES = (
    "geotarget",
    "numpy",
    "numba",
    "shapely",
    "geopandas",
    "h3",
    "timezonefinder",
    "timezonefinder-data",
    "tzfpy",
)


def setting() -> dict[str, Any]:
    """Return what the figures depend on besides the code."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if sys.platform == "linux" else []
    model = next((line.partition(":")[2].strip() for line in lines if "model name" in line), "")
    geos = ".".join(map(str, shapely.geos_version))
    return {
        "machine": f"{model or platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "kernels": DESCRIPTION,
        "versions": {**{name: version(name) for name in PACKAGES}, "geos": geos},
    }


def measure(names: list[str], scale: series.Scale, out: Path | None) -> dict[str, Any]:
    """Return results by part, each with the setting that it was measured in; keep each at once."""
    parts = {}
    for name in names:
        print(f"{name} ...", end=" ", file=sys.stderr, flush=True)
        started = time.perf_counter()
        load = os.getloadavg()[0]
        found = PARTS[name](scale)
        took = time.perf_counter() - started
        parts[name] = {
            "measured": datetime.now(UTC).date().isoformat(),
            "seed": SEED,
            "rounds": scale.rounds,
            "load_before": round(load, 1),
            "took_s": round(took),
            **setting(),
            **found,
        }
        print(f"{took:.0f} s", file=sys.stderr)
        if out is not None:
            merge(parts, out)
    return parts


def merge(parts: dict[str, Any], out: Path) -> None:
    """Write parts into a file of results; those that it has besides stay."""
    kept = (json.loads(out.read_text())["parts"] if out.exists() else {}) | parts
    kept = {name: kept[name] for name in PARTS if name in kept}
    result = {"parts": kept, "goals": goals.verdicts(kept)}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


def main() -> None:
    """Run, merge into the file, print the verdicts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="short run, proves that it works")
    parser.add_argument("--only", help=f"some of {','.join(PARTS)}; a smoke leaves out start")
    parser.add_argument("--out", type=Path, help=f"JSON to merge into; {RESULTS.name} if not smoke")
    arguments = parser.parse_args()
    usual = [name for name in PARTS if not arguments.smoke or name != "start"]
    names = arguments.only.split(",") if arguments.only else usual
    unknown = sorted(set(names) - set(PARTS))
    if unknown:
        parser.error(f"no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    out = arguments.out or (None if arguments.smoke else RESULTS)
    parts = measure(names, series.SMOKE if arguments.smoke else series.FULL, out)
    for each in [] if arguments.smoke else goals.verdicts(parts):
        word = "met" if each["met"] else "not met"
        print(f"{each['goal']}: {each['measured']:,g} {each['unit']} ({each['bound']}: {word})")
    if wrong := goals.wrong_pairs(parts):
        raise SystemExit(f"{wrong} wrong pairs")
    print("no wrong pair")


if __name__ == "__main__":
    main()
