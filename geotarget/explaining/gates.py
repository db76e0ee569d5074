"""The ten gates of campaigns in words: what each asks, what it looked at, and what it said.

Reasons of refusals are the gates' own sentences. What a gate looked at and let pass comes here as
figures by name (`Decision.passed`) and gets its words here; figures of a shape that is not known,
of another version say, are shown as they are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from geotarget.explaining.figures import duration
from geotarget.model import Decision

GATES: Mapping[str, str] = {
    "trigger": "is the transition recent, certain and complete enough",
    "schedule": "does the campaign speak on this day and at this hour, outside quiet hours",
    "consent": "may this person be told, here and for this purpose",
    "audience": "does the person belong to the audience",
    "holdout": "is the person outside the control group",
    "cap": "has the person heard little enough, of this campaign and of all",
    "budget": "does the budget hold one more, in all and today",
    "arbitration": "is the transition free, or does another campaign come first",
    "variant": "is there a variant for this person",
    "content": "does the offer render",
}
"""What each gate asks, in the order in which they are asked."""

MOST_OFFER = 200
"""So many characters of an offer are shown."""

MICROS = 1_000_000


@dataclass(frozen=True, slots=True)
class GateAnswer:
    """One gate of a decision.

    Parameters
    ----------
    answer
        ``passed``, ``refused`` or ``not asked``.
    text
        Why it refused, or what it let pass; empty where there is nothing to tell.
    figures
        What it looked at.
    """

    gate: str
    asks: str
    answer: str
    text: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)


def gates(decision: Decision) -> tuple[GateAnswer, ...]:
    """Return what each gate said; those behind the one that refused were not asked."""
    if not decision.fired and decision.gate not in GATES:
        refused = GateAnswer(decision.gate, "", "refused", decision.reason, decision.inputs)
        return (refused,)
    answers = []
    answer = "passed"
    for name, asks in GATES.items():
        if name == decision.gate:
            refused = GateAnswer(name, asks, "refused", decision.reason, decision.inputs)
            answers.append(refused)
            answer = "not asked"
            continue
        figures = decision.passed.get(name, {}) if answer == "passed" else {}
        answers.append(GateAnswer(name, asks, answer, looked_at(name, figures), figures))
    return tuple(answers)


def looked_at(gate: str, figures: Mapping[str, Any]) -> str:
    """Say what a gate looked at when it let something pass; empty for nothing."""
    if not figures:
        return ""
    tell = FIGURES.get(gate)
    try:
        return _plain(figures) if tell is None else tell(figures)
    except (KeyError, TypeError, ValueError, AttributeError):
        return _plain(figures)  # written by a version whose figures have another shape


def _schedule(figures: Mapping[str, Any]) -> str:
    local = datetime.fromisoformat(figures["local"])
    return f"it was {local:%a %H:%M} in {figures['time_zone']}"


def _consent(figures: Mapping[str, Any]) -> str:
    given = [name.removeprefix("consent.") for name, value in figures.items() if value is True]
    return f"consent for {_and(given)} is given"


def _audience(figures: Mapping[str, Any]) -> str:
    named = [repr(name) for name in figures["rules"] if name != "own"]
    return "in " + _and((["the campaign's own"] if "own" in figures["rules"] else []) + named)


def _holdout(figures: Mapping[str, Any]) -> str:
    return f"hash {figures['hash']:.4f} is not under {figures['holdout']:g}"


def _cap(figures: Mapping[str, Any]) -> str:
    return _and(_one_cap(each) for each in figures["caps"])


def _one_cap(cap: Mapping[str, Any]) -> str:
    if "per_visit" in cap:
        return f"{cap['count']} of at most {cap['per_visit']} in this visit"
    period = cap["period_s"]
    when = "so far" if period is None else f"in {duration(period)}"
    return f"{cap['count']} of at most {cap['max']} {cap['of']} {when}"


def _budget(figures: Mapping[str, Any]) -> str:
    return _and(_one_bound(name, bound) for name, bound in figures.items())


def _one_bound(name: str, figures: Mapping[str, Any]) -> str:
    unit = MICROS if figures.get("in") == "money" else 1
    spent, bound = figures["spent"] / unit, figures["bound"] / unit
    whole = {"total": "in all", "per_day": f"on {figures.get('day', 'this day')}"}[name]
    currency = f" {figures['currency']}" if "currency" in figures else ""
    told = f"{spent:g} of {bound:g}{currency} were spent {whole}"
    if "allowed" in figures:
        told += f", {figures['allowed'] / unit:g} may be by then"
    return told


def _variant(figures: Mapping[str, Any]) -> str:
    told = f"{figures['variant']!r} by {figures['allocation']}"
    arms = [
        f"{name}: {arm['converted']} of {arm['sent']} converted"
        for name, arm in sorted(figures.get("arms", {}).items())
    ]
    return told + (f" ({'; '.join(arms)})" if arms else "")


FIGURES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "schedule": _schedule,
    "consent": _consent,
    "audience": _audience,
    "holdout": _holdout,
    "cap": _cap,
    "budget": _budget,
    "variant": _variant,
}
"""How what a gate let pass is told; the others have nothing to tell."""


def decision(made: Decision) -> str:
    """Say what a campaign answered to a transition, and which gate decided."""
    who = f"campaign '{made.campaign}' (version {made.campaign_version})"
    if made.fired:
        return f"{who} fired: every gate let it pass; the offer is {offer(made)}"
    if made.held_out:
        spared = "nothing either" if made.offer is None else offer(made)
        return f"{who} held the person back: {made.reason}; the offer would have been {spared}"
    asks = GATES.get(made.gate)
    question = "" if asks is None else f" ({asks}?)"
    return f"{who} did not fire: the gate '{made.gate}'{question} refused: {made.reason}"


def offer(made: Decision) -> str:
    """Write what was sent, or would have been: variant, language, cost and the offer itself."""
    about = [] if made.variant is None else [f"variant '{made.variant}'"]
    about += [f"in '{made.language}'"] if made.language else []
    about += [f"at a cost of {made.cost_micros / MICROS:g}"] if made.cost_micros else []
    text = "no offer" if made.offer is None else _plain(made.offer)
    shown = text if len(text) <= MOST_OFFER else f"{text[:MOST_OFFER]}…"
    return f"{', '.join(about)}: {shown}" if about else shown


def answers(made: Decision) -> list[str]:
    """Write what every gate said, in order: one line for those that passed, one for the others."""
    found = gates(made)
    passed = [
        f"{each.gate} ({each.text})" if each.text else each.gate
        for each in found
        if each.answer == "passed"
    ]
    left = [each.gate for each in found if each.answer == "not asked"]
    lines = [f"passed: {', '.join(passed)}"] if passed else []
    return lines + ([f"not asked: {', '.join(left)}"] if left else [])


def _plain(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _and(parts: Iterable[str]) -> str:
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last
