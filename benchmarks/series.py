"""What is measured of matching: over zones, vertices, batch sizes, threads and the time zones.

Each part is a function that returns plain values for the JSON; `PARTS` names them. Answers of all
engines are compared with shapely's on pings of three kinds: uniform, exactly on vertices, and 1 cm
beside outlines.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import shapely

from benchmarks import time_zones, zone_sets
from benchmarks.alone import Zones, process, processes
from benchmarks.peers import ENGINES, CellDictionary, Geotarget, TreeOfZones, wrong_pairs
from benchmarks.rounds import Timed, interleaved, per_ping, ratio, rounded, timed
from benchmarks.zone_sets import SIDE_M
from geotarget.model import FloatArray


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    rounds: int
    pings: int
    """A round's batch, of every engine alike."""
    checked: int
    """Uniform pings whose pairs are compared; on and beside outlines a tenth as many each."""
    zones: tuple[int, ...]
    vertices: tuple[int, ...]
    vertex_zones: int
    growth: tuple[int, int]
    batches: tuple[int, ...]
    batch_zones: int
    builds: tuple[int, ...]
    edits: int
    starts: int


FULL = Scale(
    rounds=7,
    pings=100_000,
    checked=20_000,
    zones=(100, 1_000, 10_000, 100_000),
    vertices=(10, 30, 100, 1_000, 10_000),
    vertex_zones=1_000,
    growth=(100, 10_000),
    batches=(1, 10, 100, 1_000, 10_000, 100_000, 1_000_000),
    batch_zones=10_000,
    builds=(100, 10_000, 100_000),
    edits=25,
    starts=3,
)
SMOKE = Scale(
    rounds=2,
    pings=2_000,
    checked=2_000,
    zones=(100, 500),
    vertices=(10, 100),
    vertex_zones=50,
    growth=(100, 1_000),
    batches=(1, 1_000),
    batch_zones=500,
    builds=(100, 1_000),
    edits=5,
    starts=1,
)


def over_zones(scale: Scale) -> dict[str, Any]:
    """Measure all engines over the number of stars in one box: hits grow with the zones."""
    rows = []
    for count in scale.zones:
        row = _beside_peers(partial(zone_sets.stars, count), scale, without_collector=True)
        rows.append({"zones": count, **row})
    return {"rows": rows}


def over_vertices(scale: Scale) -> dict[str, Any]:
    """Measure all engines over the vertices a zone has, with hits as they are."""
    rows = []
    for vertices in scale.vertices:
        zones = partial(zone_sets.coasts, scale.vertex_zones, vertices=vertices)
        rows.append({"vertices": vertices, **_beside_peers(zones, scale)})
    return {"zones": scale.vertex_zones, "rows": rows}


def over_growth(scale: Scale) -> dict[str, Any]:
    """Measure ours with few zones and with many, as many hits a ping: the box shrinks along."""
    few, many = scale.growth
    sides = {few: SIDE_M * (few / many) ** 0.5, many: SIDE_M}
    rows: list[dict[str, Any]] = []
    engines = {str(few): process(Geotarget, twin="few"), str(many): process(Geotarget)}
    for count, side_m in sides.items():
        engine = engines[str(count)]
        engine.build(partial(zone_sets.stars, count, side_m=side_m))
        lng, lat = zone_sets.pings(scale.pings * scale.rounds, side_m=side_m)
        engine.take(lng, lat, scale.pings)
        pairs = engine.query(lng[: scale.checked], lat[: scale.checked])
        hits = rounded(pairs.shape[1] / scale.checked)
        rows.append({"zones": count, "side_m": rounded(side_m), "hits_per_ping": hits})
    taken = interleaved({name: each.run for name, each in engines.items()}, rounds=scale.rounds)
    for row in rows:
        row.update(per_ping(taken[str(row["zones"])], scale.pings))
    return {"few": few, "many": many, "rows": rows, "times": ratio(rows[1], rows[0])}


def over_batches(scale: Scale) -> dict[str, Any]:
    """Measure engines over the size of a batch: what a call costs, and what it shares out."""
    rows = []
    engines = processes(each for each in ENGINES if each is not CellDictionary)
    for engine in engines.values():
        engine.build(partial(zone_sets.stars, scale.batch_zones))
    for size in scale.batches:
        pool = zone_sets.pings(max(size, scale.pings))
        for engine in engines.values():
            engine.take(*pool, size)
        runs = {name: each.run for name, each in engines.items()}
        taken = interleaved(runs, rounds=scale.rounds)
        measured = {name: per_ping(each, size) for name, each in taken.items()}
        for name, each in measured.items():
            each["call_us"] = rounded(each["ns"] * size / 1e3)
            each["wall_us"] = rounded(statistics.median(taken[name]["wall_s"]) * 1e6)
        rows.append({"batch": size, "engines": measured})
    return {"zones": scale.batch_zones, "rows": rows}


