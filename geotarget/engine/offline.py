"""Transitions of recorded pings, in a notebook: the live code without the services.

`detect_transitions` is for pings that are in memory at once; a `Detection` takes them stretch by
stretch, and gives the same transitions however they are cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from geotarget.engine.intake import sliced
from geotarget.engine.live_state import LiveState
from geotarget.engine.rules import Rules
from geotarget.engine.timers import settle
from geotarget.engine.transitions import advance
from geotarget.engine.zone_index import ZoneIndex
from geotarget.engine.zone_table import ZoneTable
from geotarget.errors import InvalidPing, Problem
from geotarget.model import EntryPolicy, FloatArray, IntArray, KeyArray, PingBatch, Transition, Zone

_CHUNK = 20_000
"""So many pings are worked off at once; more where the next ones are of the same time,"""

_MOST_AT_ONCE = 100_000
"""up to here."""

_MOST_S = 1e11
"""Times beyond this many seconds (year 5138) are taken for what they are not: milliseconds."""

_REQUIRED = ("device", "ts", "lng", "lat")

_FIELDS: list[tuple[str, pa.DataType]] = [
    ("device", pa.string()),
    ("zone", pa.string()),
    ("kind", pa.string()),
    ("ts", pa.timestamp("ms", tz="UTC")),
    ("decided_ts", pa.timestamp("ms", tz="UTC")),
    ("visit", pa.string()),
    ("event", pa.string()),
    ("confidence", pa.int8()),
    ("p", pa.float64()),
    ("initial", pa.bool_()),
    ("threshold_s", pa.int32()),
    ("duration_s", pa.float64()),
    ("distance_m", pa.float64()),
    ("accuracy_m", pa.float64()),
    ("reason", pa.string()),
]
SCHEMA = pa.schema(_FIELDS)
"""What a table of transitions holds."""


def detect_transitions(
    pings: Any,
    zones: ZoneIndex,
    *,
    rules: Rules | None = None,
    dwell_s: Sequence[int] = (),
    policy: str | None = None,
    until: float | None = None,
) -> pa.Table:
    """Return the transitions that recorded pings cause, in the order of emission.

    Parameters
    ----------
    pings
        A pandas, Polars or Arrow table, or a mapping of columns: ``device``, ``ts`` (epoch seconds
        or timestamps), ``lng``, ``lat`` in degrees, optional ``acc`` in metres. Rows are applied
        in the order of their time.
    zones
        The zones.
    rules
        Figures of the entry rules; the defaults if None.
    dwell_s
        Dwell thresholds for every zone, in seconds.
    policy
        One entry policy for all zones instead of each zone's own.
    until
        Epoch seconds: how far the clock runs on after the last ping, for stays that last and for
        entries that wait. None: nothing happens after the last ping.

    Returns
    -------
    pyarrow.Table
        ``device, zone, kind, ts, decided_ts, visit, event, confidence, p, initial, threshold_s,
        duration_s, distance_m, accuracy_m, reason``. ``distance_m`` is that of the ping which
        decided, positive inside; null where the clock did.

    Raises
    ------
    InvalidPing
        A column is missing (names what was found), or a value is out of range (names its row).

    Examples
    --------
    >>> import geotarget as gt
    >>> square = {"type": "Feature", "id": "square", "properties": {}, "geometry": {
    ...     "type": "Polygon",
    ...     "coordinates": [[[0, 0], [0.01, 0], [0.01, 0.01], [0, 0.01], [0, 0]]]}}
    >>> index = gt.ZoneIndex.from_geojson(square)
    >>> pings = {"device": ["a", "a", "a"], "ts": [0, 10, 20],
    ...          "lng": [0.005, 0.005, 0.5], "lat": [0.005, 0.005, 0.5], "acc": [5, 5, 5]}
    >>> gt.detect_transitions(pings, index)["kind"].to_pylist()
    ['enter']
    """
    if policy is not None:
        zones = ZoneIndex.build(with_policy(zones, policy))
    detection = Detection(zones, rules=rules, dwell_s=dwell_s)
    events = detection.feed(pings)
    return events if until is None else pa.concat_tables([events, detection.settle(until)])


class Detection:
    """Transitions of pings that come stretch by stretch.

    Parameters
    ----------
    zones, rules, dwell_s
        As of `detect_transitions`.

    Examples
    --------
    >>> square = {"type": "Feature", "id": "square", "properties": {}, "geometry": {
    ...     "type": "Polygon",
    ...     "coordinates": [[[0, 0], [0.01, 0], [0.01, 0.01], [0, 0.01], [0, 0]]]}}
    >>> detection = Detection(ZoneIndex.from_geojson(square), dwell_s=[60])
    >>> here = {"device": ["a"], "lng": [0.005], "lat": [0.005], "acc": [5.0]}
    >>> [detection.feed({**here, "ts": [at]})["kind"].to_pylist() for at in (0.0, 10.0)]
    [['enter'], []]
    >>> detection.settle(300.0)["kind"].to_pylist()
    ['dwell']
    """

    def __init__(
        self, zones: ZoneIndex, *, rules: Rules | None = None, dwell_s: Sequence[int] = ()
    ) -> None:
        thresholds = tuple(sorted(dwell_s))
        self._rules = rules or Rules()
        self._table = ZoneTable.compile(zones, lambda _: thresholds, self._rules)
        self._state = LiveState()

    def feed(self, pings: Any) -> pa.Table:
        """Return the transitions that more pings cause.

        Parameters
        ----------
        pings
            As of `detect_transitions`; of each device none that is older than what was fed before,
            and all that are of one time.
        """
        batch = _columns(pings)
        found: list[Transition] = []
        start = 0
        while start < len(batch):
            end = _end(batch.ts, start)
            part = sliced(batch, start, end)
            pairs = self._table.index.query(lng=part.lng, lat=part.lat)
            step = advance(self._state, part, pairs, self._table, self._rules)
            step.apply(self._state)
            found += step.transitions
            start = end
        return _rows(found)

    def settle(self, until: float) -> pa.Table:
        """Return the transitions that the clock alone causes by some epoch seconds."""
        step = settle(self._state, self._table, self._rules, round(until * 1000))
        step.apply(self._state)
        return _rows(step.transitions)

    def forget(self) -> None:
        """Forget all devices: those that come next were never seen."""
        self._state = LiveState()


def _end(ts: IntArray, start: int) -> int:
    """Return where a batch ends that begins at `start`: never between pings of one time."""
    most = min(start + _CHUNK, len(ts))
    end = int(np.searchsorted(ts, ts[most - 1], side="right"))
    return min(end, start + _MOST_AT_ONCE)


def _rows(transitions: Sequence[Transition]) -> pa.Table:
    rows = [
        {
            "device": each.device,
            "zone": each.zone,
            "kind": each.kind.value,
            "ts": each.ts_ms,
            "decided_ts": each.decided_ms,
            "visit": each.visit,
            "event": each.id,
            "confidence": each.confidence,
            "p": each.p,
            "initial": each.initial,
            "threshold_s": each.threshold_s,
            "duration_s": each.duration_s,
            "distance_m": each.distance_m,
            "accuracy_m": each.accuracy_m,
            "reason": each.reason,
        }
        for each in transitions
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def with_policy(zones: ZoneIndex, policy: str) -> list[Zone]:
    """Return the zones of an index, all with one entry policy.

    Raises
    ------
    InvalidPing
        There is no such policy; names those that there are.
    """
    try:
        entry = EntryPolicy(policy)
    except ValueError:
        allowed = ", ".join(each.value for each in EntryPolicy)
        raise InvalidPing(Problem("policy", repr(policy), f"must be one of {allowed}")) from None
    return [replace(zone, entry=entry) for zone in zones.zones]


def _names(pings: Any) -> list[str]:
    if isinstance(pings, Mapping):
        return list(pings)
    if isinstance(pings, pa.Table | pa.RecordBatch):
        return list(pings.schema.names)
    return [str(name) for name in pings.columns]


def _column(pings: Any, name: str) -> Any:
    column = pings[name]
    if isinstance(column, pa.ChunkedArray | pa.Array):
        return column.to_numpy(zero_copy_only=False)
    return column.to_numpy() if hasattr(column, "to_numpy") else np.asarray(column)


def _columns(pings: Any) -> PingBatch:
    names = _names(pings)
    missing = [name for name in _REQUIRED if name not in names]
    if missing:
        raise InvalidPing(
            Problem(
                "columns",
                ", ".join(names),
                f"needs {', '.join(_REQUIRED)} and optionally acc; missing: {', '.join(missing)}",
            )
        )
    ts = _milliseconds(_column(pings, "ts"))
    order = np.argsort(ts, kind="stable")
    device = [str(each) for each in _column(pings, "device")]
    lng = np.asarray(_column(pings, "lng"), np.float64)[order]
    lat = np.asarray(_column(pings, "lat"), np.float64)[order]
    acc = (
        np.asarray(_column(pings, "acc"), np.float64)[order]
        if "acc" in names
        else np.full(len(ts), np.nan)
    )
    for name, values, bound in (("lng", lng, 180.0), ("lat", lat, 90.0)):
        bad = np.flatnonzero(~(np.abs(values) <= bound))
        if bad.size:
            raise InvalidPing(
                Problem(
                    f"{name}[{order[bad[0]]}]",
                    repr(float(values[bad[0]])),
                    f"must be within -{bound:g} and {bound:g}",
                )
            )
    ts = ts[order]
    return PingBatch(
        device=[device[i] for i in order.tolist()],
        ts=ts,
        lng=lng,
        lat=lat,
        acc=acc,
        key=_keys(ts, lng, lat),
        received=ts,
    )


def _milliseconds(values: Any) -> IntArray:
    array = np.asarray(values)
    if np.issubdtype(array.dtype, np.datetime64):
        _check_times(array, ~np.isnat(array))
        return array.astype("datetime64[ms]").astype(np.int64)
    if array.dtype == object:
        return np.array([int(each.timestamp() * 1000) for each in array], np.int64)
    seconds = np.asarray(array, np.float64)
    _check_times(seconds, np.abs(seconds) <= _MOST_S)
    return np.round(seconds * 1000.0).astype(np.int64)


def _check_times(values: NDArray[Any], fits: NDArray[np.bool_]) -> None:
    bad = np.flatnonzero(~fits)
    if bad.size:
        reason = f"must be a timestamp or epoch seconds, at most {_MOST_S:.0f}"
        raise InvalidPing(Problem(f"ts[{bad[0]}]", str(values[bad[0]]), reason))


def _keys(ts: IntArray, lng: FloatArray, lat: FloatArray) -> KeyArray:
    mixed = ts.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= lng.view(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
    mixed ^= lat.view(np.uint64) * np.uint64(0x165667B19E3779F9)
    return mixed | np.uint64(1)
