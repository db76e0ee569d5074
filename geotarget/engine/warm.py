"""Compile the kernels before the first ping needs them.

On a fresh machine this takes some seconds, once: the machine code is cached beside the package.
Later starts load it in well under a second. What only a moving device needs (the zones that lie on
its way) is a third of it and is compiled behind, in a thread: whoever needs it earlier waits for
it.
"""

from __future__ import annotations

import threading
import time

import numpy as np
import shapely
import structlog

from geotarget.engine.compiled import COMPILED
from geotarget.engine.footfall import Collector
from geotarget.engine.live_state import LiveState
from geotarget.engine.reconciling import reconcile
from geotarget.engine.rules import Rules
from geotarget.engine.timers import settle
from geotarget.engine.transitions import advance
from geotarget.engine.zone_index import ZoneIndex
from geotarget.engine.zone_table import ZoneTable
from geotarget.model import PingBatch, Zone

log = structlog.get_logger(__name__)


def warm() -> float:
    """Run the kernels once; return how long that took, in seconds."""
    started = time.perf_counter()
    if not COMPILED:
        log.warning("numba is missing: the engine runs as plain Python, correct but slow")
    index = ZoneIndex.build([Zone(id="warm", geometry=shapely.box(0, 0, 0.01, 0.01), key=1)])
    table = ZoneTable.compile(index, lambda _: (60,))
    state, rules = LiveState(), Rules()
    pings = PingBatch(
        device=("warm", "warm"),
        ts=np.array([1_000, 2_000]),
        lng=np.array([0.005, 0.5]),
        lat=np.array([0.005, 0.5]),
        acc=np.array([5.0, 5.0]),
        key=np.array([1, 2], np.uint64),
        received=np.array([1_000, 2_000]),
    )
    pairs = index.query(lng=pings.lng, lat=pings.lat)
    step = advance(state, pings, pairs, table, rules)
    step.apply(state)
    Collector(b"").note(state, pings, step.status, 0)
    settle(state, table, rules, 3_000)
    reconcile(state, table, rules, table)
    threading.Thread(target=_ways, args=(index,), name="warm").start()
    took = time.perf_counter() - started
    if took > 2:
        log.info("kernels compiled, once for this machine", seconds=round(took, 1))
    return took


def _ways(index: ZoneIndex) -> None:
    """Run the kernels of `ZoneIndex.segments` once."""
    index.segments(lng=[-0.01], lat=[0.005], to_lng=[0.02], to_lat=[0.005])
