"""When a batch goes: as soon as it is full, else after a time that grows with what turns take.

A turn costs some milliseconds however few pings it holds, so whoever takes a turn each time that a
ping is 20 ms old spends most of his CPU on turns, and N workers that share the load N times as
much. So there is a rest after each turn, so many times as long as turns took of late. It is
nothing to an idle process, whose last turn is long over, and under load batches grow instead of
turns becoming more. Nor is it for nothing: where no more came for as long as a batch waits anyhow,
such as from a broker that sends so many before it wants to hear that they are safe, it is over.
"""

from __future__ import annotations

RESTS = 2.0
"""How many times as long as a turn the rest after it is."""

LONGEST_S = 0.25
"""No ping waits longer for company."""

_WEIGHT = 0.2  # of the last turn among those of late


class Pace:
    """The rule of one intake. Pure: instants in, instants out, in seconds.

    Parameters
    ----------
    age_s
        How long a batch waits for company after its oldest ping came, at least.
    """

    def __init__(self, age_s: float) -> None:
        self.age_s = age_s
        self._longest_s = max(age_s, LONGEST_S)
        self._began_s = 0.0
        self._turn_s = 0.0
        self._rested_s = 0.0

    def begin(self, now_s: float) -> None:
        """Note that a turn begins."""
        self._began_s = now_s

    def end(self, now_s: float) -> None:
        """Note that it is over, its senders told."""
        # One that waited for a server which was away says nothing about the next.
        took_s = min(now_s - self._began_s, self._longest_s)
        self._turn_s += _WEIGHT * (took_s - self._turn_s)
        self._rested_s = now_s + RESTS * self._turn_s

    def due_s(self, oldest_s: float, newest_s: float, *, rests: bool = True) -> float:
        """Tell when a batch that is not full is due, by when its pings came.

        Parameters
        ----------
        oldest_s, newest_s
            Monotonic times of the first and of the last, in seconds.
        rests
            False: it goes at its age, for somebody waits for the answer.
        """
        due_s = oldest_s + self.age_s
        if not rests:
            return due_s
        rested_s = min(self._rested_s, newest_s + self.age_s)
        return min(max(due_s, rested_s), oldest_s + self._longest_s)
