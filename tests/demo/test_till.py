"""The demo's till reports purchases once, in time, and more often of those who got an offer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from geotarget.demo.till import SHARE_HELD_OUT, SHARE_SENT, WAIT_S, Till

NOON = datetime(2026, 6, 3, 12, tzinfo=UTC)


class Office:
    """Keeps decisions and takes reports; refuses them while it is closed."""

    def __init__(self) -> None:
        self.made: dict[str, list[dict[str, Any]]] = {"fired": [], "holdout": []}
        self.reported: list[Mapping[str, Any]] = []
        self.closed = False

    def decisions(self, gate: str, since: datetime) -> Sequence[Mapping[str, Any]]:
        """Return what was decided since."""
        return [each for each in self.made[gate] if datetime.fromisoformat(each["time"]) >= since]

    def report(self, conversions: Sequence[Mapping[str, Any]]) -> None:
        """Take a report."""
        if self.closed:
            raise ConnectionError("closed")
        self.reported += conversions

    def decide(self, gate: str, device: str, at: datetime = NOON) -> None:
        """Let a campaign answer."""
        self.made[gate].append({"campaign": "bun", "device": device, "time": at.isoformat()})


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now


def test_who_was_sent_an_offer_buys_more_often() -> None:
    """Of many visitors the shares are as promised, for both groups."""
    office, clock = Office(), Clock()
    till = Till(office, now=clock)
    for number in range(4_000):
        office.decide("fired", f"sent-{number}")
        office.decide("holdout", f"held-{number}")
    till.look()
    clock.now += timedelta(seconds=WAIT_S[1])
    till.look()
    sent = sum(each["device"].startswith("sent") for each in office.reported)
    held = len(office.reported) - sent
    assert sent / 4_000 == pytest.approx(SHARE_SENT, abs=0.03)
    assert held / 4_000 == pytest.approx(SHARE_HELD_OUT, abs=0.03)
    assert till.takings.purchases == len(office.reported)
    assert till.takings.value == pytest.approx(sum(each["value"] for each in office.reported))


def test_one_draw_for_a_person_a_campaign_and_a_day() -> None:
    """Whoever comes again on one day neither buys twice nor gets a second chance."""
    office, clock = Office(), Clock()
    till = Till(office, now=clock)
    for hour in range(8):
        clock.now = NOON + timedelta(hours=hour)
        for number in range(200):
            office.decide("fired", f"walker-{number}", clock.now)
        till.look()
    clock.now += timedelta(seconds=WAIT_S[1])
    till.look()
    assert len({each["id"] for each in office.reported}) == len(office.reported) < 100


def test_a_purchase_that_could_not_be_reported_is_reported_later() -> None:
    """A till that finds the office closed keeps what it has."""
    office, clock = Office(), Clock()
    till = Till(office, now=clock)
    for number in range(100):
        office.decide("fired", f"walker-{number}")
    till.look()
    clock.now += timedelta(seconds=WAIT_S[1])
    office.closed = True
    with pytest.raises(ConnectionError):
        till.look()
    assert till.takings.purchases == 0
    office.closed = False
    till.look()
    assert till.takings.purchases == len(office.reported) > 10
