"""The words of explanations: one place where a code becomes a sentence with its figures.

Every reason of a verdict, status of a ping, change of phase, reason of a transition and state of a
delivery has its sentence here, the gates of campaigns have theirs in `gates`, and a test asks for
each. The API and the command line say nothing of their own. Figures are those of the rules as they
are set now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from geotarget.engine import Rules
from geotarget.explaining.figures import Clock, duration, metres, where
from geotarget.model import EntryPolicy, Kind, Rejected, Trace, Transition, Zone
from geotarget.store import DeliveryRow


@dataclass(frozen=True, slots=True)
class Place:
    """A zone as sentences need it.

    Parameters
    ----------
    id, name
        `name` is the id where the zone has no name.
    policy
        Its entry policy; of a zone that is gone the usual one is assumed.
    buffer_m
        Its exit buffer, metres.
    ceiling_m
        The coarsest accuracy that is evidence of an arrival there, metres.
    depth_m
        Twice its area over its outline, metres; None when its shape is not known any more.
    """

    id: str
    name: str
    policy: EntryPolicy
    pending_enters: bool
    buffer_m: float
    ceiling_m: float
    depth_m: float | None

    @classmethod
    def of(cls, id: str, zone: Zone | None, depth_m: float | None, rules: Rules) -> Place:
        """Return what is known of a zone; None for one that is gone."""
        own = None if zone is None else zone.exit_buffer_m
        return cls(
            id=id,
            name=id if zone is None else zone.name or id,
            policy=EntryPolicy.STANDARD if zone is None else zone.entry,
            pending_enters=zone is not None and zone.pending_enters,
            buffer_m=rules.exit_buffer_m if own is None else own,
            ceiling_m=max(rules.arrival_ceiling_m, depth_m or 0.0),
            depth_m=depth_m,
        )


# -- one ping and one zone ------------------------------------------------------------------

Reason = Callable[[Trace, Place, Rules], str]


def _border(trace: Trace, place: Place, _: Rules) -> str:
    if place.policy in (EntryPolicy.STRICT, EntryPolicy.CERTAIN):
        return (
            f"nearer to the outline than its accuracy; a '{place.policy}' zone wants it at least "
            f"{metres(trace.acc_m)} inside"
        )
    if place.policy is EntryPolicy.EAGER:
        return (
            "further outside than its accuracy, which an eager zone allows, and not yet further "
            "than accuracy and exit buffer together"
        )
    coarse = (
        f", and too coarse for an arrival (the ceiling is {metres(place.ceiling_m)})"
        if trace.acc_m > place.ceiling_m
        else ""
    )
    return f"too near to the outline for its accuracy, on whichever side it lies{coarse}"


def _centre(_: Trace, place: Place, __: Rules) -> str:
    half = "" if place.depth_m is None else f" (from {metres(place.depth_m / 2)} inside on)"
    return f"in the middle of the zone{half}"


def _far(trace: Trace, place: Place, _: Rules) -> str:
    if trace.distance_m is None:
        return "outside the time between `starts` and `ends` of the zone, where nobody is inside"
    return (
        f"further outside than its accuracy and the exit buffer (at most {metres(place.buffer_m)}) "
        "together explain"
    )


REASONS: Mapping[str, Reason] = {
    "covered": lambda _, place, __: f"inside, and that is all that '{place.policy}' asks",
    "uncovered": lambda *_: "outside, and in a raw zone one ping decides",
    "near": lambda *_: "outside by no more than its accuracy, which is enough for an eager zone",
    "deep": lambda *_: "deep enough inside for its accuracy",
    "centre": _centre,
    "shallow": lambda *_: "inside, but not deep enough for its accuracy to be clear",
    "coarse": lambda _, place, __: (
        f"too coarse to count as an arrival: the ceiling is {metres(place.ceiling_m)}"
    ),
    "border": _border,
    "far": _far,
    "fast": lambda trace, *_: (
        f"far enough {'outside' if trace.verdict == 'out' else 'inside'} for a device that is fast"
    ),
    "stray": lambda *_: "it does not agree with the place where the device rests",
    "moving": lambda *_: "further outside than a fix may lie while the device is on the move",
}
"""Why a fix got its verdict."""

STANCES: Mapping[str, str] = {
    "on its way": "",
    "at rest": ", at rest (the mean of its last fixes counts, with its own accuracy)",
    "stray": ", a stray from where it rests",
    "fast": ", fast",
}
"""How the device stood at a ping."""


def stance(name: str, *, moving: bool) -> str:
    """Write how a device stood, to follow the accuracy of its ping."""
    if name == "on its way" and moving:
        return ", on the move"
    return STANCES[name]


VERDICTS: Mapping[str, str] = {
    "in": "it counts as inside",
    "maybe_in": "it is weak evidence of being inside",
    "hold": "it decides nothing",
    "out": "it counts as outside",
}


def _pending(place: Place, rules: Rules) -> str:
    then = (
        "else it enters all the same, with confidence 1"
        if place.pending_enters
        else "else it is dropped"
    )
    return (
        f"the entry waits for another fix that agrees, for {duration(rules.pending_s)} (longer for "
        f"a device that pings rarely), {then}"
    )


CHANGES: Mapping[tuple[str, str], Callable[[Place, Rules], str]] = {
    ("outside", "outside"): lambda *_: "the device stays outside",
    ("outside", "entering"): _pending,
    ("outside", "inside"): lambda *_: "the device is inside from here on",
    ("entering", "outside"): lambda *_: "the pending entry is dropped",
    ("entering", "entering"): lambda *_: "the entry goes on waiting",
    ("entering", "exiting"): lambda *_: (
        "the entry that waited came about without a second fix; this is the first fix outside"
    ),
    ("entering", "inside"): lambda *_: "the second evidence: inside since the first",
    ("inside", "inside"): lambda *_: "the device stays inside",
    ("inside", "outside"): lambda *_: "the visit is over",
    ("inside", "exiting"): lambda _, rules: (
        f"the first fix outside; it takes at least {rules.exit_fixes:g} in a row to end the visit"
    ),
    ("inside", "entering"): lambda *_: "the visit is over and a new entry waits",
    ("exiting", "outside"): lambda *_: "the visit is over since the first fix outside",
    ("exiting", "exiting"): lambda *_: "the exit goes on waiting for another fix outside",
    ("exiting", "inside"): lambda *_: "back inside: the visit goes on",
    ("exiting", "entering"): lambda *_: "the visit is over and a new entry waits",
}
"""What a fix did to the phase of a device in a zone."""


def verdict(trace: Trace, place: Place, rules: Rules) -> str:
    """Say what one fix meant for one zone, and why."""
    reason = REASONS.get(trace.reason)
    because = trace.reason if reason is None else reason(trace, place, rules)
    what = VERDICTS.get(trace.verdict, trace.verdict)
    change = CHANGES.get((trace.before, trace.after))
    then = f"{trace.before} to {trace.after}" if change is None else change(place, rules)
    code = f"{trace.verdict.upper()} {trace.reason}".strip()
    return (
        f"{where(trace.distance_m, place.name)}, accuracy {metres(trace.acc_m)}: {because}, so "
        f"{what} ({code}); {then}"
    )


# -- one ping -------------------------------------------------------------------------------

STATUSES: Mapping[str, Callable[[Rules], str]] = {
    "applied": lambda _: "applied",
    "late": lambda _: "late: a newer ping had come before, so it decides nothing",
    "duplicate": lambda _: "a duplicate: the same ping had come before, so it changes nothing",
    "suspect": lambda rules: (
        "a suspect: it lies further from the last fix than the device's speed explains, so it "
        f"decides nothing until others agree with it, {rules.jump_fixes:g} in a row at the latest"
    ),
}
"""What became of a ping."""


AGAIN: Mapping[str, str] = {
    "late": "late, too",
    "duplicate": "a duplicate, too",
    "suspect": "a suspect, too",
}
"""The same of the next one."""


def status(code: str, rules: Rules) -> str:
    """Say what became of a ping."""
    told = STATUSES.get(code)
    return code if told is None else told(rules)


def sentence(text: str) -> str:
    """End a sentence, unless it ends by itself.

    Examples
    --------
    >>> sentence("are lat and lng swapped?"), sentence("it was late")
    ('are lat and lng swapped?', 'it was late.')
    """
    return text if text.endswith((".", "?", "!")) else f"{text}."


def refused(letter: Rejected) -> str:
    """Say why a ping was refused."""
    return f"a ping was refused ({letter.reason}): {letter.detail}"


# -- transitions ----------------------------------------------------------------------------

KINDS: Mapping[Kind, str] = {
    Kind.ENTER: "entered",
    Kind.DWELL: "dwelt in",
    Kind.EXIT: "left",
    Kind.CROSSED: "crossed",
    Kind.RECONCILED: "was reconciled with",
}

CLOCKED: Mapping[Kind, str] = {
    Kind.ENTER: "no second fix came in time, and `pending` of the zone is `enter`",
    Kind.DWELL: "the clock completed the stay, no ping did",
}
WITHOUT_FIX: Mapping[str, str] = {
    "timer": "the clock decided",
    "chord": "no fix lay inside; the straight way between two fixes leads through it",
    "edit": "the zone was edited, and the device judged again on its last fix",
    "gone": "the zone was deleted or switched off",
    "": "what it rested on was not recorded by the version that decided it",
}
"""Why there was a transition that no fix decided by its verdict."""


def transition(event: Transition, place: Place, rules: Rules, clock: Clock) -> str:
    """Say what a device did and what that rests on."""
    told = f"{KINDS[event.kind]} '{place.name}' ({event.kind.upper()})"
    if event.kind is Kind.DWELL and event.threshold_s is not None:
        told += f" for {duration(event.threshold_s)}"
    elif event.duration_s is not None:
        told += f" after {duration(event.duration_s)}"
    if event.decided_ms != event.ts_ms:
        told += f", decided at {clock.time(event.decided_ms)}"
    told += (
        f": {_evidence(event, place, rules)}; p {event.p:.2f}, confidence {event.confidence} of 3"
    )
    return f"{told}, and inside from its first ping on" if event.initial else told


def _evidence(event: Transition, place: Place, rules: Rules) -> str:
    if event.reason == "timer" and event.kind in CLOCKED:
        return CLOCKED[event.kind]
    if event.reason in WITHOUT_FIX or event.reason not in REASONS:
        return WITHOUT_FIX.get(event.reason, event.reason)
    accuracy = rules.unknown_accuracy_m if event.accuracy_m is None else event.accuracy_m
    fix = Trace(
        device=event.device,
        ts_ms=event.decided_ms,
        decided_ms=event.decided_ms,
        lng=0.0,
        lat=0.0,
        acc_m=accuracy,
        status="applied",
        distance_m=event.distance_m,
        verdict="out" if (event.distance_m or 0.0) < 0.0 else "in",
    )
    return (
        f"the deciding fix was {where(event.distance_m, place.name)}, accuracy {metres(accuracy)}, "
        f"{REASONS[event.reason](fix, place, rules)}"
    )


def phase(name: str, place: Place, since: str) -> str:
    """Say how a device stands to a zone now."""
    return {
        "entering": f"an entry of '{place.name}' waits for a second fix since {since}",
        "inside": f"inside '{place.name}' since {since}",
        "exiting": f"inside '{place.name}' since {since}, the last fix was outside: another one "
        "may end the visit",
    }[name]


# -- campaigns ------------------------------------------------------------------------------


def nobody_listens(event: Transition, place: Place) -> str:
    """Say why a transition has no decision."""
    if event.kind is Kind.RECONCILED:
        return "no offer: the edit of a zone never fires one"
    return f"no offer: no campaign listened to '{event.kind}' of '{place.name}'"


STATES: Mapping[str, Callable[[DeliveryRow, Clock], str]] = {
    "pending": lambda row, clock: (
        "waits for an earlier one of its device"
        if row.next_attempt_ms is None
        else f"waits, next attempt at {clock.time(row.next_attempt_ms)}"
    ),
    "delivered": lambda row, clock: (
        "was delivered" + ("" if row.finished_ms is None else f" at {clock.time(row.finished_ms)}")
    ),
    "failed": lambda *_: "was given up: the receiver failed too often, or its endpoint is gone",
    "expired": lambda *_: "expired before it could be delivered",
}
"""How a delivery stands."""


def delivery(row: DeliveryRow, clock: Clock) -> str:
    """Say how a delivery stands."""
    state = STATES.get(row.state)
    stands = row.state if state is None else state(row, clock)
    posts = "1 attempt" if row.attempts == 1 else f"{row.attempts} attempts"
    answer = "" if row.status is None else f", last answer HTTP {row.status}"
    return f"{row.type} to endpoint '{row.endpoint}' {stands} ({posts}{answer})"


NOT_SENT = "nothing was sent: no enabled endpoint of the campaign takes offers"
