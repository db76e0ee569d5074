"""Rows of history, appended: transitions, decisions, deliveries, dead letters.

Written with the driver's own cursor, because SQLAlchemy's would cost more than the rows. What
exists already (a batch that came a second time) is left as it is; the callers get back what is
new, and only that may count anywhere. To know it costs nothing when all of it is new, which is
nearly always: rows get numbers above all others, and only when fewer were inserted than were given,
the numbers that are there are read back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from geotarget.model import Decision, Delivery, Kind, Rejected, Transition
from geotarget.store import waiting
from geotarget.store.documents import to_json
from geotarget.store.event_days import day_of
from geotarget.store.tables import STRETCH_BITS

MAX_PAYLOAD = 64 << 10
"""Bytes of a dead letter that are kept."""

_LAST_SEQS = "SELECT {}, {}, {}".format(
    *(
        f"""/*sqlite*/ max(
  (SELECT coalesce(max(seq), 0) FROM {table}),
  (SELECT coalesce(max(stretch) << {STRETCH_BITS}, 0) FROM span WHERE list = '{table}'))
/*postgresql (SELECT value FROM counter WHERE name = 'last {table}')*/
"""  # noqa: S608 - our own names
        for table in ("transition", "decision", "delivery")
    )
)
_INSERT_TRANSITION = """
INSERT INTO transition (seq, stretch, id, visit, device, zone, zone_revision, kind, ts_ms,
  decided_ms, confidence, p, initial, threshold_s, duration_s, distance_m, accuracy_m, reason)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING
"""
_INSERT_DECISION = """
INSERT INTO decision (seq, stretch, id, campaign, campaign_version, transition, device, profile,
  zone, gate, reason, decided_ms, inputs, variant, offer, expires_ms, passed, language, visit,
  cost_micros, day, budget_day, counts_until_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO NOTHING
"""
_INSERT_DELIVERY = """
INSERT INTO delivery (seq, stretch, webhook_id, endpoint, type, device, zone, campaign,
  created_ms, expires_ms, state, attempts, next_attempt_ms, ordered, event_day)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'pending', 0, ?, ?, ?)
ON CONFLICT (webhook_id, endpoint /*postgresql , event_day*/) DO NOTHING
"""
_UPSERT_SPAN = """
INSERT INTO span (list, stretch, min_ms, max_ms) VALUES (?, ?, ?, ?)
ON CONFLICT (list, stretch) DO UPDATE SET
  min_ms = min(span.min_ms, excluded.min_ms), max_ms = max(span.max_ms, excluded.max_ms)
"""
_UPSERT_DIVIDED_SPAN = """
INSERT INTO span (list, stretch, min_ms, max_ms, first_{0}, last_{0}) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (list, stretch) DO UPDATE SET
  min_ms = min(span.min_ms, excluded.min_ms), max_ms = max(span.max_ms, excluded.max_ms),
  first_{0} = min(span.first_{0}, excluded.first_{0}),
  last_{0} = max(span.last_{0}, excluded.last_{0})
