"""Whether this worker reaches its broker: who does not should have no slots.

Leases say that a process lives, not that it hears anything. A worker whose only broker is dead, or
on the other side of a cut cable, would keep its slots while others could work on them.

A broker that is started again is back within seconds, and so are its sessions by themselves; only
after `AWAY_S` are the slots given back. From then on one question a tick (`ingest.knocking`) finds
out when the broker is there again, so whoever gets there first takes everything, and the others
come for their share as they always do. While nobody gets there the slots lie free: nobody takes
what he could not work on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import Enum, auto

from geotarget.ingest import SlotSource

AWAY_S = 3.5
"""So long without one connection, and slots go to others.

Sessions try again after 0.25 s and then every half second (`paho_polling.OFTEN_S`): a broker that
is back within 3 s has lost nobody his slots. With the hold of whoever takes them over it makes 8 s,
what a worker's death may cost as well. Where a broker is away for longer for everybody nothing is
lost by it: sessions that come back after a break are held just the same.
"""

ANSWERED_S = 3.0
"""So long an answer counts that was given to a worker without sessions."""

FROZEN_S = 3.0
"""Whoever looks so late was frozen, or held up by the database: that time tells nothing."""

LONGEST_S = 300.0


class Reach(Enum):
    """What a worker may do."""

    THERE = auto()
    """The broker is reached: slots may be taken."""
    UNSURE = auto()
    """No session is connected at this moment: what is here stays, nothing is taken."""
    AWAY = auto()
    """It has not been reached for too long: slots are for others."""


class BrokerReach:
    """Watches the connections of a source; asked once in every tick, by one thread.

    Parameters
    ----------
    source
        Whose broker it is.
    away_s
        How long without a connection is too long.
    now_s
        A clock that only goes forward.

    Attributes
    ----------
    trouble
        Why the broker is not reached; empty while it is.
    """

    def __init__(
        self,
        source: SlotSource,
        *,
        away_s: float = AWAY_S,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._away_s = away_s
        self._now_s = now_s
        self._reached_s = self._looked_s = float("-inf")
        self._connected = True
        self._rest_s = 0.0
        self._not_before_s = float("-inf")
        self.trouble = ""

    def look(self) -> Reach:
        """Find out how things are; knocks at the broker where there is no session to tell."""
        now_s, before_s = self._now_s(), self._looked_s
        self._looked_s = now_s
        if self._source.connected:
            self._reached_s, self._connected, self.trouble = now_s, True, ""
            self._rest_s, self._not_before_s = 0.0, float("-inf")
            return Reach.THERE
        self._reached_s = max(self._reached_s, self._source.reached_s)
        if self._source.owned:
            if now_s - before_s > FROZEN_S:  # sessions had no time to come back meanwhile
                self._reached_s = now_s
            if now_s - self._reached_s < self._away_s:
                return Reach.UNSURE
            self.trouble = self._source.health()[1]
            return Reach.AWAY
        if now_s - self._reached_s < min(ANSWERED_S, self._away_s):
            return Reach.THERE
        if now_s < self._not_before_s:
            return Reach.AWAY
        self.trouble = self._source.knock()
        if self.trouble:
            return Reach.AWAY
        self._reached_s, self._connected = self._now_s(), False
        return Reach.THERE

    @property
    def due_in_s(self) -> float:
        """In how many seconds an UNSURE becomes an AWAY, if nothing happens meanwhile."""
        return self._reached_s + self._away_s - self._now_s()

    def gave_up(self) -> None:
        """Note that slots were given back.

        A broker that answers and yet lets no session in would be tried for ever, and each time the
        others would wait for this worker's share: it is asked less and less often.
        """
        self._reached_s = float("-inf")
        if not self._connected:
            self._rest_s = min(max(self._away_s, 2 * self._rest_s), LONGEST_S)
            self._not_before_s = self._now_s() + self._rest_s
