"""What is wrong with a rule, in the words of the vocabulary and with its place in the text.

The library says "found no matching overload for '_>_' applied to '(string, int)'"; the one who
wrote the rule has to read "'>' does not go with a text and a whole number". Here its sentences
are taken apart, and what it doesn't check is checked: counts of days, patterns, times.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from geotarget.targeting.expression import DATA, LOOPS, Node
from geotarget.targeting.facts import DEPTH, Facts, days_problem
from geotarget.targeting.vocabulary import (
    COUNTED,
    TEXT_FUNCTIONS,
    VOCABULARY,
    members_of,
    roots,
)

_KINDS = {
    "string": "a text",
    "int": "a whole number",
    "int64": "a whole number",
    "uint": "a whole number with u",
    "uint64": "a whole number with u",
    "double": "a number",
    "bool": "true or false",
    "null": "null",
    "null_type": "null",
    "list": "a list",
    "map": "an object",
    "timestamp": "a time",
    "google.protobuf.timestamp": "a time",
    "duration": "a length of time",
    "google.protobuf.duration": "a length of time",
    "bytes": "bytes",
    "dyn": "anything",
    "type": "a type",
}
_COUNTS = {word.name.partition(".")[2]: word.root for word in VOCABULARY if word.root in COUNTED}
_OPERATORS = {"_[_]": "[ ]", "@in": "in", "_?_:_": "? :", "-_": "-", "!_": "!"}
_OF_TEXTS = ("contains", "startsWith", "endsWith", "matches", "size", *TEXT_FUNCTIONS)
_LEVELS = "a rule may be nested 32 levels deep, and a chain of one operator have 32 links"

_COMPLAINT = re.compile(
    r"ERROR: <input>:(-?\d+):(-?\d+): (.*?)(?=\n \||\nERROR: <input>|\s*\[[A-Z_]+\]\Z|\Z)",
    re.DOTALL,
)
_UNDECLARED = re.compile(r"undeclared reference to '(.*)' \(in container ''\)")
_OVERLOAD = re.compile(r"found no matching overload for '(.*)' applied to '\((.*)\)'")
_SYNTAX = re.compile(r"Syntax error: (?:mismatched|extraneous) input '(.*?)' expecting", re.DOTALL)
_UNREADABLE = re.compile(r"Syntax error: token recognition error at: '(.*)'", re.DOTALL)
_CALLED = re.compile(r"(?:(\w+)\s*\.\s*)?(\w+)\s*\Z")


def kind(name: str) -> str:
    """Return one of the library's types in words, with its article.

    Examples
    --------
    >>> kind("map(string, int)"), kind("BOOL")
    ('an object', 'true or false')
    """
    plain = re.split(r"[(<]", name, maxsplit=1)[0].lower()
    return _KINDS.get(plain, name)


def place(text: str, at: int) -> tuple[int, int]:
    """Return the line and the column of a place in a text, both from 1."""
    return text.count("\n", 0, at) + 1, at - (text.rfind("\n", 0, at) + 1) + 1


def told(text: str, at: int, reason: str) -> tuple[str, str]:
    """Return the line of the text where something is wrong, and the reason with its place."""
    if at < 0:
        return text.strip()[:80], reason
    line, column = place(text, at)
    where = f"line {line}, column {column}" if "\n" in text else f"column {column}"
    return text.split("\n")[line - 1].strip()[:80], f"{where}: {reason}"


def split_terms(text: str) -> list[tuple[int, str]]:
    """Split a rule where ``&&`` stands outside of texts, comments and brackets: (begin, term).

    Examples
    --------
    >>> split_terms("a == '&&' && (b && c)")
    [(0, "a == '&&'"), (13, '(b && c)')]
    """
    masked = _QUOTED.sub(lambda m: (" " if m[0].startswith("//") else "x") * len(m[0]), text)
    cuts, depth = [], 0
    for at, character in enumerate(masked):
        depth += (character in "([{") - (character in ")]}")
        if depth == 0 and masked.startswith("&&", at):
            cuts.append(at)
    begins = [0, *(cut + 2 for cut in cuts)]
    found = []
    for begin, end in zip(begins, [*cuts, len(text)], strict=True):
        term = masked[begin:end]
        first = begin + len(term) - len(term.lstrip())
        found.append((first, text[first : begin + len(term.rstrip())]))
    return found


# raw texts end at their quote, others not at an escaped one
_QUOTED = re.compile(
    r"""\b[bB]?[rR][bB]?(?P<raw>\"{3}|'{3}|"|').*?(?P=raw)"""
    r"""|(?P<long>"{3}|'{3})(?:\\.|.)*?(?P=long)|(?P<short>"|')(?:\\.|.)*?(?P=short)|//[^\n]*""",
    re.DOTALL,
)