"""
_IDS, _DAYS = (_UPSERT_DIVIDED_SPAN.format(place) for place in ("id", "day"))
_COUNT = """
INSERT INTO counter (name, value) VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET value = counter.value + excluded.value
"""


def count(cursor: Any, changes: Counter[str]) -> None:
    """Move the counters, inside the transaction that moves what they count, and at its end.

    In the order of their names, so that two who do it at once don't wait for each other.
    """
    cursor.executemany(_COUNT, sorted(item for item in changes.items() if item[1]))


def last_seqs(cursor: Any) -> tuple[int, int, int]:
    """Return the last numbers of transitions, decisions and deliveries.

    Also when the last row is gone (`retention`): its stretch, or the one after it, is still there.
    On PostgreSQL every partition of history would have to be asked for its highest number; there a
    counter holds the last one that was given (`partitions`).
    """
    transition, decision, delivery = cursor.execute(_LAST_SEQS).fetchone()
    return transition, decision, delivery


def write_transitions(
    cursor: Any, transitions: Sequence[Transition], last_seq: int, changes: Counter[str]
) -> Sequence[Transition]:
    """Insert transitions; return the new ones."""
    if not transitions:
        return ()
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
    instants = [each.ts_ms for each in transitions]
    _write_spans(cursor, "transition", instants, last_seq, _IDS, [each.id for each in transitions])
    changes["last transition"] += len(transitions)
    changes["transitions"] += len(new)
    changes["entries"] += sum(each.kind is Kind.ENTER for each in new)
    return new


def write_decisions(
    cursor: Any, decisions: Sequence[Decision], last_seq: int, changes: Counter[str]
) -> Sequence[Decision]:
    """Insert decisions; return the new ones."""
    if not decisions:
        return ()
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
                to_json(each.passed) if each.passed else "{}",
                each.language,
                each.visit,
                each.cost_micros,
                each.day,
                each.budget_day,
                each.counts_until_ms,
            )
            for seq, each in enumerate(decisions, last_seq + 1)
        ],
    )
    new = _new(cursor, "decision", decisions, last_seq)
    instants = [each.decided_ms for each in decisions]
    _write_spans(cursor, "decision", instants, last_seq, _IDS, [each.id for each in decisions])
    changes["last decision"] += len(decisions)
    fired = sum(each.fired for each in new)
    changes["decisions_fired"] += fired
    changes["decisions_refused"] += len(new) - fired
    return new


def write_deliveries(
    cursor: Any, deliveries: Sequence[Delivery], last_seq: int, changes: Counter[str]
) -> None:
    """Insert deliveries with their bodies; they wait from now on."""
    if not deliveries:
        return
    numbered = list(enumerate(deliveries, last_seq + 1))
    days = [day_of(each.webhook_id) for each in deliveries]
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
                each.ordered,
                day,
            )
            for (seq, each), day in zip(numbered, days, strict=True)
        ],
    )
    new = _new(cursor, "delivery", numbered, last_seq)
    cursor.executemany(
        "INSERT INTO delivery_body (delivery, body, event_day) VALUES (?, ?, ?)",
        [(seq, each.body, day_of(each.webhook_id)) for seq, each in new],
    )
    waiting.put(cursor, new)
    instants = [each.created_ms for each in deliveries]
    _write_spans(cursor, "delivery", instants, last_seq, _DAYS, days)
    changes["last delivery"] += len(deliveries)
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


def _write_spans(
    cursor: Any,
    table: str,
    instants: Sequence[int],
    last_seq: int,
    divided: str,
    places: Sequence[str | int],
) -> None:
    """Widen the stretches that rows went into; too wide is only slower, too narrow is wrong.

    Where history is divided, also the ids or days that it is divided by (`stretches`).
    """
    spans = []
    start = 0
    while start < len(instants):
        stretch = (last_seq + 1 + start) >> STRETCH_BITS
        end = ((stretch + 1) << STRETCH_BITS) - last_seq - 1
        when, where = instants[start:end], places[start:end]
        spans.append((table, stretch, min(when), max(when), min(where), max(where)))
        start = end
    if not getattr(cursor, "divides", False):
        cursor.executemany(_UPSERT_SPAN, [span[:4] for span in spans])
        return
    for span in spans:
        cursor.execute(divided, span)


def write_dead_letters(
    cursor: Any, rejected: Sequence[Rejected], most: int, changes: Counter[str]
) -> None:
    """Keep the newest dead letters. Their numbers have no gaps, so the bound is a range."""
    changes["dead_letters"] += len(rejected)
    kept = rejected[-most:] if most else ()
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
        "DELETE FROM dead_letter WHERE seq <= (SELECT max(seq) FROM dead_letter) - ?", (most,)
    )
