"""From evidence to a story: a timeline of all that happened, and the few sentences that matter.

The timeline is complete and in the order in which things were decided. The summary answers "why
did it (not) enter, why did it (not) fire": fixes that meant the same are told together, everything
that changed something is told by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeVar

from geotarget.engine.distances import hop_m
from geotarget.explaining import gates, words
from geotarget.explaining.evidence import Evidence
from geotarget.explaining.figures import Clock, duration, metres, moment, where
from geotarget.model import Decision, Rejected, Trace, Transition
from geotarget.store import DeliveryRow

MOST_OF_A_KIND = 5
"""So many pings with the same fault are told one by one."""

MOST_STEPS = 100
"""So many steps are told, the first and the last half of them."""

T = TypeVar("T")

_Step = tuple[int, int, str]
"""When it was decided, its rank among what was decided then, and the sentence."""


@dataclass(frozen=True, slots=True)
class Ping:
    """One ping of a traced device, what became of it, and what it meant for each zone it met.

    `meant` holds (trace, sentence) pairs.
    """

    ts_ms: int
    decided_ms: int
    lng: float
    lat: float
    acc_m: float
    status: str
    moving: bool
    stance: str
    meant: tuple[tuple[Trace, str], ...]


@dataclass(frozen=True, slots=True)
class Answered:
    """A decision, with the answer of every gate."""

    decision: Decision
    gates: tuple[gates.GateAnswer, ...]


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a timeline: when it was decided, in words, and what it is about."""

    at_ms: int
    text: str
    about: Ping | Transition | Answered | DeliveryRow | Rejected


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a device did, and did not, enter and fire."""

    evidence: Evidence
    summary: tuple[str, ...]
    timeline: tuple[Item, ...]


def explain(evidence: Evidence) -> Explanation:
    """Tell the story that the evidence holds."""
    pings = _pings(evidence)
    clock = Clock.over([*(ping.ts_ms for ping in pings), *evidence.instants()])
    told = _Teller(evidence, pings, clock)
    timeline = sorted(told.timeline(), key=lambda item: (item.at_ms, _RANK[type(item.about)]))
    return Explanation(evidence, tuple(told.summary()), tuple(timeline))


_RANK = {Rejected: 0, Ping: 1, Transition: 2, Answered: 3, DeliveryRow: 4}


def _pings(evidence: Evidence) -> list[Ping]:
    """Put the traces of one ping together again.

    A suspect that was believed at once, as the last of several, is told as what it became.
    """
    found = []
    rows = groupby(
        evidence.traces,
        key=lambda row: (row.ts_ms, row.decided_ms, row.lng, row.lat, row.status),
    )
    for (ts_ms, decided_ms, lng, lat, status), group in rows:
        traces = list(group)
        acc_m, stance = traces[0].acc_m, traces[0].stance
        meant = tuple(
            (row, words.verdict(row, evidence.place(row.zone), evidence.rules))
            for row in traces
            if row.zone and evidence.zone in ("", row.zone)
        )
        moving = any(row.moving for row in traces)
        found.append(Ping(ts_ms, decided_ms, lng, lat, acc_m, status, moving, stance, meant))
    settled = {
        (ping.ts_ms, ping.lng, ping.lat)
        for ping in found
        if ping.status == "applied" and ping.decided_ms == ping.ts_ms
    }
    return [
        ping
        for ping in found
        if ping.status != "suspect" or ping.meant or (ping.ts_ms, ping.lng, ping.lat) not in settled
    ]


class _Teller:
    """Writes the sentences of one explanation."""

    def __init__(self, evidence: Evidence, pings: Sequence[Ping], clock: Clock) -> None:
        self._evidence = evidence
        self._pings = pings
        self._clock = clock
        self._answers: dict[str, list[Decision]] = {}
        for each in evidence.decisions:
            self._answers.setdefault(each.transition, []).append(each)
        self._believed = {
            (ping.ts_ms, ping.lng, ping.lat): ping.decided_ms
            for ping in pings
            if ping.status == "applied" and ping.decided_ms > ping.ts_ms
        }
        self._posts: dict[str, list[DeliveryRow]] = {}
        for row in evidence.deliveries:
            self._posts.setdefault(row.webhook_id, []).append(row)

    # -- the timeline -----------------------------------------------------------------------

    def timeline(self) -> Iterator[Item]:
        """Yield every item, in no order."""
        evidence, clock, rules = self._evidence, self._clock, self._evidence.rules
        for ping in self._pings:
            yield Item(ping.decided_ms, self._ping(ping), ping)
        for event in evidence.transitions:
            text = words.transition(event, evidence.place(event.zone), rules, clock)
            yield Item(event.decided_ms, f"{clock.time(event.ts_ms)} {text}", event)
        for made in evidence.decisions:
            answered = Answered(made, gates.gates(made))
            told = "; ".join([gates.decision(made), *gates.answers(made)])
            text = f"{clock.time(made.decided_ms)} {told}"
            yield Item(made.decided_ms, text, answered)
        for row in evidence.deliveries:
            text = f"{clock.time(row.created_ms)} {words.delivery(row, clock)}"
            yield Item(row.created_ms, text, row)
        for letter in evidence.refused:
            text = f"{clock.time(letter.received_ms)} {words.refused(letter)}"
            yield Item(letter.received_ms, text, letter)

    def _ping(self, ping: Ping) -> str:
        clock = self._clock
        became = words.status(ping.status, self._evidence.rules)
        if ping.status == "applied" and ping.decided_ms != ping.ts_ms:
            became = f"believed at {clock.time(ping.decided_ms)}, when others agreed with it"
        how = words.stance(ping.stance, moving=ping.moving)
        meant = "; ".join(text for row, text in ping.meant if self._matters(row))
        if not meant and ping.status == "applied":
            name = self._evidence.zone and self._evidence.place(self._evidence.zone).name
            meant = f"it did not meet '{name}'" if name else "outside all zones"
        told = f"{clock.time(ping.ts_ms)} ping, accuracy {metres(ping.acc_m)}{how}: {became}"
        return f"{told}. {meant}" if meant else told

    # -- the summary ------------------------------------------------------------------------

    def summary(self) -> Iterator[str]:
        """Yield the sentences that matter: what this rests on, what happened, how it stands."""
        yield self._heading()
        yield from self._coverage()
        steps = [*self._faults(), *self._runs(), *self._events()]
        lines = [line for _, _, line in sorted(steps, key=lambda step: step[:2])]
        half = MOST_STEPS // 2
        if len(lines) > MOST_STEPS:
            left = f"… {len(lines) - 2 * half} more steps are in the timeline."
            lines = [*lines[:half], left, *lines[-half:]]
        yield from lines
        if self._evidence.zone and not self._met():
            yield from self._why_nothing()
        yield from self._now()

    def _heading(self) -> str:
        evidence = self._evidence
        about = f", zone '{evidence.place(evidence.zone).name}'" if evidence.zone else ""
        first, end = (at_ms // 1000 * 1000 for at_ms in (evidence.from_ms, evidence.to_ms))
        span = f"{moment(first)} to {moment(end)} UTC"
        again = [ping.status in ("late", "duplicate") for ping in self._pings]
        places = {
            (ping.ts_ms, ping.lng, ping.lat)
            for ping, repeated in zip(self._pings, again, strict=True)
            if not repeated
        }
        counts = [
            _count(len(places) + sum(again), "traced ping"),
            _count(len(evidence.refused), "refused ping"),
            _count(len(evidence.transitions), "transition"),
        ]
        if evidence.asked:
            counts.append(_count(len(evidence.decisions), "decision"))
        if not evidence.recorded:
            counts.append(_count(len(evidence.deliveries), "delivery", "deliveries"))
        return f"Device '{evidence.standing.device}'{about}, {span}: {', '.join(counts)}."

    def _coverage(self) -> Iterator[str]:
        evidence = self._evidence
        device, until_ms = evidence.standing.device, evidence.standing.traced_until_ms
        if not evidence.standing.known and not (evidence.transitions or evidence.refused):
            yield (
                "Nothing was ever heard of this device: check its id, and the topic that it "
                "publishes to."
            )
        if not self._pings and not evidence.recorded:
            switched = (
                f"it is traced now, until {moment(until_ms)} UTC, so what comes will be told"
                if until_ms is not None
                else f"switch it on for what comes: geotarget trace {device} --for 1h, or "
                f"POST /v1/devices/{device}/trace"
            )
            yield (
                "No ping of this span was traced, so this rests on transitions, decisions and "
                f"refused pings alone; {switched}."
            )
        early = [each.ts_ms for each in evidence.transitions]
        if self._pings and early and min(early) < self._pings[0].ts_ms and not evidence.recorded:
            yield (
                f"The first traced ping is of {self._clock.time(self._pings[0].ts_ms)}: what lies "
                "before rests on transitions and decisions alone."
            )
        if evidence.cut:
            yield (
                f"There is more than is shown of: {', '.join(evidence.cut)}. The newest are "
                "here; ask for a shorter span."
            )

    def _faults(self) -> Iterator[_Step]:
        """Tell pings that decided nothing: the first of each kind, the rest counted."""
        clock = self._clock
        yield from _first(
            self._evidence.refused,
            "refused pings",
            lambda letter: letter.received_ms,
            lambda letter, _: f"{clock.time(letter.received_ms)} {words.refused(letter)}",
        )
        for status in ("suspect", "late", "duplicate"):
            yield from _first(
                [ping for ping in self._pings if ping.status == status],
                f"pings that were {status}",
                lambda ping: ping.decided_ms,
                lambda ping, at: f"{clock.time(ping.ts_ms)} {self._fault(ping, again=at > 0)}",
            )

    def _fault(self, ping: Ping, *, again: bool) -> str:
        rules = self._evidence.rules
        said = words.AGAIN[ping.status] if again else words.status(ping.status, rules)
        jump = self._jump(ping) if ping.status == "suspect" else ""
        return f"the ping was {said}{jump}"

    def _jump(self, ping: Ping) -> str:
        """Say how far a suspect lies from the last fix that was accepted, and if it was right."""
        before = [
            each
            for each in self._pings
            if each.status == "applied" and each.decided_ms < ping.ts_ms
        ]
        told = ""
        if before:
            last = max(before, key=lambda each: each.ts_ms)
            seconds = (ping.ts_ms - last.ts_ms) / 1000
            far = metres(hop_m(last.lng, last.lat, ping.lng, ping.lat))
            told = f"; it lies {far} from the fix {duration(seconds)} before"
        later = self._believed.get((ping.ts_ms, ping.lng, ping.lat))
        if later is not None:
            told += f"; believed at {self._clock.time(later)}, when others agreed"
        return told

    def _met(self) -> bool:
        """Return whether anything is known of the device and the zone that was asked about."""
        return bool(self._evidence.transitions) or any(ping.meant for ping in self._pings)

    def _runs(self) -> Iterator[_Step]:
        """Tell fixes in a row that meant the same for a zone together."""
        evidence, clock = self._evidence, self._clock
        by_zone: dict[str, list[Trace]] = {}
        for ping in self._pings:
            for row, _ in ping.meant:
                by_zone.setdefault(row.zone, []).append(row)
        for zone, mine in by_zone.items():
            place = evidence.place(zone)
            alike = groupby(
                mine,
                key=lambda row: (
                    *(row.verdict, row.reason, row.before, row.after),
                    row.decided_ms if row.decided_ms > row.ts_ms else 0,
                ),
            )
            for _, group in alike:
                rows = list(group)
                first, last = rows[0], rows[-1]
                if not self._matters(first):
                    continue
                deepest = max(rows, key=lambda row: _depth(row.distance_m))
                told = words.verdict(deepest, place, evidence.rules)
                at, believed = clock.time(first.ts_ms), ""
                if first.decided_ms > first.ts_ms:
                    believed = f", believed at {clock.time(first.decided_ms)} when others agreed,"
                if len(rows) == 1:
                    yield first.decided_ms, 1, f"{at} the fix{believed} was {told}."
                    continue
                span = f"{at} to {clock.time(last.ts_ms)}: {len(rows)} fixes alike{believed}"
                span = span.rstrip(",")
                yield (
                    first.decided_ms,
                    1,
                    f"{span}; the deepest, at {clock.time(deepest.ts_ms)}, was {told}.",
                )

    def _matters(self, row: Trace) -> bool:
        """Return whether it is worth a word: to be outside all along is only if it was asked."""
        away = (row.verdict, row.before, row.after) == ("out", "outside", "outside")
        return not away or self._evidence.zone == row.zone

    def _events(self) -> Iterator[_Step]:
        """Tell transitions, and what campaigns made of them."""
        for event in self._evidence.transitions:
            yield event.decided_ms, 2, self._event(event)
        if self._evidence.cut:
            return
        told = {event.id for event in self._evidence.transitions}
        for asked, answers in self._answers.items():
            if asked not in told:  # nobody moved: a campaign asked for those who were inside
                at, zone = self._clock.time(answers[0].decided_ms), answers[0].zone
                who = f"{at} somebody asked for those inside '{self._evidence.place(zone).name}'."
                yield answers[0].decided_ms, 2, "\n".join([who, *self._made(answers)])

    def _event(self, event: Transition) -> str:
        evidence, clock = self._evidence, self._clock
        place = evidence.place(event.zone)
        told = words.transition(event, place, evidence.rules, clock)
        lines = [f"{clock.time(event.ts_ms)} the device {told}."]
        if not evidence.asked:
            return lines[0]
        answers = self._answers.get(event.id, [])
        lines += self._made(answers)
        if not answers:
            lines.append(f"  {words.nobody_listens(event, place)}.")
        posts = self._posts.get(f"transition_{event.id}", [])
        lines += [f"  {words.delivery(row, clock)}." for row in posts]
        return "\n".join(lines)

    def _made(self, answers: Sequence[Decision]) -> Iterator[str]:
        """Tell what campaigns answered to one transition."""
        for made in answers:
            yield words.sentence(f"  {gates.decision(made)}")
            yield from (f"    {each}." for each in gates.answers(made))
            posts = self._posts.get(f"offer_{made.id}", [])
            yield from (f"  {words.delivery(row, self._clock)}." for row in posts)
            if made.fired and not posts and not self._evidence.recorded:
                yield f"  {words.NOT_SENT}."

    def _why_nothing(self) -> Iterator[str]:
        """Tell why a zone that was asked about does not come up."""
        evidence = self._evidence
        if evidence.zone not in {zone.id for zone in evidence.zones.zones}:
            yield f"There is no zone '{evidence.zone}', or not any more."
            return
        zone = next(each for each in evidence.zones.zones if each.id == evidence.zone)
        name = evidence.place(zone.id).name
        if not zone.active:
            yield f"'{name}' is switched off (`active` is false): no ping is matched with it."
        for inside in evidence.standing.memberships:
            if inside.zone == zone.id and inside.since_ms < evidence.from_ms:
                yield "The device was in it before this span began: there was nothing to enter."
        fixes = [(ping.lng, ping.lat) for ping in self._pings if ping.status == "applied"]
        if fixes:
            nearest = max(evidence.nearest_m(fixes))
            yield (
                f"None of the {len(fixes)} traced fixes met '{name}': the nearest was "
                f"{where(nearest, name)}."
            )
        elif evidence.standing.fix is not None:
            fix = evidence.standing.fix
            (distance,) = evidence.nearest_m([(fix.lng, fix.lat)])
            yield (
                f"Nothing happened with '{name}' in this span. The last fix, of "
                f"{moment(fix.ts_ms)} UTC, is {where(distance, name)}, accuracy "
                f"{metres(fix.acc_m)}."
            )

    def _now(self) -> Iterator[str]:
        evidence, clock = self._evidence, self._clock
        fix = evidence.standing.fix
        if fix is None:
            return
        end = "At the end of the recording" if evidence.recorded else "Now"
        mine = [
            each
            for each in evidence.standing.memberships
            if not evidence.zone or each.zone == evidence.zone
        ]
        stale = any(each.stale for each in mine)
        told = [
            words.phase(each.phase, evidence.place(each.zone), clock.time(each.since_ms))
            for each in mine
        ]
        where = "; ".join(told) if told else "in no zone" if not evidence.zone else "not in it"
        silent = (
            f"; stale: no fix was accepted for more than {duration(evidence.rules.stale_s)}"
            if stale
            else ""
        )
        yield f"{end}: {where}. Last accepted fix at {clock.time(fix.ts_ms)}{silent}."


def _first(
    found: Sequence[T], what: str, when: Callable[[T], int], tell: Callable[[T, int], str]
) -> Iterator[_Step]:
    """Tell the first few, and how many more there are."""
    for at, each in enumerate(found[:MOST_OF_A_KIND]):
        yield when(each), 0, words.sentence(tell(each, at))
    left = len(found) - MOST_OF_A_KIND
    if left > 0:
        behind = when(found[MOST_OF_A_KIND])
        yield behind, 0, f"… and {left} more {what}, see the timeline."


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _depth(distance_m: float | None) -> float:
    return float("-inf") if distance_m is None else distance_m