def compile_problems(message: str, text: str) -> list[tuple[str, str]]:
    """Return what the library says about a rule that it can't compile: (line, reason) each."""
    starts = _line_starts(text)
    found: list[tuple[str, str]] = []
    complaints = _COMPLAINT.findall(message)
    for line, column, sentence in complaints:
        if "*error*" in sentence:  # follows from another one
            continue
        at = starts[int(line) - 1] + int(column) - 1 if int(line) > 0 else -1
        found.append(told(text, *_compile_reason(sentence, text, at)))
        if sentence.startswith("Syntax error"):  # all others may follow from it
            return [found[-1]]
    if not found:
        deep = "recursion" in message
        found.append(told(text, -1, _LEVELS if deep else _plain(message.partition(" [")[0])))
    return list(dict.fromkeys(found))


def _line_starts(text: str) -> list[int]:
    return [0, *(match.end() for match in re.finditer("\n", text))]


def _compile_reason(sentence: str, text: str, at: int) -> tuple[int, str]:
    if match := _UNDECLARED.fullmatch(sentence):
        return _undeclared(match[1], text, at)
    if match := _OVERLOAD.fullmatch(sentence):
        return at, _no_overload(match[1], _split(match[2]), text, at)
    if match := _SYNTAX.match(sentence):
        if match[1] == "<EOF>":
            return at, "the rule ends too early"
        return at, f"{match[1]!r} is out of place"
    if match := _UNREADABLE.match(sentence):
        return at, f"can't be read from here: {match[1][:40].strip()}"
    if "cannot be the range of a comprehension" in sentence:
        return at, "before exists, all, filter or map write a.b instead of a['b'], or a list"
    if "recursion" in sentence:
        return -1, _LEVELS
    return at, sentence.removeprefix("Syntax error: ").partition(" expecting {")[0]


def _undeclared(name: str, text: str, at: int) -> tuple[int, str]:
    if at >= 0 and text[at : at + 1] == "(":
        called = _CALLED.search(text[:at])
        receiver = called[1] if called else None
        return (called.start() if called else at), _unknown_function(name, receiver)
    root, _, rest = name.partition(".")
    begin = text.rfind(root, 0, at + len(root)) if at >= 0 else -1
    if root in roots():
        inside = ", ".join(members_of(root))
        reason = f"{root} has no {rest}" if rest else f"{root} is no value by itself"
        return begin, f"{reason}; it has {inside}"
    return begin, f"there is no {root!r}; there are {', '.join(roots())}"


def _unknown_function(name: str, receiver: str | None) -> str:
    homes = [word for word in VOCABULARY if word.name.rpartition(".")[2] == name]
    if receiver in COUNTED:
        own = [word.written for word in homes if word.root == receiver]
        if own:
            return f"{receiver}.{name} is written {' or '.join(own)}"
        return f"{receiver} has no {name}; it has {', '.join(members_of(receiver))}"
    if homes and homes[0].root in COUNTED:
        return f"there is no function {name!r} by itself; there is {homes[0].written}"
    return f"there is no function {name!r}; texts have {', '.join(_OF_TEXTS)}"


