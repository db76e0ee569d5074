"""The demo's till: some of the people who walked in buy, and the shop's backend reports it.

Who was sent an offer buys somewhat more often than who was held out, so that the results of a demo
have something to find: the true uplift is `SHARE_SENT` against `SHARE_HELD_OUT`. Whether somebody
buys is drawn once for each person, campaign and day, by a hash: a demo that is started again
reports the same purchases under the same ids, and they count once.

It asks for new decisions every few seconds and reports purchases by device, as a till with a
loyalty card would: it does not know who was held out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, Protocol

SHARE_SENT, SHARE_HELD_OUT = 0.30, 0.18
"""How many buy: of those who were sent an offer, and of those who were held out."""

EVERY_S = 2.0
WAIT_S = (5.0, 45.0)
"""From the decision to the till, at least and at most."""

LEAST, MOST = 2.40, 38.00
CURRENCY = "EUR"


@dataclass(frozen=True, slots=True)
class Takings:
    """What the till has reported since it was opened."""

    purchases: int = 0
    value: float = 0.0


class Office(Protocol):
    """The API, as far as the till needs it."""

    def decisions(self, gate: str, since: datetime) -> Sequence[Mapping[str, Any]]:
        """Return the decisions of a gate since an instant, as the API shows them."""
        ...

    def report(self, conversions: Sequence[Mapping[str, Any]]) -> None:
        """Do what ``POST /v1/conversions`` does."""
        ...


class Till:
    """Reports purchases until it is closed.

    Parameters
    ----------
    office
        Where decisions are read and purchases reported.
    now
        The clock; aware.
    reported
        Ids of the purchases that were reported before; they are not reported again.
    """

    def __init__(
        self,
        office: Office,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        reported: Iterable[str] = (),
    ) -> None:
        self._office = office
        self._now = now
        self._since = now()
        self._drawn = set(reported)
        self._due: list[tuple[datetime, dict[str, Any]]] = []
        self._takings = Takings()

    @property
    def takings(self) -> Takings:
        """What was reported so far; may be read from any thread."""
        return self._takings

    def run(self, stop: threading.Event) -> None:
        """Look for decisions and report purchases until `stop` is set."""
        while not stop.wait(EVERY_S):
            self.look()

    def look(self) -> None:
        """Draw who of the latest visitors buys, and report those whose time has come."""
        # Decisions carry the time of their fix: one that was late is older than it is new.
        since = self._since - timedelta(seconds=60)
        self._since = self._now()
        for gate, share in (("fired", SHARE_SENT), ("holdout", SHARE_HELD_OUT)):
            for decision in self._office.decisions(gate, since):
                self._draw(decision, share)
        self._report()

    def _draw(self, decision: Mapping[str, Any], share: float) -> None:
        at = datetime.fromisoformat(decision["time"])
        name = f"till-{at.date()}-{decision['campaign']}-{decision['device']}"
        if name in self._drawn:
            return
        self._drawn.add(name)
        buys, worth, waits = _lots(name)
        if buys >= share:
            return
        at += timedelta(seconds=WAIT_S[0] + waits * (WAIT_S[1] - WAIT_S[0]))
        purchase = {
            "id": name,
            "device": decision["device"],
            "time": at.isoformat(timespec="milliseconds"),
            "value": round(LEAST + worth * worth * (MOST - LEAST), 2),
            "currency": CURRENCY,
            "category": "groceries",
        }
        self._due.append((at, purchase))

    def _report(self) -> None:
        now = self._now()
        ripe = [purchase for at, purchase in self._due if at <= now]
        if not ripe:
            return
        self._office.report(ripe)
        self._due = [each for each in self._due if each[0] > now]
        self._takings = Takings(
            self._takings.purchases + len(ripe),
            self._takings.value + sum(each["value"] for each in ripe),
        )


def _lots(name: str) -> tuple[float, float, float]:
    """Return three numbers in [0, 1) that depend on nothing but the name."""
    digest = blake2b(name.encode(), digest_size=24).digest()
    one, two, three = (int.from_bytes(digest[at : at + 8], "big") / 2**64 for at in range(0, 24, 8))
    return one, two, three
