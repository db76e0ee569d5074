"""What waits between a transport and the worker, and how each sender is told that it is safe.

A queue entry is either what one read of an MQTT connection brought, still undecoded, or the pings
of one HTTP request. Costs a few tuples a message.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

import structlog

from geotarget.model import Outcome, PingBatch, Rejected

Frame = tuple[bytes, bytes, int, int]
"""One received PUBLISH: topic, payload, packet identifier (0 for QoS 0), first header byte."""

Acknowledge = Callable[[list[int]], None]
"""Told the packet identifiers of committed messages, in order of arrival."""

QOS_BITS = 0x06
QOS_1 = 0x32
"""First header byte of a PUBLISH that is to be acknowledged."""

_TYPICAL_PING_BYTES = 100
_PINGS_A_SLOT = 100

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Received:
    """Frames of one read of one connection; `since` is monotonic seconds.

    `lane` names the session where there are several, so that it can be held and waited for alone.
    """

    frames: Sequence[Frame]
    acknowledge: Acknowledge
    received_ms: int
    since: float
    lane: Hashable = None

    @property
    def slots(self) -> int:
        """One a message: that is how brokers count what is unacknowledged."""
        return len(self.frames)


@dataclass(frozen=True, slots=True, eq=False)
class Submitted:
    """The pings of one HTTP request, and those of its items that were refused already."""

    pings: PingBatch
    rejected: Sequence[Rejected]
    since: float
    future: Future[Outcome] = field(default_factory=Future)

    @property
    def slots(self) -> int:
        """One per started hundred pings, as many as an MQTT message may hold."""
        return max(1, -(-len(self.pings) // _PINGS_A_SLOT))


Entry = Received | Submitted


@dataclass(slots=True)
class IntakeStats:
    """Counters since the start, and what waits now.

    `waiting` and `most_waiting` count slots: an MQTT message is one, an HTTP submission one per
    started hundred pings. `dropped` counts QoS 0 messages that found no room, `hurried` the slots
    that went before their reorder window was over because the queue was full. `held` counts
    messages of held lanes, which wait beside the queue.
    """

    pings: int = 0
    messages: int = 0
    batches: int = 0
    rejected: int = 0
    ignored: int = 0
    dropped: int = 0
    retries: int = 0
    hurried: int = 0
    waiting: int = 0
    most_waiting: int = 0
    held: int = 0


def fitting(frames: Sequence[Frame], room: int) -> tuple[int, list[Frame]]:
    """Return how many frames are done with, and those of them that are taken.

    What finds no room is done with when it is QoS 0 (it is dropped); the first QoS 1 frame that
    finds none ends the taking, so that the order holds.
    """
    taken: list[Frame] = []
    for position, frame in enumerate(frames):
        if len(taken) < room:
            taken.append(frame)
        elif frame[3] & QOS_BITS:
            return position, taken
    return len(frames), taken


def cut(queue: deque[Entry], pings: int) -> list[Entry]:
    """Take entries from the front of the queue up to about `pings` pings, at least one message.

    Messages are not decoded yet, so their pings are estimated from their size.
    """
    entries: list[Entry] = []
    while queue and pings > 0:
        entry = queue.popleft()
        if isinstance(entry, Submitted):
            pings -= len(entry.pings)
            entries.append(entry)
            continue
        fits = 0
        for frame in entry.frames:
            if pings <= 0:
                break
            pings -= 1 + len(frame[1]) // _TYPICAL_PING_BYTES
            fits += 1
        if fits < len(entry.frames):
            queue.appendleft(replace(entry, frames=entry.frames[fits:]))
        entries.append(replace(entry, frames=entry.frames[:fits]))
    return entries


def parted(queue: Iterable[Entry], lane: Hashable) -> tuple[list[Entry], deque[Entry]]:
    """Return what came over a lane, and the rest, both in order."""
    gone: list[Entry] = []
    rest: deque[Entry] = deque()
    for entry in queue:
        of_lane = isinstance(entry, Received) and entry.lane == lane
        (gone if of_lane else rest).append(entry)
    return gone, rest


def runs(entries: Sequence[Entry]) -> list[Submitted | list[Received]]:
    """Group neighbouring MQTT entries, so that they are decoded at once."""
    grouped: list[Submitted | list[Received]] = []
    for entry in entries:
        if isinstance(entry, Submitted):
            grouped.append(entry)
        elif grouped and isinstance(grouped[-1], list):
            grouped[-1].append(entry)
        else:
            grouped.append([entry])
    return grouped


def acknowledge(entries: Sequence[Entry]) -> None:
    """Acknowledge in order of arrival, neighbours of one connection in one call."""
    pending: list[int] = []
    sender: Acknowledge | None = None
    for entry in entries:
        if isinstance(entry, Submitted):
            continue
        if sender is not None and entry.acknowledge != sender:
            _tell(sender, pending)
            pending = []
        sender = entry.acknowledge
        pending += [frame[2] for frame in entry.frames if frame[3] & QOS_BITS]
    if sender is not None:
        _tell(sender, pending)


def resolve(
    entries: Sequence[Entry], first_pings: Sequence[int], refused: Sequence[tuple[int, str, str]]
) -> None:
    """Give each submission its own share of what the batch's pings were refused for.

    Parameters
    ----------
    entries
        The batch.
    first_pings
        Position of the first ping of each submission in the batch, in order of arrival.
    refused
        (position in the batch, reason, sentence), sorted.
    """
    submitted = [entry for entry in entries if isinstance(entry, Submitted)]
    for entry, first in zip(submitted, first_pings, strict=True):
        last = first + len(entry.pings)
        own = [(at - first, code, text) for at, code, text in refused if first <= at < last]
        entry.future.set_result(Outcome(accepted=len(entry.pings) - len(own), refused=own))


def fail(entries: Sequence[Entry], error: Exception) -> None:
    """Tell those who wait that their pings were not committed."""
    for entry in entries:
        if isinstance(entry, Submitted):
            entry.future.set_exception(error)


def _tell(sender: Acknowledge, identifiers: list[int]) -> None:
    if not identifiers:
        return
    try:
        sender(identifiers)
    except Exception:  # noqa: BLE001 committed they are; sent again, they will be known
        _log.exception("acknowledging failed", messages=len(identifiers))
