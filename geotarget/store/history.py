"""What happened, newest first: transitions, decisions, deliveries, dead letters, page by page.

The order is that of the commits, so a reader who follows the list misses nothing that came late.
A filter by instant goes by the row's own time. Pages cost what they show, and 2 µs for each stretch
of 4,096 rows that the filter by time leaves and that holds nothing of the device, zone, campaign or
endpoint (`tables` says why). A kind or a gate is looked for row by row among what is left, only
fired decisions and failed deliveries have indices of their own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import msgspec

from geotarget.model import Attempt, Decision, Kind, Rejected, Transition
from geotarget.store.database import Database, cursor_of
from geotarget.store.documents import from_json
from geotarget.store.event_days import day_of, within
from geotarget.store.ordering import PARKED_MS
from geotarget.store.outbox import FAILED
from geotarget.store.pages import Page, check_limit, cut, read_cursor
from geotarget.store.stretches import walk
from geotarget.store.tables import STRETCH_BITS

T = TypeVar("T")

_EARLIEST, _LATEST = -(2**63), 2**63 - 1


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """A delivery without its body.

    `state` is ``pending``, ``delivered``, ``failed`` or ``expired``; `status` the HTTP status of
    the last attempt; `finished_ms` when it stopped being pending; `next_attempt_ms` None while it
    waits for an earlier one of its device.
    """

    webhook_id: str
    endpoint: str
    type: str
    device: str
    zone: str
    campaign: str
    created_ms: int
    expires_ms: int | None
    state: str
    attempts: int
    next_attempt_ms: int | None
    status: int | None
    finished_ms: int | None


@dataclass(frozen=True, slots=True)
class DeliveryDetail:
    """A delivery with what was posted and all attempts, oldest first."""

    delivery: DeliveryRow
    body: bytes
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True)
class Totals:
    """How much there is, from counters: reading them costs the same at any size.

    Deliveries are counted by the state that they are in now, all else since the beginning.
    """

    transitions: int
    entries: int
    decisions_fired: int
    decisions_refused: int
    deliveries_pending: int
    deliveries_delivered: int
    deliveries_failed: int
    deliveries_expired: int
    attempts: int
    dead_letters: int


@dataclass(frozen=True, slots=True)
class _List:
    """A history table, its columns in the order of the record, and its indices.

    `indexed` names the columns with an index in each stretch, the most selective first; `rare` the
    values that have an index of their own.
    """

    table: str
    time: str
    columns: str
    indexed: tuple[str, ...]
    rare: Mapping[tuple[str, str], str]


_TRANSITIONS = _List(
    table="transition",
    time="ts_ms",
    columns="id, visit, device, zone, zone_revision, kind, ts_ms, decided_ms, confidence, p, "
    "initial, threshold_s, duration_s, distance_m, accuracy_m, reason",
    indexed=("device", "zone"),
    rare={},
)
_DECISIONS = _List(
    table="decision",
    time="decided_ms",
    columns="id, campaign, campaign_version, transition, device, profile, zone, gate, reason, "
    "decided_ms, inputs, variant, offer, expires_ms, passed, language, visit, cost_micros, day, "
    "budget_day, counts_until_ms",
    indexed=("device", "campaign", "zone"),
    rare={("gate", "fired"): "decision_fired"},
)
_NEXT_ATTEMPT = f"""
CASE WHEN state <> 'pending' THEN next_attempt_ms ELSE (
  SELECT nullif(waiting.next_attempt_ms, {PARKED_MS}) FROM waiting
  WHERE waiting.seq = delivery.seq) END
"""  # noqa: S608 - our own figure
_DELIVERIES = _List(
    table="delivery",
    time="created_ms",
    columns="webhook_id, endpoint, type, device, zone, campaign, created_ms, expires_ms, state, "
    f"attempts, {_NEXT_ATTEMPT}, status, finished_ms",
    indexed=("device", "endpoint", "zone", "campaign"),
    rare={("state", FAILED): "delivery_failed"},
)
_DELIVERY = f"""
SELECT {_DELIVERIES.columns}, body
FROM delivery JOIN delivery_body ON delivery_body.delivery = delivery.seq {{}}
WHERE webhook_id = ? {{}} ORDER BY endpoint
"""  # noqa: S608 - our own columns
_ATTEMPTS = """
SELECT webhook_id, endpoint, attempt, started_ms, duration_ms, attempt.state,
  attempt.next_attempt_ms, attempt.status, error, answer
