"""Who is meant: rules in CEL, the Common Expression Language, checked when they are saved.

A rule is compiled against the vocabulary, so a misspelt name, a wrong argument and a rule that is
not true or false are errors of the one who writes it, with their place. What can only be known
later (an attribute that a profile lacks, a text where a number is needed) never raises: the
profile is not in the audience, and the verdict says why.

Who may write rules must not be able to stop ingest: text, nesting, loops, look-ups of behaviour
and the size of what a rule sees are bounded, regular expressions take linear time and must be
literal, and a rule that could take longer than `MAX_COST_US` is refused when it is saved. A rule
costs 2 to 4 µs where facts are shared, twice that where it does not hold and has several terms,
and some 0.3 ms to compile, once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from cel_expr_python import cel

from geotarget.errors import InvalidAudience, Problem
from geotarget.targeting.expression import Node, cost_us, read
from geotarget.targeting.facts import Facts
from geotarget.targeting.rule_words import (
    compile_problems,
    evaluation_problem,
    kind,
    members_in,
    place,
    split_terms,
    told,
    unchecked_problems,
)
from geotarget.targeting.vocabulary import VOCABULARY, Word

MAX_CHARACTERS = 4_096
MAX_COST_US = 100_000
"""What a rule may take at worst, microseconds."""

MAX_COUNTS = 50
"""Different counts that one evaluation may work out."""

_REMEMBERED = 4_096
_SHOWN = 200  # characters of a term in a reason


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a rule holds, and why not.

    Parameters
    ----------
    holds
        Whether the profile is in the audience.
    reason
        In words; empty if it holds.
    known
        Whether the rule had an answer; without one the profile is not in the audience either.
    line, column
        Where in the rule the reason lies, from 1; None where that is not known.
    """

    holds: bool
    reason: str = ""
    known: bool = True
    line: int | None = None
    column: int | None = None


_HOLDS = Verdict(holds=True)
_HOLDS_NOT = Verdict(holds=False, reason="the rule does not hold")


def _unknown(reason: str, line: int | None = None, column: int | None = None) -> Verdict:
    return Verdict(holds=False, reason=reason, known=False, line=line, column=column)


class Rule:
    """One compiled rule; may be asked by many threads at once.

    `text` is what was written, `cost_us` what it can take at worst in microseconds, look-ups of
    behaviour left out.

    Examples
    --------
    >>> from geotarget.model import Behaviour, Profile
    >>> rule = Rule.compile("profile.tier == 'gold'")
    >>> rule.holds(Facts(Profile("p", {"tier": "gold"}), Behaviour(), now_ms=0)).holds
    True
    >>> rule.holds(Facts(Profile("p"), Behaviour(), now_ms=0)).reason
    'profile.tier is not known'
    """

    __slots__ = ("_expression", "_members", "_root", "_terms", "cost_us", "text")

    def __init__(self, text: str, expression: Any, root: Node) -> None:
        self.text = text
        self.cost_us = cost_us(root)
        self._expression = expression
        self._root = root
        self._members = members_in(root)
        self._terms: tuple[tuple[Any, Verdict], ...] | None = None

    @classmethod
    def compile(cls, text: str, *, path: str = "$.audience") -> Rule:
        """Compile and check a rule; the same text is compiled once.

        Raises
        ------
        InvalidAudience
            With one problem per thing that is wrong: the line of the rule where it stands, and the
            reason, which begins with line (where there are several) and column.
        """
        found = _compile(text)
        if isinstance(found, Rule):
            return found
        raise InvalidAudience(*(Problem(path, shown, reason) for shown, reason in found))

    def holds(self, facts: Facts) -> Verdict:
        """Return whether the rule holds; never raises for anything in the facts."""
        _asked.facts, _asked.left = facts, MAX_COUNTS
        try:
            activation = facts.prepared
            if activation is None:
                activation = facts.prepared = _ENVIRONMENT.Activation(facts.variables())
            found = self._expression.eval(activation)
            value = found.value()
            if value is True:
                return _HOLDS
            if value is False:
                return self._first_false(activation)
        except RuntimeError as error:  # how the library says that a bound of its own was reached
            return _unknown(evaluation_problem(str(error), self._root, self._members, facts)[0])
        finally:
            _asked.facts = None
        return self._explain(found, facts)

    def _first_false(self, activation: Any) -> Verdict:
        """Return the verdict that names the first of the terms, joined by ``&&``, that is false."""
        terms = self._terms
        if terms is None:  # asked for the first time; two threads come to the same
            terms = self._terms = tuple(_terms(self.text, self._root))
        for expression, verdict in terms:
            if expression.eval(activation).value() is False:
                return verdict
        return _HOLDS_NOT

    def _explain(self, found: Any, facts: Facts) -> Verdict:
        """Return the verdict where the answer was neither true nor false."""
        if found.type() != cel.Type.ERROR:
            return _unknown(f"the rule gives {kind(found.type().name())}, not true or false")
        reason, at = evaluation_problem(str(found.value()), self._root, self._members, facts)
        return _unknown(reason, *(place(self.text, at) if at >= 0 else ()))


def holds_many(rule: Rule, profiles: Iterable[Facts]) -> list[Verdict]:
    """Return what a rule says of many profiles, in their order.

    Some 20 µs each, nearly all of it to build what the rule sees.
    """
    return [rule.holds(facts) for facts in profiles]


def validate_audience(text: str, *, path: str = "$.audience") -> None:
    """Check a rule as it is saved.

    Raises
    ------
    InvalidAudience
        As `Rule.compile`.

    Examples
    --------
    >>> validate_audience("visits.tag('grocery', 30) >= 3 && profile.tier == 'gold'")
    """
    Rule.compile(text, path=path)


