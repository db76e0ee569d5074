"""What a rule sees of one profile at one moment: attributes, behaviour, zone, transition, time.

Built once per transition and shared by all rules that are asked then. Counts are worked out when
a rule first asks and remembered, so a hundred campaigns that ask for the visits of this zone count
them once. Nothing in the data may break or stall a rule: texts are made Unicode, numbers beyond 64
bits become floats, and an attribute that is too large or nests too deep is not seen at all.

Building costs some 15 µs with a dozen attributes, what the library makes of them included; a count
costs 1 to 5 µs for a regular, and a millisecond for whoever has 10,000 visits.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from geotarget import behaviour as history
from geotarget.model import Behaviour, Kind, Profile, Purchase, Transition, Zone
from geotarget.targeting.expression import DATA
from geotarget.targeting.local_time import WEEKDAYS, local_time
from geotarget.targeting.vocabulary import DAYS, NEVER

DEPTH = 16
"""Levels of objects and lists that an attribute may have to be seen by a rule."""

_DAY_MS = 86_400_000
_LONG = 1 << 63
_UNSEEN = object()


def _no_zones(_tag: str) -> Collection[str]:
    return ()


def begun_ms(transition: Transition, behaviour: Behaviour) -> int:
    """Return when the visit of a transition began, Unix milliseconds.

    A dwell does not tell: it is the last visit that goes on and is old enough, or else as old as
    the dwell needs.
    """
    if transition.kind is not Kind.DWELL or transition.duration_s is not None:
        return history.begun_ms(transition)
    latest_ms = transition.ts_ms - 1000 * (transition.threshold_s or 0)
    for stay in reversed(behaviour.stays.get(transition.zone, ())):
        if stay.dwell_s < 0 and stay.start_ms <= latest_ms:
            return stay.start_ms
    return latest_ms


# what the functions of behaviour are called on: nothing, in three kinds
_RECEIVERS: Mapping[str, Any] = {"visits": {}, "offers": [], "purchases": b""}


@lru_cache(maxsize=256)
def _clock(now_ms: int, time_zone: str) -> Mapping[str, Any]:
    """Return the variables of time: many profiles are asked about one instant."""
    local = local_time(now_ms, time_zone)
    return {
        "now": dt.datetime.fromtimestamp(now_ms / 1000, dt.UTC),
        "local.hour": local.hour,
        "local.minute": local.minute,
        "local.weekday": WEEKDAYS[local.weekday()],
        "local.date": local.date().isoformat(),
        "local.month": local.month,
        "local.day": local.day,
    }


class Facts:
    """What rules are asked of; for one thread at a time.

    Parameters
    ----------
    profile, behaviour
        Who, and what was done before.
    zone, transition
        Where and what; None where a rule is asked of a profile alone. Rules that mention them
        then do not hold.
    now_ms
        Unix milliseconds: the end of all periods that are looked back on.
    tagged
        Returns the ids of the zones that carry a tag.
    time_zone
        Of ``local``, where there is no zone.
    """

    __slots__ = (
        "_counts", "_variables", "behaviour", "current", "now_ms", "prepared", "profile", "tagged",
        "time_zone", "transition", "zone",
    )  # fmt: skip

    def __init__(
        self,
        profile: Profile,
        behaviour: Behaviour,
        zone: Zone | None = None,
        *,
        transition: Transition | None = None,
        now_ms: int,
        tagged: Callable[[str], Collection[str]] = _no_zones,
        time_zone: str = "UTC",
    ) -> None:
        self.profile = profile
        self.behaviour = behaviour
        self.zone = zone
        self.transition = transition
        self.now_ms = now_ms
        self.tagged = tagged
        self.time_zone = zone.time_zone if zone else time_zone
        self.prepared: Any = None  # what the library made of `variables`
        self._variables: dict[str, Any] | None = None
        self._counts: dict[Hashable, float] = {}
        self.current = (
            (transition.zone, begun_ms(transition, behaviour)) if transition is not None else None
        )

    def variables(self) -> dict[str, Any]:
        """Return the values of all variables, without those of a missing zone or transition."""
        if self._variables is None:
            self._variables = self._bind()
        return self._variables

    def _bind(self) -> dict[str, Any]:
        seen = known(self.profile.attributes)
        seen["id"] = _clean(self.profile.id)
        made: dict[str, Any] = {
            "profile": seen,
            **_RECEIVERS,
            **_clock(self.now_ms, self.time_zone),
        }
        zone, transition = self.zone, self.transition
        if zone is not None:
            made["zone.id"] = _clean(zone.id)
            made["zone.name"] = _clean(zone.name)
            made["zone.tags"] = [_clean(tag) for tag in zone.tags]
            made["zone.properties"] = known(zone.properties)
        if transition is not None:
            made["transition.kind"] = transition.kind.value
            made["transition.confidence"] = transition.confidence
            made["transition.initial"] = transition.initial
            dwell = transition.threshold_s if transition.kind is Kind.DWELL else None
            made["transition.dwell_s"] = int(dwell or 0)
            made["transition.duration_s"] = float(transition.duration_s or 0.0)
        return made

    def remembered(self, name: str, arguments: tuple[Any, ...]) -> float | None:
        """Return a count that was asked for before; None if it was not."""
        return self._counts.get((name, arguments))

    def count(self, name: str, arguments: tuple[Any, ...]) -> float:
        """Work out a count by its name in the vocabulary, and remember it.

        Raises
        ------
        ValueError
            With a sentence, where it can't be told.
        """
        found = self._counts[name, arguments] = COUNTS[name](self, *arguments)
        return found


def _here(facts: Facts) -> tuple[str, ...]:
    if facts.zone is None:
        raise ValueError("there is no zone here")
    return (facts.zone.id,)


def _visits(facts: Facts, days: int, zones: Collection[str] | None) -> int:
    return history.visits(
        facts.behaviour,
        now_ms=facts.now_ms,
        days=_days(days),
        zones=zones,
        current=facts.current,
    )


def _minutes(facts: Facts, days: int, zones: Collection[str]) -> int:
    seconds = history.dwell_s(
        facts.behaviour,
        now_ms=facts.now_ms,
        days=_days(days),
        zones=zones,
        current=facts.current,
    )
    return seconds // 60


def _since_visit(facts: Facts, zones: Collection[str]) -> int:
    last_ms = history.last_visit_ms(
        facts.behaviour, now_ms=facts.now_ms, zones=zones, current=facts.current
    )
    return _since(facts, last_ms)


def _since(facts: Facts, at_ms: int | None) -> int:
    if at_ms is None or facts.now_ms - at_ms > DAYS[1] * _DAY_MS:
        return NEVER
    return max(facts.now_ms - at_ms, 0) // _DAY_MS


def _days_known(facts: Facts) -> int:
    first_ms = facts.behaviour.first_ms
    return max(facts.now_ms - first_ms, 0) // _DAY_MS if first_ms else 0


def _offers(facts: Facts, days: int, campaign: str | None = None) -> int:
    return history.offers(
        facts.behaviour, now_ms=facts.now_ms, period_s=_days(days) * 86_400, campaign=campaign
    )


def _since_offer(facts: Facts) -> int:
    sent = (
        heard.at_ms
        for heard in reversed(facts.behaviour.heard)
        if not heard.held_out and heard.at_ms <= facts.now_ms
    )
    return _since(facts, next(sent, None))


def _bought(facts: Facts, days: int, category: str | None = None) -> list[Purchase]:
    return history.purchases(
        facts.behaviour, now_ms=facts.now_ms, days=_days(days), category=category
    )


def _value(bought: Sequence[Purchase]) -> float:
    currencies = sorted({each.currency for each in bought if each.value_micros})
    if len(currencies) > 1:
        raise ValueError(f"the purchases are in {' and '.join(currencies)}; use purchases.value_in")
    return sum(each.value_micros for each in bought) / 1e6


def _value_in(facts: Facts, currency: str, days: int) -> float:
    return _value([each for each in _bought(facts, days) if each.currency == currency])


def _since_purchase(facts: Facts, category: str | None = None) -> int:
    bought = _bought(facts, DAYS[1], category)
    return _since(facts, bought[-1].at_ms if bought else None)


COUNTS: Mapping[str, Callable[..., float]] = {
    "visits.here": lambda facts, days: _visits(facts, days, _here(facts)),
    "visits.zone": lambda facts, zone, days: _visits(facts, days, (zone,)),
    "visits.tag": lambda facts, tag, days: _visits(facts, days, facts.tagged(tag)),
    "visits.total": lambda facts, days: _visits(facts, days, None),
    "visits.minutes_here": lambda facts, days: _minutes(facts, days, _here(facts)),
    "visits.minutes_tag": lambda facts, tag, days: _minutes(facts, days, facts.tagged(tag)),
    "visits.days_since_here": lambda facts: _since_visit(facts, _here(facts)),
    "visits.days_since_zone": lambda facts, zone: _since_visit(facts, (zone,)),
    "visits.days_since_tag": lambda facts, tag: _since_visit(facts, facts.tagged(tag)),
    "visits.days_known": _days_known,
    "offers.total": _offers,
    "offers.campaign": lambda facts, campaign, days: _offers(facts, days, campaign),
    "offers.days_since": _since_offer,
    "purchases.count": lambda facts, *asked: len(_bought(facts, asked[-1], *asked[:-1])),
    "purchases.value": lambda facts, *asked: _value(_bought(facts, asked[-1], *asked[:-1])),
    "purchases.value_in": _value_in,
    "purchases.days_since": _since_purchase,
}
"""How each count of the vocabulary is worked out."""


def days_problem(days: int) -> str:
    """Return what is wrong with a number of days; empty if nothing is."""
    first, last = DAYS
    return "" if first <= days <= last else f"days must be within {first} and {last}, not {days}"


def _days(days: int) -> int:
    problem = days_problem(days)
    if problem:
        raise ValueError(problem)
    return days


def known(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a rule sees of attributes: plain JSON within bounds, the rest left out."""
    seen: dict[str, Any] = {}
    for name, value in attributes.items():
        kind = type(value)
        short = kind is str and value.isascii() and len(value) <= DATA
        if short or kind is bool or kind is float or value is None:
            seen[name] = value
        else:
            plain = _plain(value, [DATA], DEPTH)
            if plain is not _UNSEEN:
                seen[name] = plain
    if any(not name.isascii() for name in seen):
        seen = {_clean(name): value for name, value in seen.items()}
    return seen


