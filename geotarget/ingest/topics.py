"""Which device a topic speaks of, and which names a device may have.

A device is named by its topic, never by its payload: a broker can check who may publish where,
it can't look into the JSON. Routing costs one dictionary look-up a message, because the topics
of a fleet repeat.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from geotarget.ingest.slots import LEVEL, slot_of

MAX_DEVICE_CHARACTERS = 128
PORTABLE_DEVICE = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Names that every broker carries in one topic level (NATS closes the connection on others)."""

_OWNTRACKS = "owntracks"


@dataclass(frozen=True, slots=True)
class OwnTracks:
    """The message comes from an OwnTracks app; its device is ``user/device``."""

    device: str


@dataclass(frozen=True, slots=True)
class Unroutable:
    """No device can be read from the topic; `reason` is a code, `detail` the sentence."""

    reason: str
    detail: str


def subscriptions(prefix: str) -> tuple[str, ...]:
    """MQTT topic filters that the ingest subscribes to.

    Examples
    --------
    >>> subscriptions("pings")
    ('pings/+', 'owntracks/+/+')
    """
    return (f"{prefix}/+", f"{_OWNTRACKS}/+/+")


@lru_cache(maxsize=1 << 16)
def device_problem(name: str) -> str:
    """Say what is wrong with a device id, or return an empty string.

    An id has 1 to 128 printable characters without ``+`` and ``#``. One ``/`` may stand between
    two parts, as in OwnTracks' ``user/device``.

    Examples
    --------
    >>> device_problem("bus-12"), device_problem("anna/phone")
    ('', '')
    >>> device_problem("a+b")
    "a device id can't contain '+'"
    """
    if not name:
        return "the device id is empty"
    if len(name) > MAX_DEVICE_CHARACTERS:
        return f"a device id has at most {MAX_DEVICE_CHARACTERS} characters, not {len(name)}"
    for character in name:
        if character in "+#" or not character.isprintable():
            return f"a device id can't contain {character!r}"
    parts = name.split("/")
    if len(parts) > 2 or not all(parts):
        return "a device id has at most one '/', with a name on both sides"
    return ""


@lru_cache(maxsize=1 << 17)
def route(topic: bytes | str, prefix: str) -> str | OwnTracks | Unroutable:
    """Read the device from a topic.

    Returns
    -------
    str
        The device, for ``{prefix}/{device}`` and ``slots/{n}/{device}``: the common case is the
        cheap one.
    OwnTracks
        For ``owntracks/{user}/{device}``.
    Unroutable
        For everything else.
    """
    if isinstance(topic, bytes):
        try:
            topic = topic.decode()
        except UnicodeDecodeError:
            return Unroutable("device", "the topic is not UTF-8")
    levels = topic.split("/")
    if topic.startswith(prefix + "/") and len(levels) == prefix.count("/") + 2:
        name = levels[-1]
        problem = device_problem(name)
        return Unroutable("device", f"topic level 'device': {problem}") if problem else name
    if levels[0] == LEVEL and len(levels) == 3:
        return _slotted(levels[1], levels[2])
    if levels[0] == _OWNTRACKS and len(levels) == 3:
        name = f"{levels[1]}/{levels[2]}"
        problem = device_problem(name)
        return (
            Unroutable("device", f"topic levels 'user/device': {problem}")
            if problem
            else OwnTracks(name)
        )
    return Unroutable(
        "unsupported",
        f"the topic is neither {prefix}/{{device}} nor {_OWNTRACKS}/{{user}}/{{device}}",
    )


def _slotted(slot: str, name: str) -> str | Unroutable:
    """Check that a device published to its own slot: another has no idea of where it was."""
    problem = device_problem(name)
    if problem:
        return Unroutable("device", f"topic level 'device': {problem}")
    if slot != str(slot_of(name)):
        return Unroutable(
            "device",
            f"topic level 'n': the device belongs to slot {slot_of(name)}, not {slot[:9]!r}",
        )
    return name
