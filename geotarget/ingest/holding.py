"""Connections whose messages are collected for a while, each by itself, to be put in order.

After an unclean takeover of a session some brokers send new messages first and the unacknowledged
ones up to their ack_wait later. With one session everything waits (`Intake.hold`); with many, those
of one slot must not keep the others waiting: what comes over a held *lane* is set aside here and
becomes one batch in fix-time order when its time is over.

Pure: no thread, no clock; entries without a lane cost one comparison. What is set aside does not
count against the queue's capacity. A lane holds its window at most: the broker sends no more than
that unacknowledged, so nothing that belongs before it can come any more. The price is memory: at
worst the window of every lane, 64 times 8,192 messages, 150 MB where one has 100 bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

from geotarget.ingest.waiting import Entry, Received

_NEVER = float("inf")


@dataclass(slots=True)
class _Held:
    until_s: float
    window: int
    messages: int = 0
    entries: list[Received] = field(default_factory=list)

    @property
    def due_s(self) -> float:
        if not self.entries:
            return _NEVER
        return -_NEVER if self.messages >= self.window else self.until_s


class Lanes:
    """Which lanes are held, what came over them, and how much of each lane is in hand."""

    def __init__(self) -> None:
        self._held: dict[Hashable, _Held] = {}
        self._in_hand: Counter[Hashable] = Counter()

    def hold(self, lane: Hashable, until_s: float, window: int = 0, *, ends: bool = False) -> None:
        """Set aside what comes over a lane.

        A hold that goes on is only made longer, unless it `ends` then.
        """
        if not ends:
            held = self._held.setdefault(lane, _Held(until_s, window))
            held.until_s = max(held.until_s, until_s)
        elif lane in self._held:
            self._held[lane].until_s = min(self._held[lane].until_s, until_s)

    def enter(self, entry: Entry) -> None:
        """Note that an entry is in hand."""
        if isinstance(entry, Received) and entry.lane is not None:
            self._in_hand[entry.lane] += entry.slots

    def leave(self, entries: Iterable[Entry]) -> None:
        """Note that entries are not in hand any more."""
        for entry in entries:
            if isinstance(entry, Received) and entry.lane is not None:
                self._in_hand[entry.lane] -= entry.slots

    def in_hand(self, lane: Hashable) -> int:
        """Return how many messages of a lane wait to be acknowledged, held or not."""
        return self._in_hand[lane]

    def set_aside(self, entry: Received) -> bool:
        """Keep an entry here; False when its lane is not held (any more)."""
        held = self._held.get(entry.lane)
        if held is None:
            return False
        if not held.entries and held.until_s <= entry.since:
            del self._held[entry.lane]  # nothing came: from now on nothing waits
            return False
        self.enter(entry)
        held.entries.append(entry)
        held.messages += entry.slots
        return True

    @property
    def due_s(self) -> float:
        """When the first of them is over."""
        return min((held.due_s for held in self._held.values()), default=_NEVER)

    @property
    def messages(self) -> int:
        """How many are set aside."""
        return sum(held.messages for held in self._held.values())

    def take(self, now_s: float) -> list[Received]:
        """Return what came over one lane whose hold is over, in order of arrival."""
        for lane, held in self._held.items():
            if held.due_s <= now_s:
                return self.drop(lane)
        return []

    def take_all(self) -> list[Received]:
        """End all holds; return everything, in order of arrival within each lane."""
        entries = [entry for held in self._held.values() for entry in held.entries]
        self._held.clear()
        return entries

    def drop(self, lane: Hashable) -> list[Received]:
        """End the hold of a lane; return what came over it."""
        held = self._held.pop(lane, None)
        return [] if held is None else held.entries
