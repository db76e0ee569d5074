"""What is known about a device and a span of time: everything that an explanation may rest on.

`gather` reads it from the store, a page of each list at the most: that takes 50 to 100 ms however
long the history is, and 10 µs a trace (telling it takes 40 more). What was longer than a page is
said. A recording fills an `Evidence` with what the engine gave it; the story told is the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from geotarget.engine import Rules, ZoneIndex
from geotarget.engine.live_state import DEVICE, ENTERING, EXITING, INSIDE, records_from_bytes
from geotarget.explaining.words import Place
from geotarget.model import Decision, MemberRow, Rejected, Trace, Transition
from geotarget.store import DeliveryRow, Store

MOST_ROWS = 1_000
"""Most transitions, decisions and deliveries of one explanation each; the newest count."""

MOST_TRACES = 10_000
MOST_REFUSED = 100

PHASES = {ENTERING: "entering", INSIDE: "inside", EXITING: "exiting"}


@dataclass(frozen=True, slots=True)
class Fix:
    """Where a device was when a fix was last accepted; `acc_m` is the accuracy that counted."""

    ts_ms: int
    lng: float
    lat: float
    acc_m: float


@dataclass(frozen=True, slots=True)
class Membership:
    """How a device stands to a zone now.

    Parameters
    ----------
    phase
        ``entering``, ``inside`` or ``exiting``.
    since_ms
        Start of the visit or of the pending entry.
    visit
        Its id; empty while the entry is pending.
    stale
        Inside, but without a fix for longer than the rules' `stale_s`.
    """

    zone: str
    phase: str
    since_ms: int
    visit: str
    stale: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a device now; `fix` is None for one that was never heard of."""

    device: str
    fix: Fix | None
    memberships: tuple[Membership, ...] = ()
    traced_until_ms: int | None = None

    @property
    def known(self) -> bool:
        """Whether anything is known of it."""
        return self.fix is not None or bool(self.memberships) or self.traced_until_ms is not None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What an explanation rests on.

    Parameters
    ----------
    standing
        The device, and how it stands now (in a backtest: at the end).
    from_ms, to_ms
        The span that was asked about, Unix milliseconds, the end excluded.
    zone
        The only zone that was asked about; empty for all.
    rules
        The figures as they are set now.
    zones
        The zones that come up, as they are now; those that are gone are missing.
    cut
        Names of the lists that hold more than is shown.
    recorded
        Whether it comes from a recording: every ping is traced then, and nothing was sent.
    asked
        Whether campaigns were asked.
    """

    standing: Standing
    from_ms: int
    to_ms: int
    zone: str
    rules: Rules
    zones: ZoneIndex
    traces: Sequence[Trace] = ()
    transitions: Sequence[Transition] = ()
    decisions: Sequence[Decision] = ()
    deliveries: Sequence[DeliveryRow] = ()
    refused: Sequence[Rejected] = ()
    cut: Sequence[str] = ()
    recorded: bool = False
    asked: bool = True
    _places: dict[str, Place] = field(default_factory=dict)

    def place(self, id: str) -> Place:
        """Return a zone as sentences need it."""
        if id not in self._places:
            for zone, depth_m in zip(self.zones.zones, self.zones.depth_m.tolist(), strict=True):
                self._places[zone.id] = Place.of(zone.id, zone, depth_m, self.rules)
            self._places.setdefault(id, Place.of(id, None, None, self.rules))
        return self._places[id]

    def instants(self) -> Iterator[int]:
        """Yield every instant that the story will name, but those of pings; Unix milliseconds."""
        for event in self.transitions:
            yield from (event.ts_ms, event.decided_ms)
        yield from (each.decided_ms for each in self.decisions)
        yield from (each.received_ms for each in self.refused)
        for row in self.deliveries:
            yield from (row.created_ms, row.finished_ms or row.created_ms)
            if row.state == "pending" and row.next_attempt_ms is not None:
                yield row.next_attempt_ms
        yield from (each.since_ms for each in self.standing.memberships)
        if self.standing.fix is not None:
            yield self.standing.fix.ts_ms

    def nearest_m(self, fixes: Sequence[tuple[float, float]]) -> list[float]:
        """Return the signed metres from fixes (lng, lat) to the zone that was asked about."""
        position = [zone.id for zone in self.zones.zones].index(self.zone)
        lng, lat = np.array(fixes, np.float64).reshape(-1, 2).T
        at = np.full(len(lng), position, np.int64)
        distances: list[float] = self.zones.signed_distance(lng=lng, lat=lat, zone=at).tolist()
        return distances


def standing(store: Store, device: str, *, rules: Rules, now_ms: int) -> Standing:
    """Return what is known of a device now."""
    state = store.device_state(device)
    fix = None if state is None else fix_of(state)
    return Standing(
        device=device,
        fix=fix,
        memberships=memberships(store.members_of(device), fix, rules=rules, now_ms=now_ms),
        traced_until_ms=store.trace_until(device),
    )


def fix_of(state: bytes) -> Fix | None:
    """Return the last accepted fix of a device's record; None when it has none."""
    record = records_from_bytes(state, 1, DEVICE)[0]
    if not record["known"]:
        return None
    return Fix(
        ts_ms=int(record["last_ms"]),
        lng=float(record["last_lng"]),
        lat=float(record["last_lat"]),
        acc_m=float(record["last_acc"]),
    )


