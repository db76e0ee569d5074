"""Slots: the devices of a fleet in 64 parts, so that many workers can share one broker.

A device is always in the same slot: FNV-1a of its name, 32 bits, modulo 64, which is what NATS
computes itself (``{{partition(64,1)}}``) and what an app can compute in five lines. A dot counts as
two slashes, because that is how NATS writes it (`as_subject`). Each slot is an
MQTT session of its own, and whoever holds the session works on the slot: MQTT allows one connection
for each client id, so a slot never has two. Hashing costs 0.1 us a device (`slots_of`), or a
dictionary look-up where the same devices come again (`slot_of`).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np

from geotarget.errors import Problem, SettingsError
from geotarget.ingest.broker_url import BrokerUrl
from geotarget.model import IntArray

SLOTS = 64
"""How many there are; fixed, because brokers and apps compute with it too."""

ALL_SLOTS = frozenset(range(SLOTS))
LEVEL = "slots"
"""First level of the topics: ``slots/{n}/{device}``."""

AUTO = "auto"

_OFFSET = 2_166_136_261
_PRIME = 16_777_619
_MASK = 0xFFFF_FFFF
_TAG_DIGITS = 16
_RANGE = re.compile(r"([0-9]{1,2})(?:-([0-9]{1,2}))?")


def as_subject(name: str) -> str:
    """Write one level of an MQTT topic as NATS has it in a subject, where dots part levels.

    Examples
    --------
    >>> as_subject("shop.7")
    'shop//7'
    """
    return name.replace(".", "//")


@lru_cache(maxsize=1 << 17)
def slot_of(device: str) -> int:
    """Return the slot of a device.

    Examples
    --------
    >>> slot_of("phone-1"), slot_of("bus-7"), slot_of("ärzte"), slot_of("shop.7")
    (53, 17, 1, 48)
    """
    value = _OFFSET
    for byte in as_subject(device).encode():
        value = (value ^ byte) * _PRIME & _MASK
    return value % SLOTS


def slots_of(devices: Sequence[str]) -> IntArray:
    """Return the slot of each device; shape (n,).

    Examples
    --------
    >>> slots_of(["phone-1", "phone-2"]).tolist() == [slot_of("phone-1"), slot_of("phone-2")]
    True
    """
    together = as_subject("\0".join(devices)).encode()
    names = together.split(b"\0") if devices else []
    lengths = np.fromiter(map(len, names), dtype=np.int64, count=len(names))
    width = int(lengths.max(initial=0))
    padded = (
        np.array(names, dtype=f"S{max(width, 1)}").view(np.uint8).reshape(len(names), max(width, 1))
    )
    value = np.full(len(names), _OFFSET, dtype=np.uint32)
    for position in range(width):
        value = np.where(
            position < lengths, (value ^ padded[:, position]) * np.uint32(_PRIME), value
        )
    return (value % np.uint32(SLOTS)).astype(np.int64)


def slot_topic(device: str) -> str:
    """Return where a device publishes if nobody maps its topic."""
    return f"{LEVEL}/{slot_of(device)}/{device}"


def slot_filter(slot: int) -> str:
    """Return what the session of a slot subscribes to."""
    return f"{LEVEL}/{slot}/+"


def slot_client_id(slot: int, broker: BrokerUrl) -> str:
    """Return how the session of a slot is called.

    The same for every worker with this login, and secret to everybody else: who connects under it
    takes the session over, and with it the slot's pings.
    """
    key = (broker.password or "").encode()
    said = f"geotarget slots {broker.username or ''}".encode()
    tag = hmac.digest(key, said, hashlib.sha256).hex()[:_TAG_DIGITS]
    return f"geotarget-slot-{slot}-{tag}"


def parse_slots(text: str) -> frozenset[int] | None:
    """Read ``0-15,20``; None for ``auto``.

    Raises
    ------
    SettingsError
        It is neither.

    Examples
    --------
    >>> sorted(parse_slots("0-2, 20"))
    [0, 1, 2, 20]
    """
    if text.strip() == AUTO:
        return None
    found: set[int] = set()
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            raise _bad(part, "must look like 0-15,20, or be auto")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise _bad(part, "must rise")
        if last >= SLOTS:
            raise _bad(part, f"slots are numbered 0 to {SLOTS - 1}")
        found.update(range(first, last + 1))
    return frozenset(found)


def written_slots(slots: Iterable[int]) -> str:
    """Write slots as `parse_slots` reads them.

    Examples
    --------
    >>> written_slots([3, 0, 1, 2, 20])
    '0-3,20'
    """
    runs: list[list[int]] = []
    for slot in sorted(set(slots)):
        if runs and slot == runs[-1][-1] + 1:
            runs[-1].append(slot)
        else:
            runs.append([slot])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def _bad(part: str, reason: str) -> SettingsError:
    return SettingsError(str(Problem("slots", repr(part), reason)))
