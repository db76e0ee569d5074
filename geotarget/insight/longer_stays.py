"""Stays that nobody waited for when they happened, worked out from entries and exits.

The engine tells that somebody stayed for ten minutes only where a campaign wants to know. A draft
that wants it now would find nothing in history; but an exit says how long the visit was. Where the
engine did wait for just that time, it is believed instead: from its first word of a zone on.
Visits whose end is not known are left out, for the phone may have fallen silent long before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush

from geotarget.engine.step import transition
from geotarget.model import Campaign, Kind, Transition
from geotarget.store.lookback import StayMark
from geotarget.targeting import CampaignTable


@dataclass(slots=True)
class LongerStays:
    """Puts the stays that a campaign waits for between the movements that were stored.

    Parameters
    ----------
    threshold_s
        What it waits for, seconds; None adds nothing.
    lasted
        Ids of the visits that lasted so long, as their ends say.
    told
        Ids of those of which the engine said so, and by zone when it first did, Unix milliseconds.
    """

    threshold_s: int | None = None
    lasted: set[str] = field(default_factory=set)
    told: set[str] = field(default_factory=set)
    told_from_ms: dict[str, int] = field(default_factory=dict)
    count: int = 0
    _due: list[tuple[int, str, Transition]] = field(default_factory=list)

    @classmethod
    def of(cls, campaign: Campaign, table: CampaignTable, marks: Iterable[StayMark]) -> LongerStays:
        """Find out which visits lasted as long as a campaign waits, in the zones that it means."""
        made = cls(campaign.trigger.dwell_s)
        threshold_s = made.threshold_s
        if threshold_s is None:
            return made
        for mark in marks:
            if not any(each.id == campaign.id for each in table.listening(mark.zone, Kind.DWELL)):
                continue
            if mark.threshold_s == threshold_s:
                made.told.add(mark.visit)
                first_ms = made.told_from_ms.get(mark.zone, mark.ts_ms)
                made.told_from_ms[mark.zone] = min(first_ms, mark.ts_ms)
            elif mark.ended_s is not None and mark.ended_s >= threshold_s:
                made.lasted.add(mark.visit)
        return made

    def among(self, movements: Iterable[Transition], *, to_ms: int) -> Iterator[Transition]:
        """Yield movements as they come, and the stays that were over between them.

        Parameters
        ----------
        to_ms
            Nothing is due later, Unix milliseconds.
        """
        if self.threshold_s is None:
            yield from movements
            return
        for movement in movements:
            yield from self._until(movement.decided_ms)
            yield movement
            if movement.kind is Kind.ENTER:
                self._expect(movement)
        yield from self._until(to_ms + 1)

    def _until(self, at_ms: int) -> Iterator[Transition]:
        while self._due and self._due[0][0] < at_ms:
            self.count += 1
            yield heappop(self._due)[2]

    def _expect(self, entry: Transition) -> None:
        assert self.threshold_s is not None
        due_ms = entry.ts_ms + 1000 * self.threshold_s
        trusted_ms = self.told_from_ms.get(entry.zone)
        if entry.visit not in self.lasted or entry.visit in self.told:
            return
        if trusted_ms is not None and due_ms >= trusted_ms:
            return
        stay = transition(
            device=entry.device,
            zone=entry.zone,
            zone_revision=entry.zone_revision,
            kind=Kind.DWELL,
            start_ms=entry.ts_ms,
            at_ms=due_ms,
            decided_ms=max(due_ms, entry.decided_ms),
            end_ms=due_ms,
            p=entry.p,
            reason="timer",
            initial=entry.initial,
            threshold_s=self.threshold_s,
        )
        stay = replace(stay, confidence=entry.confidence)
        heappush(self._due, (stay.decided_ms, stay.id, stay))