def memberships(
    rows: Iterable[MemberRow], fix: Fix | None, *, rules: Rules, now_ms: int
) -> tuple[Membership, ...]:
    """Return how a device stands to its zones."""
    silent = fix is not None and now_ms - fix.ts_ms > rules.stale_s * 1000
    return tuple(
        Membership(
            zone=row.zone,
            phase=PHASES[row.phase],
            since_ms=row.since_ms,
            visit="" if row.phase == ENTERING else row.visit,
            stale=silent and row.phase != ENTERING,
        )
        for row in rows
    )


def gather(
    store: Store, device: str, *, from_ms: int, to_ms: int, zone: str, rules: Rules, now_ms: int
) -> Evidence:
    """Read what is known about a device and a span of time.

    Parameters
    ----------
    store
        Where from.
    device
        Its id; one that was never heard of has no evidence, which is an answer too.
    from_ms, to_ms
        Fix times, Unix milliseconds, the end excluded; refused pings go by their arrival.
    zone
        Only this zone; empty for all.
    rules
        The figures as they are set now.
    now_ms
        The time of day.
    """
    wanted = zone or None
    traces = store.traces(device, from_ms, to_ms, limit=MOST_TRACES + 1)
    moves = store.transitions_page(
        device=device, zone=wanted, from_ms=from_ms, to_ms=to_ms, limit=MOST_ROWS
    )
    last_ms = max((each.decided_ms + 1 for each in moves.items), default=to_ms)
    answers = store.decisions_page(
        device=device, zone=wanted, from_ms=from_ms, to_ms=max(to_ms, last_ms), limit=MOST_ROWS
    )
    told = {f"offer_{each.id}" for each in answers.items if each.fired}
    told |= {f"transition_{each.id}" for each in moves.items}
    # written by the clock, minutes or, for a recording that was replayed, years after the fix
    posts = store.deliveries_page(device=device, zone=wanted, from_ms=from_ms, limit=MOST_ROWS)
    now = standing(store, device, rules=rules, now_ms=now_ms)
    refused = store.dead_letters_of(device, from_ms=from_ms, to_ms=to_ms, limit=MOST_REFUSED)
    lists = {
        "traces": len(traces) > MOST_TRACES,
        "transitions": moves.next is not None,
        "decisions": answers.next is not None,
        "deliveries": posts.next is not None,
        "refused": len(refused) == MOST_REFUSED,
    }
    named = [zone, *(each.zone for each in traces), *(each.zone for each in moves.items)]
    named += [each.zone for each in now.memberships]
    found = (store.zone(name) for name in dict.fromkeys(named) if name)
    return Evidence(
        standing=now,
        from_ms=from_ms,
        to_ms=to_ms,
        zone=zone,
        rules=rules,
        zones=ZoneIndex.build([each for each in found if each is not None]),
        traces=traces[-MOST_TRACES:],
        transitions=moves.items[::-1],
        decisions=answers.items[::-1],
        deliveries=[each for each in posts.items[::-1] if each.webhook_id in told],
        refused=refused[::-1],
        cut=[name for name, longer in lists.items() if longer],
    )
