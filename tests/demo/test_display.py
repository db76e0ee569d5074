"""The live summary fits the terminal, tells the truth about rates, and stays calm."""

from __future__ import annotations

import io
import threading

import pytest
import structlog.testing
from rich.console import Console

from geotarget.demo.display import Counters, Summary, log_summary, show_summary
from geotarget.demo.receiver import ReceivedOffer

ADDRESSES = {
    "API": "http://127.0.0.1:8080",
    "docs": "http://127.0.0.1:8080/docs",
    "MQTT": "mqtt://127.0.0.1:1883",
    "demo key": "gt_live_Ab12Cd34_0123456789012345678901234567890123456789",
    "log": "geotarget-data/geotarget.log",
}


def offer(number: int, title: str = "Cinnamon bun with every coffee") -> ReceivedOffer:
    """Return an offer as the receiver keeps it."""
    return ReceivedOffer(
        webhook_id=f"id-{number}",
        at_ms=1_790_000_000_000 + number * 1000,
        campaign="shop-special",
        profile=f"walker-{number:03d}",
        zone="Kluuvi arcade",
        kind="enter",
        title=title,
        happened="",
    )


class Now:
    """Counters and a clock that a test sets."""

    def __init__(self) -> None:
        self.seconds = 100.0
        self.counters = Counters()

    def summary(self, **more: object) -> Summary:
        """Return a summary of these."""
        return Summary(
            lambda: self.counters,
            addresses=ADDRESSES,
            clock=lambda: self.seconds,
            **more,  # type: ignore[arg-type]
        )


def shown(summary: Summary, *, width: int = 80, height: int = 24) -> list[str]:
    """Return a frame as lines of text."""
    console = Console(file=io.StringIO(), width=width, height=height, record=True)
    console.print(summary.frame(height=height))
    return console.export_text().splitlines()


@pytest.mark.parametrize("height", [24, 30, 50])
def test_frame_fits_the_terminal(height: int) -> None:
    """Even with large figures, long offers and trouble a frame fits; nothing wraps."""
    now = Now()
    long = [offer(number, title="A very long offer " * 10) for number in range(50)]
    summary = now.summary(
        offers=lambda: long, troubles=lambda: ["broker: can't reach mqtt://127.0.0.1:1883 " * 3]
    )
    now.counters = Counters(*[123_456_789] * 10)
    now.seconds += 360_000
    lines = shown(summary, height=height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    for address in ADDRESSES.values():
        assert address in text
    assert "Ctrl-C drains and stops" in text
    assert "walker-000 " in text


def test_rates_are_those_of_the_last_ten_seconds() -> None:
    """600 pings in 10 s are 60 a second, whatever came before."""
    now = Now()
    summary = now.summary()
    now.counters = Counters(pings=1_000_000)
    summary.line()
    now.seconds += 60
    now.counters = Counters(pings=1_000_600)
    summary.line()
    now.seconds += 10
    now.counters = Counters(pings=1_001_200)
    assert summary.line()["pings_per_s"] == 60.0


def test_first_frame_shows_no_rate() -> None:
    """Nothing is divided by nothing."""
    assert Now().summary().line()["pings_per_s"] == 0.0


def test_empty_state_says_what_to_expect() -> None:
    """Before the first offer the display says so."""
    assert any("No offer has arrived yet" in line for line in shown(Now().summary()))


def test_trouble_is_shown() -> None:
    """What is wrong stands in the frame."""
    text = "\n".join(shown(Now().summary(troubles=lambda: ["mqtt: connection refused"])))
    assert "! mqtt: connection refused" in text


def test_offers_are_logged_once_oldest_first() -> None:
    """Each offer is reported by exactly one call."""
    offers = [offer(2), offer(1)]
    summary = Now().summary(offers=lambda: offers)
    assert [each.webhook_id for each in summary.new_offers()] == ["id-1", "id-2"]
    assert summary.new_offers() == []
    offers.insert(0, offer(3))
    assert [each.webhook_id for each in summary.new_offers()] == ["id-3"]


def test_last_frame_says_that_it_ended() -> None:
    """What stays on the screen is the end: no hint for a key that does nothing any more."""
    stop = threading.Event()
    stop.set()
    out = io.StringIO()
    console = Console(file=out, width=80, height=24, force_terminal=True, color_system=None)
    summary = Now().summary(troubles=lambda: ["running: draining"])
    show_summary(summary, stop, console=console)
    last = out.getvalue().rpartition("up 0:00:00")[2]
    assert "Stopped; started again it goes on where it was" in last
    assert "Ctrl-C" not in last
    assert "draining" not in last


def test_log_lines_carry_the_figures() -> None:
    """Without a terminal the summary and new offers are plain log lines."""
    stop = threading.Event()
    now = Now()
    now.counters = Counters(pings=7, offers=1)

    def offers() -> list[ReceivedOffer]:
        stop.set()
        return [offer(1)]

    with structlog.testing.capture_logs() as lines:
        log_summary(now.summary(offers=offers), stop, every_s=0.001)
    assert [line["event"] for line in lines] == ["offer arrived", "summary"]
    assert lines[0]["profile"] == "walker-001"
    assert lines[1]["pings"] == 7