class _Asked(threading.local):
    """Of whom this thread asks a rule at the moment, and how many counts it may still work out."""

    facts: Facts | None = None
    left = 0


_asked = _Asked()


def _count(name: str, _receiver: object, *arguments: Any) -> float:
    """Answer a function of the vocabulary, called by the library in the thread that evaluates."""
    facts = _asked.facts
    assert facts is not None
    found = facts.remembered(name, arguments)
    if found is None:
        _asked.left -= 1
        if _asked.left < 0:
            raise ValueError(f"asks for more than {MAX_COUNTS} different counts")
        try:
            found = facts.count(name, arguments)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    return found


_T = cel.Type
_CEL_TYPES = {
    "text": _T.STRING,
    "whole number": _T.INT,
    "number": _T.DYN,  # as a double it could not be compared with 250, only with 250.0
    "true or false": _T.BOOL,
    "time": _T.TIMESTAMP,
    "list of texts": _T.List(_T.STRING),
    "object": _T.Map(_T.STRING, _T.DYN),
}
# three kinds that nothing else here has: the library tells functions of one name apart by them
_RECEIVERS = {
    "visits": _T.Map(_T.STRING, _T.INT),
    "offers": _T.List(_T.BOOL),
    "purchases": _T.BYTES,
}
_TEXT_IMPLEMENTATIONS: dict[str, Callable[..., Any]] = {"lower": str.lower, "upper": str.upper}


def _overload(word: Word) -> Any:
    assert word.arguments is not None
    given = [_CEL_TYPES[kind] for _, kind in word.arguments]
    name = "_".join((*word.name.split("."), *(argument for argument, _ in word.arguments)))
    gives = _CEL_TYPES[word.gives]
    if word.name in _TEXT_IMPLEMENTATIONS:
        receiver, implementation = _T.STRING, _TEXT_IMPLEMENTATIONS[word.name]
    else:
        receiver, implementation = _RECEIVERS[word.root], partial(_count, word.name)
    return cel.Overload(name, gives, [receiver, *given], is_member=True, impl=implementation)


def _environment() -> Any:
    variables = dict(_RECEIVERS)
    overloads: dict[str, list[Any]] = {}
    for word in VOCABULARY:
        if word.arguments is None:
            variables[word.name] = _CEL_TYPES[word.gives]
        else:
            overloads.setdefault(word.name.rpartition(".")[2], []).append(_overload(word))
    functions = [cel.FunctionDecl(name, given) for name, given in overloads.items()]
    return cel.NewEnv(variables=variables, functions=functions)


_ENVIRONMENT = _environment()

_Found = tuple[str, str]  # what stands there, and what is wrong with it


@lru_cache(maxsize=_REMEMBERED)
def _compile(text: str) -> Rule | tuple[_Found, ...]:
    """Return a rule, or what is wrong with it."""
    if len(text) > MAX_CHARACTERS:
        return ((f"{len(text)} characters", f"a rule may have {MAX_CHARACTERS} characters"),)
    try:
        text.encode()
    except UnicodeEncodeError:
        return ((ascii(text)[:80], "contains half of a surrogate pair"),)
    if not text.strip():
        return (("", "is empty"),)
    try:
        expression = _ENVIRONMENT.compile(text)
        given = expression.return_type().name()
    except RuntimeError as error:
        return tuple(compile_problems(str(error), text))
    root = read(expression.serialize())
    found = [told(text, at, reason) for at, reason in (*unchecked_problems(root), *_literals(root))]
    if given not in {"BOOL", "DYN"}:
        found.append((text.strip()[:80], f"must be true or false, but gives {kind(given)}"))
    if found:
        return tuple(found)
    rule = Rule(text, expression, root)
    if rule.cost_us > MAX_COST_US:
        reason = (
            f"does too much: on the largest profile it could take {rule.cost_us / 1e3:.0f} ms, "
            f"at most {MAX_COST_US / 1e3:.0f} may be"
        )
        return ((text.strip()[:80], reason),)
    return rule


def _terms(text: str, root: Node) -> Iterator[tuple[Any, Verdict]]:
    """Yield the terms of a rule that are joined by ``&&``, each with its verdict if it is false."""
    if root.text != "_&&_":
        return
    for begin, term in split_terms(text):
        line, column = place(text, begin)
        shown = " ".join(term.split())
        if len(shown) > _SHOWN:
            shown = f"{shown[: _SHOWN - 1]}…"
        verdict = Verdict(holds=False, reason=f"{shown} does not hold", line=line, column=column)
        yield _ENVIRONMENT.compile(term), verdict


def _literals(root: Node) -> Iterator[tuple[int, str]]:
    """Yield (place, reason) for literal patterns and times that the library can't read."""
    for node in root.walk():
        probe = _PROBES.get(node.text) if node.kind == "call" else None
        if probe is None or not isinstance(node.parts[-1].value, str):
            continue
        found = probe.eval(_ENVIRONMENT.Activation({"profile": {"text": node.parts[-1].value}}))
        if found.type() == cel.Type.ERROR:
            reason = str(found.value()).partition(": ")[2]
            yield node.parts[-1].at, reason[:1].lower() + reason[1:]


_PROBES = {
    "matches": _ENVIRONMENT.compile("''.matches(profile.text)"),
    "timestamp": _ENVIRONMENT.compile(
        "timestamp(profile.text) == timestamp('2026-01-01T00:00:00Z')"
    ),
    "duration": _ENVIRONMENT.compile("duration(profile.text) == duration('1s')"),
}
