"""A built index in a file, and back: mapped into memory, ready at once, shared by processes.

The file (`frozen`) holds the columns of one layer: what its kernels read, and what its zones are
(`stored_zones`). Nothing is believed that is not checked: checksums find damage, and links that
would lead a kernel out of its arrays are refused, whoever wrote them.

Costs: 1.3 KB a zone of 30 vertices; 100,000 of them are saved in half a second and loaded in a
fifth.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geotarget.engine import frozen
from geotarget.engine.compiled import njit
from geotarget.engine.covering import PADDING, Covering
from geotarget.engine.facts import LaterFacts
from geotarget.engine.grid import FINEST, LinkArray
from geotarget.engine.layer import Layer
from geotarget.engine.outlines import Outlines
from geotarget.engine.records import COVERS
from geotarget.engine.runs import GROUP
from geotarget.engine.shapes import Shapes
from geotarget.engine.stored_zones import COLUMNS as ZONE_COLUMNS
from geotarget.engine.stored_zones import StoredZones, pack_zones
from geotarget.errors import InvalidIndexFile, Problem

KIND = "zone index"
VERSION = 2
"""Counted up with every change of what the columns mean, of `trie` above all."""

SHAPES = {
    "xy": ("float64", 2),
    "ring": ("int64", 1),
    "part": ("int64", 1),
    "zone": ("int64", 1),
    "lng": ("float64", 1),
    "lat": ("float64", 1),
    "radius_m": ("float64", 1),
}
COVERING = {
    "frame": ("int64", 1),
    "table": ("int32", 1),
    "nodes": ("int32", 1),
    "records": ("int32", 1),
    "discs": ("float64", 2),
}
OUTLINES = {
    "extra": ("float64", 2),
    "run_start": ("int32", 1),
    "run_length": ("int8", 1),
    "run_box": ("float64", 2),
    "group_box": ("float64", 2),
    "block_box": ("float64", 2),
    "zone_run": ("int32", 1),
    "area_m2": ("float64", 1),
    "length_m": ("float64", 1),
}
"""Type and number of dimensions of every column, by the part of a layer that it belongs to."""


def save(layer: Layer, path: str | os.PathLike[str]) -> None:
    """Write a layer in which every zone counts.

    Raises
    ------
    InvalidZone
        Properties of a zone are no values of JSON.
    OSError
        The file can't be written; what was there stays.
    """
    arrays: dict[str, NDArray[Any]] = dict(pack_zones(layer.zones))
    for part, columns in (
        (layer.shapes, SHAPES),
        (layer.covering, COVERING),
        (layer.outlines, OUTLINES),
    ):
        arrays |= {name: getattr(part, name) for name in columns}
    header = {"zones": len(layer), "vertices": len(layer.shapes.xy)}
    frozen.write(path, kind=KIND, version=VERSION, header=header, arrays=arrays)


def load(path: str | os.PathLike[str]) -> tuple[Layer, StoredZones]:
    """Return a saved layer and its zones.

    Raises
    ------
    InvalidIndexFile
        It is not a saved index, not of this version, or damaged.
    OSError
        It can't be read.
    """
    columns = {**ZONE_COLUMNS, **SHAPES, **COVERING, **OUTLINES}
    _, arrays = frozen.read(path, kind=KIND, version=VERSION, columns=columns)
    shapes = Shapes(**{name: arrays[name] for name in SHAPES})
    covering = Covering(**{name: arrays[name] for name in COVERING})
    outlines = Outlines(xy=shapes.xy, **{name: arrays[name] for name in OUTLINES})
    zones = StoredZones(
        {name: arrays[name] for name in ZONE_COLUMNS},
        **{name: arrays[name] for name in SHAPES},
        path=path,
    )
    _check(path, shapes, covering, outlines)
    place = np.arange(len(zones), dtype=np.int32)
    return Layer(shapes, covering, place, zones, outlines, LaterFacts(zones)), zones


def _check(
    path: str | os.PathLike[str], shapes: Shapes, covering: Covering, outlines: Outlines
) -> None:
    """Raise `InvalidIndexFile` unless everything that kernels follow stays inside its array."""
    zones, vertices = len(shapes), len(shapes.xy)
    runs, groups = len(outlines.run_start), len(outlines.group_box)
    frozen.check_offsets(path, "zone_run", outlines.zone_run, runs)
    run_end = outlines.run_start.astype(np.int64) + np.abs(outlines.run_length.astype(np.int64))
    frame = covering.frame.tolist()
    checks = {
        "xy": shapes.xy.shape == (vertices, 2),
        "discs": covering.discs.shape == (int((~np.isnan(shapes.radius_m)).sum()), 9),
        "extra": outlines.extra.shape[1] == 2 and len(outlines.extra) % 2 == 0,
        "run_box": outlines.run_box.shape == (runs, 4) and len(outlines.run_length) == runs,
        "group_box": outlines.group_box.shape == (-(-runs // GROUP), 4),
        "block_box": outlines.block_box.shape == (-(-groups // GROUP), 4),
        "run_start": not runs
        or (outlines.run_start.min() >= 0 and run_end.max() < vertices + len(outlines.extra)),
        "zone_run": len(outlines.zone_run) == zones + 1,
        "area_m2": len(outlines.area_m2) == len(outlines.length_m) == zones,
        "frame": len(frame) == 5
        and 0 < frame[0] < FINEST
        and min(frame[3:]) > 0
        and frame[3] * frame[4] == len(covering.table),
        "nodes": len(covering.nodes) >= 16 and len(covering.nodes) % 16 == 0,
        "records": len(covering.records) >= PADDING + 4,
    }
    wrong = [name for name, fits in checks.items() if not fits]
    if not wrong and not _leads_nowhere_else(
        covering.table, covering.nodes, covering.records, zones, vertices, len(covering.discs)
    ):
        wrong = ["records"]
    if wrong:
        raise InvalidIndexFile(
            Problem(str(path), repr(wrong[0]), "is damaged: it names what the file does not hold")
        )


@njit(cache=True, nogil=True)
def _leads_nowhere_else(
    table: LinkArray, nodes: LinkArray, records: LinkArray, zones: int, vertices: int, discs: int
) -> bool:
    """Return whether all links lead to nodes further on or to records, and items to what exists."""
    size = len(records) - PADDING
    begins = np.zeros(size, np.bool_)
    at = np.int64(4)
    while at < size:
        if at + 2 > size:
            return False
        begins[at] = True
        up = records[at]
        level = records[at + 1] & 63
        entries = np.int64(records[at + 1] >> 6)
        vertex = at + 2 + entries
        if entries < 0 or vertex > size or level < 1 or level > FINEST:
            return False
        if up < 0 or up >= at or (up > 0 and not begins[up]):
            return False
        before = -1
        for i in range(at + 2, at + 2 + entries):
            zone = records[i] >> 6
            edges = records[i] >> 1 & 31
            covers = records[i] & 63 == COVERS
            if zone < max(before, 0) or zone >= zones or (covers and zone == before):
                return False
            before = zone
            if covers:
                continue
            if vertex >= size or records[vertex] < 0:
                return False
            if np.int64(records[vertex]) + edges >= (vertices if edges > 0 else discs):
                return False
            vertex += 1
        at = vertex
    for place in range(len(nodes) + len(table)):
        inner = place < len(nodes)
        link = np.int64(nodes[place] if inner else table[place - len(nodes)])
        node = place // 16 if inner else 0
        if link > 0 and (link <= node or link >= len(nodes) // 16):
            return False
        if link < 0 and (-link >= size or not begins[-link]):
            return False
    return True
