"""The ping's path, one batch at a time: read this file first.

Where (`engine.zone_index`), what changed (`engine.transitions`), who is told (`targeting`) and what
must survive (`store`) meet here and nowhere else. One batch is one transaction: transports
acknowledge after `process` has returned, so a ping is either committed with everything that it
caused, or it comes again. State in memory moves only after the commit.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import structlog

from geotarget import metrics
from geotarget.catalog import Catalog, Snapshot
from geotarget.engine.acceptance import DUPLICATE, LATE, SUSPECT
from geotarget.engine.intake import refused, without
from geotarget.engine.live_state import DEVICE, LiveState
from geotarget.engine.reconciling import reconcile
from geotarget.engine.rules import Rules
from geotarget.engine.step import Step
from geotarget.engine.timers import settle, waiting
from geotarget.engine.transitions import advance
from geotarget.engine.zone_table import ZoneTable
from geotarget.model import (
    BatchWrite,
    Decision,
    Delivery,
    Outcome,
    PingBatch,
    Rejected,
    Transition,
)
from geotarget.store import Store
from geotarget.targeting import candidates, decide, deliveries

log = structlog.get_logger(__name__)

SETTLED_EVERY_MS = 1_000
"""How often deadlines are looked at."""

BEHIND_S = 5.0
"""The clock of the deadlines stays so far behind, for pings that are still on their way."""


def wall_clock_ms() -> int:
    """Return the time of day in Unix milliseconds."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """A snapshot of the catalogue with what the engine compiled from it."""

    snapshot: Snapshot
    table: ZoneTable


class Pipeline:
    """Takes batches of pings through the engine and into the store.

    One writer: call it from one thread.

    Parameters
    ----------
    catalog
        Where the current zones and campaigns are found.
    store
        Where everything is committed; the state of the last run is restored from it.
    rules
        The figures of the entry rules.
    offer_max_age_s
        A transition that is older than this when it is decided fires no offer, seconds.
    now_ms
        The clock.
    behind_s
        How far the clock of the deadlines stays behind, for pings that are still on their way.
    is_live
        Whether pings come as they are sent. While they do not (no connection, a backlog), deadlines
        wait: what comes late may say that a device left before one of them.
    on_commit
        Called after a commit that made deliveries, to wake their sender.
    """

    def __init__(
        self,
        *,
        catalog: Catalog,
        store: Store,
        rules: Rules | None = None,
        offer_max_age_s: float = 900.0,
        now_ms: Callable[[], int] = wall_clock_ms,
        behind_s: float = BEHIND_S,
        is_live: Callable[[], bool] = lambda: True,
        on_commit: Callable[[], None] = lambda: None,
    ) -> None:
        self._catalog = catalog
        self._store = store
        self._rules = rules or Rules()
        self._offer_max_age_s = offer_max_age_s
        self._now_ms = now_ms
        self._behind_ms = round(1000 * behind_s)
        self._is_live = is_live
        self._on_commit = on_commit
        devices, states = store.load_devices(width=DEVICE.itemsize)
        self.state = LiveState.restore(devices, states, store.load_members())
        self._view = self._compile(catalog.snapshot)
        self._reconciled = -1
        self._settled_ms = now_ms()
        self._batch_ms = self._fixed_ms = now_ms()
        self._traced = store.traced_devices(now_ms())
        log.info("state restored", devices=len(self.state), memberships=self.state.memberships)

    def process(self, pings: PingBatch, rejected: Sequence[Rejected] = ()) -> Outcome:
        """Take one batch all the way.

        Parameters
        ----------
        pings
            Decoded pings in order of arrival.
        rejected
            What could not be decoded; kept as dead letters in the same transaction.

        Raises
        ------
        StoreError
            A commit failed. The same batch may be given again: if its own commit had succeeded, its
            pings are known as duplicates.

        Notes
        -----
        An empty batch is allowed: it makes a changed catalogue take effect at once, and lets
        deadlines pass while no pings come.
        """
        view = self._current()
        outcome = Outcome(accepted=0)
        if len(pings) or rejected:
            outcome = self._process(view, pings, rejected)
        self._let_time_pass(view)
        return outcome

    def _process(self, view: _View, pings: PingBatch, rejected: Sequence[Rejected]) -> Outcome:
        started = time.perf_counter()
        pairs = view.snapshot.index.query(lng=pings.lng, lat=pings.lat)
        bad = refused(pings, pairs, self._rules)
        good, pairs = without(pings, pairs, [position for position, _, _ in bad])
        step = advance(self.state, good, pairs, view.table, self._rules, self._traced)
        metrics.match_batch_seconds.observe(time.perf_counter() - started)

        decisions, outbox = self._decide(view.snapshot, step.transitions)
        letters = [*rejected, *(_letter(pings, *each) for each in bad)]
        self._commit(step, decisions, outbox, letters)
        if len(good):
            self._batch_ms, self._fixed_ms = self._now_ms(), int(np.median(good.ts))
        _count(letters)
        return _outcome(len(good), bad, step, decisions, outbox)

    def _let_time_pass(self, view: _View) -> None:
        """Decide what no ping decides, once a second and a little behind the clock."""
        now_ms = self._now_ms()
        if now_ms - self._settled_ms < SETTLED_EVERY_MS:
            return
        self._settled_ms = now_ms
        self._traced = self._store.traced_devices(now_ms)
        for state, count in waiting(self.state, self._rules, now_ms).items():
            metrics.memberships.labels(state).set(count)
        if not self._is_live():
            return
        # A backlog is worked off in its own time: half of the last batch is older than this.
        recent = now_ms - self._batch_ms < self._behind_ms
        clock_ms = min(now_ms, self._fixed_ms) if recent else now_ms
        step = settle(self.state, view.table, self._rules, clock_ms - self._behind_ms)
        if not step.is_empty:
            decisions, outbox = self._decide(view.snapshot, step.transitions)
            self._commit(step, decisions, outbox, letters=())
            _tally(step, decisions)

    def _current(self) -> _View:
        """Return the view of the current snapshot; who stood in a changed zone is judged again."""
        snapshot = self._catalog.snapshot
        before = None
        if snapshot is not self._view.snapshot:
            before = self._view.table
            self._view = self._compile(snapshot)
        if self._reconciled != snapshot.revision:
            step = reconcile(self.state, self._view.table, self._rules, before)
            if not step.is_empty:
                self._commit(step, decisions=(), outbox=(), letters=())
                _tally(step, ())
            self._reconciled = snapshot.revision
        return self._view

    def _compile(self, snapshot: Snapshot) -> _View:
        metrics.zone_index_version.set(snapshot.revision)
        metrics.zone_index_zones.set(len(snapshot.index))
        table = ZoneTable.compile(snapshot.index, snapshot.table.thresholds_s, self._rules)
        return _View(snapshot, table)

    def _decide(
        self, snapshot: Snapshot, transitions: Sequence[Transition]
    ) -> tuple[list[Decision], list[Delivery]]:
        """Return what the campaigns answer, and what goes to which endpoint."""
        if not transitions:
            return [], []
        profiles = self._store.profiles_of(sorted({each.device for each in transitions}))
        asked = candidates(transitions, table=snapshot.table, profiles=profiles)
        now_ms = self._now_ms()
        decisions = decide(
            transitions,
            table=snapshot.table,
            zones=snapshot.zones,
            profiles=profiles,
            last_fired=self._store.last_fired(asked),
            now_ms=now_ms,
            max_age_s=self._offer_max_age_s,
        )
        outbox = deliveries(
            transitions,
            decisions,
            zones=snapshot.zones,
            campaigns={each.id: each for each in snapshot.campaigns},
            endpoints=snapshot.endpoints,
            profiles=profiles,
            now_ms=now_ms,
        )
        return decisions, outbox

    def _commit(
        self,
        step: Step,
        decisions: Sequence[Decision],
        outbox: Sequence[Delivery],
        letters: Sequence[Rejected],
    ) -> None:
        """Write everything in one transaction, then move the state in memory."""
        with metrics.commit_seconds.time():
            self._store.write_batch(
                BatchWrite(
                    devices=[self.state.ids[row] for row in step.rows.tolist()],
                    device_states=step.devices.tobytes(),
                    members_put=step.member_rows(self.state),
                    members_removed=[(self.state.ids[row], zone) for row, _, zone in step.removed],
                    transitions=step.transitions,
                    decisions=decisions,
                    deliveries=outbox,
                    rejected=letters,
                    traces=step.traces,
                )
            )
        step.apply(self.state)
        if outbox:
            self._on_commit()


def _letter(pings: PingBatch, position: int, reason: str, sentence: str) -> Rejected:
    """Return the dead letter of a ping that the intake rules refused."""
    shown = (
        f'{{"device":"{pings.device[position]}","ts":{pings.ts[position] / 1000},'
        f'"lat":{pings.lat[position]},"lng":{pings.lng[position]}}}'
    )
    return Rejected(
        source="intake",
        payload=shown.encode(),
        reason=reason,
        detail=sentence,
        received_ms=int(pings.received[position]),
    )


def _count(letters: Sequence[Rejected]) -> None:
    for reason, count in Counter(each.reason for each in letters).items():
        metrics.pings_rejected.labels(reason).inc(count)


def _outcome(
    accepted: int,
    bad: Sequence[tuple[int, str, str]],
    step: Step,
    decisions: Sequence[Decision],
    outbox: Sequence[Delivery],
) -> Outcome:
    """Count what became of a batch, for the caller and for the metrics."""
    outcome = Outcome(
        accepted=accepted,
        refused=bad,
        late=int((step.status == LATE).sum()),
        duplicates=int((step.status == DUPLICATE).sum()),
        suspects=int((step.status == SUSPECT).sum()),
        holds=step.holds,
        transitions=Counter(each.kind.value for each in step.transitions),
        decisions=Counter(each.gate for each in decisions),
        deliveries=len(outbox),
    )
    metrics.pings_late.inc(outcome.late)
    metrics.pings_duplicate.inc(outcome.duplicates)
    metrics.pings_suspect.inc(outcome.suspects)
    for reason, count in outcome.holds.items():
        metrics.holds.labels(reason).inc(count)
    _tally(step, decisions)
    return outcome


def _tally(step: Step, decisions: Sequence[Decision]) -> None:
    """Count transitions and decisions for the metrics."""
    for kind, count in Counter(each.kind.value for each in step.transitions).items():
        metrics.transitions.labels(kind).inc(count)
    for gate, count in Counter(each.gate for each in decisions).items():
        metrics.decisions.labels(gate).inc(count)