def _no_overload(function: str, given: list[str], text: str, at: int) -> str:
    words = [word for word in VOCABULARY if word.name.rpartition(".")[2] == function]
    called = _CALLED.search(text[:at]) if at >= 0 else None
    receiver = called[1] if called else None
    if receiver in COUNTED:
        own = [word for word in words if word.root == receiver]
        if not own:
            return f"{receiver} has no {function}; it has {', '.join(members_of(receiver or ''))}"
        wanted = " or ".join(
            f"{word.written} with {_listed([kind_of for _, kind_of in word.arguments or ()])}"
            for word in own
        )
        return f"{receiver}.{function} is written {wanted}, not with {_kinds(given[1:])}"
    operator = _OPERATORS.get(function, function.strip("_"))
    return f"{operator!r} does not go with {_kinds(given)}"


def _listed(names: list[str]) -> str:
    return " and ".join(f"a {name}" for name in names) or "nothing"


def _kinds(given: list[str]) -> str:
    return " and ".join(kind(each) for each in given) or "nothing"


def _split(types: str) -> list[str]:
    """Split ``string, map(string, int)`` at the commas that are in no brackets."""
    parts, depth, begin = [], 0, 0
    for place_, character in enumerate(types):
        depth += (character in "(<") - (character in ")>")
        if character == "," and depth == 0:
            parts.append(types[begin:place_].strip())
            begin = place_ + 1
    return [*parts, types[begin:].strip()] if types.strip() else []


def unchecked_problems(root: Node) -> Iterator[tuple[int, str]]:
    """Yield (place, reason) for what the library's checker lets pass."""
    proper = {
        id(node.parts[0])
        for node in root.walk()
        if node.kind == "call" and node.receiver and _counted(node)
    }
    for node in root.walk():
        if node.kind == "name" and node.text in COUNTED and id(node) not in proper:
            inside = ", ".join(members_of(node.text))
            yield node.at, f"{node.text} stands only before one of its functions: {inside}"
        elif node.kind == "call":
            yield from _call_problems(node)


def _counted(node: Node) -> bool:
    first = node.parts[0]
    return first.kind == "name" and first.text in COUNTED and node.text in members_of(first.text)


def _call_problems(node: Node) -> Iterator[tuple[int, str]]:
    last = node.parts[-1] if node.parts else node
    if node.receiver and _counted(node):
        name = f"{node.parts[0].text}.{node.text}"
        takes_days = any(
            word.name == name and word.arguments and word.arguments[-1][0] == "days"
            for word in VOCABULARY
        )
        if takes_days and isinstance(last.value, int) and days_problem(last.value):
            yield last.at, days_problem(last.value)
    elif node.text in _COMPARING:
        yield from _comparison_problems(node)
    elif node.receiver and node.text in _COUNTS:
        yield node.at, f"{node.text} is a function of {_COUNTS[node.text]} only"
    elif node.text == "matches" and not isinstance(last.value, str):
        yield last.begin, "the pattern of matches must be written out, not worked out"


def _comparison_problems(node: Node) -> Iterator[tuple[int, str]]:
    """Yield what is wrong where a number of the vocabulary is compared with a literal."""
    for one, other in (node.parts, node.parts[::-1]):
        name = f"{one.parts[0].text}.{one.text}" if one.receiver else one.text
        wrong = other.kind == "literal" and type(other.value) not in {int, float}
        if name in _NUMBERS and wrong:
            operator = node.text.strip("_")
            shown = kind(_LITERALS.get(type(other.value), "null"))
            yield node.at, f"{operator!r} does not go with a number and {shown}"


_COMPARING = frozenset({"_<_", "_<=_", "_>_", "_>=_", "_==_", "_!=_"})
_NUMBERS = frozenset(word.name for word in VOCABULARY if word.gives == "number")
_LITERALS = {str: "string", bool: "bool", bytes: "bytes"}

_MISSING = re.compile(r'NOT_FOUND: Key not found in map : "(.*)"\Z', re.DOTALL)
_UNBOUND = re.compile(r'UNKNOWN: No value with name "(.*)" found in Activation')
_MISFIT = re.compile(r"UNKNOWN: No matching overloads found : (\S*?)(?:\((.*)\))?\Z", re.DOTALL)
_MEMBER_MISFIT = re.compile(r"\((.*)\)\.(\w+)\((.*)\)\Z", re.DOTALL)
_OURS = re.compile(r"OUT_OF_RANGE: (\w+)\.(\w+): (.*)", re.DOTALL)


