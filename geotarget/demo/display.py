"""The live summary in the terminal: calm, within 80 by 24, redrawn twice a second.

It only reads: whoever composes the process hands in functions that return counters, the last
offers and what is wrong. Without a terminal `log_summary` writes one line every five seconds
instead. A frame costs about 3 ms.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import structlog
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from geotarget.demo.receiver import ReceivedOffer

log = structlog.get_logger(__name__)

FRAME_S = 0.5
LINE_S = 5.0
WINDOW_S = 10.0
"""Rates are taken over this time."""

HINT = "Ctrl-C drains and stops"
STOPPED = "Stopped; started again it goes on where it was"
MOST_OFFERS = 10
FIXED_ROWS = 14
"""Rows of a frame beside addresses, troubles and offers."""

_HAPPENED = {"enter": "entered", "dwell": "stayed in", "exit": "left", "crossed": "crossed"}


@dataclass(frozen=True, slots=True)
class Counters:
    """How far everything got since the start; `inside`, `zones` and `pending` are as of now.

    Parameters
    ----------
    pings, rejected
        Applied, and refused with a reason.
    entries, dwells, exits
        Transitions.
    inside
        Visits that go on now.
    zones
        Zones that are matched against.
    offers
        Decisions that fired.
    delivered
        Webhooks that were answered with 2xx.
    pending
        Webhooks that wait.
    held_out
        Decisions of the control groups: nothing was sent, for comparison.
    purchases, revenue
        What the demo's till reported afterwards, pieces and euros.
    """

    pings: int = 0
    rejected: int = 0
    entries: int = 0
    dwells: int = 0
    exits: int = 0
    inside: int = 0
    zones: int = 0
    offers: int = 0
    delivered: int = 0
    pending: int = 0
    held_out: int = 0
    purchases: int = 0
    revenue: float = 0.0


class Summary:
    """Turns counters into frames or lines.

    Parameters
    ----------
    counters
        Returns the counters of this moment; called from the displaying thread.
    addresses
        What stands at the top: label → address.
    offers
        Returns the last offers as they arrived at the receiver, newest first.
    troubles
        Returns what is wrong now, one sentence each.
    clock
        Seconds that only go forward.
    """

    def __init__(
        self,
        counters: Callable[[], Counters],
        *,
        addresses: Mapping[str, str],
        offers: Callable[[], Sequence[ReceivedOffer]] = tuple,
        troubles: Callable[[], Sequence[str]] = tuple,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._counters = counters
        self._addresses = addresses
        self._offers = offers
        self._troubles = troubles
        self._clock = clock
        self._started = clock()
        self._past = deque([(self._started, counters())])
        self._logged = ""

    def frame(self, *, height: int = 24, last: bool = False) -> RenderableType:
        """Return one frame that needs at most `height` rows; the `last` one stays on screen."""
        now, rates = self._look()
        troubles = [
            Text(f"! {each}", "yellow", no_wrap=True, overflow="ellipsis")
            for each in (() if last else self._troubles())
        ]
        room = height - FIXED_ROWS - len(self._addresses) - len(troubles)
        return Group(
            self._head(),
            Text(),
            self._address_table(),
            Text(),
            _figures(now, rates),
            Text(),
            *troubles,
            *self._last_offers(max(1, min(MOST_OFFERS, room))),
            Text(),
            Text(STOPPED if last else HINT, "dim"),
        )

    def line(self) -> dict[str, float]:
        """Return the figures of one log line."""
        now, rates = self._look()
        figures = {**asdict(now), "revenue": round(now.revenue, 2)}
        return {**figures, "pings_per_s": round(rates["pings"], 1)}

    def new_offers(self) -> list[ReceivedOffer]:
        """Return the offers that came since the last call, oldest first."""
        fresh: list[ReceivedOffer] = []
        for offer in self._offers():
            if offer.webhook_id == self._logged:
                break
            fresh.append(offer)
        if fresh:
            self._logged = fresh[0].webhook_id
        return fresh[::-1]

    def _look(self) -> tuple[Counters, dict[str, float]]:
        """Return the counters and how much each grows per second."""
        at, now = self._clock(), self._counters()
        self._past.append((at, now))
        while len(self._past) > 2 and self._past[1][0] <= at - WINDOW_S:
            self._past.popleft()
        since, before = self._past[0]
        span = at - since
        then = asdict(before)
        return now, {
            name: (value - then[name]) / span if span > 0 else 0.0
            for name, value in asdict(now).items()
        }

    def _head(self) -> RenderableType:
        up = int(self._clock() - self._started)
        head = Table.grid(expand=True)
        head.add_column(no_wrap=True)
        head.add_column(justify="right", no_wrap=True)
        head.add_row(
            Text("geotarget", "bold"),
            Text(f"up {up // 3600}:{up // 60 % 60:02d}:{up % 60:02d}", "dim"),
        )
        return head

    def _address_table(self) -> RenderableType:
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for label, address in self._addresses.items():
            table.add_row(label, Text(address))
        return table

    def _last_offers(self, count: int) -> list[RenderableType]:
        offers = list(self._offers())[:count]
        if not offers:
            return [Text("No offer has arrived yet: somebody has to walk in first.", "dim")]
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for offer in offers:
            where = Text().append(f"{_HAPPENED.get(offer.kind, offer.kind)} ", "dim")
            where.append(offer.zone).append(" → ", "dim").append(offer.title, "green")
            table.add_row(_time_of_day(offer.at_ms), Text(offer.profile), where)
        table.expand = True
        return [Text("Last offers, verified by the receiver", "dim"), table]


def _figures(now: Counters, rates: Mapping[str, float]) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(justify="right", no_wrap=True, min_width=9)
    table.add_column(justify="right", no_wrap=True, min_width=11)
    table.add_column(style="dim", no_wrap=True, overflow="ellipsis")
    refused = f"{now.rejected:,} refused" if now.rejected else "none refused"
    for label, total, rate, more in (
        ("pings", now.pings, f"{rates['pings']:,.0f} /s", refused),
        (
            "entries",
            now.entries,
            f"{rates['entries'] * 60:,.0f} /min",
            f"{now.exits:,} exits, {now.inside:,} visits now in {now.zones:,} zones",
        ),
        ("dwells", now.dwells, f"{rates['dwells'] * 60:,.0f} /min", ""),
        (
            "offers",
            now.offers,
            f"{rates['offers'] * 60:,.0f} /min",
            f"{now.held_out:,} held out for comparison" if now.held_out else "",
        ),
        (
            "delivered",
            now.delivered,
            f"{rates['delivered'] * 60:,.0f} /min",
            f"{now.pending:,} waiting" if now.pending else "none waiting",
        ),
        (
            "purchases",
            now.purchases,
            f"{rates['purchases'] * 60:,.0f} /min",
            f"{now.revenue:,.2f} € at the till" if now.purchases else "",
        ),
    ):
        table.add_row(label, Text(f"{total:,}", "bold"), rate, more)
    return table


def _time_of_day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000).astimezone().strftime("%H:%M:%S")


def show_summary(summary: Summary, stop: threading.Event, *, console: Console) -> None:
    """Redraw the summary in place until `stop` is set; the last frame stays on the screen.

    What others print meanwhile through `console`, stdout or stderr appears above it.
    """
    with Live(
        summary.frame(height=console.height), console=console, auto_refresh=False, transient=False
    ) as live:
        while not stop.wait(FRAME_S):
            live.update(summary.frame(height=console.height), refresh=True)
        live.update(summary.frame(height=console.height, last=True), refresh=True)


def log_summary(summary: Summary, stop: threading.Event, *, every_s: float = LINE_S) -> None:
    """Log the summary and the offers that arrived, every `every_s` seconds until `stop` is set."""
    while not stop.wait(every_s):
        for offer in summary.new_offers():
            log.info(
                "offer arrived",
                at=_time_of_day(offer.at_ms),
                profile=offer.profile,
                kind=offer.kind,
                zone=offer.zone,
                offer=offer.title,
            )
        log.info("summary", **summary.line())
