"""Ids that depend on nothing but what happened.

An id is 32 hexadecimal digits: 12 of Unix milliseconds, 20 of a hash. The time in front keeps
neighbours in time neighbours in a database index (14 µs a row against 46 at a million rows);
the hash makes the same pings give the same id after a crash, on another machine or in a backtest,
which is what turns at-least-once transport into exactly one effect.
"""

from __future__ import annotations

from hashlib import blake2b

from geotarget.model import Kind

_SEPARATOR = b"\x1f"


def timed_id(at_ms: int, *parts: str) -> str:
    """Return the id of something that happened at an instant.

    Parameters
    ----------
    at_ms
        Unix milliseconds, of which the lower 48 bits are used.
    *parts
        What makes it distinct; compared as a sequence, so ``("a", "bc")`` differs from
        ``("ab", "c")``.

    Examples
    --------
    >>> timed_id(1_732_240_000_250, "zone", "device")[:12]
    '0193518cc4fa'
    """
    digest = blake2b(_SEPARATOR.join(part.encode() for part in parts), digest_size=10)
    return f"{at_ms & 0xFFFF_FFFF_FFFF:012x}{digest.hexdigest()}"


def visit_id(*, device: str, zone: str, start_ms: int) -> str:
    """Return the id of the stay of one device in one zone that began at `start_ms`."""
    return timed_id(start_ms, "visit", device, zone, str(start_ms))


def event_id(
    *,
    device: str,
    zone: str,
    start_ms: int,
    kind: Kind,
    at_ms: int,
    threshold_s: int | None,
    revision: int | None = None,
) -> str:
    """Return the id of a transition; `start_ms` is the start of its visit.

    `revision` is that of the edit which caused a ``reconciled``: two edits may end and open a visit
    of one start.
    """
    distinct = next((str(each) for each in (threshold_s, revision) if each is not None), "")
    return timed_id(at_ms, "event", device, zone, str(start_ms), kind.value, distinct)
