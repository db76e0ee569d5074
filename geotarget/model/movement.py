"""Pings, and what they say: transitions, memberships, traces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
KeyArray = NDArray[np.uint64]


class Kind(StrEnum):
    """What a transition says about a device and a zone."""

    ENTER = "enter"
    DWELL = "dwell"
    EXIT = "exit"
    CROSSED = "crossed"
    RECONCILED = "reconciled"


@dataclass(frozen=True, slots=True, eq=False)
class PingBatch:
    """Pings in columns, in order of arrival.

    Parameters
    ----------
    device
        Device ids, one per ping.
    ts
        Fix times, Unix milliseconds.
    lng, lat
        Degrees; finite and in range.
    acc
        Accuracy in metres (68 % radius); NaN where the device did not say.
    key
        What makes a re-delivery recognisable: a 64-bit hash of the message id, or of
        (fix time, lng, lat) where there is none. Never 0.
    received
        Arrival times, Unix milliseconds.
    """

    device: Sequence[str]
    ts: IntArray
    lng: FloatArray
    lat: FloatArray
    acc: FloatArray
    key: KeyArray
    received: IntArray

    def __len__(self) -> int:
        return len(self.device)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A ping or message that was refused: kept as a dead letter with its reason.

    Parameters
    ----------
    source
        The MQTT topic, or ``http``.
    payload
        The bytes as they came, cut at 64 KiB.
    reason
        A short code (metrics label), for example ``latitude``, ``future``, ``json``.
    detail
        The sentence that names place, value and bound.
    received_ms
        Arrival time.
    index
        Position inside an array message; None when the whole message was refused.
    """

    source: str
    payload: bytes
    reason: str
    detail: str
    received_ms: int
    index: int | None = None


@dataclass(frozen=True, slots=True)
class Transition:
    """A device entered, dwelt in, left or crossed a zone.

    `id` and `visit` are deterministic: the same pings give the same ids, after a crash or in a
    backtest. `ts_ms` is when it happened, `decided_ms` the fix time of the ping that settled it.
    `distance_m` (positive inside) and `accuracy_m` are what that ping showed, None where no ping
    decided; `reason` is the test that it met.

    `fix` is where that ping was, as it was reported: longitude, latitude and accuracy in metres;
    None where no ping decided. It lives as long as its batch, for endpoints that may know it: it is
    never in the table ``transition`` nor in a log, and two that differ only there are equal.
    """

    id: str
    visit: str
    device: str
    zone: str
    zone_revision: int
    kind: Kind
    ts_ms: int
    decided_ms: int
    confidence: int
    p: float
    initial: bool = False
    threshold_s: int | None = None
    duration_s: float | None = None
    distance_m: float | None = None
    accuracy_m: float | None = None
    reason: str = ""
    fix: tuple[float, float, float] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Trace:
    """What one ping of a traced device meant for one zone.

    A ping that was not applied, or met no zone, has one trace with an empty `zone`.

    Parameters
    ----------
    status
        ``applied``, ``late``, ``duplicate`` or ``suspect``.
    acc_m
        The accuracy that the zone went by, metres: at rest that of the mean of the fixes.
    moving
        Whether the device was on the move.
    stance
        ``on its way``, ``at rest`` (the mean of the last fixes was judged instead of the ping),
        ``stray`` or ``fast``.
    distance_m
        From the zone's boundary, positive inside; None without a zone.
    verdict, reason
        ``in``, ``maybe_in``, ``hold`` or ``out``, and the test that said so.
    before, after
        The phase: ``outside``, ``entering``, ``inside`` or ``exiting``.
    """

    device: str
    ts_ms: int
    decided_ms: int
    lng: float
    lat: float
    acc_m: float
    status: str
    moving: bool = False
    zone: str = ""
    distance_m: float | None = None
    verdict: str = ""
    reason: str = ""
    stance: str = "on its way"
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class MemberRow:
    """How one device stands to one zone, as the store keeps it.

    `phase` is 1 entering, 2 inside, 3 exiting (outside has no row); `since_ms` the start of the
    visit or of the pending entry; `state` the engine's own record, opaque to the store.
    """

    device: str
    zone: str
    phase: int
    since_ms: int
    last_ms: int
    visit: str
    state: bytes
