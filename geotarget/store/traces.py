"""Traces: what each ping of a device meant, kept while somebody asked for it.

A trace holds where a phone was, so it is bounded three ways: the switch of a device turns itself
off after 7 days at the latest, traces go after 30 days, and there are never more than so many rows
(the oldest go first). Erasing a profile drops the traces of its device.

While nobody is traced a batch pays nothing but the question who is, which is one look at an empty
table; a traced ping costs a row for each zone that it meets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from geotarget.errors import InvalidInput, Problem
from geotarget.model import Trace
from geotarget.store import tables
from geotarget.store.audit import note
from geotarget.store.database import Database, cursor_of, wall_clock_ms
from geotarget.store.tombstones import DEVICE, pseudonym

DAY_MS = 86_400_000
LONGEST_MS = 7 * DAY_MS
"""A switch lasts at most so long; it can be set again."""

KEPT_MS = 30 * DAY_MS
"""Traces that were recorded longer ago are dropped."""

MOST_TRACES = 500_000
"""And so many are kept, some 100 bytes each."""

MOST_SHOWN = 20_000
"""Most traces that one question gets."""

_switch = tables.trace_switch

_SWITCH_ON = """
INSERT INTO trace_switch (device, until_ms) VALUES (?, ?)
ON CONFLICT (device) DO UPDATE SET until_ms = excluded.until_ms
"""
_INSERT = """
INSERT INTO trace (device, recorded_ms, ts_ms, decided_ms, lng, lat, acc_m, status, moving, stance,
  zone, distance_m, verdict, reason, phase_before, phase_after)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_NEWEST = """
SELECT device, ts_ms, decided_ms, lng, lat, acc_m, status, moving, stance, zone,
  distance_m, verdict, reason, phase_before, phase_after
FROM trace INDEXED BY trace_device
WHERE device = ? AND ts_ms >= ? AND ts_ms < ? AND recorded_ms > ?
ORDER BY ts_ms DESC, seq DESC LIMIT ?
"""
_EARLIEST, _LATEST = -(2**63), 2**63 - 1


class Traces:
    """Keeps traces, and the switches that turn them on.

    Parameters
    ----------
    database
        Where to.
    now_ms
        The clock.
    """

    def __init__(self, database: Database, *, now_ms: Callable[[], int] = wall_clock_ms) -> None:
        self._database = database
        self._now_ms = now_ms

    def trace_until(self, device: str) -> int | None:
        """Return until when a device is traced, Unix milliseconds; None when it is not."""
        query = sa.select(_switch.c.until_ms).where(
            _switch.c.device == device, _switch.c.until_ms > self._now_ms()
        )
        with self._database.read() as connection:
            return connection.execute(query).scalar_one_or_none()

    def set_trace(self, device: str, until_ms: int | None, *, by: str = "") -> None:
        """Trace the pings of a device until then; None ends it and keeps what was traced.

        `by` is who does it, for the audit log, which keeps the device under a pseudonym; empty
        keeps it out of there.

        Raises
        ------
        InvalidInput
            The end has passed, or lies more than `LONGEST_MS` ahead.
        StoreError
            Nothing is changed.
        """
        now_ms = self._now_ms()
        if until_ms is not None and not 0 < until_ms - now_ms <= LONGEST_MS:
            days = LONGEST_MS // DAY_MS
            raise InvalidInput(
                Problem(
                    "until",
                    f"{(until_ms - now_ms) / 1000:.0f} s from now",
                    f"a trace ends in the future, at most {days} days ahead",
                )
            )
        with self._database.write() as connection:
            drop_old(cursor_of(connection), now_ms)
            who = pseudonym(cursor_of(connection), DEVICE, device) if by else ""
            if until_ms is None:
                connection.execute(sa.delete(_switch).where(_switch.c.device == device))
                note(connection, now_ms, by, "trace.end", who)
                return
            note(connection, now_ms, by, "trace.begin", who, {"until_ms": until_ms})
            cursor_of(connection).execute(_SWITCH_ON, (device, until_ms))

    def traced_devices(self, now_ms: int) -> frozenset[str]:
        """Return the devices whose pings are to be traced now."""
        with self._database.read() as connection:
            rows = cursor_of(connection).execute(
                "SELECT device FROM trace_switch WHERE until_ms > ?", (now_ms,)
            )
            return frozenset(device for (device,) in rows)

    def traces(
        self,
        device: str,
        from_ms: int | None = None,
        to_ms: int | None = None,
        *,
        limit: int = MOST_SHOWN,
    ) -> list[Trace]:
        """Return what the pings of a device meant, by fix time.

        Parameters
        ----------
        device
            Whose.
        from_ms, to_ms
            Fix times from the one on and before the other, Unix milliseconds.
        limit
            If there are more, the newest so many.
        """
        low = _EARLIEST if from_ms is None else from_ms
        high = _LATEST if to_ms is None else to_ms
        oldest = self._now_ms() - KEPT_MS
        with self._database.read() as connection:
            rows = cursor_of(connection).execute(_NEWEST, (device, low, high, oldest, limit))
            found = [_trace(row) for row in rows]
        found.reverse()
        return found

    def forget_traces(self, device: str, *, by: str = "") -> int:
        """Drop all traces of a device and end its switch; returns how many there were.

        `by` is who does it, for the audit log; empty keeps it out of there.
        """
        with self._database.write() as connection:
            cursor = cursor_of(connection)
            dropped = forget(cursor, device)
            if by:
                who = pseudonym(cursor, DEVICE, device)
                note(connection, self._now_ms(), by, "trace.forget", who, {"count": dropped})
        return dropped


def write(cursor: Any, traces: Sequence[Trace], *, recorded_ms: int, most: int) -> None:
    """Keep traces, inside the transaction of their batch; the oldest make room."""
    cursor.executemany(
        _INSERT,
        [
            (
                each.device,
                recorded_ms,
                each.ts_ms,
                each.decided_ms,
                each.lng,
                each.lat,
                each.acc_m,
                each.status,
                each.moving,
                each.stance,
                each.zone,
                each.distance_m,
                each.verdict,
                each.reason,
                each.before,
                each.after,
            )
            for each in traces
        ],
    )
    cursor.execute("DELETE FROM trace WHERE seq <= (SELECT max(seq) FROM trace) - ?", (most,))


def drop_old(cursor: Any, now_ms: int) -> None:
    """Drop switches that are over and traces that were kept long enough."""
    cursor.execute("DELETE FROM trace_switch WHERE until_ms <= ?", (now_ms,))
    cursor.execute("DELETE FROM trace WHERE recorded_ms <= ?", (now_ms - KEPT_MS,))


def forget(cursor: Any, device: str) -> int:
    """Drop the traces and the switch of a device; returns how many traces there were."""
    cursor.execute("DELETE FROM trace_switch WHERE device = ?", (device,))
    cursor.execute("DELETE FROM trace WHERE device = ?", (device,))
    return int(cursor.rowcount)


def _trace(row: Sequence[Any]) -> Trace:
    device, ts_ms, decided_ms, lng, lat, acc_m, status, moving, stance, *meaning = row
    zone, distance_m, verdict, reason, before, after = meaning
    return Trace(
        device=device,
        ts_ms=ts_ms,
        decided_ms=decided_ms,
        lng=lng,
        lat=lat,
        acc_m=acc_m,
        status=status,
        moving=bool(moving),
        stance=stance,
        zone=zone,
        distance_m=distance_m,
        verdict=verdict,
        reason=reason,
        before=before,
        after=after,
    )
