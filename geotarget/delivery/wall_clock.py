"""Has the time of day been set back? What was to be sent at a time is due later then than meant.

Leases and retries stand in the outbox as times of day, because they outlive the process. When an
operator or a time server sets the clock back by an hour, all of them would wait an hour longer.
Time that only goes forward shows it: both clocks advance alike, unless one of them is set.

Set forward, retries come sooner, and a lease of another process may end before its post; that costs
a delivery that comes twice, never one that does not come. So only the way back is looked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable

LEAST_MS = 1_000


class WallClock:
    """Compares the time of day with monotonic time.

    Parameters
    ----------
    now_ms
        The time of day, Unix milliseconds.
    monotonic
        Seconds that only go forward.
    """

    def __init__(
        self, now_ms: Callable[[], int], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._now_ms = now_ms
        self._monotonic = monotonic
        self._ahead_ms = self._difference()

    def set_back_ms(self) -> int:
        """Return by how much the time of day was set back since the last call; 0 if it was not.

        Less than a second is left alone until it has become more.
        """
        ahead_ms = self._difference()
        back_ms = self._ahead_ms - ahead_ms
        if 0 <= back_ms < LEAST_MS:
            return 0
        self._ahead_ms = ahead_ms
        return max(0, back_ms)

    def _difference(self) -> int:
        return self._now_ms() - round(1000 * self._monotonic())
