"""The hot write: everything that one batch of pings changes, in one transaction.

Written with the driver's own cursor, because SQLAlchemy's would cost more than the rows. What
exists already (a batch that came a second time) is left as it is and counts nowhere: neither in
the counters nor in the caps of a campaign. To know what is new costs nothing when all of it is,
which is nearly always: rows get numbers above all others, and only when fewer were inserted than
were given, the numbers that are there are read back.

A batch of 5,000 pings costs 0.4 to 1.7 µs of CPU a ping for the states, and 70 µs more for each
chain of membership, transition, fired decision, cap and delivery: a third of that is the pages that
they touch (`benchmarks/store.py`, two cores under load).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from geotarget.model import BatchWrite, Decision, Delivery, Kind, MemberRow, Rejected, Transition
from geotarget.store import live, traces
from geotarget.store.database import Database, cursor_of, wall_clock_ms
from geotarget.store.documents import to_json
from geotarget.store.tables import STRETCH_BITS

MAX_PAYLOAD = 64 << 10
"""Bytes of a dead letter that are kept."""

SWEEP_EVERY_MS = 3_600_000
"""How often a batch drops traces that were kept long enough, on its way."""

_LAST_SEQS = """
SELECT (SELECT coalesce(max(seq), 0) FROM transition),
       (SELECT coalesce(max(seq), 0) FROM decision),
       (SELECT coalesce(max(seq), 0) FROM delivery)
"""
_INSERT_TRANSITION = """
INSERT INTO transition (seq, stretch, id, visit, device, zone, zone_revision, kind, ts_ms,
  decided_ms, confidence, p, initial, threshold_s, duration_s, distance_m, accuracy_m, reason)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING
"""
_INSERT_DECISION = """
INSERT INTO decision (seq, stretch, id, campaign, campaign_version, transition, device, profile,
  zone, gate, reason, decided_ms, inputs, variant, offer, expires_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING
"""
_INSERT_DELIVERY = """
INSERT INTO delivery (seq, stretch, webhook_id, endpoint, type, device, zone, campaign,
  created_ms, expires_ms, state, attempts, next_attempt_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'pending', 0, ?) ON CONFLICT (webhook_id, endpoint) DO NOTHING
"""
_UPSERT_SPAN = """
INSERT INTO span (list, stretch, min_ms, max_ms) VALUES (?, ?, ?, ?)
ON CONFLICT (list, stretch) DO UPDATE SET
  min_ms = min(min_ms, excluded.min_ms), max_ms = max(max_ms, excluded.max_ms)
"""
_UPSERT_FIRED = """
INSERT INTO campaign_profile (campaign, profile, last_fired_ms, fired) VALUES (?, ?, ?, ?)
ON CONFLICT (campaign, profile) DO UPDATE SET
  last_fired_ms = max(last_fired_ms, excluded.last_fired_ms), fired = fired + excluded.fired
"""


def count(cursor: Any, changes: Counter[str]) -> None:
    """Move the counters, inside the transaction that moves what they count."""
    cursor.executemany(
        "UPDATE counter SET value = value + ? WHERE name = ?",
        [(by, name) for name, by in changes.items() if by],
    )


class BatchWriter:
    """Writes batches and gives the live state back after a restart.

    Parameters
    ----------
    database
        Where to.
    max_dead_letters
        How many are kept; the oldest go first.
    log
        The log of live states.
    max_traces
        How many are kept; the oldest go first.
    now_ms
        The clock.
    """

    def __init__(
        self,
        database: Database,
        *,
        max_dead_letters: int,
        log: live.LiveLog,
        max_traces: int = traces.MOST_TRACES,
        now_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        self._database = database
        self._max_dead_letters = max_dead_letters
        self._max_traces = max_traces
        self._log = log
        self._now_ms = now_ms
        self._swept_ms = 0

    def load_devices(self, *, width: int | None = None) -> tuple[list[str], bytes]:
        """Return the last committed state of every device.

        Parameters
        ----------
        width
            Bytes of a state as the caller knows it: shorter ones, written by an earlier version,
            are filled up with zeros. None takes them as they are.

        Returns
        -------
        ids : list of str
        states : bytes
            Concatenated, of one width.

        Raises
        ------
        StoreError
            States are of different widths and no `width` was given, or longer than it.
        """
        with self._database.read() as connection:
            return live.load_devices(connection, width)

    def load_members(self) -> list[MemberRow]:
        """Return the last committed memberships, in no particular order."""
        with self._database.read() as connection:
            return live.load_members(connection)

    def device_state(self, device: str) -> bytes | None:
        """Return the last committed state of one device; None when it is not known.

        Some milliseconds: the log is read from its end until the device comes up.
        """
        with self._database.read() as connection:
            return live.find_device(connection, device)

    def members_of(self, device: str) -> list[MemberRow]:
        """Return the last committed memberships of one device, in the order of the zones' ids."""
        with self._database.read() as connection:
            return live.find_members(connection, device)

    def write_batch(self, batch: BatchWrite) -> None:
        """Commit everything that a batch changes, or nothing.

        Parameters
        ----------
        batch
            What exists already (same id; for deliveries the same id and endpoint) is left alone.
            A membership that is both put and removed is put.

        Raises
        ------
        StoreError
            The commit could not be had. Nothing is written: the same batch may be given again.
        ValueError
            The device states are of no common width.
        """
        with self._database.write() as connection:
            appended = self._log.append(connection, batch)
            cursor = cursor_of(connection)
            changes: Counter[str] = Counter()
            if batch.transitions or batch.decisions or batch.deliveries:
                transition, decision, delivery = cursor.execute(_LAST_SEQS).fetchone()
                _write_transitions(cursor, batch.transitions, transition, changes)
                _write_decisions(cursor, batch.decisions, decision, changes)
                _write_deliveries(cursor, batch.deliveries, delivery, changes)
            if batch.rejected:
                self._write_dead_letters(cursor, batch.rejected, changes)
            now_ms = self._now_ms()
            if batch.traces:
                traces.write(cursor, batch.traces, recorded_ms=now_ms, most=self._max_traces)
            sweep = now_ms - self._swept_ms >= SWEEP_EVERY_MS
            if sweep:
                traces.drop_old(cursor, now_ms)
            count(cursor, changes)
        self._log.settle(appended)
        if sweep:
            self._swept_ms = now_ms

    def _write_dead_letters(
        self, cursor: Any, rejected: Sequence[Rejected], changes: Counter[str]
    ) -> None:
        """Keep the newest dead letters. Their numbers have no gaps, so the bound is a range."""
        changes["dead_letters"] += len(rejected)
        kept = rejected[-self._max_dead_letters :] if self._max_dead_letters else ()
        if not kept:
            return
        cursor.executemany(
            "INSERT INTO dead_letter (source, payload, reason, detail, received_ms, position) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            [
                (
                    letter.source,
                    letter.payload[:MAX_PAYLOAD],
                    letter.reason,
                    letter.detail,
                    letter.received_ms,
                    letter.index,
                )
                for letter in kept
            ],
        )
        cursor.execute(
            "DELETE FROM dead_letter WHERE seq <= (SELECT max(seq) FROM dead_letter) - ?",
            (self._max_dead_letters,),
        )


