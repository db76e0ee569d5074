"""Which pings are let in: the rules that need the batch, the zones and the time of arrival.

What can be seen from a ping alone (range, finiteness, type) was refused when it was decoded.
"""

from __future__ import annotations

import json

import numpy as np

from geotarget.engine.rules import Rules
from geotarget.model import IntArray, PingBatch, Rejected


def refused(pings: PingBatch, pairs: IntArray, rules: Rules) -> list[tuple[int, str, str]]:
    """Return (position, reason code, sentence) of the pings that must not be applied.

    Parameters
    ----------
    pings
        The batch.
    pairs
        Ping and zone positions that match, shape (2, n): (0, 0) is where a phone without a fix
        thinks it is, unless a zone is there.
    rules
        The figures of the rules.
    """
    ahead_s = (pings.ts - pings.received) / 1000.0
    found = [
        (
            int(i),
            "future",
            f"fix time is {ahead_s[i]:.0f} s ahead of its arrival, over {rules.future_s:g} s",
        )
        for i in np.flatnonzero(ahead_s > rules.future_s)
    ]
    null = (pings.lng == 0.0) & (pings.lat == 0.0)
    if null.any():
        null[pairs[0]] = False
        found += [
            (int(i), "null_island", "latitude and longitude are both 0 and no zone covers that")
            for i in np.flatnonzero(null)
        ]
    return found


def letter_of(pings: PingBatch, position: int, reason: str, sentence: str) -> Rejected:
    """Return the dead letter of a ping that was refused, as `refused` names it."""
    shown = (
        f'{{"device":{json.dumps(pings.device[position])},"ts":{pings.ts[position] / 1000},'
        f'"lat":{pings.lat[position]},"lng":{pings.lng[position]}}}'
    )
    return Rejected(
        source="intake",
        payload=shown.encode(),
        reason=reason,
        detail=sentence,
        received_ms=int(pings.received[position]),
    )


def without(pings: PingBatch, pairs: IntArray, positions: list[int]) -> tuple[PingBatch, IntArray]:
    """Return batch and pairs without the pings at some positions."""
    if not positions:
        return pings, pairs
    keep = np.ones(len(pings), np.bool_)
    keep[positions] = False
    kept = np.flatnonzero(keep)
    place = np.cumsum(keep) - 1
    pairs = pairs[:, keep[pairs[0]]]
    return (
        PingBatch(
            device=[pings.device[i] for i in kept.tolist()],
            ts=pings.ts[kept],
            lng=pings.lng[kept],
            lat=pings.lat[kept],
            acc=pings.acc[kept],
            key=pings.key[kept],
            received=pings.received[kept],
        ),
        np.stack([place[pairs[0]], pairs[1]]),
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