Members = Sequence[tuple[tuple[str, ...], int]]


def members_in(root: Node) -> Members:
    """Return the path and the place of everything that is read from a variable, for later."""
    found = ((node.path, node.begin) for node in root.walk())
    return tuple((path, at) for path, at in found if len(path) > 1)


def evaluation_problem(message: str, root: Node, members: Members, facts: Facts) -> tuple[str, int]:
    """Return why a rule can't be answered for these facts, and the place or -1."""
    if match := _MISSING.match(message):
        return _missing(match[1], members, facts)
    if match := _UNBOUND.match(message):
        name = match[1].partition(".")[0]
        at = next((node.begin for node in root.walk() if node.path[:1] == (name,)), -1)
        return f"there is no {name} here", at
    if match := _MISFIT.match(message):
        called = _MEMBER_MISFIT.search(message)  # such as "(int64).lower()"
        if called:
            return _misfit(called[2], _split(f"{called[1]}, {called[3]}".rstrip(", ")), root)
        return _misfit(match[1], _split(match[2] or ""), root)
    if match := _OURS.match(message):
        at = _only(node for node in root.walk() if node.receiver and node.text == match[2])
        return f"{match[1]}.{match[2]}: {match[3]}", at
    if "Iteration budget" in message:
        return f"its loops take more than {LOOPS} turns", -1
    if "SELECT to non-message" in message:
        return _no_member(members, facts)
    return _plain(message), -1


def _plain(message: str) -> str:
    """Return what the library says without its code in front."""
    said = message.partition(": ")[2] or message
    return said[:1].lower() + said[1:]


def _missing(name: str, members: Members, facts: Facts) -> tuple[str, int]:
    variables = facts.variables()
    for path, at in members:
        if path[-1] == name:
            owner = _resolve(path[:-1], variables)
            if isinstance(owner, Mapping) and name not in owner:
                if path == ("profile", name) and name in facts.profile.attributes:
                    bound = f"{DATA} bytes of JSON and {DEPTH} levels"
                    return f"{written(path)} is larger than a rule may see: {bound}", at
                return f"{written(path)} is not known", at
    return f"there is no member {name!r}", -1


def _no_member(members: Members, facts: Facts) -> tuple[str, int]:
    variables = facts.variables()
    for path, at in members:
        owner = _resolve(path[:-1], variables)
        if owner is not _NOTHING and not isinstance(owner, Mapping):
            return f"{written(path[:-1])} is no object: it has no {path[-1]}", at
    return "a member is asked of what is no object", -1


_NOTHING = object()


def _resolve(path: tuple[str, ...], variables: Mapping[str, Any]) -> Any:
    """Return what a path leads to among the variables, whose names may have a dot."""
    for length in (1, 2):
        name = ".".join(path[:length])
        if len(path) >= length and name in variables:
            value = variables[name]
            for step in path[length:]:
                if not isinstance(value, Mapping) or step not in value:
                    return _NOTHING
                value = value[step]
            return value
    return _NOTHING


def written(path: tuple[str, ...]) -> str:
    """Return a path as a rule writes it.

    Examples
    --------
    >>> written(("profile", "home town"))
    "profile['home town']"
    """
    return path[0] + "".join(
        f".{name}" if name.isidentifier() else f"[{name!r}]" for name in path[1:]
    )


def _misfit(function: str, given: list[str], root: Node) -> tuple[str, int]:
    operator = _OPERATORS.get(function, function.strip("_"))
    at = _only(node for node in root.walk() if node.kind == "call" and node.text == function)
    return f"{operator!r} does not go with {_kinds(given) if given else 'what it is given'}", at


def _only(nodes: Iterator[Node]) -> int:
    """Return the place of the only one; -1 where there are several, or none."""
    found = list(nodes)
    return found[0].at if len(found) == 1 else -1
