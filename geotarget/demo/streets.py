"""The walkable streets of central Helsinki, and shortest ways along them.

The graph is a file of the package (56 kB, 5,136 nodes; `tests/demo/make_streets.py` makes it from
OpenStreetMap), so the demo needs no network. Loading takes 1 ms. One call of `ways_to` is one run
of Dijkstra's algorithm in plain Python, about 7 ms for this city: enough for a demo that plans
some sixty of them once, at its start.
"""

from __future__ import annotations

import heapq
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from geotarget.model import FloatArray, IntArray

METRES_PER_DEGREE = 111_195.0
"""One degree of latitude on a sphere of 6,371 km."""


@dataclass(frozen=True, slots=True, eq=False)
class Streets:
    """A street graph: nodes, and for each node the nodes that a person can walk to directly.

    Parameters
    ----------
    lng, lat
        Positions of the nodes, degrees.
    first, neighbour
        Compressed sparse rows: the neighbours of node i are
        ``neighbour[first[i]:first[i + 1]]``; each edge stands there from both ends.
    note
        Title, source, licence and attribution of the data.

    Examples
    --------
    >>> streets = Streets.load()
    >>> streets.note["attribution"]
    '© OpenStreetMap contributors'
    """

    lng: FloatArray
    lat: FloatArray
    first: NDArray[np.int32]
    neighbour: NDArray[np.int32]
    note: Mapping[str, str]

    @classmethod
    def load(cls) -> Streets:
        """Read the streets that the package carries."""
        with (
            resources.files("geotarget.demo").joinpath("streets.npz").open("rb") as file,
            np.load(file, allow_pickle=False) as stored,
        ):
            return cls(
                lng=stored["lng"] / 1e6,
                lat=stored["lat"] / 1e6,
                first=stored["first"],
                neighbour=stored["neighbour"],
                note=json.loads(str(stored["note"])),
            )

    def __len__(self) -> int:
        return len(self.lng)

    @property
    def origin(self) -> tuple[float, float]:
        """The south-western corner of the city, (lng, lat) degrees."""
        return float(self.lng.min()), float(self.lat.min())

    def plane(self, *, lng: FloatArray, lat: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return metres east and north of the origin (equirectangular, good for one city)."""
        west, south = self.origin
        east = (np.asarray(lng) - west) * METRES_PER_DEGREE * math.cos(math.radians(south))
        return east, (np.asarray(lat) - south) * METRES_PER_DEGREE

    def degrees(self, *, east: FloatArray, north: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return (lng, lat) of metres east and north of the origin: the inverse of `plane`."""
        west, south = self.origin
        lng = west + np.asarray(east) / (METRES_PER_DEGREE * math.cos(math.radians(south)))
        return lng, south + np.asarray(north) / METRES_PER_DEGREE

    def nearest(self, *, lng: FloatArray, lat: FloatArray) -> IntArray:
        """Return the nearest node of each given position."""
        east, north = self.plane(lng=self.lng, lat=self.lat)
        x, y = self.plane(lng=np.atleast_1d(lng), lat=np.atleast_1d(lat))
        distance = np.hypot(x[:, None] - east[None, :], y[:, None] - north[None, :])
        return np.asarray(distance.argmin(axis=1), np.int64)

    def ways_to(self, target: int, taste: np.random.Generator | None = None) -> IntArray:
        """Return the next node on the way to `target`, for each node.

        Parameters
        ----------
        target
            The node that all ways lead to; its own next node is itself.
        taste
            Makes every street up to 60 % longer than it is, so that people who go to different
            places prefer different streets. None gives the shortest ways.
        """
        east, north = self.plane(lng=self.lng, lat=self.lat)
        rows = np.repeat(np.arange(len(self)), np.diff(self.first))
        length = np.hypot(east[rows] - east[self.neighbour], north[rows] - north[self.neighbour])
        if taste is not None:
            length *= taste.uniform(1.0, 1.6, len(length))
        costs, first, neighbour = length.tolist(), self.first.tolist(), self.neighbour.tolist()
        best = [math.inf] * len(self)
        ahead = [-1] * len(self)
        best[target], ahead[target] = 0.0, target
        queue = [(0.0, target)]
        while queue:
            cost, node = heapq.heappop(queue)
            if cost > best[node]:
                continue
            for edge in range(first[node], first[node + 1]):
                other = neighbour[edge]
                reached = cost + costs[edge]
                if reached < best[other]:
                    best[other], ahead[other] = reached, node
                    heapq.heappush(queue, (reached, other))
        return np.array(ahead, np.int64)
