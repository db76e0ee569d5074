"""Looks for what other processes changed: when they say so, and now and then all the same.

A notice of the database makes the look prompt; the interval makes it sure. Whoever can't look says
so (`trouble`), and for how long (`behind_s`): a process on an old catalogue fires what was paused.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from geotarget.errors import StoreError
from geotarget.store.notices import Listening

log = structlog.get_logger(__name__)


class Follower:
    """Looks in a thread of its own.

    Parameters
    ----------
    look
        Catches up with the store; called from that thread only.
    listen
        Given something to call when there is news: begins to listen for it.
    interval_s
        How often to look when nobody says anything, seconds.
    """

    def __init__(
        self,
        look: Callable[[], object],
        listen: Callable[[Callable[[], None]], Listening],
        *,
        interval_s: float,
    ) -> None:
        self._look = look
        self._interval_s = interval_s
        self._stopping = False
        self._wake = threading.Event()
        self._trouble = ""
        self._looked = time.monotonic()
        self._listening = listen(self._wake.set)
        self._thread = threading.Thread(target=self._run, name="catalogue", daemon=True)
        self._thread.start()

    @property
    def trouble(self) -> str:
        """Why it can't keep up, in words; empty while it can."""
        return self._trouble

    @property
    def behind_s(self) -> float:
        """Seconds since it last knew that there was nothing newer; some `interval_s` at most."""
        return time.monotonic() - self._looked

    def stop(self) -> None:
        """End it and wait for its end; harmless when repeated."""
        self._stopping = True
        self._wake.set()
        self._thread.join()
        self._listening.stop()

    def _run(self) -> None:
        while True:
            self._wake.wait(self._interval_s)
            if self._stopping:
                return
            self._wake.clear()  # what is said from here on makes another look
            began = time.monotonic()
            try:
                self._look()
            except StoreError as error:
                self._complain(str(error))
            except Exception as error:
                # A thread that dies here would leave this process on an old catalogue in
                # silence; readiness reports the trouble instead, and the next round tries again.
                log.exception("catalogue can't be followed")
                self._complain(f"{type(error).__name__}: {error}")
            else:
                self._trouble = ""
                self._looked = began

    def _complain(self, trouble: str) -> None:
        if trouble != self._trouble:
            log.warning("catalogue can't be followed", trouble=trouble)
        self._trouble = trouble
