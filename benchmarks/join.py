"""`geotarget.sjoin` beside `geopandas.sjoin`, frames in and frames out, both in one run.

A million points and the zones of each file of `../shared/data/zones`, and of the generator that the
other benchmarks use. Points are drawn in two ways: anywhere in the box around all zones, and where
zones are: each in the box of a zone, and zones are drawn with equal chances. The frames have the
columns that the files have. CPU seconds, the median of five, and the two take turns. Both answers
are compared, pair by pair.

    python benchmarks/join.py
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import shapely

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import geotarget
from benchmarks.pages import renewed
from benchmarks.zone_sets import stars
from geotarget.model import FloatArray

RESULTS = Path(__file__).parent / "results" / "join.json"
PAGE = Path(__file__).resolve().parents[1] / "geotarget" / "docs" / "analyst.md"
BEGIN = "<!-- sjoin: begin (made by benchmarks/join.py) -->"
END = "<!-- sjoin: end -->"
DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "zones"
POINTS, REPEATED, SEED = 1_000_000, 5, 1
WGS84 = 4326


def zone_sets() -> Iterator[tuple[str, geopandas.GeoDataFrame]]:
    """Yield names and frames of valid polygons."""
    for path in sorted(DATA.glob("*.geojson")):
        zones = geopandas.read_file(path)
        kind = zones.geometry.geom_type.isin(["Polygon", "MultiPolygon"])
        zones = zones[kind & zones.geometry.is_valid].reset_index(drop=True)
        yield path.stem, zones.set_crs(WGS84, allow_override=True)
    for count in (100, 1_000, 10_000):
        outlines = stars(count)
        frame = geopandas.GeoDataFrame({"name": range(count)}, geometry=outlines, crs=WGS84)
        yield f"{count:,} of the generator", frame


def anywhere(box: FloatArray, count: int) -> FloatArray:
    """Return longitudes and latitudes of points in the box around boxes, shape (2, count)."""
    random = np.random.default_rng(SEED)
    low, high = box[:, :2].min(axis=0), box[:, 2:].max(axis=0)
    return random.uniform(low, high, (count, 2)).T


def where_zones_are(box: FloatArray, count: int) -> FloatArray:
    """Return longitudes and latitudes of points, each in one of the boxes, shape (2, count)."""
    random = np.random.default_rng(SEED)
    chosen = box[random.integers(0, len(box), count)]
    return random.uniform(chosen[:, :2], chosen[:, 2:]).T


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the CPU seconds that something took, and what it gave."""
    started = time.process_time()
    found = work()
    return time.process_time() - started, found


def pairs(joined: geopandas.GeoDataFrame) -> FloatArray:
    """Return numbers of points and rows of zones, in order."""
    found = joined[["point_row", "index_right"]].to_numpy()
    return np.asarray(found[np.lexsort(found.T[::-1])])


def measure(zones: geopandas.GeoDataFrame, places: FloatArray, repeated: int) -> dict[str, Any]:
    """Join once each, compare, and then by turns."""
    count = places.shape[1]
    points = geopandas.GeoDataFrame(
        {"point_row": np.arange(count)}, geometry=geopandas.points_from_xy(*places), crs=WGS84
    )

    def theirs() -> geopandas.GeoDataFrame:
        return geopandas.sjoin(points, zones, predicate="covered_by")

    def ours() -> geopandas.GeoDataFrame:
        return geotarget.sjoin(points, zones)

    expected, found = pairs(theirs()), pairs(ours())
    if not np.array_equal(expected, found):
        raise SystemExit(f"{len(expected):,} pairs by GeoPandas, {len(found):,} by geotarget")
    taken = [(seconds(theirs)[0], seconds(ours)[0]) for _ in range(repeated)]
    peer_s, our_s = (statistics.median(each) for each in zip(*taken, strict=True))
    return {
        "points": count,
        "pairs_a_point": round(len(found) / count, 3),
        "geopandas_ns": round(1e9 * peer_s / count, 1),
        "geotarget_ns": round(1e9 * our_s / count, 1),
        "ratio": round(statistics.median(peer / own for peer, own in taken), 1),
    }


def tables(found: dict[str, Any]) -> str:
    """Return the table of the page."""
    heads = "zones", "vertices a zone", "points where zones are: GeoPandas", "`gt.sjoin`", "times"
    more = "anywhere: GeoPandas", "`gt.sjoin`", "times"
    lines = [f"| {' | '.join(heads + more)} |", "| --- " + "| ---: " * 7 + "|"]
    for row in found["sets"]:
        cells = []
        for way in ("where_zones_are", "anywhere"):
            of = row[way]
            cells += [f"{of['geopandas_ns']:,.0f} ns", f"{of['geotarget_ns']:,.0f} ns"]
            cells += [f"**{of['ratio']:.1f}**"]
        name = row["zones"].replace("_", " ")
        lines.append(f"| {name} | {row['vertices_a_zone']:,} | {' | '.join(cells)} |")
    middle = [
        statistics.median(row[way]["ratio"] for row in found["sets"])
        for way in ("where_zones_are", "anywhere")
    ]
    lines.append(f"| median | | | | **{middle[0]:.1f}** | | | **{middle[1]:.1f}** |")
    return "\n".join(lines)


def written(page: str, found: dict[str, Any]) -> str:
    """Return a page with the table between its markers renewed."""
    return renewed(page, BEGIN, END, tables(found))


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="a short run that stores nothing")
    smoke = parser.parse_args().smoke
    warnings.simplefilter("ignore")  # GeoPandas tells of columns that it renames
    rows = []
    for name, zones in zone_sets():
        box = shapely.bounds(np.asarray(zones.geometry))
        vertices = shapely.get_num_coordinates(np.asarray(zones.geometry)).mean()
        rows.append({"zones": name, "count": len(zones), "vertices_a_zone": round(vertices)})
        for way in (where_zones_are, anywhere):
            places = way(box, 20_000 if smoke else POINTS)
            rows[-1][way.__name__] = measure(zones, places, 1 if smoke else REPEATED)
        print(rows[-1], flush=True)
    if not smoke:
        found = {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "python": platform.python_version(),
            "geopandas": geopandas.__version__,
            "shapely": shapely.__version__,
            "sets": rows,
        }
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")
        PAGE.write_text(written(PAGE.read_text(), found))


if __name__ == "__main__":
    main()
