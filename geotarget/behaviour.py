"""What one profile did, folded from events one at a time: visits, offers heard, purchases.

Counted by geotarget itself, in the transaction that writes the events, so that a rule may ask for
"three visits in the last 30 days" without a look at history. Single instants are kept rather than
counters per day: a window that ends now is then exact, whatever the time zone, and an event that
comes late falls into its place. They are kept for 90 days and within bounds (`MOST_STAYS` …), so
that a document stays at 4 KB for a regular and 200 KB for whoever enters 300 zones a day.

Pure: nothing here reads a clock. The folds change the value that they are given; whoever holds it
owns it. A fold costs 3 µs; a document of 60 visits, 20 offers and 20 purchases 18 µs to read and
5 µs to write.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterator
from operator import attrgetter

import msgspec

from geotarget.model import (
    Behaviour,
    Conversion,
    Decision,
    Heard,
    Kind,
    Purchase,
    Stay,
    Transition,
)

KEPT_DAYS = 90
"""Nothing is asked that lies further back."""

DAY_MS = 86_400_000
MOST_STAYS_A_ZONE = 500
MOST_STAYS = 10_000
MOST_HEARD = 1_000
MOST_PURCHASES = 1_000
"""Bounds of one document; where one is reached the oldest go."""

_KEPT_MS = KEPT_DAYS * DAY_MS
_ENDING = frozenset({Kind.EXIT, Kind.RECONCILED})

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Behaviour).decode
_start = attrgetter("start_ms")
_at = attrgetter("at_ms")


def encode(behaviour: Behaviour) -> bytes:
    """Return a behaviour as a MessagePack document."""
    return _encode(behaviour)


def decode(document: bytes) -> Behaviour:
    """Return the behaviour of a document; members that a later version added are passed over.

    Raises
    ------
    msgspec.MsgspecError
        It is none of ours.

    Examples
    --------
    >>> decode(encode(Behaviour(visits_total=3))).visits_total
    3
    """
    return _decode(document)


def begun_ms(transition: Transition) -> int:
    """Return when the visit of a transition began, Unix milliseconds."""
    return transition.ts_ms - round(1000 * (transition.duration_s or 0.0))


# -- folds ----------------------------------------------------------------------------------


def note_transition(behaviour: Behaviour, transition: Transition) -> None:
    """Fold a transition in: an entry begins a visit, an exit gives it its length.

    A visit that a change of the zone ended has ended as well; one that such a change opened is
    none, for nobody came. Passing through and staying change nothing but `last_ms`.

    Parameters
    ----------
    behaviour
        Changed in place.
    transition
        A visit that is there already, by zone and start, counts once.
    """
    at_ms = transition.ts_ms
    before_ms = behaviour.last_ms
    behaviour.first_ms = min(behaviour.first_ms or at_ms, at_ms)
    behaviour.last_ms = max(before_ms, at_ms)
    oldest_ms = behaviour.last_ms - _KEPT_MS
    if before_ms // DAY_MS != behaviour.last_ms // DAY_MS:
        _prune(behaviour, oldest_ms)
    if transition.kind is Kind.ENTER:
        stays = behaviour.stays.get(transition.zone, [])
        place = bisect_left(stays, at_ms, key=_start)
        if place < len(stays) and stays[place].start_ms == at_ms:
            return  # two of its devices at one instant, or a visit that is asked about again
        behaviour.visits_total += 1
        if at_ms > oldest_ms:
            stays.insert(place, Stay(at_ms))
            behaviour.stays[transition.zone] = stays[-MOST_STAYS_A_ZONE:]
    elif transition.kind in _ENDING and transition.duration_s is not None:
        start_ms = begun_ms(transition)
        for stay in reversed(behaviour.stays.get(transition.zone, ())):
            if stay.start_ms == start_ms and stay.dwell_s < 0:
                stay.dwell_s = round(transition.duration_s)
                break
            if stay.start_ms < start_ms:
                break


def note_heard(behaviour: Behaviour, decision: Decision) -> None:
    """Fold a fired decision in, or that of a held-out profile.

    Parameters
    ----------
    behaviour
        Changed in place.
    decision
        Each only once. One that was refused otherwise must not come here: nobody heard of it.
    """
    if not decision.held_out:
        behaviour.offers_total += 1
    if decision.decided_ms <= behaviour.last_ms - _KEPT_MS:
        return
    heard = Heard(
        at_ms=decision.decided_ms,
        campaign=decision.campaign,
        decision=decision.id,
        visit=decision.visit,
        zone=decision.zone,
        variant=decision.variant or "",
        held_out=decision.held_out,
        until_ms=decision.counts_until_ms,
    )
    insort(behaviour.heard, heard, key=_at)
    del behaviour.heard[:-MOST_HEARD]


def note_purchase(behaviour: Behaviour, conversion: Conversion) -> None:
    """Fold a conversion in.

    Parameters
    ----------
    behaviour
        Changed in place.
    conversion
        Each only once.
    """
    behaviour.purchases_total += 1
    if conversion.at_ms <= behaviour.last_ms - _KEPT_MS:
        return
    purchase = Purchase(
        at_ms=conversion.at_ms,
        category=conversion.category,
        value_micros=conversion.value_micros,
        currency=conversion.currency,
        conversion=conversion.id,
    )
    insort(behaviour.purchases, purchase, key=_at)
    del behaviour.purchases[:-MOST_PURCHASES]


def undone(behaviour: Behaviour, from_ms: int) -> Behaviour:
    """Return what a profile had done before an instant, as far as it is still kept.

    Visits that began from then on are taken out, and those that ended from then on go on again;
    so are offers. Purchases stay: a question never counts one that was after it.

    Parameters
    ----------
    behaviour
        As it is now; not changed.
    from_ms
        Unix milliseconds.

    Examples
    --------
    >>> now = Behaviour(first_ms=5, last_ms=70, visits_total=2, stays={"a": [Stay(5), Stay(70)]})
    >>> undone(now, 50).visits_total
    1
    """
    stays: dict[str, list[Stay]] = {}
    later = 0
    for zone, known in behaviour.stays.items():
        place = bisect_left(known, from_ms, key=_start)
        later += len(known) - place
        if place:
            stays[zone] = [
                Stay(each.start_ms, -1 if _end_ms(each) >= from_ms else each.dwell_s)
                for each in known[:place]
            ]
    place = bisect_left(behaviour.heard, from_ms, key=_at)
    sent = sum(not each.held_out for each in behaviour.heard[place:])
    begun = 0 < behaviour.first_ms < from_ms
    return Behaviour(
        first_ms=behaviour.first_ms if begun else 0,
        last_ms=min(behaviour.last_ms, from_ms) if begun else 0,
        visits_total=max(behaviour.visits_total - later, 0),
        offers_total=max(behaviour.offers_total - sent, 0),
        purchases_total=behaviour.purchases_total,
        stays=stays,
        heard=behaviour.heard[:place],
        purchases=list(behaviour.purchases),
    )


# -- questions ------------------------------------------------------------------------------


def visits(
    behaviour: Behaviour,
    *,
    now_ms: int,
    days: int,
    zones: Collection[str] | None = None,
    current: tuple[str, int] | None = None,
) -> int:
    """Return how many visits began within the last `days` x 24 hours.

    Parameters
    ----------
    now_ms
        The end of the window, included; its beginning is not.
    days
        1 to `KEPT_DAYS`.
    zones
        In these only; None means all.
    current
        Zone and `begun_ms` of a visit that is not counted: the one that goes on.
    """
    return sum(1 for _ in _stays(behaviour, now_ms, days, zones, current))


def dwell_s(
    behaviour: Behaviour,
    *,
    now_ms: int,
    days: int,
    zones: Collection[str] | None = None,
    current: tuple[str, int] | None = None,
) -> int:
    """Return how long those visits lasted together, seconds; one that goes on counts nothing.

    Parameters as of `visits`.
    """
    return sum(
        stay.dwell_s for stay in _stays(behaviour, now_ms, days, zones, current) if stay.dwell_s > 0
    )


def last_visit_ms(
    behaviour: Behaviour,
    *,
    now_ms: int,
    zones: Collection[str] | None = None,
    current: tuple[str, int] | None = None,
) -> int | None:
    """Return when the last visit began, at `now_ms` or before; None without one in 90 days.

    Parameters as of `visits`.
    """
    found = _stays(behaviour, now_ms, KEPT_DAYS, zones, current)
    return max(map(_start, found), default=None)


def offers(
    behaviour: Behaviour,
    *,
    now_ms: int,
    period_s: int,
    campaign: str | None = None,
    visit: str | None = None,
) -> int:
    """Return how many offers were sent since `period_s` before `now_ms`, that instant excluded.

    Offers after `now_ms` count too. Who decides late about something old must not send what would
    be one too many in a period that reaches beyond it.

    Parameters
    ----------
    campaign, visit
        Of these only; None means all. What a held-out profile was not sent does not count.
    """
    after_ms = now_ms - 1000 * period_s
    count = 0
    for heard in reversed(behaviour.heard):
        if heard.at_ms <= after_ms:
            break
        count += (
            not heard.held_out
            and (campaign is None or heard.campaign == campaign)
            and (visit is None or heard.visit == visit)
        )
    return count


def purchases(
    behaviour: Behaviour, *, now_ms: int, days: int, category: str | None = None
) -> list[Purchase]:
    """Return the purchases of the last `days` x 24 hours up to `now_ms`, oldest first.

    Parameters
    ----------
    category
        Of this one only; None means all.
    """
    after_ms = now_ms - days * DAY_MS
    return [
        purchase
        for purchase in behaviour.purchases
        if after_ms < purchase.at_ms <= now_ms
        and (category is None or purchase.category == category)
    ]


def last_heard(behaviour: Behaviour, at_ms: int) -> Heard | None:
    """Return what a conversion at an instant counts for: the last offer whose time was not over.

    Held-out ones included: they are what the others are compared with.
    """
    for heard in reversed(behaviour.heard):
        if heard.at_ms <= at_ms < heard.until_ms:
            return heard
    return None


def _stays(
    behaviour: Behaviour,
    now_ms: int,
    days: int,
    zones: Collection[str] | None,
    current: tuple[str, int] | None,
) -> Iterator[Stay]:
    after_ms = now_ms - days * DAY_MS
    current_zone, current_ms = current or ("", 0)
    for zone in behaviour.stays if zones is None else set(zones):
        left_out_ms = current_ms if zone == current_zone else None
        for stay in reversed(behaviour.stays.get(zone, ())):
            if stay.start_ms <= after_ms:
                break
            if stay.start_ms <= now_ms and stay.start_ms != left_out_ms:
                yield stay


def _end_ms(stay: Stay) -> int:
    """Return when a visit ended; while it goes on, when it began."""
    return stay.start_ms + 1000 * max(stay.dwell_s, 0)


def _prune(behaviour: Behaviour, oldest_ms: int) -> None:
    """Drop what is too old, once a day: a question never looks further back than it says."""
    excess = sum(map(len, behaviour.stays.values())) - MOST_STAYS
    stays_ms = oldest_ms
    if excess > 0:
        starts = sorted(stay.start_ms for stays in behaviour.stays.values() for stay in stays)
        stays_ms = max(oldest_ms, starts[excess - 1])
    for zone, stays in list(behaviour.stays.items()):
        del stays[: bisect_right(stays, stays_ms, key=_start)]
        if not stays:
            del behaviour.stays[zone]
    del behaviour.heard[: bisect_right(behaviour.heard, oldest_ms, key=_at)]
    del behaviour.purchases[: bisect_right(behaviour.purchases, oldest_ms, key=_at)]
