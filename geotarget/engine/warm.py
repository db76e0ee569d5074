"""Compile the kernels before the first ping needs them.

On a fresh machine this takes some seconds, once: the machine code is cached beside the package.
Later starts load it in well under a second.
"""

from __future__ import annotations

import time

import numpy as np
import shapely
import structlog

from geotarget.engine.compiled import COMPILED
from geotarget.engine.live_state import LiveState
from geotarget.engine.rules import Rules
from geotarget.engine.transitions import ZoneTable, advance
from geotarget.engine.zone_index import ZoneIndex
from geotarget.model import PingBatch, Zone

log = structlog.get_logger(__name__)


def warm() -> float:
    """Run every kernel once; return how long it took, in seconds."""
    started = time.perf_counter()
    if not COMPILED:
        log.warning("numba is missing: the engine runs as plain Python, correct but slow")
    index = ZoneIndex.build([Zone(id="warm", geometry=shapely.box(0, 0, 0.01, 0.01), key=1)])
    table = ZoneTable.compile(index, lambda _: (60,))
    pings = PingBatch(
        device=("warm",),
        ts=np.array([1_000], np.int64),
        lng=np.array([0.005]),
        lat=np.array([0.005]),
        acc=np.array([5.0]),
        key=np.array([1], np.uint64),
        received=np.array([1_000], np.int64),
    )
    state = LiveState()
    pairs = index.query(lng=pings.lng, lat=pings.lat)
    advance(state, pings, pairs, table, Rules()).apply(state)
    state.slots(np.array([0], np.int64))
    took = time.perf_counter() - started
    if took > 2:
        log.info("kernels compiled, once for this machine", seconds=round(took, 1))
    return took
