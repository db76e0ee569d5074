"""The world's time zones, 8 million vertices, from the package that timezonefinder answers from.

The outlines are OpenStreetMap's as timezone-boundary-builder publishes them (ODbL); they are read
from the installed package `timezonefinder-data` and stored nowhere else. timezonefinder keeps
every vertex (to 1e-7 degrees) and names one zone a point; tzfpy simplifies its outlines and
brings a data release of its own, so the two need not agree.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
import timezonefinder
import tzfpy

from benchmarks.peers import Geotarget, PreparedZones
from benchmarks.zone_sets import SEED, GeometryArray
from geotarget.model import FloatArray, IntArray


def names() -> list[str]:
    """Return the names of all time zones, in the order of `boundaries`."""
    return list(timezonefinder.TimezoneFinder().timezone_names)


def boundaries() -> GeometryArray:
    """Return polygons or multipolygons of all time zones; takes about 1.5 s."""
    finder = timezonefinder.TimezoneFinder()
    zones = np.empty(finder.nr_of_zones, np.object_)
    for place in range(len(zones)):
        polygons = []
        for rings in finder.get_geometry(tz_id=place, use_id=True):
            shell, *holes = (np.transpose(ring) for ring in rings)
            polygons.append(shapely.Polygon(shell, holes))
        zones[place] = polygons[0] if len(polygons) == 1 else shapely.MultiPolygon(polygons)
    return zones


def releases() -> dict[str, str]:
    """Return which data the others answer from."""
    data = timezonefinder.TimezoneFinder().data_version
    return {
        "timezonefinder": f"{timezonefinder.__version__}, data {data}",
        "tzfpy": f"data {tzfpy.data_version()}",
    }


def over_the_sphere(count: int, *, seed: int = SEED) -> tuple[FloatArray, FloatArray]:
    """Return pings uniform over the Earth's surface."""
    random = np.random.default_rng([seed, 4])
    lat = np.degrees(np.arcsin(random.uniform(-1, 1, count)))
    return random.uniform(-180, 180, count), lat


class PreparedOnGlobe(PreparedZones):
    """shapely, told that 180 and -180 are one meridian; what our answers are compared with."""

    def expected(self, lng: FloatArray, lat: FloatArray) -> IntArray:
        """Return the pairs, each once; pings on the meridian are asked on both sides of it."""
        pairs = self.query(lng, lat)
        (seam,) = np.nonzero(np.abs(lng) == 180)
        ping, zone = self.query(-lng[seam], lat[seam])
        return np.unique(np.hstack([pairs, [seam[ping], zone]]), axis=1)


class Timezonefinder:
    """timezonefinder's bulk look-up, data in memory, its numba kernels if it has them."""

    name = "timezonefinder"

    def build(self, _: GeometryArray) -> None:
        """Load the data that it brings itself; no other zones are possible."""
        self.finder = timezonefinder.TimezoneFinder(in_memory=True)

    def query(self, lng: FloatArray, lat: FloatArray) -> list[str | None]:
        """Return one name for each ping."""
        return list(self.finder.timezone_names_at(lngs=lng, lats=lat))


class Tzfpy:
    """tzfpy called in a loop, as it has no call for arrays."""

    name = "tzfpy"

    def build(self, _: GeometryArray) -> None:
        """Load the data that it brings itself."""
        tzfpy.get_tz(0.0, 0.0)

    def query(self, lng: FloatArray, lat: FloatArray) -> list[str]:
        """Return one name for each ping."""
        ask = tzfpy.get_tz
        return [ask(x, y) for x, y in zip(lng.tolist(), lat.tolist(), strict=True)]


ENGINES: tuple[type[Any], ...] = (Geotarget, PreparedZones, Timezonefinder, Tzfpy)
OWN_DATA = (Timezonefinder.name, Tzfpy.name)
"""Those that give names out of outlines that they bring themselves."""


def agreement(answers: list[str | None], names: list[str], pairs: IntArray) -> float:
    """Return the share of pings whose answer is among the zones that cover them."""
    covering = {(ping, names[zone]) for ping, zone in pairs.T.tolist()}
    right = sum((ping, answer) in covering for ping, answer in enumerate(answers))
    return round(right / max(1, len(answers)), 5)