def _write_transitions(
    cursor: Any, transitions: Sequence[Transition], last_seq: int, changes: Counter[str]
) -> None:
    if not transitions:
        return
    cursor.executemany(
        _INSERT_TRANSITION,
        [
            (
                seq,
                seq >> STRETCH_BITS,
                each.id,
                each.visit,
                each.device,
                each.zone,
                each.zone_revision,
                each.kind.value,
                each.ts_ms,
                each.decided_ms,
                each.confidence,
                each.p,
                each.initial,
                each.threshold_s,
                each.duration_s,
                each.distance_m,
                each.accuracy_m,
                each.reason,
            )
            for seq, each in enumerate(transitions, last_seq + 1)
        ],
    )
    new = _new(cursor, "transition", transitions, last_seq)
    _write_spans(cursor, "transition", (each.ts_ms for each in transitions), last_seq)
    changes["transitions"] += len(new)
    changes["entries"] += sum(each.kind is Kind.ENTER for each in new)


def _write_decisions(
    cursor: Any, decisions: Sequence[Decision], last_seq: int, changes: Counter[str]
) -> None:
    if not decisions:
        return
    cursor.executemany(
        _INSERT_DECISION,
        [
            (
                seq,
                seq >> STRETCH_BITS,
                each.id,
                each.campaign,
                each.campaign_version,
                each.transition,
                each.device,
                each.profile,
                each.zone,
                each.gate,
                each.reason,
                each.decided_ms,
                to_json(each.inputs),
                each.variant,
                None if each.offer is None else to_json(each.offer),
                each.expires_ms,
            )
            for seq, each in enumerate(decisions, last_seq + 1)
        ],
    )
    new = _new(cursor, "decision", decisions, last_seq)
    _write_spans(cursor, "decision", (each.decided_ms for each in decisions), last_seq)
    fired = [each for each in new if each.fired]
    changes["decisions_fired"] += len(fired)
    changes["decisions_refused"] += len(new) - len(fired)
    cursor.executemany(
        _UPSERT_FIRED,
        [(each.campaign, each.profile, each.decided_ms, 1) for each in fired],
    )


def _write_deliveries(
    cursor: Any, deliveries: Sequence[Delivery], last_seq: int, changes: Counter[str]
) -> None:
    if not deliveries:
        return
    numbered = list(enumerate(deliveries, last_seq + 1))
    cursor.executemany(
        _INSERT_DELIVERY,
        [
            (
                seq,
                seq >> STRETCH_BITS,
                each.webhook_id,
                each.endpoint,
                each.type,
                each.device,
                each.zone,
                each.campaign,
                each.created_ms,
                each.expires_ms,
                each.created_ms,
            )
            for seq, each in numbered
        ],
    )
    new = _new(cursor, "delivery", numbered, last_seq)
    cursor.executemany(
        "INSERT INTO delivery_body (delivery, body) VALUES (?, ?)",
        [(seq, each.body) for seq, each in new],
    )
    _write_spans(cursor, "delivery", (each.created_ms for each in deliveries), last_seq)
    changes["deliveries_pending"] += len(new)


def _new(cursor: Any, table: str, rows: Sequence[Any], last_seq: int) -> Sequence[Any]:
    """Return those rows that the last statement inserted; the others existed."""
    if cursor.rowcount == len(rows):
        return rows
    there = {
        seq
        for (seq,) in cursor.execute(
            f"SELECT seq FROM {table} WHERE seq > ?",  # noqa: S608 - a table of ours
            (last_seq,),
        )
    }
    return [row for seq, row in enumerate(rows, last_seq + 1) if seq in there]


def _write_spans(cursor: Any, table: str, instants: Iterable[int], last_seq: int) -> None:
    """Widen the stretches that rows went into; too wide is only slower, too narrow is wrong."""
    spans: dict[int, tuple[int, int]] = {}
    for seq, at_ms in enumerate(instants, last_seq + 1):
        low, high = spans.get(seq >> STRETCH_BITS, (at_ms, at_ms))
        spans[seq >> STRETCH_BITS] = min(low, at_ms), max(high, at_ms)
    cursor.executemany(
        _UPSERT_SPAN, [(table, stretch, low, high) for stretch, (low, high) in spans.items()]
    )