FROM delivery JOIN attempt ON attempt.delivery = delivery.seq {}
WHERE webhook_id = ? {} ORDER BY attempt.started_ms, attempt.seq
"""
_DEAD_LETTERS = """
SELECT seq, source, payload, reason, detail, received_ms, position FROM dead_letter
WHERE seq < ? AND (CAST(? AS TEXT) IS NULL OR reason = ?) AND received_ms >= ? AND received_ms < ?
ORDER BY seq DESC LIMIT ?
"""
_DEAD_LETTERS_NAMING = """
SELECT source, payload, reason, detail, received_ms, position FROM dead_letter
WHERE received_ms >= ?3 AND received_ms < ?4
  AND (instr(source, ?1) > 0 OR source IN ('http', 'intake')
       AND (instr(payload, CAST(?1 AS BLOB)) > 0 OR instr(payload, CAST(?2 AS BLOB)) > 0))
ORDER BY seq DESC
"""


class History:
    """Reads what was committed.

    Parameters
    ----------
    database
        Where it is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def transitions_page(
        self,
        *,
        device: str | None = None,
        zone: str | None = None,
        kind: Kind | None = None,
        from_ms: int | None = None,
        to_ms: int | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[Transition]:
        """Return transitions, those committed last first.

        Parameters
        ----------
        device, zone, kind
            Only these.
        from_ms, to_ms
            Only those that happened from the one on and before the other, Unix milliseconds.
        limit
            Most items, 1 to 1000.
        cursor
            `Page.next` of the page before.

        Raises
        ------
        InvalidInput
            The limit is out of bounds or the cursor of no such list.
        """
        return self._page(
            _TRANSITIONS,
            {"device": device, "zone": zone, "kind": kind and kind.value},
            _Range(from_ms, to_ms, limit, cursor),
            _transition,
        )

    def decisions_page(
        self,
        *,
        device: str | None = None,
        zone: str | None = None,
        campaign: str | None = None,
        gate: str | None = None,
        from_ms: int | None = None,
        to_ms: int | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[Decision]:
        """Return decisions, those committed last first.

        Parameters and errors as of `transitions_page`; `gate` is ``fired`` or the one that refused.
        """
        return self._page(
            _DECISIONS,
            {"device": device, "zone": zone, "campaign": campaign, "gate": gate},
            _Range(from_ms, to_ms, limit, cursor),
            _decision,
        )

    def deliveries_page(
        self,
        *,
        device: str | None = None,
        zone: str | None = None,
        campaign: str | None = None,
        endpoint: str | None = None,
        type: str | None = None,
        state: str | None = None,
        from_ms: int | None = None,
        to_ms: int | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[DeliveryRow]:
        """Return deliveries without their bodies, those made last first.

        Parameters and errors as of `transitions_page`; `state` is ``pending``, ``delivered``,
        ``failed`` or ``expired``.
        """
        return self._page(
            _DELIVERIES,
            {
                "device": device,
                "endpoint": endpoint,
                "zone": zone,
                "campaign": campaign,
                "type": type,
                "state": state,
            },
            _Range(from_ms, to_ms, limit, cursor),
            lambda row: DeliveryRow(*row[1:]),
        )

    def delivery(self, webhook_id: str) -> list[DeliveryDetail]:
        """Return an event's deliveries, one per endpoint; empty when there are none."""
        attempts: dict[str, list[Attempt]] = {}
        with self._database.read() as connection:
            cursor = cursor_of(connection)
            days = [day_of(webhook_id)]
            of = within(days, "delivery.")
            said = _ATTEMPTS.format(within(days, "attempt."), of)
            for row in cursor.execute(said, (webhook_id,)):
                attempts.setdefault(row[1], []).append(Attempt(*row))
            posted = _DELIVERY.format(within(days, "delivery_body."), of)
            found = cursor.execute(posted, (webhook_id,)).fetchall()
        return [
            DeliveryDetail(DeliveryRow(*row[:-1]), row[-1], tuple(attempts.get(row[1], ())))
            for row in found
        ]

    def dead_letters_page(
        self,
        *,
        reason: str | None = None,
        from_ms: int | None = None,
        to_ms: int | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[Rejected]:
        """Return what was refused, newest first.

        Parameters and errors as of `transitions_page`; the instants are those of the arrival.
        """
        wanted = _Range(from_ms, to_ms, limit, cursor)
        values = (wanted.after("dead_letter"), reason, reason, *wanted.bounds, wanted.limit + 1)
        with self._database.read() as connection:
            rows = cursor_of(connection).execute(_DEAD_LETTERS, values).fetchall()
        return cut(rows, limit, list="dead_letter", place=0, make=lambda row: Rejected(*row[1:]))

    def dead_letters_of(
        self, device: str, *, from_ms: int | None = None, to_ms: int | None = None, limit: int = 100
    ) -> list[Rejected]:
        """Return what was refused of one device, newest first.

        Parameters
        ----------
        device
            Named by the topic, or by the ping itself where it came another way. Messages of
            several pings over HTTP that were refused as a whole name nobody.
        from_ms, to_ms
            Only what arrived from the one on and before the other, Unix milliseconds.
        limit
            Most items.
        """
        bounds = _Range(from_ms, to_ms, limit, None).bounds
        with self._database.read() as connection:
            named = (device, json.dumps(device)[1:-1], *bounds)  # as it is, or in \u escapes
            rows = cursor_of(connection).execute(_DEAD_LETTERS_NAMING, named)
            letters = (Rejected(*row) for row in rows)
            found = (letter for letter in letters if named_device(letter) == device)
            return list(islice(found, limit))

    def counts(self) -> Totals:
        """Return the totals; cheap enough to ask every second."""
        with self._database.read() as connection:
            values = dict(cursor_of(connection).execute("SELECT name, value FROM counter"))
        return Totals(**{name: values[name] for name in Totals.__slots__})

    def _page(
        self,
        of: _List,
        filters: Mapping[str, str | None],
        wanted: _Range,
        make: Callable[[Sequence[Any]], T],
    ) -> Page[T]:
        statement, values = _statement(of, filters, wanted)
        with self._database.read() as connection:
            rows = cursor_of(connection).execute(statement, values).fetchall()
        return cut(rows, wanted.limit, list=of.table, place=0, make=make)


@dataclass(frozen=True, slots=True)
class _Range:
    """Which part of a list is wanted."""

    from_ms: int | None
    to_ms: int | None
    limit: int
    cursor: str | None

    def __post_init__(self) -> None:
        check_limit(self.limit)

    @property
    def bounds(self) -> tuple[int, int]:
        """The first instant, and the one after the last."""
        low = _EARLIEST if self.from_ms is None else max(self.from_ms, _EARLIEST)
        high = _LATEST if self.to_ms is None else min(self.to_ms, _LATEST)
        return low, high

    def after(self, list: str) -> int:
        """Return the number that the rows are below."""
        return _LATEST if self.cursor is None else read_cursor(self.cursor, list, int)


def _statement(
    of: _List, filters: Mapping[str, str | None], wanted: _Range
) -> tuple[str, tuple[Any, ...]]:
    """Return the query of a page, and its values.

    From the newest stretch that can hold the instants to the oldest; in each the index that serves,
    or the rows themselves (`stretches`).
    """
    given = {column: value for column, value in filters.items() if value is not None}
    terms: list[str] = []
    local = next((column for column in of.indexed if column in given), None)
    rare = next((item for item in given.items() if item in of.rare), None)
    if local is not None:
        index = f"INDEXED BY {of.table}_{local}"
        terms.append(f"{of.table}.stretch = span.stretch")
    else:
        index = "NOT INDEXED"
        terms.append(
            f"seq >= span.stretch << {STRETCH_BITS} AND seq < (span.stretch + 1) << {STRETCH_BITS}"
        )
        if rare is not None:  # a partial index serves only who names its condition literally
            index = f"INDEXED BY {of.rare[rare]}"
            terms.append("{} = '{}'".format(*rare))
            del given[rare[0]]
    terms.append(f"seq < ? AND {of.time} >= ? AND {of.time} < ?")
    terms += [f"{column} = ?" for column in given]
    after = wanted.after(of.table)
    values = (
        *(after >> STRETCH_BITS, *wanted.bounds),
        *(after, *wanted.bounds),
        *given.values(),
    )
    statement = walk(
        of.table,
        f"seq, {of.columns}",
        index=index,
        spans=f"list = '{of.table}' AND span.stretch <= ? AND max_ms >= ? AND min_ms < ?",
        rows=" AND ".join(terms),
        newest_first=True,
        most=wanted.limit + 1,
    )
    return statement, values


def named_device(letter: Rejected) -> str:
    """Return the device that a dead letter is about; empty when it names none."""
    if letter.source in ("http", "intake"):
        try:
            ping = from_json(letter.payload.decode())
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return ""
        named = ping.get("device") if isinstance(ping, dict) else ""
        return named if isinstance(named, str) else ""
    first, _, rest = letter.source.partition("/")
    return rest if first == "owntracks" else letter.source.rpartition("/")[2]


def _transition(row: Sequence[Any]) -> Transition:
    id_, visit, device, zone, zone_revision, kind, ts_ms, decided_ms, *how = row[1:]
    confidence, p, initial, threshold_s, duration_s, distance_m, accuracy_m, reason = how
    return Transition(
        id=id_,
        visit=visit,
        device=device,
        zone=zone,
        zone_revision=zone_revision,
        kind=Kind(kind),
        ts_ms=ts_ms,
        decided_ms=decided_ms,
        confidence=confidence,
        p=p,
        initial=bool(initial),
        threshold_s=threshold_s,
        duration_s=duration_s,
        distance_m=distance_m,
        accuracy_m=accuracy_m,
        reason=reason,
    )


def _decision(row: Sequence[Any]) -> Decision:
    values = list(row[1:])
    values[10] = from_json(values[10])
    values[12] = None if values[12] is None else from_json(values[12])
    values[14] = {} if values[14] == "{}" else from_json(values[14])
    return Decision(*values)