def _plain(value: Any, left: list[int], depth: int) -> Any:
    """Return a value as the library takes it, or `_UNSEEN` where it is none, too large or deep."""
    left[0] -= 2  # a byte of its own and a comma, at least
    if isinstance(value, Mapping):
        return _plain_object(value, left, depth)
    if isinstance(value, list | tuple):
        return _plain_list(value, left, depth)
    if isinstance(value, str):
        value = _clean(value)
        left[0] -= len(value) if value.isascii() else len(value.encode())
    elif isinstance(value, int) and not isinstance(value, bool):
        value = _number(value)
    elif not isinstance(value, bool | float | None):
        return _UNSEEN
    return value if left[0] >= 0 else _UNSEEN


def _number(value: int) -> float:
    if -_LONG <= value < _LONG:
        return value
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _plain_list(value: Sequence[Any], left: list[int], depth: int) -> Any:
    if depth == 0 or 2 * len(value) > left[0]:
        return _UNSEEN
    items = []
    for item in value:
        plain = _plain(item, left, depth - 1)
        if plain is _UNSEEN:
            return _UNSEEN
        items.append(plain)
    return items


def _plain_object(value: Mapping[Any, Any], left: list[int], depth: int) -> Any:
    if depth == 0 or 2 * len(value) > left[0]:
        return _UNSEEN
    members = {}
    for name, inner in value.items():
        if not isinstance(name, str):
            return _UNSEEN
        left[0] -= len(name)
        plain = _plain(inner, left, depth - 1)
        if plain is _UNSEEN:
            return _UNSEEN
        members[_clean(name)] = plain
    return members


def _clean(text: str) -> str:
    """Return a text without halves of surrogate pairs, which are no Unicode."""
    if text.isascii():
        return text
    return text.encode("utf-8", "replace").decode()
