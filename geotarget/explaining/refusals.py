"""Why a campaign made an offer or did not, in one sentence for a person.

The gates leave their own reasons, short and for logs, and the figures that they looked at. Here
each gate has a sentence that says what it means, with the value and its bound: "quiet hours until
08:00", "the cap of 3 in 7 d is reached". Figures of a shape that is not known, of another version
say, leave the gate's own reason. Telling one costs some microseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from geotarget.explaining.figures import duration
from geotarget.explaining.words import sentence
from geotarget.model import Decision

MEASURED = "sent nothing, so that the effect of the campaign can be measured"


def why(made: Decision) -> str:
    """Say in one sentence what a campaign did about a transition, and why.

    Examples
    --------
    >>> why(Decision("d1", "bun", 1, "e1", "d", "d", "kamppi", "cap",
    ...              "fired 5 s ago, the cooldown is 600 s", 0,
    ...              inputs={"cooldown_s": 600, "since_s": 5.0}))
    'The last offer was 5 s before: the campaign leaves 10 min between two.'
    """
    if made.fired:
        return "The offer was made: every gate let it pass."
    tell = SENTENCES.get(made.gate)
    if tell is not None:
        try:
            return tell(made)
        except (KeyError, TypeError, ValueError, AttributeError):
            pass  # written by a version whose figures have another shape
    return _own(made.reason)


def _own(reason: str) -> str:
    """Return a gate's own reason as a sentence."""
    return sentence(reason[:1].upper() + reason[1:])


def _trigger(made: Decision) -> str:
    seen = made.inputs
    if "age_s" in seen:
        return (
            f"The movement was {duration(seen['age_s'])} old when it was decided: an offer "
            f"answers what is at most {duration(seen['max_age_s'])} old."
        )
    if "confidence" in seen:
        return (
            f"It was not certain enough that the device was there: confidence "
            f"{seen['confidence']} of 3, the campaign asks for {seen['min_confidence']}."
        )
    if "outranked_by" in seen:
        return (
            f"Zone '{seen['outranked_by']}', at the same time, is more specific: the campaign "
            "speaks for the innermost zone only."
        )
    if seen.get("initial"):
        return (
            "The device was already inside when it was first heard of: the campaign waits until "
            "it comes in."
        )
    return _own(made.reason)


def _schedule(made: Decision) -> str:
    seen = made.inputs
    if "status" in seen:
        return _own(made.reason)
    if "starts" in seen:
        return f"The campaign had not begun: it starts on {seen['starts']} ({seen['time_zone']})."
    if "ends" in seen:
        return f"The campaign was over: it ended on {seen['ends']} ({seen['time_zone']})."
    clock = f"{datetime.fromisoformat(seen['local']):%a %H:%M} in {seen['time_zone']}"
    if "quiet_hours" in seen:
        whose = "this person" if seen["of"] == "profile" else "everybody"
        return (
            f"It was {clock}: quiet hours for {whose} are {seen['quiet_hours']}, so nothing is "
            f"sent until {seen['quiet_hours'].rpartition('-')[2]}."
        )
    when = " ".join(filter(None, (", ".join(seen["days"]), seen["hours"])))
    return f"It was {clock}: the campaign speaks {when} only."


def _consent(made: Decision) -> str:
    ((name, given),) = (pair for pair in made.inputs.items() if pair[0] != "consent_required")
    if name == "zone.sensitive":
        return "The zone is sensitive: no offer is ever made for being there."
    kind, _, purpose = name.partition("consent.")
    if kind or not purpose:
        raise ValueError(name)
    if given is False:
        return f"This person has said no to {purpose}."
    return f"This person has not said yes to {purpose}, and the campaign asks for it."


def _audience(made: Decision) -> str:
    seen = made.inputs
    name = f"audience '{seen['audience']}'" if "audience" in seen else "the campaign's audience"
    if "rule" not in seen:
        return f"There is no audience '{seen['audience']}', and so nobody belongs to it."
    return sentence(f"This person is not in {name}: {made.reason.partition(': ')[2]}")


def _holdout(made: Decision) -> str:
    share = made.inputs["holdout"]
    return (
        f"This person is in the control group, {share:.3g} of all by a fixed draw "
        f"({made.inputs['hash']:.3f} is under {share:.3g}), and is {MEASURED}."
    )


def _cap(made: Decision) -> str:
    seen = made.inputs
    if "cooldown_s" in seen:
        apart = f"the campaign leaves {duration(seen['cooldown_s'])} between two"
        if seen["since_s"] < 0:
            return f"There was an offer for a later visit already: {apart}."
        return f"The last offer was {duration(seen['since_s'])} before: {apart}."
    if "per_visit" in seen:
        return (
            f"The cap of {seen['per_visit']} in one visit is reached: "
            f"{_offers(seen['count'])} of this campaign in this one."
        )
    span = "" if seen["period_s"] is None else f" in {duration(seen['period_s'])}"
    return f"The cap of {seen['max']}{span} is reached: {_offers(seen['count'])} {seen['of']}."


def _budget(made: Decision) -> str:
    seen, told = made.inputs, made.reason.partition(": ")[2]
    if "allowed" in seen:
        return f"The budget is spread evenly, and its share up to then was spent: {told}."
    if seen["spent"] < 0 or not told or "paced" in made.reason:
        return _own(made.reason)
    whole = "of the day" if "day" in seen else "of the campaign"
    return f"The budget {whole} is used up: {told}."


def _arbitration(made: Decision) -> str:
    seen = made.inputs
    winners = ", ".join(f"'{each}'" for each in seen["winners"])
    many = seen["offers_per_transition"]
    return (
        f"Another campaign came first: {winners} answered this movement, and it gets "
        f"{_offers(many)} at most. The priority of this campaign is {seen['priority']}."
    )


def _variant(made: Decision) -> str:
    names = ", ".join(f"'{each}'" for each in made.inputs["weights"])
    return f"There was no variant to choose: none of {names} has a weight over 0."


def _content(made: Decision) -> str:
    told = made.reason.partition(": ")[2] or made.reason
    return sentence(f"The offer can't be written for this person: {told}")


def _offers(count: int) -> str:
    return f"{count} offer{'' if count == 1 else 's'}"


SENTENCES: Mapping[str, Callable[[Decision], str]] = {
    "trigger": _trigger,
    "schedule": _schedule,
    "consent": _consent,
    "audience": _audience,
    "holdout": _holdout,
    "cap": _cap,
    "budget": _budget,
    "arbitration": _arbitration,
    "variant": _variant,
    "content": _content,
}
"""How a refusal of each gate is told; `gates.GATES` has what it asks."""
