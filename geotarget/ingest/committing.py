"""Commits batches, and does not give up: what is not written yet can't be acknowledged.

One transaction holds at most so many pings; each is tried until it is written or the ingest is
told to give up. Costs nothing over the transaction.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import structlog

from geotarget import metrics
from geotarget.errors import StoreError
from geotarget.ingest.columns import sliced
from geotarget.model import Outcome, PingBatch, Rejected

Process = Callable[[PingBatch, Sequence[Rejected]], Outcome]

FIRST_BACKOFF_S = 0.1
LAST_BACKOFF_S = 5.0

_log = structlog.get_logger(__name__)


class Committer:
    """Calls `process` until it has worked.

    Parameters
    ----------
    process
        As in `Intake`.
    max_pings
        Most pings of one transaction.

    Attributes
    ----------
    give_up
        Set it to end the trying.
    trouble
        Why the last attempt failed; empty when it did not.
    retries
        Attempts that failed since the start.
    """

    def __init__(self, process: Process, max_pings: int) -> None:
        self._process = process
        self._max_pings = max_pings
        self.give_up = threading.Event()
        self.trouble = ""
        self.retries = 0

    def commit(
        self, pings: PingBatch, rejected: Sequence[Rejected]
    ) -> list[tuple[int, str, str]] | None:
        """Commit in transactions of `max_pings`, the dead letters with the first.

        Returns
        -------
        list of tuple, or None
            What the pipeline refused: position in `pings`, reason, sentence. None when told to
            give up.
        """
        refused: list[tuple[int, str, str]] = []
        for first in range(0, max(len(pings), 1), self._max_pings):
            part = sliced(pings, first, first + self._max_pings)
            outcome = self._try(part, () if first else rejected)
            if outcome is None:
                return None
            refused += ((first + at, code, text) for at, code, text in outcome.refused)
        return refused

    def _try(self, pings: PingBatch, rejected: Sequence[Rejected]) -> Outcome | None:
        backoff = FIRST_BACKOFF_S
        while True:
            try:
                outcome = self._process(pings, rejected)
            except StoreError as error:
                self.trouble = f"the store can't be written: {error}"
                _log.warning("commit failed; trying again", error=str(error), after_s=backoff)
            except Exception as error:  # noqa: BLE001 a defect; giving up would lose pings
                self.trouble = f"processing fails with {type(error).__name__}; see the log"
                _log.exception("processing failed; trying again", after_s=backoff)
            else:
                self.trouble = ""
                return outcome
            metrics.commit_retries.inc()
            self.retries += 1
            if self.give_up.wait(backoff):
                return None
            backoff = min(2 * backoff, LAST_BACKOFF_S)