def over_threads(scale: Scale) -> dict[str, Any]:
    """Measure ours with one thread and with two, wall time beside CPU time."""
    size = scale.batches[-1]
    lng, lat = zone_sets.pings(size)
    engine = Geotarget()
    engine.build(zone_sets.stars(scale.batch_zones))
    ask = partial(engine.index.query, lng=lng, lat=lat)
    runs: dict[str, Timed] = {
        "1": partial(timed, lambda _: ask(threads=1)),
        "2": partial(timed, lambda _: ask(threads=2)),
    }
    taken = interleaved(runs, rounds=scale.rounds)
    rows = []
    for threads, each in taken.items():
        wall = rounded(statistics.median(each["wall_s"]) / size * 1e9)
        rows.append({"threads": int(threads), **per_ping(each, size), "wall_ns": wall})
    walls = zip(*(each["wall_s"] for each in taken.values()), strict=True)
    return {
        "zones": scale.batch_zones,
        "rows": rows,
        "times": rounded(statistics.median(one / two for one, two in walls)),
        "same_answers": bool(np.array_equal(ask(threads=1), ask(threads=2))),
    }


def over_time_zones(scale: Scale) -> dict[str, Any]:
    """Measure ours, timezonefinder, tzfpy and shapely on the world's time zones."""
    names, geometry = time_zones.names(), time_zones.boundaries()
    reference = time_zones.PreparedOnGlobe()
    reference.build(geometry)
    kinds: dict[str, Callable[[int], tuple[FloatArray, FloatArray]]] = {
        "over the Earth": time_zones.over_the_sphere,
        "on vertices": partial(zone_sets.on_vertices, geometry),
        "1 cm beside outlines": partial(zone_sets.beside_outlines, geometry),
    }
    rows = []
    engines = processes(time_zones.ENGINES)
    for name, engine in engines.items():
        engine.build(zone_sets.none if name in time_zones.OWN_DATA else time_zones.boundaries)
    for kind, make in kinds.items():
        pool = make(scale.pings * scale.rounds)
        for engine in engines.values():
            engine.take(*pool, scale.pings)
        runs = {name: each.run for name, each in engines.items()}
        taken = interleaved(runs, rounds=scale.rounds)
        measured = {name: per_ping(each, scale.pings) for name, each in taken.items()}
        lng, lat = (each[: scale.checked] for each in pool)
        expected = reference.expected(lng, lat)
        for name, engine in engines.items():
            answer = engine.query(lng, lat)
            if name in time_zones.OWN_DATA:
                measured[name]["agrees"] = time_zones.agreement(answer, names, expected)
            elif name == Geotarget.name:
                measured[name]["wrong_pairs"] = wrong_pairs(answer, expected, len(names))
        rows.append({"pings": kind, "checked_pings": len(lng), "engines": measured})
    size = engines[Geotarget.name].stats()["bytes"]
    return {
        "zones": len(names),
        "vertices": int(shapely.get_num_coordinates(geometry).sum()),
        "releases": time_zones.releases(),
        "bytes": int(size),
        "rows": rows,
    }


def _beside_peers(zones: Zones, scale: Scale, *, without_collector: bool = False) -> dict[str, Any]:
    """Measure all engines on one set of zones, and compare their answers."""
    geometry = zones()
    skipped = {}
    if len(geometry) > CellDictionary.LARGEST:
        skipped[CellDictionary.name] = f"filling it takes about {len(geometry) * 2e-3:.0f} s"
    engines = processes(each for each in ENGINES if each.name not in skipped)
    pool = zone_sets.pings(scale.pings * scale.rounds)
    for engine in engines.values():
        engine.build(zones)
        engine.take(*pool, scale.pings)
    runs = {name: each.run for name, each in engines.items()}
    taken = interleaved(runs, rounds=scale.rounds)
    measured = {name: per_ping(each, scale.pings) for name, each in taken.items()}
    ours = measured[Geotarget.name]
    if without_collector:
        taken = interleaved(runs, rounds=scale.rounds, collector=False)
        lean = {name: per_ping(each, scale.pings) for name, each in taken.items()}
        for name, each in lean.items():
            times = ratio(each, lean[Geotarget.name])
            measured[name]["without_collector"] = {"ns": each["ns"], "times": times}

    some = scale.checked // 10
    sample = [
        np.concatenate(each)
        for each in zip(
            [each[: scale.checked] for each in pool],
            zone_sets.on_vertices(geometry, some),
            zone_sets.beside_outlines(geometry, some),
            strict=True,
        )
    ]
    reference = TreeOfZones()
    reference.build(geometry)
    expected = reference.query(*sample)
    for name, each in measured.items():
        each["wrong_pairs"] = wrong_pairs(engines[name].query(*sample), expected, len(geometry))
        if each is not ours:
            each["times"] = ratio(each, ours)
    hits = int((expected[0] < scale.checked).sum()) / scale.checked
    return {
        "hits_per_ping": rounded(hits),
        "checked_pings": len(sample[0]),
        "engines": measured,
        "skipped": skipped,
    }


PARTS = {
    "zones": over_zones,
    "growth": over_growth,
    "vertices": over_vertices,
    "batch": over_batches,
    "threads": over_threads,
    "time_zones": over_time_zones,
}
