"""The ping's path, one batch at a time: read this file first.

Where (`engine.zone_index`), what changed (`engine.transitions`), who is told (`targeting`) and what
must survive (`store`) meet here and nowhere else. One batch is one transaction, in which what the
gates ask is read, decided and written: nothing that they saw can have changed when it is committed.
Transports acknowledge after `process` has returned, so a ping is either committed with everything
that it caused, or it comes again. State in memory moves only after the commit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import numpy as np
import structlog

from geotarget import metrics
from geotarget.catalog import Catalog
from geotarget.engine.footfall import Collector
from geotarget.engine.intake import letter_of, refused, without
from geotarget.engine.occupants import invited, outdated
from geotarget.engine.positions import positions
from geotarget.engine.reconciling import reconcile
from geotarget.engine.rules import Rules
from geotarget.engine.step import Step
from geotarget.engine.timers import settle, waiting
from geotarget.engine.transitions import advance
from geotarget.engine.zone_table import ZoneTable
from geotarget.forgetting import ERASED, Mourner
from geotarget.model import (
    BatchWrite,
    Campaign,
    Decision,
    Delivery,
    Kind,
    Outcome,
    PingBatch,
    Policy,
    Profile,
    Rejected,
    Transition,
)
from geotarget.outcomes import count_letters, outcome_of, tally
from geotarget.owned_slots import OwnedSlots
from geotarget.snapshot import Snapshot
from geotarget.store import SlotsLost, Store, Turn
from geotarget.targeting import CampaignTable, Ledger, asked, decide, decision_id, deliveries
from geotarget.targeting.event import chosen_positions

T = TypeVar("T")

log = structlog.get_logger(__name__)

SETTLED_EVERY_MS = 1_000
"""How often deadlines are looked at."""

COUNTED_EVERY_MS = 10_000
"""How often memberships are counted: that takes a look at all of them, 9 ms for half a million."""

BEHIND_S = 5.0
"""The clock of the deadlines stays so far behind, for pings that are still on their way."""

FOREVER_MS = 1 << 62

INVITED_AT_ONCE = 1_000
"""Decisions of one transaction when a campaign asks for those who are inside."""


def wall_clock_ms() -> int:
    """Return the time of day in Unix milliseconds."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """A snapshot of the catalogue with what the engine compiled from it."""

    snapshot: Snapshot
    table: ZoneTable


@dataclass(frozen=True, slots=True)
class _Answer:
    """What campaigns answered to transitions, what goes out, and whose devices they are."""

    decisions: Sequence[Decision] = ()
    outbox: Sequence[Delivery] = ()
    profiles: Mapping[str, Profile] = field(default_factory=dict)


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
    policy
        What the operator set for all campaigns.
    now_ms
        The clock.
    behind_s
        How far the clock of the deadlines stays behind, for pings that are still on their way.
    is_live
        Whether pings come as they are sent. While they do not (no connection, a backlog), deadlines
        wait: what comes late may say that a device left before one of them.
    on_commit
        Called after a commit that made deliveries, to wake their sender.
    footfall
        Notes how many devices were where; None notes nothing.
    slots
        The slots whose devices this process works on; None means all devices.
    """

    def __init__(
        self,
        *,
        catalog: Catalog,
        store: Store,
        rules: Rules | None = None,
        policy: Policy | None = None,
        now_ms: Callable[[], int] = wall_clock_ms,
        behind_s: float = BEHIND_S,
        is_live: Callable[[], bool] = lambda: True,
        on_commit: Callable[[], None] = lambda: None,
        footfall: Collector | None = None,
        slots: OwnedSlots | None = None,
    ) -> None:
        self._catalog = catalog
        self._store = store
        self._rules = rules or Rules()
        self._policy = policy or Policy()
        self._now_ms = now_ms
        self._behind_ms = round(1000 * behind_s)
        self._is_live = is_live
        self._on_commit = on_commit
        self._footfall = footfall
        self._mourner = Mourner(store, footfall, alone=slots is None)
        self.state = self._mourner.state
        self._slots = slots
        if slots is not None:
            slots.bind(self.state, footfall, on_adopted=self._look_anew)
        self._view = self._compile(catalog.snapshot)
        self._reconciled = -1
        self._invited: set[tuple[str, int]] = set()
        self._settled_ms = now_ms()
        self._counted_ms = 0
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
        if self._slots is not None:
            self._slots.run_errands()
        view = self._current()
        outcome = Outcome(accepted=0)
        if len(pings) or rejected:
            outcome = self._heed(lambda: self._process(view, pings, rejected))
        self._heed(lambda: self._let_time_pass(view))
        return outcome

    def finish(self) -> None:
        """Write what was noted of places in the last minute; process nothing afterwards."""
        while self._footfall is not None and self._footfall.due(FOREVER_MS):
            self._heed(lambda: self._commit(self._view.snapshot, Step()))

    def _process(self, view: _View, pings: PingBatch, rejected: Sequence[Rejected]) -> Outcome:
        started = time.perf_counter()
        if self._slots is not None:  # lost in between: whoever has them now gets these pings, too
            pings = self._slots.ours(pings)
        pairs = view.snapshot.index.query(lng=pings.lng, lat=pings.lat)
        bad = self._mourner.refusals(pings, refused(pings, pairs, self._rules))
        good, pairs = without(pings, pairs, [position for position, _, _ in bad])
        step = advance(self.state, good, pairs, view.table, self._rules, self._traced)
        metrics.match_batch_seconds.observe(time.perf_counter() - started)

        letters = [
            *self._mourner.letters(rejected),
            *(letter_of(pings, *each) for each in bad if each[1] != ERASED),
        ]
        answer = self._commit(view.snapshot, step, letters)
        if len(good):
            self._batch_ms, self._fixed_ms = self._now_ms(), int(np.median(good.ts))
            if self._footfall is not None:
                self._footfall.note(self.state, good, step.status, self._batch_ms)
        count_letters(letters, erased=len(rejected) + len(bad) - len(letters))
        return outcome_of(len(good), bad, step, answer.decisions, len(answer.outbox))

    def _let_time_pass(self, view: _View) -> None:
        """Decide what no ping decides, once a second and a little behind the clock."""
        now_ms = self._now_ms()
        if 0 <= now_ms - self._settled_ms < SETTLED_EVERY_MS:  # the clock may be set back
            return
        self._mourner.look()
        self._settled_ms = now_ms
        self._traced = self._store.traced_devices(now_ms)
        if not 0 <= now_ms - self._counted_ms < COUNTED_EVERY_MS:
            self._counted_ms = now_ms
            for state, count in waiting(self.state, self._rules, now_ms).items():
                metrics.memberships.labels(state).set(count)
        if not self._is_live():
            return
        # A backlog is worked off in its own time: half of the last batch is older than this.
        recent = now_ms - self._batch_ms < self._behind_ms
        clock_ms = min(now_ms, self._fixed_ms) if recent else now_ms
        step = settle(self.state, view.table, self._rules, clock_ms - self._behind_ms)
        if not step.is_empty:
            answer = self._commit(view.snapshot, step)
            tally(step.transitions, answer.decisions)

    def _current(self) -> _View:
        """Return the view of the current snapshot; who was inside already is looked at again."""
        snapshot = self._catalog.snapshot
        before = None
        if snapshot is not self._view.snapshot:
            before = self._view.table
            self._view = self._compile(snapshot)
        if self._reconciled != snapshot.revision:
            table, rules = self._view.table, self._rules
            # what a changed catalogue does to those inside; the second upon the first
            self._edit(lambda: reconcile(self.state, table, rules, before))
            self._edit(lambda: outdated(self.state, table))
            for campaign in snapshot.campaigns:
                if campaign.inside_asked_ms is not None:
                    self._heed(partial(self._invite, campaign, campaign.inside_asked_ms))
            self._reconciled = snapshot.revision
        return self._view

    def _edit(self, change: Callable[[], Step]) -> None:
        def commit() -> None:
            step = change()
            if not step.is_empty:
                self._commit(self._view.snapshot, step)
                tally(step.transitions, ())

        self._heed(commit)

    def _heed(self, work: Callable[[], T]) -> T:
        """Do a piece of work again if somebody was erased, or a slot lost, before its commit."""
        while True:
            try:
                return self._mourner.heed(work, self._untrace)
            except SlotsLost as lost:
                if self._slots is None:
                    raise
                self._slots.lose(lost.slots)

    def _look_anew(self) -> None:
        """Look at everybody inside again: others came, whom another process saw last."""
        self._reconciled = -1
        self._invited.clear()

    def _untrace(self, devices: frozenset[str]) -> None:
        self._traced -= devices

    def _compile(self, snapshot: Snapshot) -> _View:
        metrics.zone_index_version.set(snapshot.revision)
        metrics.zone_index_zones.set(len(snapshot.index))
        listening = snapshot.table
        table = ZoneTable.compile(
            snapshot.index, listening.thresholds_s, self._rules, timed=listening.timed
        )
        return _View(snapshot, table)

    def _commit(self, snapshot: Snapshot, step: Step, letters: Sequence[Rejected] = ()) -> _Answer:
        """Ask, decide and write in one transaction, then move the state in memory."""
        footfall = self._footfall
        with self._store.turn() as turn:
            self._mourner.check(turn)
            answer = self._decide(turn, snapshot, snapshot.table, step.transitions)
            started = time.perf_counter()
            turn.write(
                BatchWrite(
                    devices=[self.state.ids[row] for row in step.rows.tolist()],
                    device_states=step.devices.tobytes(),
                    rows=step.rows,
                    members_put=step.member_rows(self.state),
                    members_removed=[(self.state.ids[row], zone) for row, _, zone in step.removed],
                    transitions=step.transitions,
                    decisions=answer.decisions,
                    deliveries=answer.outbox,
                    rejected=letters,
                    traces=step.traces,
                    profiles={device: each.id for device, each in answer.profiles.items()},
                    footfall=() if footfall is None else footfall.due(self._now_ms()),
                )
            )
        metrics.commit_seconds.observe(time.perf_counter() - started)
        step.apply(self.state)
        if footfall is not None:
            footfall.written()
        if answer.outbox:
            self._on_commit()
        return answer

    def _decide(
        self,
        turn: Turn,
        snapshot: Snapshot,
        table: CampaignTable,
        transitions: Sequence[Transition],
    ) -> _Answer:
        """Return what the campaigns of a table answer, and what goes to which endpoint."""
        if not transitions:
            return _Answer()
        profiles = turn.profiles_of(sorted({each.device for each in transitions}))
        needed = asked(transitions, table=table, profiles=profiles)
        ledger = Ledger.read(turn, needed, profiles)
        now_ms = self._now_ms()
        decisions = decide(
            transitions,
            table=table,
            zones=snapshot.zones,
            audiences=snapshot.audiences,
            ledger=ledger,
            now_ms=now_ms,
            policy=self._policy,
        )
        choices = chosen_positions(snapshot.endpoints.values(), self._policy.positions)
        outbox = deliveries(
            transitions,
            decisions,
            zones=snapshot.zones,
            campaigns={each.id: each for each in snapshot.campaigns},
            endpoints=snapshot.endpoints,
            profiles=profiles,
            now_ms=now_ms,
            choices=choices,
            positions=_told(transitions, choices, snapshot) if choices else {},
        )
        return _Answer(decisions, outbox, profiles)

    def _invite(self, campaign: Campaign, asked_ms: int) -> None:
        """Let a campaign answer those who are inside already, as its author asked; once.

        After a restart it is asked again as long as a transition of that time would fire: who was
        answered is known by the ids.
        """
        question = (campaign.id, asked_ms)
        old = self._now_ms() - asked_ms > 1000 * self._policy.max_age_s
        if question in self._invited or old:
            return
        snapshot = self._view.snapshot
        table = CampaignTable.compile([campaign], snapshot.tags)
        kind = Kind.ENTER if Kind.ENTER in campaign.trigger.on else Kind.DWELL
        found = invited(
            self.state,
            self._view.table,
            campaign=campaign.id,
            asked_ms=asked_ms,
            means=lambda zone: bool(table.listening(zone, kind)),
            dwell_s=campaign.trigger.dwell_s if kind is Kind.DWELL else None,
        )
        for start in range(0, len(found), INVITED_AT_ONCE):
            with self._store.turn() as turn:
                self._mourner.check(turn)
                left = _unheard(turn, campaign, found[start : start + INVITED_AT_ONCE])
                answer = self._decide(turn, snapshot, table, left)
                # these are no movements: history and subscribers of transitions hear nothing
                outbox = [each for each in answer.outbox if each.campaign]
                if answer.decisions:
                    turn.write(BatchWrite(decisions=answer.decisions, deliveries=outbox))
            tally((), answer.decisions)
            if outbox:
                self._on_commit()
        self._invited.add(question)
        log.info("asked for who is inside", campaign=campaign.id, visits=len(found))


def _unheard(turn: Turn, campaign: Campaign, transitions: Sequence[Transition]) -> list[Transition]:
    """Return the transitions whose visit has not heard from a campaign, nor was answered before."""
    profiles = turn.profiles_of(sorted({each.device for each in transitions}))
    behaviour = turn.behaviour_of(sorted({each.id for each in profiles.values()}))
    answered = turn.decided([decision_id(each, campaign.id) for each in transitions])
    return [
        each
        for each in transitions
        if decision_id(each, campaign.id) not in answered
        and not any(
            heard.campaign == campaign.id and heard.visit == each.visit
            for heard in behaviour[profiles[each.device].id].heard
        )
    ]


def _told(
    transitions: Sequence[Transition], choices: Mapping[str, str], snapshot: Snapshot
) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    """Return what endpoints that ask for positions may know of these."""
    zones = snapshot.zones
    return positions(
        transitions,
        sorted(set(choices.values())),
        index=snapshot.index,
        is_sensitive=lambda zone: zones[zone].sensitive,
    )
