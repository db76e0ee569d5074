"""Engines in processes of their own, so that each has the memory and the collector to itself.

That matters: shapely and geopandas make an object for each ping, and every so often Python's
collector of garbage goes through all objects of the process. Side by side in one process an engine
would pay for what others hold; with the collector reset before each call nobody would pay at all.
Here each runs as it would in a program that uses it alone, batch after batch. `collector=False`
turns the collector off meanwhile, for those who do so.

Processes are started once and get one set of zones after the other; a start takes two seconds.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.peers import Peer
from benchmarks.rounds import slices, timed
from benchmarks.zone_sets import GeometryArray
from geotarget.model import FloatArray

Zones = Callable[[], GeometryArray]
"""Makes zones; each process calls it, which is cheaper than sending them."""

_RUNNING: dict[tuple[str, str], Alone] = {}


class Alone:
    """An engine in a process of its own, which ends with this one."""

    def __init__(self, engine: type[Any]) -> None:
        context = multiprocessing.get_context("spawn")
        self.name: str = engine.name
        self._pipe, far = context.Pipe()
        context.Process(target=_serve, args=(engine, far), daemon=True).start()

    def build(self, zones: Zones) -> None:
        """Take zones; returns before they are built."""
        self._pipe.send(("build", zones))

    def take(self, lng: FloatArray, lat: FloatArray, size: int) -> None:
        """Take a pool of pings to be asked in batches of `size`."""
        self._pipe.send(("take", lng, lat, size))

    def run(self, calls: range, *, collector: bool = True) -> tuple[float, float]:
        """Return CPU and wall seconds of one of some calls."""
        return self._answer("run", calls, collector)  # type: ignore[no-any-return]

    def query(self, lng: FloatArray, lat: FloatArray) -> Any:
        """Return what the engine answers."""
        return self._answer("query", lng, lat)

    def stats(self) -> dict[str, Any]:
        """Return what our index says of itself."""
        return self._answer("stats")  # type: ignore[no-any-return]

    def _answer(self, *order: object) -> Any:
        self._pipe.send(order)
        return self._pipe.recv()


def processes(engines: Iterable[type[Any]]) -> dict[str, Alone]:
    """Return a process for each engine by its name: the one that there is, or a new one."""
    return {each.name: process(each) for each in engines}


def process(engine: type[Any], *, twin: str = "") -> Alone:
    """Return the process of an engine, or of one of its twins."""
    key = (engine.name, twin)
    if key not in _RUNNING:
        _RUNNING[key] = Alone(engine)
    return _RUNNING[key]


def _serve(engine: type[Any], pipe: Connection) -> None:
    """Follow orders until the other end hangs up."""
    peer: Peer = engine()
    lng = lat = None
    size = 1
    while True:
        try:
            order, *given = pipe.recv()
        except EOFError:
            return
        if order == "build":
            peer.build(given[0]())
        elif order == "take":
            lng, lat, size = given
        elif order == "run":
            assert lng is not None
            assert lat is not None
            piece = slices(lng, lat, size)
            calls, collector = given
            pipe.send(timed(lambda at: peer.query(*piece(at)), calls, collector=collector))  # noqa: B023
        elif order == "query":
            pipe.send(peer.query(*given))
        elif order == "stats":
            pipe.send(peer.index.stats())  # type: ignore[attr-defined]
