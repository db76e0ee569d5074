"""Columns of pings: built from decoded pings, joined, reordered and cut.

Building costs about 0.1 us a ping, mostly attribute access; the rest is numpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from geotarget.ingest.refusal import MAX_SECONDS, Ping
from geotarget.model import FloatArray, IntArray, KeyArray, PingBatch
from geotarget.model.keys import message_key, ping_keys

NO_INTS: IntArray = np.empty(0, dtype=np.int64)
_NO_FLOATS: FloatArray = np.empty(0, dtype=np.float64)
_NO_KEYS: KeyArray = np.empty(0, dtype=np.uint64)

NO_PINGS = PingBatch((), NO_INTS, _NO_FLOATS, _NO_FLOATS, _NO_FLOATS, _NO_KEYS, NO_INTS)


def columns(
    pings: Sequence[Ping], devices: list[str], arrived: IntArray
) -> tuple[PingBatch, IntArray]:
    """Turn pings into columns; return those in range, and the positions of the others.

    The bounds are those of `refusal.check`, which names what this only finds.
    """
    try:
        seconds = np.array([ping.ts for ping in pings], dtype=np.float64)
    except TypeError:  # some are date-times
        seconds = np.array(
            [ping.ts.timestamp() if isinstance(ping.ts, datetime) else ping.ts for ping in pings],
            dtype=np.float64,
        )
    lat = np.array([ping.lat for ping in pings], dtype=np.float64)
    lng = np.array([ping.lng for ping in pings], dtype=np.float64)
    missing = np.isnan(lng)
    if missing.any():
        lng[missing] = [pings[position].lon for position in np.flatnonzero(missing).tolist()]
    acc = np.array([ping.acc for ping in pings], dtype=np.float64)  # None becomes NaN
    acc[~(acc > 0)] = np.nan
    good = (seconds > 0) & (seconds <= MAX_SECONDS) & (np.abs(lat) <= 90) & (np.abs(lng) <= 180)
    bad = np.flatnonzero(~good)
    if len(bad):
        keep = np.flatnonzero(good)
        seconds, lat, lng, acc = seconds[keep], lat[keep], lng[keep], acc[keep]
        arrived = arrived[keep]
        devices = [devices[position] for position in keep.tolist()]
        pings = [pings[position] for position in keep.tolist()]
    ts = np.rint(seconds * 1000).astype(np.int64)
    key = ping_keys(ts, lng, lat)
    for position, ping in enumerate(pings):
        if ping.id is not None and ping.id != "":
            key[position] = message_key(ping.id)
    return PingBatch(devices, ts, lng, lat, acc, key, arrived), bad


def joined(batches: Sequence[PingBatch]) -> PingBatch:
    """Put batches behind one another."""
    if len(batches) == 1:
        return batches[0]
    return PingBatch(
        [device for batch in batches for device in batch.device],
        np.concatenate([NO_INTS, *(batch.ts for batch in batches)]),
        np.concatenate([_NO_FLOATS, *(batch.lng for batch in batches)]),
        np.concatenate([_NO_FLOATS, *(batch.lat for batch in batches)]),
        np.concatenate([_NO_FLOATS, *(batch.acc for batch in batches)]),
        np.concatenate([_NO_KEYS, *(batch.key for batch in batches)]),
        np.concatenate([NO_INTS, *(batch.received for batch in batches)]),
    )


def chosen(batch: PingBatch, positions: IntArray) -> PingBatch:
    """Take the pings at these positions, in this order."""
    return PingBatch(
        [batch.device[position] for position in positions.tolist()],
        batch.ts[positions],
        batch.lng[positions],
        batch.lat[positions],
        batch.acc[positions],
        batch.key[positions],
        batch.received[positions],
    )


def sliced(batch: PingBatch, first: int, last: int) -> PingBatch:
    """Take the pings from `first` to before `last`, without copying the arrays."""
    if first == 0 and last >= len(batch):
        return batch
    return PingBatch(
        batch.device[first:last],
        batch.ts[first:last],
        batch.lng[first:last],
        batch.lat[first:last],
        batch.acc[first:last],
        batch.key[first:last],
        batch.received[first:last],
    )
