"""What one batch writes, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from geotarget.model.decisions import Decision, Delivery
from geotarget.model.movement import IntArray, MemberRow, Rejected, Trace, Transition


@dataclass(frozen=True, slots=True)
class Footfall:
    """What was seen in one H3 cell on one day (UTC), to be added to what is stored.

    Parameters
    ----------
    cell
        H3 index.
    day
        Days since 1970-01-01.
    devices
        Sketch of who was there: the smallest hashes of devices, ascending, 8 bytes each.
    accuracies, intervals
        Counts of arrivals by class of accuracy and of the device's usual time between pings.
    """

    cell: int
    day: int
    devices: bytes
    accuracies: Sequence[int]
    intervals: Sequence[int]


@dataclass(frozen=True, slots=True)
class BatchWrite:
    """Everything that one batch changes; written in one transaction or not at all.

    Parameters
    ----------
    devices
        The devices whose state moved, each once.
    device_states
        Their new states, concatenated; ``len(device_states) / len(devices)`` bytes each.
    rows
        Numbers of the devices, if the writer has some: each its own for as long as he has it.
    members_put, members_removed
        Memberships to write, and (device, zone) pairs to forget.
    transitions, decisions, deliveries
        To insert; rows that exist already (same id) are left as they are.
    rejected
        Dead letters to keep.
    traces
        What the pings of traced devices meant.
    profiles
        Device -> profile id, of every device among the transitions: whose behaviour they are.
    footfall
        What the pings add to the counts of places.
    """

    devices: Sequence[str] = ()
    device_states: bytes = b""
    rows: IntArray | None = None
    members_put: Sequence[MemberRow] = ()
    members_removed: Sequence[tuple[str, str]] = ()
    transitions: Sequence[Transition] = ()
    decisions: Sequence[Decision] = ()
    deliveries: Sequence[Delivery] = ()
    rejected: Sequence[Rejected] = ()
    traces: Sequence[Trace] = ()
    profiles: Mapping[str, str] = field(default_factory=dict)
    footfall: Sequence[Footfall] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one batch; counted, returned to whoever waits, never an exception.

    `refused` holds (position in the batch, reason code, sentence) of pings that the intake rules
    refused. Late, duplicate and suspect pings are handled, hence part of `accepted`. `holds` counts
    by reason the (ping, zone) pairs that were no evidence either way.
    """

    accepted: int
    refused: Sequence[tuple[int, str, str]] = ()
    late: int = 0
    duplicates: int = 0
    suspects: int = 0
    holds: Mapping[str, int] = field(default_factory=dict)
    transitions: Mapping[str, int] = field(default_factory=dict)
    decisions: Mapping[str, int] = field(default_factory=dict)
    deliveries: int = 0
