"""Headers that an endpoint asks for: what they may be, and how they are kept out of sight.

A receiver behind a gateway wants a token of its own, so an endpoint may name headers that go with
every post. They must not contradict what we say ourselves (the body, the connection, the
signature) and must not break the request apart. Their values may be credentials: no message, log
or attempt shows one. A check costs microseconds, when an endpoint is stored; hiding costs some
microseconds for each answer of an endpoint that has headers, and nothing for any other.

Source: RFC 9110, sections 5.1 (names), 5.5 (values) and 7.6.1 (connections)
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from geotarget.errors import InvalidEndpoint, Problem

MOST, MOST_NAME, MOST_VALUE, MOST_BYTES = 20, 100, 1_000, 8_192
LEAST_HIDDEN = 8
"""Shorter words are not hidden: they are no credentials, and stand in any answer by chance."""

HIDDEN = "[hidden]"

OURS = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
OUR_PREFIXES = ("proxy-", "webhook-")

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[!-~]([\t -~]*[!-~])?")


def check_headers(headers: Mapping[str, str], *, path: str = "$.headers") -> None:
    """Refuse headers that may not go with a post.

    Parameters
    ----------
    headers
        Values by name, as an endpoint asks for them.
    path
        Where they stood, for the error.

    Raises
    ------
    InvalidEndpoint
        With everything that is wrong, and none of the values.

    Examples
    --------
    >>> check_headers({"Authorization": "Bearer 4711", "X-Shop": "7"})
    """
    found = []
    if len(headers) > MOST:
        found.append(Problem(path, f"{len(headers)} headers", f"may be at most {MOST}"))
    size = sum(len(name) + len(value) for name, value in headers.items())
    if size > MOST_BYTES:
        found.append(Problem(path, f"{size} characters", f"may have {MOST_BYTES} in all"))
    seen: set[str] = set()
    for name, value in headers.items():
        shown = name if name.isprintable() else ascii(name)[1:-1]  # what no answer can encode
        place = f"{path}.{shown if len(shown) <= MOST_NAME else shown[: MOST_NAME - 1] + '…'}"
        reason = _name_problem(name) or _value_problem(value)
        if not reason and name.lower() in seen:
            reason = "is named twice: upper and lower case are the same here"
        if reason:
            found.append(Problem(place, "", reason))
        seen.add(name.lower())
    if found:
        raise InvalidEndpoint(*found)


def _name_problem(name: str) -> str:
    if len(name) > MOST_NAME:
        return f"the name of a header may have {MOST_NAME} characters"
    if not _NAME.fullmatch(name):
        return "the name of a header has letters, digits and !#$%&'*+-.^_`|~ only"
    if name.lower() in OURS or name.lower().startswith(OUR_PREFIXES):
        return "this header is ours to send"
    return ""


def _value_problem(value: str) -> str:
    if len(value) > MOST_VALUE:
        return f"the value of a header may have {MOST_VALUE} characters"
    if not _VALUE.fullmatch(value):
        return "the value of a header is visible ASCII, with spaces and tabs inside only"
    return ""


def hide(text: str, headers: Mapping[str, str]) -> str:
    """Return a text without the values of headers, and without their longer words.

    For receivers that send back what they were sent. A value that the end of the text cuts off is
    hidden as well.

    Examples
    --------
    >>> hide('{"you sent": "Bearer tok-4711-abc", "also": "tok-4711', {"A": "Bearer tok-4711-abc"})
    '{"you sent": "[hidden]", "also": "[hidden]'
    """
    if not text:
        return text
    words = {word for value in headers.values() for word in (value, *value.split())}
    for word in sorted(words, key=len, reverse=True):
        if len(word) < LEAST_HIDDEN:
            continue
        text = text.replace(word, HIDDEN)
        for length in range(min(len(word) - 1, len(text)), LEAST_HIDDEN - 1, -1):
            if text.endswith(word[:length]):
                text = text[:-length] + HIDDEN
                break
    return text
